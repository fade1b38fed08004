/* SPDX-License-Identifier: MIT */
/*
 * The text of files under /proc about the whole system.
 *
 * Owns the order and spelling of fields; values are the caller's. Context: any.
 */
#include "exos/linux/abi_proc.h"
#include "exos/proc/procfs_text.h"
#include "exos/proc/text.h"

#define LOAD_ONE (1ULL << LX_SI_LOAD_SHIFT)

static void
put_hundredths(struct text *t, uint64_t value)
{
	text_unsigned(t, value / 100);
	text_char(t, '.');
	text_number(t, value % 100, 10, 2, '0');
}

size_t
procfs_uptime(char *buf, size_t size, uint64_t up, uint64_t idle)
{
	struct text t = {.buf = buf, .size = size};

	put_hundredths(&t, up);
	text_char(&t, ' ');
	put_hundredths(&t, idle);
	text_char(&t, '\n');
	return t.length;
}

size_t
procfs_loadavg(char *buf, size_t size, const struct procfs_load *load)
{
	struct text t = {.buf = buf, .size = size};

	for (unsigned i = 0; i < 3; i++) {
		uint64_t whole = load->average[i] / LOAD_ONE;
		uint64_t part = load->average[i] % LOAD_ONE;

		put_hundredths(&t, whole * 100 + (part * 100 + LOAD_ONE / 2) / LOAD_ONE);
		text_char(&t, ' ');
	}
	text_unsigned(&t, load->running);
	text_char(&t, '/');
	text_unsigned(&t, load->tasks);
	text_char(&t, ' ');
	text_signed(&t, load->last_pid);
	text_char(&t, '\n');
	return t.length;
}

/* The key, a colon, the value so that the unit starts in column 25. */
static void
line_kib(struct text *t, const char *key, uint64_t kib)
{
	size_t start = t->length;

	text_string(t, key);
	text_char(t, ':');
	text_pad_to(t, start + 16, ' ');
	text_number(t, kib, 10, 8, ' ');
	text_string(t, " kB\n");
}

size_t
procfs_meminfo(char *buf, size_t size, const struct procfs_system_memory *m)
{
	struct text t = {.buf = buf, .size = size};
	uint64_t unreclaimable = m->slab > m->slab_reclaimable ? m->slab - m->slab_reclaimable : 0;

	line_kib(&t, "MemTotal", m->total);
	line_kib(&t, "MemFree", m->free);
	line_kib(&t, "MemAvailable", m->available);
	line_kib(&t, "Buffers", m->buffers);
	line_kib(&t, "Cached", m->cached);
	line_kib(&t, "SwapCached", m->swap_cached);
	line_kib(&t, "Active", m->active);
	line_kib(&t, "Inactive", m->inactive);
	line_kib(&t, "SwapTotal", m->swap_total);
	line_kib(&t, "SwapFree", m->swap_free);
	line_kib(&t, "Dirty", m->dirty);
	line_kib(&t, "Writeback", m->writeback);
	line_kib(&t, "AnonPages", m->anon);
	line_kib(&t, "Mapped", m->mapped);
	line_kib(&t, "Shmem", m->shared);
	line_kib(&t, "KReclaimable", m->slab_reclaimable);
	line_kib(&t, "Slab", m->slab);
	line_kib(&t, "SReclaimable", m->slab_reclaimable);
	line_kib(&t, "SUnreclaim", unreclaimable);
	line_kib(&t, "KernelStack", m->kernel_stack);
	line_kib(&t, "PageTables", m->page_tables);
	line_kib(&t, "CommitLimit", m->commit_limit);
	line_kib(&t, "Committed_AS", m->committed);
	return t.length;
}

static void
put_cpu_time(struct text *t, const struct procfs_cpu_time *c)
{
	const uint64_t values[10] = {c->user,   c->nice, c->system,  c->idle,
				     c->iowait, c->irq,  c->softirq, c->steal};

	for (unsigned i = 0; i < 10; i++) {
		text_char(t, ' ');
		text_unsigned(t, values[i]);
	}
	text_char(t, '\n');
}

static void
line(struct text *t, const char *key, uint64_t value)
{
	text_string(t, key);
	text_char(t, ' ');
	text_unsigned(t, value);
	text_char(t, '\n');
}

size_t
procfs_system_stat(char *buf, size_t size, const struct procfs_system *system)
{
	struct text t = {.buf = buf, .size = size};
	struct procfs_cpu_time sum = {0};

	for (uint32_t i = 0; i < system->cpus; i++) {
		const struct procfs_cpu_time *c = &system->cpu[i];

		sum.user += c->user;
		sum.nice += c->nice;
		sum.system += c->system;
		sum.idle += c->idle;
		sum.iowait += c->iowait;
		sum.irq += c->irq;
		sum.softirq += c->softirq;
		sum.steal += c->steal;
	}
	text_string(&t, "cpu ");
	put_cpu_time(&t, &sum);
	for (uint32_t i = 0; i < system->cpus; i++) {
		text_string(&t, "cpu");
		text_unsigned(&t, i);
		put_cpu_time(&t, &system->cpu[i]);
	}
	line(&t, "intr", system->interrupts);
	line(&t, "ctxt", system->switches);
	line(&t, "btime", system->boot_time);
	line(&t, "processes", system->forks);
	line(&t, "procs_running", system->running);
	line(&t, "procs_blocked", system->blocked);
	text_string(&t, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return t.length;
}

size_t
procfs_version(char *buf, size_t size, const struct procfs_version *version)
{
	struct text t = {.buf = buf, .size = size};

	text_string(&t, "Linux version ");
	text_string(&t, version->release);
	text_string(&t, " (");
	text_string(&t, version->builder);
	text_string(&t, ") (");
	text_string(&t, version->compiler);
	text_string(&t, ") ");
	text_string(&t, version->version);
	text_char(&t, '\n');
	return t.length;
}

static void
cpu_text(struct text *t, const char *key, const char *value)
{
	text_string(t, key);
	text_string(t, ": ");
	text_string(t, value);
	text_char(t, '\n');
}

static void
cpu_number(struct text *t, const char *key, uint64_t value)
{
	text_string(t, key);
	text_string(t, ": ");
	text_unsigned(t, value);
	text_char(t, '\n');
}

/* Thousandths with three digits; bogomips has two. */
static void
cpu_decimal(struct text *t, const char *key, uint64_t value, uint64_t scale, unsigned digits)
{
	text_string(t, key);
	text_string(t, ": ");
	text_unsigned(t, value / scale);
	text_char(t, '.');
	text_number(t, value % scale, 10, digits, '0');
	text_char(t, '\n');
}

size_t
procfs_cpuinfo(char *buf, size_t size, const struct procfs_cpu *cpu)
{
	struct text t = {.buf = buf, .size = size};

	cpu_number(&t, "processor\t", cpu->number);
	cpu_text(&t, "vendor_id\t", cpu->vendor);
	cpu_number(&t, "cpu family\t", cpu->family);
	cpu_number(&t, "model\t\t", cpu->model);
	cpu_text(&t, "model name\t", cpu->name);
	cpu_number(&t, "stepping\t", cpu->stepping);
	cpu_decimal(&t, "cpu MHz\t\t", cpu->khz, 1000, 3);
	if (cpu->cache_kib > 0) {
		text_string(&t, "cache size\t: ");
		text_unsigned(&t, cpu->cache_kib);
		text_string(&t, " KB\n");
	}
	cpu_number(&t, "physical id\t", 0);
	cpu_number(&t, "siblings\t", cpu->cpus);
	cpu_number(&t, "core id\t\t", cpu->number);
	cpu_number(&t, "cpu cores\t", cpu->cpus);
	cpu_number(&t, "apicid\t\t", cpu->apic_id);
	cpu_number(&t, "initial apicid\t", cpu->apic_id);
	cpu_text(&t, "fpu\t\t", "yes");
	cpu_text(&t, "fpu_exception\t", "yes");
	cpu_number(&t, "cpuid level\t", cpu->cpuid_level);
	cpu_text(&t, "wp\t\t", "yes");
	cpu_text(&t, "flags\t\t", cpu->flags);
	cpu_text(&t, "bugs\t\t", "");
	cpu_decimal(&t, "bogomips\t", cpu->khz * 2 / 10, 100, 2);
	cpu_number(&t, "clflush size\t", cpu->line_size);
	cpu_number(&t, "cache_alignment\t", cpu->line_size);
	text_string(&t, "address sizes\t: ");
	text_unsigned(&t, cpu->physical_bits);
	text_string(&t, " bits physical, ");
	text_unsigned(&t, cpu->virtual_bits);
	text_string(&t, " bits virtual\npower management:\n\n");
	return t.length;
}

size_t
procfs_mounts_line(char *buf, size_t size, const struct procfs_mount *mount)
{
	static const char special[] = " \t\n\\#";
	struct text t = {.buf = buf, .size = size};

	text_octal_escaped(&t, mount->source, special);
	text_char(&t, ' ');
	text_octal_escaped(&t, mount->target, special);
	text_char(&t, ' ');
	text_octal_escaped(&t, mount->type, special);
	text_char(&t, ' ');
	text_octal_escaped(&t, mount->options, special);
	text_string(&t, " 0 0\n");
	return t.length;
}

size_t
procfs_filesystems_line(char *buf, size_t size, const char *type, bool needs_device)
{
	struct text t = {.buf = buf, .size = size};

	text_string(&t, needs_device ? "\t" : "nodev\t");
	text_string(&t, type);
	text_char(&t, '\n');
	return t.length;
}

size_t
procfs_boot_line(char *buf, size_t size, const char *boot_line)
{
	struct text t = {.buf = buf, .size = size};

	text_string(&t, boot_line);
	text_char(&t, '\n');
	return t.length;
}
