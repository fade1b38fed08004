/* SPDX-License-Identifier: MIT */
/*
 * Shootdown: eight processors, two spaces, and the frames that change owner.
 *
 * Models, of kernel/flush.c: _flush_finish, remote_forget, local_forget, tlb_serve, space_load,
 * space_unload; of kernel/x86/switch.S and pct.c: a short call, its return, its settling; of kernel/lock.c: lock_acquire, which serves while it waits; of kernel/tlb.c and
 * kernel/range.c: an entry is changed, then the flush is finished, with the space's lock held; of
 * kernel/mem.c: a frame that is released may be bound by anyone. And the processor: it keeps
 * translations until it forgets, and walks again by itself. Here it walks at once, whenever the entry
 * is there: what the kernel does does not depend on what a processor has cached, so who has cached the
 * most is the worst case.
 *
 * Processors 0 to CHANGERS - 1 run in one space each and change either, CHANGES times: unbind its page
 * if it is bound, else bind a free frame to it. Processors from there to CHANGERS + MOVERS - 1 change
 * spaces, MOVES times, by short calls and without, or stop translating. The others run, half in each space, all the time. Whoever
 * does not wait in the kernel takes its interrupts.
 *
 * A ticket is kept as what the comparison with shoot_done makes of it: owed[c] has the changers whose
 * request processor c has not answered. tlb_serve answers those that it saw when it read shoot_asked;
 * so the counts, and their going round, are out of the model (proof flush_serve).
 *
 * Assumed: memory is sequentially consistent where it matters: entries are changed before the fence in
 * _flush_finish, bits of s->cpus by locked instructions; a walk sees entries in the order in which
 * they are written; a load of CR3 forgets all of the processor's translations (no PCID); interrupts
 * arrive.
 *
 * Holds: no processor translates to a frame that is not the space's; nobody waits for ever.
 */

#define CPUS 8
#define CHANGERS 2
#define MOVERS 1
#ifdef PROGRESS /* the search for cycles takes ten times the states */
#define CHANGES 1
#else
#define CHANGES 2
#endif
#define MOVES 1
#define NONE 2		/* space: none */
#define FRAMES 2
#define FREE 2		/* owner: nobody */

#define ME (1 << me)

byte owner[FRAMES];	/* space, or FREE */
byte entry[2];		/* frame + 1, or 0: not present */
byte cpus[2];		/* struct space: who may translate through it */
bool locked[2];
byte loaded[CPUS];	/* CR3: space or NONE */
byte tlb[CPUS];		/* frame + 1, or 0 */
byte owed[CPUS];
byte waits;		/* changers in the middle of a call */

init {
	byte i;

	atomic {
		owner[0] = 0; owner[1] = 1; entry[0] = 1; entry[1] = 2;
		i = 0;
		do
		:: i < CPUS -> loaded[i] = i % 2; cpus[i % 2] = cpus[i % 2] | (1 << i);
			tlb[i] = 1 + i % 2; i++
		:: else -> break
		od;
		i = 0
	};
	atomic {
		run changer(0); run changer(1);
		i = CHANGERS;
		do
		:: i < CHANGERS + MOVERS -> run mover(i); i++
		:: i >= CHANGERS + MOVERS && i < CPUS -> run runner(i); i++
		:: else -> break
		od;
		i = 0
	}
}

/* The frame is changing hands: nobody translates to it. */
inline unused(f)
{
	assert(tlb[0] != f + 1 && tlb[1] != f + 1 && tlb[2] != f + 1 && tlb[3] != f + 1 &&
	       tlb[4] != f + 1 && tlb[5] != f + 1 && tlb[6] != f + 1 && tlb[7] != f + 1)
}

/* Processor c forgets all and walks. */
inline forget(c)
{
	tlb[c] = (loaded[c] < NONE -> entry[loaded[c] % 2] : 0)
}

/*
 * tlb_serve, if there is anything to answer: reads shoot_asked, forgets, stores what it read. One step,
 * for a request that comes in between is not answered, and the rest of it changes nothing that it reads.
 */
inline serve()
{
#ifdef FORGET_FIRST
	d_step { owed[me] != 0 -> forget(me) };
	owed[me] = 0
#else
	d_step { owed[me] != 0 -> forget(me); owed[me] = 0 }
#endif
}

/* Loads space `to`, or none. */
inline space_change(to)
{
#ifdef LATE_BIT
	d_step { loaded[me] = to; forget(me) };
	if
	:: to < NONE -> cpus[to] = cpus[to] | ME
	:: else
	fi;
#else
	if
	:: to < NONE -> cpus[to] = cpus[to] | ME
	:: else
	fi;
	d_step { loaded[me] = to; forget(me) };
#endif
	if
	:: old < NONE -> cpus[old] = cpus[old] & ~ME
	:: else
	fi
}

/* A short call into space `to`, from which it returns, or which C settles because it is entered. */
inline short_call(to)
{
	cpus[to] = cpus[to] | ME;
	d_step { loaded[me] = to; forget(me) };
#ifdef SHORT_BIT
	cpus[old] = cpus[old] & ~ME;
#endif
	if
	:: true ->
		d_step { loaded[me] = old; forget(me) };
		cpus[to] = cpus[to] & ~ME
	:: true -> cpus[old] = cpus[old] & ~ME
	fi
}

proctype runner(byte me)
{
end_run:
	do
	:: serve()
	od
}

proctype mover(byte me)
{
	byte moves, old;

end_run:
	do
	:: serve()
	:: moves < MOVES ->
		moves++;
		old = loaded[me];
		if
		:: old != 0 -> space_change(0)
		:: old != 1 -> space_change(1)
		:: old != NONE -> space_change(NONE)
		:: old == 0 -> short_call(1)
		:: old == 1 -> short_call(0)
		fi;
		old = 0
	od
}

proctype changer(byte me)
{
	byte changes, mask, i, f, s;

end_run:
	do
	:: serve()
	:: changes < CHANGES ->
		changes++;
		if
		:: s = 0
		:: s = 1
		fi;
		/* lock_acquire */
		do
		:: atomic { !locked[s] -> locked[s] = true; break }
		:: serve()
		od;
		if
		:: entry[s] ->
			waits = waits | ME;
			d_step { f = entry[s] - 1; entry[s] = 0 };
			d_step { mask = cpus[s] };
			if
			:: atomic { mask & ME -> forget(me); mask = mask & ~ME }
			:: else
			fi;
			i = 0;
			do
			:: atomic { i < CPUS ->
				if
				:: mask & (1 << i) -> owed[i] = owed[i] | ME
				:: else
				fi;
				i++ }
			:: else -> break
			od;
#ifdef EARLY
			atomic { unused(f); owner[f] = FREE };
#endif
			i = 0;
			do
			:: atomic { i < CPUS && (!(mask & (1 << i)) || !(owed[i] & ME)) -> i++ }
#ifndef NO_SERVE
			:: serve()
#endif
			:: i == CPUS -> break
			od;
			atomic { unused(f); owner[f] = FREE; i = 0; mask = 0; f = 0; waits = waits & ~ME }
		:: else ->
			atomic {
				if
				:: owner[0] == FREE -> owner[0] = s; entry[s] = 1
				:: owner[0] != FREE && owner[1] == FREE -> owner[1] = s; entry[s] = 2
				:: else
				fi;
				do
				:: i < CPUS ->
					if
					:: loaded[i] == s && !tlb[i] -> tlb[i] = entry[s]
					:: else
					fi;
					i++
				:: else -> break
				od;
				i = 0 }
		fi;
		d_step { locked[s] = false; s = 0 }
	od
}

ltl answered { [] (waits -> <> !waits) }
