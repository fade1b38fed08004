/* SPDX-License-Identifier: MIT */
/*
 * Switches between processes, as lmbench's lat_ctx measures them: a token goes round a ring of processes
 * connected by pipes, and each reads its own array before it passes it on.  Subtracted is what one process
 * takes to write and read as many tokens through a pipe of its own and to read the array as often.
 */
#include <unistd.h>

#include "bench.h"

#define MOST 16u
#define SIZE (16u << 10)

static unsigned processes, words;
static uint64_t array[SIZE / sizeof(uint64_t)];
static int first, last, own[2]; /* the ring's ends at this process; a pipe to itself */

static void
array_read(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < words; i++)
		sum += array[i];
	__asm__ volatile("" ::"r"(sum));
}

static void
pass(int from, int to)
{
	char token;

	if (read(from, &token, 1) != 1)
		_exit(0);
	array_read();
	if (write(to, &token, 1) != 1)
		_exit(0);
}

static void
ring_make(unsigned count, unsigned bytes)
{
	int from, next[2];

	processes = count;
	words = bytes / sizeof(uint64_t);
	for (unsigned i = 0; i < SIZE / sizeof(uint64_t); i++)
		array[i] = i;
	bench_require(pipe(next) == 0);
	first = next[1];
	from = next[0];
	for (unsigned i = 1; i < count; i++, from = next[0]) {
		pid_t pid;

		bench_require(pipe(next) == 0);
		pid = fork();
		bench_require(pid >= 0);
		if (pid == 0) {
			close(first);
			close(next[0]);
			for (;;)
				pass(from, next[1]);
		}
		close(from);
		close(next[1]);
	}
	last = from;
	/* Made last, so that nobody else has it: as the ring's pipes, each of which has one process at each end. */
	bench_require(pipe(own) == 0);
}

static void
turn(void)
{
	char token = 't';

	bench_require(write(first, &token, 1) == 1 && read(last, &token, 1) == 1);
	array_read();
}

static void
alone(void)
{
	char token = 't';

	for (unsigned i = 0; i < processes; i++) {
		bench_require(write(own[1], &token, 1) == 1 && read(own[0], &token, 1) == 1);
		array_read();
	}
}

static void
two_empty(void)
{
	ring_make(2, 0);
}

static void
two_full(void)
{
	ring_make(2, SIZE);
}

static void
most_empty(void)
{
	ring_make(MOST, 0);
}

static void
most_full(void)
{
	ring_make(MOST, SIZE);
}

BENCH(context_switch_2_0k, .setup = two_empty, .op = turn, .empty = alone, .per = 2)
BENCH(context_switch_2_16k, .setup = two_full, .op = turn, .empty = alone, .per = 2)
BENCH(context_switch_16_0k, .setup = most_empty, .op = turn, .empty = alone, .per = MOST)
BENCH(context_switch_16_16k, .setup = most_full, .op = turn, .empty = alone, .per = MOST)
