/* SPDX-License-Identifier: MIT */
/* Upcalls within upcalls, deferred upcalls, and the end when there is no room or no handler. */
#include "guest.h"

static uint32_t depth, deepest;
static uint64_t frame_at[16];

static bool
nesting(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	if (f->cause != AEGIS_CAUSE_UNDEFINED)
		return false;
	if (depth < 16)
		frame_at[depth] = (uint64_t)f;
	depth++;
	deepest = depth > deepest ? depth : deepest;
	if (depth < 10)
		__asm__ volatile("ud2" ::: "memory");
	depth--;
	f->rip += 2;
	return true;
}

TEST(fault_nest)
{
	uint64_t top = (uint64_t)self() + AEGIS_AREA_PAGES * PAGE;

	depth = deepest = 0;
	self()->on_fault = nesting;
	__asm__ volatile("ud2" ::: "memory");
	check_is(deepest, 10);
	check_is(depth, 0);
	check_is(frame_at[0], top - AEGIS_FRAME_SIZE);
	for (uint32_t i = 1; i < 10; i++) {
		check(frame_at[i] < frame_at[i - 1]);
		check_is(frame_at[i] % AEGIS_FRAME_SIZE, 0);
	}
}

static bool
endless(struct aegis_frame *f, uint64_t callee[6])
{
	(void)f;
	(void)callee;
	__asm__ volatile("ud2" ::: "memory");
	return true;
}

static int64_t
undefined(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("ud2" ::: "memory");
	return 0;
}

static int64_t
hang_up(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("xorl %%esp, %%esp; movb (%%rsp), %%al" ::: "rax", "memory");
	return 0;
}

static void
end_check(const struct spawn *s, uint32_t reason, uint32_t cause)
{
	struct child *c = spawn(s);
	struct aegis_env_info *info;

	require(child_wait(c, AEGIS_STATE_ENDED));
	info = env_info(c->env);
	check_is(info->end_reason, reason);
	check_is(info->end_cause, cause);
	check(!c->g->done);
	child_end(c);
}

/* A fault in the handler, without end: only that environment ends, and says why. */
TEST(fault_stack)
{
	const struct spawn same = {.fn = undefined, .on_fault = endless};
	const struct spawn other = {.fn = undefined, .on_fault = endless, .flags = SPAWN_SPACE};
	const struct spawn silent = {.fn = undefined, .flags = SPAWN_NO_FAULT};
	const struct spawn lost = {.fn = hang_up, .flags = SPAWN_NO_FAULT | SPAWN_SPACE};

	end_check(&same, AEGIS_END_STACK, AEGIS_CAUSE_UNDEFINED);
	end_check(&other, AEGIS_END_STACK, AEGIS_CAUSE_UNDEFINED);
	end_check(&silent, AEGIS_END_HANDLER, AEGIS_CAUSE_UNDEFINED);
	end_check(&lost, AEGIS_END_HANDLER, AEGIS_CAUSE_PAGE);
}

/* A handler whose own code is not there: the fault of its first instruction, again and again. */
TEST(fault_handler_gone)
{
	struct child *c = spawn_on(undefined, 0, 0, SPAWN_SPACE | SPAWN_WAIT);
	struct aegis_setup *s = spare();
	struct aegis_env_info *info;

	setup_fill(s, c->g, c->space, 0, AEGIS_SETUP_EXTRA);
	s->fault_entry = FAR_VA;
	require_is(aegis_env_write(CAP, c->env, SPARE), AEGIS_OK);
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	require(child_wait(c, AEGIS_STATE_ENDED));
	info = env_info(c->env);
	check_is(info->end_reason, AEGIS_END_STACK);
	check_is(info->end_cause, AEGIS_CAUSE_PAGE);
	check_is(info->end_rip, FAR_VA);
	check_is(info->end_addr, FAR_VA);
}

/* ---- deferral ---- */

TEST(fault_defer)
{
	struct guest *g = self();
	volatile struct aegis_area *area = &g->area;
	uint32_t events, asyncs;

	rest(3000000);
	asyncs = g->asyncs;
	events = g->events;
	area->defer = 1;
	check_is(aegis_wake(CAP, g->env, AEGIS_WAKE_UPCALL), AEGIS_OK);
	for (int i = 0; i < 100; i++)
		aegis_null();
	check(area->pending & AEGIS_PEND_EVENT);
	check_is(g->events, events);
	/* Synchronous ones are not held back. */
	check_is(fault_of(undefined, 0), AEGIS_CAUSE_UNDEFINED);
	area->defer = 1;
	check(area->pending & AEGIS_PEND_EVENT);
	area->defer = 0;
	if (area->pending)
		aegis_null();
	for (int i = 0; i < 1000000 && g->events == events; i++)
		relax();
	check_is(g->events, events + 1);
	check(g->asyncs > asyncs);
	check_is(area->pending, 0);
	check_is(area->defer, 0);
	check_is(aegis_wake(CAP, g->env, 0), AEGIS_OK); /* without the upcall */
	check_is(aegis_wake(CAP, g->env, 2), AEGIS_BAD_ARG);
	check_is(g->events, events + 1);
}

/* At once, without defer: at the end of the call. */
TEST(fault_async)
{
	struct guest *g = self();

	for (uint32_t i = 0; i < 100; i++) {
		uint32_t events = g->events;

		check_is(aegis_wake(CAP, g->env, AEGIS_WAKE_UPCALL), AEGIS_OK);
		aegis_null();
		for (int j = 0; j < 1000000 && g->events == events; j++)
			relax();
		check_is(g->events, events + 1);
	}
}
