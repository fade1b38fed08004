/* SPDX-License-Identifier: MIT */
/* From a number of the library's own calls to its handler, and the calls that only tell. */
#include "api.h"
#include "exos/core/core.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"
#include <exos/api.h>

enum {
#define EXOS_CALL(name) API_##name,
#define EXOS_DIRECT(name)
#include <exos/calls.def>
#undef EXOS_CALL
#undef EXOS_DIRECT
	API_CALLS
};

/* clang-format off */
static const call_handler handlers[API_CALLS] = {
#define EXOS_CALL(name) [API_##name] = api_##name,
#define EXOS_DIRECT(name)
#include <exos/calls.def>
#undef EXOS_CALL
#undef EXOS_DIRECT
};
/* clang-format on */

call_handler
api_handler(uint64_t number)
{
	return number - EXOS_CALL_BASE < API_CALLS ? handlers[number - EXOS_CALL_BASE] : NULL;
}

int64_t
api_version(struct call *c)
{
	(void)c;
	return EXOS_API_VERSION;
}

int64_t
api_self(struct call *c)
{
	struct exos_self self = {
		.env = control()->env,
		.space = control()->space,
		.cpu = ENVPAGE->cpu,
		.pid = MAIL->pid,
		.service_env = MAIL->service_env,
		.tsc_hz = SYSPAGE->tsc_hz,
		.slice_tsc = SYSPAGE->slice_tsc,
	};

	if (copy_in(&self.size, c->a[0], sizeof(self.size)))
		return -EFAULT;
	if (self.size < sizeof(self.size))
		return -EINVAL;
	if (self.size > sizeof(self))
		self.size = sizeof(self);
	return copy_out(c->a[0], &self, self.size) ? -EFAULT : 0;
}
