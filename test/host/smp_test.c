/* SPDX-License-Identifier: MIT */
/*
 * Four processors at once, as threads, on the same spaces, frames and names: no deadlock, no
 * lost count, no translation that outlives its binding, and everything is back at the end.
 *
 * Processors 0 and 1 run the boot environment's space, 2 and 3 a child's.  A processor serves
 * requests between its calls, as an interrupt would make it.
 */
#include <pthread.h>
#include "host.h"

#define CPUS   4u
#define ROUNDS 500u

static struct env *runners[CPUS];
static uint32_t shared_pfn;
static struct space *child, *keeper;
static atomic_uint running;
static atomic_bool broken;

static bool
wrong(int line)
{
	printf("# cpu %u line %d\n", host_cpu, line);
	return true;
}

/* Pages of its own that a processor binds, touches, protects and deletes. */
static void
round_bindings(uint32_t cpu, struct env *e, uint32_t i)
{
	uint64_t va = HOST_AREA + 0x40000 + cpu * 0x20000;
	uint32_t n = 1 + i % 8, own = e->space->number;
	struct aegis_frame_rec f[8];
	struct aegis_bind b[8];

	for (uint32_t j = 0; j < n; j++)
		f[j] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	host_put_frames(f, n);
	if (sys_mem_alloc(0, HOST_RECORDS, n, 0) != n)
		broken = wrong(__LINE__);
	host_get_frames(f, n);
	for (uint32_t j = 0; j < n; j++)
		b[j] = (struct aegis_bind){va + j * PAGE, f[j].pfn,
					   AEGIS_BIND_READ | AEGIS_BIND_WRITE};
	host_put_binds(b, n);
	if (sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, n) != n)
		broken = wrong(__LINE__);
	for (uint32_t j = 0; j < n; j++) {
		if (machine_touch(cpu, va + j * PAGE, true))
			broken = wrong(__LINE__);
	}
	if (host_delete(AEGIS_SELF, own, va, n, 0) != 1)
		broken = wrong(__LINE__);
	if (!machine_touch(cpu, va, false))
		broken = wrong(__LINE__);
	host_put_frames(f, n);
	if (sys_mem_free(HOST_RECORDS, n) != n)
		broken = wrong(__LINE__);
}

/* One frame that all bind, share and take away from each other; any answer is right. */
static void
round_shared(uint32_t cpu, struct env *e, uint32_t i)
{
	struct aegis_frame_rec f = {shared_pfn, AEGIS_READ | AEGIS_WRITE};
	uint64_t va = HOST_AREA + 0x30000 + i % 4 * PAGE;
	uint32_t other = cpu < 2 ? child->number : runners[0]->space->number;

	host_put_frames(&f, 1);
	switch ((i + cpu) % 6) {
	case 0:
		sys_mem_bind(0, HOST_RECORDS, 1);
		break;
	case 1:
		sys_mem_share(0, other, HOST_RECORDS, 1);
		break;
	case 2:
		sys_mem_unshare(0, other, HOST_RECORDS, 1);
		break;
	case 3:
		host_bind(AEGIS_SELF, e->space->number, va, shared_pfn, AEGIS_BIND_READ);
		machine_touch(cpu, va, false);
		break;
	case 4:
		host_bind(0, other, va, shared_pfn, AEGIS_BIND_READ);
		break;
	default:
		host_delete(AEGIS_SELF, e->space->number, va, 1, 0);
	}
}

static void
round_names(uint32_t i)
{
	if (sys_cap_derive(0, AEGIS_ALL, 1) || sys_cap_derive(1, AEGIS_ALL, 2))
		broken = wrong(__LINE__);
	if (i % 4 == 0) {
		while (sys_cap_revoke(1) == AEGIS_AGAIN)
			tlb_serve();
	}
	if (sys_cap_drop(1) || sys_cap_drop(2))
		broken = wrong(__LINE__);
}

static void *
processor(void *number)
{
	uint32_t cpu = (uint32_t)(uintptr_t)number;

	host_cpu = cpu;
	host_run(runners[cpu]);
	for (uint32_t i = 0; i < ROUNDS && !broken; i++) {
		round_bindings(cpu, runners[cpu], i);
		tlb_serve();
		round_shared(cpu, runners[cpu], i);
		tlb_serve();
		if (i % 16 == cpu)
			round_names(i / 16);
		tlb_serve();
	}
	atomic_fetch_sub(&running, 1);
	while (atomic_load(&running))
		tlb_serve();
	return NULL;
}

/* An environment with an area of its own in a space that env 0 may write to. */
static struct env *
runner_make(struct space *s, uint64_t va)
{
	struct env *e;

	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		host_bind(0, s->number, va + i * PAGE, host_alloc(0),
			  AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED);
	e = host_env(s, va, NODE_ROOT, 1);
	sys_cap_grant(0, 0, e->number, AEGIS_ALL, 0);
	return e;
}

static bool
test_smp(void)
{
	pthread_t threads[CPUS];
	uint32_t nodes_before = accounts[1].used[ACCOUNT_NODE];

	host_threads = true;
	atomic_store(&running, CPUS);
	for (uint32_t i = 0; i < CPUS; i++)
		EXPECT(pthread_create(&threads[i], NULL, processor, (void *)(uintptr_t)i) == 0);
	for (uint32_t i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	host_threads = false;
	EXPECT(!broken && accounts[1].used[ACCOUNT_NODE] == nodes_before);
	return host_sound();
}

int
main(void)
{
	host_boot(HOST_FRAMES, CPUS);
	child = host_space(0, HOST_AREA);
	runners[0] = current();
	runners[1] = runner_make(current()->space, HOST_AREA + 0x10000);
	runners[2] = runner_make(child, HOST_AREA);
	runners[3] = runner_make(child, HOST_AREA + 0x10000);
	shared_pfn = host_alloc(0);
	/* A third space keeps it, or it would be freed and become somebody's own. */
	keeper = host_space(0, HOST_AREA);
	host_put_frames(&(struct aegis_frame_rec){shared_pfn, AEGIS_READ}, 1);
	sys_mem_share(0, keeper->number, HOST_RECORDS, 1);
	host_ok(host_sound(), "sound before");
	host_ok(test_smp(), "four processors");
	return host_done();
}
