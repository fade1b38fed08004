/* SPDX-License-Identifier: MIT */
/*
 * Permissions and metadata: who may do what to an inode, and the calls that look at and change
 * owner, mode, times and size.
 *
 * Owns the rules, no memory. The rules are Linux's for a user with all or none of the file
 * capabilities: uid 0 has them. Inodes of synthetic trees are changed by nobody (-EPERM): their
 * provider says what they are.
 */
#include "exos/fs/priv.h"

bool
cred_in_group(const struct fs_cred *cred, uint32_t gid)
{
	uint32_t count = cred->group_count < FS_GROUPS_MAX ? cred->group_count : FS_GROUPS_MAX;

	if (cred->gid == gid)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (cred->groups[i] == gid)
			return true;
	}
	return false;
}

int
inode_may(const struct fs_inode *inode, const struct fs_cred *cred, unsigned want)
{
	uint32_t bits = inode->mode;

	if (!cred->uid) {
		if (want & FS_MAY_EXEC && !inode_is(inode, FS_IFDIR) && !(bits & 0111))
			return -EACCES;
		return 0;
	}
	if (cred->uid == inode->uid)
		bits >>= 6;
	else if (cred_in_group(cred, inode->gid))
		bits >>= 3;
	return (bits & want) == want ? 0 : -EACCES;
}

int
dir_may_create(const struct fs_inode *dir, const struct fs_cred *cred)
{
	if (!dir->nlink)
		return -ENOENT;
	return inode_may(dir, cred, FS_MAY_WRITE | FS_MAY_EXEC);
}

int
dir_may_delete(const struct fs_inode *dir, const struct fs_cred *cred,
	       const struct fs_inode *victim, bool want_dir)
{
	int err = inode_may(dir, cred, FS_MAY_WRITE | FS_MAY_EXEC);

	if (err)
		return err;
	if (dir->mode & FS_ISVTX && cred->uid && cred->uid != victim->uid && cred->uid != dir->uid)
		return -EPERM;
	if (want_dir && !inode_is(victim, FS_IFDIR))
		return -ENOTDIR;
	if (!want_dir && inode_is(victim, FS_IFDIR))
		return -EISDIR;
	return dir->nlink ? 0 : -ENOENT;
}

static bool
cred_owns(const struct fs_cred *cred, const struct fs_inode *inode)
{
	return !cred->uid || cred->uid == inode->uid;
}

static bool
sgid_goes(const struct fs_cred *cred, const struct fs_inode *inode)
{
	if (!(inode->mode & FS_ISGID))
		return false;
	return inode->mode & 010 || (cred->uid && !cred_in_group(cred, inode->gid));
}

int
fs_access(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, unsigned want)
{
	(void)fs;
	if (want & ~(FS_MAY_EXEC | FS_MAY_READ | FS_MAY_WRITE))
		return -EINVAL;
	return inode_may(inode, cred, want);
}

int
fs_chmod(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, uint32_t mode)
{
	if (inode_is(inode, FS_IFLNK))
		return -EOPNOTSUPP;
	if (inode->synth || !cred_owns(cred, inode))
		return -EPERM;
	mode &= 07777;
	if (cred->uid && !cred_in_group(cred, inode->gid))
		mode &= ~FS_ISGID;
	inode->mode = (inode->mode & FS_IFMT) | mode;
	fs_touch(fs, inode, FS_TOUCH_CTIME);
	return 0;
}

int
fs_chown(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, uint32_t uid,
	 uint32_t gid)
{
	bool owner = cred->uid == inode->uid;
	uint32_t kill = 0;

	if (inode->synth)
		return -EPERM;
	if (!inode_is(inode, FS_IFDIR)) {
		kill = inode->mode & FS_ISUID;
		if (sgid_goes(cred, inode))
			kill |= FS_ISGID;
	}
	if (cred->uid) {
		if (uid != UINT32_MAX && !(owner && uid == inode->uid))
			return -EPERM;
		if (gid != UINT32_MAX &&
		    !(owner && (gid == inode->gid || cred_in_group(cred, gid))))
			return -EPERM;
		if (kill && !owner)
			return -EPERM;
	}
	if (uid != UINT32_MAX)
		inode->uid = uid;
	if (gid != UINT32_MAX)
		inode->gid = gid;
	inode->mode &= ~kill;
	fs_touch(fs, inode, FS_TOUCH_CTIME);
	return 0;
}

int
fs_utimens(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, int64_t atime,
	   int64_t mtime)
{
	int64_t now;

	if (atime == FS_TIME_OMIT && mtime == FS_TIME_OMIT)
		return 0;
	if (inode->synth)
		return -EPERM;
	if (!cred_owns(cred, inode)) {
		if (atime != FS_TIME_NOW || mtime != FS_TIME_NOW)
			return -EPERM;
		if (inode_may(inode, cred, FS_MAY_WRITE))
			return -EACCES;
	}
	inode_sync(fs, inode);
	now = fs_now(fs);
	if (atime != FS_TIME_OMIT)
		inode->atime = atime == FS_TIME_NOW ? now : atime;
	if (mtime != FS_TIME_OMIT)
		inode->mtime = mtime == FS_TIME_NOW ? now : mtime;
	inode->ctime = now;
	if (inode->flags & INODE_LIVE && fs->ops->times_set)
		fs->ops->times_set(fs->ctx, inode, inode->atime, inode->mtime);
	return 0;
}

void
fs_touch(struct fs *fs, struct fs_inode *inode, unsigned which)
{
	int64_t now = fs_now(fs);

	if (which & FS_TOUCH_ATIME)
		inode->atime = now;
	if (which & FS_TOUCH_MTIME)
		inode->mtime = now;
	if (which & FS_TOUCH_CTIME)
		inode->ctime = now;
}

void
fs_privs_drop(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode)
{
	uint32_t kill = inode->mode & FS_ISUID;

	if (!cred->uid || inode->synth || !inode_is(inode, FS_IFREG))
		return;
	if (sgid_goes(cred, inode))
		kill |= FS_ISGID;
	if (kill) {
		inode->mode &= ~kill;
		fs_touch(fs, inode, FS_TOUCH_CTIME);
	}
}

int
fs_truncate(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, int64_t size)
{
	int err;

	if (size < 0)
		return -EINVAL;
	if (inode_is(inode, FS_IFDIR))
		return -EISDIR;
	if (!inode_is(inode, FS_IFREG))
		return -EINVAL;
	err = cred ? inode_may(inode, cred, FS_MAY_WRITE) : 0;
	if (err)
		return err;
	err = fs_set_size(fs, inode, (uint64_t)size);
	if (!err && cred)
		fs_privs_drop(fs, cred, inode);
	return err;
}

static uint64_t
stat_size(const struct fs_inode *inode)
{
	if (inode->synth)
		return 0;
	switch (inode->mode & FS_IFMT) {
	case FS_IFREG:
		return inode->size;
	case FS_IFLNK:
		return inode->link.len;
	case FS_IFDIR:
		return 20ull * (inode->dir.count + 2);
	default:
		return 0;
	}
}

int
fs_stat(struct fs *fs, struct fs_inode *inode, struct fs_stat *out)
{
	int err = inode->synth ? synth_refresh(inode) : 0;

	if (err)
		return err;
	inode_sync(fs, inode);
	memset(out, 0, sizeof(*out));
	out->dev = inode->synth ? inode->synth->mount->dev : 1;
	out->ino = inode->synth ? inode->synth->ino : inode->id;
	out->rdev = inode->rdev;
	out->size = stat_size(inode);
	if (inode_is(inode, FS_IFREG) && !inode->synth)
		out->blocks = (inode->pages.own + inode->pages.borrowed) * (FS_PAGE_SIZE / 512);
	out->mode = inode->mode;
	out->nlink = inode->nlink;
	out->uid = inode->uid;
	out->gid = inode->gid;
	out->blksize = FS_PAGE_SIZE;
	out->generation = inode->generation;
	out->atime = inode->atime;
	out->mtime = inode->mtime;
	out->ctime = inode->ctime;
	out->btime = inode->btime;
	return 0;
}
