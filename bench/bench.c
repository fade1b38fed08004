/* SPDX-License-Identifier: MIT */
/*
 * The measuring half of every benchmark program: PROGRAM ROW NANOSECONDS REPEATS
 *
 *  1. The number of calls is the least power of two whose loop takes NANOSECONDS, found by doubling; these
 *     loops are also the warm-up.  Under -icount nanoseconds are instructions, and the number is the same each time.
 *     Where time is measured, REPEATS is more than one, a loop that was long only because the host was busy is found out.
 *  2. Then the empty loop and REPEATS loops are measured in the same way: between two markers, with the
 *     time-stamp counter read inside them.  Nothing is printed meanwhile.
 *  3. What the plugin writes for a program is a start, a record of the warm-up, one of the empty loop, and REPEATS more.
 *  4. Lines for the runner begin with @: row NAME PER, empty CALLS TICKS, rep CALLS TICKS, null WHY, fail WHY,
 *     done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

extern const struct bench *const __start_benches[], *const __stop_benches[];

static void
nothing(void)
{
	__asm__ volatile("" ::: "memory");
}

static uint64_t
ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static _Noreturn void
stop(const char *kind, const char *why)
{
	printf("@%s %s\n", kind, why);
	fflush(stdout);
	_exit(1);
}

void
bench_null(const char *format, ...)
{
	char why[200];
	va_list list;

	va_start(list, format);
	vsnprintf(why, sizeof(why), format, list);
	va_end(list);
	stop("null", why);
}

void
bench_fail(const char *what)
{
	char why[200];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
	stop("fail", why);
}

/* One loop; its ticks. */
static uint64_t __attribute__((noinline)) loop(void (*op)(void), uint64_t calls)
{
	uint64_t start;

	BENCH_MARK(BENCH_MARK_BEGIN);
	start = ticks();
	for (uint64_t i = 0; i < calls; i++)
		op();
	start = ticks() - start;
	BENCH_MARK(BENCH_MARK_END);
	return start;
}

/* Calls one by one, what lies before each not measured; the sum of their ticks. */
static uint64_t __attribute__((noinline))
single(void (*before)(void), void (*op)(void), uint64_t calls)
{
	uint64_t sum = 0, start;

	for (uint64_t i = 0; i < calls; i++) {
		before();
		BENCH_MARK(BENCH_MARK_BEGIN);
		start = ticks();
		op();
		sum += ticks() - start;
		BENCH_MARK(BENCH_MARK_END);
	}
	return sum;
}

/* Of operations that end in another process; shared with those that setup makes. */
static struct {
	uint64_t begun, sum;
} * way;

void
bench_begin(void)
{
	BENCH_MARK(BENCH_MARK_BEGIN);
	way->begun = ticks();
}

void
bench_end(void)
{
	way->sum += ticks() - way->begun;
	BENCH_MARK(BENCH_MARK_END);
}

static void
begin_and_end(void)
{
	bench_begin();
	bench_end();
}

static uint64_t
one_way(void (*op)(void), uint64_t calls)
{
	way->sum = 0;
	for (uint64_t i = 0; i < calls; i++)
		op();
	return way->sum;
}

static uint64_t
measure(const struct bench *b, void (*op)(void), uint64_t calls)
{
	if (b->one_way)
		return one_way(op == nothing ? begin_and_end : op, calls);
	return b->before ? single(b->before, op, calls) : loop(op, calls);
}

static void
report(const struct bench *b, const char *kind, void (*op)(void), uint64_t calls)
{
	uint64_t sum = measure(b, op, calls);

	BENCH_MARK(BENCH_MARK_RECORD);
	printf("@%s %lu %lu\n", kind, calls, sum);
	fflush(stdout);
}

static bool
long_enough(const struct bench *b, uint64_t calls, uint64_t target)
{
	uint64_t start = clock_ns();

	measure(b, b->op, calls);
	return clock_ns() - start >= target;
}

static void
run(const struct bench *b, uint64_t target, unsigned repeats)
{
	uint64_t calls = 1;

	BENCH_MARK(BENCH_MARK_START);
	printf("@row %s %u\n", b->name, b->per ? b->per : 1);
	fflush(stdout);
	if (b->one_way) {
		way = mmap(NULL, sizeof(*way), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
		bench_require(way != MAP_FAILED);
	}
	if (b->setup)
		b->setup();
	while (!long_enough(b, calls, target) ||
	       (repeats > 1 &&
		(!long_enough(b, calls, target / 2) || !long_enough(b, calls, target / 2))))
		calls *= 2;
	BENCH_MARK(BENCH_MARK_RECORD);
	report(b, "empty", b->empty ? b->empty : nothing, calls);
	for (unsigned i = 0; i < repeats; i++)
		report(b, "rep", b->op, calls);
	printf("@done\n");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: %s ROW NANOSECONDS REPEATS\n", argv[0]);
		return 2;
	}
	for (const struct bench *const *b = __start_benches; b < __stop_benches; b++) {
		if (strcmp((*b)->name, argv[1]) != 0)
			continue;
		run(*b, strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10));
		return 0;
	}
	fprintf(stderr, "%s: there is no row %s\n", argv[0], argv[1]);
	return 2;
}
