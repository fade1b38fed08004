/* SPDX-License-Identifier: MIT */
/*
 * Memory and string primitives.
 *
 * Owns nothing. Invariants: (1) no function reads or writes a byte outside the ranges it is given;
 * (2) the direction flag is never set, so an upcall may arrive between any two instructions; (3) no
 * function is compiled into a call of itself (hence the attributes).
 *
 * Cost: the bulk of copies and fills goes by 8-byte iterations, because under an
 * instruction-counting machine each iteration of a repeated string instruction counts as one. Heads
 * and tails use overlapping words: n bytes, 8 <= n, are covered by words at the start and one word
 * that ends at the end. In a copy the tail word is loaded before the bulk is stored, which makes
 * the forward copy right for every overlap with dst below src.
 */
#include "exos/lib/lib.h"

#if defined(__clang__)
#define LIB_PRIMITIVE __attribute__((no_builtin))
#else
#define LIB_PRIMITIVE __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

typedef uint64_t __attribute__((may_alias, aligned(1))) word64;
typedef uint32_t __attribute__((may_alias, aligned(1))) word32;
typedef uint16_t __attribute__((may_alias, aligned(1))) word16;

/* Up to 32 bytes: everything is loaded before anything is stored, so any overlap is right. */
LIB_PRIMITIVE static inline void
copy_small(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n >= 16) {
		uint64_t a = *(const word64 *)src, b = *(const word64 *)(src + 8);
		uint64_t c = *(const word64 *)(src + n - 16), d = *(const word64 *)(src + n - 8);
		*(word64 *)dst = a;
		*(word64 *)(dst + 8) = b;
		*(word64 *)(dst + n - 16) = c;
		*(word64 *)(dst + n - 8) = d;
	} else if (n >= 8) {
		uint64_t a = *(const word64 *)src, b = *(const word64 *)(src + n - 8);
		*(word64 *)dst = a;
		*(word64 *)(dst + n - 8) = b;
	} else if (n >= 4) {
		uint32_t a = *(const word32 *)src, b = *(const word32 *)(src + n - 4);
		*(word32 *)dst = a;
		*(word32 *)(dst + n - 4) = b;
	} else if (n >= 2) {
		uint16_t a = *(const word16 *)src, b = *(const word16 *)(src + n - 2);
		*(word16 *)dst = a;
		*(word16 *)(dst + n - 2) = b;
	} else if (n) {
		*dst = *src;
	}
}

LIB_PRIMITIVE static inline void
copy_forward(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t tail = *(const word64 *)(src + n - 8);
	uint8_t *end = dst + n;
	size_t words = n / 8;

	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(words) : : "memory");
	*(word64 *)(end - 8) = tail;
}

LIB_PRIMITIVE static inline void
copy_backward(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t head0 = *(const word64 *)src, head1 = *(const word64 *)(src + 8);
	size_t left = n;

	for (; left >= 16; left -= 16) {
		uint64_t a = *(const word64 *)(src + left - 8);
		uint64_t b = *(const word64 *)(src + left - 16);
		*(word64 *)(dst + left - 8) = a;
		*(word64 *)(dst + left - 16) = b;
	}
	*(word64 *)dst = head0;
	*(word64 *)(dst + 8) = head1;
}

LIB_PRIMITIVE void *
memmove(void *dst, const void *src, size_t n)
{
	if (n <= 32)
		copy_small(dst, src, n);
	else if ((uintptr_t)dst - (uintptr_t)src >= n)
		copy_forward(dst, src, n);
	else
		copy_backward(dst, src, n);
	return dst;
}

LIB_PRIMITIVE void *
memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	if (n <= 32)
		copy_small(dst, src, n);
	else
		copy_forward(dst, src, n);
	return dst;
}

LIB_PRIMITIVE void *
memset(void *dst, int byte, size_t n)
{
	uint64_t fill = (uint8_t)byte * 0x0101010101010101ull;
	uint8_t *at = dst;

	if (n >= 8) {
		size_t words = n / 8;

		*(word64 *)(at + n - 8) = fill;
		__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(fill) : "memory");
	} else if (n >= 4) {
		*(word32 *)at = (uint32_t)fill;
		*(word32 *)(at + n - 4) = (uint32_t)fill;
	} else {
		while (n)
			at[--n] = (uint8_t)fill;
	}
	return dst;
}

LIB_PRIMITIVE int
memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n >= 8; n -= 8, x += 8, y += 8) {
		uint64_t p = *(const word64 *)x, q = *(const word64 *)y;

		if (p != q) {
			p = __builtin_bswap64(p);
			q = __builtin_bswap64(q);
			return p < q ? -1 : 1;
		}
	}
	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x < *y ? -1 : 1;
	}
	return 0;
}

LIB_PRIMITIVE size_t
strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

LIB_PRIMITIVE size_t
strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

LIB_PRIMITIVE int
strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

LIB_PRIMITIVE int
strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b)
			return (int)(unsigned char)*a - (int)(unsigned char)*b;
		if (!*a)
			break;
	}
	return 0;
}

LIB_PRIMITIVE char *
strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}
