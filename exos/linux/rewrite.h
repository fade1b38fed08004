/* SPDX-License-Identifier: MIT */
/*
 * Plans the replacement of a `syscall` instruction by a jump into the library.
 *
 * The planner is pure: it looks at an executable mapping and says which bytes to change, and what
 * to put into a stub. It writes nothing, allocates nothing, knows no call numbers. Writing, the
 * placing of stubs, and the policy of which sites to leave alone are the caller's.
 *
 * Invariants of every plan:
 *  1. All bytes changed (patch and island) lie in one 4 KiB page, the page of the site's first
 * byte.
 *  2. The path from the site to the library touches no memory but its own code, and changes no
 *     register but rcx and r11 (which `syscall` destroys too), no flag, and not the stack pointer.
 *  3. The library is entered with rcx = the address to jump to when the call is done. Where that is
 *     not the address behind the `syscall`, the stub sets rcx to that address again afterwards, so
 *     the program always sees in rcx what the processor would have put there. r11 := flags is the
 *     library's duty.
 *  4. Every instruction boundary in a stub or an island stands for one boundary of the original
 *     code: rewrite_origin() tells which.
 *  5. A site that cannot be proven safe is refused, and keeps trapping.
 *
 * Shapes, in order of preference. Let S be the address of the `syscall`.
 *  - BEFORE: one instruction of at least five bytes ends at S, usually `mov $number,%eax`. It moves
 *    into the stub; a `jmp rel32` takes its place. The `syscall` stays, a valid target that traps.
 *  - ISLAND: the two bytes of `syscall` become a `jmp rel8` to alignment padding nearby, that
 * becomes a `jmp rel32` to the stub.
 *  - AFTER: `syscall` and the instructions behind it, at least three bytes, become a `jmp rel32`.
 * They run in the stub on the way back. This is the one shape in which an address that the program
 *    can hold (S + 2, as the return address of a call in progress or in a saved context) loses its
 *    meaning: every resumption of a saved context must go through rewrite_resume().
 *
 * docs/decisions/rewriting.md gives the argument for each rule.
 */
#ifndef EXOS_LINUX_REWRITE_H
#define EXOS_LINUX_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REWRITE_STUB_MAX   64
#define REWRITE_JUMP_LEN   5
#define REWRITE_STEP_MAX   4
#define REWRITE_MOVED_MAX  4
#define REWRITE_INDEX_SPAN 512 /* bytes of text per slot of the index */

enum rewrite_kind {
	REWRITE_REFUSED,
	REWRITE_BEFORE,
	REWRITE_ISLAND,
	REWRITE_AFTER,
	REWRITE_KIND_COUNT,
};

enum rewrite_reason {
	REWRITE_FITS,         /* not refused */
	REWRITE_UNTRIED,      /* an earlier shape was chosen, or the caller excluded this one */
	REWRITE_NOT_A_SITE,   /* no `syscall` at this address inside the mapping */
	REWRITE_CHANGED,      /* the bytes to change are no longer those of the file */
	REWRITE_PREFIXED,     /* the `syscall` may carry prefixes: S is not its first byte */
	REWRITE_LANDMARK,     /* unwinders recognise signal frames by these bytes */
	REWRITE_NO_INDEX,     /* needs the index: build it and plan again */
	REWRITE_NO_BOUNDARY,  /* decodings disagree about where instructions begin */
	REWRITE_TOO_SHORT,    /* the instruction before S has fewer than five bytes */
	REWRITE_FIXED,        /* a neighbouring instruction cannot run elsewhere */
	REWRITE_TARGETED,     /* something may jump between the bytes to be changed */
	REWRITE_INDIRECT,     /* an indirect jump close by: its targets are unknown */
	REWRITE_NO_PADDING,   /* no proven padding within reach */
	REWRITE_PAGE_EDGE,    /* the bytes to change cross a page boundary */
	REWRITE_OUT_OF_REACH, /* stub, or something a moved instruction refers to, too far away */
	REWRITE_REASON_COUNT,
};

/* Which addresses in a text are the target of a possible direct 32-bit branch, for the
 * neighbourhood of each possible `syscall`. Holds offsets only: it serves a file mapped at any
 * address, and may be shared read-only once built. */
struct rewrite_index {
	size_t len;     /* of the text */
	uint32_t *slot; /* per REWRITE_INDEX_SPAN bytes: 0, or 1 + the number of its bit set */
	uint64_t *bits;
	uint32_t sets;
};

/* One executable, private, file-backed mapping. */
struct rewrite_view {
	const uint8_t *text; /* the file's bytes, unchanged */
	const uint8_t *live; /* what is mapped now; text where nothing was patched yet */
	uint64_t base;       /* address of text[0] in the program */
	size_t len;
	const struct rewrite_index *index; /* NULL: only `mov $number,%eax` sites are planned */
	const uint64_t *pointers;          /* further known code pointers; ascending, may be NULL */
	size_t pointer_count;
	unsigned without; /* bit mask of 1 << enum rewrite_kind: shapes not to be used */
};

struct rewrite_request {
	uint64_t site;  /* address of the two bytes 0f 05 */
	uint64_t rax;   /* at the trap; confirms `mov $number,%eax` */
	bool rax_known; /* false only in surveys: the immediate is then believed */
	uint64_t stub; /* where the stub will be: REWRITE_STUB_MAX bytes within 2 GiB of the site */
	uint64_t entry; /* the library's common entry */
};

/* What the caller keeps for each rewritten site. */
struct rewrite_record {
	uint64_t site;
	uint64_t patch;  /* first byte changed at the site */
	uint64_t stub;   /* first byte of the stub */
	uint64_t island; /* 0 if the shape has none */
	uint8_t kind;    /* enum rewrite_kind */
	uint8_t stub_len;
	uint8_t head;        /* stub offset at which the original is at the site */
	uint8_t tail;        /* stub offset of the way back, or 0 */
	uint8_t moved_count; /* instructions in the tail, the closing jump included */
	uint8_t moved_at[REWRITE_MOVED_MAX];   /* stub offset of each */
	uint8_t moved_from[REWRITE_MOVED_MAX]; /* original address of each, minus site */
	bool entry_near;                       /* the stub's last jump to the library is direct */
};

struct rewrite_plan {
	uint8_t kind;                    /* enum rewrite_kind */
	uint8_t reason;                  /* enum rewrite_reason of the whole */
	uint8_t why[REWRITE_KIND_COUNT]; /* enum rewrite_reason of each shape */
	uint8_t patch_len;
	uint8_t patch[REWRITE_JUMP_LEN];  /* to be written at record.patch */
	uint8_t island[REWRITE_JUMP_LEN]; /* to be written at record.island, if that is not 0 */
	uint8_t stub[REWRITE_STUB_MAX];   /* to be placed at record.stub; record.stub_len bytes */
	struct rewrite_record record;
};

/* One write of the patching protocol. After it, if `sync` is set, every processor that may run the
 * text must execute a serialising instruction before the next write is made. */
struct rewrite_step {
	uint64_t at;
	uint8_t len;
	bool sync;
	bool atomic; /* must be one store; `at` and `len` allow that */
	uint8_t bytes[REWRITE_JUMP_LEN];
};

/* The state in which to present the program when it is found at some instruction pointer. */
struct rewrite_origin {
	uint64_t ip;
	bool rcx_set; /* present `rcx` instead of the register's content */
	uint64_t rcx;
};

/* Bytes of memory rewrite_index_build() needs for this text. */
size_t rewrite_index_size(const uint8_t *text, size_t len);

/* Build the index of one text from its own branches, in memory aligned to 8 bytes that must outlive
 * it. One pass to find the sites and one to find the branches. False if `room` is too small. */
bool rewrite_index_build(struct rewrite_index *index, const uint8_t *text, size_t len, void *memory,
			 size_t room);

/* Add the branches of another executable mapping of the same program; `distance` is its address
 * minus the address of the indexed text. */
void rewrite_index_add(struct rewrite_index *index, const uint8_t *text, size_t len,
		       uint64_t distance);

/* Plan one site. True if *plan is to be carried out; false if refused, with plan->reason. With
 * REWRITE_NO_INDEX the caller may build the index and ask again; REWRITE_OUT_OF_REACH may become
 * possible with another stub address; all other refusals are final for this text. */
bool rewrite_plan(const struct rewrite_view *view, const struct rewrite_request *request,
		  struct rewrite_plan *plan);

/* The writes, in order, that carry out a plan whose stub is already in place and executable.
 * `alone`: no other thread can run the text meanwhile. Returns their number.
 *
 * Otherwise the first byte becomes int3, then the rest changes, then the first byte. A thread that
 * meets the int3 has its ip set by rewrite_breakpoint(). For AFTER the caller stops the other
 * threads after the first write and passes each saved ip through rewrite_resume() before the
 * second. */
unsigned rewrite_steps(const struct rewrite_plan *plan, bool alone,
		       struct rewrite_step steps[REWRITE_STEP_MAX]);

/* Where to resume a thread that trapped at the int3 of a patch in progress; `ip` is as reported by
 * the processor (behind the int3). 0 if the breakpoint is not this patch's. */
uint64_t rewrite_breakpoint(const struct rewrite_record *record, uint64_t ip);

/* The original meaning of `ip` inside this record's stub or island. False if it is not an
 * instruction boundary there. */
bool rewrite_origin(const struct rewrite_record *record, uint64_t ip,
		    struct rewrite_origin *origin);

/* Where to really resume a context whose ip is an original address: the tail of the stub for the
 * addresses that an AFTER patch covers, else `ip`. */
uint64_t rewrite_resume(const struct rewrite_record *record, uint64_t ip);

const char *rewrite_kind_name(unsigned kind);
const char *rewrite_reason_name(unsigned reason);

#endif
