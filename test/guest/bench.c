/* SPDX-License-Identifier: MIT */
/*
 * What the shortest paths cost, as comments: instructions under QEMU's -icount shift=0 (its time-stamp
 * counter counts them), ticks otherwise.  Nothing is asserted.  Run it with
 * `test/guest/run KERNEL _bench q35 1` and ACCEL=tcg ICOUNT=1.
 */
#include "guest.h"

#define ROUNDS 2000u

static uint64_t overhead;

static int64_t
nothing(uint64_t arg)
{
	__asm__ volatile("" ::"r"(arg) : "memory");
	return 0;
}

static int64_t
null_call(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("syscall" ::"a"(0x41450000)
			 : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory");
	return 0;
}

static int64_t
foreign_call(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("syscall" ::"a"(39) : "rcx", "r11", "memory");
	return 0;
}

static int64_t
breakpoint(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("int3" ::: "memory");
	return 0;
}

static int64_t
protection(uint64_t va)
{
	__asm__ volatile("1: movq %%rax, (%0)" ::"r"(va) : "memory");
	return 0;
}

/* The handler of a page fault: skips the store of three bytes. */
static bool
skip_store(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	if (f->cause == AEGIS_CAUSE_PAGE)
		f->rip += 3;
	return true;
}

/* One instruction of two bytes for each kind, and a handler that only goes on behind it. */
#define RAISE(name, code)                                                                   \
	static int64_t name(uint64_t arg)                                                   \
	{                                                                                   \
		__asm__ volatile(code ::"a"(0), "d"(0), "c"(0), "D"(arg) : "memory", "cc"); \
		return 0;                                                                   \
	}
RAISE(bare, "nop")
RAISE(divide, "divl %%ecx")
RAISE(trap, "int3; .byte 0x90, 0x90")
RAISE(store, "movl %%eax, (%%rdi)")
RAISE(port, "inb $0x60, %%al")
RAISE(undefined, "ud2")
RAISE(foreign, "movl $39, %%eax; syscall; .byte 0x90, 0x90")
__asm__(".text\n"
	"quick_fault:\n"
	"	addq $2, 104(%rsp)\n" /* frame.rip */
	"	jmp guest_resume_start\n");
extern const char quick_fault[];

static uint64_t
cost(guest_fn *fn, uint64_t arg)
{
	uint64_t start, best = ~0ul;

	for (uint32_t tries = 0; tries < 3; tries++) {
		start = tsc();
		for (uint32_t i = 0; i < ROUNDS; i++)
			fn(arg);
		start = tsc() - start;
		best = start < best ? start : best;
	}
	return best / ROUNDS - overhead;
}

/* With a handler in assembly; the instruction itself is counted, what leads to it is not. */
static void
exceptions(void)
{
	struct aegis_setup *setup = spare();
	uint64_t was = overhead;

	setup_fill(setup, self(), self()->space, 0, AEGIS_SETUP_EXTRA);
	setup->fault_entry = (uint64_t)quick_fault;
	require_is(aegis_env_write(AEGIS_SELF, self()->env, SPARE), AEGIS_OK);
	overhead = 0;
	overhead = cost(bare, 0) - 1;
	say("# exception and back: divide %lu, breakpoint %lu, page fault %lu, protection %lu, "
	    "undefined %lu",
	    cost(divide, 0), cost(trap, 0), cost(store, FAR_VA), cost(port, 0), cost(undefined, 0));
	say("# a foreign system call and back: %lu", cost(foreign, 0));
	overhead = was;
	setup_fill(setup, self(), self()->space, 0, AEGIS_SETUP_EXTRA);
	require_is(aegis_env_write(AEGIS_SELF, self()->env, SPARE), AEGIS_OK);
}

static volatile uint32_t stop;

static int64_t
server(uint64_t arg)
{
	(void)arg;
	while (guest_sleep_unless(&stop, AEGIS_SLEEP_ACCEPT))
		;
	return 0;
}

/* A protected entry that returns at once. */
__asm__(".text\nquick_entry:\n	movl $0x41450000 + 31, %eax\n	syscall\n	ud2\n");
extern const char quick_entry[];

/* An entry that notes how many instructions a transfer took to come to it, with the call's own two. */
__asm__(".text\n"
	"timed_entry:\n"
	"	rdtsc; shlq $32, %rdx; orq %rdx, %rax\n"
	"	subq %r12, %rax; subq $4, %rax\n" /* from behind the movq to r12 */
	"	movq %rax, timed_way\n"
	"	movl $0x41450000 + 31, %eax; syscall; ud2\n"
	"timed_transfer:\n" /* (number): as guest_leave, begun again after pct_send */
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rsp, %gs:72\n" /* GUEST_RESUME */
	"	movl %edi, %r13d\n"
	"	rdtsc; shlq $32, %rdx; orq %rdx, %rax; movq %rax, %r12\n"
	"	movl %r13d, %eax; syscall\n"
	"	movq $0, %gs:72\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n");
extern const char timed_entry[];
int64_t timed_transfer(uint32_t number);
uint64_t timed_way;

static uint64_t
one_way(uint32_t number)
{
	uint64_t best = ~0ul;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		timed_transfer(number);
		best = timed_way < best ? timed_way : best;
	}
	return best;
}

static int64_t
transfer(uint64_t arg)
{
	static struct message m;

	(void)arg;
	return guest_transfer(0, &m);
}

static void
transfers(const char *what, uint32_t flags)
{
	struct aegis_setup *setup = spare();
	struct child *c;

	stop = 0;
	c = spawn_on(server, 0, 0, flags | SPAWN_WAIT);
	setup_fill(setup, c->g, c->space, 0, AEGIS_SETUP_EXTRA);
	setup->call_entry = (uint64_t)quick_entry;
	require_is(aegis_env_write(CAP, c->env, SPARE), AEGIS_OK);
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	require(child_wait(c, AEGIS_STATE_IDLE));
	require_is(aegis_pct_bind(CAP, c->env, 0), AEGIS_OK);
	require_is(transfer(0), AEGIS_OK);
	say("# transfer there and back, %s: %lu, with 42 of the caller's", what, cost(transfer, 0));
	setup_fill(setup, c->g, c->space, 0, AEGIS_SETUP_EXTRA);
	setup->call_entry = (uint64_t)timed_entry;
	require_is(aegis_env_write(CAP, c->env, SPARE), AEGIS_OK);
	say("# transfer one way, %s: call %lu, send %lu", what,
	    one_way(0x41450000 + AEGIS_CALL_pct_call), one_way(0x41450000 + AEGIS_CALL_pct_send));
	child_end(c);
}

static int64_t
yields(uint64_t arg)
{
	guest_yield((uint32_t)arg);
	return 0;
}

static uint32_t runner;

static int64_t
yielder(uint64_t arg)
{
	(void)arg;
	for (;;)
		guest_yield(runner);
	return 0;
}

static int64_t
alloc_free(uint64_t arg)
{
	uint32_t pfn;

	(void)arg;
	frame_alloc(CAP, AEGIS_ANY, &pfn);
	return frame_free(pfn);
}

static int64_t
bind_unbind(uint64_t pfn)
{
	bind_only(AEGIS_SELF, self()->space, TEST_VA, (uint32_t)pfn, RW);
	return unbind(self()->space, TEST_VA, 1);
}

TEST(_bench)
{
	struct child *c;
	uint32_t pfn;

	overhead = 0;
	overhead = cost(nothing, 0);
	say("# null call: %lu", cost(null_call, 0));
	self()->on_fault = skip_store;
	say("# exception and back, through C: int3 %lu, system call %lu, page fault %lu",
	    cost(breakpoint, 0), cost(foreign_call, 0), cost(protection, FAR_VA));
	self()->on_fault = NULL;
	exceptions();
	transfers("one space", 0);
	transfers("two spaces", SPAWN_SPACE);
	runner = self()->env;
	c = spawn_on(yielder, 0, 0, 0);
	rest(1000000);
	say("# directed yield there and back: %lu", cost(yields, c->env));
	child_end(c);
	say("# a frame allocated and freed: %lu (512 of it clearing)", cost(alloc_free, 0));
	pfn = frame_get();
	say("# a page bound and unbound: %lu", cost(bind_unbind, pfn));
	frame_put(pfn);
}
