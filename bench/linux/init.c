/* SPDX-License-Identifier: MIT */
/*
 * The first and only program of the Linux guest: runs the lines of /jobs, each PROGRAM ARGUMENT..., one after the
 * other, says what it runs and how it ended, and switches the machine off.  Output goes to the console.
 *
 *	@begin ROW       a program is about to start; ROW is its first argument
 *	@exit STATUS     as a shell says it: 128 + N for signal N
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

#define WORDS 8

static void
run(char **words)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
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
	jobs = fopen("/jobs", "re");
	while (jobs && fgets(line, sizeof(line), jobs)) {
		int count = 0;

		for (char *word = strtok(line, " \n"); word && count < WORDS;
		     word = strtok(NULL, " \n"))
			words[count++] = word;
		words[count] = NULL;
		if (count < 2)
			continue;
		printf("@begin %s\n", words[1]);
		fflush(stdout);
		run(words);
		fflush(stdout);
	}
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
