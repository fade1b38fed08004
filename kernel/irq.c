/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines and I/O ports.
 *
 * Owns: who claimed which line, and which port range.
 *
 * 1. A line has at most one owner.  It is masked from irq_raise until irq_ack, so that an owner which
 *    does not answer hears of it once and disturbs nobody.
 * 2. Port ranges of different environments never overlap; ranges that the machine keeps for itself, or
 *    through which a device could be made to access memory, are never bound.
 * 3. Claims end with the environment.
 *
 * Lock: irq_lock, inside the environment's lock.  The machine's permission map is that of the current
 * environment: cpu_enter and cpu_leave call ports_allow.
 */
#include "kernel.h"

#define PORT_RANGES 4

static struct lock irq_lock;
static struct {
	uint32_t env, generation;
} lines[AEGIS_IRQS];
static uint8_t port_taken[65536 / 8];

status
sys_irq_claim(uint32_t cap, uint32_t line)
{
	struct env *self = current();
	status st = cap_node(self, cap, AEGIS_DEVICE);

	if (st < 0)
		return st;
	if (line >= AEGIS_IRQS)
		return AEGIS_BAD_ARG;
	lock_acquire(&irq_lock);
	if (lines[line].env)
		st = AEGIS_IN_USE;
	else
		st = machine_irq_open(line); /* to this processor, wherever it went before */
	if (st == AEGIS_OK) {
		lines[line].env = self->number;
		lines[line].generation = self->generation;
		self->irqs |= 1u << line;
		machine_irq_mask(line, false);
	}
	lock_release(&irq_lock);
	return st;
}

status
sys_irq_ack(uint32_t line)
{
	struct env *self = current();

	if (line >= AEGIS_IRQS)
		return AEGIS_BAD_ARG;
	if (!(self->irqs & (1u << line)))
		return AEGIS_NOT_HELD;
	__atomic_and_fetch(&self->page->irqs, ~(1u << line), __ATOMIC_SEQ_CST);
	machine_irq_mask(line, false);
	return AEGIS_OK;
}

void
irq_raise(uint32_t line)
{
	uint32_t env, generation;
	struct env *e;

	if (line >= AEGIS_IRQS)
		return;
	COUNT(interrupts);
	machine_irq_mask(line, true);
	lock_acquire(&irq_lock);
	env = lines[line].env;
	generation = lines[line].generation;
	lock_release(&irq_lock);
	e = env_lock(env, generation);
	if (!e)
		return;
	__atomic_or_fetch(&e->page->irqs, 1u << line, __ATOMIC_SEQ_CST);
	upcall_post(e, AEGIS_PEND_IRQ);
	cpu_wake(e);
	env_unlock(e);
}

/* irq_lock held. */
static bool
_ports_free(uint32_t first, uint32_t n)
{
	for (uint32_t port = first; port < first + n; port++) {
		if (port_taken[port / 8] & (1u << port % 8))
			return false;
	}
	return true;
}

/* irq_lock held. */
static void
_ports_mark(uint32_t first, uint32_t n, bool taken)
{
	for (uint32_t port = first; port < first + n; port++) {
		if (taken)
			port_taken[port / 8] |= (uint8_t)(1u << port % 8);
		else
			port_taken[port / 8] &= (uint8_t) ~(1u << port % 8);
	}
}

status
sys_io_claim(uint32_t cap, uint32_t port, uint32_t n)
{
	struct env *self = current();
	uint32_t range = 0;
	status st = cap_node(self, cap, AEGIS_DEVICE);

	if (st < 0)
		return st;
	if (n == 0 || n > 64 || port >= 65536 || n > 65536 - port)
		return AEGIS_BAD_ARG;
	for (uint32_t i = 0; i < n; i++) {
		if (!machine_port_bindable(port + i))
			return AEGIS_DENIED;
	}
	while (range < PORT_RANGES && self->ports[range].n)
		range++;
	if (range == PORT_RANGES)
		return AEGIS_LIMIT;
	lock_acquire(&irq_lock);
	st = _ports_free(port, n) ? AEGIS_OK : AEGIS_IN_USE;
	if (st == AEGIS_OK) {
		_ports_mark(port, n, true);
		self->ports[range].first = (uint16_t)port;
		self->ports[range].n = (uint16_t)n;
		cpu_odd(self);
	}
	lock_release(&irq_lock);
	if (st == AEGIS_OK)
		machine_ports_allow(port, n, true);
	return st;
}

void
irq_ports_load(const struct env *e, bool allow)
{
	for (int i = 0; i < PORT_RANGES && e->ports[i].n; i++)
		machine_ports_allow(e->ports[i].first, e->ports[i].n, allow);
}

void
irq_release(struct env *e)
{
	lock_acquire(&irq_lock);
	for (uint32_t line = 0; line < AEGIS_IRQS; line++) {
		if (lines[line].env == e->number && lines[line].generation == e->generation) {
			machine_irq_mask(line, true);
			lines[line].env = 0;
		}
	}
	for (int i = 0; i < PORT_RANGES; i++) {
		_ports_mark(e->ports[i].first, e->ports[i].n, false);
		e->ports[i].n = 0;
	}
	cpu_odd(e);
	e->irqs = 0;
	lock_release(&irq_lock);
}
