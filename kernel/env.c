/* SPDX-License-Identifier: MIT */
/*
 * Environments.
 *
 * Owns: the table of environment numbers, their locks and generations, and the life of struct env.
 *
 * 1. env_table[n] is set exactly while n exists; the pointer is followed only with env_locks[n]
 * held, or by the processor that runs n.
 * 2. The object's frames are FRAME_OBJECT or FRAME_EXPOSED from env_create to env_destroy and were
 *    held by the creator before: no memory is allocated here.
 * 3. e->area[i] != 0 for i < setup.area_pages: frames that cannot be unbound or change owner,
 * because they are pinned in e->space (space_pin).
 * 4. state RUNNING means: exactly one processor has cpu->env == e, and only it changes the state.
 *    Others ask it through e->kill and an interrupt.  A transfer by the entry code (pct.c) leaves two
 *    RUNNING on a processor, who called and who was called, until that or any other entry of C.
 * 5. space->envs counts the environments whose e->space it is.
 *
 * Exposed: the environment page; env_read.  Revoked: env_destroy by capability, in bounded time:
 * the frames of its memory are its space's affair.
 */
#include "kernel.h"

struct env *env_table[AEGIS_ENVS];
static struct lock env_locks[AEGIS_ENVS];
static uint32_t env_generation[AEGIS_ENVS];

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	struct env *e;

	if (number == 0 || number >= AEGIS_ENVS)
		return NULL;
	lock_acquire(&env_locks[number]);
	e = env_table[number];
	if (e && (generation == 0 || e->generation == generation))
		return e;
	if (e)
		env_unlock(e);
	else
		lock_release(&env_locks[number]);
	return NULL;
}

/* How the entry code alone may enter e: LOCK_DOOR by a transfer, LOCK_READY by a yield, 0 not at all. */
static unsigned int
door_of(const struct env *e)
{
	if (e->returns_to_sleep || e->odd || e->killed || chaos_slow)
		return 0;
	if (e->state == AEGIS_STATE_SLEEPING)
		return e->accepts && !e->heap && e->setup.call_entry ? LOCK_DOOR : 0;
	return e->state == AEGIS_STATE_READY && e->saved == SAVED_NONE && e->area[0] ? LOCK_READY
										     : 0;
}

void
env_unlock(const struct env *e)
{
	lock_release_as(&env_locks[e->number], door_of(e));
}

struct env *
current(void)
{
	return machine_local(); /* cpu_enter and cpu_leave set it with cpu->env */
}

status
env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out)
{
	struct env *self = current();
	status st;

	if (cap == AEGIS_SELF) {
		if (env != self->number)
			return AEGIS_DENIED;
		*out = env_lock(env, 0);
		return AEGIS_OK;
	}
	*out = env_lock(env, 0);
	if (!*out)
		return AEGIS_NO_SUCH;
	st = cap_check(self, cap, (*out)->guard, rights);
	if (st != AEGIS_OK)
		env_unlock(*out);
	return st;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	uint32_t page = offset / PAGE;

	if (page >= e->setup.area_pages || n > PAGE - offset % PAGE || offset % 8)
		return NULL;
	return (uint8_t *)machine_frame(e->area[page]) + offset % PAGE;
}

/* A number that nobody has, its lock held; 0: all are taken. */
static uint32_t
number_lock(void)
{
	static uint32_t hint;

	for (uint32_t i = 0; i < AEGIS_ENVS - 1; i++) {
		uint32_t number = 1 + (hint + i) % (AEGIS_ENVS - 1);

		if (env_table[number])
			continue;
		lock_acquire(&env_locks[number]);
		if (!env_table[number]) {
			hint = number;
			return number;
		}
		lock_release(&env_locks[number]);
	}
	return 0;
}

/* A cleared object becomes an environment; frames are the kernel's by now, s->envs counts it. */
static struct env *
env_make(const uint32_t pfns[3], uint32_t number, uint32_t guard, uint32_t account, struct space *s)
{
	struct env *e = machine_frame(pfns[0]);

	e->number = number;
	e->generation = ++env_generation[number];
	if (e->generation == 0)
		e->generation = env_generation[number] = 1;
	e->guard = guard;
	node_ref(guard);
	e->account = account;
	e->object = pfns[0];
	e->vector = pfns[1];
	e->exposed = pfns[2];
	frames[e->exposed].link = number;
	e->page = machine_frame(pfns[2]);
	e->page->size = sizeof(*e->page);
	e->page->version = AEGIS_VERSION;
	e->page->env = number;
	e->state = AEGIS_STATE_NEW;
	e->deadline = AEGIS_NEVER;
	e->space = s;
	e->root = s->root * PAGE;
	e->lock = &env_locks[number];
	for (uint32_t i = 0; i < AEGIS_GATES; i++)
		e->ways[i].lock = &env_locks[0]; /* nobody's, so that it never has a door */
	for (uint32_t i = 0; i < YIELDS; i++)
		e->yields.lock[i] = &env_locks[0];
	return e;
}

struct env *
env_boot(struct space *s)
{
	const uint32_t pfns[] = {mem_kernel_alloc(1, FRAME_OBJECT),
				 mem_kernel_alloc(1, FRAME_OBJECT),
				 mem_kernel_alloc(1, FRAME_EXPOSED)};
	struct env *e;

	atomic_fetch_add(&s->envs, 1);
	account_charge(1, ACCOUNT_ENV, 1);
	e = env_make(pfns, 1, NODE_ROOT, 1, s);
	_slot_write(&e->caps[0], NODE_ROOT, nodes[NODE_ROOT].generation, AEGIS_ALL);
	env_table[1] = e;
	return e;
}

/* The caller's frames become an environment, which exists from here on: its number. */
static status
env_publish(struct env *self, const struct aegis_env_create *want, uint32_t node, uint32_t account)
{
	status st = objects_take(self->space, want->frames, FRAME_EXPOSED);
	struct space *s;
	struct env *e;
	uint32_t number;

	if (st != AEGIS_OK)
		return st;
	s = space_open(self, want->space, node);
	number = s ? number_lock() : 0;
	if (!number) {
		if (s)
			atomic_fetch_sub(&s->envs, 1);
		objects_return(self->space, want->frames);
		return s ? AEGIS_LIMIT : AEGIS_NO_SUCH;
	}
	e = env_make(want->frames, number, node, account, s);
	e->watcher = self->number;
	e->watcher_generation = self->generation;
	env_table[number] = e;
	lock_release(&env_locks[number]);
	TRACE(env_create, number, account);
	return number;
}

/* In an account of its own, if that is wanted, else in the caller's. */
static status
env_charge(struct env *self, const struct aegis_env_create *want, uint32_t node)
{
	bool own = want->flags & AEGIS_ENV_ACCOUNT;
	status account = own ? account_create(self->account, want) : self->account;
	status st;

	if (account < 0)
		return account;
	account_ref((uint32_t)account);
	st = account_charge((uint32_t)account, ACCOUNT_ENV, 1);
	if (st == AEGIS_OK) {
		st = env_publish(self, want, node, (uint32_t)account);
		if (st < 0)
			account_refund((uint32_t)account, ACCOUNT_ENV, 1);
	}
	account_unref((uint32_t)account);
	return st;
}

status
sys_env_create(uint32_t cap, uint32_t area)
{
	struct env *self = current();
	struct aegis_env_create *in = area_at(self, area, sizeof(*in));
	struct aegis_env_create want;
	status st, node;

	if (!in)
		return AEGIS_BAD_ARG;
	want = *(volatile struct aegis_env_create *)in;
	if (want.flags & ~AEGIS_ENV_ACCOUNT)
		return AEGIS_BAD_ARG;
	node = cap_node_ref(self, cap, AEGIS_ALLOC);
	if (node < 0)
		return node;
	st = env_charge(self, &want, (uint32_t)node);
	node_unref((uint32_t)node); /* the environment made its own */
	return st;
}

static bool
setup_valid(const struct aegis_setup *s)
{
	const uint64_t addresses[] = {s->fault_entry, s->async_entry, s->begin_entry,
				      s->call_entry,  s->call_stack,  s->resume_start,
				      s->resume_rip,  s->gs_base,     s->call_fs};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		if (addresses[i] >= AEGIS_USER_MAX)
			return false;
	}
	return s->area_va % PAGE == 0 && s->area_va < AEGIS_USER_MAX && s->area_pages >= 2 &&
	       s->area_pages <= AEGIS_AREA_PAGES && s->stack_page >= 1 &&
	       s->stack_page < s->area_pages && s->cpu < machine_cpus() &&
	       !(s->flags & ~AEGIS_SETUP_EXTRA);
}

/* Pins the new area, then lets go of the old one.  env.lock held. */
static status
_area_change(struct env *e, struct space *s, const struct aegis_setup *setup)
{
	uint32_t area[AEGIS_AREA_PAGES] = {0};
	uint32_t done;
	bool all;

	lock_acquire(&s->lock);
	for (done = 0; done < setup->area_pages; done++) {
		area[done] = _space_pin(s, setup->area_va + done * PAGE);
		if (!area[done])
			break;
	}
	all = done == setup->area_pages;
	while (!all && done-- > 0)
		_space_unpin(s, area[done]);
	lock_release(&s->lock);
	if (!all)
		return AEGIS_NOT_BOUND;
	lock_acquire(&e->space->lock);
	for (uint32_t i = 0; i < e->setup.area_pages; i++)
		_space_unpin(e->space, e->area[i]);
	lock_release(&e->space->lock);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		e->area[i] = area[i];
	return AEGIS_OK;
}

/* env.lock held; consumes the count of `s` that space_open made. */
static status
_env_setup(struct env *e, struct space *s, const struct aegis_setup *setup)
{
	bool self = e == current();
	status st;

	if (e->state == AEGIS_STATE_RUNNING && !self)
		st = AEGIS_BUSY;
	else if (e->state == AEGIS_STATE_ENDED)
		st = AEGIS_DEAD;
	else
		st = _area_change(e, s, setup);
	if (st != AEGIS_OK) {
		atomic_fetch_sub(&s->envs, 1);
		return st;
	}
	if (e->queued)
		cpu_unready(e);
	atomic_fetch_sub(&e->space->envs, 1);
	e->space = s;
	e->root = s->root * PAGE;
	e->setup = *setup;
	upcall_prepare(e);
	if (self)
		space_load(s);
	else if (e->state != AEGIS_STATE_SLEEPING)
		e->cpu = setup->cpu; /* a sleeper stays in its heap, and goes there when it wakes */
	if (e->state == AEGIS_STATE_READY)
		cpu_ready(e);
	return AEGIS_OK;
}

status
sys_env_write(uint32_t cap, uint32_t env, uint32_t area)
{
	struct env *self = current();
	struct aegis_setup *in = area_at(self, area, sizeof(*in));
	struct aegis_setup setup;
	struct space *s;
	struct env *e;
	status st, node = 0;

	if (!in)
		return AEGIS_BAD_ARG;
	setup = *(volatile struct aegis_setup *)in;
	if (!setup_valid(&setup))
		return AEGIS_BAD_ARG;
	if (cap != AEGIS_SELF) {
		node = cap_node(self, cap, AEGIS_CONTROL);
		if (node < 0)
			return node;
	}
	st = env_open(cap, env, AEGIS_CONTROL, &e);
	if (st != AEGIS_OK)
		return st;
	s = space_open(self, setup.space, (uint32_t)node);
	st = s ? _env_setup(e, s, &setup) : AEGIS_NO_SUCH;
	env_unlock(e);
	return st;
}

static void
info_fill(struct aegis_env_info *info, const struct env *e)
{
	const struct regs *r = &e->regs;
	const uint64_t regs[18] = {r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi,
				   r->rbp, r->rsp, r->r8,  r->r9,  r->r10, r->r11,
				   r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags};

	*info = (struct aegis_env_info){
		.size = sizeof(*info),
		.version = AEGIS_VERSION,
		.env = e->number,
		.generation = e->generation,
		.state = e->state == AEGIS_STATE_SLEEPING && e->accepts ? AEGIS_STATE_IDLE
									: e->state,
		.cpu = e->cpu,
		.end_reason = e->end_reason,
		.end_cause = e->end_cause,
		.end_rip = e->end_rip,
		.end_addr = e->end_addr,
		.space = e->space->number,
		.guard = e->guard,
		.caller = e->caller,
		.callee = e->callee,
		.time_ns =
			(uint64_t)(((unsigned __int128)e->page->time_tsc * system_page->ns_mult) >>
				   32),
		.account = e->account,
		.saved = e->saved != SAVED_NONE,
		.fs_base = e->fs_base,
		.gs_base = e->gs_base,
		.account_used = accounts[e->account].used[ACCOUNT_FRAME],
		.account_limit = accounts[e->account].limit[ACCOUNT_FRAME],
	};
	for (int i = 0; i < 18; i++)
		info->regs[i] = e->saved != SAVED_NONE ? regs[i] : 0;
}

status
sys_env_read(uint32_t cap, uint32_t env, uint32_t area)
{
	struct aegis_env_info *out = area_at(current(), area, sizeof(*out));
	struct env *e;
	status st;

	if (!out)
		return AEGIS_BAD_ARG;
	st = env_open(cap, env, AEGIS_CONTROL, &e);
	if (st != AEGIS_OK)
		return st;
	info_fill(out, e);
	env_unlock(e);
	return AEGIS_OK;
}

/*
 * e cannot run any more.  env.lock held, released: what binds it to others is undone without it, and until
 * then it stays; if nothing does, it may be gone at once.
 */
static void
_env_stop(struct env *e, uint32_t reason)
{
	bool linked = e->caller || e->callee;

	cpu_unready(e);
	cpu_release(e);
	cap_release(e);
	revoke_end(e);
	e->state = AEGIS_STATE_ENDED;
	e->end_reason = reason;
	e->saved = SAVED_NONE;
	TRACE(env_end, e->number, reason);
	env_unlock(e);
	if (linked)
		pct_orphan(e);
}

static void
watcher_tell(uint32_t number, uint32_t generation)
{
	struct env *w = env_lock(number, generation);

	if (!w)
		return;
	upcall_post(w, AEGIS_PEND_EVENT);
	cpu_wake(w);
	env_unlock(w);
}

_Noreturn void
env_end(struct env *e, uint32_t reason, const struct regs *at, uint64_t addr)
{
	uint32_t watcher = e->watcher, generation = e->watcher_generation;

	if (reason != AEGIS_END_SELF && reason != AEGIS_END_OTHER)
		log_print("env %u ended: reason %u (vector %lu rip %lx rsp %lx addr %lx)\n",
			  e->number, reason, at ? at->vector : 0, at ? at->rip : 0,
			  at ? at->rsp : 0, addr);
	if (e->number == 1)
		machine_off(MACHINE_OFF_BOOT);
	env_lock(e->number, 0);
	e->end_cause = at ? (uint32_t)at->vector : 0;
	e->end_rip = at ? at->rip : 0;
	e->end_addr = addr;
	cpu_leave(e); /* before its claims go: it closes the ports of this processor */
	space_unload();
	irq_release(e);
	chan_release(e);
	_env_stop(e, reason);
	watcher_tell(watcher, generation);
	/* On an empty stack: whoever runs next may end here too, and so on. */
	machine_restart(cpu_next);
}

void
_env_abort(struct env *e, uint32_t reason)
{
	e->kill = reason;
	e->killed = true;
	if (e->state == AEGIS_STATE_RUNNING)
		machine_ipi(e->cpu);
	else if (e->state == AEGIS_STATE_SLEEPING)
		cpu_wake(e);
	else if (e->state == AEGIS_STATE_READY)
		cpu_ready(e);
}

/* Everything it was made of goes back.  env.lock held; gone afterwards. */
static void
_env_free(struct env *e)
{
	uint32_t number = e->number, account = e->account;
	uint32_t pfns[3] = {e->object, e->vector, e->exposed};

	cap_release(e); /* what was granted to it after its end */
	lock_acquire(&e->space->lock);
	for (uint32_t i = 0; i < e->setup.area_pages; i++)
		_space_unpin(e->space, e->area[i]);
	lock_release(&e->space->lock);
	atomic_fetch_sub(&e->space->envs, 1);
	node_unref(e->guard);
	atomic_fetch_add(&gate_epoch, 1);
	env_table[number] = NULL;
	mem_release_many(pfns, 3);
	account_refund(account, ACCOUNT_ENV, 1);
	lock_release(&env_locks[number]);
}

status
sys_env_destroy(uint32_t cap, uint32_t env)
{
	struct env *self = current();
	struct env *e;
	status st;

	st = env_open(cap, env, AEGIS_CONTROL, &e);
	if (st != AEGIS_OK)
		return st;
	if (e == self) {
		env_unlock(e);
		env_end(self, AEGIS_END_SELF, NULL, 0);
	}
	if (e->number == 1) {
		env_unlock(e);
		return AEGIS_DENIED;
	}
	if (e->state == AEGIS_STATE_RUNNING) {
		_env_abort(e, AEGIS_END_OTHER);
		env_unlock(e);
		return AEGIS_AGAIN;
	}
	if (e->state != AEGIS_STATE_ENDED) {
		irq_release(e);
		chan_release(e);
		_env_stop(e, AEGIS_END_OTHER);
		return AEGIS_AGAIN; /* the next call frees it: each step is short */
	}
	if (e->caller || e->callee || !revocation_finish(e)) {
		env_unlock(e);
		return AEGIS_AGAIN;
	}
	_env_free(e);
	return AEGIS_OK;
}
