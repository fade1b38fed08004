/* SPDX-License-Identifier: MIT */
/*
 * The rows of Appel and Li over an area of PAGES pages, the same whatever the area is.  Whoever includes this defines
 * the three functions that are declared first.
 */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <stdint.h>

#define PAGE  4096ul
#define PAGES 100u

static char *page_at(uint64_t page);
static void pages_open(unsigned first, unsigned pages);  /* for reading and writing */
static void pages_close(unsigned first, unsigned pages); /* for reading only */

static unsigned order[PAGES]; /* a random cycle: order[i] comes after i */
static unsigned at;

static void
order_make(void)
{
	unsigned list[PAGES], seed = 12345;

	for (unsigned i = 0; i < PAGES; i++)
		list[i] = i;
	for (unsigned i = PAGES - 1; i > 0; i--) {
		unsigned other, kept = list[i];

		seed = seed * 1103515245 + 12345;
		other = (seed >> 16) % (i + 1);
		list[i] = list[other];
		list[other] = kept;
	}
	for (unsigned i = 0; i < PAGES; i++)
		order[list[i]] = list[(i + 1) % PAGES];
}

static void
area_write(unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		(*(volatile char *)page_at(i))++;
}

/* ---- protections ---- */
static void
open_one(void)
{
	pages_open(0, 1);
	area_write(1);
}

static void
prot1(void)
{
	pages_close(0, 1);
}

static void
open_all(void)
{
	pages_open(0, PAGES);
	area_write(PAGES);
}

static void
prot100(void)
{
	pages_close(0, PAGES);
}

static void
close_all(void)
{
	open_all();
	prot100();
}

static void
unprot100(void)
{
	pages_open(0, PAGES);
}

/* ---- faults that a handler repairs ---- */
static void
appel1(void)
{
	at = order[at];
	*(volatile char *)page_at(at) = 2;
}

static void
appel2(void)
{
	prot100();
	for (unsigned i = 0; i < PAGES; i++)
		appel1();
}

#endif
