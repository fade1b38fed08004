/* SPDX-License-Identifier: MIT */
/*
 * Regular files: reading and writing are copies between the program's memory and the file's window.
 *
 * Owns the rules of position and size.  The size is a word that all writers of the file share
 * (info->size); it, the shared position and everything else in shared pages is checked at each use.
 *
 * 1. A transfer takes its range of the position first, by one compare-exchange, and gives back what
 *    it did not move if nobody went on from there; so two processes that share a description never
 *    write the same bytes.  Appends take their range of the size in the same way.
 * 2. Bytes are in their page before the size grows over them, except for appends, which readers may
 *    see as zeros for a moment.
 * 3. A page that is bound writable was given by the service for writing; a gap between the old end
 *    and the start of a write is the service's to clear (SVC_EXTEND), unless the position is shared.
 */
#include "exos/fd/priv.h"

#define POSITION_MAX  FS_FILE_MAX /* positions from shared pages beyond this are nonsense */
#define STALE_RETRIES 8

static uint64_t
size_load(const struct file *f)
{
	return __atomic_load_n(&f->info->size, __ATOMIC_ACQUIRE);
}

/* Takes [*pos, *pos + n) of the file's position, n cut to what is there to read. */
static size_t
position_take_read(struct file *f, size_t n, uint64_t *pos)
{
	uint64_t *word = file_position(f), size;
	uint64_t at = __atomic_load_n(word, __ATOMIC_RELAXED);
	size_t k;

	do {
		size = size_load(f);
		k = at >= size ? 0 : size - at < n ? size - at : n;
		if (!k)
			return 0;
	} while (!__atomic_compare_exchange_n(word, &at, at + k, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	*pos = at;
	return k;
}

/* Of n bytes taken at pos only `done` were moved. */
static void
word_give_back(uint64_t *word, uint64_t pos, size_t n, size_t done)
{
	uint64_t taken = pos + n;

	if (done < n)
		__atomic_compare_exchange_n(word, &taken, pos + done, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED);
}

/* One contiguous piece; bytes moved, 0: bad address, or an error. */
static int64_t
piece_move(struct file *f, struct io *io, uint64_t pos, size_t n, bool write)
{
	struct io saved = *io;
	uint8_t *at;
	int64_t k, got;

	for (int i = 0; i < STALE_RETRIES; i++) {
		k = window_at(f, pos, n, write, &at);
		if (k <= 0)
			return k;
		if (write)
			got = (int64_t)io_get(io, at, (size_t)k);
		else
			got = (int64_t)(at ? io_put(io, at, (size_t)k) : io_clear(io, (size_t)k));
		if (!f->window->stale)
			return got;
		if (!write && pos >= size_load(f)) {
			*io = saved;
			return 0;
		}
		*io = saved;
	}
	return -EIO;
}

/* n bytes at pos, which are there when reading. */
static int64_t
range_move(struct file *f, struct io *io, uint64_t pos, size_t n, bool write)
{
	size_t done = 0;
	int64_t got;

	while (done < n) {
		got = piece_move(f, io, pos + done, n - done, write);
		if (got < 0)
			return done ? (int64_t)done : got;
		if (!got)
			return done ? (int64_t)done : (!write && pos >= size_load(f) ? 0 : -EFAULT);
		done += (size_t)got;
	}
	return (int64_t)done;
}

int64_t
regular_read(struct file *f, struct io *io, const uint64_t *pos)
{
	uint64_t at, size;
	size_t n = io->left;
	int64_t got;

	if (pos) {
		size = size_load(f);
		if (*pos >= size || !n)
			return 0;
		return range_move(f, io, *pos, size - *pos < n ? size - *pos : n, false);
	}
	n = position_take_read(f, n, &at);
	if (!n)
		return 0;
	got = range_move(f, io, at, n, false);
	word_give_back(file_position(f), at, n, got > 0 ? (size_t)got : 0);
	return got;
}

void
time_touch(struct file *f)
{
	uint64_t now = core_wall_ns();

	f->info->mtime = now;
	f->info->ctime = now;
}

/*
 * [pos, end) was written: the size becomes at least end.  With a shared position a gap below pos may be what another
 * has taken and is writing: then the service clears nothing there.
 */
static int
size_grow(struct file *f, uint64_t pos, uint64_t end)
{
	uint64_t size = size_load(f);

	if (pos > size && pos < end)
		return (int)service(SVC_EXTEND, f->obj, f->shared ? 0 : pos, end, 0);
	while (size < end && !__atomic_compare_exchange_n(&f->info->size, &size, end, false,
							  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	return 0;
}

/* How many of n bytes may be written at pos: limits of the process and of files. */
static int64_t
write_limit(uint64_t pos, size_t n)
{
	uint64_t limit = fd_table()->size_limit;

	if (pos >= POSITION_MAX)
		return -EFBIG;
	if (n > POSITION_MAX - pos)
		n = POSITION_MAX - pos;
	if (pos >= limit) {
		signal_raise_self(LX_SIGXFSZ);
		return -EFBIG;
	}
	return (int64_t)(limit - pos < n ? limit - pos : n);
}

static int64_t
append(struct file *f, struct io *io, size_t n)
{
	uint64_t size = size_load(f);
	int64_t k, got;

	do {
		k = write_limit(size, n);
		if (k < 0)
			return k;
	} while (!__atomic_compare_exchange_n(&f->info->size, &size, size + (uint64_t)k, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	got = range_move(f, io, size, (size_t)k, true);
	word_give_back(&f->info->size, size, (size_t)k, got > 0 ? (size_t)got : 0);
	if (got > 0)
		__atomic_store_n(file_position(f), size + (uint64_t)got, __ATOMIC_RELEASE);
	return got;
}

static int64_t
write_at(struct file *f, struct io *io, uint64_t pos, size_t n)
{
	int64_t got = range_move(f, io, pos, n, true);
	int err;

	if (got <= 0)
		return got;
	err = size_grow(f, pos, pos + (uint64_t)got);
	return err < 0 ? err : got;
}

/* Takes its range of the position, and writes there. */
static int64_t
write_here(struct file *f, struct io *io, size_t n)
{
	uint64_t *word = file_position(f);
	uint64_t at = __atomic_load_n(word, __ATOMIC_RELAXED);
	int64_t k, got;

	do {
		k = write_limit(at, n);
		if (k < 0)
			return k;
	} while (!__atomic_compare_exchange_n(word, &at, at + (uint64_t)k, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	got = write_at(f, io, at, (size_t)k);
	word_give_back(word, at, (size_t)k, got > 0 ? (size_t)got : 0);
	return got;
}

int64_t
regular_write(struct file *f, struct io *io, const uint64_t *pos)
{
	size_t n = io->left;
	int64_t got;

	if (!n)
		return 0;
	if (file_flags(f) & LX_O_APPEND) {
		got = append(f, io, n);
	} else if (pos) {
		got = write_limit(*pos, n);
		if (got > 0)
			got = write_at(f, io, *pos, (size_t)got);
	} else {
		got = write_here(f, io, n);
	}
	if (got > 0)
		time_touch(f);
	return got;
}

int64_t
regular_seek(struct file *f, int64_t offset, int whence)
{
	uint64_t *word = file_position(f);
	uint64_t size = size_load(f);
	int64_t base = 0, to;

	if (size > POSITION_MAX)
		size = POSITION_MAX;
	switch (whence) {
	case LX_SEEK_SET:
		break;
	case LX_SEEK_CUR:
		base = (int64_t)(__atomic_load_n(word, __ATOMIC_RELAXED) & INT64_MAX);
		break;
	case LX_SEEK_END:
		base = (int64_t)size;
		break;
	case LX_SEEK_DATA:
	case LX_SEEK_HOLE:
		/* As file systems that keep no record of holes: all is data, the end is a hole. */
		if (offset < 0 || (uint64_t)offset >= size)
			return -ENXIO;
		if (whence == LX_SEEK_HOLE)
			offset = (int64_t)size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, offset, &to) || to < 0 || to > (int64_t)POSITION_MAX)
		return -EINVAL;
	__atomic_store_n(word, (uint64_t)to, __ATOMIC_RELEASE);
	return to;
}

/* From the shared page alone, so that fstat on an open file makes no call. */
void
regular_stat(struct file *f, struct fs_stat *out)
{
	const volatile struct svc_file_info *info = f->info;
	uint64_t size = info->size;

	if (size > POSITION_MAX)
		size = POSITION_MAX;
	*out = (struct fs_stat){
		.dev = info->dev,
		.ino = info->ino,
		.rdev = info->rdev,
		.size = size,
		.blocks = (size + FS_PAGE_SIZE - 1) / FS_PAGE_SIZE * (FS_PAGE_SIZE / 512),
		.mode = info->mode,
		.nlink = info->nlink,
		.uid = info->uid,
		.gid = info->gid,
		.blksize = FS_PAGE_SIZE,
		.atime = (int64_t)info->atime,
		.mtime = (int64_t)info->mtime,
		.ctime = (int64_t)info->ctime,
	};
}
