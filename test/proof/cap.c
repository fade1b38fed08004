/* SPDX-License-Identifier: MIT */
/*
 * Names and capabilities: a check opens nothing that the name does not dominate, derived and granted
 * capabilities have no right that their source lacks, and after a revocation nothing opens by what was
 * revoked, not even when a node is used again.
 *
 * State: an arbitrary forest of nodes with consistent parents and depths, arbitrary slots.  Numbers of
 * nodes, generations and counts have eight bits here (the edit lines of the list): the code knows of
 * their size only where generations end, and that end moves along.
 */
#include "machine.h"
#include "kernel/cap.c"

#define GENERATIONS UINT8_MAX
#define COUNTS      100u

struct env *env_table[AEGIS_ENVS];
struct frame *frames;
uint32_t frame_count;
struct account accounts[ACCOUNTS];
static struct env self, other;
static struct aegis_cap_info info;
static bool control;
static int charged;

struct env *
current(void)
{
	return &self;
}

void *
area_at(struct env *e, uint32_t offset, uint32_t n)
{
	PROVE(e == &self && n == sizeof(info), "only the caller's area is written");
	return offset % 8 ? NULL : &info;
}

status
env_open(uint32_t cap, uint32_t env, uint32_t rights, struct env **out)
{
	(void)cap;
	(void)env;
	PROVE(rights == AEGIS_CONTROL, "granting needs control over the target");
	*out = &other;
	return control ? AEGIS_OK : AEGIS_DENIED;
}

void
env_unlock(const struct env *e)
{
	PROVE(e == &other, "what env_open locked is unlocked");
}

status
account_charge(uint32_t account, enum account_kind kind, uint32_t n)
{
	PROVE(account == self.account && kind == ACCOUNT_NODE && n == 1,
	      "who derives pays one name");
	if (nondet_bool())
		return AEGIS_LIMIT;
	charged++;
	return AEGIS_OK;
}

void
account_refund(uint32_t account, enum account_kind kind, uint32_t n)
{
	(void)account;
	PROVE(kind == ACCOUNT_NODE && n == 1, "a name at a time is refunded");
	charged--;
}

/* What the relations below follow, as arrays of bytes: a node of any number is a small choice there. */
static uint8_t up[NODES], depth[NODES], born[NODES], below[NODES];

static void
look(void)
{
	for (uint32_t i = 0; i < NODES; i++) {
		up[i] = nodes[i].parent;
		depth[i] = nodes[i].depth;
		born[i] = nodes[i].generation;
		below[i] = nodes[i].parent_generation;
	}
}

static bool
in_use(uint32_t n)
{
	look();
	return n == NODE_ROOT || up[n];
}

static uint32_t
named(uint32_t node)
{
	uint32_t n = 0, generation;

	look();
	generation = born[node];
	for (uint32_t i = 0; i < AEGIS_CAP_SLOTS; i++) {
		n += self.caps[i].node == node && self.caps[i].generation == generation;
		n += other.caps[i].node == node && other.caps[i].generation == generation;
	}
	return n;
}

/* A slot names no generation that is still to come (invariant 4). */
static bool
slot_good(const struct cap *c)
{
	uint32_t node = c->node;

	return node < pool_top && c->generation <= born[node] &&
	       (!node || in_use(node) || c->generation < born[node]);
}

/* In use: below its parent, or the root. */
static bool
node_good(uint32_t i)
{
	const struct node *n = &nodes[i];

	if (i == NODE_ROOT)
		return !n->parent && n->depth == 0 && n->generation && n->refs &&
		       n->refs < COUNTS && n->caps < COUNTS;
	if (n->parent)
		return i < pool_top && in_use(n->parent) && n->refs < COUNTS && n->caps < COUNTS &&
		       n->parent_generation <= born[n->parent] &&
		       n->depth == depth[n->parent] + 1 && n->depth <= AEGIS_DEPTH;
	return i >= pool_top ||
	       (n->refs < pool_top && (!n->refs || !up[n->refs]) && n->refs != NODE_ROOT);
}

/* Arbitrary, as the invariants of kernel/cap.c allow. */
static void
state_any(void)
{
	machine_me = 0;
	locks_held = charged = 0;
	node_lock.held = pool_lock.held = 0;
	ASSUME(pool_top >= 2 && pool_top <= NODES && pool_free < pool_top);
	ASSUME(!nodes[0].parent && nodes[0].generation == 0);
	look();
	for (uint32_t i = 1; i < NODES; i++) {
		ASSUME(nodes[i].parent < pool_top && nodes[i].dead <= 1);
		ASSUME(node_good(i) && nodes[i].generation < GENERATIONS - 1);
	}
	ASSUME(!pool_free || (pool_free != NODE_ROOT && !up[pool_free]));
	for (uint32_t i = 1; i < NODES; i++) {
		uint32_t children = 0;

		for (uint32_t j = 2; j < NODES; j++)
			children += nodes[j].parent == i;
		ASSUME(!in_use(i) || (nodes[i].refs >= children && nodes[i].caps >= named(i)));
	}
	for (uint32_t i = 0; i < AEGIS_CAP_SLOTS; i++)
		ASSUME(slot_good(&self.caps[i]) && slot_good(&other.caps[i]));
}

/* The same relation as node_dominates, in other words: the ancestor of guard at node's depth is node. */
static bool
above(uint32_t node, uint32_t guard)
{
	look();
	for (uint32_t i = 0; i < NODES; i++) {
		if (guard && guard != node)
			guard = up[guard];
	}
	return guard && guard == node;
}

/* Every name between node and the root is the one that its child was derived from. */
static bool
chain_whole(uint32_t node)
{
	bool whole = in_use(node);

	for (uint32_t i = 0; i < NODES; i++) {
		uint32_t parent = up[node];

		if (node == NODE_ROOT || !node)
			break;
		whole = whole && parent && below[node] == born[parent];
		node = parent;
	}
	return whole;
}

static bool
opens(const struct cap *c, uint32_t guard, uint32_t rights)
{
	return c->node && chain_whole(c->node) && born[c->node] == c->generation &&
	       above(c->node, guard) && (c->rights & rights) == rights;
}

void
proof_cap_check(void)
{
	uint32_t slot = nondet_u32(), guard = nondet_u32(), rights = nondet_u32();
	status st;

	state_any();
	ASSUME(guard < NODES);
	st = cap_check(&self, slot, guard, rights);
	PROVE((st == AEGIS_OK) ==
		      (slot < AEGIS_CAP_SLOTS && opens(&self.caps[slot], guard, rights)),
	      "a check succeeds exactly for a live name above the guard with the rights");
	PROVE(st == AEGIS_OK || st == AEGIS_BAD_CAP || st == AEGIS_DENIED, "documented answers");
	REACH(st == AEGIS_OK && self.caps[slot].node != guard);
	REACH(st == AEGIS_BAD_CAP && slot < AEGIS_CAP_SLOTS);
	REACH(st == AEGIS_DENIED);
}

void
proof_cap_node(void)
{
	uint32_t slot = nondet_u32(), rights = nondet_u32(), before, i = nondet_u32();
	status st;

	state_any();
	ASSUME(i < NODES);
	before = nodes[i].refs;
	st = cap_node_ref(&self, slot, rights);
	PROVE((st > 0) == (slot < AEGIS_CAP_SLOTS &&
			   opens(&self.caps[slot], self.caps[slot].node, rights)),
	      "only a live capability with the rights names its node");
	PROVE(IMPLIES(st > 0, self.caps[slot].node == st), "its own");
	PROVE(nodes[i].refs == before + (i == st), "one reference, to that node");
	check_locks();
	REACH(i == st);
}

void
proof_cap_derive(void)
{
	uint32_t from = nondet_u32(), rights = nondet_u32(), to = nondet_u32(), i = nondet_u32();
	struct cap source, kept, target, made;
	status st;

	state_any();
	ASSUME(i < AEGIS_CAP_SLOTS && i != to);
	source = from < AEGIS_CAP_SLOTS ? self.caps[from] : (struct cap){0};
	target = to < AEGIS_CAP_SLOTS ? self.caps[to] : (struct cap){0};
	kept = self.caps[i];
	st = sys_cap_derive(from, rights, to);
	check_locks();
	PROVE(self.caps[i].node == kept.node && self.caps[i].rights == kept.rights &&
		      self.caps[i].generation == kept.generation,
	      "no other slot changes");
	PROVE(charged == (st == AEGIS_OK), "a name is charged exactly if there is one");
	if (st != AEGIS_OK) {
		PROVE(IMPLIES(to < AEGIS_CAP_SLOTS, self.caps[to].node == target.node),
		      "a failure changes nothing");
		REACH(st == AEGIS_LIMIT);
		return;
	}
	made = self.caps[to];
	PROVE(!target.node, "no capability is overwritten");
	PROVE(source.rights & AEGIS_DERIVE, "the source may derive");
	PROVE((made.rights & ~source.rights) == 0, "no right is gained");
	PROVE(nodes[made.node].parent == source.node, "the new name lies below its source");
	PROVE(nodes[made.node].depth <= AEGIS_DEPTH, "depth is bounded");
	PROVE(nodes[made.node].caps == 1 && nodes[made.node].refs == 0, "it is fresh");
	PROVE(node_live(made.node, made.generation), "and live");
	PROVE(!above(made.node, source.node), "it does not dominate its source");
	PROVE(named(made.node) == 1, "no older slot opens it");
	REACH(st == AEGIS_OK && nodes[made.node].depth > 1);
}

void
proof_cap_grant(void)
{
	uint32_t from = nondet_u32(), rights = nondet_u32(), to = nondet_u32(), i = nondet_u32();
	struct cap source, kept, target;
	status st;

	state_any();
	ASSUME(i < AEGIS_CAP_SLOTS && i != to);
	source = from < AEGIS_CAP_SLOTS ? self.caps[from] : (struct cap){0};
	target = to < AEGIS_CAP_SLOTS ? other.caps[to] : (struct cap){0};
	kept = other.caps[i];
	st = sys_cap_grant(from, 0, 0, rights, to);
	check_locks();
	PROVE(other.caps[i].node == kept.node && other.caps[i].rights == kept.rights,
	      "no other slot changes");
	if (st != AEGIS_OK)
		return;
	PROVE(control, "only who controls the target grants to it");
	PROVE(!target.node, "no capability is overwritten");
	PROVE(source.rights & AEGIS_GRANT, "the source may be granted");
	PROVE((other.caps[to].rights & ~source.rights) == 0, "no right is gained");
	PROVE(other.caps[to].node == source.node && other.caps[to].generation == source.generation,
	      "the same name");
	PROVE(nodes[source.node].caps >= named(source.node), "its slots are counted");
	REACH(st == AEGIS_OK);
}

void
proof_cap_revoke(void)
{
	uint32_t slot = nondet_u32(), use = nondet_u32(), guard = nondet_u32();
	struct cap *c = &self.caps[slot], victim;
	bool below;
	status st;

	state_any();
	ASSUME(slot < AEGIS_CAP_SLOTS && use < AEGIS_CAP_SLOTS && guard < NODES);
	ASSUME(opens(c, c->node, AEGIS_REVOKE));
	victim = other.caps[use];
	below = victim.node && in_use(victim.node) && above(c->node, victim.node);
	node_lock.held = 1;
	st = _node_revoke(c, 0);
	node_lock.held = 0;
	if (st != AEGIS_OK)
		return;
	PROVE(IMPLIES(below, cap_check(&other, use, guard, 0) == AEGIS_BAD_CAP),
	      "what was granted or derived from the name opens nothing");
	PROVE(cap_check(&self, slot, c->node, 0) == AEGIS_OK, "who revokes keeps the name");
	REACH(below && victim.node != c->node &&
	      victim.generation == nodes[victim.node].generation);
	REACH(below && victim.node == c->node);
}

/* Dropping the last slot frees the name; used again, it is another: old slots open nothing. */
void
proof_cap_reuse(void)
{
	uint32_t slot = nondet_u32(), use = nondet_u32(), node, generation, again;

	state_any();
	ASSUME(slot < AEGIS_CAP_SLOTS && use < AEGIS_CAP_SLOTS);
	node = self.caps[slot].node;
	ASSUME(node != NODE_ROOT && in_use(node));
	ASSUME(nodes[node].caps == named(node));
	generation = nodes[node].generation;
	sys_cap_drop(slot);
	check_locks();
	PROVE(!self.caps[slot].node, "the slot is empty");
	PROVE(nodes[NODE_ROOT].generation && !nodes[NODE_ROOT].parent, "the root stays");
	if (nodes[node].parent) {
		PROVE(nodes[node].caps == named(node), "slots are counted");
		return;
	}
	PROVE(named(node) == 0, "a name is freed only when no slot opens it");
	again = _node_alloc(NODE_ROOT, 1);
	PROVE(IMPLIES(again, nodes[again].generation != 0 && named(again) == 0),
	      "a name that is used again opens by no old slot");
	REACH(again == node && nodes[node].generation != generation);
}

/* A node goes only when nothing refers to it, and takes its ancestors along only then. */
void
proof_cap_settle(void)
{
	uint32_t node = nondet_u32(), i = nondet_u32();
	struct node before;

	state_any();
	ASSUME(node < NODES && i < NODES && i > NODE_ROOT && in_use(node) && in_use(i));
	ASSUME(nodes[node].refs > 0);
	before = nodes[i];
	node_unref(node);
	check_locks();
	if (!nodes[i].parent) {
		PROVE(before.caps == 0, "a name with capabilities stays");
		PROVE(above(i, i) == true || before.refs > 0, "it was referred to");
		PROVE(nodes[i].generation == before.generation + 1, "and is another from now on");
	} else if (i != node) {
		PROVE(nodes[i].generation == before.generation, "others keep their generation");
		PROVE(before.refs - nodes[i].refs <= 1, "at most one child went");
	}
	PROVE(IMPLIES(!nodes[i].parent && i != node, before.refs == 1),
	      "an ancestor goes with its last reference only");
	REACH(!nodes[i].parent && i != node);
	REACH(nodes[i].parent && i == node);
}

void
proof_cap_bury(void)
{
	uint32_t node = nondet_u32(), i = nondet_u32();
	bool whole, other_whole;
	uint32_t caps;

	state_any();
	ASSUME(node > NODE_ROOT && node < pool_top && i > NODE_ROOT && i < pool_top && in_use(i));
	whole = chain_whole(node);
	other_whole = chain_whole(i);
	caps = nodes[i].caps;
	_node_bury(node);
	PROVE(IMPLIES(other_whole && caps, in_use(i) && nodes[i].caps == caps && chain_whole(i)),
	      "a live name loses nothing");
	PROVE(IMPLIES(!whole, !named(node) || nodes[node].dead), "a dead one has no slots");
	REACH(!whole && !in_use(node));
}

void
proof_cap_read(void)
{
	uint32_t slot = nondet_u32(), area = nondet_u32();
	struct cap c;
	status st;

	state_any();
	c = slot < AEGIS_CAP_SLOTS ? self.caps[slot] : (struct cap){0};
	st = sys_cap_read(slot, area);
	check_locks();
	PROVE((st == AEGIS_OK) == (c.node && area % sizeof(info) == 0),
	      "only a slot that names something is told of, and only into the caller's area");
	if (st != AEGIS_OK)
		return;
	PROVE(info.node == c.node && info.rights == (c.rights & AEGIS_ALL), "what the slot has");
	PROVE(info.live == (chain_whole(c.node) && born[c.node] == c.generation),
	      "live is what a check would find");
	REACH(info.live && info.depth);
	REACH(!info.live);
}
