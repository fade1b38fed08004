/* SPDX-License-Identifier: MIT */
/* I/O ports that the environment has claimed. */
#ifndef EXOS_SUPER_PORT_H
#define EXOS_SUPER_PORT_H

#include <stdint.h>

static inline uint8_t
port_read(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void
port_write(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

#endif
