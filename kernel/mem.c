/* SPDX-License-Identifier: MIT */
/*
 * Physical frames.
 *
 * Owns: the frame array, the free bitmap, and who pays for and guards each frame.
 *
 * 1. A frame's bit in the bitmap is set exactly while its kind is FRAME_FREE.
 * 2. refs of a frame of memory in use = spaces that hold it + device accesses under way +
 *    pins of areas + 1 while it is a kernel object.  At 0 the frame is free.
 * 3. A frame in use by environments has a guard (node.refs counts it) and an account (it was
 *    charged). Frames of account 0 are the kernel's own, from boot, and never free.
 * 4. Nobody sees what another owner left in a frame.  One that may have such content is DIRTY from
 *    its release until it is cleared: when it is first bound or given to a device (frame_clean), or
 *    becomes a kernel object; so a frame that is never looked at costs nothing.  The owner is the
 *    guard: a frame that was freed under a name may come back under it as it is, if the caller asks.
 *    A frame is free only after every processor forgot its bindings.
 * 5. span_free counts the set bits of each span; no bit is set below span_word in its span.
 *
 * Exposed: the bitmap (system page: free_map_frame), readable by all.  Revoked: holdings, by
 * _space_expel and cap_revoke; the frame is free when the last went.
 *
 * Lock: mem_lock, for the bitmap, kinds that become or cease to be FREE or USER, and flags.
 * refs are atomic; from 0 nobody raises them but the allocator.
 */
#include "tlb.h"

#define SPAN_WORDS (AEGIS_HOLD_SPAN / 64)
#define ALLOC_MAX  64u   /* frames that one call allocates */
#define RUN_WORDS  4096u /* words of the bitmap that one call searches for a run */

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock;
static uint64_t *free_map;
static uint16_t span_free[SPANS];
static uint16_t span_word[SPANS];
static uint32_t free_count;

/* ---- the bitmap ---- */

static bool
bit_free(uint32_t pfn)
{
	return free_map[pfn / 64] >> pfn % 64 & 1;
}

static inline void
bit_set(uint32_t pfn)
{
	uint32_t span = pfn / AEGIS_HOLD_SPAN;
	uint16_t word = pfn % AEGIS_HOLD_SPAN / 64;

	free_map[pfn / 64] |= 1ul << pfn % 64;
	span_free[span]++;
	free_count++;
	if (word < span_word[span])
		span_word[span] = word;
}

static inline void
bit_clear(uint32_t pfn)
{
	free_map[pfn / 64] &= ~(1ul << pfn % 64);
	span_free[pfn / AEGIS_HOLD_SPAN]--;
	free_count--;
}

/* First number >= pfn whose bit is `set`; end if there is none below it.  `map` has a bit a number.
 */
static uint32_t
map_next(const uint64_t *map, uint32_t pfn, uint32_t end, bool set)
{
	while (pfn < end) {
		uint64_t word = (set ? map[pfn / 64] : ~map[pfn / 64]) >> pfn % 64;

		if (word) {
			pfn += (uint32_t)__builtin_ctzl(word);
			break;
		}
		pfn = (pfn / 64 + 1) * 64;
	}
	return pfn < end ? pfn : end;
}

/* Lowest free frame of a span that has one. */
static uint32_t
span_lowest(uint32_t span)
{
	const uint64_t *words = free_map + (size_t)span * SPAN_WORDS;
	uint32_t word = span_word[span];

	while (!words[word])
		word++;
	span_word[span] = (uint16_t)word;
	return span * AEGIS_HOLD_SPAN + word * 64 + (uint32_t)__builtin_ctzl(words[word]);
}

static void
count_expose(void)
{
	system_page->free_frames = free_count;
}

/* ---- boot ---- */

void
mem_give(uint64_t first, uint64_t end, enum frame_kind kind)
{
	for (uint64_t i = first ? first : 1; i < end && i < frame_count; i++) { /* 0: none */
		struct frame *f = &frames[i];

		if (f->kind != FRAME_NONE)
			continue;
		f->kind = (uint8_t)kind;
		if (kind == FRAME_FREE) {
			f->flags = FRAME_DIRTY;
			bit_set((uint32_t)i);
		} else {
			atomic_store(&f->refs, 1);
		}
	}
	count_expose();
}

void
mem_init(uint64_t end)
{
	uint32_t most = SPANS * AEGIS_HOLD_SPAN, map_pages, pages, at;

	frame_count = end < most ? (uint32_t)end : most;
	map_pages = ((frame_count + AEGIS_HOLD_SPAN - 1) / AEGIS_HOLD_SPAN * SPAN_WORDS * 8 + PAGE -
		     1) /
		    PAGE;
	pages = (uint32_t)(((uint64_t)frame_count * sizeof(struct frame) + PAGE - 1) / PAGE);
	at = machine_boot_frames(map_pages + pages);
	free_map = machine_frame(at);
	frames = machine_frame(at + map_pages);
	for (uint32_t i = 0; i < SPANS; i++)
		span_word[i] = SPAN_WORDS - 1;
	mem_give(at, at + map_pages, FRAME_EXPOSED);
	mem_give(at + map_pages, at + map_pages + pages, FRAME_KERNEL);
	for (uint32_t i = 0; i < map_pages; i++)
		frames[at + i].flags = FRAME_PUBLIC;
	system_page->frames = frame_count;
	system_page->free_map_frame = at;
	system_page->free_map_pages = map_pages;
}

/* From the top, so that what environments use is close together at the bottom. */
uint32_t
mem_kernel_alloc(uint32_t pages, enum frame_kind kind)
{
	uint32_t at = frame_count, run = 0;

	while (run < pages) {
		if (at == 0)
			panic("out of memory at boot");
		at--;
		run = bit_free(at) ? run + 1 : 0;
	}
	for (uint32_t i = at; i < at + pages; i++) {
		bit_clear(i);
		frames[i] = (struct frame){.kind = (uint8_t)kind};
		atomic_store(&frames[i].refs, 1);
		machine_frame_clear(i);
	}
	count_expose();
	return at;
}

enum frame_kind
frame_kind(uint32_t pfn)
{
	if (pfn < frame_count && frames[pfn].kind != FRAME_NONE)
		return frames[pfn].kind;
	return pfn < SPANS * AEGIS_HOLD_SPAN && machine_frame_bindable(pfn) ? FRAME_DEVICE
									    : FRAME_NONE;
}

/* ---- giving back ---- */

/* Whether a frame that is given back is known to be zeros: a table that is empty, and what nobody saw since. */
static inline bool
frame_zero(const struct frame *f)
{
	if (f->kind == FRAME_TABLE)
		return !f->link;
	return f->kind == FRAME_HOLD || (f->kind == FRAME_USER && (f->flags & FRAME_ZERO));
}

/*
 * The content of memory stays its guard's, for as
 * long as that name has this generation; that of kernel objects is nobody's.  mem_lock held.
 */
static inline void
_frame_empty(struct frame *f, uint32_t pfn)
{
	bool own = f->kind == FRAME_USER && !(f->flags & FRAME_DIRTY);

	f->flags = frame_zero(f) ? FRAME_DIRTY | FRAME_ZERO : FRAME_DIRTY;
	f->kind = FRAME_FREE;
	f->account = 0;
	f->guard = own ? f->guard : 0;
	f->link = own ? nodes[f->guard].generation : 0;
	bit_set(pfn);
}

/* Frames without references become free.  What was charged and guarded is settled outside the lock.
 */
void
frames_free(const uint32_t *pfns, uint32_t n)
{
	uint32_t i = 0;

	while (i < n) {
		uint32_t account = frames[pfns[i]].account, guard = frames[pfns[i]].guard,
			 first = i;

		lock_acquire(&mem_lock);
		for (; i < n; i++) {
			struct frame *f = &frames[pfns[i]];

			if (f->account != account || f->guard != guard)
				break;
			_frame_empty(f, pfns[i]);
		}
		count_expose();
		lock_release(&mem_lock);
		if (guard)
			node_unref_many(guard, i - first);
		if (account)
			account_refund(account, ACCOUNT_FRAME, i - first);
	}
}

void
mem_release_many(uint32_t *pfns, uint32_t n)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (frame_put(pfns[i]))
			pfns[last++] = pfns[i];
	}
	frames_free(pfns, last);
}

void
mem_release(uint32_t pfn)
{
	mem_release_many(&pfn, 1);
}

/* ---- choosing ---- */

static bool
span_served(const uint32_t *directory, uint32_t span)
{
	return __atomic_load_n(&directory[span], __ATOMIC_RELAXED) != 0;
}

/* A free frame that the space can hold.  mem_lock held; bounded by SPANS. */
static status
_pick_any(struct space *s, const uint32_t *directory, uint32_t *pfn)
{
	uint32_t spans = (frame_count + AEGIS_HOLD_SPAN - 1) / AEGIS_HOLD_SPAN;
	uint32_t first = __atomic_load_n(&s->span, __ATOMIC_RELAXED);
	uint32_t unserved = spans;

	/* From where it went well last time, then from the bottom. */
	for (uint32_t i = first; i < spans || first; i++) {
		if (i >= spans)
			i = first = 0;
		if (!span_free[i])
			continue;
		if (span_served(directory, i)) {
			__atomic_store_n(&s->span, i, __ATOMIC_RELAXED);
			*pfn = span_lowest(i);
			return AEGIS_OK;
		}
		if (i < unserved)
			unserved = i;
	}
	*pfn = unserved * AEGIS_HOLD_SPAN;
	return unserved < spans ? AEGIS_NEED_TABLE : AEGIS_NO_MEMORY;
}

static status
_pick_named(uint32_t pfn)
{
	if (pfn >= frame_count || frames[pfn].kind == FRAME_NONE)
		return AEGIS_NO_SUCH;
	return bit_free(pfn) ? AEGIS_OK : AEGIS_IN_USE;
}

/* First span of the n frames from pfn that has no holdings page; SPANS if all have. */
static uint32_t
run_unserved(const uint32_t *directory, uint32_t pfn, uint32_t n)
{
	for (uint32_t i = pfn / AEGIS_HOLD_SPAN; i <= (pfn + n - 1) / AEGIS_HOLD_SPAN; i++) {
		if (!span_served(directory, i))
			return i;
	}
	return SPANS;
}

/*
 * A run of n free frames, starting at a multiple of align, in spans that the space can hold.  Looks
 * at RUN_WORDS words of the bitmap from *pfn, a first frame of a span.  OK: *pfn starts it.  AGAIN:
 * go on at *pfn.  NEED_TABLE: there is one if the span of *pfn were served.  mem_lock held.
 */
static status
_run_find(const uint32_t *directory, uint32_t n, uint32_t align, uint32_t *pfn)
{
	uint32_t at = *pfn, unserved = SPANS;
	uint32_t stop = frame_count - at < RUN_WORDS * 64 ? frame_count : at + RUN_WORDS * 64;

	while (at < stop) {
		uint32_t used, missing;

		at = map_next(free_map, at, stop, true);
		at = (at + align - 1) & ~(align - 1);
		if (at >= stop || n > frame_count - at)
			break;
		used = map_next(free_map, at, at + n, false);
		if (used < at + n) {
			at = used + 1;
			continue;
		}
		missing = run_unserved(directory, at, n);
		if (missing == SPANS) {
			*pfn = at;
			return AEGIS_OK;
		}
		unserved = missing;
		at = (missing + 1) * AEGIS_HOLD_SPAN;
	}
	if (unserved < SPANS) {
		*pfn = unserved * AEGIS_HOLD_SPAN;
		return AEGIS_NEED_TABLE;
	}
	*pfn = stop / AEGIS_HOLD_SPAN * AEGIS_HOLD_SPAN;
	return stop < frame_count ? AEGIS_AGAIN : AEGIS_NO_MEMORY;
}

/* ---- mem_alloc ---- */

/* What one call allocates: taken from the free ones, not yet anybody's. */
struct taking {
	struct space *space;
	const uint32_t *directory;
	uint32_t flags, want, got;
	uint32_t total; /* records that the caller asked for */
	bool chosen;    /* run: its start is known */
	uint32_t next;  /* run: next frame */
	/* Bits of the frames from `base` on, in a span that is served: whoever takes any goes on there.  NULL: none. */
	const uint64_t *word;
	uint32_t base;
	uint32_t pfn[ALLOC_MAX];
};

/* A free frame that the space can hold. */
static inline void
_frame_take(struct taking *t, uint32_t pfn)
{
	bit_clear(pfn);
	frames[pfn].kind = FRAME_KERNEL;
	t->pfn[t->got++] = pfn;
}

/* The frame for one record.  On NEED_TABLE and AGAIN *hint tells the span.  mem_lock held. */
static status
_take_one(struct taking *t, struct aegis_frame_rec rec, uint32_t *hint)
{
	bool large = t->flags & AEGIS_ALLOC_LARGE;
	uint32_t pfn = rec.pfn;
	status st = AEGIS_OK;

	if (t->chosen) {
		pfn = t->next;
	} else if (pfn == AEGIS_ANY && (t->flags & (AEGIS_ALLOC_CONTIGUOUS | AEGIS_ALLOC_LARGE))) {
		pfn = rec.flags < frame_count / AEGIS_HOLD_SPAN ? rec.flags * AEGIS_HOLD_SPAN : 0;
		st = _run_find(t->directory, t->total, large ? 512 : 1, &pfn);
	} else if (pfn == AEGIS_ANY) {
		st = _pick_any(t->space, t->directory, &pfn);
	}
	*hint = pfn / AEGIS_HOLD_SPAN;
	if (st == AEGIS_OK)
		st = _pick_named(pfn);
	if (st == AEGIS_OK && !span_served(t->directory, pfn / AEGIS_HOLD_SPAN))
		st = AEGIS_NEED_TABLE;
	if (st != AEGIS_OK)
		return st;
	if (t->flags & (AEGIS_ALLOC_CONTIGUOUS | AEGIS_ALLOC_LARGE)) {
		t->chosen = true;
		t->next = pfn + 1;
	} else {
		t->word = &free_map[pfn / 64];
		t->base = pfn / 64 * 64;
	}
	_frame_take(t, pfn);
	return AEGIS_OK;
}

/* The same, mostly a neighbour of the last. */
static inline status
_take_next(struct taking *t, struct aegis_frame_rec rec, uint32_t *hint)
{
	if (rec.pfn != AEGIS_ANY || !t->word || !*t->word)
		return _take_one(t, rec, hint);
	_frame_take(t, t->base + (uint32_t)__builtin_ctzl(*t->word));
	return AEGIS_OK;
}

/* Takes frames for the records from `b` on; writes a hint into the record at fault. */
static status
frames_take(struct taking *t, struct batch b)
{
	status st = AEGIS_OK;
	uint32_t hint;

	lock_acquire(&mem_lock);
	while (t->got < t->want) {
		volatile struct aegis_frame_rec *rec = (void *)b.at;
		struct aegis_frame_rec in = batch_frame(&b);

		st = _take_next(t, in, &hint);
		if (st == AEGIS_NEED_TABLE || st == AEGIS_AGAIN)
			rec->flags = hint;
		if (st != AEGIS_OK)
			break;
		if (t->got < t->want)
			batch_next(&b);
	}
	count_expose();
	lock_release(&mem_lock);
	return st;
}

/* Frames that were taken and found no owner. */
static void
frames_return(const uint32_t *pfns, uint32_t n)
{
	lock_acquire(&mem_lock);
	for (uint32_t i = 0; i < n; i++) {
		frames[pfns[i]].kind = FRAME_FREE;
		bit_set(pfns[i]);
	}
	count_expose();
	lock_release(&mem_lock);
}

bool
frame_clean(uint32_t pfn)
{
	struct frame *f = &frames[pfn];
	bool clear;

	if (!(__atomic_load_n(&f->flags, __ATOMIC_ACQUIRE) & FRAME_DIRTY))
		return false;
	/* Two spaces may hold it: whoever comes second waits until it is clear. */
	lock_acquire(&mem_lock);
	clear = (f->flags & (FRAME_DIRTY | FRAME_ZERO)) == FRAME_DIRTY;
	if (clear)
		machine_frame_clear(pfn);
	__atomic_store_n(&f->flags, f->flags & (uint8_t) ~(FRAME_DIRTY | FRAME_ZERO),
			 __ATOMIC_RELEASE);
	lock_release(&mem_lock);
	return clear;
}

/* Gives the taken frames to the caller's space: with node_lock, because a guard is made.  */
static status
frames_own(struct env *self, uint32_t cap, const struct taking *t)
{
	struct space *s = t->space;
	bool used = t->flags & AEGIS_ALLOC_USED;
	status node;

	lock_acquire(&node_lock);
	node = cap_node(self, cap, AEGIS_ALLOC | (used ? AEGIS_READ : 0));
	if (node < 0) {
		lock_release(&node_lock);
		return node;
	}
	lock_acquire(&s->lock);
	atomic_fetch_add(&nodes[node].refs, t->got);
	for (uint32_t i = 0; i < t->got; i++) {
		uint32_t pfn = t->pfn[i];
		uint8_t *hold = _hold_page(s, pfn) + pfn % AEGIS_HOLD_SPAN;
		struct frame *f = &frames[pfn];

		assert(*hold == 0);
		if (used && f->guard == (uint32_t)node && f->link == nodes[node].generation)
			f->flags = 0;
		f->account = (uint16_t)self->account;
		f->guard = (uint32_t)node;
		f->link = 0;
		_hold_note(s, pfn);
		atomic_store_explicit(&f->refs, 1, memory_order_relaxed);
		__atomic_store_n(&f->kind, FRAME_USER, __ATOMIC_RELEASE);
		*hold = AEGIS_HOLD_READ | AEGIS_HOLD_WRITE;
	}
	lock_release(&s->lock);
	lock_release(&node_lock);
	return AEGIS_OK;
}

/* As many of n as the account allows. */
static uint32_t
charge_some(uint32_t account, uint32_t n)
{
	while (n && account_charge(account, ACCOUNT_FRAME, n) != AEGIS_OK)
		n /= 2;
	return n;
}

/* Tells the caller which frames it got, and where a run that is not complete goes on. */
static void
taking_write(const struct taking *t, struct batch *b)
{
	for (uint32_t i = 0; i < t->got; i++) {
		((volatile struct aegis_frame_rec *)(void *)b->at)->pfn = t->pfn[i];
		if (i + 1 < t->total)
			batch_next(b);
	}
	if (t->chosen && t->got < t->total)
		((volatile struct aegis_frame_rec *)(void *)b->at)->pfn = t->next;
}

status
sys_mem_alloc(uint32_t cap, uint32_t area, uint32_t n, uint32_t flags)
{
	struct env *self = current();
	struct taking t;
	struct batch b;
	status st;

	if ((flags & ~(AEGIS_ALLOC_CONTIGUOUS | AEGIS_ALLOC_LARGE | AEGIS_ALLOC_USED)) ||
	    !batch_start(&b, self, area, n, sizeof(struct aegis_frame_rec)))
		return AEGIS_BAD_ARG;
	if (n == 0)
		return 0;
	t.space = self->space;
	t.directory = machine_frame(t.space->directory);
	t.flags = flags;
	t.total = n;
	t.got = t.next = 0;
	t.chosen = false;
	t.word = NULL;
	t.want = charge_some(self->account, n < ALLOC_MAX ? n : ALLOC_MAX);
	if (!t.want)
		return AEGIS_LIMIT;
	st = frames_take(&t, b);
	if (t.got) {
		st = frames_own(self, cap, &t);
		if (st != AEGIS_OK) {
			frames_return(t.pfn, t.got);
			t.got = 0;
		}
	}
	if (t.got < t.want)
		account_refund(self->account, ACCOUNT_FRAME, t.want - t.got);
	if (!t.got)
		return st;
	taking_write(&t, &b);
	COUNT_ADD(frames_allocated, t.got);
	return t.got;
}

/* ---- mem_guard ---- */

/* node_lock held. */
static status
_guard_change(struct env *self, uint32_t cap, uint32_t to, uint32_t pfn)
{
	struct frame *f = &frames[pfn];
	uint32_t old;
	status st;

	if (pfn >= frame_count)
		return AEGIS_NO_SUCH;
	lock_acquire(&mem_lock);
	old = f->guard;
	if (f->kind != FRAME_USER || !atomic_load(&f->refs))
		st = AEGIS_NO_SUCH;
	else
		st = cap_check(self, cap, old, AEGIS_WRITE);
	if (st == AEGIS_OK) {
		node_ref(to);
		f->guard = to;
	}
	lock_release(&mem_lock);
	if (st == AEGIS_OK)
		node_unref(old);
	return st;
}

status
sys_mem_guard(uint32_t cap, uint32_t to, uint32_t area, uint32_t n)
{
	struct env *self = current();
	struct batch b;
	status st = AEGIS_OK, node;

	if (!batch_start(&b, self, area, n, sizeof(struct aegis_frame_rec)))
		return AEGIS_BAD_ARG;
	lock_acquire(&node_lock);
	node = cap_node(self, to, 0);
	if (node < 0)
		st = node;
	for (; b.left && st == AEGIS_OK; batch_next(&b)) {
		st = _guard_change(self, cap, (uint32_t)node, batch_frame(&b).pfn);
		if (st != AEGIS_OK)
			break;
	}
	lock_release(&node_lock);
	return b.done ? b.done : st;
}
