/* SPDX-License-Identifier: MIT */
/*
 * Calls without end at the same few sites while signals come from another process: small enough to be
 * run under chaos at each of its instructions (test/linux/run --step).  Each signal is answered before the
 * next is sent, so that their number is known.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNALS 12

static volatile int got;
static int answer[2];

static void
hear(int sig)
{
	(void)sig;
	got++;
	if (write(answer[1], "x", 1) != 1)
		_exit(4);
}

/* getppid with every register that the kernel must leave alone holding something: 0, or what is wrong. */
static long
call(long parent)
{
	register long r8 __asm__("r8") = 8, r9 __asm__("r9") = 9, r10 __asm__("r10") = 10;
	long rax = SYS_getppid, rbx = 3, rdx = 4, rsi = 5, rdi = 6;

	__asm__ volatile("stc; syscall; jc 1f; movl $0, %%ebx; 1:"
			 : "+a"(rax), "+b"(rbx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(r8),
			   "+r"(r9), "+r"(r10)::"rcx", "r11", "memory");
	return (rax - parent) | (rbx - 3) | (rdx - 4) | (rsi - 5) | (rdi - 6) | (r8 - 8) |
	       (r9 - 9) | (r10 - 10);
}

static void
child(pid_t parent)
{
	char c;

	for (int i = 0; i < SIGNALS; i++) {
		kill(parent, SIGUSR1);
		if (read(answer[0], &c, 1) != 1)
			_exit(3);
	}
	_exit(0);
}

int
main(void)
{
	struct sigaction act = {.sa_handler = hear, .sa_flags = SA_RESTART};
	long wrong = 0, sum = 0, parent = getppid();
	int pipe_ends[2], status;
	char text[32];

	if (pipe(answer) || pipe(pipe_ends) || sigaction(SIGUSR1, &act, NULL))
		return 1;
	if (fork() == 0)
		child(getppid());
	for (int i = 0; i < 60 || got < SIGNALS; i++) {
		int n = snprintf(text, sizeof(text), "%d\n", i % 60);

		wrong |= call(parent);
		if (write(pipe_ends[1], text, n) != n || read(pipe_ends[0], text, 32) != n)
			return 2;
		if (i < 60)
			sum += atoi(text);
	}
	if (wait(&status) < 0)
		return 3;
	printf("sum %ld wrong %ld signals %d status %x\n", sum, wrong, got, status);
	return 0;
}
