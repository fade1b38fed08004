/* SPDX-License-Identifier: MIT */
/*
 * Slices and unowned time for programs that schedule (include/exos/sched.h).
 *
 * Owns nothing: who has which slice the kernel knows, and takes them back when the process ends.  What is
 * asked goes to the kernel with the capability that the process has anyway.
 */
#include "api.h"
#include "exos/core/priv.h"
#include "exos/linux/errno.h"
#include <exos/sched.h>

int64_t
api_slice_alloc(struct call *call)
{
	int64_t st;

	if (call->a[0] >= AEGIS_CPUS)
		return -EINVAL;
	st = aegis_slice_alloc(EXOS_CAP_OWN, (uint32_t)call->a[0], (uint32_t)call->a[1]);
	return st < 0 ? core_error(st) : st;
}

int64_t
api_slice_free(struct call *call)
{
	return core_error(aegis_slice_free((uint32_t)call->a[0], (uint32_t)call->a[1]));
}

int64_t
api_extra(struct call *call)
{
	api_own()->setup_flags = call->a[0] & 1 ? AEGIS_SETUP_EXTRA : 0;
	return api_setup_write();
}

int64_t
api_peer(struct call *call)
{
	struct svc s = {.op = SVC_PEER, .a = call->a[0]};
	int64_t env;

	if (call->a[0] > UINT32_MAX)
		return -ESRCH;
	aegis_cap_drop(EXOS_CAP_PEER);
	env = svc_call(&s);
	aegis_cap_drop(EXOS_CAP_PEER);
	return env;
}
