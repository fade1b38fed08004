/* SPDX-License-Identifier: MIT */
/*
 * Futexes: waiting until a word of memory changes.
 *
 * Owns nothing.  A process has one thread, so that nobody waits whom it could wake; a word in memory that processes
 * share is looked at every now and then.
 */
#include "exos/core/priv.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define LOOK_NS 2000000ul

/* The monotonic time at which a wait is over. */
static int
deadline_in(const struct call *c, uint64_t *deadline)
{
	uint32_t op = (uint32_t)c->a[1];
	uint64_t ns, now;
	int err;

	*deadline = AEGIS_NEVER;
	if (!c->a[3])
		return 0;
	err = timespec_in(c->a[3], &ns);
	if (err)
		return err;
	now = op & LX_FUTEX_CLOCK_REALTIME ? core_wall_ns() : core_now_ns();
	if ((op & LX_FUTEX_COMMAND) == LX_FUTEX_WAIT)
		now = 0; /* from now on */
	*deadline = core_now_ns() + (ns > now ? ns - now : 0);
	return 0;
}

static int64_t
futex_wait(const struct call *c)
{
	bool shared = !(c->a[1] & LX_FUTEX_PRIVATE_FLAG);
	uint64_t deadline, until;
	int err = deadline_in(c, &deadline);
	uint32_t value;

	if (err)
		return err;
	for (bool first = true;; first = false) {
		uint32_t seen = core_events();

		if (copy_in(&value, c->a[0], sizeof(value)))
			return -EFAULT;
		if (value != (uint32_t)c->a[2])
			return first ? -EAGAIN : 0;
		if (core_now_ns() >= deadline)
			return -ETIMEDOUT;
		until = shared ? core_now_ns() + LOOK_NS : deadline;
		if (process_block(seen, until < deadline ? until : deadline) == -ERESTARTSYS)
			return c->a[3] ? -EINTR : -ERESTARTSYS;
	}
}

int64_t
sys_futex(struct call *c)
{
	uint32_t op = (uint32_t)c->a[1] & LX_FUTEX_COMMAND;

	if (c->a[0] % sizeof(uint32_t))
		return -EINVAL;
	if (op == LX_FUTEX_WAKE || op == LX_FUTEX_WAKE_BITSET)
		return 0;
	if (op != LX_FUTEX_WAIT && op != LX_FUTEX_WAIT_BITSET)
		return -ENOSYS;
	if (op == LX_FUTEX_WAIT_BITSET && !(uint32_t)c->a[5])
		return -EINVAL;
	return futex_wait(c);
}
