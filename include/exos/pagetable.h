/* SPDX-License-Identifier: MIT */
/*
 * Page tables as a part that a program chooses: one interface, two implementations.
 *
 *	exos_linear	an array of entries, one a page of the range: the least instructions, memory by the
 *			reach of what is used (4 KiB for each 4 MiB in which there is a page)
 *	exos_inverted	a hash table of the pages that are there: memory by how many may be there,
 *			whatever their addresses
 *
 * A table says which frame holds a page and what may be done with it; the hardware's table is a cache of
 * it (aegis/tlb.h).  Tables know nothing of Aegis: exos/vm.h puts the two together.  All but make and
 * destroy may be used in a handler.
 */
#ifndef EXOS_PAGETABLE_H
#define EXOS_PAGETABLE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Entry: frame number, protection, a bit of exos/vm.h, and four that are the program's own.  No frame: no page. */
#define EXOS_PAGE_PFN     0x00ffffffu
#define EXOS_PAGE_PROT(p) ((uint32_t)(p) << 24) /* AEGIS_BIND_READ | AEGIS_BIND_WRITE */
#define EXOS_PAGE_READ    EXOS_PAGE_PROT(1)
#define EXOS_PAGE_WRITE   EXOS_PAGE_PROT(2)
#define EXOS_PAGE_REBOUND (1u << 27) /* the kernel dropped a binding: it may have been dirty */
#define EXOS_PAGE_OWN     0xf0000000u

struct exos_table;

struct exos_table_ops {
	const char *name;
	/* For `pages` pages from start on, of which at most `present` are there at once.  NULL: no memory. */
	struct exos_table *(*make)(uint64_t start, uint64_t pages, uint64_t present);
	uint32_t (*lookup)(const struct exos_table *t, uint64_t va); /* without a frame: no page */
	/* The page's entry from now on; 0: no page.  False: more pages than `present`. */
	bool (*set)(struct exos_table *t, uint64_t va, uint32_t entry);
	/* Protection of those of n pages that are there: EXOS_PAGE_PROT bits. */
	void (*protect)(struct exos_table *t, uint64_t va, uint64_t n, uint32_t prot);
	/* The next page, in any order; *cursor is 0 at first.  False: no more. */
	bool (*next)(const struct exos_table *t, uint64_t *cursor, uint64_t *va, uint32_t *entry);
	uint64_t (*memory)(const struct exos_table *t); /* bytes that it takes now */
	void (*destroy)(struct exos_table *t);
};

extern const struct exos_table_ops exos_linear, exos_inverted;

#ifdef __cplusplus
}
#endif

#endif
