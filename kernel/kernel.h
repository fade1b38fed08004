/* SPDX-License-Identifier: MIT */
/*
 * The whole shape of the kernel on one page: its structures, and its functions grouped by file.
 *
 * Locks.  Spin locks, taken with interrupts disabled, never held across an upcall or an unbounded
 * loop.  Order, outermost first:
 *
 *	env.lock -> irq_lock, chan_lock -> node_lock -> space.lock -> cpu.lock -> mem_lock, ask_lock
 *
 * Two locks of one kind are taken in order of their numbers (env, space) or never together (cpu).
 * A processor that waits, for a lock or for a shootdown, serves shootdown requests of others, so that
 * waiting for them while holding a space lock cannot deadlock.  A leading underscore marks functions
 * whose caller holds the lock that the prototype names.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <stdatomic.h>
#include <aegis/aegis.h>
#include <aegis/boot.h>
#include "machine.h"

#define PAGE 4096ul

struct lock {
	atomic_uint held; /* 0 or LOCK_FREE free, else processor + 1 */
};
#define LOCK_DOOR  0x80000000u     /* free, and transfers may enter: of an environment (pct.c) */
#define LOCK_READY 0x40000000u     /* free, and yields may: the same (cpu.c) */
void lock_acquire(struct lock *l); /* lock.c */
void lock_release(struct lock *l);
void lock_release_as(struct lock *l, unsigned int way); /* LOCK_DOOR, LOCK_READY or 0 */

#define assert(e)                  \
	do {                       \
		if (!(e))          \
			panic(#e); \
	} while (0)
#define panic(why) machine_panic(why, NULL)

/* ---- trace.c: counters and trace, declared where they count ---- */
struct counter_def {
	const char *name;
};
extern const struct counter_def counter_defs_begin[], counter_defs_end[];
extern const struct counter_def trace_defs_begin[], trace_defs_end[];
extern uint64_t *counters[AEGIS_CPUS]; /* one exposed frame a processor */
#define TRACE_SLOTS 512u               /* records of a ring; a power of two */
#define COUNT_ADD(what, n)                                                            \
	do {                                                                          \
		static const struct counter_def counter_##what                        \
			__attribute__((section("counter_defs"), used)) = {#what};     \
		counters[machine_cpu()][&counter_##what - counter_defs_begin] += (n); \
	} while (0)
#define COUNT(what) COUNT_ADD(what, 1)
/* The same, declared apart with COUNTER or TRACE_POINT, because the entry code uses them too. */
#define COUNTER(object, name) \
	const struct counter_def object __attribute__((section("counter_defs"), used)) = {name}
#define TRACE_POINT(object, name) \
	const struct counter_def object __attribute__((section("trace_defs"), used)) = {name}
#define COUNT_AT(object)       counters[machine_cpu()][&(object)-counter_defs_begin]++
#define TRACE_AT(object, a, b) trace_write((uint32_t)(&(object)-trace_defs_begin), (a), (b))
#define TRACE(what, a, b)                                                            \
	do {                                                                         \
		static const struct counter_def trace_##what                         \
			__attribute__((section("trace_defs"), used)) = {#what};      \
		trace_write((uint32_t)(&trace_##what - trace_defs_begin), (a), (b)); \
	} while (0)
void trace_init(void);
void trace_write(uint32_t event, uint64_t a, uint64_t b);
void trace_dump(uint32_t last); /* to the log */

/* ---- cap.c: names and capabilities ---- */
struct node {
	uint32_t parent;     /* 0: free, or the root's */
	uint32_t generation; /* capabilities with another are stale */
	/* the parent's when it was derived; another: this node is dead */
	uint32_t parent_generation;
	atomic_uint refs; /* resources guarded + child nodes */
	uint32_t caps;    /* slots that name this generation */
	uint32_t swept;   /* last generation whose revocation is finished */
	uint16_t account; /* who pays */
	uint8_t depth;
	uint8_t dead; /* found dead by a revocation; freed, as any node, when refs and caps are 0 */
};
#define NODE_ROOT 1u
#define NODES     8192u
/* One word, so that readers take no lock.  Written with node_lock held; node 0: empty. */
struct cap {
	union {
		uint64_t word;
		struct {
			uint64_t node : 16, generation : 32, rights : 16;
		};
	};
};
_Static_assert(NODES <= 1u << 16 && sizeof(struct cap) == 8, "one word");
extern struct lock node_lock;
extern struct node nodes[NODES];
struct env;
void cap_init(void);
bool node_dominates(uint32_t node, uint32_t guard); /* node is guard, or above it */
/* Slot of e's table opens a resource guarded by `guard` with `rights`: OK, BAD_CAP, DENIED. */
status cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights);
/* The number of the slot's name, if the slot is valid and has `rights`; BAD_CAP, DENIED. */
status cap_node(const struct env *e, uint32_t slot, uint32_t rights);
/* The same, and a node_ref before anyone can revoke it.  Takes node_lock. */
status cap_node_ref(const struct env *e, uint32_t slot, uint32_t rights);
bool node_live(uint32_t node, uint32_t generation); /* a capability to it is not stale */
void cap_release(struct env *e); /* empties its table, when e ends.  Takes node_lock */
void node_ref(uint32_t node);    /* a resource is guarded by it now */
void node_unref(uint32_t node);
void node_unref_many(uint32_t node, uint32_t n);
uint32_t node_top(void);        /* numbers of nodes are below this */
void _node_bury(uint32_t node); /* if it is dead, its slots do not count any more.  node_lock */
status _node_revoke(struct cap *slot, uint32_t flag); /* all but this slot is stale.  node_lock */
/* node_lock */
void _slot_write(struct cap *slot, uint32_t node, uint32_t generation, uint32_t rights);
uint32_t revocation_refs(uint32_t node); /* cap_revoke.c: the revocation under way refers to it */
/* Name whose frames, and those of names below it, lose their holdings now and are not shared; 0: none.
 * Looked at with the locks of both spaces held. */
extern atomic_uint revocation;
bool revocation_finish(const struct env *e); /* a step of what e began; true: none is left */
bool cap_invariants(void);

/* ---- account.c: who pays ---- */
void account_init(void); /* account 1, the boot environment's, without limits */
enum account_kind {
	ACCOUNT_FRAME,
	ACCOUNT_ENV, /* also the account itself, of its parent */
	ACCOUNT_NODE,
	ACCOUNT_SLICE,
	ACCOUNT_SPACE, /* as many as environments */
	ACCOUNT_KINDS
};
struct account {
	uint16_t parent; /* 0 only for the boot account, 1 */
	uint16_t live;
	atomic_uint used[ACCOUNT_KINDS]; /* limits carved out for children included */
	uint32_t limit[ACCOUNT_KINDS];
	atomic_uint refs;          /* charges + child accounts + whoever looks at it */
	uint32_t ring[AEGIS_CPUS]; /* ready environments of it on a processor: one of them */
	uint16_t next[AEGIS_CPUS], prev[AEGIS_CPUS]; /* ring of accounts that have any */
};
#define ACCOUNTS AEGIS_ENVS
extern struct account accounts[ACCOUNTS];
status account_charge(uint32_t account, enum account_kind kind, uint32_t n); /* OK or LIMIT */
void account_refund(uint32_t account, enum account_kind kind, uint32_t n);
/* New account below parent with these limits charged to it; answers its number or LIMIT. */
status account_create(uint32_t parent, const struct aegis_env_create *limits);
void account_ref(uint32_t account);
void account_unref(uint32_t account); /* the last gives the limits back to the parent */
bool account_invariants(void);

/* ---- mem.c: physical frames and holdings ---- */
enum frame_kind {
	FRAME_NONE, /* not memory, or not ours */
	FRAME_FREE,
	FRAME_USER,    /* held by spaces, may be bound */
	FRAME_TABLE,   /* page table of a space */
	FRAME_HOLD,    /* holdings page of a space: readable by it */
	FRAME_OBJECT,  /* kernel object of an environment or space */
	FRAME_EXPOSED, /* written by the kernel, readable: env page, system page, counters */
	FRAME_KERNEL,  /* the kernel's own, from boot */
	FRAME_DEVICE,  /* device registers */
};
struct frame {
	uint8_t kind;
	uint8_t flags;    /* FRAME_DROP ...; TABLE: sixty-fours of its entries that may be not 0 */
	uint16_t account; /* who pays */
	uint32_t guard;   /* node */
	/* spaces that hold it + DMA under way (+ 1 while it is a kernel object) */
	atomic_uint refs;
	/* TABLE: entries in use; EXPOSED: env, 0 public; HOLD: space; USER: area pins;
	 * FREE: generation of its last guard */
	uint32_t link;
};
#define FRAME_DROP   (1u << 0) /* droppable */
#define FRAME_DIRTY  (1u << 1) /* FREE, USER: has another's content; cleared before it is seen */
#define FRAME_PUBLIC (1u << 2) /* readable by anyone */
#define FRAME_ZERO   (1u << 3) /* besides DIRTY: it is zeros, need not be cleared */
extern struct frame *frames;
extern uint32_t frame_count;
extern struct lock mem_lock;
/* Before kernel_main the machine says at which frame memory ends, then what frames are: FREE, or the
 * KERNEL's (its image, the archive).  What was said first counts. */
void mem_init(uint64_t end);
void mem_give(uint64_t first, uint64_t end, enum frame_kind kind);
/* Of any number: FRAME_NONE or FRAME_DEVICE above memory. */
enum frame_kind frame_kind(uint32_t pfn);
/* At boot only: contiguous, cleared; panics. */
uint32_t mem_kernel_alloc(uint32_t pages, enum frame_kind kind);
/* The frame, of kind USER, is about to be seen by somebody: what another left is cleared.  True: it
 * had to be. */
bool frame_clean(uint32_t pfn);
/* Takes a held, unshared, unbound frame of `space` out of its holdings to become `kind`, all zeros. */
struct space;
status _mem_retype(struct space *s, uint32_t pfn, enum frame_kind kind); /* space.lock */
/* Back: held READ WRITE by s; what it was is not seen any more.  space.lock */
void _mem_untype(struct space *s, uint32_t pfn);
void mem_release(uint32_t pfn);                    /* one reference less; the last frees */
void mem_release_many(uint32_t *pfns, uint32_t n); /* the same for each; overwrites pfns */
/* One reference less, by who frees it if that was the last. */
static inline bool
frame_unref(struct frame *f)
{
	assert(atomic_load_explicit(&f->refs, memory_order_relaxed) > 0);
	return atomic_fetch_sub(&f->refs, 1) == 1;
}
/* The same for any number. */
static inline bool
frame_put(uint32_t pfn)
{
	if (pfn >= frame_count || frames[pfn].kind == FRAME_NONE)
		return false; /* device registers */
	return frame_unref(&frames[pfn]);
}
void frames_free(const uint32_t *pfns, uint32_t n); /* without references: they become free */
uint8_t *_hold_find(struct space *s, uint32_t pfn); /* NULL: no holdings page; space.lock */
bool mem_invariants(void);

/* ---- space.c, tlb.c: address spaces and bindings ---- */
#define SPANS 1024u /* entries of a space's directory */
#define HOLD_GROUP \
	((AEGIS_HOLD_SPAN + 15u) / 16u) /* frames of a span for which space.held has a bit */
struct space {
	struct lock lock;
	uint32_t number, generation;
	uint32_t guard; /* node */
	uint32_t account;
	uint32_t root;   /* top table */
	uint32_t object; /* frame of this struct */
	/* frame: uint32_t[1024], holdings page of each AEGIS_HOLD_SPAN frames */
	uint32_t directory;
	uint32_t flags;   /* AEGIS_SPACE_* */
	atomic_uint envs; /* environments that use it */
	atomic_uint cpus; /* processors that have it loaded */
	uint32_t pinned;  /* guaranteed frames */
	uint32_t dying;
	uint64_t progress;  /* of a destroy or a forced unbind */
	atomic_uint users;  /* others that look at it: it cannot go */
	uint32_t area_pins; /* pages of areas: each may be guaranteed besides AEGIS_PINNED_MAX */
	uint32_t stripped;  /* holdings that lost their rights, but not yet all their bindings */
	uint32_t span;      /* where mem_alloc looks first */
	uint32_t devices;   /* it has held device registers */
	/* Page table that protect.c used last, and the last byte that it translates; 0: none. */
	uint64_t table_last_va, *table_last;
	uint32_t spans; /* entries of the directory from this on are 0 */
	/* Bit n: some byte of group n of the span's holdings page may be not 0. */
	uint16_t held[SPANS];
};
_Static_assert(sizeof(struct space) <= PAGE, "a space object is one frame");
#define SPACES AEGIS_ENVS
struct space *space_find(uint32_t number); /* NULL: none.  It stays until space_put */
void space_put(struct space *s);
void space_load(struct space *s); /* on this processor: load, account in s->cpus */
void space_unload(void);          /* this processor: kernel table */
/*
 * Frame bound at va, guaranteed, readable and writable: its number; else 0.  It can be neither unbound
 * nor taken until as many unpins.  For areas.
 */
uint32_t _space_pin(struct space *s, uint64_t va); /* space.lock */
void _space_unpin(struct space *s, uint32_t pfn);  /* space.lock */
/* Space `number`, if it is e's own or `node` dominates its guard; counted in s->envs.  Else NULL. */
struct space *space_open(const struct env *e, uint32_t number, uint32_t node);
/* The caller's frames become the kernel's, all or none: two of kind OBJECT, and a third. */
#define OBJECT_FRAMES 3u
status objects_take(struct space *from, const uint32_t pfns[OBJECT_FRAMES], enum frame_kind third);
void objects_return(struct space *from, const uint32_t pfns[OBJECT_FRAMES]);
/* Breaks all bindings of pfn in s, then the holding.  OK, or AGAIN after a bounded number of steps. */
status _space_expel(struct space *s, uint32_t pfn, bool force); /* space.lock */
void tlb_serve(void); /* answers shootdown requests to this processor */
bool space_invariants(struct space *s);
bool hold_invariants(uint32_t under_way); /* references of frames; so many are devices' */
/* Boot: builds space and bindings of the first environment. */
struct space *space_boot(void);
void space_boot_hold(struct space *s, uint32_t pfn,
		     uint32_t n); /* the kernel's frames from pfn on */
/* The same, and they are bound from va on, guaranteed. */
void space_boot_bind(struct space *s, uint64_t va, uint32_t pfn, uint32_t n, uint32_t prot);

/* ---- env.c: environments ---- */
/*
 * What the entry code must know to make an upcall without C (kernel/x86/entry.S), computed by
 * upcall_prepare whenever the setup changes.
 */
struct upcall_fast {
	uint64_t gs_base;   /* of handlers; not canonical: by C only */
	uint64_t low, size; /* upcall stack: user address, bytes */
	void *frame;        /* the first frame, in the kernel's mapping */
	uint64_t at;        /* the same for user mode */
	uint64_t entry;     /* handler of exceptions */
	struct aegis_area *area;
	struct aegis_env_page *page;
	uint64_t trace, trace_foreign;        /* event and env of a record, as they lie there */
	uint32_t pkru;                        /* of handlers */
	uint64_t pages[AEGIS_AREA_PAGES - 1]; /* kernel address - offset, of each stack page */
};
#define YIELDS 4u
enum { ODD_OTHERWISE = 1, ODD_GIVEN = 2 };
enum { DOOR_ACCEPTS = 1, DOOR_RETURNS = 2, DOOR_SHORTLY = 4 }; /* bits of door, as they lie there */
struct env {
	/* What the entry code uses; asm.h has the offsets. */
	struct upcall_fast fast; /* must be first */
	uint32_t number, generation;
	uint32_t calls; /* ever made */
	union {
		struct {
			bool accepts : 1;          /* sleeps with AEGIS_SLEEP_ACCEPT */
			bool returns_to_sleep : 1; /* entered out of that sleep, not returned since */
			bool shortly : 1;          /* by a short call that is not settled */
			bool killed;               /* kill is not 0 */
			uint8_t odd;   /* cpu_odd; ODD_GIVEN: entered by a short yield */
			uint8_t state; /* AEGIS_STATE_*, env.lock */
		};
		uint32_t door; /* all of it at once */
	};
	uint32_t seen; /* event count it sleeps on */
	struct lock *lock;
	struct space *space;
	uint64_t stamp; /* cpu.stamp for which page->slice and the like are right */
	uint64_t fs_base, gs_base;
	uint32_t pkru;
	uint32_t cpu;  /* that runs it or will */
	uint64_t root; /* of space: physical address */
	struct way {   /* as pct.c found it at gate_epoch; any other epoch: look again */
		uint64_t epoch;
		struct lock *lock;
		struct env *target;
		uint64_t unused;
	} ways[AEGIS_GATES];
	struct {
		uint64_t epoch[YIELDS];
		struct {
			uint32_t cap, env; /* a slot, that opened it */
		} by[YIELDS];
		struct lock *lock[YIELDS];
		struct env *target[YIELDS];
	} yields; /* the same for yields, by the number's last bits */
	struct cap caps[AEGIS_CAP_SLOTS];
	uint64_t used; /* TSC; of who runs: less the time at which it began */
	/* For C only. */
	uint32_t guard, account;
	uint32_t object, vector, exposed; /* frames: this struct, XSAVE area, environment page */
	struct aegis_env_page *page;
	struct aegis_setup setup;
	uint32_t area[AEGIS_AREA_PAGES]; /* frames */
	/* regs, fs, gs, pkru; FULL: and vector */
	enum { SAVED_NONE, SAVED_FULL, SAVED_CALL } saved;
	uint32_t kill;     /* reason for which the processor that runs it is to end it, 0: none */
	bool queued;       /* in its processor's ring */
	uint64_t deadline; /* TSC, AEGIS_NEVER */
	uint32_t heap;     /* index in the processor's heap + 1, 0: not in */
	uint32_t caller, callee; /* numbers, 0 none */
	uint32_t lent;           /* slices lent in this call */
	uint32_t depth;          /* of the chain of calls: callers that wait for it */
	uint32_t next, prev;     /* ring of ready environments of the account on the processor */
	uint32_t forced_row;
	uint64_t debt;     /* TSC owed */
	uint64_t epilogue; /* TSC at which the slice-end upcall was due, 0: none under way */
	uint32_t end_reason, end_cause;
	uint64_t end_rip, end_addr;
	struct {
		uint32_t env, generation, node, node_generation; /* env 0: unbound */
	} gates[AEGIS_GATES];
	struct regs regs;
	struct ask {                 /* revoke.c: what it is asked to give up */
		uint32_t kind, left; /* kind NONE: nothing */
		uint64_t deadline;
		uint32_t progress; /* next frame to look at */
		uint32_t passed;   /* taken in this pass */
		bool dropping;     /* in the pass over what is droppable: not announced yet */
		bool breaking;     /* frame `progress` was taken, bindings of it are left */
		uint64_t due;      /* ask_lock, as the list */
		struct env *next, **link; /* link: what leads here, NULL: not in the list */
	} ask;
	struct {
		uint16_t first, n;
	} ports[4];
	uint32_t irqs;                        /* lines claimed */
	uint32_t watcher, watcher_generation; /* told when it ends: its creator */
};
_Static_assert(sizeof(struct env) <= PAGE, "an environment object is one frame");
extern struct env *env_table[AEGIS_ENVS];
/*
 * An environment's lock lies outside its object, so that the object can go while others wait for it.
 * env_lock answers NULL, with nothing locked, when there is no such environment; generation 0 is any.
 */
struct env *env_lock(uint32_t number, uint32_t generation);
void env_unlock(const struct env *e);
struct env *env_boot(struct space *s); /* the first: every capability in slot 0 */
struct env *current(void);             /* of this processor, NULL: idle */
/* cap opens env with rights, or is AEGIS_SELF and env the caller: *out, locked. */
status env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out);
/* e, current, ends for this reason, which came up at these registers. */
_Noreturn void env_end(struct env *e, uint32_t reason, const struct regs *at, uint64_t addr);
/* e will end for this reason, as soon as a processor gets to it.  env.lock held. */
void _env_abort(struct env *e, uint32_t reason);
/* Address of n bytes at offset in the current environment's area, inside one page; NULL: outside. */
void *area_at(struct env *e, uint32_t offset, uint32_t n);

/* ---- fault.c: upcalls ---- */
extern const struct counter_def upcall_exceptions, upcall_foreigns;           /* counters */
extern const struct counter_def upcall_exception_event, upcall_foreign_event; /* trace points */
void upcall_prepare(struct env *e); /* after a change of area or setup.  env.lock held, or boot */
/* Pushes a frame for cause and makes regs enter the handler; ends the environment if it cannot. */
void upcall_sync(struct env *e, struct regs *regs, uint32_t cause, uint32_t error, uint64_t addr);
/* Marks a reason pending for e; if it runs here or elsewhere, it will be looked at soon. */
void upcall_post(struct env *e, uint32_t reason);
/* Delivers what is pending to the current environment, if it may be. */
void upcall_deliver(struct env *e, struct regs *regs);

/* ---- cpu.c: slices, sleeping, switching ---- */
struct slice {
	uint32_t env, generation; /* 0: nobody */
	uint32_t account;
};
struct cpu {
	struct lock lock; /* vector, rings, heap */
	struct env *env;  /* that runs, NULL: idle */
	struct space *space;
	uint32_t position; /* slice that runs */
	uint64_t slice_end;
	bool extra;       /* the time belongs to nobody */
	uint64_t stamp;   /* of what is above, of this processor alone */
	uint64_t yielded; /* number of the slice since boot that its owner gave away */
	uint32_t ring;    /* account whose turn it is, 0: none ready */
	uint32_t heap[AEGIS_ENVS], heap_count; /* sleepers by deadline */
	struct slice slices[AEGIS_SLICES];
	atomic_uint shoot_asked, shoot_done;
};
extern struct cpu cpus[AEGIS_CPUS];
extern struct aegis_system_page *system_page;
extern uint32_t system_frame; /* main.c */
void cpu_init(void);
_Noreturn void cpu_next(void); /* nobody runs here: run somebody, or halt */
/* e, current, stops running here: its time is accounted.  env.lock held */
void cpu_leave(struct env *e);
void cpu_enter(struct env *e);   /* e becomes current: space, context.  env.lock held */
void cpu_ready(struct env *e);   /* e may run: queue it, tell its processor.  env.lock held */
void cpu_unready(struct env *e); /* out of ring and heap.  env.lock held */
void cpu_sleep(struct env *e);   /* SLEEPING until e->deadline or an event.  env.lock held */
void cpu_odd(struct env *e);     /* its epilogue or its ports have changed */
/* from, which ran here by itself, has had the time until now; to is current already (pct.c) */
void cpu_relay(struct env *from, struct env *to);
void cpu_wake(struct env *e);    /* counts an event; ends a sleep.  env.lock held */
void cpu_release(struct env *e); /* slice.c: its slices are nobody's.  env.lock held */
void cpu_arm(void);              /* timer for whatever comes first on this processor */

/* ---- irq.c, chan.c, revoke.c ---- */
void irq_raise(uint32_t line);                        /* from the machine: a claimed line came */
void irq_release(struct env *e);                      /* its claims end with it */
void irq_ports_load(const struct env *e, bool allow); /* this processor's permission map */
void chan_init(void);
void chan_done(uint32_t queue, uint32_t slot, uint32_t length); /* from the machine */
void chan_release(struct env *e);
uint64_t revoke_deadline(void); /* earliest, AEGIS_NEVER: none; a hint, without lock */
void revoke_poll(uint64_t now); /* takes what is overdue, in bounded steps */
void revoke_given(struct env *e, uint32_t kind, uint32_t n); /* e, current, gave it.  No locks */
void revoke_end(struct env *e); /* its request ends with it.  env.lock held */
void revoke_tell(struct env *e, uint32_t kind, uint32_t name); /* env.lock held */
uint32_t slice_take(struct env *e, uint32_t n); /* slice.c: takes n slices, but not the last */

#include "check/check.h" /* in kernels for tests: invariants on the way out, chaos */

/* ---- main.c, syscall.c, print.c ---- */
extern char kernel_options[AEGIS_BOOT_OPTIONS]; /* the command line; filled before kernel_main */
void kernel_main(uint64_t archive, uint64_t archive_size);
void log_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_text(const char *text, size_t length); /* as it is, in one piece */
const char *option_find(const char *name); /* value of NAME=VALUE on the command line, or NULL */
uint64_t option_number(const char *name, uint64_t otherwise); /* decimal, or 0x and hexadecimal */
uint32_t option_bound(const char *name, uint32_t most); /* that tests may lower, to at least 1 */

/* Traps from the machine: user or idle context in regs. */
void trap_exception(struct regs *regs, uint64_t addr); /* from user mode only */
void trap_foreign(struct regs *regs);                  /* syscall with a number not ours */
void trap_timer(struct regs *regs);
void trap_ipi(struct regs *regs);

/* pct.c: numbers AEGIS_CALL_pct_*; gate as in AEGIS_GATE.  Exchanges *call for the one to resume. */
void pct_switch(uint32_t number, uint32_t gate, struct machine_call *call);
/* e has ended: the caller it had gets DEAD, the callee it had loses its caller.  No locks. */
void pct_orphan(struct env *e);
void pct_settle(void);
/* First of all in C: what the entry code did without C is done in full.  No locks. */
static inline void
transfer_settle(void)
{
	if (machine_caller() || machine_sender())
		pct_settle();
}
/* Changes after each change that makes a gate lead to nothing: a name revoked, an environment freed. */
extern atomic_ulong gate_epoch;
extern const struct counter_def pct_transfers, directed_yields; /* counters */
void pct_recall(struct env *e); /* e has had enough lent slices: its caller gets TIMED_OUT */

/* Calls: prototypes from the table. */
#define CALL(n, name, parameters, ...) status sys_##name parameters;
#include <aegis/syscalls.def>
#undef CALL

#endif
