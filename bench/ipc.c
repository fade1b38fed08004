/* SPDX-License-Identifier: MIT */
/*
 * Two processes on one processor: a byte through pipes, a word in shared memory with a wake-up, a byte through
 * a pair of Unix sockets and back.  A call of op is there and back.  The other process is ended by whoever started
 * this one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static int in, out; /* this process's */

/* The other process: sends back what comes, and ends with this one. */
static void
echo(void)
{
	char c;

	while (read(in, &c, 1) == 1 && write(out, &c, 1) == 1)
		;
	_exit(0);
}

static void
pipe_setup(void)
{
	int there[2], back[2];
	pid_t pid;

	bench_require(pipe(there) == 0 && pipe(back) == 0);
	pid = fork();
	bench_require(pid >= 0);
	in = pid ? back[0] : there[0];
	out = pid ? there[1] : back[1];
	close(pid ? back[1] : there[1]);
	close(pid ? there[0] : back[0]);
	if (pid == 0)
		echo();
}

static void
there_and_back(void)
{
	char c = 'x';

	bench_require(write(out, &c, 1) == 1 && read(in, &c, 1) == 1);
}

static uint32_t *turn; /* 0: this process's, 1: the other's */

BENCH(pipe, .setup = pipe_setup, .op = there_and_back, .per = 2)
#ifdef EXOS
#include <exos/api.h>

#define CALL         (0x41450000ul + 29) /* pct_call of include/aegis/syscalls.def */
#define SERVER_STACK 65536

static char server_stack[SERVER_STACK] __attribute__((aligned(4096)));
static uint32_t gate;

static uint64_t
nothing_served(struct exos_msg *msg, uint32_t caller)
{
	(void)caller;
	return msg->word[0];
}

static uint64_t
nothing_trusted(uint64_t a, uint64_t b, uint64_t c)
{
	return a + b + c;
}

static int64_t
serve_lrpc(void)
{
	return exos_serve_lrpc(nothing_served, server_stack + SERVER_STACK);
}

static int64_t
serve_tlrpc(void)
{
	return exos_serve_tlrpc(nothing_trusted, server_stack + SERVER_STACK);
}

/* Entered there, with nothing of the library's in between. */
static int64_t
serve_at(uint64_t entry)
{
	struct exos_serve serve = {.size = sizeof(serve),
				   .entry = entry,
				   .stack = (uint64_t)(server_stack + SERVER_STACK)};

	return exos_serve(&serve);
}

/* The entry is the return. */
static int64_t
serve_bare(void)
{
	return serve_at((uint64_t)exos_serve_return);
}

static int64_t
call_bare(void)
{
	int64_t answer = (int64_t)(CALL | (uint64_t)gate << 32);

	__asm__ volatile("syscall"
			 : "+a"(answer)::"rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10",
			   "memory");
	return answer;
}

/* A process that serves, and a gate to it. */
static void
server_make(int64_t (*serve)(void))
{
	struct timespec soon = {.tv_nsec = 1000000};
	struct exos_msg msg = {{0}};
	int64_t answer;
	pid_t pid = fork();

	bench_require(pid >= 0);
	if (pid == 0) {
		if (serve() != 0)
			_exit(1);
		for (;;)
			exos_accept(exos_events(), EXOS_NEVER);
	}
	answer = exos_gate((uint32_t)pid);
	bench_require(answer > 0);
	gate = (uint32_t)answer;
	for (int i = 0; i < 1000 && exos_lrpc(gate, &msg) != 0; i++)
		nanosleep(&soon, NULL);
	bench_require(exos_lrpc(gate, &msg) == 0);
}

static void
lrpc_setup(void)
{
	server_make(serve_lrpc);
}

static void
lrpc(void)
{
	struct exos_msg msg = {{1}};

	bench_require(exos_lrpc(gate, &msg) == 0 && msg.word[0] == 1);
}

static void
tlrpc_setup(void)
{
	server_make(serve_tlrpc);
}

/* ---- a word in shared memory, and the processor given to the other by name ---- */

static uint32_t other;

static void
word_pass(uint32_t to)
{
	__atomic_store_n(turn, to, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == to)
		exos_yield(other);
}

static uint32_t
peer_of(pid_t pid)
{
	int64_t env = exos_peer((uint32_t)pid);

	bench_require(env > 0);
	return (uint32_t)env;
}

static void
word_setup(void)
{
	pid_t pid, parent = getpid();

	turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_require(turn != MAP_FAILED);
	pid = fork();
	bench_require(pid >= 0);
	if (pid == 0) {
		other = peer_of(parent);
		while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == 0)
			exos_yield(other);
		for (;;)
			word_pass(0);
	}
	other = peer_of(pid);
}

static void
word_there_and_back(void)
{
	word_pass(1);
}

BENCH(shm, .setup = word_setup, .op = word_there_and_back, .per = 2)

/* ---- the pipe's code in the program ---- */

static struct exos_pipe in_pipe = {.size = sizeof(in_pipe)};
static struct exos_pipe out_pipe = {.size = sizeof(out_pipe)};

static void
byte_send(void)
{
	char c = 'x';

	if (exos_pipe_write(&out_pipe, &c, 1) != 1)
		bench_require(write(out, &c, 1) == 1);
}

static void
byte_take(void)
{
	char c;

	if (exos_pipe_read(&in_pipe, &c, 1) != 1)
		bench_require(read(in, &c, 1) == 1);
}

static void
inlined_setup(void)
{
	int there[2], back[2];
	pid_t pid;

	bench_require(pipe(there) == 0 && pipe(back) == 0);
	pid = fork();
	bench_require(pid >= 0);
	in = pid ? back[0] : there[0];
	out = pid ? there[1] : back[1];
	bench_require(exos_pipe_map(in, &in_pipe) == 0 && exos_pipe_map(out, &out_pipe) == 0);
	while (pid == 0) {
		byte_take();
		byte_send();
	}
}

static void
inlined(void)
{
	byte_send();
	byte_take();
}

BENCH(pipe_inlined, .setup = inlined_setup, .op = inlined, .per = 2)

static void
tlrpc(void)
{
	uint64_t answer;

	bench_require(exos_tlrpc(gate, 1, 2, 3, &answer) == 0 && answer == 6);
}

static void
pct_setup(void)
{
	server_make(serve_bare);
}

static void
pct_sync(void)
{
	bench_require(call_bare() >= 0);
}

/* ---- a message to a process that does not answer ---- */

static uint32_t *arrived; /* messages, shared */

/* The entry: on the stack for calls, and aligned as a function wants it. */
__attribute__((naked)) static void
arrival(void)
{
	__asm__ volatile("call arrival_note\n\tjmp exos_serve_return");
}

__attribute__((used)) static void
arrival_note(void)
{
	bench_end();
	__atomic_add_fetch(arrived, 1, __ATOMIC_SEQ_CST);
}

static int64_t
serve_arrivals(void)
{
	return serve_at((uint64_t)arrival);
}

static void
async_setup(void)
{
	arrived = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_require(arrived != MAP_FAILED);
	server_make(serve_arrivals);
}

/* The server may still be on its way back into its sleep. */
static void
pct_async(void)
{
	static const struct exos_msg msg;
	uint32_t before = __atomic_load_n(arrived, __ATOMIC_SEQ_CST);
	int64_t sent;

	while (bench_begin(), (sent = exos_send(gate, &msg)) == -EAGAIN)
		exos_yield(0);
	bench_require(sent == 0);
	while (__atomic_load_n(arrived, __ATOMIC_SEQ_CST) == before)
		exos_yield(0);
}

BENCH(pct_async, .setup = async_setup, .op = pct_async, .one_way = true)
BENCH(lrpc, .setup = lrpc_setup, .op = lrpc)
BENCH(tlrpc, .setup = tlrpc_setup, .op = tlrpc)
BENCH(pct_sync, .setup = pct_setup, .op = pct_sync, .per = 2)
#else
#include <sys/socket.h>

static void
futex_pass(uint32_t to)
{
	__atomic_store_n(turn, to, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == to)
		syscall(SYS_futex, turn, FUTEX_WAIT, to, NULL, NULL, 0);
}

/* Does a wake-up reach the other process?  It waits; within a second it must be counted. */
static void
futex_check(void)
{
	struct timespec soon = {.tv_nsec = 1000000};

	for (int i = 0; i < 1000; i++) {
		nanosleep(&soon, NULL);
		if (syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0) == 1)
			return;
	}
	bench_null("FUTEX_WAKE wakes nobody in another process");
}

static void
shm_setup(void)
{
	pid_t pid;

	turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turn == MAP_FAILED)
		bench_null("mmap of shared memory: %s", strerror(errno));
	pid = fork();
	bench_require(pid >= 0);
	if (pid == 0) {
		while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == 0)
			syscall(SYS_futex, turn, FUTEX_WAIT, 0, NULL, NULL, 0);
		for (;;)
			futex_pass(0);
	}
	futex_check();
}

static void
shm(void)
{
	futex_pass(1);
}

BENCH(shm, .setup = shm_setup, .op = shm, .per = 2)

static void
socket_setup(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		bench_null("socketpair: %s", strerror(errno));
	pid = fork();
	bench_require(pid >= 0);
	in = out = pair[pid ? 0 : 1];
	close(pair[pid ? 1 : 0]);
	if (pid == 0)
		echo();
}

BENCH(lrpc, .setup = socket_setup, .op = there_and_back)
BENCH(tlrpc, .setup = socket_setup, .op = there_and_back)
#endif
