/* SPDX-License-Identifier: MIT */
/*
 * Results of tests that include a piece of the kernel and nothing else of it (HK_ALONE in kernel.mk), as TAP.
 * A test goes on after what it did not expect, and fails with its name.
 */
#ifndef TEST_HOST_ALONE_H
#define TEST_HOST_ALONE_H

#include <stdbool.h>
#include <stdio.h>

static int tests, failures;
static bool wrong;

#define EXPECT(e)                                                        \
	do {                                                             \
		if (!(e)) {                                              \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #e); \
			wrong = true;                                    \
		}                                                        \
	} while (0)

static void
result(const char *name)
{
	printf("%sok %d - %s\n", wrong ? "not " : "", ++tests, name);
	failures += wrong;
	wrong = false;
}

/* The last line, and the status of main. */
static int
results_end(void)
{
	printf("1..%d\n", tests);
	return failures != 0;
}

#endif
