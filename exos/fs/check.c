/* SPDX-License-Identifier: MIT */
/*
 * Asserts every invariant of the file system. Owns nothing; writes only the scratch field of
 * inodes. Costs time in proportion to everything there is, times a logarithm: for tests, fuzzers
 * and checked builds.
 */
#include "exos/fs/priv.h"

struct checking {
	struct fs *fs;
	const char *reason;
	uint64_t heap, frames, borrowed;
	uint32_t inodes;
};

static bool
fail(struct checking *ck, const char *reason)
{
	if (!ck->reason)
		ck->reason = reason;
	return false;
}

#define HOLDS(condition, reason)                 \
	do {                                     \
		if (!(condition))                \
			return fail(ck, reason); \
	} while (0)

static bool
check_name(struct checking *ck, const struct fs_dirent *entry)
{
	HOLDS(entry->len && entry->len <= FS_NAME_MAX, "name length");
	for (uint32_t i = 0; i < entry->len; i++)
		HOLDS(entry->name[i] && entry->name[i] != '/', "name character");
	HOLDS(!(entry->len == 1 && entry->name[0] == '.'), "entry for .");
	HOLDS(!(entry->len == 2 && entry->name[0] == '.' && entry->name[1] == '.'), "entry for ..");
	return true;
}

static bool
check_entry(struct checking *ck, struct fs_inode *dir, struct fs_dirent *entry)
{
	const struct fs_node *node = &entry->node;
	struct fs_inode *inode = entry->inode;
	uint64_t hash = fs_hash(ck->fs, entry->name, entry->len) & ck->fs->hash_mask;

	HOLDS(!node->left || (node->left->prio <= node->prio && node->left->key < node->key),
	      "treap order, left");
	HOLDS(!node->right || (node->right->prio <= node->prio && node->right->key > node->key),
	      "treap order, right");
	HOLDS(node->key >> 8 == (hash ? hash : 1), "entry key is not its name's hash");
	HOLDS(dir_find(ck->fs, dir, entry->name, entry->len) == entry,
	      "entry is not found by name");
	HOLDS(inode && inode_at(ck->fs, inode->id) == inode, "entry names no live inode");
	HOLDS(!inode->synth, "entry names a synthetic inode");
	ck->heap += sizeof(*entry) + entry->len;
	inode->seen++;
	if (inode_is(inode, FS_IFDIR)) {
		HOLDS(inode->parent == dir, "parent pointer");
		HOLDS(inode->entry == entry, "directory does not know its entry");
	}
	HOLDS(!inode->entry || inode->entry->inode == inode, "the entry that an inode knows");
	return check_name(ck, entry);
}

static bool
check_dir(struct checking *ck, struct fs_inode *dir)
{
	uint32_t count = 0, subdirs = 0;
	uint64_t last = 0;
	struct fs_node *node;

	while ((node = treap_after(dir->dir.names, last))) {
		struct fs_dirent *entry = FS_CONTAINER(node, struct fs_dirent, node);

		if (!check_entry(ck, dir, entry))
			return false;
		subdirs += inode_is(entry->inode, FS_IFDIR);
		count++;
		last = node->key;
	}
	HOLDS(count == dir->dir.count, "directory entry count");
	if (!dir->nlink) {
		HOLDS(!count && !dir->entry && dir->flags & INODE_PIN, "removed directory");
		HOLDS(dir->refs, "removed directory without references lives");
		HOLDS(inode_at(ck->fs, dir->parent->id) == dir->parent, "pinned parent");
		return true;
	}
	HOLDS(dir->nlink == 2 + subdirs, "directory link count");
	HOLDS(!(dir->flags & INODE_PIN), "pin on a live directory");
	HOLDS(!dir->dir.covered || (dir->dir.covered->over == dir && dir->refs), "mount");
	return true;
}

static bool
check_file(struct checking *ck, struct fs_inode *inode)
{
	uint64_t nodes, last = pages_of(inode->size);
	const uint32_t *slots;

	HOLDS(inode->size <= FS_FILE_MAX, "file size");
	HOLDS(pages_check(&inode->pages, &nodes), "frame map");
	ck->heap += nodes * sizeof(struct fs_tnode);
	ck->frames += inode->pages.own;
	ck->borrowed += inode->pages.borrowed;
	for (uint64_t index = last; index < FS_FILE_MAX >> FS_PAGE_SHIFT;) {
		uint64_t run = pages_run(&inode->pages, index, &slots);

		for (uint64_t i = 0; slots && i < run; i++) {
			HOLDS(!(slots[i] & 1), "borrowed page beyond the end");
			HOLDS(!slots[i] || inode->refs, "page beyond the end of an unused file");
		}
		if (run > FS_FILE_MAX)
			break;
		index += run;
	}
	return true;
}

static bool
check_inode(struct checking *ck, struct fs_inode *inode)
{
	struct fs_synth *synth = inode->synth;

	ck->heap += sizeof(*inode);
	ck->inodes++;
	if (synth) {
		struct fs_inode *at =
			synth->mount->live[(synth->key ^ synth->key >> 16) % FS_SYNTH_BUCKETS];

		ck->heap += sizeof(*synth) + synth->len;
		HOLDS(inode->refs, "synthetic inode without references lives");
		if (inode->flags & INODE_SEALED)
			return check_file(ck, inode);
		while (at && at != inode)
			at = at->synth->next;
		HOLDS(at, "synthetic inode is not listed");
		HOLDS(!synth->parent || synth->parent->refs, "synthetic parent");
		return true;
	}
	switch (inode->mode & FS_IFMT) {
	case FS_IFREG:
		return check_file(ck, inode);
	case FS_IFDIR:
		return check_dir(ck, inode);
	case FS_IFLNK:
		HOLDS(inode->link.text && inode->link.len && inode->link.len < FS_PATH_MAX,
		      "symbolic link");
		ck->heap += inode->link.len + 1ull;
		return true;
	case FS_IFIFO:
	case FS_IFSOCK:
	case FS_IFCHR:
	case FS_IFBLK:
		return true;
	default:
		return fail(ck, "inode type");
	}
}

/* After all entries were seen: links, and the way up to the root. */
static bool
check_links(struct checking *ck, struct fs_inode *inode)
{
	struct fs_inode *dir = inode;
	uint32_t steps = 0;

	if (inode->synth)
		return true;
	if (!inode_is(inode, FS_IFDIR)) {
		HOLDS(inode->nlink == inode->seen, "link count");
		HOLDS(inode->nlink || inode->refs, "inode without names or references lives");
		return true;
	}
	HOLDS(inode->seen == (inode->nlink && inode != ck->fs->root), "directory's names");
	while (dir != ck->fs->root) {
		HOLDS(steps++ <= ck->inodes, "directory cycle");
		dir = dir->parent;
	}
	return true;
}

static bool
check_all(struct checking *ck)
{
	struct fs *fs = ck->fs;
	struct fs_inode *inode;

	HOLDS(fs->root && inode_at(fs, FS_ROOT_ID) == fs->root && inode_is(fs->root, FS_IFDIR) &&
		      fs->root->parent == fs->root && fs->root->nlink,
	      "root");
	for (uint32_t id = FS_ROOT_ID; id < fs->fresh; id++) {
		inode = inode_at(fs, id);
		if (inode) {
			HOLDS(inode->id == id, "inode number");
			inode->seen = 0;
		}
	}
	for (uint32_t id = FS_ROOT_ID; id < fs->fresh; id++) {
		inode = inode_at(fs, id);
		if (inode && !check_inode(ck, inode))
			return false;
	}
	for (uint32_t id = FS_ROOT_ID; id < fs->fresh; id++) {
		inode = inode_at(fs, id);
		if (inode && !check_links(ck, inode))
			return false;
	}
	HOLDS(ck->inodes == fs->usage.inodes, "inode count");
	HOLDS(ck->frames == fs->usage.frames, "frame count");
	HOLDS(ck->borrowed == fs->usage.borrowed, "borrowed count");
	HOLDS(ck->heap == fs->usage.heap_bytes, "heap bytes");
	HOLDS(!fs->limits.frames_max || fs->usage.frames <= fs->limits.frames_max, "frame limit");
	HOLDS(!fs->limits.heap_max || fs->usage.heap_bytes <= fs->limits.heap_max, "heap limit");
	return true;
}

bool
fs_check(struct fs *fs, const char **reason)
{
	struct checking ck = {.fs = fs};
	bool good;

	ck.heap = sizeof(*fs) + FS_CHUNKS * sizeof(*fs->table);
	for (uint32_t i = 0; i < FS_CHUNKS; i++)
		ck.heap += fs->table[i] ? FS_CHUNK * sizeof(**fs->table) : 0;
	for (const struct fs_mount *mount = fs->mounts; mount; mount = mount->next)
		ck.heap += sizeof(*mount);
	good = check_all(&ck);
	if (reason)
		*reason = ck.reason;
	return good;
}
