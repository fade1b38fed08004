/* SPDX-License-Identifier: MIT */
/*
 * The link over the kernel's host channel.
 *
 * Owns: the claim, LINK_BUFFERS pages that wait for the host's bytes, the binding of the channel
 * page. The page of post k of queue 0 is buffer k % LINK_BUFFERS, because pages are taken and
 * posted again in order.  Nothing is copied on the way out.
 */
#include "../core/priv.h"
#include "priv.h"

static int
buffer_post(struct super *s, uint32_t i)
{
	int64_t st = aegis_chan_post(0, s->link.buffer_frames[i], 0, AEGIS_PAGE);

	return st < 0 ? core_error(st) : 0;
}

int
super_chan_open(struct super *s)
{
	struct link *l = &s->link;
	uint32_t page = SYSPAGE->chan_frame;
	int64_t st = aegis_chan_claim(EXOS_CAP_OWN);
	int err;

	if (st < 0)
		return core_error(st);
	err = core_hold(EXOS_CAP_OWN, &page, 1, AEGIS_READ);
	if (!err)
		err = core_frames_alloc(EXOS_CAP_OWN, l->buffer_frames, LINK_BUFFERS);
	if (err)
		return err;
	l->page = core_arena_map(&page, 1, AEGIS_BIND_READ);
	l->buffers =
		core_arena_map(l->buffer_frames, LINK_BUFFERS, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!l->page || !l->buffers)
		return -12;
	for (uint32_t i = 0; i < LINK_BUFFERS && !err; i++)
		err = buffer_post(s, i);
	return err;
}

void
super_chan_put(struct super *s, uint32_t pfn, uint32_t offset, uint32_t length)
{
	if (aegis_chan_post(1, pfn, offset, length) < 0 && !s->failed)
		s->failed = "the channel refused a buffer";
}

static bool
buffers_take(struct super *s)
{
	struct link *l = &s->link;
	uint32_t first = l->received;

	while (l->received != __atomic_load_n(&l->page->done[0], __ATOMIC_ACQUIRE) && !s->failed) {
		uint32_t i = l->received % LINK_BUFFERS;
		uint32_t length = l->page->length[0][l->received % AEGIS_CHAN_SLOTS];

		super_receive(s, l->buffers + i * AEGIS_PAGE,
			      length < AEGIS_PAGE ? length : AEGIS_PAGE);
		l->received++;
		if (buffer_post(s, i) && !s->failed)
			s->failed = "the channel refused a buffer for input";
	}
	return l->received != first;
}

bool
super_chan_poll(struct super *s)
{
	struct link *l = &s->link;
	bool moved = false;

	while (l->done != l->posted &&
	       l->done != __atomic_load_n(&l->page->done[1], __ATOMIC_ACQUIRE)) {
		super_link_done(s);
		moved = true;
	}
	return buffers_take(s) || moved;
}
