/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and requests of the kernel, to functions of the program.
 *
 * A handler runs on the library's upcall stack (about 20 KiB), with asynchronous upcalls deferred, and
 * with the vector registers of whom it interrupted.  So it, and everything it calls, is declared
 * EXOS_HANDLER; and it makes no Linux call and no call of kind EXOS_CALL.  What it may do:
 *
 *	- Aegis calls, by the functions of <exos/mem.h> or its own stubs
 *	- change what it returns to: rip, rsp, rflags and the registers that the frame holds
 *	- touch any memory of the program.  What ExOS manages is brought in as always.  In a range of the
 *	  program's own the handler is called again, inside itself: it must bind, by what its page table
 *	  says already
 *
 * An exception in a handler that nobody mends ends the process with SIGSEGV.
 *
 * Handlers are lost by exec, and the child of a fork begins without.
 */
#ifndef EXOS_FAULT_H
#define EXOS_FAULT_H

#include <stdint.h>

#include <aegis/fault.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXOS_HANDLER __attribute__((target("general-regs-only")))

#define EXOS_CAUSE(cause) (1u << (cause)) /* AEGIS_CAUSE_*, below 32 */
#define EXOS_CAUSES       0xffffffffu

/*
 * Called before ExOS for the exceptions of the program that are in `causes`.  Not 0: go on with what the
 * frame now holds.  0: ExOS decides, as if there were no handler; so it must be for a page fault outside
 * the program's own ranges, because ExOS brings pages in that way.
 *
 * It is also called for a page of the program's own ranges that a Linux call of the program copies from
 * or to, or that a handler touches; then frame->deferred is 1 and the frame is a copy: the handler binds
 * the page and answers 1, or the call fails with EFAULT.
 */
typedef int exos_fault_fn(struct aegis_frame *frame);
/* NULL: none.  0; -EINVAL: not an address of the program. */
int64_t exos_fault_handler(exos_fault_fn *fn, uint32_t causes);

/*
 * The kernel asks for `want` frames (aegis/revoke.h).  Gives back what it can do without, chosen by
 * itself, and answers how many; the library gives the rest from its own.  It may interrupt the program
 * anywhere but in a handler.  What is not given in time is taken, and told in the environment page.
 */
typedef uint32_t exos_revoke_fn(uint32_t want);
/* NULL: none.  0; -EINVAL. */
int64_t exos_revoke_handler(exos_revoke_fn *fn);

/*
 * CALL.  Has the kernel ask this process for `frames` frames, to be given within `ns` nanoseconds: what whoever has the
 * right does when memory is short; a program may try its handler, and harms nobody else.  0; -EAGAIN: somebody
 * asks already; -EINVAL.
 */
int64_t exos_revoke_ask(uint64_t frames, uint64_t ns);

#ifdef __cplusplus
}
#endif

#endif
