/* SPDX-License-Identifier: MIT */
/*
 * Address spaces.
 *
 * Owns: the table of space numbers, and the life of struct space.
 *
 * 1. space_table[n] is set from space_create to the end of space_destroy.  A space that is
 *    found there cannot go while it is counted: in users by whoever looks at it, in envs by
 *    environments.
 * 2. A space begins with three frames its creator held (object, directory, top table) and
 *    gets page tables and holdings pages from whoever may control it: the kernel allocates
 *    nothing.
 * 3. dying is set once, with envs 0, and then no processor translates through the space (it
 *    is told to load another table), so that its frames can go without a look at its bindings.
 * 4. A destroy goes on in bounded steps, by anyone: space.progress counts through the spans of
 *    the holdings, of which it looks at the groups in space.held, then the tables go; when all are
 *    released the object goes.
 *
 * Locks: table_lock, inside every other, for the table and the first count; space.lock for the
 * rest. Exposed: the window (tables), holdings pages.  Revoked: by capability, mem_unshare and
 * space_destroy.
 */
#include "tlb.h"

#define DESTROY_STEPS 2048u
#define RELEASES      64u

static struct space *space_table[SPACES];
static uint32_t space_generation[SPACES];
static struct lock table_lock;
static uint32_t number_hint;

struct space *
space_find(uint32_t number)
{
	struct space *s;

	if (number >= SPACES)
		return NULL;
	lock_acquire(&table_lock);
	s = space_table[number];
	if (s)
		atomic_fetch_add(&s->users, 1);
	lock_release(&table_lock);
	return s;
}

void
space_put(struct space *s)
{
	atomic_fetch_sub(&s->users, 1);
}

struct space *
space_open(const struct env *e, uint32_t number, uint32_t node)
{
	struct space *s = space_find(number);
	bool open;

	if (!s)
		return NULL;
	open = s == e->space || (node && node_dominates(node, s->guard));
	if (open) {
		lock_acquire(&s->lock);
		open = !s->dying;
		if (open)
			atomic_fetch_add(&s->envs, 1);
		lock_release(&s->lock);
	}
	space_put(s);
	return open ? s : NULL;
}

/* Space `number`, which cap of self opens for CONTROL; counted in users. */
static status
space_controlled(const struct env *self, uint32_t cap, uint32_t number, struct space **s)
{
	status st;

	*s = space_find(number);
	if (!*s)
		return AEGIS_NO_SUCH;
	st = cap_check(self, cap, (*s)->guard, AEGIS_CONTROL);
	if (st != AEGIS_OK)
		space_put(*s);
	return st;
}

status
pair_lock(struct env *self, uint32_t cap, uint32_t number, struct pair *p)
{
	struct space *own = self->space;
	status st;

	p->from = p->to = own;
	p->found = cap != AEGIS_SELF;
	if (cap == AEGIS_SELF) {
		if (number != own->number)
			return AEGIS_DENIED;
		lock_acquire(&own->lock);
		return AEGIS_OK;
	}
	st = space_controlled(self, cap, number, &p->to);
	if (st != AEGIS_OK)
		return st;
	lock_acquire(p->to->number < own->number ? &p->to->lock : &own->lock);
	if (p->to != own)
		lock_acquire(p->to->number < own->number ? &own->lock : &p->to->lock);
	if (!p->to->dying)
		return AEGIS_OK;
	pair_unlock(p);
	return AEGIS_NO_SUCH;
}

void
pair_unlock(struct pair *p)
{
	lock_release(&p->to->lock);
	if (p->to != p->from)
		lock_release(&p->from->lock);
	if (p->found)
		space_put(p->to);
}

/* ---- areas ---- */

/* Frame bound at va, guaranteed, readable and writable: its number; else 0. */
static uint32_t
_space_pinned_frame(struct space *s, uint64_t va)
{
	uint64_t *table, *large, size, pte;
	uint32_t pfn;
	const uint8_t *hold;

	if (va < AEGIS_USER_MIN || va >= AEGIS_USER_MAX)
		return 0;
	table = _table_find(s, va, 1, &pfn, &size, &large);
	pte = table ? table[va / PAGE % 512] : 0;
	if (!(pte & AEGIS_PTE_PRESENT) || !(pte & AEGIS_PTE_WRITE))
		return 0;
	pfn = pte_pfn(pte);
	hold = _hold_find(s, pfn);
	if (pfn >= frame_count || frames[pfn].kind != FRAME_USER || !(*hold & AEGIS_HOLD_WRITE) ||
	    !(*hold & AEGIS_HOLD_PIN))
		return 0;
	return pfn;
}

uint32_t
_space_pin(struct space *s, uint64_t va)
{
	uint32_t pfn = _space_pinned_frame(s, va);

	if (!pfn)
		return 0;
	lock_acquire(&mem_lock);
	frames[pfn].link++;
	lock_release(&mem_lock);
	atomic_fetch_add(&frames[pfn].refs, 1);
	s->area_pins++;
	return pfn;
}

void
_space_unpin(struct space *s, uint32_t pfn)
{
	lock_acquire(&mem_lock);
	assert(frames[pfn].link > 0);
	frames[pfn].link--;
	lock_release(&mem_lock);
	s->area_pins--;
	mem_release(pfn);
}

/* ---- creation ---- */

/* The three frames are the kernel's; object is the first.  The account was charged. */
static struct space *
space_make(const uint32_t pfns[AEGIS_SPACE_FRAMES], uint32_t guard, uint32_t account,
	   uint32_t flags)
{
	struct space *s = machine_frame(pfns[0]);

	s->object = pfns[0];
	s->directory = pfns[1];
	s->root = pfns[2];
	s->guard = guard;
	s->account = account;
	s->flags = flags;
	machine_space_init(s->root);
	return s;
}

/* A number for s; 0: all are taken. */
static uint32_t
space_publish(struct space *s)
{
	uint32_t number = 0;

	lock_acquire(&table_lock);
	for (uint32_t i = 0; i < SPACES - 1 && !number; i++) {
		uint32_t at = 1 + (number_hint + i) % (SPACES - 1);

		if (!space_table[at])
			number = at;
	}
	if (number) {
		number_hint = number;
		s->number = number;
		s->generation = ++space_generation[number];
		space_table[number] = s;
	}
	lock_release(&table_lock);
	return number;
}

static void
_objects_return(struct space *from, const uint32_t *pfns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		frames[pfns[i]].kind = FRAME_OBJECT; /* a top table has kernel entries: clear it */
		_mem_untype(from, pfns[i]);
	}
}

status
objects_take(struct space *from, const uint32_t pfns[OBJECT_FRAMES], enum frame_kind third)
{
	status st = AEGIS_OK;
	uint32_t done = 0;

	lock_acquire(&from->lock);
	while (st == AEGIS_OK && done < OBJECT_FRAMES) {
		st = _mem_retype(from, pfns[done], done == 2 ? third : FRAME_OBJECT);
		done += st == AEGIS_OK;
	}
	if (st != AEGIS_OK)
		_objects_return(from, pfns, done);
	lock_release(&from->lock);
	return st;
}

void
objects_return(struct space *from, const uint32_t pfns[OBJECT_FRAMES])
{
	lock_acquire(&from->lock);
	_objects_return(from, pfns, OBJECT_FRAMES);
	lock_release(&from->lock);
}

status
sys_space_create(uint32_t cap, uint32_t area, uint32_t flags)
{
	struct env *self = current();
	uint32_t pfns[AEGIS_SPACE_FRAMES], number;
	struct batch b;
	struct space *s;
	status st, node;

	if ((flags & ~AEGIS_SPACE_WX) ||
	    !batch_start(&b, self, area, AEGIS_SPACE_FRAMES, sizeof(struct aegis_frame_rec)))
		return AEGIS_BAD_ARG;
	for (; b.left; batch_next(&b))
		pfns[b.done] = batch_frame(&b).pfn;
	st = account_charge(self->account, ACCOUNT_SPACE, 1);
	if (st != AEGIS_OK)
		return st;
	node = st = cap_node_ref(self, cap, AEGIS_ALLOC);
	if (node > 0)
		st = objects_take(self->space, pfns, FRAME_TABLE);
	if (st == AEGIS_OK) {
		s = space_make(pfns, (uint32_t)node, self->account, flags);
		number = space_publish(s);
		if (number) {
			TRACE(space_create, number, node);
			return number;
		}
		objects_return(self->space, pfns);
		st = AEGIS_LIMIT;
	}
	if (node > 0)
		node_unref((uint32_t)node);
	account_refund(self->account, ACCOUNT_SPACE, 1);
	return st;
}

/* ---- destruction ---- */

/* Frames that have no reference any more, and are still to be freed. */
struct releases {
	uint32_t n, pfn[RELEASES];
};

static inline void
release_freed(struct releases *r, uint32_t pfn)
{
	if (r->n == RELEASES) {
		frames_free(r->pfn, r->n);
		r->n = 0;
	}
	r->pfn[r->n++] = pfn;
}

static inline void
release_add(struct releases *r, uint32_t pfn)
{
	if (frame_put(pfn))
		release_freed(r, pfn);
}

/* What one group of a holdings page holds, from its word `at` on, in a space that never had device registers. */
static __attribute__((noinline)) uint32_t
_group_release(uint64_t *at, struct frame *f, struct releases *r)
{
	uint32_t used = 1;

	for (uint64_t *end = at + HOLD_GROUP / 8; at < end; at++, f += 8) {
		uint64_t word = *at;

		if (!word)
			continue;
		*at = 0;
		used += 2;
#pragma GCC unroll 8
		for (uint32_t i = 0; i < 8; i++, word >>= 8) {
			if ((word & 0xff) && frame_unref(f + i))
				release_freed(r, (uint32_t)(f + i - frames));
		}
	}
	return used;
}

/* The same of any space. */
static uint32_t
_group_release_any(uint8_t *at, uint32_t pfn, struct releases *r)
{
	for (uint32_t i = 0; i < HOLD_GROUP; i++) {
		if (at[i])
			release_add(r, pfn + i);
		at[i] = 0;
	}
	return HOLD_GROUP / 4;
}
_Static_assert(HOLD_GROUP % 8 == 0, "groups are whole words");

/* Holdings of spans from s->progress on, and each holdings page after its last.  True: all are gone. */
static bool
_holdings_release(struct space *s, struct releases *r, uint32_t *steps)
{
	uint32_t *directory = machine_frame(s->directory);

	for (; s->progress < s->spans; s->progress++) {
		uint32_t span = (uint32_t)s->progress;

		for (; s->held[span]; s->held[span] &= (uint16_t)(s->held[span] - 1)) {
			uint32_t at = (uint32_t)__builtin_ctz(s->held[span]) * HOLD_GROUP;
			uint8_t *page = machine_frame(directory[span]);
			uint32_t pfn = span * AEGIS_HOLD_SPAN + at, used;

			if (!*steps)
				return false;
			used = s->devices ? _group_release_any(page + at, pfn, r)
					  : _group_release((void *)(page + at), &frames[pfn], r);
			*steps -= used < *steps ? used : *steps;
		}
		if (directory[span])
			release_add(r, directory[span]);
		directory[span] = 0;
	}
	return true;
}

/* Index of an entry that is not 0, from i on, or n. */
static uint32_t
entry_next(const uint64_t *entries, uint32_t i, uint32_t n)
{
	for (; i < n; i++) {
		const uint64_t *e = entries + i;

		if (*e)
			break;
		while (i + 8 < n && !(e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7] | e[8])) {
			i += 8;
			e += 8;
		}
	}
	return i;
}

/* A table whose entries do not matter any more becomes one without. */
static void
_table_empty(uint32_t table)
{
	struct frame *f = &frames[table];
	uint64_t *entries = machine_frame(table);

	for (uint32_t left = f->link ? f->flags : 0; left; left &= left - 1)
		machine_clear(entries + (uint32_t)__builtin_ctz(left) * TABLE_GROUP, TABLE_GROUP);
	f->link = 0;
}

/* Frees the tables below `table`, of `level`. */
static bool
_tables_release(uint32_t table, uint32_t level, struct releases *r, uint32_t *steps)
{
	uint64_t *entries = machine_frame(table);
	struct frame *f = &frames[table];

	for (; f->flags; f->flags &= (uint8_t)(f->flags - 1)) {
		uint32_t i = (uint32_t)__builtin_ctz(f->flags) * TABLE_GROUP, end = i + TABLE_GROUP;

		end = level == 4 && end > WINDOW_ENTRY ? WINDOW_ENTRY : end;
		for (; f->link && (i = entry_next(entries, i, end)) < end; i++) {
			uint32_t child = pte_pfn(entries[i]);

			if (!(entries[i] & AEGIS_PTE_LARGE)) {
				if (*steps < 16)
					return false;
				*steps -= 16;
				if (level > 2 && !_tables_release(child, level - 1, r, steps))
					return false;
				_table_empty(child);
				release_add(r, child);
			}
			entries[i] = 0;
			f->link--;
		}
	}
	return true;
}

/* Nobody can begin to use it, and no processor translates through it.  False: somebody uses it. */
static bool
_space_die(struct space *s)
{
	struct flush f;

	if (s->dying)
		return true;
	if (atomic_load(&s->envs))
		return false;
	s->dying = 1;
	s->progress = 0;
	flush_start(&f, s, s);
	f.all = true;
	_flush_finish(&f);
	assert(!atomic_load(&s->cpus));
	return true;
}

/* The object goes if nobody else looks at it.  space.lock held, gone with it. */
static status
_space_end(struct space *s)
{
	uint32_t pfns[AEGIS_SPACE_FRAMES] = {s->object, s->directory, s->root};
	uint32_t guard = s->guard, account = s->account;
	bool last;

	lock_acquire(&table_lock);
	last = atomic_load(&s->users) == 1;
	if (last)
		space_table[s->number] = NULL;
	lock_release(&table_lock);
	if (!last) {
		lock_release(&s->lock);
		space_put(s);
		return AEGIS_AGAIN;
	}
	TRACE(space_destroy, s->number, 0);
	frames[s->root].kind = FRAME_OBJECT;     /* not zero: entries of the kernel half */
	frames[s->directory].kind = FRAME_TABLE; /* which is zero without entries, as it is now */
	mem_release_many(pfns, AEGIS_SPACE_FRAMES);
	node_unref(guard);
	account_refund(account, ACCOUNT_SPACE, 1);
	return AEGIS_OK;
}

status
sys_space_destroy(uint32_t cap, uint32_t space)
{
	uint32_t steps = DESTROY_STEPS;
	struct releases r = {0};
	struct space *s;
	bool done;
	status st = space_controlled(current(), cap, space, &s);

	if (st != AEGIS_OK)
		return st;
	lock_acquire(&s->lock);
	if (!_space_die(s)) {
		lock_release(&s->lock);
		space_put(s);
		return AEGIS_IN_USE;
	}
	done = _holdings_release(s, &r, &steps) && _tables_release(s->root, 4, &r, &steps);
	frames_free(r.pfn, r.n);
	if (done)
		return _space_end(s);
	lock_release(&s->lock);
	space_put(s);
	return AEGIS_AGAIN;
}

/* ---- the first space ---- */

/* Boot frames become the boot environment's, paid by account 1, guarded by the root. */
static void
boot_own(uint32_t pfn, uint32_t n, enum frame_kind kind)
{
	for (uint32_t i = pfn; i < pfn + n; i++) {
		assert(frames[i].kind == FRAME_KERNEL);
		frames[i] = (struct frame){.kind = (uint8_t)kind, .guard = NODE_ROOT, .account = 1};
		atomic_store(&frames[i].refs, 1);
		node_ref(NODE_ROOT);
	}
	account_charge(1, ACCOUNT_FRAME, n);
}

static uint32_t
boot_frame(enum frame_kind kind)
{
	uint32_t pfn = mem_kernel_alloc(1, FRAME_KERNEL);

	boot_own(pfn, 1, kind);
	return pfn;
}

struct space *
space_boot(void)
{
	uint32_t pfns[AEGIS_SPACE_FRAMES] = {boot_frame(FRAME_OBJECT), boot_frame(FRAME_OBJECT),
					     boot_frame(FRAME_TABLE)};
	struct space *s = space_make(pfns, NODE_ROOT, 1, 0);
	uint32_t *directory = machine_frame(s->directory);

	account_charge(1, ACCOUNT_SPACE, 1);
	node_ref(NODE_ROOT);
	space_publish(s);
	for (uint32_t span = 0; span * AEGIS_HOLD_SPAN < frame_count; span++) {
		directory[span] = boot_frame(FRAME_HOLD);
		frames[directory[span]].link = s->number;
		s->spans = span + 1;
	}
	return s;
}

void
space_boot_hold(struct space *s, uint32_t pfn, uint32_t n)
{
	boot_own(pfn, n, FRAME_USER);
	for (uint32_t i = pfn; i < pfn + n; i++) {
		*_hold_find(s, i) = HOLD_RIGHTS;
		_hold_note(s, i);
	}
}

static void
_boot_tables(struct space *s, uint64_t va)
{
	for (uint32_t level = 3; level >= 1; level--) {
		uint64_t *table, *large, size;
		uint32_t pfn, new;

		if (_table_find(s, va, level, &pfn, &size, &large))
			continue;
		table = _table_find(s, va, level + 1, &pfn, &size, &large);
		new = boot_frame(FRAME_TABLE);
		_table_note(pfn, va >> (12 + 9 * level) & 511, 1);
		table[va >> (12 + 9 * level) & 511] =
			(uint64_t) new << AEGIS_PAGE_SHIFT | PTE_TABLE;
	}
}

void
space_boot_bind(struct space *s, uint64_t va, uint32_t pfn, uint32_t n, uint32_t prot)
{
	space_boot_hold(s, pfn, n);
	s->area_pins += n; /* these are besides the guaranteed few */
	for (; n; n--, va += PAGE) {
		_boot_tables(s, va);
		_space_bind(s, va, pfn++, prot | AEGIS_BIND_GUARANTEED);
	}
}
