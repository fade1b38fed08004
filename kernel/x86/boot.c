/* SPDX-License-Identifier: MIT */
/*
 * From the loader's information to kernel_main.
 *
 * Owns: the memory map, and which physical memory is spoken for before the rest of the kernel
 * exists.
 *
 * 1. Everything the loader left in memory but the boot archive is copied before memory is given
 * out.
 * 2. Usable memory is handed to mem_region once: not the first MiB, not the kernel's image, not the
 *    frames of early_alloc, not the archive.  After that early_alloc fails.
 * 3. The loader is trusted (it placed the kernel), its tables are still bounded: counts and lengths
 *    are checked, entries that make no sense are dropped.
 *
 * The protocol is PVH: docs in xen/include/public/arch-x86/hvm/start_info.h.
 */
#include "x86.h"
#include "kasan.h"

#define START_MAGIC 0x336ec578u
#define LOW_MEMORY  0x100000ul
#define FOUR_GIB    0x100000000ul
#define MAX_MEMORY  (1ul << 44) /* frame numbers are 32 bits */
#define REGIONS     64u
#define BUSY        8u

enum { REGION_USABLE = 1 };

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, command_line, rsdp, memory_map;
	uint32_t memory_entries, reserved;
};

struct start_module {
	uint64_t address, size, command_line, reserved;
};

struct start_region {
	uint64_t address, size;
	uint32_t type, reserved;
};

struct region {
	uint64_t start, end; /* bytes, as the loader says */
	uint32_t type;
};

extern uint8_t image_start[], image_end[];

extern const uint64_t boot_stack; /* boot.S: the first processor's stack */
const uint64_t boot_stack = (uint64_t)cpu_stacks[0].main + STACK_MAIN;

static struct region regions[REGIONS];
static uint32_t region_count;
static struct {
	uint64_t start, end; /* page aligned */
} busy[BUSY];
static uint32_t busy_count;
static char options[AEGIS_BOOT_OPTIONS];
static uint64_t rsdp, archive, archive_size;
static uint64_t early_region_end, early_next; /* early_next is 0 before and after its time */

/* The boot table maps the first 4 GiB of physical memory at the direct map's place. */
static const void *
low_at(uint64_t address, uint64_t size)
{
	if (address >= FOUR_GIB || size > FOUR_GIB - address)
		return NULL;
	return (const void *)(MACHINE_DIRECT + address);
}

static uint64_t
page_down(uint64_t address)
{
	return address & ~(PAGE - 1);
}

static uint64_t
page_up(uint64_t address)
{
	return page_down(address + PAGE - 1);
}

uint64_t
x86_rsdp(void)
{
	return rsdp;
}

const char *
x86_option(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = options; *p;) {
		while (*p == ' ')
			p++;
		if (memcmp(p, name, n) == 0 && (p[n] == '=' || p[n] == ' ' || !p[n]))
			return p[n] == '=' ? p + n + 1 : p + n;
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

/* Decimal, or hexadecimal after 0x. */
uint64_t
x86_option_number(const char *name, uint64_t otherwise)
{
	const char *p = x86_option(name);
	uint64_t value = 0, base = 10;

	if (!p)
		return otherwise;
	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (;; p++) {
		uint64_t digit = *p >= '0' && *p <= '9'   ? (uint64_t)(*p - '0')
				 : *p >= 'a' && *p <= 'f' ? (uint64_t)(*p - 'a' + 10)
							  : 16;

		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

bool
memory_usable(uint64_t start, uint64_t size)
{
	for (uint32_t i = 0; i < region_count; i++) {
		if (regions[i].type == REGION_USABLE && start >= regions[i].start &&
		    start < regions[i].end && size <= regions[i].end - start)
			return true;
	}
	return false;
}

bool
memory_named(uint64_t start, uint64_t size)
{
	for (uint32_t i = 0; i < region_count; i++) {
		if (start < regions[i].end && regions[i].start < start + size)
			return true;
	}
	return false;
}

static void
options_copy(uint64_t address)
{
	const char *from = address ? low_at(address, 1) : NULL;
	uint64_t room = from ? FOUR_GIB - address : 0;

	for (uint32_t i = 0; i < sizeof(options) - 1 && i < room && from[i]; i++) {
		/* One form of space, so that every parser sees the same words. */
		options[i] = (uint8_t)from[i] < ' ' ? ' ' : from[i];
	}
}

static void
map_copy(const struct start_info *start)
{
	uint32_t n = start->memory_entries;
	const struct start_region *from;

	if (start->version < 1 || n > 1024)
		return;
	from = low_at(start->memory_map, n * sizeof(*from));
	for (uint32_t i = 0; from && i < n && region_count < REGIONS; i++) {
		uint64_t end = from[i].address + from[i].size;

		if (end <= from[i].address || from[i].address >= MAX_MEMORY)
			continue;
		regions[region_count].start = from[i].address;
		regions[region_count].end = end < MAX_MEMORY ? end : MAX_MEMORY;
		regions[region_count++].type = from[i].type;
	}
	/* In order of addresses; the list is short. */
	for (uint32_t i = 1; i < region_count; i++) {
		for (uint32_t j = i; j && regions[j].start < regions[j - 1].start; j--) {
			struct region r = regions[j];

			regions[j] = regions[j - 1];
			regions[j - 1] = r;
		}
	}
}

/* Usable memory that another entry overlaps is used up to where the other begins, or after its end.
 */
static void
map_clip(void)
{
	for (uint32_t i = 0; i < region_count; i++) {
		for (uint32_t j = 0; j < region_count; j++) {
			struct region *r = &regions[i], *o = &regions[j];

			if (i == j || r->type != REGION_USABLE || o->start >= r->end ||
			    r->start >= o->end || (o->type == REGION_USABLE && j > i))
				continue;
			if (o->start > r->start)
				r->end = o->start;
			else
				r->start = o->end < r->end ? o->end : r->end;
		}
	}
}

static void
busy_add(uint64_t start, uint64_t end)
{
	if (busy_count == BUSY)
		panic("boot: too many ranges");
	busy[busy_count].start = page_down(start);
	busy[busy_count++].end = page_up(end);
}

static void
archive_find(const struct start_info *start)
{
	const struct start_module *m;

	m = start->modules ? low_at(start->module_list, sizeof(*m)) : NULL;
	if (!m || !m->size || !memory_usable(m->address, m->size))
		return;
	archive = m->address;
	archive_size = m->size;
	busy_add(archive, archive + archive_size);
}

/* Early frames come from behind the kernel's image, or from the first region that has room. */
static void
early_start(void)
{
	uint64_t end = page_up((uint64_t)image_end - KERNEL_BASE);

	busy_add(0, LOW_MEMORY);
	busy_add((uint64_t)image_start - KERNEL_BASE, end);
	for (uint32_t i = 0; i < region_count; i++) {
		struct region *r = &regions[i];

		if (r->type == REGION_USABLE && end >= r->start && end < r->end) {
			early_next = end;
			early_region_end = page_down(r->end < FOUR_GIB ? r->end : FOUR_GIB);
		}
	}
	if (!early_next)
		panic("boot: the memory map has no room behind the kernel");
}

uint64_t
early_alloc(void)
{
	uint64_t address;

	if (!early_next)
		panic("boot: early_alloc too late");
	for (uint32_t i = 0; i < busy_count; i++) {
		if (early_next >= busy[i].start && early_next < busy[i].end) {
			early_next = busy[i].end;
			i = 0;
		}
	}
	if (early_next + PAGE > early_region_end)
		panic("boot: out of memory");
	address = early_next;
	early_next += PAGE;
	memset((void *)(MACHINE_DIRECT + address), 0, PAGE);
	return address;
}

/* Gives what is left of [start, end) after busy range i and those behind it. */
static void
region_give(uint64_t start, uint64_t end, uint32_t i)
{
	for (; i < busy_count; i++) {
		if (busy[i].start >= end || busy[i].end <= start)
			continue;
		if (busy[i].start > start)
			region_give(start, busy[i].start, i + 1);
		if (busy[i].end >= end)
			return;
		start = busy[i].end;
	}
	if (start < end)
		mem_region(start, end);
}

static void
memory_give(void)
{
	busy_add((uint64_t)image_start - KERNEL_BASE, early_next);
	early_next = 0;
	if (archive_size)
		mem_reserve(archive, archive + archive_size);
	for (uint32_t i = 0; i < region_count; i++) {
		if (regions[i].type == REGION_USABLE)
			region_give(page_up(regions[i].start), page_down(regions[i].end), 0);
	}
}

bool
memory_region(uint32_t i, uint64_t *start, uint64_t *end)
{
	if (i >= region_count)
		return false;
	*start = page_up(regions[i].start);
	*end = regions[i].type == REGION_USABLE ? page_down(regions[i].end) : *start;
	return true;
}

_Noreturn void x86_boot(uint64_t start);
void
x86_boot(uint64_t address)
{
	const struct start_info *start = low_at(address, sizeof(*start));
	uint64_t began = machine_tsc();

	kasan_globals();
	percpu_init(0);
	trap_init();
	trap_load();
	if (start && start->magic == START_MAGIC) {
		options_copy(start->command_line);
		map_copy(start);
		map_clip();
		rsdp = start->rsdp;
	}
	serial_init();
	feature_check();
	if (!region_count)
		panic("boot: no memory map (PVH start information, version 1 or later)");
	archive_find(start);
	early_start();
	feature_enable();
	mmu_init();
	acpi_init();
	acpi_registers_map();
	apic_init();
	apic_enable();
	time_init();
	virtio_console_init();
	smp_init();
	memory_give();
	percpu()->released = true;
	log_print("boot: %u processors, TSC %lu kHz, %lu us\n", machine_cpus(),
		  machine_tsc_hz() / 1000, (machine_tsc() - began) / (machine_tsc_hz() / 1000000));
	kernel_main(options, archive, archive_size);
	machine_panic("kernel_main returned", NULL);
}
