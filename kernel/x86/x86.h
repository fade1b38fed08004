/* SPDX-License-Identifier: MIT */
/*
 * What the files of kernel/x86 and kernel/dev share among themselves; the rest of the kernel sees
 * machine.h only.
 */
#ifndef KERNEL_X86_X86_H
#define KERNEL_X86_X86_H

#include "../kernel.h"
#include "../lib/lib.h"

/* ---- instructions ---- */
/* outb, inb, and the same for four bytes. */
#define PORT_ACCESS(suffix, type)                                                    \
	static inline void out##suffix(uint16_t port, type value)                    \
	{                                                                            \
		__asm__ volatile("out" #suffix " %0, %1" ::"a"(value), "Nd"(port));  \
	}                                                                            \
	static inline type in##suffix(uint16_t port)                                 \
	{                                                                            \
		type value;                                                          \
                                                                                     \
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port)); \
		return value;                                                        \
	}
PORT_ACCESS(b, uint8_t)
PORT_ACCESS(l, uint32_t)

static inline uint64_t
rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void
wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr)
			 : "memory");
}

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}

#define MSR_APIC_BASE      0x1bu
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

/* ---- percpu.c: a processor's own block, descriptors, features ---- */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t map_offset;
	uint8_t map[8192 + 1]; /* ports: bit set = denied; the byte after it stays all ones */
} __attribute__((packed, aligned(128)));

struct percpu {
	uint32_t cpu, apic_id;
	uint64_t stack;    /* top */
	uint64_t user_rsp; /* for the first instructions of a call */
	void *local;       /* machine_local() */
	/* For COUNT and TRACE of the entry code: counters, as an offset from counter_defs_begin; ring. */
	uint64_t counters;
	struct aegis_trace_ring *trace;
	uint64_t scratch;
	uint32_t lock;         /* of locks that this processor holds: cpu + 1 */
	void *caller, *sender; /* machine_caller() */
	uint64_t user_rip;
	bool released; /* interrupts may go to the rest of the kernel */
	uint64_t gdt[9];
	struct tss tss;
};
extern struct percpu percpus[AEGIS_CPUS];
extern uint8_t vector_initial[PAGE]; /* for XRSTOR: all of it clear */
extern uint32_t x86_cpus;            /* processors that arrived */

/* A processor's stacks, each with a page below it that is mapped to nothing. */
enum { IST_DEBUG = 1, IST_NMI, IST_DOUBLE, IST_CHECK, ISTS };
struct stacks {
	uint8_t guard_main[4096];
	uint8_t main[STACK_MAIN];
	struct {
		uint8_t guard[4096];
		uint8_t stack[STACK_IST];
	} ist[ISTS - 1];
};
extern struct stacks cpu_stacks[AEGIS_CPUS];

static inline struct percpu *
percpu(void)
{
	return &percpus[machine_cpu()];
}

void percpu_init(uint32_t cpu); /* descriptors and GS of the processor that runs this */
void feature_check(void);       /* panics if the processor lacks what the kernel needs */
void feature_enable(void);      /* on every processor */
/* CPUID bit; reg 'a'..'d'. */
bool feature_offered(char reg, uint32_t leaf, uint32_t sub, uint32_t bit);

/* ---- boot.c ---- */
/* One frame of usable memory, cleared, below 4 GiB, never freed: its address.  Before kernel_main.
 */
uint64_t early_alloc(void);
#define REGIONS 64u
extern struct region {
	uint64_t start, end; /* whole pages */
} regions[REGIONS];          /* of usable memory, not in order */
extern uint32_t region_count;
bool memory_usable(uint64_t start, uint64_t size); /* all of it, in the loader's memory map */

/* ---- mmu.c ---- */
void mmu_init(void);  /* the kernel's own table, loaded */
void mmu_enter(void); /* load it on another processor */
/* Maps device registers (uncached) or firmware tables (cached, read only).  Before kernel_main. */
void *mmu_device(uint64_t address, uint64_t size);
const void *mmu_firmware(uint64_t address, uint64_t size);
void mmu_map(uint64_t va, uint64_t pa, uint64_t size, uint64_t flags);
bool mmu_readable(uint64_t va); /* mapped in the kernel half: a backtrace may read it */
#define MMU_WRITE  (1ul << 1)
#define MMU_NOEXEC (1ul << 63)
#define MMU_DEVICE (3ul << 3) /* PCD PWT */

/* ---- trap.c ---- */
void trap_init(void);     /* once: the table of vectors */
void trap_load(void);     /* on every processor */
void trap_counters(void); /* once, after trace_init: where the entry code counts */
void trap_user(struct regs *regs);
void trap_kernel(struct regs *regs);
void trap_iret_fault(struct regs *regs);
void trap_ist(struct regs *regs);
_Noreturn void trap_leave(struct regs *regs); /* entry.S */

/* ---- step.c: only while chaos_stepping ---- */
bool step_enter(struct regs *regs); /* true: nothing happened that user mode should hear of */
void step_leave(struct regs *regs); /* last of all: regs go to user mode as they are */

/* ---- acpi.c ---- */
#define IOAPICS 4u
struct acpi {
	uint32_t cpus, apic_ids[AEGIS_CPUS];
	struct acpi_ioapic {
		uint32_t address, base; /* first line */
	} ioapics[IOAPICS];
	uint32_t ioapic_count;
	struct acpi_line {
		uint32_t line; /* global */
		bool low, level;
	} lines[AEGIS_IRQS]; /* of the legacy lines */
};
extern struct acpi acpi;
void acpi_init(uint64_t rsdp); /* physical address, 0: the loader gave none */

/* ---- apic.c ---- */
void apic_init(void);   /* once */
void apic_enable(void); /* on every processor */
void apic_end(void);    /* end of interrupt */
uint32_t apic_id(void);
void apic_send(uint32_t apic_id, uint32_t command); /* low half of the command register */
void apic_stop_others(void);                        /* NMI to all but this one */
uint32_t apic_timer_count(void);
void apic_timer_start(uint32_t count);                                 /* masked, one shot */
void apic_message(uint32_t vector, uint64_t *address, uint32_t *data); /* MSI to processor 0 */

/* ---- time.c ---- */
void time_init(void);
void time_delay(uint64_t us);
extern uint64_t time_apic_mult; /* APIC timer ticks for a TSC tick, << 32 */

/* ---- smp.c ---- */
void smp_init(void); /* all processors up, parked */

/* ---- serial.c, power.c ---- */
extern uint64_t __stack_chk_guard; /* x86_boot seeds it */
void serial_init(void);
extern uint16_t serial_port;       /* the log's, 0: none */
extern atomic_uint power_panicked; /* processor + 1 that panics */

/* ---- kernel/dev ---- */
void pci_init(void); /* before the devices */
void virtio_console_init(void);
void virtio_console_interrupt(void);

#endif
