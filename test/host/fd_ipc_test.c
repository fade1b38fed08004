/* SPDX-License-Identifier: MIT */
/*
 * Pipes between processes, poll and select, devices, terminals, directories and the calls on names,
 * on a fake core and service (fd_fake.h).
 *
 * Prints TAP.  Needs what fd_test.c needs.
 */
#define _GNU_SOURCE
#include "test/host/fd_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEVER_SECONDS 5

static uint8_t *edge; /* a page, then one that cannot be touched */

static int64_t
put(int fd, const void *from, size_t n)
{
	return SYS(write, (uint64_t)fd, P(from), n);
}

static int64_t
get(int fd, void *to, size_t n)
{
	return SYS(read, (uint64_t)fd, P(to), n);
}

static void
fd_end(int fd)
{
	SYS(close, (uint64_t)fd);
}

static bool
children_good(int n)
{
	bool good = true;
	int status;

	while (n--)
		good &= wait(&status) > 0 && status == 0;
	return good;
}

static struct ring_shared *
ring_of_pipe(int n)
{
	return fake_frame(world->pipes[n].frames[0]);
}

static void
test_pipe_alone(void)
{
	uint8_t buf[70000];
	uint64_t before;
	bool good = true;
	int p[2];

	check(SYS(pipe2, P(p), LX_O_NONBLOCK) == 0 && p[0] == 0 && p[1] == 1, "pipe2");
	check(get(p[0], buf, 1) == -EAGAIN, "nothing to read");
	check(put(p[1], buf, 70000) == 65536, "a pipe takes 65536 bytes");
	check(put(p[1], buf, 1) == -EAGAIN, "and no more");
	check(get(p[0], buf, 100) == 100 && put(p[1], buf, 4096) == -EAGAIN &&
		      put(p[1], buf, 4097) == 100,
	      "a small write is whole or not at all, a large one is not");
	check(get(p[0], buf, 70000) == 65536, "all is read at once");
	before = fake_service_calls();
	for (int i = 0; i < 1000; i++)
		good &= put(p[1], buf, 1000) == 1000 && get(p[0], buf, 1000) == 1000;
	check(good && fake_service_calls() == before, "transfers make no service call");
	check(put(p[0], buf, 1) == -EBADF && get(p[1], buf, 1) == -EBADF, "wrong ends");
	check(SYS(lseek, (uint64_t)p[0], 0, 0) == -ESPIPE &&
		      SYS(pread64, (uint64_t)p[0], P(buf), 1, 0) == -ESPIPE,
	      "no positions");
	check(put(p[1], edge + 4096 - 10, 20) == 10 && put(p[1], edge + 4096, 1) == -EFAULT,
	      "writes from a bad address");
	check(get(p[0], edge + 4096, 5) == -EFAULT && get(p[0], edge + 4090, 10) == 6 &&
		      get(p[0], buf, 10) == 4,
	      "reads to a bad address lose nothing");
	check(SYS(fcntl, (uint64_t)p[0], LX_F_GETPIPE_SZ) == 65536 &&
		      SYS(fcntl, (uint64_t)p[0], LX_F_SETPIPE_SZ, 1 << 20) == -EPERM,
	      "pipe size");
	put(p[1], buf, 7);
	check(!SYS(ioctl, (uint64_t)p[0], LX_FIONREAD, P(buf)) && *(int *)(void *)buf == 7,
	      "FIONREAD");
	fd_end(p[1]);
	check(get(p[0], buf, 100) == 7 && get(p[0], buf, 100) == 0, "end of file after the rest");
	fd_end(p[0]);
	SYS(pipe, P(p));
	fd_end(p[0]);
	check(put(p[1], buf, 0) == 0 && !fake_signal, "an empty write to nobody");
	check(put(p[1], buf, 1) == -EPIPE && fake_signal == LX_SIGPIPE, "a write to nobody");
	fake_signal = 0;
	fd_end(p[1]);
	check(SYS(pipe, P(edge + 4096)) == -EFAULT && !fake_objects(), "pipe to a bad address");
}

static void
writer_run(int fd, char who, int n, size_t size)
{
	char record[5000];

	memset(record, who, sizeof(record));
	for (int i = 0; i < n; i++)
		if (put(fd, record, size) != (int64_t)size)
			fake_exit(1);
	fake_exit(0);
}

/* Reads `total` bytes in records of `size` from several writers; none is torn. */
static bool
reader_run(int fd, size_t size, size_t total)
{
	char buf[8192];
	size_t have = 0, done = 0;
	int64_t n;

	while ((n = get(fd, buf + have, sizeof(buf) - have)) > 0) {
		have += (size_t)n;
		done += (size_t)n;
		size_t at = 0;

		for (; have - at >= size; at += size)
			for (size_t i = 1; i < size; i++)
				if (buf[at + i] != buf[at])
					return false;
		have -= at;
		memmove(buf, buf + at, have);
	}
	return !have && done == total;
}

static void
test_pipe_many(void)
{
	static const size_t sizes[] = {1, 100, 511, 4096};
	bool good = true;
	int p[2];

	for (int s = 0; s < 4; s++) {
		SYS(pipe, P(p));
		for (int i = 0; i < 3; i++)
			if (!fake_fork())
				writer_run(p[1], (char)('a' + i), 500, sizes[s]);
		fd_end(p[1]);
		good &= reader_run(p[0], sizes[s], 3 * 500 * sizes[s]);
		fd_end(p[0]);
		good &= children_good(3);
	}
	check(good, "three writers, no record torn");
	SYS(pipe, P(p));
	if (!fake_fork()) {
		fd_end(p[0]);
		writer_run(p[1], 'x', 2000, 5000);
	}
	fd_end(p[1]);
	check(reader_run(p[0], 1, 10000000) && children_good(1), "ten million bytes");
	fd_end(p[0]);
	check(!fake_objects() && !fake_blocks, "nothing is left");
}

static void
test_pipe_locks(void)
{
	int p[2];
	uint8_t byte = 1;
	uint64_t start;
	int n = 0;

	SYS(pipe, P(p));
	while (world->pipes[n + 1].used)
		n++;
	world->env_dead[FAKE_ENVS - 1] = true;
	ring_of_pipe(n)->write_lock = FAKE_ENVS - 1;
	start = core_now_ns();
	check(put(p[1], &byte, 1) == 1 && core_now_ns() - start < 1000000000,
	      "the lock of one who is gone is broken");
	ring_of_pipe(n)->read_lock = control()->env;
	check(get(p[0], &byte, 1) == 1, "and one's own number's");
	ring_of_pipe(n)->head = 1ul << 40;
	check(SYS(fcntl, (uint64_t)p[0], LX_F_SETFL, LX_O_NONBLOCK) == 0 &&
		      get(p[0], &byte, 1) == -EAGAIN,
	      "a ring with impossible indices is empty");
	ring_of_pipe(n)->head = ring_of_pipe(n)->tail;
	fake_signal = LX_SIGALRM;
	SYS(fcntl, (uint64_t)p[0], LX_F_SETFL, 0);
	check(get(p[0], &byte, 1) == -LX_ERESTARTSYS, "a signal ends a wait");
	check(SYS(poll, P((&(struct lx_pollfd){p[0], LX_POLLIN, 0})), 1, 10) == -EINTR,
	      "and a poll");
	fake_signal = 0;
	for (uint32_t i = 0; i < RING_WAITERS; i++)
		check(ring_of_pipe(n)->readers_waiting[i] == 0, "no waiter is left in a slot");
	fd_end(p[0]);
	fd_end(p[1]);
}

static void
test_host(void)
{
	struct ring_shared *ring;
	uint8_t buf[8192];
	int p[2], n = 0;

	world->host_pipes = true;
	SYS(pipe2, P(p), LX_O_NONBLOCK);
	world->host_pipes = false;
	while (world->pipes[n + 1].used)
		n++;
	ring = ring_of_pipe(n);
	put(p[1], buf, 8192);
	check(world->kicks == 0, "a supervisor that does not wait is not woken");
	ring->host_waits_data = 1;
	put(p[1], buf, 1);
	put(p[1], buf, 1);
	check(world->kicks == 1, "one that waits for data is, once");
	ring->host_waits_room = 60000;
	get(p[0], buf, 1);
	check(world->kicks == 1, "too little room");
	get(p[0], buf, 8192);
	check(world->kicks == 2, "enough room");
	get(p[0], buf, 8192);
	ring->host_waits_room = 1;
	check(!SYS(poll, P((&(struct lx_pollfd){p[0], LX_POLLIN, 0})), 1, 5) && world->kicks == 3,
	      "a reader who waits tells");
	ring->write_error = ENOSPC;
	ring->read_open = 0;
	fake_signal = 0;
	check(put(p[1], buf, 1) == -ENOSPC && !fake_signal, "the host's error");
	fd_end(p[0]);
	fd_end(p[1]);
}

static void
test_poll(void)
{
	struct lx_pollfd fds[4];
	struct lx_timespec t = {0, 20000000};
	uint64_t sets[2] = {0}, start;
	uint8_t byte = 1;
	int p[2];

	SYS(pipe, P(p));
	fds[0] = (struct lx_pollfd){p[0], LX_POLLIN, 99};
	fds[1] = (struct lx_pollfd){p[1], LX_POLLOUT, 99};
	fds[2] = (struct lx_pollfd){-1, LX_POLLIN, 99};
	fds[3] = (struct lx_pollfd){77, LX_POLLIN, 99};
	check(SYS(poll, P(fds), 4, UINT64_MAX) == 2 && !fds[0].revents &&
		      fds[1].revents == LX_POLLOUT && !fds[2].revents &&
		      fds[3].revents == LX_POLLNVAL,
	      "poll answers for each");
	start = core_now_ns();
	check(SYS(poll, P(fds), 1, 30) == 0 && core_now_ns() - start >= 30000000, "a timeout");
	check(SYS(ppoll, P(fds), 1, P(&t), P(&start), 8) == 0 && t.tv_sec == 0 && t.tv_nsec == 0 &&
		      fake_mask == start,
	      "ppoll: mask, and the time that is left");
	check(SYS(ppoll, P(fds), 1, P(&t), P(&start), 4) == -EINVAL, "ppoll: a bad mask");
	check(SYS(poll, 0, 0, 1) == 0 && SYS(poll, P(edge + 4096), 1, 1) == -EFAULT &&
		      SYS(poll, P(fds), 5000, 1) == -EINVAL,
	      "nothing, nowhere, too many");
	if (!fake_fork()) {
		usleep(30000);
		put(p[1], &byte, 1);
		fake_exit(0);
	}
	start = core_now_ns();
	check(SYS(poll, P(fds), 1, 10000) == 1 && fds[0].revents == LX_POLLIN &&
		      core_now_ns() - start < NEVER_SECONDS * 1000000000ull,
	      "poll is woken by another process");
	children_good(1);
	sets[0] = 1ul << p[0];
	sets[1] = 1ul << p[1];
	check(SYS(select, 10, P(&sets[0]), P(&sets[1]), 0, 0) == 2 && sets[0] == 1ul << p[0] &&
		      sets[1] == 1ul << p[1],
	      "select");
	sets[0] = 1ul << 40;
	check(SYS(select, 64, P(&sets[0]), 0, 0, 0) == -EBADF, "select on a closed descriptor");
	get(p[0], &byte, 1);
	sets[0] = 1ul << p[0];
	t = (struct lx_timespec){0, 1000};
	check(SYS(select, 10, P(&sets[0]), 0, 0, P(&t)) == 0 && !sets[0], "select times out");
	fd_end(p[1]);
	check(SYS(poll, P(fds), 1, UINT64_MAX) == 1 && fds[0].revents == LX_POLLHUP, "hangup");
	fd_end(p[0]);
}

static void
test_devices(void)
{
	int null = (int)SYS(open, P("/dev/null"), LX_O_RDWR);
	int zero = (int)SYS(open, P("/dev/zero"), LX_O_RDWR);
	int full = (int)SYS(open, P("/dev/full"), LX_O_RDWR);
	int dice = (int)SYS(open, P("/dev/urandom"), LX_O_RDONLY);
	int text = (int)SYS(open, P("/proc/text"), LX_O_RDONLY);
	uint8_t a[600], b[600];

	memset(a, 1, sizeof(a));
	check(get(null, a, 10) == 0 && put(null, edge + 4096, 10) == 10 &&
		      SYS(lseek, (uint64_t)null, 5, 1) == 0,
	      "null");
	check(get(zero, a, 600) == 600 && !a[0] && !a[599] && get(zero, edge + 4000, 200) == 96,
	      "zero");
	check(put(full, a, 1) == -ENOSPC && get(full, a, 5) == 5, "full");
	check(get(dice, a, 600) == 600 && get(dice, b, 600) == 600 && memcmp(a, b, 600) &&
		      memcmp(a, a + 300, 300),
	      "random");
	random_fill(a, 16);
	if (!fake_fork()) {
		random_fill(b, 16);
		random_fill(a, 16);
		fake_exit(!memcmp(a, b, 16));
	}
	check(children_good(1), "random after fork");
	check(get(text, a, 600) == 18 && get(text, a, 600) == 0 &&
		      SYS(lseek, (uint64_t)text, 10, 0) == 10 && get(text, a, 3) == 3 &&
		      !memcmp(a, "con", 3) && SYS(lseek, (uint64_t)text, 0, 2) == -EINVAL,
	      "generated content");
	for (int fd = null; fd <= text; fd++)
		fd_end(fd);
}

static void
test_tty(void)
{
	int fd = (int)SYS(open, P("/dev/tty"), LX_O_RDWR);
	uint8_t buf[1000];
	struct lx_termios termios;

	check(get(fd, buf, 100) == 5 && !memcmp(buf, "line\n", 5) && get(fd, buf, 2) == 2,
	      "tty read");
	check(put(fd, buf, 950) == 950, "tty write in pieces");
	check(put(fd, edge + 4096, 5) == -EFAULT, "tty write from nowhere");
	check(!SYS(ioctl, (uint64_t)fd, LX_TCGETS, P(&termios)) && termios.c_iflag == 0x11111111,
	      "tty modes");
	check(SYS(ioctl, (uint64_t)fd, LX_TCGETS, P(edge + 4096)) == -EFAULT, "to nowhere");
	check(SYS(lseek, (uint64_t)fd, 0, 0) == -ESPIPE, "no position");
	fd_end(fd);
	fd = (int)SYS(open, P("/file"), LX_O_RDWR | LX_O_CREAT, 0644);
	check(SYS(ioctl, (uint64_t)fd, LX_TCGETS, P(&termios)) == -ENOTTY, "a file is no terminal");
	fd_end(fd);
}

static void
test_dir(void)
{
	int fd = (int)SYS(open, P("/"), LX_O_RDONLY | LX_O_DIRECTORY);
	int file = (int)SYS(open, P("/file"), LX_O_RDWR | LX_O_CREAT, 0644);
	uint8_t buf[256] __attribute__((aligned(8)));
	const struct lx_dirent64 *d = (const void *)buf;
	int64_t n;

	n = SYS(getdents64, (uint64_t)fd, P(buf), 256);
	check(n == 24 + 32 + 32 && d->d_ino == 10 && d->d_type == LX_DT_REG &&
		      !strcmp(d->d_name, "a"),
	      "getdents64");
	check(SYS(getdents64, (uint64_t)fd, P(buf), 256) == 0, "the end");
	check(SYS(lseek, (uint64_t)fd, 1, 0) == 1 && SYS(lseek, (uint64_t)fd, 0, 1) == 1,
	      "a cookie");
	n = SYS(getdents, (uint64_t)fd, P(buf), 40);
	check(n == 32 && !strcmp((char *)buf + 18, "bbbbbb") && buf[31] == LX_DT_REG, "getdents");
	check(SYS(getdents64, (uint64_t)file, P(buf), 256) == -ENOTDIR, "of a file");
	check(get(fd, buf, 1) == -EISDIR, "read of a directory");
	check(SYS(openat, (uint64_t)file, P("x"), 0) == -ENOTDIR &&
		      SYS(openat, 99, P("x"), 0) == -EBADF &&
		      SYS(openat, 99, P("/missing"), 0) == -ENOENT &&
		      SYS(openat, (uint64_t)fd, P(""), 0) == -ENOENT,
	      "openat");
	fd_end(fd);
	fd_end(file);
}

/* What the service was asked. */
static bool
asked(uint64_t op, uint64_t b, uint64_t c, uint64_t d, const char *path)
{
	const struct svc *s = &world->last;

	return s->op == (int64_t)op && s->b == b && s->c == c && s->d == d &&
	       (!path || !memcmp((const char *)EXOS_MSG, path, strlen(path)));
}

static void
test_names(void)
{
	struct lx_timespec t[2] = {{1, 5}, {0, LX_UTIME_OMIT}};
	struct lx_stat st;
	struct lx_statx stx;
	char cwd[8];

	SYS(umask, 027);
	check(SYS(mkdir, P("/d"), 0777) == 0 && asked(SVC_MKDIR, 2, 0750, 0, "/d"), "mkdir");
	check(SYS(mknod, P("/p"), LX_S_IFIFO | 0666, 0) == 0 &&
		      asked(SVC_MKNOD, 2, LX_S_IFIFO | 0640, 0, "/p") &&
		      SYS(mknod, P("/p"), LX_S_IFDIR, 0) == -EPERM &&
		      SYS(mknod, P("/p"), 0170000, 0) == -EINVAL,
	      "mknod");
	check(SYS(rename, P("/a"), P("/bb")) == 0 && asked(SVC_RENAME, 2, SVC_CWD, 3, "/a") &&
		      !memcmp((const char *)EXOS_MSG + SVC_PATH2, "/bb", 3),
	      "rename");
	check(SYS(renameat2, (uint64_t)LX_AT_FDCWD, P("a"), (uint64_t)LX_AT_FDCWD, P("b"), 3) ==
		      -EINVAL,
	      "renameat2 with flags that exclude each other");
	check(SYS(symlink, P("target"), P("/l")) == 0 &&
		      asked(SVC_SYMLINK, SVC_CWD, 2, 0, "target") &&
		      SYS(symlink, P(""), P("/l")) == -ENOENT,
	      "symlink");
	check(SYS(unlinkat, (uint64_t)LX_AT_FDCWD, P("/d"), LX_AT_REMOVEDIR) == 0 &&
		      asked(SVC_UNLINK, 2, LX_AT_REMOVEDIR, 0, "/d") &&
		      SYS(unlinkat, 0, P("/d"), 1) == -EINVAL,
	      "unlinkat");
	check(SYS(utimensat, (uint64_t)LX_AT_FDCWD, P("/d"), P(t), LX_AT_SYMLINK_NOFOLLOW) == 0 &&
		      asked(SVC_UTIMENS, 2, 1000000005, (uint64_t)FS_TIME_OMIT, "/d") &&
		      world->last.e == LX_AT_SYMLINK_NOFOLLOW,
	      "utimensat");
	t[0].tv_nsec = 1000000000;
	check(SYS(utimensat, (uint64_t)LX_AT_FDCWD, P("/d"), P(t), 0) == -EINVAL,
	      "with a bad time");
	check(SYS(utime, P("/d"), 0) == 0 &&
		      asked(SVC_UTIMENS, 2, (uint64_t)FS_TIME_NOW, (uint64_t)FS_TIME_NOW, "/d"),
	      "utime");
	check(SYS(access, P("/d"), 8) == -EINVAL && SYS(access, P("/d"), 5) == 0 &&
		      asked(SVC_ACCESS, 2, 5, 0, "/d"),
	      "access");
	check(SYS(stat, P("/d"), P(&st)) == 0 && st.st_size == 9 && st.st_mtim.tv_sec == -1 &&
		      st.st_mtim.tv_nsec == 999999999,
	      "stat, before 1970");
	check(SYS(stat, P("/missing"), P(&st)) == -ENOENT && SYS(stat, P(""), P(&st)) == -ENOENT,
	      "stat of nothing");
	check(SYS(statx, (uint64_t)LX_AT_FDCWD, P("/d"), 0, LX_STATX_BASIC_STATS, P(&stx)) == 0 &&
		      stx.stx_rdev_major == 5 && stx.stx_rdev_minor == 300,
	      "statx");
	check(SYS(newfstatat, (uint64_t)LX_AT_FDCWD, P(""), P(&st), LX_AT_EMPTY_PATH) == 0 &&
		      asked(SVC_STAT, 1, 0, 0, NULL) &&
		      SYS(newfstatat, 0, P("/d"), P(&st), 0x80000) == -EINVAL,
	      "newfstatat");
	check(SYS(getcwd, P(cwd), 8) == 0 && SYS(chdir, P("/d")) == 0 &&
		      asked(SVC_CHDIR, 2, 0, 0, "/d") && SYS(fchdir, 99) == -EBADF,
	      "chdir");
	check(SYS(readlink, P("/d"), P(cwd), 0) == -EINVAL, "readlink into nothing");
	check(SYS(umask, 0) == 027, "umask");
}

static void
test_sendfile(void)
{
	int fd = (int)SYS(open, P("/send"), LX_O_RDWR | LX_O_CREAT, 0644), p[2];
	uint8_t buf[40000], back[40000];
	uint64_t pos = 10000;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7);
	SYS(pipe, P(p));
	put(fd, buf, sizeof(buf));
	check(SYS(sendfile, (uint64_t)p[1], (uint64_t)fd, P(&pos), 50000) == 30000 && pos == 40000,
	      "sendfile with an offset");
	check(get(p[0], back, 40000) == 30000 && !memcmp(back, buf + 10000, 30000), "its bytes");
	SYS(lseek, (uint64_t)fd, 39990, 0);
	check(SYS(sendfile, (uint64_t)p[1], (uint64_t)fd, 0, 100) == 10 &&
		      SYS(lseek, (uint64_t)fd, 0, 1) == 40000,
	      "sendfile at the position");
	check(SYS(sendfile, (uint64_t)fd, (uint64_t)p[0], 0, 100) == -EINVAL, "from a pipe");
	fd_end(fd);
	fd_end(p[0]);
	fd_end(p[1]);
}

int
main(void)
{
	fake_boot();
	edge = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(edge + 4096, 4096, PROT_NONE);
	test_pipe_alone();
	test_pipe_many();
	test_pipe_locks();
	test_host();
	test_poll();
	test_devices();
	test_tty();
	test_dir();
	test_names();
	test_sendfile();
	check(!fake_objects() && !fd_table()->files, "nothing is left at the end");
	return check_done();
}
