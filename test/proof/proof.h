/* SPDX-License-Identifier: MIT */
/*
 * What every harness begins with.  A harness includes this file, then the kernel's own source files,
 * and has one function, proof(), which makes an arbitrary state, calls, and asserts.
 *
 * The locks of the kernel become a check of the discipline: a lock is not taken twice and not released
 * unheld, and check_locks() says that none is left.  The kernel's panic() is a failed property.
 * Counters and traces are left out.
 *
 *   ANY(type)       an arbitrary value
 *   ASSUME(e)       restricts the state; every assumption is named in docs/proofs.md
 *   PROVE(e, text)  a property
 *   REACH(e)        must be possible: guards against assumptions that leave nothing
 */
#ifndef PROOF_H
#define PROOF_H

#include "kernel/kernel.h"

/* CBMC has a body for the plain name only. */
#define __builtin_memcpy memcpy
void *memcpy(void *to, const void *from, unsigned long n);

#undef COUNT
#undef COUNT_ADD
#undef TRACE
#undef COUNT_AT
#undef TRACE_AT
#define COUNT(what)        ((void)0)
#define COUNT_ADD(what, n) ((void)(n))
#define TRACE(what, a, b)  ((void)0)
#define COUNT_AT(what)     ((void)0)
#define TRACE_AT(w, a, b)  ((void)0)

bool nondet_bool(void);
uint8_t nondet_u8(void);
uint16_t nondet_u16(void);
uint32_t nondet_u32(void);
uint64_t nondet_u64(void);

#define ASSUME(e)      __CPROVER_assume(e)
#define PROVE(e, text) __CPROVER_assert(e, text)
#ifdef REACHING
#define REACH(e) __CPROVER_cover(e)
#else
#define REACH(e) ((void)(e))
#endif
#define IMPLIES(a, b) (!(a) || (b))
#define STOP()        __CPROVER_assume(0)

_Noreturn void
machine_panic(const char *why, const struct regs *regs)
{
	(void)why;
	(void)regs;
	PROVE(0, "the kernel does not panic");
	STOP();
	for (;;)
		;
}

#ifndef PROOF_OWN_LOCKS
static int locks_held;

void
lock_acquire(struct lock *l)
{
	PROVE(!l->held, "a lock is not taken twice");
	l->held = 1;
	locks_held++;
}

void
lock_release(struct lock *l)
{
	PROVE(l->held, "a lock that is released was held");
	l->held = 0;
	locks_held--;
}

void
lock_release_as(struct lock *l, unsigned int way)
{
	(void)way;
	lock_release(l);
}

bool
lock_held(const struct lock *l)
{
	return l->held;
}

#define check_locks() PROVE(locks_held == 0, "no lock is left")
#endif

void proof(void);

#endif
