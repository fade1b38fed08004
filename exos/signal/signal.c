/* SPDX-License-Identifier: MIT */
/*
 * Signals: from what was raised to the program's handlers.
 *
 * Owns: struct signals of the process.
 *
 * Signals from others are counted by the service in the mail page, which the process only reads; it
 * remembers how far it has taken each count.  Signals that the process raises for itself (faults,
 * its timers, a broken pipe) are bits of `local`.
 *
 * 1. A signal is pending when its count differs from the one taken, its local bit is set, or one of its number is in
 *    the queue, into which come those that the service queued in the mail.
 * 2. Delivery happens only when the library is about to return to the program, never in its middle:
 *    asynchronous upcalls are deferred there, and waits end with -ERESTARTSYS.
 * 3. After the frame for a handler is on the program's stack nothing of it is kept here: sigreturn
 * takes everything back from there, as untrusted input.
 *
 * Stops and default actions are the process's own: it tells the service, which tells the parent.  That it goes on
 * the service knows when SIGCONT is raised; SIGCONT and what stops take each other back when both are pending.
 */
#include "exos/core/priv.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define BIT(sig)    (1ul << ((sig)-1))
#define UNBLOCKABLE (BIT(LX_SIGKILL) | BIT(LX_SIGSTOP))
#define STOPS       (BIT(LX_SIGSTOP) | BIT(LX_SIGTSTP) | BIT(LX_SIGTTIN) | BIT(LX_SIGTTOU))
#define IGNORED     (BIT(LX_SIGCHLD) | BIT(LX_SIGURG) | BIT(LX_SIGWINCH) | BIT(LX_SIGCONT))
#define CORES                                                                                    \
	(BIT(LX_SIGQUIT) | BIT(LX_SIGILL) | BIT(LX_SIGTRAP) | BIT(LX_SIGABRT) | BIT(LX_SIGBUS) | \
	 BIT(LX_SIGFPE) | BIT(LX_SIGSEGV) | BIT(LX_SIGXCPU) | BIT(LX_SIGXFSZ) | BIT(LX_SIGSYS))

static struct signals *
signals(void)
{
	return &process()->sig;
}

#define RAISED offsetof(struct mail, raised)
_Static_assert(MAIL_SIGNALS % 8 == 1, "counts of signals from 1 on are whole words");

/*
 * SIGCONT and the signals that stop take each other back: which of a set that has both are gone.  Counts are
 * looked at first: what was raised later than that is not among them.
 */
static uint64_t
taken_back(void)
{
	struct signals *s = signals();
	uint8_t counts[MAIL_SIGNALS];
	uint64_t gone, left;

	for (left = STOPS | BIT(LX_SIGCONT); left; left &= left - 1) {
		int sig = 1 + __builtin_ctzl(left);

		counts[sig] = __atomic_load_n(&MAIL->raised[sig], __ATOMIC_ACQUIRE);
	}
	gone = __atomic_load_n(&MAIL->stop_last, __ATOMIC_ACQUIRE) ? BIT(LX_SIGCONT) : STOPS;
	for (left = gone; left; left &= left - 1) {
		int sig = 1 + __builtin_ctzl(left);

		s->taken[sig] = counts[sig];
	}
	s->local &= ~gone;
	return gone;
}

/* Takes what the service has queued, as far as there is room. */
static void
queue_take(struct signals *s)
{
	uint32_t there = __atomic_load_n(&MAIL->queue_count, __ATOMIC_ACQUIRE);

	control()->attention = 1;
	while (s->queue_taken != there && s->queue_count < MAIL_QUEUE) {
		const volatile struct mail_signal *from =
			&MAIL->queue[s->queue_taken++ % MAIL_QUEUE];

		s->queue[s->queue_count++] = *from;
		s->queued |= BIT(from->signal);
	}
	__atomic_store_n(&SVC_TAIL(EXOS_MSG)->queue_taken, s->queue_taken, __ATOMIC_RELEASE);
}

/* The first of a number leaves the queue. */
static struct mail_signal
queue_next(struct signals *s, int sig)
{
	struct mail_signal first = {0};
	uint32_t kept = 0;

	s->queued &= ~BIT(sig);
	for (uint32_t i = 0; i < s->queue_count; i++) {
		if (!first.signal && s->queue[i].signal == sig) {
			first = s->queue[i];
			continue;
		}
		if (s->queue[i].signal == sig)
			s->queued |= BIT(sig);
		s->queue[kept++] = s->queue[i];
	}
	s->queue_count = kept;
	return first;
}

uint64_t
signal_pending_set(void)
{
	struct signals *s = signals();
	uint64_t set = s->local | s->queued;

	if (MAIL->raised_count == s->seen_count)
		return set;
	if (s->queue_taken != MAIL->queue_count)
		queue_take(s);
	set |= s->queued;
	for (int first = 1; first < MAIL_SIGNALS; first += 8) {
		uint64_t raised, taken;

		__builtin_memcpy(&raised, (const uint8_t *)EXOS_MAIL + RAISED + first, 8);
		__builtin_memcpy(&taken, s->taken + first, 8);
		for (uint64_t differ = raised ^ taken; differ; differ &= differ - 1)
			set |= BIT(first + __builtin_ctzl(differ) / 8);
	}
	if ((set & STOPS) && (set & BIT(LX_SIGCONT)))
		set &= ~taken_back();
	return set;
}

static bool
acted_on(const struct signals *s, int sig)
{
	if (s->action[sig].handler == LX_SIG_IGN)
		return false;
	return s->action[sig].handler != LX_SIG_DFL || !(IGNORED & BIT(sig));
}

/* What was ignored when it came is not for a handler that comes later, nor is anything kept that is ignored now. */
void
signal_action(int sig, const struct lx_sigaction *act)
{
	struct signals *s = signals();
	struct lx_siginfo info;
	bool ignored = !acted_on(s, sig) && !(s->mask & BIT(sig));

	s->action[sig] = *act;
	while ((ignored || !acted_on(s, sig)) && signal_take(BIT(sig), &info))
		;
}

bool
signal_pending(void)
{
	struct signals *s = signals();
	uint64_t set;

	timer_check();
	set = signal_pending_set() & ~s->mask;
	for (; set; set &= set - 1) {
		int sig = 1 + __builtin_ctzl(set);

		if (acted_on(s, sig) || (UNBLOCKABLE & BIT(sig)))
			return true;
	}
	return false;
}

void
attention_update(void)
{
	struct signals *s = signals();

	control()->attention = s->local || s->queued || s->suspended || process()->timer.alarm_ns;
}

int
signal_raise_self(int sig)
{
	control()->attention = 1;
	signals()->local |= BIT(sig);
	if (sig < 32)
		process()->local_info[sig] = (struct local_signal){LX_SI_KERNEL, 0};
	return 0;
}

void
signal_fault(int sig, int code, uint64_t addr)
{
	struct signals *s = signals();

	/* A fault whose signal is blocked or ignored cannot be left alone: it ends the program. */
	if ((s->mask & BIT(sig)) || s->action[sig].handler == LX_SIG_IGN) {
		s->action[sig].handler = LX_SIG_DFL;
		s->mask &= ~BIT(sig);
	}
	control()->attention = 1;
	s->local |= BIT(sig);
	process()->local_info[sig] = (struct local_signal){code, addr};
}

void
signal_mask_for_call(uint64_t mask)
{
	struct signals *s = signals();

	control()->attention = 1;
	if (!s->suspended)
		s->suspended_mask = s->mask;
	s->suspended = true;
	s->mask = mask & ~UNBLOCKABLE;
}

int
signal_take(uint64_t set, struct lx_siginfo *info)
{
	struct signals *s = signals();
	uint64_t faults = CORES | BIT(LX_SIGKILL);
	struct mail_signal from;
	int sig;

	set &= signal_pending_set();
	if (!set)
		return 0;
	sig = 1 + __builtin_ctzl(set & faults ? set & faults : set);
	if (s->local & BIT(sig)) {
		s->local &= ~BIT(sig);
		*info = (struct lx_siginfo){.si_signo = sig};
		if (sig < 32) {
			info->si_code = process()->local_info[sig].code;
			info->fault.addr = process()->local_info[sig].addr;
		}
		return sig;
	}
	if (s->queued & BIT(sig)) {
		from = queue_next(s, sig);
	} else {
		s->taken[sig] = MAIL->raised[sig];
		from.code = MAIL->info[sig].code;
		from.pid = MAIL->info[sig].pid;
		from.uid = MAIL->info[sig].uid;
		from.value = MAIL->info[sig].value;
	}
	*info = (struct lx_siginfo){.si_signo = sig, .si_code = from.code};
	info->rt.pid = from.pid;
	info->rt.uid = from.uid;
	info->rt.value.sival_ptr = from.value;
	return sig;
}

/* Brings seen_count up to date when nothing of the mail is left to take. */
static void
seen_update(void)
{
	struct signals *s = signals();
	uint32_t count = MAIL->raised_count;

	for (int sig = 1; sig < MAIL_SIGNALS; sig++) {
		if (MAIL->raised[sig] != s->taken[sig])
			return;
	}
	if (MAIL->queue_count != s->queue_taken)
		return;
	s->seen_count = count;
}

/* The signals that stop the program as things are. */
static uint64_t
stops_now(void)
{
	const struct signals *s = signals();
	uint64_t set = BIT(LX_SIGSTOP);

	for (uint64_t left = STOPS & ~s->mask & ~set; left; left &= left - 1) {
		if (s->action[1 + __builtin_ctzl(left)].handler == LX_SIG_DFL)
			set |= left & -left;
	}
	return set;
}

/* Stands still until something says to go on; what stops it meanwhile may have come after a SIGCONT. */
static void
stop(int sig)
{
	while (sig) {
		struct svc call = {.op = SVC_STOPPED, .a = (uint64_t)sig};
		struct lx_siginfo info;
		uint32_t seen = core_events();
		uint64_t set;

		if (svc_call(&call))
			return;
		while (!((set = signal_pending_set()) &
			 (stops_now() | BIT(LX_SIGCONT) | BIT(LX_SIGKILL)))) {
			core_block(seen, AEGIS_NEVER);
			seen = core_events();
		}
		sig = set & BIT(LX_SIGKILL) ? 0 : signal_take(stops_now(), &info);
	}
}

/* What happens without a handler. */
static void
default_action(int sig)
{
	if (IGNORED & BIT(sig))
		return;
	if (STOPS & BIT(sig)) {
		stop(sig);
		return;
	}
	process_exit((uint32_t)sig);
}

static void
context_fill(struct lx_sigcontext *m, const struct aegis_frame *f, const uint64_t callee[6])
{
	*m = (struct lx_sigcontext){
		.r8 = f->r8,
		.r9 = f->r9,
		.r10 = f->r10,
		.r11 = f->r11,
		.rbx = callee[5],
		.rbp = callee[4],
		.r12 = callee[3],
		.r13 = callee[2],
		.r14 = callee[1],
		.r15 = callee[0],
		.rdi = f->rdi,
		.rsi = f->rsi,
		.rdx = f->rdx,
		.rax = f->rax,
		.rcx = f->rcx,
		.rsp = f->rsp,
		.rip = f->rip,
		.eflags = f->rflags,
		.cs = 0x33,
		.ss = 0x2b,
		.oldmask = signals()->suspended ? signals()->suspended_mask : signals()->mask,
	};
}

/* Vector state of the program goes to the handler's frame at `at`, 64-aligned. */
static int
vector_save(uint64_t at)
{
	uint8_t buffer[4096 + 64] __attribute__((aligned(64)));
	uint32_t size = control()->xsave_size;
	uint64_t mask = control()->xsave_mask;
	struct lx_fpstate *fx = (struct lx_fpstate *)buffer;

	if (size > 4096)
		return -EFAULT;
	memset(buffer, 0, size + 4);
	__asm__ volatile("xsave64 %0"
			 : "+m"(*(uint8_t(*)[4096])buffer)
			 : "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
	fx->sw_reserved = (struct lx_fpx_sw_bytes){
		.magic1 = LX_FP_XSTATE_MAGIC1,
		.extended_size = size + 4,
		.xfeatures = mask,
		.xstate_size = size,
	};
	*(uint32_t *)(void *)(buffer + size) = LX_FP_XSTATE_MAGIC2;
	return copy_out(at, buffer, size + 4);
}

static int
vector_load(uint64_t at)
{
	uint8_t buffer[4096 + 64] __attribute__((aligned(64)));
	uint32_t size = control()->xsave_size;
	uint64_t mask = control()->xsave_mask;
	struct lx_xstate_header *h = (struct lx_xstate_header *)(void *)(buffer + 512);
	struct lx_fpstate *fx = (struct lx_fpstate *)buffer;

	if (size > 4096 || copy_in(buffer, at, size))
		return -EFAULT;
	/* What would make xrstor fault is cleared. */
	h->xfeatures &= mask;
	h->xcomp_bv = 0;
	memset(h->reserved, 0, sizeof(h->reserved));
	fx->mxcsr &= 0xffff;
	if (fx->sw_reserved.magic1 != LX_FP_XSTATE_MAGIC1)
		h->xfeatures = 3;
	__asm__ volatile("xrstor64 %0" ::"m"(*(uint8_t(*)[4096])buffer), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32))
			 : "memory");
	return 0;
}

static bool
on_altstack(uint64_t rsp)
{
	const struct lx_sigaltstack *a = &signals()->altstack;

	return a->ss_size && rsp > a->ss_sp && rsp - a->ss_sp <= a->ss_size;
}

/* Builds the handler's frame on the program's stack; f then enters the handler. */
static int
handler_enter(int sig, const struct lx_siginfo *info, struct aegis_frame *f, uint64_t callee[6])
{
	struct signals *s = signals();
	struct lx_sigaction act = s->action[sig];
	struct lx_rt_sigframe frame = {.pretcode = act.restorer, .info = *info};
	uint64_t sp = f->rsp - 128, fp, at;

	site_present(f);
	if ((act.flags & LX_SA_ONSTACK) && s->altstack.ss_size && !on_altstack(f->rsp))
		sp = s->altstack.ss_sp + s->altstack.ss_size;
	fp = (sp - control()->xsave_size - 4) & ~63ul;
	at = ((fp - sizeof(frame)) & ~15ul) - 8;
	context_fill(&frame.uc.uc_mcontext, f, callee);
	frame.uc.uc_flags = LX_UC_FP_XSTATE | LX_UC_SIGCONTEXT_SS | LX_UC_STRICT_RESTORE_SS;
	frame.uc.uc_stack = s->altstack;
	frame.uc.uc_mcontext.fpstate = fp;
	frame.uc.uc_mcontext.cr2 = info->si_signo == LX_SIGSEGV ? info->fault.addr : 0;
	frame.uc.uc_sigmask = s->suspended ? s->suspended_mask : s->mask;
	if (!(act.flags & LX_SA_RESTORER) || vector_save(fp) || copy_out(at, &frame, sizeof(frame)))
		return -EFAULT;
	s->suspended = false;
	s->mask |= act.mask;
	if (!(act.flags & LX_SA_NODEFER))
		s->mask |= BIT(sig);
	s->mask &= ~UNBLOCKABLE;
	if (act.flags & LX_SA_RESETHAND)
		s->action[sig].handler = LX_SIG_DFL;
	f->rip = act.handler;
	f->rsp = at;
	f->rdi = (uint64_t)sig;
	f->rsi = at + offsetof(struct lx_rt_sigframe, info);
	f->rdx = at + offsetof(struct lx_rt_sigframe, uc);
	f->rax = 0;
	f->rflags &= ~0x10400ul; /* DF, RF */
	return 0;
}

/* A call that a signal interrupted is made again, or fails with EINTR. */
static void
call_restart(struct aegis_frame *f, int64_t result, uint64_t number, bool handler, bool restart)
{
	if (result != -ERESTARTSYS)
		return;
	if (!handler || restart) {
		f->rax = number;
		f->rip -= 2;
	} else {
		f->rax = (uint64_t)(int64_t)-EINTR;
	}
}

void
signal_deliver(struct aegis_frame *f, uint64_t callee[6], int64_t result, uint64_t number)
{
	struct signals *s = signals();
	struct lx_siginfo info;
	int sig;

	while ((sig = signal_take(~s->mask | UNBLOCKABLE, &info))) {
		struct lx_sigaction *act = &s->action[sig];

		if (act->handler == LX_SIG_IGN && !(UNBLOCKABLE & BIT(sig)))
			continue;
		if (act->handler == LX_SIG_DFL || (UNBLOCKABLE & BIT(sig))) {
			default_action(sig);
			continue;
		}
		call_restart(f, result, number, true, act->flags & LX_SA_RESTART);
		result = 0;
		if (handler_enter(sig, &info, f, callee))
			process_exit(LX_SIGSEGV);
	}
	seen_update();
	call_restart(f, result, number, false, true);
	if (s->suspended) {
		s->suspended = false;
		s->mask = s->suspended_mask;
	}
}

/* Context of an interrupted program, back from a handler's frame at f->rsp - 8. */
int
signal_return(struct aegis_frame *f, uint64_t callee[6])
{
	struct lx_ucontext uc;
	const struct lx_sigcontext *m = &uc.uc_mcontext;

	if (copy_in(&uc, f->rsp, sizeof(uc)))
		return -EFAULT;
	if (m->fpstate && vector_load(m->fpstate))
		return -EFAULT;
	callee[5] = m->rbx;
	callee[4] = m->rbp;
	callee[3] = m->r12;
	callee[2] = m->r13;
	callee[1] = m->r14;
	callee[0] = m->r15;
	f->r8 = m->r8;
	f->r9 = m->r9;
	f->r10 = m->r10;
	f->r11 = m->r11;
	f->rdi = m->rdi;
	f->rsi = m->rsi;
	f->rdx = m->rdx;
	f->rax = m->rax;
	f->rcx = m->rcx;
	f->rsp = m->rsp;
	f->rip = m->rip;
	f->rflags = (m->eflags & 0x40dd5ul) | 0x202;
	signals()->mask = uc.uc_sigmask & ~UNBLOCKABLE;
	return 0;
}

void
signal_exec(void)
{
	struct signals *s = signals();

	for (int sig = 1; sig < MAIL_SIGNALS; sig++) {
		if (s->action[sig].handler != LX_SIG_IGN)
			s->action[sig] = (struct lx_sigaction){0};
	}
	s->altstack = (struct lx_sigaltstack){0};
	signal_tell();
}

void
signal_tell(void)
{
	const struct lx_sigaction *act = &signals()->action[LX_SIGCHLD];
	uint32_t wants = act->flags & LX_SA_NOCLDSTOP ? SVC_CHILD_NO_STOPS : 0;

	if (act->handler == LX_SIG_IGN || (act->flags & LX_SA_NOCLDWAIT))
		wants |= SVC_CHILD_NO_WAIT;
	SVC_TAIL(EXOS_MSG)->children = wants;
	SVC_TAIL(EXOS_MSG)->queue_taken = signals()->queue_taken;
}

void
signal_fork_child(void)
{
	struct signals *s = signals();

	s->local = 0;
	for (int sig = 1; sig < MAIL_SIGNALS; sig++)
		s->taken[sig] = 0;
	s->seen_count = 0;
	s->queue_taken = s->queue_count = 0;
	s->queued = 0;
	signal_tell();
}

/* ---- the alarm ---- */

void
timer_check(void)
{
	struct timer_state *t = &process()->timer;
	uint64_t now;

	if (!t->alarm_ns)
		return;
	now = core_now_ns();
	if (now < t->alarm_ns)
		return;
	signals()->local |= BIT(LX_SIGALRM);
	process()->local_info[LX_SIGALRM] = (struct local_signal){LX_SI_KERNEL, 0};
	if (t->interval_ns)
		t->alarm_ns += ((now - t->alarm_ns) / t->interval_ns + 1) * t->interval_ns;
	else
		t->alarm_ns = 0;
	timer_arm();
}

void
timer_arm(void)
{
	struct svc call = {.op = SVC_ALARM, .a = process()->timer.alarm_ns};

	control()->attention = 1;
	svc_call(&call);
}

uint64_t
timer_next(void)
{
	return process()->timer.alarm_ns ? process()->timer.alarm_ns : AEGIS_NEVER;
}

int
process_block(uint32_t seen, uint64_t deadline_ns)
{
	uint64_t alarm = timer_next();
	int err;

	if (signal_pending())
		return -ERESTARTSYS;
	err = core_block(seen, alarm < deadline_ns ? alarm : deadline_ns);
	if (signal_pending())
		return -ERESTARTSYS;
	return err && core_now_ns() < deadline_ns ? 0 : err;
}
