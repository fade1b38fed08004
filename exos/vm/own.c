/* SPDX-License-Identifier: MIT */
/*
 * Ranges whose page table is the program's own (include/exos/mem.h).
 *
 * Owns nothing but the regions with VM_OWNED: no page of them has an entry here.
 *
 * 1. The library binds nothing in such a range, mends no fault there, and changes no protection.
 * 2. When the range goes (munmap, a mapping in its place, exec), what is bound in it is unbound, and
 *    its frames are given back, whoever took them.  Frames that are not bound are the program's care.
 * 3. Fork leaves the range, empty, to the child: no page entry, nothing to bind.
 *
 * What is bound is read from the kernel's window, so that the program need not be asked.
 */
#include "priv.h"

int64_t
vm_own(uint64_t addr, uint64_t len)
{
	return vm_map(addr, len, VM_OWNED, NULL, 0, addr != 0, false);
}

bool
vm_owned(uint64_t addr)
{
	const struct region *r = vm_find(addr);

	return r && (r->flags & VM_OWNED);
}

/* The entry for va in its page table; NULL: there is none, nor for the *reach bytes around va. */
static const volatile uint64_t *
window_entry(uint64_t va, uint64_t *reach)
{
	const volatile uint64_t *level[4];

	level[0] = aegis_window(va);
	for (int i = 1; i < 4; i++)
		level[i] = aegis_window((uint64_t)level[i - 1]);
	for (int i = 3; i > 0; i--) {
		*reach = PAGE << (9 * i);
		if (!(*level[i] & AEGIS_PTE_PRESENT) || (*level[i] & AEGIS_PTE_LARGE))
			return NULL;
	}
	return level[0];
}

/* Up to RUN_MAX pages from *va on, in one table; answers how many frames, which are in pfns. */
static uint32_t
run_read(uint64_t *va, uint64_t end, uint32_t *pfns)
{
	uint64_t reach;
	const volatile uint64_t *entry = window_entry(*va, &reach);
	uint32_t n = 0;

	if (!entry) {
		*va = (*va | (reach - 1)) + 1;
		return 0;
	}
	for (uint32_t i = 0; i < RUN_MAX && *va < end; i++, entry++) {
		if (*entry & AEGIS_PTE_PRESENT)
			pfns[n++] = (uint32_t)((*entry & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT);
		*va += PAGE;
		if (*va % (512 * PAGE) == 0)
			break;
	}
	return n;
}

void
own_drop(uint64_t start, uint64_t end)
{
	uint64_t at = start;

	while (at < end) {
		uint32_t pfns[RUN_MAX];
		uint64_t from = at;
		uint32_t n = run_read(&at, end, pfns);

		if (!n)
			continue;
		core_unbind(from, (uint32_t)((at - from) / PAGE));
		core_frames_free(pfns, n);
	}
}
