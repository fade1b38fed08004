/* SPDX-License-Identifier: MIT */
/*
 * The end of a process, and waiting for that of others.
 *
 * The service keeps what outlives a process: its status, its place in the tree.  It also destroys
 * the environment and the space, so nothing has to be given back here.
 */
#include "exos/core/priv.h"
#include "exos/linux/errno.h"
#include "exos/linux/calls.h"
#include "exos/proc/process.h"

/* What was called how often, and what it cost, for `exo run --log` with option.counters. */
static void
counters_log(void)
{
	struct control *c = control();
	uint64_t total = 0;

	for (uint32_t i = 0; i < 512; i++)
		total += c->calls[i];
	core_log("exos: pid %u (%s): %lu calls, %lu traps, %lu service "
		 "transfers, %lu times busy\n",
		 MAIL->pid, process()->comm, total, c->traps, c->service_calls,
		 CORE_STATE->service_busy);
	for (uint32_t i = 0; i < 512; i++) {
		if (c->calls[i])
			core_log("exos: pid %u: %s %u\n", MAIL->pid, call_name(i), c->calls[i]);
	}
}

_Noreturn void
process_exit(uint32_t wait_status)
{
	struct svc call = {.op = SVC_EXIT, .a = wait_status};
	uint32_t zero = 0;

	if (process()->count_calls)
		counters_log();
	if (process()->clear_child_tid)
		copy_out(process()->clear_child_tid, &zero, sizeof(zero));
	svc_call(&call);
	process_lent_exit();
	core_die("the service did not end this process");
}

int64_t
sys_exit_group(struct call *c)
{
	process_exit((uint32_t)(c->a[0] & 0xff) << 8);
}

int64_t
sys_exit(struct call *c)
{
	return sys_exit_group(c);
}

#define WAIT_OPTIONS \
	(LX_WNOHANG | LX_WUNTRACED | LX_WCONTINUED | LX_WNOTHREAD | LX_WALL | LX_WCLONE)

/* Waits as wait4 does, or as waitid if `id`; *call is the service's answer. */
static int64_t
wait_for(int64_t pid, uint32_t options, bool id, struct svc *call)
{
	int64_t blocked = 0;

	for (;;) {
		uint32_t seen = core_events();
		int64_t result;

		*call = (struct svc){.op = SVC_WAIT, .a = (uint64_t)pid, .b = options, .c = id};
		result = svc_call(call);
		/* Stopped and continued children have 0x7f there. */
		if (result > 0 && !(options & LX_WNOWAIT) && (call->a & 0x7f) != 0x7f)
			process_reaped(result);
		if (result || (options & LX_WNOHANG))
			return result;
		/* A child's end counts for more than the signal that tells of it. */
		if (blocked < 0)
			return blocked;
		blocked = process_block(seen, AEGIS_NEVER);
	}
}

static void
usage_fill(struct lx_rusage *usage, const struct svc *call)
{
	*usage = (struct lx_rusage){0};
	usage->ru_utime.tv_sec = (int64_t)(call->b / 1000000000);
	usage->ru_utime.tv_usec = (int64_t)(call->b % 1000000000 / 1000);
	usage->ru_stime.tv_sec = (int64_t)(call->c / 1000000000);
	usage->ru_stime.tv_usec = (int64_t)(call->c % 1000000000 / 1000);
}

int64_t
sys_wait4(struct call *c)
{
	uint32_t options = (uint32_t)c->a[2];
	struct lx_rusage usage;
	struct svc call;
	int64_t pid;

	if (options & ~(uint32_t)WAIT_OPTIONS)
		return -EINVAL;
	pid = wait_for((int32_t)c->a[0], options, false, &call);
	if (pid <= 0)
		return pid;
	if (c->a[1]) {
		uint32_t status = (uint32_t)call.a;

		if (copy_out(c->a[1], &status, sizeof(status)))
			return -EFAULT;
	}
	if (c->a[3]) {
		usage_fill(&usage, &call);
		if (copy_out(c->a[3], &usage, sizeof(usage)))
			return -EFAULT;
	}
	return pid;
}

/* What a wait status says, as SIGCHLD would. */
static void
info_fill(struct lx_siginfo *info, int64_t pid, const struct svc *call)
{
	uint32_t status = (uint32_t)call->a, low = status & 0x7f;

	info->si_signo = LX_SIGCHLD;
	info->child.pid = (int32_t)pid;
	info->child.uid = (uint32_t)call->d;
	if (status == LX_STATUS_CONTINUED) {
		info->si_code = LX_CLD_CONTINUED;
		info->child.status = LX_SIGCONT;
	} else if (low == 0x7f) {
		info->si_code = LX_CLD_STOPPED;
		info->child.status = (int32_t)(status >> 8 & 0xff);
	} else if (low) {
		info->si_code = status & 0x80 ? LX_CLD_DUMPED : LX_CLD_KILLED;
		info->child.status = (int32_t)low;
	} else {
		info->si_code = LX_CLD_EXITED;
		info->child.status = (int32_t)(status >> 8 & 0xff);
	}
}

int64_t
sys_waitid(struct call *c)
{
	const uint32_t what = LX_WEXITED | LX_WSTOPPED | LX_WCONTINUED;
	uint32_t options = (uint32_t)c->a[3];
	int64_t id = (int32_t)c->a[1], pid;
	struct lx_siginfo info = {0};
	struct lx_rusage usage;
	struct svc call;

	if ((options & ~(WAIT_OPTIONS | what | LX_WNOWAIT)) || !(options & what))
		return -EINVAL;
	if (c->a[0] == LX_P_ALL)
		id = -1;
	else if (c->a[0] == LX_P_PGID && id >= 0)
		id = -id;
	else if (c->a[0] != LX_P_PID || id <= 0)
		return -EINVAL;
	pid = wait_for(id, options, true, &call);
	if (pid < 0)
		return pid;
	if (pid) {
		info_fill(&info, pid, &call);
		usage_fill(&usage, &call);
	}
	if (c->a[2] && copy_out(c->a[2], &info, sizeof(info)))
		return -EFAULT;
	if (c->a[4] && pid && copy_out(c->a[4], &usage, sizeof(usage)))
		return -EFAULT;
	return 0;
}
