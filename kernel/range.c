/* SPDX-License-Identifier: MIT */
/*
 * Ranges of bindings: tlb_delete, and what protect.c leaves of tlb_protect.
 *
 * 1. The invariants of tlb.c hold after each run: a run is what lies in one page table.
 * 2. Rights are added only as far as the holdings have them, looked at before a run is touched.
 * 3. A range longer than RANGE_STEPS entries is done in parts; the record in the caller's area is
 *    its progress, untrusted like any other record.
 * 4. Accessed and dirty bits come out of the same exchange that changes the entry, so that none is
 *    lost to a processor that sets them meanwhile.
 *
 * Lock: the space's, and the caller's, which gets the tables that are taken out.
 */
#include "tlb.h"

#define RANGE_STEPS   4096u /* entries that one call looks at */
#define PTE_PROT_BITS (AEGIS_PTE_WRITE | AEGIS_PTE_NX | PTE_KEY(15))

/* ---- tlb_protect, tlb_delete: ranges ---- */

struct range {
	struct flush flush;
	struct change change; /* protect */
	uint32_t prot;        /* protect: rights that are to be there */
	uint32_t steps;
	uint64_t seen; /* entries so far, disjunction */
};

/* Whether the holdings allow what `prot` adds. */
static status
_protect_check(const struct range *r, const struct run *run)
{
	struct hold_cache cache = HOLD_CACHE;
	uint8_t need = r->change.need;

	if (!need)
		return AEGIS_OK;
	for (uint64_t i = 0; i < run->n; i++) {
		uint64_t pte = run->pte[i];
		uint32_t pfn = pte_pfn(pte), prot = r->prot;
		const uint8_t *hold;

		if (!(pte & AEGIS_PTE_PRESENT))
			continue;
		if (pte & PTE_UNCACHED)
			prot |= AEGIS_BIND_UNCACHED;
		hold = _hold_at(&cache, r->flush.space, pfn);
		for (uint32_t j = 0; j < run->each; j++) {
			if (hold[j] < need)
				return AEGIS_NOT_HELD;
		}
		if (pfn < frame_count && frames[pfn].kind == FRAME_USER)
			continue;
		if (kind_check(frame_kind(pfn), prot) != AEGIS_OK)
			return AEGIS_DENIED;
	}
	return AEGIS_OK;
}

static status
_range_protect(struct range *r, const struct run *run)
{
	uint64_t seen;
	status st = _protect_check(r, run);

	if (st != AEGIS_OK)
		return st;
	seen = _entries_change(run->pte, run->pte + run->n, r->change);
	r->seen |= seen;
	if (seen & AEGIS_PTE_ACCESSED)
		flush_add(&r->flush, run->va, run->n * run->each);
	return AEGIS_OK;
}

static enum run_word
judge_unneeded(uint32_t pfn, uint8_t hold)
{
	return (hold & AEGIS_HOLD_PIN) && area_last(pfn, hold) ? RUN_REFUSED : RUN_GOES;
}

static status
_range_delete(struct range *r, const struct run *run)
{
	return _run_unbind(&r->flush, run, judge_unneeded, &r->seen);
}

typedef status range_step(struct range *r, const struct run *run);

/* Applies `step` to pages of *va, narrowing the range to what remains.  AGAIN: steps are used up.
 */
static status
_range_walk(struct range *r, uint64_t *va, uint64_t *pages, range_step *step)
{
	while (*pages) {
		struct run run;
		status st;

		if (!r->steps)
			return AEGIS_AGAIN;
		run = _run_at(r->flush.space, *va, *pages, &r->steps);
		if (run.each > 1 && (run.va != *va || *pages < LARGE_PAGES))
			return AEGIS_IN_USE;
		st = run.pte ? step(r, &run) : AEGIS_OK;
		if (st != AEGIS_OK)
			return st;
		*va += run.n * run.each * PAGE;
		*pages -= run.n * run.each;
	}
	return AEGIS_OK;
}

static status
_table_remove(struct range *r, struct pair *p, uint64_t va, uint32_t prot)
{
	uint64_t *entry;
	uint32_t parent, pfn;
	status st = _table_place(p->to, va, prot, &entry, &parent);

	if (st != AEGIS_OK)
		return st;
	if (!(*entry & AEGIS_PTE_PRESENT))
		return AEGIS_NOT_BOUND;
	pfn = pte_pfn(*entry);
	if ((*entry & AEGIS_PTE_LARGE) || frames[pfn].link)
		return AEGIS_IN_USE;
	if (!_hold_find(p->from, pfn))
		return AEGIS_NEED_TABLE;
	if (r->flush.tables == FLUSH_DROPS)
		_flush_finish(&r->flush);
	p->to->table_last_va = 0;
	__atomic_store_n(entry, 0, __ATOMIC_SEQ_CST);
	frames[parent].link--;
	r->flush.all = true;
	r->flush.table[r->flush.tables++] = pfn;
	return AEGIS_OK;
}

/* One record; writes back what was seen, and what remains if it is not done. */
static status
_record_range(struct range *r, struct pair *p, struct batch *b, struct aegis_bind rec,
	      range_step *step)
{
	volatile struct aegis_bind *out = (void *)b->at;
	uint64_t va = rec.va, pages = rec.pfn;
	status st;

	if (va % PAGE || va >= AEGIS_USER_MAX || pages > (AEGIS_USER_MAX - va) / PAGE)
		return AEGIS_BAD_ARG;
	if (rec.prot & AEGIS_BIND_TABLE)
		return step == _range_delete ? _table_remove(r, p, va, rec.prot) : AEGIS_BAD_ARG;
	r->seen = 0;
	st = _range_walk(r, &va, &pages, step);
	out->prot = rec.prot | was_bits(r->seen);
	if (pages) {
		out->va = va;
		out->pfn = (uint32_t)pages;
	}
	return st;
}

static status
_protect_start(struct range *r, struct aegis_bind rec, uint64_t nx)
{
	r->change = (struct change){~(AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY), 0, 0};
	r->prot = rec.prot;
	if (rec.prot & AEGIS_BIND_CLEAR)
		return rec.prot & ~(AEGIS_BIND_CLEAR | PROT_WAS) ? AEGIS_BAD_ARG : AEGIS_OK;
	r->change.keep &= ~PTE_PROT_BITS;
	r->change.set = pte_prot(rec.prot, nx);
	if (rec.prot & (AEGIS_BIND_WRITE | AEGIS_BIND_EXEC))
		r->change.need = hold_need(rec.prot);
	return prot_check(rec.prot, PROT_RWX | PROT_KEYS | PROT_WAS, r->flush.space->flags);
}

static status
range_call(uint32_t cap, uint32_t space, uint32_t area, uint32_t n, range_step *step)
{
	struct env *self = current();
	uint64_t nx = machine_pte_nx();
	struct pair p;
	struct range r;
	struct batch b;
	status st;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_bind)))
		return AEGIS_BAD_ARG;
	st = pair_lock(self, cap, space, &p);
	if (st != AEGIS_OK)
		return st;
	flush_start(&r.flush, p.to, p.from);
	r.steps = RANGE_STEPS;
	for (; b.left; batch_next(&b)) {
		struct aegis_bind rec = batch_bind(&b);

		if (step == _range_protect)
			st = _protect_start(&r, rec, nx);
		else if (rec.prot & ~(PROT_TABLE | PROT_WAS))
			st = AEGIS_BAD_ARG;
		if (st == AEGIS_OK)
			st = _record_range(&r, &p, &b, rec, step);
		if (st != AEGIS_OK)
			break;
	}
	_flush_finish(&r.flush);
	pair_unlock(&p);
	/* A range that is not finished is no error: the record tells what remains. */
	return b.done || st == AEGIS_AGAIN ? b.done : st;
}

status
protect_general(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	return range_call(cap, space, area, n, _range_protect);
}

status
sys_tlb_delete(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	COUNT(delete_calls);
	return range_call(cap, space, area, n, _range_delete);
}
