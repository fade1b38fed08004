/* SPDX-License-Identifier: MIT */
/*
 * Synthetic trees: directories, files and links whose names and content a provider makes up, such
 * as /proc.
 *
 * Owns struct fs_mount, and for each inode of such a tree its identity (provider's key, name,
 * parent). Invariants: (1) a synthetic inode lives exactly while it is referenced, and holds a
 * reference on its parent; (2) while it lives, the same name in the same parent with the same key
 * and type gives the same inode; (3) nothing of it has names or links in the real tree: the covered
 * directory points to the mount, and only path walks cross over; (4) the content of a file is
 * generated at open into an inode of its own, which is sealed: only reads see it, so two openers
 * never see each other's.
 */
#include "exos/fs/priv.h"

struct fs_sink {
	struct fs *fs;
	struct fs_inode *inode;
};

static struct fs_inode **
synth_bucket(struct fs_mount *mount, uint64_t key)
{
	return &mount->live[(key ^ key >> 16) % FS_SYNTH_BUCKETS];
}

void
synth_forget(struct fs *fs, struct fs_inode *inode)
{
	struct fs_synth *synth = inode->synth;

	(void)fs;
	if (synth->prev)
		synth->prev->synth->next = synth->next;
	else
		*synth_bucket(synth->mount, synth->key) = synth->next;
	if (synth->next)
		synth->next->synth->prev = synth->prev;
}

static void
synth_show(struct fs_inode *inode, const struct fs_synth_node *node)
{
	inode->mode = (inode->mode & FS_IFMT) | (node->mode & 07777);
	inode->uid = node->uid;
	inode->gid = node->gid;
	inode->nlink = node->nlink;
	inode->rdev = node->rdev;
	inode->atime = node->time;
	inode->mtime = node->time;
	inode->ctime = node->time;
}

/* A new inode with identity, referenced once, in no list. */
static int
synth_new(struct fs *fs, struct fs_mount *mount, const char *name, size_t len,
	  const struct fs_synth_node *node, struct fs_inode **out)
{
	struct fs_synth *synth;
	int err = mem_alloc(fs, sizeof(*synth) + len, &synth);

	if (err)
		return err;
	err = inode_new(fs, node->mode & FS_IFMT, 0, 0, out);
	if (err) {
		mem_free(fs, synth, sizeof(*synth) + len);
		return err;
	}
	synth->mount = mount;
	synth->key = node->key;
	synth->ino = node->ino;
	synth->len = (uint32_t)len;
	memcpy(synth->name, name, len);
	(*out)->synth = synth;
	(*out)->refs = 1;
	synth_show(*out, node);
	return 0;
}

static void
synth_list(struct fs_inode *inode, struct fs_inode *parent)
{
	struct fs_synth *synth = inode->synth;
	struct fs_inode **bucket = synth_bucket(synth->mount, synth->key);

	synth->parent = parent ? inode_ref(parent) : NULL;
	synth->next = *bucket;
	if (*bucket)
		(*bucket)->synth->prev = inode;
	*bucket = inode;
}

static bool
type_valid(uint32_t mode)
{
	switch (mode & FS_IFMT) {
	case FS_IFDIR:
	case FS_IFREG:
	case FS_IFLNK:
	case FS_IFCHR:
		return true;
	default:
		return false;
	}
}

int
synth_lookup(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, const char *name,
	     size_t len, struct fs_inode **out)
{
	struct fs_mount *mount = dir->synth->mount;
	struct fs_synth_node node = {.nlink = 1};
	struct fs_inode *inode;
	int err = mount->ops->lookup(mount->ctx, cred, dir->synth->key, name, len, &node);

	if (err)
		return err < 0 ? err : -EIO;
	if (!type_valid(node.mode))
		return -EIO;
	for (inode = *synth_bucket(mount, node.key); inode; inode = inode->synth->next) {
		struct fs_synth *synth = inode->synth;

		if (synth->key == node.key && synth->parent == dir &&
		    inode_is(inode, node.mode & FS_IFMT) && synth->len == len &&
		    !memcmp(synth->name, name, len)) {
			synth_show(inode, &node);
			*out = inode_ref(inode);
			return 0;
		}
	}
	err = synth_new(fs, mount, name, len, &node, out);
	if (!err)
		synth_list(*out, dir);
	return err;
}

int
synth_refresh(struct fs_inode *inode)
{
	struct fs_mount *mount = inode->synth->mount;
	struct fs_synth_node node = {.key = inode->synth->key, .nlink = 1};
	int err;

	if (!mount->ops->refresh || inode->flags & INODE_SEALED)
		return 0;
	err = mount->ops->refresh(mount->ctx, inode->synth->key, &node);
	if (!err)
		synth_show(inode, &node);
	return err;
}

int
fs_sink_put(struct fs_sink *sink, const void *buf, size_t len)
{
	struct fs *fs = sink->fs;
	struct fs_inode *inode = sink->inode;
	const uint8_t *at = buf;

	if (len > FS_SYNTH_MAX - inode->size)
		return -EFBIG;
	while (len) {
		uint32_t off = inode->size & (FS_PAGE_SIZE - 1);
		uint32_t part = len < FS_PAGE_SIZE - off ? (uint32_t)len : FS_PAGE_SIZE - off;
		uint64_t index = inode->size >> FS_PAGE_SHIFT;
		uint32_t pfn;

		if (off) {
			pfn = entry_pfn(pages_peek(&inode->pages, index));
		} else {
			int err = page_fill(fs, inode, index, 0, &pfn);

			if (err)
				return err;
		}
		fs->ops->frame_write(fs->ctx, pfn, off, at, part);
		inode->size += part;
		at += part;
		len -= part;
	}
	return 0;
}

int
synth_open(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, bool want_write,
	   struct fs_inode **out)
{
	struct fs_mount *mount = inode->synth->mount;
	struct fs_synth_node node = {
		.key = inode->synth->key,
		.ino = inode->synth->ino,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.nlink = inode->nlink,
		.time = inode->mtime,
	};
	struct fs_sink sink = {.fs = fs};
	int err;

	if (want_write && !mount->ops->write)
		return -EACCES;
	err = synth_new(fs, mount, inode->synth->name, inode->synth->len, &node, &sink.inode);
	if (err)
		return err;
	sink.inode->flags |= INODE_SEALED;
	sink.inode->synth->parent = inode_ref(inode->synth->parent);
	if (mount->ops->content)
		err = mount->ops->content(mount->ctx, cred, node.key, &sink);
	if (err < 0) {
		fs_close(fs, sink.inode);
		return err;
	}
	*out = sink.inode;
	return 0;
}

bool
fs_synth_key(const struct fs_inode *inode, uint64_t *key)
{
	if (inode->synth)
		*key = inode->synth->key;
	return inode->synth;
}

int
fs_synth_write(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, uint64_t off,
	       const void *buf, size_t len)
{
	struct fs_mount *mount;

	(void)fs;
	if (!inode->synth || !(inode->flags & INODE_SEALED))
		return -EBADF;
	mount = inode->synth->mount;
	if (!mount->ops->write)
		return -EBADF;
	return mount->ops->write(mount->ctx, cred, inode->synth->key, off, buf, len);
}

int
fs_synth_mount(struct fs *fs, struct fs_inode *dir, const struct fs_synth_ops *ops, void *ctx,
	       uint64_t root_key, uint32_t root_ino, uint64_t statfs_type)
{
	struct fs_synth_node node = {
		.key = root_key,
		.ino = root_ino,
		.mode = FS_IFDIR | 0555,
		.nlink = 2,
		.time = fs_now(fs),
	};
	struct fs_mount *mount;
	int err;

	if (!inode_is(dir, FS_IFDIR))
		return -ENOTDIR;
	if (dir->synth || dir == fs->root || dir->dir.covered)
		return -EBUSY;
	if (!dir->nlink)
		return -ENOENT;
	err = mem_alloc(fs, sizeof(*mount), &mount);
	if (err)
		return err;
	mount->ops = ops;
	mount->ctx = ctx;
	mount->type = statfs_type;
	err = synth_new(fs, mount, "", 0, &node, &mount->root);
	if (err) {
		mem_free(fs, mount, sizeof(*mount));
		return err;
	}
	synth_list(mount->root, NULL);
	mount->dev = ++fs->devs;
	mount->over = inode_ref(dir);
	mount->next = fs->mounts;
	fs->mounts = mount;
	dir->dir.covered = mount;
	return 0;
}

void
mounts_free(struct fs *fs)
{
	while (fs->mounts) {
		struct fs_mount *mount = fs->mounts;

		fs->mounts = mount->next;
		mem_free(fs, mount, sizeof(*mount));
	}
}
