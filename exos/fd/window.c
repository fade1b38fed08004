/* SPDX-License-Identifier: MIT */
/*
 * Windows: pages of a regular file bound in the arena, so that reading and writing are copies.
 *
 * A file has one window, a run of virtual pages that shows file pages first .. first + pages.  It
 * is filled on demand in batches that grow with sequential use.  It begins at the file's start and
 * doubles up to WINDOW_MAX; beyond that it slides in steps of its own size.
 *
 * 1. A readable (writable) bit is set only if the page was bound with that right in the space
 *    `space`, at a time when info->layout was `layout`.  Bits of another space or layout count as
 *    clear: that is how a window is empty after fork and after a truncation.
 * 2. Holes are not remembered: somebody may fill them, and nobody would tell.
 * 3. Between the test of a bit and the access the page may be taken (truncation, copy of a page of
 *    the archive, a binding dropped by the kernel).  Then the access faults, and window_fault binds
 * the file's present page, or if there is none a page without meaning, and marks the window stale;
 * who copied looks at the mark and copies again.
 *
 * Revocation: any window can be given up at any time between accesses.
 */
#include "exos/fd/priv.h"

#define WINDOW_MIN  16u
#define WINDOW_MAX  1024u /* 4 MiB; also what one SVC_MAP answers */
#define WINDOWS_MAX 32768u
#define BATCH_READ  16u
#define BATCH_WRITE 4u
#define RUN_PAGES   64u /* as far as a run is looked for */

static uint32_t
window_words(uint32_t pages)
{
	return (pages + 63) / 64;
}

static size_t
window_size(uint32_t pages)
{
	return sizeof(struct window) + 2ul * window_words(pages) * sizeof(uint64_t);
}

static uint64_t *
window_bits(struct window *w, bool write)
{
	return w->bits + (write ? window_words(w->pages) : 0);
}

static bool
bit_test(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* Length of the run of set bits at i, not looking further than max. */
static uint32_t
bits_run(const uint64_t *bits, uint32_t i, uint32_t max)
{
	uint32_t n = 0, k;
	uint64_t clear;

	while (n < max) {
		clear = ~(bits[(i + n) / 64] >> ((i + n) % 64));
		k = clear ? (uint32_t)__builtin_ctzll(clear) : 64;
		if (k > 64 - (i + n) % 64)
			k = 64 - (i + n) % 64;
		n += k;
		if (!k || (i + n) % 64)
			break;
	}
	return n < max ? n : max;
}

static void
window_clear(struct window *w)
{
	memset(w->bits, 0, window_size(w->pages) - sizeof(*w));
}

/* Nothing is bound any more; the reservation stays. */
static void
window_reset(struct file *f, uint32_t layout)
{
	struct window *w = f->window;

	run_forget(f);
	if (w->space == control()->space)
		core_unbind(w->va, w->pages);
	window_clear(w);
	w->space = control()->space;
	w->layout = layout;
	w->stale = false;
}

void
window_drop(struct file *f)
{
	struct window *w = f->window;

	if (!w)
		return;
	if (w->space == control()->space)
		core_unbind(w->va, w->pages);
	core_arena_release(w->va, w->pages);
	fd_table()->window_pages -= w->pages;
	core_free(w, window_size(w->pages));
	f->window = NULL;
	run_forget(f);
}

/* Gives up the largest window of another file; false: there is none. */
static bool
window_evict(const struct file *keep)
{
	struct file *victim = NULL;

	for (struct file *f = fd_table()->files; f; f = f->next) {
		if (f == keep || f->type != SVC_T_FILE || !f->window)
			continue;
		if (!victim || f->window->pages > victim->window->pages)
			victim = f;
	}
	if (victim)
		window_drop(victim);
	return victim != NULL;
}

static int
window_create(struct file *f, uint32_t pages)
{
	struct window *w = core_alloc(window_size(pages));

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->pages = pages;
	while (fd_table()->window_pages + pages > WINDOWS_MAX && window_evict(f))
		;
	w->va = core_arena_reserve(pages);
	while (!w->va && window_evict(f))
		w->va = core_arena_reserve(pages);
	if (!w->va) {
		core_free(w, window_size(pages));
		return -ENOMEM;
	}
	w->read_next = w->write_next = UINT64_MAX;
	w->space = control()->space;
	w->layout = __atomic_load_n(&f->info->layout, __ATOMIC_ACQUIRE);
	window_clear(w);
	fd_table()->window_pages += pages;
	f->window = w;
	return 0;
}

/* Pages for a window that is to show `page`: from the start if that fits. */
static uint32_t
window_fit(const struct file *f, uint64_t page)
{
	uint64_t size = __atomic_load_n(&f->info->size, __ATOMIC_RELAXED);
	uint64_t pages = f->window ? 2ul * f->window->pages : WINDOW_MIN;

	while (pages < WINDOW_MAX && (pages <= page || pages * AEGIS_PAGE < size))
		pages *= 2;
	return pages < WINDOW_MAX ? (uint32_t)pages : WINDOW_MAX;
}

/* The file's window shows `page`, and its bits are of this space and layout. */
static int
window_place(struct file *f, uint64_t page)
{
	uint32_t layout = __atomic_load_n(&f->info->layout, __ATOMIC_ACQUIRE);
	struct window *w = f->window;
	uint32_t pages;
	int err;

	if (w && page - w->first < w->pages) {
		if (w->space != control()->space || w->layout != layout || w->stale)
			window_reset(f, layout);
		return 0;
	}
	if (!w || w->pages < WINDOW_MAX) {
		struct window old = {.read_next = UINT64_MAX, .write_next = UINT64_MAX};

		if (w)
			old = *w;
		pages = window_fit(f, page);
		window_drop(f);
		err = window_create(f, pages);
		while (err && pages > WINDOW_MIN) {
			pages /= 2;
			err = window_create(f, pages);
		}
		if (err)
			return err;
		w = f->window;
		w->read_next = old.read_next;
		w->write_next = old.write_next;
		w->read_batch = old.read_batch;
		w->write_batch = old.write_batch;
	} else {
		window_reset(f, layout);
	}
	w->first = page & ~((uint64_t)w->pages - 1);
	return 0;
}

/* How many pages to ask for at `page`, when `need` are wanted. */
static uint32_t
window_batch(struct file *f, uint64_t page, uint64_t need, bool write)
{
	struct window *w = f->window;
	uint64_t *next = write ? &w->write_next : &w->read_next;
	uint32_t *batch = write ? &w->write_batch : &w->read_batch;
	uint64_t room = w->first + w->pages - page, end;

	if (page != *next)
		*batch = write ? 0 : BATCH_READ;
	else if (*batch < BATCH_WRITE)
		*batch = BATCH_WRITE;
	else
		*batch = *batch * 4 < WINDOW_MAX ? *batch * 4 : WINDOW_MAX;
	if (need < *batch)
		need = *batch;
	else
		*batch = (uint32_t)need;
	if (!write) {
		end = __atomic_load_n(&f->info->size, __ATOMIC_RELAXED);
		end = (end + AEGIS_PAGE - 1) / AEGIS_PAGE;
		if (end > page && need > end - page)
			need = end - page;
	}
	if (need > room)
		need = room;
	*next = page + need;
	return (uint32_t)need;
}

/* Binds frames at consecutive pages of the window and notes it. */
static int
window_bind(struct file *f, uint32_t index, const uint32_t *pfns, uint32_t n, bool write)
{
	struct window *w = f->window;
	uint32_t prot = AEGIS_BIND_READ | (write ? AEGIS_BIND_WRITE : 0);
	uint64_t va = w->va + (uint64_t)index * AEGIS_PAGE;
	uint64_t *read_bits = window_bits(w, false), *write_bits = window_bits(w, true);
	bool bound = false;
	int err;

	for (uint32_t i = index; i < index + n; i++)
		bound |= bit_test(read_bits, i);
	if (bound) {
		run_forget(f);
		core_unbind(va, n);
	}
	err = core_bind(AEGIS_SELF, control()->space, va, pfns, n, prot);
	/* A frame is bound so often, and no more. */
	while (err && window_evict(f))
		err = core_bind(AEGIS_SELF, control()->space, va, pfns, n, prot);
	for (uint32_t i = index; i < index + n; i++) {
		read_bits[i / 64] &= ~(1ul << (i % 64));
		write_bits[i / 64] &= ~(1ul << (i % 64));
		if (err)
			continue;
		read_bits[i / 64] |= 1ul << (i % 64);
		if (write)
			write_bits[i / 64] |= 1ul << (i % 64);
	}
	return err;
}

/*
 * Asks for n pages at `page` and binds those that exist.  Returns 0, and *hole > 0 if the first
 * pages, so many, are holes.
 */
static int
window_fill(struct file *f, uint64_t page, uint32_t n, bool write, uint32_t *hole)
{
	struct window *w = f->window;
	const uint32_t *pfns = msg(0);
	uint32_t i = 0, run;
	int64_t got = service(SVC_MAP, f->obj, page, n, write ? SVC_MAP_GROW : SVC_MAP_READ);
	int err;

	*hole = 0;
	if (got < 0 && (write || got != -ENXIO))
		return (int)got;
	if (got <= 0 || got > n) {
		/* Beyond the end as the service sees it: zeros, if the caller thinks otherwise. */
		*hole = 1;
		return write ? -EIO : 0;
	}
	while (i < got) {
		for (run = 0; i + run < got && !pfns[i + run]; run++)
			;
		if (!i)
			*hole = run;
		i += run;
		for (run = 0; i + run < got && pfns[i + run]; run++)
			;
		if (!run)
			break;
		err = window_bind(f, (uint32_t)(page - w->first) + i, pfns + i, run, write);
		if (err)
			return err;
		i += run;
	}
	return write && *hole ? -EIO : 0;
}

/* The pages from `index` on that are bound: for the short way (leaf.c). */
static void
run_find(struct file *f, uint32_t index, bool write)
{
	struct window *w = f->window;
	uint64_t first = (w->first + index) * AEGIS_PAGE;
	uint32_t pages;

	if (first - f->run[write].first < f->run[write].bytes)
		return;
	pages = w->pages - index < RUN_PAGES ? w->pages - index : RUN_PAGES;
	pages = bits_run(window_bits(w, write), index, pages);
	run_note(f, write, first, (uint64_t)pages * AEGIS_PAGE,
		 (uint8_t *)arena_at(w->va) + (uint64_t)index * AEGIS_PAGE);
}

int64_t
window_at(struct file *f, uint64_t pos, size_t n, bool write, uint8_t **at)
{
	uint64_t page = pos / AEGIS_PAGE, offset = pos & (AEGIS_PAGE - 1), need;
	uint32_t index, run, hole = 0;
	int err = window_place(f, page);

	if (err)
		return err;
	index = (uint32_t)(page - f->window->first);
	need = (offset + n + AEGIS_PAGE - 1) / AEGIS_PAGE;
	if (need > f->window->pages - index)
		need = f->window->pages - index;
	run = bits_run(window_bits(f->window, write), index, (uint32_t)need);
	if (!run) {
		err = window_fill(f, page, window_batch(f, page, need, write), write, &hole);
		if (err)
			return err;
		run = bits_run(window_bits(f->window, write), index, (uint32_t)need);
	}
	*at = NULL;
	if (hole) {
		run = hole < need ? hole : (uint32_t)need;
	} else {
		*at = (uint8_t *)arena_at(f->window->va) + (uint64_t)index * AEGIS_PAGE + offset;
		run_find(f, index, write);
	}
	if (!run)
		return -EIO;
	return n < run * AEGIS_PAGE - offset ? (int64_t)n : (int64_t)(run * AEGIS_PAGE - offset);
}

/* A page of no meaning, so that an access to a page that is gone can go on. */
static int
scrap_bind(struct window *w, uint64_t va)
{
	struct fd_table *t = fd_table();
	int err;

	if (!t->scrap_pfn || t->scrap_space != control()->space) {
		err = core_frames_alloc(EXOS_CAP_OWN, &t->scrap_pfn, 1);
		if (err) {
			t->scrap_pfn = 0;
			return err;
		}
		t->scrap_space = control()->space;
	}
	w->stale = true;
	return core_bind(AEGIS_SELF, control()->space, va, &t->scrap_pfn, 1,
			 AEGIS_BIND_READ | AEGIS_BIND_WRITE);
}

int
window_fault(struct file *f, uint64_t va)
{
	struct window *w = f->type == SVC_T_FILE ? f->window : NULL;
	uint32_t index, pfn = 0;
	bool write;

	if (!w || w->space != control()->space || va < w->va ||
	    (va - w->va) / AEGIS_PAGE >= w->pages)
		return -EFAULT;
	index = (uint32_t)((va - w->va) / AEGIS_PAGE);
	va &= ~(uint64_t)(AEGIS_PAGE - 1);
	write = bit_test(window_bits(w, true), index);
	if (!write && !bit_test(window_bits(w, false), index))
		return -EFAULT;
	core_unbind(va, 1);
	if (w->layout != __atomic_load_n(&f->info->layout, __ATOMIC_ACQUIRE))
		w->stale = true;
	if (file_frames(f, w->first + index, 1, write ? SVC_MAP_GROW : SVC_MAP_READ, &pfn) == 1 &&
	    pfn && !window_bind(f, index, &pfn, 1, write))
		return 0;
	return scrap_bind(w, va);
}

int
file_frames(struct file *f, uint64_t first, uint32_t n, uint32_t how, uint32_t *pfns)
{
	uint32_t saved[FILE_FRAMES_MAX];
	int64_t got;

	if (f->type != SVC_T_FILE || n > FILE_FRAMES_MAX)
		return -EINVAL;
	if ((how == SVC_MAP_GROW || how == SVC_MAP_WRITE) && !file_writable(f))
		return -EACCES;
	/* The fault may have come in the middle of a copy from or to the message pages. */
	memcpy(saved, msg(0), n * sizeof(*saved));
	got = service(SVC_MAP, f->obj, first, n, how);
	if (got > (int64_t)n)
		got = -EIO;
	if (got > 0)
		memcpy(pfns, msg(0), (size_t)got * sizeof(*pfns));
	memcpy(msg(0), saved, n * sizeof(*saved));
	return got == -ENXIO ? 0 : (int)got;
}
