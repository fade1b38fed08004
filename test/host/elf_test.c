/* SPDX-License-Identifier: MIT */
/*
 * Parsing of programs and scripts, and the first stack.
 *
 * Made-up images cover each rule; a real static program is cut at every length up to 4096 and has
 * random bits flipped; both it and a relocatable image are loaded by hand into a child and run from
 * the stack built here; first lines of scripts are compared with what the host's kernel makes of
 * them. Parts that need the host's programs are skipped where they are missing.
 *
 * Prints TAP. Started as an interpreter (environment variable SHOW_ARGS) it prints its arguments.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exos/linux/elf.h"

#define STATIC_PROGRAM      "/bin/busybox"
#define RELOCATABLE_PROGRAM "/lib64/ld-linux-x86-64.so.2"

static int test_count;
static int test_failures;

static void
check(bool good, const char *name)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, name);
	fflush(stdout);
}

static void
skip(const char *name)
{
	printf("ok %d - %s # SKIP missing on this host\n", ++test_count, name);
}

static uint64_t random_state = 88172645463325252ULL;

static uint32_t
random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % limit;
}

/* A file in memory. The sanitizer sees reads outside; the reader must not be asked for them. */
struct file {
	uint8_t *bytes;
	size_t size;
};

static bool read_outside;

static int
file_read(void *ctx, uint64_t offset, void *buf, size_t n)
{
	struct file *file = ctx;

	if (offset > file->size || n > file->size - offset) {
		read_outside = true;
		return -EIO;
	}
	memcpy(buf, file->bytes + offset, n);
	return 0;
}

static int
file_parse(struct file *file, struct elf_image *image)
{
	struct elf_reader reader = {.read = file_read, .ctx = file, .size = file->size};

	return elf_read(&reader, image);
}

static bool
file_load(const char *path, struct file *file)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	file->size = (size_t)st.st_size;
	file->bytes = malloc(file->size);
	if (read(fd, file->bytes, file->size) != st.st_size)
		return false;
	close(fd);
	return true;
}

/* A small image: header, four program headers, two loadable segments. */
struct sample {
	Elf64_Ehdr header;
	Elf64_Phdr phdr[80];
	uint8_t rest[0x3000];
};

static struct sample sample;

static void
sample_init(void)
{
	memset(&sample, 0, sizeof(sample));
	memcpy(sample.header.e_ident, ELFMAG, SELFMAG);
	sample.header.e_ident[EI_CLASS] = ELFCLASS64;
	sample.header.e_ident[EI_DATA] = ELFDATA2LSB;
	sample.header.e_ident[EI_VERSION] = EV_CURRENT;
	sample.header.e_type = ET_EXEC;
	sample.header.e_machine = EM_X86_64;
	sample.header.e_version = EV_CURRENT;
	sample.header.e_entry = 0x401000;
	sample.header.e_phoff = offsetof(struct sample, phdr);
	sample.header.e_phentsize = sizeof(Elf64_Phdr);
	sample.header.e_phnum = 4;
	sample.phdr[0] = (Elf64_Phdr){.p_type = PT_LOAD,
				      .p_flags = PF_R | PF_X,
				      .p_offset = 0,
				      .p_vaddr = 0x400000,
				      .p_filesz = 0x1800,
				      .p_memsz = 0x1800,
				      .p_align = 0x1000};
	sample.phdr[1] = (Elf64_Phdr){.p_type = PT_LOAD,
				      .p_flags = PF_R | PF_W,
				      .p_offset = 0x1800,
				      .p_vaddr = 0x402800,
				      .p_filesz = 0x100,
				      .p_memsz = 0x2000,
				      .p_align = 0x200000};
	sample.phdr[2] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
	sample.phdr[3] = (Elf64_Phdr){.p_type = PT_NOTE};
}

static int
sample_parse(struct elf_image *image)
{
	struct file file = {(uint8_t *)&sample, sizeof(sample)};

	return file_parse(&file, image);
}

static bool
refused(void)
{
	struct elf_image image;

	return sample_parse(&image) == -ENOEXEC && !read_outside;
}

static void
test_sample(void)
{
	struct elf_image image;
	bool good;

	sample_init();
	good = sample_parse(&image) == 0;
	good &= image.segments == 2 && image.entry == 0x401000 && !image.relocatable;
	good &= image.low == 0x400000 && image.high == 0x405000 && image.brk == 0x405000;
	good &= image.align == 0x200000 && !image.stack_exec && image.interp_size == 0;
	good &= image.phdr == 0x400000 + offsetof(struct sample, phdr) && image.phnum == 4;
	good &= image.segment[1].prot == (PROT_READ | PROT_WRITE);
	good &= image.code_low == 0x400000 && image.code_high == 0x401800;
	good &= image.data_low == 0x402800 && image.data_high == 0x402900;
	check(good, "a proper image");

	sample.header.e_type = ET_DYN;
	sample.phdr[2].p_flags |= PF_X;
	check(sample_parse(&image) == 0 && image.relocatable && image.stack_exec,
	      "relocatable, with an executable stack");
	sample.phdr[3] = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = 0x9000};
	check(sample_parse(&image) == 0 && image.segments == 2, "an empty segment is nothing");
}

static void
test_interp(void)
{
	struct file file = {(uint8_t *)&sample, sizeof(sample)};
	struct elf_reader reader = {.read = file_read, .ctx = &file, .size = file.size};
	struct elf_image image;
	char path[64];

	sample_init();
	sample.phdr[3] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = 0x2000, .p_filesz = 8};
	memcpy((uint8_t *)&sample + 0x2000, "/lib/ld", 8);
	check(sample_parse(&image) == 0 && image.interp_size == 8 &&
		      elf_interp_read(&reader, &image, path, sizeof(path)) == 0 &&
		      strcmp(path, "/lib/ld") == 0,
	      "an interpreter's path");
	check(elf_interp_read(&reader, &image, path, 7) == -ENAMETOOLONG, "longer than the buffer");
	((uint8_t *)&sample)[0x2007] = 'x';
	check(elf_interp_read(&reader, &image, path, sizeof(path)) == -ENOEXEC, "not terminated");
	sample.phdr[3].p_offset = sizeof(sample) - 4;
	check(refused(), "outside the file");
	sample.phdr[3].p_filesz = 5000;
	check(refused(), "too long");
}

#define REFUSED(change, name)           \
	do {                            \
		sample_init();          \
		change;                 \
		check(refused(), name); \
	} while (0)

static void
test_refused(void)
{
	REFUSED(sample.header.e_ident[0] = 0, "no magic");
	REFUSED(sample.header.e_ident[EI_CLASS] = ELFCLASS32, "32 bits");
	REFUSED(sample.header.e_ident[EI_DATA] = ELFDATA2MSB, "big endian");
	REFUSED(sample.header.e_machine = EM_AARCH64, "another machine");
	REFUSED(sample.header.e_type = ET_REL, "an object file");
	REFUSED(sample.header.e_phentsize = 32, "small program headers");
	REFUSED(sample.header.e_phnum = 0, "no program headers");
	REFUSED(sample.header.e_phnum = 74, "too many program headers");
	REFUSED(sample.header.e_phnum = 0xffff, "far too many program headers");
	REFUSED(sample.header.e_phoff = sizeof(sample) - 10, "program headers outside the file");
	REFUSED(sample.header.e_phoff = UINT64_MAX - 10, "program headers that wrap");
	REFUSED(sample.header.e_entry = 0x402800, "entry in data");
	REFUSED(sample.header.e_entry = 0x401800, "entry behind the code");
	REFUSED(sample.header.e_entry = 0, "entry zero");
	REFUSED(sample.phdr[0].p_type = sample.phdr[1].p_type = PT_NOTE, "no segment");
	REFUSED(sample.phdr[1].p_filesz = 0x2001, "more in the file than in memory");
	REFUSED(sample.phdr[1].p_offset = sizeof(sample) - 0xff, "a segment outside the file");
	REFUSED(sample.phdr[1].p_offset = UINT64_MAX - 0x7ff, "an offset that wraps");
	REFUSED(sample.phdr[1].p_offset = 0x1801, "an offset that does not fit the address");
	REFUSED(sample.phdr[1].p_vaddr = 0x401000, "overlapping segments");
	REFUSED(sample.phdr[1].p_vaddr = 0x3ff800, "descending segments");
	REFUSED(sample.phdr[1].p_memsz = UINT64_MAX - 0x402800, "a segment up to the end");
	REFUSED(sample.phdr[1].p_memsz = UINT64_MAX, "a segment that wraps");
	REFUSED(sample.phdr[1].p_vaddr = UINT64_MAX - 0x7ff, "an address that wraps");
	REFUSED(sample.phdr[1].p_align = 1ULL << 40, "an alignment nobody can keep");
	REFUSED(sample.phdr[1].p_filesz = 1; sample.phdr[1].p_memsz = 0, "bytes for nothing");

	sample_init();
	sample.header.e_phnum = 20;
	for (unsigned i = 0; i < 20; i++)
		sample.phdr[i] = (Elf64_Phdr){.p_type = PT_LOAD,
					      .p_flags = PF_X,
					      .p_vaddr = 0x401000 + i * 0x1000,
					      .p_memsz = 16};
	check(refused(), "too many segments");
}

static void
test_place(void)
{
	struct elf_range reserved[2] = {{0x405000, 0x406000}, {0x3ff000, 0x400000}};
	struct elf_limits limits = {{0x10000, 1ULL << 47}, reserved, 2};
	struct elf_image image;

	sample_init();
	sample_parse(&image);
	check(elf_place_check(&image, 0, &limits), "between reserved ranges");
	reserved[0].start = 0x404fff;
	check(!elf_place_check(&image, 0, &limits), "its last byte reserved");
	reserved[0].start = 0x405000;
	reserved[1].end = 0x400001;
	check(!elf_place_check(&image, 0, &limits), "its first byte reserved");
	limits.reserved_count = 0;
	check(!elf_place_check(&image, 0x200000, &limits), "a fixed image stays");
	sample.header.e_type = ET_DYN;
	sample_parse(&image);
	check(elf_place_check(&image, 0x200000, &limits), "a relocatable one moves");
	check(!elf_place_check(&image, 0x1000, &limits), "by its alignment");
	check(!elf_place_check(&image, 0xffffffffffe00000ULL, &limits), "not around the end");
	check(!elf_place_check(&image, 1ULL << 47, &limits), "not out of the limits");
	limits.inside.start = 0x401000;
	check(!elf_place_check(&image, 0, &limits), "not below them");
}

/* What an accepted image promises, whatever the bytes were. */
static bool
promises_hold(const struct elf_image *image, size_t size)
{
	uint64_t end = 0;
	bool good = image->segments >= 1 && image->segments <= ELF_SEGMENTS_MAX;

	for (uint32_t i = 0; i < image->segments && good; i++) {
		const struct elf_segment *s = &image->segment[i];

		good &= s->memsz > 0 && s->filesz <= s->memsz && s->vaddr >= end;
		good &= s->vaddr + s->memsz > s->vaddr;
		good &= s->offset <= size && s->filesz <= size - s->offset;
		good &= s->filesz == 0 || (s->vaddr - s->offset) % ELF_PAGE == 0;
		good &= image->low <= s->vaddr && s->vaddr + s->memsz <= image->high;
		end = s->vaddr + s->memsz;
	}
	return good && image->low % ELF_PAGE == 0 && image->high % ELF_PAGE == 0;
}

static void
test_cut(const struct file *whole)
{
	struct elf_image image;
	bool good = true;

	for (size_t n = 0; n <= 4096; n++) {
		struct file cut = {malloc(n + 1), n};

		memcpy(cut.bytes, whole->bytes, n);
		cut.bytes = realloc(cut.bytes, n > 0 ? n : 1);
		good &= file_parse(&cut, &image) == -ENOEXEC;
		free(cut.bytes);
	}
	check(good && !read_outside, "cut at every length up to 4096");
}

static void
test_flip(const struct file *whole)
{
	struct elf_image image;
	unsigned accepted = 0;
	bool good = true;

	for (unsigned round = 0; round < 200000; round++) {
		uint32_t at[4];
		uint8_t mask[4];
		int error;

		for (unsigned i = 0; i < 4; i++) {
			at[i] = random_below(64 + 12 * 56);
			mask[i] = (uint8_t)(1U << random_below(8));
			if (random_below(2) || i == 0)
				whole->bytes[at[i]] ^= mask[i];
			else
				mask[i] = 0;
		}
		error = file_parse((struct file *)whole, &image);
		good &= error == 0 || error == -ENOEXEC;
		if (error == 0) {
			accepted++;
			good &= promises_hold(&image, whole->size);
		}
		for (unsigned i = 4; i-- > 0;)
			whole->bytes[at[i]] ^= mask[i];
	}
	printf("# %u of 200000 still accepted\n", accepted);
	check(good && !read_outside, "random bit flips");
}

static struct elf_stack stack_sample;

static void
stack_init(void)
{
	static const char args[] = "prog\0-x\0";
	static const char env[] = "A=1\0PATH=/bin";

	memset(&stack_sample, 0, sizeof(stack_sample));
	stack_sample.args = (struct elf_strings){args, sizeof(args), 3};
	stack_sample.env = (struct elf_strings){env, sizeof(env), 2};
	stack_sample.exec_path = "/bin/prog";
	stack_sample.platform = "x86_64";
	stack_sample.random[0] = 0xaa;
	stack_sample.entry = 0x1234;
	stack_sample.sysinfo_ehdr = 0x7000;
}

static uint64_t
word_at(const uint8_t *buf, uint64_t base, uint64_t address)
{
	uint64_t word;

	memcpy(&word, buf + (address - base), sizeof(word));
	return word;
}

static void
test_stack(void)
{
	static uint8_t buf[4096];
	const uint64_t top = 0x7ffff000;
	const uint64_t base = top - sizeof(buf);
	struct elf_stack_layout l;
	uint64_t at;
	bool good;

	stack_init();
	good = elf_stack_build(&stack_sample, buf, sizeof(buf), top, &l) == 0;
	good &= l.rsp % 16 == 0 && word_at(buf, base, l.rsp) == 3;
	good &= word_at(buf, base, l.rsp + 8) == l.arg_start;
	good &= !strcmp((char *)buf + (word_at(buf, base, l.rsp + 16) - base), "-x");
	good &= !strcmp((char *)buf + (word_at(buf, base, l.rsp + 24) - base), "");
	good &= word_at(buf, base, l.rsp + 32) == 0;
	good &= word_at(buf, base, l.rsp + 40) == l.env_start && l.env_start == l.arg_end;
	good &= !strcmp((char *)buf + (word_at(buf, base, l.rsp + 48) - base), "PATH=/bin");
	good &= word_at(buf, base, l.rsp + 56) == 0 && l.auxv == l.rsp + 64;
	good &= l.env_end - l.env_start == 14 && l.arg_end - l.arg_start == 9;
	check(good, "vectors and strings");
	good = word_at(buf, base, l.auxv) == AT_SYSINFO_EHDR;
	for (at = l.auxv; word_at(buf, base, at) != AT_NULL && good; at += 16) {
		uint64_t value = word_at(buf, base, at + 8);

		switch (word_at(buf, base, at)) {
		case AT_ENTRY:
			good &= value == 0x1234;
			break;
		case AT_RANDOM:
			good &= buf[value - base] == 0xaa;
			break;
		case AT_EXECFN:
			good &= !strcmp((char *)buf + (value - base), "/bin/prog");
			break;
		case AT_PLATFORM:
			good &= !strcmp((char *)buf + (value - base), "x86_64");
			break;
		}
	}
	check(good && at + 16 == l.auxv + l.auxv_size, "auxiliary vector");
	stack_sample.args.count = 0;
	stack_sample.args.size = 0;
	good = elf_stack_build(&stack_sample, buf, sizeof(buf), top, &l) == 0;
	check(good && word_at(buf, base, l.rsp) == 1 && l.arg_end == l.arg_start + 1,
	      "no argument becomes an empty one");
}

static void
test_stack_limits(void)
{
	const uint64_t top = 0x7ffff000;
	struct elf_stack_layout l;
	bool built = false;
	bool good = true;

	stack_init();
	for (size_t size = 0; size < 1024; size += 8) {
		uint8_t *buf = malloc(size + 1);
		int error = elf_stack_build(&stack_sample, buf, size, top, &l);

		good &= error == (built ? 0 : error) && (error == 0 || error == -E2BIG);
		built |= error == 0;
		good &= error != 0 || l.rsp >= top - size;
		free(buf);
	}
	check(good && built, "every size of buffer");
	check(elf_stack_build(&stack_sample, NULL, 0, top + 8, &l) == -EINVAL, "a crooked top");
	check(elf_stack_build(&stack_sample, NULL, 4096, 16, &l) == -EINVAL, "a top too low");
	stack_sample.args.count = 2;
	check(elf_stack_build(&stack_sample, NULL, 0, top, &l) == -EINVAL, "a wrong count");
	stack_sample.args.count = 3;
	stack_sample.args.size--;
	check(elf_stack_build(&stack_sample, NULL, 0, top, &l) == -EINVAL, "no null byte");
	stack_init();
	stack_sample.env.size = SIZE_MAX;
	check(elf_stack_build(&stack_sample, NULL, 0, top, &l) == -E2BIG, "an absurd size");
}

/* In a child: maps the image as a loader would and jumps to it. Does not return. */
static void
run_by_hand(const char *path, const char *args, size_t args_size, uint32_t count)
{
	const size_t stack_size = 1 << 20;
	struct elf_stack_layout l;
	struct elf_image image;
	struct file file;
	uint64_t bias = 0;
	uint8_t *stack;
	int fd = open(path, O_RDONLY);

	if (!file_load(path, &file) || file_parse(&file, &image) != 0)
		_exit(100);
	if (image.relocatable) {
		void *span = mmap(NULL, image.high - image.low + image.align, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		bias = ((uint64_t)span + image.align - 1) / image.align * image.align - image.low;
	}
	for (uint32_t i = 0; i < image.segments; i++) {
		const struct elf_segment *s = &image.segment[i];
		uint64_t start = (s->vaddr + bias) / ELF_PAGE * ELF_PAGE;
		uint64_t file_end = s->vaddr + bias + s->filesz;
		uint64_t end = s->vaddr + bias + s->memsz;
		int prot = (int)s->prot;

		if (mmap((void *)start, end - start, prot, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0) == MAP_FAILED ||
		    mmap((void *)start, file_end - start, prot, MAP_FIXED | MAP_PRIVATE, fd,
			 (off_t)(s->offset / ELF_PAGE * ELF_PAGE)) == MAP_FAILED)
			_exit(101);
		if (prot & PROT_WRITE)
			for (uint64_t a = file_end; a % ELF_PAGE != 0 && a < end; a++)
				*(volatile uint8_t *)a = 0;
	}
	stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_init();
	stack_sample.args = (struct elf_strings){args, args_size, count};
	stack_sample.sysinfo_ehdr = 0;
	stack_sample.phdr = image.phdr + bias;
	stack_sample.phnum = image.phnum;
	stack_sample.entry = image.entry + bias;
	stack_sample.hwcap = getauxval(AT_HWCAP);
	stack_sample.hwcap2 = getauxval(AT_HWCAP2);
	stack_sample.minsigstksz = getauxval(AT_MINSIGSTKSZ);
	if (elf_stack_build(&stack_sample, stack, stack_size, (uint64_t)stack + stack_size, &l))
		_exit(102);
	__asm__ volatile("mov %0, %%rsp\n\txor %%edx, %%edx\n\tjmp *%1"
			 :
			 : "r"(l.rsp), "r"(stack_sample.entry)
			 : "rdx", "memory");
	_exit(103);
}

static void
test_run(const char *path, const char *args, size_t args_size, uint32_t count, const char *expect,
	 const char *name)
{
	char text[256] = "";
	int status = -1;
	size_t n = 0;
	ssize_t r;
	int ends[2];
	pid_t pid;

	if (access(path, R_OK) != 0 || pipe(ends) != 0) {
		skip(name);
		return;
	}
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		alarm(20);
		run_by_hand(path, args, args_size, count);
	}
	close(ends[1]);
	while (n < sizeof(text) - 1 && (r = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)r;
	close(ends[0]);
	waitpid(pid, &status, 0);
	if (status != 0)
		printf("# status %#x\n", (unsigned)status);
	check(status == 0 && strstr(text, expect) == text, name);
}

static bool
script_is(const char *text, const char *interp, const char *arg)
{
	struct script s;

	if (script_parse((const uint8_t *)text, strlen(text), &s) != 0)
		return false;
	return !strcmp(s.interp, interp) && s.has_arg == (arg != NULL) &&
	       (!arg || !strcmp(s.arg, arg));
}

static bool
script_refused(const char *text, size_t n)
{
	struct script s;

	return script_parse((const uint8_t *)text, n, &s) == -ENOEXEC;
}

static void
test_script(void)
{
	char longest[400];

	check(script_is("#!/bin/sh\n", "/bin/sh", NULL), "interpreter alone");
	check(script_is("#! /bin/sh\t-e  x \t\nrest", "/bin/sh", "-e  x"), "with an argument");
	check(script_is("#!/bin/sh", "/bin/sh", NULL), "without a newline");
	check(script_refused("#!", 1) && script_refused("", 0) && script_refused("x!", 2),
	      "no script");
	check(script_refused("#! \t\n", 5), "no interpreter");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "#!/", 3);
	check(script_refused(longest, sizeof(longest)), "a name that is cut off");
	longest[200] = ' ';
	check(!script_refused(longest, sizeof(longest)), "an argument that is cut off");
	longest[200] = 'a';
	longest[255] = '\n';
	check(!script_refused(longest, sizeof(longest)), "the longest name");
	longest[255] = 'a';
	longest[256] = '\n';
	check(script_refused(longest, sizeof(longest)), "one byte more");
}

/* A first line of random pieces; the interpreter is this program, which shows its arguments. */
static size_t
random_line(char *line)
{
	static const struct {
		const char *text;
		size_t size;
	} pieces[] = {{" ", 1},  {"\t", 1},  {"\n", 1}, {"", 1},  {"-x", 2},
		      {"  ", 2}, {"a b", 3}, {" ", 1},  {"\r", 1}};
	size_t n = 0;
	uint32_t count = random_below(6);

	n += (size_t)sprintf(line, "#!");
	if (random_below(3) == 0)
		line[n++] = random_below(2) ? ' ' : '\t';
	if (random_below(8))
		n += (size_t)sprintf(line + n, "/proc/self/exe");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t k = random_below(sizeof(pieces) / sizeof(pieces[0]));

		memcpy(line + n, pieces[k].text, pieces[k].size);
		n += pieces[k].size;
	}
	if (random_below(4) == 0) {
		uint32_t fill = random_below(300);

		memset(line + n, random_below(2) ? 'f' : ' ', fill);
		n += fill;
	}
	if (random_below(2))
		line[n++] = '\n';
	return n;
}

/* Runs the script; its output, or -errno of execve. */
static int
host_script(const char *path, char *out, size_t size)
{
	char *const argv[] = {(char *)path, NULL};
	char *const envp[] = {"SHOW_ARGS=1", "ASAN_OPTIONS=detect_leaks=0", NULL};
	int error = 0;
	size_t n = 0;
	ssize_t r;
	int ends[2];
	int errors[2];
	pid_t pid;

	if (pipe(ends) != 0 || pipe2(errors, O_CLOEXEC) != 0)
		return -EIO;
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		execve(path, argv, envp);
		error = errno;
		_exit(write(errors[1], &error, sizeof(error)) != sizeof(error));
	}
	close(ends[1]);
	close(errors[1]);
	if (read(errors[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	while (n < size - 1 && (r = read(ends[0], out + n, size - 1 - n)) > 0)
		n += (size_t)r;
	out[n] = 0;
	close(ends[0]);
	close(errors[0]);
	waitpid(pid, NULL, 0);
	return -error;
}

static bool
script_as_host(const char *path)
{
	char line[512];
	char expect[600];
	char host[600];
	struct script s;
	size_t n = random_line(line);
	int ours = script_parse((const uint8_t *)line, n, &s);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0700);
	int theirs;

	if (fd < 0 || write(fd, line, n) != (ssize_t)n)
		return false;
	close(fd);
	theirs = host_script(path, host, sizeof(host));
	if ((ours == -ENOEXEC) != (theirs == -ENOEXEC)) {
		printf("# result %d, host %d\n", ours, theirs);
		return false;
	}
	if (ours != 0 || strcmp(s.interp, "/proc/self/exe") != 0)
		return true;
	snprintf(expect, sizeof(expect), "%s%s%s[%s]", s.has_arg ? "[" : "", s.arg,
		 s.has_arg ? "]" : "", path);
	if (strcmp(expect, host) == 0)
		return true;
	printf("# ours %s, host %s\n", expect, host);
	return false;
}

static void
test_script_host(void)
{
	char path[64];
	bool good = true;

	snprintf(path, sizeof(path), "/tmp/elf_test.%d", (int)getpid());
	for (unsigned i = 0; i < 200 && good; i++)
		good = script_as_host(path);
	unlink(path);
	check(good, "random first lines as the host takes them");
}

int
main(int argc, char **argv)
{
	struct file program;

	if (getenv("SHOW_ARGS") != NULL) {
		for (int i = 1; i < argc; i++)
			printf("[%s]", argv[i]);
		return 0;
	}
	test_sample();
	test_interp();
	test_refused();
	test_place();
	test_stack();
	test_stack_limits();
	test_script();
	test_script_host();
	if (file_load(STATIC_PROGRAM, &program)) {
		test_cut(&program);
		test_flip(&program);
		free(program.bytes);
	} else {
		skip("cut at every length up to 4096");
		skip("random bit flips");
	}
	test_run(STATIC_PROGRAM, "busybox\0echo\0hi", 16, 3, "hi\n", "a static program, by hand");
	test_run(RELOCATABLE_PROGRAM, "ld.so\0--version", 16, 2, "ld.so",
		 "a relocatable program, by hand");
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
