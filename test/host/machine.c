/* SPDX-License-Identifier: MIT */
/*
 * The machine of kernel/machine.h over plain memory.
 *
 * Processors run one at a time, and an interrupt to another is served at once; or, with
 * host_threads, each is a thread, and serves requests between its calls.  Calls that answer a
 * status fail when host_fail_at counts down to them.
 */
#include <sched.h>
#include "host.h"

_Thread_local uint32_t host_cpu;
bool host_threads;
uint32_t host_cpu_count = 1;
uint64_t host_clears, host_ipis, host_fail_at, host_time = 1;
void (*host_panicked)(const char *why);

static uint8_t *memory;
static uint32_t memory_frames;

struct translation {
	uint64_t va;
	uint32_t pfn;
	bool write, dirty;
};
#define TLB_SIZE 256u
static struct {
	uint32_t root, count;
	struct translation t[TLB_SIZE];
} tlbs[AEGIS_CPUS];

void
machine_memory(uint32_t n)
{
	free(memory);
	memory = aligned_alloc(PAGE, (size_t)n * PAGE);
	memory_frames = n;
	memset(memory, 0xa5, (size_t)n * PAGE); /* nobody promised that it is clear */
	machine_tlb_clear();
}

uint32_t
machine_boot_frames(uint32_t n)
{
	memset(memory + (size_t)(memory_frames - n) * PAGE, 0, (size_t)n * PAGE);
	return memory_frames - n;
}

void *
machine_frame(uint32_t pfn)
{
	if (pfn >= memory_frames)
		panic("frame outside memory");
	return memory + (size_t)pfn * PAGE;
}

void
machine_clear(uint64_t *words, uint64_t n)
{
	memset(words, 0, n * sizeof(*words));
}

void
machine_frame_clear(uint32_t pfn)
{
	memset(machine_frame(pfn), 0, PAGE);
	if (!host_threads)
		host_clears++;
}

/* ---- translation ---- */

/* The entry for va, and whether every table on the way is there; NULL: none. */
static uint64_t *
walk(uint32_t root, uint64_t va, uint32_t *level)
{
	uint32_t table = root;

	for (*level = 4;; --*level) {
		uint64_t *e = (uint64_t *)machine_frame(table) + (va >> (3 + 9 * *level) & 511);

		if (!(*e & AEGIS_PTE_PRESENT) || !(*e & AEGIS_PTE_USER))
			return NULL;
		if (*level == 1 || (*e & AEGIS_PTE_LARGE))
			return e;
		table = pte_pfn(*e);
	}
}

static bool
translate(uint32_t root, uint64_t va, struct translation *t, bool write, bool mark)
{
	uint32_t level;
	uint64_t *entry = root ? walk(root, va, &level) : NULL;
	uint64_t e, bits = AEGIS_PTE_ACCESSED | (write ? AEGIS_PTE_DIRTY : 0);

	if (!entry)
		return false;
	e = __atomic_load_n(entry, __ATOMIC_SEQ_CST);
	do {
		if (!(e & AEGIS_PTE_PRESENT) || (write && !(e & AEGIS_PTE_WRITE)))
			return false;
	} while (mark && !__atomic_compare_exchange_n(entry, &e, e | bits, false, __ATOMIC_SEQ_CST,
						      __ATOMIC_SEQ_CST));
	if (mark)
		e |= bits;
	t->va = va & ~(PAGE - 1);
	t->pfn = pte_pfn(e) + (level == 2 ? (uint32_t)(va / PAGE % 512) : 0);
	t->write = e & AEGIS_PTE_WRITE;
	t->dirty = e & AEGIS_PTE_DIRTY;
	return true;
}

int
machine_touch(uint32_t cpu, uint64_t va, bool write)
{
	struct translation t;

	for (uint32_t i = 0; i < tlbs[cpu].count; i++) {
		const struct translation *c = &tlbs[cpu].t[i];

		if (c->va == (va & ~(PAGE - 1)) && (!write || (c->write && c->dirty)))
			return 0;
	}
	if (!translate(tlbs[cpu].root, va, &t, write, true))
		return 1;
	if (tlbs[cpu].count == TLB_SIZE)
		tlbs[cpu].count = 0;
	tlbs[cpu].t[tlbs[cpu].count++] = t;
	return 0;
}

bool
machine_tlb_sound(void)
{
	for (uint32_t cpu = 0; cpu < host_cpu_count; cpu++) {
		for (uint32_t i = 0; i < tlbs[cpu].count; i++) {
			const struct translation *c = &tlbs[cpu].t[i];
			struct translation t;

			if (!translate(tlbs[cpu].root, c->va, &t, false, false) ||
			    t.pfn != c->pfn || (c->write && !t.write) || (c->dirty && !t.dirty)) {
				printf("# cpu %u remembers %lx\n", cpu, c->va);
				return false;
			}
			if (frames[c->pfn].kind == FRAME_FREE || frames[c->pfn].kind == FRAME_TABLE)
				return false;
		}
	}
	return true;
}

void
machine_tlb_clear(void)
{
	memset(tlbs, 0, sizeof(tlbs));
}

void
machine_space_load(uint32_t root_pfn)
{
	tlbs[host_cpu].root = root_pfn;
	tlbs[host_cpu].count = 0;
}

void
machine_space_init(uint32_t root_pfn)
{
	uint64_t *root = machine_frame(root_pfn);

	for (int i = 256; i < 512; i++)
		root[i] = AEGIS_PTE_PRESENT | AEGIS_PTE_WRITE;
	root[WINDOW_ENTRY] = (uint64_t)root_pfn << 12 | AEGIS_PTE_PRESENT | AEGIS_PTE_USER;
}

void
machine_tlb_flush_page(uint64_t va)
{
	for (uint32_t i = 0; i < tlbs[host_cpu].count;) {
		if (tlbs[host_cpu].t[i].va == va)
			tlbs[host_cpu].t[i] = tlbs[host_cpu].t[--tlbs[host_cpu].count];
		else
			i++;
	}
}

void
machine_tlb_flush_all(void)
{
	tlbs[host_cpu].count = 0;
}

uint64_t
machine_pte_nx(void)
{
	return AEGIS_PTE_NX;
}

/* ---- processors ---- */

uint32_t
machine_cpu(void)
{
	return host_cpu;
}

uint32_t
machine_cpus(void)
{
	return host_cpu_count;
}

void
machine_ipi(uint32_t cpu)
{
	uint32_t self = host_cpu;

	if (host_threads)
		return;
	host_ipis++;
	host_cpu = cpu;
	tlb_serve();
	host_cpu = self;
}

void
machine_relax(void)
{
	if (host_threads)
		sched_yield();
}

void
machine_smp_start(void)
{
}

uint64_t
machine_tsc(void)
{
	return host_time++;
}

uint64_t
machine_tsc_hz(void)
{
	return 1000000000;
}

void
machine_timer(uint64_t tsc)
{
	(void)tsc;
}

_Noreturn static void
left(const char *how)
{
	printf("Bail out! the kernel left by %s\n", how);
	fflush(stdout);
	abort();
}

_Noreturn void
machine_enter_clear(uint64_t rip, uint64_t rsp, uint64_t rdi)
{
	(void)rip;
	(void)rsp;
	(void)rdi;
	left("machine_enter_clear");
}

_Noreturn void
machine_enter_regs(const struct regs *regs)
{
	(void)regs;
	left("machine_enter_regs");
}

_Noreturn void
machine_idle(void)
{
	left("machine_idle");
}

_Noreturn void
machine_restart(void (*next)(void))
{
	(void)next;
	left("machine_restart");
}

/* ---- context ---- */

static uint64_t gs_base, fs_base;
static uint32_t pkru;

uint64_t
machine_gs_base(void)
{
	return gs_base;
}

uint64_t
machine_fs_base(void)
{
	return fs_base;
}

void
machine_set_gs_base(uint64_t base)
{
	gs_base = base;
}

void
machine_set_fs_base(uint64_t base)
{
	fs_base = base;
}

uint32_t
machine_pkru(void)
{
	return pkru;
}

void
machine_set_pkru(uint32_t value)
{
	pkru = value;
}

void
machine_vector_save(void *area)
{
	memset(area, 0, machine_vector_size());
}

void
machine_vector_restore(const void *area)
{
	(void)area;
}

void
machine_vector_clear(void)
{
}

uint32_t
machine_vector_size(void)
{
	return 832;
}

uint64_t
machine_xcr0(void)
{
	return 7;
}

/* ---- devices ---- */

static bool
fails(void)
{
	return host_fail_at && --host_fail_at == 0;
}

status
machine_irq_open(uint32_t line)
{
	return line >= 24 ? AEGIS_NO_SUCH : fails() ? AEGIS_IN_USE : AEGIS_OK;
}

void
machine_irq_mask(uint32_t line, bool masked)
{
	(void)line;
	(void)masked;
}

bool
machine_port_bindable(uint32_t port)
{
	return port >= 0x2f8 && port < 0x300;
}

/* One frame of registers above memory, one in a hole would be the same. */
bool
machine_frame_bindable(uint32_t pfn)
{
	return pfn == HOST_FRAMES + 77;
}

void
machine_ports_allow(uint32_t first, uint32_t n, bool allow)
{
	(void)first;
	(void)n;
	(void)allow;
}

bool
machine_chan_present(void)
{
	return true;
}

void
machine_chan_post(uint32_t queue, uint32_t slot, uint64_t address, uint32_t length)
{
	(void)queue;
	(void)slot;
	(void)address;
	(void)length;
}

void
machine_log(const char *text, size_t length)
{
	printf("# %.*s", (int)length, text);
}

_Noreturn void
machine_off(uint32_t code)
{
	(void)code;
	left("machine_off");
}

_Noreturn void
machine_panic(const char *why, const struct regs *regs)
{
	(void)regs;
	if (host_panicked)
		host_panicked(why);
	printf("Bail out! panic: %s\n", why);
	fflush(stdout);
	abort();
}
