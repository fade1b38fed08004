/* SPDX-License-Identifier: MIT */
/*
 * struct process: the private state of a process, at EXOS_PRIVATE, copied by fork.
 *
 * Everything in it and in the private heap belongs to this process alone.  What several processes
 * share is elsewhere: rings and offsets in frames held by exactly those who have the object, the rest
 * behind calls of the service.
 */
#ifndef EXOS_PROC_PROCESS_H
#define EXOS_PROC_PROCESS_H

#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/linux/abi.h"
#include "exos/linux/call.h"
#include "exos/service/proto.h"
#include "exos/vm/vm.h"

#define MAIL ((const volatile struct mail *)EXOS_MAIL)

struct signals {
	struct lx_sigaction action[MAIL_SIGNALS];
	uint64_t mask;               /* bit n-1: signal n is blocked */
	uint64_t local;              /* raised by the process for itself, not yet delivered */
	uint8_t taken[MAIL_SIGNALS]; /* of mail->raised[] */
	uint8_t stop_depth;
	uint32_t queue_taken; /* of mail->queue: these are here now */
	uint32_t queue_count; /* those that still wait, in the order in which they came */
	uint64_t queued;      /* which signals are among them */
	struct mail_signal queue[MAIL_QUEUE];
	uint32_t seen_count;     /* mail->raised_count when taken[] was last brought up to date */
	uint64_t suspended_mask; /* mask to restore after sigsuspend, ppoll ... */
	bool suspended;
	struct lx_sigaltstack altstack;
};

/* A text whose sites are being rewritten, and where its stubs are. */
struct patched {
	uint64_t base; /* address of the file's first byte, 0: free */
	uint64_t stub; /* page of stubs; the page behind it holds the records */
	uint32_t frames[2];
	uint32_t seen; /* records whose pages are the ones with the rewritten site here */
};
#define PATCHED_MAX 4u

struct timer_state {
	uint64_t alarm_ns; /* monotonic ns at which SIGALRM is due, 0: none */
	uint64_t interval_ns;
	uint64_t cpu_ns; /* latest answer of the clock of the processor time */
};

struct process {
	struct fd_table fds;
	struct vm vm;
	struct signals sig;
	struct timer_state timer;
	struct patched patched[PATCHED_MAX];
	uint64_t refused[32]; /* sites that keep trapping, lately met */
	uint64_t clear_child_tid;
	uint32_t umask;
	int32_t nice;
	char comm[16];
	bool count_calls;  /* log the counters at the end */
	struct lent *lent; /* child of vfork: what is its parent's, fork.c */
	uint64_t start_ns;
	struct lx_rlimit limits[16];
	/* Of faults and timers, by number.  The last: a child of fork has none. */
	struct local_signal {
		int32_t code;
		uint64_t addr; /* faults */
	} local_info[32];
};

#define PROCESS_PAGES 2u /* private pages that struct process may take: these are copied at fork */
_Static_assert(sizeof(struct process) <= PROCESS_PAGES * 4096, "struct process fits its pages");

static inline struct process *
process(void)
{
	return (struct process *)EXOS_PRIVATE;
}

_Noreturn void process_start(void); /* first process of the domain, at its first begin */

/* ---- linux/site.c: rewritten call sites ---- */
void site_trapped(uint64_t site, uint64_t rax); /* rewrites it, if that can be done */
/* An address in a stub becomes the one that the program knows. */
void site_present(struct aegis_frame *frame);
/* Frames for execution of pages of a private mapping, rewritten where they are: as file_frames. */
int site_frames(const struct region *r, uint64_t va, uint32_t n, uint32_t *pfns);
void site_exec(void); /* forgets everything */
/* Pages with sites that others met, children in particular, come rewritten: before a fork. */
void site_refresh(void);

/* ---- fork.c ---- */
/* pid of the child, 0 in the child, or a negative error number.  flags: SVC_FORK_*. */
int64_t process_fork(uint32_t flags, uint64_t clear_tid);
/* The same, but the child comes first, in the parent's memory; the parent's answer comes with its exec or end. */
int64_t process_vfork(uint64_t clear_tid);
/* A child of vfork calls exec: 0 in a space of its own that has no program; here only the parent goes on,
 * and drop(arg) undoes what exec has. */
int process_detach(void (*drop)(void *arg), void *arg);
/* A child has ended, and its memory is free. */
void process_reaped(int64_t pid);
/* Gives back the frames that are kept for the next child. */
void process_copies_drop(void);
void process_lent_exit(void); /* a child of vfork has ended: does not return */

/* ---- exit.c ---- */
_Noreturn void process_exit(uint32_t wait_status);

/* ---- signal/signal.c ---- */
int signal_raise_self(int sig);                      /* synchronous, no info */
void signal_fault(int sig, int code, uint64_t addr); /* a fault of the program itself */
bool signal_pending(void);                           /* some unblocked signal would be acted on */
uint64_t signal_pending_set(void);
/* Takes one pending signal out of `set`, faults first; 0: none.  Its information goes to *info. */
int signal_take(uint64_t set, struct lx_siginfo *info);
/* Before returning to the program: acts on what is pending; may change frame and callee. */
/* `result` and `number`: of the call that returns, 0 and 0 when it is none.  callee: r15 ... rbp rbx. */
void signal_deliver(struct aegis_frame *frame, uint64_t callee[6], int64_t result, uint64_t number);
int signal_return(struct aegis_frame *frame, uint64_t callee[6]);
void signal_exec(void); /* handlers back to default */
void signal_action(int sig, const struct lx_sigaction *act);
/* What is done with news of children has changed, or what this process says of itself is said nowhere yet. */
void signal_tell(void);
void signal_fork_child(void);
/* control->attention: set while a call may not return to the program unseen. */
void attention_update(void);
void timer_check(void);        /* raises SIGALRM if due */
uint64_t process_cpu_ns(void); /* processor time used */
void timer_arm(void);          /* the alarm changed: the service wakes the process in time */
uint64_t timer_next(void);     /* monotonic ns of the next alarm, AEGIS_NEVER */

/* Waits for an event or deadline; -EINTR (as -ERESTARTSYS) when a signal is pending. */
#define ERESTARTSYS LX_ERESTARTSYS
int process_block(uint32_t seen, uint64_t deadline_ns);

#endif
