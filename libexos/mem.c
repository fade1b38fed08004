/* SPDX-License-Identifier: MIT */
/*
 * Frames and bindings for programs that manage memory themselves (include/exos/mem.h): Aegis calls,
 * and nothing of ExOS.
 *
 * Owns: the spare frames out of which page tables and holdings pages are made, because the kernel
 * makes none by itself.
 *
 * 1. spare[0 .. spares) are frames that this process holds, not bound, used for nothing else.
 * 2. A batch is written and submitted without a step between that could enter a handler which uses
 *    the same batch: handlers have a part of their own, told by area->defer.
 *
 * Compiled without vector registers: handlers may call all of it.
 */
#include <errno.h>
#include <stddef.h>

#include "priv.h"

#define SPARES  16u
#define LARGEST (1ul << 21)

struct exos_places exos_places_own;
static uint32_t spare[SPARES];
static uint32_t spares, spares_space;

int64_t
exos_status_error(int64_t status)
{
	switch (status) {
	case AEGIS_NO_MEMORY:
	case AEGIS_NEED_TABLE:
	case AEGIS_LIMIT:
		return -ENOMEM;
	case AEGIS_NOT_HELD:
	case AEGIS_DENIED:
	case AEGIS_BAD_CAP:
	case AEGIS_NO_SUCH:
		return -EPERM;
	case AEGIS_IN_USE:
		return -EBUSY;
	case AEGIS_WX:
		return -EACCES;
	default:
		return status < 0 ? -EINVAL : status;
	}
}

__attribute__((constructor(102))) static void
places_fill(void)
{
	exos_mem_places(&places);
}

/* ---- spare frames, tables, holdings pages ---- */

/* Spares of a parent are not its child's. */
static bool
spares_own(void)
{
	if (spares_space != own_space())
		spares = 0;
	spares_space = own_space();
	return spares;
}

static int64_t
holdings_supply(uint32_t span)
{
	struct part b = batch();
	struct aegis_frame_rec *rec = (void *)b.at;
	int64_t st;

	if (!spares_own())
		return AEGIS_NO_MEMORY;
	*rec = (struct aegis_frame_rec){spare[--spares], span};
	st = aegis_mem_table(AEGIS_SELF, own_space(), b.offset, 1);
	if (st != 1)
		spares++;
	return st;
}

/* Even without spares a frame of a span that is known already can be had. */
static void
spares_fill(void)
{
	while (spares < SPARES) {
		struct part b = batch();
		struct aegis_frame_rec *rec = (void *)b.at;
		uint32_t want = SPARES - spares;
		int64_t st;

		for (uint32_t i = 0; i < want; i++)
			rec[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
		st = aegis_mem_alloc(places.cap, b.offset, want, 0);
		for (int64_t i = 0; i < st; i++)
			spare[spares++] = rec[i].pfn;
		if (st <= 0 && (st != AEGIS_NEED_TABLE || holdings_supply(rec->flags) != 1))
			return;
	}
}

/* The tables above va; 1: one was supplied, 0: all are there. */
static int64_t
tables_supply(uint64_t va)
{
	int64_t result = 0;

	for (uint32_t level = 3; level >= 1; level--) {
		struct part b = batch();
		struct aegis_bind *rec = (void *)b.at;
		int64_t st;

		if (!spares_own())
			spares_fill();
		if (!spares)
			return AEGIS_NO_MEMORY;
		*rec = (struct aegis_bind){va & ~((1ul << (12 + 9 * level)) - 1), spare[spares - 1],
					   AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level)};
		st = aegis_tlb_write(AEGIS_SELF, own_space(), b.offset, 1);
		if (st == 1) {
			spares--;
			result = 1;
		} else if (st != AEGIS_IN_USE) {
			return st;
		}
	}
	return result;
}

int64_t
exos_tables(uint64_t va, uint64_t len)
{
	if (!places.area)
		return -ENOSYS;
	for (uint64_t at = va & ~(LARGEST - 1); at < va + len; at += LARGEST) {
		int64_t st = tables_supply(at);

		if (st < 0)
			return exos_status_error(st);
	}
	return 0;
}

/* ---- frames ---- */

int64_t
exos_frames_alloc(uint32_t *pfns, uint32_t n)
{
	uint32_t done = 0;

	if (!places.area)
		return -ENOSYS;
	while (done < n) {
		struct part b = batch();
		struct aegis_frame_rec *rec = (void *)b.at;
		uint32_t step = n - done < 2 * b.binds ? n - done : 2 * b.binds;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			rec[i] = (struct aegis_frame_rec){pfns[done + i], 0};
		st = aegis_mem_alloc(places.cap, b.offset, step, 0);
		if (st > 0) {
			for (uint32_t i = 0; i < st; i++)
				pfns[done + i] = rec[i].pfn;
			done += (uint32_t)st;
			continue;
		}
		if (st == AEGIS_AGAIN)
			continue;
		if (st == AEGIS_NEED_TABLE) {
			uint32_t span = rec->flags;

			if (!spares_own())
				spares_fill();
			if (holdings_supply(span) == 1)
				continue;
		}
		exos_frames_free(pfns, done);
		return exos_status_error(st);
	}
	return 0;
}

int64_t
exos_frames_free(const uint32_t *pfns, uint32_t n)
{
	int64_t freed = 0;

	if (!places.area)
		return -ENOSYS;
	for (uint32_t done = 0; done < n;) {
		struct part b = batch();
		struct aegis_frame_rec *rec = (void *)b.at;
		uint32_t step = n - done < 2 * b.binds ? n - done : 2 * b.binds;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			rec[i] = (struct aegis_frame_rec){pfns[done + i], 0};
		st = aegis_mem_free(b.offset, step);
		if (st == AEGIS_AGAIN)
			continue;
		if (st > 0)
			freed += st;
		done += st > 0 ? (uint32_t)st : 1;
	}
	return freed;
}

/* ---- bindings ---- */

/* The first records of the batch; what is missing is supplied.  0 or an error. */
static int64_t
bind_supplied(struct aegis_bind first)
{
	int64_t st = tables_supply(first.va);

	if (!st) {
		if (!spares_own())
			spares_fill();
		st = holdings_supply(first.pfn / AEGIS_HOLD_SPAN);
	}
	return st == 1 ? 0 : st < 0 ? exos_status_error(st) : -ENOMEM;
}

int64_t
exos_bind(const struct aegis_bind *binds, uint32_t n)
{
	if (!places.area)
		return -ENOSYS;
	for (uint32_t done = 0; done < n;) {
		struct part b = batch();
		struct aegis_bind *rec = (void *)b.at;
		uint32_t step = n - done < b.binds ? n - done : b.binds;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			rec[i] = binds[done + i];
		st = aegis_tlb_write(AEGIS_SELF, own_space(), b.offset, step);
		if (st > 0) {
			done += (uint32_t)st;
			continue;
		}
		if (st == AEGIS_AGAIN)
			continue;
		st = st == AEGIS_NEED_TABLE ? bind_supplied(binds[done]) : exos_status_error(st);
		if (st)
			return st;
	}
	return 0;
}

int64_t
exos_bind_one(uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct part b;
	int64_t st;

	if (!places.area)
		return -ENOSYS;
	b = batch();
	*(struct aegis_bind *)(void *)b.at = (struct aegis_bind){va, pfn, prot};
	st = aegis_tlb_write(AEGIS_SELF, own_space(), b.offset, 1);
	if (st == 1)
		return 0;
	return exos_bind(&(struct aegis_bind){va, pfn, prot}, 1);
}

int64_t
exos_range_rest(uint64_t call, int64_t st)
{
	struct part b = batch();
	struct aegis_bind *rec = (void *)b.at;

	while (st == 0 || st == AEGIS_AGAIN)
		st = aegis_call5(AEGIS_NUMBER(call), AEGIS_SELF, own_space(), b.offset, 1, 0);
	return st < 0 ? exos_status_error(st) : rec->prot & WAS_BITS;
}

int64_t
exos_unbind(uint64_t va, uint32_t n)
{
	return range_change(AEGIS_CALL_tlb_delete, va, n, 0);
}

int64_t
exos_protect(uint64_t va, uint32_t n, uint32_t prot)
{
	return range_change(AEGIS_CALL_tlb_protect, va, n, prot);
}

int64_t
exos_clean(uint64_t va, uint32_t n)
{
	return exos_protect(va, n, AEGIS_BIND_CLEAR);
}

int64_t
exos_protect_each(struct aegis_bind *ranges, uint32_t n)
{
	if (!places.area)
		return -ENOSYS;
	while (n) {
		struct part b = batch();
		struct aegis_bind *rec = (void *)b.at;
		uint32_t step = n < b.binds ? n : b.binds;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			rec[i] = ranges[i];
		st = aegis_tlb_protect(AEGIS_SELF, own_space(), b.offset, step);
		if (st < 0 && st != AEGIS_AGAIN)
			return exos_status_error(st);
		st = st < 0 ? 0 : st;
		for (int64_t i = 0; i < st; i++)
			ranges[i].prot = rec[i].prot;
		ranges += st;
		n -= (uint32_t)st;
		if (st < (int64_t)step)
			*ranges = rec[st]; /* what remains of it */
	}
	return 0;
}

struct aegis_bind *
exos_batch(void)
{
	return places.area ? (void *)batch().at : NULL;
}

int64_t
exos_batch_protect(uint32_t n)
{
	int64_t st;

	if (!places.area)
		return -ENOSYS;
	st = aegis_tlb_protect(AEGIS_SELF, own_space(), batch().offset, n);
	return st == AEGIS_AGAIN ? 0 : exos_status_error(st);
}
