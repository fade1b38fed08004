/* SPDX-License-Identifier: MIT */
/*
 * Bindings.  An entry that the kernel writes maps user memory, an exposed page read only, or device
 * registers uncached, never a table, an object, a free frame or the kernel's own; its rights are
 * those of the holding; no bit of it comes from the caller but rights, key and frame number; and each
 * step changes a holding's count by as much as it changes the entries for the frame.
 *
 * State: the first 8 entries of a page table, holdings pages, frames; all arbitrary, of which the
 * entries that the step touches are consistent with their holdings.  How the page table is found is the
 * matter of tables.c.
 */
#include "machine.h"
#include "kernel/hold.c"
#include "kernel/tlb.c"
#include "kernel/range.c"
#include "kernel/protect.c"

#define FRAMES    (2 * AEGIS_HOLD_SPAN)
#define DIRECTORY 100u
#define PAGES     200u
#define TABLES    FRAMES
#define ENTRIES   8u /* of the page table */

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
static struct frame frame_array[FRAMES + 1];
/* Objects of their own, so that each access is one into a plain array. */
static uint32_t directory0[SPANS], directory1[SPANS];
#define HOLDS_PAGE static uint8_t __attribute__((aligned(8)))
HOLDS_PAGE holds00[AEGIS_HOLD_SPAN];
HOLDS_PAGE holds01[AEGIS_HOLD_SPAN];
HOLDS_PAGE holds10[AEGIS_HOLD_SPAN];
HOLDS_PAGE holds11[AEGIS_HOLD_SPAN];
static uint64_t table0[ENTRIES];
static struct space spaces[2];
static struct writer w;
static struct range r;
atomic_uint revocation;

bool
node_dominates(uint32_t node, uint32_t guard)
{
	return node == guard;
}

void *
machine_frame(uint32_t pfn)
{
	if (pfn == DIRECTORY)
		return directory0;
	if (pfn == DIRECTORY + 1)
		return directory1;
	if (pfn == PAGES)
		return holds00;
	if (pfn == PAGES + 1)
		return holds01;
	if (pfn == PAGES + 2)
		return holds10;
	PROVE(pfn == PAGES + 3, "a frame that is a holdings page");
	return holds11;
}

bool
frame_clean(uint32_t pfn)
{
	bool dirty = frames[pfn].flags & FRAME_DIRTY;

	PROVE(frames[pfn].kind == FRAME_USER, "only memory is cleared to be seen");
	frames[pfn].flags &= (uint8_t)~FRAME_DIRTY;
	return dirty;
}

bool
machine_frame_bindable(uint32_t pfn)
{
	(void)pfn;
	return nondet_bool();
}

struct env *
current(void)
{
	return NULL;
}

enum frame_kind
frame_kind(uint32_t pfn)
{
	if (pfn < frame_count && frames[pfn].kind != FRAME_NONE)
		return frames[pfn].kind;
	return nondet_bool() ? FRAME_DEVICE : FRAME_NONE;
}

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	(void)e;
	(void)slot;
	(void)guard;
	(void)rights;
	return AEGIS_DENIED;
}

void
mem_release(uint32_t pfn)
{
	(void)pfn;
}

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	(void)pfns;
	(void)n;
}

void
_flush_finish(struct flush *f)
{
	f->ranges = f->pages = f->drops = f->tables = 0;
	f->all = false;
}

status
_space_expel(struct space *s, uint32_t pfn, bool force)
{
	(void)s;
	(void)pfn;
	(void)force;
	return AEGIS_OK;
}

status
pair_lock(struct env *e, uint32_t cap, uint32_t number, struct pair *p)
{
	(void)e;
	(void)cap;
	(void)number;
	(void)p;
	return AEGIS_DENIED;
}

void
pair_unlock(struct pair *p)
{
	(void)p;
}

void
revoke_given(struct env *e, uint32_t kind, uint32_t n)
{
	(void)e;
	(void)kind;
	(void)n;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	(void)e;
	(void)offset;
	(void)n;
	return NULL;
}

static uint8_t
held(uint32_t space, uint32_t pfn)
{
	const uint8_t *hold = _hold_find(&spaces[space], pfn);

	return hold ? *hold : 0;
}

static uint32_t
bound(uint32_t space, uint32_t pfn)
{
	return held(space, pfn) & AEGIS_HOLD_COUNT;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	mem_lock.held = node_lock.held = 0;
	frames = frame_array;
	ASSUME(frame_count <= FRAMES + 1);
	for (uint32_t i = 0; i < 2; i++) {
		struct space *s = &spaces[i];

		s->lock.held = 0;
		s->directory = DIRECTORY + i;
		s->number = i + 1;
		ASSUME(s->pinned > 0 && s->pinned < 100000 && s->area_pins < 100000);
		ASSUME(s->stripped > 0 && s->stripped < 1000);
		for (uint32_t j = 0; j < SPANS; j++)
			(i ? directory1 : directory0)[j] = nondet_bool() ? PAGES + 2 * i + j : 0;
	}
}

/* What the invariants say about a holding and its frame. */
static void
hold_assume(uint32_t space, uint32_t pfn)
{
	uint8_t hold = held(space, pfn);
	uint8_t kind = pfn < frame_count ? frames[pfn].kind : FRAME_NONE;

	ASSUME(IMPLIES(hold & AEGIS_HOLD_WRITE, hold & AEGIS_HOLD_READ));
	ASSUME(IMPLIES(hold_stripped(hold), (hold & AEGIS_HOLD_COUNT) && !(hold & AEGIS_HOLD_PIN)));
	ASSUME(kind <= FRAME_KERNEL);
	ASSUME(IMPLIES(hold && kind != FRAME_NONE,
		       kind == FRAME_USER || kind == FRAME_EXPOSED || kind == FRAME_HOLD));
	ASSUME(IMPLIES((hold & AEGIS_HOLD_WRITE), kind == FRAME_USER || kind == FRAME_NONE));
}

/* A present small entry is one of those that its frame's holding counts. */
static void
entry_assume(uint32_t space, uint64_t pte)
{
	if (!(pte & AEGIS_PTE_PRESENT)) {
		ASSUME(pte == 0);
		return;
	}
	ASSUME(!(pte & AEGIS_PTE_LARGE) && (pte & AEGIS_PTE_USER));
	ASSUME(pte_pfn(pte) < FRAMES && _hold_find(&spaces[space], pte_pfn(pte)));
	ASSUME(bound(space, pte_pfn(pte)) > 0);
	hold_assume(space, pte_pfn(pte));
}

static bool
maps(uint64_t pte, uint32_t pfn)
{
	return (pte & AEGIS_PTE_PRESENT) && pte_pfn(pte) == pfn;
}

/* Bits that an entry for a page may have, whatever the caller asked for. */
#define PTE_EVER                                                                                 \
	(AEGIS_PTE_PRESENT | AEGIS_PTE_WRITE | AEGIS_PTE_USER | AEGIS_PTE_LARGE | PTE_UNCACHED | \
	 AEGIS_PTE_FRAME | AEGIS_PTE_NX | PTE_KEY(15))

void
proof_tlb_compose(void)
{
	uint32_t pfn = nondet_u32(), prot = nondet_u32(), flags = nondet_u32();
	uint32_t kind = nondet_u32();
	uint64_t pte;

	ASSUME(pfn < PFN_MAX && kind <= FRAME_DEVICE);
	if (prot_check(prot, PROT_WRITE, flags) != AEGIS_OK || kind_check(kind, prot) != AEGIS_OK)
		return;
	pte = pte_compose(pfn, prot, AEGIS_PTE_NX);
	PROVE((pte & ~PTE_EVER) == 0, "no bit that the kernel did not mean");
	PROVE(pte_pfn(pte) == pfn, "exactly the frame");
	PROVE((pte & AEGIS_PTE_PRESENT) && (pte & AEGIS_PTE_USER), "a user entry");
	PROVE(IMPLIES(pte & AEGIS_PTE_WRITE, prot & AEGIS_BIND_WRITE), "writable only if asked");
	PROVE(IMPLIES(!(pte & AEGIS_PTE_NX), prot & AEGIS_BIND_EXEC), "executable only if asked");
	PROVE(IMPLIES((pte & AEGIS_PTE_WRITE) && !(pte & AEGIS_PTE_NX), flags & AEGIS_SPACE_WX),
	      "not both, unless the space was made so");
	PROVE(kind == FRAME_USER || kind == FRAME_EXPOSED || kind == FRAME_HOLD ||
		      kind == FRAME_DEVICE,
	      "no table, object, kernel or free frame");
	PROVE(IMPLIES(kind == FRAME_EXPOSED || kind == FRAME_HOLD,
		      !(pte & AEGIS_PTE_WRITE) && (pte & AEGIS_PTE_NX)),
	      "what the kernel writes is read only");
	PROVE(IMPLIES(kind == FRAME_DEVICE, pte & PTE_UNCACHED), "registers are not cached");
	REACH(kind == FRAME_USER && !(pte & AEGIS_PTE_NX));
	REACH(kind == FRAME_HOLD);
}

/* One record of tlb_write, into the caller's own space or another. */
void
proof_tlb_bind(void)
{
	uint64_t va = nondet_u64(), old, other_old, old_pte;
	uint32_t pfn = nondet_u32(), prot = nondet_u32(), q = nondet_u32(), i = nondet_u32(), link;
	uint32_t to = nondet_bool(), count, refs;
	uint8_t giver, was, now, last;
	uint64_t *pte = &table0[va / PAGE % 512];
	status st;

	state_any();
	ASSUME(va / PAGE % 512 < ENTRIES);
	ASSUME(q < FRAMES && i < ENTRIES && i != va / PAGE % 512);
	w.pair = (struct pair){&spaces[0], &spaces[to], true};
	w.nx = AEGIS_PTE_NX;
	w.region = va / AEGIS_LARGE_PAGE;
	w.table = table0;
	w.table_pfn = TABLES;
	flush_start(&w.flush, w.pair.to, w.pair.from);
	hold_assume(0, pfn);
	hold_assume(1, pfn);
	ASSUME(!maps(*pte, TABLES));
	entry_assume(to, *pte);
	ASSUME(spaces[to].pinned <= AEGIS_PINNED_MAX + spaces[to].area_pins);
	ASSUME(prot_check(prot, PROT_WRITE & ~AEGIS_BIND_LARGE, w.pair.to->flags) == AEGIS_OK);
	old_pte = *pte;
	other_old = table0[i];
	giver = held(0, pfn);
	was = held(to, pfn);
	count = bound(to, q);
	last = held(to, q);
	link = frames[TABLES].link;
	ASSUME(link < 1000);
	refs = frames[q].refs;
	ASSUME(refs < 1000);
	st = _page_bind(&w, va, pfn, prot);
	old = *pte;
	now = held(to, pfn);
	PROVE(table0[i] == other_old, "no other entry changes");
	if (st != AEGIS_OK) {
		PROVE(old == old_pte && bound(to, q) == count,
		      "nothing is done for a record at fault");
		REACH(st == AEGIS_LIMIT);
		return;
	}
	PROVE(va % PAGE == 0 && va >= AEGIS_USER_MIN && va < AEGIS_USER_MAX, "a user page");
	PROVE(pte_pfn(old) == pfn && (old & ~PTE_EVER) == 0, "it maps what was named");
	PROVE(giver & AEGIS_HOLD_READ, "the caller holds the frame");
	PROVE(IMPLIES(old & AEGIS_PTE_WRITE, giver & AEGIS_HOLD_WRITE), "with the right to write");
	PROVE(IMPLIES(to, !(now & ~was & HOLD_RIGHTS & ~giver)), "and gives no more than that");
	PROVE(!hold_stripped(was), "nothing is bound through a holding on its way out");
	if (pfn < frame_count && frames[pfn].kind != FRAME_NONE) {
		uint8_t kind = frames[pfn].kind;

		PROVE(kind == FRAME_USER || kind == FRAME_EXPOSED || kind == FRAME_HOLD,
		      "never a table, an object, a free frame or the kernel's own");
		PROVE(IMPLIES(kind != FRAME_USER, !(old & AEGIS_PTE_WRITE) && (old & AEGIS_PTE_NX)),
		      "what the kernel writes is read only");
		PROVE(!(kind == FRAME_USER && (frames[pfn].flags & FRAME_DIRTY)),
		      "nobody sees what another left");
		PROVE(IMPLIES(to && kind != FRAME_USER, kind == FRAME_EXPOSED),
		      "holdings are not shown to others");
	}
	PROVE((int32_t)(bound(to, q) - count) == maps(old, q) - maps(old_pte, q),
	      "counts follow the entries");
	PROVE(frames[TABLES].link == link + !(old_pte & AEGIS_PTE_PRESENT), "entries are counted");
	PROVE(IMPLIES(last && !held(to, q), w.flush.drops == 1 && w.flush.drop[0] == q),
	      "a holding that ended is released after the flush");
	PROVE(frames[q].refs == refs + (!last && held(to, q) && to),
	      "a new holding is a reference");
	PROVE(IMPLIES((old_pte & AEGIS_PTE_PRESENT) && (old_pte & AEGIS_PTE_ACCESSED),
		      w.flush.ranges == 1 && w.flush.range[0].va == va),
	      "what processors may remember is flushed");
	PROVE(spaces[to].pinned <= AEGIS_PINNED_MAX + spaces[to].area_pins,
	      "guarantees are bounded");
	REACH(to && was == 0 && (old & AEGIS_PTE_WRITE));
	REACH((old_pte & AEGIS_PTE_PRESENT) && pte_pfn(old_pte) != pfn);
	REACH(frames[pfn].kind == FRAME_HOLD && pfn < frame_count);
	REACH(last && !held(to, q));
}

/* The short way for pages that follow each other gives what the long way would. */
#define RUN 3u /* two at once, and one */

void
proof_tlb_fast(void)
{
	uint32_t to = nondet_bool(), prot = nondet_u32(), first = nondet_u32(), n, q = nondet_u32();
	uint32_t i = nondet_u32(), k = nondet_u32(), count, refs, link, maps_q = 0;
	uint64_t va = nondet_u64(), old[RUN], new[RUN], other_old;
	uint8_t giver[RUN], was;

	state_any();
	ASSUME(frame_count <= FRAMES && q < FRAMES && i < ENTRIES);
	w.pair = (struct pair){&spaces[0], &spaces[to], true};
	for (uint32_t j = 0; j < 2; j++)
		spaces[j].devices = nondet_bool();
	writer_start(&w);
	w.region = va / AEGIS_LARGE_PAGE;
	w.table = table0;
	w.table_pfn = TABLES;
	/* As they are after any run. */
	w.prot = nondet_u32();
	w.bits = pte_compose(0, w.prot, w.nx);
	w.cleared = nondet_u32();
	ASSUME(w.cleared < CLEARS_MAX);
	ASSUME(prot_check(prot, PROT_WRITE & ~AEGIS_BIND_LARGE, spaces[to].flags) == AEGIS_OK);
	ASSUME(va / PAGE % 512 + RUN <= ENTRIES && first < PFN_MAX && k < RUN);
	for (uint32_t j = 0; j < RUN; j++) {
		hold_assume(0, first + j);
		hold_assume(1, first + j);
		/* Without device registers, what is held is memory. */
		ASSUME(IMPLIES(held(0, first + j) || held(1, first + j),
			       first + j < frame_count && frames[first + j].kind != FRAME_NONE));
		old[j] = table0[va / PAGE % 512 + j];
		giver[j] = held(0, first + j);
		ASSUME(IMPLIES(giver[j] || held(1, first + j), frames[first + j].refs < 1000));
	}
	ASSUME(i < va / PAGE % 512 || i >= va / PAGE % 512 + RUN);
	other_old = table0[i];
	count = bound(to, q);
	was = held(to, q);
	refs = frames[q].refs;
	link = frames[TABLES].link;
	ASSUME(link < 1000 && refs < 1000);
	ASSUME(spaces[to].pinned <= AEGIS_PINNED_MAX + spaces[to].area_pins);
	n = _pages_fast(&w, va, first, prot, RUN);
	PROVE(spaces[to].pinned <= AEGIS_PINNED_MAX + spaces[to].area_pins,
	      "guarantees are bounded");
	PROVE(n <= RUN && table0[i] == other_old, "no other entry changes");
	PROVE(frames[TABLES].link == link + n, "entries are counted");
	PROVE(w.cleared <= CLEARS_MAX, "clearing is bounded");
	for (uint32_t j = 0; j < RUN; j++) {
		new[j] = j < n ? table0[va / PAGE % 512 + j] : 0;
		maps_q += maps(new[j], q);
	}
	PROVE(bound(to, q) - count == maps_q, "counts follow the entries");
	PROVE(frames[q].refs == refs + (!was && held(to, q)), "a new holding is a reference");
	PROVE(IMPLIES(to, !(held(to, q) & ~was & HOLD_RIGHTS & ~held(0, q))),
	      "nobody gets a right that the giver does not have");
	PROVE(IMPLIES(hold_stripped(was), held(to, q) == was), "a stripped holding gets nothing");
	if (k < n) {
		uint32_t pfn = first + k;
		uint8_t kind = frames[pfn].kind;

		PROVE(old[k] == 0 && va_valid(va + k * PAGE), "an empty entry of a user page");
		PROVE(new[k] == pte_compose(pfn, prot, AEGIS_PTE_NX), "what was asked for");
		PROVE(giver[k] & AEGIS_HOLD_READ, "the caller holds the frame");
		PROVE(IMPLIES(new[k] & AEGIS_PTE_WRITE, giver[k] & AEGIS_HOLD_WRITE),
		      "with the right to write");
		PROVE(kind == FRAME_USER, "memory and nothing else");
		PROVE(!(frames[pfn].flags & FRAME_DIRTY), "nothing that may not be seen");
		PROVE(!to || !revocation, "nothing that may not be shared");
	}
	REACH(n == RUN && to && !was && held(to, q));
	REACH(n == RUN && !to && (new[1] & AEGIS_PTE_WRITE));
	REACH(n == RUN && (prot & AEGIS_BIND_GUARANTEED));
}

void
proof_tlb_delete(void)
{
	uint64_t va = nondet_u64(), old[2], other_old;
	uint32_t q = nondet_u32(), i = nondet_u32(), n = nondet_u32(), count, at, link, gone;
	uint8_t last;
	status st;

	state_any();
	at = va / PAGE % 512;
	ASSUME(n >= 1 && n <= 2 && at + n <= ENTRIES && q < FRAMES && i < ENTRIES &&
	       (i < at || i >= at + n));
	flush_start(&r.flush, &spaces[0], &spaces[0]);
	for (uint32_t j = 0; j < 2; j++) {
		old[j] = j < n ? table0[at + j] : 0;
		entry_assume(0, old[j]);
	}
	ASSUME(IMPLIES(n == 2 && maps(old[0], pte_pfn(old[1])) && old[1],
		       bound(0, pte_pfn(old[0])) >= 2));
	other_old = table0[i];
	count = bound(0, q);
	last = held(0, q);
	link = frames[TABLES].link;
	ASSUME(link >= 2 && link < 1000);
	st = _range_delete(&r, &(struct run){&table0[at], va, n, 1, TABLES});
	PROVE(table0[i] == other_old, "no other entry changes");
	gone = (old[0] && !table0[at]) + (n == 2 && old[1] && !table0[at + 1]);
	PROVE(frames[TABLES].link == link - gone, "entries are counted");
	PROVE(count - bound(0, q) == (uint32_t)(maps(old[0], q) && !table0[at]) +
					     (n == 2 && maps(old[1], q) && !table0[at + 1]),
	      "counts follow the entries");
	PROVE(IMPLIES(last && !held(0, q), r.flush.drops >= 1),
	      "what ended is released afterwards");
	PROVE(IMPLIES(q < frame_count && frames[q].kind == FRAME_USER && frames[q].link && count &&
			      (last & AEGIS_HOLD_PIN),
		      bound(0, q) > 0),
	      "an area's last binding stays");
	PROVE(IMPLIES(st == AEGIS_OK, !table0[at] && (n == 1 || !table0[at + 1])), "all is gone");
	PROVE(IMPLIES(old[0] && !table0[at] && (old[0] & AEGIS_PTE_ACCESSED),
		      r.flush.ranges > 0 || r.flush.all),
	      "what processors may remember is flushed");
	PROVE(IMPLIES(st == AEGIS_OK, (r.seen & old[0]) == old[0]), "accessed and dirty are told");
	REACH(st == AEGIS_OK && gone == 2);
	REACH(st == AEGIS_IN_USE && gone == 1);
	REACH(last && !held(0, q));
}

void
proof_tlb_protect(void)
{
	struct aegis_bind rec;
	uint64_t va = nondet_u64(), old, now, other_old;
	uint32_t i = nondet_u32(), at;
	uint8_t hold;
	status st;

	state_any();
	at = va / PAGE % 512;
	ASSUME(at < ENTRIES && i < ENTRIES && i != at);
	flush_start(&r.flush, &spaces[0], &spaces[0]);
	old = table0[at];
	other_old = table0[i];
	entry_assume(0, old);
	hold = old ? held(0, pte_pfn(old)) : 0;
	/* The entry that is there is within its holding, unless that is on its way out. */
	ASSUME(IMPLIES(old & AEGIS_PTE_WRITE, (hold & AEGIS_HOLD_WRITE) || hold_stripped(hold)));
	ASSUME((old & ~(PTE_EVER | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY)) == 0);
	if (_protect_start(&r, rec, AEGIS_PTE_NX) != AEGIS_OK)
		return;
	st = _range_protect(&r, &(struct run){&table0[at], va, 1, 1, TABLES});
	now = table0[at];
	PROVE(table0[i] == other_old, "no other entry changes");
	PROVE(IMPLIES(st != AEGIS_OK, now == old), "a failure changes nothing");
	PROVE(IMPLIES(!old, !now), "nothing gets bound");
	PROVE((now & AEGIS_PTE_FRAME) == (old & AEGIS_PTE_FRAME), "the frame stays");
	PROVE(((now ^ old) & ~(PTE_PROT_BITS | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY)) == 0,
	      "only protection, accessed and dirty change");
	PROVE(IMPLIES((now & AEGIS_PTE_WRITE) && !(old & AEGIS_PTE_WRITE), hold & AEGIS_HOLD_WRITE),
	      "writable only by the right to write");
	PROVE(IMPLIES((now & ~old & AEGIS_PTE_WRITE) && pte_pfn(now) < frame_count &&
			      frames[pte_pfn(now)].kind != FRAME_NONE,
		      frames[pte_pfn(now)].kind == FRAME_USER),
	      "what the kernel writes stays read only");
	PROVE(IMPLIES(st == AEGIS_OK && (now ^ old) && (old & AEGIS_PTE_ACCESSED),
		      r.flush.ranges || r.flush.all),
	      "what processors may remember is flushed");
	REACH(st == AEGIS_OK && (now & ~old & AEGIS_PTE_WRITE));
	REACH(st == AEGIS_NOT_HELD);
	REACH(st == AEGIS_OK && (old & AEGIS_PTE_DIRTY) && !(now & AEGIS_PTE_DIRTY));
}

/* The short way, one page: what the long way would do, or nothing. */
void
proof_tlb_short(void)
{
	struct aegis_bind rec;
	uint64_t old, now, other_old, seen;
	uint32_t i = nondet_u32(), at, prot;
	uint8_t hold;

	state_any();
	at = rec.va / PAGE % 512;
	prot = rec.prot;
	ASSUME(at < ENTRIES && i < ENTRIES && i != at);
	spaces[0].table_last = table0;
	spaces[0].table_last_va = rec.va | (AEGIS_LARGE_PAGE - 1);
	old = table0[at];
	other_old = table0[i];
	entry_assume(0, old);
	hold = old ? held(0, pte_pfn(old)) : 0;
	ASSUME(IMPLIES(old & AEGIS_PTE_PRESENT, _hold_find(&spaces[0], pte_pfn(old))));
	ASSUME(IMPLIES(old & AEGIS_PTE_WRITE, (hold & AEGIS_HOLD_WRITE) || hold_stripped(hold)));
	ASSUME((old & ~(PTE_EVER | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY)) == 0);
	seen = _page_change(&spaces[0], &rec);
	now = table0[at];
	PROVE(table0[i] == other_old, "no other entry changes");
	PROVE(IMPLIES(!seen, now == old && rec.prot == prot), "a refusal changes nothing");
	PROVE(IMPLIES(seen, seen == old), "what was seen is told");
	PROVE(IMPLIES(!old, !now), "nothing gets bound");
	PROVE((now & AEGIS_PTE_FRAME) == (old & AEGIS_PTE_FRAME), "the frame stays");
	PROVE(((now ^ old) & ~(PTE_PROT_BITS | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY)) == 0,
	      "only protection, accessed and dirty change");
	PROVE(IMPLIES((now & AEGIS_PTE_WRITE) && !(old & AEGIS_PTE_WRITE), hold & AEGIS_HOLD_WRITE),
	      "writable only by the right to write");
	PROVE(IMPLIES(seen, now & AEGIS_PTE_NX), "never executable");
	PROVE(IMPLIES(seen,
		      (now & AEGIS_PTE_WRITE ? AEGIS_BIND_WRITE : 0u) == (prot & AEGIS_BIND_WRITE)),
	      "as asked");
	REACH(seen && (now & ~old & AEGIS_PTE_WRITE));
	REACH(seen && (old & AEGIS_PTE_DIRTY) && !(now & AEGIS_PTE_DIRTY));
	REACH(!seen && (old & AEGIS_PTE_PRESENT) && (prot & AEGIS_BIND_WRITE));
}

/* The short way over two entries side by side that get the right to write. */
void
proof_tlb_widen(void)
{
	struct change c = {~(PTE_BITS | AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY),
			   AEGIS_PTE_WRITE | AEGIS_PTE_NX, HOLD_RIGHTS};
	uint64_t old[2], *pte, seen, done;
	uint32_t at = nondet_u32();
	uint8_t hold[2];

	state_any();
	ASSUME(at < ENTRIES - 1);
	for (uint32_t j = 0; j < 2; j++) {
		old[j] = table0[at + j];
		entry_assume(0, old[j]);
		hold[j] = old[j] ? held(0, pte_pfn(old[j])) : 0;
		ASSUME(IMPLIES(old[j] & AEGIS_PTE_PRESENT,
			       _hold_find(&spaces[0], pte_pfn(old[j]))));
	}
	pte = &table0[at];
	seen = _entries_widen(&spaces[0], &pte, &table0[at + 2], &c);
	done = (uint64_t)(pte - &table0[at]);
	PROVE(done <= 2, "within the run");
	for (uint32_t j = 0; j < 2; j++) {
		uint64_t now = table0[at + j];

		PROVE(IMPLIES(!old[j], !now), "nothing gets bound");
		PROVE(IMPLIES(j >= done, now == old[j]), "behind the end nothing changes");
		PROVE(IMPLIES((now & ~old[j]) & AEGIS_PTE_WRITE,
			      (hold[j] & HOLD_RIGHTS) == HOLD_RIGHTS),
		      "writable only by the right to write");
		PROVE(IMPLIES(j < done, (seen & old[j]) == old[j]), "what was seen is told");
		PROVE((now & AEGIS_PTE_FRAME) == (old[j] & AEGIS_PTE_FRAME), "the frame stays");
	}
	REACH(done == 2 && old[0] && old[1]);
	REACH(done == 1);
}
