/* SPDX-License-Identifier: MIT */
/*
 * Files in use: the information page that openers share, and who was given frames.
 *
 * struct sfile hangs on an inode's object slot while anybody has the file open, may still have
 * pages of it mapped, or rewritten text exists.  The information page lies in a frame of its own;
 * writers may write it, so what they say goes through the file system's own checks (sfile_live),
 * and everything else in it is only ever written here.
 *
 * A share notes that a process was given frames of the file: it stays until the process ends,
 * because nobody says when a mapping goes.  When a page stops being the file's (truncation, a copy
 * in its place) all that have a share lose the frame, bindings included; when the inode itself
 * goes, they keep what they have until they end.
 *
 * A regular file that nobody uses any more stays as it is for a while, the last SFILE_IDLE of them: the next open
 * finds its page made.  No space holds that page meanwhile, and what it says is written anew by that open.
 */
#include "exos/service/priv.h"

struct sfile *
sfile_find(const struct fs_inode *inode)
{
	return fs_object(inode);
}

static void
idle_add(struct service *sv, struct sfile *file)
{
	if (!sv->idle)
		sv->idle_end = &sv->idle;
	file->idle_next = NULL;
	file->idle_link = sv->idle_end;
	*sv->idle_end = file;
	sv->idle_end = &file->idle_next;
	sv->idle_count++;
}

static void
idle_remove(struct service *sv, struct sfile *file)
{
	if (!file->idle_link)
		return;
	*file->idle_link = file->idle_next;
	if (file->idle_next)
		file->idle_next->idle_link = file->idle_link;
	else
		sv->idle_end = file->idle_link;
	file->idle_link = NULL;
	sv->idle_count--;
}

static int
sfile_info(struct service *sv, struct sfile *file)
{
	if (frame_take(sv, &file->info_frame)) {
		file->info_frame = FS_NO_PFN;
		return -ENOMEM;
	}
	file->info = core_arena_map(&file->info_frame, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!file->info) {
		frame_give(sv, file->info_frame);
		file->info_frame = FS_NO_PFN;
		return -ENOMEM;
	}
	sfile_refresh(sv, file->inode);
	return 0;
}

struct sfile *
sfile_get(struct service *sv, struct fs_inode *inode, bool with_info)
{
	struct sfile *file = sfile_find(inode);

	if (!file) {
		file = heap_zalloc(sizeof(*file));
		if (!file)
			return NULL;
		file->inode = inode;
		file->info_frame = FS_NO_PFN;
		fs_object_set(inode, file);
	}
	idle_remove(sv, file);
	if (with_info && !file->info && sfile_info(sv, file)) {
		sfile_put(sv, file);
		return NULL;
	}
	return file;
}

static void
sfile_free(struct service *sv, struct sfile *file)
{
	idle_remove(sv, file);
	while (file->shares) {
		struct share *share = file->shares;

		file->shares = share->file_next;
		*share->proc_link = share->proc_next;
		if (share->proc_next)
			share->proc_next->proc_link = share->proc_link;
		core_free(share, sizeof(*share));
	}
	patch_drop(sv, file);
	if (file->info) {
		core_arena_unmap(file->info, 1);
		frame_give(sv, file->info_frame);
	}
	core_free(file, sizeof(*file));
}

bool
sfile_used(const struct sfile *file)
{
	return file->opens || file->shares || file->patch || file->fifo;
}

static void
sfile_end(struct service *sv, struct sfile *file)
{
	struct fs_inode *inode = file->inode;

	sfile_free(sv, file);
	fs_object_set(inode, NULL);
}

void
sfile_put(struct service *sv, struct sfile *file)
{
	if (sfile_used(file) || file->idle_link)
		return;
	if (!file->info) {
		sfile_end(sv, file);
		return;
	}
	idle_add(sv, file);
	if (sv->idle_count > SFILE_IDLE)
		sfile_end(sv, sv->idle);
}

bool
sfile_idle_free(struct service *sv)
{
	bool some = sv->idle;

	while (sv->idle)
		sfile_end(sv, sv->idle);
	return some;
}

void
sfile_gone(void *ctx, struct fs_inode *inode)
{
	struct sfile *file = sfile_find(inode);

	if (!file)
		return;
	fs_object_set(inode, NULL);
	sfile_free(ctx, file);
}

bool
sfile_live(void *ctx, struct fs_inode *inode, struct fs_live *out)
{
	const struct sfile *file = sfile_find(inode);
	const volatile struct svc_file_info *info;

	(void)ctx;
	if (!file || !file->info)
		return false;
	info = file->info;
	out->size = info->size;
	out->atime = (int64_t)info->atime;
	out->mtime = (int64_t)info->mtime;
	return true;
}

void
sfile_size_cut(void *ctx, struct fs_inode *inode, uint64_t size)
{
	struct sfile *file = sfile_find(inode);

	(void)ctx;
	if (file && file->info)
		__atomic_store_n(&file->info->size, size, __ATOMIC_RELEASE);
}

void
sfile_times_set(void *ctx, struct fs_inode *inode, int64_t atime, int64_t mtime)
{
	struct sfile *file = sfile_find(inode);

	(void)ctx;
	if (file && file->info) {
		file->info->atime = (uint64_t)atime;
		file->info->mtime = (uint64_t)mtime;
	}
}

void
sfile_refresh(struct service *sv, struct fs_inode *inode)
{
	struct sfile *file = sfile_find(inode);
	struct svc_file_info *info = file ? file->info : NULL;
	struct fs_stat st;
	uint64_t size;

	if (!info || fs_stat(sv->fs, inode, &st))
		return;
	size = __atomic_load_n(&info->size, __ATOMIC_RELAXED);
	/* A writer may be growing the file on another processor: never take its size back. */
	while (file->writers ? size < st.size : size != st.size) {
		if (__atomic_compare_exchange_n(&info->size, &size, st.size, false,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			break;
	}
	info->mtime = (uint64_t)st.mtime;
	info->atime = (uint64_t)st.atime;
	info->ctime = (uint64_t)st.ctime;
	info->mode = st.mode;
	info->uid = st.uid;
	info->gid = st.gid;
	info->nlink = st.nlink;
	info->ino = st.ino;
	info->dev = st.dev;
	info->rdev = st.rdev;
}

void
sfile_page_gone(void *ctx, struct fs_inode *inode, uint64_t index, uint32_t pfn,
		enum fs_page_state was)
{
	struct sfile *file = sfile_find(inode);

	if (!file || (was == FS_PAGE_HOLE && !file->hole_told))
		return;
	if (was != FS_PAGE_HOLE) {
		for (struct share *share = file->shares; share; share = share->file_next)
			core_unshare(EXOS_CAP_OWN, share->proc->space, &pfn, 1);
		patch_page_gone(ctx, file, index);
	}
	if (file->info)
		__atomic_fetch_add(&file->info->layout, 1, __ATOMIC_RELEASE);
}

/* ---- shares ---- */

int
share_note(struct sfile *file, struct proc *p)
{
	struct share *share;

	for (share = p->shares; share; share = share->proc_next) {
		if (share->file == file)
			return 0;
	}
	share = core_alloc(sizeof(*share));
	if (!share)
		return -ENOMEM;
	share->file = file;
	share->proc = p;
	share->file_next = file->shares;
	share->file_link = &file->shares;
	if (file->shares)
		file->shares->file_link = &share->file_next;
	file->shares = share;
	share->proc_next = p->shares;
	share->proc_link = &p->shares;
	if (p->shares)
		p->shares->proc_link = &share->proc_next;
	p->shares = share;
	return 0;
}

void
share_drop_all(struct service *sv, struct proc *p)
{
	while (p->shares) {
		struct share *share = p->shares;
		struct sfile *file = share->file;

		p->shares = share->proc_next;
		if (p->shares)
			p->shares->proc_link = &p->shares;
		*share->file_link = share->file_next;
		if (share->file_next)
			share->file_next->file_link = share->file_link;
		core_free(share, sizeof(*share));
		sfile_put(sv, file);
	}
}

/* The parent gives its child by itself what it has of files; the child is as good as a holder. */
int
share_clone(const struct proc *from, struct proc *to)
{
	for (const struct share *share = from->shares; share; share = share->proc_next) {
		if (share_note(share->file, to))
			return -ENOMEM;
	}
	return 0;
}

/* ---- pages ---- */

int64_t
op_map(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	uint32_t count = s->c > 1024 ? 1024 : (uint32_t)s->c, given = 0,
		 *answer = (void *)sv->bounce;
	struct fs_page *pages = (void *)(sv->bounce + 1024 * sizeof(uint32_t) / 8);
	uint32_t pfns[128];
	bool write = s->d == SVC_MAP_GROW || s->d == SVC_MAP_WRITE;
	int got;

	_Static_assert(1024 * (sizeof(uint32_t) + sizeof(struct fs_page)) <= MSG_BYTES, "bounce");
	if (!o)
		return -EBADF;
	if (o->type != SVC_T_FILE)
		return -ENODEV;
	if (s->d > SVC_MAP_FILL || !count)
		return -EINVAL;
	if (write && !o->write)
		return -EACCES;
	if (s->d >= SVC_MAP_WRITE) {
		uint64_t end = fs_page_count(sv->fs, o->inode);

		if (s->b >= end)
			return 0;
		count = count < end - s->b ? count : (uint32_t)(end - s->b);
	}
	if (share_note(o->file, p))
		return -ENOMEM;
	got = fs_range(sv->fs, o->inode, s->b, count, s->d, pages);
	for (int i = 0; i < got; i++) {
		answer[i] = pages[i].state == FS_PAGE_HOLE ? 0 : pages[i].pfn;
		if (answer[i])
			pfns[given++] = answer[i];
		else
			o->file->hole_told = true;
		if (given == 128 || (given && i == got - 1)) {
			int err = core_share(EXOS_CAP_OWN, p->space, pfns, given,
					     write ? AEGIS_READ | AEGIS_WRITE : AEGIS_READ);

			if (err)
				return err;
			given = 0;
		}
	}
	if (got > 0)
		memcpy(p->msg, answer, (uint32_t)got * sizeof(*answer));
	return got;
}

int64_t
op_extend(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	int err;

	if (!o || !o->write)
		return -EBADF;
	if (o->type != SVC_T_FILE)
		return -EINVAL;
	err = fs_extend(sv->fs, o->inode, s->b, s->c);
	if (!err) {
		fs_privs_drop(sv->fs, &p->cred, o->inode);
		sfile_refresh(sv, o->inode);
	}
	return err;
}
