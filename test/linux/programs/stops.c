/* SPDX-License-Identifier: MIT */
/* Stopping and going on: what a parent is told, and which signals take back which. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int to[2], from[2];

static void
told(const char *what, int pid, int options)
{
	int status = 0, got = waitpid(pid, &status, options);

	printf("%s: %d", what, got == pid);
	if (got == pid && WIFSTOPPED(status))
		printf(" stopped by %d\n", WSTOPSIG(status));
	else if (got == pid && WIFCONTINUED(status))
		printf(" continued\n");
	else if (got == pid && WIFSIGNALED(status))
		printf(" killed by %d\n", WTERMSIG(status));
	else
		printf(" %d\n", got == pid ? WEXITSTATUS(status) : 0);
}

static void
handler(int sig)
{
	char c = (char)('0' + sig % 10);

	(void)!write(from[1], &c, 1);
}

static void
ready(void)
{
	(void)!write(from[1], "r", 1);
}

static char
answer(void)
{
	char c = '?';

	(void)!read(from[0], &c, 1);
	return c;
}

static void
next(void)
{
	char c;

	(void)!read(to[0], &c, 1);
}

/* A child that sleeps, in a group of its own. */
static int
sleeper(void)
{
	int pid = fork();

	if (!pid) {
		setpgid(0, 0);
		signal(SIGCONT, handler);
		ready();
		for (;;)
			pause();
	}
	answer();
	return pid;
}

static void
in_turn(void)
{
	int pid = sleeper();

	for (int i = 0; i < 20; i++) {
		kill(pid, SIGSTOP);
		told("stop", pid, WUNTRACED);
		kill(pid, SIGSTOP);
		told("again", pid, WUNTRACED | WNOHANG);
		kill(pid, SIGCONT);
		told("continue", pid, WCONTINUED | WNOHANG);
		printf("handler %c\n", answer());
	}
	kill(pid, SIGSTOP);
	told("stop", pid, WUNTRACED);
	for (int i = 0; i < 20; i++) {
		kill(pid, SIGCONT);
		kill(pid, SIGTSTP);
		told("and stop", pid, WUNTRACED);
	}
	kill(pid, SIGTERM);
	told("stays", pid, WNOHANG | WUNTRACED);
	kill(pid, SIGCONT);
	told("over", pid, 0);
}

/* A group without a way back does not stop for a terminal. */
static void
orphaned(void)
{
	int pid = fork();

	if (!pid) {
		setsid();
		raise(SIGTSTP);
		raise(SIGTTIN);
		_exit(4);
	}
	told("orphaned", pid, WUNTRACED);
}

static void
pending_now(const char *what)
{
	sigset_t pending;

	sigpending(&pending);
	printf("%s: %d %d\n", what, sigismember(&pending, SIGTSTP), sigismember(&pending, SIGCONT));
}

static void
taken_back(void)
{
	sigset_t set;
	int pid;

	if (pipe(to) || pipe(from)) /* nothing of others in them */
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		sigprocmask(SIG_BLOCK, &set, NULL);
		ready();
		next();
		pending_now("after stop and continue");
		ready();
		next();
		pending_now("and stop");
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	answer();
	kill(pid, SIGTSTP);
	kill(pid, SIGCONT);
	(void)!write(to[1], "n", 1);
	answer();
	kill(pid, SIGTSTP);
	(void)!write(to[1], "n", 1);
	told("end", pid, WUNTRACED);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGUSR1, SIG_IGN);
	if (pipe(to) || pipe(from))
		return 1;
	in_turn();
	orphaned();
	taken_back();
	return 0;
}
