/* SPDX-License-Identifier: MIT */
/*
 * Accounts: in use never exceeds the limit, whatever is asked for; what is carved out for a child comes
 * back, all of it and once.
 */
#include "machine.h"
#include "kernel/account.c"

/* What a child of this limit costs. */
static uint64_t
cost(uint32_t kind, uint32_t limit)
{
	return (uint64_t)limit + (kind == ACCOUNT_ENV);
}

static uint32_t
kind_used(uint32_t a, uint32_t k)
{
	return accounts[a].used[k];
}

static void
state_any(void)
{
	locks_held = 0;
	account_lock.held = 0;
	for (uint32_t i = 1; i < ACCOUNTS; i++) {
		for (uint32_t k = 0; k < ACCOUNT_KINDS; k++)
			ASSUME(kind_used(i, k) <= accounts[i].limit[k]);
	}
}

void
proof_account_charge(void)
{
	uint32_t a = nondet_u32(), k = nondet_u32(), n = nondet_u32(), j = nondet_u32();
	uint32_t used, refs, others;
	status st;

	state_any();
	ASSUME(a > 0 && a < ACCOUNTS && k < ACCOUNT_KINDS && j < ACCOUNT_KINDS && j != k);
	used = kind_used(a, k);
	others = kind_used(a, j);
	refs = accounts[a].refs;
	ASSUME(refs < 1000);
	st = account_charge(a, k, n);
	PROVE(kind_used(a, k) <= accounts[a].limit[k], "within the limit");
	PROVE((uint64_t)used + (st == AEGIS_OK ? n : 0) == kind_used(a, k),
	      "exactly n, or nothing");
	PROVE(kind_used(a, j) == others, "no other kind changes");
	PROVE(IMPLIES(st != AEGIS_OK, (uint64_t)used + n > accounts[a].limit[k]),
	      "refused only if it does not fit");
	if (st == AEGIS_OK && n) {
		accounts[a].refs += 1; /* somebody is in it: it does not end here */
		account_refund(a, k, n);
		PROVE(kind_used(a, k) == used, "a refund undoes a charge");
		PROVE(accounts[a].refs == refs + 1, "also its references");
		REACH(n > 1);
	}
	REACH(st == AEGIS_LIMIT && n > 0xfffffff0u);
}

void
proof_account_create(void)
{
	struct aegis_env_create want;
	uint32_t parent = nondet_u32(), k = nondet_u32(), i = nondet_u32(), used, limit, live;
	status st;

	state_any();
	ASSUME(parent > 0 && parent < ACCOUNTS && accounts[parent].live && k < ACCOUNT_KINDS);
	ASSUME(i > 0 && i < ACCOUNTS && i != parent);
	ASSUME(accounts[parent].refs > 0 && accounts[parent].refs < 1000);
	used = kind_used(parent, k);
	limit = accounts[i].limit[k];
	live = accounts[i].live;
	st = account_create(parent, &want);
	check_locks();
	if (st <= 0) {
		PROVE(kind_used(parent, k) == used, "a failure carves nothing");
		PROVE(accounts[i].live == live, "and makes no account");
		REACH(st == AEGIS_LIMIT);
		return;
	}
	PROVE(st > 1 && st < ACCOUNTS && st != parent, "a row of the table");
	PROVE(IMPLIES(i == st, !live), "that was free");
	PROVE(kind_used(parent, k) - used == cost(k, accounts[st].limit[k]),
	      "the parent pays the whole limit, and the account");
	PROVE(accounts[st].limit[ACCOUNT_SPACE] == accounts[st].limit[ACCOUNT_ENV],
	      "as many spaces as environments");
	PROVE(kind_used(parent, k) >= used && kind_used(parent, k) <= accounts[parent].limit[k],
	      "and can");
	PROVE(IMPLIES(i != st, accounts[i].limit[k] == limit), "no other limit changes");
	REACH(st > 2);
}

void
proof_account_end(void)
{
	uint32_t a = nondet_u32(), k = nondet_u32(), used, limit, parent;

	state_any();
	ASSUME(a > 1 && a < ACCOUNTS && accounts[a].live && accounts[a].refs > 0 &&
	       k < ACCOUNT_KINDS);
	parent = accounts[a].parent;
	ASSUME(parent > 0 && parent < ACCOUNTS && parent != a && accounts[parent].live);
	ASSUME(accounts[parent].refs > 1); /* somebody else is in it */
	for (uint32_t i = 0; i < ACCOUNT_KINDS; i++) {
		if (accounts[a].refs == 1)
			ASSUME(kind_used(a, i) == 0);
		ASSUME(kind_used(parent, i) >= cost(i, accounts[a].limit[i]));
	}
	used = kind_used(parent, k);
	limit = accounts[a].limit[k];
	account_unref(a);
	check_locks();
	PROVE(kind_used(parent, k) == used - (accounts[a].live ? 0 : cost(k, limit)),
	      "its limits go back when it ends, and not before");
	PROVE(IMPLIES(!accounts[a].live, accounts[a].refs == 0), "it ends without references");
	REACH(!accounts[a].live && limit > 0);
	REACH(accounts[a].live);
}
