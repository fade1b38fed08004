/* SPDX-License-Identifier: MIT */
/*
 * exo_archive_check FILE: reads a boot archive as the guest does and checks every rule of
 * include/host/manifest.h.  Prints one line a member: mode, links, size, hash of the data, name.
 * Exit status 1 and a message at the first rule that is broken.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/manifest.h"

#define HEADER 110u
#define MOST   65536u

static uint8_t *archive;
static size_t archive_size;
static char *folders[MOST]; /* seen, in order */
static size_t folder_count;
static uint32_t inode_links[MOST];

static _Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void
wrong(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static uint32_t
field(size_t header, unsigned index)
{
	char digits[9] = {0};
	char *end;
	unsigned long value;

	memcpy(digits, archive + header + 6 + 8 * (size_t)index, 8);
	value = strtoul(digits, &end, 16);
	if (*end)
		wrong("field %u at %zu is not hexadecimal", index, header);
	return (uint32_t)value;
}

static void
check_parent(const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t length = slash ? (size_t)(slash - name) : 0;

	for (size_t i = 0; slash && i < folder_count; i++)
		if (strlen(folders[i]) == length && memcmp(folders[i], name, length) == 0)
			return;
	if (slash)
		wrong("%s comes before its directory", name);
}

static void
check_links(const char *name, uint32_t inode, uint32_t mode, uint32_t links, uint32_t size)
{
	if (inode == 0 || inode >= MOST)
		wrong("%s: inode number %u", name, inode);
	if (S_ISREG(mode) && links > 1) {
		if (inode_links[inode] > 0 && size > 0)
			wrong("%s: a further name carries data", name);
		inode_links[inode]++;
	} else if (inode_links[inode]++ > 0) {
		wrong("%s: inode number %u is used twice", name, inode);
	}
}

static uint64_t
hash(const uint8_t *bytes, size_t count)
{
	uint64_t value = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < count; i++)
		value = (value ^ bytes[i]) * 0x100000001b3ull;
	return value;
}

/* The member at `header`; the place of the next one, or 0 after the last. */
static size_t
check_member(size_t header, size_t *data_end)
{
	uint32_t name_size, size, mode;
	const char *name;
	size_t data;

	if (header % 4 || archive_size - header < HEADER ||
	    memcmp(archive + header, "070701", 6) != 0)
		wrong("no header at %zu", header);
	name_size = field(header, 11);
	size = field(header, 6);
	mode = field(header, 1);
	data = (header + HEADER + name_size + 3) & ~(size_t)3;
	name = (const char *)archive + header + HEADER;
	if (name_size == 0 || data > archive_size || size > archive_size - data)
		wrong("the member at %zu leaves the archive", header);
	if (strnlen(name, name_size) == name_size)
		wrong("the name at %zu is not terminated", header);
	for (size_t i = strlen(name); i < name_size; i++)
		if (name[i])
			wrong("%s: more than zeros follow the name", name);
	if (strcmp(name, "TRAILER!!!") == 0)
		return 0;
	if (field(header, 2) != 0 || field(header, 3) != 0)
		wrong("%s: owner or group is not 0", name);
	check_parent(name);
	check_links(name, field(header, 0), mode, field(header, 4), size);
	if (S_ISREG(mode) && size > 0) {
		if (data % MANIFEST_PAGE)
			wrong("%s: data at %zu", name, data);
		if (*data_end > data)
			wrong("%s: shares a page", name);
		*data_end = (data + size + MANIFEST_PAGE - 1) & ~(size_t)(MANIFEST_PAGE - 1);
	}
	if (S_ISDIR(mode) && folder_count < MOST)
		folders[folder_count++] = strdup(name);
	printf("%06o %u %u %016llx %s\n", mode, field(header, 4), size,
	       (unsigned long long)hash(archive + data, size), name);
	return (data + size + 3) & ~(size_t)3;
}

int
main(int count, char **args)
{
	FILE *file = count == 2 ? fopen(args[1], "rb") : NULL;
	size_t at = 0, data_end = 0;
	struct stat status;

	if (!file || fstat(fileno(file), &status) != 0)
		wrong("cannot open the archive");
	archive_size = (size_t)status.st_size;
	archive = malloc(archive_size + 1);
	if (!archive || fread(archive, 1, archive_size, file) != archive_size)
		wrong("cannot read the archive");
	fclose(file);
	if (archive_size % MANIFEST_PAGE)
		wrong("the size is not a multiple of a page");
	do
		at = check_member(at, &data_end);
	while (at > 0);
	return 0;
}
