/* SPDX-License-Identifier: MIT */
/* The tables on the terminal: instructions and marks, what lies beside them, time, and what is missing and why. */
#define _GNU_SOURCE
#include <math.h>
#include <string.h>

#include "runner.h"

const struct figure *
figure_linux(size_t row, enum measure measure)
{
	const struct figure *shipped = &figures[row][LINUX][measure];
	const struct figure *off = &figures[row][LINUX_OFF][measure];

	if (shipped->have && off->have)
		return off->value < shipped->value ? off : shipped;
	return shipped->have ? shipped : off->have ? off : NULL;
}

const struct figure *
figure_exos(size_t row, enum measure measure)
{
	const struct figure *native = &figures[row][NATIVE][measure];
	const struct figure *unmodified = &figures[row][UNMODIFIED][measure];

	return native->have ? native : unmodified->have ? unmodified : NULL;
}

double
figure_ratio(size_t row, enum measure measure)
{
	const struct figure *linux_one = figure_linux(row, measure),
			    *exos = figure_exos(row, measure);

	return linux_one && exos ? linux_one->value / exos->value : 0;
}

/* Four digits at least, grouped. */
static void
cell(FILE *out, const struct figure *f, int width)
{
	char digits[32], text[48];
	size_t length, k = 0;

	if (!f || !f->have) {
		fprintf(out, " %*s", width, "-");
		return;
	}
	if (f->value < 99.95) {
		fprintf(out, " %*.1f", width, f->value);
		return;
	}
	length = (size_t)snprintf(digits, sizeof(digits), "%.0f", f->value);
	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			text[k++] = ',';
		text[k++] = digits[i];
	}
	text[k] = 0;
	fprintf(out, " %*s", width, text);
}

static void
ratio_cell(FILE *out, double ratio)
{
	if (ratio <= 0)
		fprintf(out, " %8s", "-");
	else
		fprintf(out, " %7.*fx", ratio < 9.95 ? 2 : 1, ratio);
}

static void
mark_cell(FILE *out, size_t row)
{
	const struct row *r = &rows[row];
	const struct figure *exos = figure_exos(row, COUNT);
	double ratio = figure_ratio(row, COUNT);
	bool met, known = r->mark == MOST ? exos != NULL : ratio > 0;

	if (r->mark == NONE)
		return;
	met = r->mark == MOST ? exos && exos->value <= r->limit : ratio >= r->limit;
	fprintf(out, r->mark == MOST ? "  <= %.0f" : "  >= %gx", r->limit);
	fprintf(out, "%s", !known ? "" : met ? ", met" : ", not met");
}

static void
table(FILE *out, enum measure measure)
{
	fprintf(out, "\n%s\n%-22s %11s %11s %11s %11s %8s %7s%s\n",
		measure == COUNT ? "Instructions for one operation (guest instructions, -icount)"
				 : "Microseconds for one operation",
		"row", "linux", "mitig.=off", "unmodified", "exos", "ratio", "paper",
		measure == COUNT ? "  differ  mark" : "  spread");
	for (size_t i = 0; i < row_count; i++) {
		double spread = 0;

		if (!run.chosen[i])
			continue;
		fprintf(out, "%-22s", rows[i].name);
		for (int s = 0; s < SYSTEMS; s++) {
			cell(out, &figures[i][s][measure], 11);
			if (figures[i][s][measure].have && figures[i][s][measure].spread > spread)
				spread = figures[i][s][measure].spread;
		}
		ratio_cell(out, figure_ratio(i, measure));
		if (rows[i].paper > 0)
			fprintf(out, " %6.*fx", rows[i].paper < 9.95 ? 2 : 1, rows[i].paper);
		else
			fprintf(out, " %7s", "-");
		fprintf(out, measure == COUNT ? " %5.2f %%" : "  %.0f %%", spread * 100);
		if (measure == COUNT)
			mark_cell(out, i);
		if (measure == COUNT && spread > 0.01)
			fprintf(out, "  two runs differ by %.1f %%", spread * 100);
		fputc('\n', out);
	}
}

static void
events(FILE *out)
{
	static const char *const short_names[SYSTEMS] = {"linux", "mit=off", "unmod.", "exos"};

	fprintf(out,
		"\nBeside the instructions of one operation (once: with each rep as one; empty: "
		"the loop and\n"
		"wrapper that have been subtracted)\n%-22s %-8s %10s %10s %8s %6s %6s %6s %6s %6s "
		"%6s %6s %5s "
		"%7s\n",
		"row", "system", "insns", "once", "rep it.", "iret", "sysret", "cr3", "cr4",
		"invlpg", "wrpkru", "wrmsr", "ipi", "empty");
	for (size_t i = 0; i < row_count; i++) {
		for (int s = 0; s < SYSTEMS; s++) {
			const struct figure *f = &figures[i][s][COUNT];
			const double *e = f->event;

			if (!f->have || (s == NATIVE && strchr(rows[i].columns, 'S')))
				continue;
			fprintf(out,
				"%-22s %-8s %10.1f %10.1f %8.1f %6.2f %6.2f %6.2f %6.2f %6.2f "
				"%6.2f %6.2f "
				"%5.2f %7.1f\n",
				rows[i].name, short_names[s], f->value, e[INSNS] - e[REPEATED],
				e[REPEATED] + e[REPS], fabs(e[IRETS]), e[SYSRETS], e[CR3S], e[CR4S],
				e[INVLPGS], e[WRPKRUS], e[WRMSRS], e[IPIS], f->empty);
		}
	}
}

static void
experiments_table(FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < experiment_count; i++) {
		for (int s = 0; s < SYSTEMS; s++) {
			const struct finding *f = &findings[i][s];
			char line[256];
			size_t at = 0;

			if (!f->have && !f->failed)
				continue;
			fprintf(out, "%s%s, %s: %s%s%s\n",
				any ? "" : "\nExperiments (a tick is an instruction)\n",
				experiments[i].name, s == NATIVE ? "exos" : "linux",
				experiments[i].what, f->failed ? "; FAILED: " : "", f->why);
			any = true;
			while (finding_next(f, &at, line, sizeof(line))) {
				if (finding_value(line))
					fprintf(out, "    %s\n", line);
			}
		}
	}
}

static void
reasons(FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < row_count; i++) {
		if (run.chosen[i] && !rows[i].program[0]) {
			fprintf(out, "%s%-22s nothing measures it: %s\n", any ? "" : "\nMissing\n",
				rows[i].name, rows[i].what);
			any = true;
		}
		for (int k = 0; k < SYSTEMS * MEASURES; k++) {
			const struct figure *f = &figures[i][k / MEASURES][k % MEASURES];

			if (!f->why[0] || (k / MEASURES == NATIVE && strchr(rows[i].columns, 'S')))
				continue;
			fprintf(out, "%s%-22s %s, %s: %s%s\n", any ? "" : "\nMissing\n",
				rows[i].name, system_names[k / MEASURES],
				measure_names[k % MEASURES], f->failed ? "FAILED: " : "", f->why);
			any = true;
		}
	}
}

static bool
any_row(void)
{
	for (size_t i = 0; i < row_count; i++)
		if (run.chosen[i])
			return true;
	return false;
}

void
report_tables(FILE *out)
{
	if (any_row() && run.measures[COUNT]) {
		table(out, COUNT);
		events(out);
	}
	if (any_row() && run.measures[TIME])
		table(out, TIME);
	fprintf(out,
		"\nratio: the faster Linux to ExOS, native where there is one; paper: Ultrix to "
		"its ExOS; differ: two runs, the\n"
		"worst of the columns.\n"
		"Time by %s on %s\n",
		run.kvm ? "KVM" : "plain TCG", machine_name());
	experiments_table(out);
	reasons(out);
}
