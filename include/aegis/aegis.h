/* SPDX-License-Identifier: MIT */
/*
 * The Aegis ABI, entire: the only meeting point of kernel and library operating systems.
 * One header a resource; syscalls.def is the table of calls.  With AEGIS_STUBS defined, a typed stub
 * aegis_NAME() for every call that returns is provided; the pct_ calls and the begin_entry side of
 * yield and sleep need assembly of the library's own, because registers do not survive them.
 */
#ifndef AEGIS_AEGIS_H
#define AEGIS_AEGIS_H

#include <stdint.h>

#define AEGIS_VERSION   1u
#define AEGIS_CALL_BASE 0x41450000u /* "AE": far from every number of other systems */

#include "boot.h"
#include "cap.h"
#include "chan.h"
#include "cpu.h"
#include "env.h"
#include "fault.h"
#include "irq.h"
#include "layout.h"
#include "mem.h"
#include "pct.h"
#include "revoke.h"
#include "status.h"
#include "tlb.h"
#include "trace.h"

enum aegis_call {
#define CALL(n, name, ...) AEGIS_CALL_##name = (n),
#include "syscalls.def"
#undef CALL
	AEGIS_CALLS = 41
};

#ifdef AEGIS_STUBS
static inline int64_t
aegis_call5(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;

	__asm__ volatile("syscall"
			 : "+a"(number), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
			 :
			 : "rcx", "r9", "r11", "memory");
	return (int64_t)number;
}

#define AEGIS_NUMBER(n)                   ((uint64_t)AEGIS_CALL_BASE + (n))
#define AEGIS_STUB(n, a, b, c, d, e, ...) aegis_call5(AEGIS_NUMBER(n), a, b, c, d, e)
#define CALL(n, name, parameters, ...)                            \
	static inline int64_t aegis_##name parameters             \
	{                                                         \
		return AEGIS_STUB(n, __VA_ARGS__, 0, 0, 0, 0, 0); \
	}
#include "syscalls.def"
#undef CALL
#endif /* AEGIS_STUBS */

#endif
