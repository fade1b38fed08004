/* SPDX-License-Identifier: MIT */
/*
 * What can be known about machine code without trusting a disassembly: private to the rewriter.
 *
 * A *chain* is the sequence of instructions decoded one behind the other from some start. The code
 * that a processor really runs up to an address is the end of a chain; which one is unknown, so
 * chains from every start in a window further back are followed. Offsets count from the first byte
 * of the view's text.
 */
#ifndef EXOS_LINUX_REWRITE_SCAN_H
#define EXOS_LINUX_REWRITE_SCAN_H

#include "rewrite.h"

/* Starts of chains lie SCAN_NEAR..SCAN_FAR bytes back. The span exceeds INSN_MAX, so that code
 * which runs through it has an instruction beginning inside. */
#define SCAN_NEAR 32
#define SCAN_FAR  64

/* A direct branch of 8 bits reaches this far, from the byte behind it. */
#define SCAN_SHORT 128

/* Answers of scan_boundary() that are no lengths. */
#define SCAN_NONE  0    /* no chain arrives */
#define SCAN_SPLIT 0xff /* chains disagree */

/* The length of the last instruction before `goal` on which all chains agree that arrive there.
 * `all`: chains that step over `goal` count as disagreement.
 * `near`: so do chains from closer starts where code may begin: aligned addresses and branch
 * targets. */
unsigned scan_boundary(const struct rewrite_view *view, size_t goal, bool all, bool near);

/* True if some chain arrives at `goal`, or `goal` is itself a place where code may begin. */
bool scan_plausible(const struct rewrite_view *view, size_t goal);

/* True if a direct branch or a known pointer may lead to an offset in [from, to). Short branches
 * that no chain reaches are disregarded if `decoded`. */
bool scan_targeted(const struct rewrite_view *view, size_t from, size_t to, bool decoded);

/* True if there may be an indirect jump, other than through a slot at a fixed address, within
 * `radius` bytes. */
bool scan_indirect(const struct rewrite_view *view, size_t at, size_t radius);

#endif
