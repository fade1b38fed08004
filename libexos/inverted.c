/* SPDX-License-Identifier: MIT */
/*
 * The inverted page table (include/exos/pagetable.h): a hash table of the pages that are there.
 *
 * Owns: the mapping that holds its slots.
 *
 * 1. Slots are a power of two, at least twice the pages that may be there.
 * 2. A page is at the slot of its hash or behind it, with no empty slot between.
 * 3. A slot without a page is all zeros.
 */
#include <stddef.h>
#include <sys/mman.h>

#include <exos/pagetable.h>

#define PAGE 4096ul

struct slot {
	uint64_t page; /* va / PAGE; 0: empty */
	uint32_t entry, reserved;
};

struct exos_table {
	uint64_t size, count, limit, mask;
	uint32_t shift;
	struct slot slot[];
};

static struct exos_table *
inverted_make(uint64_t start, uint64_t pages, uint64_t present)
{
	uint32_t bits = 4;
	struct exos_table *t;
	uint64_t size;

	(void)start;
	(void)pages;
	while ((1ul << bits) < 2 * present)
		bits++;
	size = (sizeof(*t) + (sizeof(struct slot) << bits) + PAGE - 1) & -PAGE;
	t = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		return NULL;
	t->size = size;
	t->limit = present;
	t->mask = (1ul << bits) - 1;
	t->shift = 64 - bits;
	return t;
}

static inline uint64_t
hash(const struct exos_table *t, uint64_t page)
{
	return page * 0x9e3779b97f4a7c15ul >> t->shift;
}

/* The page's slot, or the empty one where it would be. */
static inline uint64_t
find(const struct exos_table *t, uint64_t page)
{
	uint64_t i = hash(t, page);

	while (t->slot[i].page && t->slot[i].page != page)
		i = (i + 1) & t->mask;
	return i;
}

static uint32_t
inverted_lookup(const struct exos_table *t, uint64_t va)
{
	return t->slot[find(t, va / PAGE)].entry;
}

/* Empties slot i, and moves into it what would no longer be found behind it. */
static void
slot_empty(struct exos_table *t, uint64_t i)
{
	uint64_t at = i;

	for (;;) {
		uint64_t home;

		at = (at + 1) & t->mask;
		if (!t->slot[at].page)
			break;
		home = hash(t, t->slot[at].page);
		/* Stays if its home is behind the hole. */
		if (((at - home) & t->mask) < ((at - i) & t->mask))
			continue;
		t->slot[i] = t->slot[at];
		i = at;
	}
	t->slot[i] = (struct slot){0};
}

static bool
inverted_set(struct exos_table *t, uint64_t va, uint32_t entry)
{
	uint64_t i = find(t, va / PAGE);
	bool was = t->slot[i].page, is = entry & EXOS_PAGE_PFN;

	if (!was && is && t->count == t->limit)
		return false;
	t->count = t->count + is - was;
	if (is)
		t->slot[i] = (struct slot){va / PAGE, entry, 0};
	else if (was)
		slot_empty(t, i);
	return true;
}

static void
inverted_protect(struct exos_table *t, uint64_t va, uint64_t n, uint32_t prot)
{
	for (uint64_t page = va / PAGE; n; n--, page++) {
		struct slot *s = &t->slot[find(t, page)];

		if (s->page)
			s->entry = (s->entry & ~EXOS_PAGE_PROT(7)) | prot;
	}
}

static bool
inverted_next(const struct exos_table *t, uint64_t *cursor, uint64_t *va, uint32_t *entry)
{
	for (uint64_t i = *cursor; i <= t->mask; i++) {
		if (!t->slot[i].page)
			continue;
		*va = t->slot[i].page * PAGE;
		*entry = t->slot[i].entry;
		*cursor = i + 1;
		return true;
	}
	return false;
}

static uint64_t
inverted_memory(const struct exos_table *t)
{
	return t->size;
}

static void
inverted_destroy(struct exos_table *t)
{
	munmap(t, t->size);
}

const struct exos_table_ops exos_inverted = {
	.name = "inverted",
	.make = inverted_make,
	.lookup = inverted_lookup,
	.set = inverted_set,
	.protect = inverted_protect,
	.next = inverted_next,
	.memory = inverted_memory,
	.destroy = inverted_destroy,
};
