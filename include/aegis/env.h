/* SPDX-License-Identifier: MIT */
/*
 * Environments and address spaces.
 *
 * An environment is the paper's: an exception, an interrupt, a protected-entry and an addressing
 * context, with accounting.  Its *area* is 2 to AEGIS_AREA_PAGES pinned frames of its space: the
 * first begins with struct aegis_area, all serve as argument space for batches, and the pages from
 * `stack_page` on are the upcall stack.  The kernel reaches the area through its own mapping and reads
 * each value once.
 *
 * The *environment page* is written by the kernel alone and may be bound read only (AEGIS_SELF in
 * mem_bind): events, time, revocation requests and what was taken.  The *system page* is the same for
 * all and may be bound read only by anyone.  Both begin with their size and version; fields are only
 * ever added at the end.
 *
 * Life: env_create (not runnable) -> env_write of a setup -> wake -> ... -> env_destroy or its end.
 * An environment that ended keeps its number and reason until it is destroyed by capability; its
 * frames go with its space.
 */
#ifndef AEGIS_ENV_H
#define AEGIS_ENV_H

#include <stdint.h>

#define AEGIS_AREA_PAGES 8u
#define AEGIS_ENVS       4096u /* environment numbers: 1 .. AEGIS_ENVS - 1 */
#define AEGIS_GATES      8u    /* bound protected control transfers of an environment */

/* First bytes of the area; writable by the environment, the rest of the area is its own to use. */
struct aegis_area {
	uint32_t defer; /* not 0: asynchronous upcalls wait */
	/* AEGIS_PEND_*: set by the kernel, cleared by the library, both atomically */
	uint32_t pending;
	uint64_t reserved[7];
};
_Static_assert(sizeof(struct aegis_area) == 64, "ABI");

/* env_write: everything the kernel must know to enter the environment.  Read once, checked, kept. */
struct aegis_setup {
	uint64_t area_va;      /* page aligned; where the space has the area bound, guaranteed */
	uint32_t area_pages;   /* 2 .. AEGIS_AREA_PAGES */
	uint32_t stack_page;   /* 1 .. area_pages - 1: first page of the upcall stack */
	uint64_t fault_entry;  /* synchronous upcalls */
	uint64_t async_entry;  /* asynchronous upcalls */
	uint64_t begin_entry;  /* a slice begins after yield, sleep or creation; registers clear */
	uint64_t call_entry;   /* protected control transfers in; 0 accepts none */
	uint64_t call_stack;   /* rsp for call_entry */
	uint64_t resume_start; /* resume sequence, see fault.h; 0: none */
	uint64_t resume_rip;   /* address of its last instruction */
	uint64_t gs_base;      /* GS base at every upcall, begin and call */
	uint64_t call_fs;      /* FS base at every call; at the others it is 0, or as it was */
	uint32_t pkru;         /* PKRU at every upcall, begin and call */
	uint32_t space;        /* space number */
	uint32_t cpu;          /* processor on which it takes time that nobody owns */
	uint32_t flags;        /* AEGIS_SETUP_* */
};
_Static_assert(sizeof(struct aegis_setup) == 104, "ABI");

#define AEGIS_SETUP_EXTRA (1u << 0) /* wants unowned and yielded time */

/* env_create record, in the caller's area. */
struct aegis_env_create {
	uint32_t frames[3];   /* AEGIS_ENV_FRAMES held by the caller, consumed */
	uint32_t space;       /* space number the environment starts with */
	uint32_t flags;       /* AEGIS_ENV_* */
	uint32_t frame_limit; /* for a new account: carved out of the caller's account */
	/* As many spaces, too; the account itself is one environment more of the caller's. */
	uint32_t env_limit;
	uint32_t node_limit;
	uint32_t slice_limit;
	uint32_t reserved;
};
_Static_assert(sizeof(struct aegis_env_create) == 40, "ABI");

#define AEGIS_ENV_ACCOUNT (1u << 0) /* new account; else the caller's account pays */

/* State as env_read shows it. */
#define AEGIS_STATE_NEW      0u
#define AEGIS_STATE_READY    1u
#define AEGIS_STATE_RUNNING  2u
#define AEGIS_STATE_SLEEPING 3u
#define AEGIS_STATE_CALLING  4u /* in a synchronous transfer, waiting for its return */
#define AEGIS_STATE_IDLE     5u /* accepts transfers, has nothing else to do */
#define AEGIS_STATE_ENDED    6u

/* Why an environment ended. */
#define AEGIS_END_NONE    0u
#define AEGIS_END_SELF    1u /* destroyed by itself */
#define AEGIS_END_OTHER   2u /* destroyed by capability */
#define AEGIS_END_STACK   3u /* upcall stack exhausted: a fault in its own handler, without end */
#define AEGIS_END_HANDLER 4u /* an upcall without a handler */
#define AEGIS_END_OVERRUN 5u /* held on to the processor past the bound, again and again */
#define AEGIS_END_REVOKE  6u /* a revocation could not be satisfied without a guaranteed resource */
#define AEGIS_END_AREA    7u /* its area is gone */

/* env_read: written into the caller's area.  Context words are valid when the environment does not run. */
struct aegis_env_info {
	uint32_t size, version;
	uint32_t env, generation;
	uint32_t state, cpu;
	uint32_t end_reason, end_cause;
	uint64_t end_rip, end_addr;
	uint32_t space, guard;
	uint32_t caller, callee; /* transfer in progress, 0 none */
	uint64_t time_ns;        /* processor time used */
	uint32_t account, saved; /* saved: 1 = the kernel holds a full context (regs below) */
	uint64_t regs[18];       /* rax rbx rcx rdx rsi rdi rbp rsp r8..r15 rip rflags */
	uint64_t fs_base, gs_base;
	uint32_t account_used, account_limit; /* frames */
};
_Static_assert(sizeof(struct aegis_env_info) == 248, "ABI");

#define AEGIS_TAKEN_MAX 128u

/* The environment page. */
struct aegis_env_page {
	uint32_t size, version;
	uint32_t env, cpu;
	uint32_t events;    /* counts wakes; sleep compares it */
	uint32_t slice;     /* number of the slice that runs, AEGIS_ANY in time that nobody owns */
	uint64_t slice_end; /* TSC at which it ends */
	uint64_t time_tsc;  /* TSC ticks used before this slice */
	uint64_t overrun_tsc; /* owed for epilogues that took too long */
	uint32_t forced;      /* times the kernel saved the context itself */
	uint32_t irqs;        /* bit n: claimed interrupt n came since irq_ack */
	/* Revocation: asked for `ask_count` of kind `ask_kind` by TSC ask_deadline.  Kind 0: nothing. */
	uint32_t ask_kind, ask_count;
	uint64_t ask_deadline;
	/* Repossession vector: a ring; taken_count counts up, entry i is taken[i % AEGIS_TAKEN_MAX]. */
	uint32_t taken_count, taken_kind_last;
	uint32_t taken[AEGIS_TAKEN_MAX];    /* AEGIS_TAKEN(kind, name) */
	uint32_t frames_used, frames_limit; /* of the account */
	uint32_t entries, upcalls;          /* calls before this slice; upcalls delivered */
};

/* The system page. */
struct aegis_system_page {
	uint32_t size, version;
	uint32_t cpus, slices;   /* processors; slices of a vector */
	uint64_t tsc_hz;         /* ticks of the time-stamp counter in a second */
	uint64_t tsc_boot;       /* TSC at which monotonic time is 0 */
	uint64_t wall_ns;        /* wall time at tsc_boot, ns since 1970; 0 unknown */
	uint64_t slice_tsc;      /* length of a slice */
	uint64_t ns_mult;        /* ns = (tsc - tsc_boot) * ns_mult >> 32 */
	uint32_t frames;         /* frame numbers are below this */
	uint32_t free_frames;    /* as of the last change */
	uint32_t free_map_frame; /* first frame of the free bitmap */
	uint32_t free_map_pages;
	uint32_t counter_frame; /* first of one frame of counters a processor (guard: root) */
	uint32_t trace_frame;   /* first of the trace frames a processor (guard: root) */
	uint32_t trace_pages;   /* trace frames of one processor */
	uint32_t chan_frame;    /* completions of the host channel, 0: no channel */
	uint32_t xsave_size;    /* bytes of vector state for XSAVE, with the mask below */
	uint32_t reserved;
	uint64_t xcr0;
	uint32_t idle_cpus; /* bit n: processor n halts */
	uint32_t ready[64]; /* environments that want time, by processor */
};

#endif
