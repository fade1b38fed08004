/* SPDX-License-Identifier: MIT */
/* No processor translates through what a call has changed, once the call has returned. */
#include "guest.h"

#define ROUNDS 1500u
#define TIME \
	1000000000ul /* or so long: with fewer real processors than there are here, each waits */

static volatile uint32_t epoch, readers, stop, wrong, seen_fault;

/* Reads the page for ever: its word is never older than the epoch read before. */
static int64_t
reader(uint64_t arg)
{
	uint64_t reads = 0;

	(void)arg;
	__atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		uint32_t before = __atomic_load_n(&epoch, __ATOMIC_ACQUIRE);

		if (probe_read(TEST_VA) != NO_FAULT) {
			__atomic_add_fetch(&seen_fault, 1, __ATOMIC_RELAXED);
			continue;
		}
		if (*(volatile uint32_t *)TEST_VA < before)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		reads++;
		if (SYSTEM->cpus == 1 && reads % 100 == 0)
			guest_yield(AEGIS_ANY);
	}
	return 0;
}

/* The race between probe and read: a fault is no failure, the page is unbound for moments. */
static bool
reader_fault(struct aegis_frame *f, uint64_t callee[6])
{
	struct guest *g = self();

	(void)callee;
	if (g->catch || f->cause != AEGIS_CAUSE_PAGE)
		return false;
	if (f->addr == 0)
		return false;
	if (stop)
		aegis_env_destroy(AEGIS_SELF, g->env);
	__atomic_add_fetch(&seen_fault, 1, __ATOMIC_RELAXED);
	return true; /* again */
}

static void
readers_start(struct child **c, uint32_t n, uint32_t flags)
{
	struct spawn s = {.fn = reader, .flags = flags, .on_fault = reader_fault};

	epoch = readers = stop = wrong = seen_fault = 0;
	for (uint32_t i = 0; i < n; i++) {
		s.cpu = SYSTEM->cpus > 1 ? 1 + i % (SYSTEM->cpus - 1) : 0;
		c[i] = spawn(&s);
	}
}

static void
readers_stop(struct child **c, uint32_t n)
{
	stop = 1;
	check_is(wrong, 0);
	for (uint32_t i = 0; i < n; i++)
		child_end(c[i]);
}

static void
page_fill(uint32_t pfn, uint32_t value)
{
	require_is(bind(self()->space, TEST_VA + 64 * PAGE, pfn, RW), 1);
	*(volatile uint32_t *)(TEST_VA + 64 * PAGE) = value;
	unbind(self()->space, TEST_VA + 64 * PAGE, 1);
}

/* Replaces the page under threads of one space: by a new binding, or by delete and bind. */
TEST(tlb_shootdown)
{
	struct child *c[3];
	uint32_t n = SYSTEM->cpus > 3 ? 3 : 1, space = self()->space, old = frame_get();
	uint64_t end;

	page_fill(old, 0);
	require_is(bind(space, TEST_VA, old, RW), 1);
	readers_start(c, n, 0);
	require(wait_for(&readers, n));
	end = tsc() + ticks(TIME);
	for (uint32_t i = 1; i <= ROUNDS && tsc() < end; i++) {
		uint32_t new = frame_get();

		page_fill(new, i);
		if (i % 2)
			unbind(space, TEST_VA, 1);
		require_is(bind(space, TEST_VA, new, RW), 1);
		__atomic_store_n(&epoch, i, __ATOMIC_RELEASE);
		frame_put(old); /* free, and others' from now on */
		old = new;
	}
	readers_stop(c, n);
	unbind(space, TEST_VA, 1);
	frame_put(old);
}

/* The same into another space, whose threads run elsewhere. */
TEST(tlb_shootdown_foreign)
{
	struct child *c[1];
	uint32_t old = frame_get();

	page_fill(old, 0);
	readers_start(c, 1, SPAWN_SPACE | SPAWN_WAIT);
	require_is(bind(c[0]->space, TEST_VA, old, RO), 1);
	require_is(aegis_wake(CAP, c[0]->env, 0), AEGIS_OK);
	require(wait_for(&readers, 1));
	for (uint32_t i = 1; i <= 300; i++) {
		uint32_t new = frame_get();

		page_fill(new, i);
		require_is(bind(c[0]->space, TEST_VA, new, RO), 1);
		__atomic_store_n(&epoch, i, __ATOMIC_RELEASE);
		check_is(frame_unshare(CAP, c[0]->space, old), 1);
		frame_put(old);
		old = new;
	}
	readers_stop(c, 1);
	frame_put(old);
}

/* Write permission taken away is gone everywhere: no write lands after protect returned. */
static volatile uint32_t writes;

static int64_t
writer(uint64_t arg)
{
	(void)arg;
	__atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		if (probe_write(TEST_VA, tsc()) == NO_FAULT)
			writes++;
		else
			seen_fault++;
		if (SYSTEM->cpus == 1)
			guest_yield(AEGIS_ANY);
	}
	return 0;
}

TEST(tlb_shootdown_protect)
{
	uint32_t space = self()->space, pfn = frame_get(), was, dirty = 0;
	struct child *c;
	uint64_t end;

	readers = stop = writes = seen_fault = 0;
	require_is(bind(space, TEST_VA, pfn, RW), 1);
	c = spawn_on(writer, 0, SYSTEM->cpus - 1, 0);
	require(wait_for(&readers, 1));
	end = tsc() + ticks(TIME);
	/* On a busy host a processor may stand still for long: go on until it has written often enough. */
	for (uint32_t i = 0; dirty <= 10 || (i < ROUNDS && tsc() < end); i++) {
		uint64_t value;

		require(tsc() < end + ticks(HANG));
		check_is(protect(space, TEST_VA, 1, RO, &was), 1);
		dirty += (was & AEGIS_WAS_DIRTY) != 0;
		value = *(volatile uint64_t *)TEST_VA;
		for (uint32_t j = 0; j < 200; j++)
			check(*(volatile uint64_t *)TEST_VA == value);
		check(!(*aegis_window(TEST_VA) & AEGIS_PTE_DIRTY));
		check_is(protect(space, TEST_VA, 1, RW, NULL), 1);
		if (SYSTEM->cpus == 1)
			guest_yield(AEGIS_ANY);
		else
			for (uint32_t before = writes; writes == before && !stop;)
				relax();
	}
	stop = 1;
	check(dirty > 10);
	child_join(c);
	unbind(space, TEST_VA, 1);
	frame_put(pfn);
}
