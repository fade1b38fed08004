/* SPDX-License-Identifier: MIT */
/*
 * File pages as clients are given them, and sizes.
 *
 * Owns the rules between a file's size and its entries. Invariants: (1) a borrowed entry begins
 * below the size; one that reaches beyond it is never handed out, but copied at its first use,
 * because the archive's bytes behind the member are not zeros; (2) an own frame's bytes beyond the
 * size are zeros, or were put there by someone who may write the file; they are cleared when the
 * size grows over them otherwise than by that writer's own report; (3) frames wholly beyond the
 * size exist only while the file is referenced. Revocation: page_notify tells the service before a
 * frame is freed and after an entry that clients may have bound is replaced.
 */
#include "exos/fs/priv.h"

void
page_notify(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t entry)
{
	if (!fs->ops->page_gone)
		return;
	if (!entry)
		fs->ops->page_gone(fs->ctx, inode, index, FS_NO_PFN, FS_PAGE_HOLE);
	else
		fs->ops->page_gone(fs->ctx, inode, index, entry_pfn(entry),
				   entry & 1 ? FS_PAGE_BORROWED : FS_PAGE_OWN);
}

static int
file_check(const struct fs_inode *inode)
{
	if (inode_is(inode, FS_IFDIR))
		return -EISDIR;
	if (!inode_is(inode, FS_IFREG) || (inode->synth && !(inode->flags & INODE_SEALED)))
		return -EINVAL;
	return 0;
}

/* The entry at index, which is old (a hole or borrowed), becomes an own frame with the same
 * content. */
int
page_fill(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t old, uint32_t *pfn)
{
	uint64_t bytes = inode->size - (index << FS_PAGE_SHIFT);
	int err = fs_frame_take(fs, pfn);

	if (err)
		return err;
	if (old)
		fs->ops->frame_copy(fs->ctx, *pfn, entry_pfn(old),
				    bytes < FS_PAGE_SIZE ? (uint32_t)bytes : FS_PAGE_SIZE);
	err = pages_set(fs, &inode->pages, index, entry_make(*pfn, false));
	if (err) {
		fs_frame_give(fs, *pfn);
		return err;
	}
	page_notify(fs, inode, index, old);
	return 0;
}

int
page_borrow(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t pfn)
{
	return pages_set(fs, &inode->pages, index, entry_make(pfn, true));
}

static void
frame_zero(struct fs *fs, uint32_t pfn, uint32_t from, uint32_t to)
{
	static const uint8_t zeros[256];

	if (to == FS_PAGE_SIZE) {
		fs->ops->frame_zero_tail(fs->ctx, pfn, from);
		return;
	}
	while (from < to) {
		uint32_t len = to - from < sizeof(zeros) ? to - from : sizeof(zeros);

		fs->ops->frame_write(fs->ctx, pfn, from, zeros, len);
		from += len;
	}
}

/* The size becomes larger; [start, size) is what a writer reports as its own, from start on. */
static int
file_grow(struct fs *fs, struct fs_inode *inode, uint64_t start, uint64_t size)
{
	uint64_t last = inode->size >> FS_PAGE_SHIFT;
	uint32_t tail = inode->size & (FS_PAGE_SIZE - 1);
	uint32_t entry = tail ? pages_peek(&inode->pages, last) : 0;
	uint64_t base = last << FS_PAGE_SHIFT;
	uint32_t pfn;
	int err;

	if (entry & 1) {
		err = page_fill(fs, inode, last, entry, &pfn);
		if (err)
			return err;
	} else if (entry && start > inode->size) {
		frame_zero(fs, entry_pfn(entry), tail,
			   start - base < FS_PAGE_SIZE ? (uint32_t)(start - base) : FS_PAGE_SIZE);
	}
	inode->size = size;
	return 0;
}

static void
file_shrink(struct fs *fs, struct fs_inode *inode, uint64_t size)
{
	uint32_t tail = size & (FS_PAGE_SIZE - 1);
	uint32_t entry;

	pages_cut(fs, inode, pages_of(size), UINT64_MAX);
	inode->size = size;
	entry = tail ? pages_peek(&inode->pages, size >> FS_PAGE_SHIFT) : 0;
	if (entry & 1)
		page_notify(fs, inode, size >> FS_PAGE_SHIFT, entry);
	else if (entry)
		fs->ops->frame_zero_tail(fs->ctx, entry_pfn(entry), tail);
}

/* Takes in what a live file's writers say; each value is checked against what they may do. */
void
inode_sync(struct fs *fs, struct fs_inode *inode)
{
	struct fs_live live = {0};
	int64_t now;

	if (!(inode->flags & INODE_LIVE) || !fs->ops->live || !fs->ops->live(fs->ctx, inode, &live))
		return;
	now = fs_now(fs);
	/* If the old last page cannot be made right the old size stands. */
	if (live.size > inode->size && live.size <= FS_FILE_MAX)
		(void)file_grow(fs, inode, inode->size, live.size);
	if (live.atime > inode->atime && live.atime <= now)
		inode->atime = live.atime;
	if (live.mtime > inode->mtime && live.mtime <= now) {
		inode->mtime = live.mtime;
		inode->ctime = live.mtime > inode->ctime ? live.mtime : inode->ctime;
	}
}

void
fs_live_set(struct fs *fs, struct fs_inode *inode, bool live)
{
	if (!inode_is(inode, FS_IFREG) || inode->synth)
		return;
	inode_sync(fs, inode);
	inode->flags = live ? inode->flags | INODE_LIVE : inode->flags & ~INODE_LIVE;
}

uint64_t
fs_size(struct fs *fs, struct fs_inode *inode)
{
	inode_sync(fs, inode);
	return inode->size;
}

static int
page_lookup(struct fs *fs, struct fs_inode *inode, uint64_t index, bool want_write,
	    struct fs_page *out)
{
	uint32_t entry = pages_peek(&inode->pages, index);
	bool beyond = (index + 1) << FS_PAGE_SHIFT > inode->size;
	int err;

	out->state = FS_PAGE_OWN;
	if ((want_write && (!entry || entry & 1)) || (entry & 1 && beyond)) {
		err = page_fill(fs, inode, index, entry, &out->pfn);
		if (err)
			out->state = FS_PAGE_HOLE;
		return err;
	}
	out->pfn = entry ? entry_pfn(entry) : FS_NO_PFN;
	if (!entry)
		out->state = FS_PAGE_HOLE;
	else if (entry & 1)
		out->state = FS_PAGE_BORROWED;
	return 0;
}

int
fs_range(struct fs *fs, struct fs_inode *inode, uint64_t first, uint32_t count, bool want_write,
	 struct fs_page *out)
{
	uint64_t end = FS_FILE_MAX >> FS_PAGE_SHIFT;
	uint32_t done = 0;
	int err = file_check(inode);

	if (err)
		return err;
	if (want_write && inode->flags & INODE_SEALED)
		return -EPERM;
	inode_sync(fs, inode);
	if (want_write && first >= end)
		return -EFBIG;
	if (!want_write)
		end = pages_of(inode->size);
	if (count > INT32_MAX)
		count = INT32_MAX;
	while (done < count && first < end) {
		err = page_lookup(fs, inode, first, want_write, &out[done]);
		if (err)
			break;
		done++;
		first++;
	}
	return done ? (int)done : err;
}

uint64_t
fs_page_count(struct fs *fs, struct fs_inode *inode)
{
	inode_sync(fs, inode);
	return pages_of(inode->size);
}

int
fs_page_get(struct fs *fs, struct fs_inode *inode, uint64_t index, bool want_write,
	    struct fs_page *out)
{
	int got = fs_range(fs, inode, index, 1, want_write, out);

	if (got == 1)
		return 0;
	return got ? got : -ENXIO;
}

int
fs_extend(struct fs *fs, struct fs_inode *inode, uint64_t start, uint64_t end)
{
	int err = file_check(inode);

	if (err)
		return err;
	if (inode->flags & INODE_SEALED)
		return -EPERM;
	if (start > end)
		return -EINVAL;
	if (end > FS_FILE_MAX)
		return -EFBIG;
	inode_sync(fs, inode);
	if (end > inode->size)
		err = file_grow(fs, inode, start, end);
	if (!err)
		fs_touch(fs, inode, FS_TOUCH_MTIME | FS_TOUCH_CTIME);
	return err;
}

int
fs_set_size(struct fs *fs, struct fs_inode *inode, uint64_t size)
{
	int err = file_check(inode);

	if (err)
		return err;
	if (inode->flags & INODE_SEALED)
		return -EPERM;
	if (size > FS_FILE_MAX)
		return -EFBIG;
	inode_sync(fs, inode);
	/* Frames taken in advance may hold bytes that nobody reported as written. */
	pages_cut(fs, inode, pages_of(inode->size), UINT64_MAX);
	if (size > inode->size)
		err = file_grow(fs, inode, size, size);
	else if (size < inode->size)
		file_shrink(fs, inode, size);
	if (err)
		return err;
	if (inode->flags & INODE_LIVE && fs->ops->size_cut)
		fs->ops->size_cut(fs->ctx, inode, size);
	fs_touch(fs, inode, FS_TOUCH_MTIME | FS_TOUCH_CTIME);
	return 0;
}

int
fs_punch(struct fs *fs, struct fs_inode *inode, uint64_t first, uint64_t count)
{
	int err = file_check(inode);

	if (err)
		return err;
	if (inode->flags & INODE_SEALED)
		return -EPERM;
	inode_sync(fs, inode);
	pages_cut(fs, inode, first, count > UINT64_MAX - first ? UINT64_MAX : first + count);
	fs_touch(fs, inode, FS_TOUCH_MTIME | FS_TOUCH_CTIME);
	return 0;
}

int64_t
fs_seek_data(struct fs *fs, struct fs_inode *inode, uint64_t from, bool want_hole)
{
	uint64_t index = from >> FS_PAGE_SHIFT, end;
	int err = file_check(inode);

	if (err)
		return err;
	inode_sync(fs, inode);
	if (from >= inode->size)
		return -ENXIO;
	end = pages_of(inode->size);
	while (index < end) {
		const uint32_t *slots;
		uint64_t run = pages_run(&inode->pages, index, &slots);

		for (uint64_t i = 0; i < run && index + i < end; i++) {
			uint64_t at = (index + i) << FS_PAGE_SHIFT;

			if ((slots && slots[i]) != want_hole)
				return (int64_t)(at > from ? at : from);
			if (!slots)
				break;
		}
		index += run < end - index ? run : end - index;
	}
	return want_hole ? (int64_t)inode->size : -ENXIO;
}
