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
 *    count.  Of an entry in use frames[table].flags has the bit of its sixty-four.
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
#define WRITE_STEPS 4096u /* entries that one call writes */
#define CLEARS_MAX  32u   /* frames that one call clears for their first binding */

#define PROT_WRITE \
	(PROT_RWX | AEGIS_BIND_GUARANTEED | AEGIS_BIND_LARGE | AEGIS_BIND_UNCACHED | PROT_KEYS)

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

status
prot_check(uint32_t prot, uint32_t allowed, uint32_t space_flags)
{
	if ((prot & ~allowed) || !(prot & PROT_RWX))
		return AEGIS_BAD_ARG;
	if ((prot & AEGIS_BIND_WRITE) && (prot & AEGIS_BIND_EXEC) &&
	    !(space_flags & AEGIS_SPACE_WX))
		return AEGIS_WX;
	return AEGIS_OK;
}

status
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

struct run
_run_at(struct space *s, uint64_t va, uint64_t pages, uint32_t *steps)
{
	struct run r = {.va = va, .each = 1};
	uint64_t size, *large, *table;
	uint32_t cost = 1;

	table = _table_find(s, va, 1, &r.table, &size, &large);
	if (large) {
		r = (struct run){large, va & ~(AEGIS_LARGE_PAGE - 1), 1, LARGE_PAGES, r.table};
		cost = LARGE_PAGES;
	} else {
		if (table) {
			r.pte = &table[va / PAGE % 512];
			size = AEGIS_LARGE_PAGE;
			pages = pages < *steps ? pages : *steps;
		}
		r.n = (size - va % size) / PAGE;
		r.n = r.n < pages ? r.n : pages;
		if (table)
			cost = (uint32_t)r.n;
	}
	*steps -= cost < *steps ? cost : *steps;
	return r;
}

/* ---- tlb_write ---- */

struct writer {
	struct pair pair;
	struct flush flush;
	uint64_t nx;
	uint64_t region; /* va / AEGIS_LARGE_PAGE for which table is the page table; ~0: none */
	uint64_t *table;
	uint32_t table_pfn;
	uint32_t tables, steps, cleared;
	/* No space had device registers, and the giver's frames may be shared: all that it holds is memory. */
	bool plain;
	/* Of the last run: `bits` is what its entries have besides the frame. */
	uint32_t prot; /* 0: none */
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
	*hold = _hold_find(w->pair.to, pfn);
	if (w->pair.from == w->pair.to) {
		if (!*hold || (**hold & need) != need)
			return AEGIS_NOT_HELD;
	} else {
		giver = _hold_find(w->pair.from, pfn);
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

/* The frame, of which _frame_check said that it may be bound, is fit to be seen. */
static inline void
_frame_show(struct writer *w, uint32_t pfn)
{
	if (pfn < frame_count && frames[pfn].kind == FRAME_USER)
		w->cleared += frame_clean(pfn);
}

static inline void
_frame_count(struct writer *w, uint32_t pfn, uint32_t prot, uint8_t *hold)
{
	if (w->pair.from != w->pair.to)
		_hold_give(w->pair.to, hold, pfn, hold_need(prot));
	*hold = (uint8_t)(*hold + 1);
}

static status
_page_table(struct writer *w, uint64_t va)
{
	uint64_t size, *large;

	w->region = ~0ul;
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
	_frame_show(w, pfn);
	_frame_count(w, pfn, prot, hold);
	if (prot & AEGIS_BIND_GUARANTEED)
		_hold_pin(w->pair.to, hold);
	if (!before) {
		_table_note(w->table_pfn, va / PAGE % 512, 1);
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
		_frame_show(w, pfn + i);
		if (w->cleared >= CLEARS_MAX)
			return AEGIS_AGAIN;
	}
	table = _table_find(w->pair.to, va, 2, &table_pfn, &size, &large);
	if (!table)
		return AEGIS_NEED_TABLE;
	if (table[va / AEGIS_LARGE_PAGE % 512] & AEGIS_PTE_PRESENT)
		return AEGIS_IN_USE;
	hold = _hold_find(w->pair.to, pfn);
	for (uint32_t i = 0; i < LARGE_PAGES; i++)
		_frame_count(w, pfn + i, prot, hold + i);
	_table_note(table_pfn, va / AEGIS_LARGE_PAGE % 512, 1);
	__atomic_store_n(&table[va / AEGIS_LARGE_PAGE % 512], pte_compose(pfn, prot, w->nx),
			 __ATOMIC_RELEASE);
	return AEGIS_OK;
}

status
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
	_table_note(parent, va / table_reach(prot >> 8 & 15) % 512, 1);
	__atomic_store_n(entry, (uint64_t)pfn << AEGIS_PAGE_SHIFT | PTE_TABLE, __ATOMIC_RELEASE);
	w->tables++;
	return AEGIS_OK;
}

#define LANE      8u /* pages that are bound at once: bytes of a word */
#define EACH_BYTE 0x0101010101010101ul

/* What a run goes through side by side. */
struct lane {
	uint8_t *hold;
	const uint8_t *giver;
	uint64_t *pte;
	struct frame *f;
	uint64_t entry; /* to be written next */
	uint32_t need, fresh, pin;
	uint32_t pinned; /* frames that were, times AEGIS_HOLD_PIN */
};

static inline void
_lane_on(struct lane *l, uint32_t n)
{
	l->hold += n;
	l->giver += n;
	l->pte += n;
	l->f += n;
	l->entry += n * PAGE;
}

/* LANE pages at once: plain memory, of which the space holds nothing yet.  False: nothing was done. */
static inline bool
_lane_all(struct lane *l)
{
	uint64_t held = 0, given = 0, fresh = l->fresh * EACH_BYTE, bound = 0;
	uint32_t kinds = 0, flags = 0;

	__builtin_memcpy(&held, l->hold, LANE);
	__builtin_memcpy(&given, l->giver, LANE);
	if (held || (~given & l->need * EACH_BYTE))
		return false;
#pragma GCC unroll 8
	for (uint32_t i = 0; i < LANE; i++) {
		bound |= l->pte[i];
		kinds |= l->f[i].kind ^ FRAME_USER;
		flags |= l->f[i].flags;
	}
	if (bound || kinds || (flags & FRAME_DIRTY))
		return false;
	__builtin_memcpy(l->hold, &fresh, LANE);
#pragma GCC unroll 8
	for (uint32_t i = 0; i < LANE; i++) {
		atomic_fetch_add(&l->f[i].refs, 1);
		__atomic_store_n(&l->pte[i], l->entry + i * PAGE, __ATOMIC_RELEASE);
	}
	return true;
}

/*
 * One page: plain memory, the giver has the rights, nothing is bound there.  READ is the highest bit and WRITE the
 * next: more rights are a greater number.
 */
static inline bool
_lane_one(struct lane *l)
{
	uint32_t h = *l->hold;

	if (*l->giver < l->need || *l->pte || l->f->kind != FRAME_USER ||
	    (l->f->flags & FRAME_DIRTY))
		return false;
	if (!h) {
		atomic_fetch_add(&l->f->refs, 1);
		*l->hold = (uint8_t)l->fresh;
	} else {
		if (h < l->need || !((h + 1) & AEGIS_HOLD_COUNT))
			return false;
		l->pinned += h & l->pin;
		*l->hold = (uint8_t)((h | l->need | l->pin) + 1);
	}
	__atomic_store_n(l->pte, l->entry, __ATOMIC_RELEASE);
	return true;
}

/* Up to n pages, which lie in one table and one span: as many as leave no doubt. */
static inline uint32_t
_run_steps(struct writer *w, struct lane *l, uint32_t at, uint32_t pfn, uint32_t n)
{
	struct space *s = w->pair.to;
	const uint32_t most = AEGIS_PINNED_MAX + s->area_pins;
	uint32_t i = 0;

	if (l->pin && s->pinned + n > most)
		n = s->pinned < most ? most - s->pinned : 0;
	for (; i + LANE <= n && _lane_all(l); i += LANE)
		_lane_on(l, LANE);
	for (; i < n && _lane_one(l); i++)
		_lane_on(l, 1);
	if (!i)
		return 0;
	if (l->pin)
		s->pinned += i - l->pinned / AEGIS_HOLD_PIN;
	_hold_note_run(s, pfn, i);
	_table_note(w->table_pfn, at, i);
	return i;
}

/*
 * The common case of _page_bind for up to n consecutive pages and frames: how many it did; _page_bind decides
 * about the next.  prot has passed prot_check.
 */
static uint32_t
_pages_fast(struct writer *w, uint64_t va, uint32_t pfn, uint32_t prot, uint32_t n)
{
	const uint32_t at = va / PAGE % 512, in_span = pfn % AEGIS_HOLD_SPAN;
	const uint8_t *giver;
	uint8_t *hold;
	struct lane l;

	if (!w->plain || !va_valid(va) || pfn >= PFN_MAX || (prot & AEGIS_BIND_UNCACHED))
		return 0;
	if (va / AEGIS_LARGE_PAGE != w->region && _page_table(w, va) != AEGIS_OK)
		return 0;
	giver = _hold_page(w->pair.from, pfn);
	hold = _hold_page(w->pair.to, pfn);
	if (!giver || !hold)
		return 0;
	l.giver = giver + in_span;
	l.hold = hold + in_span;
	l.f = &frames[pfn];
	if ((*l.giver & AEGIS_HOLD_READ) && (l.f->flags & FRAME_DIRTY))
		_frame_show(w, pfn);
	if (prot != w->prot) {
		w->prot = prot;
		w->bits = pte_compose(0, prot, w->nx);
	}
	l.need = hold_need(prot);
	l.pin = prot & AEGIS_BIND_GUARANTEED ? AEGIS_HOLD_PIN : 0;
	l.fresh = (l.need | l.pin) + 1;
	l.pinned = 0;
	l.pte = &w->table[at];
	l.entry = (uint64_t)pfn << AEGIS_PAGE_SHIFT | w->bits;
	n = n < 512 - at ? n : 512 - at;
	return _run_steps(w, &l, at, pfn,
			  n < AEGIS_HOLD_SPAN - in_span ? n : AEGIS_HOLD_SPAN - in_span);
}

static bool
write_enough(const struct writer *w)
{
	return w->tables >= TABLES_MAX || w->steps >= WRITE_STEPS || w->cleared >= CLEARS_MAX;
}

/* The pages of one record, which is narrowed to what is left of it. */
static status
_pages_bind(struct writer *w, struct aegis_bind *rec)
{
	uint32_t prot = rec->prot & ~PROT_MORE, left = 1 + (rec->prot & PROT_MORE) / PROT_ONE;
	status st = AEGIS_OK;

	do {
		uint32_t n = _pages_fast(w, rec->va, rec->pfn, prot, left);

		if (!n) {
			st = _page_bind(w, rec->va, rec->pfn, prot);
			if (st != AEGIS_OK)
				break;
			n = 1;
		}
		rec->va += n * PAGE;
		rec->pfn += n;
		w->steps += n;
		left -= n;
	} while (left && !write_enough(w));
	if (!left)
		return AEGIS_OK;
	rec->prot = prot | AEGIS_BIND_MORE(left - 1);
	return st == AEGIS_OK ? AEGIS_AGAIN : st;
}

static status
_record_write(struct writer *w, volatile struct aegis_bind *at)
{
	struct aegis_bind rec = {at->va, at->pfn, at->prot};
	uint64_t va = rec.va;
	status st;

	if (rec.prot & AEGIS_BIND_TABLE)
		return _table_supply(w, rec.va, rec.pfn, rec.prot);
	st = prot_check(rec.prot & ~PROT_MORE, PROT_WRITE, w->pair.to->flags);
	if (st != AEGIS_OK)
		return st;
	if (rec.prot & AEGIS_BIND_LARGE) {
		w->steps += LARGE_PAGES;
		return rec.prot & PROT_MORE ? AEGIS_BAD_ARG
					    : _large_bind(w, rec.va, rec.pfn, rec.prot);
	}
	st = _pages_bind(w, &rec);
	if (st != AEGIS_OK && rec.va != va) {
		at->va = rec.va;
		at->pfn = rec.pfn;
		at->prot = rec.prot;
	}
	return st;
}

static void
writer_start(struct writer *w)
{
	flush_start(&w->flush, w->pair.to, w->pair.from);
	w->nx = machine_pte_nx();
	w->region = ~0ul;
	w->tables = w->steps = w->cleared = w->prot = 0;
	/* Who begins a revocation comes to each space after that, and so after this call. */
	w->plain = !(w->pair.to->devices | w->pair.from->devices) &&
		   (w->pair.from == w->pair.to || !atomic_load(&revocation));
}

status
sys_tlb_write(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	struct env *self = current();
	struct writer w;
	struct batch b;
	status st;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_bind)))
		return AEGIS_BAD_ARG;
	st = pair_lock(self, cap, space, &w.pair);
	if (st != AEGIS_OK)
		return st;
	writer_start(&w);
	while (b.left && !write_enough(&w)) {
		st = _record_write(&w, (void *)b.at);
		if (st != AEGIS_OK)
			break;
		batch_next(&b);
	}
	_flush_finish(&w.flush);
	pair_unlock(&w.pair);
	COUNT_ADD(bindings_written, w.steps);
	return b.done ? b.done : st;
}

void
_space_bind(struct space *s, uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct writer w = {.pair = {s, s, false}};
	status st;

	writer_start(&w);
	st = _page_bind(&w, va, pfn, prot);
	assert(st == AEGIS_OK);
}
