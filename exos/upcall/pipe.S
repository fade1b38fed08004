/* SPDX-License-Identifier: MIT */
/*
 * The short way of read(2) and write(2) on a pipe between processes, while this one is alone at its end.
 *
 * Leaves of upcall.S: entered with upcalls put off, rsp behind the flags in the first frame, r11 = the file, and all
 * else as the program has it.  What is changed is put by into that frame, by hand: a function in C would keep more.
 *
 * 1. read_alone and write_alone (exos/ipc/ring.h) say that nobody else is at this end: no lock is taken.
 * 2. Until tail (head) is exchanged nothing has happened: whatever is unusual goes to the function in pipe.c, as
 *    if there were no short way, and a fault of the program's memory that nobody mends does (upcall.c).
 * 3. That exchange is the barrier between the bytes and the look at who waits; noting a waiter is one, too.
 * 4. Shared words are read once each and believed in nothing but their own bytes: what start and length are
 *    compared with, and where the ring lies, is this process's own.
 * 5. An empty ring is left to whom a wake is owed (control->soon), by name, once: then C waits.
 */
#include "../core/control_asm.h"

#define KEPT(register) %gs:FIRST_FRAME + FRAME_##register

	.text
	.hidden	core_leaf_call, core_copy, core_yield_to, core_site_done, waiters_wake_all

/* The program's buffer of \bytes at rsi lies in its range.  Clobbers rax. */
.macro BUFFER_CHECK bytes, otherwise
	movabsq	$USER_TOP, %rax
	subq	\bytes, %rax
	cmpq	%rax, %rsi
	jae	\otherwise
.endm

/* From \from to \to, \bytes of them, which are more than one; rax is not 0: not all. */
.macro COPY_MANY to, from, bytes
	movq	%rcx, KEPT(RCX)
	movq	%rdx, KEPT(RDX)
	movq	%rsi, KEPT(RSI)
	movq	\bytes, %rdx
	pushq	\from
	movq	\to, %rdi
	popq	%rsi
	cld
	call	core_copy
	movq	KEPT(RCX), %rcx
	movq	KEPT(RDX), %rdx
	movq	KEPT(RSI), %rsi
	testq	%rax, %rax
.endm

/* Those who wait at \slots(%r8), when it is not one in the first slot, on this processor. */
.macro WAKE_ALL slots
	movq	%rcx, KEPT(RCX)
	movq	%rdx, KEPT(RDX)
	movq	%rsi, KEPT(RSI)
	leaq	\slots(%r8), %rdi
	leaq	-FRAME_RFLAGS(%rsp), %rsp
	pushq	%r10
	pushq	%r10			/* 16-byte alignment */
	cld
	call	waiters_wake_all
	popq	%r10
	popq	%r10
	leaq	FRAME_RFLAGS(%rsp), %rsp
	movq	KEPT(RCX), %rcx
	movq	KEPT(RDX), %rdx
	movq	KEPT(RSI), %rsi
.endm

.macro REGISTERS_BACK
	movq	KEPT(RDI), %rdi
	movq	KEPT(R8), %r8
	movq	KEPT(R9), %r9
	movq	KEPT(R10), %r10
.endm

	.globl	core_pipe_write, core_pipe_write_not, core_pipe_read, core_pipe_read_not, core_pipe_end
	.hidden	core_pipe_write, core_pipe_write_not, core_pipe_read, core_pipe_read_not, core_pipe_end
core_pipe_write:
	movq	%rdi, KEPT(RDI)
	movq	%r8, KEPT(R8)
	movq	%r9, KEPT(R9)
	movq	%r10, KEPT(R10)
	leaq	-1(%rdx), %rax
	cmpq	$PIPE_BUF, %rax
	jae	core_pipe_write_not
	movq	FILE_RING(%r11), %r8
	cmpl	$1, RING_WRITE_ALONE(%r8)
	jne	core_pipe_write_not
	movq	RING_HEAD(%r8), %r9
	movl	FILE_RING_SIZE(%r11), %edi
	leal	-1(%rdi), %r10d
	andl	%r9d, %r10d		/* where the bytes go */
	subl	%edx, %edi
	cmpl	%edi, %r10d		/* to the end of the data at most */
	ja	core_pipe_write_not
	movq	%r9, %rax
	subq	RING_TAIL(%r8), %rax
	cmpq	%rdi, %rax		/* and there is room */
	ja	core_pipe_write_not
	addq	FILE_RING_DATA(%r11), %r10
	BUFFER_CHECK %rdx, core_pipe_write_not
	cmpl	$1, %edx
	jne	3f
	movzbl	(%rsi), %eax
	movb	%al, (%r10)
1:	addq	%rdx, %r9
	xchgq	%r9, RING_HEAD(%r8)
	movq	RING_READERS(%r8), %rax
	testq	%rax, %rax
	jz	2f
	/* In the first slot, nobody behind it, on the processor where this one is: it is woken soon. */
	movq	%rax, %r9
	shrq	$16, %r9
	decl	%r9d
	cmpl	%gs:PAGE_CPU, %r9d
	jne	4f
	cmpl	$0, %gs:CONTROL_SOON
	jne	4f
	movzwl	%ax, %eax
	movl	%eax, %gs:CONTROL_SOON
2:	movl	%edx, %r11d
	REGISTERS_BACK
	movl	$1, %eax
	jmp	core_site_done

3:	COPY_MANY %r10, %rsi, %rdx
	jz	1b
	jmp	core_pipe_write_not
4:	WAKE_ALL RING_READERS
	jmp	2b

core_pipe_write_not:
	REGISTERS_BACK
	movl	$1, %eax
	jmp	core_leaf_call

core_pipe_read:
	movq	%rdi, KEPT(RDI)
	movq	%r8, KEPT(R8)
	movq	%r9, KEPT(R9)
	movq	%r10, KEPT(R10)
	movq	FILE_RING(%r11), %r8
	cmpl	$1, RING_READ_ALONE(%r8)
	jne	core_pipe_read_not
pipe_look:
	movq	RING_TAIL(%r8), %r9
	movq	RING_HEAD(%r8), %r10
	subq	%r9, %r10		/* so many are there */
	jz	pipe_turn
	movl	FILE_RING_SIZE(%r11), %eax
	cmpq	%rax, %r10
	ja	core_pipe_read_not
	cmpq	%rdx, %r10
	cmovaq	%rdx, %r10
	leal	-1(%rax), %edi
	andl	%r9d, %edi		/* where they lie */
	subl	%r10d, %eax
	cmpl	%eax, %edi
	ja	core_pipe_read_not
	addq	FILE_RING_DATA(%r11), %rdi
	BUFFER_CHECK %r10, core_pipe_read_not
	cmpl	$1, %r10d
	jne	3f
	movzbl	(%rdi), %eax
	movb	%al, (%rsi)
1:	addq	%r10, %r9
	xchgq	%r9, RING_TAIL(%r8)
	cmpq	$0, RING_WRITERS(%r8)
	jne	4f
2:	movl	%r10d, %r11d
	REGISTERS_BACK
	xorl	%eax, %eax
	jmp	core_site_done

3:	COPY_MANY %rsi, %rdi, %r10
	jz	1b
	jmp	core_pipe_read_not
4:	WAKE_ALL RING_WRITERS
	jmp	2b

/* Nothing is there: whom a wake is owed may bring it.  This one is noted meanwhile, in the slot that nobody else has. */
pipe_turn:
	movl	%gs:CONTROL_SOON, %eax
	testl	%eax, %eax
	jz	core_pipe_read_not
	testl	$FILE_NONBLOCK, FILE_FLAGS(%r11)
	jnz	core_pipe_read_not
	testq	%rdx, %rdx
	jz	core_pipe_read_not
	movl	%gs:CONTROL_WAITER, %r9d
	xchgl	%r9d, RING_READERS(%r8)
	movq	RING_HEAD(%r8), %r9
	cmpq	RING_TAIL(%r8), %r9
	jne	1f
	movq	%rcx, KEPT(RCX)
	movq	%rdx, KEPT(RDX)
	movq	%rsi, KEPT(RSI)
	leaq	-FRAME_RFLAGS(%rsp), %rsp
	pushq	%r11
	movl	$1, %edi		/* EXOS_CAP_DOMAIN */
	movl	%eax, %esi
	call	core_yield_to
	popq	%r11
	leaq	FRAME_RFLAGS(%rsp), %rsp
	movq	FILE_RING(%r11), %r8
	movq	KEPT(RCX), %rcx
	movq	KEPT(RDX), %rdx
	movq	KEPT(RSI), %rsi
	testq	%rax, %rax
	js	2f			/* it is not ready: C wakes it */
	movl	$0, %gs:CONTROL_SOON
1:	movl	$0, RING_READERS(%r8)
	jmp	pipe_look
2:	movl	$0, RING_READERS(%r8)

core_pipe_read_not:
	REGISTERS_BACK
	xorl	%eax, %eax
	jmp	core_leaf_call
core_pipe_end:

	.section .note.GNU-stack, "", @progbits
