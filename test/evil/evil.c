/* SPDX-License-Identifier: MIT */
/* Attackers made, joined, and what they left behind cleared away by the root. */
#include "evil.h"

struct child *
evil_make(guest_fn *fn, uint64_t arg, uint32_t cpu, const struct spawn *s)
{
	struct spawn with = s ? *s : (struct spawn){0};
	struct child *c;

	with.fn = fn;
	with.arg = arg;
	with.cpu = cpu;
	with.flags |= SPAWN_ALONE | SPAWN_WAIT;
	c = spawn(&with);
	notes_of(c->g)->count = 0;
	return c;
}

void
evil_wake(struct child *c)
{
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
}

int64_t
evil_join(struct child *c, uint32_t *reason)
{
	const struct notes *n = notes_of(c->g);
	int64_t result;

	if (!child_wait(c, AEGIS_STATE_ENDED)) {
		say("# attacker in state %u, done %u, rip %lx", env_info(c->env)->state, c->g->done,
		    env_info(c->env)->regs[16]);
		check(!"the attacker ends");
	}
	*reason = env_info(c->env)->end_reason;
	for (uint32_t i = 0; i < n->count && i < NOTES_MAX; i++) {
		say("# attack %lu, variant %lx: %ld, not %ld", n->note[i].what, n->note[i].where,
		    (int64_t)n->note[i].got, (int64_t)n->note[i].want);
		check(!"an attack is refused");
	}
	result = c->g->result;
	child_end(c);
	return result;
}

int64_t
evil_run(guest_fn *fn, uint64_t arg)
{
	struct child *c = evil_make(fn, arg, evil_cpu(0), NULL);
	uint32_t reason;
	int64_t result;

	evil_wake(c);
	result = evil_join(c, &reason);
	check_is(reason, AEGIS_END_SELF);
	return result;
}

static int64_t
compute(uint64_t arg)
{
	volatile uint64_t count = arg;

	while (count != ~0ul)
		count++;
	return 0;
}

struct child *
evil_rival(uint32_t cpu)
{
	struct child *c = evil_make(compute, 0, cpu, NULL);

	evil_wake(c);
	return c;
}

void
census_take(struct evil_census *c)
{
	memset(c, 0, sizeof(*c));
	for (uint32_t i = 1; i < AEGIS_ENVS; i++) {
		if (aegis_env_read(CAP, i, SPARE) == AEGIS_OK)
			c->env[i / 8] |= (uint8_t)(1 << i % 8);
		if (aegis_mem_share(CAP, i, BATCH, 0) == AEGIS_OK)
			c->space[i / 8] |= (uint8_t)(1 << i % 8);
	}
}

void
census_restore(const struct evil_census *before)
{
	for (uint32_t i = 1; i < AEGIS_ENVS; i++) {
		if (!(before->env[i / 8] >> i % 8 & 1) &&
		    aegis_env_read(CAP, i, SPARE) == AEGIS_OK) {
			status st = env_end(CAP, i); /* those that still run may be quicker */

			check(st == AEGIS_OK || st == AEGIS_NO_SUCH);
		}
	}
	/* One whose destruction somebody began and did not finish is open to nothing else. */
	for (uint32_t i = 1; i < AEGIS_ENVS; i++) {
		if (!(before->space[i / 8] >> i % 8 & 1)) {
			status st = space_end(CAP, i);

			check(st == AEGIS_OK || st == AEGIS_NO_SUCH);
		}
	}
}
