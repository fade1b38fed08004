/* SPDX-License-Identifier: MIT */
/* Slices, yields and pipes of programs that have these parts themselves; and what they may not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exos/api.h>

#define SHARE 48

static volatile uint64_t *shared;
static struct exos_self self = {.size = sizeof(self)};

static void
check(const char *what, int good)
{
	printf("%s %d\n", what, good);
	fflush(stdout);
}

static int
child_says(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(fn());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static int
frees_nothing(void)
{
	return exos_slice_free(self.cpu, 5) == -EPERM;
}

static int
takes_nothing(void)
{
	return exos_slice_alloc(self.cpu, 5) == -EBUSY;
}

static int
runs(void)
{
	return 1;
}

static int
other_user(void)
{
	return setuid(1000) == 0 && exos_peer((uint32_t)getppid()) == -EPERM;
}

static void
slices(void)
{
	int n = 1;

	check("a slice by number", exos_slice_alloc(self.cpu, 5) == 5);
	check("once", exos_slice_alloc(self.cpu, 5) == -EBUSY);
	check("not another's", child_says(takes_nothing));
	check("nor to give", child_says(frees_nothing));
	check("no such slice", exos_slice_alloc(self.cpu, 64) == -EINVAL &&
				       exos_slice_alloc(99, 1) == -EINVAL &&
				       exos_slice_free(99, 1) == -EINVAL);
	while (n < 1000 && exos_slice_alloc(self.cpu, EXOS_ANY) >= 0)
		n++;
	check("no more than the share",
	      n == SHARE && exos_slice_alloc(self.cpu, EXOS_ANY) == -EAGAIN);
	check("others run all the same", child_says(runs));
	for (uint32_t s = 0; s < 64; s++)
		n -= exos_slice_free(self.cpu, s) == 0;
	check("all given back", n == 0 && exos_slice_free(self.cpu, 5) == -EPERM);
}

static void
names(void)
{
	check("nobody", exos_yield(4000) == -ESRCH && exos_wake(4000) == -ESRCH);
	check("oneself", exos_yield(self.env) == -EINVAL);
	check("not the supervisor", exos_yield(1) == -EPERM && exos_wake(1) == -EPERM);
	check("no process", exos_peer(30000) == -ESRCH);
	check("of another user", child_says(other_user));
	check("anybody", exos_yield(0) == 0);
}

/* A process without unowned time runs when it is yielded to, and not else. */
static void
extra(void)
{
	pid_t pid = fork();
	uint64_t was;
	uint32_t env;

	if (!pid) {
		exos_extra(false);
		for (shared[0] = 1;; shared[1]++)
			;
	}
	env = (uint32_t)exos_peer((uint32_t)pid);
	/* Its slice may end before it can say so; from then on it has only what it is given. */
	while (!shared[0])
		if (exos_yield(env) != 0)
			usleep(1000);
	usleep(20000);
	was = shared[1];
	usleep(50000);
	check("without time", shared[1] == was);
	/* More than once: chaos may take it all back at the first instruction. */
	for (int i = 0; i < 10000 && shared[1] == was; i++)
		if (exos_yield(env) != 0)
			sched_yield();
	check("with time that is given", shared[1] > was);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check("it ends like all others", exos_peer((uint32_t)pid) == -ESRCH);
}

static uint64_t
clock_read(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void
waits(void)
{
	uint64_t until = clock_read() + self.tsc_hz / 100;
	uint32_t seen;
	pid_t pid;

	while (clock_read() < until)
		exos_sleep(exos_events(), until);
	check("a deadline", clock_read() >= until);
	shared[2] = 0;
	seen = exos_events();
	pid = fork();
	if (!pid) {
		shared[2] = 1;
		_exit(exos_wake((uint32_t)exos_peer((uint32_t)getppid())) != 0);
	}
	while (!shared[2]) {
		exos_sleep(seen, EXOS_NEVER);
		seen = exos_events();
	}
	check("a wake", shared[2] == 1);
	waitpid(pid, NULL, 0);
}

/* ---- pipes ---- */

static void
pipes(void)
{
	struct exos_pipe in = {.size = sizeof(in)}, out = {.size = sizeof(out)};
	int there[2], back[2], sum = 0, null = open("/dev/null", O_RDWR);
	pid_t pid;

	check("pipes", pipe(there) == 0 && pipe(back) == 0);
	pid = fork();
	if (!pid) { /* one that knows nothing */
		char c;

		while (read(there[0], &c, 1) == 1 && c && write(back[1], &c, 1) == 1)
			;
		_exit(0);
	}
	check("mapped", exos_pipe_map(back[0], &in) == 0 && exos_pipe_map(there[1], &out) == 0);
	check("no pipe", exos_pipe_map(null, &in) == -EINVAL && exos_pipe_map(99, &in) == -EBADF &&
				 exos_pipe_map(back[0], (struct exos_pipe *)8) == -EFAULT);
	for (int i = 0; i < 3000; i++) {
		unsigned char c = (unsigned char)(i % 255 + 1), got = 0;

		if (exos_pipe_write(&out, &c, 1) != 1 && write(there[1], &c, 1) != 1)
			break;
		if (exos_pipe_read(&in, &got, 1) != 1 && read(back[0], &got, 1) != 1)
			break;
		sum += got == c;
	}
	check("with one that does not know", sum == 3000);
	check("its end", write(there[1], "", 1) == 1 && waitpid(pid, NULL, 0) == pid);
}

/* Everything of a ring but its locks becomes nonsense, again and again. */
static void
vandal(const struct exos_pipe *p)
{
	uint32_t x = 1;

	for (;;) {
		x = x * 1664525 + 1013904223;
		p->ring->head = x % 3 ? x : (uint64_t)x << 32;
		p->ring->tail = x % 5 ? (uint64_t)x * x : x - 1;
		p->ring->readers_waiting[x >> 29] = x * 7;
		p->ring->writers_waiting[x >> 28 & 7] = x * 13;
	}
}

static void
hostile(void)
{
	struct exos_pipe p = {.size = sizeof(p)};
	char buffer[8192] = {0};
	int end[2], rounds = 0;
	pid_t pid;

	if (pipe2(end, O_NONBLOCK) || exos_pipe_map(end[0], &p))
		return;
	pid = fork();
	if (!pid) {
		if (exos_pipe_map(end[0], &p) == 0)
			vandal(&p);
		_exit(1);
	}
	for (; rounds < 3000; rounds++) {
		exos_pipe_write(&p, buffer, 1 + (uint32_t)rounds);
		exos_pipe_take(&p, buffer, 4096);
		if (write(end[1], buffer, 100) < -1 || read(end[0], buffer, 8192) > 8192)
			break;
		if (rounds % 100 == 0)
			sched_yield();
	}
	check("nonsense in a ring", rounds == 3000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int
main(void)
{
	if (!exos_here()) {
		puts("not here");
		return 0;
	}
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	exos_self(&self);
	slices();
	names();
	extra();
	waits();
	pipes();
	hostile();
	return 0;
}
