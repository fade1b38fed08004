/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration and the virtio console, by the kernel's own source: functions behind the two ports or in
 * memory, registers that answer as the specification has it, and devices that lack something or write
 * nonsense. Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ports of the machine are functions of this file. */
#define outl machine_outl
#define inl  machine_inl
#include "kernel/x86/asm.h"
#define MACHINE_DIRECT 0ul
#include "kernel/dev/dev.h"
#undef outl
#undef inl
static void outl(uint16_t port, uint32_t value);
static uint32_t inl(uint16_t port);

#include "kernel/dev/pci.c"
#include "kernel/dev/virtio.c"
#include "kernel/dev/virtio_console.c"

#include "alone.h"

/* ---- what the rest of the kernel is here ---- */

static uint32_t log_lines;

void
log_print(const char *format, ...)
{
	(void)format;
	log_lines++;
}

void
machine_relax(void)
{
}

void
lock_acquire(struct lock *l)
{
	EXPECT(!l->held);
	l->held = 1;
}

void
lock_release(struct lock *l)
{
	EXPECT(l->held);
	l->held = 0;
}

/* Registers of devices, from DEVICES on; configuration space by memory from ECAM on. */
#define DEVICES 0xe0000000ul
#define ECAM    0x80000000ul
#define BLOCK   0x4000u
static uint8_t registers[4 * BLOCK] __attribute__((aligned(4096)));
static uint8_t *ecam_space;
static uint64_t window_option, ecam_option, chan_option, usable;

void *
mmu_device(uint64_t address, uint64_t size)
{
	if (address == ECAM)
		return ecam_space;
	if (address >= DEVICES && address + size <= DEVICES + sizeof(registers))
		return registers + (address - DEVICES);
	return &registers[sizeof(registers) - 64];
}

uint64_t
option_number(const char *name, uint64_t otherwise)
{
	if (strcmp(name, "chan") == 0)
		return chan_option ? chan_option : otherwise;
	return strcmp(name, "window") == 0 ? window_option : ecam_option;
}

bool
memory_usable(uint64_t start, uint64_t size)
{
	return usable && start <= usable && usable < start + size;
}

void
apic_message(uint32_t vector, uint64_t *address, uint32_t *data)
{
	*address = 0xfee00000;
	*data = vector;
}

static uint8_t ring_frames[8][4096] __attribute__((aligned(4096)));
static uint32_t ring_count;

uint64_t
early_alloc(void)
{
	uint8_t *frame = ring_frames[ring_count++ % 8];

	memset(frame, 0, 4096);
	return (uint64_t)frame - MACHINE_DIRECT;
}

static uint32_t done_count, done_queue, done_slot, done_length;

void
chan_done(uint32_t queue, uint32_t slot, uint32_t length)
{
	done_count++;
	done_queue = queue;
	done_slot = slot;
	done_length = length;
}

/* ---- PCI, by ports ---- */

struct function {
	uint8_t bus, slot, number;
	uint32_t config[64];
	uint64_t bar_size[6]; /* 0: not there; of two if the first is wide */
};
static struct function functions[16];
static uint32_t function_count, port_address;

static struct function *
addressed(void)
{
	for (uint32_t i = 0; i < function_count; i++) {
		struct function *f = &functions[i];

		if ((port_address >> 8 & 0xffffff) ==
		    (0x800000u | (uint32_t)f->bus << 8 | (uint32_t)f->slot << 3 | f->number))
			return f;
	}
	return NULL;
}

static void
outl(uint16_t port, uint32_t value)
{
	struct function *f = addressed();
	uint32_t at = port_address >> 2 & 63;

	if (port == ADDRESS_PORT) {
		port_address = value;
		return;
	}
	if (!f)
		return;
	if (at >= 4 && at < 10) {
		uint32_t n = at - 4;

		if (n && f->bar_size[n - 1] &&
		    (f->config[at - 1] & 4)) /* the upper half of a wide one */
			value &= (uint32_t)(~(f->bar_size[n - 1] - 1) >> 32);
		else if (f->bar_size[n])
			value = (value & (uint32_t) ~(f->bar_size[n] - 1)) | (f->config[at] & 15);
		else
			value = 0;
	}
	f->config[at] = at == 1 ? (f->config[at] & 0xffff0000) | (value & 0xffff) : value;
}

static uint32_t
inl(uint16_t port)
{
	struct function *f = addressed();

	EXPECT(port == DATA_PORT);
	return f ? f->config[port_address >> 2 & 63] : ~0u;
}

static struct function *
function_add(uint8_t bus, uint8_t slot, uint8_t number, uint32_t name)
{
	struct function *f = &functions[function_count++];

	*f = (struct function){.bus = bus, .slot = slot, .number = number};
	f->config[0] = name;
	return f;
}

#define COMMON_AT 0u
#define NOTIFY_AT 0x1000u
#define TABLE_AT  0x2000u

/* A console as the specification has it: MSI-X, and registers in BAR 4. */
static struct function *
console_add(uint8_t bus, uint8_t slot, uint32_t name)
{
	struct function *f = function_add(bus, slot, 0, name);
	volatile struct virtio_common *c = (void *)(registers + COMMON_AT);
	uint32_t *o = f->config;

	o[1] = STATUS_LIST;
	o[13] = 0x40;
	o[0x40 / 4] = 0x11 | 0x50u << 8 | 1u << 16; /* two vectors */
	o[0x44 / 4] = 4 | TABLE_AT;
	o[0x50 / 4] = 0x09 | 0x64u << 8 | 16u << 16 | 5u << 24; /* of a type that is not used */
	o[0x64 / 4] = 0x09 | 0x78u << 8 | 16u << 16 | (uint32_t)TYPE_COMMON << 24;
	o[0x68 / 4] = 4;
	o[0x6c / 4] = COMMON_AT;
	o[0x70 / 4] = sizeof(struct virtio_common);
	o[0x78 / 4] = 0x09 | 0x00u << 8 | 20u << 16 | (uint32_t)TYPE_NOTIFY << 24;
	o[0x7c / 4] = 4;
	o[0x80 / 4] = NOTIFY_AT;
	o[0x84 / 4] = 0x1000;
	o[0x88 / 4] = 4;
	f->bar_size[4] = BLOCK;
	o[8] = (uint32_t)DEVICES | 4; /* wide */
	memset(registers, 0, sizeof(registers));
	c->device_feature = 1;
	c->queue_size = 256;
	return f;
}

static void
console_open(void)
{
	present = false;
	memset(queues, 0, sizeof(queues));
	virtio_console_init();
}

static void
pci_registers(void)
{
	uint32_t f = 0;
	struct function *o;

	function_count = 0;
	o = function_add(0, 0, 0, 0x12348086);
	EXPECT(pci_capability(f, 9, 0) == 0); /* no list */
	o->config[1] = STATUS_LIST;
	o->config[13] = 0x40;
	o->config[16] = 0x05 | 0x40u << 8; /* a list that goes round */
	EXPECT(pci_capability(f, 9, 0) == 0);
	o->config[16] = 0x05 | 0x10u << 8; /* one that leads into the header */
	EXPECT(pci_capability(f, 9, 0) == 0);
	EXPECT(pci_capability(f, 5, 0) == 0x40);
	EXPECT(!pci_message(f, 1));
	EXPECT(!pci_map(f, 0, 0, 16)); /* nothing behind it */
	o->config[4] = 0xc001;         /* ports */
	EXPECT(!pci_map(f, 0, 0, 16));
	o->config[4] = (uint32_t)DEVICES;
	o->bar_size[0] = 0x1000;
	o->config[1] |= COMMAND_MEMORY;
	EXPECT(pci_map(f, 0, 0x10, 16) == registers + 0x10);
	EXPECT(o->config[4] == (uint32_t)DEVICES && (o->config[1] & COMMAND_MEMORY));
	EXPECT(!pci_map(f, 6, 0, 16));
	EXPECT(!pci_map(f, 0, 0, 0));
	EXPECT(!pci_map(f, 0, 0xff8, 16));
	EXPECT(!pci_map(f, 0, 0x2000, 16));
	usable = DEVICES + 0x10;
	EXPECT(!pci_map(f, 0, 0x10, 16)); /* it says that it lies in memory */
	usable = 0;
	o->bar_size[0] = 1u << 21;
	EXPECT(!pci_map(f, 0, 0, (1u << 20) + 1));
	o->bar_size[0] = 0x3000; /* no power of two */
	EXPECT(!pci_map(f, 0, 0, 16));
	/* Not placed by a firmware: only where there is a window. */
	o->bar_size[0] = 0x1000;
	o->config[4] = 0;
	EXPECT(!pci_map(f, 0, 0, 16));
	window_option = DEVICES + 0x10;
	ecam_option = 0;
	place_next = window_option;
	place_end = DEVICES + 0x3000;
	EXPECT(pci_map(f, 0, 0, 16) == registers + 0x1000 && o->config[4] == DEVICES + 0x1000);
	o->config[4] = 4;
	o->config[5] = 0;
	EXPECT(pci_map(f, 0, 0, 16) == registers + 0x2000 && o->config[5] == 0);
	o->config[4] = 0;
	EXPECT(!pci_map(f, 0, 0, 16)); /* the window is full */
	place_next = 1ul << 32;
	place_end = 2ul << 32;
	EXPECT(!pci_map(f, 0, 0, 16)); /* and not for 64 bits */
	place_next = place_end = 0;
	result("capabilities and ranges");
}

static void
pci_memory(void)
{
	uint32_t name = CONSOLE_MODERN;

	ecam_space = calloc(1, 256ul << 20);
	memcpy(ecam_space + (5ul << 20) + (9 << 15) + (6 << 12), &name, 4);
	ecam_option = ECAM;
	pci_init();
	EXPECT(pci_read(5 << 8 | 9 << 3 | 6, 0) == CONSOLE_MODERN);
	pci_write(5 << 8 | 9 << 3 | 6, PCI_COMMAND, 7);
	EXPECT(ecam_space[(5ul << 20) + (9 << 15) + (6 << 12) + 4] == 7);
	free(ecam_space);
	ecam_option = 0;
	ecam = NULL;
	pci_init();
	result("configuration space in memory");
}

/* ---- the console ---- */

static void
device_uses(struct virtio_queue *q, uint32_t slot, uint32_t length)
{
	q->used->ring[q->used->index % VIRTIO_SLOTS].slot = slot;
	q->used->ring[q->used->index % VIRTIO_SLOTS].length = length;
	q->used->index++;
}

static void
console_good(void)
{
	volatile struct virtio_common *c = (void *)(registers + COMMON_AT);
	volatile uint16_t *bell = (void *)(registers + NOTIFY_AT);

	function_count = 0;
	chan_option = 5 << 8 | 2 << 3;
	console_open();
	EXPECT(!machine_chan_present() && log_lines == 1);
	console_add(5, 2, CONSOLE_MODERN + 1); /* something else */
	console_open();
	EXPECT(!machine_chan_present() && log_lines == 2);
	function_count = 0;
	console_add(5, 2, CONSOLE_TRANSIT);
	chan_option = 0;
	console_open(); /* nobody says where it is */
	EXPECT(!machine_chan_present() && log_lines == 2);
	chan_option = 5 << 8 | 2 << 3;
	console_open();
	EXPECT(machine_chan_present() && c->status == 15 && c->queue_size == VIRTIO_SLOTS);
	EXPECT(functions[0].config[1] & COMMAND_MASTER);
	EXPECT(functions[0].config[0x40 / 4] >> 31);
	EXPECT(*(uint32_t *)(registers + TABLE_AT + 8) == VECTOR_CHAN);
	*bell = 99;
	machine_chan_post(1, 3, 4096, 8);
	EXPECT(*bell == 1 && queues[1].available->index == 1);
	queues[0].used->flags = USED_NO_NOTIFY;
	*bell = 99;
	machine_chan_post(0, 4, 8192, 100);
	EXPECT(*bell == 99 && queues[0].available->ring[0] == 4);
	EXPECT(queues[0].descriptors[4].flags == DESCRIPTOR_WRITE &&
	       !queues[1].descriptors[3].flags);
	EXPECT(queues[0].descriptors[4].address == 8192 && queues[0].descriptors[4].length == 100);
	done_count = 0;
	virtio_console_interrupt();
	EXPECT(done_count == 0);
	device_uses(&queues[0], 4, 50);
	virtio_console_interrupt();
	EXPECT(done_count == 1 && done_queue == 0 && done_slot == 4 && done_length == 50);
	device_uses(&queues[1], 3, 0);
	virtio_console_interrupt();
	EXPECT(done_count == 2 && done_queue == 1 && done_slot == 3 && done_length == 0);
	for (uint32_t i = 0; i < VIRTIO_SLOTS; i++) /* as many as there are, round the ring */
		device_uses(&queues[1], i, i);
	virtio_console_interrupt();
	EXPECT(done_count == 2 + VIRTIO_SLOTS && done_slot == VIRTIO_SLOTS - 1);
	result("a console");
}

/* A device that says more was used than there are buffers is not listened to; what buffers are, chan.c knows. */
static void
console_nonsense(void)
{
	function_count = 0;
	console_add(5, 2, CONSOLE_MODERN);
	console_open();
	machine_chan_post(0, 4, 8192, 100);
	done_count = 0;
	queues[0].used->index += VIRTIO_SLOTS + 1;
	virtio_console_interrupt();
	EXPECT(done_count == 0);
	queues[0].used->index = queues[0].seen;
	device_uses(&queues[0], VIRTIO_SLOTS + 3, 5);
	virtio_console_interrupt();
	EXPECT(done_count == 1 && done_slot == VIRTIO_SLOTS + 3);
	result("a console that writes nonsense");
}

/* What a console may lack: each time it is not used, and nothing else happens. */
static void
console_lacks(void)
{
	for (int kind = 0; kind < 9; kind++) {
		struct function *f;
		volatile struct virtio_common *c = (void *)(registers + COMMON_AT);

		function_count = 0;
		f = console_add(5, 2, CONSOLE_MODERN);
		switch (kind) {
		case 0:
			f->config[0x70 / 4] = 8;
			break; /* registers too short */
		case 1:
			f->config[0x64 / 4] = 0x09;
			break; /* no common ones */
		case 2:
			f->config[0x64 / 4] &= 0xffff00ff;
			break; /* no bell */
		case 3:
			c->device_feature = 0;
			break; /* the older protocol alone */
		case 4:
			f->config[0x40 / 4] = 0x05 | 0x50u << 8;
			break; /* no MSI-X */
		case 5:
			f->config[0x44 / 4] = 4 | 0x3ff8;
			break; /* its table out of range */
		case 6:
			c->queue_size = 32;
			break;
		case 7:
			c->queue_notify = 0xffff;
			break; /* a bell out of range */
		case 8:
			f->config[0x40 / 4] = 0x11 | 0xf0u << 8; /* the list ends at the edge */
			f->config[0xf0 / 4] = 0x09 | (uint32_t)TYPE_COMMON << 24;
			break;
		}
		log_lines = 0;
		console_open();
		EXPECT(!machine_chan_present() && log_lines == 1);
	}
	result("consoles that lack something");
}

int
main(void)
{
	pci_registers();
	pci_memory();
	console_good();
	console_nonsense();
	console_lacks();
	return results_end();
}
