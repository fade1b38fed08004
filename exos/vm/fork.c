/* SPDX-License-Identifier: MIT */
/*
 * What fork and revocation do to the program's memory.
 *
 * Fork binds every present page into the child's space, which gives the child a holding of the
 * frame, after the parent has lost the right to write it: the copy bit is set in the entries first,
 * because the child's entries are a copy of the parent's.
 */
#include "priv.h"

#define BATCH 128u

struct fork {
	uint32_t cap, space; /* the child's */
	struct aegis_bind binds[BATCH];
	uint32_t n;
	uint64_t lost, lost_end; /* run of pages of the parent that lose write access */
};

static int
binds_flush(struct fork *f)
{
	uint32_t n = f->n;

	f->n = 0;
	return n ? core_bind_each(f->cap, f->space, f->binds, n) : 0;
}

static int
lost_flush(struct fork *f, const struct region *r)
{
	uint32_t pages = (uint32_t)((f->lost_end - f->lost) / PAGE);
	uint64_t start = f->lost;

	f->lost = f->lost_end = 0;
	return pages ? core_protect(start, pages, page_prot(r, PAGE_COPY)) : 0;
}

/* One present page: the copy bit where it is private, then the child's binding. */
static int
page_fork(struct fork *f, const struct region *r, uint64_t va, uint32_t *entry)
{
	int err = 0;

	if (!(r->flags & VM_SHARED) && !(*entry & PAGE_COPY)) {
		*entry |= PAGE_COPY;
		if (r->flags & VM_WRITE) {
			if (f->lost_end != va) {
				err = lost_flush(f, r);
				f->lost = va;
			}
			f->lost_end = va + PAGE;
		}
	}
	f->binds[f->n++] = (struct aegis_bind){va, *entry & PAGE_PFN, page_prot(r, *entry)};
	if (!err && f->n == BATCH)
		err = binds_flush(f);
	return err;
}

static int
region_fork(struct fork *f, const struct region *r)
{
	uint64_t start = r->start, run_end;
	int err = 0;

	while (!err && page_run(&start, r->end, &run_end)) {
		uint32_t *entry = page_entry(start, false); /* a run lies in one chunk */

		for (; start < run_end && !err; start += PAGE)
			err = page_fork(f, r, start, entry++);
	}
	return err ? err : lost_flush(f, r);
}

int
vm_fork(uint32_t cap, uint32_t child_space)
{
	struct vm *v = vm();
	struct fork f;
	int err = 0;

	f.cap = cap;
	f.space = child_space;
	f.n = 0;
	f.lost = f.lost_end = 0;
	for (uint32_t i = 0; i < v->count && !err; i++)
		err = region_fork(&f, &v->regions[i]);
	return err ? err : binds_flush(&f);
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
