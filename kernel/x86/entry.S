/* SPDX-License-Identifier: MIT */
/*
 * Every way into the kernel and out of it.
 *
 *   syscall_entry   the light path: nothing is saved but rip, rflags and rsp; the C function keeps the
 *                   callee-saved registers, the argument registers come back as zero
 *   sys_pct_*       the same for protected control transfers: the argument registers are the message
 *   trap stubs      exceptions and interrupts: a full struct regs on the processor's stack
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
 *    which no page at the upper end of user space can contain, or has been tested.
 */
#include "asm.h"

/* CLAC does not exist before SMAP; trap_init overwrites these with no-operations there. */
	.macro	CLEAR_AC
771:	clac
	.pushsection clac_sites, "a"
	.quad	771b
	.popsection
	.endm

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

	.text

/* ---- calls ---- */
	.balign 64
	.globl	syscall_entry
syscall_entry:
	swapgs
	movq	%rsp, %gs:PERCPU_USER_RSP
	movq	%gs:PERCPU_STACK, %rsp
	incl	%gs:PERCPU_CALLS
	pushq	%rcx			/* struct machine_call: rip */
	pushq	%r11			/* rflags */
	pushq	%gs:PERCPU_USER_RSP	/* rsp */
	pushq	%rax			/* rax */
	subl	$CALL_BASE, %eax
	cmpl	$CALL_MAX, %eax
	jae	syscall_foreign
	movq	%r10, %rcx
	callq	*sys_table(, %rax, 8)
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

/*
 * Entered from the table (the linker wraps the C functions of these names), eax = number: drop the
 * return address, keep the message.
 */
	.globl	__wrap_sys_pct_call, __wrap_sys_pct_send, __wrap_sys_pct_return
__wrap_sys_pct_call:
__wrap_sys_pct_send:
__wrap_sys_pct_return:
	addq	$8, %rsp
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%r8
	pushq	%r9
	pushq	%r10
	movl	%eax, %edi
	movl	52(%rsp), %esi		/* upper half of the caller's rax */
	leaq	48(%rsp), %rdx
	call	pct_switch
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdx
	popq	%rsi
	popq	%rdi
	popq	%rax
	movq	16(%rsp), %rcx		/* rip */
	movq	%rcx, %r11
	shrq	$47, %r11
	jnz	pct_iret
	movq	8(%rsp), %r11		/* rflags */
	andl	$0x244dd5, %r11d	/* MACHINE_FLAGS_MASK */
	orl	$0x202, %r11d
	movq	(%rsp), %rsp
	swapgs
	sysretq

/* The address is not one that sysretq may see: iretq faults, or user mode does, and is told. */
pct_iret:
	popq	%r11
	movq	%r11, %gs:PERCPU_USER_RSP
	addq	$16, %rsp
	movl	$0x202, %r11d
	jmp	foreign_frame

/* Not our number: a full context, as if by an exception.  rcx and r11 hold rip and rflags. */
syscall_foreign:
	popq	%rax
	addq	$24, %rsp
	pushq	$USER_SS
	pushq	%gs:PERCPU_USER_RSP
	pushq	%r11
	pushq	$USER_CS
	pushq	%rcx
	pushq	$0
	pushq	$32
	SAVE
	movq	%rsp, %rdi
	xorl	%ebp, %ebp
	call	trap_foreign
	jmp	trap_exit

foreign_frame:
	pushq	$USER_SS
	pushq	%gs:PERCPU_USER_RSP
	pushq	%r11
	pushq	$USER_CS
	pushq	%rcx
	swapgs
	jmp	trap_iretq

/* ---- exceptions and interrupts ---- */
trap_common:
	SAVE
	cld
	CLEAR_AC
	movq	%rsp, %rdi
	testb	$3, REGS_CS(%rsp)
	jz	trap_from_kernel
	swapgs
	xorl	%ebp, %ebp
	call	trap_user
	.globl	trap_exit
trap_exit:
	RESTORE
	swapgs
	.globl	trap_iretq
trap_iretq:
	iretq

trap_from_kernel:
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
	.else
	jmp	trap_common
	.endif
	.set	vector, vector + 1
	.endr

/* On an interrupt stack; struct percpu's address is in the last word above the frame. */
ist_common:
	SAVE
	cld
	CLEAR_AC
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
