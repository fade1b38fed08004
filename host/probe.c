/* SPDX-License-Identifier: MIT */
/*
 * Whether KVM works here.  That /dev/kvm opens proves nothing: there are hosts where it answers and
 * runs no kernel.  So the kernel itself is booted without an archive, of which it must have said
 * that it cannot go on, by the status of a panic, before a deadline.  The verdict is kept for this boot of
 * the host.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

#define PROBE_MS 2000

/* The file of the verdict, its directory made; NULL: there is no place for it. */
static char *
verdict_path(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *base, *directory, *path;

	if (cache && *cache == '/')
		base = duplicate(cache);
	else if (home && *home == '/')
		base = format_text("%s/.cache", home);
	else
		return NULL;
	directory = format_text("%s/exo", base);
	path = format_text("%s/kvm", directory);
	mkdir(base, 0700);
	mkdir(directory, 0700);
	free(base);
	free(directory);
	return path;
}

/* A short file's first line. */
static void
line_read(const char *path, char *line, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t count = fd < 0 ? 0 : read(fd, line, room - 1);

	if (fd >= 0)
		close(fd);
	line[count > 0 ? count : 0] = 0;
	line[strcspn(line, "\n")] = 0;
}

static void
verdict_write(const char *path, const char *boot, bool works)
{
	char *line = format_text("%s %s\n", boot, works ? "yes" : "no");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0) {
		/* A verdict that cannot be kept is only found again. */
		ssize_t count = write(fd, line, strlen(line));

		(void)count;
		close(fd);
	}
	free(line);
}

/* Boots; its output is thrown away. */
static bool
probe_boot(const struct options *options)
{
	int64_t deadline = clock_ms() + PROBE_MS;
	struct options probe = *options;
	char dropped[4096], words[128];
	struct qemu qemu;
	bool works;

	probe.cpus = 1;
	qemu_start(&qemu, &probe, -1, true, 0);
	while (!qemu_reap(&qemu) && clock_ms() < deadline) {
		struct pollfd wait[2] = {{.fd = qemu.log, .events = POLLIN},
					 {.fd = qemu.errors, .events = POLLIN}};

		poll(wait, 2, 20);
		while (read(qemu.log, dropped, sizeof(dropped)) > 0 ||
		       read(qemu.errors, dropped, sizeof(dropped)) > 0)
			if (clock_ms() >= deadline)
				break;
		if (wait[0].revents & POLLHUP)
			usleep(1000);
	}
	works = qemu.pid == 0 && qemu_end(&qemu, words, sizeof(words)) == MACHINE_PANIC;
	qemu_kill(&qemu);
	close(qemu.channel);
	close(qemu.channel_far);
	close(qemu.log);
	close(qemu.errors);
	return works;
}

bool
probe_kvm(const struct options *options)
{
	char boot[64], verdict[96];
	char *path;
	bool works;

	if (access("/dev/kvm", R_OK | W_OK) != 0)
		return false;
	line_read("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	path = verdict_path();
	if (path) {
		size_t length = strlen(boot);

		line_read(path, verdict, sizeof(verdict));
		if (length > 0 && strncmp(verdict, boot, length) == 0 && verdict[length] == ' ') {
			works = strcmp(verdict + length + 1, "yes") == 0;
			free(path);
			return works;
		}
	}
	works = probe_boot(options);
	if (path)
		verdict_write(path, boot, works);
	free(path);
	return works;
}
