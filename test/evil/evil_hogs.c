/* SPDX-License-Identifier: MIT */
/*
 * Hogs of pages, slices, environments, spaces and names: each gets what its account allows and an error then;
 * a neighbour finds as much as before.
 */
#include "evil.h"

#define HOG_FRAMES 90u
#define HOG_ENVS   4u
#define HOG_NODES  7u
#define HOG_SLICES 5u

static uint32_t
hog_frames(void)
{
	uint32_t got = 0, pfn, failed = 0;

	while (failed < 50) {
		status st = frame_alloc(1, AEGIS_ANY, &pfn);

		if (st == 1) {
			got++;
			failed = 0;
			continue;
		}
		/* A holdings page is wanted: it is one of those that it has. */
		if (st == AEGIS_NEED_TABLE) {
			uint32_t span = batch_frames()->flags;

			if (self()->done == 0)
				*batch_frames() = (struct aegis_frame_rec){
					(uint32_t)self()->reserved[0], span};
			aegis_mem_table(AEGIS_SELF, self()->space, BATCH, 1);
		}
		failed++;
		if (st != AEGIS_LIMIT && st != AEGIS_NEED_TABLE)
			note(1, got, st, AEGIS_LIMIT);
	}
	return got;
}

static uint32_t
hog_slices(void)
{
	uint32_t got = 0;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 2 * AEGIS_SLICES; i++) {
			int64_t st = aegis_slice_alloc(1, i % 2 ? 0 : self()->cpu,
						       round ? i / 2 : AEGIS_ANY);

			got += st >= 0;
			if (st < 0 && st != AEGIS_LIMIT && st != AEGIS_IN_USE)
				note(2, got, st, AEGIS_LIMIT);
		}
	}
	return got;
}

static uint32_t
hog_names(void)
{
	uint32_t got = 0;

	for (uint32_t to = 2; to < AEGIS_CAP_SLOTS; to++) {
		int64_t st = aegis_cap_derive(1, AEGIS_ALL, to);

		got += st == AEGIS_OK;
		if (st != AEGIS_OK && st != AEGIS_LIMIT)
			note(3, got, st, AEGIS_LIMIT);
	}
	return got;
}

static uint32_t
hog_envs(void)
{
	uint32_t got = 0, pfn;

	for (uint32_t i = 0; i < 12; i++) {
		struct aegis_env_create r = {.space = self()->space};
		int64_t st;

		for (uint32_t k = 0; k < AEGIS_ENV_FRAMES; k++) {
			if (frame_alloc(1, AEGIS_ANY, &pfn) != 1)
				return got;
			r.frames[k] = pfn;
		}
		*(struct aegis_env_create *)batch_binds() = r;
		st = aegis_env_create(1, BATCH);
		got += st > 0;
		if (st < 0 && st != AEGIS_LIMIT)
			note(4, got, st, AEGIS_LIMIT);
	}
	return got;
}

static uint32_t
hog_spaces(void)
{
	uint32_t spaces[HOG_FRAMES], got = 0, pfn;
	int64_t st = 1;

	while (st > 0 && got < HOG_FRAMES) {
		struct aegis_frame_rec r[AEGIS_SPACE_FRAMES];

		for (uint32_t k = 0; k < AEGIS_SPACE_FRAMES; k++) {
			if (frame_alloc(1, AEGIS_ANY, &pfn) != 1)
				note(5, got, AEGIS_NO_MEMORY, AEGIS_LIMIT);
			r[k] = (struct aegis_frame_rec){pfn, 0};
		}
		for (uint32_t k = 0; k < AEGIS_SPACE_FRAMES; k++)
			batch_frames()[k] = r[k];
		st = aegis_space_create(1, BATCH, 0);
		if (st > 0)
			spaces[got++] = (uint32_t)st;
	}
	if (st != AEGIS_LIMIT)
		note(6, got, st, AEGIS_LIMIT);
	for (uint32_t i = 0; i < got; i++) {
		while ((st = aegis_space_destroy(1, spaces[i])) == AEGIS_AGAIN)
			;
		if (st != AEGIS_OK)
			note(7, i, st, AEGIS_OK);
	}
	return got;
}

static int64_t
hog(uint64_t arg)
{
	switch (arg) {
	case 0:
		return hog_frames();
	case 1:
		return hog_slices();
	case 2:
		return hog_names();
	case 3:
		return hog_spaces();
	default:
		return hog_envs();
	}
}

static struct evil_census census;

static int64_t
hog_run(uint32_t what, uint32_t *free_while)
{
	const struct spawn s = {
		.flags = SPAWN_ACCOUNT,
		.frames = HOG_FRAMES,
		.envs = HOG_ENVS,
		.nodes = HOG_NODES,
		.slices = HOG_SLICES,
	};
	struct child *c;
	uint32_t pfn;
	int64_t got;

	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 5), AEGIS_OK);
	census_take(&census);
	c = evil_make(hog, what, evil_cpu(what), &s);
	/* Every span's holdings page is there, so that frames alone are its limit. */
	for (uint32_t span = 0; span * AEGIS_HOLD_SPAN < SYSTEM->frames; span++)
		hold_supply(c->space, span);
	require_is(aegis_cap_grant(5, CAP, c->env, AEGIS_ALL, 1), AEGIS_OK);
	evil_wake(c);
	require(child_wait(c, AEGIS_STATE_ENDED));
	got = c->g->result;
	*free_while = SYSTEM->free_frames;
	require_is(frame_alloc(CAP, AEGIS_ANY, &pfn), 1);
	frame_put(pfn);
	for (uint32_t i = 0; i < notes_of(c->g)->count; i++)
		check_is(notes_of(c->g)->note[i].got, AEGIS_LIMIT);
	check_is(env_info(c->env)->end_reason, AEGIS_END_SELF);
	/* Its environments first: they use its space. */
	for (uint32_t i = 1; i < AEGIS_ENVS; i++) {
		if (i != c->env && !(census.env[i / 8] >> i % 8 & 1) && env_info(i)->state != ~0u)
			check_is(env_end(CAP, i), AEGIS_OK);
	}
	child_end(c);
	check_is(aegis_cap_drop(5), AEGIS_OK);
	return got;
}

TEST(evil_hog_frames)
{
	uint32_t before = SYSTEM->free_frames, during;
	int64_t got = hog_run(0, &during);

	check(got > 0 && got <= (int64_t)HOG_FRAMES);
	check(during + HOG_FRAMES + 60 >= before);
}

TEST(evil_hog_slices)
{
	uint32_t during;

	check_is(hog_run(1, &during), HOG_SLICES);
}

TEST(evil_hog_names)
{
	uint32_t during;

	check_is(hog_run(2, &during), HOG_NODES);
}

TEST(evil_hog_envs)
{
	uint32_t during;

	check_is(hog_run(4, &during), HOG_ENVS);
}

/* As many as environments, its own among the latter. */
TEST(evil_hog_spaces)
{
	uint32_t during;

	check_is(hog_run(3, &during), HOG_ENVS + 1);
}

static int64_t
sleeper(uint64_t arg)
{
	for (;;)
		guest_sleep(AEGIS_NEVER, (uint32_t)arg);
	return 0;
}

/* Requests with a deadline that never comes, of environments that end meanwhile: the next is made all the same. */
TEST(evil_hog_asks)
{
	for (uint32_t i = 0; i < 100; i++) {
		struct child *c = spawn_on(sleeper, 0, evil_cpu(i), 0);

		require_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_FRAME, 1, AEGIS_NEVER),
			   AEGIS_OK);
		check_is(aegis_revoke_ask(CAP, c->env, AEGIS_KIND_FRAME, 1, AEGIS_NEVER),
			 AEGIS_IN_USE);
		child_end(c);
	}
}
