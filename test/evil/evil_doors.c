/* SPDX-License-Identifier: MIT */
/*
 * Every way into the kernel, with the flags, the stack pointer and the GS base of the attacker's choice.
 *
 * 1. A door is passed with AC, DF, NT, TF or all of them set, and with a GS base that looks like the
 *    kernel's.  Afterwards the attacker's registers are right and its flags are as it set them, unless the
 *    door is documented to change them.
 * 2. What is not a door ends in an exception, however often.
 */
#include "evil.h"

#define TF       0x100ul
#define DF       0x400ul
#define NT       0x4000ul
#define AC       0x40000ul
#define DOOR_MAX 6u

/*
 * Sets GS base and flags, goes through a door, answers the flags as they are after it.  Bits 0..7 of arg:
 * the door; the rest: flags.
 */
#define DOOR(name, code)                                                                        \
	static uint64_t name(uint64_t flags, uint64_t gs)                                       \
	{                                                                                       \
		uint64_t after, old;                                                            \
                                                                                                \
		__asm__ volatile("rdgsbase %[old]\n"                                            \
				 "wrgsbase %[gs]\n"                                             \
				 "pushfq\n"                                                     \
				 "orq %[flags], (%%rsp)\n"                                      \
				 "popfq\n" code "\n"                                            \
				 "pushfq\n"                                                     \
				 "popq %[after]\n"                                              \
				 "pushfq\n"                                                     \
				 "andq $~0x44500, (%%rsp)\n"                                    \
				 "popfq\n"                                                      \
				 "wrgsbase %[old]\n"                                            \
				 : [after] "=&r"(after), [old] "=&r"(old)                       \
				 : [gs] "r"(gs), [flags] "r"(flags)                             \
				 : "rax", "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", \
				   "memory", "cc");                                             \
		return after;                                                                   \
	}

DOOR(door_call, "movl $0x41450000, %%eax; syscall")
DOOR(door_bad, "movl $0x41450fff, %%eax; movl $-1, %%edi; syscall")
DOOR(door_foreign, "movl $60, %%eax; syscall")
DOOR(door_undefined, "ud2")
DOOR(door_breakpoint, "int3")
DOOR(door_privileged, "hlt")

/* Until the timer has come twice, or a while has passed without: then the slice was not ours. */
static uint64_t
door_timer(uint64_t flags, uint64_t gs)
{
	uint64_t after, old;
	volatile uint32_t *asyncs = &self()->asyncs;

	__asm__ volatile("rdgsbase %[old]\n"
			 "wrgsbase %[gs]\n"
			 "movl (%[count]), %%edx\n"
			 "addl $2, %%edx\n"
			 "movl $100000000, %%ecx\n"
			 "pushfq\n"
			 "orq %[flags], (%%rsp)\n"
			 "popfq\n"
			 "1: cmpl %%edx, (%[count])\n"
			 "jae 2f\n"
			 "decl %%ecx\n"
			 "jnz 1b\n"
			 "2: pushfq\n"
			 "popq %[after]\n"
			 "pushfq\n"
			 "andq $~0x44500, (%%rsp)\n"
			 "popfq\n"
			 "wrgsbase %[old]\n"
			 : [after] "=&r"(after), [old] "=&r"(old)
			 : [gs] "r"(gs), [flags] "r"(flags), [count] "r"(asyncs)
			 : "rax", "rcx", "rdx", "r11", "memory", "cc");
	return after;
}

static bool
door_fault(struct aegis_frame *f, uint64_t callee[6])
{
	(void)callee;
	if (f->cs != 0x33 && (f->cs & 3) != 3)
		note(1, f->cause, (int64_t)f->cs, 3);
	if (f->rflags & 0x3000)
		note(2, f->cause, (int64_t)f->rflags, 0);
	if (f->cause == AEGIS_CAUSE_DEBUG)
		f->rflags &= ~TF;
	if (f->cause == AEGIS_CAUSE_UNDEFINED)
		f->rip += 2;
	if (f->cause == AEGIS_CAUSE_PROTECTION)
		f->rip += 1;
	return f->cause != AEGIS_CAUSE_PAGE;
}

static const uint64_t bases[] = {
	0,
	0x1000,
	AEGIS_WINDOW,
	0x00007fffffffffff,
	0xffff800000000000,
	0xffffffff80000000,
	0xffffffff80100000,
	0xfffffffffffff000,
	0xffffffffffffffff,
};
static const uint64_t flag_sets[] = {0, AC, DF, NT, TF, AC | DF | NT, AC | DF | NT | TF};

static int64_t
doors(uint64_t arg)
{
	static uint64_t (*const door[])(uint64_t, uint64_t) = {
		door_call,       door_bad,        door_foreign, door_undefined,
		door_breakpoint, door_privileged, door_timer};

	for (uint32_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		for (uint32_t k = 0; k < sizeof(flag_sets) / sizeof(flag_sets[0]); k++) {
			uint64_t flags = flag_sets[k], after;

			/* The step's exception would come before the interrupt; one base will do. */
			if (arg == DOOR_MAX && (flags & TF || i != k))
				continue;
			after = door[arg](flags, bases[i]);
			/* An interrupt clears NT when it resumes what it interrupted. */
			if (arg == DOOR_MAX)
				after |= flags & NT;
			if ((after ^ flags) & (AC | DF | NT | 0x3000))
				note(100 + arg, flags, (int64_t)after, (int64_t)flags);
		}
	}
	return 7;
}

static void
doors_attack(uint32_t door)
{
	const struct spawn s = {.on_fault = door_fault};
	struct child *c = evil_make(doors, door, evil_cpu(door), &s);
	uint32_t reason;

	evil_wake(c);
	check_is(evil_join(c, &reason), 7);
	check_is(reason, AEGIS_END_SELF);
}

TEST(evil_doors)
{
	for (uint32_t door = 0; door < DOOR_MAX; door++)
		doors_attack(door);
}

/* Slices end only where somebody else wants the processor. */
TEST(evil_doors_timer)
{
	struct child *rival = evil_rival(evil_cpu(DOOR_MAX));
	uint32_t before = rival->g->slices;

	doors_attack(DOOR_MAX);
	check(rival->g->slices > before);
	child_end(rival);
}

/* ---- what is no door ---- */

#define RAISE(name, code)                                                                       \
	static int64_t name(uint64_t arg)                                                       \
	{                                                                                       \
		__asm__ volatile(code ::"r"(arg) : "rax", "rbx", "rcx", "rdx", "memory", "cc"); \
		return 0;                                                                       \
	}

RAISE(int_128, "int $0x80")
RAISE(int_1, "int $1")
RAISE(int_2, "int $2")
RAISE(int_8, "int $8")
RAISE(int_18, "int $18")
RAISE(int_239, "int $239")
RAISE(int_255, "int $255")
RAISE(icebp, ".byte 0xf1")
RAISE(sysenter, "sysenter")
RAISE(sysexit, "sysexitq")
RAISE(sysret, "movq %0, %%rcx; sysretq")
RAISE(halt, "hlt")
RAISE(cli, "cli")
RAISE(sti, "sti")
RAISE(in_byte, "inb $0x64, %%al")
RAISE(out_byte, "outb %%al, $0x64")
RAISE(out_exit, "movw $0x501, %%dx; movb $1, %%al; outb %%al, %%dx")
RAISE(ins_byte, "cli; insb")
RAISE(wrmsr, "movl $0xc0000082, %%ecx; wrmsr")
RAISE(rdmsr, "movl $0xc0000102, %%ecx; rdmsr")
RAISE(set_cr3, "movq %%rax, %%cr3")
RAISE(set_cr4, "movq %%rax, %%cr4")
RAISE(get_cr2, "movq %%cr2, %%rax")
RAISE(set_dr7, "movq %%rax, %%dr7")
RAISE(lgdt, "lgdt (%%rsp)")
RAISE(lidt, "lidt (%%rsp)")
RAISE(lldt, "lldt %%ax")
RAISE(ltr, "ltr %%ax")
RAISE(lmsw, "lmsw %%ax")
RAISE(clts, "clts")
RAISE(invlpg, "invlpg (%%rsp)")
RAISE(invpcid, "xorl %%eax, %%eax; invpcid (%%rsp), %%rax")
RAISE(wbinvd, "wbinvd")
RAISE(swapgs, "swapgs")
RAISE(clac, "clac")
RAISE(stac, "stac")
RAISE(xsetbv, "xorl %%ecx, %%ecx; xsetbv")
RAISE(vmcall, "vmcall")
RAISE(load_ss, "movl $0x10, %%eax; movl %%eax, %%ss")
RAISE(load_ds, "movl $0x8, %%eax; movl %%eax, %%ds")
RAISE(load_bad, "movl $0xfffb, %%eax; movl %%eax, %%es")
RAISE(far_return, "pushq $8; pushq %0; lretq")
RAISE(ring0,
      "movq %%rsp, %%rax; pushq $0x10; pushq %%rax; pushq $0x3002; pushq $8; pushq %0; iretq")
RAISE(bad_cs,
      "movq %%rsp, %%rax; pushq $0x2b; pushq %%rax; pushq $0x202; pushq $0; pushq %0; iretq")
RAISE(jump, "jmp *%0")
RAISE(read_there, "movq (%0), %%rax")
RAISE(write_there, "movq %%rax, (%0)")
RAISE(stack_there, "movq %0, %%rsp; pushq %%rax")
RAISE(stack_fault, "movq %0, %%rsp; ud2")
RAISE(stack_call, "movq %0, %%rsp; movl $60, %%eax; syscall")
RAISE(base_there, "wrfsbase %0; movq %%fs:8, %%rax")
RAISE(gs_there, "wrgsbase %0; movq %%gs:8, %%rax")
RAISE(gs_fault, "wrgsbase %0; ud2")

static guest_fn *const plain[] = {
	int_128,  int_1,   int_2, int_8,   int_18,  int_239, int_255,  icebp,
	sysenter, sysexit, halt,  cli,     sti,     in_byte, out_byte, out_exit,
	ins_byte, wrmsr,   rdmsr, set_cr3, set_cr4, get_cr2, set_dr7,  lgdt,
	lidt,     lldt,    ltr,   lmsw,    clts,    invlpg,  invpcid,  wbinvd,
	swapgs,   clac,    stac,  xsetbv,  vmcall,  load_ss, load_ds,  load_bad,
};
static guest_fn *const with_address[] = {
	sysret,      far_return,  ring0,      bad_cs,     jump,     read_there, write_there,
	stack_there, stack_fault, stack_call, base_there, gs_there, gs_fault,
};

static int64_t
no_doors(uint64_t arg)
{
	uint64_t gs = (uint64_t)self();

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
			uint32_t cause = fault_of(plain[i], 0);

			if (cause >= 32)
				note(200 + i, 0, cause, AEGIS_CAUSE_PROTECTION);
		}
		for (uint32_t i = 0; i < sizeof(with_address) / sizeof(with_address[0]); i++) {
			for (uint32_t k = 2; k < sizeof(bases) / sizeof(bases[0]); k++) {
				uint32_t cause = fault_of(with_address[i], bases[k]);

				/* The window's tables are there to be read. */
				if (cause > 32 && with_address[i] != read_there &&
				    with_address[i] != base_there && with_address[i] != gs_there)
					note(300 + i, bases[k], cause, AEGIS_CAUSE_PAGE);
				__asm__ volatile("wrgsbase %0" ::"r"(gs) : "memory");
			}
		}
	}
	/* The tables can be read, not run, not written. */
	for (uint32_t i = 0; i < 3; i++) {
		static guest_fn *const use[] = {jump, write_there, jump};
		uint64_t va = (uint64_t)aegis_window((uint64_t)no_doors) & (i == 2 ? -PAGE : ~0ul);

		if (fault_of(use[i], va) != AEGIS_CAUSE_PAGE)
			note(400 + i, va, self()->last.cause, AEGIS_CAUSE_PAGE);
	}
	return (int64_t)arg;
}

TEST(evil_no_doors)
{
	check_is(evil_run(no_doors, 5), 5);
}
