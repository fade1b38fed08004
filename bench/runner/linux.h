/* SPDX-License-Identifier: MIT */
/* What the files about the Linux guest share. */
#ifndef BENCH_LINUX_H
#define BENCH_LINUX_H

#include "runner.h"

/* Without jobs: init alone, which then switches the machine off. */
void archive_write(const char *path, const char *jobs);

#endif
