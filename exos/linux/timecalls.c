/* SPDX-License-Identifier: MIT */
/* Clocks, sleeping and the alarm. */
#include "exos/core/core.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define NS      1000000000ul
#define LONGEST 9000000000ul /* seconds that anybody sleeps at most */

/*
 * Processor time of this process.  The page tells it up to the slice that runs; of that counts all that has passed,
 * which is too much if the process came later, so that the clock may have to stand still afterwards.
 */
uint64_t
process_cpu_ns(void)
{
	struct timer_state *t = &process()->timer;
	uint64_t ticks = ENVPAGE->time_tsc, began = ENVPAGE->slice_end - SYSPAGE->slice_tsc;
	uint64_t passed = __builtin_ia32_rdtsc() - began, ns;

	ticks += passed < SYSPAGE->slice_tsc ? passed : SYSPAGE->slice_tsc;
	ns = (uint64_t)(((unsigned __int128)ticks * SYSPAGE->ns_mult) >> 32);
	if (ns > t->cpu_ns)
		t->cpu_ns = ns;
	return t->cpu_ns;
}

/*
 * A clock below 0 is the processor time of a process or thread: its number, inverted, above three bits, of which the
 * lower two say what to count and the third that it is a thread's.  Known is the caller's own.
 */
static bool
clock_mine(int32_t clock)
{
	int32_t pid = ~(clock >> 3);

	return clock < 0 && (clock & 3) != 3 && (!pid || pid == (int32_t)MAIL->pid);
}

/* Nanoseconds of a clock; -EINVAL if there is none such. */
static int
clock_read(int32_t clock, uint64_t *ns)
{
	if (clock_mine(clock))
		clock = LX_CLOCK_PROCESS_CPUTIME_ID;
	switch (clock) {
	case LX_CLOCK_REALTIME:
	case LX_CLOCK_REALTIME_COARSE:
	case LX_CLOCK_TAI:
		*ns = core_wall_ns();
		return 0;
	case LX_CLOCK_MONOTONIC:
	case LX_CLOCK_MONOTONIC_RAW:
	case LX_CLOCK_MONOTONIC_COARSE:
	case LX_CLOCK_BOOTTIME:
		*ns = core_now_ns();
		return 0;
	case LX_CLOCK_PROCESS_CPUTIME_ID:
	case LX_CLOCK_THREAD_CPUTIME_ID:
		*ns = process_cpu_ns();
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t
sys_clock_gettime(struct call *c)
{
	struct lx_timespec ts;
	uint64_t ns;
	int err = clock_read((int32_t)c->a[0], &ns);

	if (err)
		return err;
	ts.tv_sec = (int64_t)(ns / NS);
	ts.tv_nsec = (int64_t)(ns % NS);
	return copy_out(c->a[1], &ts, sizeof(ts)) ? -EFAULT : 0;
}

int64_t
sys_clock_getres(struct call *c)
{
	struct lx_timespec ts = {0, 1};
	uint64_t ns;
	int err = clock_read((int32_t)c->a[0], &ns);

	if (err)
		return err;
	return c->a[1] && copy_out(c->a[1], &ts, sizeof(ts)) ? -EFAULT : 0;
}

int64_t
sys_gettimeofday(struct call *c)
{
	uint64_t ns = core_wall_ns();
	struct lx_timeval tv = {(int64_t)(ns / NS), (int64_t)(ns % NS / 1000)};
	struct lx_timezone tz = {0, 0};

	if (c->a[0] && copy_out(c->a[0], &tv, sizeof(tv)))
		return -EFAULT;
	return c->a[1] && copy_out(c->a[1], &tz, sizeof(tz)) ? -EFAULT : 0;
}

int64_t
sys_time(struct call *c)
{
	int64_t now = (int64_t)(core_wall_ns() / NS);

	return c->a[0] && copy_out(c->a[0], &now, sizeof(now)) ? -EFAULT : now;
}

/* Sleeps until monotonic ns `until`; what is left goes to `left` if a signal came. */
static int64_t
sleep_until(uint64_t until, uint64_t left)
{
	for (;;) {
		uint32_t seen = core_events();
		uint64_t now = core_now_ns();
		struct lx_timespec ts;

		if (now >= until)
			return 0;
		if (process_block(seen, until) != -ERESTARTSYS)
			continue;
		now = core_now_ns();
		now = now < until ? until - now : 0;
		ts = (struct lx_timespec){(int64_t)(now / NS), (int64_t)(now % NS)};
		if (left && copy_out(left, &ts, sizeof(ts)))
			return -EFAULT;
		return -EINTR;
	}
}

int
timespec_in(uint64_t from, uint64_t *ns)
{
	struct lx_timespec ts;

	if (copy_in(&ts, from, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (int64_t)NS)
		return -EINVAL;
	if ((uint64_t)ts.tv_sec >= LONGEST)
		*ns = LONGEST * NS;
	else
		*ns = (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
	return 0;
}

int64_t
sys_nanosleep(struct call *c)
{
	uint64_t ns;
	int err = timespec_in(c->a[0], &ns);

	return err ? err : sleep_until(core_now_ns() + ns, c->a[1]);
}

int64_t
sys_clock_nanosleep(struct call *c)
{
	uint64_t ns, now;
	int err = timespec_in(c->a[2], &ns);

	if (err)
		return err;
	err = clock_read((int32_t)c->a[0], &now);
	if (err)
		return err;
	if (!(c->a[1] & LX_TIMER_ABSTIME))
		return sleep_until(core_now_ns() + ns, c->a[3]);
	return ns <= now ? 0 : sleep_until(core_now_ns() + (ns - now), 0);
}

/* ---- the alarm: ITIMER_REAL ---- */

static struct lx_itimerval
alarm_left(void)
{
	const struct timer_state *t = &process()->timer;
	uint64_t now = core_now_ns(), left = 0;
	struct lx_itimerval v;

	if (t->alarm_ns)
		left = t->alarm_ns > now ? t->alarm_ns - now : 1000;
	v.it_value = (struct lx_timeval){(int64_t)(left / NS), (int64_t)(left % NS / 1000)};
	v.it_interval = (struct lx_timeval){(int64_t)(t->interval_ns / NS),
					    (int64_t)(t->interval_ns % NS / 1000)};
	return v;
}

int64_t
sys_alarm(struct call *c)
{
	struct lx_itimerval old = alarm_left();
	uint32_t seconds = (uint32_t)c->a[0];

	process()->timer.interval_ns = 0;
	process()->timer.alarm_ns = seconds ? core_now_ns() + seconds * NS : 0;
	timer_arm();
	return old.it_value.tv_sec + (old.it_value.tv_usec != 0);
}

int64_t
sys_getitimer(struct call *c)
{
	struct lx_itimerval v = {0};

	if (c->a[0] > LX_ITIMER_PROF)
		return -EINVAL;
	if (c->a[0] == LX_ITIMER_REAL)
		v = alarm_left();
	return copy_out(c->a[1], &v, sizeof(v)) ? -EFAULT : 0;
}

static bool
timeval_valid(const struct lx_timeval *v)
{
	return v->tv_sec >= 0 && v->tv_sec < 1000000000 && v->tv_usec >= 0 && v->tv_usec < 1000000;
}

int64_t
sys_setitimer(struct call *c)
{
	struct lx_itimerval old = alarm_left(), v = {0};
	uint64_t value;

	if (c->a[0] != LX_ITIMER_REAL)
		return -EINVAL;
	if (c->a[1] && copy_in(&v, c->a[1], sizeof(v)))
		return -EFAULT;
	if (!timeval_valid(&v.it_value) || !timeval_valid(&v.it_interval))
		return -EINVAL;
	value = (uint64_t)v.it_value.tv_sec * NS + (uint64_t)v.it_value.tv_usec * 1000;
	process()->timer.interval_ns =
		(uint64_t)v.it_interval.tv_sec * NS + (uint64_t)v.it_interval.tv_usec * 1000;
	process()->timer.alarm_ns = value ? core_now_ns() + value : 0;
	timer_arm();
	return c->a[2] && copy_out(c->a[2], &old, sizeof(old)) ? -EFAULT : 0;
}
