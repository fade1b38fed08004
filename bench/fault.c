/* SPDX-License-Identifier: MIT */
/*
 * An exception to the program's own handler and back, which on Linux is a signal.  The handler steps over
 * the instruction, whose length it is told.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "bench.h"

static unsigned length;
static char *page;

static void
step_over(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)number;
	(void)info;
	c->uc_mcontext.gregs[REG_RIP] += length;
}

/* What a collector's or a checkpointer's handler does first: is it one of mine? */
static void
step_over_own(int number, siginfo_t *info, void *context)
{
	if (info->si_addr != page)
		bench_fail("an unexpected fault");
	step_over(number, info, context);
}

static void
handle(int number, void (*handler)(int, siginfo_t *, void *), unsigned bytes)
{
	struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	length = bytes;
	bench_require(sigaction(number, &act, 0) == 0);
}

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
	handle(SIGFPE, step_over, 2);
}

static void
divide(void)
{
	__asm__ volatile("divl %%ecx" ::"a"(1), "d"(0), "c"(0) : "memory", "cc");
}

static void
breakpoint_setup(void)
{
	handle(SIGTRAP, step_over, 0);
}

static void
breakpoint(void)
{
	__asm__ volatile("int3" ::: "memory");
}

static void
undefined_setup(void)
{
	handle(SIGILL, step_over, 2);
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
	handle(SIGSEGV, step_over, 3);
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
	handle(SIGSEGV, step_over_own, 2);
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
