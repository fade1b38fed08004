/* SPDX-License-Identifier: MIT */
/*
 * Bindings: the page table of a space as the kernel's cache of secure bindings.
 *
 * 1. An entry binds a frame only if the space holds it with the rights the entry gives; the
 *    holding's count is the number of its entries (a large one counts for each of its frames).
 * 2. Frames that are bound are FRAME_USER, or FRAME_EXPOSED and FRAME_HOLD read only, or
 *    device registers uncached; never tables, objects, the kernel's own or free ones.
 * 3. frames[table].link is the number of entries in use; a table with 0 is all zeros, and
 *    only such a table is taken out.  The kernel half and the window of the top table do not
 *    count.
 * 4. No entry is writable and executable unless the space was made so.
 * 5. Entries are exchanged atomically, so that no accessed or dirty bit is lost to another
 *    processor.
 * 6. The accessed bits that an operation saw tell what has to be forgotten; see flush.c.
 *
 * Lock: the space's, and for a foreign space also the caller's, whose holdings are the source.
 * Exposed: the window.  Revoked: sweep.c; guaranteed bindings with their space or by force
 * only.
 */
#include "tlb.h"

#define TABLES_MAX  32u   /* tables that one call supplies, because of the clearing */
#define RANGE_STEPS 4096u /* entries that one protect or delete looks at */

#define PROT_RWX  (AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_EXEC)
#define PROT_KEYS AEGIS_BIND_KEY(15)
#define PROT_WRITE \
	(PROT_RWX | AEGIS_BIND_GUARANTEED | AEGIS_BIND_LARGE | AEGIS_BIND_UNCACHED | PROT_KEYS)
#define PROT_TABLE (AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(15))
#define PROT_WAS   (AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY)

/* ---- pure parts ---- */

static uint64_t
table_reach(uint32_t level) /* bytes that a table of this level translates */
{
	return 1ul << (12 + 9 * level);
}

static bool
va_valid(uint64_t va)
{
	return va % PAGE == 0 && va >= AEGIS_USER_MIN && va < AEGIS_USER_MAX;
}

/* The part of an entry that protection decides. */
static inline uint64_t
pte_prot(uint32_t prot, uint64_t nx)
{
	uint64_t pte = PTE_KEY(prot >> 12 & 15);

	if (prot & AEGIS_BIND_WRITE)
		pte |= AEGIS_PTE_WRITE;
	if (!(prot & AEGIS_BIND_EXEC))
		pte |= nx;
	return pte;
}
#define PTE_PROT_BITS (AEGIS_PTE_WRITE | AEGIS_PTE_NX | PTE_KEY(15))

static inline uint64_t
pte_compose(uint32_t pfn, uint32_t prot, uint64_t nx)
{
	uint64_t pte = (uint64_t)pfn << AEGIS_PAGE_SHIFT | AEGIS_PTE_PRESENT | AEGIS_PTE_USER;

	if (prot & AEGIS_BIND_UNCACHED)
		pte |= PTE_UNCACHED;
	if (prot & AEGIS_BIND_LARGE)
		pte |= AEGIS_PTE_LARGE;
	return pte | pte_prot(prot, nx);
}

static status
prot_check(uint32_t prot, uint32_t allowed, uint32_t space_flags)
{
	if ((prot & ~allowed) || !(prot & PROT_RWX))
		return AEGIS_BAD_ARG;
	if ((prot & AEGIS_BIND_WRITE) && (prot & AEGIS_BIND_EXEC) &&
	    !(space_flags & AEGIS_SPACE_WX))
		return AEGIS_WX;
	return AEGIS_OK;
}

/* Whether a frame of this kind may be bound so. */
static status
kind_check(enum frame_kind kind, uint32_t prot)
{
	switch (kind) {
	case FRAME_USER:
		return prot & AEGIS_BIND_UNCACHED ? AEGIS_BAD_ARG : AEGIS_OK;
	case FRAME_EXPOSED:
	case FRAME_HOLD:
		return prot & (AEGIS_BIND_WRITE | AEGIS_BIND_EXEC | AEGIS_BIND_UNCACHED |
			       AEGIS_BIND_LARGE)
			       ? AEGIS_DENIED
			       : AEGIS_OK;
	case FRAME_DEVICE:
		return (prot & (AEGIS_BIND_EXEC | AEGIS_BIND_UNCACHED | AEGIS_BIND_LARGE)) ==
				       AEGIS_BIND_UNCACHED
			       ? AEGIS_OK
			       : AEGIS_DENIED;
	default:
		return AEGIS_NOT_HELD;
	}
}

static uint32_t
was_bits(uint64_t seen)
{
	return (seen & AEGIS_PTE_ACCESSED ? AEGIS_WAS_ACCESSED : 0) |
	       (seen & AEGIS_PTE_DIRTY ? AEGIS_WAS_DIRTY : 0);
}

/* ---- tables ---- */

uint64_t *
_table_find(struct space *s, uint64_t va, uint32_t level, uint32_t *pfn, uint64_t *size,
	    uint64_t **large)
{
	uint64_t *table;

	*pfn = s->root;
	*large = NULL;
	*size = PAGE;
	for (uint32_t at = 4;; at--) {
		uint64_t *entry;

		table = machine_frame(*pfn);
		if (at == level)
			return table;
		entry = &table[va >> (3 + 9 * at) & 511];
		if (!(*entry & AEGIS_PTE_PRESENT) || (*entry & AEGIS_PTE_LARGE)) {
			if (*entry & AEGIS_PTE_PRESENT)
				*large = entry;
			*size = table_reach(at - 1);
			return NULL;
		}
		*pfn = pte_pfn(*entry);
	}
}

void
_page_unbind(struct flush *f, uint64_t *pte, uint32_t table, uint64_t va)
{
	uint64_t old = __atomic_exchange_n(pte, 0, __ATOMIC_SEQ_CST);
	uint32_t pfn = pte_pfn(old);

	frames[table].link--;
	if (old & AEGIS_PTE_ACCESSED)
		flush_add(f, va, 1);
	_hold_uncount(f, _hold_find(f->space, pfn), pfn);
}

void
_large_unbind(struct flush *f, uint64_t *pte, uint32_t table)
{
	uint64_t old = __atomic_exchange_n(pte, 0, __ATOMIC_SEQ_CST);
	uint32_t pfn = pte_pfn(old);
	uint8_t *hold = _hold_find(f->space, pfn);

	frames[table].link--;
	if (old & AEGIS_PTE_ACCESSED)
		f->all = true;
	for (uint32_t i = 0; i < LARGE_PAGES; i++)
		_hold_uncount(f, hold + i, pfn + i);
}

/* ---- tlb_write ---- */

struct writer {
	struct pair pair;
	struct flush flush;
	uint64_t nx;
	uint64_t region; /* va / AEGIS_LARGE_PAGE for which table is the page table; ~0: none */
	uint64_t *table;
	uint32_t table_pfn;
	uint32_t tables;
	struct hold_cache to, from;
	/* What the last record passed: like ones need no more than _run_fast. */
	uint32_t prot; /* 0: nothing */
	uint64_t bits;
};

/* What `to` may do with the frame, or would be given.  *hold is its byte. */
static inline status
_frame_check(struct writer *w, uint32_t pfn, uint32_t prot, uint8_t **hold)
{
	uint8_t need = hold_need(prot);
	uint8_t *giver;
	status st;

	if (pfn >= PFN_MAX)
		return AEGIS_NO_SUCH;
	*hold = _hold_at(&w->to, w->pair.to, pfn);
	if (w->pair.from == w->pair.to) {
		if (!*hold || (**hold & need) != need)
			return AEGIS_NOT_HELD;
	} else {
		giver = _hold_at(&w->from, w->pair.from, pfn);
		st = share_check(pfn, giver ? *giver : 0, need);
		if (st != AEGIS_OK)
			return st;
		if (!*hold)
			return AEGIS_NEED_TABLE;
		if (hold_stripped(**hold))
			return AEGIS_AGAIN;
	}
	if ((**hold & AEGIS_HOLD_COUNT) == AEGIS_BIND_MAX)
		return AEGIS_LIMIT;
	if (pfn < frame_count && frames[pfn].kind == FRAME_USER && !(prot & AEGIS_BIND_UNCACHED))
		return AEGIS_OK;
	return kind_check(frame_kind(pfn), prot);
}

static inline void
_frame_count(struct writer *w, uint32_t pfn, uint32_t prot, uint8_t *hold)
{
	if (w->pair.from != w->pair.to)
		_hold_give(hold, pfn, hold_need(prot));
	*hold = (uint8_t)(*hold + 1);
}

static status
_page_table(struct writer *w, uint64_t va)
{
	uint64_t size, *large;

	w->region = ~0ul;
	w->prot = 0;
	w->table = _table_find(w->pair.to, va, 1, &w->table_pfn, &size, &large);
	if (!w->table)
		return large ? AEGIS_IN_USE : AEGIS_NEED_TABLE;
	w->region = va / AEGIS_LARGE_PAGE;
	return AEGIS_OK;
}

static status
_page_bind(struct writer *w, uint64_t va, uint32_t pfn, uint32_t prot)
{
	uint8_t *hold, *before = NULL;
	uint64_t *pte, old;
	status st;

	if (!va_valid(va))
		return AEGIS_BAD_ARG;
	st = _frame_check(w, pfn, prot, &hold);
	if (st != AEGIS_OK)
		return st;
	if (va / AEGIS_LARGE_PAGE != w->region) {
		st = _page_table(w, va);
		if (st != AEGIS_OK)
			return st;
	}
	pte = &w->table[va / PAGE % 512];
	old = *pte;
	if (old & AEGIS_PTE_PRESENT) {
		before = _hold_find(w->pair.to, pte_pfn(old));
		if (pte_pfn(old) != pfn && area_last(pte_pfn(old), *before))
			return AEGIS_IN_USE;
	}
	if ((prot & AEGIS_BIND_GUARANTEED) && !_hold_pin_allowed(w->pair.to, *hold))
		return AEGIS_LIMIT;
	_frame_count(w, pfn, prot, hold);
	if (prot & AEGIS_BIND_GUARANTEED)
		_hold_pin(w->pair.to, hold);
	if (!before) {
		frames[w->table_pfn].link++;
		__atomic_store_n(pte, pte_compose(pfn, prot, w->nx), __ATOMIC_RELEASE);
		return AEGIS_OK;
	}
	old = __atomic_exchange_n(pte, pte_compose(pfn, prot, w->nx), __ATOMIC_SEQ_CST);
	if (old & AEGIS_PTE_ACCESSED)
		flush_add(&w->flush, va, 1);
	_hold_uncount(&w->flush, before, pte_pfn(old));
	return AEGIS_OK;
}

/* All 512 frames, or none. */
static status
_large_bind(struct writer *w, uint64_t va, uint32_t pfn, uint32_t prot)
{
	uint64_t *table, *large, size;
	uint32_t table_pfn;
	uint8_t *hold;
	status st;

	if (!va_valid(va) || va % AEGIS_LARGE_PAGE || pfn % LARGE_PAGES)
		return AEGIS_BAD_ARG;
	if (prot & AEGIS_BIND_GUARANTEED)
		return AEGIS_LIMIT;
	for (uint32_t i = 0; i < LARGE_PAGES; i++) {
		st = _frame_check(w, pfn + i, prot, &hold);
		if (st != AEGIS_OK)
			return st;
	}
	table = _table_find(w->pair.to, va, 2, &table_pfn, &size, &large);
	if (!table)
		return AEGIS_NEED_TABLE;
	if (table[va / AEGIS_LARGE_PAGE % 512] & AEGIS_PTE_PRESENT)
		return AEGIS_IN_USE;
	hold = _hold_find(w->pair.to, pfn);
	for (uint32_t i = 0; i < LARGE_PAGES; i++)
		_frame_count(w, pfn + i, prot, hold + i);
	frames[table_pfn].link++;
	__atomic_store_n(&table[va / AEGIS_LARGE_PAGE % 512], pte_compose(pfn, prot, w->nx),
			 __ATOMIC_RELEASE);
	return AEGIS_OK;
}

/* Place of the entry for the table of `level` that is to translate va. */
static status
_table_place(struct space *s, uint64_t va, uint32_t prot, uint64_t **entry, uint32_t *parent)
{
	uint32_t level = prot >> 8 & 15;
	uint64_t *table, *large, size;

	if ((prot & ~(PROT_TABLE | PROT_WAS)) || level < 1 || level > 3 || va >= AEGIS_USER_MAX ||
	    va % table_reach(level))
		return AEGIS_BAD_ARG;
	table = _table_find(s, va, level + 1, parent, &size, &large);
	if (!table)
		return AEGIS_NEED_TABLE;
	*entry = &table[va / table_reach(level) % 512];
	return AEGIS_OK;
}

static status
_table_supply(struct writer *w, uint64_t va, uint32_t pfn, uint32_t prot)
{
	uint64_t *entry;
	uint32_t parent;
	status st = _table_place(w->pair.to, va, prot & ~PROT_WAS, &entry, &parent);

	if (st != AEGIS_OK)
		return st;
	if (*entry & AEGIS_PTE_PRESENT)
		return AEGIS_IN_USE;
	st = _mem_retype(w->pair.from, pfn, FRAME_TABLE);
	if (st != AEGIS_OK)
		return st;
	machine_frame_clear(pfn);
	frames[parent].link++;
	__atomic_store_n(entry, (uint64_t)pfn << AEGIS_PAGE_SHIFT | PTE_TABLE, __ATOMIC_RELEASE);
	w->tables++;
	return AEGIS_OK;
}

/*
 * The common case of _page_bind, with no doubts left, for up to n records of one page of the area:
 * same protection and page table as the record before, frames of memory of the same span, nothing
 * bound there.  Answers how many it did; _page_bind decides about the next.
 */
static inline uint32_t
_run_fast(struct writer *w, const uint8_t *records, uint32_t n, bool foreign)
{
	const uint32_t prot = w->prot, span = w->to.span;
	const uint64_t bits = w->bits, region = w->region;
	const uint8_t need = hold_need(prot);
	uint64_t *const table = w->table;
	uint8_t *const page = w->to.page;
	uint32_t i;

	for (i = 0; i < n; i++) {
		const volatile struct aegis_bind *r =
			(const struct aegis_bind *)(const void *)records;
		uint64_t va = r->va, *pte;
		uint32_t pfn = r->pfn, h;

		if (r->prot != prot || va / AEGIS_LARGE_PAGE != region || va % PAGE ||
		    pfn / AEGIS_HOLD_SPAN != span)
			break;
		pte = &table[va / PAGE % 512];
		if (*pte)
			break;
		h = page[pfn % AEGIS_HOLD_SPAN];
		/* READ is the highest bit and WRITE the next: more rights are a greater number. */
		if (foreign) {
			if (w->from.page[pfn % AEGIS_HOLD_SPAN] < need || (h && h < need) ||
			    frames[pfn].kind != FRAME_USER || (frames[pfn].flags & FRAME_REVOKED))
				break;
		} else {
			if (h < need ||
			    ((prot & AEGIS_BIND_EXEC) && frames[pfn].kind != FRAME_USER))
				break;
		}
		if (!((h + 1) & AEGIS_HOLD_COUNT))
			break;
		if (foreign && !h) {
			atomic_fetch_add(&frames[pfn].refs, 1);
			h = need;
		}
		page[pfn % AEGIS_HOLD_SPAN] = (uint8_t)(h + 1);
		__atomic_store_n(pte, (uint64_t)pfn << AEGIS_PAGE_SHIFT | bits, __ATOMIC_RELEASE);
		records += sizeof(struct aegis_bind);
	}
	if (i)
		frames[w->table_pfn].link += i;
	return i;
}

/* Records of the batch, of which `left` remain, that need no more thought. */
static uint32_t
_batch_fast(struct writer *w, const struct batch *b, uint32_t left)
{
	uint32_t n = (PAGE - b->offset % PAGE) / sizeof(struct aegis_bind);

	n = n < left ? n : left;
	if (!w->prot)
		return 0;
	if (w->pair.from == w->pair.to)
		return _run_fast(w, b->at, n, false);
	return w->from.span == w->to.span ? _run_fast(w, b->at, n, true) : 0;
}

/* What _run_fast may assume after _page_bind succeeded. */
static void
_fast_prepare(struct writer *w, uint32_t prot)
{
	bool plain = !(prot & (AEGIS_BIND_GUARANTEED | AEGIS_BIND_UNCACHED)) && w->region &&
		     !w->pair.to->devices && !w->pair.from->devices;

	w->prot = plain ? prot : 0;
	w->bits = pte_compose(0, prot, w->nx);
}

static inline struct aegis_bind
batch_bind(const struct batch *b)
{
	const volatile struct aegis_bind *r = (const void *)b->at;

	return (struct aegis_bind){r->va, r->pfn, r->prot};
}

static status
_record_write(struct writer *w, struct aegis_bind rec)
{
	status st;

	if (rec.prot & AEGIS_BIND_TABLE)
		return _table_supply(w, rec.va, rec.pfn, rec.prot);
	st = prot_check(rec.prot, PROT_WRITE, w->pair.to->flags);
	if (st != AEGIS_OK)
		return st;
	if (rec.prot & AEGIS_BIND_LARGE)
		return _large_bind(w, rec.va, rec.pfn, rec.prot);
	st = _page_bind(w, rec.va, rec.pfn, rec.prot);
	if (st == AEGIS_OK && rec.prot != w->prot)
		_fast_prepare(w, rec.prot);
	return st;
}

status
sys_tlb_write(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	struct env *self = current();
	uint32_t i, steps = 0;
	struct writer w;
	struct batch b;
	status st;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_bind)))
		return AEGIS_BAD_ARG;
	st = pair_lock(self, cap, space, &w.pair);
	if (st != AEGIS_OK)
		return st;
	flush_start(&w.flush, w.pair.to, w.pair.from);
	w.nx = machine_pte_nx();
	w.region = ~0ul;
	w.tables = w.prot = 0;
	w.to = w.from = (struct hold_cache)HOLD_CACHE;
	if (n > AEGIS_BATCH_STEPS)
		n = AEGIS_BATCH_STEPS;
	for (i = 0; i < n && w.tables < TABLES_MAX && steps < RANGE_STEPS;) {
		struct aegis_bind rec = batch_bind(&b);
		uint32_t fast;

		st = _record_write(&w, rec);
		if (st != AEGIS_OK)
			break;
		steps += rec.prot & AEGIS_BIND_LARGE ? LARGE_PAGES : 1;
		if (++i == n)
			break;
		batch_next(&b);
		fast = _batch_fast(&w, &b, n - i);
		i += fast;
		if (fast && i < n)
			batch_skip(&b, fast);
	}
	_flush_finish(&w.flush);
	pair_unlock(&w.pair);
	COUNT_ADD(bindings_written, i);
	return i ? i : st;
}

status
_space_bind(struct space *s, uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct writer w = {.pair = {s, s, false},
			   .nx = machine_pte_nx(),
			   .region = ~0ul,
			   .to = HOLD_CACHE,
			   .from = HOLD_CACHE};
	status st;

	flush_start(&w.flush, s, s);
	st = prot_check(prot, PROT_WRITE & ~AEGIS_BIND_LARGE, s->flags);
	if (st == AEGIS_OK)
		st = _page_bind(&w, va, pfn, prot);
	_flush_finish(&w.flush);
	return st;
}

/* ---- tlb_protect, tlb_delete: ranges ---- */

struct range {
	struct flush flush;
	uint64_t keep, set; /* protect: entry = entry & keep | set */
	uint32_t prot;      /* protect: rights that are to be there */
	uint32_t steps;
	uint64_t seen; /* entries so far, disjunction */
};

static uint64_t
_protect_run(const struct range *r, uint64_t *pte, uint64_t n)
{
	uint64_t keep = r->keep, set = r->set, seen = 0;

	for (uint64_t *end = pte + n; pte != end; pte++) {
		uint64_t old = *pte;

		if (!(old & AEGIS_PTE_PRESENT))
			continue;
		while (!__atomic_compare_exchange_n(pte, &old, (old & keep) | set, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			;
		seen |= old;
	}
	return seen;
}

/* Whether the holdings allow what `prot` adds; entries are small, or one large. */
static status
_protect_check(const struct range *r, const uint64_t *pte, uint64_t n)
{
	struct hold_cache cache = HOLD_CACHE;
	uint8_t need = hold_need(r->prot);

	if (!(r->prot & (AEGIS_BIND_WRITE | AEGIS_BIND_EXEC)))
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
	seen = _protect_run(r, pte, n);
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
	status st;

	if (rec.prot & AEGIS_BIND_CLEAR) {
		r->keep = ~(AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY);
		r->set = 0;
		r->prot = 0;
		return rec.prot & ~(AEGIS_BIND_CLEAR | PROT_WAS) ? AEGIS_BAD_ARG : AEGIS_OK;
	}
	st = prot_check(rec.prot, PROT_RWX | PROT_KEYS | PROT_WAS, r->flush.space->flags);
	r->keep = ~(PTE_PROT_BITS | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY);
	r->set = pte_prot(rec.prot, nx);
	r->prot = rec.prot;
	return st;
}

static status
range_call(uint32_t cap, uint32_t space, uint32_t area, uint32_t n, range_step *step)
{
	struct env *self = current();
	uint64_t nx = machine_pte_nx();
	struct pair p;
	struct range r;
	struct batch b;
	uint32_t i;
	status st;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_bind)))
		return AEGIS_BAD_ARG;
	st = pair_lock(self, cap, space, &p);
	if (st != AEGIS_OK)
		return st;
	flush_start(&r.flush, p.to, p.from);
	r.steps = RANGE_STEPS;
	if (n > AEGIS_BATCH_STEPS)
		n = AEGIS_BATCH_STEPS;
	for (i = 0; i < n; i++) {
		struct aegis_bind rec = batch_bind(&b);

		if (step == _range_protect)
			st = _protect_start(&r, rec, nx);
		else if (rec.prot & ~(PROT_TABLE | PROT_WAS))
			st = AEGIS_BAD_ARG;
		if (st == AEGIS_OK)
			st = _record_range(&r, &p, &b, rec, step);
		if (st != AEGIS_OK)
			break;
		if (i + 1 < n)
			batch_next(&b);
	}
	_flush_finish(&r.flush);
	pair_unlock(&p);
	/* A range that is not finished is no error: the record tells what remains. */
	return i || st == AEGIS_AGAIN ? (status)i : st;
}

status
sys_tlb_protect(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	COUNT(protect_calls);
	return range_call(cap, space, area, n, _range_protect);
}

status
sys_tlb_delete(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	COUNT(delete_calls);
	return range_call(cap, space, area, n, _range_delete);
}
