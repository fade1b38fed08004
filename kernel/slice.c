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

/* OK if e owned it and it is nobody's now. */
static status
slice_drop(const struct env *e, uint32_t cpu, uint32_t n)
{
	struct slice *s = &cpus[cpu].slices[n];
	status st = AEGIS_NOT_HELD;

	lock_acquire(&cpus[cpu].lock);
	if (s->env == e->number && s->generation == e->generation) {
		account_refund(s->account, ACCOUNT_SLICE, 1);
		s->env = 0;
		st = AEGIS_OK;
	}
	lock_release(&cpus[cpu].lock);
	return st;
}

status
sys_slice_free(uint32_t cpu, uint32_t slice)
{
	status st;

	if (cpu >= machine_cpus() || slice >= AEGIS_SLICES)
		return AEGIS_BAD_ARG;
	st = slice_drop(current(), cpu, slice);
	if (st == AEGIS_OK)
		revoke_given(current(), AEGIS_KIND_SLICE, 1);
	return st;
}

uint32_t
slice_take(struct env *e, uint32_t n)
{
	uint32_t owned = 0, taken = 0;

	for (uint32_t cpu = 0; cpu < machine_cpus(); cpu++) {
		for (uint32_t i = 0; i < AEGIS_SLICES; i++)
			owned += cpus[cpu].slices[i].env == e->number &&
				 cpus[cpu].slices[i].generation == e->generation;
	}
	for (uint32_t cpu = 0; cpu < machine_cpus(); cpu++) {
		for (uint32_t i = 0; i < AEGIS_SLICES && taken < n && owned > 1; i++) {
			if (slice_drop(e, cpu, i) != AEGIS_OK)
				continue;
			revoke_tell(e, AEGIS_KIND_SLICE, cpu * AEGIS_SLICES + i);
			taken++;
			owned--;
		}
	}
	return taken;
}

void
cpu_release(struct env *e)
{
	for (uint32_t cpu = 0; cpu < machine_cpus(); cpu++) {
		/* Only e itself claims slices for it, and that is over: none is to come. */
		for (uint32_t i = 0; i < AEGIS_SLICES; i++) {
			if (cpus[cpu].slices[i].env == e->number)
				slice_drop(e, cpu, i);
		}
	}
}
