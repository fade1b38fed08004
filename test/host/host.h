/* SPDX-License-Identifier: MIT */
/*
 * The host's side of tests of the kernel: a machine of plain memory (machine.c), environments
 * without a scheduler (env_double.c), and helpers to make kernel calls as one of them.
 *
 * The machine has a model of each processor's TLB: machine_touch() translates as hardware does,
 * sets accessed and dirty bits and remembers; machine_tlb_sound() finds a translation that a
 * processor still remembers but the tables do not grant any more.
 */
#ifndef TEST_HOST_HOST_H
#define TEST_HOST_HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../kernel/tlb.h"

/* ---- machine.c ---- */
extern _Thread_local uint32_t host_cpu; /* the processor that runs */
extern bool host_threads;       /* processors are threads: interrupts wait for tlb_serve() */
extern uint32_t host_cpu_count; /* processors there are */
extern uint64_t host_clears;    /* frames cleared so far */
extern uint64_t host_ipis;
extern uint64_t host_fail_at; /* this many fallible calls from now fails; 0: none */
extern uint64_t host_time;
extern void (*host_panicked)(const char *why); /* instead of the end */
void machine_memory(uint32_t frame_count);     /* this much, before the kernel's memory is set up */
/* As processor `cpu` would: 0 done, 1 fault. */
int machine_touch(uint32_t cpu, uint64_t va, bool write);
bool machine_tlb_sound(void);
void machine_tlb_clear(void);

/* ---- env_double.c ---- */
#define HOST_FRAMES 12288u /* three spans of holdings */
#define HOST_AREA   0x10000000ul
void host_boot(uint32_t frame_count, uint32_t cpu_count); /* env 1 exists and is current */
/* Another environment in space s, whose area is at va, bound and guaranteed. */
struct env *host_env(struct space *s, uint64_t va, uint32_t guard, uint32_t account);
void host_env_end(struct env *e);
void host_run(struct env *e); /* current on this processor */
void *host_area(struct env *e, uint32_t offset);
extern uint64_t host_given; /* frames that revoke_given was told of */
bool host_sound(void);      /* every invariant; says which fails */

/* Calls with one record at offset 64 of the current area; the record afterwards in *r. */
#define HOST_RECORDS 64u
void host_put_frames(const struct aegis_frame_rec *r, uint32_t n);
void host_get_frames(struct aegis_frame_rec *r, uint32_t n);
void host_put_binds(const struct aegis_bind *r, uint32_t n);
void host_get_binds(struct aegis_bind *r, uint32_t n);
/* One frame, any; panics on failure. */
uint32_t host_alloc(uint32_t cap);
status host_bind(uint32_t cap, uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot);
status host_delete(uint32_t cap, uint32_t space, uint64_t va, uint32_t pages, uint32_t prot);
status host_free(uint32_t pfn);
/* A new space under the name of cap, with holdings pages for all spans and tables for va. */
struct space *host_space(uint32_t cap, uint64_t va);
status host_destroy(uint32_t cap, uint32_t space); /* until it is done */

/* ---- results, as TAP ---- */
extern int host_tests, host_failures;
void host_ok(bool good, const char *name);
int host_done(void);
#define EXPECT(e)                                                        \
	do {                                                             \
		if (!(e)) {                                              \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #e); \
			return false;                                    \
		}                                                        \
	} while (0)

#endif
