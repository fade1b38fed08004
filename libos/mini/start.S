/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel enters mini, and where mini leaves the processor.  Offsets: of struct mini through
 * GS, of struct aegis_frame through rsp and rdi; mini.c pins them.
 *
 * 1. mini_begin goes on with the context at mini.resume, or begins a child.
 * 2. From mini_resume_start to mini_resume_rip the frame at rsp is intact (aegis/fault.h).
 */
#define DEFER       %gs:0
#define PENDING     %gs:4
#define STACK_TOP   %gs:64
#define RESUME      %gs:72
#define TARGET      %gs:80
#define F_DEFERRED  28
#define F_RDI       32
#define F_RIP       104
#define F_RFLAGS    120
#define PCT_RETURN  (0x41450000 + 31)
#define MESSAGE     rdi, rsi, rdx, r10, r8, r9

	.macro	EACH op, registers:vararg
	.irp	r, \registers
	\op	%\r
	.endr
	.endm
	.macro	LOAD at, base, registers:vararg
	.set	i, \at
	.irp	r, \registers
	movq	i(%\base), %\r
	.set	i, i + 8
	.endr
	.endm
	.macro	ENTRY name
	.globl	\name
\name:
	.endm

ENTRY _start
	leaq	boot_stack_end(%rip), %rsp
	call	mini_boot
	ud2

ENTRY mini_begin
	movq	RESUME, %rsp
	testq	%rsp, %rsp
	jz	1f
	movabsq	$1 << 62, %rax
	jmp	2f
1:	movq	STACK_TOP, %rsp
	call	mini_child
	ud2

/* int64_t mini_leave(uint64_t rax, uint64_t message[6]): any call that may give the processor away. */
ENTRY mini_leave
	EACH	pushq, rbx, rbp, r12, r13, r14, r15
	movq	%rsp, RESUME
	pushq	%rsi
	movq	%rdi, %rax
	movq	%rsi, %rcx
	LOAD	0, rcx, MESSAGE
	syscall
	popq	%rcx
	.set	i, 0
	.irp	r, MESSAGE
	movq	%\r, i(%rcx)
	.set	i, i + 8
	.endr
2:	movq	$0, RESUME
	EACH	popq, r15, r14, r13, r12, rbp, rbx
	ret

/* A protected control transfer comes in. */
ENTRY mini_call
	EACH	pushq, r9, r8, r10, rdx, rsi, rdi
	movq	%rsp, %rdi
	movl	%eax, %esi
	call	mini_called
	EACH	popq, MESSAGE
	movl	$PCT_RETURN, %eax
	syscall
	ud2

/* An upcall at the last jump of a resume came when all was restored but rip. */
	.macro	HANDLER function
	leaq	mini_resume_jump(%rip), %rax
	cmpq	%rax, F_RIP(%rdi)
	jne	9f
	movq	TARGET, %rax
	movq	%rax, F_RIP(%rdi)
9:	EACH	pushq, rbx, rbp, r12, r13, r14, r15
	subq	$16, %rsp
	call	\function
	addq	$16, %rsp
	EACH	popq, r15, r14, r13, r12, rbp, rbx
	.endm

ENTRY mini_fault_entry
	HANDLER	mini_fault
	cmpl	$0, F_DEFERRED(%rsp)
	jne	mini_restore
	jmp	mini_resume_start

ENTRY mini_async_entry
	HANDLER	mini_async

/* Without iretq: QEMU before 9.1 reads the stack for it as the supervisor, which SMAP forbids. */
ENTRY mini_resume_start
	movl	$0, DEFER
	cmpl	$0, PENDING
	je	mini_restore
	movl	$1, DEFER
	movq	%rsp, %rdi
	jmp	mini_async_entry
mini_restore:
	movq	F_RIP(%rsp), %rax
	movq	%rax, TARGET
	LOAD	F_RDI, rsp, rdi, rsi, rdx, r10, r8, r9, rax, rcx, r11
	leaq	F_RFLAGS(%rsp), %rsp
	popfq
ENTRY mini_resume_rip
	movq	(%rsp), %rsp
mini_resume_jump:
	jmp	*TARGET

/* A child's first function becomes another library: void mini_become(entry, argument, stack). */
ENTRY mini_become
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsp
	jmp	*%rax

	.bss
	.balign	4096
	.skip	8192
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
