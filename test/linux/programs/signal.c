/* SPDX-License-Identifier: MIT */
/* Handlers: information, masks, nesting, restart, alternate stack, vector state across a handler. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int depth, deepest, on_stack;
static char stack[32768];

static void
nest(int sig)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (sig == SIGUSR1)
		raise(SIGUSR2);
	depth--;
}

static void
info(int sig, siginfo_t *si, void *context)
{
	char here;
	double x = 3.0;

	(void)context;
	on_stack = &here > stack && &here < stack + sizeof(stack);
	for (int i = 0; i < 10; i++)
		x *= 1.5;
	printf("signal %d code %d own %d %d\n", sig, si->si_code, si->si_pid == getpid(), x > 1);
}

static void
nothing(int sig)
{
	(void)sig;
}

int
main(void)
{
	struct sigaction act = {.sa_handler = nest};
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	volatile double a = 1.25, b = 2.5;
	sigset_t set, old;
	char buf[16];
	int fd[2], n;

	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGUSR2, &act, NULL);
	raise(SIGUSR1);
	printf("nested %d\n", deepest);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old);
	deepest = 0;
	raise(SIGUSR2);
	printf("blocked %d", deepest);
	sigpending(&set);
	printf(" pending %d", sigismember(&set, SIGUSR2));
	sigprocmask(SIG_SETMASK, &old, NULL);
	printf(" delivered %d\n", deepest);
	sigaltstack(&alt, NULL);
	act.sa_sigaction = info;
	act.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGUSR1, &act, NULL);
	kill(getpid(), SIGUSR1);
	printf("alternate stack %d, vector %g\n", on_stack, a * b);
	pipe(fd);
	if (fork() == 0) {
		usleep(100000);
		kill(getppid(), SIGUSR2);
		usleep(100000);
		write(fd[1], "data", 4);
		_exit(0);
	}
	act.sa_handler = nothing;
	act.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &act, NULL);
	n = (int)read(fd[0], buf, sizeof(buf));
	printf("restarted %d\n", n);
	wait(NULL);
	if (fork() == 0) {
		usleep(100000);
		kill(getppid(), SIGUSR2);
		_exit(0);
	}
	act.sa_flags = 0;
	sigaction(SIGUSR2, &act, NULL);
	n = (int)read(fd[0], buf, sizeof(buf));
	printf("interrupted %d %d\n", n, errno == EINTR);
	wait(NULL);
	return 0;
}
