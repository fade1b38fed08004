/* SPDX-License-Identifier: MIT */
/*
 * Upcalls anywhere, also in the resume sequence of another: nothing is lost, the stack does not deepen.
 * Faults are put at each instruction of the sequence, by int3 in an alias of the code; asynchronous
 * upcalls come as a storm of wakes from other processors, and with the ends of slices.
 */
#include "guest.h"

extern const char guest_restore[];

static volatile uint32_t stop, started, target;
static volatile uint64_t lowest; /* frame of an asynchronous upcall */

static int64_t
waker(uint64_t arg)
{
	(void)arg;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		aegis_wake(CAP, target, AEGIS_WAKE_UPCALL);
		if (SYSTEM->cpus == 1)
			guest_yield(AEGIS_ANY);
	}
	return 0;
}

static bool
step_over(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	if (f->cause != AEGIS_CAUSE_UNDEFINED)
		return false;
	f->rip += 2;
	return true;
}

static void
note_depth(struct aegis_frame *f, uint32_t pending)
{
	(void)pending;
	if ((uint64_t)f < lowest)
		lowest = (uint64_t)f;
}

/* Exceptions in a loop whose every register and flag is checked; answers how many were wrong. */
__asm__(".text\n"
	".globl resume_loop\n"
	"resume_loop:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rdi, %r15\n"
	"	xorl %r14d, %r14d\n"
	"1:	movabsq $0x0123456789abcdef, %rax\n"
	"	leaq 1(%rax), %rbx\n	leaq 2(%rax), %rcx\n	leaq 3(%rax), %rdx\n"
	"	leaq 4(%rax), %rsi\n	leaq 5(%rax), %rdi\n	leaq 6(%rax), %rbp\n"
	"	leaq 7(%rax), %r8\n	leaq 8(%rax), %r9\n	leaq 9(%rax), %r10\n"
	"	leaq 10(%rax), %r11\n	leaq 11(%rax), %r12\n	leaq 12(%rax), %r13\n"
	"	stc\n"
	"	ud2\n"
	"	jnc 2f\n"
	"	subq $2, %rcx\n	cmpq %rax, %rcx\n	jne 2f\n"
	"	subq $3, %rdx\n	cmpq %rax, %rdx\n	jne 2f\n"
	"	subq $4, %rsi\n	cmpq %rax, %rsi\n	jne 2f\n"
	"	subq $5, %rdi\n	cmpq %rax, %rdi\n	jne 2f\n"
	"	subq $7, %r8\n	cmpq %rax, %r8\n	jne 2f\n"
	"	subq $8, %r9\n	cmpq %rax, %r9\n	jne 2f\n"
	"	subq $9, %r10\n	cmpq %rax, %r10\n	jne 2f\n"
	"	subq $10, %r11\n	cmpq %rax, %r11\n	jne 2f\n"
	"	subq $1, %rbx\n	cmpq %rax, %rbx\n	jne 2f\n"
	"	subq $6, %rbp\n	cmpq %rax, %rbp\n	jne 2f\n"
	"	subq $11, %r12\n	cmpq %rax, %r12\n	jne 2f\n"
	"	subq $12, %r13\n	cmpq %rax, %r13\n	jne 2f\n"
	"	movabsq $0x0123456789abcdef, %rcx\n	cmpq %rax, %rcx\n	jne 2f\n"
	"3:	decq %r15\n	jnz 1b\n"
	"	movq %r14, %rax\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n"
	"2:	incq %r14\n	jmp 3b\n");
uint64_t resume_loop(uint64_t rounds);

static int64_t
victim(uint64_t ms)
{
	uint64_t end = tsc() + ticks(ms * 1000000), wrong = 0;

	self()->on_async = note_depth;
	started = 100;
	while (tsc() < end)
		wrong += resume_loop(1000);
	stop = 1;
	return (int64_t)wrong;
}

TEST(fault_resume)
{
	struct spawn s = {.fn = victim,
			  .arg = 1500,
			  .on_fault = step_over,
			  .cpu = SYSTEM->cpus > 1,
			  .flags = SPAWN_WAIT};
	struct child *v = spawn(&s), *w[2];
	uint64_t top = (uint64_t)v->g + AEGIS_AREA_PAGES * PAGE;
	uint32_t n = SYSTEM->cpus > 3 ? 2 : 1;

	stop = started = 0;
	lowest = ~0ul;
	target = v->env;
	require_is(aegis_wake(CAP, v->env, 0), AEGIS_OK);
	require(wait_for(&started, 100));
	for (uint32_t i = 0; i < n; i++)
		w[i] = spawn_on(waker, 0, SYSTEM->cpus > 2 ? 2 + i : 0, 0);
	require(child_wait(v, AEGIS_STATE_ENDED));
	check(v->g->events > 10);
	say("# %u upcalls, lowest frame %ld below the top", v->g->asyncs, top - lowest);
	check(lowest >= top - AEGIS_FRAME_SIZE);
	stop = 1;
	check_is(child_result(v), 0);
	for (uint32_t i = 0; i < n; i++)
		child_end(w[i]);
}

/* ---- a fault at each instruction of the sequence ---- */

#define ALIAS (TEST_VA + 0x100000)

static uint64_t patched; /* address with int3 */
static uint8_t patched_byte;
static uint32_t patched_hits;

static volatile uint8_t *
alias_of(uint64_t va)
{
	return (volatile uint8_t *)(ALIAS + (va - ((uint64_t)guest_resume_start & ~(PAGE - 1))));
}

static bool
patched_fault(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	if (f->cause == AEGIS_CAUSE_UNDEFINED) {
		f->rip += 2;
		return true;
	}
	if (f->cause != AEGIS_CAUSE_BREAKPOINT)
		return false;
	/* The byte behind int3 was noted, and the entry made the sequence begin again already, if it
	 * had begun to restore. */
	*alias_of(patched) = patched_byte;
	patched_hits++;
	if (f->rip == patched + 1)
		f->rip = patched;
	aegis_wake(CAP, self()->env, AEGIS_WAKE_UPCALL); /* and an upcall waits */
	return true;
}

TEST(fault_resume_each)
{
	/* Instructions, as the assembler laid them out. */
	uint64_t page = (uint64_t)guest_resume_start & ~(PAGE - 1);
	uint32_t space = self()->space, places = 0;
	uint64_t wrong;

	for (uint32_t i = 0; i < 2; i++)
		require_is(bind(space, ALIAS + i * PAGE,
				boot_page->image_frame +
					(uint32_t)((page - boot_page->image_low) / PAGE) + i,
				RW),
			   1);
	self()->on_fault = patched_fault;
	for (uint64_t at = (uint64_t)guest_resume_start; at < (uint64_t)guest_resume_jump; at++) {
		uint8_t byte = *alias_of(at), before;

		/* Instructions of the sequence begin with a prefix or are popfq. */
		if (byte != 0x48 && byte != 0x4c && byte != 0x65 && byte != 0x9d)
			continue;
		before = at > (uint64_t)guest_resume_start ? *alias_of(at - 1) : 0;
		if (before == 0x65 || before == 0x8b || before == 0x24)
			continue; /* inside of one */
		patched = at;
		patched_byte = byte;
		patched_hits = 0;
		*alias_of(at) = 0xcc;
		wrong = resume_loop(3);
		check_is(wrong, 0);
		*alias_of(at) = byte;
		places += patched_hits;
	}
	say("# %u places", places);
	check(places >= 12);
}
