/* SPDX-License-Identifier: MIT */
/* Revoking a name ends what rests on it, elsewhere. */
#include "guest.h"

static status
revoke(uint32_t slot)
{
	status st;
	uint32_t steps = 0;

	while ((st = aegis_cap_revoke(slot)) == AEGIS_AGAIN && steps < 1000000)
		steps++;
	return st;
}

static volatile uint32_t stage, answers;
static uint32_t shared_pfn;

/* Holds capabilities in slots 1 (granted) and 2 (derived by itself); reads a frame guarded by it.
 */
static int64_t
holder(uint64_t arg)
{
	(void)arg;
	require_is(aegis_cap_derive(1, AEGIS_READ | AEGIS_ALLOC, 2), AEGIS_OK);
	require_is(frame_bind(1, shared_pfn, AEGIS_READ), 1);
	require_is(bind(self()->space, TEST_VA, shared_pfn, RO), 1);
	check_is(probe_read(TEST_VA), NO_FAULT);
	answers = 1;
	require(wait_for(&stage, 1));
	check_is(probe_read(TEST_VA), AEGIS_CAUSE_PAGE);
	check_is(bind(self()->space, TEST_VA, shared_pfn, RO), AEGIS_NOT_HELD);
	check_is(frame_bind(1, shared_pfn, AEGIS_READ), AEGIS_BAD_CAP);
	check_is(frame_bind(2, shared_pfn, AEGIS_READ), AEGIS_BAD_CAP);
	check_is(aegis_cap_derive(1, AEGIS_READ, 3), AEGIS_BAD_CAP);
	check_is(aegis_cap_drop(1), AEGIS_OK);
	check_is(aegis_cap_drop(2), AEGIS_OK);
	answers = 2;
	return 0;
}

TEST(cap_revoke)
{
	struct child *c;

	stage = answers = 0;
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	require_is(frame_alloc(1, AEGIS_ANY, &shared_pfn), 1);
	require_is(bind(self()->space, TEST_VA, shared_pfn, RW), 1);
	c = spawn_on(holder, 0, SYSTEM->cpus - 1, SPAWN_SPACE | SPAWN_WAIT);
	require_is(aegis_cap_grant(1, CAP, c->env, AEGIS_ALL, 1), AEGIS_OK);
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	require(wait_for(&answers, 1));
	check_is(revoke(1), AEGIS_OK);
	/* The caller keeps its holdings, bindings and slot. */
	check_is(probe_write(TEST_VA, 1), NO_FAULT);
	check_is(frame_bind(1, shared_pfn, AEGIS_READ), 1);
	stage = 1;
	require(wait_for(&answers, 2));
	child_join(c);
	unbind(self()->space, TEST_VA, 1);
	frame_put(shared_pfn);
	check_is(aegis_cap_drop(1), AEGIS_OK);
}

TEST(cap_stale)
{
	struct aegis_cap_info *info = spare();
	uint32_t pfn, env = self()->env;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	require_is(aegis_cap_derive(1, AEGIS_ALL, 2), AEGIS_OK);
	require_is(aegis_cap_grant(1, CAP, env, AEGIS_ALL, 3), AEGIS_OK);
	check_is(revoke(1), AEGIS_OK);
	for (uint32_t slot = 2; slot <= 3; slot++) {
		check_is(aegis_cap_read(slot, SPARE), AEGIS_OK);
		check_is(info->live, 0);
		check_is(frame_alloc(slot, AEGIS_ANY, &pfn), AEGIS_BAD_CAP);
		check_is(aegis_cap_derive(slot, AEGIS_READ, 9), AEGIS_BAD_CAP);
		check_is(aegis_cap_grant(slot, CAP, env, AEGIS_READ, 9), AEGIS_BAD_CAP);
		check_is(aegis_cap_revoke(slot), AEGIS_BAD_CAP);
		check_is(aegis_slice_alloc(slot, 0, 0), AEGIS_BAD_CAP);
		check_is(aegis_wake(slot, env, 0), AEGIS_BAD_CAP);
		check_is(aegis_env_read(slot, env, SPARE), AEGIS_BAD_CAP);
		check_is(aegis_log_write(slot, TEXT, 0), AEGIS_BAD_CAP);
		check_is(aegis_power_off(slot, 0), AEGIS_BAD_CAP);
		check_is(aegis_io_claim(slot, 0x2f8, 8), AEGIS_BAD_CAP);
		check_is(aegis_space_create(slot, BATCH, 0), AEGIS_BAD_CAP);
		memset(info, 0, sizeof(struct aegis_env_create));
		check_is(aegis_env_create(slot, SPARE), AEGIS_BAD_CAP);
	}
	check_is(aegis_cap_read(1, SPARE), AEGIS_OK);
	check_is(info->live, 1);
	check_is(aegis_cap_derive(1, AEGIS_READ, 4), AEGIS_OK);
	for (uint32_t slot = 1; slot <= 4; slot++)
		check_is(aegis_cap_drop(slot), AEGIS_OK);
}

/* A name that everyone lost is used again, and old capabilities to it stay stale. */
TEST(cap_revoke_many)
{
	uint32_t env = self()->env;

	for (uint32_t i = 0; i < 300; i++) {
		require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
		require_is(aegis_cap_grant(1, CAP, env, AEGIS_ALL, 2), AEGIS_OK);
		require_is(aegis_cap_derive(2, AEGIS_ALL, 3), AEGIS_OK);
		require_is(revoke(1), AEGIS_OK);
		require_is(aegis_cap_drop(2), AEGIS_OK);
		require_is(aegis_cap_drop(3), AEGIS_OK);
		require_is(aegis_cap_drop(1), AEGIS_OK);
	}
}

/* ---- granting ---- */

static int64_t
receiver(uint64_t arg)
{
	struct aegis_cap_info *info = spare();

	(void)arg;
	require(wait_for(&stage, 1));
	check_is(aegis_cap_read(1, SPARE), AEGIS_OK);
	check_is(info->rights, AEGIS_READ | AEGIS_WAKE);
	check_is(info->live, 1);
	check_is(aegis_cap_read(2, SPARE), AEGIS_BAD_CAP);
	return 0;
}

TEST(cap_grant)
{
	struct child *c;
	uint32_t env = self()->env;

	stage = 0;
	c = spawn_on(receiver, 0, 0, 0);
	require_is(aegis_cap_grant(CAP, CAP, env, AEGIS_READ | AEGIS_WAKE, 1), AEGIS_OK);
	check_is(aegis_cap_grant(1, CAP, c->env, AEGIS_READ, 2), AEGIS_DENIED); /* no GRANT */
	check_is(aegis_cap_grant(CAP, 1, c->env, AEGIS_READ, 2), AEGIS_DENIED); /* no CONTROL */
	check_is(aegis_cap_grant(CAP, CAP, c->env, AEGIS_READ, CAP), AEGIS_IN_USE);
	check_is(aegis_cap_grant(CAP, CAP, 4000, AEGIS_READ, 2), AEGIS_NO_SUCH);
	check_is(aegis_cap_grant(CAP, CAP, 99999, AEGIS_READ, 2), AEGIS_NO_SUCH);
	check_is(aegis_cap_grant(CAP, CAP, c->env, AEGIS_ALL + 1, 2), AEGIS_BAD_ARG);
	check_is(aegis_cap_grant(CAP, CAP, c->env, 0, AEGIS_CAP_SLOTS), AEGIS_BAD_ARG);
	check_is(aegis_cap_grant(7, CAP, c->env, 0, 2), AEGIS_BAD_CAP);
	check_is(aegis_cap_grant(CAP, CAP, c->env, AEGIS_READ | AEGIS_WAKE, 1), AEGIS_OK);
	stage = 1;
	child_join(c);
	check_is(aegis_cap_drop(1), AEGIS_OK);
}
