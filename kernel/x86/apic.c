/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers.
 *
 * Owns: each processor's local APIC, by its registers in memory, the IO APICs, and the legacy
 * controllers, which are silenced.
 *
 * 1. Legacy line n (0..15) is the global line that ACPI's overrides name, edge and high unless they
 * say otherwise; its vector is VECTOR_LINES + n.
 * 2. Entries of the IO APICs are masked but for claimed lines.  ioapic_lock guards the register
 * pair.
 */
#include "x86.h"

#define APIC_BASE_ENABLE (1ul << 11)
#define APIC_BASE_X2     (1ul << 10)
#define APIC_ENABLE      0x100u
#define LVT_MASKED       0x10000u
#define COMMAND_PENDING  0x1000u
#define COMMAND_FIXED    0x4000u
#define COMMAND_NMI      0x4400u
#define COMMAND_OTHERS   0xc0000u
#define REDIRECT_MASKED  0x10000u
#define REDIRECT_LEVEL   0x8000u
#define REDIRECT_LOW     0x2000u

enum {
	APIC_ID = 0x20,
	APIC_PRIORITY = 0x80,
	APIC_END = 0xb0,
	APIC_SPURIOUS = 0xf0,
	APIC_COMMAND = 0x300,
	APIC_COMMAND_TO = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_0 = 0x350,
	APIC_LVT_1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

static volatile uint8_t *registers;
static bool ready;
static struct lock ioapic_lock;
static volatile uint32_t *ioapics[IOAPICS];
static uint32_t ioapic_lines[IOAPICS];

static uint32_t
apic_read(uint32_t reg)
{
	return *(volatile uint32_t *)(registers + reg);
}

static void
apic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(registers + reg) = value;
}

uint32_t
apic_id(void)
{
	return apic_read(APIC_ID) >> 24;
}

void
apic_end(void)
{
	apic_write(APIC_END, 0);
}

void
apic_send(uint32_t to, uint32_t command)
{
	while (apic_read(APIC_COMMAND) & COMMAND_PENDING)
		machine_relax();
	apic_write(APIC_COMMAND_TO, to << 24);
	apic_write(APIC_COMMAND, command);
}

void
machine_ipi(uint32_t cpu)
{
	apic_send(percpus[cpu].apic_id, COMMAND_FIXED | VECTOR_IPI);
}

void
apic_stop_others(void)
{
	if (ready)
		apic_send(0, COMMAND_OTHERS | COMMAND_NMI);
}

void
apic_message(uint32_t vector, uint64_t *address, uint32_t *data)
{
	*address = 0xfee00000ul | (uint64_t)(percpus[0].apic_id & 0xff) << 12;
	*data = vector;
}

/* ---- the timer ---- */

uint32_t
apic_timer_count(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

void
apic_timer_start(uint32_t count)
{
	apic_write(APIC_TIMER_INITIAL, count);
}

void
machine_timer(uint64_t tsc)
{
	uint64_t now, count;

	if (tsc == UINT64_MAX) {
		apic_write(APIC_TIMER_INITIAL, 0);
		return;
	}
	now = machine_tsc();
	count = tsc > now ? tsc - now : 1;
	if (count > UINT32_MAX)
		count = UINT32_MAX; /* early: the kernel looks at the clock and asks again */
	count = count * time_apic_mult >> 32;
	apic_write(APIC_TIMER_INITIAL, count ? (uint32_t)count : 1);
}

/* ---- set-up ---- */

/* Moved away from the exceptions, because a masked one can still be spurious. */
static void
pics_silence(void)
{
	static const uint8_t steps[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},    {0x21, 1},
					   {0x21, 0xff}, {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2},
					   {0xa1, 1},    {0xa1, 0xff}};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		outb(steps[i][0], steps[i][1]);
}

static uint32_t
ioapic_read(uint32_t n, uint32_t reg)
{
	ioapics[n][0] = reg;
	return ioapics[n][4];
}

static void
ioapic_write(uint32_t n, uint32_t reg, uint32_t value)
{
	ioapics[n][0] = reg;
	ioapics[n][4] = value;
}

void
apic_init(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	pics_silence();
	if (base & APIC_BASE_X2)
		panic("boot: the local APIC has no registers in memory");
	registers = mmu_device(base & AEGIS_PTE_FRAME, PAGE);
	for (uint32_t i = 0; i < acpi.ioapic_count; i++) {
		ioapics[i] = mmu_device(acpi.ioapics[i].address, 32);
		ioapic_lines[i] = (ioapic_read(i, 1) >> 16 & 0xff) + 1;
		for (uint32_t line = 0; line < ioapic_lines[i]; line++)
			ioapic_write(i, 0x10 + 2 * line, REDIRECT_MASKED);
	}
}

void
apic_enable(void)
{
	static const uint16_t masked[] = {APIC_LVT_0, APIC_LVT_1, APIC_LVT_ERROR};

	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
	apic_write(APIC_SPURIOUS, APIC_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_PRIORITY, 0);
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		apic_write(masked[i], LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, 0xb); /* by 1 */
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
	percpu()->apic_id = apic_id();
	ready = true;
}

/* ---- legacy lines ---- */

/* IO APIC and its input for a legacy line; false: none. */
static bool
line_find(uint32_t line, uint32_t *n, uint32_t *input)
{
	uint32_t global = acpi.lines[line].line;

	for (*n = 0; *n < acpi.ioapic_count; ++*n) {
		uint32_t base = acpi.ioapics[*n].base;

		if (global >= base && global - base < ioapic_lines[*n]) {
			*input = global - base;
			return true;
		}
	}
	return false;
}

status
machine_irq_open(uint32_t line)
{
	uint32_t n, input;
	uint32_t low = VECTOR_LINES + line;

	/* 2 is how the second controller reached the first: no device has it. */
	if (line >= AEGIS_IRQS || line == 2 || !line_find(line, &n, &input))
		return AEGIS_NO_SUCH;
	low |= REDIRECT_MASKED | (acpi.lines[line].level ? REDIRECT_LEVEL : 0) |
	       (acpi.lines[line].low ? REDIRECT_LOW : 0);
	lock_acquire(&ioapic_lock);
	ioapic_write(n, 0x10 + 2 * input, low);
	ioapic_write(n, 0x11 + 2 * input, percpu()->apic_id << 24);
	lock_release(&ioapic_lock);
	return AEGIS_OK;
}

void
machine_irq_mask(uint32_t line, bool masked)
{
	uint32_t n, input, low;

	if (line >= AEGIS_IRQS || !line_find(line, &n, &input))
		return;
	lock_acquire(&ioapic_lock);
	low = ioapic_read(n, 0x10 + 2 * input);
	low = masked ? low | REDIRECT_MASKED : low & ~REDIRECT_MASKED;
	ioapic_write(n, 0x10 + 2 * input, low);
	lock_release(&ioapic_lock);
}
