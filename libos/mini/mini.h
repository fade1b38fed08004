/* SPDX-License-Identifier: MIT */
/*
 * A small library operating system, on the Aegis ABI alone: it shows what the kernel gives to whoever
 * asks, so that nothing in ExOS needs to be privileged.
 *
 * Addresses: every environment has its area where setup says (the first keeps that of the boot, a child
 * has CHILD_VA in a space of its own) and its environment page at OWN_VA.  All share the image, data
 * included.  Area: page 0 struct mini, 1 records of calls, 2 and 3 a child's stacks, 4..7 upcall stack.
 */
#ifndef MINI_H
#define MINI_H

#define MINI_DEFER     0
#define MINI_PENDING   4
#define MINI_STACK     64
#define MINI_RESUME    72
#define MINI_TARGET    80
#define FRAME_DEFERRED 28
#define FRAME_RDI      32
#define FRAME_RSI      40
#define FRAME_RDX      48
#define FRAME_R10      56
#define FRAME_R8       64
#define FRAME_R9       72
#define FRAME_RAX      80
#define FRAME_RCX      88
#define FRAME_R11      96
#define FRAME_RIP      104
#define FRAME_RFLAGS   120
#define MINI_CALLS     0x41450000

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEGIS_STUBS
#include <aegis/aegis.h>

#define CHILD_VA   0x10000000ul
#define OWN_VA     0x10020000ul /* the environment's own page */
#define SYSTEM_VA  0x10021000ul
#define EXPOSED_VA 0x10022000ul /* a child's environment page, as its maker sees it */
#define CHAN_VA    0x10023000ul
#define MAP_VA     0x10030000ul /* which frames are free */
#define DEMO_VA    0x10100000ul
#define BATCH      0x1000u
#define CAP        0u
#define RW         (AEGIS_BIND_READ | AEGIS_BIND_WRITE)
#define BEGUN      (1l << 62)
#define SECOND     1000000000ul

struct mini {
	struct aegis_area area;
	uint64_t stack_top, resume, target;
	void (*fn)(void); /* of a child */
	uint32_t env, space;
};
_Static_assert(offsetof(struct mini, stack_top) == MINI_STACK, "assembly");
_Static_assert(offsetof(struct mini, resume) == MINI_RESUME, "assembly");
_Static_assert(offsetof(struct mini, target) == MINI_TARGET, "assembly");
_Static_assert(offsetof(struct aegis_frame, deferred) == FRAME_DEFERRED, "assembly");
_Static_assert(offsetof(struct aegis_frame, rip) == FRAME_RIP, "assembly");

#define SYSTEM  ((const volatile struct aegis_system_page *)SYSTEM_VA)
#define OWN     ((const volatile struct aegis_env_page *)OWN_VA)
#define EXPOSED ((const volatile struct aegis_env_page *)EXPOSED_VA)

static inline struct mini *
self(void)
{
	uint64_t base;

	__asm__("rdgsbase %0" : "=r"(base));
	return (struct mini *)base;
}

static inline uint64_t
tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* ---- start.S ---- */
extern const char mini_begin[], mini_fault_entry[], mini_async_entry[], mini_call[];
extern const char mini_resume_start[], mini_resume_rip[];
extern const char image_text[], image_constants[], image_data[], image_end[];
/* Calls that may give the processor away: BEGUN when this environment was begun again. */
int64_t mini_leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c);
int64_t mini_transfer(uint64_t rax, uint64_t message[6]);

/* ---- lib.c ---- */
extern const struct aegis_boot_page *boot;
#define must(e, value) must_be((int64_t)(e), (int64_t)(value), __LINE__, #e)
void must_be(int64_t st, int64_t value, uint32_t line, const char *what);
void line(const char *format, ...); /* %u %x %s; all numbers are uint64_t */
_Noreturn void end(uint32_t status);
void chan_open(void);
struct aegis_frame_rec *frame_rec(uint32_t pfn, uint32_t flags); /* the one record of a call */
uint32_t frame_get(uint32_t pfn);
void frame_put(uint32_t pfn);
void frame_hold(uint32_t cap, uint32_t pfn);
bool frame_free(uint32_t pfn); /* as the exposed map says */
void bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot);
void unbind(uint64_t va, uint32_t pages);
int64_t leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c);
int64_t transfer(uint32_t call, uint32_t gate, uint64_t message[6]);
uint64_t ticks(uint64_t ns);
void rest(uint64_t ns);
bool wait_for(const volatile uint32_t *word, uint32_t value);
void setup_write(const struct mini *m, uint32_t env, uint32_t space, uint32_t cpu, uint32_t flags);

struct child {
	uint32_t env, space, area[AEGIS_AREA_PAGES], exposed;
};
void child_make(struct child *c, void (*fn)(void)); /* not woken yet */
void child_end(struct child *c);
#endif
#endif
