/* SPDX-License-Identifier: MIT */
/*
 * From a call's number to its handler: the table made from calls.def.
 *
 * What nobody
 * serves answers -ENOSYS, is counted, and is named in the log the first time a process asks.
 */
#include "exos/core/core.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

typedef int64_t (*handler)(struct call *);

static int64_t
call_missing(struct call *c)
{
	uint64_t n = c->number < 511 ? c->number : 511;

	if (control()->calls[n] <= 1)
		core_log("exos: pid %u: no call %lu (%s)\n", MAIL->pid, c->number,
			 call_name(c->number));
	return -ENOSYS;
}

#define ENTRY_NONE(number, name)
#define ENTRY_LOCAL(number, name)               [number] = sys_##name,
#define ENTRY_SERVICE(number, name)             [number] = sys_##name,
#define CALL(number, name, nargs, types, where) ENTRY_##where(number, name)
static const handler handlers[LX_NR_LIMIT] = {
#include "exos/linux/calls.def"
};
#undef CALL

int64_t
call_dispatch(struct call *c)
{
	handler h = c->number < LX_NR_LIMIT ? handlers[c->number] : NULL;

	control()->calls[c->number < 511 ? c->number : 511]++;
	return h ? h(c) : call_missing(c);
}

/* Nothing that could be a signal has happened since the last look. */
static inline bool
quiet(const struct process *p)
{
	return MAIL->raised_count == p->sig.seen_count && !p->sig.local && !p->sig.suspended &&
	       !p->timer.alarm_ns;
}

/* Calls that need, or change, the whole context. */
static inline bool
needs_context(uint64_t number)
{
	switch (number) {
	case LX_NR_rt_sigreturn:
	case LX_NR_clone:
	case LX_NR_fork:
	case LX_NR_vfork:
	case LX_NR_execve:
	case LX_NR_execveat:
	case LX_NR_clone3:
		return true;
	default:
		return false;
	}
}

uint64_t
call_fast(struct aegis_frame *f)
{
	struct call *c = call_of(f, NULL);
	uint64_t number = c->number;
	int64_t result;

	if (needs_context(number))
		return CALL_FULL;
	result = call_dispatch(c);
	f->deferred = 0;
	f->rcx = f->rip;
	f->r11 = f->rflags;
	f->rax = (uint64_t)result;
	if (result != -ERESTARTSYS && quiet(process()))
		return CALL_DONE;
	process()->sig.call = number;
	return CALL_FINISH;
}

void
call_finish(struct aegis_frame *f, uint64_t callee[6])
{
	int64_t result = (int64_t)f->rax;

	if (result == -ERESTARTSYS || signal_pending() || process()->sig.suspended)
		signal_deliver(f, callee, result, process()->sig.call);
}

void
call_serve(struct aegis_frame *f, uint64_t callee[6])
{
	struct call *c = call_of(f, callee);
	uint64_t number = c->number, rip = f->rip;
	int64_t result = call_dispatch(c);

	f->deferred = 0;
	if (number != LX_NR_rt_sigreturn) {
		f->rcx = f->rip == rip ? rip : f->rcx;
		f->r11 = f->rflags;
	}
	f->rax = (uint64_t)result;
	process()->sig.call = number;
	call_finish(f, callee);
}
