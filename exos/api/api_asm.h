/* SPDX-License-Identifier: MIT */
/* Numbers of the library's own calls: far from Linux's and from the kernel's. */
#ifndef EXOS_API_API_ASM_H
#define EXOS_API_API_ASM_H

#define EXOS_CALL_BASE 0x45580000
/* Of the environment page: event count, slice that runs, time used. */
#define EXOS_EVENTS 0x7f7feff08010
#define EXOS_SLICE  0x7f7feff08014
#define EXOS_USED   0x7f7feff08020
/* Clocks that are read where the program runs: bit n is clock n. */
#define API_CLOCKS     0x8f3
#define API_CLOCKS_MAX 11

#endif
