/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel enters the tests, and where they leave the processor; offsets in layout.h.
 *
 * 1. begin_entry notes every register as the kernel gave it, then goes on with the context at
 *    guest.resume, or begins the environment's function if there is none.
 * 2. Handlers run C below the frame, with asynchronous upcalls deferred; frame.deferred keeps whether
 *    they were before.
 * 3. From guest_resume_start to guest_resume_rip only registers of the frame are touched.
 */
#include "layout.h"

	.text
	.globl	_start
_start:
	movq	%rax, boot_seen + 0
	movq	%rbx, boot_seen + 8
	movq	%rcx, boot_seen + 16
	movq	%rdx, boot_seen + 24
	movq	%rsi, boot_seen + 32
	movq	%rdi, boot_seen + 40
	movq	%rbp, boot_seen + 48
	movq	%r8, boot_seen + 56
	movq	%r9, boot_seen + 64
	movq	%r10, boot_seen + 72
	movq	%r11, boot_seen + 80
	movq	%r12, boot_seen + 88
	movq	%r13, boot_seen + 96
	movq	%r14, boot_seen + 104
	movq	%r15, boot_seen + 112
	movq	%rsp, boot_seen + 120
	leaq	boot_stack_end(%rip), %rsp
	xorl	%ebp, %ebp
	call	guest_boot
	ud2

	.globl	guest_begin_entry
guest_begin_entry:
	movq	%rax, %gs:GUEST_BEGAN + 0
	movq	%rbx, %gs:GUEST_BEGAN + 8
	movq	%rcx, %gs:GUEST_BEGAN + 16
	movq	%rdx, %gs:GUEST_BEGAN + 24
	movq	%rsi, %gs:GUEST_BEGAN + 32
	movq	%rdi, %gs:GUEST_BEGAN + 40
	movq	%rbp, %gs:GUEST_BEGAN + 48
	movq	%r8, %gs:GUEST_BEGAN + 56
	movq	%r9, %gs:GUEST_BEGAN + 64
	movq	%r10, %gs:GUEST_BEGAN + 72
	movq	%r11, %gs:GUEST_BEGAN + 80
	movq	%r12, %gs:GUEST_BEGAN + 88
	movq	%r13, %gs:GUEST_BEGAN + 96
	movq	%r14, %gs:GUEST_BEGAN + 104
	movq	%r15, %gs:GUEST_BEGAN + 112
	movq	%rsp, %gs:GUEST_BEGAN + 120
	rdfsbase %rax
	movq	%rax, %gs:GUEST_FS
	incq	%gs:GUEST_BEGINS
	movq	%gs:GUEST_RESUME, %rsp
	testq	%rsp, %rsp
	jz	1f
	movq	$0, %gs:GUEST_RESUME
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	movabsq	$1 << 62, %rax
	ret
1:	movq	%gs:GUEST_STACK, %rsp
	xorl	%ebp, %ebp
	call	guest_first
	ud2

	.macro	CALLEE_PUSH
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm
	.macro	CALLEE_POP
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	.endm

	.globl	guest_leave
guest_leave:
	CALLEE_PUSH
	movq	%rsp, %gs:GUEST_RESUME
	leaq	CALL_NULL(%rdi), %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	syscall
	movq	$0, %gs:GUEST_RESUME
	CALLEE_POP
	ret

	.globl	guest_raw
guest_raw:
	CALLEE_PUSH
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	movq	%r9, %r8
	movq	%rsp, %gs:GUEST_RESUME
	syscall
	movq	$0, %gs:GUEST_RESUME
	CALLEE_POP
	ret

	.macro	MESSAGE_LOAD base
	movq	0(\base), %rbx
	movq	8(\base), %rdx
	movq	16(\base), %rsi
	movq	24(\base), %rdi
	movq	32(\base), %rbp
	movq	40(\base), %r8
	movq	48(\base), %r9
	movq	56(\base), %r10
	movq	64(\base), %r12
	movq	72(\base), %r13
	movq	80(\base), %r14
	movq	88(\base), %r15
	.endm
	.macro	MESSAGE_STORE base
	movq	%rbx, 0(\base)
	movq	%rdx, 8(\base)
	movq	%rsi, 16(\base)
	movq	%rdi, 24(\base)
	movq	%rbp, 32(\base)
	movq	%r8, 40(\base)
	movq	%r9, 48(\base)
	movq	%r10, 56(\base)
	movq	%r12, 64(\base)
	movq	%r13, 72(\base)
	movq	%r14, 80(\base)
	movq	%r15, 88(\base)
	.endm

	.globl	guest_transfer
guest_transfer:
	CALLEE_PUSH
	pushq	%rsi
	shlq	$32, %rdi
	leaq	CALL_NULL + 29(%rdi), %rax
	movq	%rsi, %rcx
	MESSAGE_LOAD %rcx
	syscall
	movq	(%rsp), %rcx
	MESSAGE_STORE %rcx
	popq	%rsi
	CALLEE_POP
	ret

	.globl	guest_send
guest_send:
	CALLEE_PUSH
	movq	%rsp, %gs:GUEST_RESUME
	shlq	$32, %rdi
	leaq	CALL_NULL + 30(%rdi), %rax
	movq	%rsi, %rcx
	MESSAGE_LOAD %rcx
	syscall
	movq	$0, %gs:GUEST_RESUME
	CALLEE_POP
	ret

	.globl	guest_return
guest_return:
	movl	$CALL_RETURN, %eax
	syscall
	ret

/* Protected entry: the message goes to guest.message and back. */
	.globl	guest_call_entry
guest_call_entry:
	movq	%rbx, %gs:GUEST_MESSAGE + 0
	movq	%rdx, %gs:GUEST_MESSAGE + 8
	movq	%rsi, %gs:GUEST_MESSAGE + 16
	movq	%rdi, %gs:GUEST_MESSAGE + 24
	movq	%rbp, %gs:GUEST_MESSAGE + 32
	movq	%r8, %gs:GUEST_MESSAGE + 40
	movq	%r9, %gs:GUEST_MESSAGE + 48
	movq	%r10, %gs:GUEST_MESSAGE + 56
	movq	%r12, %gs:GUEST_MESSAGE + 64
	movq	%r13, %gs:GUEST_MESSAGE + 72
	movq	%r14, %gs:GUEST_MESSAGE + 80
	movq	%r15, %gs:GUEST_MESSAGE + 88
	movq	%rax, %gs:GUEST_CALLER
	xorl	%ebp, %ebp
	call	guest_called
	rdgsbase %rcx
	addq	$GUEST_MESSAGE, %rcx
	MESSAGE_LOAD %rcx
	movl	$CALL_RETURN, %eax
	syscall
	ud2

	.globl	guest_catch
guest_catch:
	movq	%rbx, 0(%rdi)
	movq	%rbp, 8(%rdi)
	movq	%r12, 16(%rdi)
	movq	%r13, 24(%rdi)
	movq	%r14, 32(%rdi)
	movq	%r15, 40(%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, 48(%rdi)
	movq	(%rsp), %rax
	movq	%rax, 56(%rdi)
	xorl	%eax, %eax
	ret

	.globl	guest_throw
guest_throw:
	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	48(%rdi), %rsp
	movl	$1, %eax
	jmp	*56(%rdi)

	.macro	HANDLER function
	CALLEE_PUSH
	movq	%rsp, %rsi
	subq	$16, %rsp
	call	\function
	addq	$16, %rsp
	CALLEE_POP
	.endm

/*
 * An upcall at the jump that ends the resume sequence came when all was restored but rip: the frame gets
 * the address that the jump was about to take.  A fault before the jump (the code's page was not there)
 * makes the sequence begin again, because this handler's own resume uses the same word.
 */
	.macro	TARGET_FIX
	leaq	guest_resume_jump(%rip), %rax
	cmpq	%rax, FRAME_RIP(%rdi)
	ja	9f
	je	8f
	leaq	guest_restore(%rip), %rax
	cmpq	%rax, FRAME_RIP(%rdi)
	jb	9f
	movq	%rax, FRAME_RIP(%rdi)
	andq	$-256, FRAME_RSP(%rdi)
	jmp	9f
8:	movq	%gs:GUEST_TARGET, %rax
	movq	%rax, FRAME_RIP(%rdi)
9:
	.endm

	.globl	guest_fault_entry
guest_fault_entry:
	TARGET_FIX
	HANDLER	guest_fault
	cmpl	$0, FRAME_DEFERRED(%rsp)
	je	guest_resume_start
	jmp	guest_restore

	.globl	guest_async_entry
guest_async_entry:
	TARGET_FIX
	HANDLER	guest_async

/*
 * Back to what was interrupted, without iretq: QEMU before 9.1 makes its accesses to the stack as the
 * supervisor, which SMAP forbids.
 */
	.globl	guest_resume_start, guest_resume_rip, guest_resume_jump
guest_resume_start:
	movl	$0, %gs:GUEST_DEFER
	cmpl	$0, %gs:GUEST_PENDING
	je	guest_restore
	movl	$1, %gs:GUEST_DEFER
	movq	%rsp, %rdi
	jmp	guest_async_entry
	.globl	guest_restore
guest_restore:
	movq	FRAME_RIP(%rsp), %rax
	movq	%rax, %gs:GUEST_TARGET
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
guest_resume_rip:
	movq	(%rsp), %rsp
guest_resume_jump:
	jmp	*%gs:GUEST_TARGET

	.bss
	.balign	4096
	.globl	boot_stack
boot_stack:
	.skip	65536
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
