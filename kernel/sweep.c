/* SPDX-License-Identifier: MIT */
/*
 * Breaking bindings by force.
 *
 * A holding keeps only the number of its bindings, so finding them means looking through the
 * space's page tables.  That is done in two parts.  First the holding is stripped of its
 * rights, which takes effect at once: nothing can be bound, shared or retyped by it.  Then
 * sweeps, SWEEP_STEPS entries at a time, break every binding of any stripped holding they meet,
 * going round the tables from where the last sweep stopped (space.progress).
 *
 * 1. A stripped holding gets no new bindings, so one round of sweeps ends them all, whoever
 *    sweeps and however often the lock is released in between.
 * 2. A sweep that stops leaves nothing half done: tables, counts and TLBs agree.
 */
#include "tlb.h"

#define SWEEP_STEPS 2048u

static enum run_word
judge_stripped(uint32_t pfn, uint8_t hold)
{
	(void)pfn;
	return hold_stripped(hold) ? RUN_GOES : RUN_STAYS;
}

void
_space_sweep(struct space *s)
{
	uint32_t steps = SWEEP_STEPS;
	uint64_t seen = 0;
	struct flush f;

	flush_start(&f, s, s);
	while (steps && s->stripped) {
		struct run r = _run_at(s, s->progress, UINT64_MAX, &steps);

		if (r.pte)
			_run_unbind(&f, &r, judge_stripped, &seen);
		s->progress = r.va + r.n * r.each * PAGE;
		if (s->progress >= AEGIS_USER_MAX)
			s->progress = 0;
	}
	_flush_finish(&f);
	COUNT(sweeps);
}

status
_space_expel(struct space *s, uint32_t pfn, bool force)
{
	uint8_t *hold = _hold_find(s, pfn);

	if (!hold || !*hold)
		return AEGIS_NOT_HELD;
	if (!force && ((*hold & AEGIS_HOLD_PIN) ||
		       (pfn < frame_count && frames[pfn].kind == FRAME_USER && frames[pfn].link)))
		return AEGIS_IN_USE;
	_hold_strip(s, pfn, hold);
	if (*hold)
		_space_sweep(s);
	return *hold ? AEGIS_AGAIN : AEGIS_OK;
}
