/* SPDX-License-Identifier: MIT */
/* The life of environments: creation, inspection, change, and destruction in every state. */
#include "guest.h"

static volatile uint32_t stop, started;

static int64_t
spinner(uint64_t arg)
{
	(void)arg;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		relax();
	return 0;
}

static int64_t
sleeper(uint64_t deadline)
{
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	for (;;)
		guest_sleep(deadline ? tsc() + ticks(deadline) : AEGIS_NEVER, 0);
	return 0;
}

static int64_t
acceptor(uint64_t arg)
{
	(void)arg;
	for (;;)
		guest_sleep(AEGIS_NEVER, AEGIS_SLEEP_ACCEPT);
	return 0;
}

static void
spin_called(struct message *m, uint32_t caller)
{
	(void)m;
	(void)caller;
	spinner(0);
}

static int64_t
caller(uint64_t target)
{
	struct message m = {0};

	if (aegis_pct_bind(CAP, (uint32_t)target, 0) == AEGIS_OK)
		return guest_transfer(0, &m);
	return -1;
}

TEST(env_read)
{
	struct child *c = spawn_on(sleeper, 0, SYSTEM->cpus - 1, SPAWN_SPACE | SPAWN_WAIT);
	struct aegis_env_info *info = env_info(c->env);

	check(info->size >= sizeof(*info));
	check_is(info->version, AEGIS_VERSION);
	check_is(info->env, c->env);
	check_is(info->state, AEGIS_STATE_NEW);
	check_is(info->end_reason, AEGIS_END_NONE);
	check_is(info->space, c->space);
	check_is(info->guard, 1);
	check_is(info->caller, 0);
	check_is(info->saved, 0);
	started = 0;
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	require(child_wait(c, AEGIS_STATE_SLEEPING));
	info = env_info(c->env);
	check(info->time_ns > 0);
	check_is(info->cpu, SYSTEM->cpus - 1);
	check_is(env_info(self()->env)->state, AEGIS_STATE_RUNNING);
	check_is(aegis_env_read(AEGIS_SELF, self()->env, SPARE), AEGIS_OK);
	check_is(aegis_env_read(AEGIS_SELF, c->env, SPARE), AEGIS_DENIED);
	check_is(aegis_env_read(CAP, 0, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_env_read(CAP, AEGIS_ENVS, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_env_read(CAP, 0xffffffff, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_env_read(CAP, c->env, AEGIS_AREA_PAGES * PAGE - 8), AEGIS_BAD_ARG);
	check_is(aegis_env_read(CAP, c->env, PAGE - 8), AEGIS_BAD_ARG); /* over a page's end */
	check_is(aegis_env_read(CAP, c->env, SPARE + 4), AEGIS_BAD_ARG);
	child_end(c);
	check_is(aegis_env_read(CAP, c->env, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_env_destroy(CAP, c->env), AEGIS_NO_SUCH);
}

/* The registers of one that was switched by force. */
static int64_t
marked(uint64_t arg)
{
	self()->area.defer = 1;
	started = 1;
	__asm__ volatile("movq %0, %%r12; movq %%r12, %%r13; 1: pause; jmp 1b" ::"r"(arg)
			 : "r12", "r13");
	return 0;
}

TEST(env_read_saved)
{
	uint32_t cpu = SYSTEM->cpus - 1, hits = 0;
	struct child *c, *b;

	started = stop = 0;
	c = spawn_on(marked, 0xabcdef12345, cpu, 0);
	b = spawn_on(spinner, 0, cpu, 0);
	for (uint32_t i = 0; i < 200 && hits < 3; i++) {
		struct aegis_env_info *info = env_info(c->env);

		if (info->state == AEGIS_STATE_READY && info->saved) {
			check_is(info->regs[12], 0xabcdef12345);
			check_is(info->regs[13], 0xabcdef12345);
			check(info->regs[16] > (uint64_t)marked &&
			      info->regs[16] < (uint64_t)marked + 100);
			check_is(info->gs_base, (uint64_t)c->g);
			hits++;
		}
		rest(300000);
	}
	check(hits > 0);
	stop = 1;
	child_end(b);
	child_end(c);
}

/* ---- destruction ---- */

static void
destroy_in(uint32_t state, guest_fn *fn, uint64_t arg, uint32_t cpu, uint32_t flags)
{
	struct child *c;
	uint32_t frames = SYSTEM->free_frames;

	started = stop = 0;
	c = spawn_on(fn, arg, cpu, flags);
	if (state != AEGIS_STATE_NEW)
		require(child_wait(c, state));
	child_end(c);
	check_is(SYSTEM->free_frames, frames);
}

TEST(env_destroy_states)
{
	uint32_t other = SYSTEM->cpus - 1;

	for (uint32_t i = 0; i < 20; i++) {
		uint32_t space = i % 2 ? SPAWN_SPACE : 0;

		destroy_in(AEGIS_STATE_NEW, spinner, 0, other, space | SPAWN_WAIT);
		destroy_in(AEGIS_STATE_SLEEPING, sleeper, 0, other, space);
		destroy_in(AEGIS_STATE_SLEEPING, sleeper, 1000000000, other, space);
		destroy_in(AEGIS_STATE_IDLE, acceptor, 0, other, space);
		destroy_in(AEGIS_STATE_READY, spinner, 0, other, space | SPAWN_TIMELESS);
		destroy_in(other ? AEGIS_STATE_RUNNING : AEGIS_STATE_READY, spinner, 0, other,
			   space);
	}
}

TEST(env_destroy_calls)
{
	for (uint32_t i = 0; i < 20; i++) {
		struct spawn s = {.fn = acceptor,
				  .on_call = spin_called,
				  .flags = i % 2 ? SPAWN_SPACE : 0,
				  .cpu = SYSTEM->cpus - 1};
		struct child *service = spawn(&s), *client;

		started = stop = 0;
		require(child_wait(service, AEGIS_STATE_IDLE));
		client = spawn_on(caller, service->env, SYSTEM->cpus > 2, 0);
		require(wait_for(&started, 1));
		if (i % 4 < 2) {
			child_end(service);
			child_end(client);
		} else {
			child_end(client);
			child_end(service);
		}
	}
}

/* Running ones, from another processor, while they come and go. */
TEST(env_destroy_running)
{
	for (uint32_t i = 0; i < 60; i++) {
		struct child *c[4];

		stop = 0;
		for (uint32_t j = 0; j < 4; j++)
			c[j] = spawn_on(j % 2 ? spinner : sleeper, j == 2 ? 100000 : 0,
					j % SYSTEM->cpus, 0);
		if (i % 3)
			rest(i * 10000);
		for (uint32_t j = 0; j < 4; j++)
			child_end(c[j]);
	}
}

/* What it owned of everything else is free: slices, and capabilities (their names). */
static int64_t
rich(uint64_t arg)
{
	(void)arg;
	for (uint32_t i = 1; i < 60; i++)
		check_is(aegis_cap_derive(CAP, AEGIS_ALL, i), AEGIS_OK);
	for (uint32_t i = 0; i < 10; i++)
		check_is(aegis_slice_alloc(CAP, 0, 20 + i), 20 + i);
	for (uint32_t i = 0; i < 100; i++)
		frame_get();
	return 0;
}

TEST(env_destroy_rich)
{
	/* Names: 8192 would be used up without giving back. */
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t frames = SYSTEM->free_frames;
		struct child *c = spawn_on(rich, 0, i % SYSTEM->cpus, SPAWN_SPACE);

		require(child_wait(c, AEGIS_STATE_ENDED));
		check_is(aegis_slice_alloc(CAP, 0, 20), 20); /* the ended owns none */
		check_is(aegis_slice_free(0, 20), AEGIS_OK);
		child_join(c);
		check_is(SYSTEM->free_frames, frames);
	}
}

/* ---- creation ---- */

TEST(env_create_bad)
{
	struct aegis_env_create *r = spare();
	uint32_t pfns[3], space = self()->space, frames;

	frames_get(pfns, 3);
	frames = SYSTEM->free_frames;
	*r = (struct aegis_env_create){.frames = {pfns[0], pfns[1], pfns[2]}, .space = space};
	check_is(aegis_env_create(9, SPARE), AEGIS_BAD_CAP);
	check_is(aegis_env_create(AEGIS_SELF, SPARE), AEGIS_BAD_CAP);
	check_is(aegis_env_create(CAP, AEGIS_AREA_PAGES * PAGE), AEGIS_BAD_ARG);
	check_is(aegis_env_create(CAP, 0xfffffff8), AEGIS_BAD_ARG);
	r->flags = 2;
	check_is(aegis_env_create(CAP, SPARE), AEGIS_BAD_ARG);
	r->flags = 0;
	r->space = 4000;
	check_is(aegis_env_create(CAP, SPARE), AEGIS_NO_SUCH);
	r->space = space;
	r->frames[2] = pfns[1];
	check_is(aegis_env_create(CAP, SPARE), AEGIS_NOT_HELD); /* the same frame twice */
	r->frames[2] = 0xffffffff;
	check_is(aegis_env_create(CAP, SPARE), AEGIS_NOT_HELD);
	r->frames[2] = boot_page->system_frame;
	check(aegis_env_create(CAP, SPARE) < 0);
	require_is(bind(space, TEST_VA, pfns[2], RW), 1);
	r->frames[2] = pfns[2];
	check_is(aegis_env_create(CAP, SPARE), AEGIS_IN_USE);
	unbind(space, TEST_VA, 1);
	check_is(SYSTEM->free_frames, frames);
	frames_put(pfns, 3); /* held as before */
}

TEST(env_write_bad)
{
	struct child *c = spawn_on(spinner, 0, SYSTEM->cpus - 1, SPAWN_SPACE | SPAWN_WAIT);
	struct aegis_setup *s = spare(), good;
	static const uint64_t kernel[] = {0x800000000000, 0xffff800000000000, 0xffffffff80200000,
					  AEGIS_WINDOW, 0xffffffffffffffff};

	setup_fill(&good, c->g, c->space, 0, AEGIS_SETUP_EXTRA);
	for (uint32_t i = 0; i < sizeof(kernel) / 8; i++) {
		uint64_t *fields[] = {&s->area_va,      &s->fault_entry, &s->async_entry,
				      &s->begin_entry,  &s->call_entry,  &s->call_stack,
				      &s->resume_start, &s->resume_rip,  &s->gs_base,
				      &s->call_fs};

		for (uint32_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
			*s = good;
			*fields[f] = kernel[i];
			check_is(aegis_env_write(CAP, c->env, SPARE), AEGIS_BAD_ARG);
		}
	}
#define BAD(field, value, answer)                                      \
	do {                                                           \
		*s = good;                                             \
		s->field = (value);                                    \
		check_is(aegis_env_write(CAP, c->env, SPARE), answer); \
	} while (0)
	BAD(area_va, good.area_va + 8, AEGIS_BAD_ARG);
	BAD(area_va, 0, AEGIS_NOT_BOUND);
	BAD(area_va, FAR_VA, AEGIS_NOT_BOUND);
	BAD(area_va, good.area_va + PAGE, AEGIS_NOT_BOUND);           /* the 8th is not bound */
	BAD(area_va, (uint64_t)0x400000, AEGIS_NOT_BOUND);            /* read only */
	BAD(area_va, good.area_va + ENVPAGE_OFFSET, AEGIS_NOT_BOUND); /* the kernel's */
	BAD(area_pages, 0, AEGIS_BAD_ARG);
	BAD(area_pages, 1, AEGIS_BAD_ARG);
	BAD(area_pages, AEGIS_AREA_PAGES + 1, AEGIS_BAD_ARG);
	BAD(area_pages, 0xffffffff, AEGIS_BAD_ARG);
	BAD(stack_page, 0, AEGIS_BAD_ARG);
	BAD(stack_page, AEGIS_AREA_PAGES, AEGIS_BAD_ARG);
	BAD(space, 4000, AEGIS_NO_SUCH);
	BAD(space, 0xffffffff, AEGIS_NO_SUCH);
	BAD(cpu, SYSTEM->cpus, AEGIS_BAD_ARG);
	BAD(cpu, 0xffffffff, AEGIS_BAD_ARG);
	BAD(flags, 2, AEGIS_BAD_ARG);
#undef BAD
	*s = good;
	check_is(aegis_env_write(9, c->env, SPARE), AEGIS_BAD_CAP);
	check_is(aegis_env_write(AEGIS_SELF, c->env, SPARE), AEGIS_DENIED);
	check_is(aegis_env_write(CAP, 4000, SPARE), AEGIS_NO_SUCH);
	check_is(aegis_env_write(CAP, c->env, AEGIS_AREA_PAGES * PAGE), AEGIS_BAD_ARG);
	check_is(aegis_env_write(CAP, c->env, SPARE), AEGIS_OK);
	started = 0;
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	if (SYSTEM->cpus > 1) {
		*s = good;
		require(wait_for(&started, 1));
	}
	child_end(c);
}

/* An area is pinned while it serves: it can be neither unbound nor freed, nor replaced. */
TEST(env_area_pinned)
{
	struct child *c = spawn_on(spinner, 0, 0, SPAWN_SPACE | SPAWN_WAIT);
	uint64_t va = (uint64_t)c->g;
	uint32_t other = frame_get();

	check_is(unbind(c->space, va, 1), AEGIS_IN_USE);
	check_is(unbind(c->space, va, AEGIS_AREA_PAGES), AEGIS_IN_USE);
	check_is(bind_only(CAP, c->space, va + PAGE, other, RW), AEGIS_IN_USE);
	check_is(unbind(self()->space, (uint64_t)self(), 1), AEGIS_IN_USE);
	check_is(frame_mark(c->area[0], 0), AEGIS_IN_USE);
	frame_put(other);
}

/* Moved while it sleeps with a deadline, runs and calls: it wakes where it should, and once. */
TEST(env_write_moves)
{
	struct child *c;
	struct aegis_setup *s = spare();

	if (SYSTEM->cpus < 2)
		skip("one processor");
	started = stop = 0;
	c = spawn_on(sleeper, 3000000, 0, 0);
	for (uint32_t i = 0; i < 60; i++) {
		rest(2000000);
		setup_fill(s, c->g, c->space, i % SYSTEM->cpus, AEGIS_SETUP_EXTRA);
		if (aegis_env_write(CAP, c->env, SPARE) == AEGIS_BUSY)
			continue;
		rest(4000000);
	}
	check(c->g->begins > 40);
	for (uint32_t i = 0; i < 100 && env_info(c->env)->cpu != (59 % SYSTEM->cpus); i++)
		rest(1000000);
	child_end(c);
}

/* ---- accounts ---- */

static int64_t
limited_frames(uint64_t arg)
{
	uint32_t pfns[21], n = 0;

	(void)arg;
	while (n < 21 && frame_alloc(CAP, AEGIS_ANY, &pfns[n]) == 1)
		n++;
	check_is(n, 20);
	check_is(frame_alloc(CAP, AEGIS_ANY, &pfns[20]), AEGIS_LIMIT);
	frame_put(pfns[3]);
	check_is(frame_alloc(CAP, AEGIS_ANY, &pfns[3]), 1);
	check_is(frame_alloc(CAP, AEGIS_ANY, &pfns[20]), AEGIS_LIMIT);
	for (uint32_t i = 1; i <= 5; i++)
		check_is(aegis_cap_derive(CAP, AEGIS_ALL, i), AEGIS_OK);
	check_is(aegis_cap_derive(CAP, AEGIS_ALL, 6), AEGIS_LIMIT);
	check_is(aegis_cap_drop(2), AEGIS_OK);
	check_is(aegis_cap_derive(CAP, AEGIS_ALL, 6), AEGIS_OK);
	check_is(aegis_slice_alloc(CAP, 0, 60), 60);
	check_is(aegis_slice_alloc(CAP, 0, 61), 61);
	check_is(aegis_slice_alloc(CAP, 0, 62), AEGIS_LIMIT);
	check_is(aegis_slice_free(0, 60), AEGIS_OK);
	check_is(aegis_slice_alloc(CAP, 0, 62), 62);
	check_is(env_page(self())->env, self()->env);
	return 0;
}

TEST(env_account)
{
	struct spawn s = {.fn = limited_frames,
			  .flags = SPAWN_ACCOUNT | SPAWN_SPACE,
			  .frames = 20,
			  .nodes = 5,
			  .slices = 2};
	struct aegis_env_info *info;
	struct child *c;

	uint32_t used = env_info(self()->env)->account_used;

	c = spawn(&s);
	info = env_info(c->env);
	check_is(info->account_limit, 20);
	check(info->account != env_info(self()->env)->account);
	/* The limit is carved out of the maker's. */
	check(env_info(self()->env)->account_used >= used + 20);
	require(child_wait(c, AEGIS_STATE_ENDED));
	check_is(c->g->done, 1);
	check_is(aegis_slice_alloc(CAP, 0, 61), 61); /* with its end they are free */
	check_is(aegis_slice_free(0, 61), AEGIS_OK);
	child_join(c);
	check_is(env_info(self()->env)->account_used, used);
}
