/* SPDX-License-Identifier: MIT */
/*
 * What the host says.
 *
 * Every byte is untrusted.  The parser accepts only frames that a host may send; here they are
 * checked against the state: known domain, a stream that is there and open, credit.  Whatever does
 * not fit sets `failed`, and nothing is read any more.
 */
#include "priv.h"

static bool
fail(struct super *s, const char *why)
{
	if (!s->failed)
		s->failed = why;
	return false;
}

/* Into the ring.  There is room by invariant 2, unless the domain meddled with its tail. */
static void
in_put(struct stream *st, const uint8_t *bytes, size_t count)
{
	struct ring_shared *shared = st->ring.shared;

	while (count) {
		uint64_t used = st->head - __atomic_load_n(&shared->tail, __ATOMIC_ACQUIRE);
		uint32_t start = (uint32_t)st->head & (st->ring.size - 1);
		size_t run = st->ring.size - start;

		if (used >= st->ring.size)
			return;
		if (run > st->ring.size - used)
			run = st->ring.size - (uint32_t)used;
		if (run > count)
			run = count;
		memcpy(st->ring.data + start, bytes, run);
		st->head += run;
		__atomic_store_n(&shared->head, st->head, __ATOMIC_RELEASE);
		bytes += run;
		count -= run;
	}
}

static bool
data_take(struct super *s, struct domain *d, const struct channel_event *event)
{
	struct stream *st = &d->stream[0];

	if (!st->ring.shared || (st->ended && event->first))
		return fail(s, "data for a stream that is not there");
	if (event->first && !channel_spend(&st->credit, event->head.length))
		return fail(s, "more data than was asked for");
	if (event->first)
		st->coming = event->head.length;
	st->coming -= (uint32_t)event->count;
	if (st->closed || d->state != DOMAIN_RUNNING)
		return true;
	in_put(st, event->bytes, event->count);
	st->moved = true;
	return true;
}

static bool
end_take(struct super *s, struct domain *d, uint32_t error)
{
	struct stream *st = &d->stream[0];

	if (!st->ring.shared || st->ended)
		return fail(s, "the end of a stream that is not there");
	st->ended = true;
	st->moved = true;
	if (error)
		core_log("exos: the host could not read the input: error %u\n", error);
	__atomic_store_n(&st->ring.shared->write_open, 0, __ATOMIC_RELEASE);
	return true;
}

static bool
close_take(struct domain *d, uint32_t n, uint32_t error)
{
	struct stream *st = &d->stream[n];

	if (!st->ring.shared || st->closed)
		return true;
	st->closed = true;
	st->moved = true;
	st->ring.shared->write_error = error;
	__atomic_store_n(&st->ring.shared->read_open, 0, __ATOMIC_RELEASE);
	d->close_error[n] = error;
	d->tell |= TELL_CLOSE(n);
	return true;
}

static bool
signal_take(struct super *s, struct domain *d, uint32_t number)
{
	if (number < 1 || number > 64)
		return fail(s, "a signal that does not exist");
	d->signals |= 1ul << (number - 1);
	d->tell |= TELL_SIGNAL;
	return true;
}

static bool
winsize_take(struct domain *d, const uint32_t value[2])
{
	for (int i = 0; i < 4; i++)
		d->window[i] = (uint16_t)(value[i / 2] >> (i % 2 * 16));
	d->tell |= TELL_WINSIZE;
	return true;
}

static bool
frame_take(struct super *s, struct domain *d, const struct channel_event *event)
{
	uint32_t value = event->value[0];

	switch (event->head.type) {
	case CHANNEL_END:
		return end_take(s, d, value);
	case CHANNEL_CREDIT:
		if (!channel_earn(&d->stream[event->head.stream].credit, value))
			return fail(s, "too much credit");
		return true;
	case CHANNEL_CLOSE:
		return close_take(d, event->head.stream, value);
	case CHANNEL_WINSIZE:
		return winsize_take(d, event->value);
	case CHANNEL_SIGNAL:
		return signal_take(s, d, value);
	default:
		return fail(s, "a frame that it may not send");
	}
}

static bool
event_take(struct super *s, const struct channel_event *event)
{
	struct domain *d;

	if (event->what == CHANNEL_MORE)
		return true;
	if (event->what == CHANNEL_BAD)
		return fail(s, "bytes that are no frame");
	if (event->head.domain >= s->domain_count)
		return fail(s, "a domain that does not exist");
	d = &s->domain[event->head.domain];
	return event->what == CHANNEL_PIECE ? data_take(s, d, event) : frame_take(s, d, event);
}

void
super_receive(struct super *s, const uint8_t *bytes, size_t count)
{
	while (count && !s->failed) {
		struct channel_event event;
		size_t used = channel_parse(&s->parser, bytes, count, &event);

		bytes += used;
		count -= used;
		if (!event_take(s, &event))
			return;
	}
}
