/* SPDX-License-Identifier: MIT */
/*
 * The small C library that ExOS stands on: memory and string primitives, bounded formatting and
 * a sized heap.
 *
 * Nothing here has writable globals, calls the kernel, or touches vector registers; everything
 * may be called from any context that owns the memory it passes. The standard names keep their
 * standard meaning, so that the compiler's own calls to them are served.
 */
#ifndef EXOS_LIB_LIB_H
#define EXOS_LIB_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/*
 * Bounded formatting. Conversions: %s %c %d %i %u %x %X %p %%, lengths l ll z, flags '-' and '0',
 * width (number or *), and precision (number or *) for %s only. At most size bytes are written, the
 * last of them NUL when size > 0. Returns the length that the whole text has, as snprintf does; a
 * conversion that is not listed stops interpretation and the rest of the format is copied as it is.
 */
int format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int format_v(char *buf, size_t size, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

/*
 * The heap. Blocks up to HEAP_SMALL bytes come from one-page slabs of one size class each, larger
 * ones are whole pages. The size given to heap_free must be the size given to heap_alloc. Every
 * operation takes constant time. One owner: callers serialise.
 */
#define HEAP_PAGE    4096u
#define HEAP_SMALL   2016u
#define HEAP_CLASSES 25u

struct heap_source {
	/* count pages, contiguous and page aligned, of any content; NULL when there are none */
	void *(*pages_get)(void *ctx, size_t count);
	void (*pages_put)(void *ctx, void *pages, size_t count);
	void *ctx;
};

struct heap_slab;

struct heap {
	struct heap_source source;
	struct heap_slab *partial[HEAP_CLASSES]; /* slabs with a free block */
	size_t pages;                            /* pages held from the source */
	size_t blocks;                           /* blocks handed out and not yet freed */
};

void heap_init(struct heap *heap, const struct heap_source *source);
/* A block of at least size bytes, aligned to 16, of any content; NULL when the source has none. */
void *heap_alloc(struct heap *heap, size_t size);
/* Frees a block. False, and nothing changed, when ptr is no live block of that size. Not every
 * wrong large block can be told: only misaligned ones. NULL is accepted. */
bool heap_free(struct heap *heap, void *ptr, size_t size);
/* Gives empty slabs, of which one per class is kept, back to the source. */
void heap_trim(struct heap *heap);
/* Bytes of a slab's page, from its start, that its blocks in use and what tells of them take. */
size_t heap_slab_used(const void *page);
/* Whether every invariant of the slabs that have a free block holds. */
bool heap_check(const struct heap *heap);

#endif
