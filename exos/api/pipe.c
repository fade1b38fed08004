/* SPDX-License-Identifier: MIT */
/*
 * Pipes for programs that have the pipe's code themselves (include/exos/pipe.h).
 *
 * Owns nothing: the ring is the descriptor's (exos/fd), the layout that programs know is exos/ipc/ring.h's.
 */
#include "api.h"
#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/ipc/ring.h"
#include "exos/linux/errno.h"
#include <exos/pipe.h>

#define SAME(field)                                                                              \
	_Static_assert(offsetof(struct exos_ring, field) == offsetof(struct ring_shared, field), \
		       "the same ring")
SAME(head);
SAME(write_lock);
SAME(write_open);
SAME(write_alone);
SAME(tail);
SAME(read_lock);
SAME(read_open);
SAME(read_alone);
SAME(readers_waiting);
SAME(writers_waiting);

int64_t
api_pipe_map(struct call *call)
{
	struct file *f = fd_file((int)call->a[0]);
	struct exos_pipe out = {
		.size = sizeof(out),
		.env = control()->env,
		.waiter = control()->waiter,
	};
	void *shared, *data;
	uint32_t size;

	if (!f)
		return -EBADF;
	if (copy_in(&size, call->a[1], sizeof(size)))
		return -EFAULT;
	if (size != sizeof(out) || file_ring(f, &shared, &data, &out.bytes))
		return -EINVAL;
	out.ring = shared;
	out.data = data;
	return copy_out(call->a[1], &out, sizeof(out)) ? -EFAULT : 0;
}

/*
 * On the program's stack; an upcall in its middle wakes whom it finds, once more at worst.  The common case is one
 * exchange, so that a signal's handler that writes to a pipe comes before it or after it.
 */
__attribute__((visibility("default"))) void
exos_wake_soon(uint32_t waiter)
{
	uint32_t env = ring_waiter_env(waiter), none = 0;
	struct control *c = control();

	if (ring_waiter_cpu(waiter) == ENVPAGE->cpu && env < AEGIS_ENVS &&
	    __atomic_compare_exchange_n(&c->soon, &none, env, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		return;
	if (env && env < AEGIS_ENVS && !core_wake_soon(env, ring_waiter_cpu(waiter)))
		core_wake(env);
}
