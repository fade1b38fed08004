/* SPDX-License-Identifier: MIT */
/*
 * ExOS: the shape of an environment of the library, whatever its role.
 *
 * One image is mapped at EXOS_IMAGE, read only and executable, into every space.  It has no writable
 * data: all state of an environment is reached through GS, which points at struct control, the first
 * page of its area.  Three roles run the same image:
 *
 *	supervisor	the boot environment: owns the host channel, starts the domains
 *	service		one a domain: name space, process table, terminals; entered by transfer
 *	process		an unmodified program with the library under it
 *
 * Addresses, the same in every role.  All of ExOS lies in one level-1 table, except the arena; the arena begins
 * in the middle of one, so that the program's stack, just below it, has the same, and 128 MiB into a GiB, so that
 * the program's mappings share a level-2 table with both: each table that a process does not need is 512 words
 * that need not be cleared.
 *
 *
 *	EXOS_ARENA	objects mapped by the library itself: file windows, rings, other spaces' pages
 *	EXOS_IMAGE	the image, also the vDSO that the program is shown
 *	EXOS_AREA	control page, batch page, upcall stack (guaranteed)
 *	EXOS_ENVPAGE	the kernel's page about this environment (read only)
 *	EXOS_SYSPAGE	the system page (read only)
 *	EXOS_MAIL	process: what the service says about it (read only); service: host page
 *	EXOS_MSG	process: long arguments and answers of service calls, shared with the service
 *	EXOS_PRIVATE	struct process / struct service / struct super
 *	EXOS_HEAP	pages of the private heap
 *	EXOS_COPY	windows for copying pages into other spaces
 */
#ifndef EXOS_EXOS_H
#define EXOS_EXOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXOS_ARENA         0x00007f7fc8100000ul
#define EXOS_ARENA_END     0x00007f7fe8100000ul
#define EXOS_TRUTH         EXOS_ARENA_END /* supervisor, service: frames of the arena's pages, 512 KiB */
#define EXOS_BASE          0x00007f7fefe00000ul
#define EXOS_IMAGE         EXOS_BASE
#define EXOS_AREA          (EXOS_BASE + 0x100000)
#define EXOS_AREA_PAGES    8u
#define EXOS_ENVPAGE       (EXOS_BASE + 0x108000)
#define EXOS_SYSPAGE       (EXOS_BASE + 0x109000)
#define EXOS_MAIL          (EXOS_BASE + 0x10a000)
#define EXOS_MSG           (EXOS_BASE + 0x10c000)
#define EXOS_MSG_PAGES     4u
#define EXOS_PRIVATE       (EXOS_BASE + 0x110000)
#define EXOS_PRIVATE_PAGES 16u
#define EXOS_HEAP          (EXOS_BASE + 0x120000)
#define EXOS_HEAP_PAGES    160u
#define EXOS_COPY          (EXOS_BASE + 0x1c0000)
#define EXOS_COPY_PAGES    64u
#define EXOS_USER_TOP      EXOS_ARENA /* programs live below */

/*
 * Protection key of the private pages and the private heap.  With control->keys set, a stray store of the
 * program into them faults; it stops accidents, not intent, because WRPKRU is not privileged.
 */
#define EXOS_KEY 1u

/* Slots of the capability table, and gates. */
#define EXOS_CAP_OWN      0u /* own name: frames, own environment; process: its user's name */
#define EXOS_CAP_DOMAIN   1u /* process: WAKE of everybody in the domain */
#define EXOS_CAP_PEER     4u /* process: CALL of another, for as long as it takes to make a gate */
#define EXOS_CAP_SERVICE  5u /* process: CALL of the service; service: its own name, to give that */
#define EXOS_CAP_HOST     2u /* service: WAKE of the supervisor */
#define EXOS_GATE_SERVICE 0u

enum exos_role { ROLE_SUPERVISOR = 0, ROLE_SERVICE = 1, ROLE_PROCESS = 2 };

#endif
