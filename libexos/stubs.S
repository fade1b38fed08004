/* SPDX-License-Identifier: MIT */
/* exos_NAME of the client: a jump to the image's, through the table that client.c fills. */
	.macro	STUB name
	.globl	exos_\name
	.type	exos_\name, @function
exos_\name:
	jmp	*exos_table + 8 * number(%rip)
	.size	exos_\name, . - exos_\name
	.set	number, number + 1
	.endm

	.text
	.set	number, 0
#define EXOS_CALL(name)   STUB name
#define EXOS_DIRECT(name) STUB name
#include <exos/calls.def>

	.section .note.GNU-stack, "", @progbits
