/* SPDX-License-Identifier: MIT */
/* What the files of exos/core share, and what exos/start and exos/upcall need of them. */
#ifndef EXOS_CORE_PRIV_H
#define EXOS_CORE_PRIV_H

#define AEGIS_STUBS
#include "core.h"
#include "../service/proto.h"

#define CORE_SPARES  24u
#define ARENA_ORDERS 18u

struct arena_free {
	struct arena_free *next;
	uint64_t va;
};

/* The last private pages of every role. */
struct core_state {
	/* XSAVE area of core_leave; XSAVE leaves in it the zeros that XRSTOR wants. */
	uint8_t vector[4096] __attribute__((aligned(64)));
	struct heap heap;
	uint64_t heap_map[(EXOS_HEAP_PAGES + 63) /
			  64]; /* pages of EXOS_HEAP in use (process role) */
	uint64_t heap_large[(EXOS_HEAP_PAGES + 63) / 64]; /* those of them that are no slabs */
	uint32_t spare[CORE_SPARES]; /* frames kept for tables and holdings pages */
	uint32_t spares;
	uint64_t arena_next;
	uint64_t service_busy; /* how often a transfer found the service in another */
	struct arena_free *arena[ARENA_ORDERS];
	uint64_t truth_bound[2];               /* pages of EXOS_TRUTH that are there */
	uint32_t heap_frames[EXOS_HEAP_PAGES]; /* frames of EXOS_HEAP's pages, 0: none yet */
	/* Frames of a child's private pages, bound in the window for its next brother (proc/fork.c). */
	uint32_t copies;
	int32_t copies_pid;                   /* the child, until it is known to have ended */
	uint32_t copy_frame[EXOS_COPY_PAGES]; /* the last: not copied at fork */
};

#define CORE_STATE_PAGES 2u
#define CORE_STATE_AT    (EXOS_PRIVATE + (EXOS_PRIVATE_PAGES - CORE_STATE_PAGES) * AEGIS_PAGE)
#define CORE_STATE       ((struct core_state *)CORE_STATE_AT)
_Static_assert(sizeof(struct core_state) <= CORE_STATE_PAGES * 4096, "fits its pages");

/* upcall.S */
int64_t core_leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c);
int64_t core_yield_to(uint64_t cap, uint64_t env); /* the same, by a yield to a name */
int64_t core_snapshot(int64_t (*fn)(void *arg, uint64_t rsp), void *arg);
_Noreturn void core_context_load(uint64_t rsp, const void *context, size_t bytes);
int64_t core_transfer(uint64_t gate, struct svc *s);
size_t core_clear(void *to, size_t n);
_Noreturn void core_resume(struct aegis_frame *frame, const uint64_t callee[6]);
extern const char core_begin_entry[], core_begin_entry_keys[], core_fault_entry[],
	core_async_entry[], core_call_entry[];
extern const char core_serve_entry[], core_serve_entry_keys[];
extern const char core_site_entry[];
extern const char core_resume_first[], core_resume_rip[];
extern const char core_copy_start[], core_copy_end[], core_copy_fault[];
extern const char core_pipe_write[], core_pipe_write_not[], core_pipe_read[], core_pipe_read_not[];
extern const char core_pipe_end[];
#define CORE_CHILD (1l << 62) /* answer of core_leave and core_snapshot to who begins again */

void
core_state_init(void); /* once an environment starts afresh: private pages are bound and zero */
void core_spares_fill(void);
void core_heap_init(void);
int core_arena_fault(uint64_t va); /* supervisor, service: binds again what the kernel dropped */
void service_log(const char *text, uint32_t n); /* service role: a line for the log */
/* Fills the kernel's and the library's view of a new environment; `c` is its control page, mapped.  A
 * process has keys if who fills it has. */
void core_setup_fill(struct aegis_setup *setup, struct control *c, uint32_t role, uint32_t env,
		     uint32_t space, uint32_t cpu);
/* Sleeps, open to transfers, without a context: who is woken begins at core_start. Answers if it does
 * not sleep. */
int64_t core_park(uint32_t seen, uint64_t deadline_tsc);
int core_block_accepting(uint32_t seen, uint64_t deadline_ns);

#endif
