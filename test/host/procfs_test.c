/* SPDX-License-Identifier: MIT */
/*
 * The text of /proc files against the host's own /proc, and by itself.
 *
 * Values are parsed from the host's file, put into the struct, formatted, and compared byte for
 * byte; files of which only part is offered are compared line by line and in order. Then bounds,
 * escapes and odd names.
 *
 * Prints TAP.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exos/linux/abi_proc.h"
#include "exos/proc/procfs_text.h"

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

static char host[1 << 20];
static char ours[1 << 16];

static bool
host_read(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return false;
	n = fread(host, 1, sizeof(host) - 1, f);
	host[n] = 0;
	fclose(f);
	return n > 0;
}

static bool
same(size_t n)
{
	if (n == strlen(host) && memcmp(ours, host, n) == 0)
		return true;
	printf("# ours: %.*s# host: %s", (int)n, ours, host);
	return false;
}

/* The host's line that begins with key (without its newline), or NULL. */
static const char *
host_line(const char *key, size_t key_size, size_t *size)
{
	for (const char *p = host; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, key, key_size) == 0) {
			*size = strcspn(p, "\n");
			return p;
		}
	}
	return NULL;
}

/*
 * Every line of ours must be on the host too, in the same order, up to `separator` or, unless its
 * key is listed in `loose`, whole. Keys that the host does not have at all are reported.
 */
static bool
lines_as_host(size_t n, char separator, const char *loose)
{
	const char *last = host;
	bool good = true;

	ours[n] = 0;
	for (char *p = ours; *p; p += strcspn(p, "\n") + 1) {
		size_t size = strcspn(p, "\n");
		const char *colon = memchr(p, separator, size);
		size_t key = colon ? (size_t)(colon - p) + 1 : size;
		size_t host_size = 0;
		const char *theirs = size ? host_line(p, key, &host_size) : last;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)key, p);
		if (!theirs) {
			printf("# not on the host: %s\n", name);
			continue;
		}
		if (theirs < last) {
			printf("# out of order: %s\n", name);
			good = false;
		}
		last = theirs;
		if (size == 0 || strstr(loose, name))
			continue;
		if (size != host_size || memcmp(p, theirs, size) != 0) {
			printf("# ours: %.*s\n# host: %.*s\n", (int)size, p, (int)host_size,
			       theirs);
			good = false;
		}
	}
	return good;
}

static uint64_t
host_value(const char *key)
{
	size_t size;
	const char *p = host_line(key, strlen(key), &size);

	return p ? strtoull(p + strlen(key), NULL, 0) : 0;
}

static uint64_t
host_hex(const char *key)
{
	size_t size;
	const char *p = host_line(key, strlen(key), &size);

	return p ? strtoull(p + strlen(key), NULL, 16) : 0;
}

static char comm[64];

/* Splits the host's stat as ps programs do: the name ends at the last parenthesis. */
static bool
parse_stat(struct procfs_task *task, int64_t f[53])
{
	char *open = strchr(host, '(');
	char *close = strrchr(host, ')');
	char *p;

	if (!open || !close)
		return false;
	snprintf(comm, sizeof(comm), "%.*s", (int)(close - open - 1), open + 1);
	f[1] = strtoll(host, NULL, 10);
	task->state = close[2];
	p = close + 3;
	for (unsigned i = 4; i <= 52; i++)
		f[i] = (int64_t)(*p == ' ' && p[1] == '-' ? (uint64_t)strtoll(p, &p, 10)
							  : strtoull(p, &p, 10));
	task->comm = comm;
	return *p == '\n';
}

static void
task_from_stat(struct procfs_task *t, const int64_t f[53])
{
	t->pid = t->tgid = (int32_t)f[1];
	t->ppid = (int32_t)f[4];
	t->pgrp = (int32_t)f[5];
	t->session = (int32_t)f[6];
	t->tty = (uint32_t)f[7];
	t->tty_pgrp = (int32_t)f[8];
	t->flags = (uint32_t)f[9];
	t->minor_faults = (uint64_t)f[10];
	t->minor_faults_children = (uint64_t)f[11];
	t->major_faults = (uint64_t)f[12];
	t->major_faults_children = (uint64_t)f[13];
	t->user_ticks = (uint64_t)f[14];
	t->system_ticks = (uint64_t)f[15];
	t->user_ticks_children = f[16];
	t->system_ticks_children = f[17];
	t->nice = (int32_t)f[19];
	t->threads = (uint32_t)f[20];
	t->start_ticks = (uint64_t)f[22];
	t->memory.size = (uint64_t)f[23] / 1024;
	t->memory.resident_anon = (uint64_t)f[24] * 4;
	t->resident_limit = (uint64_t)f[25];
	t->code_start = (uint64_t)f[26];
	t->code_end = (uint64_t)f[27];
	t->stack_start = (uint64_t)f[28];
	t->signals_pending = (uint64_t)f[31];
	t->signals_blocked = (uint64_t)f[32];
	t->signals_ignored = (uint64_t)f[33];
	t->signals_caught = (uint64_t)f[34];
	t->exit_signal = (int32_t)f[38];
	t->cpu = (uint32_t)f[39];
	t->data_start = (uint64_t)f[45];
	t->data_end = (uint64_t)f[46];
	t->brk_start = (uint64_t)f[47];
	t->arg_start = (uint64_t)f[48];
	t->arg_end = (uint64_t)f[49];
	t->env_start = (uint64_t)f[50];
	t->env_end = (uint64_t)f[51];
	t->exit_code = (int32_t)f[52];
}

static void
test_stat(const char *path, const char *name)
{
	struct procfs_task task = {0};
	int64_t f[53] = {0};

	if (!host_read(path) || !parse_stat(&task, f)) {
		check(false, name);
		return;
	}
	task_from_stat(&task, f);
	check(same(procfs_stat(ours, sizeof(ours), &task)), name);
}

static void
test_status(void)
{
	struct procfs_task t = {.comm = comm, .state = 'R', .groups = NULL};
	struct procfs_memory *m = &t.memory;
	uint32_t groups[64];
	size_t size;
	const char *p;

	host_read("/proc/self/comm");
	snprintf(comm, sizeof(comm), "%.*s", (int)strcspn(host, "\n"), host);
	check(same(procfs_comm(ours, sizeof(ours), &t)), "comm");
	host_read("/proc/self/status");
	t.pid = t.tgid = (int32_t)host_value("Pid:");
	t.ppid = (int32_t)host_value("PPid:");
	t.pgrp = (int32_t)host_value("NSpgid:");
	t.session = (int32_t)host_value("NSsid:");
	t.umask = (uint32_t)host_value("Umask:");
	t.fd_slots = (uint32_t)host_value("FDSize:");
	t.threads = (uint32_t)host_value("Threads:");
	p = host_line("Uid:", 4, &size);
	sscanf(p, "Uid: %u %u %u %u", &t.uid[0], &t.uid[1], &t.uid[2], &t.uid[3]);
	p = host_line("Gid:", 4, &size);
	sscanf(p, "Gid: %u %u %u %u", &t.gid[0], &t.gid[1], &t.gid[2], &t.gid[3]);
	t.groups = groups;
	for (p = host_line("Groups:", 7, &size) + 8; isdigit((unsigned char)*p); p++)
		groups[t.group_count++] = (uint32_t)strtoul(p, (char **)&p, 10);
	m->peak = host_value("VmPeak:");
	m->size = host_value("VmSize:");
	m->locked = host_value("VmLck:");
	m->resident_peak = host_value("VmHWM:");
	m->resident_anon = host_value("RssAnon:");
	m->resident_file = host_value("RssFile:");
	m->resident_shared = host_value("RssShmem:");
	m->data = host_value("VmData:");
	m->stack = host_value("VmStk:");
	m->text = host_value("VmExe:");
	m->lib = host_value("VmLib:");
	m->tables = host_value("VmPTE:");
	t.signals_blocked = host_hex("SigBlk:");
	t.signals_ignored = host_hex("SigIgn:");
	t.signals_caught = host_hex("SigCgt:");
	t.capabilities = host_hex("CapEff:");
	t.cpus_allowed = host_hex("Cpus_allowed:");
	p = host_line("SigQ:", 5, &size);
	sscanf(p, "SigQ: %" SCNu64 "/%" SCNu64, &t.signals_queued, &t.signals_queue_limit);
	t.switches_voluntary = host_value("voluntary_ctxt_switches:");
	t.switches_forced = host_value("nonvoluntary_ctxt_switches:");
	/* The sum of resident pages may lag; the set of memory nodes is the host's own. */
	check(lines_as_host(procfs_status(ours, sizeof(ours), &t), ':',
			    "VmRSS: CapPrm: CapBnd: Mems_allowed: Seccomp: Seccomp_filters:"),
	      "status");
	t.state = 'Z';
	ours[procfs_status(ours, sizeof(ours), &t)] = 0;
	check(!strstr(ours, "Vm") && strstr(ours, "State:\tZ (zombie)\n"),
	      "a zombie has no memory");
}

static void
test_statm(void)
{
	struct procfs_task t = {.comm = ""};
	uint64_t v[7];

	host_read("/proc/1/statm");
	sscanf(host,
	       "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
	       &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]);
	t.memory.size = v[0] * 4;
	t.memory.resident_anon = (v[1] - v[2]) * 4;
	t.memory.resident_file = v[2] * 4;
	t.memory.text = v[3] * 4;
	t.memory.data = v[5] * 4;
	check(same(procfs_statm(ours, sizeof(ours), &t)), "statm");
}

static void
test_maps(void)
{
	bool good = host_read("/proc/self/maps");
	unsigned lines = 0;

	for (char *p = host; *p && good; lines++) {
		struct procfs_mapping m = {0};
		char *end = strchr(p, '\n');
		char flags[5];
		int at = 0;
		size_t n;

		*end = 0;
		sscanf(p, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &m.start,
		       &m.end, flags, &m.offset, &m.major, &m.minor, &m.inode, &at);
		m.prot = (flags[0] == 'r' ? LX_PROT_READ : 0) |
			 (flags[1] == 'w' ? LX_PROT_WRITE : 0) |
			 (flags[2] == 'x' ? LX_PROT_EXEC : 0);
		m.shared = flags[3] == 's';
		m.name = p[at] ? p + at : NULL;
		n = procfs_maps_line(ours, sizeof(ours), &m);
		good = n == strlen(p) + 1 && memcmp(ours, p, n - 1) == 0 && ours[n - 1] == '\n';
		if (!good)
			printf("# ours: %.*s# host: %s\n", (int)n, ours, p);
		p = end + 1;
	}
	check(good && lines > 10, "every line of maps");
}

static void
test_times(void)
{
	struct procfs_load load = {0};
	unsigned w[3];
	unsigned h[3];
	unsigned a[4];

	host_read("/proc/uptime");
	sscanf(host, "%u.%u %u.%u", &a[0], &a[1], &a[2], &a[3]);
	check(same(procfs_uptime(ours, sizeof(ours), a[0] * 100ULL + a[1], a[2] * 100ULL + a[3])),
	      "uptime");
	host_read("/proc/loadavg");
	sscanf(host, "%u.%u %u.%u %u.%u %u/%u %d", &w[0], &h[0], &w[1], &h[1], &w[2], &h[2],
	       &load.running, &load.tasks, &load.last_pid);
	for (unsigned i = 0; i < 3; i++)
		load.average[i] = ((uint64_t)w[i] << 16) + ((uint64_t)h[i] << 16) / 100;
	check(same(procfs_loadavg(ours, sizeof(ours), &load)), "loadavg");
	load = (struct procfs_load){.average = {0xffff, 0x1ffff, 0}};
	ours[procfs_loadavg(ours, sizeof(ours), &load)] = 0;
	check(strstr(ours, "1.00 2.00 0.00 ") == ours, "averages are rounded");
}

static void
test_meminfo(void)
{
	struct procfs_system_memory m = {0};

	host_read("/proc/meminfo");
	m.total = host_value("MemTotal:");
	m.free = host_value("MemFree:");
	m.available = host_value("MemAvailable:");
	m.buffers = host_value("Buffers:");
	m.cached = host_value("Cached:");
	m.swap_cached = host_value("SwapCached:");
	m.active = host_value("Active:");
	m.inactive = host_value("Inactive:");
	m.swap_total = host_value("SwapTotal:");
	m.swap_free = host_value("SwapFree:");
	m.dirty = host_value("Dirty:");
	m.writeback = host_value("Writeback:");
	m.anon = host_value("AnonPages:");
	m.mapped = host_value("Mapped:");
	m.shared = host_value("Shmem:");
	m.slab = host_value("Slab:");
	m.slab_reclaimable = host_value("SReclaimable:");
	m.kernel_stack = host_value("KernelStack:");
	m.page_tables = host_value("PageTables:");
	m.commit_limit = host_value("CommitLimit:");
	m.committed = host_value("Committed_AS:");
	check(lines_as_host(procfs_meminfo(ours, sizeof(ours), &m), ':', "KReclaimable:"),
	      "meminfo");
}

static void
test_system_stat(void)
{
	static struct procfs_cpu_time cpu[64];
	struct procfs_system s = {.cpu = cpu};

	host_read("/proc/stat");
	for (char *p = strstr(host, "cpu0"); p && !strncmp(p, "cpu", 3) && s.cpus < 64; s.cpus++) {
		struct procfs_cpu_time *c = &cpu[s.cpus];

		sscanf(p,
		       "cpu%*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		       " %" SCNu64 " %" SCNu64,
		       &c->user, &c->nice, &c->system, &c->idle, &c->iowait, &c->irq, &c->softirq,
		       &c->steal);
		p = strchr(p, '\n') + 1;
	}
	s.interrupts = host_value("intr ");
	s.switches = host_value("ctxt ");
	s.boot_time = host_value("btime ");
	s.forks = host_value("processes ");
	s.running = (uint32_t)host_value("procs_running ");
	s.blocked = (uint32_t)host_value("procs_blocked ");
	/* The host's sum is not always that of its parts; it also lists interrupts one by one. */
	check(lines_as_host(procfs_system_stat(ours, sizeof(ours), &s), ' ', "cpu intr softirq "),
	      "stat of the system");
}

static void
test_cpuinfo(void)
{
	struct procfs_cpu c = {0};
	static char text[4][4096];
	const char *const keys[4] = {
		"vendor_id\t: ", "model name\t: ", "flags\t\t: ", "cpu MHz\t\t: "};
	const char *p;
	size_t size;

	host_read("/proc/cpuinfo");
	for (unsigned i = 0; i < 4; i++) {
		p = host_line(keys[i], strlen(keys[i]), &size);
		if (p)
			snprintf(text[i], sizeof(text[i]), "%.*s", (int)(size - strlen(keys[i])),
				 p + strlen(keys[i]));
	}
	c.vendor = text[0];
	c.name = text[1];
	c.flags = text[2];
	c.khz = (uint64_t)(strtod(text[3], NULL) * 1000 + 0.5);
	c.family = (uint32_t)host_value("cpu family\t: ");
	c.model = (uint32_t)host_value("model\t\t: ");
	c.stepping = (uint32_t)host_value("stepping\t: ");
	c.cache_kib = (uint32_t)host_value("cache size\t: ");
	c.cpus = (uint32_t)host_value("siblings\t: ");
	c.apic_id = (uint32_t)host_value("apicid\t\t: ");
	c.cpuid_level = (uint32_t)host_value("cpuid level\t: ");
	c.line_size = (uint32_t)host_value("clflush size\t: ");
	p = host_line("address sizes", 13, &size);
	sscanf(p, "address sizes : %u bits physical, %u bits virtual", &c.physical_bits,
	       &c.virtual_bits);
	check(lines_as_host(procfs_cpuinfo(ours, sizeof(ours), &c), ':',
			    "cpu cores\t: bogomips\t: bugs\t\t: physical id\t: core id\t\t:"),
	      "cpuinfo");
}

static void
test_lines(void)
{
	struct procfs_mount m = {"a b", "/m\tn\n", "t\\y#", "rw"};
	struct procfs_version v = {"6.1.0-aegis", "x@y", "gcc", "#1 SMP"};
	size_t n;

	n = procfs_mounts_line(ours, sizeof(ours), &m);
	check(n == strlen("a\\040b /m\\011n\\012 t\\134y\\043 rw 0 0\n") &&
		      !memcmp(ours, "a\\040b /m\\011n\\012 t\\134y\\043 rw 0 0\n", n),
	      "mounts escape blanks");
	host_read("/proc/filesystems");
	n = procfs_filesystems_line(ours, sizeof(ours), "proc", false);
	ours[n] = 0;
	check(strstr(host, ours) != NULL, "filesystems");
	n = procfs_version(ours, sizeof(ours), &v);
	ours[n] = 0;
	check(!strcmp(ours, "Linux version 6.1.0-aegis (x@y) (gcc) #1 SMP\n"), "version");
	n = procfs_boot_line(ours, sizeof(ours), "a=b");
	check(n == 4 && !memcmp(ours, "a=b\n", 4), "boot line");
}

static void
test_cmdline(void)
{
	check(procfs_cmdline(ours, 64, "sh\0-c\0x", 8, "A=1", 4) == 8 &&
		      !memcmp(ours, "sh\0-c\0x", 8),
	      "arguments as they are");
	check(procfs_cmdline(ours, 64, "new title\0old", 13, "A=1", 4) == 10 &&
		      !memcmp(ours, "new title", 10),
	      "a title in place of arguments");
	check(procfs_cmdline(ours, 64, "long ti", 7, "tle\0B", 5) == 11 &&
		      !memcmp(ours, "long title", 11),
	      "a title that reaches into the environment");
	check(procfs_cmdline(ours, 64, "", 0, "", 0) == 0, "no arguments");
}

/* Programs take the name from the first parenthesis to the last. */
static void
test_names(void)
{
	struct procfs_task t = {.pid = 5, .state = 'S', .comm = "a) R (b\nc\\"};
	struct procfs_task back = {0};
	int64_t f[53] = {0};
	bool good;

	host[procfs_stat(host, sizeof(host), &t)] = 0;
	good = parse_stat(&back, f) && back.state == 'S' && f[1] == 5 && f[18] == 20;
	check(good && !strcmp(comm, "a) R (b\\nc\\\\"), "a name made to confuse");
	t.comm = "much longer than any name can be";
	check(procfs_comm(ours, sizeof(ours), &t) == 16, "names are cut");
	t.nice = -20;
	t.tty_pgrp = -1;
	host[procfs_stat(host, sizeof(host), &t)] = 0;
	good = parse_stat(&back, f);
	check(good && f[18] == 0 && f[19] == -20 && f[8] == -1, "negative fields");
}

static void
test_bounds(void)
{
	struct procfs_task t = {
		.pid = 1, .comm = "init", .state = 'S', .cpus_allowed = 0x8000000000000005ULL};
	char whole[4096];
	size_t n = procfs_status(whole, sizeof(whole), &t);
	bool good = n < sizeof(whole);

	whole[n] = 0;
	check(strstr(whole, "Cpus_allowed_list:\t0,2,63\n") != NULL, "lists of processors");
	for (size_t size = 0; size <= n; size++) {
		char *buf = malloc(size + 1);

		buf[size] = 'x';
		good &= procfs_status(buf, size, &t) == n && !memcmp(buf, whole, size);
		good &= buf[size] == 'x';
		free(buf);
	}
	good &= procfs_status(NULL, 0, &t) == n;
	check(good, "every size of buffer");
}

int
main(void)
{
	test_stat("/proc/self/stat", "stat of this process");
	test_status();
	test_statm();
	test_maps();
	test_times();
	test_meminfo();
	test_system_stat();
	test_cpuinfo();
	test_lines();
	test_cmdline();
	test_names();
	test_bounds();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
