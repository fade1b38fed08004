/* SPDX-License-Identifier: MIT */
/* Physical frames: allocation by number and any, cleared between owners, exposed, given back. */
#include "guest.h"

#define MAP_VA (TEST_VA + 0x3000000)

static uint64_t
word_at(uint64_t va)
{
	return *(const volatile uint64_t *)va;
}

static void
map_bind(void)
{
	for (uint32_t i = 0; i < SYSTEM->free_map_pages; i++) {
		require_is(frame_bind(AEGIS_SELF, SYSTEM->free_map_frame + i, AEGIS_READ), 1);
		require_is(bind(self()->space, MAP_VA + i * PAGE, SYSTEM->free_map_frame + i, RO),
			   1);
	}
}

static void
map_unbind(void)
{
	unbind(self()->space, MAP_VA, SYSTEM->free_map_pages);
	for (uint32_t i = 0; i < SYSTEM->free_map_pages; i++)
		frame_put(SYSTEM->free_map_frame + i);
}

static bool
map_free(uint32_t pfn)
{
	return word_at(MAP_VA + pfn / 64 * 8) >> pfn % 64 & 1;
}

TEST(mem_alloc)
{
	uint32_t a, b, free = SYSTEM->free_frames;

	require_is(frame_alloc(CAP, AEGIS_ANY, &a), 1);
	check_is(SYSTEM->free_frames, free - 1);
	check_is(frame_alloc(CAP, a, &b), AEGIS_IN_USE);
	check_is(frame_alloc(CAP, SYSTEM->frames, &b), AEGIS_NO_SUCH);
	check_is(frame_alloc(CAP, 0xfffffffe, &b), AEGIS_NO_SUCH);
	frame_put(a);
	check_is(SYSTEM->free_frames, free);
	check_is(frame_alloc(CAP, a, &b), 1);
	check_is(a, b);
	frame_put(b);
	check_is(frame_free(b), AEGIS_NOT_HELD);
	check_is(frame_free(SYSTEM->frames), AEGIS_NOT_HELD);
	check_is(frame_free(0xffffffff), AEGIS_NOT_HELD);
	check_is(aegis_mem_alloc(CAP, BATCH, 1, 8), AEGIS_BAD_ARG);
	check_is(aegis_mem_alloc(CAP, BATCH + 4, 1, 0), AEGIS_BAD_ARG);
	check_is(aegis_mem_alloc(CAP, AEGIS_AREA_PAGES * PAGE - 8, 2, 0), AEGIS_BAD_ARG);
	check_is(aegis_mem_alloc(CAP, 0xfffffff8, 2, 0), AEGIS_BAD_ARG);
	check_is(aegis_mem_alloc(CAP, BATCH, 0xffffffff, 0), AEGIS_BAD_ARG);
	check_is(aegis_mem_alloc(AEGIS_SELF, BATCH, 1, 0), AEGIS_BAD_CAP);
}

TEST(mem_free_map)
{
	uint32_t pfns[8];

	map_bind();
	frames_get(pfns, 8);
	for (uint32_t i = 0; i < 8; i++)
		check(!map_free(pfns[i]));
	for (uint32_t i = 0; i < 8; i++) {
		frame_put(pfns[i]);
		check(map_free(pfns[i]));
	}
	for (uint32_t pfn = SYSTEM->frames - 64; pfn > 64; pfn -= 61) {
		if (map_free(pfn)) {
			check_is(frame_alloc(CAP, pfn, &pfns[0]), 1);
			check_is(pfns[0], pfn);
			check(!map_free(pfn));
			frame_put(pfn);
			break;
		}
	}
	map_unbind();
}

/* A batch of more than one call does, with the rest left for the next. */
TEST(mem_batch)
{
	struct aegis_frame_rec *r = batch_frames();
	uint32_t done = 0, n = 300;
	status st;

	for (uint32_t i = 0; i < n; i++)
		r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	while (done < n) {
		st = aegis_mem_alloc(CAP, BATCH + done * 8, n - done, 0);
		require(st > 0 && st <= n - done);
		done += (uint32_t)st;
	}
	for (uint32_t i = 1; i < n; i++)
		check(r[i].pfn != r[i - 1].pfn && r[i].pfn < SYSTEM->frames);
	/* One at fault in the middle: those before it are done, and it names the error then. */
	r[n] = r[10];
	r[10].pfn = 0xfffffff0;
	check_is(aegis_mem_free(BATCH, 100), 10);
	check_is(aegis_mem_free(BATCH + 80, 90), AEGIS_NOT_HELD);
	r[10] = r[n];
	for (done = 10; done < n; done += (uint32_t)st) {
		st = aegis_mem_free(BATCH + done * 8, n - done);
		require(st > 0);
	}
}

TEST(mem_clear)
{
	uint32_t space = self()->space, pfn;

	for (uint32_t i = 0; i < 20; i++) {
		require_is(frame_alloc(CAP, AEGIS_ANY, &pfn), 1);
		require_is(bind(space, TEST_VA, pfn, RW), 1);
		for (uint64_t at = 0; at < PAGE; at += 8) {
			if (word_at(TEST_VA + at)) {
				check_is(word_at(TEST_VA + at), 0);
				return;
			}
			*(volatile uint64_t *)(TEST_VA + at) = 0x5ec7e75ec7e75ec7ul + at;
		}
		check_is(frame_free(pfn), AEGIS_IN_USE);
		unbind(space, TEST_VA, 1);
		frame_put(pfn);
		require_is(frame_alloc(CAP, pfn, &pfn), 1);
		require_is(bind(space, TEST_VA, pfn, RW), 1);
		for (uint64_t at = 0; at < PAGE; at += 8) {
			if (word_at(TEST_VA + at)) {
				check_is(word_at(TEST_VA + at), 0);
				return;
			}
		}
		unbind(space, TEST_VA, 1);
		frame_put(pfn);
	}
}

/* The same across accounts: what one environment leaves, the other finds empty. */
static volatile uint32_t clear_pfn;

static int64_t
clear_writer(uint64_t arg)
{
	uint32_t pfn = frame_get();

	(void)arg;
	require_is(bind(self()->space, TEST_VA, pfn, RW), 1);
	for (uint64_t at = 0; at < PAGE; at += 8)
		*(volatile uint64_t *)(TEST_VA + at) = 0x5ec7e75ec7e75ec7ul;
	clear_pfn = pfn;
	return 0; /* its space goes with the frame in it */
}

TEST(mem_clear_owners)
{
	struct child *c = spawn_on(clear_writer, 0, 0, SPAWN_SPACE);
	uint32_t pfn;

	child_join(c);
	require_is(frame_alloc(CAP, clear_pfn, &pfn), 1);
	require_is(bind(self()->space, TEST_VA, pfn, RW), 1);
	for (uint64_t at = 0; at < PAGE; at += 8)
		check(word_at(TEST_VA + at) == 0);
	unbind(self()->space, TEST_VA, 1);
	frame_put(pfn);
}

TEST(mem_contiguous)
{
	struct aegis_frame_rec *r = batch_frames();
	uint32_t n = 24;

	for (uint32_t i = 0; i < n; i++)
		r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	require_is(aegis_mem_alloc(CAP, BATCH, n, AEGIS_ALLOC_CONTIGUOUS), n);
	for (uint32_t i = 1; i < n; i++)
		check_is(r[i].pfn, r[0].pfn + i);
	check_is(aegis_mem_free(BATCH, n), n);
}

/* 512 frames from a multiple of 512; the records that a call did not reach continue the run. */
uint32_t mem_large(void);
uint32_t
mem_large(void)
{
	struct aegis_frame_rec *r = batch_frames();
	uint32_t done = 0, first = 0;

	for (uint32_t i = 0; i < 512; i++)
		r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	while (done < 512) {
		status st = aegis_mem_alloc(CAP, BATCH + done * 8, 512 - done,
					    done ? 0 : AEGIS_ALLOC_LARGE);

		if (st == AEGIS_AGAIN)
			continue;
		require(st > 0);
		if (!done)
			first = r[0].pfn;
		done += (uint32_t)st;
		for (uint32_t i = done; i < 512; i++)
			r[i] = (struct aegis_frame_rec){first + i, 0};
	}
	check_is(first % 512, 0);
	for (uint32_t i = 0; i < 512; i++)
		check_is(r[i].pfn, first + i);
	return first;
}

TEST(mem_large)
{
	uint32_t first = mem_large();

	for (uint32_t i = 0; i < 512; i++)
		frame_put(first + i);
}

/* All there is, and all of it back. */
TEST(mem_exhaust)
{
	struct aegis_frame_rec *r = batch_frames();
	uint32_t taken = 0, spared = 0;
	status st;

	map_bind();
	for (;;) {
		for (uint32_t i = 0; i < 32; i++)
			r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
		st = aegis_mem_alloc(CAP, BATCH, 32, 0);
		if (st <= 0)
			break;
		taken += (uint32_t)st;
	}
	check_is(st, AEGIS_NO_MEMORY);
	check_is(SYSTEM->free_frames, 0);
	for (uint32_t i = 0; i < SYSTEM->frames / 64; i++)
		check(word_at(MAP_VA + i * 8) == 0);
	/* Which they are, only the holdings know: give back by trying what is not bound or used. */
	for (uint32_t pfn = SYSTEM->frames - 1; pfn > 0 && spared < taken; pfn--) {
		if (pfn >= boot_page->archive_frame &&
		    pfn < boot_page->archive_frame + boot_page->archive_bytes / PAGE + 1)
			continue;
		spared += frame_free(pfn) == 1;
	}
	check_is(spared, taken);
	map_unbind();
}
