/* SPDX-License-Identifier: MIT */
/*
 * A processor and its features.
 *
 * Owns: descriptors, task state with the port permission map, control registers, the entry
 * registers of SYSCALL, the extended state's mask.
 *
 * 1. struct percpu of the processor is the base of GS while the kernel runs (entry.S).
 * 2. The kernel refuses a processor without NX, SYSCALL, FSGSBASE and XSAVE; everything else is
 * used where CPUID offers it: SMEP, SMAP, UMIP, protection keys, AVX, AVX-512.
 * 3. XCR0 holds what fits one frame and is not PKRU, which is a register of its own here.
 * 4. Ports are denied unless machine_ports_allow has opened them on this processor.
 */
#include "x86.h"

#define CR0_MP        (1ul << 1)
#define CR0_EM        (1ul << 2)
#define CR0_TS        (1ul << 3)
#define CR0_NE        (1ul << 5)
#define CR0_WP        (1ul << 16)
#define CR0_AM        (1ul << 18)
#define CR0_NW_CD     (3ul << 29)
#define CR4_TSD       (1ul << 2)
#define CR4_MCE       (1ul << 6)
#define CR4_PGE       (1ul << 7)
#define CR4_PCE       (1ul << 8)
#define CR4_OSFXSR    (1ul << 9)
#define CR4_OSXMM     (1ul << 10)
#define CR4_UMIP      (1ul << 11)
#define CR4_FSGSBASE  (1ul << 16)
#define CR4_OSXSAVE   (1ul << 18)
#define CR4_SMEP      (1ul << 20)
#define CR4_SMAP      (1ul << 21)
#define CR4_PKE       (1ul << 22)
#define EFER_SCE      (1ul << 0)
#define EFER_NXE      (1ul << 11)
#define FLAGS_CLEARED 0x3f7fd5ul /* by SYSCALL: all there are */
#define XCR0_AVX      0x7ul
#define XCR0_AVX512   0xe0ul
#define MXCSR_INITIAL 0x1f80u

extern char syscall_entry[];

struct percpu percpus[AEGIS_CPUS];
bool x86_has_keys;

static uint64_t xcr0;
static uint32_t vector_size;
uint8_t vector_initial[PAGE] __attribute__((aligned(64)));

bool
feature_offered(char reg, uint32_t leaf, uint32_t sub, uint32_t bit)
{
	struct cpuid r;

	if (cpuid(leaf & 0x80000000, 0).a < leaf)
		return false;
	r = cpuid(leaf, sub);
	return (reg == 'a' ? r.a : reg == 'b' ? r.b : reg == 'c' ? r.c : r.d) >> bit & 1;
}

static void
descriptors_make(struct percpu *p)
{
	uint64_t tss = (uint64_t)&p->tss;
	uint64_t limit = sizeof(struct tss) - 1;

	p->gdt[KERNEL_CS / 8] = 0x00af9b000000ffff;
	p->gdt[KERNEL_SS / 8] = 0x00cf93000000ffff;
	p->gdt[USER_SS / 8] = 0x00cff3000000ffff;
	p->gdt[USER_CS / 8] = 0x00affb000000ffff;
	p->gdt[TSS_SEL / 8] =
		limit | (tss & 0xffffff) << 16 | 0x89ul << 40 | (tss >> 24 & 0xff) << 56;
	p->gdt[TSS_SEL / 8 + 1] = tss >> 32;
}

/* The last word of an interrupt stack leads to struct percpu (entry.S, ist_common). */
static void
stacks_make(struct percpu *p, struct stacks *s)
{
	p->stack = (uint64_t)s->main + STACK_MAIN;
	p->tss.rsp[0] = p->stack;
	for (int i = 1; i < ISTS; i++) {
		uint64_t *top = (uint64_t *)(s->ist[i - 1].stack + STACK_IST);

		top[-1] = (uint64_t)p;
		p->tss.ist[i - 1] = (uint64_t)(top - 2);
	}
}

void
percpu_init(uint32_t cpu)
{
	struct percpu *p = &percpus[cpu];
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {sizeof(p->gdt) - 1, (uint64_t)p->gdt};

	p->cpu = cpu;
	p->lock = cpu + 1;
	descriptors_make(p);
	stacks_make(p, &cpu_stacks[cpu]);
	p->tss.map_offset = offsetof(struct tss, map);
	memset(p->tss.map, 0xff, sizeof(p->tss.map));
	__asm__ volatile("lgdt %0" ::"m"(gdtr));
	__asm__ volatile("ltr %w0" ::"r"(TSS_SEL));
	__asm__ volatile("lldt %w0" ::"r"(0));
	wrmsr(MSR_GS_BASE, (uint64_t)p);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
}

void
feature_check(void)
{
	static const struct {
		uint32_t leaf;
		char reg;
		uint8_t bit;
		const char *why;
	} need[] = {
		{1, 'd', 9, "this processor has no local APIC"},
		{1, 'd', 13, "this processor has no global pages"},
		{1, 'c', 26, "this processor has no XSAVE"},
		{7, 'b', 0, "this processor has no FSGSBASE"},
		{0x80000001, 'd', 11, "this processor has no SYSCALL"},
		{0x80000001, 'd', 20, "this processor has no NX"},
	};

	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
		if (!feature_offered(need[i].reg, need[i].leaf, 0, need[i].bit))
			machine_panic(need[i].why, NULL);
	}
}

static uint64_t
control4(void)
{
	static const struct {
		uint64_t bit;
		char reg;
		uint8_t number;
	} optional[] = {
		{CR4_SMEP, 'b', 7},
		{CR4_SMAP, 'b', 20},
		{CR4_UMIP, 'c', 2},
		{CR4_PKE, 'c', 3},
	};
	uint64_t bits = CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMM | CR4_FSGSBASE | CR4_OSXSAVE;

	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		if (feature_offered(optional[i].reg, 7, 0, optional[i].number))
			bits |= optional[i].bit;
	}
	return bits;
}

static void
vector_enable(void)
{
	uint64_t offered = (uint64_t)cpuid(0xd, 0).d << 32 | cpuid(0xd, 0).a;
	uint64_t mask = offered & XCR0_AVX;

	if ((mask & XCR0_AVX) == XCR0_AVX && (offered & XCR0_AVX512) == XCR0_AVX512)
		mask |= XCR0_AVX512;
	__asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)));
	xcr0 = mask;
	vector_size = cpuid(0xd, 0).b;
	if (vector_size > PAGE)
		machine_panic("this processor's vector state does not fit a page", NULL);
	*(uint16_t *)vector_initial = 0x37f;
	*(uint32_t *)(vector_initial + 24) = MXCSR_INITIAL;
	machine_vector_restore(vector_initial);
}

static void
calls_enable(void)
{
	/* SYSENTER and calls from 32-bit code lead nowhere. */
	static const uint32_t unused[] = {0x174, 0x175, 0x176, MSR_CSTAR};

	for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
		wrmsr(unused[i], 0);
	wrmsr(MSR_STAR, (uint64_t)(USER_SS - 8) << 48 | (uint64_t)KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_SFMASK, FLAGS_CLEARED);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
}

void
feature_enable(void)
{
	uint64_t bits = control4();
	uint64_t cr;

	__asm__ volatile("movq %%cr0, %0" : "=r"(cr));
	cr = (cr & ~(CR0_EM | CR0_TS | CR0_NW_CD)) | CR0_MP | CR0_NE | CR0_WP | CR0_AM;
	__asm__ volatile("movq %0, %%cr0" ::"r"(cr));
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr));
	cr = (cr & ~(CR4_TSD | CR4_PCE)) | bits;
	__asm__ volatile("movq %0, %%cr4" ::"r"(cr));
	x86_has_keys = bits & CR4_PKE;
	vector_enable();
	calls_enable();
	machine_set_pkru(0);
	if (feature_offered('d', 0x80000001, 0, 27))
		wrmsr(MSR_TSC_AUX, machine_cpu());
}

/* ---- what user mode sees besides the general registers ---- */

uint32_t
machine_vector_size(void)
{
	return vector_size;
}

uint64_t
machine_xcr0(void)
{
	return xcr0;
}

void
machine_vector_save(void *area)
{
	__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
}

void
machine_vector_restore(const void *area)
{
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
}

void
machine_vector_clear(void)
{
	machine_vector_restore(vector_initial);
}

void
machine_ports_allow(uint32_t first, uint32_t n, bool allow)
{
	uint8_t *map = percpu()->tss.map;

	for (uint32_t port = first; port < 65536 && port - first < n; port++) {
		if (allow)
			map[port / 8] &= (uint8_t) ~(1u << port % 8);
		else
			map[port / 8] |= (uint8_t)(1u << port % 8);
	}
}

/*
 * An allow-list: the serial and parallel ports and the registers of a plain VGA, none of which can
 * make a device access memory.  Not the port of the kernel's log.
 */
bool
machine_port_bindable(uint32_t port)
{
	static const uint16_t ranges[][2] = {
		{0x2e8, 0x2ef}, {0x2f8, 0x2ff}, {0x378, 0x37a},
		{0x3b0, 0x3df}, {0x3e8, 0x3ef}, {0x3f8, 0x3ff},
	};

	if (serial_port && port >= serial_port && port < serial_port + 8u)
		return false;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (port >= ranges[i][0] && port <= ranges[i][1])
			return true;
	}
	return false;
}

/* The legacy video memory, where the loader names no memory. */
bool
machine_frame_bindable(uint32_t pfn)
{
	return pfn >= 0xa0 && pfn < 0xc0 && !memory_usable((uint64_t)pfn * PAGE, PAGE);
}
