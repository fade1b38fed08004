/* SPDX-License-Identifier: MIT */
/*
 * What the machine says of itself: tables of the firmware and clocks, right and damaged, read by the kernel's
 * own source. Each table is handed out as a copy of exactly its size, so that the sanitizer sees a byte too
 * far; the time is that of a processor which counts when it is asked. Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ports of the machine, and its processor, are functions of this file. */
#define outb  machine_outb
#define inb   machine_inb
#define inl   machine_inl
#define cpuid machine_cpuid
#include "kernel/x86/asm.h"
#include "kernel/x86/x86.h"
#undef outb
#undef inb
#undef inl
#undef cpuid
static void outb(uint16_t port, uint8_t value);
static uint8_t inb(uint16_t port);
static uint32_t inl(uint16_t port);
struct cpuid {
	uint32_t a, b, c, d;
};
static struct cpuid cpuid(uint32_t leaf, uint32_t sub);

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
#define FADT     0x4000u
#define DSDT     0x5000u
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

/* Registers of devices, from DEVICES on. */
#define DEVICES 0xe0000000ul
static uint8_t registers[0x1000];

void *
mmu_device(uint64_t address, uint64_t size)
{
	EXPECT(address >= DEVICES && address + size <= DEVICES + sizeof(registers));
	return registers + (address - DEVICES);
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
			     low[] = {2, 10, 0, 5, 20, 0, 0, 0, 0x0f, 0},
			     edge[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0},
			     other_bus[] = {2, 10, 1, 6, 30, 0, 0, 0, 0x0f, 0},
			     far[] = {2, 10, 0, 200, 30, 0, 0, 0, 0x0f, 0},
			     lapic[] = {5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0},
			     ioapic[] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0},
			     small[] = {0, 4, 1, 2}, strange[] = {77, 4, 0, 0};
	uint32_t at = 44;

	memset(firmware + MADT, 0, 0x1000);
	put32(firmware + MADT + 36, 0xfee00000);
	at = madt_put(at, on, sizeof(on));
	at = madt_put(at, off, sizeof(off));
	at = madt_put(at, wide, sizeof(wide));
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
fadt_make(uint32_t length, uint32_t flags)
{
	uint8_t *p = firmware + FADT;

	memset(p, 0, 0x1000);
	put32(p + 40, DSDT);
	put32(p + 48, 0xb2);
	p[52] = 0xf1;
	put32(p + 64, 0x604);
	put32(p + 68, 0x700);
	put32(p + 76, 0x608);
	p[91] = 4;
	p[108] = 0x32;
	put32(p + 112, flags);
	p[116] = 1; /* reset: a port */
	put64(p + 120, 0xcf9);
	p[128] = 6;
	p[244] = 0; /* sleep control: memory */
	put64(p + 248, DEVICES + 0x100);
	table_make(FADT, "FACP", length);
}

static void
dsdt_make(const uint8_t *body, uint32_t n)
{
	memset(firmware + DSDT, 0, 0x1000);
	memcpy(firmware + DSDT + HEADER, body, n);
	table_make(DSDT, "DSDT", HEADER + n);
}

static const uint8_t sleep_plain[] = {0, 0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 1, 0, 0};
static const uint8_t sleep_root[] = {0, 0x08, '\\', '_',  'S', '5', '_', 0x12,
				     6, 4,    1,    0x0c, 0,   0,   0};
static const uint8_t sleep_call[] = {0, 0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0c, 5, 1, 0, 0};

static void
machine_make(bool wide)
{
	const uint64_t tables[] = {MADT, FADT, DSDT};

	madt_make();
	fadt_make(276, 1u << 10 | 1u << 8);
	dsdt_make(sleep_plain, sizeof(sleep_plain));
	root_make(wide, tables, 3);
	rsdp_make(wide);
}

static void
tables_good(void)
{
	for (int wide = 0; wide < 2; wide++) {
		machine_make(wide);
		firmware_read(RSDP);
		EXPECT(acpi.cpus == AEGIS_CPUS);
		EXPECT(acpi.apic_ids[0] == 7 && acpi.apic_ids[1] == 0x144 && acpi.apic_ids[2] == 7);
		EXPECT(acpi.lines[5].line == 20 && acpi.lines[5].low && acpi.lines[5].level);
		EXPECT(acpi.lines[0].line == 2 && !acpi.lines[0].low && !acpi.lines[0].level);
		EXPECT(acpi.lines[6].line == 6);
		EXPECT(acpi.lapic == 0x1fee00000);
		EXPECT(acpi.ioapic_count == IOAPICS && acpi.ioapics[0].base == 24);
		EXPECT(acpi.pm1a == 0x604 && acpi.pm1b == 0x700 && acpi.timer_port == 0x608);
		EXPECT(acpi.timer_wide && acpi.century == 0x32 && !acpi.rtc_absent);
		EXPECT(acpi.reset_known && acpi.reset.address == 0xcf9 && acpi.reset_value == 6);
		EXPECT(acpi.off_known && acpi.off_type_a == 5 && acpi.off_type_b == 1);
	}
	result("tables by either root");
}

static void
tables_reduced(void)
{
	struct acpi_address at = {.space = 0, .address = 0};

	machine_make(true);
	fadt_make(276, 1u << 20 | 1u << 10);
	firmware[FADT + 108] = 200;
	firmware[FADT + 109] = 1u << 5;
	firmware[FADT + 116] = 0;
	put64(firmware + FADT + 120, 1ul << 50);
	put64(firmware + FADT + 140, DSDT);
	table_make(FADT, "FACP", 276);
	dsdt_make(sleep_root, sizeof(sleep_root));
	firmware_read(RSDP);
	EXPECT(!acpi.pm1a && !acpi.timer_port && acpi.rtc_absent && !acpi.century);
	EXPECT(acpi.sleep_control.address == (uint64_t)(registers + 0x100));
	EXPECT(acpi.reset_known && acpi.reset.address == 0);
	EXPECT(acpi.off_known && acpi.off_type_a == 1 && acpi.off_type_b == 1);
	acpi_write(&acpi.sleep_control, 0x34);
	EXPECT(registers[0x100] == 0x34);
	acpi_write(&at, 1); /* nowhere */
	at.space = 1;
	at.address = 65536;
	acpi_write(&at, 1);
	at.space = 9;
	acpi_write(&at, 1);
	for (uint32_t length = 116; length <= 148; length += 8) {
		fadt_make(length, 1u << 20 | 1u << 10);
		firmware[FADT + 91] = 0;
		table_make(FADT, "FACP", length);
		firmware_read(RSDP);
		EXPECT(!acpi.sleep_control.address && acpi.reset_known == (length >= 129));
		EXPECT(acpi.off_known);
	}
	fadt_make(276, 0);
	firmware[FADT + 91] = 3;
	table_make(FADT, "FACP", 276);
	dsdt_make(sleep_call, sizeof(sleep_call));
	firmware_read(RSDP);
	EXPECT(acpi.pm1a == 0x604 && !acpi.timer_port && !acpi.timer_wide && !acpi.reset_known);
	EXPECT(!acpi.off_known); /* its value is no constant */
	result("hardware-reduced, short and older tables");
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
	EXPECT(acpi.cpus == 0 && acpi.reset_known);
	put32(firmware + MADT + 4, TABLE_MAX + 1);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0 && acpi.reset_known);
	table_make(MADT, "APIC", 40); /* too short for what it must have */
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0 && acpi.lapic == 0);
	madt_make();
	firmware[MADT + 45] = 1; /* an entry that does not get on */
	table_make(MADT, "APIC", 100);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0 && acpi.lapic == 0xfee00000);
	firmware[MADT + 45] = 200; /* one beyond the table */
	table_make(MADT, "APIC", 100);
	firmware_read(RSDP);
	EXPECT(acpi.cpus == 0);
	table_make(FADT, "FACP", 100);
	firmware_read(RSDP);
	EXPECT(!acpi.reset_known && !acpi.pm1a);
	result("damaged tables are not used");
}

/* Any bytes with right sums: nothing beyond a table is read, and the processors stay within bounds. */
static void
tables_random(void)
{
	const uint32_t at[] = {ROOT, MADT, FADT, DSDT}, size[] = {60, 260, 276, 51};

	srand(7);
	for (int round = 0; round < 4000; round++) {
		machine_make(round % 2);
		for (int i = 0; i < 1 + rand() % 6; i++) {
			uint32_t t = (uint32_t)rand() % 4;
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

#define TIMER_PORT 0x608u
#define CPU_HZ     2500000000ul
static uint64_t cpu_ticks, cpu_step = 2000;
static bool timer_stands, pit_stands, timer_24;
static uint8_t rtc[128], rtc_at, pit_latch[2], pit_next;
static uint32_t rtc_busy; /* this many reads of a register see an update */
static struct cpuid leaf_0, leaf_15, leaf_hypervisor, leaf_rate;
static bool hypervisor, deadline;

uint64_t
machine_tsc(void)
{
	return cpu_ticks += cpu_step;
}

static uint32_t
timer_count(void)
{
	uint64_t n = (uint64_t)((unsigned __int128)cpu_ticks * ACPI_HZ / CPU_HZ) + 0xfffff0;

	return timer_stands ? 7 : (uint32_t)(timer_24 ? n & 0xffffff : n);
}

static uint32_t
inl(uint16_t port)
{
	EXPECT(port == TIMER_PORT);
	return timer_count();
}

static void
outb(uint16_t port, uint8_t value)
{
	uint64_t n = (uint64_t)((unsigned __int128)cpu_ticks * PIT_HZ / CPU_HZ);
	uint16_t count = (uint16_t)(pit_stands ? 5 : 0xffff - (n & 0xffff));

	if (port == 0x70)
		rtc_at = value & 0x7f;
	if (port == 0x43 && value == 0x80) {
		pit_latch[0] = (uint8_t)count;
		pit_latch[1] = (uint8_t)(count >> 8);
		pit_next = 0;
	}
}

static uint8_t
inb(uint16_t port)
{
	if (port == 0x42)
		return pit_latch[pit_next++ & 1];
	if (port != 0x71)
		return 0;
	if (rtc_at == 10 && rtc_busy) {
		rtc_busy--;
		return 0x80;
	}
	return rtc[rtc_at];
}

static struct cpuid
cpuid(uint32_t leaf, uint32_t sub)
{
	(void)sub;
	return leaf == 0            ? leaf_0
	       : leaf == 0x15       ? leaf_15
	       : leaf == 0x40000000 ? leaf_hypervisor
				    : leaf_rate;
}

bool
feature_offered(char reg, uint32_t leaf, uint32_t sub, uint32_t bit)
{
	EXPECT(reg == 'c' && leaf == 1 && sub == 0);
	return bit == 31 ? hypervisor : deadline;
}

static uint32_t apic_enabled;

void
apic_enable(void)
{
	apic_enabled++;
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
clocks_measured(void)
{
	acpi = (struct acpi){.timer_port = TIMER_PORT, .rtc_absent = true};
	for (int narrow = 0; narrow < 2; narrow++) {
		acpi.timer_wide = !narrow;
		timer_24 = narrow;
		time_init();
		EXPECT(near(machine_tsc_hz(), CPU_HZ));
		EXPECT(near(time_apic_mult, (100000000ul << 32) / CPU_HZ));
		EXPECT(!time_deadline && !apic_enabled && machine_wall_ns() == 0);
	}
	timer_stands = true; /* then by the other clock, as if there were none */
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ));
	acpi.timer_port = 0;
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ));
	pit_stands = true;
	cpu_step = 100000;
	log_lines = 0;
	time_init();
	EXPECT(machine_tsc_hz() == GUESS_HZ && log_lines == 1 && time_apic_mult == 1ul << 32);
	time_delay(1000);
	cpu_step = 2000;
	timer_stands = pit_stands = false;
	result("clocks that are measured");
}

static void
clocks_stated(void)
{
	leaf_0.a = 0x16;
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ)); /* the leaf is empty */
	leaf_15 = (struct cpuid){2, 200, 0, 0};
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ));
	leaf_15.c = 24000000;
	time_init();
	EXPECT(machine_tsc_hz() == 2400000000);
	leaf_0.a = 0xd;
	hypervisor = true;
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ));
	leaf_hypervisor.a = 0x40000010;
	time_init();
	EXPECT(near(machine_tsc_hz(), CPU_HZ));
	leaf_rate.a = 2600000;
	deadline = true;
	time_init();
	EXPECT(machine_tsc_hz() == 2600000000 && time_deadline && apic_enabled);
	hypervisor = deadline = false;
	result("clocks whose rate is stated");
}

/* The clock on the wall says this; what the kernel makes of it, in seconds since 1970. */
static uint64_t
wall(uint8_t mode, const uint8_t digits[7])
{
	static const uint8_t regs[] = {0, 2, 4, 7, 8, 9, 0x32};

	memset(rtc, 0, sizeof(rtc));
	for (int i = 0; i < 7; i++)
		rtc[regs[i]] = digits[i];
	rtc[11] = mode;
	wall_ns = 0;
	time_init();
	return machine_wall_ns() / 1000000000;
}

static void
clock_on_the_wall(void)
{
	enum { BINARY = 4, HOURS_24 = 2 };

	acpi = (struct acpi){.timer_port = TIMER_PORT, .timer_wide = true, .century = 0x32};
	rtc_busy = 3;
	EXPECT(wall(HOURS_24, (uint8_t[]){0x56, 0x34, 0x12, 0x25, 0x11, 0x26, 0x20}) == 1795610096);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){56, 34, 12, 25, 11, 26, 20}) == 1795610096);
	EXPECT(wall(BINARY, (uint8_t[]){56, 34, 12 | 0x80, 25, 11, 26, 20}) == 1795610096);
	EXPECT(wall(BINARY, (uint8_t[]){56, 34, 12, 25, 11, 26, 20}) == 1795610096 - 12 * 3600);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){0, 0, 0, 1, 3, 0, 20}) == 951868800);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){0, 0, 0, 29, 2, 0, 20}) == 951868800 - 86400);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){59, 59, 23, 31, 12, 99, 19}) == 946684799);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){59, 59, 23, 31, 12, 69, 19}) == 0);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){59, 59, 23, 31, 0, 99, 19}) == 0);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){59, 59, 23, 31, 13, 99, 19}) == 0);
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){56, 34, 12, 25, 11, 26, 0}) == 1795610096);
	acpi.century = 0;
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){56, 34, 12, 25, 11, 26, 19}) == 1795610096);
	rtc_busy = UINT32_MAX; /* an update that does not end */
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){56, 34, 12, 25, 11, 26, 20}) == 0);
	rtc_busy = 0;
	acpi.rtc_absent = true;
	EXPECT(wall(HOURS_24 | BINARY, (uint8_t[]){56, 34, 12, 25, 11, 26, 20}) == 0);
	result("the clock on the wall");
}

int
main(void)
{
	tables_good();
	tables_reduced();
	tables_damaged();
	tables_random();
	clocks_measured();
	clocks_stated();
	clock_on_the_wall();
	return results_end();
}
