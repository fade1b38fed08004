/* SPDX-License-Identifier: MIT */
/*
 * The pipe's own code, in the program: reading and writing a pipe without a call of any kind while there is
 * something to read or room to write.
 *
 * A pipe is a ring of bytes in pages that exactly the processes at its ends have mapped; exos_pipe_map tells
 * where they are for a descriptor.  The functions below follow the same rules as the library behind read(2)
 * and write(2), so the other end may be any program.  Everybody at a pipe may scribble on its pages: what is
 * read there is checked before it is used, and the worst is nonsense in the bytes.
 *
 * They do what is common: one piece, at most EXOS_PIPE_BUF bytes, a ring between two processes.  Whatever
 * else is the case they answer 0, and read(2) or write(2) does the rest.
 */
#ifndef EXOS_PIPE_H
#define EXOS_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ipc.h"

#define EXOS_PIPE_WAITERS 8u
#define EXOS_PIPE_BUF     4096u

/* The first page; every word is shared and untrusted. */
struct exos_ring {
	uint64_t head __attribute__((aligned(64))); /* bytes ever written */
	uint32_t write_lock;                        /* environment that writes, 0: none */
	uint32_t write_open;
	uint32_t write_error;
	uint32_t write_alone; /* 1: nobody else writes, and there are readers: no lock is needed */
	uint64_t tail __attribute__((aligned(64))); /* bytes ever read */
	uint32_t read_lock;
	uint32_t read_open;
	uint32_t read_alone;
	uint32_t readers_waiting[EXOS_PIPE_WAITERS] __attribute__((aligned(64)));
	uint32_t writers_waiting[EXOS_PIPE_WAITERS];
};

struct exos_pipe {
	uint32_t size;  /* in: sizeof(struct exos_pipe) */
	uint32_t bytes; /* of data: a power of two */
	struct exos_ring *ring;
	uint8_t *data;
	uint32_t env, waiter; /* what this process writes into locks, and into waiters' slots */
};

/* Where the pipe of descriptor `fd` is, for as long as it is open in this process (not in a child: ask again
 * there).  0; -EBADF, -EFAULT, -EINVAL: no pipe between processes. */
int64_t exos_pipe_map(int fd, struct exos_pipe *pipe);

/* The waiter whose word this is will be woken, at once or when this process leaves the processor. */
void exos_wake_soon(uint32_t waiter);

/* Leaves the processor to who is to be woken soon; if that is nobody, sleeps until the event count differs from
 * `seen`.  0. */
int64_t exos_hand(uint32_t seen);

/* This process may work at an end: it is alone there, or has the lock.  NULL, or the lock to give up. */
static inline bool
exos_ring_enter(const struct exos_pipe *p, const uint32_t *alone, uint32_t *lock, uint32_t **taken)
{
	uint32_t none = 0;

	*taken = NULL;
	if (__atomic_load_n(alone, __ATOMIC_ACQUIRE) == 1)
		return true;
	*taken = lock;
	return __atomic_compare_exchange_n(lock, &none, p->env, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void
exos_ring_leave(uint32_t *taken)
{
	if (taken)
		__atomic_store_n(taken, 0, __ATOMIC_RELEASE);
}

/* After an exchange of head or tail, which is the barrier.  Mostly one waits, in the first slot. */
static inline void
exos_ring_wake(uint32_t *waiters)
{
	typedef uint64_t __attribute__((may_alias)) pair;
	uint64_t first = *(const volatile pair *)waiters;

	if (!first)
		return;
	exos_wake_soon((uint32_t)first);
	for (uint32_t i = 2; first >> 32 && i < EXOS_PIPE_WAITERS; i++)
		if (waiters[i])
			exos_wake_soon(waiters[i]);
}

/* memcpy; few bytes without a call. */
static inline void
exos_pipe_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint64_t head, tail;

	if (n == 1) {
		*to = *from;
	} else if (n - 8 <= 8) {
		memcpy(&head, from, 8);
		memcpy(&tail, from + n - 8, 8);
		memcpy(to, &head, 8);
		memcpy(to + n - 8, &tail, 8);
	} else {
		memcpy(to, from, n);
	}
}

/* All n bytes, or 0. */
static inline int64_t
exos_pipe_write(const struct exos_pipe *p, const void *from, uint32_t n)
{
	struct exos_ring *r = p->ring;
	uint32_t start, *taken;
	uint64_t head, used;
	bool fits;

	if (n > EXOS_PIPE_BUF || !__atomic_load_n(&r->read_open, __ATOMIC_ACQUIRE) ||
	    !exos_ring_enter(p, &r->write_alone, &r->write_lock, &taken))
		return 0;
	head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
	used = head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
	start = (uint32_t)head & (p->bytes - 1);
	fits = used <= p->bytes - n && n <= p->bytes - start;
	if (fits) {
		exos_pipe_copy(p->data + start, from, n);
		__atomic_exchange_n(&r->head, head + n, __ATOMIC_SEQ_CST);
	}
	exos_ring_leave(taken);
	if (!fits)
		return 0;
	exos_ring_wake(r->readers_waiting);
	return n;
}

static inline bool
exos_pipe_empty(const struct exos_ring *r)
{
	return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
}

/* What is there, at most n bytes; 0: nothing, or not in one piece. */
static inline int64_t
exos_pipe_take(const struct exos_pipe *p, void *to, uint32_t n)
{
	struct exos_ring *r = p->ring;
	uint32_t start, *taken;
	uint64_t tail, used;
	bool whole;

	if (!exos_ring_enter(p, &r->read_alone, &r->read_lock, &taken))
		return 0;
	tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
	used = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - tail;
	start = (uint32_t)tail & (p->bytes - 1);
	n = used < n ? (uint32_t)used : n;
	whole = used - 1 < p->bytes && n <= p->bytes - start;
	if (whole) {
		exos_pipe_copy(to, p->data + start, n);
		__atomic_exchange_n(&r->tail, tail + n, __ATOMIC_SEQ_CST);
	}
	exos_ring_leave(taken);
	if (!whole)
		return 0;
	exos_ring_wake(r->writers_waiting);
	return n;
}

/* Until there is something, or the other end is closed, or a signal came.  False: others wait here, too. */
static inline bool
exos_pipe_wait(const struct exos_pipe *p)
{
	struct exos_ring *r = p->ring;
	uint32_t seen = exos_events(), none = 0, me = p->waiter;

	if (!__atomic_compare_exchange_n(&r->readers_waiting[0], &none, me, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	/* A hand-over may come back with nothing: the second time it sleeps. */
	for (int i = 0; i < 2; i++) {
		if (!exos_pipe_empty(r) || !__atomic_load_n(&r->write_open, __ATOMIC_ACQUIRE))
			break;
		exos_hand(seen);
	}
	__atomic_compare_exchange_n(&r->readers_waiting[0], &me, 0, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	return true;
}

/* The same, after a wait if need be; 0: the other end is closed, a signal came, or not in one piece. */
static inline int64_t
exos_pipe_read(const struct exos_pipe *p, void *to, uint32_t n)
{
	if (exos_pipe_empty(p->ring) && !exos_pipe_wait(p))
		return 0;
	return exos_pipe_take(p, to, n);
}

#endif
