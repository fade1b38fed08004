/* SPDX-License-Identifier: MIT */
/*
 * The processor as a part that a program replaces: slices by number, directed yields, sleep and wake.
 *
 * Each processor serves a vector of 64 slices of 2 ms, round robin (include/aegis/cpu.h).  A slice that
 * nobody owns, or whose owner sleeps or gave it away, goes round among the processes that want such time;
 * that is how every process runs that knows nothing of this page.  A scheduler owns slices, takes the
 * processes that it schedules out of that round (exos_extra), and yields to them by name.
 *
 * The kernel gives slices against the capability of the process's user and charges the domain, whose share
 * is bounded so that on every processor a quarter of the time stays with the round.
 */
#ifndef EXOS_SCHED_H
#define EXOS_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define EXOS_ANY UINT32_MAX

/* This process owns slice `slice` (EXOS_ANY: some) of processor `cpu`.  Its number; -EBUSY: another
 * owns it; -EAGAIN: the domain has its share; -EINVAL: no such processor or slice. */
int64_t exos_slice_alloc(uint32_t cpu, uint32_t slice);
int64_t exos_slice_free(uint32_t cpu, uint32_t slice); /* 0; -EPERM: not this process's */

/* Whether this process takes time that nobody owns.  Without it, and without slices, it runs only when
 * somebody yields to it, or calls it.  0.  A child of fork wants such time again. */
int64_t exos_extra(bool wanted);

/* The environment number of a process that the caller may signal: a name for what follows.  -ESRCH, -EPERM. */
int64_t exos_peer(uint32_t pid);

/* Gives the rest of the slice to `env` (0: to anybody).  0: this process runs again; -EAGAIN: `env` sleeps,
 * runs elsewhere, or is called; -ESRCH; -EPERM: of another domain. */
int64_t exos_yield(uint32_t env);

/* Off the processor until the event count (exos_events) differs from `seen`, or TSC `deadline`, or a signal
 * was handled.  0. */
int64_t exos_sleep(uint32_t seen, uint64_t deadline);

int64_t exos_wake(uint32_t env); /* counts an event of it.  0, -ESRCH, -EPERM */

/* Which slice runs, EXOS_ANY in time that nobody owns; and TSC ticks that this process had used when it was
 * last entered. */
uint32_t exos_slice(void);
uint64_t exos_used(void);

#endif
