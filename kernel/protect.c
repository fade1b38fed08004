/* SPDX-License-Identifier: MIT */
/*
 * The short way of tlb_protect: what a program does after a fault, in few instructions.
 *
 * A few records, each of at most 512 pages of the caller's own space, without a right to execute.
 * Everything else, and every doubt, is left to range.c, which begins with the first record that is not
 * done.
 *
 * 1. Does to a record exactly what range.c does: the holdings are looked at before an entry changes,
 *    entries are exchanged, the record is told what was seen.
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
	c->need = 0;
	prot &= ~PROT_WAS;
	if (prot == AEGIS_BIND_CLEAR)
		return true;
	if ((prot & ~(AEGIS_BIND_READ | AEGIS_BIND_WRITE | PROT_KEYS)) ||
	    !(prot & (AEGIS_BIND_READ | AEGIS_BIND_WRITE)))
		return false;
	c->keep &= ~PTE_BITS;
	c->set = pte_prot(prot, machine_pte_nx());
	if (prot & AEGIS_BIND_WRITE)
		c->need = hold_need(AEGIS_BIND_WRITE);
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

/* Whether the holdings of n entries have the right that is added.  What is bound is held. */
static __attribute__((noinline)) bool
_holdings_allow(struct space *s, const uint64_t *pte, const uint64_t *end, uint8_t need)
{
	const uint8_t *page = NULL;
	uint64_t span = UINT64_MAX;

	for (; pte != end; pte++) {
		uint64_t entry = *pte;

		if ((entry & SPAN_BITS) != span) {
			if (!(entry & AEGIS_PTE_PRESENT))
				continue;
			span = entry & SPAN_BITS;
			page = _hold_find(s, pte_pfn(span));
		}
		if (page[entry / PAGE % AEGIS_HOLD_SPAN] < need)
			return false;
	}
	return true;
}

/* Pages in one page table: what was seen, and AEGIS_PTE_PRESENT.  0: nothing was done. */
static inline uint64_t
_run_change(struct space *s, uint64_t va, uint64_t n, struct change c)
{
	uint64_t *pte = _entry_find(s, va), bits;

	if (!pte || (c.need && !_holdings_allow(s, pte, pte + n, c.need)))
		return 0;
	bits = _entries_change(pte, pte + n, c);
	if ((bits & AEGIS_PTE_ACCESSED) && n > FLUSH_PAGES) {
		machine_tlb_flush_all();
	} else if (bits & AEGIS_PTE_ACCESSED) {
		for (; n; n--, va += PAGE)
			machine_tlb_flush_page(va);
	}
	return bits | AEGIS_PTE_PRESENT;
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
	for (;;) {
		uint64_t n = 512 - va / PAGE % 512, run;

		n = n < pages ? n : pages;
		run = _run_change(s, va, n, c);
		if (!run)
			break;
		bits |= run;
		va += n * PAGE;
		pages -= n;
		if (!pages)
			break;
		rec->va = va;
		rec->pfn = (uint32_t)pages;
	}
	rec->prot = prot | was_bits(bits);
	if (pages && (bits & AEGIS_PTE_ACCESSED))
		_flush_others(s);
	return pages ? 0 : bits;
}

/*
 * Record of one page, readable or writable.  What was seen of its entry, which was present; 0: nothing was
 * done, or a record of several pages that _pages_change is for.
 */
static inline uint64_t
_page_change(struct space *s, volatile struct aegis_bind *rec)
{
	uint64_t va = rec->va, *pte, old, new;
	uint32_t prot = rec->prot, pages = rec->pfn;

	if (pages != 1 || (prot & ~(AEGIS_BIND_READ | AEGIS_BIND_WRITE | PROT_WAS)) ||
	    !(prot & (AEGIS_BIND_READ | AEGIS_BIND_WRITE)) || va % PAGE || va >= AEGIS_USER_MAX)
		return 0;
	pte = _entry_find(s, va);
	if (!pte || !(*pte & AEGIS_PTE_PRESENT))
		return 0;
	old = *pte;
	if ((prot & AEGIS_BIND_WRITE) &&
	    *_held_byte(s, pte_pfn(old)) < (AEGIS_HOLD_READ | AEGIS_HOLD_WRITE))
		return 0;
	do
		new = (old & ~(PTE_BITS | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY)) |
		      (prot & AEGIS_BIND_WRITE) | machine_pte_nx();
	while (!__atomic_compare_exchange_n(pte, &old, new, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED));
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

/* `done` records are done, of n in the own space. */
static __attribute__((noinline)) status
protect_rest(uint32_t space, uint32_t area, uint32_t n, uint32_t done)
{
	status st = protect_general(AEGIS_SELF, space,
				    area + done * (uint32_t)sizeof(struct aegis_bind), n - done);

	return done ? (status)done + (st > 0 ? st : 0) : st;
}

status
sys_tlb_protect(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	struct env *self = current();
	struct space *s = self->space;
	volatile struct aegis_bind *rec;
	uint64_t seen = 0;
	uint32_t i;

	COUNT(protect_calls);
	/* In one page of the area, so that records follow each other. */
	if (cap != AEGIS_SELF || space != s->number || n - 1 >= SHORT_RECORDS ||
	    area % sizeof(*rec) || area / PAGE >= self->setup.area_pages ||
	    area % PAGE + n * sizeof(*rec) > PAGE)
		return protect_general(cap, space, area, n);
	rec = (void *)((uint8_t *)machine_frame(self->area[area / PAGE]) + area % PAGE);
	lock_free_take(&s->lock);
	for (i = 0; i < n; i++) {
		uint64_t old = _page_change(s, rec + i);

		if (!old && !(old = _pages_change(s, rec + i)))
			break;
		seen |= old;
	}
	if (seen & AEGIS_PTE_ACCESSED)
		_flush_others(s);
	lock_release(&s->lock);
	return i == n ? (status)n : protect_rest(space, area, n, i);
}
