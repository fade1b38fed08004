/* SPDX-License-Identifier: MIT */
/*
 * Waiting for others, and excluding them, by words in shared pages.
 *
 * Owns no state.  The words belong to rings (ring.h), and everybody who holds the ring may scribble
 * on them: a lock is only as strong as the others let it be, and never stronger than time.
 *
 * 1. A waiter first reads its event count, then notes itself in a slot, then looks again, then
 * sleeps on the count; who makes progress changes the ring first and looks at the slots afterwards.
 * Both sides have a full barrier between their two steps, so one of them sees the other.
 * 2. A lock whose holder ended, or that nobody gave up for LOCK_STUCK_NS, is broken: the holder's
 *    number may be another's by now.  A process holds a lock only while it copies, and is not
 *    stopped in that time.
 */
#include "exos/fd/priv.h"

#define LOCK_ASK_NS   50000000ull   /* then ask whether the holder still exists */
#define LOCK_STUCK_NS 2000000000ull /* then take it in any case */

int
wait_event(uint32_t seen, uint64_t deadline, bool hand)
{
	if (hand && core_hand())
		return 0;
	return process_block(seen, deadline) == -LX_ERESTARTSYS ? -LX_ERESTARTSYS : 0;
}

void
ring_lock_wait(uint32_t *word)
{
	uint32_t me = control()->env, holder = 0, first = 0;
	uint64_t since = 0, now;

	while (!__atomic_compare_exchange_n(word, &holder, me, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (holder == me)
			return; /* of one who had this number before */
		now = core_now_ns();
		if (holder != first) {
			first = holder;
			since = now;
		}
		if (now - since < LOCK_ASK_NS ||
		    (now - since < LOCK_STUCK_NS && !env_gone(holder))) {
			core_yield();
			holder = 0;
		}
	}
}

bool
waiter_note(uint32_t slots[RING_WAITERS])
{
	uint32_t me = control()->waiter, empty;

	for (uint32_t i = 0; i < RING_WAITERS; i += i ? 1 : 2) {
		empty = __atomic_load_n(&slots[i], __ATOMIC_RELAXED);
		if (empty != me &&
		    (empty || !__atomic_compare_exchange_n(&slots[i], &empty, me, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
			continue;
		if (i)
			__atomic_store_n(&slots[1], RING_MORE, __ATOMIC_SEQ_CST);
		else
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
		return true;
	}
	return false;
}

static void
slot_clear(uint32_t *slot, uint32_t self)
{
	uint32_t me = self;

	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == self)
		__atomic_compare_exchange_n(slot, &me, 0, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

void
waiter_clear_all(uint32_t slots[RING_WAITERS])
{
	for (uint32_t i = 0; i < RING_WAITERS; i++)
		slot_clear(&slots[i], control()->waiter);
}

/*
 * Whoever can wait for its wake until this processor is left stays in its slot until it runs: should this
 * process end before, the service finds it there, and wakes it.  Answers whether it stays.
 */
static bool
slot_wake(uint32_t *slot)
{
	uint32_t word = __atomic_load_n(slot, __ATOMIC_RELAXED), env = ring_waiter_env(word);

	if (!env)
		return false;
	if (env < AEGIS_ENVS && core_wake_soon(env, ring_waiter_cpu(word)))
		return true;
	word = __atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL);
	env = ring_waiter_env(word);
	if (env && env < AEGIS_ENVS)
		core_wake(env);
	return false;
}

void
waiters_wake_all(uint32_t slots[RING_WAITERS])
{
	bool stay = false;

	slot_wake(&slots[0]);
	if (!__atomic_load_n(&slots[1], __ATOMIC_RELAXED))
		return;
	__atomic_exchange_n(&slots[1], 0, __ATOMIC_SEQ_CST);
	for (uint32_t i = 2; i < RING_WAITERS; i++)
		stay |= slot_wake(&slots[i]);
	if (stay)
		__atomic_store_n(&slots[1], RING_MORE, __ATOMIC_RELAXED);
}
