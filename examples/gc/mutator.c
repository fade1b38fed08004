/* SPDX-License-Identifier: MIT */
/* The program that the collector works for (mutator.h).  Root 0 is the tree, the others are for building. */
#include "mutator.h"

#include <stddef.h>

static uint32_t seed = 12345;

static uint32_t
random_next(void)
{
	seed = seed * 1103515245u + 12345u;
	return seed >> 8;
}

/* A tree of `depth` levels above the leaves; children are linked by stores into nodes that may be old. */
static void
tree_grow(uint32_t depth)
{
	gc_roots[0] = gc_alloc(NULL, NULL, 1);
	for (uint32_t n = 2; n < 2u << depth; n++) {
		struct node *child = gc_alloc(NULL, NULL, n), *at = gc_roots[0];
		uint32_t bit = 31 - (uint32_t)__builtin_clz(n);

		while (--bit)
			at = n >> bit & 1 ? at->right : at->left;
		if (n & 1)
			at->right = child;
		else
			at->left = child;
	}
}

void
mutator_make(void)
{
	tree_grow(TREE_DEPTH);
	gc_collect();
}

/* A list of three, hung into a leaf of the tree: a store into an old page. */
static void
change(void)
{
	struct node *at;
	uint32_t path;

	gc_roots[1] = gc_alloc(NULL, NULL, random_next() & 255);
	gc_roots[1] = gc_alloc(gc_roots[1], NULL, random_next() & 255);
	path = random_next();
	at = gc_roots[0];
	for (uint32_t i = 0; i < TREE_DEPTH; i++)
		at = path >> i & 1 ? at->right : at->left;
	at->left = gc_roots[1];
	gc_roots[1] = NULL;
}

void
mutator_round(void)
{
	for (uint32_t i = 0; i < CHANGES; i++) {
		change();
		for (uint32_t k = 0; k < GARBAGE / CHANGES; k++)
			gc_alloc(NULL, NULL, k);
	}
}

static uint64_t
sum(const struct node *n)
{
	uint64_t s = 0;

	for (; n; n = n->right)
		s = s * 31 + n->value + sum(n->left);
	return s;
}

uint64_t
mutator_sum(void)
{
	return sum(gc_roots[0]);
}
