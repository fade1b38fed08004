/* SPDX-License-Identifier: MIT */
/* What a child has after fork: many descriptors and mappings, before and after most of them went. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES 900
#define MAPS  300
#define PAGE  4096

static uint8_t *map[MAPS];

static int
files_open(void)
{
	int n = 0;

	for (int i = 3; i < 3 + FILES; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

/* Every second page of a mapping that is there has its number. */
static int
maps_right(void)
{
	int n = 0;

	for (int i = 0; i < MAPS; i++)
		n += map[i] && *(int *)(map[i] + PAGE) == i;
	return n;
}

/* In a child of a child, which writes everything and shows what it found; the parent looks again. */
static void
look(const char *when)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		pid = fork();
		if (!pid) {
			printf("%s: %d files, %d mappings\n", when, files_open(), maps_right());
			for (int i = 0; i < MAPS; i++) {
				if (map[i])
					*(int *)(map[i] + PAGE) = -1;
			}
			for (int i = 3; i < 3 + FILES; i++)
				close(i);
			printf("%s: %d files, %d mappings at the end\n", when, files_open(),
			       maps_right());
			exit(0);
		}
		waitpid(pid, &status, 0);
		printf("%s: in between %d files, %d mappings\n", when, files_open(), maps_right());
		exit(status);
	}
	waitpid(pid, &status, 0);
	printf("%s: status %d, here %d files, %d mappings\n", when, status, files_open(),
	       maps_right());
}

static int value;

/* What a child that ended has left is its parent's, and not that of its own children. */
static void
generations(void)
{
	int go[2], done[2], status;
	char c = 0;
	pid_t pid, second = 0;

	fflush(stdout);
	if (pipe(go) || pipe(done))
		exit(1);
	pid = fork();
	if (!pid) {
		value = 1;
		if (!fork()) {
			close(done[0]);
			if (read(go[0], &c, 1) != 1)
				exit(2);
			printf("grandchild: value %d, byte %d, %d files, %d mappings\n", value, c,
			       files_open(), maps_right());
			exit(0);
		}
		_exit(value);
	}
	waitpid(pid, &status, 0);
	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			value = 10 + i;
			for (int k = 0; k < MAPS; k++) {
				if (map[k])
					*(int *)(map[k] + PAGE) = -1;
			}
			_exit(value);
		}
		/* The last two are there at the same time. */
		if (i == 1) {
			second = pid;
		} else {
			waitpid(pid, &status, 0);
			printf("child: status %d\n", WEXITSTATUS(status));
		}
	}
	fflush(stdout);
	waitpid(second, &status, 0);
	close(done[1]);
	if (write(go[1], "\7", 1) != 1 || read(done[0], &c, 1) != 0)
		exit(1);
	printf("parent: value %d, %d files, %d mappings\n", value, files_open(), maps_right());
	close(go[0]);
	close(go[1]);
	close(done[0]);
}

int
main(void)
{
	struct rlimit limit = {1024, 1024};

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 3; i < 3 + FILES; i++)
		close(i);
	look("few");
	for (int i = 3; i < 3 + FILES; i++)
		dup2(1, i);
	/* Readable next to writable ones, so that each is a mapping of its own. */
	for (int i = 0; i < MAPS; i++) {
		map[i] = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(map[i] + PAGE, PAGE, PROT_READ | PROT_WRITE);
		*(int *)(map[i] + PAGE) = i;
	}
	look("many");
	generations();
	for (int i = 0; i < MAPS; i++) {
		if (i % 50) {
			munmap(map[i], 3 * PAGE);
			map[i] = NULL;
		}
	}
	for (int i = 3; i < 3 + FILES; i++) {
		if (i % 100)
			close(i);
	}
	look("fewer");
	generations();
	return 0;
}
