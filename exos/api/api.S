/* SPDX-License-Identifier: MIT */
/*
 * The symbols exos_* of the vDSO, from include/exos/calls.def.
 *
 * A symbol of kind EXOS_CALL is called like a C function and enters the library as a rewritten system
 * call would: rcx is where to go on, rax the number, r10 the fourth argument.  All other registers come
 * back as they were, which is more than C asks for.
 */
#include "api_asm.h"

	.hidden core_site_entry

	.macro	ENTERED name
	.globl	exos_\name
	.type	exos_\name, @function
exos_\name:
	movq	%rcx, %r10
	movl	$EXOS_CALL_BASE + api_number, %eax
	popq	%rcx
	jmp	core_site_entry
	.size	exos_\name, . - exos_\name
	.set	api_number, api_number + 1
	.endm

	.text
	.set	api_number, 0
#define EXOS_CALL(name)   ENTERED name
#define EXOS_DIRECT(name)
#include <exos/calls.def>

/* Other clocks are a system call. */
	.macro	CLOCK name number
	.globl	__vdso_\name
	.type	__vdso_\name, @function
	.hidden	api_\name
__vdso_\name:
	cmpl	$API_CLOCKS_MAX, %edi
	ja	1f
	movl	$API_CLOCKS, %eax
	btl	%edi, %eax
	jc	api_\name
1:	movl	$\number, %eax
	popq	%rcx
	jmp	core_site_entry
	.size	__vdso_\name, . - __vdso_\name
	.endm

	CLOCK	clock_gettime 228
	CLOCK	clock_getres 229

	.section .note.GNU-stack, "", @progbits
