/* SPDX-License-Identifier: MIT */
/*
 * The boot order on one screen, and the boot environment.
 *
 * The machine layer has set up memory, interrupts and this processor; the frames of the boot archive
 * are known but not free.  The kernel builds one environment from the image with which the archive begins
 * (aegis/boot.h), gives it the root capability and the archive, and starts scheduling.  What happens next is
 * that library's policy.
 */
#include "kernel.h"
#include "lib/lib.h"

uint32_t system_frame;
char kernel_options[AEGIS_BOOT_OPTIONS];

/* ---- the command line ---- */

const char *
option_find(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = kernel_options; *p;) {
		while (*p == ' ')
			p++;
		if (memcmp(p, name, n) == 0 && (p[n] == '=' || p[n] == ' ' || !p[n]))
			return p[n] == '=' ? p + n + 1 : p + n;
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

uint64_t
option_number(const char *name, uint64_t otherwise)
{
	const char *p = option_find(name);
	uint64_t value = 0;
	uint32_t base = 10;

	if (!p)
		return otherwise;
	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (;; p++) {
		uint32_t digit = *p >= '0' && *p <= '9' ? (uint32_t)(*p - '0')
				 : (*p | 32) >= 'a' && (*p | 32) <= 'f'
					 ? (uint32_t)((*p | 32) - 'a' + 10)
					 : 16;

		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

uint32_t
option_bound(const char *name, uint32_t most)
{
	uint64_t value = option_number(name, most);

	return value && value < most ? (uint32_t)value : most;
}

/* ---- the boot library's image ---- */

#define IMAGE_PAGES 4096u

static const struct aegis_image *
image_find(uint64_t archive, uint64_t size)
{
	const struct aegis_image *m = machine_frame((uint32_t)(archive / PAGE) + 1);
	uint64_t pages;

	if (size < PAGE + sizeof(*m) || m->magic != AEGIS_IMAGE_MAGIC)
		panic("the boot archive does not begin with a library's image");
	pages = (uint64_t)m->pages[0] + m->pages[1] + m->pages[2];
	if (!pages || pages > IMAGE_PAGES || pages + 2 > size / PAGE || m->low % PAGE ||
	    m->low < PAGE || m->low > AEGIS_BOOT_AREA - pages * PAGE)
		panic("the boot archive begins with a bad image");
	return m;
}

/* Frames of a copy, one behind the other: the first, and the end of the virtual range. */
static uint32_t
image_load(const struct aegis_image *m, struct space *s, uint64_t *high)
{
	static const uint32_t rights[] = {AEGIS_BIND_READ | AEGIS_BIND_EXEC, AEGIS_BIND_READ,
					  AEGIS_BIND_READ | AEGIS_BIND_WRITE};
	uint32_t pages = m->pages[0] + m->pages[1] + m->pages[2];
	uint32_t first = mem_kernel_alloc(pages, FRAME_KERNEL), pfn = first;

	memcpy(machine_frame(first), (const uint8_t *)m + PAGE, pages * PAGE);
	*high = m->low + pages * PAGE;
	for (uint32_t part = 0; part < 3; pfn += m->pages[part++])
		space_boot_bind(s, m->low + (pfn - first) * PAGE, pfn, m->pages[part],
				rights[part]);
	return first;
}

/* ---- the boot environment ---- */

/* The first context is a whole one, because it comes with a stack and an argument. */
static void
context_make(struct env *e, struct space *s, uint64_t entry)
{
	uint32_t area = mem_kernel_alloc(AEGIS_BOOT_AREA_PAGES, FRAME_KERNEL);

	space_boot_bind(s, AEGIS_BOOT_AREA, area, AEGIS_BOOT_AREA_PAGES,
			AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	for (uint32_t i = 0; i < AEGIS_BOOT_AREA_PAGES; i++)
		e->area[i] = _space_pin(s, AEGIS_BOOT_AREA + i * PAGE);
	e->setup = (struct aegis_setup){
		.area_va = AEGIS_BOOT_AREA,
		.area_pages = AEGIS_BOOT_AREA_PAGES,
		.stack_page = 1,
		.begin_entry = entry,
		.gs_base = AEGIS_BOOT_AREA,
		.space = s->number,
		.flags = AEGIS_SETUP_EXTRA,
	};
	upcall_prepare(e);
	e->regs.rip = entry;
	e->regs.rsp = AEGIS_BOOT_AREA + AEGIS_BOOT_AREA_PAGES * PAGE - 8;
	e->regs.rdi = AEGIS_BOOT_PAGE;
	e->regs.rflags = MACHINE_FLAGS_USER;
	e->gs_base = AEGIS_BOOT_AREA;
	e->saved = SAVED_CALL;
}

static void
boot_env_make(uint64_t archive, uint64_t size)
{
	const struct aegis_image *m = image_find(archive, size);
	uint32_t pfn = mem_kernel_alloc(1, FRAME_KERNEL);
	struct aegis_boot_page *p = machine_frame(pfn);
	struct space *s = space_boot();
	struct env *e = env_boot(s);

	space_boot_hold(s, (uint32_t)(archive / PAGE), (uint32_t)((size + PAGE - 1) / PAGE));
	p->size = sizeof(*p);
	p->version = AEGIS_VERSION;
	p->env = e->number;
	p->space = s->number;
	p->system_frame = system_frame;
	p->archive_frame = (uint32_t)(archive / PAGE);
	p->archive_bytes = size;
	p->image_low = m->low;
	p->image_frame = image_load(m, s, &p->image_high);
	p->env_frame = e->exposed;
	memcpy(p->options, kernel_options, sizeof(p->options));
	space_boot_bind(s, AEGIS_BOOT_PAGE, pfn, 1, AEGIS_BIND_READ);
	context_make(e, s, m->entry);
	env_lock(e->number, 0);
	cpu_ready(e);
	env_unlock(e);
}

static void
system_page_make(void)
{
	const struct aegis_system_page old = *system_page;

	system_frame = mem_kernel_alloc(1, FRAME_EXPOSED);
	frames[system_frame].flags = FRAME_PUBLIC;
	system_page = machine_frame(system_frame);
	*system_page = old;
	system_page->size = sizeof(*system_page);
	system_page->version = AEGIS_VERSION;
	system_page->cpus = machine_cpus();
	system_page->slices = AEGIS_SLICES;
	system_page->tsc_hz = machine_tsc_hz();
	system_page->tsc_boot = machine_tsc();
	system_page->slice_tsc = machine_tsc_hz() / 1000000 * AEGIS_SLICE_NS / 1000;
	system_page->ns_mult = (1000000000ul << 32) / machine_tsc_hz();
	system_page->wall_ns = option_number("wall", 0);
	system_page->xsave_size = machine_vector_size();
	system_page->xcr0 = machine_xcr0();
}

void
kernel_main(uint64_t archive, uint64_t archive_size)
{
	cap_init();
	account_init();
	system_page_make();
	trace_init();
	cpu_init();
	chan_init();
	chaos_init();
	check_init();
	boot_env_make(archive, archive_size);
	log_print("aegis: %u processors, %u of %u frames free\n", machine_cpus(),
		  system_page->free_frames, system_page->frames);
	machine_smp_start();
	cpu_next();
}
