/* SPDX-License-Identifier: MIT */
/* Names and rights: derive, grant, drop, read; and that each call asks for its right. */
#include "guest.h"

static void
drop(uint32_t slot)
{
	check_is(aegis_cap_drop(slot), AEGIS_OK);
}

TEST(cap_derive)
{
	struct aegis_cap_info *info = spare();

	require_is(aegis_cap_derive(CAP, AEGIS_READ | AEGIS_ALLOC | AEGIS_DERIVE, 5), AEGIS_OK);
	check_is(aegis_cap_read(5, SPARE), AEGIS_OK);
	check(info->node > 1);
	check_is(info->depth, 1);
	check_is(info->live, 1);
	check_is(info->rights, AEGIS_READ | AEGIS_ALLOC | AEGIS_DERIVE);
	check_is(aegis_cap_derive(CAP, AEGIS_READ, 5), AEGIS_IN_USE);
	check_is(aegis_cap_derive(5, AEGIS_READ | AEGIS_WRITE, 6), AEGIS_DENIED);
	check_is(aegis_cap_derive(5, AEGIS_READ, 6), AEGIS_OK);
	check_is(aegis_cap_derive(6, AEGIS_READ, 7), AEGIS_DENIED); /* 6 may not derive */
	check_is(aegis_cap_derive(CAP, AEGIS_ALL + 1, 7), AEGIS_BAD_ARG);
	check_is(aegis_cap_derive(CAP, AEGIS_READ, AEGIS_CAP_SLOTS), AEGIS_BAD_ARG);
	check_is(aegis_cap_derive(9, AEGIS_READ, 7), AEGIS_BAD_CAP);
	check_is(aegis_cap_derive(AEGIS_SELF, AEGIS_READ, 7), AEGIS_BAD_CAP);
	drop(5);
	check_is(aegis_cap_read(6, SPARE), AEGIS_OK); /* does not need its parent's slot */
	check_is(info->live, 1);
	drop(6);
	drop(6);
	check_is(aegis_cap_drop(AEGIS_CAP_SLOTS), AEGIS_BAD_ARG);
}

TEST(cap_depth)
{
	uint32_t slot = 1;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, slot), AEGIS_OK);
	while (slot < AEGIS_DEPTH && aegis_cap_derive(slot, AEGIS_ALL, slot + 1) == AEGIS_OK)
		slot++;
	check_is(slot, AEGIS_DEPTH);
	check_is(aegis_cap_derive(slot, AEGIS_ALL, slot + 1), AEGIS_LIMIT);
	while (slot)
		drop(slot--);
}

/* Dominance: a name opens what is guarded by it or below, nothing beside or above. */
TEST(cap_guard)
{
	uint32_t pfn;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 2), AEGIS_OK);
	require_is(aegis_cap_derive(1, AEGIS_ALL, 3), AEGIS_OK);
	require_is(frame_alloc(1, AEGIS_ANY, &pfn), 1);
	check_is(frame_bind(CAP, pfn, AEGIS_READ | AEGIS_WRITE), 1);
	check_is(frame_bind(1, pfn, AEGIS_READ), 1);
	check_is(frame_bind(2, pfn, AEGIS_READ), AEGIS_DENIED);
	check_is(frame_bind(3, pfn, AEGIS_READ), AEGIS_DENIED);
	*batch_frames() = (struct aegis_frame_rec){pfn, 0};
	check_is(aegis_mem_guard(2, 1, BATCH, 1), AEGIS_DENIED);
	check_is(aegis_mem_guard(1, 3, BATCH, 1), 1);
	check_is(frame_bind(3, pfn, AEGIS_READ), 1);
	check_is(frame_bind(1, pfn, AEGIS_READ), 1);
	check_is(frame_bind(2, pfn, AEGIS_READ), AEGIS_DENIED);
	frame_put(pfn);
	for (uint32_t i = 1; i <= 3; i++)
		drop(i);
}

/* ---- each call asks for its right ---- */

static status
try_alloc(uint32_t cap)
{
	uint32_t pfn;
	status st = frame_alloc(cap, AEGIS_ANY, &pfn);

	if (st == 1)
		frame_put(pfn);
	return st;
}

static uint32_t rights_child;

static status
try_wake(uint32_t cap)
{
	return aegis_wake(cap, rights_child, 0);
}

static status
try_read_env(uint32_t cap)
{
	return aegis_env_read(cap, rights_child, SPARE);
}

static status
try_gate(uint32_t cap)
{
	return aegis_pct_bind(cap, rights_child, 0);
}

static status
try_slice(uint32_t cap)
{
	status st = aegis_slice_alloc(cap, 0, 63);

	if (st == 63)
		st = aegis_slice_free(0, 63);
	return st;
}

static status
try_ask(uint32_t cap)
{
	status st = aegis_revoke_ask(cap, rights_child, AEGIS_KIND_SLICE, 1, AEGIS_NEVER);

	return st == AEGIS_IN_USE ? AEGIS_OK : st; /* a request is under way from before */
}

static status
try_log(uint32_t cap)
{
	return aegis_log_write(cap, TEXT, 0);
}

static status
try_port(uint32_t cap)
{
	status st = aegis_irq_claim(cap, 2);

	return st == AEGIS_NO_SUCH ? AEGIS_OK : st; /* 2 is no line that a device has */
}

static status
try_derive(uint32_t cap)
{
	status st = aegis_cap_derive(cap, 0, 60);

	if (st == AEGIS_OK)
		st = aegis_cap_drop(60);
	return st;
}

static status
try_revoke(uint32_t cap)
{
	status st;

	while ((st = aegis_cap_revoke(cap)) == AEGIS_AGAIN)
		;
	return st;
}

static status
try_grant(uint32_t cap)
{
	status st = aegis_cap_grant(cap, CAP, rights_child, 0, 50);

	return st == AEGIS_IN_USE ? AEGIS_OK : st;
}

static status
try_power(uint32_t cap)
{
	status st = aegis_power_off(cap, 256);

	return st == AEGIS_BAD_ARG ? AEGIS_OK : st;
}

static int64_t
sleep_long(uint64_t arg)
{
	(void)arg;
	for (;;)
		guest_sleep(AEGIS_NEVER, 0);
	return 0;
}

TEST(cap_rights)
{
	static const struct {
		status (*fn)(uint32_t cap);
		uint32_t right;
	} calls[] = {
		{try_alloc, AEGIS_ALLOC},   {try_wake, AEGIS_WAKE},   {try_read_env, AEGIS_CONTROL},
		{try_gate, AEGIS_CALL},     {try_slice, AEGIS_SLICE}, {try_ask, AEGIS_REVOKE},
		{try_log, AEGIS_LOG},       {try_port, AEGIS_DEVICE}, {try_derive, AEGIS_DERIVE},
		{try_revoke, AEGIS_REVOKE}, {try_grant, AEGIS_GRANT}, {try_power, AEGIS_POWER},
	};
	struct spawn s = {.fn = sleep_long, .cap = 1};
	struct child *c;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	c = spawn(&s);
	rights_child = c->env;
	require(child_wait(c, AEGIS_STATE_SLEEPING));
	for (uint32_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		uint32_t right = calls[i].right;

		/* The same name with all rights but one, and then with that one alone. */
		require_is(aegis_cap_grant(1, CAP, self()->env, AEGIS_ALL & ~right, 2), AEGIS_OK);
		require_is(aegis_cap_grant(1, CAP, self()->env, right, 3), AEGIS_OK);
		check_is(calls[i].fn(2), AEGIS_DENIED);
		check(calls[i].fn(3) >= 0);
		check_is(calls[i].fn(10), AEGIS_BAD_CAP);
		check_is(calls[i].fn(4711), AEGIS_BAD_CAP);
		drop(2);
		drop(3);
		if (calls[i].fn == try_revoke) { /* made slot 1 stale */
			drop(1);
			require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
		}
	}
	child_end(c);
	drop(1);
}

TEST(cap_frame_rights)
{
	uint32_t pfn;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	require_is(frame_alloc(1, AEGIS_ANY, &pfn), 1);
	require_is(aegis_cap_grant(1, CAP, self()->env, AEGIS_READ, 2), AEGIS_OK);
	check_is(frame_bind(2, pfn, AEGIS_READ), 1);
	check_is(frame_bind(2, pfn, AEGIS_READ | AEGIS_WRITE), AEGIS_DENIED);
	check_is(frame_bind(1, pfn, AEGIS_WRITE), AEGIS_BAD_ARG);
	check_is(frame_bind(1, pfn, 0), AEGIS_BAD_ARG);
	check_is(frame_bind(AEGIS_SELF, pfn, AEGIS_READ), AEGIS_DENIED);
	*batch_frames() = (struct aegis_frame_rec){pfn, 0};
	check_is(aegis_mem_guard(2, 1, BATCH, 1), AEGIS_DENIED);
	frame_put(pfn);
	drop(1);
	drop(2);
}

/* Nodes are not lost by deriving and dropping, granting and revoking. */
TEST(cap_pool)
{
	for (uint32_t i = 0; i < 20000; i++) {
		if (aegis_cap_derive(CAP, AEGIS_ALL, 1) != AEGIS_OK ||
		    aegis_cap_derive(1, AEGIS_ALL, 2) != AEGIS_OK ||
		    aegis_cap_drop(1 + i % 2) != AEGIS_OK ||
		    aegis_cap_drop(2 - i % 2) != AEGIS_OK) {
			check_is(i, 20000);
			return;
		}
	}
}
