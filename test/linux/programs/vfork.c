/* SPDX-License-Identifier: MIT */
/* vfork and posix_spawn: what the child shares with its parent, what stays the parent's, and how each ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;
static volatile int word;
static volatile sig_atomic_t caught;

static void
say(const char *what, long value)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %ld\n", what, value);

	if (write(1, line, (size_t)n) != n)
		_exit(99);
}

static int
status_of(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static void
run(const char *what)
{
	char *argv[] = {self, (char *)what, NULL};
	char *envp[] = {NULL};

	execve(self, argv, envp);
}

static void
handler(int sig)
{
	caught = sig;
}

static void
memory(void)
{
	volatile char *volatile at = NULL;
	char *volatile more =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid = vfork();

	if (pid == 0) {
		word = 7;
		more[5] = 9;
		at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		at[0] = 3;
		word += getppid() == parent && getpid() != parent;
		_exit(5);
	}
	say("stores of the child", word);
	say("into a page it touched first", more[5]);
	say("into what it mapped", at[0]);
	say("parent is itself", getpid() == parent);
	say("status", status_of(pid));
}

static void
files(void)
{
	int pipe_fd[2], fd = open("/etc/passwd", O_RDONLY), copy;
	char c;
	pid_t pid;

	if (pipe(pipe_fd) || fd < 0)
		_exit(98);
	pid = vfork();
	if (pid == 0) {
		lseek(fd, 10, SEEK_SET);
		close(fd);
		close(0);
		dup2(pipe_fd[1], 20);
		open("/dev/null", O_RDONLY);
		_exit(0);
	}
	say("status", status_of(pid));
	say("position", lseek(fd, 0, SEEK_CUR));
	say("descriptor of the child", fcntl(20, F_GETFD) < 0 ? errno : 0);
	say("closed by the child", fcntl(0, F_GETFD));
	/* What exec closes, and what the child closed, is not held by the new program. */
	fcntl(pipe_fd[0], F_SETFD, FD_CLOEXEC);
	copy = dup(pipe_fd[1]);
	fcntl(copy, F_SETFD, FD_CLOEXEC);
	pid = vfork();
	if (pid == 0) {
		close(pipe_fd[1]);
		run("sleep");
		_exit(1);
	}
	close(pipe_fd[1]);
	close(copy);
	say("end of the pipe", read(pipe_fd[0], &c, 1));
	kill(pid, SIGKILL);
	say("killed", status_of(pid));
	close(pipe_fd[0]);
	close(fd);
}

static void
signals(void)
{
	struct sigaction action = {.sa_handler = handler};
	sigset_t set, old;
	pid_t pid;

	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&set);
	pid = vfork();
	if (pid == 0) {
		struct sigaction ignore = {.sa_handler = SIG_IGN};

		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigaction(SIGUSR1, &ignore, NULL);
		kill(getppid(), SIGUSR1);
		kill(getpid(), SIGUSR1);
		_exit(0);
	}
	say("status", status_of(pid));
	say("the parent's signal", caught);
	sigprocmask(SIG_BLOCK, NULL, &old);
	say("its mask", sigismember(&old, SIGUSR2));
	sigaction(SIGUSR1, NULL, &action);
	say("its handler", action.sa_handler == handler);
	pid = vfork();
	if (pid == 0) {
		kill(getpid(), SIGTERM);
		_exit(0);
	}
	say("ended by a signal", status_of(pid));
	pid = vfork();
	if (pid == 0) {
		kill(getpid(), SIGKILL);
		for (;;)
			;
	}
	say("killed", status_of(pid));
	pid = vfork();
	if (pid == 0) {
		*(volatile char *)8 = 1;
		_exit(0);
	}
	say("fault", status_of(pid) & 0x7f);
}

/* A child that waits is ended by a third process, and its parent goes on. */
static void
third(void)
{
	int fds[2];
	pid_t killer, pid, target;

	if (pipe(fds))
		_exit(98);
	killer = fork();
	if (killer == 0) {
		if (read(fds[0], &target, sizeof(target)) != sizeof(target))
			_exit(1);
		usleep(20000);
		kill(target, SIGKILL);
		_exit(0);
	}
	pid = vfork();
	if (pid == 0) {
		target = getpid();
		if (write(fds[1], &target, sizeof(target)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	say("killed while it waits", status_of(pid));
	say("killer", status_of(killer));
	close(fds[0]);
	close(fds[1]);
}

static void
nested(void)
{
	pid_t pid = vfork(), inner;

	if (pid == 0) {
		inner = vfork();
		if (inner == 0) {
			run("seven");
			_exit(1);
		}
		word = status_of(inner);
		inner = fork();
		if (inner == 0)
			_exit(getppid() == getpid() ? 1 : 4);
		word += status_of(inner);
		run("seven");
		_exit(1);
	}
	say("inner", word);
	say("outer", status_of(pid));
	say("no child left", waitpid(-1, NULL, 0) < 0 ? errno : 0);
}

/* The parent is killed while its child uses its place. */
static void
orphan(void)
{
	int fds[2];
	pid_t parent;
	char c = 0;

	if (pipe(fds))
		_exit(98);
	parent = fork();
	if (parent == 0) {
		if (vfork() == 0) {
			kill(getppid(), SIGKILL);
			usleep(20000);
			dup2(fds[1], 1);
			run("print");
			_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	say("parent", status_of(parent));
	say("the child's program runs", read(fds[0], &c, 1));
	say("and says", c);
	close(fds[0]);
	/* It may have become ours, if we are process 1. */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void
spawns(void)
{
	char *argv[] = {self, "seven", NULL}, *envp[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	pid_t pid = 0;
	int error;

	error = posix_spawn(&pid, self, NULL, NULL, argv, envp);
	say("spawn", error);
	say("status", status_of(pid));
	say("no such program", posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, envp));
	say("no program", posix_spawn(&pid, "/etc", NULL, NULL, argv, envp));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 5, "/nonexistent", O_RDONLY, 0);
	say("no such file", posix_spawn(&pid, self, &actions, NULL, argv, envp));
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 9, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 8);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	argv[1] = "group";
	error = posix_spawn(&pid, self, &actions, &attr, argv, envp);
	say("with actions", error);
	say("status", status_of(pid));
	say("not here", fcntl(8, F_GETFD) < 0 && fcntl(9, F_GETFD) < 0);
	say("no child left", waitpid(-1, NULL, 0) < 0 ? errno : 0);
}

static int
child(const char *what)
{
	if (!strcmp(what, "seven"))
		return 7;
	if (!strcmp(what, "sleep"))
		sleep(100);
	if (!strcmp(what, "print"))
		return write(1, "x", 1) != 1;
	if (!strcmp(what, "group"))
		return (getpgrp() == getpid()) + 2 * (fcntl(8, F_GETFD) == 0) +
		       4 * (fcntl(9, F_GETFD) == 0);
	return 1;
}

int
main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 1)
		return child(argv[1]);
	memory();
	files();
	signals();
	third();
	nested();
	orphan();
	spawns();
	for (int i = 0; i < 100; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			if (i % 2)
				run("seven");
			_exit(7);
		}
		if (status_of(pid) != 7 << 8)
			say("round", i);
	}
	return 0;
}
