/* SPDX-License-Identifier: MIT */
/*
 * Entry of calls into a program, and ways for it to give the processor away.
 *
 * 1. core_serve_entry is entered by the kernel with the message in registers, on the program's stack
 *    for calls, upcalls deferred, the upcall stack empty.  Only rcx and r11 may be changed.
 * 2. A program that gives the processor away by a call of its own needs no more saved than a function
 *    keeps: FS base, r15 r14 r13 r12 rbp rbx, return address, from light_rsp upwards on its own stack, and below,
 *    where no signal's frame comes, MXCSR and x87 control word.  light_rsp is not 0 only while it is away,
 *    with upcalls put off, and nothing between its store and the call that leaves needs the library.
 */
#include "exos/core/control_asm.h"
#include "exos/core/keys.S"
#include "api_asm.h"

#define AEGIS_BASE 0x41450000

	.text
	.hidden core_async_entry

	.globl	core_serve_entry_keys, core_serve_entry
	.hidden	core_serve_entry_keys, core_serve_entry
core_serve_entry_keys:
	movq	%rax, %r11
	movq	%rdx, %gs:CONTROL_TARGET
	KEYS_SET PKRU_PROGRAM
	movq	%gs:CONTROL_TARGET, %rdx
	movq	%r11, %rax
core_serve_entry:
	movl	$0, %gs:CONTROL_DEFER
	cmpl	$0, %gs:CONTROL_PENDING
	jne	1f
	jmp	*%gs:CONTROL_SERVE
	/* Something is to be told: as if it had come at the program's first instruction. */
1:	movl	$1, %gs:CONTROL_DEFER
	movq	%rsp, %gs:FIRST_FRAME + FRAME_RSP
	movq	%rdi, %gs:FIRST_FRAME + FRAME_RDI
	movq	%rsi, %gs:FIRST_FRAME + FRAME_RSI
	movq	%rdx, %gs:FIRST_FRAME + FRAME_RDX
	movq	%r10, %gs:FIRST_FRAME + FRAME_R10
	movq	%r8, %gs:FIRST_FRAME + FRAME_R8
	movq	%r9, %gs:FIRST_FRAME + FRAME_R9
	movq	%rax, %gs:FIRST_FRAME + FRAME_RAX
	movq	%gs:CONTROL_SERVE, %rcx
	movq	%rcx, %gs:FIRST_FRAME + FRAME_RIP
	movq	%gs:CONTROL_FLAGS_AT, %rsp
	pushfq
	subq	$FRAME_RFLAGS, %rsp
	cmpl	$0, %gs:CONTROL_KEYS
	je	2f
	KEYS_SET 0			/* as the kernel does for an upcall */
2:	movq	%rsp, %rdi
	jmp	core_async_entry

/* ---- giving the processor away ---- */

.macro LIGHT_SAVE
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	rdfsbase %rax
	pushq	%rax
	stmxcsr	-8(%rsp)
	fnstcw	-4(%rsp)
	movl	$1, %gs:CONTROL_DEFER
	movq	%rsp, %gs:CONTROL_LIGHT
.endm

/* The processor was not left: rax is why. */
.macro LIGHT_DROP
	movq	$0, %gs:CONTROL_LIGHT
	addq	$56, %rsp
.endm

/* What is pending is told now; eax survives. */
.macro DEFER_END
	movl	$0, %gs:CONTROL_DEFER
	cmpl	$0, %gs:CONTROL_PENDING
	je	9f
	pushq	%rax
	movl	$AEGIS_BASE, %eax	/* null */
	syscall
	popq	%rax
9:
.endm

	.globl	core_light_begin
	.hidden	core_light_begin
core_light_begin:
	ldmxcsr	-8(%rsp)
	fldcw	-4(%rsp)
	movq	$0, %gs:CONTROL_LIGHT
	popq	%rcx
	wrfsbase %rcx
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	DEFER_END
	ret				/* rax is 0, as the kernel left it */

/* int64_t exos_send(uint32_t gate, const struct exos_msg *msg) */
	.globl	exos_send
	.type	exos_send, @function
exos_send:
	movl	%edi, %ecx
	movq	%rsi, %r11
	movq	0(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r8
	movq	32(%r11), %r9
	movq	40(%r11), %r10
	LIGHT_SAVE
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	movq	%rcx, %rax
	shlq	$32, %rax
	orq	$AEGIS_BASE + 30, %rax
	syscall
	movq	8(%rsp), %r15
	movq	16(%rsp), %r14
	movq	24(%rsp), %r13
	movq	32(%rsp), %r12
	movq	40(%rsp), %rbp
	movq	48(%rsp), %rbx
	LIGHT_DROP
	DEFER_END
	movq	%rax, %rdi
	jmp	api_light_error
	.size	exos_send, . - exos_send
	.hidden	api_light_error

/* int64_t exos_yield(uint32_t env): 0 is anybody */
	.globl	exos_yield
	.type	exos_yield, @function
exos_yield:
	cmpl	$0, %gs:CONTROL_SOON
	jne	3f
1:	testl	%edi, %edi
	jz	2f
yield_to:
	LIGHT_SAVE
	movl	%edi, %esi
	movl	$1, %edi		/* EXOS_CAP_DOMAIN */
4:	movl	$AEGIS_BASE + 25, %eax
	syscall
	LIGHT_DROP
	DEFER_END
	movq	%rax, %rdi
	jmp	api_light_error
2:	LIGHT_SAVE
	movl	$0xffff, %edi		/* AEGIS_SELF, AEGIS_ANY: to anybody */
	movl	$-1, %esi
	jmp	4b
3:	pushq	%rdi
	call	core_soon_wake
	popq	%rdi
	jmp	1b
	.size	exos_yield, . - exos_yield
	.hidden	core_soon_wake

/* int64_t exos_sleep(uint32_t seen, uint64_t deadline) */
	.globl	exos_sleep
	.type	exos_sleep, @function
exos_sleep:
	cmpl	$0, %gs:CONTROL_SOON
	jne	3f
1:	LIGHT_SAVE
	cmpl	$0, %gs:CONTROL_PENDING
	jne	2f
	xorl	%edx, %edx
	movl	$AEGIS_BASE + 26, %eax
	syscall
2:	LIGHT_DROP
	DEFER_END
	xorl	%eax, %eax
	ret
3:	pushq	%rdi
	pushq	%rsi
	call	core_soon_wake
	popq	%rsi
	popq	%rdi
	jmp	1b
	.size	exos_sleep, . - exos_sleep

/*
 * int64_t exos_hand(uint32_t seen).  Who is to be woken soon mostly has yielded to this one before, and
 * is ready; else it is woken first.
 */
	.globl	exos_hand
	.type	exos_hand, @function
exos_hand:
	movl	%gs:CONTROL_SOON, %esi
	testl	%esi, %esi
	jz	1f
	LIGHT_SAVE
	movl	%esi, %ebx
	movl	$0, %gs:CONTROL_SOON
	movl	$1, %edi		/* EXOS_CAP_DOMAIN */
	movl	$AEGIS_BASE + 25, %eax
	syscall
	movl	%ebx, %edi
	movq	48(%rsp), %rbx
	LIGHT_DROP
	pushq	%rdi
	DEFER_END
	movq	(%rsp), %rdi
	call	exos_wake
	popq	%rdi
	call	exos_yield
	xorl	%eax, %eax
	ret
1:	movq	$-1, %rsi
	jmp	exos_sleep
	.size	exos_hand, . - exos_hand

/* int64_t exos_wake(uint32_t env) */
	.globl	exos_wake
	.type	exos_wake, @function
exos_wake:
	movl	%edi, %esi
	movl	$1, %edi		/* EXOS_CAP_DOMAIN */
	xorl	%edx, %edx
	movl	$AEGIS_BASE + 27, %eax
	syscall
	testq	%rax, %rax
	js	1f
	ret
1:	movq	%rax, %rdi
	jmp	api_light_error
	.size	exos_wake, . - exos_wake

/* uint32_t exos_slice(void), uint64_t exos_used(void) */
	.globl	exos_slice, exos_used
	.type	exos_slice, @function
	.type	exos_used, @function
exos_slice:
	movabsl	EXOS_SLICE, %eax
	ret
	.size	exos_slice, . - exos_slice
exos_used:
	movabsq	EXOS_USED, %rax
	ret
	.size	exos_used, . - exos_used

/* uint32_t exos_events(void) */
	.globl	exos_events
	.type	exos_events, @function
exos_events:
	movabsl	EXOS_EVENTS, %eax
	ret
	.size	exos_events, . - exos_events

/* ---- words that C has no name for ---- */
	.globl	api_fs_read, api_modes_read, api_state_write
	.hidden	api_fs_read, api_modes_read, api_state_write
api_fs_read:
	rdfsbase %rax
	ret
api_modes_read:
	pushq	$0
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	popq	%rax
	ret
api_state_write:		/* (uint64_t fs, uint64_t modes) */
	wrfsbase %rdi
	pushq	%rsi
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	popq	%rax
	ret

	.section .note.GNU-stack, "", @progbits
