/* SPDX-License-Identifier: MIT */
/*
 * Bounded formatting: the subset of snprintf that ExOS needs, without floating point.
 *
 * Owns nothing, allocates nothing. Invariants: (1) no byte at or past size is written, and the text
 * is terminated whenever size > 0; (2) the count of output characters saturates at INT32_MAX; (3)
 * arguments are only fetched for conversions that are known, so an unknown one cannot misread the
 * list.
 */
#include "exos/lib/lib.h"

struct sink {
	char *buf;
	size_t size;
	size_t count;
};

struct spec {
	bool left;
	bool zero;
	int width;
	int precision; /* -1: none */
	int longs;     /* 0 int, 1 long or size_t, 2 long long */
};

static void
sink_put(struct sink *out, char c)
{
	if (out->count + 1 < out->size)
		out->buf[out->count] = c;
	if (out->count < INT32_MAX)
		out->count++;
}

static void
sink_fill(struct sink *out, char c, size_t n)
{
	while (n-- && out->count < INT32_MAX)
		sink_put(out, c);
}

/* Text with a prefix (sign or 0x) that stays in front of zero padding. */
static void
sink_field(struct sink *out, const struct spec *spec, const char *prefix, const char *text,
	   size_t n)
{
	size_t used = n + strlen(prefix);
	size_t pad = spec->width > 0 && (size_t)spec->width > used ? (size_t)spec->width - used : 0;

	if (!spec->left && !spec->zero)
		sink_fill(out, ' ', pad);
	while (*prefix)
		sink_put(out, *prefix++);
	if (!spec->left && spec->zero)
		sink_fill(out, '0', pad);
	for (size_t i = 0; i < n; i++)
		sink_put(out, text[i]);
	if (spec->left)
		sink_fill(out, ' ', pad);
}

static void
sink_number(struct sink *out, const struct spec *spec, const char *prefix, uint64_t value,
	    unsigned base, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24];
	size_t at = sizeof(text);

	do {
		text[--at] = digits[value % base];
		value /= base;
	} while (value);
	sink_field(out, spec, prefix, text + at, sizeof(text) - at);
}

static void
sink_text(struct sink *out, struct spec *spec, const char *s)
{
	if (!s)
		s = "(null)";
	spec->zero = false;
	sink_field(out, spec, "", s,
		   spec->precision < 0 ? strlen(s) : strnlen(s, (size_t)spec->precision));
}

static int
parse_number(const char **fmt)
{
	int n = 0;

	while (**fmt >= '0' && **fmt <= '9') {
		if (n < 100000)
			n = n * 10 + (**fmt - '0');
		(*fmt)++;
	}
	return n;
}

/* va_list is an array type here; a structure around it can be passed by pointer everywhere. */
struct args {
	va_list list;
};

static const char *
parse_spec(const char *fmt, struct spec *spec, struct args *args)
{
	*spec = (struct spec){.precision = -1};
	for (;; fmt++) {
		if (*fmt == '-')
			spec->left = true;
		else if (*fmt == '0')
			spec->zero = true;
		else
			break;
	}
	if (*fmt == '*') {
		spec->width = va_arg(args->list, int);
		fmt++;
		if (spec->width < 0) {
			spec->left = true;
			spec->width = spec->width == INT32_MIN ? INT32_MAX : -spec->width;
		}
	} else {
		spec->width = parse_number(&fmt);
	}
	if (*fmt == '.') {
		fmt++;
		if (*fmt == '*') {
			spec->precision = va_arg(args->list, int);
			fmt++;
		} else {
			spec->precision = parse_number(&fmt);
		}
	}
	if (*fmt == 'z') {
		spec->longs = 1;
		fmt++;
	}
	while (*fmt == 'l' && spec->longs < 2) {
		spec->longs++;
		fmt++;
	}
	return fmt;
}

static uint64_t
take_unsigned(const struct spec *spec, struct args *args)
{
	if (spec->longs == 2)
		return va_arg(args->list, unsigned long long);
	return spec->longs ? va_arg(args->list, unsigned long) : va_arg(args->list, unsigned int);
}

static int64_t
take_signed(const struct spec *spec, struct args *args)
{
	if (spec->longs == 2)
		return va_arg(args->list, long long);
	return spec->longs ? va_arg(args->list, long) : va_arg(args->list, int);
}

/* False: the conversion is not known and no argument was taken. */
static bool
convert(struct sink *out, char conversion, struct spec *spec, struct args *args)
{
	char one;
	int64_t value;

	switch (conversion) {
	case 'd':
	case 'i':
		value = take_signed(spec, args);
		sink_number(out, spec, value < 0 ? "-" : "",
			    value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, false);
		return true;
	case 'u':
		sink_number(out, spec, "", take_unsigned(spec, args), 10, false);
		return true;
	case 'x':
	case 'X':
		sink_number(out, spec, "", take_unsigned(spec, args), 16, conversion == 'X');
		return true;
	case 'p':
		sink_number(out, spec, "0x", (uintptr_t)va_arg(args->list, void *), 16, false);
		return true;
	case 's':
		sink_text(out, spec, va_arg(args->list, const char *));
		return true;
	case 'c':
		one = (char)va_arg(args->list, int);
		spec->zero = false;
		sink_field(out, spec, "", &one, 1);
		return true;
	case '%':
		sink_put(out, '%');
		return true;
	default:
		return false;
	}
}

int
format_v(char *buf, size_t size, const char *fmt, va_list list)
{
	struct sink out = {.buf = buf, .size = size};
	struct args args;
	struct spec spec;

	va_copy(args.list, list);
	while (*fmt) {
		const char *start = fmt;

		if (*fmt != '%') {
			sink_put(&out, *fmt++);
			continue;
		}
		fmt = parse_spec(fmt + 1, &spec, &args);
		if (!convert(&out, *fmt, &spec, &args)) {
			while (*start)
				sink_put(&out, *start++);
			break;
		}
		fmt++;
	}
	va_end(args.list);
	if (size)
		buf[out.count < size ? out.count : size - 1] = '\0';
	return (int)out.count;
}

int
format(char *buf, size_t size, const char *fmt, ...)
{
	va_list list;
	int count;

	va_start(list, fmt);
	count = format_v(buf, size, fmt, list);
	va_end(list);
	return count;
}
