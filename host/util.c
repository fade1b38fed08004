/* SPDX-License-Identifier: MIT */
/*
 * Messages, memory and growing text.  Memory that runs out ends the command.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exo.h"

/* One write, so that a message is not mixed with others. */
static void
message_write(const char *format, va_list arguments)
{
	char line[1024];
	int count = vsnprintf(line, sizeof(line) - 1, format, arguments);
	size_t length = count < 0 ? 0 : (size_t)count;

	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	line[length] = 0;
	dprintf(STDERR_FILENO, "exo: %s\n", line);
}

void
die(const char *format, ...)
{
	va_list arguments;

	terminal_restore();
	va_start(arguments, format);
	message_write(format, arguments);
	va_end(arguments);
	exit(EXO_FAILED);
}

void
note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message_write(format, arguments);
	va_end(arguments);
}

char *
format_text(const char *format, ...)
{
	va_list arguments;
	char *string;

	va_start(arguments, format);
	if (vasprintf(&string, format, arguments) < 0)
		die("out of memory");
	va_end(arguments);
	return string;
}

void *
reallocate(void *old, size_t size)
{
	void *new = realloc(old, size ? size : 1);

	if (!new)
		die("out of memory");
	return new;
}

void *
allocate(size_t size)
{
	return memset(reallocate(NULL, size), 0, size);
}

char *
duplicate(const char *string)
{
	size_t size = strlen(string) + 1;

	return memcpy(reallocate(NULL, size), string, size);
}

void
text_add(struct text *text, const void *bytes, size_t count)
{
	if (count >= text->room - text->count || !text->bytes) {
		size_t room = text->room;

		if (count > SIZE_MAX / 4 - room)
			die("out of memory");
		while (room <= text->count + count)
			room = room ? room * 2 : 256;
		text->bytes = reallocate(text->bytes, room);
		text->room = room;
	}
	if (count > 0)
		memcpy(text->bytes + text->count, bytes, count);
	text->count += count;
	text->bytes[text->count] = 0;
}

void
text_drop(struct text *text, size_t count)
{
	if (count == 0)
		return;
	text->count -= count;
	memmove(text->bytes, text->bytes + count, text->count);
}

void
text_print(struct text *text, const char *format, ...)
{
	va_list arguments;
	char *string;
	int count;

	va_start(arguments, format);
	count = vasprintf(&string, format, arguments);
	va_end(arguments);
	if (count < 0)
		die("out of memory");
	text_add(text, string, (size_t)count);
	free(string);
}

void
list_add(struct list *list, char *item)
{
	if (list->count + 1 >= list->room) {
		list->room = list->room ? list->room * 2 : 8;
		list->items = reallocate(list->items, list->room * sizeof(char *));
	}
	list->items[list->count++] = item;
	list->items[list->count] = NULL;
}

int64_t
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
