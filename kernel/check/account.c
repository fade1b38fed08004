/* SPDX-License-Identifier: MIT */
/*
 * The invariants of accounts (account.c), checked: no limit is exceeded, and what children were given
 * is in use.  For checked builds and tests.
 */
#include "../kernel.h"

bool
account_invariants(void)
{
	for (uint32_t i = 1; i < ACCOUNTS; i++) {
		const struct account *a = &accounts[i];
		uint64_t carved[ACCOUNT_KINDS] = {0};

		if (!a->live)
			continue;
		for (uint32_t j = 2; j < ACCOUNTS; j++) {
			if (!accounts[j].live || accounts[j].parent != i)
				continue;
			for (uint32_t k = 0; k < ACCOUNT_KINDS; k++)
				carved[k] += accounts[j].limit[k];
		}
		for (uint32_t k = 0; k < ACCOUNT_KINDS; k++) {
			if (a->used[k] > a->limit[k] || a->used[k] < carved[k])
				return false;
		}
		if (i != 1 && !(a->parent && accounts[a->parent].live))
			return false;
	}
	return true;
}
