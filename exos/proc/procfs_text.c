/* SPDX-License-Identifier: MIT */
/*
 * The text of files under /proc about one process.
 *
 * Owns the order and spelling of fields; values are the caller's. Context: any.
 *
 * 1. Field positions of stat and statm are those of proc(5); every value is a single word except
 *    the name, which is in parentheses and may hold blanks and parentheses itself.
 */
#include "exos/proc/procfs_text.h"

#include "exos/linux/abi_proc.h"
#include "exos/proc/text.h"

#define COMM_MAX         (LX_COMM_LEN - 1)
#define FIXED_LINE_WIDTH 73u /* where the name starts in a line of maps */

static void
put_comm(struct text *t, const char *comm, bool escape)
{
	for (unsigned i = 0; i < COMM_MAX && comm[i]; i++) {
		if (escape && (comm[i] == '\n' || comm[i] == '\\')) {
			text_char(t, '\\');
			text_char(t, comm[i] == '\n' ? 'n' : '\\');
		} else {
			text_char(t, comm[i]);
		}
	}
}

static void
field(struct text *t, uint64_t value)
{
	text_char(t, ' ');
	text_unsigned(t, value);
}

static void
field_signed(struct text *t, int64_t value)
{
	text_char(t, ' ');
	text_signed(t, value);
}

static void
fields_zero(struct text *t, unsigned n)
{
	while (n--)
		field(t, 0);
}

static uint64_t
resident(const struct procfs_memory *m)
{
	return m->resident_anon + m->resident_file + m->resident_shared;
}

/* Fields 4 to 22: who it is, faults, time, threads. */
static void
stat_identity(struct text *t, const struct procfs_task *task)
{
	field_signed(t, task->ppid);
	field_signed(t, task->pgrp);
	field_signed(t, task->session);
	field(t, task->tty);
	field_signed(t, task->tty_pgrp);
	field(t, task->flags);
	field(t, task->minor_faults);
	field(t, task->minor_faults_children);
	field(t, task->major_faults);
	field(t, task->major_faults_children);
	field(t, task->user_ticks);
	field(t, task->system_ticks);
	field_signed(t, task->user_ticks_children);
	field_signed(t, task->system_ticks_children);
	field_signed(t, 20 + (int64_t)task->nice);
	field_signed(t, task->nice);
	field(t, task->threads);
	field(t, 0); /* itrealvalue, not maintained */
	field(t, task->start_ticks);
}

size_t
procfs_stat(char *buf, size_t size, const struct procfs_task *task)
{
	const uint64_t old_signals = 0x7fffffff;
	struct text t = {.buf = buf, .size = size};

	text_signed(&t, task->pid);
	text_string(&t, " (");
	put_comm(&t, task->comm, true);
	text_string(&t, ") ");
	text_char(&t, task->state);
	stat_identity(&t, task);
	field(&t, task->memory.size * 1024);
	field(&t, resident(&task->memory) / (LX_PAGE_SIZE / 1024));
	field(&t, task->resident_limit);
	field(&t, task->code_start);
	field(&t, task->code_end);
	field(&t, task->stack_start);
	fields_zero(&t, 2); /* kstkesp, kstkeip */
	field(&t, task->signals_pending & old_signals);
	field(&t, task->signals_blocked & old_signals);
	field(&t, task->signals_ignored & old_signals);
	field(&t, task->signals_caught & old_signals);
	fields_zero(&t, 3); /* wchan, nswap, cnswap */
	field_signed(&t, task->exit_signal);
	field(&t, task->cpu);
	fields_zero(&t, 5); /* rt_priority, policy, delays, guest times */
	field(&t, task->data_start);
	field(&t, task->data_end);
	field(&t, task->brk_start);
	field(&t, task->arg_start);
	field(&t, task->arg_end);
	field(&t, task->env_start);
	field(&t, task->env_end);
	field_signed(&t, task->exit_code);
	text_char(&t, '\n');
	return t.length;
}

size_t
procfs_statm(char *buf, size_t size, const struct procfs_task *task)
{
	const struct procfs_memory *m = &task->memory;
	const uint64_t page = LX_PAGE_SIZE / 1024;
	struct text t = {.buf = buf, .size = size};

	text_unsigned(&t, m->size / page);
	field(&t, resident(m) / page);
	field(&t, (m->resident_file + m->resident_shared) / page);
	field(&t, m->text / page);
	field(&t, 0);
	field(&t, (m->data + m->stack) / page);
	field(&t, 0);
	text_char(&t, '\n');
	return t.length;
}

size_t
procfs_comm(char *buf, size_t size, const struct procfs_task *task)
{
	struct text t = {.buf = buf, .size = size};

	put_comm(&t, task->comm, false);
	text_char(&t, '\n');
	return t.length;
}

static const char *
state_name(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "disk sleep";
	case 'T':
		return "stopped";
	case 't':
		return "tracing stop";
	case 'X':
		return "dead";
	case 'Z':
		return "zombie";
	default:
		return "idle";
	}
}

static void
line(struct text *t, const char *key, int64_t value)
{
	text_string(t, key);
	text_string(t, ":\t");
	text_signed(t, value);
	text_char(t, '\n');
}

static void
line_kib(struct text *t, const char *key, uint64_t kib)
{
	text_string(t, key);
	text_string(t, ":\t");
	text_number(t, kib, 10, 8, ' ');
	text_string(t, " kB\n");
}

static void
line_set(struct text *t, const char *key, uint64_t set)
{
	text_string(t, key);
	text_string(t, ":\t");
	text_number(t, set, 16, 16, '0');
	text_char(t, '\n');
}

static void
line_ids(struct text *t, const char *key, const uint32_t ids[4])
{
	text_string(t, key);
	text_char(t, ':');
	for (unsigned i = 0; i < 4; i++) {
		text_char(t, '\t');
		text_unsigned(t, ids[i]);
	}
	text_char(t, '\n');
}

static void
status_identity(struct text *t, const struct procfs_task *task)
{
	text_string(t, "Name:\t");
	put_comm(t, task->comm, true);
	text_string(t, "\nUmask:\t");
	text_number(t, task->umask, 8, 4, '0');
	text_string(t, "\nState:\t");
	text_char(t, task->state);
	text_string(t, " (");
	text_string(t, state_name(task->state));
	text_string(t, ")\n");
	line(t, "Tgid", task->tgid);
	line(t, "Ngid", 0);
	line(t, "Pid", task->pid);
	line(t, "PPid", task->ppid);
	line(t, "TracerPid", 0);
	line_ids(t, "Uid", task->uid);
	line_ids(t, "Gid", task->gid);
	line(t, "FDSize", task->fd_slots);
	text_string(t, "Groups:\t");
	for (uint32_t i = 0; i < task->group_count; i++) {
		if (i > 0)
			text_char(t, ' ');
		text_unsigned(t, task->groups[i]);
	}
	text_string(t, " \n");
	line(t, "NStgid", task->tgid);
	line(t, "NSpid", task->pid);
	line(t, "NSpgid", task->pgrp);
	line(t, "NSsid", task->session);
}

static void
status_memory(struct text *t, const struct procfs_memory *m)
{
	line_kib(t, "VmPeak", m->peak);
	line_kib(t, "VmSize", m->size);
	line_kib(t, "VmLck", m->locked);
	line_kib(t, "VmPin", m->pinned);
	line_kib(t, "VmHWM", m->resident_peak);
	line_kib(t, "VmRSS", resident(m));
	line_kib(t, "RssAnon", m->resident_anon);
	line_kib(t, "RssFile", m->resident_file);
	line_kib(t, "RssShmem", m->resident_shared);
	line_kib(t, "VmData", m->data);
	line_kib(t, "VmStk", m->stack);
	line_kib(t, "VmExe", m->text);
	line_kib(t, "VmLib", m->lib);
	line_kib(t, "VmPTE", m->tables);
	line_kib(t, "VmSwap", m->swap);
}

/* A list of processors as ranges: "0-3,5". */
static void
put_ranges(struct text *t, uint64_t set)
{
	const char *separator = "";

	for (unsigned i = 0; i < 64; i++) {
		unsigned first = i;

		if (!((set >> i) & 1))
			continue;
		while (i < 63 && ((set >> (i + 1)) & 1))
			i++;
		text_string(t, separator);
		text_unsigned(t, first);
		if (i > first) {
			text_char(t, '-');
			text_unsigned(t, i);
		}
		separator = ",";
	}
}

static void
status_signals(struct text *t, const struct procfs_task *task)
{
	line(t, "Threads", task->threads);
	text_string(t, "SigQ:\t");
	text_unsigned(t, task->signals_queued);
	text_char(t, '/');
	text_unsigned(t, task->signals_queue_limit);
	text_char(t, '\n');
	line_set(t, "SigPnd", task->signals_pending);
	line_set(t, "ShdPnd", task->signals_pending_group);
	line_set(t, "SigBlk", task->signals_blocked);
	line_set(t, "SigIgn", task->signals_ignored);
	line_set(t, "SigCgt", task->signals_caught);
	line_set(t, "CapInh", 0);
	line_set(t, "CapPrm", task->capabilities);
	line_set(t, "CapEff", task->capabilities);
	line_set(t, "CapBnd", task->capabilities);
	line_set(t, "CapAmb", 0);
	line(t, "NoNewPrivs", 0);
	line(t, "Seccomp", 0);
	line(t, "Seccomp_filters", 0);
}

size_t
procfs_status(char *buf, size_t size, const struct procfs_task *task)
{
	struct text t = {.buf = buf, .size = size};

	status_identity(&t, task);
	if (task->state != 'Z' && task->state != 'X')
		status_memory(&t, &task->memory);
	status_signals(&t, task);
	text_string(&t, "Cpus_allowed:\t");
	text_number(&t, task->cpus_allowed, 16, 0, '0');
	text_string(&t, "\nCpus_allowed_list:\t");
	put_ranges(&t, task->cpus_allowed);
	text_string(&t, "\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
	line(&t, "voluntary_ctxt_switches", (int64_t)task->switches_voluntary);
	line(&t, "nonvoluntary_ctxt_switches", (int64_t)task->switches_forced);
	return t.length;
}

size_t
procfs_cmdline(char *buf, size_t size, const char *args, size_t args_size, const char *env,
	       size_t env_size)
{
	struct text t = {.buf = buf, .size = size};
	size_t n = 0;

	if (args_size == 0)
		return 0;
	if (args[args_size - 1] == 0) {
		text_bytes(&t, args, args_size);
		return t.length;
	}
	while (n < args_size && args[n] != 0)
		n++;
	text_bytes(&t, args, n);
	for (size_t i = 0; n == args_size && i < env_size && env[i] != 0; i++)
		text_char(&t, env[i]);
	text_char(&t, 0);
	return t.length;
}

size_t
procfs_maps_line(char *buf, size_t size, const struct procfs_mapping *mapping)
{
	struct text t = {.buf = buf, .size = size};

	text_number(&t, mapping->start, 16, 8, '0');
	text_char(&t, '-');
	text_number(&t, mapping->end, 16, 8, '0');
	text_char(&t, ' ');
	text_char(&t, mapping->prot & LX_PROT_READ ? 'r' : '-');
	text_char(&t, mapping->prot & LX_PROT_WRITE ? 'w' : '-');
	text_char(&t, mapping->prot & LX_PROT_EXEC ? 'x' : '-');
	text_char(&t, mapping->shared ? 's' : 'p');
	text_char(&t, ' ');
	text_number(&t, mapping->offset, 16, 8, '0');
	text_char(&t, ' ');
	text_number(&t, mapping->major, 16, 2, '0');
	text_char(&t, ':');
	text_number(&t, mapping->minor, 16, 2, '0');
	field(&t, mapping->inode);
	text_char(&t, ' ');
	if (mapping->name) {
		text_pad_to(&t, FIXED_LINE_WIDTH, ' ');
		text_octal_escaped(&t, mapping->name, "\n");
	}
	text_char(&t, '\n');
	return t.length;
}
