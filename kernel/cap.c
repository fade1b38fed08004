/* SPDX-License-Identifier: MIT */
/*
 * Names and capabilities.
 *
 * Owns: the pool of names (nodes), a tree below NODE_ROOT, and the capability tables in struct
 * env.
 *
 * 1. A name is live when its generation and, up to the root, each parent_generation agree
 *    with the nodes above.  Revoking a name changes its generation: in that one store every
 *    capability to it and everything derived from it, now or later, is stale.  The rest of a
 *    revocation only cleans up.
 * 2. A node's parent never changes while it is allocated, and a node outlives its children
 *    and whatever it guards: they count in refs.  So a walk from a guard to the root needs no
 *    lock.
 * 3. caps counts the slots that name the node's current generation.  A node with refs 0 and
 *    caps 0 is free; neither can rise from there, because only a valid slot makes references.
 * 4. A node that is allocated again has another generation.  One whose generations are used
 *    up is never allocated again.
 * 5. Slots are written with node_lock held, and are read without: each is one word.
 *    A check walks first and compares generations last, so that the walk is known to have met
 *    this node.
 * 6. What lasts longer than a call and rests on a capability (a frame's guard, a holding) is
 *    made with node_lock held, so that a revocation that returned sees all of it.
 *
 * Locks: node_lock, inside the environment's; pool_lock, inside every other, for the list of
 * free nodes and refs that reach 0.  Revocation: cap_revoke.c.
 */
#include "kernel.h"

struct lock node_lock;
struct node nodes[NODES];
static struct lock pool_lock;
static uint32_t pool_free;    /* list through refs, 0: empty */
static uint32_t pool_top = 2; /* nodes from here on were never used */

void
cap_init(void)
{
	nodes[NODE_ROOT] = (struct node){.generation = 1, .swept = 1, .caps = 1, .account = 1};
	atomic_store(&nodes[NODE_ROOT].refs, 1);
}

uint32_t
node_top(void)
{
	return pool_top;
}

/* Bounded by the depth of the tree. */
bool
node_dominates(uint32_t node, uint32_t guard)
{
	for (uint32_t i = 0; guard && i <= AEGIS_DEPTH; i++) {
		if (guard == node)
			return true;
		guard = nodes[guard].parent;
	}
	return false;
}

/* No ancestor was revoked since the names below it were derived. */
static bool
chain_intact(uint32_t node)
{
	for (uint32_t i = 0; node != NODE_ROOT && i <= AEGIS_DEPTH; i++) {
		const struct node *n = &nodes[node];

		if (!n->parent || n->parent_generation != nodes[n->parent].generation)
			return false;
		node = n->parent;
	}
	return node == NODE_ROOT;
}

bool
node_live(uint32_t node, uint32_t generation)
{
	return node && node < NODES && chain_intact(node) &&
	       __atomic_load_n(&nodes[node].generation, __ATOMIC_ACQUIRE) == generation;
}

/* ---- slots ---- */

/* A slot as it was at one moment; false: none, or it is empty. */
static bool
slot_read(const struct env *e, uint32_t n, struct cap *out)
{
	if (n >= AEGIS_CAP_SLOTS)
		return false;
	out->word = __atomic_load_n(&e->caps[n].word, __ATOMIC_ACQUIRE);
	return out->node;
}

void
_slot_write(struct cap *slot, uint32_t node, uint32_t generation, uint32_t rights)
{
	const struct cap c = {.node = node, .generation = generation, .rights = rights};

	__atomic_store_n(&slot->word, c.word, __ATOMIC_RELEASE);
}

status
cap_check(const struct env *e, uint32_t slot, uint32_t guard, uint32_t rights)
{
	struct cap c;
	bool dominates;

	if (!slot_read(e, slot, &c))
		return AEGIS_BAD_CAP;
	dominates = node_dominates(c.node, guard);
	if (!node_live(c.node, c.generation))
		return AEGIS_BAD_CAP;
	return dominates && (c.rights & rights) == rights ? AEGIS_OK : AEGIS_DENIED;
}

status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	struct cap c;

	if (!slot_read(e, slot, &c) || !node_live(c.node, c.generation))
		return AEGIS_BAD_CAP;
	return (c.rights & rights) != rights ? (status)AEGIS_DENIED : c.node;
}

status
cap_node_ref(const struct env *e, uint32_t slot, uint32_t rights)
{
	status node;

	lock_acquire(&node_lock);
	node = cap_node(e, slot, rights);
	if (node > 0)
		node_ref((uint32_t)node);
	lock_release(&node_lock);
	return node;
}

/* ---- the pool ---- */

/* A fresh node below parent, with one capability to it; 0: none left.  node_lock held. */
static uint32_t
_node_alloc(uint32_t parent, uint32_t account)
{
	uint32_t node;
	struct node *n;

	lock_acquire(&pool_lock);
	node = pool_free;
	if (node)
		pool_free = atomic_load(&nodes[node].refs);
	else if (pool_top < NODES)
		node = pool_top++;
	if (node) {
		n = &nodes[node];
		__atomic_store_n(&n->generation, n->generation + 1, __ATOMIC_RELEASE);
		n->parent_generation = nodes[parent].generation;
		n->caps = 1;
		n->swept = n->generation;
		n->account = (uint16_t)account;
		n->depth = nodes[parent].depth + 1;
		n->dead = 0;
		atomic_store(&n->refs, 0);
		n->parent = parent;
		node_ref(parent);
	}
	lock_release(&pool_lock);
	return node;
}

/* Frees the node if nothing needs it, and then its ancestors for which that was all. */
static void
node_settle(uint32_t node)
{
	while (node != NODE_ROOT) {
		struct node *n = &nodes[node];
		uint32_t parent, account;

		lock_acquire(&pool_lock);
		if (!n->parent || atomic_load(&n->refs) || n->caps) {
			lock_release(&pool_lock);
			return;
		}
		parent = n->parent;
		account = n->account;
		n->parent = 0;
		n->depth = 0;
		atomic_fetch_add(&gate_epoch, 1);
		if (n->generation < UINT32_MAX - 1) {
			__atomic_store_n(&n->generation, n->generation + 1, __ATOMIC_RELEASE);
			atomic_store(&n->refs, pool_free);
			pool_free = node;
		}
		lock_release(&pool_lock);
		account_refund(account, ACCOUNT_NODE, 1);
		if (atomic_fetch_sub(&nodes[parent].refs, 1) != 1)
			return;
		node = parent;
	}
}

void
node_ref(uint32_t node)
{
	atomic_fetch_add(&nodes[node].refs, 1);
}

void
node_unref_many(uint32_t node, uint32_t n)
{
	if (n && atomic_fetch_sub(&nodes[node].refs, n) == n)
		node_settle(node);
}

void
node_unref(uint32_t node)
{
	node_unref_many(node, 1);
}

/* node_lock held. */
static void
_slot_empty(struct cap *slot)
{
	uint32_t node = slot->node, generation = slot->generation;

	if (!node)
		return;
	_slot_write(slot, 0, 0, 0);
	atomic_fetch_add(&gate_epoch, 1); /* a yield may have gone by it */
	if (nodes[node].generation == generation && --nodes[node].caps == 0)
		node_settle(node);
}

/* Whatever was derived from a revoked name stops to count its slots.  node_lock held. */
void
_node_bury(uint32_t node)
{
	struct node *n = &nodes[node];

	if (!n->parent || n->dead || chain_intact(node))
		return;
	n->dead = 1;
	n->caps = 0;
	if (n->generation < UINT32_MAX - 1)
		__atomic_store_n(&n->generation, n->generation + 1, __ATOMIC_RELEASE);
	node_settle(node);
}

/* All other capabilities to the slot's name, and all below it, are stale.  node_lock held. */
status
_node_revoke(struct cap *slot, uint32_t flag)
{
	struct node *n = &nodes[slot->node];

	if (n->generation >= UINT32_MAX - 2)
		return AEGIS_LIMIT;
	__atomic_store_n(&n->generation, n->generation + 1, __ATOMIC_SEQ_CST);
	atomic_fetch_add(&gate_epoch, 1);
	n->caps = 1;
	_slot_write(slot, slot->node, n->generation, slot->rights | flag);
	return AEGIS_OK;
}

/* ---- calls ---- */

status
sys_cap_derive(uint32_t from, uint32_t rights, uint32_t to)
{
	struct env *self = current();
	uint32_t child;
	status st, node;

	if (to >= AEGIS_CAP_SLOTS || (rights & ~AEGIS_ALL))
		return AEGIS_BAD_ARG;
	lock_acquire(&node_lock);
	node = cap_node(self, from, AEGIS_DERIVE | rights);
	if (node < 0)
		st = node;
	else if (self->caps[to].node)
		st = AEGIS_IN_USE;
	else if (nodes[node].depth >= AEGIS_DEPTH)
		st = AEGIS_LIMIT;
	else
		st = account_charge(self->account, ACCOUNT_NODE, 1);
	if (st == AEGIS_OK) {
		child = _node_alloc((uint32_t)node, self->account);
		if (child) {
			_slot_write(&self->caps[to], child, nodes[child].generation, rights);
		} else {
			account_refund(self->account, ACCOUNT_NODE, 1);
			st = AEGIS_LIMIT;
		}
	}
	lock_release(&node_lock);
	COUNT(cap_derives);
	return st;
}

status
sys_cap_grant(uint32_t from, uint32_t with, uint32_t env, uint32_t rights, uint32_t to)
{
	struct env *self = current();
	struct env *e;
	status st, node;

	if (to >= AEGIS_CAP_SLOTS || (rights & ~AEGIS_ALL))
		return AEGIS_BAD_ARG;
	st = env_open(with, env, AEGIS_CONTROL, &e);
	if (st != AEGIS_OK)
		return st;
	lock_acquire(&node_lock);
	node = cap_node(self, from, AEGIS_GRANT | rights);
	if (node < 0) {
		st = node;
	} else if (e->caps[to].node) {
		st = AEGIS_IN_USE;
	} else {
		nodes[node].caps++; /* cannot wrap: fewer slots than that fit into any memory */
		_slot_write(&e->caps[to], (uint32_t)node, nodes[node].generation, rights);
	}
	lock_release(&node_lock);
	env_unlock(e);
	COUNT(cap_grants);
	return st;
}

status
sys_cap_drop(uint32_t slot)
{
	if (slot >= AEGIS_CAP_SLOTS)
		return AEGIS_BAD_ARG;
	lock_acquire(&node_lock);
	_slot_empty(&current()->caps[slot]);
	lock_release(&node_lock);
	return AEGIS_OK;
}

void
cap_release(struct env *e)
{
	lock_acquire(&node_lock);
	for (struct cap *slot = e->caps; slot < e->caps + AEGIS_CAP_SLOTS; slot++) {
		if (slot->word)
			_slot_empty(slot);
	}
	lock_release(&node_lock);
}

status
sys_cap_read(uint32_t slot, uint32_t area)
{
	struct env *self = current();
	struct aegis_cap_info *out = area_at(self, area, sizeof(*out));
	struct cap c;

	if (!out || area % sizeof(*out) || slot >= AEGIS_CAP_SLOTS)
		return AEGIS_BAD_ARG;
	if (!slot_read(self, slot, &c))
		return AEGIS_BAD_CAP;
	*(volatile struct aegis_cap_info *)out = (struct aegis_cap_info){
		.node = c.node,
		.rights = c.rights & AEGIS_ALL,
		.depth = nodes[c.node].depth,
		.live = node_live(c.node, c.generation),
	};
	return AEGIS_OK;
}
