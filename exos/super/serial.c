/* SPDX-License-Identifier: MIT */
/*
 * The link over a serial port: a 16550 at COM2, driven from user space by interrupt and ports that
 * were claimed by capability.
 *
 * The interrupt is edge triggered and masked by the kernel until it is acknowledged.  So it is
 * acknowledged first, and then the device is served until it says that it wants nothing: an edge
 * cannot be missed.  The interrupt for room is on only while there is something to send.
 * Registers: TL16C550C data sheet, section "accessible registers".
 */
#include "../core/priv.h"
#include "port.h"
#include "priv.h"

#define SERIAL_PORT 0x2f8u
#define SERIAL_LINE 3u
#define SERIAL_FIFO 16u
#define SERIAL_TURN 4096u /* bytes that one look takes at most */

#define REG_DATA    (SERIAL_PORT + 0)
#define REG_ENABLE  (SERIAL_PORT + 1)
#define REG_IDENT   (SERIAL_PORT + 2) /* read: why; write: FIFO control */
#define REG_LINE    (SERIAL_PORT + 3)
#define REG_MODEM   (SERIAL_PORT + 4)
#define REG_STATUS  (SERIAL_PORT + 5)
#define REG_SCRATCH (SERIAL_PORT + 7)

#define ENABLE_DATA  0x01u
#define ENABLE_ROOM  0x02u
#define IDENT_NONE   0x01u
#define STATUS_DATA  0x01u
#define STATUS_EMPTY 0x20u

int
super_serial_open(struct super *s)
{
	int64_t st = aegis_io_claim(EXOS_CAP_OWN, SERIAL_PORT, 8);

	(void)s;
	if (st >= 0)
		st = aegis_irq_claim(EXOS_CAP_OWN, SERIAL_LINE);
	if (st < 0)
		return core_error(st);
	port_write(REG_SCRATCH, 0x5a);
	if (port_read(REG_SCRATCH) != 0x5a)
		return -6; /* no such device */
	port_write(REG_ENABLE, 0);
	port_write(REG_LINE, 0x80); /* divisor 1: 115200 baud */
	port_write(REG_DATA, 1);
	port_write(REG_ENABLE, 0);
	port_write(REG_LINE, 0x03);  /* 8 bits, no parity, 1 stop bit */
	port_write(REG_IDENT, 0xc7); /* FIFOs on and empty, interrupt at 14 bytes */
	port_write(REG_MODEM, 0x0b); /* ready, and interrupts pass */
	port_write(REG_ENABLE, ENABLE_DATA);
	return 0;
}

static bool
fifo_fill(struct super *s)
{
	struct link *l = &s->link;
	uint32_t room = SERIAL_FIFO;

	if (l->done == l->posted || !(port_read(REG_STATUS) & STATUS_EMPTY))
		return false;
	while (room && l->done != l->posted) {
		const struct post *p = &l->posts[l->done % LINK_SLOTS];

		for (; room && l->written < p->length; room--)
			port_write(REG_DATA, p->at[l->written++]);
		if (l->written < p->length)
			break;
		l->written = 0;
		super_link_done(s);
	}
	return true;
}

static bool
fifo_drain(struct super *s)
{
	uint8_t bytes[64];
	uint32_t n = 0;

	while (n < sizeof(bytes) && port_read(REG_STATUS) & STATUS_DATA)
		bytes[n++] = port_read(REG_DATA);
	super_receive(s, bytes, n);
	return n > 0;
}

static void
room_interrupt(struct link *l, bool on)
{
	if (l->sending == on)
		return;
	l->sending = on;
	port_write(REG_ENABLE, on ? ENABLE_DATA | ENABLE_ROOM : ENABLE_DATA);
}

void
super_serial_put(struct super *s)
{
	room_interrupt(&s->link, true);
}

bool
super_serial_poll(struct super *s)
{
	bool moved = false;

	if (ENVPAGE->irqs & 1u << SERIAL_LINE)
		aegis_irq_ack(SERIAL_LINE);
	for (uint32_t i = 0; i < SERIAL_TURN / SERIAL_FIFO; i++) {
		bool some = fifo_drain(s);

		some |= fifo_fill(s);
		if (s->link.done == s->link.posted)
			room_interrupt(&s->link, false);
		moved |= some;
		if (!some && (port_read(REG_IDENT) & IDENT_NONE))
			return moved;
	}
	return true;
}
