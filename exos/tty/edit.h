/* SPDX-License-Identifier: MIT */
/*
 * Line editing, as the input side calls it. Owns nothing; context and invariants as in tty.h.
 */
#ifndef EXOS_TTY_EDIT_H
#define EXOS_TTY_EDIT_H

#include "exos/tty/priv.h"

/* c is one of VERASE, VWERASE, VKILL. */
void tty_edit_erase(struct tty *tty, uint8_t c);
/* Echoes c and then the line again, on a new line. */
void tty_edit_reprint(struct tty *tty, uint8_t c);
/* Ends the '\' of a printing erase before anything else is echoed. */
void tty_edit_finish(struct tty *tty);

#endif
