/* SPDX-License-Identifier: MIT */
/* Numbers of the library's own calls: far from Linux's and from the kernel's. */
#ifndef EXOS_API_API_ASM_H
#define EXOS_API_API_ASM_H

#define EXOS_CALL_BASE 0x45580000
#define EXOS_EVENTS    0x7f7feff08010 /* the event count in the environment page */

#endif
