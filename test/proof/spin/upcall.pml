/* SPDX-License-Identifier: MIT */
/*
 * Deferred upcalls: defer, pending, nesting, and the range of instructions that resumes.
 *
 * Models, of kernel/fault.c: upcall_post, upcall_deliver, resumed_frame, frame_push, frame_top,
 * upcall_sync; of kernel/cpu.c: trap_ipi, force_switch, _env_go. And the library's half as
 * exos/upcall/upcall.S writes it: core_async_entry, core_fault_entry, TARGET_FIX, the resume sequence
 * from core_resume_start to core_resume_rip, the jump behind it; and a critical section as
 * include/aegis/fault.h says one is left.
 *
 * One environment; each turn of its loop is an interrupt, an exception, or one instruction. A program
 * counts its steps in a register, which handlers clobber, and has two critical sections. POSTERS others post a reason each, and send
 * the interrupt after it. FAULTS exceptions come at any instruction that may fault, nested as they
 * like; once the processor is taken away by force.
 *
 * Assumed: the area is there and the kernel alone pushes frames; instructions of the resume sequence
 * do not fault (the stack is pinned); an interrupt that was sent arrives before the next instruction
 * once it is there. The end of a slice is not among the reasons: force_switch withdraws it on purpose.
 *
 * Holds: asynchronous upcalls come only while defer is 0; what was interrupted goes on exactly as it
 * was; the stack is never deeper than one asynchronous frame, or one exception, and the exceptions
 * nested in it; every reason that was posted is taken.
 */

#define POSTERS 3
#define FAULTS 2
#define DEPTH 3 /* 1 + FAULTS */
#define FORCED 1

/* Where the processor is. */
#define PROG 0	/* the program, outside of the upcall stack */
#define CRIT 1	/* a critical section of the library, there as well */
#define OPEN 2	/* defer = 0 was stored, pending not looked at yet */
#define FIX 3	/* a handler's first instructions */
#define TAKE 4	/* the asynchronous handler takes what is pending */
#define SERVE 5	/* ... and does it */
#define FAULT 6	/* an exception's handler */
#define START 7	/* core_resume_start: defer = 0 */
#define LOOK 8	/* ... pending? */
#define AGAIN 9	/* ... defer = 1, and back to the handler */
#define LOAD 10 /* FRAME_RESUME: the target's address is noted */
#define LAST 11 /* ... registers back; core_resume_rip */
#define JUMP 12 /* core_resume_jump */
#define INNER 13 /* the same, 7 and 8 of core_fault_entry: what was interrupted had deferred */

typedef frame {
	byte at;	/* rip */
	byte sp;	/* frames that were on the stack: 0 is outside of it */
	byte reg;
	bool deferred;
	bool async;
};

frame stack[DEPTH];
byte at, sp, reg, count, target;
bool defer, running = true, ipi;
byte pending;			/* one bit a poster */

/* upcall_post by a processor that holds the environment's lock, as force_switch does. */
active [POSTERS] proctype poster()
{
	bool there;

	d_step { pending = pending | (1 << _pid); there = running };
	if
	:: there -> ipi = true
	:: else
	fi
}

/* frame_push at frame_top; the new frame has number sp. */
inline frame_push(is_async, was)
{
	assert(sp < DEPTH); /* else AEGIS_END_STACK */
	stack[sp].at = at;
	stack[sp].sp = sp;
	stack[sp].reg = reg;
	stack[sp].deferred = was;
	stack[sp].async = is_async;
	sp++;
	at = FIX
}

inline upcall_deliver()
{
	if
#ifdef UNDEFERRED
	:: pending != 0 ->
#else
	:: pending != 0 && !defer ->
#endif
		defer = true;
		if
#ifndef NO_RANGE
		:: at >= START && at <= LAST && sp > 0 ->
			stack[sp - 1].async = true;
			stack[sp - 1].deferred = false;
			at = FIX
#endif
		:: else -> frame_push(true, false)
		fi
	:: else
	fi
}

inline upcall_sync(was)
{
	was = defer;
	defer = true;
	frame_push(false, was)
}

active proctype environment()
{
	byte faults, forced, sections;
	bool was;

end_run:
	do
	:: d_step { running && ipi -> ipi = false; upcall_deliver() }
	:: d_step { running && !ipi && forced < FORCED -> /* force_switch */
		forced++; running = false }
	:: d_step { !running -> running = true; upcall_deliver() } /* _env_go */
	:: d_step { running && !ipi && faults < FAULTS && (at <= CRIT || at == SERVE || at == FAULT) ->
		faults++; upcall_sync(was) }
	:: d_step { running && !ipi ->
		if
		:: at == PROG ->
			assert(!defer && sp == 0 && reg == count);
			if
			:: count < 2 -> count++; reg = count
			:: count == 2 && sections < 2 ->
				sections++; count = 0; reg = 0; defer = true; at = CRIT
			:: else -> count = 0; reg = 0
			fi
		:: at == CRIT ->
			assert(defer && sp == 0 && reg == count);
#ifdef LOOK_FIRST
			if
			:: pending == 0 -> at = OPEN
			:: else -> pending = 0 /* served in the section itself */
			fi
#else
			defer = false;
			at = OPEN
#endif
		:: at == OPEN ->
#ifdef LOOK_FIRST
			defer = false;
			at = PROG
#else
			at = PROG;
			upcall_deliver() /* pending: the call `null`, at whose exit the kernel looks */
#endif
		:: at == FIX ->
			reg = 9;
#ifndef NO_FIX
			if
			:: stack[sp - 1].at == JUMP -> stack[sp - 1].at = target
			:: else
			fi;
#endif
			at = (stack[sp - 1].async -> TAKE : FAULT)
		:: at == TAKE -> assert(defer); pending = 0; at = SERVE
		:: at == SERVE -> at = START
		:: at == FAULT -> at = (stack[sp - 1].deferred -> INNER : START)
		:: at == START -> assert(sp == 1); defer = false; at = LOOK
		:: at == LOOK -> at = (pending -> AGAIN : LOAD)
		:: at == AGAIN -> defer = true; at = FIX; stack[sp - 1].async = true
		:: at == LOAD -> target = stack[sp - 1].at; reg = stack[sp - 1].reg; at = LAST
		:: at == LAST -> sp = stack[sp - 1].sp; at = JUMP
		:: at == JUMP -> at = target
		:: at == INNER ->
			target = stack[sp - 1].at;
			reg = stack[sp - 1].reg;
			sp = stack[sp - 1].sp;
			at = target
		fi }
	od
}

ltl taken { [] ((pending != 0) -> <> (pending == 0)) }
ltl goes_on { [] <> (at == PROG) }
