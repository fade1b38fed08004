/* SPDX-License-Identifier: MIT */
/*
 * The invariants of holdings and bindings, checked: references are mappings.
 *
 * There is no memory for a second set of counts, so the counts themselves serve: a first walk
 * over the tables takes one off a holding for each binding it meets, a look at the holdings
 * finds all of them 0, a second walk puts them back.  When something is wrong the counts stay
 * wrong: the caller panics.  Call with nothing else going on in the space; for checked builds
 * and tests.
 */
#include "../tlb.h"

struct check {
	struct space *space;
	bool restore; /* second walk */
};

static bool
_leaf_check(const struct check *c, uint64_t pte, uint32_t pfn)
{
	uint8_t *hold = _hold_find(c->space, pfn);
	enum frame_kind kind = frame_kind(pfn);
	bool write = pte & AEGIS_PTE_WRITE, nx = (pte & AEGIS_PTE_NX) || !machine_pte_nx();

	if (c->restore) {
		*hold = (uint8_t)(*hold + 1);
		return true;
	}
	if (!hold || !(*hold & AEGIS_HOLD_COUNT))
		return false;
	*hold = (uint8_t)(*hold - 1);
	if (!(pte & AEGIS_PTE_USER))
		return false;
	if ((*hold & AEGIS_HOLD_READ) && write && !(*hold & AEGIS_HOLD_WRITE))
		return false;
	if (write && !nx && !(c->space->flags & AEGIS_SPACE_WX))
		return false;
	if (kind == FRAME_USER)
		return !(pte & PTE_UNCACHED);
	if (kind == FRAME_EXPOSED || kind == FRAME_HOLD)
		return !write && nx;
	return kind == FRAME_DEVICE && (pte & PTE_UNCACHED) && nx;
}

static bool
_table_check(const struct check *c, uint32_t table, uint32_t level)
{
	const uint64_t *entries = machine_frame(table);
	uint32_t n = level == 4 ? WINDOW_ENTRY : 512, used = 0;

	if (frames[table].kind != FRAME_TABLE)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t e = entries[i];
		uint32_t pages = e & AEGIS_PTE_LARGE && level == 2 ? LARGE_PAGES : 1;

		if (!(e & AEGIS_PTE_PRESENT)) {
			if (e)
				return false;
			continue;
		}
		used++;
		if (!(frames[table].flags >> i / TABLE_GROUP & 1))
			return false;
		if (level > 1 && pages == 1) {
			if ((e & PTE_TABLE) != PTE_TABLE || !_table_check(c, pte_pfn(e), level - 1))
				return false;
			continue;
		}
		for (uint32_t j = 0; j < pages; j++) {
			if (!_leaf_check(c, e, pte_pfn(e) + j))
				return false;
		}
	}
	return frames[table].link == used;
}

/* After the first walk: every count is 0.  Also what the space says about its holdings. */
static bool
_holdings_check(struct space *s)
{
	uint32_t pinned = 0, steps = UINT32_MAX;

	for (uint32_t pfn = 0; (pfn = _hold_next(s, pfn, &steps)) < PFN_MAX; pfn++) {
		uint8_t hold = *_hold_find(s, pfn);

		if ((hold & AEGIS_HOLD_COUNT) || frame_kind(pfn) == FRAME_NONE)
			return false;
		if (pfn < frame_count && frames[pfn].kind != FRAME_NONE &&
		    (frames[pfn].kind == FRAME_FREE || !frames[pfn].refs))
			return false;
		if ((hold & AEGIS_HOLD_WRITE) &&
		    (!(hold & AEGIS_HOLD_READ) ||
		     (frame_kind(pfn) != FRAME_USER && frame_kind(pfn) != FRAME_DEVICE)))
			return false;
		pinned += (hold & AEGIS_HOLD_PIN) != 0;
	}
	return pinned == s->pinned;
}

static uint32_t
_stripped_count(struct space *s)
{
	uint32_t stripped = 0, steps = UINT32_MAX;

	for (uint32_t pfn = 0; (pfn = _hold_next(s, pfn, &steps)) < PFN_MAX; pfn++)
		stripped += hold_stripped(*_hold_find(s, pfn));
	return stripped;
}

/* Holdings pages are the space's, below s->spans, and 0 where s->held has no bit. */
static bool
_directory_check(const struct space *s)
{
	const uint32_t *directory = machine_frame(s->directory);

	for (uint32_t i = 0; i < SPANS; i++) {
		const uint8_t *page;

		if (!directory[i])
			continue;
		if (i >= s->spans || frames[directory[i]].kind != FRAME_HOLD ||
		    frames[directory[i]].link != s->number)
			return false;
		page = machine_frame(directory[i]);
		for (uint32_t at = 0; at < AEGIS_HOLD_SPAN; at += HOLD_GROUP) {
			if (!(s->held[i] >> at / HOLD_GROUP & 1) &&
			    _hold_scan(page, at, at + HOLD_GROUP) < at + HOLD_GROUP)
				return false;
		}
	}
	return true;
}

bool
space_invariants(struct space *s)
{
	struct check first = {s, false}, second = {s, true};
	bool good;

	lock_acquire(&s->lock);
	good = s->number && s->number < SPACES && frames[s->object].kind == FRAME_OBJECT &&
	       frames[s->directory].kind == FRAME_OBJECT;
	if (good && !s->dying) {
		good = _directory_check(s) && _stripped_count(s) == s->stripped;
		good = good && _table_check(&first, s->root, 4);
		good = good && _holdings_check(s);
		good = good && _table_check(&second, s->root, 4);
	} else if (good) {
		good = !atomic_load(&s->envs) && !atomic_load(&s->cpus);
	}
	lock_release(&s->lock);
	return good;
}

static void
_refs_add(struct space *s, uint32_t n)
{
	uint32_t steps = UINT32_MAX;

	for (uint32_t pfn = 0; (pfn = _hold_next(s, pfn, &steps)) < PFN_MAX; pfn++) {
		if (pfn < frame_count && frames[pfn].kind != FRAME_NONE)
			atomic_fetch_add(&frames[pfn].refs, n);
	}
}

/* Holdings of all spaces off the references (n = -1), or back on (n = 1). */
static void
refs_change(uint32_t n)
{
	for (uint32_t i = 1; i < SPACES; i++) {
		struct space *s = space_find(i);

		if (!s)
			continue;
		_refs_add(s, n);
		space_put(s);
	}
}

/* References that are not holdings: pins of areas, or the kernel's own use of the frame. */
static uint32_t
frame_own(uint32_t pfn)
{
	const struct frame *f = &frames[pfn];

	switch (f->kind) {
	case FRAME_NONE:
	case FRAME_FREE:
		return 0;
	case FRAME_USER:
		return f->link;
	case FRAME_EXPOSED: /* an environment's page outlives it while somebody looks at it */
		return !f->link || (env_table[f->link] && env_table[f->link]->exposed == pfn);
	default:
		return 1;
	}
}

/* Frames have the references that holdings, areas and kernel objects make, and `under_way` others.
 */
bool
hold_invariants(uint32_t under_way)
{
	uint64_t more = 0;
	bool good = true;

	refs_change(UINT32_MAX);
	for (uint32_t i = 0; i < frame_count; i++) {
		const struct frame *f = &frames[i];
		uint32_t own = frame_own(i);

		if (atomic_load(&f->refs) < own || atomic_load(&f->refs) > own + under_way)
			good = false;
		else
			more += atomic_load(&f->refs) - own;
	}
	refs_change(1);
	return good && more <= under_way;
}
