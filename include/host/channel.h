/* SPDX-License-Identifier: MIT */
/*
 * The channel between the host command and the guest: one ordered stream of bytes in each
 * direction, cut into frames.  It is carried by port 0 of a virtio console (no F_MULTIPORT:
 * queue 0 is filled by the host, queue 1 is sent to it).  Frames do not respect buffers: one
 * buffer may hold several frames or a part of one.
 *
 * A frame is a header of CHANNEL_HEADER bytes, little endian, and `length` bytes of payload:
 *
 *	u8 type    u8 domain    u16 stream    u32 length
 *
 * Streams of a domain: 0 is its standard input; 1 and 2 are its standard output and error; 3 is
 * what its terminal shows when neither 1 nor 2 is that terminal (include/host/manifest.h,
 * terminal.stream).
 *
 * Who sends what (H host, G guest), and the payload:
 *
 *	DATA     H 0, G 1 2 3   the bytes, 1 .. CHANNEL_DATA_MAX
 *	END      H 0, G 1 2 3   nothing more comes on this stream; empty, or u32 error:
 *	                        reading it failed
 *	CREDIT   G 0, H 1 2 3   u32: the receiver may send so much more on this stream
 *	CLOSE    G 0, H 1 2 3   u32 error: nobody takes this stream any more.  EPIPE (32): the
 *	                        reader is gone, so that the writer's next write gives SIGPIPE;
 *	                        any other number is what the next write answers
 *	WINSIZE  H              u16 rows, columns, x pixels, y pixels of the terminal
 *	SIGNAL   H              u32 number, for the domain's first process group
 *	HELLO    G              u32 CHANNEL_VERSION; the first frame of the guest, once
 *	EXIT     G              u32 kind (CHANNEL_EXITED, CHANNEL_KILLED), u32 value; the
 *	                        domain's last frame
 *
 * Rules, which both sides check:
 *
 *  1. A DATA frame costs channel_cost(length) of the credit of its stream; a sender without
 *     that much waits.  The overhead in the cost bounds what many small frames can occupy on
 *     the way.
 *  2. Credits at the start: CHANNEL_CREDIT_OUT for streams 1 and 2 of domain 0; nothing for all
 *     others.  The host grants more once it has seen HELLO.  In particular nothing is sent of
 *     the host's standard input until the guest asks for it, so that a program that does not
 *     read leaves the input to whoever reads next.  A guest that wants read-ahead (a terminal's
 *     keys) grants it.
 *  3. A credit never exceeds CHANNEL_CREDIT_MAX.  Frames other than DATA cost nothing; a side
 *     sends CREDIT only after it consumed a part of its window, the others a bounded number of
 *     times.
 *  4. DATA and END are sent before the EXIT of their domain.  After CLOSE, data of the stream
 *     that was under way is dropped by the receiver; END need not follow.
 *  5. Anything else (unknown type, stream or domain, a payload of the wrong size, too much
 *     data) is a protocol error.  The other side is not trusted: the receiver stops listening
 *     and reports it.
 *
 * This file needs nothing but freestanding C, allocates nothing, and is used by both sides.
 */
#ifndef HOST_CHANNEL_H
#define HOST_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_VERSION     1u
#define CHANNEL_HEADER      8u
#define CHANNEL_DATA_MAX    65536u /* payload of one DATA frame */
#define CHANNEL_CONTROL_MAX 8u     /* payload of any other frame */
#define CHANNEL_DOMAINS     16u
#define CHANNEL_STREAMS     4u

#define CHANNEL_OVERHEAD   64u      /* credit that a DATA frame costs beside its length */
#define CHANNEL_CREDIT_OUT 16384u   /* guest to host, at the start */
#define CHANNEL_CREDIT_IN  0u       /* host to guest, at the start */
#define CHANNEL_CREDIT_MAX 1048576u /* never more than this on one stream */

_Static_assert(CHANNEL_CONTROL_MAX <= CHANNEL_HEADER, "the parser keeps both in one place");

enum channel_type {
	CHANNEL_DATA = 1,
	CHANNEL_END = 2,
	CHANNEL_CREDIT = 3,
	CHANNEL_CLOSE = 4,
	CHANNEL_WINSIZE = 5,
	CHANNEL_SIGNAL = 6,
	CHANNEL_HELLO = 7,
	CHANNEL_EXIT = 8,
};

enum channel_exit {
	CHANNEL_EXITED = 0, /* value: the exit status, 0 .. 255 */
	CHANNEL_KILLED = 1, /* value: the number of the signal */
};

struct channel_head {
	uint8_t type, domain;
	uint16_t stream;
	uint32_t length;
};

/* A frame with its payload, ready to be sent; for everything but DATA. */
struct channel_control {
	uint8_t bytes[CHANNEL_HEADER + CHANNEL_CONTROL_MAX];
	uint32_t count;
};

static inline void
channel_put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

static inline void
channel_put32(uint8_t *to, uint32_t value)
{
	channel_put16(to, (uint16_t)value);
	channel_put16(to + 2, (uint16_t)(value >> 16));
}

static inline uint16_t
channel_get16(const uint8_t *from)
{
	return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t
channel_get32(const uint8_t *from)
{
	return channel_get16(from) | (uint32_t)channel_get16(from + 2) << 16;
}

/* The header of a frame, into CHANNEL_HEADER bytes. */
static inline void
channel_put_head(uint8_t *to, enum channel_type type, uint8_t domain, uint16_t stream,
		 uint32_t length)
{
	to[0] = (uint8_t)type;
	to[1] = domain;
	channel_put16(to + 2, stream);
	channel_put32(to + 4, length);
}

/* A frame whose payload is `words` (0, 1 or 2) numbers of 32 bits. */
static inline struct channel_control
channel_control(enum channel_type type, uint8_t domain, uint16_t stream, uint32_t words,
		uint32_t first, uint32_t second)
{
	struct channel_control frame = {.count = CHANNEL_HEADER + 4 * words};

	channel_put_head(frame.bytes, type, domain, stream, 4 * words);
	channel_put32(frame.bytes + CHANNEL_HEADER, first);
	channel_put32(frame.bytes + CHANNEL_HEADER + 4, second);
	return frame;
}

/* WINSIZE: rows and columns, then pixels. */
static inline struct channel_control
channel_winsize(const uint16_t size[4])
{
	return channel_control(CHANNEL_WINSIZE, 0, 0, 2, size[0] | (uint32_t)size[1] << 16,
			       size[2] | (uint32_t)size[3] << 16);
}

/*
 * Credits.
 */

static inline uint32_t
channel_cost(uint32_t length)
{
	return CHANNEL_OVERHEAD + length;
}

/* The longest DATA payload that this credit pays for; 0: none, wait. */
static inline uint32_t
channel_room(uint32_t credit)
{
	if (credit <= CHANNEL_OVERHEAD)
		return 0;
	credit -= CHANNEL_OVERHEAD;
	return credit < CHANNEL_DATA_MAX ? credit : CHANNEL_DATA_MAX;
}

/* Takes the cost of a frame from a credit.  False, and nothing taken: the credit is too small. */
static inline bool
channel_spend(uint32_t *credit, uint32_t length)
{
	if (length > CHANNEL_DATA_MAX || *credit < channel_cost(length))
		return false;
	*credit -= channel_cost(length);
	return true;
}

/* Adds a grant to a credit.  False, and nothing added: it would exceed CHANNEL_CREDIT_MAX. */
static inline bool
channel_earn(uint32_t *credit, uint32_t grant)
{
	if (grant > CHANNEL_CREDIT_MAX || *credit > CHANNEL_CREDIT_MAX - grant)
		return false;
	*credit += grant;
	return true;
}

/*
 * The receiver: a state machine over bytes in pieces of any size.
 *
 *	while (count > 0) {
 *		size_t used = channel_parse(&parser, bytes, count, &event);
 *		bytes += used, count -= used;
 *		switch (event.what) ...
 *	}
 *
 * A DATA frame comes as one or more CHANNEL_PIECE events whose bytes lie in the caller's buffer;
 * `first` and `last` mark the frame's ends.  Any other frame comes whole, as CHANNEL_FRAME, its
 *words in value[].  CHANNEL_MORE: nothing to do, all bytes are taken.  CHANNEL_BAD: protocol error;
 *the parser stays in that state and takes nothing.  Every other call takes at least one byte.
 *
 * Invariant: left > 0 only while the payload of `head` is under way; have < CHANNEL_HEADER
 *otherwise.
 */
enum channel_what {
	CHANNEL_MORE,
	CHANNEL_PIECE,
	CHANNEL_FRAME,
	CHANNEL_BAD,
};

struct channel_parser {
	bool from_guest; /* which side sends: set before the first call, all else zero */
	bool bad;
	uint8_t bytes[CHANNEL_HEADER]; /* of the header, then of a control payload */
	uint32_t have;                 /* bytes of the header that are there */
	uint32_t left;                 /* bytes of payload that are missing */
	struct channel_head head;
};

struct channel_event {
	enum channel_what what;
	struct channel_head head;
	bool first, last;
	const uint8_t *bytes; /* CHANNEL_PIECE */
	size_t count;
	uint32_t value[2]; /* CHANNEL_FRAME; zero where the payload is shorter */
};

/* Whether this side may send such a frame at all. */
static inline bool
channel_head_valid(const struct channel_head *head, bool from_guest)
{
	uint32_t stream = head->stream, length = head->length;
	bool output = stream >= 1 && stream < CHANNEL_STREAMS;
	bool forward = from_guest ? output : stream == 0;
	bool backward = from_guest ? stream == 0 : output;

	if (head->domain >= CHANNEL_DOMAINS)
		return false;
	switch (head->type) {
	case CHANNEL_DATA:
		return forward && length >= 1 && length <= CHANNEL_DATA_MAX;
	case CHANNEL_END:
		return forward && (length == 0 || length == 4);
	case CHANNEL_CREDIT:
	case CHANNEL_CLOSE:
		return backward && length == 4;
	case CHANNEL_WINSIZE:
		return !from_guest && head->domain == 0 && stream == 0 && length == 8;
	case CHANNEL_SIGNAL:
		return !from_guest && stream == 0 && length == 4;
	case CHANNEL_HELLO:
		return from_guest && head->domain == 0 && stream == 0 && length == 4;
	case CHANNEL_EXIT:
		return from_guest && stream == 0 && length == 8;
	default:
		return false;
	}
}

static inline void
channel_frame_event(struct channel_parser *parser, struct channel_event *event)
{
	uint32_t length = parser->head.length;

	event->what = CHANNEL_FRAME;
	event->value[0] = length >= 4 ? channel_get32(parser->bytes) : 0;
	event->value[1] = length >= 8 ? channel_get32(parser->bytes + 4) : 0;
	parser->have = 0;
}

static inline size_t
channel_parse_head(struct channel_parser *parser, const uint8_t *bytes, size_t count,
		   struct channel_event *event)
{
	struct channel_head *head = &parser->head;
	size_t used = 0;

	while (used < count && parser->have < CHANNEL_HEADER)
		parser->bytes[parser->have++] = bytes[used++];
	if (parser->have < CHANNEL_HEADER)
		return used;
	head->type = parser->bytes[0];
	head->domain = parser->bytes[1];
	head->stream = channel_get16(parser->bytes + 2);
	head->length = channel_get32(parser->bytes + 4);
	event->head = *head;
	if (!channel_head_valid(head, parser->from_guest)) {
		parser->bad = true;
		event->what = CHANNEL_BAD;
		return used;
	}
	parser->left = head->length;
	if (parser->left == 0)
		channel_frame_event(parser, event);
	return used;
}

static inline size_t
channel_parse(struct channel_parser *parser, const uint8_t *bytes, size_t count,
	      struct channel_event *event)
{
	uint32_t done = parser->head.length - parser->left;
	size_t used = count < parser->left ? count : parser->left;

	*event = (struct channel_event){.what = CHANNEL_MORE, .head = parser->head};
	if (parser->bad) {
		event->what = CHANNEL_BAD;
		return 0;
	}
	if (count == 0)
		return 0;
	if (parser->left == 0)
		return channel_parse_head(parser, bytes, count, event);
	parser->left -= (uint32_t)used;
	if (parser->head.type == CHANNEL_DATA) {
		event->what = CHANNEL_PIECE;
		event->bytes = bytes;
		event->count = used;
		event->first = done == 0;
		event->last = parser->left == 0;
		if (event->last)
			parser->have = 0;
		return used;
	}
	for (size_t i = 0; i < used; i++)
		parser->bytes[done + i] = bytes[i];
	if (parser->left == 0)
		channel_frame_event(parser, event);
	return used;
}

#endif
