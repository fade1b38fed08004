/* SPDX-License-Identifier: MIT */
/* Time slices: by number, begin and end told, overrun owed, force without loss. */
#include "guest.h"

static volatile uint32_t stop, started;

TEST(cpu_slice)
{
	uint32_t cpus = SYSTEM->cpus;
	status st;

	check_is(aegis_slice_alloc(CAP, 0, 5), 5);
	check_is(aegis_slice_alloc(CAP, 0, 5), AEGIS_IN_USE);
	check_is(aegis_slice_alloc(CAP, cpus, 5), AEGIS_BAD_ARG);
	check_is(aegis_slice_alloc(CAP, 0xffffffff, 5), AEGIS_BAD_ARG);
	check_is(aegis_slice_alloc(CAP, 0, AEGIS_SLICES), AEGIS_BAD_ARG);
	check_is(aegis_slice_alloc(AEGIS_SELF, 0, 6), AEGIS_BAD_CAP);
	st = aegis_slice_alloc(CAP, cpus - 1, AEGIS_ANY);
	require(st >= 0 && st < AEGIS_SLICES);
	check_is(aegis_slice_free(cpus - 1, (uint32_t)st), AEGIS_OK);
	check_is(aegis_slice_free(cpus - 1, (uint32_t)st), AEGIS_NOT_HELD);
	check_is(aegis_slice_free(0, 5), AEGIS_OK);
	check_is(aegis_slice_free(0, 5), AEGIS_NOT_HELD);
	check_is(aegis_slice_free(0, AEGIS_SLICES), AEGIS_BAD_ARG);
	check_is(aegis_slice_free(99, 0), AEGIS_BAD_ARG);
	for (uint32_t i = 0; i < AEGIS_SLICES; i++)
		check_is(aegis_slice_alloc(CAP, cpus - 1, AEGIS_ANY), i);
	check_is(aegis_slice_alloc(CAP, cpus - 1, AEGIS_ANY), AEGIS_IN_USE);
	for (uint32_t i = 0; i < AEGIS_SLICES; i++)
		check_is(aegis_slice_free(cpus - 1, i), AEGIS_OK);
}

/* Without extra time an environment runs in its slices only, and the page says in which. */
static volatile uint32_t slice_begins, slice_wrong, slice_late;

static int64_t
timed(uint64_t cpu)
{
	require_is(aegis_slice_alloc(CAP, (uint32_t)cpu, 10), 10);
	require_is(aegis_slice_alloc(CAP, (uint32_t)cpu, 40), 40);
	started = 1;
	/* From the runner's time, in which it was begun, into its own. */
	while (!stop) {
		const volatile struct aegis_env_page *page = env_page(self());
		uint64_t position;

		guest_yield(AEGIS_ANY);
		position = (tsc() - SYSTEM->tsc_boot) / SYSTEM->slice_tsc % AEGIS_SLICES;
		slice_begins++;
		if ((page->slice != 10 && page->slice != 40) || page->cpu != cpu)
			slice_wrong++;
		slice_late += position != page->slice;
	}
	return 0;
}

TEST(cpu_slice_position)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *c;

	stop = started = slice_begins = slice_wrong = slice_late = 0;
	c = spawn_on(timed, cpu, cpu, SPAWN_TIMELESS);
	for (uint32_t i = 0; i < 1000 && !started; i++)
		guest_yield(c->env); /* nobody else gives it time */
	require_is(started, 1);
	rest(300000000);
	check(wait_for(&slice_begins, 3));
	stop = 1;
	say("# %u begins, %u late", slice_begins, slice_late);
	check_is(slice_wrong, 0);
	check(slice_late * 2 <= slice_begins); /* the machine may stand still */
	child_join(c);
}

/* Without a slice and without extra time it does not run at all, but for what it is given. */
static int64_t
idler(uint64_t arg)
{
	(void)arg;
	for (;;) {
		started++;
		guest_yield(AEGIS_ANY);
	}
	return 0;
}

TEST(cpu_timeless)
{
	struct child *c;
	uint32_t before;

	started = 0;
	c = spawn_on(idler, 0, 0, SPAWN_TIMELESS);
	rest(20000000);
	check_is(started, 0);
	check_is(env_info(c->env)->state, AEGIS_STATE_READY);
	for (uint32_t i = 0; i < 1000 && !started; i++)
		check_is(guest_yield(c->env), BEGUN);
	before = started; /* a slice may end in between */
	check(before > 0);
	rest(20000000);
	check_is(started, before);
	child_end(c);
}

/* ---- the end of a slice ---- */

static int64_t
spinner(uint64_t arg)
{
	(void)arg;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		relax();
	return 0;
}

TEST(cpu_slice_end)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *a, *b;

	stop = started = 0;
	a = spawn_on(spinner, 0, cpu, 0);
	b = spawn_on(spinner, 0, cpu, 0);
	require(wait_for(&started, 2));
	check(wait_for(&a->g->slices, 3));
	check(wait_for(&b->g->slices, 3));
	check(env_page(a->g)->time_tsc > 0);
	check_is(env_page(a->g)->slice, AEGIS_ANY);
	/* The machine itself may stand still for long, but not each time. */
	check(env_page(a->g)->forced < a->g->slices);
	stop = 1;
	child_join(a);
	child_join(b);
}

/* Too long in the epilogue: owed, and paid with later slices. */
static void
dawdle(struct aegis_frame *f, uint32_t pending)
{
	uint64_t end = tsc() + ticks(1000000);

	(void)f;
	while ((pending & AEGIS_PEND_SLICE) && tsc() < end)
		relax();
}

static int64_t
dawdler(uint64_t arg)
{
	self()->on_async = dawdle;
	return spinner(arg);
}

TEST(cpu_overrun)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	uint64_t owed = 0, end;
	struct child *a, *b;

	stop = started = 0;
	a = spawn_on(dawdler, 0, cpu, 0);
	b = spawn_on(spinner, 0, cpu, 0);
	require(wait_for(&started, 2));
	for (end = tsc() + ticks(200000000); tsc() < end; rest(500000)) {
		if (env_page(a->g)->overrun_tsc > owed)
			owed = env_page(a->g)->overrun_tsc;
	}
	check(owed > ticks(100000));
	stop = 1;
	child_join(a);
	child_join(b);
}

/* ---- force ---- */

/* All registers full of a value of its own, compared until the counter at the end of the page is 0. */
__asm__(".text\n"
	"registers_hold:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	fldcw %gs:0x3410\n"
	"	ldmxcsr %gs:0x3418\n"
	"	.set i, 0\n"
	"	.irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14\n"
	"	vmovdqu %gs:0x3100 + 32 * \\r, %ymm\\r\n"
	"	.endr\n"
	"	.irp r, rax,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"	movq %gs:0x3000 + 8 * i, %\\r\n"
	"	.set i, i + 1\n"
	"	.endr\n"
	"1:	.set i, 0\n"
	"	.irp r, rax,rbx,rcx,rdx,rsi,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
	"	cmpq %gs:0x3000 + 8 * i, %\\r\n"
	"	jne 2f\n"
	"	.set i, i + 1\n"
	"	.endr\n"
	"	.irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14\n"
	"	vpxor %gs:0x3100 + 32 * \\r, %ymm\\r, %ymm15\n"
	"	vptest %ymm15, %ymm15\n"
	"	jne 2f\n"
	"	.endr\n"
	"	stmxcsr %gs:0x341c\n"
	"	fnstcw %gs:0x3414\n"
	"3:	decq %gs:0x3400\n"
	"	jnz 1b\n"
	"	vzeroall\n"
	"	movq %gs:0x3408, %rax\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n"
	"2:	incq %gs:0x3408\n"
	"	jmp 3b\n");
uint64_t registers_hold(void);

static int64_t
holder(uint64_t seed)
{
	volatile uint64_t *p = spare();
	uint64_t wrong = 0;

	for (uint32_t i = 0; i < 128; i++)
		p[i] = random_next(&seed);
	started++;
	while (!stop) {
		volatile uint32_t *controls = (volatile uint32_t *)((uint64_t)p + 0x410);
		uint64_t end = tsc() + ticks(30000000);

		self()->area.defer = 1; /* nothing is told: the kernel has to take the processor */
		while (tsc() < end) {
			p[128] = 2000;
			p[129] = 0;
			controls[0] = 0x37f | (uint32_t)(seed & 0xc00);
			controls[2] = 0x1f80 | (uint32_t)(seed & 0x6000);
			wrong += registers_hold();
			wrong += controls[3] != controls[2];
			wrong += (controls[1] & 0xffff) != controls[0];
		}
		guest_yield(AEGIS_ANY);
	}
	return (int64_t)wrong;
}

TEST(cpu_forced)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *c[3];

	if ((SYSTEM->xcr0 & 4) == 0)
		skip("no AVX");
	stop = started = 0;
	for (uint32_t i = 0; i < 3; i++)
		c[i] = spawn_on(holder, 1 + i, cpu, i == 2 ? SPAWN_SPACE : 0);
	rest(500000000);
	for (uint32_t i = 0; i < 3; i++)
		check(env_page(c[i]->g)->forced >= 2);
	stop = 1;
	for (uint32_t i = 0; i < 3; i++)
		check_is(child_result(c[i]), 0);
}

/* Who never lets go is ended. */
static int64_t
hog(uint64_t arg)
{
	(void)arg;
	self()->area.defer = 1;
	for (;;)
		relax();
	return 0;
}

TEST(cpu_force_end)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *a, *b;

	if (option_number("force_max", 1000) > 100)
		skip("needs the option force_max");
	stop = started = 0;
	a = spawn_on(hog, 0, cpu, 0);
	b = spawn_on(spinner, 0, cpu, 0);
	check(child_wait(a, AEGIS_STATE_ENDED));
	check_is(env_info(a->env)->end_reason, AEGIS_END_OVERRUN);
	check_is(env_page(a->g)->forced, option_number("force_max", 0));
	stop = 1;
	child_join(b);
	child_end(a);
}

/* ---- accounts ---- */

/* Time that nobody owns goes to accounts in turn, however many environments each has. */
TEST(cpu_fair)
{
	const struct spawn one = {
		.fn = spinner, .flags = SPAWN_ACCOUNT, .frames = 10, .cpu = SYSTEM->cpus - 1};
	struct child *many[4], *alone;
	uint64_t share, total;

	stop = started = 0;
	for (uint32_t i = 0; i < 4; i++)
		many[i] = spawn_on(spinner, 0, SYSTEM->cpus - 1, 0);
	alone = spawn(&one);
	require(wait_for(&started, 5));
	total = 0;
	rest(400000000);
	share = env_page(alone->g)->time_tsc;
	for (uint32_t i = 0; i < 4; i++)
		total += env_page(many[i]->g)->time_tsc;
	say("# %lu of 100", share * 100 / (total + share));
	/* About the half; what a machine that stands still makes them owe tips it a little. */
	check(share * 4 > total);
	check(share < total * 4);
	stop = 1;
	child_join(alone);
	for (uint32_t i = 0; i < 4; i++)
		child_join(many[i]);
}
