/* SPDX-License-Identifier: MIT */
/* Names: derivation, grants, staleness, revocation with everything that rests on it. */
#include <pthread.h>
#include "host.h"

static struct env *first, *second;
static struct space *child;

/* Slot `slot` of the current environment's table, as cap_read shows it. */
static struct aegis_cap_info
info(uint32_t slot)
{
	struct aegis_cap_info i = {0};

	if (sys_cap_read(slot, HOST_RECORDS) == 0)
		i = *(struct aegis_cap_info *)host_area(current(), HOST_RECORDS);
	return i;
}

static status
revoke(uint32_t slot)
{
	status st;

	do
		st = sys_cap_revoke(slot);
	while (st == AEGIS_AGAIN);
	return st;
}

static bool
test_derive(void)
{
	EXPECT(sys_cap_derive(0, AEGIS_READ | AEGIS_WRITE | AEGIS_DERIVE, 1) == 0);
	EXPECT(info(1).depth == 1 && info(1).live &&
	       info(1).rights == (AEGIS_READ | AEGIS_WRITE | AEGIS_DERIVE));
	EXPECT(sys_cap_derive(1, AEGIS_ALLOC, 2) == AEGIS_DENIED); /* more than its source */
	EXPECT(sys_cap_derive(1, AEGIS_READ, 1) == AEGIS_IN_USE);
	EXPECT(sys_cap_derive(1, AEGIS_READ, 2) == 0);
	EXPECT(sys_cap_derive(2, AEGIS_READ, 3) == AEGIS_DENIED); /* no right to derive */
	EXPECT(sys_cap_derive(5, 0, 6) == AEGIS_BAD_CAP);
	EXPECT(sys_cap_derive(0, AEGIS_ALL + 1, 6) == AEGIS_BAD_ARG);
	EXPECT(sys_cap_derive(0, 0, 64) == AEGIS_BAD_ARG);
	EXPECT(sys_cap_derive(AEGIS_SELF, 0, 6) == AEGIS_BAD_CAP);
	EXPECT(node_dominates(info(0).node, info(2).node));
	EXPECT(!node_dominates(info(2).node, info(1).node));
	EXPECT(host_sound());
	EXPECT(sys_cap_drop(1) == 0); /* its child keeps the name */
	EXPECT(info(2).live && host_sound());
	EXPECT(sys_cap_drop(2) == 0);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 0);
	return host_sound();
}

static bool
test_depth(void)
{
	for (uint32_t i = 0; i < AEGIS_DEPTH; i++)
		EXPECT(sys_cap_derive(i, AEGIS_ALL, i + 1) == 0);
	EXPECT(sys_cap_derive(AEGIS_DEPTH, AEGIS_ALL, 20) == AEGIS_LIMIT);
	EXPECT(cap_check(current(), 0, info(AEGIS_DEPTH).node, AEGIS_ALL) == AEGIS_OK);
	EXPECT(host_sound());
	EXPECT(revoke(1) == 0 && info(1).live);
	for (uint32_t i = 2; i <= AEGIS_DEPTH; i++)
		EXPECT(!info(i).live);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 1);
	for (uint32_t i = 1; i <= AEGIS_DEPTH; i++)
		EXPECT(sys_cap_drop(i) == 0);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 0);
	return host_sound();
}

static bool
test_exhaust(void)
{
	uint32_t n = 0;

	/* A chain of names is kept by its last; a tree by the slots, so grow deep ones. */
	EXPECT(sys_cap_derive(0, AEGIS_ALL, 1) == 0);
	for (uint32_t slot = 2; slot < AEGIS_CAP_SLOTS; slot++, n++)
		EXPECT(sys_cap_derive(1, AEGIS_ALL, slot) == 0);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == n + 1);
	EXPECT(revoke(1) == 0);
	for (uint32_t slot = 1; slot < AEGIS_CAP_SLOTS; slot++)
		EXPECT(sys_cap_drop(slot) == 0);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 0);
	return host_sound();
}

static bool
test_grant(void)
{
	EXPECT(sys_cap_derive(0, AEGIS_ALL & ~AEGIS_GRANT, 1) == 0);
	EXPECT(sys_cap_derive(0, AEGIS_ALL, 2) == 0);
	EXPECT(sys_cap_grant(1, 0, second->number, AEGIS_READ, 0) == AEGIS_DENIED);
	EXPECT(sys_cap_grant(2, 1, second->number, AEGIS_READ, 0) == AEGIS_DENIED);
	EXPECT(sys_cap_grant(2, 0, 999, AEGIS_READ, 0) == AEGIS_NO_SUCH);
	EXPECT(sys_cap_grant(2, 0, second->number, AEGIS_ALL + 1, 0) == AEGIS_BAD_ARG);
	EXPECT(sys_cap_grant(2, 0, second->number, AEGIS_READ, 64) == AEGIS_BAD_ARG);
	EXPECT(sys_cap_grant(2, 0, second->number, AEGIS_READ | AEGIS_REVOKE, 0) == 0);
	EXPECT(sys_cap_grant(2, 0, second->number, AEGIS_READ, 0) == AEGIS_IN_USE);
	EXPECT(sys_cap_grant(2, AEGIS_SELF, first->number, AEGIS_READ, 3) == 0);
	EXPECT(host_sound());
	host_run(second);
	EXPECT(info(0).live && info(0).rights == (AEGIS_READ | AEGIS_REVOKE));
	EXPECT(sys_cap_grant(0, AEGIS_SELF, second->number, AEGIS_READ, 1) == AEGIS_DENIED);
	EXPECT(revoke(0) == 0 && info(0).live);
	host_run(first);
	EXPECT(!info(2).live && !info(3).live && info(1).live);
	EXPECT(sys_cap_derive(2, 0, 9) == AEGIS_BAD_CAP);
	for (uint32_t i = 1; i < 4; i++)
		EXPECT(sys_cap_drop(i) == 0);
	host_run(second);
	EXPECT(sys_cap_drop(0) == 0);
	host_run(first);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 0);
	return host_sound();
}

/* Revoking a name takes the frames below it out of every other space, bindings and all. */
static bool
test_revoke_frames(void)
{
	struct aegis_frame_rec r;
	uint32_t pfn, other = host_alloc(0);
	uint8_t *hold;

	EXPECT(sys_cap_derive(0, AEGIS_ALL, 1) == 0 && sys_cap_derive(1, AEGIS_ALL, 2) == 0);
	pfn = host_alloc(2);
	EXPECT(host_bind(0, child->number, 0x10010000, pfn, AEGIS_BIND_READ | AEGIS_BIND_WRITE) ==
	       1);
	EXPECT(host_bind(0, child->number, 0x10011000, pfn, AEGIS_BIND_READ) == 1);
	EXPECT(host_bind(0, child->number, 0x10012000, other, AEGIS_BIND_READ) == 1);
	EXPECT(host_bind(AEGIS_SELF, first->space->number, HOST_AREA + 0x10000, pfn,
			 AEGIS_BIND_READ) == 1);
	host_cpu = 1;
	host_run(second);
	EXPECT(machine_touch(1, 0x10010000, true) == 0 && machine_touch(1, 0x10012000, false) == 0);
	host_cpu = 0;
	EXPECT(revoke(1) == 0);
	hold = _hold_find(child, pfn);
	EXPECT(*hold == 0 && *_hold_find(child, other) != 0);
	EXPECT(machine_touch(1, 0x10010000, false) == 1 &&
	       machine_touch(1, 0x10012000, false) == 0);
	EXPECT(*_hold_find(first->space, pfn) != 0); /* the caller keeps what it has */
	EXPECT(revocation == 0);
	EXPECT(host_sound());
	r = (struct aegis_frame_rec){pfn, AEGIS_READ};
	host_put_frames(&r, 1);
	EXPECT(sys_mem_bind(2, HOST_RECORDS, 1) == AEGIS_BAD_CAP);
	EXPECT(sys_mem_bind(1, HOST_RECORDS, 1) == 1);
	EXPECT(host_delete(AEGIS_SELF, first->space->number, HOST_AREA + 0x10000, 1, 0) == 1);
	EXPECT(host_free(pfn) == 1 && host_delete(0, child->number, 0x10012000, 1, 0) == 1);
	r.pfn = other;
	host_put_frames(&r, 1);
	EXPECT(sys_mem_unshare(0, child->number, HOST_RECORDS, 1) == 1 && host_free(other) == 1);
	EXPECT(sys_cap_drop(1) == 0 && sys_cap_drop(2) == 0);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 0);
	host_cpu = 1;
	space_unload();
	host_cpu = 0;
	return host_sound();
}

/* While it is under way, holders cannot pass the frames on behind its back. */
static bool
test_revoke_share(void)
{
	struct aegis_frame_rec r;

	EXPECT(sys_cap_derive(0, AEGIS_ALL, 1) == 0);
	r = (struct aegis_frame_rec){host_alloc(1), AEGIS_READ};
	for (uint32_t i = 0; i < 100 && !revocation; i++)
		EXPECT(sys_cap_revoke(1) == AEGIS_AGAIN);
	host_put_frames(&r, 1);
	EXPECT(sys_mem_share(0, child->number, HOST_RECORDS, 1) == AEGIS_AGAIN);
	EXPECT(host_bind(0, child->number, 0x10010000, r.pfn, AEGIS_BIND_READ) == AEGIS_AGAIN);
	EXPECT(revoke(1) == 0);
	host_put_frames(&r, 1);
	EXPECT(sys_mem_share(0, child->number, HOST_RECORDS, 1) == 1);
	EXPECT(sys_mem_unshare(0, child->number, HOST_RECORDS, 1) == 1);
	EXPECT(host_free(r.pfn) == 1 && sys_cap_drop(1) == 0);
	return host_sound();
}

/* One that is given up half way is finished by the next. */
static bool
test_abandoned(void)
{
	uint32_t pfn;

	EXPECT(sys_cap_derive(0, AEGIS_ALL, 1) == 0 && sys_cap_derive(0, AEGIS_ALL, 2) == 0);
	pfn = host_alloc(1); /* so that there is something to look for */
	EXPECT(sys_cap_derive(1, AEGIS_ALL, 3) == 0);
	EXPECT(sys_cap_revoke(1) == AEGIS_AGAIN);
	EXPECT(!info(3).live);
	EXPECT(host_sound());
	EXPECT(sys_cap_drop(1) == 0);
	EXPECT(revoke(2) == 0 && info(2).live && revocation == 0);
	EXPECT(host_free(pfn) == 1);
	EXPECT(sys_cap_drop(2) == 0 && sys_cap_drop(3) == 0);
	EXPECT(accounts[1].used[ACCOUNT_NODE] == 0);
	return host_sound();
}

/* A slot that is written while it is read has one content or the other. */
static uint32_t flip_node;
static atomic_bool flip_stop;

static void *
flip(void *slot)
{
	while (!atomic_load(&flip_stop)) {
		_slot_write(slot, NODE_ROOT, nodes[NODE_ROOT].generation, AEGIS_READ);
		_slot_write(slot, flip_node, nodes[flip_node].generation, AEGIS_WRITE);
	}
	return NULL;
}

static bool
test_torn(void)
{
	pthread_t writer;
	uint32_t mixed = 0;

	EXPECT(sys_cap_derive(0, AEGIS_WRITE, 5) == 0);
	flip_node = info(5).node;
	EXPECT(pthread_create(&writer, NULL, flip, &first->caps[5]) == 0);
	for (uint32_t i = 0; i < 200000; i++) {
		mixed += cap_check(first, 5, NODE_ROOT, AEGIS_WRITE) == AEGIS_OK;
		mixed += cap_check(first, 5, flip_node, 0) != AEGIS_OK;
	}
	atomic_store(&flip_stop, true);
	pthread_join(writer, NULL);
	EXPECT(!mixed);
	EXPECT(sys_cap_drop(5) == 0 && !cap_check(first, 0, NODE_ROOT, AEGIS_ALL));
	return host_sound();
}

int
main(void)
{
	host_boot(HOST_FRAMES, 2);
	first = current();
	child = host_space(0, 0x10000000);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++)
		host_bind(0, child->number, 0x10000000 + i * PAGE, host_alloc(0),
			  AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED);
	second = host_env(child, 0x10000000, NODE_ROOT, 1);
	host_ok(test_derive(), "derive and drop");
	host_ok(test_depth(), "the deepest name, and the revocation of its chain");
	host_ok(test_exhaust(), "a full table of names");
	host_ok(test_grant(), "grant, and revocation by the grantee");
	host_ok(test_revoke_frames(), "revocation breaks holdings and bindings elsewhere");
	host_ok(test_revoke_share(), "no sharing behind its back");
	host_ok(test_abandoned(), "an abandoned revocation");
	host_ok(test_torn(), "a slot being written");
	return host_done();
}
