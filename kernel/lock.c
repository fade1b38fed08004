/* SPDX-License-Identifier: MIT */
/*
 * Spin locks.
 *
 * 1. A lock is held by at most one processor, which does not take it again.
 * 2. Interrupts are off while a lock is held, as everywhere in the kernel, so the holder
 *    proceeds.
 * 3. Whoever waits answers shootdown requests meanwhile: the holder may itself be waiting
 *    for that answer.
 *
 * 4. LOCK_DOOR is a way to be free.  The entry code takes the lock of an environment only out of it.
 *
 * Order of locks: kernel.h.  Not fair; sections are short and bounded.
 */
#include "kernel.h"

void
lock_acquire(struct lock *l)
{
	unsigned int me = machine_cpu() + 1;
	unsigned int none = atomic_load_explicit(&l->held, memory_order_relaxed) & LOCK_DOOR;

	while (!atomic_compare_exchange_weak_explicit(&l->held, &none, me, memory_order_acquire,
						      memory_order_relaxed)) {
		assert(none != me);
		none &= LOCK_DOOR;
		tlb_serve();
		machine_relax();
	}
}

void
lock_release(struct lock *l)
{
	assert(atomic_load_explicit(&l->held, memory_order_relaxed) == machine_cpu() + 1);
	atomic_store_explicit(&l->held, 0, memory_order_release);
}

void
lock_release_door(struct lock *l)
{
	assert(atomic_load_explicit(&l->held, memory_order_relaxed) == machine_cpu() + 1);
	atomic_store_explicit(&l->held, LOCK_DOOR, memory_order_release);
}
