/* SPDX-License-Identifier: MIT */
/*
 * Environments without a scheduler, for tests of the resources below them; and the helpers of
 * host.h.
 *
 * Stands in for kernel/env.c, cpu.c, trace.c and revoke.c, with their contracts in kernel.h.
 */
#include "host.h"

struct env *env_table[AEGIS_ENVS];
atomic_ulong gate_epoch;
struct cpu cpus[AEGIS_CPUS];
static struct aegis_system_page page;
struct aegis_system_page *system_page = &page;
static uint64_t counts[PAGE / 8];
uint64_t *counters[AEGIS_CPUS] = {counts, counts, counts, counts, counts, counts, counts, counts};
uint64_t host_given;
int host_tests, host_failures;
static struct lock env_locks[AEGIS_ENVS];

void
trace_write(uint32_t event, uint64_t a, uint64_t b)
{
	(void)event;
	(void)a;
	(void)b;
}

void
revoke_given(struct env *e, uint32_t kind, uint32_t n)
{
	if (!e || kind != AEGIS_KIND_FRAME)
		panic("revoke_given");
	host_given += n;
}

struct env *
current(void)
{
	return cpus[machine_cpu()].env;
}

void *
machine_local(void)
{
	return current();
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	struct env *e = number && number < AEGIS_ENVS ? env_table[number] : NULL;

	if (!e || (generation && e->generation != generation))
		return NULL;
	lock_acquire(&env_locks[number]);
	return e;
}

void
env_unlock(const struct env *e)
{
	lock_release(&env_locks[e->number]);
}

status
env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out)
{
	struct env *self = current();
	status st;

	if (cap == AEGIS_SELF && env != self->number)
		return AEGIS_DENIED;
	*out = env_lock(env, 0);
	if (!*out)
		return AEGIS_NO_SUCH;
	st = cap == AEGIS_SELF ? AEGIS_OK : cap_check(self, cap, (*out)->guard, rights);
	if (st != AEGIS_OK)
		env_unlock(*out);
	return st;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	uint32_t at = offset / PAGE;

	if (at >= e->setup.area_pages || n > PAGE - offset % PAGE || offset % 8)
		return NULL;
	return (uint8_t *)machine_frame(e->area[at]) + offset % PAGE;
}

/* ---- environments ---- */

void
host_run(struct env *e)
{
	cpus[host_cpu].env = e;
	space_load(e->space);
}

struct env *
host_env(struct space *s, uint64_t va, uint32_t guard, uint32_t account)
{
	struct env *e = calloc(1, sizeof(*e));
	uint32_t n = 1;

	while (env_table[n])
		n++;
	e->number = n;
	e->generation = 1;
	e->guard = guard;
	e->account = account;
	e->space = s;
	node_ref(guard);
	account_ref(account);
	atomic_fetch_add(&s->envs, 1);
	e->setup.area_pages = AEGIS_AREA_PAGES;
	e->setup.area_va = va;
	lock_acquire(&s->lock);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		e->area[i] = _space_pin(s, va + i * PAGE);
		if (!e->area[i])
			panic("the area is not bound");
	}
	lock_release(&s->lock);
	env_table[n] = e;
	return e;
}

void
host_env_end(struct env *e)
{
	cap_release(e);
	lock_acquire(&e->space->lock);
	for (uint32_t i = 0; i < e->setup.area_pages; i++)
		_space_unpin(e->space, e->area[i]);
	lock_release(&e->space->lock);
	for (uint32_t cpu = 0; cpu < host_cpu_count; cpu++) {
		if (cpus[cpu].env == e)
			cpus[cpu].env = NULL;
	}
	atomic_fetch_sub(&e->space->envs, 1);
	node_unref(e->guard);
	account_unref(e->account);
	env_table[e->number] = NULL;
	free(e);
}

void
host_boot(uint32_t n, uint32_t cpu_count)
{
	struct space *s;
	struct env *e;

	host_cpu_count = cpu_count;
	machine_memory(n);
	mem_init(n);
	mem_give(5, 9, FRAME_KERNEL);
	mem_give(0, n / 2, FRAME_FREE);
	mem_give(n / 2 - 3, n + 7, FRAME_FREE);
	cap_init();
	account_init();
	s = space_boot();
	space_boot_bind(s, HOST_AREA, mem_kernel_alloc(AEGIS_AREA_PAGES, FRAME_KERNEL),
			AEGIS_AREA_PAGES, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	e = host_env(s, HOST_AREA, NODE_ROOT, 1);
	e->exposed = mem_kernel_alloc(1, FRAME_EXPOSED);
	frames[e->exposed].kind = FRAME_EXPOSED;
	frames[e->exposed].link = e->number;
	_slot_write(&e->caps[0], NODE_ROOT, nodes[NODE_ROOT].generation, AEGIS_ALL);
	host_run(e);
}

void *
host_area(struct env *e, uint32_t offset)
{
	return (uint8_t *)machine_frame(e->area[offset / PAGE]) + offset % PAGE;
}

static bool
say(bool good, const char *what)
{
	if (!good)
		printf("# unsound: %s\n", what);
	return good;
}

bool
host_sound(void)
{
	bool good = say(mem_invariants(), "frames");

	good = say(cap_invariants(), "names") && good;
	good = say(account_invariants(), "accounts") && good;
	good = say(hold_invariants(0), "references") && good;
	for (uint32_t i = 1; i < SPACES; i++) {
		struct space *s = space_find(i);

		if (!s)
			continue;
		good = say(space_invariants(s), "space") && good;
		space_put(s);
	}
	return say(machine_tlb_sound(), "translations") && good;
}

/* ---- calls ---- */

void
host_put_frames(const struct aegis_frame_rec *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		*(struct aegis_frame_rec *)host_area(current(), HOST_RECORDS + i * 8) = r[i];
}

void
host_get_frames(struct aegis_frame_rec *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		r[i] = *(struct aegis_frame_rec *)host_area(current(), HOST_RECORDS + i * 8);
}

void
host_put_binds(const struct aegis_bind *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		*(struct aegis_bind *)host_area(current(), HOST_RECORDS + i * 16) = r[i];
}

void
host_get_binds(struct aegis_bind *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		r[i] = *(struct aegis_bind *)host_area(current(), HOST_RECORDS + i * 16);
}

uint32_t
host_alloc(uint32_t cap)
{
	struct aegis_frame_rec r = {AEGIS_ANY, 0};

	host_put_frames(&r, 1);
	if (sys_mem_alloc(cap, HOST_RECORDS, 1, 0) != 1)
		panic("host_alloc");
	host_get_frames(&r, 1);
	return r.pfn;
}

status
host_bind(uint32_t cap, uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct aegis_bind r = {va, pfn, prot};

	host_put_binds(&r, 1);
	return sys_tlb_write(cap, space, HOST_RECORDS, 1);
}

status
host_delete(uint32_t cap, uint32_t space, uint64_t va, uint32_t pages, uint32_t prot)
{
	struct aegis_bind r = {va, pages, prot};

	host_put_binds(&r, 1);
	return sys_tlb_delete(cap, space, HOST_RECORDS, 1);
}

status
host_free(uint32_t pfn)
{
	struct aegis_frame_rec r = {pfn, 0};

	host_put_frames(&r, 1);
	return sys_mem_free(HOST_RECORDS, 1);
}

struct space *
host_space(uint32_t cap, uint64_t va)
{
	struct aegis_frame_rec r[3];
	struct space *s;
	status number;

	for (int i = 0; i < 3; i++)
		r[i] = (struct aegis_frame_rec){host_alloc(cap), 0};
	host_put_frames(r, 3);
	number = sys_space_create(cap, HOST_RECORDS, 0);
	if (number <= 0)
		panic("host_space");
	for (uint32_t i = 0; i * AEGIS_HOLD_SPAN < frame_count; i++) {
		r[0] = (struct aegis_frame_rec){host_alloc(cap), i};
		host_put_frames(r, 1);
		if (sys_mem_table(cap, (uint32_t)number, HOST_RECORDS, 1) != 1)
			panic("host_space: holdings");
	}
	for (uint32_t level = 3; level >= 1; level--) {
		uint64_t at = va & ~((1ul << (12 + 9 * level)) - 1);

		if (host_bind(cap, (uint32_t)number, at, host_alloc(cap),
			      AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level)) != 1)
			panic("host_space: tables");
	}
	s = space_find((uint32_t)number);
	space_put(s);
	return s;
}

status
host_destroy(uint32_t cap, uint32_t space)
{
	status st;

	do
		st = sys_space_destroy(cap, space);
	while (st == AEGIS_AGAIN);
	return st;
}

/* ---- results ---- */

void
host_ok(bool good, const char *name)
{
	host_tests++;
	host_failures += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", host_tests, name);
}

int
host_done(void)
{
	printf("1..%d\n", host_tests);
	return host_failures != 0;
}
