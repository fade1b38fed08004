/* SPDX-License-Identifier: MIT */
/* Signals that queue, what is not kept, and waiting for them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int got[16], count;

static void
handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (count < 16)
		got[count++] = (sig - SIGRTMIN) * 100 + info->si_value.sival_int;
}

static void
show(const char *what)
{
	printf("%s:", what);
	for (int i = 0; i < count; i++)
		printf(" %d", got[i]);
	printf("\n");
	count = 0;
}

static void
put(int pid, int sig, int value)
{
	union sigval v = {.sival_int = value};

	if (sigqueue(pid, sig, v))
		printf("refused: %s\n", strerror(errno));
}

static void
some(int pid)
{
	for (int i = 1; i <= 3; i++)
		put(pid, SIGRTMIN + 1, i);
	for (int i = 1; i <= 3; i++)
		put(pid, SIGRTMIN, i);
	put(pid, SIGUSR1, 8);
}

/* Of the same number in the order in which they came, lower numbers first. */
static void
in_order(const sigset_t *set)
{
	struct timespec none = {0, 0};
	siginfo_t info;
	sigset_t pending;

	sigprocmask(SIG_BLOCK, set, NULL);
	some(getpid());
	kill(getpid(), SIGRTMIN);
	while (sigtimedwait(set, &info, &none) > 0)
		printf("waited: %d %d %d\n", info.si_signo - SIGRTMIN, info.si_value.sival_int,
		       info.si_code);
	sigpending(&pending);
	printf("left: %d\n", sigismember(&pending, SIGRTMIN));
	some(getpid());
	sigpending(&pending);
	sigprocmask(SIG_UNBLOCK, set, NULL);
	printf("handled: %d\n", count);
	count = 0;
	sigprocmask(SIG_BLOCK, set, NULL);
	put(getpid(), SIGRTMIN, 1);
	sigpending(&pending);
	getppid();
	sigprocmask(SIG_UNBLOCK, set, NULL);
	printf("seen before: %d\n", count);
	count = 0;
}

static void
by_others(const sigset_t *set)
{
	int pid, ready[2];
	char c;

	(void)!pipe(ready);
	sigprocmask(SIG_BLOCK, set, NULL);
	put(getpid(), SIGRTMIN, 77);
	pid = fork();
	if (!pid) {
		sigset_t pending;

		sigpending(&pending);
		printf("child: %d\n", sigismember(&pending, SIGRTMIN));
		(void)!write(ready[1], "r", 1);
		(void)!pause();
		_exit(1);
	}
	(void)!read(ready[0], &c, 1);
	some(pid);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	if (!vfork()) {
		put(getpid(), SIGRTMIN, 5);
		_exit(0);
	}
	sigprocmask(SIG_UNBLOCK, set, NULL);
	show("still there");
}

/* What comes while it is ignored, or is ignored later, is nobody's. */
static void
ignored(const sigset_t *set)
{
	struct sigaction old;

	sigaction(SIGRTMIN, NULL, &old);
	signal(SIGRTMIN, SIG_IGN);
	put(getpid(), SIGRTMIN, 1);
	sigaction(SIGRTMIN, &old, NULL);
	show("came ignored");
	sigprocmask(SIG_BLOCK, set, NULL);
	put(getpid(), SIGRTMIN, 1);
	put(getpid(), SIGRTMIN, 2);
	signal(SIGRTMIN, SIG_IGN);
	sigaction(SIGRTMIN, &old, NULL);
	sigprocmask(SIG_UNBLOCK, set, NULL);
	show("ignored later");
}

static void
timers(const sigset_t *set)
{
	struct itimerval soon = {{0, 0}, {0, 20000}};
	struct timespec until, after, bad = {0, 2000000000};
	sigset_t alarm;
	siginfo_t info;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	printf("alarm: %d\n", sigwaitinfo(&alarm, &info) == SIGALRM);
	printf("bad time: %d\n", sigtimedwait(set, &info, &bad) < 0 && errno == EINVAL);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 20000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
	clock_gettime(CLOCK_REALTIME, &after);
	printf("slept until then: %d\n",
	       after.tv_sec > until.tv_sec ||
		       (after.tv_sec == until.tv_sec && after.tv_nsec >= until.tv_nsec));
}

int
main(void)
{
	struct sigaction act = {.sa_flags = SA_SIGINFO};
	sigset_t set;

	setvbuf(stdout, NULL, _IONBF, 0);
	act.sa_sigaction = handler;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGUSR1);
	sigaction(SIGRTMIN, &act, NULL);
	sigaction(SIGRTMIN + 1, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	in_order(&set);
	by_others(&set);
	ignored(&set);
	timers(&set);
	return 0;
}
