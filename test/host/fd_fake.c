/* SPDX-License-Identifier: MIT */
/* Core of the fake machine: frames, bindings, events, the program's memory.  See fd_fake.h. */
#define _GNU_SOURCE
#include "exos/core/control_asm.h"
#include "exos/fd/priv.h"
#include "test/host/fd_fake.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARENA_PAGES ((EXOS_ARENA_END - EXOS_ARENA) / 4096)

struct fake_world *world;
uint8_t *fake_ram;
uint64_t fake_held[FAKE_OBJECTS / 64];
int fake_signal;
uint64_t fake_mask;
long fake_fail_at;
long fake_blocks;
void (*fake_copy_hook)(void);

static int ram_fd;
static struct control fake_control;
static struct fd_table table;
static uint32_t *bound; /* by page of the arena: frame | 1 << 31 */
static uint32_t arena_next, arena_limit = FAKE_ARENA;
static uint32_t *arena_free[16];
static uint32_t arena_free_count[16];
static sigjmp_buf copy_out_of;
static volatile sig_atomic_t copying;
static int test_count, test_failures;

void
check(bool good, const char *name)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, name);
	fflush(stdout);
}

int
check_done(void)
{
	printf("1..%d\n", test_count);
	return test_failures != 0;
}

static void
die(const char *why)
{
	fprintf(stderr, "fd_fake: %s\n", why);
	_exit(99);
}

void
fake_lock(uint32_t *word)
{
	uint32_t free = 0;

	while (!__atomic_compare_exchange_n(word, &free, 1, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		free = 0;
		sched_yield();
	}
}

void
fake_unlock(uint32_t *word)
{
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

static bool
fails(void)
{
	return fake_fail_at && --fake_fail_at == 0;
}

/* ---- roles of others ---- */

struct fd_table *
fd_table(void)
{
	return &table;
}

int
signal_raise_self(int sig)
{
	fake_signal = sig;
	return 0;
}

void
signal_mask_for_call(uint64_t mask)
{
	fake_mask = mask;
}

bool
env_gone(uint32_t env)
{
	return env >= FAKE_ENVS || world->env_dead[env];
}

bool
random_hardware(uint64_t *out)
{
	*out = 42;
	return true;
}

uint64_t
tty_signals_ignored(void)
{
	return 0;
}

/* ---- time and waiting ---- */

uint64_t
core_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t
core_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint32_t *
events_of(uint32_t env)
{
	return &((struct aegis_env_page *)fake_frame(world->env_frame[env]))->events;
}

void
core_wake(uint32_t env)
{
	if (!env || env >= FAKE_ENVS || !world->env_frame[env])
		return;
	__atomic_fetch_add(events_of(env), 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, events_of(env), FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* As late as the contract allows: nothing may depend on a wake before the processor is left. */
void
core_soon_wake(void)
{
	uint32_t env = fake_control.soon;

	fake_control.soon = 0;
	core_wake(env);
}

bool
core_wake_soon(uint32_t env, uint32_t cpu)
{
	if (cpu != fake_control.home_cpu)
		return false;
	if (fake_control.soon != env)
		core_soon_wake();
	fake_control.soon = env;
	return true;
}

bool
core_hand(void)
{
	if (!fake_control.soon)
		return false;
	core_soon_wake();
	sched_yield();
	return true;
}

void
core_yield(void)
{
	core_soon_wake();
	sched_yield();
}

int
process_block(uint32_t seen, uint64_t deadline)
{
	uint64_t now = core_now_ns(), left;
	struct timespec t;

	core_soon_wake();
	if (fake_signal)
		return -LX_ERESTARTSYS;
	left = deadline > now ? deadline - now : 0;
	if (left > 20000000000ull)
		left = 20000000000ull; /* a test that hangs fails */
	t = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
	syscall(SYS_futex, events_of(fake_control.env), FUTEX_WAIT, seen, &t, NULL, 0);
	return deadline != AEGIS_NEVER && core_now_ns() >= deadline ? -ETIMEDOUT : 0;
}

/* ---- frames and bindings ---- */

uint32_t
fake_frame_alloc(void)
{
	uint32_t pfn = __atomic_fetch_add(&world->next_frame, 1, __ATOMIC_RELAXED);

	if (pfn >= FAKE_FRAMES)
		die("out of frames");
	return pfn;
}

int
core_frames_alloc(uint32_t cap, uint32_t *pfns, uint32_t n)
{
	(void)cap;
	if (fails())
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		pfns[i] = fake_frame_alloc();
	return 0;
}

void
core_frames_free(const uint32_t *pfns, uint32_t n)
{
	(void)pfns;
	(void)n;
}

static void
page_hide(uint64_t va, uint32_t n)
{
	if (mmap((void *)va, n * 4096ul, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		die("hide");
}

static void
page_show(uint64_t va, uint32_t pfn, uint32_t prot)
{
	int p = PROT_READ | (prot & AEGIS_BIND_WRITE ? PROT_WRITE : 0);

	if (mmap((void *)va, 4096, p, MAP_SHARED | MAP_FIXED, ram_fd, (off_t)pfn * 4096) ==
	    MAP_FAILED)
		die("show");
}

int
core_bind(uint32_t cap, uint32_t space, uint64_t va, const uint32_t *pfns, uint32_t n,
	  uint32_t prot)
{
	if (cap != AEGIS_SELF || space != fake_control.space || va < EXOS_ARENA ||
	    va + n * 4096ul > EXOS_ARENA_END || va % 4096)
		die("bind outside the arena");
	if (fails())
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (!pfns[i] || pfns[i] >= FAKE_FRAMES)
			die("bind of no frame");
		bound[(va - EXOS_ARENA) / 4096 + i] = pfns[i];
		page_show(va + i * 4096ul, pfns[i], prot);
	}
	return 0;
}

int
core_unbind(uint64_t va, uint32_t n)
{
	memset(&bound[(va - EXOS_ARENA) / 4096], 0, n * sizeof(*bound));
	page_hide(va, n);
	return 0;
}

void
fake_unbind_frame(uint32_t pfn)
{
	for (uint32_t i = 0; i < arena_next; i++)
		if (bound[i] == pfn)
			core_unbind(EXOS_ARENA + i * 4096ul, 1);
}

void
fake_drop_all(void)
{
	page_hide(EXOS_ARENA, ARENA_PAGES);
	memset(bound, 0, ARENA_PAGES * sizeof(*bound));
}

void
fake_arena_left(uint32_t pages)
{
	arena_limit = arena_next + pages;
}

static uint32_t
order_of(uint32_t pages)
{
	uint32_t order = 0;

	while (1u << order < pages)
		order++;
	return order;
}

uint64_t
core_arena_reserve(uint32_t pages)
{
	uint32_t order = order_of(pages);

	if (fails())
		return 0;
	if (arena_free_count[order])
		return EXOS_ARENA + arena_free[order][--arena_free_count[order]] * 4096ul;
	if (arena_next + (1u << order) > arena_limit)
		return 0;
	arena_next += 1u << order;
	return EXOS_ARENA + (arena_next - (1u << order)) * 4096ul;
}

void
core_arena_release(uint64_t va, uint32_t pages)
{
	uint32_t order = order_of(pages), page = (uint32_t)((va - EXOS_ARENA) / 4096);

	for (uint32_t i = 0; i < pages; i++)
		if (bound[page + i])
			die("release of bound pages");
	arena_free[order][arena_free_count[order]++] = page;
}

void *
core_arena_map(const uint32_t *pfns, uint32_t n, uint32_t prot)
{
	uint64_t va = core_arena_reserve(n);

	if (!va)
		return NULL;
	if (core_bind(AEGIS_SELF, fake_control.space, va, pfns, n, prot)) {
		core_arena_release(va, n);
		return NULL;
	}
	return (void *)va;
}

void
core_arena_unmap(void *at, uint32_t n)
{
	core_unbind((uint64_t)at, n);
	core_arena_release((uint64_t)at, n);
}

void *
core_alloc(size_t size)
{
	if (fails())
		return NULL;
	fake_blocks++;
	return malloc(size);
}

void
core_free(void *at, size_t size)
{
	(void)size;
	if (at)
		fake_blocks--;
	free(at);
}

/* ---- the program's memory ---- */

static void
fault(int sig, siginfo_t *info, void *context)
{
	uint64_t va = (uint64_t)info->si_addr;

	(void)context;
	if (va >= EXOS_ARENA && va < EXOS_ARENA_END && !fd_window_fault(va))
		return;
	if (copying)
		siglongjmp(copy_out_of, 1);
	fprintf(stderr, "fd_fake: fault at %lx\n", va);
	signal(sig, SIG_DFL);
}

static void
hook_run(void)
{
	void (*hook)(void) = fake_copy_hook;

	fake_copy_hook = NULL;
	if (hook)
		hook();
}

static int
copy(void *to, const void *from, size_t n)
{
	hook_run();
	if (sigsetjmp(copy_out_of, 1)) {
		copying = 0;
		return -EFAULT;
	}
	copying = 1;
	memcpy(to, from, n);
	copying = 0;
	return 0;
}

size_t
core_copy(void *to, const void *from, size_t n)
{
	return copy(to, from, n) != 0;
}

int
copy_in(void *to, uint64_t from, size_t n)
{
	return copy(to, (const void *)from, n);
}

int
copy_out(uint64_t to, const void *from, size_t n)
{
	return copy((void *)to, from, n);
}

int
clear_out(uint64_t to, size_t n)
{
	if (sigsetjmp(copy_out_of, 1)) {
		copying = 0;
		return -EFAULT;
	}
	copying = 1;
	memset((void *)to, 0, n);
	copying = 0;
	return 0;
}

int64_t
copy_in_string(char *to, uint64_t from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (copy_in(to + i, from + i, 1))
			return -EFAULT;
		if (!to[i])
			return (int64_t)i;
	}
	return -ENAMETOOLONG;
}

/* ---- the entry of calls ---- */

const char core_leaf_slow[1], core_leaf_call[1], core_leaf_sink[1], core_leaf_end[1];
const char core_leaf_pipe_read[1], core_leaf_pipe_write[1];

int64_t
fake_call(int64_t (*handler)(struct call *), struct call *c)
{
	struct file *f =
		c->number <= 1 && (uint32_t)c->a[0] < FD_EMBEDDED ? fd_file((int)c->a[0]) : NULL;
	const char *leaf = f ? (const char *)f->leaf[c->number] : core_leaf_slow;
	int64_t got = LEAF_NOT;

	/* Nobody is told to be alone at an end: the functions. */
	if (leaf == core_leaf_call || leaf == core_leaf_pipe_read || leaf == core_leaf_pipe_write)
		got = f->function[c->number](c->a[0], c->a[1], c->a[2], f);
	else if (leaf != core_leaf_slow && c->a[2] <= RW_COUNT_MAX)
		got = leaf == core_leaf_sink ? (int64_t)c->a[2] : 0;
	return got == LEAF_NOT ? handler(c) : got;
}

/* ---- processes ---- */

static void
fixed_map(uint64_t va, size_t bytes, int prot)
{
	void *at = mmap((void *)va, bytes, prot,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);

	if (at != (void *)va)
		die("the library's addresses are not free");
}

/* This host process becomes environment `env`. */
static void
env_become(uint32_t env)
{
	fake_control.env = env;
	fake_control.waiter = ring_waiter(env, fake_control.home_cpu);
	fake_control.space = env;
	if (mmap((void *)EXOS_ENVPAGE, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, ram_fd,
		 (off_t)world->env_frame[env] * 4096) == MAP_FAILED)
		die("environment page");
}

static uint32_t
env_create(void)
{
	uint32_t env = __atomic_fetch_add(&world->next_env, 1, __ATOMIC_RELAXED);

	if (env >= FAKE_ENVS)
		die("out of environments");
	world->env_frame[env] = fake_frame_alloc();
	return env;
}

int
fake_fork(void)
{
	struct fd_mapping maps[64];
	uint32_t env = env_create();
	int pid;

	if (fd_fork())
		return -1;
	fake_lock(&world->lock);
	for (uint32_t i = 0; i < FAKE_OBJECTS; i++)
		if (fake_held[i / 64] >> (i % 64) & 1)
			world->objects[i].refs++;
	fake_unlock(&world->lock);
	pid = fork();
	if (pid)
		return pid;
	/* A new space has what fd_mappings says, and nothing else. */
	fake_drop_all();
	env_become(env);
	size_t n = fd_mappings(maps, 64);
	for (size_t i = 0; i < n && i < 64; i++)
		core_bind(AEGIS_SELF, env, maps[i].va, maps[i].pfns, maps[i].pages, maps[i].prot);
	return 0;
}

void
fake_exit(int status)
{
	core_soon_wake(); /* the service makes up for it */
	for (uint32_t i = 0; i < FAKE_OBJECTS; i++)
		while (fake_held[i / 64] >> (i % 64) & 1)
			svc_call(&(struct svc){.op = SVC_CLOSE, .a = i});
	world->env_dead[fake_control.env] = true;
	_exit(status);
}

void
fake_boot(void)
{
	struct sigaction act = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	ram_fd = memfd_create("ram", 0);
	if (ram_fd < 0 || ftruncate(ram_fd, (off_t)FAKE_FRAMES * 4096))
		die("memory");
	fake_ram = mmap(NULL, (size_t)FAKE_FRAMES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			ram_fd, 0);
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	bound = mmap(NULL, ARENA_PAGES * sizeof(*bound), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fake_ram == MAP_FAILED || world == MAP_FAILED || bound == MAP_FAILED)
		die("memory");
	for (int i = 0; i < 16; i++) {
		arena_free[i] = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	fixed_map(EXOS_ARENA, EXOS_ARENA_END - EXOS_ARENA, PROT_NONE);
	fixed_map(EXOS_ENVPAGE, 4096, PROT_READ);
	fixed_map(EXOS_MAIL, 4096, PROT_READ | PROT_WRITE);
	fixed_map(EXOS_MSG, EXOS_MSG_PAGES * 4096, PROT_READ | PROT_WRITE);
	world->next_env = 1;
	world->next_frame = 1;
	fake_control.self = &fake_control;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_control);
	env_become(env_create());
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	fd_init();
}

uint64_t
fake_service_calls(void)
{
	uint64_t n = 0;

	for (int i = 0; i < SVC_OPS; i++)
		n += world->calls[i];
	return n;
}

uint32_t
fake_objects(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < FAKE_OBJECTS; i++)
		n += world->objects[i].refs != 0;
	return n;
}
