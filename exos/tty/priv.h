/* SPDX-License-Identifier: MIT */
/*
 * What the files of the terminal share: flags by name, the rings, output.
 *
 * Owns nothing. Invariants are those of tty.h; callers hold the terminal.
 */
#ifndef EXOS_TTY_PRIV_H
#define EXOS_TTY_PRIV_H

#include "exos/lib/lib.h"
#include "exos/linux/abi_file.h"
#include "exos/linux/abi_signal.h"
#include "exos/linux/errno.h"
#include "exos/tty/tty.h"

/* A control character that is set to this is switched off. */
#define TTY_DISABLED 0

static inline bool
tty_iflag(const struct tty *tty, uint32_t flag)
{
	return (tty->termios.c_iflag & flag) != 0;
}

static inline bool
tty_oflag(const struct tty *tty, uint32_t flag)
{
	return (tty->termios.c_oflag & flag) != 0;
}

static inline bool
tty_lflag(const struct tty *tty, uint32_t flag)
{
	return (tty->termios.c_lflag & flag) != 0;
}

static inline uint8_t
tty_cc(const struct tty *tty, unsigned index)
{
	return tty->termios.c_cc[index];
}

static inline uint8_t
tty_in_at(const struct tty *tty, uint32_t position)
{
	return tty->in[position % TTY_IN_SIZE];
}

static inline bool
tty_marked(const struct tty *tty, uint32_t position)
{
	uint32_t slot = position % TTY_IN_SIZE;

	return (tty->mark[slot / 64] >> (slot % 64)) & 1;
}

static inline void
tty_mark(struct tty *tty, uint32_t position, bool on)
{
	uint32_t slot = position % TTY_IN_SIZE;
	uint64_t bit = 1ULL << (slot % 64);

	if (on)
		tty->mark[slot / 64] |= bit;
	else
		tty->mark[slot / 64] &= ~bit;
}

/* A byte of a UTF-8 character that is not its first: takes no column, erased with the first. */
static inline bool
tty_continues(const struct tty *tty, uint8_t c)
{
	return tty_iflag(tty, LX_IUTF8) && (c & 0xc0) == 0x80;
}

static inline bool
tty_is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

/* Bytes are classed as Latin-1, as Linux does: what counts as a word for VWERASE depends on it. */
static inline bool
tty_is_lower(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 0xdf && c != 0xf7);
}

static inline bool
tty_is_upper(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7);
}

/* out.c: room in the output ring that programs may use; echoes may use all of it */
uint32_t tty_out_room(const struct tty *tty, bool echo);
/* Output processing of one byte. Returns false, and changes nothing, if the ring is short. */
bool tty_out_byte(struct tty *tty, uint8_t c, bool echo);
/* Echoes: lost when even the reserve is full. */
void tty_echo(struct tty *tty, uint8_t c);     /* control characters as ^X with ECHOCTL */
void tty_echo_raw(struct tty *tty, uint8_t c); /* as it is */
void tty_echo_erase_tab(struct tty *tty, uint32_t columns, bool after_tab);

/* tty.c: starts or stops output because of a character */
void tty_start(struct tty *tty);
void tty_stop(struct tty *tty);
void tty_ask_host(struct tty *tty);

/* job.c */
void tty_signal_foreground(const struct tty *tty, unsigned signal, struct tty_signals *signals);

#endif
