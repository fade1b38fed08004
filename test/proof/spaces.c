/* SPDX-License-Identifier: MIT */
/*
 * The life of a space: it is made of the caller's frames, by right and within the account, or nothing has changed; it
 * goes when nobody looks at it, and then what it was made of has gone back, once.
 *
 * State: the caller's space and a table of numbers that may be full; which frames can be taken is arbitrary.
 */
#include "machine.h"
#include "kernel/space.c"

#define FRAMES 8u
#define MADE   4u /* frame whose content is a space that is made */
#define NODE   3u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
struct node nodes[NODES];
static struct frame frame_array[FRAMES];
static struct space own, made, taken;
static struct env self;
static uint64_t words[PAGE / 8];
static int32_t charged, refs, objects;
static uint32_t released, guards;
static bool opens, controls, rich;

void *
machine_frame(uint32_t pfn)
{
	return pfn == MADE ? (void *)&made : (void *)words;
}

void
machine_space_init(uint32_t root_pfn)
{
	PROVE(root_pfn == made.root, "its own top table");
}

struct env *
current(void)
{
	return &self;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	PROVE(e == &self, "the caller's area");
	return offset % 8 || offset > PAGE - n ? NULL : (uint8_t *)words + offset;
}

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	(void)slot;
	PROVE(e == &self && guard == taken.guard && rights == AEGIS_CONTROL, "by right");
	return controls ? AEGIS_OK : AEGIS_DENIED;
}

status
cap_node_ref(const struct env *e, uint32_t slot, uint32_t rights)
{
	(void)slot;
	PROVE(e == &self && rights == AEGIS_ALLOC, "a name that may make spaces");
	refs += opens;
	return opens ? (status)NODE : (status)AEGIS_DENIED;
}

void
node_unref(uint32_t node)
{
	PROVE(node == NODE || node == taken.guard, "the name that guards it");
	refs--;
}

status
account_charge(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE(account == self.account && kind == ACCOUNT_SPACE && n == 1, "the caller pays");
	charged += rich;
	return rich ? AEGIS_OK : AEGIS_LIMIT;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE((account == self.account || account == taken.account) && kind == ACCOUNT_SPACE &&
		      n == 1,
	      "what was charged");
	charged--;
}

status
_mem_retype(struct space *s, uint32_t pfn, enum frame_kind kind)
{
	PROVE(s == &own && s->lock.held, "the caller's space, with its lock");
	PROVE(kind == FRAME_OBJECT || kind == FRAME_TABLE || kind == FRAME_EXPOSED,
	      "no memory of a user");
	if (pfn >= FRAMES || nondet_bool())
		return AEGIS_NOT_HELD;
	frames[pfn].kind = (uint8_t)kind;
	objects++;
	return AEGIS_OK;
}

void
_mem_untype(struct space *s, uint32_t pfn)
{
	PROVE(s == &own && s->lock.held && pfn < FRAMES, "what was taken from it");
	PROVE(frames[pfn].kind == FRAME_OBJECT,
	      "and is to be cleared: it may have the kernel's entries");
	objects--;
}

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	PROVE(n == AEGIS_SPACE_FRAMES && pfns[0] == taken.object && pfns[1] == taken.directory &&
		      pfns[2] == taken.root,
	      "the frames that it was made of");
	PROVE(space_table[1] != &taken, "which nobody finds any more");
	released++;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	table_lock.held = 0;
	own.lock.held = taken.lock.held = 0;
	frames = frame_array;
	frame_count = FRAMES;
	self.space = &own;
	self.setup.area_pages = 1;
	space_table[0] = NULL;
	space_table[1] = &taken;
	space_table[2] = nondet_bool() ? &own : NULL;
	taken.number = 1;
	ASSUME(taken.users < 100 && taken.root < FRAMES && taken.directory < FRAMES &&
	       taken.object < FRAMES);
	charged = refs = objects = 0;
	released = guards = 0;
	opens = nondet_bool();
	rich = nondet_bool();
	controls = nondet_bool();
}

void
proof_spaces_objects(void)
{
	uint32_t pfns[OBJECT_FRAMES] = {MADE, nondet_u32(), nondet_u32()};
	status st;

	state_any();
	ASSUME(pfns[1] != MADE && pfns[2] != MADE && pfns[1] != pfns[2]);
	st = objects_take(&own, pfns, FRAME_EXPOSED);
	check_locks();
	PROVE(objects == (st == AEGIS_OK ? OBJECT_FRAMES : 0), "all three, or none");
	if (st != AEGIS_OK) {
		REACH(st == AEGIS_NOT_HELD);
		return;
	}
	PROVE(frames[pfns[0]].kind == FRAME_OBJECT && frames[pfns[1]].kind == FRAME_OBJECT &&
		      frames[pfns[2]].kind == FRAME_EXPOSED,
	      "as what they are wanted");
	objects_return(&own, pfns);
	check_locks();
	PROVE(objects == 0, "and back");
	REACH(1);
}

void
proof_spaces_create(void)
{
	uint32_t area = nondet_u32(), flags = nondet_u32();
	const struct aegis_frame_rec *r = (const void *)words;
	const struct space *before[3];
	status st;

	state_any();
	ASSUME(area == 0 && r[0].pfn == MADE);
	for (uint32_t i = 0; i < 3; i++)
		before[i] = space_table[i];
	st = sys_space_create(0, area, flags);
	check_locks();
	if (st < 0) {
		PROVE(!charged && !refs && !objects, "a failure costs nothing");
		for (uint32_t i = 0; i < 3; i++)
			PROVE(space_table[i] == before[i], "and makes no space");
		REACH(st == AEGIS_LIMIT && rich);
		REACH(st == AEGIS_LIMIT && !rich);
		REACH(st == AEGIS_DENIED);
		return;
	}
	PROVE(opens && rich && (flags & ~AEGIS_SPACE_WX) == 0, "by right, and paid");
	PROVE(charged == 1 && refs == 1 && objects == AEGIS_SPACE_FRAMES, "once");
	PROVE(st == 2 && !before[2] && space_table[2] == &made, "a number that was free");
	PROVE(made.number == 2 && made.guard == NODE && made.account == self.account, "its own");
	PROVE(made.object == MADE && made.flags == flags, "as it was wanted");
	REACH(flags != 0);
}

void
proof_spaces_end(void)
{
	uint32_t users;
	status st;

	state_any();
	users = taken.users;
	ASSUME(users > 0);
	lock_acquire(&taken.lock);
	st = _space_end(&taken);
	if (st == AEGIS_AGAIN) {
		check_locks();
		PROVE(users > 1 && taken.users == users - 1, "somebody else looks at it");
		PROVE(space_table[1] == &taken && !released && !charged && !refs, "so it stays");
		REACH(1);
		return;
	}
	PROVE(st == AEGIS_OK && users == 1, "nobody does");
	PROVE(!space_table[1] && released == 1, "it is gone");
	PROVE(charged == -1 && refs == -1, "and what it cost has gone back, once");
	PROVE(frames[taken.root].kind == FRAME_OBJECT || taken.root == taken.directory,
	      "its top table is not taken for zeros");
	REACH(1);
}
