/* SPDX-License-Identifier: MIT */
/*
 * The host channel: two streams of bytes between the machine and its host (a virtio console, VIRTIO
 * 1.1 section 5.3).  The device reads and writes memory by itself, so the kernel drives it; the
 * buffers are the claimer's own frames.
 *
 * chan_claim gives it to the caller.  chan_post queues a buffer: queue 0 is filled by the host, queue 1
 * is sent to it; one frame, offset and length within it.  Posts of a queue are numbered from 0; at
 * most AEGIS_CHAN_SLOTS are under way.  While posted, a frame counts as bound and cannot change owner.
 * Completions are in the channel page, which the claimer may bind: done[queue] counts them, in the
 * order of posting, and length[queue][n % AEGIS_CHAN_SLOTS] is the number of bytes received.  Each
 * completion counts an event of the claimer.
 */
#ifndef AEGIS_CHAN_H
#define AEGIS_CHAN_H

#include <stdint.h>

#define AEGIS_CHAN_SLOTS 64u

struct aegis_chan_page {
	uint32_t size, version;
	uint32_t done[2];
	uint32_t length[2][AEGIS_CHAN_SLOTS];
};

#endif
