/* SPDX-License-Identifier: MIT */
/*
 * Names and metadata: the calls that take a path, or an object in its place.
 *
 * Paths are copied out of the message pages before anything looks at them.  Whoever has an
 * information page of a file sees changes of its metadata there: every call that changes some ends
 * in sfile_refresh.
 */
#include "exos/service/priv.h"

int
path_read(struct service *sv, struct proc *p, uint64_t offset, uint64_t length, char *to)
{
	(void)sv;
	if (!length)
		return -ENOENT;
	if (length >= FS_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(to, p->msg + offset, length);
	to[length] = 0;
	return 0;
}

int
path_start(struct service *sv, struct proc *p, uint64_t dir, struct fs_path *path)
{
	const struct object *o;

	path->cwd = p->cwd;
	if (dir == SVC_CWD || (path->len && path->text[0] == '/'))
		return 0;
	o = object_find(sv, p, dir);
	if (!o)
		return -EBADF;
	if (!o->inode || (fs_mode(o->inode) & FS_IFMT) != FS_IFDIR)
		return -ENOTDIR;
	path->cwd = o->inode;
	return 0;
}

int
path_get(struct service *sv, struct proc *p, uint64_t dir, uint64_t length, uint32_t which,
	 struct fs_path *path)
{
	int err = path_read(sv, p, which ? SVC_PATH2 : 0, length, sv->path[which]);

	if (err)
		return err;
	path->text = sv->path[which];
	path->len = length;
	return path_start(sv, p, dir, path);
}

/* The inode of a path, or with length 0 of the object itself, referenced. */
int
path_inode(struct service *sv, struct proc *p, uint64_t dir, uint64_t length, unsigned flags,
	   struct fs_inode **out)
{
	const struct object *o;
	struct fs_path path;
	int err;

	if (length) {
		err = path_get(sv, p, dir, length, 0, &path);
		return err ? err : fs_lookup(sv->fs, &p->cred, &path, flags, out);
	}
	*out = p->cwd;
	if (dir != SVC_CWD) {
		o = object_find(sv, p, dir);
		if (!o)
			return -EBADF;
		if (!o->inode)
			return -EINVAL;
		*out = o->inode;
	}
	fs_open_ref(*out);
	return 0;
}

/* The absolute form of the terminated path in sv->path[1], into `to` (FS_PATH_MAX); its length. */
int64_t
path_absolute(struct service *sv, struct proc *p, char *to)
{
	size_t len = strlen(sv->path[1]);
	int at;

	if (sv->path[1][0] == '/') {
		memcpy(to, sv->path[1], len + 1);
		return (int64_t)len;
	}
	at = fs_getcwd(sv->fs, p->cwd, to, FS_PATH_MAX);
	if (at < 0)
		return at;
	at--;
	if (at > 1)
		to[at++] = '/';
	if ((size_t)at + len >= FS_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(to + at, sv->path[1], len + 1);
	return at + (int64_t)len;
}

/*
 * A name has gone or moved, or somebody may do more or less than before: names that processes remember may lead
 * elsewhere.  Nobody keeps by a parked file what has no name any more.
 */
static void
names_changed(struct service *sv, const struct fs_inode *inode)
{
	struct sfile *file = inode ? sfile_find(inode) : NULL;
	struct fs_stat st;

	for (struct proc *p = sv->all; p; p = p->next) {
		if (p->mail)
			__atomic_fetch_add(&p->mail->names, 1, __ATOMIC_SEQ_CST);
	}
	if (file && file->info && !fs_stat(sv->fs, (struct fs_inode *)(uintptr_t)inode, &st) &&
	    !st.nlink)
		parked_close(sv, file);
}

static unsigned
follow(uint64_t at_flags)
{
	return at_flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : FS_LOOKUP_FOLLOW;
}

static void
msg_write(struct proc *p, const void *from, size_t n)
{
	memcpy(p->msg, from, n);
}

/* ---- looking ---- */

void
pipe_stat(struct service *sv, const struct object *o, const struct proc *p, struct fs_stat *st)
{
	if (o->pipe->inode && !fs_stat(sv->fs, o->pipe->inode, st))
		return;
	memset(st, 0, sizeof(*st));
	st->dev = 0xc;
	st->ino = o->pipe->frames[0];
	st->mode = FS_IFIFO | 0600;
	st->nlink = 1;
	st->uid = p->cred.uid;
	st->gid = p->cred.gid;
	st->blksize = PAGE;
	st->atime = st->mtime = st->ctime = (int64_t)core_wall_ns();
}

static int64_t
path_stat(struct service *sv, struct proc *p, struct svc *s)
{
	const struct object *o = s->b ? NULL : object_find(sv, p, s->a);
	struct fs_inode *inode;
	struct fs_stat st;
	int err;

	if (o && !o->inode) {
		pipe_stat(sv, o, p, &st);
		msg_write(p, &st, sizeof(st));
		return 0;
	}
	err = path_inode(sv, p, s->a, s->b, follow(s->c), &inode);
	if (err)
		return err;
	err = fs_stat(sv->fs, inode, &st);
	fs_close(sv->fs, inode);
	if (!err)
		msg_write(p, &st, sizeof(st));
	return err;
}

static int64_t
path_access(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_cred real = p->cred, *cred = s->d & LX_AT_EACCESS ? &p->cred : &real;
	struct fs_inode *inode;
	struct fs_path path;
	int err;

	if (s->c & ~7ull)
		return -EINVAL;
	real.uid = p->ruid;
	real.gid = p->rgid;
	if (s->b) {
		err = path_get(sv, p, s->a, s->b, 0, &path);
		if (!err)
			err = fs_lookup(sv->fs, cred, &path, follow(s->d), &inode);
	} else {
		err = path_inode(sv, p, s->a, 0, 0, &inode);
	}
	if (err)
		return err;
	err = fs_access(sv->fs, cred, inode, (unsigned)s->c);
	fs_close(sv->fs, inode);
	return err;
}

static int64_t
path_readlink(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_inode *inode;
	int got = path_inode(sv, p, s->a, s->b, 0, &inode);

	if (got)
		return got;
	got = fs_readlink(sv->fs, &p->cred, inode, (char *)sv->bounce, FS_PATH_MAX);
	fs_close(sv->fs, inode);
	if (got > 0)
		msg_write(p, sv->bounce, (size_t)got);
	return got;
}

static int64_t
path_statfs(struct service *sv, struct proc *p, struct svc *s)
{
	const struct object *o = s->b ? NULL : object_find(sv, p, s->a);
	struct fs_inode *inode = NULL;
	struct fs_statfs st;
	int err = 0;

	if (!o || o->inode)
		err = path_inode(sv, p, s->a, s->b, FS_LOOKUP_FOLLOW, &inode);
	if (err)
		return err;
	fs_statfs(sv->fs, inode, &st);
	if (inode)
		fs_close(sv->fs, inode);
	else
		st.type = LX_PIPEFS_MAGIC;
	msg_write(p, &st, sizeof(st));
	return 0;
}

/* ---- directories ---- */

static int64_t
path_chdir(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_inode *inode;
	int err = path_inode(sv, p, s->a, s->b, FS_LOOKUP_FOLLOW | FS_LOOKUP_DIRECTORY, &inode);

	if (err)
		return err;
	if ((fs_mode(inode) & FS_IFMT) != FS_IFDIR)
		err = -ENOTDIR;
	if (!err)
		err = fs_access(sv->fs, &p->cred, inode, FS_MAY_EXEC);
	if (err) {
		fs_close(sv->fs, inode);
		return err;
	}
	fs_close(sv->fs, p->cwd);
	p->cwd = inode;
	p->mail->names++;
	return 0;
}

static int64_t
path_getcwd(struct service *sv, struct proc *p)
{
	int got = fs_getcwd(sv->fs, p->cwd, sv->path[0], FS_PATH_MAX);

	if (got > 0)
		msg_write(p, sv->path[0], (size_t)got);
	return got;
}

static int64_t
path_getdents(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	size_t size = s->b > MSG_BYTES ? MSG_BYTES : (size_t)s->b;
	int got;

	if (!o)
		return -EBADF;
	if (o->type != SVC_T_DIR)
		return -ENOTDIR;
	got = fs_getdents(sv->fs, &p->cred, o->inode, &o->cookie, sv->bounce, size);
	if (got > 0)
		msg_write(p, sv->bounce, (size_t)got);
	return got;
}

static int64_t
path_seekdir(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	uint64_t old;

	if (!o)
		return -EBADF;
	if (o->type != SVC_T_DIR)
		return -ENOTDIR;
	old = o->cookie;
	if (s->b != UINT64_MAX) {
		if (s->b > INT64_MAX)
			return -EINVAL;
		o->cookie = s->b;
	}
	return (int64_t)old;
}

/* ---- names ---- */

static int64_t
path_make(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_path path;
	int err = path_get(sv, p, s->a, s->b, 0, &path);

	if (err)
		return err;
	if (s->op == SVC_MKDIR)
		return fs_mkdir(sv->fs, &p->cred, &path, (uint32_t)s->c & 07777);
	return fs_mknod(sv->fs, &p->cred, &path, (uint32_t)s->c, s->d);
}

static int64_t
path_unlink(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_inode *inode = NULL;
	struct fs_path path;
	int err;

	if (s->c & ~(uint64_t)LX_AT_REMOVEDIR)
		return -EINVAL;
	err = path_get(sv, p, s->a, s->b, 0, &path);
	if (err)
		return err;
	if (s->c) {
		err = fs_rmdir(sv->fs, &p->cred, &path);
		if (!err)
			names_changed(sv, NULL);
		return err;
	}
	if (fs_lookup(sv->fs, &p->cred, &path, 0, &inode))
		inode = NULL;
	err = fs_unlink(sv->fs, &p->cred, &path);
	if (!err && inode)
		sfile_refresh(sv, inode);
	if (!err)
		names_changed(sv, inode);
	if (inode)
		fs_close(sv->fs, inode);
	return err;
}

static int64_t
path_rename(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_inode *target = NULL;
	struct fs_path from, to;
	int err;

	if (s->e & ~(uint64_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE))
		return -EINVAL;
	err = path_get(sv, p, s->a, s->b, 0, &from);
	if (!err)
		err = path_get(sv, p, s->c, s->d, 1, &to);
	if (err)
		return err;
	if (fs_lookup(sv->fs, &p->cred, &to, 0, &target))
		target = NULL;
	err = fs_rename(sv->fs, &p->cred, &from, &to, (unsigned)s->e);
	if (!err && target)
		sfile_refresh(sv, target);
	if (!err)
		names_changed(sv, target);
	if (target)
		fs_close(sv->fs, target);
	return err;
}

static int64_t
path_link(struct service *sv, struct proc *p, struct svc *s)
{
	unsigned flags = s->e & LX_AT_SYMLINK_FOLLOW ? FS_LOOKUP_FOLLOW : 0;
	struct fs_path from = {.text = "", .len = 0}, to;
	struct fs_inode *inode = NULL;
	int err = path_get(sv, p, s->c, s->d, 1, &to);

	if (err)
		return err;
	if (s->b) {
		err = path_get(sv, p, s->a, s->b, 0, &from);
	} else {
		/* An object in place of a path: only for who could do anything anyway. */
		const struct object *o = object_find(sv, p, s->a);

		if (!o || !o->inode || p->cred.uid)
			return o ? -ENOENT : -EBADF;
		from.cwd = o->inode;
		flags |= FS_LOOKUP_EMPTY;
	}
	if (!err)
		err = fs_link(sv->fs, &p->cred, &from, flags, &to);
	if (err || fs_lookup(sv->fs, &p->cred, &to, 0, &inode))
		return err;
	sfile_refresh(sv, inode);
	fs_close(sv->fs, inode);
	return 0;
}

static int64_t
path_symlink(struct service *sv, struct proc *p, struct svc *s)
{
	struct fs_path path;
	int err = path_read(sv, p, 0, s->a, sv->path[0]);

	if (!err)
		err = path_get(sv, p, s->b, s->c, 1, &path);
	return err ? err : fs_symlink(sv->fs, &p->cred, sv->path[0], s->a, &path);
}

/* ---- metadata ---- */

static int
truncate_object(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	int err;

	if (!o)
		return -EBADF;
	if (o->type != SVC_T_FILE || !o->write)
		return -EINVAL;
	err = fs_truncate(sv->fs, NULL, o->inode, (int64_t)s->c);
	if (!err) {
		fs_privs_drop(sv->fs, &p->cred, o->inode);
		sfile_refresh(sv, o->inode);
	}
	return err;
}

static int
change(struct service *sv, struct proc *p, struct svc *s, struct fs_inode *inode)
{
	switch (s->op) {
	case SVC_TRUNCATE:
		return fs_truncate(sv->fs, &p->cred, inode, (int64_t)s->c);
	case SVC_CHMOD:
		return fs_chmod(sv->fs, &p->cred, inode, (uint32_t)s->c);
	case SVC_CHOWN:
		return fs_chown(sv->fs, &p->cred, inode, (uint32_t)s->c, (uint32_t)s->d);
	default:
		return fs_utimens(sv->fs, &p->cred, inode, (int64_t)s->c, (int64_t)s->d);
	}
}

static int64_t
path_change(struct service *sv, struct proc *p, struct svc *s)
{
	unsigned flags = FS_LOOKUP_FOLLOW;
	struct fs_inode *inode;
	int err;

	if (s->op == SVC_TRUNCATE && !s->b)
		return truncate_object(sv, p, s);
	if (s->op == SVC_CHOWN || s->op == SVC_UTIMENS)
		flags = follow(s->e);
	err = path_inode(sv, p, s->a, s->b, flags, &inode);
	if (err)
		return err;
	err = change(sv, p, s, inode);
	if (!err)
		sfile_refresh(sv, inode);
	if (!err && (s->op == SVC_CHMOD || s->op == SVC_CHOWN))
		names_changed(sv, NULL);
	fs_close(sv->fs, inode);
	return err;
}

/* ---- generated files ---- */

static int64_t
synth_read(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	uint64_t size, left, done = 0;

	if (!o || o->type != SVC_T_SYNTH || (o->flags & LX_O_ACCMODE) == LX_O_WRONLY)
		return -EBADF;
	size = fs_size(sv->fs, o->inode);
	if (s->b >= size)
		return 0;
	left = size - s->b < s->c ? size - s->b : s->c;
	if (left > MSG_BYTES)
		left = MSG_BYTES;
	while (done < left) {
		uint64_t at = s->b + done, n = PAGE - at % PAGE;
		struct fs_page page;
		int err = fs_page_get(sv->fs, o->inode, at / PAGE, false, &page);

		if (err)
			return done ? (int64_t)done : err;
		if (n > left - done)
			n = left - done;
		if (page.state == FS_PAGE_HOLE)
			memset(p->msg + done, 0, n);
		else
			sv->fs_ops.frame_read(sv, page.pfn, at % PAGE, p->msg + done, (uint32_t)n);
		done += n;
	}
	return (int64_t)done;
}

static int64_t
synth_write(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);

	if (!o || o->type != SVC_T_SYNTH || (o->flags & LX_O_ACCMODE) == LX_O_RDONLY)
		return -EBADF;
	if (s->c > MSG_BYTES)
		return -EINVAL;
	memcpy(sv->bounce, p->msg, s->c);
	return fs_synth_write(sv->fs, &p->cred, o->inode, s->b, sv->bounce, s->c);
}

int64_t
path_op(struct service *sv, struct proc *p, struct svc *s)
{
	switch (s->op) {
	case SVC_STAT:
		return path_stat(sv, p, s);
	case SVC_ACCESS:
		return path_access(sv, p, s);
	case SVC_READLINK:
		return path_readlink(sv, p, s);
	case SVC_STATFS:
		return path_statfs(sv, p, s);
	case SVC_CHDIR:
		return path_chdir(sv, p, s);
	case SVC_GETCWD:
		return path_getcwd(sv, p);
	case SVC_GETDENTS:
		return path_getdents(sv, p, s);
	case SVC_SEEKDIR:
		return path_seekdir(sv, p, s);
	case SVC_MKDIR:
	case SVC_MKNOD:
		return path_make(sv, p, s);
	case SVC_UNLINK:
		return path_unlink(sv, p, s);
	case SVC_RENAME:
		return path_rename(sv, p, s);
	case SVC_LINK:
		return path_link(sv, p, s);
	case SVC_SYMLINK:
		return path_symlink(sv, p, s);
	case SVC_SYNTH_READ:
		return synth_read(sv, p, s);
	case SVC_SYNTH_WRITE:
		return synth_write(sv, p, s);
	default:
		return path_change(sv, p, s);
	}
}
