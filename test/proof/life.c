/* SPDX-License-Identifier: MIT */
/*
 * The life of an environment: its area changes as a whole or not at all, a setup moves it from one space to another and
 * no count is lost, it is destroyed by right only and in steps, and then everything that it was made of
 * has gone back, once; what env_read tells is told by right only.
 *
 * State: the caller and one other, whose state, links and area are arbitrary, in two spaces.
 */
#include "machine.h"

/* In place of the kernel's, which the list gives another name: it only copies. */
static void info_fill(struct aegis_env_info *info, const struct env *e);

#include "kernel/env.c"

#include "area.h"

#define OLD 200u /* frames that the other's area has, and those that a new one gets */
#define NEW 300u

static struct aegis_system_page the_page;
struct aegis_system_page *system_page = &the_page;
static struct aegis_env_page other_page;
static struct space mine, theirs;
static bool opened, finished, may_pin;
static int32_t pins_mine, pins_theirs;
static uint32_t pinned, released, refunds, unrefs, caps_gone, slices_gone, asks_gone, unqueued,
	orphans;
static uint32_t claims_gone, woken;

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	(void)slot;
	PROVE(e == &self && guard == (env_locks[2].held ? other.guard : self.guard),
	      "the caller's capability, for who is named");
	PROVE(rights == AEGIS_CONTROL, "to control it");
	return opened ? AEGIS_OK : AEGIS_DENIED;
}

static int32_t *
pins_of(const struct space *s)
{
	PROVE(s == &mine || s == &theirs, "a space that there is");
	PROVE(s->lock.held, "with its lock");
	return s == &mine ? &pins_mine : &pins_theirs;
}

uint32_t
_space_pin(struct space *s, uint64_t va)
{
	(void)va;
	if (!may_pin && nondet_bool())
		return 0;
	++*pins_of(s);
	return NEW + pinned++;
}

void
_space_unpin(struct space *s, uint32_t pfn)
{
	PROVE((pfn >= OLD && pfn < OLD + AEGIS_AREA_PAGES) ||
		      (pfn >= NEW && pfn < NEW + AEGIS_AREA_PAGES),
	      "what was pinned");
	--*pins_of(s);
}

void
cpu_unready(struct env *e)
{
	PROVE(env_locks[e->number].held, "with its lock");
	e->queued = false;
	unqueued++;
}

void
cpu_ready(struct env *e)
{
	PROVE(env_locks[e->number].held && e->state == AEGIS_STATE_READY, "who is ready");
}

void
cpu_wake(struct env *e)
{
	PROVE(env_locks[e->number].held, "with its lock");
	woken++;
}

void
cpu_release(struct env *e)
{
	PROVE(e == &other && env_locks[2].held, "its slices, with its lock");
	slices_gone++;
}

void
cap_release(struct env *e)
{
	PROVE(e == &other && env_locks[2].held, "its capabilities, with its lock");
	caps_gone++;
}

void
revoke_end(struct env *e)
{
	PROVE(e == &other && env_locks[2].held, "its request, with its lock");
	asks_gone++;
}

void
irq_release(struct env *e)
{
	PROVE(e == &other, "its lines and ports");
	claims_gone++;
}

void
chan_release(struct env *e)
{
	PROVE(e == &other, "its channel");
	claims_gone++;
}

void
pct_orphan(struct env *e)
{
	PROVE(e == &other && !env_locks[2].held, "its links, without its lock");
	orphans++;
}

bool
revocation_finish(const struct env *e)
{
	PROVE(e == &other, "what it began");
	return finished;
}

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	PROVE(n == 3 && pfns[0] == other.object && pfns[1] == other.vector &&
		      pfns[2] == other.exposed,
	      "the frames that it was made of");
	PROVE(!env_table[2], "which nobody finds any more");
	released++;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE(account == other.account && kind == ACCOUNT_ENV && n == 1, "one environment");
	refunds++;
}

void
node_unref(uint32_t node)
{
	PROVE(node == other.guard, "its guard");
	unrefs++;
}

void
upcall_prepare(struct env *e)
{
	PROVE(e == &other && env_locks[2].held, "with its lock");
}

void
space_load(struct space *s)
{
	(void)s;
	PROVE(false, "who runs here is another");
}

static const struct env *told;
static const void *told_at;

static void
info_fill(struct aegis_env_info *info, const struct env *e)
{
	PROVE(env_locks[e->number].held && __CPROVER_rw_ok(info, sizeof(*info)), "with its lock");
	told = e;
	told_at = info;
}

static void
state_any(void)
{
	locks_held = 0;
	machine_me = 0;
	machine_ipis = 0;
	for (uint32_t i = 0; i < AEGIS_ENVS; i++) {
		env_locks[i].held = 0;
		env_table[i] = NULL;
	}
	mine.lock.held = theirs.lock.held = 0;
	self.number = 1;
	self.space = &mine;
	self.state = AEGIS_STATE_RUNNING;
	self.setup.area_pages = 2;
	self.area[0] = AREA;
	self.area[1] = AREA + 1;
	other.number = 2;
	other.lock = &env_locks[2];
	other.space = nondet_bool() ? &mine : &theirs;
	other.page = &other_page;
	env_table[1] = &self;
	env_table[2] = &other;
	ASSUME(other.state <= AEGIS_STATE_ENDED && other.setup.area_pages <= AEGIS_AREA_PAGES);
	ASSUME(other.cpu < AEGIS_CPUS);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		other.area[i] = i < other.setup.area_pages ? OLD + i : 0;
	ASSUME(mine.envs > 0 && mine.envs < 1000 && theirs.envs > 0 && theirs.envs < 1000);
	pins_mine = pins_theirs = 0;
	*(other.space == &mine ? &pins_mine : &pins_theirs) = (int32_t)other.setup.area_pages;
	pinned = released = refunds = unrefs = caps_gone = slices_gone = asks_gone = unqueued =
		orphans = 0;
	claims_gone = woken = 0;
	atomic_store(&gate_epoch, 1);
}

/* Each space has the pins of the areas that are in it. */
static void
pins_check(void)
{
	int32_t pages = (int32_t)other.setup.area_pages;

	PROVE(pins_mine == (other.space == &mine ? pages : 0), "pins are those of its area");
	PROVE(pins_theirs == (other.space == &theirs ? pages : 0), "in its space");
}

void
proof_life_setup(void)
{
	struct aegis_setup setup;
	struct space *s = nondet_bool() ? &mine : &theirs, *before;
	uint32_t envs, state, old_pages, i = nondet_u32();
	status st;

	state_any();
	ASSUME(setup_valid(&setup) && i < AEGIS_AREA_PAGES);
	before = other.space;
	state = other.state;
	old_pages = other.setup.area_pages;
	envs = mine.envs + theirs.envs;
	env_lock(2, 0);
	st = _env_setup(&other, s, &setup);
	PROVE(locks_held == 1 && env_locks[2].held, "its lock is held still, and no other");
	PROVE(mine.envs + theirs.envs == envs - 1, "the count that was given is used, or gone");
	pins_check();
	if (st != AEGIS_OK) {
		PROVE(other.space == before && other.setup.area_pages == old_pages,
		      "nothing changes");
		PROVE(IMPLIES(i < old_pages, other.area[i] == OLD + i), "also of the area");
		REACH(st == AEGIS_NOT_BOUND);
		REACH(st == AEGIS_BUSY);
		return;
	}
	PROVE(state != AEGIS_STATE_RUNNING && state != AEGIS_STATE_ENDED, "who runs is left alone");
	PROVE(other.space == s && other.root == s->root * PAGE, "it is in the space");
	PROVE(other.setup.area_pages == setup.area_pages, "with the setup");
	PROVE(i < setup.area_pages ? other.area[i] == NEW + i : !other.area[i], "and the new area");
	PROVE(IMPLIES(state == AEGIS_STATE_SLEEPING, !unqueued || state != AEGIS_STATE_READY),
	      "a sleeper stays in its heap");
	REACH(s != before && old_pages > setup.area_pages);
	REACH(s == before);
}

void
proof_life_destroy(void)
{
	uint32_t cap = nondet_u32(), env = nondet_u32(), state, caller, callee, envs;
	status st;

	state_any();
	state = other.state;
	caller = other.caller;
	callee = other.callee;
	envs = mine.envs + theirs.envs;
	opened = nondet_bool();
	finished = nondet_bool();
	ASSUME(cap != AEGIS_SELF); /* its own end does not return */
	ASSUME(env != 1);
	st = sys_env_destroy(cap, env);
	check_locks();
	PROVE(IMPLIES(st == AEGIS_OK || st == AEGIS_AGAIN, opened && env == 2),
	      "by right, that one");
	if (st == AEGIS_OK) {
		PROVE(state == AEGIS_STATE_ENDED && !caller && !callee && finished,
		      "who has ended and is bound to nobody");
		PROVE(!env_table[2] && released == 1 && refunds == 1 && unrefs == 1,
		      "what it was made of has gone back, once");
		PROVE(pins_mine == 0 && pins_theirs == 0, "no pin is left");
		PROVE(mine.envs + theirs.envs == envs - 1, "its space is one user less");
		PROVE(atomic_load(&gate_epoch) != 1, "ways that led to it are looked at again");
		PROVE(caps_gone == 1, "also what was granted to it after its end");
		REACH(other.setup.area_pages == AEGIS_AREA_PAGES);
		return;
	}
	PROVE(env_table[2] == &other && !released && !refunds && !unrefs, "it is there still");
	PROVE(mine.envs + theirs.envs == envs, "in its space");
	pins_check();
	if (st == AEGIS_AGAIN && state == AEGIS_STATE_RUNNING) {
		PROVE(other.kill == AEGIS_END_OTHER && other.killed && machine_ipis,
		      "its processor is told");
		REACH(1);
	} else if (st == AEGIS_AGAIN && state != AEGIS_STATE_ENDED) {
		PROVE(other.state == AEGIS_STATE_ENDED && other.end_reason == AEGIS_END_OTHER,
		      "it has ended");
		PROVE(caps_gone == 1 && slices_gone == 1 && asks_gone == 1 && unqueued == 1 &&
			      claims_gone == 2,
		      "and has nothing any more");
		PROVE(orphans == (caller || callee), "who waits for it is told");
		REACH(orphans != 0);
	} else {
		PROVE(other.state == state && !caps_gone && !slices_gone, "nothing happens to it");
		REACH(st == AEGIS_AGAIN && !finished);
		REACH(st == AEGIS_DENIED);
	}
}

void
proof_life_read(void)
{
	uint32_t cap = nondet_u32(), env = nondet_u32(), area = nondet_u32();
	status st;

	state_any();
	opened = nondet_bool();
	told = NULL;
	st = sys_env_read(cap, env, area);
	check_locks();
	if (st != AEGIS_OK) {
		PROVE(!told, "a refusal tells nothing");
		REACH(st == AEGIS_DENIED);
		return;
	}
	PROVE(cap == AEGIS_SELF ? env == 1 : opened && (env == 1 || env == 2), "by right");
	PROVE(told == (env == 1 ? &self : &other), "of who was named");
	PROVE(told_at == (area < PAGE ? page0 : page1) + area % PAGE, "into the caller's area");
	REACH(env == 2 && area >= PAGE);
}
