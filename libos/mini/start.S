/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel enters mini, and where mini leaves the processor.  Offsets: of struct mini through
 * GS, of struct aegis_frame through rsp; mini.c pins them.
 *
 * 1. mini_begin goes on with the context at mini.resume, or begins a child.
 * 2. Handlers are C functions: what these keep, an upcall keeps.
 * 3. An upcall is left without the kernel, and without iretq (QEMU before 9.1 reads the stack for it as
 *    the supervisor, which SMAP forbids): rip goes below the interrupted stack, where nothing is, because
 *    mini has no red zone, and `ret` takes it from there.  An upcall on the way out nests.
 */
#define DEFER       %gs:0
#define PENDING     %gs:4
#define RESUME      %gs:64
#define STACK       0x7f7ff0003000
#define F_DEFERRED  28
#define F_RDI       32
#define F_RIP       104
#define F_RSP       128
#define PCT_RETURN  (0x41450000 + 31)

	.macro	EACH op, registers:vararg
	.irp	r, \registers
	\op	%\r
	.endr
	.endm
	.globl	_start, mini_begin, mini_leave, mini_call, mini_fault_entry, mini_async_entry, memcpy
_start:
	movabsq	$STACK, %rsp
	call	mini_boot

mini_begin:
	movq	RESUME, %rsp
	movabsq	$1 << 62, %rax
	testq	%rsp, %rsp
	jnz	1f
	movabsq	$STACK, %rsp
	call	mini_child

/* Any call that may give the processor away; registers but rsp are the caller's affair. */
mini_leave:
	pushq	%rbp
	movq	%rsp, RESUME
	syscall
1:	movq	$0, RESUME
	popq	%rbp
	ret

memcpy:
	movq	%rdi, %rax
	movq	%rdx, %rcx
	rep movsb
	ret

/* A protected control transfer comes in. */
mini_call:
	EACH	pushq, r9, r8, r10, rdx, rsi, rdi
	movq	%rsp, %rdi
	movl	%eax, %esi
	call	mini_called
	EACH	popq, rdi, rsi, rdx, r10, r8, r9
	movl	$PCT_RETURN, %eax
	syscall

mini_fault_entry:
	call	mini_fault
	cmpl	$0, F_DEFERRED(%rsp)
	jne	2f
	jmp	1f
mini_async_entry:
	call	mini_async
1:	movl	$0, DEFER
	cmpl	$0, PENDING
	je	2f
	movl	$1, DEFER
	jmp	mini_async_entry
2:	subq	$8, F_RSP(%rsp)
	movq	F_RSP(%rsp), %rcx
	movq	F_RIP(%rsp), %rax
	movq	%rax, (%rcx)
	addq	$F_RDI, %rsp
	EACH	popq, rdi, rsi, rdx, r10, r8, r9, rax, rcx, r11
	addq	$16, %rsp
	popfq
	movq	(%rsp), %rsp
	ret

	.section .note.GNU-stack, "", @progbits
