/* SPDX-License-Identifier: MIT */
/*
 * Generated files, such as those of /proc: content and effects are the service's.
 *
 * Owns the position only.  The content was made when the file was opened, so that reads in pieces
 * agree with each other.
 */
#include "exos/fd/priv.h"

#define SYNTH_CHUNK SVC_MSG_BYTES

int64_t
synth_read(struct file *f, struct io *io, const uint64_t *pos)
{
	uint64_t *word = file_position(f);
	uint64_t at = pos ? *pos : __atomic_load_n(word, __ATOMIC_RELAXED);
	size_t done = 0, n, put;
	int64_t got;

	while (io->left) {
		n = io->left < SYNTH_CHUNK ? io->left : SYNTH_CHUNK;
		got = service(SVC_SYNTH_READ, f->obj, at + done, n, 0);
		if (got > (int64_t)n)
			got = -EIO;
		if (got < 0 && !done)
			return got;
		if (got <= 0)
			break;
		put = io_put(io, msg(0), (size_t)got);
		if (!put && !done)
			return -EFAULT;
		done += put;
		if (put < n)
			break;
	}
	if (!pos)
		__atomic_store_n(word, at + done, __ATOMIC_RELEASE);
	return (int64_t)done;
}

int64_t
synth_write(struct file *f, struct io *io, const uint64_t *pos)
{
	uint64_t *word = file_position(f);
	uint64_t at = pos ? *pos : __atomic_load_n(word, __ATOMIC_RELAXED);
	size_t n = io->left < SYNTH_CHUNK ? io->left : SYNTH_CHUNK;
	size_t k = io_get(io, msg(0), n);
	int64_t got;

	if (k < n)
		return -EFAULT;
	got = service(SVC_SYNTH_WRITE, f->obj, at, k, 0);
	if (got > (int64_t)k)
		got = -EIO;
	if (got > 0 && !pos)
		__atomic_store_n(word, at + (uint64_t)got, __ATOMIC_RELEASE);
	return got;
}

int64_t
synth_seek(struct file *f, int64_t offset, int whence)
{
	uint64_t *word = file_position(f);
	int64_t to = offset;

	if (whence == LX_SEEK_CUR &&
	    __builtin_add_overflow((int64_t)(*word & INT64_MAX), offset, &to))
		return -EINVAL;
	if ((whence != LX_SEEK_SET && whence != LX_SEEK_CUR) || to < 0)
		return -EINVAL;
	__atomic_store_n(word, (uint64_t)to, __ATOMIC_RELEASE);
	return to;
}
