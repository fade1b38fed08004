/* SPDX-License-Identifier: MIT */
/*
 * The library's Linux ABI headers against the host's own kernel headers: values of constants, sizes
 * and offsets of structures, and call numbers. Error numbers need no code: both headers are
 * included, and the compiler refuses definitions that differ.
 *
 * Prints TAP. Constants that kernel headers do not export to programs are compared with literals.
 */
/* clang-format off */
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/mman.h>
#include <asm/poll.h>
#include <asm/prctl.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/sigcontext.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <asm/ucontext.h>
#include <asm/unistd_64.h>
#include <linux/auxvec.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/sysinfo.h>
#include <linux/time.h>
#include <linux/times.h>
#include <linux/uio.h>
#include <linux/utsname.h>
#include <linux/wait.h>
/* clang-format on */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "exos/linux/abi.h"
#include "exos/linux/calls.h"

static int test_count;
static int test_failures;

static void
check(bool good, const char *name)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, name);
}

struct value {
	const char *name;
	unsigned long long ours;
	unsigned long long host;
};

/* A name expands to the host's value; pasted to LX_ it is ours. */
#define V(name)                 {#name, (unsigned long long)(LX_##name), (unsigned long long)(name)},
#define L(name, value)          {#name, (unsigned long long)(name), (unsigned long long)(value)},
#define SIZE(ours, theirs)      {"sizeof " #theirs, sizeof(struct ours), sizeof(theirs)},
#define OFF(ours, a, theirs, b) {#theirs "." #b, offsetof(struct ours, a), offsetof(theirs, b)},
#define FIELD(ours, theirs, m)  OFF(ours, m, theirs, m)

/* clang-format off */
static const struct value abi_tty_values[] = {
	V(NCCS) V(VINTR) V(VQUIT) V(VERASE) V(VKILL) V(VEOF) V(VTIME) V(VMIN) V(VSWTC) V(VSTART)
	V(VSTOP) V(VSUSP) V(VEOL) V(VREPRINT) V(VDISCARD) V(VWERASE) V(VLNEXT) V(VEOL2) V(IGNBRK)
	V(BRKINT) V(IGNPAR) V(PARMRK) V(INPCK) V(ISTRIP) V(INLCR) V(IGNCR) V(ICRNL) V(IUCLC)
	V(IXON) V(IXANY) V(IXOFF) V(IMAXBEL) V(IUTF8) V(OPOST) V(OLCUC) V(ONLCR) V(OCRNL) V(ONOCR)
	V(ONLRET) V(OFILL) V(OFDEL) V(NLDLY) V(CRDLY) V(TABDLY) V(TAB0) V(TAB1) V(TAB2) V(TAB3)
	V(XTABS) V(BSDLY) V(VTDLY) V(FFDLY) V(CBAUD) V(B0) V(B9600) V(B38400) V(B115200) V(CSIZE)
	V(CS5) V(CS6) V(CS7) V(CS8) V(CSTOPB) V(CREAD) V(PARENB) V(PARODD) V(HUPCL) V(CLOCAL)
	V(CBAUDEX) V(BOTHER) V(CIBAUD) V(CMSPAR) V(CRTSCTS) V(ISIG) V(ICANON) V(XCASE) V(ECHO)
	V(ECHOE) V(ECHOK) V(ECHONL) V(NOFLSH) V(TOSTOP) V(ECHOCTL) V(ECHOPRT) V(ECHOKE) V(FLUSHO)
	V(PENDIN) V(IEXTEN) V(EXTPROC) V(TCOOFF) V(TCOON) V(TCIOFF) V(TCION) V(TCIFLUSH)
	V(TCOFLUSH) V(TCIOFLUSH) V(TCGETS) V(TCSETS) V(TCSETSW) V(TCSETSF) V(TCGETA) V(TCSETA)
	V(TCSETAW) V(TCSETAF) V(TCSBRK) V(TCXONC) V(TCFLSH) V(TIOCEXCL) V(TIOCNXCL) V(TIOCSCTTY)
	V(TIOCGPGRP) V(TIOCSPGRP) V(TIOCOUTQ) V(TIOCSTI) V(TIOCGWINSZ) V(TIOCSWINSZ) V(TIOCMGET)
	V(TIOCMBIS) V(TIOCMBIC) V(TIOCMSET) V(FIONREAD) V(TIOCINQ) V(TIOCLINUX) V(TIOCCONS)
	V(TIOCGSERIAL) V(TIOCPKT) V(FIONBIO) V(TIOCNOTTY) V(TIOCSETD) V(TIOCGETD) V(TCSBRKP)
	V(TIOCSBRK) V(TIOCCBRK) V(TIOCGSID) V(TCGETS2) V(TCSETS2) V(TCSETSW2) V(TCSETSF2)
	V(TIOCGPTN) V(TIOCSPTLCK) V(TIOCGDEV) V(TIOCVHANGUP) V(TIOCGPTPEER) V(FIONCLEX) V(FIOCLEX)
	V(FIOASYNC) V(FIOQSIZE) V(TIOCGLCKTRMIOS) V(TIOCSLCKTRMIOS)
};

static const struct value abi_signal_values[] = {
	V(SIGHUP) V(SIGINT) V(SIGQUIT) V(SIGILL) V(SIGTRAP) V(SIGABRT) V(SIGIOT) V(SIGBUS)
	V(SIGFPE) V(SIGKILL) V(SIGUSR1) V(SIGSEGV) V(SIGUSR2) V(SIGPIPE) V(SIGALRM) V(SIGTERM)
	V(SIGSTKFLT) V(SIGCHLD) V(SIGCONT) V(SIGSTOP) V(SIGTSTP) V(SIGTTIN) V(SIGTTOU) V(SIGURG)
	V(SIGXCPU) V(SIGXFSZ) V(SIGVTALRM) V(SIGPROF) V(SIGWINCH) V(SIGIO) V(SIGPOLL) V(SIGPWR)
	V(SIGSYS) V(SIGRTMIN) V(MINSIGSTKSZ) V(SIGSTKSZ) V(SA_NOCLDSTOP) V(SA_NOCLDWAIT)
	V(SA_SIGINFO) V(SA_UNSUPPORTED) V(SA_EXPOSE_TAGBITS) V(SA_RESTORER) V(SA_ONSTACK)
	V(SA_RESTART) V(SA_NODEFER) V(SA_RESETHAND) V(SIG_BLOCK) V(SIG_UNBLOCK) V(SIG_SETMASK)
	V(SI_USER) V(SI_KERNEL) V(SI_QUEUE) V(SI_TIMER) V(SI_MESGQ) V(SI_ASYNCIO) V(SI_SIGIO)
	V(SI_TKILL) V(ILL_ILLOPC) V(ILL_ILLOPN) V(ILL_ILLADR) V(ILL_ILLTRP) V(ILL_PRVOPC)
	V(ILL_PRVREG) V(FPE_INTDIV) V(FPE_INTOVF) V(FPE_FLTDIV) V(FPE_FLTOVF) V(FPE_FLTUND)
	V(FPE_FLTRES) V(FPE_FLTINV) V(FPE_FLTUNK) V(SEGV_MAPERR) V(SEGV_ACCERR) V(SEGV_BNDERR)
	V(SEGV_PKUERR) V(BUS_ADRALN) V(BUS_ADRERR) V(BUS_OBJERR) V(TRAP_BRKPT) V(TRAP_TRACE)
	V(TRAP_BRANCH) V(TRAP_HWBKPT) V(CLD_EXITED) V(CLD_KILLED) V(CLD_DUMPED) V(CLD_TRAPPED)
	V(CLD_STOPPED) V(CLD_CONTINUED) V(POLL_IN) V(POLL_OUT) V(POLL_MSG) V(POLL_ERR) V(POLL_PRI)
	V(POLL_HUP) V(FP_XSTATE_MAGIC1) V(FP_XSTATE_MAGIC2) V(UC_FP_XSTATE) V(UC_SIGCONTEXT_SS)
	V(UC_STRICT_RESTORE_SS)
};

static const struct value abi_file_values[] = {
	V(PATH_MAX) V(NAME_MAX) V(PIPE_BUF) V(S_IFMT) V(S_IFSOCK) V(S_IFLNK) V(S_IFREG) V(S_IFBLK)
	V(S_IFDIR) V(S_IFCHR) V(S_IFIFO) V(S_ISUID) V(S_ISGID) V(S_ISVTX) V(STATX_TYPE)
	V(STATX_MODE) V(STATX_NLINK) V(STATX_UID) V(STATX_GID) V(STATX_ATIME) V(STATX_MTIME)
	V(STATX_CTIME) V(STATX_INO) V(STATX_SIZE) V(STATX_BLOCKS) V(STATX_BASIC_STATS)
	V(STATX_BTIME) V(STATX_MNT_ID) V(STATX_DIOALIGN) V(STATX__RESERVED) V(STATX_ATTR_IMMUTABLE)
	V(STATX_ATTR_APPEND) V(STATX_ATTR_MOUNT_ROOT) V(O_ACCMODE) V(O_RDONLY) V(O_WRONLY)
	V(O_RDWR) V(O_CREAT) V(O_EXCL) V(O_NOCTTY) V(O_TRUNC) V(O_APPEND) V(O_NONBLOCK) V(O_NDELAY)
	V(O_DSYNC) V(O_DIRECT) V(O_LARGEFILE) V(O_DIRECTORY) V(O_NOFOLLOW) V(O_NOATIME)
	V(O_CLOEXEC) V(O_SYNC) V(O_PATH) V(O_TMPFILE) V(AT_FDCWD) V(AT_SYMLINK_NOFOLLOW)
	V(AT_EACCESS) V(AT_REMOVEDIR) V(AT_SYMLINK_FOLLOW) V(AT_NO_AUTOMOUNT) V(AT_EMPTY_PATH)
	V(AT_STATX_SYNC_TYPE) V(AT_STATX_FORCE_SYNC) V(AT_STATX_DONT_SYNC) V(SEEK_SET) V(SEEK_CUR)
	V(SEEK_END) V(SEEK_DATA) V(SEEK_HOLE) V(RENAME_NOREPLACE) V(RENAME_EXCHANGE)
	V(RENAME_WHITEOUT) V(FALLOC_FL_KEEP_SIZE) V(FALLOC_FL_PUNCH_HOLE) V(FALLOC_FL_ZERO_RANGE)
	V(F_DUPFD) V(F_GETFD) V(F_SETFD) V(F_GETFL) V(F_SETFL) V(F_GETLK) V(F_SETLK) V(F_SETLKW)
	V(F_SETOWN) V(F_GETOWN) V(F_SETSIG) V(F_GETSIG) V(F_SETOWN_EX) V(F_GETOWN_EX)
	V(F_OFD_GETLK) V(F_OFD_SETLK) V(F_OFD_SETLKW) V(F_SETLEASE) V(F_GETLEASE) V(F_NOTIFY)
	V(F_DUPFD_CLOEXEC) V(F_SETPIPE_SZ) V(F_GETPIPE_SZ) V(F_ADD_SEALS) V(F_GET_SEALS)
	V(FD_CLOEXEC) V(F_RDLCK) V(F_WRLCK) V(F_UNLCK) V(LOCK_SH) V(LOCK_EX) V(LOCK_NB) V(LOCK_UN)
	V(POLLIN) V(POLLPRI) V(POLLOUT) V(POLLERR) V(POLLHUP) V(POLLNVAL) V(POLLRDNORM)
	V(POLLRDBAND) V(POLLWRNORM) V(POLLWRBAND) V(POLLMSG) V(POLLRDHUP) V(TMPFS_MAGIC)
	V(RAMFS_MAGIC) V(PROC_SUPER_MAGIC) V(SYSFS_MAGIC) V(PIPEFS_MAGIC) V(SOCKFS_MAGIC)
	V(DEVPTS_SUPER_MAGIC)
};

static const struct value abi_proc_values[] = {
	V(PROT_NONE) V(PROT_READ) V(PROT_WRITE) V(PROT_EXEC) V(PROT_SEM) V(PROT_GROWSDOWN)
	V(PROT_GROWSUP) V(MAP_SHARED) V(MAP_PRIVATE) V(MAP_SHARED_VALIDATE) V(MAP_TYPE)
	V(MAP_FIXED) V(MAP_ANONYMOUS) V(MAP_32BIT) V(MAP_GROWSDOWN) V(MAP_DENYWRITE)
	V(MAP_EXECUTABLE) V(MAP_LOCKED) V(MAP_NORESERVE) V(MAP_POPULATE) V(MAP_NONBLOCK)
	V(MAP_STACK) V(MAP_HUGETLB) V(MAP_SYNC) V(MAP_FIXED_NOREPLACE) V(MREMAP_MAYMOVE)
	V(MREMAP_FIXED) V(MREMAP_DONTUNMAP) V(MS_ASYNC) V(MS_INVALIDATE) V(MS_SYNC) V(MCL_CURRENT)
	V(MCL_FUTURE) V(MCL_ONFAULT) V(MLOCK_ONFAULT) V(MADV_NORMAL) V(MADV_RANDOM) V(MADV_SEQUENTIAL)
	V(MADV_WILLNEED) V(MADV_DONTNEED) V(MADV_FREE) V(MADV_REMOVE) V(MADV_DONTFORK)
	V(MADV_DOFORK) V(MADV_MERGEABLE) V(MADV_UNMERGEABLE) V(MADV_HUGEPAGE) V(MADV_NOHUGEPAGE)
	V(MADV_DONTDUMP) V(MADV_DODUMP) V(MADV_WIPEONFORK) V(MADV_KEEPONFORK) V(MADV_COLD)
	V(MADV_PAGEOUT) V(MADV_POPULATE_READ) V(MADV_POPULATE_WRITE) V(CSIGNAL) V(CLONE_VM)
	V(CLONE_FS) V(CLONE_FILES) V(CLONE_SIGHAND) V(CLONE_PIDFD) V(CLONE_PTRACE) V(CLONE_VFORK)
	V(CLONE_PARENT) V(CLONE_THREAD) V(CLONE_NEWNS) V(CLONE_SYSVSEM) V(CLONE_SETTLS)
	V(CLONE_PARENT_SETTID) V(CLONE_CHILD_CLEARTID) V(CLONE_DETACHED) V(CLONE_UNTRACED)
	V(CLONE_CHILD_SETTID) V(CLONE_NEWCGROUP) V(CLONE_NEWUTS) V(CLONE_NEWIPC) V(CLONE_NEWUSER)
	V(CLONE_NEWPID) V(CLONE_NEWNET) V(CLONE_IO) V(CLONE_CLEAR_SIGHAND) V(CLONE_INTO_CGROUP)
	V(CLONE_ARGS_SIZE_VER0) V(CLONE_ARGS_SIZE_VER1) V(CLONE_ARGS_SIZE_VER2) V(WNOHANG)
	V(WUNTRACED) V(WSTOPPED) V(WEXITED) V(WCONTINUED) V(WNOWAIT) V(P_ALL) V(P_PID) V(P_PGID)
	V(P_PIDFD) V(RLIMIT_CPU) V(RLIMIT_FSIZE) V(RLIMIT_DATA) V(RLIMIT_STACK) V(RLIMIT_CORE)
	V(RLIMIT_RSS) V(RLIMIT_NPROC) V(RLIMIT_NOFILE) V(RLIMIT_MEMLOCK) V(RLIMIT_AS)
	V(RLIMIT_LOCKS) V(RLIMIT_SIGPENDING) V(RLIMIT_MSGQUEUE) V(RLIMIT_NICE) V(RLIMIT_RTPRIO)
	V(RLIMIT_RTTIME) V(RLIM_NLIMITS) V(RLIM_INFINITY) V(RUSAGE_SELF) V(RUSAGE_CHILDREN)
	V(RUSAGE_THREAD) V(PRIO_PROCESS) V(PRIO_PGRP) V(PRIO_USER) V(SI_LOAD_SHIFT)
	V(CLOCK_REALTIME) V(CLOCK_MONOTONIC) V(CLOCK_PROCESS_CPUTIME_ID) V(CLOCK_THREAD_CPUTIME_ID)
	V(CLOCK_MONOTONIC_RAW) V(CLOCK_REALTIME_COARSE) V(CLOCK_MONOTONIC_COARSE) V(CLOCK_BOOTTIME)
	V(CLOCK_REALTIME_ALARM) V(CLOCK_BOOTTIME_ALARM) V(CLOCK_TAI) V(TIMER_ABSTIME)
	V(ITIMER_REAL) V(ITIMER_VIRTUAL) V(ITIMER_PROF) V(FUTEX_WAIT) V(FUTEX_WAKE)
	V(FUTEX_REQUEUE) V(FUTEX_CMP_REQUEUE) V(FUTEX_WAKE_OP) V(FUTEX_LOCK_PI) V(FUTEX_UNLOCK_PI)
	V(FUTEX_TRYLOCK_PI) V(FUTEX_WAIT_BITSET) V(FUTEX_WAKE_BITSET) V(FUTEX_PRIVATE_FLAG)
	V(FUTEX_CLOCK_REALTIME) V(FUTEX_WAITERS) V(FUTEX_OWNER_DIED) V(FUTEX_TID_MASK)
	V(FUTEX_BITSET_MATCH_ANY) V(ARCH_SET_GS) V(ARCH_SET_FS) V(ARCH_GET_FS) V(ARCH_GET_GS)
	V(ARCH_GET_CPUID) V(ARCH_SET_CPUID) V(PR_SET_PDEATHSIG) V(PR_GET_PDEATHSIG)
	V(PR_GET_DUMPABLE) V(PR_SET_DUMPABLE) V(PR_GET_KEEPCAPS) V(PR_SET_KEEPCAPS) V(PR_SET_NAME)
	V(PR_GET_NAME) V(PR_GET_SECCOMP) V(PR_SET_SECCOMP) V(PR_CAPBSET_READ) V(PR_CAPBSET_DROP)
	V(PR_SET_TIMERSLACK) V(PR_GET_TIMERSLACK) V(PR_SET_CHILD_SUBREAPER)
	V(PR_GET_CHILD_SUBREAPER) V(PR_SET_NO_NEW_PRIVS) V(PR_GET_NO_NEW_PRIVS)
	V(PR_SET_THP_DISABLE) V(PR_SET_VMA) V(GRND_NONBLOCK) V(GRND_RANDOM) V(GRND_INSECURE)
	V(SCHED_NORMAL) V(SCHED_FIFO) V(SCHED_RR) V(SCHED_BATCH) V(SCHED_IDLE) V(AT_NULL)
	V(AT_IGNORE) V(AT_EXECFD) V(AT_PHDR) V(AT_PHENT) V(AT_PHNUM) V(AT_PAGESZ) V(AT_BASE)
	V(AT_FLAGS) V(AT_ENTRY) V(AT_NOTELF) V(AT_UID) V(AT_EUID) V(AT_GID) V(AT_EGID)
	V(AT_PLATFORM) V(AT_HWCAP) V(AT_CLKTCK) V(AT_SECURE) V(AT_BASE_PLATFORM) V(AT_RANDOM)
	V(AT_HWCAP2) V(AT_EXECFN) V(AT_SYSINFO_EHDR) V(AT_MINSIGSTKSZ)
};

static const struct value literals[] = {
	L(LX_SIGRTMAX, 64) L(LX_SS_ONSTACK, 1) L(LX_SS_DISABLE, 2) L(LX_SS_AUTODISARM, 1U << 31)
	L(LX_DT_FIFO, S_IFIFO >> 12) L(LX_DT_CHR, S_IFCHR >> 12) L(LX_DT_DIR, S_IFDIR >> 12)
	L(LX_DT_BLK, S_IFBLK >> 12) L(LX_DT_REG, S_IFREG >> 12) L(LX_DT_LNK, S_IFLNK >> 12)
	L(LX_DT_SOCK, S_IFSOCK >> 12) L(LX_O_ASYNC, FASYNC)
	L(LX_WNOTHREAD, __WNOTHREAD) L(LX_WALL, __WALL) L(LX_WCLONE, __WCLONE)
	L(LX_ROBUST_LIST_HEAD_SIZE, sizeof(struct robust_list_head))
	L(LX_UTS_LEN, __NEW_UTS_LEN) L(LX_UTIME_NOW, (1L << 30) - 1) L(LX_UTIME_OMIT, (1L << 30) - 2)
	L(LX_MAKEDEV(5, 1), 0x501) L(LX_MAKEDEV(0x12345, 0x6789a), 0x120006783459aULL)
	L(LX_MAJOR(LX_MAKEDEV(0x12345, 0x6789a)), 0x12345)
	L(LX_MINOR(LX_MAKEDEV(0x12345, 0x6789a)), 0x6789a)
	L(LX_DIRENT64_RECLEN(1), 24) L(LX_DIRENT64_RECLEN(4), 24) L(LX_DIRENT64_RECLEN(5), 32)
	L(LX_STATUS_EXIT(7), 0x700) L(LX_STATUS_KILLED(11, 1), 0x8b) L(LX_STATUS_STOPPED(19), 0x137f)
};

static const struct value layouts[] = {
	SIZE(lx_termios, struct termios)
	FIELD(lx_termios, struct termios, c_lflag) FIELD(lx_termios, struct termios, c_line)
	FIELD(lx_termios, struct termios, c_cc)
	SIZE(lx_termios2, struct termios2)
	FIELD(lx_termios2, struct termios2, c_ispeed) FIELD(lx_termios2, struct termios2, c_ospeed)
	SIZE(lx_termio, struct termio) FIELD(lx_termio, struct termio, c_cc)
	SIZE(lx_winsize, struct winsize) FIELD(lx_winsize, struct winsize, ws_ypixel)
	SIZE(lx_sigaction, struct sigaction)
	OFF(lx_sigaction, flags, struct sigaction, sa_flags)
	OFF(lx_sigaction, restorer, struct sigaction, sa_restorer)
	OFF(lx_sigaction, mask, struct sigaction, sa_mask)
	SIZE(lx_sigaltstack, stack_t) FIELD(lx_sigaltstack, stack_t, ss_flags)
	FIELD(lx_sigaltstack, stack_t, ss_size)
	SIZE(lx_siginfo, siginfo_t) FIELD(lx_siginfo, siginfo_t, si_code)
	OFF(lx_siginfo, kill.pid, siginfo_t, si_pid) OFF(lx_siginfo, kill.uid, siginfo_t, si_uid)
	OFF(lx_siginfo, timer.overrun, siginfo_t, si_overrun)
	OFF(lx_siginfo, timer.value, siginfo_t, _sifields._timer._sigval)
	OFF(lx_siginfo, rt.value, siginfo_t, si_value)
	OFF(lx_siginfo, child.status, siginfo_t, si_status)
	OFF(lx_siginfo, child.utime, siginfo_t, si_utime)
	OFF(lx_siginfo, child.stime, siginfo_t, si_stime)
	OFF(lx_siginfo, fault.addr, siginfo_t, si_addr)
	OFF(lx_siginfo, fault.addr_lsb, siginfo_t, si_addr_lsb)
	OFF(lx_siginfo, fault.bound.lower, siginfo_t, si_lower)
	OFF(lx_siginfo, fault.bound.upper, siginfo_t, si_upper)
	OFF(lx_siginfo, fault.pkey, siginfo_t, si_pkey)
	OFF(lx_siginfo, poll.band, siginfo_t, si_band) OFF(lx_siginfo, poll.fd, siginfo_t, si_fd)
	OFF(lx_siginfo, sys.call_addr, siginfo_t, si_call_addr)
	OFF(lx_siginfo, sys.number, siginfo_t, si_syscall)
	OFF(lx_siginfo, sys.arch, siginfo_t, si_arch)
	SIZE(lx_fpx_sw_bytes, struct _fpx_sw_bytes)
	OFF(lx_fpx_sw_bytes, xfeatures, struct _fpx_sw_bytes, xfeatures)
	OFF(lx_fpx_sw_bytes, xstate_size, struct _fpx_sw_bytes, xstate_size)
	SIZE(lx_fpstate, struct _fpstate) FIELD(lx_fpstate, struct _fpstate, mxcsr)
	FIELD(lx_fpstate, struct _fpstate, st_space) FIELD(lx_fpstate, struct _fpstate, xmm_space)
	FIELD(lx_fpstate, struct _fpstate, sw_reserved)
	SIZE(lx_xstate_header, struct _header)
	SIZE(lx_sigcontext, struct sigcontext_64)
	OFF(lx_sigcontext, rdi, struct sigcontext_64, di)
	OFF(lx_sigcontext, rdx, struct sigcontext_64, dx)
	OFF(lx_sigcontext, rsp, struct sigcontext_64, sp)
	OFF(lx_sigcontext, eflags, struct sigcontext_64, flags)
	OFF(lx_sigcontext, ss, struct sigcontext_64, ss)
	OFF(lx_sigcontext, cr2, struct sigcontext_64, cr2)
	OFF(lx_sigcontext, fpstate, struct sigcontext_64, fpstate)
	SIZE(lx_ucontext, struct ucontext) FIELD(lx_ucontext, struct ucontext, uc_stack)
	FIELD(lx_ucontext, struct ucontext, uc_mcontext)
	FIELD(lx_ucontext, struct ucontext, uc_sigmask)
	SIZE(lx_stat, struct stat) FIELD(lx_stat, struct stat, st_nlink)
	FIELD(lx_stat, struct stat, st_mode) FIELD(lx_stat, struct stat, st_gid)
	FIELD(lx_stat, struct stat, st_rdev) FIELD(lx_stat, struct stat, st_size)
	FIELD(lx_stat, struct stat, st_blksize) FIELD(lx_stat, struct stat, st_blocks)
	OFF(lx_stat, st_atim, struct stat, st_atime) OFF(lx_stat, st_mtim, struct stat, st_mtime)
	OFF(lx_stat, st_ctim.tv_nsec, struct stat, st_ctime_nsec)
	SIZE(lx_statx, struct statx) FIELD(lx_statx, struct statx, stx_attributes)
	FIELD(lx_statx, struct statx, stx_mode) FIELD(lx_statx, struct statx, stx_ino)
	FIELD(lx_statx, struct statx, stx_attributes_mask)
	FIELD(lx_statx, struct statx, stx_atime) FIELD(lx_statx, struct statx, stx_btime)
	FIELD(lx_statx, struct statx, stx_mtime) FIELD(lx_statx, struct statx, stx_rdev_major)
	FIELD(lx_statx, struct statx, stx_dev_minor) FIELD(lx_statx, struct statx, stx_mnt_id)
	FIELD(lx_statx, struct statx, stx_dio_offset_align)
	SIZE(lx_statfs, struct statfs) FIELD(lx_statfs, struct statfs, f_fsid)
	FIELD(lx_statfs, struct statfs, f_namelen) FIELD(lx_statfs, struct statfs, f_flags)
	SIZE(lx_iovec, struct iovec) FIELD(lx_iovec, struct iovec, iov_len)
	SIZE(lx_pollfd, struct pollfd) FIELD(lx_pollfd, struct pollfd, revents)
	SIZE(lx_flock, struct flock) FIELD(lx_flock, struct flock, l_start)
	FIELD(lx_flock, struct flock, l_pid)
	SIZE(lx_clone_args, struct clone_args) FIELD(lx_clone_args, struct clone_args, stack)
	FIELD(lx_clone_args, struct clone_args, tls) FIELD(lx_clone_args, struct clone_args, cgroup)
	SIZE(lx_rlimit, struct rlimit) SIZE(lx_timeval, struct timeval)
	SIZE(lx_timespec, struct timespec) SIZE(lx_timespec, struct __kernel_timespec)
	SIZE(lx_rusage, struct rusage) FIELD(lx_rusage, struct rusage, ru_maxrss)
	FIELD(lx_rusage, struct rusage, ru_minflt) FIELD(lx_rusage, struct rusage, ru_nivcsw)
	SIZE(lx_tms, struct tms) FIELD(lx_tms, struct tms, tms_cstime)
	SIZE(lx_sysinfo, struct sysinfo) FIELD(lx_sysinfo, struct sysinfo, totalram)
	FIELD(lx_sysinfo, struct sysinfo, procs) FIELD(lx_sysinfo, struct sysinfo, totalhigh)
	FIELD(lx_sysinfo, struct sysinfo, mem_unit)
	SIZE(lx_utsname, struct new_utsname) FIELD(lx_utsname, struct new_utsname, machine)
	SIZE(lx_timezone, struct timezone) SIZE(lx_itimerval, struct itimerval)
	SIZE(lx_itimerspec, struct itimerspec)
	OFF(lx_itimerval, it_value, struct itimerval, it_value)
};

static const struct value numbers[] = {
#define N(name) {#name, LX_NR_##name, __NR_##name},
	N(read) N(write) N(open) N(close) N(stat) N(fstat) N(lstat) N(poll) N(lseek) N(mmap)
	N(mprotect) N(munmap) N(brk) N(rt_sigaction) N(rt_sigprocmask) N(rt_sigreturn) N(ioctl)
	N(pread64) N(pwrite64) N(readv) N(writev) N(access) N(pipe) N(select) N(sched_yield)
	N(mremap) N(msync) N(mincore) N(madvise) N(shmget) N(shmat) N(shmctl) N(dup) N(dup2)
	N(pause) N(nanosleep) N(getitimer) N(alarm) N(setitimer) N(getpid) N(sendfile) N(socket)
	N(connect) N(accept) N(sendto) N(recvfrom) N(sendmsg) N(recvmsg) N(shutdown) N(bind)
	N(listen) N(getsockname) N(getpeername) N(socketpair) N(setsockopt) N(getsockopt) N(clone)
	N(fork) N(vfork) N(execve) N(exit) N(wait4) N(kill) N(uname) N(semget) N(semop) N(semctl)
	N(shmdt) N(msgget) N(msgsnd) N(msgrcv) N(msgctl) N(fcntl) N(flock) N(fsync) N(fdatasync)
	N(truncate) N(ftruncate) N(getdents) N(getcwd) N(chdir) N(fchdir) N(rename) N(mkdir)
	N(rmdir) N(creat) N(link) N(unlink) N(symlink) N(readlink) N(chmod) N(fchmod) N(chown)
	N(fchown) N(lchown) N(umask) N(gettimeofday) N(getrlimit) N(getrusage) N(sysinfo) N(times)
	N(ptrace) N(getuid) N(syslog) N(getgid) N(setuid) N(setgid) N(geteuid) N(getegid)
	N(setpgid) N(getppid) N(getpgrp) N(setsid) N(setreuid) N(setregid) N(getgroups)
	N(setgroups) N(setresuid) N(getresuid) N(setresgid) N(getresgid) N(getpgid) N(setfsuid)
	N(setfsgid) N(getsid) N(capget) N(capset) N(rt_sigpending) N(rt_sigtimedwait)
	N(rt_sigqueueinfo) N(rt_sigsuspend) N(sigaltstack) N(utime) N(mknod) N(uselib)
	N(personality) N(ustat) N(statfs) N(fstatfs) N(sysfs) N(getpriority) N(setpriority)
	N(sched_setparam) N(sched_getparam) N(sched_setscheduler) N(sched_getscheduler)
	N(sched_get_priority_max) N(sched_get_priority_min) N(sched_rr_get_interval) N(mlock)
	N(munlock) N(mlockall) N(munlockall) N(vhangup) N(modify_ldt) N(pivot_root) N(_sysctl)
	N(prctl) N(arch_prctl) N(adjtimex) N(setrlimit) N(chroot) N(sync) N(acct) N(settimeofday)
	N(mount) N(umount2) N(swapon) N(swapoff) N(reboot) N(sethostname) N(setdomainname) N(iopl)
	N(ioperm) N(create_module) N(init_module) N(delete_module) N(get_kernel_syms)
	N(query_module) N(quotactl) N(nfsservctl) N(getpmsg) N(putpmsg) N(afs_syscall) N(tuxcall)
	N(security) N(gettid) N(readahead) N(setxattr) N(lsetxattr) N(fsetxattr) N(getxattr)
	N(lgetxattr) N(fgetxattr) N(listxattr) N(llistxattr) N(flistxattr) N(removexattr)
	N(lremovexattr) N(fremovexattr) N(tkill) N(time) N(futex) N(sched_setaffinity)
	N(sched_getaffinity) N(set_thread_area) N(io_setup) N(io_destroy) N(io_getevents)
	N(io_submit) N(io_cancel) N(get_thread_area) N(lookup_dcookie) N(epoll_create)
	N(epoll_ctl_old) N(epoll_wait_old) N(remap_file_pages) N(getdents64) N(set_tid_address)
	N(restart_syscall) N(semtimedop) N(fadvise64) N(timer_create) N(timer_settime)
	N(timer_gettime) N(timer_getoverrun) N(timer_delete) N(clock_settime) N(clock_gettime)
	N(clock_getres) N(clock_nanosleep) N(exit_group) N(epoll_wait) N(epoll_ctl) N(tgkill)
	N(utimes) N(vserver) N(mbind) N(set_mempolicy) N(get_mempolicy) N(mq_open) N(mq_unlink)
	N(mq_timedsend) N(mq_timedreceive) N(mq_notify) N(mq_getsetattr) N(kexec_load) N(waitid)
	N(add_key) N(request_key) N(keyctl) N(ioprio_set) N(ioprio_get) N(inotify_init)
	N(inotify_add_watch) N(inotify_rm_watch) N(migrate_pages) N(openat) N(mkdirat) N(mknodat)
	N(fchownat) N(futimesat) N(newfstatat) N(unlinkat) N(renameat) N(linkat) N(symlinkat)
	N(readlinkat) N(fchmodat) N(faccessat) N(pselect6) N(ppoll) N(unshare) N(set_robust_list)
	N(get_robust_list) N(splice) N(tee) N(sync_file_range) N(vmsplice) N(move_pages)
	N(utimensat) N(epoll_pwait) N(signalfd) N(timerfd_create) N(eventfd) N(fallocate)
	N(timerfd_settime) N(timerfd_gettime) N(accept4) N(signalfd4) N(eventfd2) N(epoll_create1)
	N(dup3) N(pipe2) N(inotify_init1) N(preadv) N(pwritev) N(rt_tgsigqueueinfo)
	N(perf_event_open) N(recvmmsg) N(fanotify_init) N(fanotify_mark) N(prlimit64)
	N(name_to_handle_at) N(open_by_handle_at) N(clock_adjtime) N(syncfs) N(sendmmsg) N(setns)
	N(getcpu) N(process_vm_readv) N(process_vm_writev) N(kcmp) N(finit_module) N(sched_setattr)
	N(sched_getattr) N(renameat2) N(seccomp) N(getrandom) N(memfd_create) N(kexec_file_load)
	N(bpf) N(execveat) N(userfaultfd) N(membarrier) N(mlock2) N(copy_file_range) N(preadv2)
	N(pwritev2) N(pkey_mprotect) N(pkey_alloc) N(pkey_free) N(statx) N(io_pgetevents) N(rseq)
	N(pidfd_send_signal) N(io_uring_setup) N(io_uring_enter) N(io_uring_register) N(open_tree)
	N(move_mount) N(fsopen) N(fsconfig) N(fsmount) N(fspick) N(pidfd_open) N(clone3)
	N(close_range) N(openat2) N(pidfd_getfd) N(faccessat2) N(process_madvise) N(epoll_pwait2)
	N(mount_setattr) N(quotactl_fd) N(landlock_create_ruleset) N(landlock_add_rule)
	N(landlock_restrict_self) N(memfd_secret) N(process_mrelease) N(futex_waitv)
	N(set_mempolicy_home_node)
};

/* clang-format on */

static void
check_values(const struct value *v, size_t n, const char *name)
{
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		if (v[i].ours == v[i].host)
			continue;
		printf("# %s: %#llx here, %#llx on the host\n", v[i].name, v[i].ours, v[i].host);
		good = false;
	}
	printf("# %s: %zu compared\n", name, n);
	check(good, name);
}

#define CHECK_VALUES(table) check_values(table, sizeof(table) / sizeof((table)[0]), #table)

struct number {
	const char *name;
	unsigned ours;
	const char *types;
	unsigned nargs;
	const char *where;
};

/* clang-format off */
static const struct number calls[] = {
#define CALL(number, name, nargs, types, where) {#name, number, types, nargs, #where},
#include "exos/linux/calls.def"
#undef CALL
};
/* clang-format on */

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void
check_call_numbers(void)
{
	bool complete = true;
	bool letters = true;
	unsigned next = 0;

	for (size_t i = 0; i < CALLS; i++) {
		if (next == 335)
			next = 424;
		complete &= calls[i].ours == next;
		next = calls[i].ours + 1;
		letters &= strlen(calls[i].types) == calls[i].nargs && calls[i].nargs <= 6;
		letters &= strspn(calls[i].types, "fiulzxops") == calls[i].nargs;
	}
	check(complete && next == LX_NR_LIMIT, "every number once, in order");
	check(letters, "types are known letters, one per argument");
}

static void
check_call_names(void)
{
	struct call_info info;
	bool good = true;
	bool unknown = true;

	for (size_t i = 0; i < CALLS; i++) {
		good &= call_info_read(calls[i].ours, &info);
		good &= !strcmp(info.name, calls[i].name) && !strcmp(info.types, calls[i].types);
		good &= info.nargs == calls[i].nargs;
		good &= (info.where == CALL_WHERE_NONE) == !strcmp(calls[i].where, "NONE");
		good &= (info.where == CALL_WHERE_SERVICE) == !strcmp(calls[i].where, "SERVICE");
	}
	check(good, "names, types and places by number");
	for (uint64_t n = 335; n < 424; n++)
		unknown &= !strcmp(call_name(n), "?");
	unknown &= !call_info_read(LX_NR_LIMIT, &info) && !call_info_read(UINT64_MAX, &info);
	unknown &= info.nargs == 0 && info.types[0] == 0 && info.where == CALL_WHERE_NONE;
	check(unknown, "numbers without a call");
}

int
main(void)
{
	CHECK_VALUES(abi_tty_values);
	CHECK_VALUES(abi_signal_values);
	CHECK_VALUES(abi_file_values);
	CHECK_VALUES(abi_proc_values);
	CHECK_VALUES(literals);
	CHECK_VALUES(layouts);
	CHECK_VALUES(numbers);
	check_call_numbers();
	check_call_names();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
