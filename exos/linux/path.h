/* SPDX-License-Identifier: MIT */
/*
 * Names on their way to the service.
 *
 * A path is copied from the program to private memory first and then to EXOS_MSG, because the copy
 * may fault and the fault handler's own calls use EXOS_MSG.
 */
#ifndef EXOS_LINUX_PATH_H
#define EXOS_LINUX_PATH_H

#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/linux/abi.h"

#define PATH_SECOND 4096u /* offset of a second path in EXOS_MSG */

struct path {
	char text[LX_PATH_MAX];
	size_t length;
};

/* Where a call of the service is to look: its `dir` and `path length`. */
struct place {
	uint64_t dir, length;
};

/* 0, -EFAULT, -ENAMETOOLONG */
int64_t path_take(struct path *path, uint64_t user);
/*
 * Puts the path into EXOS_MSG.  at_flags: LX_AT_EMPTY_PATH lets an empty path mean dirfd itself.
 * 0, -ENOENT, -EBADF, -ENOTDIR
 */
int64_t path_place(struct place *place, const struct path *path, int dirfd, uint32_t at_flags,
		   size_t msg_offset);
/* Both for one path. */
int64_t path_locate(struct place *place, int dirfd, uint64_t user, uint32_t at_flags);

/* A call of the service on a place: op(dir, length, c, d, e). */
int64_t place_call(uint32_t op, const struct place *place, uint64_t c, uint64_t d, uint64_t e);

/* stat.c: fstatat in the file system's own terms. */
int64_t stat_at(int dirfd, uint64_t user, uint32_t at_flags, struct fs_stat *out);

#endif
