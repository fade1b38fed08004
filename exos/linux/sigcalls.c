/* SPDX-License-Identifier: MIT */
/* The signal calls, from Linux's arguments to exos/signal and the service. */
#include "exos/core/core.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define UNBLOCKABLE (LX_SIGBIT(LX_SIGKILL) | LX_SIGBIT(LX_SIGSTOP))

static struct signals *
signals(void)
{
	return &process()->sig;
}

int64_t
sys_rt_sigaction(struct call *c)
{
	int sig = (int)c->a[0];
	struct lx_sigaction act;

	if (c->a[3] != LX_SIGSET_BYTES || sig < 1 || sig > LX_NSIG)
		return -EINVAL;
	if (c->a[1] && (sig == LX_SIGKILL || sig == LX_SIGSTOP))
		return -EINVAL;
	if (c->a[1] && copy_in(&act, c->a[1], sizeof(act)))
		return -EFAULT;
	if (c->a[2] && copy_out(c->a[2], &signals()->action[sig], sizeof(act)))
		return -EFAULT;
	if (c->a[1]) {
		act.mask &= ~UNBLOCKABLE;
		signal_action(sig, &act);
		if (sig == LX_SIGCHLD)
			signal_tell();
	}
	return 0;
}

int64_t
sys_rt_sigprocmask(struct call *c)
{
	struct signals *s = signals();
	uint64_t old = s->mask, set;

	if (c->a[3] != LX_SIGSET_BYTES)
		return -EINVAL;
	if (c->a[1]) {
		if (copy_in(&set, c->a[1], sizeof(set)))
			return -EFAULT;
		set &= ~UNBLOCKABLE;
		if ((int)c->a[0] == 0)
			s->mask |= set;
		else if ((int)c->a[0] == 1)
			s->mask &= ~set;
		else if ((int)c->a[0] == 2)
			s->mask = set;
		else
			return -EINVAL;
		/* What was blocked may be due now. */
		if (s->local || MAIL->raised_count != s->seen_count)
			control()->attention = 1;
	}
	return c->a[2] && copy_out(c->a[2], &old, sizeof(old)) ? -EFAULT : 0;
}

int64_t
sys_rt_sigreturn(struct call *c)
{
	struct aegis_frame *frame = call_frame(c); /* c lies over what is restored now */

	if (signal_return(frame, c->callee))
		process_exit(LX_SIGSEGV);
	return (int64_t)frame->rax;
}

int64_t
sys_rt_sigpending(struct call *c)
{
	uint64_t set = signal_pending_set() & signals()->mask;

	if (c->a[1] > LX_SIGSET_BYTES)
		return -EINVAL;
	return copy_out(c->a[0], &set, c->a[1]) ? -EFAULT : 0;
}

static int64_t
wait_for_signal(void)
{
	for (;;) {
		uint32_t seen = core_events();
		int64_t err = process_block(seen, AEGIS_NEVER);

		if (err < 0)
			return err == -ERESTARTSYS ? -EINTR : err;
	}
}

int64_t
sys_rt_sigsuspend(struct call *c)
{
	uint64_t set;

	if (c->a[1] != LX_SIGSET_BYTES)
		return -EINVAL;
	if (copy_in(&set, c->a[0], sizeof(set)))
		return -EFAULT;
	signal_mask_for_call(set);
	return wait_for_signal();
}

int64_t
sys_pause(struct call *c)
{
	(void)c;
	return wait_for_signal();
}

int64_t
sys_rt_sigtimedwait(struct call *c)
{
	uint64_t set, ns, deadline = AEGIS_NEVER;
	struct lx_siginfo info;
	int sig;

	if (c->a[3] != LX_SIGSET_BYTES)
		return -EINVAL;
	if (copy_in(&set, c->a[0], sizeof(set)))
		return -EFAULT;
	if (c->a[2]) {
		int err = timespec_in(c->a[2], &ns);

		if (err)
			return err;
		deadline = core_now_ns() + ns;
	}
	for (;;) {
		uint32_t seen = core_events();

		timer_check();
		sig = signal_take(set & ~UNBLOCKABLE, &info);
		if (sig)
			break;
		if (signal_pending())
			return -EINTR;
		if (core_now_ns() >= deadline)
			return -EAGAIN;
		core_block(seen, timer_next() < deadline ? timer_next() : deadline);
	}
	return c->a[1] && copy_out(c->a[1], &info, sizeof(info)) ? -EFAULT : sig;
}

int64_t
sys_sigaltstack(struct call *c)
{
	struct lx_sigaltstack *own = &signals()->altstack;
	struct lx_sigaltstack old = *own, new;
	uint64_t rsp = call_frame(c)->rsp;
	bool on = own->ss_size && rsp > own->ss_sp && rsp - own->ss_sp <= own->ss_size;

	old.ss_flags = on ? LX_SS_ONSTACK : own->ss_size ? 0 : LX_SS_DISABLE;
	if (c->a[0]) {
		if (copy_in(&new, c->a[0], sizeof(new)))
			return -EFAULT;
		if (on)
			return -EPERM;
		if (new.ss_flags & ~(int32_t)(LX_SS_DISABLE | LX_SS_AUTODISARM))
			return -EINVAL;
		if (new.ss_flags & LX_SS_DISABLE)
			new = (struct lx_sigaltstack){0};
		else if (new.ss_size < LX_MINSIGSTKSZ)
			return -ENOMEM;
		*own = new;
	}
	return c->a[1] && copy_out(c->a[1], &old, sizeof(old)) ? -EFAULT : 0;
}

static int64_t
kill_call(int64_t pid, int64_t sig, int32_t code, uint64_t value)
{
	struct svc call = {
		.op = SVC_KILL,
		.a = (uint64_t)pid,
		.b = (uint64_t)sig,
		.c = (uint64_t)code,
		.d = value,
	};

	if (sig < 0 || sig > LX_NSIG)
		return -EINVAL;
	return svc_call(&call);
}

int64_t
sys_kill(struct call *c)
{
	return kill_call((int32_t)c->a[0], (int32_t)c->a[1], LX_SI_USER, 0);
}

static int64_t
thread_kill(int32_t tid, int64_t sig)
{
	return tid <= 0 ? -EINVAL : kill_call(tid, sig, LX_SI_TKILL, 0);
}

int64_t
sys_tkill(struct call *c)
{
	return thread_kill((int32_t)c->a[0], (int32_t)c->a[1]);
}

int64_t
sys_tgkill(struct call *c)
{
	if ((int32_t)c->a[0] <= 0 || (int32_t)c->a[1] <= 0)
		return -EINVAL;
	return c->a[0] == c->a[1] ? thread_kill((int32_t)c->a[1], (int32_t)c->a[2]) : -ESRCH;
}

/* Nobody is made to believe that the kernel, or a thread of its own, sent it. */
static int64_t
queue_call(int32_t pid, int64_t sig, uint64_t from)
{
	struct lx_siginfo info;

	if (copy_in(&info, from, sizeof(info)))
		return -EFAULT;
	if ((info.si_code >= 0 || info.si_code == LX_SI_TKILL) && pid != (int32_t)MAIL->pid)
		return -EPERM;
	return kill_call(pid, sig, info.si_code, info.rt.value.sival_ptr);
}

int64_t
sys_rt_sigqueueinfo(struct call *c)
{
	return queue_call((int32_t)c->a[0], (int32_t)c->a[1], c->a[2]);
}

int64_t
sys_rt_tgsigqueueinfo(struct call *c)
{
	return c->a[0] == c->a[1] ? queue_call((int32_t)c->a[1], (int32_t)c->a[2], c->a[3])
				  : -ESRCH;
}

int64_t
sys_restart_syscall(struct call *c)
{
	(void)c;
	return -EINTR;
}
