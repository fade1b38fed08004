/* SPDX-License-Identifier: MIT */
/*
 * The least that crosses the border: getppid, by its instruction and through the C library; on Aegis the call
 * that does nothing, and one that is refused by a function in C, which needs the kernel's stack.
 */
#include <unistd.h>

#include "bench.h"

static void
libc_getppid(void)
{
	getppid();
}

BENCH(getppid, .op = libc_getppid)

#ifdef EXOS
#define AEGIS_STUBS
#include <aegis/aegis.h>

static void
null_call(void)
{
	__asm__ volatile("syscall" ::"a"(AEGIS_NUMBER(0))
			 : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory");
}

static void
refused_call(void)
{
	aegis_irq_ack(~0u);
}

BENCH(null_call, .op = null_call)
BENCH(null_call_stack, .op = refused_call)
#else
static void
raw_getppid(void)
{
	long number = 110;

	__asm__ volatile("syscall" : "+a"(number)::"rcx", "r11", "memory");
}

BENCH(null_call, .op = raw_getppid)
BENCH(null_call_stack, .op = raw_getppid)
#endif
