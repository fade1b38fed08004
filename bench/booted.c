/* SPDX-License-Identifier: MIT */
/* The moment at which a boot has ended. */
#include <stdio.h>

#include "bench.h"

void
bench_booted(void)
{
	BENCH_MARK(BENCH_MARK_BOOT);
	printf("@boot\n");
	fflush(stdout);
}
