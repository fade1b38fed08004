/* SPDX-License-Identifier: MIT */
/* Where the shadow of the kernel half lies, for kasan.c, mmu.c and kernel.mk (KASAN=1). */
#ifndef KERNEL_X86_KASAN_H
#define KERNEL_X86_KASAN_H

#ifdef KERNEL_KASAN
void kasan_early(void);            /* boot.S: before the first function that looks at the shadow */
void kasan_tables(uint64_t *root); /* the shared part of the shadow, into a top table */
void kasan_memory(uint64_t start,
		  uint64_t end); /* shadow of its own for memory in the direct map */
void kasan_globals(void);        /* constructors: the gaps between variables */
#else
static inline void
kasan_tables(uint64_t *root)
{
	(void)root;
}

static inline void
kasan_memory(uint64_t start, uint64_t end)
{
	(void)start;
	(void)end;
}

static inline void
kasan_globals(void)
{
}
#endif

#endif
