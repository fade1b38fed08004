/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes shared by few: one page of struct ring_shared, then `pages` pages of data.
 *
 * Pipes, standard streams to the host, and terminal streams are rings.  Everybody who holds one may
 * scribble on it, so whoever reads it keeps a struct ring of its own with the size and the addresses,
 * and treats every shared word as untrusted: indices are taken modulo the size, and a fill that makes
 * no sense is an empty or a full ring, never an access outside it.
 *
 * head counts bytes ever written, tail bytes ever read; head - tail <= size.  Writers change head and
 * readers tail; several writers (or readers) exclude each other with the word write_lock (read_lock),
 * which holds the environment's number and is broken if that environment is gone.
 *
 * write_alone and read_alone are the service's word that one process holds that end, and no other ever had it that
 * may still be at work: then it needs no lock.  The word is 0 before a second process can have the end, because only
 * the holder's own fork makes one; it is 1 again when all others have closed theirs by a call.  Of one that ended
 * nobody knows what it is doing on another processor, so that the word stays 0.  Names (fifos) and the host have
 * other ways to an end, and the word is always 0 there.  write_alone says also that somebody may read.
 *
 * Waiting: an environment that must wait puts its number, and the processor it waits on, into a free
 * slot of readers_waiting or writers_waiting, looks at the ring again, and sleeps on its event count.  Who makes progress wakes
 * all that wait and clears the slots.  A slot lost to a race costs a spurious wake at most; if all are
 * taken the waiter sleeps with a short deadline.  Slot 0 is mostly the only one in use; slot 1 is no waiter's, but says
 * (RING_MORE) that those behind it must be looked at, too.  It is set after one of them was taken, and cleared by who
 * is about to look at all of them.
 *
 * write_open and read_open say whether anybody still has that end; the service keeps them, because it
 * survives every process.
 */
#ifndef EXOS_IPC_RING_H
#define EXOS_IPC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_PAGE    4096u
#define RING_WAITERS 8u
#define RING_MORE    0xffffu /* no environment's number, whatever the processor */

struct ring_shared {
	uint64_t head __attribute__((aligned(64)));
	uint32_t write_lock;
	uint32_t write_open;  /* 0: no writer is left: end of file when empty */
	uint32_t write_error; /* what writers are told (host streams), 0: -EPIPE */
	uint32_t write_alone;
	uint64_t tail __attribute__((aligned(64)));
	uint32_t read_lock;
	uint32_t read_open; /* 0: no reader is left */
	uint32_t read_alone;
	uint32_t readers_waiting[RING_WAITERS] __attribute__((aligned(64)));
	uint32_t writers_waiting[RING_WAITERS];
	uint32_t host_waits_data,
		host_waits_room; /* host streams: kick the supervisor (service call) */
};

/* What stands in a slot; a word without a processor is that of one about whom nothing is known. */
static inline uint32_t
ring_waiter(uint32_t env, uint32_t cpu)
{
	return env | (cpu + 1) << 16;
}

static inline uint32_t
ring_waiter_env(uint32_t word)
{
	return word & 0xffff;
}

/* UINT32_MAX: unknown. */
static inline uint32_t
ring_waiter_cpu(uint32_t word)
{
	return (word >> 16) - 1;
}

/* Slot 0 and, above it, whether to look at the others; two words at once. */
static inline uint64_t
ring_first(const uint32_t slots[RING_WAITERS])
{
	return __atomic_load_n((const uint64_t *)(const void *)slots, __ATOMIC_RELAXED);
}

static inline bool
ring_waiting(const uint32_t slots[RING_WAITERS])
{
	const uint64_t *pairs = (const void *)slots; /* aligned: see struct ring_shared */
	uint64_t any = 0;

	for (uint32_t i = 0; i < RING_WAITERS / 2; i++)
		any |= __atomic_load_n(&pairs[i], __ATOMIC_RELAXED);
	return any != 0;
}

struct ring {
	struct ring_shared *shared;
	uint8_t *data;
	uint32_t size; /* power of two */
};

/* Bytes to read, and room to write, never more than size. */
static inline uint32_t
ring_used(const struct ring *r)
{
	uint64_t n = __atomic_load_n(&r->shared->head, __ATOMIC_ACQUIRE) -
		     __atomic_load_n(&r->shared->tail, __ATOMIC_ACQUIRE);

	return n <= r->size ? (uint32_t)n : 0;
}

static inline uint32_t
ring_room(const struct ring *r)
{
	uint64_t n = __atomic_load_n(&r->shared->head, __ATOMIC_ACQUIRE) -
		     __atomic_load_n(&r->shared->tail, __ATOMIC_ACQUIRE);

	return n <= r->size ? r->size - (uint32_t)n : 0;
}

/* The next contiguous run of bytes to read, or of room to write; its length. */
static inline uint32_t
ring_peek(const struct ring *r, uint8_t **at)
{
	uint32_t start =
		(uint32_t)__atomic_load_n(&r->shared->tail, __ATOMIC_RELAXED) & (r->size - 1);
	uint32_t n = ring_used(r);

	*at = r->data + start;
	return n < r->size - start ? n : r->size - start;
}

static inline uint32_t
ring_space(const struct ring *r, uint8_t **at)
{
	uint32_t start =
		(uint32_t)__atomic_load_n(&r->shared->head, __ATOMIC_RELAXED) & (r->size - 1);
	uint32_t n = ring_room(r);

	*at = r->data + start;
	return n < r->size - start ? n : r->size - start;
}

static inline void
ring_consume(struct ring *r, uint32_t n)
{
	__atomic_store_n(&r->shared->tail, r->shared->tail + n, __ATOMIC_RELEASE);
}

static inline void
ring_produce(struct ring *r, uint32_t n)
{
	__atomic_store_n(&r->shared->head, r->shared->head + n, __ATOMIC_RELEASE);
}

#endif
