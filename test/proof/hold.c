/* SPDX-License-Identifier: MIT */
/*
 * Holdings: how they begin, pass on and end.  Rights are never more than the source had; a frame becomes
 * a kernel object only when nobody else can reach it; a frame's references change by as much as its
 * holdings do.
 *
 * State: one space (two for sharing), each holding byte, frame and directory entry arbitrary as far as
 * the invariants of kernel/hold.c allow.  What cap_check answers is arbitrary, and it is recorded for
 * what it was asked.
 */
#include "machine.h"
#include "kernel/hold.c"

#define FRAMES    (2 * AEGIS_HOLD_SPAN)
#define DIRECTORY 100u
#define PAGES     200u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
static struct frame frame_array[FRAMES];
/* Objects of their own, so that each access is one into a plain array. */
static uint32_t directory0[SPANS], directory1[SPANS];
#define HOLDS_PAGE static uint8_t __attribute__((aligned(8)))
HOLDS_PAGE holds00[AEGIS_HOLD_SPAN];
HOLDS_PAGE holds01[AEGIS_HOLD_SPAN];
HOLDS_PAGE holds10[AEGIS_HOLD_SPAN];
HOLDS_PAGE holds11[AEGIS_HOLD_SPAN];
static struct space spaces[2];
static struct env self;
static struct {
	uint32_t guard, rights;
	status st;
	bool asked;
} check;
static uint32_t released;
atomic_uint revocation;

/* The frames of one name, which is any. */
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
machine_frame_bindable(uint32_t pfn)
{
	(void)pfn;
	return nondet_bool();
}

struct env *
current(void)
{
	return &self;
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
	(void)slot;
	PROVE(e == &self, "the caller's capability");
	check.asked = true;
	check.guard = guard;
	check.rights = rights;
	check.st = nondet_bool() ? AEGIS_OK : AEGIS_DENIED;
	return check.st;
}

void
mem_release(uint32_t pfn)
{
	PROVE(pfn < frame_count && frames[pfn].refs > 0, "a reference that there is");
	frames[pfn].refs--;
	released++;
}

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		mem_release(pfns[i]);
}

void
_flush_finish(struct flush *f)
{
	mem_release_many(f->drop, f->drops);
	f->drops = 0;
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

/* A byte that invariant 2 and 4 allow, on a frame that they allow it on. */
static bool
hold_good(uint8_t hold, const struct frame *f)
{
	if (!hold)
		return true;
	if ((hold & AEGIS_HOLD_WRITE) && !(hold & AEGIS_HOLD_READ))
		return false;
	if (hold_stripped(hold) && (!(hold & AEGIS_HOLD_COUNT) || (hold & AEGIS_HOLD_PIN)))
		return false;
	if ((hold & AEGIS_HOLD_WRITE) && f->kind != FRAME_USER)
		return false;
	return f->refs > 0 &&
	       (f->kind == FRAME_USER || f->kind == FRAME_EXPOSED || f->kind == FRAME_HOLD);
}

static void
state_any(uint32_t pfn)
{
	machine_me = 0;
	locks_held = 0;
	mem_lock.held = node_lock.held = 0;
	released = 0;
	check.asked = false;
	frames = frame_array;
	ASSUME(frame_count > 0 && frame_count <= FRAMES);
	for (uint32_t i = 0; i < 2; i++) {
		struct space *s = &spaces[i];

		s->lock.held = 0;
		s->directory = DIRECTORY + i;
		s->number = i + 1;
		ASSUME(s->pinned > 0 && s->pinned < 100000 && s->area_pins < 100000);
		ASSUME(s->stripped < 1000);
		for (uint32_t j = 0; j < SPANS; j++)
			(i ? directory1 : directory0)[j] = nondet_bool() ? PAGES + 2 * i + j : 0;
	}
	self.space = &spaces[0];
	ASSUME(self.exposed < frame_count && frames[self.exposed].kind == FRAME_EXPOSED);
	if (pfn < frame_count) {
		ASSUME(frames[pfn].refs < 1000 && frames[pfn].kind <= FRAME_KERNEL);
		for (uint32_t i = 0; i < 2; i++) {
			const uint8_t *hold = _hold_find(&spaces[i], pfn);

			ASSUME(!hold || hold_good(*hold, &frames[pfn]));
			ASSUME(!hold || !(*hold & AEGIS_HOLD_COUNT) || frames[pfn].refs);
		}
	}
}

static uint8_t
held(uint32_t space, uint32_t pfn)
{
	const uint8_t *hold = _hold_find(&spaces[space], pfn);

	return hold ? *hold : 0;
}

void
proof_hold_retype(void)
{
	uint32_t pfn = nondet_u32(), i = nondet_u32();
	struct frame before;
	uint8_t was, other_was;
	status st;

	state_any(pfn);
	ASSUME(i < FRAMES && i != pfn);
	was = held(0, pfn);
	other_was = held(0, i);
	before = pfn < FRAMES ? frames[pfn] : (struct frame){0};
	machine_cleared = UINT32_MAX;
	st = _mem_retype(&spaces[0], pfn, FRAME_TABLE);
	check_locks();
	PROVE(held(0, i) == other_was, "no other holding changes");
	if (st != AEGIS_OK) {
		PROVE(held(0, pfn) == was, "a failure changes nothing");
		PROVE(IMPLIES(pfn < frame_count, frames[pfn].kind == before.kind), "nor the frame");
		REACH(st == AEGIS_IN_USE);
		return;
	}
	PROVE(pfn < frame_count && before.kind == FRAME_USER, "only user memory becomes an object");
	PROVE((was & HOLD_RIGHTS) == HOLD_RIGHTS, "its supplier held it, for reading and writing");
	PROVE(!(was & AEGIS_HOLD_COUNT), "it is bound nowhere in that space");
	PROVE(before.refs == 1 && before.link == 0, "and no other space or device reaches it");
	PROVE(held(0, pfn) == 0, "nobody holds it afterwards");
	PROVE(frames[pfn].refs == 1, "its reference is the object's");
	PROVE(machine_cleared == pfn || (before.flags & FRAME_ZERO), "it is zeros");
	REACH(was & AEGIS_HOLD_PIN);
	REACH(machine_cleared == UINT32_MAX);
}

void
proof_hold_bind(void)
{
	struct aegis_frame_rec rec;
	uint32_t cap = nondet_u32(), refs;
	uint8_t was, now;
	struct frame f;
	status st;

	state_any(rec.pfn);
	was = held(0, rec.pfn);
	f = rec.pfn < FRAMES ? frames[rec.pfn] : (struct frame){0};
	refs = f.refs;
	st = _hold_bind(&self, cap, rec);
	check_locks();
	now = held(0, rec.pfn);
	if (st != AEGIS_OK) {
		PROVE(now == was, "a failure changes nothing");
		PROVE(IMPLIES(rec.pfn < frame_count, frames[rec.pfn].refs == refs),
		      "nor references");
		return;
	}
	PROVE((now & ~was & ~hold_need(rec.flags)) == 0, "no more rights than were asked for");
	PROVE((now & AEGIS_HOLD_COUNT) == (was & AEGIS_HOLD_COUNT), "bindings stay");
	PROVE(!hold_stripped(was), "a holding on its way out does not come back");
	if (rec.pfn >= frame_count || f.kind == FRAME_NONE) {
		PROVE(check.asked && check.st == AEGIS_OK && check.guard == NODE_ROOT &&
			      (check.rights & AEGIS_DEVICE),
		      "device registers need the root's DEVICE right");
		return;
	}
	PROVE(f.kind == FRAME_USER || f.kind == FRAME_EXPOSED || f.kind == FRAME_HOLD,
	      "never a free frame, a table, an object, or the kernel's own");
	PROVE(IMPLIES(f.kind != FRAME_USER, rec.flags == AEGIS_READ),
	      "what is exposed is read only");
	PROVE(IMPLIES(cap != AEGIS_SELF, check.asked && check.st == AEGIS_OK &&
						 check.rights == rec.flags &&
						 check.guard == (f.guard ? f.guard : NODE_ROOT)),
	      "the capability dominates the frame's guard and has the rights");
	PROVE(IMPLIES(cap == AEGIS_SELF, f.kind != FRAME_USER), "SELF opens no user memory");
	PROVE(IMPLIES(cap == AEGIS_SELF && f.kind == FRAME_HOLD, f.link == self.space->number),
	      "and no other space's holdings");
	PROVE(IMPLIES(f.kind == FRAME_HOLD, cap == AEGIS_SELF), "nobody else opens holdings");
	PROVE(frames[rec.pfn].refs == refs + (was == 0), "one reference for a new holding");
	REACH(f.kind == FRAME_USER && was == 0);
	REACH(f.kind == FRAME_HOLD);
	REACH(f.kind == FRAME_USER && was && !(was & AEGIS_HOLD_WRITE) && (now & AEGIS_HOLD_WRITE));
}

void
proof_hold_share(void)
{
	struct aegis_frame_rec rec;
	struct pair p = {&spaces[0], &spaces[1], true};
	uint8_t giver, was, now;
	struct frame f;
	status st;

	state_any(rec.pfn);
	giver = held(0, rec.pfn);
	was = held(1, rec.pfn);
	f = rec.pfn < FRAMES ? frames[rec.pfn] : (struct frame){0};
	st = _frame_share(&p, rec);
	now = held(1, rec.pfn);
	PROVE(held(0, rec.pfn) == giver, "the giver's holding does not change");
	if (st != AEGIS_OK) {
		PROVE(now == was, "a failure changes nothing");
		REACH(st == AEGIS_AGAIN);
		return;
	}
	PROVE((now & ~was & ~giver) == 0, "nobody gets a right that the giver does not have");
	PROVE((now & (AEGIS_HOLD_COUNT | AEGIS_HOLD_PIN)) ==
		      (was & (AEGIS_HOLD_COUNT | AEGIS_HOLD_PIN)),
	      "nor a binding or a guarantee");
	PROVE(!revocation || !node_dominates(revocation, f.guard),
	      "what a revocation breaks is not shared");
	PROVE(f.kind == FRAME_USER || f.kind == FRAME_EXPOSED, "memory only");
	PROVE(!hold_stripped(was) && !hold_stripped(giver), "nothing stripped takes part");
	PROVE(frames[rec.pfn].refs == f.refs + (was == 0), "one reference for a new holding");
	REACH(was == 0 && (now & AEGIS_HOLD_WRITE));
}

void
proof_hold_mark(void)
{
	struct aegis_frame_rec rec;
	struct pair p = {&spaces[0], &spaces[0], false};
	uint32_t pinned, limit;
	uint8_t was, now;
	struct frame f;
	status st;

	state_any(rec.pfn);
	pinned = spaces[0].pinned;
	limit = AEGIS_PINNED_MAX + spaces[0].area_pins;
	ASSUME(pinned <= limit);
	was = held(0, rec.pfn);
	f = rec.pfn < FRAMES ? frames[rec.pfn] : (struct frame){0};
	st = _frame_mark(&p, rec);
	check_locks();
	now = held(0, rec.pfn);
	PROVE(spaces[0].pinned <= limit, "never more guaranteed frames than the space may have");
	PROVE((now & ~AEGIS_HOLD_PIN) == (was & ~AEGIS_HOLD_PIN), "only the guarantee changes");
	PROVE((int32_t)(spaces[0].pinned - pinned) ==
		      ((now & AEGIS_HOLD_PIN) != 0) - ((was & AEGIS_HOLD_PIN) != 0),
	      "guaranteed frames are counted");
	if (st != AEGIS_OK)
		return;
	PROVE(was & AEGIS_HOLD_WRITE, "who marks may write");
	PROVE(IMPLIES(f.link, now & AEGIS_HOLD_PIN), "an area stays guaranteed");
	REACH(!(was & AEGIS_HOLD_PIN) && (now & AEGIS_HOLD_PIN));
	REACH((was & AEGIS_HOLD_PIN) && !(now & AEGIS_HOLD_PIN));
}

/* Stripped, then unbound as often as it was bound: the holding and its one reference are gone. */
void
proof_hold_end(void)
{
	uint32_t pfn = nondet_u32(), refs, pinned, bound;
	struct space *s = &spaces[0];
	struct flush f;
	uint8_t *hold;

	state_any(pfn);
	ASSUME(pfn < frame_count);
	hold = _hold_find(s, pfn);
	ASSUME(hold && *hold && !hold_stripped(*hold));
	s->dying = 0;
	refs = frames[pfn].refs;
	pinned = s->pinned - ((*hold & AEGIS_HOLD_PIN) != 0);
	bound = *hold & AEGIS_HOLD_COUNT;
	ASSUME(bound <= 2);
	s->stripped = 5;
	_hold_strip(s, pfn, hold);
	PROVE(!(*hold & (HOLD_RIGHTS | AEGIS_HOLD_PIN)), "a stripped holding has no rights");
	PROVE((*hold & AEGIS_HOLD_COUNT) == bound, "its bindings are still to be broken");
	PROVE(frames[pfn].refs == (bound ? refs : refs - 1), "its reference stays until then");
	PROVE(s->stripped == (bound ? 6 : 5), "what is stripped is counted");
	PROVE(share_check(pfn, *hold, AEGIS_HOLD_READ) == AEGIS_NOT_HELD, "nothing comes from it");
	PROVE(_mem_retype(s, pfn, FRAME_TABLE) == AEGIS_NOT_HELD, "nor can it be retyped");
	flush_start(&f, s, s);
	for (uint32_t i = 0; i < 2; i++) {
		if (i < bound)
			_hold_uncount(&f, hold, pfn);
	}
	PROVE(IMPLIES(bound, f.drops == 1 && f.drop[0] == pfn), "released after the last binding");
	PROVE(IMPLIES(bound, frames[pfn].refs == refs), "but not before processors forgot");
	_flush_finish(&f);
	PROVE(*hold == 0 && frames[pfn].refs == refs - 1, "holding and reference end together");
	PROVE(s->stripped == 5 && s->pinned == pinned, "and are not counted any more");
	REACH(bound == 2 && refs > 1);
	REACH(bound == 0);
}

void
proof_hold_untype(void)
{
	uint32_t pfn = nondet_u32();
	bool zero;

	state_any(pfn);
	ASSUME(pfn < frame_count && frames[pfn].refs == 1);
	ASSUME(frames[pfn].kind == FRAME_TABLE || frames[pfn].kind == FRAME_OBJECT);
	ASSUME(_hold_find(&spaces[0], pfn) && held(0, pfn) == 0);
	zero = frames[pfn].kind == FRAME_TABLE && !frames[pfn].link;
	_mem_untype(&spaces[0], pfn);
	check_locks();
	PROVE(frames[pfn].flags & FRAME_DIRTY, "what the kernel wrote there is not shown");
	PROVE(zero || !(frames[pfn].flags & FRAME_ZERO), "and cleared, unless it is zeros");
	PROVE(frames[pfn].kind == FRAME_USER && held(0, pfn) == HOLD_RIGHTS,
	      "held by its supplier");
	PROVE(frames[pfn].refs == 1, "with one reference");
	REACH(!zero);
}
