/* SPDX-License-Identifier: MIT */
/*
 * gc [signals]: a tree in the old generation, of which some nodes get new subtrees in each round, while most of
 * what is allocated dies young.  Prints a line for each result, "name value"; the checksum tells whether the collector
 * loses anything.
 */
#include "mutator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <x86intrin.h>

#define ROUNDS 600u

int
main(int argc, char **argv)
{
	uint64_t begin, before, ticks = 0;

	if (!gc_make(argc > 1 && !strcmp(argv[1], "signals"))) {
		fputs("no memory\n", stderr);
		return 1;
	}
	mutator_make();
	begin = __rdtsc();
	for (uint32_t i = 0; i < ROUNDS; i++) {
		mutator_round();
		before = __rdtsc();
		gc_collect();
		ticks += __rdtsc() - before;
	}
	begin = __rdtsc() - begin;
	printf("gc_minor %" PRIu64 "\n", gc_count.minor);
	printf("gc_major %" PRIu64 "\n", gc_count.major);
	printf("gc_copied %" PRIu64 "\n", gc_count.copied);
	printf("gc_faults %" PRIu64 "\n", gc_count.faults);
	printf("gc_checksum %" PRIu64 "\n", mutator_sum());
	printf("gc_ticks_per_collection %" PRIu64 "\n", ticks / ROUNDS);
	printf("gc_ticks_per_round %" PRIu64 "\n", begin / ROUNDS);
	return 0;
}
