/* SPDX-License-Identifier: MIT */
/*
 * Visible revocation and the abort protocol, one mechanism for every kind of resource.
 *
 *   ask   revoke_ask(cap, env, kind, count, deadline): the request appears in the environment's page
 *         and is announced by AEGIS_PEND_REVOKE.  Frames that were marked droppable are taken first,
 *         without asking, and count.
 *   give  the library chooses which, and frees them (mem_free, slice_free).  Whatever it gives back
 *         counts until the request is satisfied.
 *   take  after the deadline the kernel takes what is missing, never what is guaranteed (pinned
 *         frames, tables, areas; the last slice).
 *   tell  what was taken is in the repossession vector, announced by AEGIS_PEND_REVOKE.
 *         A frame is told when its holding loses its rights.  It is free when its last binding is
 *         broken, some steps later at most; until then the request lasts, and another is IN_USE.
 * If the guaranteed alone are left and the request is not satisfied, the environment is ended with
 * AEGIS_END_REVOKE.
 */
#ifndef AEGIS_REVOKE_H
#define AEGIS_REVOKE_H

#define AEGIS_KIND_NONE  0u
#define AEGIS_KIND_FRAME 1u
#define AEGIS_KIND_SLICE 2u
#define AEGIS_KINDS      3u

#define AEGIS_TAKEN(kind, name) ((uint32_t)(kind) << 28 | ((name)&0x0fffffffu))

#endif
