/* SPDX-License-Identifier: MIT */
/*
 * Linux process, memory and time ABI for x86-64.
 *
 * Owns the layouts and numbers of calls about processes, threads, mappings, limits, accounting,
 * clocks and the machine. User addresses are uint64_t.
 *
 * 1. Layouts are pinned below; test/host/abi_test.c compares them with a host's kernel headers.
 */
#ifndef EXOS_LINUX_ABI_PROC_H
#define EXOS_LINUX_ABI_PROC_H

#include "exos/linux/abi_file.h"

#define LX_HZ        100 /* unit of times(), AT_CLKTCK and /proc/PID/stat */
#define LX_PAGE_SIZE 4096
#define LX_UTS_LEN   64
#define LX_COMM_LEN  16 /* with the null byte */

/* mmap, mprotect, msync, mremap, mlock, madvise */
#define LX_PROT_NONE           0x0
#define LX_PROT_READ           0x1
#define LX_PROT_WRITE          0x2
#define LX_PROT_EXEC           0x4
#define LX_PROT_SEM            0x8
#define LX_PROT_GROWSDOWN      0x01000000
#define LX_PROT_GROWSUP        0x02000000
#define LX_MAP_SHARED          0x01
#define LX_MAP_PRIVATE         0x02
#define LX_MAP_SHARED_VALIDATE 0x03
#define LX_MAP_TYPE            0x0f
#define LX_MAP_FIXED           0x10
#define LX_MAP_ANONYMOUS       0x20
#define LX_MAP_32BIT           0x40
#define LX_MAP_GROWSDOWN       0x0100
#define LX_MAP_DENYWRITE       0x0800
#define LX_MAP_EXECUTABLE      0x1000
#define LX_MAP_LOCKED          0x2000
#define LX_MAP_NORESERVE       0x4000
#define LX_MAP_POPULATE        0x008000
#define LX_MAP_NONBLOCK        0x010000
#define LX_MAP_STACK           0x020000
#define LX_MAP_HUGETLB         0x040000
#define LX_MAP_SYNC            0x080000
#define LX_MAP_FIXED_NOREPLACE 0x100000
#define LX_MREMAP_MAYMOVE      1
#define LX_MREMAP_FIXED        2
#define LX_MREMAP_DONTUNMAP    4
#define LX_MS_ASYNC            1
#define LX_MS_INVALIDATE       2
#define LX_MS_SYNC             4
#define LX_MCL_CURRENT         1
#define LX_MCL_FUTURE          2
#define LX_MCL_ONFAULT         4
#define LX_MLOCK_ONFAULT       1
#define LX_MADV_NORMAL         0
#define LX_MADV_RANDOM         1
#define LX_MADV_SEQUENTIAL     2
#define LX_MADV_WILLNEED       3
#define LX_MADV_DONTNEED       4
#define LX_MADV_FREE           8
#define LX_MADV_REMOVE         9
#define LX_MADV_DONTFORK       10
#define LX_MADV_DOFORK         11
#define LX_MADV_MERGEABLE      12
#define LX_MADV_UNMERGEABLE    13
#define LX_MADV_HUGEPAGE       14
#define LX_MADV_NOHUGEPAGE     15
#define LX_MADV_DONTDUMP       16
#define LX_MADV_DODUMP         17
#define LX_MADV_WIPEONFORK     18
#define LX_MADV_KEEPONFORK     19
#define LX_MADV_COLD           20
#define LX_MADV_PAGEOUT        21
#define LX_MADV_POPULATE_READ  22
#define LX_MADV_POPULATE_WRITE 23

/* clone */
#define LX_CSIGNAL              0x000000ff
#define LX_CLONE_VM             0x00000100
#define LX_CLONE_FS             0x00000200
#define LX_CLONE_FILES          0x00000400
#define LX_CLONE_SIGHAND        0x00000800
#define LX_CLONE_PIDFD          0x00001000
#define LX_CLONE_PTRACE         0x00002000
#define LX_CLONE_VFORK          0x00004000
#define LX_CLONE_PARENT         0x00008000
#define LX_CLONE_THREAD         0x00010000
#define LX_CLONE_NEWNS          0x00020000
#define LX_CLONE_SYSVSEM        0x00040000
#define LX_CLONE_SETTLS         0x00080000
#define LX_CLONE_PARENT_SETTID  0x00100000
#define LX_CLONE_CHILD_CLEARTID 0x00200000
#define LX_CLONE_DETACHED       0x00400000
#define LX_CLONE_UNTRACED       0x00800000
#define LX_CLONE_CHILD_SETTID   0x01000000
#define LX_CLONE_NEWCGROUP      0x02000000
#define LX_CLONE_NEWUTS         0x04000000
#define LX_CLONE_NEWIPC         0x08000000
#define LX_CLONE_NEWUSER        0x10000000
#define LX_CLONE_NEWPID         0x20000000
#define LX_CLONE_NEWNET         0x40000000
#define LX_CLONE_IO             0x80000000
#define LX_CLONE_CLEAR_SIGHAND  0x100000000ULL
#define LX_CLONE_INTO_CGROUP    0x200000000ULL
#define LX_CLONE_ARGS_SIZE_VER0 64
#define LX_CLONE_ARGS_SIZE_VER1 80
#define LX_CLONE_ARGS_SIZE_VER2 88

struct lx_clone_args {
	uint64_t flags;
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};

/* wait4, waitid, and the status word */
#define LX_WNOHANG    0x00000001
#define LX_WUNTRACED  0x00000002
#define LX_WSTOPPED   0x00000002
#define LX_WEXITED    0x00000004
#define LX_WCONTINUED 0x00000008
#define LX_WNOWAIT    0x01000000
#define LX_WNOTHREAD  0x20000000
#define LX_WALL       0x40000000
#define LX_WCLONE     0x80000000
#define LX_P_ALL      0
#define LX_P_PID      1
#define LX_P_PGID     2
#define LX_P_PIDFD    3

#define LX_STATUS_EXIT(code)          (((code)&0xff) << 8)
#define LX_STATUS_KILLED(sig, dumped) (((sig)&0x7f) | ((dumped) ? 0x80 : 0))
#define LX_STATUS_STOPPED(sig)        ((((sig)&0xff) << 8) | 0x7f)
#define LX_STATUS_CONTINUED           0xffff

/* Limits and accounting. */
#define LX_RLIMIT_CPU        0
#define LX_RLIMIT_FSIZE      1
#define LX_RLIMIT_DATA       2
#define LX_RLIMIT_STACK      3
#define LX_RLIMIT_CORE       4
#define LX_RLIMIT_RSS        5
#define LX_RLIMIT_NPROC      6
#define LX_RLIMIT_NOFILE     7
#define LX_RLIMIT_MEMLOCK    8
#define LX_RLIMIT_AS         9
#define LX_RLIMIT_LOCKS      10
#define LX_RLIMIT_SIGPENDING 11
#define LX_RLIMIT_MSGQUEUE   12
#define LX_RLIMIT_NICE       13
#define LX_RLIMIT_RTPRIO     14
#define LX_RLIMIT_RTTIME     15
#define LX_RLIM_NLIMITS      16
#define LX_RLIM_INFINITY     (~0ULL)
#define LX_RUSAGE_SELF       0
#define LX_RUSAGE_CHILDREN   (-1)
#define LX_RUSAGE_THREAD     1
#define LX_PRIO_PROCESS      0
#define LX_PRIO_PGRP         1
#define LX_PRIO_USER         2

struct lx_rlimit {
	uint64_t rlim_cur;
	uint64_t rlim_max;
};

struct lx_timeval {
	int64_t tv_sec;
	int64_t tv_usec;
};

struct lx_rusage {
	struct lx_timeval ru_utime;
	struct lx_timeval ru_stime;
	int64_t ru_maxrss; /* KiB */
	int64_t ru_ixrss;
	int64_t ru_idrss;
	int64_t ru_isrss;
	int64_t ru_minflt;
	int64_t ru_majflt;
	int64_t ru_nswap;
	int64_t ru_inblock;
	int64_t ru_oublock;
	int64_t ru_msgsnd;
	int64_t ru_msgrcv;
	int64_t ru_nsignals;
	int64_t ru_nvcsw;
	int64_t ru_nivcsw;
};

struct lx_tms {
	int64_t tms_utime;
	int64_t tms_stime;
	int64_t tms_cutime;
	int64_t tms_cstime;
};

#define LX_SI_LOAD_SHIFT 16

struct lx_sysinfo {
	int64_t uptime;
	uint64_t loads[3];
	uint64_t totalram;
	uint64_t freeram;
	uint64_t sharedram;
	uint64_t bufferram;
	uint64_t totalswap;
	uint64_t freeswap;
	uint16_t procs;
	uint16_t pad;
	uint32_t pad2;
	uint64_t totalhigh;
	uint64_t freehigh;
	uint32_t mem_unit;
	uint32_t pad3;
};

struct lx_utsname {
	char sysname[LX_UTS_LEN + 1];
	char nodename[LX_UTS_LEN + 1];
	char release[LX_UTS_LEN + 1];
	char version[LX_UTS_LEN + 1];
	char machine[LX_UTS_LEN + 1];
	char domainname[LX_UTS_LEN + 1];
};

/* Clocks and timers. */
#define LX_CLOCK_REALTIME           0
#define LX_CLOCK_MONOTONIC          1
#define LX_CLOCK_PROCESS_CPUTIME_ID 2
#define LX_CLOCK_THREAD_CPUTIME_ID  3
#define LX_CLOCK_MONOTONIC_RAW      4
#define LX_CLOCK_REALTIME_COARSE    5
#define LX_CLOCK_MONOTONIC_COARSE   6
#define LX_CLOCK_BOOTTIME           7
#define LX_CLOCK_REALTIME_ALARM     8
#define LX_CLOCK_BOOTTIME_ALARM     9
#define LX_CLOCK_TAI                11
#define LX_TIMER_ABSTIME            1
#define LX_ITIMER_REAL              0
#define LX_ITIMER_VIRTUAL           1
#define LX_ITIMER_PROF              2

struct lx_timezone {
	int32_t tz_minuteswest;
	int32_t tz_dsttime;
};

struct lx_itimerval {
	struct lx_timeval it_interval;
	struct lx_timeval it_value;
};

struct lx_itimerspec {
	struct lx_timespec it_interval;
	struct lx_timespec it_value;
};

/* futex */
#define LX_FUTEX_WAIT             0
#define LX_FUTEX_WAKE             1
#define LX_FUTEX_REQUEUE          3
#define LX_FUTEX_CMP_REQUEUE      4
#define LX_FUTEX_WAKE_OP          5
#define LX_FUTEX_LOCK_PI          6
#define LX_FUTEX_UNLOCK_PI        7
#define LX_FUTEX_TRYLOCK_PI       8
#define LX_FUTEX_WAIT_BITSET      9
#define LX_FUTEX_WAKE_BITSET      10
#define LX_FUTEX_PRIVATE_FLAG     128
#define LX_FUTEX_COMMAND          127 /* the operation without flags */
#define LX_FUTEX_CLOCK_REALTIME   256
#define LX_FUTEX_WAITERS          0x80000000
#define LX_FUTEX_OWNER_DIED       0x40000000
#define LX_FUTEX_TID_MASK         0x3fffffff
#define LX_FUTEX_BITSET_MATCH_ANY 0xffffffff
#define LX_ROBUST_LIST_HEAD_SIZE  24

/* arch_prctl, prctl, getrandom, membarrier, sched */
#define LX_ARCH_SET_GS            0x1001
#define LX_ARCH_SET_FS            0x1002
#define LX_ARCH_GET_FS            0x1003
#define LX_ARCH_GET_GS            0x1004
#define LX_ARCH_GET_CPUID         0x1011
#define LX_ARCH_SET_CPUID         0x1012
#define LX_PR_SET_PDEATHSIG       1
#define LX_PR_GET_PDEATHSIG       2
#define LX_PR_GET_DUMPABLE        3
#define LX_PR_SET_DUMPABLE        4
#define LX_PR_GET_KEEPCAPS        7
#define LX_PR_SET_KEEPCAPS        8
#define LX_PR_SET_NAME            15
#define LX_PR_GET_NAME            16
#define LX_PR_GET_SECCOMP         21
#define LX_PR_SET_SECCOMP         22
#define LX_PR_CAPBSET_READ        23
#define LX_PR_CAPBSET_DROP        24
#define LX_PR_SET_TIMERSLACK      29
#define LX_PR_GET_TIMERSLACK      30
#define LX_PR_SET_CHILD_SUBREAPER 36
#define LX_PR_GET_CHILD_SUBREAPER 37
#define LX_PR_SET_NO_NEW_PRIVS    38
#define LX_PR_GET_NO_NEW_PRIVS    39
#define LX_PR_SET_THP_DISABLE     41
#define LX_PR_SET_VMA             0x53564d41
#define LX_GRND_NONBLOCK          1
#define LX_GRND_RANDOM            2
#define LX_GRND_INSECURE          4
#define LX_SCHED_NORMAL           0
#define LX_SCHED_FIFO             1
#define LX_SCHED_RR               2
#define LX_SCHED_BATCH            3
#define LX_SCHED_IDLE             5
#define LX_SCHED_DEADLINE         6

/* Auxiliary vector. */
#define LX_AT_NULL          0
#define LX_AT_IGNORE        1
#define LX_AT_EXECFD        2
#define LX_AT_PHDR          3
#define LX_AT_PHENT         4
#define LX_AT_PHNUM         5
#define LX_AT_PAGESZ        6
#define LX_AT_BASE          7
#define LX_AT_FLAGS         8
#define LX_AT_ENTRY         9
#define LX_AT_NOTELF        10
#define LX_AT_UID           11
#define LX_AT_EUID          12
#define LX_AT_GID           13
#define LX_AT_EGID          14
#define LX_AT_PLATFORM      15
#define LX_AT_HWCAP         16
#define LX_AT_CLKTCK        17
#define LX_AT_SECURE        23
#define LX_AT_BASE_PLATFORM 24
#define LX_AT_RANDOM        25
#define LX_AT_HWCAP2        26
#define LX_AT_EXECFN        31
#define LX_AT_SYSINFO_EHDR  33
#define LX_AT_MINSIGSTKSZ   51

_Static_assert(sizeof(struct lx_clone_args) == LX_CLONE_ARGS_SIZE_VER2, "clone_args");
_Static_assert(offsetof(struct lx_clone_args, set_tid) == LX_CLONE_ARGS_SIZE_VER0, "clone_args");
_Static_assert(sizeof(struct lx_rlimit) == 16, "rlimit");
_Static_assert(sizeof(struct lx_timeval) == 16, "timeval");
_Static_assert(sizeof(struct lx_rusage) == 144, "rusage");
_Static_assert(offsetof(struct lx_rusage, ru_maxrss) == 32, "rusage");
_Static_assert(offsetof(struct lx_rusage, ru_nivcsw) == 136, "rusage");
_Static_assert(sizeof(struct lx_tms) == 32, "tms");
_Static_assert(sizeof(struct lx_sysinfo) == 112, "sysinfo");
_Static_assert(offsetof(struct lx_sysinfo, procs) == 80, "sysinfo");
_Static_assert(offsetof(struct lx_sysinfo, mem_unit) == 104, "sysinfo");
_Static_assert(sizeof(struct lx_utsname) == 390, "utsname");
_Static_assert(sizeof(struct lx_timezone) == 8, "timezone");
_Static_assert(sizeof(struct lx_itimerval) == 32, "itimerval");
_Static_assert(sizeof(struct lx_itimerspec) == 32, "itimerspec");

#endif
