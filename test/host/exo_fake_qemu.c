/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for QEMU and the guest in it: takes QEMU's command line, speaks the guest's side of
 * the channel, and plays the part that FAKE_QEMU names.  FAKE_QEMU_N is a number for parts that
 * need one.  Started without an archive, as a probe, it does as if KVM worked if FAKE_QEMU_KVM is
 * set.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/channel.h"
#include "host/manifest.h"

static int channel = -1;
static const char *archive_path;
static struct channel_parser parser;
static uint32_t credits[CHANNEL_DOMAINS][CHANNEL_STREAMS];
static bool closed[CHANNEL_STREAMS], ended;
static uint32_t last_signal, close_error, winsize[2], winsizes;
static char *manifest;
static size_t manifest_size;

/* What is done with input that arrives, and the credit it used up. */
static void (*input_taken)(const uint8_t *bytes, size_t count);
static uint32_t input_owed;

static void finish(int status) __attribute__((noreturn));

static void
finish(int status)
{
	_exit(status);
}

static void
write_all(const void *bytes, size_t count)
{
	while (count > 0) {
		ssize_t wrote = write(channel, bytes, count);

		if (wrote < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (wrote <= 0)
			finish(99);
		bytes = (const char *)bytes + wrote;
		count -= (size_t)wrote;
	}
}

static void
control(enum channel_type type, uint8_t domain, uint16_t stream, uint32_t words, uint32_t a,
	uint32_t b)
{
	struct channel_control frame = channel_control(type, domain, stream, words, a, b);

	write_all(frame.bytes, frame.count);
}

static void
handle(const struct channel_event *event)
{
	const struct channel_head *head = &event->head;

	if (event->what == CHANNEL_BAD)
		finish(98);
	if (event->what == CHANNEL_PIECE && input_taken) {
		input_taken(event->bytes, event->count);
		input_owed += (uint32_t)event->count + (event->first ? CHANNEL_OVERHEAD : 0);
	}
	if (event->what != CHANNEL_FRAME)
		return;
	if (head->type == CHANNEL_CREDIT &&
	    !channel_earn(&credits[head->domain][head->stream], event->value[0]))
		finish(97);
	if (head->type == CHANNEL_CLOSE) {
		closed[head->stream] = true;
		close_error = event->value[0];
	}
	if (head->type == CHANNEL_END)
		ended = true;
	if (head->type == CHANNEL_SIGNAL)
		last_signal = event->value[0];
	if (head->type == CHANNEL_WINSIZE) {
		winsize[0] = event->value[0] & 0xffff;
		winsize[1] = event->value[0] >> 16;
		winsizes++;
	}
}

/* Takes frames of the host; waits for one if there is none and `wait`. */
static void
receive(bool wait)
{
	static uint8_t bytes[3001]; /* odd on purpose */
	struct pollfd ready = {.fd = channel, .events = POLLIN};
	ssize_t count, done = 0;

	if (poll(&ready, 1, wait ? -1 : 0) <= 0)
		return;
	count = read(channel, bytes, sizeof(bytes));
	if (count <= 0)
		finish(96);
	while (done < count) {
		struct channel_event event;

		done += (ssize_t)channel_parse(&parser, bytes + done, (size_t)(count - done),
					       &event);
		handle(&event);
	}
}

static void
data(uint8_t domain, uint16_t stream, const void *bytes, size_t count)
{
	uint32_t *credit = &credits[domain][stream];

	while (count > 0 && !closed[stream]) {
		uint32_t part = channel_room(*credit);
		uint8_t head[CHANNEL_HEADER];

		if (part == 0) {
			receive(true);
			continue;
		}
		if (part > count)
			part = (uint32_t)count;
		channel_spend(credit, part);
		channel_put_head(head, CHANNEL_DATA, domain, stream, part);
		write_all(head, sizeof(head));
		write_all(bytes, part);
		bytes = (const char *)bytes + part;
		count -= part;
		receive(false);
	}
}

static void
text(uint8_t domain, uint16_t stream, const char *string)
{
	data(domain, stream, string, strlen(string));
}

static void leave(enum channel_exit kind, uint32_t value) __attribute__((noreturn));

static void
leave(enum channel_exit kind, uint32_t value)
{
	control(CHANNEL_EXIT, 0, 0, 2, kind, value);
	finish((0x10 << 1) | 1);
}

static uint32_t
number(void)
{
	const char *value = getenv("FAKE_QEMU_N");

	return value ? (uint32_t)strtoul(value, NULL, 10) : 0;
}

/*
 * Parts.
 */

/* Input that waits to be sent back; no more than the credit that was given for it. */
static uint8_t queue[1 << 20];
static size_t queued;
static bool end_key; /* Ctrl-D was among it */

static void
queue_input(const uint8_t *bytes, size_t count)
{
	if (count > sizeof(queue) - queued)
		finish(91);
	memcpy(queue + queued, bytes, count);
	end_key |= memchr(bytes, 4, count) != NULL;
	queued += count;
}

static void
echo_queue(void)
{
	static uint8_t copy[sizeof(queue)];
	size_t count = queued;

	memcpy(copy, queue, count);
	queued = 0;
	data(0, 1, copy, count);
	if (input_owed > 0)
		control(CHANNEL_CREDIT, 0, 0, 1, input_owed, 0);
	input_owed = 0;
}

static void
play_cat(void)
{
	input_taken = queue_input;
	control(CHANNEL_CREDIT, 0, 0, 1, number() ? number() : 100000, 0);
	while (!ended || queued > 0) {
		if (!queued)
			receive(true);
		echo_queue();
	}
	leave(CHANNEL_EXITED, close_error == EPIPE ? 1 : 0);
}

static void
play_bulk(void)
{
	static uint8_t block[100000];
	uint32_t left = number(), seed = 1;

	while (left > 0) {
		size_t part = left < sizeof(block) ? left : sizeof(block);

		for (size_t i = 0; i < part; i++) {
			seed = seed * 1103515245u + 12345u;
			block[i] = (uint8_t)(seed >> 16);
		}
		data(0, 1, block, part);
		left -= (uint32_t)part;
	}
	leave(CHANNEL_EXITED, 0);
}

static void
play_small(void)
{
	for (uint32_t i = 0; i < number(); i++)
		text(0, 1, i % 10 == 9 ? "\n" : "x");
	leave(CHANNEL_EXITED, 0);
}

static void
play_order(void)
{
	bool same = memmem(manifest, manifest_size, "0.same=1", 9) != NULL;

	for (int i = 0; i < 300; i++) {
		text(0, 1, "a\n");
		text(0, same ? 1 : 2, "b\n");
	}
	leave(CHANNEL_EXITED, 0);
}

static void
play_flood(void)
{
	while (!closed[1])
		text(0, 1, "y\ny\ny\ny\ny\ny\ny\ny\n");
	leave(CHANNEL_KILLED, close_error == EPIPE ? SIGPIPE : 1);
}

static void
play_full(void)
{
	text(0, 1, "some output\n");
	leave(CHANNEL_EXITED, 0);
}

static void
play_signal(void)
{
	text(0, 1, "ready\n");
	while (!last_signal)
		receive(true);
	leave(CHANNEL_KILLED, last_signal);
}

/* Says every change of the window's size, until a key comes. */
static void
play_winsize(void)
{
	uint32_t seen = 0;
	char line[64];

	control(CHANNEL_CREDIT, 0, 0, 1, 4096, 0);
	input_taken = queue_input;
	text(0, 1, "ready\n");
	while (!ended && !last_signal && !end_key) {
		if (seen != winsizes) {
			seen = winsizes;
			snprintf(line, sizeof(line), "size %u %u\n", winsize[0], winsize[1]);
			text(0, 1, line);
		}
		echo_queue();
		if (!end_key)
			receive(true);
	}
	leave(CHANNEL_EXITED, 0);
}

static void
play_with(void)
{
	for (int i = 0; i < 1000; i++) {
		text(1, 1, "one");
		text(2, 2, "two\n");
		text(1, 1, " line\n");
	}
	text(1, 2, "unfinished");
	control(CHANNEL_EXIT, 1, 0, 2, CHANNEL_EXITED, 3);
	text(0, 1, "alone\n");
	leave(CHANNEL_EXITED, 0);
}

static void
play_manifest(void)
{
	for (size_t i = 0; i < manifest_size; i++)
		if (manifest[i] == 0)
			manifest[i] = '\n';
	data(0, 1, manifest, manifest_size);
	leave(CHANNEL_EXITED, 0);
}

static void
play_panic(void)
{
	for (int i = 1; i <= 30; i++)
		printf("kernel line %d\r\n", i);
	printf("panic: all is \033lost\r\nbacktrace\r\n  rip 0000000000100001\r\n");
	fflush(stdout);
	finish((0x20 << 1) | 1);
}

static void
play_late(void)
{
	text(0, 1, "done\n");
	control(CHANNEL_EXIT, 0, 0, 2, CHANNEL_EXITED, 0);
	play_panic();
}

static void
play_garbage(void)
{
	uint32_t seed = number();
	uint8_t bytes[4096];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		seed = seed * 1103515245u + 12345u;
		bytes[i] = (uint8_t)(seed >> 16);
	}
	write_all(bytes, sizeof(bytes));
	for (;;)
		receive(true);
}

static void
play_overrun(void)
{
	uint8_t frame[CHANNEL_HEADER + 1000] = {0};

	channel_put_head(frame, CHANNEL_DATA, 0, 1, 1000);
	for (;;)
		write_all(frame, sizeof(frame));
}

static void
play_end(void)
{
	text(0, 1, "last\n");
	control(CHANNEL_END, 0, 1, 0, 0, 0);
	while (!last_signal)
		receive(true);
	leave(CHANNEL_EXITED, 5);
}

static void
play_stay(void)
{
	control(CHANNEL_EXIT, 0, 0, 2, CHANNEL_EXITED, 6);
	for (;;)
		pause();
}

static void
play_two(void)
{
	text(0, 1, "out\n");
	text(0, 2, "err\n");
	leave(CHANNEL_EXITED, number());
}

static void
play_kill(void)
{
	leave(CHANNEL_KILLED, number());
}

static void
play_hang(void)
{
	text(0, 1, "before\n");
	for (;;)
		receive(true);
}

static void
play_quit(void)
{
	fprintf(stderr, "qemu: something is wrong\n");
	finish((int)number());
}

static const struct {
	const char *name;
	void (*play)(void);
} parts[] = {
	{"cat", play_cat},           {"bulk", play_bulk},       {"small", play_small},
	{"order", play_order},       {"flood", play_flood},     {"full", play_full},
	{"signal", play_signal},     {"winsize", play_winsize}, {"with", play_with},
	{"manifest", play_manifest}, {"panic", play_panic},     {"late", play_late},
	{"garbage", play_garbage},   {"overrun", play_overrun}, {"end", play_end},
	{"stay", play_stay},         {"two", play_two},         {"kill", play_kill},
	{"hang", play_hang},         {"quit", play_quit},
};

/* The manifest, found by its member's name; and a copy of the archive, if FAKE_QEMU_ARCHIVE says
 * where. */
static void
read_archive(void)
{
	const char *copy = getenv("FAKE_QEMU_ARCHIVE");
	FILE *file = fopen(archive_path, "rb"), *to = copy ? fopen(copy, "wb") : NULL;
	static char bytes[64 << 20];
	size_t count;
	char *name, digits[9] = {0};

	if (!file)
		finish(95);
	count = fread(bytes, 1, sizeof(bytes), file);
	if (to) {
		fwrite(bytes, 1, count, to);
		fclose(to);
	}
	name = memmem(bytes, count, "boot/manifest", 14);
	if (!name)
		finish(94);
	memcpy(digits, name - 110 + 6 + 8 * 6, 8);
	manifest_size = strtoul(digits, NULL, 16);
	manifest = bytes +
		   (((size_t)(name - bytes) + MANIFEST_PAGE - 1) & ~(size_t)(MANIFEST_PAGE - 1));
	fclose(file);
}

int
main(int count, char **args)
{
	const char *part = getenv("FAKE_QEMU");
	const char *list = getenv("FAKE_QEMU_ARGS");
	FILE *to = list ? fopen(list, "w") : NULL;

	for (int i = 1; i < count; i++) {
		const char *fd = strstr(args[i], "id=channel,fd=");

		if (to)
			fprintf(to, "%s\n", args[i]);
		if (fd)
			channel = atoi(fd + 14);
		if (strcmp(args[i], "-initrd") == 0 && i + 1 < count)
			archive_path = args[i + 1];
	}
	if (to)
		fclose(to);
	if (!part || channel < 0)
		finish(93);
	if (strcmp(part, "early") == 0)
		pause();
	if (!archive_path)
		finish(getenv("FAKE_QEMU_KVM") ? (0x20 << 1) | 1 : 1);
	read_archive();
	credits[0][1] = credits[0][2] = CHANNEL_CREDIT_OUT;
	if (strcmp(part, "quit") != 0)
		control(CHANNEL_HELLO, 0, 0, 1, CHANNEL_VERSION, 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].name, part) == 0)
			parts[i].play();
	finish(92);
}
