/* SPDX-License-Identifier: MIT */
/*
 * The log's way out: a 16550 serial port, polled; option log=PORT (default 0x3f8; 0 none).  Writers
 * hold the log's lock or are the only one that runs.
 */
#include "x86.h"

#define UART_DATA    0
#define UART_ENABLE  1
#define UART_FIFO    2
#define UART_LINE    3
#define UART_MODEM   4
#define UART_STATUS  5
#define UART_SCRATCH 7
#define STATUS_EMPTY 0x20u
#define WAIT_MAX     100000u

uint16_t serial_port;

void
serial_init(void)
{
	uint16_t port = (uint16_t)option_number("log", 0x3f8);

	if (!port)
		return;
	outb(port + UART_SCRATCH, 0x5a);
	if (inb(port + UART_SCRATCH) != 0x5a)
		return; /* nothing there */
	outb(port + UART_ENABLE, 0);
	outb(port + UART_LINE, 0x80); /* 115200 baud */
	outb(port + UART_DATA, 1);
	outb(port + UART_ENABLE, 0);
	outb(port + UART_LINE, 3); /* 8 bits, no parity */
	outb(port + UART_FIFO, 7);
	outb(port + UART_MODEM, 3);
	serial_port = port;
}

static void
uart_put(uint8_t byte)
{
	for (uint32_t i = 0; i < WAIT_MAX && !(inb(serial_port + UART_STATUS) & STATUS_EMPTY); i++)
		machine_relax();
	outb(serial_port + UART_DATA, byte);
}

void
machine_log(const char *text, size_t length)
{
	for (size_t i = 0; serial_port && i < length; i++) {
		if (text[i] == '\n')
			uart_put('\r');
		uart_put((uint8_t)text[i]);
	}
}
