/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation and abort: ask, take, tell; one mechanism for every kind of resource.
 *
 * Owns: the table of requests under way.
 *
 * 1. An environment has at most one request; asks[i].env names it.
 * 2. `left` only falls: by what is given (revoke_given) and what is taken.  At 0 the request is gone.
 * 3. Nothing is taken before the deadline, except frames that the library declared droppable, and
 *    never what is guaranteed: pinned frames, tables, areas; the last slice.
 * 4. Taking goes on in steps of at most TAKE_STEPS holdings looked at, from timer interrupts and
 *    schedules of whatever processor comes by; between steps no lock is held.
 * 5. Everything taken is told: it is in the repossession vector before the upcall is posted.
 *
 * A kind is a row of `kinds`: how to take up to n of it.  Lock: revoke_lock, outside the environment's;
 * env.page fields of the request are written with it held.
 */
#include "kernel.h"

#define ASKS	   64u
#define TAKE_STEPS 512u

struct ask {
	uint32_t env, generation;
	uint32_t kind, left;
	uint64_t deadline;
	uint32_t progress; /* next frame to look at */
	uint32_t passed;   /* taken in this pass */
};

static struct lock revoke_lock;
static struct ask asks[ASKS];
static volatile uint64_t earliest = AEGIS_NEVER;

uint64_t
revoke_deadline(void)
{
	return earliest;
}

/* revoke_lock held. */
static void
_earliest_update(void)
{
	uint64_t at = AEGIS_NEVER;

	for (uint32_t i = 0; i < ASKS; i++) {
		if (asks[i].env && asks[i].deadline < at)
			at = asks[i].deadline;
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

/*
 * Takes frames of e's space: droppable ones only, or any that are not guaranteed.  Looks at TAKE_STEPS
 * frames from a->progress.  env.lock held.
 */
static uint32_t
_frames_take(struct env *e, struct ask *a, bool droppable)
{
	struct space *s = e->space;
	uint32_t taken = 0, steps = 0;

	lock_acquire(&s->lock);
	while (steps < TAKE_STEPS && taken < a->left && a->progress < frame_count) {
		uint32_t pfn = a->progress;
		uint8_t *hold = _hold_find(s, pfn);

		steps++;
		if (!hold) {
			a->progress = (pfn / AEGIS_HOLD_SPAN + 1) * AEGIS_HOLD_SPAN;
			continue;
		}
		if ((*hold & (AEGIS_HOLD_READ | AEGIS_HOLD_WRITE)) && !(*hold & AEGIS_HOLD_PIN) &&
		    frames[pfn].kind == FRAME_USER &&
		    (!droppable || (frames[pfn].flags & FRAME_DROP))) {
			status st = _space_expel(s, pfn, true);

			if (st == AEGIS_AGAIN)
				break;
			if (st == AEGIS_OK) {
				revoke_tell(e, AEGIS_KIND_FRAME, pfn);
				taken++;
			}
		}
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

/* The request as the environment sees it.  env.lock and revoke_lock held. */
static void
_page_update(struct env *e, const struct ask *a)
{
	e->page->ask_kind = a && a->left ? a->kind : AEGIS_KIND_NONE;
	e->page->ask_count = a ? a->left : 0;
	e->page->ask_deadline = a ? a->deadline : 0;
}

/* One bounded step of taking.  True: nothing more can be taken and the request is not satisfied. */
static bool
_ask_step(struct env *e, struct ask *a, bool droppable)
{
	uint32_t taken = kinds[a->kind](e, a, droppable);

	a->left -= taken;
	a->passed += taken;
	COUNT_ADD(repossessed, taken);
	if (a->left && a->progress >= frame_count) {
		bool barren = a->passed == 0;

		a->progress = 0;
		a->passed = 0;
		return barren;
	}
	return false;
}

void
revoke_poll(uint64_t now)
{
	struct env *e;
	bool hopeless = false;
	uint32_t i;

	if (now < earliest)
		return;
	lock_acquire(&revoke_lock);
	for (i = 0; i < ASKS; i++) {
		if (asks[i].env && asks[i].deadline <= now)
			break;
	}
	if (i == ASKS) {
		_earliest_update();
		lock_release(&revoke_lock);
		return;
	}
	e = env_lock(asks[i].env, asks[i].generation);
	if (e && e->state != AEGIS_STATE_ENDED) {
		hopeless = _ask_step(e, &asks[i], false);
		if (hopeless)
			asks[i].left = 0;
		_page_update(e, &asks[i]);
		if (hopeless)
			_env_abort(e, AEGIS_END_REVOKE);
	} else {
		asks[i].left = 0;
	}
	if (e)
		env_unlock(e);
	if (asks[i].left == 0)
		asks[i].env = 0;
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
		_page_update(e, a);
		if (a->left == 0)
			a->env = 0;
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
		*a = (struct ask){env, e->generation, kind, count, deadline, 0, 0};
		/* The invisible path first: one pass over what may be dropped, in this step's bound. */
		_ask_step(e, a, true);
		a->progress = 0;
		a->passed = 0;
		_page_update(e, a);
		if (a->left)
			upcall_post(e, AEGIS_PEND_REVOKE);
		else
			a->env = 0;
		cpu_wake(e);
	}
	env_unlock(e);
	_earliest_update();
	lock_release(&revoke_lock);
	if (st == AEGIS_OK)
		cpu_arm();
	return st;
}
