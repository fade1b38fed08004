/* SPDX-License-Identifier: MIT */
/*
 * A terminal's session and foreground group: who may use it, and whom its signals reach.
 *
 * Owns session and foreground of struct tty. The service says what it knows of the caller; the
 * answers are decisions, carried out by the service. Context: as tty.h says.
 *
 * 1. A terminal controls at most one session; a group is in the foreground only within it.
 *
 * Exposes decisions. A hangup, or the exit of the session's leader, ends the session's hold.
 */
#include "exos/tty/priv.h"

void
tty_signal_foreground(const struct tty *tty, unsigned signal, struct tty_signals *signals)
{
	if (tty->foreground == 0)
		return;
	signals->pgrp = tty->foreground;
	signals->to_pgrp |= LX_SIGBIT(signal);
}

/* What a background process that touches its controlling terminal gets. */
static int
job_check(const struct tty *tty, const struct tty_caller *who, unsigned signal,
	  struct tty_signals *signals)
{
	bool ignored = signal == LX_SIGTTIN ? who->ttin_ignored : who->ttou_ignored;

	if (!who->controls || tty->foreground == 0 || who->pgrp == tty->foreground)
		return 0;
	if (ignored)
		return signal == LX_SIGTTIN ? -EIO : 0;
	if (who->orphaned)
		return -EIO;
	signals->caller |= LX_SIGBIT(signal);
	return -LX_ERESTARTSYS;
}

int
tty_job_read(const struct tty *tty, const struct tty_caller *who, struct tty_signals *signals)
{
	return job_check(tty, who, LX_SIGTTIN, signals);
}

int
tty_job_write(const struct tty *tty, const struct tty_caller *who, struct tty_signals *signals)
{
	if (!tty_lflag(tty, LX_TOSTOP))
		return 0;
	return job_check(tty, who, LX_SIGTTOU, signals);
}

int
tty_job_change(const struct tty *tty, const struct tty_caller *who, struct tty_signals *signals)
{
	return job_check(tty, who, LX_SIGTTOU, signals);
}

static void
job_take(struct tty *tty, const struct tty_caller *who)
{
	tty->session = who->session;
	tty->foreground = who->pgrp;
}

bool
tty_job_open(struct tty *tty, const struct tty_caller *who, bool readable, bool noctty)
{
	if (noctty || !readable || tty->hung_up)
		return false;
	if (!who->is_leader || who->has_terminal || tty->session != 0)
		return false;
	job_take(tty, who);
	return true;
}

int
tty_job_acquire(struct tty *tty, const struct tty_caller *who, bool readable, bool steal,
		struct tty_signals *signals)
{
	if (who->is_leader && who->session == tty->session)
		return 0;
	if (!who->is_leader || who->has_terminal)
		return -EPERM;
	if (tty->session != 0 && !(steal && who->privileged))
		return -EPERM;
	if (!readable && !who->privileged)
		return -EPERM;
	if (tty->session != 0) {
		signals->session = tty->session;
		signals->session_lost = true;
	}
	job_take(tty, who);
	return 0;
}

/* Ends the session's hold and says so. */
static void
job_drop(struct tty *tty, uint64_t to_foreground, struct tty_signals *signals)
{
	if (tty->foreground != 0) {
		signals->pgrp = tty->foreground;
		signals->to_pgrp |= to_foreground;
	}
	if (tty->session != 0) {
		signals->session = tty->session;
		signals->session_lost = true;
	}
	tty->session = 0;
	tty->foreground = 0;
}

int
tty_job_release(struct tty *tty, const struct tty_caller *who, struct tty_signals *signals)
{
	if (!who->controls)
		return -ENOTTY;
	signals->caller_lost = true;
	if (who->is_leader && who->session == tty->session)
		job_drop(tty, LX_SIGBIT(LX_SIGHUP) | LX_SIGBIT(LX_SIGCONT), signals);
	return 0;
}

void
tty_job_leader_exit(struct tty *tty, struct tty_signals *signals)
{
	job_drop(tty, LX_SIGBIT(LX_SIGHUP), signals);
}

void
tty_hangup(struct tty *tty, struct tty_signals *signals)
{
	uint64_t both = LX_SIGBIT(LX_SIGHUP) | LX_SIGBIT(LX_SIGCONT);

	if (tty->hung_up)
		return;
	if (tty->session != 0)
		signals->leader |= both;
	job_drop(tty, both, signals);
	tty_flush_input(tty);
	tty_flush_output(tty);
	tty->urgent = 0;
	tty->stopped = false;
	tty->stopped_by_call = false;
	tty->hung_up = true;
}

void
tty_resize(struct tty *tty, const struct lx_winsize *size, struct tty_signals *signals)
{
	if (memcmp(&tty->winsize, size, sizeof(*size)) == 0)
		return;
	tty->winsize = *size;
	tty_signal_foreground(tty, LX_SIGWINCH, signals);
}

int
tty_job_pgrp_read(const struct tty *tty, const struct tty_caller *who, int32_t *pgrp)
{
	if (!who->controls)
		return -ENOTTY;
	*pgrp = tty->foreground;
	return 0;
}

int
tty_job_session_read(const struct tty *tty, const struct tty_caller *who, int32_t *session)
{
	if (!who->controls || tty->session == 0)
		return -ENOTTY;
	*session = tty->session;
	return 0;
}

int
tty_job_pgrp_write(struct tty *tty, const struct tty_caller *who, int32_t pgrp,
		   int32_t group_session, struct tty_signals *signals)
{
	int error = tty_job_change(tty, who, signals);

	if (error == -EIO)
		return -ENOTTY;
	if (error)
		return error;
	if (pgrp < 0)
		return -EINVAL;
	if (!who->controls || tty->session != who->session)
		return -ENOTTY;
	if (pgrp == 0 || group_session == 0)
		return -ESRCH;
	if (group_session != who->session)
		return -EPERM;
	tty->foreground = pgrp;
	return 0;
}
