/* SPDX-License-Identifier: MIT */
/* The kernel's few library functions: what the compiler may call, and formatted text. */
#ifndef KERNEL_LIB_LIB_H
#define KERNEL_LIB_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int byte, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

/*
 * Writes at most `size` bytes, the last a zero, and answers the length without it.  Conversions:
 * %s %u %x, numbers with a width, a leading 0, and l for 64 bits.  Anything else ends the text.
 */
size_t print_to(char *to, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* From here on log_print takes no lock: the processor that panics is the only one that runs. */
void log_unlock_forever(void);

#endif
