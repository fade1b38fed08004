/* SPDX-License-Identifier: MIT */
/* Bindings: what may be bound, tables, large pages, ranges, accessed and dirty bits, shootdown. */
#include "host.h"

#define RW AEGIS_BIND_READ | AEGIS_BIND_WRITE
static struct env *first;
static uint32_t own;
static const uint64_t at = HOST_AREA + 0x100000;

static struct aegis_bind
range(bool delete, uint64_t va, uint32_t pages, uint32_t prot, status *st)
{
	struct aegis_bind r = {va, pages, prot};

	host_put_binds(&r, 1);
	*st = delete ? sys_tlb_delete(AEGIS_SELF, own, HOST_RECORDS, 1)
		     : sys_tlb_protect(AEGIS_SELF, own, HOST_RECORDS, 1);
	host_get_binds(&r, 1);
	return r;
}

static bool
test_prot(void)
{
	uint32_t pfn = host_alloc(0);

	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, 0) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, RW | AEGIS_BIND_EXEC) == AEGIS_WX);
	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, AEGIS_BIND_READ | AEGIS_BIND_UNCACHED) ==
	       AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, AEGIS_BIND_READ | 1u << 28) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, at + 1, pfn, AEGIS_BIND_READ) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, 0, pfn, AEGIS_BIND_READ) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, AEGIS_USER_MAX, pfn, AEGIS_BIND_READ) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, 0xffff800000000000, pfn, AEGIS_BIND_READ) ==
	       AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, at, pfn + 1, AEGIS_BIND_READ) == AEGIS_NOT_HELD);
	EXPECT(host_bind(AEGIS_SELF, own, at, 0xffffffff, AEGIS_BIND_READ) == AEGIS_NO_SUCH);
	EXPECT(host_bind(AEGIS_SELF, own + 1, at, pfn, AEGIS_BIND_READ) == AEGIS_DENIED);
	EXPECT(host_bind(3, own, at, pfn, AEGIS_BIND_READ) == AEGIS_BAD_CAP);
	EXPECT(host_bind(AEGIS_SELF, own, at << 4, pfn, AEGIS_BIND_READ) == AEGIS_NEED_TABLE);
	EXPECT(host_bind(0, own, at, pfn, AEGIS_BIND_EXEC | AEGIS_BIND_KEY(5)) == 1);
	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, RW) == 1); /* replaces */
	EXPECT((*_hold_find(first->space, pfn) & AEGIS_HOLD_COUNT) == 1);
	EXPECT(host_free(pfn) == AEGIS_IN_USE && host_sound());
	EXPECT(host_delete(AEGIS_SELF, own, at, 1, 0) == 1 && host_free(pfn) == 1);
	return host_sound();
}

static bool
test_count(void)
{
	uint32_t pfn = host_alloc(0);

	for (uint32_t i = 0; i < AEGIS_BIND_MAX; i++)
		EXPECT(host_bind(AEGIS_SELF, own, at + i * PAGE, pfn, AEGIS_BIND_READ) == 1);
	EXPECT(host_bind(AEGIS_SELF, own, at + 40 * PAGE, pfn, AEGIS_BIND_READ) == AEGIS_LIMIT);
	EXPECT(host_sound() && host_delete(AEGIS_SELF, own, at, 100, 0) == 1);
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

static bool
test_batch(void)
{
	struct aegis_bind r[150];
	uint32_t pfn = host_alloc(0);

	for (uint32_t i = 0; i < 150; i++)
		r[i] = (struct aegis_bind){at + i * PAGE, i == 20 ? pfn + 9 : pfn, AEGIS_BIND_READ};
	host_put_binds(r, 150);
	EXPECT(sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, 150) == 20);
	EXPECT(sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS + 20 * 16, 1) == AEGIS_NOT_HELD);
	EXPECT(sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS + 8, 1) == AEGIS_BAD_ARG);
	EXPECT(sys_tlb_write(AEGIS_SELF, own, 8 * PAGE - 16, 2) == AEGIS_BAD_ARG);
	EXPECT(sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, 0) == 0);
	EXPECT(host_delete(AEGIS_SELF, own, at, 150, 0) == 1);
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

static bool
test_tables(void)
{
	uint32_t pfn[3], prot[3];
	uint64_t va = 0x7000000000;

	for (uint32_t i = 0; i < 3; i++) {
		pfn[i] = host_alloc(0);
		prot[i] = AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(3 - i);
	}
	EXPECT(host_bind(AEGIS_SELF, own, va, pfn[0], prot[0]) == AEGIS_BAD_ARG); /* not aligned */
	EXPECT(host_bind(AEGIS_SELF, own, 0, pfn[0], prot[0]) == AEGIS_IN_USE);
	va = 0x8000000000;
	EXPECT(host_bind(AEGIS_SELF, own, va, pfn[1], prot[1]) == AEGIS_NEED_TABLE);
	for (uint32_t i = 0; i < 3; i++)
		EXPECT(host_bind(AEGIS_SELF, own, va, pfn[i], prot[i]) == 1);
	EXPECT(host_bind(AEGIS_SELF, own, va, pfn[2], prot[2]) == AEGIS_IN_USE);
	EXPECT(host_bind(AEGIS_SELF, own, va + (1 << 21), pfn[2], prot[2]) == AEGIS_NOT_HELD);
	EXPECT(host_bind(AEGIS_SELF, own, va, pfn[1], AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(4)) ==
	       AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, AEGIS_USER_MAX, pfn[1], prot[0]) == AEGIS_BAD_ARG);
	EXPECT(host_free(pfn[0]) == AEGIS_NOT_HELD && host_sound());
	EXPECT(host_bind(AEGIS_SELF, own, va, pfn[0], AEGIS_BIND_READ) == AEGIS_NOT_HELD);
	EXPECT(host_delete(AEGIS_SELF, own, va, 0, prot[1]) == AEGIS_IN_USE);
	for (uint32_t i = 3; i-- > 0;)
		EXPECT(host_delete(AEGIS_SELF, own, va, 0, prot[i]) == 1);
	EXPECT(host_delete(AEGIS_SELF, own, va, 0, prot[0]) == AEGIS_NOT_BOUND);
	EXPECT(host_sound());
	for (uint32_t i = 0; i < 3; i++)
		EXPECT(host_free(pfn[i]) == 1);
	return host_sound();
}

static bool
test_bits(void)
{
	uint32_t pfn = host_alloc(0);
	struct aegis_bind r;
	status st;

	for (uint32_t i = 0; i < 4; i++)
		EXPECT(host_bind(AEGIS_SELF, own, at + i * PAGE, pfn, RW) == 1);
	r = range(false, at, 4, AEGIS_BIND_CLEAR, &st);
	EXPECT(st == 1 && !(r.prot & (AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY)));
	EXPECT(machine_touch(0, at, false) == 0 && machine_touch(0, at + PAGE, true) == 0);
	r = range(false, at, 4, AEGIS_BIND_CLEAR, &st);
	EXPECT((r.prot & AEGIS_WAS_ACCESSED) && (r.prot & AEGIS_WAS_DIRTY) && host_sound());
	EXPECT(machine_touch(0, at, false) == 0);
	r = range(false, at, 4, AEGIS_BIND_READ, &st);
	EXPECT((r.prot & AEGIS_WAS_ACCESSED) && !(r.prot & AEGIS_WAS_DIRTY));
	EXPECT(machine_touch(0, at, true) == 1 && machine_touch(0, at, false) == 0 && host_sound());
	range(false, at, 4, AEGIS_BIND_WRITE | AEGIS_BIND_EXEC, &st);
	EXPECT(st == AEGIS_WX);
	range(false, at, 4, RW, &st);
	EXPECT(st == 1 && machine_touch(0, at + 3 * PAGE, true) == 0);
	r = range(true, at, 4, 0, &st);
	EXPECT(st == 1 && (r.prot & AEGIS_WAS_DIRTY) &&
	       machine_touch(0, at + 3 * PAGE, false) == 1);
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

/* Rights that a holding lacks are not added by protect. */
static bool
test_protect_rights(void)
{
	struct aegis_frame_rec f = {host_alloc(0), AEGIS_READ};
	struct space *s = host_space(0, at);
	status st;

	host_put_frames(&f, 1);
	EXPECT(sys_mem_share(0, s->number, HOST_RECORDS, 1) == 1 && host_free(f.pfn) == 1);
	host_put_frames(&f, 1);
	EXPECT(sys_mem_bind(0, HOST_RECORDS, 1) == 1);
	EXPECT(host_bind(AEGIS_SELF, own, at, f.pfn, RW) == AEGIS_NOT_HELD);
	EXPECT(host_bind(AEGIS_SELF, own, at, f.pfn, AEGIS_BIND_READ) == 1);
	range(false, at, 1, RW, &st);
	EXPECT(st == AEGIS_NOT_HELD);
	range(false, at, 1, AEGIS_BIND_EXEC, &st);
	EXPECT(st == 1);
	range(true, at, 1, 0, &st);
	EXPECT(st == 1 && host_free(f.pfn) == 1 && host_destroy(0, s->number) == 0);
	return host_sound();
}

/* More pages than one call looks at: the record is narrowed, and the calls end. */
static bool
test_long(void)
{
	uint32_t pfn = host_alloc(0), calls = 0;
	struct aegis_bind r = {0, (uint32_t)(AEGIS_USER_MAX / PAGE > 0xffffffff ? 0xffffffff : 0),
			       0};
	status st = 0;

	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, RW) == 1 && machine_touch(0, at, true) == 0);
	r = (struct aegis_bind){at - 100 * PAGE, 200 + (1u << 22), 0};
	host_put_binds(&r, 1);
	for (; st == 0 && calls < 100; calls++)
		st = sys_tlb_delete(AEGIS_SELF, own, HOST_RECORDS, 1);
	host_get_binds(&r, 1);
	EXPECT(st == 1 && (r.prot & AEGIS_WAS_DIRTY) && calls < 20);
	range(true, 0x1000, 0xffffffff, 0, &st);
	EXPECT(st == AEGIS_IN_USE); /* the area is in the way */
	range(true, AEGIS_USER_MAX - PAGE, 2, 0, &st);
	EXPECT(st == AEGIS_BAD_ARG);
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

/* Runs of pages and frames in one record. */
static bool
test_run(void)
{
	static struct aegis_frame_rec f[100];
	uint32_t base, other;
	struct aegis_bind r[2];
	status st;

	for (uint32_t i = 0; i < 100; i++)
		f[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	for (uint32_t done = 0; done < 100; done += (uint32_t)st) {
		host_put_frames(f + done, 100 - done);
		st = sys_mem_alloc(0, HOST_RECORDS, 100 - done, AEGIS_ALLOC_CONTIGUOUS);
		EXPECT(st > 0);
		host_get_frames(f + done, 100 - done);
	}
	base = f[0].pfn;
	other = host_alloc(0);
	r[0] = (struct aegis_bind){at, base, RW | AEGIS_BIND_GUARANTEED | AEGIS_BIND_MORE(99)};
	r[1] = (struct aegis_bind){at + 0x1fe000, base, AEGIS_BIND_READ | AEGIS_BIND_MORE(1)};
	host_put_binds(r, 2);
	/* The first call ends with the frames that it may clear. */
	st = sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, 2);
	EXPECT(st == AEGIS_AGAIN && host_sound());
	host_get_binds(r, 2);
	EXPECT(r[0].pfn > base && r[0].va - at == (r[0].pfn - base) * PAGE);
	while ((st = sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, 2)) == AEGIS_AGAIN)
		;
	EXPECT(st == 2 && host_sound());
	for (uint32_t i = 0; i < 100; i++)
		EXPECT((*_hold_find(first->space, base + i) & ~AEGIS_HOLD_COUNT) ==
		       (AEGIS_HOLD_READ | AEGIS_HOLD_WRITE | AEGIS_HOLD_PIN));
	EXPECT((*_hold_find(first->space, base + 1) & AEGIS_HOLD_COUNT) == 2);
	EXPECT(machine_touch(0, at + 99 * PAGE, true) == 0 &&
	       machine_touch(0, at + 100 * PAGE, true));
	EXPECT(host_delete(AEGIS_SELF, own, at, 512, 0) == 1);
	/* What is at fault in the middle stops it there, and the record says where. */
	EXPECT(host_free(base + 50) == 1);
	r[0] = (struct aegis_bind){at, base + 40, RW | AEGIS_BIND_MORE(20)};
	host_put_binds(r, 1);
	EXPECT(sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, 1) == AEGIS_NOT_HELD);
	host_get_binds(r, 1);
	EXPECT(r[0].va == at + 10 * PAGE && r[0].pfn == base + 50 &&
	       r[0].prot == ((RW) | AEGIS_BIND_MORE(10)));
	EXPECT(host_bind(AEGIS_SELF, own, at, base, RW | AEGIS_BIND_LARGE | AEGIS_BIND_MORE(1)) ==
	       AEGIS_BAD_ARG);
	EXPECT(host_delete(AEGIS_SELF, own, at, 512, 0) == 1);
	for (uint32_t i = 0; i < 100; i++)
		EXPECT(i == 50 || host_free(base + i) == 1);
	return host_free(other) == 1 && host_sound();
}

static bool
test_large(void)
{
	static struct aegis_frame_rec f[512];
	uint64_t va = 0x10400000;
	uint32_t done, base;
	status st;

	for (uint32_t i = 0; i < 512; i++)
		f[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	for (done = 0; done < 512; done += (uint32_t)st) {
		host_put_frames(f + done, 512 - done);
		st = sys_mem_alloc(0, HOST_RECORDS, 512 - done, AEGIS_ALLOC_LARGE);
		EXPECT(st > 0);
		host_get_frames(f + done, 512 - done);
	}
	base = f[0].pfn;
	EXPECT(host_bind(AEGIS_SELF, own, va + PAGE, base, RW | AEGIS_BIND_LARGE) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, va, base + 1, RW | AEGIS_BIND_LARGE) == AEGIS_BAD_ARG);
	EXPECT(host_bind(AEGIS_SELF, own, va, base + 512, RW | AEGIS_BIND_LARGE) == AEGIS_NOT_HELD);
	do
		st = host_bind(AEGIS_SELF, own, HOST_AREA & ~0x1ffffful, base,
			       RW | AEGIS_BIND_LARGE);
	while (st == AEGIS_AGAIN); /* frames are cleared, a few at a time */
	EXPECT(st == AEGIS_IN_USE);
	EXPECT(host_bind(AEGIS_SELF, own, va, base, RW | AEGIS_BIND_LARGE) == 1);
	EXPECT(host_bind(AEGIS_SELF, own, va + PAGE, base, RW) == AEGIS_IN_USE);
	EXPECT(machine_touch(0, va + 5 * PAGE, true) == 0 && host_sound());
	range(true, va, 511, 0, &st);
	EXPECT(st == AEGIS_IN_USE);
	range(false, va, 512, AEGIS_BIND_READ, &st);
	EXPECT(st == 1);
	EXPECT(machine_touch(0, va, true) == 1);
	EXPECT(host_sound());
	/* Taking one frame of it breaks the whole binding. */
	host_put_frames(&f[7], 1);
	EXPECT(sys_mem_unshare(AEGIS_SELF, own, HOST_RECORDS, 1) == 1);
	EXPECT(machine_touch(0, va, false) == 1 && frames[base + 7].kind == FRAME_FREE &&
	       host_sound());
	for (uint32_t i = 0; i < 512; i++) {
		if (i != 7)
			EXPECT(host_free(base + i) == 1);
	}
	return host_sound();
}

/* Another processor that runs the space forgets before the call returns; one interrupt a batch. */
static bool
test_shootdown(void)
{
	uint32_t pfn = host_alloc(0);
	uint64_t ipis;
	struct aegis_bind r[20];

	host_cpu = 1;
	host_run(first);
	host_cpu = 0;
	for (uint32_t i = 0; i < 20; i++)
		r[i] = (struct aegis_bind){at + i * PAGE, pfn, RW};
	host_put_binds(r, 20);
	ipis = host_ipis;
	EXPECT(sys_tlb_write(AEGIS_SELF, own, HOST_RECORDS, 20) == 20 && host_ipis == ipis);
	for (uint32_t i = 0; i < 20; i++)
		EXPECT(machine_touch(1, at + i * PAGE, true) == 0);
	for (uint32_t i = 0; i < 20; i++)
		r[i] = (struct aegis_bind){at + i * PAGE, 1, 0};
	host_put_binds(r, 20);
	EXPECT(sys_tlb_delete(AEGIS_SELF, own, HOST_RECORDS, 20) == 20 && host_ipis == ipis + 1);
	for (uint32_t i = 0; i < 20; i++)
		EXPECT(machine_touch(1, at + i * PAGE, false) == 1);
	host_cpu = 1;
	cpus[1].env = NULL;
	space_unload();
	host_cpu = 0;
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

static bool
test_drop(void)
{
	uint32_t pfn = host_alloc(0);

	EXPECT(host_bind(AEGIS_SELF, own, at, pfn, RW) == 1 && machine_touch(0, at, false) == 0);
	lock_acquire(&first->space->lock);
	_space_drop(first->space);
	lock_release(&first->space->lock);
	EXPECT(machine_touch(0, at, false) == 1 && machine_touch(0, HOST_AREA, true) == 0);
	EXPECT(host_free(pfn) == 1);
	return host_sound();
}

int
main(void)
{
	uint32_t before;

	host_boot(HOST_FRAMES, 2);
	first = current();
	own = first->space->number;
	host_bind(AEGIS_SELF, own, 0x10200000, host_alloc(0),
		  AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(1));
	before = system_page->free_frames;
	host_ok(test_prot(), "protection and addresses");
	host_ok(test_count(), "the most bindings of a frame");
	host_ok(test_batch(), "batches");
	host_ok(test_tables(), "tables come and go");
	host_ok(test_bits(), "accessed and dirty");
	host_ok(test_protect_rights(), "protect adds no rights");
	host_ok(test_long(), "long ranges");
	host_ok(test_run(), "runs");
	host_ok(test_large(), "large pages");
	host_ok(test_shootdown(), "shootdown");
	host_ok(test_drop(), "bindings are a cache");
	host_ok(system_page->free_frames == before, "all frames are back");
	return host_done();
}
