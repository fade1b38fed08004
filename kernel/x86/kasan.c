/* SPDX-License-Identifier: MIT */
/*
 * The address sanitizer's runtime (kernels built with KASAN=1; this file is not instrumented).
 *
 * A shadow byte says how many of the first bytes of an aligned eight may be accessed: 0 all, 1..7
 * so many, negative none.  It lies at (address >> 3) + SHADOW, which the compiler computes inline.
 *
 *   kernel's image   shadow pages of its own, in the image, from the first function on: gaps
 *                    between variables, and stacks
 *   memory           shadow of its own, all of it good
 *   all else         one page of zeros: device registers, nothing is known about them
 *
 * User addresses have no shadow: the kernel never uses one, and a null pointer faults in the
 * shadow.
 */
#include "x86.h"
#include "kasan.h"

#define SHADOW       0xdffffc0000000000ul /* kernel.mk */
#define IMAGE_SHADOW ((KERNEL_BASE >> 3) + SHADOW)
#define IMAGE_PAGES  512u /* a page of shadow for 32 KiB of image: 16 MiB */
#define SLOT_FIRST   (((MACHINE_DIRECT >> 3) + SHADOW) >> 39 & 511)
#define SLOT_IMAGE   (IMAGE_SHADOW >> 39 & 511)
#define FLAGS        (AEGIS_PTE_PRESENT | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY)
#define WRITABLE     (FLAGS | AEGIS_PTE_WRITE)
#define POISON_GAP   0xf9
#define POISON_SCOPE 0xf8

extern uint64_t boot_root[512];
extern uint8_t image_end[];
extern void (*const init_begin[])(void), (*const init_end[])(void);

static uint8_t image_shadow[IMAGE_PAGES * PAGE] __attribute__((aligned(4096)));
static uint8_t zeros[PAGE] __attribute__((aligned(4096)));
/* Three levels of nothing but `zeros`, and three that lead to image_shadow. */
static uint64_t zero_tables[3][512] __attribute__((aligned(4096)));
static uint64_t image_tables[3][512] __attribute__((aligned(4096)));

static uint64_t
entry_for(const void *p, uint64_t flags)
{
	return ((uint64_t)p - KERNEL_BASE) | flags;
}

void
kasan_tables(uint64_t *root)
{
	/* The first slots are memory's, which kasan_memory fills. */
	for (uint64_t slot = SLOT_FIRST + 1; slot < SLOT_IMAGE; slot++)
		root[slot] = entry_for(zero_tables[2], WRITABLE);
	root[SLOT_IMAGE] = entry_for(image_tables[2], WRITABLE);
}

void
kasan_early(void)
{
	for (uint32_t i = 0; i < 512; i++) {
		zero_tables[0][i] = entry_for(zeros, FLAGS | AEGIS_PTE_NX);
		zero_tables[1][i] = entry_for(zero_tables[0], WRITABLE);
		zero_tables[2][i] = entry_for(zero_tables[1], WRITABLE);
		image_tables[0][i] = entry_for(image_shadow + i * PAGE, WRITABLE | AEGIS_PTE_NX);
		image_tables[1][i] = zero_tables[1][i];
		image_tables[2][i] = zero_tables[2][i];
	}
	image_tables[1][IMAGE_SHADOW >> 21 & 511] = entry_for(image_tables[0], WRITABLE);
	image_tables[2][IMAGE_SHADOW >> 30 & 511] = entry_for(image_tables[1], WRITABLE);
	kasan_tables(boot_root);
	boot_root[SLOT_FIRST] = entry_for(zero_tables[2], WRITABLE);
}

/* mmu_map wants whole pages, a page of shadow is eight frames; neighbours may share one. */
void
kasan_memory(uint64_t start, uint64_t end)
{
	uint64_t va = ((MACHINE_DIRECT + start) >> 3) + SHADOW;
	uint64_t limit = ((MACHINE_DIRECT + end - 1) >> 3) + SHADOW;

	for (va &= ~(PAGE - 1); va <= limit; va += PAGE) {
		if (!mmu_readable(va))
			mmu_map(va, early_alloc(), PAGE, MMU_WRITE | MMU_NOEXEC);
	}
}

void
kasan_globals(void)
{
	if ((uint64_t)image_end - KERNEL_BASE > IMAGE_PAGES * PAGE * 8ul)
		machine_panic("kasan: the image has outgrown its shadow", NULL);
	for (void (*const *f)(void) = init_begin; f < init_end; f++)
		(*f)();
}

static void
shadow_set(uint64_t address, uint64_t size, uint8_t value)
{
	uint8_t *shadow = (uint8_t *)((address >> 3) + SHADOW);

	for (uint64_t i = 0; i < size >> 3; i++)
		((volatile uint8_t *)shadow)[i] = value;
	if (size & 7)
		shadow[size >> 3] = value ? value : (uint8_t)(size & 7);
}

/* ---- what the compiler calls ---- */

static _Noreturn void
report(uint64_t address, uint64_t size, const char *what, void *caller)
{
	char why[128];

	print_to(why, sizeof(why), "kasan: %s of %lu bytes at %lx, in %016lx", what, size, address,
		 (uint64_t)caller);
	machine_panic(why, NULL);
}

#define REPORT(name, what, size)                                          \
	_Noreturn void __asan_report_##name##_noabort(uint64_t address);  \
	void __asan_report_##name##_noabort(uint64_t address)             \
	{                                                                 \
		report(address, size, what, __builtin_return_address(0)); \
	}

#define REPORT_N(name, what)                                                            \
	_Noreturn void __asan_report_##name##_noabort(uint64_t address, uint64_t size); \
	void __asan_report_##name##_noabort(uint64_t address, uint64_t size)            \
	{                                                                               \
		report(address, size, what, __builtin_return_address(0));               \
	}

REPORT(load1, "load", 1)
REPORT(load2, "load", 2)
REPORT(load4, "load", 4)
REPORT(load8, "load", 8)
REPORT(load16, "load", 16)
REPORT_N(load_n, "load")
REPORT(store1, "store", 1)
REPORT(store2, "store", 2)
REPORT(store4, "store", 4)
REPORT(store8, "store", 8)
REPORT(store16, "store", 16)
REPORT_N(store_n, "store")

/* Sizes that the compiler does not check inline. */
static void
range_check(uint64_t address, uint64_t size, const char *what, void *caller)
{
	for (uint64_t i = 0; i < size; i++) {
		int8_t shadow = *(int8_t *)(((address + i) >> 3) + SHADOW);

		if (shadow && (int8_t)((address + i) & 7) >= shadow)
			report(address, size, what, caller);
	}
}

void __asan_loadN_noabort(uint64_t address, uint64_t size);
void
__asan_loadN_noabort(uint64_t address, uint64_t size)
{
	range_check(address, size, "load", __builtin_return_address(0));
}

void __asan_storeN_noabort(uint64_t address, uint64_t size);
void
__asan_storeN_noabort(uint64_t address, uint64_t size)
{
	range_check(address, size, "store", __builtin_return_address(0));
}

struct global {
	uint64_t address, size, size_with_gap;
	const char *name, *module;
	uint64_t dynamic;
	const void *place;
	uint64_t indicator;
};

void __asan_register_globals(struct global *globals, uint64_t n);
void
__asan_register_globals(struct global *globals, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct global *g = &globals[i];
		uint64_t whole = (g->size + 7) & ~7ul;

		shadow_set(g->address, g->size, 0);
		shadow_set(g->address + whole, g->size_with_gap - whole, POISON_GAP);
	}
}

void __asan_unregister_globals(struct global *globals, uint64_t n);
void
__asan_unregister_globals(struct global *globals, uint64_t n)
{
	(void)globals;
	(void)n;
}

/* Frames above are abandoned: their gaps must not be found by who uses the stack next. */
void __asan_handle_no_return(void);
void
__asan_handle_no_return(void)
{
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	uint64_t low = (uint64_t)cpu_stacks, page = PAGE;
	uint64_t end;

	if (here < low || here >= low + sizeof(cpu_stacks))
		return;
	/* To the end of this stack: the next page that is mapped to nothing. */
	for (end = (here + page) & ~(page - 1); mmu_readable(end); end += page)
		;
	here &= ~7ul;
	shadow_set(here, end - here, 0);
}

#define SET_SHADOW(name, value)                                        \
	void __asan_set_shadow_##name(uint8_t *shadow, uint64_t size); \
	void __asan_set_shadow_##name(uint8_t *shadow, uint64_t size)  \
	{                                                              \
		for (uint64_t i = 0; i < size; i++)                    \
			((volatile uint8_t *)shadow)[i] = value;       \
	}

SET_SHADOW(00, 0x00)
SET_SHADOW(f1, 0xf1)
SET_SHADOW(f2, 0xf2)
SET_SHADOW(f3, 0xf3)
SET_SHADOW(f5, 0xf5)
SET_SHADOW(f8, 0xf8)

void __asan_poison_stack_memory(uint64_t address, uint64_t size);
void
__asan_poison_stack_memory(uint64_t address, uint64_t size)
{
	shadow_set(address, (size + 7) & ~7ul, POISON_SCOPE);
}

void __asan_unpoison_stack_memory(uint64_t address, uint64_t size);
void
__asan_unpoison_stack_memory(uint64_t address, uint64_t size)
{
	shadow_set(address, size, 0);
}
