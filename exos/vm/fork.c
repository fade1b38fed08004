/* SPDX-License-Identifier: MIT */
/*
 * What fork and revocation do to the program's memory.
 *
 * Fork binds every present page into the child's space, which gives the child a holding of the
 * frame, after the parent has lost the right to write it: the copy bit is set in the entries first,
 * because the child's entries are a copy of the parent's.
 *
 * Pages that parent or child wrote after the last fork (vm->hot) are copied at once instead: a copy costs a
 * quarter of the fault that it saves.  A child tells its parent through the service, which only passes on.
 */
#include "priv.h"

#define LOST_MAX 32u

struct fork {
	struct core_binds *child;
	struct aegis_bind lost[LOST_MAX]; /* ranges of the parent that lose write access */
	uint32_t lost_count;
};

static int
lost_flush(struct fork *f)
{
	uint32_t n = f->lost_count;

	f->lost_count = 0;
	return n ? core_protect_each(f->lost, n) : 0;
}

static int
lost_add(struct fork *f, uint64_t va, uint32_t prot)
{
	struct aegis_bind *last = &f->lost[f->lost_count - 1];
	int err = 0;

	if (f->lost_count && last->va + last->pfn * PAGE == va && last->prot == prot) {
		last->pfn++;
		return 0;
	}
	if (f->lost_count == LOST_MAX)
		err = lost_flush(f);
	f->lost[f->lost_count++] = (struct aegis_bind){va, 1, prot};
	return err;
}

void
hot_note(struct vm *v, uint64_t va)
{
	for (uint32_t i = 0; i < HOT_PAGES; i++) {
		if (v->hot[i].va == va)
			return;
	}
	v->hot[v->hot_next++ % HOT_PAGES].va = va;
}

/* Pages of a chunk that are to be copied at once; whether there are any. */
struct hot_map {
	bool any;
	uint64_t bit[VM_CHUNK_PAGES / 64];
};

static inline bool
hot_in(const struct hot_map *map, uint32_t i)
{
	return map->any && (map->bit[i / 64] >> i % 64 & 1);
}

/* Those of the n pages from va on that are there; each is told how its copy is to be bound. */
static void
hot_take(struct hot_map *map, const struct region *r, uint64_t va, const uint32_t *entry,
	 uint32_t n)
{
	struct vm *v = vm();

	*map = (struct hot_map){0};
	for (uint32_t i = 0; i < HOT_PAGES && (r->flags & (VM_WRITE | VM_SHARED)) == VM_WRITE;
	     i++) {
		uint64_t at = (v->hot[i].va - va) / PAGE;

		if (v->hot[i].va < va || at >= n || !entry[at])
			continue;
		v->hot[i].prot = page_prot(r, 0);
		map->bit[at / 64] |= 1ul << at % 64;
		map->any = true;
	}
}

/* Entries of one chunk, for the pages from va on. */
static int
entries_fork(struct fork *f, const struct region *r, uint64_t va, uint32_t *entry, uint32_t n)
{
	const uint32_t prots[2] = {page_prot(r, 0), page_prot(r, PAGE_COPY)};
	const bool shared = r->flags & VM_SHARED;
	struct hot_map hot;
	int err = 0;

	hot_take(&hot, r, va, entry, n);
	for (uint32_t i = 0, run; i < n && !err; i += run) {
		uint32_t e = entry[i], prot = prots[!!(e & PAGE_COPY)];

		run = 1;
		if (!e || hot_in(&hot, i))
			continue;
		if (!shared && !(e & PAGE_COPY)) {
			entry[i] |= PAGE_COPY;
			prot = prots[1];
			if (r->flags & VM_WRITE)
				err = lost_add(f, va + i * PAGE, prot);
		} else {
			/* Like entries of consecutive frames. */
			while (i + run < n && entry[i + run] == e + run && !hot_in(&hot, i + run))
				run++;
		}
		err = err ? err
			  : core_binds_add(f->child, va + i * PAGE, e & PAGE_PFN, prot, run - 1);
	}
	return err;
}

static int
region_fork(struct fork *f, const struct region *r)
{
	struct vm *v = vm();
	int err = 0;

	for (uint32_t i = page_chunk(v, r->start / CHUNK_SIZE); i < v->chunk_count && !err; i++) {
		struct chunk *c = &v->chunks[i];
		uint64_t from = c->base * CHUNK_SIZE, end = from + CHUNK_SIZE;

		if (from >= r->end)
			break;
		from = from < r->start ? r->start : from;
		end = end < r->end ? end : r->end;
		err = entries_fork(f, r, from, &c->entry[from / PAGE % VM_CHUNK_PAGES],
				   (uint32_t)((end - from) / PAGE));
	}
	return err;
}

int
vm_fork(struct core_binds *child)
{
	struct vm *v = vm();
	struct fork f;
	int err = 0, lost;

	f.child = child;
	f.lost_count = 0;
	for (uint32_t i = 0; i < SVC_HOT; i++) {
		if (MAIL->hot[i])
			hot_note(v, MAIL->hot[i]);
	}
	for (uint32_t i = 0; i < HOT_PAGES; i++)
		v->hot[i].prot = 0;
	for (uint32_t i = 0; i < v->count && !err; i++)
		err = region_fork(&f, &v->regions[i]);
	/* Whatever happened: what is marked for copying is not writable. */
	lost = lost_flush(&f);
	return err ? err : lost;
}

void
vm_fork_child(void)
{
	struct vm *v = vm();

	for (uint32_t i = 0; i < SVC_HOT; i++)
		SIZES->hot[i] = 0;
	for (uint32_t i = 0; i < HOT_PAGES; i++) {
		if (v->hot[i].prot)
			*page_entry(v->hot[i].va, false) = PAGE_PRESENT | v->hot[i].pfn;
	}
	/* The binding brought the holding; nobody may use it yet. */
	for (uint32_t i = 0; i < v->count; i++) {
		const struct region *r = &v->regions[i];

		if (!(r->flags & (VM_READ | VM_WRITE | VM_EXEC | VM_OWNED)))
			core_unbind(r->start, (uint32_t)((r->end - r->start) / PAGE));
	}
}

uint32_t
vm_give(uint32_t want)
{
	struct vm *v = vm();
	uint32_t given = 0;

	/* Pages of files can be had again; they are the service's, so only the binding goes. */
	for (uint32_t i = 0; i < v->count && given < want; i++) {
		const struct region *r = &v->regions[i];
		uint64_t start = r->start, run_end;

		while (r->file && given < want && page_run(&start, r->end, &run_end)) {
			for (; start < run_end && given < want; start += PAGE) {
				uint32_t *e = page_entry(start, false);
				uint32_t pfn = *e & PAGE_PFN;

				if (!(*e & PAGE_FILE) || (r->flags & VM_SHARED))
					continue;
				core_unbind(start, 1);
				*e = 0;
				v->pages--;
				core_frames_free(&pfn, 1);
				given++;
			}
		}
	}
	return given;
}
