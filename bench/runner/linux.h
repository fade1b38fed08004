/* SPDX-License-Identifier: MIT */
/* What the files about the Linux guest share. */
#ifndef BENCH_LINUX_H
#define BENCH_LINUX_H

#include "runner.h"

enum archive {
	ARCHIVE_INIT, /* alone, which then switches the machine off */
	ARCHIVE_ROWS,
	ARCHIVE_EXAMPLES, /* and the module for memory disks, for which init makes more ready */
};
/* jobs: lines NAME PROGRAM ARGUMENT... */
void archive_write(const char *path, const char *jobs, enum archive kind);

/* `plugin`: its words; may be empty. */
void linux_start(struct guest *g, const char *archive, enum measure measure, const char *plugin,
		 bool mitigations_off);
bool linux_boot_await(struct guest *g);

#endif
