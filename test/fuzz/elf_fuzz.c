/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the parsers of programs: ELF images, first lines of scripts, first stacks.
 *
 * clang -fsanitize=fuzzer,address,undefined -I. test/fuzz/elf_fuzz.c exos/linux/elf.c
 * exos/linux/elf_stack.c. The first byte of the input chooses; traps if an accepted image breaks a
 * promise of elf.h.
 */
#include <stdlib.h>
#include <string.h>

#include "exos/linux/elf.h"

struct input {
	const uint8_t *bytes;
	size_t size;
};

static int
input_read(void *ctx, uint64_t offset, void *buf, size_t n)
{
	const struct input *input = ctx;

	if (offset > input->size || n > input->size - offset)
		__builtin_trap();
	memcpy(buf, input->bytes + offset, n);
	return 0;
}

static void
fuzz_image(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	struct elf_reader reader = {.read = input_read, .ctx = &input, .size = size};
	struct elf_range reserved = {0x7000000000, 0x7100000000};
	struct elf_limits limits = {{0x10000, 1ULL << 47}, &reserved, 1};
	struct elf_image image;
	char path[64];
	uint64_t end = 0;
	bool entered = false;

	if (elf_read(&reader, &image) != 0)
		return;
	for (uint32_t i = 0; i < image.segments; i++) {
		const struct elf_segment *s = &image.segment[i];

		if (s->memsz == 0 || s->filesz > s->memsz || s->vaddr < end ||
		    s->vaddr + s->memsz < s->vaddr || s->offset > size ||
		    s->filesz > size - s->offset)
			__builtin_trap();
		end = s->vaddr + s->memsz;
		entered |= image.entry >= s->vaddr && image.entry < end;
	}
	if (!entered || image.high < end || image.low > image.segment[0].vaddr)
		__builtin_trap();
	if (elf_place_check(&image, 0, &limits) && (image.low < 0x10000 || image.high > 1ULL << 47))
		__builtin_trap();
	if (image.interp_size > 0 && elf_interp_read(&reader, &image, path, sizeof(path)) == 0 &&
	    strlen(path) >= sizeof(path))
		__builtin_trap();
}

static void
fuzz_script(const uint8_t *bytes, size_t size)
{
	struct script script;

	if (script_parse(bytes, size, &script) == 0 &&
	    (strlen(script.interp) >= SCRIPT_HEAD || strlen(script.arg) >= SCRIPT_HEAD))
		__builtin_trap();
}

/* Three bytes choose the buffer's size and the split between arguments and environment. */
static void
fuzz_stack(const uint8_t *bytes, size_t size)
{
	struct elf_stack stack = {.exec_path = "/p", .platform = "x86_64"};
	struct elf_stack_layout layout;
	size_t room;
	uint8_t *buf;

	if (size < 3)
		return;
	room = bytes[0] * 16U;
	stack.args.size = bytes[1] < size - 3 ? bytes[1] : size - 3;
	stack.args.text = (const char *)bytes + 3;
	stack.env.text = stack.args.text + stack.args.size;
	stack.env.size = size - 3 - stack.args.size;
	for (size_t i = 0; i < stack.args.size; i++)
		stack.args.count += stack.args.text[i] == 0;
	for (size_t i = 0; i < stack.env.size; i++)
		stack.env.count += stack.env.text[i] == 0;
	buf = malloc(room + 1);
	if (elf_stack_build(&stack, buf, room, 1ULL << 40, &layout) == 0 &&
	    (layout.rsp % 16 != 0 || layout.rsp < (1ULL << 40) - room))
		__builtin_trap();
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0)
		return 0;
	switch (bytes[0] % 4) {
	case 0:
		fuzz_script(bytes + 1, size - 1);
		break;
	case 1:
		fuzz_stack(bytes + 1, size - 1);
		break;
	default:
		/* A whole image starts with 0x7f, which chooses this. */
		fuzz_image(bytes, size);
		break;
	}
	return 0;
}
