/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that counts executed instructions by translated block.
 *
 * Built as a shared object and given to QEMU with -plugin.  It writes "address instructions" lines to the file
 * named by `out=`, which tools/profile sums by function: for all of the run at its end, or, with marks=1, for each loop of a
 * program of bench/ what was executed between its markers (bench/mark.h), after a line "record".  QEMU 7.2 installs no header
 * for plugins, so the few prototypes used are declared here (docs/devel/tcg-plugins in QEMU's manual).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../bench/mark.h"

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 = 0 };
enum { CB_NO_REGS = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
					   void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *ptr,
					      uint64_t imm);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned, void *), int flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id, void *), void *data);
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

extern int qemu_plugin_version;
int qemu_plugin_version = 1;

#define BLOCKS (1u << 20)

static struct {
	uint64_t at, count, begun, sum; /* begun: at the last marker; sum: between markers */
} blocks[BLOCKS];
static uint32_t used;
static const char *out = "profile.out";
static FILE *file;
static bool marks;

static uint32_t
blocks_used(void)
{
	return used < BLOCKS ? used : BLOCKS;
}

static void
marked(unsigned cpu, void *data)
{
	uintptr_t mark = (uintptr_t)data;

	(void)cpu;
	if (mark == BENCH_MARK_RECORD)
		fprintf(file, "record\n");
	for (uint32_t i = 0; i < blocks_used(); i++) {
		if (mark == BENCH_MARK_BEGIN)
			blocks[i].begun = blocks[i].count;
		if (mark == BENCH_MARK_END)
			blocks[i].sum += blocks[i].count - blocks[i].begun;
		if (mark == BENCH_MARK_RECORD && blocks[i].sum)
			fprintf(file, "%lx %lu\n", blocks[i].at, blocks[i].sum);
		if (mark == BENCH_MARK_RECORD || mark == BENCH_MARK_START)
			blocks[i].sum = 0;
	}
}

static void
markers_find(struct qemu_plugin_tb *tb)
{
	static const uint8_t marker[4] = {0x0f, 0x1f, 0x84, 0x00};

	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *byte = qemu_plugin_insn_data(insn);
		uint32_t code;

		if (qemu_plugin_insn_size(insn) != 8 || memcmp(byte, marker, sizeof(marker)) != 0)
			continue;
		memcpy(&code, byte + 4, sizeof(code));
		if (code >= BENCH_MARK_BEGIN && code <= BENCH_MARK_START)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, CB_NO_REGS,
							       (void *)(uintptr_t)code);
	}
}

static void
block_seen(plugin_id id, struct qemu_plugin_tb *tb)
{
	uint32_t n;

	(void)id;
	n = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
	if (n >= BLOCKS)
		return;
	blocks[n].at = qemu_plugin_tb_vaddr(tb);
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &blocks[n].count,
						 qemu_plugin_tb_n_insns(tb));
	if (marks)
		markers_find(tb);
}

static void
finish(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	for (uint32_t i = 0; !marks && i < blocks_used(); i++) {
		if (blocks[i].count)
			fprintf(file, "%lx %lu\n", blocks[i].at, blocks[i].count);
	}
	fclose(file);
}

int
qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		marks = marks || !strncmp(argv[i], "marks=", 6);
	}
	file = fopen(out, "w");
	if (!file)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_seen);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
