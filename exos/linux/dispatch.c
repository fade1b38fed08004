/* SPDX-License-Identifier: MIT */
/*
 * From a call's number to its handler: the table made from calls.def.
 *
 * What nobody
 * serves answers -ENOSYS, is counted, and is named in the log the first time a process asks.
 */
#include "exos/api/api.h"
#include "exos/core/core.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

static int64_t
call_missing(struct call *c)
{
	uint64_t n = c->number < 511 ? c->number : 511;

	if (control()->calls[n] <= 1)
		core_log("exos: pid %u: no call %lu (%s)\n", MAIL->pid, c->number,
			 call_name(c->number));
	return -ENOSYS;
}

/* Calls that need, or change, the whole context come through call_serve. */
static int64_t
call_whole(struct call *c)
{
	switch (c->number) {
	case LX_NR_rt_sigreturn:
		return sys_rt_sigreturn(c);
	case LX_NR_clone:
		return sys_clone(c);
	case LX_NR_fork:
		return sys_fork(c);
	case LX_NR_vfork:
		return sys_vfork(c);
	case LX_NR_clone3:
		return sys_clone3(c);
	case LX_NR_execve:
		return sys_execve(c);
	case LX_NR_execveat:
		return sys_execveat(c);
	default:
		return call_missing(c);
	}
}

/* clang-format off */
#define ENTRY_NONE(number, name)
#define ENTRY_LOCAL(number, name)   [number] = sys_##name,
#define ENTRY_SERVICE(number, name) [number] = sys_##name,
#define CALL(number, name, nargs, types, where) ENTRY_##where(number, name)
#define ENTRY_WORD(number, word) \
	[number] = (call_handler)(EXOS_MAIL + offsetof(struct mail, word) + 1)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const call_handler call_handlers[LX_NR_LIMIT] = {
#include "exos/linux/calls.def"
	[LX_NR_rt_sigreturn] = NULL,
	[LX_NR_clone] = NULL,
	[LX_NR_fork] = NULL,
	[LX_NR_vfork] = NULL,
	[LX_NR_clone3] = NULL,
	[LX_NR_execve] = NULL,
	[LX_NR_execveat] = NULL,
	ENTRY_WORD(LX_NR_getpid, pid),
	ENTRY_WORD(LX_NR_gettid, pid),
	ENTRY_WORD(LX_NR_getppid, ppid),
	ENTRY_WORD(LX_NR_getpgrp, pgid),
	ENTRY_WORD(LX_NR_getuid, uid),
	ENTRY_WORD(LX_NR_geteuid, euid),
	ENTRY_WORD(LX_NR_getgid, gid),
	ENTRY_WORD(LX_NR_getegid, egid),
	[LX_NR_read] = (call_handler)(uintptr_t)core_leaf,
	[LX_NR_write] = (call_handler)(uintptr_t)core_leaf,
};
#pragma GCC diagnostic pop
#undef CALL
/* clang-format on */

_Static_assert(LX_NR_read == 0 && LX_NR_write == 1, "core_leaf");
const call_handler call_leaf_handlers[2] = {sys_read, sys_write};

int64_t
call_dispatch(struct call *c)
{
	call_handler h =
		c->number < LX_NR_LIMIT ? call_handlers[c->number] : api_handler(c->number);

	control()->calls[c->number < 511 ? c->number : 511]++;
	if ((uintptr_t)h & 1)
		return *(const volatile uint32_t *)((uintptr_t)h - 1);
	if ((uintptr_t)h & 2)
		h = call_leaf_handlers[c->number];
	return h ? h(c) : call_whole(c);
}

/* f->rax is the result; a call that waited without need is made again, and signals are delivered. */
void
call_finish(struct aegis_frame *f, uint64_t callee[6])
{
	int64_t result = (int64_t)f->rax;

	if (result == -ERESTARTSYS || signal_pending() || process()->sig.suspended)
		signal_deliver(f, callee, result, control()->number);
	attention_update();
}

void
call_serve(struct aegis_frame *f, uint64_t callee[6])
{
	struct call *c = call_of(f);
	uint64_t number = c->number, rip = f->rip;
	int64_t result;

	c->callee = callee;
	result = call_dispatch(c);
	f->deferred = 0;
	if (number != LX_NR_rt_sigreturn && f->rip == rip) {
		f->rcx = rip;
		f->r11 = f->rflags;
	}
	f->rax = (uint64_t)result;
	control()->number = number;
	call_finish(f, callee);
}
