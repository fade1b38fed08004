/* SPDX-License-Identifier: MIT */
/* Making processes: fork, exit, wait; vfork, exec of a small static program, wait. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define SMALL "/bench/small"

static void
ended(pid_t pid)
{
	int status;

	bench_require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void
fork_wait(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ended(pid);
}

static void
exec_setup(void)
{
	bench_require(access(SMALL, X_OK) == 0);
}

static void
exec_wait(void)
{
	char *const arguments[] = {SMALL, NULL}, *const environment[] = {NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		execve(SMALL, arguments, environment);
		_exit(127);
	}
	ended(pid);
}

BENCH(fork, .op = fork_wait)
BENCH(exec, .setup = exec_setup, .op = exec_wait)
