/* SPDX-License-Identifier: MIT */
/*
 * The channel's codec and the manifest's reader: frames survive every way of cutting the bytes,
 * hostile bytes are refused at the header, credits neither overflow nor go below zero.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/channel.h"
#include "host/manifest.h"

static unsigned tests;

static void
report(bool good, const char *what)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++tests, what);
	if (!good)
		exit(1);
}

static uint32_t
random_next(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33);
}

/* A record of everything the parser said, independent of how DATA was cut. */
struct record {
	uint8_t bytes[1 << 20];
	size_t count;
};

static void
record_add(struct record *record, const void *bytes, size_t count)
{
	if (count > sizeof(record->bytes) - record->count)
		abort();
	memcpy(record->bytes + record->count, bytes, count);
	record->count += count;
}

static void
record_event(struct record *record, const struct channel_event *event)
{
	uint8_t head[CHANNEL_HEADER];
	uint8_t value[8];

	if (event->what == CHANNEL_MORE)
		return;
	channel_put_head(head, (enum channel_type)event->head.type, event->head.domain,
			 event->head.stream, event->head.length);
	if (event->what == CHANNEL_PIECE) {
		if (event->first)
			record_add(record, head, sizeof(head));
		record_add(record, event->bytes, event->count);
		return;
	}
	record_add(record, head, sizeof(head));
	channel_put32(value, event->value[0]);
	channel_put32(value + 4, event->value[1]);
	record_add(record, value, event->head.length);
}

/* Feeds bytes in pieces of at most `most` (0: random sizes).  False: the parser refused them. */
static bool
feed(struct record *record, bool from_guest, const uint8_t *bytes, size_t count, size_t most)
{
	struct channel_parser parser = {.from_guest = from_guest};

	while (count > 0) {
		size_t part = most ? most : 1 + random_next() % 3000;
		uint8_t *copy;
		size_t done = 0;

		if (part > count)
			part = count;
		/* A copy of exactly this size, so that a sanitizer sees reads beyond it. */
		copy = malloc(part);
		memcpy(copy, bytes, part);
		while (done < part) {
			struct channel_event event;
			size_t used = channel_parse(&parser, copy + done, part - done, &event);

			if (event.what == CHANNEL_BAD) {
				free(copy);
				return channel_parse(&parser, bytes, 1, &event) == 0 &&
						       event.what == CHANNEL_BAD
					       ? false
					       : (abort(), false);
			}
			if (used == 0 || used > part - done)
				abort();
			done += used;
			record_event(record, &event);
		}
		free(copy);
		bytes += part;
		count -= part;
	}
	return true;
}

static void
frame_add(struct record *wire, struct channel_control frame)
{
	record_add(wire, frame.bytes, frame.count);
}

static void
data_add(struct record *wire, uint8_t domain, uint16_t stream, uint32_t length)
{
	uint8_t head[CHANNEL_HEADER];

	channel_put_head(head, CHANNEL_DATA, domain, stream, length);
	record_add(wire, head, sizeof(head));
	for (uint32_t i = 0; i < length; i++) {
		uint8_t byte = (uint8_t)random_next();

		record_add(wire, &byte, 1);
	}
}

static void
guest_frames(struct record *wire)
{
	frame_add(wire, channel_control(CHANNEL_HELLO, 0, 0, 1, CHANNEL_VERSION, 0));
	frame_add(wire, channel_control(CHANNEL_CREDIT, 0, 0, 1, 0xfffffffe, 0));
	data_add(wire, 0, 1, 1);
	data_add(wire, 0, 1, CHANNEL_DATA_MAX);
	data_add(wire, 15, 2, 4097);
	frame_add(wire, channel_control(CHANNEL_CLOSE, 0, 0, 1, 32, 0));
	frame_add(wire, channel_control(CHANNEL_END, 3, 1, 0, 0, 0));
	frame_add(wire, channel_control(CHANNEL_END, 0, 3, 1, 5, 0));
	data_add(wire, 0, 2, 8);
	frame_add(wire, channel_control(CHANNEL_EXIT, 0, 0, 2, CHANNEL_KILLED, 11));
}

static void
host_frames(struct record *wire)
{
	const uint16_t size[4] = {24, 80, 0, 65535};

	frame_add(wire, channel_winsize(size));
	frame_add(wire, channel_control(CHANNEL_SIGNAL, 0, 0, 1, 2, 0));
	data_add(wire, 0, 0, 12345);
	frame_add(wire, channel_control(CHANNEL_CREDIT, 2, 3, 1, 65536, 0));
	frame_add(wire, channel_control(CHANNEL_CLOSE, 0, 1, 1, 32, 0));
	frame_add(wire, channel_control(CHANNEL_END, 0, 0, 0, 0, 0));
}

static void
test_round_trip(bool from_guest, const char *what)
{
	static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 4096, 1 << 20, 0, 0, 0, 0};
	struct record *wire = calloc(1, sizeof(*wire)), *seen = calloc(1, sizeof(*seen));
	bool good = true;

	if (from_guest)
		guest_frames(wire);
	else
		host_frames(wire);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		seen->count = 0;
		good &= feed(seen, from_guest, wire->bytes, wire->count, sizes[i]);
		good &= seen->count == wire->count;
		good &= memcmp(seen->bytes, wire->bytes, wire->count) == 0;
	}
	/* The other direction must refuse the first frame. */
	good &= !feed(seen, !from_guest, wire->bytes, wire->count, 1);
	free(wire);
	free(seen);
	report(good, what);
}

static bool
refused(bool from_guest, unsigned type, unsigned domain, unsigned stream, uint32_t length)
{
	struct record *record = calloc(1, sizeof(*record));
	uint8_t head[CHANNEL_HEADER];
	bool bad;

	channel_put_head(head, (enum channel_type)type, (uint8_t)domain, (uint16_t)stream, length);
	bad = !feed(record, from_guest, head, sizeof(head), 1);
	free(record);
	return bad;
}

static void
test_refused(void)
{
	bool good = true;

	for (unsigned guest = 0; guest < 2; guest++) {
		good &= refused(guest, 0, 0, 0, 0) && refused(guest, 9, 0, 0, 0);
		good &= refused(guest, 255, 0, 0, 0);
		good &= refused(guest, CHANNEL_DATA, CHANNEL_DOMAINS, guest, 1);
		good &= refused(guest, CHANNEL_DATA, 255, guest, 1);
		good &= refused(guest, CHANNEL_DATA, 0, CHANNEL_STREAMS, 1);
		good &= refused(guest, CHANNEL_DATA, 0, 0x100 + guest, 1);
		good &= refused(guest, CHANNEL_DATA, 0, guest, 0);
		good &= refused(guest, CHANNEL_DATA, 0, guest, CHANNEL_DATA_MAX + 1);
		good &= refused(guest, CHANNEL_DATA, 0, guest, UINT32_MAX);
		good &= refused(guest, CHANNEL_END, 0, guest, 8);
		good &= refused(guest, CHANNEL_CREDIT, 0, 1 - guest, 0);
		good &= refused(guest, CHANNEL_CREDIT, 0, guest, 4);
	}
	good &= refused(true, CHANNEL_SIGNAL, 0, 0, 4) && refused(false, CHANNEL_EXIT, 0, 0, 8);
	good &= refused(true, CHANNEL_EXIT, 0, 1, 8) && refused(true, CHANNEL_EXIT, 0, 0, 4);
	good &= refused(true, CHANNEL_HELLO, 1, 0, 4) && refused(true, CHANNEL_HELLO, 0, 0, 8);
	good &= refused(false, CHANNEL_WINSIZE, 0, 0, 4) &&
		refused(false, CHANNEL_WINSIZE, 1, 0, 8);
	report(good, "frames that break a rule are refused at their header");
}

static void
test_hostile(void)
{
	struct record *seen = calloc(1, sizeof(*seen));
	uint8_t bytes[512];
	unsigned accepted = 0;

	for (unsigned round = 0; round < 200000; round++) {
		size_t count = 1 + random_next() % sizeof(bytes);

		for (size_t i = 0; i < count; i++)
			bytes[i] = (uint8_t)random_next();
		/* Mostly plausible headers, so that the states behind them are reached. */
		if (round % 4)
			channel_put_head(bytes, (enum channel_type)(1 + random_next() % 8),
					 (uint8_t)(random_next() % 17),
					 (uint16_t)(random_next() % 5), random_next() % 12);
		seen->count = 0;
		accepted += feed(seen, round & 1, bytes, count, round % 3 ? 1 : 0);
	}
	free(seen);
	report(accepted > 0 && accepted < 200000,
	       "200000 random byte strings are parsed or refused");
}

static void
test_credit(void)
{
	uint32_t credit = CHANNEL_CREDIT_OUT, paid = 0;
	bool good = true;

	good &= channel_room(0) == 0 && channel_room(CHANNEL_OVERHEAD) == 0;
	good &= channel_room(CHANNEL_OVERHEAD + 1) == 1;
	good &= channel_room(UINT32_MAX) == CHANNEL_DATA_MAX;
	while (channel_spend(&credit, 1))
		paid += channel_cost(1);
	good &= paid + credit == CHANNEL_CREDIT_OUT && credit < channel_cost(1);
	good &= !channel_spend(&credit, UINT32_MAX);
	good &= channel_earn(&credit, CHANNEL_CREDIT_MAX - credit) && credit == CHANNEL_CREDIT_MAX;
	good &= !channel_earn(&credit, 1) && !channel_earn(&credit, UINT32_MAX);
	good &= credit == CHANNEL_CREDIT_MAX;
	report(good, "credits stay within their bounds");
}

static void
test_manifest(void)
{
	static const char text[] = "version=1\0"
				   "0.arg=\0"
				   "0.env=A=B=C\n\0"
				   "0.env=\xff=\0";
	struct manifest_record record;
	size_t offset = 0, seen = 0;
	bool good = true;

	while (manifest_next(text, sizeof(text) - 1, &offset, &record)) {
		good &= seen != 0 || (manifest_is(&record, "version") && *record.value == '1');
		good &= seen != 1 || (manifest_is(&record, "0.arg") && record.value_length == 0);
		good &= seen != 2 || (manifest_is(&record, "0.env") && record.value_length == 6);
		good &= !manifest_is(&record, "0.en") && !manifest_is(&record, "0.envy");
		seen++;
	}
	good &= seen == 4 && offset == sizeof(text) - 1;
	offset = 0;
	good &= !manifest_next("a=b", 3, &offset, &record) && offset == 0;
	good &= !manifest_next("=b\0", 3, &offset, &record) && offset == 0;
	good &= !manifest_next("ab\0", 3, &offset, &record) && offset == 0;
	good &= !manifest_next("", 0, &offset, &record);
	report(good, "the manifest's records are read, damaged ones refused");
}

int
main(void)
{
	test_round_trip(true, "frames of the guest survive every cut");
	test_round_trip(false, "frames of the host survive every cut");
	test_refused();
	test_hostile();
	test_credit();
	test_manifest();
	printf("1..%u\n", tests);
	return 0;
}
