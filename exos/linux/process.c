/* SPDX-License-Identifier: MIT */
/* Calls about the process itself, its identity and its relatives. */
#include "exos/core/priv.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

/* ---- creation ---- */

int64_t
sys_fork(struct call *c)
{
	(void)c;
	return process_fork(0, 0);
}

int64_t
sys_vfork(struct call *c)
{
	(void)c;
	return process_vfork(0);
}

/* A child with memory of its own, and its parent waits. */
static int64_t
fork_wait(uint64_t clear_tid)
{
	int64_t pid = process_fork(SVC_FORK_VFORK, clear_tid);

	while (pid > 0) {
		uint32_t seen = core_events();
		struct svc call = {.op = SVC_VFORK_DONE, .a = (uint64_t)pid};

		if (svc_call(&call) != 0)
			break;
		core_block(seen, AEGIS_NEVER);
	}
	return pid;
}

#define CLONE_KNOWN                                                                                \
	(0xffu | LX_CLONE_VM | LX_CLONE_VFORK | LX_CLONE_PARENT_SETTID | LX_CLONE_CHILD_CLEARTID | \
	 LX_CLONE_CHILD_SETTID | LX_CLONE_SETTLS)

struct clone_args {
	uint64_t flags, stack, parent_tid, child_tid, tls;
};

/* In the child: its stack, thread pointer and number, as asked for. */
static void
clone_child(const struct clone_args *a, struct call *c)
{
	uint32_t tid = MAIL->pid;

	if (a->stack)
		call_frame(c)->rsp = a->stack;
	if (a->flags & LX_CLONE_SETTLS)
		__asm__ volatile("wrfsbase %0" ::"r"(a->tls));
	if (a->flags & LX_CLONE_CHILD_SETTID)
		copy_out(a->child_tid, &tid, sizeof(tid));
}

static int64_t
clone_do(const struct clone_args *a, struct call *c)
{
	bool vfork = a->flags & LX_CLONE_VFORK, shared = a->flags & LX_CLONE_VM;
	uint64_t clear_tid = a->flags & LX_CLONE_CHILD_CLEARTID ? a->child_tid : 0;
	int64_t pid;
	uint32_t tid;

	/* Memory is shared by lending it, while the parent waits. */
	if ((a->flags & ~(uint64_t)CLONE_KNOWN) || (shared && !vfork))
		return -ENOSYS;
	if ((a->flags & LX_CLONE_SETTLS) && a->tls >= AEGIS_USER_MAX)
		return -EPERM;
	pid = shared  ? process_vfork(clear_tid)
	      : vfork ? fork_wait(clear_tid)
		      : process_fork(0, clear_tid);
	tid = pid ? (uint32_t)pid : MAIL->pid;
	if (pid == 0)
		clone_child(a, c);
	/* The child of a vfork does it for both: the parent's memory is the same, and earlier. */
	if ((a->flags & LX_CLONE_PARENT_SETTID) && (pid > 0 || (pid == 0 && shared)))
		copy_out(a->parent_tid, &tid, sizeof(tid));
	return pid;
}

int64_t
sys_clone(struct call *c)
{
	struct clone_args a = {c->a[0], c->a[1], c->a[2], c->a[3], c->a[4]};

	return clone_do(&a, c);
}

int64_t
sys_clone3(struct call *c)
{
	struct lx_clone_args in;
	struct clone_args a;

	if (c->a[1] < LX_CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (copy_in(&in, c->a[0], LX_CLONE_ARGS_SIZE_VER0))
		return -EFAULT;
	a = (struct clone_args){in.flags | in.exit_signal, in.stack ? in.stack + in.stack_size : 0,
				in.parent_tid, in.child_tid, in.tls};
	return clone_do(&a, c);
}

/* ---- identity; what the mail page says is answered from there (dispatch.c) ---- */

static int64_t
service3(uint32_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct svc call = {.op = op, .a = a, .b = b, .c = c, .d = d};

	return svc_call(&call);
}

int64_t
sys_getpgid(struct call *c)
{
	return service3(SVC_GETPGID, (uint64_t)(int32_t)c->a[0], 0, 0, 0);
}

int64_t
sys_setpgid(struct call *c)
{
	return service3(SVC_SETPGID, (uint64_t)(int32_t)c->a[0], (uint64_t)(int32_t)c->a[1], 0, 0);
}

int64_t
sys_getsid(struct call *c)
{
	return service3(SVC_GETSID, (uint64_t)(int32_t)c->a[0], 0, 0, 0);
}

int64_t
sys_setsid(struct call *c)
{
	(void)c;
	return service3(SVC_SETSID, 0, 0, 0, 0);
}

#define KEEP 0xffffffffu

/* setuid as root changes all three; else the effective one. */
static int64_t
set_one(uint32_t which, uint32_t id, bool root)
{
	return service3(SVC_SETIDS, which, root ? id : KEEP, id, root ? id : KEEP);
}

int64_t
sys_setuid(struct call *c)
{
	return set_one(SVC_UID, (uint32_t)c->a[0], MAIL->euid == 0);
}

int64_t
sys_setgid(struct call *c)
{
	return set_one(SVC_GID, (uint32_t)c->a[0], MAIL->euid == 0);
}

int64_t
sys_setreuid(struct call *c)
{
	uint32_t saved = (uint32_t)c->a[0] != KEEP ? (uint32_t)c->a[1] : KEEP;

	return service3(SVC_SETIDS, SVC_UID, (uint32_t)c->a[0], (uint32_t)c->a[1], saved);
}

int64_t
sys_setregid(struct call *c)
{
	uint32_t saved = (uint32_t)c->a[0] != KEEP ? (uint32_t)c->a[1] : KEEP;

	return service3(SVC_SETIDS, SVC_GID, (uint32_t)c->a[0], (uint32_t)c->a[1], saved);
}

int64_t
sys_setresuid(struct call *c)
{
	return service3(SVC_SETIDS, SVC_UID, (uint32_t)c->a[0], (uint32_t)c->a[1],
			(uint32_t)c->a[2]);
}

int64_t
sys_setresgid(struct call *c)
{
	return service3(SVC_SETIDS, SVC_GID, (uint32_t)c->a[0], (uint32_t)c->a[1],
			(uint32_t)c->a[2]);
}

static int64_t
three_out(struct call *c, const uint32_t id[3])
{
	for (int i = 0; i < 3; i++) {
		if (copy_out(c->a[i], &id[i], sizeof(id[i])))
			return -EFAULT;
	}
	return 0;
}

int64_t
sys_getresuid(struct call *c)
{
	struct svc call = {.op = SVC_GETIDS};
	int64_t err = svc_call(&call);
	const uint32_t id[3] = {(uint32_t)call.a, (uint32_t)(call.a >> 32), (uint32_t)call.b};

	return err < 0 ? err : three_out(c, id);
}

int64_t
sys_getresgid(struct call *c)
{
	struct svc call = {.op = SVC_GETIDS};
	int64_t err = svc_call(&call);
	const uint32_t id[3] = {(uint32_t)(call.b >> 32), (uint32_t)call.c,
				(uint32_t)(call.c >> 32)};

	return err < 0 ? err : three_out(c, id);
}

int64_t
sys_getgroups(struct call *c)
{
	struct svc call = {.op = SVC_GETIDS};
	int64_t err = svc_call(&call);
	uint64_t n = call.d;

	if (err < 0)
		return err;
	if (n > 32)
		return -EINVAL;
	if (c->a[0] == 0)
		return (int64_t)n;
	if (c->a[0] < n)
		return -EINVAL;
	return copy_out(c->a[1], (void *)EXOS_MSG, n * 4) ? -EFAULT : (int64_t)n;
}

int64_t
sys_setgroups(struct call *c)
{
	if (c->a[0] > 32)
		return -EINVAL;
	if (copy_in((void *)EXOS_MSG, c->a[1], c->a[0] * 4))
		return -EFAULT;
	return service3(SVC_SETIDS, SVC_GROUPS, c->a[0], 0, 0);
}

int64_t
sys_setfsuid(struct call *c)
{
	(void)c;
	return MAIL->euid;
}

int64_t
sys_setfsgid(struct call *c)
{
	(void)c;
	return MAIL->egid;
}

/* ---- limits and accounting ---- */

static int64_t
limit_access(uint64_t which, uint64_t new_at, uint64_t old_at)
{
	struct lx_rlimit *limit, new, old;

	if (which >= LX_RLIM_NLIMITS)
		return -EINVAL;
	limit = &process()->limits[which];
	old = *limit;
	if (new_at) {
		if (copy_in(&new, new_at, sizeof(new)))
			return -EFAULT;
		if (new.rlim_cur > new.rlim_max)
			return -EINVAL;
		if (new.rlim_max > old.rlim_max && MAIL->euid)
			return -EPERM;
		if (which == LX_RLIMIT_NOFILE && new.rlim_max > FD_MAX)
			return -EPERM;
		*limit = new;
		if (which == LX_RLIMIT_NOFILE)
			fd_table()->limit = (uint32_t) new.rlim_cur;
		if (which == LX_RLIMIT_FSIZE)
			fd_table()->size_limit = new.rlim_cur;
	}
	return old_at && copy_out(old_at, &old, sizeof(old)) ? -EFAULT : 0;
}

int64_t
sys_getrlimit(struct call *c)
{
	return c->a[1] ? limit_access(c->a[0], 0, c->a[1]) : -EFAULT;
}

int64_t
sys_setrlimit(struct call *c)
{
	return c->a[1] ? limit_access(c->a[0], c->a[1], 0) : -EFAULT;
}

int64_t
sys_prlimit64(struct call *c)
{
	if (c->a[0] && c->a[0] != MAIL->pid)
		return -ESRCH;
	return limit_access(c->a[1], c->a[2], c->a[3]);
}

static struct lx_timeval
timeval(uint64_t ns)
{
	return (struct lx_timeval){(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000 / 1000)};
}

int64_t
sys_getrusage(struct call *c)
{
	struct lx_rusage usage = {0};
	struct svc call = {.op = SVC_TIMES};

	if ((int32_t)c->a[0] == LX_RUSAGE_CHILDREN) {
		svc_call(&call);
		usage.ru_utime = timeval(call.a);
		usage.ru_stime = timeval(call.b);
	} else if (c->a[0] == LX_RUSAGE_SELF || c->a[0] == LX_RUSAGE_THREAD) {
		usage.ru_utime = timeval(process_cpu_ns());
		usage.ru_maxrss = (int64_t)(process()->vm.pages * 4);
	} else {
		return -EINVAL;
	}
	return copy_out(c->a[1], &usage, sizeof(usage)) ? -EFAULT : 0;
}

#define TICK_NS 10000000ul /* 100 a second */

int64_t
sys_times(struct call *c)
{
	struct svc call = {.op = SVC_TIMES};
	struct lx_tms tms = {0};

	svc_call(&call);
	tms.tms_utime = (int64_t)(process_cpu_ns() / TICK_NS);
	tms.tms_cutime = (int64_t)(call.a / TICK_NS);
	tms.tms_cstime = (int64_t)(call.b / TICK_NS);
	if (c->a[0] && copy_out(c->a[0], &tms, sizeof(tms)))
		return -EFAULT;
	return (int64_t)(core_now_ns() / TICK_NS);
}

int64_t
sys_sysinfo(struct call *c)
{
	struct svc call = {.op = SVC_LIST};
	struct lx_sysinfo info = {0};

	svc_call(&call);
	info.uptime = (int64_t)(core_now_ns() / 1000000000);
	info.procs = (uint16_t)call.a;
	info.freeram = call.b * AEGIS_PAGE;
	info.totalram = call.c * AEGIS_PAGE;
	info.mem_unit = 1;
	return copy_out(c->a[0], &info, sizeof(info)) ? -EFAULT : 0;
}

int64_t
sys_uname(struct call *c)
{
	struct lx_utsname u = {
		.sysname = "Linux",
		.release = "6.1.0-exos",
		.version = "#1 Aegis",
		.machine = "x86_64",
		.domainname = "(none)",
	};

	for (size_t i = 0; i < LX_UTS_LEN && MAIL->hostname[i]; i++)
		u.nodename[i] = MAIL->hostname[i];
	return copy_out(c->a[0], &u, sizeof(u)) ? -EFAULT : 0;
}

/* ---- the rest ---- */

int64_t
sys_arch_prctl(struct call *c)
{
	uint64_t base;

	switch (c->a[0]) {
	case LX_ARCH_SET_FS:
		if (c->a[1] >= AEGIS_USER_MAX)
			return -EPERM;
		__asm__ volatile("wrfsbase %0" ::"r"(c->a[1]));
		return 0;
	case LX_ARCH_GET_FS:
		__asm__ volatile("rdfsbase %0" : "=r"(base));
		return copy_out(c->a[1], &base, sizeof(base)) ? -EFAULT : 0;
	default: /* GS is the library's */
		return -EINVAL;
	}
}

int64_t
sys_set_tid_address(struct call *c)
{
	process()->clear_child_tid = c->a[0];
	return MAIL->pid;
}

int64_t
sys_prctl(struct call *c)
{
	char name[16] = {0};

	switch (c->a[0]) {
	case LX_PR_SET_NAME:
		if (copy_in_string(name, c->a[1], sizeof(name)) == -EFAULT)
			return -EFAULT;
		name[15] = 0;
		memcpy(process()->comm, name, sizeof(name));
		return 0;
	case LX_PR_GET_NAME:
		return copy_out(c->a[1], process()->comm, 16) ? -EFAULT : 0;
	case LX_PR_SET_PDEATHSIG:
	case LX_PR_SET_DUMPABLE:
	case LX_PR_SET_NO_NEW_PRIVS:
	case LX_PR_SET_TIMERSLACK:
		return 0;
	case LX_PR_GET_DUMPABLE:
		return 1;
	default:
		return -EINVAL;
	}
}

int64_t
sys_getrandom(struct call *c)
{
	uint8_t some[256];
	size_t n = c->a[1] > 1u << 25 ? 1u << 25 : c->a[1], done = 0;

	if (c->a[2] & ~(uint64_t)(LX_GRND_NONBLOCK | LX_GRND_RANDOM | LX_GRND_INSECURE))
		return -EINVAL;
	while (done < n) {
		size_t step = n - done < sizeof(some) ? n - done : sizeof(some);

		random_fill(some, step);
		if (copy_out(c->a[0] + done, some, step))
			return done ? (int64_t)done : -EFAULT;
		done += step;
	}
	return (int64_t)done;
}

int64_t
sys_getcpu(struct call *c)
{
	uint32_t cpu = ENVPAGE->cpu, node = 0;

	if (c->a[0] && copy_out(c->a[0], &cpu, sizeof(cpu)))
		return -EFAULT;
	return c->a[1] && copy_out(c->a[1], &node, sizeof(node)) ? -EFAULT : 0;
}

int64_t
sys_set_robust_list(struct call *c)
{
	return c->a[1] == LX_ROBUST_LIST_HEAD_SIZE ? 0 : -EINVAL;
}

int64_t
sys_get_robust_list(struct call *c)
{
	(void)c;
	return -ENOSYS;
}

/* Every C library asks at its start, and can do without: not worth a line in the log each time. */
int64_t
sys_rseq(struct call *c)
{
	(void)c;
	return -ENOSYS;
}

int64_t
sys_membarrier(struct call *c)
{
	return c->a[0] == 0 ? 0 : -EINVAL;
}

int64_t
sys_personality(struct call *c)
{
	(void)c;
	return 0;
}

int64_t
sys_chroot(struct call *c)
{
	(void)c;
	return -EPERM;
}

int64_t
sys_sethostname(struct call *c)
{
	(void)c;
	return -EPERM;
}

int64_t
sys_setdomainname(struct call *c)
{
	(void)c;
	return -EPERM;
}
