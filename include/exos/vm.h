/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory of a program's own: a range, a page table of its choice, and frames.
 *
 * What remains for the program is policy: which frame for which page, who is a victim, what a fault means.
 *
 *	static struct exos_vm vm;
 *	static int absent(struct exos_vm *v, uint64_t va, struct aegis_frame *f) { ... exos_vm_fill ... }
 *	EXOS_HANDLER static int on_fault(struct aegis_frame *f) { return exos_vm_fault(&vm, f); }
 *
 *	exos_vm_make(&vm, pages, &exos_linear, pages);
 *	vm.absent = absent;
 *	exos_fault_handler(on_fault, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
 *
 * All but make and destroy may be used in a handler.
 */
#ifndef EXOS_VM_H
#define EXOS_VM_H

#include "fault.h"
#include "mem.h"
#include "pagetable.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXOS_VM_POOL 32u
#define EXOS_VM_RUN  16u

struct exos_vm {
	uint64_t start, end;
	const struct exos_table_ops *ops;
	struct exos_table *table;
	/* Of the program, EXOS_HANDLER; NULL: ExOS decides.  Not 0: go on. */
	int (*absent)(struct exos_vm *v, uint64_t va, struct aegis_frame *f); /* there is no page */
	int (*denied)(struct exos_vm *v, uint64_t va,
		      struct aegis_frame *f); /* it may not be written */
	uint64_t faults, rebound;
	uint32_t pool[EXOS_VM_POOL]; /* frames that are held and not bound */
	uint32_t pooled;
};

/* A range of `pages` pages, of which at most `present` are there at once.  0 or an error. */
int64_t exos_vm_make(struct exos_vm *v, uint64_t pages, const struct exos_table_ops *ops,
		     uint64_t present);
/* Gives back frames, addresses and table. */
void exos_vm_destroy(struct exos_vm *v);

/* What a fault handler does with an exception in the range; 0: it is not there, or nobody knows. */
int exos_vm_fault(struct exos_vm *v, struct aegis_frame *f);

/*
 * Pages from va on, at most n and EXOS_VM_RUN, where there are none, with AEGIS_BIND_ protection: frames of
 * the pool, which is filled from the kernel when it is empty.  A frame was cleared when it came from the
 * kernel; an evicted page's keeps its content.  0; -ENOMEM: none.
 */
int64_t exos_vm_fill(struct exos_vm *v, uint64_t va, uint32_t n, uint32_t prot);
/* No page at va; its frame goes to the pool, or back to the kernel.  AEGIS_WAS_DIRTY, _ACCESSED. */
int64_t exos_vm_evict(struct exos_vm *v, uint64_t va);
/* Protection of those of n pages that are there.  Answers AEGIS_WAS_*, together. */
int64_t exos_vm_protect(struct exos_vm *v, uint64_t va, uint32_t n, uint32_t prot);
/* Is there a page at va, and was it written since it was bound or its bits were cleared? */
bool exos_vm_dirty(const struct exos_vm *v, uint64_t va);

#ifdef __cplusplus
}
#endif

#endif
