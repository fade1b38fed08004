/* SPDX-License-Identifier: MIT */
/*
 * The boot archive as far as the supervisor reads it: it looks for the member boot/manifest, and
 * keeps the manifest mapped.
 *
 * The archive is untrusted: every field is checked, sums are of 32-bit fields in 64 bits, and no
 * byte outside the archive is read.  It may be larger than what one wants to map, so headers are
 * read through a window of a few pages.
 */
#include <host/manifest.h>
#include "../core/priv.h"
#include "../linux/errno.h"
#include "priv.h"

#define HEADER_SIZE  110u
#define WINDOW_PAGES 16u
#define NAME         "boot/manifest"

struct window {
	struct super *s;
	const uint8_t *at;
	uint64_t first; /* page of the archive at `at` */
	uint32_t pages;
};

/* Maps pages of the archive; NULL: they are not all inside, or no memory. */
static void *
pages_map(struct super *s, uint64_t first, uint64_t n)
{
	uint64_t pages = (s->boot->archive_bytes + AEGIS_PAGE - 1) / AEGIS_PAGE;

	if (n == 0 || n > sizeof(s->scratch) / sizeof(s->scratch[0]) || first >= pages ||
	    n > pages - first)
		return NULL;
	for (uint64_t i = 0; i < n; i++)
		s->scratch[i] = s->boot->archive_frame + (uint32_t)(first + i);
	return core_arena_map(s->scratch, (uint32_t)n, AEGIS_BIND_READ);
}

static void
window_close(struct window *w)
{
	if (w->at)
		core_arena_unmap((void *)(uint64_t)w->at, w->pages);
	w->at = NULL;
}

/* Bytes [offset, offset + n) of the archive, n <= one page; valid until the next call. */
static const uint8_t *
window_look(struct window *w, uint64_t offset, uint64_t n)
{
	uint64_t bytes = w->s->boot->archive_bytes;
	uint64_t left = (bytes + AEGIS_PAGE - 1) / AEGIS_PAGE - offset / AEGIS_PAGE;

	if (offset > bytes || n > bytes - offset)
		return NULL;
	if (!w->at || offset / AEGIS_PAGE < w->first ||
	    offset + n > (w->first + w->pages) * AEGIS_PAGE) {
		window_close(w);
		w->first = offset / AEGIS_PAGE;
		w->pages = left < WINDOW_PAGES ? (uint32_t)left : WINDOW_PAGES;
		w->at = pages_map(w->s, w->first, w->pages);
	}
	return w->at ? w->at + (offset - w->first * AEGIS_PAGE) : NULL;
}

static bool
hex_field(const uint8_t *p, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		uint8_t c = p[i];
		uint8_t d = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : 16;

		if (d > 15)
			return false;
		*value = *value << 4 | d;
	}
	return true;
}

/* One member at *at: moves *at behind it.  1: it is the manifest, in [*data, *data + *size). */
static int
member_next(struct window *w, uint64_t *at, uint64_t *data, uint64_t *size)
{
	const uint8_t *h = window_look(w, *at, HEADER_SIZE);
	uint64_t name, total = w->s->boot->archive_bytes;

	if (!h || memcmp(h, "070701", 6) || !hex_field(h + 54, size) || !hex_field(h + 94, &name))
		return -EINVAL;
	*data = (*at + HEADER_SIZE + name + 3) & ~3ul;
	if (!name || *data > total || *size > total - *data)
		return -EINVAL;
	if (name >= sizeof(NAME)) {
		h = window_look(w, *at + HEADER_SIZE, sizeof(NAME));
		if (!h)
			return -EINVAL;
		if (!memcmp(h, NAME, sizeof(NAME)))
			return 1;
	}
	*at = (*data + *size + 3) & ~3ul;
	return 0;
}

int
super_manifest_open(struct super *s)
{
	struct window w = {.s = s};
	uint64_t at = 0, data = 0, size = 0, first;
	const char *pages;
	int found;

	do
		found = member_next(&w, &at, &data, &size);
	while (!found);
	window_close(&w);
	if (found < 0)
		return found;
	first = data / AEGIS_PAGE;
	pages = size ? pages_map(s, first, (data + size - 1) / AEGIS_PAGE - first + 1) : NULL;
	if (!pages)
		return -EINVAL;
	s->manifest = pages + data % AEGIS_PAGE;
	s->manifest_bytes = size;
	s->manifest_frame = s->boot->archive_frame + (uint32_t)first;
	return 0;
}

bool
super_manifest_find(const struct super *s, int domain, const char *key, const char **value,
		    size_t *length)
{
	struct manifest_record record;
	size_t offset = 0;
	char whole[64];

	if (domain >= 0)
		format(whole, sizeof(whole), "%d.%s", domain, key);
	else
		format(whole, sizeof(whole), "%s", key);
	while (manifest_next(s->manifest, s->manifest_bytes, &offset, &record)) {
		if (!manifest_is(&record, whole))
			continue;
		*value = record.value;
		*length = record.value_length;
		return true;
	}
	return false;
}

bool
super_manifest_is(const struct super *s, int domain, const char *key, const char *value)
{
	const char *found;
	size_t length;

	return super_manifest_find(s, domain, key, &found, &length) && length == strlen(value) &&
	       !memcmp(found, value, length);
}

uint32_t
super_manifest_number(const struct super *s, const char *key)
{
	const char *text;
	uint32_t value = 0;
	size_t length;

	if (!super_manifest_find(s, -1, key, &text, &length) || length > 9)
		return 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		value = value * 10 + (uint32_t)(text[i] - '0');
	}
	return value;
}

bool
super_option(const struct super *s, const char *word)
{
	const char *at = s->boot->options;
	size_t left = strnlen(at, AEGIS_BOOT_OPTIONS), length = strlen(word);

	while (left) {
		size_t n = 0;

		while (n < left && at[n] != ' ')
			n++;
		if (n == length && !memcmp(at, word, n))
			return true;
		n += n < left;
		at += n;
		left -= n;
	}
	return false;
}
