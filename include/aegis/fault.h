/* SPDX-License-Identifier: MIT */
/*
 * Upcalls: how the kernel tells an environment what happened.
 *
 * Synchronous upcalls (exceptions) and asynchronous ones (slice end, events, revocation, interrupts)
 * push a struct aegis_frame on the environment's upcall stack, which lies in its pinned area, and
 * enter the registered handler with rdi = rsp = address of the frame.  If the interrupted rsp lies
 * within the upcall stack, the frame goes below it; else it goes to the top: leaving the upcall stack
 * means that nothing on it is needed any more.  Frames are AEGIS_FRAME_SIZE bytes, aligned to it.
 * Only the registers in the frame are changed, to nothing of meaning but rdi; all others still hold the
 * interrupted values.
 *
 * The handler returns without the kernel: it restores what it changed and continues at rip with the
 * rsp and flags of the frame, whose last five words are in the order that iretq, legal in ring 3, loads
 * them.  (Under QEMU 7.2 iretq in ring 3 fails when SMAP is on; ExOS uses popfq and an indirect jump.)
 *
 * Asynchronous upcalls are held back while area->defer is not zero; the kernel sets it to 1 whenever it
 * enters the environment, and frame->deferred keeps what it was, so that a handler knows from its first
 * instruction on that only exceptions can interrupt it, and whom it interrupted.  What was held back stays in area->pending (AEGIS_PEND_*).  To
 * leave a critical section a library stores 0 to defer, then looks at pending, and if it is not
 * zero handles it or calls `null`.
 *
 * The resume sequence is the registered range of instructions [resume_start, resume_rip].  In it rsp
 * points into the frame that is being resumed (anywhere in its AEGIS_FRAME_SIZE bytes), the frame is
 * intact, and all other registers are those that the handler has restored already or the frame holds.  An asynchronous upcall that
 * arrives there is given that very frame, with its cause changed, as if the resume had not begun: so
 * nothing is lost and no number of upcalls deepens the stack.
 *
 * An upcall that cannot be delivered, because the stack is exhausted or no handler is registered,
 * ends the environment.  Source: SOSP'95 section 5.3 (exceptions); the deferral is after Psyche.
 */
#ifndef AEGIS_FAULT_H
#define AEGIS_FAULT_H

#include <stdint.h>

/* Causes below 32 are the processor's vectors (Intel SDM volume 3, table 6-1). */
#define AEGIS_CAUSE_DIVIDE     0u
#define AEGIS_CAUSE_DEBUG      1u
#define AEGIS_CAUSE_BREAKPOINT 3u
#define AEGIS_CAUSE_OVERFLOW   4u
#define AEGIS_CAUSE_BOUND      5u
#define AEGIS_CAUSE_UNDEFINED  6u
#define AEGIS_CAUSE_NO_FPU     7u
#define AEGIS_CAUSE_SEGMENT    11u
#define AEGIS_CAUSE_STACK      12u
#define AEGIS_CAUSE_PROTECTION 13u
#define AEGIS_CAUSE_PAGE       14u /* addr = faulting address; error as the processor gives it */
#define AEGIS_CAUSE_FPU        16u
#define AEGIS_CAUSE_ALIGNMENT  17u
#define AEGIS_CAUSE_SIMD       19u
#define AEGIS_CAUSE_SYSCALL    32u /* a syscall instruction whose number is not Aegis'; rip after it */
#define AEGIS_CAUSE_ASYNC      33u /* look at area->pending */

/* Asynchronous reasons: bits of area->pending. */
#define AEGIS_PEND_SLICE \
	(1u << 0) /* the slice ends: save what is live and yield, in bounded time */
#define AEGIS_PEND_EVENT  (1u << 1) /* somebody called wake with AEGIS_WAKE_UPCALL */
#define AEGIS_PEND_REVOKE (1u << 2) /* env page: asked for resources, or some were taken */
#define AEGIS_PEND_IRQ    (1u << 3) /* a claimed interrupt came; env page says which */

#define AEGIS_FRAME_SIZE 256u

struct aegis_frame {
	uint32_t cause;
	uint32_t error;   /* processor's error code, or 0 */
	uint64_t addr;    /* page fault: address */
	uint64_t gs_base; /* as interrupted */
	uint32_t pkru;    /* as interrupted */
	/* area->defer as interrupted, which is 1 now; the handler puts it back */
	uint32_t deferred;
	uint64_t rdi, rsi, rdx, r10, r8, r9, rax, rcx, r11;
	uint64_t rip, cs, rflags, rsp, ss; /* iretq loads these five */
};
_Static_assert(sizeof(struct aegis_frame) == 144, "ABI");
_Static_assert(sizeof(struct aegis_frame) <= AEGIS_FRAME_SIZE, "ABI");

#endif
