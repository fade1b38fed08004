/* SPDX-License-Identifier: MIT */
/*
 * The smallest kernel that answers: started through PVH, it checks that the boot module begins at a page
 * boundary with a newc header, says so on the first serial port, and ends the machine with 0x10 if
 * that is so and 0x20 if not.
 */
	.section .note, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	mov $0x20, %bp
	mov $no, %esi
	cmpl $0x336ec578, (%ebx)
	jne say
	cmpl $1, 12(%ebx)
	jne say
	mov 16(%ebx), %eax
	mov (%eax), %eax
	test $0xfff, %eax
	jnz say
	cmpl $0x37303730, (%eax)
	jne say
	cmpw $0x3130, 4(%eax)
	jne say
	mov $0x10, %bp
	mov $yes, %esi
say:
	mov $0x3f8, %dx
1:	lodsb
	test %al, %al
	jz 2f
	out %al, %dx
	jmp 1b
2:	mov %bp, %ax
	mov $0x501, %dx
	out %ax, %dx
	hlt
	jmp 2b

	.section .rodata
yes:	.asciz "archive found\r\n"
no:	.asciz "panic: no archive\r\n"
	.section .note.GNU-stack, "", @progbits
