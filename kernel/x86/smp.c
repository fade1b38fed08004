/* SPDX-License-Identifier: MIT */
/*
 * The other processors.
 *
 * smp_init starts them one after the other (INIT, then start-up messages to a page below 1 MiB) and
 * parks them, halted, until machine_smp_start; so machine_cpus() is exact from kernel_main on.
 *
 * 1. Numbers are given in order of arrival.  A processor that does not arrive in time is given up
 * for good: `arrival` decides between it and the first, which of both.
 * 2. A parked processor only acknowledges interrupts (trap.c).
 * 3. The boot table and the page below 1 MiB are cleared after the last one has left them.
 *
 * All that knows of time reads the time-stamp counter of the processor it is on.  So a processor whose
 * counter, when it arrives, is not between what the first one's was before and after, is not used.
 */
#include "x86.h"

#define APIC_INIT    0x4500u
#define APIC_STARTUP 0x4600u
#define ARRIVE_US    1000u
#define ARRIVE_TRIES 200u
#define INIT_US      100u

enum { WAITING, ARRIVED, GIVEN_UP };

extern uint8_t ap_start[], ap_end[]; /* boot.S */
extern uint64_t boot_root[512];
uint64_t boot_ap_stack; /* for boot.S */
struct percpu *boot_ap_percpu;
uint32_t x86_cpus = 1;

static atomic_uint arrival;
static atomic_uint go;
static uint64_t arrival_tsc;

uint32_t
machine_cpus(void)
{
	return x86_cpus;
}

_Noreturn void x86_ap(struct percpu *p);
void
x86_ap(struct percpu *p)
{
	uint32_t expected = WAITING;

	percpu_init((uint32_t)(p - percpus));
	trap_load();
	mmu_enter();
	feature_enable();
	apic_enable();
	arrival_tsc = machine_tsc();
	while (!atomic_compare_exchange_strong(&arrival, &expected, ARRIVED)) {
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	while (!atomic_load(&go) || p->cpu >= x86_cpus)
		__asm__ volatile("sti; hlt; cli");
	p->released = true;
	cpu_next();
}

/* A page below 1 MiB for the first instructions; 0: the map has none. */
static uint64_t
low_page(void)
{
	for (uint64_t page = 0x8000; page < 0x90000; page += PAGE) {
		if (memory_usable(page, PAGE))
			return page;
	}
	return 0;
}

static bool
processor_start(uint32_t apic, uint64_t page)
{
	uint32_t cpu = x86_cpus;
	uint32_t expected = WAITING;
	uint64_t began = machine_tsc(), end;

	boot_ap_percpu = &percpus[cpu];
	boot_ap_stack = (uint64_t)cpu_stacks[cpu].main + STACK_MAIN;
	/* A start-up message that comes too early is lost; one that comes too late is ignored. */
	for (uint32_t i = 0; i < ARRIVE_TRIES && atomic_load(&arrival) == WAITING; i++) {
		apic_send(apic, APIC_STARTUP | (uint32_t)(page >> 12));
		end = machine_tsc() + ARRIVE_US * (machine_tsc_hz() / 1000000);
		while (atomic_load(&arrival) == WAITING && machine_tsc() < end)
			machine_relax();
	}
	if (atomic_compare_exchange_strong(&arrival, &expected, GIVEN_UP)) {
		log_print("smp: the processor with APIC number %u does not answer\n", apic);
		return false;
	}
	if (arrival_tsc < began || arrival_tsc > machine_tsc()) {
		log_print("smp: the processor with APIC number %u has another time\n", apic);
		return false;
	}
	x86_cpus++;
	atomic_store(&arrival, WAITING);
	return true;
}

void
smp_init(void)
{
	uint64_t page = low_page();
	uint32_t self = apic_id();

	if (acpi.cpus < 2)
		return;
	if (!page) {
		log_print("smp: no memory below 1 MiB to start processors from\n");
		return;
	}
	memcpy((void *)(MACHINE_DIRECT + page), ap_start, (size_t)(ap_end - ap_start));
	for (uint32_t i = 0; i < acpi.cpus; i++) {
		if (acpi.apic_ids[i] != self)
			apic_send(acpi.apic_ids[i], APIC_INIT);
	}
	time_delay(INIT_US);
	for (uint32_t i = 0; i < acpi.cpus && x86_cpus < AEGIS_CPUS; i++) {
		if (acpi.apic_ids[i] != self && !processor_start(acpi.apic_ids[i], page))
			return;
	}
	memset((void *)(MACHINE_DIRECT + page), 0, PAGE);
	memset(boot_root, 0, PAGE);
}

void
machine_smp_start(void)
{
	trap_counters();
	atomic_store(&go, 1);
	for (uint32_t cpu = 1; cpu < x86_cpus; cpu++)
		machine_ipi(cpu);
}
