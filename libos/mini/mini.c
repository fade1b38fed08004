/* SPDX-License-Identifier: MIT */
/*
 * A small library operating system, on the Aegis ABI alone: it shows what the kernel gives to whoever
 * asks, so that nothing in ExOS needs to be privileged.  One line a demonstration; the exit status is 0
 * if every one showed what it is to show.  If the archive has root/boot/exos, mini leaves the host
 * channel alone and writes to the log; then a child of mini stays, ExOS is loaded into the boot
 * environment, and the child transfers control to it.
 *
 * 1. Every environment has its area where the boot has it, its own page at OWN_VA, and the image, data
 *    included, in common.  Area: page 0 struct mini, 1 records of calls, 2 and 3 a child's stacks,
 *    4..7 upcall stack.
 * 2. A call's records begin at BATCH; nothing that handlers need is done while an upcall may use them.
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
	0x10022000ul /* a child's own page and the first of its area, as its maker has them */
#define CHILD_VA   0x10023000ul
#define CHAN_VA    0x10024000ul
#define MAP_VA     0x10030000ul /* which frames are free */
#define DEMO_VA    0x10100000ul
#define LOAD_VA    0x11000000ul /* what is loaded for another library */
#define ARCHIVE_VA 0x100000000ul
#define BATCH      0x1000u
#define RECORDS    ((void *)(AEGIS_BOOT_AREA + BATCH))
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
#define PFN(va)    ((uint32_t)((*aegis_window(va) & AEGIS_PTE_FRAME) >> 12))

struct mini {
	volatile struct aegis_area area;
	uint64_t stack_top, resume;
	void (*fn)(void); /* of a child */
	uint32_t env, space;
};
_Static_assert(offsetof(struct mini, stack_top) == 64, "start.S");
_Static_assert(offsetof(struct aegis_frame, rdi) == 32, "start.S");
_Static_assert(offsetof(struct aegis_frame, rip) == 104, "start.S");

/* Frames of a child: 3 of the space, its area, 3 of the environment, the last of them its own page. */
#define CHILD_FRAMES (3 + AEGIS_AREA_PAGES + 3)

extern const char mini_begin[], mini_fault_entry[], mini_async_entry[], mini_call[];
extern const char image_constants[], image_data[];
int64_t mini_leave(uint64_t rax, uint64_t message[6]);
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
static uint32_t child, child_space, child_frames;
static volatile uint32_t caught[32], repair_frame;    /* exceptions by cause */
static volatile uint32_t ends, begins;                /* slices */
static volatile uint32_t store, stored, given, asked; /* frames to give back */
static volatile uint32_t served, sent;                /* transfers */

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
	uint32_t old = SELF->area.defer;
	int64_t st;

	SELF->area.defer = 1;
	st = mini_leave(AEGIS_CALL_BASE + rax, message);
	SELF->area.defer = old;
	if (!old && SELF->area.pending)
		aegis_null();
	return st;
}

static void
rest(uint64_t deadline, uint32_t flags)
{
	leave(AEGIS_CALL_sleep, (uint64_t[6]){OWN->events, deadline, flags});
}

static int64_t
transfer(uint64_t rax, uint64_t message[6])
{
	int64_t st;

	while ((st = leave(rax, message)) == AEGIS_BUSY)
		rest(after(MS / 5), 0);
	return st;
}

static void
wait_for(const volatile uint32_t *word, uint32_t value)
{
	for (uint64_t limit = after(20000 * MS); *word < value && after(0) < limit;)
		rest(after(MS / 5), 0);
}

/* ---- what is said ---- */

static void
put(const void *bytes, uint32_t n)
{
	if (!chan || n > AEGIS_PAGE - page_used)
		return;
	memcpy(page + page_used, bytes, n);
	posts += aegis_chan_post(1, PFN((uint64_t)page), page_used, n) >= 0;
	page_used += n;
}

/* A line; # in the format stands for a number, $ for one in base 16. */
static void
say(const char *format, const uint64_t *values)
{
	uint8_t text[400], *at = text + CHANNEL_HEADER;
	uint32_t n;

	for (; *format; format++) {
		uint64_t base = *format == '#' ? 10 : 16, unit = 1;

		if (*format != '#' && *format != '$') {
			*at++ = (uint8_t)*format;
			continue;
		}
		while (*values / unit >= base)
			unit *= base;
		for (; unit; unit /= base)
			*at++ = (uint8_t) "0123456789abcdef"[*values / unit % base];
		values++;
	}
	*at++ = '\n';
	n = (uint32_t)(at - text) - CHANNEL_HEADER;
	channel_put_head(text, CHANNEL_DATA, 0, 1, n);
	put(text, n + CHANNEL_HEADER);
	if (!chan) {
		memcpy(RECORDS, text + CHANNEL_HEADER, n);
		aegis_log_write(CAP, BATCH, n);
	}
}

_Noreturn static void
end(uint32_t status)
{
	struct channel_control c = channel_control(CHANNEL_EXIT, 0, 0, 2, CHANNEL_EXITED, status);

	put(c.bytes, c.count);
	while (chan && CHAN->done[1] != posts)
		rest(after(MS / 5), 0);
	for (;;)
		aegis_power_off(CAP, status);
}

#define NUMBERS(...)        \
	(const uint64_t[])  \
	{                   \
		__VA_ARGS__ \
	}
#define report(good, format, ...) \
	(failed |= !(good), say((good) ? format : "FAILED: " format, NUMBERS(__VA_ARGS__)))
#define must(e, value) must_be((e) == (value), __LINE__)

static void
must_be(bool good, uint32_t line)
{
	if (good)
		return;
	say("mini.c:#: refused", NUMBERS(line));
	end(1);
}

/* ---- memory ---- */

/* Records of n frames from `first` on. */
static void
records(uint32_t first, uint32_t n, uint32_t flags)
{
	for (uint32_t i = 0; i < n; i++)
		((struct aegis_frame_rec *)RECORDS)[i] =
			(struct aegis_frame_rec){first == AEGIS_ANY ? first : first + i, flags};
}

/* A run of n frames, at most 512: those from `first` on, or any. */
static uint32_t
frames_get(uint32_t first, uint32_t n)
{
	uint32_t flags = first == AEGIS_ANY && n > 1 ? AEGIS_ALLOC_CONTIGUOUS : 0;

	records(first, n, 0);
	for (uint32_t done = 0; done < n;) {
		int64_t st = aegis_mem_alloc(CAP, BATCH + 8 * done, n - done, flags);

		must(st > 0, 1);
		done += (uint32_t)st;
	}
	return ((struct aegis_frame_rec *)RECORDS)->pfn;
}

static void
frames_put(uint32_t first, uint32_t n)
{
	records(first, n, 0);
	must(aegis_mem_free(BATCH, n), n);
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

/* Binds n frames; the page tables and holdings pages that are missing are supplied. */
static void
bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t n, uint32_t prot)
{
	for (; n > 0; n--, va += AEGIS_PAGE, pfn++) {
		int64_t st;

		while ((st = bind_one(space, va, pfn, prot)) == AEGIS_NEED_TABLE) {
			uint32_t table = frames_get(AEGIS_ANY, 1), level = 1;

			do
				st = bind_one(space, va & ~((1ul << (12 + 9 * level)) - 1), table,
					      AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level));
			while (st == AEGIS_NEED_TABLE && ++level <= 3);
			records(table, 1, pfn / AEGIS_HOLD_SPAN);
			if (st != 1)
				must(aegis_mem_table(CAP, space, BATCH, 1), 1);
		}
		must(st, 1);
	}
}

/* Exposed pages, read only. */
static void
bind_exposed(uint32_t cap, uint64_t va, uint32_t pfn, uint32_t n)
{
	records(pfn, n, AEGIS_READ);
	must(aegis_mem_bind(cap, BATCH, n), n);
	bind(SELF->space, va, pfn, n, RO);
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
	*(struct aegis_setup *)RECORDS =
		(struct aegis_setup){.area_va = AEGIS_BOOT_AREA,
				     .area_pages = AEGIS_AREA_PAGES,
				     .stack_page = 4,
				     .fault_entry = (uint64_t)mini_fault_entry,
				     .async_entry = (uint64_t)mini_async_entry,
				     .begin_entry = (uint64_t)mini_begin,
				     .call_entry = (uint64_t)mini_call,
				     .call_stack = AEGIS_BOOT_AREA + 4 * AEGIS_PAGE,
				     .gs_base = AEGIS_BOOT_AREA,
				     .space = space,
				     .cpu = cpu,
				     .flags = flags};
	must(aegis_env_write(env == SELF->env ? AEGIS_SELF : CAP, env, BATCH), 0);
}

static void
image_bind(uint32_t space, uint64_t from, uint64_t to, uint32_t prot)
{
	bind(space, from, PFN(from), (uint32_t)((to - from) >> 12), prot | ALWAYS);
}

/* A space with the image and an area in it, and an environment there with `rights` in slot 0. */
static void
child_make(void (*fn)(void), uint32_t rights)
{
	uint32_t f = child_frames = frames_get(AEGIS_ANY, CHILD_FRAMES);
	uint32_t env = f + 3 + AEGIS_AREA_PAGES;

	records(f, 3, 0);
	child_space = (uint32_t)aegis_space_create(CAP, BATCH, 0);
	must((int32_t)child_space > 0, 1);
	image_bind(child_space, boot.image_low, (uint64_t)image_constants, RO | AEGIS_BIND_EXEC);
	image_bind(child_space, (uint64_t)image_constants, (uint64_t)image_data, RO);
	image_bind(child_space, (uint64_t)image_data, boot.image_high, RW);
	bind(child_space, AEGIS_BOOT_AREA, f + 3, AEGIS_AREA_PAGES, RW | ALWAYS);
	*(struct aegis_env_create *)RECORDS =
		(struct aegis_env_create){.frames = {env, env + 1, env + 2}, .space = child_space};
	child = (uint32_t)aegis_env_create(CAP, BATCH);
	must((int32_t)child > 0, 1);
	bind(child_space, SYSTEM_VA, boot.system_frame, 1, RO | ALWAYS);
	bind_exposed(CAP, EXPOSED_VA, env + 2, 1);
	bind(child_space, OWN_VA, env + 2, 1, RO | ALWAYS);
	bind(SELF->space, CHILD_VA, f + 3, 1, RW);
	*(struct mini *)CHILD_VA = (struct mini){.stack_top = AEGIS_BOOT_AREA + 3 * AEGIS_PAGE,
						 .fn = fn,
						 .env = child,
						 .space = child_space};
	setup_write(child, child_space, SYSTEM->cpus - 1, AEGIS_SETUP_EXTRA);
	must(aegis_cap_grant(CAP, CAP, child, rights, CAP), 0);
	must(aegis_pct_bind(CAP, child, 0), 0);
	must(aegis_wake(CAP, child, 0), 0);
}

static void
child_end(void)
{
	while (aegis_env_destroy(CAP, child) == AEGIS_AGAIN)
		rest(after(MS / 5), 0);
	while (aegis_space_destroy(CAP, child_space) == AEGIS_AGAIN)
		;
	unbind(EXPOSED_VA, 2);
	frames_put(child_frames + 3, AEGIS_AREA_PAGES);
	frames_put(child_frames + CHILD_FRAMES - 1, 1);
}

_Noreturn void
mini_child(void)
{
	SELF->area.defer = 0;
	SELF->fn();
	for (;;)
		rest(AEGIS_NEVER, 0);
}

/* ---- 1: exceptions ---- */

void
mini_fault(struct aegis_frame *f)
{
	caught[f->cause % 32]++;
	if (f->cause == AEGIS_CAUSE_DIVIDE) {
		f->rip += 2; /* past the division */
	} else if (f->cause == AEGIS_CAUSE_PAGE && f->addr == DEMO_VA) {
		repair_frame = frames_get(AEGIS_ANY, 1);
		bind(SELF->space, DEMO_VA, repair_frame, 1, RW);
	} else if (f->cause != AEGIS_CAUSE_BREAKPOINT) {
		say("mini: exception # at $, address $", NUMBERS(f->cause, f->rip, f->addr));
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
	report(caught[0] == 1 && caught[3] == 1 && caught[14] == 1 && *word == 42,
	       "1 exceptions: # division by zero, # breakpoint, # page fault at $, repaired with "
	       "frame #, where # is now; # upcalls",
	       caught[0], caught[3], caught[14], DEMO_VA, repair_frame, *word,
	       OWN->upcalls - before);
	unbind(DEMO_VA, 1);
	frames_put(repair_frame, 1);
}

/* ---- 2: time ---- */

static void
slices(uint32_t a, uint32_t b)
{
	uint32_t cpu = OWN->cpu;

	must(aegis_slice_alloc(CAP, cpu, a), a);
	must(aegis_slice_alloc(CAP, cpu, b), b);
	ends = begins = 0;
	setup_write(SELF->env, SELF->space, cpu, 0); /* no time but what it owns */
	for (uint64_t limit = after(20000 * MS); begins < 4 && after(0) < limit;)
		;
	report(begins >= 4 && ends >= begins,
	       "2 time: slices # and # of processor # alone; told of # ends and # begins", a, b,
	       cpu, ends, begins);
	setup_write(SELF->env, SELF->space, cpu, AEGIS_SETUP_EXTRA);
	must(aegis_slice_free(cpu, a) | aegis_slice_free(cpu, b), 0);
}

/* ---- 3: memory ---- */

static void
frames(void)
{
	const volatile uint64_t *entry = aegis_window(DEMO_VA);
	uint64_t bits = AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY, before;
	uint32_t f = SYSTEM->frames - 2;

	while (f > 0 && (f % 64 != 5 || !frame_free(f) || !frame_free(f + 1)))
		f--; /* colour 5 of a cache in which frames that are equal modulo 64 meet */
	bind(SELF->space, DEMO_VA, frames_get(f, 2), 2, RW);
	before = (entry[0] | entry[1]) & bits;
	(void)*(volatile uint64_t *)DEMO_VA;
	*(volatile uint64_t *)(DEMO_VA + AEGIS_PAGE) = 1;
	report(PFN(DEMO_VA) == f && !before && !frame_free(f) &&
		       (entry[0] & bits) == AEGIS_PTE_ACCESSED && (entry[1] & bits) == bits,
	       "3 memory: frames # and #, free in the map, taken by number; accessed and dirty in "
	       "the table $, after a read $, after a write $",
	       f, f + 1, before, entry[0] & bits, entry[1] & bits);
	unbind(DEMO_VA, 2);
	frames_put(f, 2);
}

/* ---- 4: revocation ---- */

/* The child asks, and then accepts transfers; of requests to itself it takes no notice. */
static void
server(void)
{
	asked = aegis_revoke_ask(CAP, boot.env, AEGIS_KIND_FRAME, 3, after(20000 * MS)) ? 2 : 1;
	for (;;)
		rest(AEGIS_NEVER, AEGIS_SLEEP_ACCEPT);
}

static void
revocation(void)
{
	uint32_t taken = OWN->taken_count, f = frames_get(AEGIS_ANY, 4), gone = 0, named = 0;

	wait_for(&asked, 1);
	wait_for(&given, 3);
	report(asked == 1 && given == 3 && !OWN->ask_kind && OWN->taken_count == taken,
	       "4 giving: environment # asked for 3 frames; # given back in the upcall, # taken",
	       child, given, OWN->taken_count - taken);
	bind(child_space, DEMO_VA, f, 4, RW);
	frames_put(f, 4); /* now the child alone holds them */
	must(aegis_revoke_ask(CAP, child, AEGIS_KIND_FRAME, 2, after(50 * MS)), 0);
	wait_for(&EXPOSED->taken_count, 2);
	for (uint32_t i = 0; i < 4; i++) {
		gone += frame_free(f + i);
		named += EXPOSED->taken[0] == AEGIS_TAKEN(AEGIS_KIND_FRAME, f + i) ||
			 EXPOSED->taken[1] == AEGIS_TAKEN(AEGIS_KIND_FRAME, f + i);
	}
	report(EXPOSED->taken_count == 2 && named == 2 && gone == 2,
	       "4 taking: environment # ignored that 2 of its 4 frames were asked for; # taken, # "
	       "named in its page, # free again",
	       child, EXPOSED->taken_count, named, gone);
}

void
mini_async(void)
{
	uint32_t pending = __atomic_exchange_n(&SELF->area.pending, 0, __ATOMIC_SEQ_CST);

	for (; SELF->env == boot.env && OWN->ask_kind == AEGIS_KIND_FRAME && stored; given++)
		frames_put(store + --stored, 1);
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
	int64_t st;

	st = transfer(AEGIS_CALL_pct_call, m);
	report(st == 0 && m[0] == 42 && m[1] == boot.env && m[2] == child_space &&
		       m[2] != boot.space,
	       "5 transfer: 6 and 7 went to environment # in space # and came back as #; it saw "
	       "environment # call",
	       child, m[2], m[0], m[1]);
	m[5] = 4711;
	st = transfer(AEGIS_CALL_pct_send, m);
	wait_for(&served, 2);
	report(st == BEGUN && served == 2 && sent == 4711,
	       "5 transfer: sent to environment # without waiting, which found #", child, sent);
}

/* ---- 6: ExOS beside it ---- */

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
member(const char *name, uint64_t length)
{
	const uint8_t *at = (const uint8_t *)ARCHIVE_VA, *stop = at + boot.archive_bytes;

	bind(SELF->space, ARCHIVE_VA, boot.archive_frame,
	     (uint32_t)((boot.archive_bytes + AEGIS_PAGE - 1) >> 12), RO);
	while (stop - at > 110 && at[0] == '0') {
		const uint8_t *data = at + ((110 + field(at + 94) + 3) & ~3ul);
		uint64_t same = 0;

		while (same < length && at[110 + same] == (uint8_t)name[same])
			same++;
		if (same == length)
			return data;
		at = data + ((field(at + 54) + 3) & ~3ul);
	}
	return NULL;
}

/* In a child: transfers control to the next environment that accepts, which ExOS made. */
static void
neighbour(void)
{
	const struct aegis_env_info *info = RECORDS;
	uint32_t env = SELF->env + 1;
	uint64_t m[6] = {0};

	while (aegis_env_read(CAP, env, BATCH) || info->state != AEGIS_STATE_IDLE)
		rest(after(MS / 5), 0);
	must(aegis_pct_bind(CAP, env, 0), 0);
	must(transfer(AEGIS_CALL_pct_call, m), 0);
	say("6 neighbour: control went to environment # of ExOS and came back with -#",
	    NUMBERS(env, -m[0]));
}

struct segment {
	uint32_t type, flags;
	uint64_t offset, va, pa, file_bytes, bytes, align;
};

/* Loads the library into this environment, as the kernel loads the first one, and becomes it. */
_Noreturn static void
become(const uint8_t *elf)
{
	const struct segment *s = (const struct segment *)(elf + *(const uint64_t *)(elf + 32));
	uint32_t loads = s[1].type == 1 ? 2 : 1, pages;

	child_make(neighbour, AEGIS_ALL);
	boot.image_low = s->va;
	boot.image_high = (s[loads - 1].va + s[loads - 1].bytes + 4095) & ~4095ul;
	pages = (uint32_t)((boot.image_high - boot.image_low) >> 12);
	boot.image_frame = frames_get(AEGIS_ANY, pages);
	bind(SELF->space, LOAD_VA, boot.image_frame, pages, RW);
	for (uint32_t i = 0; i < loads; i++, s++) {
		memcpy((void *)(LOAD_VA + s->va - boot.image_low), elf + s->offset, s->file_bytes);
		bind(SELF->space, s->va,
		     boot.image_frame + (uint32_t)((s->va - boot.image_low) >> 12),
		     (uint32_t)((s->bytes + 4095) >> 12),
		     (s->flags & 1 ? RO | AEGIS_BIND_EXEC : RW) | ALWAYS);
	}
	SELF->area.defer = 1;
	memset((void *)(AEGIS_BOOT_AREA + sizeof(SELF->area)), 0, 4096 - sizeof(SELF->area));
	__asm__ volatile("movq %0, %%rsp; jmp *%1" ::"r"(AEGIS_BOOT_AREA +
							 AEGIS_BOOT_AREA_PAGES * AEGIS_PAGE - 8),
			 "r"(*(const uint64_t *)(elf + 24)), "D"(&boot));
	__builtin_unreachable();
}

/* ---- where it begins ---- */

_Noreturn void
mini_boot(const struct aegis_boot_page *boot_page)
{
	struct channel_control hello = channel_control(CHANNEL_HELLO, 0, 0, 1, CHANNEL_VERSION, 0);
	const uint8_t *elf;
	uint32_t before;

	boot = *boot_page;
	SELF->env = boot.env;
	SELF->space = boot.space;
	bind_exposed(AEGIS_SELF, SYSTEM_VA, boot.system_frame, 1);
	bind_exposed(AEGIS_SELF, OWN_VA, boot.env_frame, 1);
	bind_exposed(AEGIS_SELF, MAP_VA, SYSTEM->free_map_frame, SYSTEM->free_map_pages);
	setup_write(SELF->env, SELF->space, 0, AEGIS_SETUP_EXTRA);
	SELF->area.defer = 0;
	elf = member("root/boot/exos", 15);
	chan = !elf && aegis_chan_claim(CAP) == 0;
	if (chan)
		bind_exposed(CAP, CHAN_VA, SYSTEM->chan_frame, 1);
	put(hello.bytes, hello.count);
	before = SYSTEM->free_frames;
	exceptions();
	slices(17, 49);
	frames();
	store = frames_get(AEGIS_ANY, 4); /* one run, of which three are asked for */
	SELF->area.defer = 1;             /* until the child is whole */
	child_make(server, AEGIS_REVOKE);
	stored = 4;
	SELF->area.defer = 0;
	revocation();
	transfers();
	child_end();
	frames_put(store, stored);
	report(SYSTEM->free_frames == before, "mini: # frames free, as before", before);
	if (!elf)
		say("6 neighbour: not shown, there is no root/boot/exos in the archive", NULL);
	if (!elf || failed)
		end(failed);
	become(elf);
}
