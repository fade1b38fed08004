/* SPDX-License-Identifier: MIT */
/*
 * Physical memory.
 *
 * Frames are named by number (physical address / 4096).  A frame is free, or it belongs to the
 * account that allocated it and has a guard.  Address spaces *hold* frames: a holding is the secure
 * binding between a space and a frame, with the rights READ and WRITE, checked once when it is made
 * and remembered until it is dropped.  Only held frames can be bound to virtual addresses.  A frame
 * is free again when the last space lets go of it; nobody sees what another owner left in it.
 *
 * A space gets a holding by
 *   mem_alloc   a new frame, READ and WRITE
 *   mem_bind    an existing frame whose guard the capability dominates
 *   mem_share   from another space that holds it (done by the giver); tlb_write into another space
 *               shares what it binds
 * and loses it by mem_free, by revocation, or with the space.
 *
 * The kernel remembers holdings in pages that the library supplies (mem_table), one byte a frame, so
 * one page serves AEGIS_HOLD_SPAN frames.  A call that needs a page which is not there answers
 * NEED_TABLE; mem_alloc then writes the span into the record's flags.  The pages are readable by their own space: mem_bind of the page itself.
 *
 * What is free is exposed in a bitmap (system page: free_map_frame), a bit a frame, 1 = free.
 */
#ifndef AEGIS_MEM_H
#define AEGIS_MEM_H

#include <stdint.h>

#define AEGIS_ANY       0xffffffffu /* any frame, any processor, anyone */
#define AEGIS_HOLD_SPAN 4096u       /* frames whose holdings one page records */
#define AEGIS_BIND_MAX  31u         /* bindings of one frame in one space */

/* A frame record of a batch, in the caller's area. */
struct aegis_frame_rec {
	uint32_t pfn;   /* frame number; AEGIS_ANY for mem_alloc to choose, and it writes it back */
	uint32_t flags; /* rights for bind and share; AEGIS_FRAME_* for mem_mark */
};
_Static_assert(sizeof(struct aegis_frame_rec) == 8, "ABI");

/* Byte of a holdings page. */
#define AEGIS_HOLD_READ  0x80u
#define AEGIS_HOLD_WRITE 0x40u
#define AEGIS_HOLD_PIN   0x20u /* guaranteed: not taken by revocation */
#define AEGIS_HOLD_COUNT 0x1fu /* bindings of the frame in this space */

/*
 * mem_alloc.  A call allocates at most 64 frames, and answers how many records it did.  A run (flags
 * below) is searched for when the first record's pfn is AEGIS_ANY, for all n records; when the call did
 * fewer, the first of the rest names the frame at which the run goes on.  In the record at fault, flags
 * tells after NEED_TABLE the span (frame number / AEGIS_HOLD_SPAN) that lacks its holdings page, and
 * after AGAIN the span at which a search for a run goes on: leave it there, 0 at first.
 */
/* mem_alloc flags. */
#define AEGIS_ALLOC_CONTIGUOUS (1u << 0) /* the batch is one run of consecutive frames */
#define AEGIS_ALLOC_LARGE      (1u << 1) /* and starts at a multiple of 512 */
/* A frame that was last guarded by the same name may have what it had then: for frames that will be
 * written whole.  cap: ALLOC and READ. */
#define AEGIS_ALLOC_USED (1u << 2)

/* mem_mark flags. */
#define AEGIS_FRAME_DROPPABLE (1u << 0) /* clean: may be taken without asking, told afterwards */
#define AEGIS_FRAME_PIN       (1u << 1) /* counts against the guaranteed few of the space */

#define AEGIS_PINNED_MAX 512u /* guaranteed frames of one space besides tables and areas */

#endif
