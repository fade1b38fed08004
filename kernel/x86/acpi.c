/* SPDX-License-Identifier: MIT */
/*
 * What the firmware's table of interrupt controllers says: processors, IO APICs, legacy lines.
 *
 * Owns: struct acpi, filled once at boot.  Of the other tables none is read: how the machine is switched off
 * and what time it is says who starts it (power.c, main.c).
 *
 * 1. No length or offset of a table is believed before it is checked against the table's own
 * length, and that against TABLE_MAX; a table with a wrong checksum is not used.
 * 2. Without tables there is one processor and no line; the kernel still runs.
 */
#include "x86.h"

#define TABLE_MAX  (1u << 20)
#define HEADER     36u
#define TABLES_MAX 128u

struct acpi acpi;

/* A number of `size` bytes, which need not be aligned. */
static uint64_t
number(const uint8_t *p, uint32_t size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

static uint32_t
read32(const uint8_t *p)
{
	return (uint32_t)number(p, 4);
}

static bool
sum_is_zero(const uint8_t *p, uint32_t length)
{
	uint8_t sum = 0;

	while (length--)
		sum = (uint8_t)(sum + *p++);
	return sum == 0;
}

/* Table at a physical address: all of it mapped, its length and checksum right.  NULL otherwise. */
static const uint8_t *
table_map(uint64_t address, uint32_t *length)
{
	const uint8_t *t;

	if (!address || address >= 1ul << 46)
		return NULL;
	t = mmu_firmware(address, HEADER);
	*length = read32(t + 4);
	if (*length < HEADER || *length > TABLE_MAX)
		return NULL;
	if ((address & (PAGE - 1)) + *length > PAGE)
		t = mmu_firmware(address, *length);
	if (!sum_is_zero(t, *length)) {
		log_print("acpi: table at %lx has a wrong checksum\n", address);
		return NULL;
	}
	return t;
}

/* ---- processors and interrupt controllers ---- */

static void
madt_entry(const uint8_t *e, uint32_t length)
{
	if (e[0] == 0 && length >= 8 && (e[4] & 1) && acpi.cpus < AEGIS_CPUS)
		acpi.apic_ids[acpi.cpus++] = e[3];
	else if (e[0] == 1 && length >= 12 && acpi.ioapic_count < IOAPICS)
		acpi.ioapics[acpi.ioapic_count++] =
			(struct acpi_ioapic){read32(e + 4), read32(e + 8)};
	else if (e[0] == 2 && length >= 10 && e[2] == 0 && e[3] < AEGIS_IRQS)
		acpi.lines[e[3]] =
			(struct acpi_line){read32(e + 4), (e[8] & 3) == 3, (e[8] >> 2 & 3) == 3};
}

static void
madt_read(const uint8_t *t, uint32_t length)
{
	uint32_t at = 44;

	if (length < at)
		return;
	while (length - at >= 2) {
		uint32_t n = t[at + 1];

		if (n < 2 || n > length - at)
			return;
		madt_entry(t + at, n);
		at += n;
	}
}

void
acpi_init(uint64_t rsdp)
{
	uint32_t length, width = 4;
	const uint8_t *t;
	uint64_t root;

	for (uint32_t i = 0; i < AEGIS_IRQS; i++)
		acpi.lines[i].line = i;
	if (!rsdp || rsdp >= 1ul << 46)
		return;
	t = mmu_firmware(rsdp, 36);
	if (memcmp(t, "RSD PTR ", 8) != 0 || !sum_is_zero(t, 20))
		return;
	root = read32(t + 16);
	if (t[15] >= 2 && sum_is_zero(t, 36) && number(t + 24, 8)) {
		root = number(t + 24, 8);
		width = 8;
	}
	t = table_map(root, &length);
	if (!t || memcmp(t, width == 8 ? "XSDT" : "RSDT", 4) != 0)
		return;
	for (uint32_t i = 0; i < TABLES_MAX && HEADER + (i + 1) * width <= length; i++) {
		uint32_t n;
		const uint8_t *table = table_map(number(t + HEADER + i * width, width), &n);

		if (table && memcmp(table, "APIC", 4) == 0)
			madt_read(table, n);
	}
}
