/* SPDX-License-Identifier: MIT */
/*
 * Names for the addresses in a kernel's last words, from the symbol table of its ELF file, which the developer
 * named.  It is read as far as it makes sense: what does not gives no names.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

#define DIGITS 16u /* of an address */

bool
names_open(struct names *names, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	*names = (struct names){0};
	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && status.st_size >= (off_t)sizeof(Elf64_Ehdr)) {
		void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (bytes != MAP_FAILED)
			*names = (struct names){bytes, (size_t)status.st_size};
	}
	close(fd);
	return names->bytes;
}

static const void *
part(const struct names *names, uint64_t offset, uint64_t count)
{
	if (offset > names->size || count > names->size - offset || offset % 8)
		return NULL;
	return names->bytes + offset;
}

static const Elf64_Shdr *
section_at(const struct names *names, uint64_t n)
{
	const Elf64_Ehdr *header = (const void *)names->bytes;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || n >= header->e_shnum)
		return NULL;
	return part(names, header->e_shoff + n * sizeof(Elf64_Shdr), sizeof(Elf64_Shdr));
}

static bool
is_text(const Elf64_Shdr *section, uint64_t address)
{
	return section && (section->sh_flags & SHF_EXECINSTR) && address >= section->sh_addr &&
	       address - section->sh_addr < section->sh_size;
}

/* The last symbol at or before an address; NULL: none has a name. */
static const char *
symbol_find(const struct names *names, uint64_t address, uint64_t *offset)
{
	const Elf64_Shdr *section, *texts = NULL;
	const Elf64_Sym *symbol = NULL, *best = NULL;
	uint64_t count = 0;

	for (uint64_t i = 0; !symbol && (section = section_at(names, i)); i++) {
		if (section->sh_type != SHT_SYMTAB)
			continue;
		symbol = part(names, section->sh_offset, section->sh_size);
		count = section->sh_size / sizeof(*symbol);
		texts = section_at(names, section->sh_link);
	}
	for (uint64_t i = 0; symbol && i < count; i++)
		if (symbol[i].st_value <= address &&
		    (!best || symbol[i].st_value >= best->st_value) &&
		    is_text(section_at(names, symbol[i].st_shndx), address))
			best = &symbol[i];
	if (!best || !texts || texts->sh_offset > names->size ||
	    best->st_name >= names->size - texts->sh_offset)
		return NULL;
	*offset = address - best->st_value;
	return (const char *)names->bytes + texts->sh_offset + best->st_name;
}

void
names_add(const struct names *names, const char *line, struct text *out)
{
	uint64_t offset;

	for (const char *at = line; *at; at++) {
		size_t digits = strspn(at, "0123456789abcdef");
		const char *name;

		if (digits == DIGITS && (at == line || !isalnum((unsigned char)at[-1]))) {
			name = symbol_find(names, strtoull(at, NULL, 16), &offset);
			if (name)
				text_print(out, " %.64s+0x%llx", name, (unsigned long long)offset);
		}
		at += digits ? digits - 1 : 0;
	}
}
