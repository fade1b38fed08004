/* SPDX-License-Identifier: MIT */
/*
 * Constants that assembly and C share: where the kernel lies, selectors, vectors, stacks.
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

/* struct percpu, for inline.h; the rest of what assembly must know: offsets.c */
#define PERCPU_LOCAL  24
#define PERCPU_CALLER 64
#define PERCPU_SENDER 72

#ifdef KERNEL_INSTRUMENTED
#define STACK_MAIN 65536 /* bytes */
#define STACK_IST  16384
#else
#define STACK_MAIN 16384
#define STACK_IST  8192
#endif

#endif
