/* SPDX-License-Identifier: MIT */
/*
 * Chaos (boot option chaos=SEED): the kernel does at random what it may do at any time.
 *
 * At entries, with small probabilities, it drops every binding of the current space that is not
 * guaranteed, ends the slice early, and asks the environment for a few frames.  Programs must not
 * notice.  It is how the tests show that the page table is a cache, that upcalls nest, and that
 * revocation works.  Nothing here weakens protection; off, it costs one test of a flag.
 */
#include "kernel.h"

bool chaos_on;
static uint64_t state;

void
chaos_init(void)
{
	const char *seed = option_find("chaos");

	if (!seed)
		return;
	while (*seed >= '0' && *seed <= '9')
		state = state * 10 + (uint64_t)(*seed++ - '0');
	state = state * 2 + 1;
	chaos_on = true;
}

static uint32_t
next(void)
{
	uint64_t x = __atomic_add_fetch(&state, 0x9e3779b97f4a7c15ul, __ATOMIC_RELAXED);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ x >> 27) * 0x94d049bb133111ebul;
	return (uint32_t)(x >> 32);
}

void
chaos_step(struct regs *regs)
{
	struct env *e = current();
	uint32_t r = next();

	(void)regs;
	if (r % 64 == 0) {
		COUNT(chaos_drops);
		lock_acquire(&e->space->lock);
		_space_drop(e->space);
		lock_release(&e->space->lock);
	}
	if ((r >> 8) % 16 == 0) {
		COUNT(chaos_slices);
		upcall_post(e, AEGIS_PEND_SLICE);
	}
	if ((r >> 16) % 16 == 0)
		upcall_post(e, AEGIS_PEND_EVENT);
}
