/* SPDX-License-Identifier: MIT */
/* What bench/plugin.c counts, in the order in which its lines have them and the runner reads them. */
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

enum {
	INSNS,
	REPEATED,
	REPS,
	IRETS,
	SYSRETS,
	SYSCALLS,
	CR3S,
	CR4S,
	INVLPGS,
	WRPKRUS,
	WRMSRS,
	IPIS,
	HALTS,
	COUNTERS
};

#endif
