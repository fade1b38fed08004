/* SPDX-License-Identifier: MIT */
/*
 * The rewriter's planner on hand-made texts: every shape, every refusal, the index against a naive
 * one, the patching steps, and random texts under the address sanitizer. Prints TAP.
 *
 * rewrite_run_test.c executes rewritten code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../exos/linux/insn.h"
#include "../../exos/linux/rewrite.h"

#define BASE  0x400000u
#define STUB  0x500000u
#define ENTRY 0x600000u
#define FAR   0x7fff00000000u

static int test_count;
static int test_failures;

static void
check(bool good, const char *name)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, name);
}

/* A text under construction, and everything to plan in it. */
struct bench {
	uint8_t text[8192];
	uint8_t live[8192];
	size_t len;
	size_t site;
	void *memory;
	struct rewrite_index index;
	struct rewrite_view view;
	struct rewrite_request request;
	struct rewrite_plan plan;
};

static struct bench bench;

static void
put(const char *bytes, size_t count)
{
	memcpy(bench.text + bench.len, bytes, count);
	bench.len += count;
}

#define PUT(bytes) put(bytes, sizeof(bytes) - 1)

/* One-byte instructions: decodings fall into step at once. */
static void
put_code(size_t count)
{
	for (; count; count--)
		PUT("\x50\x58"); /* push, pop */
}

static void
put_syscall(void)
{
	bench.site = bench.len;
	PUT("\x0f\x05");
}

static void
begin(void)
{
	free(bench.memory);
	memset(&bench, 0, sizeof(bench));
	put_code(48);
	bench.request.stub = STUB;
	bench.request.entry = ENTRY;
	bench.request.rax_known = true;
	bench.request.rax = 39;
}

/* Copy the text to a block of exact size, so that reading too far is seen. */
static bool
plan_exact(bool indexed)
{
	uint8_t *text = malloc(bench.len);
	uint8_t *live = malloc(bench.len);
	bool fits;

	memcpy(text, bench.text, bench.len);
	memcpy(live, bench.live, bench.len);
	bench.view.text = text;
	bench.view.live = live;
	bench.view.base = BASE;
	bench.view.len = bench.len;
	bench.view.index = indexed ? &bench.index : NULL;
	bench.request.site = BASE + bench.site;
	fits = rewrite_plan(&bench.view, &bench.request, &bench.plan);
	free(text);
	free(live);
	return fits;
}

static void
finish(void)
{
	size_t room = rewrite_index_size(bench.text, bench.len);

	free(bench.memory);
	bench.memory = malloc(room);
	if (!rewrite_index_build(&bench.index, bench.text, bench.len, bench.memory, room))
		abort();
	memcpy(bench.live, bench.text, bench.len);
}

static bool
planned(unsigned kind)
{
	return plan_exact(true) && bench.plan.kind == kind && bench.plan.reason == REWRITE_FITS;
}

static bool
refused(unsigned reason)
{
	if (plan_exact(true) || bench.plan.kind != REWRITE_REFUSED || bench.plan.reason != reason) {
		printf("# kind %s reason %s\n", rewrite_kind_name(bench.plan.kind),
		       rewrite_reason_name(bench.plan.reason));
		return false;
	}
	return true;
}

static void
begin_mov(void)
{
	begin();
	PUT("\xb8\x27\x00\x00\x00");
	put_syscall();
	put_code(80);
	finish();
}

static void
begin_after(void)
{
	begin();
	PUT("\x89\xf0"); /* mov %esi,%eax */
	put_syscall();
	PUT("\x48\x3d\x00\xf0\xff\xff"); /* cmp $-4096,%rax */
	put_code(80);
}

static uint64_t
jump_target(const uint8_t *jump, uint64_t at)
{
	struct insn in;

	if (!insn_decode(jump, REWRITE_JUMP_LEN, &in) || in.kind != INSN_JMP)
		return 0;
	return at + in.len + (uint64_t)(int64_t)in.rel;
}

static void
test_before(void)
{
	static const uint8_t stub[] = {0xb8, 0x27, 0, 0, 0, 0x48, 0x8d, 0x0d};
	const struct rewrite_record *record = &bench.plan.record;

	begin_mov();
	check(planned(REWRITE_BEFORE), "mov $number,%eax before the site");
	check(record->patch == BASE + bench.site - 5 && bench.plan.patch_len == 5,
	      "patches the mov");
	check(jump_target(bench.plan.patch, record->patch) == STUB, "patch jumps to the stub");
	check(!memcmp(bench.plan.stub, stub, sizeof(stub)), "stub begins with the mov");
	check(record->stub_len == 17 && jump_target(bench.plan.stub + 12, STUB + 12) == ENTRY,
	      "stub ends with a jump to the entry");
	check(plan_exact(false), "needs no index");
	bench.request.entry = FAR;
	check(planned(REWRITE_BEFORE) && record->stub_len == 25, "far entry through r11");
	bench.request.rax = 40;
	check(!plan_exact(false) && bench.plan.reason == REWRITE_NO_INDEX,
	      "another number in rax asks for the index");
	check(planned(REWRITE_BEFORE), "and is confirmed by decoding");
	bench.request.stub = BASE + 0x90000000u;
	bench.view.without = 1u << REWRITE_ISLAND | 1u << REWRITE_AFTER;
	check(refused(REWRITE_OUT_OF_REACH), "stub out of reach");

	begin();
	PUT("\x41\xb8\x27\x00\x00\x00"); /* mov $39,%r8d */
	put_syscall();
	put_code(80);
	finish();
	check(planned(REWRITE_BEFORE) && record->patch == BASE + bench.site - 6 &&
		      bench.plan.stub[0] == 0x41,
	      "a prefixed mov moves with its prefix");

	begin();
	PUT("\x48\x8d\x3d\x00\x10\x00\x00"); /* lea 0x1000(%rip),%rdi */
	put_syscall();
	put_code(80);
	finish();
	check(planned(REWRITE_BEFORE) &&
		      STUB + 7 +
				      (bench.plan.stub[3] | bench.plan.stub[4] << 8 |
				       bench.plan.stub[5] << 16 |
				       (uint64_t)(int64_t)(int8_t)bench.plan.stub[6] << 24) ==
			      BASE + bench.site + 0x1000,
	      "rip-relative operand adjusted");
}

static void
test_before_refused(void)
{
	unsigned only = 1u << REWRITE_ISLAND | 1u << REWRITE_AFTER;

	begin();
	PUT("\x31\xc0"); /* xor %eax,%eax */
	put_syscall();
	put_code(80);
	finish();
	check(!plan_exact(false) && bench.plan.reason == REWRITE_NO_INDEX, "xor needs the index");
	bench.view.without = only;
	check(refused(REWRITE_TOO_SHORT), "two bytes before the site are too short");

	begin();
	PUT("\xe8\x00\x00\x00\x00");
	put_syscall();
	put_code(80);
	finish();
	bench.view.without = only;
	check(refused(REWRITE_FIXED), "a call before the site stays");

	begin();
	PUT("\x48\xc7\xc0\x0f\x00\x00\x00");
	put_syscall();
	put_code(80);
	finish();
	check(refused(REWRITE_LANDMARK), "the signal return sequence stays");

	begin();
	PUT("\xb8\x27\x00\x00\x00\x48");
	put_syscall();
	put_code(80);
	finish();
	check(refused(REWRITE_PREFIXED), "a prefixed syscall stays");

	begin();
	/* je into the immediate; its bytes are code from there: add %al,(%rax). */
	PUT("\x74\x03\xb8\x27\x00\x00\x00");
	put_syscall();
	put_code(80);
	finish();
	bench.view.without = only;
	check(refused(REWRITE_TARGETED), "a jump into the moved instruction");

	begin();
	/* The last bytes before the site are one instruction for some decodings, two for others. */
	PUT("\x48\xc7\x45\xb8\x27\x00\x00\x00");
	put_syscall();
	put_code(80);
	finish();
	check(planned(REWRITE_BEFORE) && bench.plan.record.patch == BASE + bench.site - 8,
	      "an immediate that looks like a mov is recognised");
}

static void
test_edges(void)
{
	begin();
	put_code((4096 - 3 - bench.len) / 2);
	PUT("\x90");
	bench.len = 4096 - 3;
	PUT("\xb8\x27\x00\x00\x00");
	put_syscall();
	put_code(80);
	finish();
	bench.view.without = 1u << REWRITE_ISLAND | 1u << REWRITE_AFTER;
	check(refused(REWRITE_PAGE_EDGE), "no patch across a page boundary");

	begin_mov();
	bench.site++;
	check(refused(REWRITE_NOT_A_SITE), "an address without a syscall");
	bench.site = bench.len - 1;
	check(refused(REWRITE_NOT_A_SITE), "the last byte of the text");
	bench.site = bench.len + 100;
	check(refused(REWRITE_NOT_A_SITE), "an address behind the text");
	bench.site = (size_t)-100;
	check(refused(REWRITE_NOT_A_SITE), "an address before the text");

	begin_mov();
	bench.live[bench.site - 3] = 1;
	bench.view.without = 1u << REWRITE_ISLAND | 1u << REWRITE_AFTER;
	check(refused(REWRITE_CHANGED), "a text that is no longer the file's");

	begin();
	bench.len = 0;
	put_syscall();
	finish();
	bench.view.without = 0;
	check(!plan_exact(true), "a text of nothing but a syscall");
}

/* xor %eax,%eax; syscall; then `end`, which `count` bytes of padding follow up to alignment. */
static void
begin_island(const char *end, size_t size, size_t count, const char *filler)
{
	begin();
	put_code(8);
	while ((bench.len + 10 + size + count) % 16)
		PUT("\x90");
	PUT("\x31\xc0");
	put_syscall();
	PUT("\x48\x3d\x00\xf0\xff\xff");
	put(end, size);
	for (; count; count--)
		put(filler, 1);
	put_code(160);
	finish();
	bench.view.without = 1u << REWRITE_AFTER;
}

static void
test_island(void)
{
	const struct rewrite_record *record = &bench.plan.record;
	uint64_t target;

	begin_island("\xc3", 1, 6, "\xcc");
	check(planned(REWRITE_ISLAND), "padding behind a ret");
	target = jump_target(bench.plan.patch, record->patch);
	check(bench.plan.patch_len == 2 && record->patch == BASE + bench.site &&
		      target == record->island && record->island == BASE + bench.site + 9,
	      "short jump to the padding");
	check(jump_target(bench.plan.island, record->island) == STUB, "which jumps to the stub");
	bench.live[record->island - BASE] = 0xe9;
	check(refused(REWRITE_NO_PADDING), "padding in use is not taken again");

	begin_island("\xc3", 1, 4, "\x90");
	check(refused(REWRITE_NO_PADDING), "four bytes are no island");
	begin_island("\x89\xc3", 2, 8, "\x90");
	check(refused(REWRITE_NO_PADDING), "padding that is run through is no island");
	begin_island("\xeb\x20", 2, 6, "\x90");
	check(planned(REWRITE_ISLAND), "padding behind a jmp");
	begin_island("\x74\x20", 2, 6, "\x90");
	check(refused(REWRITE_NO_PADDING), "padding behind a conditional jump is none");
	begin_island("\xeb\x00", 2, 6, "\x90");
	check(refused(REWRITE_NO_PADDING), "padding that is jumped to is none");
	begin_island("\xe9\x02\x00\x00\x00", 5, 6, "\x90");
	check(refused(REWRITE_NO_PADDING), "nor if the jump is a long one");
	begin_island("\xc3", 1, 6, "\x00");
	check(refused(REWRITE_NO_PADDING), "zeros are no padding");
}

static void
test_after(void)
{
	struct rewrite_record *record = &bench.plan.record;

	begin_after();
	finish();
	check(planned(REWRITE_AFTER), "syscall and the cmp behind it");
	check(record->patch == BASE + bench.site && bench.plan.patch_len == 5 &&
		      jump_target(bench.plan.patch, record->patch) == STUB,
	      "patches from the syscall on");
	check(record->tail == 12 && !memcmp(bench.plan.stub + 19, "\x48\x3d\x00\xf0\xff\xff", 6) &&
		      jump_target(bench.plan.stub + 25, STUB + 25) == BASE + bench.site + 8,
	      "the cmp runs in the tail, which goes on behind it");
	check(rewrite_resume(record, BASE + bench.site + 2) == STUB + 19, "resumes in the tail");
	check(rewrite_resume(record, BASE + bench.site) == BASE + bench.site &&
		      rewrite_resume(record, BASE + bench.site + 8) == BASE + bench.site + 8,
	      "other addresses resume as they are");
	bench.request.entry = FAR;
	check(planned(REWRITE_AFTER) && record->tail == 20, "far entry");

	begin();
	PUT("\x89\xf0");
	put_syscall();
	PUT("\x48\x8b\x15\x00\x01\x00\x00"); /* mov 0x100(%rip),%rdx */
	put_code(80);
	finish();
	check(planned(REWRITE_AFTER), "rip-relative operand behind the site");

	begin();
	PUT("\x89\xf0");
	put_syscall();
	PUT("\x85\xc0\x78\x08"); /* test %eax,%eax; js */
	put_code(80);
	finish();
	check(planned(REWRITE_AFTER) && record->moved_count == 3 &&
		      !memcmp(bench.plan.stub + 19, "\x85\xc0\x0f\x88", 4),
	      "a conditional jump is moved in its long form");

	begin();
	PUT("\x89\xf0");
	put_syscall();
	PUT("\xe8\x00\x01\x00\x00");
	put_code(80);
	finish();
	check(refused(REWRITE_FIXED), "a call behind the site stays");
}

static void
test_after_ends(void)
{
	begin();
	while (bench.len % 16 != 8)
		PUT("\x90");
	PUT("\x89\xf0");
	put_syscall();
	PUT("\xc3\xcc\xcc\xcc");
	put_code(80);
	finish();
	check(planned(REWRITE_AFTER) && bench.plan.record.moved_count == 1, "ret and padding");

	begin();
	while (bench.len % 16 != 8)
		PUT("\x90");
	PUT("\x89\xf0");
	put_syscall();
	PUT("\xc3\x89\xc8\x90");
	put_code(80);
	finish();
	check(refused(REWRITE_FIXED), "ret and other code");

	begin();
	PUT("\x89\xf0");
	put_syscall();
	PUT("\xeb\xf0");
	finish();
	check(refused(REWRITE_FIXED), "the text ends in the patch");
}

static void
test_targeted(void)
{
	static uint8_t other[64];
	uint64_t pointer;
	int64_t rel;

	begin_after();
	bench.text[bench.site - 10] = 0x74; /* je to the cmp */
	bench.text[bench.site - 9] = 10;
	finish();
	check(refused(REWRITE_TARGETED), "a short jump to the cmp");

	begin_after();
	bench.text[bench.site + 40] = 0x75; /* jne to the cmp, backwards */
	bench.text[bench.site + 41] = (uint8_t)-40;
	finish();
	check(refused(REWRITE_TARGETED), "a short jump back to the cmp");

	begin_after();
	put_code(500);
	rel = (int64_t)(bench.site + 2) - (int64_t)(bench.len + 6);
	PUT("\x0f\x84");
	put((const char *)&rel, 4);
	put_code(4);
	finish();
	check(refused(REWRITE_TARGETED), "a long jump to the cmp");

	begin_after();
	finish();
	pointer = BASE + bench.site + 2;
	bench.view.pointers = &pointer;
	bench.view.pointer_count = 1;
	check(refused(REWRITE_TARGETED), "a known pointer to the cmp");
	pointer = BASE + bench.site + 5;
	check(planned(REWRITE_AFTER), "a pointer behind the patch does no harm");
	bench.view.pointers = NULL;

	begin_after();
	finish();
	other[20] = 0xe9;
	rel = (int64_t)(bench.site + 2) - (0x100000 + 25);
	memcpy(other + 21, &rel, 4);
	rewrite_index_add(&bench.index, other, sizeof(other), 0x100000);
	check(refused(REWRITE_TARGETED), "a jump from another mapping");

	begin_after();
	PUT("\x3e\xff\xe0"); /* notrack jmp *%rax */
	put_code(4);
	finish();
	check(refused(REWRITE_INDIRECT), "an indirect jump close by");

	begin_after();
	/* The same bytes as a jump to the cmp, but inside the immediate of an instruction. */
	bench.len = bench.site + 8;
	put_code(8);
	PUT("\xb9\x74\xe8\x00\x00");
	put_code(80);
	finish();
	check(planned(REWRITE_AFTER), "what no decoding reaches is no jump");
}

/* Each boundary in the stub has an origin, nothing else has. */
static bool
origins_hold(void)
{
	const struct rewrite_plan *plan = &bench.plan;
	struct rewrite_origin origin;
	uint64_t next = plan->record.stub;
	uint64_t ip;

	for (ip = plan->record.stub - 4; ip < plan->record.stub + REWRITE_STUB_MAX + 4; ip++) {
		bool boundary = ip == next && ip < plan->record.stub + plan->record.stub_len;
		struct insn in;

		if (rewrite_origin(&plan->record, ip, &origin) != boundary)
			return false;
		if (!boundary)
			continue;
		if (origin.ip + 16 < plan->record.site || origin.ip > plan->record.site + 20)
			return false;
		if (!insn_decode(plan->stub + (ip - plan->record.stub), 15, &in))
			return false;
		next = ip + in.len;
	}
	return true;
}

static void
test_origin(void)
{
	struct rewrite_origin origin;
	int far;

	for (far = 0; far < 2; far++) {
		begin_mov();
		bench.request.entry = far ? FAR : ENTRY;
		check(planned(REWRITE_BEFORE) && origins_hold(), "origins of before");
		rewrite_origin(&bench.plan.record, STUB, &origin);
		check(origin.ip == BASE + bench.site - 5 && !origin.rcx_set, "the mov not yet run");
		rewrite_origin(&bench.plan.record, STUB + 5, &origin);
		check(origin.ip == BASE + bench.site && !origin.rcx_set, "the mov run");
		rewrite_origin(&bench.plan.record, STUB + 12, &origin);
		check(origin.ip == BASE + bench.site && origin.rcx_set &&
			      origin.rcx == BASE + bench.site + 2,
		      "rcx loaded");
		begin_island("\xc3", 1, 6, "\xcc");
		bench.request.entry = far ? FAR : ENTRY;
		check(planned(REWRITE_ISLAND) && origins_hold(), "origins of island");
		check(rewrite_origin(&bench.plan.record, bench.plan.record.island, &origin) &&
			      origin.ip == BASE + bench.site,
		      "the island itself");
		begin_after();
		finish();
		bench.request.entry = far ? FAR : ENTRY;
		check(planned(REWRITE_AFTER) && origins_hold(), "origins of after");
		rewrite_origin(&bench.plan.record, STUB + bench.plan.record.tail, &origin);
		check(origin.ip == BASE + bench.site + 2 && origin.rcx_set, "the tail");
	}
}

static void
test_steps(void)
{
	struct rewrite_step steps[REWRITE_STEP_MAX];
	uint64_t patch;

	begin_mov();
	planned(REWRITE_BEFORE);
	patch = bench.plan.record.patch;
	check(rewrite_steps(&bench.plan, true, steps) == 1 && steps[0].len == 5, "one write alone");
	check(rewrite_steps(&bench.plan, false, steps) == 3 && steps[0].at == patch &&
		      steps[0].bytes[0] == 0xcc && steps[0].len == 1 && steps[1].at == patch + 1 &&
		      steps[1].len == 4 && steps[2].at == patch && steps[2].bytes[0] == 0xe9,
	      "breakpoint first beside other threads");
	check(rewrite_breakpoint(&bench.plan.record, patch + 1) == STUB &&
		      rewrite_breakpoint(&bench.plan.record, patch) == 0,
	      "who meets the breakpoint goes to the stub");
	begin_island("\xc3", 1, 6, "\xcc");
	planned(REWRITE_ISLAND);
	check(rewrite_steps(&bench.plan, false, steps) == 2 &&
		      steps[0].at == bench.plan.record.island && steps[1].atomic,
	      "the island first, then one store");
	bench.plan.record.patch |= 7;
	check(rewrite_steps(&bench.plan, false, steps) == 4, "unless it crosses a word");
	bench.plan.kind = REWRITE_REFUSED;
	check(rewrite_steps(&bench.plan, false, steps) == 0, "nothing for a refusal");
}

static uint64_t random_state = 88172645463325252u;

static uint8_t
random_byte(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint8_t)(random_state >> 32);
}

/* Random bytes, rich in sites, branches to close targets, padding and movs. */
static void
random_text(void)
{
	static const uint8_t common[] = {0x0f, 0x05, 0xe8, 0xe9, 0xc3, 0xcc, 0x90, 0xb8,
					 0x00, 0xff, 0x74, 0xeb, 0x84, 0x66, 0x48, 0x01};
	size_t i;

	begin();
	bench.len = 64 + (size_t)random_byte() * 8 + random_byte() % 8;
	for (i = 0; i < bench.len; i++) {
		uint8_t byte = random_byte();

		bench.text[i] = byte & 0x80 ? common[byte & 15] : random_byte();
		if (i > 8 && (byte & 0x70) == 0)
			bench.text[i - 1] = 0x0f, bench.text[i] = 0x05;
		else if (i > 8 && (byte & 0x78) == 0x10)
			bench.text[i - 4] = 0xe8, bench.text[i - 1] = bench.text[i] = 0;
	}
	finish();
}

static bool
index_agrees(void)
{
	static bool naive[8192];
	size_t i;

	memset(naive, 0, sizeof(naive));
	for (i = 0; i + 5 <= bench.len; i++) {
		bool jcc = bench.text[i] == 0x0f && (bench.text[i + 1] & 0xf0) == 0x80;
		size_t field = i + (jcc ? 2 : 1);
		uint32_t rel;

		if (!jcc && bench.text[i] != 0xe8 && bench.text[i] != 0xe9)
			continue;
		if (field + 4 > bench.len)
			continue;
		memcpy(&rel, bench.text + field, 4);
		if (field + 4 + (size_t)(int32_t)rel < bench.len)
			naive[field + 4 + (size_t)(int32_t)rel] = true;
	}
	for (i = 0; i < bench.len; i++) {
		uint32_t set = bench.index.slot[i / REWRITE_INDEX_SPAN];
		uint64_t bit = (uint64_t)1 << (i % 64);
		bool near = false;
		size_t j;

		for (j = i > 256 ? i - 256 : 0; j + 1 < bench.len && j < i + 256; j++)
			near |= bench.text[j] == 0x0f && bench.text[j + 1] == 0x05;
		if (near && !set)
			return false;
		if (set && naive[i] != !!(bench.index.bits[(set - 1) * (REWRITE_INDEX_SPAN / 64) +
							   i % REWRITE_INDEX_SPAN / 64] &
					  bit))
			return false;
	}
	return true;
}

/* The promises of rewrite.h that can be seen in the plan itself. */
static bool
plan_sound(void)
{
	const struct rewrite_record *record = &bench.plan.record;
	uint64_t page = record->site & ~(uint64_t)4095;

	if (bench.plan.kind == REWRITE_REFUSED)
		return bench.plan.reason != REWRITE_FITS;
	return record->patch >= page && record->patch + bench.plan.patch_len <= page + 4096 &&
	       record->patch >= BASE && record->patch + bench.plan.patch_len <= BASE + bench.len &&
	       (!record->island || (record->island >= page && record->island + 5 <= page + 4096 &&
				    record->island + 5 <= BASE + bench.len)) &&
	       record->stub_len <= REWRITE_STUB_MAX && origins_hold();
}

static void
test_random(void)
{
	unsigned kinds[REWRITE_KIND_COUNT] = {0};
	bool index_good = true;
	bool plans_good = true;
	bool small_good = true;
	int round;

	for (round = 0; round < 300; round++) {
		struct rewrite_index small;
		size_t room;

		random_text();
		index_good &= index_agrees();
		room = rewrite_index_size(bench.text, bench.len);
		small_good &=
			!rewrite_index_build(&small, bench.text, bench.len, bench.memory, room - 1);
		finish();
		for (bench.site = 0; bench.site + 1 < bench.len; bench.site++) {
			if (bench.text[bench.site] != 0x0f || bench.text[bench.site + 1] != 0x05)
				continue;
			bench.request.rax_known = bench.site & 1;
			bench.request.entry = bench.site & 4 ? FAR : ENTRY;
			plan_exact(true);
			plans_good &= plan_sound();
			kinds[bench.plan.kind]++;
		}
	}
	printf("# random texts: refused %u before %u island %u after %u\n", kinds[0], kinds[1],
	       kinds[2], kinds[3]);
	check(index_good, "index equals a naive one on random texts");
	check(small_good, "index does not fit into less than it asks for");
	check(plans_good, "plans on random texts keep their promises");
}

int
main(void)
{
	test_before();
	test_before_refused();
	test_edges();
	test_island();
	test_after();
	test_after_ends();
	test_targeted();
	test_origin();
	test_steps();
	test_random();
	free(bench.memory);
	printf("1..%d\n", test_count);
	return test_failures ? 1 : 0;
}
