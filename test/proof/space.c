/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: one is opened by its own environment or by a name above its guard, and not when it is
 * going; areas are memory that stays; a destroyed space gives back each holding once.
 *
 * State: two spaces; how bindings are found is arbitrary here (tables.c, tlb.c).
 */
#include "machine.h"
#include "kernel/space.c"

#define FRAMES 8u
#define PAGES  200u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
struct node nodes[NODES];
static struct frame frame_array[FRAMES];
static struct space first, second;
static struct env self;
static uint8_t hold;
static uint64_t entry_table[512];
static uint32_t released, asked_guard, asked_rights;
static bool opens, dominates;

void *
machine_frame(uint32_t pfn)
{
	(void)pfn;
	return entry_table;
}

struct env *
current(void)
{
	return &self;
}

bool
node_dominates(uint32_t node, uint32_t guard)
{
	asked_guard = guard;
	PROVE(node != 0, "a name");
	return dominates;
}

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	(void)e;
	(void)slot;
	asked_guard = guard;
	asked_rights = rights;
	return opens ? AEGIS_OK : AEGIS_DENIED;
}

void
mem_release(uint32_t pfn)
{
	PROVE(pfn < FRAMES && frames[pfn].refs > 0, "a reference that there is");
	frames[pfn].refs--;
	released++;
}

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	(void)pfns;
	released += n;
}

uint64_t *
_table_find(struct space *s, uint64_t va, uint32_t level, uint32_t *pfn, uint64_t *size,
	    uint64_t **large)
{
	(void)s;
	(void)va;
	PROVE(level == 1, "a page table");
	*pfn = 0;
	*size = PAGE;
	*large = NULL;
	return nondet_bool() ? entry_table : NULL;
}

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	(void)s;
	(void)pfn;
	return &hold;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	table_lock.held = mem_lock.held = 0;
	first.lock.held = second.lock.held = 0;
	released = 0;
	frames = frame_array;
	frame_count = FRAMES;
	self.space = &first;
	first.number = 1;
	second.number = 2;
	space_table[0] = NULL;
	space_table[1] = &first;
	space_table[2] = nondet_bool() ? &second : NULL;
	ASSUME(first.users < 1000 && second.users < 1000);
	ASSUME(first.envs < 1000 && second.envs < 1000);
}

void
proof_space_open(void)
{
	uint32_t number = nondet_u32(), node = nondet_u32(), users, envs;
	struct space *s;

	state_any();
	users = second.users;
	envs = second.envs;
	s = space_open(&self, number, node);
	check_locks();
	PROVE(second.users == users, "whoever looked does not look any more");
	PROVE(second.envs == envs + (s == &second), "an environment more, or none");
	if (!s)
		return;
	PROVE(s->number == number && !s->dying, "the one that was named, and it stays");
	PROVE(s == &first || (node && dominates && asked_guard == second.guard),
	      "its own, or one that its name dominates");
	REACH(s == &second);
}

void
proof_space_pair(void)
{
	uint32_t cap = nondet_u32(), number = nondet_u32(), users;
	struct pair p;
	status st;

	state_any();
	users = second.users;
	st = pair_lock(&self, cap, number, &p);
	if (st != AEGIS_OK) {
		check_locks();
		PROVE(second.users == users, "nothing is kept");
		REACH(st == AEGIS_NO_SUCH && number == 2);
		return;
	}
	PROVE(p.from == &first && p.to->number == number,
	      "the caller's, and the one that was named");
	PROVE(p.from->lock.held && p.to->lock.held, "both locked");
	PROVE(!p.to->dying || cap == AEGIS_SELF, "and it stays");
	PROVE(cap == AEGIS_SELF
		      ? p.to == &first
		      : opens && asked_guard == p.to->guard && (asked_rights & AEGIS_CONTROL),
	      "its own, or one that the capability controls");
	pair_unlock(&p);
	check_locks();
	PROVE(second.users == users, "nothing is kept");
	REACH(p.to == &second);
}

void
proof_space_pin(void)
{
	uint64_t va = nondet_u64();
	uint32_t pfn, refs, link, pins;

	state_any();
	ASSUME(va / PAGE % 512 < 4);
	pfn = _space_pinned_frame(&first, va);
	if (!pfn)
		return;
	PROVE(pfn < frame_count && frames[pfn].kind == FRAME_USER, "an area is user memory");
	PROVE((hold & AEGIS_HOLD_PIN) && (hold & AEGIS_HOLD_WRITE), "guaranteed, and writable");
	PROVE(va >= AEGIS_USER_MIN && va < AEGIS_USER_MAX, "in user space");
	refs = frames[pfn].refs;
	link = frames[pfn].link;
	pins = first.area_pins;
	ASSUME(refs < 1000 && link < 1000 && pins < 1000);
	frames[pfn].refs++;
	frames[pfn].link++;
	first.area_pins++;
	_space_unpin(&first, pfn);
	check_locks();
	PROVE(frames[pfn].refs == refs && frames[pfn].link == link && first.area_pins == pins,
	      "an unpin undoes a pin");
	REACH(pfn == 3);
}

void
proof_space_die(void)
{
	bool dying = first.dying;
	uint32_t envs;

	state_any();
	first.cpus = 0;
	envs = first.envs;
	dying = first.dying;
	if (!_space_die(&first)) {
		PROVE(envs && !first.dying, "in use it stays");
		REACH(envs != 0);
		return;
	}
	PROVE(dying || envs == 0, "nobody uses what goes");
	PROVE(first.dying, "nobody can begin to");
	PROVE(space_open(&self, 1, 0) == NULL, "it is not opened any more");
	REACH(!dying);
}

void
_flush_finish(struct flush *f)
{
	PROVE(f->all && f->space == &first, "every processor is told to leave it");
}
