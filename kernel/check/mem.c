/* SPDX-License-Identifier: MIT */
/*
 * The invariants of frames (mem.c), checked: the exposed bitmap, and what accounts pay for.
 * For checked builds and tests.
 */
#include "../kernel.h"

static uint32_t seen_frames[ACCOUNTS];

static bool
bit_free(uint32_t pfn)
{
	const uint64_t *map = machine_frame(system_page->free_map_frame);

	return map[pfn / 64] >> pfn % 64 & 1;
}

/* Of a frame that need not be cleared before it is seen. */
static bool
frame_zeros(uint32_t pfn)
{
	const uint64_t *words = machine_frame(pfn);

	for (uint32_t i = 0; i < PAGE / 8; i++) {
		if (words[i])
			return false;
	}
	return frames[pfn].flags & FRAME_DIRTY;
}

static bool
frame_sound(uint32_t pfn)
{
	const struct frame *f = &frames[pfn];
	bool owned = f->kind >= FRAME_USER && f->kind <= FRAME_EXPOSED;

	if ((f->kind == FRAME_FREE) != bit_free(pfn))
		return false;
	if ((f->kind == FRAME_FREE || f->kind == FRAME_USER) && (f->flags & FRAME_ZERO) &&
	    !frame_zeros(pfn))
		return false;
	if (f->kind == FRAME_FREE || f->kind == FRAME_NONE)
		return !f->refs && !f->account;
	if (f->kind > FRAME_KERNEL || !f->refs)
		return false;
	if ((f->kind == FRAME_USER || f->kind == FRAME_TABLE || f->kind == FRAME_HOLD) &&
	    (!f->guard || !f->account))
		return false;
	if (owned && f->account)
		seen_frames[f->account]++;
	return f->account < ACCOUNTS && f->guard < NODES;
}

/* Call when nothing else runs: it compares whole tables. */
bool
mem_invariants(void)
{
	uint32_t free = 0;

	for (uint32_t i = 0; i < ACCOUNTS; i++)
		seen_frames[i] = 0;
	for (uint32_t i = 0; i < frame_count; i++) {
		if (!frame_sound(i))
			return false;
		free += frames[i].kind == FRAME_FREE;
	}
	for (uint32_t i = 1; i < ACCOUNTS; i++) {
		if (accounts[i].live)
			seen_frames[accounts[i].parent] += accounts[i].limit[ACCOUNT_FRAME];
	}
	for (uint32_t i = 1; i < ACCOUNTS; i++) {
		if (accounts[i].live && accounts[i].used[ACCOUNT_FRAME] != seen_frames[i])
			return false;
	}
	return free == system_page->free_frames;
}
