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

/* Entries of one table, from va on: at most n.  `all`: every binding that is not guaranteed. */
static void
_entries_sweep(struct flush *f, uint64_t *pte, uint32_t table, uint64_t va, uint64_t n, bool all)
{
	for (uint64_t i = 0; i < n; i++) {
		uint8_t hold;

		if (!(pte[i] & AEGIS_PTE_PRESENT))
			continue;
		hold = *_hold_find(f->space, pte_pfn(pte[i]));
		if (hold_stripped(hold) || (all && !(hold & AEGIS_HOLD_PIN)))
			_page_unbind(f, &pte[i], table, va + i * PAGE);
	}
}

static void
_large_sweep(struct flush *f, uint64_t *pte, uint32_t table, bool all)
{
	const uint8_t *hold = _hold_find(f->space, pte_pfn(*pte));
	bool stripped = false, pinned = false;

	for (uint32_t i = 0; i < LARGE_PAGES; i++) {
		stripped |= hold_stripped(hold[i]);
		pinned |= (hold[i] & AEGIS_HOLD_PIN) != 0;
	}
	if (stripped || (all && !pinned))
		_large_unbind(f, pte, table);
}

/* What lies at va, and where the next thing is. */
static uint64_t
_sweep_at(struct flush *f, uint64_t va, bool all, uint32_t *steps)
{
	uint64_t size, n, *large, *table;
	uint32_t pfn;

	table = _table_find(f->space, va, 1, &pfn, &size, &large);
	if (table) {
		n = 512 - va / PAGE % 512;
		n = n < *steps ? n : *steps;
		_entries_sweep(f, &table[va / PAGE % 512], pfn, va, n, all);
		*steps -= (uint32_t)n;
		return va + n * PAGE;
	}
	--*steps;
	if (large) {
		_large_sweep(f, large, pfn, all);
		*steps -= *steps < LARGE_PAGES ? *steps : LARGE_PAGES;
		return va - va % AEGIS_LARGE_PAGE + AEGIS_LARGE_PAGE;
	}
	return va - va % size + size;
}

void
_space_sweep(struct space *s)
{
	uint32_t steps = SWEEP_STEPS;
	struct flush f;

	flush_start(&f, s, s);
	while (steps && s->stripped) {
		s->progress = _sweep_at(&f, s->progress, false, &steps);
		if (s->progress >= AEGIS_USER_MAX)
			s->progress = 0;
	}
	_flush_finish(&f);
	COUNT(sweeps);
}

void
_space_drop(struct space *s)
{
	struct flush f;

	flush_start(&f, s, s);
	for (uint64_t va = 0; va < AEGIS_USER_MAX;) {
		uint32_t steps = SWEEP_STEPS;

		va = _sweep_at(&f, va, true, &steps);
	}
	_flush_finish(&f);
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
