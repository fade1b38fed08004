/* SPDX-License-Identifier: MIT */
/*
 * Protected control transfer.
 *
 * pct_bind checks once that a capability opens an environment with the right CALL and remembers it as
 * a gate of the caller.  Through a gate,
 *   pct_call  enters the target at its call_entry, on its call_stack; the caller waits for pct_return,
 *             and its slice, this and later ones, runs the target until then
 *   pct_send  does the same, gives away the rest of the slice only, and the caller does not wait: it
 *             is entered at begin_entry when its time comes
 * The registers are the message: rbx rdx rsi rdi rbp r8 r9 r10 r12-r15 and all vector registers arrive
 * untouched, in both directions.  rax, rcx and r11 do not: rax tells the callee its caller's number,
 * and the caller its status.  The gate number is in the upper half of rax: AEGIS_GATE(n).
 *
 * While the kernel has not been entered otherwise since a call, its time is charged to the caller, and
 * env_read may show the caller RUNNING.
 *
 * A target accepts when it sleeps with AEGIS_SLEEP_ACCEPT; pct_return puts it back into that sleep,
 * and events that came meanwhile wake it.  A callee may yield and sleep, too: the call goes on when it
 * does, and it accepts no other before it returned.  A target that does not accept answers BUSY.  If the
 * callee ends, the caller gets DEAD.  If the caller ends, the callee finishes the slice, its return goes
 * nowhere.  After AEGIS_CALL_SLICES lent slices the caller gets TIMED_OUT, and the callee goes on in
 * time of its own.
 */
#ifndef AEGIS_PCT_H
#define AEGIS_PCT_H

#define AEGIS_GATE(n)     ((unsigned long)(n) << 32)
#define AEGIS_CALL_SLICES 5000u
#define AEGIS_CALL_DEPTH  8u /* chain of synchronous transfers */

#endif
