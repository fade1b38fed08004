/* SPDX-License-Identifier: MIT */
/*
 * Accounts: who pays for frames, environments, names and slices.
 *
 * Owns: the table of accounts, a tree below account 1, the boot environment's.
 *
 * 1. In use never exceeds the limit, of any kind, at any moment: a charge is one
 *    compare-and-exchange that adds only what fits.
 * 2. What is in use of an account includes the whole limits of its child accounts: they were
 *    carved out when the child was made, so a child needs no look at its ancestors.
 * 3. A limit never changes while the account lives.
 * 4. refs counts the environments in it, its child accounts, and the frames and names
 *    charged to it; with the last reference the account ends and its limits go back to the
 *    parent.  A new account has none: its maker takes the first.
 *
 * Locks: none for charges; account_lock, inside every other, for finding a free row.
 */
#include "kernel.h"

struct account accounts[ACCOUNTS];
static struct lock account_lock;

static atomic_uint *
account_used(struct account *a, enum account_kind kind)
{
	switch (kind) {
	case ACCOUNT_FRAME:
		return &a->frames;
	case ACCOUNT_ENV:
		return &a->envs;
	case ACCOUNT_NODE:
		return &a->nodes;
	default:
		return &a->slices;
	}
}

static uint32_t
account_limit(const struct account *a, enum account_kind kind)
{
	switch (kind) {
	case ACCOUNT_FRAME:
		return a->frame_limit;
	case ACCOUNT_ENV:
		return a->env_limit;
	case ACCOUNT_NODE:
		return a->node_limit;
	default:
		return a->slice_limit;
	}
}

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

static bool
kind_counts(enum account_kind kind)
{
	return kind == ACCOUNT_FRAME || kind == ACCOUNT_NODE;
}

void
account_init(void)
{
	struct account *a = &accounts[1];

	a->live = 1;
	a->frame_limit = a->env_limit = a->node_limit = a->slice_limit = UINT32_MAX;
	atomic_store(&a->refs, 1);
}

status
account_charge(uint32_t account, enum account_kind kind, uint32_t n)
{
	struct account *a = &accounts[account];

	if (!used_add(account_used(a, kind), account_limit(a, kind), n))
		return AEGIS_LIMIT;
	if (kind_counts(kind))
		atomic_fetch_add(&a->refs, n);
	return AEGIS_OK;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	struct account *a = &accounts[account];
	uint32_t old = atomic_fetch_sub(account_used(a, kind), n);

	assert(old >= n);
	if (kind_counts(kind) && n) {
		atomic_fetch_sub(&a->refs, n - 1);
		account_unref(account);
	}
}

/* A row that nobody uses, or 0. */
static uint32_t
row_take(uint32_t parent)
{
	uint32_t i;

	lock_acquire(&account_lock);
	for (i = 2; i < ACCOUNTS && accounts[i].live; i++)
		;
	if (i < ACCOUNTS) {
		accounts[i].live = 1;
		accounts[i].parent = (uint16_t)parent;
	}
	lock_release(&account_lock);
	return i < ACCOUNTS ? i : 0;
}

static const enum account_kind account_kinds[] = {ACCOUNT_FRAME, ACCOUNT_ENV, ACCOUNT_NODE,
						  ACCOUNT_SLICE};
#define KINDS (sizeof(account_kinds) / sizeof(account_kinds[0]))

/* Carves all limits out of the parent, or none.  These are no references of frames or names. */
static bool
limits_carve(struct account *parent, const uint32_t limits[KINDS])
{
	for (uint32_t i = 0; i < KINDS; i++) {
		enum account_kind kind = account_kinds[i];

		if (used_add(account_used(parent, kind), account_limit(parent, kind), limits[i]))
			continue;
		while (i-- > 0)
			atomic_fetch_sub(account_used(parent, account_kinds[i]), limits[i]);
		return false;
	}
	return true;
}

static void
limits_set(struct account *a, const uint32_t limits[KINDS])
{
	a->frame_limit = limits[0];
	a->env_limit = limits[1];
	a->node_limit = limits[2];
	a->slice_limit = limits[3];
}

status
account_create(uint32_t parent, const struct aegis_env_create *limits)
{
	const uint32_t want[KINDS] = {limits->frame_limit, limits->env_limit, limits->node_limit,
				      limits->slice_limit};
	uint32_t row = row_take(parent);

	if (!row)
		return AEGIS_LIMIT;
	if (!limits_carve(&accounts[parent], want)) {
		accounts[row].live = 0;
		return AEGIS_LIMIT;
	}
	limits_set(&accounts[row], want);
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
		uint32_t parent = a->parent, limits[KINDS];

		assert(account != 1);
		assert(a->frames == 0 && a->envs == 0 && a->nodes == 0 && a->slices == 0);
		for (uint32_t i = 0; i < KINDS; i++)
			limits[i] = account_limit(a, account_kinds[i]);
		limits_set(a, (const uint32_t[KINDS]){0});
		for (uint32_t i = 0; i < KINDS; i++)
			atomic_fetch_sub(account_used(&accounts[parent], account_kinds[i]),
					 limits[i]);
		lock_acquire(&account_lock);
		a->live = 0;
		a->parent = 0;
		lock_release(&account_lock);
		account = parent;
	}
}

bool
account_invariants(void)
{
	for (uint32_t i = 1; i < ACCOUNTS; i++) {
		struct account *a = &accounts[i];
		uint64_t carved[KINDS] = {0};

		if (!a->live)
			continue;
		for (uint32_t j = 2; j < ACCOUNTS; j++) {
			if (!accounts[j].live || accounts[j].parent != i)
				continue;
			for (uint32_t k = 0; k < KINDS; k++)
				carved[k] += account_limit(&accounts[j], account_kinds[k]);
		}
		for (uint32_t k = 0; k < KINDS; k++) {
			uint32_t used = atomic_load(account_used(a, account_kinds[k]));

			if (used > account_limit(a, account_kinds[k]) || used < carved[k])
				return false;
		}
		if (i != 1 && !(a->parent && accounts[a->parent].live))
			return false;
	}
	return true;
}
