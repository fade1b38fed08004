/* SPDX-License-Identifier: MIT */
/*
 * The process table: numbers, birth, exec.
 *
 * A process has an environment and a space of its own, made under the name of its user, so that
 * processes of one user can reach each other's and nobody else's.  The service gives it at birth
 * what it cannot get by itself: the image, the system page, its mail page, which only the service
 * writes, and the message pages, which both write.  Everything else its parent puts there; the very
 * first process is put together in kernel.c.
 *
 *  1. A pid is not reused while a process, a group or a session has that number.
 *  2. The environment's number finds the process only while it is not over.
 *  3. Mail is written by the service alone; its frame is guarded by the domain's name, which
 * processes cannot use to bind anything.
 */
#include "exos/service/priv.h"

struct proc *
proc_find(struct service *sv, int32_t pid)
{
	struct proc *p = sv->by_pid[(uint32_t)pid % HASH];

	while (p && p->pid != pid)
		p = p->pid_next;
	return p;
}

struct proc *
proc_by_env(struct service *sv, uint32_t env)
{
	struct proc *p = sv->by_env[env % HASH];

	while (p && p->env != env)
		p = p->env_next;
	return p;
}

void
proc_hash_env(struct service *sv, struct proc *p)
{
	p->env_next = sv->by_env[p->env % HASH];
	sv->by_env[p->env % HASH] = p;
}

void
proc_unhash_env(struct service *sv, struct proc *p)
{
	struct proc **link = &sv->by_env[p->env % HASH];

	while (*link && *link != p)
		link = &(*link)->env_next;
	if (*link)
		*link = p->env_next;
	p->env_next = NULL;
}

static bool
pid_in_use(struct service *sv, int32_t pid)
{
	if (proc_find(sv, pid))
		return true;
	for (const struct proc *p = sv->all; p; p = p->next) {
		if (p->pgid == pid || p->sid == pid)
			return true;
	}
	return false;
}

static int32_t
pid_choose(struct service *sv)
{
	int32_t pid = sv->last_pid;

	for (uint32_t tries = 0; tries < PID_MAX; tries++) {
		pid = pid >= (int32_t)PID_MAX - 1 ? 2 : pid + 1;
		if (!pid_in_use(sv, pid)) {
			sv->last_pid = pid;
			return pid;
		}
	}
	return 0;
}

static char *
text_copy(const char *text, uint32_t len)
{
	char *copy = len ? core_alloc(len) : NULL;

	if (copy)
		memcpy(copy, text, len);
	return copy;
}

/* ---- memory of a process's entry ---- */

static void
proc_list(struct service *sv, struct proc *p)
{
	p->next = sv->all;
	p->link = &sv->all;
	if (sv->all)
		sv->all->link = &p->next;
	sv->all = p;
	p->pid_next = sv->by_pid[(uint32_t)p->pid % HASH];
	sv->by_pid[(uint32_t)p->pid % HASH] = p;
	if (p->env)
		proc_hash_env(sv, p);
	sv->proc_count++;
}

/* Of a process that is over and that the kernel knows no more. */
void
proc_free(struct service *sv, struct proc *p)
{
	struct proc **link = &sv->by_pid[(uint32_t)p->pid % HASH];

	while (*link != p)
		link = &(*link)->pid_next;
	*link = p->pid_next;
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	sv->proc_count--;
	core_free(p, sizeof(*p));
}

static void
proc_inherit(struct service *sv, const struct proc *parent, struct proc *p)
{
	p->ruid = parent->ruid;
	p->suid = parent->suid;
	p->rgid = parent->rgid;
	p->sgid = parent->sgid;
	p->cred = parent->cred;
	p->umask = parent->umask;
	p->pgid = parent->pgid;
	p->sid = parent->sid;
	p->cwd = parent->cwd;
	fs_open_ref(p->cwd);
	memcpy(p->comm, parent->comm, sizeof(p->comm));
	p->exe = text_copy(parent->exe, parent->exe_len);
	p->exe_len = p->exe ? parent->exe_len : 0;
	p->cmdline = text_copy(parent->cmdline, parent->cmdline_len);
	p->cmdline_len = p->cmdline ? parent->cmdline_len : 0;
	(void)sv;
}

void
proc_mail(struct service *sv, struct proc *p)
{
	struct mail *mail = p->mail;

	mail->pid = (uint32_t)p->pid;
	mail->ppid = p->parent ? (uint32_t)p->parent->pid : 0;
	mail->pgid = (uint32_t)p->pgid;
	mail->sid = (uint32_t)p->sid;
	mail->service_env = kern_env_self();
	mail->uid = p->ruid;
	mail->euid = p->cred.uid;
	mail->gid = p->rgid;
	mail->egid = p->cred.gid;
	mail->umask = p->umask;
	memcpy(mail->hostname, sv->hostname, sizeof(mail->hostname));
}

/* ---- birth ---- */

static int
pages_add(struct core_binds *b, const struct proc *p)
{
	uint32_t prot = AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED;
	int err = core_binds_add(b, EXOS_MAIL, p->frames[0], prot, 0);

	for (uint32_t i = 0; i < EXOS_MSG_PAGES && !err; i++)
		err = core_binds_add(b, EXOS_MSG + (uint64_t)i * PAGE, p->frames[1 + i],
				     prot | AEGIS_BIND_WRITE, 0);
	return err;
}

int
proc_pages_show(struct proc *p, uint32_t space)
{
	struct core_binds b;
	int err;

	core_binds_start(&b, EXOS_CAP_OWN, space);
	err = pages_add(&b, p);
	return err ? err : core_binds_flush(&b);
}

void
proc_pages_hide(const struct proc *p, uint32_t space)
{
	core_unshare(EXOS_CAP_OWN, space, p->frames, 1 + EXOS_MSG_PAGES);
}

/* Mail and message pages, with nothing in them that another user wrote. */
static int
proc_pages_take(struct service *sv, struct proc *p)
{
	if (sv->spare_pages_count) {
		struct proc_pages *spare = &sv->spare_pages[--sv->spare_pages_count];

		p->pages = spare->at;
		memcpy(p->frames, spare->frames, sizeof(p->frames));
		memset(p->pages, 0, sizeof(struct mail));
		if (spare->uid != p->ruid)
			memset(p->pages + PAGE, 0, MSG_BYTES);
		memset(SVC_TAIL(p->pages + PAGE), 0, offsetof(struct svc_tail, object));
	} else {
		int err = core_frames_alloc(EXOS_CAP_OWN, p->frames, 1 + EXOS_MSG_PAGES);

		if (err)
			return err;
		p->pages = core_arena_map(p->frames, 1 + EXOS_MSG_PAGES,
					  AEGIS_BIND_READ | AEGIS_BIND_WRITE);
		if (!p->pages) {
			core_frames_free(p->frames, 1 + EXOS_MSG_PAGES);
			return -ENOMEM;
		}
	}
	p->mail = (struct mail *)p->pages;
	p->msg = p->pages + PAGE;
	p->pages_uid = p->ruid;
	return 0;
}

void
proc_pages_give(struct service *sv, struct proc *p)
{
	struct proc_pages *spare = &sv->spare_pages[sv->spare_pages_count];

	if (!p->pages)
		return;
	if (sv->spare_pages_count < SPARE_PAGES && !sv->ending) {
		spare->at = p->pages;
		spare->uid = p->pages_uid;
		memcpy(spare->frames, p->frames, sizeof(p->frames));
		sv->spare_pages_count++;
	} else {
		core_arena_unmap(p->pages, 1 + EXOS_MSG_PAGES);
		core_frames_free(p->frames, 1 + EXOS_MSG_PAGES);
	}
	p->pages = NULL;
}

static int
place_bind(struct service *sv, struct proc *p)
{
	struct core_binds b;
	/* Held for as long as it takes to hand it on. */
	int err = core_hold(EXOS_CAP_OWN, &p->env_frame, 1, AEGIS_READ);

	if (err)
		return err;
	core_binds_new(&b, EXOS_CAP_OWN, p->space, 0);
	for (uint32_t i = 0; i < sv->birth_count && !err; i++) {
		const struct aegis_bind *r = &sv->birth[i];

		err = core_binds_add(&b, r->va, r->pfn, r->prot % AEGIS_BIND_MORE(1),
				     r->prot / AEGIS_BIND_MORE(1));
	}
	if (!err)
		err = core_binds_add(&b, EXOS_ENVPAGE, p->env_frame,
				     AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED, 0);
	if (!err)
		err = pages_add(&b, p);
	if (!err)
		err = core_binds_flush(&b);
	core_frames_free(&p->env_frame, 1);
	if (!err)
		err = kern_grant(p->slot, p->env, RIGHTS_OWN, EXOS_CAP_OWN);
	if (!err)
		err = kern_grant(EXOS_CAP_OWN, p->env, AEGIS_WAKE, EXOS_CAP_DOMAIN);
	if (!err)
		err = kern_grant(EXOS_CAP_SERVICE, p->env, AEGIS_CALL, EXOS_CAP_SERVICE);
	return err;
}

int
proc_place_make(struct service *sv, struct proc *p)
{
	uint32_t frames[6];
	int err = core_frames_alloc(EXOS_CAP_OWN, frames, 6);

	if (!err)
		err = kern_process_alloc(p->slot, p, frames);
	if (err)
		return err;
	err = place_bind(sv, p);
	/* Nothing ran there: it ends at once. */
	if (err)
		(void)proc_kernel_release(p);
	return err;
}

static void
proc_unmake(struct service *sv, struct proc *p)
{
	if (p->cwd)
		fs_close(sv->fs, p->cwd);
	if (p->exe)
		core_free(p->exe, p->exe_len);
	if (p->cmdline)
		core_free(p->cmdline, p->cmdline_len);
	if (p->held)
		core_free(p->held, OBJ_WORDS * sizeof(uint64_t));
	name_give(sv, p->slot);
	name_give(sv, p->child_slot);
	core_free(p, sizeof(*p));
}

int
proc_create(struct service *sv, struct proc *parent, bool lend, struct proc **out)
{
	struct proc *p;
	int err;

	if (sv->proc_count >= PROC_MAX || sv->ending)
		return -EAGAIN;
	p = heap_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->pid = parent ? pid_choose(sv) : 1;
	p->held = heap_zalloc(OBJ_WORDS * sizeof(uint64_t));
	p->slot = name_take(sv, parent ? parent->ruid : 0);
	p->child_slot = name_take(sv, parent ? parent->ruid : 0);
	p->own_slot = EXOS_CAP_OWN;
	p->opening = SVC_CWD;
	p->parent = parent;
	p->cpu = kern_cpu_choose();
	p->start_ns = core_now_ns();
	if (parent) {
		proc_inherit(sv, parent, p);
	} else {
		p->pgid = p->sid = 1;
		p->cwd = fs_root(sv->fs);
		sv->last_pid = 1;
	}
	err = !p->pid ? -EAGAIN : !p->held || !p->slot || !p->child_slot ? -ENOMEM : 0;
	if (!err)
		err = proc_pages_take(sv, p);
	if (!err && !lend)
		err = proc_place_make(sv, p);
	if (err) {
		proc_pages_give(sv, p);
		proc_unmake(sv, p);
		return err;
	}
	p->cred.caller = (uint64_t)p->pid;
	proc_mail(sv, p);
	proc_list(sv, p);
	*out = p;
	return 0;
}

int64_t
op_fork(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc *child;
	int err;

	if (s->a & SVC_FORK_LEND)
		return op_lend(sv, p, s);
	if (s->a & ~(uint64_t)SVC_FORK_VFORK)
		return -EINVAL;
	err = proc_create(sv, p, false, &child);
	if (err)
		return err;
	object_clone_all(sv, p, child);
	if (share_clone(p, child)) {
		proc_discard(sv, child);
		return -ENOMEM;
	}
	sv->forks++;
	child->vfork = s->a & SVC_FORK_VFORK;
	s->a = child->env;
	s->b = child->space;
	s->c = child->cpu;
	s->d = p->own_slot;
	return child->pid;
}

static struct proc *
child_find(struct service *sv, struct proc *p, uint64_t pid)
{
	struct proc *child = pid < PID_MAX ? proc_find(sv, (int32_t)pid) : NULL;

	return child && child->parent == p ? child : NULL;
}

int64_t
op_start(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc *child = child_find(sv, p, s->a);

	if (!child)
		return -ESRCH;
	if (child->state == PROC_NEW) {
		child->state = PROC_LIVE;
		kern_start(child->env);
	}
	return 0;
}

int64_t
op_vfork_done(struct service *sv, struct proc *p, struct svc *s)
{
	const struct proc *child = child_find(sv, p, s->a);

	/* Exec and the end of the child wake its parent. */
	return !child || child->state != PROC_LIVE || !child->vfork;
}

int64_t
op_abandon(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc *child = child_find(sv, p, s->a);

	if (!child || child->state != PROC_NEW)
		return -ESRCH;
	proc_discard(sv, child);
	return 0;
}

/* ---- exec ---- */

/* What a child says that it wrote since it was forked goes to its parent, who forks again perhaps. */
void
proc_hot_pass(const struct proc *p)
{
	const struct svc_sizes *sizes;

	if (p->execed || p->lender || !p->msg || !p->parent || !p->parent->mail)
		return;
	sizes = (const struct svc_sizes *)(p->msg + SVC_MSG_BYTES);
	memcpy(p->parent->mail->hot, sizes->hot, sizeof(sizes->hot));
}

int
proc_exec_note(struct proc *p, const char *exe, size_t exe_len, const char *args, size_t n)
{
	char *text = text_copy(exe, (uint32_t)exe_len), *line = text_copy(args, (uint32_t)n);
	size_t name = exe_len;

	if ((exe_len && !text) || (n && !line)) {
		if (text)
			core_free(text, exe_len);
		if (line)
			core_free(line, n);
		return -ENOMEM;
	}
	if (p->exe)
		core_free(p->exe, p->exe_len);
	if (p->cmdline)
		core_free(p->cmdline, p->cmdline_len);
	p->exe = text;
	p->exe_len = (uint32_t)exe_len;
	p->cmdline = line;
	p->cmdline_len = (uint32_t)n;
	while (name && exe[name - 1] != '/')
		name--;
	memset(p->comm, 0, sizeof(p->comm));
	memcpy(p->comm, exe + name,
	       exe_len - name < LX_COMM_LEN - 1 ? exe_len - name : LX_COMM_LEN - 1);
	return 0;
}

int64_t
op_exec(struct service *sv, struct proc *p, struct svc *s)
{
	int64_t len;
	int err = path_read(sv, p, 0, s->a, sv->path[0]);

	if (err)
		return err;
	if (s->b > CMDLINE_MAX)
		return -E2BIG;
	/* It will be the text of a link: /proc/PID/exe. */
	if (strlen(sv->path[0]) != s->a)
		return -EINVAL;
	len = (int64_t)s->a;
	if (!strcmp(sv->path[0], "/proc/self/exe") && p->exe) {
		memcpy(sv->path[0], p->exe, p->exe_len);
		len = p->exe_len;
	} else if (sv->path[0][0] != '/') {
		memcpy(sv->path[1], sv->path[0], (size_t)len);
		sv->path[1][len] = 0;
		len = path_absolute(sv, p, sv->path[0]);
		if (len < 0)
			return len;
	}
	memcpy(sv->bounce, p->msg + SVC_PATH2, s->b);
	err = proc_exec_note(p, sv->path[0], (size_t)len, (const char *)sv->bounce, s->b);
	if (err)
		return err;
	proc_hot_pass(p);
	p->execed = true;
	if (p->vfork) {
		p->vfork = false;
		if (p->parent)
			core_wake(p->parent->env);
	}
	return 0;
}
