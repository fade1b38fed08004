/* SPDX-License-Identifier: MIT */
/*
 * Every way into the kernel and out of it.
 *
 *   syscall_entry   the light path: nothing is saved but rip, rflags and rsp; the C function keeps the
 *                   callee-saved registers, the argument registers come back as zero.  `null` with
 *                   nothing pending touches no stack and no register but rax
 *   switch.S        the same for protected control transfers and yields
 *   trap_fast       exceptions of user mode: the scratch registers go straight into the upcall frame
 *                   (invariant 4); what is unusual takes the way of interrupts
 *   trap_common     interrupts and the rest: a full struct regs on the processor's stack
 *   ist stubs       #DB, NMI, #DF, #MC: on stacks of their own, because they can come while the stack
 *                   or the GS base are still the user's
 *   machine_enter_* the noreturn ways to user mode, machine_idle
 *
 * Invariants.
 * 1. In C, GS is the processor's struct percpu and the user's GS base is in MSR_KERNEL_GS_BASE.
 *    User code can write any GS base, so that its value says nothing: ordinary entries go by CS, and
 *    the ist entries find struct percpu at the top of their own stack.
 * 2. In C, DF and AC are clear and interrupts are off, except between `sti` and `cli` of machine_idle.
 * 3. iretq is executed with user selectors only; if it faults, the fault is the user's
 *    (trap_iret_fault).  sysretq is executed with a canonical address only: it comes from SYSCALL,
 *    which no page at the upper end of user space can contain, or has been tested, or is an entry of
 *    a setup, which env_write has tested.
 * 4. trap_fast does what upcall_sync does, in the same order, from struct upcall_fast of the running
 *    environment, which says by a GS base that nobody can have that it must not.  It runs no C, so it
 *    leaves DF and AC to the sysretq.  It reads nothing back from the frame, which other processors
 *    can write, and what it leaves in registers is the user's own or 0.
 */
#include "asm.h"
#include "offsets.h"
#include "patched.S"

	.macro	SAVE
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm

	.macro	RESTORE
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	addq	$16, %rsp	/* vector, error */
	.endm

/* Offsets from rsp with the vector on top, as the stubs leave it. */
#define HW_CS  24
#define HW_RSP 40

/*
 * On the stack: rax, rdi, and what the stub left; rax is the environment, rdi the frame.  The frame is
 * filled, and a record of the trace; asynchronous upcalls are deferred, PKRU is the handlers'; then r11 is the
 * environment and only rsp = rdi = the frame's address, which differs, and FRAME_ENTER are left to do.
 */
	.macro	FRAME_FILL trace, counter, foreign=0
	movq	%rsi, FRAME_RSI(%rdi)
	movq	%rdx, FRAME_RDX(%rdi)
	movq	%r10, FRAME_R10(%rdi)
	movq	%r8, FRAME_R8(%rdi)
	movq	%r9, FRAME_R9(%rdi)
	movq	%rcx, FRAME_RCX(%rdi)
	movq	%r11, FRAME_R11(%rdi)
	movq	%rax, %r11
	.if	\foreign
	movq	(%rsp), %r9
	.endif
	popq	FRAME_RAX(%rdi)
	popq	FRAME_RDI(%rdi)
	popq	%rcx
	popq	%rdx
	movl	%ecx, FRAME_CAUSE(%rdi)
	movl	%edx, FRAME_ERROR(%rdi)
	xorl	%eax, %eax
	.if	\foreign
	movq	%r9, %rcx		/* for the trace */
	.else
	cmpl	$14, %ecx
	jne	1f
	movq	%cr2, %rax
	.endif
1:	movq	%rax, FRAME_ADDR(%rdi)
	/* As trace_write. */
	movq	%gs:PERCPU_TRACE, %rdx
	movq	RING_HEAD(%rdx), %rax
	incq	RING_HEAD(%rdx)
	andl	$TRACE_SLOTS - 1, %eax
	shll	$5, %eax		/* bytes of a record */
	movq	%rcx, RING_REC + REC_A(%rdx,%rax)
	leaq	RING_REC(%rdx,%rax), %rcx
	movq	(%rsp), %rax
	movq	%rax, REC_B(%rcx)	/* rip */
	movq	\trace(%r11), %rax
	movq	%rax, REC_EVENT(%rcx)	/* and env */
	rdtsc
	movl	%eax, REC_TSC(%rcx)
	movl	%edx, REC_TSC+4(%rcx)
	movq	%gs:PERCPU_COUNTERS, %rdx
	incq	\counter(%rdx)
	popq	FRAME_RIP(%rdi)
	popq	FRAME_CS(%rdi)
	popq	FRAME_RFLAGS(%rdi)
	popq	FRAME_RSP(%rdi)
	popq	FRAME_SS(%rdi)
	movq	FAST_GS_BASE(%r11), %rax
	movq	%rax, FRAME_GS_BASE(%rdi)
	xorl	%ecx, %ecx
	PATCHED	rdpkru, pkru_sites
	movl	%eax, FRAME_PKRU(%rdi)
	cmpl	FAST_PKRU(%r11), %eax
	je	2f
	movl	FAST_PKRU(%r11), %eax
	PATCHED	wrpkru, pkru_sites
2:	movq	FAST_AREA(%r11), %rcx
	movl	(%rcx), %eax		/* defer */
	movl	$1, (%rcx)
	movl	%eax, FRAME_DEFERRED(%rdi)
	movq	FAST_PAGE(%r11), %rcx
	incl	PAGE_UPCALLS(%rcx)
	.endm

	.macro	FRAME_ENTER
	movq	FAST_ENTRY(%r11), %rcx
	movl	$0x202, %r11d		/* MACHINE_FLAGS_USER */
	swapgs
	sysretq
	.endm

	.text

/* ---- calls ---- */
	.balign 64
	.globl	syscall_entry
syscall_entry:
	swapgs
	cmpl	$CALL_PCT, %eax		/* call, send, return: above yield, above null */
	je	pct_call_fast
	jb	1f
	cmpl	$CALL_PCT+2, %eax
	je	pct_return_fast
	jb	pct_send_fast
	jmp	syscall_c
1:	cmpl	$CALL_YIELD, %eax
	je	yield_fast
	cmpl	$CALL_BASE, %eax
	jne	syscall_c
	movq	%gs:PERCPU_LOCAL, %rax
	incl	ENV_CALLS(%rax)
	movq	FAST_AREA(%rax), %rax
	cmpl	$0, AREA_PENDING(%rax)
	jne	null_pending
	xorl	%eax, %eax
	swapgs
	sysretq
null_pending:
	movq	%gs:PERCPU_LOCAL, %rax
	decl	ENV_CALLS(%rax)		/* it is counted below */
	movl	$CALL_BASE, %eax
	.globl	syscall_c
syscall_c:
	movq	%rsp, %gs:PERCPU_USER_RSP
	movq	%gs:PERCPU_STACK, %rsp
	pushq	%rcx			/* struct machine_call: rip */
	pushq	%r11			/* rflags */
	pushq	%gs:PERCPU_USER_RSP	/* rsp */
	pushq	%rax			/* rax */
	movq	%gs:PERCPU_LOCAL, %rcx
	incl	ENV_CALLS(%rcx)
	subl	$CALL_BASE, %eax
	cmpl	$CALL_MAX, %eax
	jae	syscall_foreign
	movq	%gs:PERCPU_CALLER, %rcx
	orq	%gs:PERCPU_SENDER, %rcx
	jnz	syscall_settle
syscall_settled:
	movq	%r10, %rcx
	callq	*sys_table(, %rax, 8)
#ifdef KERNEL_CHECKED
	pushq	%rax
	subq	$8, %rsp		/* 16-byte alignment */
	call	check_exit
	addq	$8, %rsp
	popq	%rax
#endif
	xorl	%edi, %edi
	xorl	%esi, %esi
	xorl	%edx, %edx
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	movq	24(%rsp), %rcx
	movq	16(%rsp), %r11
	movq	8(%rsp), %rsp
	swapgs
	sysretq

/* The transfer by which this environment was entered is completed first. */
syscall_settle:
	pushq	%rax
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%r8
	pushq	%r9
	pushq	%r10
	subq	$8, %rsp		/* 16-byte alignment */
	call	pct_settle
	addq	$8, %rsp
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdx
	popq	%rsi
	popq	%rdi
	popq	%rax
	jmp	syscall_settled

/*
 * Not our number: a context as if by an exception, on the stack as the processor would push it.  r11
 * holds rflags, and rcx goes on to hold rip.
 */
syscall_foreign:
	popq	%rax
	addq	$16, %rsp
	popq	%rcx
	pushq	$USER_SS
	pushq	%gs:PERCPU_USER_RSP
	pushq	%r11
	pushq	$USER_CS
	pushq	%rcx
	pushq	$0
	pushq	$32
	pushq	%rdi
	pushq	%rax
	swapgs
	rdgsbase %rdi
	swapgs
	movq	%gs:PERCPU_LOCAL, %rax
	cmpq	FAST_GS_BASE(%rax), %rdi
	jne	foreign_slow
	movq	%gs:PERCPU_USER_RSP, %rdi
	subq	FAST_LOW(%rax), %rdi
	cmpq	FAST_SIZE(%rax), %rdi
	jbe	foreign_slow
	movq	FAST_FRAME(%rax), %rdi
	FRAME_FILL FAST_TRACE_FOREIGN, upcall_foreigns, 1
	xorl	%r9d, %r9d
	movq	FAST_AT(%r11), %rsp
	movq	%rsp, %rdi
	FRAME_ENTER

foreign_slow:
	popq	%rax
	popq	%rdi
	SAVE
	movq	%rsp, %rdi
	xorl	%ebp, %ebp
	call	trap_foreign
	jmp	trap_exit

	.globl	foreign_frame
foreign_frame:
	pushq	$USER_SS
	pushq	%gs:PERCPU_USER_RSP
	pushq	%r11
	pushq	$USER_CS
	pushq	%rcx
	swapgs
	jmp	trap_iretq

/* ---- exceptions of user mode, the short way ---- */

trap_fast:
	testb	$3, HW_CS(%rsp)
	jz	trap_in_kernel
	pushq	%rdi
	pushq	%rax
	rdgsbase %rdi
	swapgs
	movq	%gs:PERCPU_LOCAL, %rax
	cmpq	FAST_GS_BASE(%rax), %rdi
	jne	trap_slow
	movq	HW_RSP+16(%rsp), %rdi
	subq	FAST_LOW(%rax), %rdi
	cmpq	FAST_SIZE(%rax), %rdi
	jbe	trap_nested
	movq	FAST_FRAME(%rax), %rdi
	FRAME_FILL FAST_TRACE, upcall_exceptions
	movq	FAST_AT(%r11), %rsp
	movq	%rsp, %rdi
	FRAME_ENTER

/* rdi = bytes of the upcall stack below rsp: the frame goes below what lies there. */
trap_nested:
	subq	$256, %rdi		/* AEGIS_FRAME_SIZE */
	jb	trap_slow		/* to its end */
	andq	$-256, %rdi
	movq	%rcx, %gs:PERCPU_SCRATCH
	movq	%rdi, %rcx
	addq	FAST_LOW(%rax), %rcx
	movq	%rcx, %gs:PERCPU_USER_RSP
	movl	%edi, %ecx
	shrl	$12, %ecx
	addq	FAST_PAGES(%rax,%rcx,8), %rdi
	movq	%gs:PERCPU_SCRATCH, %rcx
	FRAME_FILL FAST_TRACE, upcall_exceptions
	movq	%gs:PERCPU_USER_RSP, %rsp
	movq	%rsp, %rdi
	FRAME_ENTER

trap_slow:
	popq	%rax
	popq	%rdi
	jmp	trap_ours

/* ---- exceptions and interrupts, the long way ---- */
trap_common:
	testb	$3, HW_CS(%rsp)
	jz	trap_in_kernel
	swapgs
trap_ours:
	SAVE
	cld
	PATCHED	clac, clac_sites
	movq	%rsp, %rdi
	xorl	%ebp, %ebp
	call	trap_user
	.globl	trap_exit
trap_exit:
	RESTORE
	swapgs
	.globl	trap_iretq
trap_iretq:
	iretq

trap_in_kernel:
	SAVE
	cld
	PATCHED	clac, clac_sites
	movq	%rsp, %rdi
	leaq	trap_iretq(%rip), %rax
	cmpq	%rax, REGS_RIP(%rsp)
	je	1f
	call	trap_kernel		/* idle, or a panic */
	RESTORE
	iretq
1:	swapgs
	xorl	%ebp, %ebp
	call	trap_iret_fault		/* makes *regs the user context that could not be entered */
	jmp	trap_exit

/* 256 stubs of 16 bytes: vectors 8, 10 to 14, 17, 21, 29, 30 bring an error code. */
	.balign 16
	.globl	trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	256
	.balign 16
	.if	(vector >= 32) || !((0x60227d00 >> (vector & 31)) & 1)
	pushq	$0
	.endif
	.if	vector < 128
	pushq	$vector
	.else
	.byte	0x68
	.long	vector
	.endif
	.if	vector == 1 || vector == 2 || vector == 8 || vector == 18
	jmp	ist_common
	.elseif	vector < 32
	jmp	trap_fast
	.else
	jmp	trap_common
	.endif
	.set	vector, vector + 1
	.endr

/* On an interrupt stack; struct percpu's address is in the last word above the frame. */
ist_common:
	SAVE
	cld
	PATCHED	clac, clac_sites
	rdgsbase %rbx
	movq	REGS_SIZE+8(%rsp), %rax
	cmpq	$1, REGS_SIZE-56(%rsp)	/* vector */
	jne	1f
	testb	$3, REGS_CS(%rsp)
	jnz	ist_debug
1:	wrgsbase %rax
	movq	%rsp, %rdi
	call	trap_ist
	wrgsbase %rbx
	RESTORE
	iretq

/* #DB of user mode is an exception like others: continue on the processor's stack. */
ist_debug:
	swapgs
	movq	%gs:PERCPU_STACK, %rdi
	subq	$REGS_SIZE, %rdi
	movq	%rsp, %rsi
	movl	$REGS_SIZE / 8, %ecx
	movq	%rdi, %rsp
	rep	movsq
	movq	%rsp, %rdi
	xorl	%ebp, %ebp
	call	trap_user
	jmp	trap_exit

/* ---- out ---- */
/* trap_leave(struct regs *): checked registers, on this stack */
	.globl	trap_leave
trap_leave:
	movq	%rdi, %rsp
	jmp	trap_exit

/* machine_enter_clear(rip, rsp, rdi) */
	.globl	machine_enter_clear
machine_enter_clear:
	pushq	$USER_SS
	pushq	%rsi
	pushq	$0x202
	pushq	$USER_CS
	pushq	%rdi
	movq	%rdx, %rdi
	xorl	%eax, %eax
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%esi, %esi
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	swapgs
	jmp	trap_iretq

	.globl	machine_restart
machine_restart:
	movq	%gs:PERCPU_STACK, %rsp
	xorl	%ebp, %ebp
	call	*%rdi
	ud2

	.globl	machine_idle
machine_idle:
	movq	%gs:PERCPU_STACK, %rsp
	xorl	%ebp, %ebp
1:	sti
	hlt
	cli
	jmp	1b

	.section .note.GNU-stack, "", @progbits
