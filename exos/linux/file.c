/* SPDX-License-Identifier: MIT */
/*
 * Linux calls that move bytes: read, write, their vectors and positions, lseek, sendfile, and the
 * advice and synchronisation calls, for which there is nothing to do in memory.
 *
 * Owns nothing.  A call checks what Linux checks first (descriptor, access mode, counts), describes
 * the program's memory as a struct io, and leaves the rest to exos/fd.
 */
#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/linux/abi.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"

#define IOV_FAST    8u
#define BOUNCE_SIZE 16384u

#define RWF_HARMLESS 0x07u /* RWF_HIPRI, RWF_DSYNC, RWF_SYNC */

typedef int64_t file_move(struct file *f, struct io *io, const uint64_t *pos);

/* Bytes that one call moves. */
static size_t
move_count(uint64_t n)
{
	return n < LX_MAX_RW_COUNT ? n : LX_MAX_RW_COUNT;
}

/* A count that no memory of a program has room for. */
static int64_t
too_long(const struct file *f, file_move *move)
{
	if (!f || !(move == file_read ? file_readable(f) : file_writable(f)))
		return -EBADF;
	return -EFAULT;
}

static int64_t
range_move(struct call *c, file_move *move, const uint64_t *pos)
{
	struct file *f = fd_file((int)c->a[0]);
	uint64_t n = c->a[2];
	struct io io;

	if (!f || n > INT64_MAX)
		return too_long(f, move);
	io_user(&io, c->a[1], move_count(n));
	return move(f, &io, pos);
}

int64_t
sys_read(struct call *c)
{
	if (c->a[2] > INT64_MAX)
		return too_long(fd_file((int)c->a[0]), file_read);
	return fd_read((int)c->a[0], c->a[1], move_count(c->a[2]));
}

int64_t
sys_write(struct call *c)
{
	if (c->a[2] > INT64_MAX)
		return too_long(fd_file((int)c->a[0]), file_write);
	return fd_write((int)c->a[0], c->a[1], move_count(c->a[2]));
}

static int64_t
positioned_check(int fd, uint64_t pos)
{
	struct file *f = fd_file(fd);

	if (pos > INT64_MAX)
		return -EINVAL;
	if (!f)
		return -EBADF;
	return file_seekable(f) ? 0 : -ESPIPE;
}

int64_t
sys_pread64(struct call *c)
{
	int64_t err = positioned_check((int)c->a[0], c->a[3]);

	return err ? err : range_move(c, file_read, &c->a[3]);
}

int64_t
sys_pwrite64(struct call *c)
{
	int64_t err = positioned_check((int)c->a[0], c->a[3]);

	return err ? err : range_move(c, file_write, &c->a[3]);
}

/* Sum of the lengths, cut to what one call may move; the segments are cut with it by io. */
static int64_t
vector_total(const struct lx_iovec *iov, uint32_t count)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (iov[i].iov_len > INT64_MAX)
			return -EINVAL;
		if (iov[i].iov_len > LX_MAX_RW_COUNT - total)
			total = LX_MAX_RW_COUNT;
		else
			total += iov[i].iov_len;
	}
	return (int64_t)total;
}

static int64_t
vector_move(struct call *c, file_move *move, const uint64_t *pos)
{
	struct file *f = fd_file((int)c->a[0]);
	struct lx_iovec fast[IOV_FAST], *iov = fast;
	uint64_t count = c->a[2];
	size_t bytes;
	struct io io;
	int64_t got;

	if (!f)
		return -EBADF;
	if (move == file_read ? !file_readable(f) : !file_writable(f))
		return -EBADF;
	if (count > LX_IOV_MAX)
		return -EINVAL;
	bytes = count * sizeof(*iov);
	if (count > IOV_FAST)
		iov = core_alloc(bytes);
	if (!iov)
		return -ENOMEM;
	if (bytes && copy_in(iov, c->a[1], bytes))
		got = -EFAULT;
	else
		got = vector_total(iov, (uint32_t)count);
	if (got >= 0) {
		io_vector(&io, iov, (uint32_t)count, (size_t)got);
		got = move(f, &io, pos);
	}
	if (iov != fast)
		core_free(iov, bytes);
	return got;
}

int64_t
sys_readv(struct call *c)
{
	return vector_move(c, file_read, NULL);
}

int64_t
sys_writev(struct call *c)
{
	return vector_move(c, file_write, NULL);
}

int64_t
sys_preadv(struct call *c)
{
	int64_t err = positioned_check((int)c->a[0], c->a[3]);

	return err ? err : vector_move(c, file_read, &c->a[3]);
}

int64_t
sys_pwritev(struct call *c)
{
	int64_t err = positioned_check((int)c->a[0], c->a[3]);

	return err ? err : vector_move(c, file_write, &c->a[3]);
}

int64_t
sys_preadv2(struct call *c)
{
	if (c->a[5] & ~(uint64_t)RWF_HARMLESS)
		return -EOPNOTSUPP;
	return c->a[3] == UINT64_MAX ? sys_readv(c) : sys_preadv(c);
}

int64_t
sys_pwritev2(struct call *c)
{
	if (c->a[5] & ~(uint64_t)RWF_HARMLESS)
		return -EOPNOTSUPP;
	return c->a[3] == UINT64_MAX ? sys_writev(c) : sys_pwritev(c);
}

int64_t
sys_lseek(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);

	return f ? file_seek(f, (int64_t)c->a[1], (int)c->a[2]) : -EBADF;
}

/* ---- sendfile ---- */

/* One bounce buffer's worth from `in` to `out`; bytes, 0 at the end, or an error. */
static int64_t
send_piece(struct file *out, struct file *in, uint64_t *pos, void *buffer, size_t n)
{
	struct io io;
	int64_t got, put;

	io_library(&io, buffer, n);
	got = file_read(in, &io, pos);
	if (got <= 0)
		return got;
	io_library(&io, buffer, (size_t)got);
	put = file_write(out, &io, NULL);
	if (put > 0)
		*pos += (uint64_t)put;
	return put;
}

static int64_t
send_all(struct file *out, struct file *in, uint64_t *pos, size_t count)
{
	size_t done = 0, n;
	void *buffer = core_alloc(BOUNCE_SIZE);
	int64_t got = 0;

	if (!buffer)
		return -ENOMEM;
	while (done < count) {
		n = count - done < BOUNCE_SIZE ? count - done : BOUNCE_SIZE;
		got = send_piece(out, in, pos, buffer, n);
		if (got <= 0)
			break;
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	core_free(buffer, BOUNCE_SIZE);
	return done ? (int64_t)done : got;
}

int64_t
sys_sendfile(struct call *c)
{
	struct file *out = fd_file((int)c->a[0]), *in = fd_file((int)c->a[1]);
	uint64_t count = c->a[3] < LX_MAX_RW_COUNT ? c->a[3] : LX_MAX_RW_COUNT, pos;
	int64_t got;

	if (!in || !out || !file_readable(in) || !file_writable(out))
		return -EBADF;
	if (c->a[2] && copy_in(&pos, c->a[2], sizeof(pos)))
		return -EFAULT;
	if (!file_seekable(in))
		return c->a[2] ? -ESPIPE : -EINVAL;
	if (file_type(in) == SVC_T_DIR || (file_flags(out) & LX_O_APPEND))
		return -EINVAL;
	if (!c->a[2]) {
		got = file_seek(in, 0, LX_SEEK_CUR);
		if (got < 0)
			return got;
		pos = (uint64_t)got;
	}
	if (pos > INT64_MAX)
		return -EINVAL;
	got = send_all(out, in, &pos, count);
	if (c->a[2] && copy_out(c->a[2], &pos, sizeof(pos)))
		return -EFAULT;
	if (!c->a[2] && got > 0)
		file_seek(in, (int64_t)pos, LX_SEEK_SET);
	return got;
}

/* ---- nothing to do in memory ---- */

static int64_t
sync_file(int fd)
{
	struct file *f = fd_file(fd);

	if (!f || (file_flags(f) & LX_O_PATH))
		return -EBADF;
	switch (file_type(f)) {
	case SVC_T_FILE:
	case SVC_T_DIR:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t
sys_fsync(struct call *c)
{
	return sync_file((int)c->a[0]);
}

int64_t
sys_fdatasync(struct call *c)
{
	return sync_file((int)c->a[0]);
}

int64_t
sys_sync(struct call *c)
{
	(void)c;
	return 0;
}

int64_t
sys_syncfs(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);

	return f && !(file_flags(f) & LX_O_PATH) ? 0 : -EBADF;
}

int64_t
sys_sync_file_range(struct call *c)
{
	if (c->a[1] > INT64_MAX || c->a[2] > INT64_MAX || c->a[3] > 7)
		return -EINVAL;
	return sync_file((int)c->a[0]);
}

int64_t
sys_fadvise64(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);

	if (!f || (file_flags(f) & LX_O_PATH))
		return -EBADF;
	if (!file_seekable(f))
		return -ESPIPE;
	return (int64_t)c->a[2] < 0 || c->a[3] > 5 ? -EINVAL : 0;
}

int64_t
sys_readahead(struct call *c)
{
	struct file *f = fd_file((int)c->a[0]);

	if (!f || !file_readable(f))
		return -EBADF;
	return file_type(f) == SVC_T_FILE ? 0 : -EINVAL;
}
