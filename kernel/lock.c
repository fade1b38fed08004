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
 * 4. LOCK_DOOR and LOCK_READY are ways to be free.  The entry code takes the lock of an environment that does
 *    not run only out of them.
 *
 * Order of locks: kernel.h.  Not fair; sections are short and bounded.
 */
#include "kernel.h"

#define WAYS (LOCK_DOOR | LOCK_READY) /* to be free */

/* The lock is another's: apart, so that who need not wait saves no registers for it. */
static __attribute__((noinline)) void
lock_wait(struct lock *l, unsigned int me)
{
	unsigned int none;

	do {
		none = atomic_load_explicit(&l->held, memory_order_relaxed);
		assert(none != me);
		none &= WAYS;
		tlb_serve();
		machine_relax();
	} while (!atomic_compare_exchange_weak_explicit(&l->held, &none, me, memory_order_acquire,
							memory_order_relaxed));
}

void
lock_acquire(struct lock *l)
{
	unsigned int me = machine_cpu() + 1;
	unsigned int none = atomic_load_explicit(&l->held, memory_order_relaxed) & WAYS;

	if (!atomic_compare_exchange_weak_explicit(&l->held, &none, me, memory_order_acquire,
						   memory_order_relaxed))
		lock_wait(l, me);
}

void
lock_release_as(struct lock *l, unsigned int way)
{
	assert(atomic_load_explicit(&l->held, memory_order_relaxed) == machine_cpu() + 1);
	atomic_store_explicit(&l->held, way, memory_order_release);
}

void
lock_release(struct lock *l)
{
	lock_release_as(l, 0);
}
