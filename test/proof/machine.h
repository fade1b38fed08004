/* SPDX-License-Identifier: MIT */
/*
 * The machine as the proofs assume it: registers of the processor are arbitrary, interrupts and TLB
 * flushes are counted, entering user mode is the end.  Each harness that reaches frames says itself
 * what machine_frame answers.
 */
#ifndef PROOF_MACHINE_H
#define PROOF_MACHINE_H

#include "proof.h"

bool chaos_slow;
atomic_ulong gate_epoch;
static uint32_t machine_me; /* this processor */
static uint32_t machine_ipis, machine_flushes, machine_cleared;

uint32_t
machine_cpu(void)
{
	return machine_me;
}

uint32_t
machine_cpus(void)
{
	return AEGIS_CPUS;
}

/* A transfer by the entry code that is to be completed. */
static void *machine_fast_caller, *machine_fast_sender;

void *
machine_caller(void)
{
	return machine_fast_caller;
}

void *
machine_sender(void)
{
	return machine_fast_sender;
}

void
machine_caller_clear(void)
{
	machine_fast_caller = machine_fast_sender = NULL;
}

void
machine_ipi(uint32_t cpu)
{
	PROVE(cpu < AEGIS_CPUS, "an interrupt goes to a processor that exists");
	machine_ipis++;
}

_Noreturn void
machine_restart(void (*next)(void))
{
	(void)next;
	STOP();
	for (;;)
		;
}

void
machine_relax(void)
{
}

static uint64_t machine_tsc_last; /* what the last one was told */

uint64_t
machine_tsc(void)
{
	return machine_tsc_last = nondet_u64();
}

void
machine_timer(uint64_t tsc)
{
	(void)tsc;
}

uint64_t
machine_gs_base(void)
{
	return nondet_u64();
}

uint64_t
machine_fs_base(void)
{
	return nondet_u64();
}

uint32_t
machine_pkru(void)
{
	return nondet_u32();
}

void
machine_set_gs_base(uint64_t base)
{
	(void)base;
}

void
machine_set_fs_base(uint64_t base)
{
	(void)base;
}

void
machine_set_pkru(uint32_t pkru)
{
	(void)pkru;
}

void
machine_vector_save(void *area)
{
	(void)area;
}

void
machine_vector_restore(const void *area)
{
	(void)area;
}

void
machine_vector_clear(void)
{
}

void
machine_space_load(uint32_t root_pfn)
{
	(void)root_pfn;
}

void
machine_tlb_flush_page(uint64_t va)
{
	(void)va;
	machine_flushes++;
}

void
machine_tlb_flush_all(void)
{
	machine_flushes++;
}

void
machine_clear(uint64_t *words, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		words[i] = 0;
}

void
machine_frame_clear(uint32_t pfn)
{
	machine_cleared = pfn;
}

uint64_t
machine_pte_nx(void)
{
	return AEGIS_PTE_NX;
}

_Noreturn void
machine_enter_clear(uint64_t rip, uint64_t rsp, uint64_t rdi)
{
	(void)rip;
	(void)rsp;
	(void)rdi;
	STOP();
	for (;;)
		;
}

_Noreturn void
machine_enter_regs(const struct regs *regs)
{
	(void)regs;
	STOP();
	for (;;)
		;
}

_Noreturn void
machine_idle(void)
{
	STOP();
	for (;;)
		;
}

_Noreturn void
machine_off(uint32_t code)
{
	(void)code;
	STOP();
	for (;;)
		;
}

#endif
