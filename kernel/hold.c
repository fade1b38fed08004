/* SPDX-License-Identifier: MIT */
/*
 * Holdings: which frames a space holds, with which rights, and how often it has bound them.
 *
 * Owns: the directory and the holdings pages of spaces; a byte a frame, AEGIS_HOLD_*.
 *
 * 1. A byte is 0 exactly while the space does not hold the frame, and its group has its bit in
 *    space.held when it is not; who looks for holdings looks at no other group.  Each byte that is not 0
 *    is one of the frame's refs (device registers, which never change owner, have none).
 * 2. READ is there whenever WRITE is.  A byte with neither is stripped: the rights were
 *    taken, some bindings are still to be broken; it gets no new bindings and no rights until
 *    it is 0. space.stripped counts them.
 * 3. A holding begins by allocation, by capability (mem_bind) or from a space that holds
 *    (mem_share, tlb_write): never with more rights than its source has.
 * 4. PIN means guaranteed; space.pinned counts them, at most AEGIS_PINNED_MAX and the pages
 *    of areas. It lasts until mem_mark takes it back or the last binding of the frame in this
 *    space goes.
 * 5. While the area of an environment includes a frame (frame.link, for each one reference),
 *    its last binding stays, unless force is used; even then the frame does not change owner.
 *
 * Locks: space.lock for the bytes.  A holding by capability is made with node_lock held (cap.c,
 * 6) and, like every change of kind, with mem_lock: a frame with one holding can be retyped by
 * its holder. Exposed: to its own space, through mem_bind of the page.  Revoked: _space_expel,
 * cap_revoke.
 */
#include "tlb.h"

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	uint8_t *page = pfn < PFN_MAX ? _hold_page(s, pfn) : NULL;

	return page ? page + pfn % AEGIS_HOLD_SPAN : NULL;
}

uint32_t
_hold_scan(const uint8_t *page, uint32_t at, uint32_t end)
{
	while (at < end && !page[at]) {
		bool word = at % 8 == 0 && at + 8 <= end &&
			    *(const uint64_t *)(const void *)(page + at) == 0;

		at += word ? 8 : 1;
	}
	return at;
}

uint32_t
_hold_next(struct space *s, uint32_t pfn, uint32_t *steps)
{
	while (pfn < frame_count && *steps) {
		uint32_t span = pfn / AEGIS_HOLD_SPAN, first = span * AEGIS_HOLD_SPAN;
		uint32_t group = pfn % AEGIS_HOLD_SPAN / HOLD_GROUP, end = (group + 1) * HOLD_GROUP;
		const uint8_t *page = _hold_find(s, first);
		uint32_t at;

		if (!page) {
			pfn = first + AEGIS_HOLD_SPAN;
			continue;
		}
		if (s->held[span] >> group & 1) {
			at = _hold_scan(page, pfn - first, end);
			if (at < end)
				return first + at < frame_count ? first + at : PFN_MAX;
			--*steps;
		}
		pfn = first + end;
	}
	return pfn < frame_count ? pfn : PFN_MAX;
}

bool
area_last(uint32_t pfn, uint8_t hold)
{
	return pfn < frame_count && frames[pfn].kind == FRAME_USER && frames[pfn].link &&
	       (hold & (AEGIS_HOLD_COUNT | AEGIS_HOLD_PIN)) == (AEGIS_HOLD_PIN | 1);
}

bool
_hold_pin_allowed(const struct space *s, uint8_t hold)
{
	return (hold & AEGIS_HOLD_PIN) || s->pinned < AEGIS_PINNED_MAX + s->area_pins;
}

void
_hold_pin(struct space *s, uint8_t *hold)
{
	if (*hold & AEGIS_HOLD_PIN)
		return;
	*hold |= AEGIS_HOLD_PIN;
	s->pinned++;
}

static void
_hold_unpin(struct space *s, uint8_t *hold)
{
	if (!(*hold & AEGIS_HOLD_PIN))
		return;
	*hold &= (uint8_t)~AEGIS_HOLD_PIN;
	s->pinned--;
}

void
_hold_last(struct flush *f, uint8_t *hold, uint32_t pfn)
{
	_hold_unpin(f->space, hold);
	if (*hold)
		return; /* the rights stay */
	f->space->stripped--;
	if (f->drops == FLUSH_DROPS)
		_flush_finish(f);
	f->drop[f->drops++] = pfn;
}

void
_hold_strip(struct space *s, uint32_t pfn, uint8_t *hold)
{
	if (hold_stripped(*hold))
		return;
	_hold_unpin(s, hold);
	*hold &= AEGIS_HOLD_COUNT;
	if (*hold && !s->dying) {
		s->stripped++;
		return;
	}
	/* No processor translates through a dying space, so its bindings do not matter. */
	*hold = 0;
	mem_release(pfn);
}

status
share_check(uint32_t pfn, uint8_t held, uint8_t need)
{
	const struct frame *f = &frames[pfn];
	const uint32_t revoked = atomic_load_explicit(&revocation, memory_order_relaxed);

	if ((held & need) != need)
		return AEGIS_NOT_HELD;
	if (pfn >= frame_count)
		return AEGIS_DENIED;
	if (revoked && node_dominates(revoked, f->guard))
		return AEGIS_AGAIN;
	/* Holding an exposed frame for reading is authority to hand that on; nobody holds more of
	 * it. */
	return f->kind == FRAME_USER || f->kind == FRAME_EXPOSED ? AEGIS_OK : AEGIS_DENIED;
}

void
_hold_give(struct space *s, uint8_t *hold, uint32_t pfn, uint8_t need)
{
	if (!*hold)
		_hold_new(s, pfn);
	*hold |= need;
}

/* ---- frames that become kernel objects, and back ---- */

status
_mem_retype(struct space *s, uint32_t pfn, enum frame_kind kind)
{
	uint8_t *hold = pfn < frame_count ? _hold_find(s, pfn) : NULL;
	struct frame *f = &frames[pfn];
	status st = AEGIS_OK;
	bool zero = false;

	if (!hold || (*hold & HOLD_RIGHTS) != HOLD_RIGHTS)
		return AEGIS_NOT_HELD;
	if (*hold & AEGIS_HOLD_COUNT)
		return AEGIS_IN_USE;
	lock_acquire(&mem_lock);
	if (f->kind != FRAME_USER || f->link || atomic_load(&f->refs) != 1) {
		st = AEGIS_IN_USE;
	} else {
		zero = f->flags & FRAME_ZERO;
		f->kind = (uint8_t)kind;
		f->flags = 0;
	}
	lock_release(&mem_lock);
	if (st != AEGIS_OK)
		return st;
	if (!zero)
		machine_frame_clear(pfn);
	_hold_unpin(s, hold);
	*hold = 0;
	return AEGIS_OK;
}

void
_mem_untype(struct space *s, uint32_t pfn)
{
	uint8_t *hold = _hold_find(s, pfn);
	struct frame *f = &frames[pfn];

	assert(hold && *hold == 0);
	lock_acquire(&mem_lock);
	f->flags = f->kind == FRAME_TABLE && !f->link ? FRAME_DIRTY | FRAME_ZERO : FRAME_DIRTY;
	f->link = 0;
	f->kind = FRAME_USER;
	lock_release(&mem_lock);
	_hold_note(s, pfn);
	*hold = HOLD_RIGHTS;
}

/* ---- mem_free ---- */

/* One holding less; its frame is to be released.  */
static inline status
_frame_leave(struct space *s, struct hold_cache *cache, uint32_t pfn)
{
	uint8_t *hold = _hold_at(cache, s, pfn);

	if (!hold || !*hold)
		return AEGIS_NOT_HELD;
	if (*hold & (AEGIS_HOLD_COUNT | AEGIS_HOLD_PIN)) {
		if (*hold & AEGIS_HOLD_COUNT)
			return AEGIS_IN_USE;
		_hold_unpin(s, hold);
	}
	*hold = 0;
	return AEGIS_OK;
}

status
sys_mem_free(uint32_t area, uint32_t n)
{
	struct env *self = current();
	struct space *s = self->space;
	struct hold_cache cache = HOLD_CACHE;
	uint32_t gone[AEGIS_BATCH_STEPS], lowest = s->span;
	status st = AEGIS_OK;
	struct batch b;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_frame_rec)))
		return AEGIS_BAD_ARG;
	lock_acquire(&s->lock);
	for (; b.left; batch_next(&b)) {
		uint32_t pfn = batch_frame(&b).pfn;

		st = _frame_leave(s, &cache, pfn);
		if (st != AEGIS_OK)
			break;
		gone[b.done] = pfn;
		if (cache.span < lowest)
			lowest = cache.span;
	}
	__atomic_store_n(&s->span, lowest, __ATOMIC_RELAXED);
	lock_release(&s->lock);
	mem_release_many(gone, b.done);
	if (b.done)
		revoke_given(self, AEGIS_KIND_FRAME, b.done);
	COUNT_ADD(frames_freed, b.done);
	return b.done ? b.done : st;
}

/* ---- mem_bind ---- */

/* What AEGIS_SELF opens: the environment's page, the space's own holdings pages, public pages. */
static bool
self_opens(const struct env *self, uint32_t pfn)
{
	const struct frame *f = &frames[pfn];

	if (pfn == self->exposed)
		return true;
	if (f->kind == FRAME_HOLD)
		return f->link == self->space->number;
	return f->kind == FRAME_EXPOSED && (f->flags & FRAME_PUBLIC);
}

/* Whether the caller may hold the frame, whose kind cannot change now.  mem_lock held. */
static status
_bind_check(const struct env *self, uint32_t cap, uint32_t pfn, uint32_t rights,
	    enum frame_kind kind)
{
	switch (kind) {
	case FRAME_USER:
		break;
	case FRAME_HOLD:
	case FRAME_EXPOSED:
		if (rights & AEGIS_WRITE)
			return AEGIS_DENIED;
		if (cap == AEGIS_SELF)
			return self_opens(self, pfn) ? AEGIS_OK : AEGIS_DENIED;
		if (kind == FRAME_HOLD)
			return AEGIS_DENIED;
		break;
	case FRAME_DEVICE:
		return cap_check(self, cap, NODE_ROOT, AEGIS_DEVICE | rights);
	case FRAME_FREE:
	case FRAME_NONE:
		return AEGIS_NO_SUCH;
	default:
		return AEGIS_DENIED;
	}
	if (cap == AEGIS_SELF)
		return AEGIS_DENIED;
	/* The kernel's own pages that nobody made for an environment belong to the root. */
	return cap_check(self, cap, frames[pfn].guard ? frames[pfn].guard : NODE_ROOT, rights);
}

/* node_lock and space.lock held. */
static status
_hold_bind(struct env *self, uint32_t cap, struct aegis_frame_rec rec)
{
	uint8_t *hold = _hold_find(self->space, rec.pfn);
	enum frame_kind kind;
	status st;

	if (rec.pfn >= PFN_MAX)
		return AEGIS_NO_SUCH;
	if (rec.flags != AEGIS_READ && rec.flags != (AEGIS_READ | AEGIS_WRITE))
		return AEGIS_BAD_ARG;
	lock_acquire(&mem_lock);
	kind = frame_kind(rec.pfn);
	if (rec.pfn < frame_count && kind != FRAME_DEVICE && !atomic_load(&frames[rec.pfn].refs))
		kind = FRAME_FREE; /* as good as */
	st = _bind_check(self, cap, rec.pfn, rec.flags, kind);
	if (st == AEGIS_OK && !hold)
		st = AEGIS_NEED_TABLE;
	if (st == AEGIS_OK && hold_stripped(*hold))
		st = AEGIS_AGAIN;
	if (st == AEGIS_OK) {
		if (kind == FRAME_DEVICE)
			self->space->devices = 1;
		else if (!*hold)
			_hold_new(self->space, rec.pfn);
		_hold_note(self->space, rec.pfn);
		*hold |= hold_need(rec.flags);
	}
	lock_release(&mem_lock);
	return st;
}

status
sys_mem_bind(uint32_t cap, uint32_t area, uint32_t n)
{
	struct env *self = current();
	struct batch b;
	status st = AEGIS_OK;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_frame_rec)))
		return AEGIS_BAD_ARG;
	lock_acquire(&node_lock);
	lock_acquire(&self->space->lock);
	for (; b.left; batch_next(&b)) {
		st = _hold_bind(self, cap, batch_frame(&b));
		if (st != AEGIS_OK)
			break;
	}
	lock_release(&self->space->lock);
	lock_release(&node_lock);
	return b.done ? b.done : st;
}

/* ---- mem_share, mem_unshare, mem_mark, mem_table ---- */

/* Calls `each` for the records, with both spaces locked, until one fails or enough was done. */
typedef status pair_step(struct pair *p, struct aegis_frame_rec rec);

static status
pair_batch(uint32_t cap, uint32_t space, uint32_t area, uint32_t n, uint32_t most, pair_step *step)
{
	struct env *self = current();
	struct batch b;
	struct pair p;
	status st;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_frame_rec)))
		return AEGIS_BAD_ARG;
	st = pair_lock(self, cap, space, &p);
	if (st != AEGIS_OK)
		return st;
	for (; b.left && b.done < most; batch_next(&b)) {
		st = step(&p, batch_frame(&b));
		if (st != AEGIS_OK)
			break;
	}
	pair_unlock(&p);
	return b.done ? b.done : st;
}

static status
_frame_share(struct pair *p, struct aegis_frame_rec rec)
{
	uint8_t *giver = _hold_find(p->from, rec.pfn), *hold = _hold_find(p->to, rec.pfn);
	status st;

	if (rec.flags != AEGIS_READ && rec.flags != (AEGIS_READ | AEGIS_WRITE))
		return AEGIS_BAD_ARG;
	if (rec.pfn >= PFN_MAX)
		return AEGIS_NO_SUCH;
	st = share_check(rec.pfn, giver ? *giver : 0, hold_need(rec.flags));
	if (st != AEGIS_OK)
		return st;
	if (!hold)
		return AEGIS_NEED_TABLE;
	if (hold_stripped(*hold))
		return AEGIS_AGAIN;
	_hold_give(p->to, hold, rec.pfn, hold_need(rec.flags));
	return AEGIS_OK;
}

status
sys_mem_share(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	return pair_batch(cap, space, area, n, AEGIS_BATCH_STEPS, _frame_share);
}

static status
_frame_unshare(struct pair *p, struct aegis_frame_rec rec)
{
	return _space_expel(p->to, rec.pfn, true);
}

status
sys_mem_unshare(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	return pair_batch(cap, space, area, n, AEGIS_BATCH_STEPS, _frame_unshare);
}

static status
_frame_mark(struct pair *p, struct aegis_frame_rec rec)
{
	struct space *s = p->to;
	uint8_t *hold = _hold_find(s, rec.pfn);
	struct frame *f = &frames[rec.pfn];

	if (rec.flags & ~(AEGIS_FRAME_DROPPABLE | AEGIS_FRAME_PIN))
		return AEGIS_BAD_ARG;
	if (rec.pfn >= frame_count || !hold || !(*hold & AEGIS_HOLD_WRITE) || f->kind != FRAME_USER)
		return AEGIS_NOT_HELD;
	if (rec.flags & AEGIS_FRAME_PIN) {
		if (!_hold_pin_allowed(s, *hold))
			return AEGIS_LIMIT;
		_hold_pin(s, hold);
	} else if (f->link) {
		return AEGIS_IN_USE;
	} else {
		_hold_unpin(s, hold);
	}
	lock_acquire(&mem_lock);
	f->flags &= (uint8_t)~FRAME_DROP;
	if (rec.flags & AEGIS_FRAME_DROPPABLE)
		f->flags |= FRAME_DROP;
	lock_release(&mem_lock);
	return AEGIS_OK;
}

status
sys_mem_mark(uint32_t area, uint32_t n)
{
	return pair_batch(AEGIS_SELF, current()->space->number, area, n, AEGIS_BATCH_STEPS,
			  _frame_mark);
}

static status
_hold_supply(struct pair *p, struct aegis_frame_rec rec)
{
	uint32_t *directory = machine_frame(p->to->directory);
	status st;

	if (rec.flags >= SPANS)
		return AEGIS_BAD_ARG;
	if (directory[rec.flags])
		return AEGIS_IN_USE;
	st = _mem_retype(p->from, rec.pfn, FRAME_HOLD);
	if (st != AEGIS_OK)
		return st;
	frames[rec.pfn].link = p->to->number;
	if (rec.flags >= p->to->spans)
		p->to->spans = rec.flags + 1;
	__atomic_store_n(&directory[rec.flags], rec.pfn, __ATOMIC_RELEASE);
	return AEGIS_OK;
}

status
sys_mem_table(uint32_t cap, uint32_t space, uint32_t area, uint32_t n)
{
	return pair_batch(cap, space, area, n, 32, _hold_supply);
}
