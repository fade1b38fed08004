/* SPDX-License-Identifier: MIT */
/*
 * Protected control transfer: calls, returns, asynchronous transfers, ends of either side and what
 * happens to numbers afterwards, on two processors.
 *
 * Models, of kernel/pct.c: transfer, transfer_return, _callee_rest, pct_settle, pct_orphan,
 * caller_release, pct_recall; of kernel/x86/switch.S: a transfer and its return without C; of
 * kernel/cpu.c: sys_sleep, cpu_wake, lent_count, force_switch, the claim of who is READY; of
 * kernel/env.c: env_lock with a generation, env_end, _env_abort, _env_stop, sys_env_destroy,
 * _env_free, env_make.
 *
 * Three environments, who call and serve each other as they like, in chains too; two processors that
 * take whoever is READY (rings and slices are the affair of the model `yield` and the proofs); two destroyers
 * on processors of their own, who end environments and give their numbers to new ones; a clock, for
 * sleeps with a deadline.
 *
 * A section under locks is one step: it reads and writes nothing but what they protect, and the proofs
 * show that they are taken in order. What lies between sections is steps of its own.
 *
 * A link is a number alone; that of an environment which ended is not free while it has links, and only
 * who ended it takes them from it.
 *
 * Assumed: locks exclude; interrupts arrive; who serves returns after a bounded number of steps, and
 * whatever sleeps in a call has a deadline. Capabilities are live.
 *
 * Holds: only an accepting sleeper that nobody waits for is entered, and the very one that the gate was
 * bound to; who waits for somebody that exists is known to it, and the other way round; an answer goes
 * to the call that it is for; DEAD is told only of the dead, TIMED_OUT only by who gave up the link; a
 * call ends.
 *
 * Broken: NUMBERS, the kernel before that, lets a number go while its links are undone; CLEARS takes the
 * caller from a callee that has ended too, so that it is free while that is still being looked at; SHARED
 * enters a callee that sleeps in a call; ANY_OWNER takes a gate for whoever has the number; UNCHECKED
 * returns to a caller without a look at what it waits for; UNSETTLED sleeps in a call that was made
 * without C, and leaves the caller as it is; STAYS lets the callee's door say `shortly` after the links are made.
 */

#define ENVS 3
#define CPUS 2
#define NOBODY 3
#define CALLS 2
#ifdef PROGRESS /* what happens beside calls: wakes, timers, sleeps in a call */
#define ENDS 0
#define ODD 1
#else /* two ends at the same time */
#define ENDS 2
#define ODD 0
#endif

mtype = { READY, RUNNING, SLEEPING, CALLING, ENDED };

mtype state[ENVS] = READY;
byte generation[ENVS];
bool kill[ENVS];
bool accepts[ENVS], returns[ENVS];	/* returns_to_sleep */
bool event[ENVS];			/* page->events != seen */
bool deadline[ENVS];
byte caller[ENVS] = NOBODY, callee[ENVS] = NOBODY;
byte caller_gen[ENVS], callee_gen[ENVS];	/* for the properties alone */
bool given_up[ENVS];			/* pct_recall is under way */

byte fast[CPUS] = NOBODY;		/* machine_caller or machine_sender */
bool sends[CPUS];			/* which of them */
bool shortly[ENVS];			/* of the callee's door, by which alone the short return finds that there is a caller */
byte calls, odd;			/* so many: transfers; wakes, timers and sleeps in a call */

inline link(c, t)
{
	state[c] = CALLING;
	callee[c] = t; callee_gen[c] = generation[t];
	caller[t] = c; caller_gen[t] = generation[c]
}

/* t goes out of its sleep. */
inline callee_enter(t)
{
	assert(state[t] == SLEEPING && accepts[t]);
	assert(caller[t] == NOBODY);
	state[t] = RUNNING;
	accepts[t] = false;
	returns[t] = true;
	deadline[t] = false
}

inline callee_rest(t)
{
	caller[t] = NOBODY;
	returns[t] = false;
	if
	:: event[t] -> event[t] = false; state[t] = READY
	:: else -> state[t] = SLEEPING; accepts[t] = true
	fi
}

inline cpu_wake(t)
{
	event[t] = true;
	if
	:: state[t] == SLEEPING -> state[t] = READY; accepts[t] = false; deadline[t] = false
	:: else
	fi
}

/* A caller that waits for `t` goes on with an error. */
inline caller_release(c, t, dead)
{
	atomic {
		if
		:: state[c] == CALLING && callee[c] == t ->
			assert(!dead || generation[t] != callee_gen[c] || state[t] == ENDED);
			assert(dead || given_up[t]);
			callee[c] = NOBODY;
			state[c] = READY
		:: else
		fi
	}
}

/* The number of e is not free while it has links, so that nobody else is behind it here. */
#ifdef NUMBERS
#define there(e) true
#else
#define there(e) (state[e] == ENDED && generation[e] == egen)
#endif

inline orphan(e, c, t)
{
	if
	:: t != NOBODY ->
		atomic {
			assert(there(e));
			if
#ifdef CLEARS
			:: caller[t] == e -> caller[t] = NOBODY
#else
			:: caller[t] == e && state[t] != ENDED -> caller[t] = NOBODY
#endif
			:: else
			fi
		}
	:: else
	fi;
	if
	:: c != NOBODY -> caller_release(c, e, true)
	:: else
	fi
}

/* e ends. Nothing is left to do for one without links. */
inline env_stop(when, e, egen, c, t)
{
	atomic { when ->
		egen = generation[e];
		c = caller[e];
		t = callee[e];
#ifdef NUMBERS
		caller[e] = NOBODY; callee[e] = NOBODY;
#endif
		accepts[e] = false; deadline[e] = false;
		state[e] = ENDED
	};
	orphan(e, c, t);
	atomic {
#ifndef NUMBERS
		assert((c == NOBODY && t == NOBODY) || there(e));
		if
		:: c != NOBODY || t != NOBODY -> caller[e] = NOBODY; callee[e] = NOBODY
		:: else
		fi;
#endif
		egen = 0; c = NOBODY; t = NOBODY
	}
}

/* The first entry of C after a transfer without it. */
inline settle(self, c)
{
	if
	:: fast[me] != NOBODY ->
		atomic {
			c = fast[me]; fast[me] = NOBODY;
			if
			:: sends[me] -> state[c] = READY
			:: else -> link(c, self)
			fi;
			sends[me] = false; c = NOBODY;
#ifndef STAYS
			shortly[self] = false
#endif
		}
	:: else
	fi
}

active [CPUS] proctype processor()
{
	byte self = NOBODY, c = NOBODY, t = NOBODY, me;
	byte egen, cgen, tgen;
	bool wait;

	me = _pid;

next:	/* Whoever is ready: looked at, and claimed under its lock. */
end_n:	atomic {
		if
		:: state[0] == READY -> self = 0
		:: state[1] == READY -> self = 1
		:: state[2] == READY -> self = 2
		fi;
		state[self] = RUNNING
	};

user:	if
	:: kill[self] && fast[me] == NOBODY -> goto finish	/* trap_ipi */
	:: fast[me] != NOBODY && (kill[self] || kill[fast[me]] || sends[me]) -> /* any entry of C */
		settle(self, c);
		goto user

	:: atomic { !kill[self] && calls < CALLS -> /* by a gate that is bound now, or was */
			calls++;
			if
			:: t = (self + 1) % ENVS
			:: t = (self + 2) % ENVS
			fi;
			tgen = generation[t];
			if
			:: wait = true
			:: wait = false
			fi
		};
		if
		/* The short way: its door is open, and nobody waits for the one that goes. */
		:: fast[me] == NOBODY && caller[self] == NOBODY ->
			atomic {
				if
				:: state[t] == SLEEPING && accepts[t] && !returns[t] && !kill[t] &&
				   !deadline[t] && generation[t] == tgen
				:: else -> goto slow
				fi;
				callee_enter(t);
				fast[me] = self;
				sends[me] = !wait;
				shortly[t] = wait;
				self = t;
				t = NOBODY; tgen = 0; wait = false;
				goto user
			}
		:: true
		fi;
slow:		settle(self, c);
		atomic {
			if
#ifndef ANY_OWNER
			:: generation[t] != tgen -> goto refused	/* DEAD */
#endif
			:: else
			fi;
			if
			:: state[t] != SLEEPING || !accepts[t] -> goto refused	/* BUSY */
#ifndef SHARED
			:: caller[t] != NOBODY -> goto refused
#endif
			:: else
			fi;
			assert(generation[t] == tgen);
			callee_enter(t);
			if
			:: wait -> link(self, t)
			:: else -> state[self] = READY
			fi;
			self = t;
			t = NOBODY; tgen = 0; wait = false;
			goto user
		};
refused:	atomic { t = NOBODY; tgen = 0; wait = false };
		goto user

	:: !kill[self] && returns[self] && shortly[self] ->
		/* pct_return without C, if nothing happened meanwhile; who is called back may be about to end. */
		if
		:: atomic { !event[self] && !kill[self] ->
			assert(fast[me] != NOBODY && !sends[me]);
			callee_rest(self);
			shortly[self] = false;
			self = fast[me]; fast[me] = NOBODY }
		:: settle(self, c)
		fi;
		goto user

	:: !kill[self] && returns[self] && fast[me] == NOBODY -> /* transfer_return */
		c = caller[self];
		if
		:: c == NOBODY ->
			atomic { callee_rest(self); self = NOBODY; goto next }
		:: else
		fi;
		atomic {
			cgen = caller_gen[self];
			callee_rest(self);
			if
#ifndef UNCHECKED
			:: state[c] != CALLING || callee[c] != self -> wait = true /* it ended, or was released */
#endif
			:: else ->
				assert(generation[c] == cgen && callee_gen[c] == generation[self]);
				callee[c] = NOBODY;
				state[c] = RUNNING
			fi;
			cgen = 0;
			if
			:: wait -> wait = false; self = NOBODY; c = NOBODY; goto next
			:: else -> self = c; c = NOBODY; goto user
			fi
		}

	:: !kill[self] && !returns[self] && fast[me] == NOBODY -> /* sys_sleep, to serve */
		atomic {
			if
			:: kill[self] -> goto finish
			:: else
			fi;
			if
			:: event[self] -> event[self] = false; goto user
			:: else
			fi;
			state[self] = SLEEPING; accepts[self] = true;
			self = NOBODY;
			goto next
		}

	:: atomic { !kill[self] && returns[self] && odd < ODD -> odd++ };
		/* sys_sleep in a call, with a deadline and the same flag. */
#ifndef UNSETTLED
		settle(self, c);
#endif
		atomic {
			if
			:: kill[self] -> goto finish
			:: else
			fi;
			state[self] = SLEEPING; accepts[self] = true; deadline[self] = true;
			self = NOBODY;
			goto next
		}

	:: atomic { !kill[self] && odd < ODD -> odd++ }; /* the timer: the call's time is over */
		settle(self, c);
		/* lent_count, pct_recall */
		if
		:: atomic { caller[self] != NOBODY ->
			c = caller[self];
			given_up[self] = true;
			caller[self] = NOBODY };
			caller_release(c, self, false);
			atomic { given_up[self] = false; c = NOBODY }
		:: true -> /* force_switch */
			atomic { state[self] = READY; self = NOBODY };
			goto next
		fi;
		goto user

	:: atomic { !kill[self] && odd < ODD -> odd++ }; /* sys_wake */
		settle(self, c);
		if
		:: t = (self + 1) % ENVS
		:: t = (self + 2) % ENVS
		fi;
		atomic {
			if
			:: state[t] != ENDED -> cpu_wake(t)
			:: else
			fi;
			t = NOBODY
		};
		goto user
	fi;

finish:	/* env_end */
	env_stop(true, self, egen, c, t);
	self = NOBODY;
	goto next
}

/*
 * sys_env_destroy again and again, until the number is somebody else's. Environments are alike, so that
 * the first may always choose 0; the other destroys the same one, or another.
 */
active [ENDS] proctype destroyer()
{
	byte victim;
	byte c = NOBODY, t = NOBODY;
	byte egen, cgen, tgen;

	atomic {
		if
		:: victim = 0
		:: _pid != CPUS -> victim = 1
		fi;
		if
		:: kill[victim] = true /* _env_abort by somebody else first */
		:: true
		fi
	};
	do
	:: atomic { generation[victim] && victim == 0 -> break }
	:: atomic { state[victim] == RUNNING && !kill[victim] -> kill[victim] = true } /* AGAIN, until it ended */
	:: env_stop((state[victim] != RUNNING && state[victim] != ENDED), victim, egen, c, t)
	:: atomic { state[victim] == ENDED && caller[victim] == NOBODY && callee[victim] == NOBODY ->
		/* _env_free, env_make */
		generation[victim]++;
		kill[victim] = false; returns[victim] = false; event[victim] = false; shortly[victim] = false;
		state[victim] = READY;
		break }
	od
}

/* sleepers_expire */
active proctype clock()
{
	byte e;

end_c:	do
	:: atomic {
		if
		:: deadline[0] -> e = 0
		:: deadline[1] -> e = 1
		:: deadline[2] -> e = 2
		fi;
		state[e] = READY; accepts[e] = false; deadline[e] = false;
		e = 0
	}
	od
}

/* Who waits for somebody that exists is known to it. */
#define lost(c, t) (state[c] == CALLING && callee[c] == t && \
	callee_gen[c] == generation[t] && state[t] != ENDED && !given_up[t] && \
	!(caller[t] == c && caller_gen[t] == generation[c]))
/* Who serves somebody that exists is waited for. */
#define false_link(c, t) (caller[t] == c && caller_gen[t] == generation[c] && \
	state[t] != ENDED && state[c] != ENDED && !(state[c] == CALLING && callee[c] == t && callee_gen[c] == generation[t]))

active proctype watcher()
{
end_w:	do
	:: atomic { lost(0, 1) || lost(0, 2) || lost(1, 0) || lost(1, 2) || lost(2, 0) || lost(2, 1) ->
		assert(false) }
	:: atomic { false_link(0, 1) || false_link(0, 2) || false_link(1, 0) || false_link(1, 2) ||
		false_link(2, 0) || false_link(2, 1) -> assert(false) }
	/* Everything here comes to an end: then nobody waits. */
	:: timeout -> assert(state[0] != CALLING && state[1] != CALLING && state[2] != CALLING); break
	od
}

ltl returns { [] (state[2] == CALLING -> <> (state[2] != CALLING)) }
