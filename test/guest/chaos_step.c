/* SPDX-License-Identifier: MIT */
/*
 * Chaos at each instruction (kernel option chaos_step, given by test/guest/run with the ranges of this
 * image and the number of instructions that objdump finds in the resume sequence): every boundary of
 * the sequence gets an upcall, nothing of the program is lost, and the trap flag by which the kernel
 * follows it is never seen.
 */
#include "guest.h"

extern const char guest_restore[];
uint64_t resume_loop(uint64_t rounds); /* fault_resume.c */

#define RING   (TEST_VA + 0x200000)
#define PLACES 256u

static uint8_t deeds[PLACES]; /* at guest_resume_start + i */
static uint64_t read_to;      /* of the ring */
static uint32_t steps;        /* #DB that came */

static uint32_t
event_number(const char *name)
{
	for (uint32_t n = 0; aegis_counter_name(1, n, SPARE) == AEGIS_OK; n++) {
		if (text_is((const char *)self() + SPARE, name))
			return n;
	}
	require(!"no such trace point");
	return 0;
}

/* What the kernel says it did, since this was asked last. */
static void
deeds_read(uint32_t event)
{
	const volatile struct aegis_trace_ring *ring =
		(const volatile struct aegis_trace_ring *)RING;
	uint64_t head = ring->head;

	if (head > ring->slots && read_to < head - ring->slots)
		read_to = head - ring->slots;
	for (; read_to < head; read_to++) {
		const volatile struct aegis_trace_rec *r = &ring->rec[read_to % ring->slots];
		uint64_t at = r->a - (uint64_t)guest_resume_start;

		if (r->event == event && at < PLACES)
			deeds[at] |= (uint8_t)r->b;
	}
}

static bool
step_fault(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	if (f->cause == AEGIS_CAUSE_UNDEFINED) {
		f->rip += 2;
		return true;
	}
	if (f->cause != AEGIS_CAUSE_DEBUG)
		return false;
	steps++;
	f->rflags &= ~0x100ul;
	return true;
}

TEST(chaos_step_resume)
{
	uint64_t want = option_number("boundaries", 0), wrong = 0;
	uint32_t event, places = 0, kinds = 0, asyncs = self()->asyncs;
	uint64_t end = (uint64_t)guest_resume_jump - (uint64_t)guest_resume_start;

	if (!option("chaos_step") || !want)
		skip("not started with chaos_step");
	require(end < PLACES);
	event = event_number("chaos_deed");
	/* Of the processor that runs the runner: the first. */
	for (uint32_t i = 0; i < SYSTEM->trace_pages; i++) {
		require_is(frame_bind(CAP, SYSTEM->trace_frame + i, AEGIS_READ), 1);
		require_is(bind(self()->space, RING + i * PAGE, SYSTEM->trace_frame + i, RO), 1);
	}
	require(((const volatile struct aegis_trace_ring *)RING)->head <=
		((const volatile struct aegis_trace_ring *)RING)->slots); /* all since boot */
	self()->on_fault = step_fault;
	steps = 0;
	/* Read often, because a ring that went round has lost what came first; and on a busy host, for longer. */
	for (uint32_t i = 0; i < 400 || (i < 8000 && places < want); i++) {
		wrong += resume_loop(i < 100 ? 1 : 10);
		deeds_read(event);
		places = 0;
		for (uint64_t at = 0; at <= end; at++)
			places += deeds[at] != 0;
	}
	for (uint64_t i = 0; i <= end; i++) {
		for (uint32_t bit = 1; bit < 16; bit <<= 1)
			kinds += deeds[i] & bit ? 1 : 0;
	}
	say("# %u of %lu boundaries, %u deeds, %u upcalls", places, want, kinds,
	    self()->asyncs - asyncs);
	check_is(wrong, 0);
	check_is(steps, 0);
	check_is(places, want);
	/* From the restoring on nothing is deferred: an end of slice and an event each. */
	for (uint64_t i = (uint64_t)guest_restore - (uint64_t)guest_resume_start; i <= end; i++)
		check(deeds[i] == 0 || deeds[i] == 3);
	for (uint32_t i = 0; i < SYSTEM->trace_pages; i++) {
		unbind(self()->space, RING + i * PAGE, 1);
		frame_put(SYSTEM->trace_frame + i);
	}
}

/* Answers how often the trap flag was seen; with 0x100 in rdi the program sets it itself, once a round. */
__asm__(".text\n"
	".globl chaos_flags, chaos_flags_end\n"
	"chaos_flags:\n"
	"	xorl %eax, %eax\n"
	"1:	pushfq\n"
	"	btq $8, (%rsp)\n"
	"	adcl $0, %eax\n"
	"	pushfw\n"
	"	movzwl (%rsp), %edx\n"
	"	shrl $8, %edx\n"
	"	andl $1, %edx\n"
	"	addl %edx, %eax\n"
	"	popfw\n"
	"	orq %rdi, (%rsp)\n"
	"	popfq\n"
	"	nop\n"
	"	decl %esi\n"
	"	jnz 1b\n"
	"chaos_flags_end:\n"
	"	ret\n");
uint32_t chaos_flags(uint64_t set, uint32_t rounds);

TEST(chaos_step_flags)
{
	self()->on_fault = step_fault;
	steps = 0;
	check_is(chaos_flags(0, 500), 0);
	check_is(steps, 0);
	check_is(chaos_flags(0x100, 500), 0);
	check_is(steps, 500);
}
