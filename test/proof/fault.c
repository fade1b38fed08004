/* SPDX-License-Identifier: MIT */
/*
 * Upcalls: wherever the interrupted stack pointer points, a frame lies whole in the upcall stack, which
 * is part of the area; at every depth, and when there is no room left, the environment ends and nothing
 * is written.  An asynchronous upcall inside the resume sequence takes the frame over.
 *
 * State: an arbitrary setup as env_write accepts it, of up to three pages, small ones, so that a page has
 * two frames; arbitrary registers and contents.
 *
 * The places for frames are objects of their own, so that a store is one to a member and not to any byte
 * of a page.  So what the kernel adds to the address of a page goes through frame_at (the edit line of
 * the list), which checks it.
 */
#include "machine.h"

static void *frame_at(uint32_t pfn, uint64_t offset);
#include "kernel/fault.c"

#define AREA 100u

static struct env self;
static struct aegis_env_page env_page;
static struct aegis_area area;
static struct aegis_frame frame0, frame1, frame2, frame3; /* in pages 1 and 2 */
static bool ended;
static struct regs before;
static bool reached; /* a place for a frame was asked for */
bool chaos_on;

void *
machine_frame(uint32_t pfn)
{
	PROVE(pfn == AREA, "the first page of the area");
	return &area;
}

static void *
frame_at(uint32_t pfn, uint64_t offset)
{
	uint32_t n = pfn - AREA;

	PROVE(n >= 1 && n < self.setup.area_pages, "a page of the area, and not the first");
	PROVE(offset == 0 || offset == AEGIS_FRAME_SIZE, "one of the places for frames in it");
	_Static_assert(PAGE == 2 * AEGIS_FRAME_SIZE, "two");
	reached = true;
	if (n == 1)
		return offset ? &frame1 : &frame0;
	return offset ? &frame3 : &frame2;
}

void *
machine_local(void)
{
	return &self;
}

struct env *
current(void)
{
	return &self;
}

void
chaos_step(struct regs *regs)
{
	(void)regs;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	uint32_t page = offset / PAGE;

	if (page >= e->setup.area_pages || n > PAGE - offset % PAGE || offset % 8)
		return NULL;
	return frame_at(e->area[page], offset % PAGE);
}

_Noreturn void
env_end(struct env *e, uint32_t reason, const struct regs *at, uint64_t addr)
{
	(void)addr;
	PROVE(e == &self, "the environment itself");
	PROVE(reason == AEGIS_END_STACK || reason == AEGIS_END_AREA || reason == AEGIS_END_HANDLER,
	      "a documented end");
	PROVE(at->rip == before.rip && at->rsp == before.rsp, "with the registers as they were");
	PROVE(IMPLIES(reason == AEGIS_END_STACK, !reached), "and nothing is written");
	REACH(reason == AEGIS_END_STACK);
	REACH(reason == AEGIS_END_HANDLER);
	STOP();
	for (;;)
		;
}

static uint64_t
stack_from(void)
{
	return self.setup.area_va + PAGE * self.setup.stack_page;
}

static uint64_t
stack_to(void)
{
	return self.setup.area_va + PAGE * self.setup.area_pages;
}

static void
state_any(const struct regs *regs)
{
	machine_me = 0;
	reached = false;
	chaos_on = false;
	self.number = 1;
	self.page = &env_page;
	ASSUME(self.setup.area_pages >= 2 && self.setup.area_pages <= 3);
	ASSUME(self.setup.stack_page >= 1 && self.setup.stack_page < self.setup.area_pages);
	ASSUME(self.setup.area_va % AEGIS_PAGE == 0 && self.setup.area_va < AEGIS_USER_MAX);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		self.area[i] = i < self.setup.area_pages ? AREA + i : 0;
	if (nondet_bool())
		self.area[0] = 0; /* the area is gone */
	before = *regs;
}

void
proof_fault_sync(void)
{
	struct regs regs;
	const struct aegis_frame *f;
	uint64_t cause = nondet_u32();

	state_any(&regs);
	upcall_sync(&self, &regs, (uint32_t)cause, 0, 0);
	PROVE(regs.rsp >= stack_from() && regs.rsp + AEGIS_FRAME_SIZE <= stack_to(),
	      "the frame lies whole in the upcall stack");
	PROVE(regs.rsp % AEGIS_FRAME_SIZE == 0 && regs.rdi == regs.rsp, "aligned, and named");
	PROVE(IMPLIES(before.rsp > stack_from() && before.rsp <= stack_to(),
		      regs.rsp + AEGIS_FRAME_SIZE <= before.rsp),
	      "below what the interrupted code has on it");
	PROVE(regs.rip == self.setup.fault_entry && regs.rip, "the handler runs");
	PROVE(regs.rflags == MACHINE_FLAGS_USER && regs.cs == MACHINE_USER_CS &&
		      regs.ss == MACHINE_USER_SS,
	      "in user mode, with clean flags");
	f = area_at(&self, (uint32_t)(regs.rsp - self.setup.area_va), sizeof(*f));
	PROVE(f->rip == before.rip && f->rsp == before.rsp && f->rflags == before.rflags &&
		      f->rax == before.rax && f->rdi == before.rdi && f->cause == (uint32_t)cause,
	      "the frame has the interrupted context");
	PROVE(area.defer == 1, "asynchronous ones wait");
	REACH(self.setup.area_pages == 3 && before.rsp == stack_to() - 768);
}

void
proof_fault_async(void)
{
	uint32_t defer, pending;
	struct regs regs;
	bool in_resume, on_stack;

	state_any(&regs);
	defer = area.defer;
	pending = area.pending;
	in_resume = regs.rip >= self.setup.resume_start && regs.rip <= self.setup.resume_rip;
	on_stack = regs.rsp >= stack_from() && regs.rsp < stack_to();
	upcall_deliver(&self, &regs);
	PROVE(area.pending == pending, "what is pending stays so until it is looked at");
	if (regs.rip == before.rip && regs.rsp == before.rsp && area.defer == defer) {
		PROVE(IMPLIES(self.area[0], !pending || defer) ||
			      before.rip == self.setup.async_entry,
		      "it is delivered if it may be");
		REACH(pending != 0 && self.area[0]);
		return;
	}
	PROVE(self.area[0] && pending && !defer, "never while it is deferred");
	PROVE(area.defer == 1, "the next one waits");
	PROVE(regs.rsp >= stack_from() && regs.rsp + AEGIS_FRAME_SIZE <= stack_to(),
	      "the frame lies whole in the upcall stack");
	PROVE(regs.rip == self.setup.async_entry && regs.rdi == regs.rsp, "the handler runs");
	PROVE(IMPLIES(in_resume && on_stack,
		      regs.rsp == (before.rsp & ~(uint64_t)(AEGIS_FRAME_SIZE - 1))),
	      "in the resume sequence it takes the frame over: the stack does not deepen");
	REACH(in_resume && on_stack);
	REACH(!in_resume && on_stack);
}
