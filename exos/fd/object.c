/* SPDX-License-Identifier: MIT */
/*
 * Open file descriptions: made from what the service answers, counted, shared by fork, let go.
 *
 * Owns struct file, the list of them, the pages in the arena that belong to one (the shared page
 * about a regular file, a ring), and the offset pages.
 *
 * 1. A frame that the service gave for an object is bound here as long as the file exists; the
 * holding is the service's to take back at SVC_CLOSE.
 * 2. A frame is bound 31 times in a space at most (AEGIS_HOLD_COUNT), and so often again in a child of fork: of a
 *    file's shared page a process has at most INFO_BINDINGS mappings to read and as many to write; who opens it once
 *    more uses one of them.
 * 3. An offset page is made by one fork and used only for files that fork shared, so that no
 * process sees the position of a file that it does not hold.
 *
 * Revocation: the service may take a frame of a file (truncation); rings, shared pages and offset
 * pages are bound again by fd_window_fault from the frame numbers kept here.
 */
#include "exos/fd/priv.h"

int64_t
service(enum svc_op op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct svc s = {.op = op, .a = a, .b = b, .c = c, .d = d};

	return svc_call(&s);
}

static uint32_t
info_prot(const struct file *f)
{
	return AEGIS_BIND_READ | (file_writable(f) ? AEGIS_BIND_WRITE : 0);
}

/* One of the files that have, or (borrowed) use, a mapping of this file's shared page as this one wants it; how many. */
static uint32_t
info_find(const struct file *f, bool borrowed, struct file **found)
{
	uint32_t n = 0;

	*found = NULL;
	for (struct file *other = fd_table()->files; other; other = other->next) {
		if (other == f || other->type != SVC_T_FILE || other->info_pfn != f->info_pfn ||
		    other->info_borrowed != borrowed || info_prot(other) != info_prot(f))
			continue;
		*found = other;
		n++;
	}
	return n;
}

static int
regular_attach(struct file *f, const struct svc_opened *opened)
{
	struct file *lender;

	f->info_pfn = opened->info_frame;
	if (fd_table()->file_count >= INFO_BINDINGS &&
	    info_find(f, false, &lender) >= INFO_BINDINGS) {
		f->info = lender->info;
		f->info_borrowed = lender->info_lent = true;
		return 0;
	}
	f->info = core_arena_map(&f->info_pfn, 1, info_prot(f));
	return f->info ? 0 : -ENOMEM;
}

static void
regular_detach(struct file *f)
{
	struct file *heir = NULL;

	if (f->info_lent)
		info_find(f, true, &heir);
	window_drop(f);
	if (heir) {
		heir->info_borrowed = false;
		heir->info_lent = true;
	} else if (!f->info_borrowed) {
		core_arena_unmap(f->info, 1);
	}
}

static int
pipe_attach(struct file *f, const struct svc_opened *opened)
{
	uint32_t pages = opened->ring_pages;

	if (!pages || pages >= RING_FRAMES || (pages & (pages - 1)))
		return -EIO;
	f->host = opened->host;
	f->pages = pages;
	memcpy(f->frames, opened->frames, sizeof(f->frames));
	f->ring.shared = core_arena_map(f->frames, 1 + pages, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!f->ring.shared)
		return -ENOMEM;
	f->ring.data = (uint8_t *)f->ring.shared + RING_PAGE;
	f->ring.size = pages * RING_PAGE;
	return 0;
}

void
file_list(struct file *f)
{
	struct fd_table *t = fd_table();

	f->prev = NULL;
	f->next = t->files;
	if (f->next)
		f->next->prev = f;
	t->files = f;
	t->file_count++;
}

void
file_unlist(struct file *f)
{
	fd_table()->file_count--;
	if (f->prev)
		f->prev->next = f->next;
	else
		fd_table()->files = f->next;
	if (f->next)
		f->next->prev = f->prev;
}

int
file_create(const struct svc_opened *opened, uint32_t flags, struct file **out)
{
	struct file *f = core_alloc(sizeof(*f));
	int err = f ? 0 : -ENOMEM;

	if (f) {
		memset(f, 0, sizeof(*f));
		f->refs = 1;
		f->obj = opened->obj;
		f->type = opened->type;
		f->flags = flags;
		f->ino = opened->ino;
		if (f->type == SVC_T_FILE)
			err = regular_attach(f, opened);
		else if (file_is_pipe(f))
			err = pipe_attach(f, opened);
	}
	if (err) {
		if (f)
			core_free(f, sizeof(*f));
		service(SVC_CLOSE, opened->obj, 0, 0, 0);
		return err;
	}
	leaf_choose(f);
	file_list(f);
	*out = f;
	return 0;
}

static void
file_detach(struct file *f)
{
	if (f->type == SVC_T_FILE) {
		regular_detach(f);
	} else if (file_is_pipe(f)) {
		core_arena_unmap(f->ring.shared, 1 + f->pages);
	}
	if (f->shared)
		offset_page_put(f);
}

void
file_free(struct file *f)
{
	file_detach(f);
	core_free(f, sizeof(*f));
}

void
file_touch(struct file *f)
{
	if (f->type == SVC_T_FILE && file_writable(f))
		time_touch(f);
}

void
file_locked(struct file *f)
{
	f->locked = true;
}

struct file *
file_get(struct file *f)
{
	f->refs++;
	return f;
}

void
file_put(struct file *f)
{
	uint32_t obj = f->obj;

	if (--f->refs || (f->park && park_close(f)))
		return;
	file_unlist(f);
	file_free(f);
	service(SVC_CLOSE, obj, 0, 0, 0);
}

uint32_t
file_object(const struct file *f)
{
	return f->obj;
}

uint32_t
file_type(const struct file *f)
{
	return f->type;
}

uint32_t
file_flags(const struct file *f)
{
	if (!f->shared)
		return f->flags;
	return (f->flags & ~(uint32_t)STATUS_SHARED) |
	       (__atomic_load_n(&f->shared->flags, __ATOMIC_RELAXED) & STATUS_SHARED);
}

void
file_flags_set(struct file *f, uint32_t status)
{
	f->flags = (f->flags & ~(uint32_t)STATUS_SHARED) | (status & STATUS_SHARED);
	if (f->shared)
		__atomic_store_n(&f->shared->flags, status & STATUS_SHARED, __ATOMIC_RELAXED);
}

bool
file_readable(const struct file *f)
{
	uint32_t mode = f->flags & LX_O_ACCMODE;

	return (mode == LX_O_RDONLY || mode == LX_O_RDWR) && !(f->flags & LX_O_PATH);
}

bool
file_writable(const struct file *f)
{
	uint32_t mode = f->flags & LX_O_ACCMODE;

	return (mode == LX_O_WRONLY || mode == LX_O_RDWR) && !(f->flags & LX_O_PATH);
}

const volatile struct svc_file_info *
file_info(const struct file *f)
{
	return f->type == SVC_T_FILE ? f->info : NULL;
}

/* ---- fork ---- */

/* Files whose position this process keeps: directories have theirs at the service. */
static bool
position_local(const struct file *f)
{
	return f->type == SVC_T_FILE || f->type == SVC_T_SYNTH;
}

static struct offset_page *
offset_page_create(void)
{
	struct fd_table *t = fd_table();
	struct offset_page *page = core_alloc(sizeof(*page));

	if (!page)
		return NULL;
	page->refs = 0;
	if (core_frames_alloc(EXOS_CAP_OWN, &page->pfn, 1)) {
		core_free(page, sizeof(*page));
		return NULL;
	}
	page->slots = core_arena_map(&page->pfn, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!page->slots) {
		core_frames_free(&page->pfn, 1);
		core_free(page, sizeof(*page));
		return NULL;
	}
	page->next = t->offsets;
	t->offsets = page;
	return page;
}

static void
offset_page_free(struct offset_page *page)
{
	struct offset_page **at = &fd_table()->offsets;

	while (*at != page)
		at = &(*at)->next;
	*at = page->next;
	core_arena_unmap(page->slots, 1);
	core_frames_free(&page->pfn, 1);
	core_free(page, sizeof(*page));
}

void
offset_page_put(struct file *f)
{
	struct offset_page *page = fd_table()->offsets;

	while (page && (f->shared < page->slots || f->shared >= page->slots + OFFSET_SLOTS))
		page = page->next;
	f->shared = NULL;
	if (page && !--page->refs)
		offset_page_free(page);
}

int
fd_fork(void)
{
	struct offset_page *page = NULL;
	struct file_shared *slot;

	for (struct file *f = fd_table()->files; f; f = f->next) {
		if (f->shared || !position_local(f))
			continue;
		if (!page || page->refs == OFFSET_SLOTS)
			page = offset_page_create();
		if (!page)
			return -ENOMEM;
		slot = &page->slots[page->refs++];
		slot->position = f->position;
		slot->flags = f->flags & STATUS_SHARED;
		f->shared = slot;
	}
	return 0;
}

static void
mapping_put(struct fd_mapping *out, size_t max, size_t *n, const struct fd_mapping *m)
{
	if (*n < max)
		out[*n] = *m;
	++*n;
}

/* The file's own pages in the arena, without windows; pages == 0: none. */
static struct fd_mapping
file_mapping(const struct file *f)
{
	if (f->type == SVC_T_FILE && !f->info_borrowed)
		return (struct fd_mapping){(uintptr_t)f->info, 1, info_prot(f), &f->info_pfn};
	if (file_is_pipe(f))
		return (struct fd_mapping){(uintptr_t)f->ring.shared, 1 + f->pages,
					   AEGIS_BIND_READ | AEGIS_BIND_WRITE, f->frames};
	return (struct fd_mapping){0};
}

static struct fd_mapping
offset_mapping(const struct offset_page *page)
{
	return (struct fd_mapping){(uintptr_t)page->slots, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE,
				   &page->pfn};
}

size_t
fd_mappings(struct fd_mapping *out, size_t max)
{
	const struct fd_table *t = fd_table();
	struct fd_mapping m;
	size_t n = 0;

	for (const struct file *f = t->files; f; f = f->next) {
		m = file_mapping(f);
		if (m.pages)
			mapping_put(out, max, &n, &m);
	}
	for (const struct offset_page *page = t->offsets; page; page = page->next) {
		m = offset_mapping(page);
		mapping_put(out, max, &n, &m);
	}
	return n;
}

/* Binds the page of va again if it is of this mapping. */
static int
mapping_fault(const struct fd_mapping *m, uint64_t va)
{
	uint64_t page = (va - m->va) / AEGIS_PAGE;

	if (!m->pages || va < m->va || page >= m->pages)
		return -EFAULT;
	return core_bind(AEGIS_SELF, control()->space, m->va + page * AEGIS_PAGE, &m->pfns[page], 1,
			 m->prot);
}

int
fd_window_fault(uint64_t va)
{
	const struct fd_table *t = fd_table();
	struct fd_mapping m;

	if (va < EXOS_ARENA || va >= EXOS_ARENA_END)
		return -EFAULT;
	for (struct file *f = t->files; f; f = f->next) {
		m = file_mapping(f);
		if (!mapping_fault(&m, va) || !window_fault(f, va))
			return 0;
	}
	for (const struct offset_page *page = t->offsets; page; page = page->next) {
		m = offset_mapping(page);
		if (!mapping_fault(&m, va))
			return 0;
	}
	return -EFAULT;
}
