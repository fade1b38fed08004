/* SPDX-License-Identifier: MIT */
/*
 * What follows the revocation of a name: each step is bounded and goes on where the last one stopped, so that no name
 * below it keeps its slots and no space but the caller's keeps a holding that it guards; it ends once.
 *
 * State: a revocation in any phase, at any place; which names and frames lie below its name is arbitrary.
 */
#include "machine.h"
#include "kernel/cap_revoke.c"

#include "holds.h"

struct node nodes[NODES];
static struct space places[2]; /* numbers 1 and 2 */
static struct env self;
static bool below[NODES], buried[NODES];
static uint32_t unrefs, sweeps, steps_before;

uint32_t
node_top(void)
{
	return NODES;
}

bool
node_dominates(uint32_t node, uint32_t guard)
{
	PROVE(node == work.node && guard < NODES, "the name that was revoked");
	return below[guard];
}

void
_node_bury(uint32_t node)
{
	PROVE(node_lock.held && below[node] && node != work.node, "a name below it");
	buried[node] = true;
}

void
node_unref(uint32_t node)
{
	PROVE(node == work.node, "the revocation's own");
	unrefs++;
}

struct space *
space_find(uint32_t number)
{
	struct space *s = number == 1 || number == 2 ? &places[number - 1] : NULL;

	if (!s || nondet_bool())
		return NULL;
	s->users++;
	return s;
}

void
space_put(struct space *s)
{
	s->users--;
}

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	PROVE(s->lock.held, "with its lock");
	return pfn < FRAMES ? &holds[pfn] : NULL;
}

uint32_t
_hold_next(struct space *s, uint32_t pfn, uint32_t *steps)
{
	PROVE(s->lock.held && *steps <= steps_before, "with its lock, in steps that are left");
	return holds_next(pfn, steps);
}

void
_hold_strip(struct space *s, uint32_t pfn, uint8_t *hold)
{
	PROVE(s->lock.held && s->number != work.spared, "not the caller's");
	PROVE(frames[pfn].kind == FRAME_USER && below[frames[pfn].guard], "what the name guards");
	*hold &= AEGIS_HOLD_COUNT;
	if (*hold)
		s->stripped = 1;
}

void
_space_sweep(struct space *s)
{
	PROVE(s->lock.held && s->stripped && !s->dying, "bindings that are left");
	sweeps++;
	if (nondet_bool())
		s->stripped = 0;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	node_lock.held = sweep_lock.held = 0;
	frames = frame_array;
	frame_count = FRAMES;
	for (uint32_t i = 0; i < 2; i++) {
		places[i].lock.held = 0;
		places[i].number = i + 1;
		ASSUME(places[i].users < 10);
	}
	for (uint32_t i = 0; i < FRAMES; i++)
		ASSUME(frames[i].guard < NODES);
	for (uint32_t i = 0; i < NODES; i++)
		buried[i] = false;
	self.space = &places[0];
	self.number = 1;
	ASSUME(work.node > 0 && work.node < NODES && nodes[work.node].refs > 0);
	unrefs = sweeps = 0;
	steps_before = STRIP_STEPS;
}

/* The state of the work after it went on. */
static void
ended_check(void)
{
	if (work.phase != PHASE_NONE)
		return;
	PROVE(unrefs == 1 && nodes[work.node].swept == work.generation,
	      "it ends once, and is noted");
	PROVE(!atomic_load(&revocation), "and sharing goes on");
}

void
proof_revoking_bury(void)
{
	uint32_t at, i = nondet_u32();

	state_any();
	work.phase = PHASE_BURY;
	ASSUME(work.at <= NODES && i < NODES);
	at = work.at;
	_bury_step();
	check_locks();
	ended_check();
	if (work.phase == PHASE_BURY) {
		PROVE(work.at > at && work.at <= at + BURY_STEPS, "a bounded step forward");
		PROVE(IMPLIES(i >= at && i < work.at && i != work.node, !buried[i] == !below[i]),
		      "all that it passed are buried");
		REACH(1);
		return;
	}
	PROVE(IMPLIES(i >= at && i != work.node, !buried[i] == !below[i]), "all are buried");
	if (work.phase == PHASE_STRIP) {
		PROVE(atomic_load(&revocation) == work.node && work.space == 1 && work.at == 0,
		      "then come the spaces, from the first, and nothing is shared");
		REACH(1);
	} else {
		REACH(atomic_load(&nodes[work.node].refs) == 1);
	}
}

void
proof_revoking_space(void)
{
	uint32_t steps = nondet_u32(), at, space, i = nondet_u32(), users;
	uint8_t before;
	bool guarded;

	state_any();
	work.phase = PHASE_STRIP;
	atomic_store(&revocation, work.node);
	ASSUME(work.space == 1 || work.space == 2);
	ASSUME((work.at <= FRAMES || work.at == PFN_MAX) && i < FRAMES && steps > 0 &&
	       steps <= STRIP_STEPS);
	at = work.at;
	space = work.space;
	before = holds[i];
	users = places[space - 1].users;
	guarded = frames[i].kind == FRAME_USER && below[frames[i].guard];
	_space_step(&steps);
	check_locks();
	ended_check();
	PROVE(places[space - 1].users == users, "nobody looks at it any more");
	PROVE(steps < STRIP_STEPS, "it costs steps");
	PROVE(IMPLIES(!guarded || space == work.spared, holds[i] == before),
	      "what the name does not guard, and what the caller has, stays");
	if (work.space == space && work.phase == PHASE_STRIP) {
		PROVE(space != work.spared, "the caller's is passed by");
		PROVE(work.at >= at, "it goes on where it stopped");
		PROVE(IMPLIES(guarded && i >= at && i < work.at, !(holds[i] & HOLD_RIGHTS)),
		      "what it passed has no rights");
		REACH(work.at > at);
		REACH(sweeps != 0);
		return;
	}
	PROVE(work.phase == PHASE_NONE || (work.space == space + 1 && work.at == 0),
	      "the next one");
	REACH(work.phase == PHASE_NONE);
	REACH(places[space - 1].stripped && places[space - 1].dying && space != work.spared);
}
