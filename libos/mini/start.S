/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel enters mini, and where mini leaves the processor.
 *
 * 1. mini_begin goes on with the context at mini.resume, or begins a child.
 * 2. From mini_resume_start to mini_resume_rip the frame at rsp is intact (aegis/fault.h).
 */
#include "mini.h"

	.macro	CALLEE_PUSH
	.irp	r, rbx, rbp, r12, r13, r14, r15
	pushq	%\r
	.endr
	.endm
	.macro	CALLEE_POP
	.irp	r, r15, r14, r13, r12, rbp, rbx
	popq	%\r
	.endr
	.endm
	.macro	ENTRY name
	.globl	\name
\name:
	.endm

	.text
ENTRY _start
	leaq	boot_stack_end(%rip), %rsp
	xorl	%ebp, %ebp
	call	mini_boot
	ud2

ENTRY mini_begin
	movq	%gs:MINI_RESUME, %rsp
	testq	%rsp, %rsp
	jz	1f
	movq	$0, %gs:MINI_RESUME
	CALLEE_POP
	movabsq	$1 << 62, %rax
	ret
1:	movq	%gs:MINI_STACK, %rsp
	xorl	%ebp, %ebp
	call	mini_child
	ud2

ENTRY mini_leave
	CALLEE_PUSH
	movq	%rsp, %gs:MINI_RESUME
	leaq	MINI_CALLS(%rdi), %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	syscall
	movq	$0, %gs:MINI_RESUME
	CALLEE_POP
	ret

ENTRY mini_transfer
	CALLEE_PUSH
	movq	%rsp, %gs:MINI_RESUME
	pushq	%rsi
	movq	%rdi, %rax
	movq	0(%rsi), %rdi
	movq	16(%rsi), %rdx
	movq	24(%rsi), %r8
	movq	32(%rsi), %r9
	movq	40(%rsi), %r10
	movq	8(%rsi), %rsi
	syscall
	movq	$0, %gs:MINI_RESUME
	popq	%rcx
	movq	%rdi, 0(%rcx)
	movq	%rsi, 8(%rcx)
	movq	%rdx, 16(%rcx)
	movq	%r8, 24(%rcx)
	movq	%r9, 32(%rcx)
	movq	%r10, 40(%rcx)
	CALLEE_POP
	ret

/* A protected control transfer comes in: six registers are the message, both ways. */
ENTRY mini_call
	pushq	%r10
	pushq	%r9
	pushq	%r8
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	movq	%rsp, %rdi
	movl	%eax, %esi
	xorl	%ebp, %ebp
	call	mini_called
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%r8
	popq	%r9
	popq	%r10
	movl	$MINI_CALLS + 31, %eax
	syscall
	ud2

/* An upcall at the last jump of a resume came when all was restored but rip. */
	.macro	HANDLER function
	leaq	mini_resume_jump(%rip), %rax
	cmpq	%rax, FRAME_RIP(%rdi)
	jne	9f
	movq	%gs:MINI_TARGET, %rax
	movq	%rax, FRAME_RIP(%rdi)
9:	CALLEE_PUSH
	subq	$16, %rsp
	call	\function
	addq	$16, %rsp
	CALLEE_POP
	.endm

ENTRY mini_fault_entry
	HANDLER	mini_fault
	cmpl	$0, FRAME_DEFERRED(%rsp)
	je	mini_resume_start
	jmp	mini_restore

ENTRY mini_async_entry
	HANDLER	mini_async

/* Without iretq: QEMU before 9.1 reads the stack for it as the supervisor, which SMAP forbids. */
ENTRY mini_resume_start
	movl	$0, %gs:MINI_DEFER
	cmpl	$0, %gs:MINI_PENDING
	je	mini_restore
	movl	$1, %gs:MINI_DEFER
	movq	%rsp, %rdi
	jmp	mini_async_entry
mini_restore:
	movq	FRAME_RIP(%rsp), %rax
	movq	%rax, %gs:MINI_TARGET
	movq	FRAME_RAX(%rsp), %rax
	movq	FRAME_RCX(%rsp), %rcx
	movq	FRAME_RDX(%rsp), %rdx
	movq	FRAME_RSI(%rsp), %rsi
	movq	FRAME_RDI(%rsp), %rdi
	movq	FRAME_R8(%rsp), %r8
	movq	FRAME_R9(%rsp), %r9
	movq	FRAME_R10(%rsp), %r10
	movq	FRAME_R11(%rsp), %r11
	leaq	FRAME_RFLAGS(%rsp), %rsp
	popfq
ENTRY mini_resume_rip
	movq	(%rsp), %rsp
mini_resume_jump:
	jmp	*%gs:MINI_TARGET

	.bss
	.balign	4096
	.skip	16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
