/* SPDX-License-Identifier: MIT */
/*
 * Batches of records in the caller's area.
 *
 * Records are naturally aligned powers of two, so none straddles two pages; each is reached
 * through the kernel's own mapping of the area's frames, and each of its values is read exactly
 * once.  The area cannot change during the call: only its own environment or, when that does
 * not run, another could.
 */
#ifndef KERNEL_BATCH_H
#define KERNEL_BATCH_H

#include "kernel.h"

struct batch {
	struct env *env;
	uint8_t *at; /* the current record, while any is left */
	uint32_t offset, size;
	uint32_t left, done; /* records of this call, at most AEGIS_BATCH_STEPS */
};

/* All n records of `size` bytes lie in the area.  n may be 0. */
static inline bool
batch_start(struct batch *b, struct env *e, uint32_t offset, uint32_t n, uint32_t size)
{
	uint64_t limit = (uint64_t)e->setup.area_pages * PAGE;

	b->env = e;
	b->offset = offset;
	b->size = size;
	b->left = n < AEGIS_BATCH_STEPS ? n : AEGIS_BATCH_STEPS;
	b->done = 0;
	if (offset % size || (uint64_t)offset + (uint64_t)n * size > limit)
		return false;
	b->at = n ? area_at(e, offset, size) : NULL;
	return !n || b->at;
}

/* To the next, if there is one. */
static inline void
batch_next(struct batch *b)
{
	b->done++;
	if (!--b->left)
		return;
	b->offset += b->size;
	b->at += b->size;
	if (b->offset % PAGE == 0)
		b->at = area_at(b->env, b->offset, b->size);
}

static inline struct aegis_frame_rec
batch_frame(const struct batch *b)
{
	const volatile struct aegis_frame_rec *r = (const void *)b->at;

	return (struct aegis_frame_rec){r->pfn, r->flags};
}

#endif
