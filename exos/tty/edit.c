/* SPDX-License-Identifier: MIT */
/*
 * Editing the line that is being typed: erase a character, a word, the line; show it again.
 *
 * Owns no state: it moves in_head back towards in_line and echoes what that takes. Context: as
 * tty.h says. A finished line is never touched.
 */
#include "exos/tty/edit.h"

enum erase_kind { ERASE_CHARACTER, ERASE_WORD, ERASE_LINE };

static bool
is_word(uint8_t c)
{
	return tty_is_lower(c) || tty_is_upper(c) || (c >= '0' && c <= '9') || c == '_';
}

void
tty_edit_finish(struct tty *tty)
{
	if (!tty->erasing)
		return;
	tty_echo_raw(tty, '/');
	tty->erasing = false;
}

/* Columns from the previous tab or the line's beginning up to in_head. */
static uint32_t
columns_before(const struct tty *tty, bool *after_tab)
{
	uint32_t columns = 0;

	*after_tab = false;
	for (uint32_t at = tty->in_head; at != tty->in_line; at--) {
		uint8_t c = tty_in_at(tty, at - 1);

		if (c == '\t') {
			*after_tab = true;
			break;
		}
		if (tty_is_control(c))
			columns += tty_lflag(tty, LX_ECHOCTL) ? 2 : 0;
		else if (!tty_continues(tty, c))
			columns++;
	}
	return columns;
}

static void
echo_blank(struct tty *tty)
{
	tty_echo_raw(tty, '\b');
	tty_echo_raw(tty, ' ');
	tty_echo_raw(tty, '\b');
}

/* A printing terminal shows what is erased between '\' and '/'. */
static void
echo_printed(struct tty *tty, uint32_t n)
{
	if (!tty->erasing) {
		tty_echo_raw(tty, '\\');
		tty->erasing = true;
	}
	tty_echo(tty, tty_in_at(tty, tty->in_head));
	for (uint32_t i = 1; i < n; i++) {
		tty_echo_raw(tty, tty_in_at(tty, tty->in_head + i));
		if (tty->column > 0)
			tty->column--;
	}
}

/* Shows that the n bytes of one character, now behind in_head, are gone. */
static void
echo_erased(struct tty *tty, enum erase_kind kind, uint32_t n)
{
	uint8_t c = tty_in_at(tty, tty->in_head);
	bool after_tab;

	if (tty_lflag(tty, LX_ECHOPRT)) {
		echo_printed(tty, n);
	} else if (kind == ERASE_CHARACTER && !tty_lflag(tty, LX_ECHOE)) {
		tty_echo(tty, tty_cc(tty, LX_VERASE));
	} else if (c == '\t') {
		uint32_t columns = columns_before(tty, &after_tab);

		tty_echo_erase_tab(tty, columns, after_tab);
	} else if (!tty_is_control(c)) {
		echo_blank(tty);
	} else if (tty_lflag(tty, LX_ECHOCTL)) {
		echo_blank(tty);
		echo_blank(tty);
	}
}

/* The length of the last character of the line; 0 if only a tail of one is there. */
static uint32_t
last_length(const struct tty *tty)
{
	uint32_t at = tty->in_head;

	do
		at--;
	while (tty_continues(tty, tty_in_at(tty, at)) && at != tty->in_line);
	return tty_continues(tty, tty_in_at(tty, at)) ? 0 : tty->in_head - at;
}

static void
erase(struct tty *tty, enum erase_kind kind)
{
	bool in_word = false;

	while (tty->in_head != tty->in_line) {
		uint32_t n = last_length(tty);

		if (n == 0)
			break;
		if (kind == ERASE_WORD) {
			bool word = is_word(tty_in_at(tty, tty->in_head - n));

			if (in_word && !word)
				break;
			in_word |= word;
		}
		tty->in_head -= n;
		if (tty_lflag(tty, LX_ECHO))
			echo_erased(tty, kind, n);
		if (kind == ERASE_CHARACTER)
			break;
	}
	if (tty->in_head == tty->in_line && tty_lflag(tty, LX_ECHO))
		tty_edit_finish(tty);
}

void
tty_edit_erase(struct tty *tty, uint8_t c)
{
	const uint32_t by_erasing = LX_ECHOK | LX_ECHOKE | LX_ECHOE;

	if (tty->in_head == tty->in_line)
		return;
	if (c == tty_cc(tty, LX_VERASE)) {
		erase(tty, ERASE_CHARACTER);
	} else if (c == tty_cc(tty, LX_VWERASE)) {
		erase(tty, ERASE_WORD);
	} else if (!tty_lflag(tty, LX_ECHO)) {
		tty->in_head = tty->in_line;
	} else if ((tty->termios.c_lflag & by_erasing) == by_erasing) {
		erase(tty, ERASE_LINE);
	} else {
		tty->in_head = tty->in_line;
		tty_edit_finish(tty);
		tty_echo(tty, tty_cc(tty, LX_VKILL));
		if (tty_lflag(tty, LX_ECHOK))
			tty_echo_raw(tty, '\n');
	}
}

void
tty_edit_reprint(struct tty *tty, uint8_t c)
{
	tty_edit_finish(tty);
	tty_echo(tty, c);
	tty_echo_raw(tty, '\n');
	for (uint32_t at = tty->in_line; at != tty->in_head; at++)
		tty_echo(tty, tty_in_at(tty, at));
}
