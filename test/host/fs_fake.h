/* SPDX-License-Identifier: MIT */
/*
 * A fake service around the file system: heap, page frames and time on the host, failing its Nth
 * request when told to. Included by the tests of exos/fs.
 *
 * Frames are separate host allocations of exact size, so the address sanitizer sees any access
 * outside one; freed frames are freed for real. Frames of the archive are the archive's own bytes.
 */
#ifndef TEST_HOST_FS_FAKE_H
#define TEST_HOST_FS_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exos/fs/fs.h"
#include "exos/linux/errno.h"

#ifndef FAKE_FRAMES
#define FAKE_FRAMES 65536u
#endif
#define FAKE_ARCHIVE 0x100000u /* first frame number of the archive */

struct fake {
	uint8_t *frame[FAKE_FRAMES];
	uint32_t next;
	uint64_t frames, bytes; /* handed out */
	uint64_t requests;
	uint64_t fail_at; /* request that fails; 0: none */
	const uint8_t *archive;
	uint64_t archive_size;
	int64_t time;
	uint64_t gone[3]; /* page_gone calls, by state */
	uint64_t inodes_gone;
	uint64_t bad; /* protocol errors of the code under test */
	bool have_live;
	struct fs_live live;
	uint64_t cut_size;
	uint32_t last_gone;
};

static bool
fake_fails(struct fake *fake)
{
	return ++fake->requests == fake->fail_at;
}

static void *
fake_alloc(void *ctx, size_t size)
{
	struct fake *fake = ctx;
	void *mem;

	if (fake_fails(fake))
		return NULL;
	mem = malloc(size);
	memset(mem, 0xa5, size);
	fake->bytes += size;
	return mem;
}

static void
fake_free(void *ctx, void *ptr, size_t size)
{
	struct fake *fake = ctx;

	memset(ptr, 0x5a, size);
	fake->bytes -= size;
	free(ptr);
}

static int
fake_frame_alloc(void *ctx, uint32_t *pfn)
{
	struct fake *fake = ctx;

	if (fake_fails(fake) || fake->frames == FAKE_FRAMES - 1)
		return -ENOMEM;
	do
		fake->next = (fake->next + 1) % FAKE_FRAMES;
	while (fake->frame[fake->next]);
	fake->frame[fake->next] = calloc(1, FS_PAGE_SIZE);
	fake->frames++;
	*pfn = fake->next;
	return 0;
}

static void
fake_frame_free(void *ctx, uint32_t pfn)
{
	struct fake *fake = ctx;

	if (pfn >= FAKE_FRAMES || !fake->frame[pfn]) {
		fake->bad++;
		return;
	}
	free(fake->frame[pfn]);
	fake->frame[pfn] = NULL;
	fake->frames--;
}

/* The memory of a frame that may be read at [off, off + len), or NULL. */
static const uint8_t *
fake_frame(struct fake *fake, uint32_t pfn, uint32_t off, uint32_t len)
{
	if (off > FS_PAGE_SIZE || len > FS_PAGE_SIZE - off)
		return NULL;
	if (pfn >= FAKE_ARCHIVE) {
		uint64_t at = (uint64_t)(pfn - FAKE_ARCHIVE) * FS_PAGE_SIZE + off;

		return fake->archive && at + len <= fake->archive_size ? fake->archive + at : NULL;
	}
	return pfn < FAKE_FRAMES && fake->frame[pfn] ? fake->frame[pfn] + off : NULL;
}

static void
fake_frame_copy(void *ctx, uint32_t dst, uint32_t src, uint32_t bytes)
{
	struct fake *fake = ctx;
	const uint8_t *from = fake_frame(fake, src, 0, bytes);

	if (!from || dst >= FAKE_FRAMES || !fake->frame[dst] || bytes > FS_PAGE_SIZE)
		fake->bad++;
	else
		memcpy(fake->frame[dst], from, bytes);
}

static void
fake_frame_write(void *ctx, uint32_t pfn, uint32_t off, const void *buf, uint32_t len)
{
	struct fake *fake = ctx;

	if (pfn >= FAKE_FRAMES || !fake_frame(fake, pfn, off, len))
		fake->bad++;
	else
		memcpy(fake->frame[pfn] + off, buf, len);
}

static void
fake_frame_read(void *ctx, uint32_t pfn, uint32_t off, void *buf, uint32_t len)
{
	const uint8_t *from = fake_frame(ctx, pfn, off, len);

	if (!from)
		((struct fake *)ctx)->bad++;
	else
		memcpy(buf, from, len);
}

static void
fake_frame_zero_tail(void *ctx, uint32_t pfn, uint32_t off)
{
	struct fake *fake = ctx;

	if (pfn >= FAKE_FRAMES || !fake_frame(fake, pfn, off, FS_PAGE_SIZE - off))
		fake->bad++;
	else
		memset(fake->frame[pfn] + off, 0, FS_PAGE_SIZE - off);
}

static int64_t
fake_now(void *ctx)
{
	return ++((struct fake *)ctx)->time;
}

static void
fake_page_gone(void *ctx, struct fs_inode *inode, uint64_t index, uint32_t pfn,
	       enum fs_page_state was)
{
	struct fake *fake = ctx;

	(void)inode;
	(void)index;
	fake->gone[was]++;
	fake->last_gone = pfn;
	/* A frame is still there when its end is told. */
	if (was == FS_PAGE_OWN && !fake_frame(fake, pfn, 0, FS_PAGE_SIZE))
		fake->bad++;
}

static void
fake_inode_gone(void *ctx, struct fs_inode *inode)
{
	(void)inode;
	((struct fake *)ctx)->inodes_gone++;
}

static bool
fake_live(void *ctx, struct fs_inode *inode, struct fs_live *out)
{
	struct fake *fake = ctx;

	(void)inode;
	*out = fake->live;
	return fake->have_live;
}

static void
fake_size_cut(void *ctx, struct fs_inode *inode, uint64_t size)
{
	struct fake *fake = ctx;

	(void)inode;
	fake->cut_size = size;
	fake->live.size = size;
}

static const struct fs_ops fake_ops = {
	.alloc = fake_alloc,
	.free = fake_free,
	.frame_alloc = fake_frame_alloc,
	.frame_free = fake_frame_free,
	.frame_copy = fake_frame_copy,
	.frame_write = fake_frame_write,
	.frame_read = fake_frame_read,
	.frame_zero_tail = fake_frame_zero_tail,
	.now = fake_now,
	.page_gone = fake_page_gone,
	.inode_gone = fake_inode_gone,
	.live = fake_live,
	.size_cut = fake_size_cut,
};

static const uint64_t fake_seed[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static inline struct fs *
fake_fs(struct fake *fake, uint64_t heap_max, uint64_t frames_max, uint32_t inodes_max)
{
	struct fs_limits limits = {heap_max, frames_max, inodes_max};

	return fs_create(&fake_ops, fake, &limits, fake_seed);
}

static inline struct fake *
fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	fake->time = 1000;
	return fake;
}

static inline struct fs_path
at(struct fs_inode *cwd, const char *text)
{
	return (struct fs_path){cwd, text, strlen(text)};
}

/* pwrite as a client of the service would: frames for writing, bytes, then the size. */
static inline int
fake_pwrite(struct fs *fs, struct fake *fake, struct fs_inode *inode, uint64_t off, const void *buf,
	    uint64_t len)
{
	const uint8_t *from = buf;
	uint64_t done = 0;

	while (done < len) {
		uint64_t here = off + done;
		uint32_t in = here % FS_PAGE_SIZE;
		uint32_t part =
			len - done < FS_PAGE_SIZE - in ? (uint32_t)(len - done) : FS_PAGE_SIZE - in;
		struct fs_page page;
		int err = fs_page_get(fs, inode, here / FS_PAGE_SIZE, true, &page);

		if (err)
			return done ? (int)done : err;
		fake_frame_write(fake, page.pfn, in, from + done, part);
		err = fs_extend(fs, inode, here, here + part);
		if (err)
			return done ? (int)done : err;
		done += part;
	}
	return (int)done;
}

static inline int
fake_pread(struct fs *fs, struct fake *fake, struct fs_inode *inode, uint64_t off, void *buf,
	   uint64_t len)
{
	uint64_t size = fs_size(fs, inode), done = 0;
	uint8_t *to = buf;

	if (off >= size)
		return 0;
	if (len > size - off)
		len = size - off;
	while (done < len) {
		uint64_t here = off + done;
		uint32_t in = here % FS_PAGE_SIZE;
		uint32_t part =
			len - done < FS_PAGE_SIZE - in ? (uint32_t)(len - done) : FS_PAGE_SIZE - in;
		struct fs_page page;
		int err = fs_page_get(fs, inode, here / FS_PAGE_SIZE, false, &page);

		if (err)
			return err;
		if (page.state == FS_PAGE_HOLE)
			memset(to + done, 0, part);
		else
			fake_frame_read(fake, page.pfn, in, to + done, part);
		done += part;
	}
	return (int)done;
}

#endif
