/* SPDX-License-Identifier: MIT */
/* keys_set of upcall.c, without its look at CONTROL_KEYS: clobbers rax rcx rdx. */
	.macro	KEYS_SET pkru
	movl	$\pkru, %eax
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	wrpkru
	.endm
