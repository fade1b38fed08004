/* SPDX-License-Identifier: MIT */
/* Mappings that are longer than their file: where it ends, when it grows, and when somebody cuts it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME  "/tmp/mapend"
#define PAGE  4096
#define PAGES 4

static sigjmp_buf back;
static volatile int number, code;
static char *volatile where;
static char *base;

static void
caught(int sig, siginfo_t *info, void *context)
{
	(void)context;
	number = sig;
	code = info->si_code;
	where = info->si_addr;
	siglongjmp(back, 1);
}

static void
touch(const char *what, long at, int write)
{
	volatile char *p = base + at;
	int value = 0;

	if (sigsetjmp(back, 1)) {
		printf("%s: signal %d, code %d, at %ld\n", what, number, code,
		       (long)(where - base));
		return;
	}
	if (write)
		*p = 'w';
	else
		value = *p;
	printf("%s: %d\n", what, value);
}

static void
cut_by_another(int fd, long size)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(ftruncate(fd, size) != 0);
	waitpid(child, &status, 0);
	printf("cut to %ld: %d\n", size, status);
}

static void
mapping(int flags)
{
	int fd = open(NAME, O_RDWR | O_CREAT | O_TRUNC, 0644);
	long got;

	printf("%s\n", flags == MAP_SHARED ? "shared" : "private");
	got = pwrite(fd, "abc", 3, 0);
	base = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	touch("first", 0, 0);
	touch("rest of the page", PAGE - 1, 0);
	touch("past the end", PAGE, 0);
	touch("written past it", 2 * PAGE + 5, 1);
	got += ftruncate(fd, PAGE + 900);
	if (flags == MAP_SHARED)
		touch("grown", PAGE + 1, 0);
	got += pwrite(fd, "defg", 4, PAGE);
	touch("seen", PAGE + 1, 0);
	touch("past the end again", 2 * PAGE, 0);
	got += pwrite(fd, base + 2 * PAGE, 1, 0) < 0 && errno == EFAULT;
	got += pread(fd, base + 3 * PAGE, 1, 0) < 0 && errno == EFAULT;
	cut_by_another(fd, 100);
	touch("cut", PAGE + 1, 0);
	touch("written where it is cut", PAGE + 1, 1);
	touch("what is left", 99, 0);
	touch("zeros behind it", 101, 0);
	got += ftruncate(fd, PAGE + 900);
	touch("grown again", PAGE + 4, 0);
	touch("written", PAGE + 5, 1);
	printf("%ld, size %ld\n", got, (long)lseek(fd, 0, SEEK_END));
	munmap(base, PAGES * PAGE);
	base = mmap(NULL, 2 * PAGE, PROT_READ, flags, fd, PAGE);
	touch("from the second page", 0, 0);
	touch("past its end", PAGE, 0);
	touch("not writable", 0, 1);
	munmap(base, 2 * PAGE);
	close(fd);
}

/* A hole that is read before somebody writes there. */
static void
hole(void)
{
	int fd = open(NAME, O_RDWR | O_CREAT | O_TRUNC, 0644);
	long got = ftruncate(fd, PAGES * PAGE);

	base = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	touch("hole", PAGE, 0);
	if (fork() == 0)
		_exit(pwrite(fd, "h", 1, PAGE) != 1);
	wait(NULL);
	touch("filled", PAGE, 0);
	printf("%ld\n", got);
	munmap(base, PAGES * PAGE);
	close(fd);
}

int
main(void)
{
	struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	mapping(MAP_SHARED);
	mapping(MAP_PRIVATE);
	hole();
	unlink(NAME);
	return 0;
}
