/* SPDX-License-Identifier: MIT */
/*
 * What kernels for tests do besides: look at invariants, and make trouble.
 *
 * In the kernel that people run all of it is constants and nothing.  Included by kernel.h.
 */
#ifndef KERNEL_CHECK_CHECK_H
#define KERNEL_CHECK_CHECK_H

/* ---- check/check.c: in checked kernels ---- */
#ifdef KERNEL_CHECKED
void check_init(void);
void check_exit(void); /* on the way to user mode, no lock held: now and then, all invariants */
void check_report(void);
#else
#define check_init()   ((void)0)
#define check_exit()   ((void)0)
#define check_report() ((void)0)
#endif

/* ---- check/chaos.c: in kernels for tests, and on the host ---- */
#if defined(KERNEL_CHAOS) || !defined(KERNEL_X86)
extern bool chaos_on;
extern bool chaos_slow;     /* no short ways: chaos of either kind, or option slow=1 */
extern bool chaos_stepping; /* option chaos_step: the machine calls the three below */
void chaos_init(void);
void chaos_report(void); /* to the log, at the end */
/* Drops all bindings of s that are not guaranteed: not bounded.  space.lock */
struct space;
void _space_drop(struct space *s);
#else
enum { chaos_on, chaos_slow = 0, chaos_stepping = 0 };
#define chaos_init()   ((void)0)
#define chaos_report() ((void)0)
#endif
void chaos_step(struct regs *regs); /* at every entry, with the boot option chaos=SEED */
/* An instruction of user mode is about to begin.  True: it lies in a range, come again at the next. */
bool chaos_boundary(struct regs *regs);
uint64_t chaos_range_start(uint32_t i); /* 0: there are fewer */
/* A byte of the current environment's memory, NULL: not bound.  A guest's processor may write to it. */
uint8_t *chaos_byte(uint64_t va);

#endif
