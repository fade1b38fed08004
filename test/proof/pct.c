/* SPDX-License-Identifier: MIT */
/*
 * Protected control transfer: links between caller and callee agree before and after every step,
 * chains have a bound, nobody is entered who does not accept, and whoever ends leaves nobody
 * waiting for it.
 *
 * State: three environments with arbitrary links that satisfy invariant 1 of kernel/pct.c.
 */
#include "machine.h"
#include "kernel/pct.c"

/* Objects of their own, so that a pointer to one is not an address in an array. */
static struct env env1, env2, env3;
static struct aegis_env_page page1, page2, page3;
static struct aegis_area area1, area2, area3;
static bool held[4], gone[4], live;
static uint32_t now; /* who runs */

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

static struct aegis_area *
area_of(uint32_t n)
{
	return n == 1 ? &area1 : n == 2 ? &area2 : &area3;
}

struct env *
current(void)
{
	return env_of(now);
}

void *
machine_frame(uint32_t pfn)
{
	PROVE(pfn >= 101 && pfn <= 103, "the first page of an area");
	return area_of(pfn - 100);
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	if (number == 0 || number > 3 || gone[number] ||
	    (generation && env_of(number)->generation != generation))
		return NULL;
	PROVE(!held[number], "a lock is not taken twice");
	for (uint32_t i = number + 1; i < 4; i++)
		PROVE(!held[i], "locks of environments are taken in order of numbers");
	held[number] = true;
	return env_of(number);
}

void
env_unlock(const struct env *e)
{
	PROVE(held[e->number], "a lock that is released was held");
	held[e->number] = false;
}

status
env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out)
{
	(void)cap;
	PROVE(rights == AEGIS_CALL, "a gate needs the right to call");
	*out = nondet_bool() ? env_lock(env, 0) : NULL;
	return *out ? AEGIS_OK : AEGIS_DENIED;
}

bool
node_live(uint32_t node, uint32_t generation)
{
	PROVE(node == env_of(now)->gates[0].node &&
		      generation == env_of(now)->gates[0].node_generation,
	      "the capability behind the gate is looked at");
	return live;
}

void
cpu_leave(struct env *e)
{
	PROVE(held[e->number] && e->number == now, "who runs leaves");
	now = 0;
}

void
cpu_enter(struct env *e)
{
	PROVE(held[e->number] && now == 0, "one at a time");
	e->state = AEGIS_STATE_RUNNING;
	now = e->number;
}

void
cpu_relay(struct env *from, struct env *to)
{
	PROVE(to->number == now && from->number != now, "the time until now is another's");
	PROVE(held[to->number] && held[from->number], "under both locks");
}

void
cpu_odd(struct env *e)
{
	e->odd = nondet_bool();
}

void
cpu_ready(struct env *e)
{
	PROVE(held[e->number], "under its lock");
	e->state = AEGIS_STATE_READY;
}

void
cpu_unready(struct env *e)
{
	e->heap = 0;
}

void
cpu_sleep(struct env *e)
{
	PROVE(held[e->number], "under its lock");
	e->state = AEGIS_STATE_SLEEPING;
}

void
upcall_post(struct env *e, uint32_t reason)
{
	(void)e;
	(void)reason;
}

/* Invariants 1 and 4. */
static bool
linked(void)
{
	for (uint32_t i = 1; i < 4; i++) {
		const struct env *e = env_of(i);

		if (gone[i])
			continue;
		if (e->caller > 3 || e->callee > 3 || e->caller == i || e->callee == i)
			return false;
		if ((e->state == AEGIS_STATE_CALLING) != (e->callee != 0))
			return false;
		if (e->callee && (gone[e->callee] || env_of(e->callee)->caller != i ||
				  env_of(e->callee)->depth != e->depth + 1))
			return false;
		if (e->caller && e->state != AEGIS_STATE_ENDED &&
		    (gone[e->caller] || env_of(e->caller)->callee != i))
			return false;
		if (e->depth > AEGIS_CALL_DEPTH)
			return false;
		if (e->state == AEGIS_STATE_CALLING && e->saved != SAVED_CALL)
			return false;
	}
	return true;
}

_Noreturn void
cpu_next(void)
{
	PROVE(linked(), "links agree");
	PROVE(!held[1] && !held[2] && !held[3], "no lock is left");
	REACH(now == 0);
	STOP();
	for (;;)
		;
}

static void
state_any(void)
{
	machine_me = 0;
	machine_fast_caller = machine_fast_sender = NULL;
	for (uint32_t i = 1; i < 4; i++) {
		env_of(i)->number = i;
		env_of(i)->page = page_of(i);
		env_of(i)->area[0] = 100 + i;
		ASSUME(env_of(i)->generation > 0 && env_of(i)->state <= AEGIS_STATE_ENDED);
		/* Who ended keeps its caller until that has been told. */
		ASSUME(IMPLIES(env_of(i)->state == AEGIS_STATE_ENDED, !env_of(i)->callee));
		held[i] = false;
		ASSUME((env_of(i)->state == AEGIS_STATE_RUNNING) == (i == now));
		for (uint32_t g = 0; g < AEGIS_GATES; g++)
			ASSUME(env_of(i)->gates[g].env <= 3);
	}
	ASSUME(now >= 1 && now <= 3 && !gone[now]);
	ASSUME(linked());
}

void
proof_pct_call(void)
{
	struct machine_call call;
	uint32_t gate = nondet_u32(), self, target = nondet_u32();
	bool wait = nondet_bool(), accepted;
	status st;

	state_any();
	ASSUME(gate == 0 || gate >= AEGIS_GATES);
	self = now;
	ASSUME(target <= 3 && env_of(self)->gates[0].env == target);
	accepted = target && env_of(target)->state == AEGIS_STATE_SLEEPING &&
		   env_of(target)->accepts && !env_of(target)->caller;
	st = transfer(env_of(self), gate, wait, &call);
	PROVE(linked(), "links agree");
	PROVE(!held[1] && !held[2] && !held[3], "no lock is left");
	if (st != AEGIS_OK) {
		PROVE(now == self && env_of(self)->state == AEGIS_STATE_RUNNING,
		      "a failure changes nothing");
		REACH(st == AEGIS_DEAD);
		REACH(st == AEGIS_BUSY && wait);
		REACH(st == AEGIS_BAD_CAP);
		return;
	}
	PROVE(live && gate < AEGIS_GATES, "by a live capability");
	PROVE(accepted && target != self, "nobody is entered who does not accept, or serves");
	PROVE(now == target, "the target runs");
	PROVE(call.rip == env_of(target)->setup.call_entry && call.rip &&
		      call.rsp == env_of(target)->setup.call_stack &&
		      call.rflags == MACHINE_FLAGS_USER,
	      "at its entry, on its stack");
	PROVE(call.rax == self, "and knows who calls");
	PROVE(area_of(target)->defer == 1 && !env_of(target)->accepts, "alone with it");
	PROVE(env_of(target)->depth <= AEGIS_CALL_DEPTH, "chains are bounded");
	PROVE(env_of(self)->state == (wait ? AEGIS_STATE_CALLING : AEGIS_STATE_READY),
	      "who waits, waits");
	REACH(wait && env_of(target)->depth == AEGIS_CALL_DEPTH);
	REACH(!wait);
}

void
proof_pct_return(void)
{
	struct machine_call call, was;
	uint32_t self, caller;

	state_any();
	self = now;
	caller = env_of(self)->caller;
	was = call;
	transfer_return(env_of(self), &call);
	PROVE(linked(), "links agree");
	PROVE(!held[1] && !held[2] && !held[3], "no lock is left");
	if (now == self) {
		PROVE(call.rip == was.rip && call.rsp == was.rsp,
		      "who was not called does not return");
		return;
	}
	PROVE(now == caller && env_of(caller)->saved == SAVED_NONE && !env_of(caller)->callee,
	      "the caller goes on");
	PROVE(call.rip == env_of(caller)->regs.rip && call.rsp == env_of(caller)->regs.rsp &&
		      call.rflags == env_of(caller)->regs.rflags && call.rax == AEGIS_OK,
	      "where it called, with the answer");
	PROVE(!env_of(self)->caller && !env_of(self)->returns_to_sleep, "the call is over");
	PROVE(IMPLIES(page_of(self)->events != env_of(self)->seen,
		      env_of(self)->state == AEGIS_STATE_READY),
	      "an event during the call is not slept over");
	REACH(env_of(self)->state == AEGIS_STATE_READY);
	REACH(env_of(self)->state == AEGIS_STATE_SLEEPING);
}

/* The entry code has made a transfer: two are RUNNING here, and nothing links them yet. */
void
proof_pct_settle(void)
{
	uint32_t self, other = nondet_u32();
	bool call = nondet_bool();
	uint64_t rip;

	state_any();
	self = now;
	ASSUME(other >= 1 && other <= 3 && other != self && !gone[other]);
	ASSUME(!env_of(self)->caller && !env_of(self)->callee);
	ASSUME(env_of(other)->state == AEGIS_STATE_READY && !env_of(other)->depth);
	ASSUME(!env_of(other)->caller && !env_of(other)->callee);
	env_of(other)->state = AEGIS_STATE_RUNNING;
	rip = env_of(other)->regs.rip;
	machine_fast_caller = call ? env_of(other) : NULL;
	machine_fast_sender = call ? NULL : env_of(other);
	pct_settle();
	PROVE(linked(), "links agree");
	PROVE(!held[1] && !held[2] && !held[3], "no lock is left");
	PROVE(!machine_caller() && !machine_sender(), "there is nothing left to complete");
	PROVE(now == self && env_of(self)->state == AEGIS_STATE_RUNNING, "who was called goes on");
	if (call)
		PROVE(env_of(self)->caller == other && env_of(self)->lent == 0 &&
			      env_of(other)->saved == SAVED_CALL &&
			      env_of(other)->regs.rip == rip && env_of(other)->regs.rax == 0,
		      "the caller waits for it, with the context it left");
	else
		PROVE(!env_of(self)->caller && env_of(other)->state == AEGIS_STATE_READY,
		      "who sent waits for nobody");
	REACH(call);
	REACH(!call);
}

void
proof_pct_end(void)
{
	uint32_t i = nondet_u32(), caller, callee;
	bool ended;

	state_any();
	ASSUME(i >= 1 && i <= 3 && !gone[i] && env_of(i)->state != AEGIS_STATE_ENDED);
	caller = env_of(i)->caller;
	callee = env_of(i)->callee;
	for (uint32_t k = 1; k < 4; k++)
		ASSUME(IMPLIES(env_of(k)->caller == i,
			       k == callee)); /* nobody who ended long ago */
	ended = callee && env_of(callee)->state == AEGIS_STATE_ENDED;
	env_of(i)->state = AEGIS_STATE_ENDED; /* what env.c does before it tells */
	pct_orphan(env_of(i));
	PROVE(linked(), "links agree");
	PROVE(!held[1] && !held[2] && !held[3], "no lock is left");
	PROVE(IMPLIES(caller, env_of(caller)->state == AEGIS_STATE_READY &&
				      env_of(caller)->regs.rax == (uint64_t)(status)AEGIS_DEAD),
	      "who waited for it hears that it ended");
	PROVE(IMPLIES(callee, env_of(callee)->caller == (ended ? i : 0)),
	      "whom it waited for has no caller, or ended and does that itself");
	for (uint32_t k = 1; k < 4; k++)
		PROVE(gone[k] || (env_of(k)->callee != i &&
				  (env_of(k)->caller != i || (ended && k == callee))),
		      "nobody is linked to it");
	REACH(callee && ended);
	REACH(caller && callee);
}

void
proof_pct_recall(void)
{
	uint32_t i = nondet_u32(), caller;

	state_any();
	ASSUME(i == now && env_of(i)->caller); /* by the timer, while it runs */
	caller = env_of(i)->caller;
	pct_recall(env_of(i));
	PROVE(linked(), "links agree");
	PROVE(env_of(caller)->state == AEGIS_STATE_READY &&
		      env_of(caller)->regs.rax == (uint64_t)(status)AEGIS_TIMED_OUT,
	      "the caller has its time back");
	REACH(env_of(caller)->caller != 0);
}

void
proof_pct_bind(void)
{
	uint32_t cap = nondet_u32(), env = nondet_u32(), gate = nondet_u32();
	status st;

	state_any();
	ASSUME(env != now);
	st = sys_pct_bind(cap, env, gate);
	PROVE(!held[1] && !held[2] && !held[3], "no lock is left");
	if (st != AEGIS_OK)
		return;
	PROVE(gate < AEGIS_GATES && cap < AEGIS_CAP_SLOTS, "in the table");
	PROVE(env_of(now)->gates[gate].env == env &&
		      env_of(now)->gates[gate].generation == env_of(env)->generation,
	      "the gate leads to that very environment");
	PROVE(env_of(now)->gates[gate].node == env_of(now)->caps[cap].node &&
		      env_of(now)->gates[gate].node_generation == env_of(now)->caps[cap].generation,
	      "and dies with the capability");
	REACH(gate == 1);
}
