/* SPDX-License-Identifier: MIT */
/* Bindings: what may be bound, tables, protection, accessed and dirty bits, large pages. */
#include "guest.h"

uint32_t mem_large(void); /* mem_alloc.c */

#define PTE(va) (*aegis_window(va))

TEST(tlb_write)
{
	uint32_t space = self()->space, a = frame_get(), b = frame_get();
	volatile uint64_t *p = (volatile uint64_t *)TEST_VA;

	check_is(PTE(TEST_VA), 0);
	check_is(bind(space, TEST_VA, a, RW), 1);
	check_is(PTE(TEST_VA) >> 12 & 0xffffffffff, a);
	check(!(PTE(TEST_VA) & AEGIS_PTE_ACCESSED));
	check_is(*p, 0);
	check((PTE(TEST_VA) & AEGIS_PTE_ACCESSED) && !(PTE(TEST_VA) & AEGIS_PTE_DIRTY));
	*p = 7;
	check(PTE(TEST_VA) & AEGIS_PTE_DIRTY);
	check_is(bind(space, TEST_VA + PAGE, a, RO), 1);
	check_is(p[512], 7);
	/* In place of the old binding. */
	check_is(bind(space, TEST_VA, b, RW), 1);
	check_is(*p, 0);
	check_is(p[512], 7);
	check_is(probe_write(TEST_VA + PAGE, 1), AEGIS_CAUSE_PAGE);
	check_is(self()->last.error, 7);
	check_is(probe_write(AEGIS_WINDOW + (TEST_VA >> 9), 1), AEGIS_CAUSE_PAGE);
	check_is(self()->last.error, 7);
	check_is(unbind(space, TEST_VA, 2), 1);
	check_is(probe_read(TEST_VA), AEGIS_CAUSE_PAGE);
	check_is(self()->last.error, 4);
	frame_put(a);
	frame_put(b);
}

TEST(tlb_write_bad)
{
	uint32_t space = self()->space, a = frame_get();
	static const uint64_t bad[] = {0,
				       TEST_VA + 1,
				       TEST_VA + 0x800,
				       AEGIS_WINDOW,
				       AEGIS_WINDOW + PAGE,
				       0x7ffffffff000,
				       0x800000000000,
				       0xffff800000000000,
				       0xfffffffffffff000,
				       0xffffffff80200000};

	for (uint32_t i = 0; i < sizeof(bad) / 8; i++) {
		check_is(bind_only(AEGIS_SELF, space, bad[i], a, RW), AEGIS_BAD_ARG);
		if (bad[i] >= AEGIS_USER_MAX)
			check_is(table_supply(space, bad[i], 1, a), AEGIS_BAD_ARG);
	}
	check_is(bind_only(AEGIS_SELF, space, FAR_VA, a, RW), AEGIS_NEED_TABLE);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, 0xfffff, RW), AEGIS_NOT_HELD);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, 0xffffffff, RW), AEGIS_NO_SUCH);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, a, 0), AEGIS_BAD_ARG);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, a, 1u << 20), AEGIS_BAD_ARG);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, a, RW | AEGIS_BIND_UNCACHED), AEGIS_BAD_ARG);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, a, RW | AEGIS_BIND_EXEC), AEGIS_WX);
	check_is(bind_only(AEGIS_SELF, space, TEST_VA, a, RW | AEGIS_BIND_LARGE), AEGIS_BAD_ARG);
	check_is(bind_only(AEGIS_SELF, space + 1, TEST_VA, a, RW), AEGIS_DENIED);
	check_is(bind_only(CAP, 4094, TEST_VA, a, RW), AEGIS_NO_SUCH);
	check_is(bind_only(CAP, 99999, TEST_VA, a, RW), AEGIS_NO_SUCH);
	check_is(bind_only(7, space, TEST_VA, a, RW), AEGIS_BAD_CAP);
	check_is(aegis_tlb_write(AEGIS_SELF, space, BATCH + 8, 1), AEGIS_BAD_ARG);
	check_is(aegis_tlb_write(AEGIS_SELF, space, BATCH, 0x10000000), AEGIS_BAD_ARG);
	check_is(aegis_tlb_write(AEGIS_SELF, space, 0xfffffff0, 1), AEGIS_BAD_ARG);
	check_is(aegis_tlb_write(AEGIS_SELF, space, BATCH, 0), 0);
	frame_put(a);
}

TEST(tlb_batch)
{
	struct aegis_bind *b = batch_binds();
	uint32_t space = self()->space, a = frame_get(), n = 200, done = 0;
	uint32_t frames[20];

	frames[0] = a;
	for (uint32_t i = 1; i < 20; i++)
		frames[i] = frame_get();
	for (uint32_t i = 0; i < n; i++)
		b[i] = (struct aegis_bind){TEST_VA + i * PAGE, frames[i % 20], RO};
	while (done < n) {
		status st = aegis_tlb_write(AEGIS_SELF, space, BATCH + done * 16, n - done);

		require(st > 0 && st <= AEGIS_BATCH_STEPS);
		done += (uint32_t)st;
	}
	for (uint32_t i = 0; i < n; i++)
		check_is(PTE(TEST_VA + i * PAGE) >> 12 & 0xffffffffff, frames[i % 20]);
	b[0] = (struct aegis_bind){TEST_VA, n, 0};
	check_is(aegis_tlb_delete(AEGIS_SELF, space, BATCH, 1), 1);
	for (uint32_t i = 0; i < n; i++)
		check_is(PTE(TEST_VA + i * PAGE), 0);
	/* A record at fault: those before are done, and nothing is for it. */
	for (uint32_t i = 0; i < 5; i++)
		b[i] = (struct aegis_bind){TEST_VA + i * PAGE, i == 3 ? 0xfffff : a, RO};
	check_is(aegis_tlb_write(AEGIS_SELF, space, BATCH, 5), 3);
	check_is(PTE(TEST_VA + 3 * PAGE), 0);
	check_is(PTE(TEST_VA + 4 * PAGE), 0);
	check_is(aegis_tlb_write(AEGIS_SELF, space, BATCH + 48, 2), AEGIS_NOT_HELD);
	unbind(space, TEST_VA, 5);
	frames_put(frames, 20);
}

/* ---- tables ---- */

TEST(tlb_table)
{
	uint32_t space = self()->space, t[4], a = frame_get();

	frames_get(t, 4);
	check_is(table_supply(space, FAR_VA, 1, t[0]), AEGIS_NEED_TABLE);
	check_is(table_supply(space, FAR_VA, 2, t[0]), AEGIS_NEED_TABLE);
	check_is(table_supply(space, FAR_VA, 3, t[0]), 1);
	check_is(table_supply(space, FAR_VA, 2, t[1]), 1);
	check_is(table_supply(space, FAR_VA, 1, t[2]), 1);
	check_is(table_supply(space, FAR_VA, 1, t[3]), AEGIS_IN_USE);
	check_is(table_supply(space, FAR_VA, 4, t[3]), AEGIS_BAD_ARG);
	check_is(table_supply(space, FAR_VA, 0, t[3]), AEGIS_BAD_ARG);
	/* Tables are nobody's pages. */
	for (uint32_t i = 0; i < 3; i++) {
		check_is(bind_only(AEGIS_SELF, space, TEST_VA, t[i], RO), AEGIS_NOT_HELD);
		check_is(frame_free(t[i]), AEGIS_NOT_HELD);
		check_is(frame_bind(CAP, t[i], AEGIS_READ), AEGIS_DENIED);
	}
	check_is(bind_only(AEGIS_SELF, space, FAR_VA, a, RW), 1);
	check_is(probe_write(FAR_VA, 1), NO_FAULT);
	check_is(table_take(space, FAR_VA, 1), AEGIS_IN_USE);
	check_is(table_take(space, FAR_VA, 3), AEGIS_IN_USE);
	check_is(unbind(space, FAR_VA, 1), 1);
	check_is(table_take(space, FAR_VA, 1), 1);
	check_is(table_take(space, FAR_VA, 1), AEGIS_NOT_BOUND);
	check_is(table_take(space, FAR_VA, 2), 1);
	check_is(table_take(space, FAR_VA, 3), 1);
	check_is(probe_read(FAR_VA), AEGIS_CAUSE_PAGE);
	/* A bound or shared frame makes no table. */
	check_is(bind(space, TEST_VA, a, RW), 1);
	check_is(table_supply(space, FAR_VA, 3, a), AEGIS_IN_USE);
	unbind(space, TEST_VA, 1);
	frame_put(a);
	for (uint32_t i = 0; i < 4; i++) { /* held again, and empty */
		check_is(bind(space, TEST_VA, t[i], RO), 1);
		for (uint64_t at = 0; at < PAGE; at += 8)
			check(*(volatile uint64_t *)(TEST_VA + at) == 0);
		unbind(space, TEST_VA, 1);
	}
	frames_put(t, 4);
}

TEST(tlb_table_shared)
{
	struct child *c = spawn_on(NULL, 0, 0, SPAWN_SPACE | SPAWN_WAIT);
	uint32_t a = frame_get();

	require(bind(c->space, TEST_VA, a, RO) == 1);
	check_is(table_supply(self()->space, FAR_VA, 3, a), AEGIS_IN_USE);
	child_end(c);
	frame_put(a);
}

/* ---- protection ---- */

TEST(tlb_protect)
{
	uint32_t space = self()->space, pfns[8], was;

	frames_get(pfns, 8);
	for (uint32_t i = 0; i < 8; i++)
		check_is(bind(space, TEST_VA + i * PAGE, pfns[i], RW), 1);
	check_is(protect(space, TEST_VA, 8, RO, &was), 1);
	check_is(was, 0);
	check_is(probe_read(TEST_VA + 3 * PAGE), NO_FAULT);
	check_is(probe_write(TEST_VA + 3 * PAGE, 1), AEGIS_CAUSE_PAGE);
	check_is(protect(space, TEST_VA, 8, RW, &was), 1);
	check_is(was, AEGIS_WAS_ACCESSED);
	check_is(probe_write(TEST_VA + 5 * PAGE, 1), NO_FAULT);
	check_is(protect(space, TEST_VA, 8, AEGIS_BIND_CLEAR, &was), 1);
	check_is(was, AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY);
	check(!(PTE(TEST_VA + 5 * PAGE) & (AEGIS_PTE_DIRTY | AEGIS_PTE_ACCESSED)));
	check(PTE(TEST_VA + 5 * PAGE) & AEGIS_PTE_WRITE);
	check_is(probe_write(TEST_VA + 5 * PAGE, 2), NO_FAULT);
	check(PTE(TEST_VA + 5 * PAGE) & AEGIS_PTE_DIRTY); /* the TLB forgot, too */
	/* Holes are passed over. */
	check_is(unbind(space, TEST_VA + 2 * PAGE, 1), 1);
	check_is(protect(space, TEST_VA, 64, RO, &was), 1);
	check_is(was, AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY);
	check_is(protect(space, TEST_VA, 64, RW | AEGIS_BIND_EXEC, NULL), AEGIS_WX);
	check_is(protect(space, TEST_VA, 64, RW | AEGIS_BIND_LARGE, NULL), AEGIS_BAD_ARG);
	check_is(protect(space, TEST_VA, 1, 0, NULL), AEGIS_BAD_ARG);
	check_is(protect(space, TEST_VA + 1, 1, RO, NULL), AEGIS_BAD_ARG);
	check_is(protect(space, 0x800000000000, 1, RO, NULL), AEGIS_BAD_ARG);
	check_is(protect(space, AEGIS_USER_MAX - PAGE, 2, RO, NULL), AEGIS_BAD_ARG);
	*batch_binds() = (struct aegis_bind){TEST_VA, 64, 0};
	check_is(aegis_tlb_delete(AEGIS_SELF, space, BATCH, 1), 1);
	check_is(batch_binds()->prot, 0); /* not touched since */
	frames_put(pfns, 8);
}

TEST(tlb_delete_was)
{
	uint32_t space = self()->space, a = frame_get();

	check_is(bind(space, TEST_VA, a, RW), 1);
	*(volatile uint64_t *)TEST_VA = 1;
	*batch_binds() = (struct aegis_bind){TEST_VA, 1, 0};
	check_is(aegis_tlb_delete(AEGIS_SELF, space, BATCH, 1), 1);
	check_is(batch_binds()->prot, AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY);
	*batch_binds() = (struct aegis_bind){TEST_VA, 1, RW};
	check_is(aegis_tlb_delete(AEGIS_SELF, space, BATCH, 1), AEGIS_BAD_ARG);
	frame_put(a);
}

static int64_t
run_code(uint64_t va)
{
	return ((int64_t(*)(void))va)();
}

/* W^X: code is written, then executed, never both. */
TEST(tlb_exec)
{
	static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	uint32_t space = self()->space, a = frame_get();

	check_is(bind(space, TEST_VA, a, RW), 1);
	memcpy((void *)TEST_VA, code, sizeof(code));
	check_is(fault_of(run_code, TEST_VA), AEGIS_CAUSE_PAGE);
	check_is(self()->last.error, 0x15);
	check_is(self()->last.addr, TEST_VA);
	check_is(protect(space, TEST_VA, 1, RX, NULL), 1);
	check_is(fault_of(run_code, TEST_VA), NO_FAULT);
	check_is(run_code(TEST_VA), 42);
	check_is(probe_write(TEST_VA, 0), AEGIS_CAUSE_PAGE);
	unbind(space, TEST_VA, 1);
	frame_put(a);
}

static int64_t
wx_user(uint64_t arg)
{
	uint32_t a = frame_get();

	(void)arg;
	check_is(bind(self()->space, TEST_VA, a, RW | AEGIS_BIND_EXEC), 1);
	*(volatile uint8_t *)TEST_VA = 0xc3;
	check_is(fault_of(run_code, TEST_VA), NO_FAULT);
	return 0;
}

TEST(tlb_wx_space)
{
	child_join(spawn_on(wx_user, 0, 0, SPAWN_SPACE | SPAWN_WX));
}

/* ---- large pages ---- */

TEST(tlb_large)
{
	uint32_t space = self()->space, first = mem_large(), was, table;
	uint64_t va = TEST_VA + AEGIS_LARGE_PAGE;

	check_is(bind_only(AEGIS_SELF, space, va, first, RW | AEGIS_BIND_LARGE), AEGIS_IN_USE);
	table = (uint32_t)(*aegis_window_large(va) >> 12);
	check_is(table_take(space, va, 1), 1);
	check_is(bind_only(AEGIS_SELF, space, va + PAGE, first, RW | AEGIS_BIND_LARGE),
		 AEGIS_BAD_ARG);
	check_is(bind_only(AEGIS_SELF, space, va, first, RW | AEGIS_BIND_LARGE), 1);
	check(*aegis_window_large(va) & AEGIS_PTE_LARGE);
	check_is(*aegis_window_large(va) >> 12 & 0xfffffffff, first);
	*(volatile uint64_t *)(va + 511 * PAGE) = 5;
	check(*aegis_window_large(va) & AEGIS_PTE_DIRTY);
	check_is(bind(space, TEST_VA, first + 511, RO), 1);
	check_is(*(volatile uint64_t *)TEST_VA, 5);
	check_is(frame_free(first + 3), AEGIS_IN_USE);
	check_is(bind_only(AEGIS_SELF, space, va + PAGE, first, RW), AEGIS_IN_USE);
	check_is(unbind(space, va, 1), AEGIS_IN_USE); /* a part of it */
	check_is(protect(space, va, 512, RO, &was), 1);
	check_is(was, AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY);
	check_is(probe_write(va + 8, 1), AEGIS_CAUSE_PAGE);
	check_is(probe_read(va + 8), NO_FAULT);
	check_is(unbind(space, va, 512), 1);
	check_is(probe_read(va), AEGIS_CAUSE_PAGE);
	unbind(space, TEST_VA, 1);
	for (uint32_t i = 0; i < 512; i++)
		frame_put(first + i);
	check_is(table_supply(space, va, 1, table), 1);
}

/* ---- protection keys ---- */

static bool
keys_offered(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return c >> 4 & 1; /* OSPKE */
}

static void
pkru_set(uint32_t pkru)
{
	__asm__ volatile("wrpkru" ::"a"(pkru), "c"(0), "d"(0) : "memory");
}

TEST(tlb_key)
{
	uint32_t space = self()->space, a = frame_get();

	if (keys_offered()) {
		check_is(bind(space, TEST_VA, a, RW | AEGIS_BIND_KEY(5)), 1);
		check_is(probe_write(TEST_VA, 1), NO_FAULT);
		pkru_set(2u << 10); /* key 5: no writes */
		check_is(probe_read(TEST_VA), NO_FAULT);
		check_is(probe_write(TEST_VA, 1), AEGIS_CAUSE_PAGE);
		check_is(self()->last.error, 0x27);
		check_is(self()->last.pkru, 2u << 10);
		pkru_set(3u << 10);
		check_is(probe_read(TEST_VA), AEGIS_CAUSE_PAGE);
		pkru_set(0);
		check_is(probe_write(TEST_VA, 1), NO_FAULT);
		unbind(space, TEST_VA, 1);
	}
	frame_put(a);
	if (!keys_offered())
		skip("no protection keys");
}

/* ---- other spaces ---- */

static int64_t
foreign_reader(uint64_t arg)
{
	(void)arg;
	check_is(*(volatile uint64_t *)TEST_VA, 99);
	check_is(probe_write(TEST_VA, 1), AEGIS_CAUSE_PAGE);
	return 0;
}

/* Binding into another space shares what is bound there. */
TEST(tlb_foreign)
{
	uint32_t a = frame_get();
	struct child *c = spawn_on(foreign_reader, 0, 0, SPAWN_SPACE | SPAWN_WAIT);

	require_is(bind(self()->space, TEST_VA, a, RW), 1);
	*(volatile uint64_t *)TEST_VA = 99;
	check_is(bind(c->space, TEST_VA, a, RO), 1);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	check_is(bind_only(1, c->space, TEST_VA + PAGE, a, RO), AEGIS_DENIED);
	*batch_binds() = (struct aegis_bind){TEST_VA, 1, 0};
	check_is(aegis_tlb_delete(1, c->space, BATCH, 1), AEGIS_DENIED);
	check_is(aegis_cap_drop(1), AEGIS_OK);
	require_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	child_join(c);
	unbind(self()->space, TEST_VA, 1);
	frame_put(a);
}

/* A guaranteed binding pins its frame, so many at most. */
TEST(tlb_guaranteed)
{
	uint32_t space = self()->space, n = 0, pfns[AEGIS_PINNED_MAX + 1];

	for (; n <= AEGIS_PINNED_MAX; n++) {
		pfns[n] = frame_get();
		if (bind(space, TEST_VA + n * PAGE, pfns[n], RW | AEGIS_BIND_GUARANTEED) != 1)
			break;
	}
	check(n > 100 && n <= AEGIS_PINNED_MAX);
	check_is(bind(space, TEST_VA + n * PAGE, pfns[n], RW | AEGIS_BIND_GUARANTEED), AEGIS_LIMIT);
	check_is(unbind(space, TEST_VA, n), 1);
	frames_put(pfns, n + 1);
}
