/* SPDX-License-Identifier: MIT */
/*
 * Remote calls over protected control transfer: two stubs for callers and two for servers, which differ
 * in whom they trust (include/exos/ipc.h).
 *
 * The kernel keeps rip, rsp, flags and segment bases of the caller, and nothing else.
 *
 * 1. exos_lrpc gives the server the message and no other word of its caller's general, SSE or AVX
 *    registers, and takes back nothing but the answer: what a function keeps comes from its own stack.
 * 2. exos_tlrpc saves nothing and clears nothing.
 */
#define AEGIS_BASE 0x41450000
#define PCT_CALL   (AEGIS_BASE + 29)
#define PCT_RETURN (AEGIS_BASE + 31)

	.macro	GENERAL_CLEAR
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	.endm

	.macro	VECTOR_CLEAR
	cmpb	$0, exos_avx(%rip)
	je	771f
	vzeroall
	jmp	772f
771:	call	vector_clear
772:
	.endm

	.text
vector_clear:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	xorps	%xmm\n, %xmm\n
	.endr
	ret

/* int64_t exos_lrpc(uint32_t gate, struct exos_msg *msg) */
	.globl	exos_lrpc
	.type	exos_lrpc, @function
exos_lrpc:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rsi
	subq	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	VECTOR_CLEAR
	movl	%edi, %eax
	shlq	$32, %rax
	orq	$PCT_CALL, %rax
	movq	%rsi, %r11
	movq	0(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r8
	movq	32(%r11), %r9
	movq	40(%r11), %r10
	GENERAL_CLEAR
	syscall
	testq	%rax, %rax
	js	1f
	movq	8(%rsp), %r11
	movq	%rdi, 0(%r11)
	movq	%rsi, 8(%r11)
	movq	%rdx, 16(%r11)
	movq	%r8, 24(%r11)
	movq	%r9, 32(%r11)
	movq	%r10, 40(%r11)
1:	fninit
	fldcw	4(%rsp)
	ldmxcsr	(%rsp)
	addq	$16, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	testq	%rax, %rax
	js	2f
	ret
2:	movq	%rax, %rdi
	jmp	exos_transfer_error
	.size	exos_lrpc, . - exos_lrpc

/* int64_t exos_tlrpc(uint32_t gate, uint64_t a, uint64_t b, uint64_t c, uint64_t *answer) */
	.globl	exos_tlrpc
	.type	exos_tlrpc, @function
exos_tlrpc:
	shlq	$32, %rdi
	leaq	PCT_CALL(%rdi), %rax
	pushq	%r8
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	syscall
	popq	%r8
	testq	%rax, %rax
	js	1f
	movq	%rdi, (%r8)
	ret
1:	movq	%rax, %rdi
	jmp	exos_transfer_error
	.size	exos_tlrpc, . - exos_tlrpc

/* ---- servers ---- */

/* rsp is the end of the stack for calls; the handler changes the message where it lies. */
	.globl	exos_lrpc_entry
	.hidden	exos_lrpc_entry
exos_lrpc_entry:
	subq	$48, %rsp
	movq	%rdi, 0(%rsp)
	movq	%rsi, 8(%rsp)
	movq	%rdx, 16(%rsp)
	movq	%r8, 24(%rsp)
	movq	%r9, 32(%rsp)
	movq	%r10, 40(%rsp)
	movq	%rsp, %rdi
	movl	%eax, %esi
	call	*exos_lrpc_handler(%rip)
	movq	%rax, %rdi
	movq	8(%rsp), %rsi
	movq	16(%rsp), %rdx
	movq	24(%rsp), %r8
	movq	32(%rsp), %r9
	movq	40(%rsp), %r10
	VECTOR_CLEAR
	GENERAL_CLEAR
	jmp	exos_serve_return

	.globl	exos_tlrpc_entry
	.hidden	exos_tlrpc_entry
exos_tlrpc_entry:
	call	*exos_tlrpc_handler(%rip)
	movq	%rax, %rdi
	.globl	exos_serve_return
exos_serve_return:
	movl	$PCT_RETURN, %eax
	syscall
	/* There was no call. */
	movl	$1, %edi
	movl	$231, %eax		/* exit_group */
	syscall
	ud2

	.section .note.GNU-stack, "", @progbits
