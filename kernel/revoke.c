/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation and abort: ask, take, tell; one mechanism for every kind of resource.
 *
 * Owns: e->ask, the request to an environment, and the list of those that have one, by the time at which
 * their next step is due.
 *
 * 1. An environment has at most one request, in its own object: nobody's requests leave another's no room.
 *    It is in the list exactly while it has one, or bindings are left to be broken.
 * 2. `left` only falls: by what is given (revoke_given) and what is taken.  At 0 nothing is taken any more.
 * 3. A request begins with a pass over what the library declared droppable, of which it is not asked;
 *    then it is announced.  Nothing else is taken before the deadline, and never what is
 *    guaranteed: pinned frames, tables, areas; the last slice.
 * 4. Taking goes on in steps of at most TAKE_STEPS holdings looked at, from timer interrupts and
 *    schedules of whatever processor comes by; between steps no lock is held.
 * 5. Everything taken is told: it is in the repossession vector before the upcall is posted.  A frame
 *    is told, and counts, when its holding loses its rights; the request lasts until its bindings are
 *    broken as well, which may be later, and may be its holder's own doing.
 *
 * A kind is a row of `kinds`: how to take up to n of it.  Lock: the environment's, for its request and what its
 * page shows of it; ask_lock, inside it, for the list.
 */
#include "tlb.h"

#define TAKE_STEPS 512u
#define SWEEP_COST 128u /* steps that count for breaking the bindings of a frame */

static struct lock ask_lock;
static struct env *asked;
static volatile uint64_t earliest = AEGIS_NEVER;

uint64_t
revoke_deadline(void)
{
	return earliest;
}

/* TSC at which the next step is to be done. */
static uint64_t
ask_due(const struct ask *a)
{
	return a->dropping || a->breaking ? 0 : a->deadline;
}

/* e goes to its place in the list, behind those that are due at the same time, or out of it.  env.lock held. */
static void
_ask_place(struct env *e)
{
	struct ask *a = &e->ask;
	struct env **at = &asked;

	lock_acquire(&ask_lock);
	if (a->link) {
		*a->link = a->next;
		if (a->next)
			a->next->ask.link = a->link;
		a->link = NULL;
	}
	if (a->kind) {
		a->due = ask_due(a);
		while (*at && (*at)->ask.due <= a->due)
			at = &(*at)->ask.next;
		a->link = at;
		a->next = *at;
		if (a->next)
			a->next->ask.link = &a->next;
		*at = e;
	}
	earliest = asked ? asked->ask.due : AEGIS_NEVER;
	lock_release(&ask_lock);
}

void
revoke_tell(struct env *e, uint32_t kind, uint32_t name)
{
	struct aegis_env_page *p = e->page;

	p->taken[p->taken_count % AEGIS_TAKEN_MAX] = AEGIS_TAKEN(kind, name);
	p->taken_kind_last = kind;
	__atomic_store_n(&p->taken_count, p->taken_count + 1, __ATOMIC_RELEASE);
	upcall_post(e, AEGIS_PEND_REVOKE);
}

static bool
frame_takable(uint32_t pfn, uint8_t hold, bool droppable)
{
	return !hold_stripped(hold) && !(hold & AEGIS_HOLD_PIN) && frames[pfn].kind == FRAME_USER &&
	       !frames[pfn].link && (!droppable || (frames[pfn].flags & FRAME_DROP));
}

/* Goes on with the frame taken last.  False: bindings are left.  space.lock held. */
static bool
_frame_break(struct space *s, struct ask *a)
{
	const uint8_t *hold = _hold_find(s, a->progress);

	if (hold && hold_stripped(*hold) && _space_expel(s, a->progress, true) == AEGIS_AGAIN)
		return false;
	a->breaking = false;
	a->progress++;
	return true;
}

/*
 * Takes frames of e's space: droppable ones only, or any that are not guaranteed.  Looks at TAKE_STEPS
 * holdings from a->progress.  env.lock held.
 */
static uint32_t
_frames_take(struct env *e, struct ask *a, bool droppable)
{
	struct space *s = e->space;
	uint32_t taken = 0, steps = TAKE_STEPS;

	lock_acquire(&s->lock);
	while (steps && (!a->breaking || _frame_break(s, a)) && taken < a->left) {
		const uint8_t *hold;

		a->progress = _hold_next(s, a->progress, &steps);
		if (a->progress >= frame_count)
			break;
		hold = _hold_find(s, a->progress);
		if (hold && *hold && frame_takable(a->progress, *hold, droppable)) {
			if (*hold & AEGIS_HOLD_COUNT)
				steps -= steps < SWEEP_COST ? steps : SWEEP_COST;
			a->breaking = _space_expel(s, a->progress, true) == AEGIS_AGAIN;
			revoke_tell(e, AEGIS_KIND_FRAME, a->progress);
			taken++;
		}
		if (a->breaking)
			break;
		a->progress++;
	}
	lock_release(&s->lock);
	return taken;
}

static uint32_t
_slices_take(struct env *e, struct ask *a, bool droppable)
{
	a->progress = UINT32_MAX;
	return droppable ? 0 : slice_take(e, a->left);
}

static uint32_t (*const kinds[AEGIS_KINDS])(struct env *, struct ask *, bool) = {
	[AEGIS_KIND_FRAME] = _frames_take,
	[AEGIS_KIND_SLICE] = _slices_take,
};

/* The request as the environment sees it; it is gone when nothing is left to do.  env.lock held. */
static void
_ask_show(struct env *e)
{
	struct ask *a = &e->ask;
	bool shown = a->left && !a->dropping;

	e->page->ask_count = shown ? a->left : 0;
	e->page->ask_deadline = shown ? a->deadline : 0;
	e->page->ask_kind = shown ? a->kind : AEGIS_KIND_NONE;
	if (!a->left && !a->breaking)
		a->kind = AEGIS_KIND_NONE;
	_ask_place(e);
}

/*
 * One bounded step of taking.  True: nothing more can be taken and the request is not satisfied.
 * env.lock held.
 */
static bool
_ask_step(struct env *e)
{
	struct ask *a = &e->ask;
	uint32_t taken = kinds[a->kind](e, a, a->dropping);
	bool announce = false, barren = false;

	a->left -= taken;
	a->passed += taken;
	COUNT_ADD(repossessed, taken);
	if (a->left && a->progress >= frame_count && !a->breaking) { /* a pass is over */
		announce = a->dropping;
		barren = !a->dropping && a->passed == 0;
		a->dropping = false;
		a->progress = a->passed = 0;
	}
	_ask_show(e);
	if (announce)
		upcall_post(e, AEGIS_PEND_REVOKE);
	if (announce || taken)
		cpu_wake(e);
	return barren;
}

void
revoke_end(struct env *e)
{
	e->ask.kind = AEGIS_KIND_NONE;
	_ask_place(e);
}

/* Who is first in the list, locked; NULL: nobody, or it has just gone. */
static struct env *
first_lock(uint64_t now)
{
	uint32_t number = 0, generation = 0;

	lock_acquire(&ask_lock);
	if (asked && asked->ask.due <= now) {
		number = asked->number;
		generation = asked->generation;
	}
	lock_release(&ask_lock);
	return env_lock(number, generation);
}

void
revoke_poll(uint64_t now)
{
	struct env *e;

	if (now < earliest)
		return;
	e = first_lock(now);
	if (!e)
		return;
	if (e->ask.kind && ask_due(&e->ask) <= now && _ask_step(e)) {
		/* Nothing can be taken of it: its end. */
		e->ask.left = 0;
		_ask_show(e);
		_env_abort(e, AEGIS_END_REVOKE);
	}
	env_unlock(e);
}

void
revoke_given(struct env *e, uint32_t kind, uint32_t n)
{
	struct ask *a = &e->ask;

	if (e->page->ask_kind != kind)
		return;
	env_lock(e->number, 0);
	if (a->kind == kind) {
		a->left = a->left > n ? a->left - n : 0;
		_ask_show(e);
	}
	env_unlock(e);
}

status
sys_revoke_ask(uint32_t cap, uint32_t env, uint32_t kind, uint32_t count, uint64_t deadline)
{
	struct env *e;
	status st;

	if (kind == AEGIS_KIND_NONE || kind >= AEGIS_KINDS || count == 0)
		return AEGIS_BAD_ARG;
	st = env_open(cap, env, AEGIS_REVOKE, &e);
	if (st != AEGIS_OK)
		return st;
	if (e->state == AEGIS_STATE_ENDED) {
		st = AEGIS_DEAD;
	} else if (e->ask.kind) {
		st = AEGIS_IN_USE;
	} else {
		e->ask = (struct ask){
			.kind = kind, .left = count, .deadline = deadline, .dropping = true};
		_ask_step(e); /* the first; the others are due at once */
	}
	env_unlock(e);
	if (st == AEGIS_OK)
		cpu_arm();
	return st;
}
