/* SPDX-License-Identifier: MIT */
/*
 * Slices: each has one owner or none; the owner's account pays for exactly those it has; the last is
 * not taken.
 *
 * State: an arbitrary vector on each of two processors; what accounts are charged is counted.
 */
#include "machine.h"
#include "kernel/slice.c"

struct cpu cpus[AEGIS_CPUS];
static struct env self;
static uint32_t paid; /* by account 1 */
static uint32_t told;
static bool right;

struct env *
current(void)
{
	return &self;
}

status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	(void)e;
	(void)slot;
	PROVE(rights == AEGIS_SLICE, "the right to allocate slices");
	return right ? 1 : AEGIS_DENIED;
}

status
account_charge(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE(account == 1 && kind == ACCOUNT_SLICE && n == 1, "the owner's account, one slice");
	if (nondet_bool())
		return AEGIS_LIMIT;
	paid++;
	return AEGIS_OK;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE(account == 1 && kind == ACCOUNT_SLICE && n == 1, "who paid gets it back");
	paid--;
}

void
revoke_given(struct env *e, uint32_t kind, uint32_t n)
{
	PROVE(e == &self && kind == AEGIS_KIND_SLICE && n == 1, "one slice given back");
}

void
revoke_tell(struct env *e, uint32_t kind, uint32_t name)
{
	PROVE(e == &self && kind == AEGIS_KIND_SLICE && name < AEGIS_CPUS * AEGIS_SLICES,
	      "what was taken is told by its name");
	told++;
}

static uint32_t
mine(void)
{
	uint32_t n = 0;

	for (uint32_t c = 0; c < AEGIS_CPUS; c++) {
		for (uint32_t i = 0; i < AEGIS_SLICES; i++)
			n += cpus[c].slices[i].env == self.number &&
			     cpus[c].slices[i].generation == self.generation;
	}
	return n;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	told = 0;
	self.number = 1;
	self.account = 1;
	for (uint32_t c = 0; c < AEGIS_CPUS; c++) {
		cpus[c].lock.held = 0;
		for (uint32_t i = 0; i < AEGIS_SLICES; i++) {
			struct slice *s = &cpus[c].slices[i];

			/* A slice of an environment is paid by its account (invariant 2). */
			ASSUME(IMPLIES(s->env == 1 && s->generation == self.generation,
				       s->account == 1));
		}
	}
	paid = mine();
}

void
proof_slice_alloc(void)
{
	uint32_t cpu = nondet_u32(), slice = nondet_u32(), c = nondet_u32(), i = nondet_u32(), had;
	struct slice was;
	status st;

	state_any();
	ASSUME(c < AEGIS_CPUS && i < AEGIS_SLICES);
	was = cpus[c].slices[i];
	had = paid;
	st = AEGIS_BAD_ARG;
	/* Case by case, so that each is one with known indices. */
	for (uint32_t x = 0; x <= AEGIS_CPUS; x++) {
		for (uint32_t y = 0; y <= AEGIS_SLICES; y++) {
			if (cpu == x && slice == y)
				st = sys_slice_alloc(0, x, y);
		}
		if (cpu == x && slice == AEGIS_ANY)
			st = sys_slice_alloc(0, x, AEGIS_ANY);
	}
	check_locks();
	PROVE(paid == mine(), "what is paid is what is owned");
	if (st < 0) {
		PROVE(mine() == had && cpus[c].slices[i].env == was.env,
		      "a failure changes nothing");
		REACH(st == AEGIS_IN_USE);
		return;
	}
	PROVE(right && cpu < AEGIS_CPUS && st < AEGIS_SLICES, "by right, and in the vector");
	PROVE(IMPLIES(slice != AEGIS_ANY, st == slice), "the one that was named");
	PROVE(mine() == had + 1, "one more");
	PROVE(IMPLIES(was.env, cpus[c].slices[i].env == was.env &&
				       cpus[c].slices[i].generation == was.generation),
	      "nobody loses one");
	PROVE(IMPLIES(c != cpu || i != st, cpus[c].slices[i].env == was.env), "no other changes");
	REACH(slice == AEGIS_ANY && st > 0);
}

void
proof_slice_free(void)
{
	uint32_t cpu = nondet_u32(), slice = nondet_u32(), c = nondet_u32(), i = nondet_u32(), had;
	struct slice was;
	status st;

	state_any();
	ASSUME(c < AEGIS_CPUS && i < AEGIS_SLICES);
	was = cpus[c].slices[i];
	had = paid;
	st = sys_slice_free(cpu, slice);
	check_locks();
	PROVE(paid == mine(), "what is paid is what is owned");
	PROVE(mine() == had - (st == AEGIS_OK), "one less, or nothing");
	PROVE(IMPLIES(was.env != 1 || was.generation != self.generation,
		      cpus[c].slices[i].env == was.env),
	      "nobody else's");
	REACH(st == AEGIS_OK);
	REACH(st == AEGIS_NOT_HELD);
}

void
proof_slice_take(void)
{
	uint32_t n = nondet_u32(), had, taken;
	bool end = nondet_bool();

	state_any();
	had = paid;
	if (end) {
		cpu_release(&self);
		PROVE(mine() == 0 && paid == 0, "the end gives all back");
		check_locks();
		return;
	}
	taken = slice_take(&self, n);
	check_locks();
	PROVE(paid == mine() && mine() == had - taken, "what is taken is not paid any more");
	PROVE(taken <= n, "no more than was missing");
	PROVE(IMPLIES(had, mine() >= 1), "never the last");
	PROVE(told == taken, "all of it is told");
	PROVE(IMPLIES(had > 1 && n, taken), "something, if there is something");
	REACH(taken == had - 1 && had > 2);
}
