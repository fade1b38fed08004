/* SPDX-License-Identifier: MIT */
/*
 * The index of branch targets, and questions about code answered from decode chains.
 *
 * Owns no state; the index lives in the caller's memory and is written only by the build and add
 * functions.
 *
 * Invariants:
 *  1. The index holds a superset: every byte pattern e8, e9, 0f 80..8f at any offset, whether or
 * not an instruction begins there, has its target marked if that lies near a possible site. A real
 *     direct 32-bit branch is therefore never missed, whatever its prefixes.
 *  2. "Near" is INDEX_RADIUS bytes around each byte pair 0f 05. It covers every offset about which
 *     the planner asks: SCAN_SHORT bytes for the reach of short branches, from their possible
 *     starts back to SCAN_FAR, and an instruction more.
 *  3. A short branch is found by looking at the bytes around the asked offsets, for it cannot be
 *     further away than SCAN_SHORT.
 *  4. A pattern may be disregarded only if no code can begin there: no chain from SCAN_NEAR to
 *     SCAN_FAR bytes back arrives, nor from a closer branch target or aligned address, and it is
 *     neither of these itself. What a processor executes at an offset it reached from the
 *     instruction before, by a direct branch, or by an indirect one to a label (which function
 * entries are, aligned to 16, or which lie behind decodable code).
 */
#include "insn.h"
#include "rewrite_scan.h"

#define INDEX_RADIUS 256
#define SET_WORDS    (REWRITE_INDEX_SPAN / 64)

_Static_assert(INDEX_RADIUS >= SCAN_SHORT + SCAN_FAR + 2 * INSN_MAX, "index covers all questions");
_Static_assert(SCAN_FAR - SCAN_NEAR >= INSN_MAX, "an instruction begins in the window");

struct word {
	uint64_t value;
} __attribute__((packed, may_alias));

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u

static uint64_t
word_load(const uint8_t *at)
{
	return ((const struct word *)at)->value;
}

/* The high bit of each zero byte; above a zero byte there may be false ones, which callers sort
 * out. */
static uint64_t
word_zeros(uint64_t word)
{
	return (word - ONES) & ~word & HIGHS;
}

/* The next 0f 05 at or behind `from`; `len` if there is none. */
static size_t
site_next(const uint8_t *text, size_t len, size_t from)
{
	size_t i = from;

	while (i + 1 < len) {
		uint64_t hits;

		if (text[i] == 0x0f && text[i + 1] == 0x05)
			return i;
		i++;
		if (len - i < sizeof(uint64_t))
			continue;
		hits = word_zeros(word_load(text + i) ^ (ONES * 0x0f));
		i += hits ? (size_t)__builtin_ctzll(hits) / 8 : sizeof(uint64_t);
	}
	return len;
}

/* The slots that a site's neighbourhood covers. */
static void
site_slots(size_t site, size_t len, size_t *first, size_t *last)
{
	size_t low = site > INDEX_RADIUS ? site - INDEX_RADIUS : 0;
	size_t high = len - site > INDEX_RADIUS ? site + INDEX_RADIUS : len - 1;

	*first = low / REWRITE_INDEX_SPAN;
	*last = high / REWRITE_INDEX_SPAN;
}

/* Number the slots in use, if `slot` is given, and count them. */
static uint32_t
slots_assign(const uint8_t *text, size_t len, uint32_t *slot)
{
	size_t next = 0; /* slots below are done */
	uint32_t sets = 0;
	size_t site;

	for (site = site_next(text, len, 0); site < len; site = site_next(text, len, site + 1)) {
		size_t first;
		size_t last;

		site_slots(site, len, &first, &last);
		for (first = first < next ? next : first; first <= last; first++) {
			sets++;
			if (slot)
				slot[first] = sets;
			next = first + 1;
		}
	}
	return sets;
}

/* Bytes of the slot array, rounded so that the bit sets behind it are aligned. */
static size_t
slots_size(size_t len)
{
	size_t slots = len / REWRITE_INDEX_SPAN + 1;

	return (slots + 1) / 2 * 2 * sizeof(uint32_t);
}

size_t
rewrite_index_size(const uint8_t *text, size_t len)
{
	return slots_size(len) + slots_assign(text, len, NULL) * SET_WORDS * sizeof(uint64_t);
}

bool
rewrite_index_build(struct rewrite_index *index, const uint8_t *text, size_t len, void *memory,
		    size_t room)
{
	size_t slots = slots_size(len);
	size_t i;

	if (room < slots)
		return false;
	index->len = len;
	index->slot = memory;
	for (i = 0; i < slots / sizeof(uint32_t); i++)
		index->slot[i] = 0;
	index->sets = slots_assign(text, len, index->slot);
	if ((room - slots) / (SET_WORDS * sizeof(uint64_t)) < index->sets)
		return false;
	index->bits = (uint64_t *)(void *)((uint8_t *)memory + slots);
	for (i = 0; i < (size_t)index->sets * SET_WORDS; i++)
		index->bits[i] = 0;
	rewrite_index_add(index, text, len, 0);
	return true;
}

static void
index_mark(struct rewrite_index *index, uint64_t target)
{
	uint32_t set;

	if (target >= index->len)
		return;
	set = index->slot[target / REWRITE_INDEX_SPAN];
	if (set) {
		uint64_t *words = index->bits + (size_t)(set - 1) * SET_WORDS;

		words[target % REWRITE_INDEX_SPAN / 64] |= (uint64_t)1 << (target % 64);
	}
}

static bool
index_marked(const struct rewrite_index *index, size_t target)
{
	uint32_t set;

	if (!index || target >= index->len)
		return false;
	set = index->slot[target / REWRITE_INDEX_SPAN];
	if (!set)
		return false;
	return index->bits[(size_t)(set - 1) * SET_WORDS + target % REWRITE_INDEX_SPAN / 64] >>
		       (target % 64) &
	       1;
}

static uint64_t
long_target(const uint8_t *rel, uint64_t end)
{
	uint32_t value = (uint32_t)rel[0] | (uint32_t)rel[1] << 8 | (uint32_t)rel[2] << 16 |
			 (uint32_t)rel[3] << 24;

	return end + (uint64_t)(int64_t)(int32_t)value;
}

/* Mark the target of the pattern at offset `at`, if it is one. */
static inline void
pattern_mark(struct rewrite_index *index, const uint8_t *text, size_t len, size_t at,
	     uint64_t distance)
{
	if ((text[at] & 0xfe) == 0xe8) {
		if (len - at >= 5)
			index_mark(index, long_target(text + at + 1, distance + at + 5));
	} else if (text[at] == 0x0f && len - at >= 6 && (text[at + 1] & 0xf0) == 0x80) {
		index_mark(index, long_target(text + at + 2, distance + at + 6));
	}
}

void
rewrite_index_add(struct rewrite_index *index, const uint8_t *text, size_t len, uint64_t distance)
{
	size_t i;

	for (i = 0; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word = word_load(text + i);
		uint64_t hits = word_zeros((word & ~ONES) ^ (ONES * 0xe8)) |
				word_zeros(word ^ (ONES * 0x0f));

		for (; hits; hits &= hits - 1)
			pattern_mark(index, text, len, i + (size_t)__builtin_ctzll(hits) / 8,
				     distance);
	}
	for (; i < len; i++)
		pattern_mark(index, text, len, i, distance);
}

#define CHAIN_DEAD 0x00 /* reaches an undefined instruction */
#define CHAIN_MISS 0xff /* steps over the goal */

/* For each start `d` bytes before the goal: the distance at which its last instruction before the
 * goal begins, or that it does not arrive. Returns how far back the text goes, at most SCAN_FAR. */
static size_t
chain_trace(const struct rewrite_view *view, size_t goal, uint8_t how[SCAN_FAR + 1])
{
	size_t most = goal < SCAN_FAR ? goal : SCAN_FAR;
	size_t d;

	how[0] = CHAIN_DEAD;
	for (d = 1; d <= most; d++) {
		struct insn in;
		size_t start = goal - d;
		size_t len = insn_decode(view->text + start, view->len - start, &in);

		if (len == 0)
			how[d] = CHAIN_DEAD;
		else if (len > d)
			how[d] = CHAIN_MISS;
		else
			how[d] = len == d ? (uint8_t)d : how[d - len];
	}
	return most;
}

static bool
start_known(const struct rewrite_view *view, size_t at)
{
	return (view->base + at) % 16 == 0 || index_marked(view->index, at);
}

unsigned
scan_boundary(const struct rewrite_view *view, size_t goal, bool all, bool near)
{
	uint8_t how[SCAN_FAR + 1];
	size_t most = chain_trace(view, goal, how);
	size_t from = most < SCAN_NEAR ? most : SCAN_NEAR;
	unsigned agreed = SCAN_NONE;
	size_t d;

	for (d = from; d > 0 && d <= most; d++) {
		if (how[d] == CHAIN_DEAD || (how[d] == CHAIN_MISS && !all))
			continue;
		if (how[d] == CHAIN_MISS || (agreed != SCAN_NONE && agreed != how[d]))
			return SCAN_SPLIT;
		agreed = how[d];
	}
	if (!near || agreed == SCAN_NONE)
		return agreed;
	/* Known starts at or behind the agreed boundary are scan_targeted()'s business. */
	for (d = agreed + 1; d < from; d++) {
		if (how[d] == CHAIN_DEAD || how[d] == CHAIN_MISS || how[d] == agreed)
			continue;
		if (start_known(view, goal - d))
			return SCAN_SPLIT;
	}
	return agreed;
}

bool
scan_plausible(const struct rewrite_view *view, size_t goal)
{
	uint8_t how[SCAN_FAR + 1];
	size_t most;
	size_t d;

	if (goal < SCAN_NEAR || start_known(view, goal))
		return true;
	most = chain_trace(view, goal, how);
	for (d = 1; d <= most; d++) {
		if (how[d] == CHAIN_DEAD || how[d] == CHAIN_MISS)
			continue;
		if (d >= SCAN_NEAR || start_known(view, goal - d))
			return true;
	}
	return false;
}

/* Whether an instruction with its opcode at `opcode` may begin there, or with a prefix before it.
 */
static bool
opcode_plausible(const struct rewrite_view *view, size_t opcode)
{
	size_t at = opcode;

	while (!scan_plausible(view, at)) {
		if (at == 0 || opcode - at >= INSN_MAX - 1 || !insn_is_prefix(view->text[at - 1]))
			return false;
		at--;
	}
	return true;
}

static bool
is_short_branch(uint8_t byte)
{
	return (byte & 0xf0) == 0x70 || byte == 0xeb || (byte & 0xfc) == 0xe0;
}

static bool
short_targeted(const struct rewrite_view *view, size_t from, size_t to, bool decoded)
{
	size_t low = from > SCAN_SHORT + 1 ? from - SCAN_SHORT - 1 : 0;
	size_t high = view->len - to > SCAN_SHORT ? to + SCAN_SHORT : view->len;
	size_t at;

	for (at = low; at < high && view->len - at >= 2; at++) {
		size_t target = at + 2 + (size_t)(int8_t)view->text[at + 1];

		if (!is_short_branch(view->text[at]) || target < from || target >= to)
			continue;
		if (!decoded || opcode_plausible(view, at))
			return true;
	}
	return false;
}

static bool
pointer_targeted(const struct rewrite_view *view, uint64_t from, uint64_t to)
{
	size_t low = 0;
	size_t high = view->pointer_count;

	if (!view->pointers)
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (view->pointers[middle] < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low < view->pointer_count && view->pointers[low] < to;
}

bool
scan_targeted(const struct rewrite_view *view, size_t from, size_t to, bool decoded)
{
	size_t at;

	for (at = from; at < to; at++)
		if (index_marked(view->index, at))
			return true;
	return pointer_targeted(view, view->base + from, view->base + to) ||
	       short_targeted(view, from, to, decoded);
}

bool
scan_indirect(const struct rewrite_view *view, size_t at, size_t radius)
{
	size_t low = at > radius ? at - radius : 0;
	size_t high = view->len - at > radius ? at + radius : view->len;
	struct insn in;

	for (; low < high; low++) {
		if (view->text[low] != 0xff || !insn_decode(view->text + low, view->len - low, &in))
			continue;
		if (in.kind == INSN_JMP_INDIRECT && !in.rip_relative && opcode_plausible(view, low))
			return true;
	}
	return false;
}
