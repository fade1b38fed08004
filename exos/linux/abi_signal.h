/* SPDX-License-Identifier: MIT */
/*
 * Linux signal ABI for x86-64: numbers, sigaction, siginfo, and the frame a handler sees.
 *
 * Owns the layouts that a program and the signal code share on the program's own stack.
 *
 * 1. These are the kernel's forms: a 64-bit signal set, sigaction with the restorer before the
 *    mask, a ucontext that ends in a 64-bit set.
 * 2. Everything in a frame that comes back through rt_sigreturn is untrusted input.
 * 3. User addresses are uint64_t: the code that uses them decides in whose address space they lie.
 */
#ifndef EXOS_LINUX_ABI_SIGNAL_H
#define EXOS_LINUX_ABI_SIGNAL_H

#include <stddef.h>
#include <stdint.h>

#define LX_SIGHUP    1
#define LX_SIGINT    2
#define LX_SIGQUIT   3
#define LX_SIGILL    4
#define LX_SIGTRAP   5
#define LX_SIGABRT   6
#define LX_SIGIOT    6
#define LX_SIGBUS    7
#define LX_SIGFPE    8
#define LX_SIGKILL   9
#define LX_SIGUSR1   10
#define LX_SIGSEGV   11
#define LX_SIGUSR2   12
#define LX_SIGPIPE   13
#define LX_SIGALRM   14
#define LX_SIGTERM   15
#define LX_SIGSTKFLT 16
#define LX_SIGCHLD   17
#define LX_SIGCONT   18
#define LX_SIGSTOP   19
#define LX_SIGTSTP   20
#define LX_SIGTTIN   21
#define LX_SIGTTOU   22
#define LX_SIGURG    23
#define LX_SIGXCPU   24
#define LX_SIGXFSZ   25
#define LX_SIGVTALRM 26
#define LX_SIGPROF   27
#define LX_SIGWINCH  28
#define LX_SIGIO     29
#define LX_SIGPOLL   29
#define LX_SIGPWR    30
#define LX_SIGSYS    31
#define LX_SIGRTMIN  32
#define LX_SIGRTMAX  64
#define LX_NSIG      64

/* Bit of signal n, 1 <= n <= 64, in a set. */
#define LX_SIGBIT(n)         (1ULL << ((n)-1))
#define LX_SIGSET_BYTES      8
#define LX_MINSIGSTKSZ       2048
#define LX_SIGSTKSZ          8192
#define LX_SIG_DFL           0
#define LX_SIG_IGN           1
#define LX_SA_NOCLDSTOP      0x00000001
#define LX_SA_NOCLDWAIT      0x00000002
#define LX_SA_SIGINFO        0x00000004
#define LX_SA_UNSUPPORTED    0x00000400
#define LX_SA_EXPOSE_TAGBITS 0x00000800
#define LX_SA_RESTORER       0x04000000
#define LX_SA_ONSTACK        0x08000000
#define LX_SA_RESTART        0x10000000
#define LX_SA_NODEFER        0x40000000
#define LX_SA_RESETHAND      0x80000000
#define LX_SIG_BLOCK         0
#define LX_SIG_UNBLOCK       1
#define LX_SIG_SETMASK       2
#define LX_SS_ONSTACK        1
#define LX_SS_DISABLE        2
#define LX_SS_AUTODISARM     0x80000000

/*
 * Results that never reach a program: a handler returns one of them, negated, when a caught signal
 * ended a wait, and the code that delivers the signal turns it into a restart or -EINTR.
 */
#define LX_ERESTARTSYS           512 /* restart if there is no handler or it has LX_SA_RESTART */
#define LX_ERESTARTNOINTR        513 /* restart always */
#define LX_ERESTARTNOHAND        514 /* restart if no handler ran */
#define LX_ERESTART_RESTARTBLOCK 516 /* restart with the time that is left */

/* si_code */
#define LX_SI_USER       0
#define LX_SI_KERNEL     0x80
#define LX_SI_QUEUE      (-1)
#define LX_SI_TIMER      (-2)
#define LX_SI_MESGQ      (-3)
#define LX_SI_ASYNCIO    (-4)
#define LX_SI_SIGIO      (-5)
#define LX_SI_TKILL      (-6)
#define LX_ILL_ILLOPC    1
#define LX_ILL_ILLOPN    2
#define LX_ILL_ILLADR    3
#define LX_ILL_ILLTRP    4
#define LX_ILL_PRVOPC    5
#define LX_ILL_PRVREG    6
#define LX_FPE_INTDIV    1
#define LX_FPE_INTOVF    2
#define LX_FPE_FLTDIV    3
#define LX_FPE_FLTOVF    4
#define LX_FPE_FLTUND    5
#define LX_FPE_FLTRES    6
#define LX_FPE_FLTINV    7
#define LX_FPE_FLTUNK    14
#define LX_SEGV_MAPERR   1
#define LX_SEGV_ACCERR   2
#define LX_SEGV_BNDERR   3
#define LX_SEGV_PKUERR   4
#define LX_BUS_ADRALN    1
#define LX_BUS_ADRERR    2
#define LX_BUS_OBJERR    3
#define LX_TRAP_BRKPT    1
#define LX_TRAP_TRACE    2
#define LX_TRAP_BRANCH   3
#define LX_TRAP_HWBKPT   4
#define LX_CLD_EXITED    1
#define LX_CLD_KILLED    2
#define LX_CLD_DUMPED    3
#define LX_CLD_TRAPPED   4
#define LX_CLD_STOPPED   5
#define LX_CLD_CONTINUED 6
#define LX_POLL_IN       1
#define LX_POLL_OUT      2
#define LX_POLL_MSG      3
#define LX_POLL_ERR      4
#define LX_POLL_PRI      5
#define LX_POLL_HUP      6

/* The kernel's sigaction: the argument of rt_sigaction. */
struct lx_sigaction {
	uint64_t handler; /* LX_SIG_DFL, LX_SIG_IGN or an address */
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

struct lx_sigaltstack {
	uint64_t ss_sp;
	int32_t ss_flags;
	uint32_t pad;
	uint64_t ss_size;
};

union lx_sigval {
	int32_t sival_int;
	uint64_t sival_ptr;
};

struct lx_siginfo {
	int32_t si_signo;
	int32_t si_errno;
	int32_t si_code;
	int32_t pad;
	union {
		struct {
			int32_t pid;
			uint32_t uid;
		} kill;
		struct {
			int32_t tid;
			int32_t overrun;
			union lx_sigval value;
		} timer;
		struct {
			int32_t pid;
			uint32_t uid;
			union lx_sigval value;
		} rt;
		struct {
			int32_t pid;
			uint32_t uid;
			int32_t status;
			int32_t pad;
			int64_t utime;
			int64_t stime;
		} child;
		struct {
			uint64_t addr;
			int16_t addr_lsb;
			int16_t pad[3];
			union {
				struct {
					uint64_t lower;
					uint64_t upper;
				} bound;
				uint32_t pkey;
			};
		} fault;
		struct {
			int64_t band;
			int32_t fd;
		} poll;
		struct {
			uint64_t call_addr;
			int32_t number;
			uint32_t arch;
		} sys;
		uint8_t fill[112];
	};
};

_Static_assert(sizeof(struct lx_sigaction) == 32, "kernel sigaction");
_Static_assert(offsetof(struct lx_sigaction, mask) == 24, "kernel sigaction");
_Static_assert(sizeof(struct lx_sigaltstack) == 24, "stack_t");
_Static_assert(offsetof(struct lx_sigaltstack, ss_size) == 16, "stack_t");
_Static_assert(sizeof(struct lx_siginfo) == 128, "siginfo_t");
_Static_assert(offsetof(struct lx_siginfo, kill) == 16, "siginfo_t");
_Static_assert(offsetof(struct lx_siginfo, rt.value) == 24, "siginfo_t");
_Static_assert(offsetof(struct lx_siginfo, child.utime) == 32, "siginfo_t");
_Static_assert(offsetof(struct lx_siginfo, fault.bound) == 32, "siginfo_t");
_Static_assert(offsetof(struct lx_siginfo, fault.pkey) == 32, "siginfo_t");
_Static_assert(offsetof(struct lx_siginfo, sys.number) == 24, "siginfo_t");

/* What follows the FXSAVE image's hardware part: says that XSAVE state follows and how much. */
struct lx_fpx_sw_bytes {
	uint32_t magic1;
	uint32_t extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t padding[7];
};

#define LX_FP_XSTATE_MAGIC1 0x46505853U
#define LX_FP_XSTATE_MAGIC2 0x46505845U

/* FXSAVE64 layout; must be 64-byte aligned in a frame when XSAVE state follows. */
struct lx_fpstate {
	uint16_t cwd;
	uint16_t swd;
	uint16_t twd;
	uint16_t fop;
	uint64_t rip;
	uint64_t rdp;
	uint32_t mxcsr;
	uint32_t mxcsr_mask;
	uint32_t st_space[32];
	uint32_t xmm_space[64];
	uint32_t reserved2[12];
	struct lx_fpx_sw_bytes sw_reserved;
};

struct lx_xstate_header {
	uint64_t xfeatures;
	uint64_t xcomp_bv;
	uint64_t reserved[6];
};

struct lx_sigcontext {
	uint64_t r8;
	uint64_t r9;
	uint64_t r10;
	uint64_t r11;
	uint64_t r12;
	uint64_t r13;
	uint64_t r14;
	uint64_t r15;
	uint64_t rdi;
	uint64_t rsi;
	uint64_t rbp;
	uint64_t rbx;
	uint64_t rdx;
	uint64_t rax;
	uint64_t rcx;
	uint64_t rsp;
	uint64_t rip;
	uint64_t eflags;
	uint16_t cs;
	uint16_t gs;
	uint16_t fs;
	uint16_t ss;
	uint64_t err;
	uint64_t trapno;
	uint64_t oldmask;
	uint64_t cr2;
	uint64_t fpstate; /* address of a struct lx_fpstate, or 0 */
	uint64_t reserved1[8];
};

#define LX_UC_FP_XSTATE         0x1
#define LX_UC_SIGCONTEXT_SS     0x2
#define LX_UC_STRICT_RESTORE_SS 0x4

struct lx_ucontext {
	uint64_t uc_flags;
	uint64_t uc_link;
	struct lx_sigaltstack uc_stack;
	struct lx_sigcontext uc_mcontext;
	uint64_t uc_sigmask;
};

/* The frame at the stack pointer when a handler is entered. */
struct lx_rt_sigframe {
	uint64_t pretcode; /* the restorer: return address of the handler */
	struct lx_ucontext uc;
	struct lx_siginfo info;
};

_Static_assert(sizeof(struct lx_fpx_sw_bytes) == 48, "sw_reserved");
_Static_assert(sizeof(struct lx_fpstate) == 512, "FXSAVE image");
_Static_assert(offsetof(struct lx_fpstate, mxcsr) == 24, "FXSAVE image");
_Static_assert(offsetof(struct lx_fpstate, xmm_space) == 160, "FXSAVE image");
_Static_assert(offsetof(struct lx_fpstate, sw_reserved) == 464, "FXSAVE image");
_Static_assert(sizeof(struct lx_xstate_header) == 64, "XSAVE header");
_Static_assert(sizeof(struct lx_sigcontext) == 256, "sigcontext");
_Static_assert(offsetof(struct lx_sigcontext, rip) == 128, "sigcontext");
_Static_assert(offsetof(struct lx_sigcontext, cs) == 144, "sigcontext");
_Static_assert(offsetof(struct lx_sigcontext, fpstate) == 184, "sigcontext");
_Static_assert(sizeof(struct lx_ucontext) == 304, "ucontext");
_Static_assert(offsetof(struct lx_ucontext, uc_mcontext) == 40, "ucontext");
_Static_assert(offsetof(struct lx_ucontext, uc_sigmask) == 296, "ucontext");
_Static_assert(sizeof(struct lx_rt_sigframe) == 440, "rt_sigframe");

#endif
