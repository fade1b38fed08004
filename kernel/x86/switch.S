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
 * From the space of \from to that of \to, at rax: as space_load.  Clobbers rax r11.
 */
	.macro	SPACE_SWITCH from, to
	movl	%gs:0, %r11d		/* cpu */
	lock btsl %r11d, SPACE_CPUS(%rax)
	movq	ENV_ROOT(\to), %rax
	movq	%rax, %cr3
	movq	ENV_SPACE(\from), %rax
	lock btrl %r11d, SPACE_CPUS(%rax)
	.endm

/*
 * The way of pct_call, and of pct_send.  rip and rflags go at once where they are to be kept; rax rcx rdx
 * r11 are what there is to work with, and rsp is the user's all the way.
 */
	.macro	TRANSFER_FAST number, wait
	movq	%rdx, %gs:PERCPU_SCRATCH
	movq	%gs:PERCPU_LOCAL, %rdx
	cmpl	$0, ENV_DOOR(%rdx)	/* it serves no call, and nothing about it is odd */
	jne	21f
	movq	%rcx, ENV_RIP(%rdx)
	movq	%r11, ENV_RFLAGS(%rdx)
	.if	\wait
	movq	%rsp, ENV_RSP(%rdx)
	.else
	movl	ENV_SETUP_CPU(%rdx), %ecx	/* another could run it meanwhile */
	cmpl	%gs:0, %ecx
	jne	26f
	.endif
	shrq	$27, %rax		/* gate * WAY_SIZE + 8 */
	cmpq	$CALL_GATES * WAY_SIZE + 8, %rax
	jae	22f
	leaq	ENV_WAYS-8(%rdx,%rax), %r11
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
	movq	WAY_TARGET(%r11), %rdx
	cmpl	FAST_PKRU(%rdx), %eax
	jne	23f
	movq	%gs:PERCPU_LOCAL, %rcx
	.if	\wait
	movl	%eax, ENV_PKRU(%rcx)
	.endif
	movq	ENV_STAMP(%rcx), %rax
	cmpq	ENV_STAMP(%rdx), %rax
	jne	23f
	/* Nothing can fail from here on. */
	.if	\wait
	rdfsbase %rax
	movq	%rax, ENV_FS_BASE(%rcx)
	.endif
	xorl	%eax, %eax
	wrfsbase %rax
	movl	$2, ENV_STATE(%rdx)	/* AEGIS_STATE_RUNNING */
	movl	$0x100, ENV_DOOR(%rdx)	/* returns_to_sleep */
	movq	FAST_AREA(%rdx), %rax
	movl	$1, (%rax)		/* defer */
	movq	ENV_SPACE(%rdx), %rax
	cmpq	ENV_SPACE(%rcx), %rax
	je	20f
	SPACE_SWITCH %rcx, %rdx
20:	movq	%rdx, %gs:PERCPU_LOCAL
	.if	\wait
	movq	%rcx, %gs:PERCPU_CALLER
	.else
	movq	%rcx, %gs:PERCPU_SENDER
	.endif
	incl	ENV_CALLS(%rcx)
	movq	%gs:PERCPU_COUNTERS, %rax
	incq	pct_transfers(%rax)
	movq	ENV_LOCK(%rdx), %rax
	movl	$0, (%rax)
	movq	%rdx, %r11
	movq	%gs:PERCPU_SCRATCH, %rdx
	swapgs
	.if	\wait
	rdgsbase %rax
	movq	%rax, ENV_GS_BASE(%rcx)
	.endif
	movq	ENV_HANDLERS_GS(%r11), %rax
	wrgsbase %rax
	movl	ENV_NUMBER(%rcx), %eax
	movq	ENV_CALL_STACK(%r11), %rsp
	movq	ENV_CALL_ENTRY(%r11), %rcx
	movl	$0x202, %r11d
	sysretq

	/* By C, with all registers as they came. */
23:	movq	WAY_LOCK(%r11), %rdx
	movl	$0x80000000, (%rdx)
24:	movq	%gs:PERCPU_LOCAL, %rdx
	leaq	ENV_WAYS(%rdx), %rax
	subq	%rax, %r11
	movq	%r11, %rax
	movq	ENV_RIP(%rdx), %rcx
	movq	ENV_RFLAGS(%rdx), %r11
	jmp	25f
22:	subq	$8, %rax
25:	shlq	$27, %rax
	addq	$\number, %rax
	jmp	21f
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
	cmpq	$0, %gs:PERCPU_CALLER
	je	syscall_c
	movq	%rdx, %gs:PERCPU_SCRATCH
	movq	%rcx, %gs:PERCPU_USER_RIP
	movq	%gs:PERCPU_LOCAL, %rdx
	movq	ENV_LOCK(%rdx), %rdx
	movl	%gs:PERCPU_LOCK, %ecx
	xorl	%eax, %eax
	lock cmpxchgl %ecx, (%rdx)
	jne	31f
	xorl	%ecx, %ecx
	PATCHED	rdpkru, pkru_sites
	movq	%gs:PERCPU_CALLER, %rdx
	cmpl	ENV_PKRU(%rdx), %eax
	jne	32f
	movq	%gs:PERCPU_LOCAL, %rcx
	cmpl	$0x100, ENV_DOOR(%rcx)
	jne	32f
	movq	FAST_PAGE(%rcx), %rax
	movl	PAGE_EVENTS(%rax), %eax
	cmpl	ENV_SEEN(%rcx), %eax
	jne	32f
	movl	$3, ENV_STATE(%rcx)	/* AEGIS_STATE_SLEEPING */
	movl	$1, ENV_DOOR(%rcx)	/* accepts */
	incl	ENV_CALLS(%rcx)
	movq	ENV_SPACE(%rdx), %rax
	cmpq	ENV_SPACE(%rcx), %rax
	je	30f
	SPACE_SWITCH %rcx, %rdx
30:	movq	%rdx, %gs:PERCPU_LOCAL
	movq	$0, %gs:PERCPU_CALLER
	movq	ENV_LOCK(%rcx), %rax
	movl	$0x80000000, (%rax)	/* LOCK_DOOR */
	movq	ENV_FS_BASE(%rdx), %rax
	wrfsbase %rax
	movq	%rdx, %r11
	movq	%gs:PERCPU_SCRATCH, %rdx
	swapgs
	movq	ENV_GS_BASE(%r11), %rax
	wrgsbase %rax
	xorl	%eax, %eax		/* AEGIS_OK */
	movq	ENV_RIP(%r11), %rcx
	movq	ENV_RSP(%r11), %rsp
	movq	ENV_RFLAGS(%r11), %r11
	sysretq

32:	movq	%gs:PERCPU_LOCAL, %rdx
	movq	ENV_LOCK(%rdx), %rdx
	movl	$0, (%rdx)
31:	movl	$CALL_PCT+2, %eax
	movq	%gs:PERCPU_USER_RIP, %rcx
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
	testl	$~DOOR_GIVEN, ENV_DOOR(%r8)
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
	movl	$STATE_READY, ENV_STATE(%r8)
	movb	$0, ENV_ODD(%r8)	/* and not `killed`, which others write */
2:	movl	$STATE_RUNNING, ENV_STATE(%r10)
	movb	$ODD_GIVEN, ENV_ODD(%r10)

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
	SPACE_SWITCH %r8, %r10
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
	movl	$STATE_READY, ENV_STATE(%r8)
	movb	$0, ENV_ODD(%r8)
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
