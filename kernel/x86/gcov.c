/* SPDX-License-Identifier: MIT */
/*
 * Coverage, printed into the log when the machine ends (kernels built with GCOV=1).
 *
 * Each object's counters come as a line "gcda FILE" and lines "gcda+ HEX"; tools/gcda makes files
 * of them, for gcov and lcov.  The format is libgcov's own, whose freestanding part is linked in.
 */
#include "x86.h"

#define BYTES 64u

struct gcov_info;
extern const struct gcov_info *const gcov_info_begin[], *const gcov_info_end[];
void __gcov_info_to_gcda(const struct gcov_info *info, void (*name)(const char *, void *),
			 void (*dump)(const void *, unsigned, void *),
			 void *(*allocate)(unsigned, void *), void *context);
void gcov_print(void); /* power.c calls it where it is linked in */

static uint8_t line[BYTES];
static uint32_t filled;

static void
line_flush(void)
{
	char text[2 * BYTES + 1];

	if (!filled)
		return;
	for (uint32_t i = 0; i < filled; i++)
		print_to(text + 2 * i, 3, "%02x", line[i]);
	log_print("gcda+ %s\n", text);
	filled = 0;
}

static void
name_print(const char *name, void *context)
{
	(void)context;
	line_flush();
	log_print("gcda %s\n", name);
}

static void
bytes_print(const void *bytes, unsigned n, void *context)
{
	(void)context;
	for (unsigned i = 0; i < n; i++) {
		line[filled++] = ((const uint8_t *)bytes)[i];
		if (filled == BYTES)
			line_flush();
	}
}

/* Only for counters of kinds that the kernel is not built with. */
static void *
nothing_allocate(unsigned n, void *context)
{
	(void)n;
	(void)context;
	return NULL;
}

void
gcov_print(void)
{
	for (const struct gcov_info *const *i = gcov_info_begin; i < gcov_info_end; i++)
		__gcov_info_to_gcda(*i, name_print, bytes_print, nothing_allocate, NULL);
	line_flush();
}

/* libgcov refers to these: on corrupt counters, and for kinds of counters that are not used here.
 */
_Noreturn void abort(void);
void
abort(void)
{
	machine_panic("gcov: abort", NULL);
}

void *mmap(void *at, size_t n, int protection, int flags, int file, long offset);
void *
mmap(void *at, size_t n, int protection, int flags, int file, long offset)
{
	(void)at;
	(void)n;
	(void)protection;
	(void)flags;
	(void)file;
	(void)offset;
	return (void *)-1l;
}

void __gcov_merge_add(int64_t *to, unsigned n);
void
__gcov_merge_add(int64_t *to, unsigned n)
{
	(void)to;
	(void)n;
}
