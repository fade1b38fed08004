/* SPDX-License-Identifier: MIT */
/* Protected control transfer: the message, who answers, who waits, and what happens when one ends. */
#include "guest.h"

#define GATE 0u

static volatile uint32_t stop, started, served, last_caller;
static struct message last_message;

/* A service: accepts for ever. */
static int64_t
server(uint64_t arg)
{
	(void)arg;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	while (guest_sleep_unless(&stop, AEGIS_SLEEP_ACCEPT))
		;
	return 0;
}

static void
add_one(struct message *m, uint32_t caller)
{
	uint64_t *words = (uint64_t *)m;

	last_caller = caller;
	last_message = *m;
	__atomic_add_fetch(&served, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < sizeof(*m) / 8; i++)
		words[i]++;
}

static void
message_fill(struct message *m, uint64_t base)
{
	uint64_t *words = (uint64_t *)m;

	for (uint32_t i = 0; i < sizeof(*m) / 8; i++)
		words[i] = base + i;
}

static void
message_check(const struct message *m, uint64_t base)
{
	const uint64_t *words = (const uint64_t *)m;

	for (uint32_t i = 0; i < sizeof(*m) / 8; i++)
		check_is(words[i], base + i);
}

static bool
accepting(struct child *c)
{
	return child_wait(c, AEGIS_STATE_IDLE);
}

static struct child *
server_start(void (*on_call)(struct message *m, uint32_t caller), uint32_t cpu, uint32_t flags)
{
	struct spawn s = {.fn = server, .on_call = on_call, .cpu = cpu, .flags = flags};
	struct child *c = spawn(&s);

	require(accepting(c));
	return c;
}

static status
transfer(uint32_t gate, struct message *m)
{
	uint64_t end = tsc() + ticks(5000000000ul);
	status st;

	do {
		st = guest_transfer(gate, m);
		if (st == AEGIS_BUSY)
			relax_or_yield();
	} while (st == AEGIS_BUSY && tsc() < end);
	return st;
}

TEST(pct_message)
{
	struct child *c[2];

	stop = served = 0;
	c[0] = server_start(add_one, 0, SPAWN_SPACE);
	c[1] = server_start(add_one, SYSTEM->cpus - 1, 0);
	for (uint32_t k = 0; k < 2; k++) {
		require_is(aegis_pct_bind(CAP, c[k]->env, GATE), AEGIS_OK);
		for (uint32_t i = 0; i < 500; i++) {
			struct message m;

			message_fill(&m, 1000 * i);
			check_is(guest_transfer(GATE, &m), AEGIS_OK);
			message_check(&m, 1000 * i + 1);
			check_is(m.r15, last_message.r15 + 1);
			check_is(last_caller, self()->env);
			check_is(c[k]->g->began.rsp, 0);
		}
	}
	check_is(served, 1000);
	stop = 1;
	for (uint32_t k = 0; k < 2; k++) {
		aegis_wake(CAP, c[k]->env, 0);
		child_join(c[k]);
	}
}

/*
 * A client that calls at the end of an epilogue which it has long overrun: what it took is its own debt, and the
 * server, which did little, owes no more than it ran.
 */
static int64_t
late_client(uint64_t env)
{
	const volatile struct aegis_env_page *p = env_page(self());
	struct message m = {0};

	check_is(aegis_pct_bind(CAP, (uint32_t)env, GATE), AEGIS_OK);
	self()->area.defer = 1;
	while (!stop) {
		if (!(self()->area.pending & AEGIS_PEND_SLICE)) {
			relax();
			continue;
		}
		while (tsc() < p->slice_end + ticks(1500000))
			relax();
		if (transfer(GATE, &m) == AEGIS_OK)
			__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
		__atomic_and_fetch(&self()->area.pending, ~AEGIS_PEND_SLICE, __ATOMIC_SEQ_CST);
		guest_yield(AEGIS_ANY);
		self()->area.defer = 1;
	}
	return 0;
}

/* On the same processor, so that it sees what the server owes when that has just been called. */
static int64_t
rival(uint64_t server)
{
	const volatile struct aegis_env_page *p = (const void *)server;
	int64_t wrong = 0;

	for (; !stop; relax())
		wrong += p->overrun_tsc > p->time_tsc;
	return wrong;
}

TEST(pct_epilogue)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *c, *client, *other;

	stop = started = 0;
	c = server_start(add_one, cpu, 0);
	started = 0;
	other = spawn_on(rival, (uint64_t)env_page(c->g), cpu, 0);
	client = spawn_on(late_client, c->env, cpu, 0);
	check(wait_for(&started, 10));
	stop = 1;
	aegis_wake(CAP, c->env, 0);
	child_join(client);
	require(child_wait(other, AEGIS_STATE_ENDED));
	check_is(other->g->result, 0);
	child_end(other);
	child_join(c);
}

/* Who is called has the FS base that its setup says, and who called has its own back. */
static void
fs_look(struct message *m, uint32_t caller)
{
	(void)caller;
	m->rsi = __builtin_ia32_rdfsbase64();
	m->rdi = (uint64_t)self();
	__builtin_ia32_wrfsbase64(m->rdx);
}

TEST(pct_fs)
{
	struct child *c[3];

	stop = served = 0;
	c[0] = server_start(fs_look, 0, SPAWN_SPACE);
	c[1] = server_start(fs_look, 0, 0);
	c[2] = server_start(fs_look, SYSTEM->cpus - 1, SPAWN_SPACE);
	for (uint32_t k = 0; k < 3; k++) {
		require_is(aegis_pct_bind(CAP, c[k]->env, GATE), AEGIS_OK);
		for (uint32_t i = 1; i < 300; i++) {
			struct message m = {.rdx = 0x7000000000 + i};

			__builtin_ia32_wrfsbase64(0x1000ul * i);
			check_is(transfer(GATE, &m), AEGIS_OK);
			check_is(__builtin_ia32_rdfsbase64(), 0x1000ul * i);
			check_is(m.rsi, m.rdi + CALL_FS);
		}
	}
	__builtin_ia32_wrfsbase64(0);
	stop = 1;
	for (uint32_t k = 0; k < 3; k++) {
		aegis_wake(CAP, c[k]->env, 0);
		child_join(c[k]);
	}
}

/* Vector registers are message, both ways. */
static void
double_vectors(struct message *m, uint32_t caller)
{
	(void)m;
	(void)caller;
	__asm__ volatile("paddq %xmm0, %xmm0; paddq %xmm7, %xmm7; paddq %xmm15, %xmm15");
}

TEST(pct_vectors)
{
	struct child *c;
	struct message m;
	uint64_t a, b, d;

	stop = served = 0;
	c = server_start(double_vectors, 0, SPAWN_SPACE);
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	for (uint32_t i = 1; i < 200; i++) {
		__asm__ volatile(
			"movq %0, %%xmm0; movq %1, %%xmm7; movq %2, %%xmm15" ::"r"((uint64_t)i),
			"r"(i * 3ul), "r"(i * 7ul));
		message_fill(&m, 0);
		if (guest_transfer(GATE, &m) != AEGIS_OK)
			check(!"a transfer failed");
		__asm__ volatile("movq %%xmm0, %0; movq %%xmm7, %1; movq %%xmm15, %2"
				 : "=r"(a), "=r"(b), "=r"(d));
		/* The end of a slice on the way loses vectors of those that save none: few. */
		if (a != 2 * i && a != 0)
			check_is(a, 2 * i);
		if (a == 2 * i) {
			check_is(b, 6 * i);
			check_is(d, 14 * i);
			served++;
		}
	}
	check(served > 100);
	stop = 1;
	aegis_wake(CAP, c->env, 0);
	child_join(c);
}

/* ---- refusals ---- */

TEST(pct_busy)
{
	struct child *ready, *deaf, *none;
	struct message m;
	struct spawn s = {.fn = server, .flags = SPAWN_WAIT};

	stop = 0;
	message_fill(&m, 0);
	check_is(guest_transfer(1, &m), AEGIS_BAD_ARG); /* nothing is bound there */
	check_is(guest_transfer(AEGIS_GATES, &m), AEGIS_BAD_ARG);
	check_is(guest_transfer(0xffffffff, &m), AEGIS_BAD_ARG);
	check_is(guest_send(1, &m), AEGIS_BAD_ARG);
	check_is(guest_return(), AEGIS_BAD_ARG);
	check_is(aegis_pct_bind(CAP, 4000, GATE), AEGIS_NO_SUCH);
	check_is(aegis_pct_bind(CAP, self()->env, AEGIS_GATES), AEGIS_BAD_ARG);
	check_is(aegis_pct_bind(9, self()->env, GATE), AEGIS_BAD_CAP);
	check_is(aegis_pct_bind(AEGIS_SELF, self()->env, GATE), AEGIS_BAD_CAP);
	require_is(aegis_pct_bind(CAP, self()->env, GATE), AEGIS_OK);
	check(guest_transfer(GATE, &m) < 0); /* to itself */
	none = spawn(&s);
	require_is(aegis_pct_bind(CAP, none->env, GATE), AEGIS_OK);
	check_is(guest_transfer(GATE, &m), AEGIS_BUSY); /* not started */
	child_end(none);
	check_is(guest_transfer(GATE, &m), AEGIS_DEAD);
	ready = server_start(NULL, 0, 0);
	deaf = spawn_on(server, 0, 0, SPAWN_WAIT);
	{
		struct aegis_setup *setup = spare();

		setup_fill(setup, deaf->g, deaf->space, 0, AEGIS_SETUP_EXTRA);
		setup->call_entry = 0;
		require_is(aegis_env_write(CAP, deaf->env, SPARE), AEGIS_OK);
		require_is(aegis_wake(CAP, deaf->env, 0), AEGIS_OK);
		require(accepting(deaf));
	}
	require_is(aegis_pct_bind(CAP, deaf->env, GATE), AEGIS_OK);
	check_is(guest_transfer(GATE, &m), AEGIS_BUSY);
	require_is(aegis_pct_bind(CAP, ready->env, GATE), AEGIS_OK);
	check_is(guest_transfer(GATE, &m), AEGIS_OK);
	message_check(&m, 0);
}

/* A gate rests on the capability with which it was bound. */
TEST(pct_revoked)
{
	struct child *c;
	struct message m;

	stop = 0;
	c = server_start(NULL, 0, 0);
	message_fill(&m, 0);
	require_is(aegis_cap_derive(CAP, AEGIS_ALL, 1), AEGIS_OK);
	check_is(aegis_pct_bind(1, c->env, GATE), AEGIS_DENIED);
	for (uint32_t level = 0; level < 2; level++) {
		struct child *o;
		struct spawn s = {.fn = server, .cap = 2};

		require_is(aegis_cap_derive(1, AEGIS_ALL, 2), AEGIS_OK);
		o = spawn(&s);
		require(accepting(o));
		require_is(aegis_pct_bind(2, o->env, GATE), AEGIS_OK);
		for (uint32_t i = 0; i < 10; i++) /* all but the first need not look at the name */
			check_is(guest_transfer(GATE, &m), AEGIS_OK);
		/* Its own name, or the one above. */
		while (aegis_cap_revoke(level ? 1 : 2) == AEGIS_AGAIN)
			;
		check_is(guest_transfer(GATE, &m), AEGIS_BAD_CAP);
		check_is(guest_send(GATE, &m), AEGIS_BAD_CAP);
		child_end(o);
		check_is(aegis_cap_drop(2), AEGIS_OK);
	}
	check_is(aegis_cap_drop(1), AEGIS_OK);
}

/* ---- chains ---- */

static volatile uint32_t next_env[16], deepest;

static void
pass_on(struct message *m, uint32_t caller)
{
	struct message inner = *m;
	uint32_t at = (uint32_t)m->rbx;
	status st;

	(void)caller;
	deepest = at > deepest ? at : deepest;
	if (!next_env[at])
		return;
	inner.rbx++;
	if (aegis_pct_bind(CAP, next_env[at], GATE) != AEGIS_OK)
		return;
	st = guest_transfer(GATE, &inner);
	m->rdx = st == AEGIS_OK ? inner.rdx : (uint64_t)st;
}

TEST(pct_depth)
{
	struct child *c[10];
	struct message m;

	stop = deepest = 0;
	for (uint32_t i = 0; i < 10; i++)
		c[i] = server_start(pass_on, 0, i % 2 ? SPAWN_SPACE : 0);
	for (uint32_t i = 0; i < 10; i++)
		next_env[i] = i < 9 ? c[i + 1]->env : 0;
	require_is(aegis_pct_bind(CAP, c[0]->env, GATE), AEGIS_OK);
	message_fill(&m, 0);
	m.rbx = m.rdx = 0;
	check_is(guest_transfer(GATE, &m), AEGIS_OK);
	check_is(deepest, AEGIS_CALL_DEPTH - 1);
	check_is(m.rdx, AEGIS_BUSY);
	next_env[5] = 0;
	m.rbx = m.rdx = deepest = 0;
	check_is(guest_transfer(GATE, &m), AEGIS_OK);
	check_is(deepest, 5);
	check_is(m.rdx, 0);
	/* Around: one of the callers is a target. */
	next_env[5] = c[2]->env;
	m.rbx = m.rdx = 0;
	check_is(guest_transfer(GATE, &m), AEGIS_OK);
	check_is(m.rdx, AEGIS_BUSY);
}

/* ---- ends on either side ---- */

static void
die(struct message *m, uint32_t caller)
{
	(void)m;
	(void)caller;
	aegis_env_destroy(AEGIS_SELF, self()->env);
}

static void
crash(struct message *m, uint32_t caller)
{
	(void)m;
	(void)caller;
	self()->hostile = true;
	__asm__ volatile("ud2");
}

static void
linger(struct message *m, uint32_t caller)
{
	(void)m;
	(void)caller;
	started = 77;
	while (!stop)
		relax();
}

TEST(pct_callee_ends)
{
	struct child *c;
	struct message m;

	message_fill(&m, 5);
	stop = 0;
	c = server_start(die, 0, SPAWN_SPACE);
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	check_is(guest_transfer(GATE, &m), AEGIS_DEAD);
	check_is(guest_transfer(GATE, &m), AEGIS_DEAD);
	child_end(c);
	c = server_start(crash, SYSTEM->cpus - 1, SPAWN_SPACE);
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	check_is(guest_transfer(GATE, &m), AEGIS_DEAD);
	child_end(c);
}

static volatile uint32_t caller_result;

static int64_t
calls_lingerer(uint64_t target)
{
	struct message m;

	message_fill(&m, 0);
	require_is(aegis_pct_bind(CAP, (uint32_t)target, GATE), AEGIS_OK);
	caller_result = (uint32_t)transfer(GATE, &m);
	return 0;
}

/* The callee is ended by somebody else, while the caller waits. */
TEST(pct_callee_destroyed)
{
	struct child *c, *caller;

	stop = started = 0;
	c = server_start(linger, 0, 0);
	caller = spawn_on(calls_lingerer, c->env, SYSTEM->cpus - 1, 0);
	require(wait_for(&started, 77));
	check_is(env_info(caller->env)->state, AEGIS_STATE_CALLING);
	check_is(env_info(caller->env)->callee, c->env);
	check_is(env_info(c->env)->caller, caller->env);
	child_end(c);
	child_join(caller);
	check_is((int32_t)caller_result, AEGIS_DEAD);
}

/* The caller is ended while it waits: the callee goes on, returns to nobody, and serves again. */
TEST(pct_caller_destroyed)
{
	struct child *c, *caller;
	struct message m;

	stop = started = 0;
	c = server_start(linger, 0, 0);
	caller = spawn_on(calls_lingerer, c->env, SYSTEM->cpus - 1, 0);
	require(wait_for(&started, 77));
	child_end(caller);
	rest(5000000);
	stop = 1;
	require(accepting(c)); /* back in the sleep out of which it was called */
	stop = 0;
	check_is(env_info(c->env)->caller, 0);
	c->g->on_call = add_one;
	served = 0;
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	message_fill(&m, 9);
	check_is(transfer(GATE, &m), AEGIS_OK);
	message_check(&m, 10);
	check_is(served, 1);
}

static void
doze(struct message *m, uint32_t caller)
{
	uint64_t outer = self()->resume;

	(void)m;
	(void)caller;
	started = 77;
	while (guest_sleep_unless(&stop, AEGIS_SLEEP_ACCEPT))
		;
	self()->resume = outer;
}

/* A callee that sleeps in a call: another call would take the place of the one that it serves. */
TEST(pct_callee_sleeps)
{
	struct child *c, *caller;
	struct message m;

	message_fill(&m, 3);
	stop = started = 0;
	caller_result = 1;
	c = server_start(doze, 0, 0);
	caller = spawn_on(calls_lingerer, c->env, SYSTEM->cpus - 1, 0);
	require(wait_for(&started, 77));
	require(accepting(c));
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	check_is(guest_transfer(GATE, &m), AEGIS_BUSY);
	check_is(guest_send(GATE, &m), AEGIS_BUSY);
	check_is(env_info(c->env)->caller, caller->env);
	check_is(env_info(caller->env)->state, AEGIS_STATE_CALLING);
	stop = 1;
	check_is(aegis_wake(CAP, c->env, 0), AEGIS_OK);
	child_join(caller);
	check_is((int32_t)caller_result, AEGIS_OK);
	child_join(c);
}

/* A callee that does not come back: its caller does, after so many slices. */
TEST(pct_recall)
{
	struct child *c, *caller, *busy;

	if (option_number("call_slices", AEGIS_CALL_SLICES) > 200)
		skip("needs the option call_slices");
	stop = started = 0;
	caller_result = 1;
	c = server_start(linger, 0, 0);
	caller = spawn_on(calls_lingerer, c->env, SYSTEM->cpus - 1, 0);
	require(wait_for(&started, 77));
	busy = spawn_on(server, 0, SYSTEM->cpus - 1, 0);
	for (uint32_t i = 0; i < 400 && caller_result == 1; i++)
		rest(5000000);
	check_is((int32_t)caller_result, AEGIS_TIMED_OUT);
	child_join(caller);
	/* It goes on in time of its own. */
	check_is(env_info(c->env)->caller, 0);
	stop = 1;
	rest(20000000);
	check_is(env_info(c->env)->end_reason, AEGIS_END_NONE);
	child_end(busy);
	child_end(c);
}

/* ---- sending ---- */

static void
note_send(struct message *m, uint32_t caller)
{
	last_message = *m;
	last_caller = caller;
	__atomic_add_fetch(&served, 1, __ATOMIC_SEQ_CST);
}

TEST(pct_send)
{
	struct child *c;

	stop = served = 0;
	c = server_start(note_send, SYSTEM->cpus - 1, SPAWN_SPACE);
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	for (uint32_t i = 0; i < 200; i++) {
		struct message m;
		status st;

		message_fill(&m, 31 * i);
		self()->area.defer = 1;
		while ((st = guest_send(GATE, &m)) == AEGIS_BUSY)
			relax_or_yield();
		self()->area.defer = 0;
		require_is(st, BEGUN);
		for (uint32_t j = 0; j < 20 && served < i + 1; j++)
			guest_yield(AEGIS_ANY);
		require(wait_for(&served, i + 1));
		check_is(served, i + 1);
		message_check(&last_message, 31 * i);
		check_is(last_caller, self()->env);
	}
}

/* ---- events during a call, and many clients on many processors ---- */

static void
wake_self(struct message *m, uint32_t caller)
{
	(void)m;
	(void)caller;
	aegis_wake(CAP, self()->env, 0);
}

static int64_t
counting_server(uint64_t arg)
{
	(void)arg;
	while (guest_sleep_unless(&stop, AEGIS_SLEEP_ACCEPT))
		started++;
	return 0;
}

/* An event that comes while it serves wakes it from its sleep when it is done. */
TEST(pct_event)
{
	struct spawn s = {.fn = counting_server, .on_call = wake_self};
	struct child *c;
	struct message m;

	stop = started = 0;
	c = spawn(&s);
	require(accepting(c));
	require_is(aegis_pct_bind(CAP, c->env, GATE), AEGIS_OK);
	message_fill(&m, 0);
	check_is(guest_transfer(GATE, &m), AEGIS_OK);
	check(wait_for(&started, 1));
	rest(3000000);
	check(started <= 3); /* and by the ends of slices, but not again and again */
}

static volatile uint32_t clients_done, wrong;

static int64_t
client(uint64_t target)
{
	struct message m;

	require_is(aegis_pct_bind(CAP, (uint32_t)target, GATE), AEGIS_OK);
	for (uint32_t i = 0; i < 2000 && !stop; i++) {
		uint64_t base = ((uint64_t)self()->index << 32) + i * 16;
		status st;

		message_fill(&m, base);
		while ((st = guest_transfer(GATE, &m)) == AEGIS_BUSY && !stop)
			guest_yield(AEGIS_ANY);
		if (st != AEGIS_OK && !stop)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		for (uint32_t w = 0; w < 12 && st == AEGIS_OK; w++) {
			if (((uint64_t *)&m)[w] != base + w + 1)
				__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		}
	}
	__atomic_add_fetch(&clients_done, 1, __ATOMIC_SEQ_CST);
	return 0;
}

TEST(pct_clients)
{
	uint32_t n = SYSTEM->cpus + 1;
	struct child *c[AEGIS_CPUS + 1], *s;
	uint64_t end = tsc() + ticks(4000000000ul);

	stop = clients_done = wrong = served = 0;
	s = server_start(add_one, 0, SPAWN_SPACE);
	for (uint32_t i = 0; i < n; i++)
		c[i] = spawn_on(client, s->env, i % SYSTEM->cpus, i % 2 ? SPAWN_SPACE : 0);
	while (clients_done < n && tsc() < end)
		rest(5000000);
	stop = 1;
	say("# %u transfers", served);
	check(served > 200);
	for (uint32_t i = 0; i < n; i++)
		child_join(c[i]);
	check_is(wrong, 0);
}

static void
add_and_linger(struct message *m, uint32_t caller)
{
	uint64_t turn = m->rbx / 16;

	add_one(m, caller);
	for (uint32_t i = 0; i < 20000 && turn % 64 == 63; i++)
		relax();
}

/* Transfers that the kernel hardly sees, while others wake, look at and end both sides. */
TEST(pct_disturbed)
{
	uint32_t cpu = SYSTEM->cpus - 1;
	struct child *s, *c;
	struct message m;

	stop = clients_done = wrong = served = 0;
	s = server_start(add_and_linger, cpu, 0);
	for (uint32_t round = 0; round < 20; round++) {
		uint64_t end = tsc() + ticks(10000000ul);

		c = spawn_on(client, s->env, cpu, round % 2 ? SPAWN_SPACE : 0);
		for (uint32_t i = 0; tsc() < end; i++) {
			check_is(aegis_wake(CAP, s->env, i % 2 ? AEGIS_WAKE_UPCALL : 0), AEGIS_OK);
			check_is(aegis_wake(CAP, c->env, AEGIS_WAKE_UPCALL), AEGIS_OK);
			check(env_info(s->env)->state != AEGIS_STATE_ENDED);
			rest(i % 4 ? 20000 : 500000);
		}
		child_end(c); /* in the middle of whatever it does */
	}
	check(served > 20);
	check_is(wrong, 0);
	require(accepting(s));
	check_is(env_info(s->env)->caller, 0);
	require_is(aegis_pct_bind(CAP, s->env, GATE), AEGIS_OK);
	for (uint64_t i = 0; i < 100; i++) {
		message_fill(&m, i);
		check_is(transfer(GATE, &m), AEGIS_OK);
		message_check(&m, i + 1);
	}
	child_end(s);
	check_is(guest_transfer(GATE, &m), AEGIS_DEAD);
}
