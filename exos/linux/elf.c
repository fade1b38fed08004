/* SPDX-License-Identifier: MIT */
/*
 * Parsing of ELF images.
 *
 * Owns the knowledge of the file format; the description it fills is in elf.h, with the promises
 * that make it safe. Context: any.
 *
 * 1. Each byte of the file is read once, so a file that changes meanwhile cannot be checked as one
 *    thing and used as another.
 * 2. All sums are checked before they are formed.
 */
#include "exos/linux/elf.h"

#include "exos/lib/lib.h"
#include "exos/linux/abi_proc.h"
#include "exos/linux/errno.h"

struct elf_header {
	uint8_t ident[16];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
	uint64_t entry;
	uint64_t phoff;
	uint64_t shoff;
	uint32_t flags;
	uint16_t ehsize;
	uint16_t phentsize;
	uint16_t phnum;
	uint16_t shentsize;
	uint16_t shnum;
	uint16_t shstrndx;
};

struct elf_phdr {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

_Static_assert(sizeof(struct elf_header) == 64, "Elf64_Ehdr");
_Static_assert(sizeof(struct elf_phdr) == 56, "Elf64_Phdr");

#define TYPE_EXEC      2
#define TYPE_DYN       3
#define MACHINE_X86_64 62
#define PT_LOAD        1
#define PT_INTERP      3
#define PT_GNU_STACK   0x6474e551
#define FLAG_EXEC      1
#define FLAG_WRITE     2
#define FLAG_READ      4

/* The largest alignment that is honoured; a bias could hardly be found for a larger one. */
#define ALIGN_MAX (1ULL << 30)

/* Headers are read in pieces of this many, to stay small on the stack. */
#define PHDR_CHUNK 8u

static uint64_t
page_down(uint64_t address)
{
	return address & ~(ELF_PAGE - 1);
}

/* Only for addresses below 2^64 - ELF_PAGE, which segment_check has made sure of. */
static uint64_t
page_up(uint64_t address)
{
	return page_down(address + ELF_PAGE - 1);
}

static int
reader_get(const struct elf_reader *reader, uint64_t offset, void *buf, size_t n)
{
	if (n > reader->size || offset > reader->size - n)
		return -ENOEXEC;
	return reader->read(reader->ctx, offset, buf, n);
}

static bool
header_check(const struct elf_header *h)
{
	static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

	return memcmp(h->ident, ident, sizeof(ident)) == 0 &&
	       (h->type == TYPE_EXEC || h->type == TYPE_DYN) && h->machine == MACHINE_X86_64 &&
	       h->version == 1 && h->phentsize == sizeof(struct elf_phdr) && h->phnum > 0 &&
	       h->phnum <= ELF_PHNUM_MAX;
}

static bool
segment_check(const struct elf_reader *reader, const struct elf_image *image,
	      const struct elf_phdr *p)
{
	if (image->segments == ELF_SEGMENTS_MAX || p->filesz > p->memsz)
		return false;
	if (p->memsz >= UINT64_MAX - 2 * ELF_PAGE ||
	    p->vaddr > UINT64_MAX - 2 * ELF_PAGE - p->memsz)
		return false;
	if (p->filesz > 0) {
		if (p->filesz > reader->size || p->offset > reader->size - p->filesz)
			return false;
		if (p->vaddr % ELF_PAGE != p->offset % ELF_PAGE)
			return false;
	}
	if (image->segments > 0) {
		const struct elf_segment *last = &image->segment[image->segments - 1];

		if (p->vaddr < last->vaddr + last->memsz)
			return false;
	}
	return true;
}

static uint32_t
segment_prot(uint32_t flags)
{
	return (flags & FLAG_READ ? LX_PROT_READ : 0) | (flags & FLAG_WRITE ? LX_PROT_WRITE : 0) |
	       (flags & FLAG_EXEC ? LX_PROT_EXEC : 0);
}

static void
segment_account(struct elf_image *image, const struct elf_segment *s)
{
	uint64_t end = s->vaddr + s->memsz;

	if (image->segments == 0)
		image->low = page_down(s->vaddr);
	image->high = image->brk = page_up(end);
	if (s->prot & LX_PROT_EXEC) {
		if (image->code_high == 0)
			image->code_low = s->vaddr;
		image->code_high = s->vaddr + s->filesz;
	}
	if (s->prot & LX_PROT_WRITE) {
		image->data_low = s->vaddr;
		image->data_high = s->vaddr + s->filesz;
	}
}

static int
segment_add(const struct elf_reader *reader, struct elf_image *image, const struct elf_phdr *p,
	    uint64_t phoff)
{
	struct elf_segment *s = &image->segment[image->segments];

	if (p->memsz == 0)
		return p->filesz == 0 ? 0 : -ENOEXEC;
	if (!segment_check(reader, image, p))
		return -ENOEXEC;
	if (p->align > ALIGN_MAX)
		return -ENOEXEC;
	if (p->align > image->align && (p->align & (p->align - 1)) == 0)
		image->align = p->align;
	s->vaddr = p->vaddr;
	s->memsz = p->memsz;
	s->offset = p->filesz > 0 ? p->offset : 0;
	s->filesz = p->filesz;
	s->prot = segment_prot(p->flags);
	/* The whole table must be loaded, not just its beginning. */
	if (image->phdr == 0 && phoff >= p->offset && phoff - p->offset < p->filesz &&
	    p->filesz - (phoff - p->offset) >= image->phnum * sizeof(struct elf_phdr))
		image->phdr = p->vaddr + (phoff - p->offset);
	segment_account(image, s);
	image->segments++;
	return 0;
}

static int
phdr_add(const struct elf_reader *reader, struct elf_image *image, const struct elf_phdr *p,
	 uint64_t phoff)
{
	switch (p->type) {
	case PT_LOAD:
		return segment_add(reader, image, p, phoff);
	case PT_INTERP:
		if (image->interp_size != 0)
			return 0;
		if (p->filesz < 2 || p->filesz > LX_PATH_MAX || p->filesz > reader->size ||
		    p->offset > reader->size - p->filesz)
			return -ENOEXEC;
		image->interp_offset = p->offset;
		image->interp_size = (uint32_t)p->filesz;
		return 0;
	case PT_GNU_STACK:
		image->stack_exec = (p->flags & FLAG_EXEC) != 0;
		return 0;
	default:
		return 0;
	}
}

static bool
entry_check(const struct elf_image *image)
{
	for (uint32_t i = 0; i < image->segments; i++) {
		const struct elf_segment *s = &image->segment[i];

		if ((s->prot & LX_PROT_EXEC) && image->entry >= s->vaddr &&
		    image->entry - s->vaddr < s->memsz)
			return true;
	}
	return false;
}

int
elf_read(const struct elf_reader *reader, struct elf_image *image)
{
	struct elf_header header;
	struct elf_phdr phdr[PHDR_CHUNK];
	int error;

	memset(image, 0, sizeof(*image));
	error = reader_get(reader, 0, &header, sizeof(header));
	if (error)
		return error;
	if (!header_check(&header) || header.phoff > UINT64_MAX / 2)
		return -ENOEXEC;
	image->relocatable = header.type == TYPE_DYN;
	image->align = ELF_PAGE;
	image->entry = header.entry;
	image->phnum = header.phnum;
	image->phentsize = header.phentsize;
	for (uint32_t i = 0; i < image->phnum; i += PHDR_CHUNK) {
		uint32_t n = image->phnum - i < PHDR_CHUNK ? image->phnum - i : PHDR_CHUNK;

		error = reader_get(reader, header.phoff + i * sizeof(phdr[0]), phdr,
				   n * sizeof(phdr[0]));
		for (uint32_t k = 0; k < n && !error; k++)
			error = phdr_add(reader, image, &phdr[k], header.phoff);
		if (error)
			return error;
	}
	return entry_check(image) ? 0 : -ENOEXEC;
}

int
elf_interp_read(const struct elf_reader *reader, const struct elf_image *image, char *path,
		size_t size)
{
	size_t n = image->interp_size;
	int error;

	if (n == 0)
		return -ENOEXEC;
	if (n > size)
		return -ENAMETOOLONG;
	error = reader_get(reader, image->interp_offset, path, n);
	if (error)
		return error;
	return path[n - 1] == 0 && path[0] != 0 ? 0 : -ENOEXEC;
}

bool
elf_place_check(const struct elf_image *image, uint64_t bias, const struct elf_limits *limits)
{
	if (bias != 0 && (!image->relocatable || bias % image->align != 0))
		return false;
	if (bias > UINT64_MAX - image->high)
		return false;
	if (image->low + bias < limits->inside.start || image->high + bias > limits->inside.end)
		return false;
	for (uint32_t i = 0; i < image->segments; i++) {
		const struct elf_segment *s = &image->segment[i];
		uint64_t start = page_down(s->vaddr) + bias;
		uint64_t end = page_up(s->vaddr + s->memsz) + bias;

		for (size_t k = 0; k < limits->reserved_count; k++)
			if (start < limits->reserved[k].end && end > limits->reserved[k].start)
				return false;
	}
	return true;
}
