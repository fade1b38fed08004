/* SPDX-License-Identifier: MIT */
/* The host channel: claimed once, posted by its owner from its own frames, completed in order. */
#include "guest.h"

static volatile uint32_t posted;

static int64_t
sender(uint64_t arg)
{
	uint32_t pfn = frame_get(), first, events = env_page(self())->events;
	const volatile struct aegis_chan_page *page;
	status st;

	(void)arg;
	require_is(aegis_chan_claim(CAP), AEGIS_OK);
	check_is(aegis_chan_claim(CAP), AEGIS_IN_USE);
	require_is(frame_bind(CAP, SYSTEM->chan_frame, AEGIS_READ), 1);
	require_is(bind(self()->space, TEST_VA, SYSTEM->chan_frame, RO), 1);
	page = (const volatile struct aegis_chan_page *)TEST_VA;
	check_is(page->size, sizeof(*page));
	check_is(aegis_chan_post(2, pfn, 0, 1), AEGIS_BAD_ARG);
	check_is(aegis_chan_post(1, pfn, 0, 0), AEGIS_BAD_ARG);
	check_is(aegis_chan_post(1, pfn, PAGE, 1), AEGIS_BAD_ARG);
	check_is(aegis_chan_post(1, pfn, 1, PAGE), AEGIS_BAD_ARG);
	check_is(aegis_chan_post(1, pfn, 0xfffffff0, 0x20), AEGIS_BAD_ARG);
	check_is(aegis_chan_post(1, 0xfffff, 0, 1), AEGIS_NOT_HELD);
	check_is(aegis_chan_post(1, 0xffffffff, 0, 1), AEGIS_NOT_HELD);
	check_is(aegis_chan_post(0, SYSTEM->chan_frame, 0, 1), AEGIS_NOT_HELD);
	first = page->done[1];
	for (uint32_t i = 0; i < 100; i++) {
		uint64_t end = tsc() + ticks(1000000000);

		while ((st = aegis_chan_post(1, pfn, 0, 64)) == AEGIS_BUSY && tsc() < end)
			guest_sleep(tsc() + ticks(1000000), 0);
		if (st != (status)(first + i))
			check_is(st, first + i);
	}
	for (uint32_t i = 0; i < 500 && page->done[1] != first + 100; i++)
		guest_sleep(tsc() + ticks(1000000), 0);
	check_is(page->done[1], first + 100);
	check(env_page(self())->events != events);
	posted = 1;
	/* A buffer that nobody fills stays the device's, whatever becomes of its owner. */
	st = aegis_chan_post(0, pfn, 0, PAGE);
	check(st >= 0);
	return 0;
}

TEST(chan_post)
{
	struct child *c;

	if (!SYSTEM->chan_frame) {
		check_is(aegis_chan_claim(CAP), AEGIS_NO_SUCH);
		skip("no channel");
	}
	posted = 0;
	check_is(aegis_chan_post(1, boot_page->archive_frame, 0, 1), AEGIS_NOT_HELD);
	c = spawn_on(sender, 0, SYSTEM->cpus - 1, SPAWN_SPACE);
	child_join(c);
	check_is(posted, 1);
	lost_frames = 1; /* the device's for good: nobody resets it */
}
