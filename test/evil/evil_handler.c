/* SPDX-License-Identifier: MIT */
/* Handlers that fault in themselves, are not there, or never let go: the environment's end, with its
 * reason. */
#include "evil.h"

static int64_t
undefined(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("ud2");
	return 0;
}

static bool
fault_again(struct aegis_frame *f, uint64_t callee[6])
{
	(void)f;
	(void)callee;
	__asm__ volatile("ud2");
	return true;
}

static bool
recurse(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	return *(volatile uint64_t *)(f->addr + 8) == 0;
}

static bool
again(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	return f->cause < 32; /* the same instruction, for ever */
}

static int64_t
read_nowhere(uint64_t arg)
{
	return *(volatile int64_t *)arg;
}

/* Keeps every slice to the end and beyond. */
static int64_t
hold_on(uint64_t arg)
{
	self()->area.defer = 1;
	while (*(volatile uint64_t *)&arg != ~0ul)
		;
	return 0;
}

/* The handler's own page goes away. */
static int64_t
code_gone(uint64_t arg)
{
	(void)arg;
	*batch_binds() = (struct aegis_bind){(uint64_t)guest_fault_entry & -PAGE, 1, 0};
	aegis_tlb_delete(AEGIS_SELF, self()->space, BATCH, 1);
	__asm__ volatile("ud2");
	return 0;
}

static void
end_is(struct child *c, uint32_t want)
{
	uint32_t reason;

	evil_wake(c);
	evil_join(c, &reason);
	check_is(reason, want);
}

TEST(evil_handler)
{
	struct spawn s = {.on_fault = fault_again};
	struct child *rival;

	end_is(evil_make(undefined, 0, evil_cpu(0), &s), AEGIS_END_STACK);
	s.on_fault = recurse;
	end_is(evil_make(read_nowhere, FAR_VA, evil_cpu(1), &s), AEGIS_END_STACK);
	end_is(evil_make(code_gone, 0, evil_cpu(2), NULL), AEGIS_END_STACK);
	rival = evil_rival(evil_cpu(0)); /* alone, it would disturb nobody */
	end_is(evil_make(hold_on, 0, evil_cpu(0), NULL), AEGIS_END_OVERRUN);
	child_end(rival);
	s = (struct spawn){.flags = SPAWN_NO_FAULT};
	end_is(evil_make(undefined, 0, evil_cpu(1), &s), AEGIS_END_HANDLER);
}

/* Faults for ever, and resumes each: costs its own time only, and is destroyed. */
TEST(evil_handler_endless)
{
	const struct spawn s = {.on_fault = again};
	struct child *c = evil_make(undefined, 0, evil_cpu(0), &s);
	uint32_t faults;

	evil_wake(c);
	require(wait_for(&c->g->faults, 100));
	faults = c->g->faults;
	rest(5000000);
	check(c->g->faults > faults);
	child_end(c);
}
