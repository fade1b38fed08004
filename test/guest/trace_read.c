/* SPDX-License-Identifier: MIT */
/* Counters and trace are read by name, without a call; names are read with one. */
#include "guest.h"

#define COUNTERS TEST_VA
#define RING     (TEST_VA + 0x100000)

static bool
name_of(uint32_t kind, uint32_t n, char *to)
{
	status st = aegis_counter_name(kind, n, SPARE);

	memcpy(to, spare(), 32);
	return st == AEGIS_OK;
}

static uint32_t
number_of(uint32_t kind, const char *name)
{
	char text[32];

	for (uint32_t n = 0; name_of(kind, n, text); n++) {
		if (text_is(text, name))
			return n;
	}
	check(!"no such counter");
	return 0;
}

static void
pages_bind(uint64_t va, uint32_t frame, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		require_is(frame_bind(CAP, frame + i, AEGIS_READ), 1);
		require_is(bind(self()->space, va + i * PAGE, frame + i, RO), 1);
	}
}

static void
pages_unbind(uint64_t va, uint32_t frame, uint32_t n)
{
	unbind(self()->space, va, n);
	for (uint32_t i = 0; i < n; i++)
		frame_put(frame + i);
}

static uint64_t
count(uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < SYSTEM->cpus; cpu++)
		sum += ((const volatile uint64_t *)(COUNTERS + cpu * PAGE))[n];
	return sum;
}

TEST(trace_counters)
{
	uint32_t allocated, exceptions, pfn, names = 0;
	uint64_t before;
	char text[32];

	while (name_of(0, names, text))
		names++;
	check(names > 10 && names < 512);
	check_is(aegis_counter_name(0, names, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_counter_name(0, 0xffffffff, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_counter_name(2, 0, SPARE), AEGIS_BAD_ARG);
	check_is(aegis_counter_name(0, 0, AEGIS_AREA_PAGES * PAGE - 8), AEGIS_BAD_ARG);
	allocated = number_of(0, "frames_allocated");
	exceptions = number_of(0, "exceptions");
	pages_bind(COUNTERS, SYSTEM->counter_frame, SYSTEM->cpus);
	before = count(allocated);
	pfn = frame_get();
	check_is(count(allocated), before + 1);
	frame_put(pfn);
	before = count(exceptions);
	probe_read(0);
	check_is(count(exceptions), before + 1);
	check_is(probe_write(COUNTERS, 0), AEGIS_CAUSE_PAGE);
	pages_unbind(COUNTERS, SYSTEM->counter_frame, SYSTEM->cpus);
}

TEST(trace_ring)
{
	const volatile struct aegis_trace_ring *ring =
		(const volatile struct aegis_trace_ring *)RING;
	uint32_t event = number_of(1, "exception"), found = 0;
	uint64_t head;

	pages_bind(RING, SYSTEM->trace_frame, SYSTEM->trace_pages);
	check(ring->slots > 100);
	head = ring->head;
	for (uint32_t i = 0; i < 5; i++)
		probe_read(0x10 * i);
	check(ring->head >= head + 5);
	for (uint64_t i = head; i < ring->head; i++) {
		const volatile struct aegis_trace_rec *r = &ring->rec[i % ring->slots];

		if (r->event == event && r->env == self()->env && r->a == AEGIS_CAUSE_PAGE) {
			check(r->tsc <= tsc());
			found++;
		}
	}
	check_is(found, 5);
	pages_unbind(RING, SYSTEM->trace_frame, SYSTEM->trace_pages);
}

/* The environment's own page counts its calls, as of the last time it was begun. */
TEST(trace_entries)
{
	const volatile struct aegis_env_page *page = env_page(self());
	uint32_t before;

	guest_yield(AEGIS_ANY);
	before = page->entries;
	for (uint32_t i = 0; i < 1000; i++)
		aegis_null();
	guest_yield(AEGIS_ANY);
	check(page->entries - before >= 1001);
	check(page->entries - before < 1100);
}
