/* SPDX-License-Identifier: MIT */
/*
 * A small generational collector whose write barrier is the protection of pages.
 *
 * New nodes lie in the nursery.  A minor collection copies those that live into the old generation, whose
 * full pages may then not be written: the first store into one is a fault, and the page is looked
 * through at the next collection.  When the old generation is full, a major collection copies all that lives into
 * its other half.
 */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

struct node {
	struct node *left, *right;
	uint64_t value;
	struct node *forward; /* where it was copied to, in a collection */
};

#define GC_ROOTS     16u
#define GC_NURSERY   8192u /* nodes */
#define GC_OLD_PAGES 320u  /* of one half; a page has 128 nodes */

struct gc_count {
	uint64_t minor, major;
	uint64_t faults; /* pages that were written for the first time since they were protected */
	uint64_t copied; /* nodes */
};

/* The program's pointers, between calls of gc_alloc: collections move nodes. */
extern struct node *gc_roots[GC_ROOTS];
extern struct gc_count gc_count;

/* False: no memory.  signals: protect by mprotect and SIGSEGV even on ExOS. */
bool gc_make(bool signals);
/* A node with these children; may collect, so that children must be reachable from roots. */
struct node *gc_alloc(struct node *left, struct node *right, uint64_t value);
void gc_collect(void); /* minor, and major when it has to be */

#endif
