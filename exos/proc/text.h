/* SPDX-License-Identifier: MIT */
/*
 * A bounded string builder.
 *
 * Owns a window on the caller's buffer. Writing behind its end only counts.
 *
 * 1. Nothing is written at or behind buf + size.
 * 2. length is that of the whole text, whether it fitted or not.
 */
#ifndef EXOS_PROC_TEXT_H
#define EXOS_PROC_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	char *buf;
	size_t size;
	size_t length;
};

static inline void
text_char(struct text *t, char c)
{
	if (t->length < t->size)
		t->buf[t->length] = c;
	t->length++;
}

static inline void
text_string(struct text *t, const char *s)
{
	while (*s)
		text_char(t, *s++);
}

static inline void
text_bytes(struct text *t, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_char(t, bytes[i]);
}

/* Fills with c up to the given length of the whole text. */
static inline void
text_pad_to(struct text *t, size_t length, char c)
{
	while (t->length < length)
		text_char(t, c);
}

/* At least width characters, filled up on the left. */
static inline void
text_number(struct text *t, uint64_t value, unsigned base, unsigned width, char fill)
{
	char digits[64];
	unsigned n = 0;

	do
		digits[n++] = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	for (; width > n; width--)
		text_char(t, fill);
	while (n > 0)
		text_char(t, digits[--n]);
}

static inline void
text_unsigned(struct text *t, uint64_t value)
{
	text_number(t, value, 10, 0, ' ');
}

static inline void
text_signed(struct text *t, int64_t value)
{
	if (value < 0)
		text_char(t, '-');
	text_unsigned(t, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Bytes that occur in `set` as a backslash and three octal digits. */
static inline void
text_octal_escaped(struct text *t, const char *s, const char *set)
{
	for (; *s; s++) {
		const char *hit = set;

		while (*hit && *hit != *s)
			hit++;
		if (*hit) {
			text_char(t, '\\');
			text_number(t, (uint8_t)*s, 8, 3, '0');
		} else {
			text_char(t, *s);
		}
	}
}

#endif
