/* SPDX-License-Identifier: MIT */
/*
 * A transfer: where the bytes of one read or write are, and how far it has come.
 *
 * The memory is the program's (one range, or a vector of ranges that was copied in before), or the
 * library's own.  Moves stop at the first page of the program that cannot be touched; what was
 * moved until then counts, as Linux counts it.
 *
 * 1. left is the sum of run and of the segments behind; a move of n bytes never goes beyond left.
 */
#ifndef EXOS_FD_IO_H
#define EXOS_FD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exos/linux/abi_file.h"

struct io {
	const struct lx_iovec *next; /* segments behind the present one, in the library's memory */
	uint32_t count;              /* how many */
	bool library;                /* the library's memory */
	uint64_t at;                 /* present segment */
	size_t run;                  /* bytes left of it */
	size_t left;                 /* bytes left of all */
};

static inline void
io_user(struct io *io, uint64_t at, size_t n)
{
	*io = (struct io){.at = at, .run = n, .left = n};
}

void io_library(struct io *io, void *at, size_t n);
/* Segments must stay where they are for the transfer; their sum is `total`. */
void io_vector(struct io *io, const struct lx_iovec *iov, uint32_t count, size_t total);

/* Each moves at most n bytes and returns how many; fewer than min(n, left): a bad address. */
size_t io_put(struct io *io, const void *from, size_t n); /* to the transfer's memory */
size_t io_get(struct io *io, void *to, size_t n);         /* from it */
size_t io_clear(struct io *io, size_t n);                 /* zeros to it */
void io_skip(struct io *io, size_t n);

#endif
