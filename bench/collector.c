/* SPDX-License-Identifier: MIT */
/*
 * The collector of examples/gc: a round of its mutator, which stores into 40 old nodes and drops 4,000 young ones, and the
 * collection behind it.  The barrier is a signal and mprotect for Linux, the library's faults for ExOS.
 */
#include "../examples/gc/mutator.h"

#include "bench.h"

#ifdef EXOS
#define SIGNALS false
#else
#define SIGNALS true
#endif

static void
make(void)
{
	bench_require(gc_make(SIGNALS));
	mutator_make();
}

static void
gc_round(void)
{
	mutator_round();
	gc_collect();
}

BENCH(gc_round, .setup = make, .op = gc_round)
