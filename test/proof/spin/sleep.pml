/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake: event count, deadline, the ring, and the processor that idles.
 *
 * Models, of kernel/cpu.c: sys_sleep, sys_wake with cpu_wake and _sleep_end, cpu_ready, cpu_unready,
 * cpu_sleep, sleepers_expire, ring_take, cpu_next until machine_idle, trap_ipi, sys_yield to anyone;
 * of kernel/env.c: _env_abort, and the looks at `kill` in sys_sleep, _env_go and trap_ipi. And the
 * library's half, look, note, look, sleep (docs/invariants.md, 18).
 *
 * One environment runs on processor 1 only, in time that nobody owns. WAKERS others, on processors of
 * their own, each leave something for it and wake it. The clock passes the deadline at any time, and
 * once somebody may abort it. A statement is what a processor does at once: reading one word, writing
 * one, or a section whose every word is written under the lock that it holds and read under no other.
 *
 * Assumed: locks exclude (kernel/lock.c; proof flush_serve for what waits inside); memory is
 * sequentially consistent, which TSO with locked instructions in the locks gives here; an interrupt
 * that was sent arrives, and `sti; hlt` does not lose one; the timer fires at or after what cpu_arm
 * set, which includes the first deadline of the heap. The event count does not go all the way round
 * between a look and the sleep (2^32 wakes).
 *
 * Holds: at most one of ring and heap, each in the right state; what was left is found, a sleep with a
 * deadline ends, and an abort is carried out.
 */

#define WAKERS 3

mtype = { RUNNING, READY, SLEEPING, ENDED };

mtype state = RUNNING;
byte env_lock, cpu_lock;	/* 0 or 1 */
byte events;			/* the exposed event count */
bool queued, heap, killed;
bool idle_bit;			/* of processor 1 in system_page->idle_cpus */
bool ipi;			/* an interrupt is on its way to processor 1 */
bool left_over;			/* what the environment is to find */
bool late;			/* the clock is past the deadline */
bool asleep_until;		/* it sleeps with the deadline */

inline acquire(l) { atomic { l == 0 -> l = 1 } }
inline release(l) { l = 0 }

/* From whatever processor; env_lock held. */
inline cpu_ready(other)
{
	state = READY;
	acquire(cpu_lock);
	queued = true;
	kick = idle_bit;
	release(cpu_lock);
	if
	:: kick && other -> ipi = true
	:: else
	fi
}

inline cpu_unready()
{
	acquire(cpu_lock);
	queued = false;
	heap = false;
	release(cpu_lock)
}

inline sleep_end(other)
{
	if
	:: heap -> cpu_unready()
	:: else
	fi;
	asleep_until = false;
	cpu_ready(other)
}

inline cpu_wake(other)
{
	events++;
	if
	:: state == SLEEPING -> sleep_end(other)
	:: else
	fi
}

/* Processor 1: user code of the environment, its calls, and the scheduler. */
active proctype processor()
{
	byte seen, yields;
	bool kick, got;

user:	/* an instruction boundary: interrupts are on */
	if
	:: ipi ->
		ipi = false;
		if
		:: killed -> goto finish
		:: else -> goto user
		fi
	:: else
	fi;
	if
	:: yields < 1 ->
		yields++;
		acquire(env_lock);
		cpu_ready(false);
		release(env_lock);
		goto next
	:: true
	fi;
#ifdef LOOK_FIRST
	got = left_over;
	seen = events;
#else
	seen = events;
	got = left_over;
#endif
	if
	:: got -> left_over = false; goto user
	:: else
	fi;
	/* sys_sleep(seen, deadline or NEVER, 0) */
#ifdef UNLOCKED
	if
	:: events != seen -> goto user
	:: else
	fi;
	acquire(env_lock);
#else
	acquire(env_lock);
#endif
	if
	:: killed -> release(env_lock); goto finish
	:: else
	fi;
#ifndef UNLOCKED
	if
	:: events != seen -> release(env_lock); goto user
	:: else
	fi;
#endif
	state = SLEEPING;
	if
	:: !late ->
		acquire(cpu_lock);
		atomic { heap = true; asleep_until = true };
		release(cpu_lock)
	:: true /* deadline AEGIS_NEVER */
	fi;
	release(env_lock);

next:	/* cpu_next */
	idle_bit = false;
	/* sleepers_expire */
	acquire(cpu_lock);
	got = heap && late;
	release(cpu_lock);
	if
	:: got ->
		acquire(env_lock);
		if
		:: state == SLEEPING && asleep_until && late -> sleep_end(false)
		:: else
		fi;
		release(env_lock)
	:: else
	fi;
	/* pick: ring_take, then ready_lock */
	acquire(cpu_lock);
	got = queued;
	if
	:: got -> queued = false
	:: else ->
#ifndef LATE_IDLE
		idle_bit = true
#else
		skip
#endif
	fi;
	release(cpu_lock);
	if
	:: got ->
		acquire(env_lock);
		if
		:: state == READY -> skip
		:: else -> release(env_lock); goto next
		fi;
		if
		:: queued -> cpu_unready()
		:: else
		fi;
		idle_bit = false;
		state = RUNNING;
		if
		:: killed -> release(env_lock); goto finish
		:: else -> release(env_lock); goto user
		fi
	:: else
	fi;
	idle_bit = true;
	/* machine_idle, until an interrupt of whatever kind; an abort of a sleeper makes it ready */
end_idle:
	if
	:: ipi -> ipi = false; goto next
	:: heap && late -> goto next
	fi;

finish:	/* env_end on its own processor */
	acquire(env_lock);
	cpu_unready();
	state = ENDED;
	release(env_lock)
}

active [WAKERS] proctype waker()
{
	bool kick;

	left_over = true;
	/* sys_wake */
	acquire(env_lock);
	if
	:: state == ENDED
	:: else -> cpu_wake(true)
	fi;
	release(env_lock)
}

active proctype clock()
{
	late = true
}

/* Once, or never. */
active proctype aborter()
{
	bool kick;

	if
	:: true ->
		acquire(env_lock);
		if
		:: state == ENDED
		:: else ->
			killed = true;
			if
			:: state == RUNNING -> ipi = true
			:: state == SLEEPING -> cpu_wake(true)
			:: state == READY -> cpu_ready(true)
			fi
		fi;
		release(env_lock)
	:: true
	fi
}

/* cpu.c, invariant 1, whenever nobody is at work on it. */
active proctype watcher()
{
end_w:	do
	:: atomic { env_lock == 0 && cpu_lock == 0 && heap ->
		assert(state == SLEEPING); assert(!queued) }
	:: atomic { env_lock == 0 && cpu_lock == 0 && queued -> assert(state == READY) }
	od
}

ltl found { [] (left_over -> <> (!left_over || state == ENDED)) }
ltl deadline_ends { [] ((asleep_until && late) -> <> !asleep_until) }
ltl abort_ends { [] (killed -> <> (state == ENDED)) }
