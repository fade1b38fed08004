/* SPDX-License-Identifier: MIT */
/*
 * A process of ExOS that multiplies for whoever may call it: for another process, or, as mini shows, for
 * an environment of another library.  It ends after the first product.
 */
#include <errno.h>
#include <stdio.h>

#include <exos/api.h>
#include <exos/ipc.h>

static _Alignas(16) char stack[16384];
static volatile uint64_t product;

static uint64_t
multiply(struct exos_msg *m, uint32_t caller)
{
	(void)caller;
	product = m->word[0] * m->word[1];
	return product;
}

int
main(void)
{
	int64_t st = exos_serve_lrpc(multiply, stack + sizeof(stack));

	/* A call does not end the sleep in exos_accept: a deadline does, to look whether one has come. */
	while (!product && (st == 0 || st == -ETIMEDOUT))
		st = exos_accept(exos_events(), __builtin_ia32_rdtsc() + 10000000);
	printf("answered %lu\n", product);
	return product ? 0 : 1;
}
