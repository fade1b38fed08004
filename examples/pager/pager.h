/* SPDX-License-Identifier: MIT */
/* What the pager's own paging and the kernel's, on Linux, have in common: data, its limit, and the work. */
#ifndef PAGER_H
#define PAGER_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE  4096ul
#define WORDS (PAGE / sizeof(uint64_t))

extern uint64_t *data;
extern uint32_t pages, memory; /* of data; of them at most in memory */

uint64_t work(int workload); /* its sum */

/* Where paging is the kernel's affair: data, and its limit if there is a group; random: without read-ahead. */
void linux_make(const char *store, const char *group, bool random);
/* A workload there; prints what it cost. */
void linux_run(const char *name, int workload);

#endif
