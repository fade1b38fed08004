/* SPDX-License-Identifier: MIT */
/*
 * Every call that takes a capability, with every way not to have it: an empty slot, a slot outside of
 * the table, one whose name was revoked, one whose name opens something else.
 *
 * 1. The other arguments are such that the call would be done if the capability were good, as far as
 *    one record for all calls can be: a refusal must be one for the capability's sake.
 * 2. The victim is another environment with a space of its own; nothing of it may change.
 */
#include "evil.h"

#define ARGUMENTS 5u
#define NAMES(a, b, c, d, e, ...)  \
	{                          \
#a, #b, #c, #d, #e \
	}
#define CALL(n, name, parameters, ...) [n] = NAMES(__VA_ARGS__, 0, 0, 0, 0, 0),
static const char *const arguments[AEGIS_CALLS][ARGUMENTS] = {
/* "0": it has none */
#include <aegis/syscalls.def>
};

/* What the attacker is given, in its spare page. */
struct target {
	uint32_t env, space, frame, slot;
	int64_t want[2]; /* either is right */
};

static uint64_t
argument(const char *name, const struct target *t, uint32_t slot)
{
	if (text_is(name, "cap") || text_is(name, "from") || text_is(name, "with") ||
	    text_is(name, "slot"))
		return slot;
	if (text_is(name, "env"))
		return t->env;
	if (text_is(name, "space"))
		return t->space;
	if (text_is(name, "area"))
		return BATCH;
	if (text_is(name, "n") || text_is(name, "rights") || text_is(name, "kind") ||
	    text_is(name, "count"))
		return 1;
	if (text_is(name, "to"))
		return 20;
	if (text_is(name, "line"))
		return 4;
	if (text_is(name, "port"))
		return 0x2f8;
	if (text_is(name, "slice"))
		return AEGIS_ANY;
	return 0;
}

static bool
takes_cap(uint32_t call)
{
	const char *const *a = arguments[call];

	/* These read or empty a slot of the caller's, whatever is in it. */
	if (call == AEGIS_CALL_cap_drop || call == AEGIS_CALL_cap_read)
		return false;
	return text_is(a[0], "cap") || text_is(a[0], "from") || text_is(a[0], "slot");
}

static void
records_fill(uint32_t call, const struct target *t)
{
	if (call >= AEGIS_CALL_tlb_write && call <= AEGIS_CALL_tlb_delete)
		*batch_binds() = (struct aegis_bind){TEST_VA, t->frame, RO};
	else if (call == AEGIS_CALL_env_write)
		*(struct aegis_setup *)batch_binds() = (struct aegis_setup){
			.area_va = BLOCK(self()->index),
			.area_pages = 2,
			.stack_page = 1,
			.space = t->space,
		};
	else
		*batch_frames() = (struct aegis_frame_rec){
			call == AEGIS_CALL_mem_alloc ? AEGIS_ANY : t->frame, AEGIS_READ};
}

static void
call_all(const struct target *t, uint32_t slot)
{
	for (uint32_t call = 0; call < AEGIS_CALLS; call++) {
		uint64_t a[ARGUMENTS] = {0};
		int64_t st;

		if (!takes_cap(call))
			continue;
		for (uint32_t i = 0; i < ARGUMENTS; i++)
			a[i] = argument(arguments[call][i], t, slot);
		records_fill(call, t);
		st = guest_raw(AEGIS_NUMBER(call), a[0], a[1], a[2], a[3], a[4]);
		if (st != t->want[0] && st != t->want[1])
			note(call, slot, st, t->want[0]);
	}
}

static int64_t
forge(uint64_t arg)
{
	static const uint32_t outside[] = {64,         65,         0xff,       0x7fff,
					   0xfffe,     0x10000,    0x1ffff,    0x4000000,
					   0x10000001, 0x7fffffff, 0x80000000, 0xfffffffe};
	const struct target *t = spare();

	(void)arg;
	for (uint32_t slot = 0; slot < AEGIS_CAP_SLOTS; slot++)
		call_all(t, slot);
	for (uint32_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		call_all(t, outside[i]);
	return 0;
}

static int64_t
use_slot(uint64_t arg)
{
	const struct target *t = spare();

	(void)arg;
	call_all(t, t->slot);
	return 0;
}

static uint32_t victim_stage;

static int64_t
victim(uint64_t arg)
{
	(void)arg;
	while (guest_sleep_unless(&victim_stage, 0))
		;
	return 42;
}

static struct child *
victim_make(uint32_t cap)
{
	const struct spawn s = {.fn = victim, .flags = SPAWN_SPACE, .cap = cap};
	struct child *c;

	victim_stage = 0;
	c = spawn(&s);
	require(child_wait(c, AEGIS_STATE_SLEEPING));
	return c;
}

static void
victim_check(struct child *c)
{
	uint32_t events = env_page(c->g)->events;

	check_is(events, 1); /* that of spawn */
	check_is(env_page(c->g)->ask_kind, 0);
	check_is(c->g->faults, 0);
	check_is(env_info(c->env)->space, c->space);
	victim_stage = 1;
	check_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	check_is(child_result(c), 42);
}

static void
attack(guest_fn *fn, uint32_t cap, uint32_t grant, bool revoked, int64_t want, int64_t or)
{
	struct child *v = victim_make(cap), *c = evil_make(fn, 0, evil_cpu(0), NULL);
	struct target *t = (struct target *)((uint64_t)c->g + SPARE);
	uint32_t reason, frame;

	require_is(frame_alloc(cap, AEGIS_ANY, &frame), 1);
	*t = (struct target){v->env, v->space, frame, 1, {want, or }};
	if (grant)
		require_is(aegis_cap_grant(grant, CAP, c->env, AEGIS_ALL, 1), AEGIS_OK);
	if (revoked) {
		while (aegis_cap_revoke(grant) == AEGIS_AGAIN)
			;
	}
	evil_wake(c);
	check_is(evil_join(c, &reason), 0);
	check_is(reason, AEGIS_END_SELF);
	frame_put(frame);
	victim_check(v);
}

TEST(evil_cap_forged)
{
	attack(forge, CAP, 0, false, AEGIS_BAD_CAP, AEGIS_BAD_CAP);
}

TEST(evil_cap_revoked)
{
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
	attack(use_slot, CAP, 5, true, AEGIS_BAD_CAP, AEGIS_BAD_CAP);
	check_is(aegis_cap_drop(5), AEGIS_OK);
}

/* The name's place in the kernel's pool has been used again, many times. */
TEST(evil_cap_stale)
{
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
	require_is(aegis_cap_grant(5, CAP, self()->env, AEGIS_ALL, 6), AEGIS_OK);
	while (aegis_cap_revoke(5) == AEGIS_AGAIN)
		;
	check_is(aegis_cap_drop(5), AEGIS_OK);
	for (uint32_t i = 0; i < 300; i++) {
		require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
		if (i < 299)
			require_is(aegis_cap_drop(5), AEGIS_OK);
	}
	check_is(aegis_cap_derive(6, AEGIS_READ, 7), AEGIS_BAD_CAP);
	check_is(frame_bind(6, boot_page->archive_frame, AEGIS_READ), AEGIS_BAD_CAP);
	check_is(aegis_env_read(6, self()->env, SPARE), AEGIS_BAD_CAP);
	check_is(aegis_power_off(6, 99), AEGIS_BAD_CAP);
	check_is(aegis_cap_drop(5), AEGIS_OK);
	check_is(aegis_cap_drop(6), AEGIS_OK);
}

/* Good for its own name only: the calls on others' things are refused, the rest it may do. */
static int64_t
trespass(uint64_t arg)
{
	static const uint32_t calls[] = {
		AEGIS_CALL_space_destroy, AEGIS_CALL_env_destroy, AEGIS_CALL_env_write,
		AEGIS_CALL_env_read,      AEGIS_CALL_mem_bind,    AEGIS_CALL_mem_share,
		AEGIS_CALL_mem_unshare,   AEGIS_CALL_mem_table,   AEGIS_CALL_tlb_write,
		AEGIS_CALL_tlb_protect,   AEGIS_CALL_tlb_delete,  AEGIS_CALL_yield,
		AEGIS_CALL_wake,          AEGIS_CALL_pct_bind,    AEGIS_CALL_revoke_ask,
	};
	const struct target *t = spare();

	(void)arg;
	for (uint32_t k = 0; k < 2; k++) {
		uint32_t slot = k ? AEGIS_SELF : t->slot;

		for (uint32_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			uint64_t a[ARGUMENTS] = {0};
			int64_t st;

			for (uint32_t j = 0; j < ARGUMENTS; j++)
				a[j] = argument(arguments[calls[i]][j], t, slot);
			records_fill(calls[i], t);
			st = guest_raw(AEGIS_NUMBER(calls[i]), a[0], a[1], a[2], a[3], a[4]);
			if (st != AEGIS_DENIED && !(k && st == AEGIS_BAD_CAP))
				note(calls[i], slot, st, AEGIS_DENIED);
		}
	}
	return 0;
}

TEST(evil_cap_another)
{
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 6), AEGIS_OK);
	attack(trespass, 5, 6, false, 0, 0);
	/* A child's name does not open what its parent's guards. */
	require_is(aegis_cap_derive(5, AEGIS_ALL, 7), AEGIS_OK);
	attack(trespass, 5, 7, false, 0, 0);
	for (uint32_t slot = 5; slot <= 7; slot++)
		check_is(aegis_cap_drop(slot), AEGIS_OK);
}
