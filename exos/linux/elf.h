/* SPDX-License-Identifier: MIT */
/*
 * Programs as files: ELF images, scripts, and the stack a program starts with.
 *
 * Pure functions over bytes that anyone may have written. Parsing yields a description that is
 * safe to act on; placing, mapping and jumping are the caller's. No state, no allocation, no
 * writes outside the objects passed; usable in any context.
 *
 * What elf_read accepts:
 * 1. 64-bit little-endian x86-64, ET_EXEC or ET_DYN, at most ELF_PHNUM_MAX program headers.
 * 2. 1 to ELF_SEGMENTS_MAX loadable segments of non-zero size in ascending order that do not
 *    overlap; none wraps, none has more bytes in the file than in memory, and all of those are in
 *    the file; address and file offset agree modulo the page size.
 * 3. The entry lies in an executable segment.
 * Everything else is -ENOEXEC. Two segments may share a page; then the later one's file bytes and
 * protection hold for the whole page, as on Linux.
 */
#ifndef EXOS_LINUX_ELF_H
#define EXOS_LINUX_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 16u
#define ELF_PHNUM_MAX    73u /* what fits in one page, as on Linux */
#define ELF_PAGE         4096ULL

/* Where the bytes come from. */
struct elf_reader {
	/* Reads exactly n bytes at offset, which lie inside size: 0 or a negated error. */
	int (*read)(void *ctx, uint64_t offset, void *buf, size_t n);
	void *ctx;
	uint64_t size;
};

struct elf_segment {
	uint64_t vaddr; /* first byte, bias not added */
	uint64_t memsz; /* bytes in memory, > 0 */
	uint64_t offset;
	uint64_t filesz; /* <= memsz; the rest is zero */
	uint32_t prot;   /* LX_PROT_* */
};

struct elf_image {
	struct elf_segment segment[ELF_SEGMENTS_MAX];
	uint32_t segments;
	bool relocatable; /* ET_DYN: the caller chooses the bias, a multiple of align */
	bool stack_exec;  /* the program asks for an executable stack */
	uint64_t align;   /* power of two, >= ELF_PAGE */
	uint64_t low;     /* page-aligned bounds of all segments */
	uint64_t high;
	uint64_t entry;
	uint64_t brk;      /* end of the last segment, page-aligned up */
	uint64_t code_low; /* of the executable segments, for accounts of the process */
	uint64_t code_high;
	uint64_t data_low; /* of the last writable segment */
	uint64_t data_high;
	uint64_t phdr; /* address of the program headers in memory, 0 if they are not loaded */
	uint32_t phnum;
	uint32_t phentsize;
	uint64_t interp_offset; /* PT_INTERP: where its path is in the file */
	uint32_t interp_size;   /* with the null byte; 0: none */
};

/* Parses. Returns 0, -ENOEXEC, or the reader's error. */
int elf_read(const struct elf_reader *reader, struct elf_image *image);

/*
 * The interpreter's path, for an image with interp_size > 0: at most size bytes with the null
 * byte. Returns 0, -ENOEXEC if it is no proper path, -ENAMETOOLONG, or the reader's error.
 */
int elf_interp_read(const struct elf_reader *reader, const struct elf_image *image, char *path,
		    size_t size);

struct elf_range {
	uint64_t start;
	uint64_t end; /* exclusive */
};

/* Where a program may lie: inside `inside`, outside all of `reserved`. */
struct elf_limits {
	struct elf_range inside;
	const struct elf_range *reserved;
	size_t reserved_count;
};

/*
 * Whether all pages of the image, moved by bias, are allowed. A bias that is not 0 is only allowed
 * for a relocatable image and must be a multiple of its alignment.
 */
bool elf_place_check(const struct elf_image *image, uint64_t bias, const struct elf_limits *limits);

/* Null-terminated strings, one behind the other; size counts all null bytes. */
struct elf_strings {
	const char *text;
	size_t size;
	uint32_t count;
};

/* What the first stack of a program tells it. */
struct elf_stack {
	struct elf_strings args;
	struct elf_strings env;
	const char *exec_path; /* AT_EXECFN */
	const char *platform;  /* AT_PLATFORM */
	uint8_t random[16];    /* AT_RANDOM */
	uint64_t phdr;         /* addresses with the bias added */
	uint64_t phnum;
	uint64_t base; /* of the interpreter, 0 without one */
	uint64_t entry;
	uint64_t sysinfo_ehdr; /* the library's image; 0: left out */
	uint64_t hwcap;
	uint64_t hwcap2;
	uint64_t minsigstksz;
	uint64_t uid;
	uint64_t euid;
	uint64_t gid;
	uint64_t egid;
	uint64_t secure;
};

/* Where things are, as addresses of the new program. */
struct elf_stack_layout {
	uint64_t rsp; /* points at argc, 16-byte aligned */
	uint64_t arg_start;
	uint64_t arg_end;
	uint64_t env_start;
	uint64_t env_end;
	uint64_t auxv;
	uint64_t auxv_size; /* bytes, with the terminating pair */
};

/* No string may be longer, with its null byte. */
#define ELF_STRING_MAX 131072u

/*
 * Fills buf, which will be the size bytes below the address top (16-byte aligned), from its end.
 * Bytes below layout->rsp are left alone. A program without arguments gets one that is empty.
 * Returns 0; -E2BIG if it does not fit or a string is too long; -EINVAL if count, size and null
 * bytes of the strings contradict each other, or top is not aligned or less than size.
 */
int elf_stack_build(const struct elf_stack *stack, uint8_t *buf, size_t size, uint64_t top,
		    struct elf_stack_layout *layout);

/* A script's first line counts up to this many bytes. */
#define SCRIPT_HEAD 256u

struct script {
	char interp[SCRIPT_HEAD];
	char arg[SCRIPT_HEAD];
	bool has_arg;
};

/*
 * Parses "#!" from the first n bytes of a file (give SCRIPT_HEAD unless the file is shorter).
 * Everything behind the interpreter and blanks is one argument, blanks at its end dropped. Returns
 * 0, or -ENOEXEC if it is no script, names no interpreter, or the name may be cut off.
 */
int script_parse(const uint8_t *head, size_t n, struct script *script);

#endif
