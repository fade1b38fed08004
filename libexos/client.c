/* SPDX-License-Identifier: MIT */
/*
 * build/libexos.a: the client's half of include/exos/api.h, linked into programs.
 *
 * Owns exos_table, one address for each symbol of calls.def, filled before main from the vDSO's dynamic
 * symbols, and written never again.  exos_NAME (stubs.S) jumps through it; what was not found, because
 * the program runs on Linux or on an older image, answers -ENOSYS.
 */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include <exos/api.h>

/* clang-format off */
static const char *const names[] = {
#define EXOS_CALL(name) "exos_" #name,
#define EXOS_DIRECT(name) "exos_" #name,
#include <exos/calls.def>
#undef EXOS_CALL
#undef EXOS_DIRECT
};
/* clang-format on */

#define SYMBOLS (sizeof(names) / sizeof(names[0]))

extern const void *exos_table[];
const void *exos_table[SYMBOLS];
static bool here;

static int64_t
absent(void)
{
	return -ENOSYS;
}

/* What a dynamic section says about symbols; addresses are relative to the first byte of the image. */
struct dynamic {
	const Elf64_Sym *symbols;
	const char *strings;
	const uint32_t *hash; /* DT_HASH: buckets, chains (= number of symbols), ... */
};

static const void *
symbol_find(const struct dynamic *d, uint64_t bias, const char *name)
{
	for (uint32_t i = 0; i < d->hash[1]; i++) {
		const Elf64_Sym *s = &d->symbols[i];

		if (s->st_shndx != SHN_UNDEF && !strcmp(d->strings + s->st_name, name))
			return (const void *)(bias + s->st_value);
	}
	return NULL;
}

/* False: no image, or none that has what is needed. */
static bool
dynamic_read(const Elf64_Ehdr *image, struct dynamic *d, uint64_t *bias)
{
	const Elf64_Phdr *ph = (const void *)((const char *)image + image->e_phoff);
	const Elf64_Dyn *dyn = NULL;
	bool loaded = false;

	for (int i = 0; i < image->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && !loaded) {
			*bias = (uint64_t)image + ph[i].p_offset - ph[i].p_vaddr;
			loaded = true;
		} else if (ph[i].p_type == PT_DYNAMIC) {
			dyn = (const void *)((const char *)image + ph[i].p_offset);
		}
	}
	for (; loaded && dyn && dyn->d_tag != DT_NULL; dyn++) {
		uint64_t at = dyn->d_un.d_ptr < (uint64_t)image ? dyn->d_un.d_ptr + *bias
								: dyn->d_un.d_ptr;

		if (dyn->d_tag == DT_SYMTAB)
			d->symbols = (const void *)at;
		else if (dyn->d_tag == DT_STRTAB)
			d->strings = (const void *)at;
		else if (dyn->d_tag == DT_HASH)
			d->hash = (const void *)at;
	}
	return d->symbols && d->strings && d->hash;
}

__attribute__((constructor(101))) static void
table_fill(void)
{
	const Elf64_Ehdr *image = (const void *)getauxval(AT_SYSINFO_EHDR);
	struct dynamic d = {0};
	uint64_t bias = 0;
	bool found = image && dynamic_read(image, &d, &bias);

	here = found && symbol_find(&d, bias, "exos_version");
	for (size_t i = 0; i < SYMBOLS; i++) {
		const void *at = here ? symbol_find(&d, bias, names[i]) : NULL;

		exos_table[i] = at ? at : (const void *)absent;
	}
}

bool
exos_here(void)
{
	return here;
}
