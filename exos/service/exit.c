/* SPDX-License-Identifier: MIT */
/*
 * The end of processes, waiting for it, and the end of the domain.
 *
 * However a process ends (it says so, it is killed, or the kernel ended its environment) proc_end
 * is the one way: what it held goes first, then the kernel's objects are destroyed, then its parent is
 * told, so that who waited for it finds the memory that it had.  The kernel destroys in steps and may need
 * several goes when the environment is running on another processor; what is left over the main loop finishes.
 *
 * A zombie keeps its entry for its parent, unless that has said that it will not wait.  Children of a process that ends
 * belong to process 1.
 * When process 1 ends the domain ends: all others are killed, and when the terminal's output is on
 * its way the supervisor is told how it ended.
 */
#include "exos/service/priv.h"
#include <host/channel.h>

#define RELEASE_STEPS 4096

/* Ends environments that the process made for itself in its space; whether there were any. */
static bool
space_clear(uint32_t space)
{
	struct aegis_env_info info;
	bool any = false;

	for (uint32_t env = 1; env < AEGIS_ENVS; env++) {
		if (!kern_env_read(env, &info) && info.space == space) {
			int left;

			while ((left = kern_env_end(env)) > 0)
				;
			any |= !left;
		}
	}
	return any;
}

static bool
proc_released(const struct proc *p)
{
	return !p->env && !p->space;
}

/* Whether nothing is left in the kernel. */
bool
proc_kernel_release(struct proc *p)
{
	int left = 1;

	for (int i = 0; p->env && i < RELEASE_STEPS; i++) {
		left = kern_env_end(p->env);
		if (left <= 0)
			p->env = 0;
	}
	if (p->env)
		return false;
	for (int i = 0; p->space && i < RELEASE_STEPS; i++) {
		left = kern_space_end(p->space);
		if (left < 0 && space_clear(p->space))
			continue;
		if (left < 0)
			core_log("exos: space %u of process %d stays: %d\n", p->space, p->pid,
				 left);
		if (left <= 0)
			p->space = 0;
	}
	return !p->space;
}

/* What the process has of the service's. */
static void
proc_strip(struct service *sv, struct proc *p)
{
	fifo_cancel(sv, p);
	object_drop_all(sv, p);
	share_drop_all(sv, p);
	core_free(p->held, OBJ_WORDS * sizeof(uint64_t));
	p->held = NULL;
	fs_close(sv->fs, p->cwd);
	p->cwd = NULL;
	if (p->exe)
		core_free(p->exe, p->exe_len);
	if (p->cmdline)
		core_free(p->cmdline, p->cmdline_len);
	p->exe = p->cmdline = NULL;
	p->exe_len = p->cmdline_len = 0;
	p->mail = NULL;
	p->msg = NULL;
	proc_unhash_env(sv, p);
}

static void
proc_destroy(struct service *sv, struct proc *p)
{
	struct aegis_env_info info;

	if (p->env && !kern_env_read(p->env, &info))
		p->time_ns = info.time_ns;
	/* Its pages are for others when it cannot write them any more. */
	if (proc_kernel_release(p))
		proc_pages_give(sv, p);
	else
		kern_wake_self();
	name_give(sv, p->slot);
	name_give(sv, p->child_slot);
	p->slot = p->child_slot = 0;
}

/* Nobody will ask for it. */
static void
proc_forget(struct service *sv, struct proc *p)
{
	p->state = PROC_DEAD;
	p->parent = NULL;
	if (proc_released(p))
		proc_free(sv, p);
}

/* A child that never ran. */
void
proc_discard(struct service *sv, struct proc *p)
{
	proc_strip(sv, p);
	proc_destroy(sv, p);
	proc_forget(sv, p);
}

/* Groups that lose, by the end of p, their last link to another group of the session. */
static void
groups_orphaned(struct service *sv, struct proc *p)
{
	static const int32_t news[2] = {LX_SIGHUP, LX_SIGCONT};

	for (struct proc *q = sv->all; q; q = q->next) {
		bool own = q->pgid == p->pgid && q != p, child = q->parent == p;

		if (proc_over(q) || !q->stop_signal || !(own || child) || q->sid != p->sid)
			continue;
		if (!group_orphaned(sv, q->pgid, p))
			continue;
		for (uint32_t i = 0; i < 2; i++) {
			struct mail_signal sig = {.signal = news[i], .code = LX_SI_KERNEL};

			signal_group(sv, q->pgid, &sig);
		}
	}
}

/* What a parent says of itself; of who has lent its pages, the borrower does. */
static uint32_t
parent_wants(const struct proc *parent)
{
	const volatile struct svc_tail *tail = parent->msg ? SVC_TAIL(parent->msg) : NULL;

	return tail ? tail->children : 0;
}

/* Who will not be waited for has no parent any more. */
static void
parent_tell(struct service *sv, struct proc *p)
{
	uint32_t low = (uint32_t)p->status & 0x7f;
	struct mail_signal sig = {.signal = LX_SIGCHLD, .pid = p->pid, .uid = p->ruid};
	struct proc *parent = p->parent;

	if (!parent)
		return;
	sig.code = !low ? LX_CLD_EXITED : p->status & 0x80 ? LX_CLD_DUMPED : LX_CLD_KILLED;
	sig.value = low ? low : p->status >> 8 & 0xff;
	if (parent_wants(parent) & SVC_CHILD_NO_WAIT)
		p->parent = NULL;
	signal_raise(sv, parent, &sig);
	if (p->vfork)
		core_wake(parent->env);
	p->vfork = false;
}

static void
children_leave(struct service *sv, struct proc *p)
{
	struct proc *next, *heir = p == sv->first ? NULL : sv->first;

	for (struct proc *q = sv->all; q; q = next) {
		next = q->next;
		if (q->parent != p)
			continue;
		if (q->state == PROC_NEW) {
			proc_discard(sv, q);
			continue;
		}
		q->parent = heir;
		if (q->mail)
			q->mail->ppid = heir ? (uint32_t)heir->pid : 0;
		if (q->state == PROC_ZOMBIE && proc_released(q))
			parent_tell(sv, q);
		if (q->state == PROC_ZOMBIE && !q->parent)
			proc_forget(sv, q);
	}
}

static void
domain_end(struct service *sv, int32_t status)
{
	struct proc *next;
	bool again;

	sv->ending = true;
	sv->host->exit_kind = status & 0x7f ? CHANNEL_KILLED : CHANNEL_EXITED;
	sv->host->exit_value = (uint32_t)(status & 0x7f ? status & 0x7f : status >> 8 & 0xff);
	/* Each end may free entries, so start over until nobody is left. */
	do {
		again = false;
		for (struct proc *p = sv->all; p; p = next) {
			next = p->next;
			if (proc_over(p))
				continue;
			proc_end(sv, p, LX_SIGKILL);
			again = true;
			break;
		}
	} while (again);
	domain_finish(sv);
}

/* Tells the supervisor, as soon as the terminal's output is in its ring. */
void
domain_finish(struct service *sv)
{
	if (!sv->ending || sv->ended)
		return;
	if (sv->tty && !sv->tty->stopped && tty_output_ready(sv->tty) && sv->tty_out &&
	    sv->tty_out->shared->read_open)
		return;
	sv->ended = true;
	__atomic_store_n(&sv->host->ended, 1, __ATOMIC_RELEASE);
	host_kick(sv);
}

void
proc_end(struct service *sv, struct proc *p, int32_t status)
{
	bool first;

	if (proc_over(p))
		return;
	if (p->state == PROC_NEW) {
		proc_discard(sv, p);
		return;
	}
	proc_unlend(sv, p);
	p->status = status;
	p->stop_signal = 0;
	p->stop_news = p->continue_news = false;
	groups_orphaned(sv, p);
	if (p->pid == p->sid)
		term_leader_gone(sv, p);
	p->state = PROC_ZOMBIE;
	proc_hot_pass(p);
	proc_strip(sv, p);
	children_leave(sv, p);
	proc_destroy(sv, p);
	if (proc_released(p))
		parent_tell(sv, p);
	first = p == sv->first;
	if (!p->parent)
		proc_forget(sv, p);
	if (first) {
		sv->first = NULL;
		domain_end(sv, status);
	}
}

int64_t
op_exit(struct service *sv, struct proc *p, struct svc *s)
{
	int32_t status = (int32_t)(s->a & 0xffff), signal = status & 0x7f;

	if (!signal)
		status &= 0xff00;
	else if (signal > LX_NSIG)
		status = LX_SIGKILL;
	else
		status &= 0xff;
	proc_end(sv, p, status);
	return 0;
}

/* ---- environments that the kernel ended ---- */

static int32_t
end_signal(const struct aegis_env_info *info)
{
	switch (info->end_reason) {
	case AEGIS_END_STACK:
	case AEGIS_END_HANDLER:
	case AEGIS_END_AREA:
		return LX_SIGSEGV;
	default:
		return LX_SIGKILL;
	}
}

/* Whether the environment of p is gone, and by which signal that counts. */
static bool
env_dead(const struct proc *p, int32_t *signal)
{
	struct aegis_env_info info;

	*signal = LX_SIGKILL;
	if (kern_env_read(p->env, &info))
		return true;
	if (info.generation != p->generation)
		return true;
	if (info.state != AEGIS_STATE_ENDED)
		return false;
	*signal = end_signal(&info);
	core_log("exos: process %d (%s) ended by the kernel: reason %u cause %u rip %lx addr %lx\n",
		 p->pid, p->comm, info.end_reason, info.end_cause, (unsigned long)info.end_rip,
		 (unsigned long)info.end_addr);
	return true;
}

void
proc_find_dead(struct service *sv)
{
	struct proc *next;
	bool left = false, again;
	int32_t signal;

	do {
		again = false;
		for (struct proc *p = sv->all; p; p = p->next) {
			if (!proc_over(p) && env_dead(p, &signal)) {
				proc_end(sv, p, signal);
				again = true; /* the list may have changed */
				break;
			}
		}
	} while (again);
	for (struct proc *p = sv->all; p; p = next) {
		next = p->next;
		if (!proc_over(p) || proc_released(p))
			continue;
		if (!proc_kernel_release(p)) {
			left = true;
			continue;
		}
		proc_pages_give(sv, p);
		if (p->state == PROC_DEAD) {
			proc_free(sv, p);
			continue;
		}
		parent_tell(sv, p);
		if (!p->parent)
			proc_forget(sv, p);
	}
	if (left)
		kern_wake_self();
}

/* ---- waiting ---- */

static bool
wait_means(const struct proc *p, const struct proc *child, int64_t which)
{
	if (child->parent != p || child->state == PROC_NEW)
		return false;
	if (which == -1)
		return true;
	if (which > 0)
		return child->pid == which;
	return child->pgid == (which ? -which : p->pgid);
}

static bool
wait_has_news(const struct proc *child, uint32_t options, bool exited)
{
	if (child->state == PROC_ZOMBIE)
		return exited && proc_released(child);
	return (child->stop_news && options & LX_WUNTRACED) ||
	       (child->continue_news && options & LX_WCONTINUED);
}

/* What there is to say about a child that has news: a wait status. */
static int32_t
wait_news(struct proc *child, uint32_t options)
{
	bool keep = options & LX_WNOWAIT;

	if (child->state == PROC_ZOMBIE)
		return child->status;
	if (child->stop_news && options & LX_WUNTRACED) {
		child->stop_news = keep;
		return LX_STATUS_STOPPED(child->stop_signal);
	}
	child->continue_news = keep;
	return LX_STATUS_CONTINUED;
}

/*
 * s->c: 1 = waitid: ends are reported only with LX_WEXITED.  The oldest child that has news is told about
 * first: younger ones that keep ending, such as orphans that come to process 1, cannot hide it.
 */
int64_t
op_wait(struct service *sv, struct proc *p, struct svc *s)
{
	int64_t which = (int32_t)s->a;
	uint32_t options = (uint32_t)s->b;
	bool exited = s->c != 1 || options & LX_WEXITED, any = false;
	struct proc *oldest = NULL;
	int32_t status, pid;

	if (which == INT32_MIN)
		return -ESRCH;
	for (struct proc *child = sv->all; child; child = child->next) {
		if (!wait_means(p, child, which))
			continue;
		any = true;
		if (wait_has_news(child, options, exited))
			oldest = child; /* the list begins with the youngest */
	}
	if (!oldest)
		return any ? 0 : -ECHILD;
	status = wait_news(oldest, options);
	pid = oldest->pid;
	s->a = (uint32_t)status;
	s->b = oldest->time_ns + oldest->child_user;
	s->c = oldest->child_sys;
	s->d = oldest->ruid;
	if (oldest->state == PROC_ZOMBIE && !(options & LX_WNOWAIT)) {
		p->child_user += oldest->time_ns + oldest->child_user;
		p->child_sys += oldest->child_sys;
		proc_forget(sv, oldest);
	}
	return pid;
}

/* ---- stop and continue ---- */

static void
stop_tell(struct service *sv, struct proc *p, int32_t code, int32_t status)
{
	struct mail_signal sig = {
		.signal = LX_SIGCHLD,
		.code = code,
		.pid = p->pid,
		.uid = p->ruid,
		.value = (uint64_t)status,
	};

	if (p->parent && !(parent_wants(p->parent) & SVC_CHILD_NO_STOPS))
		signal_raise(sv, p->parent, &sig);
	else if (p->parent && p->parent->state == PROC_LIVE)
		core_wake(p->parent->env); /* it may wait */
}

/* -EPERM: a group without a way back does not stop for the terminal; go on. */
int64_t
op_stopped(struct service *sv, struct proc *p, struct svc *s)
{
	if (s->a >= MAIL_SIGNALS || !signal_stops((int32_t)s->a))
		return -EINVAL;
	if (!p->mail->stop_last)
		return -EAGAIN;
	if (s->a != LX_SIGSTOP && group_orphaned(sv, p->pgid, NULL))
		return -EPERM;
	if (p->stop_signal)
		return 0;
	p->stop_signal = (int32_t)s->a;
	p->stop_news = true;
	p->continue_news = false;
	stop_tell(sv, p, LX_CLD_STOPPED, p->stop_signal);
	return 0;
}

void
proc_continue(struct service *sv, struct proc *p)
{
	if (!p->stop_signal)
		return;
	p->stop_signal = 0;
	p->stop_news = false;
	p->continue_news = true;
	stop_tell(sv, p, LX_CLD_CONTINUED, LX_SIGCONT);
}
