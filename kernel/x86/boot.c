/* SPDX-License-Identifier: MIT */
/*
 * From the loader's information to kernel_main.
 *
 * Owns: the memory map, and which physical memory is spoken for before the rest of the kernel
 * exists.
 *
 * 1. Everything the loader left in memory but the boot archive is copied before memory is given
 * out.
 * 2. Usable memory but the first MiB is given to mem.c once, the kernel's image with the frames of
 *    early_alloc, and the archive, as the kernel's.  After that early_alloc fails.
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
#define ENTRIES     1024u       /* of the loader's map */

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

extern uint8_t image_start[], image_end[];

extern const uint64_t boot_stack; /* boot.S: the first processor's stack */
const uint64_t boot_stack = (uint64_t)cpu_stacks[0].main + STACK_MAIN;

struct region regions[REGIONS];
uint32_t region_count;
static struct region archive, early;
static uint64_t archive_size;

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

bool
memory_usable(uint64_t start, uint64_t size)
{
	for (uint32_t i = 0; i < region_count; i++) {
		if (start >= regions[i].start && start < regions[i].end &&
		    size <= regions[i].end - start)
			return true;
	}
	return false;
}

static void
options_copy(uint64_t address)
{
	const char *from = address ? low_at(address, 1) : NULL;
	uint64_t room = from ? FOUR_GIB - address : 0;

	for (uint32_t i = 0; i < sizeof(kernel_options) - 1 && i < room && from[i]; i++) {
		/* One form of space, so that every parser sees the same words. */
		kernel_options[i] = (uint8_t)from[i] < ' ' ? ' ' : from[i];
	}
}

/* r is used up to where the other range begins, or after its end. */
static void
region_clip(struct region *r, uint64_t start, uint64_t end)
{
	if (start >= r->end || r->start >= end)
		return;
	if (start > r->start)
		r->end = start;
	else
		r->start = end < r->end ? end : r->end;
}

/* Usable entries, without what other entries say of the same memory. */
static void
map_read(const struct start_info *start)
{
	uint32_t n = start->memory_entries;
	const struct start_region *from;

	if (start->version < 1 || n > ENTRIES)
		return;
	from = low_at(start->memory_map, n * sizeof(*from));
	for (uint32_t i = 0; from && i < n && region_count < REGIONS; i++) {
		uint64_t end = from[i].address + from[i].size;
		struct region r = {page_up(from[i].address),
				   page_down(end < MAX_MEMORY ? end : MAX_MEMORY)};

		if (from[i].type != REGION_USABLE || end <= from[i].address ||
		    from[i].address >= MAX_MEMORY)
			continue;
		for (uint32_t j = 0; j < n; j++) {
			if (j < i || from[j].type != REGION_USABLE)
				region_clip(&r, page_down(from[j].address),
					    page_up(from[j].address + from[j].size));
		}
		if (r.start < r.end)
			regions[region_count++] = r;
	}
}

static void
archive_find(const struct start_info *start)
{
	const struct start_module *m;

	m = start->modules ? low_at(start->module_list, sizeof(*m)) : NULL;
	if (!m || !m->size || m->address % PAGE || !memory_usable(m->address, m->size))
		return;
	archive = (struct region){m->address, page_up(m->address + m->size)};
	archive_size = m->size;
}

/* Early frames come from behind the kernel's image. */
static void
early_start(void)
{
	uint64_t start = page_up((uint64_t)image_end - KERNEL_BASE);

	for (uint32_t i = 0; i < region_count; i++) {
		uint64_t end = regions[i].end < FOUR_GIB ? regions[i].end : FOUR_GIB;

		if (start >= regions[i].start && start < end)
			early = (struct region){start, end};
	}
	if (!early.start)
		panic("boot: the memory map has no room behind the kernel");
}

uint32_t
machine_boot_frames(uint32_t n)
{
	uint64_t address = early.start, size = n * PAGE;

	if (!address)
		panic("boot: early_alloc too late");
	if (address < archive.end && address + size > archive.start)
		address = archive.end;
	if (address + size > early.end)
		panic("boot: out of memory");
	early.start = address + size;
	memset((void *)(MACHINE_DIRECT + address), 0, size);
	return (uint32_t)(address / PAGE);
}

uint64_t
early_alloc(void)
{
	return machine_boot_frames(1) * PAGE;
}

static void
memory_give(void)
{
	uint64_t low = LOW_MEMORY, end = 0;

	for (uint32_t i = 0; i < region_count; i++)
		end = regions[i].end > end ? regions[i].end : end;
	mem_init(end / PAGE);
	mem_give(((uint64_t)image_start - KERNEL_BASE) / PAGE, early.start / PAGE, FRAME_KERNEL);
	mem_give(archive.start / PAGE, archive.end / PAGE, FRAME_KERNEL);
	early.start = 0;
	for (uint32_t i = 0; i < region_count; i++)
		mem_give((regions[i].start < low ? low : regions[i].start) / PAGE,
			 regions[i].end / PAGE, FRAME_FREE);
}

/* Before the first function that uses it returns; a zero byte stops runs of text. */
static inline __attribute__((always_inline)) void
stack_guard_seed(void)
{
	uint64_t random = 0;

	if (feature_offered('c', 1, 0, 30))
		__asm__ volatile("rdrand %0" : "+r"(random));
	__stack_chk_guard = (random ^ machine_tsc() * 0x9e3779b97f4a7c15) & ~0xfful;
}

_Noreturn void x86_boot(uint64_t start);
__attribute__((no_stack_protector)) void
x86_boot(uint64_t address)
{
	const struct start_info *start = low_at(address, sizeof(*start));
	uint64_t began = machine_tsc(), rsdp = 0;

	stack_guard_seed();
	kasan_globals();
	percpu_init(0);
	trap_init();
	trap_load();
	if (start && start->magic == START_MAGIC) {
		options_copy(start->command_line);
		map_read(start);
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
	acpi_init(rsdp);
	apic_init();
	apic_enable();
	time_init();
	pci_init();
	virtio_console_init();
	smp_init();
	memory_give();
	percpu()->released = true;
	log_print("boot: %u processors, TSC %lu kHz, %lu us\n", machine_cpus(),
		  machine_tsc_hz() / 1000, (machine_tsc() - began) / (machine_tsc_hz() / 1000000));
	kernel_main(archive.start, archive_size);
	machine_panic("kernel_main returned", NULL);
}
