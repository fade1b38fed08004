/* SPDX-License-Identifier: MIT */
/* Visible revocation: ask, give, take, tell; what is droppable, what is guaranteed, and the end. */
#include "guest.h"

#define PAGES 64u

static volatile uint32_t ready, stop, answered, wrong;
static uint32_t given[PAGES];

static const volatile struct aegis_env_page *
page_of(const struct child *c)
{
	return env_page(c->g);
}

/* Allocates pages, binds them, and answers requests as far as `mode` says. */
enum mode { GIVES, GIVES_HALF, IGNORES, PINS, DROPPABLE };

static int64_t
owner(uint64_t mode)
{
	uint32_t space = self()->space, next = 0;
	const volatile struct aegis_env_page *p = env_page(self());

	for (uint32_t i = 0; i < PAGES; i++) {
		given[i] = frame_get();
		require_is(bind(space, TEST_VA + i * PAGE, given[i], RW), 1);
		*(volatile uint64_t *)(TEST_VA + i * PAGE) = i;
		if (mode == PINS && i % 2 == 0)
			require_is(frame_mark(given[i], AEGIS_FRAME_PIN), 1);
		if (mode == DROPPABLE)
			require_is(frame_mark(given[i], AEGIS_FRAME_DROPPABLE), 1);
	}
	ready = 1;
	while (!stop) {
		uint32_t want = p->ask_kind == AEGIS_KIND_FRAME ? p->ask_count : 0;

		if (want && (mode == GIVES || (mode == GIVES_HALF && !next))) {
			uint32_t n = mode == GIVES ? want : want / 2;

			for (; n && next < PAGES; n--, next++) {
				unbind(space, TEST_VA + next * PAGE, 1);
				frame_put(given[next]);
			}
			answered = next;
		}
		guest_sleep(tsc() + ticks(1000000), 0);
	}
	for (uint32_t i = next; i < PAGES; i++) {
		uint32_t cause = probe_read(TEST_VA + i * PAGE);

		if (cause == NO_FAULT && *(volatile uint64_t *)(TEST_VA + i * PAGE) != i)
			wrong++;
	}
	return 0;
}

static struct child *
owner_start(enum mode mode)
{
	struct child *c;

	ready = stop = answered = wrong = 0;
	c = spawn_on(owner, mode, SYSTEM->cpus - 1, SPAWN_SPACE);
	require(wait_for(&ready, 1));
	return c;
}

static status
ask(struct child *c, uint32_t kind, uint32_t n, uint64_t after)
{
	return aegis_revoke_ask(CAP, c->env, kind, n,
				after == AEGIS_NEVER ? after : tsc() + ticks(after));
}

static void
owner_stop(struct child *c)
{
	stop = 1;
	child_join(c);
	check_is(wrong, 0);
}

/* All n of a request were given or taken, and it is gone.  A new one is not shown at once. */
static bool
settled(struct child *c, uint32_t n)
{
	for (uint32_t i = 0; i < 500; i++) {
		rest(2000000);
		if (answered + page_of(c)->taken_count >= n &&
		    page_of(c)->ask_kind == AEGIS_KIND_NONE)
			return true;
	}
	return false;
}

TEST(revoke_arguments)
{
	struct child *c = owner_start(IGNORES);
	uint64_t later = tsc() + ticks(5000000000);

	check_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_NONE, 1, later), AEGIS_BAD_ARG);
	check_is(aegis_revoke_ask(CAP, c->env, AEGIS_KINDS, 1, later), AEGIS_BAD_ARG);
	check_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_FRAME, 0, later), AEGIS_BAD_ARG);
	check_is(aegis_revoke_ask(CAP, 4000, AEGIS_KIND_FRAME, 1, later), AEGIS_NO_SUCH);
	check_is(aegis_revoke_ask(9, c->env, AEGIS_KIND_FRAME, 1, later), AEGIS_BAD_CAP);
	check_is(ask(c, AEGIS_KIND_FRAME, 4, 5000000000), AEGIS_OK);
	check_is(ask(c, AEGIS_KIND_FRAME, 4, 5000000000), AEGIS_IN_USE);
	for (uint32_t i = 0; i < 100 && page_of(c)->ask_kind == AEGIS_KIND_NONE; i++)
		rest(1000000);
	check_is(page_of(c)->ask_kind, AEGIS_KIND_FRAME);
	check_is(page_of(c)->ask_count, 4);
	check(page_of(c)->ask_deadline > tsc());
	check_is(page_of(c)->taken_count, 0);
	for (uint32_t i = 0; i < 100 && !c->g->revokes; i++)
		rest(1000000);
	check(c->g->revokes >= 1);
	owner_stop(c);
}

/* Asked in time: the library chooses, and nothing is taken. */
TEST(revoke_give)
{
	uint32_t free;
	struct child *c = owner_start(GIVES);

	free = SYSTEM->free_frames;
	check_is(ask(c, AEGIS_KIND_FRAME, 20, 2000000000), AEGIS_OK);
	check(settled(c, 20));
	check_is(answered, 20);
	check_is(page_of(c)->taken_count, 0);
	check_is(SYSTEM->free_frames, free + 20);
	owner_stop(c);
}

/* Not answered: taken by force, told in the vector, and the pages are gone. */
/* What was taken is free when its last binding is broken, which may be a few steps later. */
static bool
frame_comes(uint32_t pfn)
{
	for (uint32_t i = 0; i < 500; i++) {
		uint32_t got = pfn;

		if (frame_alloc(CAP, pfn, &got) == 1) {
			frame_put(pfn);
			return true;
		}
		rest(1000000);
	}
	return false;
}

static void
taken_check(struct child *c, uint32_t n)
{
	const volatile struct aegis_env_page *p = page_of(c);
	uint32_t pfn;

	check_is(p->taken_count, n);
	for (uint32_t i = 0; i < 200 && !c->g->revokes; i++)
		rest(1000000);
	check(c->g->revokes >= 1);
	for (uint32_t i = 0; i < n && i < AEGIS_TAKEN_MAX; i++) {
		check_is(p->taken[i] >> 28, AEGIS_KIND_FRAME);
		pfn = p->taken[i] & 0xfffffff;
		check(frame_comes(pfn)); /* free, for whoever asked */
	}
}

TEST(revoke_take)
{
	struct child *c = owner_start(IGNORES);
	uint64_t deadline = tsc() + ticks(20000000);

	check_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_FRAME, 24, deadline), AEGIS_OK);
	while (tsc() < deadline) {
		uint32_t taken = page_of(c)->taken_count;

		if (tsc() < deadline)
			check(taken == 0);
		rest(1000000);
	}
	check(settled(c, 24));
	taken_check(c, 24);
	check_is(page_of(c)->taken_kind_last, AEGIS_KIND_FRAME);
	owner_stop(c);
}

TEST(revoke_half)
{
	struct child *c = owner_start(GIVES_HALF);

	check_is(ask(c, AEGIS_KIND_FRAME, 20, 500000000), AEGIS_OK);
	check(settled(c, 20));
	check_is(answered, 10);
	taken_check(c, 10);
	owner_stop(c);
}

/* Declared droppable: taken at once, without asking, and told. */
TEST(revoke_drop)
{
	struct child *c = owner_start(DROPPABLE);
	status st = AEGIS_IN_USE;

	check_is(ask(c, AEGIS_KIND_FRAME, 30, 3000000000), AEGIS_OK);
	for (uint32_t i = 0; i < 200 && page_of(c)->taken_count < 30; i++)
		rest(1000000);
	taken_check(c, 30);
	check_is(page_of(c)->ask_kind, AEGIS_KIND_NONE); /* it was never asked */
	/* More than there is that may be dropped: asked for the rest. */
	for (uint32_t i = 0; i < 500; i++) {
		st = ask(c, AEGIS_KIND_FRAME, 40, 3000000000);
		if (st != AEGIS_IN_USE)
			break;
		rest(1000000); /* the first request is over when the last binding is broken */
	}
	check_is(st, AEGIS_OK);
	for (uint32_t i = 0; i < 200 && page_of(c)->ask_kind == AEGIS_KIND_NONE; i++)
		rest(1000000);
	check_is(page_of(c)->taken_count, PAGES);
	check_is(page_of(c)->ask_count, 40 - (PAGES - 30));
	owner_stop(c);
}

/* Guaranteed pages stay; when nothing else is left, the environment ends. */
TEST(revoke_pinned)
{
	struct child *c = owner_start(PINS);

	check_is(ask(c, AEGIS_KIND_FRAME, 100000, 10000000), AEGIS_OK);
	require(child_wait(c, AEGIS_STATE_ENDED));
	check_is(env_info(c->env)->end_reason, AEGIS_END_REVOKE);
	check(page_of(c)->taken_count >= PAGES / 2);
	for (uint32_t i = 0; i < page_of(c)->taken_count && i < AEGIS_TAKEN_MAX; i++) {
		for (uint32_t j = 0; j < PAGES; j += 2)
			check((page_of(c)->taken[i] & 0xfffffff) != given[j]);
	}
	child_end(c);
}

/* Asleep without end, and without time of its own: it ends all the same. */
static int64_t
asleep(uint64_t arg)
{
	(void)arg;
	ready = 1;
	for (;;)
		guest_sleep(AEGIS_NEVER, 0);
	return 0;
}

TEST(revoke_asleep)
{
	struct child *c;

	ready = 0;
	c = spawn_on(asleep, 0, 0, SPAWN_SPACE | SPAWN_TIMELESS);
	for (uint32_t i = 0; i < 1000 && !ready; i++)
		guest_yield(c->env);
	require_is(ready, 1);
	check_is(ask(c, AEGIS_KIND_FRAME, 100000, 1000000), AEGIS_OK);
	require(child_wait(c, AEGIS_STATE_ENDED));
	check_is(env_info(c->env)->end_reason, AEGIS_END_REVOKE);
	child_end(c);
}

/* ---- slices ---- */

static int64_t
slice_owner(uint64_t gives)
{
	const volatile struct aegis_env_page *p = env_page(self());
	uint32_t cpu = SYSTEM->cpus - 1;

	for (uint32_t i = 0; i < 8; i++)
		require_is(aegis_slice_alloc(CAP, cpu, 50 + i), 50 + i);
	ready = 1;
	while (!stop) {
		if (gives && p->ask_kind == AEGIS_KIND_SLICE &&
		    answered < p->ask_count + answered) {
			check_is(aegis_slice_free(cpu, 50 + answered), AEGIS_OK);
			answered++;
		}
		guest_sleep(tsc() + ticks(1000000), 0);
	}
	return 0;
}

TEST(revoke_slices)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *c;

	ready = stop = answered = 0;
	c = spawn_on(slice_owner, 1, cpu, 0);
	require(wait_for(&ready, 1));
	check_is(ask(c, AEGIS_KIND_SLICE, 3, 3000000000), AEGIS_OK);
	check(settled(c, 3));
	check_is(answered, 3);
	check_is(page_of(c)->taken_count, 0);
	stop = 1;
	child_join(c);

	ready = stop = answered = 0;
	c = spawn_on(slice_owner, 0, cpu, 0);
	require(wait_for(&ready, 1));
	check_is(aegis_slice_alloc(CAP, cpu, 50), AEGIS_IN_USE);
	check_is(ask(c, AEGIS_KIND_SLICE, 5, 10000000), AEGIS_OK);
	check(settled(c, 5));
	check_is(page_of(c)->taken_count, 5);
	for (uint32_t i = 0; i < 5; i++)
		check_is(page_of(c)->taken[i], AEGIS_TAKEN(AEGIS_KIND_SLICE, cpu * 64 + 50 + i));
	check_is(aegis_slice_alloc(CAP, cpu, 50), 50);
	check_is(aegis_slice_free(cpu, 50), AEGIS_OK);
	/* The last slice is guaranteed: to ask for more ends it. */
	check_is(ask(c, AEGIS_KIND_SLICE, 100, 10000000), AEGIS_OK);
	require(child_wait(c, AEGIS_STATE_ENDED));
	check_is(page_of(c)->taken_count, 7);
	check_is(env_info(c->env)->end_reason, AEGIS_END_REVOKE);
	child_end(c);
	check_is(aegis_slice_alloc(CAP, cpu, 57), 57);
	check_is(aegis_slice_free(cpu, 57), AEGIS_OK);
}
