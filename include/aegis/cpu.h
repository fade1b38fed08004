/* SPDX-License-Identifier: MIT */
/*
 * Processor time.
 *
 * Each processor has a vector of AEGIS_SLICES slices, served round robin.  A slice is allocated by
 * number, like a frame, so that position says when and how often its owner runs.  A slice without an
 * owner, or whose owner sleeps or yields, goes to the environments on that processor that want it:
 * round robin among accounts, then among the environments of the account.
 *
 * At the end of a slice the owner gets AEGIS_PEND_SLICE, saves what is live in its own memory and
 * yields.  It has AEGIS_EPILOGUE_NS for that; what it takes beyond is owed and is taken from its later
 * slices.  After AEGIS_FORCE_NS the kernel saves the whole context itself and switches; after
 * AEGIS_FORCE_MAX such switches in a row the environment is ended.
 *
 * yield and sleep save nothing: the environment is entered again at begin_entry, with registers clear
 * (rcx and r11 may hold what SYSRET needs: the entry and its flags) and defer set, and restores its own state.  An environment switched by force continues exactly
 * where it was.
 *
 * An event is counted after its reason is in area->pending and in the environment page.  So nothing is
 * missed by who reads the event count, then looks at what it waits for and, having set defer, at
 * area->pending, and then sleeps on that count.
 */
#ifndef AEGIS_CPU_H
#define AEGIS_CPU_H

#include <stdint.h>

#define AEGIS_CPUS        8u
#define AEGIS_SLICES      64u
#define AEGIS_SLICE_NS    2000000ul
#define AEGIS_EPILOGUE_NS 200000ul
#define AEGIS_FORCE_NS    2000000ul
#define AEGIS_FORCE_MAX   1000u

#define AEGIS_NEVER UINT64_MAX /* sleep without a deadline */

/* sleep flags */
#define AEGIS_SLEEP_ACCEPT (1u << 0) /* protected control transfers may enter meanwhile */

/* wake flags */
#define AEGIS_WAKE_UPCALL (1u << 0) /* also deliver AEGIS_PEND_EVENT */

#endif
