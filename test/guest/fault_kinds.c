/* SPDX-License-Identifier: MIT */
/* Every kind of exception comes to the handler, with what the processor says. */
#include "guest.h"

#define RAISE(name, code)                                                                \
	static int64_t name(uint64_t arg)                                                \
	{                                                                                \
		__asm__ volatile(code ::"r"(arg) : "rax", "rcx", "rdx", "memory", "cc"); \
		return 0;                                                                \
	}

RAISE(divide, "xorl %%eax, %%eax; xorl %%edx, %%edx; divl %%eax")
RAISE(single_step, "pushfq; orq $0x100, (%%rsp); popfq; nop; nop")
RAISE(breakpoint, "int3")
RAISE(overflow, "int $4")
RAISE(undefined, "ud2")
RAISE(halt, "hlt")
RAISE(interrupts_off, "cli")
RAISE(port_in, "inb $0x60, %%al")
RAISE(port_out, "outb %%al, $0x80")
RAISE(msr_write, "movl $0xc0000080, %%ecx; wrmsr")
RAISE(msr_read, "movl $0xc0000080, %%ecx; rdmsr")
RAISE(control, "movq %%cr0, %%rax")
RAISE(control_set, "movq %%rax, %%cr3")
RAISE(descriptor, "lgdt (%%rsp)")
RAISE(task, "ltr %%ax")
RAISE(int_0x80, "int $0x80")
RAISE(int_timer, "int $0xf0")
RAISE(int_double, "int $8")
RAISE(int_page, "int $14")
RAISE(swap_gs, "swapgs")
RAISE(sys_ret, "sysretq")
RAISE(invalidate, "invlpg (%%rsp)")
RAISE(xcr_set, "xorl %%ecx, %%ecx; xsetbv")
RAISE(far_address, "movabsq $0x8000000000000000, %%rax; movb (%%rax), %%al")
RAISE(far_jump, "movabsq $0x8000000000000000, %%rax; jmp *%%rax")
RAISE(stack_segment, "movq %%rsp, %%rcx; movabsq $0x8000000000000000, %%rsp; "
		     "popq %%rax; movq %%rcx, %%rsp")
RAISE(debug_register, "movq %%rax, %%dr7")
RAISE(data_segment, "movl $0x10, %%eax; movl %%eax, %%ss")
RAISE(fpu, "fninit; pushq $0x33f; fldcw (%%rsp); popq %%rax; fldz; fld1; fdivp; "
	   "fdiv %%st(0), %%st(0); fldz; fld1; fdiv %%st(1), %%st(0); fwait; fninit")
RAISE(vector, "pushq $0x1d80; ldmxcsr (%%rsp); movl $0x1f80, (%%rsp); xorps %%xmm0, %%xmm0; "
	      "divss %%xmm0, %%xmm0; ldmxcsr (%%rsp); popq %%rax")
RAISE(foreign_call, "movl $60, %%eax; syscall")

TEST(fault_kinds)
{
	static const struct {
		guest_fn *fn;
		uint32_t cause;
	} kinds[] = {
		{divide, AEGIS_CAUSE_DIVIDE},
		{single_step, AEGIS_CAUSE_DEBUG},
		{breakpoint, AEGIS_CAUSE_BREAKPOINT},
		{overflow, AEGIS_CAUSE_OVERFLOW},
		{undefined, AEGIS_CAUSE_UNDEFINED},
		{halt, AEGIS_CAUSE_PROTECTION},
		{interrupts_off, AEGIS_CAUSE_PROTECTION},
		{port_in, AEGIS_CAUSE_PROTECTION},
		{port_out, AEGIS_CAUSE_PROTECTION},
		{msr_write, AEGIS_CAUSE_PROTECTION},
		{msr_read, AEGIS_CAUSE_PROTECTION},
		{control, AEGIS_CAUSE_PROTECTION},
		{control_set, AEGIS_CAUSE_PROTECTION},
		{descriptor, AEGIS_CAUSE_PROTECTION},
		{task, AEGIS_CAUSE_PROTECTION},
		{int_0x80, AEGIS_CAUSE_PROTECTION},
		{int_timer, AEGIS_CAUSE_PROTECTION},
		{int_double, AEGIS_CAUSE_PROTECTION},
		{int_page, AEGIS_CAUSE_PROTECTION},
		{swap_gs, AEGIS_CAUSE_PROTECTION},
		{sys_ret, AEGIS_CAUSE_PROTECTION},
		{invalidate, AEGIS_CAUSE_PROTECTION},
		{xcr_set, AEGIS_CAUSE_PROTECTION},
		{far_address, AEGIS_CAUSE_PROTECTION},
		{far_jump, AEGIS_CAUSE_PROTECTION},
		{data_segment, AEGIS_CAUSE_PROTECTION},
		{debug_register, AEGIS_CAUSE_PROTECTION},
		{foreign_call, AEGIS_CAUSE_SYSCALL},
	};

	for (uint32_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t cause = fault_of(kinds[i].fn, 0);

		if (cause != kinds[i].cause)
			say("# kind %u: cause %u, not %u", i, cause, kinds[i].cause);
		check_is(cause, kinds[i].cause);
	}
	check_is(fault_of(foreign_call, 0), AEGIS_CAUSE_SYSCALL);
	check_is(self()->last.rax, 60);
	check_is(fault_of(port_in, 0), AEGIS_CAUSE_PROTECTION);
	check_is(self()->last.error, 0);
	check_is(fault_of(int_0x80, 0), AEGIS_CAUSE_PROTECTION);
	check(self()->last.error & 2); /* of the table of vectors; emulators differ in the rest */
}

/* Those that not every machine raises. */
TEST(fault_kinds_fpu)
{
	uint32_t cause = fault_of(fpu, 0);

	check(cause == AEGIS_CAUSE_FPU || cause == NO_FAULT);
	__asm__ volatile("fninit");
	cause = fault_of(vector, 0);
	check(cause == AEGIS_CAUSE_SIMD || cause == NO_FAULT); /* emulators do not raise it */
	__asm__ volatile("pushq $0x1f80; ldmxcsr (%%rsp); popq %%rax" ::: "rax", "memory");
	cause = fault_of(stack_segment, 0);
	check(cause == AEGIS_CAUSE_STACK || cause == AEGIS_CAUSE_PROTECTION);
}

/* Faults leave rip at the instruction, traps behind it; the frame says which registers were there. */
extern const char fault_site[], trap_site[], call_site[];
static struct seen seen_before, seen_after;
static struct aegis_frame seen_frame;
static uint64_t seen_callee[6];

static bool
step_over(struct aegis_frame *f, uint64_t callee[6])
{
	seen_frame = *f;
	memcpy(seen_callee, callee, sizeof(seen_callee));
	if (f->cause == AEGIS_CAUSE_UNDEFINED)
		f->rip += 2;
	return f->cause == AEGIS_CAUSE_UNDEFINED || f->cause == AEGIS_CAUSE_BREAKPOINT ||
	       f->cause == AEGIS_CAUSE_SYSCALL;
}

/* Registers full of values, an exception, and all registers again. */
__asm__(".text\n"
	"registers_through:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rdi, registers_kind\n"
	"	movabsq $0x1111111111111111, %rax\n"
	"	leaq 1(%rax), %rbx\n	leaq 2(%rax), %rcx\n	leaq 3(%rax), %rdx\n"
	"	leaq 4(%rax), %rsi\n	leaq 5(%rax), %rdi\n	leaq 6(%rax), %rbp\n"
	"	leaq 7(%rax), %r8\n	leaq 8(%rax), %r9\n	leaq 9(%rax), %r10\n"
	"	leaq 10(%rax), %r11\n	leaq 11(%rax), %r12\n	leaq 12(%rax), %r13\n"
	"	leaq 13(%rax), %r14\n	leaq 14(%rax), %r15\n"
	"	movq %rsp, registers_rsp\n"
	"	pushq $0x40ad7\n" /* CF PF AF ZF SF OF AC, and IF as it is */
	"	andq $~0x100, (%rsp)\n"
	"	cmpq $1, registers_kind\n"
	"	je 1f\n"
	"	popfq\n"
	"	.globl fault_site\nfault_site:\n	ud2\n"
	"	jmp 2f\n"
	"1:	popfq\n"
	"	int3\n"
	"	.globl trap_site\ntrap_site:\n"
	"2:	pushfq\n"
	"	popq registers_flags\n"
	"	movq %rax, registers_now\n"
	"	movq %rbx, registers_now + 8\n	movq %rcx, registers_now + 16\n"
	"	movq %rdx, registers_now + 24\n	movq %rsi, registers_now + 32\n"
	"	movq %rdi, registers_now + 40\n	movq %rbp, registers_now + 48\n"
	"	movq %r8, registers_now + 56\n	movq %r9, registers_now + 64\n"
	"	movq %r10, registers_now + 72\n	movq %r11, registers_now + 80\n"
	"	movq %r12, registers_now + 88\n	movq %r13, registers_now + 96\n"
	"	movq %r14, registers_now + 104\n	movq %r15, registers_now + 112\n"
	"	movq %rsp, registers_now + 120\n"
	"	pushq $2\n	popfq\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n");
int64_t registers_through(uint64_t kind);
uint64_t registers_kind, registers_rsp, registers_flags;
struct seen registers_now;

static void
registers_check(uint64_t rip)
{
	const uint64_t base = 0x1111111111111111ul;
	const uint64_t *now = (const uint64_t *)&registers_now;
	const struct aegis_frame *f = &seen_frame;

	check_is(f->rip, rip);
	check_is(f->rax, base);
	check_is(f->rcx, base + 2);
	check_is(f->rdx, base + 3);
	check_is(f->rsi, base + 4);
	check_is(f->rdi, base + 5);
	check_is(f->r8, base + 7);
	check_is(f->r9, base + 8);
	check_is(f->r10, base + 9);
	check_is(f->r11, base + 10);
	check_is(f->rsp, registers_rsp);
	check_is(f->rflags & 0x40cd5, 0x408d5);
	check_is(f->gs_base, (uint64_t)self());
	check_is(f->cs & 3, 3);
	/* The handler's callee-saved registers are still the interrupted ones: r15 r14 r13 r12 rbp rbx */
	check_is(seen_callee[0], base + 14);
	check_is(seen_callee[3], base + 11);
	check_is(seen_callee[4], base + 6);
	check_is(seen_callee[5], base + 1);
	for (uint32_t i = 0; i < 15; i++)
		check_is(now[i], base + i);
	check_is(now[15], registers_rsp);
	check_is(registers_flags & 0x40cd5, 0x408d5);
}

TEST(fault_registers)
{
	self()->on_fault = step_over;
	registers_through(0);
	check_is(seen_frame.cause, AEGIS_CAUSE_UNDEFINED);
	registers_check((uint64_t)fault_site);
	registers_through(1);
	check_is(seen_frame.cause, AEGIS_CAUSE_BREAKPOINT);
	registers_check((uint64_t)trap_site);
	(void)seen_before;
	(void)seen_after;
}

/* At the handler's first instruction: nothing in any register is the kernel's. */
__asm__(".text\n"
	"registers_fault:\n"
	"	movq %rax, registers_first\n"
	"	movq %rbx, registers_first + 8\n	movq %rcx, registers_first + 16\n"
	"	movq %rdx, registers_first + 24\n	movq %rsi, registers_first + 32\n"
	"	movq %rdi, registers_first + 40\n	movq %rbp, registers_first + 48\n"
	"	movq %r8, registers_first + 56\n	movq %r9, registers_first + 64\n"
	"	movq %r10, registers_first + 72\n	movq %r11, registers_first + 80\n"
	"	movq %r12, registers_first + 88\n	movq %r13, registers_first + 96\n"
	"	movq %r14, registers_first + 104\n	movq %r15, registers_first + 112\n"
	"	movq %rsp, registers_first + 120\n"
	"	pushfq\n"
	"	popq registers_flags_first\n"
	"	jmp guest_fault_entry\n");
extern const char registers_fault[];
uint64_t registers_flags_first;
struct seen registers_first;

static int64_t
nested_undefined(uint64_t arg)
{
	(void)arg;
	registers_through(0);
	return 0;
}

/* Raises the same again from its handler, once, so that the frame is the second. */
static bool
step_over_twice(struct aegis_frame *f, uint64_t callee[6])
{
	if (self()->faults % 2 == 0)
		return step_over(f, callee);
	nested_undefined(0);
	check(seen_frame.deferred == 1);
	check(seen_frame.rsp < (uint64_t)f && (uint64_t)f - seen_frame.rsp < PAGE);
	return step_over(f, callee);
}

static void
registers_first_check(void)
{
	const uint64_t *first = (const uint64_t *)&registers_first;

	for (uint32_t i = 0; i < 15; i++)
		check(first[i] < AEGIS_USER_MAX || first[i] == 0x1111111111111111ul + i);
	check_is(registers_first.rdi, registers_first.rsp);
	check_is(registers_flags_first, 0x202);
	check_is(registers_first.rbx, 0x1111111111111112ul);
	check_is(registers_first.r15, 0x111111111111111ful);
}

TEST(fault_first_registers)
{
	struct aegis_setup *setup = spare();

	setup_fill(setup, self(), self()->space, 0, AEGIS_SETUP_EXTRA);
	setup->fault_entry = (uint64_t)registers_fault;
	require_is(aegis_env_write(AEGIS_SELF, self()->env, SPARE), AEGIS_OK);
	self()->on_fault = step_over;
	for (uint64_t kind = 0; kind < 2; kind++) {
		registers_through(kind);
		registers_first_check();
		registers_check((uint64_t)(kind ? trap_site : fault_site));
	}
	self()->faults = 0;
	self()->on_fault = step_over_twice;
	registers_through(0);
	check_is(self()->faults, 2);
	registers_first_check();
	setup_fill(setup, self(), self()->space, 0, AEGIS_SETUP_EXTRA);
	require_is(aegis_env_write(AEGIS_SELF, self()->env, SPARE), AEGIS_OK);
}

/* A foreign number is an exception; the frame is behind the instruction, the handler answers. */
static bool
answer(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	seen_frame = *f;
	f->rax = f->rdi + f->rsi + f->rdx + f->r10 + f->r8 + f->r9;
	return f->cause == AEGIS_CAUSE_SYSCALL;
}

TEST(fault_foreign_call)
{
	static const uint32_t numbers[] = {
		0, 1, 60, 0x4144ffff, 0x41450000 + AEGIS_CALLS, 0x41460000, 0x7fffffff, 0xffffffff};

	self()->on_fault = answer;
	for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		register uint64_t r10 __asm__("r10") = 4;
		register uint64_t r8 __asm__("r8") = 5;
		register uint64_t r9 __asm__("r9") = 6;
		uint64_t rax = numbers[i], rcx, there;

		__asm__ volatile("syscall\n1:	leaq 1b(%%rip), %2"
				 : "+a"(rax), "=c"(rcx), "=r"(there)
				 : "D"(1ul), "S"(2ul), "d"(3ul), "r"(r10), "r"(r8), "r"(r9)
				 : "r11", "memory");
		check_is(rax, 21);
		check_is(seen_frame.rax, numbers[i]);
		check_is(seen_frame.rip, there);
		check_is(seen_frame.rcx, there);
		check_is(seen_frame.error, 0);
	}
	self()->on_fault = NULL;
	/* Numbers of Aegis' own that are no call do not exist: all others are foreign. */
	check_is(aegis_null(), AEGIS_OK);
}
