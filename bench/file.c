/* SPDX-License-Identifier: MIT */
/* Files in memory: one byte, a page, a name of three parts. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define FILE_NAME "/bench-files/folder/file"
#define FILE_SIZE (1 << 20)

static int fd;
static char buffer[4096];

static void
file_make(void)
{
	mkdir("/bench-files", 0755);
	mkdir("/bench-files/folder", 0755);
	fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0644);
	bench_require(fd >= 0);
	memset(buffer, 'x', sizeof(buffer));
	for (int i = 0; i < FILE_SIZE / (int)sizeof(buffer); i++)
		bench_require(write(fd, buffer, sizeof(buffer)) == sizeof(buffer));
	bench_require(lseek(fd, 0, SEEK_SET) == 0);
}

/* The file's end comes once in a million calls. */
static void
read_byte(void)
{
	if (read(fd, buffer, 1) != 1)
		bench_require(lseek(fd, 0, SEEK_SET) == 0);
}

static void
null_open(void)
{
	fd = open("/dev/null", O_WRONLY);
	bench_require(fd >= 0);
}

static void
write_byte(void)
{
	bench_require(write(fd, buffer, 1) == 1);
}

static void
read_page(void)
{
	bench_require(pread(fd, buffer, sizeof(buffer), 8192) == sizeof(buffer));
}

static void
open_close(void)
{
	int other = open(FILE_NAME, O_RDONLY);

	bench_require(other >= 0);
	close(other);
}

/* ---- names by turns, more of them than a library may remember ---- */
#define NAMES 64

static char names[NAMES][40];

static void
names_make(void)
{
	mkdir("/bench-files", 0755);
	mkdir("/bench-files/folder", 0755);
	for (int i = 0; i < NAMES; i++) {
		snprintf(names[i], sizeof(names[i]), "/bench-files/folder/file%02d", i);
		fd = open(names[i], O_WRONLY | O_CREAT, 0644);
		bench_require(fd >= 0);
		close(fd);
	}
}

static void
open_close_turns(void)
{
	static unsigned turn;
	int other = open(names[turn++ % NAMES], O_RDONLY);

	bench_require(other >= 0);
	close(other);
}

BENCH(open_close_turns, .setup = names_make, .op = open_close_turns)
BENCH(read1, .setup = file_make, .op = read_byte)
BENCH(write_null, .setup = null_open, .op = write_byte)
BENCH(pread4k, .setup = file_make, .op = read_page)
BENCH(open_close, .setup = file_make, .op = open_close)
