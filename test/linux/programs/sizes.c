/* SPDX-License-Identifier: MIT */
/* What /proc says about the size of a process follows what it maps and touches, in a child too. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB  (1ul << 20)
#define SIZE (8 * MIB)

struct sizes {
	long virtual, resident; /* KiB */
};

static struct sizes
sizes_of(pid_t pid)
{
	struct sizes s = {-1, -1};
	char name[64], line[256];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	f = fopen(name, "r");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "VmSize: %ld", &s.virtual);
		sscanf(line, "VmRSS: %ld", &s.resident);
	}
	if (f)
		fclose(f);
	return s;
}

/* About so many KiB more; what stdio and the stack take does not count. */
static int
grew(long before, long after, long by)
{
	return after - before > by - 512 && after - before < by + 512;
}

static void
step(const char *what, struct sizes *before, pid_t pid, long virtual, long resident)
{
	struct sizes now = sizes_of(pid);

	printf("%s: %d %d\n", what, grew(before->virtual, now.virtual, virtual),
	       grew(before->resident, now.resident, resident));
	*before = now;
}

int
main(void)
{
	struct sizes s = sizes_of(getpid());
	long pages, size;
	pid_t pid;
	char *at;
	FILE *f;

	printf("something: %d %d\n", s.virtual > 500, s.resident > 50 && s.resident <= s.virtual);
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	step("mapped", &s, getpid(), 8192, 0);
	memset(at, 1, SIZE / 2);
	step("touched", &s, getpid(), 0, 4096);
	f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
		return 1;
	printf("statm: %d %d\n", labs(size * 4 - s.virtual) < 100,
	       labs(pages * 4 - s.resident) < 300);
	fclose(f);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	usleep(100000);
	printf("child: %d %d\n", grew(s.virtual, sizes_of(pid).virtual, 0),
	       sizes_of(pid).resident > 2048);
	kill(pid, 9);
	waitpid(pid, NULL, 0);
	madvise(at, MIB, MADV_DONTNEED);
	step("dropped", &s, getpid(), 0, -1024);
	munmap(at, SIZE);
	step("unmapped", &s, getpid(), -8192, -3072);
	return 0;
}
