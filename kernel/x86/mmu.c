/* SPDX-License-Identifier: MIT */
/*
 * The kernel's half of every address space.
 *
 *   0xffff800000000000  MACHINE_DIRECT: all usable memory at its physical address
 *   0xffffc00000000000  device registers and firmware tables, mapped at boot as they are found
 *   0xffffffff80000000  KERNEL_BASE: the kernel's image
 *
 * Owns: the kernel's tables.  A space's top table shares the kernel half by copying its 256
 * entries, so that every entry of the kernel's top table exists before the first space does:
 * mmu_map is for boot only.
 *
 * 1. Nothing in this half is writable and executable.  Text is read only and the only thing that
 * can be executed; constants are read only; the same frames are neither writable nor executable
 *    through the direct map.
 * 2. The page below each kernel stack is mapped to nothing.
 * 3. No entry of this half has the user bit.
 * 4. A space's top table has entry 255 pointing to itself, for reading: AEGIS_WINDOW.
 */
#include "x86.h"
#include "kasan.h"

#define PTE_ACCESSED_DIRTY 0x60ul
#define PTE_GLOBAL         0x100ul
#define DEVICES            0xffffc00000000000ul
#define WINDOW_SLOT        (AEGIS_WINDOW >> 39 & 511)
#define LARGE              0x200000ul
#define HUGE               0x40000000ul

extern uint8_t image_start[], text_end[], rodata_end[], image_end[];

static uint64_t kernel_root[512] __attribute__((aligned(4096)));
static uint64_t device_next = DEVICES;
static bool huge_pages;

struct stacks cpu_stacks[AEGIS_CPUS] __attribute__((aligned(4096)));

static uint64_t
image_physical(const void *p)
{
	return (uint64_t)p - KERNEL_BASE;
}

static uint64_t *
table_of(uint64_t *entry)
{
	if (!(*entry & AEGIS_PTE_PRESENT))
		*entry = early_alloc() | AEGIS_PTE_PRESENT | AEGIS_PTE_WRITE;
	return (uint64_t *)(MACHINE_DIRECT + (*entry & AEGIS_PTE_FRAME));
}

/* Maps with the largest pages that fit.  Nothing may be mapped there yet. */
void
mmu_map(uint64_t va, uint64_t pa, uint64_t size, uint64_t flags)
{
	flags |= AEGIS_PTE_PRESENT | PTE_ACCESSED_DIRTY | PTE_GLOBAL;
	while (size) {
		uint64_t *entry = &kernel_root[va >> 39 & 511];
		uint64_t step = 1ul << 39;

		do {
			step >>= 9;
			entry = &table_of(entry)[va / step & 511];
		} while (step > PAGE &&
			 ((step == HUGE && !huge_pages) || ((va | pa) & (step - 1)) ||
			  size < step || (*entry & AEGIS_PTE_PRESENT)));
		*entry = pa | flags | (step > PAGE ? AEGIS_PTE_LARGE : 0);
		va += step;
		pa += step;
		size -= step;
	}
}

/* The entry that maps va in the kernel half, NULL: none. */
static uint64_t *
entry_of(uint64_t va)
{
	uint64_t *entry = &kernel_root[va >> 39 & 511];

	if (va >> 47 != 0x1ffff)
		return NULL;
	for (int shift = 30; shift >= 12; shift -= 9) {
		if (!(*entry & AEGIS_PTE_PRESENT))
			return NULL;
		entry = (uint64_t *)(MACHINE_DIRECT + (*entry & AEGIS_PTE_FRAME)) +
			(va >> shift & 511);
		if (shift > 12 && (*entry & AEGIS_PTE_LARGE))
			break;
	}
	return *entry & AEGIS_PTE_PRESENT ? entry : NULL;
}

bool
mmu_readable(uint64_t va)
{
	return entry_of(va) != NULL;
}

/* [start, end) of memory in the direct map, leaving the kernel's read-only frames unwritable. */
static void
direct_map(uint64_t start, uint64_t end)
{
	uint64_t cuts[] = {start, image_physical(image_start), image_physical(rodata_end), end};

	for (int i = 1; i < 3; i++) {
		if (cuts[i] < start)
			cuts[i] = start;
		if (cuts[i] > end)
			cuts[i] = end;
	}
	for (int i = 0; i < 3; i++) {
		if (cuts[i] < cuts[i + 1])
			mmu_map(MACHINE_DIRECT + cuts[i], cuts[i], cuts[i + 1] - cuts[i],
				MMU_NOEXEC | (i == 1 ? 0 : MMU_WRITE));
	}
}

static void
image_map(const uint8_t *start, const uint8_t *end, uint64_t flags)
{
	mmu_map((uint64_t)start, image_physical(start), (uint64_t)(end - start), flags);
}

static void
guard(const uint8_t *page)
{
	uint64_t *entry = entry_of((uint64_t)page);

	assert(entry);
	*entry = 0;
}

/* The stacks must be in small pages for this. */
static void
guards_make(void)
{
	for (uint32_t cpu = 0; cpu < AEGIS_CPUS; cpu++) {
		guard(cpu_stacks[cpu].guard_main);
		for (int i = 0; i < ISTS - 1; i++)
			guard(cpu_stacks[cpu].ist[i].guard);
	}
}

void
mmu_init(void)
{
	const uint8_t *low = (const uint8_t *)cpu_stacks;
	const uint8_t *high = low + sizeof(cpu_stacks);

	kasan_tables(kernel_root);
	huge_pages = feature_offered('d', 0x80000001, 0, 26);
	for (uint32_t i = 0; i < region_count; i++) {
		direct_map(regions[i].start, regions[i].end);
		kasan_memory(regions[i].start, regions[i].end);
	}
	image_map(image_start, text_end, 0);
	image_map(text_end, rodata_end, MMU_NOEXEC);
	image_map(rodata_end, low, MMU_NOEXEC | MMU_WRITE);
	for (const uint8_t *p = low; p < high; p += PAGE)
		image_map(p, p + PAGE, MMU_NOEXEC | MMU_WRITE);
	image_map(high, image_end, MMU_NOEXEC | MMU_WRITE);
	guards_make();
	table_of(&kernel_root[DEVICES >> 39 & 511]);
	mmu_enter();
}

void
mmu_enter(void)
{
	__asm__ volatile("movq %0, %%cr3" ::"r"(image_physical(kernel_root)) : "memory");
}

static void *
device_map(uint64_t address, uint64_t size, uint64_t flags)
{
	uint64_t start = address & ~(PAGE - 1);
	uint64_t length = (address - start + size + PAGE - 1) & ~(PAGE - 1);
	uint64_t align = length >= LARGE ? LARGE : PAGE;
	uint64_t va = device_next + ((start - device_next) & (align - 1));

	if (start + length < start || start + length > 1ul << 52 ||
	    va + length > DEVICES + (1ul << 39))
		panic("boot: device registers at an impossible address");
	device_next = va + length;
	mmu_map(va, start, length, flags | MMU_NOEXEC);
	return (void *)(va + (address - start));
}

void *
mmu_device(uint64_t address, uint64_t size)
{
	return device_map(address, size, MMU_WRITE | MMU_DEVICE);
}

const void *
mmu_firmware(uint64_t address, uint64_t size)
{
	return device_map(address, size, 0);
}

void
machine_space_load(uint32_t root_pfn)
{
	uint64_t root = root_pfn ? (uint64_t)root_pfn << 12 : image_physical(kernel_root);

	__asm__ volatile("movq %0, %%cr3" ::"r"(root) : "memory");
}

void
machine_space_init(uint32_t root_pfn)
{
	uint64_t *root = machine_frame(root_pfn), *to = root + 256, *from = kernel_root + 256;
	uint64_t n = 256;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n)::"memory");
	root[WINDOW_SLOT] = (uint64_t)root_pfn << 12 | AEGIS_PTE_PRESENT | AEGIS_PTE_USER |
			    AEGIS_PTE_ACCESSED | AEGIS_PTE_NX;
}
