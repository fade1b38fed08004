/* SPDX-License-Identifier: MIT */
/*
 * Names of the kernel's functions, for backtraces.
 *
 * The kernel is linked twice: first with an empty table, then with one made of the first link's
 * text symbols (tools/symbols).  The table lies behind the text, so that no function moves.
 */
#include "x86.h"

/* symbols.S: in order of address; offsets are from the start of the image, names from symbol_names.
 */
extern const uint32_t symbol_count;
extern const struct {
	uint32_t offset, name;
} symbol_table[];
extern const char symbol_names[];
extern uint8_t image_start[], text_end[];

const char *
symbol_find(uint64_t address, uint64_t *offset)
{
	uint64_t at = address - (uint64_t)image_start;
	uint32_t n = 0;

	if (address < (uint64_t)image_start || address >= (uint64_t)text_end)
		return NULL;
	while (n < symbol_count && symbol_table[n].offset <= at)
		n++;
	if (!n)
		return NULL;
	*offset = at - symbol_table[n - 1].offset;
	return symbol_names + symbol_table[n - 1].name;
}
