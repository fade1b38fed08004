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
	return 0;
}
