/* SPDX-License-Identifier: MIT */
/*
 * Pipes whose ends are one process's, then several processes', then one's again: every length, bad buffers, what the
 * registers hold behind a call, the ends of the other end, signals in the middle, writers that are killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORD 64

static void
check(const char *what, int good)
{
	printf("%s %d\n", what, good);
	fflush(stdout);
}

/* What a pipe's end answers: the number, or the error. */
static long
answer(long got)
{
	return got < 0 ? -errno : got;
}

/* The call, all other registers full and the direction flag set: whether they are as they were. */
static int
kept(long number, int fd, void *at, long n, long *got)
{
	register uint64_t r8 __asm__("r8") = 0x8888888888888888;
	register uint64_t r9 __asm__("r9") = 0x9999999999999999;
	register uint64_t r10 __asm__("r10") = 0x1010101010101010;
	uint64_t rdi = (uint64_t)fd, rsi = (uint64_t)at, rdx = (uint64_t)n, flags, after;
	long rax = number;

	__asm__ volatile("std; stc; pushf; pop %[before]; syscall; pushf; pop %[after]; cld"
			 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9),
			   "+r"(r10), [before] "=&b"(flags), [after] "=r"(after)
			 :
			 : "rcx", "r11", "memory", "cc");
	*got = rax;
	return rdi == (uint64_t)fd && rsi == (uint64_t)at && rdx == (uint64_t)n &&
	       r8 == 0x8888888888888888 && r9 == 0x9999999999999999 && r10 == 0x1010101010101010 &&
	       !((flags ^ after) & 0xcd5);
}

static void
registers(const int end[2])
{
	static const int sizes[] = {1, 2, 8, 100, 4096};
	static char out[4096], in[4096];
	int good = 1;
	long got;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(out, 'a' + i, sizeof(out));
		good &= kept(1, end[1], out, sizes[i], &got) && got == sizes[i];
		good &= kept(0, end[0], in, sizes[i], &got) && got == sizes[i];
		good &= !memcmp(in, out, sizes[i]);
	}
	good &= kept(1, end[1], (void *)8, 1, &got) && got == -EFAULT;
	check("registers", good);
}

static void
sizes(const int end[2])
{
	static unsigned char out[5000], in[5000];
	unsigned x = 1, good = 1;

	for (int n = 1; n <= 4096; n += n < 300 ? 1 : 37) {
		int got = 0, k;

		for (int i = 0; i < n; i++)
			out[i] = x = x * 1664525 + 1013904223;
		good &= write(end[1], out, n) == n;
		for (; got < n && (k = read(end[0], in + got, n == 1 ? 1 : 1 + n / 3)) > 0;
		     got += k)
			;
		good &= got == n && !memcmp(in, out, n);
	}
	check("sizes", good);
	good = write(end[1], "0123456789", 10) == 10 && read(end[0], in, 5000) == 10;
	check("more than there is", good && !memcmp(in, "0123456789", 10));
}

static void
bad(const int end[2])
{
	static void *const at[] = {(void *)8, (void *)0x7fffffffffff, (void *)0x800000000000,
				   (void *)0xffffffffffffff80};
	char c[4];
	long sum = 0;

	for (int i = 0; i < 4; i++) {
		for (int n = 1; n < 500; n *= 7) {
			sum += answer(write(end[1], at[i], n)) == -EFAULT;
			if (write(end[1], "xyz", 3) != 3)
				return;
			sum += answer(read(end[0], at[i], n)) == -EFAULT;
			sum += read(end[0], c, 3) == 3 && !memcmp(c, "xyz", 3);
		}
	}
	check("bad buffers", sum == 4 * 4 * 3);
	check("nothing", read(end[0], c, 0) == 0 && write(end[1], c, 0) == 0);
}

static void
nonblocking(const int end[2])
{
	static char page[4096];
	char c = 0;
	long n = 0, m = 0;

	fcntl(end[0], F_SETFL, O_NONBLOCK);
	fcntl(end[1], F_SETFL, O_NONBLOCK);
	check("empty", answer(read(end[0], &c, 1)) == -EAGAIN);
	/* All but the last page by pages: byte by byte it takes a minute where each instruction is stepped. */
	for (int i = 0; i < 15; i++)
		n += write(end[1], page, sizeof(page));
	while (write(end[1], &c, 1) == 1)
		n++;
	check("full", errno == EAGAIN && n == 65536);
	for (int i = 0; i < 15; i++)
		m += read(end[0], page, sizeof(page));
	while (read(end[0], &c, 1) == 1)
		m++;
	check("empty again", errno == EAGAIN && m == n);
	fcntl(end[0], F_SETFL, 0);
	fcntl(end[1], F_SETFL, 0);
}

static void
ends(void)
{
	int end[2];
	char c;

	if (pipe(end))
		return;
	check("bytes before the end", write(end[1], "a", 1) == 1 && !close(end[1]) &&
					      read(end[0], &c, 1) == 1 && read(end[0], &c, 1) == 0);
	close(end[0]);
	if (pipe(end))
		return;
	signal(SIGPIPE, SIG_IGN);
	close(end[0]);
	check("no reader", answer(write(end[1], "a", 1)) == -EPIPE);
	close(end[1]);
}

/* Records of one letter. */
static void
writer(int fd, int letter, int n)
{
	char record[RECORD];

	memset(record, letter, sizeof(record));
	for (int i = 0; i < n && write(fd, record, sizeof(record)) == sizeof(record); i++)
		;
}

/* Reads until the end of the file; records that were not whole. */
static int
reader(int fd, int count[256])
{
	unsigned char record[RECORD];
	int torn = 0, got, k;

	for (;;) {
		for (got = 0; got < RECORD && (k = read(fd, record + got, RECORD - got)) > 0;
		     got += k)
			;
		if (!got)
			return torn;
		for (int i = 1; i < got; i++)
			torn += record[i] != record[0];
		torn += got != RECORD;
		count[record[0]]++;
	}
}

static void
several(void)
{
	int end[2], count[256] = {0}, torn;
	pid_t victim;

	if (pipe(end))
		return;
	writer(end[1], 'p', 100); /* alone, before there are others */
	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			close(end[0]);
			writer(end[1], 'a' + i, 2000);
			_exit(0);
		}
	}
	victim = fork();
	if (victim == 0) {
		close(end[0]);
		writer(end[1], 'v', 1 << 30);
		_exit(0);
	}
	if (fork() == 0) {
		close(end[0]);
		usleep(20000);
		kill(victim, SIGKILL);
		writer(end[1], 'k', 2000);
		_exit(0);
	}
	close(end[1]);
	torn = reader(end[0], count);
	close(end[0]);
	while (wait(NULL) > 0)
		;
	check("several writers", !torn && count['p'] == 100 && count['a'] == 2000 &&
					 count['b'] == 2000 && count['c'] == 2000 &&
					 count['k'] == 2000);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

/* A byte to and fro while signals come: none is lost, none comes twice. */
static void
turns(void)
{
	struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	int there[2], back[2], good = 0, rounds = 0;
	unsigned char c = 0;

	if (pipe(there) || pipe(back))
		return;
	sigaction(SIGALRM, &action, NULL);
	if (fork() == 0) {
		close(there[1]);
		close(back[0]);
		setitimer(ITIMER_REAL, &often, NULL);
		while (read(there[0], &c, 1) == 1 && (c++, write(back[1], &c, 1)) == 1)
			;
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	setitimer(ITIMER_REAL, &often, NULL);
	for (; rounds < 1000 || (alarms < 3 && rounds < 1000000); rounds++) {
		unsigned char sent = (unsigned char)rounds, got = 0;

		if (write(there[1], &sent, 1) != 1 || read(back[0], &got, 1) != 1)
			break;
		good += got == (unsigned char)(sent + 1);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	close(there[1]);
	wait(NULL);
	check("turns under signals", good == rounds && alarms >= 3);
}

int
main(void)
{
	int end[2];

	if (pipe(end))
		return 1;
	for (int i = 0; i < 2; i++) {
		pid_t pid;

		registers(end);
		sizes(end);
		bad(end);
		nonblocking(end);
		/* Once more while another has both ends, too. */
		pid = i ? -1 : fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid > 0) {
			registers(end);
			sizes(end);
			bad(end);
			nonblocking(end);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	ends();
	several();
	turns();
	return 0;
}
