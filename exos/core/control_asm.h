/* SPDX-License-Identifier: MIT */
/* Offsets that assembly needs; core.c checks them against the structures. */
#ifndef EXOS_CORE_CONTROL_ASM_H
#define EXOS_CORE_CONTROL_ASM_H

#define CONTROL_DEFER     0
#define CONTROL_PENDING   4
#define CONTROL_SELF      64
#define CONTROL_RESUME    72
#define CONTROL_PROCESS   80
#define CONTROL_STACK     88
#define CONTROL_SOON      100
#define CONTROL_XMASK     104
#define CONTROL_WAITER    108
#define CONTROL_XSIZE     112
#define CONTROL_TARGET    136
#define CONTROL_FLAGS_AT  144
#define CONTROL_NUMBER    152
#define CONTROL_ATTENTION 160
#define CONTROL_KEYS      164
#define CONTROL_SERVE     176
#define CONTROL_LIGHT     192
#define CONTROL_FAULT     224
#define CONTROL_FAST      240
#define PKRU_PROGRAM      8 /* no writing with key 1 */
#define CALL_LIMIT        463
#define CONTROL_CALLS     256

/* Descriptors and files, for the leaves of upcall.S; exos/fd/leaf.c checks them. */
#define FD_EMBEDDED    64
#define FD_ENTRY       (0x10000 + 128) /* struct process, seen from GS */
#define FILE_LEAF      0
#define FILE_FUNCTION  16
#define FILE_FLAGS     60
#define FILE_RING      96
#define FILE_RING_DATA 104
#define FILE_RING_SIZE 112
#define FILE_NONBLOCK  0x800
#define RW_COUNT_MAX   0x7ffff000
#define LEAF_NOT       (-4096) /* no error number */

#define FRAME_CAUSE    0
#define FRAME_DEFERRED 28
#define FRAME_RAX      80
#define FRAME_RCX      88
#define FRAME_RDX      48
#define FRAME_RSI      40
#define FRAME_RDI      32
#define FRAME_R8       64
#define FRAME_R9       72
#define FRAME_R10      56
#define FRAME_R11      96
#define FRAME_RIP      104
#define FRAME_CS       112
#define FRAME_RFLAGS   120
#define FRAME_RSP      128
#define FRAME_SS       136
#define FRAME_SIZE     256

/* struct ring_shared (exos/ipc/ring.h), the same. */
#define RING_HEAD        0
#define RING_WRITE_ALONE 20
#define RING_TAIL        64
#define RING_READ_ALONE  80
#define RING_READERS     128
#define RING_WRITERS     160
#define PIPE_BUF         4096
#define USER_TOP         0x7f7fc8100000

/* XSAVE area, at the start of the core's private pages; the environment's processor in its page.  Seen from GS. */
#define VECTOR_AREA 0x1e000
#define PAGE_CPU    0x800c

/* The frame of the program's own calls: the first on the upcall stack, seen from GS. */
#define FIRST_FRAME (8 * 4096 - FRAME_SIZE)

#endif
