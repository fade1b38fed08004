/* SPDX-License-Identifier: MIT */
/*
 * The terminal's settings: changed while a program uses it, given back on every way out, also when
 * this command is stopped or breaks.
 *
 * Invariant: `changed` is set exactly while the terminal has settings other than `saved`.  The
 * handler of a fatal signal only reads the two and calls tcsetattr, which is safe there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "exo.h"

static struct {
	struct termios saved;
	volatile sig_atomic_t changed;
	bool prepared;
} terminal;

void
terminal_restore(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int error = errno;

	if (terminal.changed) {
		/* In the background, setting the terminal would stop this process. */
		sigaction(SIGTTOU, &ignore, &before);
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
		sigaction(SIGTTOU, &before, NULL);
		terminal.changed = 0;
	}
	errno = error;
}

static void
fatal(int number)
{
	terminal_restore();
	raise(number);
}

static void
prepare(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU, SIGXFSZ};
	struct sigaction action = {.sa_handler = fatal, .sa_flags = SA_RESETHAND | SA_NODEFER};

	if (terminal.prepared)
		return;
	terminal.prepared = true;
	atexit(terminal_restore);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

void
terminal_raw(const struct stdio *stdio, bool keys)
{
	struct termios raw;

	if (!stdio->raw_in)
		return;
	if (!terminal.changed && tcgetattr(STDIN_FILENO, &terminal.saved) != 0)
		return;
	prepare();
	raw = terminal.saved;
	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL |
				   IXON | IXOFF);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
	if (keys)
		raw.c_lflag &= ~(tcflag_t)ISIG;
	if (stdio->raw_out)
		raw.c_oflag &= ~(tcflag_t)OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal.changed = 1;
	while (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0 && errno == EINTR)
		;
}
