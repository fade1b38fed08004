/* SPDX-License-Identifier: MIT */
/*
 * Every invariant, looked at on the way out of the kernel.
 *
 * Only in checked kernels, and only on one processor: with others at work the tables are never still.
 * On the way out this processor holds no lock and is in the middle of nothing, so whatever an
 * operation leaves for its next step is a state that has to be sound too.  A look compares whole tables,
 * so only every Nth exit through C takes one: boot option check=N, 0 none.
 */
#ifndef KERNEL_CHECKED /* analyzers read this file as they read all others */
#define KERNEL_CHECKED
#endif
#include "../kernel.h"

#define EVERY 1009 /* a prime: no loop of calls keeps step with it */

/* Buffers that the device may hold have a reference that no space made. */
#define UNDER_WAY (2 * AEGIS_CHAN_SLOTS)

static uint64_t every, looks;

void
check_init(void)
{
	every = machine_cpus() == 1 ? option_number("check", EVERY) : 0;
}

void
check_exit(void)
{
	static uint64_t exits;

	if (!every || ++exits % every)
		return;
	looks++;
	if (!cap_invariants())
		panic("names and capabilities are not sound");
	if (!account_invariants())
		panic("accounts are not sound");
	if (!mem_invariants())
		panic("frames are not sound");
	if (!hold_invariants(UNDER_WAY))
		panic("references of frames are not sound");
	for (uint32_t i = 1; i < SPACES; i++) {
		struct space *s = space_find(i);

		if (!s)
			continue;
		if (!space_invariants(s))
			panic("bindings are not sound");
		space_put(s);
	}
}

void
check_report(void)
{
	if (every)
		log_print("check: %lu looks at all invariants\n", looks);
}
