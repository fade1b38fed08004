/* SPDX-License-Identifier: MIT */
/*
 * A small library operating system, on the Aegis ABI alone: it shows what the kernel gives to whoever
 * asks, so that nothing in ExOS needs to be privileged.  One line a demonstration; the exit status is 0
 * if every one showed what it is to show.  If the archive has root/boot/exos, mini leaves the host
 * channel alone, writes to the log, and then starts that library as an environment of its own.
 *
 * 1. Every environment has its area where the boot has it, its own page at OWN_VA, and the image, data
 *    included, in common.  Area: page 0 struct mini, 1 records of calls, 2 and 3 a child's stacks,
 *    4..7 upcall stack.
 * 2. A call's records begin at BATCH; while handlers use that place, the others wait for them.
 * 3. All that is said in a run fits into one page, so that no buffer is used again while it is posted.
 */
#include <stdbool.h>
#include <stddef.h>

#define AEGIS_STUBS
#include <aegis/aegis.h>
#include <host/channel.h>

#define OWN_VA    0x10020000ul /* the environment's own page */
#define SYSTEM_VA 0x10021000ul
#define EXPOSED_VA \
	0x10022000ul /* a child's own page, and the first of its area, as its maker has them */
#define CHILD_VA   0x10023000ul
#define CHAN_VA    0x10024000ul
#define MAP_VA     0x10030000ul /* which frames are free */
#define DEMO_VA    0x10100000ul
#define LOAD_VA    0x11000000ul /* what is loaded for another library */
#define ARCHIVE_VA 0x100000000ul
#define BATCH      0x1000u
#define RECORDS    (AEGIS_BOOT_AREA + BATCH)
#define CAP        0u
#define RO         AEGIS_BIND_READ
#define RW         (RO | AEGIS_BIND_WRITE)
#define ALWAYS     AEGIS_BIND_GUARANTEED
#define BEGUN      (1l << 62)
#define MS         1000000ul
#define OWN        ((const volatile struct aegis_env_page *)OWN_VA)
#define EXPOSED    ((const volatile struct aegis_env_page *)EXPOSED_VA)
#define SYSTEM     ((const volatile struct aegis_system_page *)SYSTEM_VA)
#define CHAN       ((const volatile struct aegis_chan_page *)CHAN_VA)
#define SELF       ((struct mini *)AEGIS_BOOT_AREA)

struct mini {
	volatile struct aegis_area area;
	uint64_t stack_top, resume, target;
	void (*fn)(void); /* of a child */
	uint32_t env, space;
};
_Static_assert(offsetof(struct mini, stack_top) == 64, "start.S");
_Static_assert(offsetof(struct aegis_frame, deferred) == 28, "start.S");
_Static_assert(offsetof(struct aegis_frame, rdi) == 32, "start.S");
_Static_assert(offsetof(struct aegis_frame, rip) == 104, "start.S");

struct child {
	uint32_t env, space, area[AEGIS_AREA_PAGES], exposed;
};

extern const char mini_begin[], mini_fault_entry[], mini_async_entry[], mini_call[];
extern const char mini_resume_start[], mini_resume_rip[];
extern const char image_text[], image_constants[], image_data[], image_end[];
int64_t mini_leave(uint64_t rax, uint64_t message[6]);
_Noreturn void mini_become(uint64_t entry, uint64_t argument, uint64_t stack);
_Noreturn void mini_boot(const struct aegis_boot_page *page);
_Noreturn void mini_child(void);
void mini_fault(struct aegis_frame *f);
void mini_async(void);
void mini_called(uint64_t message[6], uint32_t caller);
void *memset(void *to, int byte, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);

static struct aegis_boot_page boot; /* children do not have the page itself */
static _Alignas(4096) uint8_t page[AEGIS_PAGE];
static uint32_t page_used, posts;
static bool chan, failed;
static volatile uint32_t divides, breakpoints, repairs, repair_frame; /* exceptions */
static volatile uint32_t ends, begins, elsewhere;                     /* slices */
static volatile uint32_t store[4], stored, given, asked;              /* frames to give back */
static volatile uint32_t served, sent;                                /* transfers */
static uint64_t library_entry;

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

/* ---- time ---- */

static uint64_t
after(uint64_t ns) /* TSC */
{
	return __builtin_ia32_rdtsc() + ns / 1000 * (SYSTEM->tsc_hz / 1000000);
}

/* A handler that leaves the processor would use mini.resume as well: none comes meanwhile. */
static int64_t
leave(uint64_t rax, uint64_t message[6])
{
	volatile struct aegis_area *area = &SELF->area;
	uint32_t old = area->defer;
	int64_t st;

	area->defer = 1;
	st = mini_leave(AEGIS_CALL_BASE + rax, message);
	area->defer = old;
	if (!old && area->pending)
		aegis_null();
	return st;
}

static void
sleep_until(uint64_t deadline, uint32_t flags)
{
	leave(AEGIS_CALL_sleep, (uint64_t[6]){OWN->events, deadline, flags});
}

static int64_t
transfer(uint32_t call, uint32_t gate, uint64_t message[6])
{
	int64_t st;

	while ((st = leave(AEGIS_GATE(gate) + call, message)) == AEGIS_BUSY)
		sleep_until(after(MS / 5), 0);
	return st;
}

static void
wait_for(const volatile uint32_t *word, uint32_t value)
{
	for (uint64_t limit = after(20000 * MS); *word < value && after(0) < limit;)
		sleep_until(after(MS / 5), 0);
}

/* ---- what is said ---- */

static void
put(const void *bytes, uint32_t n)
{
	uint64_t frame = *aegis_window((uint64_t)page) & AEGIS_PTE_FRAME;

	if (n > AEGIS_PAGE - page_used)
		return;
	memcpy(page + page_used, bytes, n);
	posts += aegis_chan_post(1, (uint32_t)(frame >> 12), page_used, n) >= 0;
	page_used += n;
}

static void
put_control(enum channel_type type, uint32_t words, uint32_t first, uint32_t second)
{
	struct channel_control frame = channel_control(type, 0, 0, words, first, second);

	if (chan)
		put(frame.bytes, frame.count);
}

static void
say(const char *format, const uint64_t *values)
{
	uint8_t text[400], *at = text + CHANNEL_HEADER;
	uint32_t n;

	for (; *format; format++) {
		uint64_t value, base = *format == '$' ? 16 : 10, unit = 1;

		if (*format != '#' && *format != '$') {
			*at++ = (uint8_t)*format;
			continue;
		}
		value = *values++;
		while (value / unit >= base)
			unit *= base;
		for (; unit; unit /= base)
			*at++ = (uint8_t) "0123456789abcdef"[value / unit % base];
	}
	*at++ = '\n';
	n = (uint32_t)(at - text) - CHANNEL_HEADER;
	channel_put_head(text, CHANNEL_DATA, 0, 1, n);
	if (chan) {
		put(text, n + CHANNEL_HEADER);
	} else {
		memcpy((void *)RECORDS, text + CHANNEL_HEADER, n);
		aegis_log_write(CAP, BATCH, n);
	}
}

_Noreturn static void
end(uint32_t status)
{
	put_control(CHANNEL_EXIT, 2, CHANNEL_EXITED, status);
	while (chan && CHAN->done[1] != posts)
		sleep_until(after(MS / 5), 0);
	for (;;)
		aegis_power_off(CAP, status);
}

/* Formats have # for a number and $ for one in base 16. */
#define report(good, format, ...) \
	(failed |= !(good),       \
	 say(failed ? "FAILED: " format : format, (const uint64_t[]){__VA_ARGS__}))
#define must(e, value) must_be((int64_t)(e), (int64_t)(value), __LINE__)

static void
must_be(int64_t st, int64_t value, uint32_t line)
{
	if (st == value)
		return;
	say("mini.c:#: answer -#", (const uint64_t[]){line, (uint64_t)-st});
	end(1);
}

/* ---- memory ---- */

static struct aegis_frame_rec *
frame_rec(uint32_t pfn, uint32_t flags)
{
	struct aegis_frame_rec *r = (struct aegis_frame_rec *)RECORDS;

	*r = (struct aegis_frame_rec){pfn, flags};
	return r;
}

static uint32_t
frame_get(uint32_t pfn)
{
	struct aegis_frame_rec *r = frame_rec(pfn, 0);

	must(aegis_mem_alloc(CAP, BATCH, 1, 0), 1);
	return r->pfn;
}

static void
frame_put(uint32_t pfn)
{
	frame_rec(pfn, 0);
	must(aegis_mem_free(BATCH, 1), 1);
}

static bool
frame_free(uint32_t pfn) /* as the exposed map says */
{
	return ((const volatile uint8_t *)MAP_VA)[pfn / 8] >> pfn % 8 & 1;
}

static int64_t
bind_one(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	*(struct aegis_bind *)RECORDS = (struct aegis_bind){va, pfn, prot};
	return aegis_tlb_write(space == SELF->space ? AEGIS_SELF : CAP, space, BATCH, 1);
}

/* Supplies the page that records the holdings of a span of frames; false: it is there. */
static bool
span_supply(uint32_t space, uint32_t span, uint32_t table)
{
	frame_rec(table, span);
	return aegis_mem_table(CAP, space, BATCH, 1) == 1;
}

/* Binds; the page tables and holdings pages that are missing are supplied. */
static void
bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	int64_t st;

	while ((st = bind_one(space, va, pfn, prot)) == AEGIS_NEED_TABLE) {
		uint32_t table = frame_get(AEGIS_ANY);

		st = AEGIS_NEED_TABLE;
		for (uint32_t level = 1; level <= 3 && st == AEGIS_NEED_TABLE; level++)
			st = bind_one(space, va & ~((1ul << (12 + 9 * level)) - 1), table,
				      AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level));
		if (st != 1)
			must(span_supply(space, pfn / AEGIS_HOLD_SPAN, table), 1);
	}
	must(st, 1);
}

static void
bind_exposed(uint32_t cap, uint64_t va, uint32_t pfn)
{
	frame_rec(pfn, AEGIS_READ);
	must(aegis_mem_bind(cap, BATCH, 1), 1);
	bind(SELF->space, va, pfn, RO);
}

static void
unbind(uint64_t va, uint32_t pages)
{
	*(struct aegis_bind *)RECORDS = (struct aegis_bind){va, pages, 0};
	must(aegis_tlb_delete(AEGIS_SELF, SELF->space, BATCH, 1), 1);
}

/* ---- environments ---- */

static void
setup_write(uint32_t env, uint32_t space, uint32_t cpu, uint32_t flags)
{
	*(struct aegis_setup *)RECORDS = (struct aegis_setup){
		.area_va = AEGIS_BOOT_AREA,
		.area_pages = AEGIS_AREA_PAGES,
		.stack_page = 4,
		.fault_entry = (uint64_t)mini_fault_entry,
		.async_entry = (uint64_t)mini_async_entry,
		.begin_entry = (uint64_t)mini_begin,
		.call_entry = (uint64_t)mini_call,
		.call_stack = AEGIS_BOOT_AREA + 4 * AEGIS_PAGE,
		.resume_start = (uint64_t)mini_resume_start,
		.resume_rip = (uint64_t)mini_resume_rip,
		.gs_base = AEGIS_BOOT_AREA,
		.space = space,
		.cpu = cpu,
		.flags = flags,
	};
	must(aegis_env_write(env == SELF->env ? AEGIS_SELF : CAP, env, BATCH), 0);
}

/* A space with the image and an area in it, and an environment there, which is not woken yet. */
static void
child_make(struct child *c, void (*fn)(void))
{
	struct aegis_env_create record = {0};
	uint32_t f[3];

	for (uint32_t i = 0; i < 3; i++)
		f[i] = frame_get(AEGIS_ANY);
	for (uint32_t i = 3; i-- > 0;)
		frame_rec(f[0], 0)[i] = (struct aegis_frame_rec){f[i], 0};
	record.space = c->space = (uint32_t)aegis_space_create(CAP, BATCH, 0);
	must((int32_t)c->space > 0, 1);
	for (uint64_t va = boot.image_low; va < boot.image_high; va += AEGIS_PAGE)
		bind(c->space, va, boot.image_frame + (uint32_t)((va - boot.image_low) >> 12),
		     va < (uint64_t)image_constants ? RO | AEGIS_BIND_EXEC | ALWAYS
		     : va < (uint64_t)image_data    ? RO | ALWAYS
						    : RW | ALWAYS);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		bind(c->space, AEGIS_BOOT_AREA + i * AEGIS_PAGE, c->area[i] = frame_get(AEGIS_ANY),
		     RW | ALWAYS);
	for (uint32_t i = 0; i < 3; i++)
		record.frames[i] = c->exposed = frame_get(AEGIS_ANY);
	*(struct aegis_env_create *)RECORDS = record;
	c->env = (uint32_t)aegis_env_create(CAP, BATCH);
	must((int32_t)c->env > 0, 1);
	bind(c->space, SYSTEM_VA, boot.system_frame, RO | ALWAYS);
	bind_exposed(CAP, EXPOSED_VA, c->exposed);
	bind(c->space, OWN_VA, c->exposed, RO | ALWAYS);
	bind(SELF->space, CHILD_VA, c->area[0], RW);
	*(struct mini *)CHILD_VA = (struct mini){
		.stack_top = AEGIS_BOOT_AREA + 3 * AEGIS_PAGE,
		.fn = fn,
		.env = c->env,
		.space = c->space,
	};
	setup_write(c->env, c->space, SYSTEM->cpus - 1, AEGIS_SETUP_EXTRA);
}

static void
child_end(struct child *c)
{
	int64_t st;

	while ((st = aegis_env_destroy(CAP, c->env)) == AEGIS_AGAIN)
		sleep_until(after(MS / 5), 0);
	must(st, 0);
	while ((st = aegis_space_destroy(CAP, c->space)) == AEGIS_AGAIN)
		;
	must(st, 0);
	unbind(EXPOSED_VA, 2);
	frame_put(c->exposed);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		frame_put(c->area[i]);
}

_Noreturn void
mini_child(void)
{
	SELF->area.defer = 0;
	SELF->fn();
	for (;;)
		aegis_env_destroy(AEGIS_SELF, SELF->env);
}

/* ---- 1: exceptions ---- */

void
mini_fault(struct aegis_frame *f)
{
	if (f->cause == AEGIS_CAUSE_DIVIDE) {
		f->rip += 2; /* past the division */
		divides++;
	} else if (f->cause == AEGIS_CAUSE_BREAKPOINT) {
		breakpoints++;
	} else if (f->cause == AEGIS_CAUSE_PAGE && f->addr == DEMO_VA) {
		repair_frame = frame_get(AEGIS_ANY);
		bind(SELF->space, DEMO_VA, repair_frame, RW);
		repairs++;
	} else {
		say("mini: exception # at $, address $", (uint64_t[]){f->cause, f->rip, f->addr});
		end(1);
	}
}

static void
exceptions(void)
{
	volatile uint64_t *word = (volatile uint64_t *)DEMO_VA;
	uint32_t before = OWN->upcalls;
	uint64_t value = 42, high = 0;

	__asm__ volatile("divl %k2" : "+a"(value), "+d"(high) : "c"(0ul) : "cc");
	__asm__ volatile("int3");
	*word = value;
	report(divides == 1 && breakpoints == 1 && repairs == 1 && *word == 42,
	       "1 exceptions: # division by zero, # breakpoint, # page fault at $, repaired with "
	       "frame #, where # is now; # upcalls",
	       divides, breakpoints, repairs, DEMO_VA, repair_frame, *word, OWN->upcalls - before);
	unbind(DEMO_VA, 1);
	frame_put(repair_frame);
}

/* ---- 2: time ---- */

static void
slices(uint32_t a, uint32_t b)
{
	uint32_t cpu = OWN->cpu;

	must(aegis_slice_alloc(CAP, cpu, a), a);
	must(aegis_slice_alloc(CAP, cpu, b), b);
	ends = begins = elsewhere = 0;
	setup_write(SELF->env, SELF->space, cpu, 0); /* no time but what it owns */
	for (uint64_t limit = after(20000 * MS); begins < 4 && after(0) < limit;)
		elsewhere += OWN->slice != a && OWN->slice != b && begins > ends - 1;
	report(begins >= 4 && ends >= begins,
	       "2 time: slices # and # of processor # alone; told of # ends and # begins", a, b,
	       cpu, ends, begins);
	setup_write(SELF->env, SELF->space, cpu, AEGIS_SETUP_EXTRA);
	must(aegis_slice_free(cpu, a), 0);
	must(aegis_slice_free(cpu, b), 0);
}

/* ---- 3: memory ---- */

static void
frames(void)
{
	const volatile uint64_t *entry = aegis_window(DEMO_VA);
	uint64_t bits = AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY, before;
	uint32_t f[2], n = 0;

	/* Two of the same colour in a cache where frames that are equal modulo 64 meet. */
	for (uint32_t pfn = SYSTEM->frames; pfn-- > 0 && n < 2;) {
		if (pfn % 64 == 5 && frame_free(pfn))
			f[n++] = pfn;
	}
	must(n, 2);
	for (uint32_t i = 0; i < 2; i++)
		bind(SELF->space, DEMO_VA + i * AEGIS_PAGE, frame_get(f[i]), RW);
	before = (entry[0] | entry[1]) & bits;
	(void)*(volatile uint64_t *)DEMO_VA;
	*(volatile uint64_t *)(DEMO_VA + AEGIS_PAGE) = 1;
	report((entry[0] & AEGIS_PTE_FRAME) >> 12 == f[0] && !before && !frame_free(f[0]) &&
		       (entry[0] & bits) == AEGIS_PTE_ACCESSED && (entry[1] & bits) == bits,
	       "3 memory: frames # and #, free in the map, taken by number; accessed and dirty in "
	       "the table $, after a read $, after a write $",
	       f[0], f[1], before, entry[0] & bits, entry[1] & bits);
	unbind(DEMO_VA, 2);
	frame_put(f[0]);
	frame_put(f[1]);
}

/* ---- 4: revocation ---- */

static void
asker(void)
{
	int64_t st = aegis_revoke_ask(1, boot.env, AEGIS_KIND_FRAME, 3, after(20000 * MS));

	asked = st == 0 ? 1 : 2;
}

static void
gives_back(void)
{
	uint32_t taken = OWN->taken_count;
	struct child c;

	child_make(&c, asker);
	for (uint32_t i = 0; i < 4; i++)
		store[i] = frame_get(AEGIS_ANY);
	stored = 4;
	must(aegis_cap_grant(CAP, CAP, c.env, AEGIS_REVOKE, 1), 0);
	must(aegis_wake(CAP, c.env, 0), 0);
	wait_for(&asked, 1);
	wait_for(&given, 3);
	report(asked == 1 && given == 3 && !OWN->ask_kind && OWN->taken_count == taken,
	       "4 giving: environment # asked for 3 frames; # given back in the upcall, # taken",
	       c.env, given, OWN->taken_count - taken);
	while (stored)
		frame_put(store[--stored]);
	child_end(&c);
}

/* A child that does nothing but accept transfers; of requests it takes no notice. */
static void
server(void)
{
	for (;;)
		sleep_until(AEGIS_NEVER, AEGIS_SLEEP_ACCEPT);
}

static void
repossession(void)
{
	uint32_t f[4], gone = 0, named = 0;
	struct child c;

	child_make(&c, server);
	for (uint32_t i = 0; i < 4; i++) {
		f[i] = frame_get(AEGIS_ANY);
		bind(c.space, DEMO_VA + i * AEGIS_PAGE, f[i], RW);
		frame_put(f[i]); /* now the child alone holds it */
	}
	must(aegis_wake(CAP, c.env, 0), 0);
	must(aegis_revoke_ask(CAP, c.env, AEGIS_KIND_FRAME, 2, after(50 * MS)), 0);
	wait_for(&EXPOSED->taken_count, 2);
	for (uint32_t i = 0; i < 8; i++) {
		gone += i % 2 && frame_free(f[i / 2]);
		named += EXPOSED->taken[i % 2] == AEGIS_TAKEN(AEGIS_KIND_FRAME, f[i / 2]);
	}
	report(EXPOSED->taken_count == 2 && named == 2 && gone == 2,
	       "4 taking: environment # ignored that 2 of its 4 frames were asked for; # taken, # "
	       "named in its page, # free again",
	       c.env, EXPOSED->taken_count, named, gone);
	child_end(&c);
}

void
mini_async(void)
{
	uint32_t pending = __atomic_exchange_n(&SELF->area.pending, 0, __ATOMIC_SEQ_CST);

	while (SELF->env == boot.env && OWN->ask_kind == AEGIS_KIND_FRAME && stored) {
		frame_put(store[--stored]);
		given++;
	}
	if (pending & AEGIS_PEND_SLICE) {
		ends++;
		leave(AEGIS_CALL_yield, (uint64_t[6]){AEGIS_SELF, AEGIS_ANY});
		begins++;
	}
}

/* ---- 5: protected control transfer ---- */

void
mini_called(uint64_t message[6], uint32_t caller)
{
	sent = (uint32_t)message[5];
	message[0] *= message[1];
	message[1] = caller;
	message[2] = SELF->space;
	served++;
}

static void
transfers(void)
{
	uint64_t m[6] = {6, 7, 0, 0, 0, 0};
	struct child c;
	int64_t st;

	child_make(&c, server);
	must(aegis_pct_bind(CAP, c.env, 0), 0);
	must(aegis_wake(CAP, c.env, 0), 0);
	st = transfer(AEGIS_CALL_pct_call, 0, m);
	report(st == 0 && m[0] == 42 && m[1] == boot.env && m[2] == c.space &&
		       c.space != boot.space,
	       "5 transfer: 6 and 7 went to environment # in space # and came back as #; it saw "
	       "environment # call",
	       c.env, m[2], m[0], m[1]);
	m[5] = 4711;
	st = transfer(AEGIS_CALL_pct_send, 0, m);
	wait_for(&served, 2);
	report(st == BEGUN && served == 2 && sent == 4711,
	       "5 transfer: sent to environment # without waiting, which found #", c.env, sent);
	child_end(&c);
}

/* ---- 6: another library operating system ---- */

static uint64_t
field(const uint8_t *at) /* eight digits of base 16 */
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < 8; i++)
		value = value << 4 | (at[i] <= '9' ? at[i] - '0' : (at[i] | 32) - 'a' + 10);
	return value;
}

/* A member of the archive, or NULL. */
static const uint8_t *
member(const char *name, uint32_t length)
{
	const uint8_t *at = (const uint8_t *)ARCHIVE_VA, *stop = at + boot.archive_bytes;

	for (uint64_t i = 0; i < boot.archive_bytes; i += AEGIS_PAGE)
		bind(SELF->space, ARCHIVE_VA + i, boot.archive_frame + (uint32_t)(i >> 12), RO);
	while (stop - at > 110 && at[0] == '0') {
		uint64_t size = field(at + 54), named = field(at + 94), same = 0;
		const uint8_t *data = at + ((110 + named + 3) & ~3ul);

		while (same < named && same < length && at[110 + same] == (uint8_t)name[same])
			same++;
		if (same == length)
			return data;
		at = data + ((size + 3) & ~3ul);
	}
	return NULL;
}

static void
library_begin(void)
{
	memset(SELF, 0, AEGIS_PAGE);
	SELF->area.defer = 1;
	mini_become(library_entry, AEGIS_BOOT_PAGE,
		    AEGIS_BOOT_AREA + AEGIS_BOOT_AREA_PAGES * AEGIS_PAGE - 8);
}

struct segment {
	uint32_t type, flags;
	uint64_t offset, va, pa, file_bytes, bytes, align;
};

/* Loads the image as the kernel does for the first environment; fills in the boot page. */
static void
library_load(const struct child *c, const uint8_t *elf, struct aegis_boot_page *b)
{
	const struct segment *s = (const struct segment *)(elf + *(const uint64_t *)(elf + 32));
	uint32_t n = *(const uint16_t *)(elf + 56), pages, done = 0;

	library_entry = *(const uint64_t *)(elf + 24);
	b->image_low = s[0].va;
	for (uint32_t i = 0; i < n && s[i].type == 1; i++)
		b->image_high = (s[i].va + s[i].bytes + 4095) & ~4095ul;
	pages = (uint32_t)((b->image_high - b->image_low) >> 12);
	must(pages > 0 && pages < 512, 1);
	for (uint32_t i = pages; i-- > 0;)
		frame_rec(AEGIS_ANY, 0)[i] = (struct aegis_frame_rec){AEGIS_ANY, 0};
	while (done < pages) {
		int64_t st = aegis_mem_alloc(CAP, BATCH + 8 * done, pages - done,
					     AEGIS_ALLOC_CONTIGUOUS);

		must(st > 0, 1);
		done += (uint32_t)st;
	}
	b->image_frame = ((struct aegis_frame_rec *)RECORDS)->pfn;
	for (uint32_t i = 0; i < pages; i++)
		bind(SELF->space, LOAD_VA + i * AEGIS_PAGE, b->image_frame + i, RW);
	for (; s->type == 1; s++) {
		memcpy((void *)(LOAD_VA + s->va - b->image_low), elf + s->offset, s->file_bytes);
		for (uint64_t va = s->va & ~4095ul; va < s->va + s->bytes; va += AEGIS_PAGE)
			bind(c->space, va, b->image_frame + (uint32_t)((va - b->image_low) >> 12),
			     (s->flags & 1 ? RO | AEGIS_BIND_EXEC : RW) | ALWAYS);
	}
}

/* All that boot.h promises the first environment, from mini instead of the kernel. */
static void
library_start(struct child *c, const uint8_t *elf)
{
	struct aegis_boot_page b = boot;
	uint32_t pfn = frame_get(AEGIS_ANY), table;

	child_make(c, library_begin);
	b.env = c->env;
	b.space = c->space;
	b.env_frame = c->exposed;
	library_load(c, elf, &b);
	bind(SELF->space, DEMO_VA, pfn, RW);
	memcpy((void *)DEMO_VA, &b, sizeof(b));
	bind(c->space, AEGIS_BOOT_PAGE, pfn, RO | ALWAYS);
	for (uint32_t i = 0; i <= (SYSTEM->frames - 1) / AEGIS_HOLD_SPAN; i++) {
		table = frame_get(AEGIS_ANY);
		if (!span_supply(c->space, i, table))
			frame_put(table);
	}
	for (uint64_t i = 0; i < boot.archive_bytes; i += AEGIS_PAGE) {
		frame_rec(boot.archive_frame + (uint32_t)(i >> 12), AEGIS_READ | AEGIS_WRITE);
		must(aegis_mem_share(CAP, c->space, BATCH, 1), 1);
	}
	must(aegis_cap_grant(CAP, CAP, c->env, AEGIS_ALL, CAP), 0);
	must(aegis_wake(CAP, c->env, 0), 0);
}

/* Transfers control to the first environment beside the library's own that accepts, once. */
static void
library_meet(uint32_t env)
{
	const struct aegis_env_info *info = (const struct aegis_env_info *)RECORDS;
	uint64_t m[6] = {0};

	while (aegis_env_read(CAP, env, BATCH) != 0 || info->state != AEGIS_STATE_IDLE)
		sleep_until(after(MS / 5), 0);
	must(aegis_pct_bind(CAP, env, 1), 0);
	must(transfer(AEGIS_CALL_pct_call, 1, m), 0);
	say("6 neighbour: control went to environment # of ExOS and came back with -#",
	    (const uint64_t[]){env, -m[0]});
}

/* ---- where it begins ---- */

_Noreturn void
mini_boot(const struct aegis_boot_page *boot_page)
{
	const uint8_t *elf;
	uint32_t before;
	struct child c;

	boot = *boot_page;
	SELF->env = boot.env;
	SELF->space = boot.space;
	bind_exposed(AEGIS_SELF, SYSTEM_VA, boot.system_frame);
	bind_exposed(AEGIS_SELF, OWN_VA, boot.env_frame);
	for (uint32_t i = 0; i < SYSTEM->free_map_pages; i++)
		bind_exposed(AEGIS_SELF, MAP_VA + i * AEGIS_PAGE, SYSTEM->free_map_frame + i);
	setup_write(SELF->env, SELF->space, 0, AEGIS_SETUP_EXTRA);
	SELF->area.defer = 0;
	elf = member("root/boot/exos", 15);
	chan = !elf && aegis_chan_claim(CAP) == 0;
	if (chan)
		bind_exposed(CAP, CHAN_VA, SYSTEM->chan_frame);
	put_control(CHANNEL_HELLO, 1, CHANNEL_VERSION, 0);
	before = SYSTEM->free_frames;
	exceptions();
	slices(17, 49);
	frames();
	gives_back();
	repossession();
	transfers();
	report(SYSTEM->free_frames == before, "mini: # frames free, as before", before);
	if (!elf)
		say("6 neighbour: not shown, there is no root/boot/exos in the archive", NULL);
	if (!elf || failed)
		end(failed);
	library_start(&c, elf);
	library_meet(c.env + 1);
	for (;;)
		sleep_until(AEGIS_NEVER, 0);
}
