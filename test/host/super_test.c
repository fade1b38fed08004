/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's pump between a host and domains that are both random (super_case.h).
 *
 * The real pump, receiver and teller run over a fake link and fake services: a lost wake-up shows as a
 * standstill.  Then come hosts that lie and domains that scribble.
 *
 * Prints TAP.  An argument changes the seed.
 */
#include "test/host/super_case.h"

/* ---- the supervisor's loop ---- */

/* What super_pump and the rest must keep true whatever the rings say. */
static void
invariants_check(void)
{
	for (uint32_t d = 0; d < DOMAINS; d++) {
		for (uint32_t n = 0; n < 3; n++) {
			const struct stream *st = &s->domain[d].stream[n];

			assert(n == 0 || st->sent - st->tail <= st->ring.size);
			assert(st->credit <= CHANNEL_CREDIT_MAX);
		}
	}
	assert(s->link.posted - s->link.done <= LINK_SLOTS);
}

/* In two steps, between which others move: looking, and going to sleep. */
static void
supervisor_step(void)
{
	static uint32_t seen;
	static bool settled;

	if (supervisor_asleep)
		return;
	if (settled) {
		settled = false;
		supervisor_asleep = !super_pump_arm(s) && seen == events;
		return;
	}
	super_pump_disarm(s);
	seen = events;
	settled = !super_pump(s);
	settled &= !super_tell(s);
	invariants_check();
}

static void
domain_open(uint32_t d)
{
	struct domain *domain = &s->domain[d];

	domain->number = d;
	domain->state = DOMAIN_RUNNING;
	domain->host = &pages[d];
	memset(&pages[d], 0, sizeof(pages[d]));
	for (uint32_t n = 0; n < 3; n++) {
		memset(ring_at[d][n], 0, RING_PAGE);
		super_ring_open(&domain->stream[n], ring_at[d][n], HOST_PIPE);
		for (uint32_t i = 0; i <= RING_PAGES; i++)
			domain->stream[n].frames[i] = 1000 * d + 100 * n + i;
	}
}

static void
world_open(uint64_t total)
{
	memset(s, 0, sizeof(*s));
	memset(flow, 0, sizeof(flow));
	memset(told, 0, sizeof(told));
	memset(exits, 0, sizeof(exits));
	host_parser = (struct channel_parser){.from_guest = true};
	host_bad = false;
	supervisor_wake();
	busy_left = 0;
	way_count = 0;
	s->domain_count = DOMAINS;
	for (uint32_t d = 0; d < DOMAINS; d++) {
		domain_open(d);
		for (uint32_t n = 0; n < 3; n++) {
			struct flow *f = &flow[d][n];

			f->total = total && random_below(3) ? 1 + random_below((uint32_t)total) : 0;
			f->window = n && !d ? CHANNEL_CREDIT_OUT : 0;
			f->credit = f->window;
			s->domain[d].stream[n].credit = f->credit;
			if (n) {
				f->owed = 32768 - f->window;
				f->window = 32768;
			}
		}
	}
}

static bool
flows_done(uint32_t d)
{
	for (uint32_t n = 0; n < 3; n++) {
		const struct flow *f = &flow[d][n];

		if (!f->closed && (f->put < f->total || (n ? 0 : f->got < f->total)))
			return false;
	}
	return true;
}

/* Everything at random until both domains have ended; false: a standstill. */
static bool
world_run(uint32_t steps)
{
	for (uint32_t i = 0; i < steps; i++) {
		uint32_t d = random_below(DOMAINS);

		switch (random_below(9)) {
		case 0:
			host_grant();
			break;
		case 1:
			host_input(d);
			break;
		case 2:
			link_some();
			break;
		case 3:
			writer_step(d, 1 + random_below(2));
			break;
		case 4:
			reader_step(d);
			break;
		case 5:
			way_some(1 + random_below(random_below(2) ? 9000 : 20));
			break;
		case 6:
			busy_left = random_below(20) == 0;
			break;
		default:
			supervisor_step();
		}
		if (!pages[d].ended && flows_done(d)) {
			pages[d].exit_value = 40 + d;
			pages[d].ended = 1;
			supervisor_wake(); /* the service kicks */
		}
		if (exits[0] && exits[1] && s->link.posted == s->link.done)
			return true;
		if (host_bad || s->failed)
			return false;
	}
	return false;
}

static void
test_flow(void)
{
	bool good = true;

	for (uint32_t round = 0; round < 40 && good; round++) {
		world_open(random_below(4) ? 600000 : 300);
		good = world_run(3000000);
		for (uint32_t d = 0; d < DOMAINS && good; d++) {
			good &= exits[d] == 1 && exit_value[d] == 40 + d;
			for (uint32_t n = 0; n < 3; n++)
				good &= flow[d][n].got == flow[d][n].total &&
					(n == 0 || flow[d][n].ended);
		}
		if (!good)
			printf("# round %u: bad %d failed %s\n", round, host_bad,
			       s->failed ? s->failed : "-");
	}
	check(good, "random streams of two domains arrive whole, in order, within credit");
}

/* The host closes an output in the middle: writers hear of it, everything else goes on. */
static void
test_close(void)
{
	bool good;

	world_open(200000);
	flow[0][1].total = flow[0][2].total = 200000;
	for (uint32_t i = 0; i < 2000; i++) {
		writer_step(0, 1);
		supervisor_step();
		link_some();
	}
	flow[0][1].closed = true;
	host_control(CHANNEL_CLOSE, 0, 1, 1, 32, 0);
	way_all();
	good = world_run(3000000);
	check(good && !ring_of(0, 1).shared->read_open && ring_of(0, 1).shared->write_error == 32 &&
		      told[SVC_HOST_CLOSE] == 1,
	      "a stream that the host closes is dropped, its writers are told");
}

/* Nothing is asked of the host before somebody reads. */
static void
test_demand(void)
{
	world_open(1000);
	for (uint32_t i = 0; i < 100; i++) {
		supervisor_step();
		link_some();
	}
	check(supervisor_asleep && flow[0][0].credit == 0, "input is not asked for in advance");
	reader_step(0);
	for (uint32_t i = 0; i < 100; i++) {
		supervisor_step();
		link_some();
	}
	check(flow[0][0].credit == RING_PAGES * RING_PAGE, "a waiting reader asks for a window");
	ring_of(0, 0).shared->read_open = 0;
	supervisor_wake();
	for (uint32_t i = 0; i < 100; i++) {
		supervisor_step();
		link_some();
	}
	check(flow[0][0].closed, "the host hears that nobody reads any more");
}

/* A reader that begins to wait between the supervisor's look and its sleep. */
static void
test_race(void)
{
	world_open(1000);
	for (uint32_t i = 0; i < 100 && !supervisor_asleep; i++)
		supervisor_step();
	supervisor_wake();
	supervisor_step();
	reader_step(0);
	for (uint32_t i = 0; i < 100; i++) {
		supervisor_step();
		link_some();
	}
	check(flow[0][0].credit == RING_PAGES * RING_PAGE,
	      "a reader that waits while the supervisor goes to sleep is seen");
}

/* A background writer does not keep a domain that ended from ending. */
static void
test_ending(void)
{
	struct ring r;
	uint32_t i;

	world_open(0);
	flow[0][1].total = 50000;
	while (flow[0][1].put < 50000)
		writer_step(0, 1);
	pages[0].exit_kind = CHANNEL_KILLED;
	pages[0].exit_value = 9;
	pages[0].ended = 1;
	supervisor_wake();
	supervisor_step();
	r = ring_of(0, 1);
	flow[0][1].total = 1000000;
	for (i = 0; i < 100000 && !exits[0]; i++) {
		writer_step(0, 1);
		host_grant();
		way_all();
		supervisor_step();
		link_some();
		flow[0][1].asleep = false;
	}
	(void)r;
	check(exits[0] == 1 && exit_value[0] == 9 && flow[0][1].got == 50000 && !host_bad,
	      "what is written after the end is not waited for");
}

static void
test_terminal(void)
{
	static const uint16_t size[4] = {24, 80, 0, 0};
	struct channel_control c = channel_winsize(size);

	world_open(0);
	s->domain[0].stream[0].kind = HOST_TTY;
	s->domain[0].stream[0].wanted = true;
	s->domain[0].stream[1].kind = HOST_TTY;
	host_say(c.bytes, c.count);
	host_control(CHANNEL_SIGNAL, 0, 0, 1, 2, 0);
	host_control(CHANNEL_SIGNAL, 0, 0, 1, 15, 0);
	busy_left = 3;
	way_all();
	for (uint32_t i = 0; i < 20; i++) {
		supervisor_step();
		link_some();
	}
	check(told[SVC_HOST_WINSIZE] == 1 && told[SVC_HOST_SIGNAL] == 2,
	      "window size and signals reach a service that was busy");
	check(flow[0][0].credit == RING_PAGES * RING_PAGE, "a terminal's keys are read ahead");
	flow[0][0].total = 5;
	while (flow[0][0].put < 5)
		host_input(0);
	way_all();
	supervisor_step();
	check(told[SVC_HOST_INPUT] >= 1, "a terminal's service is told of input");
	flow[0][1].total = 200000;
	for (uint32_t i = 0; i < 20000; i++) {
		writer_step(0, 1);
		flow[0][1].asleep = false;
		host_grant();
		way_all();
		supervisor_step();
		link_some();
	}
	check(flow[0][1].got == flow[0][1].total && told[SVC_HOST_ROOM] > 0,
	      "a terminal's service is told of room");
}

/* ---- hosts that lie ---- */

static bool
refused(const uint8_t *bytes, size_t count)
{
	world_open(0);
	s->domain[0].stream[0].credit = 1000;
	s->domain[1].stream[0].ring.shared = NULL; /* no input */
	super_receive(s, bytes, count);
	return s->failed != NULL;
}

static void
test_lies(void)
{
	static uint8_t data[CHANNEL_HEADER + 2000];
	struct channel_control c;
	bool good = true;

	channel_put_head(data, CHANNEL_DATA, 0, 0, 937);
	good &= refused(data, CHANNEL_HEADER + 937);
	channel_put_head(data, CHANNEL_DATA, 0, 0, 936);
	good &= !refused(data, CHANNEL_HEADER + 936);
	channel_put_head(data, CHANNEL_DATA, 1, 0, 10);
	good &= refused(data, sizeof(data));
	channel_put_head(data, CHANNEL_DATA, DOMAINS, 0, 10);
	good &= refused(data, sizeof(data));
	channel_put_head(data, CHANNEL_DATA, 0, 1, 10);
	good &= refused(data, sizeof(data));
	c = channel_control(CHANNEL_CREDIT, 0, 1, 1, CHANNEL_CREDIT_MAX, 0);
	good &= refused(c.bytes, c.count);
	c = channel_control(CHANNEL_SIGNAL, 0, 0, 1, 0, 0);
	good &= refused(c.bytes, c.count);
	c = channel_control(CHANNEL_SIGNAL, 0, 0, 1, 65, 0);
	good &= refused(c.bytes, c.count);
	c = channel_control(CHANNEL_EXIT, 0, 0, 2, 0, 0);
	good &= refused(c.bytes, c.count);
	c = channel_control(CHANNEL_END, 1, 0, 0, 0, 0);
	good &= refused(c.bytes, c.count);
	world_open(0);
	host_control(CHANNEL_END, 0, 0, 0, 0, 0);
	way_all();
	good &= !s->failed;
	host_control(CHANNEL_END, 0, 0, 0, 0, 0);
	way_all();
	good &= s->failed != NULL;
	check(good, "a host that breaks the rules is refused");
}

static void
test_noise(void)
{
	uint8_t bytes[4096];

	for (uint32_t round = 0; round < 2000; round++) {
		world_open(0);
		for (uint32_t d = 0; d < DOMAINS; d++)
			s->domain[d].stream[0].credit = random_below(CHANNEL_CREDIT_MAX);
		for (uint32_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)random_below(256);
		/* Mostly headers that are nearly right. */
		for (uint32_t i = 0; i + 16 < sizeof(bytes); i += 8 + random_below(600)) {
			bytes[i] = (uint8_t)random_below(10);
			bytes[i + 1] = (uint8_t)random_below(3);
			bytes[i + 2] = (uint8_t)random_below(4);
			bytes[i + 3] = bytes[i + 5] = bytes[i + 6] = bytes[i + 7] = 0;
			bytes[i + 4] = (uint8_t)(random_below(2) ? 4 : random_below(256));
		}
		host_say(bytes, sizeof(bytes));
		way_all();
		super_pump(s);
		super_tell(s);
		super_pump_arm(s);
	}
	check(true, "noise from the host is survived");
}

/* A domain writes nonsense into every word that it shares, all the time. */
static void
test_scribble(void)
{
	static const uint64_t odd[] = {0, 1, UINT64_MAX, 1ul << 63, 65536, 65537, 4096};
	bool good;

	world_open(0);
	for (uint32_t n = 0; n < 3; n++)
		flow[0][n].total = 2000000;
	/* Domain 1 is hostile; of domain 0 everything must still arrive. */
	flow[1][0].closed = true; /* its content does not matter */
	for (uint32_t n = 1; n < 3; n++) {
		flow[1][n].closed = true;
		flow[1][n].credit = s->domain[1].stream[n].credit = CHANNEL_CREDIT_MAX;
		s->domain[1].stream[n].kind = HOST_TTY; /* never ends by itself */
	}
	for (uint32_t i = 0; i < 400000; i++) {
		uint64_t *words = (uint64_t *)ring_at[1][random_below(3)];
		uint32_t at = random_below(2) ? 0 : random_below(sizeof(struct ring_shared) / 8);

		words[at] = random_below(2) ? odd[random_below(7)] : words[at] + random_below(9000);
		host_input(0);
		host_grant();
		way_some(random_below(9000));
		writer_step(0, 1 + random_below(2));
		reader_step(0);
		supervisor_step();
		supervisor_wake();
		link_some();
		if (flows_done(0))
			break;
	}
	good = flows_done(0) && !host_bad && !s->failed;
	pages[0].ended = 1;
	for (uint32_t i = 0; i < 100000 && !exits[0]; i++) {
		supervisor_step();
		supervisor_wake();
		link_some();
		host_grant();
		way_all();
	}
	for (uint32_t n = 0; n < 3; n++)
		good &= flow[0][n].got == flow[0][n].total;
	check(good && exits[0] == 1, "a domain that scribbles harms itself only");
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		random_state = strtoull(argv[1], NULL, 0) | 1;
	s = calloc(1, sizeof(*s));
	for (uint32_t d = 0; d < DOMAINS; d++) {
		for (uint32_t n = 0; n < CHANNEL_STREAMS; n++)
			ring_at[d][n] = aligned_alloc(RING_PAGE, (RING_PAGES + 1) * RING_PAGE);
	}
	test_flow();
	test_close();
	test_demand();
	test_race();
	test_ending();
	test_terminal();
	test_lies();
	test_noise();
	test_scribble();
	for (uint32_t d = 0; d < DOMAINS; d++) {
		for (uint32_t n = 0; n < CHANNEL_STREAMS; n++)
			free(ring_at[d][n]);
	}
	free(s);
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
