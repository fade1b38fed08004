/* SPDX-License-Identifier: MIT */
/*
 * Dispatch: the table that the light path of entry.S calls through, made from syscalls.def.
 *
 * Each sys_ function gets its arguments in registers, checks first and then commits; it answers a value
 * or an enum aegis_status.  The assembly passes 64-bit registers; the narrower parameter types make
 * the compiler look at the low halves only, as the table says.
 */
#include "kernel.h"

extern const void *const sys_table[AEGIS_CALLS];
const void *const sys_table[AEGIS_CALLS] = {
#define CALL(n, name, ...) [n] = (const void *)sys_##name,
#include <aegis/syscalls.def>
};

/* The entry code answers by itself when nothing is pending. */
status
sys_null(void)
{
	const struct env *self = current(); /* runs, so that it has an area */
	const volatile struct aegis_area *area = machine_frame(self->area[0]);

	if (area->pending && !area->defer)
		machine_ipi(machine_cpu());
	return AEGIS_OK;
}

status
sys_log_write(uint32_t cap, uint32_t area, uint32_t n)
{
	struct env *self = current();
	status st = cap_node(self, cap, AEGIS_LOG);
	const char *text;

	if (st < 0)
		return st;
	text = n <= 1024 ? area_at(self, area, n) : NULL;
	if (!text)
		return AEGIS_BAD_ARG;
	log_text(text, n);
	return n;
}

status
sys_power_off(uint32_t cap, uint32_t code)
{
	status st = cap_node(current(), cap, AEGIS_POWER);

	if (st < 0)
		return st;
	if (code > 255)
		return AEGIS_BAD_ARG;
	chaos_report();
	check_report();
	log_print("power off, status %u\n", code);
	machine_off(MACHINE_OFF_CLEAN);
}
