/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers, the end of power and the kernel's last words, by the kernel's own source: with
 * registers in memory, with a port for the end and without, and with stacks of all shapes.
 * Instructions that only a kernel may use are skipped, a halt ends the call. Prints TAP.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* The ports and registers of the machine are functions of this file. */
#define outb  machine_outb
#define rdmsr machine_rdmsr
#define wrmsr machine_wrmsr
#include "kernel/x86/asm.h"
#include "kernel/x86/x86.h"
#undef outb
#undef rdmsr
#undef wrmsr
static void outb(uint16_t port, uint8_t value);
static uint64_t rdmsr(uint32_t msr);
static void wrmsr(uint32_t msr, uint64_t value);
#undef KERNEL_BASE
#define KERNEL_BASE 0x10000ul /* so that variables of this program are the kernel's */
#include "kernel/x86/apic.c"
#include "kernel/x86/power.c"

#include "alone.h"

/* ---- the machine, and what the rest of the kernel is here ---- */

struct acpi acpi;
struct percpu percpus[AEGIS_CPUS];
uint64_t time_apic_mult;
static sigjmp_buf out;
static bool halted;
static uint64_t msrs[0x1000], msr_writes;
static uint32_t me, pending;
static uint8_t local_apic[4096], io_apics[2][64] __attribute__((aligned(16)));
static char logged[4096];

static void
fault(int number, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	const uint8_t *code = (const uint8_t *)*rip;
	bool prefix = (*code & 0xf0) == 0x40;

	(void)info;
	if (*code == 0xfa) { /* cli */
		++*rip;
	} else if (code[prefix] == 0x0f && code[prefix + 1] == 0x20) { /* from a control register */
		*rip += 3 + prefix;
	} else if (*code == 0xf4 ||
		   (code[prefix] == 0x0f && code[prefix + 1] == 0x01)) { /* hlt, lidt */
		halted = true;
		siglongjmp(out, 1);
	} else {
		signal(number, SIG_DFL);
	}
}

static uint64_t
rdmsr(uint32_t msr)
{
	return msrs[msr & 0xfff];
}

static void
wrmsr(uint32_t msr, uint64_t value)
{
	msrs[msr & 0xfff] = value;
	msr_writes++;
}

void *
mmu_device(uint64_t address, uint64_t size)
{
	(void)size;
	return address == 0xfee00000 ? local_apic : io_apics[address >> 12 & 1];
}

uint32_t
machine_cpu(void)
{
	return me;
}

uint64_t
machine_tsc(void)
{
	return 1000000;
}

void
machine_relax(void)
{
	if (pending && --pending == 0)
		*(uint32_t *)(local_apic + APIC_COMMAND) = 0;
}

void
lock_acquire(struct lock *l)
{
	EXPECT(!l->held);
	l->held = 1;
}

void
lock_release(struct lock *l)
{
	EXPECT(l->held);
	l->held = 0;
}

void
log_print(const char *format, ...)
{
	size_t n = strlen(logged);
	va_list args;

	va_start(args, format);
	vsnprintf(logged + n, sizeof(logged) - n, format, args);
	va_end(args);
}

void
log_unlock_forever(void)
{
}

void
trace_dump(uint32_t n)
{
	EXPECT(n == TRACE_TAIL);
	log_print("trace\n");
}

/* ---- interrupt controllers ---- */

static uint32_t
local(uint32_t reg)
{
	return *(volatile uint32_t *)(local_apic + reg);
}

static void
apic_start(void)
{
	memset(local_apic, 0, sizeof(local_apic));
	memset(io_apics, 0, sizeof(io_apics));
	ready = false;
	msrs[0x1b] = 0xfee00000;
	acpi = (struct acpi){.ioapic_count = 2, .ioapics = {{0xfec00000, 0}, {0xfec01000, 24}}};
	for (uint32_t i = 0; i < AEGIS_IRQS; i++)
		acpi.lines[i].line = i;
	acpi.lines[0].line = 2;
	acpi.lines[5] = (struct acpi_line){30, true, true};
	acpi.lines[6].line = 99;
	*(uint32_t *)(io_apics[0] + 16) = 23u << 16; /* what its version register reads as */
	*(uint32_t *)(io_apics[1] + 16) = 23u << 16;
	apic_init();
	for (int i = 0; i < 2; i++)
		ioapic_lines[i] = 24; /* the model has one register for all */
	apic_enable();
}

static void
local_controllers(void)
{
	*(uint32_t *)local_apic = 0;
	apic_start();
	EXPECT(registers == local_apic && local(APIC_SPURIOUS) == (APIC_ENABLE | VECTOR_SPURIOUS));
	EXPECT(local(APIC_LVT_TIMER) == VECTOR_TIMER && local(APIC_LVT_0) == LVT_MASKED);
	*(uint32_t *)(local_apic + APIC_ID) = 7u << 24;
	EXPECT(apic_id() == 7);
	percpus[1].apic_id = 9;
	*(uint32_t *)(local_apic + APIC_COMMAND) = COMMAND_PENDING;
	pending = 3;
	machine_ipi(1);
	EXPECT(!pending && local(APIC_COMMAND) == (COMMAND_FIXED | VECTOR_IPI));
	EXPECT(local(APIC_COMMAND_TO) == 9u << 24);
	apic_stop_others();
	EXPECT(local(APIC_COMMAND) == (COMMAND_OTHERS | COMMAND_NMI));
	apic_timer_start(55);
	EXPECT(local(APIC_TIMER_INITIAL) == 55);
	*(uint32_t *)(local_apic + APIC_COMMAND) = 0;
	ready = false;
	apic_stop_others(); /* nobody to stop yet */
	EXPECT(!local(APIC_COMMAND) && (msrs[0x1b] & APIC_BASE_ENABLE));
	msrs[0x1b] |= APIC_BASE_X2;
	atomic_store(&power_panicked, 0);
	halted = false;
	if (!sigsetjmp(out, 1))
		apic_init();
	EXPECT(halted && strstr(logged, "no registers in memory"));
	atomic_store(&power_panicked, 0);
	result("local controllers");
}

static void
timers(void)
{
	apic_start();
	time_apic_mult = 1ul << 31; /* a tick for two of the processor */
	machine_timer(UINT64_MAX);
	EXPECT(local(APIC_TIMER_INITIAL) == 0);
	machine_timer(1000000 + 600);
	EXPECT(local(APIC_TIMER_INITIAL) == 300);
	machine_timer(5); /* gone by: at once */
	EXPECT(local(APIC_TIMER_INITIAL) == 1);
	machine_timer(1ul << 50);
	EXPECT(local(APIC_TIMER_INITIAL) == 0x7fffffff);
	time_apic_mult = 1ul << 32;
	machine_timer(1ul << 50);
	EXPECT(local(APIC_TIMER_INITIAL) == UINT32_MAX);
	time_apic_mult = 1;
	machine_timer(1000000 + 600);
	EXPECT(local(APIC_TIMER_INITIAL) == 1);
	result("timers");
}

static void
legacy_lines(void)
{
	apic_start();
	EXPECT(machine_irq_open(AEGIS_IRQS) == AEGIS_NO_SUCH);
	EXPECT(machine_irq_open(2) == AEGIS_NO_SUCH);
	EXPECT(machine_irq_open(6) == AEGIS_NO_SUCH); /* no controller has it */
	percpus[0].apic_id = 4;
	EXPECT(machine_irq_open(5) == AEGIS_OK);
	EXPECT(*(uint32_t *)io_apics[1] == 0x11 + 2 * 6 &&
	       *(uint32_t *)(io_apics[1] + 16) == 4u << 24);
	*(uint32_t *)(io_apics[1] + 16) = REDIRECT_MASKED | 0x35;
	machine_irq_mask(5, false);
	EXPECT(*(uint32_t *)(io_apics[1] + 16) == 0x35);
	machine_irq_mask(5, true);
	EXPECT(*(uint32_t *)(io_apics[1] + 16) == (REDIRECT_MASKED | 0x35));
	machine_irq_mask(6, false);
	machine_irq_mask(AEGIS_IRQS, false);
	EXPECT(*(uint32_t *)(io_apics[1] + 16) == (REDIRECT_MASKED | 0x35));
	EXPECT(machine_irq_open(0) == AEGIS_OK && *(uint32_t *)io_apics[0] == 0x11 + 2 * 2);
	result("legacy lines");
}

/* ---- the way out ---- */

static uint32_t exit_port, exit_code;

uint64_t
option_number(const char *name, uint64_t otherwise)
{
	EXPECT(strcmp(name, "exit") == 0 && otherwise == 0);
	return exit_port;
}

static void
outb(uint16_t port, uint8_t value)
{
	if (exit_port && port == exit_port)
		exit_code = value;
}

static void
power_off(uint32_t code)
{
	exit_code = 0;
	halted = false;
	if (!sigsetjmp(out, 1))
		machine_off(code);
	EXPECT(halted);
}

static void
ways_out(void)
{
	power_off(9);
	EXPECT(!exit_code); /* nobody said how: a fault without descriptors */
	exit_port = 0x501;
	power_off(9);
	EXPECT(exit_code == 9);
	exit_port = 0;
	result("ways out");
}

/* ---- last words ---- */

static uint64_t stack[64][2] __attribute__((aligned(16)));
static uint64_t unreadable;

bool
mmu_readable(uint64_t va)
{
	return va != unreadable;
}

static uint32_t
addresses_told(void)
{
	uint32_t n = 0;

	for (const char *p = logged; (p = strstr(p, "      00000")); p++)
		n++;
	return n;
}

static void
panic_with(const struct regs *regs)
{
	logged[0] = 0;
	halted = false;
	atomic_store(&power_panicked, 0);
	if (!sigsetjmp(out, 1))
		machine_panic("a reason", regs);
	EXPECT(halted);
}

static void
last_words(void)
{
	struct regs regs = {.vector = 14, .rip = 0x2042, .cs = 8, .rbp = (uint64_t)stack[0]};

	for (uint32_t i = 0; i < 64; i++) {
		stack[i][0] = (uint64_t)stack[i + 1 < 64 ? i + 1 : 0];
		stack[i][1] = 0x2001;
	}
	panic_with(&regs);
	EXPECT(strstr(logged, "panic: a reason (processor 0)") && strstr(logged, "vector 14"));
	EXPECT(strstr(logged, "  rip 0000000000002042\n") && strstr(logged, "trace\n"));
	EXPECT(addresses_told() == FRAMES);
	stack[3][0] = (uint64_t)stack[3];
	panic_with(&regs);
	EXPECT(addresses_told() == 4);
	stack[2][0] |= 4;
	panic_with(&regs);
	EXPECT(addresses_told() == 3);
	stack[2][0] = 0x100;
	panic_with(&regs);
	EXPECT(addresses_told() == 3);
	stack[2][0] = UINT64_MAX - 7;
	panic_with(&regs);
	EXPECT(addresses_told() == 3);
	stack[2][0] = (uint64_t)stack[3];
	unreadable = (uint64_t)stack[3];
	panic_with(&regs);
	EXPECT(addresses_told() == 3);
	unreadable = (uint64_t)stack[3] + 8;
	panic_with(&regs);
	EXPECT(addresses_told() == 3);
	regs.rip = 0x400000;
	regs.cs = 0x33; /* user mode: its stack is not looked at */
	unreadable = (uint64_t)stack[0];
	panic_with(&regs);
	EXPECT(strstr(logged, "cs 33"));
	panic_with(NULL);
	EXPECT(!strstr(logged, "vector"));
	logged[0] = 0;
	halted = false;
	if (!sigsetjmp(out, 1)) /* in the middle of a panic: off, without a word */
		machine_panic("again", NULL);
	EXPECT(halted && !logged[0]);
	me = 1;
	halted = false;
	if (!sigsetjmp(out, 1)) /* while another processor panics */
		machine_panic("too", NULL);
	EXPECT(halted && !logged[0]);
	me = 0;
	result("last words");
}

int
main(void)
{
	struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, NULL);
	local_controllers();
	timers();
	legacy_lines();
	ways_out();
	last_words();
	return results_end();
}
