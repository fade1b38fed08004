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
		uint32_t k;

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
		while (k < VM_CHUNK_PAGES && at < end && v->chunks[i].entry[k]) {
			k++;
			at += PAGE;
		}
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

int
page_rebind(const struct region *r, uint64_t start, uint64_t end)
{
	uint64_t run_end;

	while (page_run(&start, end, &run_end)) {
		uint32_t prot = page_prot(r, *page_entry(start, false));
		uint64_t va = start;
		int err;

		while (va < run_end && page_prot(r, *page_entry(va, false)) == prot)
			va += PAGE;
		if (region_bindable(r))
			err = core_protect(start, (uint32_t)((va - start) / PAGE), prot);
		else
			err = core_unbind(start, (uint32_t)((va - start) / PAGE));
		if (err)
			return err;
		start = va;
	}
	return 0;
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

/* The page will be written after the next fork, as it was after the last one. */
static void
hot_note(struct vm *v, uint64_t va)
{
	for (uint32_t i = 0; i < HOT_PAGES; i++) {
		if (v->hot[i].va == va)
			return;
	}
	v->hot[v->hot_next++ % HOT_PAGES].va = va;
}

/* va's page, present in frame `from`, gets a frame of its own with the same content. */
static int
copy_page(const struct region *r, uint64_t va, uint32_t from_entry)
{
	uint32_t from = from_entry & PAGE_PFN;
	uint32_t pfn;
	int err = core_frames_alloc(EXOS_CAP_OWN, &pfn, 1);

	if (err)
		return err;
	err = core_bind(AEGIS_SELF, control()->space, EXOS_COPY, &pfn, 1,
			AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!err)
		err = core_bind(AEGIS_SELF, control()->space, EXOS_COPY + PAGE, &from, 1,
				AEGIS_BIND_READ);
	if (!err)
		memcpy((void *)EXOS_COPY, (void *)(EXOS_COPY + PAGE), PAGE);
	core_unbind(EXOS_COPY, 2);
	if (!err)
		err = page_set(va, pfn, 0, page_prot(r, 0));
	if (err) {
		core_frames_free(&pfn, 1);
	} else if (!(from_entry & PAGE_FILE)) {
		core_frames_free(&from, 1);
		hot_note(vm(), va);
	}
	return err;
}

/* Pages of a file around va: as many as are cheap to have. */
static int
file_page(const struct region *r, uint64_t va, bool write)
{
	bool shared = r->flags & VM_SHARED;
	uint64_t limit = r->end < r->file_end ? r->end : page_up(r->file_end);
	uint32_t want = 16, pfns[16], flags = PAGE_FILE | (shared ? 0 : PAGE_COPY);
	int n;

	if (va >= limit)
		return zero_page(r, va);
	if ((limit - va) / PAGE < want)
		want = (uint32_t)((limit - va) / PAGE);
	if (!shared && (r->flags & VM_EXEC))
		n = site_frames(r, va, want, pfns);
	else
		n = file_frames(r->file, (r->offset + (va - r->start)) / PAGE, want,
				shared && (r->flags & VM_WRITE), pfns);
	if (n < 0)
		return n;
	r = vm_find(va); /* the stubs' regions may have moved it */
	if (n == 0 || !r)
		return -EFAULT;
	for (int i = 0; i < n; i++) {
		uint32_t *e = page_entry(va + (uint64_t)i * PAGE, true);
		int err;

		if (!e)
			return i ? 0 : -ENOMEM;
		if (i && (*e || !pfns[i]))
			break;
		err = pfns[i] ? page_set(va + (uint64_t)i * PAGE, pfns[i], flags,
					 page_prot(r, flags))
			      : zero_page(r, va);
		if (err)
			return i ? 0 : err;
	}
	if (write && !shared && pfns[0])
		return copy_page(r, va, *page_entry(va, false));
	return 0;
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
		return core_bind(AEGIS_SELF, control()->space, va, &pfn, 1, page_prot(r, *e));
	}
	if (r->flags & VM_FIXED)
		return -EFAULT;
	return r->file ? file_page(r, va, write) : zero_page(r, va);
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
