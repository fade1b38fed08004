/* SPDX-License-Identifier: MIT */
/*
 * env_write with one word wrong: areas and entries that are not there, the kernel's, not canonical, or
 * read only.  Each is refused, or the environment ends when the word is used; nobody else notices.
 */
#include "evil.h"

#define WORDS 12u /* of 64 bits; the last two are pkru, space, cpu, flags */

static const uint64_t values[] = {
	0,
	1,
	8,
	0x1000,
	0x3a0000000000, /* nothing there */
	0x3a0000000001,
	AEGIS_WINDOW - 0x1000,
	AEGIS_WINDOW,
	AEGIS_WINDOW + 0x3fdfeff000,
	0x00007ffffffff000,
	0x00007fffffffffff,
	0x0000800000000000, /* not canonical */
	0x4141414141414141,
	0x8000000000000000,
	0xffff7fffffffffff,
	0xffff800000000000, /* the kernel's */
	0xffffffff80000000,
	0xfffffffffffff000,
	0xffffffffffffffff,
};

/* Writes the setup that is in its spare page, then uses every entry. */
static int64_t
setup_use(uint64_t arg)
{
	int64_t st = aegis_env_write(AEGIS_SELF, self()->env, SPARE);

	self()->result = st;
	if (st != AEGIS_OK)
		return st;
	if (arg % 2)
		guest_raw(60, 0, 0, 0, 0, 0); /* fault_entry */
	else
		guest_yield(AEGIS_ANY); /* begin_entry */
	return 1;
}

static bool
setup_fault(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	return f->cause == AEGIS_CAUSE_SYSCALL;
}

static int64_t
setup_attack(uint32_t word, uint64_t value, uint32_t use)
{
	const struct spawn s = {.on_fault = setup_fault};
	struct child *c = evil_make(setup_use, use, evil_cpu(word), &s);
	struct aegis_setup *setup = (struct aegis_setup *)((uint64_t)c->g + SPARE);
	uint64_t end = tsc() + ticks(300000000);
	int64_t result;

	setup_fill(setup, c->g, c->space, evil_cpu(word), AEGIS_SETUP_EXTRA);
	((uint64_t *)setup)[word] = value;
	c->g->result = 1000;
	evil_wake(c);
	/* Without a wish for time, or on a processor that others have, it may live on. */
	while (env_info(c->env)->state != AEGIS_STATE_ENDED && tsc() < end && c->g->result == 1000)
		rest(100000);
	for (int i = 0; i < 20 && env_info(c->env)->state != AEGIS_STATE_ENDED; i++)
		rest(100000);
	result = c->g->result;
	child_end(c);
	return result;
}

TEST(evil_setup)
{
	uint32_t refused = 0;

	for (uint32_t word = 0; word < WORDS; word++) {
		for (uint32_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			int64_t st = setup_attack(word, values[i], i + word);

			refused += st < 0;
			if (word != 1 && word < 10 && values[i] >= AEGIS_USER_MAX && st >= 0) {
				say("# word %u value %lx: %ld", word, values[i], st);
				check(st < 0);
			}
		}
	}
	say("# %u refused", refused);
	check(refused > 100);
}

/* The area: bound but read only, bound but not guaranteed, in part, of another space, large. */
TEST(evil_setup_area)
{
	struct child *c = spawn_on(NULL, 0, evil_cpu(0), SPAWN_ALONE | SPAWN_WAIT);
	struct aegis_setup *s = spare();
	uint32_t pfn[2];

	frames_get(pfn, 2);
	require_is(bind(c->space, TEST_VA, pfn[0], RO), 1);
	require_is(bind(c->space, TEST_VA + PAGE, pfn[1], RO), 1);
	setup_fill(s, c->g, c->space, 0, 0);
	s->area_va = TEST_VA;
	s->area_pages = 2;
	s->stack_page = 1;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	require_is(bind(c->space, TEST_VA + PAGE, pfn[1], RW), 1);
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	/* Crosses into pages that are not there, and around the end of the address space. */
	s = spare();
	s->area_va = TEST_VA + PAGE;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	s->area_va = AEGIS_USER_MAX - PAGE;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	s->area_va = -PAGE;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	/* Its text, which is executable and read only. */
	s->area_va = (uint64_t)setup_use & -PAGE;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	/* The system page and its own environment page: never an area. */
	s->area_va = SYSTEM_VA - PAGE;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	s->area_va = (uint64_t)c->g + ENVPAGE_OFFSET - PAGE;
	check(aegis_env_write(CAP, c->env, SPARE) < 0);
	/* What it had is as it was. */
	check_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	child_end(c);
	frames_put(pfn, 2);
}
