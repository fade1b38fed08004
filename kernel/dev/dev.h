/* SPDX-License-Identifier: MIT */
/* What the device files share: PCI functions, by number, and virtio devices on them. */
#ifndef KERNEL_DEV_DEV_H
#define KERNEL_DEV_DEV_H

#include "../x86/x86.h"

/* ---- pci.c ---- */
uint32_t pci_read(uint32_t f, uint32_t offset); /* offset: a multiple of 4 */
/* Next capability `id` after offset `from` (0: the first); 0: none. */
uint32_t pci_capability(uint32_t f, uint8_t id, uint32_t from);
/* Registers [offset, offset + length) of memory register n, mapped; NULL: not there. */
volatile void *pci_map(uint32_t f, uint32_t n, uint64_t offset, uint64_t length);
void pci_enable(uint32_t f);                   /* memory and bus mastering */
bool pci_message(uint32_t f, uint32_t vector); /* MSI-X entry 0 to processor 0 */

/* ---- virtio.c: VIRTIO 1.1, PCI transport, split rings ---- */
#define VIRTIO_SLOTS 64u /* size of every ring here */

struct virtio_queue {
	struct virtio_descriptor *descriptors; /* one frame holds all three */
	struct virtio_available *available;
	struct virtio_used *used;
	volatile uint16_t *notify;
	uint16_t number, seen; /* used entries taken */
};

struct virtio {
	volatile struct virtio_common *common;
	volatile uint8_t *notify;
	uint64_t notify_length;
	uint32_t notify_multiplier;
};

/* Finds the registers and negotiates VIRTIO 1 alone.  False: not there, or not such a device. */
bool virtio_open(struct virtio *v, uint32_t f);
bool virtio_queue_open(struct virtio *v, struct virtio_queue *q, uint16_t number);
void virtio_start(struct virtio *v);
/* One buffer of at least a byte; slot < VIRTIO_SLOTS, not under way, names it until it is used. */
void virtio_post(struct virtio_queue *q, uint32_t slot, uint64_t address, uint32_t length,
		 bool device_writes);
/* Takes one used buffer, as the device tells it: slot, and bytes that it wrote.  False: none. */
bool virtio_take(struct virtio_queue *q, uint32_t *slot, uint32_t *length);

#endif
