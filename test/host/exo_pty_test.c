/* SPDX-License-Identifier: MIT */
/*
 * exo_pty_test EXO FAKE_QEMU PROGRAM: exo on a terminal.  The test is the terminal's other side:
 * keys arrive unchanged, the window's size and its changes arrive, the terminal is raw meanwhile
 * and as before afterwards, however exo ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000

static unsigned tests, failed;
static char **paths;
static int master, slave;
static struct termios before;
static char seen[65536];
static size_t seen_count;

static void
report(int good, const char *what)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++tests, what);
	failed += !good;
}

static void
terminal_open(void)
{
	struct winsize size = {.ws_row = 33, .ws_col = 77};

	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		exit(1);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ioctl(slave, TIOCSWINSZ, &size);
	tcgetattr(slave, &before);
	seen_count = 0;
}

static void
terminal_close(void)
{
	close(master);
	close(slave);
}

/* exo in a session of its own, with the terminal on standard input and, unless `out` >= 0, output.
 */
static pid_t
start(const char *part, int out)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	dup2(slave, 0);
	dup2(out >= 0 ? out : slave, 1);
	dup2(slave, 2);
	setenv("FAKE_QEMU", part, 1);
	setenv("EXO_QEMU", paths[2], 1);
	execl(paths[1], "exo", "run", paths[3], (char *)NULL);
	_exit(127);
}

/* Reads what the terminal shows until it contains a string. */
static int
expect(const char *string)
{
	struct timespec start_time, now;

	clock_gettime(CLOCK_MONOTONIC, &start_time);
	for (;;) {
		struct pollfd wait = {.fd = master, .events = POLLIN};
		ssize_t count;

		seen[seen_count] = 0;
		if (memmem(seen, seen_count, string, strlen(string)))
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start_time.tv_sec) * 1000 > WAIT_MS)
			return 0;
		if (poll(&wait, 1, 100) <= 0)
			continue;
		count = read(master, seen + seen_count, sizeof(seen) - 1 - seen_count);
		if (count <= 0)
			return 0;
		seen_count += (size_t)count;
	}
}

static int
same_settings(void)
{
	struct termios now;

	tcgetattr(slave, &now);
	return now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag &&
	       now.c_lflag == before.c_lflag && now.c_cflag == before.c_cflag &&
	       memcmp(now.c_cc, before.c_cc, sizeof(now.c_cc)) == 0;
}

static int
is_raw(tcflag_t output)
{
	struct termios now;

	tcgetattr(slave, &now);
	return !(now.c_lflag & (ICANON | ECHO | ISIG | IEXTEN)) &&
	       !(now.c_iflag & (ICRNL | IXON)) && (now.c_oflag & OPOST) == output;
}

/* The exit status, 128 + N for a signal; 999: it does not end. */
static int
finish(pid_t child)
{
	for (int i = 0; i < WAIT_MS; i++) {
		int status;

		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(1000);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 999;
}

static void
test_session(void)
{
	struct winsize size = {.ws_row = 50, .ws_col = 132};
	static const char keys[] = "\x03\x1a\x1c\r\n\x7f\x1b[A\xff\x13\x11";
	pid_t child;

	terminal_open();
	child = start("winsize", -1);
	report(expect("size 33 77\n"), "the window's size arrives");
	report(is_raw(0), "the terminal is raw while the program runs");
	report(!memchr(seen, '\r', seen_count), "no carriage returns are added");
	ioctl(slave, TIOCSWINSZ, &size);
	kill(child, SIGWINCH);
	report(expect("size 50 132\n"), "a change of the window's size arrives");
	report(write(master, keys, sizeof(keys) - 1) == sizeof(keys) - 1 && expect(keys),
	       "all keys arrive unchanged, also those that send signals");
	report(write(master, "\x04", 1) == 1 && finish(child) == 0, "the run ends");
	report(same_settings(), "the terminal is as before");
	terminal_close();
}

static void
test_end(const char *part, int number, int status, const char *what)
{
	pid_t child;
	int result;

	terminal_open();
	child = start(part, -1);
	for (int i = 0; i < WAIT_MS && same_settings(); i++)
		usleep(1000);
	if (number == SIGKILL)
		expect("before");
	if (number > 0 && number != SIGKILL)
		kill(child, number);
	result = number == SIGKILL && write(master, "\x1d\x1d\x1d", 3) != 3 ? 998 : finish(child);
	report(result == status && same_settings(), what);
	if (result != status)
		printf("# status %d\n", result);
	terminal_close();
}

static void
test_stop(void)
{
	pid_t child;
	int status, good;

	terminal_open();
	child = start("winsize", -1);
	good = expect("size 33 77\n") && is_raw(0);
	/* An orphaned process group is not stopped by SIGTSTP's default; exo stops itself. */
	kill(child, SIGTSTP);
	good = good && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status);
	report(good && same_settings(), "a stopped exo has given the terminal back");
	kill(child, SIGCONT);
	for (int i = 0; i < WAIT_MS && !is_raw(0); i++)
		usleep(1000);
	report(is_raw(0) && write(master, "\x04", 1) == 1 && finish(child) == 0,
	       "and takes it again when it continues");
	terminal_close();
}

/* Standard output elsewhere: the host goes on processing the terminal's output. */
static void
test_pipeline(void)
{
	int ends[2];
	pid_t child;
	char bytes[64] = {0};
	size_t count = 0;

	if (pipe(ends) != 0)
		exit(1);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	terminal_open();
	child = start("winsize", ends[1]);
	close(ends[1]);
	while (count < 17) {
		ssize_t part = read(ends[0], bytes + count, sizeof(bytes) - 1 - count);

		if (part <= 0)
			break;
		count += (size_t)part;
	}
	report(strcmp(bytes, "ready\nsize 33 77\n") == 0, "output to a pipe is bytes as they are");
	report(is_raw(OPOST), "the terminal's output processing stays the host's then");
	report(write(master, "\x04", 1) == 1 && finish(child) == 0 && same_settings(),
	       "the terminal is as before again");
	close(ends[0]);
	terminal_close();
}

int
main(int count, char **args)
{
	if (count != 4)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	paths = args;
	test_session();
	test_end("signal", SIGTERM, 143, "SIGTERM goes to the program; the terminal is as before");
	test_end("early", SIGTERM, 143, "SIGTERM before the guest is up ends exo");
	test_end("early", SIGINT, 130, "so does SIGINT");
	test_end("hang", SIGKILL, 137, "three times Ctrl-] ends a guest that hangs");
	test_end("panic", 0, 125, "a panic leaves the terminal as before");
	test_end("garbage", 0, 125, "a broken channel leaves the terminal as before");
	test_stop();
	test_pipeline();
	printf("1..%u\n", tests);
	return failed > 0;
}
