/* SPDX-License-Identifier: MIT */
/*
 * What every role stands on: the control page, entering and leaving the processor, batches.
 *
 * All of it runs with asynchronous upcalls deferred (control->area.defer != 0), on the upcall
 * stack. Errors are negative Linux error numbers; core_error() translates an enum aegis_status.
 */
#ifndef EXOS_CORE_CORE_H
#define EXOS_CORE_CORE_H

#include <aegis/aegis.h>
#include "../exos.h"
#include "../lib/lib.h"

#define PROGRAM_BINDS 80u
#define HANDLER_BINDS 32u

/* The first page of the area.  GS points at it.  Offsets are known to assembly (control_asm.h). */
struct control {
	struct aegis_area area;
	struct control *self; /* 64 */
	uint64_t resume_rsp;  /* 72: context to go on with at begin_entry; 0: none, start afresh */
	struct process *process; /* 80: EXOS_PRIVATE of a process */
	uint64_t stack_top;      /* 88: end of the upcall stack */
	uint32_t role;           /* 96 */
	uint32_t soon;          /* 100: environment to wake before the processor is left, 0: none */
	uint32_t xsave_mask;    /* 104 */
	uint32_t waiter;        /* 108: what stands in a ring when this one waits there (ring.h) */
	uint32_t xsave_size;    /* 112 */
	uint32_t service_env;   /* 116 */
	uint32_t env, space;    /* 120, 124: own numbers */
	uint64_t service_calls; /* 128: transfers to the service */
	uint64_t target;        /* 136: where the resume sequence jumps to */
	uint64_t flags_at;      /* 144: address behind rflags in the first frame */
	uint64_t number;        /* 152: of the call that is being served */
	uint32_t attention;     /* 160: not 0: look for signals before returning from a call */
	uint32_t keys;          /* 164: not 0: private pages are closed while the program runs */
	uint64_t traps;         /* calls that came by exception */
	uint64_t serve_entry;   /* 176: where transfers enter the program */
	uint64_t serve_fs;      /* FS base there, as in the environment's setup */
	uint64_t light_rsp;   /* 192: context of a program that gave the processor away, 0: none */
	struct serve *serve;  /* private heap; exos/api/serve.c */
	uint32_t home_cpu;    /* as in the environment's setup */
	uint32_t setup_flags; /* the same: AEGIS_SETUP_* */
	uint32_t api_env; /* whose the words from serve_entry on are, not those of fork's child */
	uint32_t gates;   /* bit n: gate n is in use */
	uint64_t fault_handler;  /* 224: the program's own (include/exos/fault.h), 0: none */
	uint64_t revoke_handler; /* 232 */
	uint64_t fault_fast;     /* 240: causes about which assembly asks it */
	uint64_t fault_causes;   /* 248: all causes that it wants */
	uint32_t calls[512];     /* 256: times each Linux call was served */
	/* 2304: the program's own batches, not the library's (include/exos/mem.h) */
	struct aegis_bind program[PROGRAM_BINDS + HANDLER_BINDS];
};

static inline struct control *
control(void)
{
	struct control *c;

	__asm__("mov %%gs:64, %0" : "=r"(c));
	return c;
}

#define ENVPAGE ((const volatile struct aegis_env_page *)EXOS_ENVPAGE)
#define SYSPAGE ((const volatile struct aegis_system_page *)EXOS_SYSPAGE)

int core_error(int64_t status);           /* enum aegis_status -> negative errno */
_Noreturn void core_die(const char *why); /* this environment cannot go on: log, end */
void core_log(const char *fmt, ...)
	__attribute__((format(printf, 1, 2))); /* supervisor's log if allowed */

/* Batch space: EXOS_BATCH_OFFSET of the area, one page. */
#define EXOS_BATCH_OFFSET 4096u
#define EXOS_BATCH        (EXOS_AREA + EXOS_BATCH_OFFSET)

/* ---- time and waiting ---- */
uint64_t core_now_ns(void); /* monotonic */
uint64_t core_wall_ns(void);
uint64_t core_tsc_at(uint64_t ns); /* TSC value at that monotonic time */
static inline uint32_t
core_events(void)
{
	return ENVPAGE->events;
}
/* Off the processor until the event count differs from seen, or monotonic ns `deadline`
 * (AEGIS_NEVER: none).  0, or -ETIMEDOUT.  Vector state survives. */
int core_block(uint32_t seen, uint64_t deadline_ns);
void core_yield(void);        /* to anybody */
void core_wake(uint32_t env); /* EXOS_CAP_DOMAIN (process) or EXOS_CAP_OWN */
/*
 * A wake that is due when this environment leaves the processor, at the latest: `env`, which waits on
 * processor `cpu`, could not run before that anyway if it is this one.  False, nothing done: it is another.
 * core_hand leaves the processor to whom it is due, without a sleep; false: to nobody, or it cannot run here.
 * Who forgets a wake by ending must be made up for: what it held is closed by others.
 */
bool core_wake_soon(uint32_t env, uint32_t cpu);
void core_soon_wake(void); /* now */
bool core_hand(void);

/* ---- frames and bindings ---- */
/* n frames guarded by cap's name; all or none.  0 or -ENOMEM.  Cleared. */
int core_frames_alloc(uint32_t cap, uint32_t *pfns, uint32_t n);
/* The same under the own name, for frames that will be written whole: they may have old contents. */
int core_frames_used(uint32_t *pfns, uint32_t n);
void core_frames_free(const uint32_t *pfns, uint32_t n); /* must be unbound */
/* Binds pages at va of `space` (own: AEGIS_SELF as cap, control()->space), supplying tables and
 * holdings pages as needed.  prot: AEGIS_BIND_*.  0, -ENOMEM, -EPERM ... */
int core_bind(uint32_t cap, uint32_t space, uint64_t va, const uint32_t *pfns, uint32_t n,
	      uint32_t prot);
/* Whether the page could be added to the run of `last`, whose protection is prot. */
static inline bool
core_run_add(struct aegis_bind *last, uint64_t va, uint32_t pfn, uint32_t prot)
{
	uint32_t more = last->prot - prot, n = more / AEGIS_BIND_MORE(1) + 1;

	if (last->pfn + n != pfn || last->va + n * AEGIS_PAGE != va || more % AEGIS_BIND_MORE(1) ||
	    n >= AEGIS_RUN_MAX)
		return false;
	last->prot += AEGIS_BIND_MORE(1);
	return true;
}
/* A record a page or run, anywhere: va and prot from the array. */
int core_bind_each(uint32_t cap, uint32_t space, const struct aegis_bind *binds, uint32_t n);
/*
 * Bindings gathered for one space, pages that follow each other as runs.  For a new space they bring the page
 * tables with them, so that no call fails for want of one.
 */
#define CORE_BINDS  128u
#define CORE_TABLES 16u
struct core_binds {
	uint32_t cap, space, n;
	uint32_t
		tables; /* that the new space is known to have, at[]; CORE_TABLES: not new, or too many */
	uint64_t region;             /* that was looked at last */
	bool empty;                  /* it has no holdings pages either */
	uint64_t table[CORE_TABLES]; /* regions: address / AEGIS_LARGE_PAGE */
	struct aegis_bind at[CORE_BINDS];
};
/* For a space that has no tables but one for `table` (an address; 0: none at all). */
void core_binds_new(struct core_binds *b, uint32_t cap, uint32_t space, uint64_t table);
/* For any other space. */
static inline void
core_binds_start(struct core_binds *b, uint32_t cap, uint32_t space)
{
	b->cap = cap;
	b->space = space;
	b->n = 0;
	b->tables = CORE_TABLES;
	b->empty = false;
}
int core_binds_flush(struct core_binds *b);
int core_binds_table(struct core_binds *b,
		     uint64_t va); /* if the region of va wants one: adds it */
/* `more` further pages follow va, and frames pfn.  0, or the error of a flush that was due. */
static inline int
core_binds_add(struct core_binds *b, uint64_t va, uint32_t pfn, uint32_t prot, uint32_t more)
{
	int err = 0;

	if (b->tables < CORE_TABLES && va / AEGIS_LARGE_PAGE != b->region)
		err = core_binds_table(b, va);
	else if (!more && b->n && core_run_add(&b->at[b->n - 1], va, pfn, prot))
		return 0;
	if (b->n == CORE_BINDS && !err)
		err = core_binds_flush(b);
	if (!err)
		b->at[b->n++] = (struct aegis_bind){va, pfn, prot | AEGIS_BIND_MORE(more)};
	return err;
}
int core_unbind(uint64_t va, uint32_t n); /* own space; pages not bound are skipped */
int core_protect(uint64_t va, uint32_t n, uint32_t prot);
/* Several ranges: va, number of pages (as pfn), prot.  n <= 64; overwrites them. */
int core_protect_each(struct aegis_bind *ranges, uint32_t n);
/* Gives `space` (cap: CONTROL) holdings of frames the own space holds.  rights AEGIS_READ/WRITE. */
int core_share(uint32_t cap, uint32_t space, const uint32_t *pfns, uint32_t n, uint32_t rights);
int core_unshare(uint32_t cap, uint32_t space, const uint32_t *pfns, uint32_t n);
/* The page that records what `space` (cap: CONTROL) holds of that span of frames, unless it is there. */
int core_span(uint32_t cap, uint32_t space, uint32_t span);
/* Takes holdings of existing frames that cap's name dominates. */
int core_hold(uint32_t cap, const uint32_t *pfns, uint32_t n, uint32_t rights);

/* ---- the arena: virtual pages for the library's own mappings ---- */
/* Binds n frames at consecutive addresses in the arena; NULL: no memory. */
void *core_arena_map(const uint32_t *pfns, uint32_t n, uint32_t prot);
void core_arena_unmap(void *at, uint32_t n); /* frames stay held */
/* Virtual pages without bindings, for windows that are filled later; 0: none left. */
uint64_t core_arena_reserve(uint32_t pages);
void core_arena_release(uint64_t va, uint32_t pages);

/* ---- the private heap of the role (struct heap in EXOS_HEAP) ---- */
void *core_alloc(size_t size); /* NULL: none */
void core_free(void *at, size_t size);
/* Bytes of a page of the private heap, from its start, that matter; the process role. */
size_t core_heap_used(uint64_t page);

/* ---- memory of the program (process role) ---- */
int copy_in(void *to, uint64_t from, size_t n); /* 0 or -EFAULT */
int copy_out(uint64_t to, const void *from, size_t n);
/* What both stand on, for those who have looked at the range: 0, or not all was copied. */
size_t core_copy(void *to, const void *from, size_t n);
/* Length without the terminating zero, -EFAULT, or -ENAMETOOLONG when none within size. */
int64_t copy_in_string(char *to, uint64_t from, size_t size);
int clear_out(uint64_t to, size_t n);

#endif
