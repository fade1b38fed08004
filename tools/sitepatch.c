/* SPDX-License-Identifier: MIT */
/*
 * Writes a copy of a static program in which every site the rewriter grants is rewritten, so that
 * real programs test the rewriter on the host: the copy must behave as the original does.
 *
 * usage: sitepatch [-b] [-i] input output
 *   -b  without the shape BEFORE
 *   -i  without the shape ISLAND
 *
 * The stubs lie in a segment of their own, appended to the file; its program header replaces a
 * PT_NOTE, or PT_GNU_STACK if there is none. In place of the library's entry each stub gets its
 * own: the system call, then a jump to where the stub says. That needs no memory, so threads and
 * vfork work.
 *
 * Sites are taken to be what a linear disassembly shows, as no program runs to tell. Prints how
 * many there were and how many were rewritten.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../exos/linux/insn.h"
#include "../exos/linux/rewrite.h"

#define STUBS_AT  0x20000000u /* behind the program's segments */
#define SLOT_SIZE (2 * REWRITE_STUB_MAX)
#define PAGE      4096u

struct program {
	uint8_t *file; /* as read; the views' text */
	uint8_t *copy; /* as written */
	size_t size;
	uint8_t *stubs;
	size_t stub_count;
	uint64_t stub_base;
	unsigned sites;
	unsigned rewritten;
	unsigned without;
};

static void
die(const char *what)
{
	fprintf(stderr, "sitepatch: %s\n", what);
	exit(1);
}

static void
program_read(struct program *p, const char *path)
{
	FILE *f = fopen(path, "rb");
	long end = 0;

	if (!f || fseek(f, 0, SEEK_END) || (end = ftell(f)) < (long)sizeof(Elf64_Ehdr) ||
	    fseek(f, 0, SEEK_SET))
		die("cannot read the input");
	p->size = (size_t)end;
	p->file = malloc(p->size);
	p->copy = malloc(p->size);
	if (!p->file || !p->copy || fread(p->file, 1, p->size, f) != p->size)
		die("cannot read the input");
	memcpy(p->copy, p->file, p->size);
	fclose(f);
}

/* The `entry` of one stub: the call, then on to where rcx points. */
static void
slot_fill(uint8_t *slot, const struct rewrite_plan *plan, uint64_t entry)
{
	const struct rewrite_record *record = &plan->record;
	uint64_t back = record->tail ? record->stub + record->tail : record->site + 2;
	uint32_t to_rcx = (uint32_t)(back - (entry + 9));
	uint32_t to_rip = (uint32_t)(back - (entry + 14));
	static const uint8_t code[] = {0x0f, 0x05, 0x48, 0x8d, 0x0d, 0, 0, 0, 0, 0xe9};

	memcpy(slot, plan->stub, record->stub_len);
	slot += REWRITE_STUB_MAX;
	memcpy(slot, code, sizeof(code));
	memcpy(slot + 5, &to_rcx, 4);
	memcpy(slot + 10, &to_rip, 4);
}

static void
site_patch(struct program *p, const struct rewrite_view *view, size_t offset, size_t at)
{
	struct rewrite_step steps[REWRITE_STEP_MAX];
	uint64_t stub = p->stub_base + p->stub_count * SLOT_SIZE;
	struct rewrite_request request = {
		.site = view->base + at,
		.stub = stub,
		.entry = stub + REWRITE_STUB_MAX,
	};
	struct rewrite_plan plan;
	unsigned count;
	unsigned i;

	p->sites++;
	if (!rewrite_plan(view, &request, &plan))
		return;
	p->rewritten++;
	p->stubs = realloc(p->stubs, (p->stub_count + 1) * SLOT_SIZE);
	if (!p->stubs)
		die("no memory");
	memset(p->stubs + p->stub_count * SLOT_SIZE, 0xcc, SLOT_SIZE);
	slot_fill(p->stubs + p->stub_count * SLOT_SIZE, &plan, request.entry);
	p->stub_count++;
	count = rewrite_steps(&plan, true, steps);
	for (i = 0; i < count; i++)
		memcpy(p->copy + offset + (steps[i].at - view->base), steps[i].bytes, steps[i].len);
}

static void
segment_patch(struct program *p, const Elf64_Phdr *segment)
{
	size_t offset = segment->p_offset;
	size_t len = segment->p_filesz;
	size_t room = rewrite_index_size(p->file + offset, len);
	void *memory = malloc(room);
	struct rewrite_index index;
	struct rewrite_view view = {
		p->file + offset, p->copy + offset, segment->p_vaddr, len, &index, NULL, 0,
		p->without};
	size_t at = 0;

	if (!memory || !rewrite_index_build(&index, p->file + offset, len, memory, room))
		die("no memory");
	while (at < len) {
		struct insn in;

		if (!insn_decode(p->file + offset + at, len - at, &in)) {
			at++;
			continue;
		}
		if (in.kind == INSN_SYSCALL && in.len == 2)
			site_patch(p, &view, offset, at);
		at += in.len;
	}
	free(memory);
}

static void
program_patch(struct program *p)
{
	Elf64_Ehdr header;
	size_t note = 0;
	unsigned i;

	memcpy(&header, p->file, sizeof(header));
	if (memcmp(p->file, ELFMAG, SELFMAG) || header.e_type != ET_EXEC ||
	    header.e_phoff > p->size ||
	    header.e_phnum > (p->size - header.e_phoff) / sizeof(Elf64_Phdr))
		die("not a static program at fixed addresses");
	p->stub_base = STUBS_AT + p->size % PAGE;
	for (i = 0; i < header.e_phnum; i++) {
		size_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
		Elf64_Phdr segment;

		memcpy(&segment, p->file + at, sizeof(segment));
		if (segment.p_type == PT_NOTE || (segment.p_type == PT_GNU_STACK && !note))
			note = at;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
			continue;
		if (segment.p_offset > p->size || segment.p_filesz > p->size - segment.p_offset)
			die("bad segment");
		segment_patch(p, &segment);
	}
	if (!note)
		die("no program header to replace");
	memcpy(p->copy + note,
	       &(Elf64_Phdr){.p_type = PT_LOAD,
			     .p_flags = PF_R | PF_X,
			     .p_offset = p->size,
			     .p_vaddr = p->stub_base,
			     .p_paddr = p->stub_base,
			     .p_filesz = p->stub_count * SLOT_SIZE,
			     .p_memsz = p->stub_count * SLOT_SIZE,
			     .p_align = PAGE},
	       sizeof(Elf64_Phdr));
}

static void
program_write(const struct program *p, const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(p->copy, 1, p->size, f) != p->size ||
	    fwrite(p->stubs, SLOT_SIZE, p->stub_count, f) != p->stub_count || fclose(f) ||
	    chmod(path, 0755))
		die("cannot write the output");
}

int
main(int argc, char **argv)
{
	struct program p = {0};
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++)
		p.without |= 1u << (argv[i][1] == 'b' ? REWRITE_BEFORE : REWRITE_ISLAND);
	if (argc - i != 2)
		die("usage: sitepatch [-b] [-i] input output");
	program_read(&p, argv[i]);
	program_patch(&p);
	program_write(&p, argv[i + 1]);
	printf("%s: %u of %u sites rewritten\n", argv[i], p.rewritten, p.sites);
	free(p.file);
	free(p.copy);
	free(p.stubs);
	return 0;
}
