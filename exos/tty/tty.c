/* SPDX-License-Identifier: MIT */
/*
 * A terminal's input: what a typed byte means, lines, and reading them.
 *
 * Owns the input ring, its marks, and the modes of struct tty. Context: as tty.h says.
 *
 * 1. special has the bit of every byte that may be more than a character under the present modes,
 *    never that of a switched-off control character; set when modes are.
 * 2. A full line cannot hide its own end: while a line without end fills the ring, a further byte
 *    replaces the last one, so that a newline always finds room.
 *
 * Exposes input, reading, polling, modes and hangup.
 */
#include "exos/tty/edit.h"

#define SECOND_TENTH 100000000ULL

static void
special_add(struct tty *tty, uint8_t c)
{
	tty->special[c / 64] |= 1ULL << (c % 64);
}

static bool
special_has(const struct tty *tty, uint8_t c)
{
	return (tty->special[c / 64] >> (c % 64)) & 1;
}

static void
special_add_cc(struct tty *tty, uint8_t first, uint8_t second)
{
	special_add(tty, tty_cc(tty, first));
	special_add(tty, tty_cc(tty, second));
}

static void
special_build(struct tty *tty)
{
	memset(tty->special, 0, sizeof(tty->special));
	if (tty_iflag(tty, LX_IGNCR | LX_ICRNL))
		special_add(tty, '\r');
	if (tty_iflag(tty, LX_INLCR))
		special_add(tty, '\n');
	if (tty_lflag(tty, LX_ICANON)) {
		special_add(tty, '\n');
		special_add_cc(tty, LX_VERASE, LX_VKILL);
		special_add_cc(tty, LX_VEOF, LX_VEOL);
		if (tty_lflag(tty, LX_IEXTEN)) {
			special_add_cc(tty, LX_VWERASE, LX_VLNEXT);
			special_add(tty, tty_cc(tty, LX_VEOL2));
			if (tty_lflag(tty, LX_ECHO))
				special_add(tty, tty_cc(tty, LX_VREPRINT));
		}
	}
	if (tty_iflag(tty, LX_IXON))
		special_add_cc(tty, LX_VSTART, LX_VSTOP);
	if (tty_lflag(tty, LX_ISIG)) {
		special_add_cc(tty, LX_VINTR, LX_VQUIT);
		special_add(tty, tty_cc(tty, LX_VSUSP));
	}
	tty->special[TTY_DISABLED / 64] &= ~(1ULL << (TTY_DISABLED % 64));
}

void
tty_start(struct tty *tty)
{
	if (!tty->stopped_by_call)
		tty->stopped = false;
}

void
tty_stop(struct tty *tty)
{
	if (tty->stopped)
		return;
	tty->stop_column = tty->column;
	tty->stop_line_column = tty->line_column;
	tty->stopped = true;
}

/* IXOFF: tells a host that understands to stop typing before the ring is full, and to go on. */
void
tty_ask_host(struct tty *tty)
{
	uint32_t held = tty->in_head - tty->in_tail;

	if (!tty->asked_to_stop && tty_iflag(tty, LX_IXOFF) && held > TTY_IN_SIZE - TTY_IN_LOW) {
		tty->asked_to_stop = true;
		tty->urgent = tty_cc(tty, LX_VSTOP);
	} else if (tty->asked_to_stop && held <= TTY_IN_LOW) {
		tty->asked_to_stop = false;
		tty->urgent = tty_cc(tty, LX_VSTART);
	}
}

static void
in_put(struct tty *tty, uint8_t c)
{
	if (tty->in_head - tty->in_tail >= TTY_IN_SIZE)
		return;
	tty->in[tty->in_head % TTY_IN_SIZE] = c;
	tty->in_head++;
}

/* With PARMRK a byte 0xff is told from a mark by doubling it. */
static void
in_put_marked(struct tty *tty, uint8_t c)
{
	if (c == 0xff && tty_iflag(tty, LX_PARMRK))
		in_put(tty, c);
	in_put(tty, c);
}

/* Ends the line with c, which is TTY_DISABLED for an end of file. */
static void
line_end(struct tty *tty, uint8_t c)
{
	if (tty->in_head - tty->in_tail >= TTY_IN_SIZE)
		tty->in_head--;
	tty_mark(tty, tty->in_head, true);
	in_put(tty, c);
	tty->in_line = tty->in_head;
}

/* Where a line begins decides how far erasing a tab goes back. */
static void
echo_in_line(struct tty *tty, uint8_t c)
{
	if (tty->in_line == tty->in_head)
		tty->line_column = tty->column;
	tty_echo(tty, c);
}

static void
input_plain(struct tty *tty, uint8_t c)
{
	if (tty->stopped && tty_iflag(tty, LX_IXON) && tty_iflag(tty, LX_IXANY))
		tty_start(tty);
	if (tty_lflag(tty, LX_ECHO)) {
		tty_edit_finish(tty);
		echo_in_line(tty, c);
	}
	in_put_marked(tty, c);
}

static bool
input_flow(struct tty *tty, uint8_t c)
{
	if (!tty_iflag(tty, LX_IXON))
		return false;
	if (c == tty_cc(tty, LX_VSTART))
		tty_start(tty);
	else if (c == tty_cc(tty, LX_VSTOP))
		tty_stop(tty);
	else
		return false;
	return true;
}

static bool
input_signal(struct tty *tty, uint8_t c, struct tty_signals *signals)
{
	unsigned signal;

	if (!tty_lflag(tty, LX_ISIG))
		return false;
	if (c == tty_cc(tty, LX_VINTR))
		signal = LX_SIGINT;
	else if (c == tty_cc(tty, LX_VQUIT))
		signal = LX_SIGQUIT;
	else if (c == tty_cc(tty, LX_VSUSP))
		signal = LX_SIGTSTP;
	else
		return false;
	tty_signal_foreground(tty, signal, signals);
	if (!tty_lflag(tty, LX_NOFLSH)) {
		tty_flush_output(tty);
		tty_flush_input(tty);
	}
	if (tty_iflag(tty, LX_IXON))
		tty_start(tty);
	if (tty_lflag(tty, LX_ECHO))
		tty_echo(tty, c);
	return true;
}

/* The next byte is literal: shows a caret that it will overwrite. */
static void
input_literal_next(struct tty *tty)
{
	tty->literal = true;
	if (!tty_lflag(tty, LX_ECHO))
		return;
	tty_edit_finish(tty);
	if (tty_lflag(tty, LX_ECHOCTL)) {
		tty_echo_raw(tty, '^');
		tty_echo_raw(tty, '\b');
	}
}

/* Returns whether c was more than a character of the line. */
static bool
input_canonical(struct tty *tty, uint8_t c)
{
	bool extended = tty_lflag(tty, LX_IEXTEN);

	if (c == tty_cc(tty, LX_VERASE) || c == tty_cc(tty, LX_VKILL) ||
	    (extended && c == tty_cc(tty, LX_VWERASE))) {
		tty_edit_erase(tty, c);
	} else if (extended && c == tty_cc(tty, LX_VLNEXT)) {
		input_literal_next(tty);
	} else if (extended && tty_lflag(tty, LX_ECHO) && c == tty_cc(tty, LX_VREPRINT)) {
		tty_edit_reprint(tty, c);
	} else if (c == '\n') {
		if (tty_lflag(tty, LX_ECHO | LX_ECHONL))
			tty_echo_raw(tty, '\n');
		line_end(tty, c);
	} else if (c == tty_cc(tty, LX_VEOF)) {
		line_end(tty, TTY_DISABLED);
	} else if (c == tty_cc(tty, LX_VEOL) || (extended && c == tty_cc(tty, LX_VEOL2))) {
		if (tty_lflag(tty, LX_ECHO))
			echo_in_line(tty, c);
		if (c == 0xff && tty_iflag(tty, LX_PARMRK))
			in_put(tty, c);
		line_end(tty, c);
	} else {
		return false;
	}
	return true;
}

static void
input_special(struct tty *tty, uint8_t c, struct tty_signals *signals)
{
	if (input_flow(tty, c) || input_signal(tty, c, signals))
		return;
	if (tty->stopped && tty_iflag(tty, LX_IXON) && tty_iflag(tty, LX_IXANY))
		tty_start(tty);
	if (c == '\r') {
		if (tty_iflag(tty, LX_IGNCR))
			return;
		if (tty_iflag(tty, LX_ICRNL))
			c = '\n';
	} else if (c == '\n' && tty_iflag(tty, LX_INLCR)) {
		c = '\r';
	}
	if (tty_lflag(tty, LX_ICANON) && input_canonical(tty, c))
		return;
	if (tty_lflag(tty, LX_ECHO)) {
		tty_edit_finish(tty);
		if (c == '\n')
			tty_echo_raw(tty, c);
		else
			echo_in_line(tty, c);
	}
	in_put_marked(tty, c);
}

static void
input_byte(struct tty *tty, uint8_t c, struct tty_signals *signals)
{
	bool literal = tty->literal;

	tty->literal = false;
	if (tty_iflag(tty, LX_ISTRIP))
		c &= 0x7f;
	if (tty_iflag(tty, LX_IUCLC) && tty_lflag(tty, LX_IEXTEN) && tty_is_upper(c))
		c += 'a' - 'A';
	if (!literal && special_has(tty, c))
		input_special(tty, c, signals);
	else
		input_plain(tty, c);
}

/*
 * Room for one more typed byte, which may store two. A line without end that fills the ring makes
 * room for its end by giving up its last byte.
 */
static bool
input_room(struct tty *tty)
{
	uint32_t room = TTY_IN_SIZE - (tty->in_head - tty->in_tail);
	uint32_t step = tty_iflag(tty, LX_PARMRK) ? 3 : 1;

	if ((room + step - 1) / step > 1)
		return true;
	if (!tty_lflag(tty, LX_ICANON) || tty->in_line != tty->in_tail)
		return false;
	if (room == 0) {
		tty->in_head--;
		if (tty_iflag(tty, LX_IMAXBEL))
			tty_echo_raw(tty, '\a');
	}
	return true;
}

size_t
tty_input(struct tty *tty, const uint8_t *bytes, size_t n, struct tty_signals *signals)
{
	size_t i;

	if (tty->hung_up)
		return n;
	for (i = 0; i < n && input_room(tty); i++)
		input_byte(tty, bytes[i], signals);
	tty_ask_host(tty);
	return i;
}

/* An end of file directly behind a read that was filled exactly belongs to that read. */
static void
skip_end_of_file(struct tty *tty)
{
	if (tty->in_tail == tty->in_line || !tty_marked(tty, tty->in_tail) ||
	    tty_in_at(tty, tty->in_tail) != TTY_DISABLED)
		return;
	tty_mark(tty, tty->in_tail, false);
	tty->in_tail++;
}

static size_t
read_line(struct tty *tty, uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n && tty->in_tail != tty->in_line) {
		uint8_t c = tty_in_at(tty, tty->in_tail);
		bool end = tty_marked(tty, tty->in_tail);

		tty_mark(tty, tty->in_tail, false);
		tty->in_tail++;
		if (!end || c != TTY_DISABLED)
			buf[done++] = c;
		if (end)
			return done;
	}
	if (done == n)
		skip_end_of_file(tty);
	return done;
}

static size_t
read_bytes(struct tty *tty, uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n && tty->in_tail != tty->in_head)
		buf[done++] = tty_in_at(tty, tty->in_tail++);
	return done;
}

/* Nothing to read now: what a waiting reader needs to know. */
static int64_t
read_wait(struct tty_read *step, size_t need, uint64_t timeout)
{
	if (step->nonblock)
		return step->done > 0 ? (int64_t)step->done : -EAGAIN;
	if (step->deadline != 0 && step->now >= step->deadline)
		return (int64_t)step->done;
	if (step->deadline == 0 && timeout != 0) {
		step->deadline = step->now + timeout;
		if (step->deadline == 0 || step->deadline < step->now)
			step->deadline = UINT64_MAX;
	}
	step->need = need;
	return TTY_WAIT;
}

/*
 * VMIN > 0, VTIME = 0: until VMIN bytes. VMIN > 0, VTIME > 0: until VMIN bytes or VTIME after the
 * last byte. VMIN = 0: until one byte or, if VTIME > 0, that long; at once if it is 0.
 */
static int64_t
read_raw(struct tty *tty, uint8_t *buf, size_t n, struct tty_read *step)
{
	size_t minimum = tty_cc(tty, LX_VMIN);
	uint64_t timeout = tty_cc(tty, LX_VTIME) * SECOND_TENTH;
	bool between_bytes = minimum > 0;
	size_t got = read_bytes(tty, buf, n);

	step->done += got;
	if (minimum == 0)
		minimum = 1;
	if (got == n || step->done >= minimum)
		return (int64_t)step->done;
	if (got > 0)
		step->deadline = 0;
	if (between_bytes && step->done == 0)
		return read_wait(step, minimum, 0);
	if (!between_bytes && timeout == 0)
		return (int64_t)step->done;
	if (minimum > step->done + (n - got))
		minimum = step->done + (n - got);
	return read_wait(step, minimum - step->done, timeout);
}

int64_t
tty_read(struct tty *tty, uint8_t *buf, size_t n, struct tty_read *step)
{
	int64_t result;

	if (step->done > INT32_MAX || n > INT32_MAX)
		return -EINVAL;
	if (n == 0 || tty->hung_up)
		return (int64_t)step->done;
	if (!tty_lflag(tty, LX_ICANON)) {
		result = read_raw(tty, buf, n, step);
	} else if (tty->in_tail == tty->in_line) {
		return read_wait(step, 1, 0);
	} else {
		step->done += read_line(tty, buf, n);
		result = (int64_t)step->done;
	}
	tty_ask_host(tty);
	return result;
}

uint32_t
tty_poll(const struct tty *tty)
{
	uint32_t bits = 0;
	uint32_t enough = 1;
	uint32_t held = tty->in_line - tty->in_tail;

	if (tty->hung_up)
		return LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM | LX_POLLERR |
		       LX_POLLHUP;
	if (!tty_lflag(tty, LX_ICANON)) {
		held = tty->in_head - tty->in_tail;
		if (tty_cc(tty, LX_VTIME) == 0 && tty_cc(tty, LX_VMIN) != 0)
			enough = tty_cc(tty, LX_VMIN);
	}
	if (held >= enough)
		bits |= LX_POLLIN | LX_POLLRDNORM;
	if (!tty->stopped && tty_out_room(tty, false) > 0)
		bits |= LX_POLLOUT | LX_POLLWRNORM;
	return bits;
}

size_t
tty_readable(const struct tty *tty)
{
	size_t count = 0;

	if (!tty_lflag(tty, LX_ICANON))
		return tty->in_head - tty->in_tail;
	for (uint32_t at = tty->in_tail; at != tty->in_line; at++)
		count += !(tty_marked(tty, at) && tty_in_at(tty, at) == TTY_DISABLED);
	return count;
}

void
tty_flush_input(struct tty *tty)
{
	memset(tty->mark, 0, sizeof(tty->mark));
	tty->in_head = tty->in_line = tty->in_tail;
	tty->erasing = false;
	tty_ask_host(tty);
}

/* Typed but unread bytes stay readable when lines come or go. */
static void
canonical_changed(struct tty *tty)
{
	memset(tty->mark, 0, sizeof(tty->mark));
	tty->in_line = tty->in_tail;
	if (tty_lflag(tty, LX_ICANON) && tty->in_head != tty->in_tail) {
		tty_mark(tty, tty->in_head - 1, true);
		tty->in_line = tty->in_head;
	}
	tty->erasing = false;
	tty->literal = false;
}

void
tty_termios_set(struct tty *tty, const struct lx_termios2 *termios)
{
	struct lx_termios2 old = tty->termios;

	tty->termios = *termios;
	/* No master side that could use these, and no line whose framing could change. */
	tty->termios.c_lflag &= ~(uint32_t)LX_EXTPROC;
	tty->termios.c_cflag &= ~(uint32_t)(LX_CSIZE | LX_PARENB);
	tty->termios.c_cflag |= LX_CS8 | LX_CREAD;
	if ((old.c_lflag ^ tty->termios.c_lflag) & LX_ICANON)
		canonical_changed(tty);
	special_build(tty);
	if ((old.c_iflag & LX_IXON) && !tty_iflag(tty, LX_IXON))
		tty_start(tty);
}

void
tty_init(struct tty *tty, uint16_t rows, uint16_t cols)
{
	static const uint8_t control[LX_NCCS] = {
		[LX_VINTR] = 3,   [LX_VQUIT] = 28,    [LX_VERASE] = 127,  [LX_VKILL] = 21,
		[LX_VEOF] = 4,    [LX_VMIN] = 1,      [LX_VSTART] = 17,   [LX_VSTOP] = 19,
		[LX_VSUSP] = 26,  [LX_VREPRINT] = 18, [LX_VDISCARD] = 15, [LX_VWERASE] = 23,
		[LX_VLNEXT] = 22,
	};
	struct lx_termios2 initial = {
		.c_iflag = LX_ICRNL | LX_IXON | LX_IUTF8,
		.c_oflag = LX_OPOST | LX_ONLCR,
		.c_cflag = LX_B38400 | LX_CS8 | LX_CREAD | LX_HUPCL,
		.c_lflag = LX_ISIG | LX_ICANON | LX_ECHO | LX_ECHOE | LX_ECHOK | LX_ECHOCTL |
			   LX_ECHOKE | LX_IEXTEN,
		.c_ispeed = 38400,
		.c_ospeed = 38400,
	};

	memcpy(initial.c_cc, control, sizeof(control));
	memset(tty, 0, sizeof(*tty));
	tty->winsize.ws_row = rows;
	tty->winsize.ws_col = cols;
	tty_termios_set(tty, &initial);
}

/* Marks lie only in finished lines, the last at their end. */
static bool
check_lines(const struct tty *tty)
{
	bool canonical = tty_lflag(tty, LX_ICANON);
	uint32_t finished = canonical ? tty->in_line - tty->in_tail : 0;
	uint32_t marks = 0;
	uint32_t inside = 0;

	if (finished > tty->in_head - tty->in_tail)
		return false;
	for (uint32_t i = 0; i < TTY_IN_SIZE; i++)
		marks += tty_marked(tty, i);
	for (uint32_t i = 0; i < finished; i++)
		inside += tty_marked(tty, tty->in_tail + i);
	return marks == inside && (finished == 0 || tty_marked(tty, tty->in_line - 1));
}

bool
tty_check(const struct tty *tty)
{
	if (tty->in_head - tty->in_tail > TTY_IN_SIZE)
		return false;
	if (tty->out_head - tty->out_tail > TTY_OUT_SIZE)
		return false;
	if (tty->foreground != 0 && tty->session == 0)
		return false;
	return check_lines(tty) && !special_has(tty, TTY_DISABLED);
}
