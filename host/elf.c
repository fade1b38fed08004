/* SPDX-License-Identifier: MIT */
/*
 * What kind of file a program is: the first look, which answers on the host what would otherwise be
 * an obscure end in the guest.  The file is untrusted: everything is read through read_at(), whose
 * ranges are checked against the size of the file.  The guest checks again for itself.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

#define SCRIPT_LINE   256u  /* as much of the first line as Linux reads */
#define INTERPRETER   4096u /* longest path */
#define USER_TOP      0x7ffffffff000ull
#define HEADERS_LIMIT 65536u /* bytes of program headers, as in Linux */

struct file {
	int fd;
	uint64_t size;
};

/* False: not that many bytes there. */
static bool
read_at(const struct file *file, uint64_t offset, void *bytes, uint64_t count)
{
	if (offset > file->size || count > file->size - offset)
		return false;
	while (count > 0) {
		ssize_t got = pread(file->fd, bytes, (size_t)count, (off_t)offset);

		if (got <= 0)
			return false;
		bytes = (char *)bytes + got;
		offset += (uint64_t)got;
		count -= (uint64_t)got;
	}
	return true;
}

/* A script: "#!", blanks, the interpreter, and perhaps one argument, which is the rest of the line.
 */
static const char *
inspect_script(const struct file *file, struct program_file *program)
{
	char line[SCRIPT_LINE + 1] = {0};
	char *end, *at = line + 2, *word;

	if (!read_at(file, 0, line, file->size < SCRIPT_LINE ? file->size : SCRIPT_LINE))
		return "cannot be read";
	end = line + strcspn(line, "\n");
	if (*end == 0 && file->size > SCRIPT_LINE)
		return "is a script whose first line is too long";
	*end = 0;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = 0;
	at += strspn(at, " \t");
	word = at;
	at += strcspn(at, " \t");
	if (at == word)
		return "is a script that names no interpreter";
	if (end[-1] == '\r')
		return "is a script whose first line ends with a carriage return";
	if (*word != '/')
		return "is a script whose interpreter is not an absolute path";
	program->kind = PROGRAM_SCRIPT;
	program->interpreter = format_text("%.*s", (int)(at - word), word);
	at += strspn(at, " \t");
	program->argument = *at ? duplicate(at) : NULL;
	return NULL;
}

static const char *
machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "is a program for 32-bit x86; a program for x86-64 is needed";
	case EM_AARCH64:
		return "is a program for 64-bit ARM; a program for x86-64 is needed";
	case EM_ARM:
		return "is a program for 32-bit ARM; a program for x86-64 is needed";
	case EM_RISCV:
		return "is a program for RISC-V; a program for x86-64 is needed";
	case EM_PPC64:
		return "is a program for POWER; a program for x86-64 is needed";
	case EM_S390:
		return "is a program for s390; a program for x86-64 is needed";
	default:
		return "is a program for another processor; a program for x86-64 is needed";
	}
}

static const char *
inspect_header(const Elf64_Ehdr *header)
{
	const unsigned char *ident = header->e_ident;

	if (ident[EI_DATA] == ELFDATA2MSB)
		return "is a big-endian ELF file; a program for x86-64 is needed";
	if (ident[EI_DATA] != ELFDATA2LSB)
		return "is a damaged ELF file (byte order)";
	if (ident[EI_CLASS] == ELFCLASS32)
		return header->e_machine == EM_X86_64
			       ? "is an x32 program; a 64-bit program for x86-64 is needed"
			       : machine_name(header->e_machine == EM_AARCH64 ? EM_ARM
									      : header->e_machine);
	if (ident[EI_CLASS] != ELFCLASS64)
		return "is a damaged ELF file (class)";
	if (header->e_machine != EM_X86_64)
		return machine_name(header->e_machine);
	if (ident[EI_VERSION] != EV_CURRENT)
		return "is a damaged ELF file (version)";
	if (ident[EI_OSABI] != ELFOSABI_SYSV && ident[EI_OSABI] != ELFOSABI_GNU)
		return "is a program for another operating system than Linux";
	if (header->e_type == ET_REL)
		return "is an object file, not a program";
	if (header->e_type == ET_CORE)
		return "is a core dump, not a program";
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return "is not a program (ELF type)";
	return NULL;
}

/* One segment to be loaded; `executable` is set if the entry point lies in it and may be executed.
 */
static const char *
inspect_segment(const struct file *file, const Elf64_Phdr *segment, uint64_t entry,
		bool *executable)
{
	uint64_t start = segment->p_vaddr, size = segment->p_memsz;

	if (segment->p_offset > file->size || segment->p_filesz > file->size - segment->p_offset)
		return "is truncated: a part of the program is missing";
	if (segment->p_filesz > size)
		return "is a damaged ELF file (segment sizes)";
	if (start > USER_TOP || size > USER_TOP - start)
		return "is a damaged ELF file (segment addresses)";
	if (segment->p_filesz > 0 && ((segment->p_offset ^ start) & 4095))
		return "is a damaged ELF file (segment alignment)";
	if (entry >= start && entry - start < size && (segment->p_flags & PF_X))
		*executable = true;
	return NULL;
}

static const char *
inspect_interpreter(const struct file *file, const Elf64_Phdr *segment,
		    struct program_file *program)
{
	char *path;

	if (segment->p_filesz < 2 || segment->p_filesz > INTERPRETER)
		return "is a damaged ELF file (interpreter)";
	path = allocate(segment->p_filesz + 1);
	if (!read_at(file, segment->p_offset, path, segment->p_filesz)) {
		free(path);
		return "is truncated: a part of the program is missing";
	}
	if (path[segment->p_filesz - 1] != 0 || path[0] == 0) {
		free(path);
		return "is a damaged ELF file (interpreter)";
	}
	free(program->interpreter);
	program->interpreter = path;
	program->kind = PROGRAM_DYNAMIC;
	return NULL;
}

static const char *
inspect_segments(const struct file *file, const Elf64_Ehdr *header, struct program_file *program)
{
	bool loaded = false, executable = false;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		const char *wrong = NULL;
		Elf64_Phdr segment;

		if (!read_at(file, header->e_phoff + i * sizeof(segment), &segment,
			     sizeof(segment)))
			return "is truncated: its program headers are missing";
		if (segment.p_type == PT_LOAD) {
			loaded = true;
			wrong = inspect_segment(file, &segment, header->e_entry, &executable);
		} else if (segment.p_type == PT_INTERP) {
			wrong = inspect_interpreter(file, &segment, program);
		}
		if (wrong)
			return wrong;
	}
	if (!loaded)
		return "is not a program: it has nothing to be loaded";
	if (header->e_type == ET_DYN && header->e_entry == 0)
		return "is a shared library, not a program";
	return executable ? NULL : "is a damaged ELF file (entry point)";
}

static const char *
inspect_elf(const struct file *file, struct program_file *program)
{
	Elf64_Ehdr header = {0};
	const char *wrong;

	/* The identification and the machine come first: they also say what a short file was meant
	 * to be. */
	if (!read_at(file, 0, &header, 20))
		return "is truncated: its ELF header is missing";
	wrong = inspect_header(&header);
	if (wrong)
		return wrong;
	if (!read_at(file, 0, &header, sizeof(header)))
		return "is truncated: its ELF header is missing";
	if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
	    header.e_phnum > HEADERS_LIMIT / sizeof(Elf64_Phdr))
		return "is a damaged ELF file (program headers)";
	if (header.e_phoff > file->size)
		return "is truncated: its program headers are missing";
	program->kind = PROGRAM_STATIC;
	program->fixed = header.e_type == ET_EXEC;
	return inspect_segments(file, &header, program);
}

static const char *
inspect_open(const struct file *file, struct program_file *program)
{
	char magic[SELFMAG] = {0};

	if (file->size == 0)
		return "is empty";
	if (file->size >= SELFMAG && !read_at(file, 0, magic, SELFMAG))
		return "cannot be read";
	if (file->size < SELFMAG && !read_at(file, 0, magic, file->size))
		return "cannot be read";
	if (memcmp(magic, ELFMAG, SELFMAG) == 0)
		return inspect_elf(file, program);
	if (magic[0] == '#' && magic[1] == '!')
		return inspect_script(file, program);
	return "is not a program: neither an ELF file nor a script that begins with #!";
}

const char *
program_inspect(const char *path, struct program_file *program)
{
	struct file file = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	const char *wrong;
	struct stat status;

	*program = (struct program_file){0};
	if (file.fd < 0)
		return errno == ENOENT ? "there is no such file" : strerror(errno);
	if (fstat(file.fd, &status) != 0)
		wrong = strerror(errno);
	else if (S_ISDIR(status.st_mode))
		wrong = "is a directory";
	else if (!S_ISREG(status.st_mode))
		wrong = "is not a regular file";
	else if ((status.st_mode & 0111) == 0)
		wrong = "is not executable (chmod +x makes it so)";
	else {
		file.size = (uint64_t)status.st_size;
		wrong = inspect_open(&file, program);
	}
	close(file.fd);
	return wrong;
}
