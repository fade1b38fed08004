/* SPDX-License-Identifier: MIT */
/*
 * From events to upcalls.
 *
 * Owns: the frames that the kernel pushes on upcall stacks.
 *
 * 1. A frame is written only into the environment's own pinned area, through the kernel's mapping,
 * and never straddles a page, because frames are aligned to their power-of-two size.
 * 2. Of the area only defer and pending are read, and each only decides whether to deliver.
 * 3. A synchronous upcall nests below the interrupted one; if there is no room, the environment
 * ends.
 * 4. An asynchronous one is delivered only while defer is 0, and sets it.
 * 5. An asynchronous upcall inside the resume sequence takes over the frame being resumed: nothing
 * is lost and the stack does not deepen.
 *
 * Context: the environment runs on this processor, no locks are needed for its area.
 */
#include "kernel.h"

#define GS_BASE_NEVER (1ul << 63) /* not canonical, so that no environment can have it */

COUNTER(upcall_exceptions, "exceptions");
COUNTER(upcall_foreigns, "foreign_calls");
TRACE_POINT(upcall_exception_event, "exception");
TRACE_POINT(upcall_foreign_event, "foreign_call");

static uint64_t
stack_low(const struct env *e)
{
	return e->setup.area_va + e->setup.stack_page * PAGE;
}

static uint64_t
stack_high(const struct env *e)
{
	return e->setup.area_va + e->setup.area_pages * PAGE;
}

void
upcall_prepare(struct env *e)
{
	struct upcall_fast *f = &e->fast;
	uint32_t first = e->setup.stack_page;

	f->low = stack_low(e);
	f->size = stack_high(e) - f->low;
	f->at = stack_high(e) - AEGIS_FRAME_SIZE;
	f->frame = (uint8_t *)machine_frame(e->area[e->setup.area_pages - 1]) + PAGE -
		   AEGIS_FRAME_SIZE;
	f->entry = e->setup.fault_entry;
	f->area = machine_frame(e->area[0]);
	f->page = e->page;
	f->pkru = e->setup.pkru;
	for (uint32_t i = first; i < e->setup.area_pages; i++)
		f->pages[i - first] = (uint64_t)machine_frame(e->area[i]) - (i - first) * PAGE;
	f->trace = (uint64_t)(&upcall_exception_event - trace_defs_begin) | (uint64_t)e->number
										    << 32;
	f->trace_foreign =
		(uint64_t)(&upcall_foreign_event - trace_defs_begin) | (uint64_t)e->number << 32;
	f->gs_base = chaos_slow || !f->entry ? GS_BASE_NEVER : e->setup.gs_base;
}

/*
 * The frame that the interrupted resume sequence is about to load, or NULL.  It still holds the
 * whole context, so an asynchronous upcall takes it over.
 */
static volatile struct aegis_frame *
resumed_frame(struct env *e, const struct regs *regs, uint64_t *at)
{
	*at = regs->rsp & ~(uint64_t)(AEGIS_FRAME_SIZE - 1);
	if (regs->rip < e->setup.resume_start || regs->rip > e->setup.resume_rip ||
	    *at < stack_low(e) || *at >= stack_high(e))
		return NULL;
	return area_at(e, (uint32_t)(*at - e->setup.area_va), sizeof(struct aegis_frame));
}

/* regs, of this environment, enter a handler with rdi = rsp = at. */
static inline void
handler_enter(struct env *e, struct regs *regs, uint64_t entry, uint64_t at)
{
	if (!entry)
		env_end(e, AEGIS_END_HANDLER, regs, 0);
	regs->rip = entry;
	regs->rsp = regs->rdi = at;
	regs->rflags = MACHINE_FLAGS_USER;
	regs->cs = MACHINE_USER_CS;
	regs->ss = MACHINE_USER_SS;
	e->page->upcalls++;
}

/* GS base and PKRU as handlers have them; answers what they were. */
static inline void
bases_enter(const struct env *e, uint64_t *gs_base, uint32_t *pkru)
{
	*gs_base = machine_gs_base();
	if (*gs_base != e->setup.gs_base)
		machine_set_gs_base(e->setup.gs_base);
	*pkru = machine_pkru();
	if (*pkru != e->setup.pkru)
		machine_set_pkru(e->setup.pkru);
}

/*
 * Pushes a frame below `top` for `cause` and makes regs enter `entry` with it.  A frame lies in one
 * page, because it is aligned to its size, and in the area, because the stack does.
 */
static inline void
frame_push(struct env *e, struct regs *regs, uint64_t entry, uint64_t top,
	   const struct aegis_frame *f)
{
	uint64_t at = (top - AEGIS_FRAME_SIZE) & ~(uint64_t)(AEGIS_FRAME_SIZE - 1);
	uint64_t offset = at - e->setup.area_va;
	struct aegis_frame *out;

	if (at < stack_low(e) || at >= stack_high(e) || !e->area[0])
		env_end(e, e->area[0] ? AEGIS_END_STACK : AEGIS_END_AREA, regs, f->addr);
	out = (void *)((uint8_t *)machine_frame(e->area[offset / PAGE]) + offset % PAGE);
	out->cause = f->cause;
	out->error = f->error;
	out->addr = f->addr;
	out->deferred = f->deferred;
	bases_enter(e, &out->gs_base, &out->pkru);
	out->rax = regs->rax;
	out->rcx = regs->rcx;
	out->rdx = regs->rdx;
	out->rsi = regs->rsi;
	out->rdi = regs->rdi;
	out->r8 = regs->r8;
	out->r9 = regs->r9;
	out->r10 = regs->r10;
	out->r11 = regs->r11;
	out->rip = regs->rip;
	out->cs = regs->cs;
	out->rflags = regs->rflags;
	out->rsp = regs->rsp;
	out->ss = regs->ss;
	handler_enter(e, regs, entry, at);
}

/* Where the next frame may end: below what is on the upcall stack, or its top. */
static uint64_t
frame_top(const struct env *e, const struct regs *regs)
{
	return regs->rsp >= stack_low(e) && regs->rsp <= stack_high(e) ? regs->rsp : stack_high(e);
}

void
upcall_sync(struct env *e, struct regs *regs, uint32_t cause, uint32_t error, uint64_t addr)
{
	struct aegis_frame f = {.cause = cause, .error = error, .addr = addr};
	volatile struct aegis_area *area;

	if (e->area[0]) {
		area = machine_frame(e->area[0]);
		f.deferred = area->defer;
		area->defer = 1;
	}
	frame_push(e, regs, e->setup.fault_entry, frame_top(e, regs), &f);
}

void
upcall_post(struct env *e, uint32_t reason)
{
	struct aegis_area *area;

	if (!e->area[0])
		return;
	area = machine_frame(e->area[0]);
	__atomic_or_fetch(&area->pending, reason, __ATOMIC_SEQ_CST);
	if (e->state == AEGIS_STATE_RUNNING && e != current())
		machine_ipi(e->cpu);
}

void
upcall_deliver(struct env *e, struct regs *regs)
{
	volatile struct aegis_area *area;
	volatile struct aegis_frame *resumed;
	const struct aegis_frame f = {.cause = AEGIS_CAUSE_ASYNC};
	uint64_t at, gs_base;
	uint32_t pkru;

	if (!e->area[0])
		return;
	area = machine_frame(e->area[0]);
	if (!area->pending || area->defer)
		return;
	area->defer = 1;
	COUNT(async_upcalls);
	resumed = resumed_frame(e, regs, &at);
	if (resumed) {
		resumed->cause = AEGIS_CAUSE_ASYNC;
		resumed->deferred = 0;
		bases_enter(e, &gs_base, &pkru); /* the frame has what was interrupted first */
		handler_enter(e, regs, e->setup.async_entry, at);
		return;
	}
	frame_push(e, regs, e->setup.async_entry, frame_top(e, regs), &f);
}

void
trap_exception(struct regs *regs, uint64_t addr)
{
	struct env *e = current();

	COUNT_AT(upcall_exceptions);
	TRACE_AT(upcall_exception_event, regs->vector, regs->rip);
	if (chaos_on)
		chaos_step(regs);
	upcall_sync(e, regs, (uint32_t)regs->vector, (uint32_t)regs->error, addr);
}

void
trap_foreign(struct regs *regs)
{
	transfer_settle();
	COUNT_AT(upcall_foreigns);
	TRACE_AT(upcall_foreign_event, regs->rax, regs->rip);
	if (chaos_on)
		chaos_step(regs);
	upcall_sync(current(), regs, AEGIS_CAUSE_SYSCALL, 0, 0);
}
