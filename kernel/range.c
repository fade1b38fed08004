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

/* Whether the holdings allow what `prot` adds; entries are small, or one large. */
static status
_protect_check(const struct range *r, const uint64_t *pte, uint64_t n)
{
	struct hold_cache cache = HOLD_CACHE;
	uint8_t need = r->change.need;

	if (!need)
		return AEGIS_OK;
	for (uint64_t i = 0; i < n; i++) {
		uint32_t pfn = pte_pfn(pte[i]);
		uint64_t pages = pte[i] & AEGIS_PTE_LARGE ? LARGE_PAGES : 1;
		const uint8_t *hold;
		uint32_t prot = r->prot;

		if (!(pte[i] & AEGIS_PTE_PRESENT))
			continue;
		if (pte[i] & PTE_UNCACHED)
			prot |= AEGIS_BIND_UNCACHED;
		hold = _hold_at(&cache, r->flush.space, pfn);
		for (uint64_t j = 0; j < pages; j++) {
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
_range_protect(struct range *r, uint64_t *pte, uint32_t table, uint64_t va, uint64_t n)
{
	bool large = *pte & AEGIS_PTE_PRESENT && *pte & AEGIS_PTE_LARGE;
	uint64_t seen;
	status st = _protect_check(r, pte, n);

	(void)table;
	if (st != AEGIS_OK)
		return st;
	seen = _entries_change(pte, pte + n, r->change);
	r->seen |= seen;
	if (seen & AEGIS_PTE_ACCESSED) {
		if (large)
			r->flush.all = true;
		else
			flush_add(&r->flush, va, n);
	}
	return AEGIS_OK;
}

static bool
_large_area(struct space *s, uint64_t pte)
{
	const uint8_t *hold = _hold_find(s, pte_pfn(pte));

	for (uint32_t i = 0; i < LARGE_PAGES; i++) {
		if (area_last(pte_pfn(pte) + i, hold[i]))
			return true;
	}
	return false;
}

/* A large binding, on request. */
static status
_large_delete(struct range *r, uint64_t *pte, uint32_t table)
{
	if (_large_area(r->flush.space, *pte))
		return AEGIS_IN_USE;
	r->seen |= *pte;
	_large_unbind(&r->flush, pte, table);
	return AEGIS_OK;
}

static status
_range_delete(struct range *r, uint64_t *pte, uint32_t table, uint64_t va, uint64_t n)
{
	struct space *s = r->flush.space;
	struct hold_cache cache = HOLD_CACHE;
	uint64_t first = n, last = 0, seen = 0, i;
	status st = AEGIS_OK;
	uint32_t gone = 0;

	if ((*pte & AEGIS_PTE_PRESENT) && (*pte & AEGIS_PTE_LARGE))
		return _large_delete(r, pte, table);
	for (i = 0; i < n; i++) {
		uint64_t old = pte[i];
		uint32_t pfn = pte_pfn(old);
		uint8_t *hold;

		if (!old)
			continue;
		hold = _hold_at(&cache, s, pfn);
		if ((*hold & AEGIS_HOLD_PIN) && area_last(pfn, *hold)) {
			st = AEGIS_IN_USE;
			break;
		}
		/* Read again: the processor may set bits until the exchange. */
		old = __atomic_exchange_n(&pte[i], 0, __ATOMIC_SEQ_CST);
		seen |= old;
		gone++;
		if (old & AEGIS_PTE_ACCESSED) {
			first = i < first ? i : first;
			last = i;
			if (!(*hold & AEGIS_HOLD_READ))
				flush_add(&r->flush, va + i * PAGE, 1); /* before it is released */
		}
		_hold_uncount(&r->flush, hold, pfn);
	}
	if (first < n)
		flush_add(&r->flush, va + first * PAGE, last - first + 1);
	frames[table].link -= gone;
	r->seen |= seen;
	return st;
}

typedef status range_step(struct range *r, uint64_t *pte, uint32_t table, uint64_t va, uint64_t n);

/* Applies `step` to pages of *va, narrowing the range to what remains.  AGAIN: steps are used up.
 */
static status
_range_walk(struct range *r, uint64_t *va, uint64_t *pages, range_step *step)
{
	while (*pages) {
		uint64_t size, n, *large, *table;
		uint32_t pfn;
		status st = AEGIS_OK;

		if (!r->steps)
			return AEGIS_AGAIN;
		table = _table_find(r->flush.space, *va, 1, &pfn, &size, &large);
		if (large && (*va % AEGIS_LARGE_PAGE || *pages < LARGE_PAGES))
			return AEGIS_IN_USE;
		if (table) {
			n = 512 - *va / PAGE % 512;
			n = n < *pages ? n : *pages;
			n = n < r->steps ? n : r->steps;
			st = step(r, &table[*va / PAGE % 512], pfn, *va, n);
			r->steps -= (uint32_t)n;
		} else {
			n = (size - *va % size) / PAGE;
			n = n < *pages ? n : *pages;
			r->steps--;
			if (large) {
				st = step(r, large, pfn, *va, 1);
				r->steps -= r->steps < LARGE_PAGES ? r->steps : LARGE_PAGES;
			}
		}
		if (st != AEGIS_OK)
			return st;
		*va += n * PAGE;
		*pages -= n;
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
