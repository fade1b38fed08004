/* SPDX-License-Identifier: MIT */
/*
 * ExOS for programs that know it.
 *
 * An unmodified Linux program never meets this page.  A program that wants to replace a part of its
 * operating system (its page table, its pager, its scheduler, its way to call others) finds the
 * library's symbols here, beside the Linux calls, which go on working.  The symbols are in the vDSO that
 * every process has mapped; build/libexos.a looks them up once, when the program starts:
 *
 *	gcc -static -Iinclude prog.c build/libexos.a
 *
 * The same binary runs on Linux, where exos_here() is false and every other function answers -ENOSYS.
 * Results are >= 0, or a negative Linux error number.  Nothing here gives a process a right that it does
 * not have already: what the kernel protects stays protected, and a process that misuses its own
 * library harms itself.
 */
#ifndef EXOS_API_H
#define EXOS_API_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXOS_API_VERSION 1

/* Whether this process runs on ExOS. */
bool exos_here(void);

/* EXOS_API_VERSION of the image that is mapped, which may be newer than this header. */
int64_t exos_version(void);

/* The physical names under which the kernel knows this process. */
struct exos_self {
	uint32_t size;       /* in: sizeof(struct exos_self); out: how much was written */
	uint32_t env, space; /* numbers of the environment and of its address space */
	uint32_t cpu;        /* processor on which it takes time that nobody owns */
	uint32_t pid;
	uint32_t service_env; /* of the domain */
	uint64_t tsc_hz;      /* ticks of the time-stamp counter in a second */
	uint64_t slice_tsc;   /* length of a slice in ticks */
};
/* 0; -EFAULT; -EINVAL: size is too small for anything. */
int64_t exos_self(struct exos_self *self);

#include "ipc.h"
#include "pipe.h"
#include "sched.h"

#ifdef __cplusplus
}
#endif

#endif
