/* SPDX-License-Identifier: MIT */
/*
 * Calls of the kernel that the supervisor makes while domains run.
 *
 * An environment has fewer gates than there may be domains, so a gate is bound anew when another
 * domain's service is to be called through it.
 */
#include "../core/priv.h"
#include "../linux/errno.h"
#include "priv.h"

int64_t
super_call(struct super *s, struct domain *d, struct svc *call)
{
	uint32_t gate = d->number % AEGIS_GATES;
	int64_t st;

	if (s->gate[gate] != d->number + 1) {
		st = aegis_pct_bind(d->slot, d->env, gate);
		if (st < 0)
			return core_error(st);
		s->gate[gate] = d->number + 1;
	}
	st = core_transfer(gate, call);
	if (st >= 0)
		return call->op;
	return st == AEGIS_BUSY ? -EAGAIN : st == AEGIS_DEAD ? -ESRCH : core_error(st);
}

/* The number comes from a ring: the domain's own name opens only its own environments. */
void
super_wake(const struct domain *d, uint32_t env)
{
	aegis_wake(d->slot, env, 0);
}

bool
super_env_ended(const struct domain *d)
{
	const struct aegis_env_info *info = (const struct aegis_env_info *)EXOS_BATCH;
	int64_t st = aegis_env_read(d->slot, d->env, EXOS_BATCH_OFFSET);

	if (st == AEGIS_NO_SUCH || st == AEGIS_DEAD)
		return true;
	if (st < 0 || info->state != AEGIS_STATE_ENDED)
		return false;
	core_log("exos: service of domain %u ended: reason %u, vector %u at %lx, address %lx\n",
		 d->number, info->end_reason, info->end_cause, info->end_rip, info->end_addr);
	return true;
}
