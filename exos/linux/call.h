/* SPDX-License-Identifier: MIT */
/* A Linux system call on its way: arguments by position, and the context it came from. */
#ifndef EXOS_LINUX_CALL_H
#define EXOS_LINUX_CALL_H

#include <stddef.h>
#include <stdint.h>

#include <aegis/fault.h>

/*
 * Lies over the scratch registers of the frame that the call came with, whose order is made for it:
 * frame->rdi .. r9 are the arguments, rax the number; r11, which a call destroys, holds a pointer.
 */
struct call {
	uint64_t a[6];    /* rdi rsi rdx r10 r8 r9 */
	uint64_t number;  /* rax */
	uint64_t unused;  /* rcx */
	uint64_t *callee; /* r15 r14 r13 r12 rbp rbx as the program has them; only in call_serve */
};
_Static_assert(sizeof(struct call) ==
		       offsetof(struct aegis_frame, rip) - offsetof(struct aegis_frame, rdi),
	       "overlay");

static inline struct aegis_frame *
call_frame(struct call *c)
{
	return (struct aegis_frame *)((uint8_t *)c - offsetof(struct aegis_frame, rdi));
}

static inline struct call *
call_of(struct aegis_frame *frame)
{
	return (struct call *)&frame->rdi;
}

/*
 * Calls from rewritten sites go from upcall.S straight to call_handlers[number], NULL where the whole
 * context is needed or nobody serves; an odd one is 1 more than the address of the 32-bit answer.  What
 * the fast way leaves over comes here.
 */
typedef int64_t (*call_handler)(struct call *);
extern const call_handler call_handlers[];
/* read and write have core_leaf in call_handlers, whose bit 1 is set; it comes here when it must. */
extern const call_handler call_leaf_handlers[2];
extern const char core_leaf[];
void call_finish(struct aegis_frame *frame, uint64_t callee[6]); /* answered, signals may be due */
void call_serve(struct aegis_frame *frame, uint64_t callee[6]);  /* the whole, trapped or not */

/* A timespec of the program's as nanoseconds, no more than some centuries.  -EFAULT, -EINVAL. */
int timespec_in(uint64_t from, uint64_t *ns);

int64_t call_dispatch(struct call *c); /* dispatch.c: result, or a negative error number */

#endif
