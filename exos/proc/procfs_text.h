/* SPDX-License-Identifier: MIT */
/*
 * The text of files under /proc, byte for byte as Linux writes it.
 *
 * Pure formatters from plain structs that the caller fills; no state, no allocation, any context.
 * Strings in the structs are null-terminated and may hold anything; where Linux escapes, so do
 * these.
 *
 * Every formatter writes at most size bytes to buf, without a null byte behind, and returns the
 * length of the whole text: longer than size means that it was cut.
 */
#ifndef EXOS_PROC_PROCFS_TEXT_H
#define EXOS_PROC_PROCFS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory of a process, in KiB. */
struct procfs_memory {
	uint64_t peak;
	uint64_t size;
	uint64_t locked;
	uint64_t pinned;
	uint64_t resident_peak;
	uint64_t resident_anon;
	uint64_t resident_file;
	uint64_t resident_shared;
	uint64_t data;
	uint64_t stack;
	uint64_t text;
	uint64_t lib;
	uint64_t tables;
	uint64_t swap;
};

struct procfs_task {
	int32_t pid;
	int32_t tgid;
	int32_t ppid;
	int32_t pgrp;
	int32_t session;
	int32_t tty_pgrp; /* -1: no terminal */
	uint32_t tty;     /* device number of the controlling terminal, 0: none */
	char state;       /* one of RSDTtZXI */
	const char *comm;
	uint32_t uid[4]; /* real, effective, saved, file system */
	uint32_t gid[4];
	const uint32_t *groups;
	uint32_t group_count;
	uint32_t umask;
	uint32_t flags;
	uint64_t minor_faults;
	uint64_t minor_faults_children;
	uint64_t major_faults;
	uint64_t major_faults_children;
	uint64_t user_ticks; /* LX_HZ per second */
	uint64_t system_ticks;
	int64_t user_ticks_children;
	int64_t system_ticks_children;
	int32_t nice;
	uint32_t threads;
	uint64_t start_ticks; /* after boot */
	uint64_t resident_limit;
	uint64_t code_start;
	uint64_t code_end;
	uint64_t stack_start;
	uint64_t data_start;
	uint64_t data_end;
	uint64_t brk_start;
	uint64_t arg_start;
	uint64_t arg_end;
	uint64_t env_start;
	uint64_t env_end;
	int32_t exit_signal;
	int32_t exit_code; /* wait status */
	uint32_t cpu;
	uint32_t fd_slots;
	uint64_t signals_pending; /* bit n-1: signal n */
	uint64_t signals_pending_group;
	uint64_t signals_blocked;
	uint64_t signals_ignored;
	uint64_t signals_caught;
	uint64_t signals_queued;
	uint64_t signals_queue_limit;
	uint64_t capabilities; /* effective and permitted */
	uint64_t cpus_allowed;
	uint64_t switches_voluntary;
	uint64_t switches_forced;
	struct procfs_memory memory;
};

size_t procfs_stat(char *buf, size_t size, const struct procfs_task *task);
size_t procfs_statm(char *buf, size_t size, const struct procfs_task *task);
size_t procfs_status(char *buf, size_t size, const struct procfs_task *task);
size_t procfs_comm(char *buf, size_t size, const struct procfs_task *task);

/*
 * /proc/PID/cmdline from the process's memory between arg_start and arg_end. A process that
 * overwrote the null byte at the end, and with it its environment, shows text up to the first null
 * byte; env is then what lies behind, possibly empty.
 */
size_t procfs_cmdline(char *buf, size_t size, const char *args, size_t args_size, const char *env,
		      size_t env_size);

struct procfs_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	uint32_t major;
	uint32_t minor;
	uint32_t prot; /* LX_PROT_* */
	bool shared;
	const char *name; /* path, "[heap]" ..., NULL: none */
};

/* One line of /proc/PID/maps. */
size_t procfs_maps_line(char *buf, size_t size, const struct procfs_mapping *mapping);

struct procfs_load {
	uint64_t average[3]; /* fixed point, 2^16 = 1 */
	uint32_t running;
	uint32_t tasks;
	int32_t last_pid;
};

/* Times in hundredths of a second. */
size_t procfs_uptime(char *buf, size_t size, uint64_t up, uint64_t idle);
size_t procfs_loadavg(char *buf, size_t size, const struct procfs_load *load);

/* Memory of the system, in KiB. */
struct procfs_system_memory {
	uint64_t total;
	uint64_t free;
	uint64_t available;
	uint64_t buffers;
	uint64_t cached;
	uint64_t swap_cached;
	uint64_t active;
	uint64_t inactive;
	uint64_t swap_total;
	uint64_t swap_free;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t anon;
	uint64_t mapped;
	uint64_t shared;
	uint64_t slab;
	uint64_t slab_reclaimable;
	uint64_t kernel_stack;
	uint64_t page_tables;
	uint64_t commit_limit;
	uint64_t committed;
};

size_t procfs_meminfo(char *buf, size_t size, const struct procfs_system_memory *memory);

/* Ticks of one processor, or of all. */
struct procfs_cpu_time {
	uint64_t user;
	uint64_t nice;
	uint64_t system;
	uint64_t idle;
	uint64_t iowait;
	uint64_t irq;
	uint64_t softirq;
	uint64_t steal;
};

struct procfs_system {
	const struct procfs_cpu_time *cpu; /* one per processor; the sum is made here */
	uint32_t cpus;
	uint64_t interrupts;
	uint64_t switches;
	uint64_t boot_time; /* seconds since 1970 */
	uint64_t forks;
	uint32_t running;
	uint32_t blocked;
};

size_t procfs_system_stat(char *buf, size_t size, const struct procfs_system *system);

struct procfs_version {
	const char *release;
	const char *builder; /* user@host */
	const char *compiler;
	const char *version; /* "#1 SMP ..." */
};

size_t procfs_version(char *buf, size_t size, const struct procfs_version *version);

struct procfs_cpu {
	uint32_t number;
	const char *vendor;
	const char *name;
	uint32_t family;
	uint32_t model;
	uint32_t stepping;
	uint64_t khz;
	uint32_t cache_kib;
	uint32_t cpus; /* in the package */
	uint32_t apic_id;
	uint32_t cpuid_level;
	const char *flags;
	uint32_t line_size;
	uint32_t physical_bits;
	uint32_t virtual_bits;
};

/* The block of one processor, with the empty line behind it. */
size_t procfs_cpuinfo(char *buf, size_t size, const struct procfs_cpu *cpu);

struct procfs_mount {
	const char *source;
	const char *target;
	const char *type;
	const char *options;
};

/* One line each. */
size_t procfs_mounts_line(char *buf, size_t size, const struct procfs_mount *mount);
size_t procfs_filesystems_line(char *buf, size_t size, const char *type, bool needs_device);

/* /proc/cmdline. */
size_t procfs_boot_line(char *buf, size_t size, const char *line);

#endif
