#include "proof.h"
#include "kernel/cap.c"
static struct env self;
struct env *env_table[AEGIS_ENVS];
struct env *current(void) { return &self; }
struct frame *frames; uint32_t frame_count;
struct account accounts[ACCOUNTS];
struct node nondet_node(void); struct cap nondet_cap(void);

void
proof(void)
{
	uint32_t slot = nondet_u32(), guard = nondet_u32(), rights = nondet_u32();
	__CPROVER_havoc_object(nodes);
	__CPROVER_havoc_object(&self);
	ASSUME(guard < NODES);
	ASSUME(__CPROVER_forall { uint32_t i; (i < NODES) ==> nodes[i].parent < NODES });
	status st = cap_check(&self, slot, guard, rights);
	PROVE(IMPLIES(st == AEGIS_OK, slot < AEGIS_CAP_SLOTS), "slot");
	if (st == AEGIS_OK) {
		const struct cap *c = &self.caps[slot];
		PROVE((c->rights & rights) == rights, "rights");
		PROVE(nodes[c->node].generation == c->generation, "gen");
		REACH(c->node != guard);
	}
	REACH(st == AEGIS_OK);
}
