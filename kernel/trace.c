/* SPDX-License-Identifier: MIT */
/*
 * Counters and trace.
 *
 * Owns: one frame of 64-bit counters and TRACE_PAGES frames of trace records for each processor.
 *
 * 1. A processor writes only its own counters and ring, with interrupts off, so no lock is needed;
 *    readers see each word whole.
 * 2. counters[cpu] and ring[cpu] point to zeroed memory before the first COUNT or TRACE of that
 *    processor; until trace_init they all point to one static page.
 * 3. Numbers of counters and events are positions in linker sections, in declaration order; names are
 *    read through counter_name.
 *
 * Exposed: frames counter_frame and trace_frame of the system page, guarded by the root.  Never
 * revoked: they belong to the kernel.
 */
#include "kernel.h"
#include "lib/lib.h"

#define TRACE_PAGES (TRACE_SLOTS * sizeof(struct aegis_trace_rec) / PAGE + 1) /* one for the head */

static uint64_t early[PAGE / 8];
uint64_t *counters[AEGIS_CPUS] = {early, early, early, early, early, early, early, early};
static struct aegis_trace_ring *rings[AEGIS_CPUS];

void
trace_init(void)
{
	uint32_t cpu_count = machine_cpus();
	uint32_t count_frame = mem_kernel_alloc(cpu_count, FRAME_EXPOSED);
	uint32_t trace_frame = mem_kernel_alloc(cpu_count * TRACE_PAGES, FRAME_EXPOSED);

	assert((size_t)(counter_defs_end - counter_defs_begin) <= PAGE / 8);
	for (uint32_t i = 0; i < cpu_count; i++) {
		counters[i] = machine_frame(count_frame + i);
		rings[i] = machine_frame(trace_frame + i * TRACE_PAGES);
		rings[i]->slots = TRACE_SLOTS;
	}
	system_page->counter_frame = count_frame;
	system_page->trace_frame = trace_frame;
	system_page->trace_pages = TRACE_PAGES;
}

void
trace_write(uint32_t event, uint64_t a, uint64_t b)
{
	struct aegis_trace_ring *ring = rings[machine_cpu()];
	struct aegis_trace_rec *rec;
	struct env *e;

	if (!ring)
		return;
	e = current();
	rec = &ring->rec[ring->head % ring->slots];
	rec->tsc = machine_tsc();
	rec->event = event;
	rec->env = e ? e->number : 0;
	rec->a = a;
	rec->b = b;
	ring->head++;
}

void
trace_dump(uint32_t last)
{
	for (uint32_t cpu = 0; cpu < machine_cpus(); cpu++) {
		struct aegis_trace_ring *ring = rings[cpu];
		uint64_t n;

		if (!ring)
			continue;
		n = ring->head < last ? ring->head : last;
		for (uint64_t i = ring->head - n; i < ring->head; i++) {
			struct aegis_trace_rec *rec = &ring->rec[i % ring->slots];

			log_print("trace cpu%u %lu %s env %u %lx %lx\n", cpu, rec->tsc,
				  trace_defs_begin[rec->event].name, rec->env, rec->a, rec->b);
		}
	}
}

status
sys_counter_name(uint32_t kind, uint32_t n, uint32_t area)
{
	const struct counter_def *defs = kind ? trace_defs_begin : counter_defs_begin;
	size_t count = kind ? (size_t)(trace_defs_end - trace_defs_begin)
			    : (size_t)(counter_defs_end - counter_defs_begin);
	char *out = area_at(current(), area, 32);

	if (kind > 1 || !out)
		return AEGIS_BAD_ARG;
	if (n >= count)
		return AEGIS_NO_SUCH;
	print_to(out, 32, "%s", defs[n].name);
	return AEGIS_OK;
}
