/* SPDX-License-Identifier: MIT */
/*
 * Results as JSON: the published shape, {"machine": {...}, "rows": [...], "experiments": [...]}, with null for what was not
 * measured; and a second file with everything that lies beside the figures.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

static const char *const event_names[COUNTERS] = {
	"insns", "rep_repeated", "rep",    "iret",  "sysret", "syscall", "cr3",
	"cr4",   "invlpg",       "wrpkru", "wrmsr", "ipi",    "hlt",
};

static void
string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

/* What follows `key` on its line in a file or a command's output; the first line with no key. */
static const char *
line_of(FILE *in, bool command, const char *key)
{
	static char line[4][256];
	static unsigned next;
	char *at = line[next++ % 4], *value;
	bool found = false;

	while (in && !found && fgets(at, sizeof(line[0]), in))
		found = strncmp(at, key, strlen(key)) == 0;
	if (in && command)
		pclose(in);
	else if (in)
		fclose(in);
	if (!found)
		return "unknown";
	at[strcspn(at, "\n")] = 0;
	value = *key ? strchr(at, ':') : NULL;
	return value ? value + 1 + strspn(value + 1, " \t") : at;
}

const char *
machine_name(void)
{
	return line_of(fopen("/proc/cpuinfo", "r"), false, "model name");
}

/* What is measured, asked for before it is: a tree can move on meanwhile. */
void
tree_note(void)
{
	snprintf(run.tree, sizeof(run.tree), "%s",
		 line_of(popen("git describe --always --dirty 2>/dev/null", "r"), true, ""));
}

static void
entry(FILE *out, const char *name, const char *value)
{
	fprintf(out, ", \"%s\": ", name);
	string(out, value);
}

static void
machine(FILE *out)
{
	struct utsname host = {0};
	char date[32], load[64];
	time_t now = time(NULL);

	uname(&host);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	fprintf(out, "{\"date\": \"%s\"", date);
	entry(out, "host_cpu", machine_name());
	fprintf(out, ", \"host_cpus\": %ld", sysconf(_SC_NPROCESSORS_ONLN));
	entry(out, "host_kernel", host.release);
	snprintf(load, sizeof(load), "%.40s", line_of(fopen("/proc/loadavg", "r"), false, ""));
	load[strcspn(load, " ")] = 0;
	fprintf(out, ", \"load_at_end\": %s, \"load_at_start\": %.2f", load, run.load);
	entry(out, "qemu", line_of(popen("qemu-system-x86_64 --version", "r"), true, ""));
	entry(out, "guest", "q35, -cpu max, one processor, " MEMORY);
	entry(out, "linux",
	      run.no_linux ? "none"
			   : line_of(fopen(OUT "/linux-image/complete", "r"), false, "Version"));
	entry(out, "tree", run.tree);
	entry(out, "time_by", run.kvm ? "kvm" : "tcg");
	fprintf(out, ", \"tsc_ticks_per_us\": %.1f}", sample_ticks_per_us());
}

static void
value(FILE *out, const char *name, const struct figure *f)
{
	if (f && f->have)
		fprintf(out, ", \"%s\": %.6g", name, f->value);
	else
		fprintf(out, ", \"%s\": null", name);
}

static void
number(FILE *out, const char *name, double number_or_0)
{
	if (number_or_0 > 0)
		fprintf(out, ", \"%s\": %.4g", name, number_or_0);
	else
		fprintf(out, ", \"%s\": null", name);
}

/* n and spread are the fewest and the worst of the columns that have a figure. */
static void
row_write(FILE *out, size_t row, enum measure measure)
{
	double spread = 0;
	unsigned n = 0;

	for (int s = 0; s < SYSTEMS; s++) {
		const struct figure *f = &figures[row][s][measure];

		if (!f->have)
			continue;
		spread = f->spread > spread ? f->spread : spread;
		n = n == 0 || f->count < n ? f->count : n;
	}
	fprintf(out, "{\"name\": \"%s\", \"unit\": \"%s/%s\", \"measure\": \"%s\"", rows[row].name,
		measure == COUNT ? "instructions" : "us", rows[row].unit,
		measure == COUNT ? "icount" : "time");
	value(out, "linux", figure_linux(row, measure));
	value(out, "linux_on_exos", &figures[row][UNMODIFIED][measure]);
	value(out, "exos", &figures[row][NATIVE][measure]);
	number(out, "ratio", figure_ratio(row, measure));
	number(out, "paper_ratio", rows[row].paper);
	if (n > 0)
		fprintf(out, ", \"n\": %u, \"spread\": %.4f}", n, spread);
	else
		fprintf(out, ", \"n\": null, \"spread\": null}");
}

/* A line of an experiment as a member: one value, or a list. */
static void
finding_line(FILE *out, char *line, const char *before)
{
	char *rest, *word = strtok_r(line, " ", &rest), *value = strtok_r(NULL, " ", &rest);
	bool list;

	fprintf(out, "%s\"%s\": ", before, word);
	list = rest && *rest;
	fputs(list ? "[" : "", out);
	for (const char *comma = ""; value; value = strtok_r(NULL, " ", &rest), comma = ", ") {
		char *end;

		strtod(value, &end);
		fprintf(out, *end ? "%s\"%s\"" : "%s%s", comma, value);
	}
	fputs(list ? "]" : "", out);
}

static void
finding_write(FILE *out, const struct experiment *x, const struct finding *f, const char *system)
{
	char line[256];
	const char *before = "";
	size_t at = 0;

	fprintf(out, "{\"name\": \"%s\", \"system\": \"%s\"", x->name, system);
	if (f->failed)
		entry(out, "failed", f->why);
	fprintf(out, ", \"values\": {");
	while (f->have && finding_next(f, &at, line, sizeof(line))) {
		if (!finding_value(line))
			continue;
		finding_line(out, line, before);
		before = ", ";
	}
	fprintf(out, "}}");
}

static void
experiments_write(FILE *out)
{
	const char *before = "\n  ";

	for (size_t i = 0; i < experiment_count; i++) {
		for (int s = 0; s < SYSTEMS; s++) {
			const struct finding *f = &findings[i][s];

			if (!f->have && !f->failed)
				continue;
			fputs(before, out);
			finding_write(out, &experiments[i], f, s == NATIVE ? "exos" : "linux");
			before = ",\n  ";
		}
	}
}

void
json_results(FILE *out)
{
	const char *before = "\n  ";

	fprintf(out, "{\"machine\": ");
	machine(out);
	fprintf(out, ",\n \"rows\": [");
	for (size_t i = 0; i < row_count; i++) {
		for (int m = 0; m < MEASURES; m++) {
			if (!run.chosen[i] || !run.measures[m])
				continue;
			fputs(before, out);
			row_write(out, i, (enum measure)m);
			before = ",\n  ";
		}
	}
	fprintf(out, "\n],\n \"experiments\": [");
	experiments_write(out);
	fprintf(out, "\n]}\n");
}

static void
figure_write(FILE *out, const struct figure *f, enum measure measure)
{
	fprintf(out, "{\"values\": [");
	for (unsigned i = 0; i < f->count; i++)
		fprintf(out, "%s%.6g", i ? ", " : "", f->values[i]);
	fprintf(out, "], \"empty\": %.4g", f->empty);
	for (int i = 0; i < COUNTERS && measure == COUNT; i++)
		fprintf(out, ", \"%s\": %.6g", event_names[i], f->event[i]);
	if (f->why[0])
		entry(out, f->failed ? "failed" : "null_because", f->why);
	fprintf(out, "}");
}

void
json_detail(FILE *out)
{
	static const char *const names[SYSTEMS] = {"linux", "linux_mitigations_off",
						   "linux_on_exos", "exos"};
	const char *before = "\n  ";

	fprintf(out, "{\"machine\": ");
	machine(out);
	fprintf(out, ",\n \"figures\": [");
	for (size_t i = 0; i < row_count; i++) {
		for (int k = 0; k < SYSTEMS * MEASURES; k++) {
			const struct figure *f = &figures[i][k / MEASURES][k % MEASURES];

			if (f->count == 0 && !f->why[0])
				continue;
			fprintf(out,
				"%s{\"name\": \"%s\", \"system\": \"%s\", \"measure\": \"%s\", "
				"\"figure\": ",
				before, rows[i].name, names[k / MEASURES],
				k % MEASURES == COUNT ? "icount" : "time");
			figure_write(out, f, (enum measure)(k % MEASURES));
			fprintf(out, "}");
			before = ",\n  ";
		}
	}
	fprintf(out, "\n]}\n");
}
