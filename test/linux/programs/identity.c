/* SPDX-License-Identifier: MIT */
/*
 * Calls that answer a word, under a storm of signals: the answer, the registers that a call must keep,
 * the flags, and rcx and r11, which it does not keep, are as the processor and Linux leave them.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS  20000
#define SIGNALS 200

static volatile int came, wrong;
static long parent;

/* One call with every flag set that a program may set; answers how many things are not right. */
#define CALL(name, number)                                                                       \
	static int call_##name(long expect)                                                      \
	{                                                                                        \
		uint64_t rax, rcx, r11, flags, there, rsp, rsp_after;                            \
		__asm__ volatile("movq %%rsp, %4\n"                                              \
				 "	pushq $0xcd7\n" /* CF PF AF ZF SF OF DF */               \
				 "	popfq\n"                                                      \
				 "	movl $" #number ", %%eax\n"                              \
				 "	syscall\n"                                                    \
				 "1:	movq %%r11, %2\n"                                           \
				 "	movq %%rcx, %1\n"                                             \
				 "	movq %%rsp, %5\n"                                             \
				 "	pushfq\n"                                                     \
				 "	popq %3\n"                                                    \
				 "	cld\n"                                                        \
				 "	leaq 1b(%%rip), %%rcx\n"                                      \
				 : "=&a"(rax), "=&r"(rcx), "=&r"(r11), "=&r"(flags), "=&r"(rsp), \
				   "=&r"(rsp_after), "=&c"(there)                                \
				 :                                                               \
				 : "r11", "memory", "cc");                                       \
		return ((long)rax != expect) + (rcx != there) + ((r11 & 0xcd5) != 0xcd5) +       \
		       ((flags & 0xcd5) != 0xcd5) + (rsp != rsp_after);                          \
	}
CALL(getpid, 39)
CALL(getuid, 102)
CALL(getppid, 110)
CALL(gettid, 186)

static void
on_signal(int sig)
{
	(void)sig;
	came++;
	wrong += call_getpid(parent);
}

int
main(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	long first = getppid();
	pid_t child;
	int status;

	parent = getpid();
	sigaction(SIGUSR1, &sa, NULL);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < SIGNALS; i++) {
			kill(getppid(), SIGUSR1);
			for (volatile int k = 0; k < 3000; k++)
				;
		}
		_exit(wrong + call_getppid(parent) + call_getpid(getpid()) != 0);
	}
	for (int i = 0; i < ROUNDS || waitpid(child, &status, WNOHANG) != child; i++) {
		wrong += call_getppid(first);
		wrong += call_getpid(parent);
		wrong += call_getuid(getuid());
		wrong += call_gettid(parent);
	}
	printf("child %d\n", status);
	printf("signals %s\n", came > 0 ? "came" : "did not come");
	printf("wrong %d\n", wrong);
	return 0;
}
