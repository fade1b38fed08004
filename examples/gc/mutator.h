/* SPDX-License-Identifier: MIT */
/* A program for the collector: deterministic, so that its sum is the same on every system. */
#ifndef MUTATOR_H
#define MUTATOR_H

#include "collector.h"

#define TREE_DEPTH 13u /* 16,383 nodes */
#define CHANGES    40u /* old nodes that get a new subtree in a round */
#define GARBAGE    4000u

void mutator_make(void);
void mutator_round(void);
uint64_t mutator_sum(void);

#endif
