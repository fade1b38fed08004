/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's life: link, manifest, domains, the loop, the end.
 *
 * The loop looks at everything until nothing moves, then says that it wants to be woken, looks once
 * more, and sleeps on its event count as it was before it looked: nothing that happens in between
 * is lost.  It ends when the first domain has ended and everything it wrote has left the machine,
 * or when the link or the host breaks the rules.
 */
#include "../core/priv.h"
#include "priv.h"
#include "super.h"

#define SUPER    ((struct super *)EXOS_PRIVATE)
#define AGAIN_NS 100000u /* a service was busy */

static _Noreturn void
machine_end(uint32_t status)
{
	aegis_power_off(EXOS_CAP_OWN, status);
	core_die("the machine does not end");
}

static _Noreturn void
fail(const char *why)
{
	core_log("exos: %s\n", why);
	machine_end(1);
}

/* One look at everything.  True: something moved. */
static bool
look(struct super *s)
{
	bool moved = super_link_poll(s);

	moved |= super_pump(s);
	if (s->failed) {
		core_log("exos: the host broke the rules of the channel: %s\n", s->failed);
		machine_end(1);
	}
	return moved;
}

/* True: one has ended, and its domain is to end. */
static bool
services_check(struct super *s)
{
	bool ended = false;

	for (uint32_t i = 0; i < s->domain_count; i++) {
		struct domain *d = &s->domain[i];

		if (d->state != DOMAIN_RUNNING || !super_env_ended(d))
			continue;
		d->broken = true;
		super_domain_end(d, CHANNEL_EXITED, 125);
		ended = true;
	}
	return ended;
}

static bool
over(const struct super *s)
{
	return s->domain[0].state == DOMAIN_OVER && s->link.posted == s->link.done;
}

static void
loop(struct super *s)
{
	for (;;) {
		uint32_t seen = core_events();
		bool moved = look(s), busy = super_tell(s);

		if (moved)
			continue;
		if (over(s))
			return;
		if (services_check(s))
			continue;
		if (!super_pump_arm(s))
			core_block(seen, busy ? core_now_ns() + AGAIN_NS : AEGIS_NEVER);
		super_pump_disarm(s);
	}
}

static void
hello_send(struct super *s)
{
	struct channel_control frame = channel_control(CHANNEL_HELLO, 0, 0, 1, CHANNEL_VERSION, 0);

	super_link_small(s, frame.bytes, frame.count);
}

static void
domains_start(struct super *s)
{
	super_shares(s);
	for (uint32_t i = 0; i < s->domain_count; i++) {
		struct domain *d = &s->domain[i];

		if (!super_domain_start(s, i))
			continue;
		if (i == 0)
			fail("the first domain could not be started");
		d->state = DOMAIN_ENDING;
		d->exit_kind = CHANNEL_EXITED;
		d->exit_value = 125;
	}
}

void
super_start(const struct aegis_boot_page *boot)
{
	struct super *s = SUPER;
	int err;

	s->boot = boot;
	err = super_link_open(s);
	if (err) {
		core_log("exos: no link to the host: error %d\n", -err);
		machine_end(1);
	}
	hello_send(s);
	if (super_manifest_open(s))
		fail("the boot archive has no manifest, or is damaged");
	s->domain_count = super_manifest_number(s, "domains");
	if (s->domain_count == 0 || s->domain_count > CHANNEL_DOMAINS)
		fail("the manifest names no domain, or too many");
	s->terminal_input = super_manifest_is(s, -1, "terminal.input", "guest");
	s->terminal_stream = super_manifest_number(s, "terminal.stream");
	if (s->terminal_stream >= CHANNEL_STREAMS)
		fail("the manifest names no such stream");
	for (uint32_t n = 1; n < 3; n++)
		s->domain[0].stream[n].credit = CHANNEL_CREDIT_OUT;
	domains_start(s);
	loop(s);
	machine_end(s->domain[0].broken);
}
