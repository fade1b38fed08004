/* SPDX-License-Identifier: MIT */
/*
 * The domain's terminal: the line discipline of exos/tty between the host's rings and the
 * processes.
 *
 * term_pump moves what can move, in both directions, and is called whenever either side did
 * something. Nothing waits here: a process that cannot go on is noted and woken when anything
 * changed, and asks again.  Signals that the terminal makes due are raised at once.
 *
 * A process says itself, in bits of a call's word d, whether it ignores or blocks SIGTTIN (1) and
 * SIGTTOU (2): that decides only what becomes of its own call.
 */
#include "exos/linux/abi_tty.h"
#include "exos/service/priv.h"

#define CHUNK 256u

bool
term_of(const struct service *sv, const struct proc *p)
{
	return sv->tty && sv->tty->session && sv->tty->session == p->sid;
}

static struct ring
ring_of(const struct pipe *pipe)
{
	return (struct ring){pipe->shared, pipe->data, pipe->pages * PAGE};
}

int
term_init(struct service *sv)
{
	const struct host_page *host = sv->host;
	struct lx_termios2 termios;
	char text[16], key[4][24] = {"terminal.rows", "terminal.cols"};
	uint32_t figure[2] = {0, 0};

	for (uint32_t i = 0; i < 4; i++) {
		if (host->stream[i].kind != HOST_TTY || !host->stream[i].pages)
			continue;
		if (!i)
			sv->tty_in = pipe_adopt(sv, 0, true);
		else if (!sv->tty_out || i == 3)
			sv->tty_out = pipe_adopt(sv, i, true);
	}
	if (!sv->tty_in && !sv->tty_out)
		return 0;
	sv->tty = heap_zalloc(sizeof(*sv->tty));
	if (!sv->tty)
		return -ENOMEM;
	for (uint32_t i = 0; i < 2; i++) {
		manifest_value(sv, key[i], text, sizeof(text));
		for (const char *c = text; *c >= '0' && *c <= '9'; c++)
			figure[i] = (figure[i] * 10 + (uint32_t)(*c - '0')) & 0xffff;
	}
	tty_init(sv->tty, (uint16_t)figure[0], (uint16_t)figure[1]);
	if (manifest_value(sv, "terminal.output", text, sizeof(text)) && !strcmp(text, "host")) {
		termios = sv->tty->termios;
		termios.c_oflag &= ~(uint32_t)LX_OPOST;
		tty_termios_set(sv->tty, &termios);
	}
	/* The first process leads the session that the terminal controls. */
	sv->tty->session = 1;
	sv->tty->foreground = 1;
	return 0;
}

/* ---- signals ---- */

static void
set_raise(struct service *sv, int32_t pgid, uint64_t set)
{
	for (; set; set &= set - 1) {
		struct mail_signal sig = {.signal = __builtin_ctzll(set) + 1, .code = LX_SI_KERNEL};

		signal_group(sv, pgid, &sig);
	}
}

static void
signals_raise(struct service *sv, struct proc *caller, const struct tty_signals *due)
{
	struct proc *leader;

	if (due->pgrp)
		set_raise(sv, due->pgrp, due->to_pgrp);
	leader = due->leader ? proc_find(sv, due->session) : NULL;
	for (uint64_t set = leader ? due->leader : 0; set; set &= set - 1) {
		struct mail_signal sig = {.signal = __builtin_ctzll(set) + 1, .code = LX_SI_KERNEL};

		signal_raise(sv, leader, &sig);
	}
	if (caller)
		set_raise(sv, caller->pgid, due->caller);
}

static void
waiters_wake(struct service *sv)
{
	for (struct proc *p = sv->all; p; p = p->next) {
		if (!p->tty_waits || proc_over(p))
			continue;
		p->tty_waits = false;
		core_wake(p->env);
	}
}

/* ---- the host's side ---- */

static bool
pump_in(struct service *sv, struct tty_signals *due)
{
	struct ring ring = ring_of(sv->tty_in);
	bool moved = false;
	uint32_t wants;

	for (;;) {
		uint8_t bytes[CHUNK], *at;
		uint32_t n = ring_peek(&ring, &at);
		size_t taken;

		if (n > CHUNK)
			n = CHUNK;
		if (!n)
			break;
		memcpy(bytes, at, n);
		taken = tty_input(sv->tty, bytes, n, due);
		ring_consume(&ring, (uint32_t)taken);
		moved |= taken != 0;
		if (taken < n)
			break;
	}
	wants = __atomic_load_n(&ring.shared->host_waits_room, __ATOMIC_ACQUIRE);
	if (moved && wants && ring_room(&ring) >= wants)
		host_kick(sv);
	if (!__atomic_load_n(&ring.shared->write_open, __ATOMIC_ACQUIRE) && !ring_used(&ring) &&
	    !sv->tty->hung_up) {
		tty_hangup(sv->tty, due);
		moved = true;
	}
	return moved;
}

static bool
pump_out(struct service *sv)
{
	struct ring ring = ring_of(sv->tty_out);
	bool moved = false;

	while (tty_output_ready(sv->tty)) {
		uint8_t lost[CHUNK], *at = lost;
		uint32_t n = CHUNK;
		bool open = __atomic_load_n(&ring.shared->read_open, __ATOMIC_ACQUIRE);

		if (open)
			n = ring_space(&ring, &at);
		n = (uint32_t)tty_output_take(sv->tty, at, n);
		if (!n)
			break;
		if (open)
			ring_produce(&ring, n);
		moved = true;
	}
	/* The bytes are there before the word is looked at, as the supervisor does it in turn. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (moved && __atomic_load_n(&ring.shared->host_waits_data, __ATOMIC_ACQUIRE))
		host_kick(sv);
	return moved;
}

void
term_pump(struct service *sv)
{
	struct tty_signals due = {0};
	bool moved = false;

	if (!sv->tty)
		return;
	if (sv->tty_in)
		moved = pump_in(sv, &due);
	if (sv->tty_out)
		moved |= pump_out(sv);
	signals_raise(sv, NULL, &due);
	if (moved)
		waiters_wake(sv);
	domain_finish(sv);
}

void
term_resize(struct service *sv, const struct svc *s)
{
	struct lx_winsize size = {
		.ws_row = (uint16_t)s->a,
		.ws_col = (uint16_t)s->b,
		.ws_xpixel = (uint16_t)s->c,
		.ws_ypixel = (uint16_t)s->d,
	};
	struct tty_signals due = {0};

	if (!sv->tty)
		return;
	tty_resize(sv->tty, &size, &due);
	signals_raise(sv, NULL, &due);
}

void
term_leader_gone(struct service *sv, struct proc *p)
{
	struct tty_signals due = {0};

	if (!term_of(sv, p))
		return;
	tty_job_leader_exit(sv->tty, &due);
	signals_raise(sv, NULL, &due);
}

/* ---- the processes' side ---- */

static struct tty_caller
caller_of(struct service *sv, const struct proc *p, uint64_t ignores)
{
	struct tty_caller who = {
		.pgrp = p->pgid,
		.session = p->sid,
		.is_leader = p->pid == p->sid,
		.controls = term_of(sv, p),
		.has_terminal = term_of(sv, p),
		.ttin_ignored = ignores & 1,
		.ttou_ignored = ignores & 2,
		.privileged = !p->cred.uid,
	};

	if (p->pgid != sv->tty->foreground)
		who.orphaned = group_orphaned(sv, p->pgid, NULL);
	return who;
}

void
term_opened(struct service *sv, struct proc *p, uint32_t flags)
{
	struct tty_caller who = caller_of(sv, p, 0);

	tty_job_open(sv->tty, &who, (flags & LX_O_ACCMODE) != LX_O_WRONLY, flags & LX_O_NOCTTY);
}

static int64_t
term_read(struct service *sv, struct proc *p, struct svc *s, const struct tty_caller *who)
{
	size_t n = s->b > MSG_BYTES ? MSG_BYTES : (size_t)s->b;
	struct tty_signals due = {0};
	struct tty_read step = p->tty_read;
	int64_t got = tty_job_read(sv->tty, who, &due);

	signals_raise(sv, p, &due);
	if (got)
		return got;
	step.now = core_now_ns();
	step.nonblock = s->c & 1;
	got = tty_read(sv->tty, (uint8_t *)sv->bounce, n, &step);
	if (got == TTY_WAIT && !step.done) {
		p->tty_read = step;
		p->tty_waits = true;
		s->a = step.deadline;
		return -EAGAIN;
	}
	/* What is there is handed out, even when VMIN would have it wait for more. */
	if (got == TTY_WAIT)
		got = (int64_t)step.done;
	p->tty_read = (struct tty_read){0};
	if (got > 0)
		memcpy(p->msg, sv->bounce, (size_t)got);
	term_pump(sv);
	return got;
}

static int64_t
term_write(struct service *sv, struct proc *p, struct svc *s, const struct tty_caller *who)
{
	size_t n = s->b > MSG_BYTES ? MSG_BYTES : (size_t)s->b, done = 0;
	struct tty_signals due = {0};
	int64_t got = tty_job_write(sv->tty, who, &due);

	signals_raise(sv, p, &due);
	if (got)
		return got;
	memcpy(sv->bounce, p->msg, n);
	while (done < n) {
		got = tty_write(sv->tty, (uint8_t *)sv->bounce + done, n - done);
		if (got <= 0)
			break;
		done += (size_t)got;
		term_pump(sv);
	}
	if (done || !n)
		return (int64_t)done;
	if (got)
		return got;
	p->tty_waits = true;
	return -EAGAIN;
}

static int64_t
term_ioctl(struct service *sv, struct proc *p, struct svc *s, const struct tty_caller *who,
	   bool readable)
{
	uint32_t request = (uint32_t)s->b;
	size_t size = tty_ioctl_size(request);
	struct tty_ioctl call = {.who = who, .value = s->c, .readable = readable};
	struct tty_signals due = {0};
	int32_t pgrp;
	int64_t got;

	if (size > 256)
		return -EINVAL;
	memset(sv->bounce, 0, 256);
	if (tty_ioctl_reads(request))
		memcpy(sv->bounce, p->msg, size);
	if (request == LX_TIOCSPGRP) {
		memcpy(&pgrp, sv->bounce, sizeof(pgrp));
		group_exists(sv, pgrp, &call.group_session);
	}
	got = tty_ioctl(sv->tty, request, &call, sv->bounce, &due);
	signals_raise(sv, p, &due);
	term_pump(sv);
	if (got == TTY_WAIT) {
		p->tty_waits = true;
		return -EAGAIN;
	}
	if (!got && tty_ioctl_writes(request))
		memcpy(p->msg, sv->bounce, size);
	/* Modes decide what is readable. */
	waiters_wake(sv);
	return got;
}

int64_t
op_tty(struct service *sv, struct proc *p, struct svc *s)
{
	const struct object *o = object_find(sv, p, s->a);
	struct tty_caller who;
	bool readable, writable;

	if (!o)
		return -EBADF;
	if (o->type != SVC_T_TTY)
		return -ENOTTY;
	readable = (o->flags & LX_O_ACCMODE) != LX_O_WRONLY;
	writable = (o->flags & LX_O_ACCMODE) != LX_O_RDONLY;
	who = caller_of(sv, p, s->d);
	switch (s->op) {
	case SVC_TTY_READ:
		return readable ? term_read(sv, p, s, &who) : -EBADF;
	case SVC_TTY_WRITE:
		return writable ? term_write(sv, p, s, &who) : -EBADF;
	case SVC_TTY_IOCTL:
		return term_ioctl(sv, p, s, &who, readable);
	default:
		p->tty_waits = true;
		return tty_poll(sv->tty);
	}
}
