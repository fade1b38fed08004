/* SPDX-License-Identifier: MIT */
/*
 * A library that ignores revocation: what was asked is taken by force after the deadline, it is told,
 * and a neighbour with as much keeps all of it.
 */
#include "evil.h"

#define FRAMES 40u
#define ASKED  10u

/* Takes FRAMES frames and two slices, then cares for nothing. */
static int64_t
ignore(uint64_t arg)
{
	uint32_t pfn, got = 0;

	for (uint32_t i = 0; i < FRAMES; i++)
		got += frame_alloc(1, AEGIS_ANY, &pfn) == 1;
	for (uint32_t i = 0; i < 2; i++)
		got += aegis_slice_alloc(1, self()->cpu, AEGIS_ANY) >= 0;
	self()->result = got;
	if (arg)
		self()->area.defer = 1;
	while (got)
		guest_sleep(AEGIS_NEVER, 0);
	return 0;
}

static struct child *
ignorer(uint32_t cpu, uint32_t defer)
{
	const struct spawn s = {.flags = SPAWN_ACCOUNT, .frames = 100, .slices = 4};
	struct child *c = evil_make(ignore, defer, cpu, &s);

	for (uint32_t span = 0; span * AEGIS_HOLD_SPAN < SYSTEM->frames; span++)
		hold_supply(c->space, span);
	require_is(aegis_cap_grant(5, CAP, c->env, AEGIS_ALL, 1), AEGIS_OK);
	evil_wake(c);
	require(child_wait(c, AEGIS_STATE_SLEEPING));
	check_is(c->g->result, FRAMES + 2);
	return c;
}

static bool
taken(const struct child *c, uint32_t count)
{
	uint64_t end = tsc() + ticks(5000000000);

	while (env_page(c->g)->taken_count < count) {
		if (tsc() > end)
			return false;
		rest(200000);
	}
	return true;
}

static void
ignored(uint32_t defer)
{
	struct child *c, *neighbour;
	uint32_t had, has;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
	c = ignorer(evil_cpu(0), defer);
	neighbour = ignorer(evil_cpu(0), defer);
	had = env_info(c->env)->account_used;
	has = env_info(neighbour->env)->account_used;
	require_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_FRAME, ASKED, tsc() + ticks(5000000)),
		   AEGIS_OK);
	check(taken(c, ASKED));
	check_is(env_info(c->env)->account_used, had - ASKED);
	for (uint32_t i = 0; i < ASKED; i++)
		check_is(env_page(c->g)->taken[i] >> 28, AEGIS_KIND_FRAME);
	require_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_SLICE, 1, tsc() + ticks(5000000)),
		   AEGIS_OK);
	check(taken(c, ASKED + 1));
	check_is(env_page(c->g)->taken[ASKED] >> 28, AEGIS_KIND_SLICE);
	check_is(env_page(c->g)->taken_count, ASKED + 1);
	/* More than it can give: its end, not the neighbour's. */
	require_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_FRAME, 1000, tsc() + ticks(5000000)),
		   AEGIS_OK);
	check(child_wait(c, AEGIS_STATE_ENDED));
	check_is(env_info(c->env)->end_reason, AEGIS_END_REVOKE);
	check_is(env_page(neighbour->g)->taken_count, 0);
	check_is(env_page(neighbour->g)->ask_kind, 0);
	check_is(env_info(neighbour->env)->account_used, has);
	check_is(env_info(neighbour->env)->state, AEGIS_STATE_SLEEPING);
	child_end(c);
	child_end(neighbour);
	check_is(aegis_cap_drop(5), AEGIS_OK);
}

TEST(evil_revoke_ignored)
{
	ignored(0);
}

TEST(evil_revoke_deferred)
{
	ignored(1);
}
