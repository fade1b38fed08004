/* SPDX-License-Identifier: MIT */
/*
 * Making and removing names: mkdir, mknod, symlink, link, unlink, rmdir, readlink.
 *
 * Owns nothing beyond the walk. Each call has two halves: checks and allocations that may fail and
 * change nothing, then changes that cannot fail.
 */
#include "exos/fs/priv.h"

/* Makes a node that needs nothing but its mode. out is not referenced. */
static int
name_make(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, uint32_t mode,
	  uint64_t rdev)
{
	struct fs_inode *inode;
	struct fs_walk walk;
	int err = walk_start(&walk, fs, cred, path);

	if (err)
		return err;
	err = walk_parent(&walk);
	if (!err)
		err = walk_create(&walk, (mode & FS_IFMT) == FS_IFDIR);
	if (!err)
		err = node_create(fs, cred, walk.dir, walk.name, walk.len, mode, &inode);
	if (!err)
		inode->rdev = rdev;
	walk_end(&walk);
	return err;
}

int
fs_mkdir(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, uint32_t mode)
{
	return name_make(fs, cred, path, FS_IFDIR | (mode & (0777 | FS_ISVTX)), 0);
}

int
fs_mknod(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, uint32_t mode,
	 uint64_t rdev)
{
	uint32_t type = mode & FS_IFMT ? mode & FS_IFMT : FS_IFREG;

	mode &= 07777;
	switch (type) {
	case FS_IFREG:
	case FS_IFIFO:
	case FS_IFSOCK:
		return name_make(fs, cred, path, type | mode, 0);
	case FS_IFCHR:
	case FS_IFBLK:
		if (cred->uid)
			return -EPERM;
		return name_make(fs, cred, path, type | mode, rdev);
	case FS_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int
fs_symlink(struct fs *fs, const struct fs_cred *cred, const char *target, size_t target_len,
	   const struct fs_path *path)
{
	struct fs_inode *inode;
	struct fs_walk walk;
	char *text;
	int err;

	if (!target_len)
		return -ENOENT;
	if (target_len >= FS_PATH_MAX)
		return -ENAMETOOLONG;
	if (strnlen(target, target_len) != target_len)
		return -EINVAL;
	err = walk_start(&walk, fs, cred, path);
	if (err)
		return err;
	err = walk_parent(&walk);
	if (!err)
		err = walk_create(&walk, false);
	if (!err)
		err = mem_alloc(fs, target_len + 1, &text);
	if (!err) {
		err = node_create(fs, cred, walk.dir, walk.name, walk.len, FS_IFLNK | 0777, &inode);
		if (err) {
			mem_free(fs, text, target_len + 1);
		} else {
			memcpy(text, target, target_len);
			inode->link.text = text;
			inode->link.len = (uint32_t)target_len;
		}
	}
	walk_end(&walk);
	return err;
}

int
fs_readlink(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, char *buf,
	    size_t size)
{
	size_t len;

	(void)fs;
	if (!inode_is(inode, FS_IFLNK) || !size)
		return -EINVAL;
	if (size > FS_PATH_MAX)
		size = FS_PATH_MAX;
	if (inode->synth) {
		struct fs_mount *mount = inode->synth->mount;
		int got = mount->ops->readlink ? mount->ops->readlink(mount->ctx, cred,
								      inode->synth->key, buf, size)
					       : -EINVAL;

		return got > (int)size ? -EIO : got;
	}
	len = inode->link.len < size ? inode->link.len : size;
	memcpy(buf, inode->link.text, len);
	return (int)len;
}

static int
link_check(const struct fs_inode *inode)
{
	if (inode_is(inode, FS_IFDIR))
		return -EPERM;
	if (!inode->nlink && !(inode->flags & INODE_NAMELESS))
		return -ENOENT;
	return inode->nlink >= FS_NLINK_MAX ? -EMLINK : 0;
}

int
fs_link(struct fs *fs, const struct fs_cred *cred, const struct fs_path *from, unsigned flags,
	const struct fs_path *to)
{
	struct fs_dirent *entry;
	struct fs_inode *inode;
	struct fs_walk walk;
	int err = fs_lookup(fs, cred, from, flags & (FS_LOOKUP_FOLLOW | FS_LOOKUP_EMPTY), &inode);

	if (err)
		return err;
	err = walk_start(&walk, fs, cred, to);
	if (err) {
		fs_close(fs, inode);
		return err;
	}
	err = walk_parent(&walk);
	if (!err && inode->synth && !walk.dir->synth)
		err = walk.last == WALK_NORMAL ? -EXDEV : -EEXIST;
	if (!err)
		err = walk_create(&walk, false);
	if (!err)
		err = link_check(inode);
	if (!err)
		err = dirent_new(fs, walk.dir, walk.name, walk.len, &entry);
	if (!err) {
		inode->flags &= ~INODE_NAMELESS;
		dir_attach(fs, walk.dir, entry, inode);
		inode->ctime = fs_now(fs);
		dir_changed(fs, walk.dir, inode->ctime);
	}
	walk_end(&walk);
	fs_close(fs, inode);
	return err;
}

static int
unlink_check(struct fs_walk *walk, struct fs_dirent **entry)
{
	bool is_dir;
	int err;

	if (walk->last != WALK_NORMAL)
		return -EISDIR;
	err = walk_victim(walk, entry);
	if (err)
		return err;
	is_dir = inode_is((*entry)->inode, FS_IFDIR);
	if (walk->slash)
		return is_dir ? -EISDIR : -ENOTDIR;
	return dir_may_delete(walk->dir, walk->cred, (*entry)->inode, false);
}

static int
rmdir_check(struct fs_walk *walk, struct fs_dirent **entry)
{
	int err;

	if (walk->last == WALK_DOT)
		return -EINVAL;
	if (walk->last == WALK_DOTDOT)
		return -ENOTEMPTY;
	if (walk->last == WALK_ROOT)
		return -EBUSY;
	err = walk_victim(walk, entry);
	if (!err)
		err = dir_may_delete(walk->dir, walk->cred, (*entry)->inode, true);
	if (err)
		return err;
	if ((*entry)->inode->dir.covered)
		return -EBUSY;
	return (*entry)->inode->dir.count ? -ENOTEMPTY : 0;
}

static int
name_remove(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path,
	    int (*check)(struct fs_walk *, struct fs_dirent **))
{
	struct fs_dirent *entry;
	struct fs_walk walk;
	int err = walk_start(&walk, fs, cred, path);

	if (err)
		return err;
	err = walk_parent(&walk);
	if (!err)
		err = check(&walk, &entry);
	if (!err)
		dir_remove(fs, walk.dir, entry);
	walk_end(&walk);
	return err;
}

int
fs_unlink(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path)
{
	return name_remove(fs, cred, path, unlink_check);
}

int
fs_rmdir(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path)
{
	return name_remove(fs, cred, path, rmdir_check);
}
