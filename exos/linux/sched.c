/* SPDX-License-Identifier: MIT */
/*
 * Calls about when processes run.
 *
 * Owns the nice value, which decides nothing.  Time goes round among environments (aegis/cpu.h); who wants another
 * order asks the kernel for slices (exos/sched.h), and no call of Linux's does that.
 */
#include "exos/core/priv.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

int64_t
sys_sched_yield(struct call *c)
{
	(void)c;
	core_yield();
	return 0;
}

int64_t
sys_sched_getaffinity(struct call *c)
{
	uint64_t mask = (1ul << SYSPAGE->cpus) - 1;

	if (c->a[1] < sizeof(mask))
		return -EINVAL;
	return copy_out(c->a[2], &mask, sizeof(mask)) ? -EFAULT : (int64_t)sizeof(mask);
}

int64_t
sys_sched_setaffinity(struct call *c)
{
	(void)c;
	return 0;
}

/* -ESRCH: none such.  which: as kill(2) takes it; whoever it is may be another user's. */
static int64_t
somebody_is(int64_t which)
{
	struct svc call = {.op = SVC_KILL, .a = (uint64_t)which};

	return svc_call(&call) == -ESRCH ? -ESRCH : 0;
}

/* The same of one process; 0: the caller. */
static int64_t
process_exists(int32_t pid)
{
	if (pid < 0)
		return -EINVAL;
	return !pid || pid == (int32_t)MAIL->pid ? 0 : somebody_is(pid);
}

int64_t
sys_sched_getscheduler(struct call *c)
{
	int64_t err = process_exists((int32_t)c->a[0]);

	return err ? err : LX_SCHED_NORMAL;
}

int64_t
sys_sched_getparam(struct call *c)
{
	int64_t err = c->a[1] ? process_exists((int32_t)c->a[0]) : -EINVAL;
	int32_t priority = 0;

	return err ? err : copy_out(c->a[1], &priority, sizeof(priority)) ? -EFAULT : 0;
}

static bool
policy_realtime(uint32_t policy)
{
	return policy == LX_SCHED_FIFO || policy == LX_SCHED_RR;
}

static bool
policy_known(uint32_t policy)
{
	return policy_realtime(policy) || policy == LX_SCHED_NORMAL || policy == LX_SCHED_BATCH ||
	       policy == LX_SCHED_IDLE || policy == LX_SCHED_DEADLINE;
}

/* Priorities there are none: whoever asks for what everybody has gets it. */
static int64_t
scheduler_set(int32_t pid, uint32_t policy, uint64_t from)
{
	int64_t err = from ? process_exists(pid) : -EINVAL;
	int32_t priority;

	if (err)
		return err;
	if (copy_in(&priority, from, sizeof(priority)))
		return -EFAULT;
	if (!policy_known(policy) || policy == LX_SCHED_DEADLINE ||
	    (policy_realtime(policy) ? priority < 1 || priority > 99 : priority != 0))
		return -EINVAL;
	return policy_realtime(policy) ? -EPERM : 0;
}

int64_t
sys_sched_setscheduler(struct call *c)
{
	return scheduler_set((int32_t)c->a[0], (uint32_t)c->a[1], c->a[2]);
}

int64_t
sys_sched_setparam(struct call *c)
{
	return scheduler_set((int32_t)c->a[0], LX_SCHED_NORMAL, c->a[1]);
}

int64_t
sys_sched_get_priority_max(struct call *c)
{
	if (!policy_known((uint32_t)c->a[0]))
		return -EINVAL;
	return policy_realtime((uint32_t)c->a[0]) ? 99 : 0;
}

int64_t
sys_sched_get_priority_min(struct call *c)
{
	if (!policy_known((uint32_t)c->a[0]))
		return -EINVAL;
	return policy_realtime((uint32_t)c->a[0]) ? 1 : 0;
}

/* A slice of the kernel's. */
int64_t
sys_sched_rr_get_interval(struct call *c)
{
	uint64_t ns = SYSPAGE->slice_tsc * 1000000000 / SYSPAGE->tsc_hz;
	struct lx_timespec ts = {(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000)};
	int64_t err = process_exists((int32_t)c->a[0]);

	return err ? err : copy_out(c->a[1], &ts, sizeof(ts)) ? -EFAULT : 0;
}

/*
 * Nice values are kept, and inherited, and decide nothing: time goes round.  Of other processes they are not
 * known here, and cannot be changed.
 *
 * 1: the caller is meant, 0: others, or a negative error.
 */
static int64_t
priority_mine(uint64_t which, uint64_t who)
{
	if (which > LX_PRIO_USER)
		return -EINVAL;
	if (!who || (which == LX_PRIO_PROCESS && who == MAIL->pid) ||
	    (which == LX_PRIO_PGRP && who == MAIL->pgid) ||
	    (which == LX_PRIO_USER && who == MAIL->uid))
		return 1;
	if (which == LX_PRIO_USER)
		return -ESRCH;
	return somebody_is(which == LX_PRIO_PGRP ? -(int64_t)who : (int64_t)who);
}

int64_t
sys_getpriority(struct call *c)
{
	int64_t mine = priority_mine(c->a[0], (uint32_t)c->a[1]);

	return mine < 0 ? mine : 20 - (mine ? process()->nice : 0);
}

int64_t
sys_setpriority(struct call *c)
{
	int64_t mine = priority_mine(c->a[0], (uint32_t)c->a[1]);
	int32_t nice = (int32_t)c->a[2];

	if (mine <= 0)
		return mine < 0 ? mine : -EPERM;
	nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
	if (nice < process()->nice && MAIL->euid)
		return -EACCES;
	process()->nice = nice;
	return 0;
}
