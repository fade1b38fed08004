/* SPDX-License-Identifier: MIT */
/*
 * Every way into the kernel and out of it.
 *
 *   syscall_entry   the light path: nothing is saved but rip, rflags and rsp; the C function keeps the
 *                   callee-saved registers, the argument registers come back as zero.  `null` with
 *                   nothing pending touches no stack and no register but rax
 *   sys_pct_*       the same for protected control transfers: the argument registers are the message
 *   yield_fast      a yield to a name: nothing of who yields is kept, the other begins with clear registers
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

/*
 * CLAC does not exist before SMAP, RDPKRU and WRPKRU not before protection keys; trap_init overwrites
 * these there: with no-operations, and RDPKRU so that it answers 0.
 */
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

/* Offsets from rsp with the vector on top, as the stubs leave it. */
#define HW_CS  24
#define HW_RSP 40

/*
 * A record of the trace: rsi is the environment, a in rcx, rip on the stack's top.  As trace_write,
 * without its call.  Clobbers rax rdx r8 r11.
 */
	.macro	TRACE_FAST event
	movq	%gs:PERCPU_TRACE, %r8
	movq	RING_HEAD(%r8), %rax
	xorl	%edx, %edx
	divq	RING_SLOTS(%r8)
	shll	$5, %edx		/* bytes of a record */
	leaq	RING_REC(%r8,%rdx), %r11
	incq	RING_HEAD(%r8)
	rdtsc
	shlq	$32, %rdx
	orq	%rax, %rdx
	movq	%rdx, REC_TSC(%r11)
	movl	%gs:\event, %eax
	movl	%eax, REC_EVENT(%r11)
	movl	ENV_NUMBER(%rsi), %eax
	movl	%eax, REC_ENV(%r11)
	movq	%rcx, REC_A(%r11)
	movq	(%rsp), %rax
	movq	%rax, REC_B(%r11)
	.endm

/*
 * On the stack: rax, rdi, and what the stub left; rax is the environment, rdi the frame.  The frame is
 * filled, asynchronous upcalls are deferred, PKRU is the handlers'; then rsi is the environment and
 * only rsp = rdi = the frame's address, which differs, and FRAME_ENTER are left to do.
 */
	.macro	FRAME_FILL event, counter, foreign=0
	movq	%rsi, FRAME_RSI(%rdi)
	movq	%rdx, FRAME_RDX(%rdi)
	movq	%r10, FRAME_R10(%rdi)
	movq	%r8, FRAME_R8(%rdi)
	movq	%r9, FRAME_R9(%rdi)
	movq	%rcx, FRAME_RCX(%rdi)
	movq	%r11, FRAME_R11(%rdi)
	movq	%rax, %rsi
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
	TRACE_FAST \event
	movq	%gs:PERCPU_COUNTERS, %rdx
	incq	\counter(%rdx)
	popq	FRAME_RIP(%rdi)
	popq	FRAME_CS(%rdi)
	popq	FRAME_RFLAGS(%rdi)
	popq	FRAME_RSP(%rdi)
	popq	FRAME_SS(%rdi)
	movq	FAST_GS_BASE(%rsi), %rax
	movq	%rax, FRAME_GS_BASE(%rdi)
	xorl	%ecx, %ecx
911:	rdpkru
	.pushsection pkru_sites, "a"
	.quad	911b
	.popsection
	movl	%eax, FRAME_PKRU(%rdi)
	cmpl	FAST_PKRU(%rsi), %eax
	je	2f
	movl	FAST_PKRU(%rsi), %eax
912:	wrpkru
	.pushsection pkru_sites, "a"
	.quad	912b
	.popsection
2:	movq	FAST_AREA(%rsi), %rcx
	movl	(%rcx), %eax		/* defer */
	movl	$1, (%rcx)
	movl	%eax, FRAME_DEFERRED(%rdi)
	movq	FAST_PAGE(%rsi), %rcx
	incl	PAGE_UPCALLS(%rcx)
	.endm

	.macro	FRAME_ENTER
	movq	FAST_ENTRY(%rsi), %rcx
	movl	$0x202, %r11d		/* MACHINE_FLAGS_USER */
	xorl	%esi, %esi
	xorl	%r8d, %r8d
	swapgs
	sysretq
	.endm

	.text

/* ---- calls ---- */
	.balign 64
	.globl	syscall_entry
syscall_entry:
	swapgs
	cmpl	$CALL_PCT, %eax
	je	pct_call_fast
	cmpl	$CALL_PCT+2, %eax
	je	pct_return_fast
	cmpl	$CALL_PCT+1, %eax
	je	pct_send_fast
	cmpl	$CALL_BASE, %eax
	jne	syscall_other
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
	jmp	syscall_c
syscall_other:
	cmpl	$CALL_YIELD, %eax
	je	yield_fast
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
 * r11 are what there is to work with, and rsp is the user's all the way: no stack is needed, because
 * whatever can come here, NMI or machine check, has one of its own.
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
911:	rdpkru
	.pushsection pkru_sites, "a"
	.quad	911b
	.popsection
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
913:	rdpkru
	.pushsection pkru_sites, "a"
	.quad	913b
	.popsection
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
 * The way of the yield, at r10, leads to whom the capability's slot opened; the epoch tells whether it still
 * does.  Nothing is clobbered that C must have: a call leaves only what a function keeps.
 */
yield_fast:
	movq	%gs:PERCPU_LOCAL, %r8
	testl	$~DOOR_GIVEN, ENV_DOOR(%r8)
	jnz	syscall_c
	movl	%edi, %r9d
	cmpl	$CAP_SLOTS, %r9d
	jae	syscall_c
	movl	%esi, %r10d
	andl	$YIELD_MASK, %r10d
	imull	$YIELD_SIZE, %r10d, %r10d
	leaq	ENV_YIELDS(%r8,%r10), %r10
	movq	ENV_CAPS(%r8,%r9,8), %r9
	cmpq	YIELD_CAP(%r10), %r9
	jne	syscall_c
	cmpl	YIELD_ENV(%r10), %esi
	jne	syscall_c
	movq	%rcx, %gs:PERCPU_USER_RIP
	movl	%gs:PERCPU_LOCK, %edx
	movq	YIELD_TARGET(%r10), %rcx
	cmpq	%rcx, %gs:PERCPU_SENDER
	je	yield_back

	/* To one who is READY, whose lock is at r9; from whose is at rcx, if that is to be READY. */
	movq	YIELD_LOCK(%r10), %r9
	movl	$LOCK_READY, %eax
	lock cmpxchgl %edx, (%r9)
	jne	yield_c
	movq	gate_epoch, %rax
	cmpq	YIELD_EPOCH(%r10), %rax
	jne	yield_unlock
	movq	%rcx, %r10
	movq	ENV_STAMP(%r8), %rax
	cmpq	ENV_STAMP(%r10), %rax
	jne	yield_unlock
	leaq	ENV_RIP(%r8), %rcx	/* a word without a meaning now */
	cmpl	$0, ENV_DOOR(%r8)
	jne	1f
	movq	%r8, %gs:PERCPU_SENDER
	jmp	2f
1:	movq	ENV_LOCK(%r8), %rcx
	xorl	%eax, %eax
	lock cmpxchgl %edx, (%rcx)
	jne	yield_unlock
	movl	$STATE_READY, ENV_STATE(%r8)
	movl	$0, ENV_DOOR(%r8)
2:	movl	$STATE_RUNNING, ENV_STATE(%r10)
	movl	$DOOR_GIVEN, ENV_DOOR(%r10)

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

	/* r10 begins, as by _env_go. */
	xorl	%ecx, %ecx
914:	rdpkru
	.pushsection pkru_sites, "a"
	.quad	914b
	.popsection
	cmpl	FAST_PKRU(%r10), %eax
	je	1f
	movl	FAST_PKRU(%r10), %eax
915:	wrpkru
	.pushsection pkru_sites, "a"
	.quad	915b
	.popsection
1:	movl	$-1, %eax
	movl	%eax, %edx
	xrstor64 vector_initial(%rip)
	xorl	%eax, %eax
	movl	%ds, %ecx
	movl	%es, %edx
	orl	%edx, %ecx
	movl	%fs, %edx
	orl	%edx, %ecx
	movl	%gs, %edx
	orl	%edx, %ecx
	jnz	3f
2:	wrfsbase %rax
	swapgs
	movq	ENV_HANDLERS_GS(%r10), %rcx
	wrgsbase %rcx
	movq	ENV_BEGIN_ENTRY(%r10), %rcx
	movl	$0x202, %r11d		/* MACHINE_FLAGS_USER */
	.irp	r, ebx, edx, esi, edi, ebp, esp, r8d, r9d, r10d, r12d, r13d, r14d, r15d
	xorl	%\r, %\r
	.endr
	sysretq
	/* A selector that user code loaded goes, too, and the GS base with it. */
3:	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	rdgsbase %rdx
	movl	%eax, %gs
	wrgsbase %rdx
	jmp	2b

	/* Back to the first, at rcx, who has been RUNNING all the time. */
yield_back:
	movq	gate_epoch, %rax
	cmpq	YIELD_EPOCH(%r10), %rax
	jne	yield_c
	movq	%rcx, %r10
	movq	ENV_LOCK(%r8), %rcx
	xorl	%eax, %eax
	lock cmpxchgl %edx, (%rcx)
	jne	yield_c
	movl	$STATE_READY, ENV_STATE(%r8)
	movl	$0, ENV_DOOR(%r8)
	movq	$0, %gs:PERCPU_SENDER
	leaq	ENV_RIP(%r8), %r9
	jmp	yield_go

yield_unlock:
	movl	$LOCK_READY, (%r9)
yield_c:
	movq	%gs:PERCPU_USER_RIP, %rcx
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
	FRAME_FILL PERCPU_EVENT_FOREIGN, upcall_foreigns, 1
	xorl	%r9d, %r9d
	movq	FAST_AT(%rsi), %rsp
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
	FRAME_FILL PERCPU_EVENT_EXCEPTION, upcall_exceptions
	movq	FAST_AT(%rsi), %rsp
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
	FRAME_FILL PERCPU_EVENT_EXCEPTION, upcall_exceptions
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
	CLEAR_AC
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
	CLEAR_AC
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
