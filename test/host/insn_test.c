/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder against hand-made encodings, against objdump on a real program, and on
 * random bytes in buffers of exact size, where the address sanitizer sees any read too far.
 *
 * Prints TAP. The comparison is skipped where objdump or the program is missing; a path given as
 * the first argument is compared instead.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../exos/linux/insn.h"

static int test_count;
static int test_failures;

static void
check(bool good, const char *name)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, name);
}

struct sample {
	const char *name;
	const char *bytes;
	uint8_t size;
	uint8_t len; /* 0: undefined */
	uint8_t kind;
	bool rip_relative;
	int32_t rel;
};

#define S(name, bytes, len, kind, rip, rel)                         \
	{                                                           \
		name, bytes, sizeof(bytes) - 1, len, kind, rip, rel \
	}

static const struct sample samples[] = {
	S("mov $imm32,%eax", "\xb8\x27\x00\x00\x00", 5, INSN_PLAIN, false, 0),
	S("mov $imm64,%rax", "\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", 10, INSN_PLAIN, false, 0),
	S("mov $imm16,%ax", "\x66\xb8\x01\x02", 4, INSN_PLAIN, false, 0),
	S("mov $imm32,%r8d", "\x41\xb8\x27\x00\x00\x00", 6, INSN_PLAIN, false, 0),
	S("rex before a legacy prefix is void", "\x48\x66\xb8\x01\x02", 5, INSN_PLAIN, false, 0),
	S("movabs %al", "\xa0\x01\x02\x03\x04\x05\x06\x07\x08", 9, INSN_PLAIN, false, 0),
	S("mov addr32 %al", "\x67\xa0\x01\x02\x03\x04", 6, INSN_PLAIN, false, 0),
	S("lea x(%rip),%rdi", "\x48\x8d\x3d\xf4\x3a\x00\x00", 7, INSN_PLAIN, true, 0),
	S("cmpb $0,x(%rip)", "\x80\x3d\x01\x00\x00\x00\x00", 7, INSN_PLAIN, true, 0),
	S("movq $imm,(%rsp)", "\x48\xc7\x04\x24\x20\x00\x00\x00", 8, INSN_PLAIN, false, 0),
	S("sib without base", "\x8b\x04\x25\x00\x00\x00\x00", 7, INSN_PLAIN, false, 0),
	S("disp8 and sib", "\x8b\x44\x24\x08", 4, INSN_PLAIN, false, 0),
	S("test imm in group 3", "\xf7\xc0\x01\x00\x00\x00", 6, INSN_PLAIN, false, 0),
	S("not in group 3", "\xf7\xd0", 2, INSN_PLAIN, false, 0),
	S("enter", "\xc8\x10\x00\x00", 4, INSN_PLAIN, false, 0),
	S("long nop", "\x66\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00", 11, INSN_PLAIN, false, 0),
	S("mov %cr3 ignores mod", "\x0f\x20\x1d", 3, INSN_PLAIN, false, 0),
	S("jcc rel8", "\x74\xfe", 2, INSN_JCC, false, -2),
	S("jcc rel32", "\x0f\x87\xed\x00\x00\x00", 6, INSN_JCC, false, 0xed),
	S("jmp rel8", "\xeb\x10", 2, INSN_JMP, false, 0x10),
	S("jmp rel32", "\xe9\xff\xff\xff\xff", 5, INSN_JMP, false, -1),
	S("call rel32", "\xe8\x00\x01\x00\x00", 5, INSN_CALL, false, 0x100),
	S("data16 data16 rex.W call", "\x66\x66\x48\xe8\x01\x00\x00\x00", 8, INSN_CALL, false, 1),
	S("16-bit call is ambiguous", "\x66\xe8\x01\x00\x00\x00", 0, 0, false, 0),
	S("jrcxz", "\xe3\x05", 2, INSN_LOOP, false, 5),
	S("xbegin", "\xc7\xf8\x04\x00\x00\x00", 6, INSN_XBEGIN, false, 4),
	S("ret", "\xc3", 1, INSN_RET, false, 0),
	S("repz ret", "\xf3\xc3", 2, INSN_RET, false, 0),
	S("ret imm16", "\xc2\x08\x00", 3, INSN_RET, false, 0),
	S("syscall", "\x0f\x05", 2, INSN_SYSCALL, false, 0),
	S("int $0x80", "\xcd\x80", 2, INSN_TRAP, false, 0),
	S("notrack jmp *%rax", "\x3e\xff\xe0", 3, INSN_JMP_INDIRECT, false, 0),
	S("jmp *x(%rip)", "\xff\x25\x00\x00\x00\x00", 6, INSN_JMP_INDIRECT, true, 0),
	S("call *8(%rax)", "\xff\x50\x08", 3, INSN_CALL_INDIRECT, false, 0),
	S("push in group 5", "\xff\x75\x08", 3, INSN_PLAIN, false, 0),
	S("vzeroupper", "\xc5\xf8\x77", 3, INSN_PLAIN, false, 0),
	S("vpshufd imm8", "\xc5\xf9\x70\xc0\x01", 5, INSN_PLAIN, false, 0),
	S("vpalignr", "\xc4\xe3\x71\x0f\xc2\x04", 6, INSN_PLAIN, false, 0),
	S("vmovdqu x(%rip)", "\xc5\xfe\x6f\x05\x01\x02\x03\x04", 8, INSN_PLAIN, true, 0),
	S("vex opcode like syscall", "\xc5\xf8\x05\xc0", 4, INSN_PLAIN, false, 0),
	S("evex load, disp8", "\x62\xf1\xfe\x48\x6f\x46\x01", 7, INSN_PLAIN, false, 0),
	S("evex vpcmpub imm8", "\x62\xf3\x7d\x20\x3e\xc1\x00", 7, INSN_PLAIN, false, 0),
	S("xop vprotb imm8", "\x8f\xe8\x78\xc0\xc1\x03", 6, INSN_PLAIN, false, 0),
	S("pop (%rax)", "\x8f\x00", 2, INSN_PLAIN, false, 0),
	S("insertq", "\xf2\x0f\x78\xc1\x08\x00", 6, INSN_PLAIN, false, 0),
	S("crc32", "\xf2\x48\x0f\x38\xf1\xc1", 6, INSN_PLAIN, false, 0),
	S("pclmulqdq", "\x66\x0f\x3a\x44\xc1\x11", 6, INSN_PLAIN, false, 0),
	S("popcnt", "\xf3\x0f\xb8\xc1", 4, INSN_PLAIN, false, 0),
	S("jmpe", "\x0f\xb8\x00\x00\x00\x00", 0, 0, false, 0),
	S("push %es", "\x06", 0, 0, false, 0),
	S("lock before vex", "\xf0\xc5\xf8\x77", 0, 0, false, 0),
	S("cut short", "\xb8\x27\x00\x00", 0, 0, false, 0),
	S("only prefixes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", 0, 0,
	  false, 0),
};

static void
test_samples(void)
{
	size_t i;

	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		uint8_t *exact = malloc(s->size);
		struct insn in;
		size_t len;
		bool good;

		memcpy(exact, s->bytes, s->size);
		len = insn_decode(exact, s->size, &in);
		good = len == s->len;
		if (good && len)
			good = in.kind == s->kind && in.rip_relative == s->rip_relative &&
			       (!insn_is_relative(&in) || in.rel == s->rel);
		check(good, s->name);
		free(exact);
	}
}

static void
test_padding(void)
{
	struct insn in;

	check(insn_decode((const uint8_t *)"\x90", 1, &in) && insn_is_padding(&in), "nop pads");
	check(insn_decode((const uint8_t *)"\x66\x90", 2, &in) && insn_is_padding(&in),
	      "data16 nop pads");
	check(insn_decode((const uint8_t *)"\x41\x90", 2, &in) && !insn_is_padding(&in),
	      "xchg %r8d,%eax does not pad");
	check(insn_decode((const uint8_t *)"\x0f\x1f\x00", 3, &in) && insn_is_padding(&in),
	      "nopl pads");
	check(insn_decode((const uint8_t *)"\xcc", 1, &in) && insn_is_padding(&in), "int3 pads");
}

static void
test_random(void)
{
	uint64_t state = 0x9e3779b97f4a7c15;
	bool good = true;
	int round;

	for (round = 0; round < 200000; round++) {
		uint8_t bytes[16];
		uint8_t *exact;
		struct insn in;
		struct insn again;
		size_t size;
		size_t len;

		for (size = 0; size < sizeof(bytes); size++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			bytes[size] = (uint8_t)(state >> 56);
		}
		size = (size_t)round % 16 + 1;
		exact = malloc(size);
		memcpy(exact, bytes, size);
		len = insn_decode(exact, size, &in);
		free(exact);
		if (len > size || len > INSN_MAX)
			good = false;
		/* What decodes does so from its own bytes alone. */
		if (len && insn_decode(bytes, len, &again) != len)
			good = false;
		if (len > 1 && insn_decode(bytes, len - 1, &again) != 0)
			good = false;
	}
	check(good, "random bytes stay within their buffer");
}

/* Read "address:\tbytes\tmnemonic" into `bytes`; returns how many, 0 for other lines. */
static size_t
line_parse(char *line, uint8_t *bytes, size_t room, const char **mnemonic)
{
	char *tab = strchr(line, '\t');
	size_t count = 0;

	if (!tab || tab == line || tab[-1] != ':')
		return 0;
	*mnemonic = strchr(tab + 1, '\t');
	if (*mnemonic)
		(*mnemonic)++;
	for (tab++;
	     count < room && isxdigit((unsigned char)tab[0]) && isxdigit((unsigned char)tab[1]);
	     tab += 2) {
		char pair[3] = {tab[0], tab[1], 0};

		bytes[count++] = (uint8_t)strtoul(pair, NULL, 16);
		if (tab[2] == ' ')
			tab++;
	}
	return count;
}

/* A prefix that objdump prints as an instruction of its own is not one. */
static bool
line_is_instruction(const uint8_t *bytes, size_t count, const char *mnemonic)
{
	size_t i;

	if (!mnemonic || strstr(mnemonic, "(bad)"))
		return false;
	for (i = 0; i < count; i++)
		if (!insn_is_prefix(bytes[i]))
			return true;
	return false;
}

static void
test_objdump(const char *path)
{
	char command[512];
	char line[512];
	const char *mnemonic;
	uint8_t bytes[32];
	unsigned long compared = 0;
	unsigned long wrong = 0;
	FILE *pipe;

	if (access(path, R_OK) || system("objdump --version >/dev/null 2>&1")) {
		printf("ok %d - objdump agrees # SKIP no objdump or no %s\n", ++test_count, path);
		return;
	}
	snprintf(command, sizeof(command), "objdump -d -w --insn-width=16 '%s'", path);
	pipe = popen(command, "r");
	while (pipe && fgets(line, sizeof(line), pipe)) {
		size_t count = line_parse(line, bytes, sizeof(bytes), &mnemonic);
		struct insn in;
		size_t skip;

		if (!count || !line_is_instruction(bytes, count, mnemonic))
			continue;
		/* objdump shows fwait and the instruction behind it as one. */
		skip = bytes[0] == 0x9b && count > 1 ? 1 : 0;
		compared++;
		if (insn_decode(bytes + skip, count - skip, &in) == count - skip)
			continue;
		if (wrong++ < 10)
			printf("# %s", line);
	}
	if (pipe)
		pclose(pipe);
	printf("# %lu instructions of %s compared\n", compared, path);
	check(compared > 1000 && wrong == 0, "lengths agree with objdump");
}

int
main(int argc, char **argv)
{
	test_samples();
	test_padding();
	test_random();
	test_objdump(argc > 1 ? argv[1] : "/bin/busybox");
	printf("1..%d\n", test_count);
	return test_failures ? 1 : 0;
}
