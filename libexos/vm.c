/* SPDX-License-Identifier: MIT */
/*
 * A range, a page table and frames, put together (include/exos/vm.h).
 *
 * 1. The table is changed before the kernel's bindings where a right is added, so that a fault in
 *    between finds the truth in the table and binds by it.
 * 2. Frames of the pool are held, not bound, and in no table.
 * 3. A binding that the kernel drops takes its dirty bit along: who binds again notes it in the entry.
 *
 * Compiled without vector registers: handlers may call all of it.
 */
#include "priv.h"

#include <sys/mman.h>

#include <exos/vm.h>

#define PAGE          4096ul
#define PREPARE       (1ul << 28) /* ranges up to this get their hardware tables at once */
#define FAULT_PRESENT 1u
#define FAULT_WRITE   2u

int64_t
exos_vm_make(struct exos_vm *v, uint64_t pages, const struct exos_table_ops *ops, uint64_t present)
{
	int64_t at = exos_range_own(0, pages * PAGE);

	if (at < 0)
		return at;
	*v = (struct exos_vm){
		.start = (uint64_t)at, .end = (uint64_t)at + pages * PAGE, .ops = ops};
	v->table = ops->make(v->start, pages, present);
	if (v->table && (pages * PAGE > PREPARE || exos_tables(v->start, pages * PAGE) == 0))
		return 0;
	if (v->table)
		ops->destroy(v->table);
	munmap((void *)v->start, pages * PAGE);
	return -ENOMEM;
}

void
exos_vm_destroy(struct exos_vm *v)
{
	uint64_t cursor = 0, va;
	uint32_t entry;

	while (v->ops->next(v->table, &cursor, &va, &entry)) {
		uint32_t pfn = entry & EXOS_PAGE_PFN;

		exos_unbind(va, 1);
		exos_frames_free(&pfn, 1);
	}
	exos_frames_free(v->pool, v->pooled);
	munmap((void *)v->start, v->end - v->start);
	v->ops->destroy(v->table);
	*v = (struct exos_vm){0};
}

int
exos_vm_fault(struct exos_vm *v, struct aegis_frame *f)
{
	uint64_t va = f->addr & -PAGE;
	uint32_t entry;

	if (f->cause != AEGIS_CAUSE_PAGE || va - v->start >= v->end - v->start)
		return 0;
	v->faults++;
	/* It is bound, and not for writing: the table would say the same. */
	if ((f->error & (FAULT_PRESENT | FAULT_WRITE)) == (FAULT_PRESENT | FAULT_WRITE) &&
	    v->denied)
		return v->denied(v, va, f);
	entry = v->ops->lookup(v->table, va);
	if (!(entry & EXOS_PAGE_PFN))
		return v->absent ? v->absent(v, va, f) : 0;
	if ((f->error & FAULT_WRITE) && !(entry & EXOS_PAGE_WRITE))
		return v->denied ? v->denied(v, va, f) : 0;
	v->rebound++;
	if (entry & EXOS_PAGE_WRITE)
		v->ops->set(v->table, va, entry | EXOS_PAGE_REBOUND);
	return exos_bind_one(va, entry & EXOS_PAGE_PFN, entry >> 24 & 3) == 0;
}

static bool
pool_fill(struct exos_vm *v)
{
	uint32_t want = EXOS_VM_POOL;

	for (; want; want /= 2) {
		for (uint32_t i = 0; i < want; i++)
			v->pool[i] = AEGIS_ANY;
		if (exos_frames_alloc(v->pool, want) == 0)
			break;
	}
	v->pooled = want;
	return want;
}

int64_t
exos_vm_fill(struct exos_vm *v, uint64_t va, uint32_t n, uint32_t prot)
{
	struct aegis_bind binds[EXOS_VM_RUN];
	uint32_t count = 0;

	n = n < EXOS_VM_RUN ? n : EXOS_VM_RUN;
	for (uint64_t end = va + n * PAGE; va < end && va < v->end; va += PAGE) {
		uint32_t pfn;

		if (n > 1 && (v->ops->lookup(v->table, va) & EXOS_PAGE_PFN))
			continue;
		if (!v->pooled && !pool_fill(v))
			break;
		pfn = v->pool[v->pooled - 1];
		if (!v->ops->set(v->table, va, pfn | EXOS_PAGE_PROT(prot & 3)))
			break;
		v->pooled--;
		binds[count++] = (struct aegis_bind){va, pfn, prot};
	}
	/* What is in the table is bound at the next touch, if not now. */
	if (count == 1)
		return exos_bind_one(binds[0].va, binds[0].pfn, prot);
	return count ? exos_bind(binds, count) : -ENOMEM;
}

int64_t
exos_vm_evict(struct exos_vm *v, uint64_t va)
{
	uint32_t entry = v->ops->lookup(v->table, va), pfn = entry & EXOS_PAGE_PFN;
	int64_t was;

	if (!pfn)
		return 0;
	v->ops->set(v->table, va, 0);
	was = exos_unbind(va, 1);
	if (v->pooled < EXOS_VM_POOL)
		v->pool[v->pooled++] = pfn;
	else
		exos_frames_free(&pfn, 1);
	/* Not even accessed: perhaps the binding was gone, and its bits with it. */
	return (entry & EXOS_PAGE_REBOUND) || !was ? AEGIS_WAS_DIRTY | AEGIS_WAS_ACCESSED : was;
}

int64_t
exos_vm_protect(struct exos_vm *v, uint64_t va, uint32_t n, uint32_t prot)
{
	v->ops->protect(v->table, va, n, EXOS_PAGE_PROT(prot & 3));
	return range_change(AEGIS_CALL_tlb_protect, va, n, prot);
}

bool
exos_vm_dirty(const struct exos_vm *v, uint64_t va)
{
	uint32_t entry = v->ops->lookup(v->table, va);
	uint64_t pte;

	if (!(entry & EXOS_PAGE_PFN))
		return false;
	pte = exos_pte(va);
	return (pte & AEGIS_PTE_DIRTY) || !(pte & AEGIS_PTE_PRESENT) || (entry & EXOS_PAGE_REBOUND);
}
