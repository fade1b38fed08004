/* SPDX-License-Identifier: MIT */
/*
 * What the files about spaces share: holdings (hold.c), spaces (space.c), bindings (tlb.c,
 * sweep.c) and the forgetting of them (flush.c).
 */
#ifndef KERNEL_TLB_H
#define KERNEL_TLB_H

#include "batch.h"

#define PFN_MAX      (SPANS * AEGIS_HOLD_SPAN)
#define WINDOW_ENTRY 255u /* of the top table: the entries below it are user space's */
#define LARGE_PAGES  512u

#define PTE_UNCACHED (3ul << 3)
#define PTE_KEY(n)   ((uint64_t)(n) << 59)
#define PTE_TABLE    (AEGIS_PTE_PRESENT | AEGIS_PTE_WRITE | AEGIS_PTE_USER)

static inline uint32_t
pte_pfn(uint64_t pte)
{
	return (uint32_t)((pte & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT);
}

/* ---- flush.c: what processors must forget before a call is done ---- */
#define FLUSH_RANGES 16u
#define FLUSH_PAGES  32u /* more: forget everything */
#define FLUSH_DROPS  32u

struct flush {
	struct space *space; /* whose bindings changed */
	struct space *to;    /* who gets tables that were taken out */
	uint32_t ranges, pages;
	uint32_t drops, tables;
	bool all;
	struct {
		uint64_t va;
		uint64_t n;
	} range[FLUSH_RANGES];
	uint32_t drop[FLUSH_DROPS];  /* frames whose holding ended: released afterwards */
	uint32_t table[FLUSH_DROPS]; /* tables taken out: held by `to` afterwards */
};

static inline void
flush_start(struct flush *f, struct space *s, struct space *to)
{
	f->space = s;
	f->to = to;
	f->ranges = f->pages = f->drops = f->tables = 0;
	f->all = false;
}

static inline void
flush_add(struct flush *f, uint64_t va, uint64_t n)
{
	if (f->ranges == FLUSH_RANGES || n > FLUSH_PAGES - f->pages) {
		f->all = true;
		return;
	}
	f->range[f->ranges].va = va;
	f->range[f->ranges++].n = n;
	f->pages += (uint32_t)n;
}

/* All processors have forgotten; then drops and tables go where they belong.  Locks of both spaces.
 */
void _flush_finish(struct flush *f);
/* The other processors that run `s` have forgotten all of it; for one that has done so itself. */
void _flush_others(struct space *s);

/* ---- tables: how many entries are in use, and where some may be ---- */
#define TABLE_GROUP 64u

/* n entries from `at` on are about to be used. */
static inline void
_table_note(uint32_t table, uint32_t at, uint32_t n)
{
	struct frame *f = &frames[table];

	f->link += n;
	f->flags |= (uint8_t)((2u << (at + n - 1) / TABLE_GROUP) - (1u << at / TABLE_GROUP));
}

/* ---- hold.c ---- */
#define HOLD_RIGHTS (AEGIS_HOLD_READ | AEGIS_HOLD_WRITE)

static inline uint8_t
hold_need(uint32_t rights) /* AEGIS_BIND_* and AEGIS_READ, AEGIS_WRITE have the same bits */
{
	return (uint8_t)(AEGIS_HOLD_READ | (rights & AEGIS_BIND_WRITE ? AEGIS_HOLD_WRITE : 0));
}

/* Bindings, but no rights: on the way out.  No new bindings, no new rights until it is gone. */
static inline bool
hold_stripped(uint8_t hold)
{
	return hold && !(hold & AEGIS_HOLD_READ);
}

/* s is about to hold pfn, which it did not: its byte will not be 0. */
static inline void
_hold_note(struct space *s, uint32_t pfn)
{
	s->held[pfn / AEGIS_HOLD_SPAN] |= (uint16_t)(1u << pfn % AEGIS_HOLD_SPAN / HOLD_GROUP);
}
/* The same for n frames of one span. */
static inline void
_hold_note_run(struct space *s, uint32_t pfn, uint32_t n)
{
	uint32_t first = pfn % AEGIS_HOLD_SPAN, last = first + n - 1;

	s->held[pfn / AEGIS_HOLD_SPAN] |=
		(uint16_t)((2u << last / HOLD_GROUP) - (1u << first / HOLD_GROUP));
}
static inline void
_hold_new(struct space *s, uint32_t pfn)
{
	atomic_fetch_add(&frames[pfn].refs, 1);
	_hold_note(s, pfn);
}

/* A holding that `from` has may pass to another space: its frame's kind and flags allow it. */
status share_check(uint32_t pfn, uint8_t held, uint8_t need);
/* `s` gets the rights in `need`; *hold is its byte for pfn, not stripped.  The giver keeps its
 * lock. */
void _hold_give(struct space *s, uint8_t *hold, uint32_t pfn, uint8_t need);
/* Takes the rights from a holding: it is gone at once, or with its last binding. */
void _hold_strip(struct space *s, uint32_t pfn, uint8_t *hold);
/* One binding less.  The frame is released when `f` is finished, if that ended the holding. */
void _hold_last(struct flush *f, uint8_t *hold, uint32_t pfn);
static inline void
_hold_uncount(struct flush *f, uint8_t *hold, uint32_t pfn)
{
	uint8_t h = (uint8_t)(*hold - 1);

	*hold = h;
	if (!(h & AEGIS_HOLD_COUNT) && (h & (AEGIS_HOLD_READ | AEGIS_HOLD_PIN)) != AEGIS_HOLD_READ)
		_hold_last(f, hold, pfn);
}

/* The holdings page for pfn, which is below PFN_MAX; NULL: there is none. */
static inline uint8_t *
_hold_page(const struct space *s, uint32_t pfn)
{
	const uint32_t *directory = machine_frame(s->directory);
	uint32_t page = directory[pfn / AEGIS_HOLD_SPAN];

	return page ? machine_frame(page) : NULL;
}

/* The holdings page found last: frames of a batch are mostly close together. */
struct hold_cache {
	uint32_t span;
	uint8_t *page;
};
#define HOLD_CACHE               \
	{                        \
		UINT32_MAX, NULL \
	}
static inline uint8_t *
_hold_at(struct hold_cache *c, struct space *s, uint32_t pfn)
{
	if (pfn / AEGIS_HOLD_SPAN != c->span) {
		c->page = _hold_find(s, pfn & ~(AEGIS_HOLD_SPAN - 1));
		c->span = pfn / AEGIS_HOLD_SPAN;
	}
	return c->page ? c->page + pfn % AEGIS_HOLD_SPAN : NULL;
}
/* Guaranteed from now on; check first whether the space may have one more. */
bool _hold_pin_allowed(const struct space *s, uint8_t hold);
void _hold_pin(struct space *s, uint8_t *hold);
/* First byte that is not 0 in [at, end) of a holdings page, or end. */
uint32_t _hold_scan(const uint8_t *page, uint32_t at, uint32_t end);
/* First number >= pfn that s holds; costs steps.  With *steps 0: where to go on; PFN_MAX: no more.
 */
uint32_t _hold_next(struct space *s, uint32_t pfn, uint32_t *steps);
/* pfn is bound once only, and belongs to the area of an environment: this binding must stay. */
bool area_last(uint32_t pfn, uint8_t hold);

/* ---- space.c ---- */
struct pair {
	struct space *from, *to; /* the caller's, and the one it names; may be the same */
	bool found;              /* `to` was found by its number, and is counted */
};
/* Space `number`, which cap opens (CONTROL) or AEGIS_SELF; both locked. */
status pair_lock(struct env *self, uint32_t cap, uint32_t number, struct pair *p);
void pair_unlock(struct pair *p);

/* ---- tlb.c ---- */
#define PROT_RWX   (AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_EXEC)
#define PROT_KEYS  AEGIS_BIND_KEY(15)
#define PROT_TABLE (AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(15))
#define PROT_WAS   (AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY)
#define PROT_ONE   AEGIS_BIND_MORE(1)
#define PROT_MORE  AEGIS_BIND_MORE(AEGIS_RUN_MAX - 1)

/* What a record is told of entries, by their disjunction. */
static inline uint32_t
was_bits(uint64_t seen)
{
	return (uint32_t)(seen & AEGIS_PTE_ACCESSED) << 25 | (uint32_t)(seen & AEGIS_PTE_DIRTY)
								     << 25;
}
_Static_assert(AEGIS_WAS_ACCESSED == AEGIS_PTE_ACCESSED << 25 && AEGIS_WAS_DIRTY == AEGIS_PTE_DIRTY
											    << 25,
	       "one shift");

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

/* A change of protection. */
struct change {
	uint64_t keep, set; /* entry = entry & keep | set */
	uint8_t need;       /* of the holdings; 0: no right is added */
};

/*
 * With the lock held, processors change accessed and dirty bits of entries only: what was put together from
 * one look may be exchanged, and what comes out has all bits.
 */
static inline uint64_t
_entry_change(uint64_t *pte, uint64_t old, struct change c)
{
	return __atomic_exchange_n(pte, (old & c.keep) | c.set, __ATOMIC_SEQ_CST);
}

/* What was seen of the entries that are present. */
static inline uint64_t
_entries_change(uint64_t *pte, const uint64_t *end, struct change c)
{
	uint64_t seen = 0;

	for (; pte != end; pte++) {
		uint64_t old = *pte;

		if (old & AEGIS_PTE_PRESENT)
			seen |= _entry_change(pte, old, c);
	}
	return seen;
}

static inline struct aegis_bind
batch_bind(const struct batch *b)
{
	const volatile struct aegis_bind *r = (const void *)b->at;

	return (struct aegis_bind){r->va, r->pfn, r->prot};
}

/* Bits of `prot` are `allowed`, it gives some right, and not write with execute unless the space may. */
status prot_check(uint32_t prot, uint32_t allowed, uint32_t space_flags);
/* Whether a frame of this kind may be bound so. */
status kind_check(enum frame_kind kind, uint32_t prot);
/* Place of the entry for the table of the level in `prot` that is to translate va. */
status _table_place(struct space *s, uint64_t va, uint32_t prot, uint64_t **entry,
		    uint32_t *parent);
/*
 * The table of `level` for va: its entries, and its frame in *pfn.  NULL: the *size bytes around va
 * have none; if that is because of a large binding, *large is its entry, in table *pfn.
 */
uint64_t *_table_find(struct space *s, uint64_t va, uint32_t level, uint32_t *pfn, uint64_t *size,
		      uint64_t **large);
/* Boot: binds a frame that s holds, as tlb_write does. */
void _space_bind(struct space *s, uint64_t va, uint32_t pfn, uint32_t prot);

/* Runs: what a walk over bindings meets.  One is `n` entries side by side in one table. */
struct run {
	uint64_t *pte;  /* NULL: nothing can be bound there */
	uint64_t va, n; /* of the first, and how many */
	uint32_t each;  /* pages of an entry: LARGE_PAGES for a large one, which is alone */
	uint32_t table;
};
/* The one at va, which is above 0 pages long and at most `pages`, but that a large entry is whole.
 * Costs steps, of which some must be left. */
struct run _run_at(struct space *s, uint64_t va, uint64_t pages, uint32_t *steps);
/* What becomes of a binding, judged by each of its frames and holdings; the strongest word counts. */
enum run_word { RUN_STAYS, RUN_GOES, RUN_REFUSED };
typedef enum run_word run_judge(uint32_t pfn, uint8_t hold);

/*
 * Unbinds the entries of a run that go, up to one that is refused: IN_USE.  *seen has the bits of those
 * that went.  To be compiled for each judge.
 */
static inline __attribute__((always_inline)) status
_run_unbind(struct flush *f, const struct run *r, run_judge *judge, uint64_t *seen)
{
	struct hold_cache cache = HOLD_CACHE;
	uint64_t first = r->n, last = 0;
	uint32_t gone = 0;
	enum run_word word = RUN_STAYS;

	for (uint64_t i = 0; i < r->n && word != RUN_REFUSED; i++) {
		uint64_t old = r->pte[i];
		uint32_t pfn = pte_pfn(old);
		uint8_t *hold;

		if (!old)
			continue;
		hold = _hold_at(&cache, f->space, pfn);
		word = judge(pfn, *hold);
		for (uint32_t j = 1; j < r->each; j++) {
			enum run_word other = judge(pfn + j, hold[j]);

			word = other > word ? other : word;
		}
		if (word != RUN_GOES)
			continue;
		/* Read again: the processor may set bits until the exchange. */
		old = __atomic_exchange_n(&r->pte[i], 0, __ATOMIC_SEQ_CST);
		*seen |= old;
		gone++;
		if ((old & AEGIS_PTE_ACCESSED) && r->each > 1) {
			f->all = true;
		} else if (old & AEGIS_PTE_ACCESSED) {
			if (!(*hold & AEGIS_HOLD_READ)) {
				flush_add(f, r->va + i * PAGE, 1); /* before it is released */
			} else {
				first = i < first ? i : first;
				last = i;
			}
		}
		for (uint32_t j = 0; j < r->each; j++)
			_hold_uncount(f, hold + j, pfn + j);
	}
	if (first < r->n)
		flush_add(f, r->va + first * PAGE, last - first + 1);
	frames[r->table].link -= gone;
	return word == RUN_REFUSED ? AEGIS_IN_USE : AEGIS_OK;
}

/* ---- range.c ---- */
/* tlb_protect without a short way. */
status protect_general(uint32_t cap, uint32_t space, uint32_t area, uint32_t n);

/* ---- sweep.c ---- */
/* Breaks bindings of stripped holdings, in bounded steps. */
void _space_sweep(struct space *s);

#endif
