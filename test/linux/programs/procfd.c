/* SPDX-License-Identifier: MIT */
/* Descriptors as files: what /proc/PID/fd shows, and what opening its entries gives. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
show(const char *what, long got)
{
	printf("%s: %ld %d\n", what, got, got < 0 ? errno : 0);
}

static const char *
name(int fd)
{
	static char text[64];

	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	return text;
}

/* The target, numbers of pipes and of what has no name left out. */
static void
target(const char *what, int fd)
{
	char text[256];
	struct stat st = {0};
	long n = readlink(name(fd), text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	text[strcspn(text, "[")] = 0;
	lstat(name(fd), &st);
	printf("%s: %s, %o\n", what, n < 0 ? strerror(errno) : text, st.st_mode);
}

static void
list(const char *what, int pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	printf("%s:", what);
	while (dir && (entry = readdir(dir)))
		printf(" %s", entry->d_name);
	printf("\n");
	if (dir)
		closedir(dir);
}

static void
same(const char *what, int fd)
{
	struct stat a = {0}, b = {0};

	show(what, stat(name(fd), &a));
	fstat(fd, &b);
	printf("the same: %d, type %o\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev,
	       a.st_mode & S_IFMT);
}

static void
files(void)
{
	char got[8] = {0};
	int fd = open("/tmp/procfd", O_RDWR | O_CREAT | O_TRUNC, 0600), again, made;

	show("write", write(fd, "abcdef", 6));
	target("file", fd);
	same("stat of a file", fd);
	again = open(name(fd), O_RDONLY);
	show("its own place", read(again, got, 3));
	puts(got);
	target("for reading", again);
	show("not followed", open(name(fd), O_RDONLY | O_NOFOLLOW));
	show("new name", linkat(AT_FDCWD, name(fd), AT_FDCWD, "/tmp/procfd2", AT_SYMLINK_FOLLOW));
	show("linked", unlink("/tmp/procfd2"));
	show("gone", unlink("/tmp/procfd"));
	made = open(name(fd), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	show("truncated by a name that is gone", lseek(fd, 0, SEEK_END));
	show("not a directory", chdir(name(fd)));
	close(again);
	close(made);
	close(fd);
	show("closed", open(name(fd), O_RDONLY));
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	show("nameless", linkat(AT_FDCWD, name(fd), AT_FDCWD, "/tmp/procfd", AT_SYMLINK_FOLLOW));
	show("named", unlink("/tmp/procfd"));
	close(fd);
}

static void
pipes(void)
{
	char got[8] = {0};
	int ends[2], again;

	show("pipe", pipe(ends));
	target("reader", ends[0]);
	target("writer", ends[1]);
	same("stat of a pipe", ends[0]);
	again = open(name(ends[0]), O_WRONLY);
	show("written by another descriptor", write(again, "xyz", 3));
	close(ends[1]);
	show("read", read(ends[0], got, 3));
	puts(got);
	close(again);
	again = open(name(ends[0]), O_RDONLY);
	show("without writers", read(again, got, 3));
	close(again);
	close(ends[0]);
}

static void
others(void)
{
	int pid, status, fd = dup2(1, 9), ends[2];

	list("mine", getpid());
	show("pipe", pipe2(ends, O_CLOEXEC));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(9);
		list("child", getpid());
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	pid = vfork();
	if (!pid) {
		dup2(1, 11);
		execl("/proc/self/exe", "procfd", "list", (char *)NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	list("after vfork", getpid());
	show("nobody's", open("/proc/self/fd/x", O_RDONLY));
	show("no number", open("/proc/self/fd/007", O_RDONLY));
	close(fd);
}

int
main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		list("program", getpid());
		return 0;
	}
	closefrom(3);
	files();
	pipes();
	others();
	show("to standard output", open("/dev/stdout", O_WRONLY | O_APPEND) >= 0);
	return 0;
}
