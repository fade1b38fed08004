/* SPDX-License-Identifier: MIT */
/* A few frames and what one space holds of them, for harnesses of revocation. */
#ifndef PROOF_HOLDS_H
#define PROOF_HOLDS_H

#define FRAMES 4u

struct frame *frames;
uint32_t frame_count;
struct lock mem_lock, node_lock;
static struct frame frame_array[FRAMES];
static uint8_t holds[FRAMES];

/* What _hold_next promises: the next frame that is held, a step for each that was looked at. */
static uint32_t
holds_next(uint32_t pfn, uint32_t *steps)
{
	while (pfn < frame_count && *steps) {
		--*steps;
		if (holds[pfn])
			return pfn;
		pfn++;
	}
	return pfn < frame_count ? pfn : PFN_MAX;
}

#endif
