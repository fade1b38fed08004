/* SPDX-License-Identifier: MIT */
/*
 * The demonstrations, one line each, and the handlers that they need.  The exit status is 0 if every
 * one of them showed what it is to show.
 */
#include "mini.h"

#define SLICE_A 17u
#define SLICE_B 49u
#define COLOURS 64u /* of a cache in which frames that are equal modulo 64 meet */
#define COLOUR  5u

const struct aegis_boot_page *boot;
static uint32_t failed;
/* Exceptions that the handler repaired, and with which frame. */
static volatile uint32_t divides, breakpoints, repairs, repair_frame;
static volatile uint32_t ends, begins, elsewhere; /* slices */
static uint32_t store[4];                         /* frames that can be given back */
static volatile uint32_t stored, given, asked;
static volatile uint32_t served, sent; /* transfers that came in, last message of one */

_Noreturn void mini_boot(const struct aegis_boot_page *page);
_Noreturn void mini_child(void);
void mini_fault(struct aegis_frame *f);
void mini_async(struct aegis_frame *f);
void mini_called(uint64_t message[6], uint32_t caller);

/* What a line begins with. */
static const char *
shown(bool good)
{
	failed += !good;
	return good ? "ok" : "FAILED";
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
	} else if (f->cause == AEGIS_CAUSE_PAGE && (f->addr & ~0xffful) == DEMO_VA) {
		repair_frame = frame_get(AEGIS_ANY);
		bind(self()->space, DEMO_VA, repair_frame, RW);
		repairs++;
	} else {
		line("mini: exception %u at %x, address %x", (uint64_t)f->cause, f->rip, f->addr);
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
	line("1 %s: a division by zero (resumed behind it), a breakpoint, and a page fault at %x "
	     "repaired with frame %u, where %u is now; %u upcalls",
	     shown(divides == 1 && breakpoints == 1 && repairs == 1 && *word == 42 &&
		   OWN->upcalls - before >= 3),
	     DEMO_VA, (uint64_t)repair_frame, *word, (uint64_t)(OWN->upcalls - before));
	unbind(DEMO_VA, 1);
	frame_put(repair_frame);
}

/* ---- 2: time ---- */

static void
slice_end(void)
{
	ends++;
	leave(AEGIS_CALL_yield, AEGIS_SELF, AEGIS_ANY, 0);
	begins++;
	elsewhere += OWN->slice != SLICE_A && OWN->slice != SLICE_B;
}

static void
slices(void)
{
	uint32_t cpu = OWN->cpu;
	uint64_t limit = tsc() + ticks(20 * SECOND);

	must(aegis_slice_alloc(CAP, cpu, SLICE_A), SLICE_A);
	must(aegis_slice_alloc(CAP, cpu, SLICE_B), SLICE_B);
	ends = begins = elsewhere = 0;
	setup_write(self(), self()->env, self()->space, cpu, 0); /* nothing beyond what it owns */
	while (begins < 4 && tsc() < limit)
		__asm__ volatile("pause");
	line("2 %s: slices %u and %u of processor %u, and no time beside them; told of %u ends and "
	     "%u "
	     "begins, %u of these at another position",
	     shown(begins >= 4 && ends >= begins && elsewhere <= 1), (uint64_t)SLICE_A,
	     (uint64_t)SLICE_B, (uint64_t)cpu, (uint64_t)ends, (uint64_t)begins,
	     (uint64_t)elsewhere);
	setup_write(self(), self()->env, self()->space, cpu, AEGIS_SETUP_EXTRA);
	must(aegis_slice_free(cpu, SLICE_A), AEGIS_OK);
	must(aegis_slice_free(cpu, SLICE_B), AEGIS_OK);
}

/* ---- 3: memory ---- */

static void
frames(void)
{
	uint32_t f[2], n = 0;
	uint64_t bits = AEGIS_PTE_ACCESSED | AEGIS_PTE_DIRTY, seen[4];

	for (uint32_t pfn = SYSTEM->frames; pfn-- > 0 && n < 2;) {
		if (pfn % COLOURS == COLOUR && frame_free(pfn))
			f[n++] = pfn;
	}
	must(n, 2);
	for (uint32_t i = 0; i < 2; i++) {
		must(frame_get(f[i]), f[i]);
		bind(self()->space, DEMO_VA + i * AEGIS_PAGE, f[i], RW);
		seen[i] = *aegis_window(DEMO_VA + i * AEGIS_PAGE);
	}
	(void)*(volatile uint64_t *)DEMO_VA;
	*(volatile uint64_t *)(DEMO_VA + AEGIS_PAGE) = 1;
	seen[2] = *aegis_window(DEMO_VA);
	seen[3] = *aegis_window(DEMO_VA + AEGIS_PAGE);
	line("3 %s: frames %u and %u, free in the map and of one colour, taken by number; bits of "
	     "their entries (20 accessed, 40 dirty): %x %x, the first read %x, the second written "
	     "%x",
	     shown((seen[0] & AEGIS_PTE_FRAME) >> 12 == f[0] && !((seen[0] | seen[1]) & bits) &&
		   (seen[2] & bits) == AEGIS_PTE_ACCESSED && (seen[3] & bits) == bits &&
		   !frame_free(f[0]) && !frame_free(f[1])),
	     (uint64_t)f[0], (uint64_t)f[1], seen[0] & bits, seen[1] & bits, seen[2] & bits,
	     seen[3] & bits);
	unbind(DEMO_VA, 2);
	frame_put(f[0]);
	frame_put(f[1]);
}

/* ---- 4: revocation ---- */

static void
give(void)
{
	while (OWN->ask_kind == AEGIS_KIND_FRAME && stored) {
		frame_put(store[--stored]);
		given++;
	}
}

static void
asker(void)
{
	asked = 1 + (aegis_revoke_ask(1, boot->env, AEGIS_KIND_FRAME, 3,
				      tsc() + ticks(10 * SECOND)) != AEGIS_OK);
}

static void
gives_back(void)
{
	uint32_t taken = OWN->taken_count;
	struct child c;

	stored = given = asked = 0;
	child_make(&c, asker);
	while (stored < 4) {
		uint32_t pfn = frame_get(AEGIS_ANY);

		store[stored++] = pfn;
	}
	must(aegis_cap_grant(CAP, CAP, c.env, AEGIS_REVOKE, 1), AEGIS_OK);
	must(aegis_wake(CAP, c.env, 0), AEGIS_OK);
	wait_for(&asked, 1);
	wait_for(&given, 3);
	line("4 %s: environment %u asked for 3 frames, which it may by the one capability it has; "
	     "%u "
	     "given back in the upcall, %u taken by force",
	     shown(asked == 1 && given == 3 && OWN->ask_kind == AEGIS_KIND_NONE &&
		   OWN->taken_count == taken),
	     (uint64_t)c.env, (uint64_t)given, (uint64_t)(OWN->taken_count - taken));
	while (stored)
		frame_put(store[--stored]);
	child_end(&c);
}

static void
stubborn(void)
{
	for (;;)
		leave(AEGIS_CALL_sleep, OWN->events, AEGIS_NEVER, 0);
}

static void
repossession(void)
{
	uint32_t f[4], gone = 0, names = 0;
	struct child c;

	child_make(&c, stubborn);
	for (uint32_t i = 0; i < 4; i++) {
		f[i] = frame_get(AEGIS_ANY);
		bind(c.space, DEMO_VA + i * AEGIS_PAGE, f[i], RW);
		frame_put(f[i]); /* now the child alone holds it */
	}
	must(aegis_wake(CAP, c.env, 0), AEGIS_OK);
	must(aegis_revoke_ask(CAP, c.env, AEGIS_KIND_FRAME, 2, tsc() + ticks(SECOND / 20)), 0);
	wait_for(&EXPOSED->taken_count, 2);
	for (uint32_t i = 0; i < 4; i++) {
		gone += frame_free(f[i]);
		for (uint32_t k = 0; k < 2; k++)
			names += EXPOSED->taken[k] == AEGIS_TAKEN(AEGIS_KIND_FRAME, f[i]);
	}
	line("4 %s: environment %u, asked for 2 of its 4 frames, did nothing: %u were taken, %u of "
	     "them named in its page, %u free again",
	     shown(EXPOSED->taken_count == 2 && names == 2 && gone == 2), (uint64_t)c.env,
	     (uint64_t)EXPOSED->taken_count, (uint64_t)names, (uint64_t)gone);
	child_end(&c);
}

/* ---- 5: protected control transfer ---- */

void
mini_called(uint64_t message[6], uint32_t caller)
{
	sent = (uint32_t)message[5];
	message[0] *= message[1];
	message[1] = caller;
	message[2] = self()->space;
	served++;
}

static void
server(void)
{
	for (;;)
		leave(AEGIS_CALL_sleep, OWN->events, AEGIS_NEVER, AEGIS_SLEEP_ACCEPT);
}

static void
transfers(void)
{
	uint64_t message[6] = {6, 7, 0, 0, 0, 1};
	struct child c;
	int64_t st;

	child_make(&c, server);
	must(aegis_pct_bind(CAP, c.env, 0), AEGIS_OK);
	must(aegis_wake(CAP, c.env, 0), AEGIS_OK);
	st = transfer(AEGIS_CALL_pct_call, 0, message);
	line("5 %s: control went to environment %u in space %u with 6 and 7 in registers, and came "
	     "back with %u; it saw the caller as environment %u",
	     shown(st == AEGIS_OK && message[0] == 42 && message[1] == boot->env &&
		   message[2] == c.space && c.space != self()->space),
	     (uint64_t)c.env, message[2], message[0], message[1]);
	message[5] = 4711;
	st = transfer(AEGIS_CALL_pct_send, 0, message);
	wait_for(&served, 2);
	line("5 %s: sent without waiting: environment %u found %u in its registers",
	     shown(st == BEGUN && served == 2 && sent == 4711), (uint64_t)c.env, (uint64_t)sent);
	child_end(&c);
}

/* ---- where it begins ---- */

void
mini_async(struct aegis_frame *f)
{
	uint32_t pending = __atomic_exchange_n(&self()->area.pending, 0, __ATOMIC_SEQ_CST);

	(void)f;
	if ((pending & AEGIS_PEND_REVOKE) && self()->env == boot->env)
		give();
	if (pending & AEGIS_PEND_SLICE)
		slice_end();
}

_Noreturn void
mini_child(void)
{
	self()->area.defer = 0;
	self()->fn();
	for (;;)
		aegis_env_destroy(AEGIS_SELF, self()->env);
}

static void
pages_bind(void)
{
	uint32_t space = self()->space, always = AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED;

	frame_hold(AEGIS_SELF, boot->system_frame);
	bind(space, SYSTEM_VA, boot->system_frame, always);
	frame_hold(AEGIS_SELF, boot->env_frame);
	bind(space, OWN_VA, boot->env_frame, always);
	for (uint32_t i = 0; i < SYSTEM->free_map_pages; i++) {
		frame_hold(AEGIS_SELF, SYSTEM->free_map_frame + i);
		bind(space, MAP_VA + i * AEGIS_PAGE, SYSTEM->free_map_frame + i, AEGIS_BIND_READ);
	}
}

_Noreturn void
mini_boot(const struct aegis_boot_page *page)
{
	static struct aegis_boot_page copy; /* children do not have the page */
	struct mini *m = (struct mini *)AEGIS_BOOT_AREA;
	uint32_t before;

	copy = *page;
	boot = &copy;
	m->env = boot->env;
	m->space = boot->space;
	pages_bind();
	setup_write(m, m->env, m->space, 0, AEGIS_SETUP_EXTRA);
	m->area.defer = 0;
	chan_open();
	before = SYSTEM->free_frames;
	exceptions();
	slices();
	frames();
	gives_back();
	repossession();
	transfers();
	line("%s: %u frames free, as before", shown(SYSTEM->free_frames == before),
	     (uint64_t)SYSTEM->free_frames);
	end(failed != 0);
}
