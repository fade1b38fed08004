/* SPDX-License-Identifier: MIT */
/* Frames: allocation in all its forms, who sees what they had, charges, giving back. */
#include "host.h"

static struct env *first;

static uint32_t
free_now(void)
{
	return system_page->free_frames;
}

static bool
frame_zero(uint32_t pfn)
{
	const uint8_t *p = machine_frame(pfn);

	for (uint32_t i = 0; i < PAGE; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static status
alloc(struct aegis_frame_rec *r, uint32_t n, uint32_t flags)
{
	status st;

	host_put_frames(r, n);
	st = sys_mem_alloc(0, HOST_RECORDS, n, flags);
	host_get_frames(r, n);
	return st;
}

static bool
test_any(void)
{
	uint32_t before = free_now(), pfn = host_alloc(0), next = host_alloc(0);

	EXPECT(pfn && frames[pfn].kind == FRAME_USER);
	EXPECT(next == pfn + 1); /* together, at the bottom */
	EXPECT(free_now() == before - 2);
	EXPECT(host_free(pfn) == 1 && host_free(next) == 1);
	EXPECT(host_free(pfn) == AEGIS_NOT_HELD);
	EXPECT(free_now() == before);
	return host_sound();
}

static const uint64_t at = HOST_AREA + 0x10000;

/* Whether pfn reads as zeros where it is bound; leaves it full of ones, and free. */
static bool
seen_zero(uint32_t pfn)
{
	uint32_t own = first->space->number;
	bool zero;

	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, AEGIS_BIND_READ) == 1);
	zero = frame_zero(pfn);
	memset(machine_frame(pfn), 0xff, PAGE);
	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, AEGIS_BIND_READ) == 1 && !frame_zero(pfn));
	EXPECT(host_delete(AEGIS_SELF, own, at, 1, 0) == 1 && host_free(pfn) == 1);
	return zero;
}

/* What is left in a frame is seen by nobody, except under the same name by who asks for it. */
static bool
test_content(void)
{
	uint32_t pfn = host_alloc(0);
	struct aegis_frame_rec r = {pfn, 0};

	EXPECT(seen_zero(pfn));
	EXPECT(host_alloc(0) == pfn && seen_zero(pfn));
	EXPECT(alloc(&r, 1, AEGIS_ALLOC_USED) == 1 && !seen_zero(pfn));
	/* Another name, though the same environment has both. */
	EXPECT(sys_cap_derive(0, AEGIS_ALLOC | AEGIS_READ, 9) == AEGIS_OK);
	host_put_frames(&r, 1);
	EXPECT(sys_mem_alloc(9, HOST_RECORDS, 1, AEGIS_ALLOC_USED) == 1 && seen_zero(pfn));
	host_put_frames(&r, 1);
	EXPECT(sys_mem_alloc(9, HOST_RECORDS, 1, AEGIS_ALLOC_USED) == 1 && !seen_zero(pfn));
	EXPECT(sys_cap_drop(9) == AEGIS_OK);
	/* What one may not read one may not find. */
	EXPECT(sys_cap_derive(0, AEGIS_ALLOC, 9) == AEGIS_OK);
	host_put_frames(&r, 1);
	EXPECT(sys_mem_alloc(9, HOST_RECORDS, 1, AEGIS_ALLOC_USED) == AEGIS_DENIED);
	EXPECT(sys_cap_drop(9) == AEGIS_OK);
	/* A frame that its owner has not looked at is still the one before's. */
	EXPECT(host_alloc(0) == pfn && host_free(pfn) == 1);
	EXPECT(alloc(&r, 1, AEGIS_ALLOC_USED) == 1 && seen_zero(pfn));
	return host_sound();
}

static bool
test_named(void)
{
	struct aegis_frame_rec r[2] = {{777, 0}, {777, 0}};

	EXPECT(alloc(r, 2, 0) == 1);
	EXPECT(alloc(r, 1, 0) == AEGIS_IN_USE);
	r[0].pfn = 6; /* reserved */
	EXPECT(alloc(r, 1, 0) == AEGIS_IN_USE);
	r[0].pfn = 0;
	EXPECT(alloc(r, 1, 0) == AEGIS_NO_SUCH);
	r[0].pfn = HOST_FRAMES;
	EXPECT(alloc(r, 1, 0) == AEGIS_NO_SUCH);
	r[0].pfn = 0xfffffffe;
	EXPECT(alloc(r, 1, 0) == AEGIS_NO_SUCH);
	EXPECT(host_free(777) == 1);
	return host_sound();
}

static bool
test_batch(void)
{
	struct aegis_frame_rec r[200];
	uint32_t before = free_now(), done = 0;
	uint64_t clears = host_clears;

	for (int i = 0; i < 200; i++)
		r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	while (done < 200) {
		status st = alloc(r + done, 200 - done, 0);

		EXPECT(st > 0 && st <= 64);
		done += (uint32_t)st;
	}
	EXPECT(free_now() == before - 200 && host_clears <= clears + 200);
	for (uint32_t i = 0; i < 200; i++)
		EXPECT(frames[r[i].pfn].kind == FRAME_USER);
	for (done = 0; done < 200;) {
		host_put_frames(r + done, 200 - done);
		done += (uint32_t)sys_mem_free(HOST_RECORDS, 200 - done);
	}
	EXPECT(free_now() == before);
	return host_sound();
}

static bool
test_runs(void)
{
	static struct aegis_frame_rec r[512];
	uint32_t before = free_now(), done, hole = host_alloc(0);
	status st;

	for (int i = 0; i < 512; i++)
		r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	for (done = 0; done < 512; done += (uint32_t)st) {
		st = alloc(r + done, 512 - done, AEGIS_ALLOC_LARGE);
		EXPECT(st > 0);
	}
	EXPECT(r[0].pfn % 512 == 0);
	for (uint32_t i = 0; i < 512; i++)
		EXPECT(r[i].pfn == r[0].pfn + i);
	for (done = 0; done < 512;) {
		host_put_frames(r + done, 512 - done);
		done += (uint32_t)sys_mem_free(HOST_RECORDS, 512 - done);
	}
	for (int i = 0; i < 40; i++)
		r[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	EXPECT(alloc(r, 20, AEGIS_ALLOC_CONTIGUOUS) == 20);
	EXPECT(r[19].pfn == r[0].pfn + 19);
	host_put_frames(r, 20);
	EXPECT(sys_mem_free(HOST_RECORDS, 20) == 20 && host_free(hole) == 1);
	EXPECT(free_now() == before);
	return host_sound();
}

/* Nothing is free in a row: runs fail, single frames do not. */
static bool
test_scattered(void)
{
	static uint32_t kept[HOST_FRAMES];
	struct aegis_frame_rec r[2] = {{AEGIS_ANY, 0}, {AEGIS_ANY, 0}};
	uint32_t n = 0, before = free_now();

	while (alloc(r, 1, 0) == 1) {
		kept[n++] = r[0].pfn;
		r[0].pfn = AEGIS_ANY;
	}
	EXPECT(free_now() == 0 && n == before);
	r[0].pfn = AEGIS_ANY;
	EXPECT(alloc(r, 1, 0) == AEGIS_NO_MEMORY);
	for (uint32_t i = 0; i < n; i++) {
		if (kept[i] % 2 == 0)
			EXPECT(host_free(kept[i]) == 1);
	}
	r[0].flags = 0;
	EXPECT(alloc(r, 2, AEGIS_ALLOC_CONTIGUOUS) == AEGIS_NO_MEMORY);
	EXPECT(host_sound());
	for (uint32_t i = 0; i < n; i++) {
		if (kept[i] % 2)
			EXPECT(host_free(kept[i]) == 1);
	}
	EXPECT(free_now() == before);
	return host_sound();
}

static bool
test_bad(void)
{
	struct aegis_frame_rec r = {AEGIS_ANY, 0};

	host_put_frames(&r, 1);
	EXPECT(sys_mem_alloc(0, HOST_RECORDS + 4, 1, 0) == AEGIS_BAD_ARG);
	EXPECT(sys_mem_alloc(0, HOST_RECORDS, 1, 8) == AEGIS_BAD_ARG);
	EXPECT(sys_mem_alloc(1, HOST_RECORDS, 1, 0) == AEGIS_BAD_CAP);
	EXPECT(sys_mem_alloc(64, HOST_RECORDS, 1, 0) == AEGIS_BAD_CAP);
	EXPECT(sys_mem_alloc(0, AEGIS_AREA_PAGES * PAGE - 8, 2, 0) == AEGIS_BAD_ARG);
	EXPECT(sys_mem_alloc(0, 0xfffffff8, 1, 0) == AEGIS_BAD_ARG);
	EXPECT(sys_mem_alloc(0, HOST_RECORDS, 0xffffffff, 0) == AEGIS_BAD_ARG);
	EXPECT(sys_mem_alloc(0, HOST_RECORDS, 0, 0) == 0);
	EXPECT(sys_mem_free(0xfffffff8, 1) == AEGIS_BAD_ARG);
	EXPECT(host_free(HOST_FRAMES + 5) == AEGIS_NOT_HELD);
	EXPECT(host_free(0xffffffff) == AEGIS_NOT_HELD);
	EXPECT(host_free(current()->area[0]) == AEGIS_IN_USE);
	return host_sound();
}

static bool
test_guard(void)
{
	struct aegis_frame_rec r = {host_alloc(0), 0};

	EXPECT(sys_cap_derive(0, AEGIS_ALL, 1) == 0);
	EXPECT(sys_cap_derive(1, AEGIS_READ, 2) == 0);
	host_put_frames(&r, 1);
	EXPECT(sys_mem_guard(1, 2, HOST_RECORDS, 1) ==
	       AEGIS_DENIED); /* 1 does not dominate the root */
	EXPECT(sys_mem_guard(0, 1, HOST_RECORDS, 1) == 1);
	EXPECT(frames[r.pfn].guard == current()->caps[1].node);
	EXPECT(sys_mem_guard(2, 0, HOST_RECORDS, 1) == AEGIS_DENIED);
	EXPECT(sys_mem_guard(0, 3, HOST_RECORDS, 1) == AEGIS_BAD_CAP);
	EXPECT(host_sound());
	EXPECT(sys_cap_drop(1) == 0 && sys_cap_drop(2) == 0);
	EXPECT(nodes[frames[r.pfn].guard].parent == NODE_ROOT); /* the name lives on */
	EXPECT(host_free(r.pfn) == 1);
	return host_sound();
}

int
main(void)
{
	host_boot(HOST_FRAMES, 2);
	first = current();
	host_ok(host_sound(), "sound after boot");
	host_ok(test_any(), "any frame");
	host_ok(test_content(), "what a frame had");
	host_ok(test_named(), "a frame by number");
	host_ok(test_batch(), "batches");
	host_ok(test_runs(), "contiguous and large runs");
	host_ok(test_scattered(), "all of memory, and every second frame of it");
	host_ok(test_bad(), "bad arguments");
	host_ok(test_guard(), "guards");
	return host_done();
}
