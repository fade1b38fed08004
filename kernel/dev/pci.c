/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration, at boot only.
 *
 * Owns: the way to configuration space (ECAM where ACPI names it, else the two ports), and
 * addresses for registers that no firmware has placed, which come from the host bridge's windows
 * (acpi.c).
 *
 * 1. Configuration space is the kernel's alone; after boot nobody uses it.
 * 2. A device's numbers are not believed: capability lists are followed for a bounded number of
 * steps, and a range of registers is mapped only where it lies inside its BAR.
 */
#include "dev.h"

#define ADDRESS_PORT 0xcf8
#define DATA_PORT    0xcfc

#define PCI_COMMAND      0x04u
#define PCI_HEADER       0x0cu
#define PCI_BARS         0x10u
#define PCI_BUSES        0x18u
#define PCI_CAPABILITIES 0x34u
#define COMMAND_MEMORY   0x2u
#define COMMAND_MASTER   0x4u
#define COMMAND_NO_LINES 0x400u
#define STATUS_LIST      0x100000u
#define CAPABILITY_MSIX  0x11u
#define MSIX_ENABLE      0x80000000u
#define MSIX_MASK_ALL    0x40000000u
#define CAPABILITIES_MAX 48
#define BRIDGES          8u /* one behind the other, that are followed */
#define FUNCTIONS        64u

static volatile uint8_t *ecam;
static struct pci_function functions[FUNCTIONS];
static uint32_t function_count;
static uint64_t place_next[4]; /* in each of acpi.windows */

/* ---- access ---- */

static volatile uint32_t *
ecam_at(const struct pci_function *f, uint32_t offset)
{
	if (!ecam || f->bus < acpi.ecam.first || f->bus > acpi.ecam.last)
		return NULL;
	return (volatile uint32_t *)(ecam + ((uint64_t)(f->bus - acpi.ecam.first) << 20) +
				     ((uint32_t)f->slot << 15) + ((uint32_t)f->function << 12) +
				     offset);
}

static void
port_select(const struct pci_function *f, uint32_t offset)
{
	outl(ADDRESS_PORT, 1u << 31 | (uint32_t)f->bus << 16 | (uint32_t)f->slot << 11 |
				   (uint32_t)f->function << 8 | offset);
}

uint32_t
pci_read(const struct pci_function *f, uint32_t offset)
{
	volatile uint32_t *p = ecam_at(f, offset);

	if (p)
		return *p;
	if (ecam)
		return ~0u;
	port_select(f, offset);
	return inl(DATA_PORT);
}

static void
pci_write(const struct pci_function *f, uint32_t offset, uint32_t value)
{
	volatile uint32_t *p = ecam_at(f, offset);

	if (p) {
		*p = value;
	} else if (!ecam) {
		port_select(f, offset);
		outl(DATA_PORT, value);
	}
}

/* ---- enumeration ---- */

/* Notes every function below a bus, `deep` bridges down. */
static void
enumerate(uint8_t bus, uint32_t deep)
{
	for (uint32_t i = 0; i < 256 && function_count < FUNCTIONS; i++) {
		struct pci_function f = {bus, (uint8_t)(i / 8), i % 8, 0};
		uint32_t header, buses;

		f.name = pci_read(&f, 0);
		header = pci_read(&f, PCI_HEADER) >> 16;
		if (f.name != ~0u) {
			functions[function_count++] = f;
			buses = pci_read(&f, PCI_BUSES) >> 8 & 0xff;
			/* Bus numbers grow downwards, so that the walk ends. */
			if ((header & 0x7f) == 1 && buses > bus && deep < BRIDGES)
				enumerate((uint8_t)buses, deep + 1);
		}
		if (!f.function && (f.name == ~0u || !(header & 0x80)))
			i += 7; /* it has no other functions */
	}
}

void
pci_init(void)
{
	if (acpi.ecam.address)
		ecam = mmu_device(acpi.ecam.address,
				  ((uint64_t)(acpi.ecam.last - acpi.ecam.first) + 1) << 20);
	enumerate(acpi.ecam.first, 0);
}

const struct pci_function *
pci_find(uint16_t vendor, uint16_t device)
{
	for (uint32_t i = 0; i < function_count; i++) {
		if (functions[i].name == ((uint32_t)device << 16 | vendor))
			return &functions[i];
	}
	return NULL;
}

uint32_t
pci_capability(const struct pci_function *f, uint8_t id, uint32_t from)
{
	uint32_t at;

	if (!(pci_read(f, PCI_COMMAND) & STATUS_LIST))
		return 0;
	at = from ? pci_read(f, from) >> 8 : pci_read(f, PCI_CAPABILITIES);
	for (int i = 0; i < CAPABILITIES_MAX; i++) {
		at &= 0xfc;
		if (at < 0x40)
			return 0;
		if ((pci_read(f, at) & 0xff) == id)
			return at;
		at = pci_read(f, at) >> 8;
	}
	return 0;
}

/* ---- registers ---- */

struct bar {
	uint64_t address, size;
	bool wide;
};

/* False: no memory behind it. */
static bool
bar_read(const struct pci_function *f, uint32_t n, struct bar *bar)
{
	uint32_t at = PCI_BARS + 4 * n;
	uint32_t low = pci_read(f, at), high = 0, command = pci_read(f, PCI_COMMAND);
	uint64_t mask;

	if (low & 1)
		return false;
	bar->wide = (low >> 1 & 3) == 2 && n < 5;
	if (bar->wide)
		high = pci_read(f, at + 4);
	/* To ask for the size is to move it: not while it answers. */
	pci_write(f, PCI_COMMAND, command & 0xffff & ~(COMMAND_MEMORY | COMMAND_MASTER));
	pci_write(f, at, ~0u);
	mask = (uint64_t)~0u << 32 | (pci_read(f, at) & ~15u);
	if (bar->wide) {
		pci_write(f, at + 4, ~0u);
		mask = (mask & ~0u) | (uint64_t)pci_read(f, at + 4) << 32;
		pci_write(f, at + 4, high);
	}
	pci_write(f, at, low);
	pci_write(f, PCI_COMMAND, command & 0xffff);
	if (!(mask & ~0u) && !bar->wide)
		return false;
	bar->size = ~mask + 1;
	bar->address = (uint64_t)high << 32 | (low & ~15u);
	return bar->size && !(bar->size & (bar->size - 1));
}

/* The places still free in each window begin behind the registers that some function has there. */
static void
places_find(void)
{
	for (uint32_t w = 0; w < acpi.window_count; w++)
		place_next[w] = acpi.windows[w].low;
	for (uint32_t i = 0; i < function_count * 6; i++) {
		const struct pci_function *f = &functions[i / 6];
		bool bridge = (pci_read(f, PCI_HEADER) >> 16 & 0x7f) != 0;
		struct bar bar;

		if ((bridge && i % 6 > 1) || !bar_read(f, i % 6, &bar))
			continue;
		for (uint32_t w = 0; w < acpi.window_count; w++) {
			if (bar.address >= acpi.windows[w].low &&
			    bar.address <= acpi.windows[w].high &&
			    bar.address + bar.size > place_next[w])
				place_next[w] = bar.address + bar.size;
		}
		i += bar.wide;
	}
}

static bool
bar_place(const struct pci_function *f, uint32_t n, struct bar *bar)
{
	if (!place_next[0])
		places_find();
	for (uint32_t w = 0; w < acpi.window_count; w++) {
		uint64_t at = (place_next[w] + bar->size - 1) & ~(bar->size - 1);

		/* The range of configuration space is named, too, but is not passed on. */
		if (acpi.ecam.address >= acpi.windows[w].low &&
		    acpi.ecam.address <= acpi.windows[w].high)
			continue;
		if (at < place_next[w] || at > acpi.windows[w].high ||
		    bar->size - 1 > acpi.windows[w].high - at || (!bar->wide && at >> 32))
			continue;
		place_next[w] = at + bar->size;
		pci_write(f, PCI_BARS + 4 * n, (uint32_t)at);
		if (bar->wide)
			pci_write(f, PCI_BARS + 4 * n + 4, (uint32_t)(at >> 32));
		bar->address = at;
		return true;
	}
	return false;
}

volatile void *
pci_map(const struct pci_function *f, uint32_t n, uint64_t offset, uint64_t length)
{
	struct bar bar;

	if (n > 5 || !bar_read(f, n, &bar) || offset > bar.size || length > bar.size - offset ||
	    !length || length > 1 << 20)
		return NULL;
	if (!bar.address && !bar_place(f, n, &bar))
		return NULL;
	if (memory_usable(bar.address + offset, 1))
		return NULL;
	return mmu_device(bar.address + offset, length);
}

void
pci_enable(const struct pci_function *f)
{
	uint32_t command = pci_read(f, PCI_COMMAND) & 0xffff;

	pci_write(f, PCI_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_LINES);
}

bool
pci_message(const struct pci_function *f, uint32_t vector)
{
	uint32_t at = pci_capability(f, CAPABILITY_MSIX, 0);
	uint32_t table, control, data, entries;
	volatile uint32_t *entry;
	uint64_t address;

	if (!at)
		return false;
	control = pci_read(f, at);
	entries = (control >> 16 & 0x7ff) + 1;
	table = pci_read(f, at + 4);
	entry = pci_map(f, table & 7, table & ~7u, 16ul * entries);
	if (!entry)
		return false;
	pci_write(f, at, control | MSIX_ENABLE | MSIX_MASK_ALL);
	pci_enable(f);
	for (uint32_t i = 0; i < entries; i++)
		entry[4 * i + 3] = 1;
	apic_message(vector, &address, &data);
	entry[0] = (uint32_t)address;
	entry[1] = (uint32_t)(address >> 32);
	entry[2] = data;
	entry[3] = 0;
	pci_write(f, at, (control | MSIX_ENABLE) & ~MSIX_MASK_ALL);
	return true;
}
