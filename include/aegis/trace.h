/* SPDX-License-Identifier: MIT */
/*
 * Counters and trace.
 *
 * Counters are declared where they count, and numbered by the linker; one frame a processor holds an
 * array of 64-bit counts.  counter_name(n) gives names.  The trace is a ring a processor of fixed
 * records in trace_pages frames; `head` of the first record's slot counts records ever written.  Both
 * are guarded by the root name and are read by whoever was given it; the kernel prints the tail of the
 * trace when it panics.
 */
#ifndef AEGIS_TRACE_H
#define AEGIS_TRACE_H

#include <stdint.h>

struct aegis_trace_rec {
	uint64_t tsc;
	uint32_t event; /* number of the trace point; trace_name(n) gives names */
	uint32_t env;
	uint64_t a, b;
};
_Static_assert(sizeof(struct aegis_trace_rec) == 32, "ABI");

struct aegis_trace_ring {
	uint64_t head; /* records ever written */
	uint64_t slots;
	uint64_t reserved[2];
	struct aegis_trace_rec rec[];
};

#endif
