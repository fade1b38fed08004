/* SPDX-License-Identifier: MIT */
/*
 * The part of machine.h that must cost no call: included by it when the kernel is built for x86-64.
 * Context as there: interrupts off, GS is struct percpu, MSR_KERNEL_GS_BASE is the user's GS base.
 */
#ifndef KERNEL_X86_INLINE_H
#define KERNEL_X86_INLINE_H

#include "asm.h"

#define MACHINE_DIRECT 0xffff800000000000ul /* where all memory is mapped */

extern bool x86_has_keys; /* CPUID offers protection keys */

static inline uint32_t
machine_cpu(void)
{
	uint32_t cpu;

	__asm__("movl %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline void *
machine_local(void)
{
	void *local;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(local) : "i"(PERCPU_LOCAL));
	return local;
}

static inline void
machine_set_local(void *local)
{
	__asm__ volatile("movq %0, %%gs:%c1" ::"r"(local), "i"(PERCPU_LOCAL) : "memory");
}

static inline void *
machine_caller(void)
{
	void *caller;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(caller) : "i"(PERCPU_CALLER));
	return caller;
}

static inline void *
machine_sender(void)
{
	void *sender;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(sender) : "i"(PERCPU_SENDER));
	return sender;
}

static inline void
machine_caller_clear(void)
{
	__asm__ volatile("movq $0, %%gs:%c0; movq $0, %%gs:%c1" ::"i"(PERCPU_CALLER),
			 "i"(PERCPU_SENDER)
			 : "memory");
}

static inline uint64_t
machine_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void *
machine_frame(uint32_t pfn)
{
	return (void *)(MACHINE_DIRECT + ((uint64_t)pfn << 12));
}

static inline void
machine_clear(uint64_t *words, uint64_t n)
{
	__asm__ volatile("rep stosq" : "+D"(words), "+c"(n) : "a"(0ul) : "memory");
}

static inline void
machine_frame_clear(uint32_t pfn)
{
	machine_clear(machine_frame(pfn), 512);
}

static inline void
machine_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline uint64_t
machine_pte_nx(void)
{
	return 1ul << 63;
}

static inline void
machine_tlb_flush_page(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

static inline void
machine_tlb_flush_all(void)
{
	uint64_t root;

	__asm__ volatile("movq %%cr3, %0; movq %0, %%cr3" : "=r"(root)::"memory");
}

static inline uint64_t
machine_fs_base(void)
{
	uint64_t base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

/* The selectors, of data too, are cleared where user code has set them: the next one would read them.
 */
static inline void
machine_set_fs_base(uint64_t base)
{
	uint32_t fs, ds, es;

	__asm__ volatile("movl %%fs, %0; movl %%ds, %1; movl %%es, %2"
			 : "=r"(fs), "=r"(ds), "=r"(es));
	if (__builtin_expect((fs | ds | es) != 0, 0))
		__asm__ volatile("movl %0, %%fs; movl %0, %%ds; movl %0, %%es" ::"r"(0));
	__asm__ volatile("wrfsbase %0" ::"r"(base));
}

static inline uint64_t
machine_gs_base(void)
{
	uint64_t base;

	__asm__ volatile("swapgs; rdgsbase %0; swapgs" : "=r"(base)::"memory");
	return base;
}

static inline void
machine_set_gs_base(uint64_t base)
{
	uint32_t selector;

	/* A base that is not canonical would fault here, in the kernel. */
	if ((uint64_t)((int64_t)(base << 16) >> 16) != base)
		base = 0;
	__asm__ volatile("movl %%gs, %0" : "=r"(selector));
	if (__builtin_expect(selector != 0, 0))
		__asm__ volatile("swapgs; movl %1, %%gs; wrgsbase %0; swapgs" ::"r"(base), "r"(0)
				 : "memory");
	else
		__asm__ volatile("swapgs; wrgsbase %0; swapgs" ::"r"(base) : "memory");
}

static inline uint32_t
machine_pkru(void)
{
	uint32_t pkru, high;

	if (!x86_has_keys)
		return 0;
	__asm__ volatile("rdpkru" : "=a"(pkru), "=d"(high) : "c"(0));
	return pkru;
}

/* WRPKRU serialises, and emulators forget all translations at it: not for nothing. */
static inline void
machine_set_pkru(uint32_t pkru)
{
	if (x86_has_keys && machine_pkru() != pkru)
		__asm__ volatile("wrpkru" ::"a"(pkru), "c"(0), "d"(0) : "memory");
}

#endif
