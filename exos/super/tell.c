/* SPDX-License-Identifier: MIT */
/*
 * What the services must hear: input, room, and what the host said about terminals and signals.
 *
 * A service that is busy is asked again soon; nothing here waits for one, so that no domain can
 * hold up another.  What is to be told is kept as bits: telling twice is telling once.
 */
#include "priv.h"

/* False: busy, or gone; the bit stays, or does not matter any more. */
static bool
tell_one(struct super *s, struct domain *d, struct svc *call, uint32_t bit)
{
	d->tell &= ~bit;
	if (super_call(s, d, call) != -11 /* EAGAIN */)
		return true;
	d->tell |= bit;
	return false;
}

static bool
tell_window(struct super *s, struct domain *d)
{
	struct svc call = {SVC_HOST_WINSIZE, d->window[0], d->window[1],
			   d->window[2],     d->window[3], 0};

	return tell_one(s, d, &call, TELL_WINSIZE);
}

static bool
tell_signals(struct super *s, struct domain *d)
{
	while (d->signals) {
		uint64_t signal = (uint64_t)__builtin_ctzl(d->signals) + 1;
		struct svc call = {SVC_HOST_SIGNAL, signal, 0, 0, 0, 0};

		if (!tell_one(s, d, &call, TELL_SIGNAL))
			return false;
		d->signals &= d->signals - 1;
	}
	d->tell &= ~TELL_SIGNAL;
	return true;
}

static bool
tell_closed(struct super *s, struct domain *d)
{
	for (uint32_t n = 1; n < CHANNEL_STREAMS; n++) {
		struct svc call = {SVC_HOST_CLOSE, n, d->close_error[n], 0, 0, 0};

		if ((d->tell & TELL_CLOSE(n)) && !tell_one(s, d, &call, TELL_CLOSE(n)))
			return false;
	}
	return true;
}

static bool
tell_plain(struct super *s, struct domain *d, uint32_t bit, int64_t op)
{
	struct svc call = {op, 0, 0, 0, 0, 0};

	return !(d->tell & bit) || tell_one(s, d, &call, bit);
}

static bool
domain_tell(struct super *s, struct domain *d)
{
	return (!(d->tell & TELL_WINSIZE) || tell_window(s, d)) &&
	       tell_plain(s, d, TELL_INPUT, SVC_HOST_INPUT) &&
	       tell_plain(s, d, TELL_ROOM, SVC_HOST_ROOM) && tell_closed(s, d) &&
	       (!(d->tell & TELL_SIGNAL) || tell_signals(s, d));
}

bool
super_tell(struct super *s)
{
	bool busy = false;

	for (uint32_t i = 0; i < s->domain_count; i++) {
		struct domain *d = &s->domain[i];

		if (d->state == DOMAIN_RUNNING && d->tell)
			busy |= !domain_tell(s, d);
	}
	return busy;
}
