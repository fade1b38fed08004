/* SPDX-License-Identifier: MIT */
/*
 * Signals to others, process groups, sessions.
 *
 * The service decides who may signal whom and writes the signal into the receiver's mail; what it
 * does there (blocked, ignored, caught) is the receiver's own affair.  Only SIGKILL is done here,
 * because the receiver must not have a say; but who uses another's environment, after vfork, is told to
 * end and give that back.  Mail keeps a count per signal and the details of the
 * latest: signals of one number that come together become one, as they may.  Real-time signals are queued
 * there; one that finds no room is refused, or counted without its details if it has none to speak of.
 */
#include "exos/service/priv.h"

bool
signal_stops(int32_t signal)
{
	return signal == LX_SIGSTOP || signal == LX_SIGTSTP || signal == LX_SIGTTIN ||
	       signal == LX_SIGTTOU;
}

static bool
queue_room(const struct proc *p)
{
	uint32_t taken = __atomic_load_n(&SVC_TAIL(p->msg)->queue_taken, __ATOMIC_ACQUIRE);

	/* Who has lent its pages says nothing there. */
	return !p->borrower && p->mail->queue_count - taken < MAIL_QUEUE;
}

static bool
queue_put(struct proc *p, const struct mail_signal *sig)
{
	struct mail *mail = p->mail;

	if (sig->signal < MAIL_REALTIME || !queue_room(p))
		return false;
	mail->queue[mail->queue_count % MAIL_QUEUE] = *sig;
	__atomic_store_n(&mail->queue_count, mail->queue_count + 1, __ATOMIC_RELEASE);
	return true;
}

/* Who stands still goes on at once, and its parent knows; a stop is the process's to make. */
void
signal_raise(struct service *sv, struct proc *p, const struct mail_signal *sig)
{
	struct mail *mail = p->mail;

	if (proc_over(p) || !mail)
		return;
	if (sig->signal == LX_SIGKILL && !p->lender) {
		proc_end(sv, p, LX_SIGKILL);
		return;
	}
	/* Before the count: who sees that knows what it takes back. */
	if (signal_stops(sig->signal))
		__atomic_store_n(&mail->stop_last, 1, __ATOMIC_RELEASE);
	else if (sig->signal == LX_SIGCONT)
		__atomic_store_n(&mail->stop_last, 0, __ATOMIC_RELEASE);
	if (!queue_put(p, sig)) {
		mail->info[sig->signal].code = sig->code;
		mail->info[sig->signal].pid = sig->pid;
		mail->info[sig->signal].uid = sig->uid;
		mail->info[sig->signal].value = sig->value;
		__atomic_store_n(&mail->raised[sig->signal], mail->raised[sig->signal] + 1,
				 __ATOMIC_RELEASE);
	}
	__atomic_store_n(&mail->raised_count, mail->raised_count + 1, __ATOMIC_RELEASE);
	if (sig->signal == LX_SIGCONT)
		proc_continue(sv, p);
	if (p->state == PROC_LIVE)
		kern_upcall(p->env);
}

/* To every process that `means` picks, `last` last; SIGKILL changes the list, so start over then.
 */
void
signal_group(struct service *sv, int32_t pgid, const struct mail_signal *sig)
{
	bool again = true;

	while (again) {
		again = false;
		for (struct proc *p = sv->all; p; p = p->next) {
			bool ends = sig->signal == LX_SIGKILL && !p->lender;

			if (proc_over(p) || p->pgid != pgid)
				continue;
			signal_raise(sv, p, sig);
			if (ends) {
				again = true;
				break;
			}
		}
	}
}

bool
group_exists(struct service *sv, int32_t pgid, int32_t *session)
{
	for (const struct proc *p = sv->all; p; p = p->next) {
		if (p->pgid == pgid && !proc_over(p)) {
			*session = p->sid;
			return true;
		}
	}
	return false;
}

bool
group_orphaned(struct service *sv, int32_t pgid, const struct proc *leaving)
{
	for (const struct proc *p = sv->all; p; p = p->next) {
		const struct proc *parent = p->parent;

		if (p->pgid != pgid || proc_over(p) || p == leaving)
			continue;
		if (parent && parent == leaving)
			parent = leaving == sv->first ? NULL : sv->first;
		if (parent && parent->pgid != pgid && parent->sid == p->sid)
			return false;
	}
	return true;
}

/* ---- kill ---- */

static bool
kill_permitted(const struct proc *p, const struct proc *target, int32_t signal)
{
	if (!p->cred.uid || p == target)
		return true;
	if (p->cred.uid == target->ruid || p->cred.uid == target->suid || p->ruid == target->ruid ||
	    p->ruid == target->suid)
		return true;
	return signal == LX_SIGCONT && p->sid == target->sid;
}

/* Who may signal a process may call it, if that accepts: the name it was made under, for CALL alone. */
int64_t
op_peer(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc *target = s->a < PID_MAX ? proc_find(sv, (int32_t)s->a) : NULL;
	int err;

	if (!target || target->state != PROC_LIVE)
		return -ESRCH;
	if (!kill_permitted(p, target, 0))
		return -EPERM;
	err = kern_grant(target->slot, p->env, AEGIS_CALL, EXOS_CAP_PEER);
	return err ? err : (int64_t)target->env;
}

static bool
kill_means(struct service *sv, const struct proc *p, const struct proc *target, int64_t which)
{
	if (target->state == PROC_DEAD || target->state == PROC_NEW)
		return false;
	if (which == -1)
		return target != p && target != sv->first;
	return target->pgid == (which ? -which : p->pgid);
}

/* The next one to be signalled; the caller itself comes last, because it may not survive. */
static struct proc *
kill_next(struct service *sv, struct proc *p, struct proc *after, int64_t which)
{
	for (struct proc *q = after ? after->next : sv->all; q; q = q->next) {
		if (q != p && kill_means(sv, p, q, which))
			return q;
	}
	return NULL;
}

static int64_t
kill_many(struct service *sv, struct proc *p, int64_t which, const struct mail_signal *sig)
{
	struct proc *q = NULL;
	bool found = false, sent = false;

	while ((q = kill_next(sv, p, q, which))) {
		bool ends = sig->signal == LX_SIGKILL && !q->lender;

		found = true;
		if (!kill_permitted(p, q, sig->signal))
			continue;
		sent = true;
		if (!sig->signal || proc_over(q))
			continue;
		signal_raise(sv, q, sig);
		if (ends)
			q = NULL; /* the list has changed; those who are over stay over */
		if (sv->ending)
			return 0;
	}
	if (which != -1 && kill_means(sv, p, p, which)) {
		found = sent = true;
		if (sig->signal)
			signal_raise(sv, p, sig);
	}
	return sent ? 0 : found ? -EPERM : -ESRCH;
}

int64_t
op_kill(struct service *sv, struct proc *p, struct svc *s)
{
	int64_t which = (int32_t)s->a;
	struct mail_signal sig = {
		.signal = (int32_t)s->b,
		.code = (int32_t)s->c,
		.pid = p->pid,
		.uid = p->ruid,
		.value = s->d,
	};
	struct proc *target;

	if (s->b > LX_NSIG)
		return -EINVAL;
	if (sig.code > LX_SI_USER)
		return -EPERM; /* only the kernel and the service say such things */
	if (which == INT32_MIN)
		return -ESRCH;
	if (which <= 0)
		return kill_many(sv, p, which, &sig);
	target = proc_find(sv, (int32_t)which);
	if (!target || target->state == PROC_DEAD || target->state == PROC_NEW)
		return -ESRCH;
	if (!kill_permitted(p, target, sig.signal))
		return -EPERM;
	if (!sig.signal || proc_over(target))
		return 0;
	if (sig.signal >= MAIL_REALTIME && sig.code != LX_SI_USER && !queue_room(target))
		return -EAGAIN;
	signal_raise(sv, target, &sig);
	return 0;
}

/* ---- groups and sessions ---- */

static int64_t
group_write(struct service *sv, struct proc *p, struct svc *s)
{
	int32_t pid = s->a ? (int32_t)s->a : p->pid, pgid = s->b ? (int32_t)s->b : pid, session;
	struct proc *target = proc_find(sv, pid);

	if (pgid < 0)
		return -EINVAL;
	if (!target || target->state == PROC_DEAD || (target != p && target->parent != p))
		return -ESRCH;
	if (target != p && target->sid != p->sid)
		return -EPERM;
	if (target != p && target->execed)
		return -EACCES;
	if (target->pid == target->sid)
		return -EPERM;
	if (pgid != target->pid && (!group_exists(sv, pgid, &session) || session != p->sid))
		return -EPERM;
	target->pgid = pgid;
	if (target->mail)
		target->mail->pgid = (uint32_t)pgid;
	return 0;
}

static int64_t
session_new(struct service *sv, struct proc *p)
{
	for (const struct proc *q = sv->all; q; q = q->next) {
		if (q->pgid == p->pid)
			return -EPERM;
	}
	p->sid = p->pgid = p->pid;
	p->mail->sid = p->mail->pgid = (uint32_t)p->pid;
	return p->sid;
}

int64_t
op_group(struct service *sv, struct proc *p, struct svc *s)
{
	const struct proc *target = p;

	if (s->op == SVC_SETPGID)
		return group_write(sv, p, s);
	if (s->op == SVC_SETSID)
		return session_new(sv, p);
	if (s->a)
		target = proc_find(sv, (int32_t)s->a);
	if (!target || target->state == PROC_DEAD)
		return -ESRCH;
	return s->op == SVC_GETPGID ? target->pgid : target->sid;
}
