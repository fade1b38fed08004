/* SPDX-License-Identifier: MIT */
/*
 * Rewritten call sites, as a process uses them.
 *
 * The service decides whether a site can be rewritten, and keeps the rewritten page with the file
 * (exos/service/patch.c); here the page takes the place of the file's, the page of stubs is mapped at
 * its distance from the text, and the page of records behind it.
 *
 * 1. Only pages of private, executable mappings of files that the program cannot have changed (never
 *    writable, entry with PAGE_FILE) are replaced.
 * 2. Stubs and records are regions VM_FIXED, made when the first rewritten page comes in; where the
 *    program has something mapped there, its sites keep trapping.
 * 3. An address inside a stub is never shown to the program: site_present puts the original one in
 *    its place, with rcx as the processor would have left it.
 * 4. A site that was refused is remembered a while, so that its traps cost no transfer.
 */
#include "exos/core/core.h"
#include "exos/linux/errno.h"
#include "exos/linux/rewrite.h"
#include "exos/proc/process.h"

#define PAGE AEGIS_PAGE

/* The page behind the stubs, written by the service. */
struct records {
	uint32_t count, reserved;
	struct rewrite_record record[];
};
#define RECORDS_MAX ((PAGE - sizeof(struct records)) / sizeof(struct rewrite_record))

/* Entry and protection of a page of text. */
#define TEXT_ENTRY (PAGE_FILE | PAGE_COPY)
#define TEXT_PROT  (AEGIS_BIND_READ | AEGIS_BIND_EXEC)

static struct patched *
patched_find(uint64_t base)
{
	struct patched *free = NULL;

	for (uint32_t i = 0; i < PATCHED_MAX; i++) {
		struct patched *p = &process()->patched[i];

		if (p->base == base)
			return p;
		if (!p->base)
			free = p;
	}
	return free;
}

static int
page_fix(uint64_t va, uint32_t pfn, uint32_t flags)
{
	int64_t at = vm_map(va, PAGE, flags | VM_FIXED, NULL, 0, true, false);

	if (at < 0)
		return (int)at;
	return page_set(va, pfn, PAGE_FILE,
			AEGIS_BIND_READ | (flags & VM_EXEC ? AEGIS_BIND_EXEC : 0));
}

static const struct records *
records_of(const struct patched *p)
{
	return (const struct records *)(p->stub + PAGE);
}

static uint32_t
records_count(const struct patched *p)
{
	uint32_t count = __atomic_load_n(&records_of(p)->count, __ATOMIC_ACQUIRE);

	return count < RECORDS_MAX ? count : (uint32_t)RECORDS_MAX;
}

/* Stubs and records of the text whose file begins at base are mapped at base + delta. */
static bool
stubs_map(uint64_t base, uint64_t delta, uint64_t frames)
{
	struct patched *p = patched_find(base);
	uint64_t stub = base + delta;

	if (!p || stub % PAGE || stub < PAGE || stub >= EXOS_USER_TOP - 2 * PAGE)
		return false;
	if (p->base)
		return p->stub == stub;
	if (page_fix(stub, (uint32_t)frames, VM_READ | VM_EXEC))
		return false;
	if (page_fix(stub + PAGE, (uint32_t)(frames >> 32), VM_READ)) {
		vm_unmap(stub, PAGE);
		return false;
	}
	*p = (struct patched){base, stub, {(uint32_t)frames, (uint32_t)(frames >> 32)}, 0};
	p->seen = records_count(p);
	return true;
}

static uint64_t
region_base(const struct region *r)
{
	return r->start - r->offset;
}

static bool
refused(uint64_t site)
{
	return process()->refused[site / 2 % 32] == site;
}

void
site_trapped(uint64_t site, uint64_t rax)
{
	const struct region *r = vm_find(site);
	uint64_t base, delta;
	struct svc call;
	uint64_t va = site & ~(PAGE - 1);

	if (!r || !r->file || (r->flags & (VM_SHARED | VM_WRITE)) || !(r->flags & VM_EXEC) ||
	    refused(site))
		return;
	base = region_base(r);
	call = (struct svc){
		.op = SVC_PATCH, .a = file_object(r->file), .b = site - base, .c = rax, .d = base};
	/* The first answer says where the stubs must lie; the second is about the site. */
	svc_call(&call);
	delta = call.e;
	call = (struct svc){.op = SVC_PATCH,
			    .a = file_object(r->file),
			    .b = site - base,
			    .c = rax,
			    .d = base,
			    .e = base + delta};
	if (!delta || svc_call(&call) != 1 || !stubs_map(base, delta, call.c) ||
	    page_set(va, (uint32_t)call.b, TEXT_ENTRY, TEXT_PROT)) {
		process()->refused[site / 2 % 32] = site;
	} else {
		struct patched *p = patched_find(base);

		/* Nobody else's site came in between. */
		if (p->seen + 1 == records_count(p))
			p->seen++;
	}
}

/* The page of one record, of text that begins at base. */
static void
page_refresh(uint64_t base, uint64_t site)
{
	uint64_t va = (base + site) & ~(PAGE - 1);
	const struct region *r = vm_find(va);
	uint32_t pfn;

	if (r && r->file && (r->flags & (VM_SHARED | VM_WRITE | VM_EXEC)) == VM_EXEC &&
	    region_base(r) == base && vm_page_of_file(va) && site_frames(r, va, 1, &pfn) == 1 &&
	    pfn)
		(void)page_set(va, pfn, TEXT_ENTRY, TEXT_PROT);
}

void
site_refresh(void)
{
	for (uint32_t i = 0; i < PATCHED_MAX; i++) {
		struct patched *p = &process()->patched[i];

		for (; p->base && p->seen < records_count(p); p->seen++)
			page_refresh(p->base, records_of(p)->record[p->seen].site);
	}
}

int
site_frames(const struct region *r, uint64_t va, uint32_t n, uint32_t *pfns)
{
	uint32_t saved[FILE_FRAMES_MAX];
	struct svc call = {
		.op = SVC_TEXT,
		.a = file_object(r->file),
		.b = (r->offset + (va - r->start)) / PAGE,
		.c = n,
	};
	int64_t got;

	/* A fault may come in the middle of somebody's use of the message pages. */
	memcpy(saved, (void *)EXOS_MSG, n * sizeof(*saved));
	got = svc_call(&call);
	if (got > 0)
		memcpy(pfns, (void *)EXOS_MSG, (size_t)got * sizeof(*pfns));
	memcpy((void *)EXOS_MSG, saved, n * sizeof(*saved));
	if (got <= 0 || !(uint32_t)call.d || stubs_map(region_base(r), call.e, call.d))
		return (int)got;
	/* The stubs have no place: the file's own pages, then. */
	return file_frames(r->file, call.b, n, SVC_MAP_READ, pfns);
}

void
site_present(struct aegis_frame *f)
{
	for (uint32_t i = 0; i < PATCHED_MAX; i++) {
		const struct patched *p = &process()->patched[i];
		uint32_t count;

		if (!p->base || f->rip < p->stub || f->rip >= p->stub + PAGE)
			continue;
		count = records_count(p);
		for (uint32_t k = 0; k < count; k++) {
			struct rewrite_record r = records_of(p)->record[k];
			struct rewrite_origin origin;

			if (!rewrite_origin(&r, f->rip - p->base, &origin))
				continue;
			f->rip = origin.ip + p->base;
			if (origin.rcx_set)
				f->rcx = origin.rcx + p->base;
			return;
		}
	}
}

void
site_exec(void)
{
	memset(process()->patched, 0, sizeof(process()->patched));
	memset(process()->refused, 0, sizeof(process()->refused));
}
