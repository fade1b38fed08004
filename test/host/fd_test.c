/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and regular files, on a fake core and service (fd_fake.h): data, positions, windows,
 * bad addresses, fork, truncation under the reader's hands, full arenas, failing allocations.
 *
 * Prints TAP.  Needs exos/fd without machine.c, exos/linux/{file,desc,path,stat,poll}.c,
 * exos/tty, fd_fake.c and fd_service.c.
 */
#define _GNU_SOURCE
#include "test/host/fd_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t *edge; /* two pages, then one that cannot be touched */

static int
file_open(const char *name, uint32_t flags)
{
	return (int)SYS(open, P(name), flags, 0644);
}

static uint8_t
pattern(uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static bool
pattern_is(const uint8_t *bytes, uint64_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != pattern(at + i))
			return false;
	return true;
}

static void
test_data(void)
{
	int fd = file_open("/data", LX_O_CREAT | LX_O_RDWR);
	uint8_t buf[5000];
	struct lx_stat st;
	bool good = true;

	for (uint64_t at = 0; at < 100000; at += 1000) {
		for (int i = 0; i < 1000; i++)
			buf[i] = pattern(at + (uint64_t)i);
		good &= SYS(write, (uint64_t)fd, P(buf), 1000) == 1000;
	}
	check(good, "writes in pieces");
	check(SYS(lseek, (uint64_t)fd, 0, LX_SEEK_CUR) == 100000, "position moved");
	check(SYS(read, (uint64_t)fd, P(buf), 10) == 0, "end of file");
	check(SYS(lseek, (uint64_t)fd, 0, LX_SEEK_SET) == 0, "seek to the start");
	good = true;
	for (uint64_t at = 0; at < 100000; at += 4999) {
		int64_t n = SYS(read, (uint64_t)fd, P(buf), 4999);

		good &= n == (at + 4999 <= 100000 ? 4999 : 100000 - (int64_t)at);
		good &= pattern_is(buf, at, (size_t)n);
	}
	check(good, "reads in other pieces");
	check(SYS(pread64, (uint64_t)fd, P(buf), 5000, 4090) == 5000 && pattern_is(buf, 4090, 5000),
	      "pread");
	check(SYS(pread64, (uint64_t)fd, P(buf), 5000, UINT64_MAX) == -EINVAL, "pread before 0");
	check(SYS(lseek, (uint64_t)fd, 0, LX_SEEK_END) == 100000, "seek to the end");
	check(SYS(lseek, (uint64_t)fd, (uint64_t)-100001, LX_SEEK_END) == -EINVAL,
	      "seek before the start");
	check(SYS(lseek, (uint64_t)fd, 5, LX_SEEK_HOLE) == 100000 &&
		      SYS(lseek, (uint64_t)fd, 5, LX_SEEK_DATA) == 5 &&
		      SYS(lseek, (uint64_t)fd, 100000, LX_SEEK_DATA) == -ENXIO &&
		      SYS(lseek, (uint64_t)fd, 0, 9) == -EINVAL,
	      "seek to data and holes");
	check(!SYS(fstat, (uint64_t)fd, P(&st)) && st.st_size == 100000 && st.st_blocks == 200 &&
		      st.st_mode == (LX_S_IFREG | 0644) && st.st_mtim.tv_sec > 1000000000,
	      "fstat");
	check(SYS(close, (uint64_t)fd) == 0 && SYS(close, (uint64_t)fd) == -EBADF, "close");
	check(SYS(read, (uint64_t)fd, P(buf), 1) == -EBADF, "read when closed");
}

/* What must make no call of the service once the pages are there. */
static void
test_quiet(void)
{
	int fd = file_open("/quiet", LX_O_CREAT | LX_O_RDWR);
	uint8_t buf[4096] = {1};
	struct lx_stat st;
	uint64_t before;
	bool good = true;

	for (int i = 0; i < 8; i++)
		SYS(write, (uint64_t)fd, P(buf), sizeof(buf));
	before = fake_service_calls();
	for (int round = 0; round < 3; round++) {
		good &= !SYS(lseek, (uint64_t)fd, 0, LX_SEEK_SET);
		for (int i = 0; i < 8; i++)
			good &= SYS(read, (uint64_t)fd, P(buf), 4096) == 4096;
		good &= !SYS(lseek, (uint64_t)fd, 0, LX_SEEK_SET);
		for (int i = 0; i < 8; i++)
			good &= SYS(write, (uint64_t)fd, P(buf), 4096) == 4096;
		good &= !SYS(fstat, (uint64_t)fd, P(&st));
	}
	check(good && fake_service_calls() == before, "no service calls after warm-up");
	before = fake_service_calls();
	for (int i = 0; i < 1000; i++)
		SYS(write, (uint64_t)fd, P(buf), 4096);
	check(fake_service_calls() - before < 20, "few service calls while a file grows");
	SYS(close, (uint64_t)fd);
}

static void
test_big(void)
{
	enum { SIZE = 9 << 20, PIECE = 65536 };
	int fd = file_open("/big", LX_O_CREAT | LX_O_RDWR);
	uint8_t *buf = malloc(PIECE);
	bool good = true;
	uint64_t at;

	for (at = 0; at < SIZE; at += PIECE) {
		for (int i = 0; i < PIECE; i++)
			buf[i] = pattern(at + (uint64_t)i);
		good &= SYS(write, (uint64_t)fd, P(buf), PIECE) == PIECE;
	}
	SYS(lseek, (uint64_t)fd, 0, LX_SEEK_SET);
	for (at = 0; at < SIZE; at += PIECE)
		good &= SYS(read, (uint64_t)fd, P(buf), PIECE) == PIECE &&
			pattern_is(buf, at, PIECE);
	check(good, "a file larger than the window");
	srand(1);
	for (int i = 0; i < 300; i++) {
		at = (uint64_t)rand() % (SIZE - 5000);
		good &= SYS(pread64, (uint64_t)fd, P(buf), 5000, at) == 5000 &&
			pattern_is(buf, at, 5000);
		if (i % 50 == 0)
			fake_drop_all();
	}
	check(good, "random reads, with all bindings dropped now and then");
	SYS(close, (uint64_t)fd);
	free(buf);
}

static void
test_sparse(void)
{
	int fd = file_open("/sparse", LX_O_CREAT | LX_O_RDWR);
	int fd2 = file_open("/sparse", LX_O_RDONLY);
	uint8_t buf[20000];
	bool zero = true;

	check(SYS(pwrite64, (uint64_t)fd, P("x"), 1, 15000) == 1, "write behind the end");
	memset(buf, 1, sizeof(buf));
	check(SYS(read, (uint64_t)fd2, P(buf), 20000) == 15001 && buf[15000] == 'x',
	      "read over a hole");
	for (int i = 0; i < 15000; i++)
		zero &= !buf[i];
	check(zero, "a hole is zeros");
	check(SYS(pwrite64, (uint64_t)fd, P("yy"), 2, 5000) == 2 &&
		      SYS(pread64, (uint64_t)fd2, P(buf), 3, 4999) == 3 && !memcmp(buf, "\0yy", 3),
	      "a hole that another fills is seen");
	check(SYS(write, (uint64_t)fd2, P("x"), 1) == -EBADF, "write without the right");
	check(SYS(ftruncate, (uint64_t)fd2, 1) == -EINVAL, "truncate without the right");
	SYS(close, (uint64_t)fd);
	SYS(close, (uint64_t)fd2);
}

static void
test_bad_address(void)
{
	int fd = file_open("/edge", LX_O_CREAT | LX_O_RDWR);
	uint8_t buf[8192];
	struct lx_iovec iov[3];

	memset(edge, 7, 8192);
	check(SYS(write, (uint64_t)fd, P(edge + 8192), 10) == -EFAULT, "write from nowhere");
	check(SYS(lseek, (uint64_t)fd, 0, LX_SEEK_CUR) == 0 &&
		      SYS(lseek, (uint64_t)fd, 0, LX_SEEK_END) == 0,
	      "it moved nothing");
	check(SYS(write, (uint64_t)fd, P(edge + 8192 - 5000), 6000) == 5000,
	      "write up to the edge");
	check(SYS(lseek, (uint64_t)fd, 0, LX_SEEK_CUR) == 5000, "position as written");
	SYS(lseek, (uint64_t)fd, 0, LX_SEEK_SET);
	check(SYS(read, (uint64_t)fd, P(edge + 8192 - 100), 4000) == 100, "read up to the edge");
	check(SYS(read, (uint64_t)fd, P(edge + 8192), 4000) == -EFAULT, "read to nowhere");
	check(SYS(lseek, (uint64_t)fd, 0, LX_SEEK_CUR) == 100, "position as read");
	iov[0] = (struct lx_iovec){P("abc"), 3};
	iov[1] = (struct lx_iovec){0, 0};
	iov[2] = (struct lx_iovec){P("defg"), 4};
	check(SYS(writev, (uint64_t)fd, P(iov), 3) == 7, "writev");
	check(SYS(pread64, (uint64_t)fd, P(buf), 7, 100) == 7 && !memcmp(buf, "abcdefg", 7),
	      "its bytes");
	iov[1] = (struct lx_iovec){P(edge + 8192), 5};
	check(SYS(writev, (uint64_t)fd, P(iov), 3) == 3, "writev up to a bad segment");
	iov[1].iov_len = UINT64_MAX;
	check(SYS(writev, (uint64_t)fd, P(iov), 3) == -EINVAL, "a negative length");
	check(SYS(writev, (uint64_t)fd, P(iov), 1025) == -EINVAL, "too many segments");
	check(SYS(writev, (uint64_t)fd, 0, 0) == 0, "no segments");
	iov[0] = (struct lx_iovec){P(buf), 3};
	iov[1] = (struct lx_iovec){P(buf + 100), 5000};
	check(SYS(preadv, (uint64_t)fd, P(iov), 2, 0) == 5000 + 3 ||
		      SYS(preadv, (uint64_t)fd, P(iov), 2, 0) == 5000,
	      "preadv");
	check(SYS(open, P(edge + 8192), 0, 0) == -EFAULT, "open with a bad path");
	SYS(close, (uint64_t)fd);
}

static int other_fd;

static void
truncate_now(void)
{
	SYS(ftruncate, (uint64_t)other_fd, 100);
}

static void
test_truncate(void)
{
	int fd = file_open("/f", LX_O_CREAT | LX_O_RDWR);
	uint8_t buf[8192];

	other_fd = file_open("/f", LX_O_RDWR);
	memset(buf, 5, sizeof(buf));
	SYS(write, (uint64_t)fd, P(buf), 8192);
	check(SYS(ftruncate, (uint64_t)other_fd, 10) == 0 &&
		      SYS(pread64, (uint64_t)fd, P(buf), 100, 0) == 10,
	      "truncation is seen");
	check(SYS(ftruncate, (uint64_t)other_fd, 8192) == 0 &&
		      SYS(pread64, (uint64_t)fd, P(buf), 8192, 0) == 8192 && buf[9] == 5 &&
		      !buf[10] && !buf[8191],
	      "and growth, with zeros");
	memset(buf, 6, sizeof(buf));
	SYS(pwrite64, (uint64_t)fd, P(buf), 8192, 0);
	fake_copy_hook = truncate_now;
	check(SYS(pread64, (uint64_t)fd, P(buf), 4096, 4096) == 0,
	      "truncated between look and copy: end of file");
	memset(buf, 6, sizeof(buf));
	SYS(pwrite64, (uint64_t)fd, P(buf), 8192, 0);
	fake_copy_hook = truncate_now;
	check(SYS(pwrite64, (uint64_t)fd, P(buf), 4096, 4096) == 4096 &&
		      SYS(pread64, (uint64_t)fd, P(buf), 4096, 4096) == 4096 && buf[0] == 6 &&
		      buf[4095] == 6,
	      "truncated while written: the bytes are in the file");
	check(SYS(truncate, P("/f"), 3) == 0 && SYS(lseek, (uint64_t)fd, 0, LX_SEEK_END) == 3,
	      "truncate by name");
	check(SYS(truncate, P("/f"), UINT64_MAX) == -EINVAL, "a negative size");
	check(SYS(fallocate, (uint64_t)fd, 0, 100, 50) == 0 &&
		      SYS(lseek, (uint64_t)fd, 0, LX_SEEK_END) == 150,
	      "fallocate");
	fd_table()->size_limit = 160;
	fake_signal = 0;
	check(SYS(pwrite64, (uint64_t)fd, P(buf), 100, 150) == 10 && !fake_signal,
	      "the size limit cuts a write");
	check(SYS(pwrite64, (uint64_t)fd, P(buf), 1, 160) == -EFBIG && fake_signal == LX_SIGXFSZ,
	      "and refuses one beyond");
	fake_signal = 0;
	fd_table()->size_limit = UINT64_MAX;
	SYS(close, (uint64_t)fd);
	SYS(close, (uint64_t)other_fd);
}

static void
test_table(void)
{
	int fd = file_open("/t", LX_O_CREAT | LX_O_RDWR | LX_O_APPEND), last = 0;
	bool good = true;

	check(fd == 0, "lowest descriptor");
	check(SYS(dup, 0) == 1 && SYS(dup2, 0, 70) == 70 && SYS(dup2, 0, 0) == 0, "dup and dup2");
	check(SYS(dup2, 5, 6) == -EBADF && SYS(dup2, 0, FD_MAX) == -EBADF &&
		      SYS(dup2, 0, UINT64_MAX) == -EBADF,
	      "bad numbers");
	check(SYS(dup3, 0, 0, 0) == -EINVAL && SYS(dup3, 0, 3, LX_O_CLOEXEC) == 3 &&
		      SYS(dup3, 0, 4, 1) == -EINVAL,
	      "dup3");
	check(SYS(fcntl, 0, LX_F_DUPFD, 100) == 100 && SYS(fcntl, 0, LX_F_DUPFD, FD_MAX) == -EINVAL,
	      "F_DUPFD");
	check(SYS(fcntl, 0, LX_F_DUPFD_CLOEXEC, 0) == 2 && SYS(fcntl, 2, LX_F_GETFD) == 1 &&
		      SYS(fcntl, 1, LX_F_GETFD) == 0,
	      "close-on-exec");
	check(SYS(fcntl, 0, LX_F_GETFL) == (LX_O_RDWR | LX_O_APPEND | LX_O_LARGEFILE), "F_GETFL");
	check(SYS(fcntl, 1, LX_F_SETFL, LX_O_NONBLOCK | LX_O_WRONLY) == 0 &&
		      SYS(fcntl, 0, LX_F_GETFL) == (LX_O_RDWR | LX_O_NONBLOCK | LX_O_LARGEFILE),
	      "F_SETFL is shared and keeps the access mode");
	fd_exec();
	check(!fd_file(2) && !fd_file(3) && fd_file(1) && fd_file(70) && fd_file(100), "exec");
	check(SYS(close_range, 60, 90, 0) == 0 && !fd_file(70) && fd_file(100), "close_range");
	while ((fd = (int)SYS(dup, 0)) >= 0)
		last = fd;
	check(last == FD_MAX - 1 && fd == -EMFILE, "all descriptors");
	check(SYS(open, P("/t"), 0, 0) == -EMFILE, "open without a descriptor");
	for (int i = 0; i <= last; i++)
		good &= !SYS(close, (uint64_t)i);
	check(good && fake_objects() == 0, "all closed, the object too");
	core_free(fd_table()->more, 1);
	fd_init();
}

static void
records_write(int fd, char who, int n)
{
	char record[16];

	memset(record, who, sizeof(record));
	for (int i = 0; i < n; i++)
		if (SYS(write, (uint64_t)fd, P(record), 16) != 16)
			fake_exit(1);
}

/* Every record of 16 bytes is of one writer, and each writer has as many as it wrote. */
static bool
records_whole(int fd, int writers, int each)
{
	int count[8] = {0};
	char record[16];

	SYS(lseek, (uint64_t)fd, 0, LX_SEEK_SET);
	while (SYS(read, (uint64_t)fd, P(record), 16) == 16) {
		for (int i = 1; i < 16; i++)
			if (record[i] != record[0])
				return false;
		if (record[0] < 'a' || record[0] >= 'a' + writers)
			return false;
		count[record[0] - 'a']++;
	}
	for (int i = 0; i < writers; i++)
		if (count[i] != each)
			return false;
	return true;
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

static void
test_fork(void)
{
	int fd = file_open("/fork", LX_O_CREAT | LX_O_RDWR);
	char buf[16];

	SYS(write, (uint64_t)fd, P("parent"), 6);
	if (!fake_fork()) {
		SYS(write, (uint64_t)fd, P("child"), 5);
		fake_exit(0);
	}
	check(children_good(1) && SYS(lseek, (uint64_t)fd, 0, LX_SEEK_CUR) == 11,
	      "a position is shared after fork");
	SYS(write, (uint64_t)fd, P("!"), 1);
	check(SYS(pread64, (uint64_t)fd, P(buf), 16, 0) == 12 && !memcmp(buf, "parentchild!", 12),
	      "the bytes of both");
	SYS(fcntl, (uint64_t)fd, LX_F_SETFL, 0);
	if (!fake_fork()) {
		SYS(fcntl, (uint64_t)fd, LX_F_SETFL, LX_O_NONBLOCK);
		fake_exit(0);
	}
	check(children_good(1) && (SYS(fcntl, (uint64_t)fd, LX_F_GETFL) & LX_O_NONBLOCK),
	      "and so are the status flags");
	SYS(close, (uint64_t)fd);

	fd = file_open("/shared", LX_O_CREAT | LX_O_RDWR);
	for (int i = 0; i < 4; i++)
		if (!fake_fork()) {
			records_write(fd, (char)('a' + i), 2000);
			fake_exit(0);
		}
	check(children_good(4) && records_whole(fd, 4, 2000),
	      "writers that share a position do not overlap");
	SYS(close, (uint64_t)fd);

	for (int i = 0; i < 4; i++)
		if (!fake_fork()) {
			fd = file_open("/append", LX_O_CREAT | LX_O_WRONLY | LX_O_APPEND);
			records_write(fd, (char)('a' + i), 2000);
			fake_exit(0);
		}
	check(children_good(4), "four processes append");
	fd = file_open("/append", LX_O_RDONLY);
	check(records_whole(fd, 4, 2000), "and nothing is lost");
	SYS(close, (uint64_t)fd);
	park_flush();
	check(!fake_objects() && !fake_blocks && !fd_table()->offsets && !fd_table()->files,
	      "nothing is left");
}

/* The position that others share is nonsense. */
static void
test_untrusted(void)
{
	int fd = file_open("/nonsense", LX_O_CREAT | LX_O_RDWR);
	const uint64_t values[] = {UINT64_MAX, INT64_MAX, 1ul << 48, UINT64_MAX - 4095};
	struct fd_mapping maps[8];
	uint8_t buf[64];
	bool good = true;
	size_t n;

	SYS(write, (uint64_t)fd, P(buf), 64);
	fd_fork();
	n = fd_mappings(maps, 8);
	check(n == 2 && maps[1].pages == 1, "the position has a page");
	for (int i = 0; i < 4; i++) {
		*(uint64_t *)maps[1].va = values[i];
		good &= SYS(read, (uint64_t)fd, P(buf), 64) == 0;
		good &= SYS(write, (uint64_t)fd, P(buf), 64) == -EFBIG;
		good &= SYS(lseek, (uint64_t)fd, 5, LX_SEEK_CUR) < 0 || true;
	}
	check(good, "positions that make no sense");
	*(uint64_t *)maps[1].va = 0;
	for (int i = 0; i < 4; i++) {
		((struct svc_file_info *)maps[0].va)->size = values[i];
		good &= SYS(pread64, (uint64_t)fd, P(buf), 64, 1000) >= -EIO;
		good &= SYS(lseek, (uint64_t)fd, 0, LX_SEEK_END) >= 0;
	}
	check(good, "sizes that make no sense");
	SYS(close, (uint64_t)fd);
}

static void
test_full_arena(void)
{
	int fd[6];
	uint8_t byte;
	bool good = true;

	fake_arena_left(200);
	for (int i = 0; i < 6; i++) {
		char name[8] = {'/', 'w', (char)('0' + i)};

		fd[i] = file_open(name, LX_O_CREAT | LX_O_RDWR);
		for (uint64_t at = 0; at < 40; at++) {
			byte = (uint8_t)(at + (uint64_t)i);
			good &= SYS(pwrite64, (uint64_t)fd[i], P(&byte), 1, at * 100000) == 1;
		}
	}
	for (uint64_t at = 0; at < 40; at++)
		for (int i = 0; i < 6; i++)
			good &= SYS(pread64, (uint64_t)fd[i], P(&byte), 1, at * 100000) == 1 &&
				byte == (uint8_t)(at + (uint64_t)i);
	check(good, "more windows than the arena has room for");
	for (int i = 0; i < 6; i++)
		SYS(close, (uint64_t)fd[i]);
	fake_arena_left(FAKE_ARENA);
}

/* Opens a name for reading, reads a byte and closes it; how many calls of the service that took. */
static uint64_t
visit(const char *name)
{
	uint64_t before = fake_service_calls();
	int fd = file_open(name, LX_O_RDONLY);
	uint8_t byte = 0;
	bool good = fd >= 0 && SYS(lseek, (uint64_t)fd, 0, LX_SEEK_CUR) == 0 &&
		    SYS(read, (uint64_t)fd, P(&byte), 1) == 1 && byte == pattern(0) &&
		    SYS(fcntl, (uint64_t)fd, LX_F_GETFL) == (LX_O_RDONLY | LX_O_LARGEFILE);

	SYS(fcntl, (uint64_t)fd, LX_F_SETFL, LX_O_NONBLOCK);
	SYS(close, (uint64_t)fd);
	return good ? fake_service_calls() - before : UINT64_MAX;
}

static void
park_file(const char *name)
{
	int fd = file_open(name, LX_O_CREAT | LX_O_RDWR);
	uint8_t byte = pattern(0);

	SYS(write, (uint64_t)fd, P(&byte), 1);
	SYS(close, (uint64_t)fd);
}

static void
test_park(void)
{
	uint32_t *words = SVC_TAIL(EXOS_MSG)->parked;
	struct mail *mail = (struct mail *)EXOS_MAIL;
	char name[] = "/p0";
	bool good = true;

	for (; name[2] < '0' + 10; name[2]++)
		park_file(name);
	park_flush();
	check(!fake_objects(), "nothing open before");
	check(visit("/p0") == 2 && visit("/p0") == 0 && visit("/p0") == 0,
	      "the second open of a name and its close make no call");
	check(fake_objects() == 1 && !fd_table()->files,
	      "the object stays, the file is on no list");
	mail->names++;
	check(visit("/p0") == 2 && fake_objects() == 1, "names changed: looked up anew");
	check(visit("/p0") == 0, "and kept again");

	/* The service closed it. */
	for (uint32_t i = 0; i < SVC_PARKED; i++) {
		if (words[i])
			svc_call(&(struct svc){.op = SVC_CLOSE, .a = words[i]});
		words[i] = 0;
	}
	check(!fake_objects() && visit("/p0") == 2 && visit("/p0") == 0, "closed by the service");

	for (int round = 0; round < 3; round++) {
		for (name[2] = '0'; name[2] < '0' + 10; name[2]++)
			good &= visit(name) <= 2;
	}
	check(good && fake_objects() == SVC_PARKED, "more names than slots");
	park_flush();
	check(!fake_objects(), "all given up");
}

static void
test_park_not(void)
{
	struct mail *mail = (struct mail *)EXOS_MAIL;
	struct lx_flock lock = {.l_type = LX_F_RDLCK};
	int fd = file_open("/p0", LX_O_RDONLY), other;

	/* Two descriptions of one name at the same time. */
	other = file_open("/p0", LX_O_RDONLY);
	SYS(lseek, (uint64_t)fd, 1, LX_SEEK_SET);
	check(fake_objects() == 2 && SYS(lseek, (uint64_t)other, 0, LX_SEEK_CUR) == 0,
	      "two descriptions have two objects");
	SYS(close, (uint64_t)fd);
	SYS(close, (uint64_t)other);
	check(fake_objects() == 1, "one is kept");
	park_flush();

	fd = file_open("/p0", LX_O_RDONLY);
	SYS(fcntl, (uint64_t)fd, LX_F_OFD_SETLK, P(&lock));
	SYS(close, (uint64_t)fd);
	check(!fake_objects(), "a lock ends with its description");
	fd = file_open("/p0", LX_O_RDONLY);
	fd_fork();
	SYS(close, (uint64_t)fd);
	check(!fake_objects(), "what is shared is not kept");
	fd = file_open("/p0", LX_O_RDWR);
	SYS(close, (uint64_t)fd);
	fd = file_open("/dev/zero", LX_O_RDONLY);
	SYS(close, (uint64_t)fd);
	check(!fake_objects(), "nor what may be written, nor devices");
	fd = file_open("/p0", LX_O_RDONLY);
	mail->names++;
	SYS(close, (uint64_t)fd);
	check(!fake_objects(), "nor what was opened before names changed");
}

/* A bit of everything; only its not breaking counts. */
static void
scenario(void)
{
	int fd = file_open("/fail", LX_O_CREAT | LX_O_RDWR), ends[2];
	uint8_t buf[300];

	if (fd >= 0) {
		SYS(pwrite64, (uint64_t)fd, P(buf), 300, 70000);
		SYS(pread64, (uint64_t)fd, P(buf), 300, 70000);
		fd_fork();
		SYS(dup2, (uint64_t)fd, 200);
		SYS(write, (uint64_t)fd, P(buf), 300);
		SYS(close, 200);
		SYS(close, (uint64_t)fd);
	}
	if (!SYS(pipe, P(ends))) {
		SYS(write, (uint64_t)ends[1], P(buf), 300);
		SYS(close, (uint64_t)ends[0]);
		SYS(close, (uint64_t)ends[1]);
	}
}

static void
test_failures(void)
{
	bool good = true;

	for (long n = 1; n < 60; n++) {
		fake_fail_at = n;
		scenario();
		fake_fail_at = 0;
		park_flush();
		if (fd_table()->more)
			core_free(fd_table()->more, 1);
		good &= !fake_objects() && !fd_table()->files && !fake_blocks;
		fd_init();
	}
	check(good, "every allocation fails once, nothing is left");
}

int
main(void)
{
	fake_boot();
	edge = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(edge + 8192, 4096, PROT_NONE);
	test_data();
	test_quiet();
	test_big();
	test_sparse();
	test_bad_address();
	test_truncate();
	test_table();
	test_fork();
	test_untrusted();
	test_full_arena();
	test_park();
	test_park_not();
	test_failures();
	return check_done();
}
