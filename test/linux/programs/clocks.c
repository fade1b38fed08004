/* SPDX-License-Identifier: MIT */
/* Clocks that there are and are not, processor time that grows, nice values. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
spin(void)
{
	for (volatile long i = 0; i < 100000; i++)
		;
}

static void
ids(void)
{
	for (clockid_t id = -1; id < 14; id++) {
		struct timespec now = {0, 0}, step = {0, 0};
		int got = clock_gettime(id, &now), err = got ? errno : 0;
		int res = clock_getres(id, &step);

		if (id == -1 || id == 8 || id == 9 || id == 10)
			continue; /* dynamic ones, alarms, and what once was */
		printf("%d: %d %d, %d %d\n", id, got, err, res, got || now.tv_nsec < 1000000000);
	}
}

/* Clocks of processes and threads by number. */
static void
of_process(void)
{
	clockid_t id = 0, thread = 0;
	struct timespec now, step;
	int got = clock_getcpuclockid(getpid(), &id);
	int mine = clock_getcpuclockid(0, &thread);

	printf("by number: %d %d, %d %d\n", got, mine, clock_gettime(id, &now),
	       clock_getres(id, &step));
	got = pthread_getcpuclockid(pthread_self(), &thread);
	printf("thread: %d, %d\n", got, clock_gettime(thread, &now));
	printf("nobody: %d\n", clock_getcpuclockid(0x3ffffff, &id) != 0);
}

static void
processor_time(void)
{
	struct timespec a, b;
	clock_t before = clock(), last = before;
	struct rusage usage;
	struct tms tms;
	int back = 0;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < 10; i++) {
		spin();
		back += clock() < last;
		last = clock();
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	printf("grows: %d %d, back %d\n", last > before,
	       b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec), back);
	getrusage(RUSAGE_SELF, &usage);
	printf("usage: %d\n",
	       usage.ru_utime.tv_sec || usage.ru_utime.tv_usec || usage.ru_stime.tv_usec);
	printf("times: %d\n", times(&tms) != (clock_t)-1);
	if (fork() == 0) { /* a child's begins again */
		clock_t mine = clock();

		_exit(mine > last || mine < 0);
	}
	wait(&back);
	printf("child: %d\n", back);
}

static void
nice_values(void)
{
	int status;

	printf("%d %d\n", getpriority(PRIO_PROCESS, 0), setpriority(PRIO_PROCESS, getpid(), 5));
	printf("%d %d\n", getpriority(PRIO_PROCESS, 0), nice(3));
	if (fork() == 0)
		_exit(getpriority(PRIO_PROCESS, 0));
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	printf("%d %d\n", setpriority(PRIO_PROCESS, 0, 100), getpriority(PRIO_PROCESS, getpid()));
	errno = 0;
	printf("%d %d", getpriority(9, 0), errno);
	printf(" %d %d\n", setpriority(PRIO_PROCESS, 99999, 1), errno);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	ids();
	of_process();
	processor_time();
	nice_values();
	return 0;
}
