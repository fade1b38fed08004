/* SPDX-License-Identifier: MIT */
/*
 * Moving the bytes of a transfer; see io.h.
 *
 * Owns nothing.  A copy that fails is repeated page by page, because the answer of copy_in and
 * copy_out does not say how far it came and the caller must know.
 */
#include "exos/fd/io.h"

#include "exos/core/core.h"

enum io_op { IO_PUT, IO_GET, IO_CLEAR };

void
io_library(struct io *io, void *at, size_t n)
{
	*io = (struct io){.at = (uint64_t)(uintptr_t)at, .run = n, .left = n, .library = true};
}

void
io_vector(struct io *io, const struct lx_iovec *iov, uint32_t count, size_t total)
{
	*io = (struct io){.next = iov, .count = count, .left = total};
}

static void
library_copy(enum io_op op, uint64_t at, void *mem, size_t n)
{
	void *own = (void *)(uintptr_t)at; /* NOLINT: an address that io_library was given */

	if (op == IO_PUT)
		memcpy(own, mem, n);
	else if (op == IO_GET)
		memcpy(mem, own, n);
	else
		memset(own, 0, n);
}

static int
program_copy(enum io_op op, uint64_t at, void *mem, size_t n)
{
	if (op == IO_PUT)
		return copy_out(at, mem, n);
	if (op == IO_GET)
		return copy_in(mem, at, n);
	return clear_out(at, n);
}

/* One range; how many bytes could be moved. */
static size_t
range_move(enum io_op op, uint64_t at, uint8_t *mem, size_t n)
{
	size_t done = 0, step;

	if (!program_copy(op, at, mem, n))
		return n;
	while (done < n) {
		step = AEGIS_PAGE - ((at + done) & (AEGIS_PAGE - 1));
		if (step > n - done)
			step = n - done;
		if (program_copy(op, at + done, mem ? mem + done : NULL, step))
			break;
		done += step;
	}
	return done;
}

static void
io_advance(struct io *io, size_t n)
{
	io->at += n;
	io->run -= n;
	io->left -= n;
}

static void
io_segment(struct io *io)
{
	while (!io->run && io->count) {
		io->at = io->next->iov_base;
		io->run = io->next->iov_len < io->left ? io->next->iov_len : io->left;
		io->next++;
		io->count--;
	}
}

static size_t
io_move(struct io *io, enum io_op op, uint8_t *mem, size_t n)
{
	size_t done = 0, k, got;

	if (n > io->left)
		n = io->left;
	while (done < n) {
		io_segment(io);
		k = n - done < io->run ? n - done : io->run;
		if (!k)
			break;
		if (io->library) {
			library_copy(op, io->at, mem ? mem + done : NULL, k);
			got = k;
		} else {
			got = range_move(op, io->at, mem ? mem + done : NULL, k);
		}
		io_advance(io, got);
		done += got;
		if (got < k)
			break;
	}
	return done;
}

size_t
io_put(struct io *io, const void *from, size_t n)
{
	return io_move(io, IO_PUT, (uint8_t *)(uintptr_t)from, n);
}

size_t
io_get(struct io *io, void *to, size_t n)
{
	return io_move(io, IO_GET, to, n);
}

size_t
io_clear(struct io *io, size_t n)
{
	return io_move(io, IO_CLEAR, NULL, n);
}

void
io_skip(struct io *io, size_t n)
{
	size_t k;

	while (n && io->left) {
		io_segment(io);
		k = n < io->run ? n : io->run;
		if (!k)
			break;
		io_advance(io, k);
		n -= k;
	}
}
