/* SPDX-License-Identifier: MIT */
/*
 * What the machine says of itself: tables of the firmware and clocks, right and damaged, read by the kernel's
 * own source. Each table is handed out as a copy of exactly its size, so that the sanitizer sees a byte too
 * far; the time is that of a processor which counts when it is asked. Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ports of the machine are functions of this file. */
#define outb machine_outb
#define inb  machine_inb
#include "kernel/x86/asm.h"
#include "kernel/x86/x86.h"
#undef outb
#undef inb
static void outb(uint16_t port, uint8_t value);
static uint8_t inb(uint16_t port);

#include "kernel/x86/acpi.c"
#include "kernel/x86/time.c"

#include "alone.h"

/* ---- what the rest of the kernel is here ---- */

static uint32_t log_lines;

void
log_print(const char *format, ...)
{
	(void)format;
	log_lines++;
}

void
machine_relax(void)
{
}

#define FIRMWARE (1u << 17)
#define RSDP     0x1000u
#define ROOT     0x2000u
#define MADT     0x3000u
#define OTHER    0x4000u
static uint8_t firmware[FIRMWARE]; /* its physical memory, from 0 */
static void *copies[4096];
static uint32_t copy_count;

const void *
mmu_firmware(uint64_t address, uint64_t size)
{
	uint32_t length = 0;
	uint8_t *copy;

	/* The rest of a table whose header is asked for is mapped with it, if it lies in the same page. */
	if (size == HEADER && address != RSDP && address + 8 <= FIRMWARE)
		memcpy(&length, firmware + address + 4, 4);
	if (length > size && (address & (PAGE - 1)) + length <= PAGE)
		size = length;
	copy = calloc(1, size);
	if (address < FIRMWARE)
		memcpy(copy, firmware + address,
		       size < FIRMWARE - address ? size : FIRMWARE - address);
	copies[copy_count++] = copy;
	return copy;
}

static void
copies_free(void)
{
	while (copy_count)
		free(copies[--copy_count]);
}

/* ---- tables ---- */

static void
put32(uint8_t *p, uint32_t value)
{
	memcpy(p, &value, 4);
}

static void
put64(uint8_t *p, uint64_t value)
{
	memcpy(p, &value, 8);
}

static void
sum_fix(uint8_t *p, uint32_t length, uint32_t at)
{
	uint8_t sum = 0;

	p[at] = 0;
	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)-sum;
}

static void
table_make(uint32_t at, const char *name, uint32_t length)
{
	memcpy(firmware + at, name, 4);
	put32(firmware + at + 4, length);
	sum_fix(firmware + at, length, 9);
}

static void
rsdp_make(bool wide)
{
	uint8_t *p = firmware + RSDP;

	memset(p, 0, 36);
	memcpy(p, "RSD PTR ", 8);
	put32(p + 16, ROOT);
	sum_fix(p, 20, 8);
	if (wide) {
		p[15] = 2;
		put32(p + 16, 0);
		put32(p + 20, 36);
		put64(p + 24, ROOT);
		sum_fix(p, 20, 8);
		sum_fix(p, 36, 32);
	}
}

/* The root with these tables, of the other width. */
static void
root_make(bool wide, const uint64_t *tables, uint32_t n)
{
	uint8_t *p = firmware + ROOT;
	uint32_t width = wide ? 8 : 4;

	for (uint32_t i = 0; i < n; i++) {
		if (wide)
			put64(p + HEADER + 8 * i, tables[i]);
		else
			put32(p + HEADER + 4 * i, (uint32_t)tables[i]);
	}
	table_make(ROOT, wide ? "XSDT" : "RSDT", HEADER + n * width);
}

static void
firmware_read(uint64_t rsdp)
{
	acpi = (struct acpi){0};
	acpi_init(rsdp);
	copies_free();
}

static uint32_t
madt_put(uint32_t at, const uint8_t *entry, uint32_t n)
{
	memcpy(firmware + MADT + at, entry, n);
	return at + n;
}

static void
madt_make(void)
{
	static const uint8_t on[] = {0, 8, 1, 7, 1, 0, 0, 0}, off[] = {0, 8, 2, 9, 0, 0, 0, 0},
			     wide[] = {9, 16, 0, 0, 0x44, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0},
			     next[] = {0, 8, 3, 6, 1, 0, 0, 0},
			     low[] = {2, 10, 0, 5, 20, 0, 0, 0, 0x0f, 0},
			     edge[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0},
			     other_bus[] = {2, 10, 1, 6, 30, 0, 0, 0, 0x0f, 0},
			     far[] = {2, 10, 0, 200, 30, 0, 0, 0, 0x0f, 0},
			     lapic[] = {5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0},
			     ioapic[] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0},
			     small[] = {0, 4, 1, 2}, strange[] = {77, 4, 0, 0};
	uint32_t at = 44;

	memset(firmware + MADT, 0, 0x1000);
	at = madt_put(at, on, sizeof(on));
	at = madt_put(at, off, sizeof(off));
	at = madt_put(at, wide, sizeof(wide));
	at = madt_put(at, next, sizeof(next));
	at = madt_put(at, low, sizeof(low));
	at = madt_put(at, edge, sizeof(edge));
	at = madt_put(at, other_bus, sizeof(other_bus));
	at = madt_put(at, far, sizeof(far));
	at = madt_put(at, lapic, sizeof(lapic));
	for (uint32_t i = 0; i < IOAPICS + 1; i++)
		at = madt_put(at, ioapic, sizeof(ioapic));
	at = madt_put(at, small, sizeof(small));
	at = madt_put(at, strange, sizeof(strange));
	for (uint32_t i = 0; i < AEGIS_CPUS + 2; i++)
		at = madt_put(at, on, sizeof(on));
	table_make(MADT, "APIC", at);
}

static void
machine_make(bool wide)
{
	const uint64_t tables[] = {OTHER, MADT};

	madt_make();
	table_make(OTHER, "FACP", 276);
	root_make(wide, tables, 2);
	rsdp_make(wide);
}

static void
tables_good(void)
{
	for (int wide = 0; wide < 2; wide++) {
		machine_make(wide);
		firmware_read(RSDP);
		EXPECT(acpi.cpus == AEGIS_CPUS);
		EXPECT(acpi.apic_ids[0] == 7 && acpi.apic_ids[1] == 6 && acpi.apic_ids[2] == 7);
		EXPECT(acpi.lines[5].line == 20 && acpi.lines[5].low && acpi.lines[5].level);
		EXPECT(acpi.lines[0].line == 2 && !acpi.lines[0].low && !acpi.lines[0].level);
		EXPECT(acpi.lines[6].line == 6);
		EXPECT(acpi.ioapic_count == IOAPICS && acpi.ioapics[0].base == 24);
	}
	result("tables by either root");
}

static void
tables_damaged(void)
{
	firmware_read(0);
	EXPECT(acpi.cpus == 0 && acpi.lines[3].line == 3);
	firmware_read(1ul << 50);
	EXPECT(acpi.cpus == 0);
	machine_make(true);
	firmware[RSDP]++;
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	machine_make(true);
	firmware[RSDP + 9]++; /* its sum */
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	machine_make(true);
	firmware[RSDP + 33]++; /* the longer sum: there is no other root */
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	machine_make(true);
	firmware[ROOT + 20]++;
	log_lines = 0;
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0 && log_lines == 1);
	machine_make(true);
	table_make(ROOT, "RSDT", HEADER + 24);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	machine_make(false);
	put32(firmware + MADT + 4, 20); /* shorter than a header */
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	put32(firmware + MADT + 4, TABLE_MAX + 1);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	table_make(MADT, "APIC", 40); /* too short for what it must have */
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	madt_make();
	firmware[MADT + 45] = 1; /* an entry that does not get on */
	table_make(MADT, "APIC", 100);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	firmware[MADT + 45] = 200; /* one beyond the table */
	table_make(MADT, "APIC", 100);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	result("damaged tables are not used");
}

/* Any bytes with right sums: nothing beyond a table is read, and the processors stay within bounds. */
static void
tables_random(void)
{
	const uint32_t at[] = {ROOT, MADT}, size[] = {52, 260};

	srand(7);
	for (int round = 0; round < 4000; round++) {
		machine_make(round % 2);
		for (int i = 0; i < 1 + rand() % 6; i++) {
			uint32_t t = (uint32_t)rand() % 2;
			uint8_t *p = firmware + at[t];
			uint32_t length;

			p[(t ? 4 : HEADER) + (uint32_t)rand() % (size[t] - 4)] = (uint8_t)rand();
			memcpy(&length, p + 4, 4);
			if (length > 0x1000)
				put32(p + 4, length % 0x1000);
			memcpy(&length, p + 4, 4);
			if (length > 9)
				sum_fix(p, length, 9);
		}
		firmware_read(RSDP);
		EXPECT(acpi.cpus <= AEGIS_CPUS && acpi.ioapic_count <= IOAPICS);
	}
	result("random tables");
}

/* ---- clocks ---- */

#define CPU_HZ 2500000000ul
static uint64_t cpu_ticks, cpu_step = 2000;
static uint32_t stop_after;
static bool pit_stands;
static uint8_t pit_latch[2], pit_next;

uint64_t
machine_tsc(void)
{
	if (stop_after && --stop_after == 0)
		cpu_ticks += CPU_HZ / 17; /* for longer than the timer takes to wrap */
	return cpu_ticks += cpu_step;
}

static void
outb(uint16_t port, uint8_t value)
{
	uint64_t n = (uint64_t)((unsigned __int128)cpu_ticks * PIT_HZ / CPU_HZ);
	uint16_t count = (uint16_t)(pit_stands ? 5 : 0xffff - (n & 0xffff));

	if (port == 0x43 && value == 0x80) {
		pit_latch[0] = (uint8_t)count;
		pit_latch[1] = (uint8_t)(count >> 8);
		pit_next = 0;
	}
}

static uint8_t
inb(uint16_t port)
{
	return port == 0x42 ? pit_latch[pit_next++ & 1] : 0;
}

uint32_t
apic_timer_count(void)
{
	return (uint32_t)(0xffffffff - cpu_ticks / 25); /* 100 MHz */
}

void
apic_timer_start(uint32_t count)
{
	(void)count;
}

static bool
near(uint64_t value, uint64_t wanted)
{
	return value > wanted - wanted / 50 && value < wanted + wanted / 50;
}

static void
clocks(void)
{
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ));
	EXPECT(near(time_apic_mult, (100000000ul << 32) / CPU_HZ));
	stop_after = 500;
	time_init();
	EXPECT(!stop_after && near(machine_tsc_hz(), CPU_HZ));
	tsc_hz = apic_hz = GUESS_HZ;
	pit_stands = true;
	cpu_step = 100000;
	log_lines = 0;
	time_init();
	EXPECT(machine_tsc_hz() == GUESS_HZ && log_lines == 1 && time_apic_mult == 1ul << 32);
	time_delay(1000);
	result("clocks");
}

int
main(void)
{
	tables_good();
	tables_damaged();
	tables_random();
	clocks();
	return results_end();
}
