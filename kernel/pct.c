/* SPDX-License-Identifier: MIT */
/*
 * Protected control transfer.
 *
 * Owns: gates, and the links caller <-> callee between environments.
 *
 * 1. c->callee == t and c->state == CALLING exactly while t->caller == c; both are changed with both
 *    locks held, taken in order of environment numbers.
 * 2. A target is entered only out of a sleep that accepts, so that nothing of it is running or half
 *    done, and while nobody waits for it; it goes back into that sleep when it returns.
 * 3. A caller that waits holds SAVED_CALL: rip, rsp, rflags, segment bases and PKRU; its general
 *    registers are the message, and are not kept.
 * 4. Chains are at most AEGIS_CALL_DEPTH long, so that walking one is bounded: e->depth is the number
 *    of callers that wait for e, or did when it was called.
 * 5. A processor's entry code may make one transfer, out of an environment that nobody waits for into
 *    one whose door is open, and the return from it, without C (switch.S).  It does what transfer and
 *    transfer_return do, with the target's lock held, but for what only others could see: the caller
 *    stays RUNNING, as it may, because the processor that runs it knows: machine_caller; the callee's
 *    door says `shortly` exactly then, and the processor keeps its bit in the caller's space (flush.c, 1).
 *    The links are made, the bit and `shortly` go, and the time until then is charged to the caller,
 *    when C is entered for any reason (pct_settle), so that C sees invariants 1 to 4 as they are, on
 *    every processor.  machine_sender is the same for a transfer that nobody returns from, and for a
 *    yield (cpu.c, invariant 6).
 * 6. ways[] remembers the target of a gate that was found live at an epoch; gate_epoch changes after each
 *    revocation of a name, and before the number of an environment that ended is free.  The entry code
 *    compares them with the target's lock held.
 * 7. The processor's time goes on being that of the slice: only cpu->env changes.  A slice that is
 *    over stays over: who is entered in an epilogue has what is left of it.
 * 8. A link names the other side by its number alone.  It is enough: the number of an environment that
 *    ended is not free while it has links, which only its own pct_orphan takes from it, and nobody can
 *    call one that has ended or runs.
 *
 * Context: pct_switch runs on the light path with the message in registers; it may not return through
 * anything but *call.  Revoked: with either environment (pct_orphan), with the capability behind the
 * gate (checked by generation at each transfer), and after AEGIS_CALL_SLICES (pct_recall).
 */
#include "kernel.h"

atomic_ulong gate_epoch;
COUNTER(pct_transfers, "transfers");

/* Locks both, the lower number first.  False, nothing locked: the other is gone. */
static bool
both_lock(struct env *self, uint32_t other, uint32_t generation, struct env **out)
{
	bool first = other < self->number;

	if (other == self->number)
		return false;
	if (!first)
		env_lock(self->number, 0);
	*out = env_lock(other, generation);
	if (first && *out)
		env_lock(self->number, 0);
	if (!first && !*out)
		env_unlock(self);
	return *out != NULL;
}

static void
both_unlock(struct env *a, struct env *b)
{
	env_unlock(a);
	env_unlock(b);
}

status
sys_pct_bind(uint32_t cap, uint32_t env, uint32_t gate)
{
	struct env *self = current();
	struct env *t;
	status st;

	if (gate >= AEGIS_GATES)
		return AEGIS_BAD_ARG;
	if (cap >= AEGIS_CAP_SLOTS)
		return AEGIS_BAD_CAP;
	st = env_open(cap, env, AEGIS_CALL, &t);
	if (st != AEGIS_OK)
		return st;
	self->gates[gate].env = env;
	self->gates[gate].generation = t->generation;
	self->gates[gate].node = self->caps[cap].node;
	self->gates[gate].node_generation = self->caps[cap].generation;
	self->ways[gate].epoch = 0;
	env_unlock(t);
	return AEGIS_OK;
}

/* The context that c's registers hold, of which the general ones are not kept. */
static void
caller_complete(struct env *c)
{
	c->regs = (struct regs){
		.rip = c->regs.rip,
		.rsp = c->regs.rsp,
		.rflags = c->regs.rflags,
		.cs = MACHINE_USER_CS,
		.ss = MACHINE_USER_SS,
	};
	c->saved = SAVED_CALL;
}

static void
context_save(struct env *e, const struct machine_call *call)
{
	e->regs.rip = call->rip;
	e->regs.rsp = call->rsp;
	e->regs.rflags = call->rflags;
	caller_complete(e);
	e->fs_base = machine_fs_base();
	e->gs_base = machine_gs_base();
	e->pkru = machine_pkru();
}

/* e becomes current in what is left of a slice, or of the epilogue that began at `epilogue`. */
static void
_transfer_enter(struct env *e, uint64_t epilogue)
{
	struct aegis_area *area = machine_frame(e->area[0]);

	cpu_enter(e);
	e->epilogue = epilogue;
	cpu_odd(e);
	if (epilogue)
		upcall_post(e, AEGIS_PEND_SLICE);
	if (e->kill || (__atomic_load_n(&area->pending, __ATOMIC_RELAXED) &&
			!__atomic_load_n(&area->defer, __ATOMIC_RELAXED)))
		machine_ipi(machine_cpu()); /* looked at as soon as user mode is reached */
}

/* t, out of its accepting sleep, becomes current.  Both locks held. */
static void
_callee_enter(struct env *t, uint32_t caller, uint64_t epilogue, struct machine_call *call)
{
	struct aegis_area *area = machine_frame(t->area[0]);

	if (t->heap)
		cpu_unready(t);
	t->accepts = false;
	t->returns_to_sleep = true;
	t->lent = 0;
	area->defer = 1;
	_transfer_enter(t, epilogue);
	machine_set_fs_base(t->setup.call_fs);
	machine_set_gs_base(t->setup.gs_base);
	machine_set_pkru(t->setup.pkru);
	call->rax = caller;
	call->rip = t->setup.call_entry;
	call->rsp = t->setup.call_stack;
	call->rflags = MACHINE_FLAGS_USER;
}

/* The next transfer through the gate need not look again until something is revoked or freed. */
static void
way_remember(struct env *self, uint32_t gate, struct env *t, uint64_t epoch)
{
	self->ways[gate].lock = t->lock;
	self->ways[gate].target = t;
	self->ways[gate].epoch = epoch;
}

static status
transfer(struct env *self, uint32_t gate, bool wait, struct machine_call *call)
{
	uint64_t epilogue = self->epilogue, epoch = atomic_load(&gate_epoch);
	struct env *t;

	if (gate >= AEGIS_GATES || !self->gates[gate].env)
		return AEGIS_BAD_ARG;
	if (!node_live(self->gates[gate].node, self->gates[gate].node_generation))
		return AEGIS_BAD_CAP;
	if (!both_lock(self, self->gates[gate].env, self->gates[gate].generation, &t))
		return AEGIS_DEAD;
	if (t->state == AEGIS_STATE_ENDED) {
		both_unlock(self, t);
		return AEGIS_DEAD;
	}
	if (t->state != AEGIS_STATE_SLEEPING || !t->accepts || !t->setup.call_entry || t->caller ||
	    (wait && self->depth >= AEGIS_CALL_DEPTH)) {
		both_unlock(self, t);
		COUNT(transfers_busy);
		return AEGIS_BUSY;
	}
	way_remember(self, gate, t, epoch);
	COUNT_AT(pct_transfers);
	TRACE(transfer, t->number, wait);
	cpu_leave(self);
	if (wait) {
		context_save(self, call);
		self->state = AEGIS_STATE_CALLING;
		self->callee = t->number;
		t->caller = self->number;
		t->depth = self->depth + 1;
	} else {
		t->caller = t->depth = 0;
		self->forced_row = 0;
		self->cpu = self->setup.cpu;
		cpu_ready(self);
	}
	_callee_enter(t, self->number, epilogue, call);
	both_unlock(self, t);
	return AEGIS_OK;
}

/* t is done with a call: back into its sleep, or ready if something happened meanwhile. */
static void
_callee_rest(struct env *t)
{
	t->caller = t->depth = 0;
	t->returns_to_sleep = false;
	t->forced_row = 0;
	if (t->page->events != t->seen) {
		t->accepts = false;
		t->cpu = t->setup.cpu;
		cpu_ready(t);
	} else {
		t->accepts = true;
		cpu_sleep(t);
	}
}

static void
transfer_return(struct env *t, struct machine_call *call)
{
	uint64_t epilogue = t->epilogue;
	struct env *c;

	if (!t->returns_to_sleep) {
		call->rax = (uint64_t)(status)AEGIS_BAD_ARG;
		return;
	}
	if (!t->caller || !both_lock(t, t->caller, 0, &c)) {
		env_lock(t->number, 0);
		cpu_leave(t);
		_callee_rest(t);
		env_unlock(t);
		cpu_next();
	}
	cpu_leave(t);
	_callee_rest(t);
	if (c->state != AEGIS_STATE_CALLING || c->callee != t->number) {
		both_unlock(t, c);
		cpu_next();
	}
	c->callee = 0;
	c->saved = SAVED_NONE;
	_transfer_enter(c, epilogue);
	machine_set_fs_base(c->fs_base);
	machine_set_gs_base(c->gs_base);
	machine_set_pkru(c->pkru);
	call->rip = c->regs.rip;
	call->rsp = c->regs.rsp;
	call->rflags = c->regs.rflags;
	call->rax = AEGIS_OK;
	both_unlock(t, c);
}

void
pct_settle(void)
{
	struct env *t = current();
	struct env *c = machine_caller(), *from = c ? c : machine_sender();

	machine_caller_clear();
	both_lock(t, from->number, 0, &from);
	cpu_relay(from, t);
	t->lent = 0;
	t->shortly = false;
	if (c) {
		caller_complete(c);
		c->state = AEGIS_STATE_CALLING;
		c->callee = t->number;
		t->caller = c->number;
		t->depth = 1;
	} else {
		from->forced_row = 0;
		from->cpu = from->setup.cpu;
		cpu_ready(from);
	}
	both_unlock(from, t);
}

void
pct_switch(uint32_t number, uint32_t gate, struct machine_call *call)
{
	struct env *self = current();
	status st;

	if (number == AEGIS_CALL_pct_return) {
		transfer_return(self, call);
		return;
	}
	st = transfer(self, gate, number == AEGIS_CALL_pct_call, call);
	if (st != AEGIS_OK)
		call->rax = (uint64_t)st;
}

/* A caller that waits for `callee` goes on with an error. */
static void
caller_release(uint32_t caller, uint32_t callee, status st)
{
	struct env *c = env_lock(caller, 0);

	if (!c)
		return;
	if (c->state == AEGIS_STATE_CALLING && c->callee == callee) {
		c->callee = 0;
		c->regs.rax = (uint64_t)st;
		c->cpu = c->setup.cpu;
		cpu_ready(c);
	}
	env_unlock(c);
}

void
pct_orphan(struct env *e)
{
	struct env *t = env_lock(e->callee, 0);

	if (t && t->caller == e->number && t->state != AEGIS_STATE_ENDED)
		t->caller = 0;
	if (t)
		env_unlock(t);
	if (e->caller)
		caller_release(e->caller, e->number, AEGIS_DEAD);
	env_lock(e->number, 0);
	e->caller = e->callee = 0;
	env_unlock(e);
}

void
pct_recall(struct env *e)
{
	uint32_t caller = e->caller;

	e->caller = 0;
	COUNT(transfers_recalled);
	caller_release(caller, e->number, AEGIS_TIMED_OUT);
}
