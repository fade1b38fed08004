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
	uint64_t tail __attribute__((aligned(64))); /* bytes ever read */
	uint32_t read_lock;
	uint32_t read_open;
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

static inline bool
exos_ring_lock(const struct exos_pipe *p, uint32_t *lock)
{
	uint32_t none = 0;

	return __atomic_compare_exchange_n(lock, &none, p->env, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void
exos_ring_unlock(uint32_t *lock, uint32_t *waiters)
{
	typedef uint64_t __attribute__((may_alias)) pair;
	const volatile pair *pairs = (const void *)waiters;

	uint64_t first, others;

	__atomic_exchange_n(lock, 0, __ATOMIC_SEQ_CST);
	first = pairs[0];
	others = first >> 32 | pairs[1] | pairs[2] | pairs[3];
	if (!(first | others))
		return;
	if (!others) {
		exos_wake_soon((uint32_t)first);
		return;
	}
	for (uint32_t i = 0; i < EXOS_PIPE_WAITERS; i++)
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
	uint64_t head, used;
	uint32_t start;

	if (n > EXOS_PIPE_BUF || !__atomic_load_n(&r->read_open, __ATOMIC_ACQUIRE) ||
	    !exos_ring_lock(p, &r->write_lock))
		return 0;
	head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
	used = head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
	start = (uint32_t)head & (p->bytes - 1);
	if (used > p->bytes - n || n > p->bytes - start) {
		exos_ring_unlock(&r->write_lock, r->readers_waiting);
		return 0;
	}
	exos_pipe_copy(p->data + start, from, n);
	__atomic_store_n(&r->head, head + n, __ATOMIC_RELEASE);
	exos_ring_unlock(&r->write_lock, r->readers_waiting);
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
	uint64_t tail, used;
	uint32_t start;

	if (exos_pipe_empty(r) || !exos_ring_lock(p, &r->read_lock))
		return 0;
	tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
	used = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - tail;
	start = (uint32_t)tail & (p->bytes - 1);
	n = used < n ? (uint32_t)used : n;
	if (used - 1 >= p->bytes || n > p->bytes - start) {
		exos_ring_unlock(&r->read_lock, r->writers_waiting);
		return 0;
	}
	exos_pipe_copy(to, p->data + start, n);
	__atomic_store_n(&r->tail, tail + n, __ATOMIC_RELEASE);
	exos_ring_unlock(&r->read_lock, r->writers_waiting);
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
