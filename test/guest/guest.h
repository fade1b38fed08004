/* SPDX-License-Identifier: MIT */
/*
 * A library operating system made of tests: everything above the ABI that a test needs.
 *
 * The image is the boot library.  Its first environment (the runner) runs the tests one after the
 * other; a test makes more environments with spawn().  Each environment has a block of addresses:
 *
 *	BLOCK(i) + 0 pages 0..7    its area; struct guest at its start, GS base points to it
 *	             page 1        batch records          page 2  text for the log
 *	             page 3        for the test           pages 4..7  upcall stack
 *	           page 8          its environment page, read only
 *	           pages 16..23    its stacks: for calls below 20, its own below 24
 *
 * Environments share the image, data included, whether they share the runner's space or have one of
 * their own, so that variables of a test are seen by all; except SPAWN_ALONE, which has no data but
 * its block.
 *
 * check() records a failure and goes on; require() ends the test.  After a test the runner destroys
 * what it spawned and compares free frames, environments, spaces and its account with before.
 */
#ifndef TEST_GUEST_H
#define TEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEGIS_STUBS
#include <aegis/aegis.h>

#include "layout.h"

typedef int64_t status;
typedef int64_t guest_fn(uint64_t arg);

#define PAGE           AEGIS_PAGE
#define TEST_VA        0x10000000ul /* 64 MiB whose page tables are there */
#define TEST_END       0x14000000ul
#define FAR_VA         0x3a0000000000ul /* where no tables are */
#define SYSTEM_VA      0x1f000000ul
#define BLOCK_VA       0x20000000ul
#define BLOCK_SIZE     0x20000ul
#define BLOCKS         256u
#define BLOCK(i)       (BLOCK_VA + (i)*BLOCK_SIZE)
#define ENVPAGE_OFFSET 0x8000ul
#define STACK_OFFSET   0x10000ul
#define STACK_PAGES    8u
#define STACK_PAGE     4u /* of the area: first of the upcall stack */
#define BATCH          0x1000u
#define TEXT           0x2000u
#define SPARE          0x3000u
#define CAP            0u /* every right, in environments that were given it */

struct message {
	uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15;
};

struct seen { /* general registers; rsp last */
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rsp;
};

struct jump {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

/* The first bytes of an environment's area. */
struct guest {
	struct aegis_area area;
	uint64_t stack_top, resume;
	guest_fn *fn;
	uint64_t arg;
	struct jump *catch; /* a fault goes there */
	uint64_t target;    /* of the jump that ends a resume */
	uint64_t reserved[2];
	struct seen began;
	uint64_t began_fs, begins;
	uint64_t reserved2[30];
	struct message message; /* of the call that is served */
	uint64_t caller;
	/* From here on C only. */
	uint32_t env, space, index, cpu;
	bool hostile; /* says nothing, and its failures count for nobody */
	/* Instead of the catch: true means that the frame is to be resumed. */
	bool (*on_fault)(struct aegis_frame *f, uint64_t callee[6]);
	void (*on_async)(struct aegis_frame *f, uint32_t pending);
	void (*on_call)(struct message *m, uint32_t caller);
	volatile uint32_t faults, asyncs, slices, events, revokes, irqs; /* upcalls that came */
	volatile int64_t result;                                         /* of fn */
	volatile uint32_t done;
	struct aegis_frame last; /* of the fault that was caught */
};

static inline struct guest *
self(void)
{
	uint64_t base;

	__asm__("rdgsbase %0" : "=r"(base));
	return (struct guest *)base;
}

#define SYSTEM ((const volatile struct aegis_system_page *)SYSTEM_VA)
static inline const volatile struct aegis_env_page *
env_page(const struct guest *g)
{
	return (const volatile struct aegis_env_page *)((uint64_t)g + ENVPAGE_OFFSET);
}

/* ---- start.S ---- */
void guest_begin_entry(void);
void guest_fault_entry(void);
void guest_async_entry(void);
void guest_call_entry(void);
extern const char guest_resume_start[], guest_resume_rip[], guest_resume_jump[];
#define BEGUN (1l << 62)
/* yield and sleep: BEGUN when the environment was begun again, else the call's answer. */
int64_t guest_leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c);
int64_t guest_transfer(uint64_t gate, struct message *m);   /* pct_call: the answer replaces *m */
int64_t guest_send(uint64_t gate, const struct message *m); /* pct_send: BEGUN, or an error */
int64_t guest_return(void); /* pct_return outside of a call: an error */
int guest_catch(struct jump *j) __attribute__((returns_twice)); /* 0; 1 when a fault came */
_Noreturn void guest_throw(const struct jump *j);
/* Any call at all: number and six registers as they are. */
int64_t guest_raw(uint64_t rax, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t r10,
		  uint64_t r8);

/* ---- guest.c: tests, reports, faults ---- */
struct test {
	const char *name;
	void (*fn)(void);
};
#define TEST(test_name)                                                              \
	static void test_name##_test(void);                                          \
	static const struct test test_name##_entry = {#test_name, test_name##_test}; \
	static const struct test *const test_name##_pointer                          \
		__attribute__((section("tests"), used)) = &test_name##_entry;        \
	static void test_name##_test(void)

void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line of the log */
void check_failed(const char *file, int line, const char *what, int64_t a, int64_t b);
_Noreturn void test_leave(void); /* ends the test, or the environment */
_Noreturn void skip(const char *why);
#define check(e)                                                    \
	do {                                                        \
		if (!(e))                                           \
			check_failed(__FILE__, __LINE__, #e, 0, 0); \
	} while (0)
#define require(e)                                                  \
	do {                                                        \
		if (!(e)) {                                         \
			check_failed(__FILE__, __LINE__, #e, 0, 0); \
			test_leave();                               \
		}                                                   \
	} while (0)
#define check_is(e, value)                                                      \
	do {                                                                    \
		int64_t check_a = (int64_t)(e), check_b = (int64_t)(value);     \
		if (check_a != check_b)                                         \
			check_failed(__FILE__, __LINE__, #e, check_a, check_b); \
	} while (0)
#define require_is(e, value)                                                    \
	do {                                                                    \
		int64_t check_a = (int64_t)(e), check_b = (int64_t)(value);     \
		if (check_a != check_b) {                                       \
			check_failed(__FILE__, __LINE__, #e, check_a, check_b); \
			test_leave();                                           \
		}                                                               \
	} while (0)
const char *option(const char *name); /* of the command line, NULL: not given */
uint64_t option_number(const char *name, uint64_t otherwise);
extern const struct aegis_boot_page *const boot_page;
extern uint32_t lost_frames;        /* that the test cannot give back, and says why */
extern const struct seen boot_seen; /* registers of the first entry */
/* Cause of the fault that `fn(arg)` ends in, self()->last is its frame; NO_FAULT: none. */
#define NO_FAULT 1000u
uint32_t fault_of(guest_fn *fn, uint64_t arg);
uint32_t probe_read(uint64_t va); /* cause, or NO_FAULT */
uint32_t probe_write(uint64_t va, uint64_t value);

/* ---- lib.c: time, random numbers, memory ---- */
uint64_t tsc(void);
uint64_t ns(uint64_t ticks);
uint64_t ticks(uint64_t ns);
#define HANG 90000000000ul /* ns after which what is waited for does not come */
void rest(uint64_t ns);    /* sleeps so long */
void relax_or_yield(void); /* lets others run when processors are few */
uint64_t random_next(uint64_t *state);
bool text_is(const char *a, const char *b);
void *memset(void *to, int byte, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
/* Frames of the runner's account, guarded by the root.  Failures end the test. */
uint32_t frame_get(void);
void frames_get(uint32_t *pfns, uint32_t n);
void frame_put(uint32_t pfn);
void frames_put(const uint32_t *pfns, uint32_t n);
status frame_alloc(uint32_t cap, uint32_t pfn, uint32_t *out); /* one, or AEGIS_ANY */
status frame_free(uint32_t pfn);
status frame_bind(uint32_t cap, uint32_t pfn, uint32_t rights); /* mem_bind of one */
status frame_share(uint32_t cap, uint32_t space, uint32_t pfn, uint32_t rights);
status frame_unshare(uint32_t cap, uint32_t space, uint32_t pfn);
status frame_mark(uint32_t pfn, uint32_t flags);
/* One binding; 1 is success.  The tables and holdings pages that are missing are supplied. */
status bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot);
status bind_only(uint32_t cap, uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot);
status unbind(uint32_t space, uint64_t va, uint32_t pages);
status protect(uint32_t space, uint64_t va, uint32_t pages, uint32_t prot, uint32_t *was);
status table_supply(uint32_t space, uint64_t va, uint32_t level, uint32_t pfn);
status table_take(uint32_t space, uint64_t va, uint32_t level);
status hold_supply(uint32_t space, uint32_t span);
static inline struct aegis_frame_rec *
batch_frames(void)
{
	return (struct aegis_frame_rec *)((uint64_t)self() + BATCH);
}
static inline struct aegis_bind *
batch_binds(void)
{
	return (struct aegis_bind *)((uint64_t)self() + BATCH);
}
static inline void *
spare(void)
{
	return (void *)((uint64_t)self() + SPARE);
}
#define RW (AEGIS_BIND_READ | AEGIS_BIND_WRITE)
#define RO AEGIS_BIND_READ
#define RX (AEGIS_BIND_READ | AEGIS_BIND_EXEC)

/* ---- child.c: environments ---- */
#define SPAWN_SPACE    (1u << 0) /* a space of its own, the image in it */
#define SPAWN_ALONE    (1u << 1) /* and no data, no rights: for code that touches nothing else */
#define SPAWN_ACCOUNT  (1u << 2) /* an account of its own, limits below */
#define SPAWN_TIMELESS (1u << 3) /* no time that nobody owns */
#define SPAWN_NO_FAULT (1u << 4) /* no handler for exceptions */
#define SPAWN_WAIT     (1u << 5) /* not woken yet */
#define SPAWN_WX       (1u << 6) /* its space may have what is writable and executable */
#define CALL_FS        24u       /* a child's FS base when it is called, from its area on */
struct spawn {
	guest_fn *fn;
	uint64_t arg;
	uint32_t cpu, flags;
	uint32_t frames, envs, nodes, slices; /* SPAWN_ACCOUNT */
	uint32_t cap;                         /* under whose name it is made; 0: the root */
	uint64_t begin_entry;                 /* 0: guest_begin_entry */
	void (*on_call)(struct message *m, uint32_t caller);
	bool (*on_fault)(struct aegis_frame *f, uint64_t callee[6]);
};
struct child {
	uint32_t env, space, index;
	bool own_space, used;
	struct guest *g; /* its area, bound in the runner's space too */
	uint32_t area[AEGIS_AREA_PAGES], stack[STACK_PAGES];
	uint32_t exposed;
};
struct child *spawn(const struct spawn *s);
struct child *spawn_on(guest_fn *fn, uint64_t arg, uint32_t cpu, uint32_t flags);
void child_end(struct child *c);       /* destroys it, in whatever state, and all that it had */
void child_join(struct child *c);      /* waits for fn to return, then child_end */
int64_t child_result(struct child *c); /* the same, answers what fn answered */
/* Waits until env_read shows the state; false after some seconds. */
bool child_wait(struct child *c, uint32_t state);
struct aegis_env_info *env_info(uint32_t env); /* in the spare page */
status env_end(uint32_t cap, uint32_t env);    /* env_destroy until it is done */
status space_end(uint32_t cap, uint32_t space);
void children_end(void);
void setup_fill(struct aegis_setup *s, const struct guest *g, uint32_t space, uint32_t cpu,
		uint32_t flags);
void guest_init(struct guest *g, uint32_t index);
bool wait_for(volatile uint32_t *word, uint32_t value); /* word >= value, within some seconds */
status guest_sleep(uint64_t deadline, uint32_t flags);  /* on the current event count */
/* `seen` was read before whatever is waited for was looked at. */
status guest_sleep_on(uint32_t seen, uint64_t deadline, uint32_t flags);
/* Sleeps until an event, or not at all if *stop: who sets that and then wakes is not missed. */
bool guest_sleep_unless(const volatile uint32_t *stop, uint32_t flags);
status guest_yield(uint32_t env);

static inline void
relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
