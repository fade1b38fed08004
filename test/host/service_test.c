/* SPDX-License-Identifier: MIT */
/*
 * The domain's service: processes, objects, names, pipes, terminal, and failing memory.
 */
#include "test/host/service_case.h"

static void
test_start(void)
{
	struct svc_first *first;
	char *text;

	IS(domain_make(false), 0);
	CHECK(sv->first && sv->first->pid == 1 && sv->first->state == PROC_LIVE);
	IS(fake.env[sv->first->env].state, AEGIS_STATE_READY);
	IS(sv->first->mail->pid, 1);
	IS(sv->first->mail->service_env, FAKE_SELF);
	IS(call(1, SVC_FIRST), 0);
	first = (void *)msg_of(1);
	text = (char *)first;
	CHECK(!strcmp(text + first->path, "/bin/busybox"));
	CHECK(!strcmp(text + first->cwd, "/etc"));
	IS(first->argc, 2);
	CHECK(!memcmp(text + first->argv, "busybox\0sh", 11));
	IS(first->envc, 1);
	for (int i = 0; i < 3; i++) {
		struct svc_opened opened;

		memcpy(&opened, text + first->opened[i], sizeof(opened));
		IS(opened.obj, first->fds[i]);
		IS(opened.type, i ? SVC_T_PIPE_WRITE : SVC_T_PIPE_READ);
		IS(opened.host, 1);
		IS(opened.frames[16], host->stream[i].frames[16]);
		IS(fake_held(sv->first->space, opened.frames[16]), AEGIS_READ | AEGIS_WRITE);
	}
	IS(call(1, SVC_OPS), -ENOSYS);
	IS(call(1, -5), -ENOSYS);
	IS(call(1, SVC_HOST_INPUT), -EPERM);
	IS(call(0, SVC_GETPGID), -EPERM);
	last = (struct svc){.op = SVC_GETPGID};
	service_dispatch(sv, &last, 4000);
	IS(last.op, -EPERM);
}

static void
test_files(void)
{
	struct svc_opened opened;
	struct fs_stat st;
	uint32_t pfns[4];
	int64_t obj, other;

	obj = open_(1, "/bin/busybox", LX_O_RDONLY, 0);
	CHECK(obj >= 0);
	opened = opened_at(1);
	IS(opened.type, SVC_T_FILE);
	IS(info_of(&opened)->size, BUSYBOX_BYTES);
	IS(info_of(&opened)->mode, 0100755);
	IS(fake_held(sv->first->space, opened.info_frame), AEGIS_READ);
	IS(call_d(1, SVC_MAP, (uint64_t)obj, 0, 8, 0), 3);
	memcpy(pfns, msg_of(1), sizeof(pfns));
	IS(fake_frame(pfns[0])[10], 71);
	CHECK(pfns[0] - host->archive_frame < ARCHIVE_PAGES);
	IS(fake_held(sv->first->space, pfns[0]), AEGIS_READ);
	CHECK(pfns[2] - host->archive_frame >= ARCHIVE_PAGES); /* the tail was copied */
	IS(fake_frame(pfns[2])[BUSYBOX_BYTES - 2 * PAGE], 0);
	IS(call_d(1, SVC_MAP, (uint64_t)obj, 0, 1, 1), -EACCES);
	IS(call_d(1, SVC_MAP, (uint64_t)obj, 100, 1, 0), 0);
	IS(call_d(1, SVC_MAP, (uint64_t)obj, UINT64_MAX, UINT64_MAX, 0), 0);
	IS(call_c(1, SVC_STAT, (uint64_t)obj, 0, 0), 0);
	memcpy(&st, msg_of(1), sizeof(st));
	IS(st.size, BUSYBOX_BYTES);
	/* A relative path, from the working directory that the manifest said. */
	other = open_(1, "motd", LX_O_RDONLY, 0);
	CHECK(other >= 0);
	IS(call_c(1, SVC_EXTEND, (uint64_t)other, 0, 10), -EBADF);
	IS(call_a(1, SVC_CLOSE, (uint64_t)other), 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)other), -EBADF);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), -EBADF);
	IS(fake_held(sv->first->space, opened.info_frame), 0);
	IS(open_(1, "/nonexistent", LX_O_RDONLY, 0), -ENOENT);
	IS(call_d(1, SVC_OPEN, SVC_CWD, 5000, 0, 0), -ENAMETOOLONG);
	IS(call_d(1, SVC_OPEN, SVC_CWD, UINT64_MAX, 0, 0), -ENAMETOOLONG);
}

static void
test_writing(void)
{
	struct svc_opened opened, second;
	int64_t obj, reader;
	uint32_t pfn, layout;
	int child;

	obj = open_(1, "/tmp/new", LX_O_RDWR | LX_O_CREAT, 0644);
	CHECK(obj >= 0);
	opened = opened_at(1);
	IS(fake_held(sv->first->space, opened.info_frame), AEGIS_READ | AEGIS_WRITE);
	IS(call_d(1, SVC_MAP, (uint64_t)obj, 0, 2, 1), 2);
	memcpy(&pfn, msg_of(1), sizeof(pfn));
	IS(fake_held(sv->first->space, pfn), AEGIS_READ | AEGIS_WRITE);
	memcpy(fake_frame(pfn), "written", 7);
	IS(call_c(1, SVC_EXTEND, (uint64_t)obj, 0, 7), 0);
	IS(info_of(&opened)->size, 7);
	info_of(&opened)->size = 5000; /* the writer goes on by itself */
	child = fork_(1);
	reader = open_(child, "/tmp/new", LX_O_RDONLY, 0);
	CHECK(reader >= 0);
	second = opened_at(child);
	IS(second.info_frame, opened.info_frame);
	IS(info_of(&second)->size, 5000);
	IS(call_d(child, SVC_MAP, (uint64_t)reader, 0, 4, 0), 2);
	IS(*(uint32_t *)(void *)msg_of(child), pfn);
	layout = info_of(&opened)->layout;
	IS(call_c(1, SVC_TRUNCATE, (uint64_t)obj, 0, 0), 0);
	IS(info_of(&opened)->size, 0);
	CHECK(info_of(&opened)->layout != layout);
	IS(fake_held(proc_of(child)->space, pfn), 0);
	IS(fake_held(sv->first->space, pfn), 0);
	IS(path_call(1, SVC_UNLINK, "/tmp/new", 0, 0), 0);
	IS(info_of(&opened)->nlink, 0);
	IS(call_a(1, SVC_EXIT, 0) || 1, 1);
	CHECK(sv->ended && host->ended);
	IS(host->exit_value, 0);
	IS(domain_make(false), 0);
}

static void
test_names(void)
{
	char *text;
	int64_t dir;

	IS(path_call(1, SVC_MKDIR, "/tmp/d", 0755, 0), 0);
	IS(path_call(1, SVC_MKDIR, "/tmp/d", 0755, 0), -EEXIST);
	dir = open_(1, "/tmp/d", LX_O_RDONLY | LX_O_DIRECTORY, 0);
	CHECK(dir >= 0);
	IS(opened_at(1).type, SVC_T_DIR);
	memcpy(msg_of(1), "f", 1);
	CHECK(call_d(1, SVC_OPEN, (uint64_t)dir, 1, LX_O_WRONLY | LX_O_CREAT, 0600) >= 0);
	IS(rename_(1, "/tmp/d/f", "/tmp/d/g"), 0);
	memcpy(msg_of(1), "g", 1);
	memcpy(msg_of(1) + SVC_PATH2, "h", 1);
	IS(call5(1, SVC_LINK, (uint64_t)dir, 1, (uint64_t)dir, 1, 0), 0);
	CHECK(call_b(1, SVC_GETDENTS, (uint64_t)dir, 16384) > 0);
	CHECK(call_b(1, SVC_SEEKDIR, (uint64_t)dir, 0) > 0);
	IS(call_b(1, SVC_SEEKDIR, (uint64_t)dir, UINT64_MAX), 0);
	memcpy(msg_of(1), "target", 6);
	memcpy(msg_of(1) + SVC_PATH2, "/tmp/link", 9);
	IS(call_c(1, SVC_SYMLINK, 6, SVC_CWD, 9), 0);
	IS(path_call(1, SVC_READLINK, "/tmp/link", 0, 0), 6);
	CHECK(!memcmp(msg_of(1), "target", 6));
	IS(path_call(1, SVC_CHMOD, "/tmp/d/g", 0640, 0), 0);
	IS(path_call(1, SVC_ACCESS, "/tmp/d/g", 7, 0), -EACCES);
	IS(path_call(1, SVC_ACCESS, "/tmp/d/g", 6, 0), 0);
	IS(path_call(1, SVC_CHDIR, "/tmp/d", 0, 0), 0);
	IS(call(1, SVC_GETCWD), 7);
	text = (char *)msg_of(1);
	CHECK(!strcmp(text, "/tmp/d"));
	IS(path_call(1, SVC_UNLINK, "/tmp/d", 0, 0), -EISDIR);
	IS(path_call(1, SVC_UNLINK, "/tmp/d", LX_AT_REMOVEDIR, 0), -ENOTEMPTY);
	IS(path_call(1, SVC_STATFS, "/tmp", 0, 0), 0);
	IS(path_call(1, SVC_UTIMENS, "/tmp/d/g", 5, 6), 0);
	IS(open_(1, "/dev/null", LX_O_RDWR, 0) >= 0, 1);
	IS(opened_at(1).type, SVC_T_NULL);
	IS(open_(1, "/dev/tty", LX_O_RDWR, 0), -ENXIO);
	IS(open_(1, "/dev/urandom", LX_O_RDONLY, 0) >= 0, 1);
	IS(opened_at(1).type, SVC_T_RANDOM);
	IS(open_(1, "/tmp/link", LX_O_PATH | LX_O_NOFOLLOW, 0) >= 0, 1);
	IS(opened_at(1).type, SVC_T_PATH);
	IS(open_(1, "/tmp/link", LX_O_RDONLY | LX_O_NOFOLLOW, 0), -ELOOP);
}

/* Frames in use, but for pages that wait for the next process. */
static uint32_t
used(uint32_t pages)
{
	return pages - sv->spare_pages_count * (1 + EXOS_MSG_PAGES);
}

/* A borrower that lends what it was lent; the last one ends first. */
static void
lend_chain(int b)
{
	int a;

	a = (int)call_a(b, SVC_FORK, SVC_FORK_VFORK | SVC_FORK_LEND);
	CHECK(!service_check(sv));
	IS(call_a(a, SVC_EXIT, 0), 0);
	IS(wait_(b, a, 0), a);
	IS(call_b(1, SVC_KILL, (uint64_t)b, LX_SIGKILL), 0);
	IS(wait_(1, b, 0), b);
}

/* vfork: one environment, two processes. */
static void
test_lend(void)
{
	uint32_t env, frames, raised, held;
	int a, b;

	IS(domain_make(false), 0);
	a = fork_(1);
	env = proc_of(a)->env;
	IS(open_(a, "/etc/passwd", LX_O_RDONLY, 0) >= 0 || open_(a, "/", LX_O_RDONLY, 0) >= 0, 1);
	held = proc_of(a)->held_count;
	frames = used(fake.frames);
	/* It ends in the environment of its parent, which goes on. */
	b = (int)call_a(a, SVC_FORK, SVC_FORK_VFORK | SVC_FORK_LEND);
	CHECK(b > a);
	IS(proc_of(b)->env, env);
	IS(proc_by_env(sv, env)->pid, b);
	IS(proc_of(b)->held_count, held);
	IS(proc_of(b)->mail->ppid, a);
	CHECK(!service_check(sv));
	raised = proc_of(a)->mail->raised[LX_SIGCHLD];
	IS(call_a(b, SVC_EXIT, LX_STATUS_EXIT(3)), 0);
	IS(proc_by_env(sv, env)->pid, a);
	IS(proc_of(a)->mail->raised[LX_SIGCHLD], raised + 1);
	IS(wait_(a, b, 0), b);
	IS(last.a, LX_STATUS_EXIT(3));
	IS(used(fake.frames), frames);
	/* It gets an environment of its own, and the parent has its own again. */
	b = (int)call_a(a, SVC_FORK, SVC_FORK_VFORK | SVC_FORK_LEND);
	IS(call_a(b, SVC_DETACHED, 1), -ESRCH);
	IS(call(b, SVC_DETACH), 0);
	CHECK(last.a != env && last.b != proc_of(a)->space);
	CHECK(!service_check(sv));
	IS(call_a(b, SVC_DETACHED, 0), 0);
	IS(call(b, SVC_DETACH), 0);
	IS(call_a(b, SVC_DETACHED, 1), 0);
	IS(proc_by_env(sv, env)->pid, a);
	CHECK(proc_of(b)->env != env && !proc_of(b)->lender && !proc_of(a)->borrower);
	CHECK(!service_check(sv));
	IS(call_a(b, SVC_EXIT, 0), 0);
	IS(wait_(a, b, 0), b);
	IS(used(fake.frames), frames);
	/* SIGKILL for the child only tells it: the environment is the parent's too. */
	b = (int)call_a(a, SVC_FORK, SVC_FORK_VFORK | SVC_FORK_LEND);
	IS(call_b(1, SVC_KILL, (uint64_t)b, LX_SIGKILL), 0);
	IS(proc_of(b)->state, PROC_LIVE);
	IS(proc_of(b)->mail->raised[LX_SIGKILL], 1);
	/* SIGKILL for the parent leaves everything to the child. */
	IS(call_b(1, SVC_KILL, (uint64_t)a, LX_SIGKILL), 0);
	IS(wait_(1, a, 0), a);
	IS(proc_by_env(sv, env)->pid, b);
	CHECK(!proc_of(b)->lender && !service_check(sv));
	IS(call(b, SVC_DETACH), -ENXIO);
	lend_chain(b);
	CHECK(!service_check(sv));
}

static void
test_processes(void)
{
	uint32_t frames, blocks, mappings, raised;
	int a, b;

	IS(domain_make(false), 0);
	a = fork_(1);
	call_a(a, SVC_EXIT, 0);
	IS(wait_(1, -1, 0), a);
	frames = used(fake.frames);
	blocks = fake.blocks;
	mappings = used(fake.mappings);
	a = fork_(1);
	CHECK(a > 1);
	IS(proc_of(a)->mail->ppid, 1);
	IS(wait_(1, -1, 0), 0);
	IS(wait_(a, -1, 0), -ECHILD);
	b = fork_(a);
	raised = proc_of(1)->mail->raised[LX_SIGCHLD];
	call_a(a, SVC_EXIT, LX_STATUS_EXIT(7));
	IS(proc_of(1)->mail->raised[LX_SIGCHLD], raised + 1);
	IS(proc_of(1)->mail->info[LX_SIGCHLD].value, 7);
	IS(proc_of(1)->mail->info[LX_SIGCHLD].pid, a);
	CHECK(fake.env[sv->first->env].upcalls > 0);
	IS(proc_of(b)->mail->ppid, 1);
	IS(wait_(1, a, LX_WNOHANG), a);
	IS(last.a, LX_STATUS_EXIT(7));
	CHECK(last.b > 0);
	CHECK(!proc_of(a));
	IS(call_b(1, SVC_KILL, (uint64_t)b, LX_SIGTERM), 0);
	IS(proc_of(b)->mail->raised[LX_SIGTERM], 1);
	IS(call_b(1, SVC_KILL, (uint64_t)b, LX_SIGKILL), 0);
	IS(wait_(1, -1, 0), b);
	IS(last.a, LX_SIGKILL);
	IS(wait_(1, -1, 0), -ECHILD);
	IS(call_b(1, SVC_KILL, (uint64_t)b, 0), -ESRCH);
	IS(used(fake.frames), frames);
	IS(fake.blocks, blocks);
	IS(used(fake.mappings), mappings);
	/* Abandoned before it ran. */
	a = (int)call(1, SVC_FORK);
	CHECK(a > 0);
	IS(last.c, 1);
	IS(wait_(1, -1, LX_WNOHANG), -ECHILD);
	IS(call_a(1, SVC_ABANDON, (uint64_t)a), 0);
	IS(call_a(1, SVC_ABANDON, (uint64_t)a), -ESRCH);
	IS(used(fake.frames), frames);
	IS(fake.blocks, blocks);
}

static void
test_vfork(void)
{
	int64_t child = call_a(1, SVC_FORK, SVC_FORK_VFORK);
	uint32_t wakes;

	CHECK(child > 0);
	IS(call_a(1, SVC_START, (uint64_t)child), 0);
	IS(call_a(1, SVC_VFORK_DONE, (uint64_t)child), 0);
	wakes = fake.env[sv->first->env].wakes;
	memcpy(msg_of((int)child), "bin/true", 8);
	memcpy(msg_of((int)child) + SVC_PATH2, "true", 5);
	IS(call_b((int)child, SVC_EXEC, 8, 5), 0);
	CHECK(fake.env[sv->first->env].wakes > wakes);
	IS(call_a(1, SVC_VFORK_DONE, (uint64_t)child), 1);
	IS(call_a(1, SVC_VFORK_DONE, 9999), 1);
	CHECK(!strcmp(proc_of((int)child)->comm, "true"));
	IS(proc_of((int)child)->exe_len, strlen("/etc/bin/true"));
	IS(call_b(1, SVC_SETPGID, (uint64_t)child, (uint64_t)child), -EACCES);
	call_a((int)child, SVC_EXIT, 0x1ff7f); /* no such status */
	IS(wait_(1, -1, 0), child);
	IS(last.a, LX_SIGKILL);
}

static void
test_groups(void)
{
	int a = fork_(1), b = fork_(1), c;

	IS(call_b(1, SVC_SETPGID, (uint64_t)a, (uint64_t)a), 0);
	IS(call_b(1, SVC_SETPGID, (uint64_t)b, (uint64_t)a), 0);
	IS(call_a(1, SVC_GETPGID, (uint64_t)b), a);
	IS(proc_of(b)->mail->pgid, a);
	IS(call_b(1, SVC_SETPGID, (uint64_t)b, 999), -EPERM);
	IS(call_b(1, SVC_KILL, (uint64_t)(int64_t)-a, LX_SIGUSR1), 0);
	IS(proc_of(a)->mail->raised[LX_SIGUSR1] + proc_of(b)->mail->raised[LX_SIGUSR1], 2);
	IS(call(b, SVC_SETSID), b);
	IS(call(b, SVC_SETSID), -EPERM);
	IS(call_a(1, SVC_GETSID, (uint64_t)b), b);
	IS(call_b(1, SVC_SETPGID, (uint64_t)b, 0), -EPERM);
	/* Stopping is told, and a group that is orphaned while stopped is woken. */
	IS(call_a(a, SVC_STOPPED, LX_SIGTSTP), -EAGAIN);
	IS(call_a(a, SVC_STOPPED, LX_SIGTERM), -EINVAL);
	IS(call_a(a, SVC_STOPPED, UINT64_MAX), -EINVAL);
	IS(call_b(1, SVC_KILL, (uint64_t)a, LX_SIGTSTP), 0);
	IS(call_a(a, SVC_STOPPED, LX_SIGTSTP), 0);
	IS(call_a(a, SVC_STOPPED, LX_SIGTSTP), 0);
	IS(wait_(1, -1, 0), 0);
	IS(wait_(1, -1, LX_WUNTRACED), a);
	IS(last.a, LX_STATUS_STOPPED(LX_SIGTSTP));
	IS(wait_(1, -1, LX_WUNTRACED), 0);
	IS(call_b(1, SVC_KILL, (uint64_t)a, LX_SIGCONT), 0);
	IS(wait_(1, a, LX_WCONTINUED), a);
	IS(last.a, LX_STATUS_CONTINUED);
	IS(call_b(1, SVC_KILL, (uint64_t)a, LX_SIGCONT), 0);
	IS(wait_(1, a, LX_WCONTINUED), 0);
	IS(call_b(1, SVC_KILL, 1, LX_SIGTSTP), 0);
	IS(call_a(1, SVC_STOPPED, LX_SIGTSTP), -EPERM);
	c = fork_(b);
	IS(call_b(b, SVC_SETPGID, (uint64_t)c, (uint64_t)c), 0);
	IS(call_b(1, SVC_KILL, (uint64_t)c, LX_SIGSTOP), 0);
	IS(call_a(c, SVC_STOPPED, LX_SIGSTOP), 0);
	call_a(b, SVC_EXIT, 0);
	IS(proc_of(c)->mail->raised[LX_SIGHUP], 1);
	IS(proc_of(c)->mail->raised[LX_SIGCONT], 1);
	/* All of a group at once, the caller's own: it is last. */
	IS(call_b(1, SVC_KILL, (uint64_t)(int64_t)-a, LX_SIGKILL), 0);
	IS(wait_(1, a, 0), a);
	IS(call_b(c, SVC_KILL, 0, LX_SIGKILL) || 1, 1);
	IS(wait_(1, c, 0), c);
	IS(wait_(1, b, 0), b);
	IS(wait_(1, -1, 0), -ECHILD);
}

static void
test_credentials(void)
{
	uint64_t keep = UINT32_MAX;
	int a = fork_(1), b;

	IS(open_(a, "/etc/secret", LX_O_RDONLY, 0) >= 0, 1);
	IS(call_d(a, SVC_SETIDS, SVC_GID, 100, 100, 100), 0);
	IS(call_d(a, SVC_SETIDS, SVC_UID, 1000, 1000, 1000), 0);
	IS(proc_of(a)->mail->euid, 1000);
	IS(open_(a, "/etc/secret", LX_O_RDONLY, 0), -EACCES);
	IS(open_(a, "/etc/motd", LX_O_WRONLY, 0), -EACCES);
	IS(open_(a, "/tmp/mine", LX_O_RDWR | LX_O_CREAT, 0600) >= 0, 1);
	IS(call_d(a, SVC_SETIDS, SVC_UID, 0, keep, keep), -EPERM);
	IS(call_b(a, SVC_SETIDS, SVC_GROUPS, 0), -EPERM);
	IS(call_b(a, SVC_KILL, 1, LX_SIGTERM), -EPERM);
	IS(call_b(a, SVC_KILL, (uint64_t)-1ll, LX_SIGKILL), -ESRCH);
	IS(call_b(1, SVC_KILL, (uint64_t)a, 0), 0);
	IS(call(a, SVC_GETIDS), 0);
	IS(last.a, 1000 | 1000ull << 32);
	/* Its children are made under its new name. */
	b = fork_(a);
	IS(last.op, 0);
	CHECK(proc_of(b)->slot != proc_of(1)->slot);
	IS(call_b(1, SVC_SETIDS, SVC_GROUPS, FS_GROUPS_MAX + 1), -EINVAL);
	IS(call_b(1, SVC_SETIDS, SVC_GROUPS, UINT64_MAX), -EINVAL);
	IS(call_a(1, SVC_SETIDS, 77), -EINVAL);
	IS(call_b(1, SVC_KILL, (uint64_t)-1ll, LX_SIGKILL), 0);
	IS(wait_(1, a, 0), a);
	IS(wait_(1, b, 0), b);
	IS(fake.names, 1);
	IS(call_a(1, SVC_UMASK, 022), 0);
	IS(call_a(1, SVC_UMASK, 0), 022);
	IS(call(1, SVC_LIST), 0);
	IS(last.a, 1);
}

static void
test_pipes(void)
{
	struct svc_opened opened[2];
	uint32_t frames = 0, blocks = 0;

	for (int round = 0; round < 2; round++) {
		struct ring_shared *shared;
		int64_t in = call(1, SVC_PIPE), out = (int64_t)last.a;
		int child;

		CHECK(in >= 0 && out >= 0);
		memcpy(opened, msg_of(1), sizeof(opened));
		IS(opened[0].type, SVC_T_PIPE_READ);
		IS(opened[1].type, SVC_T_PIPE_WRITE);
		IS(opened[1].ring_pages, PIPE_PAGES);
		shared = (void *)fake_frame(opened[0].frames[0]);
		IS(shared->write_open + shared->read_open, 2);
		child = fork_(1);
		IS(call_a(1, SVC_CLOSE, (uint64_t)out), 0);
		IS(shared->write_open, 1);
		IS(fake_held(sv->first->space, opened[0].frames[3]), AEGIS_READ | AEGIS_WRITE);
		shared->readers_waiting[3] = sv->first->env;
		fake.env[sv->first->env].wakes = 0;
		/* However the last writer ends, the reader learns of it. */
		if (round)
			fake.env[proc_of(child)->env].state = AEGIS_STATE_ENDED;
		else
			call_a(child, SVC_EXIT, 0);
		if (round)
			service_work(sv);
		IS(shared->write_open, 0);
		IS(shared->readers_waiting[3], 0);
		CHECK(fake.env[sv->first->env].wakes > 0);
		IS(call_a(1, SVC_STAT, (uint64_t)in), 0);
		IS(call_a(1, SVC_CLOSE, (uint64_t)in), 0);
		IS(fake_held(sv->first->space, opened[0].frames[3]), 0);
		IS(wait_(1, child, 0), child);
		if (round) {
			IS(fake.frames, frames);
			IS(fake.blocks, blocks);
		}
		frames = fake.frames;
		blocks = fake.blocks;
	}
	IS(call_c(1, SVC_PIPE, 0, 0, 0x12345678), -EINVAL);
}

static void
test_fifos(void)
{
	int a = fork_(1);
	int64_t in, out;

	IS(path_call(1, SVC_MKNOD, "/tmp/fifo", FS_IFIFO | 0644, 0), 0);
	IS(open_(1, "/tmp/fifo", LX_O_WRONLY | LX_O_NONBLOCK, 0), -ENXIO);
	IS(open_(1, "/tmp/fifo", LX_O_RDONLY, 0), -EAGAIN);
	IS(open_(1, "/tmp/fifo", LX_O_RDONLY, 0), -EAGAIN);
	out = open_(a, "/tmp/fifo", LX_O_WRONLY, 0);
	CHECK(out >= 0);
	IS(opened_at(a).type, SVC_T_PIPE_WRITE);
	IS(call_a(a, SVC_CLOSE, (uint64_t)out), 0);
	/* The writer is gone again, but it was there. */
	in = open_(1, "/tmp/fifo", LX_O_RDONLY, 0);
	CHECK(in >= 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)in), 0);
	IS(open_(1, "/tmp/fifo", LX_O_RDONLY, 0), -EAGAIN);
	IS(open_(1, "/etc/motd", LX_O_RDONLY, 0) >= 0, 1);
	IS(open_(1, "", LX_O_RDONLY, 0), -ENOENT);
	IS(open_(a, "/tmp/fifo", LX_O_WRONLY | LX_O_NONBLOCK, 0), -ENXIO);
	in = open_(1, "/tmp/fifo", LX_O_RDWR, 0);
	CHECK(in >= 0);
	IS(open_(a, "/tmp/fifo", LX_O_RDONLY, 0) >= 0, 1);
	IS(open_(a, "/tmp/fifo", LX_O_WRONLY, 0) >= 0, 1);
	call_a(a, SVC_EXIT, 0);
	IS(wait_(1, a, 0), a);
	IS(path_call(1, SVC_UNLINK, "/tmp/fifo", 0, 0), 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)in), 0);
}

static char text_of[16385];

static void
type(const char *keys)
{
	struct ring ring = stream_ring(0);
	uint8_t *at;

	for (size_t i = 0; keys[i]; i++) {
		ring_space(&ring, &at);
		*at = (uint8_t)keys[i];
		ring_produce(&ring, 1);
	}
	call(0, SVC_HOST_INPUT);
}

static const char *
shown(void)
{
	struct ring ring = stream_ring(3);
	uint8_t *at;
	uint32_t n = ring_peek(&ring, &at);

	n = n < 16384 ? n : 16384;
	memcpy(text_of, at, n);
	text_of[n] = 0;
	ring_consume(&ring, n);
	return text_of;
}

static void
test_terminal(void)
{
	struct svc_first *first;
	uint64_t tty;
	int a;

	IS(domain_make(true), 0);
	IS(call(1, SVC_FIRST), 0);
	first = (void *)msg_of(1);
	tty = first->fds[0];
	CHECK(first->fds[1] == tty && first->fds[2] == tty);
	IS(call_b(1, SVC_TTY_READ, tty, 100), -EAGAIN);
	type("ab");
	IS(call_b(1, SVC_TTY_READ, tty, 100), -EAGAIN);
	fake.env[sv->first->env].wakes = 0;
	type("c\n");
	CHECK(fake.env[sv->first->env].wakes > 0);
	IS(call_b(1, SVC_TTY_READ, tty, 100), 4);
	CHECK(!memcmp(msg_of(1), "abc\n", 4));
	CHECK(!strcmp(shown(), "abc\r\n"));
	memcpy(msg_of(1), "hi\n", 3);
	IS(call_b(1, SVC_TTY_WRITE, tty, 3), 3);
	CHECK(!strcmp(shown(), "hi\r\n"));
	a = fork_(1);
	type("\003");
	IS(proc_of(1)->mail->raised[LX_SIGINT] + proc_of(a)->mail->raised[LX_SIGINT], 2);
	IS(call_b(a, SVC_SETPGID, 0, 0), 0);
	IS(call_b(a, SVC_TTY_READ, tty, 1), -LX_ERESTARTSYS);
	IS(proc_of(a)->mail->raised[LX_SIGTTIN], 1);
	*(int32_t *)(void *)msg_of(1) = a;
	IS(call_c(1, SVC_TTY_IOCTL, tty, LX_TIOCSPGRP, 0), 0);
	IS(sv->tty->foreground, a);
	type("\003");
	IS(proc_of(a)->mail->raised[LX_SIGINT], 2);
	IS(proc_of(1)->mail->raised[LX_SIGINT], 1);
	IS(call_a(1, SVC_TTY_POLL, tty) & LX_POLLOUT, LX_POLLOUT);
	IS(call_d(0, SVC_HOST_WINSIZE, 50, 132, 0, 0), 0);
	IS(proc_of(a)->mail->raised[LX_SIGWINCH], 1);
	IS(call_c(1, SVC_TTY_IOCTL, tty, LX_TIOCGWINSZ, 0), 0);
	IS(((struct lx_winsize *)(void *)msg_of(1))->ws_col, 132);
	CHECK(open_(a, "/dev/tty", LX_O_RDWR, 0) >= 0);
	IS(call_a(a, SVC_KICK, tty), 0);
	/* What was written last is sent before the end is told. */
	memset(msg_of(1), 'x', 16384);
	while (call_b(1, SVC_TTY_WRITE, tty, 16384) > 0)
		;
	IS(last.op, -EAGAIN);
	call_a(1, SVC_EXIT, LX_STATUS_EXIT(3));
	CHECK(!host->ended && !proc_of(a));
	for (int i = 0; i < 100 && !host->ended; i++) {
		shown();
		call(0, SVC_HOST_ROOM);
	}
	CHECK(host->ended == 1 && host->exit_value == 3);
}

static void
test_ends(void)
{
	uint32_t raised;
	int a, b;

	IS(domain_make(false), 0);
	a = fork_(1);
	b = fork_(a);
	call(1, SVC_FORK);
	/* The kernel ends one, with the reason that counts as a violation. */
	fake.env[proc_of(a)->env].state = AEGIS_STATE_ENDED;
	fake.env[proc_of(a)->env].reason = AEGIS_END_STACK;
	fake.stubborn = 20;
	service_work(sv);
	IS(wait_(1, a, 0), a);
	IS(last.a, LX_SIGSEGV);
	/* Its space goes although it made itself another environment there. */
	fake.env[3000] = (struct fake_env){.space = proc_of(b)->space, .state = 1};
	IS(call_b(b, SVC_KILL, (uint64_t)b, LX_SIGKILL) || 1, 1);
	IS(fake.env[3000].space, 0);
	fake.stubborn = 10000;
	a = fork_(1);
	raised = proc_of(1)->mail->raised[LX_SIGCHLD];
	call_a(a, SVC_EXIT, 0);
	IS(wait_(1, a, 0), 0); /* its memory is not back yet */
	IS(proc_of(1)->mail->raised[LX_SIGCHLD], raised);
	while (fake.stubborn)
		service_work(sv);
	service_work(sv);
	IS(proc_of(1)->mail->raised[LX_SIGCHLD], raised + 1);
	IS(wait_(1, a, 0), a);
	CHECK(!proc_of(a));
	IS(call_a(0, SVC_HOST_SIGNAL, LX_SIGINT), 0);
	IS(proc_of(1)->mail->raised[LX_SIGINT], 1);
	IS(call_a(0, SVC_HOST_SIGNAL, 1000), -EINVAL);
	IS(call_b(0, SVC_HOST_CLOSE, 1, 5), 0);
	IS(stream_ring(1).shared->write_error, 5);
	IS(stream_ring(1).shared->read_open, 0);
	IS(call_b(0, SVC_HOST_CLOSE, 100, 5), -EBADF);
	IS(call_a(0, SVC_HOST_SIGNAL, LX_SIGKILL), 0);
	CHECK(host->ended == 1 && host->exit_kind == 1 && host->exit_value == LX_SIGKILL);
	IS(sv->proc_count, 0);
	IS(stream_ring(0).shared->read_open, 0);
	IS(stream_ring(2).shared->write_open, 0);
}

/* A lock of `pid` on an object, as fcntl's of processes. */
static int64_t
lock_(int pid, int64_t obj, uint32_t flags, uint64_t from, uint64_t to)
{
	return call_d(pid, SVC_LOCK, (uint64_t)obj, flags | SVC_LOCK_PROCESS, from, to);
}

static void
test_locks(void)
{
	int64_t f, g;
	uint32_t wakes;
	int a, b;

	IS(domain_make(false), 0);
	f = open_(1, "/tmp/n", LX_O_RDWR | LX_O_CREAT, 0600);
	g = open_(1, "/tmp/n", LX_O_RDONLY, 0);
	a = fork_(1);
	b = fork_(1);
	IS(lock_(a, f, SVC_LOCK_WRITE, 0, 99), 0);
	IS(lock_(a, f, SVC_LOCK_UNLOCK, 40, 59), 0);
	IS(sv->lock_count, 2);
	IS(lock_(b, f, SVC_LOCK_ASK, 30, 80), 1);
	CHECK(last.a == 1 && last.b == 0 && last.c == 39 && last.d == (uint64_t)a);
	IS(lock_(b, f, SVC_LOCK_WRITE, 40, 59), 0);
	IS(lock_(b, g, SVC_LOCK_WRITE, 45, 50), -EBADF);
	IS(lock_(b, f, 0, 10, 5), -EINVAL);
	IS(call_d(b, SVC_LOCK, (uint64_t)f, SVC_LOCK_FILE | SVC_LOCK_WRITE, 0, 99), 0);
	IS(call_d(a, SVC_LOCK, (uint64_t)g, SVC_LOCK_FILE, 0, 99), -EAGAIN);
	/* b waits for a, who must not wait for b. */
	IS(lock_(b, f, SVC_LOCK_WAIT, 0, 0), -EAGAIN);
	IS(lock_(a, f, SVC_LOCK_WAIT, 59, 59), -EDEADLK);
	wakes = fake.env[proc_of(b)->env].wakes;
	IS(lock_(a, f, SVC_LOCK_UNLOCK, 0, 39), 0);
	CHECK(fake.env[proc_of(b)->env].wakes > wakes);
	IS(lock_(b, f, SVC_LOCK_WAIT, 0, 0), 0);
	/* No memory: nothing changes. */
	fake.fail_at = fake.requests + 1;
	IS(lock_(b, f, SVC_LOCK_UNLOCK, 45, 50), -ENOLCK);
	fake.fail_at = 0;
	IS(lock_(a, f, SVC_LOCK_ASK, 45, 45), 1);
	/* Any object of the file ends the locks of the process, not those of the description. */
	IS(call_a(b, SVC_CLOSE, (uint64_t)g), 0);
	IS(lock_(a, f, SVC_LOCK_ASK | SVC_LOCK_WRITE, 0, 59), 0);
	call_a(a, SVC_EXIT, 0);
	call_a(b, SVC_EXIT, 0);
	IS(sv->lock_count, 1);
	IS(call_a(1, SVC_CLOSE, (uint64_t)f), 0);
	IS(sv->lock_count, 0);
}

/* Every request for memory fails once: the call fails, nothing is lost, the next one works. */
static void
test_failing(void)
{
	static const char *what[] = {"fork", "open", "create", "pipe", "fifo", "exec", "proc"};

	for (unsigned kind = 0; kind < 7; kind++) {
		bool done = false;
		unsigned n;

		IS(domain_make(false), 0);
		path_call(1, SVC_MKNOD, "/tmp/fifo", FS_IFIFO | 0644, 0);
		for (n = 1; !done && n < 60; n++) {
			uint32_t held = sv->first->held_count, count = sv->proc_count;
			int64_t got = 0;

			fake.fail_at = fake.requests + n;
			if (kind == 0)
				got = call(1, SVC_FORK);
			else if (kind == 1)
				got = open_(1, "/bin/busybox", LX_O_RDONLY, 0);
			else if (kind == 2)
				got = open_(1, "/tmp/n", LX_O_RDWR | LX_O_CREAT | LX_O_EXCL, 0600);
			else if (kind == 3)
				got = call(1, SVC_PIPE);
			else if (kind == 4)
				got = open_(1, "/tmp/fifo", LX_O_RDWR, 0);
			else if (kind == 5)
				got = call_b(1, SVC_EXEC, 5, 100);
			else
				got = open_(1, "/proc/self/status", LX_O_RDONLY, 0);
			done = fake.requests < fake.fail_at;
			fake.fail_at = 0;
			if (got < 0 && (held != sv->first->held_count || count != sv->proc_count))
				break;
			if (got >= 0 && kind == 0)
				call_a(1, SVC_ABANDON, (uint64_t)got);
			if (service_check(sv) || fake.bad)
				break;
			path_call(1, SVC_UNLINK, "/tmp/n", 0, 0);
		}
		check_at(done, what[kind], (int)n);
	}
}

int
main(void)
{
	test_start();
	test_files();
	test_writing();
	test_names();
	test_processes();
	test_lend();
	test_vfork();
	test_groups();
	test_credentials();
	test_pipes();
	test_fifos();
	test_terminal();
	test_ends();
	test_locks();
	test_failing();
	printf("1..%d\n", test_count);
	fake_reset();
	free(sv);
	return test_failures != 0;
}
