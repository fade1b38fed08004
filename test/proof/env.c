/* SPDX-License-Identifier: MIT */
/*
 * Environments: what env_write accepts cannot send the kernel or the processor out of user space; what
 * a call gets of the area lies in the area; an environment is opened by itself or by a capability that
 * dominates its guard.
 */
#include "machine.h"
#include "kernel/batch.h"

/* The kernel's env.c without what hangs on it: the proofs below need these parts only. */
#include "kernel/env.c"

#include "area.h"

struct aegis_system_page *system_page;
static bool opened;
static uint32_t asked_guard, asked_rights;

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	(void)slot;
	PROVE(e == &self, "the caller's capability");
	asked_guard = guard;
	asked_rights = rights;
	opened = nondet_bool();
	return opened ? AEGIS_OK : AEGIS_DENIED;
}

void
proof_env_setup(void)
{
	struct aegis_setup s;
	uint64_t stack_end;

	if (!setup_valid(&s))
		return;
	PROVE(s.fault_entry >> 47 == 0 && s.async_entry >> 47 == 0 && s.begin_entry >> 47 == 0 &&
		      s.call_entry >> 47 == 0 && s.call_stack >> 47 == 0,
	      "handlers lie in the lower half: canonical, and not the kernel's");
	PROVE(s.gs_base >> 47 == 0 && s.call_fs >> 47 == 0, "bases are canonical");
	PROVE(s.resume_start < AEGIS_USER_MAX && s.resume_rip < AEGIS_USER_MAX, "so is the resume");
	PROVE(s.area_va % PAGE == 0 && s.area_pages <= AEGIS_AREA_PAGES && s.area_pages >= 2,
	      "an area of whole pages");
	PROVE(s.stack_page >= 1 && s.stack_page < s.area_pages,
	      "with a stack behind its first page");
	stack_end = s.area_va + (uint64_t)s.area_pages * PAGE;
	PROVE(stack_end > s.area_va && stack_end <= AEGIS_USER_MAX + AEGIS_AREA_PAGES * PAGE,
	      "whose end does not wrap");
	PROVE(s.cpu < AEGIS_CPUS, "a processor that there is");
	PROVE((s.flags & ~AEGIS_SETUP_EXTRA) == 0, "no flag without a meaning");
	REACH(s.cpu == AEGIS_CPUS - 1);
}

static void
area_any(void)
{
	locks_held = 0;
	machine_me = 0;
	self.setup.area_pages = 2;
	self.area[0] = AREA;
	self.area[1] = AREA + 1;
}

void
proof_env_area(void)
{
	uint32_t offset = nondet_u32(), n = nondet_u32();
	uint8_t *at;

	area_any();
	ASSUME(n > 0);
	at = area_at(&self, offset, n);
	if (!at)
		return;
	PROVE(offset < 2 * PAGE && n <= PAGE, "inside the area");
	PROVE(at == (offset < PAGE ? page0 : page1) + offset % PAGE, "where the offset says");
	PROVE(offset / PAGE == (offset + n - 1) / PAGE, "in one page");
	PROVE(__CPROVER_r_ok(at, n), "all of it");
	REACH(offset >= PAGE && n > 8);
}

void
proof_env_batch(void)
{
	struct batch b;
	uint32_t offset = nondet_u32(), n = nondet_u32(), size;

	area_any();
	size = nondet_bool() ? sizeof(struct aegis_bind) : sizeof(struct aegis_frame_rec);
	if (!batch_start(&b, &self, offset, n, size))
		return;
	PROVE(IMPLIES(n, (uint64_t)offset + (uint64_t)n * size <= 2 * PAGE),
	      "all records lie in it");
	if (!n)
		return;
	PROVE(__CPROVER_rw_ok(b.at, size), "the first is there");
	ASSUME(b.left > 1);
	batch_next(&b);
	PROVE(__CPROVER_rw_ok(b.at, size), "and the next");
	PROVE(b.offset == offset + size, "it is the next");
	REACH(b.offset == PAGE);
}

void
proof_env_open(void)
{
	uint32_t cap = nondet_u32(), env = nondet_u32(), rights = nondet_u32();
	struct env *out = NULL;
	status st;

	area_any();
	for (uint32_t i = 0; i < AEGIS_ENVS; i++) {
		env_locks[i].held = 0;
		env_table[i] = NULL;
	}
	self.number = 1;
	other.number = 2;
	env_table[1] = &self;
	if (nondet_bool())
		env_table[2] = &other;
	opened = false;
	st = env_open(cap, env, rights, &out);
	if (st != AEGIS_OK) {
		check_locks();
		REACH(st == AEGIS_DENIED && cap == AEGIS_SELF);
		return;
	}
	PROVE(locks_held == 1 && env_locks[out->number].held, "it is locked");
	PROVE(out->number == env, "it is the one that was named");
	PROVE(cap == AEGIS_SELF ? out == &self
				: opened && asked_guard == out->guard && asked_rights == rights,
	      "the caller itself, or one whose guard the capability dominates with these rights");
	REACH(out == &other);
	REACH(cap == AEGIS_SELF);
}
