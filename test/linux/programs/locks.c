/* SPDX-License-Identifier: MIT */
/* Advisory locks between processes: flock, fcntl's of processes, fcntl's of open file descriptions. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[] = "/tmp/locks-XXXXXX";
static int *shared; /* a word that all processes see */

static int
file_open(int flags)
{
	int fd = open(name, flags);

	if (fd < 0)
		_exit(9);
	return fd;
}

static const char *
result(int r)
{
	return r == 0               ? "done"
	       : errno == EAGAIN    ? "busy"
	       : errno == EBADF     ? "bad descriptor"
	       : errno == EINVAL    ? "invalid"
	       : errno == EINTR     ? "interrupted"
	       : errno == EDEADLK   ? "deadlock"
	       : errno == EOVERFLOW ? "overflow"
				    : strerror(errno);
}

static int
range(int fd, int command, int type, long start, long length)
{
	struct flock l = {
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, command, &l);
}

static void
ask(int fd, int command, int type, long start, long length, pid_t whose)
{
	struct flock l = {
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	int r = fcntl(fd, command, &l);

	if (r || l.l_type == F_UNLCK)
		printf("  %ld+%ld: %s\n", start, length, r ? result(r) : "free");
	else
		printf("  %ld+%ld: %s %ld+%ld, %s\n", start, length,
		       l.l_type == F_RDLCK ? "shared" : "exclusive", (long)l.l_start, (long)l.l_len,
		       l.l_pid == whose ? "as said"
		       : l.l_pid == -1  ? "a description's"
					: "whose?");
	fflush(stdout);
}

/* fn in a child; waits for it. */
static void
in_child(void (*fn)(int), int arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn(arg);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* ---- flock ---- */

static void
try_flock(int operation)
{
	int fd = file_open(O_RDONLY);

	printf("  flock %d: %s\n", operation, result(flock(fd, operation | LOCK_NB)));
}

static void
whole_files(void)
{
	int fd = file_open(O_RDONLY), other = file_open(O_RDONLY), copy;

	puts("flock");
	printf("invalid: %s\n", result(flock(fd, 3)));
	printf("shared: %s, and in another: %s\n", result(flock(fd, LOCK_SH)),
	       result(flock(other, LOCK_SH | LOCK_NB)));
	printf("both want it alone: %s\n", result(flock(fd, LOCK_EX | LOCK_NB)));
	in_child(try_flock, LOCK_EX);
	flock(other, LOCK_UN);
	printf("one only: %s\n", result(flock(fd, LOCK_EX | LOCK_NB)));
	in_child(try_flock, LOCK_SH);
	copy = dup(fd);
	close(fd);
	in_child(try_flock, LOCK_SH);
	close(copy);
	in_child(try_flock, LOCK_EX);
	/* Ends with its process. */
	in_child(try_flock, LOCK_EX);
	in_child(try_flock, LOCK_EX);
	close(other);
}

static void
waiting(int which)
{
	int fd = file_open(O_RDWR);
	int r = which ? range(fd, F_SETLKW, F_WRLCK, 5, 5) : flock(fd, LOCK_EX);

	printf("  waited: %s, released before: %d\n", result(r), *shared);
}

static void
waits(int which)
{
	int fd = file_open(O_RDWR);
	pid_t pid;

	printf("waiting for %s\n", which ? "a range" : "a file");
	fflush(stdout);
	*shared = 0;
	if (which)
		range(fd, F_SETLK, F_RDLCK, 0, 0);
	else
		flock(fd, LOCK_SH);
	pid = fork();
	if (!pid) {
		waiting(which);
		fflush(stdout);
		_exit(0);
	}
	usleep(100000);
	*shared = 1;
	if (which)
		range(fd, F_SETLK, F_UNLCK, 0, 0);
	else
		flock(fd, LOCK_UN);
	waitpid(pid, NULL, 0);
	close(fd);
}

/* ---- ranges ---- */

static pid_t parent;

static void
look(int command)
{
	int fd = file_open(O_RDWR);

	ask(fd, command, F_WRLCK, 0, 10, parent);
	ask(fd, command, F_WRLCK, 0, 0, parent);
	ask(fd, command, F_RDLCK, 40, 20, parent);
	ask(fd, command, F_RDLCK, 60, 1, parent);
	ask(fd, command, F_WRLCK, 200, 0, parent);
	printf("  take 45+5: %s\n", result(range(fd, command + 1, F_WRLCK, 45, 5)));
	printf("  take 30+15: %s\n", result(range(fd, command + 1, F_WRLCK, 30, 15)));
}

static void
ranges(void)
{
	int fd = file_open(O_RDWR), reader = file_open(O_RDONLY), other;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = -10};

	puts("ranges");
	printf("write lock of a reader: %s\n", result(range(reader, F_SETLK, F_WRLCK, 0, 1)));
	printf("before the file: %s\n", result(range(fd, F_SETLK, F_WRLCK, -1, 1)));
	printf("backwards: %s\n", result(range(fd, F_SETLK, F_WRLCK, 10, -11)));
	printf("too far: %s\n", result(range(fd, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 2)));
	printf("of no kind: %s\n", result(range(fd, F_SETLK, 7, 0, 1)));
	printf("0+100: %s\n", result(range(fd, F_SETLK, F_WRLCK, 0, 100)));
	in_child(look, F_GETLK);
	printf("a hole: %s\n", result(range(fd, F_SETLK, F_UNLCK, 40, 20)));
	printf("a part shared: %s\n", result(range(fd, F_SETLK, F_RDLCK, 60, 10)));
	in_child(look, F_GETLK);
	printf("together again: %s %s\n", result(range(fd, F_SETLK, F_WRLCK, 40, 20)),
	       result(range(fd, F_SETLK, F_WRLCK, 60, 10)));
	printf("and to the end: %s\n", result(range(fd, F_SETLK, F_WRLCK, 100, 0)));
	in_child(look, F_GETLK);
	ask(fd, F_GETLK, F_WRLCK, 0, 0, 0); /* one's own are not in the way */
	other = dup(fd);
	close(other); /* any descriptor ends them all */
	in_child(look, F_GETLK);
	printf("from the end: %s\n", result(fcntl(fd, F_SETLK, &l)));
	in_child(look, F_GETLK);
	close(reader);
	in_child(look, F_GETLK);
	close(fd);
}

static void
descriptions(void)
{
	int fd = file_open(O_RDWR), other = file_open(O_RDWR), copy = dup(fd);

	puts("open file descriptions");
	printf("0+100: %s\n", result(range(fd, F_OFD_SETLK, F_WRLCK, 0, 100)));
	printf("again by a copy: %s\n", result(range(copy, F_OFD_SETLK, F_WRLCK, 0, 100)));
	printf("by another: %s\n", result(range(other, F_OFD_SETLK, F_WRLCK, 99, 2)));
	printf("by the process: %s\n", result(range(other, F_SETLK, F_RDLCK, 99, 2)));
	ask(other, F_OFD_GETLK, F_RDLCK, 0, 0, 0);
	close(copy);
	in_child(look, F_OFD_GETLK);
	close(fd);
	printf("closed: %s\n", result(range(other, F_OFD_SETLK, F_WRLCK, 99, 2)));
	close(other);
}

static void
noted(int sig)
{
	(void)sig;
}

/* Two who wait for each other, and one whom a signal frees. */
static void
knots(void)
{
	struct sigaction act = {.sa_handler = noted};
	int fd = file_open(O_RDWR), r;
	pid_t pid;

	puts("knots");
	fflush(stdout);
	sigaction(SIGALRM, &act, NULL);
	range(fd, F_SETLK, F_WRLCK, 0, 1);
	*shared = 0;
	pid = fork();
	if (!pid) {
		range(fd, F_SETLK, F_WRLCK, 1, 1);
		*shared = 1;
		r = range(fd, F_SETLKW, F_WRLCK, 0, 1);
		_exit(r ? 1 : 0);
	}
	while (!*(volatile int *)shared)
		usleep(1000);
	usleep(100000); /* the child waits */
	printf("the second to wait: %s\n", result(range(fd, F_SETLKW, F_WRLCK, 1, 1)));
	range(fd, F_SETLK, F_UNLCK, 0, 1);
	waitpid(pid, &r, 0);
	printf("the first got it: %d\n", r == 0);
	fflush(stdout);
	flock(fd, LOCK_EX);
	pid = fork();
	if (!pid) {
		int own = file_open(O_RDWR);

		alarm(1);
		printf("a signal: %s\n", result(flock(own, LOCK_EX)));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(fd);
}

int
main(void)
{
	int fd = mkstemp(name);

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || shared == MAP_FAILED || ftruncate(fd, 50))
		return 1;
	close(fd);
	parent = getpid();
	whole_files();
	waits(0);
	ranges();
	waits(1);
	descriptions();
	knots();
	unlink(name);
	return 0;
}
