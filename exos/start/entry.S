/* SPDX-License-Identifier: MIT */
/* Where the kernel enters the boot environment: rdi = boot page, rsp = top of the boot area. */
	.text
	.globl exos_entry
	.hidden exos_entry, boot_start
exos_entry:
	xorl	%ebp, %ebp
	call	boot_start
	ud2
	.section .note.GNU-stack, "", @progbits
