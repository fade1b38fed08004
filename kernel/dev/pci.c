/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration, at boot only.
 *
 * Owns: the way to configuration space, which is the two ports of every PC.  A function is a number: bus,
 * slot and function, of 8, 5 and 3 bits.  Nothing is looked for: whoever starts the machine says at which
 * number a device is.  One that has neither these ports nor a firmware which places registers is described by
 * two options more: ecam=ADDRESS is where configuration space lies in memory, window=ADDRESS where the
 * addresses begin, up to that, which nobody else gives to registers.
 *
 * 1. Configuration space is the kernel's alone; after boot nobody uses it.
 * 2. A device's numbers are not believed: capability lists are followed for a bounded number of
 * steps, and a range of registers is mapped only where it lies inside its BAR.
 */
#include "dev.h"

#define ADDRESS_PORT 0xcf8
#define DATA_PORT    0xcfc

#define PCI_COMMAND      0x04u
#define PCI_BARS         0x10u
#define PCI_CAPABILITIES 0x34u
#define COMMAND_MEMORY   0x2u
#define COMMAND_MASTER   0x4u
#define COMMAND_NO_LINES 0x400u
#define STATUS_LIST      0x100000u
#define CAPABILITY_MSIX  0x11u
#define MSIX_ENABLE      0x80000000u
#define MSIX_MASK_ALL    0x40000000u
#define CAPABILITIES_MAX 48
#define BUSES            256ul

static volatile uint8_t *ecam;
static uint64_t place_next, place_end; /* for registers */

/* ---- access ---- */

/* By memory: the register itself.  By ports: NULL, and the data port is the register. */
static volatile uint32_t *
config_at(uint32_t f, uint32_t offset)
{
	if (ecam)
		return (volatile uint32_t *)(ecam + ((uint64_t)f << 12) + offset);
	outl(ADDRESS_PORT, 1u << 31 | f << 8 | offset);
	return NULL;
}

uint32_t
pci_read(uint32_t f, uint32_t offset)
{
	volatile uint32_t *p = config_at(f, offset);

	return p ? *p : inl(DATA_PORT);
}

static void
pci_write(uint32_t f, uint32_t offset, uint32_t value)
{
	volatile uint32_t *p = config_at(f, offset);

	if (p)
		*p = value;
	else
		outl(DATA_PORT, value);
}

void
pci_init(void)
{
	place_next = option_number("window", 0);
	place_end = option_number("ecam", 0);
	if (place_end)
		ecam = mmu_device(place_end, BUSES << 20);
}

uint32_t
pci_capability(uint32_t f, uint8_t id, uint32_t from)
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
bar_read(uint32_t f, uint32_t n, struct bar *bar)
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

static bool
bar_place(uint32_t f, uint32_t n, struct bar *bar)
{
	uint64_t at = (place_next + bar->size - 1) & ~(bar->size - 1);

	if (!place_next || at < place_next || at > place_end || bar->size > place_end - at ||
	    (!bar->wide && (at + bar->size - 1) >> 32))
		return false;
	place_next = at + bar->size;
	pci_write(f, PCI_BARS + 4 * n, (uint32_t)at);
	if (bar->wide)
		pci_write(f, PCI_BARS + 4 * n + 4, (uint32_t)(at >> 32));
	bar->address = at;
	return true;
}

volatile void *
pci_map(uint32_t f, uint32_t n, uint64_t offset, uint64_t length)
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
pci_enable(uint32_t f)
{
	uint32_t command = pci_read(f, PCI_COMMAND) & 0xffff;

	pci_write(f, PCI_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_LINES);
}

bool
pci_message(uint32_t f, uint32_t vector)
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
