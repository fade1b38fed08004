/* SPDX-License-Identifier: MIT */
/*
 * Shootdown on one processor: what it is asked it does before it answers; what a batch collects covers
 * what was added; frames and tables go only after that.  All processors together: tlb_shootdown.pml.
 */
#include "machine.h"
#include "kernel/flush.c"

struct frame *frames;
uint32_t frame_count;
struct cpu cpus[AEGIS_CPUS];
static struct space the_space, other;
static uint32_t order, released_at, flushed_at, untyped_at;

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	(void)pfns;
	if (n)
		released_at = ++order;
	flushed_at = machine_flushes;
}

void
_mem_untype(struct space *s, uint32_t pfn)
{
	(void)s;
	(void)pfn;
	untyped_at = ++order;
}

static void
state_any(void)
{
	machine_me = 0;
	machine_flushes = machine_ipis = order = released_at = untyped_at = 0;
	cpus[0].space = nondet_bool() ? &the_space : NULL;
}

void
proof_flush_serve(void)
{
	uint32_t asked, done;

	state_any();
	asked = cpus[0].shoot_asked;
	done = cpus[0].shoot_done;
	tlb_serve();
	PROVE(cpus[0].shoot_asked == asked && cpus[0].shoot_done == asked,
	      "all requests are answered");
	PROVE(IMPLIES(asked != done, machine_flushes || cpus[0].space == NULL),
	      "after everything is forgotten, or the dying space left");
	PROVE(IMPLIES(cpus[0].space && asked != done, !cpus[0].space->dying),
	      "it leaves what dies");
	REACH(asked != done && cpus[0].space);
}

void
proof_flush_add(void)
{
	uint64_t va = nondet_u64(), n = nondet_u64(), at = nondet_u64();
	struct flush f;
	bool covered = false;

	state_any();
	ASSUME(f.ranges <= FLUSH_RANGES && f.pages <= FLUSH_PAGES && n > 0);
	ASSUME(va % PAGE == 0 && va < AEGIS_USER_MAX && n <= (AEGIS_USER_MAX - va) / PAGE);
	flush_add(&f, va, n);
	PROVE(f.ranges <= FLUSH_RANGES && f.pages <= FLUSH_PAGES, "bounded");
	ASSUME(at >= va && at < va + n * PAGE);
	for (uint32_t i = 0; i < FLUSH_RANGES; i++)
		covered |= i < f.ranges && at >= f.range[i].va &&
			   at < f.range[i].va + f.range[i].n * PAGE;
	PROVE(f.all || covered, "every page that was added is covered");
	REACH(!f.all && n == 2);
}

/* Alone: who translates through the space has forgotten before anything is released. */
void
proof_flush_finish(void)
{
	struct flush f;
	bool need, here;

	state_any();
	flush_start(&f, &the_space, &the_space);
	if (nondet_bool())
		flush_add(&f, nondet_u64(), 1);
	f.all = nondet_bool();
	f.drops = nondet_bool();
	f.tables = nondet_bool();
	need = f.all || f.ranges;
	here = nondet_bool();
	the_space.cpus = here;
	_flush_finish(&f);
	PROVE(IMPLIES(need && here, flushed_at > 0), "it forgets before frames are released");
	PROVE(IMPLIES(untyped_at && released_at, untyped_at > released_at), "and tables come last");
	PROVE(!f.ranges && !f.pages && !f.drops && !f.tables && !f.all, "nothing is left to do");
	REACH(need && here && untyped_at);
}

void
proof_flush_load(void)
{
	uint32_t cpus_other;

	state_any();
	the_space.cpus = nondet_u32();
	other.cpus = nondet_u32();
	if (cpus[0].space)
		the_space.cpus |= 1;
	cpus_other = other.cpus;
	space_load(&other);
	PROVE(cpus[0].space == &other && other.cpus == (cpus_other | 1),
	      "a space knows who uses it");
	PROVE(!(the_space.cpus & 1) || !cpus[0].space || cpus[0].space != &the_space,
	      "and who left");
	space_unload();
	PROVE(cpus[0].space == NULL && !(other.cpus & 1), "also for the kernel's own table");
	REACH(cpus_other == 2);
}
