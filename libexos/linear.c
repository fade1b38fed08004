/* SPDX-License-Identifier: MIT */
/*
 * The linear page table (include/exos/pagetable.h): an array, indexed by page.
 *
 * Owns: the mapping that holds the array and, before it, how many entries each chunk of it uses.
 *
 * 1. A chunk is a page of entries.  A chunk that uses none was never touched since it was given back,
 *    and takes no memory.
 * 2. An entry without a frame is no page, whatever its other bits say.
 */
#include <stddef.h>
#include <sys/mman.h>

#include <exos/pagetable.h>

#define PAGE  4096ul
#define CHUNK (PAGE / sizeof(uint32_t))

struct exos_table {
	uint64_t start, pages, size, chunks;
	uint32_t *entry;
	uint16_t used[];
};

static struct exos_table *
linear_make(uint64_t start, uint64_t pages, uint64_t present)
{
	uint64_t count = pages / CHUNK + 1;
	uint64_t head = (sizeof(struct exos_table) + count * sizeof(uint16_t) + PAGE - 1) & -PAGE;
	uint64_t size = head + count * PAGE;
	struct exos_table *t = mmap(NULL, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)present;
	if (t == MAP_FAILED)
		return NULL;
	t->start = start;
	t->pages = pages;
	t->size = size;
	t->entry = (uint32_t *)((uint8_t *)t + head);
	return t;
}

static uint32_t
linear_lookup(const struct exos_table *t, uint64_t va)
{
	uint64_t i = (va - t->start) / PAGE;

	return i < t->pages && t->used[i / CHUNK] ? t->entry[i] : 0;
}

static bool
linear_set(struct exos_table *t, uint64_t va, uint32_t entry)
{
	uint64_t i = (va - t->start) / PAGE;
	uint16_t *used = &t->used[i / CHUNK];
	bool was, is = entry & EXOS_PAGE_PFN;

	if (i >= t->pages)
		return false;
	was = *used && (t->entry[i] & EXOS_PAGE_PFN);
	if (!was && !is)
		return true;
	t->chunks += !*used;
	*used = (uint16_t)(*used + is - was);
	t->entry[i] = entry;
	if (!*used) {
		/* What protections it holds means nothing; its memory stays until the end. */
		t->chunks--;
	}
	return true;
}

static __attribute__((noinline)) void
protect_run(struct exos_table *t, uint64_t i, uint64_t end, uint32_t prot)
{
	const uint32_t keep = ~EXOS_PAGE_PROT(7);

	while (i < end) {
		uint64_t stop = (i / CHUNK + 1) * CHUNK;
		uint32_t *e = &t->entry[i], *last;

		stop = stop < end ? stop : end;
		last = &t->entry[stop];
		if (!t->used[i / CHUNK])
			last = e;
		i = stop;
		/* Two at a time: of an entry without a frame the protection means nothing. */
		for (; last - e >= 2; e += 2) {
			uint64_t two;

			__builtin_memcpy(&two, e, sizeof(two));
			two = (two & (keep | (uint64_t)keep << 32)) | prot | (uint64_t)prot << 32;
			__builtin_memcpy(e, &two, sizeof(two));
		}
		if (e != last)
			*e = (*e & keep) | prot;
	}
}

static void
linear_protect(struct exos_table *t, uint64_t va, uint64_t n, uint32_t prot)
{
	uint64_t i = (va - t->start) / PAGE;

	if (n == 1 && t->used[i / CHUNK])
		t->entry[i] = (t->entry[i] & ~EXOS_PAGE_PROT(7)) | prot;
	else
		protect_run(t, i, i + n, prot);
}

static bool
linear_next(const struct exos_table *t, uint64_t *cursor, uint64_t *va, uint32_t *entry)
{
	uint64_t i = *cursor;

	while (i < t->pages) {
		if (!t->used[i / CHUNK]) {
			i = (i / CHUNK + 1) * CHUNK;
			continue;
		}
		if (t->entry[i] & EXOS_PAGE_PFN) {
			*va = t->start + i * PAGE;
			*entry = t->entry[i];
			*cursor = i + 1;
			return true;
		}
		i++;
	}
	return false;
}

static uint64_t
linear_memory(const struct exos_table *t)
{
	return t->chunks * PAGE + (uint64_t)((uint8_t *)t->entry - (uint8_t *)t);
}

static void
linear_destroy(struct exos_table *t)
{
	munmap(t, t->size);
}

const struct exos_table_ops exos_linear = {
	.name = "linear",
	.make = linear_make,
	.lookup = linear_lookup,
	.set = linear_set,
	.protect = linear_protect,
	.next = linear_next,
	.memory = linear_memory,
	.destroy = linear_destroy,
};
