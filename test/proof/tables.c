/* SPDX-License-Identifier: MIT */
/*
 * Page tables: the walk meets tables only and ends where it should; a table is made of memory that
 * nobody can reach, at a place in user space, and comes back only when it is empty.
 *
 * State: the first 8 entries of four tables, one a level, arbitrary but for those on the way to the
 * address.  User space ends after half of the root's (the scale line of the list), so that entries behind
 * its end are there to be got wrong.  That _mem_retype takes only such memory is the matter of hold.c.
 */
#include "machine.h"
#include "kernel/tlb.c"
#include "kernel/range.c"

#define FRAMES  16u
#define TABLES  FRAMES
#define LEVELS  4u
#define ENTRIES 8u /* of each table */

struct frame *frames;
uint32_t frame_count;
static struct frame frame_array[FRAMES + LEVELS];
static uint64_t table0[ENTRIES], table1[ENTRIES], table2[ENTRIES], table3[ENTRIES];
static struct space spaces[1];
static struct writer w;
static struct range r;
static uint32_t retyped;
static uint8_t a_hold;

void *
machine_frame(uint32_t pfn)
{
	if (pfn == TABLES)
		return table0;
	if (pfn == TABLES + 1)
		return table1;
	if (pfn == TABLES + 2)
		return table2;
	PROVE(pfn == TABLES + 3, "only tables are walked");
	return table3;
}

static uint64_t *
level_table(uint32_t level)
{
	return machine_frame(TABLES + level - 1);
}

struct env *
current(void)
{
	return NULL;
}

enum frame_kind
frame_kind(uint32_t pfn)
{
	(void)pfn;
	return FRAME_NONE;
}

uint8_t *
_hold_find(struct space *s, uint32_t pfn)
{
	(void)s;
	(void)pfn;
	return nondet_bool() ? &a_hold : NULL;
}

bool
area_last(uint32_t pfn, uint8_t hold)
{
	(void)pfn;
	(void)hold;
	return nondet_bool();
}

bool
frame_clean(uint32_t pfn)
{
	(void)pfn;
	return nondet_bool();
}

void
_hold_last(struct flush *f, uint8_t *hold, uint32_t pfn)
{
	(void)f;
	(void)hold;
	(void)pfn;
}

void
_hold_give(struct space *s, uint8_t *hold, uint32_t pfn, uint8_t need)
{
	(void)s;
	(void)hold;
	(void)pfn;
	(void)need;
}

void
_hold_pin(struct space *s, uint8_t *hold)
{
	(void)s;
	(void)hold;
}

bool
_hold_pin_allowed(const struct space *s, uint8_t hold)
{
	(void)s;
	(void)hold;
	return nondet_bool();
}

atomic_uint revocation;

status
share_check(uint32_t pfn, uint8_t held, uint8_t need)
{
	(void)pfn;
	(void)held;
	(void)need;
	return nondet_bool() ? AEGIS_OK : AEGIS_DENIED;
}

status
_mem_retype(struct space *s, uint32_t pfn, enum frame_kind kind)
{
	PROVE(s == w.pair.from && kind == FRAME_TABLE, "the caller's frame becomes a table");
	if (nondet_bool())
		return AEGIS_IN_USE;
	retyped = pfn;
	return AEGIS_OK;
}

void
_flush_finish(struct flush *f)
{
	f->ranges = f->pages = f->drops = f->tables = 0;
	f->all = false;
}

status
pair_lock(struct env *e, uint32_t cap, uint32_t number, struct pair *p)
{
	(void)e;
	(void)cap;
	(void)number;
	(void)p;
	return AEGIS_DENIED;
}

void
pair_unlock(struct pair *p)
{
	(void)p;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	(void)e;
	(void)offset;
	(void)n;
	return NULL;
}

static void
state_any(void)
{
	machine_me = 0;
	locks_held = 0;
	frames = frame_array;
	frame_count = FRAMES + LEVELS;
	spaces[0].root = TABLES + 3;
	spaces[0].number = 1;
	for (uint32_t i = 0; i < LEVELS; i++)
		ASSUME(frames[TABLES + i].kind == FRAME_TABLE && frames[TABLES + i].link <= 511);
}

/* The tables of this model: level 1 is table 0, ..., the root table 3. */
static void
tables_assume(uint64_t va)
{
	ASSUME((va >> 12 & 511) < ENTRIES);
	for (uint32_t level = 4; level > 1; level--) {
		uint64_t e;

		ASSUME((va >> (3 + 9 * level) & 511) < ENTRIES);
		e = level_table(level)[va >> (3 + 9 * level) & 511];
		ASSUME(IMPLIES(!(e & AEGIS_PTE_PRESENT), e == 0));
		ASSUME(IMPLIES((e & AEGIS_PTE_PRESENT) && (e & AEGIS_PTE_LARGE), level == 2));
		ASSUME(IMPLIES(
			(e & AEGIS_PTE_PRESENT) && !(e & AEGIS_PTE_LARGE),
			e == ((uint64_t)(TABLES + level - 2) << AEGIS_PAGE_SHIFT | PTE_TABLE)));
	}
}

void
proof_tlb_find(void)
{
	uint64_t va = nondet_u64(), size, *large, *table, entry;
	uint32_t level = nondet_u32(), pfn;

	state_any();
	ASSUME(va < AEGIS_USER_MAX && level >= 1 && level <= 4);
	tables_assume(va);
	table = _table_find(&spaces[0], va, level, &pfn, &size, &large);
	PROVE(pfn >= TABLES && pfn < TABLES + LEVELS, "what it names is a table");
	if (table) {
		PROVE(table == level_table(level) && pfn == TABLES + level - 1, "of that level");
		REACH(level == 1);
		return;
	}
	PROVE(level < 4, "the root is there");
	PROVE(size >= AEGIS_LARGE_PAGE && (size & (size - 1)) == 0, "size covers the gap");
	if (large) {
		entry = *large;
		PROVE((entry & AEGIS_PTE_LARGE) && pfn == TABLES + 1 && size == AEGIS_LARGE_PAGE,
		      "a large binding is told as one");
		REACH(large != NULL);
	} else {
		REACH(size == AEGIS_LARGE_PAGE);
	}
}

/* It is in place only after it was retyped, which makes it zeros, with the kernel's bits alone. */
void
proof_tlb_table(void)
{
	uint64_t va = nondet_u64(), *entry, before;
	uint32_t pfn = nondet_u32(), prot = nondet_u32(), level = prot >> 8 & 15, link;
	status st;

	state_any();
	ASSUME(level >= 1 && level <= 3 && pfn < FRAMES);
	tables_assume(va);
	w.pair = (struct pair){&spaces[0], &spaces[0], false};
	link = frames[TABLES + level].link;
	entry = &level_table(level + 1)[va >> (12 + 9 * level) & (ENTRIES - 1)];
	before = *entry;
	retyped = UINT32_MAX;
	st = _table_supply(&w, va, pfn, prot);
	if (st != AEGIS_OK) {
		PROVE(*entry == before && frames[TABLES + level].link == link, "nothing is done");
		REACH(st == AEGIS_IN_USE);
		return;
	}
	PROVE(retyped == pfn, "a frame that became a table");
	PROVE(before == 0 && pte_pfn(*entry) == pfn, "it is where it was asked for");
	PROVE((*entry & ~AEGIS_PTE_FRAME) == PTE_TABLE, "with the kernel's bits alone");
	PROVE(va < AEGIS_USER_MAX, "not in the window, nor the kernel's half");
	PROVE(frames[TABLES + level].link == link + 1, "entries are counted");
	PROVE(frames[TABLES + level].flags >> (va >> (12 + 9 * level) & 511) / TABLE_GROUP & 1,
	      "and it is known where one is");
	REACH(level == 1);
	REACH(level == 3);
}

void
proof_tlb_untable(void)
{
	uint64_t va = nondet_u64(), *entry, before;
	uint32_t prot = nondet_u32(), level = prot >> 8 & 15, link;
	struct pair p = {&spaces[0], &spaces[0], false};
	status st;

	state_any();
	ASSUME(level >= 1 && level <= 3);
	tables_assume(va);
	link = frames[TABLES + level].link;
	ASSUME(link > 0);
	flush_start(&r.flush, &spaces[0], &spaces[0]);
	entry = &level_table(level + 1)[va >> (12 + 9 * level) & (ENTRIES - 1)];
	before = *entry;
	st = _table_remove(&r, &p, va, prot);
	if (st != AEGIS_OK) {
		PROVE(*entry == before, "nothing is done");
		REACH(st == AEGIS_IN_USE);
		return;
	}
	PROVE((before & AEGIS_PTE_PRESENT) && !(before & AEGIS_PTE_LARGE), "a table was there");
	PROVE(frames[pte_pfn(before)].link == 0, "an empty one");
	PROVE(*entry == 0 && frames[TABLES + level].link == link - 1, "it is taken out");
	PROVE(r.flush.all && r.flush.tables == 1 && r.flush.table[0] == pte_pfn(before),
	      "it is handed out after every processor forgot it");
}
