/* SPDX-License-Identifier: MIT */
/* A wild store into the library's private memory, in a process and in its child. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exos/exos.h"

static sigjmp_buf back;

static void
fault(int sig)
{
	siglongjmp(back, sig);
}

static void
store(const char *who)
{
	volatile long *p = (long *)(EXOS_PRIVATE + 4000);

	if (sigsetjmp(back, 1) == 0) {
		*p = *p;
		printf("%s: works\n", who);
	} else {
		printf("%s: faults\n", who);
	}
	fflush(stdout);
}

int
main(void)
{
	signal(SIGSEGV, fault);
	store("process");
	if (fork() == 0) {
		store("child");
		_exit(0);
	}
	wait(NULL);
	return 0;
}
