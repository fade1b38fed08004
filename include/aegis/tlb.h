/* SPDX-License-Identifier: MIT */
/*
 * Address translation.
 *
 * The hardware page table of a space is the kernel's cache of secure bindings between virtual pages
 * and held frames.  The truth is the library's own structure.  A miss is an exception to the
 * environment's handler, which installs bindings in batches.  Bindings may vanish at any time unless
 * they are guaranteed; accessed and dirty bits are read through AEGIS_WINDOW.
 *
 * Batches are arrays of struct aegis_bind in the caller's area.  A call works through at most
 * AEGIS_BATCH_STEPS records and returns how many it did; fewer than asked means: call again with the
 * rest, and if the first of the rest is at fault the answer is its error.  Nothing is done for a
 * record at fault.
 *
 *   tlb_write    binds pages: one, or with AEGIS_BIND_MORE(n) a run of 1 + n consecutive pages and
 *                frames; or (AEGIS_BIND_TABLE) supplies a page table: the frame must be held,
 *                not bound and not shared; it leaves the holdings until the table is deleted
 *   tlb_protect  changes protection of `pages` pages from va, clears accessed and dirty
 *   tlb_delete   unbinds `pages` pages from va, or (AEGIS_BIND_TABLE) takes an empty table back
 *
 * All look at a bounded number of entries in a call.  A record that is not done then, or whose pages
 * from some va on are at fault, is narrowed to what remains (va, pfn, for a run also the number in
 * prot); the other bits in prot are kept.  0 records done is an answer too: call again.
 *
 * protect and delete write into the record's prot AEGIS_WAS_ACCESSED and AEGIS_WAS_DIRTY, the
 * disjunction over the pages of the record.  Pages not bound are skipped.  Other processors that run
 * the space are told once a batch, and have answered before the call returns.
 */
#ifndef AEGIS_TLB_H
#define AEGIS_TLB_H

#include <stdint.h>

#define AEGIS_BATCH_STEPS 128u

struct aegis_bind {
	uint64_t va;   /* page address */
	uint32_t pfn;  /* write: frame number; protect, delete: number of pages */
	uint32_t prot; /* AEGIS_BIND_* */
};
_Static_assert(sizeof(struct aegis_bind) == 16, "ABI");

#define AEGIS_BIND_READ       (1u << 0)
#define AEGIS_BIND_WRITE      (1u << 1)
#define AEGIS_BIND_EXEC       (1u << 2)
#define AEGIS_BIND_GUARANTEED (1u << 3) /* never dropped before the space ends; frame is pinned */
#define AEGIS_BIND_LARGE      (1u << 4) /* 2 MiB: va and pfn aligned, all 512 frames held */
#define AEGIS_BIND_TABLE      (1u << 5) /* the record supplies or takes back a table */
#define AEGIS_BIND_UNCACHED   (1u << 6) /* device frames only */
#define AEGIS_BIND_CLEAR      (1u << 7) /* protect: keep protection, only clear A and D */
#define AEGIS_BIND_LEVEL(n)   ((uint32_t)(n) << 8)  /* table level: 1 page table, 2, 3 */
#define AEGIS_BIND_KEY(n)     ((uint32_t)(n) << 12) /* protection key 0..15 */
#define AEGIS_BIND_MORE(n)    ((uint32_t)(n) << 16) /* write: n <= AEGIS_RUN_MAX - 1 more pages */
#define AEGIS_RUN_MAX         4096u
#define AEGIS_WAS_ACCESSED    (1u << 30)
#define AEGIS_WAS_DIRTY       (1u << 31)

/* space_create flags. */
#define AEGIS_SPACE_WX (1u << 0) /* bindings may be writable and executable at once */

/* Frames that space_create and env_create consume, in this order, from the batch. */
#define AEGIS_SPACE_FRAMES 3u /* object, holdings directory, top table */
#define AEGIS_ENV_FRAMES   3u /* object, vector state, exposed page */

#endif
