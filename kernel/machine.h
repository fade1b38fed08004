/* SPDX-License-Identifier: MIT */
/*
 * The machine: the only door to hardware.
 *
 * Everything in kernel/ outside kernel/x86 and kernel/dev meets the hardware through these functions
 * alone, so that it also compiles on the host, where test/host/machine.c implements them over plain
 * memory and can make its Nth fallible call fail.  Functions that return `status` may fail; the others
 * may not.
 *
 * Context: the kernel runs with interrupts disabled on one stack a processor; every entry from user
 * mode starts on an empty stack, and leaving by one of the noreturn functions abandons it.
 */
#ifndef KERNEL_MACHINE_H
#define KERNEL_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t status; /* >= 0, or an enum aegis_status */

/* Registers of an interrupted context, as entry.S pushes them. */
struct regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

#define MACHINE_USER_CS    0x33u
#define MACHINE_USER_SS    0x2bu
#define MACHINE_FLAGS_USER 0x202u /* interrupts on, all else clear */
#define MACHINE_FLAGS_MASK \
	0x244dd5ul /* what user mode may choose: CF PF AF ZF SF TF DF OF NT AC ID */

#ifdef KERNEL_X86
#include "x86/inline.h" /* those that must cost no call */
#else
void *machine_frame(uint32_t pfn);      /* frame's first byte */
void machine_frame_clear(uint32_t pfn); /* fill with zeros */
void machine_clear(uint64_t *words, uint64_t n);
void machine_tlb_flush_page(uint64_t va); /* on this processor */
void machine_tlb_flush_all(void);         /* on this processor, everything of user space */
uint64_t machine_pte_nx(void);            /* AEGIS_PTE_NX, or 0 where the processor has none */
uint32_t machine_cpu(void);               /* number of this processor, 0 .. machine_cpus() - 1 */
void *machine_local(void);                /* a word of this processor's own, NULL at first */
void machine_set_local(void *local);      /* user mode runs with a struct env there */
/* The environment that called, or sent to, the running one without C; NULL: nobody (pct_settle). */
void *machine_caller(void);
void *machine_sender(void);
void machine_caller_clear(void); /* nobody */
void machine_relax(void);        /* in a spin loop */
uint64_t machine_tsc(void);
uint64_t machine_gs_base(void); /* of user mode */
uint64_t machine_fs_base(void);
void machine_set_gs_base(uint64_t base); /* 0 if it is not canonical */
void machine_set_fs_base(uint64_t base);
uint32_t machine_pkru(void);
void machine_set_pkru(uint32_t pkru);
#endif

/* Memory.  Frames are reached through the kernel's own mapping of all memory. */
/* This processor translates through this table; 0: the kernel's. */
void machine_space_load(uint32_t root_pfn);
void machine_space_init(uint32_t root_pfn); /* kernel half and window into a cleared top table */

/* Processors. */
uint32_t machine_cpus(void);
void machine_ipi(uint32_t cpu); /* makes it enter trap_ipi(); also to itself, after this entry */
void machine_smp_start(void);   /* the other processors run cpu_next() from now on */
uint32_t
machine_boot_frames(uint32_t n); /* n frames, clear, which nobody else uses; for mem_init */
uint64_t machine_tsc_hz(void);
void machine_timer(uint64_t tsc); /* next timer interrupt of this processor; past values: at once */

/*
 * The light path of calls (entry.S): the caller's rip, rflags and rsp lie at the bottom of the kernel
 * stack while a sys_ function runs; the callee-saved registers still hold the caller's values.  The
 * pct_ calls enter pct_switch(), which may exchange the whole record for another environment's while
 * the message registers stay untouched.
 */
struct machine_call {
	uint64_t rax, rsp, rflags, rip;
};

/* Entering user mode.  All abandon the kernel stack. */
_Noreturn void machine_enter_clear(uint64_t rip, uint64_t rsp, uint64_t rdi); /* registers clear */
_Noreturn void machine_enter_regs(const struct regs *regs);                   /* exactly these */
_Noreturn void machine_idle(void); /* interrupts on, halt; entries come back through trap_* */
/* Calls next, which does not return, on an empty stack. */
_Noreturn void machine_restart(void (*next)(void));

/* The context that user mode sees besides the general registers. */
void machine_vector_save(void *area); /* XSAVE of everything into a frame-aligned area */
void machine_vector_restore(const void *area);
void machine_vector_clear(void); /* initial state, if any is in use */
uint32_t machine_vector_size(void);
uint64_t machine_xcr0(void);

/* Interrupt lines and ports. */
status machine_irq_open(uint32_t line); /* route to this processor, masked */
void machine_irq_mask(uint32_t line, bool masked);
bool machine_port_bindable(uint32_t port); /* false: the kernel's own, or one that can start DMA */
bool machine_frame_bindable(uint32_t pfn); /* device frame that user space may be given */
void machine_ports_allow(uint32_t first, uint32_t n, bool allow); /* on this processor */

/* The host channel (kernel/dev/virtio_console.c). */
bool machine_chan_present(void);
/* Queue 0 or 1 of one that is present; a slot that is not under way. */
void machine_chan_post(uint32_t queue, uint32_t slot, uint64_t address, uint32_t length);

/* The log and the end. */
void machine_log(const char *text, size_t length);
_Noreturn void machine_off(uint32_t code); /* code: MACHINE_OFF_* | status */
_Noreturn void machine_panic(const char *why, const struct regs *regs);

#define MACHINE_OFF_CLEAN 0x10u
#define MACHINE_OFF_PANIC 0x20u
#define MACHINE_OFF_BOOT  0x30u /* the boot environment ended by itself */

#endif
