/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel enters mini, and where mini leaves the processor.  Offsets: of struct mini through
 * GS, of struct aegis_frame through rsp and rdi; mini.c pins them.
 *
 * 1. mini_begin goes on with the context at mini.resume, or begins a child.
 * 2. An upcall is left without the kernel, and without iretq (QEMU before 9.1 reads the stack for it as
 *    the supervisor, which SMAP forbids): rip goes below the interrupted stack, where nothing is, because
 *    mini has no red zone, and `ret` takes it from there.  An upcall on the way out nests.
 */
#define DEFER       %gs:0
#define PENDING     %gs:4
#define STACK_TOP   %gs:64
#define RESUME      %gs:72
#define F_DEFERRED  28
#define F_RDI       32
#define F_RIP       104
#define F_RFLAGS    120
#define F_RSP       128
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

	.macro	HANDLER function
	EACH	pushq, rbx, rbp, r12, r13, r14, r15
	subq	$16, %rsp
	call	\function
	addq	$16, %rsp
	EACH	popq, r15, r14, r13, r12, rbp, rbx
	.endm

ENTRY mini_fault_entry
	HANDLER	mini_fault
	cmpl	$0, F_DEFERRED(%rsp)
	je	1f
	jmp	2f
ENTRY mini_async_entry
	HANDLER	mini_async
1:	movl	$0, DEFER
	cmpl	$0, PENDING
	je	2f
	movl	$1, DEFER
	jmp	mini_async_entry
2:	subq	$8, F_RSP(%rsp)
	movq	F_RSP(%rsp), %rcx
	movq	F_RIP(%rsp), %rax
	movq	%rax, (%rcx)
	LOAD	F_RDI, rsp, rdi, rsi, rdx, r10, r8, r9, rax, rcx, r11
	leaq	F_RFLAGS(%rsp), %rsp
	popfq
	movq	(%rsp), %rsp
	ret

	.bss
	.balign	4096
	.skip	8192
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
