/* SPDX-License-Identifier: MIT */
/*
 * Directories: entries and the place in them are the service's; positions are its cookies.
 *
 * Owns nothing.  Records come as getdents64 has them; the older layout has the same lengths, so a
 * record is changed where it stands.
 */
#include "exos/fd/priv.h"

#define DIR_CHUNK SVC_MSG_BYTES

int64_t
dir_seek(struct file *f, int64_t offset, int whence)
{
	int64_t now;

	if (whence == LX_SEEK_CUR) {
		now = service(SVC_SEEKDIR, f->obj, UINT64_MAX, 0, 0);
		if (now < 0 || !offset)
			return now;
		if (__builtin_add_overflow(now, offset, &offset))
			return -EINVAL;
	} else if (whence != LX_SEEK_SET) {
		return -EINVAL;
	}
	if (offset < 0)
		return -EINVAL;
	now = service(SVC_SEEKDIR, f->obj, (uint64_t)offset, 0, 0);
	return now < 0 ? now : offset;
}

/* struct linux_dirent: no type behind d_reclen, but in the record's last byte. */
static int
record_make_old(struct lx_dirent64 *record, size_t left)
{
	uint8_t *bytes = (uint8_t *)record;
	uint8_t type = record->d_type;
	uint16_t length = record->d_reclen;

	if (left < LX_DIRENT64_NAME || length < LX_DIRENT64_NAME + 2 || length > left || length % 8)
		return -EIO;
	memmove(bytes + LX_DIRENT64_NAME - 1, bytes + LX_DIRENT64_NAME,
		length - LX_DIRENT64_NAME - 0u);
	bytes[length - 1] = type;
	return length;
}

int64_t
file_getdents(struct file *f, uint64_t user, size_t size, bool old)
{
	int64_t got;
	int n;

	if (f->type != SVC_T_DIR || !file_readable(f))
		return f->flags & LX_O_PATH ? -EBADF : -ENOTDIR;
	if (size > DIR_CHUNK)
		size = DIR_CHUNK;
	got = service(SVC_GETDENTS, f->obj, size, 0, 0);
	if (got <= 0)
		return got;
	if ((uint64_t)got > size)
		return -EIO;
	for (int64_t at = 0; old && at < got; at += n) {
		n = record_make_old(msg((size_t)at), (size_t)(got - at));
		if (n < 0)
			return n;
	}
	return copy_out(user, msg(0), (size_t)got) ? -EFAULT : got;
}
