/* SPDX-License-Identifier: MIT */
/*
 * The runner: reports, faults, and the tests one after the other.
 *
 * 1. Every line of the log is one call, so that lines of several environments are not torn.
 * 2. A fault goes to the environment's on_fault, else to its catch, else it ends the test (in the
 *    runner) or the environment (in others) and counts as a failure.
 * 3. After each test what the exposed pages and env_read count is as before it; that is checked,
 * too.
 */
#include "guest.h"

_Static_assert(offsetof(struct guest, stack_top) == GUEST_STACK, "layout.h");
_Static_assert(offsetof(struct guest, resume) == GUEST_RESUME, "layout.h");
_Static_assert(offsetof(struct guest, target) == GUEST_TARGET, "layout.h");
_Static_assert(offsetof(struct guest, began) == GUEST_BEGAN, "layout.h");
_Static_assert(offsetof(struct guest, began_fs) == GUEST_FS, "layout.h");
_Static_assert(offsetof(struct guest, begins) == GUEST_BEGINS, "layout.h");
_Static_assert(offsetof(struct guest, message) == GUEST_MESSAGE, "layout.h");
_Static_assert(offsetof(struct guest, caller) == GUEST_CALLER, "layout.h");
_Static_assert(sizeof(struct guest) <= PAGE, "one page");
_Static_assert(offsetof(struct aegis_frame, deferred) == FRAME_DEFERRED, "layout.h");
_Static_assert(offsetof(struct aegis_frame, rax) == FRAME_RAX, "layout.h");
_Static_assert(offsetof(struct aegis_frame, rip) == FRAME_RIP, "layout.h");

static struct aegis_boot_page boot_copy; /* for children, who do not have the page */
const struct aegis_boot_page *const boot_page = &boot_copy;
extern struct seen boot_registers __asm__("boot_seen");
struct seen boot_registers;
extern const struct test *const tests_begin[], *const tests_end[];

_Noreturn void guest_boot(void);
_Noreturn void guest_first(void);
void guest_fault(struct aegis_frame *f, uint64_t callee[6]);
void guest_async(struct aegis_frame *f, uint64_t callee[6]);
void guest_called(void);

static volatile uint32_t failures; /* of this test */
uint32_t lost_frames;
static const char *skipped;
static struct jump test_jump;
static const struct test *test_now;

/* ---- reports ---- */

struct line {
	char *at, *end;
};

static void
line_char(struct line *l, char c)
{
	if (l->at < l->end)
		*l->at++ = c;
}

static void
line_number(struct line *l, uint64_t value, uint32_t base, uint32_t width)
{
	char digits[24];
	uint32_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n < width && n < sizeof(digits))
		digits[n++] = '0';
	while (n)
		line_char(l, digits[--n]);
}

static void
line_format(struct line *l, const char *p, __builtin_va_list args)
{
	for (; *p; p++) {
		uint32_t width = 0;
		bool wide = false;

		if (*p != '%') {
			line_char(l, *p);
			continue;
		}
		for (p++; *p >= '0' && *p <= '9'; p++)
			width = width * 10 + (uint32_t)(*p - '0');
		for (; *p == 'l'; p++)
			wide = true;
		if (*p == 's') {
			for (const char *s = __builtin_va_arg(args, const char *); *s; s++)
				line_char(l, *s);
		} else if (*p == 'd') {
			int64_t v = wide ? __builtin_va_arg(args, int64_t)
					 : __builtin_va_arg(args, int32_t);

			if (v < 0)
				line_char(l, '-');
			line_number(l, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, width);
		} else {
			uint64_t v = wide ? __builtin_va_arg(args, uint64_t)
					  : __builtin_va_arg(args, uint32_t);

			line_number(l, v, *p == 'x' ? 16 : 10, width);
		}
	}
}

void
say(const char *format, ...)
{
	char text[256];
	struct line l = {text, text + sizeof(text) - 1};
	char *to = (char *)self() + TEXT;
	uint32_t old = self()->area.defer;
	__builtin_va_list args;

	if (self()->hostile)
		return;
	__builtin_va_start(args, format);
	line_format(&l, format, args);
	__builtin_va_end(args);
	*l.at++ = '\n';
	self()->area.defer = 1; /* the text's page is used by handlers, too */
	memcpy(to, text, (size_t)(l.at - text));
	aegis_log_write(CAP, TEXT, (uint32_t)(l.at - text));
	if (!old)
		*(volatile uint32_t *)&self()->area.defer = 0;
}

void
check_failed(const char *file, int line, const char *what, int64_t a, int64_t b)
{
	if (self()->hostile)
		return;
	__atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
	if (a != b)
		say("# %s:%d: %s is %ld (%lx), not %ld", file, line, what, a, (uint64_t)a, b);
	else
		say("# %s:%d: %s", file, line, what);
}

_Noreturn void
test_leave(void)
{
	if (self()->index == 0)
		guest_throw(&test_jump);
	for (;;)
		aegis_env_destroy(AEGIS_SELF, self()->env);
}

_Noreturn void
skip(const char *why)
{
	skipped = why;
	test_leave();
}

const char *
option(const char *name)
{
	const char *p = boot_page->options;

	while (*p) {
		const char *n = name;

		while (*n && *p == *n) {
			p++;
			n++;
		}
		if (!*n && (*p == '=' || *p == ' ' || !*p))
			return *p == '=' ? p + 1 : p;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return NULL;
}

uint64_t
option_number(const char *name, uint64_t otherwise)
{
	const char *text = option(name);
	uint64_t value = 0;

	if (!text || *text < '0' || *text > '9')
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

/* ---- upcalls ---- */

/* Enters guest_throw as if by a jump. */
static void
frame_throw(struct aegis_frame *f, const struct jump *to)
{
	f->rip = (uint64_t)guest_throw;
	f->rdi = (uint64_t)to;
	f->rsp = to->rsp - 8;
	f->rflags &= ~0x40500ul; /* AC DF TF */
}

void
guest_fault(struct aegis_frame *f, uint64_t callee[6])
{
	struct guest *g = self();
	struct jump *catch = g->catch;

	g->faults++;
	if (g->on_fault && g->on_fault(f, callee))
		return;
	g->last = *f;
	if (catch) {
		g->catch = NULL;
		frame_throw(f, catch);
		return;
	}
	if (!g->hostile) {
		say("# fault in env %u: cause %u error %x addr %lx rip %lx rsp %lx", g->env,
		    f->cause, f->error, f->addr, f->rip, f->rsp);
		check_failed(__FILE__, __LINE__, "a fault that nobody expected", 0, 0);
	}
	if (g->index == 0)
		frame_throw(f, &test_jump);
	else
		aegis_env_destroy(AEGIS_SELF, g->env);
}

void
guest_async(struct aegis_frame *f, uint64_t callee[6])
{
	struct guest *g = self();
	uint32_t pending = __atomic_exchange_n(&g->area.pending, 0, __ATOMIC_SEQ_CST);

	(void)callee;
	g->asyncs++;
	g->slices += (pending & AEGIS_PEND_SLICE) != 0;
	g->events += (pending & AEGIS_PEND_EVENT) != 0;
	g->revokes += (pending & AEGIS_PEND_REVOKE) != 0;
	g->irqs += (pending & AEGIS_PEND_IRQ) != 0;
	if (g->on_async)
		g->on_async(f, pending);
	if (pending & AEGIS_PEND_SLICE)
		guest_leave(AEGIS_CALL_yield, AEGIS_SELF, AEGIS_ANY, 0);
}

void
guest_called(void)
{
	struct guest *g = self();
	uint64_t sleeping = g->resume; /* the context that sleeps, while this one may yield */

	g->resume = 0;
	*(volatile uint32_t *)&g->area.defer = 0;
	if (*(volatile uint32_t *)&g->area.pending)
		aegis_null();
	if (g->on_call)
		g->on_call(&g->message, (uint32_t)g->caller);
	*(volatile uint32_t *)&g->area.defer = 1;
	g->resume = sleeping;
}

_Noreturn void
guest_first(void)
{
	struct guest *g = self();

	g->area.defer = 0;
	g->result = g->fn(g->arg);
	g->done = 1;
	for (;;)
		aegis_env_destroy(AEGIS_SELF, g->env);
}

/* ---- faults on purpose ---- */

uint32_t
fault_of(guest_fn *fn, uint64_t arg)
{
	struct guest *g = self();
	struct jump *outer = g->catch;
	struct jump j;
	uint32_t cause;

	if (guest_catch(&j) == 0) {
		g->catch = &j;
		fn(arg);
		cause = NO_FAULT;
	} else {
		cause = self()->last.cause;
	}
	self()->catch = outer;
	return cause;
}

static int64_t
read_byte(uint64_t va)
{
	uint8_t byte;

	__asm__ volatile("movb (%1), %0" : "=r"(byte) : "r"(va) : "memory");
	return byte;
}

uint32_t
probe_read(uint64_t va)
{
	return fault_of(read_byte, va);
}

static uint64_t probe_value[BLOCKS];

static int64_t
write_word(uint64_t va)
{
	__asm__ volatile("movq %0, (%1)" ::"r"(probe_value[self()->index]), "r"(va) : "memory");
	return 0;
}

uint32_t
probe_write(uint64_t va, uint64_t value)
{
	probe_value[self()->index] = value;
	return fault_of(write_word, va);
}

/* ---- running ---- */

/* What each test leaves as it found it. */
struct counts {
	uint32_t frames, used;
};

static struct counts
counts_take(void)
{
	return (struct counts){SYSTEM->free_frames, env_info(self()->env)->account_used};
}

static void
counts_compare(const struct counts *before)
{
	struct counts after = counts_take();

	for (int i = 0; i < 20 && after.frames + lost_frames != before->frames; i++) {
		rest(1000000);
		after = counts_take();
	}
	check_is(after.frames + lost_frames, before->frames);
	check_is(after.used, before->used + lost_frames);
}

/* How many environments and spaces there are, in thousands of calls: not for each test. */
static uint32_t
counts_all(void)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < AEGIS_ENVS; i++)
		n += (aegis_env_read(CAP, i, SPARE) == AEGIS_OK) +
		     (aegis_mem_share(CAP, i, BATCH, 0) == AEGIS_OK);
	return n;
}

/* The option test=: names separated by commas; one that ends with * stands for all that begin so.
 */
static bool
test_selected(const char *name)
{
	const char *p = option("test");

	if (!p)
		return name[0] != '_';
	while (*p && *p != ' ') {
		const char *n = name;

		while (*n && *p == *n) {
			p++;
			n++;
		}
		if (*p == '*' || (!*n && (*p == ',' || *p == ' ' || !*p)))
			return true;
		while (*p && *p != ' ' && *p != ',')
			p++;
		p += *p == ',';
	}
	return false;
}

static bool
test_run(const struct test *t, uint32_t number)
{
	struct counts before = counts_take();
	uint64_t start = tsc();

	failures = lost_frames = 0;
	skipped = NULL;
	test_now = t;
	if (guest_catch(&test_jump) == 0)
		t->fn();
	self()->catch = NULL;
	self()->on_async = NULL;
	self()->on_fault = NULL;
	if (guest_catch(&test_jump) == 0) {
		children_end();
		unbind(self()->space, TEST_VA, (TEST_END - TEST_VA) / PAGE);
		counts_compare(&before);
	}
	self()->area.defer = 0;
	say("%sok %u - %s # %s%s%lu ms", failures ? "not " : "", number, t->name,
	    skipped ? "SKIP " : "", skipped ? skipped : "", ns(tsc() - start) / 1000000);
	return failures == 0;
}

static void
tests_run(void)
{
	uint32_t count = 0, number = 0, bad = 0, all = counts_all(), left;

	for (const struct test *const *t = tests_begin; t < tests_end; t++)
		count += test_selected((*t)->name);
	say("TAP version 13");
	say("1..%u", count);
	for (const struct test *const *t = tests_begin; t < tests_end; t++) {
		if (test_selected((*t)->name))
			bad += !test_run(*t, ++number);
	}
	left = counts_all();
	if (left != all) {
		say("not ok - %u environments and spaces, %u before the tests", left, all);
		bad++;
	}
	say("# %u of %u tests failed", bad, count);
	aegis_power_off(CAP, bad ? 1 : 0);
}

/* Before anything else works: the kernel's area serves until the block is there. */
static void
block_bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct aegis_bind *b = (struct aegis_bind *)(AEGIS_BOOT_AREA + BATCH);

	for (uint32_t level = 1; level <= 3; level++) {
		*b = (struct aegis_bind){va, pfn, prot};
		if (aegis_tlb_write(AEGIS_SELF, space, BATCH, 1) == 1)
			return;
		for (level = 1; level <= 3; level++) {
			struct aegis_frame_rec *r = (struct aegis_frame_rec *)b;

			*r = (struct aegis_frame_rec){AEGIS_ANY, 0};
			if (aegis_mem_alloc(CAP, BATCH, 1, 0) != 1)
				__builtin_trap();
			*b = (struct aegis_bind){va & ~((1ul << (12 + 9 * level)) - 1), r->pfn,
						 AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level)};
			if (aegis_tlb_write(AEGIS_SELF, space, BATCH, 1) == 1)
				break;
			*r = (struct aegis_frame_rec){b->pfn, 0};
			aegis_mem_free(BATCH, 1);
		}
		level = 0;
	}
}

static uint32_t
boot_frame(void)
{
	struct aegis_frame_rec *r = (struct aegis_frame_rec *)(AEGIS_BOOT_AREA + BATCH);

	*r = (struct aegis_frame_rec){AEGIS_ANY, 0};
	if (aegis_mem_alloc(CAP, BATCH, 1, 0) != 1)
		__builtin_trap();
	return r->pfn;
}

static void
boot_hold(uint32_t cap, uint32_t pfn)
{
	struct aegis_frame_rec *r = (struct aegis_frame_rec *)(AEGIS_BOOT_AREA + BATCH);

	*r = (struct aegis_frame_rec){pfn, AEGIS_READ};
	if (aegis_mem_bind(cap, BATCH, 1) != 1)
		__builtin_trap();
}

_Noreturn void
guest_boot(void)
{
	struct aegis_setup *s = (struct aegis_setup *)(AEGIS_BOOT_AREA + BATCH);
	struct guest *g = (struct guest *)BLOCK(0);
	uint32_t space;

	boot_copy = *(const struct aegis_boot_page *)AEGIS_BOOT_PAGE;
	space = boot_page->space;
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		block_bind(space, BLOCK(0) + i * PAGE, boot_frame(), RW | AEGIS_BIND_GUARANTEED);
	boot_hold(AEGIS_SELF, boot_page->system_frame);
	block_bind(space, SYSTEM_VA, boot_page->system_frame, RO | AEGIS_BIND_GUARANTEED);
	boot_hold(AEGIS_SELF, boot_page->env_frame);
	block_bind(space, BLOCK(0) + ENVPAGE_OFFSET, boot_page->env_frame,
		   RO | AEGIS_BIND_GUARANTEED);
	guest_init(g, 0);
	g->env = boot_page->env;
	g->space = space;
	g->area.defer = 1;
	setup_fill(s, g, space, 0, AEGIS_SETUP_EXTRA);
	__asm__ volatile("wrgsbase %0" ::"r"(g) : "memory");
	if (aegis_env_write(AEGIS_SELF, g->env, BATCH) != AEGIS_OK)
		__builtin_trap();
	g->area.defer = 0;
	for (uint64_t va = TEST_VA; va < TEST_END; va += AEGIS_LARGE_PAGE)
		table_supply(space, va, 1, frame_get());
	for (uint64_t va = BLOCK_VA; va < BLOCK(BLOCKS); va += AEGIS_LARGE_PAGE) {
		if (va != BLOCK_VA)
			table_supply(space, va, 1, frame_get());
	}
	tests_run();
	for (;;)
		;
}
