/* SPDX-License-Identifier: MIT */
/* Who sent a signal, how, and with which value: to a handler, and to who waits. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
show(const char *what, const siginfo_t *info)
{
	printf("%s: signal %d, code %d, value %d, mine %d, uid %d\n", what, info->si_signo,
	       info->si_code, info->si_code == SI_QUEUE ? info->si_value.sival_int : 0,
	       info->si_pid == getpid(), (int)info->si_uid);
}

static void
handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	show("handler", info);
}

static void
from_child(int how, const sigset_t *set)
{
	union sigval value = {.sival_int = 55};
	pid_t child = fork();
	siginfo_t info;

	if (child == 0)
		_exit(how ? sigqueue(getppid(), SIGUSR1, value) : kill(getppid(), SIGUSR1));
	sigwaitinfo(set, &info);
	show("from a child", &info);
	printf("its own: %d\n", info.si_pid == child);
	waitpid(child, NULL, 0);
}

int
main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	union sigval value = {.sival_int = 77};
	siginfo_t info;
	sigset_t set;
	long st;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGRTMIN, &action, NULL);
	sigqueue(getpid(), SIGUSR1, value);
	sigqueue(getpid(), SIGRTMIN, value);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigqueue(getpid(), SIGUSR1, value);
	sigwaitinfo(&set, &info);
	show("waited", &info);
	from_child(0, &set);
	from_child(1, &set);
	/* As if by the kernel: not to another. */
	memset(&info, 0, sizeof(info));
	info.si_code = SI_KERNEL;
	st = syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info);
	printf("forged: %ld %d\n", st, errno);
	st = sigqueue(99999, SIGUSR1, value);
	printf("nobody: %ld %d\n", st, errno);
	return 0;
}
