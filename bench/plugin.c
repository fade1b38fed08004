/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that counts what a guest executes between markers, whatever the guest is.
 *
 * A marker is the eight-byte no-operation `nopl MARK(%rax,%rax,1)`, whose displacement says which
 * (bench/mark.h).  It costs one instruction, needs no privilege, and does nothing without the plugin.
 *
 *   begin, end   counting goes on, stops; may repeat
 *   record       writes one line with what was counted, and begins again at zero
 *   start        writes a line, so that records can be told apart by program; begins again at zero
 *   boot         writes one line with everything since the machine was started
 *
 *  1. Everything that the machine executes counts, in whatever process, library or kernel: an operation
 *     may not hide its cost in another's time.
 *  2. An iteration of a `rep` instruction is an instruction, as it is for QEMU's -icount.  One that follows
 *     the same `rep` with nothing executed in between is not counted in `once`, which is thus the number of
 *     instructions with each `rep` as one.
 *  3. Every instruction that begins is counted: one that faults and is executed again counts twice.
 *  4. Counting is by instruction bytes when code is translated.  Writes to the interrupt command register
 *     are seen at stores of 32 bits by code in the upper half of the address space, to offset 0x300 of a page that is a device.
 *
 *  5. With mode=time nothing but the markers is looked at, and what is summed is the processor time in nanoseconds that the
 *     emulated processor's thread used, which leaves out what others on the host took; for the boot, that all of
 *     QEMU used.
 *
 * One processor.  Lines are `kind` and the numbers in the order of bench/counters.h, in the file named by out=.
 * QEMU 7.2 installs no header for plugins, so the prototypes used are declared here (QEMU's manual,
 * docs/devel/tcg-plugins).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "counters.h"
#include "mark.h"

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
enum { INLINE_ADD_U64 = 0 };
enum { CB_NO_REGS = 0 };
enum { MEM_WRITES = 2 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
					   void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr,
						uint64_t imm);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned, void *), int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      void (*cb)(unsigned, uint32_t, uint64_t, void *), int flags,
				      int rw, void *data);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *at);
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

extern int qemu_plugin_version;
int qemu_plugin_version = 1;

static uint64_t now[COUNTERS], begun[COUNTERS], sum[COUNTERS];
static uint64_t rep_at, rep_when; /* the last `rep` executed: its address, INSNS then */
static FILE *out;
static bool timing;

static void
line_write(const char *kind, const uint64_t *count)
{
	fprintf(out, "%s", kind);
	for (int i = 0; i < COUNTERS; i++)
		fprintf(out, " %lu", count[i]);
	fputc('\n', out);
	fflush(out);
}

static uint64_t
used_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
marked(unsigned cpu, void *data)
{
	(void)cpu;
	if (timing)
		now[INSNS] = used_ns((uintptr_t)data == BENCH_MARK_BOOT ? CLOCK_PROCESS_CPUTIME_ID
									: CLOCK_THREAD_CPUTIME_ID);
	switch ((uintptr_t)data) {
	case BENCH_MARK_BEGIN:
		memcpy(begun, now, sizeof(now));
		break;
	case BENCH_MARK_END:
		for (int i = 0; i < COUNTERS; i++)
			sum[i] += now[i] - begun[i];
		break;
	case BENCH_MARK_RECORD:
		line_write("record", sum);
		memset(sum, 0, sizeof(sum));
		break;
	case BENCH_MARK_START:
		memset(sum, 0, sizeof(sum));
		line_write("start", now);
		break;
	case BENCH_MARK_BOOT:
		line_write("boot", now);
		break;
	}
}

static void
repeated(unsigned cpu, void *data)
{
	(void)cpu;
	if (rep_at == (uint64_t)data && rep_when + 1 == now[INSNS])
		now[REPEATED]++;
	else
		now[REPS]++;
	rep_at = (uint64_t)data;
	rep_when = now[INSNS];
}

static void
stored(unsigned cpu, uint32_t info, uint64_t vaddr, void *data)
{
	const struct qemu_plugin_hwaddr *at;

	(void)cpu;
	(void)data;
	if ((vaddr & 0xfff) != 0x300)
		return;
	at = qemu_plugin_get_hwaddr(info, vaddr);
	if (at && qemu_plugin_hwaddr_is_io(at))
		now[IPIS]++;
}

/* What of `now` an instruction of two opcode bytes counts in; COUNTERS: nothing. */
static int
two_byte_kind(uint8_t opcode, uint8_t modrm)
{
	int field = modrm >> 3 & 7;

	switch (opcode) {
	case 0x01:
		if (modrm == 0xef)
			return WRPKRUS;
		return modrm < 0xc0 && field == 7 ? INVLPGS : COUNTERS;
	case 0x05:
		return SYSCALLS;
	case 0x07:
		return SYSRETS;
	case 0x22:
		return field == 3 ? CR3S : field == 4 ? CR4S : COUNTERS;
	case 0x30:
		return WRMSRS;
	default:
		return COUNTERS;
	}
}

static bool
is_string(uint8_t opcode)
{
	return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
	       (opcode >= 0xaa && opcode <= 0xaf);
}

static void
count_insn(struct qemu_plugin_insn *insn)
{
	const uint8_t *byte = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn), i = 0;
	uint64_t at = qemu_plugin_insn_vaddr(insn);
	bool rep = false;
	int kind = COUNTERS;

	qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &now[INSNS], 1);
	for (; i + 1 < size; i++) { /* prefixes; no REX prefix comes before them */
		if (byte[i] == 0xf2 || byte[i] == 0xf3)
			rep = true;
		else if (byte[i] != 0x66 && byte[i] != 0x67 && byte[i] != 0x2e && byte[i] != 0x36 &&
			 byte[i] != 0x3e && byte[i] != 0x26 && byte[i] != 0x64 && byte[i] != 0x65)
			break;
	}
	if (i + 1 < size && (byte[i] & 0xf0) == 0x40)
		i++;
	if (rep && is_string(byte[i]))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, repeated, CB_NO_REGS, (void *)at);
	else if (byte[i] == 0xcf)
		kind = IRETS;
	else if (byte[i] == 0xf4)
		kind = HALTS;
	else if (byte[i] == 0x0f && i + 1 < size)
		kind = two_byte_kind(byte[i + 1], i + 2 < size ? byte[i + 2] : 0);
	if (kind != COUNTERS)
		qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &now[kind], 1);
	if (at >> 63 && (byte[i] == 0x89 || byte[i] == 0xc7 || byte[i] == 0x87))
		qemu_plugin_register_vcpu_mem_cb(insn, stored, CB_NO_REGS, MEM_WRITES, NULL);
}

static void
translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	static const uint8_t marker[4] = {0x0f, 0x1f, 0x84, 0x00};
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *byte = qemu_plugin_insn_data(insn);
		uint32_t code;

		if (!timing)
			count_insn(insn);
		if (qemu_plugin_insn_size(insn) != 8 || memcmp(byte, marker, sizeof(marker)) != 0)
			continue;
		memcpy(&code, byte + 4, sizeof(code));
		if (code >= BENCH_MARK_BEGIN && code <= BENCH_MARK_START)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, CB_NO_REGS,
							       (void *)(uintptr_t)code);
	}
}

int
qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4) == 0)
			out = fopen(argv[i] + 4, "w");
		timing = timing || strcmp(argv[i], "mode=time") == 0;
	}
	if (!out) {
		fprintf(stderr, "the counting plugin cannot write its file (out=)\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
