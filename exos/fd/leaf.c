/* SPDX-License-Identifier: MIT */
/*
 * The short way of read(2) and write(2): from the call's entry in upcall.S straight to what the file is.
 *
 * Owns struct file's leaf and function, which are made with the file and say what a read (0) and a write (1)
 * do: an address of upcall.S, and for core_leaf_call the function that it calls.  What may be done with a file
 * never changes, so access mode and kind are looked at then and not at each call.
 *
 * Owns struct run, too: bytes of a regular file that its window shows in one piece.
 *
 * 1. A function answers LEAF_NOT with nothing done, or does the whole call.  It meets what is common;
 *    file_read and file_write are right about everything, and are asked next.
 * 2. A run lies within pages whose bit in the window is set, for reading or writing as it says.  Whoever
 *    clears a bit, moves the window or unbinds pages of it forgets the file's runs.
 * 3. What invalidates the window's bits (another space, another layout) invalidates its runs: both are
 *    compared at each use, the layout and the mark `stale` once more after the bytes were moved.
 * 4. The position of a file that is not shared changes only here and in file.c, by this process.  A shared one
 *    must be taken before anything is moved, and what is taken cannot always be given back: file.c does that.
 */
#include "exos/core/control_asm.h"
#include "exos/fd/priv.h"

_Static_assert(offsetof(struct fd_table, entry) + EXOS_PRIVATE - EXOS_AREA == FD_ENTRY, "assembly");
_Static_assert(offsetof(struct file, leaf) == FILE_LEAF, "assembly");
_Static_assert(offsetof(struct file, function) == FILE_FUNCTION, "assembly");
_Static_assert(offsetof(struct file, flags) == FILE_FLAGS, "assembly");
_Static_assert(offsetof(struct file, ring.shared) == FILE_RING, "assembly");
_Static_assert(offsetof(struct file, ring.data) == FILE_RING_DATA, "assembly");
_Static_assert(offsetof(struct file, ring.size) == FILE_RING_SIZE, "assembly");
_Static_assert(offsetof(struct ring_shared, head) == RING_HEAD, "assembly");
_Static_assert(offsetof(struct ring_shared, write_alone) == RING_WRITE_ALONE, "assembly");
_Static_assert(offsetof(struct ring_shared, tail) == RING_TAIL, "assembly");
_Static_assert(offsetof(struct ring_shared, read_alone) == RING_READ_ALONE, "assembly");
_Static_assert(offsetof(struct ring_shared, readers_waiting) == RING_READERS, "assembly");
_Static_assert(offsetof(struct ring_shared, writers_waiting) == RING_WRITERS, "assembly");
_Static_assert(FILE_NONBLOCK == LX_O_NONBLOCK && PIPE_BUF == LX_PIPE_BUF, "assembly");
_Static_assert(USER_TOP == EXOS_USER_TOP, "assembly");
_Static_assert(RW_COUNT_MAX == LX_MAX_RW_COUNT, "assembly");

/* The byte of the run at pos, if n bytes from there lie in it; else NULL. */
static inline uint8_t *
run_at(const struct file *f, const struct run *r, uint64_t pos, uint64_t n)
{
	uint64_t offset = pos - r->first;

	if (offset >= r->bytes || n > r->bytes - offset ||
	    r->layout != __atomic_load_n(&f->info->layout, __ATOMIC_ACQUIRE) ||
	    r->space != control()->space)
		return NULL;
	return r->at + offset;
}

/* The bytes that were moved meanwhile were the file's. */
static inline bool
run_held(const struct file *f)
{
	return !f->window->stale;
}

static int64_t
regular_read_leaf(uint64_t fd, uint64_t at, uint64_t n, struct file *f)
{
	uint64_t left = __atomic_load_n(&f->info->size, __ATOMIC_ACQUIRE) - f->position;
	const uint8_t *from;

	(void)fd;
	/* At the end, or beyond it: not common. */
	if (f->shared || left - 1 >= INT64_MAX)
		return LEAF_NOT;
	if (n > left)
		n = left;
	from = run_at(f, &f->run[0], f->position, n);
	if (!from || !leaf_put(at, from, n) || !run_held(f))
		return LEAF_NOT;
	f->position += n;
	return (int64_t)n;
}

static int64_t
regular_write_leaf(uint64_t fd, uint64_t at, uint64_t n, struct file *f)
{
	uint64_t pos = f->position, end = pos + n;
	uint64_t size = __atomic_load_n(&f->info->size, __ATOMIC_ACQUIRE);
	uint8_t *to;

	(void)fd;
	if (f->shared || pos > size || end > fd_table()->size_limit || !n ||
	    (file_flags(f) & LX_O_APPEND))
		return LEAF_NOT;
	to = run_at(f, &f->run[1], pos, n);
	if (!to || !leaf_get(to, at, n) || !run_held(f))
		return LEAF_NOT;
	while (size < end && !__atomic_compare_exchange_n(&f->info->size, &size, end, false,
							  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	time_touch(f);
	f->position = end;
	return (int64_t)n;
}

void
run_note(struct file *f, bool write, uint64_t first, uint64_t bytes, uint8_t *at)
{
	f->run[write] = (struct run){
		.first = first,
		.bytes = bytes,
		.at = at,
		.layout = f->window->layout,
		.space = f->window->space,
	};
}

void
run_forget(struct file *f)
{
	f->run[0].bytes = f->run[1].bytes = 0;
}

/* ---- what is chosen when the file is made ---- */

static void
leaf_set(struct file *f, bool write, const char *leaf, leaf_function *function)
{
	f->leaf[write] = (uint64_t)(uintptr_t)leaf;
	f->function[write] = function;
}

void
leaf_choose(struct file *f)
{
	leaf_set(f, false, core_leaf_slow, NULL);
	leaf_set(f, true, core_leaf_slow, NULL);
	if (f->type == SVC_T_NULL && file_readable(f))
		leaf_set(f, false, core_leaf_end, NULL);
	if ((f->type == SVC_T_NULL || f->type == SVC_T_ZERO) && file_writable(f))
		leaf_set(f, true, core_leaf_sink, NULL);
	if (f->type == SVC_T_FILE && file_readable(f))
		leaf_set(f, false, core_leaf_call, regular_read_leaf);
	if (f->type == SVC_T_FILE && file_writable(f))
		leaf_set(f, true, core_leaf_call, regular_write_leaf);
	if (f->type == SVC_T_PIPE_READ && !f->host && file_readable(f))
		leaf_set(f, false, core_leaf_pipe_read, pipe_read_leaf);
	if (f->type == SVC_T_PIPE_WRITE && !f->host && file_writable(f))
		leaf_set(f, true, core_leaf_pipe_write, pipe_write_leaf);
}
