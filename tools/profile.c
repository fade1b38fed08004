/* SPDX-License-Identifier: MIT */
/*
 * A QEMU plugin that counts executed instructions by translated block.
 *
 * Built as a shared object and given to QEMU with -plugin; at the end it writes "address instructions"
 * lines to the file named by `out=`, which tools/profile sums by function.  QEMU 7.2 installs no header
 * for plugins, so the few prototypes used are declared here (docs/devel/tcg-plugins in QEMU's manual).
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum { INLINE_ADD_U64 = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
					   void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *ptr,
					      uint64_t imm);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id, void *), void *data);
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

extern int qemu_plugin_version;
int qemu_plugin_version = 1;

#define BLOCKS (1u << 20)

static struct {
	uint64_t at, count;
} blocks[BLOCKS];
static uint32_t used;
static const char *out = "profile.out";

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
}

static void
finish(plugin_id id, void *data)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)data;
	for (uint32_t i = 0; f && i < used && i < BLOCKS; i++) {
		if (blocks[i].count)
			fprintf(f, "%lx %lu\n", blocks[i].at, blocks[i].count);
	}
	if (f)
		fclose(f);
}

int
qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_seen);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
