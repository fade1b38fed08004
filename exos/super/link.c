/* SPDX-License-Identifier: MIT */
/*
 * The link to the host: an ordered queue of posts out, bytes in.
 *
 * A post is a run of bytes that lies still until the link is done with it: in a small buffer of its
 * slot, or in a ring.  Two links serve it, the kernel's host channel (chan.c) and a serial port
 * driven from here (serial.c).
 */
#include "../core/priv.h"
#include "priv.h"

uint32_t
super_link_room(const struct super *s)
{
	return LINK_SLOTS - (s->link.posted - s->link.done);
}

static void
post(struct super *s, uint32_t pfn, const uint8_t *at, uint32_t length, uint32_t owner)
{
	struct link *l = &s->link;

	l->posts[l->posted % LINK_SLOTS] = (struct post){at, length, owner};
	l->posted++;
	if (l->kind == LINK_CHAN)
		super_chan_put(s, pfn, (uint32_t)((uint64_t)at % AEGIS_PAGE), length);
	else
		super_serial_put(s);
}

void
super_link_small(struct super *s, const uint8_t *bytes, uint32_t count)
{
	uint8_t *at = s->link.small + s->link.posted % LINK_SLOTS * LINK_SMALL;

	memcpy(at, bytes, count);
	post(s, s->link.small_frame, at, count, OWNER_NONE);
}

void
super_link_data(struct super *s, uint32_t pfn, const uint8_t *at, uint32_t length, uint32_t owner)
{
	post(s, pfn, at, length, owner);
}

void
super_link_done(struct super *s)
{
	struct post done = s->link.posts[s->link.done % LINK_SLOTS];

	s->link.done++;
	super_sent(s, done.owner, done.length);
}

bool
super_link_poll(struct super *s)
{
	return s->link.kind == LINK_CHAN ? super_chan_poll(s) : super_serial_poll(s);
}

static int
small_open(struct link *l)
{
	int err = core_frames_alloc(EXOS_CAP_OWN, &l->small_frame, 1);

	_Static_assert(LINK_SLOTS * LINK_SMALL <= AEGIS_PAGE, "one page");
	if (err)
		return err;
	l->small = core_arena_map(&l->small_frame, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	return l->small ? 0 : -1;
}

int
super_link_open(struct super *s)
{
	int err = small_open(&s->link);

	if (err)
		return err;
	if (SYSPAGE->chan_frame && !super_option(s, "console=serial")) {
		s->link.kind = LINK_CHAN;
		return super_chan_open(s);
	}
	s->link.kind = LINK_SERIAL;
	return super_serial_open(s);
}
