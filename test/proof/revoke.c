/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation: what is asked for only falls, what is guaranteed is not taken, what is taken is
 * told, nothing is asked twice, and only who has nothing left to take is ended.
 *
 * State: one request of an environment, arbitrary, among three rows; frames and holdings arbitrary.
 */
#include "machine.h"
#include "kernel/revoke.c"

#define FRAMES 4u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
static struct frame frame_array[FRAMES];
static uint8_t holds[FRAMES];
static struct space the_space;
static struct env self;
static struct aegis_env_page page;
static uint32_t told, aborted, slices, woken;
static bool allowed;

struct env *
current(void)
{
	return &self;
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	return number == self.number && (!generation || generation == self.generation) ? &self
										       : NULL;
}

void
env_unlock(const struct env *e)
{
	PROVE(e == &self, "what was locked");
}

status
env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out)
{
	(void)cap;
	PROVE(rights == AEGIS_REVOKE, "the right to ask");
	*out = &self;
	return allowed && env == self.number ? AEGIS_OK : AEGIS_DENIED;
}

void
_env_abort(struct env *e, uint32_t reason)
{
	PROVE(e == &self && reason == AEGIS_END_REVOKE, "that environment, for that reason");
	aborted++;
}

void
cpu_wake(struct env *e)
{
	PROVE(e == &self, "who is asked");
	woken++;
}

void
cpu_arm(void)
{
}

void
upcall_post(struct env *e, uint32_t reason)
{
	PROVE(e == &self && reason == AEGIS_PEND_REVOKE, "who is asked, of that");
	told++;
}

uint32_t
slice_take(struct env *e, uint32_t n)
{
	uint32_t taken = nondet_u32();

	PROVE(e == &self, "who is asked");
	ASSUME(taken <= n && taken <= slices);
	slices -= taken;
	return taken;
}

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	PROVE(s == &the_space, "the space of who is asked");
	return pfn < FRAMES ? &holds[pfn] : NULL;
}

uint32_t
_hold_next(struct space *s, uint32_t pfn, uint32_t *steps)
{
	PROVE(s == &the_space, "the space of who is asked");
	while (pfn < frame_count && *steps) {
		--*steps;
		if (holds[pfn])
			return pfn;
		pfn++;
	}
	return pfn < frame_count ? pfn : PFN_MAX;
}

status
_space_expel(struct space *s, uint32_t pfn, bool force)
{
	PROVE(s == &the_space && force && s->lock.held, "by force, with the lock");
	PROVE(frames[pfn].kind == FRAME_USER || hold_stripped(holds[pfn]), "user memory only");
	PROVE(!(holds[pfn] & AEGIS_HOLD_PIN), "nothing guaranteed");
	PROVE(IMPLIES(!hold_stripped(holds[pfn]), !frames[pfn].link), "no area");
	holds[pfn] &= AEGIS_HOLD_COUNT;
	if (holds[pfn] && nondet_bool())
		return AEGIS_AGAIN;
	holds[pfn] = 0;
	return AEGIS_OK;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	revoke_lock.held = 0;
	the_space.lock.held = 0;
	told = aborted = woken = 0;
	frames = frame_array;
	ASSUME(frame_count <= FRAMES && frame_count > 0);
	self.space = &the_space;
	self.page = &page;
	self.number = 1;
	ASSUME(self.generation > 0);
	for (uint32_t i = 0; i < FRAMES; i++)
		ASSUME(IMPLIES(hold_stripped(holds[i]), !(holds[i] & AEGIS_HOLD_PIN)));
}

static bool
pinned(uint32_t pfn)
{
	return (holds[pfn] & AEGIS_HOLD_PIN) ||
	       (!hold_stripped(holds[pfn]) && (frames[pfn].link || frames[pfn].kind != FRAME_USER));
}

void
proof_revoke_step(void)
{
	struct ask *a = &asks[0];
	uint32_t left, i = nondet_u32(), before = page.taken_count, droppable = nondet_bool();
	bool kept, barren;
	uint8_t hold;

	state_any();
	ASSUME(i < frame_count && a->kind < AEGIS_KINDS && a->kind != AEGIS_KIND_NONE);
	ASSUME(a->progress < frame_count && (a->left > 0 || a->breaking));
	ASSUME(IMPLIES(a->breaking, a->kind == AEGIS_KIND_FRAME));
	a->env = 1;
	a->generation = self.generation;
	a->dropping = droppable;
	before = page.taken_count;
	left = a->left;
	hold = holds[i];
	kept = pinned(i);
	barren = _ask_step(&self, a);
	check_locks();
	PROVE(a->left <= left, "what is asked for only falls");
	PROVE(IMPLIES(kept, holds[i] == hold), "what is guaranteed stays");
	PROVE(IMPLIES(a->kind == AEGIS_KIND_FRAME && holds[i] != hold,
		      hold_stripped(hold) || !droppable || (frames[i].flags & FRAME_DROP)),
	      "before it is asked, only what is droppable goes");
	PROVE(IMPLIES(a->kind == AEGIS_KIND_FRAME, page.taken_count - before == left - a->left),
	      "all that is taken is told");
	PROVE(IMPLIES(a->kind == AEGIS_KIND_FRAME && hold && !hold_stripped(hold) &&
			      (!holds[i] || hold_stripped(holds[i])),
		      left > a->left),
	      "and counted, when it loses its rights");
	PROVE(IMPLIES(hold_stripped(holds[i]) && !hold_stripped(hold),
		      a->breaking && a->progress == i),
	      "its bindings will be broken");
	PROVE(IMPLIES(barren, a->left > 0 && !droppable), "no hope only when asked for in vain");
	PROVE(IMPLIES(droppable && !a->dropping, told > 0 && woken > 0), "then it is announced");
	PROVE(page.ask_count == (a->dropping ? 0 : a->left), "the page says what is missing");
	PROVE(IMPLIES(page.ask_kind, page.ask_kind == a->kind && a->left), "and of which kind");
	REACH(a->kind == AEGIS_KIND_FRAME && left > a->left && a->left > 0);
	REACH(barren);
	REACH(left == 0 && !a->breaking);
	REACH(droppable && !a->dropping);
}

void
proof_revoke_given(void)
{
	uint32_t n = nondet_u32(), kind = nondet_u32(), left = asks[0].left, other;

	state_any();
	ASSUME(asks[0].env == 1 && asks[0].generation == self.generation && asks[0].left > 0);
	ASSUME(asks[0].kind == AEGIS_KIND_FRAME || asks[0].kind == AEGIS_KIND_SLICE);
	for (uint32_t i = 1; i < ASKS; i++)
		ASSUME(asks[i].env != 1); /* one request of an environment */
	asks[0].dropping = false;
	page.ask_kind = asks[0].kind;
	left = asks[0].left;
	other = asks[1].left;
	revoke_given(&self, kind, n);
	check_locks();
	PROVE(asks[1].left == other, "nobody else's request changes");
	if (kind != asks[0].kind) {
		PROVE(asks[0].left == left && asks[0].env == 1, "another kind does not count");
		return;
	}
	PROVE(asks[0].left == (n < left ? left - n : 0), "what is given counts, and no more");
	PROVE((asks[0].env == 0) == (n >= left && !asks[0].breaking), "satisfied, it is gone");
	PROVE(IMPLIES(n >= left, page.ask_kind == AEGIS_KIND_NONE), "also from the page");
	REACH(n > left);
	REACH(n && n < left);
}

void
proof_revoke_ask(void)
{
	uint32_t env = nondet_u32(), kind = nondet_u32(), count = nondet_u32(), rows = 0, had = 0;
	status st;

	state_any();
	for (uint32_t i = 0; i < ASKS; i++)
		had += asks[i].env == 1 && asks[i].generation == self.generation;
	ASSUME(had <= 1);
	st = sys_revoke_ask(0, env, kind, count, nondet_u64());
	check_locks();
	for (uint32_t i = 0; i < ASKS; i++) {
		bool row = asks[i].env == 1 && asks[i].generation == self.generation;

		rows += row;
		PROVE(IMPLIES(row && !had,
			      asks[i].left <= count && (asks[i].left > 0 || asks[i].breaking)),
		      "no more than was asked for");
	}
	PROVE(rows <= 1, "one request of an environment");
	PROVE(IMPLIES(st != AEGIS_OK, rows == had), "a failure asks nothing");
	PROVE(IMPLIES(st == AEGIS_OK, allowed && env == 1 && !had && count), "by right");
	PROVE(aborted == 0, "asking ends nobody");
	REACH(st == AEGIS_OK && rows == 1);
	REACH(st == AEGIS_IN_USE && had);
}

void
proof_revoke_poll(void)
{
	uint64_t now = nondet_u64();
	uint32_t left, i = nondet_u32();
	uint8_t hold;
	bool due;

	state_any();
	ASSUME(asks[0].env == 1 && asks[0].generation == self.generation && asks[0].left > 0);
	ASSUME(asks[0].kind == AEGIS_KIND_FRAME || asks[0].kind == AEGIS_KIND_SLICE);
	ASSUME(asks[0].progress < frame_count && self.state < AEGIS_STATE_ENDED && i < frame_count);
	for (uint32_t k = 1; k < ASKS; k++)
		asks[k].env = 0;
	ASSUME(IMPLIES(asks[0].breaking, asks[0].kind == AEGIS_KIND_FRAME &&
						 (asks[0].dropping || asks[0].deadline <= now)));
	left = asks[0].left;
	hold = holds[i];
	due = asks[0].dropping || asks[0].deadline <= now;
	revoke_poll(now);
	check_locks();
	PROVE(IMPLIES(!due, asks[0].left == left && holds[i] == hold && !aborted),
	      "nothing is taken before the deadline");
	PROVE(IMPLIES(aborted, asks[0].env == 0 && page.ask_kind == AEGIS_KIND_NONE),
	      "who is ended is asked no more");
	PROVE(IMPLIES(asks[0].env == 1,
		      (asks[0].left > 0 || asks[0].breaking) && asks[0].left <= left),
	      "or it goes on");
	PROVE(IMPLIES(asks[0].breaking, asks[0].dropping || asks[0].deadline <= now),
	      "what is not droppable is begun after the deadline only");
	REACH(aborted != 0);
	REACH(due && asks[0].env == 0 && !aborted);
}
