/* SPDX-License-Identifier: MIT */
/*
 * Remote calls with and without trust: the same null call by exos_lrpc, whose stubs trust nobody with a register,
 * and by exos_tlrpc, whose server is trusted to keep callee-saved registers (include/exos/ipc.h).
 *
 *	rpc [CALLS]
 *
 * Prints what a call and back takes, in ticks of the time-stamp counter: with --icount, instructions.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exos/api.h>

static _Alignas(16) char stack[65536];

static uint64_t
clock_read(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static uint64_t
add(struct exos_msg *m, uint32_t caller)
{
	(void)caller;
	return m->word[0] + m->word[1];
}

static uint64_t
add_trusted(uint64_t a, uint64_t b, uint64_t c)
{
	(void)c;
	return a + b;
}

static pid_t
server_start(bool trusted)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (trusted)
		exos_serve_tlrpc(add_trusted, stack + sizeof(stack));
	else
		exos_serve_lrpc(add, stack + sizeof(stack));
	for (;;)
		exos_accept(exos_events(), EXOS_NEVER);
}

/* One call; a server that is busy, or has not begun, is asked again. */
static uint64_t
call(uint32_t gate, bool trusted, uint64_t a, uint64_t b)
{
	struct exos_msg m;
	uint64_t answer = 0;
	int64_t got;

	for (;;) {
		m = (struct exos_msg){{a, b}};
		got = trusted ? exos_tlrpc(gate, a, b, 0, &answer) : exos_lrpc(gate, &m);
		if (got == 0)
			return trusted ? answer : m.word[0];
		if (got != -EAGAIN)
			exit(1);
		sched_yield();
	}
}

static void
measure(bool trusted, uint64_t calls)
{
	pid_t pid = server_start(trusted);
	int64_t gate = exos_gate((uint32_t)pid);
	const char *name = trusted ? "tlrpc" : "lrpc";
	uint64_t began, took, wrong = 0;

	if (gate < 0)
		exit(1);
	for (uint64_t i = 0; i < 10; i++)
		call((uint32_t)gate, trusted, i, 1);
	began = clock_read();
	for (uint64_t i = 0; i < calls; i++)
		wrong += call((uint32_t)gate, trusted, i, 1) != i + 1;
	took = clock_read() - began;
	printf("rpc_%s_calls %lu\nrpc_%s_wrong %lu\nrpc_%s_ticks %.1f\n", name, calls, name, wrong,
	       name, (double)took / (double)calls);
	fflush(stdout);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	exos_gate_close((uint32_t)gate);
}

int
main(int argc, char **argv)
{
	uint64_t calls = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;

	if (!exos_here()) {
		puts("this program needs ExOS");
		return 2;
	}
	measure(false, calls);
	measure(true, calls);
	return 0;
}
