/* SPDX-License-Identifier: MIT */
/*
 * Directed yield: an environment hands the processor to one that it names, on two processors.
 *
 * Models the entry code's short way (kernel/x86/switch.S), which changes no ring, with pct_settle before all else that
 * C does; and, of kernel/cpu.c: sys_yield with its claim of the target, cpu_ready, cpu_unready, ring_take,
 * ready_lock, pick of time that nobody owns, cpu_enter, _env_go, trap_ipi, force_switch; of
 * kernel/env.c: env_end, _env_abort, sys_env_destroy until the environment has ended.
 *
 * Three environments, two processors; the third is the victim of a destruction that comes once, at any
 * time, from a third processor. Each environment, while it runs, yields to anyone or to one of the
 * others, or is switched by force. A statement is one word read or written, or a section under the
 * lock that protects all its words.
 *
 * Assumed: locks exclude, and for progress let another in who waits (kernel locks are not fair, and
 * nothing is promised of them, docs/promises.md); interrupts arrive; each processor's ring is one
 * queue (accounts are left out: they only decide the order). Environments take time that nobody owns
 * and are at home on processor e % 2.
 *
 * Holds: an environment runs on one processor at most, and not after its end; it is in one ring at
 * most, and only while READY; a claim is always followed by the entry or the end; who was destroyed
 * ends; who is ready is not lost.
 */

#define ENVS 3
#define CPUS 2
#define NOBODY 3
#define VICTIM 2
#ifdef PROGRESS
#define YIELDS 3
#else
#define YIELDS 5
#endif

mtype = { READY, RUNNING, ENDED };

mtype state[ENVS];
byte on[ENVS];			/* e->cpu */
bool queued[ENVS];
bool kill[ENVS];
bool env_locked[ENVS];
bool cpu_locked[CPUS];
chan ring0 = [ENVS] of { byte };
chan ring1 = [ENVS] of { byte };
byte current[CPUS] = NOBODY;	/* cpu->env */
bool ipi[CPUS], idle[CPUS];
byte yields;
byte sender[CPUS] = NOBODY;	/* machine_sender: the first of a chain of short yields, still RUNNING */
bool given[ENVS];		/* ODD_GIVEN: runs by a short yield, perhaps still in the ring */

#ifdef PROGRESS
byte wanted[ENVS], last[ENVS];
inline env_lock(e)
{
	wanted[e] = wanted[e] | (1 << _pid);
	atomic { !env_locked[e] && (last[e] != _pid || wanted[e] == 1 << _pid) ->
		env_locked[e] = true; last[e] = _pid; wanted[e] = wanted[e] & ~(1 << _pid) }
}
#else
inline env_lock(e) { atomic { !env_locked[e] -> env_locked[e] = true } }
#endif
inline env_unlock(e) { env_locked[e] = false }

inline ring_insert(c, e)
{
	if
	:: c == 0 -> ring0!e
	:: c == 1 -> ring1!e
	fi;
	queued[e] = true
}

inline ring_remove(c, e)
{
	if
	:: c == 0 -> ring0??eval(e)
	:: c == 1 -> ring1??eval(e)
	fi;
	queued[e] = false
}

/* env_locked[e]. The lock of the processor is one step: nothing waits inside. */
inline cpu_ready(e, me)
{
	state[e] = READY;
	atomic {
		if
		:: !queued[e] -> ring_insert(on[e], e)
		:: else
		fi;
		kick = idle[on[e]]
	};
	if
	:: kick && on[e] != me -> ipi[on[e]] = true
	:: else
	fi;
	kick = false
}

inline cpu_unready(e)
{
	atomic {
		if
		:: queued[e] -> ring_remove(on[e], e)
		:: else
		fi
	}
}

/* pct_settle, for a yield: first of all in C. */
inline settle()
{
	if
	:: sender[me] != NOBODY ->
		atomic { first = sender[me]; sender[me] = NOBODY };
		if
		:: first < self -> env_lock(first); env_lock(self)
		:: else -> env_lock(self); env_lock(first)
		fi;
		given[self] = false;
		cpu_unready(self);
		on[first] = first % 2;
		cpu_ready(first, me);
		env_unlock(self);
		env_unlock(first);
		first = NOBODY
	:: else
	fi
}

/* Taken as the entry code takes it: at once, or not at all.  `got` tells. */
inline env_try(e, when)
{
	atomic {
		got = !env_locked[e] && (when);
		if
		:: got -> env_locked[e] = true
		:: else
		fi
	}
}

/* cpu_enter: nobody else has it. */
inline cpu_enter(e)
{
	atomic {
		assert(current[0] != e && current[1] != e && !queued[e] && !given[e]);
		state[e] = RUNNING;
		on[e] = me;
		current[me] = e
	}
}

active [CPUS] proctype processor()
{
	byte self, target, me, first;
	bool kick, got;

	me = _pid;
	d_step {
		target = 0;
		do
		:: target < ENVS ->
			if
			:: target % 2 == me ->
				state[target] = READY;
				on[target] = me;
				ring_insert(me, target)
			:: else
			fi;
			target++
		:: else -> break
		od;
		target = NOBODY; self = NOBODY; first = NOBODY
	};

next:	/* cpu_next */
	idle[me] = false;
	atomic {
		if
		:: me == 0 && nempty(ring0) -> ring0?self; queued[self] = false
		:: me == 1 && nempty(ring1) -> ring1?self; queued[self] = false
		:: else -> idle[me] = true; self = NOBODY
		fi
	};
	if
	:: self == NOBODY ->
end_idle:	atomic { ipi[me] -> ipi[me] = false };
		goto next
	:: else
	fi;
	/* ready_lock */
	env_lock(self);
	if
	:: state[self] != READY -> env_unlock(self); goto next
	:: else
	fi;
	cpu_unready(self);
	cpu_enter(self);

go:	/* _env_go(self), locked */
	if
	:: kill[self] -> env_unlock(self); goto finish
	:: else -> env_unlock(self)
	fi;

user:	if
	:: atomic { ipi[me] -> ipi[me] = false };
		settle();
		if
		:: kill[self] -> goto finish
		:: else -> goto user
		fi
	:: atomic { !ipi[me] && yields < YIELDS -> yields++ };
		if
		:: target = NOBODY; goto slow
		:: target = (self + 1) % ENVS
		:: target = (self + 2) % ENVS
		fi;
		/* yield_fast */
		if
		:: sender[me] == target ->
			env_try(self, true);
			if
			:: !got -> goto slow
			:: else
			fi;
			state[self] = READY;
			given[self] = false;
			sender[me] = NOBODY;
			current[me] = target;
			env_unlock(self);
			atomic { self = target; target = NOBODY };
			goto user
		:: else
		fi;
		env_try(target, state[target] == READY && on[target] == me && !kill[target]);
		if
		:: !got -> goto slow
		:: else
		fi;
		if
		:: !given[self] ->
			assert(sender[me] == NOBODY);
			sender[me] = self;
#ifdef FIRST_READY
			state[self] = READY;
#endif
			got = false
		:: else ->
			env_try(self, true);
			if
			:: !got -> env_unlock(target); goto slow
			:: else
			fi;
			state[self] = READY;
			given[self] = false
		fi;
		state[target] = RUNNING;
		given[target] = true;
		current[me] = target;
		env_unlock(target);
		if
		:: got -> env_unlock(self)
		:: else
		fi;
		atomic { self = target; target = NOBODY };
		goto user;

slow:
#ifndef UNSETTLED
		settle();
#endif
		/* sys_yield */
		if
		:: target != NOBODY ->
			env_lock(target);
			if
			:: state[target] == READY ->
#ifndef STILL_QUEUED
				cpu_unready(target);
#endif
#ifdef UNCLAIMED
				skip
#else
				state[target] = RUNNING;
				on[target] = me
#endif
			:: else -> env_unlock(target); target = NOBODY; goto user
			fi;
			env_unlock(target)
		:: else
		fi;
		env_lock(self);
		current[me] = NOBODY;
		on[self] = self % 2;
		cpu_ready(self, me);
		env_unlock(self);
		if
		:: target == NOBODY -> goto next
		:: else
		fi;
		env_lock(target);
		cpu_enter(target);
		atomic { self = target; target = NOBODY };
		goto go
	:: !ipi[me] && yields >= YIELDS -> /* the end of its time, for ever after */
		settle();
		env_lock(self);
		current[me] = NOBODY;
		on[self] = self % 2;
		cpu_ready(self, me);
		env_unlock(self);
		goto next
	fi;

finish:	/* env_end(self) */
	env_lock(self);
	current[me] = NOBODY;
	cpu_unready(self);
	state[self] = ENDED;
	env_unlock(self);
	goto next
}

/* sys_env_destroy, by a processor of its own; again after AGAIN. */
active proctype destroyer()
{
	bool kick;

	(state[VICTIM] == READY || state[VICTIM] == RUNNING);
	env_lock(VICTIM);
	if
	:: state[VICTIM] == RUNNING ->
		kill[VICTIM] = true;
		ipi[on[VICTIM]] = true
	:: state[VICTIM] == READY ->
		cpu_unready(VICTIM);
		state[VICTIM] = ENDED;
		kill[VICTIM] = true /* for the property only: it was asked to end */
	:: state[VICTIM] == ENDED
	fi;
	env_unlock(VICTIM)
}

active proctype watcher()
{
end_w:	do
	:: atomic { (current[0] != NOBODY && current[0] == current[1]) -> assert(false) }
	:: atomic { current[0] == VICTIM && state[VICTIM] == ENDED && !env_locked[VICTIM] -> assert(false) }
	:: atomic { current[1] == VICTIM && state[VICTIM] == ENDED && !env_locked[VICTIM] -> assert(false) }
	od
}

ltl ends { [] (kill[2] -> <> (state[2] == ENDED)) }
ltl runs { [] (state[0] == READY -> <> (state[0] == RUNNING)) }
