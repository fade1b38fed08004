/* SPDX-License-Identifier: MIT */
/*
 * The small library: memory and string primitives against plain loops at every small size,
 * alignment and overlap; formatting against the host's; the heap under random use and with a source
 * that runs dry. Prints TAP.
 *
 * The sources are included under other names, so that the host's own functions stay in use here.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define memcpy  lib_memcpy
#define memmove lib_memmove
#define memset  lib_memset
#define memcmp  lib_memcmp
#define strlen  lib_strlen
#define strnlen lib_strnlen
#define strcmp  lib_strcmp
#define strncmp lib_strncmp
#define strchr  lib_strchr
#include "exos/lib/string.c"
#include "exos/lib/format.c"
#include "exos/lib/heap.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr

static int test_count, test_failures;

static void
check(bool good, const char *what)
{
	test_count++;
	if (!good)
		test_failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", test_count, what);
}

/* Buffers of exact size, so that the sanitizer sees a byte too many. */
static void
test_copies(void)
{
	bool copy = true, fill = true, compare = true;

	for (size_t n = 0; n < 300; n++) {
		uint8_t *a = malloc(n + 1), *b = malloc(n + 1);

		for (size_t i = 0; i < n; i++)
			a[i] = (uint8_t)(i * 7 + n);
		copy = copy && lib_memcpy(b, a, n) == b && !memcmp(a, b, n);
		compare = compare && lib_memcmp(a, b, n) == 0;
		for (size_t i = 0; i < n; i += 1 + n / 20) {
			b[i]++;
			compare = compare && (lib_memcmp(a, b, n) < 0) == (memcmp(a, b, n) < 0) &&
				  lib_memcmp(a, b, n) != 0 && lib_memcmp(b, a, n) != 0;
			b[i] = a[i];
		}
		b[n] = 0x11;
		fill = fill && lib_memset(b, 0xa5, n) == b && b[n] == 0x11;
		for (size_t i = 0; i < n; i++)
			fill = fill && b[i] == 0xa5;
		free(a);
		free(b);
	}
	check(copy, "memcpy");
	check(fill, "memset");
	check(compare, "memcmp");
}

static void
test_overlaps(void)
{
	uint8_t ours[260], theirs[260];
	bool good = true;

	for (size_t n = 0; n < 120; n++) {
		for (size_t from = 0; from < 70; from++) {
			for (size_t to = 0; to < 70; to += 1 + (n > 40)) {
				for (size_t i = 0; i < sizeof(ours); i++)
					ours[i] = theirs[i] = (uint8_t)(i * 31 + 1);
				lib_memmove(ours + to, ours + from, n);
				memmove(theirs + to, theirs + from, n);
				good = good && !memcmp(ours, theirs, sizeof(ours));
			}
		}
	}
	check(good, "memmove at every overlap");
}

static void
test_strings(void)
{
	check(lib_strlen("") == 0 && lib_strlen("hello") == 5, "strlen");
	check(lib_strnlen("hello", 3) == 3 && lib_strnlen("hi", 9) == 2 && lib_strnlen("x", 0) == 0,
	      "strnlen");
	check(!lib_strcmp("a", "a") && lib_strcmp("a", "b") < 0 && lib_strcmp("b", "a") > 0 &&
		      lib_strcmp("a", "aa") < 0 && lib_strcmp("\xff", "a") > 0,
	      "strcmp");
	check(!lib_strncmp("abc", "abd", 2) && lib_strncmp("abc", "abd", 3) < 0 &&
		      !lib_strncmp("a", "a", 9) && !lib_strncmp("x", "y", 0),
	      "strncmp");
	check(!strcmp(lib_strchr("hello", 'l'), "llo") && !lib_strchr("hello", 'x') &&
		      *lib_strchr("hello", 0) == 0,
	      "strchr");
}

#define SAME(...)                                                         \
	do {                                                              \
		char ours_[64], theirs_[64];                              \
		int a_ = format(ours_, sizeof(ours_), __VA_ARGS__);       \
		int b_ = snprintf(theirs_, sizeof(theirs_), __VA_ARGS__); \
		check(a_ == b_ && !strcmp(ours_, theirs_), theirs_);      \
	} while (0)

static void
test_format(void)
{
	const char *unknown = "%q %d", *volatile null = NULL;
	char buf[8];

	SAME("%s|%5s|%-5s|%.2s|%.*s", "abc", "ab", "ab", "abc", 1, "xyz");
	SAME("%d %d %i %5d|%-5d|%05d|%05d", 0, -1, 42, 42, 42, 42, -42);
	SAME("%u %x %X %08x", 4000000000u, 0xbeefu, 0xbeefu, 0xbeefu);
	SAME("%ld %lu %lx %zu %zx", -5l, ~0ul, ~0ul, (size_t)9, (size_t)10);
	SAME("%lld %llu %llx", INT64_MIN + 0ll, ~0ull, 1ull << 63);
	SAME("%d %ld", INT32_MIN, INT64_MIN);
	SAME("%c|%3c|%-3c|%%", 'x', 'y', 'z');
	SAME("%p", (void *)buf);
	SAME("%*d|%-*d|%*d", 6, 1, 6, 2, -6, 3);
	check(format(buf, sizeof(buf), "%s", "0123456789") == 10 && !strcmp(buf, "0123456"), "cut");
	check(format(NULL, 0, "%s", "0123456789") == 10, "only counted");
	check(format(buf, 1, "abc") == 3 && !*buf, "room for the end only");
	check(format(buf, sizeof(buf), unknown, 1) == 5 && !strcmp(buf, unknown),
	      "unknown conversion");
	check(format(buf, sizeof(buf), "%s", null) == 6 && !strcmp(buf, "(null)"), "no text");
	check(format(buf, sizeof(buf), "%2000000000d", 1) == 100009 || !buf[7],
	      "huge width is bounded");
}

struct source {
	size_t pages, limit;
	bool bad;
};

static void *
source_get(void *ctx, size_t count)
{
	struct source *src = ctx;

	if (src->pages + count > src->limit)
		return NULL;
	src->pages += count;
	return aligned_alloc(HEAP_PAGE, count * HEAP_PAGE);
}

static void
source_put(void *ctx, void *pages, size_t count)
{
	struct source *src = ctx;

	src->bad |= count > src->pages;
	src->pages -= count;
	free(pages);
}

static void
test_heap_sizes(void)
{
	struct source src = {.limit = SIZE_MAX / HEAP_PAGE};
	struct heap_source source = {source_get, source_put, &src};
	struct heap heap;
	bool good = true;

	heap_init(&heap, &source);
	for (size_t size = 0; size < 9000; size++) {
		uint8_t *p = heap_alloc(&heap, size);

		good = good && p && !((uintptr_t)p & 15);
		memset(p, 1, size);
		good = good && (size > HEAP_SMALL ? heap.pages >= (size + 4095) / 4096 : true);
		good = good && heap_free(&heap, p, size) && heap_check(&heap);
	}
	check(good, "every size is served, aligned, and taken back");
	check(heap.blocks == 0 && heap.pages <= HEAP_CLASSES, "one empty slab a class is kept");
	heap_trim(&heap);
	check(heap.pages == 0 && src.pages == 0 && !src.bad, "trim gives all back");
	check(heap_alloc(&heap, SIZE_MAX) == NULL && heap.pages == 0, "absurd size");
}

static void
test_heap_misuse(void)
{
	struct source src = {.limit = 100};
	struct heap_source source = {source_get, source_put, &src};
	struct heap heap;
	uint8_t *p, *q;

	heap_init(&heap, &source);
	p = heap_alloc(&heap, 48);
	q = heap_alloc(&heap, 48);
	check(!heap_free(&heap, p, 100), "other size");
	check(!heap_free(&heap, p + 16, 48), "inside a block");
	check(!heap_free(&heap, (uint8_t *)((uintptr_t)p & ~(uintptr_t)4095), 48), "slab's header");
	check(!heap_free(&heap, p + 48 * 10, 48), "never handed out");
	check(heap_free(&heap, p, 33), "size of the same class");
	check(!heap_free(&heap, p, 48), "twice");
	check(heap_free(&heap, NULL, 48), "no block");
	check(heap_free(&heap, q, 48) && heap.blocks == 0, "the other one");
	p = heap_alloc(&heap, 10000);
	check(!heap_free(&heap, p + 16, 10000), "inside a large block");
	check(heap_free(&heap, p, 10000), "large block");
	heap_trim(&heap);
	check(src.pages == 0, "all back");
}

/* Whether a small block lies in what is said to be used of its page. */
static bool
block_used(const uint8_t *at, size_t size)
{
	const uint8_t *page = (const uint8_t *)((uintptr_t)at & ~(uintptr_t)(HEAP_PAGE - 1));

	return at + size <= page + heap_slab_used(page);
}

static void
test_heap_used(void)
{
	struct source src = {.limit = 100};
	struct heap_source source = {source_get, source_put, &src};
	struct heap heap;
	uint8_t *p[126]; /* a page full */
	bool good = true;

	heap_init(&heap, &source);
	for (unsigned i = 0; i < 126; i++) {
		p[i] = heap_alloc(&heap, 32);
		good = good && block_used(p[i], 32) && !block_used(p[i], 33);
	}
	check(good, "used up to the last block");
	for (unsigned i = 126; i-- > 1;)
		good = good && heap_free(&heap, p[i], 32) && block_used(p[i - 1], 32) &&
		       !block_used(p[i - 1], 33);
	check(good, "and no further when blocks behind it are free");
	check(heap_free(&heap, p[0], 32) && !block_used(p[0], 1), "an empty slab is its header");
	heap_trim(&heap);
}

static void
test_heap_random(void)
{
	enum { LIVE = 700 };
	static struct {
		uint8_t *at;
		size_t size;
	} live[LIVE];
	struct source src = {.limit = 60};
	struct heap_source source = {source_get, source_put, &src};
	struct heap heap;
	uint64_t rng = 99;
	size_t refused = 0;
	bool good = true;

	heap_init(&heap, &source);
	for (int step = 0; step < 60000; step++) {
		unsigned i;

		rng = rng * 6364136223846793005u + 1442695040888963407u;
		i = (unsigned)(rng >> 33) % LIVE;
		if (live[i].at) {
			for (size_t k = 0; k < live[i].size; k++)
				good = good && live[i].at[k] == (uint8_t)i;
			good = good && heap_free(&heap, live[i].at, live[i].size);
			live[i].at = NULL;
		} else {
			live[i].size = (rng >> 50) % 50 ? (rng >> 20) % 600 : (rng >> 20) % 20000;
			live[i].at = heap_alloc(&heap, live[i].size);
			if (live[i].at)
				memset(live[i].at, (int)i, live[i].size);
			if (live[i].at && live[i].size <= HEAP_SMALL)
				good = good && block_used(live[i].at, live[i].size);
			if (!live[i].at)
				refused++;
		}
		if (step % 16 == 0)
			good = good && heap_check(&heap) && heap.pages == src.pages;
	}
	check(good, "60,000 random steps");
	check(refused > 0, "the source ran dry on the way");
	for (int i = 0; i < LIVE; i++)
		good = heap_free(&heap, live[i].at, live[i].size) && good;
	heap_trim(&heap);
	check(good && heap.blocks == 0 && src.pages == 0 && !src.bad, "nothing is left");
}

int
main(void)
{
	test_copies();
	test_overlaps();
	test_strings();
	test_format();
	test_heap_sizes();
	test_heap_misuse();
	test_heap_used();
	test_heap_random();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
