/* SPDX-License-Identifier: MIT */
/*
 * What the supervisor stands between in its tests: a host that checks every byte against the channel's rules and
 * grants credit at random, and domains whose writers and readers move random amounts, and are only woken, and
 * only wake the supervisor, as the protocol says.
 */
#ifndef TEST_HOST_SUPER_CASE_H
#define TEST_HOST_SUPER_CASE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exos/super/priv.h"

static int test_count, test_failures;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static void
check(bool good, const char *name)
{
	test_count++;
	test_failures += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, name);
	fflush(stdout);
}

static uint32_t
random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % limit;
}

/* The byte at a place of a stream. */
static uint8_t
pattern(uint32_t stream, uint64_t at)
{
	uint64_t x = (at + 1) * 0x9e3779b97f4a7c15 + stream * 77;

	return (uint8_t)(x >> 32);
}

#define DOMAINS    2u
#define WRITER_ENV 100u /* + stream */
#define READER_ENV 200u

struct flow { /* one stream, as its two ends see it */
	uint64_t total, put, got;
	uint32_t window, credit; /* host's grant, for output */
	uint32_t owed;
	bool ended, asleep, closed;
};

static struct super *s;
static uint8_t *ring_at[DOMAINS][CHANNEL_STREAMS];
static struct host_page pages[DOMAINS];
static struct flow flow[DOMAINS][CHANNEL_STREAMS];
static struct channel_parser host_parser;
static uint32_t exits[DOMAINS], exit_value[DOMAINS];
static bool host_bad, supervisor_asleep;
static uint32_t events; /* of the supervisor */
static uint32_t busy_left, told[SVC_OPS];
static uint8_t small[LINK_SLOTS][LINK_SMALL];

static void
supervisor_wake(void)
{
	events++;
	supervisor_asleep = false;
}

/* ---- what the supervisor stands on ---- */

void
core_log(const char *fmt, ...)
{
	(void)fmt;
}

int64_t
super_call(struct super *super, struct domain *d, struct svc *call)
{
	(void)super;
	(void)d;
	if (busy_left) {
		busy_left--;
		return -11;
	}
	assert(call->op > 0 && call->op < SVC_OPS);
	told[call->op]++;
	return 0;
}

void
super_wake(const struct domain *d, uint32_t env)
{
	if (env >= WRITER_ENV && env < WRITER_ENV + CHANNEL_STREAMS)
		flow[d->number][env - WRITER_ENV].asleep = false;
	else if (env == READER_ENV)
		flow[d->number][0].asleep = false;
}

uint32_t
super_link_room(const struct super *super)
{
	return LINK_SLOTS - (super->link.posted - super->link.done);
}

static void
post(struct super *super, const uint8_t *at, uint32_t length, uint32_t owner)
{
	struct link *l = &super->link;

	assert(super_link_room(super) > 0 && length > 0);
	l->posts[l->posted++ % LINK_SLOTS] = (struct post){at, length, owner};
}

void
super_link_small(struct super *super, const uint8_t *bytes, uint32_t count)
{
	uint8_t *at = small[super->link.posted % LINK_SLOTS];

	assert(count <= LINK_SMALL);
	memcpy(at, bytes, count);
	post(super, at, count, OWNER_NONE);
}

void
super_link_data(struct super *super, uint32_t pfn, const uint8_t *at, uint32_t length,
		uint32_t owner)
{
	uint32_t d = owner / CHANNEL_STREAMS, n = owner % CHANNEL_STREAMS;
	size_t offset = (size_t)(at - ring_at[d][n]) - RING_PAGE;

	/* Within one page, and the frame is that page's. */
	assert(offset / RING_PAGE == (offset + length - 1) / RING_PAGE);
	assert(offset + length <= RING_PAGES * RING_PAGE);
	assert(pfn == super->domain[d].stream[n].frames[1 + offset / RING_PAGE]);
	post(super, at, length, owner);
}

/* ---- the host ---- */

static void
host_event(const struct channel_event *e)
{
	struct flow *f;

	if (e->what == CHANNEL_MORE)
		return;
	if (e->what == CHANNEL_BAD || e->head.domain >= DOMAINS || exits[e->head.domain]) {
		host_bad = true;
		return;
	}
	f = &flow[e->head.domain][e->head.stream];
	switch (e->head.type) {
	case CHANNEL_DATA:
		if (e->first) {
			host_bad |= f->ended || !channel_spend(&f->credit, e->head.length);
			f->owed += CHANNEL_OVERHEAD;
		}
		for (size_t i = 0; i < e->count && !f->closed; i++)
			host_bad |= e->bytes[i] != pattern(e->head.stream, f->got + i);
		f->got += e->count;
		f->owed += (uint32_t)e->count;
		break;
	case CHANNEL_END:
		host_bad |= f->ended;
		f->ended = true;
		break;
	case CHANNEL_CREDIT:
		host_bad |= !channel_earn(&f->credit, e->value[0]);
		break;
	case CHANNEL_CLOSE:
		f->closed = true;
		break;
	case CHANNEL_EXIT:
		exits[e->head.domain]++;
		exit_value[e->head.domain] = e->value[1];
		break;
	default:
		host_bad |= e->head.type != CHANNEL_HELLO;
	}
}

static void
host_take(const uint8_t *bytes, size_t count)
{
	while (count) {
		struct channel_event event;
		size_t used = channel_parse(&host_parser, bytes, count, &event);

		host_event(&event);
		if (event.what == CHANNEL_BAD)
			return;
		bytes += used;
		count -= used;
	}
}

/* Bytes on their way to the supervisor. */
static uint8_t way[1 << 20];
static size_t way_count;

static void
way_some(size_t most)
{
	size_t n = way_count < most ? way_count : most;

	if (!n)
		return;
	super_receive(s, way, n);
	way_count -= n;
	memmove(way, way + n, way_count);
	supervisor_wake();
}

static void
way_all(void)
{
	while (way_count)
		way_some(1 + random_below(9000));
}

static void
host_say(const uint8_t *bytes, size_t count)
{
	if (count > sizeof(way) - way_count)
		way_all();
	memcpy(way + way_count, bytes, count);
	way_count += count;
}

static void
host_control(enum channel_type type, uint32_t domain, uint32_t stream, uint32_t words, uint32_t a,
	     uint32_t b)
{
	struct channel_control c =
		channel_control(type, (uint8_t)domain, (uint16_t)stream, words, a, b);

	host_say(c.bytes, c.count);
}

static void
host_grant(void)
{
	for (uint32_t d = 0; d < DOMAINS; d++) {
		for (uint32_t n = 1; n < 3; n++) {
			struct flow *f = &flow[d][n];

			if (f->owed < f->window / 4 || f->closed || random_below(3))
				continue;
			f->credit += f->owed;
			host_control(CHANNEL_CREDIT, d, n, 1, f->owed, 0);
			f->owed = 0;
		}
	}
}

static void
host_input(uint32_t d)
{
	static uint8_t frame[CHANNEL_HEADER + CHANNEL_DATA_MAX];
	struct flow *f = &flow[d][0];
	uint32_t room = channel_room(f->credit), n;

	if (f->closed || f->ended || random_below(2))
		return;
	if (f->put == f->total) {
		f->ended = true;
		host_control(CHANNEL_END, d, 0, 0, 0, 0);
		return;
	}
	if (!room)
		return;
	n = 1 + random_below(room);
	if (n > f->total - f->put)
		n = (uint32_t)(f->total - f->put);
	for (uint32_t i = 0; i < n; i++)
		frame[CHANNEL_HEADER + i] = pattern(0, f->put + i);
	channel_put_head(frame, CHANNEL_DATA, (uint8_t)d, 0, n);
	channel_spend(&f->credit, n);
	f->put += n;
	host_say(frame, CHANNEL_HEADER + n);
}

/* The link completes some posts. */
static void
link_some(void)
{
	struct link *l = &s->link;
	uint32_t n = l->posted - l->done, i;

	if (!n || !random_below(4))
		return;
	n = 1 + random_below(n);
	for (i = 0; i < n; i++) {
		struct post p = l->posts[l->done % LINK_SLOTS];

		host_take(p.at, p.length);
		l->done++;
		super_sent(s, p.owner, p.length);
	}
	supervisor_wake();
}

/* ---- the domain ---- */

static struct ring
ring_of(uint32_t d, uint32_t n)
{
	return (struct ring){(struct ring_shared *)ring_at[d][n], ring_at[d][n] + RING_PAGE,
			     RING_PAGES * RING_PAGE};
}

static void
kick(uint32_t *word, uint32_t enough)
{
	uint32_t want = __atomic_load_n(word, __ATOMIC_RELAXED);

	if (want && enough >= want) {
		*word = 0;
		supervisor_wake();
	}
}

static void
writer_step(uint32_t d, uint32_t n)
{
	struct ring r = ring_of(d, n);
	struct flow *f = &flow[d][n];
	uint32_t room, done = 0, want = 1 + random_below(random_below(2) ? 100 : 70000);
	uint8_t *at;

	if (f->asleep || !r.shared->read_open)
		return;
	if (f->put == f->total) {
		if (r.shared->write_open && n == 2) {
			r.shared->write_open = 0;
			supervisor_wake(); /* the service kicks */
		}
		return;
	}
	while (done < want && f->put < f->total && (room = ring_space(&r, &at)) > 0) {
		if (room > want - done)
			room = want - done;
		if (room > f->total - f->put)
			room = (uint32_t)(f->total - f->put);
		for (uint32_t i = 0; i < room; i++)
			at[i] = pattern(n, f->put + i);
		ring_produce(&r, room);
		f->put += room;
		done += room;
	}
	if (done) {
		kick(&r.shared->host_waits_data, UINT32_MAX);
		return;
	}
	r.shared->writers_waiting[random_below(RING_WAITERS)] = WRITER_ENV + n;
	f->asleep = ring_room(&r) == 0;
}

static void
reader_step(uint32_t d)
{
	struct ring r = ring_of(d, 0);
	struct flow *f = &flow[d][0];
	uint32_t n, want = 1 + random_below(random_below(2) ? 50 : 70000), done = 0;
	uint8_t *at;

	if (f->asleep)
		return;
	while (done < want && (n = ring_peek(&r, &at)) > 0) {
		if (n > want - done)
			n = want - done;
		for (uint32_t i = 0; i < n; i++)
			host_bad |= at[i] != pattern(0, f->got + i);
		ring_consume(&r, n);
		f->got += n;
		done += n;
	}
	if (done) {
		kick(&r.shared->host_waits_room, ring_room(&r));
		return;
	}
	if (!r.shared->write_open)
		return;
	r.shared->readers_waiting[random_below(RING_WAITERS)] = READER_ENV;
	kick(&r.shared->host_waits_room, UINT32_MAX);
	f->asleep = ring_used(&r) == 0;
}

#endif
