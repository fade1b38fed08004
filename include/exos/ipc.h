/* SPDX-License-Identifier: MIT */
/*
 * Calling other processes, and being called: protected control transfer for programs.
 *
 * The kernel's transfer (include/aegis/pct.h) switches from one environment to an agreed entry of
 * another and leaves the registers alone: rbx rdx rsi rdi rbp r8 r9 r10 r12 to r15 and the vector
 * registers are the message, both ways.  Nothing else is done, so that the shape of a remote call is the
 * library's choice: exos_lrpc trusts nobody with a register, exos_tlrpc trusts its server to keep those
 * that the language says a function keeps.  Both are ordinary functions of build/libexos.a, made from
 * the calls below; a program may write its own.
 *
 * A server registers an entry (exos_serve) and sleeps in exos_accept.  While it sleeps there, callers
 * enter it; each call runs on the registered stack, as part of this process: it may make Linux calls
 * (also such that wait), fault, and be interrupted by signals.  One call at a time: who comes meanwhile
 * is answered -EAGAIN.  When the call returns, the process is in its sleep again.
 */
#ifndef EXOS_IPC_H
#define EXOS_IPC_H

#include <stdint.h>

#define EXOS_NEVER UINT64_MAX /* a deadline that does not come */

/* ---- serving ---- */

struct exos_serve {
	uint32_t size;  /* sizeof(struct exos_serve) */
	uint32_t flags; /* 0 */
	/* Entered with eax = caller's environment number, the message in its registers, rsp = stack;
	 * rcx and r11 hold nothing.  It ends with exos_serve_return, and never returns otherwise. */
	uint64_t entry; /* 0: serve no more */
	uint64_t stack; /* end of the stack for calls; aligned to 16 */
};
/* 0; -EFAULT, -EINVAL, -ENOMEM; -EBUSY: called while a call is served out of exos_accept. */
int64_t exos_serve(const struct exos_serve *serve);

/*
 * Sleeps until the event count differs from `seen` or TSC `deadline`, and is open to callers
 * meanwhile.  0: something happened, -ETIMEDOUT, -EINTR: a signal came; -EINVAL: nothing is registered;
 * -EBUSY: the process sleeps here already, and this is a call that it serves.
 */
int64_t exos_accept(uint32_t seen, uint64_t deadline);

/* How often something has woken this process.  Read it before looking at what you wait for. */
uint32_t exos_events(void);

/*
 * Ends the call that is being served: not a C function, but a jump, with the answer in the message's
 * registers.  rax, rcx and r11 are not part of it.  Where there was no call (in a child that the server
 * forked while it served), it ends the process.
 */
extern const char exos_serve_return[];

/* ---- calling ---- */

/*
 * A gate to the process `pid`: a small number >= 1 for the calls below.  -ESRCH; -EPERM: the caller's
 * user may not send it signals, so may not call it either; -EMFILE: seven gates are open; -EAGAIN.
 * A gate is to this process, not to its number: when it has ended, calls answer -ESRCH.  Not inherited.
 */
int64_t exos_gate(uint32_t pid);
int64_t exos_gate_close(uint32_t gate); /* 0, -EBADF */

struct exos_msg { /* rdi rsi rdx r8 r9 r10 */
	uint64_t word[6];
};

/*
 * A call through a gate; the answer replaces the message.  0; -EAGAIN: the server is busy or does not
 * accept; -ESRCH: it ended, perhaps during the call; -ETIMEDOUT: it did not answer within the slices
 * that a caller lends (a call already made may still be served); -EINVAL: no such gate.
 *
 * exos_lrpc keeps this program's registers, checks nothing else of what the server does, and lets it
 * see nothing but the message: registers without meaning are cleared on the way.
 */
int64_t exos_lrpc(uint32_t gate, struct exos_msg *msg);

/* The same with a server that is trusted to keep rbx, rbp and r12 to r15, and to see what vector
 * registers hold.  Three words there, one back (through *answer). */
int64_t exos_tlrpc(uint32_t gate, uint64_t a, uint64_t b, uint64_t c, uint64_t *answer);

/* Waits for nothing: the server is entered, and the caller goes on when its time comes. */
int64_t exos_send(uint32_t gate, const struct exos_msg *msg);

/* The answer is 0, or as in exos_lrpc. */

/* ---- C functions as servers ---- */

/* What a server does with a call; answers the first word of the answer, may change the others. */
typedef uint64_t exos_handler(struct exos_msg *msg, uint32_t caller_env);

/* Serves exos_lrpc: all six words, and registers without meaning are cleared on the way back. */
int64_t exos_serve_lrpc(exos_handler *handler, void *stack_end);

/* Serves exos_tlrpc: keeps what a function keeps. */
typedef uint64_t exos_thandler(uint64_t a, uint64_t b, uint64_t c);
int64_t exos_serve_tlrpc(exos_thandler *handler, void *stack_end);

#endif
