/* SPDX-License-Identifier: MIT */
/*
 * What assembly must know of C's structures and constants: kernel.mk makes offsets.h, for the .S files, of
 * the lines "->NAME value" in what this file compiles to.  It is not linked.
 */
#include "x86.h"

#define VALUE(name, value)         __asm__ volatile(".ascii \"->" #name " %c0\"" ::"i"(value))
#define OFFSET(name, type, member) VALUE(name, offsetof(type, member))

static __attribute__((used)) void
offsets_kernel(void)
{
	OFFSET(PERCPU_STACK, struct percpu, stack);
	OFFSET(PERCPU_USER_RSP, struct percpu, user_rsp);
	OFFSET(PERCPU_COUNTERS, struct percpu, counters);
	OFFSET(PERCPU_TRACE, struct percpu, trace);
	OFFSET(PERCPU_SCRATCH, struct percpu, scratch);
	OFFSET(PERCPU_EVENT_EXCEPTION, struct percpu, event_exception);
	OFFSET(PERCPU_EVENT_FOREIGN, struct percpu, event_foreign);
	OFFSET(PERCPU_LOCK, struct percpu, lock);
	OFFSET(PERCPU_USER_RIP, struct percpu, user_rip);

	OFFSET(FAST_GS_BASE, struct upcall_fast, gs_base);
	OFFSET(FAST_LOW, struct upcall_fast, low);
	OFFSET(FAST_SIZE, struct upcall_fast, size);
	OFFSET(FAST_FRAME, struct upcall_fast, frame);
	OFFSET(FAST_AT, struct upcall_fast, at);
	OFFSET(FAST_ENTRY, struct upcall_fast, entry);
	OFFSET(FAST_AREA, struct upcall_fast, area);
	OFFSET(FAST_PAGE, struct upcall_fast, page);
	OFFSET(FAST_PKRU, struct upcall_fast, pkru);
	OFFSET(FAST_PAGES, struct upcall_fast, pages);

	OFFSET(ENV_NUMBER, struct env, number);
	OFFSET(ENV_CALLS, struct env, calls);
	OFFSET(ENV_DOOR, struct env, door);
	OFFSET(ENV_STATE, struct env, state);
	OFFSET(ENV_SEEN, struct env, seen);
	OFFSET(ENV_LOCK, struct env, lock);
	OFFSET(ENV_SPACE, struct env, space);
	OFFSET(ENV_STAMP, struct env, stamp);
	OFFSET(ENV_FS_BASE, struct env, fs_base);
	OFFSET(ENV_GS_BASE, struct env, gs_base);
	OFFSET(ENV_PKRU, struct env, pkru);
	OFFSET(ENV_ROOT, struct env, root);
	OFFSET(ENV_WAYS, struct env, ways);
	OFFSET(ENV_RIP, struct env, regs.rip);
	OFFSET(ENV_RFLAGS, struct env, regs.rflags);
	OFFSET(ENV_RSP, struct env, regs.rsp);
	OFFSET(ENV_CALL_ENTRY, struct env, setup.call_entry);
	OFFSET(ENV_CALL_STACK, struct env, setup.call_stack);
	OFFSET(ENV_HANDLERS_GS, struct env, setup.gs_base);
	OFFSET(ENV_SETUP_CPU, struct env, setup.cpu);

	OFFSET(ENV_YIELDS, struct env, yields);
	OFFSET(ENV_CAPS, struct env, caps);
	OFFSET(ENV_USED, struct env, used);
	OFFSET(ENV_BEGIN_ENTRY, struct env, setup.begin_entry);
	OFFSET(YIELD_EPOCH, struct yield_way, epoch);
	OFFSET(YIELD_CAP, struct yield_way, cap);
	OFFSET(YIELD_LOCK, struct yield_way, lock);
	OFFSET(YIELD_TARGET, struct yield_way, target);
	OFFSET(YIELD_ENV, struct yield_way, env);
	VALUE(YIELD_SIZE, sizeof(struct yield_way));
	VALUE(YIELD_MASK, YIELDS - 1);

	OFFSET(SPACE_CPUS, struct space, cpus);

	VALUE(DOOR_GIVEN, ODD_GIVEN << 16);
	VALUE(LOCK_READY, LOCK_READY);
	VALUE(STATE_READY, AEGIS_STATE_READY);
	VALUE(STATE_RUNNING, AEGIS_STATE_RUNNING);

	VALUE(REGS_SIZE, sizeof(struct regs));
	VALUE(WAY_EPOCH, offsetof(struct env, ways[0].epoch) - offsetof(struct env, ways));
	VALUE(WAY_LOCK, offsetof(struct env, ways[0].lock) - offsetof(struct env, ways));
	VALUE(WAY_TARGET, offsetof(struct env, ways[0].target) - offsetof(struct env, ways));
	VALUE(WAY_SIZE, offsetof(struct env, ways[1]) - offsetof(struct env, ways));
}

static __attribute__((used)) void
offsets_abi(void)
{
	OFFSET(FRAME_CAUSE, struct aegis_frame, cause);
	OFFSET(FRAME_ERROR, struct aegis_frame, error);
	OFFSET(FRAME_ADDR, struct aegis_frame, addr);
	OFFSET(FRAME_GS_BASE, struct aegis_frame, gs_base);
	OFFSET(FRAME_PKRU, struct aegis_frame, pkru);
	OFFSET(FRAME_DEFERRED, struct aegis_frame, deferred);
	OFFSET(FRAME_RDI, struct aegis_frame, rdi);
	OFFSET(FRAME_RSI, struct aegis_frame, rsi);
	OFFSET(FRAME_RDX, struct aegis_frame, rdx);
	OFFSET(FRAME_R10, struct aegis_frame, r10);
	OFFSET(FRAME_R8, struct aegis_frame, r8);
	OFFSET(FRAME_R9, struct aegis_frame, r9);
	OFFSET(FRAME_RAX, struct aegis_frame, rax);
	OFFSET(FRAME_RCX, struct aegis_frame, rcx);
	OFFSET(FRAME_R11, struct aegis_frame, r11);
	OFFSET(FRAME_RIP, struct aegis_frame, rip);
	OFFSET(FRAME_CS, struct aegis_frame, cs);
	OFFSET(FRAME_RFLAGS, struct aegis_frame, rflags);
	OFFSET(FRAME_RSP, struct aegis_frame, rsp);
	OFFSET(FRAME_SS, struct aegis_frame, ss);

	OFFSET(AREA_PENDING, struct aegis_area, pending);

	OFFSET(PAGE_EVENTS, struct aegis_env_page, events);
	OFFSET(PAGE_TIME, struct aegis_env_page, time_tsc);
	OFFSET(PAGE_UPCALLS, struct aegis_env_page, upcalls);

	OFFSET(RING_HEAD, struct aegis_trace_ring, head);
	OFFSET(RING_SLOTS, struct aegis_trace_ring, slots);
	OFFSET(RING_REC, struct aegis_trace_ring, rec);

	OFFSET(REC_TSC, struct aegis_trace_rec, tsc);
	OFFSET(REC_EVENT, struct aegis_trace_rec, event);
	OFFSET(REC_ENV, struct aegis_trace_rec, env);
	OFFSET(REC_A, struct aegis_trace_rec, a);
	OFFSET(REC_B, struct aegis_trace_rec, b);

	OFFSET(REGS_RIP, struct regs, rip);
	OFFSET(REGS_CS, struct regs, cs);

	/* The table of calls, for the light path. */
	VALUE(CALL_BASE, AEGIS_CALL_BASE);
	VALUE(CALL_MAX, AEGIS_CALLS);
	VALUE(CALL_PCT, AEGIS_CALL_BASE + AEGIS_CALL_pct_call); /* call, send, return */
	VALUE(CALL_GATES, AEGIS_GATES);
	VALUE(CALL_YIELD, AEGIS_CALL_BASE + AEGIS_CALL_yield);
	VALUE(CAP_SLOTS, AEGIS_CAP_SLOTS);
}
