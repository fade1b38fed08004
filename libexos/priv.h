/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of libexos: where batches lie, and a change of protection, whose few instructions
 * both mem.c and vm.c have in their own functions.
 */
#ifndef LIBEXOS_PRIV_H
#define LIBEXOS_PRIV_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef AEGIS_STUBS
#define AEGIS_STUBS
#endif
#include <exos/api.h>
#include <exos/mem.h>

#define WAS_BITS (AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY)

/* mem.c: filled before main; area is 0 where this is not ExOS. */
extern struct exos_places exos_places_own;
#define places exos_places_own

/* mem.c: enum aegis_status as a negative Linux error number. */
int64_t exos_status_error(int64_t status);
/* mem.c: goes on with a range that the kernel did in part, or answers what was wrong. */
int64_t exos_range_rest(uint64_t call, int64_t st);

struct part {
	uint8_t *at;
	uint32_t offset, binds;
};

static inline struct part
batch(void)
{
	const volatile struct aegis_area *area = (const void *)places.area;
	bool handler = area->defer;
	uint32_t offset = handler ? places.handler_batch : places.program_batch;

	return (struct part){(uint8_t *)places.area + offset, offset,
			     handler ? places.handler_binds : places.program_binds};
}

/* A child has another space, and the same copy of the library's data. */
static inline uint32_t
own_space(void)
{
	return *(const volatile uint32_t *)places.space;
}

static inline int64_t
range_change(uint64_t call, uint64_t va, uint32_t n, uint32_t prot)
{
	struct aegis_bind *rec;
	struct part b;
	int64_t st;

	if (!places.area)
		return -ENOSYS;
	b = batch();
	rec = (void *)b.at;
	*rec = (struct aegis_bind){va, n, prot};
	st = aegis_call5(AEGIS_NUMBER(call), AEGIS_SELF, own_space(), b.offset, 1, 0);
	return __builtin_expect(st == 1, 1) ? rec->prot & WAS_BITS : exos_range_rest(call, st);
}

#endif
