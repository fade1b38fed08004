/* SPDX-License-Identifier: MIT */
/*
 * The frame map of one file: a radix tree from page index to entry (hole, own frame, borrowed
 * frame).
 *
 * Owns its nodes. Height 0 holds one entry in the inode itself; height h has nodes of levels h - 1
 * .. 0, leaves of 128 entries below nodes of 64 children: 512 KiB, 32 MiB, 2 GiB, 128 GiB, 8 TiB,
 * 512 TiB. Invariants: (1) used counts the slots of a node that are not 0; (2) below the root no
 * node is empty; (3) own and borrowed count the entries of each kind; (4) levels are at most 6, so
 * recursion is bounded. A lookup, a change and growth take one step per level.
 */
#include "exos/fs/priv.h"

#define LEAF_BITS 7u
#define NODE_BITS 6u

static inline unsigned
level_shift(unsigned level)
{
	return level ? LEAF_BITS + NODE_BITS * (level - 1) : 0;
}

/* The highest index that a tree of this height can hold. */
static uint64_t
height_last(unsigned height)
{
	return (1ull << level_shift(height)) - 1;
}

static inline unsigned
node_slot(unsigned level, uint64_t index)
{
	if (!level)
		return index & (FS_LEAF_SLOTS - 1);
	return index >> level_shift(level) & (FS_NODE_SLOTS - 1);
}

uint64_t
pages_run(const struct fs_pages *pages, uint64_t index, const uint32_t **slots)
{
	const struct fs_tnode *node = pages->node;
	unsigned level = pages->height;

	*slots = NULL;
	if (index > height_last(level))
		return UINT64_MAX - index;
	if (!level) {
		*slots = &pages->entry;
		return 1;
	}
	while (node && --level)
		node = node->child[node_slot(level, index)];
	if (!node) {
		uint64_t span = 1ull << level_shift(level);

		return span - (index & (span - 1));
	}
	*slots = &node->entry[node_slot(0, index)];
	return FS_LEAF_SLOTS - node_slot(0, index);
}

uint32_t
pages_peek(const struct fs_pages *pages, uint64_t index)
{
	const uint32_t *slots;

	pages_run(pages, index, &slots);
	return slots ? *slots : 0;
}

static void
pages_count(struct fs *fs, struct fs_pages *pages, uint32_t entry, int64_t by)
{
	if (!entry)
		return;
	if (entry & 1) {
		pages->borrowed += (uint64_t)by;
		fs->usage.borrowed += (uint64_t)by;
	} else {
		pages->own += (uint64_t)by;
	}
}

static void
leaf_set(struct fs *fs, struct fs_pages *pages, struct fs_tnode *leaf, unsigned slot,
	 uint32_t entry)
{
	pages_count(fs, pages, leaf->entry[slot], -1);
	pages_count(fs, pages, entry, 1);
	leaf->used = (uint16_t)(leaf->used + (entry != 0) - (leaf->entry[slot] != 0));
	leaf->entry[slot] = entry;
}

/* A child is hung in only after everything below it is there: failure leaves no empty node. */
static int
node_set(struct fs *fs, struct fs_pages *pages, struct fs_tnode *node, unsigned level,
	 uint64_t index, uint32_t entry)
{
	unsigned slot = node_slot(level, index);
	struct fs_tnode *child;
	int err;

	if (!level) {
		leaf_set(fs, pages, node, slot, entry);
		return 0;
	}
	if (node->child[slot])
		return node_set(fs, pages, node->child[slot], level - 1, index, entry);
	err = mem_alloc(fs, sizeof(*child), &child);
	if (err)
		return err;
	err = node_set(fs, pages, child, level - 1, index, entry);
	if (err) {
		mem_free(fs, child, sizeof(*child));
		return err;
	}
	node->child[slot] = child;
	node->used++;
	return 0;
}

/* One level more; what is there becomes the first slot of the new root. */
static int
pages_grow(struct fs *fs, struct fs_pages *pages)
{
	struct fs_tnode *node;
	int err;

	if (pages->height && !pages->node) {
		pages->height++;
		return 0;
	}
	if (!pages->height && !pages->entry) {
		pages->height = 1;
		pages->node = NULL;
		return 0;
	}
	err = mem_alloc(fs, sizeof(*node), &node);
	if (err)
		return err;
	if (pages->height)
		node->child[0] = pages->node;
	else
		node->entry[0] = pages->entry;
	node->used = 1;
	pages->node = node;
	pages->height++;
	return 0;
}

int
pages_set(struct fs *fs, struct fs_pages *pages, uint64_t index, uint32_t entry)
{
	struct fs_tnode *node;
	int err;

	while (index > height_last(pages->height)) {
		err = pages_grow(fs, pages);
		if (err)
			return err;
	}
	if (!pages->height) {
		pages_count(fs, pages, pages->entry, -1);
		pages_count(fs, pages, entry, 1);
		pages->entry = entry;
		return 0;
	}
	if (pages->node)
		return node_set(fs, pages, pages->node, pages->height - 1, index, entry);
	err = mem_alloc(fs, sizeof(*node), &node);
	if (err)
		return err;
	err = node_set(fs, pages, node, pages->height - 1, index, entry);
	if (err)
		mem_free(fs, node, sizeof(*node));
	else
		pages->node = node;
	return err;
}

/* Bindings go first, then the frame. */
static void
entry_drop(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t entry)
{
	page_notify(fs, inode, index, entry);
	if (!(entry & 1))
		fs_frame_give(fs, entry_pfn(entry));
}

/* Drops the entries of a leaf from slot on, of which first is the index, up to `to`. */
static void
leaf_cut(struct fs *fs, struct fs_inode *inode, struct fs_tnode *node, unsigned slot,
	 uint64_t first, uint64_t to)
{
	unsigned end =
		to - first < FS_LEAF_SLOTS - slot ? slot + (unsigned)(to - first) : FS_LEAF_SLOTS;

	for (unsigned i = slot; node->used; i++) {
		uint32_t entry;

		while (i < end && !node->entry[i])
			i++;
		if (i == end)
			break;
		entry = node->entry[i];
		leaf_set(fs, &inode->pages, node, i, 0);
		entry_drop(fs, inode, first + (i - slot), entry);
	}
}

/* Drops the entries of this subtree, whose first index is base, that are in [from, to). */
static void
node_cut(struct fs *fs, struct fs_inode *inode, struct fs_tnode *node, unsigned level,
	 uint64_t base, uint64_t from, uint64_t to)
{
	uint64_t span = 1ull << level_shift(level);
	unsigned slot = from > base ? (unsigned)((from - base) >> level_shift(level)) : 0;

	if (!level && base + slot < to)
		leaf_cut(fs, inode, node, slot, base + slot, to);
	for (; level && slot < FS_NODE_SLOTS && node->used; slot++) {
		uint64_t first = base + slot * span;

		if (first >= to)
			break;
		if (node->child[slot]) {
			node_cut(fs, inode, node->child[slot], level - 1, first, from, to);
			if (!node->child[slot]->used) {
				mem_free(fs, node->child[slot], sizeof(*node));
				node->child[slot] = NULL;
				node->used--;
			}
		}
	}
}

void
pages_cut(struct fs *fs, struct fs_inode *inode, uint64_t from, uint64_t to)
{
	struct fs_pages *pages = &inode->pages;
	struct fs_tnode *node;
	uint32_t entry;

	if (!pages->height) {
		entry = pages->entry;
		if (entry && !from && to) {
			pages_count(fs, pages, entry, -1);
			pages->entry = 0;
			entry_drop(fs, inode, 0, entry);
		}
		return;
	}
	if (pages->node && from <= height_last(pages->height))
		node_cut(fs, inode, pages->node, pages->height - 1, 0, from, to);
	/* Fold what a smaller tree can hold. */
	while ((node = pages->node) && pages->height > 1 && node->used == 1 && node->child[0]) {
		pages->node = node->child[0];
		pages->height--;
		mem_free(fs, node, sizeof(*node));
	}
	node = pages->node;
	entry = node && pages->height == 1 && node->used == 1 ? node->entry[0] : 0;
	if (!node || !node->used || entry) {
		mem_free(fs, node, sizeof(*node));
		pages->node = NULL;
		pages->height = 0;
		pages->entry = entry;
	}
}

static bool
node_check(const struct fs_tnode *node, unsigned level, struct fs_pages *sum, uint64_t *nodes)
{
	unsigned used = 0;

	++*nodes;
	for (unsigned slot = 0; slot < (level ? FS_NODE_SLOTS : FS_LEAF_SLOTS); slot++) {
		if (level && node->child[slot]) {
			used++;
			if (!node->child[slot]->used ||
			    !node_check(node->child[slot], level - 1, sum, nodes))
				return false;
		} else if (!level && node->entry[slot]) {
			used++;
			sum->own += !(node->entry[slot] & 1);
			sum->borrowed += node->entry[slot] & 1;
		}
	}
	return used == node->used;
}

bool
pages_check(const struct fs_pages *pages, uint64_t *nodes)
{
	struct fs_pages sum = {0};

	*nodes = 0;
	if (pages->height > 6)
		return false;
	if (!pages->height) {
		sum.own = pages->entry && !(pages->entry & 1);
		sum.borrowed = pages->entry & 1;
	} else if (pages->node && !node_check(pages->node, pages->height - 1, &sum, nodes)) {
		return false;
	}
	return sum.own == pages->own && sum.borrowed == pages->borrowed;
}
