/* SPDX-License-Identifier: MIT */
/*
 * The workloads where the kernel chooses victims: Linux, under a limit of memory.
 *
 * A control group's limit counts more than the data: page tables, stacks, what the kernel keeps for the process.  So it is
 * adjusted until the most pages of data in memory at any time of a scan are `memory`, as many as the pager
 * has frames.  What counts are the process's major faults, and the pages that were read and written behind them: a
 * fault may read more than its page.
 */
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define TRIES 8
#define SLACK 2u   /* pages */
#define OTHER 512u /* pages that are not data, for a start: more than there are */

static _Noreturn void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static bool anonymous; /* data */

static uint32_t
resident(void)
{
	static unsigned char in[1u << 16];
	uint32_t count = 0;

	if (pages > sizeof(in) || mincore(data, pages * PAGE, in))
		fail("mincore");
	for (uint32_t i = 0; i < pages; i++)
		count += in[i] & 1;
	return count;
}

/* The most pages in memory during a scan. */
static uint32_t
scan_most(void)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < pages + memory; i++) {
		uint32_t now;

		(void)*(volatile uint64_t *)&data[i % pages * WORDS];
		now = i % 8 ? 0 : resident();
		most = now > most ? now : most;
	}
	return most;
}

static void
limit_write(const char *group, uint64_t bytes)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/memory.max", group);
	out = fopen(path, "w");
	if (!out || fprintf(out, "%" PRIu64 "\n", bytes) < 0 || fclose(out))
		fail(path);
}

static void
limit_find(const char *group)
{
	int64_t limit = OTHER + memory;
	uint32_t most = 0;

	for (int i = 0; i < TRIES; i++) {
		limit_write(group, (uint64_t)limit * PAGE);
		most = scan_most();
		if (most <= memory && most + SLACK >= memory)
			break;
		limit += (int64_t)memory - most;
	}
	printf("pager_kernel_memory %u\n", most);
}

/* A counter of the whole machine, on which nothing else happens. */
static uint64_t
machine_count(const char *name)
{
	char line[128];
	size_t length = strlen(name);
	uint64_t value = 0;
	FILE *in = fopen("/proc/vmstat", "r");

	while (in && fgets(line, sizeof(line), in)) {
		if (!strncmp(line, name, length) && line[length] == ' ')
			value = strtoul(line + length, NULL, 10);
	}
	if (in)
		fclose(in);
	return value;
}

struct cost {
	uint64_t faults, read, written;
};

/*
 * A page is read again after it was evicted: that the kernel counts for every device, which it does not do for what goes in
 * and out.  Anonymous memory is written to swap by pages; a file to its device by kilobytes.
 */
static struct cost
cost_now(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (struct cost){
		(uint64_t)used.ru_majflt,
		machine_count(anonymous ? "workingset_refault_anon" : "workingset_refault_file"),
		anonymous ? machine_count("pswpout") : machine_count("pgpgout") / 4};
}

static void
data_map(const char *store, bool random)
{
	int fd = anonymous ? -1 : open(store, O_RDWR | O_CREAT, 0600);

	if (!anonymous && fd < 0)
		fail(store);
	if (!anonymous && ftruncate(fd, (off_t)(pages * PAGE)) && errno != EINVAL)
		fail(store); /* EINVAL: a device has its size */
	data = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		    anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		fail(store);
	madvise(data, pages * PAGE, MADV_NOHUGEPAGE);
	if (random)
		madvise(data, pages * PAGE, MADV_RANDOM);
	if (fd >= 0)
		close(fd);
}

/* Zeros, which are on the disk before anything is counted. */
static void
data_clear(void)
{
	memset(data, 0, pages * PAGE);
	msync(data, pages * PAGE, MS_SYNC);
}

void
linux_make(const char *store, const char *group, bool random)
{
	anonymous = !strcmp(store, "-");
	if (group)
		limit_write(group, 64ul << 20);
	data_map(store, random);
	data_clear();
	if (group)
		limit_find(group);
}

void
linux_run(const char *name, int workload)
{
	struct cost before, after;
	uint64_t sum;

	data_clear();
	before = cost_now();
	sum = work(workload);
	after = cost_now();
	printf("pager_%s_kernel_faults %" PRIu64 "\n", name, after.faults - before.faults);
	printf("pager_%s_kernel_read %" PRIu64 "\n", name, after.read - before.read);
	printf("pager_%s_kernel_written %" PRIu64 "\n", name, after.written - before.written);
	printf("pager_%s_kernel_sum %" PRIu64 "\n", name, sum);
}
