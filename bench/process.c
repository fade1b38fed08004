/* SPDX-License-Identifier: MIT */
/* Making processes: fork, exit, wait; vfork, exec of a static program without and with a C library, wait. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static const char *program;

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
exec_wait(void)
{
	char *const arguments[] = {(char *)program, NULL}, *const environment[] = {NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		execve(program, arguments, environment);
		_exit(127);
	}
	ended(pid);
}

static void
small_setup(void)
{
	program = "/bench/small";
	bench_require(access(program, X_OK) == 0);
}

static void
libc_setup(void)
{
	program = "/bench/libc";
	bench_require(access(program, X_OK) == 0);
}

BENCH(fork, .op = fork_wait)
BENCH(exec, .setup = small_setup, .op = exec_wait)
BENCH(exec_libc, .setup = libc_setup, .op = exec_wait)
