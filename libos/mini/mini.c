/* SPDX-License-Identifier: MIT */
/*
 * A small library operating system, on the Aegis ABI alone: it shows what the kernel gives to whoever
 * asks, so that nothing in ExOS needs to be privileged.  One line a demonstration; the exit status is 0
 * if every one showed what it is to show.  If the archive has root/boot/exos, mini leaves the host
 * channel alone and writes to the log; then its child stays, ExOS is loaded into the boot environment,
 * and the child calls a process of it.
 *
 * 1. Every environment has its area where the boot has it, its own page at OWN_VA, and the image, data
 *    included, in common.  Area: page 0 struct mini, 1 records of calls, 2 its stack, 3 the stack of calls to
 *    it, 4..7 upcall stack.
 * 2. A call's records begin at BATCH; nothing that handlers need is done while an upcall may use them.
 * 3. All that is said in a run fits into one page, so that no buffer is used again while it is posted.
 */
#include <stdbool.h>
#include <stddef.h>

#define AEGIS_STUBS
#include <aegis/aegis.h>
#include <host/channel.h>

#define OWN_VA     0x10020000ul /* the environment's own page */
#define SYSTEM_VA  0x10021000ul
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
#define MS         1000000ul
#define OWN        ((const volatile struct aegis_env_page *)OWN_VA)
#define SYSTEM     ((const volatile struct aegis_system_page *)SYSTEM_VA)
#define CHAN       ((const volatile struct aegis_chan_page *)CHAN_VA)
#define SELF       ((struct mini *)AEGIS_BOOT_AREA)
#define SPACE      (OWN->env == boot.env ? boot.space : child_space)
#define PFN(va)    ((uint32_t)((*aegis_window(va) & AEGIS_PTE_FRAME) >> 12))

struct mini {
	volatile struct aegis_area area;
	uint64_t resume; /* stack of who left the processor */
};
_Static_assert(offsetof(struct mini, resume) == 64 && offsetof(struct aegis_frame, rip) == 104, "");

/* Frames of a child: 3 of the space, its area, 3 of the environment, the last of them its own page. */
#define CHILD_FRAMES (3 + AEGIS_AREA_PAGES + 3)

extern const char mini_begin[], mini_fault_entry[], mini_async_entry[], mini_call[];
_Noreturn void mini_boot(const struct aegis_boot_page *page);
void mini_child(void);
void mini_fault(struct aegis_frame *f);
void mini_async(void);
void mini_called(uint64_t message[6]);
void *memcpy(void *restrict to, const void *restrict from, size_t n);

static struct aegis_boot_page boot; /* children do not have the page itself */
static _Alignas(4096) uint8_t page[AEGIS_PAGE];
static uint32_t page_used, posts, child, child_space, child_frames;
static bool chan, failed;
static volatile bool exos;                         /* is there, beside the child */
static volatile uint32_t caught[32], repair_frame; /* exceptions by cause */
static volatile uint32_t ends, begins;             /* slices */
static volatile uint32_t store, stored, given;     /* frames to give back */

/* ---- time ---- */

#define after(ns) (__builtin_ia32_rdtsc() + (ns) / 1000 * (SYSTEM->tsc_hz / 1000000)) /* TSC */

/*
 * Any call that may give the processor away; the message comes back in m[0] to m[2].  A handler that does
 * the same would use mini.resume as well: none comes meanwhile.
 */
static int64_t
leave(uint64_t rax, uint64_t m[6])
{
	register uint64_t r10 __asm__("r10") = m[3], r8 __asm__("r8") = m[4],
			      r9 __asm__("r9") = m[5];
	int64_t st = (int64_t)(AEGIS_CALL_BASE + rax);
	uint32_t old = SELF->area.defer;

	SELF->area.defer = 1;
	__asm__ volatile("call mini_leave"
			 : "+a"(st), "+D"(m[0]), "+S"(m[1]), "+d"(m[2]), "+r"(r10), "+r"(r8),
			   "+r"(r9)
			 :
			 : "rbx", "rcx", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
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

/* A line; # in the format stands for a number. */
static void
say(const char *format, const uint64_t *values)
{
	uint8_t *text = RECORDS, *at = text + CHANNEL_HEADER;

	for (; *format; format++) {
		uint64_t unit = 1;

		if (*format != '#') {
			*at++ = (uint8_t)*format;
			continue;
		}
		while (*values / unit >= 10)
			unit *= 10;
		for (; unit; unit /= 10)
			*at++ = (uint8_t)('0' + *values / unit % 10);
		values++;
	}
	*at++ = '\n';
	uint32_t n = (uint32_t)(at - text) - CHANNEL_HEADER;
	channel_put_head(text, CHANNEL_DATA, 0, 1, n);
	put(text, n + CHANNEL_HEADER);
	if (!chan)
		aegis_log_write(CAP, BATCH + CHANNEL_HEADER, n);
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

#define NUMBERS(...) ((const uint64_t[]){__VA_ARGS__})
#define report(good, format, ...) \
	(failed |= !(good), say((good) ? format : "FAILED: " format, NUMBERS(__VA_ARGS__)))
#define must(e, value) ((e) == (value) ? (void)0 : refused(__LINE__))

_Noreturn static void
refused(uint32_t line)
{
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

/* As the exposed map says. */
#define frame_free(pfn) (((const volatile uint8_t *)MAP_VA)[(pfn) / 8] >> (pfn) % 8 & 1)

static int64_t
bind_one(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	*(struct aegis_bind *)RECORDS = (struct aegis_bind){va, pfn, prot};
	return aegis_tlb_write(CAP, space, BATCH, 1);
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
bind_exposed(uint32_t cap, uint32_t space, uint64_t va, uint32_t pfn, uint32_t n)
{
	records(pfn, n, AEGIS_READ);
	must(aegis_mem_bind(cap, BATCH, n), n);
	bind(space, va, pfn, n, RO | AEGIS_BIND_GUARANTEED);
}

static void
unbind(uint64_t va, uint32_t pages)
{
	*(struct aegis_bind *)RECORDS = (struct aegis_bind){va, pages, 0};
	must(aegis_tlb_delete(AEGIS_SELF, SPACE, BATCH, 1), 1);
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
	must(aegis_env_write(CAP, env, BATCH), 0);
}

/* A space with the image and an area in it, and an environment there with every right in slot 0. */
static void
child_make(void)
{
	uint32_t f = child_frames = frames_get(AEGIS_ANY, CHILD_FRAMES), env = f + CHILD_FRAMES - 3;

	records(f, 3, 0);
	child_space = (uint32_t)aegis_space_create(CAP, BATCH, 0);
	for (uint64_t va = boot.image_low; va < boot.image_high; va += AEGIS_PAGE) {
		uint64_t pte = *aegis_window(va);

		bind(child_space, va, PFN(va), 1,
		     AEGIS_BIND_GUARANTEED | RO | (pte & AEGIS_PTE_WRITE ? AEGIS_BIND_WRITE : 0) |
			     (pte & AEGIS_PTE_NX ? 0 : AEGIS_BIND_EXEC));
	}
	bind(child_space, AEGIS_BOOT_AREA, f + 3, AEGIS_AREA_PAGES, RW | AEGIS_BIND_GUARANTEED);
	*(struct aegis_env_create *)RECORDS =
		(struct aegis_env_create){.frames = {env, env + 1, env + 2}, .space = child_space};
	child = (uint32_t)aegis_env_create(CAP, BATCH);
	bind_exposed(CAP, child_space, SYSTEM_VA, boot.system_frame, 1);
	bind_exposed(CAP, child_space, OWN_VA, env + 2, 1);
	setup_write(child, child_space, SYSTEM->cpus - 1, AEGIS_SETUP_EXTRA);
	must(aegis_cap_grant(CAP, CAP, child, AEGIS_ALL, CAP), 0);
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
	frames_put(child_frames + 3, AEGIS_AREA_PAGES);
	frames_put(child_frames + CHILD_FRAMES - 1, 1);
}

/* ---- 1: exceptions ---- */

void
mini_fault(struct aegis_frame *f)
{
	caught[f->cause % 32]++;
	if (f->cause == AEGIS_CAUSE_DIVIDE)
		f->rip += 2; /* past the division */
	else if (f->cause == AEGIS_CAUSE_PAGE && f->addr == DEMO_VA)
		bind(SPACE, DEMO_VA, repair_frame = frames_get(AEGIS_ANY, 1), 1, RW);
	else
		must(f->cause, AEGIS_CAUSE_BREAKPOINT);
}

static void
exceptions(void)
{
	uint64_t value = 42, high = 0;

	__asm__ volatile("divl %k2" : "+a"(value), "+d"(high) : "c"(0ul) : "cc");
	__asm__ volatile("int3");
	*(volatile uint64_t *)DEMO_VA = value;
	report(caught[0] == 1 && caught[3] == 1 && caught[14] == 1,
	       "1 exceptions: # division by zero, # breakpoint, # page fault mended with frame #",
	       caught[0], caught[3], caught[14], repair_frame);
	unbind(DEMO_VA, 1);
	frames_put(repair_frame, 1);
}

/* ---- 2: time ---- */

static void
slices(uint32_t a, uint32_t b)
{
	uint32_t cpu = OWN->cpu;

	must(aegis_slice_alloc(CAP, cpu, a) == a && aegis_slice_alloc(CAP, cpu, b) == b, true);
	ends = begins = 0;
	setup_write(OWN->env, SPACE, cpu, 0); /* no time but what it owns */
	for (uint64_t limit = after(20000 * MS); begins < 4 && after(0) < limit;)
		;
	report(begins >= 4 && ends >= begins,
	       "2 time: slices # and # of processor # alone; told of # ends and # begins", a, b,
	       cpu, ends, begins);
	setup_write(OWN->env, SPACE, cpu, AEGIS_SETUP_EXTRA);
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
	bind(SPACE, DEMO_VA, frames_get(f, 2), 2, RW);
	before = (entry[0] | entry[1]) & bits;
	(void)*(volatile uint64_t *)DEMO_VA;
	*(volatile uint64_t *)(DEMO_VA + AEGIS_PAGE) = 1;
	report(PFN(DEMO_VA) == f && !before && !frame_free(f) &&
		       (entry[0] & bits) == AEGIS_PTE_ACCESSED && (entry[1] & bits) == bits,
	       "3 memory: frames # and # by number; accessed and dirty #, once read #, once "
	       "written #",
	       f, f + 1, before, entry[0] & bits, entry[1] & bits);
	unbind(DEMO_VA, 2);
	frames_put(f, 2);
}

/* ---- 4: revocation ---- */

static void
revocation(void)
{
	for (uint64_t limit = after(20000 * MS); given < 3 && after(0) < limit;)
		rest(after(MS / 5), 0);
	report(given == 3 && !OWN->ask_kind && OWN->taken_count == 0,
	       "4 giving: asked by environment # for 3 frames; # given in the upcall, # taken",
	       child, given, OWN->taken_count);
}

void
mini_async(void)
{
	uint32_t pending = __atomic_exchange_n(&SELF->area.pending, 0, __ATOMIC_SEQ_CST);

	for (; OWN->env == boot.env && OWN->ask_kind == AEGIS_KIND_FRAME && stored; given++)
		frames_put(store + --stored, 1);
	if (pending & AEGIS_PEND_SLICE) {
		ends++;
		leave(AEGIS_CALL_yield, (uint64_t[6]){AEGIS_SELF, AEGIS_ANY});
		begins++;
	}
}

/* ---- 5: protected control transfer ---- */

void
mini_called(uint64_t message[6])
{
	message[0] *= message[1];
	message[1] = SPACE;
}

static void
transfers(void)
{
	uint64_t m[6] = {6, 7};

	while (leave(AEGIS_CALL_pct_call, m) == AEGIS_BUSY)
		rest(after(MS / 5), 0);
	report(m[0] == 42 && m[1] == child_space && m[1] != boot.space,
	       "5 transfer: 6 and 7 went to environment # in space # and came back as #", child,
	       m[1], m[0]);
}

/* ---- 6: ExOS beside it ---- */

/* An ELF file of the archive, or NULL: its name lies 110 bytes behind the header, it at a multiple of 4. */
static const uint8_t *
member(const char *name, uint64_t length)
{
	const uint8_t *at = (const uint8_t *)ARCHIVE_VA, *stop = at + boot.archive_bytes - 256;
	bool found = false;

	bind(SPACE, ARCHIVE_VA, boot.archive_frame,
	     (uint32_t)((boot.archive_bytes + AEGIS_PAGE - 1) >> 12), RO);
	for (; at < stop; at += 4) {
		uint64_t same = 0;

		while (same < length && at[110 + same] == (uint8_t)name[same])
			same++;
		found |= same == length && at[0] == '0' && at[5] == '1';
		if (found && *(const uint32_t *)at == 0x464c457f)
			return at;
	}
	return NULL;
}

/*
 * The child asks its maker for frames and accepts transfers.  Once ExOS is there, it offers 6 and 7 to
 * every environment that accepts (the service answers that it does not know the caller), until a process
 * makes 42 of it.
 */
void
mini_child(void)
{
	uint64_t m[6] = {0};
	uint32_t env = OWN->env;

	SELF->area.defer = 0;
	must(aegis_revoke_ask(CAP, boot.env, AEGIS_KIND_FRAME, 3, after(20000 * MS)), 0);
	while (!exos)
		rest(AEGIS_NEVER, AEGIS_SLEEP_ACCEPT);
	while (m[0] != 42) {
		env = env % (AEGIS_ENVS - 1) + 1;
		rest(after(MS / 5), 0);
		m[0] = 6;
		m[1] = 7;
		if (aegis_pct_bind(CAP, env, 0) == 0)
			leave(AEGIS_CALL_pct_call, m);
	}
	say("6 neighbour: 6 and 7 went to environment #, a process of ExOS, and came back as #",
	    NUMBERS(env, m[0]));
	aegis_env_destroy(AEGIS_SELF, OWN->env);
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
	uint32_t pages = (uint32_t)((s[1].va + s[1].bytes - s->va + 4095) >> 12);
	uint32_t text = (uint32_t)(s[1].offset >> 12);

	must(s[1].va - s->va, s[1].offset); /* the file is the image */
	boot.image_low = s->va;
	boot.image_high = s->va + pages * AEGIS_PAGE;
	boot.image_frame = frames_get(AEGIS_ANY, pages);
	bind(SPACE, LOAD_VA, boot.image_frame, pages, RW);
	memcpy((void *)LOAD_VA, elf, s[1].offset + s[1].file_bytes);
	bind(SPACE, s->va, boot.image_frame, text, RO | AEGIS_BIND_EXEC | AEGIS_BIND_GUARANTEED);
	bind(SPACE, s[1].va, boot.image_frame + text, pages - text, RW | AEGIS_BIND_GUARANTEED);
	exos = true;
	must(aegis_wake(CAP, child, 0), 0);
	SELF->area.defer = 1;
	SELF->resume = 0;
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
	bind_exposed(AEGIS_SELF, boot.space, SYSTEM_VA, boot.system_frame, 1);
	bind_exposed(AEGIS_SELF, boot.space, OWN_VA, boot.env_frame, 1);
	bind_exposed(AEGIS_SELF, boot.space, MAP_VA, SYSTEM->free_map_frame,
		     SYSTEM->free_map_pages);
	setup_write(boot.env, boot.space, 0, AEGIS_SETUP_EXTRA);
	SELF->area.defer = 0;
	elf = member("root/boot/exos", 15);
	chan = !elf && aegis_chan_claim(CAP) == 0;
	if (chan)
		bind_exposed(CAP, boot.space, CHAN_VA, SYSTEM->chan_frame, 1);
	put(hello.bytes, hello.count);
	before = SYSTEM->free_frames;
	exceptions();
	slices(17, 49);
	frames();
	store = frames_get(AEGIS_ANY, 4); /* one run, of which three are asked for */
	stored = 4;
	child_make();
	revocation();
	transfers();
	frames_put(store, stored);
	if (elf && !failed)
		become(elf);
	child_end();
	report(SYSTEM->free_frames == before, "mini: # frames free, as before", before);
	say("6 neighbour: not shown, there is no root/boot/exos in the archive", NULL);
	end(failed);
}
