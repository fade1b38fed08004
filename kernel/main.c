/* SPDX-License-Identifier: MIT */
/*
 * The boot order on one screen, and the boot environment.
 *
 * The machine layer has set up memory, interrupts and this processor; the frames of the boot archive
 * are known but not free.  The kernel builds one environment from the archive's member boot/NAME
 * (option libos=NAME), gives it the root capability and the archive, and starts scheduling.  What
 * happens next is that library's policy.
 */
#include "kernel.h"

uint32_t system_frame;
static const char *options;

const char *
option_find(const char *name)
{
	const char *p = options;

	while (p && *p) {
		const char *n = name;

		while (*p == ' ')
			p++;
		while (*n && *p == *n) {
			p++;
			n++;
		}
		if (!*n && *p == '=')
			return p + 1;
		if (!*n && (*p == ' ' || !*p))
			return p;
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

/* ---- the archive: one member of a newc cpio ---- */

static bool
hex_field(const uint8_t *p, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		uint8_t c = p[i];
		uint8_t d = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : 16;

		if (d > 15)
			return false;
		*value = *value << 4 | d;
	}
	return true;
}

/* Whether name is "boot/" followed by the library's name, which a space or the end terminates. */
static bool
name_is_boot(const char *name, uint64_t size, const char *libos)
{
	static const char prefix[] = "boot/";
	uint64_t i = 0;

	for (; prefix[i]; i++) {
		if (i >= size || name[i] != prefix[i])
			return false;
	}
	for (; *libos && *libos != ' '; i++, libos++) {
		if (i >= size || name[i] != *libos)
			return false;
	}
	return i < size && name[i] == 0;
}

#define CPIO_HEADER 110u

static const uint8_t *
archive_find(const uint8_t *archive, uint64_t size, const char *libos, uint64_t *length)
{
	uint64_t at = 0;

	while (size - at >= CPIO_HEADER) {
		const uint8_t *h = archive + at;
		uint64_t bytes, name, data;

		for (int i = 0; i < 6; i++) {
			if (h[i] != "070701"[i])
				return NULL;
		}
		if (!hex_field(h + 54, &bytes) || !hex_field(h + 94, &name))
			return NULL;
		data = (at + CPIO_HEADER + name + 3) & ~3ul;
		if (name == 0 || data > size || bytes > size - data)
			return NULL;
		if (name_is_boot((const char *)h + CPIO_HEADER, name, libos)) {
			*length = bytes;
			return archive + data;
		}
		at = (data + bytes + 3) & ~3ul;
		if (at > size)
			return NULL;
	}
	return NULL;
}

/* ---- the boot library's ELF image ---- */

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum;
} __attribute__((packed, aligned(4))); /* as members of an archive lie */

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
} __attribute__((packed, aligned(4)));

#define ELF_LOAD  1u
#define ELF_EXEC  1u
#define ELF_WRITE 2u

/* Image as loaded: consecutive frames from `frame` for the virtual range [low, high). */
struct image {
	const uint8_t *file;
	uint64_t length, low, high;
	uint32_t frame;
};

static const struct elf_segment *
segment_at(const struct image *m, uint32_t i)
{
	const struct elf_header *h = (const struct elf_header *)m->file;
	const struct elf_segment *s;

	s = (const struct elf_segment *)(m->file + h->phoff + (uint64_t)i * sizeof(*s));
	return s->type == ELF_LOAD && s->memsz ? s : NULL;
}

static void
image_check(struct image *m)
{
	const struct elf_header *h = (const struct elf_header *)m->file;

	if (m->length < sizeof(*h) || *(const uint32_t *)h->ident != 0x464c457fu ||
	    h->phentsize != sizeof(struct elf_segment) || h->phoff > m->length || h->phoff % 4 ||
	    (uint64_t)h->phnum * h->phentsize > m->length - h->phoff)
		panic("boot library: not an ELF file");
	m->low = AEGIS_USER_MAX;
	for (uint32_t i = 0; i < h->phnum; i++) {
		const struct elf_segment *s = segment_at(m, i);

		if (!s)
			continue;
		if (s->offset > m->length || s->filesz > m->length - s->offset ||
		    s->filesz > s->memsz || s->vaddr < PAGE || s->vaddr >= AEGIS_BOOT_AREA ||
		    s->memsz > AEGIS_BOOT_AREA - s->vaddr)
			panic("boot library: bad segment");
		if (s->vaddr < m->low)
			m->low = s->vaddr & ~(PAGE - 1);
		if (s->vaddr + s->memsz > m->high)
			m->high = (s->vaddr + s->memsz + PAGE - 1) & ~(PAGE - 1);
	}
	if (m->low >= m->high || m->high - m->low > 16ul << 20)
		panic("boot library: bad size");
}

static void
image_load(struct image *m, struct space *s)
{
	const struct elf_header *h = (const struct elf_header *)m->file;

	m->frame = mem_kernel_alloc((uint32_t)((m->high - m->low) / PAGE));
	for (uint32_t i = 0; i < h->phnum; i++) {
		const struct elf_segment *seg = segment_at(m, i);
		uint64_t end;
		uint32_t prot = AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED;

		if (!seg)
			continue;
		for (uint64_t n = 0; n < seg->filesz; n++)
			((uint8_t *)machine_frame(m->frame))[seg->vaddr - m->low + n] =
				m->file[seg->offset + n];
		if (seg->flags & ELF_EXEC)
			prot |= AEGIS_BIND_EXEC;
		else if (seg->flags & ELF_WRITE)
			prot |= AEGIS_BIND_WRITE;
		end = seg->vaddr + seg->memsz;
		for (uint64_t va = seg->vaddr & ~(PAGE - 1); va < end; va += PAGE)
			space_boot_bind(s, va, m->frame + (uint32_t)((va - m->low) / PAGE), prot);
	}
}

/* ---- the boot environment ---- */

static uint32_t
area_make(struct env *e, struct space *s, uint64_t entry)
{
	uint32_t area = mem_kernel_alloc(AEGIS_BOOT_AREA_PAGES);

	for (uint32_t i = 0; i < AEGIS_BOOT_AREA_PAGES; i++) {
		space_boot_bind(s, AEGIS_BOOT_AREA + i * PAGE, area + i,
				AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED);
		lock_acquire(&s->lock);
		e->area[i] = _space_pin(s, AEGIS_BOOT_AREA + i * PAGE);
		lock_release(&s->lock);
		assert(e->area[i] == area + i);
	}
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
	return area;
}

/* The first context is a whole one, because it comes with a stack and an argument. */
static void
context_make(struct env *e, uint64_t entry)
{
	e->regs.rip = entry;
	e->regs.rsp = AEGIS_BOOT_AREA + AEGIS_BOOT_AREA_PAGES * PAGE - 8;
	e->regs.rdi = AEGIS_BOOT_PAGE;
	e->regs.rflags = MACHINE_FLAGS_USER;
	e->regs.cs = MACHINE_USER_CS;
	e->regs.ss = MACHINE_USER_SS;
	e->gs_base = AEGIS_BOOT_AREA;
	e->saved = SAVED_CALL;
}

static void
boot_page_make(struct env *e, struct space *s, const struct image *m, uint64_t archive,
	       uint64_t size)
{
	uint32_t pfn = mem_kernel_alloc(1);
	struct aegis_boot_page *p = machine_frame(pfn);

	p->size = sizeof(*p);
	p->version = AEGIS_VERSION;
	p->env = e->number;
	p->space = s->number;
	p->system_frame = system_frame;
	p->archive_frame = (uint32_t)(archive / PAGE);
	p->archive_bytes = size;
	p->image_low = m->low;
	p->image_high = m->high;
	p->image_frame = m->frame;
	p->env_frame = e->exposed;
	for (uint32_t i = 0; i < AEGIS_BOOT_OPTIONS - 1 && options[i]; i++)
		p->options[i] = options[i];
	space_boot_bind(s, AEGIS_BOOT_PAGE, pfn, AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED);
}

static void
boot_env_make(uint64_t archive, uint64_t size)
{
	const char *libos = option_find("libos");
	struct image m = {0};
	struct space *s;
	struct env *e;

	if (!libos)
		libos = "exos";
	if (!size || archive % PAGE)
		panic("no boot archive");
	m.file = archive_find(machine_frame((uint32_t)(archive / PAGE)), size, libos, &m.length);
	if (!m.file)
		panic("the boot archive has no such library");
	image_check(&m);
	s = space_boot();
	e = env_boot(s);
	space_boot_hold(s, (uint32_t)(archive / PAGE), (uint32_t)((size + PAGE - 1) / PAGE));
	image_load(&m, s);
	area_make(e, s, ((const struct elf_header *)m.file)->entry);
	context_make(e, ((const struct elf_header *)m.file)->entry);
	boot_page_make(e, s, &m, archive, size);
	env_lock(e->number, 0);
	cpu_ready(e);
	env_unlock(e);
}

static void
system_page_make(void)
{
	const struct aegis_system_page old = *system_page;

	system_frame = mem_kernel_alloc(1);
	frames[system_frame].kind = FRAME_EXPOSED;
	frames[system_frame].flags = FRAME_PUBLIC;
	system_page = machine_frame(system_frame);
	*system_page = old;
	system_page->size = sizeof(*system_page);
	system_page->version = AEGIS_VERSION;
	system_page->cpus = machine_cpus();
	system_page->slices = AEGIS_SLICES;
	system_page->tsc_hz = machine_tsc_hz();
	system_page->tsc_boot = machine_tsc();
	system_page->wall_ns = machine_wall_ns();
	system_page->slice_tsc = machine_tsc_hz() / 1000000 * AEGIS_SLICE_NS / 1000;
	system_page->ns_mult = (1000000000ul << 32) / machine_tsc_hz();
	system_page->xsave_size = machine_vector_size();
	system_page->xcr0 = machine_xcr0();
}

void
kernel_main(const char *opts, uint64_t archive, uint64_t archive_size)
{
	static struct aegis_system_page early;

	options = opts;
	system_page = &early;
	cap_init();
	account_init();
	mem_init();
	system_page_make();
	trace_init();
	cpu_init();
	chan_init();
	chaos_init();
	boot_env_make(archive, archive_size);
	log_print("aegis: %u processors, %u of %u frames free\n", machine_cpus(),
		  system_page->free_frames, system_page->frames);
	machine_smp_start();
	cpu_start();
}
