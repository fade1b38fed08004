/* SPDX-License-Identifier: MIT */
/*
 * The runner: starts guests, collects what the benchmark programs print and the plugin counts, and reports.
 *
 *  1. A figure exists only if every step of its measurement was seen; otherwise it has a reason.
 *  2. A guest that dies or does not end in time costs the row it was at, and nothing else.
 *  3. All systems are measured by the same programs, loops, markers and arithmetic.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../counters.h"

#define MEMORY          "512M"
#define OUT             "build/bench"
#define MAX_ROWS        128
#define MAX_VALUES      64
#define MAX_EXPERIMENTS 16
#define TEXT_SIZE       65536
#define WHY_SIZE        200
/* How long a loop takes at least; under -icount nanoseconds are instructions.  Long enough for several ticks of the
 * guest's timer, so that one more or less is not seen. */
#define COUNT_NS   "20000000"
#define TIME_NS    "100000000"
#define COUNT_RUNS 2u

enum system { LINUX, LINUX_OFF, UNMODIFIED, NATIVE, SYSTEMS };
enum measure { COUNT, TIME, MEASURES };
enum mark { NONE, MOST, FACTOR };

struct row {
	const char *name, *program, *columns, *unit;
	double paper;
	enum mark mark;
	double limit;
	const char *what;
};

struct experiment {
	const char *name, *program, *arguments, *columns, *what;
};

struct finding { /* of an experiment on a system */
	bool have, failed;
	char why[WHY_SIZE];
	char text[TEXT_SIZE]; /* what it printed */
	size_t length;
};

struct figure {
	bool have;
	double value, spread; /* median; (largest - least) / median */
	double empty;         /* of the loop without the operation, which has been subtracted */
	double event[COUNTERS];
	unsigned count; /* of values */
	double values[MAX_VALUES];
	bool failed; /* as opposed to null */
	char why[WHY_SIZE];
};

struct run { /* what was asked for */
	bool chosen[MAX_ROWS], experiment[MAX_EXPERIMENTS];
	bool all, no_linux, keep, kvm, tcg, measures[MEASURES];
	unsigned repeat, deadline;
	double load; /* of the host at the start */
	const char *json, *svg;
	char kernel[512], module[512]; /* of Linux; for memory disks */
	char tree[64];                 /* the commit */
};

struct lines { /* of a guest's output */
	char **line;
	size_t count;
};

extern const struct row rows[];
extern const size_t row_count;
extern const struct experiment experiments[];
extern const size_t experiment_count;
extern struct run run;
extern struct figure (*figures)[SYSTEMS][MEASURES]; /* MAX_ROWS; shared with children */
extern struct finding (*findings)[SYSTEMS];         /* MAX_EXPERIMENTS; the same */
extern const char *const system_names[SYSTEMS], *const measure_names[MEASURES];

/* ---- main.c ---- */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- guest.c: a child process, its lines, its deadline ---- */
struct guest {
	pid_t pid;
	int fd;
	char part[4096]; /* of a line */
	size_t have;
	bool closed;
	struct lines lines;
};
/* A command, its words apart by |. */
void guest_start(struct guest *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The next line (kept in g->lines); NULL: the guest ended, or, with *late, the deadline passed. */
const char *guest_line(struct guest *g, int64_t deadline_ms, bool *late);
int guest_end(struct guest *g); /* kills what still runs; the wait status */
void lines_free(struct lines *lines);
int64_t now_ms(void);
bool measured_on(size_t row, enum system system);
/* Of build/bench, a file of this system's own. */
const char *path_of(enum system system, const char *ending);
void figure_fail(struct figure *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What ended a guest, for a reason: its status, and its last line that was not ours. */
void guest_reason(const struct guest *g, int status, char *why, size_t size);

/* ---- sample.c: lines and counts become values ---- */
void sample_clock(void); /* starts to learn the rate of the host's time-stamp counter */
double sample_ticks_per_us(void);
/* `lines` are those of one program; `counts` is the plugin's file, `section` the program's start in it. */
void sample_take(struct figure *f, char *const *line, size_t count, enum measure measure,
		 const char *counts, unsigned section);
bool plugin_used(enum measure measure);  /* not with KVM */
void plugin_prepare(enum system system); /* its file is gone */
const char *plugin_words(enum system system,
			 enum measure measure); /* of QEMU's -plugin; may be empty */
bool sample_boot(struct figure *f, enum measure measure,
		 const char *counts); /* the plugin's line about it */
void figure_add(struct figure *f, double value);
void figure_finish(struct figure *f);

/* ---- linux.c, exos.c: all chosen rows on one system ---- */
void linux_fetch(void);
void linux_measure(enum system system, enum measure measure);
void exos_measure(enum system system, enum measure measure);
bool kvm_works(void);

/* ---- experiments.c ---- */
bool experiment_on(size_t experiment, enum system system);
void experiments_run(void);
/* The next line of what was printed, *at is where; false: no more. */
bool finding_next(const struct finding *f, size_t *at, char *line, size_t size);
bool finding_value(const char *line); /* name and value, and not for a picture only */

/* ---- report.c, json.c, svg.c ---- */
const struct figure *figure_linux(size_t row, enum measure measure); /* the faster; NULL: none */
const struct figure *figure_exos(size_t row, enum measure measure);
double figure_ratio(size_t row, enum measure measure); /* 0: none */
void report_tables(FILE *out);
void tree_note(void);
const char *machine_name(void); /* the host's processor */
void json_results(FILE *out);
void json_detail(FILE *out);
void svg_write(FILE *out);
bool sched_have(void);
void sched_svg_write(FILE *out);

#endif
