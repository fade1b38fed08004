/* SPDX-License-Identifier: MIT */
/*
 * Executes rewritten code. Prints TAP.
 *
 * The functions of the section `sites`, written in assembler and in C, are copied into memory of
 * their own, once near the common entry and once far from it. Each is run unpatched, and then with
 * its site in every shape the planner grants. All registers, the flags and the red zone must be the
 * same afterwards. Three things are then repeated:
 *  - with only the first step of the patching protocol done, a SIGTRAP handler playing the library;
 *  - single-stepped, to see that every ip met in a stub or island has an origin;
 *  - with the program presented at the origin and resumed, once for every step.
 *
 * The entry performs the real system call and jumps to rcx.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../exos/linux/insn.h"
#include "../../exos/linux/rewrite.h"

#define RED_ZONE   128
#define FLAG_TRAP  0x100u
#define STUBS_SIZE 0x10000u

enum reg { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, FLAGS, REGS };

struct state {
	uint64_t regs[REGS];
	uint8_t red[RED_ZONE];
};

struct state run_in;
struct state run_out;
uint64_t run_target;
uint64_t entry_count;
uint64_t entry_back;
uint64_t entry_stack[64];

void run_site(void);
void entry_far(void);
/* The linker's names for the section's ends. */
extern uint8_t sites_begin[] __asm__("__start_sites");
extern uint8_t sites_end[] __asm__("__stop_sites");

/* Loads run_in, fills the red zone of run_target, runs it, stores run_out. */
__asm__(".text\n"
	".globl run_site\n"
	"run_site:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	lea 1f(%rip), %rax\n"
	"	push %rax\n"
	"	lea -128(%rsp), %rdi\n"
	"	lea run_in+128(%rip), %rsi\n"
	"	mov $128, %ecx\n"
	"	rep movsb\n"
	"	lea run_in(%rip), %rax\n"
	"	mov 8(%rax), %rbx; mov 16(%rax), %rcx; mov 24(%rax), %rdx; mov 32(%rax), %rsi\n"
	"	mov 40(%rax), %rdi; mov 48(%rax), %rbp; mov 56(%rax), %r8; mov 64(%rax), %r9\n"
	"	mov 72(%rax), %r10; mov 80(%rax), %r11; mov 88(%rax), %r12; mov 96(%rax), %r13\n"
	"	mov 104(%rax), %r14; mov 112(%rax), %r15\n"
	"	mov %rsp, run_stack(%rip)\n"
	"	lea entry_stack+256(%rip), %rsp\n"
	"	push 120(%rax)\n"
	"	mov (%rax), %rax\n"
	"	popf\n"
	"	mov run_stack(%rip), %rsp\n"
	"	jmp *run_target(%rip)\n"
	"1:	mov %rax, run_out(%rip)\n"
	"	lea run_out(%rip), %rax\n"
	"	mov %rbx, 8(%rax); mov %rcx, 16(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax)\n"
	"	mov %rdi, 40(%rax); mov %rbp, 48(%rax); mov %r8, 56(%rax); mov %r9, 64(%rax)\n"
	"	mov %r10, 72(%rax); mov %r11, 80(%rax); mov %r12, 88(%rax); mov %r13, 96(%rax)\n"
	"	mov %r14, 104(%rax); mov %r15, 112(%rax)\n"
	"	mov %rsp, run_stack(%rip)\n"
	"	lea entry_stack+256(%rip), %rsp\n"
	"	pushf\n"
	"	andl $~0x100, (%rsp)\n"
	"	popf\n"
	"	mov -8(%rsp), %rbx\n"
	"	mov %rbx, 120(%rax)\n"
	"	mov run_stack(%rip), %rsp\n"
	"	lea -136(%rsp), %rsi\n"
	"	lea 128(%rax), %rdi\n"
	"	mov $128, %ecx\n"
	"	rep movsb\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	".globl entry_far\n"
	"entry_far:\n"
	"	mov %rcx, entry_back(%rip)\n"
	"	mov entry_count(%rip), %r11\n"
	"	lea 1(%r11), %r11\n"
	"	mov %r11, entry_count(%rip)\n"
	"	syscall\n"
	"	mov entry_back(%rip), %rcx\n"
	"	jmp *%rcx\n"
	".data\n"
	".balign 8\n"
	"run_stack: .quad 0\n"
	".text\n");

/* Code runs into `at_*`; filler of one-byte instructions keeps padding out of reach. */
#define CASE(name)    ".balign 16\n.globl case_" #name "\ncase_" #name ":\n"
#define SITE(name)    ".globl at_" #name "\nat_" #name ": syscall\n"
#define NO_PADDING    ".rept 70\n push %rax; pop %rax\n.endr\n"
#define DECLARE(name) extern uint8_t case_##name[], at_##name[]

DECLARE(mov);
DECLARE(xor);
DECLARE(lone);
DECLARE(redzone);
DECLARE(address);
DECLARE(join);
DECLARE(branch);
DECLARE(ret);
DECLARE(away);
DECLARE(loadip);
DECLARE(middle_short);
DECLARE(middle_long);

__asm__(".pushsection sites, \"ax\", @progbits\n" NO_PADDING
	"	ret\n" CASE(mov) "	mov $39, %eax\n" SITE(mov) "	ret\n"
	/* read of a closed descriptor: the shape of the C library's wrapper */
	CASE(xor) "	xor %eax, %eax\n" SITE(xor) "	cmp $-4096, %rax\n"
						    "	ja 1f\n"
						    "	ret\n"
						    "1:	neg %rax\n"
						    "	ret\n" CASE(lone) NO_PADDING
	"	mov %r15d, %eax\n" SITE(
		lone) "	cmp $-4096, %rax\n"
		      "	ja 1f\n"
		      "	inc %rax\n"
		      "1:\n" NO_PADDING "	ret\n" CASE(
			      redzone) "	mov $39, %eax\n"
				       "	movq $0x1234567, -64(%rsp)\n" SITE(
					       redzone) "	addq $1, -64(%rsp)\n"
							"	ret\n" CASE(
								address) "	mov $21, %eax\n"
									 "	xor %esi, %esi\n"
									 "	lea 1f(%rip), "
									 "%rdi\n" SITE(
										 address) "	ret"
											  "\n"
											  "1:	"
											  ".asciz "
											  "\"/\"\n"
	/* the syscall is itself a target, by which rax comes from elsewhere */
	CASE(join) "	mov %r15d, %eax\n"
		   "	test %r14d, %r14d\n"
		   "	je 1f\n"
		   "	mov $39, %eax\n"
		   "1:\n" SITE(join) "	ret\n" CASE(branch) NO_PADDING
	"	mov %r15d, %eax\n" SITE(
		branch) "	test %eax, %eax\n"
			"	js 1f\n"
			"	ret\n"
			"1:	neg %eax\n" NO_PADDING "	ret\n" CASE(
				ret) "	nop; nop; nop; nop; nop; nop\n"
				     "	mov %r15d, %eax\n" SITE(ret) "	ret\n" CASE(away) NO_PADDING
	"	mov %r15d, %eax\n" SITE(away) "	jmp 1f\n"
					      ".balign 16, 0xcc\n"
					      "	ud2\n"
					      "1:	not %rax\n"
					      "	ret\n" CASE(loadip) NO_PADDING
	"	mov %r15d, %eax\n" SITE(
		loadip) "	mov 1f(%rip), %rdx\n"
			"	ret\n"
			"1:	.quad 0x1122334455667788\n" CASE(
				middle_short) "	mov %r14d, %eax\n"
					      "	test %r14d, %r14d\n"
					      "	je 1f\n"
					      "	mov %r15d, %eax\n" SITE(
						      middle_short) "1:	cmp $-4096, %rax\n"
								    "	setbe %dl\n" NO_PADDING
								    "	ret\n" CASE(
									    middle_long) "	mov"
											 " %r14d, "
											 "%eax\n"
											 "	tes"
											 "t %r14d, "
											 "%r14d\n"
											 "	."
											 "byte "
											 "0x0f, "
											 "0x84\n"
											 "	."
											 "long 1f "
											 "- . - 4\n"
											 "	mov"
											 " %r15d, "
											 "%eax"
											 "\n" SITE(
												 middle_long) "1:	cmp $-4096, %rax\n"
													      "	setbe %dl\n" NO_PADDING
													      "	ret\n"
													      "	ret\n"
													      ".popsection\n");

#define FROM_C \
	__attribute__((section("sites"), noinline, used, no_sanitize("address", "undefined")))

/* Never called where they stand, only in the copy: the prototypes quiet the compilers. */
FROM_C long site_getppid(void);
FROM_C long site_close(long a, long b, long fd);
FROM_C long site_any(long a, long b, long c, long d, long e, long number);

FROM_C long
site_getppid(void)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_getppid)
			 : "rcx", "r11", "memory");
	return result;
}

FROM_C long
site_close(long a, long b, long fd)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_close), "D"(fd)
			 : "rcx", "r11", "memory");
	return result < 0 ? -result + a : b;
}

FROM_C long
site_any(long a, long b, long c, long d, long e, long number)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return (unsigned long)result > -4096UL ? result - d : result + e;
}

static int test_count;
static int test_failures;

static void
check(bool good, const char *name, const char *detail)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s%s\n", good ? "" : "not ", test_count, name, detail);
}

/* One copy of the section with room for stubs and a near entry behind it. */
struct copy {
	uint8_t *code;
	uint8_t *stubs;
	size_t len;
	uint8_t *live; /* what rewrite_view calls live: the copy itself */
	struct rewrite_index index;
	void *memory;
	uint64_t entry;
};

/* The planned site of the run in progress, for the SIGTRAP handler. */
static struct rewrite_plan run_plan;
static const struct copy *run_copy;
static unsigned step_stop; /* present and resume at this step; 0: never */
static unsigned step_count;
static unsigned steps_in_stub;
static unsigned steps_lost;
static unsigned breakpoints;

static bool
in_stub(uint64_t ip)
{
	const struct rewrite_record *record = &run_plan.record;

	return ip - record->stub < REWRITE_STUB_MAX ||
	       (record->island && ip - record->island < REWRITE_JUMP_LEN);
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint64_t ip = (uint64_t)regs[REG_RIP];
	struct rewrite_origin origin;

	(void)number;
	if (info->si_code != TRAP_TRACE) {
		ip = rewrite_breakpoint(&run_plan.record, ip);
		if (!ip)
			_exit(99);
		regs[REG_RIP] = (greg_t)ip;
		breakpoints++;
		return;
	}
	if (!in_stub(ip))
		return;
	steps_in_stub++;
	if (!rewrite_origin(&run_plan.record, ip, &origin)) {
		steps_lost++;
		return;
	}
	if (++step_count != step_stop)
		return;
	regs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
	regs[REG_RIP] = (greg_t)rewrite_resume(&run_plan.record, origin.ip);
	if (origin.rcx_set)
		regs[REG_RCX] = (greg_t)origin.rcx;
}

static void
copy_make(struct copy *copy, bool near)
{
	size_t len = (size_t)(sites_end - sites_begin);
	size_t room = rewrite_index_size(sites_begin, len);
	size_t size = (len + 4095) / 4096 * 4096 + STUBS_SIZE;
	uintptr_t wish =
		near ? ((uintptr_t)entry_far & ~(uintptr_t)4095) + 0x8000000 : 0x7e0000000000;

	copy->len = len;
	copy->code = mmap((void *)wish, size, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	copy->memory = malloc(room);
	if (copy->code == MAP_FAILED || !copy->memory ||
	    !rewrite_index_build(&copy->index, sites_begin, len, copy->memory, room))
		abort();
	copy->stubs = copy->code + size - STUBS_SIZE;
	copy->live = copy->code;
	copy->entry = (uint64_t)(uintptr_t)entry_far;
	memcpy(copy->code, sites_begin, len);
}

static bool
plan_at(const struct copy *copy, size_t site, unsigned without)
{
	struct rewrite_view view = {sites_begin, copy->live,   (uint64_t)(uintptr_t)copy->code,
				    copy->len,   &copy->index, NULL,
				    0,           without};
	struct rewrite_request request = {
		.site = view.base + site,
		.stub = (uint64_t)(uintptr_t)copy->stubs,
		.entry = copy->entry,
	};

	run_copy = copy;
	return rewrite_plan(&view, &request, &run_plan);
}

static void
apply(unsigned limit, bool alone)
{
	struct rewrite_step steps[REWRITE_STEP_MAX];
	unsigned count = rewrite_steps(&run_plan, alone, steps);
	unsigned i;

	memset(run_copy->stubs, 0xf4, STUBS_SIZE);
	memcpy(run_copy->stubs, run_plan.stub, run_plan.record.stub_len);
	for (i = 0; i < count && i < limit; i++)
		memcpy((void *)(uintptr_t)steps[i].at, steps[i].bytes, steps[i].len);
}

static void
run(size_t function, const struct state *in, uint64_t flags, struct state *out)
{
	run_in = *in;
	run_in.regs[FLAGS] |= flags;
	run_target = (uint64_t)(uintptr_t)run_copy->code + function;
	memset(&run_out, 0, sizeof(run_out));
	run_site();
	*out = run_out;
	out->regs[FLAGS] &= ~(uint64_t)FLAG_TRAP;
	/* r11 shows the flags at the call. */
	out->regs[R11] &= ~(uint64_t)FLAG_TRAP;
}

static bool
same(const struct state *a, const struct state *b, const char *what)
{
	unsigned i;

	for (i = 0; i < REGS; i++) {
		if (a->regs[i] != b->regs[i]) {
			printf("# %s: register %u is %llx, not %llx\n", what, i,
			       (unsigned long long)b->regs[i], (unsigned long long)a->regs[i]);
			return false;
		}
	}
	if (memcmp(a->red, b->red, RED_ZONE)) {
		printf("# %s: red zone differs\n", what);
		return false;
	}
	return true;
}

/* Single-step through, then present and resume at each of the steps met inside the stub. */
static bool
run_stepped(size_t function, const struct state *in, const struct state *expected)
{
	struct state out;
	unsigned steps;
	unsigned i;

	step_stop = 0;
	step_count = steps_in_stub = steps_lost = 0;
	run(function, in, FLAG_TRAP, &out);
	if (!same(expected, &out, "stepped") || steps_lost || !steps_in_stub)
		return false;
	steps = step_count;
	for (i = 1; i <= steps; i++) {
		step_stop = i;
		step_count = 0;
		run(function, in, FLAG_TRAP, &out);
		if (!same(expected, &out, "resumed at the origin"))
			return false;
	}
	return true;
}

static bool
run_shape(const struct copy *copy, size_t function, const struct state *in)
{
	struct state expected;
	struct state out;
	uint64_t before;
	bool good;

	memcpy(copy->code, sites_begin, copy->len);
	run(function, in, 0, &expected);
	apply(REWRITE_STEP_MAX, (function & 16) != 0);
	before = entry_count;
	run(function, in, 0, &out);
	good = entry_count == before + 1 && same(&expected, &out, "patched") &&
	       run_stepped(function, in, &expected);
	memcpy(copy->code, sites_begin, copy->len);
	/* An int3 in place of the first byte, everything else as before. */
	apply(run_plan.record.island ? 1 : 0, false);
	*(uint8_t *)(uintptr_t)run_plan.record.patch = 0xcc;
	breakpoints = 0;
	run(function, in, 0, &out);
	good &= breakpoints == 1 && same(&expected, &out, "breakpoint");
	memcpy(copy->code, sites_begin, copy->len);
	return good;
}

struct example {
	const char *name;
	const uint8_t *function;
	const uint8_t *site; /* NULL: the first one in the function */
	uint64_t r14, r15;
	uint64_t number;  /* in r9, as a C function's sixth argument */
	unsigned granted; /* bit mask of the shapes the planner must grant; 0: any */
};

static size_t
site_find(const struct example *ex)
{
	const uint8_t *at = ex->site;

	if (!at)
		for (at = ex->function; at[0] != 0x0f || at[1] != 0x05; at++)
			;
	return (size_t)(at - sites_begin);
}

static void
test_example(const struct copy *copy, const struct example *ex, const char *place)
{
	size_t function = (size_t)(ex->function - sites_begin);
	unsigned granted = 0;
	unsigned kind;
	struct state in;
	bool good = true;
	unsigned i;

	for (i = 0; i < REGS; i++)
		in.regs[i] = 0x1111111111111111u * i + 3;
	for (i = 0; i < RED_ZONE; i++)
		in.red[i] = (uint8_t)(i ^ 0xa5);
	in.regs[RDI] = in.regs[RDX] = (uint64_t)-1; /* bad descriptors */
	in.regs[R14] = ex->r14;
	in.regs[R15] = ex->r15;
	in.regs[R9] = ex->number;
	in.regs[FLAGS] = 0x8d7; /* carry, parity, adjust, zero, sign, overflow */
	for (kind = 1; kind < REWRITE_KIND_COUNT; kind++) {
		unsigned all = 1u << REWRITE_BEFORE | 1u << REWRITE_ISLAND | 1u << REWRITE_AFTER;

		if (!plan_at(copy, site_find(ex), all & ~(1u << kind)))
			continue;
		granted |= 1u << kind;
		if (!run_shape(copy, function, &in)) {
			printf("# as %s\n", rewrite_kind_name(kind));
			good = false;
		}
	}
	if (!granted || (ex->granted && granted != ex->granted)) {
		printf("# shapes granted: %x, not %x\n", granted, ex->granted);
		good = false;
	}
	printf("# %s:%s%s%s\n", ex->name, granted & 1u << REWRITE_BEFORE ? " before" : "",
	       granted & 1u << REWRITE_ISLAND ? " island" : "",
	       granted & 1u << REWRITE_AFTER ? " after" : "");
	check(good, ex->name, place);
}

static void
test_examples(const struct copy *copy, const char *place)
{
	const unsigned island = 1u << REWRITE_ISLAND;
	const unsigned after = 1u << REWRITE_AFTER;
	const struct example examples[] = {
		{"mov and ret", case_mov, at_mov, 0, 0, 0, 0},
		{"read wrapper", case_xor, at_xor, 0, 0, 0, island | after},
		{"lone site", case_lone, at_lone, 0, SYS_getpid, 0, after},
		{"lone site that fails", case_lone, at_lone, 0, 9999, 0, after},
		{"store into the red zone", case_redzone, at_redzone, 0, 0, 0, 0},
		{"rip-relative before", case_address, at_address, 0, 0, 0, 0},
		{"joined from the mov", case_join, at_join, 1, SYS_getppid, 0, 0},
		{"conditional jump behind", case_branch, at_branch, 0, SYS_getpid, 0, after},
		{"conditional jump taken", case_branch, at_branch, 0, 9999, 0, after},
		{"ret behind", case_ret, at_ret, 0, SYS_getpid, 0, 0},
		{"jmp behind", case_away, at_away, 0, SYS_getpid, 0, 0},
		{"rip-relative behind", case_loadip, at_loadip, 0, SYS_getpid, 0, after},
		{"C: getppid", (uint8_t *)site_getppid, NULL, 0, 0, 0, 0},
		{"C: close", (uint8_t *)site_close, NULL, 0, 0, 0, 0},
		{"C: any", (uint8_t *)site_any, NULL, 0, 0, SYS_getpid, 0},
		{"C: any that fails", (uint8_t *)site_any, NULL, 0, 0, 9999, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		test_example(copy, &examples[i], place);
}

/* A jump to the cmp behind the syscall: the site may not be covered. Without a plan it still works.
 */
static void
test_middle(const struct copy *copy)
{
	unsigned others = 1u << REWRITE_BEFORE | 1u << REWRITE_ISLAND;

	check(!plan_at(copy, (size_t)(at_middle_short - sites_begin), others) &&
		      run_plan.reason == REWRITE_TARGETED,
	      "short jump into the middle is refused", "");
	check(!plan_at(copy, (size_t)(at_middle_long - sites_begin), others) &&
		      run_plan.reason == REWRITE_TARGETED,
	      "long jump into the middle is refused", "");
}

/* A syscall that stays in place is a valid target beside the patch. */
static void
test_join(const struct copy *copy)
{
	struct state in = {{0}, {0}};
	struct state out;
	uint64_t before = entry_count;

	in.regs[R15] = SYS_getppid;
	in.regs[FLAGS] = 2;
	if (!plan_at(copy, (size_t)(at_join - sites_begin), 0) || run_plan.kind != REWRITE_BEFORE) {
		check(false, "jump to the syscall itself", "");
		return;
	}
	apply(REWRITE_STEP_MAX, true);
	run((size_t)(case_join - sites_begin), &in, 0, &out);
	check(out.regs[RAX] == (uint64_t)getppid() && entry_count == before,
	      "jump to the syscall itself still traps", "");
	memcpy(copy->code, sites_begin, copy->len);
}

int
main(void)
{
	static uint8_t stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct copy near;
	struct copy far;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sigaltstack(&alternate, NULL) || sigaction(SIGTRAP, &action, NULL))
		abort();
	copy_make(&near, true);
	copy_make(&far, false);
	test_examples(&near, ", entry near");
	test_examples(&far, ", entry far");
	test_middle(&near);
	test_join(&near);
	free(near.memory);
	free(far.memory);
	printf("1..%d\n", test_count);
	return test_failures ? 1 : 0;
}
