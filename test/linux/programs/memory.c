/* SPDX-License-Identifier: MIT */
/* mmap, mprotect, mremap, brk, copy on write, a fault handler that repairs, faults by kind. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf back;
static int code;
static volatile char *volatile watched;

static void
fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	code = info->si_code;
	if (watched && (volatile char *)info->si_addr >= watched &&
	    (volatile char *)info->si_addr < watched + 4096) {
		mprotect((char *)watched, 4096, PROT_READ | PROT_WRITE);
		watched = NULL;
		return;
	}
	siglongjmp(back, sig);
}

static int
touch(volatile char *p, int write)
{
	int sig = sigsetjmp(back, 1);

	if (sig)
		return sig * 10 + code;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

int
main(void)
{
	struct sigaction act = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
	char *p, *q, *shared, *file;
	int status, fd;

	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	printf("null %d\n", touch(NULL, 0));
	p = mmap(NULL, 4 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("read %d write %d\n", touch(p, 0), touch(p, 1));
	mprotect(p, 4096, PROT_READ | PROT_WRITE);
	printf("write %d next %d\n", touch(p, 1), touch(p + 4096, 1));
	mprotect(p, 4096, PROT_NONE);
	printf("none %d\n", touch(p, 0));
	mprotect(p, 4096, PROT_READ);
	watched = p;
	*(volatile char *)(p + 5) = 'x';
	printf("repaired %c %d\n", p[5], (int)p[0]);
	munmap(p, 4 * 4096);
	printf("gone %d\n", touch(p, 0));
	q = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(q, "moved");
	q = mremap(q, 8192, 1 << 20, MREMAP_MAYMOVE);
	q[(1 << 20) - 1] = 1;
	printf("%s\n", q);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(q, "parent");
	if (fork() == 0) {
		strcpy(q, "child");
		strcpy(shared, "from the child");
		_exit(strcmp(q, "child"));
	}
	wait(&status);
	printf("%s, %s, %d\n", q, shared, status);
	fd = open("/tmp/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 5000);
	file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(file + 4090, "across");
	pread(fd, q, 16, 4090);
	printf("%s\n", q);
	pwrite(fd, "back", 4, 0);
	printf("%.4s\n", file);
	close(fd);
	fd = open("/tmp/mapped", O_RDONLY);
	file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	printf("read only %d", mprotect(file, 4096, PROT_READ | PROT_WRITE));
	printf(" %d\n", touch(file, 1));
	file = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("private %d", mprotect(file, 4096, PROT_READ | PROT_WRITE));
	printf(" %d\n", touch(file, 1));
	unlink("/tmp/mapped");
	p = sbrk(0);
	sbrk(100000);
	memset(p, 7, 100000);
	sbrk(-100000);
	printf("brk %d\n", (char *)sbrk(0) == p);
	return 0;
}
