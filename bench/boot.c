/* SPDX-License-Identifier: MIT */
/* The program that a boot ends in: main() begins. */
#include "bench.h"

int
main(void)
{
	bench_booted();
	return 0;
}
