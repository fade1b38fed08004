/* SPDX-License-Identifier: MIT */
/*
 * Shootdown: what makes processors forget bindings.
 *
 * 1. s->cpus has the bit of every processor that may translate through s.  A processor sets
 *    its bit before it loads the table, and clears it after it loaded another, so whoever
 *    changes an entry and then reads s->cpus misses nobody: who is not in it will read the new
 *    entry.  A short transfer leaves the bit of who made it where it is, until it is over or
 *    settled (pct.c, 5): that costs a request that nobody needs, never one that is missed.
 * 2. shoot_asked counts requests to a processor, shoot_done those it has answered.  A
 *    request carries no addresses: the answer is to forget all user translations.
 * 3. A call sends at most one interrupt to each processor for a batch, waits for all
 *    answers, and answers requests itself meanwhile; so processors that wait for each other all
 *    go on.
 * 4. A frame whose last binding went is released, and a table handed out, after the answers
 *    only.
 *
 * Entries that were not accessed are in no processor's TLB and need no request: processors set
 * the bit before they cache (SDM volume 3, 4.10.2.3).
 *
 * Context: the lock of the space that changed is held while waiting.
 */
#include "tlb.h"

static void
local_forget(const struct flush *f)
{
	if (f->all) {
		machine_tlb_flush_all();
		return;
	}
	for (uint32_t i = 0; i < f->ranges; i++) {
		for (uint64_t n = 0; n < f->range[i].n; n++)
			machine_tlb_flush_page(f->range[i].va + n * PAGE);
	}
}

static __attribute__((noinline)) void
remote_forget(uint32_t mask)
{
	uint32_t ticket[AEGIS_CPUS];

	for (uint32_t cpu = 0; cpu < AEGIS_CPUS; cpu++) {
		if (!(mask & 1u << cpu))
			continue;
		ticket[cpu] = atomic_fetch_add(&cpus[cpu].shoot_asked, 1) + 1;
		machine_ipi(cpu);
		COUNT(shootdowns);
	}
	for (uint32_t cpu = 0; cpu < AEGIS_CPUS; cpu++) {
		if (!(mask & 1u << cpu))
			continue;
		while ((int32_t)(atomic_load(&cpus[cpu].shoot_done) - ticket[cpu]) < 0) {
			tlb_serve();
			machine_relax();
		}
	}
}

void
_flush_others(struct space *s)
{
	uint32_t me = 1u << machine_cpu(), mask;

	atomic_thread_fence(memory_order_seq_cst);
	mask = atomic_load(&s->cpus);
	if (mask & ~me)
		remote_forget(mask & ~me);
}

void
_flush_finish(struct flush *f)
{
	if (f->ranges || f->all) {
		if (atomic_load(&f->space->cpus) & 1u << machine_cpu())
			local_forget(f);
		_flush_others(f->space);
	}
	mem_release_many(f->drop, f->drops);
	for (uint32_t i = 0; i < f->tables; i++)
		_mem_untype(f->to, f->table[i]);
	f->ranges = f->pages = f->drops = f->tables = 0;
	f->all = false;
}

void
tlb_serve(void)
{
	struct cpu *c = &cpus[machine_cpu()];
	uint32_t asked = atomic_load(&c->shoot_asked);

	if (asked == atomic_load_explicit(&c->shoot_done, memory_order_relaxed))
		return;
	if (c->space && c->space->dying)
		space_unload();
	else
		machine_tlb_flush_all();
	atomic_store(&c->shoot_done, asked);
}

void
space_load(struct space *s)
{
	struct cpu *c = &cpus[machine_cpu()];
	uint32_t me = 1u << machine_cpu();
	struct space *old = c->space;

	if (old == s)
		return;
	atomic_fetch_or(&s->cpus, me);
	machine_space_load(s->root);
	c->space = s;
	if (old)
		atomic_fetch_and(&old->cpus, ~me);
}

void
space_unload(void)
{
	struct cpu *c = &cpus[machine_cpu()];
	struct space *old = c->space;

	if (!old)
		return;
	machine_space_load(0);
	c->space = NULL;
	atomic_fetch_and(&old->cpus, ~(1u << machine_cpu()));
}
