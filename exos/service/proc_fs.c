/* SPDX-License-Identifier: MIT */
/*
 * /proc: what the service knows, as files.
 *
 * A provider for a synthetic tree of the file system.  A node's key is its kind, above it the pid of
 * the process it is about (0: none), and above that a descriptor; nothing is remembered between calls but
 * the name that `next` hands out.  The text itself is exos/proc's.  Which descriptors stand for which of its
 * objects a process says itself, of the first SVC_FDS; its mappings are not shown.
 *
 *  1. Cookies: the system's entries come first, then processes by ascending pid.
 *  2. A key whose process is gone answers -ENOENT everywhere.
 *  3. What a process says of its descriptors leads to objects that it holds, and nowhere else.
 */
#include "exos/proc/procfs_text.h"
#include "exos/service/priv.h"

enum kind {
	ROOT,
	SELF,
	SYS_STAT,
	MEMINFO,
	UPTIME,
	LOADAVG,
	VERSION,
	CPUINFO,
	MOUNTS,
	FILESYSTEMS,
	CMDLINE,
	SYS,
	SYS_KERNEL,
	HOSTNAME,
	OSRELEASE,
	OSTYPE,
	OSVERSION,
	PID_MAXIMUM,
	PID_DIR,
	PID_STAT,
	PID_STATM,
	PID_STATUS,
	PID_CMDLINE,
	PID_COMM,
	PID_MAPS,
	PID_MOUNTS,
	PID_EXE,
	PID_CWD,
	PID_ROOT,
	PID_FD,
	PID_FD_LINK,
};

struct entry {
	char name[14];
	uint8_t dir, kind;
	uint32_t mode;
};

#define TEXT (FS_IFREG | 0444)
#define DIR  (FS_IFDIR | 0555)
#define LINK (FS_IFLNK | 0777)

static const struct entry entries[] = {
	{"self", ROOT, SELF, LINK},
	{"stat", ROOT, SYS_STAT, TEXT},
	{"meminfo", ROOT, MEMINFO, TEXT},
	{"uptime", ROOT, UPTIME, TEXT},
	{"loadavg", ROOT, LOADAVG, TEXT},
	{"version", ROOT, VERSION, TEXT},
	{"cpuinfo", ROOT, CPUINFO, TEXT},
	{"mounts", ROOT, MOUNTS, TEXT},
	{"filesystems", ROOT, FILESYSTEMS, TEXT},
	{"cmdline", ROOT, CMDLINE, TEXT},
	{"sys", ROOT, SYS, DIR},
	{"kernel", SYS, SYS_KERNEL, DIR},
	{"hostname", SYS_KERNEL, HOSTNAME, TEXT},
	{"osrelease", SYS_KERNEL, OSRELEASE, TEXT},
	{"ostype", SYS_KERNEL, OSTYPE, TEXT},
	{"version", SYS_KERNEL, OSVERSION, TEXT},
	{"pid_max", SYS_KERNEL, PID_MAXIMUM, TEXT},
	{"stat", PID_DIR, PID_STAT, TEXT},
	{"statm", PID_DIR, PID_STATM, TEXT},
	{"status", PID_DIR, PID_STATUS, TEXT},
	{"cmdline", PID_DIR, PID_CMDLINE, TEXT},
	{"comm", PID_DIR, PID_COMM, TEXT},
	{"maps", PID_DIR, PID_MAPS, TEXT},
	{"mounts", PID_DIR, PID_MOUNTS, TEXT},
	{"exe", PID_DIR, PID_EXE, LINK},
	{"cwd", PID_DIR, PID_CWD, LINK},
	{"root", PID_DIR, PID_ROOT, LINK},
	{"fd", PID_DIR, PID_FD, FS_IFDIR | 0500},
};
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

static enum kind
key_kind(uint64_t key)
{
	return key & 0xff;
}

static uint32_t
key_pid(uint64_t key)
{
	return (uint32_t)key >> 8;
}

static uint32_t
key_fd(uint64_t key)
{
	return (uint32_t)(key >> 32);
}

static uint64_t
key_make(enum kind kind, uint32_t pid, uint32_t fd)
{
	return (uint64_t)fd << 32 | pid << 8 | kind;
}

static uint32_t
key_ino(uint64_t key)
{
	if (key_kind(key) == PID_FD_LINK)
		return 1u << 30 | (key_pid(key) * SVC_FDS + key_fd(key));
	return key_pid(key) * 32 + key_kind(key) + 1;
}

/* NULL: gone, or about no process. */
static struct proc *
key_proc(struct service *sv, uint64_t key)
{
	struct proc *p = key_pid(key) ? proc_find(sv, (int32_t)key_pid(key)) : NULL;

	return p && p->state != PROC_DEAD ? p : NULL;
}

/* What a descriptor stands for, as its process says.  NULL: nothing. */
static const struct object *
fd_object(struct service *sv, const struct proc *p, uint32_t fd)
{
	const volatile struct svc_tail *tail = p && p->msg ? SVC_TAIL(p->msg) : NULL;

	if (!tail || fd >= SVC_FDS || !(tail->open[fd / 64] >> (fd % 64) & 1))
		return NULL;
	return object_find(sv, p, tail->object[fd]);
}

static uint32_t
fd_mode(const struct object *o)
{
	uint32_t access = o->flags & LX_O_ACCMODE;

	return FS_IFLNK | (access != LX_O_WRONLY ? 0500 : 0) | (access != LX_O_RDONLY ? 0300 : 0);
}

static int
node_fill(struct service *sv, uint64_t key, uint32_t mode, struct fs_synth_node *out)
{
	const struct proc *p = key_proc(sv, key);
	const struct object *o;

	if (key_pid(key) && !p)
		return -ENOENT;
	if (key_kind(key) == PID_FD_LINK) {
		o = fd_object(sv, p, key_fd(key));
		if (!o)
			return -ENOENT;
		mode = fd_mode(o);
	}
	out->key = key;
	out->ino = key_ino(key);
	out->mode = mode;
	out->uid = p ? p->cred.uid : 0;
	out->gid = p ? p->cred.gid : 0;
	out->nlink = (mode & FS_IFMT) == FS_IFDIR ? 2 : 1;
	out->time = (int64_t)core_wall_ns();
	return 0;
}

/* ---- names ---- */

static bool
name_is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && !memcmp(name, what, len);
}

/* A number without leading zeros; -1: none, or a longer one than there can be. */
static int32_t
name_number(const char *name, size_t len)
{
	int32_t number = 0;

	if (!len || len > 5 || (name[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		number = number * 10 + (name[i] - '0');
	}
	return number;
}

static int
proc_lookup(void *ctx, const struct fs_cred *cred, uint64_t dir, const char *name, size_t len,
	    struct fs_synth_node *out)
{
	int32_t number = name_number(name, len);
	uint32_t pid = key_pid(dir);

	(void)cred;
	for (uint32_t i = 0; i < ENTRIES; i++) {
		const struct entry *e = &entries[i];

		if (e->dir == key_kind(dir) && name_is(name, len, e->name))
			return node_fill(ctx, key_make(e->kind, pid, 0), e->mode, out);
	}
	if (key_kind(dir) == ROOT && number > 0 && number < (int32_t)PID_MAX)
		return node_fill(ctx, key_make(PID_DIR, (uint32_t)number, 0), DIR, out);
	if (key_kind(dir) == PID_FD && number >= 0)
		return node_fill(ctx, key_make(PID_FD_LINK, pid, (uint32_t)number), 0, out);
	return -ENOENT;
}

/* The process with the smallest pid from `from` on. */
static struct proc *
proc_next_pid(struct service *sv, int64_t from)
{
	struct proc *best = NULL;

	for (struct proc *p = sv->all; p; p = p->next) {
		if (p->state != PROC_DEAD && p->state != PROC_NEW && p->pid >= from &&
		    (!best || p->pid < best->pid))
			best = p;
	}
	return best;
}

static int
number_give(struct service *sv, struct fs_entry *out, uint64_t key, uint32_t mode, uint32_t number)
{
	out->ino = key_ino(key);
	out->cookie = ENTRIES + 1 + number;
	out->mode = mode;
	out->len = (uint32_t)format(sv->proc_name, sizeof(sv->proc_name), "%u", number);
	out->name = sv->proc_name;
	return 1;
}

static int
fd_next(struct service *sv, uint64_t dir, uint32_t fd, struct fs_entry *out)
{
	const struct proc *p = key_proc(sv, dir);
	const struct object *o = NULL;

	while (fd < SVC_FDS && !(o = fd_object(sv, p, fd)))
		fd++;
	if (!o)
		return 0;
	return number_give(sv, out, key_make(PID_FD_LINK, key_pid(dir), fd), fd_mode(o), fd);
}

static int
proc_next(void *ctx, const struct fs_cred *cred, uint64_t dir, uint64_t cookie,
	  struct fs_entry *out)
{
	struct service *sv = ctx;
	uint32_t number = cookie > ENTRIES ? (uint32_t)(cookie - ENTRIES) : 0;
	const struct proc *p;

	(void)cred;
	if (key_pid(dir) && !key_proc(sv, dir))
		return 0;
	for (uint64_t i = cookie; i < ENTRIES; i++) {
		const struct entry *e = &entries[i];

		if (e->dir != key_kind(dir))
			continue;
		out->ino = key_ino(key_make(e->kind, key_pid(dir), 0));
		out->cookie = i + 1;
		out->mode = e->mode;
		out->name = e->name;
		out->len = (uint32_t)strlen(e->name);
		return 1;
	}
	if (key_kind(dir) == PID_FD)
		return fd_next(sv, dir, number, out);
	p = key_kind(dir) == ROOT ? proc_next_pid(sv, number) : NULL;
	if (!p)
		return 0;
	return number_give(sv, out, key_make(PID_DIR, (uint32_t)p->pid, 0), DIR, (uint32_t)p->pid);
}

static int
proc_refresh(void *ctx, uint64_t key, struct fs_synth_node *node)
{
	uint32_t mode = DIR;

	for (uint32_t i = 0; i < ENTRIES; i++) {
		if (entries[i].kind == key_kind(key))
			mode = entries[i].mode;
	}
	return node_fill(ctx, key, mode, node);
}

/* ---- links ---- */

static int
text_give(const char *text, size_t n, char *buf, size_t size)
{
	if (n > size)
		n = size;
	memmove(buf, text, n); /* fs_getcwd may have written where the caller wants it */
	return (int)n;
}

static bool
may_look(const struct fs_cred *cred, const struct proc *p)
{
	return !cred->uid || cred->uid == p->ruid;
}

static int
fd_readlink(struct service *sv, const struct proc *p, uint32_t fd, char *buf, size_t size)
{
	const struct object *o = fd_object(sv, p, fd);
	char *text = (char *)sv->bounce;
	struct fs_stat st;
	int got;

	if (!o)
		return -ENOENT;
	if (o->pipe && (!o->inode || o->inode == o->pipe->inode)) {
		pipe_stat(sv, o, p, &st);
		got = (int)format(text, FS_PATH_MAX, "pipe:[%lu]", st.ino);
		return text_give(text, (size_t)got, buf, size);
	}
	got = fs_name(sv->fs, o->inode, text, FS_PATH_MAX) - 1;
	if (got < 0)
		got = (int)format(text, FS_PATH_MAX, "/#%u (deleted)", fs_id(o->inode));
	return text_give(text, (size_t)got, buf, size);
}

/* A descriptor leads to what it stands for, whatever its name. */
static int
proc_follow(void *ctx, const struct fs_cred *cred, uint64_t key, struct fs_inode **out)
{
	struct service *sv = ctx;
	const struct proc *p = key_proc(sv, key);
	const struct object *o;

	if (key_kind(key) != PID_FD_LINK)
		return -ENOSYS;
	o = p ? fd_object(sv, p, key_fd(key)) : NULL;
	if (!o)
		return -ENOENT;
	if (!may_look(cred, p))
		return -EACCES;
	if (!o->inode)
		return pipe_inode(sv, o->pipe, &p->cred, out);
	*out = o->inode;
	fs_open_ref(*out);
	return 0;
}

static int
proc_readlink(void *ctx, const struct fs_cred *cred, uint64_t key, char *buf, size_t size)
{
	struct service *sv = ctx;
	struct proc *p = key_proc(sv, key);
	char text[16];
	int got;

	if (key_kind(key) == SELF)
		return text_give(text,
				 (size_t)format(text, sizeof(text), "%u", (uint32_t)cred->caller),
				 buf, size);
	if (!p)
		return -ENOENT;
	if (!may_look(cred, p))
		return -EACCES;
	if (key_kind(key) == PID_FD_LINK)
		return fd_readlink(sv, p, key_fd(key), buf, size);
	if (key_kind(key) == PID_ROOT)
		return text_give("/", 1, buf, size);
	if (key_kind(key) == PID_EXE)
		return p->exe ? text_give(p->exe, p->exe_len, buf, size) : -ENOENT;
	if (!p->cwd)
		return -ENOENT;
	got = fs_getcwd(sv->fs, p->cwd, (char *)sv->bounce, FS_PATH_MAX);
	return got < 0 ? got : text_give((char *)sv->bounce, (size_t)got - 1, buf, size);
}

/* ---- what is about a process ---- */

static char
state_letter(const struct proc *p, const struct aegis_env_info *info)
{
	if (proc_over(p))
		return 'Z';
	if (p->stop_signal)
		return 'T';
	return info->state == AEGIS_STATE_SLEEPING || info->state == AEGIS_STATE_IDLE ? 'S' : 'R';
}

/* What the process says, in KiB; no more than can be.  Which pages are of files it does not say. */
static struct procfs_memory
memory_said(const struct proc *p)
{
	const volatile struct svc_sizes *sizes;
	uint64_t size, pages, free_pages, total_pages;

	if (proc_over(p) || !p->msg)
		return (struct procfs_memory){0};
	sizes = (const volatile struct svc_sizes *)(p->msg + MSG_BYTES);
	size = sizes->virtual;
	pages = sizes->resident;
	kern_memory_read(&free_pages, &total_pages);
	if (size > EXOS_USER_TOP)
		size = EXOS_USER_TOP;
	if (pages > total_pages)
		pages = total_pages;
	if (pages > size / PAGE)
		pages = size / PAGE;
	return (struct procfs_memory){.size = size / 1024, .resident_anon = pages * (PAGE / 1024)};
}

static void
task_fill(struct service *sv, const struct proc *p, struct procfs_task *t)
{
	const uint64_t tick = 1000000000 / LX_HZ;
	struct aegis_env_info info = {0};
	const struct fs_cred *cred = &p->cred;

	if (!proc_over(p))
		(void)kern_env_read(p->env, &info);
	*t = (struct procfs_task){
		.pid = p->pid,
		.tgid = p->pid,
		.ppid = p->parent ? p->parent->pid : 0,
		.pgrp = p->pgid,
		.session = p->sid,
		.tty_pgrp = term_of(sv, p) ? sv->tty->foreground : -1,
		.tty = term_of(sv, p) ? (uint32_t)LX_MAKEDEV(5, 1) : 0,
		.state = state_letter(p, &info),
		.comm = p->comm,
		.uid = {p->ruid, cred->uid, p->suid, cred->uid},
		.gid = {p->rgid, cred->gid, p->sgid, cred->gid},
		.groups = cred->groups,
		.group_count = cred->group_count,
		.umask = p->umask,
		.user_ticks = (proc_over(p) ? p->time_ns : info.time_ns) / tick,
		.user_ticks_children = (int64_t)(p->child_user / tick),
		.system_ticks_children = (int64_t)(p->child_sys / tick),
		.threads = 1,
		.start_ticks = p->start_ns / tick,
		.resident_limit = UINT64_MAX,
		.exit_signal = LX_SIGCHLD,
		.exit_code = p->status,
		.cpu = p->cpu,
		.fd_slots = 64,
		.capabilities = cred->uid ? 0 : 0x1ffffffffffull,
		.cpus_allowed = (1ull << kern_cpus()) - 1,
		.memory = memory_said(p),
	};
}

static int
pid_text(struct service *sv, struct proc *p, enum kind kind, struct fs_sink *sink)
{
	char *buf = (char *)sv->bounce;
	struct procfs_task task;
	size_t n = 0;

	if (kind == PID_CMDLINE)
		return p->cmdline ? fs_sink_put(sink, p->cmdline, p->cmdline_len) : 0;
	task_fill(sv, p, &task);
	if (kind == PID_STAT)
		n = procfs_stat(buf, MSG_BYTES, &task);
	else if (kind == PID_STATM)
		n = procfs_statm(buf, MSG_BYTES, &task);
	else if (kind == PID_STATUS)
		n = procfs_status(buf, MSG_BYTES, &task);
	else if (kind == PID_COMM)
		n = procfs_comm(buf, MSG_BYTES, &task);
	return fs_sink_put(sink, buf, n < MSG_BYTES ? n : MSG_BYTES);
}

/* ---- what is about the system ---- */

static size_t
memory_text(char *buf, size_t size)
{
	struct procfs_system_memory memory = {0};
	uint64_t free_pages, total_pages;

	kern_memory_read(&free_pages, &total_pages);
	memory.total = total_pages * 4;
	memory.free = free_pages * 4;
	memory.available = free_pages * 4;
	memory.commit_limit = total_pages * 4;
	return procfs_meminfo(buf, size, &memory);
}

static size_t
system_text(struct service *sv, char *buf, size_t size)
{
	struct procfs_cpu_time times[AEGIS_CPUS] = {0};
	struct procfs_system system = {
		.cpu = times,
		.cpus = kern_cpus(),
		.boot_time = (core_wall_ns() - core_now_ns()) / 1000000000,
		.forks = sv->forks,
		.running = 1,
	};

	for (uint32_t i = 0; i < system.cpus; i++)
		times[i].idle = core_now_ns() / (1000000000 / LX_HZ);
	for (const struct proc *p = sv->all; p; p = p->next) {
		struct aegis_env_info info;

		if (!proc_over(p) && !kern_env_read(p->env, &info))
			times[p->cpu % AEGIS_CPUS].user += info.time_ns / (1000000000 / LX_HZ);
	}
	return procfs_system_stat(buf, size, &system);
}

static size_t
cpu_text(char *buf, size_t size)
{
	struct procfs_cpu cpu = {
		.vendor = "unknown",
		.name = "Aegis processor",
		.khz = kern_tsc_khz(),
		.cpus = kern_cpus(),
		.flags = "fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm",
		.line_size = 64,
		.physical_bits = 40,
		.virtual_bits = 48,
	};
	size_t done = 0;

	for (uint32_t i = 0; i < cpu.cpus && done < size; i++) {
		cpu.number = cpu.apic_id = i;
		done += procfs_cpuinfo(buf + done, size - done, &cpu);
	}
	return done;
}

static size_t
mounts_text(char *buf, size_t size)
{
	struct procfs_mount root = {"tmpfs", "/", "tmpfs", "rw"};
	struct procfs_mount proc = {"proc", "/proc", "proc", "rw"};
	size_t n = procfs_mounts_line(buf, size, &root);

	return n + procfs_mounts_line(buf + n, size - n, &proc);
}

static size_t
kernel_text(struct service *sv, enum kind kind, char *buf, size_t size)
{
	switch (kind) {
	case HOSTNAME:
		return (size_t)format(buf, size, "%s\n", sv->hostname);
	case OSRELEASE:
		return (size_t)format(buf, size, "%s\n", EXOS_OS_RELEASE);
	case OSTYPE:
		return (size_t)format(buf, size, "Linux\n");
	case OSVERSION:
		return (size_t)format(buf, size, "%s\n", EXOS_OS_VERSION);
	default:
		return (size_t)format(buf, size, "%u\n", PID_MAX);
	}
}

static size_t
root_text(struct service *sv, enum kind kind, char *buf, size_t size)
{
	struct procfs_load load = {.running = 1, .tasks = sv->proc_count, .last_pid = sv->last_pid};
	struct procfs_version version = {EXOS_OS_RELEASE, "exos@aegis", "", EXOS_OS_VERSION};
	size_t n;

	switch (kind) {
	case SYS_STAT:
		return system_text(sv, buf, size);
	case MEMINFO:
		return memory_text(buf, size);
	case UPTIME:
		return procfs_uptime(buf, size, core_now_ns() / 10000000, 0);
	case LOADAVG:
		return procfs_loadavg(buf, size, &load);
	case VERSION:
		return procfs_version(buf, size, &version);
	case CPUINFO:
		return cpu_text(buf, size);
	case MOUNTS:
	case PID_MOUNTS:
		return mounts_text(buf, size);
	case FILESYSTEMS:
		n = procfs_filesystems_line(buf, size, "tmpfs", false);
		return n + procfs_filesystems_line(buf + n, size - n, "proc", false);
	case CMDLINE:
		return procfs_boot_line(buf, size, "");
	default:
		return kernel_text(sv, kind, buf, size);
	}
}

static int
proc_content(void *ctx, const struct fs_cred *cred, uint64_t key, struct fs_sink *sink)
{
	struct service *sv = ctx;
	struct proc *p;
	size_t n;

	(void)cred;
	if (key_pid(key)) {
		p = key_proc(sv, key);
		if (!p)
			return -ENOENT;
		if (key_kind(key) == PID_MAPS)
			return 0;
		if (key_kind(key) != PID_MOUNTS)
			return pid_text(sv, p, key_kind(key), sink);
	}
	n = root_text(sv, key_kind(key), (char *)sv->bounce, MSG_BYTES);
	return fs_sink_put(sink, sv->bounce, n < MSG_BYTES ? n : MSG_BYTES);
}

int
procfs_init(struct service *sv)
{
	struct fs_path path = {.text = "/proc", .len = 5};
	struct fs_inode *dir;
	int err = fs_lookup(sv->fs, &fs_cred_root, &path, FS_LOOKUP_FOLLOW | FS_LOOKUP_DIRECTORY,
			    &dir);

	if (err)
		return err;
	sv->proc_ops.lookup = proc_lookup;
	sv->proc_ops.next = proc_next;
	sv->proc_ops.readlink = proc_readlink;
	sv->proc_ops.follow = proc_follow;
	sv->proc_ops.content = proc_content;
	sv->proc_ops.refresh = proc_refresh;
	err = fs_synth_mount(sv->fs, dir, &sv->proc_ops, sv, ROOT, 1, LX_PROC_SUPER_MAGIC);
	fs_close(sv->fs, dir);
	return err;
}
