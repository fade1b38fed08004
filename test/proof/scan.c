/* SPDX-License-Identifier: MIT */
/*
 * The search for holdings: the one that walks the bytes of a group, in words where it can, finds the first
 * that is not 0; the one that walks groups and spans, of which it believes what space.held says, passes
 * none over.  Groups have two bytes here (the edit line of the list), so that the second looks into some
 * more than once, and the pages of the first have three words.
 */
#include "machine.h"
#include "kernel/hold.c"

#define DIRECTORY 100u
#define PAGES     200u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
atomic_uint revocation;
static uint32_t directory[SPANS];
static uint8_t __attribute__((aligned(8))) words[24];
static uint8_t __attribute__((aligned(8))) holds[SPANS][AEGIS_HOLD_SPAN];
static struct space space;

void *
machine_frame(uint32_t pfn)
{
	if (pfn == DIRECTORY)
		return directory;
	PROVE(pfn >= PAGES && pfn < PAGES + SPANS, "a frame that is a holdings page");
	return holds[pfn - PAGES];
}

void
proof_hold_scan(void)
{
	uint32_t first = nondet_u32(), end = nondet_u32(), i = nondet_u32(), at;

	ASSUME(first <= end && end <= sizeof(words));
	at = _hold_scan(words, first, end);
	PROVE(at >= first && at <= end, "within the group");
	PROVE(IMPLIES(i >= first && i < at, words[i] == 0), "nothing is passed over");
	PROVE(IMPLIES(at < end, words[at] != 0), "it stops at a holding");
	REACH(at == first + 17 && at < end);
	REACH(at == end && first % 8 == 1);
}

static bool
held(uint32_t pfn)
{
	return pfn < SPANS * AEGIS_HOLD_SPAN && directory[pfn / AEGIS_HOLD_SPAN] &&
	       holds[pfn / AEGIS_HOLD_SPAN][pfn % AEGIS_HOLD_SPAN];
}

/* Whether a search may have to look into the group of that frame, which costs a step if it is in vain. */
static bool
noted(uint32_t pfn)
{
	return space.held[pfn / AEGIS_HOLD_SPAN] >> pfn % AEGIS_HOLD_SPAN / HOLD_GROUP & 1;
}

void
proof_hold_next(void)
{
	uint32_t from = nondet_u32(), steps = nondet_u32(), i = nondet_u32(), at, before;

	space.directory = DIRECTORY;
	for (uint32_t j = 0; j < SPANS; j++)
		directory[j] = nondet_bool() ? PAGES + j : 0;
	ASSUME(frame_count <= SPANS * AEGIS_HOLD_SPAN && from <= PFN_MAX && i < frame_count);
	ASSUME(IMPLIES(held(i), noted(i)));
	before = steps;
	at = _hold_next(&space, from, &steps);
	PROVE(IMPLIES(i >= from && i < at, !held(i)), "nothing is passed over");
	PROVE(at == PFN_MAX || (at < frame_count && at >= from), "a frame, not behind the start");
	PROVE(IMPLIES(steps && at < PFN_MAX, held(at)), "with steps left it stops at a holding");
	PROVE(steps <= before, "steps are used up");
	PROVE(IMPLIES(before && !steps, at == PFN_MAX || at > from), "which gets on");
	REACH(at < PFN_MAX && steps && at > from + AEGIS_HOLD_SPAN);
	REACH(at < PFN_MAX && before && !steps);
	REACH(at == PFN_MAX && steps && from == 0 && frame_count == SPANS * AEGIS_HOLD_SPAN);
}
