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

/* Private pages of r get the copy bit and lose write access in this process. */
static int
pages_mark(const struct region *r)
{
	uint64_t start = r->start, run_end;

	if (r->flags & VM_SHARED)
		return 0;
	while (page_run(&start, r->end, &run_end)) {
		bool lost = false;

		for (uint64_t va = start; va < run_end; va += PAGE) {
			uint32_t *e = page_entry(va, false);

			lost |= !(*e & PAGE_COPY);
			*e |= PAGE_COPY;
		}
		if (lost && (r->flags & VM_WRITE)) {
			int err = core_protect(start, (uint32_t)((run_end - start) / PAGE),
					       page_prot(r, PAGE_COPY));

			if (err)
				return err;
		}
		start = run_end;
	}
	return 0;
}

int
vm_fork(uint32_t cap, uint32_t child_space)
{
	struct vm *v = vm();
	struct aegis_bind binds[BATCH];
	uint32_t n = 0;
	int err = 0;

	for (uint32_t i = 0; i < v->count && !err; i++) {
		const struct region *r = &v->regions[i];
		uint64_t start = r->start, run_end;

		err = pages_mark(r);
		while (!err && page_run(&start, r->end, &run_end)) {
			for (; start < run_end && !err; start += PAGE) {
				uint32_t entry = *page_entry(start, false);

				binds[n++] = (struct aegis_bind){start, entry & PAGE_PFN,
								 page_prot(r, entry)};
				if (n == BATCH) {
					err = core_bind_each(cap, child_space, binds, n);
					n = 0;
				}
			}
		}
	}
	if (!err && n)
		err = core_bind_each(cap, child_space, binds, n);
	return err;
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
