/* SPDX-License-Identifier: MIT */
/*
 * Revocation of a name: what rests on capabilities to it, and to all names below it, ends.
 *
 * The capabilities themselves are stale in one store (cap.c, 1).  What remains are names that
 * nobody can use any more, and holdings of frames that the name guards.  They are found in
 * bounded steps:
 *
 *   BURY   nodes below the name do not count their slots, and go if nothing needs them
 *   STRIP  in one space after the other: holdings of frames guarded by the name, or below it, lose their
 *          rights, and such frames cannot be shared until the end; then the bindings of stripped holdings
 *          in that space are broken
 *
 * 1. There is one revocation under way at a time.  Whoever revokes meanwhile carries it on
 *    first, so one that its caller abandoned is finished all the same; and whoever destroys the caller
 *    carries it on, so that no name, and no account, outlives an environment by it.
 * 2. `revocation` is set before the first space is locked, and whoever shares looks at it with the locks of
 *    both spaces: so from when a space was passed none of these frames gets there, except by a live
 *    capability, because capabilities that were stale before make no holdings (cap.c, 6).  One pass over
 *    the spaces is enough, and ends.  What is bound by a live one meanwhile may go with the rest.
 * 3. The caller's space is left out: it keeps its holdings and bindings.
 * 4. node.swept is the generation of the last revocation that was finished; a caller who was
 *    told AGAIN (REVOKING in its slot) compares it, and does not revoke twice.
 *
 * Lock: sweep_lock, inside the environment's lock and outside node_lock, for the steps of one
 * call.
 */
#include "tlb.h"

#define REVOKING    (1u << 15) /* in the rights of a slot: asked, not yet answered OK */
#define BURY_STEPS  256u
#define STRIP_STEPS 2048u

enum phase { PHASE_NONE, PHASE_BURY, PHASE_STRIP };

static struct lock sweep_lock;
static struct {
	enum phase phase;
	uint32_t node, generation;
	uint32_t env, env_generation; /* who began it */
	uint32_t spared;              /* number of the space that is left out */
	uint32_t at;                  /* node, or frame in the space */
	uint32_t space;
} work;
atomic_uint revocation;

uint32_t
revocation_refs(uint32_t node)
{
	return work.phase != PHASE_NONE && work.node == node;
}

/* sweep_lock held, as for all below. */
static void
_phase_enter(enum phase phase)
{
	work.phase = phase;
	work.at = 0;
}

static void
_work_end(void)
{
	atomic_store(&revocation, 0);
	_phase_enter(PHASE_NONE);
	nodes[work.node].swept = work.generation;
	node_unref(work.node);
}

static void
_bury_step(void)
{
	uint32_t end = work.at + BURY_STEPS;

	lock_acquire(&node_lock);
	for (; work.at < end && work.at < node_top(); work.at++) {
		if (work.at != work.node && node_dominates(work.node, work.at))
			_node_bury(work.at);
	}
	lock_release(&node_lock);
	if (work.at < node_top())
		return;
	/* What is guarded below it, if anything is, counts in its refs, besides this revocation. */
	if (atomic_load(&nodes[work.node].refs) == 1) {
		_work_end();
		return;
	}
	atomic_store(&revocation, work.node);
	work.space = 1;
	_phase_enter(PHASE_STRIP);
}

/* From work.at on; PFN_MAX: all are done. */
static void
_holdings_strip(struct space *s, uint32_t *steps)
{
	while (*steps && work.at < PFN_MAX) {
		uint8_t *hold;

		work.at = _hold_next(s, work.at, steps);
		if (work.at >= frame_count)
			continue;
		hold = _hold_find(s, work.at);
		if (hold && *hold && frames[work.at].kind == FRAME_USER &&
		    node_dominates(work.node, frames[work.at].guard))
			_hold_strip(s, work.at, hold);
		work.at++;
	}
}

/* Goes on with one space, which may be none. */
static void
_space_step(uint32_t *steps)
{
	struct space *s = work.space != work.spared ? space_find(work.space) : NULL;
	bool done = !s;

	--*steps;
	if (s) {
		lock_acquire(&s->lock);
		_holdings_strip(s, steps);
		if (work.at >= PFN_MAX && s->stripped && !s->dying) {
			_space_sweep(s);
			*steps = 0;
		}
		done = work.at >= PFN_MAX && (!s->stripped || s->dying);
		lock_release(&s->lock);
		space_put(s);
	}
	if (!done)
		return;
	work.at = 0;
	if (++work.space == SPACES)
		_work_end();
}

/* A bounded part of what is under way.  True: nothing is any more. */
static bool
_work_step(void)
{
	uint32_t steps = STRIP_STEPS;

	if (work.phase == PHASE_BURY)
		_bury_step();
	else
		while (steps && work.phase != PHASE_NONE)
			_space_step(&steps);
	return work.phase == PHASE_NONE;
}

/* Starts the slot's revocation, if it was not yet, or answers that it is done. */
static status
_work_start(struct env *self, uint32_t slot)
{
	struct cap *c = &self->caps[slot];
	status st, node;

	lock_acquire(&node_lock);
	node = cap_node(self, slot, AEGIS_REVOKE);
	if (node > 0 && (c->rights & REVOKING) && nodes[node].swept == c->generation) {
		_slot_write(c, c->node, c->generation, c->rights & ~REVOKING);
		lock_release(&node_lock);
		return AEGIS_OK;
	}
	st = node < 0 ? node : c->rights & REVOKING ? AEGIS_OK : _node_revoke(c, REVOKING);
	if (st == AEGIS_OK) {
		node_ref(c->node);
		work.node = c->node;
		work.generation = c->generation;
		work.env = self->number;
		work.env_generation = self->generation;
		work.spared = self->space->number;
		_phase_enter(PHASE_BURY);
		st = AEGIS_AGAIN;
	}
	lock_release(&node_lock);
	COUNT(cap_revokes);
	return st;
}

bool
revocation_finish(const struct env *e)
{
	bool done = true;

	lock_acquire(&sweep_lock);
	if (work.phase != PHASE_NONE && work.env == e->number &&
	    work.env_generation == e->generation)
		done = _work_step();
	lock_release(&sweep_lock);
	return done;
}

status
sys_cap_revoke(uint32_t slot)
{
	struct env *self = current();
	status st = cap_node(self, slot, AEGIS_REVOKE);

	if (st < 0)
		return st;
	lock_acquire(&sweep_lock);
	st = AEGIS_AGAIN;
	/* A step of another's revocation, or the start of this one and its first step. */
	if (_work_step()) {
		st = _work_start(self, slot);
		if (st == AEGIS_AGAIN && _work_step())
			st = _work_start(self, slot);
	}
	lock_release(&sweep_lock);
	return st;
}
