/* SPDX-License-Identifier: MIT */
/*
 * Attackers on the ABI: what their tests share.
 *
 * 1. An attacker is an environment with a space of its own and nothing else: no capability, no data
 *    of the tests, only its block (see guest.h).  Its test grants what the attack is to have.
 * 2. It cannot write to the log.  What it finds wrong it notes in its text page, which the runner
 *    reads when the attacker has ended; each note is a failure.
 */
#ifndef TEST_EVIL_H
#define TEST_EVIL_H

#include "test/guest/guest.h"

#define NOTES_MAX 64u

struct note {
	uint64_t what, where, got, want;
};

struct notes {
	uint32_t count;
	struct note note[NOTES_MAX];
};
_Static_assert(sizeof(struct notes) <= PAGE, "one page");

static inline struct notes *
notes_of(struct guest *g)
{
	return (struct notes *)((uint64_t)g + TEXT);
}

static inline void
note(uint64_t what, uint64_t where, int64_t got, int64_t want)
{
	struct notes *n = notes_of(self());

	if (n->count < NOTES_MAX)
		n->note[n->count++] = (struct note){what, where, (uint64_t)got, (uint64_t)want};
}

/* The processor for attacker i: not the runner's, if there is another. */
static inline uint32_t
evil_cpu(uint32_t i)
{
	return SYSTEM->cpus == 1 ? 0 : 1 + i % (SYSTEM->cpus - 1);
}

/* An attacker that has not been woken; it has an account of its own if `s` gives limits. */
struct child *evil_make(guest_fn *fn, uint64_t arg, uint32_t cpu, const struct spawn *s);
void evil_wake(struct child *c);
/* Waits for its end, reports its notes, answers its result; *reason: why it ended. */
int64_t evil_join(struct child *c, uint32_t *reason);
/* An attacker that is to end by itself, from beginning to end. */
int64_t evil_run(guest_fn *fn, uint64_t arg);
/* Computes on that processor for ever, and gives up each slice when asked. */
struct child *evil_rival(uint32_t cpu);
/* Destroys every environment and space that is not in `before`. */
struct evil_census {
	uint8_t env[AEGIS_ENVS / 8], space[AEGIS_ENVS / 8];
};
void census_take(struct evil_census *c);
void census_restore(const struct evil_census *before);

#endif
