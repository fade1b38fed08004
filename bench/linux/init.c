/* SPDX-License-Identifier: MIT */
/*
 * The first and only program of the Linux guest: runs the lines of /jobs, each NAME PROGRAM ARGUMENT..., one after the
 * other, says what it runs and how it ended, and switches the machine off.  Output goes to the console.
 * With /brd.ko there are two memory disks, of which the second is for swapping, and each program is in a new control group,
 * /group.
 *
 *	@begin NAME      a program is about to start
 *	@exit STATUS     as a shell says it: 128 + N for signal N
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

#define WORDS 8

static bool grouped;

static void
text_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		printf("%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* What mkswap writes (the kernel's include/linux/swap.h): no label, no bad pages. */
static bool
swap_on(const char *path, uint32_t pages)
{
	static union {
		struct {
			char boot[1024];
			uint32_t version, last_page;
		};
		char page[4096];
	} head = {.version = 1};
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good;

	head.last_page = pages - 1;
	memcpy(head.page + sizeof(head) - 10, "SWAPSPACE2", 10);
	good = fd >= 0 && write(fd, &head, sizeof(head)) == (ssize_t)sizeof(head) && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return good && swapon(path, 0) == 0;
}

static void
disks_make(void)
{
	int module = open("/brd.ko", O_RDONLY | O_CLOEXEC);

	if (module < 0)
		return;
	grouped = true;
	if (syscall(SYS_finit_module, module, "rd_nr=2 rd_size=32768", 0) != 0 ||
	    !swap_on("/dev/ram1", 32768 / 4))
		printf("no memory disks: %s\n", strerror(errno));
	close(module);
	mkdir("/groups", 0755);
	if (mount("cgroup2", "/groups", "cgroup2", 0, NULL) != 0 ||
	    symlink("/groups/job", "/group") != 0)
		printf("no control groups: %s\n", strerror(errno));
	text_write("/groups/cgroup.subtree_control", "+memory");
}

static void
run(char **words)
{
	int status;
	pid_t pid;

	if (grouped) {
		rmdir("/groups/job");
		mkdir("/groups/job", 0755);
	}
	pid = fork();
	if (pid == 0) {
		if (grouped)
			text_write("/group/cgroup.procs", "0");
		execv(words[0], words);
		printf("@fail %s cannot be executed\n", words[0]);
		fflush(stdout);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		printf("@fail no process\n");
	else
		printf("@exit %d\n",
		       WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

int
main(void)
{
	char line[200], *words[WORDS + 1];
	FILE *jobs;

	bench_booted();
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	disks_make();
	jobs = fopen("/jobs", "re");
	while (jobs && fgets(line, sizeof(line), jobs)) {
		int count = 0;

		for (char *word = strtok(line, " \n"); word && count < WORDS;
		     word = strtok(NULL, " \n"))
			words[count++] = word;
		words[count] = NULL;
		if (count < 2)
			continue;
		printf("@begin %s\n", words[0]);
		fflush(stdout);
		run(words + 1);
		fflush(stdout);
	}
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
