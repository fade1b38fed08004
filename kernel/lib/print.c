/* SPDX-License-Identifier: MIT */
/*
 * Formatted text, and the kernel's log.
 *
 * Owns: log_lock, the innermost of all locks; a line that log_print or log_text writes is not torn by
 * another processor's.  Text longer than log_print's buffer is cut.
 */
#include "../kernel.h"
#include "lib.h"

#define LINE 256

static struct lock log_lock;
static bool log_unlocked;

struct out {
	char *to;
	size_t size, length;
};

static void
put(struct out *o, char c)
{
	if (o->length + 1 < o->size)
		o->to[o->length++] = c;
}

static void
put_number(struct out *o, uint64_t value, uint32_t base, size_t width, char fill)
{
	char digits[24];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (size_t i = n; i < width; i++)
		put(o, fill);
	while (n)
		put(o, digits[--n]);
}

__attribute__((format(printf, 3, 0))) static size_t
print_format(char *to, size_t size, const char *format, va_list args)
{
	struct out o = {to, size, 0};

	for (const char *p = format; *p; p++) {
		size_t width = 0;
		char fill;
		bool wide;

		if (*p != '%') {
			put(&o, *p);
			continue;
		}
		fill = *++p == '0' ? '0' : ' ';
		for (; *p >= '0' && *p <= '9'; p++)
			width = width * 10 + (size_t)(*p - '0');
		wide = *p == 'l';
		p += wide;
		if (*p == 's') {
			for (const char *s = va_arg(args, const char *); s && *s; s++)
				put(&o, *s);
		} else if (*p == 'u' || *p == 'x') {
			uint64_t v = wide ? va_arg(args, uint64_t) : va_arg(args, unsigned);

			put_number(&o, v, *p == 'u' ? 10 : 16, width, fill);
		} else {
			break;
		}
	}
	if (size)
		to[o.length] = 0;
	return o.length;
}

size_t
print_to(char *to, size_t size, const char *format, ...)
{
	va_list args;
	size_t n;

	va_start(args, format);
	n = print_format(to, size, format, args);
	va_end(args);
	return n;
}

void
log_unlock_forever(void)
{
	log_unlocked = true;
}

void
log_text(const char *text, size_t length)
{
	if (!log_unlocked)
		lock_acquire(&log_lock);
	machine_log(text, length);
	if (!log_unlocked)
		lock_release(&log_lock);
}

void
log_print(const char *format, ...)
{
	char line[LINE];
	va_list args;
	size_t n;

	va_start(args, format);
	n = print_format(line, sizeof(line), format, args);
	va_end(args);
	log_text(line, n);
}
