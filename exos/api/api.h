/* SPDX-License-Identifier: MIT */
/*
 * The library's own calls, for programs that know ExOS (include/exos/api.h).
 *
 * Owns the table of handlers; api_NAME serves exos_NAME.  Arguments come from the program: pointers are
 * followed by copy_in and copy_out only.
 */
#ifndef EXOS_API_API_H
#define EXOS_API_API_H

#include "exos/linux/call.h"
#include "api_asm.h"

/* The handler of a number at or above EXOS_CALL_BASE, NULL: there is none. */
call_handler api_handler(uint64_t number);

#endif
