/* SPDX-License-Identifier: MIT */
/*
 * What making processes and changing memory costs, by the processor's time stamp: instructions when
 * run under `./exo run --icount`, where it advances by one an instruction.
 *
 * cost [ROW...] [TIMES]: one line a row, "name figure"; the figure is for one operation, the loop's own
 * work included.  The same binary runs on Linux.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE 4096ul

static const char *self;
static unsigned times = 100;

static void
must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void
child_wait(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0) == pid && status == 0, "wait");
}

static void
fork_once(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	must(pid > 0, "fork");
	child_wait(pid);
}

static void
exec_once(void)
{
	char *argv[] = {(char *)self, "end", NULL};
	char *envp[] = {NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		execve(self, argv, envp);
		_exit(1);
	}
	must(pid > 0, "vfork");
	child_wait(pid);
}

static void
spawn_once(void)
{
	char *argv[] = {(char *)self, "end", NULL};
	char *envp[] = {NULL};
	pid_t pid;

	must(posix_spawn(&pid, self, NULL, NULL, argv, envp) == 0, "posix_spawn");
	child_wait(pid);
}

static uint64_t
repeat(void (*once)(void))
{
	unsigned n = times;
	uint64_t start;

	once();
	once();
	start = __rdtsc();
	for (unsigned i = 0; i < n; i++)
		once();
	return (__rdtsc() - start) / n;
}

static uint64_t
row_fork(void)
{
	return repeat(fork_once);
}

static uint64_t
row_exec(void)
{
	return repeat(exec_once);
}

static uint64_t
row_spawn(void)
{
	return repeat(spawn_once);
}

static volatile uint8_t *
map(unsigned pages)
{
	void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	must(at != MAP_FAILED, "mmap");
	return at;
}

static uint64_t
row_minor_fault(void)
{
	enum { PAGES = 1000 };
	volatile uint8_t *at = map(PAGES);
	uint64_t start = __rdtsc();

	for (unsigned i = 0; i < PAGES; i++)
		at[i * PAGE] = 1;
	start = __rdtsc() - start;
	munmap((void *)at, PAGES * PAGE);
	return start / PAGES;
}

/* Pages from the middle of a larger mapping, so that regions are split as a program's would be. */
static uint64_t
protect(unsigned pages, int first, int second, int measured)
{
	const int TIMES = (int)times;
	volatile uint8_t *at = map(300);
	void *from = (void *)(at + 100 * PAGE);
	uint64_t sum = 0;

	for (unsigned i = 0; i < 300; i++)
		at[i * PAGE] = 1;
	for (int i = 0; i < TIMES + 2; i++) {
		uint64_t t0 = __rdtsc(), t1, t2;

		must(!mprotect(from, pages * PAGE, first), "mprotect");
		t1 = __rdtsc();
		must(!mprotect(from, pages * PAGE, second), "mprotect");
		t2 = __rdtsc();
		if (i >= 2)
			sum += measured ? t2 - t1 : t1 - t0;
		for (unsigned k = 0; k < 300; k++)
			at[k * PAGE] = 1;
	}
	munmap((void *)at, 300 * PAGE);
	return sum / TIMES;
}

static uint64_t
row_prot1(void)
{
	return protect(1, PROT_READ, PROT_READ | PROT_WRITE, 0);
}

static uint64_t
row_unprot1(void)
{
	return protect(1, PROT_READ, PROT_READ | PROT_WRITE, 1);
}

static uint64_t
row_prot100(void)
{
	return protect(100, PROT_READ, PROT_READ | PROT_WRITE, 0);
}

static uint64_t
row_unprot100(void)
{
	return protect(100, PROT_READ, PROT_READ | PROT_WRITE, 1);
}

static const struct {
	const char *name;
	uint64_t (*run)(void);
} rows[] = {
	{"fork", row_fork},       {"exec", row_exec},
	{"spawn", row_spawn},     {"minor_fault", row_minor_fault},
	{"prot1", row_prot1},     {"unprot1", row_unprot1},
	{"prot100", row_prot100}, {"unprot100", row_unprot100},
};

static int
wanted(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name))
			return 1;
	}
	return argc < 2;
}

int
main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "end"))
		return 0;
	self = argv[0];
	if (argc > 1 && atoi(argv[argc - 1]))
		times = (unsigned)atoi(argv[--argc]);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (wanted(argc, argv, rows[i].name))
			printf("%-12s %lu\n", rows[i].name, (unsigned long)rows[i].run());
	}
	return 0;
}
