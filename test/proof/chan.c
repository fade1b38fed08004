/* SPDX-License-Identifier: MIT */
/*
 * The host channel: a buffer under way has a reference of its own until the device is done with it, the
 * poster holds it with the right that the direction needs, and the device is told only of addresses
 * inside it.
 *
 * State: one queue with arbitrary slots, of which the invariants of kernel/chan.c hold.
 */
#include "machine.h"
#include "kernel/chan.c"

#define FRAMES 4u

struct frame *frames;
uint32_t frame_count;
struct aegis_system_page *system_page;
static struct frame frame_array[FRAMES];
static uint8_t holds[FRAMES];
static struct space the_space;
static struct env self;
static struct aegis_chan_page the_page;
static uint32_t posted_pfn, posted_length, posted_offset;
static bool posted, device;

bool
frame_clean(uint32_t pfn)
{
	frames[pfn].flags &= (uint8_t)~FRAME_DIRTY;
	return nondet_bool();
}

struct env *
current(void)
{
	return &self;
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	return number == self.number && generation == self.generation ? &self : NULL;
}

void
env_unlock(const struct env *e)
{
	(void)e;
}

void
cpu_wake(struct env *e)
{
	PROVE(e == &self, "the claimer");
}

status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	(void)slot;
	PROVE(e == &self && rights == AEGIS_DEVICE, "the caller's right to claim devices");
	return device ? 1 : AEGIS_DENIED;
}

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	PROVE(s == &the_space && s->lock.held, "the poster's holdings, with the lock");
	return pfn < FRAMES && nondet_bool() ? &holds[pfn] : NULL;
}

void
mem_release(uint32_t pfn)
{
	PROVE(pfn < frame_count && frames[pfn].refs > 0, "a reference that there is");
	frames[pfn].refs--;
}

bool
machine_chan_present(void)
{
	return true;
}

void
machine_chan_post(uint32_t queue, uint32_t slot, uint64_t address, uint32_t length)
{
	PROVE(queue <= 1 && slot < AEGIS_CHAN_SLOTS, "a slot that there is");
	posted = true;
	posted_pfn = (uint32_t)(address / PAGE);
	posted_offset = (uint32_t)(address % PAGE);
	posted_length = length;
}

/* Slots of a queue under way in frame pfn: each is one reference. */
static uint32_t
under_way(uint32_t pfn)
{
	uint32_t n = 0;

	for (uint32_t q = 0; q < 2; q++) {
		for (uint32_t i = 0; i < AEGIS_CHAN_SLOTS; i++)
			n += chan.slots[q][i].busy && !chan.slots[q][i].complete &&
			     chan.slots[q][i].pfn == pfn;
	}
	return n;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	chan_lock.held = 0;
	the_space.lock.held = 0;
	page = &the_page;
	posted = false;
	frames = frame_array;
	frame_count = FRAMES;
	self.space = &the_space;
	self.number = 1;
	for (uint32_t i = 0; i < FRAMES; i++)
		ASSUME(frames[i].refs >= under_way(i) && frames[i].refs < 1000);
	for (uint32_t q = 0; q < 2; q++) {
		ASSUME(chan.posted[q] - page->done[q] <= AEGIS_CHAN_SLOTS);
		for (uint32_t i = 0; i < AEGIS_CHAN_SLOTS; i++) {
			uint32_t age = (i - page->done[q]) % AEGIS_CHAN_SLOTS;

			ASSUME(chan.slots[q][i].busy == (age < chan.posted[q] - page->done[q]));
			ASSUME(IMPLIES(chan.slots[q][i].busy, chan.slots[q][i].pfn < FRAMES));
			ASSUME(IMPLIES(age == 0 && chan.slots[q][i].busy,
				       !chan.slots[q][i].complete));
		}
	}
}

void
proof_chan_post(void)
{
	uint32_t queue = nondet_u32(), pfn = nondet_u32(), offset = nondet_u32(),
		 length = nondet_u32();
	uint32_t refs, ways, i = nondet_u32();
	status st;

	state_any();
	ASSUME(i < FRAMES);
	refs = frames[i].refs;
	ways = under_way(i);
	st = sys_chan_post(queue, pfn, offset, length);
	check_locks();
	PROVE(frames[i].refs - refs == under_way(i) - ways, "references are buffers under way");
	PROVE(IMPLIES(posted, posted_pfn == pfn && pfn < frame_count),
	      "the device hears of that frame");
	PROVE(IMPLIES(posted, posted_length && posted_offset + posted_length <= PAGE),
	      "and of nothing outside it");
	PROVE(IMPLIES(posted, frames[pfn].kind == FRAME_USER), "of user memory only");
	PROVE(IMPLIES(posted, holds[pfn] & (queue ? AEGIS_HOLD_READ : AEGIS_HOLD_WRITE)),
	      "which the poster may read, or write");
	PROVE(IMPLIES(posted, chan.env == 1 && chan.generation == self.generation), "the claimer");
	REACH(st >= 0 && posted);
	REACH(st == AEGIS_BUSY);
}

void
proof_chan_done(void)
{
	uint32_t queue = nondet_u32(), slot = nondet_u32(), length = nondet_u32(), i = nondet_u32();
	uint32_t refs, ways, done;

	state_any();
	ASSUME(i < FRAMES);
	refs = frames[i].refs;
	ways = under_way(i);
	done = page->done[0];
	chan_done(queue, slot, length);
	check_locks();
	PROVE(refs - frames[i].refs == ways - under_way(i), "references are buffers under way");
	PROVE(chan.posted[0] - page->done[0] <= AEGIS_CHAN_SLOTS,
	      "no more is done than was posted");
	PROVE(page->done[0] - done <= AEGIS_CHAN_SLOTS, "it counts up");
	REACH(page->done[0] - done == 2);
	REACH(ways > under_way(i) && page->done[0] == done && queue == 0);
}

/* One claimer at a time, by right; only its own end gives the claim back, and then another may have it. */
void
proof_chan_claim(void)
{
	struct env another = {.number = nondet_u32(), .generation = nondet_u32()};
	uint32_t env, generation;
	status st;

	state_any();
	device = nondet_bool();
	page = nondet_bool() ? &the_page : NULL;
	env = chan.env;
	generation = chan.generation;
	st = sys_chan_claim(nondet_u32());
	check_locks();
	PROVE((st == AEGIS_OK) == (device && page && !env), "by right, and where nobody has it");
	PROVE(IMPLIES(st == AEGIS_OK,
		      chan.env == self.number && chan.generation == self.generation),
	      "the caller has it");
	PROVE(IMPLIES(st != AEGIS_OK, chan.env == env && chan.generation == generation),
	      "a refusal leaves it to whom it belongs");
	REACH(st == AEGIS_IN_USE);
	env = chan.env;
	ASSUME(another.number > 0);
	chan_release(&another);
	check_locks();
	PROVE((chan.env == 0) ==
		      (!env || (env == another.number && chan.generation == another.generation)),
	      "it goes with its claimer, and with nobody else");
	REACH(st == AEGIS_OK && !chan.env);
	REACH(st == AEGIS_OK && chan.env && another.number == self.number);
}
