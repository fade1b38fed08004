/* SPDX-License-Identifier: MIT */
/*
 * What the tests of exos/service share: a domain with a small archive, calls in the name of a
 * process, and TAP output that asserts the service's invariants with each check.
 */
#ifndef TEST_HOST_SERVICE_CASE_H
#define TEST_HOST_SERVICE_CASE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/host/fake_core.h"

#define RING_FRAMES 17u

static struct service *sv;
static struct host_page *host;
static int test_count, test_failures;

static inline void
check_at(bool good, const char *what, int line)
{
	const char *reason = sv && sv->fs ? service_check(sv) : NULL;

	test_count++;
	if (reason) {
		printf("# invariant: %s\n", reason);
		good = false;
	}
	if (fake.bad)
		good = false;
	fake.bad = 0;
	if (!good)
		test_failures++;
	printf("%sok %d - line %d: %s\n", good ? "" : "not ", test_count, line, what);
}

#define CHECK(condition) check_at((condition), #condition, __LINE__)
#define IS(call, value)                                                              \
	do {                                                                         \
		long long got_ = (long long)(call);                                  \
		check_at(got_ == (long long)(value), #call " == " #value, __LINE__); \
		if (got_ != (long long)(value))                                      \
			printf("# got %lld\n", got_);                                \
	} while (0)

/* ---- the archive ---- */

struct maker {
	uint8_t *at;
	size_t used;
	uint32_t ino;
};

static inline void
member(struct maker *m, const char *name, uint32_t mode, const void *data, size_t n)
{
	size_t len = strlen(name) + 1, head = m->used, body;
	char text[111];

	/* Data begins at a page: the name is followed by as many zeros as that takes. */
	body = head + 110 + len;
	body = n ? (body + PAGE - 1) / PAGE * PAGE : (body + 3) / 4 * 4;
	snprintf(text, sizeof(text), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		 ++m->ino, mode, 0, 0, 1, 0, (uint32_t)n, 0, 0, 0, 0,
		 (uint32_t)(n ? body - head - 110 : len), 0);
	memcpy(m->at + head, text, 110);
	memcpy(m->at + head + 110, name, len);
	if (n)
		memcpy(m->at + body, data, n);
	m->used = (body + n + 3) / 4 * 4;
}

#define BUSYBOX_BYTES 9000u
#define ARCHIVE_PAGES 24u

/* A program: a header, and text at PROGRAM_TEXT that is nops but for two system calls. */
#define PROGRAM_BYTES 0x2800u
#define PROGRAM_TEXT  0x1000u
#define PROGRAM_BASE  0x400000u
#define PROGRAM_SITE  0x1105u
#define PROGRAM_OTHER 0x1305u

static inline void
program_make(uint8_t *at)
{
	static const uint8_t call[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
	uint16_t size = 56, count = 1;
	uint64_t phoff = 64,
		 segment[7] = {5ull << 32 | 1, PROGRAM_TEXT, PROGRAM_BASE + PROGRAM_TEXT, 0, 0x1400,
			       0x1400,         PAGE};

	memset(at, 0, PROGRAM_BYTES);
	memset(at + PROGRAM_TEXT, 0x90, PROGRAM_BYTES - PROGRAM_TEXT);
	memcpy(at, "\177ELF\2\1\1", 7);
	memcpy(at + 32, &phoff, 8);
	memcpy(at + 54, &size, 2);
	memcpy(at + 56, &count, 2);
	memcpy(at + 64, segment, sizeof(segment));
	memcpy(at + PROGRAM_SITE - 5, call, sizeof(call));
	memcpy(at + PROGRAM_OTHER - 5, call, sizeof(call));
}

static inline void
archive_make(void)
{
	uint32_t first = fake_take(ARCHIVE_PAGES);
	static uint8_t text[BUSYBOX_BYTES], program[PROGRAM_BYTES];
	struct maker m = {.at = fake_frame(first)};

	for (uint32_t i = 0; i < BUSYBOX_BYTES; i++)
		text[i] = (uint8_t)(i * 7 + 1);
	member(&m, "boot", 040755, NULL, 0);
	member(&m, "boot/manifest", 0100644, "version=1", 10);
	member(&m, "root", 040755, NULL, 0);
	member(&m, "root/bin", 040755, NULL, 0);
	member(&m, "root/bin/busybox", 0100755, text, BUSYBOX_BYTES);
	program_make(program);
	member(&m, "root/bin/prog", 0100755, program, PROGRAM_BYTES);
	member(&m, "root/etc", 040755, NULL, 0);
	member(&m, "root/etc/motd", 0100644, "hello\n", 6);
	member(&m, "root/etc/secret", 0100600, "psst\n", 5);
	member(&m, "TRAILER!!!", 0, NULL, 0);
	host->archive_frame = first;
	host->archive_bytes = ARCHIVE_PAGES * PAGE;
}

static const char manifest[] = "version=1\0domains=1\0"
			       "seed=00112233445566778899aabbccddeeff\0"
			       "terminal.rows=25\0terminal.cols=80\0terminal.output=guest\0"
			       "0.name=busybox\0"
			       "0.path=/bin/busybox\0"
			       "0.cwd=/etc\0"
			       "0.arg=busybox\0"
			       "0.arg=sh\0"
			       "0.env=HOME=/\0";

static inline void
stream_make(uint32_t n, uint32_t kind)
{
	uint32_t first = fake_take(RING_FRAMES);
	struct ring_shared *shared = (void *)fake_frame(first);

	host->stream[n].kind = kind;
	host->stream[n].pages = RING_FRAMES - 1;
	for (uint32_t i = 0; i < RING_FRAMES; i++)
		host->stream[n].frames[i] = first + i;
	shared->read_open = 1;
	shared->write_open = 1;
}

/* The supervisor's view of a stream. */
static inline struct ring
stream_ring(uint32_t n)
{
	uint8_t *at = fake_frame(host->stream[n].frames[0]);

	return (struct ring){(void *)at, at + PAGE, (RING_FRAMES - 1) * PAGE};
}

static inline int
domain_make(bool terminal)
{
	static struct host_page page;
	uint32_t frame;

	fake_reset();
	host = &page;
	memset(host, 0, sizeof(*host));
	free(sv);
	sv = calloc(1, sizeof(*sv));
	archive_make();
	frame = fake_take(1);
	memcpy(fake_frame(frame) + 100, manifest, sizeof(manifest) - 1);
	host->manifest_frame = frame;
	host->manifest_offset = 100;
	host->manifest_bytes = sizeof(manifest) - 1;
	host->image_frame = fake_take(4);
	host->image_pages = 4;
	host->supervisor_env = FAKE_SUPERVISOR;
	for (uint32_t i = 0; i < 3; i++)
		stream_make(i, terminal ? HOST_TTY : HOST_PIPE);
	if (terminal)
		stream_make(3, HOST_TTY);
	return service_init(sv, host);
}

/* ---- calls ---- */

static struct svc last;

static inline struct proc *
proc_of(int pid)
{
	return proc_find(sv, pid);
}

static inline uint8_t *
msg_of(int pid)
{
	return proc_of(pid)->msg;
}

static inline int64_t
call5(int pid, int64_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	last = (struct svc){op, a, b, c, d, e};
	service_dispatch(sv, &last, pid ? proc_of(pid)->env : FAKE_SUPERVISOR);
	return last.op;
}

#define call(pid, op)               call5(pid, op, 0, 0, 0, 0, 0)
#define call_a(pid, op, a)          call5(pid, op, a, 0, 0, 0, 0)
#define call_b(pid, op, a, b)       call5(pid, op, a, b, 0, 0, 0)
#define call_c(pid, op, a, b, c)    call5(pid, op, a, b, c, 0, 0)
#define call_d(pid, op, a, b, c, d) call5(pid, op, a, b, c, d, 0)

static inline int64_t
path_call(int pid, int64_t op, const char *path, uint64_t c, uint64_t d)
{
	memcpy(msg_of(pid), path, strlen(path));
	return call_d(pid, op, SVC_CWD, strlen(path), c, d);
}

static inline int64_t
open_(int pid, const char *path, uint64_t flags, uint64_t mode)
{
	return path_call(pid, SVC_OPEN, path, flags, mode);
}

static inline int64_t
rename_(int pid, const char *from, const char *to)
{
	memcpy(msg_of(pid), from, strlen(from));
	memcpy(msg_of(pid) + SVC_PATH2, to, strlen(to));
	return call5(pid, SVC_RENAME, SVC_CWD, strlen(from), SVC_CWD, strlen(to), 0);
}

static inline struct svc_opened
opened_at(int pid)
{
	struct svc_opened out;

	memcpy(&out, msg_of(pid), sizeof(out));
	return out;
}

/* A started child. */
static inline int
fork_(int pid)
{
	int64_t child = call(pid, SVC_FORK);

	if (child > 0 && call_a(pid, SVC_START, (uint64_t)child))
		return -1;
	return (int)child;
}

static inline int64_t
wait_(int pid, int which, uint32_t options)
{
	return call_b(pid, SVC_WAIT, (uint64_t)(int64_t)which, options);
}

static inline struct svc_file_info *
info_of(const struct svc_opened *opened)
{
	return (void *)fake_frame(opened->info_frame);
}

#endif
