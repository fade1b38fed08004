/* SPDX-License-Identifier: MIT */
/*
 * Frames for the file system and for shared pages, and the service's windows on their content.
 *
 * Frames are taken from the kernel in batches and given back in batches.  Frames of the boot
 * archive are seen through the one mapping of the archive; all others through a few windows, the
 * least recently used of which moves.
 *
 *  1. A frame that was given back has no window: the kernel frees only what is not bound.
 *  2. A frame in the pool has never been anybody's since the kernel cleared it.
 *  3. frame_flush runs before control leaves the service, so that nothing waits longer than one
 * call.
 */
#include "exos/service/priv.h"

void *
heap_zalloc(size_t size)
{
	void *at = core_alloc(size);

	if (at)
		memset(at, 0, size);
	return at;
}

int
frame_take(struct service *sv, uint32_t *pfn)
{
	if (!sv->pool_count) {
		uint32_t n = POOL;

		while (core_frames_alloc(EXOS_CAP_OWN, sv->pool, n)) {
			n /= 4;
			if (n)
				continue;
			if (!sfile_idle_free(sv))
				return -ENOMEM;
			frame_flush(sv);
			n = 1;
		}
		sv->pool_count = n;
	}
	*pfn = sv->pool[--sv->pool_count];
	return 0;
}

void
frame_flush(struct service *sv)
{
	if (sv->gone_count)
		core_frames_free(sv->gone, sv->gone_count);
	sv->gone_count = 0;
}

void
frame_give(struct service *sv, uint32_t pfn)
{
	for (uint32_t i = 0; i < WINDOWS; i++) {
		if (sv->windows[i].pfn == pfn) {
			core_arena_unmap(sv->windows[i].at, 1);
			sv->windows[i].pfn = FS_NO_PFN;
		}
	}
	if (sv->gone_count == POOL)
		frame_flush(sv);
	sv->gone[sv->gone_count++] = pfn;
}

void *
frame_window(struct service *sv, uint32_t pfn)
{
	struct window *w = &sv->windows[0];

	if (pfn - sv->host->archive_frame < sv->archive_pages)
		return (void *)(uintptr_t)(sv->archive +
					   (uint64_t)(pfn - sv->host->archive_frame) * PAGE);
	for (uint32_t i = 0; i < WINDOWS; i++) {
		struct window *this = &sv->windows[i];

		if (this->pfn == pfn) {
			this->stamp = ++sv->window_stamp;
			return this->at;
		}
		if (this->pfn == FS_NO_PFN ? w->pfn != FS_NO_PFN
					   : w->pfn != FS_NO_PFN && this->stamp < w->stamp)
			w = this;
	}
	if (w->pfn != FS_NO_PFN)
		core_arena_unmap(w->at, 1);
	w->pfn = FS_NO_PFN;
	w->at = core_arena_map(&pfn, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!w->at)
		return NULL;
	w->pfn = pfn;
	w->stamp = ++sv->window_stamp;
	return w->at;
}

static void *
ops_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return core_alloc(size);
}

static void
ops_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	core_free(ptr, size);
}

static int
ops_frame_alloc(void *ctx, uint32_t *pfn)
{
	int err = frame_take(ctx, pfn);

	if (!err && !frame_window(ctx, *pfn)) {
		frame_give(ctx, *pfn);
		err = -ENOMEM;
	}
	return err;
}

static void
ops_frame_free(void *ctx, uint32_t pfn)
{
	frame_give(ctx, pfn);
}

/*
 * A new frame is seen at once, so that no memory is an error here and not when it is filled.
 * Another window needs memory only if its place in the arena was given away meanwhile; then what
 * the pool has is given up for it.
 */
static uint8_t *
window_must(struct service *sv, uint32_t pfn)
{
	uint8_t *at = frame_window(sv, pfn);

	if (at)
		return at;
	frame_flush(sv);
	core_frames_free(sv->pool, sv->pool_count);
	sv->pool_count = 0;
	at = frame_window(sv, pfn);
	if (!at)
		core_die("service: a frame cannot be mapped");
	return at;
}

static void
ops_frame_copy(void *ctx, uint32_t dst, uint32_t src, uint32_t bytes)
{
	uint8_t *from = window_must(ctx, src);

	memcpy(window_must(ctx, dst), from, bytes);
}

static void
ops_frame_write(void *ctx, uint32_t pfn, uint32_t off, const void *buf, uint32_t len)
{
	memcpy(window_must(ctx, pfn) + off, buf, len);
}

static void
ops_frame_read(void *ctx, uint32_t pfn, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, window_must(ctx, pfn) + off, len);
}

static void
ops_frame_zero_tail(void *ctx, uint32_t pfn, uint32_t off)
{
	memset(window_must(ctx, pfn) + off, 0, PAGE - off);
}

static int64_t
ops_now(void *ctx)
{
	(void)ctx;
	return (int64_t)core_wall_ns();
}

/* Assigned, not initialised: a table of addresses would have to be relocated. */
void
frame_ops(struct service *sv)
{
	struct fs_ops *ops = &sv->fs_ops;

	ops->alloc = ops_alloc;
	ops->free = ops_free;
	ops->frame_alloc = ops_frame_alloc;
	ops->frame_free = ops_frame_free;
	ops->frame_copy = ops_frame_copy;
	ops->frame_write = ops_frame_write;
	ops->frame_read = ops_frame_read;
	ops->frame_zero_tail = ops_frame_zero_tail;
	ops->now = ops_now;
	ops->page_gone = sfile_page_gone;
	ops->inode_gone = sfile_gone;
	ops->live = sfile_live;
	ops->size_cut = sfile_size_cut;
	ops->times_set = sfile_times_set;
}

void
frame_init(struct service *sv)
{
	for (uint32_t i = 0; i < WINDOWS; i++)
		sv->windows[i].pfn = FS_NO_PFN;
}
