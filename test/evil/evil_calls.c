/* SPDX-License-Identifier: MIT */
/*
 * Every call with random and boundary arguments, by several attackers at once who have a name of
 * their own with every right but the machine's, so that they can get far, and get at each other.
 *
 * 1. Options: fuzz=N calls in all, seed=S, round=R to begin with.  The calls of an attacker depend on its seed alone; how those
 *    of several interleave does not.
 * 2. An attacker ends itself often (it unbinds its own code, changes its own entries).  One that makes
 *    no progress is woken, then destroyed.  When none is left, another round begins.
 * 3. After a round whatever environments and spaces they made are destroyed by the root; the runner's
 *    usual comparison says at the end whether everything came back.
 */
#include "evil.h"

#define FUZZERS 4u
#define LIFE    4000u /* calls of one attacker */
#define WORDS   256u
#define NAME    5u /* the attackers' name: what the runner keeps */
#define TOY     6u /* what they get, new in each round; they may revoke it */
/* Not the machine's end, nor its log: that has the tests' results. */
#define FUZZ_CAPS (AEGIS_ALL & ~(AEGIS_POWER | AEGIS_LOG))

/* In the attacker's spare page. */
struct fuzz {
	uint64_t state, quota;
	volatile uint64_t calls;
	uint32_t last[8];
	volatile uint64_t answers[24]; /* by status */
	uint32_t words;
	uint64_t word[WORDS];
};
_Static_assert(sizeof(struct fuzz) <= PAGE, "one page");

static uint64_t
next(struct fuzz *f)
{
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return f->state;
}

static uint64_t
boundary(struct fuzz *f)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		31,
		32,
		63,
		64,
		0xff,
		0x100,
		0xfff,
		0x1000,
		0x1001,
		0x7fff,
		0x8000,
		0xfffe,
		AEGIS_SELF,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xfffffffe,
		0xffffffff,
		0x100000000,
		AEGIS_WINDOW - 0x1000,
		AEGIS_WINDOW,
		0x00007ffffffff000,
		0x0000800000000000,
		0xffff800000000000,
		0xffffffff80000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xfffffffffffff000,
		0xffffffffffffffff,
	};

	return values[next(f) % (sizeof(values) / sizeof(values[0]))];
}

static uint64_t
value(struct fuzz *f)
{
	switch (next(f) % 8) {
	case 0:
		return next(f) % 8;
	case 1:
		return boundary(f);
	case 2:
		return next(f);
	case 3:
		return next(f) >> next(f) % 64;
	case 4:
		return next(f) % 2 ? BATCH : SPARE + PAGE - next(f) % 64;
	case 5:
		return next(f) % 4 ? 1 : AEGIS_SELF;
	default:
		return f->words ? f->word[next(f) % (f->words < WORDS ? f->words : WORDS)]
				: boundary(f);
	}
}

static void
learn(struct fuzz *f, uint64_t word)
{
	f->word[f->words++ % WORDS] = word;
}

/* What the arguments are called: most are to be plausible, or every call would fail at its first. */
#define NAMES(a, b, c, d, e, ...)  \
	{                          \
#a, #b, #c, #d, #e \
	}
#define CALL(n, name, parameters, ...) [n] = NAMES(__VA_ARGS__, 0, 0, 0, 0, 0),
static const char *const names[AEGIS_CALLS][5] = {
#include <aegis/syscalls.def>
};

static uint64_t
plausible(struct fuzz *f, const char *name)
{
	uint64_t any = value(f);

	if (*name == '0' || next(f) % 4 == 0)
		return any;
	if (text_is(name, "cap") || text_is(name, "from") || text_is(name, "with"))
		return next(f) % 4 ? 1 : next(f) % 2 ? AEGIS_SELF : next(f) % 8;
	if (text_is(name, "to") || text_is(name, "slot"))
		return next(f) % 8;
	if (text_is(name, "area"))
		return BATCH;
	if (text_is(name, "n") || text_is(name, "cpu"))
		return next(f) % 8 ? next(f) % 4 : next(f) % 600;
	if (text_is(name, "env"))
		return next(f) % 4 ? self()->env + next(f) % 8 - 4 : any;
	if (text_is(name, "space"))
		return next(f) % 4 ? self()->space + next(f) % 4 - next(f) % 4 : any;
	if (text_is(name, "flags") || text_is(name, "rights") || text_is(name, "kind") ||
	    text_is(name, "count"))
		return next(f) % 2 ? next(f) % 4 : next(f) & AEGIS_ALL;
	return any;
}

static uint64_t
address(struct fuzz *f)
{
	switch (next(f) % 8) {
	case 0:
		return value(f);
	case 1:
		return (uint64_t)self() + next(f) % (BLOCK_SIZE / PAGE) * PAGE;
	case 2:
		return (TEST_VA + (next(f) % 4 << 21)) & ~((1ul << (12 + next(f) % 4 * 9)) - 1);
	case 3:
		return next(f) << 12 & 0x7fffffffffff;
	default:
		return TEST_VA + next(f) % 1024 * PAGE;
	}
}

static uint32_t
frame(struct fuzz *f)
{
	return next(f) % 4 == 0 ? AEGIS_ANY : (uint32_t)value(f);
}

static void
fill(struct fuzz *f)
{
	struct aegis_bind *b = batch_binds();
	struct aegis_frame_rec *r = batch_frames();
	uint32_t records = next(f) % 4 ? 4 : 32;

	switch (next(f) % 4) {
	case 0:
		for (uint32_t i = 0; i < records; i++)
			((volatile uint64_t *)b)[i] = value(f);
		break;
	case 1:
		for (uint32_t i = 0; i < records; i++)
			b[i] = (struct aegis_bind){address(f), frame(f),
						   (uint32_t)(next(f) & 0x3ff)};
		break;
	case 2:
		*(struct aegis_env_create *)r = (struct aegis_env_create){
			.frames = {frame(f), frame(f), frame(f)},
			.space = self()->space,
			.flags = (uint32_t)(next(f) % 2),
			.frame_limit = (uint32_t)(next(f) % 16),
			.env_limit = (uint32_t)(next(f) % 3),
		};
		break;
	default:
		for (uint32_t i = 0; i < records; i++)
			r[i] = (struct aegis_frame_rec){frame(f), (uint32_t)(next(f) % 8)};
	}
}

/* A call of everything has been made when this is done often. */
static void
call_once(struct fuzz *f)
{
	uint32_t call = (uint32_t)(next(f) % AEGIS_CALLS);
	uint64_t number = AEGIS_NUMBER(call);
	uint64_t arg[5];
	int64_t st;

	if (next(f) % 4)
		fill(f);
	for (uint32_t i = 0; i < 5; i++)
		arg[i] = plausible(f, names[call][i]);
	if (next(f) % 64 == 0)
		number = AEGIS_CALL_BASE + value(f) % 65536;
	if (next(f) % 8 == 0 || number == AEGIS_NUMBER(AEGIS_CALL_pct_call))
		number |= (next(f) % 16 ? next(f) % 10 : next(f)) << 32;
	/* Its own end, and sleep without one, are only wanted now and then. */
	if ((uint32_t)number == AEGIS_NUMBER(AEGIS_CALL_env_destroy) && next(f) % 16)
		arg[0] = 1;
	if ((uint32_t)number == AEGIS_NUMBER(AEGIS_CALL_sleep) && next(f) % 16)
		arg[1] = tsc();
	/* A frame that the device is to fill is the device's until it does, which nobody can end. */
	if ((uint32_t)number == AEGIS_NUMBER(AEGIS_CALL_chan_post) && (uint32_t)arg[0] == 0)
		arg[0] = 1;
	f->calls++;
	st = guest_raw(number, arg[0], arg[1], arg[2], arg[3], arg[4]);
	*(volatile uint32_t *)&self()->area.defer = next(f) % 16 == 0;
	f->answers[st > 0 ? 0 : st < -22 ? 23 : (uint64_t)-st]++;
	if (st > 0 && st < BEGUN) {
		learn(f, (uint64_t)st);
		learn(f, batch_frames()->pfn);
	}
}

/* A foreign number is an exception; going on behind it is right. */
static bool
fuzz_fault(struct aegis_frame *frame, uint64_t callee[6])
{
	(void)callee;
	frame->rax = (uint64_t)AEGIS_BAD_CALL;
	return frame->cause == AEGIS_CAUSE_SYSCALL;
}

static int64_t
fuzz_attack(uint64_t arg)
{
	struct fuzz *f = spare();

	(void)arg;
	learn(f, self()->env);
	learn(f, self()->space);
	learn(f, (uint64_t)self());
	while (f->calls < f->quota)
		call_once(f);
	return 0;
}

static struct evil_census census;

struct fuzzer {
	struct child *c;
	uint64_t seen, since;
	bool ended;
};

static struct fuzz *
fuzz_of(const struct fuzzer *z)
{
	return (struct fuzz *)((uint64_t)z->c->g + SPARE);
}

static void
fuzzer_make(struct fuzzer *z, uint32_t i, uint64_t seed)
{
	const struct spawn s = {
		.flags = SPAWN_ACCOUNT,
		.frames = 64,
		.envs = 3,
		.nodes = 6,
		.slices = 2,
		.cap = TOY,
		.on_fault = fuzz_fault,
	};
	struct fuzz *f;

	*z = (struct fuzzer){.c = evil_make(fuzz_attack, 0, evil_cpu(i), &s)};
	f = fuzz_of(z);
	memset(f, 0, sizeof(*f));
	f->state = (seed + 1) * 0x9e3779b97f4a7c15ul | 1;
	f->quota = LIFE;
	check_is(aegis_cap_grant(TOY, CAP, z->c->env, FUZZ_CAPS, 1), AEGIS_OK);
	z->since = tsc();
}

/* Destroyed by another attacker, it ended, too; its number may be somebody else's then. */
static void
fuzzer_watch(struct fuzzer *z)
{
	uint64_t calls = fuzz_of(z)->calls, quiet = ns(tsc() - z->since);
	const struct aegis_env_info *info = env_info(z->c->env);

	if (info->state == ~0u || info->state == AEGIS_STATE_ENDED || quiet > 60000000) {
		z->ended = true;
	} else if (calls != z->seen) {
		z->seen = calls;
		z->since = tsc();
	} else if (quiet > 5000000) {
		aegis_wake(CAP, z->c->env, 0);
	}
}

/* One life of all.  They are made and cleared away while none of them runs. */
static uint64_t
round_run(struct fuzzer *fuzzers, uint32_t n, uint64_t seed, uint64_t answers[24])
{
	uint64_t made = 0;
	uint32_t alive = n;

	require_is(aegis_cap_derive(NAME, FUZZ_CAPS, TOY), AEGIS_OK);
	for (uint32_t i = 0; i < n; i++)
		fuzzer_make(&fuzzers[i], i, seed * FUZZERS + i);
	for (uint32_t i = 0; i < n; i++)
		aegis_wake(CAP, fuzzers[i].c->env, 0); /* another may have ended it */
	while (alive) {
		rest(100000);
		alive = 0;
		for (uint32_t i = 0; i < n; i++) {
			if (!fuzzers[i].ended)
				fuzzer_watch(&fuzzers[i]);
			alive += !fuzzers[i].ended;
		}
	}
	census_restore(&census);
	for (uint32_t i = 0; i < n; i++) {
		const struct fuzz *f = fuzz_of(&fuzzers[i]);

		made += f->calls <= LIFE ? f->calls : 0;
		for (uint32_t k = 0; k < 24; k++)
			answers[k] += f->answers[k];
		fuzzers[i].c->env = fuzzers[i].c->space = 0;
		child_end(fuzzers[i].c);
	}
	check_is(aegis_cap_drop(TOY), AEGIS_OK);
	return made;
}

TEST(evil_calls)
{
	uint64_t want = option_number("fuzz", 100000), seed = option_number("seed", 1);
	uint64_t made = 0, rounds = option_number("round", 0), answers[24] = {0};
	struct fuzzer fuzzers[FUZZERS];
	uint32_t n = SYSTEM->cpus > FUZZERS ? FUZZERS : SYSTEM->cpus, used;

	census_take(&census);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, NAME), AEGIS_OK);
	used = env_info(self()->env)->account_used;
	while (made < want) {
		made += round_run(fuzzers, n, (seed << 32) + rounds++, answers);
		for (int i = 0; i < 50 && env_info(self()->env)->account_used != used; i++)
			rest(1000000);
		if (env_info(self()->env)->account_used != used) {
			say("# round %lu keeps %u frames, not %u", rounds - 1,
			    env_info(self()->env)->account_used, used);
			check(!"a round gives everything back");
			break;
		}
	}
	say("# %lu calls in %lu rounds of %u attackers, %lu answered well", made, rounds, n,
	    answers[0]);
	for (uint32_t i = 1; i < 24; i++) {
		if (answers[i])
			say("# %lu times -%u", answers[i], i);
	}
	while (aegis_cap_revoke(NAME) == AEGIS_AGAIN)
		;
	check_is(aegis_cap_drop(NAME), AEGIS_OK);
}
