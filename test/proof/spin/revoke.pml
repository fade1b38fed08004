/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation and abort: ask, deadline, give, take by force, tell, and ends in the middle.
 *
 * Models, of kernel/revoke.c: sys_revoke_ask, _ask_step, _frames_take with frame_takable and
 * _frame_break, revoke_poll with first_lock, revoke_given, revoke_tell, _ask_show, revoke_end; of kernel/hold.c: sys_mem_free,
 * _hold_strip; of kernel/range.c: a binding that its space removes (_page_unbind, _hold_last); of
 * kernel/sweep.c: _space_expel, which may answer AGAIN when bindings are left to break; of
 * kernel/env.c: _env_abort, _env_stop, _env_free.
 *
 * One environment with four frames: 0 is droppable, 1 and 2 are plain, 2 bound, 3 is pinned. It frees
 * what it likes of 1 and 2 when it is asked, a few times at most, unbinds, or does neither. One other
 * asks for two frames or for four, with a deadline; two processors poll; a third destroys the
 * environment at any time and its number is given to another one, which nobody asked for anything. The
 * clock passes the deadline at any time.
 *
 * Assumed: locks exclude; the timer comes as long as a request is due (cpu_arm). The list says who has a
 * request, at its time (proofs revoke_*): here it is one flag, that its lock covers in one step.
 *
 * Holds: before the deadline only what is droppable is taken, what is pinned never; no more is taken
 * than was asked for and not given; the holder is told of everything that it did not give itself,
 * before the upcall; nothing is taken from who has the number later; a request is over some time after
 * its deadline, whatever its holder does, and with everything pinned by the holder's end.
 */

#define FRAMES 4
#define DROPPABLE 0
#define BOUND 2
#define PINNED 3
#ifdef PROGRESS /* the search for cycles takes many times the states */
#define POLLERS 1
#define TRIES 2
#else
#define POLLERS 2
#define TRIES 3
#endif

mtype = { FREE, HELD, STRIPPED };

bool env_lock, space_lock;
bool late;			/* the deadline has passed */
byte generation;		/* of the environment that has the number */
bool ended, killed;
mtype hold[FRAMES] = HELD;
bool bound = true;		/* frame BOUND has a binding */
bool told[FRAMES], gave[FRAMES];
bool upcall;			/* AEGIS_PEND_REVOKE */
bool seen;			/* its handler found frame 1 in the vector */

/* The request, and what the environment page shows of it; in the list it is `asked`. */
bool asked, dropping, breaking;
byte ask_generation, left, progress, passed;
bool page_asked;
byte count;			/* asked for */
byte total;			/* taken */
byte sweeps;			/* that left bindings: they go round, so this ends */

inline acquire(l) { atomic { !l -> l = true } }
inline release(l) { l = false }

inline page_update() { page_asked = asked && left > 0 && !dropping }

inline revoke_tell(f)
{
#ifdef UPCALL_FIRST
	upcall = true;
	told[f] = true
#else
	told[f] = true;
	upcall = true
#endif
}

/* The rights of frame `progress` go; its bindings as well, or some are left: AGAIN. */
inline space_expel()
{
	if
	:: progress == BOUND && bound -> hold[progress] = STRIPPED; again = true
	:: progress == BOUND && bound -> hold[progress] = FREE; bound = false
	:: else -> hold[progress] = FREE
	fi
}

#define takable (hold[progress] == HELD && progress != PINNED && (!dropping || progress == DROPPABLE))

/* env_lock held. `hopeless`: nothing more can be taken. */
inline ask_step()
{
	taken = 0;
	acquire(space_lock);
	do
	:: breaking && hold[progress] == STRIPPED && sweeps < 2 -> /* _frame_break: there are more */
		sweeps++;
		break
	:: atomic { breaking -> /* they are broken now, or its holder did that */
		if
		:: hold[progress] == STRIPPED -> hold[progress] = FREE; bound = false
		:: else
		fi;
		breaking = false; progress++ }
	:: !breaking && (progress == FRAMES || taken == left) -> break
	:: !breaking && progress < FRAMES && taken < left ->
		if
		:: takable ->
			atomic {
				assert(ask_generation == generation);
				assert(late || progress == DROPPABLE);
				space_expel()
			};
#ifdef TELL_LAST
			if
			:: again -> again = false; break
			:: else -> revoke_tell(progress); taken++
			fi;
#else
			breaking = again;
			revoke_tell(progress);
			taken++;
			again = false;
			if
			:: breaking -> break
			:: else
			fi;
#endif
		:: else
		fi;
		progress++
	od;
	release(space_lock);
	assert(taken <= left);
	left = left - taken;
	total = total + taken;
	passed = passed + taken;
	hopeless = false;
	if
	:: left > 0 && progress == FRAMES && !breaking ->
		hopeless = !dropping && passed == 0;
		progress = 0;
		passed = 0;
		if
		:: dropping -> dropping = false; page_update(); upcall = true
		:: else
		fi
	:: else
	fi;
	taken = 0;
	page_update()
}

#define finished (left == 0 && !breaking)
#define due (dropping || breaking || late)

active proctype asker()
{
	byte taken;
	bool hopeless;
	bool again;

	/* sys_revoke_ask, answered when the environment is there */
	acquire(env_lock);
	if
	:: ended || generation == 1
	:: else ->
		if
		:: count = 2
		:: count = 4
		fi;
		atomic { asked = true; dropping = true; ask_generation = generation; left = count };
		ask_step();
		asked = !finished
	fi;
	release(env_lock)
}

/* A processor at its timer interrupts. */
active [POLLERS] proctype poller()
{
	byte taken;
	byte first;
	bool hopeless;
	bool again;

end_p:	do
	:: atomic { asked && due -> first = ask_generation }; /* now >= earliest; first_lock */
		acquire(env_lock);
		if
#ifdef ANY_GENERATION
		:: asked && due ->
#else
		:: first == generation && asked && due ->
#endif
			ask_step();
			if
			:: hopeless -> left = 0; page_update(); killed = true
			:: else
			fi;
			asked = !finished
		:: else
		fi;
		release(env_lock)
#ifdef EARLY
	:: asked && !dropping && !late ->
		acquire(env_lock);
		if
		:: asked && ask_generation == generation -> ask_step(); asked = !finished
		:: else
		fi;
		release(env_lock)
#endif
	od
}

/* The environment that is asked. */
active proctype holder()
{
	byte f;
	byte tries;
	bool freed;

end_h:	do
	:: killed || ended -> break
	:: upcall && !killed && !ended -> /* its handler: what is gone is in the vector */
		upcall = false;
		if
		:: told[1] -> seen = true
		:: else
		fi
	:: !upcall && page_asked && tries < TRIES && !killed && !ended -> /* sys_mem_free */
		tries++;
		if
		:: f = 1
		:: f = BOUND
		fi;
		acquire(space_lock);
		atomic {
			if
			:: !ended && generation == 0 && hold[f] == HELD && !(f == BOUND && bound) ->
				hold[f] = FREE; gave[f] = true; freed = true
			:: else
			fi
		};
		release(space_lock);
		if
		:: freed && page_asked -> /* revoke_given */
			acquire(env_lock);
			if
			:: asked && ask_generation == generation && left > 0 ->
				left--;
				page_update();
				asked = !finished
			:: else
			fi;
			release(env_lock)
		:: else
		fi;
		atomic { freed = false; f = 0 }
	:: bound && !killed && !ended -> /* tlb_delete */
		acquire(space_lock);
		atomic {
			if
			:: bound && generation == 0 ->
				bound = false;
				if
				:: hold[BOUND] == STRIPPED -> hold[BOUND] = FREE /* _hold_last */
				:: else
				fi
			:: else
			fi
		};
		release(space_lock)
	od
}

/* Ends the environment, or carries out an abort; then another one gets the number. */
active proctype destroyer()
{
	if
	:: true
	:: true ->
end_d:		(killed)
	fi;
	acquire(env_lock); /* _env_stop */
#ifdef ANY_GENERATION
	ended = true;
#else
	atomic { ended = true; asked = false; left = 0; breaking = false };
#endif
	release(env_lock);
	acquire(env_lock);
	/* _env_free, and env_make by whoever asks next */
	atomic {
		generation = 1;
		ended = false;
		killed = false;
		bound = false;
		page_asked = false;
		hold[0] = HELD; hold[1] = HELD; hold[2] = HELD;
		told[0] = false; told[1] = false; told[2] = false
	};
	release(env_lock)
}

active proctype clock()
{
	late = true
}

active proctype watcher()
{
end_w:	do
	:: atomic { hold[PINNED] != HELD -> assert(false) }
	:: atomic { total > count -> assert(false) }
	/* Between sections, while the first is there: what is gone was given, or was told. */
	:: atomic { generation == 0 && !space_lock && !ended &&
		((hold[0] == FREE && !told[0]) || (hold[1] == FREE && !told[1] && !gave[1]) ||
		(hold[2] == FREE && !told[2] && !gave[2])) -> assert(false) }
	od
}

ltl over { [] (asked -> <> !asked) }
ltl learns { [] (told[1] -> <> (seen || killed || generation == 1)) }
ltl aborted { [] (killed -> <> !killed) }
