/* SPDX-License-Identifier: MIT */
/*
 * The domain's beginning, and the rounds of the main loop.
 *
 * Everything comes from the host page: the archive becomes the root directory, its frames staying
 * where they are; the manifest says what the first process is and what its descriptors are.  What
 * goes wrong here goes wrong before any program runs, and ends the domain with a line in the log.
 *
 * A round of the main loop does what a transfer cannot: it finds processes that the kernel ended,
 * and finishes the destruction of spaces.
 */
#include "exos/service/priv.h"
#include <host/channel.h>
#include <host/manifest.h>

bool
manifest_each(struct service *sv, struct manifest_cursor *cursor, const char *key)
{
	struct manifest_record record;

	while (manifest_next(sv->manifest, sv->manifest_bytes, &cursor->offset, &record)) {
		if (!manifest_is(&record, key))
			continue;
		cursor->value = record.value;
		cursor->length = record.value_length;
		return true;
	}
	return false;
}

bool
manifest_value(struct service *sv, const char *key, char *to, size_t size)
{
	struct manifest_cursor cursor = {0};
	size_t n;

	to[0] = 0;
	if (!manifest_each(sv, &cursor, key))
		return false;
	n = cursor.length < size - 1 ? cursor.length : size - 1;
	memcpy(to, cursor.value, n);
	to[n] = 0;
	return true;
}

/* ---- memory that is already there ---- */

/* `bytes` bytes from `offset` of a run of frames. */
static const uint8_t *
run_map(uint32_t frame, uint64_t offset, uint64_t bytes, uint32_t *pages)
{
	uint64_t n = (offset % PAGE + bytes + PAGE - 1) / PAGE;
	const uint8_t *at = NULL;
	uint32_t *pfns;

	if (!n || n > 1u << 17)
		return NULL;
	pfns = core_alloc(n * sizeof(*pfns));
	if (!pfns)
		return NULL;
	for (uint64_t i = 0; i < n; i++)
		pfns[i] = frame + (uint32_t)(offset / PAGE + i);
	at = core_arena_map(pfns, (uint32_t)n, AEGIS_BIND_READ);
	core_free(pfns, n * sizeof(*pfns));
	*pages = (uint32_t)n;
	return at ? at + offset % PAGE : NULL;
}

static int
host_map(struct service *sv)
{
	const struct host_page *host = sv->host;
	uint32_t pages;

	sv->manifest_bytes = host->manifest_bytes;
	sv->manifest = (const char *)run_map(host->manifest_frame, host->manifest_offset,
					     host->manifest_bytes, &pages);
	if (!sv->manifest)
		return -ENOMEM;
	sv->archive = run_map(host->archive_frame, 0, host->archive_bytes, &sv->archive_pages);
	return sv->archive ? 0 : -ENOMEM;
}

/* ---- the tree ---- */

static int
root_load(struct service *sv)
{
	uint64_t seed[2] = {core_now_ns() * 0x9e3779b97f4a7c15ull, core_wall_ns()};
	struct fs_limits limits = {0};
	struct fs_archive archive = {
		.data = sv->archive,
		.size = sv->host->archive_bytes,
		.pfn = sv->host->archive_frame,
		.borrow = true,
		.root = "root",
	};
	struct fs_archive_report report = {0};
	char text[65];
	int err;

	if (manifest_value(sv, "seed", text, sizeof(text))) {
		for (uint32_t i = 0; text[i]; i++)
			seed[i / 32] = seed[i / 32] << 4 ^ (uint8_t)text[i];
	}
	sv->fs = fs_create(&sv->fs_ops, sv, &limits, seed);
	if (!sv->fs)
		return -ENOMEM;
	err = fs_load_cpio(sv->fs, &archive, &report);
	if (err)
		core_log("exos: the archive cannot be loaded: %s at %lu: %d\n",
			 report.reason ? report.reason : "?", (unsigned long)report.offset, err);
	return err;
}

static void
dir_make(struct service *sv, const char *name, uint32_t mode)
{
	struct fs_path path = {.text = name, .len = strlen(name)};
	struct fs_inode *inode;

	if (fs_mkdir(sv->fs, &fs_cred_root, &path, mode) ||
	    fs_lookup(sv->fs, &fs_cred_root, &path, FS_LOOKUP_FOLLOW, &inode))
		return;
	(void)fs_chmod(sv->fs, &fs_cred_root, inode, mode);
	fs_close(sv->fs, inode);
}

static void
node_make(struct service *sv, const char *name, uint64_t rdev, uint32_t mode)
{
	struct fs_path path = {.text = name, .len = strlen(name)};

	(void)fs_mknod(sv->fs, &fs_cred_root, &path, FS_IFCHR | mode, rdev);
}

static void
link_make(struct service *sv, const char *name, const char *target)
{
	struct fs_path path = {.text = name, .len = strlen(name)};

	(void)fs_symlink(sv->fs, &fs_cred_root, target, strlen(target), &path);
}

/* What is there already stays as it is. */
static void
root_complete(struct service *sv)
{
	dir_make(sv, "/dev", 0755);
	dir_make(sv, "/dev/shm", 01777);
	dir_make(sv, "/proc", 0555);
	dir_make(sv, "/tmp", 01777);
	node_make(sv, "/dev/null", LX_MAKEDEV(1, 3), 0666);
	node_make(sv, "/dev/zero", LX_MAKEDEV(1, 5), 0666);
	node_make(sv, "/dev/full", LX_MAKEDEV(1, 7), 0666);
	node_make(sv, "/dev/random", LX_MAKEDEV(1, 8), 0666);
	node_make(sv, "/dev/urandom", LX_MAKEDEV(1, 9), 0666);
	node_make(sv, "/dev/tty", LX_MAKEDEV(5, 0), 0666);
	node_make(sv, "/dev/console", LX_MAKEDEV(5, 1), 0620);
	link_make(sv, "/dev/fd", "/proc/self/fd");
	link_make(sv, "/dev/stdin", "/proc/self/fd/0");
	link_make(sv, "/dev/stdout", "/proc/self/fd/1");
	link_make(sv, "/dev/stderr", "/proc/self/fd/2");
}

/* ---- the first process ---- */

static int64_t
first_device(struct service *sv, struct proc *p, const char *name)
{
	struct svc s = {.op = SVC_OPEN, .a = SVC_CWD, .b = strlen(name), .c = LX_O_RDWR};

	memcpy(p->msg, name, s.b);
	return op_open(sv, p, &s);
}

static int64_t
first_pipe(struct service *sv, struct proc *p, uint32_t stream)
{
	struct pipe *pipe = pipe_adopt(sv, stream, false);
	struct svc_opened opened;
	struct object *o;
	int64_t id;

	if (!pipe)
		return -ENOMEM;
	id = object_new(sv, p, &o);
	if (id < 0)
		return id;
	o->type = stream ? SVC_T_PIPE_WRITE : SVC_T_PIPE_READ;
	o->flags = stream ? LX_O_WRONLY : LX_O_RDONLY;
	o->pipe = pipe;
	o->read = !stream;
	o->write = stream;
	pipe_opened(pipe, o->read, o->write);
	if (object_show(sv, p, o, &opened)) {
		object_drop(sv, p, o);
		return -ENOMEM;
	}
	return id;
}

/* Descriptors 0 to 2.  Those that are the terminal are one open file. */
static int
first_files(struct service *sv, struct proc *p)
{
	int64_t id, terminal = -1;

	for (uint32_t i = 0; i < 3; i++) {
		switch (sv->host->stream[i].kind) {
		case HOST_NULL:
			id = first_device(sv, p, "/dev/null");
			break;
		case HOST_PIPE:
			id = first_pipe(sv, p, i);
			break;
		case HOST_TTY:
			if (terminal < 0)
				terminal = first_device(sv, p, "/dev/console");
			id = terminal;
			break;
		case HOST_SAME:
			id = sv->first_fd[1];
			break;
		default:
			id = UINT32_MAX;
		}
		if (id < 0)
			return (int)id;
		sv->first_fd[i] = (uint32_t)id;
	}
	return 0;
}

static int
first_start(struct service *sv)
{
	char key[32], path[256];
	struct fs_path cwd = {.text = path};
	struct fs_inode *inode;
	struct proc *p;
	int err = proc_create(sv, NULL, false, &p);

	if (err)
		return err;
	sv->first = p;
	format(key, sizeof(key), "%u.cwd", sv->host->domain);
	manifest_value(sv, key, path, sizeof(path));
	cwd.len = strlen(path);
	if (cwd.len && !fs_lookup(sv->fs, &fs_cred_root, &cwd,
				  FS_LOOKUP_FOLLOW | FS_LOOKUP_DIRECTORY, &inode)) {
		fs_close(sv->fs, p->cwd);
		p->cwd = inode;
	}
	format(key, sizeof(key), "%u.path", sv->host->domain);
	manifest_value(sv, key, path, sizeof(path));
	err = proc_exec_note(p, path, strlen(path), "", 0);
	if (!err)
		err = first_files(sv, p);
	if (!err)
		err = kern_first_setup(p);
	if (err)
		return err;
	p->state = PROC_LIVE;
	kern_start(p->env);
	return 0;
}

/* ---- what every space gets ---- */

static void
birth_add(struct service *sv, uint64_t va, uint32_t pfn, uint32_t prot)
{
	if (!sv->birth_count || !core_run_add(&sv->birth[sv->birth_count - 1], va, pfn, prot))
		sv->birth[sv->birth_count++] = (struct aegis_bind){va, pfn, prot};
}

struct elf_head {
	uint8_t magic[32];
	uint64_t phoff;
	uint8_t between[14];
	uint16_t phentsize, phnum;
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* Whether the image's page holds data that was relocated: it is not to be executed. */
static bool
image_is_data(uint32_t page)
{
	const uint8_t *image = kern_image();
	const struct elf_head *head = (const void *)image;

	if (!image || head->phentsize != sizeof(struct elf_segment))
		return false;
	for (uint32_t i = 0; i < head->phnum; i++) {
		const struct elf_segment *s = (const void *)(image + head->phoff + i * sizeof(*s));
		uint64_t at = s->vaddr % EXOS_BASE;

		if (s->type == 1 && s->flags & 2 && (at & ~(uint64_t)(PAGE - 1)) <= page * PAGE &&
		    page * PAGE < at + s->memsz)
			return true;
	}
	return false;
}

static int
birth_init(struct service *sv)
{
	const struct host_page *host = sv->host;
	uint32_t frame = kern_system_frame(), keep = AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED;

	if (!host->image_pages || host->image_pages > EXOS_IMAGE_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < host->image_pages; i++)
		birth_add(sv, EXOS_IMAGE + (uint64_t)i * PAGE, host->image_frame + i,
			  keep | (image_is_data(i) ? 0 : AEGIS_BIND_EXEC));
	if (frame != FS_NO_PFN)
		birth_add(sv, EXOS_SYSPAGE, frame, keep);
	return 0;
}

/* ---- all of it ---- */

int
service_init(struct service *sv, struct host_page *host)
{
	int err;

	sv->host = host;
	memcpy(sv->hostname, "exos", 5);
	frame_init(sv);
	frame_ops(sv);
	err = host_map(sv);
	if (!err)
		err = birth_init(sv);
	if (!err)
		err = root_load(sv);
	if (err)
		return err;
	root_complete(sv);
	err = procfs_init(sv);
	if (!err)
		err = term_init(sv);
	if (!err)
		err = first_start(sv);
	frame_flush(sv);
	return err;
}

/* Upcalls for those whose time has come; the next is when the service must look again. */
static void
alarms_ring(struct service *sv)
{
	uint64_t now = core_now_ns();

	sv->alarm_ns = UINT64_MAX;
	for (struct proc *p = sv->all; p; p = p->next) {
		if (p->state != PROC_LIVE || !p->alarm_ns)
			continue;
		if (p->alarm_ns <= now) {
			p->alarm_ns = 0;
			kern_upcall(p->env);
		} else if (p->alarm_ns < sv->alarm_ns) {
			sv->alarm_ns = p->alarm_ns;
		}
	}
}

void
service_work(struct service *sv)
{
	proc_find_dead(sv);
	term_pump(sv);
	domain_finish(sv);
	alarms_ring(sv);
	frame_flush(sv);
}
