/* SPDX-License-Identifier: MIT */
/*
 * Frames, bindings, the arena and the heap's pages.
 *
 * The kernel never allocates page tables or holdings pages; a call that lacks one answers
 * NEED_TABLE and the library supplies it.  A few spare frames are always held for that, because the
 * page that would record a new frame may itself be missing.
 *
 * 1. spare[0 .. spares) are frames held by this space, not bound, used for nothing else.
 * 2. Batches go through one page of the area; nothing that builds a batch calls anything that
 * builds another before the first has been submitted.
 * 3. The last spare becomes a holdings page and nothing else: without one no frame of a new span could be
 * taken, and so none to record it with.  A process that has none at all, as after fork, asks its service.
 */
#include "priv.h"
#include "../linux/errno.h"

#define BATCH_FRAMES ((struct aegis_frame_rec *)EXOS_BATCH)
#define BATCH_BINDS  ((struct aegis_bind *)EXOS_BATCH)
#define BATCH_BYTES  3072u /* the rest is for the log line and for table records */
#define SIDE_OFFSET  (EXOS_BATCH_OFFSET + BATCH_BYTES)
#define SIDE_BIND    ((struct aegis_bind *)(EXOS_BATCH + BATCH_BYTES))
#define SIDE_FRAME   ((struct aegis_frame_rec *)(EXOS_BATCH + BATCH_BYTES))
#define MAX_FRAMES   (BATCH_BYTES / sizeof(struct aegis_frame_rec))
#define MAX_BINDS    (BATCH_BYTES / sizeof(struct aegis_bind))
#define CORE_SPANS   4u

static uint32_t
spare_take(void)
{
	struct core_state *s = CORE_STATE;

	return s->spares ? s->spare[--s->spares] : 0;
}

static void
spare_give(uint32_t pfn)
{
	CORE_STATE->spare[CORE_STATE->spares++] = pfn;
}

static uint32_t
spares_for_tables(void)
{
	uint32_t n = CORE_STATE->spares;

	return n ? n - 1 : 0;
}

/* The holdings page of `span` for the own space, from the service. */
static int64_t
holdings_ask(uint32_t span)
{
	struct svc s = {.op = SVC_SPAN, .a = span};

	return control()->role != ROLE_PROCESS || svc_call(&s) ? AEGIS_NO_MEMORY : 1;
}

/* The holdings page of `span` for `space`.  Uses a spare. */
static int64_t
holdings_supply(uint32_t cap, uint32_t space, uint32_t span)
{
	uint32_t frame = spare_take();
	int64_t st;

	if (!frame)
		return space == control()->space ? holdings_ask(span) : AEGIS_NO_MEMORY;
	SIDE_FRAME->pfn = frame;
	SIDE_FRAME->flags = span;
	st = aegis_mem_table(cap, space, SIDE_OFFSET, 1);
	if (st != 1)
		spare_give(frame);
	return st;
}

/* The same for the span of pfn.  1: it was supplied; 0: it is there. */
static int64_t
span_supply(uint32_t cap, uint32_t space, uint32_t pfn)
{
	int64_t st = holdings_supply(cap, space, pfn / AEGIS_HOLD_SPAN);

	return st == AEGIS_IN_USE ? 0 : st;
}

/* Tables of levels `level` to 1 above va in `space`: how many were supplied, or why none was. */
static int64_t
tables_write(uint32_t cap, uint32_t space, uint64_t va, uint32_t level)
{
	struct core_state *s = CORE_STATE;
	int64_t st;

	if (spares_for_tables() < level)
		return AEGIS_NO_MEMORY;
	for (uint32_t i = 0; i < level; i++) {
		uint32_t at = level - i;

		SIDE_BIND[i] = (struct aegis_bind){va & ~((1ul << (12 + 9 * at)) - 1),
						   s->spare[s->spares - 1 - i],
						   AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(at)};
	}
	st = aegis_tlb_write(cap, space, SIDE_OFFSET, level);
	if (st > 0)
		s->spares -= (uint32_t)st;
	return st;
}

/* The tables above va in `space`, where they are missing.  1: some were supplied. */
static int64_t
tables_supply(uint32_t cap, uint32_t space, uint64_t va)
{
	int64_t st = AEGIS_IN_USE;

	/* Those below a missing one are missing too. */
	for (uint32_t level = 3; level >= 1 && st == AEGIS_IN_USE; level--)
		st = tables_write(cap, space, va, level);
	return st > 0 ? 1 : st == AEGIS_IN_USE ? 0 : st;
}

void
core_spares_fill(void)
{
	struct core_state *s = CORE_STATE;
	struct aegis_frame_rec *rec = SIDE_FRAME;

	while (s->spares < CORE_SPARES / 4) {
		uint32_t want = CORE_SPARES / 2 + 1 - s->spares;
		int64_t st;

		for (uint32_t i = 0; i < want; i++)
			rec[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
		st = aegis_mem_alloc(EXOS_CAP_OWN, SIDE_OFFSET, want, 0);
		for (int64_t i = 0; i < st; i++)
			s->spare[s->spares++] = rec[i].pfn;
		if (st > 0)
			continue;
		/* The record says which span wants a holdings page. */
		if (st != AEGIS_NEED_TABLE ||
		    holdings_supply(AEGIS_SELF, control()->space, rec->flags) != 1)
			return;
	}
}

static int
frames_alloc(uint32_t cap, uint32_t *pfns, uint32_t n, uint32_t flags)
{
	uint32_t done = 0;

	core_spares_fill();
	while (done < n) {
		uint32_t step = n - done < MAX_FRAMES ? n - done : (uint32_t)MAX_FRAMES;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			BATCH_FRAMES[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
		st = aegis_mem_alloc(cap, EXOS_BATCH_OFFSET, step, flags);
		if (st > 0) {
			for (uint32_t i = 0; i < st; i++)
				pfns[done + i] = BATCH_FRAMES[i].pfn;
			done += (uint32_t)st;
			continue;
		}
		if (st == AEGIS_NEED_TABLE &&
		    holdings_supply(AEGIS_SELF, control()->space, BATCH_FRAMES[0].flags) == 1) {
			core_spares_fill();
			continue;
		}
		core_frames_free(pfns, done);
		return st < 0 ? core_error(st) : -ENOMEM;
	}
	return 0;
}

int
core_frames_alloc(uint32_t cap, uint32_t *pfns, uint32_t n)
{
	if (n == 1 && cap == EXOS_CAP_OWN) {
		core_spares_fill();
		/* One by one they would cost a call each; under their own name the spares serve. */
		if (CORE_STATE->spares > CORE_SPARES / 4) {
			*pfns = spare_take();
			return 0;
		}
	}
	return frames_alloc(cap, pfns, n, 0);
}

int
core_frames_used(uint32_t *pfns, uint32_t n)
{
	return frames_alloc(EXOS_CAP_OWN, pfns, n, AEGIS_ALLOC_USED);
}

/* Runs one of the frame-record calls over pfns[]; supplies holdings pages of `space` as needed. */
static int
frames_each(int64_t (*call)(uint32_t cap, uint32_t space, uint32_t n), uint32_t cap, uint32_t space,
	    const uint32_t *pfns, uint32_t n, uint32_t flags)
{
	uint32_t done = 0;

	if (!CORE_STATE->spares)
		core_spares_fill();
	while (done < n) {
		uint32_t step = n - done < MAX_FRAMES ? n - done : (uint32_t)MAX_FRAMES;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			BATCH_FRAMES[i] = (struct aegis_frame_rec){pfns[done + i], flags};
		st = call(cap, space, step);
		if (st > 0) {
			done += (uint32_t)st;
			continue;
		}
		if (st == AEGIS_AGAIN)
			continue;
		if (st == AEGIS_NEED_TABLE &&
		    holdings_supply(space == control()->space ? AEGIS_SELF : cap, space,
				    pfns[done] / AEGIS_HOLD_SPAN) == 1) {
			core_spares_fill();
			continue;
		}
		return st < 0 ? core_error(st) : -EINVAL;
	}
	return 0;
}

static int64_t
call_hold(uint32_t cap, uint32_t space, uint32_t n)
{
	(void)space;
	return aegis_mem_bind(cap, EXOS_BATCH_OFFSET, n);
}

static int64_t
call_share(uint32_t cap, uint32_t space, uint32_t n)
{
	return aegis_mem_share(cap, space, EXOS_BATCH_OFFSET, n);
}

static int64_t
call_unshare(uint32_t cap, uint32_t space, uint32_t n)
{
	return aegis_mem_unshare(cap, space, EXOS_BATCH_OFFSET, n);
}

/* A frame that is bound elsewhere in the space stays held: those behind it are freed all the same. */
void
core_frames_free(const uint32_t *pfns, uint32_t n)
{
	uint32_t done = 0;

	while (done < n) {
		uint32_t step = n - done < MAX_FRAMES ? n - done : (uint32_t)MAX_FRAMES;
		int64_t st;

		for (uint32_t i = 0; i < step; i++)
			BATCH_FRAMES[i] = (struct aegis_frame_rec){pfns[done + i], 0};
		st = aegis_mem_free(EXOS_BATCH_OFFSET, step);
		if (st == AEGIS_AGAIN)
			continue;
		done += st > 0 ? (uint32_t)st : 1;
	}
}

int
core_hold(uint32_t cap, const uint32_t *pfns, uint32_t n, uint32_t rights)
{
	return frames_each(call_hold, cap, control()->space, pfns, n, rights);
}

int
core_share(uint32_t cap, uint32_t space, const uint32_t *pfns, uint32_t n, uint32_t rights)
{
	return frames_each(call_share, cap, space, pfns, n, rights);
}

int
core_span(uint32_t cap, uint32_t space, uint32_t span)
{
	int64_t st;

	core_spares_fill();
	st = holdings_supply(cap, space, span);
	return st == 1 || st == AEGIS_IN_USE ? 0 : core_error(st);
}

int
core_unshare(uint32_t cap, uint32_t space, const uint32_t *pfns, uint32_t n)
{
	return frames_each(call_unshare, cap, space, pfns, n, 0);
}

/* The frame in the side records, so that a batch may be under way. */
static void
side_free(uint32_t pfn)
{
	*SIDE_FRAME = (struct aegis_frame_rec){pfn, 0};
	while (aegis_mem_free(SIDE_OFFSET, 1) == AEGIS_AGAIN)
		;
}

/* Submits n records of the batch; supplies what is missing. */
static int
binds_submit(uint32_t cap, uint32_t space, uint32_t n)
{
	uint32_t done = 0;

	/* A child begins without spares; what is missing may need three at once. */
	if (CORE_STATE->spares < 4)
		core_spares_fill();
	while (done < n) {
		int64_t st = aegis_tlb_write(
			cap, space, EXOS_BATCH_OFFSET + done * (uint32_t)sizeof(struct aegis_bind),
			n - done);

		if (st >= 0) {
			done += (uint32_t)st;
			continue;
		}
		if (st == AEGIS_AGAIN)
			continue;
		if (st == AEGIS_IN_USE && BATCH_BINDS[done].prot & AEGIS_BIND_TABLE) {
			side_free(BATCH_BINDS[done++].pfn);
			continue;
		}
		if (st != AEGIS_NEED_TABLE)
			return core_error(st);
		/* What is bound here is held here; another space has tables before it has pages. */
		st = cap == AEGIS_SELF ? 0 : span_supply(cap, space, BATCH_BINDS[done].pfn);
		if (st == 0)
			st = tables_supply(cap, space, BATCH_BINDS[done].va);
		if (st == 0 && cap == AEGIS_SELF)
			st = span_supply(cap, space, BATCH_BINDS[done].pfn);
		if (st != 1)
			return core_error(st);
		core_spares_fill();
	}
	return 0;
}

int
core_bind_each(uint32_t cap, uint32_t space, const struct aegis_bind *binds, uint32_t n)
{
	for (uint32_t done = 0; done < n;) {
		uint32_t step = n - done < MAX_BINDS ? n - done : (uint32_t)MAX_BINDS;
		int err;

		memcpy(BATCH_BINDS, binds + done, step * sizeof(*binds));
		err = binds_submit(cap, space, step);
		if (err)
			return err;
		done += step;
	}
	return 0;
}

/* Holdings pages of a space that has none: for the frames of the records. */
static void
spans_supply(struct core_binds *b)
{
	uint32_t n = 0, span = UINT32_MAX;
	int64_t st;

	for (uint32_t i = 0; i < b->n && n < CORE_SPANS; i++) {
		const struct aegis_bind *r = &b->at[i];
		uint32_t k = 0;

		if (r->prot & AEGIS_BIND_TABLE || r->pfn / AEGIS_HOLD_SPAN == span)
			continue;
		span = r->pfn / AEGIS_HOLD_SPAN;
		while (k < n && SIDE_FRAME[k].flags != span)
			k++;
		if (k == n && CORE_STATE->spares)
			SIDE_FRAME[n++] = (struct aegis_frame_rec){spare_take(), span};
	}
	st = aegis_mem_table(b->cap, b->space, SIDE_OFFSET, n);
	while (n > (st > 0 ? st : 0))
		spare_give(SIDE_FRAME[--n].pfn);
}

int
core_binds_flush(struct core_binds *b)
{
	uint32_t n = b->n;
	int err;

	if (b->empty && n)
		spans_supply(b);
	b->empty = false;
	err = n ? core_bind_each(b->cap, b->space, b->at, n) : 0;

	b->n = 0;
	/* Frames of tables that were not taken; for those that were this does nothing. */
	for (uint32_t i = 0; i < n && err; i++) {
		if (b->at[i].prot & AEGIS_BIND_TABLE)
			side_free(b->at[i].pfn);
	}
	return err;
}

void
core_binds_new(struct core_binds *b, uint32_t cap, uint32_t space, uint64_t table)
{
	core_binds_start(b, cap, space);
	b->region = b->table[0] = table / AEGIS_LARGE_PAGE;
	b->tables = table != 0;
	b->empty = !table;
}

int
core_binds_table(struct core_binds *b, uint64_t va)
{
	uint64_t region = va / AEGIS_LARGE_PAGE;
	uint32_t level = 3;
	int err = 0;

	b->region = region;
	for (uint32_t i = 0; i < b->tables; i++) {
		uint64_t differ = region ^ b->table[i];

		if (!differ)
			return 0;
		if (differ < 1u << 9)
			level = 1;
		else if (differ < 1u << 18 && level > 2)
			level = 2;
	}
	b->table[b->tables++] = region;
	if (b->n + level > CORE_BINDS)
		err = core_binds_flush(b);
	if (spares_for_tables() < level)
		core_spares_fill();
	/* Without frames the binding will say so. */
	for (; level && !err && spares_for_tables(); level--)
		b->at[b->n++] =
			(struct aegis_bind){va & ~((1ul << (12 + 9 * level)) - 1), spare_take(),
					    AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level)};
	return err;
}

int
core_bind(uint32_t cap, uint32_t space, uint64_t va, const uint32_t *pfns, uint32_t n,
	  uint32_t prot)
{
	for (uint32_t done = 0; done < n;) {
		struct aegis_bind *r = BATCH_BINDS, *end = r + MAX_BINDS;
		int err;

		*r = (struct aegis_bind){va, pfns[done], prot};
		for (;;) {
			va += AEGIS_PAGE;
			if (++done == n)
				break;
			if (core_run_add(r, va, pfns[done], prot))
				continue;
			if (r + 1 == end)
				break;
			*++r = (struct aegis_bind){va, pfns[done], prot};
		}
		err = binds_submit(cap, space, (uint32_t)(r + 1 - BATCH_BINDS));
		if (err)
			return err;
	}
	return 0;
}

static int
range_call(int64_t (*call)(uint32_t, uint32_t, uint32_t, uint32_t), uint64_t va, uint32_t n,
	   uint32_t prot)
{
	while (n) {
		uint32_t step = n < 2048 ? n : 2048;
		int64_t st;

		*BATCH_BINDS = (struct aegis_bind){va, step, prot};
		st = call(AEGIS_SELF, control()->space, EXOS_BATCH_OFFSET, 1);
		if (st == AEGIS_AGAIN)
			continue;
		if (st < 0)
			return core_error(st);
		va += step * AEGIS_PAGE;
		n -= step;
	}
	return 0;
}

int
core_unbind(uint64_t va, uint32_t n)
{
	return range_call(aegis_tlb_delete, va, n, 0);
}

int
core_protect(uint64_t va, uint32_t n, uint32_t prot)
{
	return range_call(aegis_tlb_protect, va, n, prot);
}

int
core_protect_each(struct aegis_bind *ranges, uint32_t n)
{
	memcpy(BATCH_BINDS, ranges, n * sizeof(*ranges));
	for (uint32_t done = 0; done < n;) {
		int64_t st = aegis_tlb_protect(
			AEGIS_SELF, control()->space,
			EXOS_BATCH_OFFSET + done * (uint32_t)sizeof(struct aegis_bind), n - done);

		if (st < 0 && st != AEGIS_AGAIN)
			return core_error(st);
		done += st > 0 ? (uint32_t)st : 0;
	}
	return 0;
}

/* ---- the arena ---- */

static uint32_t
order_of(uint32_t pages)
{
	return pages <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(pages - 1);
}

uint64_t
core_arena_reserve(uint32_t pages)
{
	struct core_state *s = CORE_STATE;
	uint32_t order = order_of(pages);
	struct arena_free *f;
	uint64_t va;

	if (order >= ARENA_ORDERS)
		return 0;
	f = s->arena[order];
	if (f) {
		s->arena[order] = f->next;
		va = f->va;
		core_free(f, sizeof(*f));
		return va;
	}
	if (!s->arena_next)
		s->arena_next = EXOS_ARENA;
	if ((AEGIS_PAGE << order) > EXOS_ARENA_END - s->arena_next)
		return 0;
	va = s->arena_next;
	s->arena_next += AEGIS_PAGE << order;
	return va;
}

void
core_arena_release(uint64_t va, uint32_t pages)
{
	struct arena_free *f = core_alloc(sizeof(*f));
	uint32_t order = order_of(pages);

	if (!f)
		return; /* the addresses are lost until the environment ends */
	f->va = va;
	f->next = CORE_STATE->arena[order];
	CORE_STATE->arena[order] = f;
}

/*
 * In a supervisor or service the arena's pages have entries, frame number and protection, in pages of
 * their own at EXOS_TRUTH; a process knows them through its files (exos/fd).
 */
#define TRUTH_PFN  0x00ffffffu
#define TRUTH_PROT 24

static uint32_t *
truth_entry(uint64_t va, bool make)
{
	struct core_state *s = CORE_STATE;
	uint64_t page = (va - EXOS_ARENA) / AEGIS_PAGE;
	uint32_t chunk = (uint32_t)(page / 1024);
	uint32_t pfn;

	if (!(s->truth_bound[chunk / 64] >> chunk % 64 & 1)) {
		if (!make || core_frames_alloc(EXOS_CAP_OWN, &pfn, 1))
			return NULL;
		if (core_bind(AEGIS_SELF, control()->space, EXOS_TRUTH + chunk * AEGIS_PAGE, &pfn,
			      1, AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED)) {
			core_frames_free(&pfn, 1);
			return NULL;
		}
		s->truth_bound[chunk / 64] |= 1ul << chunk % 64;
	}
	return (uint32_t *)EXOS_TRUTH + page;
}

static bool
truth_note(uint64_t va, const uint32_t *pfns, uint32_t n, uint32_t prot)
{
	if (control()->role == ROLE_PROCESS)
		return true;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *e = truth_entry(va + i * AEGIS_PAGE, true);

		if (!e)
			return false;
		*e = prot ? pfns[i] | (prot & 7) << TRUTH_PROT : 0;
	}
	return true;
}

int
core_arena_fault(uint64_t va)
{
	uint32_t *e = truth_entry(va, false);
	uint32_t pfn;

	if (!e || !*e)
		return -EFAULT;
	pfn = *e & TRUTH_PFN;
	return core_bind(AEGIS_SELF, control()->space, va & ~(AEGIS_PAGE - 1), &pfn, 1,
			 *e >> TRUTH_PROT);
}

void *
core_arena_map(const uint32_t *pfns, uint32_t n, uint32_t prot)
{
	uint64_t va = core_arena_reserve(n);

	if (!va)
		return NULL;
	if (!truth_note(va, pfns, n, prot) ||
	    core_bind(AEGIS_SELF, control()->space, va, pfns, n, prot)) {
		core_unbind(va, n);
		core_arena_release(va, n);
		return NULL;
	}
	return (void *)va;
}

void
core_arena_unmap(void *at, uint32_t n)
{
	core_unbind((uint64_t)at, n);
	truth_note((uint64_t)at, NULL, n, 0);
	core_arena_release((uint64_t)at, n);
}

/* ---- pages of the private heap ---- */

#define HEAP_PROT \
	(AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED | AEGIS_BIND_KEY(EXOS_KEY))

/* First run of `count` pages of EXOS_HEAP that are not in use, or EXOS_HEAP_PAGES. */
static uint32_t
heap_find(const struct core_state *s, uint32_t count)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < EXOS_HEAP_PAGES; i++) {
		run = s->heap_map[i / 64] >> i % 64 & 1 ? 0 : run + 1;
		if (run == count)
			return i + 1 - count;
	}
	return EXOS_HEAP_PAGES;
}

static void *
process_pages_get(struct core_state *s, uint32_t count)
{
	uint32_t at = heap_find(s, count);

	if (at == EXOS_HEAP_PAGES)
		return NULL;
	for (uint32_t i = at; i < at + count; i++) {
		uint32_t pfn;

		if (s->heap_frames[i])
			continue;
		if (core_frames_alloc(EXOS_CAP_OWN, &pfn, 1))
			return NULL;
		if (core_bind(AEGIS_SELF, control()->space, EXOS_HEAP + i * AEGIS_PAGE, &pfn, 1,
			      HEAP_PROT)) {
			core_frames_free(&pfn, 1);
			return NULL;
		}
		s->heap_frames[i] = pfn;
	}
	for (uint32_t i = at; i < at + count; i++)
		s->heap_map[i / 64] |= 1ul << i % 64;
	return (void *)(EXOS_HEAP + at * AEGIS_PAGE);
}

static void *
arena_pages_get(uint32_t count)
{
	uint64_t va = core_arena_reserve(count);

	for (uint32_t i = 0; va && i < count; i++) {
		uint32_t pfn;

		if (core_frames_alloc(EXOS_CAP_OWN, &pfn, 1) ||
		    !truth_note(va + i * AEGIS_PAGE, &pfn, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE) ||
		    core_bind(AEGIS_SELF, control()->space, va + i * AEGIS_PAGE, &pfn, 1,
			      AEGIS_BIND_READ | AEGIS_BIND_WRITE))
			return NULL;
	}
	return (void *)va;
}

static void *
pages_get(void *ctx, size_t count)
{
	if (count > EXOS_HEAP_PAGES && control()->role == ROLE_PROCESS)
		return NULL;
	if (control()->role == ROLE_PROCESS)
		return process_pages_get(ctx, (uint32_t)count);
	return count <= 1u << 16 ? arena_pages_get((uint32_t)count) : NULL;
}

static void
pages_put(void *ctx, void *pages, size_t count)
{
	struct core_state *s = ctx;
	uint64_t va = (uint64_t)pages;

	if (control()->role == ROLE_PROCESS) {
		uint32_t at = (uint32_t)((va - EXOS_HEAP) / AEGIS_PAGE);

		for (uint32_t i = at; i < at + count; i++) {
			s->heap_map[i / 64] &= ~(1ul << i % 64);
			s->heap_large[i / 64] &= ~(1ul << i % 64);
		}
		return;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t page = va + i * AEGIS_PAGE;
		uint32_t pfn =
			(uint32_t)((*aegis_window(page) & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT);

		core_unbind(page, 1);
		core_frames_free(&pfn, 1);
	}
	core_arena_release(va, (uint32_t)count);
}

size_t
core_heap_used(uint64_t page)
{
	uint64_t n = (page - EXOS_HEAP) / AEGIS_PAGE;

	return CORE_STATE->heap_large[n / 64] >> n % 64 & 1 ? AEGIS_PAGE
							    : heap_slab_used((void *)page);
}

void
core_heap_init(void)
{
	struct heap_source source = {pages_get, pages_put, CORE_STATE};

	heap_init(&CORE_STATE->heap, &source);
}

void *
core_alloc(size_t size)
{
	struct core_state *s = CORE_STATE;
	void *block = heap_alloc(&s->heap, size);

	if (block && size > HEAP_SMALL && control()->role == ROLE_PROCESS) {
		uint64_t at = ((uint64_t)block - EXOS_HEAP) / AEGIS_PAGE;

		for (size_t i = 0; i * AEGIS_PAGE < size; i++, at++)
			s->heap_large[at / 64] |= 1ul << at % 64;
	}
	return block;
}

void
core_free(void *at, size_t size)
{
	heap_free(&CORE_STATE->heap, at, size);
}
