/* SPDX-License-Identifier: MIT */
/* Options, the table of rows, and the order of the run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

#define ROW(name, program, columns, unit, paper, mark, limit, what) \
	{#name, program, columns, unit, paper, mark, limit, what},
const struct row rows[] = {
#include "../rows.def"
};
#undef ROW
const size_t row_count = sizeof(rows) / sizeof(rows[0]);
_Static_assert(sizeof(rows) / sizeof(rows[0]) <= MAX_ROWS, "more rows than the tables have");

struct run run = {.repeat = 5, .deadline = 120, .measures = {true, true}};
struct figure (*figures)[SYSTEMS][MEASURES];
const char *const system_names[SYSTEMS] = {"linux", "linux, mitigations=off", "unmodified on exos",
					   "exos"};
const char *const measure_names[MEASURES] = {"instructions", "time"};

static const char usage[] =
	"usage: bench/run [OPTIONS]\n"
	"Measures ExOS and Debian's Linux in the same machine, QEMU with one processor, and prints "
	"tables.\n\n"
	"  --only NAME       this row or experiment, or all whose names begin with NAME_; may "
	"repeat\n"
	"  --repeat N        measurements of time for each row, at least 5 (default 5)\n"
	"  --measure WHAT    icount or time instead of both\n"
	"  --json FILE       write the results there too; - is standard output, and the tables "
	"then go to\n"
	"                    standard error\n"
	"  --svg FILE        draw the rows that both systems have\n"
	"  --no-linux        ExOS only\n"
	"  --kvm, --tcg      how time is measured: with KVM if a machine boots with it (whole runs "
	"do that by\n"
	"                    themselves), never with KVM\n"
	"  --deadline N      give a row up after N seconds (default 120)\n"
	"  --keep            keep results of a whole run in bench/results and docs/bench.svg\n"
	"  --list            print the names of the rows\n"
	"  --help            this\n\n"
	"A whole run writes build/bench/results.json, detail.json (with what was counted beside "
	"instructions),\n"
	"bench.svg and sched.svg.  Exit status: 0 all chosen rows were measured or cannot be on a "
	"system; 3 "
	"some row\n"
	"failed, its reason is below the tables; 1 the run could not go on; 2 wrong options.\n";

void
die(const char *format, ...)
{
	va_list list;

	fprintf(stderr, "bench: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	exit(1);
}

static _Noreturn void
wrong(const char *format, const char *word)
{
	fprintf(stderr, "bench: ");
	fprintf(stderr, format, word);
	fprintf(stderr, "; see bench/run --help\n");
	exit(2);
}

void
progress(const char *format, ...)
{
	static time_t begun;
	bool terminal = isatty(2);
	va_list list;
	long s;

	if (!begun)
		begun = time(NULL);
	s = (long)(time(NULL) - begun);
	fprintf(stderr, terminal ? "\r\033[K%2ld:%02ld " : "%2ld:%02ld ", s / 60, s % 60);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	if (!terminal)
		fputc('\n', stderr);
}

bool
measured_on(size_t row, enum system system)
{
	static const char letters[SYSTEMS] = {'L', 'L', 'U', 'N'};

	return run.chosen[row] && strchr(rows[row].columns, letters[system]);
}

const char *
path_of(enum system system, const char *ending)
{
	static const char *const names[SYSTEMS] = {"linux", "linux-off", "unmodified", "exos"};
	static char path[4][64];
	static unsigned next;
	char *at = path[next++ % 4];

	snprintf(at, sizeof(path[0]), OUT "/%s.%s", names[system], ending);
	return at;
}

/* The row or experiment of this name; otherwise all whose names begin with it and a _. */
static void
choose(const char *name)
{
	size_t length = strlen(name);
	bool found = false;

	for (int whole = 1; whole >= 0 && !found; whole--) {
		for (size_t i = 0; i < row_count + experiment_count; i++) {
			bool row = i < row_count;
			const char *of = row ? rows[i].name : experiments[i - row_count].name;

			if (strncmp(of, name, length) != 0 || of[length] != (whole ? 0 : '_'))
				continue;
			found = true;
			*(row ? &run.chosen[i] : &run.experiment[i - row_count]) = true;
		}
	}
	if (!found)
		wrong("there is no row %s (--list)", name);
}

static unsigned
number(const char *option, const char *text, unsigned least)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value < least || value > 10000)
		wrong("%s wants a number in its range", option);
	return (unsigned)value;
}

/* An option without an argument; false: it is another. */
static bool
option_plain(const char *word)
{
	if (strcmp(word, "--help") == 0) {
		fputs(usage, stdout);
		exit(0);
	}
	if (strcmp(word, "--list") == 0) {
		for (size_t i = 0; i < row_count; i++)
			puts(rows[i].name);
		for (size_t i = 0; i < experiment_count; i++)
			puts(experiments[i].name);
		exit(0);
	}
	if (strcmp(word, "--no-linux") == 0)
		run.no_linux = true;
	else if (strcmp(word, "--kvm") == 0 || strcmp(word, "--tcg") == 0)
		run.kvm = word[2] == 'k', run.tcg = !run.kvm;
	else if (strcmp(word, "--keep") == 0)
		run.keep = true;
	else
		return false;
	return true;
}

static void
option_with(const char *word, const char *value)
{
	if (strcmp(word, "--only") == 0) {
		run.all = false;
		choose(value);
	} else if (strcmp(word, "--repeat") == 0) {
		run.repeat = number(word, value, 5);
		if (run.repeat > MAX_VALUES)
			wrong("%s wants a number in its range", word);
	} else if (strcmp(word, "--deadline") == 0) {
		run.deadline = number(word, value, 1);
	} else if (strcmp(word, "--json") == 0) {
		run.json = value;
	} else if (strcmp(word, "--svg") == 0) {
		run.svg = value;
	} else if (strcmp(value, "icount") == 0 || strcmp(value, "time") == 0) {
		run.measures[COUNT] = value[0] == 'i';
		run.measures[TIME] = value[0] == 't';
	} else {
		wrong("%s is no measure", value);
	}
}

static void
options(int argc, char **argv)
{
	static const char *const with[] = {"--only", "--repeat",  "--deadline", "--json",
					   "--svg",  "--measure", NULL};

	run.all = true;
	for (int i = 1; i < argc; i++) {
		const char *const *w = with;

		if (option_plain(argv[i]))
			continue;
		while (*w && strcmp(*w, argv[i]) != 0)
			w++;
		if (!*w)
			wrong("%s is not an option", argv[i]);
		if (i + 1 == argc)
			wrong("%s wants an argument", argv[i]);
		option_with(argv[i], argv[i + 1]);
		i++;
	}
	for (size_t i = 0; i < row_count && run.all; i++)
		run.chosen[i] = true;
	for (size_t i = 0; i < experiment_count && run.all; i++)
		run.experiment[i] = true;
	if (run.keep && (!run.all || run.no_linux || !run.measures[COUNT] || !run.measures[TIME]))
		wrong("%s is for whole runs", "--keep");
}

/* Runs in one tree would write each other's files. */
static void
only_one(void)
{
	int fd = open(OUT "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s: %s", OUT "/lock", strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		die("another run is going on in this tree");
}

static void
write_file(const char *path, void (*writer)(FILE *))
{
	FILE *out = fopen(path, "w");

	if (!out)
		die("%s: %s", path, strerror(errno));
	writer(out);
	if (fflush(out) != 0 || ferror(out))
		die("%s: %s", path, strerror(errno));
	fclose(out);
}

static void
keep(void)
{
	char path[64];
	time_t now = time(NULL);

	strftime(path, sizeof(path), "bench/results/%Y-%m-%d.json", gmtime(&now));
	mkdir("bench/results", 0755);
	write_file(path, json_results);
	strftime(path, sizeof(path), "bench/results/%Y-%m-%d-detail.json", gmtime(&now));
	write_file(path, json_detail);
	strftime(path, sizeof(path), "bench/results/%Y-%m-%d.txt", gmtime(&now));
	write_file(path, report_tables);
	write_file("docs/bench.svg", svg_write);
	if (sched_have())
		write_file("docs/sched.svg", sched_svg_write);
}

static void
exos_unmodified(enum measure measure)
{
	exos_measure(UNMODIFIED, measure);
}

static void
exos_native(enum measure measure)
{
	exos_measure(NATIVE, measure);
}

static void
linux_shipped(enum measure measure)
{
	linux_measure(LINUX, measure);
}

static void
linux_off(enum measure measure)
{
	linux_measure(LINUX_OFF, measure);
}

static void
examples_run(enum measure measure)
{
	if (measure == COUNT)
		experiments_run();
}

/* Instruction counts do not suffer from company: all systems at once.  Time is measured one system after the other. */
static void
measure_all(void)
{
	void (*const parts[])(enum measure) = {examples_run, exos_unmodified, exos_native,
					       linux_shipped, linux_off};
	unsigned count = run.no_linux ? 3 : 5;
	int status, failures = 0;

	for (unsigned i = 0; i < count && run.measures[COUNT]; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			parts[i](COUNT);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		failures += status != 0;
	if (failures)
		die("the instructions could not be counted");
	for (unsigned i = 0; i < count && run.measures[TIME]; i++)
		parts[i](TIME);
	for (size_t i = 0; i < row_count; i++) {
		if (strchr(rows[i].columns, 'S'))
			memcpy(figures[i][NATIVE], figures[i][UNMODIFIED],
			       sizeof(figures[i][NATIVE]));
	}
}

/* A device that opens proves nothing: a machine must have booted. */
static void
kvm_decide(void)
{
	bool whole = run.all && !run.no_linux && !run.tcg;

	run.kvm = run.measures[TIME] && (run.kvm || whole) && access("/dev/kvm", R_OK | W_OK) == 0;
	if (!run.kvm)
		return;
	run.kvm = kvm_works();
	progress(run.kvm ? "KVM works: time is real"
			 : "there is a KVM, but no machine boots with it in time; time is measured "
			   "with TCG");
}

int
main(int argc, char **argv)
{
	bool to_output, failed = false;

	options(argc, argv);
	figures = mmap(NULL, MAX_ROWS * sizeof(*figures), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	findings = mmap(NULL, MAX_EXPERIMENTS * sizeof(*findings), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (figures == MAP_FAILED || findings == MAP_FAILED)
		die("no memory");
	only_one();
	tree_note();
	sample_clock();
	if (getloadavg(&run.load, 1) != 1)
		run.load = 0;
	if (!run.no_linux)
		linux_fetch();
	progress("begins");
	kvm_decide();
	measure_all();
	progress("done");
	if (isatty(2))
		fputc('\n', stderr);
	to_output = run.json && strcmp(run.json, "-") == 0;
	report_tables(to_output ? stderr : stdout);
	if (to_output)
		json_results(stdout);
	else if (run.json)
		write_file(run.json, json_results);
	if (run.svg)
		write_file(run.svg, svg_write);
	if (sched_have())
		write_file(OUT "/sched.svg", sched_svg_write);
	if (run.all && !run.no_linux && run.measures[COUNT] && run.measures[TIME]) {
		write_file(OUT "/results.json", json_results);
		write_file(OUT "/detail.json", json_detail);
		write_file(OUT "/bench.svg", svg_write);
	}
	if (run.keep)
		keep();
	for (size_t i = 0; i < row_count; i++)
		for (int k = 0; k < SYSTEMS * MEASURES; k++)
			failed = failed || figures[i][k / MEASURES][k % MEASURES].failed;
	for (size_t i = 0; i < experiment_count; i++)
		failed = failed || findings[i][LINUX].failed || findings[i][NATIVE].failed;
	return failed ? 3 : 0;
}
