/* SPDX-License-Identifier: MIT */
/* The second serial port driven from user space: claimed ports, a claimed line, and who gets neither. */
#include "guest.h"

#define PORT    0x2f8u
#define LINE    3u
#define DATA    (PORT + 0)
#define ENABLE  (PORT + 1)
#define FIFO    (PORT + 2)
#define CONTROL (PORT + 3)
#define MODEM   (PORT + 4)
#define STATUS  (PORT + 5)
#define SCRATCH (PORT + 7)

static uint8_t
in8(uint32_t port)
{
	uint8_t value;

	__asm__ volatile("inb %w1, %0" : "=a"(value) : "d"(port));
	return value;
}

static void
out8(uint32_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %w1" ::"a"(value), "d"(port));
}

static int64_t
try_in(uint64_t port)
{
	return in8((uint32_t)port);
}

static int64_t
try_out(uint64_t port)
{
	out8((uint32_t)port, 0);
	return 0;
}

/* Neither the kernel's own ports nor those through which a device could be made to access memory. */
TEST(irq_ports_refused)
{
	static const uint16_t refused[] = {0x00,  0x08,  0x20,  0x21,   0x40,  0x60,  0x64,
					   0x70,  0x80,  0x87,  0xa0,   0xc0,  0xd0,  0x1f0,
					   0x3f2, 0x3f8, 0x4d0, 0x501,  0x510, 0x514, 0x600,
					   0xcf8, 0xcf9, 0xcfc, 0xc000, 0xffff};

	for (uint32_t i = 0; i < sizeof(refused) / 2; i++) {
		check_is(aegis_io_claim(CAP, refused[i], 1), AEGIS_DENIED);
		check_is(fault_of(try_in, refused[i]), AEGIS_CAUSE_PROTECTION);
		check_is(fault_of(try_out, refused[i]), AEGIS_CAUSE_PROTECTION);
	}
	check_is(aegis_io_claim(CAP, 0x2f0, 16), AEGIS_DENIED);
	check_is(aegis_io_claim(CAP, PORT, 0), AEGIS_BAD_ARG);
	check_is(aegis_io_claim(CAP, PORT, 65), AEGIS_BAD_ARG);
	check_is(aegis_io_claim(CAP, 65536, 1), AEGIS_BAD_ARG);
	check_is(aegis_io_claim(CAP, 65535, 2), AEGIS_BAD_ARG);
	check_is(aegis_io_claim(CAP, 0xffffffff, 2), AEGIS_BAD_ARG);
	check_is(aegis_io_claim(CAP, PORT, 0xffffffff), AEGIS_BAD_ARG);
	check_is(aegis_irq_claim(CAP, AEGIS_IRQS), AEGIS_BAD_ARG);
	check_is(aegis_irq_claim(CAP, 0xffffffff), AEGIS_BAD_ARG);
	check_is(aegis_irq_ack(AEGIS_IRQS), AEGIS_BAD_ARG);
	check_is(aegis_irq_ack(5), AEGIS_NOT_HELD);
}

static volatile uint32_t phase, present;

static void
serial_open(void)
{
	require_is(aegis_io_claim(CAP, PORT, 8), AEGIS_OK);
	out8(SCRATCH, 0xa5);
	present = in8(SCRATCH) == 0xa5;
	out8(ENABLE, 0);
	out8(CONTROL, 0x83);
	out8(DATA, 1);
	out8(ENABLE, 0);
	out8(CONTROL, 3);
	out8(FIFO, 7);
	out8(MODEM, 0x10); /* loopback: what is sent is received */
}

static int64_t
driver(uint64_t rounds)
{
	volatile struct guest *g = self();

	serial_open();
	if (!present)
		return 0;
	for (uint32_t i = 0; i < 64; i++) {
		out8(DATA, (uint8_t)(i * 7));
		for (uint32_t n = 0; n < 100000 && !(in8(STATUS) & 1); n++)
			relax();
		check_is(in8(DATA), (uint8_t)(i * 7));
	}
	require_is(aegis_irq_claim(CAP, LINE), AEGIS_OK);
	check_is(aegis_irq_claim(CAP, LINE), AEGIS_IN_USE);
	out8(ENABLE, 1); /* an interrupt when a byte has come */
	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t irqs = g->irqs, events = env_page(self())->events;
		uint64_t end = tsc() + ticks(2000000000);

		out8(DATA, (uint8_t)(i + 1));
		for (;;) {
			uint32_t seen = env_page(self())->events;

			if (g->irqs != irqs || tsc() >= end)
				break;
			guest_sleep_on(seen, end, 0);
		}
		if (g->irqs == irqs) {
			check(!"no interrupt came");
			break;
		}
		check(env_page(self())->events != events);
		check(env_page(self())->irqs & (1u << LINE));
		check_is(in8(DATA), (uint8_t)(i + 1));
		check_is(aegis_irq_ack(LINE), AEGIS_OK);
		check(!(env_page(self())->irqs & (1u << LINE)));
	}
	out8(ENABLE, 0);
	phase = 1;
	while (phase == 1)
		rest(500000);
	return 0;
}

TEST(irq_serial)
{
	struct child *c;

	phase = present = 0;
	c = spawn_on(driver, 50, SYSTEM->cpus - 1, SPAWN_SPACE);
	for (uint32_t i = 0; i < 2000 && !phase && !c->g->done; i++)
		rest(2000000);
	if (!present && c->g->done) {
		child_join(c);
		skip("no second serial port");
	}
	require_is(phase, 1);
	check_is(c->g->irqs, 50);
	/* Others have neither the ports nor the line, here or on its processor. */
	check_is(aegis_io_claim(CAP, PORT + 3, 1), AEGIS_IN_USE);
	check_is(aegis_irq_claim(CAP, LINE), AEGIS_IN_USE);
	check_is(aegis_irq_ack(LINE), AEGIS_NOT_HELD);
	check_is(fault_of(try_in, PORT), AEGIS_CAUSE_PROTECTION);
	phase = 2;
	child_join(c);
	/* With its end they are free. */
	phase = 0;
	c = spawn_on(driver, 2, 0, 0);
	require(wait_for(&phase, 1));
	phase = 2;
	child_join(c);
}

/* ---- ports are the environment's, not the processor's ---- */

static volatile uint32_t open_faults, opened;

static int64_t
opener(uint64_t ends)
{
	if (aegis_io_claim(CAP, 0x2e8, 8) != AEGIS_OK)
		return 1;
	check_is(fault_of(try_in, 0x2e8), NO_FAULT);
	opened++;
	while (!ends && phase == 0)
		guest_yield(AEGIS_ANY);
	return 0;
}

static int64_t
prober(uint64_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		if (fault_of(try_in, 0x2e8) == AEGIS_CAUSE_PROTECTION)
			open_faults++;
		guest_yield(AEGIS_ANY);
	}
	phase = 1;
	return 0;
}

TEST(irq_ports_switch)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *a, *b;

	phase = open_faults = opened = 0;
	a = spawn_on(opener, 0, cpu, 0);
	b = spawn_on(prober, 200, cpu, SPAWN_SPACE);
	child_join(b);
	check_is(open_faults, 200);
	check(opened > 0);
	child_join(a);
	for (uint32_t i = 0; i < 10; i++) {
		/* Its end closes them, too, on the processor where it ended. */
		child_join(spawn_on(opener, 1, cpu, 0));
		phase = open_faults = 0;
		child_join(spawn_on(prober, 1, cpu, 0));
		check_is(open_faults, 1);
	}
}

/* ---- device registers ---- */

TEST(irq_device_frames)
{
	uint32_t space = self()->space;

	if (frame_bind(CAP, 0xb8, AEGIS_READ | AEGIS_WRITE) != 1)
		skip("no video memory");
	check_is(bind(space, TEST_VA, 0xb8, RW), AEGIS_DENIED);
	check_is(bind(space, TEST_VA, 0xb8, RW | AEGIS_BIND_UNCACHED | AEGIS_BIND_EXEC), AEGIS_WX);
	check_is(bind(space, TEST_VA, 0xb8, RW | AEGIS_BIND_UNCACHED), 1);
	check_is(probe_read(TEST_VA), NO_FAULT);
	unbind(space, TEST_VA, 1);
	frame_put(0xb8);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	check_is(frame_bind(1, 0xb8, AEGIS_READ), AEGIS_DENIED);
	check_is(aegis_cap_drop(1), AEGIS_OK);
}
