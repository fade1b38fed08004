/* SPDX-License-Identifier: MIT */
/*
 * Pipes, fifos and the standard streams: rings of bytes, moved without the kernel or the service.
 *
 * The ring and its rules are in exos/ipc/ring.h.  Here:
 *
 * 1. A write of at most LX_PIPE_BUF bytes is seen whole or not at all: the write lock is held from
 * the look at the room until head moves.
 * 2. A process sleeps only after it noted itself as a waiter and looked again.
 * 3. Whoever moved bytes wakes those noted at the other end.  If that is the host, and the
 * supervisor sleeps and waits for it, the service is asked to wake it; also when a reader was
 * noted.
 *
 * Ends are opened and closed by the service, which alone changes write_open and read_open and wakes
 * all waiters then.
 */
#include "exos/fd/priv.h"

#define ERROR_MAX 4095u

static bool
open_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

/* The supervisor is asked to look, if it sleeps and said that it waits from `n` on. */
static void
host_kick(struct file *f, uint32_t *waits, uint32_t n)
{
	uint32_t wants = f->host ? __atomic_load_n(waits, __ATOMIC_RELAXED) : 0;

	if (wants && n >= wants && __atomic_exchange_n(waits, 0, __ATOMIC_ACQ_REL))
		service(SVC_KICK, f->obj, 0, 0, 0);
}

/* After bytes were read, and after a reader was noted: the host sends only what somebody waits for.
 */
static void
host_kick_room(struct file *f)
{
	host_kick(f, &f->ring.shared->host_waits_room, ring_room(&f->ring));
}

/*
 * Sleeps until somebody at the other end makes progress.  The caller read `seen` before it looked
 * at the ring and found that it must wait; `ready` says whether that is still so.
 */
static int
ring_sleep(struct file *f, uint32_t slots[RING_WAITERS], uint32_t seen,
	   bool (*must_wait)(struct file *f, size_t need), size_t need)
{
	uint64_t deadline = AEGIS_NEVER;
	int err = 0;

	if (!waiter_note(slots))
		deadline = core_now_ns() + WAIT_SHORT_NS;
	if (must_wait(f, need)) {
		host_kick_room(f);
		err = wait_event(seen, deadline);
	}
	waiter_clear(slots);
	return err;
}

static bool
reader_must_wait(struct file *f, size_t need)
{
	(void)need;
	return !ring_used(&f->ring) && open_load(&f->ring.shared->write_open);
}

static bool
writer_must_wait(struct file *f, size_t need)
{
	return ring_room(&f->ring) < need && open_load(&f->ring.shared->read_open);
}

/* Moves what is there, at most what is left of io.  0: nothing is there; -EFAULT. */
static int64_t
ring_take(struct file *f, struct io *io)
{
	uint32_t n;
	size_t got, done = 0;
	uint8_t *at;

	while (io->left) {
		n = ring_peek(&f->ring, &at);
		if (n > io->left)
			n = (uint32_t)io->left;
		if (!n)
			break;
		got = io_put(io, at, n);
		ring_consume(&f->ring, (uint32_t)got);
		done += got;
		if (got < n)
			return done ? (int64_t)done : -EFAULT;
	}
	return (int64_t)done;
}

int64_t
pipe_read(struct file *f, struct io *io)
{
	struct ring_shared *s = f->ring.shared;
	uint32_t seen;
	int64_t got;
	int err;

	if (!io->left)
		return 0;
	for (;;) {
		seen = core_events();
		/* In this order: what was written before the last writer closed is read first. */
		bool open = open_load(&s->write_open);

		got = 0;
		if (ring_used(&f->ring)) {
			ring_lock(&s->read_lock);
			got = ring_take(f, io);
			ring_unlock(&s->read_lock);
		}
		if (got > 0) {
			waiters_wake(s->writers_waiting);
			host_kick_room(f);
		}
		if (got || !open)
			return got;
		if (file_flags(f) & LX_O_NONBLOCK)
			return -EAGAIN;
		err = ring_sleep(f, s->readers_waiting, seen, reader_must_wait, 0);
		if (err)
			return err;
	}
}

/*
 * Writes what there is room for; a whole of `atomic` bytes or nothing if that is not 0.
 * head moves once, at the end.  0: no room; -EFAULT.
 */
static int64_t
ring_give(struct file *f, struct io *io, size_t atomic)
{
	uint32_t mask = f->ring.size - 1, room = ring_room(&f->ring), done = 0, start, n;
	uint32_t head = (uint32_t)__atomic_load_n(&f->ring.shared->head, __ATOMIC_RELAXED);
	size_t got;

	if (room < atomic)
		return 0;
	if (room > io->left)
		room = (uint32_t)io->left;
	while (done < room) {
		start = (head + done) & mask;
		n = room - done < f->ring.size - start ? room - done : f->ring.size - start;
		got = io_get(io, f->ring.data + start, n);
		done += (uint32_t)got;
		if (got < n)
			break;
	}
	ring_produce(&f->ring, done);
	return done < room && !done ? -EFAULT : (int64_t)done;
}

static int64_t
write_refused(struct file *f)
{
	uint32_t error =
		f->host ? __atomic_load_n(&f->ring.shared->write_error, __ATOMIC_RELAXED) : 0;

	if (error && error != EPIPE && error <= ERROR_MAX)
		return -(int64_t)error;
	signal_raise_self(LX_SIGPIPE);
	return -EPIPE;
}

int64_t
pipe_write(struct file *f, struct io *io)
{
	struct ring_shared *s = f->ring.shared;
	size_t done = 0, atomic = io->left <= LX_PIPE_BUF ? io->left : 0;
	uint32_t seen;
	int64_t got = 0;

	while (io->left) {
		seen = core_events();
		if (!open_load(&s->read_open)) {
			got = write_refused(f);
			break;
		}
		ring_lock(&s->write_lock);
		got = ring_give(f, io, atomic);
		ring_unlock(&s->write_lock);
		if (got > 0) {
			done += (size_t)got;
			waiters_wake(s->readers_waiting);
			host_kick(f, &s->host_waits_data, UINT32_MAX);
			continue;
		}
		if (!got && (file_flags(f) & LX_O_NONBLOCK))
			got = -EAGAIN;
		if (!got)
			got = ring_sleep(f, s->writers_waiting, seen, writer_must_wait,
					 atomic ? atomic : 1);
		if (got)
			break;
	}
	return done || !io->left ? (int64_t)done : got;
}

uint32_t
pipe_poll(struct file *f, bool note)
{
	struct ring_shared *s = f->ring.shared;
	uint32_t bits = 0;

	if (file_readable(f)) {
		if (note && !waiter_note(s->readers_waiting))
			bits |= FILE_POLL_FULL;
		if (!open_load(&s->write_open))
			bits |= LX_POLLHUP;
		if (note && !bits && !ring_used(&f->ring))
			host_kick_room(f);
		if (ring_used(&f->ring))
			bits |= LX_POLLIN | LX_POLLRDNORM;
	}
	if (file_writable(f)) {
		if (note && !waiter_note(s->writers_waiting))
			bits |= FILE_POLL_FULL;
		if (!open_load(&s->read_open))
			bits |= LX_POLLERR;
		if (ring_room(&f->ring) >= LX_PIPE_BUF)
			bits |= LX_POLLOUT | LX_POLLWRNORM;
	}
	return bits;
}

void
pipe_poll_done(struct file *f)
{
	if (file_readable(f))
		waiter_clear(f->ring.shared->readers_waiting);
	if (file_writable(f))
		waiter_clear(f->ring.shared->writers_waiting);
}
