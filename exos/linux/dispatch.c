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
