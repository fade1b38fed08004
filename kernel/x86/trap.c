/* SPDX-License-Identifier: MIT */
/*
 * Vectors, and what becomes of each.
 *
 * Owns: the interrupt descriptor table, one for all processors.
 *
 * 1. Every gate is an interrupt gate.  User code reaches 3 and 4 by INT n; every other INT n is
 * #GP.
 * 2. An exception in user mode is the environment's, whatever it is, except NMI, #DF and #MC.
 * 3. An exception in the kernel is a panic, with two exceptions: #DB, which user code can leave
 *    pending across an entry, and a fault of the iretq that enters user mode, which is the user's.
 * 4. An interrupt in kernel mode comes from machine_idle, and the handlers get NULL for registers.
 *    Before its release a processor only acknowledges interrupts.
 * 5. Whatever the rest of the kernel makes of user registers, they go back with user selectors and
 *    flags (MACHINE_FLAGS_MASK).
 */
#include "x86.h"

#define VECTORS      256u
#define GATE         0x8eul
#define GATE_USER    0xeeul
#define STUB_SIZE    16u
#define DR6_CLEAR    0xffff0ff0ul
#define FLAG_TF      (1ul << 8)
#define FLAGS_FIXED  0x202ul
#define CAUSE_NMI    2u
#define CAUSE_DOUBLE 8u
#define CAUSE_CHECK  18u

extern uint8_t trap_stubs[], trap_iretq[];
extern const uint64_t clac_begin[], clac_end[], pkru_begin[], pkru_end[]; /* kernel.ld */

#define PIN(type, member, at) _Static_assert(offsetof(type, member) == (at), "asm.h")
PIN(struct percpu, local, PERCPU_LOCAL);
PIN(struct env, fast, 0);
PIN(struct percpu, caller, PERCPU_CALLER);
PIN(struct percpu, sender, PERCPU_SENDER);
PIN(struct aegis_area, defer, 0);
_Static_assert(sizeof(struct aegis_trace_rec) == 32, "entry.S");
_Static_assert(sizeof(struct counter_def) == sizeof(uint64_t), "a counter beside its definition");
_Static_assert(AEGIS_FRAME_SIZE == 256 && MACHINE_FLAGS_USER == 0x202, "entry.S");
_Static_assert(USER_CS == MACHINE_USER_CS && USER_SS == MACHINE_USER_SS, "asm.h");
_Static_assert(AEGIS_CALL_pct_send == AEGIS_CALL_pct_call + 1, "entry.S");
_Static_assert(AEGIS_CALL_pct_return == AEGIS_CALL_pct_call + 2, "entry.S");
_Static_assert(AEGIS_STATE_RUNNING == 2 && AEGIS_STATE_SLEEPING == 3, "entry.S");
_Static_assert(MACHINE_FLAGS_MASK == 0x244dd5, "entry.S");
_Static_assert(AEGIS_CAUSE_SYSCALL == 32, "entry.S");

static struct {
	uint64_t low, high;
} table[VECTORS] __attribute__((aligned(4096)));

static void
gate_set(uint32_t vector, uint64_t type, uint64_t ist)
{
	uint64_t stub = (uint64_t)trap_stubs + vector * STUB_SIZE;

	table[vector].low = (stub & 0xffff) | (uint64_t)KERNEL_CS << 16 | ist << 32 | type << 40 |
			    (stub >> 16 & 0xffff) << 48;
	table[vector].high = stub >> 32;
}

/*
 * Before SMAP there is no CLAC, and before protection keys neither RDPKRU nor WRPKRU: no-operations, but
 * for RDPKRU xor %eax,%eax; cltd.  The text is still writable: mmu_init comes later.
 */
static void
sites_patch(const uint64_t *at, const uint64_t *end, bool offered)
{
	for (; !offered && at < end; at++) {
		uint8_t *site = (uint8_t *)*at;

		memcpy(site, site[2] == 0xee ? "\x31\xc0\x99" : "\x0f\x1f\x00", 3);
	}
}

void
trap_counters(void)
{
	uint32_t pages = system_page->trace_pages;

	for (uint32_t i = 0; i < x86_cpus; i++) {
		struct percpu *p = &percpus[i];

		p->counters = (uint64_t)counters[i] - (uint64_t)counter_defs_begin;
		p->trace = machine_frame(system_page->trace_frame + i * pages);
	}
}

void
trap_init(void)
{
	for (uint32_t i = 0; i < VECTORS; i++)
		gate_set(i,
			 i == AEGIS_CAUSE_BREAKPOINT || i == AEGIS_CAUSE_OVERFLOW ? GATE_USER
										  : GATE,
			 0);
	gate_set(AEGIS_CAUSE_DEBUG, GATE, IST_DEBUG);
	gate_set(CAUSE_NMI, GATE, IST_NMI);
	gate_set(CAUSE_DOUBLE, GATE, IST_DOUBLE);
	gate_set(CAUSE_CHECK, GATE, IST_CHECK);
	sites_patch(clac_begin, clac_end, feature_offered('b', 7, 0, 20));
	sites_patch(pkru_begin, pkru_end, feature_offered('c', 7, 0, 3));
}

void
trap_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(table) - 1, (uint64_t)table};

	__asm__ volatile("lidt %0" ::"m"(idtr));
}

/* regs NULL: the processor was idle. */
static void
interrupt(uint32_t vector, struct regs *regs)
{
	if (vector == VECTOR_SPURIOUS)
		return;
	if (!percpu()->released) {
		apic_end();
		return;
	}
	if (vector == VECTOR_TIMER) {
		apic_end(); /* before, because they need not return */
		trap_timer(regs);
		return;
	}
	if (vector == VECTOR_CHAN)
		virtio_console_interrupt();
	else if (vector >= VECTOR_LINES && vector < VECTOR_LINES + AEGIS_IRQS)
		irq_raise(vector - VECTOR_LINES); /* masks the line */
	else if (vector < VECTOR_LINES)
		return; /* of the legacy controller, masked: only ever spurious */
	apic_end();
	trap_ipi(regs);
}

static uint64_t
fault_address(void)
{
	uint64_t address;

	__asm__ volatile("movq %%cr2, %0" : "=r"(address));
	return address;
}

/* The debug registers are the kernel's (step.c), so only the cause needs to be taken back. */
static void
debug_status_clear(void)
{
	__asm__ volatile("movq %0, %%dr6" ::"r"(DR6_CLEAR));
}

static void
user_checked(struct regs *regs)
{
	regs->cs = USER_CS;
	regs->ss = USER_SS;
	regs->rflags = (regs->rflags & MACHINE_FLAGS_MASK) | FLAGS_FIXED;
}

/* Every way to user mode with all registers. */
static void
user_leave(struct regs *regs)
{
	check_exit();
	user_checked(regs);
	if (__builtin_expect(chaos_stepping, 0))
		step_leave(regs);
}

void
trap_user(struct regs *regs)
{
	transfer_settle();
	if (__builtin_expect(chaos_stepping, 0) && step_enter(regs)) {
		debug_status_clear();
	} else if (regs->vector >= 32) {
		interrupt((uint32_t)regs->vector, regs);
	} else {
		uint64_t address = 0;

		if (regs->vector == AEGIS_CAUSE_PAGE)
			address = fault_address();
		else if (regs->vector == AEGIS_CAUSE_DEBUG)
			debug_status_clear();
		trap_exception(regs, address);
	}
	user_leave(regs);
}

void
trap_kernel(struct regs *regs)
{
	if (regs->vector >= 32)
		interrupt((uint32_t)regs->vector, NULL);
	else
		machine_panic("exception in the kernel", regs);
}

/* iretq could not load what lies at regs->rsp: the user's context, whose registers these still are.
 */
void
trap_iret_fault(struct regs *regs)
{
	const uint64_t *frame = (const uint64_t *)regs->rsp;

	transfer_settle();
	regs->rip = frame[0];
	regs->rflags = frame[2];
	regs->rsp = frame[3];
	regs->vector = AEGIS_CAUSE_PROTECTION;
	regs->error = 0;
	if (chaos_stepping)
		step_enter(regs);
	user_checked(regs);
	trap_exception(regs, 0);
	user_leave(regs);
}

void
trap_ist(struct regs *regs)
{
	switch (regs->vector) {
	case AEGIS_CAUSE_DEBUG:
		debug_status_clear();
		regs->rflags &= ~FLAG_TF;
		return;
	case CAUSE_NMI:
		/* A processor that panics stops the others by it; any other is nobody's. */
		while (atomic_load(&power_panicked))
			__asm__ volatile("cli; hlt");
		return;
	case CAUSE_DOUBLE:
		machine_panic("double fault (kernel stack exhausted?)", regs);
	default:
		machine_panic("machine check", regs);
	}
}

_Noreturn void
machine_enter_regs(const struct regs *from)
{
	struct regs regs = *from;

	user_leave(&regs);
	trap_leave(&regs);
}
