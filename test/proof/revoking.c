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
static status named; /* what the slot names, or why it does not */
static uint32_t unrefs, sweeps, revokes, refs_made, steps_before;

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

struct env *
current(void)
{
	return &self;
}

status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	PROVE(e == &self && rights == AEGIS_REVOKE, "the caller's right to revoke");
	return slot < AEGIS_CAP_SLOTS ? named : AEGIS_BAD_CAP;
}

void
node_ref(uint32_t node)
{
	refs_made++;
	PROVE((status)node == named, "the name of the slot");
}

void
_slot_write(struct cap *slot, uint32_t node, uint32_t generation, uint32_t rights)
{
	PROVE(node_lock.held && slot == self.caps && node == slot->node &&
		      generation == slot->generation,
	      "the slot names what it named");
	slot->rights = (uint16_t)rights;
}

status
_node_revoke(struct cap *slot, uint32_t flag)
{
	PROVE(node_lock.held && slot == self.caps && !(slot->rights & REVOKING),
	      "once each time that it is asked");
	if (nondet_bool())
		return AEGIS_LIMIT;
	revokes++;
	slot->generation = ++nodes[slot->node].generation;
	slot->rights |= (uint16_t)flag;
	return AEGIS_OK;
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
	unrefs = sweeps = revokes = refs_made = 0;
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

/* A slot that is not being revoked, or whose revocation is under way or was finished. */
static void
asked_any(void)
{
	struct cap *c = self.caps;

	ASSUME(named == AEGIS_DENIED || named == AEGIS_BAD_CAP ||
	       (named == (status)c->node && c->node > 0 && c->node < NODES));
	ASSUME(named < 0 ||
	       (nodes[c->node].generation == c->generation && c->generation < UINT32_MAX - 2));
}

/*
 * The start: refused without the right, once for one demand, with a reference of its own, and finished only when
 * the generation that was revoked was swept.
 */
void
proof_revoking_start(void)
{
	struct cap *c = self.caps, was;
	uint32_t swept;
	status st;

	state_any();
	asked_any();
	was = *c;
	swept = named > 0 ? nodes[was.node].swept : 0;
	work.phase = PHASE_NONE;
	lock_acquire(&sweep_lock);
	st = _work_start(&self, 0);
	lock_release(&sweep_lock);
	check_locks();
	if (st == AEGIS_AGAIN) {
		PROVE(named > 0, "who may not revoke starts nothing");
		PROVE(work.phase == PHASE_BURY && work.at == 0 && refs_made == 1,
		      "it starts at the first name");
		PROVE(work.node == c->node && work.generation == c->generation, "of that name");
		PROVE(work.env == self.number && work.env_generation == self.generation &&
			      work.spared == places[0].number,
		      "for the caller, whose space is left out");
		PROVE(c->rights & REVOKING, "who is told to come again is known");
		PROVE(revokes == !(was.rights & REVOKING), "and does not revoke twice");
		REACH(was.rights & REVOKING);
		REACH(!(was.rights & REVOKING));
		return;
	}
	PROVE(work.phase == PHASE_NONE && !revokes && !refs_made,
	      "any other answer starts nothing");
	if (st == AEGIS_OK) {
		PROVE(named > 0 && (was.rights & REVOKING) && swept == was.generation,
		      "finished is what was asked and swept");
		PROVE(c->rights == (was.rights & ~REVOKING), "and the next demand is a new one");
		REACH(1);
		return;
	}
	PROVE(st == (named < 0 ? named : AEGIS_LIMIT), "the reason");
	REACH(st == AEGIS_LIMIT);
}

/* Whoever destroys the caller carries on what that began, nothing else, until it is done. */
void
proof_revoking_finish(void)
{
	struct env e = {.number = nondet_u32(), .generation = nondet_u32()};
	uint32_t at;
	enum phase phase;
	bool done, its;

	state_any();
	ASSUME(work.phase == PHASE_NONE || work.phase == PHASE_BURY);
	ASSUME(work.at <= NODES);
	its = work.phase != PHASE_NONE && work.env == e.number &&
	      work.env_generation == e.generation;
	at = work.at;
	phase = work.phase;
	done = revocation_finish(&e);
	check_locks();
	PROVE(IMPLIES(!its, done && work.at == at && work.phase == phase),
	      "another's is left alone");
	PROVE(IMPLIES(its, done == (work.phase == PHASE_NONE)), "done when nothing is left of it");
	PROVE(IMPLIES(its && !done, work.phase != phase || work.at > at), "each call brings it on");
	REACH(its && done);
	REACH(its && !done);
	REACH(!its && phase != PHASE_NONE);
}
