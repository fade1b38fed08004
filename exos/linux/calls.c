/* SPDX-License-Identifier: MIT */
/*
 * Names and argument types of Linux calls, for logs and counters.
 *
 * Owns one constant block of characters and one constant index into it, both made from calls.def.
 * Callable in any context; nothing is ever written.
 *
 * 1. index[n].name == 0 exactly for numbers without a line: offset 0 holds "?".
 */
#include "exos/linux/calls.h"

#include <stddef.h>

static const struct {
	char none[2];
#define CALL(number, name, nargs, types, where) \
	char name_##name[sizeof(#name)];        \
	char types_##name[(nargs) + 1];
#include "exos/linux/calls.def"
#undef CALL
} text = {
	.none = "?",
#define CALL(number, name, nargs, types, where) .name_##name = #name, .types_##name = types,
#include "exos/linux/calls.def"
#undef CALL
};

static const struct {
	uint16_t name;
	uint16_t types;
	uint8_t nargs;
	uint8_t where;
} call_index[LX_NR_LIMIT] = {
#define CALL(number, call, n, letters, place)                                \
	[number] = {                                                         \
		.name = (uint16_t)offsetof(__typeof__(text), name_##call),   \
		.types = (uint16_t)offsetof(__typeof__(text), types_##call), \
		.nargs = (n),                                                \
		.where = CALL_WHERE_##place,                                 \
	},
#include "exos/linux/calls.def"
#undef CALL
};

_Static_assert(sizeof(text) <= UINT16_MAX, "offsets fit");
#define CALL(number, name, nargs, types, where) \
	_Static_assert((nargs) == sizeof(types) - 1 && (nargs) <= 6, #name);
#include "exos/linux/calls.def"
#undef CALL

bool
call_info_read(uint64_t number, struct call_info *info)
{
	const char *base = (const char *)&text;
	bool known = number < LX_NR_LIMIT && call_index[number].name != 0;

	info->name = base;
	info->types = base + 1;
	info->nargs = 0;
	info->where = CALL_WHERE_NONE;
	if (!known)
		return false;
	info->name = base + call_index[number].name;
	info->types = base + call_index[number].types;
	info->nargs = call_index[number].nargs;
	info->where = call_index[number].where;
	return true;
}

const char *
call_name(uint64_t number)
{
	struct call_info info;

	call_info_read(number, &info);
	return info.name;
}
