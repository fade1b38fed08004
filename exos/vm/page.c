/* SPDX-License-Identifier: MIT */
/*
 * Which frame holds which page: entries, faults, copy on write.
 *
 * Owns: the chunks of page entries of struct vm.
 *
 * 1. A present entry's frame is held by this space.  A frame without PAGE_FILE belongs to this
 * process, or to several that came from one fork, each holding it.
 * 2. With PAGE_COPY a page is never bound writable.  Every private page that two processes hold has
 *    PAGE_COPY in both.
 * 3. A binding in the hardware table always agrees with the entry, or is absent; absence is
 * repaired by vm_fault, whoever caused it.
 *
 * Context: asynchronous upcalls deferred.  A fault of the library itself, in a copy to the program,
 * may nest inside any of these functions only where no entry is half changed: entries change after
 * the kernel calls that can fail.
 */
#include "priv.h"

uint32_t
page_chunk(const struct vm *v, uint64_t base)
{
	uint32_t low = 0, high = v->chunk_count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (v->chunks[mid].base < base)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct chunk *
chunk_make(struct vm *v, uint32_t i, uint64_t base)
{
	uint32_t *entry;

	if (v->chunk_count == v->chunk_room) {
		uint32_t room = v->chunk_room ? v->chunk_room * 2 : 16;
		struct chunk *more = core_alloc(room * sizeof(*more));

		if (!more)
			return NULL;
		memcpy(more, v->chunks, v->chunk_count * sizeof(*more));
		core_free(v->chunks, v->chunk_room * sizeof(*more));
		v->chunks = more;
		v->chunk_room = room;
	}
	entry = core_alloc(VM_CHUNK_PAGES * sizeof(*entry));
	if (!entry)
		return NULL;
	memset(entry, 0, VM_CHUNK_PAGES * sizeof(*entry));
	memmove(v->chunks + i + 1, v->chunks + i, (v->chunk_count - i) * sizeof(*v->chunks));
	v->chunks[i] = (struct chunk){base, entry, 0, 0};
	v->chunk_count++;
	return &v->chunks[i];
}

uint32_t *
page_entry(uint64_t va, bool make)
{
	struct vm *v = vm();
	uint64_t base = va / CHUNK_SIZE;
	uint32_t i = page_chunk(v, base);
	struct chunk *c;

	if (i < v->chunk_count && v->chunks[i].base == base)
		c = &v->chunks[i];
	else if (!make || !(c = chunk_make(v, i, base)))
		return NULL;
	return &c->entry[va / PAGE % VM_CHUNK_PAGES];
}

bool
page_run(uint64_t *va, uint64_t end, uint64_t *run_end)
{
	struct vm *v = vm();

	while (*va < end) {
		uint32_t i = page_chunk(v, *va / CHUNK_SIZE);
		uint64_t at;
		uint32_t k, most;

		if (i == v->chunk_count || v->chunks[i].base * CHUNK_SIZE >= end)
			return false;
		if (v->chunks[i].base * CHUNK_SIZE > *va)
			*va = v->chunks[i].base * CHUNK_SIZE;
		at = *va;
		k = (uint32_t)(at / PAGE % VM_CHUNK_PAGES);
		while (k < VM_CHUNK_PAGES && !v->chunks[i].entry[k]) {
			k++;
			at += PAGE;
		}
		*va = at;
		if (k == VM_CHUNK_PAGES)
			continue;
		most = k + (uint32_t)((end - at) / PAGE < VM_CHUNK_PAGES ? (end - at) / PAGE
									 : VM_CHUNK_PAGES);
		most = most < VM_CHUNK_PAGES ? most : VM_CHUNK_PAGES;
		for (const uint32_t *e = v->chunks[i].entry; k < most && e[k]; k++)
			at += PAGE;
		*run_end = at;
		return *va < end;
	}
	return false;
}

uint32_t
page_prot(const struct region *r, uint32_t entry)
{
	uint32_t prot = AEGIS_BIND_READ;

	if ((r->flags & VM_WRITE) && !(entry & PAGE_COPY))
		prot |= AEGIS_BIND_WRITE;
	if (r->flags & VM_EXEC)
		prot |= AEGIS_BIND_EXEC;
	return prot;
}

static bool
region_bindable(const struct region *r)
{
	return r->flags & (VM_READ | VM_WRITE | VM_EXEC);
}

void
page_drop(uint64_t start, uint64_t end)
{
	uint64_t run_end;

	while (page_run(&start, end, &run_end)) {
		uint32_t pfns[RUN_MAX];
		uint32_t n = 0;
		uint64_t va;

		if (run_end - start > RUN_MAX * PAGE)
			run_end = start + RUN_MAX * PAGE;
		core_unbind(start, (uint32_t)((run_end - start) / PAGE));
		for (va = start; va < run_end; va += PAGE) {
			uint32_t *e = page_entry(va, false);

			if (!(*e & PAGE_FILE))
				pfns[n++] = *e & PAGE_PFN;
			*e = 0;
			vm()->pages--;
		}
		core_frames_free(pfns, n);
		start = run_end;
	}
	sizes_tell(vm());
}

/* The same for n entries of one chunk, for the pages from va on. */
static int
entries_rebind(const struct region *r, const uint32_t *entry, uint64_t va, uint32_t n)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err;) {
		uint32_t like = entry[i] & (PAGE_PRESENT | PAGE_COPY), first = i;

		while (i < n && (entry[i] & (PAGE_PRESENT | PAGE_COPY)) == like)
			i++;
		if (!(like & PAGE_PRESENT))
			continue;
		if (region_bindable(r))
			err = core_protect(va + first * PAGE, i - first, page_prot(r, like));
		else
			err = core_unbind(va + first * PAGE, i - first);
	}
	return err;
}

int
page_rebind(const struct region *r, uint64_t start, uint64_t end)
{
	const struct vm *v = vm();
	int err = 0;

	for (uint32_t i = page_chunk(v, start / CHUNK_SIZE); i < v->chunk_count && !err; i++) {
		uint64_t base = v->chunks[i].base * CHUNK_SIZE, last = base + CHUNK_SIZE;

		if (base >= end)
			break;
		base = base < start ? start : base;
		last = last < end ? last : end;
		err = entries_rebind(r, &v->chunks[i].entry[base / PAGE % VM_CHUNK_PAGES], base,
				     (uint32_t)((last - base) / PAGE));
	}
	return err;
}

int
page_set(uint64_t va, uint32_t pfn, uint32_t flags, uint32_t prot)
{
	uint32_t *e = page_entry(va, true);
	int err;

	if (!e)
		return -ENOMEM;
	err = core_bind(AEGIS_SELF, control()->space, va, &pfn, 1, prot);
	if (err)
		return err;
	if (!*e) {
		vm()->pages++;
		sizes_tell(vm());
	}
	*e = PAGE_PRESENT | flags | pfn;
	return 0;
}

static int
zero_page(const struct region *r, uint64_t va)
{
	uint32_t pfn;
	int err = core_frames_alloc(EXOS_CAP_OWN, &pfn, 1);

	if (err)
		return err;
	err = page_set(va, pfn, 0, page_prot(r, 0));
	if (err)
		core_frames_free(&pfn, 1);
	return err;
}

#define ZERO_AHEAD 8u /* pages that are brought in at once for a program that goes through memory */

/* Pages from va on that are not there, in one chunk of entries: at most `most`. */
static uint32_t
absent_run(uint64_t va, uint64_t end, uint32_t most)
{
	const uint32_t *e = page_entry(va, false);
	uint32_t left = VM_CHUNK_PAGES - (uint32_t)(va / PAGE % VM_CHUNK_PAGES), n = 0;

	if ((end - va) / PAGE < most)
		most = (uint32_t)((end - va) / PAGE);
	most = most < left ? most : left;
	while (e && n < most && !e[n])
		n++;
	return n;
}

/* The first touch of va: who touches page after page gets some in advance. */
static int
zero_pages(const struct region *r, uint64_t va)
{
	struct vm *v = vm();
	bool goes_on = va == v->zero_next;
	uint32_t pfns[ZERO_AHEAD], n = goes_on ? absent_run(va, r->end, ZERO_AHEAD) : 1, *e;

	v->zero_next = va + PAGE;
	if (n <= 1 || core_frames_alloc(EXOS_CAP_OWN, pfns, n))
		return zero_page(r, va);
	if (core_bind(AEGIS_SELF, control()->space, va, pfns, n, page_prot(r, 0))) {
		core_unbind(va, n);
		core_frames_free(pfns, n);
		return zero_page(r, va);
	}
	e = page_entry(va, false);
	for (uint32_t i = 0; i < n; i++)
		e[i] = PAGE_PRESENT | pfns[i];
	v->pages += n;
	v->zero_next = va + n * PAGE;
	sizes_tell(v);
	return 0;
}

/* For the parent, whose next child will write it too. */
static void
hot_tell(uint64_t va)
{
	for (uint32_t i = 0; i < SVC_HOT; i++) {
		if (SIZES->hot[i] == va)
			return;
		if (!SIZES->hot[i]) {
			SIZES->hot[i] = va;
			return;
		}
	}
}

/*
 * va's page, present in frame `from`, gets a frame of its own with the same content.  The window is
 * guaranteed; where the page itself is not bound, reading it is a fault inside this one.
 */
static int
copy_page(const struct region *r, uint64_t va, uint32_t from_entry)
{
	const uint64_t window = EXOS_COPY + (EXOS_COPY_PAGES - 1) * PAGE;
	uint32_t from = from_entry & PAGE_PFN, pfn;
	int err = core_frames_used(&pfn, 1);

	if (err)
		return err;
	err = core_bind(AEGIS_SELF, control()->space, window, &pfn, 1,
			AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED);
	/* A page of a file may be gone that was cut meanwhile. */
	if (!err && core_copy((void *)window, (void *)va, PAGE))
		err = -ENXIO;
	if (!err)
		err = page_set(va, pfn, 0, page_prot(r, 0));
	core_unbind(window, 1);
	if (err) {
		core_frames_free(&pfn, 1);
	} else if (!(from_entry & PAGE_FILE)) {
		core_frames_free(&from, 1);
		hot_note(vm(), va);
		hot_tell(va);
	}
	return err;
}

#define AROUND 32u /* pages of a file that are brought in at once: an aligned block */

/* What is missing around va of the block that it is in: its first page; how many in *n. */
static uint64_t
block_around(const struct region *r, uint64_t va, uint64_t limit, uint32_t *n)
{
	uint64_t start = va - va / PAGE % AROUND * PAGE, end = start + AROUND * PAGE, from = va;
	const uint32_t *e = page_entry(va, false);

	start = start < r->start ? r->start : start;
	end = end < limit ? end : limit;
	while (from > start && !e[-1]) {
		from -= PAGE;
		e--;
	}
	*n = (uint32_t)((va - from) / PAGE) + absent_run(va, end, AROUND);
	return from;
}

/* Binds n frames, of which some may be missing, from va on; then they are its pages. */
static int
frames_place(const struct region *r, uint64_t va, const uint32_t *pfns, uint32_t n, uint32_t flags)
{
	struct core_binds b;
	uint32_t prot = page_prot(r, flags), *e = page_entry(va, false);
	int err = 0;

	core_binds_start(&b, AEGIS_SELF, control()->space);
	for (uint32_t i = 0; i < n && !err; i++) {
		if (pfns[i] && !e[i])
			err = core_binds_add(&b, va + i * PAGE, pfns[i], prot, 0);
	}
	if (!err)
		err = core_binds_flush(&b);
	for (uint32_t i = 0; i < n && !err; i++) {
		if (!pfns[i] || e[i])
			continue;
		e[i] = PAGE_PRESENT | flags | pfns[i];
		vm()->pages++;
	}
	sizes_tell(vm());
	return err;
}

/* Pages of a file around va: as many as are cheap to have. */
static int
file_page(const struct region *r, uint64_t va, bool write)
{
	bool shared = r->flags & VM_SHARED;
	uint64_t limit = r->end < r->file_end ? r->end : page_up(r->file_end), from, page;
	uint32_t want, at, pfns[AROUND], flags = PAGE_FILE | (shared ? 0 : PAGE_COPY);
	int n, err;

	if (va >= limit)
		return zero_page(r, va);
	from = block_around(r, va, limit, &want);
	at = (uint32_t)((va - from) / PAGE);
	page = (r->offset + (from - r->start)) / PAGE;
	if (!shared && (r->flags & VM_EXEC))
		n = site_frames(r, from, want, pfns);
	else
		n = file_frames(r->file, page, want,
				shared && (r->flags & VM_WRITE) ? SVC_MAP_WRITE : SVC_MAP_READ,
				pfns);
	/* What others write to a hole is to be seen here. */
	if (shared && n > (int)at && !pfns[at])
		(void)file_frames(r->file, page + at, 1, SVC_MAP_FILL, &pfns[at]);
	r = vm_find(va); /* the stubs' regions may have moved it */
	if (!r)
		return -EFAULT;
	if (n <= (int)at)
		return -ENXIO; /* past the end of the file */
	err = frames_place(r, from, pfns, (uint32_t)n, flags);
	if (!err && !pfns[at])
		err = zero_page(r, va);
	if (!err && write && !shared && pfns[at])
		err = copy_page(r, va, *page_entry(va, false));
	return err;
}

/* The stack grows down to the page of addr. */
static const struct region *
stack_grow(uint64_t addr)
{
	struct vm *v = vm();
	uint32_t i = region_index(v, addr);

	if (i == v->count || !(v->regions[i].flags & VM_GROWS) || addr < v->stack_limit ||
	    v->regions[i].start <= addr || (i && v->regions[i - 1].end > page_down(addr)))
		return NULL;
	v->virtual += v->regions[i].start - page_down(addr);
	v->regions[i].start = page_down(addr);
	return &v->regions[i];
}

#define FAULT_WRITE 2u
#define FAULT_FETCH 16u

int
vm_fault(uint64_t addr, uint64_t error)
{
	const struct region *r = vm_find(addr);
	uint64_t va = page_down(addr);
	bool write = error & FAULT_WRITE;
	uint32_t *e;
	uint32_t pfn;
	int err;

	if (!r)
		r = stack_grow(addr);
	if (!r || (r->flags & VM_OWNED))
		return -EFAULT;
	if ((write && !(r->flags & VM_WRITE)) || ((error & FAULT_FETCH) && !(r->flags & VM_EXEC)) ||
	    !region_bindable(r))
		return -EACCES;
	e = page_entry(va, true);
	if (!e)
		return -ENOMEM;
	if (*e && write && (*e & PAGE_COPY))
		return copy_page(r, va, *e);
	if (*e) {
		pfn = *e & PAGE_PFN;
		err = core_bind(AEGIS_SELF, control()->space, va, &pfn, 1, page_prot(r, *e));
		if (err != -EPERM || !(*e & PAGE_FILE))
			return err;
		*e = 0; /* its file gave it up: what has it there now? */
		vm()->pages--;
	}
	if (r->flags & VM_FIXED)
		return -EFAULT;
	return r->file ? file_page(r, va, write) : zero_pages(r, va);
}

bool
vm_page_of_file(uint64_t va)
{
	const uint32_t *e = page_entry(va, false);

	return e && (*e & PAGE_FILE);
}

int
page_populate(const struct region *r)
{
	for (uint64_t va = r->start; va < r->end; va += PAGE) {
		int err = zero_page(r, va);

		if (err)
			return err;
	}
	return 0;
}

int
page_move(uint64_t from, uint64_t to, uint64_t len)
{
	uint64_t start = from, run_end;

	while (page_run(&start, from + len, &run_end)) {
		for (; start < run_end; start += PAGE) {
			uint32_t *d = page_entry(to + (start - from), true);
			uint32_t *e = page_entry(start, false);

			if (!d || !e)
				return -ENOMEM;
			core_unbind(start, 1);
			*d = *e;
			*e = 0;
		}
	}
	return 0;
}
