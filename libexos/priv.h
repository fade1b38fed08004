/* SPDX-License-Identifier: MIT */
/* Shared by the files of libexos. */
#ifndef LIBEXOS_PRIV_H
#define LIBEXOS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

/* mem.c: enum aegis_status as a negative Linux error number. */
int64_t exos_status_error(int64_t status);
/* False: not on ExOS. */
bool exos_mem_ready(void);

#endif
