/* SPDX-License-Identifier: MIT */
/* Spaces and holdings: creation, sharing, taking back, areas, destruction that gives back
 * everything. */
#include "host.h"

#define BASE 0x20000000ul
static struct env *first;

static status
frame_call(uint32_t pfn, uint32_t flags, char what, uint32_t space)
{
	struct aegis_frame_rec r = {pfn, flags};

	host_put_frames(&r, 1);
	switch (what) {
	case 'b':
		return sys_mem_bind(AEGIS_SELF, HOST_RECORDS, 1);
	case 'B':
		return sys_mem_bind(0, HOST_RECORDS, 1);
	case 's':
		return sys_mem_share(0, space, HOST_RECORDS, 1);
	case 'u':
		return sys_mem_unshare(0, space, HOST_RECORDS, 1);
	case 'm':
		return sys_mem_mark(HOST_RECORDS, 1);
	default:
		return sys_mem_table(0, space, HOST_RECORDS, 1);
	}
}

static bool
test_life(void)
{
	uint32_t before = system_page->free_frames;
	struct space *s = host_space(0, BASE);
	uint32_t number = s->number, pfn;

	EXPECT(host_sound());
	for (uint32_t i = 0; i < 300; i++) {
		pfn = host_alloc(0);
		EXPECT(host_bind(0, number, BASE + i * PAGE, pfn,
				 AEGIS_BIND_READ | AEGIS_BIND_WRITE) == 1);
		EXPECT(host_free(pfn) == 1); /* now only the new space holds it */
	}
	EXPECT(host_sound());
	EXPECT(sys_space_destroy(AEGIS_SELF, number) == AEGIS_BAD_CAP);
	EXPECT(sys_space_destroy(0, first->space->number) == AEGIS_IN_USE);
	EXPECT(sys_space_destroy(0, 0) == AEGIS_NO_SUCH &&
	       sys_space_destroy(0, 99999) == AEGIS_NO_SUCH);
	EXPECT(host_destroy(0, number) == AEGIS_OK);
	EXPECT(sys_space_destroy(0, number) == AEGIS_NO_SUCH);
	EXPECT(system_page->free_frames == before);
	return host_sound();
}

static bool
test_create_bad(void)
{
	struct aegis_frame_rec r[3];
	uint32_t before = system_page->free_frames;

	for (int i = 0; i < 3; i++)
		r[i] = (struct aegis_frame_rec){host_alloc(0), 0};
	r[2].pfn = r[0].pfn; /* twice the same */
	host_put_frames(r, 3);
	EXPECT(sys_space_create(0, HOST_RECORDS, 0) == AEGIS_NOT_HELD);
	EXPECT(sys_space_create(0, HOST_RECORDS, 2) == AEGIS_BAD_ARG);
	EXPECT(sys_space_create(7, HOST_RECORDS, 0) == AEGIS_BAD_CAP);
	EXPECT(sys_space_create(0, 8 * PAGE - 16, 0) == AEGIS_BAD_ARG);
	EXPECT(frames[r[0].pfn].kind == FRAME_USER && frames[r[1].pfn].kind == FRAME_USER);
	EXPECT(host_free(r[0].pfn) == 1 && host_free(r[1].pfn) == 1);
	EXPECT(host_free(r[1].pfn + 1) == 1); /* the third */
	EXPECT(system_page->free_frames == before);
	return host_sound();
}

static bool
test_share(void)
{
	struct space *s = host_space(0, BASE);
	uint32_t pfn = host_alloc(0), n = s->number;

	EXPECT(frame_call(pfn, AEGIS_WRITE, 's', n) == AEGIS_BAD_ARG);
	EXPECT(frame_call(pfn + 1, AEGIS_READ, 's', n) == AEGIS_NOT_HELD);
	EXPECT(frame_call(pfn, AEGIS_READ, 's', n) == 1);
	EXPECT(*_hold_find(s, pfn) == AEGIS_HOLD_READ && frames[pfn].refs == 2);
	EXPECT(frame_call(pfn, AEGIS_READ | AEGIS_WRITE, 's', n) == 1);
	EXPECT(*_hold_find(s, pfn) == HOLD_RIGHTS && frames[pfn].refs == 2);
	EXPECT(frame_call(pfn, 0, 't', n) == AEGIS_IN_USE);
	EXPECT(frame_call(pfn, 5, 't', n) == AEGIS_IN_USE); /* shared frames are not retyped */
	EXPECT(frame_call(pfn, SPANS, 't', n) == AEGIS_BAD_ARG);
	EXPECT(host_sound());
	EXPECT(frame_call(pfn, 0, 'u', n) == 1 && frames[pfn].refs == 1);
	EXPECT(frame_call(pfn, 0, 'u', n) == AEGIS_NOT_HELD);
	EXPECT(frame_call(pfn, 0, 'u', 4000) == AEGIS_NO_SUCH);
	/* Read only holders do not pass on more. */
	EXPECT(frame_call(pfn, AEGIS_READ, 's', n) == 1 && host_free(pfn) == 1);
	EXPECT(frame_call(pfn, AEGIS_READ, 'B', 0) == 1);
	EXPECT(frame_call(pfn, AEGIS_READ | AEGIS_WRITE, 's', n) == AEGIS_NOT_HELD);
	EXPECT(host_bind(0, n, BASE, pfn, AEGIS_BIND_READ | AEGIS_BIND_WRITE) == AEGIS_NOT_HELD);
	EXPECT(host_sound() && host_free(pfn) == 1 && host_destroy(0, n) == 0);
	EXPECT(frames[pfn].kind == FRAME_FREE);
	return host_sound();
}

static bool
test_bind_kinds(void)
{
	uint32_t number = first->space->number;
	uint32_t page = ((uint32_t *)machine_frame(first->space->directory))[0];
	uint32_t map = system_page->free_map_frame;

	EXPECT(frame_call(first->exposed, AEGIS_READ | AEGIS_WRITE, 'b', 0) == AEGIS_DENIED);
	EXPECT(frame_call(first->exposed, AEGIS_READ, 'b', 0) == 1);
	EXPECT(frame_call(page, AEGIS_READ, 'b', 0) == 1);
	EXPECT(frame_call(page, AEGIS_READ, 'B', 0) == AEGIS_DENIED);
	EXPECT(frame_call(map, AEGIS_READ, 'b', 0) == 1);
	EXPECT(frame_call(first->area[0], AEGIS_READ, 'b', 0) == AEGIS_DENIED);
	EXPECT(frame_call(first->space->root, AEGIS_READ, 'B', 0) == AEGIS_DENIED);
	EXPECT(frame_call(first->space->object, AEGIS_READ, 'B', 0) == AEGIS_DENIED);
	EXPECT(frame_call(6, AEGIS_READ, 'B', 0) == AEGIS_DENIED);     /* the kernel's */
	EXPECT(frame_call(3000, AEGIS_READ, 'B', 0) == AEGIS_NO_SUCH); /* free */
	EXPECT(frame_call(0xffffffff, AEGIS_READ, 'B', 0) == AEGIS_NO_SUCH);
	EXPECT(host_bind(AEGIS_SELF, number, HOST_AREA + 0x20000, page,
			 AEGIS_BIND_READ | AEGIS_BIND_WRITE) == AEGIS_NOT_HELD);
	EXPECT(host_bind(AEGIS_SELF, number, HOST_AREA + 0x20000, page,
			 AEGIS_BIND_READ | AEGIS_BIND_EXEC) == AEGIS_DENIED);
	EXPECT(host_bind(AEGIS_SELF, number, HOST_AREA + 0x20000, page, AEGIS_BIND_READ) == 1);
	EXPECT(host_bind(AEGIS_SELF, number, HOST_AREA + 0x21000, map, AEGIS_BIND_READ) == 1);
	EXPECT(host_sound());
	EXPECT(host_delete(AEGIS_SELF, number, HOST_AREA + 0x20000, 2, 0) == 1);
	EXPECT(host_free(page) == 1 && host_free(map) == 1 && host_free(first->exposed) == 1);
	return host_sound();
}

static bool
test_device(void)
{
	uint32_t number = first->space->number, pfn = HOST_FRAMES + 77;
	uint64_t va = HOST_AREA + 0x20000;
	uint32_t span = pfn / AEGIS_HOLD_SPAN, page = host_alloc(0);

	EXPECT(frame_call(pfn, AEGIS_READ, 'B', 0) == AEGIS_NEED_TABLE);
	EXPECT(frame_call(page, span, 't', number) == 1);
	EXPECT(frame_call(pfn + 1, AEGIS_READ, 'B', 0) == AEGIS_NO_SUCH);
	EXPECT(frame_call(pfn, AEGIS_READ | AEGIS_WRITE, 'b', 0) == AEGIS_BAD_CAP);
	EXPECT(frame_call(pfn, AEGIS_READ | AEGIS_WRITE, 'B', 0) == 1);
	EXPECT(host_bind(AEGIS_SELF, number, va, pfn, AEGIS_BIND_READ | AEGIS_BIND_WRITE) ==
	       AEGIS_DENIED);
	EXPECT(host_bind(AEGIS_SELF, number, va, pfn,
			 AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_UNCACHED) == 1);
	EXPECT(host_sound());
	EXPECT(frame_call(pfn, AEGIS_READ, 's', number) == AEGIS_DENIED);
	EXPECT(host_delete(AEGIS_SELF, number, va, 1, 0) == 1 && host_free(pfn) == 1);
	return host_sound();
}

static bool
test_pins(void)
{
	uint32_t pfn[AEGIS_PINNED_MAX + 1], n = first->space->number;

	for (uint32_t i = 0; i <= AEGIS_PINNED_MAX; i++)
		pfn[i] = host_alloc(0);
	/* Every page of the area allows one, and is one. */
	for (uint32_t i = 0; i < AEGIS_PINNED_MAX; i++)
		frame_call(pfn[i], AEGIS_FRAME_PIN, 'm', 0);
	while (first->space->pinned < AEGIS_PINNED_MAX + first->space->area_pins)
		EXPECT(frame_call(host_alloc(0), AEGIS_FRAME_PIN, 'm', 0) == 1);
	EXPECT(frame_call(pfn[AEGIS_PINNED_MAX], AEGIS_FRAME_PIN, 'm', 0) == AEGIS_LIMIT);
	EXPECT(host_bind(AEGIS_SELF, n, HOST_AREA + 0x20000, pfn[AEGIS_PINNED_MAX],
			 AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED) == AEGIS_LIMIT);
	lock_acquire(&first->space->lock);
	EXPECT(_space_expel(first->space, pfn[0], false) == AEGIS_IN_USE);
	lock_release(&first->space->lock);
	EXPECT(frame_call(pfn[0], AEGIS_FRAME_DROPPABLE, 'm', 0) == 1);
	EXPECT(frames[pfn[0]].flags & FRAME_DROP);
	lock_acquire(&first->space->lock);
	EXPECT(_space_expel(first->space, pfn[0], false) == AEGIS_OK);
	lock_release(&first->space->lock);
	EXPECT(frames[pfn[0]].kind == FRAME_FREE);
	EXPECT(frame_call(first->area[1], 0, 'm', 0) == AEGIS_IN_USE);
	EXPECT(host_sound());
	for (uint32_t p = 0; p < frame_count; p++) {
		uint8_t hold = *_hold_find(first->space, p);

		if (hold && !(hold & AEGIS_HOLD_COUNT) && frames[p].kind == FRAME_USER)
			EXPECT(host_free(p) == 1);
	}
	return host_sound();
}

/* An area cannot go, neither by its owner nor by force; its frames outlive their holding. */
static bool
test_area(void)
{
	struct space *s = host_space(0, BASE);
	uint32_t pfn = first->area[3];
	struct env *e;

	EXPECT(host_delete(AEGIS_SELF, first->space->number, HOST_AREA, 1, 0) == AEGIS_IN_USE);
	EXPECT(host_bind(AEGIS_SELF, first->space->number, HOST_AREA + 3 * PAGE, host_alloc(0),
			 AEGIS_BIND_READ) == AEGIS_IN_USE);
	EXPECT(host_free(pfn) == AEGIS_IN_USE);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		pfn = host_alloc(0);
		EXPECT(host_bind(0, s->number, BASE + i * PAGE, pfn,
				 AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED) == 1);
		EXPECT(host_free(pfn) == 1);
	}
	e = host_env(s, BASE, NODE_ROOT, 1);
	EXPECT(s->pinned == AEGIS_AREA_PAGES && s->area_pins == AEGIS_AREA_PAGES && host_sound());
	EXPECT(sys_space_destroy(0, s->number) == AEGIS_IN_USE);
	EXPECT(frame_call(e->area[2], 0, 'u', s->number) == 1); /* by force */
	EXPECT(frames[e->area[2]].kind == FRAME_USER && frames[e->area[2]].refs == 1);
	EXPECT(host_sound());
	host_env_end(e);
	EXPECT(host_destroy(0, s->number) == 0);
	return host_sound();
}

/* A space that another processor still has loaded is unloaded there before its frames go. */
static bool
test_loaded(void)
{
	struct space *s = host_space(0, BASE);
	uint32_t pfn = host_alloc(0);

	EXPECT(host_bind(0, s->number, BASE, pfn, AEGIS_BIND_READ) == 1);
	host_cpu = 1;
	space_load(s);
	EXPECT(machine_touch(1, BASE, false) == 0);
	host_cpu = 0;
	EXPECT(host_destroy(0, s->number) == 0);
	EXPECT(cpus[1].space == NULL && machine_touch(1, BASE, false) == 1);
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

static bool
test_numbers(void)
{
	struct space *a = host_space(0, BASE), *found;

	found = space_open(first, a->number, 0);
	EXPECT(!found);
	found = space_open(first, a->number, NODE_ROOT);
	EXPECT(found == a && a->envs == 1);
	EXPECT(sys_space_destroy(0, a->number) == AEGIS_IN_USE);
	atomic_fetch_sub(&a->envs, 1);
	EXPECT(host_destroy(0, a->number) == 0 && !space_find(0xffffffff));
	return host_sound();
}

int
main(void)
{
	uint32_t before;

	host_boot(HOST_FRAMES, 2);
	first = current();
	before = system_page->free_frames;
	host_ok(test_life(), "a space with 300 bindings comes and goes");
	host_ok(test_create_bad(), "bad creations change nothing");
	host_ok(test_share(), "sharing");
	host_ok(test_bind_kinds(), "what may be held");
	host_ok(test_loaded(), "a space loaded elsewhere");
	host_ok(test_numbers(), "numbers and counts");
	host_ok(test_device(), "device registers");
	host_ok(test_area(), "areas");
	host_ok(test_pins(), "guaranteed and droppable frames");
	host_ok(system_page->free_frames == before - 1,
		"all frames are back"); /* one holdings page */
	return host_done();
}
