/* SPDX-License-Identifier: MIT */
/*
 * Capabilities.
 *
 * Every resource is named physically (frame number, slice number, environment number) and carries a
 * guard: a node in a tree of names that the kernel keeps.  A capability is a slot in an environment's
 * own table, in kernel memory: it names a node, a generation of that node, and rights.  A capability
 * opens a resource when its node is the resource's guard or an ancestor of it (it dominates the
 * guard), its generation is current, and its rights include what the call needs.  Users hold slot
 * numbers only, so nothing can be forged.
 *
 *   derive   makes a child node: a narrower name, with a subset of the rights
 *   grant    copies a capability, or a subset of its rights, into another environment's table
 *   revoke   makes every other capability to this node, and all to nodes below it, stale, and
 *            breaks the frame holdings that rest on those nodes outside the caller's space;
 *            until it has answered 0, such frames cannot be shared, and holdings that are made
 *            by what is derived from the node anew may go with the others
 *
 * The slot AEGIS_SELF stands for the caller's authority over its own environment and space, which
 * needs no capability.  Source: Engler et al., SOSP'95, section 3.1; hierarchically named
 * capabilities after Mazieres and Kaashoek, HotOS'97.
 */
#ifndef AEGIS_CAP_H
#define AEGIS_CAP_H

#include <stdint.h>

#define AEGIS_CAP_SLOTS 64 /* capability slots of an environment */
#define AEGIS_SELF      0xffffu

/* Rights.  A derived or granted capability never has one that its source lacks. */
#define AEGIS_READ    (1u << 0)  /* bind frames for reading */
#define AEGIS_WRITE   (1u << 1)  /* bind frames for writing, change guards */
#define AEGIS_ALLOC   (1u << 2)  /* allocate frames, make environments and spaces under this name */
#define AEGIS_CONTROL (1u << 3)  /* inspect, change and destroy environments and spaces */
#define AEGIS_WAKE    (1u << 4)  /* wake an environment */
#define AEGIS_CALL    (1u << 5)  /* transfer control to an environment */
#define AEGIS_REVOKE  (1u << 6)  /* ask for resources back, revoke this capability */
#define AEGIS_GRANT   (1u << 7)  /* copy this capability, share frames held through it */
#define AEGIS_SLICE   (1u << 8)  /* allocate time slices */
#define AEGIS_DEVICE  (1u << 9)  /* claim interrupts, ports and device frames */
#define AEGIS_POWER   (1u << 10) /* end the machine */
#define AEGIS_DERIVE  (1u << 11) /* make narrower names */
#define AEGIS_LOG     (1u << 12) /* write to the kernel's log */
#define AEGIS_ALL     0x1fffu

#define AEGIS_DEPTH 12 /* deepest name, so that a dominance check has a bound */

/* cap_read writes this into the caller's area. */
struct aegis_cap_info {
	uint32_t node;   /* node number; the root is 1 */
	uint32_t rights; /* AEGIS_READ ... */
	uint32_t depth;  /* distance from the root */
	uint32_t live;   /* 1 if the generation is current */
};
_Static_assert(sizeof(struct aegis_cap_info) == 16, "ABI");

#endif
