/* SPDX-License-Identifier: MIT */
/*
 * Processor time: no time is lost or counted twice when an environment leaves; what an epilogue takes
 * beyond its bound is owed, and each turn pays a slice of it; rings and the heap of sleepers keep
 * their shape; an event between the look and the sleep is not missed; a yield claims who is named before
 * its caller leaves.
 *
 * State: three environments, arbitrary but for numbers and the invariants of rings and heap.
 */
#include "machine.h"
#include "kernel/cpu.c"

struct env *env_table[AEGIS_ENVS];
struct account accounts[ACCOUNTS];
struct frame *frames;
uint32_t frame_count;
struct lock node_lock, mem_lock;
bool chaos_on;
/* Objects of their own, so that a pointer to one is not an address in an array. */
static struct env env1, env2, env3;
static struct aegis_env_page page1, page2, page3;
static struct aegis_system_page the_system_page;
static struct aegis_area area0;
static bool env_held[4];
static bool awake; /* env1 must not go to sleep */
/* env1 yields: to env2, which was READY; env2 was claimed; env1 has left the processor. */
static bool yielding, directed, ready, claimed, left;
static uint64_t yield_epoch;
static uint32_t yield_cap, yield_events;

static struct env *
env_of(uint32_t n)
{
	return n == 1 ? &env1 : n == 2 ? &env2 : &env3;
}

static struct aegis_env_page *
page_of(uint32_t n)
{
	return n == 1 ? &page1 : n == 2 ? &page2 : &page3;
}

void *
machine_frame(uint32_t pfn)
{
	(void)pfn;
	return &area0;
}

void *
machine_local(void)
{
	return cpus[machine_me].env;
}

void
machine_set_local(void *local)
{
	(void)local;
}

struct env *
current(void)
{
	return cpus[machine_me].env;
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	if (number == 0 || number > 3 || (generation && env_of(number)->generation != generation))
		return NULL;
	PROVE(!env_held[number], "a lock is not taken twice");
	env_held[number] = true;
	return env_of(number);
}

/* What others find whenever sys_yield lets go of a lock. */
static void
yield_look(const struct env *e)
{
	uint32_t i = e->number % YIELDS;

	if (e == &env2 && ready) {
		PROVE(e->state == AEGIS_STATE_RUNNING && e->cpu == machine_me && !e->queued,
		      "who is yielded to is claimed, and in no ring");
		PROVE(page2.events == yield_events + 1,
		      "a sleep that it is about to begin does not");
		PROVE(env1.yields.target[i] == e && env1.yields.by[i].env == e->number &&
			      env1.yields.by[i].cap == yield_cap,
		      "it is remembered by the capability that opened it");
		PROVE(env1.yields.epoch[i] == yield_epoch, "as of before that was looked at");
		claimed = true;
	}
	if (e != &env1)
		return;
	PROVE(e->state == AEGIS_STATE_READY && e->queued, "who yields is ready, in the ring");
	PROVE(!cpus[machine_me].env, "and no longer on the processor");
	PROVE(claimed == directed, "before it leaves it has whom it yields to");
	left = true;
	if (!directed)
		STOP(); /* the rest is cpu_next */
}

void
env_unlock(const struct env *e)
{
	PROVE(env_held[e->number], "a lock that is released was held");
	env_held[e->number] = false;
	if (yielding && !left)
		yield_look(e);
	if (awake && e->state != AEGIS_STATE_RUNNING) {
		PROVE(0, "a sleep that saw the event does not begin");
		STOP();
	}
}

_Noreturn void
env_end(struct env *e, uint32_t reason, const struct regs *at, uint64_t addr)
{
	(void)e;
	(void)reason;
	(void)at;
	(void)addr;
	STOP();
	for (;;)
		;
}

status
env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out)
{
	PROVE(!yielding || (cap == yield_cap && rights == AEGIS_WAKE), "the right to wake");
	if (nondet_bool()) {
		atomic_fetch_add(&gate_epoch, 1); /* another drops a capability meanwhile */
		return AEGIS_DENIED;
	}
	atomic_fetch_add(&gate_epoch, nondet_bool());
	*out = env_lock(env, 0);
	return *out ? AEGIS_OK : AEGIS_NO_SUCH;
}

void
irq_ports_load(const struct env *e, bool allow)
{
	(void)e;
	(void)allow;
}

void
space_load(struct space *s)
{
	(void)s;
}

void
space_unload(void)
{
}

void
tlb_serve(void)
{
}

void
upcall_post(struct env *e, uint32_t reason)
{
	(void)e;
	(void)reason;
}

void
upcall_deliver(struct env *e, struct regs *regs)
{
	(void)regs;
	if (!yielding)
		return;
	PROVE(left && e == &env2 && current() == e && e->state == AEGIS_STATE_RUNNING,
	      "who was named runs");
	PROVE(!env_held[1] && !env_held[2] && !env_held[3], "no lock is left");
}

void
pct_recall(struct env *e)
{
	e->caller = 0;
}

void
revoke_poll(uint64_t now)
{
	(void)now;
}

uint64_t
revoke_deadline(void)
{
	return AEGIS_NEVER;
}

uint64_t
option_number(const char *name, uint64_t otherwise)
{
	(void)name;
	return otherwise;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	awake = yielding = claimed = left = false;
	ASSUME(slice_tsc > 0);
	system_page = &the_system_page;
	for (uint32_t i = 0; i < AEGIS_CPUS; i++) {
		cpus[i].lock.held = 0;
		cpus[i].heap_count = 0;
		cpus[i].ring = 0;
		cpus[i].env = NULL;
	}
	for (uint32_t i = 0; i < ACCOUNTS; i++)
		accounts[i].ring[0] = 0;
	the_system_page.ready[0] = 0;
	for (uint32_t i = 1; i < 4; i++) {
		env_table[i] = env_of(i);
		env_of(i)->number = i;
		env_of(i)->page = page_of(i);
		env_of(i)->account = 1 + (nondet_bool() ? 1 : 0);
		env_of(i)->cpu = 0;
		env_of(i)->setup.cpu = 0;
		env_of(i)->queued = false;
		env_of(i)->heap = 0;
		env_of(i)->ports[0].n = 0;
		env_held[i] = false;
	}
}

void
proof_cpu_leave(void)
{
	struct env *e = env_of(1);
	uint64_t used, debt, now, epilogue, ran;

	state_any();
	cpus[0].env = e;
	used = e->used;
	ran = page_of(1)->time_tsc;
	debt = e->debt;
	epilogue = e->epilogue;
	cpu_leave(e);
	now = machine_tsc_last;
	ran = used + now - ran;
	PROVE(e->used == used + now, "the time since it began is its own, and nobody else's");
	PROVE(page_of(1)->time_tsc == e->used, "and shown");
	PROVE(e->epilogue == 0 && cpus[0].env == NULL, "the epilogue is over");
	PROVE(IMPLIES(!epilogue, e->debt == debt), "no debt without an epilogue");
	PROVE(IMPLIES(epilogue && now - epilogue > epilogue_tsc && ran >= now - epilogue,
		      e->debt == debt + (now - epilogue - epilogue_tsc)),
	      "what it took beyond the bound is owed");
	PROVE(e->debt - debt <= ran, "and never more than it ran");
	PROVE(IMPLIES(epilogue && now - epilogue <= epilogue_tsc, e->debt == debt),
	      "an epilogue in time costs nothing");
	REACH(e->debt > debt);
}

void
proof_cpu_debt(void)
{
	struct env *e = env_of(1);
	uint64_t debt;
	bool paid;

	state_any();
	ASSUME(slice_tsc > 0);
	debt = e->debt;
	paid = debt_pay(e);
	PROVE(paid == (debt >= slice_tsc), "who owes a slice passes its turn");
	PROVE(debt - e->debt == (paid ? slice_tsc : 0), "and pays it by that");
	PROVE(IMPLIES(paid, page_of(1)->overrun_tsc == e->debt), "and sees it");
	REACH(paid && e->debt > 0);
	REACH(paid && e->debt == 0);
}

static bool
heap_ordered(const struct cpu *c)
{
	for (uint32_t i = 0; i < 3; i++) {
		if (i >= c->heap_count)
			continue;
		if (c->heap[i] == 0 || c->heap[i] > 3 || env_table[c->heap[i]]->heap != i + 1)
			return false;
		if (i &&
		    env_table[c->heap[(i - 1) / 2]]->deadline > env_table[c->heap[i]]->deadline)
			return false;
	}
	return true;
}

void
proof_cpu_heap(void)
{
	struct cpu *c = &cpus[0];
	uint32_t out = nondet_u32();

	state_any();
	ASSUME(out >= 1 && out <= 3);
	for (uint32_t i = 1; i < 4; i++)
		_heap_insert(c, env_of(i));
	PROVE(heap_ordered(c) && c->heap_count == 3, "sleepers are in order of deadlines");
	PROVE(env_of(c->heap[0])->deadline <= env_of(out)->deadline,
	      "the first deadline is on top");
	_heap_remove(c, env_of(out));
	PROVE(heap_ordered(c) && c->heap_count == 2 && !env_of(out)->heap, "also after one went");
	REACH(c->heap[0] != 1);
}

void
proof_cpu_ring(void)
{
	struct cpu *c = &cpus[0];
	uint32_t out = nondet_u32(), seen = 0, number;

	state_any();
	ASSUME(out >= 1 && out <= 3);
	for (uint32_t i = 1; i < 4; i++)
		_ring_insert(c, 0, env_of(i));
	_ring_remove(c, 0, env_of(out));
	PROVE(the_system_page.ready[0] == 2 && !env_of(out)->queued,
	      "ready environments are counted");
	for (uint32_t i = 0; i < 2; i++) {
		number = ring_take(c);
		PROVE(number && number != out && !(seen & 1u << number),
		      "each gets its turn, once");
		seen |= 1u << number;
	}
	PROVE(c->ring == 0 && ring_take(c) == 0, "then nobody is left");
	check_locks();
	REACH(env_of(1)->account != env_of(2)->account && env_of(2)->account == env_of(3)->account);
}

/* A wake before the sleep keeps the environment awake; one after it ends the sleep. */
void
proof_cpu_event(void)
{
	struct env *e = env_of(1);
	uint32_t seen;
	status st;

	state_any();
	cpus[0].env = e;
	e->state = AEGIS_STATE_RUNNING;
	e->kill = 0;
	seen = page_of(1)->events;
	env_lock(1, 0);
	cpu_wake(e);
	env_unlock(e);
	PROVE(e->state == AEGIS_STATE_RUNNING, "a wake does not disturb who runs");
	awake = true;
	st = sys_sleep(seen, nondet_u64(), 0);
	PROVE(st == AEGIS_AGAIN || st == AEGIS_TIMED_OUT, "the sleep sees the event");
	PROVE(e->state == AEGIS_STATE_RUNNING && !env_held[1], "and does not begin");
	REACH(st == AEGIS_AGAIN);
}

void
proof_cpu_wake(void)
{
	struct env *e = env_of(1);

	state_any();
	cpus[0].env = e;
	e->state = AEGIS_STATE_RUNNING;
	e->deadline = nondet_u64();
	env_lock(1, 0);
	cpu_leave(e);
	cpu_sleep(e);
	PROVE(IMPLIES(e->deadline != AEGIS_NEVER, e->heap == 1),
	      "who has a deadline is in the heap");
	e->setup.flags = AEGIS_SETUP_EXTRA;
	cpu_wake(e);
	PROVE(e->state == AEGIS_STATE_READY && e->queued && !e->heap, "the wake ends the sleep");
	PROVE(!e->accepts, "it accepts no transfer any more");
	env_unlock(e);
	check_locks();
	REACH(e->deadline == AEGIS_NEVER);
}

/* env1 runs and yields; env2 is in any state, in the ring if it is READY. */
static void
yield_start(bool to_name)
{
	struct env *to = env_of(2);

	state_any();
	cpus[0].env = env_of(1);
	env_of(1)->state = AEGIS_STATE_RUNNING;
	env_of(1)->setup.flags = to->setup.flags = AEGIS_SETUP_EXTRA;
	ready = to->state == AEGIS_STATE_READY;
	if (ready) {
		env_lock(2, 0);
		cpu_ready(to);
		env_unlock(to);
	}
	directed = to_name;
	yield_cap = nondet_u32();
	yield_epoch = gate_epoch;
	yield_events = page2.events;
	yielding = true;
}

/* A yield to a name claims who is READY, and nobody else, before its caller leaves; who is refused runs on. */
void
proof_cpu_yield(void)
{
	struct env *e = env_of(1), *to = env_of(2);
	uint32_t state;
	status st;

	yield_start(true);
	state = to->state;
	st = sys_yield(yield_cap, 2);
	PROVE(!left && !claimed && e->state == AEGIS_STATE_RUNNING && current() == e,
	      "who is refused runs on");
	PROVE(to->state == state && to->queued == ready && page2.events == yield_events,
	      "and has touched nobody");
	PROVE(!env_held[1] && !env_held[2], "no lock is left");
	check_locks();
	PROVE(st == AEGIS_DENIED || (st == AEGIS_BUSY && !ready),
	      "refused is who has no right, or not ready");
	REACH(st == AEGIS_BUSY);
	REACH(st == AEGIS_DENIED && ready);
}

void
proof_cpu_yield_any(void)
{
	yield_start(false);
	PROVE(sys_yield(yield_cap, 1) == AEGIS_BAD_ARG && !left, "nobody yields to itself");
	REACH(ready);
	sys_yield(yield_cap, AEGIS_ANY);
	PROVE(0, "who yields to anyone has left");
}
