/* SPDX-License-Identifier: MIT */
/* Shared by the files of exos/vm. */
#ifndef EXOS_VM_PRIV_H
#define EXOS_VM_PRIV_H

#include "exos/core/core.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"
#include "vm.h"

#define PAGE       4096ul
#define CHUNK_SIZE (VM_CHUNK_PAGES * PAGE)
#define RUN_MAX    64u /* frames gathered on the stack for one call */

static inline uint64_t
page_down(uint64_t va)
{
	return va & ~(PAGE - 1);
}

static inline uint64_t
page_up(uint64_t va)
{
	return (va + PAGE - 1) & ~(PAGE - 1);
}

#define SIZES ((volatile struct svc_sizes *)(EXOS_MSG + SVC_MSG_BYTES))

/* What vm_tell tells. */
static inline void
sizes_tell(const struct vm *v)
{
	volatile struct svc_sizes *sizes = SIZES;

	sizes->virtual = v->virtual;
	sizes->resident = v->pages;
}

/* page.c: the entry of va's page; NULL if its chunk is not there (or, with make, no memory). */
uint32_t *page_entry(uint64_t va, bool make);
/* Index of the first chunk of entries at or behind `base` (address / 1 MiB). */
uint32_t page_chunk(const struct vm *v, uint64_t base);
/* First present page in [va, end) and the end of the run of present pages behind it; false: none. */
bool page_run(uint64_t *va, uint64_t end, uint64_t *run_end);
/* Forgets the pages of [start, end): unbinds, lets go of private frames. */
void page_drop(uint64_t start, uint64_t end);
/* Binds again what is present in [start, end) with the protection that r now gives. */
int page_rebind(const struct region *r, uint64_t start, uint64_t end);
uint32_t page_prot(const struct region *r, uint32_t entry);
/* Frames for the whole of a shared anonymous region, now. */
int page_populate(const struct region *r);
/* Moves entries and bindings of len bytes from one address to another. */
int page_move(uint64_t from, uint64_t to, uint64_t len);

/* The page at va will be written after the next fork, as it was after the last one. */
void hot_note(struct vm *v, uint64_t va);

/* own.c: unbinds what the program bound in its own ranges inside [start, end); frees the frames. */
void own_drop(uint64_t start, uint64_t end);

/* region.c */
int region_split(struct vm *v, uint64_t at); /* no region then contains at in its inside */
int region_insert(struct vm *v, const struct region *r);
void region_remove(struct vm *v, uint32_t i);
uint32_t region_index(const struct vm *v, uint64_t addr); /* first region with end > addr */

#endif
