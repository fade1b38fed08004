/* SPDX-License-Identifier: MIT */
/* Sleep and wake without a loss, deadlines, directed yield, and what a begin finds in registers. */
#include "guest.h"

static volatile uint32_t stop, started;

/* ---- begin ---- */

static void
began_check(const struct guest *g)
{
	const uint64_t *r = (const uint64_t *)&g->began;

	for (uint32_t i = 0; i < sizeof(struct seen) / 8; i++) {
		if (r[i])
			check_is(r[i], 0);
	}
	check_is(g->began_fs, 0);
}

/* Vector state as it is: nothing in C touches it. */
struct vectors {
	uint64_t ymm[64];
	uint64_t mm[8];
	uint32_t mxcsr, control;
};
__asm__(".text\n"
	"vectors_read:\n"
	"	.irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu %ymm\\r, 32 * \\r(%rdi)\n"
	"	.endr\n"
	"	stmxcsr 576(%rdi)\n"
	"	movl $0, 580(%rdi)\n"
	"	fnstcw 580(%rdi)\n"
	"	.irp r, 0,1,2,3,4,5,6,7\n"
	"	movq %mm\\r, 512 + 8 * \\r(%rdi)\n"
	"	.endr\n"
	"	fninit\n"
	"	ret\n"
	"vectors_fill:\n"
	"	movabsq $0x5ec7e75ec7e75ec7, %rax\n"
	"	vmovq %rax, %xmm0\n"
	"	vpbroadcastq %xmm0, %ymm0\n"
	"	.irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqa %ymm0, %ymm\\r\n"
	"	.endr\n"
	"	.irp r, 0,1,2,3,4,5,6,7\n"
	"	movq %rax, %mm\\r\n"
	"	.endr\n"
	"	pushq $0x5f80\n	ldmxcsr (%rsp)\n	popq %rcx\n"
	"	pushq $0xf7f\n	fldcw (%rsp)\n	popq %rcx\n"
	"	ret\n"
	/* Everything is secret, and the processor is given away. */
	"secret_yield:\n"
	"	call vectors_fill\n"
	"	wrfsbase %rax\n"
	"	movq %rax, %rbx\n	movq %rax, %rcx\n	movq %rax, %rbp\n"
	"	movq %rax, %r12\n	movq %rax, %r13\n	movq %rax, %r14\n	movq %rax, "
	"%r15\n"
	"	movl $0xffff, %edi\n	movl $0xffffffff, %esi\n"
	"	movl $0x41450000 + 25, %eax\n"
	"	syscall\n"
	"	ud2\n");
void vectors_read(struct vectors *v);
void vectors_fill(void);
_Noreturn void secret_yield(void);

static int64_t
secretive(uint64_t arg)
{
	(void)arg;
	started++;
	if (!stop)
		secret_yield(); /* and begins with fn again */
	return 0;
}

static void
vectors_check(void)
{
	static struct vectors v;

	vectors_read(&v);
	for (uint32_t i = 0; i < 64; i++)
		check_is(v.ymm[i], 0);
	for (uint32_t i = 0; i < 8; i++)
		check_is(v.mm[i], 0);
	check_is(v.mxcsr, 0x1f80);
	check_is(v.control, 0x37f);
}

/* No register tells of whoever ran before. */
TEST(cpu_begin_clear)
{
	struct child *c;

	if ((SYSTEM->xcr0 & 4) == 0)
		skip("no AVX");
	stop = started = 0;
	c = spawn_on(secretive, 0, 0, SPAWN_SPACE);
	for (uint32_t i = 0; i < 50; i++) {
		vectors_fill();
		__asm__ volatile("wrfsbase %0" ::"r"(0x5ec7e7ul));
		check_is(guest_yield(AEGIS_ANY), BEGUN);
		vectors_check();
		began_check(self());
	}
	check(started > 10);
	began_check(c->g);
	stop = 1;
	child_join(c);
}

/* A first begin, too, and by sleep. */
static int64_t
first(uint64_t arg)
{
	(void)arg;
	began_check(self());
	vectors_check();
	vectors_fill();
	rest(1000000);
	vectors_check();
	began_check(self());
	return 0;
}

TEST(cpu_begin_first)
{
	if ((SYSTEM->xcr0 & 4) == 0)
		skip("no AVX");
	for (uint32_t i = 0; i < 4; i++) {
		struct child *c = spawn_on(first, 0, i % SYSTEM->cpus, SPAWN_SPACE);

		child_join(c);
	}
}

/* ---- sleep and wake ---- */

#define TRIPS 100000u      /* there and back, */
#define TIME  1000000000ul /* or so long: a halted processor wakes slowly where it is a thread */

static volatile uint32_t turn, partner;
static uint32_t trips;

/* Sleeps until it is its turn; whoever sets the turn wakes.  A lost wake-up stands still. */
static int64_t
pinger(uint64_t mine)
{
	const volatile struct aegis_env_page *page = env_page(self());
	uint32_t other;

	while (!partner)
		rest(100000);
	other = mine ? started : partner;
	for (uint32_t i = 0; i < trips && !stop; i++) {
		while (turn != 2 * i + mine) {
			uint32_t seen = page->events;

			if (turn == 2 * i + mine)
				break;
			if (stop)
				return 0;
			self()->area.defer = 1;
			guest_leave(AEGIS_CALL_sleep, seen, AEGIS_NEVER, 0);
			self()->area.defer = 0;
		}
		turn = 2 * i + mine + 1;
		aegis_wake(CAP, other, 0);
	}
	return 0;
}

static void
pingpong(uint32_t cpu_a, uint32_t cpu_b)
{
	struct spawn s = {.fn = pinger, .arg = 0, .cpu = cpu_a, .flags = SPAWN_WAIT};
	struct child *a = spawn(&s), *b;
	uint64_t start, end, progress = 0, before = tsc();

	s.arg = 1;
	s.cpu = cpu_b;
	b = spawn(&s);
	turn = stop = 0;
	trips = (uint32_t)option_number("trips", TRIPS);
	started = a->env;
	partner = b->env;
	start = tsc();
	end = trips == TRIPS ? start + ticks(TIME) : ~0ul;
	require_is(aegis_wake(CAP, a->env, 0), AEGIS_OK);
	require_is(aegis_wake(CAP, b->env, 0), AEGIS_OK);
	while (turn < 2 * trips && tsc() < end) {
		if (turn != progress) {
			progress = turn;
			before = tsc();
		}
		if (tsc() - before > ticks(2000000000))
			break;
		rest(2000000);
	}
	check(tsc() - before < ticks(2000000000)); /* else it stands still */
	check(turn > 100);
	say("# processors %u and %u: %lu ns a round trip, %u", cpu_a, cpu_b,
	    ns(tsc() - start) / (turn / 2 + 1), turn / 2);
	stop = 1;
	aegis_wake(CAP, a->env, 0);
	aegis_wake(CAP, b->env, 0);
	child_join(a);
	child_join(b);
}

TEST(cpu_pingpong)
{
	pingpong(0, 0);
	if (SYSTEM->cpus > 1)
		pingpong(0, 1);
	if (SYSTEM->cpus > 2)
		pingpong(1, 2);
}

TEST(cpu_sleep)
{
	const volatile struct aegis_env_page *page = env_page(self());
	uint32_t seen = page->events;

	check_is(aegis_sleep(seen + 1, AEGIS_NEVER, 0), AEGIS_AGAIN);
	check_is(aegis_sleep(seen - 1, AEGIS_NEVER, 0), AEGIS_AGAIN);
	check_is(aegis_sleep(seen, tsc() - 1000, 0), AEGIS_TIMED_OUT);
	check_is(aegis_sleep(seen, 0, 0), AEGIS_TIMED_OUT);
	check_is(aegis_sleep(seen, AEGIS_NEVER, 2), AEGIS_BAD_ARG);
	check_is(aegis_wake(CAP, self()->env, 0), AEGIS_OK);
	check_is(page->events, seen + 1);
	check_is(aegis_sleep(seen, AEGIS_NEVER, 0), AEGIS_AGAIN);
	check_is(aegis_wake(CAP, 4000, 0), AEGIS_NO_SUCH);
	check_is(aegis_wake(CAP, 0, 0), AEGIS_NO_SUCH);
	check_is(aegis_wake(CAP, 0xffffffff, 0), AEGIS_NO_SUCH);
	check_is(aegis_wake(AEGIS_SELF, self()->env, 0), AEGIS_OK);
	check_is(aegis_wake(AEGIS_SELF, self()->env + 1, 0), AEGIS_DENIED);
}

TEST(cpu_deadline)
{
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t before = tsc(), deadline = before + ticks(300000ul * i + 1000);
		uint32_t events = env_page(self())->events;

		if (guest_sleep(deadline, 0) != BEGUN)
			check(tsc() >= deadline);
		if (env_page(self())->events == events)
			check(tsc() >= deadline);
		check(tsc() < deadline + ticks(1000000000));
	}
}

/* Many sleepers with deadlines in a wild order, on every processor; each wakes in time. */
static volatile uint32_t late, woken;

static int64_t
sleeper(uint64_t seed)
{
	for (uint32_t i = 0; i < 10; i++) {
		uint64_t deadline = tsc() + ticks(random_next(&seed) % 10000000);

		if (guest_sleep(deadline, 0) != BEGUN)
			continue;
		if (tsc() < deadline || tsc() > deadline + ticks(1000000000))
			__atomic_add_fetch(&late, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return 0;
}

TEST(cpu_deadline_many)
{
	struct child *c[40];

	late = woken = 0;
	for (uint32_t i = 0; i < 40; i++)
		c[i] = spawn_on(sleeper, i, i % SYSTEM->cpus, 0);
	check(wait_for(&woken, 40));
	check_is(late, 0);
	for (uint32_t i = 0; i < 40; i++)
		child_join(c[i]);
}

/* Processors on which nobody runs halt, and say so. */
TEST(cpu_idle)
{
	uint32_t all = (1u << SYSTEM->cpus) - 2;

	rest(10000000);
	for (int i = 0; i < 100 && SYSTEM->idle_cpus != all; i++)
		rest(1000000);
	check_is(SYSTEM->idle_cpus, all); /* all but this */
}

/* ---- directed yield ---- */

static uint32_t runner;

static int64_t
yielder(uint64_t arg)
{
	(void)arg;
	while (!stop) {
		started++;
		guest_yield(runner);
	}
	return 0;
}

TEST(cpu_yield_to)
{
	struct child *c, *asleep;
	uint32_t others = 0;
	uint64_t start;

	stop = started = 0;
	runner = self()->env;
	check_is(guest_yield(runner), AEGIS_BAD_ARG);
	check_is(guest_yield(4000), AEGIS_NO_SUCH);
	c = spawn_on(yielder, 0, 0, 0);
	asleep = spawn_on(yielder, 0, 0, SPAWN_WAIT);
	check_is(guest_yield(asleep->env), AEGIS_BUSY);
	check_is(aegis_yield(9, c->env), AEGIS_BAD_CAP);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL & ~AEGIS_WAKE, 1), AEGIS_OK);
	check_is(aegis_yield(1, c->env), AEGIS_DENIED);
	check_is(aegis_cap_drop(1), AEGIS_OK);
	start = tsc();
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t before = started;

		check_is(guest_yield(c->env), BEGUN);
		others += started != before + 1;
	}
	check(others < 500); /* slices end now and then */
	say("# %lu ns there and back", ns(tsc() - start) / 2000);
	stop = 1;
	child_join(c);
}

/*
 * A ring of environments that hand the processor to each other by name: what the kernel does without C, in every
 * order.  Each notes who came before it, and spoils all that a register can hold.
 */
#define RING 4u
static uint32_t ring[RING]; /* 0 is the runner */
static volatile uint32_t turn, turns, out_of_order;
static volatile uint64_t spun[RING];

static void
selectors_load(uint16_t value)
{
	uint64_t gs = (uint64_t)self(), fs;

	__asm__ volatile("rdfsbase %0" : "=r"(fs));
	__asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%fs; movl %0, %%gs\n"
			 "wrgsbase %1; wrfsbase %2" ::"r"((uint32_t)value),
			 "r"(gs), "r"(fs)
			 : "memory");
}

static uint32_t
selectors_read(void)
{
	uint32_t ds, es, fs, gs;

	__asm__ volatile("movl %%ds, %0; movl %%es, %1; movl %%fs, %2; movl %%gs, %3"
			 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	return ds | es | fs | gs;
}

/* As began_check, but for what SYSRET itself needs, which tells nothing. */
static void
given_check(const struct guest *g)
{
	struct guest clear = {.began = g->began, .began_fs = g->began_fs};

	if (clear.began.r11) {
		check_is(clear.began.rcx, (uint64_t)guest_begin_entry);
		check_is(clear.began.r11, 0x202);
		clear.began.rcx = clear.began.r11 = 0;
	}
	began_check(&clear);
	check_is(selectors_read(), 0);
	if (SYSTEM->xcr0 & 4)
		vectors_check();
}

/* Member i spoils registers, and hands over to the one `step` further; true: it was begun again. */
static bool
ring_pass(uint32_t i, uint32_t step)
{
	volatile struct aegis_area *area = &self()->area;
	bool begun;

	area->defer = 1; /* whoever ends a slice begins again, too */
	turn = (i + step) % RING;
	turns++;
	if (SYSTEM->xcr0 & 4)
		vectors_fill();
	selectors_load(0x2b);
	__asm__ volatile("wrfsbase %0" ::"r"(0x5ec7e7ul));
	begun = guest_leave(AEGIS_CALL_yield, CAP, ring[(i + step) % RING], 0) == BEGUN;
	if (begun)
		given_check(self());
	selectors_load(0);
	area->defer = 0;
	if (area->pending)
		aegis_null();
	return begun;
}

static int64_t
ring_member(uint64_t i)
{
	uint64_t seed = i;

	while (!stop) {
		uint64_t from = tsc();

		out_of_order += turn != i;
		while (tsc() - from < ticks(2000))
			;
		spun[i] += tsc() - from;
		ring_pass((uint32_t)i, 1 + (uint32_t)random_next(&seed) % (RING - 1));
	}
	return 0;
}

TEST(cpu_yield_ring)
{
	struct child *c[RING] = {NULL};
	uint64_t seed = 7, used[RING], from, sum = 0;
	uint32_t events[RING];

	stop = turn = turns = out_of_order = 0;
	ring[0] = self()->env;
	for (uint32_t i = 1; i < RING; i++) {
		c[i] = spawn_on(ring_member, i, 0, i == 1 ? 0 : SPAWN_SPACE);
		ring[i] = c[i]->env;
		spun[i] = 0;
	}
	guest_yield(AEGIS_ANY);
	for (uint32_t i = 0; i < RING; i++) {
		const volatile struct aegis_env_page *p = env_page(i ? c[i]->g : self());

		used[i] = p->time_tsc;
		events[i] = p->events;
		spun[i] = 0;
	}
	turns = out_of_order = 0;
	from = tsc();
	while (turns < 4000) {
		if (!ring_pass(0, 1 + (uint32_t)random_next(&seed) % (RING - 1)))
			break;
	}
	check(turns >= 4000);
	check(out_of_order < turns / 8); /* slices end now and then */
	/* A call that the kernel serves in C makes everything as it should be. */
	check(SYSTEM->ready[0] <= RING - 1);
	guest_yield(AEGIS_ANY);
	from = tsc() - from;
	for (uint32_t i = 1; i < RING; i++) {
		const volatile struct aegis_env_page *p = env_page(c[i]->g);

		/* What each spun is its own time, but for slices that ended in the middle. */
		used[i] = p->time_tsc - used[i];
		check(used[i] > spun[i] / 2);
		check(p->events - events[i] > 4000 / RING / 2);
		sum += used[i];
	}
	check(sum <= from);
	stop = 1;
	for (uint32_t i = 1; i < RING; i++)
		child_join(c[i]);
}

/* A yield that went without C goes no more when what it stood on is gone. */
TEST(cpu_yield_stale)
{
	struct child *c, *other;

	stop = 0;
	runner = self()->env;
	c = spawn_on(yielder, 0, 0, SPAWN_SPACE);
	other = spawn_on(yielder, 0, 0, SPAWN_SPACE);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	for (uint32_t i = 0; i < 8; i++)
		check_is(guest_leave(AEGIS_CALL_yield, CAP, c->env, 0), BEGUN);
	check_is(aegis_yield(1, c->env),
		 AEGIS_DENIED); /* a child's name does not open its parent's */
	check_is(aegis_cap_drop(1), AEGIS_OK);
	/* The same slot, another capability: none, then one without the right. */
	require_is(aegis_cap_grant(CAP, CAP, self()->env, AEGIS_ALL, 1), AEGIS_OK);
	for (uint32_t i = 0; i < 8; i++)
		check_is(guest_leave(AEGIS_CALL_yield, 1, c->env, 0), BEGUN);
	check_is(aegis_cap_drop(1), AEGIS_OK);
	check_is(aegis_yield(1, c->env), AEGIS_BAD_CAP);
	require_is(aegis_cap_grant(CAP, CAP, self()->env, AEGIS_ALL & ~AEGIS_WAKE, 1), AEGIS_OK);
	check_is(aegis_yield(1, c->env), AEGIS_DENIED);
	check_is(aegis_cap_drop(1), AEGIS_OK);
	/* An end, and a number that may have a new owner. */
	for (uint32_t i = 0; i < 8; i++)
		check_is(guest_yield(i % 2 ? c->env : other->env), BEGUN);
	runner = c->env;
	child_end(c);
	check_is(guest_yield(runner), AEGIS_NO_SUCH);
	runner = self()->env;
	check_is(guest_yield(other->env), BEGUN);
	stop = 1;
	child_join(other);
}

static volatile int64_t told[3];

/* Entered by a yield that went without C, it yields to nobody, by slots in which there is nothing. */
static int64_t
stranger(uint64_t arg)
{
	(void)arg;
	while (!stop) {
		told[0] = aegis_yield(9, 0);
		told[1] = aegis_yield(0, 0);
		told[2] = aegis_yield(AEGIS_CAP_SLOTS, 0);
		started++;
		guest_yield(runner);
	}
	return 0;
}

/* What was never remembered leads nowhere. */
TEST(cpu_yield_nobody)
{
	struct child *c;

	stop = started = 0;
	runner = self()->env;
	c = spawn_on(stranger, 0, 0, SPAWN_SPACE);
	for (uint32_t i = 0; i < 8; i++)
		check_is(guest_yield(c->env), BEGUN);
	check(started >= 7);
	check_is(told[0], AEGIS_NO_SUCH);
	check_is(told[1], AEGIS_NO_SUCH);
	check_is(told[2], AEGIS_NO_SUCH);
	stop = 1;
	child_join(c);
}
