/* SPDX-License-Identifier: MIT */
/* Counts that no memory has room for, and pipes that cannot be made smaller than what lies in them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096

static char buffer[4 * PAGE];

static void
show(const char *what, long got)
{
	printf("%s: %ld %d\n", what, got, got < 0 ? errno : 0);
}

static void
too_long(const char *what, int in, int out)
{
	printf("%s\n", what);
	show("read", syscall(SYS_read, in, buffer, -1L));
	show("write", syscall(SYS_write, out, buffer, -1L));
	show("pread", syscall(SYS_pread64, in, buffer, -1L, 0L));
	show("pwrite", syscall(SYS_pwrite64, out, buffer, -1L, 0L));
	show("read from the other", syscall(SYS_read, out, buffer, -1L));
	show("write to the other", syscall(SYS_write, in, buffer, -1L));
}

int
main(void)
{
	int in = open("/proc/self/exe", O_RDONLY), ends[2];
	int out = open("/tmp/counts", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	long got = pipe(ends);

	setvbuf(stdout, NULL, _IONBF, 0);
	show("pipe", got);
	too_long("files", in, out);
	too_long("pipe", ends[0], ends[1]);
	too_long("none", 77, 77);
	show("empty", fcntl(ends[1], F_SETPIPE_SZ, 4 * PAGE) < 4 * PAGE);
	show("filled", write(ends[1], buffer, 2 * PAGE + 100));
	show("no room", fcntl(ends[1], F_SETPIPE_SZ, PAGE));
	show("none at all", fcntl(ends[0], F_SETPIPE_SZ, 0));
	show("rounded up", fcntl(ends[1], F_SETPIPE_SZ, 3 * PAGE) < 3 * PAGE);
	show("emptied", read(ends[0], buffer, 2 * PAGE + 100));
	show("room", fcntl(ends[1], F_SETPIPE_SZ, PAGE) < PAGE);
	show("no pipe", fcntl(out, F_SETPIPE_SZ, PAGE));
	unlink("/tmp/counts");
	return 0;
}
