/* SPDX-License-Identifier: MIT */
/*
 * An exception to the program's own handler and back, which on Linux is a signal, and on ExOS a function that the
 * program registers (exos/fault.h).  The handler steps over the instruction,
 * whose length it knows.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "bench.h"

static char *page;

#ifdef EXOS
#include <exos/api.h>
#include <exos/fault.h>

#define STEP_OVER(name, bytes)                                  \
	EXOS_HANDLER static int name(struct aegis_frame *frame) \
	{                                                       \
		frame->rip += bytes;                            \
		return 1;                                       \
	}

/* What a collector's or a checkpointer's handler does first: is it one of mine? */
EXOS_HANDLER static int
step_over_own(struct aegis_frame *frame)
{
	if (frame->addr != (uint64_t)page)
		return 0;
	frame->rip += 2;
	return 1;
}

static void
handle(int cause, exos_fault_fn *handler)
{
	bench_require(exos_fault_handler(handler, EXOS_CAUSE(cause)) == 0);
}

#define DIVIDE     AEGIS_CAUSE_DIVIDE
#define BREAKPOINT AEGIS_CAUSE_BREAKPOINT
#define UNDEFINED  AEGIS_CAUSE_UNDEFINED
#define PAGE_FAULT AEGIS_CAUSE_PAGE
#else
#define DIVIDE     SIGFPE
#define BREAKPOINT SIGTRAP
#define UNDEFINED  SIGILL
#define PAGE_FAULT SIGSEGV

#define STEP_OVER(name, bytes)                                       \
	static void name(int number, siginfo_t *info, void *context) \
	{                                                            \
		ucontext_t *c = context;                             \
		(void)number;                                        \
		(void)info;                                          \
		c->uc_mcontext.gregs[REG_RIP] += bytes;              \
	}

static void
step_over_own(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)number;
	if (info->si_addr != page)
		bench_fail("an unexpected fault");
	c->uc_mcontext.gregs[REG_RIP] += 2;
}

static void
handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	bench_require(sigaction(number, &act, 0) == 0);
}
#endif

STEP_OVER(over_0, 0)
STEP_OVER(over_2, 2)
STEP_OVER(over_3, 3)

static void
page_make(int protection)
{
	page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_require(page != MAP_FAILED);
	*page = 1;
	bench_require(mprotect(page, 4096, protection) == 0);
}

static void
divide_setup(void)
{
	handle(DIVIDE, over_2);
}

static void
divide(void)
{
	__asm__ volatile("divl %%ecx" ::"a"(1), "d"(0), "c"(0) : "memory", "cc");
}

static void
breakpoint_setup(void)
{
	handle(BREAKPOINT, over_0);
}

static void
breakpoint(void)
{
	__asm__ volatile("int3" ::: "memory");
}

static void
undefined_setup(void)
{
	handle(UNDEFINED, over_2);
}

static void
undefined(void)
{
	__asm__ volatile("ud2" ::: "memory");
}

static void
protection_setup(void)
{
	page_make(PROT_READ);
	handle(PAGE_FAULT, over_3);
}

static void
protection(void)
{
	__asm__ volatile(".byte 0xc6, 0x07, 0x00" ::"D"(page) : "memory"); /* movb $0, (%rdi) */
}

static void
trap_setup(void)
{
	page_make(PROT_NONE);
	handle(PAGE_FAULT, step_over_own);
}

static void
trap(void)
{
	__asm__ volatile(".byte 0x8a, 0x07" ::"D"(page) : "rax", "memory"); /* movb (%rdi), %al */
}

BENCH(exc_divide, .setup = divide_setup, .op = divide)
BENCH(exc_breakpoint, .setup = breakpoint_setup, .op = breakpoint)
BENCH(exc_undefined, .setup = undefined_setup, .op = undefined)
BENCH(exc_prot, .setup = protection_setup, .op = protection)
BENCH(trap, .setup = trap_setup, .op = trap)
