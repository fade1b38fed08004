/* SPDX-License-Identifier: MIT */
/* A Linux system call on its way: arguments by position, and the context it came from. */
#ifndef EXOS_LINUX_CALL_H
#define EXOS_LINUX_CALL_H

#include <stddef.h>
#include <stdint.h>

#include <aegis/fault.h>

/*
 * Lies over the scratch registers of the frame that the call came with, whose order is made for it:
 * frame->rdi .. r9 are the arguments, rax the number; rcx and r11, which a call destroys, hold the
 * pointers.
 */
struct call {
	uint64_t a[6];   /* rdi rsi rdx r10 r8 r9 */
	uint64_t number; /* rax */
	struct aegis_frame *frame;
	uint64_t *
		callee; /* r15 r14 r13 r12 rbp rbx as the program has them; NULL on the short way in */
};
_Static_assert(sizeof(struct call) ==
		       offsetof(struct aegis_frame, rip) - offsetof(struct aegis_frame, rdi),
	       "overlay");

static inline struct call *
call_of(struct aegis_frame *frame, uint64_t *callee)
{
	struct call *c = (struct call *)&frame->rdi;

	c->frame = frame;
	c->callee = callee;
	return c;
}

/* Entries of a call: call.c. */
enum call_end { CALL_DONE, CALL_FINISH, CALL_FULL };
uint64_t call_fast(struct aegis_frame *frame);                   /* from a rewritten site */
void call_finish(struct aegis_frame *frame, uint64_t callee[6]); /* it was interrupted by signals */
void call_serve(struct aegis_frame *frame, uint64_t callee[6]);  /* the whole, trapped or not */

int64_t call_dispatch(struct call *c); /* dispatch.c: result, or a negative error number */

#endif
