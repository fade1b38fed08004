/* SPDX-License-Identifier: MIT */
/*
 * Storms: many at once at the same thing.
 *
 * 1. Those that storm one space share the runner's; their slots in it and their frames are the same few,
 *    so that every call meets another at work.  No answer is wrong, and the counts agree at the end.
 * 2. The runner allocates nothing while a storm blows: a frame that is let go may come back to anyone.
 */
#include "evil.h"

#define FRAMES 24u
#define PAGES  32u
#define STEPS  3000u

static uint32_t pool[FRAMES];
static volatile uint32_t stop, woken;

static int64_t
space_storm(uint64_t seed)
{
	uint32_t space = self()->space, was;

	for (uint32_t i = 0; i < STEPS; i++) {
		uint64_t r = random_next(&seed);
		uint32_t pfn = pool[r % FRAMES], out;
		uint64_t va = TEST_VA + (r >> 8) % PAGES * PAGE;

		switch ((r >> 16) % 8) {
		case 0:
		case 1:
			bind_only(AEGIS_SELF, space, va, pfn, r >> 24 & 1 ? RW : RO);
			break;
		case 2:
			unbind(space, va, 1 + (r >> 24) % 4);
			break;
		case 3:
			*batch_binds() = (struct aegis_bind){va, 4, RO};
			aegis_tlb_protect(AEGIS_SELF, space, BATCH, 1);
			break;
		case 4:
			frame_free(pfn);
			break;
		case 5:
			frame_alloc(CAP, pfn, &out);
			break;
		case 6:
			was = probe_write(va, r);
			if (was != NO_FAULT && was != AEGIS_CAUSE_PAGE)
				check_is(was, AEGIS_CAUSE_PAGE);
			break;
		default:
			frame_mark(pfn, (r >> 24) % 4);
		}
	}
	return 0;
}

TEST(evil_storm_space)
{
	struct child *c[4];

	frames_get(pool, FRAMES);
	for (uint32_t i = 0; i < 4; i++)
		c[i] = spawn_on(space_storm, 1000 + i, i % SYSTEM->cpus, SPAWN_WAIT);
	for (uint32_t i = 0; i < 4; i++)
		require_is(aegis_wake(CAP, c[i]->env, 0), AEGIS_OK);
	for (uint32_t i = 0; i < 4; i++)
		require(child_wait(c[i], AEGIS_STATE_ENDED));
	unbind(self()->space, TEST_VA, PAGES);
	/* What is held still is unmarked and given back; then nobody has any of them. */
	for (uint32_t i = 0; i < FRAMES; i++) {
		frame_mark(pool[i], 0);
		frame_free(pool[i]);
		check_is(frame_free(pool[i]), AEGIS_NOT_HELD);
	}
	for (uint32_t i = 0; i < 4; i++)
		child_join(c[i]);
}

/* ---- wakes ---- */

static int64_t
sleeper(uint64_t arg)
{
	(void)arg;
	while (guest_sleep_unless(&stop, 0))
		woken++;
	return 0;
}

static int64_t
waker(uint64_t target)
{
	for (uint32_t i = 0; i < STEPS; i++) {
		check_is(aegis_wake(CAP, (uint32_t)target, i % 2 ? AEGIS_WAKE_UPCALL : 0),
			 AEGIS_OK);
		if (i % 64 == 0)
			relax_or_yield();
	}
	return 0;
}

TEST(evil_storm_wake)
{
	struct child *target, *c[4];

	stop = woken = 0;
	target = spawn_on(sleeper, 0, evil_cpu(0), SPAWN_SPACE);
	require(child_wait(target, AEGIS_STATE_SLEEPING));
	for (uint32_t i = 0; i < 4; i++)
		c[i] = spawn_on(waker, target->env, i % SYSTEM->cpus, SPAWN_SPACE);
	for (uint32_t i = 0; i < 4; i++)
		child_join(c[i]);
	check_is(env_page(target->g)->events, 1 + 4 * STEPS);
	check(wait_for(&woken, 1));
	stop = 1;
	aegis_wake(CAP, target->env, 0); /* it may have seen that already */
	child_join(target);
}

/* ---- destruction ---- */

static bool
go_on(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	return f->cause == AEGIS_CAUSE_SYSCALL || f->cause == AEGIS_CAUSE_UNDEFINED;
}

/* In the middle of everything: calls, faults, sleep, time of its own, time of others. */
static int64_t
busy(uint64_t arg)
{
	uint64_t seed = arg;
	uint32_t pfn;

	while (++self()->result) {
		uint64_t r = random_next(&seed);

		switch ((arg + (arg % 8 == 7 ? r : 0)) % 7) {
		case 0:
			break;
		case 1:
			aegis_null();
			break;
		case 2:
			__asm__ volatile("ud2"); /* again and again */
			break;
		case 3:
			guest_sleep(tsc() + r % 200000, 0);
			break;
		case 4:
			guest_yield(AEGIS_ANY);
			break;
		case 5:
			if (frame_alloc(1, AEGIS_ANY, &pfn) == 1 && r % 2)
				frame_free(pfn);
			break;
		default:
			*batch_binds() = (struct aegis_bind){(uint64_t)self() + SPARE, 1, RW};
			aegis_tlb_protect(AEGIS_SELF, self()->space, BATCH, 1);
		}
	}
	return 0;
}

TEST(evil_storm_destroy)
{
	uint64_t seed = 5;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
	for (uint32_t i = 0; i < 160; i++) {
		const struct spawn s = {.on_fault = go_on};
		struct child *c = evil_make(busy, i, evil_cpu(i), &s);
		uint64_t end;

		require_is(aegis_cap_grant(5, CAP, c->env, AEGIS_ALL, 1), AEGIS_OK);
		evil_wake(c);
		if (SYSTEM->cpus == 1)
			rest(100000);
		end = tsc() + ticks(random_next(&seed) % 1000000);
		while (tsc() < end)
			relax();
		child_end(c);
	}
	check_is(aegis_cap_drop(5), AEGIS_OK);
}

/* Hands the processor to whoever of its like comes to mind, alive or not. */
static uint32_t peers[4];

static int64_t
hander(uint64_t seed)
{
	while (!stop) {
		uint64_t r = random_next(&seed);

		if (r % 64 == 0)
			guest_yield(AEGIS_ANY);
		else if (r % 64 == 1)
			guest_sleep(tsc() + r % 100000, 0);
		else
			guest_yield(peers[r % 4]);
		woken++;
	}
	return 0;
}

/* One after the other is destroyed, in the middle of it; the others go on. */
TEST(evil_storm_yield)
{
	uint64_t seed = 11;

	for (uint32_t round = 0; round < 40; round++) {
		struct child *c[4];

		stop = 0;
		for (uint32_t i = 0; i < 4; i++) {
			c[i] = spawn_on(hander, round * 4 + i, evil_cpu(round % 3 == 2 ? i : 0),
					SPAWN_WAIT | (i ? SPAWN_SPACE : 0));
			peers[i] = c[i]->env;
		}
		for (uint32_t i = 0; i < 4; i++)
			require_is(aegis_wake(CAP, c[i]->env, 0), AEGIS_OK);
		for (uint32_t i = 0; i < 3; i++) {
			uint32_t before = woken;

			check(wait_for(&woken, before + 1 + (uint32_t)random_next(&seed) % 200));
			child_end(c[(round + i) % 4]);
		}
		stop = 1;
		child_join(c[(round + 3) % 4]);
	}
}

/* One is destroyed by many at once: once, and the others are told that it is not there. */
static uint32_t prey;
static volatile uint32_t destroyed, started;

static int64_t
hunter(uint64_t arg)
{
	status st;

	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	while (started < arg)
		relax_or_yield();
	do {
		st = aegis_env_destroy(CAP, prey);
		if (st == AEGIS_AGAIN)
			relax_or_yield();
	} while (st == AEGIS_AGAIN);
	if (st == AEGIS_OK)
		__atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST);
	else
		check_is(st, AEGIS_NO_SUCH);
	return 0;
}

TEST(evil_storm_hunt)
{
	for (uint32_t round = 0; round < 20; round++) {
		const struct spawn s = {.on_fault = go_on};
		struct child *c = evil_make(busy, round, evil_cpu(round), &s), *h[3];

		started = destroyed = 0;
		prey = c->env;
		evil_wake(c);
		for (uint32_t i = 0; i < 3; i++)
			h[i] = spawn_on(hunter, 3, (i + 1) % SYSTEM->cpus, SPAWN_SPACE);
		for (uint32_t i = 0; i < 3; i++)
			child_join(h[i]);
		check_is(destroyed, 1);
		c->env = 0;
		child_end(c);
	}
}
