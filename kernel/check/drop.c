/* SPDX-License-Identifier: MIT */
/*
 * Bindings that go for no reason: for chaos (chaos.c) and the host's tests.  The lock of the space is held
 * for a walk through all of its tables, which is not bounded.
 */
#include "../tlb.h"

static enum run_word
judge_loose(uint32_t pfn, uint8_t hold)
{
	(void)pfn;
	return hold & AEGIS_HOLD_PIN ? RUN_STAYS : RUN_GOES;
}

void
_space_drop(struct space *s)
{
	uint64_t va = 0, seen = 0;
	struct flush f;

	flush_start(&f, s, s);
	while (va < AEGIS_USER_MAX) {
		uint32_t steps = LARGE_PAGES;
		struct run r = _run_at(s, va, UINT64_MAX, &steps);

		if (r.pte)
			_run_unbind(&f, &r, judge_loose, &seen);
		va = r.va + r.n * r.each * PAGE;
	}
	_flush_finish(&f);
}
