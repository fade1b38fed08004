/* SPDX-License-Identifier: MIT */
/*
 * The short way of tlb_protect: what a program does after a fault, in few instructions.
 *
 * A few records, each of at most 512 pages of the caller's own space, without a right to execute.
 * Everything else, and every doubt, is left to range.c, which begins with the first record that is not
 * done.
 *
 * 1. An entry gets the right to write only if its holding has it, looked at before it changes; entries
 *    are exchanged, and the record is told what was seen.
 * 2. This processor forgets at once; the others that run the space are told once, at the end.
 * 3. At most 512 * SHORT_RECORDS entries are changed.
 *
 * Lock: the space's.
 */
#include "tlb.h"

#define SHORT_RECORDS 8u
#define PTE_BITS      (AEGIS_PTE_WRITE | AEGIS_PTE_NX | PTE_KEY(15))

/* False: a record that range.c decides about. */
static inline bool
change_read(struct change *c, uint32_t prot)
{
	c->keep = ~(AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY);
	c->set = 0;
	c->need = prot & AEGIS_BIND_WRITE ? HOLD_RIGHTS : 0;
	prot &= ~PROT_WAS;
	if (prot == AEGIS_BIND_CLEAR)
		return true;
	if ((prot & ~(AEGIS_BIND_READ | AEGIS_BIND_WRITE | PROT_KEYS)) ||
	    !(prot & (AEGIS_BIND_READ | AEGIS_BIND_WRITE)))
		return false;
	c->keep &= ~PTE_BITS;
	c->set = pte_prot(prot, machine_pte_nx());
	return true;
}

static inline const uint64_t *
table_next(const uint64_t *table, uint64_t index)
{
	uint64_t entry = table[index & 511];

	return (entry & (AEGIS_PTE_PRESENT | AEGIS_PTE_LARGE)) == AEGIS_PTE_PRESENT
		       ? machine_frame(pte_pfn(entry))
		       : NULL;
}

/* The entry for va in its page table, or NULL.  As _table_find, without a loop; remembers the table. */
static inline uint64_t *
_entry_find(struct space *s, uint64_t va)
{
	const uint64_t *table = s->table_last;

	if (s->table_last_va != (va | (AEGIS_LARGE_PAGE - 1))) {
		table = table_next(machine_frame(s->root), va >> 39);
		if (!table || !(table = table_next(table, va >> 30)) ||
		    !(table = table_next(table, va >> 21)))
			return NULL;
		s->table_last_va = va | (AEGIS_LARGE_PAGE - 1);
		s->table_last = (uint64_t *)table;
	}
	return (uint64_t *)&table[va >> 12 & 511];
}

/* _hold_find, of a frame that is bound and so has its byte. */
static inline const uint8_t *
_held_byte(struct space *s, uint32_t pfn)
{
	const uint32_t *directory = machine_frame(s->directory);
	const uint8_t *page = machine_frame(directory[pfn / AEGIS_HOLD_SPAN]);

	return page + pfn % AEGIS_HOLD_SPAN;
}

/* What entries have in common whose frames are in one page of holdings. */
#define SPAN_BITS (AEGIS_PTE_PRESENT | (AEGIS_PTE_FRAME & ~(AEGIS_HOLD_SPAN * PAGE - 1)))

/* _entries_change up to the first whose holding has not the right that is added; *at: which. */
static __attribute__((noinline)) uint64_t
_entries_widen(struct space *s, uint64_t **at, const uint64_t *end, const struct change *c)
{
	const uint8_t *page = NULL;
	uint64_t span = UINT64_MAX, seen = 0, *pte;

	for (pte = *at; pte != end; pte++) {
		uint64_t old = *pte;

		if ((old & SPAN_BITS) != span) {
			if (!(old & AEGIS_PTE_PRESENT))
				continue;
			span = old & SPAN_BITS;
			page = _held_byte(s, pte_pfn(span));
		}
		if (page[old / PAGE % AEGIS_HOLD_SPAN] < HOLD_RIGHTS)
			break;
		seen |= _entry_change(pte, old, *c);
	}
	*at = pte;
	return seen;
}

/* Up to n pages in one page table: how many are done; adds to *seen. */
static inline uint64_t
_run_change(struct space *s, uint64_t va, uint64_t n, const struct change *c, uint64_t *seen)
{
	uint64_t *pte = _entry_find(s, va), *end, bits;

	if (!pte)
		return 0;
	end = pte + n;
	if (c->need) {
		bits = _entries_widen(s, &pte, end, c);
		n -= (uint64_t)(end - pte);
	} else {
		bits = _entries_change(pte, end, *c);
	}
	*seen |= bits;
	if ((bits & AEGIS_PTE_ACCESSED) && n > FLUSH_PAGES) {
		machine_tlb_flush_all();
	} else if (bits & AEGIS_PTE_ACCESSED) {
		for (uint64_t i = 0; i < n; i++)
			machine_tlb_flush_page(va + i * PAGE);
	}
	return n;
}

/*
 * Record of several pages.  What was seen of the entries, and AEGIS_PTE_PRESENT; 0: it is not done, and
 * narrowed to what remains of it.
 */
static __attribute__((noinline)) uint64_t
_pages_change(struct space *s, volatile struct aegis_bind *rec)
{
	uint64_t va = rec->va, pages = rec->pfn, bits = 0;
	uint32_t prot = rec->prot;
	struct change c;

	if (!change_read(&c, prot) || va % PAGE || pages - 1 >= 512 ||
	    va > AEGIS_USER_MAX - 512 * PAGE)
		return 0;
	do {
		uint64_t n = 512 - va / PAGE % 512, done;

		n = n < pages ? n : pages;
		done = _run_change(s, va, n, &c, &bits);
		va += done * PAGE;
		pages -= done;
		if (done < n)
			break;
	} while (pages);
	rec->prot = prot | was_bits(bits);
	if (!pages)
		return bits | AEGIS_PTE_PRESENT;
	rec->va = va;
	rec->pfn = (uint32_t)pages;
	if (bits & AEGIS_PTE_ACCESSED)
		_flush_others(s);
	return 0;
}

/*
 * Record of one page, readable or writable.  What was seen of its entry, which was present; 0: nothing was
 * done, or a record of several pages that _pages_change is for.
 */
static inline uint64_t
_page_change(struct space *s, volatile struct aegis_bind *rec)
{
	uint64_t va = rec->va, *pte, old;
	uint32_t prot = rec->prot, pages = rec->pfn;
	struct change c;

	if (pages != 1 || (prot & ~(AEGIS_BIND_READ | AEGIS_BIND_WRITE | PROT_WAS)) ||
	    !(prot & (AEGIS_BIND_READ | AEGIS_BIND_WRITE)) || va % PAGE || va >= AEGIS_USER_MAX)
		return 0;
	pte = _entry_find(s, va);
	if (!pte || !(*pte & AEGIS_PTE_PRESENT))
		return 0;
	old = *pte;
	if ((prot & AEGIS_BIND_WRITE) && *_held_byte(s, pte_pfn(old)) < HOLD_RIGHTS)
		return 0;
	c = (struct change){.keep = ~(PTE_BITS | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY),
			    .set = (prot & AEGIS_BIND_WRITE) | machine_pte_nx()};
	old = _entry_change(pte, old, c);
	if (old & AEGIS_PTE_ACCESSED)
		machine_tlb_flush_page(va);
	rec->prot = prot | was_bits(old);
	return old;
}
_Static_assert(AEGIS_BIND_WRITE == AEGIS_PTE_WRITE, "one bit");

/* lock_acquire, when nobody holds it. */
static inline void
lock_free_take(struct lock *l)
{
	unsigned int none = 0;

	if (!atomic_compare_exchange_strong_explicit(&l->held, &none, machine_cpu() + 1,
						     memory_order_acquire, memory_order_relaxed))
		lock_acquire(l);
}

static inline void
lock_own_release(struct lock *l)
{
	atomic_store_explicit(&l->held, 0, memory_order_release);
}

/* n records at `area`, of which the first lies at rec: what is not simple, or too many, is range.c's. */
static __attribute__((noinline)) status
records_change(struct space *s, volatile struct aegis_bind *rec, uint32_t area, uint32_t n)
{
	uint64_t seen = 0;
	uint32_t i = 0, simple = n;
	status st;

	/* In one page of the area, so that records follow each other. */
	if (n > SHORT_RECORDS || area % PAGE + n * sizeof(*rec) > PAGE)
		simple = 0;
	lock_free_take(&s->lock);
	for (; i < simple; i++) {
		uint64_t old = _page_change(s, rec + i);

		if (!old && !(old = _pages_change(s, rec + i)))
			break;
		seen |= old;
	}
	if (seen & AEGIS_PTE_ACCESSED)
		_flush_others(s);
	lock_own_release(&s->lock);
	if (i == n && n)
		return (status)n;
	st = protect_general(AEGIS_SELF, s->number, area + i * (uint32_t)sizeof(*rec), n - i);
	return i ? (status)i + (st > 0 ? st : 0) : st;
}

status
sys_tlb_protect(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	const struct env *self = machine_local(); /* runs, so that it has an area */
	struct space *s = self->space;
	volatile struct aegis_bind *rec;
	uint64_t old;

	COUNT(protect_calls);
	if (cap != AEGIS_SELF || space != s->number || area % sizeof(*rec) ||
	    area / PAGE >= self->setup.area_pages)
		return protect_general(cap, space, area, n);
	rec = (void *)((uint8_t *)machine_frame(self->area[area / PAGE]) + area % PAGE);
	if (n != 1)
		return records_change(s, rec, area, n);
	lock_free_take(&s->lock);
	old = _page_change(s, rec);
	if (old & AEGIS_PTE_ACCESSED)
		_flush_others(s);
	lock_own_release(&s->lock);
	return old ? 1 : records_change(s, rec, area, 1);
}
