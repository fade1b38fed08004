/* SPDX-License-Identifier: MIT */
/*
 * The calls of programs that manage memory and take exceptions themselves (include/exos/fault.h,
 * mem.h).
 *
 * The rest of that interface needs no call of the library: frames and bindings are Aegis' own, made with
 * batches that lie in the program's part of the control page.
 */
#include "api.h"
#include "exos/core/core.h"
#include "exos/linux/errno.h"
#include "exos/service/proto.h"
#include "exos/vm/vm.h"
#include <exos/mem.h>

int64_t
api_fault_handler(struct call *c)
{
	struct control *own = control();
	uint32_t causes = c->a[0] ? (uint32_t)c->a[1] : 0;

	if (c->a[0] >= AEGIS_USER_MAX)
		return -EINVAL;
	own->fault_causes = own->fault_fast = 0;
	own->fault_handler = c->a[0];
	own->fault_causes = causes;
	own->fault_fast = own->keys ? 0 : causes & ~(1u << AEGIS_CAUSE_DEBUG);
	return 0;
}

int64_t
api_revoke_handler(struct call *c)
{
	if (c->a[0] >= AEGIS_USER_MAX)
		return -EINVAL;
	control()->revoke_handler = c->a[0];
	return 0;
}

int64_t
api_revoke_ask(struct call *c)
{
	struct svc call = {.op = SVC_ASK, .a = c->a[0], .b = core_tsc_at(core_now_ns() + c->a[1])};

	return c->a[0] > UINT32_MAX ? -EINVAL : svc_call(&call);
}

int64_t
api_range_own(struct call *c)
{
	return vm_own(c->a[0], c->a[1]);
}

int64_t
api_mem_places(struct call *c)
{
	const struct exos_places places = {
		.area = EXOS_AREA,
		.env_page = EXOS_ENVPAGE,
		.system_page = EXOS_SYSPAGE,
		.program_batch = offsetof(struct control, program),
		.program_binds = PROGRAM_BINDS,
		.handler_batch = offsetof(struct control, program[PROGRAM_BINDS]),
		.handler_binds = HANDLER_BINDS,
		.space = EXOS_AREA + offsetof(struct control, space),
		.cap = EXOS_CAP_OWN,
	};

	return copy_out(c->a[0], &places, sizeof(places)) ? -EFAULT : 0;
}
