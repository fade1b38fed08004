/* SPDX-License-Identifier: MIT */
/*
 * rename, with replacement, exchange, and the rules that keep the tree a tree.
 *
 * Owns nothing beyond two walks. rename_check may fail and changes nothing; the commits cannot
 * fail. A replaced name keeps its directory entry, so that renaming over a file needs no memory.
 * Invariant kept: a directory never comes to lie below itself, since the source may not be an
 * ancestor of, or be, the directory that receives it (and in an exchange also the other way round).
 */
#include "exos/fs/priv.h"

struct renaming {
	struct fs_walk from, to;
	struct fs_dirent *old, *target; /* target NULL: the new name is free */
	unsigned flags;
};

static bool
dir_is_above(const struct fs_inode *above, const struct fs_inode *dir)
{
	while (dir != above && dir != dir->parent)
		dir = dir->parent;
	return dir == above;
}

static int
rename_find(struct renaming *op)
{
	bool exchange = op->flags & FS_RENAME_EXCHANGE, noreplace = op->flags & FS_RENAME_NOREPLACE;
	struct fs_mount *a = op->from.dir->synth ? op->from.dir->synth->mount : NULL;
	struct fs_mount *b = op->to.dir->synth ? op->to.dir->synth->mount : NULL;
	int err;

	if (a != b)
		return -EXDEV;
	if (op->from.last != WALK_NORMAL)
		return -EBUSY;
	if (op->to.last != WALK_NORMAL)
		return noreplace ? -EEXIST : -EBUSY;
	err = walk_victim(&op->from, &op->old);
	if (err)
		return err;
	op->target = NULL;
	err = walk_victim(&op->to, &op->target);
	if (err && (err != -ENOENT || exchange || !op->to.dir->nlink))
		return err;
	return op->target && noreplace ? -EEXIST : 0;
}

/* Slashes that demand directories, and directories that would come to lie below themselves. */
static int
rename_shape(const struct renaming *op)
{
	const struct fs_inode *source = op->old->inode,
			      *target = op->target ? op->target->inode : NULL;
	bool exchange = op->flags & FS_RENAME_EXCHANGE;

	if (exchange && target && !inode_is(target, FS_IFDIR) && op->to.slash)
		return -ENOTDIR;
	if (!inode_is(source, FS_IFDIR)) {
		if (op->from.slash || (!exchange && op->to.slash))
			return -ENOTDIR;
	} else if (dir_is_above(source, op->to.dir)) {
		return -EINVAL;
	}
	if (target && inode_is(target, FS_IFDIR) && dir_is_above(target, op->from.dir))
		return exchange ? -EINVAL : -ENOTEMPTY;
	return 0;
}

static bool
is_covered(const struct fs_inode *inode)
{
	return inode && inode_is(inode, FS_IFDIR) && inode->dir.covered;
}

static int
rename_allowed(const struct renaming *op)
{
	struct fs_inode *source = op->old->inode, *target = op->target ? op->target->inode : NULL;
	struct fs_inode *from = op->from.dir, *to = op->to.dir;
	const struct fs_cred *cred = op->from.cred;
	bool source_dir = inode_is(source, FS_IFDIR),
	     target_dir = target && inode_is(target, FS_IFDIR);
	bool exchange = op->flags & FS_RENAME_EXCHANGE;
	int err = dir_may_delete(from, cred, source, source_dir);

	if (err)
		return err;
	err = target ? dir_may_delete(to, cred, target, exchange ? target_dir : source_dir)
		     : dir_may_create(to, cred);
	if (err)
		return err;
	/* A directory that moves has its ".." rewritten. */
	if (from != to && ((source_dir && inode_may(source, cred, FS_MAY_WRITE)) ||
			   (exchange && target_dir && inode_may(target, cred, FS_MAY_WRITE))))
		return -EACCES;
	if (is_covered(source) || is_covered(target))
		return -EBUSY;
	if (from != to && source_dir && !target_dir && to->nlink >= FS_NLINK_MAX)
		return -EMLINK;
	if (from != to && exchange && target_dir && !source_dir && from->nlink >= FS_NLINK_MAX)
		return -EMLINK;
	return !exchange && target_dir && target->dir.count ? -ENOTEMPTY : 0;
}

static void
commit_exchange(struct renaming *op)
{
	struct fs_inode *source = op->old->inode, *target = op->target->inode;

	dir_unbind(op->from.dir, op->old);
	dir_unbind(op->to.dir, op->target);
	dir_rebind(op->from.dir, op->old, target);
	dir_rebind(op->to.dir, op->target, source);
}

static void
commit_replace(struct fs *fs, struct renaming *op)
{
	struct fs_inode *source = op->old->inode, *victim = op->target->inode;

	dir_detach(fs, op->from.dir, op->old);
	dir_unbind(op->to.dir, op->target);
	dir_rebind(op->to.dir, op->target, source);
	dir_drop(fs, op->to.dir, victim);
}

static int
rename_commit(struct fs *fs, struct renaming *op)
{
	struct fs_inode *source = op->old->inode;
	int64_t now = fs_now(fs);
	struct fs_dirent *entry;
	int err;

	if (op->flags & FS_RENAME_EXCHANGE) {
		op->target->inode->ctime = now;
		commit_exchange(op);
	} else if (op->target) {
		commit_replace(fs, op);
	} else {
		err = dirent_new(fs, op->to.dir, op->to.name, op->to.len, &entry);
		if (err)
			return err;
		dir_detach(fs, op->from.dir, op->old);
		dir_attach(fs, op->to.dir, entry, source);
	}
	source->ctime = now;
	dir_changed(fs, op->from.dir, now);
	dir_changed(fs, op->to.dir, now);
	return 0;
}

static int
rename_walked(struct fs *fs, struct renaming *op)
{
	int err = rename_find(op);

	if (!err)
		err = rename_shape(op);
	if (err)
		return err;
	if (op->target && op->target->inode == op->old->inode)
		return 0;
	err = rename_allowed(op);
	return err ? err : rename_commit(fs, op);
}

int
fs_rename(struct fs *fs, const struct fs_cred *cred, const struct fs_path *from,
	  const struct fs_path *to, unsigned flags)
{
	struct renaming op;
	int err;

	if (flags & ~(FS_RENAME_NOREPLACE | FS_RENAME_EXCHANGE) ||
	    flags == (FS_RENAME_NOREPLACE | FS_RENAME_EXCHANGE))
		return -EINVAL;
	op.flags = flags;
	err = walk_start(&op.from, fs, cred, from);
	if (err)
		return err;
	err = walk_parent(&op.from);
	if (!err) {
		err = walk_start(&op.to, fs, cred, to);
		if (!err) {
			err = walk_parent(&op.to);
			if (!err)
				err = rename_walked(fs, &op);
			walk_end(&op.to);
		}
	}
	walk_end(&op.from);
	return err;
}
