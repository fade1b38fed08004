/* SPDX-License-Identifier: MIT */
/*
 * What the standard descriptors are, and who processes a terminal's input and output.
 *
 *  1. A terminal on standard input is made raw: its keys are the guest's, which does echo,
 *     editing and the characters that send signals.
 *  2. Its output processing goes to the guest too if standard output is a terminal. If not,
 *     others may be writing to the terminal (a pager, the next program of a pipeline): the host
 *     keeps processing its output.
 *  3. Output and error that are one open file make one stream, so that their order is kept.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "exo.h"

/* A descriptor that is not open is filled, so that nothing else gets its number. */
static enum stdio_kind
inspect_one(int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0) {
		if (errno == EBADF && open("/dev/null", O_RDWR) != fd)
			die("cannot open /dev/null");
		return STDIO_CLOSED;
	}
	if (isatty(fd))
		return STDIO_TTY;
	if (S_ISREG(status.st_mode))
		return STDIO_FILE;
	if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
		return STDIO_NULL;
	return STDIO_PIPE;
}

/* Whether two descriptors write to the same place. */
static bool
same_file(int left, int right)
{
	struct stat a, b;
	pid_t self = getpid();

	if (fstat(left, &a) != 0 || fstat(right, &b) != 0)
		return false;
	if (a.st_dev != b.st_dev || a.st_ino != b.st_ino || a.st_rdev != b.st_rdev)
		return false;
	/* A regular file that was opened twice has two positions; they are one only when it
	 * appends. */
	if (!S_ISREG(a.st_mode) || (fcntl(left, F_GETFL) & fcntl(right, F_GETFL) & O_APPEND))
		return true;
	return syscall(SYS_kcmp, self, self, KCMP_FILE, left, right) <= 0;
}

void
stdio_inspect(struct stdio *stdio)
{
	*stdio = (struct stdio){.out_stream = 3, .terminal_fd = -1};
	for (int fd = 0; fd < 3; fd++)
		stdio->kind[fd] = inspect_one(fd);
	for (int fd = 2; fd >= 0; fd--) {
		if (stdio->kind[fd] != STDIO_TTY)
			continue;
		stdio->terminal = true;
		stdio->terminal_fd = fd;
		if (fd > 0)
			stdio->out_stream = (unsigned)fd;
	}
	stdio->raw_in = stdio->kind[0] == STDIO_TTY;
	stdio->raw_out = stdio->raw_in && stdio->kind[1] == STDIO_TTY;
	stdio->same = stdio->kind[1] == stdio->kind[2] && stdio->kind[1] != STDIO_CLOSED &&
		      same_file(1, 2);
}

void
stdio_winsize(const struct stdio *stdio, uint16_t size[4])
{
	struct winsize window = {0};

	if (stdio->terminal_fd >= 0)
		ioctl(stdio->terminal_fd, TIOCGWINSZ, &window);
	size[0] = window.ws_row;
	size[1] = window.ws_col;
	size[2] = window.ws_xpixel;
	size[3] = window.ws_ypixel;
}
