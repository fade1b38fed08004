/* SPDX-License-Identifier: MIT */
/*
 * A guest as a child process: it dies with the runner, its output and errors come as lines, carriage returns
 * dropped, and it is killed when its time is over.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Splits at each |; the words lie in `text`. */
static void
words_split(char *text, char **words, size_t most)
{
	size_t n = 0;

	for (char *word = strtok(text, "|"); word; word = strtok(NULL, "|")) {
		if (n + 1 == most)
			die("a command of more than %zu words", most);
		words[n++] = word;
	}
	words[n] = NULL;
}

void
guest_start(struct guest *g, const char *format, ...)
{
	int pair[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char text[4096], *words[96];
	pid_t parent = getpid();
	va_list list;

	va_start(list, format);
	if (vsnprintf(text, sizeof(text), format, list) >= (int)sizeof(text))
		die("a command is too long");
	va_end(list);
	words_split(text, words, sizeof(words) / sizeof(words[0]));
	memset(g, 0, sizeof(*g));
	if (null < 0 || pipe2(pair, O_CLOEXEC) != 0 || (g->pid = fork()) < 0)
		die("cannot start %s: %s", words[0], strerror(errno));
	if (g->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || setpgid(0, 0) != 0 || dup2(null, 0) != 0 ||
		    dup2(pair[1], 1) != 1 || dup2(pair[1], 2) != 2)
			_exit(127);
		execvp(words[0], words);
		dprintf(2, "%s: %s\n", words[0], strerror(errno));
		_exit(127);
	}
	close(null);
	close(pair[1]);
	g->fd = pair[0];
}

static const char *
line_keep(struct guest *g, size_t length)
{
	char *line = malloc(length + 1);
	size_t kept = 0;

	g->lines.line = realloc(g->lines.line, (g->lines.count + 1) * sizeof(char *));
	if (!line || !g->lines.line)
		die("no memory");
	for (size_t i = 0; i < length; i++) {
		if (g->part[i] != '\r' && g->part[i] != 0)
			line[kept++] = g->part[i];
	}
	line[kept] = 0;
	g->lines.line[g->lines.count++] = line;
	return line;
}

const char *
guest_line(struct guest *g, int64_t deadline_ms, bool *late)
{
	*late = false;
	for (;;) {
		char *end = memchr(g->part, '\n', g->have);
		int64_t left = deadline_ms - now_ms();
		struct pollfd wait = {.fd = g->fd, .events = POLLIN};
		ssize_t got;

		if (end || g->have == sizeof(g->part) || (g->closed && g->have > 0)) {
			size_t length = end ? (size_t)(end - g->part) : g->have;
			const char *line = line_keep(g, length);

			length += end ? 1 : 0;
			memmove(g->part, g->part + length, g->have - length);
			g->have -= length;
			return line;
		}
		if (g->closed)
			return NULL;
		if (left <= 0) {
			*late = true;
			return NULL;
		}
		if (poll(&wait, 1, left > 1000 ? 1000 : (int)left) <= 0)
			continue;
		got = read(g->fd, g->part + g->have, sizeof(g->part) - g->have);
		if (got > 0)
			g->have += (size_t)got;
		else if (got == 0 || errno != EINTR)
			g->closed = true;
	}
}

int
guest_end(struct guest *g)
{
	int status = 0;

	if (!g->closed)
		kill(-g->pid, SIGKILL);
	close(g->fd);
	while (waitpid(g->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void
lines_free(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->line[i]);
	free(lines->line);
	*lines = (struct lines){0};
}

void
figure_fail(struct figure *f, const char *format, ...)
{
	va_list list;

	f->have = false;
	f->failed = true;
	va_start(list, format);
	vsnprintf(f->why, sizeof(f->why), format, list);
	va_end(list);
}

void
guest_reason(const struct guest *g, int status, char *why, size_t size)
{
	const char *said = "";

	for (size_t i = g->lines.count; i > 0 && !*said; i--) {
		if (g->lines.line[i - 1][0] != '@' && strlen(g->lines.line[i - 1]) < 120)
			said = g->lines.line[i - 1];
	}
	if (WIFSIGNALED(status))
		snprintf(why, size, "the machine was ended by signal %d: %s", WTERMSIG(status),
			 said);
	else
		snprintf(why, size, "the machine ended with status %d: %s", WEXITSTATUS(status),
			 said);
}
