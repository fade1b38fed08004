/* SPDX-License-Identifier: MIT */
/*
 * Debian's cloud kernel in the same machine that ./exo makes: one guest runs all rows, one after the other.
 * When it dies or is late at a row, that row has its reason, and another guest goes on with the next.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "linux.h"

#define BOOT_FACTOR 5 /* of the deadline for a row */

struct job {
	size_t row, first, last; /* lines of its output */
	unsigned section;        /* of the plugin's file */
	int status;
	bool begun, finished;
};

void
linux_fetch(void)
{
	FILE *in = popen("bench/linux/fetch", "r");
	int status;

	if (!in)
		die("bench/linux/fetch: %s", strerror(errno));
	if (!fgets(run.kernel, sizeof(run.kernel), in) ||
	    !fgets(run.module, sizeof(run.module), in))
		run.kernel[0] = 0;
	status = pclose(in);
	run.kernel[strcspn(run.kernel, "\n")] = 0;
	run.module[strcspn(run.module, "\n")] = 0;
	if (status != 0 || !run.kernel[0])
		exit(1); /* it has said why */
}

void
linux_start(struct guest *g, const char *archive, enum measure measure, const char *plugin,
	    bool mitigations_off)
{
	const char *qemu = getenv("EXO_QEMU");

	guest_start(
		g,
		"%s|-M|q35|-accel|%s|-cpu|max|-nodefaults|-no-user-config|-display|none|-no-reboot"
		"|-smp|1|-m|" MEMORY "|-chardev|stdio,id=log,signal=off|-serial|chardev:log"
		"|-device|virtio-serial-pci,max_ports=1|-chardev|null,id=channel"
		"|-device|virtconsole,chardev=channel|-device|isa-debug-exit,iobase=0x501,iosize=2"
		"|-kernel|%s|-initrd|%s|-append|console=ttyS0 quiet panic=-1%s%s%s%s",
		qemu && *qemu ? qemu : "qemu-system-x86_64",
		plugin_used(measure) ? "tcg,thread=single" : "kvm", run.kernel, archive,
		mitigations_off ? " mitigations=off" : "",
		measure == COUNT ? "|-icount|shift=0,sleep=off|-rtc|clock=vm" : "",
		plugin[0] ? "|-plugin|" : "", plugin);
}

static void
start(struct guest *g, enum system system, enum measure measure)
{
	plugin_prepare(system);
	linux_start(g, path_of(system, "cpio"), measure, plugin_words(system, measure),
		    system == LINUX_OFF);
}

bool
linux_boot_await(struct guest *g)
{
	int64_t deadline = now_ms() + run.deadline * BOOT_FACTOR * 1000ll;
	const char *line;
	bool late;

	while ((line = guest_line(g, deadline, &late)))
		if (strcmp(line, "@boot") == 0)
			return true;
	return false;
}

/* Reads until all jobs are finished or the guest is gone; the number of jobs that are over. */
static size_t
follow(struct guest *g, struct job *jobs, size_t count, enum system system, enum measure measure,
       bool *late)
{
	int64_t deadline = now_ms() + run.deadline * 1000ll;
	unsigned sections = 0;
	size_t at = 0;
	const char *line;

	while (at < count && (line = guest_line(g, deadline, late))) {
		struct job *j = &jobs[at];

		if (strncmp(line, "@begin ", 7) == 0) {
			j->begun = true;
			j->first = g->lines.count;
			deadline = now_ms() + run.deadline * 1000ll;
			progress("%s, %s: %s", system_names[system], measure_names[measure],
				 rows[j->row].name);
		} else if (strncmp(line, "@row ", 5) == 0) {
			j->section = sections++;
		} else if (sscanf(line, "@exit %d", &j->status) == 1) {
			j->last = g->lines.count - 1;
			j->finished = true;
			at++;
		}
	}
	return at;
}

static void
jobs_take(struct guest *g, struct job *jobs, size_t count, enum system system, enum measure measure)
{
	for (size_t i = 0; i < count; i++) {
		struct job *j = &jobs[i];
		struct figure *f = &figures[j->row][system][measure];

		sample_take(f, g->lines.line + j->first, j->last - j->first, measure,
			    path_of(system, "counts"), j->section);
		if (j->status > 128)
			figure_fail(f, "the program was ended by signal %d", j->status - 128);
	}
}

/* One guest; the number of jobs that are over, at least one. */
static size_t
guest_run(struct job *jobs, size_t count, enum system system, enum measure measure)
{
	char *list = NULL, why[WHY_SIZE];
	size_t size, over = 0;
	FILE *text = open_memstream(&list, &size);
	struct guest g;
	bool late = false, booted;
	int status;

	for (size_t i = 0; text && i < count; i++)
		fprintf(text, "%s /bench/%s %s %s %u\n", rows[jobs[i].row].name,
			rows[jobs[i].row].program, rows[jobs[i].row].name,
			measure == COUNT ? COUNT_NS : TIME_NS, measure == COUNT ? 1 : run.repeat);
	if (!text || fclose(text) != 0)
		die("no memory");
	archive_write(path_of(system, "cpio"), list, ARCHIVE_ROWS);
	free(list);
	start(&g, system, measure);
	booted = linux_boot_await(&g);
	if (booted)
		over = follow(&g, jobs, count, system, measure, &late);
	if (over == count)
		guest_line(&g, now_ms() + 20000, &late); /* it switches the machine off */
	status = guest_end(&g);
	jobs_take(&g, jobs, over, system, measure);
	guest_reason(&g, status, why, sizeof(why));
	if (!booted) {
		for (; over < count; over++)
			figure_fail(&figures[jobs[over].row][system][measure],
				    "Linux did not reach its first program within %u s; %s",
				    run.deadline * BOOT_FACTOR, why);
	} else if (over < count) {
		if (late)
			snprintf(why, sizeof(why), "not finished within %u s", run.deadline);
		figure_fail(&figures[jobs[over++].row][system][measure], "%s", why);
	}
	lines_free(&g.lines);
	return over;
}

static void
boot_measure(size_t row, enum system system, enum measure measure)
{
	struct figure *f = &figures[row][system][measure];
	unsigned boots = measure == COUNT ? COUNT_RUNS : run.repeat;

	archive_write(path_of(system, "cpio"), "", ARCHIVE_INIT);
	for (unsigned i = 0; i < boots && !f->failed; i++) {
		struct guest g;
		int64_t begun = now_ms();
		bool booted;

		progress("%s, %s: %s", system_names[system], measure_names[measure],
			 rows[row].name);
		start(&g, system, measure);
		booted = linux_boot_await(&g);
		begun = now_ms() - begun;
		guest_end(&g);
		lines_free(&g.lines);
		if (!booted ||
		    (plugin_used(measure) && !sample_boot(f, measure, path_of(system, "counts"))))
			figure_fail(f, "Linux did not reach its first program");
		else if (!plugin_used(measure))
			figure_add(f, (double)begun * 1000);
	}
}

void
linux_measure(enum system system, enum measure measure)
{
	struct job jobs[MAX_ROWS * COUNT_RUNS], *at = jobs;
	size_t count = 0;

	memset(jobs, 0, sizeof(jobs));
	for (unsigned times = 0; times < (measure == COUNT ? COUNT_RUNS : 1); times++) {
		for (size_t i = 0; i < row_count; i++) {
			if (measured_on(i, system) && strcmp(rows[i].program, "boot") != 0)
				jobs[count++].row = i;
		}
	}
	while (count > 0) {
		size_t over = guest_run(at, count, system, measure);

		at += over;
		count -= over;
	}
	for (size_t i = 0; i < row_count; i++) {
		if (measured_on(i, system) && strcmp(rows[i].program, "boot") == 0)
			boot_measure(i, system, measure);
		figure_finish(&figures[i][system][measure]);
	}
}
