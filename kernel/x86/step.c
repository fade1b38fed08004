/* SPDX-License-Identifier: MIT */
/*
 * Stepping through ranges of user code, so that chaos may act at each of their instructions.
 *
 * Owns: the trap flag of user mode while it executes inside a range of chaos.c, and the debug
 * registers, which break at the first instruction of the first ranges: code that is reached without
 * the kernel is stepped from there on.
 *
 * 1. A processor is armed from the exit that set the trap flag until its next entry by an exception
 *    or interrupt; step_enter puts the flag back to what the program made it, before anybody looks.
 * 2. The program does not see the flag: `pushf` is mended in memory behind it, `popf` and `iret` say
 *    what the program wants, and `syscall`, which shows the flags in r11, is not stepped.
 * 3. A program that steps itself gets each #DB that it would get without this.
 * 4. Off (the usual case) nothing here runs: trap.c asks chaos_stepping.
 *
 * Context: trap.c, with the user's registers in `regs`, no locks.
 */
#include "x86.h"

#define FLAG_TF    (1ul << 8)
#define FLAG_RF    (1ul << 16)
#define DR6_BREAKS 15ul
#define DR6_STEP   (1ul << 14)
#define BREAKS     4u

enum kind { KIND_OTHER, KIND_PUSHF, KIND_POPF, KIND_SYSCALL };

static struct {
	bool armed, loaded, wants; /* wants: the program itself has the trap flag set */
	enum kind kind;            /* of the instruction that is executed now */
} steps[AEGIS_CPUS];

/* The debug registers of this processor, once the ranges are known. */
static void
breaks_load(void)
{
	uint64_t control = 0, at[BREAKS] = {0};

	for (uint32_t i = 0; i < BREAKS; i++) {
		at[i] = chaos_range_start(i);
		if (at[i])
			control |= 2ul << 2 * i;
	}
	__asm__ volatile("movq %0, %%dr0" ::"r"(at[0]));
	__asm__ volatile("movq %0, %%dr1" ::"r"(at[1]));
	__asm__ volatile("movq %0, %%dr2" ::"r"(at[2]));
	__asm__ volatile("movq %0, %%dr3" ::"r"(at[3]));
	__asm__ volatile("movq %0, %%dr7" ::"r"(control));
}

/* As far as flags are concerned.  What is not bound is not executed either. */
static enum kind
kind_at(uint64_t rip)
{
	for (uint32_t i = 0; i < 14; i++) {
		const uint8_t *byte = chaos_byte(rip + i);

		if (!byte)
			return KIND_OTHER;
		if (*byte == 0x66 || *byte == 0xf2 || *byte == 0xf3 || (*byte & 0xf0) == 0x40)
			continue; /* prefixes that these may have */
		if (*byte == 0x9c)
			return KIND_PUSHF;
		if (*byte == 0x9d || *byte == 0xcf)
			return KIND_POPF;
		if (*byte != 0x0f)
			return KIND_OTHER;
		byte = chaos_byte(rip + i + 1);
		return byte && *byte == 0x05 ? KIND_SYSCALL : KIND_OTHER;
	}
	return KIND_OTHER;
}

static void
pushed_mend(uint64_t rsp)
{
	uint8_t *byte = chaos_byte(rsp + 1);

	if (byte)
		*byte &= (uint8_t) ~(FLAG_TF >> 8);
}

bool
step_enter(struct regs *regs)
{
	uint32_t cpu = machine_cpu();
	uint64_t why = 0;
	bool ours;

	if (regs->vector == AEGIS_CAUSE_DEBUG)
		__asm__ volatile("movq %%dr6, %0" : "=r"(why));
	if (!steps[cpu].armed)
		return (why & DR6_BREAKS) && !(why & DR6_STEP);
	steps[cpu].armed = false;
	ours = (why & DR6_BREAKS) && !(why & DR6_STEP);
	if (why & DR6_STEP) { /* the instruction is done */
		ours = !steps[cpu].wants;
		if (steps[cpu].kind == KIND_PUSHF && ours)
			pushed_mend(regs->rsp);
		if (steps[cpu].kind == KIND_POPF)
			steps[cpu].wants = regs->rflags & FLAG_TF;
	}
	regs->rflags &= ~(FLAG_TF | FLAG_RF);
	if (steps[cpu].wants)
		regs->rflags |= FLAG_TF;
	return ours;
}

void
step_leave(struct regs *regs)
{
	uint32_t cpu = machine_cpu();

	if (!steps[cpu].loaded)
		breaks_load();
	steps[cpu].loaded = true;
	if (!chaos_boundary(regs))
		return;
	steps[cpu].kind = kind_at(regs->rip);
	if (steps[cpu].kind == KIND_SYSCALL)
		return;
	steps[cpu].armed = true;
	steps[cpu].wants = regs->rflags & FLAG_TF;
	regs->rflags |= FLAG_TF | FLAG_RF;
}
