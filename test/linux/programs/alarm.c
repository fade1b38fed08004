/* SPDX-License-Identifier: MIT */
/* An alarm interrupts a loop that makes no call; a periodic one comes again. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t rang;

static void
ring(int sig)
{
	rang += sig == SIGALRM;
}

int
main(void)
{
	struct itimerval often = {{0, 20000}, {0, 20000}};

	signal(SIGALRM, ring);
	ualarm(50000, 0);
	while (!rang)
		;
	printf("once %d\n", (int)rang);
	setitimer(ITIMER_REAL, &often, NULL);
	while (rang < 5)
		;
	printf("again\n");
	alarm(0);
	printf("left %u\n", alarm(0));
	return 0;
}
