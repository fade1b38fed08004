/* SPDX-License-Identifier: MIT */
/*
 * The inode table: numbers, references, and the end of an inode.
 *
 * Owns every struct fs_inode. A table entry is 0 (never used), an inode pointer, or the number of
 * the next free entry shifted left with bit 0 set. Invariants: (1) an inode is in the table under
 * its id exactly as long as it lives; (2) an inode of the real tree lives while nlink or refs is
 * not 0; a synthetic one while refs is not 0; (3) free numbers queue, so that a number is reused as
 * late as possible; (4) a removed directory that is still referenced holds a reference on its
 * parent, so that ".." leads somewhere. The end of a chain of such directories is worked off in a
 * loop, not by recursion.
 */
#include "exos/fs/priv.h"

/* The entry of a number below fresh, or one that is reserved: its chunk is there. */
static uintptr_t *
table_entry(const struct fs *fs, uint32_t id)
{
	return &fs->table[id / FS_CHUNK][id % FS_CHUNK];
}

struct fs_inode *
inode_at(const struct fs *fs, uint32_t id)
{
	uintptr_t *entry;

	if (!id || id >= fs->fresh)
		return NULL;
	entry = table_entry(fs, id);
	return !(*entry & 1) ? (struct fs_inode *)*entry : NULL;
}

/* A free number, not yet taken. */
static int
table_reserve(struct fs *fs, uint32_t *id)
{
	uint32_t chunk = fs->fresh / FS_CHUNK;

	if (fs->usage.inodes >= fs->limits.inodes_max)
		return -ENOSPC;
	if (fs->free_head) {
		*id = fs->free_head;
		return 0;
	}
	if (fs->fresh > FS_INODES_MAX)
		return -ENOSPC;
	*id = fs->fresh;
	return fs->table[chunk] ? 0
				: mem_alloc(fs, FS_CHUNK * sizeof(**fs->table), &fs->table[chunk]);
}

static void
table_take(struct fs *fs, uint32_t id, struct fs_inode *inode)
{
	uintptr_t *entry = table_entry(fs, id);

	if (id == fs->free_head) {
		fs->free_head = (uint32_t)(*entry >> 1);
		if (!fs->free_head)
			fs->free_tail = 0;
	} else {
		fs->fresh++;
	}
	*entry = (uintptr_t)inode;
	fs->usage.inodes++;
}

static void
table_give(struct fs *fs, uint32_t id)
{
	*table_entry(fs, id) = 1;
	if (fs->free_tail)
		*table_entry(fs, fs->free_tail) = (uintptr_t)id << 1 | 1;
	else
		fs->free_head = id;
	fs->free_tail = id;
	fs->usage.inodes--;
}

int
inode_new(struct fs *fs, uint32_t mode, uint32_t uid, uint32_t gid, struct fs_inode **out)
{
	struct fs_inode *inode;
	uint32_t id;
	int err;

	err = table_reserve(fs, &id);
	if (!err)
		err = mem_alloc(fs, sizeof(*inode), &inode);
	if (err)
		return err;
	table_take(fs, id, inode);
	inode->id = id;
	inode->generation = ++fs->generation;
	inode->mode = mode;
	inode->uid = uid;
	inode->gid = gid;
	inode->btime = fs_now(fs);
	inode->atime = inode->btime;
	inode->mtime = inode->btime;
	inode->ctime = inode->btime;
	*out = inode;
	return 0;
}

static void
dir_release(struct fs *fs, struct fs_inode *dir)
{
	while (dir->dir.names) {
		struct fs_node *node = dir->dir.names;

		treap_remove(&dir->dir.names, node);
		dirent_free(fs, FS_CONTAINER(node, struct fs_dirent, node));
	}
}

void
inode_release(struct fs *fs, struct fs_inode *inode)
{
	if (fs->ops->inode_gone)
		fs->ops->inode_gone(fs->ctx, inode);
	if (inode->synth) {
		if (!(inode->flags & INODE_SEALED))
			synth_forget(fs, inode);
		mem_free(fs, inode->synth, sizeof(*inode->synth) + inode->synth->len);
	}
	if (inode_is(inode, FS_IFREG))
		pages_cut(fs, inode, 0, UINT64_MAX);
	else if (inode_is(inode, FS_IFDIR))
		dir_release(fs, inode);
	else if (inode_is(inode, FS_IFLNK) && inode->link.text)
		mem_free(fs, inode->link.text, inode->link.len + 1ull);
	table_give(fs, inode->id);
	mem_free(fs, inode, sizeof(*inode));
}

void
inode_reap(struct fs *fs, struct fs_inode *inode)
{
	while (inode && !inode->refs) {
		struct fs_inode *next = NULL;

		if (inode_is(inode, FS_IFREG) && inode->nlink && !inode->synth) {
			inode_sync(fs, inode);
			pages_cut(fs, inode, pages_of(inode->size), UINT64_MAX);
		}
		if (inode->synth)
			next = inode->synth->parent;
		else if (inode->nlink)
			return;
		else if (inode->flags & INODE_PIN)
			next = inode->parent;
		inode_release(fs, inode);
		inode = next;
		if (inode)
			inode->refs--;
	}
}

struct fs_inode *
inode_ref(struct fs_inode *inode)
{
	inode->refs++;
	return inode;
}

struct fs_inode *
fs_root(struct fs *fs)
{
	return inode_ref(fs->root);
}

int
fs_fifo(struct fs *fs, const struct fs_cred *cred, struct fs_inode **out)
{
	int err = inode_new(fs, FS_IFIFO | 0600, cred->uid, cred->gid, out);

	if (!err)
		inode_ref(*out);
	return err;
}

struct fs_inode *
fs_find(struct fs *fs, uint32_t id)
{
	struct fs_inode *inode = inode_at(fs, id);

	return inode ? inode_ref(inode) : NULL;
}

void
fs_open_ref(struct fs_inode *inode)
{
	inode->refs++;
}

void
fs_close(struct fs *fs, struct fs_inode *inode)
{
	if (!inode || !inode->refs)
		return;
	inode->refs--;
	inode_reap(fs, inode);
}

uint32_t
fs_id(const struct fs_inode *inode)
{
	return inode->id;
}

uint32_t
fs_mode(const struct fs_inode *inode)
{
	return inode->mode;
}

uint32_t
fs_refs(const struct fs_inode *inode)
{
	return inode->refs;
}

uint64_t
fs_rdev(const struct fs_inode *inode)
{
	return inode->rdev;
}

void *
fs_object(const struct fs_inode *inode)
{
	return inode->object;
}

void
fs_object_set(struct fs_inode *inode, void *object)
{
	inode->object = object;
}
