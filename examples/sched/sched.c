/* SPDX-License-Identifier: MIT */
/*
 * Schedulers as parts of applications: stride and lottery scheduling on slices and directed yields, and two
 * applications with schedulers of their own on one processor.
 *
 *	sched [stride|lottery] [--steps]	three clients with tickets 3:2:1
 *	sched contend				two such applications beside each other
 *
 * An application is a scheduler process, which owns slices by number, and its clients, which take no time of
 * their own.  In each of its slices the scheduler's policy names a client, and the scheduler yields to it: the
 * client has the rest of the slice.  So a policy is one function that chooses, and nothing of it is in the
 * kernel.  What clients got is read from counters that they count up.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exos/api.h>

#define CLIENTS 3
#define QUANTA  600
#define STRIDE1 (1u << 20)

struct client {
	pid_t pid;
	uint32_t env;
	uint32_t tickets;
	uint64_t pass;   /* stride: virtual time at which it is next */
	uint64_t quanta; /* slices given */
	volatile uint64_t *count;
	uint64_t base; /* of count, when measuring began */
};

/* What processes share. */
static struct area {
	volatile uint64_t count[2][CLIENTS];
	volatile uint32_t ready, go, result_ready;
	double share[CLIENTS], quanta_per_slice, error;
} * area;

static const uint32_t tickets[CLIENTS] = {3, 2, 1};

static uint64_t
clock_read(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* ---- policies: who is next ---- */

static int
stride(struct client *c)
{
	int best = 0;

	for (int i = 1; i < CLIENTS; i++)
		if (c[i].pass < c[best].pass)
			best = i;
	c[best].pass += STRIDE1 / c[best].tickets;
	return best;
}

static int
lottery(struct client *c)
{
	static uint32_t x = 2463534242u;
	uint32_t total = 0, winner;
	int i = 0;

	for (int k = 0; k < CLIENTS; k++)
		total += c[k].tickets;
	x ^= x << 13, x ^= x >> 17, x ^= x << 5;
	winner = x % total;
	while (winner >= c[i].tickets)
		winner -= c[i++].tickets;
	return i;
}

typedef int policy(struct client *c);

/* ---- the mechanism ---- */

/* `first`, `first` + step ...: half of what a domain may own, or all of it. */
static int
slices_take(uint32_t cpu, uint32_t first, uint32_t step, int most)
{
	int n = 0;

	for (uint32_t s = first; s < 64 && n < most; s += step)
		n += exos_slice_alloc(cpu, s) >= 0;
	return n;
}

static void
clients_start(struct client *c, volatile uint64_t *count)
{
	for (int i = 0; i < CLIENTS; i++) {
		c[i] = (struct client){.tickets = tickets[i], .count = &count[i]};
		c[i].pid = fork();
		if (c[i].pid)
			continue;
		__atomic_add_fetch(&area->ready, 1, __ATOMIC_SEQ_CST);
		exos_extra(false);
		for (;;)
			count[i]++;
	}
	for (int i = 0; i < CLIENTS; i++)
		c[i].env = (uint32_t)exos_peer((uint32_t)c[i].pid);
}

static void
clients_end(struct client *c)
{
	for (int i = 0; i < CLIENTS; i++) {
		kill(c[i].pid, SIGKILL);
		waitpid(c[i].pid, NULL, 0);
	}
}

/* One slice, of ours, to whom the policy names. */
static void
quantum(struct client *c, policy *choose)
{
	int i = choose(c);

	/* It may be on another processor, still leaving it. */
	while (exos_yield(c[i].env) != 0)
		exos_yield(0);
	c[i].quanta++;
}

static double
progress(const struct client *c, int i)
{
	return (double)(*c[i].count - c[i].base);
}

/* How far client i is from its ideal part of all progress, relative to that part. */
static double
error_of(const struct client *c, int i)
{
	double all = 0, want;

	for (int k = 0; k < CLIENTS; k++)
		all += progress(c, k);
	want = all * tickets[i] / 6.0;
	return want > 0 ? (progress(c, i) - want) / want : 0;
}

/* After the start of measuring: `quanta` slices, error of each client after each into error[][]. */
static void
run(struct client *c, policy *choose, int quanta, float error[][CLIENTS])
{
	for (int i = 0; i < 2 * CLIENTS; i++)
		quantum(c, choose); /* all have left their beginnings */
	for (int i = 0; i < CLIENTS; i++) {
		c[i].base = *c[i].count;
		c[i].quanta = 0;
		c[i].pass = STRIDE1 / c[i].tickets;
	}
	for (int n = 0; n < quanta; n++) {
		quantum(c, choose);
		for (int i = 0; error && i < CLIENTS; i++)
			error[n][i] = (float)error_of(c, i);
	}
}

/* ---- one application ---- */

static int
alone(const char *name, policy *choose, bool steps)
{
	static float error[QUANTA][CLIENTS];
	struct exos_self self = {.size = sizeof(self)};
	struct client c[CLIENTS];
	double all = 0, worst = 0;

	exos_self(&self);
	clients_start(c, area->count[0]);
	while (area->ready < CLIENTS)
		usleep(1000);
	if (slices_take(self.cpu, 0, 1, 24) == 0) {
		puts("no slices");
		return 1;
	}
	exos_extra(false);
	run(c, choose, QUANTA, error);
	exos_extra(true);
	clients_end(c);
	for (int i = 0; i < CLIENTS; i++) {
		double e = (double)error[QUANTA - 1][i];

		all += progress(c, i);
		worst = e > worst ? e : -e > worst ? -e : worst;
	}
	for (int n = 0; steps && n < QUANTA; n++)
		printf("sched_%s_step %d %.5f %.5f %.5f\n", name, n + 1, (double)error[n][0],
		       (double)error[n][1], (double)error[n][2]);
	printf("sched_%s_quanta %lu %lu %lu\n", name, c[0].quanta, c[1].quanta, c[2].quanta);
	printf("sched_%s_share %.4f %.4f %.4f\n", name, progress(c, 0) / all, progress(c, 1) / all,
	       progress(c, 2) / all);
	printf("sched_%s_error %.4f\n", name, worst);
	return 0;
}

/* ---- two applications ---- */

/* An application that ends after its quanta and leaves what it found in the area; or never ends. */
static void
application(int number, policy *choose, bool ends)
{
	struct exos_self self = {.size = sizeof(self)};
	struct client c[CLIENTS];
	double all = 0;
	uint64_t began;

	exos_self(&self);
	clients_start(c, area->count[number]);
	if (!slices_take(area->go - 1, (uint32_t)number, 2, 24))
		_exit(1);
	exos_extra(false);
	run(c, choose, 6, NULL);
	if (!ends)
		for (;;)
			quantum(c, choose);
	began = clock_read();
	run(c, choose, QUANTA / 2, NULL);
	area->quanta_per_slice = (QUANTA / 2 + 2 * CLIENTS) * (double)self.slice_tsc /
				 (double)(clock_read() - began);
	exos_extra(true);
	for (int i = 0; i < CLIENTS; i++)
		all += progress(c, i);
	area->error = 0;
	for (int i = 0; i < CLIENTS; i++) {
		double e = error_of(c, i);

		area->share[i] = progress(c, i) / all;
		area->error = e > area->error ? e : -e > area->error ? -e : area->error;
	}
	clients_end(c);
	_exit(0);
}

static double
measured(const char *name)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		application(0, stride, true);
	waitpid(pid, &status, 0);
	if (status)
		exit(1);
	printf("sched_%s_share %.4f %.4f %.4f\n", name, area->share[0], area->share[1],
	       area->share[2]);
	printf("sched_%s_error %.4f\nsched_%s_slices %.4f\n", name, area->error, name,
	       area->quanta_per_slice);
	fflush(stdout);
	return area->quanta_per_slice;
}

/* The second one cannot be waited for: it ends with its clients, which are of its group. */
static int
contend(void)
{
	struct exos_self self = {.size = sizeof(self)};
	double before, after, all = 0;
	uint64_t other[CLIENTS];
	pid_t pid;

	exos_self(&self);
	area->go = self.cpu + 1;
	before = measured("alone");
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		application(1, lottery, false);
	}
	setpgid(pid, pid);
	while (area->count[1][0] + area->count[1][1] + area->count[1][2] < 1000)
		usleep(1000);
	for (int i = 0; i < CLIENTS; i++)
		other[i] = area->count[1][i];
	after = measured("contended");
	for (int i = 0; i < CLIENTS; i++)
		all += (double)(other[i] = area->count[1][i] - other[i]);
	printf("sched_other_share %.4f %.4f %.4f\n", (double)other[0] / all, (double)other[1] / all,
	       (double)other[2] / all);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("sched_interference %.4f\n", before / after - 1);
	return 0;
}

int
main(int argc, char **argv)
{
	bool steps = false;
	const char *what = "stride";

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--steps"))
			steps = true;
		else
			what = argv[i];
	}
	if (!exos_here()) {
		puts("this program needs ExOS");
		return 2;
	}
	area = mmap(NULL, sizeof(*area), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(what, "contend"))
		return contend();
	return alone(what, strcmp(what, "lottery") ? stride : lottery, steps);
}
