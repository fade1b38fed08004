/* SPDX-License-Identifier: MIT */
/* /proc of a domain's service: texts, links, and descriptors, of which a process may say what it likes. */
#include "test/host/service_case.h"

static char text_of[16385];

static const char *
slurp(int pid, const char *path)
{
	int64_t obj = open_(pid, path, LX_O_RDONLY, 0), n;

	text_of[0] = 0;
	if (obj < 0)
		return "(error)";
	n = call_c(pid, SVC_SYNTH_READ, (uint64_t)obj, 0, 16384);
	if (n > 0)
		memcpy(text_of, msg_of(pid), (size_t)n);
	text_of[n > 0 ? n : 0] = 0;
	call_a(pid, SVC_CLOSE, (uint64_t)obj);
	return text_of;
}

static void
test_procfs(void)
{
	int a = fork_(1);
	char path[64];
	int64_t dir;

	CHECK(strstr(slurp(1, "/proc/self/stat"), "1 (busybox)") == text_of);
	snprintf(path, sizeof(path), "/proc/%d/status", a);
	CHECK(strstr(slurp(1, path), "PPid:\t1"));
	CHECK(strstr(slurp(1, "/proc/meminfo"), "MemTotal:") == text_of);
	CHECK(strstr(slurp(1, "/proc/stat"), "cpu  ") == text_of);
	CHECK(strstr(slurp(1, "/proc/cpuinfo"), "processor\t: 1"));
	CHECK(strlen(slurp(1, "/proc/uptime")) > 3);
	CHECK(strlen(slurp(1, "/proc/loadavg")) > 3);
	CHECK(!strcmp(slurp(1, "/proc/sys/kernel/ostype"), "Linux\n"));
	CHECK(!strcmp(slurp(1, "/proc/sys/kernel/hostname"), "exos\n"));
	CHECK(!strcmp(slurp(1, "/proc/self/comm"), "busybox\n"));
	CHECK(strstr(slurp(1, "/proc/mounts"), "tmpfs / tmpfs"));
	IS(path_call(1, SVC_READLINK, "/proc/self/exe", 0, 0), 12);
	CHECK(!memcmp(msg_of(1), "/bin/busybox", 12));
	IS(path_call(1, SVC_READLINK, "/proc/self/cwd", 0, 0), 4);
	IS(path_call(1, SVC_READLINK, "/proc/self", 0, 0), 1);
	dir = open_(1, "/proc", LX_O_RDONLY, 0);
	CHECK(call_b(1, SVC_GETDENTS, (uint64_t)dir, 16384) > 100);
	call_a(a, SVC_EXIT, 0);
	CHECK(strstr(slurp(1, path), "State:\tZ"));
	IS(wait_(1, a, 0), a);
	CHECK(!strcmp(slurp(1, path), "(error)"));
	IS(open_(1, "/proc/self/stat", LX_O_WRONLY, 0), -EACCES);
	IS(open_(1, "/proc/x", LX_O_WRONLY | LX_O_CREAT, 0), -EACCES);
}

static void
tell(int pid, uint32_t fd, uint64_t object)
{
	struct svc_tail *tail = SVC_TAIL(msg_of(pid));

	tail->object[fd] = (uint32_t)object;
	tail->open[fd / 64] |= 1ull << (fd % 64);
}

static int64_t
stat_mode(int pid, const char *path)
{
	int64_t got = path_call(pid, SVC_STAT, path, 0, 0);

	return got ? got : ((const struct fs_stat *)msg_of(pid))->mode & FS_IFMT;
}

static void
test_procfs_fd(void)
{
	int a = fork_(1), b = fork_(1);
	int64_t motd = open_(1, "/etc/motd", LX_O_RDONLY, 0), in = call(1, SVC_PIPE),
		out = (int64_t)last.a, again;
	char path[64];

	IS(open_(1, "/proc/self/fd/7", LX_O_RDONLY, 0), -ENOENT);
	tell(1, 7, (uint64_t)motd);
	tell(1, 255, (uint64_t)in);
	IS(stat_mode(1, "/proc/self/fd/7"), FS_IFREG);
	IS(path_call(1, SVC_READLINK, "/proc/self/fd/7", 0, 0), 9);
	CHECK(!memcmp(msg_of(1), "/etc/motd", 9));
	IS(stat_mode(1, "/proc/self/fd/255"), FS_IFIFO);
	IS(path_call(1, SVC_READLINK, "/proc/self/fd/255", 0, 0) > 7, 1);
	CHECK(!memcmp(msg_of(1), "pipe:[", 6));
	/* Another end, which nobody need be waited for. */
	again = open_(1, "/proc/self/fd/255", LX_O_WRONLY, 0);
	CHECK(again > 0 && again != out);
	call_a(1, SVC_CLOSE, (uint64_t)out);
	call_a(1, SVC_CLOSE, (uint64_t)again);
	again = open_(1, "/proc/self/fd/255", LX_O_RDONLY, 0);
	CHECK(again > 0);
	/* Numbers that there cannot be. */
	IS(open_(1, "/proc/self/fd/256", LX_O_RDONLY, 0), -ENOENT);
	IS(open_(1, "/proc/self/fd/99999", LX_O_RDONLY, 0), -ENOENT);
	IS(open_(1, "/proc/self/fd/07", LX_O_RDONLY, 0), -ENOENT);
	IS(open_(1, "/proc/self/fd/7", LX_O_RDONLY | LX_O_NOFOLLOW, 0), -ELOOP);
	IS(open_(1, "/proc/self/fd/9", LX_O_WRONLY | LX_O_CREAT, 0600), -EACCES);
	/* Of others' objects nobody can say that they are its own. */
	tell(a, 3, (uint64_t)again);
	IS(open_(a, "/proc/self/fd/3", LX_O_RDONLY, 0), -ENOENT);
	call_a(1, SVC_CLOSE, (uint64_t)motd);
	IS(open_(1, "/proc/self/fd/7", LX_O_RDONLY, 0), -ENOENT);
	/* Other users see nothing. */
	IS(call_d(b, SVC_SETIDS, SVC_UID, 1000, 1000, 1000), 0);
	IS(open_(b, "/proc/1/fd/255", LX_O_RDONLY, 0), -EACCES);
	IS(open_(b, "/proc/1/fd", LX_O_RDONLY, 0), -EACCES);
	snprintf(path, sizeof(path), "/proc/%d/fd", b);
	IS(open_(a, path, LX_O_RDONLY, 0) > 0, 1);
	call_a(1, SVC_CLOSE, (uint64_t)in);
	call_a(1, SVC_CLOSE, (uint64_t)again);
	call_a(a, SVC_EXIT, 0);
	call_a(b, SVC_EXIT, 0);
	IS(wait_(1, a, 0), a);
	IS(wait_(1, b, 0), b);
}

/* A pipe is opened by /proc with every request for memory failing once. */
static void
test_failing(void)
{
	int64_t in = call(1, SVC_PIPE), got = -ENOMEM;
	uint32_t held = sv->first->held_count;

	tell(1, 9, (uint64_t)in);
	for (unsigned n = 1; got < 0 && n < 60; n++) {
		fake.fail_at = fake.requests + n;
		got = open_(1, "/proc/self/fd/9", LX_O_RDONLY, 0);
		fake.fail_at = 0;
		CHECK(got >= 0 || got == -ENOMEM || got == -ENOSPC);
		CHECK(!service_check(sv));
	}
	CHECK(got >= 0);
	IS(sv->first->held_count, held + 1);
}

int
main(void)
{
	IS(domain_make(false), 0);
	test_procfs();
	test_procfs_fd();
	test_failing();
	CHECK(!service_check(sv));
	printf("1..%d\n", test_count);
	fake_reset();
	free(sv);
	return test_failures != 0;
}
