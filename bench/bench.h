/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark program is written against, the same for Linux and for ExOS.
 *
 * A source of this directory says BENCH(name, ...) for each row that it measures; bench.c has main() and all
 * measuring, and is linked to each.  It is built twice: as a static Linux program, which Linux runs and
 * ExOS runs unmodified, and, if a row of rows.def says so, with EXOS defined, for what a programmer of
 * ExOS would write.
 *
 *	static void op(void) { getppid(); }
 *	BENCH(getppid, .op = op)
 *
 * What is measured is the loop over op() less the same loop over empty(), divided by calls and `per`.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "mark.h"

struct bench {
	const char *name;
	void (*setup)(void); /* once, not measured */
	void (*before)(
		void); /* before each call, not measured; such calls are measured one by one */
	void (*op)(void);
	void (*empty)(void); /* what is subtracted; NULL: a function that does nothing */
	uint32_t per;        /* operations in a call of op; 0 is 1 */
	/* What is measured goes from bench_begin to the next bench_end, which may be another process's, begun by
	 * setup.  op and empty call them, and return when that has happened. */
	bool one_way;
};
void bench_begin(void);
void bench_end(void);

#define BENCH(row, ...)                                                                            \
	static const struct bench row##_bench = {.name = #row, __VA_ARGS__};                       \
	static const struct bench *const row##_pointer __attribute__((section("benches"), used)) = \
		&row##_bench;

/* The row cannot be measured on this system; says why, and ends the program. */
_Noreturn void bench_null(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A call that must not fail has failed: its name and errno.  The row ends with that as its reason. */
_Noreturn void bench_fail(const char *what);
#define bench_require(e)                \
	do {                            \
		if (!(e))               \
			bench_fail(#e); \
	} while (0)
/* The first statement of the program that a boot ends in. */
void bench_booted(void);

#endif
