/* SPDX-License-Identifier: MIT */
/*
 * Time slices: who owns which.
 *
 * Owns: the entries of cpu->slices, which cpu.c looks at when it schedules.
 *
 * 1. A slice has one owner, named by number and generation, or none.
 * 2. The account of the owner was charged for it, and is refunded when the slice is free again.
 *
 * Lock: the processor's, for each entry.  Exposed: the environment page says which slice runs.
 * Revoked: slice_take, by revoke.c; with the owner's end, cpu_release.
 */
#include "kernel.h"

static status
slice_claim(struct env *e, uint32_t cpu, uint32_t n)
{
	struct slice *s = &cpus[cpu].slices[n];
	status st = AEGIS_IN_USE;

	lock_acquire(&cpus[cpu].lock);
	if (!s->env) {
		*s = (struct slice){e->number, e->generation, e->account};
		st = n;
	}
	lock_release(&cpus[cpu].lock);
	return st;
}

status
sys_slice_alloc(uint32_t cap, uint32_t cpu, uint32_t slice)
{
	struct env *self = current();
	uint32_t first = slice == AEGIS_ANY ? 0 : slice;
	uint32_t last = slice == AEGIS_ANY ? AEGIS_SLICES - 1 : slice;
	status st = cap_node(self, cap, AEGIS_SLICE);

	if (st < 0)
		return st;
	if (cpu >= machine_cpus() || (slice >= AEGIS_SLICES && slice != AEGIS_ANY))
		return AEGIS_BAD_ARG;
	st = account_charge(self->account, ACCOUNT_SLICE, 1);
	if (st != AEGIS_OK)
		return st;
	st = AEGIS_IN_USE;
	for (uint32_t n = first; n <= last && st == AEGIS_IN_USE; n++)
		st = slice_claim(self, cpu, n);
	if (st < 0)
		account_refund(self->account, ACCOUNT_SLICE, 1);
	return st;
}

/* Slices of all processors are numbered through here. */
static bool
slice_is(const struct env *e, uint32_t i)
{
	const struct slice *s = &cpus[i / AEGIS_SLICES].slices[i % AEGIS_SLICES];

	return s->env == e->number && s->generation == e->generation;
}

/* True if e owned it and it is nobody's now. */
static bool
slice_drop(const struct env *e, uint32_t i)
{
	struct cpu *c = &cpus[i / AEGIS_SLICES];
	bool owned;

	lock_acquire(&c->lock);
	owned = slice_is(e, i);
	if (owned) {
		account_refund(c->slices[i % AEGIS_SLICES].account, ACCOUNT_SLICE, 1);
		c->slices[i % AEGIS_SLICES].env = 0;
	}
	lock_release(&c->lock);
	return owned;
}

status
sys_slice_free(uint32_t cpu, uint32_t slice)
{
	if (cpu >= machine_cpus() || slice >= AEGIS_SLICES)
		return AEGIS_BAD_ARG;
	if (!slice_drop(current(), cpu * AEGIS_SLICES + slice))
		return AEGIS_NOT_HELD;
	revoke_given(current(), AEGIS_KIND_SLICE, 1);
	return AEGIS_OK;
}

/* Up to n of e's slices are nobody's now, but that `left` stay; while any stay, it is told of each. */
static uint32_t
slices_drop(struct env *e, uint32_t n, uint32_t left)
{
	uint32_t end = machine_cpus() * AEGIS_SLICES, owned = 0, taken = 0;

	for (uint32_t i = 0; i < end; i++)
		owned += slice_is(e, i);
	for (uint32_t i = 0; i < end && taken < n && owned > left; i++) {
		if (!slice_is(e, i) || !slice_drop(e, i))
			continue;
		if (left)
			revoke_tell(e, AEGIS_KIND_SLICE, i);
		taken++;
		owned--;
	}
	return taken;
}

uint32_t
slice_take(struct env *e, uint32_t n)
{
	return slices_drop(e, n, 1);
}

void
cpu_release(struct env *e)
{
	slices_drop(e, UINT32_MAX, 0);
}
