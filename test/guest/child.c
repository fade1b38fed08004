/* SPDX-License-Identifier: MIT */
/*
 * Environments that tests make and end.
 *
 * 1. The runner allocates everything that a child begins with, binds the area in its own space,
 * too, and keeps the numbers, so that child_end can give all of it back whatever the child did.
 * 2. A child's own space has the image at the same addresses: text and constants read only, data
 *    shared, unless it is alone.
 */
#include "guest.h"

extern const char image_text[], image_constants[], image_data[], image_end[];
static struct child children[BLOCKS];

void
guest_init(struct guest *g, uint32_t index)
{
	memset(g, 0, sizeof(*g));
	g->stack_top = index ? (uint64_t)g + STACK_OFFSET + STACK_PAGES * PAGE : 0;
	g->index = index;
	g->area.defer = 1;
}

void
setup_fill(struct aegis_setup *s, const struct guest *g, uint32_t space, uint32_t cpu,
	   uint32_t flags)
{
	*s = (struct aegis_setup){
		.area_va = (uint64_t)g,
		.area_pages = AEGIS_AREA_PAGES,
		.stack_page = STACK_PAGE,
		.fault_entry = (uint64_t)guest_fault_entry,
		.async_entry = (uint64_t)guest_async_entry,
		.begin_entry = (uint64_t)guest_begin_entry,
		.call_entry = (uint64_t)guest_call_entry,
		.call_stack = (uint64_t)g + STACK_OFFSET + STACK_PAGES / 2 * PAGE,
		.resume_start = (uint64_t)guest_resume_start,
		.resume_rip = (uint64_t)guest_resume_rip,
		.gs_base = (uint64_t)g,
		.call_fs = (uint64_t)g + CALL_FS,
		.space = space,
		.cpu = cpu,
		.flags = flags,
	};
}

struct aegis_env_info *
env_info(uint32_t env)
{
	struct aegis_env_info *info = spare();

	memset(info, 0, sizeof(*info));
	if (aegis_env_read(CAP, env, SPARE) != AEGIS_OK)
		info->state = ~0u;
	return info;
}

/* ---- making ---- */

static uint32_t
space_make(uint32_t cap, uint32_t flags)
{
	uint32_t pfns[AEGIS_SPACE_FRAMES];
	status st;

	frames_get(pfns, AEGIS_SPACE_FRAMES);
	for (uint32_t i = 0; i < AEGIS_SPACE_FRAMES; i++)
		batch_frames()[i] = (struct aegis_frame_rec){pfns[i], 0};
	st = aegis_space_create(cap, BATCH, flags);
	require(st > 0);
	return (uint32_t)st;
}

static void
image_bind(uint32_t space, bool alone)
{
	uint64_t end = (uint64_t)(alone ? image_data : image_end);

	for (uint64_t va = (uint64_t)image_text; va < end; va += PAGE) {
		uint32_t pfn =
			boot_page->image_frame + (uint32_t)((va - boot_page->image_low) / PAGE);
		uint32_t prot = va < (uint64_t)image_constants ? RX
				: va < (uint64_t)image_data    ? RO
							       : RW;

		require_is(bind(space, va, pfn, prot | AEGIS_BIND_GUARANTEED), 1);
	}
	require_is(bind(space, SYSTEM_VA, boot_page->system_frame, RO), 1);
}

static void
block_make(struct child *c)
{
	uint64_t va = BLOCK(c->index);

	frames_get(c->area, AEGIS_AREA_PAGES);
	frames_get(c->stack, STACK_PAGES);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		if (c->own_space)
			require_is(bind(self()->space, va + i * PAGE, c->area[i], RW), 1);
		require_is(bind(c->space, va + i * PAGE, c->area[i], RW | AEGIS_BIND_GUARANTEED),
			   1);
	}
	for (uint32_t i = 0; i < STACK_PAGES; i++)
		require_is(bind(c->space, va + STACK_OFFSET + i * PAGE, c->stack[i],
				RW | (c->own_space ? AEGIS_BIND_GUARANTEED : 0)),
			   1);
	c->g = (struct guest *)va;
	guest_init(c->g, c->index);
}

static void
env_make(struct child *c, const struct spawn *s)
{
	struct aegis_env_create *r = spare();
	struct aegis_setup *setup = spare();
	uint32_t pfns[AEGIS_ENV_FRAMES];
	status st;

	frames_get(pfns, AEGIS_ENV_FRAMES);
	*r = (struct aegis_env_create){
		.frames = {pfns[0], pfns[1], pfns[2]},
		.space = c->space,
		.flags = s->flags & SPAWN_ACCOUNT ? AEGIS_ENV_ACCOUNT : 0,
		.frame_limit = s->frames,
		.env_limit = s->envs + 1,
		.node_limit = s->nodes,
		.slice_limit = s->slices,
	};
	st = aegis_env_create(s->cap, SPARE);
	require(st > 0);
	c->env = (uint32_t)st;
	c->exposed = pfns[2];
	require_is(frame_bind(CAP, c->exposed, AEGIS_READ), 1);
	require_is(bind(self()->space, BLOCK(c->index) + ENVPAGE_OFFSET, c->exposed, RO), 1);
	if (c->own_space)
		require_is(bind(c->space, BLOCK(c->index) + ENVPAGE_OFFSET, c->exposed, RO), 1);
	setup_fill(setup, c->g, c->space, s->cpu,
		   s->flags & SPAWN_TIMELESS ? 0 : AEGIS_SETUP_EXTRA);
	if (s->flags & SPAWN_NO_FAULT)
		setup->fault_entry = 0;
	if (s->begin_entry)
		setup->begin_entry = s->begin_entry;
	require_is(aegis_env_write(CAP, c->env, SPARE), AEGIS_OK);
}

struct child *
spawn(const struct spawn *s)
{
	struct child *c = NULL;
	bool alone = s->flags & SPAWN_ALONE;

	for (uint32_t i = 1; i < BLOCKS && !c; i++) {
		if (!children[i].used)
			c = &children[i];
	}
	require(c);
	*c = (struct child){.used = true, .index = (uint32_t)(c - children)};
	c->own_space = s->flags & (SPAWN_SPACE | SPAWN_ALONE);
	c->space = self()->space;
	if (c->own_space) {
		c->space = space_make(s->cap, s->flags & SPAWN_WX ? AEGIS_SPACE_WX : 0);
		image_bind(c->space, alone);
	}
	block_make(c);
	env_make(c, s);
	c->g->env = c->env;
	c->g->space = c->space;
	c->g->cpu = s->cpu;
	c->g->fn = s->fn;
	c->g->arg = s->arg;
	c->g->hostile = alone;
	c->g->on_call = s->on_call;
	c->g->on_fault = s->on_fault;
	if (!alone)
		require_is(aegis_cap_grant(CAP, CAP, c->env, AEGIS_ALL, CAP), AEGIS_OK);
	if (!(s->flags & SPAWN_WAIT))
		require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	return c;
}

struct child *
spawn_on(guest_fn *fn, uint64_t arg, uint32_t cpu, uint32_t flags)
{
	const struct spawn s = {.fn = fn, .arg = arg, .cpu = cpu, .flags = flags};

	return spawn(&s);
}

/* ---- ending ---- */

status
env_end(uint32_t cap, uint32_t env)
{
	status st;

	while ((st = aegis_env_destroy(cap, env)) == AEGIS_AGAIN)
		relax_or_yield();
	return st;
}

status
space_end(uint32_t cap, uint32_t space)
{
	status st;

	while ((st = aegis_space_destroy(cap, space)) == AEGIS_AGAIN)
		relax();
	return st;
}

void
child_end(struct child *c)
{
	uint32_t here = self()->space;
	uint64_t va = BLOCK(c->index);

	c->used = false;
	if (c->env)
		check_is(env_end(CAP, c->env), AEGIS_OK);
	if (c->own_space && c->space)
		check_is(space_end(CAP, c->space), AEGIS_OK);
	unbind(here, va, BLOCK_SIZE / PAGE);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		if (c->area[i])
			frame_put(c->area[i]);
	}
	for (uint32_t i = 0; i < STACK_PAGES; i++) {
		if (c->stack[i])
			frame_put(c->stack[i]);
	}
	if (c->exposed)
		frame_put(c->exposed);
}

bool
child_wait(struct child *c, uint32_t state)
{
	uint64_t end = tsc() + ticks(HANG);

	while (env_info(c->env)->state != state) {
		if (tsc() > end)
			return false;
		rest(200000);
	}
	return true;
}

void
child_join(struct child *c)
{
	require(child_wait(c, AEGIS_STATE_ENDED));
	if (!c->g->done)
		check_is(env_info(c->env)->end_reason, AEGIS_END_SELF);
	child_end(c);
}

int64_t
child_result(struct child *c)
{
	int64_t result;

	require(child_wait(c, AEGIS_STATE_ENDED));
	result = c->g->result;
	child_join(c);
	return result;
}

void
children_end(void)
{
	for (uint32_t i = 1; i < BLOCKS; i++) {
		if (children[i].used)
			child_end(&children[i]);
	}
}
