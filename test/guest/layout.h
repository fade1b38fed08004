/* SPDX-License-Identifier: MIT */
/* Offsets into struct guest that assembly and C share; guest.c pins them. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define GUEST_DEFER   0
#define GUEST_PENDING 4
#define GUEST_STACK   64
#define GUEST_RESUME  72
#define GUEST_TARGET  104
#define GUEST_BEGAN   128 /* registers as begin_entry found them, in the order of struct seen */
#define GUEST_FS      256
#define GUEST_BEGINS  264
#define GUEST_MESSAGE 512
#define GUEST_CALLER  608

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
#define FRAME_RSP      128
#define FRAME_RFLAGS   120

#define CALL_NULL   0x41450000
#define CALL_RETURN (0x41450000 + 31)

#endif
