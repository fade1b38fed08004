/* SPDX-License-Identifier: MIT */
/*
 * What the table of Linux calls yields: numbers, declarations of handlers, names.
 *
 * Owns the naming convention: the handler of call NAME is sys_NAME; it takes the call and returns
 * its result, a value or a negated error number. struct call belongs to the entry code.
 *
 * 1. Every name here comes from calls.def; nothing is listed twice.
 * 2. Names are stored without pointers, so a position-independent image needs no relocation.
 */
#ifndef EXOS_LINUX_CALLS_H
#define EXOS_LINUX_CALLS_H

#include <stdbool.h>
#include <stdint.h>

struct call;

/* Numbers: LX_NR_read and so on. */
enum {
#define CALL(number, name, nargs, types, where) LX_NR_##name = (number),
#include "exos/linux/calls.def"
#undef CALL
};

/* Slots needed by a table indexed by call number. */
#define LX_NR_LIMIT 463

enum call_where { CALL_WHERE_NONE, CALL_WHERE_LOCAL, CALL_WHERE_SERVICE };

struct call_info {
	const char *name;  /* "read" */
	const char *types; /* one letter per argument, see calls.def */
	uint8_t nargs;
	uint8_t where; /* enum call_where */
};

/*
 * Describes call `number`. Returns false, with name "?" and no arguments, if Linux has no such
 * call as far as the table knows.
 */
bool call_info_read(uint64_t number, struct call_info *info);

/* The name alone, "?" if there is none. */
const char *call_name(uint64_t number);

/* lock.c: fcntl(f, F_GETLK ... F_OFD_SETLKW, user). */
struct file;
int64_t lock_fcntl(struct file *f, uint32_t command, uint64_t user);

#define CALL_DECLARE_NONE(name)
#define CALL_DECLARE_LOCAL(name)                int64_t sys_##name(struct call *c);
#define CALL_DECLARE_SERVICE(name)              int64_t sys_##name(struct call *c);
#define CALL(number, name, nargs, types, where) CALL_DECLARE_##where(name)
#include "exos/linux/calls.def"
#undef CALL
#undef CALL_DECLARE_NONE
#undef CALL_DECLARE_LOCAL
#undef CALL_DECLARE_SERVICE

#endif
