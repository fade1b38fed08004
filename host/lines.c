/* SPDX-License-Identifier: MIT */
/*
 * The last lines of a log.  The log is the guest's: what is shown of it contains no control
 * characters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exo.h"

#define LINE_MOST 400u
#define RING      (sizeof(((struct lines *)0)->ring) / sizeof(char *))

static void
line_end(struct lines *lines)
{
	char **slot = &lines->ring[lines->count % RING];

	free(*slot);
	text_add(&lines->partial, "", 0);
	*slot = lines->partial.bytes;
	lines->partial = (struct text){0};
	lines->count++;
}

void
lines_add(struct lines *lines, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '\n')
			line_end(lines);
		else if (lines->partial.count < LINE_MOST && byte != '\r')
			text_add(&lines->partial,
				 byte == '\t' || (byte >= ' ' && byte != 127) ? bytes + i : "?", 1);
	}
}

void
lines_show(const struct lines *lines, size_t last, const char *from, const struct names *names)
{
	size_t oldest = lines->count > RING ? lines->count - RING : 0;
	size_t start = lines->count > last ? lines->count - last : 0;

	if (start < oldest)
		start = oldest;
	/* A report that begins earlier is shown from its beginning. */
	for (size_t i = start; from && i > oldest; i--)
		if (strstr(lines->ring[(i - 1) % RING], from))
			start = i - 1;
	for (size_t i = start; i < lines->count; i++) {
		struct text words = {0};

		if (names)
			names_add(names, lines->ring[i % RING], &words);
		fprintf(stderr, "  | %s%s\n", lines->ring[i % RING],
			words.count ? words.bytes : "");
		free(words.bytes);
	}
	if (lines->partial.count > 0)
		fprintf(stderr, "  | %s\n", lines->partial.bytes);
}
