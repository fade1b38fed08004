/* SPDX-License-Identifier: MIT */
/*
 * Text pages with rewritten system calls, beside the file's own pages.
 *
 * A process that met a `syscall` instruction asks for it to be rewritten (exos/linux/rewrite.h
 * decides how).  The result is kept with the file, so that whoever runs the program next starts
 * with it.  For each file there are copies of the pages that have rewritten sites, one page of
 * stubs, and one page of records by which the library tells where in a stub stands for what.
 *
 *  1. Only pages that are the boot archive's are rewritten: nobody can change them under the
 * planner. The first page that stops being the archive's takes all rewriting of the file back.
 *  2. A copy that was handed out is never written again: a further site makes a new copy, and who
 * has the old one keeps it until it asks.  So no processor ever runs bytes that change.
 *  3. Stubs and records are only ever added, records after their stub.
 *  4. Distances between text and stubs are the same in every process: the stub page lies
 *     PATCH_GAP below the program's lowest address.  patch_delta is its place seen from where the
 * first byte of the file is, or would be, mapped.
 *  5. A wrong answer about a site would harm everybody who runs the file, and the planner believes
 * the number that the asking process says it had in rax.  So only the superuser and the file's
 * owner are listened to.
 *
 * Records have addresses as if the file's first byte were mapped at 0.
 */
#include "exos/linux/rewrite.h"
#include "exos/service/priv.h"

#define TEXT_MAX    (16u << 20)
#define REFUSED_MAX 64u
#define STUB_ALIGN  8u

struct patch_page {
	struct patch_page *next;
	uint64_t index; /* page of the file */
	uint32_t pfn;
};

struct patch_records {
	uint32_t count;
	uint32_t reserved;
	struct rewrite_record record[(PAGE - 8) / sizeof(struct rewrite_record)];
};
_Static_assert(sizeof(struct patch_records) <= PAGE, "one page");
#define RECORDS (sizeof(((struct patch_records *)0)->record) / sizeof(struct rewrite_record))

struct patch_file {
	const uint8_t *text; /* in the archive's mapping */
	uint64_t low;        /* file offset of text[0], a multiple of PAGE */
	size_t len;
	int64_t delta;
	struct rewrite_index index;
	void *index_memory; /* NULL: not built */
	size_t index_size;
	uint32_t frames[2]; /* stubs, records */
	uint8_t *stubs;     /* both pages, mapped */
	struct patch_records *records;
	uint32_t used; /* bytes of stubs */
	struct patch_page *pages;
	uint64_t refused[REFUSED_MAX]; /* file offsets that need not be tried again */
	uint32_t refused_count;
	bool dead; /* the file was changed: nothing is handed out any more */
};

/* ---- the text ---- */

struct elf_header {
	uint8_t magic[4], class, data, rest[10];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum;
};

struct elf_program {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

#define PT_LOAD 1u
#define PF_X    1u

/* The first page of a file if it is the archive's, else NULL. */
static const uint8_t *
page_borrowed(struct service *sv, struct fs_inode *inode, uint64_t index)
{
	struct fs_page page;

	if (fs_page_get(sv->fs, inode, index, false, &page) || page.state != FS_PAGE_BORROWED)
		return NULL;
	return frame_window(sv, page.pfn);
}

/* The segment that holds the site, and the program's lowest address. */
static bool
segment_find(const uint8_t *head, uint64_t site, struct elf_program *out, uint64_t *lowest)
{
	const struct elf_header *h = (const void *)head;
	bool found = false;

	*lowest = UINT64_MAX;
	if (memcmp(h->magic, "\177ELF", 4) || h->class != 2 || h->data != 1 ||
	    h->phentsize != sizeof(*out) || h->phoff > PAGE || h->phoff % 8)
		return false;
	for (uint64_t i = 0; i < h->phnum; i++) {
		const struct elf_program *s = (const void *)(head + h->phoff + i * sizeof(*s));

		if (h->phoff + (i + 1) * sizeof(*s) > PAGE)
			return false;
		if (s->type != PT_LOAD)
			continue;
		if (s->vaddr < *lowest)
			*lowest = s->vaddr;
		if (s->flags & PF_X && s->filesz <= TEXT_MAX && s->offset <= FS_FILE_MAX &&
		    site >= s->offset && site - s->offset < s->filesz) {
			*out = *s;
			found = true;
		}
	}
	return found && *lowest <= out->vaddr;
}

/* How far the file's pages from `first` are the archive's, one behind the other. */
static uint64_t
run_length(struct service *sv, struct fs_inode *inode, uint64_t first, uint64_t pages,
	   const uint8_t **at)
{
	uint64_t n = 0;

	*at = page_borrowed(sv, inode, first);
	while (*at && n < pages && page_borrowed(sv, inode, first + n) == *at + n * PAGE)
		n++;
	return n;
}

static bool
patch_pages_alloc(struct service *sv, struct patch_file *patch)
{
	if (frame_take(sv, &patch->frames[0]))
		return false;
	if (frame_take(sv, &patch->frames[1])) {
		frame_give(sv, patch->frames[0]);
		return false;
	}
	patch->stubs = core_arena_map(patch->frames, 2, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!patch->stubs) {
		frame_give(sv, patch->frames[0]);
		frame_give(sv, patch->frames[1]);
		return false;
	}
	patch->records = (struct patch_records *)(void *)(patch->stubs + PAGE);
	return true;
}

/* NULL: this file's text cannot be rewritten, or there is no memory. */
static struct patch_file *
patch_make(struct service *sv, struct sfile *file, uint64_t site)
{
	const uint8_t *head = page_borrowed(sv, file->inode, 0), *text;
	struct elf_program segment = {0};
	struct patch_file *patch;
	uint64_t lowest, first, last, pages, bytes;

	if (!head || !segment_find(head, site, &segment, &lowest))
		return NULL;
	first = segment.offset / PAGE;
	last = (segment.offset + segment.filesz - 1) / PAGE;
	pages = run_length(sv, file->inode, first, last - first + 1, &text);
	bytes = segment.offset + segment.filesz - first * PAGE;
	if (!pages)
		return NULL;
	patch = heap_zalloc(sizeof(*patch));
	if (!patch)
		return NULL;
	if (!patch_pages_alloc(sv, patch)) {
		core_free(patch, sizeof(*patch));
		return NULL;
	}
	patch->text = text;
	patch->low = first * PAGE;
	patch->len = bytes < pages * PAGE ? bytes : pages * PAGE;
	patch->delta = (int64_t)((lowest & ~(uint64_t)(PAGE - 1)) - PATCH_GAP - segment.vaddr +
				 segment.offset);
	file->patch = patch;
	return patch;
}

static void
index_make(struct patch_file *patch)
{
	size_t size = rewrite_index_size(patch->text, patch->len);

	patch->index_memory = core_alloc(size);
	patch->index_size = size;
	if (patch->index_memory && !rewrite_index_build(&patch->index, patch->text, patch->len,
							patch->index_memory, size)) {
		core_free(patch->index_memory, size);
		patch->index_memory = NULL;
	}
}

/* ---- copies ---- */

static struct patch_page *
page_find(const struct patch_file *patch, uint64_t index)
{
	struct patch_page *page = patch->pages;

	while (page && page->index != index)
		page = page->next;
	return page;
}

/* Takes the copies back from all that have them. */
static void
pages_drop(struct service *sv, struct sfile *file, bool take)
{
	struct patch_file *patch = file->patch;

	while (patch->pages) {
		struct patch_page *page = patch->pages;

		patch->pages = page->next;
		for (struct share *s = take ? file->shares : NULL; s; s = s->file_next)
			core_unshare(EXOS_CAP_OWN, s->proc->space, &page->pfn, 1);
		frame_give(sv, page->pfn);
		core_free(page, sizeof(*page));
	}
}

void
patch_drop(struct service *sv, struct sfile *file)
{
	struct patch_file *patch = file->patch;

	if (!patch)
		return;
	pages_drop(sv, file, false);
	core_arena_unmap(patch->stubs, 2);
	frame_give(sv, patch->frames[0]);
	frame_give(sv, patch->frames[1]);
	if (patch->index_memory)
		core_free(patch->index_memory, patch->index_size);
	core_free(patch, sizeof(*patch));
	file->patch = NULL;
}

void
patch_page_gone(struct service *sv, struct sfile *file, uint64_t index)
{
	struct patch_file *patch = file->patch;

	if (!patch || patch->dead || index < patch->low / PAGE ||
	    index > (patch->low + patch->len - 1) / PAGE)
		return;
	patch->dead = true;
	pages_drop(sv, file, true);
}

/* ---- rewriting ---- */

/* Puts the plan into a new copy of the site's page; false: no memory. */
static bool
plan_write(struct service *sv, struct patch_file *patch, const struct rewrite_plan *plan,
	   uint64_t base, uint64_t index)
{
	const struct rewrite_record *r = &plan->record;
	struct patch_page *page = page_find(patch, index);
	const uint8_t *old = patch->text + (index * PAGE - patch->low);
	uint64_t start = base + index * PAGE;
	uint32_t pfn;
	uint8_t *at;
	struct patch_page *made = page ? NULL : core_alloc(sizeof(*made));

	if (page)
		old = frame_window(sv, page->pfn);
	if (!old || (!page && !made) || frame_take(sv, &pfn))
		goto fail;
	at = frame_window(sv, pfn);
	if (!at) {
		frame_give(sv, pfn);
		goto fail;
	}
	memcpy(at, old, PAGE);
	memcpy(at + (r->patch - start), plan->patch, plan->patch_len);
	if (r->island)
		memcpy(at + (r->island - start), plan->island, REWRITE_JUMP_LEN);
	if (made) {
		*made = (struct patch_page){patch->pages, index, pfn};
		patch->pages = made;
	} else {
		frame_give(sv, page->pfn);
		page->pfn = pfn;
	}
	return true;
fail:
	core_free(made, sizeof(*made));
	return false;
}

static void
record_add(struct patch_file *patch, const struct rewrite_plan *plan, uint64_t base)
{
	struct patch_records *records = patch->records;
	struct rewrite_record *r = &records->record[records->count];

	memcpy(patch->stubs + patch->used, plan->stub, plan->record.stub_len);
	patch->used += (plan->record.stub_len + STUB_ALIGN - 1) / STUB_ALIGN * STUB_ALIGN;
	*r = plan->record;
	r->site -= base;
	r->patch -= base;
	r->stub -= base;
	if (r->island)
		r->island -= base;
	__atomic_store_n(&records->count, records->count + 1, __ATOMIC_RELEASE);
}

static bool
site_done(const struct patch_file *patch, uint64_t site)
{
	for (uint32_t i = 0; i < patch->records->count; i++) {
		if (patch->records->record[i].site == site)
			return true;
	}
	return false;
}

static bool
site_refused(const struct patch_file *patch, uint64_t site)
{
	for (uint32_t i = 0; i < patch->refused_count; i++) {
		if (patch->refused[i] == site)
			return true;
	}
	return false;
}

/* Whether the site is rewritten now.  base: where the caller has the file's first byte. */
static bool
site_rewrite(struct service *sv, struct patch_file *patch, uint64_t site, uint64_t rax,
	     uint64_t base)
{
	uint64_t index = site / PAGE;
	struct patch_page *page = page_find(patch, index);
	struct rewrite_view view = {
		.text = patch->text,
		.live = patch->text,
		.base = base + patch->low,
		.len = patch->len,
		.without = 1u << REWRITE_AFTER,
	};
	struct rewrite_request request = {
		.site = base + site,
		.rax = rax,
		.rax_known = true,
		.stub = base + (uint64_t)patch->delta + patch->used,
		.entry = kern_site_entry(),
	};
	struct rewrite_plan plan;
	const uint8_t *now = page ? frame_window(sv, page->pfn) : NULL;

	if (patch->used + REWRITE_STUB_MAX > PAGE || patch->records->count == RECORDS)
		return false;
	/* The planner compares only within the site's page. */
	if (now)
		view.live = (const uint8_t *)((uintptr_t)now - (index * PAGE - patch->low));
	view.index = patch->index_memory ? &patch->index : NULL;
	if (!rewrite_plan(&view, &request, &plan) && plan.reason == REWRITE_NO_INDEX &&
	    !patch->index_memory) {
		index_make(patch);
		view.index = patch->index_memory ? &patch->index : NULL;
		if (view.index)
			(void)rewrite_plan(&view, &request, &plan);
	}
	if (plan.kind == REWRITE_REFUSED) {
		if (patch->refused_count < REFUSED_MAX)
			patch->refused[patch->refused_count++] = site;
		return false;
	}
	if (!plan_write(sv, patch, &plan, base, index))
		return false;
	record_add(patch, &plan, base);
	return true;
}

static bool
patch_allowed(struct service *sv, const struct proc *p, struct fs_inode *inode)
{
	struct fs_stat st;

	return !p->cred.uid || (!fs_stat(sv->fs, inode, &st) && st.uid == p->cred.uid);
}

static uint64_t
stub_frames(const struct patch_file *patch)
{
	return patch->frames[0] | (uint64_t)patch->frames[1] << 32;
}

static int
stub_share(struct proc *p, const struct patch_file *patch)
{
	return core_share(EXOS_CAP_OWN, p->space, patch->frames, 2, AEGIS_READ);
}

/* Also answers e = patch_delta: where the stub page must be, seen from the text base address. */
int64_t
op_patch(struct service *sv, struct proc *p, struct svc *s)
{
	const struct object *o = object_find(sv, p, s->a);
	uint64_t site = s->b, base = s->d, stub = s->e;
	struct patch_file *patch;
	struct patch_page *page;

	if (!o || o->type != SVC_T_FILE)
		return -EBADF;
	if (!kern_site_entry() || base % PAGE || base > EXOS_USER_TOP || site > FS_FILE_MAX)
		return 0;
	patch = o->file->patch;
	if (!patch)
		patch = patch_make(sv, o->file, site);
	if (!patch || patch->dead)
		return 0;
	s->e = (uint64_t)patch->delta;
	if (stub != base + s->e || stub < PAGE || stub >= EXOS_USER_TOP || site < patch->low ||
	    site - patch->low >= patch->len || base + patch->low + patch->len > EXOS_USER_TOP ||
	    site_refused(patch, site))
		return 0;
	if (!site_done(patch, site) &&
	    (!patch_allowed(sv, p, o->inode) || !site_rewrite(sv, patch, site, s->c, base)))
		return 0;
	page = page_find(patch, site / PAGE);
	if (!page || share_note(o->file, p) || stub_share(p, patch) ||
	    core_share(EXOS_CAP_OWN, p->space, &page->pfn, 1, AEGIS_READ))
		return 0;
	s->a = page->index;
	s->b = page->pfn;
	s->c = stub_frames(patch);
	return 1;
}

/* d: frame of the stub page, and of the record page in its upper half; e as for op_patch. */
int64_t
op_text(struct service *sv, struct proc *p, struct svc *s)
{
	const struct object *o = object_find(sv, p, s->a);
	const struct patch_file *patch;
	int64_t got;

	s->d = 0;
	got = op_map(sv, p, s);
	s->e = 0;
	patch = got > 0 ? o->file->patch : NULL;
	if (!patch || patch->dead || !patch->records->count)
		return got;
	for (const struct patch_page *page = patch->pages; page; page = page->next) {
		if (page->index < s->b || page->index - s->b >= (uint64_t)got)
			continue;
		if (core_share(EXOS_CAP_OWN, p->space, &page->pfn, 1, AEGIS_READ))
			return -ENOMEM;
		memcpy(p->msg + (page->index - s->b) * sizeof(page->pfn), &page->pfn,
		       sizeof(page->pfn));
	}
	if (stub_share(p, patch))
		return -ENOMEM;
	s->d = stub_frames(patch);
	s->e = (uint64_t)patch->delta;
	return got;
}
