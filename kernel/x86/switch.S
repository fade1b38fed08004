/* SPDX-License-Identifier: MIT */
/*
 * From one environment to another without C: transfers and yields to a name.
 *
 *   pct_*_fast      protected control transfers: the argument registers are the message
 *   sys_pct_*       the same by C, when the short way is closed
 *   yield_fast      a yield to a name: nothing of who yields is kept, the other begins with clear registers
 *
 * Context: entered by jumps from syscall_entry with every register as user mode left it, GS the kernel's; leaves
 * by sysretq, or by a jump to syscall_c with every register that C is owed as it came.  No stack is needed,
 * because whatever can come here, NMI or machine check, has one of its own.
 *
 * 1. As entry.S, 1 to 3.
 * 2. What a short way changes, and what only pct_settle makes of it: pct.c, 5 and 6; cpu.c, 6.
 */
#include "asm.h"
#include "offsets.h"
#include "patched.S"

	.text
/* ---- transfers, the short way (pct.c, invariants 5 and 6) ---- */

/*
 * Into the space at rax, that of the environment at \to.  The space of who made a transfer keeps its bit,
 * until the return or pct_settle (flush.c, invariant 1).  Clobbers rax, and \by, which is the processor's number then.
 */
	.macro	SPACE_ENTER to, by
	movl	%gs:0, %\by		/* cpu */
	lock btsl %\by, SPACE_CPUS(%rax)
	movq	ENV_ROOT(\to), %rax
	movq	%rax, %cr3
	.endm

/*
 * The way of pct_call, and of pct_send.  rip, rsp and rflags go at once where they are to be kept: rax rcx rdx r11
 * rsp are what there is to work with.
 */
	.macro	TRANSFER_FAST number, wait
	movq	%rdx, %gs:PERCPU_SCRATCH
	movq	%gs:PERCPU_LOCAL, %rdx
	cmpl	$DOOR_RUNS, ENV_DOOR(%rdx)	/* it serves no call, and nothing about it is odd */
	jne	21f
	movq	%rcx, ENV_RIP(%rdx)
	.ifeq	\wait
	movl	ENV_SETUP_CPU(%rdx), %ecx	/* another could run it meanwhile */
	cmpl	%gs:0, %ecx
	jne	26f
	.endif
	movq	%r11, ENV_RFLAGS(%rdx)
	movq	%rsp, ENV_RSP(%rdx)
	movq	%rdx, %rsp
	shrq	$27, %rax		/* gate * WAY_SIZE + 8 */
	cmpq	$CALL_GATES * WAY_SIZE + 8, %rax
	jae	22f
	leaq	ENV_WAYS-8(%rsp,%rax), %r11
	movq	WAY_LOCK(%r11), %rdx
	movl	%gs:PERCPU_LOCK, %ecx
	movl	$0x80000000, %eax	/* LOCK_DOOR */
	lock cmpxchgl %ecx, (%rdx)
	jne	24f
	movq	gate_epoch, %rax
	cmpq	WAY_EPOCH(%r11), %rax
	jne	23f
	xorl	%ecx, %ecx
	PATCHED	rdpkru, pkru_sites
	movq	WAY_TARGET(%r11), %rcx
	cmpl	FAST_PKRU(%rcx), %eax
	jne	23f
	.if	\wait
	movl	%eax, ENV_PKRU(%rsp)
	.endif
	movq	ENV_STAMP(%rsp), %rax
	cmpq	ENV_STAMP(%rcx), %rax
	jne	23f
	/* Nothing can fail from here on. */
	.if	\wait
	rdfsbase %rax
	movq	%rax, ENV_FS_BASE(%rsp)
	movl	$DOOR_CALLED, ENV_DOOR(%rcx)
	.else
	movl	$DOOR_SENT, ENV_DOOR(%rcx)
	.endif
	movq	ENV_CALL_FS(%rcx), %rax
	wrfsbase %rax
	movq	FAST_AREA(%rcx), %rax
	movl	$1, (%rax)		/* defer */
	movq	ENV_SPACE(%rcx), %rax
	cmpq	ENV_SPACE(%rsp), %rax
	je	20f
	SPACE_ENTER %rcx, r11d
20:	movq	%rcx, %gs:PERCPU_LOCAL
	.if	\wait
	movq	%rsp, %gs:PERCPU_CALLER
	.else
	movq	%rsp, %gs:PERCPU_SENDER
	.endif
	incl	ENV_CALLS(%rsp)
	movq	%gs:PERCPU_COUNTERS, %rax
	incq	pct_transfers(%rax)
	movq	ENV_LOCK(%rcx), %rax
	movl	$0, (%rax)
	movq	%gs:PERCPU_SCRATCH, %rdx
	swapgs
	.if	\wait
	rdgsbase %rax
	movq	%rax, ENV_GS_BASE(%rsp)
	.endif
	movq	ENV_HANDLERS_GS(%rcx), %rax
	wrgsbase %rax
	movl	ENV_NUMBER(%rsp), %eax
	movq	ENV_CALL_STACK(%rcx), %rsp
	movq	ENV_CALL_ENTRY(%rcx), %rcx
	movl	$0x202, %r11d
	sysretq

	/* By C, with all registers as they came. */
23:	movq	WAY_LOCK(%r11), %rdx
	movl	$0x80000000, (%rdx)
24:	leaq	ENV_WAYS(%rsp), %rax
	subq	%rax, %r11
	movq	%r11, %rax
	jmp	25f
22:	subq	$8, %rax
25:	shlq	$27, %rax
	addq	$\number, %rax
	movq	%rsp, %rdx
	movq	ENV_RSP(%rdx), %rsp
	movq	ENV_RFLAGS(%rdx), %r11
26:	movq	ENV_RIP(%rdx), %rcx
21:	movq	%gs:PERCPU_SCRATCH, %rdx
	jmp	syscall_c
	.endm

	.globl	pct_call_fast, pct_send_fast, pct_return_fast, yield_fast
pct_call_fast:
	TRANSFER_FAST CALL_PCT, 1

pct_send_fast:
	TRANSFER_FAST CALL_PCT+1, 0

/* From the environment that a call entered like this, if only the caller has waited since. */
pct_return_fast:
	movq	%rdx, %gs:PERCPU_SCRATCH
	movq	%rcx, %gs:PERCPU_USER_RIP
	movq	%rsp, %gs:PERCPU_USER_RSP
	movq	%gs:PERCPU_LOCAL, %rsp
	movq	ENV_LOCK(%rsp), %rdx
	movl	%gs:PERCPU_LOCK, %ecx
	xorl	%eax, %eax
	lock cmpxchgl %ecx, (%rdx)
	jne	31f
	cmpl	$DOOR_CALLED, ENV_DOOR(%rsp)
	jne	32f
	movq	FAST_PAGE(%rsp), %rax
	movl	PAGE_EVENTS(%rax), %eax
	cmpl	ENV_SEEN(%rsp), %eax
	jne	32f
	xorl	%ecx, %ecx
	PATCHED	rdpkru, pkru_sites
	movq	%gs:PERCPU_CALLER, %rcx
	cmpl	ENV_PKRU(%rcx), %eax
	jne	32f
	/* Nothing can fail from here on. */
	movl	$DOOR_RESTS, ENV_DOOR(%rsp)
	incl	ENV_CALLS(%rsp)
	movq	ENV_SPACE(%rsp), %rax
	cmpq	ENV_SPACE(%rcx), %rax
	je	30f
	movq	ENV_ROOT(%rcx), %rdx
	movq	%rdx, %cr3
	movl	%gs:0, %edx		/* cpu */
	lock btrl %edx, SPACE_CPUS(%rax)
30:	movq	%rcx, %gs:PERCPU_LOCAL
	movq	$0, %gs:PERCPU_CALLER
	movq	ENV_LOCK(%rsp), %rax
	movl	$0x80000000, (%rax)	/* LOCK_DOOR */
	movq	ENV_FS_BASE(%rcx), %rax
	wrfsbase %rax
	movq	%gs:PERCPU_SCRATCH, %rdx
	swapgs
	movq	ENV_GS_BASE(%rcx), %rax
	wrgsbase %rax
	xorl	%eax, %eax		/* AEGIS_OK */
	movq	ENV_RSP(%rcx), %rsp
	movq	ENV_RFLAGS(%rcx), %r11
	movq	ENV_RIP(%rcx), %rcx
	sysretq

32:	movq	ENV_LOCK(%rsp), %rdx
	movl	$0, (%rdx)
31:	movq	%gs:PERCPU_USER_RIP, %rcx
	movq	%gs:PERCPU_USER_RSP, %rsp
	movl	$CALL_PCT+2, %eax
	movq	%gs:PERCPU_SCRATCH, %rdx
	jmp	syscall_c

/* ---- a yield to a name, the short way (cpu.c, invariant 6) ---- */

/*
 * The way of the yield leads to whom the capability's slot opened; the epoch tells whether it still does, because it
 * changes when a slot becomes empty.  Nothing is clobbered that C must have: a call leaves only what a function keeps.
 */
#define WAY(field) field(%r8,%r10,8)
yield_fast:
	movq	%gs:PERCPU_LOCAL, %r8
	testl	$DOOR_NOT_GIVEN, ENV_DOOR(%r8)
	jnz	syscall_c
	movl	%esi, %r10d
	andl	$YIELD_MASK, %r10d
	cmpl	%edi, WAY(WAYS_CAP)
	jne	syscall_c
	cmpl	%esi, WAY(WAYS_ENV)
	jne	syscall_c
	movl	%gs:PERCPU_LOCK, %edx
	movq	WAY(WAYS_TARGET), %rax
	cmpq	%rax, %gs:PERCPU_SENDER
	je	yield_back

	/* To one who is READY, whose lock is at r9; from whose is at rcx, if that is to be READY. */
	movq	WAY(WAYS_LOCK), %r9
	movl	$LOCK_READY, %eax
	lock cmpxchgl %edx, (%r9)
	jne	yield_c
	movq	gate_epoch, %rax
	cmpq	WAY(WAYS_EPOCH), %rax
	jne	yield_unlock
	movq	WAY(WAYS_TARGET), %r10
	movq	ENV_STAMP(%r8), %rax
	cmpq	ENV_STAMP(%r10), %rax
	jne	yield_unlock
	testb	$ODD_GIVEN, ENV_ODD(%r8)	/* `killed` may have come meanwhile */
	jnz	1f
	leaq	ENV_RIP(%r8), %rcx	/* a word without a meaning now */
	movq	%r8, %gs:PERCPU_SENDER
	jmp	2f
1:	movq	%rcx, %gs:PERCPU_USER_RIP
	movq	ENV_LOCK(%r8), %rcx
	xorl	%eax, %eax
	lock cmpxchgl %edx, (%rcx)
	jne	yield_rip
	movw	$READY, ENV_ODD(%r8)	/* and not `killed`, which others write */
2:	movw	$GIVEN_RUNNING, ENV_ODD(%r10)

	/* From r8 to r10: the event, the time, the space. */
yield_go:
	movq	FAST_PAGE(%r10), %rax
	lock incl PAGE_EVENTS(%rax)
	incl	ENV_CALLS(%r8)
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	subq	%rax, ENV_USED(%r10)
	addq	ENV_USED(%r8), %rax
	movq	%rax, ENV_USED(%r8)
	movq	FAST_PAGE(%r8), %rdx
	movq	%rax, PAGE_TIME(%rdx)
	movq	FAST_AREA(%r10), %rax
	movl	$1, (%rax)		/* defer */
	movq	ENV_SPACE(%r10), %rax
	cmpq	ENV_SPACE(%r8), %rax
	je	1f
	SPACE_ENTER %r10, edx
	movq	ENV_SPACE(%r8), %rax
	lock btrl %edx, SPACE_CPUS(%rax)
1:	movq	%r10, %gs:PERCPU_LOCAL
	movl	$0, (%r9)
	movl	$LOCK_READY, (%rcx)
	movq	%gs:PERCPU_COUNTERS, %rax
	incq	directed_yields(%rax)

	/* r10 begins, as by _env_go.  RDPKRU leaves edx 0. */
	xorl	%ecx, %ecx
	PATCHED	rdpkru, pkru_sites
	cmpl	FAST_PKRU(%r10), %eax
	je	1f
	movl	FAST_PKRU(%r10), %eax
	PATCHED	wrpkru, pkru_sites
1:	movl	$-1, %eax		/* no feature that is on is above it */
	xrstor64 vector_initial(%rip)
	xorl	%eax, %eax
	movw	%ds, %gs:PERCPU_SCRATCH
	movw	%es, %gs:PERCPU_SCRATCH+2
	movw	%fs, %gs:PERCPU_SCRATCH+4
	movw	%gs, %gs:PERCPU_SCRATCH+6
	cmpq	%rax, %gs:PERCPU_SCRATCH
	jne	3f
2:	wrfsbase %rax
	swapgs
	movq	ENV_HANDLERS_GS(%r10), %rcx
	wrgsbase %rcx
	movq	ENV_BEGIN_ENTRY(%r10), %rcx
	movl	$0x202, %r11d		/* MACHINE_FLAGS_USER */
	.irp	r, ebx, esi, edi, ebp, esp, r8d, r9d, r10d, r12d, r13d, r14d, r15d
	xorl	%\r, %\r
	.endr
	sysretq
	/* A selector that user code loaded goes, too, and the GS base with it. */
3:	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	rdgsbase %rcx
	movl	%eax, %gs
	wrgsbase %rcx
	jmp	2b

	/* Back to the first, at rax, who has been RUNNING all the time. */
yield_back:
	movq	gate_epoch, %rax
	cmpq	WAY(WAYS_EPOCH), %rax
	jne	yield_c
	movq	ENV_LOCK(%r8), %r9
	xorl	%eax, %eax
	lock cmpxchgl %edx, (%r9)
	jne	yield_c
	movq	WAY(WAYS_TARGET), %r10
	movw	$READY, ENV_ODD(%r8)
	movq	$0, %gs:PERCPU_SENDER
	movq	%r9, %rcx
	leaq	ENV_RIP(%r8), %r9
	jmp	yield_go

yield_rip:
	movq	%gs:PERCPU_USER_RIP, %rcx
yield_unlock:
	movl	$LOCK_READY, (%r9)
yield_c:
	movl	$CALL_YIELD, %eax
	jmp	syscall_c

/*
 * Entered from the table (the linker wraps the C functions of these names), eax = number: drop the
 * return address, keep the message.
 */
	.globl	sys_pct_call, sys_pct_send, sys_pct_return
sys_pct_call:
sys_pct_send:
sys_pct_return:
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

	.section .note.GNU-stack, "", @progbits
