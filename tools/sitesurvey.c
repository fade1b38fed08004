/* SPDX-License-Identifier: MIT */
/*
 * Counts, for static programs, which of their `syscall` sites the rewriter can turn into jumps.
 *
 * usage: sitesurvey [-v] [-a] file...
 *   -v  a line per site
 *   -a  without the shape AFTER
 *
 * Sites are the byte pairs 0f 05 in executable segments that the decoder finds plausible to be
 * instructions; pairs inside other instructions are counted apart. The number in rax is not
 * known here: the immediate before the site is believed. Plans are carried out on a copy, in the
 * order of addresses, so that two sites do not get the same padding.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../exos/linux/rewrite.h"
#include "../exos/linux/rewrite_scan.h"

#define STUBS_AT 0x10000000u /* distance of the stubs from the text */
#define ENTRY_AT 0x20000000u

struct survey {
	unsigned sites;
	unsigned inside; /* byte pairs that are no instruction */
	unsigned kinds[REWRITE_KIND_COUNT];
	unsigned reasons[REWRITE_KIND_COUNT][REWRITE_REASON_COUNT];
	size_t text;
	size_t index;
	double build_ms;
	double plan_ms;
};

static bool verbose;
static unsigned without;

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static uint8_t *
file_read(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = NULL;
	long end = 0;

	if (!f || fseek(f, 0, SEEK_END) || (end = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
		perror(path);
		exit(1);
	}
	*size = (size_t)end;
	bytes = malloc(*size + 1);
	if (!bytes || fread(bytes, 1, *size, f) != *size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	return bytes;
}

static void
plan_write(const struct rewrite_plan *plan, uint8_t *live, uint64_t base)
{
	struct rewrite_step steps[REWRITE_STEP_MAX];
	unsigned count = rewrite_steps(plan, false, steps);
	unsigned i;

	for (i = 0; i < count; i++)
		memcpy(live + (steps[i].at - base), steps[i].bytes, steps[i].len);
}

static void
site_survey(const struct rewrite_view *view, uint8_t *live, size_t at, struct survey *s)
{
	struct rewrite_request request = {
		.site = view->base + at,
		.stub = view->base + STUBS_AT + (uint64_t)s->sites * REWRITE_STUB_MAX,
		.entry = view->base + ENTRY_AT,
	};
	struct rewrite_plan plan;
	double start = now_ms();
	unsigned kind;

	rewrite_plan(view, &request, &plan);
	s->plan_ms += now_ms() - start;
	if (plan.reason != REWRITE_LANDMARK && plan.kind == REWRITE_REFUSED &&
	    plan.why[REWRITE_BEFORE] == REWRITE_NO_BOUNDARY &&
	    scan_boundary(view, at, false, false) == SCAN_NONE) {
		s->inside++;
		return;
	}
	s->sites++;
	s->kinds[plan.kind]++;
	s->reasons[REWRITE_REFUSED][plan.reason]++;
	for (kind = 1; kind < REWRITE_KIND_COUNT; kind++)
		s->reasons[kind][plan.why[kind]]++;
	plan_write(&plan, live, view->base);
	if (verbose)
		printf("%llx %s (before: %s, island: %s, after: %s)\n",
		       (unsigned long long)request.site,
		       plan.kind ? rewrite_kind_name(plan.kind) : rewrite_reason_name(plan.reason),
		       rewrite_reason_name(plan.why[REWRITE_BEFORE]),
		       rewrite_reason_name(plan.why[REWRITE_ISLAND]),
		       rewrite_reason_name(plan.why[REWRITE_AFTER]));
}

static void
segment_survey(const uint8_t *text, size_t len, uint64_t base, struct survey *s)
{
	size_t room = rewrite_index_size(text, len);
	void *memory = malloc(room);
	uint8_t *live = malloc(len);
	struct rewrite_index index;
	struct rewrite_view view = {text, live, base, len, &index, NULL, 0, without};
	double start = now_ms();
	size_t at;

	if (!memory || !live || !rewrite_index_build(&index, text, len, memory, room)) {
		fprintf(stderr, "sitesurvey: no memory\n");
		exit(1);
	}
	s->build_ms += now_ms() - start;
	s->text += len;
	s->index += room;
	memcpy(live, text, len);
	for (at = 0; at + 1 < len; at++)
		if (text[at] == 0x0f && text[at + 1] == 0x05)
			site_survey(&view, live, at, s);
	free(live);
	free(memory);
}

static void
survey_print(const char *path, const struct survey *s)
{
	unsigned kind;
	unsigned reason;

	printf("%s: %u sites, %.1f%% rewritable; text %zu, index %zu bytes in %.2f ms, %.0f "
	       "us/plan\n",
	       path, s->sites, s->sites ? 100.0 - 100.0 * s->kinds[0] / s->sites : 0.0, s->text,
	       s->index, s->build_ms, s->sites ? s->plan_ms * 1e3 / s->sites : 0.0);
	for (kind = 1; kind < REWRITE_KIND_COUNT; kind++) {
		printf("  %-7s %4u ", rewrite_kind_name(kind), s->kinds[kind]);
		for (reason = REWRITE_NOT_A_SITE; reason < REWRITE_REASON_COUNT; reason++)
			if (s->reasons[kind][reason])
				printf(" %s %u", rewrite_reason_name(reason),
				       s->reasons[kind][reason]);
		printf("\n");
	}
	printf("  refused %4u ", s->kinds[0]);
	for (reason = REWRITE_UNTRIED; reason < REWRITE_REASON_COUNT; reason++)
		if (s->reasons[0][reason])
			printf(" %s %u", rewrite_reason_name(reason), s->reasons[0][reason]);
	printf("\n");
	if (s->inside)
		printf("  and %u byte pairs that no decoding reaches\n", s->inside);
}

static int
file_survey(const char *path)
{
	size_t size;
	uint8_t *file = file_read(path, &size);
	struct survey s = {0};
	Elf64_Ehdr header;
	unsigned i;

	if (size < sizeof(header) || memcmp(file, ELFMAG, SELFMAG) ||
	    file[EI_CLASS] != ELFCLASS64) {
		fprintf(stderr, "%s: not a 64-bit ELF file\n", path);
		free(file);
		return 1;
	}
	memcpy(&header, file, sizeof(header));
	for (i = 0; i < header.e_phnum; i++) {
		uint64_t at = header.e_phoff + (uint64_t)i * sizeof(Elf64_Phdr);
		Elf64_Phdr segment;

		if (header.e_phoff > size || at > size - sizeof(segment))
			break;
		memcpy(&segment, file + at, sizeof(segment));
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) ||
		    segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
			continue;
		segment_survey(file + segment.p_offset, (size_t)segment.p_filesz, segment.p_vaddr,
			       &s);
	}
	survey_print(path, &s);
	free(file);
	return 0;
}

int
main(int argc, char **argv)
{
	int failed = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "-a"))
			without |= 1u << REWRITE_AFTER;
		else
			failed |= file_survey(argv[i]);
	}
	return failed;
}
