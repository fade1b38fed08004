/* SPDX-License-Identifier: MIT */
/*
 * The address space, drawn.  User space is the lower half; the kernel has the upper half, mapped
 * for no one else.
 *
 *   0x0000000000000000  first page: never bound (a null dereference faults, always)
 *   0x0000000000001000  free for the library
 *         ...
 *   0x00007f8000000000  AEGIS_WINDOW: the space's own page tables, read only (512 GiB)
 *   0x0000800000000000  end of user space
 *
 * The window is the recursive image of the table: the 8-byte entry that translates address va is at
 * aegis_window(va).  It is valid only where the tables above it exist; reading elsewhere faults like
 * any unbound address.  Bits of an entry are those of the processor manual (Intel SDM volume 3,
 * section 4.5), with AEGIS_PTE_* below.
 */
#ifndef AEGIS_LAYOUT_H
#define AEGIS_LAYOUT_H

#include <stdint.h>

#define AEGIS_PAGE       4096ul
#define AEGIS_PAGE_SHIFT 12
#define AEGIS_LARGE_PAGE (512 * AEGIS_PAGE)
#define AEGIS_USER_MIN   0x1000ul
#define AEGIS_WINDOW     0x00007f8000000000ul
#define AEGIS_USER_MAX   AEGIS_WINDOW /* bindings lie below this */

#define AEGIS_PTE_PRESENT  (1ul << 0)
#define AEGIS_PTE_WRITE    (1ul << 1)
#define AEGIS_PTE_USER     (1ul << 2)
#define AEGIS_PTE_ACCESSED (1ul << 5)
#define AEGIS_PTE_DIRTY    (1ul << 6)
#define AEGIS_PTE_LARGE    (1ul << 7)
#define AEGIS_PTE_FRAME    0x000ffffffffff000ul
#define AEGIS_PTE_NX       (1ul << 63)

static inline const volatile uint64_t *
aegis_window(uint64_t va)
{
	return (const volatile uint64_t *)(AEGIS_WINDOW + ((va >> 9) & 0x7ffffffff8ul));
}

/* The level-2 entry above va: present and AEGIS_PTE_LARGE for a 2 MiB binding. */
static inline const volatile uint64_t *
aegis_window_large(uint64_t va)
{
	return (const volatile uint64_t *)(AEGIS_WINDOW + 0x3fc0000000ul +
					   ((va >> 18) & 0x3ffffff8ul));
}

#endif
