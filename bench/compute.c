/* SPDX-License-Identifier: MIT */
/* The control: a product of matrices, which asks the system for nothing. */
#include "bench.h"

#define N 150

static double a[N][N], b[N][N], c[N][N];

static void
setup(void)
{
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			a[i][j] = i + j;
			b[i][j] = i - j;
		}
	}
}

static void
multiply(void)
{
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			double sum = 0;

			for (int k = 0; k < N; k++)
				sum += a[i][k] * b[k][j];
			*(volatile double *)&c[i][j] = sum;
		}
	}
}

BENCH(matmul, .setup = setup, .op = multiply)
