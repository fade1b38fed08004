/* SPDX-License-Identifier: MIT */
/*
 * The pump: bytes from rings into frames, room and credit back.
 *
 * Output is not copied.  A DATA frame is a header in a small buffer and then the ring's own frames,
 * as far as the ring, the credit and the free slots allow; `tail` follows when the link is done
 * with them.  Data is sent as soon as there is any, except that a credit too small for what is
 * there is left to grow, for the host gives new credit long before the old one is used up.
 *
 * Input is granted to the host only when somebody has waited for it (a terminal with read-ahead: at
 * once), and then a window at a time.
 *
 * host_waits_data and host_waits_room are set while the supervisor sleeps: a process that sees one
 * not 0 kicks.  host_waits_room is the number of bytes of room from which on that is worth while.
 */
#include "priv.h"

#define SLOTS_KEPT 6u    /* for frames other than DATA */
#define ROOM_LEAST 1024u /* less credit than this is not used unless it suffices */

static uint64_t
load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

void
super_ring_open(struct stream *st, void *at, uint32_t kind)
{
	struct ring_shared *shared = at;

	st->ring = (struct ring){shared, (uint8_t *)at + RING_PAGE, RING_PAGES * RING_PAGE};
	st->kind = kind;
	shared->write_open = 1;
	shared->read_open = 1;
}

static bool
out_open(const struct stream *st)
{
	return st->ring.shared && !st->ended;
}

/* Bytes that wait to be sent.  A head that makes no sense: none. */
static uint32_t
out_ready(const struct stream *st)
{
	uint64_t head = st->ending ? st->head : load(&st->ring.shared->head);
	uint64_t n = head - st->sent;

	return n <= st->ring.size - (st->sent - st->tail) ? (uint32_t)n : 0;
}

static uint32_t
out_room(const struct stream *st)
{
	uint64_t used = load(&st->ring.shared->head) - st->tail;

	return used <= st->ring.size ? st->ring.size - (uint32_t)used : 0;
}

static void
out_tail(struct stream *st, uint64_t tail)
{
	if (out_room(st) < st->ring.size / 2)
		st->tight = true;
	st->tail = tail;
	__atomic_store_n(&st->ring.shared->tail, tail, __ATOMIC_RELEASE);
	st->moved = true;
}

void
super_sent(struct super *s, uint32_t owner, uint32_t length)
{
	struct stream *st;

	if (owner == OWNER_NONE)
		return;
	st = &s->domain[owner / CHANNEL_STREAMS].stream[owner % CHANNEL_STREAMS];
	/* Of a closed stream everything is dropped, what was posted included. */
	if (!st->closed)
		out_tail(st, st->tail + length);
}

static void
frame_send(struct super *s, const struct channel_control *frame)
{
	super_link_small(s, frame->bytes, frame->count);
}

static void
control_send(struct super *s, enum channel_type type, uint32_t domain, uint32_t stream,
	     uint32_t words, uint32_t first, uint32_t second)
{
	struct channel_control frame =
		channel_control(type, (uint8_t)domain, (uint16_t)stream, words, first, second);

	frame_send(s, &frame);
}

/* How many of `want` bytes from st->sent on fit into `slots` posts. */
static uint32_t
out_fit(const struct stream *st, uint32_t want, uint32_t slots)
{
	uint32_t most = slots * RING_PAGE - (uint32_t)(st->sent % RING_PAGE);

	return want < most ? want : most;
}

static void
out_post(struct super *s, uint32_t domain, uint32_t n, uint32_t length)
{
	struct stream *st = &s->domain[domain].stream[n];
	uint8_t head[CHANNEL_HEADER];

	channel_put_head(head, CHANNEL_DATA, (uint8_t)domain, (uint16_t)n, length);
	super_link_small(s, head, sizeof(head));
	channel_spend(&st->credit, length);
	while (length) {
		uint32_t start = (uint32_t)st->sent & (st->ring.size - 1);
		uint32_t run = RING_PAGE - start % RING_PAGE;

		if (run > length)
			run = length;
		super_link_data(s, st->frames[1 + start / RING_PAGE], st->ring.data + start, run,
				OWNER(domain, n));
		st->sent += run;
		length -= run;
	}
}

/* How many bytes of one stream can be sent now. */
static uint32_t
out_now(const struct super *s, const struct stream *st)
{
	uint32_t ready = out_ready(st), room = channel_room(st->credit);
	uint32_t slots = super_link_room(s);

	if (slots < SLOTS_KEPT + 2 || (room < ready && room < ROOM_LEAST))
		return 0;
	return out_fit(st, ready < room ? ready : room, slots - SLOTS_KEPT - 1);
}

static bool
out_send(struct super *s, uint32_t domain, uint32_t n)
{
	uint32_t length = out_now(s, &s->domain[domain].stream[n]);

	if (length)
		out_post(s, domain, n, length);
	return length != 0;
}

/* Nobody takes it: whatever is written is gone. */
static bool
out_drop(struct stream *st)
{
	uint64_t head = st->ending ? st->head : load(&st->ring.shared->head);

	if (head == st->tail)
		return false;
	st->sent = head;
	out_tail(st, head);
	return true;
}

/* Whether nothing more will come; the word is read before the ring is looked at for the last time.
 */
static bool
out_finished(const struct stream *st)
{
	return st->ending || (st->kind == HOST_PIPE &&
			      !__atomic_load_n(&st->ring.shared->write_open, __ATOMIC_ACQUIRE));
}

static bool
out_pump(struct super *s, uint32_t domain, uint32_t n)
{
	struct stream *st = &s->domain[domain].stream[n];
	bool finished, moved;

	if (!out_open(st))
		return false;
	finished = out_finished(st);
	moved = st->closed ? out_drop(st) : out_send(s, domain, n);
	if (finished && !out_ready(st) && super_link_room(s)) {
		if (!st->closed)
			control_send(s, CHANNEL_END, domain, n, 0, 0, 0);
		st->ended = true;
		return true;
	}
	return moved;
}

/* ---- input ---- */

static uint32_t
in_used(const struct stream *st)
{
	uint64_t used = st->head - load(&st->ring.shared->tail);

	return used <= st->ring.size ? (uint32_t)used : st->ring.size;
}

/* What the host may be granted now; 0: it is not worth a frame, or nobody wants it. */
static uint32_t
in_grant(const struct stream *st)
{
	uint64_t taken = (uint64_t)in_used(st) + st->coming + st->credit;
	uint32_t size = st->ring.size;

	if (st->ended || st->closed ||
	    !(st->wanted || ring_waiting(st->ring.shared->readers_waiting)))
		return 0;
	return taken <= size && size - taken >= size / 4 ? size - (uint32_t)taken : 0;
}

static bool
in_pump(struct super *s, uint32_t domain)
{
	struct stream *st = &s->domain[domain].stream[0];
	uint32_t grant;

	if (!st->ring.shared || st->closed || !super_link_room(s))
		return false;
	if (!__atomic_load_n(&st->ring.shared->read_open, __ATOMIC_ACQUIRE) &&
	    st->kind == HOST_PIPE) {
		st->closed = true;
		if (!st->ended)
			control_send(s, CHANNEL_CLOSE, domain, 0, 1, 32 /* broken pipe */, 0);
		return true;
	}
	grant = in_grant(st);
	if (!grant)
		return false;
	st->wanted = true;
	st->credit += grant;
	control_send(s, CHANNEL_CREDIT, domain, 0, 1, grant, 0);
	return true;
}

/* ---- those who wait ---- */

static void
slots_wake(const struct domain *d, uint32_t slots[RING_WAITERS])
{
	for (uint32_t i = 0; i < RING_WAITERS; i++) {
		uint32_t env;

		if (!__atomic_load_n(&slots[i], __ATOMIC_RELAXED))
			continue;
		env = __atomic_exchange_n(&slots[i], 0, __ATOMIC_ACQ_REL);
		if (env)
			super_wake(d, ring_waiter_env(env));
	}
}

static void
out_wake(struct domain *d, struct stream *st)
{
	if (!st->moved || (!st->closed && out_room(st) < st->ring.size / 4))
		return;
	st->moved = false;
	/* The tail is out before the slots are looked at, as the waiter looks the other way round.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	slots_wake(d, st->ring.shared->writers_waiting);
	if (st->kind == HOST_TTY && st->tight)
		d->tell |= TELL_ROOM;
	st->tight = false;
}

static void
in_wake(struct domain *d, struct stream *st)
{
	if (!st->moved)
		return;
	st->moved = false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	slots_wake(d, st->ring.shared->readers_waiting);
	if (st->kind == HOST_TTY || st->ended)
		d->tell |= TELL_INPUT;
}

/* ---- domains ---- */

void
super_domain_end(struct domain *d, uint32_t kind, uint32_t value)
{
	if (d->state != DOMAIN_RUNNING)
		return;
	d->state = DOMAIN_ENDING;
	d->exit_kind = kind == CHANNEL_KILLED ? CHANNEL_KILLED : CHANNEL_EXITED;
	d->exit_value = value & (kind == CHANNEL_KILLED ? 127 : 255);
	/* Programs that stay behind may go on writing: what counts was written by now. */
	for (uint32_t n = 1; n < CHANNEL_STREAMS; n++) {
		struct stream *st = &d->stream[n];

		if (!out_open(st))
			continue;
		st->head = st->sent + out_ready(st);
		st->ending = true;
	}
}

static bool
exit_send(struct super *s, struct domain *d)
{
	for (uint32_t n = 1; n < CHANNEL_STREAMS; n++) {
		if (out_open(&d->stream[n]))
			return false;
	}
	if (!super_link_room(s))
		return false;
	/* Without an EXIT the host says that the machine failed, and shows the log. */
	if (d->number || !d->broken)
		control_send(s, CHANNEL_EXIT, d->number, 0, 2, d->exit_kind, d->exit_value);
	d->state = DOMAIN_OVER;
	return true;
}

static bool
live(const struct domain *d)
{
	return d->state == DOMAIN_RUNNING || d->state == DOMAIN_ENDING;
}

static bool
domain_pump(struct super *s, struct domain *d)
{
	bool moved = false;

	if (d->state == DOMAIN_RUNNING && __atomic_load_n(&d->host->ended, __ATOMIC_ACQUIRE)) {
		super_domain_end(d, d->host->exit_kind, d->host->exit_value);
		moved = true;
	}
	if (d->state == DOMAIN_RUNNING)
		moved |= in_pump(s, d->number);
	if (d->stream[0].ring.shared)
		in_wake(d, &d->stream[0]);
	for (uint32_t n = 1; n < CHANNEL_STREAMS; n++) {
		if (d->stream[n].ring.shared)
			out_wake(d, &d->stream[n]);
	}
	return moved;
}

bool
super_pump(struct super *s)
{
	uint32_t streams = s->domain_count * CHANNEL_STREAMS;
	bool moved = false;

	for (uint32_t i = 0; i < s->domain_count; i++) {
		if (live(&s->domain[i]))
			moved |= domain_pump(s, &s->domain[i]);
	}
	for (uint32_t i = 0; i < streams; i++) {
		uint32_t at = (s->turn + i) % streams;

		if (at % CHANNEL_STREAMS && live(&s->domain[at / CHANNEL_STREAMS]))
			moved |= out_pump(s, at / CHANNEL_STREAMS, at % CHANNEL_STREAMS);
	}
	s->turn = streams ? (s->turn + 1) % streams : 0;
	for (uint32_t i = 0; i < s->domain_count; i++) {
		if (s->domain[i].state == DOMAIN_ENDING)
			moved |= exit_send(s, &s->domain[i]);
	}
	return moved;
}

/* ---- going to sleep ---- */

static void
word_set(uint32_t *word, uint32_t value)
{
	if (__atomic_load_n(word, __ATOMIC_RELAXED) != value)
		__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* Room from which on a reader is to kick, 0: the host has enough to go on with. */
static uint32_t
in_threshold(const struct stream *st)
{
	uint32_t taken;

	if (st->ended || st->closed)
		return 0;
	if (!st->wanted)
		return 1;
	taken = st->credit + st->coming;
	return taken > st->ring.size / 4 * 3 ? 0 : taken + st->ring.size / 4;
}

static void
domain_arm(struct domain *d)
{
	for (uint32_t n = 0; n < CHANNEL_STREAMS; n++) {
		struct stream *st = &d->stream[n];

		if (!st->ring.shared)
			continue;
		if (n == 0) {
			word_set(&st->ring.shared->host_waits_room, in_threshold(st));
			continue;
		}
		word_set(&st->ring.shared->host_waits_data, !st->ended && !out_ready(st));
	}
}

/* Whether there is something to do that came after the last look. */
static bool
domain_again(struct super *s, const struct domain *d)
{
	if (__atomic_load_n(&d->host->ended, __ATOMIC_ACQUIRE))
		return true;
	if (d->stream[0].ring.shared && in_grant(&d->stream[0]) && super_link_room(s))
		return true;
	for (uint32_t n = 1; n < CHANNEL_STREAMS; n++) {
		const struct stream *st = &d->stream[n];

		if (out_open(st) && (st->closed ? out_ready(st) : out_now(s, st)))
			return true;
	}
	return false;
}

bool
super_pump_arm(struct super *s)
{
	bool again = false;

	for (uint32_t i = 0; i < s->domain_count; i++) {
		if (s->domain[i].state == DOMAIN_RUNNING)
			domain_arm(&s->domain[i]);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < s->domain_count; i++) {
		if (s->domain[i].state == DOMAIN_RUNNING)
			again |= domain_again(s, &s->domain[i]);
	}
	return again;
}

void
super_pump_disarm(struct super *s)
{
	for (uint32_t i = 0; i < s->domain_count; i++) {
		struct domain *d = &s->domain[i];

		if (d->state != DOMAIN_RUNNING)
			continue;
		for (uint32_t n = 0; n < CHANNEL_STREAMS; n++) {
			if (!d->stream[n].ring.shared)
				continue;
			word_set(&d->stream[n].ring.shared->host_waits_room, 0);
			word_set(&d->stream[n].ring.shared->host_waits_data, 0);
		}
	}
}
