/* SPDX-License-Identifier: MIT */
/*
 * Clocks: how fast the time-stamp counter and the APIC's timer run.
 *
 * Both are measured against the second channel of the interval timer, which every PC has, over
 * CALIBRATE_US.  Each reading is the tightest of several pairs, because an emulator can be interrupted
 * between two instructions; the timer wraps in less time than a processor may stand still, so that only
 * what two measurements agree about is believed.
 */
#include "x86.h"

#define CALIBRATE_US 2000u
#define PIT_HZ       1193182ul
#define GUESS_HZ     1000000000ul
#define READINGS     8
#define TRIES        16

uint64_t time_apic_mult;

static uint64_t tsc_hz = GUESS_HZ, apic_hz = GUESS_HZ;

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

struct reading {
	uint64_t tsc;
	uint32_t apic;
	uint16_t pit; /* counts down from 65535 */
};

static struct reading
read_tight(void)
{
	struct reading best = {0};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		uint64_t before = machine_tsc(), after;
		uint32_t low, high;

		outb(0x43, 0x80); /* latched: low byte first */
		low = inb(0x42);
		high = inb(0x42);
		after = machine_tsc();
		if (after - before < least) {
			least = after - before;
			best = (struct reading){after, apic_timer_count(),
						(uint16_t)(high << 8 | low)};
		}
	}
	return best;
}

/* False: the timer stands still. */
static bool
measure(void)
{
	uint64_t limit = machine_tsc() + (1ul << 28);
	struct reading first = read_tight(), last;
	uint16_t ticks;

	do {
		last = read_tight();
		ticks = (uint16_t)(first.pit - last.pit);
		if (machine_tsc() > limit)
			return false;
	} while (ticks < PIT_HZ * CALIBRATE_US / 1000000);
	tsc_hz = (last.tsc - first.tsc) * PIT_HZ / ticks;
	apic_hz = (uint64_t)(first.apic - last.apic) * PIT_HZ / ticks;
	return true;
}

void
time_init(void)
{
	uint8_t gate = inb(0x61);

	outb(0x61, (gate & ~2) | 1); /* counts, the speaker stays off */
	outb(0x43, 0xb4);            /* channel 2, both bytes, rate generator */
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	apic_timer_start(UINT32_MAX);
	for (int i = 0; i < TRIES; i++) {
		uint64_t before = tsc_hz;

		if (!measure()) {
			log_print("time: no reference clock, timers may be wrong\n");
			break;
		}
		if (i && tsc_hz - before + tsc_hz / 64 <= tsc_hz / 32)
			break;
	}
	apic_timer_start(0);
	outb(0x61, gate);
	time_apic_mult = (apic_hz << 32) / tsc_hz;
}
