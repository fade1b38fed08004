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
#include "exos/core/control_asm.h"
#include "exos/fd/priv.h"

#define ERROR_MAX 4095u

static bool
open_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

/* The supervisor is asked to look, if it sleeps and said that it waits from `n` on. */
static void
host_ask(struct file *f, uint32_t *waits, uint32_t n)
{
	uint32_t wants = __atomic_load_n(waits, __ATOMIC_RELAXED);

	if (wants && n >= wants && __atomic_exchange_n(waits, 0, __ATOMIC_ACQ_REL))
		service(SVC_KICK, f->obj, 0, 0, 0);
}

/* After bytes were read, and after a reader was noted: the host sends only what somebody waits for.
 */
static void
host_kick_room(struct file *f)
{
	if (f->host)
		host_ask(f, &f->ring.shared->host_waits_room, ring_room(&f->ring));
}

static inline bool
must_wait(struct file *f, bool reader, size_t need)
{
	if (reader)
		return !ring_used(&f->ring) && open_load(&f->ring.shared->write_open);
	return ring_room(&f->ring) < need && open_load(&f->ring.shared->read_open);
}

/*
 * Waits until somebody at the other end makes progress, or for no longer than a turn of whoever is to be
 * woken soon.  The caller read `seen` before it looked at the ring and found that it must wait.
 */
static inline int
ring_wait(struct file *f, bool reader, uint32_t seen, size_t need)
{
	struct ring_shared *s = f->ring.shared;
	uint32_t *slots = reader ? s->readers_waiting : s->writers_waiting;
	bool noted = waiter_note(slots);
	int err = 0;

	if (must_wait(f, reader, need)) {
		host_kick_room(f);
		err = wait_event(seen, noted ? AEGIS_NEVER : core_now_ns() + WAIT_SHORT_NS, noted);
	}
	waiter_clear(slots);
	return err;
}

/*
 * Moves what is there, at most what is left of io; tail moves once, at the end.  0: nothing is there;
 * -EFAULT.
 */
static inline int64_t
ring_take(struct file *f, struct io *io)
{
	struct ring_shared *s = f->ring.shared;
	uint64_t tail = __atomic_load_n(&s->tail, __ATOMIC_RELAXED);
	uint64_t there = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE) - tail;
	uint32_t size = f->ring.size, n = there <= size ? (uint32_t)there : 0, done = 0, start, k;
	size_t got;

	if (n > io->left)
		n = (uint32_t)io->left;
	while (done < n) {
		start = (uint32_t)(tail + done) & (size - 1);
		k = n - done < size - start ? n - done : size - start;
		got = io_put_run(io, f->ring.data + start, k);
		done += (uint32_t)got;
		if (got < k)
			break;
	}
	__atomic_store_n(&s->tail, tail + done, __ATOMIC_RELEASE);
	return done < n && !done ? -EFAULT : (int64_t)done;
}

static bool
ring_empty(const struct ring_shared *s)
{
	return __atomic_load_n(&s->head, __ATOMIC_RELAXED) ==
	       __atomic_load_n(&s->tail, __ATOMIC_RELAXED);
}

/*
 * The common transfer, straight through: the ring is between processes, the bytes lie in one piece, and
 * nobody else is at this end of it.  LEAF_NOT: it is another.
 */
__attribute__((noinline)) static int64_t
run_take(const struct ring *ring, uint64_t at, size_t n)
{
	struct ring_shared *s = ring->shared;
	uint32_t start, none = 0;
	uint64_t tail, there;
	bool moved;

	if (!__atomic_compare_exchange_n(&s->read_lock, &none, control()->env, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return LEAF_NOT;
	tail = __atomic_load_n(&s->tail, __ATOMIC_RELAXED);
	there = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE) - tail;
	start = (uint32_t)tail & (ring->size - 1);
	n = there < n ? there : n;
	moved = there - 1 < ring->size && n <= ring->size - start &&
		leaf_put(at, ring->data + start, n);
	if (moved)
		__atomic_store_n(&s->tail, tail + n, __ATOMIC_RELEASE);
	ring_unlock(&s->read_lock);
	if (!moved)
		return LEAF_NOT;
	waiters_wake(s->writers_waiting);
	return (int64_t)n;
}

/* Nothing is there, and somebody is to be woken soon: who it is may bring what is waited for. */
static inline bool
ring_turn(struct file *f)
{
	struct ring_shared *s = f->ring.shared;
	uint32_t *slot;
	bool looked;

	if (!control()->soon || !open_load(&s->write_open) || (f->flags & LX_O_NONBLOCK))
		return false;
	slot = waiter_note_first(s->readers_waiting);
	if (!slot)
		return false;
	looked = !ring_empty(s) || core_hand();
	waiter_clear_first(slot);
	return looked;
}

/* run_take and this are functions, so that each saves what it needs alone. */
__attribute__((noinline)) static int64_t
pipe_read_turn(uint64_t fd, uint64_t at, uint64_t n, struct file *f)
{
	return ring_turn(f) ? pipe_read_leaf(fd, at, n, f) : LEAF_NOT;
}

int64_t
pipe_read_leaf(uint64_t fd, uint64_t at, uint64_t n, struct file *f)
{
	if (!n)
		return LEAF_NOT;
	if (ring_empty(f->ring.shared))
		return pipe_read_turn(fd, at, n, f);
	return run_take(&f->ring, at, n);
}

int64_t
pipe_write_leaf(uint64_t fd, uint64_t at, uint64_t n, struct file *f)
{
	struct ring_shared *s = f->ring.shared;
	uint32_t size = f->ring.size, start, none = 0;
	uint64_t head, there;
	bool moved;

	(void)fd;
	if (n - 1 >= LX_PIPE_BUF || !open_load(&s->read_open) ||
	    !__atomic_compare_exchange_n(&s->write_lock, &none, control()->env, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return LEAF_NOT;
	head = __atomic_load_n(&s->head, __ATOMIC_RELAXED);
	there = head - __atomic_load_n(&s->tail, __ATOMIC_ACQUIRE);
	start = (uint32_t)head & (size - 1);
	moved = there <= size - n && n <= size - start && leaf_get(f->ring.data + start, at, n);
	if (moved)
		__atomic_store_n(&s->head, head + n, __ATOMIC_RELEASE);
	ring_unlock(&s->write_lock);
	if (!moved)
		return LEAF_NOT;
	waiters_wake(s->readers_waiting);
	return (int64_t)n;
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
		if (!ring_empty(s)) {
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
		err = ring_wait(f, true, seen, 0);
		if (err)
			return err;
	}
}

/*
 * Writes what there is room for; a whole of `atomic` bytes or nothing if that is not 0.
 * head moves once, at the end.  0: no room; -EFAULT.
 */
static inline int64_t
ring_give(struct file *f, struct io *io, size_t atomic)
{
	struct ring_shared *s = f->ring.shared;
	uint64_t head = __atomic_load_n(&s->head, __ATOMIC_RELAXED);
	uint64_t there = head - __atomic_load_n(&s->tail, __ATOMIC_ACQUIRE);
	uint32_t size = f->ring.size, room = there <= size ? size - (uint32_t)there : 0;
	uint32_t done = 0, start, n;
	size_t got;

	if (room < atomic)
		return 0;
	if (room > io->left)
		room = (uint32_t)io->left;
	while (done < room) {
		start = (uint32_t)(head + done) & (size - 1);
		n = room - done < size - start ? room - done : size - start;
		got = io_get_run(io, f->ring.data + start, n);
		done += (uint32_t)got;
		if (got < n)
			break;
	}
	__atomic_store_n(&s->head, head + done, __ATOMIC_RELEASE);
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
			if (f->host)
				host_ask(f, &s->host_waits_data, UINT32_MAX);
			continue;
		}
		if (!got && (file_flags(f) & LX_O_NONBLOCK))
			got = -EAGAIN;
		if (!got)
			got = ring_wait(f, false, seen, atomic ? atomic : 1);
		if (got)
			break;
	}
	return done || !io->left ? (int64_t)done : got;
}

int
file_ring(const struct file *f, void **shared, void **data, uint32_t *bytes)
{
	if (!file_is_pipe(f) || f->host)
		return -EINVAL;
	*shared = f->ring.shared;
	*data = f->ring.data;
	*bytes = f->ring.size;
	return 0;
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
