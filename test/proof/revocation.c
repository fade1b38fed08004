/* SPDX-License-Identifier: MIT */
/*
 * The call that revokes, and the end of who made it: nothing starts without the right, one demand revokes once, and OK
 * is answered when the generation that was revoked is swept.
 *
 * State: any revocation under way or none, a slot with any rights.  The steps are what revoking.c proves of
 * them, _work_step below; the list renames the kernel's.
 */
#include "machine.h"

static bool _work_step(void);

#include "kernel/cap_revoke.c"

struct node nodes[NODES];
struct frame *frames;
uint32_t frame_count;
struct lock node_lock;
static struct space the_space;
static struct env self;
static status named; /* what the slot names, or why it does not */
static uint32_t revokes, refs_made, steps, ends;

static bool
_work_step(void)
{
	PROVE(sweep_lock.held, "one at a time");
	if (work.phase == PHASE_NONE)
		return true;
	steps++;
	if (nondet_bool()) {
		work.phase = nondet_bool() ? work.phase : PHASE_STRIP;
		return false;
	}
	work.phase = PHASE_NONE;
	nodes[work.node].swept = work.generation;
	ends++;
	return true;
}

struct env *
current(void)
{
	return &self;
}

/* Without the lock the answer may be another one a moment later. */
status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	PROVE(e == &self && rights == AEGIS_REVOKE, "the caller's right to revoke");
	if (slot >= AEGIS_CAP_SLOTS)
		return AEGIS_BAD_CAP;
	return node_lock.held ? named : nondet_bool() ? AEGIS_DENIED : AEGIS_OK + 1;
}

void
node_ref(uint32_t node)
{
	PROVE((status)node == named, "the name of the slot");
	refs_made++;
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

uint32_t
node_top(void)
{
	return NODES;
}

static void
state_any(void)
{
	const struct cap *c = self.caps;

	machine_me = 0;
	locks_held = 0;
	node_lock.held = sweep_lock.held = 0;
	self.space = &the_space;
	revokes = refs_made = steps = ends = 0;
	ASSUME(work.node > 0 && work.node < NODES && work.phase <= PHASE_STRIP);
	ASSUME(named == AEGIS_DENIED || named == AEGIS_BAD_CAP ||
	       (named == (status)c->node && c->node > 0 && c->node < NODES));
	ASSUME(named < 0 ||
	       (nodes[c->node].generation == c->generation && c->generation < UINT32_MAX - 2));
	/* Of no generation that is still to come. */
	for (uint32_t i = 0; i < NODES; i++)
		ASSUME(nodes[i].swept <= nodes[i].generation);
	ASSUME(work.generation <= nodes[work.node].generation);
}

void
proof_revoking_start(void)
{
	struct cap *c = self.caps, was;
	uint32_t swept;
	status st;

	state_any();
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
			      work.spared == the_space.number,
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

/* Whoever calls carries on what is under way; only then its own starts. */
void
proof_revoking_call(void)
{
	uint32_t slot = nondet_u32(), generation = self.caps[0].generation;
	struct cap *c = self.caps;
	enum phase phase;
	uint16_t rights;
	status st;

	state_any();
	phase = work.phase;
	rights = c->rights;
	st = sys_cap_revoke(slot);
	check_locks();
	PROVE(steps <= 2 && refs_made <= 1, "a bounded part");
	PROVE(IMPLIES(slot >= AEGIS_CAP_SLOTS, st == AEGIS_BAD_CAP && !steps),
	      "nothing by no slot");
	PROVE(IMPLIES(named < 0, !revokes && !refs_made && st != AEGIS_OK),
	      "nothing starts without the right");
	PROVE(IMPLIES(st == AEGIS_OK,
		      work.phase == PHASE_NONE && nodes[c->node].swept == c->generation),
	      "OK: swept");
	PROVE(IMPLIES(st == AEGIS_OK, !(c->rights & REVOKING) && (revokes || (rights & REVOKING))),
	      "what was asked, which is over");
	PROVE(IMPLIES(revokes, revokes == 1 && c->generation == generation + 1),
	      "one demand revokes once");
	PROVE(IMPLIES(st == AEGIS_AGAIN, work.phase != PHASE_NONE || ends),
	      "AGAIN: something went on");
	REACH(st == AEGIS_OK && revokes && phase != PHASE_NONE);
	REACH(st == AEGIS_OK && !revokes);
	REACH(st == AEGIS_AGAIN && revokes);
	REACH(st == AEGIS_AGAIN && !revokes && steps == 1);
}

/* Whoever destroys the caller carries on what that began, nothing else, until it is done. */
void
proof_revoking_finish(void)
{
	struct env e = {.number = nondet_u32(), .generation = nondet_u32()};
	bool done, its;

	state_any();
	its = work.phase != PHASE_NONE && work.env == e.number &&
	      work.env_generation == e.generation;
	done = revocation_finish(&e);
	check_locks();
	PROVE(steps == its, "each call brings its own on, and leaves another's alone");
	PROVE(done == (!its || work.phase == PHASE_NONE), "done when nothing is left of it");
	REACH(its && done);
	REACH(its && !done);
	REACH(!its && work.phase != PHASE_NONE);
}
