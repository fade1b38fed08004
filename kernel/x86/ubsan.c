/* SPDX-License-Identifier: MIT */
/*
 * Undefined behaviour is a panic that names the place (kernels built with UBSAN=1).
 *
 * The compiler calls one of these with a record that begins with the place; a handler whose record
 * begins with something else is not among them.
 */
#include "x86.h"

struct place {
	const char *file;
	uint32_t line, column;
};

static _Noreturn void
found(const char *what, const struct place *place)
{
	char why[160];

	print_to(why, sizeof(why), "undefined behaviour: %s at %s:%u:%u", what, place->file,
		 place->line, place->column);
	machine_panic(why, NULL);
}

#define HANDLER(name)                                                            \
	_Noreturn void __ubsan_handle_##name(const struct place *place);         \
	_Noreturn void __ubsan_handle_##name##_abort(const struct place *place); \
	void __ubsan_handle_##name(const struct place *place)                    \
	{                                                                        \
		found(#name, place);                                             \
	}                                                                        \
	void __ubsan_handle_##name##_abort(const struct place *place)            \
	{                                                                        \
		found(#name, place);                                             \
	}

HANDLER(type_mismatch_v1)
HANDLER(alignment_assumption)
HANDLER(add_overflow)
HANDLER(sub_overflow)
HANDLER(mul_overflow)
HANDLER(negate_overflow)
HANDLER(divrem_overflow)
HANDLER(shift_out_of_bounds)
HANDLER(out_of_bounds)
HANDLER(builtin_unreachable)
HANDLER(missing_return)
HANDLER(vla_bound_not_positive)
HANDLER(float_cast_overflow)
HANDLER(load_invalid_value)
HANDLER(implicit_conversion)
HANDLER(invalid_builtin)
HANDLER(nonnull_arg)
HANDLER(pointer_overflow)
