/* SPDX-License-Identifier: MIT */
/* Holdings: sharing, taking back, guards and marks, and what each space may see. */
#include "guest.h"

static volatile uint32_t stage, answers;
static uint32_t given, written, hold_page;

static int64_t
share_receiver(uint64_t arg)
{
	uint32_t space = self()->space;

	(void)arg;
	require(wait_for(&stage, 1));
	check_is(bind(space, TEST_VA, given, RO), 1);
	check_is(probe_read(TEST_VA), NO_FAULT);
	check_is(*(volatile uint64_t *)TEST_VA, 0x1234);
	check_is(bind(space, TEST_VA + PAGE, given, RW), AEGIS_NOT_HELD);
	check_is(protect(space, TEST_VA, 1, RW, NULL), AEGIS_NOT_HELD);
	check_is(probe_write(TEST_VA, 1), AEGIS_CAUSE_PAGE);
	check_is(bind(space, TEST_VA + PAGE, written, RW), 1);
	check_is(probe_write(TEST_VA + PAGE, 0x77), NO_FAULT);
	/* It cannot pass on more than it has. */
	check_is(frame_share(CAP, arg ? 0 : 1, given, AEGIS_READ | AEGIS_WRITE), AEGIS_NOT_HELD);
	answers = 1;
	require(wait_for(&stage, 2));
	check_is(probe_read(TEST_VA), AEGIS_CAUSE_PAGE);
	check_is(bind(space, TEST_VA, given, RO), AEGIS_NOT_HELD);
	check_is(probe_read(TEST_VA + PAGE), NO_FAULT);
	return 0;
}

TEST(mem_share)
{
	uint32_t space = self()->space;
	struct child *c;

	stage = answers = 0;
	given = frame_get();
	written = frame_get();
	require_is(bind(space, TEST_VA, given, RW), 1);
	*(volatile uint64_t *)TEST_VA = 0x1234;
	c = spawn_on(share_receiver, 0, SYSTEM->cpus - 1, SPAWN_SPACE);
	check_is(frame_share(CAP, c->space, given, AEGIS_READ), 1);
	check_is(frame_share(CAP, c->space, written, AEGIS_READ | AEGIS_WRITE), 1);
	check_is(frame_share(CAP, c->space, written, AEGIS_WRITE), AEGIS_BAD_ARG);
	check_is(frame_share(CAP, c->space, 0x123456, AEGIS_READ), AEGIS_NOT_HELD);
	check_is(frame_share(CAP, 4095, given, AEGIS_READ), AEGIS_NO_SUCH);
	check_is(frame_share(9, c->space, given, AEGIS_READ), AEGIS_BAD_CAP);
	check_is(frame_share(AEGIS_SELF, c->space, given, AEGIS_READ), AEGIS_DENIED);
	stage = 1;
	require(wait_for(&answers, 1));
	check_is(frame_unshare(CAP, c->space, given), 1);
	check_is(frame_unshare(CAP, c->space, given), AEGIS_NOT_HELD);
	check_is(frame_unshare(9, c->space, written), AEGIS_BAD_CAP);
	stage = 2;
	child_join(c);
	require_is(bind(space, TEST_VA + PAGE, written, RO), 1);
	check_is(*(volatile uint64_t *)(TEST_VA + PAGE), 0x77);
	check_is(*(volatile uint64_t *)TEST_VA, 0x1234);
	unbind(space, TEST_VA, 2);
	frame_put(given);
	frame_put(written);
}

/* A frame that two spaces hold is free when the last lets go. */
TEST(mem_last)
{
	uint32_t pfn = frame_get(), free = SYSTEM->free_frames, other;
	struct child *c = spawn_on(share_receiver, 0, 0, SPAWN_SPACE | SPAWN_WAIT);
	uint32_t with = SYSTEM->free_frames;

	require_is(frame_share(CAP, c->space, pfn, AEGIS_READ), 1);
	frame_put(pfn);
	check_is(SYSTEM->free_frames, with);
	check_is(frame_alloc(CAP, pfn, &other), AEGIS_IN_USE);
	child_end(c);
	check_is(SYSTEM->free_frames, free + 1);
}

/* ---- holdings pages ---- */

static int64_t
hold_reader(uint64_t arg)
{
	const volatile uint8_t *holds = (const volatile uint8_t *)TEST_VA;
	uint32_t space = self()->space, pfn = (uint32_t)arg;

	require_is(frame_bind(AEGIS_SELF, hold_page, AEGIS_READ | AEGIS_WRITE), AEGIS_DENIED);
	require_is(frame_bind(AEGIS_SELF, hold_page, AEGIS_READ), 1);
	require_is(bind(space, TEST_VA, hold_page, RO), 1);
	check_is(bind(space, TEST_VA + PAGE, hold_page, RW), AEGIS_NOT_HELD);
	check_is(holds[pfn % AEGIS_HOLD_SPAN], AEGIS_HOLD_READ);
	require_is(bind(space, TEST_VA + PAGE, pfn, RO), 1);
	check_is(holds[pfn % AEGIS_HOLD_SPAN], AEGIS_HOLD_READ | 1);
	require_is(bind(space, TEST_VA + 2 * PAGE, pfn, RO), 1);
	check_is(holds[pfn % AEGIS_HOLD_SPAN], AEGIS_HOLD_READ | 2);
	unbind(space, TEST_VA + PAGE, 2);
	check_is(holds[pfn % AEGIS_HOLD_SPAN], AEGIS_HOLD_READ);
	return 0;
}

TEST(mem_table)
{
	uint32_t pfn = frame_get(), again;
	struct child *c = spawn_on(hold_reader, pfn, 0, SPAWN_SPACE | SPAWN_WAIT);
	uint32_t space = c->space, span = SYSTEM->frames / AEGIS_HOLD_SPAN + 1;

	/* The child has pages for the spans that its image and block lie in, perhaps not this. */
	hold_page = frame_get();
	*batch_frames() = (struct aegis_frame_rec){hold_page, 1024};
	check_is(aegis_mem_table(CAP, space, BATCH, 1), AEGIS_BAD_ARG);
	*batch_frames() = (struct aegis_frame_rec){hold_page, span};
	check_is(aegis_mem_table(CAP, space, BATCH, 1), 1);
	again = frame_get();
	*batch_frames() = (struct aegis_frame_rec){again, span};
	check_is(aegis_mem_table(CAP, space, BATCH, 1), AEGIS_IN_USE);
	frame_put(again);
	check_is(frame_free(hold_page), AEGIS_NOT_HELD);
	check_is(frame_bind(CAP, hold_page, AEGIS_READ), AEGIS_DENIED); /* another space's */
	child_end(c);
	frame_put(pfn);
}

static uint32_t holds_supplied;

/* A bare space: nothing is held before its pages are there. */
TEST(mem_hold_page)
{
	uint32_t pfn = frame_get(), span = pfn / AEGIS_HOLD_SPAN, pfns[3];
	struct child *c;
	status st;

	frames_get(pfns, 3);
	for (uint32_t i = 0; i < 3; i++)
		batch_frames()[i] = (struct aegis_frame_rec){pfns[i], 0};
	st = aegis_space_create(CAP, BATCH, 0);
	require(st > 0);
	check_is(frame_share(CAP, (uint32_t)st, pfn, AEGIS_READ), AEGIS_NEED_TABLE);
	hold_page = frame_get();
	*batch_frames() = (struct aegis_frame_rec){hold_page, span};
	check_is(aegis_mem_table(CAP, (uint32_t)st, BATCH, 1), 1);
	check_is(frame_share(CAP, (uint32_t)st, pfn, AEGIS_READ), 1);
	check_is(space_end(CAP, (uint32_t)st), AEGIS_OK);
	holds_supplied = 0;
	/* In a child, whose pages were supplied by bind(): its own view of one. */
	c = spawn_on(hold_reader, pfn, 0, SPAWN_SPACE | SPAWN_WAIT);
	st = frame_share(CAP, c->space, pfn, AEGIS_READ);
	if (st == AEGIS_NEED_TABLE) {
		hold_page = frame_get();
		*batch_frames() = (struct aegis_frame_rec){hold_page, span};
		check_is(aegis_mem_table(CAP, c->space, BATCH, 1), 1);
		check_is(frame_share(CAP, c->space, pfn, AEGIS_READ), 1);
		require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
		child_join(c);
	} else {
		child_end(c);
	}
	frame_put(pfn);
}

/* ---- marks, guards, the public pages ---- */

TEST(mem_mark)
{
	uint32_t pfn = frame_get(), pins = 0, pfns[AEGIS_PINNED_MAX + 1];

	check_is(frame_mark(pfn, AEGIS_FRAME_DROPPABLE), 1);
	check_is(frame_mark(pfn, 0), 1);
	check_is(frame_mark(pfn, 4), AEGIS_BAD_ARG);
	check_is(frame_mark(boot_page->system_frame, AEGIS_FRAME_PIN), AEGIS_NOT_HELD);
	check_is(frame_mark(0xfffffff, AEGIS_FRAME_PIN), AEGIS_NOT_HELD);
	while (pins <= AEGIS_PINNED_MAX) {
		pfns[pins] = frame_get();
		if (frame_mark(pfns[pins], AEGIS_FRAME_PIN) != 1)
			break;
		pins++;
	}
	check(pins > 100 && pins <= AEGIS_PINNED_MAX);
	check_is(frame_mark(pfns[pins], AEGIS_FRAME_PIN), AEGIS_LIMIT);
	check_is(frame_mark(pfns[0], 0), 1);
	check_is(frame_mark(pfns[pins], AEGIS_FRAME_PIN), 1);
	frames_put(pfns, pins + 1);
	frame_put(pfn);
}

static int64_t
public_reader(uint64_t counters)
{
	uint32_t space = self()->space;

	/* They may lie where this space records nothing yet: IN_USE says that it does. */
	hold_supply(space, boot_page->system_frame / AEGIS_HOLD_SPAN);
	hold_supply(space, SYSTEM->free_map_frame / AEGIS_HOLD_SPAN);
	check_is(frame_bind(AEGIS_SELF, boot_page->system_frame, AEGIS_READ), 1);
	check_is(frame_bind(AEGIS_SELF, SYSTEM->free_map_frame, AEGIS_READ), 1);
	check_is(frame_bind(AEGIS_SELF, (uint32_t)counters, AEGIS_READ), AEGIS_DENIED);
	check_is(frame_bind(AEGIS_SELF, boot_page->env_frame, AEGIS_READ), AEGIS_DENIED);
	check_is(frame_bind(AEGIS_SELF, boot_page->archive_frame, AEGIS_READ), AEGIS_DENIED);
	check_is(frame_bind(AEGIS_SELF, SYSTEM->free_map_frame, AEGIS_READ | AEGIS_WRITE),
		 AEGIS_DENIED);
	check_is(bind(space, TEST_VA, SYSTEM->free_map_frame, RO), 1);
	check_is(bind(space, TEST_VA, SYSTEM->free_map_frame, RW), AEGIS_NOT_HELD);
	check_is(bind(space, TEST_VA, SYSTEM->free_map_frame, RX), AEGIS_DENIED);
	check_is(env_page(self())->env, self()->env);
	check_is(env_page(self())->size, sizeof(struct aegis_env_page));
	check_is(probe_write((uint64_t)env_page(self()), 1), AEGIS_CAUSE_PAGE);
	return 0;
}

TEST(mem_public)
{
	child_join(spawn_on(public_reader, SYSTEM->counter_frame, 0, SPAWN_SPACE));
	/* The root opens the counters, for reading only. */
	check_is(frame_bind(CAP, SYSTEM->counter_frame, AEGIS_READ | AEGIS_WRITE), AEGIS_DENIED);
	check_is(frame_bind(CAP, SYSTEM->counter_frame, AEGIS_READ), 1);
	frame_put(SYSTEM->counter_frame);
}

/* Kernel memory has no holder: objects, tables, the kernel's image, what is no memory. */
TEST(mem_kernel)
{
	uint32_t pfn, table = (uint32_t)(*aegis_window_large(TEST_VA) >> 12);

	check(table != 0);
	check_is(frame_bind(CAP, table, AEGIS_READ), AEGIS_DENIED);
	check_is(bind(self()->space, TEST_VA, table, RO), AEGIS_NOT_HELD);
	for (pfn = 0x200; pfn < 0x220; pfn++) { /* where the kernel was loaded */
		check(frame_bind(CAP, pfn, AEGIS_READ) < 0);
		check(frame_bind(CAP, pfn, AEGIS_READ | AEGIS_WRITE) < 0);
	}
	check_is(frame_bind(CAP, 0xfee00, AEGIS_READ | AEGIS_WRITE), AEGIS_NO_SUCH);
	check_is(frame_bind(CAP, 0xfec00, AEGIS_READ | AEGIS_WRITE), AEGIS_NO_SUCH);
	check_is(frame_bind(CAP, SYSTEM->frames, AEGIS_READ), AEGIS_NO_SUCH);
	check_is(frame_bind(CAP, 0xffffffff, AEGIS_READ), AEGIS_NO_SUCH);
}

/* The same frame bound so often, and no more. */
TEST(mem_bind_max)
{
	uint32_t pfn = frame_get(), n = 0, space = self()->space;

	while (n < 40 && bind(space, TEST_VA + n * PAGE, pfn, RO) == 1)
		n++;
	check_is(n, AEGIS_BIND_MAX);
	check_is(bind(space, TEST_VA + n * PAGE, pfn, RO), AEGIS_LIMIT);
	unbind(space, TEST_VA, n);
	frame_put(pfn);
}
