/* SPDX-License-Identifier: MIT */
/*
 * The stack a program starts with, and the first line of a script.
 *
 * Owns the layout: from the top a null word, the path, environment, arguments, the platform's name,
 * random bytes; then, aligned, the vectors, argc lowest. Context: any.
 *
 * 1. Sizes are summed and compared with the room before a byte is written.
 * 2. Strings are copied as one block, so that arguments and environment lie contiguously, as
 *    readers of /proc/PID/cmdline and programs that rewrite their title expect.
 */
#include "exos/lib/lib.h"
#include "exos/linux/abi_proc.h"
#include "exos/linux/elf.h"
#include "exos/linux/errno.h"

#define AUXV_PAIRS 21u
#define WORD       8u

/* More strings or bytes than this cannot be meant; sums stay far from overflow. */
#define STRINGS_MAX 0x1000000u
#define BYTES_MAX   0x10000000u

struct builder {
	uint8_t *buf;
	uint64_t base; /* address of buf */
	size_t at;     /* offset in buf of the next word */
};

static void
put_word(struct builder *b, uint64_t word)
{
	memcpy(b->buf + b->at, &word, WORD);
	b->at += WORD;
}

/* 0, -E2BIG or -EINVAL. */
static int
strings_check(const struct elf_strings *s)
{
	size_t length = 0;
	uint32_t found = 0;

	if (s->size > BYTES_MAX || s->count > STRINGS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < s->size; i++) {
		if (++length > ELF_STRING_MAX)
			return -E2BIG;
		if (s->text[i] == 0) {
			found++;
			length = 0;
		}
	}
	return length == 0 && found == s->count ? 0 : -EINVAL;
}

/* Pointers to the strings that lie at `address`, then a null pointer. */
static void
put_pointers(struct builder *b, const struct elf_strings *s, uint64_t address)
{
	bool starts = true;

	for (size_t i = 0; i < s->size; i++) {
		if (starts)
			put_word(b, address + i);
		starts = s->text[i] == 0;
	}
	put_word(b, 0);
}

static void
put_pair(struct builder *b, uint64_t type, uint64_t value)
{
	put_word(b, type);
	put_word(b, value);
}

/* Addresses of what the auxiliary vector points to. */
struct targets {
	uint64_t random;
	uint64_t exec_path;
	uint64_t platform;
};

static void
put_auxv(struct builder *b, const struct elf_stack *in, const struct targets *t)
{
	if (in->sysinfo_ehdr != 0)
		put_pair(b, LX_AT_SYSINFO_EHDR, in->sysinfo_ehdr);
	put_pair(b, LX_AT_MINSIGSTKSZ, in->minsigstksz);
	put_pair(b, LX_AT_HWCAP, in->hwcap);
	put_pair(b, LX_AT_PAGESZ, ELF_PAGE);
	put_pair(b, LX_AT_CLKTCK, LX_HZ);
	put_pair(b, LX_AT_PHDR, in->phdr);
	put_pair(b, LX_AT_PHENT, 56);
	put_pair(b, LX_AT_PHNUM, in->phnum);
	put_pair(b, LX_AT_BASE, in->base);
	put_pair(b, LX_AT_FLAGS, 0);
	put_pair(b, LX_AT_ENTRY, in->entry);
	put_pair(b, LX_AT_UID, in->uid);
	put_pair(b, LX_AT_EUID, in->euid);
	put_pair(b, LX_AT_GID, in->gid);
	put_pair(b, LX_AT_EGID, in->egid);
	put_pair(b, LX_AT_SECURE, in->secure);
	put_pair(b, LX_AT_RANDOM, t->random);
	put_pair(b, LX_AT_HWCAP2, in->hwcap2);
	put_pair(b, LX_AT_EXECFN, t->exec_path);
	put_pair(b, LX_AT_PLATFORM, t->platform);
	put_pair(b, LX_AT_NULL, 0);
}

/* Copies n bytes to just below *at and returns their address. */
static uint64_t
put_below(struct builder *b, size_t *at, const void *bytes, size_t n)
{
	*at -= n;
	if (n > 0)
		memcpy(b->buf + *at, bytes, n);
	return b->base + *at;
}

int
elf_stack_build(const struct elf_stack *stack, uint8_t *buf, size_t size, uint64_t top,
		struct elf_stack_layout *layout)
{
	static const struct elf_strings one_empty = {.text = "", .size = 1, .count = 1};
	struct elf_strings args = stack->args.count > 0 ? stack->args : one_empty;
	size_t path_size = strnlen(stack->exec_path, LX_PATH_MAX) + 1;
	size_t platform_size = strnlen(stack->platform, LX_PATH_MAX) + 1;
	struct builder b = {.buf = buf, .base = top - size};
	uint32_t pairs = AUXV_PAIRS - (stack->sysinfo_ehdr == 0);
	struct targets targets;
	size_t words;
	size_t texts;
	size_t at = size;
	int error;

	if (top % 16 != 0 || top < size)
		return -EINVAL;
	error = strings_check(&stack->args);
	if (!error)
		error = strings_check(&stack->env);
	if (error)
		return error;
	if (path_size > LX_PATH_MAX || platform_size > LX_PATH_MAX)
		return -E2BIG;
	texts = WORD + path_size + stack->env.size + args.size + platform_size +
		sizeof(stack->random);
	words = WORD * (1 + (size_t)args.count + 1 + stack->env.count + 1 + 2 * (size_t)pairs);
	if (texts + words + 2 * 16 > size)
		return -E2BIG;

	at -= WORD;
	memset(buf + at, 0, WORD);
	targets.exec_path = put_below(&b, &at, stack->exec_path, path_size);
	layout->env_start = put_below(&b, &at, stack->env.text, stack->env.size);
	layout->env_end = layout->env_start + stack->env.size;
	layout->arg_start = put_below(&b, &at, args.text, args.size);
	layout->arg_end = layout->arg_start + args.size;
	targets.platform = put_below(&b, &at, stack->platform, platform_size);
	targets.random = put_below(&b, &at, stack->random, sizeof(stack->random));

	layout->rsp = (b.base + at - words) & ~15ULL;
	b.at = (size_t)(layout->rsp - b.base);
	put_word(&b, args.count);
	put_pointers(&b, &args, layout->arg_start);
	put_pointers(&b, &stack->env, layout->env_start);
	layout->auxv = b.base + b.at;
	layout->auxv_size = 2 * WORD * (uint64_t)pairs;
	put_auxv(&b, stack, &targets);
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first byte in [from, to] that is no blank; to + 1 if there is none. */
static size_t
skip_blanks(const char *line, size_t from, size_t to)
{
	while (from <= to && is_blank(line[from]))
		from++;
	return from;
}

/* The first blank or null byte in [from, to]; to + 1 if there is none. */
static size_t
find_end(const char *line, size_t from, size_t to)
{
	while (from <= to && !is_blank(line[from]) && line[from] != 0)
		from++;
	return from;
}

/*
 * Where the line ends: at the newline, or at the last byte if the name before it is whole. An
 * argument that is cut off does no harm: the interpreter reads the script itself.
 */
static size_t
script_end(const char *line)
{
	size_t last = SCRIPT_HEAD - 1;
	size_t end = 0;

	while (end <= last && line[end] != '\n')
		end++;
	if (end <= last)
		return end;
	end = skip_blanks(line, 2, last);
	if (end > last || find_end(line, end, last) > last)
		return 0;
	return last;
}

int
script_parse(const uint8_t *head, size_t n, struct script *script)
{
	char line[SCRIPT_HEAD] = {0};
	size_t end;
	size_t name;
	size_t gap;
	size_t arg;

	memset(script, 0, sizeof(*script));
	memcpy(line, head, n < SCRIPT_HEAD ? n : SCRIPT_HEAD);
	if (line[0] != '#' || line[1] != '!')
		return -ENOEXEC;
	end = script_end(line);
	if (end == 0)
		return -ENOEXEC;
	while (is_blank(line[end - 1]))
		end--;
	name = skip_blanks(line, 2, end);
	if (name >= end)
		return -ENOEXEC;
	gap = find_end(line, name, end);
	arg = gap <= end && line[gap] != 0 ? skip_blanks(line, gap, end) : end + 1;
	line[end] = 0;
	if (gap < end)
		line[gap] = 0;
	memcpy(script->interp, line + name, strnlen(line + name, end - name));
	if (arg <= end) {
		script->has_arg = true;
		memcpy(script->arg, line + arg, strnlen(line + arg, end - arg));
	}
	return 0;
}
