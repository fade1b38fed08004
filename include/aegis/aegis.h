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
#define CALL0(n, name)      AEGIS_CALL_##name = (n),
#define CALL1(n, name, ...) CALL0(n, name)
#define CALL2(n, name, ...) CALL0(n, name)
#define CALL3(n, name, ...) CALL0(n, name)
#define CALL4(n, name, ...) CALL0(n, name)
#define CALL5(n, name, ...) CALL0(n, name)
#include "syscalls.def"
#undef CALL0
#undef CALL1
#undef CALL2
#undef CALL3
#undef CALL4
#undef CALL5
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

#define AEGIS_NUMBER(n) ((uint64_t)AEGIS_CALL_BASE + (n))
#define CALL0(n, name)                                              \
	static inline int64_t aegis_##name(void)                    \
	{                                                           \
		return aegis_call5(AEGIS_NUMBER(n), 0, 0, 0, 0, 0); \
	}
#define CALL1(n, name, t1, a1)                                       \
	static inline int64_t aegis_##name(t1 a1)                    \
	{                                                            \
		return aegis_call5(AEGIS_NUMBER(n), a1, 0, 0, 0, 0); \
	}
#define CALL2(n, name, t1, a1, t2, a2)                                \
	static inline int64_t aegis_##name(t1 a1, t2 a2)              \
	{                                                             \
		return aegis_call5(AEGIS_NUMBER(n), a1, a2, 0, 0, 0); \
	}
#define CALL3(n, name, t1, a1, t2, a2, t3, a3)                         \
	static inline int64_t aegis_##name(t1 a1, t2 a2, t3 a3)        \
	{                                                              \
		return aegis_call5(AEGIS_NUMBER(n), a1, a2, a3, 0, 0); \
	}
#define CALL4(n, name, t1, a1, t2, a2, t3, a3, t4, a4)                  \
	static inline int64_t aegis_##name(t1 a1, t2 a2, t3 a3, t4 a4)  \
	{                                                               \
		return aegis_call5(AEGIS_NUMBER(n), a1, a2, a3, a4, 0); \
	}
#define CALL5(n, name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5)                \
	static inline int64_t aegis_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5) \
	{                                                                     \
		return aegis_call5(AEGIS_NUMBER(n), a1, a2, a3, a4, a5);      \
	}
#include "syscalls.def"
#undef CALL0
#undef CALL1
#undef CALL2
#undef CALL3
#undef CALL4
#undef CALL5
#endif /* AEGIS_STUBS */

#endif
