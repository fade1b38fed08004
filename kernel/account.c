/* SPDX-License-Identifier: MIT */
/*
 * Accounts: who pays for frames, environments, names and slices.
 *
 * Owns: the table of accounts, a tree below account 1, the boot environment's.
 *
 * 1. In use never exceeds the limit, of any kind, at any moment: a charge is one
 *    compare-and-exchange that adds only what fits.
 * 2. What is in use of an account includes the whole limits of its child accounts: they were
 *    carved out when the child was made, so a child needs no look at its ancestors; and the child itself,
 *    as one environment, so that rows of the table are paid for, too.
 * 3. A limit never changes while the account lives.
 * 4. refs counts whatever is charged to it, its child accounts, and whoever looks at it; with
 *    the last reference the account ends and its limits go back to the parent.  A new account
 *    has none: its maker takes the first.
 *
 * Locks: none for charges; account_lock, inside every other, for finding a free row.
 */
#include "kernel.h"

struct account accounts[ACCOUNTS];
static struct lock account_lock;

/* Adds n if the sum stays within the limit. */
static bool
used_add(atomic_uint *used, uint32_t limit, uint32_t n)
{
	unsigned int old = atomic_load_explicit(used, memory_order_relaxed);

	do {
		if (old > limit || n > limit - old)
			return false;
	} while (!atomic_compare_exchange_weak(used, &old, old + n));
	return true;
}

void
account_init(void)
{
	struct account *a = &accounts[1];

	a->live = 1;
	for (uint32_t k = 0; k < ACCOUNT_KINDS; k++)
		a->limit[k] = UINT32_MAX;
	atomic_store(&a->refs, 1);
}

status
account_charge(uint32_t account, enum account_kind kind, uint32_t n)
{
	struct account *a = &accounts[account];

	if (!used_add(&a->used[kind], a->limit[kind], n))
		return AEGIS_LIMIT;
	atomic_fetch_add(&a->refs, n);
	return AEGIS_OK;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	uint32_t old = atomic_fetch_sub(&accounts[account].used[kind], n);

	assert(old >= n);
	if (n) {
		atomic_fetch_sub(&accounts[account].refs, n - 1);
		account_unref(account);
	}
}

/* A row that nobody uses, or 0. */
static uint32_t
row_take(uint32_t parent)
{
	static uint32_t hint;
	uint32_t row = 0;

	lock_acquire(&account_lock);
	for (uint32_t i = 0; i < ACCOUNTS - 2 && !row; i++) {
		uint32_t at = 2 + (hint + i) % (ACCOUNTS - 2);

		if (!accounts[at].live)
			row = at;
	}
	if (row) {
		hint = row - 1;
		accounts[row].live = 1;
		accounts[row].parent = (uint16_t)parent;
	}
	lock_release(&account_lock);
	return row;
}

/* What a child with this limit costs its parent; of environments it must be less than UINT32_MAX. */
static uint32_t
limit_cost(enum account_kind kind, uint32_t limit)
{
	return limit + (kind == ACCOUNT_ENV);
}

/* Carves all limits out of the parent, or none.  The child itself is the reference. */
static bool
limits_carve(struct account *parent, const uint32_t limits[ACCOUNT_KINDS])
{
	for (uint32_t i = 0; i < ACCOUNT_KINDS; i++) {
		if (used_add(&parent->used[i], parent->limit[i], limit_cost(i, limits[i])))
			continue;
		while (i-- > 0)
			atomic_fetch_sub(&parent->used[i], limit_cost(i, limits[i]));
		return false;
	}
	return true;
}

status
account_create(uint32_t parent, const struct aegis_env_create *limits)
{
	const uint32_t want[ACCOUNT_KINDS] = {limits->frame_limit, limits->env_limit,
					      limits->node_limit, limits->slice_limit,
					      limits->env_limit};
	uint32_t row = limits->env_limit < UINT32_MAX ? row_take(parent) : 0;

	if (!row)
		return AEGIS_LIMIT;
	if (!limits_carve(&accounts[parent], want)) {
		accounts[row].live = 0;
		return AEGIS_LIMIT;
	}
	for (uint32_t k = 0; k < ACCOUNT_KINDS; k++)
		accounts[row].limit[k] = want[k];
	account_ref(parent);
	return row;
}

void
account_ref(uint32_t account)
{
	atomic_fetch_add(&accounts[account].refs, 1);
}

void
account_unref(uint32_t account)
{
	while (account && atomic_fetch_sub(&accounts[account].refs, 1) == 1) {
		struct account *a = &accounts[account];
		uint32_t parent = a->parent;

		assert(account != 1);
		for (uint32_t i = 0; i < ACCOUNT_KINDS; i++) {
			assert(a->used[i] == 0);
			atomic_fetch_sub(&accounts[parent].used[i], limit_cost(i, a->limit[i]));
			a->limit[i] = 0;
		}
		lock_acquire(&account_lock);
		a->live = 0;
		a->parent = 0;
		lock_release(&account_lock);
		account = parent;
	}
}
