/* SPDX-License-Identifier: MIT */
/*
 * A machine from start to end: one loop that carries bytes between the guest's channel and this
 * command's descriptors, forwards signals, and decides when and how the run is over.
 *
 *  1. The guest is not trusted: what comes through the channel is checked by the parser and by
 *     credits; anything else ends the run with EXO_FAILED.
 *  2. Once the first domain's EXIT has come, its status is this command's, but it ends only
 *     after all output has drained and the machine has ended by itself (or was given OFF_MS to
 *     do so).
 *  3. Nothing is read from standard input beyond the credit that the guest gave, except a
 *     terminal's keys (KEYS_MOST of them), so that the keys that end a run are seen when the
 *     guest hangs.
 *  4. No descriptor of the caller is made non-blocking; the machine's are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "exo.h"

#define OFF_MS       3000 /* for the machine to end by itself after EXIT */
#define LAST_MS      1000 /* for output to drain when the machine has failed */
#define ESCAPE_KEY   0x1d /* Ctrl-] */
#define ESCAPE_COUNT 3u
#define ESCAPE_MS    1000
#define KEYS_MOST    4096u
#define SEND_MOST    (256u * 1024) /* bytes waiting for the machine; more input is not read then */
#define SHOWN_LINES  20u

#define WINDOW_FIRST (256u * 1024) /* streams of the first domain */
#define WINDOW_OTHER (32u * 1024)

#define STREAMS (CHANNEL_DOMAINS * CHANNEL_STREAMS)

enum {
	WAIT_CHANNEL,
	WAIT_LOG,
	WAIT_ERRORS,
	WAIT_SIGNALS,
	WAIT_INPUT,
	WAIT_SINKS,
	WAIT_COUNT = WAIT_SINKS + CHANNEL_STREAMS,
};

struct run {
	struct qemu *qemu;
	const struct options *options;
	const struct stdio *stdio;
	const struct domain *domains;
	size_t domain_count;
	int signal_fd, log_fd;

	struct channel_parser parser;
	struct text send;      /* to the guest */
	struct text keys;      /* of the terminal, read ahead of the credit that the guest gave */
	uint32_t input_credit; /* that the guest gave for stream 0 */
	bool input_ended;      /* END was sent, or CLOSE came */
	struct sink sinks[CHANNEL_STREAMS];
	struct stream streams[STREAMS];
	struct lines log, errors;

	bool hello, exited, channel_closed, violated;
	int status;           /* of the first domain */
	int64_t deadline;     /* INT64_MAX: none */
	int64_t off_deadline; /* after EXIT */
	int ended_by;         /* exit status that ends the run at once; 0: none */
	int64_t escape_times[ESCAPE_COUNT];
};

static struct stream *
run_stream(struct run *run, unsigned domain, unsigned stream)
{
	return &run->streams[domain * CHANNEL_STREAMS + stream];
}

static void
send_control(struct run *run, struct channel_control frame)
{
	if (!run->channel_closed)
		text_add(&run->send, frame.bytes, frame.count);
}

static void
send_winsize(struct run *run)
{
	uint16_t size[4];

	stdio_winsize(run->stdio, size);
	if (run->stdio->terminal)
		send_control(run, channel_winsize(size));
}

static const char *
prefix_new(const struct domain *domain)
{
	return duplicate(domain->name);
}

static void
run_open(struct run *run)
{
	static const uint32_t first = CHANNEL_CREDIT_OUT;
	int terminal = -1;

	/* Standard input's terminal may have been opened for reading only. */
	if (run->stdio->out_stream == 3 && run->stdio->terminal)
		terminal = open("/proc/self/fd/0", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	sink_open(&run->sinks[1], STDOUT_FILENO);
	sink_open(&run->sinks[2], STDERR_FILENO);
	sink_open(&run->sinks[3], terminal);
	for (unsigned i = 1; i < CHANNEL_STREAMS; i++)
		stream_open(run_stream(run, 0, i), &run->sinks[i], NULL, i < 3 ? first : 0);
	for (unsigned i = 1; i < run->domain_count; i++)
		for (unsigned j = 1; j < 3; j++)
			stream_open(run_stream(run, i, j), &run->sinks[2],
				    prefix_new(&run->domains[i]), 0);
	run->parser.from_guest = true;
	run->deadline = INT64_MAX;
	if (run->options->timeout_ms > 0) {
		int64_t ms = run->options->timeout_ms;
		struct itimerval timer = {
			.it_interval = {.tv_sec = 1},
			.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (ms % 1000) * 1000}};

		/* poll() sees the deadline by itself; the timer interrupts a write that stalls. */
		run->deadline = clock_ms() + ms;
		setitimer(ITIMER_REAL, &timer, NULL);
	}
}

/*
 * From the guest.
 */

static void
guest_hello(struct run *run, uint32_t version)
{
	if (run->hello || version != CHANNEL_VERSION) {
		run->violated = true;
		return;
	}
	run->hello = true;
	qemu_unblock(run->qemu);
	terminal_raw(run->stdio, true);
	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *stream = &run->streams[i];

		if (!stream->sink)
			continue;
		stream->window = i < CHANNEL_STREAMS ? WINDOW_FIRST : WINDOW_OTHER;
		stream->owed +=
			stream->window - (i == 1 || i == 2 ? (uint32_t)CHANNEL_CREDIT_OUT : 0);
	}
	send_winsize(run);
}

static void
guest_exit(struct run *run, unsigned domain, uint32_t kind, uint32_t value)
{
	int status = kind == CHANNEL_EXITED ? (int)(value & 255) : (int)(128 + (value & 127));

	if (domain >= run->domain_count && domain > 0) {
		run->violated = true;
		return;
	}
	if (domain == 0 && !run->exited) {
		run->exited = true;
		run->status = status;
		run->off_deadline = clock_ms() + OFF_MS;
	}
	for (unsigned i = 1; i < CHANNEL_STREAMS; i++)
		if (run_stream(run, domain, i)->prefix)
			stream_flush(run_stream(run, domain, i));
	if (domain > 0 && status != 0 && !run->exited) {
		struct stream *stream = run_stream(run, domain, 2);

		text_print(&stream->queue, "%s: ended with status %d\n", stream->prefix, status);
	}
}

static void
guest_frame(struct run *run, const struct channel_event *event)
{
	struct stream *stream = run_stream(run, event->head.domain, event->head.stream);
	bool first = event->head.domain == 0;

	switch (event->head.type) {
	case CHANNEL_HELLO:
		guest_hello(run, event->value[0]);
		break;
	case CHANNEL_EXIT:
		guest_exit(run, event->head.domain, event->value[0], event->value[1]);
		break;
	case CHANNEL_END:
		run->violated |= !stream->sink || stream->ended;
		stream->ended = true;
		break;
	case CHANNEL_CREDIT:
		run->violated |= !first || !channel_earn(&run->input_credit, event->value[0]);
		break;
	case CHANNEL_CLOSE:
		run->violated |= !first;
		run->input_ended = true;
		break;
	default:
		run->violated = true;
	}
}

static void
guest_bytes(struct run *run, const uint8_t *bytes, size_t count)
{
	while (count > 0 && !run->violated) {
		struct channel_event event;
		size_t used = channel_parse(&run->parser, bytes, count, &event);

		bytes += used;
		count -= used;
		if (event.what == CHANNEL_BAD)
			run->violated = true;
		else if (event.what == CHANNEL_FRAME)
			guest_frame(run, &event);
		else if (event.what == CHANNEL_PIECE)
			run->violated |= !stream_take(
				run_stream(run, event.head.domain, event.head.stream), &event);
	}
}

static void
channel_read(struct run *run)
{
	static uint8_t bytes[256 * 1024];
	ssize_t count = read(run->qemu->channel, bytes, sizeof(bytes));

	if (count > 0)
		guest_bytes(run, bytes, (size_t)count);
	else if (count == 0 || (errno != EAGAIN && errno != EINTR))
		run->channel_closed = true;
}

/*
 * To the guest.
 */

static void
channel_write(struct run *run)
{
	ssize_t count;

	if (run->send.count == 0 || run->channel_closed)
		return;
	count = send(run->qemu->channel, run->send.bytes, run->send.count, MSG_NOSIGNAL);
	if (count > 0)
		text_drop(&run->send, (size_t)count);
	else if (errno != EAGAIN && errno != EINTR)
		run->send.count = 0;
}

/* Three times the escape key within a second ends the run. */
static void
input_escape(struct run *run, const uint8_t *bytes, size_t count)
{
	int64_t now = clock_ms(), *times = run->escape_times;

	if (!run->stdio->raw_in)
		return;
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != ESCAPE_KEY) {
			memset(times, 0, sizeof(run->escape_times));
			continue;
		}
		memmove(times, times + 1, (ESCAPE_COUNT - 1) * sizeof(times[0]));
		times[ESCAPE_COUNT - 1] = now;
		if (times[0] > 0 && now - times[0] <= ESCAPE_MS)
			run->ended_by = 128 + SIGKILL;
	}
}

static bool
input_wanted(const struct run *run)
{
	if (!run->hello || run->exited || run->input_ended || run->channel_closed)
		return false;
	if (run->stdio->raw_in)
		return run->keys.count < KEYS_MOST;
	return run->send.count < SEND_MOST && channel_room(run->input_credit) > 0;
}

static void
input_send(struct run *run, const void *bytes, uint32_t count)
{
	uint8_t head[CHANNEL_HEADER];

	channel_spend(&run->input_credit, count);
	channel_put_head(head, CHANNEL_DATA, 0, 0, count);
	text_add(&run->send, head, sizeof(head));
	text_add(&run->send, bytes, count);
}

/* Sends keys that were read ahead, as far as the guest takes them. */
static void
keys_send(struct run *run)
{
	uint32_t count = channel_room(run->input_credit);

	if (count > run->keys.count)
		count = (uint32_t)run->keys.count;
	if (count == 0 || run->input_ended)
		return;
	input_send(run, run->keys.bytes, count);
	text_drop(&run->keys, count);
}

static void
input_read(struct run *run)
{
	static uint8_t bytes[CHANNEL_DATA_MAX];
	bool keys = run->stdio->raw_in;
	ssize_t count;

	if (!input_wanted(run))
		return;
	count = read(STDIN_FILENO, bytes,
		     keys ? KEYS_MOST - run->keys.count : channel_room(run->input_credit));
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		uint32_t error = count < 0 ? (uint32_t)errno : 0;

		run->input_ended = true;
		send_control(run, channel_control(CHANNEL_END, 0, 0, error ? 1 : 0, error, 0));
	} else if (keys) {
		input_escape(run, bytes, (size_t)count);
		text_add(&run->keys, bytes, (size_t)count);
	} else {
		input_send(run, bytes, (uint32_t)count);
	}
}

/* Grants what was consumed, in large steps; says which streams nobody takes. */
static void
streams_answer(struct run *run)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *stream = &run->streams[i];
		uint8_t domain = (uint8_t)(i / CHANNEL_STREAMS);
		uint16_t number = (uint16_t)(i % CHANNEL_STREAMS);

		if (!stream->sink || !run->hello || stream->closed)
			continue;
		if (stream->sink->error) {
			stream->closed = true;
			send_control(run, channel_control(CHANNEL_CLOSE, domain, number, 1,
							  (uint32_t)stream->sink->error, 0));
		} else if (stream->owed >= stream->window / 4 && !stream->ended) {
			send_control(run, channel_control(CHANNEL_CREDIT, domain, number, 1,
							  stream->owed, 0));
			stream->credit += stream->owed;
			stream->owed = 0;
		}
	}
}

/* Once the program has closed its output and all is written, a reader of it sees the end. */
static void
output_end(struct run *run)
{
	struct stream *stream = run_stream(run, 0, 1);
	int null;

	if (!stream->ended || run->sinks[1].fd < 0 || stream->queue.count > 0)
		return;
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	run->sinks[1].fd = -1;
}

/*
 * Signals, logs, and the loop.
 */

static void
handle_stop(struct run *run)
{
	if (signals_take(SIGTSTP) > 0) {
		terminal_restore();
		if (run->qemu->pid > 0)
			kill(run->qemu->pid, SIGSTOP);
		raise(SIGSTOP);
		if (run->qemu->pid > 0)
			kill(run->qemu->pid, SIGCONT);
	}
	if (signals_take(SIGCONT) > 0) {
		terminal_raw(run->stdio, run->hello);
		if (run->hello)
			send_winsize(run);
	}
}

static void
handle_signals(struct run *run)
{
	static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

	signals_drain(run->signal_fd);
	handle_stop(run);
	if (signals_take(SIGWINCH) > 0 && run->hello)
		send_winsize(run);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
		int number = forwarded[i];

		if (signals_take(number) == 0)
			continue;
		if (run->hello && !run->exited)
			send_control(run,
				     channel_control(CHANNEL_SIGNAL, 0, 0, 1, (uint32_t)number, 0));
		else
			run->ended_by = 128 + number;
	}
}

/* Takes what is there; closes the descriptor at its end. */
static void
log_read(struct run *run, int *fd, struct lines *lines, int copy)
{
	char bytes[16384];
	ssize_t count;

	while (*fd >= 0 && (count = read(*fd, bytes, sizeof(bytes))) != 0) {
		size_t done = 0;

		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count < 0)
			break;
		lines_add(lines, bytes, (size_t)count);
		while (copy >= 0 && done < (size_t)count) {
			ssize_t wrote = write(copy, bytes + done, (size_t)count - done);

			if (wrote < 0 && errno != EINTR) {
				note("--log: %s", strerror(errno));
				copy = run->log_fd = -1;
			}
			done += wrote > 0 ? (size_t)wrote : 0;
		}
	}
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool
output_pending(const struct run *run)
{
	for (unsigned i = 1; i < CHANNEL_STREAMS; i++)
		if (run->sinks[i].fd >= 0 && sink_pending(&run->sinks[i], run->streams, STREAMS))
			return true;
	return false;
}

static int
wait_ms(const struct run *run)
{
	int64_t now = clock_ms(), until = run->deadline;

	if (run->exited && run->qemu->pid > 0 && run->off_deadline < until)
		until = run->off_deadline;
	if (until == INT64_MAX)
		return -1;
	return until <= now ? 0 : until - now > 60000 ? 60000 : (int)(until - now) + 1;
}

static void
run_wait(struct run *run, struct pollfd *wait)
{
	bool closed = run->channel_closed;
	short channel = (short)(POLLIN | (run->send.count > 0 ? POLLOUT : 0));

	wait[WAIT_CHANNEL] = (struct pollfd){closed ? -1 : run->qemu->channel, channel, 0};
	wait[WAIT_LOG] = (struct pollfd){run->qemu->log, POLLIN, 0};
	wait[WAIT_ERRORS] = (struct pollfd){run->qemu->errors, POLLIN, 0};
	wait[WAIT_SIGNALS] = (struct pollfd){run->signal_fd, POLLIN, 0};
	wait[WAIT_INPUT] = (struct pollfd){input_wanted(run) ? STDIN_FILENO : -1, POLLIN, 0};
	for (unsigned i = 0; i < CHANNEL_STREAMS; i++) {
		bool pending = i > 0 && sink_pending(&run->sinks[i], run->streams, STREAMS);

		wait[WAIT_SINKS + i] = (struct pollfd){pending ? run->sinks[i].fd : -1, POLLOUT, 0};
	}
	if (poll(wait, WAIT_COUNT, wait_ms(run)) < 0)
		for (unsigned i = 0; i < WAIT_COUNT; i++)
			wait[i].revents = 0;
}

/* Whether the run is over: the machine has ended and everything it said has been taken. */
static bool
run_over(struct run *run)
{
	bool off = qemu_reap(run->qemu);

	/* The far end of the channel, if still open here, hides that the machine's is closed. */
	if (off)
		qemu_unblock(run->qemu);
	off = off && run->channel_closed && run->qemu->log < 0;
	if (run->ended_by || run->violated)
		return true;
	if (clock_ms() >= run->deadline) {
		run->ended_by = EXO_TIMEOUT;
		return true;
	}
	if (!run->exited)
		return off;
	if (clock_ms() >= run->off_deadline)
		qemu_kill(run->qemu);
	return !output_pending(run) && run->qemu->pid == 0;
}

static void
run_loop(struct run *run)
{
	struct pollfd wait[WAIT_COUNT];

	while (!run_over(run)) {
		run_wait(run, wait);
		/* The far end that is still open here hides the end of a machine that died early.
		 */
		if (run->qemu->pid == 0)
			qemu_unblock(run->qemu);
		handle_signals(run);
		if (wait[WAIT_CHANNEL].revents & (POLLIN | POLLHUP | POLLERR))
			channel_read(run);
		log_read(run, &run->qemu->log, &run->log, run->log_fd);
		log_read(run, &run->qemu->errors, &run->errors, -1);
		if (wait[WAIT_INPUT].revents)
			input_read(run);
		keys_send(run);
		for (unsigned i = 1; i < CHANNEL_STREAMS; i++)
			sink_write(&run->sinks[i], run->streams, STREAMS);
		output_end(run);
		streams_answer(run);
		channel_write(run);
	}
}

/* A short time for output that is still there when the run ends otherwise than by EXIT. */
static void
run_drain(struct run *run)
{
	int64_t deadline = clock_ms() + LAST_MS;

	while (output_pending(run) && clock_ms() < deadline && run->ended_by != EXO_TIMEOUT) {
		for (unsigned i = 1; i < CHANNEL_STREAMS; i++)
			sink_write(&run->sinks[i], run->streams, STREAMS);
		if (output_pending(run))
			usleep(5000);
	}
}

static void
panic_show(const struct run *run)
{
	const char *given = run->options->kernel;
	char *kernel = given ? duplicate(given) : path_artefact("aegis.elf");
	struct names names;

	lines_show(&run->log, SHOWN_LINES, "panic", names_open(&names, kernel) ? &names : NULL);
	free(kernel);
}

/* What remains to be said; the exit status. */
static int
run_result(struct run *run)
{
	char words[128];
	enum machine_end end = qemu_end(run->qemu, words, sizeof(words));
	int error = run->sinks[1].error ? run->sinks[1].error : run->sinks[2].error;

	if (run->ended_by == EXO_TIMEOUT)
		note("the time given with --timeout is over");
	if (run->ended_by)
		return run->ended_by;
	if (run->violated) {
		note("the guest broke the rules of its channel to the host");
		lines_show(&run->log, SHOWN_LINES, NULL, NULL);
		return EXO_FAILED;
	}
	if (run->exited && end != MACHINE_PANIC) {
		if (run->status == 0 && error && error != EPIPE) {
			note("cannot write the program's output: %s", strerror(error));
			return EXO_FAILED;
		}
		return run->status;
	}
	note("%s%s", words, run->exited ? " after the program had ended" : "");
	lines_show(&run->errors, SHOWN_LINES, NULL, NULL);
	if (end != MACHINE_PANIC)
		lines_show(&run->log, SHOWN_LINES, NULL, NULL);
	else
		panic_show(run);
	return EXO_FAILED;
}

int
run_machine(struct qemu *qemu, const struct options *options, const struct stdio *stdio,
	    const struct domain *domains, size_t count, int log_fd)
{
	static struct run run;

	run = (struct run){.qemu = qemu,
			   .options = options,
			   .stdio = stdio,
			   .domains = domains,
			   .domain_count = count,
			   .signal_fd = signals_open(),
			   .log_fd = log_fd};
	run_open(&run);
	terminal_raw(stdio, false);
	run_loop(&run);
	terminal_restore();
	qemu_kill(qemu);
	log_read(&run, &qemu->log, &run.log, run.log_fd);
	log_read(&run, &qemu->errors, &run.errors, -1);
	run_drain(&run);
	return run_result(&run);
}
