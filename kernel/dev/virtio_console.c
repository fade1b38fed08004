/* SPDX-License-Identifier: MIT */
/*
 * The host channel's device: a virtio console of one port (VIRTIO 1.1, section 5.3), without the
 * multiport feature, so that queue 0 receives and queue 1 sends and nothing else is said.
 *
 * Owns: the device, if the option chan=NUMBER says where in PCI it is; chan.c above it owns the slots.  Interrupts come to
 * processor 0, one vector for both queues.
 */
#include "dev.h"

#define NONE            0xffffu
#define CONSOLE_MODERN  0x10431af4u /* device and vendor */
#define CONSOLE_TRANSIT 0x10031af4u /* also speaks the older protocol */
_Static_assert(AEGIS_CHAN_SLOTS == VIRTIO_SLOTS, "a slot is a buffer");

static struct virtio device;
static struct virtio_queue queues[2];
static bool present;

void
virtio_console_init(void)
{
	uint32_t f = (uint32_t)option_number("chan", NONE) & 0xffff, name = pci_read(f, 0);

	if (f == NONE)
		return;
	if ((name != CONSOLE_MODERN && name != CONSOLE_TRANSIT) || !virtio_open(&device, f) ||
	    !pci_message(f, VECTOR_CHAN) || !virtio_queue_open(&device, &queues[0], 0) ||
	    !virtio_queue_open(&device, &queues[1], 1)) {
		log_print("chan: no console that can be used at %x\n", f);
		return;
	}
	virtio_start(&device);
	present = true;
}

bool
machine_chan_present(void)
{
	return present;
}

void
machine_chan_post(uint32_t queue, uint32_t slot, uint64_t address, uint32_t length)
{
	virtio_post(&queues[queue], slot, address, length, queue == 0);
}

void
virtio_console_interrupt(void)
{
	uint32_t slot, length;

	for (uint32_t queue = 0; queue < 2; queue++) {
		/* Bounded: no more can be used than were posted before this began. */
		for (uint32_t n = 0;
		     n < VIRTIO_SLOTS && virtio_take(&queues[queue], &slot, &length); n++)
			chan_done(queue, slot, length);
	}
}
