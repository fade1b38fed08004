/* SPDX-License-Identifier: MIT */
/*
 * From lines to figures.
 *
 *  1. value = (loop with the operation - loop without) / calls / operations in a call.  Under TCG both loops are
 *     what the plugin says between the markers: instructions, or nanoseconds of the emulated processor's thread.
 *     Events are treated the same way.  Where the processor was never halted, instructions are what the guest's
 *     time-stamp counter says, which under -icount counts them; the plugin counts one that faults twice.
 *  2. Under KVM there is no plugin, and time is the guest's time-stamp counter, which runs at the host's rate on a host
 *     whose counter is invariant; the rate is learned here by the host's clock.
 *  3. A figure is the median of its values; its spread is (largest - least) / median; its events are those of the
 *     last value.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runner.h"

static uint64_t ticks_begun, ns_begun;

static uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void
sample_clock(void)
{
	ns_begun = clock_ns();
	ticks_begun = __builtin_ia32_rdtsc();
}

double
sample_ticks_per_us(void)
{
	struct timespec rest = {.tv_nsec = 200000000};

	if (clock_ns() - ns_begun < 1000000000)
		nanosleep(&rest, NULL);
	return (double)(__builtin_ia32_rdtsc() - ticks_begun) * 1000 /
	       (double)(clock_ns() - ns_begun);
}

bool
plugin_used(enum measure measure)
{
	return measure == COUNT || !run.kvm;
}

void
plugin_prepare(enum system system)
{
	remove(path_of(system, "counts"));
}

const char *
plugin_words(enum system system, enum measure measure)
{
	static char words[256];

	words[0] = 0;
	if (plugin_used(measure))
		snprintf(words, sizeof(words), OUT "/plugin.so,out=%s%s", path_of(system, "counts"),
			 measure == TIME ? ",mode=time" : "");
	return words;
}

static bool
counts_parse(const char *line, const char *kind, double *count)
{
	size_t length = strlen(kind);

	if (strncmp(line, kind, length) != 0 || line[length] != ' ')
		return false;
	line += length;
	for (int i = 0; i < COUNTERS; i++) {
		char *end;

		count[i] = strtod(line, &end);
		if (end == line)
			return false;
		line = end;
	}
	return true;
}

/* Record `number` of section `section` (both from 0); false: it is not there. */
static bool
counts_read(const char *path, unsigned section, unsigned number, double *count)
{
	FILE *in = fopen(path, "r");
	char line[512];
	double parsed[COUNTERS];
	unsigned starts = 0, records = 0;
	bool found = false;

	while (in && !found && fgets(line, sizeof(line), in)) {
		if (counts_parse(line, "start", parsed)) {
			starts++;
			records = 0;
		} else if (counts_parse(line, "record", parsed) && starts == section + 1 &&
			   records++ == number) {
			memcpy(count, parsed, sizeof(parsed));
			found = true;
		}
	}
	if (in)
		fclose(in);
	return found;
}

/* What a loop took; false: the plugin's record is missing. */
static bool
loop_read(enum measure measure, const char *counts, unsigned section, unsigned record,
	  unsigned long ticks, double *count)
{
	count[INSNS] = (double)ticks;
	if (!plugin_used(measure))
		return true;
	if (!counts_read(counts, section, record, count))
		return false;
	if (measure == COUNT && count[HALTS] == 0)
		count[INSNS] = (double)ticks;
	return true;
}

void
figure_add(struct figure *f, double value)
{
	if (f->count < MAX_VALUES)
		f->values[f->count++] = value;
}

static void
value_add(struct figure *f, const double *empty, const double *full, double operations,
	  double scale)
{
	for (int i = 0; i < COUNTERS; i++)
		f->event[i] = (full[i] - empty[i]) / operations;
	f->empty = empty[INSNS] / operations / scale;
	figure_add(f, f->event[INSNS] / scale);
}

void
sample_take(struct figure *f, char *const *line, size_t count, enum measure measure,
	    const char *counts, unsigned section)
{
	double empty[COUNTERS] = {0}, full[COUNTERS] = {0}, scale = 1;
	unsigned per = 1, record = 1;
	bool done = false, have_empty = false;
	unsigned long calls, ticks;

	if (measure == TIME)
		scale = plugin_used(measure) ? 1000 : sample_ticks_per_us();
	for (size_t i = 0; i < count; i++) {
		if (sscanf(line[i], "@row %*s %u", &per) == 1)
			continue;
		if (strncmp(line[i], "@null ", 6) == 0) {
			snprintf(f->why, sizeof(f->why), "%s", line[i] + 6);
			return;
		}
		if (strncmp(line[i], "@fail ", 6) == 0) {
			figure_fail(f, "%s", line[i] + 6);
			return;
		}
		if (sscanf(line[i], "@empty %lu %lu", &calls, &ticks) == 2)
			have_empty = loop_read(measure, counts, section, record++, ticks, empty);
		else if (sscanf(line[i], "@rep %lu %lu", &calls, &ticks) == 2 && have_empty &&
			 loop_read(measure, counts, section, record++, ticks, full))
			value_add(f, empty, full, (double)calls * per, scale);
		done = done || strcmp(line[i], "@done") == 0;
	}
	if (!done)
		figure_fail(f, "the program ended before it had measured");
}

bool
sample_boot(struct figure *f, enum measure measure, const char *counts)
{
	FILE *in = fopen(counts, "r");
	char line[512];
	bool found = false;

	while (in && !found && fgets(line, sizeof(line), in))
		found = counts_parse(line, "boot", f->event);
	if (in)
		fclose(in);
	if (found)
		figure_add(f, f->event[INSNS] / (measure == TIME ? 1000 : 1));
	return found;
}

static int
value_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void
figure_finish(struct figure *f)
{
	unsigned n = f->count;

	if (f->failed || n == 0)
		return;
	qsort(f->values, n, sizeof(f->values[0]), value_order);
	f->value = n % 2 ? f->values[n / 2] : (f->values[n / 2 - 1] + f->values[n / 2]) / 2;
	f->spread = f->value > 0 ? (f->values[n - 1] - f->values[0]) / f->value : 0;
	f->have = f->value > 0;
	if (!f->have)
		figure_fail(f, "the loop was not slower than the empty one");
}
