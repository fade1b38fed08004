/* SPDX-License-Identifier: MIT */
/*
 * The vDSO's clocks: functions that a C library calls instead of the kernel.
 *
 * They run on the program's stack, read the system page and the time-stamp counter, and write nothing but
 * where the program said: neither a call nor a deferral.  Clocks that need more are a system call (api.S): a C
 * library takes whatever comes from here for the answer.  Source: vdso(7).
 */
#include "exos/core/core.h"
#include "exos/linux/abi.h"
#include "exos/linux/errno.h"

#define NS     1000000000ul
#define PUBLIC __attribute__((visibility("default")))

int api_clock_gettime(int64_t clock, struct lx_timespec *ts); /* clocks of api_asm.h only */
int api_clock_getres(int64_t clock, struct lx_timespec *ts);
int __vdso_gettimeofday(struct lx_timeval *tv, struct lx_timezone *tz);
int64_t __vdso_time(int64_t *at);

int
api_clock_gettime(int64_t clock, struct lx_timespec *ts)
{
	uint64_t ns;

	if (clock == LX_CLOCK_REALTIME || clock == LX_CLOCK_REALTIME_COARSE ||
	    clock == LX_CLOCK_TAI)
		ns = core_wall_ns();
	else
		ns = core_now_ns();
	*ts = (struct lx_timespec){(int64_t)(ns / NS), (int64_t)(ns % NS)};
	return 0;
}

int
api_clock_getres(int64_t clock, struct lx_timespec *ts)
{
	(void)clock;
	if (ts)
		*ts = (struct lx_timespec){0, 1};
	return 0;
}

PUBLIC int
__vdso_gettimeofday(struct lx_timeval *tv, struct lx_timezone *tz)
{
	uint64_t ns = core_wall_ns();

	if (tv)
		*tv = (struct lx_timeval){(int64_t)(ns / NS), (int64_t)(ns % NS / 1000)};
	if (tz)
		*tz = (struct lx_timezone){0, 0};
	return 0;
}

PUBLIC int64_t
__vdso_time(int64_t *at)
{
	int64_t now = (int64_t)(core_wall_ns() / NS);

	if (at)
		*at = now;
	return now;
}
