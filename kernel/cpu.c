/* SPDX-License-Identifier: MIT */
/*
 * Processor time: slices, sleeping, and switching between environments.
 *
 * Owns: for each processor the vector of slices, a ring of accounts with their rings of ready
 * environments, and a heap of sleepers by deadline; and the states of environments.
 *
 * Time is cut at multiples of the slice length since boot, the same on every processor: slice number
 * now / length, modulo AEGIS_SLICES, names the entry of the vector.  Nothing drifts, and a processor
 * that idles needs no timer to know where it is.
 *
 * 1. An environment is in at most one ring, that of its account on processor e->cpu, only while READY;
 *    e->queued says so.  It is in the heap of e->cpu only while SLEEPING with a deadline.
 * 2. Whose a slice is, slice.c says; here it only decides who is picked.
 * 3. An environment's time begins to count where it becomes cpu->env, and ends where it ceases to be:
 *    in cpu_enter and cpu_leave, or in cpu_relay when a transfer or a yield was made without C.  In
 *    between `used` lacks the time at which it began.
 * 4. Lock order: the environment's lock, then the processor's.  A candidate is picked under the
 *    processor's lock, and looked at again under its own.
 * 5. A wake between the check of the event count and SLEEPING cannot be lost: both are done, and the
 *    count is changed, under the environment's lock.  A reason is posted before its event is counted,
 *    so that whoever has seen the count sees the reason.
 * 6. A processor's entry code may yield to a name without C (switch.S), if sys_yield has found before, and
 *    remembered in yields[], that the capability opens it (pct.c, invariant 6), and if its lock says
 *    that it is READY and begins afresh (LOCK_READY).  Rings are not changed then: the first who yielded
 *    stays RUNNING, as machine_sender; those between are READY, and in the ring as they were before; who
 *    runs is GIVEN the processor, and still in the ring.  pct_settle makes all of it as it should be when C is
 *    entered, for any reason.
 *
 * Exposed: environment page (slice, slice_end, events), system page (ready, idle_cpus).  Revoked: a
 * slice by revoke.c through slice_take.
 */
#include "kernel.h"

#define HEAP_NONE  UINT64_MAX
#define PICK_TRIES 8 /* candidates looked at before a processor takes what comes */

struct cpu cpus[AEGIS_CPUS];
static struct aegis_system_page early; /* until there are frames */
struct aegis_system_page *system_page = &early;
static uint64_t slice_tsc, epilogue_tsc, force_tsc;
static uint32_t force_max = AEGIS_FORCE_MAX, call_slices = AEGIS_CALL_SLICES;
COUNTER(directed_yields, "directed_yields");

static struct cpu *
cpu_this(void)
{
	return &cpus[machine_cpu()];
}

void
cpu_init(void)
{
	force_max = option_bound("force_max", AEGIS_FORCE_MAX);
	call_slices = option_bound("call_slices", AEGIS_CALL_SLICES);
	atomic_fetch_add(&gate_epoch, 1); /* 0 is never */
	slice_tsc = system_page->slice_tsc;
	epilogue_tsc = system_page->tsc_hz / 1000000 * AEGIS_EPILOGUE_NS / 1000;
	force_tsc = system_page->tsc_hz / 1000000 * AEGIS_FORCE_NS / 1000;
	for (uint32_t i = 0; i < AEGIS_CPUS; i++) {
		cpus[i].yielded = UINT64_MAX;
		cpus[i].stamp = i + AEGIS_CPUS; /* 0 is never */
	}
}

static uint64_t
slice_count(uint64_t now)
{
	return (now - system_page->tsc_boot) / slice_tsc;
}

/* ---- the ring of ready environments; cpu.lock held ---- */

static void
_ring_insert(struct cpu *c, uint32_t cpu, struct env *e)
{
	struct account *a = &accounts[e->account];

	if (a->ring[cpu]) {
		struct env *head = env_table[a->ring[cpu]];

		e->next = head->number;
		e->prev = head->prev;
		env_table[head->prev]->next = e->number;
		head->prev = e->number;
	} else {
		a->ring[cpu] = e->next = e->prev = e->number;
		if (c->ring) {
			struct account *head = &accounts[c->ring];

			a->next[cpu] = (uint16_t)c->ring;
			a->prev[cpu] = head->prev[cpu];
			accounts[head->prev[cpu]].next[cpu] = (uint16_t)e->account;
			head->prev[cpu] = (uint16_t)e->account;
		} else {
			c->ring = a->next[cpu] = a->prev[cpu] = (uint16_t)e->account;
		}
	}
	e->queued = true;
	system_page->ready[cpu]++;
}

static void
_ring_remove(struct cpu *c, uint32_t cpu, struct env *e)
{
	struct account *a = &accounts[e->account];

	if (e->next == e->number) {
		a->ring[cpu] = 0;
		if (a->next[cpu] == e->account) {
			c->ring = 0;
		} else {
			accounts[a->prev[cpu]].next[cpu] = a->next[cpu];
			accounts[a->next[cpu]].prev[cpu] = a->prev[cpu];
			if (c->ring == e->account)
				c->ring = a->next[cpu];
		}
	} else {
		env_table[e->prev]->next = e->next;
		env_table[e->next]->prev = e->prev;
		if (a->ring[cpu] == e->number)
			a->ring[cpu] = e->next;
	}
	e->queued = false;
	system_page->ready[cpu]--;
}

/* ---- the heap of sleepers; cpu.lock held ---- */

static void
_heap_set(struct cpu *c, uint32_t i, uint32_t number)
{
	c->heap[i] = number;
	env_table[number]->heap = i + 1;
}

/* `number` goes to its place above or below i, which is free. */
static void
_heap_place(struct cpu *c, uint32_t i, uint32_t number)
{
	uint64_t deadline = env_table[number]->deadline;

	while (i > 0 && env_table[c->heap[(i - 1) / 2]]->deadline > deadline) {
		_heap_set(c, i, c->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < c->heap_count &&
		    env_table[c->heap[child + 1]]->deadline < env_table[c->heap[child]]->deadline)
			child++;
		if (child >= c->heap_count || env_table[c->heap[child]]->deadline >= deadline)
			break;
		_heap_set(c, i, c->heap[child]);
		i = child;
	}
	_heap_set(c, i, number);
}

static void
_heap_insert(struct cpu *c, struct env *e)
{
	_heap_place(c, c->heap_count++, e->number);
}

static void
_heap_remove(struct cpu *c, struct env *e)
{
	uint32_t i = e->heap - 1;
	uint32_t last = c->heap[--c->heap_count];

	e->heap = 0;
	if (last != e->number)
		_heap_place(c, i, last);
}

/* ---- states ---- */

static bool
wants_ring(const struct env *e)
{
	return (e->setup.flags & AEGIS_SETUP_EXTRA) || e->returns_to_sleep || e->kill;
}

void
cpu_ready(struct env *e)
{
	struct cpu *c = &cpus[e->cpu];
	bool idle;

	e->state = AEGIS_STATE_READY;
	lock_acquire(&c->lock);
	if (wants_ring(e) && !e->queued)
		_ring_insert(c, e->cpu, e);
	idle = system_page->idle_cpus & (1u << e->cpu);
	lock_release(&c->lock);
	if (e->stamp % AEGIS_CPUS != e->cpu)
		e->stamp = 0; /* a short yield finds only who is ready on its own processor */
	if (idle && e->cpu != machine_cpu())
		machine_ipi(e->cpu);
}

void
cpu_unready(struct env *e)
{
	struct cpu *c = &cpus[e->cpu];

	lock_acquire(&c->lock);
	if (e->queued)
		_ring_remove(c, e->cpu, e);
	if (e->heap)
		_heap_remove(c, e);
	lock_release(&c->lock);
}

void
cpu_sleep(struct env *e)
{
	struct cpu *c = &cpus[e->cpu];

	e->state = AEGIS_STATE_SLEEPING;
	if (e->deadline == AEGIS_NEVER)
		return;
	lock_acquire(&c->lock);
	_heap_insert(c, e);
	lock_release(&c->lock);
}

static void
_sleep_end(struct env *e)
{
	if (e->heap)
		cpu_unready(e);
	e->accepts = false;
	e->cpu = e->setup.cpu;
	cpu_ready(e);
}

void
cpu_wake(struct env *e)
{
	__atomic_add_fetch(&e->page->events, 1, __ATOMIC_SEQ_CST);
	if (e->state == AEGIS_STATE_SLEEPING)
		_sleep_end(e);
}

/* ---- switching ---- */

void
cpu_odd(struct env *e)
{
	e->odd = e->epilogue || e->ports[0].n ? ODD_OTHERWISE : 0;
}

/* Accounts the time of e, which runs until now.  env.lock held */
static void
_time_end(struct env *e, uint64_t now)
{
	e->used += now;
	e->page->time_tsc = e->used;
	e->page->entries = e->calls;
}

/* The owner of the slice that runs gives the rest of it away; in an epilogue the next has begun. */
static void
_slice_given(struct cpu *c)
{
	if (!c->extra)
		c->yielded = slice_count(c->slice_end - 1);
}

void
cpu_relay(struct env *from, struct env *to)
{
	struct cpu *c = cpu_this();
	uint64_t now = machine_tsc();

	c->env = to;
	if (c->space != to->space) /* whose bit a transfer left */
		atomic_fetch_and(&c->space->cpus, ~(1u << machine_cpu()));
	c->space = to->space;
	if (!(to->odd & ODD_GIVEN)) {
		_time_end(from, now);
		to->used -= now;
		return;
	}
	_slice_given(c);
	cpu_odd(to);
	if (to->queued)
		cpu_unready(to);
}

void
cpu_leave(struct env *e)
{
	struct cpu *c = cpu_this();
	uint64_t now = machine_tsc(), before = e->page->time_tsc;

	_time_end(e, now);
	if (e->epilogue) {
		uint64_t ran = e->used - before, late = now - e->epilogue;

		/* Who was called in another's epilogue owes its own part. */
		if (late > epilogue_tsc) {
			late -= epilogue_tsc;
			e->debt += late < ran ? late : ran;
			e->page->overrun_tsc = e->debt;
		}
		e->epilogue = 0;
	}
	cpu_odd(e);
	if (e->ports[0].n)
		irq_ports_load(e, false);
	c->env = NULL;
	machine_set_local(NULL);
}

void
cpu_enter(struct env *e)
{
	struct cpu *c = cpu_this();

	e->state = AEGIS_STATE_RUNNING;
	e->cpu = machine_cpu();
	c->env = e;
	machine_set_local(e);
	e->used -= machine_tsc();
	e->page->cpu = e->cpu;
	e->page->slice = c->extra ? AEGIS_ANY : c->position;
	e->page->slice_end = c->slice_end;
	e->stamp = c->stamp;
	if (c->space != e->space)
		space_load(e->space);
	if (e->ports[0].n)
		irq_ports_load(e, true);
}

/* e, RUNNING here, starts to execute.  env.lock held, released. */
_Noreturn static void
_env_go(struct env *e)
{
	static const struct regs clear;
	struct aegis_area *area;

	cpu_arm();
	if (e->kill) {
		env_unlock(e);
		env_end(e, e->kill, &e->regs, 0);
	}
	if (e->saved != SAVED_NONE) {
		struct regs regs = e->regs;

		machine_set_fs_base(e->fs_base);
		machine_set_gs_base(e->gs_base);
		machine_set_pkru(e->pkru);
		if (e->saved == SAVED_FULL)
			machine_vector_restore(machine_frame(e->vector));
		else
			machine_vector_clear();
		e->saved = SAVED_NONE;
		env_unlock(e);
		upcall_deliver(e, &regs);
		machine_enter_regs(&regs);
	}
	if (!e->area[0]) {
		env_unlock(e);
		env_end(e, AEGIS_END_AREA, &clear, 0);
	}
	machine_vector_clear();
	machine_set_fs_base(0);
	machine_set_gs_base(e->setup.gs_base);
	machine_set_pkru(e->setup.pkru);
	area = machine_frame(e->area[0]);
	area->defer = 1;
	env_unlock(e);
	machine_enter_clear(e->setup.begin_entry, 0, 0);
}

/* Wakes the sleepers of this processor whose deadline has passed: a bounded number. */
static void
sleepers_expire(struct cpu *c, uint64_t now)
{
	for (int i = 0; i < 16; i++) {
		uint32_t number;
		struct env *e;

		lock_acquire(&c->lock);
		number = c->heap_count ? c->heap[0] : 0;
		if (number && env_table[number]->deadline > now)
			number = 0;
		lock_release(&c->lock);
		if (!number)
			return;
		e = env_lock(number, 0);
		if (!e)
			continue;
		if (e->state == AEGIS_STATE_SLEEPING && e->deadline <= now)
			_sleep_end(e);
		env_unlock(e);
	}
}

/* The end of a chain of synchronous transfers that starts at e; e itself if it is not in one. */
static uint32_t
callee_of(uint32_t number, uint32_t generation)
{
	for (uint32_t i = 0; i <= AEGIS_CALL_DEPTH; i++) {
		struct env *e = env_lock(number, generation);
		uint32_t next = 0;

		if (!e)
			return 0;
		if (e->state == AEGIS_STATE_CALLING)
			next = e->callee;
		env_unlock(e);
		if (!next)
			return number;
		number = next;
		generation = 0;
	}
	return 0;
}

/* Locks number if it is ready, and makes it not queued.  Else NULL. */
static struct env *
ready_lock(uint32_t number)
{
	struct env *e = env_lock(number, 0);

	if (!e)
		return NULL;
	if (e->state != AEGIS_STATE_READY) {
		env_unlock(e);
		return NULL;
	}
	if (e->queued)
		cpu_unready(e);
	return e;
}

/* The next account's next environment leaves the ring; 0: none.  Marks the processor idle then. */
static uint32_t
ring_take(struct cpu *c)
{
	uint32_t cpu = machine_cpu();
	uint32_t number = 0;

	lock_acquire(&c->lock);
	if (c->ring) {
		uint32_t account = c->ring;

		number = accounts[account].ring[cpu];
		c->ring = accounts[account].next[cpu];
		_ring_remove(c, cpu, env_table[number]);
	} else {
		__atomic_or_fetch(&system_page->idle_cpus, 1u << cpu, __ATOMIC_SEQ_CST);
	}
	lock_release(&c->lock);
	return number;
}

/* Owes a slice or more: this turn is taken off its debt. */
static bool
debt_pay(struct env *e)
{
	if (e->debt < slice_tsc)
		return false;
	e->debt -= slice_tsc;
	e->page->overrun_tsc = e->debt;
	return true;
}

/* Who runs now, locked; NULL: nobody. */
static struct env *
pick(struct cpu *c, uint64_t now)
{
	uint64_t count = slice_count(now);
	struct slice *s = &c->slices[count % AEGIS_SLICES];
	struct env *e;

	c->position = (uint32_t)(count % AEGIS_SLICES);
	c->slice_end = system_page->tsc_boot + (count + 1) * slice_tsc;
	c->extra = false;
	if (s->env && c->yielded != count) {
		e = ready_lock(callee_of(s->env, s->generation));
		if (e && !debt_pay(e))
			return e;
		if (e) {
			c->yielded = count;
			cpu_ready(e);
			env_unlock(e);
		}
	}
	c->extra = true;
	for (int i = 0; i < PICK_TRIES; i++) {
		uint32_t number = ring_take(c);

		if (!number)
			return NULL;
		e = ready_lock(number);
		if (e && (i == PICK_TRIES - 1 || !c->ring || !debt_pay(e)))
			return e;
		if (e) {
			cpu_ready(e);
			env_unlock(e);
		}
	}
	return NULL;
}

_Noreturn void
cpu_next(void)
{
	struct cpu *c = cpu_this();
	uint32_t bit = 1u << machine_cpu(), extra = c->extra;
	uint64_t now = machine_tsc(), end = c->slice_end;
	struct env *e;

	if (system_page->idle_cpus & bit)
		__atomic_and_fetch(&system_page->idle_cpus, ~bit, __ATOMIC_SEQ_CST);
	revoke_poll(now);
	sleepers_expire(c, now);
	e = pick(c, now);
	if (c->slice_end != end || c->extra != extra)
		c->stamp += AEGIS_CPUS;
	if (e) {
		if (system_page->idle_cpus & bit)
			__atomic_and_fetch(&system_page->idle_cpus, ~bit, __ATOMIC_SEQ_CST);
		COUNT(switches);
		TRACE(run, e->number, c->extra);
		cpu_enter(e);
		_env_go(e);
	}
	__atomic_or_fetch(&system_page->idle_cpus, bit, __ATOMIC_SEQ_CST);
	space_unload();
	COUNT(idles);
	cpu_arm();
	machine_idle();
}

/* Next slice of this processor whose owner could use it, when nothing else would wake it. */
static uint64_t
next_owned(struct cpu *c)
{
	uint64_t count = slice_count(machine_tsc());

	for (uint64_t i = 1; i <= AEGIS_SLICES; i++) {
		struct slice *s = &c->slices[(count + i) % AEGIS_SLICES];

		if (s->env)
			return system_page->tsc_boot + (count + i) * slice_tsc;
	}
	return AEGIS_NEVER;
}

void
cpu_arm(void)
{
	struct cpu *c = cpu_this();
	struct env *e = c->env;
	uint64_t at = e ? c->slice_end : next_owned(c);
	uint64_t ask = revoke_deadline();

	if (e && e->epilogue)
		at = e->epilogue + force_tsc;
	lock_acquire(&c->lock);
	if (c->heap_count && env_table[c->heap[0]]->deadline < at)
		at = env_table[c->heap[0]]->deadline;
	lock_release(&c->lock);
	machine_timer(ask < at ? ask : at);
}

/* Somebody else should have the processor now that e's slice is over. */
static bool
contended(struct cpu *c, const struct env *e, uint64_t now)
{
	struct slice *s = &c->slices[slice_count(now) % AEGIS_SLICES];
	uint32_t owner = s->env ? callee_of(s->env, s->generation) : 0;
	struct env *o;
	bool ready;

	if (owner == e->number)
		return false;
	if (c->ring)
		return true;
	o = owner ? env_lock(owner, 0) : NULL;
	if (!o)
		return !wants_ring(e);
	ready = o->state == AEGIS_STATE_READY;
	env_unlock(o);
	return ready || !wants_ring(e);
}

/* The kernel saves everything and takes the processor away. */
_Noreturn static void
force_switch(struct env *e, const struct regs *regs)
{
	struct aegis_area *area = e->area[0] ? machine_frame(e->area[0]) : NULL;

	COUNT(forced);
	TRACE(forced, e->number, regs->rip);
	if (++e->forced_row > force_max)
		env_end(e, AEGIS_END_OVERRUN, regs, 0);
	env_lock(e->number, 0);
	e->regs = *regs;
	e->fs_base = machine_fs_base();
	e->gs_base = machine_gs_base();
	e->pkru = machine_pkru();
	machine_vector_save(machine_frame(e->vector));
	e->saved = SAVED_FULL;
	e->page->forced++;
	if (area)
		__atomic_and_fetch(&area->pending, ~AEGIS_PEND_SLICE, __ATOMIC_RELAXED);
	cpu_leave(e);
	e->cpu = e->setup.cpu;
	cpu_ready(e);
	env_unlock(e);
	cpu_next();
}

/* The call that e serves has had all the time its caller must lend. */
static void
lent_count(struct env *e)
{
	if (!e->caller || ++e->lent < call_slices)
		return;
	pct_recall(e);
}

static void
slice_over(struct cpu *c, struct env *e, struct regs *regs, uint64_t now)
{
	if (!e->epilogue)
		lent_count(e);
	if (!contended(c, e, now)) {
		uint64_t count = slice_count(now);
		struct slice *s = &c->slices[count % AEGIS_SLICES];

		c->position = (uint32_t)(count % AEGIS_SLICES);
		c->slice_end = system_page->tsc_boot + (count + 1) * slice_tsc;
		c->extra = s->env != e->number;
		_time_end(e, now);
		e->used -= now;
		e->page->slice = c->extra ? AEGIS_ANY : c->position;
		e->page->slice_end = c->slice_end;
		e->stamp = c->stamp += AEGIS_CPUS;
		e->epilogue = 0;
		cpu_odd(e);
		return;
	}
	if (!e->epilogue) {
		e->epilogue = now;
		cpu_odd(e);
		upcall_post(e, AEGIS_PEND_SLICE);
		COUNT(slice_ends);
	} else if (now >= e->epilogue + force_tsc) {
		force_switch(e, regs);
	}
}

void
trap_timer(struct regs *regs)
{
	struct cpu *c = cpu_this();
	struct env *e = c->env;
	uint64_t now = machine_tsc();

	COUNT(timers);
	if (!regs || !e)
		cpu_next();
	if (e->kill)
		env_end(e, e->kill, regs, 0);
	revoke_poll(now);
	sleepers_expire(c, now);
	if (now >= c->slice_end)
		slice_over(c, e, regs, now);
	cpu_arm();
	upcall_deliver(e, regs);
}

void
trap_ipi(struct regs *regs)
{
	struct cpu *c = cpu_this();

	tlb_serve();
	if (!regs || !c->env) {
		cpu_next();
		return;
	}
	if (c->env->kill)
		env_end(c->env, c->env->kill, regs, 0);
	upcall_deliver(c->env, regs);
}

/* ---- calls ---- */

status
sys_yield(uint32_t cap, uint32_t env)
{
	struct cpu *c = cpu_this();
	struct env *self = current();
	struct env *target = NULL;
	uint64_t epoch = atomic_load(&gate_epoch);
	status st;

	if (env != AEGIS_ANY) {
		if (env == self->number)
			return AEGIS_BAD_ARG;
		st = env_open(cap, env, AEGIS_WAKE, &target);
		if (st != AEGIS_OK)
			return st;
		if (target->state != AEGIS_STATE_READY) {
			env_unlock(target);
			return AEGIS_BUSY;
		}
		cpu_unready(target);
		target->state = AEGIS_STATE_RUNNING; /* ours now: nobody else picks it */
		target->cpu = machine_cpu();
		/* It may be about to sleep. */
		__atomic_add_fetch(&target->page->events, 1, __ATOMIC_SEQ_CST);
		self->yields.epoch[env % YIELDS] = epoch;
		self->yields.by[env % YIELDS].cap = cap;
		self->yields.by[env % YIELDS].env = env;
		self->yields.lock[env % YIELDS] = target->lock;
		self->yields.target[env % YIELDS] = target;
		env_unlock(target);
	}
	env_lock(self->number, 0);
	_slice_given(c);
	self->forced_row = 0;
	cpu_leave(self);
	self->cpu = self->setup.cpu;
	cpu_ready(self);
	env_unlock(self);
	if (!target)
		cpu_next();
	env_lock(env, 0);
	COUNT_AT(directed_yields);
	cpu_enter(target);
	_env_go(target);
}

status
sys_sleep(uint32_t seen, uint64_t deadline, uint32_t flags)
{
	struct env *self = current();

	if (flags & ~AEGIS_SLEEP_ACCEPT)
		return AEGIS_BAD_ARG;
	if (deadline <= machine_tsc())
		return AEGIS_TIMED_OUT;
	env_lock(self->number, 0);
	if (self->kill) {
		env_unlock(self);
		env_end(self, self->kill, NULL, 0);
	}
	if (self->page->events != seen) {
		env_unlock(self);
		return AEGIS_AGAIN;
	}
	self->forced_row = 0;
	self->seen = seen;
	self->deadline = deadline;
	self->accepts = flags & AEGIS_SLEEP_ACCEPT;
	cpu_leave(self);
	cpu_sleep(self);
	env_unlock(self);
	cpu_next();
}

status
sys_wake(uint32_t cap, uint32_t env, uint32_t flags)
{
	struct env *e;
	status st;

	if (flags & ~AEGIS_WAKE_UPCALL)
		return AEGIS_BAD_ARG;
	st = env_open(cap, env, AEGIS_WAKE, &e);
	if (st != AEGIS_OK)
		return st;
	if (e->state == AEGIS_STATE_ENDED) {
		env_unlock(e);
		return AEGIS_DEAD;
	}
	if (e->state == AEGIS_STATE_NEW && e->area[0])
		cpu_ready(e);
	if (flags & AEGIS_WAKE_UPCALL)
		upcall_post(e, AEGIS_PEND_EVENT);
	cpu_wake(e);
	env_unlock(e);
	return AEGIS_OK;
}
