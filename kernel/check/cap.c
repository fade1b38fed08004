/* SPDX-License-Identifier: MIT */
/*
 * The invariants of names and capabilities (cap.c), checked: references and slots are counted again.
 * For checked builds and tests.
 */
#include "../kernel.h"

/* Slots and children of each node, and what frames, spaces and environments it guards. */
static uint32_t seen_refs[NODES], seen_caps[NODES];

static bool
slots_count(const struct env *e)
{
	for (uint32_t i = 0; i < AEGIS_CAP_SLOTS; i++) {
		const struct cap *c = &e->caps[i];

		if (!c->node)
			continue;
		if (c->node >= NODES)
			return false;
		if (nodes[c->node].generation == c->generation)
			seen_caps[c->node]++;
	}
	return true;
}

static void
guards_count(void)
{
	for (uint32_t i = 0; i < NODES; i++)
		seen_refs[i] = seen_caps[i] = 0;
	for (uint32_t i = 0; i < frame_count; i++) {
		if (frames[i].kind >= FRAME_USER && frames[i].kind <= FRAME_EXPOSED &&
		    frames[i].guard < NODES)
			seen_refs[frames[i].guard]++;
	}
	for (uint32_t i = 1; i < SPACES; i++) {
		struct space *s = space_find(i);

		if (!s)
			continue;
		seen_refs[s->guard]++;
		space_put(s);
	}
	for (uint32_t i = 0; i < node_top(); i++)
		seen_refs[nodes[i].parent]++;
}

/* Call when nothing else runs: it compares whole tables. */
bool
cap_invariants(void)
{
	guards_count();
	for (uint32_t i = 1; i < AEGIS_ENVS; i++) {
		if (!env_table[i])
			continue;
		seen_refs[env_table[i]->guard]++;
		if (!slots_count(env_table[i]))
			return false;
	}
	for (uint32_t i = NODE_ROOT + 1; i < NODES; i++) {
		const struct node *n = &nodes[i];

		if (!n->parent) {
			if (seen_refs[i] || seen_caps[i])
				return false;
			continue;
		}
		if (n->caps != seen_caps[i] || n->refs != seen_refs[i] + revocation_refs(i) ||
		    n->depth != nodes[n->parent].depth + 1 || n->depth > AEGIS_DEPTH ||
		    (!n->caps && !n->refs) || (n->dead && n->caps))
			return false;
	}
	return nodes[NODE_ROOT].generation > 0 && !nodes[NODE_ROOT].parent;
}
