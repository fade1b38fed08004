/* SPDX-License-Identifier: MIT */
/*
 * The invariants of accounts (account.c), checked: no limit is exceeded, and what children were given
 * is in use.  For checked builds and tests.
 */
#include "../kernel.h"

bool
account_invariants(void)
{
	static uint64_t carved[ACCOUNTS][ACCOUNT_KINDS]; /* of each, for its children */
	bool sound = true;

	for (uint32_t i = 2; i < ACCOUNTS; i++) {
		const struct account *a = &accounts[i];

		if (!a->live)
			continue;
		sound &= a->parent && accounts[a->parent].live;
		for (uint32_t k = 0; k < ACCOUNT_KINDS; k++)
			carved[a->parent][k] += a->limit[k] + (k == ACCOUNT_ENV);
	}
	for (uint32_t i = 1; i < ACCOUNTS; i++) {
		const struct account *a = &accounts[i];

		for (uint32_t k = 0; a->live && k < ACCOUNT_KINDS; k++) {
			sound &= a->used[k] <= a->limit[k] && a->used[k] >= carved[i][k];
			carved[i][k] = 0;
		}
	}
	return sound;
}
