/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation and abort: ask, take, tell; one mechanism for every kind of resource.
 *
 * Owns: the table of requests under way.
 *
 * 1. An environment has at most one request; asks[i].env names it.
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
 * A kind is a row of `kinds`: how to take up to n of it.  Lock: revoke_lock, outside the environment's;
 * env.page fields of the request are written with it held.
 */
#include "tlb.h"

#define ASKS       64u
#define TAKE_STEPS 512u
#define SWEEP_COST 128u /* steps that count for breaking the bindings of a frame */

struct ask {
	uint32_t env, generation;
	uint32_t kind, left;
	uint64_t deadline;
	uint32_t progress; /* next frame to look at */
	uint32_t passed;   /* taken in this pass */
	bool dropping;     /* in the pass over what is droppable: not announced yet */
	bool breaking;     /* frame `progress` was taken, bindings of it are left */
};

static struct lock revoke_lock;
static struct ask asks[ASKS];
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

/* revoke_lock held. */
static void
_earliest_update(void)
{
	uint64_t at = AEGIS_NEVER;

	for (uint32_t i = 0; i < ASKS; i++) {
		if (asks[i].env && ask_due(&asks[i]) < at)
			at = ask_due(&asks[i]);
	}
	earliest = at;
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

/* The request as the environment sees it; it is gone when nothing is left to do.  Both locks held. */
static void
_ask_show(struct env *e, struct ask *a)
{
	bool asked = a->left && !a->dropping;

	e->page->ask_count = asked ? a->left : 0;
	e->page->ask_deadline = asked ? a->deadline : 0;
	e->page->ask_kind = asked ? a->kind : AEGIS_KIND_NONE;
	if (!a->left && !a->breaking)
		a->env = 0;
}

/*
 * One bounded step of taking.  True: nothing more can be taken and the request is not satisfied.
 * env.lock and revoke_lock held.
 */
static bool
_ask_step(struct env *e, struct ask *a)
{
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
	_ask_show(e, a);
	if (announce)
		upcall_post(e, AEGIS_PEND_REVOKE);
	if (announce || taken)
		cpu_wake(e);
	return barren;
}

/* The same; it ends an environment of which nothing can be taken.  revoke_lock held. */
static void
_ask_go(struct ask *a)
{
	struct env *e = env_lock(a->env, a->generation);

	if (!e || e->state == AEGIS_STATE_ENDED) {
		a->env = 0;
	} else if (_ask_step(e, a)) {
		a->left = 0;
		_ask_show(e, a);
		_env_abort(e, AEGIS_END_REVOKE);
	}
	if (e)
		env_unlock(e);
}

void
revoke_poll(uint64_t now)
{
	uint32_t i = 0;

	if (now < earliest)
		return;
	lock_acquire(&revoke_lock);
	while (i < ASKS && !(asks[i].env && ask_due(&asks[i]) <= now))
		i++;
	if (i < ASKS)
		_ask_go(&asks[i]);
	_earliest_update();
	lock_release(&revoke_lock);
}

void
revoke_given(struct env *e, uint32_t kind, uint32_t n)
{
	if (e->page->ask_kind != kind)
		return;
	lock_acquire(&revoke_lock);
	for (uint32_t i = 0; i < ASKS; i++) {
		struct ask *a = &asks[i];

		if (a->env != e->number || a->generation != e->generation || a->kind != kind)
			continue;
		a->left = a->left > n ? a->left - n : 0;
		_ask_show(e, a);
	}
	_earliest_update();
	lock_release(&revoke_lock);
}

/* A free row, or NULL if there is none or e has a request already.  revoke_lock held. */
static struct ask *
_ask_slot(const struct env *e)
{
	struct ask *slot = NULL;

	for (uint32_t i = 0; i < ASKS; i++) {
		if (asks[i].env == e->number && asks[i].generation == e->generation)
			return NULL;
		if (!asks[i].env && !slot)
			slot = &asks[i];
	}
	return slot;
}

status
sys_revoke_ask(uint32_t cap, uint32_t env, uint32_t kind, uint32_t count, uint64_t deadline)
{
	struct ask *a;
	struct env *e;
	status st;

	if (kind == AEGIS_KIND_NONE || kind >= AEGIS_KINDS || count == 0)
		return AEGIS_BAD_ARG;
	lock_acquire(&revoke_lock);
	st = env_open(cap, env, AEGIS_REVOKE, &e);
	if (st != AEGIS_OK) {
		lock_release(&revoke_lock);
		return st;
	}
	a = e->state == AEGIS_STATE_ENDED ? NULL : _ask_slot(e);
	if (!a) {
		st = e->state == AEGIS_STATE_ENDED ? AEGIS_DEAD : AEGIS_IN_USE;
	} else {
		*a = (struct ask){env, e->generation, kind, count, deadline, 0, 0, true, false};
		_ask_step(e, a); /* the first; the others are due at once */
	}
	env_unlock(e);
	_earliest_update();
	lock_release(&revoke_lock);
	if (st == AEGIS_OK)
		cpu_arm();
	return st;
}
