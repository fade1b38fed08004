/* SPDX-License-Identifier: MIT */
/*
 * Interrupts, I/O ports and device frames.
 *
 * irq_claim gives a legacy interrupt line (0..15, as ACPI routes it) to the caller.  When it comes, the
 * kernel masks the line, sets bit `line` of env_page->irqs, counts an event, and delivers
 * AEGIS_PEND_IRQ; irq_ack clears the bit and unmasks.  io_claim opens ports for in and out
 * instructions; two owners never share a port.  Ports and frames through which a device can be made to
 * access memory (PCI configuration, DMA controllers, anything behind a bus master) are given to no
 * one, nor those the kernel itself uses.
 */
#ifndef AEGIS_IRQ_H
#define AEGIS_IRQ_H

#define AEGIS_IRQS 16u

#endif
