/* SPDX-License-Identifier: MIT */
/*
 * pager [SCALE [STORE [GROUP [random]]]]: data of more pages than the program may hold in memory, and three ways of choosing a victim.
 * SCALE (1 to 8) multiplies all that is counted in pages.
 *
 * On ExOS the program has `memory` frames for `pages` pages of its own range; what is evicted and was written is copied to the
 * store, an array of the program (there is no disk yet: what this counts is faults, not the time that a disk would take).
 * Which page goes is decided by one of
 *
 *	lru	the page whose use is longest ago, by the accessed bits, which are read without a call
 *	mru	the page that was used last
 *	own	what the program knows: in a scan the page whose turn is farthest away; otherwise that the index is used all the
 *		time and the records are not
 *
 * On Linux the same workloads run over STORE, a file or block device that is mapped shared (linux.c); `-` is anonymous
 * memory, for whose sake somebody has turned swapping on.  The kernel chooses.  GROUP is the folder of a control group that
 * the program is in: its limit is set so that at most `memory` pages of data are in memory.
 * `random` tells the kernel to read no more than what is asked for.
 *
 * Workloads: `scan` goes through all pages again and again; `random` looks up an index of few pages and then a
 * record of many; `mixed` does both in turn.  Each writes a page in four.  Prints "name value" lines; `pager_*_sum` says
 * whether anything was lost.
 */
#include "pager.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exos/api.h>
#include <exos/vm.h>

#define SCALE_MAX 8u
#define SCANS     12u

uint64_t *data;
uint32_t pages = 256, memory = 96;
static uint32_t index_pages = 24, lookup_count = 6000;

/* ---- what the program knows about itself ---- */
enum phase { PHASE_SCAN, PHASE_LOOKUP };
static enum phase phase;
static uint32_t position; /* of the scan */

/* ---- memory of its own, on ExOS ---- */
enum policy { LRU, MRU, OWN, POLICIES };
static const char *const policy_name[POLICIES] = {"lru", "mru", "own"};

static struct exos_vm vm;
static enum policy policy;
static uint64_t store[256 * SCALE_MAX]
		     [WORDS]; /* what is not in memory; zeros at first, like the file */
static uint32_t resident[96 * SCALE_MAX], residents;
static uint64_t used[256 * SCALE_MAX]; /* when, in faults */
static uint64_t faults, written, now;

EXOS_HANDLER static void
page_copy(uint64_t *to, const uint64_t *from)
{
	uint64_t n = WORDS;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

static uint64_t
va_of(uint32_t page)
{
	return vm.start + page * PAGE;
}

/* Who was accessed since the last fault was used now; then the bits begin again, by one call for all. */
EXOS_HANDLER static void
uses_note(void)
{
	now++;
	for (uint32_t i = 0; i < residents; i++) {
		uint64_t pte = exos_pte(vm.start + resident[i] * PAGE);

		/* A binding that the kernel dropped takes its bits along. */
		if ((pte & AEGIS_PTE_ACCESSED) || !(pte & AEGIS_PTE_PRESENT))
			used[resident[i]] = now;
	}
}

/* How much the program would like to keep a page; the least goes. */
EXOS_HANDLER static uint64_t
worth(uint32_t page)
{
	switch (policy) {
	case LRU:
		return used[page];
	case MRU:
		return ~used[page];
	default:
		if (phase == PHASE_SCAN)
			return pages -
			       (page + pages - position) % pages; /* far from its turn: little */
		return page < index_pages ? ~0ul : used[page];
	}
}

/* Index in resident[] of the victim. */
EXOS_HANDLER static uint32_t
victim(void)
{
	uint64_t worth_least = worth(resident[0]);
	uint32_t least = 0;

	for (uint32_t i = 1; i < residents; i++) {
		uint64_t is = worth(resident[i]);

		if (is < worth_least) {
			worth_least = is;
			least = i;
		}
	}
	return least;
}

/*
 * Makes room.  Dirty bits are cleared with the accessed bits when uses are noted, so whether a page was ever written is
 * kept in its entry: it was bound read only at first.
 */
EXOS_HANDLER static void
evict(uint32_t i)
{
	uint32_t page = resident[i];
	uint64_t va = vm.start + page * PAGE;

	if (vm.ops->lookup(vm.table, va) & EXOS_PAGE_WRITE) {
		page_copy(store[page], (const uint64_t *)va);
		written++;
	}
	exos_vm_evict(&vm, va);
	resident[i] = resident[--residents];
}

EXOS_HANDLER static int
absent(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	uint32_t page = (uint32_t)((va - v->start) / PAGE);

	(void)f;
	faults++;
	uses_note();
	if (residents == memory)
		evict(victim());
	exos_clean(v->start, pages);
	if (exos_vm_fill(v, va, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE))
		return 0;
	page_copy((uint64_t *)va, store[page]);
	exos_vm_protect(v, va, 1, AEGIS_BIND_READ);
	resident[residents++] = page;
	used[page] = now + 1;
	return 1;
}

EXOS_HANDLER static int
denied(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	exos_vm_protect(v, va, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	return 1;
}

EXOS_HANDLER static int
on_fault(struct aegis_frame *f)
{
	return exos_vm_fault(&vm, f);
}

/* The kernel asks for memory: the program gives what its policy says. */
EXOS_HANDLER static uint32_t
on_revoke(uint32_t want)
{
	uint32_t given = 0;

	while (given < want && vm.pooled)
		given += (uint32_t)exos_frames_free(&vm.pool[--vm.pooled], 1);
	return given;
}

static void
memory_make(void)
{
	if (exos_vm_make(&vm, pages, &exos_linear, memory + 1) < 0) {
		fputs("no memory\n", stderr);
		exit(1);
	}
	vm.absent = absent;
	vm.denied = denied;
	memset(store, 0, sizeof(store));
	memset(used, 0, sizeof(used));
	residents = 0;
	faults = written = now = 0;
	exos_fault_handler(on_fault, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	exos_revoke_handler(on_revoke);
	data = (uint64_t *)va_of(0);
}

/* ---- workloads ---- */
static uint32_t seed;

static uint32_t
random_next(void)
{
	seed = seed * 1103515245u + 12345u;
	return seed >> 8;
}

/* A use of a page; one in four writes. */
static uint64_t
use(uint32_t page, uint32_t step)
{
	uint64_t *p = data + page * WORDS;
	uint64_t was = p[page % WORDS] + p[(page + 100) % WORDS];

	if (step % 4 == 0)
		p[page % WORDS] += step;
	return was;
}

static uint64_t
scan(uint32_t times)
{
	uint64_t sum = 0;

	phase = PHASE_SCAN;
	for (uint32_t i = 0; i < times * pages; i++) {
		position = i % pages;
		sum = sum * 3 + use(position, i);
	}
	return sum;
}

static uint64_t
lookups(uint32_t count)
{
	uint64_t sum = 0;

	phase = PHASE_LOOKUP;
	for (uint32_t i = 0; i < count; i++) {
		sum = sum * 3 + use(random_next() % index_pages, i);
		if (i % 3 == 0)
			sum += use(index_pages + random_next() % (pages - index_pages), i);
	}
	return sum;
}

enum workload { SCAN, RANDOM, MIXED, WORKLOADS };
static const char *const workload_name[WORKLOADS] = {"scan", "random", "mixed"};

uint64_t
work(int w)
{
	uint64_t sum = 0;

	seed = 12345;
	if (w == SCAN)
		return scan(SCANS);
	if (w == RANDOM)
		return lookups(lookup_count);
	for (uint32_t i = 0; i < 4; i++)
		sum = sum * 7 + lookups(lookup_count / 8) + scan(2);
	return sum;
}

static void
run_own(enum workload w)
{
	for (policy = LRU; policy < POLICIES; policy++) {
		uint64_t sum;

		memory_make();
		sum = work(w);
		printf("pager_%s_%s_faults %" PRIu64 "\n", workload_name[w], policy_name[policy],
		       faults);
		printf("pager_%s_%s_written %" PRIu64 "\n", workload_name[w], policy_name[policy],
		       written);
		printf("pager_%s_%s_sum %" PRIu64 "\n", workload_name[w], policy_name[policy], sum);
		exos_fault_handler(NULL, 0);
		exos_revoke_handler(NULL);
		exos_vm_destroy(&vm);
	}
}

static void
scale_set(const char *text)
{
	uint32_t scale = (uint32_t)strtoul(text, NULL, 10);

	if (scale < 1 || scale > SCALE_MAX) {
		fprintf(stderr, "pager: a scale is 1 to %u\n", SCALE_MAX);
		exit(2);
	}
	pages *= scale;
	memory *= scale;
	index_pages *= scale;
	lookup_count *= scale;
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		scale_set(argv[1]);
	if (!exos_here())
		linux_make(argc > 2 ? argv[2] : "pager.data", argc > 3 ? argv[3] : NULL, argc > 4);
	for (enum workload w = SCAN; w < WORKLOADS; w++) {
		if (exos_here())
			run_own(w);
		else
			linux_run(workload_name[w], w);
	}
	return 0;
}
