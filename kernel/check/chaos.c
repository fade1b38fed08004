/* SPDX-License-Identifier: MIT */
/*
 * Chaos: the kernel does at random what it may do at any time.  In kernels built for tests
 * (KERNEL_CHAOS, kernel.mk), not in the one that people run.
 *
 * chaos=SEED: at entries, with small probabilities, it drops every binding of the current space that
 * is not guaranteed, ends the slice early, and posts an event.  chaos_step=LO-HI[,LO-HI...]: it ends the
 * slice and posts events between any two instructions of these ranges of user code (HI belongs to them),
 * as if an interrupt had come just there; with chaos=SEED it drops the bindings there, too.  Programs
 * must not notice.  It is how the tests show that the page table is a cache, that upcalls nest, and that
 * the ways into a library and out of it are sound at each instruction.
 *
 * Either, and slow=1 alone, keeps exceptions from the entry code's short way, which has none of this.
 *
 * 1. Each boundary gets each of the deeds once at its first visits, later visits get some by the seed:
 *    so all are covered after a few rounds, and a round that goes on forever is impossible.
 * 2. A boundary while asynchronous upcalls are deferred is another place than the same one while they
 *    are not: there the reason stays pending.
 * 3. Nothing here weakens protection; off, it costs one test of a flag.
 *
 * What follows user mode through a range is the machine's (kernel/x86/step.c): it asks for the
 * beginnings of the first ranges, to which user code may come by itself; in others stepping begins when
 * the kernel goes there.
 */
#include "../tlb.h"

#define RANGES 8u
#define PLACES 16384u /* of more, some share their visits */

enum { DEED_SLICE = 1, DEED_EVENT = 2, DEED_DROP = 4, DEED_DEFERRED = 8 };

bool chaos_on, chaos_stepping, chaos_slow;
static uint64_t state;
static struct {
	uint64_t low, high;
	uint32_t place; /* of the first byte */
} ranges[RANGES];
static uint8_t visits[PLACES]; /* DEED_* that were done there */
static uint64_t boundaries[AEGIS_CPUS];

static uint64_t
hex_read(const char **p)
{
	uint64_t value = 0;

	for (;; ++*p) {
		char c = **p;

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return value;
	}
}

static void
ranges_read(const char *p)
{
	uint32_t place = 0;

	for (uint32_t i = 0; i < RANGES && *p; i++) {
		uint64_t low = hex_read(&p), high;

		if (*p != '-')
			break;
		p++;
		high = hex_read(&p);
		if (!low || high < low || high >= AEGIS_USER_MAX)
			break;
		ranges[i].low = low;
		ranges[i].high = high;
		ranges[i].place = place;
		place += (uint32_t)(high - low + 1);
		chaos_stepping = true;
		if (*p != ',')
			break;
		p++;
	}
}

void
chaos_init(void)
{
	const char *seed = option_find("chaos");
	const char *step = option_find("chaos_step");
	const char *slow = option_find("slow");

	for (; seed && *seed >= '0' && *seed <= '9'; seed++)
		state = state * 10 + (uint64_t)(*seed - '0');
	state = state * 2 + 1;
	chaos_on = seed != NULL;
	if (step)
		ranges_read(step);
	chaos_slow = chaos_on || chaos_stepping || (slow && *slow == '1');
}

static uint32_t
next(void)
{
	uint64_t x = __atomic_add_fetch(&state, 0x9e3779b97f4a7c15ul, __ATOMIC_RELAXED);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ x >> 27) * 0x94d049bb133111ebul;
	return (uint32_t)(x >> 32);
}

static void
bindings_drop(struct env *e)
{
	COUNT(chaos_drops);
	lock_acquire(&e->space->lock);
	_space_drop(e->space);
	lock_release(&e->space->lock);
}

void
chaos_step(struct regs *regs)
{
	struct env *e = current();
	uint32_t r = next();

	(void)regs;
	if (r % (chaos_stepping ? 2048 : 64) == 0) /* each fault that follows is stepped through */
		bindings_drop(e);
	if ((r >> 16) % 16 == 0) {
		COUNT(chaos_slices);
		upcall_post(e, AEGIS_PEND_SLICE);
	}
	if ((r >> 24) % 16 == 0)
		upcall_post(e, AEGIS_PEND_EVENT);
}

/* ---- at each instruction of a range ---- */

uint64_t
chaos_range_start(uint32_t i)
{
	return i < RANGES ? ranges[i].low : 0;
}

/* The place of rip, PLACES: in no range. */
static uint32_t
place_of(uint64_t rip)
{
	for (uint32_t i = 0; i < RANGES && ranges[i].low; i++) {
		if (rip >= ranges[i].low && rip <= ranges[i].high)
			return (ranges[i].place + (uint32_t)(rip - ranges[i].low)) % PLACES;
	}
	return PLACES;
}

uint8_t *
chaos_byte(uint64_t va)
{
	struct space *s = current()->space;
	uint64_t *table, *large = NULL, size, pte = 0;
	uint32_t pfn = 0;

	if (va < AEGIS_USER_MIN || va >= AEGIS_USER_MAX)
		return NULL;
	lock_acquire(&s->lock);
	table = _table_find(s, va, 1, &pfn, &size, &large);
	if (table)
		pte = table[va / PAGE % 512];
	else if (large)
		pte = *large;
	lock_release(&s->lock);
	if (!(pte & AEGIS_PTE_PRESENT))
		return NULL;
	pfn = pte_pfn(pte) + (table ? 0 : (uint32_t)(va / PAGE % LARGE_PAGES));
	if (pfn >= frame_count || frames[pfn].kind == FRAME_DEVICE)
		return NULL;
	return (uint8_t *)machine_frame(pfn) + va % PAGE;
}

/* What is to be done at a place: what was not done there yet, later mostly nothing. */
static uint32_t
deed_choose(uint32_t place, bool deferred)
{
	uint32_t some = DEED_SLICE | DEED_EVENT | (chaos_on ? DEED_DROP : 0);
	uint32_t all = deferred ? DEED_DEFERRED : some;
	uint32_t left = all & ~(uint32_t)visits[place];
	uint32_t r = next();

	if (!left && r % 64 == 0)
		left = all & (1u << (r >> 8) % 16);
	return left & -left;
}

bool
chaos_boundary(struct regs *regs)
{
	struct env *e = current();
	uint32_t place = place_of(regs->rip);
	const volatile struct aegis_area *area;
	uint32_t deed;

	if (place == PLACES || !e->area[0])
		return false;
	boundaries[machine_cpu()]++;
	area = machine_frame(e->area[0]);
	deed = deed_choose(place, area->defer);
	visits[place] |= (uint8_t)deed;
	if (!deed)
		return true;
	TRACE(chaos_deed, regs->rip, deed);
	if (deed == DEED_DROP)
		bindings_drop(e);
	else
		upcall_post(e, deed == DEED_SLICE ? AEGIS_PEND_SLICE : AEGIS_PEND_EVENT);
	upcall_deliver(e, regs);
	return place_of(regs->rip) != PLACES;
}

void
chaos_report(void)
{
	uint32_t places = 0, deferred = 0;
	uint64_t sum = 0;

	if (!chaos_on && !chaos_stepping)
		return;
	for (uint32_t i = 0; i < PLACES; i++) {
		places += (visits[i] & ~DEED_DEFERRED) != 0;
		deferred += (visits[i] & DEED_DEFERRED) != 0;
	}
	for (uint32_t i = 0; i < machine_cpus(); i++)
		sum += boundaries[i];
	log_print("chaos: %lu boundaries; upcalls at %u places, held back at %u\n", sum, places,
		  deferred);
}
