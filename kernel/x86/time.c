/* SPDX-License-Identifier: MIT */
/*
 * Clocks: how fast the time-stamp counter and the APIC's timer run, and what time it is outside.
 *
 * The TSC's frequency is CPUID's where it is stated there, else it is measured against the ACPI
 * timer or, without one, the second channel of the interval timer, over CALIBRATE_US.  Each reading
 * is the tightest of several pairs, because an emulator can be interrupted between the two
 * instructions.
 */
#include "x86.h"

#define CALIBRATE_US 4000u
#define ACPI_HZ      3579545ul
#define PIT_HZ       1193182ul
#define GUESS_HZ     1000000000ul
#define READINGS     8

uint64_t time_apic_mult = 1ul << 32;
bool time_deadline;

static uint64_t tsc_hz;
static uint64_t wall_ns; /* at tsc_wall */
static uint64_t tsc_wall;

uint64_t
machine_tsc_hz(void)
{
	return tsc_hz;
}

void
time_delay(uint64_t us)
{
	uint64_t end = machine_tsc() + us * (tsc_hz / 1000000);

	while (machine_tsc() < end)
		machine_relax();
}

/* ---- references: counts at a known rate, read with the TSC ---- */

static uint64_t
reference_acpi(void)
{
	return inl((uint16_t)acpi.timer_port);
}

/* Counts down from 65535; latched, low byte first. */
static uint64_t
reference_pit(void)
{
	uint32_t low, high;

	outb(0x43, 0x80);
	low = inb(0x42);
	high = inb(0x42);
	return 0xffff - (high << 8 | low);
}

struct reading {
	uint64_t reference, tsc;
	uint32_t apic;
};

static struct reading
read_tight(uint64_t (*reference)(void))
{
	struct reading best = {0};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		uint64_t before = machine_tsc();
		uint64_t value = reference();
		uint64_t after = machine_tsc();
		uint32_t apic = apic_timer_count();

		if (after - before < least) {
			least = after - before;
			best = (struct reading){value, after, apic};
		}
	}
	return best;
}

static bool
measure(uint64_t (*reference)(void), uint64_t hz, uint64_t mask, uint64_t *apic_hz)
{
	uint64_t want = hz * CALIBRATE_US / 1000000;
	uint64_t limit = machine_tsc() + (1ul << 28); /* a reference that stands still */
	struct reading first, last;
	uint64_t ticks;

	apic_timer_start(UINT32_MAX);
	first = read_tight(reference);
	do {
		last = read_tight(reference);
		ticks = (last.reference - first.reference) & mask;
		if (machine_tsc() > limit)
			return false;
	} while (ticks < want);
	apic_timer_start(0);
	tsc_hz = (last.tsc - first.tsc) * hz / ticks;
	*apic_hz = (uint64_t)(first.apic - last.apic) * hz / ticks;
	return true;
}

static bool
measure_pit(uint64_t *apic_hz)
{
	uint8_t gate = inb(0x61);
	bool measured;

	outb(0x61, (gate & ~2) | 1); /* counts, the speaker stays off */
	outb(0x43, 0xb4);            /* channel 2, both bytes, rate generator */
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	measured = measure(reference_pit, PIT_HZ, 0xffff, apic_hz);
	outb(0x61, gate);
	return measured;
}

/* Frequencies that the processor or the hypervisor states. */
static uint64_t
stated_hz(void)
{
	struct cpuid r;

	if (cpuid(0, 0).a >= 0x15) {
		r = cpuid(0x15, 0);
		if (r.a && r.b && r.c)
			return (uint64_t)r.c * r.b / r.a;
	}
	if (feature_offered('c', 1, 0, 31) && cpuid(0x40000000, 0).a >= 0x40000010) {
		r = cpuid(0x40000010, 0);
		if (r.a)
			return (uint64_t)r.a * 1000;
	}
	return 0;
}

/* ---- the time of day ---- */

static uint8_t
rtc_read(uint8_t reg)
{
	outb(0x70, reg | 0x80); /* NMI stays masked meanwhile; it is of no use here */
	return inb(0x71);
}

/* Days since 1970 of a date of the Gregorian calendar. */
static uint64_t
days_of(uint32_t year, uint32_t month, uint32_t day)
{
	uint32_t y = month <= 2 ? year - 1 : year;
	uint32_t m = month <= 2 ? month + 9 : month - 3;

	return 365ul * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* Seconds, minutes, hours, day, month, year, century. */
static void
wall_read(void)
{
	const uint8_t regs[] = {0, 2, 4, 7, 8, 9, acpi.century};
	uint8_t a[sizeof(regs)] = {0}, b[sizeof(regs)], mode;
	bool afternoon;
	uint32_t year;

	if (acpi.rtc_absent)
		return;
	for (int tries = 0;; tries++) {
		for (size_t i = 0; i < sizeof(regs); i++)
			b[i] = rtc_read(regs[i]);
		if (!(rtc_read(10) & 0x80) && memcmp(a, b, sizeof(a)) == 0)
			break;
		if (tries == 10000)
			return;
		memcpy(a, b, sizeof(a));
	}
	mode = rtc_read(11);
	outb(0x70, 0); /* NMI on again */
	afternoon = a[2] & 0x80;
	a[2] &= 0x7f;
	for (size_t i = 0; i < sizeof(a) && !(mode & 4); i++)
		a[i] = (uint8_t)((a[i] >> 4) * 10 + (a[i] & 15));
	if (!(mode & 2))
		a[2] = a[2] % 12 + (afternoon ? 12 : 0);
	year = (acpi.century && a[6] >= 19 ? a[6] : 20) * 100u + a[5];
	if (year < 1970 || a[4] - 1u > 11)
		return;
	tsc_wall = machine_tsc();
	wall_ns = ((days_of(year, a[4], a[3]) * 24 + a[2]) * 60 + a[1]) * 60 + a[0];
	wall_ns *= 1000000000ul;
}

uint64_t
machine_wall_ns(void)
{
	uint64_t ticks = machine_tsc() - tsc_wall;

	if (!wall_ns)
		return 0;
	return wall_ns + ticks / tsc_hz * 1000000000ul + ticks % tsc_hz * 1000000000ul / tsc_hz;
}

void
time_init(void)
{
	uint64_t stated = stated_hz();
	uint64_t apic_hz = 0;
	bool measured = false;

	tsc_hz = GUESS_HZ;
	if (acpi.timer_port)
		measured = measure(reference_acpi, ACPI_HZ, acpi.timer_wide ? 0xffffffff : 0xffffff,
				   &apic_hz);
	if (!measured)
		measured = measure_pit(&apic_hz);
	if (stated)
		tsc_hz = stated;
	if (!measured || !apic_hz) {
		log_print("time: no reference clock, timers may be wrong\n");
		apic_hz = tsc_hz;
	}
	time_apic_mult = (apic_hz << 32) / tsc_hz;
	time_deadline = feature_offered('c', 1, 0, 24);
	if (time_deadline)
		apic_enable();
	wall_read();
}
