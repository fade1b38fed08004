/* SPDX-License-Identifier: MIT */
/*
 * Constants that assembly and C share: where the kernel lies, selectors, vectors, and offsets into
 * structures.  trap.c pins the offsets with _Static_assert.
 */
#ifndef KERNEL_X86_ASM_H
#define KERNEL_X86_ASM_H

#define KERNEL_BASE 0xffffffff80000000 /* virtual address of physical 0, for the kernel's image */

#define KERNEL_CS 0x08
#define KERNEL_SS 0x10
#define USER_SS   0x2b /* SYSRET takes SS and CS from one base, so they lie side by side */
#define USER_CS   0x33
#define TSS_SEL   0x38

#define VECTOR_LINES    0x30 /* 16 legacy lines */
#define VECTOR_CHAN     0x40
#define VECTOR_TIMER    0xf0
#define VECTOR_IPI      0xf1
#define VECTOR_SPURIOUS 0xff

/* struct percpu */
#define PERCPU_STACK    8
#define PERCPU_USER_RSP 16
#define PERCPU_LOCAL    24
#define PERCPU_COUNTERS 32
#define PERCPU_TRACE    40
#define PERCPU_SCRATCH  48

/* numbers of trace points, in struct percpu */
#define PERCPU_EVENT_EXCEPTION 56
#define PERCPU_EVENT_FOREIGN   60

#define PERCPU_LOCK     64
#define PERCPU_CALLER   72
#define PERCPU_SENDER   80
#define PERCPU_USER_RIP 88

/* struct env, which begins with its struct upcall_fast */
#define FAST_GS_BASE 0
#define FAST_LOW     8
#define FAST_SIZE    16
#define FAST_FRAME   24
#define FAST_AT      32
#define FAST_ENTRY   40
#define FAST_AREA    48
#define FAST_PAGE    56
#define FAST_PKRU    64
#define FAST_PAGES   72
#define ENV_NUMBER   128
#define ENV_CALLS    136
#define ENV_DOOR     140
#define ENV_STATE    144
#define ENV_SEEN     148
#define ENV_LOCK     152
#define ENV_SPACE    160
#define ENV_STAMP    168
#define ENV_FS_BASE  176
#define ENV_GS_BASE  184
#define ENV_PKRU     192
#define ENV_ROOT     200
#define ENV_WAYS     208
#define WAY_EPOCH    0
#define WAY_LOCK     8
#define WAY_TARGET   16
#define WAY_SIZE     32

/* and goes on with what C uses too */
#define ENV_RIP         992
#define ENV_RFLAGS      1008
#define ENV_RSP         1016
#define ENV_CALL_ENTRY  536
#define ENV_CALL_STACK  544
#define ENV_HANDLERS_GS 568
#define ENV_SETUP_CPU   584

/* struct space */
#define SPACE_CPUS 40

/* struct aegis_frame, struct aegis_area, struct aegis_env_page */
#define FRAME_CAUSE    0
#define FRAME_ERROR    4
#define FRAME_ADDR     8
#define FRAME_GS_BASE  16
#define FRAME_PKRU     24
#define FRAME_DEFERRED 28
#define FRAME_RDI      32
#define FRAME_RSI      40
#define FRAME_RDX      48
#define FRAME_R10      56
#define FRAME_R8       64
#define FRAME_R9       72
#define FRAME_RAX      80
#define FRAME_RCX      88
#define FRAME_R11      96
#define FRAME_RIP      104
#define FRAME_CS       112
#define FRAME_RFLAGS   120
#define FRAME_RSP      128
#define FRAME_SS       136
#define AREA_PENDING   4
#define PAGE_EVENTS    16
#define PAGE_UPCALLS   604

/* struct aegis_trace_ring, struct aegis_trace_rec */
#define RING_HEAD  0
#define RING_SLOTS 8
#define RING_REC   32
#define REC_TSC    0
#define REC_EVENT  8
#define REC_ENV    12
#define REC_A      16
#define REC_B      24

/* struct regs */
#define REGS_RIP  136
#define REGS_CS   144
#define REGS_SIZE 176

/* The table of calls, for the light path. */
#define CALL_BASE  0x41450000
#define CALL_MAX   41
#define CALL_PCT   (CALL_BASE + 29) /* call, send, return */
#define CALL_GATES 8

#ifdef KERNEL_INSTRUMENTED
#define STACK_MAIN 65536 /* bytes */
#define STACK_IST  16384
#else
#define STACK_MAIN 16384
#define STACK_IST  8192
#endif

#endif
