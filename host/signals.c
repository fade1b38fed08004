/* SPDX-License-Identifier: MIT */
/*
 * Which signals came.  The handler counts and wakes poll() through a pipe; everything else happens
 * in the main loop.  Handlers interrupt blocking calls (no SA_RESTART), so that a write to a
 * descriptor that stalls does not keep a signal from being acted on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "exo.h"

static const int caught[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1, SIGUSR2,
			     SIGCHLD, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT};
static volatile sig_atomic_t counts[65];
static unsigned taken[65];
static int wake_fd = -1;

static void
caught_one(int number)
{
	int error = errno;
	ssize_t count;

	counts[number]++;
	count = write(wake_fd, "", 1); /* a full pipe wakes as well */
	(void)count;
	errno = error;
}

int
signals_open(void)
{
	struct sigaction action = {.sa_handler = caught_one};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		die("cannot make a pipe: %s", strerror(errno));
	wake_fd = ends[1];
	sigaction(SIGPIPE, &ignore, NULL);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		sigaction(caught[i], NULL, &before);
		/* What the caller had ignored (nohup, a shell's background job) stays ignored. */
		if (before.sa_handler != SIG_IGN || caught[i] == SIGCHLD)
			sigaction(caught[i], &action, NULL);
	}
	return ends[0];
}

unsigned
signals_take(int number)
{
	unsigned now = (unsigned)counts[number], new = now - taken[number];

	taken[number] = now;
	return new;
}

void
signals_drain(int fd)
{
	char bytes[64];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

void
signals_default(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			sigaction(number, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
