/* SPDX-License-Identifier: MIT */
/*
 * A machine for each row, by ./exo as people use it, with one processor.  Counted rows run twice, in two machines.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/wait.h>

#include "runner.h"

#define KVM_MS 3000 /* with KVM a machine boots in a tenth of this */

static void
start(struct guest *g, enum system system, const struct row *row, enum measure measure)
{
	plugin_prepare(system);
	guest_start(g,
		    "./exo|run|--cpus|1|--mem|" MEMORY "|--log|%s|--file|" OUT
		    "/linux/small:/bench/small|--file|" OUT
		    "/linux/libc:/bench/libc|--accel|%s%s%s%s|" OUT "/%s/%s|%s|%s|%u",
		    path_of(system, "log"), plugin_used(measure) ? "tcg" : "kvm",
		    measure == COUNT ? "|--icount" : "",
		    plugin_used(measure) ? "|--qemu-opt|-plugin|--qemu-opt|" : "",
		    plugin_words(system, measure), system == NATIVE ? "exos" : "linux",
		    row->program, row->name, measure == COUNT ? COUNT_NS : TIME_NS,
		    measure == COUNT ? 1 : run.repeat);
}

static void
row_run(size_t row, enum system system, enum measure measure)
{
	struct figure *f = &figures[row][system][measure];
	bool boot = strcmp(rows[row].program, "boot") == 0, late, booted = false;
	int64_t begun = now_ms(), deadline = begun + run.deadline * 1000ll, took = 0;
	char why[WHY_SIZE];
	const char *line;
	struct guest g;
	int status;

	start(&g, system, &rows[row], measure);
	while ((line = guest_line(&g, deadline, &late))) {
		if (!booted && strcmp(line, "@boot") == 0) {
			booted = true;
			took = now_ms() - begun;
		}
	}
	status = guest_end(&g);
	guest_reason(&g, status, why, sizeof(why));
	if (late)
		figure_fail(f, "not finished within %u s", run.deadline);
	else if (WIFSIGNALED(status) || WEXITSTATUS(status) > 1)
		figure_fail(f, "%s", why);
	else if (!boot)
		sample_take(f, g.lines.line, g.lines.count, measure, path_of(system, "counts"), 0);
	else if (!booted ||
		 (plugin_used(measure) && !sample_boot(f, measure, path_of(system, "counts"))))
		figure_fail(f, "the program did not begin; %s", why);
	else if (!plugin_used(measure))
		figure_add(f, (double)took * 1000);
	lines_free(&g.lines);
}

void
exos_measure(enum system system, enum measure measure)
{
	for (size_t i = 0; i < row_count; i++) {
		struct figure *f = &figures[i][system][measure];
		bool boot = strcmp(rows[i].program, "boot") == 0;
		unsigned times = measure == COUNT ? COUNT_RUNS : boot ? run.repeat : 1;

		for (unsigned k = 0; k < times && measured_on(i, system) && !f->failed; k++) {
			if (k > 0 && f->count == 0)
				break; /* null, with a reason */
			progress("%s, %s: %s", system_names[system], measure_names[measure],
				 rows[i].name);
			row_run(i, system, measure);
		}
		figure_finish(f);
	}
}

bool
kvm_works(void)
{
	const struct row boot = {.name = "boot", .program = "boot"};
	int64_t deadline = now_ms() + KVM_MS;
	bool late, works = false;
	const char *line;
	struct guest g;

	start(&g, UNMODIFIED, &boot, TIME);
	while (!works && (line = guest_line(&g, deadline, &late)))
		works = strcmp(line, "@boot") == 0;
	guest_end(&g);
	lines_free(&g.lines);
	return works;
}
