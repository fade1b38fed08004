/* SPDX-License-Identifier: MIT */
/*
 * A search tree over 64-bit keys whose nodes live in their owners, so that neither insertion nor
 * removal can fail for want of memory.
 *
 * Invariants: (1) in key order, keys distinct; (2) no node's priority exceeds its parent's.
 * Priorities are random numbers that clients neither see nor choose, so the expected depth is
 * logarithmic whatever keys they make. No recursion: the stack needed is constant.
 */
#include "exos/fs/priv.h"

static void
treap_split(struct fs_node *tree, uint64_t key, struct fs_node **below, struct fs_node **above)
{
	while (tree) {
		if (tree->key < key) {
			*below = tree;
			below = &tree->right;
			tree = tree->right;
		} else {
			*above = tree;
			above = &tree->left;
			tree = tree->left;
		}
	}
	*below = NULL;
	*above = NULL;
}

void
treap_insert(struct fs_node **root, struct fs_node *node)
{
	while (*root && (*root)->prio >= node->prio)
		root = node->key < (*root)->key ? &(*root)->left : &(*root)->right;
	treap_split(*root, node->key, &node->left, &node->right);
	*root = node;
}

void
treap_remove(struct fs_node **root, struct fs_node *node)
{
	struct fs_node *a = node->left, *b = node->right;

	while (*root != node)
		root = node->key < (*root)->key ? &(*root)->left : &(*root)->right;
	while (a && b) {
		if (a->prio >= b->prio) {
			*root = a;
			root = &a->right;
			a = a->right;
		} else {
			*root = b;
			root = &b->left;
			b = b->left;
		}
	}
	*root = a ? a : b;
	node->left = NULL;
	node->right = NULL;
}

struct fs_node *
treap_find(struct fs_node *root, uint64_t key)
{
	while (root && root->key != key)
		root = key < root->key ? root->left : root->right;
	return root;
}

struct fs_node *
treap_after(struct fs_node *root, uint64_t key)
{
	struct fs_node *best = NULL;

	while (root) {
		if (root->key > key) {
			best = root;
			root = root->left;
		} else {
			root = root->right;
		}
	}
	return best;
}
