/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation: what is asked for only falls, what is guaranteed is not taken, what is taken is
 * told, nothing is asked twice, and only who has nothing left to take is ended.
 *
 * State: one request of an environment, arbitrary, in a list with another's before and after it or not; frames
 * and holdings arbitrary.
 */
#include "machine.h"
#include "kernel/revoke.c"

#include "holds.h"

static struct space the_space;
static struct env self, earlier, later; /* the others only have a place in the list */
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
	return holds_next(pfn, steps);
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
list_add(struct env *e, struct env ***at)
{
	e->ask.link = *at;
	e->ask.next = NULL;
	**at = e;
	*at = &e->ask.next;
}

/* In the order of `due`, with what the three have. */
static void
list_any(void)
{
	struct env **at = &asked;

	self.ask.due = ask_due(&self.ask);
	asked = NULL;
	earlier.ask.link = self.ask.link = later.ask.link = NULL;
	if (nondet_bool() && IMPLIES(self.ask.kind, earlier.ask.due <= self.ask.due))
		list_add(&earlier, &at);
	if (self.ask.kind)
		list_add(&self, &at);
	if (nondet_bool() && (!self.ask.kind || self.ask.due <= later.ask.due) &&
	    IMPLIES(earlier.ask.link, earlier.ask.due <= later.ask.due))
		list_add(&later, &at);
	earliest = asked ? asked->ask.due : AEGIS_NEVER;
}

/* Who was in it is, who has a request is, and it is in order. */
static void
list_check(bool first, bool last)
{
	uint32_t n = 0;
	uint64_t due = 0;

	for (struct env **at = &asked; *at; at = &(*at)->ask.next) {
		PROVE(++n <= 3, "the list ends");
		PROVE((*at)->ask.link == at, "each knows what leads to it");
		PROVE((*at)->ask.due >= due, "in order");
		due = (*at)->ask.due;
	}
	PROVE(n == (uint32_t)first + last + (self.ask.kind != AEGIS_KIND_NONE), "nobody is lost");
	PROVE((self.ask.link != NULL) == (self.ask.kind != AEGIS_KIND_NONE),
	      "who has a request is in it");
	PROVE(IMPLIES(self.ask.kind, self.ask.due == ask_due(&self.ask)), "at its time");
	PROVE(earliest == (asked ? asked->ask.due : AEGIS_NEVER), "and the hint is right");
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	ask_lock.held = 0;
	the_space.lock.held = 0;
	told = aborted = woken = 0;
	frames = frame_array;
	ASSUME(frame_count <= FRAMES && frame_count > 0);
	self.space = &the_space;
	self.page = &page;
	self.number = 1;
	earlier.number = 2;
	later.number = 3;
	ASSUME(self.generation > 0);
	ASSUME(self.ask.kind < AEGIS_KINDS);
	if (self.ask.kind) {
		ASSUME(self.ask.progress < frame_count && (self.ask.left > 0 || self.ask.breaking));
		ASSUME(IMPLIES(self.ask.breaking, self.ask.kind == AEGIS_KIND_FRAME));
	}
	list_any();
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
	struct ask *a = &self.ask;
	uint32_t left, i = nondet_u32(), before, kind;
	bool kept, barren, droppable, first, last;
	uint8_t hold;

	state_any();
	ASSUME(i < frame_count && a->kind != AEGIS_KIND_NONE);
	kind = a->kind;
	droppable = a->dropping;
	first = earlier.ask.link;
	last = later.ask.link;
	before = page.taken_count;
	left = a->left;
	hold = holds[i];
	kept = pinned(i);
	barren = _ask_step(&self);
	check_locks();
	list_check(first, last);
	PROVE(a->left <= left, "what is asked for only falls");
	PROVE(IMPLIES(kept, holds[i] == hold), "what is guaranteed stays");
	PROVE(IMPLIES(kind == AEGIS_KIND_FRAME && holds[i] != hold,
		      hold_stripped(hold) || !droppable || (frames[i].flags & FRAME_DROP)),
	      "before it is asked, only what is droppable goes");
	PROVE(IMPLIES(kind == AEGIS_KIND_FRAME, page.taken_count - before == left - a->left),
	      "all that is taken is told");
	PROVE(IMPLIES(kind == AEGIS_KIND_FRAME && hold && !hold_stripped(hold) &&
			      (!holds[i] || hold_stripped(holds[i])),
		      left > a->left),
	      "and counted, when it loses its rights");
	PROVE(IMPLIES(hold_stripped(holds[i]) && !hold_stripped(hold),
		      a->breaking && a->progress == i),
	      "its bindings will be broken");
	PROVE(IMPLIES(barren, a->left > 0 && !droppable), "no hope only when asked for in vain");
	PROVE(IMPLIES(droppable && !a->dropping, told > 0 && woken > 0), "then it is announced");
	PROVE(page.ask_count == (a->dropping ? 0 : a->left), "the page says what is missing");
	PROVE(IMPLIES(page.ask_kind, page.ask_kind == kind && a->left), "and of which kind");
	REACH(kind == AEGIS_KIND_FRAME && left > a->left && a->left > 0);
	REACH(barren);
	REACH(left == 0 && !a->breaking);
	REACH(droppable && !a->dropping);
}

void
proof_revoke_given(void)
{
	uint32_t n = nondet_u32(), kind = nondet_u32(), left, asked_for;
	bool breaking, first, last;

	state_any();
	ASSUME(self.ask.left > 0 && !self.ask.dropping && self.ask.kind);
	page.ask_kind = self.ask.kind;
	asked_for = self.ask.kind;
	left = self.ask.left;
	breaking = self.ask.breaking;
	first = earlier.ask.link;
	last = later.ask.link;
	revoke_given(&self, kind, n);
	check_locks();
	list_check(first, last);
	if (kind != asked_for) {
		PROVE(self.ask.left == left && self.ask.kind == asked_for,
		      "another kind does not count");
		return;
	}
	PROVE(self.ask.left == (n < left ? left - n : 0), "what is given counts, and no more");
	PROVE(!self.ask.kind == (n >= left && !breaking), "satisfied, it is gone");
	PROVE(IMPLIES(n >= left, page.ask_kind == AEGIS_KIND_NONE), "also from the page");
	REACH(n > left);
	REACH(n && n < left && first && last);
}

void
proof_revoke_ask(void)
{
	uint32_t env = nondet_u32(), kind = nondet_u32(), count = nondet_u32(), had, left;
	bool first, last;
	status st;

	state_any();
	had = self.ask.kind;
	left = self.ask.left;
	first = earlier.ask.link;
	last = later.ask.link;
	st = sys_revoke_ask(0, env, kind, count, nondet_u64());
	check_locks();
	list_check(first, last);
	PROVE(IMPLIES(had || st != AEGIS_OK, self.ask.kind == had && self.ask.left == left),
	      "a failure asks nothing, and one request of an environment");
	PROVE(IMPLIES(st == AEGIS_OK && self.ask.kind,
		      self.ask.left <= count && (self.ask.left > 0 || self.ask.breaking)),
	      "no more than was asked for");
	PROVE(IMPLIES(st == AEGIS_OK, allowed && env == 1 && !had && count), "by right");
	PROVE(aborted == 0, "asking ends nobody");
	REACH(st == AEGIS_OK && self.ask.kind && first && last);
	REACH(st == AEGIS_IN_USE && had);
}

void
proof_revoke_poll(void)
{
	uint64_t now = nondet_u64();
	uint32_t left, i = nondet_u32();
	bool due, first, last;
	uint8_t hold;

	state_any();
	ASSUME(self.ask.kind && self.ask.left > 0 && self.state < AEGIS_STATE_ENDED &&
	       i < frame_count);
	ASSUME(IMPLIES(self.ask.breaking, self.ask.dropping || self.ask.deadline <= now));
	first = earlier.ask.link;
	last = later.ask.link;
	left = self.ask.left;
	hold = holds[i];
	due = self.ask.dropping || self.ask.deadline <= now;
	revoke_poll(now);
	check_locks();
	list_check(first, last);
	PROVE(IMPLIES(!due, self.ask.left == left && holds[i] == hold && !aborted),
	      "nothing is taken before the deadline");
	PROVE(IMPLIES(aborted, !self.ask.kind && page.ask_kind == AEGIS_KIND_NONE),
	      "who is ended is asked no more");
	PROVE(IMPLIES(self.ask.kind,
		      (self.ask.left > 0 || self.ask.breaking) && self.ask.left <= left),
	      "or it goes on");
	PROVE(IMPLIES(self.ask.breaking, self.ask.dropping || self.ask.deadline <= now),
	      "what is not droppable is begun after the deadline only");
	REACH(aborted != 0);
	REACH(due && !self.ask.kind && !aborted);
}

/* An environment that ends is in nobody's way. */
void
proof_revoke_end(void)
{
	bool first, last;

	state_any();
	first = earlier.ask.link;
	last = later.ask.link;
	revoke_end(&self);
	check_locks();
	list_check(first, last);
	PROVE(!self.ask.kind && !self.ask.link, "it is not asked any more");
	REACH(first && last);
}
