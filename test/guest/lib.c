/* SPDX-License-Identifier: MIT */
/*
 * Calls made convenient.  Each helper puts its records into the caller's batch page and answers
 * what the kernel answered; those named frame_get and so on take success for granted.
 */
#include "guest.h"

void *
memset(void *to, int byte, size_t n)
{
	uint8_t *p = to;

	while (n--)
		*p++ = (uint8_t)byte;
	return to;
}

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *p = to;

	__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n)::"memory");
	return to;
}

bool
text_is(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* ---- time ---- */

uint64_t
tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

uint64_t
ns(uint64_t t)
{
	return (uint64_t)(((unsigned __int128)t * SYSTEM->ns_mult) >> 32);
}

uint64_t
ticks(uint64_t n)
{
	return n / 1000 * (SYSTEM->tsc_hz / 1000000) + n % 1000 * (SYSTEM->tsc_hz / 1000000) / 1000;
}

static status
leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c)
{
	volatile struct aegis_area *area = &self()->area;
	uint32_t old = area->defer;
	int64_t st;

	area->defer = 1; /* a handler that yields would use guest.resume */
	if (call == AEGIS_CALL_sleep && !old && area->pending)
		st = AEGIS_AGAIN; /* what came before it was deferred is to be told first */
	else
		st = guest_leave(call, a, b, c);
	if (!old) {
		area->defer = 0;
		if (area->pending)
			aegis_null();
	}
	return st;
}

status
guest_sleep(uint64_t deadline, uint32_t flags)
{
	return leave(AEGIS_CALL_sleep, env_page(self())->events, deadline, flags);
}

status
guest_sleep_on(uint32_t seen, uint64_t deadline, uint32_t flags)
{
	return leave(AEGIS_CALL_sleep, seen, deadline, flags);
}

bool
guest_sleep_unless(const volatile uint32_t *stop, uint32_t flags)
{
	uint32_t seen = env_page(self())->events;

	if (*stop)
		return false;
	guest_sleep_on(seen, AEGIS_NEVER, flags);
	return true;
}

status
guest_yield(uint32_t env)
{
	return leave(AEGIS_CALL_yield, CAP, env, 0);
}

void
rest(uint64_t n)
{
	uint64_t end = tsc() + ticks(n);

	while (tsc() < end)
		guest_sleep(end, 0);
}

void
relax_or_yield(void)
{
	if (SYSTEM->cpus == 1)
		leave(AEGIS_CALL_yield, AEGIS_SELF, AEGIS_ANY, 0);
	else
		relax();
}

bool
wait_for(volatile uint32_t *word, uint32_t value)
{
	uint64_t end = tsc() + ticks(HANG);

	while (*word < value) {
		if (tsc() > end)
			return false;
		rest(200000);
	}
	return true;
}

uint64_t
random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ul;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ x >> 27) * 0x94d049bb133111ebul;
	return x ^ x >> 31;
}

/* ---- frames ---- */

status
frame_alloc(uint32_t cap, uint32_t pfn, uint32_t *out)
{
	struct aegis_frame_rec *r = batch_frames();
	status st;

	*r = (struct aegis_frame_rec){pfn, 0};
	st = aegis_mem_alloc(cap, BATCH, 1, 0);
	*out = r->pfn;
	return st;
}

uint32_t
frame_get(void)
{
	uint32_t pfn;

	require_is(frame_alloc(CAP, AEGIS_ANY, &pfn), 1);
	return pfn;
}

void
frames_get(uint32_t *pfns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		pfns[i] = frame_get();
}

status
frame_free(uint32_t pfn)
{
	*batch_frames() = (struct aegis_frame_rec){pfn, 0};
	return aegis_mem_free(BATCH, 1);
}

void
frame_put(uint32_t pfn)
{
	check_is(frame_free(pfn), 1);
}

void
frames_put(const uint32_t *pfns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		frame_put(pfns[i]);
}

status
frame_bind(uint32_t cap, uint32_t pfn, uint32_t rights)
{
	*batch_frames() = (struct aegis_frame_rec){pfn, rights};
	return aegis_mem_bind(cap, BATCH, 1);
}

status
frame_share(uint32_t cap, uint32_t space, uint32_t pfn, uint32_t rights)
{
	*batch_frames() = (struct aegis_frame_rec){pfn, rights};
	return aegis_mem_share(cap, space, BATCH, 1);
}

status
frame_unshare(uint32_t cap, uint32_t space, uint32_t pfn)
{
	status st;

	do {
		*batch_frames() = (struct aegis_frame_rec){pfn, 0};
		st = aegis_mem_unshare(cap, space, BATCH, 1);
	} while (st == AEGIS_AGAIN);
	return st;
}

status
frame_mark(uint32_t pfn, uint32_t flags)
{
	*batch_frames() = (struct aegis_frame_rec){pfn, flags};
	return aegis_mem_mark(BATCH, 1);
}

/* ---- bindings ---- */

static uint32_t
cap_for(uint32_t space)
{
	return space == self()->space ? AEGIS_SELF : CAP;
}

status
bind_only(uint32_t cap, uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	status st;

	/* The frames of a large binding are cleared a few at a time. */
	do {
		*batch_binds() = (struct aegis_bind){va, pfn, prot};
		st = aegis_tlb_write(cap, space, BATCH, 1);
	} while (st == AEGIS_AGAIN && (prot & AEGIS_BIND_LARGE));
	return st;
}

status
table_supply(uint32_t space, uint64_t va, uint32_t level, uint32_t pfn)
{
	va &= ~((1ul << (12 + 9 * level)) - 1);
	return bind_only(cap_for(space), space, va, pfn,
			 AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level));
}

status
table_take(uint32_t space, uint64_t va, uint32_t level)
{
	va &= ~((1ul << (12 + 9 * level)) - 1);
	*batch_binds() = (struct aegis_bind){va, 0, AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level)};
	return aegis_tlb_delete(cap_for(space), space, BATCH, 1);
}

status
hold_supply(uint32_t space, uint32_t span)
{
	uint32_t pfn = frame_get();
	status st;

	*batch_frames() = (struct aegis_frame_rec){pfn, span};
	st = aegis_mem_table(cap_for(space), space, BATCH, 1);
	if (st != 1)
		frame_put(pfn);
	return st;
}

/* The lowest table that can be supplied for va; false: none is missing. */
static bool
table_missing(uint32_t space, uint64_t va)
{
	uint32_t pfn = frame_get();

	for (uint32_t level = 1; level <= 3; level++) {
		status st = table_supply(space, va, level, pfn);

		if (st == 1)
			return true;
		if (st != AEGIS_NEED_TABLE)
			break;
	}
	frame_put(pfn);
	return false;
}

status
bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	status st;

	for (int i = 0; i < 8; i++) {
		st = bind_only(cap_for(space), space, va, pfn, prot);
		if (st != AEGIS_NEED_TABLE)
			return st;
		if (!table_missing(space, va) && hold_supply(space, pfn / AEGIS_HOLD_SPAN) != 1)
			return st;
	}
	return st;
}

status
unbind(uint32_t space, uint64_t va, uint32_t pages)
{
	struct aegis_bind *b = batch_binds();
	status st;

	*b = (struct aegis_bind){va, pages, 0};
	do {
		st = aegis_tlb_delete(cap_for(space), space, BATCH, 1);
	} while (st == 0);
	return st;
}

status
protect(uint32_t space, uint64_t va, uint32_t pages, uint32_t prot, uint32_t *was)
{
	struct aegis_bind *b = batch_binds();
	status st;

	*b = (struct aegis_bind){va, pages, prot};
	do {
		st = aegis_tlb_protect(cap_for(space), space, BATCH, 1);
	} while (st == 0);
	if (was)
		*was = b->prot & (AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY);
	return st;
}
