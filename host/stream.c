/* SPDX-License-Identifier: MIT */
/*
 * The guest's output on its way to the host's descriptors.
 *
 * A sink is a descriptor, a stream is what one domain sends to it.  Several streams may share a
 * sink (every domain's lines go to standard error).
 *
 *  1. window = credit + owed + held + bytes in the queue that count: a stream's memory is
 *     bounded by its window.
 *  2. A sink leaves a stream only when that stream's queue is empty; a prefixed stream's queue
 *     holds whole lines only. So a prefixed line is never cut by another stream.
 *  3. The descriptors belong to whoever started this command and are never made non-blocking: a
 *     write is small enough not to block after poll() reported room.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

#define UNIT_FILE     (256u * 1024)
#define UNIT_PIPE     4096u /* PIPE_BUF */
#define UNIT_TERMINAL 1024u
#define LINE_MOST     4096u
#define TURN_BYTES    (256u * 1024) /* written before the main loop has its turn again */

void
sink_open(struct sink *sink, int fd)
{
	struct stat status;

	*sink = (struct sink){.fd = fd, .unit = UNIT_PIPE};
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	if (S_ISREG(status.st_mode))
		sink->unit = UNIT_FILE;
	else if (isatty(fd))
		sink->unit = UNIT_TERMINAL;
}

void
stream_open(struct stream *stream, struct sink *sink, const char *prefix, uint32_t credit)
{
	*stream = (struct stream){.sink = sink, .prefix = prefix, .credit = credit};
}

static void
line_move(struct stream *stream)
{
	text_print(&stream->queue, "%s: ", stream->prefix);
	text_add(&stream->queue, stream->line.bytes, stream->line.count);
	text_add(&stream->queue, "\n", 1);
	stream->line.count = 0;
}

static void
lines_move(struct stream *stream, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		const uint8_t *newline = memchr(bytes, '\n', count);
		size_t part = newline ? (size_t)(newline - bytes) : count;
		size_t room = LINE_MOST - stream->line.count;
		bool full = part > room;

		if (full)
			part = room;
		text_add(&stream->line, bytes, part);
		if (newline || full)
			line_move(stream);
		part += newline && !full;
		bytes += part;
		count -= part;
	}
}

bool
stream_take(struct stream *stream, const struct channel_event *event)
{
	if (!stream->sink || stream->ended)
		return false;
	if (event->first) {
		if (!channel_spend(&stream->credit, event->head.length))
			return false;
		stream->owed += CHANNEL_OVERHEAD;
	}
	if (stream->closed || stream->sink->fd < 0) {
		stream->owed += (uint32_t)event->count;
	} else if (stream->prefix) {
		stream->held += (uint32_t)event->count;
		lines_move(stream, event->bytes, event->count);
		if (stream->queue.count == 0) {
			/* A line that is not complete is bounded by itself. */
			stream->owed += stream->held;
			stream->held = 0;
		}
	} else {
		text_add(&stream->queue, event->bytes, event->count);
	}
	return true;
}

void
stream_flush(struct stream *stream)
{
	if (stream->line.count > 0)
		line_move(stream);
}

bool
sink_pending(const struct sink *sink, const struct stream *streams, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (streams[i].sink == sink && streams[i].queue.count > 0)
			return true;
	return false;
}

/* The stream that the sink writes next; NULL: none has anything. */
static struct stream *
sink_choose(struct sink *sink, struct stream *streams, size_t count)
{
	for (size_t i = 0; i <= count; i++) {
		size_t index = ((size_t)sink->current + i) % count;

		if (streams[index].sink == sink && streams[index].queue.count > 0) {
			sink->current = (int)index;
			return &streams[index];
		}
	}
	return NULL;
}

/* Bytes of a stream's queue have been written. */
static void
stream_wrote(struct stream *stream, size_t count)
{
	text_drop(&stream->queue, count);
	if (!stream->prefix) {
		stream->owed += (uint32_t)count;
	} else if (stream->queue.count == 0) {
		stream->owed += stream->held;
		stream->held = 0;
	}
}

/* Nobody takes the bytes any more. */
static void
sink_break(struct sink *sink, struct stream *streams, size_t count, int error)
{
	sink->error = error;
	sink->fd = -1;
	for (size_t i = 0; i < count; i++) {
		if (streams[i].sink != sink)
			continue;
		streams[i].line.count = 0;
		stream_wrote(&streams[i], streams[i].queue.count);
	}
}

/* Writes from the queue what goes without blocking; the number of bytes, or -1 with errno. */
static ssize_t
sink_push(const struct sink *sink, const struct text *queue, size_t most)
{
	size_t done = 0;

	while (done < queue->count && done < most) {
		struct pollfd wait = {.fd = sink->fd, .events = POLLOUT};
		size_t part = queue->count - done;
		ssize_t wrote;

		if (poll(&wait, 1, 0) <= 0)
			break;
		if (part > sink->unit)
			part = sink->unit;
		wrote = write(sink->fd, queue->bytes + done, part);
		if (wrote < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (wrote < 0)
			return done > 0 ? (ssize_t)done : -1;
		done += (size_t)wrote;
	}
	return (ssize_t)done;
}

void
sink_write(struct sink *sink, struct stream *streams, size_t count)
{
	size_t left = TURN_BYTES;

	while (sink->fd >= 0 && left > 0) {
		struct stream *stream = sink_choose(sink, streams, count);
		ssize_t wrote;

		if (!stream)
			return;
		wrote = sink_push(sink, &stream->queue, left);
		if (wrote < 0)
			sink_break(sink, streams, count, errno);
		if (wrote <= 0)
			return;
		stream_wrote(stream, (size_t)wrote);
		left -= (size_t)wrote < left ? (size_t)wrote : left;
	}
}
