/* SPDX-License-Identifier: MIT */
/*
 * A sized heap over pages from a callback.
 *
 * Owns the pages it got from the source and has not given back. A slab is one page: a 64-byte
 * header, then blocks of one size class. Invariants: (1) a set bit in a slab's map is a free block;
 * bits past the class's block count are clear; (2) free counts the set bits; a slab is on its
 * class's list exactly when free > 0; (3) of slabs that are entirely free at most one per class is
 * kept, and only when it is the only slab on the list; (4) pages counts slabs and the pages of
 * large blocks. No free list lives in freed blocks, so a wild write into one cannot redirect an
 * allocation, and a second free of the same block is seen. Context: one owner, not reentrant.
 * heap_trim gives the rest back.
 */
#include "exos/lib/lib.h"

#define SLAB_MAGIC  0x51ab51abu
#define SLAB_HEADER 64u
#define SLAB_WORDS  4u

struct heap_slab {
	struct heap_slab *next;
	struct heap_slab *prev;
	uint64_t map[SLAB_WORDS];
	uint32_t magic;
	uint16_t free;
	uint8_t kind;
	uint8_t spare[9];
};

_Static_assert(sizeof(struct heap_slab) == SLAB_HEADER, "blocks start at 64");

/* Chosen so that little of the 4032 bytes behind the header is lost. */
static const uint16_t class_size[HEAP_CLASSES] = {
	16,  32,  48,  64,  80,  96,  112, 128, 144, 160,  192,  224,  256,
	288, 336, 368, 400, 448, 496, 576, 672, 800, 1008, 1344, 2016,
};

/* class_of[(size + 15) / 16]: the first class that holds size; index 0 is never asked. */
static const uint8_t class_of[HEAP_SMALL / 16 + 1] = {
	0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14,
	15, 15, 16, 16, 17, 17, 17, 18, 18, 18, 19, 19, 19, 19, 19, 20, 20, 20, 20, 20, 20, 21,
	21, 21, 21, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 23, 23,
	23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 24, 24, 24,
	24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24,
	24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24,
};

static unsigned
class_blocks(unsigned kind)
{
	return (HEAP_PAGE - SLAB_HEADER) / class_size[kind];
}

static void
slab_link(struct heap *heap, struct heap_slab *slab)
{
	struct heap_slab **head = &heap->partial[slab->kind];

	slab->prev = NULL;
	slab->next = *head;
	if (*head)
		(*head)->prev = slab;
	*head = slab;
}

static void
slab_unlink(struct heap *heap, struct heap_slab *slab)
{
	if (slab->prev)
		slab->prev->next = slab->next;
	else
		heap->partial[slab->kind] = slab->next;
	if (slab->next)
		slab->next->prev = slab->prev;
}

static struct heap_slab *
slab_new(struct heap *heap, unsigned kind)
{
	struct heap_slab *slab = heap->source.pages_get(heap->source.ctx, 1);
	unsigned blocks = class_blocks(kind);

	if (!slab)
		return NULL;
	memset(slab, 0, sizeof(*slab));
	slab->magic = SLAB_MAGIC;
	slab->kind = (uint8_t)kind;
	slab->free = (uint16_t)blocks;
	for (unsigned i = 0; i < blocks; i++)
		slab->map[i / 64] |= 1ull << (i % 64);
	heap->pages++;
	slab_link(heap, slab);
	return slab;
}

static void
slab_put(struct heap *heap, struct heap_slab *slab)
{
	slab_unlink(heap, slab);
	slab->magic = 0;
	heap->pages--;
	heap->source.pages_put(heap->source.ctx, slab, 1);
}

void
heap_init(struct heap *heap, const struct heap_source *source)
{
	memset(heap, 0, sizeof(*heap));
	heap->source = *source;
}

static void *
large_alloc(struct heap *heap, size_t size)
{
	size_t count = size / HEAP_PAGE + (size % HEAP_PAGE != 0);
	void *pages = heap->source.pages_get(heap->source.ctx, count);

	if (pages) {
		heap->pages += count;
		heap->blocks++;
	}
	return pages;
}

void *
heap_alloc(struct heap *heap, size_t size)
{
	struct heap_slab *slab;
	unsigned kind, word = 0, bit;

	if (size > HEAP_SMALL)
		return large_alloc(heap, size);
	kind = size ? class_of[(size + 15) / 16] : 0;
	slab = heap->partial[kind];
	if (!slab)
		slab = slab_new(heap, kind);
	if (!slab)
		return NULL;
	while (!slab->map[word])
		word++;
	bit = (unsigned)__builtin_ctzll(slab->map[word]);
	slab->map[word] &= slab->map[word] - 1;
	if (--slab->free == 0)
		slab_unlink(heap, slab);
	heap->blocks++;
	return (uint8_t *)slab + SLAB_HEADER + (size_t)(word * 64 + bit) * class_size[kind];
}

static bool
large_free(struct heap *heap, void *ptr, size_t size)
{
	size_t count = size / HEAP_PAGE + (size % HEAP_PAGE != 0);

	if ((uintptr_t)ptr % HEAP_PAGE || count > heap->pages)
		return false;
	heap->pages -= count;
	heap->blocks--;
	heap->source.pages_put(heap->source.ctx, ptr, count);
	return true;
}

bool
heap_free(struct heap *heap, void *ptr, size_t size)
{
	struct heap_slab *slab;
	unsigned kind, offset, index;
	uint64_t bit;

	if (!ptr)
		return true;
	if (size > HEAP_SMALL)
		return large_free(heap, ptr, size);
	kind = size ? class_of[(size + 15) / 16] : 0;
	offset = (unsigned)((uintptr_t)ptr % HEAP_PAGE);
	slab = (struct heap_slab *)((uint8_t *)ptr - offset);
	if (offset < SLAB_HEADER || slab->magic != SLAB_MAGIC || slab->kind != kind)
		return false;
	index = (offset - SLAB_HEADER) / class_size[kind];
	bit = 1ull << (index % 64);
	if ((offset - SLAB_HEADER) % class_size[kind] || index >= class_blocks(kind) ||
	    slab->map[index / 64] & bit)
		return false;
	slab->map[index / 64] |= bit;
	heap->blocks--;
	if (slab->free++ == 0) {
		struct heap_slab *kept = heap->partial[kind];

		if (kept && kept->free == class_blocks(kind))
			slab_put(heap, kept);
		slab_link(heap, slab);
	}
	if (slab->free == class_blocks(kind) && (slab->next || slab->prev))
		slab_put(heap, slab);
	return true;
}

void
heap_trim(struct heap *heap)
{
	for (unsigned kind = 0; kind < HEAP_CLASSES; kind++) {
		struct heap_slab *slab = heap->partial[kind];

		if (slab && slab->free == class_blocks(kind))
			slab_put(heap, slab);
	}
}

size_t
heap_slab_used(const void *page)
{
	const struct heap_slab *slab = page;
	unsigned blocks = class_blocks(slab->kind), used = 0;

	for (unsigned first = 0; first < blocks; first += 64) {
		uint64_t word = ~slab->map[first / 64];

		/* Bits past the last block are no blocks. */
		if (blocks - first < 64)
			word &= (1ull << (blocks - first)) - 1;
		if (word)
			used = first + 64 - (unsigned)__builtin_clzll(word);
	}
	return SLAB_HEADER + (size_t)used * class_size[slab->kind];
}

bool
heap_check(const struct heap *heap)
{
	size_t slabs = 0;

	for (unsigned kind = 0; kind < HEAP_CLASSES; kind++) {
		const struct heap_slab *prev = NULL;

		for (const struct heap_slab *slab = heap->partial[kind]; slab; slab = slab->next) {
			unsigned bits = 0, blocks = class_blocks(kind);

			for (unsigned i = 0; i < SLAB_WORDS * 64; i++) {
				bool free = slab->map[i / 64] >> (i % 64) & 1;

				if (free && i >= blocks)
					return false;
				bits += free;
			}
			if (slab->magic != SLAB_MAGIC || slab->kind != kind || slab->prev != prev ||
			    !bits || bits != slab->free)
				return false;
			if (bits == blocks && (slab->next || prev))
				return false;
			prev = slab;
			slabs++;
		}
	}
	return slabs <= heap->pages;
}
