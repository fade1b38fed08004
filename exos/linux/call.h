/* SPDX-License-Identifier: MIT */
/* A Linux system call on its way: arguments by position, and the context it came from. */
#ifndef EXOS_LINUX_CALL_H
#define EXOS_LINUX_CALL_H

#include <stdint.h>

struct aegis_frame;

struct call {
	uint64_t a[6];	   /* rdi rsi rdx r10 r8 r9 */
	uint64_t number;   /* rax */
	struct aegis_frame *frame;
	uint64_t *callee;  /* r15 r14 r13 r12 rbp rbx as the program has them */
};

int64_t call_dispatch(struct call *c); /* dispatch.c: result, or a negative error number */

#endif
