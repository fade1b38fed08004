/* SPDX-License-Identifier: MIT */
/* Inside the descriptor layer and its callers that open by name: files that were closed lately; see park.c. */
#ifndef EXOS_FD_PARK_H
#define EXOS_FD_PARK_H

#include "exos/fd/fd.h"

#define PARK_PATH 96u /* a name is shorter */

/* An attempt to open. */
struct park_open {
	uint32_t slot;  /* of the name, SVC_PARKED: none */
	uint32_t close; /* object that SVC_OPEN is to close first, 0: none */
	uint64_t names;
};

/*
 * The file that `path` led to when it was opened for reading the last time, open again; or NULL, and *open is for
 * SVC_OPEN and park_opened.  path: aligned to 8, zeros up to the next multiple of 8 behind its length.
 */
struct file *park_open(const char *path, uint32_t length, struct park_open *open);
/* The service has opened f, and says that its name is steady. */
void park_opened(struct file *f, const char *path, uint32_t length, const struct park_open *open);

#endif
