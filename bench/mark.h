/* SPDX-License-Identifier: MIT */
/* The markers between which bench/plugin.c counts: displacements of an eight-byte no-operation. */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#define BENCH_MARK_BEGIN  0x41454701
#define BENCH_MARK_END    0x41454702
#define BENCH_MARK_RECORD 0x41454703
#define BENCH_MARK_BOOT   0x41454704
#define BENCH_MARK_START  0x41454705

#define BENCH_MARK(code) \
	__asm__ volatile(".byte 0x0f, 0x1f, 0x84, 0x00\n\t.long %c0" ::"i"(code) : "memory")

#endif
