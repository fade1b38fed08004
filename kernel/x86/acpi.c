/* SPDX-License-Identifier: MIT */
/*
 * What the firmware's tables say: processors, interrupt controllers, timer, power.
 *
 * Owns: struct acpi, filled once at boot.
 *
 * 1. No length or offset of a table is believed before it is checked against the table's own
 * length, and that against TABLE_MAX; a table with a wrong checksum is not used.
 * 2. AML is not interpreted.  One constant object is found by its encoding: the package _S5_.
 * 3. Without tables there is one processor and no power-off; the kernel still runs.
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

static uint16_t
read16(const uint8_t *p)
{
	return (uint16_t)number(p, 2);
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
processor_add(uint32_t apic, uint32_t flags)
{
	if ((flags & 1) && acpi.cpus < AEGIS_CPUS)
		acpi.apic_ids[acpi.cpus++] = apic;
}

static void
madt_entry(const uint8_t *e, uint32_t length)
{
	if (e[0] == 0 && length >= 8)
		processor_add(e[3], read32(e + 4));
	else if (e[0] == 9 && length >= 16)
		processor_add(read32(e + 4), read32(e + 8));
	else if (e[0] == 2 && length >= 10 && e[2] == 0 && e[3] < AEGIS_IRQS)
		acpi.lines[e[3]] =
			(struct acpi_line){read32(e + 4), (e[8] & 3) == 3, (e[8] >> 2 & 3) == 3};
	else if (e[0] == 5 && length >= 12)
		acpi.lapic = number(e + 4, 8);
	else if (e[0] == 1 && length >= 12 && acpi.ioapic_count < IOAPICS)
		acpi.ioapics[acpi.ioapic_count++] =
			(struct acpi_ioapic){read32(e + 4), read32(e + 8)};
}

static void
madt_read(const uint8_t *t, uint32_t length)
{
	uint32_t at = 44;

	if (length < at)
		return;
	acpi.lapic = read32(t + 36);
	while (length - at >= 2) {
		uint32_t n = t[at + 1];

		if (n < 2 || n > length - at)
			return;
		madt_entry(t + at, n);
		at += n;
	}
}

/* ---- what the DSDT has as a constant ---- */

/* A byte constant at p, which at most `room` bytes hold: its length, 0 for anything else. */
static uint32_t
aml_byte(const uint8_t *p, uint32_t room, uint8_t *value)
{
	if (room >= 1 && p[0] <= 1) {
		*value = p[0];
		return 1;
	}
	if (room >= 2 && p[0] == 0x0a) {
		*value = p[1];
		return 2;
	}
	return 0;
}

/* Name (_S5_, Package () {a, b, ...}) */
static void
sleep_find(const uint8_t *t, uint32_t length)
{
	for (uint32_t i = HEADER + 2; i + 7 <= length; i++) {
		uint32_t at, n;

		if (memcmp(t + i, "_S5_", 4) != 0 || t[i + 4] != 0x12 ||
		    (t[i - 1] != 0x08 && !(t[i - 1] == '\\' && t[i - 2] == 0x08)))
			continue;
		at = i + 5;
		at += 1 + (t[at] >> 6) + 1; /* package length, element count */
		n = at < length ? aml_byte(t + at, length - at, &acpi.off_type_a) : 0;
		if (!n)
			continue;
		at += n;
		if (!aml_byte(t + at, length - at, &acpi.off_type_b))
			acpi.off_type_b = acpi.off_type_a;
		acpi.off_known = true;
		return;
	}
}

/* ---- fixed hardware ---- */

/* A byte register in ports, or in memory: then it is mapped now, and its address replaced. */
static struct acpi_address
register_at(const uint8_t *p)
{
	struct acpi_address a;

	memcpy(&a, p, sizeof(a));
	if (a.space == 0 && a.address)
		a.address = a.address >= 1ul << 46 ? 0 : (uint64_t)mmu_device(a.address, 1);
	return a;
}

static void
fadt_read(const uint8_t *t, uint32_t length)
{
	uint32_t flags, dsdt_length;
	const uint8_t *dsdt;
	uint64_t at;

	if (length < 116)
		return;
	flags = read32(t + 112);
	acpi.smi_port = read32(t + 48);
	acpi.acpi_enable = t[52];
	if (!(flags & 1u << 20)) { /* not hardware-reduced: the fixed registers exist */
		acpi.pm1a = read32(t + 64);
		acpi.pm1b = read32(t + 68);
		if (t[91] >= 4)
			acpi.timer_port = read32(t + 76);
		acpi.timer_wide = flags & 1u << 8;
	} else if (length >= 256) {
		acpi.sleep_control = register_at(t + 244);
	}
	acpi.century = t[108] < 128 ? t[108] : 0;
	acpi.rtc_absent = read16(t + 109) & 1u << 5;
	if (length >= 129 && flags & 1u << 10) {
		acpi.reset = register_at(t + 116);
		acpi.reset_value = t[128];
		acpi.reset_known = true;
	}
	at = length >= 148 ? number(t + 140, 8) : 0;
	dsdt = table_map(at ? at : read32(t + 40), &dsdt_length);
	if (dsdt)
		sleep_find(dsdt, dsdt_length);
}

static void
table_read(uint64_t address)
{
	uint32_t length;
	const uint8_t *t = table_map(address, &length);

	if (!t)
		return;
	if (memcmp(t, "APIC", 4) == 0)
		madt_read(t, length);
	else if (memcmp(t, "FACP", 4) == 0)
		fadt_read(t, length);
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
		const uint8_t *p = t + HEADER + i * width;

		table_read(width == 8 ? number(p, 8) : read32(p));
	}
}

void
acpi_write(const struct acpi_address *a, uint32_t value)
{
	if (a->space == 1 && a->address < 65536)
		outb((uint16_t)a->address, (uint8_t)value);
	else if (a->space == 0 && a->address)
		*(volatile uint8_t *)a->address = (uint8_t)value;
}
