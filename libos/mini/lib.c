/* SPDX-License-Identifier: MIT */
/*
 * Calls made convenient, the lines that go to the host, and children.
 *
 * 1. Every call has its one record at BATCH of the caller's area.  Handlers use that place, too, so
 *    whoever uses it while something may come in defers.
 * 2. All that is said in a run fits into one page, so that a buffer is never used again while it is
 *    posted.  Without a host channel it goes to the kernel's log.
 */
#include <host/channel.h>

#include "mini.h"

static _Alignas(4096) uint8_t page[AEGIS_PAGE];
static uint32_t page_used, posts;
static bool chan;
static volatile struct aegis_chan_page *const chan_page = (void *)CHAN_VA;

void *memset(void *to, int byte, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);

void *
memset(void *to, int byte, size_t n)
{
	void *p = to;

	__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(byte) : "memory");
	return to;
}

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *p = to;

	__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n)::"memory");
	return to;
}

/* ---- what is said ---- */

static void
put(const void *bytes, uint32_t n)
{
	uint32_t pfn = (uint32_t)((*aegis_window((uint64_t)page) & AEGIS_PTE_FRAME) >> 12);

	if (n > AEGIS_PAGE - page_used)
		return;
	memcpy(page + page_used, bytes, n);
	if (chan && aegis_chan_post(1, pfn, page_used, n) >= 0)
		posts++;
	page_used += n;
}

static void
put_control(enum channel_type type, uint32_t words, uint32_t first, uint32_t second)
{
	struct channel_control frame = channel_control(type, 0, 0, words, first, second);

	if (chan)
		put(frame.bytes, frame.count);
}

void
chan_open(void)
{
	if (!SYSTEM->chan_frame || aegis_chan_claim(CAP) != AEGIS_OK)
		return;
	frame_hold(CAP, SYSTEM->chan_frame);
	bind(self()->space, CHAN_VA, SYSTEM->chan_frame, AEGIS_BIND_READ);
	chan = true;
	put_control(CHANNEL_HELLO, 1, CHANNEL_VERSION, 0);
}

static char *
number_put(char *to, uint64_t value, uint32_t base)
{
	char digits[20];
	uint32_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		*to++ = digits[--n];
	return to;
}

void
line(const char *format, ...)
{
	uint8_t text[512];
	char *at = (char *)text + CHANNEL_HEADER, *limit = (char *)text + sizeof(text) - 24;
	__builtin_va_list args;
	uint32_t n;

	__builtin_va_start(args, format);
	for (const char *p = format; *p && at < limit; p++) {
		if (*p != '%')
			*at++ = *p;
		else if (*++p != 's')
			at = number_put(at, __builtin_va_arg(args, uint64_t), *p == 'x' ? 16 : 10);
		else
			for (const char *s = __builtin_va_arg(args, const char *);
			     *s && at < limit;)
				*at++ = *s++;
	}
	__builtin_va_end(args);
	*at++ = '\n';
	n = (uint32_t)(at - (char *)text) - CHANNEL_HEADER;
	channel_put_head(text, CHANNEL_DATA, 0, 1, n);
	if (chan) {
		put(text, n + CHANNEL_HEADER);
		return;
	}
	memcpy((char *)self() + BATCH, text + CHANNEL_HEADER, n);
	aegis_log_write(CAP, BATCH, n);
}

_Noreturn void
end(uint32_t status)
{
	put_control(CHANNEL_EXIT, 2, CHANNEL_EXITED, status);
	while (chan && chan_page->done[1] != posts)
		rest(200000);
	for (;;)
		aegis_power_off(CAP, status);
}

void
must_be(int64_t st, int64_t value, uint32_t at, const char *what)
{
	if (st == value)
		return;
	line("mini: line %u: %s answered %s%u", (uint64_t)at, what, st < 0 ? "-" : "",
	     (uint64_t)(st < 0 ? -st : st));
	end(1);
}

/* ---- time ---- */

uint64_t
ticks(uint64_t ns)
{
	return ns / 1000 * (SYSTEM->tsc_hz / 1000000);
}

/* A handler that leaves the processor would use mini.resume as well: none comes meanwhile. */
static uint32_t
defer(void)
{
	uint32_t old = self()->area.defer;

	*(volatile uint32_t *)&self()->area.defer = 1;
	return old;
}

static void
undefer(uint32_t old)
{
	volatile struct aegis_area *area = &self()->area;

	area->defer = old;
	if (!old && area->pending)
		aegis_null();
}

int64_t
leave(uint64_t call, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t old = defer();
	int64_t st = mini_leave(call, a, b, c);

	undefer(old);
	return st;
}

int64_t
transfer(uint32_t call, uint32_t gate, uint64_t message[6])
{
	uint32_t old = defer();
	int64_t st;

	while ((st = mini_transfer(AEGIS_GATE(gate) | (MINI_CALLS + call), message)) == AEGIS_BUSY)
		rest(200000);
	undefer(old);
	return st;
}

void
rest(uint64_t ns)
{
	leave(AEGIS_CALL_sleep, OWN->events, tsc() + ticks(ns), 0);
}

bool
wait_for(const volatile uint32_t *word, uint32_t value)
{
	uint64_t limit = tsc() + ticks(20 * SECOND);

	while (*word < value && tsc() < limit)
		rest(200000);
	return *word >= value;
}

/* ---- memory ---- */

struct aegis_frame_rec *
frame_rec(uint32_t pfn, uint32_t flags)
{
	struct aegis_frame_rec *r = (struct aegis_frame_rec *)((uint64_t)self() + BATCH);

	*r = (struct aegis_frame_rec){pfn, flags};
	return r;
}

uint32_t
frame_get(uint32_t pfn)
{
	struct aegis_frame_rec *r = frame_rec(pfn, 0);

	must(aegis_mem_alloc(CAP, BATCH, 1, 0), 1);
	return r->pfn;
}

void
frame_put(uint32_t pfn)
{
	frame_rec(pfn, 0);
	must(aegis_mem_free(BATCH, 1), 1);
}

void
frame_hold(uint32_t cap, uint32_t pfn)
{
	frame_rec(pfn, AEGIS_READ);
	must(aegis_mem_bind(cap, BATCH, 1), 1);
}

bool
frame_free(uint32_t pfn)
{
	return ((const volatile uint8_t *)MAP_VA)[pfn / 8] >> pfn % 8 & 1;
}

static int64_t
bind_one(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct aegis_bind *b = (struct aegis_bind *)((uint64_t)self() + BATCH);

	*b = (struct aegis_bind){va, pfn, prot};
	return aegis_tlb_write(space == self()->space ? AEGIS_SELF : CAP, space, BATCH, 1);
}

/* The page table that is missing above va, or the page that is to record the holding of pfn. */
static void
table_supply(uint32_t space, uint64_t va, uint32_t pfn)
{
	uint32_t table = frame_get(AEGIS_ANY);

	for (uint32_t level = 1; level <= 3; level++) {
		int64_t st = bind_one(space, va & ~((1ul << (12 + 9 * level)) - 1), table,
				      AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level));

		if (st == 1)
			return;
		if (st != AEGIS_NEED_TABLE)
			break;
	}
	frame_rec(table, pfn / AEGIS_HOLD_SPAN);
	must(aegis_mem_table(CAP, space, BATCH, 1), 1);
}

void
bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	int64_t st;

	while ((st = bind_one(space, va, pfn, prot)) == AEGIS_NEED_TABLE)
		table_supply(space, va, pfn);
	must(st, 1);
}

void
unbind(uint64_t va, uint32_t pages)
{
	struct aegis_bind *b = (struct aegis_bind *)((uint64_t)self() + BATCH);

	*b = (struct aegis_bind){va, pages, 0};
	must(aegis_tlb_delete(AEGIS_SELF, self()->space, BATCH, 1), 1);
}

/* ---- environments ---- */

void
setup_write(const struct mini *m, uint32_t env, uint32_t space, uint32_t cpu, uint32_t flags)
{
	*(struct aegis_setup *)((uint64_t)self() + BATCH) = (struct aegis_setup){
		.area_va = (uint64_t)m,
		.area_pages = AEGIS_AREA_PAGES,
		.stack_page = 4,
		.fault_entry = (uint64_t)mini_fault_entry,
		.async_entry = (uint64_t)mini_async_entry,
		.begin_entry = (uint64_t)mini_begin,
		.call_entry = (uint64_t)mini_call,
		.call_stack = (uint64_t)m + 4 * AEGIS_PAGE,
		.resume_start = (uint64_t)mini_resume_start,
		.resume_rip = (uint64_t)mini_resume_rip,
		.gs_base = (uint64_t)m,
		.space = space,
		.cpu = cpu,
		.flags = flags,
	};
	must(aegis_env_write(env == self()->env ? AEGIS_SELF : CAP, env, BATCH), AEGIS_OK);
}

/* A space with the image, the public page and an area in it. */
static void
child_space(struct child *c)
{
	uint32_t f[AEGIS_SPACE_FRAMES], always = AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED;

	for (uint32_t i = 0; i < AEGIS_SPACE_FRAMES; i++)
		f[i] = frame_get(AEGIS_ANY);
	for (uint32_t i = AEGIS_SPACE_FRAMES; i-- > 0;)
		frame_rec(f[0], 0)[i] = (struct aegis_frame_rec){f[i], 0};
	c->space = (uint32_t)aegis_space_create(CAP, BATCH, 0);
	must((int32_t)c->space > 0, 1);
	for (uint64_t va = (uint64_t)image_text; va < (uint64_t)image_end; va += AEGIS_PAGE)
		bind(c->space, va, boot->image_frame + (uint32_t)((va - boot->image_low) >> 12),
		     always | (va < (uint64_t)image_constants ? AEGIS_BIND_EXEC
			       : va < (uint64_t)image_data    ? 0
							      : AEGIS_BIND_WRITE));
	bind(c->space, SYSTEM_VA, boot->system_frame, always);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		c->area[i] = frame_get(AEGIS_ANY);
		bind(c->space, CHILD_VA + i * AEGIS_PAGE, c->area[i], always | AEGIS_BIND_WRITE);
	}
	bind(self()->space, CHILD_VA, c->area[0], RW);
}

void
child_make(struct child *c, void (*fn)(void))
{
	struct aegis_env_create *r = (struct aegis_env_create *)((uint64_t)self() + BATCH);
	struct aegis_env_create record = {0};
	struct mini *m = (struct mini *)CHILD_VA;

	child_space(c);
	for (uint32_t i = 0; i < AEGIS_ENV_FRAMES; i++)
		record.frames[i] = frame_get(AEGIS_ANY);
	record.space = c->space;
	c->exposed = record.frames[2];
	*r = record;
	c->env = (uint32_t)aegis_env_create(CAP, BATCH);
	must((int32_t)c->env > 0, 1);
	frame_hold(CAP, c->exposed);
	bind(self()->space, EXPOSED_VA, c->exposed, AEGIS_BIND_READ);
	bind(c->space, OWN_VA, c->exposed, AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED);
	*m = (struct mini){.area = {.defer = 1}, .fn = fn, .env = c->env, .space = c->space};
	m->stack_top = CHILD_VA + 3 * AEGIS_PAGE;
	setup_write(m, c->env, c->space, SYSTEM->cpus - 1, AEGIS_SETUP_EXTRA);
}

void
child_end(struct child *c)
{
	int64_t st;

	while ((st = aegis_env_destroy(CAP, c->env)) == AEGIS_AGAIN)
		rest(200000);
	must(st, AEGIS_OK);
	while ((st = aegis_space_destroy(CAP, c->space)) == AEGIS_AGAIN)
		rest(200000);
	must(st, AEGIS_OK);
	unbind(CHILD_VA, 1);
	unbind(EXPOSED_VA, 1);
	frame_put(c->exposed);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		frame_put(c->area[i]);
}
