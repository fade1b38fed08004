/* SPDX-License-Identifier: MIT */
/*
 * Linux calls that name files: open and its kin, links, directories, renaming.
 *
 * Owns nothing but the process's umask, which is applied here.  Permissions and everything else
 * about names are the service's to decide.
 */
#include "exos/linux/path.h"

#include "exos/fd/park.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"

#define OPEN_ONCE (LX_O_CREAT | LX_O_EXCL | LX_O_NOCTTY | LX_O_TRUNC | LX_O_CLOEXEC)
#define OPEN_PATH (LX_O_PATH | LX_O_DIRECTORY | LX_O_NOFOLLOW | LX_O_CLOEXEC)
#define OPEN_KNOWN                                                                        \
	(LX_O_ACCMODE | OPEN_ONCE | OPEN_PATH | LX_O_APPEND | LX_O_NONBLOCK | LX_O_SYNC | \
	 LX_O_ASYNC | LX_O_DIRECT | LX_O_LARGEFILE | LX_O_NOATIME | LX_O_TMPFILE)

int64_t
path_take(struct path *path, uint64_t user)
{
	int64_t n = copy_in_string(path->text, user, sizeof(path->text));

	path->length = n < 0 ? 0 : (size_t)n;
	memset(path->text + path->length, 0, 8 - path->length % 8);
	return n < 0 ? n : 0;
}

static int64_t
empty_place(struct place *place, int dirfd, uint32_t at_flags, size_t msg_offset)
{
	struct file *f;

	if (!(at_flags & LX_AT_EMPTY_PATH))
		return -ENOENT;
	if (dirfd == LX_AT_FDCWD) {
		*(char *)(EXOS_MSG + msg_offset) = '.';
		*place = (struct place){SVC_CWD, 1};
		return 0;
	}
	f = fd_file(dirfd);
	if (!f)
		return -EBADF;
	*place = (struct place){file_object(f), 0};
	return 0;
}

int64_t
path_place(struct place *place, const struct path *path, int dirfd, uint32_t at_flags,
	   size_t msg_offset)
{
	struct file *f;

	if (!path->length)
		return empty_place(place, dirfd, at_flags, msg_offset);
	*place = (struct place){SVC_CWD, path->length};
	if (path->text[0] != '/' && dirfd != LX_AT_FDCWD) {
		f = fd_file(dirfd);
		if (!f)
			return -EBADF;
		if (file_type(f) != SVC_T_DIR && file_type(f) != SVC_T_PATH)
			return -ENOTDIR;
		place->dir = file_object(f);
	}
	memcpy((char *)EXOS_MSG + msg_offset, path->text, path->length);
	return 0;
}

int64_t
path_locate(struct place *place, int dirfd, uint64_t user, uint32_t at_flags)
{
	struct path path;
	int64_t err = path_take(&path, user);

	return err ? err : path_place(place, &path, dirfd, at_flags, 0);
}

int64_t
place_call(uint32_t op, const struct place *place, uint64_t c, uint64_t d, uint64_t e)
{
	struct svc s = {.op = op, .a = place->dir, .b = place->length, .c = c, .d = d, .e = e};

	return svc_call(&s);
}

/* ---- open ---- */

/*
 * Asks the service until it does not answer that the other end of a fifo is missing.  drop: an object that it is
 * to close first, 0: none.
 */
static int64_t
open_ask(const struct path *path, int dirfd, uint32_t flags, uint32_t mode, uint32_t drop)
{
	struct svc cancel = {.op = SVC_OPEN, .a = SVC_CWD};
	struct place place;
	uint32_t seen;
	int64_t got;

	for (;;) {
		seen = core_events();
		got = path_place(&place, path, dirfd, 0, 0);
		if (got)
			return got;
		got = place_call(SVC_OPEN, &place, flags, mode, drop);
		drop = 0;
		if (got != -EAGAIN || (flags & LX_O_NONBLOCK))
			return got;
		if (process_block(seen, AEGIS_NEVER) == -LX_ERESTARTSYS) {
			svc_call(&cancel);
			return -LX_ERESTARTSYS;
		}
	}
}

/* Only to be read, from a place that only this process changes. */
static bool
open_simple(int dirfd, const struct path *path, uint32_t flags)
{
	return !(flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NOCTTY | LX_O_LARGEFILE)) &&
	       path->length && (path->text[0] == '/' || dirfd == LX_AT_FDCWD);
}

/* The file is open, with one reference. */
static int64_t
open_file(int dirfd, const struct path *path, uint32_t flags, uint32_t mode, struct file **f)
{
	bool simple = open_simple(dirfd, path, flags);
	struct park_open park = {0};
	struct svc_opened opened;
	int64_t got;

	if (simple) {
		*f = park_open(path->text, (uint32_t)path->length, &park);
		if (*f)
			return 0;
	}
	got = open_ask(path, dirfd, flags, mode, park.close);
	if (got < 0)
		return got;
	memcpy(&opened, (const void *)EXOS_MSG, sizeof(opened));
	flags |= flags & LX_O_PATH ? 0 : LX_O_LARGEFILE;
	got = file_create(&opened, flags & ~(uint32_t)OPEN_ONCE, f);
	if (!got && simple && opened.steady)
		park_opened(*f, path->text, (uint32_t)path->length, &park);
	return got;
}

static int64_t
open_path(int dirfd, const struct path *path, uint32_t flags, uint32_t mode)
{
	struct file *f;
	int fd = fd_free(0);
	int64_t got;

	if (fd < 0)
		return -EMFILE;
	if (flags & LX_O_PATH)
		flags &= OPEN_PATH;
	if ((flags & LX_O_TMPFILE) == LX_O_TMPFILE && (flags & LX_O_ACCMODE) == LX_O_RDONLY)
		return -EINVAL;
	mode = mode & 07777 & ~fd_table()->umask;
	got = open_file(dirfd, path, flags, mode, &f);
	if (got)
		return got;
	got = fd_install(fd, f, (flags & LX_O_CLOEXEC) != 0);
	if (got < 0)
		file_put(f);
	return got;
}

static int64_t
open_at(int dirfd, uint64_t user, uint32_t flags, uint32_t mode)
{
	struct path path;
	int64_t err = path_take(&path, user);

	return err ? err : open_path(dirfd, &path, flags & OPEN_KNOWN, mode);
}

int64_t
sys_open(struct call *c)
{
	return open_at(LX_AT_FDCWD, c->a[0], (uint32_t)c->a[1], (uint32_t)c->a[2]);
}

int64_t
sys_openat(struct call *c)
{
	return open_at((int)c->a[0], c->a[1], (uint32_t)c->a[2], (uint32_t)c->a[3]);
}

int64_t
sys_creat(struct call *c)
{
	return open_at(LX_AT_FDCWD, c->a[0], LX_O_CREAT | LX_O_WRONLY | LX_O_TRUNC,
		       (uint32_t)c->a[1]);
}

/* Restrictions of the lookup are not served: callers fall back to openat on -ENOSYS. */
int64_t
sys_openat2(struct call *c)
{
	uint64_t how[3]; /* flags, mode, resolve */

	if (c->a[3] < sizeof(how))
		return -EINVAL;
	if (copy_in(how, c->a[2], sizeof(how)))
		return -EFAULT;
	if (c->a[3] > sizeof(how))
		return -E2BIG;
	if (how[2])
		return -ENOSYS;
	if ((how[0] & ~(uint64_t)OPEN_KNOWN) || (how[1] & ~07777ul))
		return -EINVAL;
	return open_at((int)c->a[0], c->a[1], (uint32_t)how[0], (uint32_t)how[1]);
}

/* ---- making and removing ---- */

static int64_t
mkdir_at(int dirfd, uint64_t user, uint64_t mode)
{
	struct place place;
	int64_t err = path_locate(&place, dirfd, user, 0);

	return err ? err
		   : place_call(SVC_MKDIR, &place, mode & 01777 & ~(uint64_t)fd_table()->umask, 0,
				0);
}

int64_t
sys_mkdir(struct call *c)
{
	return mkdir_at(LX_AT_FDCWD, c->a[0], c->a[1]);
}

int64_t
sys_mkdirat(struct call *c)
{
	return mkdir_at((int)c->a[0], c->a[1], c->a[2]);
}

static int64_t
mknod_at(int dirfd, uint64_t user, uint64_t mode, uint64_t rdev)
{
	uint64_t type = mode & LX_S_IFMT;
	struct place place;
	int64_t err;

	if (type == LX_S_IFDIR)
		return -EPERM;
	if (type != 0 && type != LX_S_IFREG && type != LX_S_IFIFO && type != LX_S_IFSOCK &&
	    type != LX_S_IFCHR && type != LX_S_IFBLK)
		return -EINVAL;
	err = path_locate(&place, dirfd, user, 0);
	if (err)
		return err;
	mode = (type ? type : LX_S_IFREG) | (mode & 07777 & ~(uint64_t)fd_table()->umask);
	return place_call(SVC_MKNOD, &place, mode, (uint32_t)rdev, 0);
}

int64_t
sys_mknod(struct call *c)
{
	return mknod_at(LX_AT_FDCWD, c->a[0], (uint32_t)c->a[1], c->a[2]);
}

int64_t
sys_mknodat(struct call *c)
{
	return mknod_at((int)c->a[0], c->a[1], (uint32_t)c->a[2], c->a[3]);
}

static int64_t
unlink_at(int dirfd, uint64_t user, uint32_t flags)
{
	struct place place;
	int64_t err = path_locate(&place, dirfd, user, 0);

	return err ? err : place_call(SVC_UNLINK, &place, flags, 0, 0);
}

int64_t
sys_unlink(struct call *c)
{
	return unlink_at(LX_AT_FDCWD, c->a[0], 0);
}

int64_t
sys_rmdir(struct call *c)
{
	return unlink_at(LX_AT_FDCWD, c->a[0], LX_AT_REMOVEDIR);
}

int64_t
sys_unlinkat(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[2];

	if (flags & ~(uint32_t)LX_AT_REMOVEDIR)
		return -EINVAL;
	return unlink_at((int)c->a[0], c->a[1], flags);
}

/* ---- two names ---- */

static int64_t
two_paths(uint32_t op, int dirfd, uint64_t user, int dirfd2, uint64_t user2, uint32_t at_flags,
	  uint32_t flags)
{
	struct path path, path2;
	struct place place, place2;
	int64_t err = path_take(&path, user);

	if (!err)
		err = path_take(&path2, user2);
	if (!err)
		err = path_place(&place, &path, dirfd, at_flags, 0);
	if (!err)
		err = path_place(&place2, &path2, dirfd2, 0, PATH_SECOND);
	return err ? err : place_call(op, &place, place2.dir, place2.length, flags);
}

static int64_t
rename_at(int dirfd, uint64_t user, int dirfd2, uint64_t user2, uint32_t flags)
{
	if ((flags & ~(uint32_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE)) ||
	    flags == (LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE))
		return -EINVAL;
	return two_paths(SVC_RENAME, dirfd, user, dirfd2, user2, 0, flags);
}

int64_t
sys_rename(struct call *c)
{
	return rename_at(LX_AT_FDCWD, c->a[0], LX_AT_FDCWD, c->a[1], 0);
}

int64_t
sys_renameat(struct call *c)
{
	return rename_at((int)c->a[0], c->a[1], (int)c->a[2], c->a[3], 0);
}

int64_t
sys_renameat2(struct call *c)
{
	return rename_at((int)c->a[0], c->a[1], (int)c->a[2], c->a[3], (uint32_t)c->a[4]);
}

int64_t
sys_link(struct call *c)
{
	return two_paths(SVC_LINK, LX_AT_FDCWD, c->a[0], LX_AT_FDCWD, c->a[1], 0, 0);
}

int64_t
sys_linkat(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[4];

	if (flags & ~(uint32_t)(LX_AT_SYMLINK_FOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	return two_paths(SVC_LINK, (int)c->a[0], c->a[1], (int)c->a[2], c->a[3], flags, flags);
}

static int64_t
symlink_at(uint64_t user, int dirfd, uint64_t user2)
{
	struct path target, path;
	struct place place;
	struct svc s = {.op = SVC_SYMLINK};
	int64_t err = path_take(&target, user);

	if (!err)
		err = path_take(&path, user2);
	if (!err && !target.length)
		err = -ENOENT;
	if (!err)
		err = path_place(&place, &path, dirfd, 0, PATH_SECOND);
	if (err)
		return err;
	memcpy((char *)EXOS_MSG, target.text, target.length);
	s.a = target.length;
	s.b = place.dir;
	s.c = place.length;
	return svc_call(&s);
}

int64_t
sys_symlink(struct call *c)
{
	return symlink_at(c->a[0], LX_AT_FDCWD, c->a[1]);
}

int64_t
sys_symlinkat(struct call *c)
{
	return symlink_at(c->a[0], (int)c->a[1], c->a[2]);
}

static int64_t
readlink_at(int dirfd, uint64_t user, uint64_t buffer, int32_t size)
{
	struct place place;
	int64_t n;

	if (size <= 0)
		return -EINVAL;
	n = path_locate(&place, dirfd, user, LX_AT_EMPTY_PATH);
	if (n)
		return n;
	/* Only a descriptor of a link itself may be read by an empty name. */
	if (!place.length && file_type(fd_file(dirfd)) != SVC_T_PATH)
		return -ENOENT;
	n = place_call(SVC_READLINK, &place, 0, 0, 0);
	if (n < 0)
		return n;
	if (n > size)
		n = size;
	return copy_out(buffer, (const void *)EXOS_MSG, (size_t)n) ? -EFAULT : n;
}

int64_t
sys_readlink(struct call *c)
{
	return readlink_at(LX_AT_FDCWD, c->a[0], c->a[1], (int32_t)c->a[2]);
}

int64_t
sys_readlinkat(struct call *c)
{
	return readlink_at((int)c->a[0], c->a[1], c->a[2], (int32_t)c->a[3]);
}

/* ---- the process's place ---- */

int64_t
sys_chdir(struct call *c)
{
	struct place place;
	int64_t err = path_locate(&place, LX_AT_FDCWD, c->a[0], 0);

	return err ? err : place_call(SVC_CHDIR, &place, 0, 0, 0);
}

int64_t
sys_fchdir(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);
	struct place place;

	if (!f)
		return -EBADF;
	if (file_type(f) != SVC_T_DIR && file_type(f) != SVC_T_PATH)
		return -ENOTDIR;
	place = (struct place){file_object(f), 0};
	return place_call(SVC_CHDIR, &place, 0, 0, 0);
}

int64_t
sys_getcwd(struct call *c)
{
	struct svc s = {.op = SVC_GETCWD};
	int64_t n = svc_call(&s);

	if (n < 0)
		return n;
	if ((uint64_t)n > c->a[1])
		return -ERANGE;
	return copy_out(c->a[0], (const void *)EXOS_MSG, (size_t)n) ? -EFAULT : n;
}

int64_t
sys_umask(struct call *c)
{
	struct fd_table *t = fd_table();
	struct svc s = {.op = SVC_UMASK, .a = c->a[0] & 0777};
	uint32_t old = t->umask;

	t->umask = (uint32_t)s.a;
	svc_call(&s); /* for /proc */
	return old;
}
