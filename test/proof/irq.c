/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines and ports: one owner each, only by the DEVICE right, only what the machine gives away;
 * they end with their owner.
 *
 * State: two environments with arbitrary claims that do not overlap.
 */
#include "machine.h"
#include "kernel/irq.c"

#define PORTS ((uint32_t)sizeof(port_taken) * 8)

static struct env self, other;
static struct aegis_env_page page;
static bool right;
static uint32_t unbindable, opened_first, opened_n, posted;

struct env *
current(void)
{
	return &self;
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	return number == self.number && generation == self.generation ? &self : NULL;
}

void
env_unlock(const struct env *e)
{
	(void)e;
}

void
cpu_wake(struct env *e)
{
	PROVE(e == &self, "the owner");
}

void
cpu_odd(struct env *e)
{
	PROVE(e == &self, "who claims or gives back");
}

void
upcall_post(struct env *e, uint32_t reason)
{
	PROVE(e == &self && reason == AEGIS_PEND_IRQ, "the owner");
	posted++;
}

status
cap_node(const struct env *e, uint32_t slot, uint32_t rights)
{
	(void)slot;
	PROVE(e == &self && rights == AEGIS_DEVICE, "the right to claim devices");
	return right ? 1 : AEGIS_DENIED;
}

status
machine_irq_open(uint32_t line)
{
	PROVE(line < AEGIS_IRQS, "a line that there is");
	return nondet_bool() ? AEGIS_OK : AEGIS_NO_SUCH;
}

static uint32_t masked = 99, unmasked = 99;

void
machine_irq_mask(uint32_t line, bool mask)
{
	PROVE(line < AEGIS_IRQS, "a line that there is");
	if (mask)
		masked = line;
	else
		unmasked = line;
}

bool
machine_port_bindable(uint32_t port)
{
	return port != unbindable;
}

void
machine_ports_allow(uint32_t first, uint32_t n, bool allow)
{
	if (allow) {
		opened_first = first;
		opened_n = n;
	}
}

static bool
owns(const struct env *e, uint32_t port)
{
	for (uint32_t i = 0; i < PORT_RANGES; i++) {
		if (port >= e->ports[i].first && port < (uint32_t)e->ports[i].first + e->ports[i].n)
			return true;
	}
	return false;
}

static void
state_any(uint32_t port)
{
	machine_me = 0;
	locks_held = 0;
	irq_lock.held = 0;
	masked = unmasked = 99;
	opened_n = posted = 0;
	self.page = &page;
	self.number = 1;
	other.number = 2;
	ASSUME(self.generation > 0);
	for (uint32_t i = 0; i < PORT_RANGES; i++) {
		ASSUME(self.ports[i].n <= 2 && other.ports[i].n <= 2);
		ASSUME(self.ports[i].first <= PORTS - 2 && other.ports[i].first <= PORTS - 2);
	}
	/* Invariant 2, for the port that is looked at. */
	ASSUME(!(owns(&self, port) && owns(&other, port)));
	ASSUME(((port_taken[port / 8] >> port % 8) & 1) ==
	       (owns(&self, port) || owns(&other, port)));
	for (uint32_t i = 0; i < AEGIS_IRQS; i++)
		ASSUME(lines[i].env <= 2);
}

void
proof_irq_ports(void)
{
	uint32_t port = nondet_u32(), n = nondet_u32(), q = nondet_u32();
	bool mine, theirs, taken;
	status st;

	ASSUME(q < PORTS && (n <= 2 || n > 64));
	state_any(q);
	mine = owns(&self, q);
	theirs = owns(&other, q);
	st = sys_io_claim(0, port, n);
	check_locks();
	taken = port_taken[q / 8] >> q % 8 & 1;
	PROVE(taken == (owns(&self, q) || owns(&other, q)), "what is taken is somebody's");
	PROVE(!(owns(&self, q) && theirs), "two owners never share a port");
	PROVE(IMPLIES(owns(&self, q) && !mine, q != unbindable && right && st == AEGIS_OK),
	      "only by right, and what the machine gives away");
	PROVE(IMPLIES(st != AEGIS_OK, owns(&self, q) == mine && opened_n == 0), "or nothing");
	PROVE(IMPLIES(opened_n && q >= opened_first && q < opened_first + opened_n, owns(&self, q)),
	      "what is opened on the processor is owned");
	REACH(st == AEGIS_OK && owns(&self, q) && !mine);
	REACH(st == AEGIS_IN_USE && theirs);
	REACH(st == AEGIS_LIMIT);
}

void
proof_irq_lines(void)
{
	uint32_t line = nondet_u32(), i = nondet_u32(), was, irqs;
	status st;

	ASSUME(i < AEGIS_IRQS);
	state_any(0);
	was = lines[i].env;
	irqs = self.irqs;
	st = sys_irq_claim(0, line);
	check_locks();
	PROVE(IMPLIES(was, lines[i].env == was), "nobody loses a line");
	PROVE(IMPLIES(i != line, lines[i].env == was), "no other changes");
	if (st != AEGIS_OK) {
		PROVE(self.irqs == irqs && unmasked == 99, "or nothing");
		REACH(st == AEGIS_IN_USE);
		return;
	}
	PROVE(right && line < AEGIS_IRQS && lines[line].env == 1, "by right");
	PROVE(self.irqs == (irqs | 1u << line), "and known");
	irq_raise(line);
	PROVE(masked == line && posted == 1 && (page.irqs >> line & 1), "it is masked and told");
	PROVE(sys_irq_ack(line) == AEGIS_OK && !(page.irqs >> line & 1), "until it is answered");
	REACH(line == AEGIS_IRQS - 1);
}

void
proof_irq_release(void)
{
	uint32_t q = nondet_u32();
	bool theirs;

	ASSUME(q < PORTS);
	state_any(q);
	theirs = owns(&other, q);
	irq_release(&self);
	check_locks();
	PROVE(!owns(&self, q), "no port is left");
	PROVE(((port_taken[q / 8] >> q % 8) & 1) == theirs, "others keep theirs");
	REACH(theirs);
}

/* The same of lines; of ports there are none, so that what they do to memory is out of the question. */
void
proof_irq_free(void)
{
	uint32_t i = nondet_u32(), was;
	bool mine;

	ASSUME(i < AEGIS_IRQS);
	state_any(0);
	for (uint32_t k = 0; k < PORT_RANGES; k++)
		ASSUME(self.ports[k].n == 0);
	was = lines[i].env;
	mine = was == 1 && lines[i].generation == self.generation;
	irq_release(&self);
	PROVE(IMPLIES(mine, lines[i].env == 0 && masked != 99), "no line is left");
	PROVE(IMPLIES(!mine, lines[i].env == was), "others keep theirs");
	PROVE(self.irqs == 0, "and it knows");
	REACH(mine);
	REACH(was == 1 && !mine);
}
