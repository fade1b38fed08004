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

/* As many of at most n digits as there are: their number, and their value. */
static uint32_t
digits_read(const char *p, uint32_t n, uint32_t base, uint64_t *value)
{
	uint32_t i;

	*value = 0;
	for (i = 0; i < n; i++) {
		uint32_t digit = p[i] >= '0' && p[i] <= '9'   ? (uint32_t)(p[i] - '0')
				 : p[i] >= 'a' && p[i] <= 'f' ? (uint32_t)(p[i] - 'a' + 10)
				 : p[i] >= 'A' && p[i] <= 'F' ? (uint32_t)(p[i] - 'A' + 10)
							      : 16;

		if (digit >= base)
			break;
		*value = *value * base + digit;
	}
	return i;
}

uint64_t
option_number(const char *name, uint64_t otherwise)
{
	const char *p = option_find(name);
	uint64_t value = otherwise;

	if (p && p[0] == '0' && p[1] == 'x')
		digits_read(p + 2, 16, 16, &value);
	else if (p)
		digits_read(p, 20, 10, &value);
	return value;
}

uint32_t
option_bound(const char *name, uint32_t most)
{
	uint64_t value = option_number(name, most);

	return value && value < most ? (uint32_t)value : most;
}

/* ---- the archive: one member of a newc cpio ---- */

#define CPIO_HEADER 110u

static const uint8_t *
archive_find(const uint8_t *archive, uint64_t size, const char *member, uint64_t *length)
{
	uint64_t at = 0;

	while (at <= size && size - at >= CPIO_HEADER) {
		const char *h = (const char *)archive + at;
		uint64_t bytes, name, data;

		if (memcmp(h, "070701", 6) != 0 || digits_read(h + 54, 8, 16, &bytes) < 8 ||
		    digits_read(h + 94, 8, 16, &name) < 8)
			return NULL;
		data = (at + CPIO_HEADER + name + 3) & ~3ul;
		if (name == 0 || data > size || bytes > size - data)
			return NULL;
		/* Zeros may follow a name, so that its data is aligned. */
		if (name > strlen(member) &&
		    memcmp(h + CPIO_HEADER, member, strlen(member) + 1) == 0) {
			*length = bytes;
			return archive + data;
		}
		at = (data + bytes + 3) & ~3ul;
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

	m->frame = mem_kernel_alloc((uint32_t)((m->high - m->low) / PAGE), FRAME_KERNEL);
	for (uint32_t i = 0; i < h->phnum; i++) {
		const struct elf_segment *seg = segment_at(m, i);
		uint64_t end;
		uint32_t prot = AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED;

		if (!seg)
			continue;
		memcpy((uint8_t *)machine_frame(m->frame) + (seg->vaddr - m->low),
		       m->file + seg->offset, seg->filesz);
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

/* The first context is a whole one, because it comes with a stack and an argument. */
static void
context_make(struct env *e, struct space *s, uint64_t entry)
{
	uint32_t area = mem_kernel_alloc(AEGIS_BOOT_AREA_PAGES, FRAME_KERNEL);

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
	e->regs.rip = entry;
	e->regs.rsp = AEGIS_BOOT_AREA + AEGIS_BOOT_AREA_PAGES * PAGE - 8;
	e->regs.rdi = AEGIS_BOOT_PAGE;
	e->regs.rflags = MACHINE_FLAGS_USER;
	e->gs_base = AEGIS_BOOT_AREA;
	e->saved = SAVED_CALL;
}

static void
boot_page_make(struct env *e, struct space *s, const struct image *m, uint64_t archive,
	       uint64_t size)
{
	uint32_t pfn = mem_kernel_alloc(1, FRAME_KERNEL);
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
	memcpy(p->options, kernel_options, sizeof(p->options));
	space_boot_bind(s, AEGIS_BOOT_PAGE, pfn, AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED);
}

static void
boot_env_make(uint64_t archive, uint64_t size)
{
	const char *libos = option_find("libos");
	struct image m = {0};
	char member[64];
	struct space *s;
	struct env *e;

	if (!size)
		panic("no boot archive");
	print_to(member, sizeof(member), "boot/%s", libos ? libos : "exos");
	for (char *p = member; *p; p++) {
		if (*p == ' ')
			*p = 0;
	}
	m.file = archive_find(machine_frame((uint32_t)(archive / PAGE)), size, member, &m.length);
	if (!m.file)
		panic("the boot archive has no such library");
	image_check(&m);
	s = space_boot();
	e = env_boot(s);
	space_boot_hold(s, (uint32_t)(archive / PAGE), (uint32_t)((size + PAGE - 1) / PAGE));
	image_load(&m, s);
	context_make(e, s, ((const struct elf_header *)m.file)->entry);
	boot_page_make(e, s, &m, archive, size);
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
	static struct aegis_system_page early;

	system_page = &early;
	cap_init();
	account_init();
	mem_init();
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
