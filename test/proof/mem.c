/* SPDX-License-Identifier: MIT */
/*
 * Frames: only free ones are chosen, named ones are those that were named, a run is all free; who gives
 * the last reference frees, and nobody else; a guard changes only by a capability that opens it.
 *
 * State: an arbitrary bitmap over two spans and frames that agree with it.
 */
#include "machine.h"
#include "kernel/mem.c"

#define FRAMES (2 * AEGIS_HOLD_SPAN)

struct lock node_lock;
struct node nodes[NODES];
struct aegis_system_page *system_page;
static struct aegis_system_page the_system_page;
static struct frame frame_array[FRAMES];
/* The frames on both sides of the end of a span, for the proof that needs no more: `frames` points so that
 * the first is number NEAR. */
static struct frame near[8];
#define NEAR (AEGIS_HOLD_SPAN - 4)
static uint64_t map_words[2 * SPAN_WORDS];
static uint32_t directory[SPANS];
static struct space the_space;
static struct env self;
static struct taking t;
static uint32_t unreferenced, refunded, asked_guard, asked_rights;
static bool opens;

void *
machine_frame(uint32_t pfn)
{
	(void)pfn;
	return directory;
}

bool
machine_frame_bindable(uint32_t pfn)
{
	(void)pfn;
	return nondet_bool();
}

struct env *
current(void)
{
	return &self;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	(void)e;
	(void)offset;
	(void)n;
	return NULL;
}

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	(void)s;
	(void)pfn;
	return NULL;
}

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	(void)e;
	(void)slot;
	asked_guard = guard;
	asked_rights = rights;
	return opens ? AEGIS_OK : AEGIS_DENIED;
}

status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	(void)e;
	(void)slot;
	(void)rights;
	return 2;
}

void
node_ref(uint32_t node)
{
	nodes[node].refs++;
}

void
node_unref(uint32_t node)
{
	nodes[node].refs--;
}

void
node_unref_many(uint32_t node, uint32_t n)
{
	PROVE(node != 0 && node < NODES, "a guard");
	unreferenced += n;
}

status
account_charge(uint32_t account, enum account_kind kind, uint32_t n)
{
	(void)account;
	(void)kind;
	(void)n;
	return nondet_bool() ? AEGIS_OK : AEGIS_LIMIT;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE(account && account < ACCOUNTS && kind == ACCOUNT_FRAME, "the account that paid");
	refunded += n;
}

static uint32_t
bits(uint32_t span)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < AEGIS_HOLD_SPAN; i++)
		n += bit_free(span * AEGIS_HOLD_SPAN + i);
	return n;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	mem_lock.held = node_lock.held = 0;
	unreferenced = refunded = 0;
	system_page = &the_system_page;
	frames = frame_array;
	free_map = map_words;
	self.space = &the_space;
	ASSUME(frame_count > AEGIS_HOLD_SPAN && frame_count <= FRAMES);
	for (uint32_t i = 0; i < SPANS; i++) {
		uint32_t first =
			map_next(free_map, i * AEGIS_HOLD_SPAN, (i + 1) * AEGIS_HOLD_SPAN, true);

		ASSUME(span_word[i] < SPAN_WORDS);
		/* Invariant 5. */
		ASSUME((span_free[i] == 0) == (first == (i + 1) * AEGIS_HOLD_SPAN));
		ASSUME(span_free[i] <= AEGIS_HOLD_SPAN);
		ASSUME(IMPLIES(span_free[i], span_word[i] <= first % AEGIS_HOLD_SPAN / 64));
	}
	/* No number beyond the memory is free. */
	ASSUME(map_next(free_map, frame_count, FRAMES, true) == FRAMES);
}

/* What invariant 1 and 2 say about a frame. */
static void
frame_assume(uint32_t pfn)
{
	const struct frame *f = &frames[pfn];

	ASSUME((f->kind == FRAME_FREE) == bit_free(pfn));
	ASSUME(IMPLIES(f->kind == FRAME_FREE, !f->refs && !f->account && !f->guard));
	ASSUME(f->account < ACCOUNTS && f->guard < NODES);
}

void
proof_mem_pick(void)
{
	struct aegis_frame_rec rec;
	uint32_t hint, q = nondet_u32();
	status st;
	bool was, q_was;

	state_any();
	t.space = &the_space;
	t.directory = directory;
	t.got = 0;
	t.chosen = false;
	t.flags = 0;
	t.total = t.want = 1;
	t.base = nondet_bool() ? 0 : AEGIS_HOLD_SPAN;
	t.word = nondet_bool() ? &map_words[t.base / 64] : NULL;
	ASSUME(IMPLIES(t.word, directory[t.base / AEGIS_HOLD_SPAN]));
	ASSUME(q < FRAMES && the_space.span < SPANS);
	ASSUME(free_count >= span_free[0] + span_free[1]);
	frame_assume(q);
	q_was = bit_free(q);
	was = rec.pfn < FRAMES && bit_free(rec.pfn);
	st = _take_next(&t, rec, &hint);
	if (st != AEGIS_OK) {
		PROVE(bit_free(q) == q_was && t.got == 0, "a failure takes nothing");
		PROVE(IMPLIES(st == AEGIS_IN_USE, rec.pfn < FRAMES && !was),
		      "in use only if it is");
		PROVE(IMPLIES(st == AEGIS_NO_MEMORY, rec.pfn == AEGIS_ANY && !q_was),
		      "no memory only if none is free");
		PROVE(IMPLIES(st == AEGIS_NEED_TABLE, hint < SPANS && !directory[hint]),
		      "the span that lacks a page is named");
		PROVE(IMPLIES(st == AEGIS_NEED_TABLE && rec.pfn == AEGIS_ANY && q_was,
			      !directory[q / AEGIS_HOLD_SPAN]),
		      "and it is not asked for while there is one that can be held");
		REACH(st == AEGIS_NEED_TABLE);
		REACH(st == AEGIS_NO_MEMORY);
		return;
	}
	PROVE(t.got == 1 && t.pfn[0] < frame_count, "a frame that there is");
	PROVE(IMPLIES(rec.pfn != AEGIS_ANY, t.pfn[0] == rec.pfn && was), "the one that was named");
	PROVE(IMPLIES(t.pfn[0] == q, q_was), "it was free");
	PROVE(!bit_free(t.pfn[0]), "and is not any more");
	PROVE(bit_free(q) == (q_was && q != t.pfn[0]), "no other changes");
	PROVE(directory[t.pfn[0] / AEGIS_HOLD_SPAN] != 0, "the space can hold it");
	REACH(rec.pfn == AEGIS_ANY && t.pfn[0] >= AEGIS_HOLD_SPAN);
	REACH(rec.pfn != AEGIS_ANY);
	REACH(t.word && span_free[0] && t.pfn[0] >= AEGIS_HOLD_SPAN);
}

void
proof_mem_run(void)
{
	uint32_t n = nondet_u32(), align = nondet_bool() ? 1 : 4, at = nondet_u32(),
		 q = nondet_u32();
	uint32_t from;
	status st;

	state_any();
	ASSUME(n > 0 && at < frame_count && q < FRAMES && frame_count == FRAMES);
	/* Few runs, so that the search is short: the map has at most two gaps. */
	for (uint32_t i = 0; i < 2 * SPAN_WORDS; i++)
		ASSUME(map_words[i] == 0 || map_words[i] == ~0ul ||
		       map_words[i] == 0xffffffff00000000ul);
	from = at;
	st = _run_find(directory, n, align, &at);
	if (st != AEGIS_OK)
		return;
	PROVE(at >= from && at % align == 0, "aligned");
	PROVE(n <= frame_count && at <= frame_count - n, "inside the memory");
	PROVE(IMPLIES(q >= at && q < at + n, bit_free(q)), "all free");
	PROVE(IMPLIES(q >= at && q < at + n, directory[q / AEGIS_HOLD_SPAN] != 0),
	      "all can be held");
	REACH(n > AEGIS_HOLD_SPAN);
}

void
proof_mem_release(void)
{
	uint32_t pfns[2], q = NEAR + nondet_u32() % 8, refs, guard, account, kind, times;
	bool q_was, dirty, zero;

	state_any();
	frames = near - NEAR;
	ASSUME(frame_count <= NEAR + 8);
	pfns[0] = NEAR + nondet_u32() % 8;
	pfns[1] = NEAR + nondet_u32() % 8;
	frame_assume(q);
	for (uint32_t i = 0; i < 2; i++) {
		frame_assume(pfns[i]);
		ASSUME(frames[pfns[i]].kind != FRAME_FREE && frames[pfns[i]].refs >= 1);
	}
	ASSUME(pfns[0] != pfns[1] || frames[pfns[0]].refs >= 2);
	times = (q == pfns[0]) + (q == pfns[1]);
	refs = frames[q].refs;
	guard = frames[q].guard;
	account = frames[q].account;
	kind = frames[q].kind;
	dirty = frames[q].flags & FRAME_DIRTY;
	zero = kind == FRAME_TABLE  ? !frames[q].link
	       : kind == FRAME_USER ? frames[q].flags & FRAME_ZERO
				    : kind == FRAME_HOLD;
	q_was = bit_free(q);
	mem_release_many(pfns, 2);
	check_locks();
	if (q >= frame_count || kind == FRAME_NONE) {
		PROVE(bit_free(q) == q_was, "device registers are not freed");
		return;
	}
	PROVE(frames[q].refs == refs - times, "one reference less for each");
	PROVE(bit_free(q) == (q_was || (times && refs == times)),
	      "free with the last, and only then");
	PROVE(IMPLIES(bit_free(q) && !q_was, frames[q].kind == FRAME_FREE && !frames[q].account),
	      "nobody's");
	PROVE(IMPLIES(bit_free(q) && !q_was && frames[q].guard,
		      kind == FRAME_USER && !dirty && frames[q].guard == guard),
	      "its content is its last guard's, if that has seen it");
	PROVE(IMPLIES(bit_free(q) && !q_was && guard, unreferenced >= 1), "its guard is let go");
	PROVE(IMPLIES(bit_free(q) && !q_was && account, refunded >= 1), "its account is refunded");
	PROVE(IMPLIES(bit_free(q) && !q_was,
		      (frames[q].flags & FRAME_DIRTY) && (zero || !(frames[q].flags & FRAME_ZERO))),
	      "it will be cleared before anybody gets it, unless it is zeros");
	REACH(bit_free(q) && !q_was);
	REACH(times == 2 && !bit_free(q));
}

void
proof_mem_guard(void)
{
	uint32_t pfn = nondet_u32(), to = nondet_u32(), q = nondet_u32(), guard, q_guard;
	status st;

	state_any();
	ASSUME(q < FRAMES && q != pfn && to > 0 && to < NODES);
	if (pfn < FRAMES) {
		frame_assume(pfn);
		ASSUME(nodes[frames[pfn].guard].refs > 0 && nodes[to].refs < 1000);
	}
	guard = pfn < FRAMES ? frames[pfn].guard : 0;
	q_guard = frames[q].guard;
	st = _guard_change(&self, 0, to, pfn);
	check_locks();
	PROVE(frames[q].guard == q_guard, "no other frame changes");
	if (st != AEGIS_OK) {
		PROVE(IMPLIES(pfn < FRAMES, frames[pfn].guard == guard),
		      "a failure changes nothing");
		REACH(st == AEGIS_DENIED);
		return;
	}
	PROVE(opens && asked_guard == guard && (asked_rights & AEGIS_WRITE),
	      "by who opens the old one");
	PROVE(frames[pfn].guard == to && frames[pfn].kind == FRAME_USER, "of memory in use");
	REACH(guard != to);
}

/* Frames that are about to be seen are cleared unless they are known to be their owner's. */
void
proof_mem_clear(void)
{
	uint32_t pfn = nondet_u32();
	bool dirty, zero;

	state_any();
	ASSUME(pfn < FRAMES);
	mem_lock.held = 0;
	dirty = frames[pfn].flags & FRAME_DIRTY;
	zero = frames[pfn].flags & FRAME_ZERO;
	machine_cleared = UINT32_MAX;
	PROVE(frame_clean(pfn) == (dirty && !zero), "it says what it did");
	PROVE(IMPLIES(dirty, zero || machine_cleared == pfn), "what another had in it is not seen");
	PROVE(IMPLIES(!dirty, machine_cleared == UINT32_MAX), "what is the owner's stays");
	PROVE(!(frames[pfn].flags & FRAME_DIRTY), "once");
	PROVE(IMPLIES(dirty, !(frames[pfn].flags & FRAME_ZERO)), "who sees it may write to it");
	REACH(dirty);
	REACH(zero);
}
