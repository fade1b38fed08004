/* SPDX-License-Identifier: MIT */
/* Page tables for programs, linear and inverted, against an array: random calls, the same answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exos/pagetable.h>

#define PAGES   4096u
#define PRESENT 600u
#define BASE    0x7f0000000000ul
#define STEPS   200000u

static uint32_t model[PAGES];
static uint32_t count;

static bool
set_agrees(const struct exos_table_ops *ops, struct exos_table *t, uint32_t i)
{
	uint32_t entry =
		rand() % 3 ? ((uint32_t)rand() % 1000 + 1) | EXOS_PAGE_PROT(rand() % 4) : 0;
	bool full = ops == &exos_inverted && entry && !model[i] && count == PRESENT;

	if (ops->set(t, BASE + i * 4096ul, entry) == full)
		return false;
	if (!full) {
		count += (entry != 0) - (model[i] != 0);
		model[i] = entry;
	}
	return true;
}

static void
protect_both(const struct exos_table_ops *ops, struct exos_table *t, uint32_t i)
{
	uint32_t n = (uint32_t)rand() % 2000, prot = EXOS_PAGE_PROT(rand() % 4);

	n = n < PAGES - i ? n : PAGES - i;
	ops->protect(t, BASE + i * 4096ul, n, prot);
	for (uint32_t k = i; k < i + n; k++) {
		if (model[k])
			model[k] = (model[k] & ~EXOS_PAGE_PROT(7)) | prot;
	}
}

static bool
lookup_agrees(const struct exos_table_ops *ops, struct exos_table *t, uint32_t i)
{
	uint32_t entry = ops->lookup(t, BASE + i * 4096ul);

	return (entry & EXOS_PAGE_PFN ? entry : 0) == model[i];
}

static bool
walk_agrees(const struct exos_table_ops *ops, struct exos_table *t)
{
	uint64_t cursor = 0, va;
	uint32_t entry, seen = 0;

	while (ops->next(t, &cursor, &va, &entry)) {
		if (model[(va - BASE) / 4096] != entry)
			return false;
		seen++;
	}
	return seen == count;
}

static bool
agrees(const struct exos_table_ops *ops)
{
	struct exos_table *t = ops->make(BASE, PAGES, PRESENT);
	bool good = t;

	memset(model, 0, sizeof(model));
	count = 0;
	srand(3);
	for (uint32_t step = 0; good && step < STEPS; step++) {
		uint32_t i = (uint32_t)rand() % PAGES;

		switch (rand() % 4) {
		case 0:
			protect_both(ops, t, i);
			break;
		case 1:
			good = lookup_agrees(ops, t, i);
			break;
		default:
			good = set_agrees(ops, t, i);
		}
		if (step % 5000 == 0)
			good = good && walk_agrees(ops, t);
	}
	if (t)
		ops->destroy(t);
	return good;
}

int
main(void)
{
	const struct exos_table_ops *all[] = {&exos_linear, &exos_inverted};
	int bad = 0;

	for (int i = 0; i < 2; i++) {
		bool good = agrees(all[i]);

		printf("%sok %d - %s page table\n", good ? "" : "not ", i + 1, all[i]->name);
		bad += !good;
	}
	printf("1..2\n");
	return bad != 0;
}
