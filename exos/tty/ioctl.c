/* SPDX-License-Identifier: MIT */
/*
 * A terminal's controls by number: modes, window, queues, session.
 *
 * Owns no state. The caller has copied the object in and copies it out, so nothing here touches a
 * program's memory. Context: as tty.h says.
 *
 * 1. A request that fails changes nothing, except that TCSETSF and TCSETAF flush input before they
 *    wait for output.
 *
 * Modes that are not kept: EXTPROC (no master side), character size and parity (always eight bits,
 * none). TIOCSTI is refused.
 */
#include "exos/tty/priv.h"

#define BAUD_EXTRA  0x1000u
#define INPUT_SHIFT 16

/* Requests with an object: its size and direction. */
static const struct {
	uint32_t request;
	uint8_t size;
	bool reads;
	bool writes;
} objects[] = {
	{LX_TCGETS, sizeof(struct lx_termios), false, true},
	{LX_TCSETS, sizeof(struct lx_termios), true, false},
	{LX_TCSETSW, sizeof(struct lx_termios), true, false},
	{LX_TCSETSF, sizeof(struct lx_termios), true, false},
	{LX_TCGETS2, sizeof(struct lx_termios2), false, true},
	{LX_TCSETS2, sizeof(struct lx_termios2), true, false},
	{LX_TCSETSW2, sizeof(struct lx_termios2), true, false},
	{LX_TCSETSF2, sizeof(struct lx_termios2), true, false},
	{LX_TCGETA, sizeof(struct lx_termio), false, true},
	{LX_TCSETA, sizeof(struct lx_termio), true, false},
	{LX_TCSETAW, sizeof(struct lx_termio), true, false},
	{LX_TCSETAF, sizeof(struct lx_termio), true, false},
	{LX_TIOCGWINSZ, sizeof(struct lx_winsize), false, true},
	{LX_TIOCSWINSZ, sizeof(struct lx_winsize), true, false},
	{LX_TIOCGPGRP, sizeof(int32_t), false, true},
	{LX_TIOCSPGRP, sizeof(int32_t), true, false},
	{LX_TIOCGSID, sizeof(int32_t), false, true},
	{LX_FIONREAD, sizeof(int32_t), false, true},
	{LX_TIOCOUTQ, sizeof(int32_t), false, true},
	{LX_TIOCGETD, sizeof(int32_t), false, true},
	{LX_TIOCSETD, sizeof(int32_t), true, false},
};

#define OBJECTS (sizeof(objects) / sizeof(objects[0]))

static size_t
object_find(uint32_t request)
{
	size_t i = 0;

	while (i < OBJECTS && objects[i].request != request)
		i++;
	return i;
}

size_t
tty_ioctl_size(uint32_t request)
{
	size_t i = object_find(request);

	return i < OBJECTS ? objects[i].size : 0;
}

bool
tty_ioctl_reads(uint32_t request)
{
	size_t i = object_find(request);

	return i < OBJECTS && objects[i].reads;
}

bool
tty_ioctl_writes(uint32_t request)
{
	size_t i = object_find(request);

	return i < OBJECTS && objects[i].writes;
}

/* Bits per second of a CBAUD code; `other` is what BOTHER means. */
static uint32_t
baud_rate(uint32_t code, uint32_t other)
{
	static const uint32_t rates[] = {
		0,       50,      75,      110,     134,     150,     200,     300,
		600,     1200,    1800,    2400,    4800,    9600,    19200,   38400,
		0,       57600,   115200,  230400,  460800,  500000,  576000,  921600,
		1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
	};

	code &= LX_CBAUD;
	if (code == LX_BOTHER)
		return other;
	return rates[(code & 0xf) + (code & BAUD_EXTRA ? 16 : 0)];
}

static void
set_modes(struct tty *tty, struct lx_termios2 *modes)
{
	uint32_t input = (modes->c_cflag >> INPUT_SHIFT) & LX_CBAUD;

	modes->c_ospeed = baud_rate(modes->c_cflag, modes->c_ospeed);
	modes->c_ispeed = input == LX_B0 ? modes->c_ospeed : baud_rate(input, modes->c_ispeed);
	tty_termios_set(tty, modes);
}

/* The old form carries the low halves of the flags and eight characters. */
static void
from_termio(struct lx_termios2 *modes, const struct lx_termio *old)
{
	modes->c_iflag = (modes->c_iflag & 0xffff0000U) | old->c_iflag;
	modes->c_oflag = (modes->c_oflag & 0xffff0000U) | old->c_oflag;
	modes->c_cflag = (modes->c_cflag & 0xffff0000U) | old->c_cflag;
	modes->c_lflag = (modes->c_lflag & 0xffff0000U) | old->c_lflag;
	modes->c_line = old->c_line;
	memcpy(modes->c_cc, old->c_cc, sizeof(old->c_cc));
}

static void
to_termio(struct lx_termio *old, const struct lx_termios2 *modes)
{
	memset(old, 0, sizeof(*old));
	old->c_iflag = (uint16_t)modes->c_iflag;
	old->c_oflag = (uint16_t)modes->c_oflag;
	old->c_cflag = (uint16_t)modes->c_cflag;
	old->c_lflag = (uint16_t)modes->c_lflag;
	old->c_line = modes->c_line;
	memcpy(old->c_cc, modes->c_cc, sizeof(old->c_cc));
}

static bool
drained(const struct tty *tty)
{
	return tty->out_head == tty->out_tail;
}

/* TCSETS and its kin, by what they do before: nothing, drain, drain and flush. */
static int64_t
ioctl_set_modes(struct tty *tty, const struct tty_ioctl *call, const struct lx_termios2 *modes,
		bool drain, bool flush, struct tty_signals *signals)
{
	struct lx_termios2 copy = *modes;
	int error = tty_job_change(tty, call->who, signals);

	if (error)
		return error;
	if (flush)
		tty_flush_input(tty);
	if (drain && !drained(tty))
		return TTY_WAIT;
	set_modes(tty, &copy);
	return 0;
}

static int64_t
ioctl_modes(struct tty *tty, uint32_t request, const struct tty_ioctl *call, const void *object,
	    struct tty_signals *signals)
{
	struct lx_termios2 modes = tty->termios;
	uint32_t kind;

	switch (request) {
	case LX_TCSETS:
	case LX_TCSETSW:
	case LX_TCSETSF:
		memcpy(&modes, object, sizeof(struct lx_termios));
		kind = request - LX_TCSETS;
		break;
	case LX_TCSETS2:
	case LX_TCSETSW2:
	case LX_TCSETSF2:
		memcpy(&modes, object, sizeof(struct lx_termios2));
		kind = request - LX_TCSETS2;
		break;
	default:
		from_termio(&modes, object);
		kind = request - LX_TCSETA;
		break;
	}
	return ioctl_set_modes(tty, call, &modes, kind >= 1, kind == 2, signals);
}

static int64_t
ioctl_flow(struct tty *tty, const struct tty_ioctl *call, struct tty_signals *signals)
{
	int error = tty_job_change(tty, call->who, signals);

	if (error)
		return error;
	switch (call->value) {
	case LX_TCOOFF:
		tty->stopped_by_call = true;
		tty_stop(tty);
		return 0;
	case LX_TCOON:
		if (tty->stopped_by_call) {
			tty->stopped_by_call = false;
			tty_start(tty);
		}
		return 0;
	case LX_TCIOFF:
		tty->urgent = tty->termios.c_cc[LX_VSTOP];
		return 0;
	case LX_TCION:
		tty->urgent = tty->termios.c_cc[LX_VSTART];
		return 0;
	default:
		return -EINVAL;
	}
}

static int64_t
ioctl_flush(struct tty *tty, const struct tty_ioctl *call, struct tty_signals *signals)
{
	int error = tty_job_change(tty, call->who, signals);

	if (error)
		return error;
	if (call->value > LX_TCIOFLUSH)
		return -EINVAL;
	if (call->value != LX_TCOFLUSH)
		tty_flush_input(tty);
	if (call->value != LX_TCIFLUSH)
		tty_flush_output(tty);
	return 0;
}

/* There is no line to break; what remains is the waiting. */
static int64_t
ioctl_break(struct tty *tty, const struct tty_ioctl *call, struct tty_signals *signals)
{
	int error = tty_job_change(tty, call->who, signals);

	if (error)
		return error;
	return drained(tty) ? 0 : TTY_WAIT;
}

static int
ioctl_session(struct tty *tty, uint32_t request, const struct tty_ioctl *call, int32_t *number,
	      struct tty_signals *signals)
{
	switch (request) {
	case LX_TIOCGPGRP:
		return tty_job_pgrp_read(tty, call->who, number);
	case LX_TIOCGSID:
		return tty_job_session_read(tty, call->who, number);
	case LX_TIOCSPGRP:
		return tty_job_pgrp_write(tty, call->who, *number, call->group_session, signals);
	case LX_TIOCSCTTY:
		return tty_job_acquire(tty, call->who, call->readable, call->value == 1, signals);
	default:
		return tty_job_release(tty, call->who, signals);
	}
}

/* Queries and settings that need no permission. */
static int64_t
ioctl_plain(struct tty *tty, uint32_t request, void *object, struct tty_signals *signals)
{
	int32_t number = 0;

	switch (request) {
	case LX_TCGETS:
		memcpy(object, &tty->termios, sizeof(struct lx_termios));
		return 0;
	case LX_TCGETS2:
		memcpy(object, &tty->termios, sizeof(struct lx_termios2));
		return 0;
	case LX_TCGETA:
		to_termio(object, &tty->termios);
		return 0;
	case LX_TIOCGWINSZ:
		memcpy(object, &tty->winsize, sizeof(tty->winsize));
		return 0;
	case LX_TIOCSWINSZ:
		tty_resize(tty, object, signals);
		return 0;
	case LX_FIONREAD:
		number = (int32_t)tty_readable(tty);
		break;
	case LX_TIOCOUTQ:
		number = (int32_t)(tty->out_head - tty->out_tail);
		break;
	case LX_TIOCGETD:
		break;
	case LX_TIOCSETD:
		return *(const int32_t *)object == 0 ? 0 : -EINVAL;
	case LX_TIOCSBRK:
	case LX_TIOCCBRK:
		return 0;
	case LX_TIOCSTI:
		return -EIO;
	default:
		return -ENOTTY;
	}
	memcpy(object, &number, sizeof(number));
	return 0;
}

int64_t
tty_ioctl(struct tty *tty, uint32_t request, const struct tty_ioctl *call, void *object,
	  struct tty_signals *signals)
{
	if (tty->hung_up)
		return request == LX_TIOCSPGRP ? -ENOTTY : -EIO;
	switch (request) {
	case LX_TCSETS:
	case LX_TCSETSW:
	case LX_TCSETSF:
	case LX_TCSETS2:
	case LX_TCSETSW2:
	case LX_TCSETSF2:
	case LX_TCSETA:
	case LX_TCSETAW:
	case LX_TCSETAF:
		return ioctl_modes(tty, request, call, object, signals);
	case LX_TCXONC:
		return ioctl_flow(tty, call, signals);
	case LX_TCFLSH:
		return ioctl_flush(tty, call, signals);
	case LX_TCSBRK:
	case LX_TCSBRKP:
		return ioctl_break(tty, call, signals);
	case LX_TIOCGPGRP:
	case LX_TIOCGSID:
	case LX_TIOCSPGRP:
	case LX_TIOCSCTTY:
	case LX_TIOCNOTTY:
		return ioctl_session(tty, request, call, object, signals);
	default:
		return ioctl_plain(tty, request, object, signals);
	}
}
