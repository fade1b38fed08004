/* SPDX-License-Identifier: MIT */
/*
 * What assembly must know of C's structures and constants: kernel.mk makes offsets.h, for the .S files, of
 * the lines "->NAME value" in what this file compiles to.  It is not linked.
 *
 * A name of entry.S or switch.S that is PREFIX_MEMBER, where a MEMBERS line below has the prefix, is the offset of that
 * member: tools/offsets puts a line for each into members.h.  Listed here is what has other names.
 */
#include "x86.h"

#define VALUE(name, value)         __asm__ volatile(".ascii \"->" #name " %c0\"" ::"i"(value))
#define OFFSET(name, type, member) VALUE(name, offsetof(type, member))
#define MEMBERS(prefix, type)      ((void)sizeof(type))

static __attribute__((used)) void
offsets(void)
{
	MEMBERS(PERCPU, struct percpu);
	MEMBERS(FAST, struct upcall_fast);
	MEMBERS(ENV, struct env);
	MEMBERS(WAY, struct way);
	MEMBERS(SPACE, struct space);
	MEMBERS(FRAME, struct aegis_frame);
	MEMBERS(AREA, struct aegis_area);
	MEMBERS(PAGE, struct aegis_env_page);
	MEMBERS(RING, struct aegis_trace_ring);
	MEMBERS(REC, struct aegis_trace_rec);
	MEMBERS(REGS, struct regs);
#include "members.h"

	OFFSET(ENV_RIP, struct env, regs.rip);
	OFFSET(ENV_RFLAGS, struct env, regs.rflags);
	OFFSET(ENV_RSP, struct env, regs.rsp);
	OFFSET(ENV_CALL_ENTRY, struct env, setup.call_entry);
	OFFSET(ENV_CALL_STACK, struct env, setup.call_stack);
	OFFSET(ENV_CALL_FS, struct env, setup.call_fs);
	OFFSET(ENV_HANDLERS_GS, struct env, setup.gs_base);
	OFFSET(ENV_SETUP_CPU, struct env, setup.cpu);
	OFFSET(ENV_BEGIN_ENTRY, struct env, setup.begin_entry);
	OFFSET(WAYS_EPOCH, struct env, yields.epoch);
	OFFSET(WAYS_CAP, struct env, yields.by[0].cap);
	OFFSET(WAYS_ENV, struct env, yields.by[0].env);
	OFFSET(WAYS_LOCK, struct env, yields.lock);
	OFFSET(WAYS_TARGET, struct env, yields.target);
	VALUE(YIELD_MASK, YIELDS - 1);
	VALUE(DOOR_SENT, DOOR_RETURNS | AEGIS_STATE_RUNNING << 24);
	VALUE(DOOR_CALLED, DOOR_RETURNS | DOOR_SHORTLY | AEGIS_STATE_RUNNING << 24);
	VALUE(DOOR_RUNS, AEGIS_STATE_RUNNING << 24);
	VALUE(DOOR_RESTS, DOOR_ACCEPTS | AEGIS_STATE_SLEEPING << 24);
	VALUE(DOOR_NOT_GIVEN, 0xffffff & ~(ODD_GIVEN << 16)); /* all but state and that */
	VALUE(ODD_GIVEN, ODD_GIVEN);
	VALUE(LOCK_READY, LOCK_READY);
	/* odd and state at once: */
	VALUE(READY, AEGIS_STATE_READY << 8);
	VALUE(GIVEN_RUNNING, AEGIS_STATE_RUNNING << 8 | ODD_GIVEN);
	VALUE(REGS_SIZE, sizeof(struct regs));
	VALUE(WAY_SIZE, sizeof(struct way));
	OFFSET(PAGE_TIME, struct aegis_env_page, time_tsc);

	/* The table of calls, for the light path. */
	VALUE(TRACE_SLOTS, TRACE_SLOTS);
	VALUE(CALL_BASE, AEGIS_CALL_BASE);
	VALUE(CALL_MAX, AEGIS_CALLS);
	VALUE(CALL_PCT, AEGIS_CALL_BASE + AEGIS_CALL_pct_call); /* call, send, return */
	VALUE(CALL_GATES, AEGIS_GATES);
	VALUE(CALL_YIELD, AEGIS_CALL_BASE + AEGIS_CALL_yield);
}
