/* SPDX-License-Identifier: MIT */
/*
 * Breaking bindings by force: a sweep breaks exactly the bindings of stripped holdings, keeps counts
 * and entries equal, and without force nothing guaranteed goes.
 *
 * State: four entries of a page table over frames with arbitrary holdings that count them.
 */
#include "machine.h"
#include "kernel/sweep.c"

#define FRAMES  4u
#define ENTRIES 4u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
static struct frame frame_array[FRAMES + 1];
static uint8_t holds[FRAMES];
static uint64_t table[ENTRIES];
static struct space the_space;
static uint32_t swept;

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	PROVE(s == &the_space, "that space");
	return pfn < FRAMES ? &holds[pfn] : NULL;
}

void
_hold_last(struct flush *f, uint8_t *hold, uint32_t pfn)
{
	(void)f;
	(void)pfn;
	*hold &= (uint8_t)~AEGIS_HOLD_PIN;
}

void
_hold_strip(struct space *s, uint32_t pfn, uint8_t *hold)
{
	(void)s;
	(void)pfn;
	*hold &= AEGIS_HOLD_COUNT;
}

/* Nothing is bound there. */
struct run
_run_at(struct space *s, uint64_t va, uint64_t pages, uint32_t *steps)
{
	(void)s;
	(void)pages;
	--*steps;
	return (struct run){NULL, va, AEGIS_LARGE_PAGE / PAGE, 1, FRAMES};
}

void
_flush_finish(struct flush *f)
{
	(void)f;
	swept++;
}

static uint32_t
entries_of(uint32_t pfn)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ENTRIES; i++)
		n += (table[i] & AEGIS_PTE_PRESENT) && pte_pfn(table[i]) == pfn;
	return n;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	frames = frame_array;
	frame_count = FRAMES + 1;
	swept = 0;
	ASSUME(the_space.progress < AEGIS_USER_MAX && frames[FRAMES].link >= ENTRIES);
	for (uint32_t i = 0; i < ENTRIES; i++)
		ASSUME(table[i] == 0 ||
		       ((table[i] & AEGIS_PTE_PRESENT) && pte_pfn(table[i]) < FRAMES));
	for (uint32_t i = 0; i < FRAMES; i++) {
		ASSUME((holds[i] & AEGIS_HOLD_COUNT) == entries_of(i));
		ASSUME(IMPLIES(hold_stripped(holds[i]), !(holds[i] & AEGIS_HOLD_PIN)));
		ASSUME(IMPLIES(holds[i] & AEGIS_HOLD_WRITE, holds[i] & AEGIS_HOLD_READ));
	}
}

void
proof_sweep_entries(void)
{
	uint32_t q = nondet_u32(), i = nondet_u32(), link;
	struct run r = {table, 0, ENTRIES, 1, FRAMES};
	struct flush f;
	uint64_t old, seen = 0;
	bool stripped, pinned;

	state_any();
	ASSUME(q < FRAMES && i < ENTRIES);
	stripped = hold_stripped(holds[q]);
	pinned = holds[q] & AEGIS_HOLD_PIN;
	old = table[i];
	link = frames[FRAMES].link;
	flush_start(&f, &the_space, &the_space);
	PROVE(_run_unbind(&f, &r, judge_stripped, &seen) == AEGIS_OK, "nothing is refused");
	PROVE((holds[q] & AEGIS_HOLD_COUNT) == entries_of(q), "counts are entries");
	PROVE(IMPLIES(stripped, holds[q] == 0), "a stripped holding ends");
	PROVE(IMPLIES(!stripped && old && pte_pfn(old) == q, table[i] == old),
	      "others keep their bindings");
	PROVE(IMPLIES(pinned && old && pte_pfn(old) == q, table[i] == old),
	      "guaranteed ones always");
	PROVE(IMPLIES(old && !table[i] && (old & AEGIS_PTE_ACCESSED), f.ranges || f.all),
	      "what processors may remember is flushed");
	PROVE(IMPLIES(!old, !table[i]), "nothing gets bound");
	REACH(stripped && frames[FRAMES].link == link - 2);
}

void
proof_sweep_expel(void)
{
	uint32_t pfn = nondet_u32(), q = nondet_u32();
	bool force = nondet_bool();
	uint8_t was, q_was;
	status st;

	state_any();
	the_space.stripped = 0; /* the sweep itself is proof_sweep_entries */
	ASSUME(q < FRAMES && q != pfn);
	was = pfn < FRAMES ? holds[pfn] : 0;
	q_was = holds[q];
	st = _space_expel(&the_space, pfn, force);
	PROVE(holds[q] == q_was, "no other holding changes");
	PROVE(IMPLIES(!was, st == AEGIS_NOT_HELD), "what is not held is not taken");
	PROVE(IMPLIES(!force && ((was & AEGIS_HOLD_PIN) || (pfn < FRAMES && frames[pfn].link &&
							    frames[pfn].kind == FRAME_USER)),
		      pfn >= FRAMES || holds[pfn] == was),
	      "without force nothing guaranteed goes");
	PROVE(IMPLIES(st == AEGIS_OK, holds[pfn] == 0), "done when it is gone");
	PROVE(IMPLIES(st == AEGIS_AGAIN, !(holds[pfn] & (HOLD_RIGHTS | AEGIS_HOLD_PIN)) && swept),
	      "or it has no rights any more, and a sweep was made");
	REACH(st == AEGIS_AGAIN);
	REACH(st == AEGIS_OK);
	REACH(st == AEGIS_IN_USE);
}
