/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel enters ExOS, and where ExOS leaves the processor.
 *
 * 1. begin_entry goes on with the context at control->resume_rsp, or starts the role if there is none.
 * 2. fault_entry and async_entry run C on the upcall stack, below the frame that the kernel pushed,
 *    with asynchronous upcalls deferred; frame->deferred says whether they were before.
 * 3. From resume_start to resume_rip the frame is intact and rsp points into it, so that an upcall which
 *    arrives there takes the frame over (aegis/fault.h).
 * 4. A context saved by core_leave is, from resume_rsp upwards: FS base, r15 r14 r13 r12 rbp rbx, return
 *    address; and the vector state in the XSAVE area of the core.  There is one such area, because
 *    the state is always the program's, and the library changes none of it.  A context at light_rsp is
 *    another (exos/api/serve.S), and never there together with this one.
 */
#include "../core/control_asm.h"
#include "../core/keys.S"

#define AEGIS_BASE 0x41450000

	.text
	.hidden core_light_begin
	.hidden core_start, upcall_fault, upcall_async, service_call

	.globl core_begin_entry, core_begin_entry_keys
	.hidden core_begin_entry, core_begin_entry_keys
core_begin_entry_keys:			/* the program's own context runs with its pages closed */
	cmpq	$0, %gs:CONTROL_LIGHT
	je	core_begin_entry
	movl	$PKRU_PROGRAM, %eax
	wrpkru				/* all other registers are 0 */
	xorl	%eax, %eax
core_begin_entry:
	movq	%gs:CONTROL_LIGHT, %rsp
	testq	%rsp, %rsp
	jnz	core_light_begin
	movq	%gs:CONTROL_RESUME, %rsp
	testq	%rsp, %rsp
	jz	1f
context_go:
	movl	%gs:CONTROL_XMASK, %eax	/* edx is for features that no mask has */
	xrstor64 %gs:VECTOR_AREA
	movq	$0, %gs:CONTROL_RESUME
	popq	%rax
	wrfsbase %rax
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	movabsq	$1 << 62, %rax
	ret
1:	movq	%gs:CONTROL_STACK, %rsp
	subq	$512, %rsp		/* leaves the first frame's place free */
	xorl	%ebp, %ebp
	call	core_start
	ud2

/* Pushes the context of invariant 4; clobbers rax. */
.macro CONTEXT_SAVE
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	rdfsbase %rax
	pushq	%rax
	movl	%gs:CONTROL_XMASK, %eax
	xsave64	%gs:VECTOR_AREA
.endm

/* int64_t core_leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c): 1 << 62 when begun again. */
	.globl core_leave
	.hidden core_leave
core_leave:
	CONTEXT_SAVE
	movq	%rsp, %gs:CONTROL_RESUME
	leaq	AEGIS_BASE(%rdi), %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
context_leave:
	syscall
	/* An answer: the processor was not left, and the kernel keeps what a function keeps. */
	movq	$0, %gs:CONTROL_RESUME
	addq	$56, %rsp
	ret

/* int64_t core_yield_to(uint64_t cap, uint64_t env): the same, by a yield to a name. */
	.globl core_yield_to
	.hidden core_yield_to
core_yield_to:
	CONTEXT_SAVE
	movq	%rsp, %gs:CONTROL_RESUME
	movl	$AEGIS_BASE + 25, %eax
	jmp	context_leave

/* _Noreturn void core_context_load(uint64_t rsp, const void *context, size_t bytes): puts back, and goes
 * on with, a context of invariant 4 that was copied from rsp upwards. */
	.globl core_context_load
	.hidden core_context_load
core_context_load:
	movq	%rdi, %rsp
	movq	%rdx, %rcx
	shrq	$3, %rcx
	rep movsq
	jmp	context_go

/*
 * int64_t core_snapshot(int64_t (*fn)(void *arg, uint64_t rsp), void *arg): calls fn with the context
 * saved at rsp, and answers what it answers; whoever begins with that context answers 1 << 62.
 */
	.globl core_snapshot
	.hidden core_snapshot
core_snapshot:
	CONTEXT_SAVE
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rsp, %rsi
	movq	%rsp, %rbx
	andq	$-16, %rsp
	call	*%rax
	leaq	8(%rbx), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

.macro HANDLER function
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rsi
	subq	$16, %rsp
	call	\function
	addq	$16, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
.endm

/*
 * Everything back from the frame at rsp, without the kernel and without touching the program's stack.
 * iretq would do it in one instruction, but QEMU 7.2 makes its stack accesses as the supervisor, which
 * SMAP forbids.  So the target goes through a word of the control page.  `last` marks the last
 * instruction at which rsp still points into the frame; behind it only the jump is left.
 */
.macro FRAME_RESUME last, jump
	movq	FRAME_RIP(%rsp), %rax
	movq	%rax, %gs:CONTROL_TARGET
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
\last:
	movq	(%rsp), %rsp
\jump:
	jmp	*%gs:CONTROL_TARGET
.endm

/*
 * An upcall at the jump of a resume came when all was restored but the address: give it that.  One in a
 * call before the library has put upcalls off is put back to the call's beginning, or on to its end.
 */
.macro TARGET_FIX
	leaq	core_resume_jump(%rip), %rax
	cmpq	%rax, FRAME_RIP(%rdi)
	jne	8f
	movq	%gs:CONTROL_TARGET, %rax
	movq	%rax, FRAME_RIP(%rdi)
8:	cmpl	$0, FRAME_DEFERRED(%rdi)
	jne	9f
	leaq	core_site_entry(%rip), %rcx
	movq	FRAME_RIP(%rdi), %rax
	subq	%rcx, %rax
	cmpq	$site_deferred - core_site_entry, %rax
	jae	9f
	call	site_fix
9:
.endm

	.globl core_fault_entry
	.hidden core_fault_entry
core_fault_entry:
	movl	FRAME_CAUSE(%rsp), %eax
	btl	%eax, %gs:CONTROL_FAST
	jc	program_fault
1:	TARGET_FIX
	HANDLER	upcall_fault
	cmpl	$0, FRAME_DEFERRED(%rsp)
	je	core_resume_start
	FRAME_RESUME 7, 8

/*
 * A program that has a handler of its own (include/exos/fault.h) is asked first, about what it did
 * itself, in as few instructions as may be.  CONTROL_FAST has no bit for a debug exception, the only
 * one that can arrive at the jump of a resume; nor any under the protection key, which is left open.
 */
program_fault:
	cmpl	$0, FRAME_DEFERRED(%rsp)
	jne	1b
	call	*%gs:CONTROL_FAULT
	testl	%eax, %eax
	jnz	core_resume_plain
	movq	%rsp, %rdi
	jmp	1b

	.globl core_async_entry
	.hidden core_async_entry
core_async_entry:
	TARGET_FIX
	HANDLER	upcall_async
	jmp	core_resume_start

/*
 * The resume sequence.  The first part is the way back from a call served without a look at the rest of
 * the context: rax, rcx and r11 are in place, and rcx is where to go on.
 */
	.globl core_resume_first, core_resume_rip
	.hidden core_resume_first, core_resume_rip
core_resume_first:
core_resume_call:
	cmpl	$0, %gs:CONTROL_KEYS
	jne	core_resume_start	/* closes the private pages on its way */
	movl	$0, %gs:CONTROL_DEFER
	cmpl	$0, %gs:CONTROL_PENDING
	jne	2f
	movq	FRAME_RDX(%rsp), %rdx
	movq	FRAME_RSI(%rsp), %rsi
	movq	FRAME_RDI(%rsp), %rdi
	movq	FRAME_R10(%rsp), %r10
	movq	FRAME_R8(%rsp), %r8
	movq	FRAME_R9(%rsp), %r9
	leaq	FRAME_RFLAGS(%rsp), %rsp
	popfq
	movq	(%rsp), %rsp
	jmp	*%rcx
core_resume_plain:			/* after a handler of the program: no keys to close */
	movl	$0, %gs:CONTROL_DEFER
	cmpl	$0, %gs:CONTROL_PENDING
	je	4f
core_resume_start:
	movl	$0, %gs:CONTROL_DEFER
	cmpl	$0, %gs:CONTROL_PENDING
	je	1f
2:	movl	$1, %gs:CONTROL_DEFER	/* inside the range: an upcall just before it finds the frame */
	movq	%rsp, %rdi
	jmp	core_async_entry
1:	cmpl	$0, %gs:CONTROL_KEYS
	je	4f
	KEYS_SET PKRU_PROGRAM
4:	FRAME_RESUME core_resume_rip, core_resume_jump

/* _Noreturn void core_resume(struct aegis_frame *frame, const uint64_t callee[6]): r15 .. rbp rbx. */
	.globl core_resume
	.hidden core_resume
core_resume:
	movq	%rdi, %rsp
	movq	0(%rsi), %r15
	movq	8(%rsi), %r14
	movq	16(%rsi), %r13
	movq	24(%rsi), %r12
	movq	32(%rsi), %rbp
	movq	40(%rsi), %rbx
	jmp	core_resume_start

/* At a site, rsp behind the flags in the first frame: what a function may change goes into the frame. */
.macro SITE_SAVE
	subq	$FRAME_RFLAGS, %rsp
	movq	%rdi, FRAME_RDI(%rsp)
	movq	%rsi, FRAME_RSI(%rsp)
	movq	%rdx, FRAME_RDX(%rsp)
	movq	%r10, FRAME_R10(%rsp)
	movq	%r8, FRAME_R8(%rsp)
	movq	%r9, FRAME_R9(%rsp)
	movq	%rax, FRAME_RAX(%rsp)
	movq	%rcx, FRAME_RIP(%rsp)
	cld
.endm

/* rax is the call's answer, rcx and r11 as `syscall` leaves them. */
.macro SITE_ANSWER
	movq	%rax, FRAME_RAX(%rsp)
	movq	FRAME_RIP(%rsp), %rcx
	movq	FRAME_RFLAGS(%rsp), %r11
	movq	%rcx, FRAME_RCX(%rsp)
	movq	%r11, FRAME_R11(%rsp)
.endm

/*
 * Where the stubs of rewritten call sites come in: as `syscall` would, with rcx = where to go on.  The
 * program's context goes into the first frame of the upcall stack, which is free while the program runs.
 *
 * A call whose answer is a word that lies there (an odd entry of call_handlers) is answered at once:
 * upcalls are not put off, so that there is nothing to look at afterwards.  Where one comes with rsp in
 * the first frame already, site_fix makes it a call that has not begun, which can be begun again because
 * nothing but a count has changed, or one that has ended.
 *
 * A leaf (bit 1 of the entry) is a call on a descriptor that mostly needs neither the frame nor a wait: read
 * and write.  The file says what is to be done (exos/fd/leaf.c): at once, as with a word; or by a function that
 * gets the arguments where the program put them, and answers LEAF_NOT, nothing done, if anything is unusual.
 * Then the call's handler is asked, as if there were no leaf.
 */
	.balign	128			/* in one page: only the table and the word can be absent */
	.globl core_site_entry
	.hidden core_site_entry, call_finish, call_serve, call_handlers, call_leaf_handlers
	.globl core_leaf, core_leaf_slow, core_leaf_call, core_leaf_sink, core_leaf_end
	.hidden core_leaf, core_leaf_slow, core_leaf_call, core_leaf_sink, core_leaf_end
	.globl core_leaf_pipe_read, core_leaf_pipe_write, core_site_done
	.hidden core_leaf_pipe_read, core_leaf_pipe_write, core_site_done
	.hidden core_pipe_read, core_pipe_write		/* pipe.S */
core_site_entry:
	movq	%rsp, %gs:FIRST_FRAME + FRAME_RSP
	movq	%gs:CONTROL_FLAGS_AT, %rsp
site_push:
	pushfq
site_pushed:
	cmpq	$CALL_LIMIT, %rax
	jae	site_serve
	leaq	call_handlers(%rip), %r11
	movq	(%r11,%rax,8), %r11
	testb	$1, %r11b
	jz	site_call
	cmpl	$0, %gs:CONTROL_ATTENTION
	jne	site_serve
	incl	%gs:CONTROL_CALLS(,%rax,4)
	movl	-1(%r11), %r11d
site_word:
	popfq
	movq	(%rsp), %rsp
site_answer:
	movl	%r11d, %eax
	movq	%gs:FIRST_FRAME + FRAME_RFLAGS, %r11
	jmp	*%rcx
core_site_done:				/* a leaf in assembly has answered: r11d; upcalls are put off */
	incl	%gs:CONTROL_CALLS(,%rax,4)
	movl	$0, %gs:CONTROL_DEFER
site_open:
	cmpl	$0, %gs:CONTROL_PENDING
	je	site_word
	movl	$1, %gs:CONTROL_DEFER
	jmp	site_pending

site_serve:
	xorl	%r11d, %r11d
site_call:
	testb	$2, %r11b
	jz	site_handler
	jmp	*%r11

	/* The file of a descriptor; rax, the number, is 0 or 1. */
	.balign	4
	nop				/* bit 1 of the address */
	nop
core_leaf:
	cmpq	$0, %gs:CONTROL_ATTENTION	/* nor keys, the word behind it */
	jne	core_leaf_slow
	cmpl	$FD_EMBEDDED, %edi
	jae	core_leaf_slow
	movl	%edi, %r11d
	movq	%gs:FD_ENTRY(,%r11,8), %r11
	andq	$~1, %r11
	jz	core_leaf_slow
	jmp	*FILE_LEAF(%r11,%rax,8)
core_leaf_slow:
	leaq	call_leaf_handlers(%rip), %r11
	movq	(%r11,%rax,8), %r11
	jmp	site_handler
core_leaf_sink:				/* all of it is taken */
	cmpq	$RW_COUNT_MAX, %rdx
	ja	core_leaf_slow
	incl	%gs:CONTROL_CALLS(,%rax,4)
	movl	%edx, %r11d
	jmp	site_word
core_leaf_end:				/* nothing is there */
	cmpq	$RW_COUNT_MAX, %rdx
	ja	core_leaf_slow
	incl	%gs:CONTROL_CALLS(,%rax,4)
	xorl	%r11d, %r11d
	jmp	site_word
core_leaf_call:
	movl	$1, %gs:CONTROL_DEFER
	jmp	leaf_deferred
core_leaf_pipe_read:
	movl	$1, %gs:CONTROL_DEFER
	jmp	core_pipe_read
core_leaf_pipe_write:
	movl	$1, %gs:CONTROL_DEFER
	jmp	core_pipe_write
site_handler:
	movl	$1, %gs:CONTROL_DEFER
site_deferred:
	SITE_SAVE
	cmpl	$0, %gs:CONTROL_KEYS
	jne	4f
5:	testq	%r11, %r11
	jz	3f
	incl	%gs:CONTROL_CALLS(,%rax,4)
	movq	%rax, %gs:CONTROL_NUMBER
	leaq	FRAME_RDI(%rsp), %rdi
	call	*%r11
	SITE_ANSWER
	cmpl	$0, %gs:CONTROL_ATTENTION
	jne	2f
	cmpq	$-512, %rax		/* ERESTARTSYS */
	jne	core_resume_call
2:	movq	%rsp, %rdi
	HANDLER	call_finish
	jmp	core_resume_start
3:	movq	%rsp, %rdi
	HANDLER	call_serve
	jmp	core_resume_start
4:	KEYS_SET 0
	movq	FRAME_RAX(%rsp), %rax
	jmp	5b

leaf_deferred:
	SITE_SAVE
	movq	%r11, %rcx
	call	*FILE_FUNCTION(%r11,%rax,8)
	movq	FRAME_RAX(%rsp), %rdx
	cmpq	$LEAF_NOT, %rax
	je	1f
	incl	%gs:CONTROL_CALLS(,%rdx,4)
	SITE_ANSWER
	jmp	core_resume_call
1:	movq	%rdx, %rax
	leaq	call_leaf_handlers(%rip), %r11
	movq	(%r11,%rax,8), %r11
	jmp	5b

site_pending:				/* told in the ordinary way, with the frame complete */
	SITE_SAVE
	movl	%r11d, %eax
	SITE_ANSWER
	jmp	core_resume_call

/* rdi: a frame from before site_deferred, rax: how far behind core_site_entry.  Clobbers rax rcx. */
site_fix:
	cmpq	$site_serve - core_site_entry, %rax
	jae	2f
	cmpq	$site_word - core_site_entry, %rax
	jae	3f
	cmpq	$site_push - core_site_entry, %rax
	jb	1f
2:	movq	%gs:FIRST_FRAME + FRAME_RSP, %rcx
	movq	%rcx, FRAME_RSP(%rdi)
	cmpq	$site_pushed - core_site_entry, %rax
	jb	1f
	movq	%gs:FIRST_FRAME + FRAME_RFLAGS, %rcx
	movq	%rcx, FRAME_RFLAGS(%rdi)
1:	leaq	core_site_entry(%rip), %rax
	movq	%rax, FRAME_RIP(%rdi)
	ret
3:	cmpq	$site_open - core_site_entry, %rax
	jae	5f
	cmpq	$site_answer - core_site_entry, %rax
	ja	4f
	je	6f
5:	movq	%gs:FIRST_FRAME + FRAME_RSP, %rcx
	movq	%rcx, FRAME_RSP(%rdi)
	movq	%gs:FIRST_FRAME + FRAME_RFLAGS, %rcx
	movq	%rcx, FRAME_RFLAGS(%rdi)
6:	movl	FRAME_R11(%rdi), %eax
	movq	%rax, FRAME_RAX(%rdi)
4:	movq	FRAME_RFLAGS(%rdi), %rax
	movq	%rax, FRAME_R11(%rdi)
	movq	FRAME_RCX(%rdi), %rax
	movq	%rax, FRAME_RIP(%rdi)
	ret

/* ---- protected control transfer ---- */

	.globl core_call_entry
	.hidden core_call_entry
core_call_entry:
	subq	$56, %rsp
	movq	%rdi, 0(%rsp)
	movq	%rsi, 8(%rsp)
	movq	%rdx, 16(%rsp)
	movq	%r8, 24(%rsp)
	movq	%r9, 32(%rsp)
	movq	%r10, 40(%rsp)
	movq	%rsp, %rdi
	movl	%eax, %esi
	xorl	%ebp, %ebp
	call	service_call
	movq	0(%rsp), %rdi
	movq	8(%rsp), %rsi
	movq	16(%rsp), %rdx
	movq	24(%rsp), %r8
	movq	32(%rsp), %r9
	movq	40(%rsp), %r10
	xorl	%ebx, %ebx
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	movl	$AEGIS_BASE + 31, %eax
	syscall
	ud2

/* int64_t core_transfer(uint64_t gate, struct svc *s): status of the transfer; the answer is in *s. */
	.globl core_transfer
	.hidden core_transfer
core_transfer:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rsi
	movq	%rdi, %rax
	shlq	$32, %rax
	orq	$AEGIS_BASE + 29, %rax
	movq	0(%rsi), %rdi
	movq	16(%rsi), %rdx
	movq	24(%rsi), %r8
	movq	32(%rsi), %r9
	movq	40(%rsi), %r10
	movq	8(%rsi), %rsi
	syscall
	testq	%rax, %rax
	js	1f
	movq	(%rsp), %rcx
	movq	%rdi, 0(%rcx)
	movq	%rsi, 8(%rcx)
	movq	%rdx, 16(%rcx)
	movq	%r8, 24(%rcx)
	movq	%r9, 32(%rcx)
	movq	%r10, 40(%rcx)
1:	popq	%rsi
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/*
 * Copies between the library and the program: size_t core_copy(void *to, const void *from, size_t n)
 * answers how many bytes were NOT copied.  A fault at an unmapped address inside
 * [core_copy_start, core_copy_end) is ended at core_copy_fault by the fault handler.
 */
	.globl core_copy, core_copy_start, core_copy_end, core_copy_fault, core_clear
	.hidden core_copy, core_copy_start, core_copy_end, core_copy_fault, core_clear
core_copy:
	movq	%rdx, %rcx
core_copy_start:
	cmpq	$32, %rcx
	jb	1f
	movq	%rcx, %rdx
	shrq	$3, %rcx
	andl	$7, %edx
	rep movsq
	movl	%edx, %ecx
	xorl	%edx, %edx
2:	rep movsb
	xorl	%eax, %eax
	ret
1:	cmpl	$1, %ecx		/* few bytes: two halves that may overlap, both read first */
	jbe	6f
	cmpl	$16, %ecx
	ja	2b
	cmpl	$8, %ecx
	jb	3f
	movq	(%rsi), %rax
	movq	-8(%rsi,%rcx), %rdx
	movq	%rax, (%rdi)
	movq	%rdx, -8(%rdi,%rcx)
	xorl	%eax, %eax
	ret
3:	cmpl	$4, %ecx
	jb	4f
	movl	(%rsi), %eax
	movl	-4(%rsi,%rcx), %edx
	movl	%eax, (%rdi)
	movl	%edx, -4(%rdi,%rcx)
	xorl	%eax, %eax
	ret
4:	movzwl	(%rsi), %eax
	movzbl	-1(%rsi,%rcx), %edx
	movw	%ax, (%rdi)
	movb	%dl, -1(%rdi,%rcx)
	xorl	%eax, %eax
	ret
6:	jb	5f
	movzbl	(%rsi), %eax
	movb	%al, (%rdi)
5:	xorl	%eax, %eax
	ret
core_clear:			/* (void *to, size_t n) */
	movq	%rsi, %rcx
	xorl	%eax, %eax
	xorl	%edx, %edx
	rep stosb
	ret
core_copy_end:
	/* Something is missing; rcx is 0 at least.  Callers ask for 0 or not. */
core_copy_fault:
	leaq	1(%rcx), %rax
	ret

	.section .note.GNU-stack, "", @progbits
