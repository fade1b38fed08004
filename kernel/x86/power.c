/* SPDX-License-Identifier: MIT */
/*
 * The end of the machine, wanted or not.
 *
 * machine_off tells its code to the host where the option exit=PORT names a port for it, which ends the
 * machine, and else resets it; it never returns.  A panic stops the other
 * processors, prints what is known, each thing after the more important one (names for addresses has the host), and ends in
 * machine_off.
 *
 * 1. The first processor that panics wins; others halt.  A panic within a panic ends at once.
 * 2. Nothing here takes a lock or trusts a pointer of the state it reports: frames of the stack are
 *    read only where they lie in the kernel's half and are mapped.
 */
#include "x86.h"

#define FRAMES     24
#define TRACE_TAIL 16u

atomic_uint power_panicked;

void gcov_print(void) __attribute__((weak)); /* gcov.c, in kernels built with it */

_Noreturn void
machine_off(uint32_t code)
{
	uint16_t port = (uint16_t)option_number("exit", 0);
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	if (gcov_print)
		gcov_print();
	if (port)
		outb(port, (uint8_t)code);
	/* A fault without descriptors resets the processor. */
	__asm__ volatile("lidt %0; int3" ::"m"(none));
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ---- panic ---- */

static void
print_registers(const struct regs *r)
{
	uint64_t cr2, cr3;

	__asm__ volatile("movq %%cr2, %0; movq %%cr3, %1" : "=r"(cr2), "=r"(cr3));
	log_print("  vector %lu error %lx cr2 %016lx cr3 %lx\n", r->vector, r->error, cr2, cr3);
	log_print("  rip %016lx\n", r->rip);
	log_print("  cs %02lx ss %02lx rflags %06lx rsp %016lx\n", r->cs, r->ss, r->rflags, r->rsp);
	log_print("  rax %016lx rbx %016lx rcx %016lx\n", r->rax, r->rbx, r->rcx);
	log_print("  rdx %016lx rsi %016lx rdi %016lx\n", r->rdx, r->rsi, r->rdi);
	log_print("  rbp %016lx r8  %016lx r9  %016lx\n", r->rbp, r->r8, r->r9);
	log_print("  r10 %016lx r11 %016lx r12 %016lx\n", r->r10, r->r11, r->r12);
	log_print("  r13 %016lx r14 %016lx r15 %016lx\n", r->r13, r->r14, r->r15);
}

__attribute__((no_sanitize("address", "undefined"))) static void
print_stack(uint64_t rbp)
{
	for (int i = 0; i < FRAMES; i++) {
		const uint64_t *frame = (const uint64_t *)rbp;

		if (rbp & 7 || rbp < KERNEL_BASE || rbp > UINT64_MAX - 16 || !mmu_readable(rbp) ||
		    !mmu_readable(rbp + 8))
			return;
		/* Within the call, which may end its function. */
		log_print("      %016lx\n", frame[1] - 1);
		if (frame[0] <= rbp)
			return; /* stacks grow down: callers lie above */
		rbp = frame[0];
	}
}

_Noreturn void
machine_panic(const char *why, const struct regs *regs)
{
	uint32_t self = machine_cpu() + 1, nobody = 0;

	__asm__ volatile("cli");
	if (!atomic_compare_exchange_strong(&power_panicked, &nobody, self)) {
		if (nobody == self)
			machine_off(MACHINE_OFF_PANIC);
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	apic_stop_others();
	log_unlock_forever();
	log_print("panic: %s (processor %u)\n", why, self - 1);
	if (regs)
		print_registers(regs);
	log_print("backtrace:\n");
	if (regs && (regs->cs & 3) == 0)
		print_stack(regs->rbp);
	else
		print_stack((uint64_t)__builtin_frame_address(0));
	trace_dump(TRACE_TAIL);
	machine_off(MACHINE_OFF_PANIC);
}

/* ---- what the compiler's stack protector calls and compares ---- */

uint64_t __stack_chk_guard;

_Noreturn void __stack_chk_fail(void);
void
__stack_chk_fail(void)
{
	machine_panic("a stack frame was overwritten", NULL);
}
