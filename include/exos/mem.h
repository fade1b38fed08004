/* SPDX-License-Identifier: MIT */
/*
 * Memory that a program manages itself.
 *
 * exos_range_own() takes a range of addresses out of ExOS's hands: nothing is bound there, no fault is
 * mended, mprotect is refused.  Frames, bindings and their protection are then between the program and
 * the kernel; what the page table looks like, which page is in memory, who is a victim, is the program's.
 * Except for the calls marked CALL nothing below enters ExOS; all may be used in a handler (fault.h).
 *
 *	munmap, or a mapping in its place, ends the range: its bindings go, and the frames bound in it
 *	fork	leaves the range to the child, empty; with a handler of its own the child may fill it
 *	exec	ends it; frames that are held and not bound stay the process's until it ends
 *
 * Bindings may vanish at any time (aegis/tlb.h): a handler that finds a page in the program's table
 * binds it again.  Results are >= 0 or a negative Linux error number: -ENOMEM no frames, -EPERM a frame
 * that the process does not hold with these rights, -EBUSY it is in use, -EINVAL a bad address or
 * protection, -EACCES writable and executable at once.
 */
#ifndef EXOS_MEM_H
#define EXOS_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include <aegis/aegis.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * CALL.  addr: page aligned and free, or 0: ExOS chooses.  Answers the address.  -EEXIST: something is
 * mapped there; -EINVAL, -ENOMEM: not the program's to have.
 */
int64_t exos_range_own(uint64_t addr, uint64_t len);

/*
 * Where things lie.  Two parts of the area are the program's for batches: one for its own code, one for
 * its handlers, so that a handler spoils no batch that it interrupts.  Offsets are what Aegis calls take.
 */
struct exos_places {
	uint64_t area;                  /* address of the area, whose first word is `defer` */
	uint64_t env_page, system_page; /* struct aegis_env_page, struct aegis_system_page */
	uint64_t space;                 /* of the number of the process's space, uint32_t */
	uint32_t program_batch, program_binds; /* offset, and how many struct aegis_bind */
	uint32_t handler_batch, handler_binds;
	uint32_t cap; /* slot of the process's own name, for mem_alloc */
	uint32_t reserved;
};
/* CALL.  0; -EFAULT. */
int64_t exos_mem_places(struct exos_places *places);

/* ---- frames ---- */

/* n frames, cleared, into pfns: any where pfns[i] is AEGIS_ANY, else that very frame.  All or none. */
int64_t exos_frames_alloc(uint32_t *pfns, uint32_t n);
/* Gives them back; frames that are still bound stay.  Answers how many went. */
int64_t exos_frames_free(const uint32_t *pfns, uint32_t n);

/* ---- bindings ---- */

/* Binds records anywhere in the program's ranges (prot: AEGIS_BIND_*), supplying tables.  0. */
int64_t exos_bind(const struct aegis_bind *binds, uint32_t n);
int64_t exos_bind_one(uint64_t va, uint32_t pfn, uint32_t prot);
/*
 * Unbinds n pages from va on; not bound are skipped.  Answers AEGIS_WAS_ACCESSED and AEGIS_WAS_DIRTY for all of
 * them together.
 */
int64_t exos_unbind(uint64_t va, uint32_t n);
/* Protection of n pages, as exos_unbind; clears their accessed and dirty bits. */
int64_t exos_protect(uint64_t va, uint32_t n, uint32_t prot);
/* One call for several ranges, each with its own protection; prot gets AEGIS_WAS_*. */
int64_t exos_protect_each(struct aegis_bind *ranges, uint32_t n);
/*
 * Without a copy: ranges written straight into the batch that the next call takes (EXOS_BATCH_RECORDS of them at least), and
 * after exos_batch_protect(n) what the kernel wrote there.  Any other function of this page overwrites it.  n, or an
 * error; fewer than n: the record of that number is narrowed to what remains, see aegis/tlb.h.
 */
#define EXOS_BATCH_RECORDS 32u
struct aegis_bind *exos_batch(void);
int64_t exos_batch_protect(uint32_t n);
/* Clears accessed and dirty bits of n pages; answers what they were, together. */
int64_t exos_clean(uint64_t va, uint32_t n);
/* Page tables for the range, so that exos_pte may be read in all of it. */
int64_t exos_tables(uint64_t va, uint64_t len);

/*
 * The hardware's entry for va, without a call: AEGIS_PTE_PRESENT, _WRITE, _ACCESSED, _DIRTY.  Only where there is a
 * table: something within 2 MiB was bound once, or exos_tables was called.
 */
static inline uint64_t
exos_pte(uint64_t va)
{
	return *aegis_window(va);
}

static inline bool
exos_dirty(uint64_t va)
{
	return exos_pte(va) & AEGIS_PTE_DIRTY;
}

#ifdef __cplusplus
}
#endif

#endif
