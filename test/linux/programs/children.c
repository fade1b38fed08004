/* SPDX-License-Identifier: MIT */
/* Children that nobody waits for, and news of children that nobody wants. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t news;

static void
handler(int sig)
{
	(void)sig;
	news++;
}

static void
set(void (*how)(int), int flags)
{
	struct sigaction act = {.sa_flags = flags};

	act.sa_handler = how;
	sigaction(SIGCHLD, &act, NULL);
	news = 0;
}

static int
child(int status)
{
	int pid = fork();

	if (!pid)
		_exit(status);
	return pid;
}

static void
waited(const char *what, int pid)
{
	int status = 0, got;

	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	printf("%s: %s %d\n", what, got < 0 ? strerror(errno) : "status", WEXITSTATUS(status));
}

static void
nobody_waits(void)
{
	int zombie = child(3), pid;

	usleep(50000);
	set(SIG_IGN, 0);
	for (int i = 0; i < 5; i++)
		child(i);
	pid = child(4);
	waited("ignored", pid);
	waited("one that ended before", zombie);
	waited("any", -1);
	set(handler, SA_NOCLDWAIT);
	pid = child(5);
	waited("not waited for", pid);
	waited("any", -1);
	printf("told: %d\n", news == 1);
	set(SIG_DFL, 0);
	waited("as ever", child(6));
}

static void
stops(int flags)
{
	int pid, status;

	set(handler, flags);
	pid = fork();
	if (!pid) {
		for (;;)
			pause();
	}
	kill(pid, SIGSTOP);
	while (waitpid(pid, &status, WUNTRACED) != pid)
		;
	kill(pid, SIGCONT);
	while (waitpid(pid, &status, WCONTINUED) != pid)
		;
	printf("stops told: %d\n", news > 0);
	news = 0;
	kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) != pid)
		;
	printf("end told: %d\n", news > 0);
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1) {
		/* exec keeps what is ignored, and no flags. */
		waited(argv[1], child(7));
		return 0;
	}
	nobody_waits();
	stops(0);
	stops(SA_NOCLDSTOP);
	set(SIG_IGN, 0);
	if (!vfork()) {
		signal(SIGCHLD, SIG_DFL);
		execl("/proc/self/exe", "children", "default again", (char *)NULL);
		_exit(1);
	}
	waited("still ignored", -1);
	if (!fork()) {
		execl("/proc/self/exe", "children", "ignored by exec", (char *)NULL);
		_exit(1);
	}
	waited("still ignored", -1);
	return 0;
}
