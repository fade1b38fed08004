/* SPDX-License-Identifier: MIT */
/*
 * Experiments: programs of examples/ that are run once, under -icount, for the lines that they print.  On ExOS each has a
 * machine of its own; on Linux one guest runs all of them, and another goes on when it dies.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "linux.h"

#define DEADLINES 3 /* of a row: an experiment is several runs of a program's work */

#define EXPERIMENT(name, program, arguments, columns, what) \
	{#name, program, arguments, columns, what},
const struct experiment experiments[] = {
#include "../experiments.def"
};
#undef EXPERIMENT
const size_t experiment_count = sizeof(experiments) / sizeof(experiments[0]);
_Static_assert(sizeof(experiments) / sizeof(experiments[0]) <= MAX_EXPERIMENTS,
	       "more experiments than the tables have");

struct finding (*findings)[SYSTEMS];

bool
experiment_on(size_t experiment, enum system system)
{
	return run.experiment[experiment] &&
	       strchr(experiments[experiment].columns, system == NATIVE ? 'N' : 'L') &&
	       (system == NATIVE || (system == LINUX && !run.no_linux));
}

static void
line_add(struct finding *f, const char *line)
{
	size_t length = strlen(line);

	if (length == 0 || line[0] == '@')
		return;
	if (f->length + length + 2 > sizeof(f->text)) {
		f->failed = true;
		snprintf(f->why, sizeof(f->why), "it printed more than %zu bytes", sizeof(f->text));
		return;
	}
	f->length +=
		(size_t)snprintf(f->text + f->length, sizeof(f->text) - f->length, "%s\n", line);
}

static void
finding_end(struct finding *f, bool good, const char *why)
{
	f->have = good && !f->failed && f->length > 0;
	if (f->have)
		return;
	if (!f->failed)
		snprintf(f->why, sizeof(f->why), "%s", good ? "it printed nothing" : why);
	f->failed = true;
}

/* ./exo takes words apart by |. */
static void
on_exos(size_t experiment)
{
	const struct experiment *x = &experiments[experiment];
	struct finding *f = &findings[experiment][NATIVE];
	int64_t deadline = now_ms() + run.deadline * DEADLINES * 1000ll;
	char words[128], why[WHY_SIZE];
	const char *line;
	struct guest g;
	bool late;
	int status;

	snprintf(words, sizeof(words), "%s%s", x->arguments[0] ? "|" : "", x->arguments);
	for (char *at = words; *at; at++)
		*at = *at == ' ' ? '|' : *at;
	guest_start(&g,
		    "./exo|run|--icount|--mem|" MEMORY "|--log|" OUT
		    "/experiments.log|build/examples/%s%s",
		    x->program, words);
	while ((line = guest_line(&g, deadline, &late)))
		line_add(f, line);
	status = guest_end(&g);
	guest_reason(&g, status, why, sizeof(why));
	if (late)
		snprintf(why, sizeof(why), "not finished within %u s", run.deadline * DEADLINES);
	finding_end(f, !late && WIFEXITED(status) && WEXITSTATUS(status) == 0, why);
	lines_free(&g.lines);
}

/* From `first` on as far as one guest goes; where another goes on. */
static size_t
on_linux(size_t first)
{
	char *list = NULL, why[WHY_SIZE];
	size_t size, at = first;
	FILE *jobs = open_memstream(&list, &size);
	bool late = false, booted, begun = false;
	const char *line;
	int64_t deadline;
	struct guest g;
	int status = 0, ended;

	for (size_t i = first; jobs && i < experiment_count; i++) {
		if (experiment_on(i, LINUX))
			fprintf(jobs, "%s /bench/%s %s\n", experiments[i].name,
				experiments[i].program, experiments[i].arguments);
	}
	if (!jobs || fclose(jobs) != 0)
		die("no memory");
	archive_write(OUT "/experiments.cpio", list, ARCHIVE_EXAMPLES);
	free(list);
	linux_start(&g, OUT "/experiments.cpio", COUNT, "", false);
	booted = linux_boot_await(&g);
	deadline = now_ms() + run.deadline * DEADLINES * 1000ll;
	while (booted && at < experiment_count && (line = guest_line(&g, deadline, &late))) {
		if (strncmp(line, "@begin ", 7) == 0) {
			size_t next = at;

			while (next < experiment_count &&
			       strcmp(line + 7, experiments[next].name) != 0)
				next++;
			begun = next < experiment_count;
			at = begun ? next : at;
			deadline = now_ms() + run.deadline * DEADLINES * 1000ll;
			progress("linux, experiment: %s", line + 7);
		} else if (begun && sscanf(line, "@exit %d", &status) == 1) {
			snprintf(why, sizeof(why), "the program ended with status %d", status);
			finding_end(&findings[at++][LINUX], status == 0, why);
			begun = false;
		} else if (begun) {
			line_add(&findings[at][LINUX], line);
		}
	}
	ended = guest_end(&g);
	guest_reason(&g, ended, why, sizeof(why));
	if (late)
		snprintf(why, sizeof(why), "not finished within %u s", run.deadline * DEADLINES);
	lines_free(&g.lines);
	while (at < experiment_count && !experiment_on(at, LINUX))
		at++;
	if (at < experiment_count)
		finding_end(&findings[at++][LINUX], false, why);
	return at;
}

bool
finding_next(const struct finding *f, size_t *at, char *line, size_t size)
{
	const char *from = f->text + *at;
	size_t length = strcspn(from, "\n");

	if (*at >= f->length)
		return false;
	snprintf(line, size, "%.*s", (int)length, from);
	*at += length + 1;
	return true;
}

bool
finding_value(const char *line)
{
	size_t name = strcspn(line, " ");

	return line[name] && line[name + 1] &&
	       (name < 5 || strncmp(line + name - 5, "_step", 5) != 0);
}

void
experiments_run(void)
{
	size_t at = 0;

	for (size_t i = 0; i < experiment_count; i++) {
		if (!experiment_on(i, NATIVE))
			continue;
		progress("exos, experiment: %s", experiments[i].name);
		on_exos(i);
	}
	while (at < experiment_count && !experiment_on(at, LINUX))
		at++;
	while (at < experiment_count)
		at = on_linux(at);
}
