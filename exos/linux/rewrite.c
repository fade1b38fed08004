/* SPDX-License-Identifier: MIT */
/*
 * The planner: tries the shapes in order of preference and builds patch, island and stub.
 *
 * Pure; the contract and the invariants of a plan are in rewrite.h, the rules for reading code in
 * rewrite_scan.h. Runs at a site's first trap, so it may take some ten thousand instructions; the
 * lookups (origin, resume, breakpoint) take a few.
 *
 * A stub is laid out as
 *
 *	moved instruction			BEFORE only
 *   head:
 *	lea   way back(%rip), %rcx
 *	jmp   entry				or movabs $entry, %r11; jmp *%r11
 *   tail:					AFTER only
 *	lea   site + 2(%rip), %rcx
 *	moved instructions
 *	jmp   behind them			unless the last is an unconditional transfer
 */
#include "insn.h"
#include "rewrite_scan.h"

#define SYSCALL_LEN    2
#define LEA_LEN        7
#define MOVABS_LEN     10
#define PAGE_MASK      0xfffu
#define LINE_STEP      16 /* alignment to which compilers pad */
#define INDIRECT_RANGE 1024

/* What one planning pass works on; `at` is the site's offset in the text. */
struct job {
	const struct rewrite_view *view;
	const struct rewrite_request *request;
	struct rewrite_plan *plan;
	size_t at;
};

struct emit {
	uint8_t *bytes;
	uint64_t at; /* address of bytes[0] */
	uint8_t len;
	uint8_t room;
	bool bad; /* out of room or out of reach */
};

static void
emit_byte(struct emit *e, uint8_t byte)
{
	if (e->len >= e->room) {
		e->bad = true;
		return;
	}
	e->bytes[e->len++] = byte;
}

static void
emit_bytes(struct emit *e, const uint8_t *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		emit_byte(e, bytes[i]);
}

static void
emit_value(struct emit *e, uint64_t value, unsigned count)
{
	for (; count; count--, value >>= 8)
		emit_byte(e, (uint8_t)value);
}

/* A 32-bit offset to `target` from `behind` bytes after the field. */
static void
emit_offset(struct emit *e, uint64_t target, unsigned behind)
{
	int64_t offset = (int64_t)(target - (e->at + e->len + 4 + behind));

	if (offset != (int32_t)offset)
		e->bad = true;
	emit_value(e, (uint64_t)offset, 4);
}

static void
emit_jump(struct emit *e, uint64_t target)
{
	emit_byte(e, 0xe9);
	emit_offset(e, target, 0);
}

static void
emit_rcx(struct emit *e, uint64_t value)
{
	emit_bytes(e, (const uint8_t[]){0x48, 0x8d, 0x0d}, 3);
	emit_offset(e, value, 0);
}

static bool
jump_reaches(uint64_t from, uint64_t target)
{
	int64_t offset = (int64_t)(target - (from + REWRITE_JUMP_LEN));

	return offset == (int32_t)offset;
}

static bool
entry_is_near(const struct emit *e, uint64_t entry)
{
	return jump_reaches(e->at + e->len + LEA_LEN, entry);
}

static void
emit_entry(struct emit *e, uint64_t entry, bool near)
{
	if (near) {
		emit_jump(e, entry);
		return;
	}
	emit_bytes(e, (const uint8_t[]){0x49, 0xbb}, 2);
	emit_value(e, entry, 8);
	emit_bytes(e, (const uint8_t[]){0x41, 0xff, 0xe3}, 3);
}

/* Whether this instruction means the same at another address once emit_moved() has adjusted it. */
static bool
insn_can_move(const struct insn *in)
{
	switch (in->kind) {
	case INSN_PLAIN:
		return !(in->rip_relative && in->address32);
	case INSN_JCC:
	case INSN_JMP:
		return in->prefix == 0;
	case INSN_RET:
		return true;
	default:
		return false;
	}
}

/* Emit the instruction that stands at address `from` with the same meaning at the stub's. */
static void
emit_moved(struct emit *e, const uint8_t *bytes, const struct insn *in, uint64_t from)
{
	uint64_t end = from + in->len;

	if (in->kind == INSN_JMP) {
		emit_jump(e, end + (uint64_t)(int64_t)in->rel);
		return;
	}
	if (in->kind == INSN_JCC) {
		emit_byte(e, 0x0f);
		emit_byte(e, (uint8_t)(0x80 | (in->opcode & 0x0f)));
		emit_offset(e, end + (uint64_t)(int64_t)in->rel, 0);
		return;
	}
	if (in->rip_relative) {
		uint32_t disp = 0;
		unsigned i;

		for (i = 0; i < 4; i++)
			disp |= (uint32_t)bytes[in->disp_at + i] << (8 * i);
		emit_bytes(e, bytes, in->disp_at);
		emit_offset(e, end + (uint64_t)(int64_t)(int32_t)disp, in->imm_len);
		emit_bytes(e, bytes + in->disp_at + 4, in->imm_len);
		return;
	}
	emit_bytes(e, bytes, in->len);
}

static uint64_t
job_address(const struct job *job, size_t at)
{
	return job->view->base + at;
}

static size_t
job_decode(const struct job *job, size_t at, struct insn *in)
{
	if (at >= job->view->len)
		return 0;
	return insn_decode(job->view->text + at, job->view->len - at, in);
}

static bool
job_same_page(const struct job *job, size_t at, size_t count)
{
	uint64_t site = job_address(job, job->at) & ~(uint64_t)PAGE_MASK;

	return (job_address(job, at) & ~(uint64_t)PAGE_MASK) == site &&
	       (job_address(job, at + count - 1) & ~(uint64_t)PAGE_MASK) == site;
}

static bool
job_unchanged(const struct job *job, size_t at, size_t count)
{
	size_t i;

	for (i = at; i < at + count; i++)
		if (job->view->live[i] != job->view->text[i])
			return false;
	return true;
}

static struct emit
job_stub(const struct job *job)
{
	return (struct emit){job->plan->stub, job->request->stub, 0, REWRITE_STUB_MAX, false};
}

/* Emit the way into the library. `back` is where it returns to; 0 stands for the tail that follows.
 */
static void
job_enter(const struct job *job, struct emit *e, uint64_t back)
{
	struct rewrite_record *record = &job->plan->record;
	bool near = entry_is_near(e, job->request->entry);

	record->head = e->len;
	record->entry_near = near;
	if (!back)
		back = e->at + e->len + LEA_LEN + (near ? REWRITE_JUMP_LEN : MOVABS_LEN + 3);
	emit_rcx(e, back);
	emit_entry(e, job->request->entry, near);
}

/* Fix the patch, a jump from `at` to the stub, and the record's common part. */
static bool
job_finish(const struct job *job, const struct emit *stub, size_t at, unsigned kind)
{
	struct rewrite_plan *plan = job->plan;
	struct emit e = {plan->patch, job_address(job, at), 0, REWRITE_JUMP_LEN, false};

	if (kind == REWRITE_ISLAND)
		e = (struct emit){plan->island, plan->record.island, 0, REWRITE_JUMP_LEN, false};
	emit_jump(&e, job->request->stub);
	if (e.bad || stub->bad)
		return false;
	plan->kind = (uint8_t)kind;
	plan->patch_len = kind == REWRITE_ISLAND ? SYSCALL_LEN : REWRITE_JUMP_LEN;
	plan->record.kind = (uint8_t)kind;
	plan->record.site = job->request->site;
	plan->record.stub = job->request->stub;
	plan->record.patch = job_address(job, at);
	plan->record.stub_len = stub->len;
	return true;
}

/* `mov $number,%eax` directly before the site, with the very number that was in rax at the trap. */
static bool
before_confirmed(const struct job *job)
{
	const uint8_t *bytes = job->view->text + job->at - REWRITE_JUMP_LEN;
	uint64_t number;

	if (job->at < REWRITE_JUMP_LEN || bytes[0] != 0xb8)
		return false;
	number = (uint32_t)bytes[1] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3] << 16 |
		 (uint32_t)bytes[4] << 24;
	return !job->request->rax_known || number == job->request->rax;
}

static unsigned
plan_before(const struct job *job)
{
	struct emit e = job_stub(job);
	struct insn in;
	unsigned len = scan_boundary(job->view, job->at, false, false);

	if (len != REWRITE_JUMP_LEN || !before_confirmed(job)) {
		if (!job->view->index)
			return REWRITE_NO_INDEX;
		len = scan_boundary(job->view, job->at, false, true);
	}
	if (len == SCAN_NONE || len == SCAN_SPLIT)
		return REWRITE_NO_BOUNDARY;
	if (len < REWRITE_JUMP_LEN)
		return REWRITE_TOO_SHORT;
	if (!job_same_page(job, job->at - len, len + 1))
		return REWRITE_PAGE_EDGE;
	if (!job_unchanged(job, job->at - len, len + SYSCALL_LEN))
		return REWRITE_CHANGED;
	if (!job_decode(job, job->at - len, &in) || in.kind != INSN_PLAIN || !insn_can_move(&in))
		return REWRITE_FIXED;
	if (scan_targeted(job->view, job->at - len + 1, job->at, true))
		return REWRITE_TARGETED;
	emit_moved(&e, job->view->text + job->at - len, &in, job_address(job, job->at - len));
	job_enter(job, &e, job->request->site + SYSCALL_LEN);
	return job_finish(job, &e, job->at - len, REWRITE_BEFORE) ? REWRITE_FITS
								  : REWRITE_OUT_OF_REACH;
}

/* True if [at, end) is filled exactly by padding instructions. */
static bool
is_padding(const struct job *job, size_t at, size_t end)
{
	struct insn in;

	while (at < end) {
		if (!job_decode(job, at, &in) || !insn_is_padding(&in))
			return false;
		at += in.len;
	}
	return at == end;
}

/* True if what ends before `at` never goes on to `at`, and every decoding says so. */
static bool
is_dead_end(const struct job *job, size_t at)
{
	unsigned len = scan_boundary(job->view, at, true, true);
	struct insn in;

	if (len == SCAN_NONE || len == SCAN_SPLIT || !job_decode(job, at - len, &in))
		return false;
	return in.kind == INSN_RET || in.kind == INSN_JMP || in.kind == INSN_JMP_INDIRECT ||
	       (in.kind == INSN_TRAP && in.map == 1);
}

/* An island at `at`, before the aligned offset `end`? */
static bool
island_fits(const struct job *job, size_t at, size_t end)
{
	return job_same_page(job, at, REWRITE_JUMP_LEN) && is_padding(job, at, end) &&
	       job_unchanged(job, at, end - at) && is_dead_end(job, at) &&
	       !scan_targeted(job->view, at, end, false);
}

/* Find padding that a short jump at the site reaches. False if there is none. */
static bool
island_find(const struct job *job, size_t *found)
{
	size_t jump = job->at + SYSCALL_LEN;
	size_t low = jump > SCAN_SHORT ? jump - SCAN_SHORT : 0;
	size_t high = job->view->len - jump > SCAN_SHORT ? jump + SCAN_SHORT : job->view->len;
	size_t end;

	/* First aligned address that leaves room for an island behind `low`. */
	end = low + REWRITE_JUMP_LEN + LINE_STEP - 1;
	end -= (size_t)(job_address(job, end) % LINE_STEP);
	for (; end <= job->view->len; end += LINE_STEP) {
		size_t at = end > LINE_STEP - 1 ? end - (LINE_STEP - 1) : 0;

		for (at = at < low ? low : at; at + REWRITE_JUMP_LEN <= end && at < high; at++) {
			if (island_fits(job, at, end)) {
				*found = at;
				return true;
			}
		}
		if (end >= high + LINE_STEP)
			break;
	}
	return false;
}

static unsigned
plan_island(const struct job *job)
{
	struct emit e = job_stub(job);
	size_t island;

	if (!job->view->index)
		return REWRITE_NO_INDEX;
	if (!job_same_page(job, job->at, SYSCALL_LEN))
		return REWRITE_PAGE_EDGE;
	if (!job_unchanged(job, job->at, SYSCALL_LEN))
		return REWRITE_CHANGED;
	if (!island_find(job, &island))
		return REWRITE_NO_PADDING;
	job_enter(job, &e, job->request->site + SYSCALL_LEN);
	job->plan->record.island = job_address(job, island);
	if (!job_finish(job, &e, job->at, REWRITE_ISLAND)) {
		job->plan->record.island = 0;
		return REWRITE_OUT_OF_REACH;
	}
	job->plan->patch[0] = 0xeb;
	job->plan->patch[1] = (uint8_t)(island - (job->at + SYSCALL_LEN));
	return REWRITE_FITS;
}

/* Emit the instructions that the patch covers, and the jump behind them. The result is
 * REWRITE_FITS, or why they cannot move. */
static unsigned
after_move(const struct job *job, struct emit *e)
{
	struct rewrite_record *record = &job->plan->record;
	size_t at = job->at + SYSCALL_LEN;
	size_t covered = job->at + REWRITE_JUMP_LEN;
	size_t edge;
	struct insn in;

	for (; at < covered; at += in.len) {
		if (!job_decode(job, at, &in) || !insn_can_move(&in))
			return REWRITE_FIXED;
		record->moved_at[record->moved_count] = e->len;
		record->moved_from[record->moved_count++] = (uint8_t)(at - job->at);
		emit_moved(e, job->view->text + at, &in, job_address(job, at));
		if (in.kind != INSN_RET && in.kind != INSN_JMP)
			continue;
		/* What the patch covers behind a final transfer must be filler that nothing runs.
		 */
		at += in.len;
		edge = at + (size_t)(-job_address(job, at) % LINE_STEP);
		if (at < covered &&
		    (edge < covered || edge > job->view->len || !is_padding(job, at, edge)))
			return REWRITE_FIXED;
		return REWRITE_FITS;
	}
	record->moved_at[record->moved_count] = e->len;
	record->moved_from[record->moved_count++] = (uint8_t)(at - job->at);
	emit_jump(e, job_address(job, at));
	return REWRITE_FITS;
}

static unsigned
plan_after(const struct job *job)
{
	struct rewrite_record *record = &job->plan->record;
	struct emit e = job_stub(job);
	unsigned reason;

	if (!job->view->index)
		return REWRITE_NO_INDEX;
	if (job->view->len - job->at < REWRITE_JUMP_LEN)
		return REWRITE_FIXED;
	if (!job_same_page(job, job->at, REWRITE_JUMP_LEN))
		return REWRITE_PAGE_EDGE;
	if (!job_unchanged(job, job->at, REWRITE_JUMP_LEN))
		return REWRITE_CHANGED;
	if (scan_targeted(job->view, job->at + 1, job->at + REWRITE_JUMP_LEN, true))
		return REWRITE_TARGETED;
	if (scan_indirect(job->view, job->at, INDIRECT_RANGE))
		return REWRITE_INDIRECT;
	job_enter(job, &e, 0);
	record->tail = e.len;
	emit_rcx(&e, job->request->site + SYSCALL_LEN);
	reason = after_move(job, &e);
	if (reason == REWRITE_FITS && !job_finish(job, &e, job->at, REWRITE_AFTER))
		reason = REWRITE_OUT_OF_REACH;
	if (reason != REWRITE_FITS)
		*record = (struct rewrite_record){0};
	return reason;
}

/* Any chain that arrives at a `syscall` with prefixes that ends where this one ends? */
static bool
site_is_prefixed(const struct job *job)
{
	struct insn in;
	size_t back;

	for (back = 1; back <= job->at && back <= INSN_MAX - SYSCALL_LEN; back++) {
		if (!insn_is_prefix(job->view->text[job->at - back]))
			return false;
		if (job_decode(job, job->at - back, &in) && in.kind == INSN_SYSCALL &&
		    in.len == back + SYSCALL_LEN && scan_plausible(job->view, job->at - back))
			return true;
	}
	return false;
}

/* `mov $15,%rax; syscall`: unwinders without unwind tables compare a return address with it. */
static bool
site_is_landmark(const struct job *job)
{
	static const uint8_t landmark[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	size_t before = sizeof(landmark) - SYSCALL_LEN;
	size_t i;

	if (job->at < before)
		return false;
	for (i = 0; i < sizeof(landmark); i++)
		if (job->view->text[job->at - before + i] != landmark[i])
			return false;
	return true;
}

static unsigned
site_check(struct job *job)
{
	const struct rewrite_view *view = job->view;
	uint64_t offset = job->request->site - view->base;

	if (view->len < SYSCALL_LEN || offset > view->len - SYSCALL_LEN)
		return REWRITE_NOT_A_SITE;
	job->at = (size_t)offset;
	if (view->text[job->at] != 0x0f || view->text[job->at + 1] != 0x05)
		return REWRITE_NOT_A_SITE;
	if (view->index && view->index->len != view->len)
		return REWRITE_NO_INDEX;
	if (site_is_landmark(job))
		return REWRITE_LANDMARK;
	if (site_is_prefixed(job))
		return REWRITE_PREFIXED;
	return REWRITE_FITS;
}

static unsigned
plan_shape(const struct job *job, unsigned kind)
{
	switch (kind) {
	case REWRITE_BEFORE:
		return plan_before(job);
	case REWRITE_ISLAND:
		return plan_island(job);
	default:
		return plan_after(job);
	}
}

bool
rewrite_plan(const struct rewrite_view *view, const struct rewrite_request *request,
	     struct rewrite_plan *plan)
{
	struct job job = {view, request, plan, 0};
	unsigned kind;

	*plan = (struct rewrite_plan){0};
	plan->reason = (uint8_t)site_check(&job);
	for (kind = 1; kind < REWRITE_KIND_COUNT; kind++)
		plan->why[kind] = REWRITE_UNTRIED;
	if (plan->reason != REWRITE_FITS)
		return false;
	plan->reason = REWRITE_UNTRIED;
	for (kind = 1; kind < REWRITE_KIND_COUNT; kind++) {
		if (view->without & 1u << kind)
			continue;
		plan->why[kind] = (uint8_t)plan_shape(&job, kind);
		plan->reason = plan->why[kind];
		if (plan->reason == REWRITE_FITS)
			return true;
		/* Later shapes are worse: do not take one only because the index is missing. */
		if (plan->reason == REWRITE_NO_INDEX)
			return false;
	}
	return false;
}

static bool
store_is_atomic(uint64_t at, unsigned len)
{
	return at % 8 + len <= 8;
}

static struct rewrite_step
step_make(uint64_t at, const uint8_t *bytes, unsigned len, bool atomic)
{
	struct rewrite_step step = {at, (uint8_t)len, true, atomic, {0}};
	unsigned i;

	for (i = 0; i < len; i++)
		step.bytes[i] = bytes[i];
	return step;
}

unsigned
rewrite_steps(const struct rewrite_plan *plan, bool alone,
	      struct rewrite_step steps[REWRITE_STEP_MAX])
{
	static const uint8_t breakpoint[] = {0xcc};
	const struct rewrite_record *record = &plan->record;
	unsigned count = 0;

	if (plan->kind == REWRITE_REFUSED)
		return 0;
	/* Nothing runs the padding yet. */
	if (record->island)
		steps[count++] = step_make(record->island, plan->island, REWRITE_JUMP_LEN, false);
	if (alone ||
	    (plan->patch_len == SYSCALL_LEN && store_is_atomic(record->patch, plan->patch_len))) {
		steps[count++] = step_make(record->patch, plan->patch, plan->patch_len, !alone);
		return count;
	}
	steps[count++] = step_make(record->patch, breakpoint, 1, true);
	steps[count++] = step_make(record->patch + 1, plan->patch + 1, plan->patch_len - 1u, false);
	steps[count++] = step_make(record->patch, plan->patch, 1, true);
	return count;
}

uint64_t
rewrite_breakpoint(const struct rewrite_record *record, uint64_t ip)
{
	/* The stub begins with whatever stood at the patched address. */
	return record->kind != REWRITE_REFUSED && ip == record->patch + 1 ? record->stub : 0;
}

/* Within the head: before or behind the instructions that load rcx and r11. */
static bool
origin_head(const struct rewrite_record *record, unsigned offset, struct rewrite_origin *origin)
{
	unsigned loaded = record->head + LEA_LEN;

	origin->ip = record->site;
	if (offset == record->head)
		return true;
	origin->rcx_set = true;
	origin->rcx = record->site + SYSCALL_LEN;
	return offset == loaded || (!record->entry_near && offset == loaded + MOVABS_LEN);
}

static bool
origin_tail(const struct rewrite_record *record, unsigned offset, struct rewrite_origin *origin)
{
	unsigned i;

	origin->ip = record->site + SYSCALL_LEN;
	if (offset == record->tail) {
		origin->rcx_set = true;
		origin->rcx = record->site + SYSCALL_LEN;
		return true;
	}
	for (i = 0; i < record->moved_count && i < REWRITE_MOVED_MAX; i++) {
		if (offset == record->moved_at[i]) {
			origin->ip = record->site + record->moved_from[i];
			return true;
		}
	}
	return false;
}

bool
rewrite_origin(const struct rewrite_record *record, uint64_t ip, struct rewrite_origin *origin)
{
	uint64_t offset = ip - record->stub;

	*origin = (struct rewrite_origin){ip, false, 0};
	if (record->kind == REWRITE_REFUSED)
		return false;
	if (record->island && ip == record->island) {
		origin->ip = record->site;
		return true;
	}
	if (offset >= record->stub_len)
		return false;
	if (offset == 0 && record->head != 0) {
		origin->ip = record->patch;
		return true;
	}
	if (record->tail && offset >= record->tail)
		return origin_tail(record, (unsigned)offset, origin);
	return origin_head(record, (unsigned)offset, origin);
}

uint64_t
rewrite_resume(const struct rewrite_record *record, uint64_t ip)
{
	unsigned i;

	if (record->kind != REWRITE_AFTER || ip <= record->site ||
	    ip >= record->site + REWRITE_JUMP_LEN)
		return ip;
	for (i = 0; i < record->moved_count && i < REWRITE_MOVED_MAX; i++)
		if (ip == record->site + record->moved_from[i])
			return record->stub + record->moved_at[i];
	return ip;
}

/* The names are arrays, not pointers: the library's image has nothing to relocate. */
const char *
rewrite_kind_name(unsigned kind)
{
	static const char names[REWRITE_KIND_COUNT][8] = {"refused", "before", "island", "after"};

	return kind < REWRITE_KIND_COUNT ? names[kind] : "?";
}

const char *
rewrite_reason_name(unsigned reason)
{
	static const char names[REWRITE_REASON_COUNT][16] = {
		[REWRITE_FITS] = "fits",
		[REWRITE_UNTRIED] = "untried",
		[REWRITE_NOT_A_SITE] = "not-a-site",
		[REWRITE_CHANGED] = "changed",
		[REWRITE_PREFIXED] = "prefixed",
		[REWRITE_LANDMARK] = "landmark",
		[REWRITE_NO_INDEX] = "no-index",
		[REWRITE_NO_BOUNDARY] = "no-boundary",
		[REWRITE_TOO_SHORT] = "too-short",
		[REWRITE_FIXED] = "fixed",
		[REWRITE_TARGETED] = "targeted",
		[REWRITE_INDIRECT] = "indirect",
		[REWRITE_NO_PADDING] = "no-padding",
		[REWRITE_PAGE_EDGE] = "page-edge",
		[REWRITE_OUT_OF_REACH] = "out-of-reach",
	};

	return reason < REWRITE_REASON_COUNT ? names[reason] : "?";
}
