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

struct control;

/* The control page, its words from serve_entry on those of this environment. */
struct control *api_own(void);
int api_setup_write(void); /* what the kernel knows of it becomes what these words say */

/* serve.S: FS base; MXCSR and x87 control word. */
uint64_t api_fs_read(void);
uint64_t api_modes_read(void);
void api_state_write(uint64_t fs, uint64_t modes);

/* Begun without a context: goes on behind exos_accept if the process slept there, else returns. */
void api_unpark(void);
void api_exec(void); /* a new program: serves nothing, has no gates */

/* clang-format off */
#define EXOS_CALL(name) int64_t api_##name(struct call *c);
#define EXOS_DIRECT(name)
#include <exos/calls.def>
#undef EXOS_CALL
#undef EXOS_DIRECT
/* clang-format on */

/* The handler of a number at or above EXOS_CALL_BASE, NULL: there is none. */
call_handler api_handler(uint64_t number);

#define EXOS_CALL(name) int64_t api_##name(struct call *c);
#define EXOS_DIRECT(name)
#include <exos/calls.def>
#undef EXOS_CALL
#undef EXOS_DIRECT

#endif
