/* SPDX-License-Identifier: MIT */
/* The Linux guest's initial file system: a newc archive of init, the programs and the list of jobs. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linux.h"

static void
pad(FILE *out, size_t length)
{
	for (; length % 4 != 0; length++)
		fputc(0, out);
}

static void
member(FILE *out, const char *name, unsigned mode, const char *bytes, size_t size)
{
	static unsigned number;
	size_t length = strlen(name) + 1;

	fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++number, mode,
		0, 0, 1, 0, (unsigned)size, 0, 0, 0, 0, (unsigned)length, 0);
	fwrite(name, 1, length, out);
	pad(out, 110 + length);
	fwrite(bytes, 1, size, out);
	pad(out, size);
}

static void
member_file(FILE *out, const char *name, const char *path)
{
	FILE *in = fopen(path, "r");
	char *bytes;
	long size;

	if (!in || fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 0)
		die("%s: %s", path, strerror(errno));
	rewind(in);
	bytes = malloc((size_t)size + 1);
	if (!bytes || fread(bytes, 1, (size_t)size, in) != (size_t)size)
		die("%s cannot be read", path);
	member(out, name, 0100755, bytes, (size_t)size);
	free(bytes);
	fclose(in);
}

static void
rows_programs(FILE *out)
{
	char name[64], path[128];

	for (size_t i = 0; i < row_count; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again = again || (strchr(rows[k].columns, 'L') &&
					  strcmp(rows[k].program, rows[i].program) == 0);
		if (again || !strchr(rows[i].columns, 'L'))
			continue;
		snprintf(name, sizeof(name), "bench/%s", rows[i].program);
		snprintf(path, sizeof(path), OUT "/linux/%s", rows[i].program);
		member_file(out, name, path);
	}
	member_file(out, "bench/small", OUT "/linux/small");
	member_file(out, "bench/libc", OUT "/linux/libc");
}

static void
examples_programs(FILE *out)
{
	char name[64], path[128];

	for (size_t i = 0; i < experiment_count; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again = again ||
				(experiment_on(k, LINUX) &&
				 strcmp(experiments[k].program, experiments[i].program) == 0);
		if (again || !experiment_on(i, LINUX))
			continue;
		snprintf(name, sizeof(name), "bench/%s", experiments[i].program);
		snprintf(path, sizeof(path), "build/examples/%s", experiments[i].program);
		member_file(out, name, path);
	}
	member_file(out, "brd.ko", run.module);
}

void
archive_write(const char *path, const char *jobs, enum archive kind)
{
	FILE *out = fopen(path, "w");

	if (!out)
		die("%s: %s", path, strerror(errno));
	member(out, "dev", 040755, "", 0);
	member_file(out, "init", OUT "/linux/init");
	if (kind != ARCHIVE_INIT) {
		member(out, "bench", 040755, "", 0);
		(kind == ARCHIVE_ROWS ? rows_programs : examples_programs)(out);
		member(out, "jobs", 0100644, jobs, strlen(jobs));
	}
	member(out, "TRAILER!!!", 0, "", 0);
	if (fflush(out) != 0 || ferror(out))
		die("%s: %s", path, strerror(errno));
	fclose(out);
}
