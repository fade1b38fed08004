/* SPDX-License-Identifier: MIT */
/* The caller, an environment with an area of two frames, and another, for harnesses that include kernel/env.c. */
#ifndef PROOF_AREA_H
#define PROOF_AREA_H

#define AREA 100u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
struct node nodes[NODES];
struct account accounts[ACCOUNTS];
struct cpu cpus[AEGIS_CPUS];
static struct env self, other;
static uint8_t page0[PAGE], page1[PAGE];

void *
machine_frame(uint32_t pfn)
{
	PROVE(pfn == AREA || pfn == AREA + 1, "a frame of the caller's area");
	return pfn == AREA ? page0 : page1;
}

void *
machine_local(void)
{
	return &self;
}

#endif
