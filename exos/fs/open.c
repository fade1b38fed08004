/* SPDX-License-Identifier: MIT */
/*
 * open: finding or making what a descriptor will stand for.
 *
 * Owns nothing beyond the walk. The order of checks is Linux's, because programs see it: O_EXCL and
 * directories first, then kinds, then permission, then truncation. An inode that this call created
 * is opened whatever its mode says.
 */
#include "exos/fs/priv.h"

struct opening {
	struct fs_walk walk;
	unsigned flags;
	unsigned want; /* FS_MAY_ bits */
	uint32_t mode;
	bool created;
};

static unsigned
open_want(unsigned flags)
{
	static const unsigned want[3] = {FS_MAY_READ, FS_MAY_WRITE, FS_MAY_READ | FS_MAY_WRITE};

	return want[flags & FS_O_ACCMODE] | (flags & FS_O_TRUNC ? FS_MAY_WRITE : 0);
}

static int
open_create(struct opening *op, struct fs_inode **out)
{
	struct fs_walk *walk = &op->walk;
	int err;

	if (walk->dir->synth)
		return -EACCES;
	err = dir_may_create(walk->dir, walk->cred);
	if (!err)
		err = node_create(walk->fs, walk->cred, walk->dir, walk->name, walk->len,
				  FS_IFREG | op->mode, out);
	if (err)
		return err;
	inode_ref(*out);
	op->created = true;
	return 0;
}

/* One round: *out is what the last component is, or NULL when a link was followed. */
static int
open_last(struct opening *op, struct fs_inode **out)
{
	struct fs_walk *walk = &op->walk;
	bool create = op->flags & FS_O_CREAT, excl = create && op->flags & FS_O_EXCL;
	struct fs_inode *link;
	int err;

	*out = NULL;
	if (walk->last != WALK_NORMAL) {
		*out = walk->last == WALK_DOTDOT ? dir_up(walk->fs, walk->dir)
						 : inode_ref(walk->dir);
		return 0;
	}
	if (create && walk->slash)
		return -EISDIR;
	err = dir_lookup(walk->fs, walk->cred, walk->dir, walk->name, walk->len, out);
	if (err == -ENOENT && create)
		return open_create(op, out);
	if (err || !inode_is(*out, FS_IFLNK) || excl)
		return err;
	if (op->flags & FS_O_NOFOLLOW && !walk->slash)
		return 0;
	link = *out;
	err = walk_link(walk, link, out);
	fs_close(walk->fs, link);
	return err;
}

static int
open_check(const struct opening *op, const struct fs_inode *inode)
{
	const struct fs_walk *walk = &op->walk;
	bool is_dir = inode_is(inode, FS_IFDIR);

	if (op->created)
		return 0;
	if (op->flags & FS_O_CREAT && op->flags & FS_O_EXCL)
		return -EEXIST;
	if (op->flags & FS_O_CREAT && is_dir)
		return -EISDIR;
	if ((walk->slash || op->flags & FS_O_DIRECTORY) && !is_dir)
		return -ENOTDIR;
	if (inode_is(inode, FS_IFLNK))
		return -ELOOP;
	if (is_dir && op->want & FS_MAY_WRITE)
		return -EISDIR;
	if (inode_may(inode, walk->cred, op->want))
		return -EACCES;
	return inode_is(inode, FS_IFSOCK) ? -ENXIO : 0;
}

/* Takes the reference on inode over, whatever the outcome. */
static int
open_finish(struct opening *op, struct fs_inode *inode, struct fs_inode **out)
{
	struct fs *fs = op->walk.fs;
	int err = open_check(op, inode);

	if (!err && inode->synth && inode_is(inode, FS_IFREG) && !(inode->flags & INODE_SEALED)) {
		err = synth_open(fs, op->walk.cred, inode, op->want & FS_MAY_WRITE, out);
		fs_close(fs, inode);
		return err;
	}
	if (!err && op->flags & FS_O_TRUNC && !op->created && inode_is(inode, FS_IFREG))
		err = fs_truncate(fs, op->walk.cred, inode, 0);
	if (err)
		fs_close(fs, inode);
	else
		*out = inode;
	return err;
}

static int
open_tmpfile(struct opening *op, const struct fs_path *path, struct fs_inode **out)
{
	struct fs *fs = op->walk.fs;
	const struct fs_cred *cred = op->walk.cred;
	struct fs_inode *dir;
	int err;

	if (!(op->want & FS_MAY_WRITE) || op->flags & FS_O_CREAT)
		return -EINVAL;
	err = fs_lookup(fs, cred, path,
			FS_LOOKUP_DIRECTORY | (op->flags & FS_O_NOFOLLOW ? 0 : FS_LOOKUP_FOLLOW),
			&dir);
	if (err)
		return err;
	err = dir->synth ? -EOPNOTSUPP : dir_may_create(dir, cred);
	if (!err)
		err = child_new(fs, cred, dir, FS_IFREG | op->mode, out);
	fs_close(fs, dir);
	if (err)
		return err;
	inode_ref(*out);
	if (!(op->flags & FS_O_EXCL))
		(*out)->flags |= INODE_NAMELESS;
	return 0;
}

int
fs_open(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, unsigned flags,
	uint32_t mode, struct fs_inode **out)
{
	struct opening op;
	struct fs_inode *inode = NULL;
	int err;

	if ((flags & FS_O_ACCMODE) == FS_O_ACCMODE)
		return -EINVAL;
	op.flags = flags;
	op.want = open_want(flags);
	op.mode = mode & 07777;
	op.created = false;
	op.walk.fs = fs;
	op.walk.cred = cred;
	if ((flags & FS_O_TMPFILE) == FS_O_TMPFILE)
		return open_tmpfile(&op, path, out);
	if (flags & FS_O_CREAT && flags & FS_O_DIRECTORY)
		return -EINVAL;
	err = walk_start(&op.walk, fs, cred, path);
	if (err)
		return err;
	while (!err && !inode) {
		err = walk_parent(&op.walk);
		if (!err)
			err = open_last(&op, &inode);
	}
	if (!err)
		err = open_finish(&op, inode, out);
	walk_end(&op.walk);
	return err;
}
