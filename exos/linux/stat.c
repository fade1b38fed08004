/* SPDX-License-Identifier: MIT */
/*
 * Linux calls about what files are: stat and its kin, access, modes, owners, times, sizes.
 *
 * Owns the translation between the file system's records and Linux's.  A regular file that is open
 * answers from its shared page; everything else is the service's.
 */
#include "exos/linux/path.h"

#include "exos/linux/call.h"
#include "exos/linux/calls.h"

#define STAT_FLAGS \
	(LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT | LX_AT_EMPTY_PATH | LX_AT_STATX_SYNC_TYPE)
#define NS 1000000000

static struct lx_timespec
timespec_of(int64_t ns)
{
	struct lx_timespec t = {.tv_sec = ns / NS, .tv_nsec = ns % NS};

	if (t.tv_nsec < 0) {
		t.tv_sec--;
		t.tv_nsec += NS;
	}
	return t;
}

/* ---- stat ---- */

int64_t
stat_at(int dirfd, uint64_t user, uint32_t at_flags, struct fs_stat *out)
{
	struct path path;
	struct place place;
	struct file *f;
	int64_t err = path_take(&path, user);

	if (err)
		return err;
	if (!path.length && (at_flags & LX_AT_EMPTY_PATH) && dirfd != LX_AT_FDCWD) {
		f = fd_file(dirfd);
		return f ? file_stat(f, out) : -EBADF;
	}
	err = path_place(&place, &path, dirfd, at_flags, 0);
	if (err)
		return err;
	err = place_call(SVC_STAT, &place, at_flags & LX_AT_SYMLINK_NOFOLLOW, 0, 0);
	if (err < 0)
		return err;
	memcpy(out, (const void *)EXOS_MSG, sizeof(*out));
	return 0;
}

static int64_t
stat_give(uint64_t user, const struct fs_stat *st)
{
	struct lx_stat out = {
		.st_dev = st->dev,
		.st_ino = st->ino,
		.st_nlink = st->nlink,
		.st_mode = st->mode,
		.st_uid = st->uid,
		.st_gid = st->gid,
		.st_rdev = st->rdev,
		.st_size = (int64_t)st->size,
		.st_blksize = st->blksize,
		.st_blocks = (int64_t)st->blocks,
		.st_atim = timespec_of(st->atime),
		.st_mtim = timespec_of(st->mtime),
		.st_ctim = timespec_of(st->ctime),
	};

	return copy_out(user, &out, sizeof(out)) ? -EFAULT : 0;
}

static int64_t
stat_call(int dirfd, uint64_t user, uint64_t buffer, uint32_t at_flags)
{
	struct fs_stat st;
	int64_t err = stat_at(dirfd, user, at_flags, &st);

	return err < 0 ? err : stat_give(buffer, &st);
}

int64_t
sys_stat(struct call *c)
{
	return stat_call(LX_AT_FDCWD, c->a[0], c->a[1], 0);
}

int64_t
sys_lstat(struct call *c)
{
	return stat_call(LX_AT_FDCWD, c->a[0], c->a[1], LX_AT_SYMLINK_NOFOLLOW);
}

int64_t
sys_newfstatat(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[3];

	if (flags & ~(uint32_t)STAT_FLAGS)
		return -EINVAL;
	return stat_call((int)c->a[0], c->a[1], c->a[2], flags);
}

int64_t
sys_fstat(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);
	struct fs_stat st;
	int err = f ? file_stat(f, &st) : -EBADF;

	return err ? err : stat_give(c->a[1], &st);
}

static struct lx_statx_timestamp
statx_time(int64_t ns)
{
	struct lx_timespec t = timespec_of(ns);

	return (struct lx_statx_timestamp){.tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec};
}

static int64_t
statx_give(uint64_t user, const struct fs_stat *st)
{
	struct lx_statx out = {
		.stx_mask = LX_STATX_BASIC_STATS | (st->btime ? LX_STATX_BTIME : 0),
		.stx_blksize = st->blksize,
		.stx_nlink = st->nlink,
		.stx_uid = st->uid,
		.stx_gid = st->gid,
		.stx_mode = (uint16_t)st->mode,
		.stx_ino = st->ino,
		.stx_size = st->size,
		.stx_blocks = st->blocks,
		.stx_atime = statx_time(st->atime),
		.stx_btime = statx_time(st->btime),
		.stx_ctime = statx_time(st->ctime),
		.stx_mtime = statx_time(st->mtime),
		.stx_rdev_major = LX_MAJOR(st->rdev),
		.stx_rdev_minor = LX_MINOR(st->rdev),
		.stx_dev_major = LX_MAJOR(st->dev),
		.stx_dev_minor = LX_MINOR(st->dev),
	};

	return copy_out(user, &out, sizeof(out)) ? -EFAULT : 0;
}

int64_t
sys_statx(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[2];
	struct fs_stat st;
	int64_t err;

	if ((c->a[3] & LX_STATX__RESERVED) || (flags & ~(uint32_t)STAT_FLAGS) ||
	    (flags & LX_AT_STATX_SYNC_TYPE) == LX_AT_STATX_SYNC_TYPE)
		return -EINVAL;
	err = stat_at((int)c->a[0], c->a[1], flags, &st);
	return err < 0 ? err : statx_give(c->a[4], &st);
}

static int64_t
statfs_call(const struct place *place, uint64_t user)
{
	int64_t err = place_call(SVC_STATFS, place, 0, 0, 0);
	struct fs_statfs st;
	struct lx_statfs out;

	if (err < 0)
		return err;
	memcpy(&st, (const void *)EXOS_MSG, sizeof(st));
	out = (struct lx_statfs){
		.f_type = (int64_t)st.type,
		.f_bsize = (int64_t)st.bsize,
		.f_blocks = (int64_t)st.blocks,
		.f_bfree = (int64_t)st.bfree,
		.f_bavail = (int64_t)st.bavail,
		.f_files = (int64_t)st.files,
		.f_ffree = (int64_t)st.ffree,
		.f_namelen = (int64_t)st.namelen,
		.f_frsize = (int64_t)st.bsize,
		.f_flags = LX_ST_VALID,
	};
	return copy_out(user, &out, sizeof(out)) ? -EFAULT : 0;
}

int64_t
sys_statfs(struct call *c)
{
	struct place place;
	int64_t err = path_locate(&place, LX_AT_FDCWD, c->a[0], 0);

	return err ? err : statfs_call(&place, c->a[1]);
}

int64_t
sys_fstatfs(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);
	struct place place = {f ? file_object(f) : 0, 0};

	return f ? statfs_call(&place, c->a[1]) : -EBADF;
}

/* ---- access ---- */

static int64_t
access_at(int dirfd, uint64_t user, uint64_t mode, uint32_t flags)
{
	struct place place;
	int64_t err;

	if (mode & ~7ul)
		return -EINVAL;
	err = path_locate(&place, dirfd, user, flags);
	return err ? err : place_call(SVC_ACCESS, &place, mode, flags, 0);
}

int64_t
sys_access(struct call *c)
{
	return access_at(LX_AT_FDCWD, c->a[0], (uint32_t)c->a[1], 0);
}

int64_t
sys_faccessat(struct call *c)
{
	return access_at((int)c->a[0], c->a[1], (uint32_t)c->a[2], 0);
}

int64_t
sys_faccessat2(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[3];

	if (flags & ~(uint32_t)(LX_AT_EACCESS | LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	return access_at((int)c->a[0], c->a[1], (uint32_t)c->a[2], flags);
}

/* ---- modes and owners ---- */

/* The place of an open file whose attributes are to change; O_PATH does not do. */
static int64_t
file_place(struct place *place, int fd)
{
	struct file *f = fd_file(fd);

	if (!f || (file_flags(f) & LX_O_PATH))
		return -EBADF;
	*place = (struct place){file_object(f), 0};
	return 0;
}

static int64_t
chmod_at(int dirfd, uint64_t user, uint64_t mode, uint32_t at_flags)
{
	struct place place;
	int64_t err = path_locate(&place, dirfd, user, at_flags);

	return err ? err : place_call(SVC_CHMOD, &place, mode & 07777, 0, 0);
}

int64_t
sys_chmod(struct call *c)
{
	return chmod_at(LX_AT_FDCWD, c->a[0], c->a[1], 0);
}

int64_t
sys_fchmodat(struct call *c)
{
	return chmod_at((int)c->a[0], c->a[1], c->a[2], 0);
}

/* A link has no mode of its own: Linux file systems refuse to change it. */
int64_t
sys_fchmodat2(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[3];
	struct fs_stat st;
	int64_t err;

	if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & LX_AT_SYMLINK_NOFOLLOW) {
		err = stat_at((int)c->a[0], c->a[1], flags, &st);
		if (err < 0)
			return err;
		if ((st.mode & LX_S_IFMT) == LX_S_IFLNK)
			return -EOPNOTSUPP;
	}
	return chmod_at((int)c->a[0], c->a[1], c->a[2], flags);
}

int64_t
sys_fchmod(struct call *c)
{
	struct place place;
	int64_t err = file_place(&place, (int)c->a[0]);

	return err ? err : place_call(SVC_CHMOD, &place, c->a[1] & 07777, 0, 0);
}

static int64_t
chown_at(int dirfd, uint64_t user, uint64_t uid, uint64_t gid, uint32_t flags)
{
	struct place place;
	int64_t err = path_locate(&place, dirfd, user, flags);

	return err ? err : place_call(SVC_CHOWN, &place, (uint32_t)uid, (uint32_t)gid, flags);
}

int64_t
sys_chown(struct call *c)
{
	return chown_at(LX_AT_FDCWD, c->a[0], c->a[1], c->a[2], 0);
}

int64_t
sys_lchown(struct call *c)
{
	return chown_at(LX_AT_FDCWD, c->a[0], c->a[1], c->a[2], LX_AT_SYMLINK_NOFOLLOW);
}

int64_t
sys_fchownat(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[4];

	if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	return chown_at((int)c->a[0], c->a[1], c->a[2], c->a[3], flags);
}

int64_t
sys_fchown(struct call *c)
{
	struct place place;
	int64_t err = file_place(&place, (int)c->a[0]);

	return err ? err : place_call(SVC_CHOWN, &place, (uint32_t)c->a[1], (uint32_t)c->a[2], 0);
}

/* ---- times ---- */

struct times {
	int64_t atime, mtime;
};

static bool
time_add(int64_t sec, int64_t sub, int64_t unit, int64_t *out)
{
	if (sub < 0 || sub >= NS / unit)
		return false;
	/* Beyond what nanoseconds can hold: the nearest, as file systems with a range do. */
	if (__builtin_mul_overflow(sec, NS, out) || __builtin_add_overflow(*out, sub * unit, out))
		*out = sec < 0 ? INT64_MIN + 1 : INT64_MAX - 1;
	return true;
}

static int64_t
times_of_specs(uint64_t user, struct times *out)
{
	struct lx_timespec t[2];
	int64_t *to[2] = {&out->atime, &out->mtime};

	if (copy_in(t, user, sizeof(t)))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (t[i].tv_nsec == LX_UTIME_NOW)
			*to[i] = FS_TIME_NOW;
		else if (t[i].tv_nsec == LX_UTIME_OMIT)
			*to[i] = FS_TIME_OMIT;
		else if (!time_add(t[i].tv_sec, t[i].tv_nsec, 1, to[i]))
			return -EINVAL;
	}
	return 0;
}

static int64_t
times_of_vals(uint64_t user, struct times *out)
{
	int64_t t[4]; /* two of seconds and microseconds */

	if (copy_in(t, user, sizeof(t)))
		return -EFAULT;
	if (!time_add(t[0], t[1], 1000, &out->atime) || !time_add(t[2], t[3], 1000, &out->mtime))
		return -EINVAL;
	return 0;
}

static int64_t
times_set(const struct place *place, const struct times *t, uint32_t flags)
{
	return place_call(SVC_UTIMENS, place, (uint64_t)t->atime, (uint64_t)t->mtime, flags);
}

static int64_t
utimes_at(int dirfd, uint64_t user, uint64_t user_times)
{
	struct times t = {FS_TIME_NOW, FS_TIME_NOW};
	struct place place;
	int64_t err = user_times ? times_of_vals(user_times, &t) : 0;

	if (!err)
		err = !user && dirfd != LX_AT_FDCWD ? file_place(&place, dirfd)
						    : path_locate(&place, dirfd, user, 0);
	return err ? err : times_set(&place, &t, 0);
}

int64_t
sys_utimes(struct call *c)
{
	return utimes_at(LX_AT_FDCWD, c->a[0], c->a[1]);
}

int64_t
sys_futimesat(struct call *c)
{
	return utimes_at((int)c->a[0], c->a[1], c->a[2]);
}

int64_t
sys_utime(struct call *c)
{
	struct times t = {FS_TIME_NOW, FS_TIME_NOW};
	struct lx_utimbuf buf;
	struct place place;
	int64_t err;

	if (c->a[1]) {
		if (copy_in(&buf, c->a[1], sizeof(buf)))
			return -EFAULT;
		time_add(buf.actime, 0, 1, &t.atime);
		time_add(buf.modtime, 0, 1, &t.mtime);
	}
	err = path_locate(&place, LX_AT_FDCWD, c->a[0], 0);
	return err ? err : times_set(&place, &t, 0);
}

int64_t
sys_utimensat(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[3];
	struct times t = {FS_TIME_NOW, FS_TIME_NOW};
	struct place place;
	int64_t err = c->a[2] ? times_of_specs(c->a[2], &t) : 0;

	if (err)
		return err;
	if (t.atime == FS_TIME_OMIT && t.mtime == FS_TIME_OMIT)
		return 0;
	if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	if (!c->a[1] && (int)c->a[0] != LX_AT_FDCWD) {
		if (flags)
			return -EINVAL;
		err = file_place(&place, (int)c->a[0]);
	} else {
		err = path_locate(&place, (int)c->a[0], c->a[1], flags);
	}
	return err ? err : times_set(&place, &t, flags);
}

/* ---- sizes ---- */

static int64_t
size_check(uint64_t size)
{
	if (size > INT64_MAX)
		return -EINVAL;
	if (size > FS_FILE_MAX)
		return -EFBIG;
	if (size <= fd_table()->size_limit)
		return 0;
	signal_raise_self(LX_SIGXFSZ);
	return -EFBIG;
}

int64_t
sys_truncate(struct call *c)
{
	struct place place;
	int64_t err = size_check(c->a[1]);

	if (!err)
		err = path_locate(&place, LX_AT_FDCWD, c->a[0], 0);
	return err ? err : place_call(SVC_TRUNCATE, &place, c->a[1], 0, 0);
}

int64_t
sys_ftruncate(struct call *c)
{
	struct place place;
	int64_t err = (int64_t)c->a[1] < 0 ? -EINVAL : file_place(&place, (int)c->a[0]);

	if (err)
		return err;
	if (file_type(fd_file((int)c->a[0])) != SVC_T_FILE || !file_writable(fd_file((int)c->a[0])))
		return -EINVAL;
	err = size_check(c->a[1]);
	return err ? err : place_call(SVC_TRUNCATE, &place, c->a[1], 0, 0);
}

/* Space is not set aside: only the size is made. */
int64_t
sys_fallocate(struct call *c)
{
	uint64_t start = c->a[2], length = c->a[3], end = start + length;
	struct file *f = fd_file((int)c->a[0]);
	struct svc s = {.op = SVC_EXTEND, .b = end, .c = end};
	int64_t err;

	if (!f || (file_flags(f) & LX_O_PATH))
		return -EBADF;
	if ((int64_t)start < 0 || (int64_t)length <= 0)
		return -EINVAL;
	if (c->a[1] & ~(uint64_t)LX_FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	if (!file_writable(f))
		return -EBADF;
	if (!file_seekable(f))
		return -ESPIPE;
	if (file_type(f) != SVC_T_FILE)
		return file_type(f) == SVC_T_DIR ? -EISDIR : -ENODEV;
	err = end > INT64_MAX ? -EFBIG : size_check(end);
	if (err || (c->a[1] & LX_FALLOC_FL_KEEP_SIZE) || end <= file_info(f)->size)
		return err;
	s.a = file_object(f);
	return svc_call(&s);
}
