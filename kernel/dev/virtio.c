/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices on PCI: registers, negotiation, split rings (VIRTIO 1.1, sections 2.6, 3.1, 4.1).
 *
 * Owns: one frame of ring memory for each queue, from early_alloc, for ever.
 *
 * 1. Buffer n of a queue is descriptor n, alone: no chains, so nothing that the device could write
 *    into a ring is ever followed.
 * 2. The used ring is the device's to write and is not believed: an index that ran ahead by more than
 *    there are buffers ends the queue, and what an entry says is looked at by who posted (chan.c).
 *
 * Locks: none.  Whoever posts is one at a time; buffers are taken by the processor that gets the
 * interrupts.  The two share nothing.
 */
#include "dev.h"

#define CAPABILITY_VENDOR 0x09u
#define NO_VECTOR         0xffffu
#define USED_NO_NOTIFY    1u
#define DESCRIPTOR_WRITE  2u
#define FEATURE_VERSION_1 32

enum { TYPE_COMMON = 1, TYPE_NOTIFY = 2 };
enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8 };

struct virtio_common {
	uint32_t device_feature_select, device_feature;
	uint32_t driver_feature_select, driver_feature;
	uint16_t config_vector, queues;
	uint8_t status, generation;
	uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify;
	uint32_t descriptors[2], available[2], used[2]; /* 64 bits, written by halves */
};
_Static_assert(sizeof(struct virtio_common) == 56, "VIRTIO 1.1, 4.1.4.3");

struct virtio_descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct virtio_available {
	uint16_t flags, index;
	uint16_t ring[VIRTIO_SLOTS];
};

struct virtio_used {
	uint16_t flags, index;
	struct {
		uint32_t slot, length;
	} ring[VIRTIO_SLOTS];
};

#define AVAILABLE_AT 1024u
#define USED_AT      2048u
_Static_assert(sizeof(struct virtio_descriptor) * VIRTIO_SLOTS <= AVAILABLE_AT, "one frame");
_Static_assert(AVAILABLE_AT + sizeof(struct virtio_available) <= USED_AT, "one frame");
_Static_assert(USED_AT + sizeof(struct virtio_used) <= PAGE, "one frame");

/* The registers of one type; NULL: none. */
static volatile void *
registers_find(uint32_t f, uint8_t type, uint32_t least, uint32_t *at, uint64_t *length)
{
	for (*at = pci_capability(f, CAPABILITY_VENDOR, 0); *at;
	     *at = pci_capability(f, CAPABILITY_VENDOR, *at)) {
		if (*at > 0xec || pci_read(f, *at) >> 24 != type)
			continue;
		*length = pci_read(f, *at + 12);
		if (*length < least)
			return NULL;
		return pci_map(f, pci_read(f, *at + 4) & 0xff, pci_read(f, *at + 8), *length);
	}
	return NULL;
}

static bool
negotiate(volatile struct virtio_common *c)
{
	c->status = 0;
	for (int i = 0; i < 1000000 && c->status; i++)
		machine_relax();
	if (c->status)
		return false;
	c->status = STATUS_ACKNOWLEDGE;
	c->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	c->device_feature_select = FEATURE_VERSION_1 / 32;
	if (!(c->device_feature & 1u << FEATURE_VERSION_1 % 32))
		return false;
	c->driver_feature_select = 0;
	c->driver_feature = 0;
	c->driver_feature_select = FEATURE_VERSION_1 / 32;
	c->driver_feature = 1u << FEATURE_VERSION_1 % 32;
	c->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	return c->status & STATUS_FEATURES_OK;
}

bool
virtio_open(struct virtio *v, uint32_t f)
{
	uint32_t at;
	uint64_t length;

	v->common = registers_find(f, TYPE_COMMON, sizeof(struct virtio_common), &at, &length);
	v->notify = registers_find(f, TYPE_NOTIFY, 2, &at, &v->notify_length);
	if (!v->common || !v->notify)
		return false;
	v->notify_multiplier = pci_read(f, at + 16);
	pci_enable(f);
	return negotiate(v->common);
}

static void
address_write(volatile uint32_t *to, uint64_t address)
{
	to[0] = (uint32_t)address;
	to[1] = (uint32_t)(address >> 32);
}

bool
virtio_queue_open(struct virtio *v, struct virtio_queue *q, uint16_t number)
{
	volatile struct virtio_common *c = v->common;
	uint64_t ring, notify;

	c->queue_select = number;
	if (c->queue_size < VIRTIO_SLOTS)
		return false;
	c->queue_size = VIRTIO_SLOTS;
	c->queue_vector = 0;
	if (c->queue_vector == NO_VECTOR)
		return false;
	notify = (uint64_t)c->queue_notify * v->notify_multiplier;
	if (notify + 2 > v->notify_length)
		return false;
	ring = early_alloc();
	q->descriptors = (struct virtio_descriptor *)(MACHINE_DIRECT + ring);
	q->available = (struct virtio_available *)(MACHINE_DIRECT + ring + AVAILABLE_AT);
	q->used = (struct virtio_used *)(MACHINE_DIRECT + ring + USED_AT);
	q->notify = (volatile uint16_t *)(v->notify + notify);
	q->number = number;
	address_write(c->descriptors, ring);
	address_write(c->available, ring + AVAILABLE_AT);
	address_write(c->used, ring + USED_AT);
	c->queue_enable = 1;
	return true;
}

void
virtio_start(struct virtio *v)
{
	v->common->config_vector = NO_VECTOR;
	v->common->status =
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
}

void
virtio_post(struct virtio_queue *q, uint32_t slot, uint64_t address, uint32_t length,
	    bool device_writes)
{
	uint16_t index = q->available->index;

	q->descriptors[slot] = (struct virtio_descriptor){address, length,
							  device_writes ? DESCRIPTOR_WRITE : 0, 0};
	q->available->ring[index % VIRTIO_SLOTS] = (uint16_t)slot;
	__atomic_store_n(&q->available->index, (uint16_t)(index + 1), __ATOMIC_RELEASE);
	/* The device looks at the index after it allowed silence: ours must be seen first. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&q->used->flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY))
		*q->notify = q->number;
}

bool
virtio_take(struct virtio_queue *q, uint32_t *slot, uint32_t *length)
{
	uint16_t ahead = (uint16_t)(__atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE) - q->seen);
	const volatile uint32_t *entry =
		&q->used->ring[q->seen % VIRTIO_SLOTS].slot; /* read once */

	if (!ahead || ahead > VIRTIO_SLOTS)
		return false;
	*slot = entry[0];
	*length = entry[1];
	q->seen++;
	return true;
}
