/* SPDX-License-Identifier: MIT */
/*
 * A terminal's output: processing, echoes, the ring to the host.
 *
 * Owns the output ring and the two column counters of struct tty. Context: as tty.h says.
 *
 * 1. A byte expands as a whole or not at all: no lone carriage return of a pair in the ring.
 * 2. column follows what the host shows as far as output processing is on; only tabs and
 *    ONOCR depend on it.
 *
 * Exposes writing, taking and echoing. A flush drops what was not taken; nothing else does.
 */
#include "exos/tty/priv.h"

#define TAB_STOP 8u

uint32_t
tty_out_room(const struct tty *tty, bool echo)
{
	uint32_t room = TTY_OUT_SIZE - (tty->out_head - tty->out_tail);

	if (echo)
		return room;
	return room > TTY_OUT_ECHO ? room - TTY_OUT_ECHO : 0;
}

static void
out_put(struct tty *tty, uint8_t c)
{
	tty->out[tty->out_head % TTY_OUT_SIZE] = c;
	tty->out_head++;
}

/* Returns false if a newline's expansion does not fit. */
static bool
out_newline(struct tty *tty, uint32_t room)
{
	if (tty_oflag(tty, LX_ONLCR) && room < 2)
		return false;
	if (tty_oflag(tty, LX_ONLRET) || tty_oflag(tty, LX_ONLCR))
		tty->column = 0;
	tty->line_column = tty->column;
	if (tty_oflag(tty, LX_ONLCR))
		out_put(tty, '\r');
	out_put(tty, '\n');
	return true;
}

static void
out_return(struct tty *tty)
{
	bool as_newline = tty_oflag(tty, LX_OCRNL);

	if (tty_oflag(tty, LX_ONOCR) && tty->column == 0)
		return;
	if (!as_newline || tty_oflag(tty, LX_ONLRET))
		tty->column = tty->line_column = 0;
	out_put(tty, as_newline ? '\n' : '\r');
}

static bool
out_tab(struct tty *tty, uint32_t room)
{
	uint32_t spaces = TAB_STOP - tty->column % TAB_STOP;

	if ((tty->termios.c_oflag & LX_TABDLY) != LX_TAB3) {
		tty->column += spaces;
		out_put(tty, '\t');
		return true;
	}
	if (room < spaces)
		return false;
	tty->column += spaces;
	while (spaces--)
		out_put(tty, ' ');
	return true;
}

static uint8_t
out_upper(const struct tty *tty, uint8_t c)
{
	if (tty_oflag(tty, LX_OLCUC) && tty_is_lower(c))
		return c - ('a' - 'A');
	return c;
}

bool
tty_out_byte(struct tty *tty, uint8_t c, bool echo)
{
	uint32_t room = tty_out_room(tty, echo);

	if (room == 0)
		return false;
	switch (c) {
	case '\n':
		return out_newline(tty, room);
	case '\r':
		out_return(tty);
		return true;
	case '\t':
		return out_tab(tty, room);
	case '\b':
		if (tty->column > 0)
			tty->column--;
		break;
	default:
		if (tty_is_control(c))
			break;
		c = out_upper(tty, c);
		if (!tty_continues(tty, c))
			tty->column++;
		break;
	}
	out_put(tty, c);
	return true;
}

int64_t
tty_write(struct tty *tty, const uint8_t *bytes, size_t n)
{
	size_t i = 0;

	if (tty->hung_up)
		return -EIO;
	if (tty->stopped)
		return 0;
	if (n > INT64_MAX)
		n = INT64_MAX;
	if (tty_oflag(tty, LX_OPOST)) {
		while (i < n && tty_out_byte(tty, bytes[i], false))
			i++;
	} else {
		while (i < n && tty_out_room(tty, false) > 0)
			out_put(tty, bytes[i++]);
	}
	return (int64_t)i;
}

size_t
tty_output_ready(const struct tty *tty)
{
	size_t ready = tty->stopped ? 0 : tty->out_head - tty->out_tail;

	return ready + (tty->urgent != 0);
}

size_t
tty_output_take(struct tty *tty, uint8_t *buf, size_t n)
{
	size_t taken = 0;

	if (tty->urgent != 0 && n > 0) {
		buf[taken++] = tty->urgent;
		tty->urgent = 0;
	}
	if (tty->stopped)
		return taken;
	while (taken < n && tty->out_tail != tty->out_head) {
		uint32_t slot = tty->out_tail % TTY_OUT_SIZE;
		size_t chunk = tty->out_head - tty->out_tail;

		if (chunk > TTY_OUT_SIZE - slot)
			chunk = TTY_OUT_SIZE - slot;
		if (chunk > n - taken)
			chunk = n - taken;
		memcpy(buf + taken, tty->out + slot, chunk);
		taken += chunk;
		tty->out_tail += (uint32_t)chunk;
	}
	return taken;
}

void
tty_flush_output(struct tty *tty)
{
	/* A start character that is due stays due: the host may be waiting for it. */
	tty->out_tail = tty->out_head;
	/* What was echoed since the stop will never be seen. */
	if (tty->stopped) {
		tty->column = tty->stop_column;
		tty->line_column = tty->stop_line_column;
	}
}

/* Bypasses output processing; counts the columns it was told. */
static void
echo_verbatim(struct tty *tty, const uint8_t *bytes, uint32_t n, uint32_t columns)
{
	if (tty_out_room(tty, true) < n)
		return;
	for (uint32_t i = 0; i < n; i++)
		out_put(tty, bytes[i]);
	tty->column += columns;
}

void
tty_echo_raw(struct tty *tty, uint8_t c)
{
	if (c == 0xff)
		echo_verbatim(tty, &c, 1, 1);
	else if (tty_oflag(tty, LX_OPOST))
		tty_out_byte(tty, c, true);
	else
		echo_verbatim(tty, &c, 1, 0);
}

void
tty_echo(struct tty *tty, uint8_t c)
{
	uint8_t caret[2] = {'^', c ^ 0x40};

	if (tty_lflag(tty, LX_ECHOCTL) && tty_is_control(c) && c != '\t')
		echo_verbatim(tty, caret, 2, 2);
	else
		tty_echo_raw(tty, c);
}

/*
 * `columns` is what the characters between the previous tab, or the line's beginning, and the
 * erased tab occupy; the rest up to the tab stop is what the tab occupied.
 */
void
tty_echo_erase_tab(struct tty *tty, uint32_t columns, bool after_tab)
{
	uint32_t back;

	if (!after_tab)
		columns += tty->line_column;
	back = TAB_STOP - columns % TAB_STOP;
	if (tty_out_room(tty, true) < back)
		return;
	while (back--) {
		out_put(tty, '\b');
		if (tty->column > 0)
			tty->column--;
	}
}
