/* SPDX-License-Identifier: MIT */
/*
 * Bytes.  What a freestanding compiler may call for assignments and initialisers, and nothing more.
 * Long runs go by eight bytes; the kernel has no vector registers of its own.
 */
#include "lib.h"

void *
memset(void *to, int byte, size_t n)
{
	uint8_t *p = to;
	uint64_t word = 0x0101010101010101ul * (uint8_t)byte;

	for (; n >= 8; n -= 8, p += 8)
		__builtin_memcpy(p, &word, 8);
	for (; n; n--, p++) {
		*p = (uint8_t)byte;
		__asm__("" : "+r"(p)); /* or the compiler sees memset in it */
	}
	return to;
}

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
	return memmove(to, from, n);
}

void *
memmove(void *to, const void *from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;
	uint64_t word;

	if ((uintptr_t)t - (uintptr_t)f >= n) {
		for (; n >= 8; n -= 8, t += 8, f += 8) {
			__builtin_memcpy(&word, f, 8);
			__builtin_memcpy(t, &word, 8);
		}
		for (; n; n--) {
			*t++ = *f++;
			__asm__("" : "+r"(t));
		}
	} else {
		while (n) {
			n--;
			t[n] = f[n];
			__asm__("" : "+r"(n));
		}
	}
	return to;
}

int
memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;

	for (; n; n--, p++, q++) {
		if (*p != *q)
			return *p < *q ? -1 : 1;
	}
	return 0;
}

size_t
strlen(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		n++;
		__asm__("" : "+r"(n));
	}
	return n;
}
