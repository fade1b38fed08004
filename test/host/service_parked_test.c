/* SPDX-License-Identifier: MIT */
/*
 * Objects that processes have parked (exos/fd/park.c), as the service sees them, and files that were open lately.
 */
#include "test/host/service_case.h"

/* The words behind a process's message pages. */
static void
park(int pid, uint32_t slot, int64_t obj)
{
	SVC_TAIL(msg_of(pid))->parked[slot] = (uint32_t)obj;
}

static int64_t
parked(int pid, uint32_t slot)
{
	return SVC_TAIL(msg_of(pid))->parked[slot];
}

static int child;

static void
test_gone(void)
{
	uint64_t names = sv->first->mail->names;
	struct svc_opened opened;
	int64_t obj, other;

	obj = open_(1, "/tmp/park", LX_O_RDWR | LX_O_CREAT, 0644);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
	obj = open_(1, "/tmp/park", LX_O_RDONLY, 0);
	opened = opened_at(1);
	IS(opened.steady, 1);
	IS(sv->first->mail->names, names); /* what is made takes nothing away */
	park(1, 3, obj);
	child = fork_(1);
	CHECK(child > 0);
	IS(parked(child, 3), 0);
	IS(call_c(child, SVC_STAT, (uint64_t)obj, 0, 0), -EBADF);
	IS(path_call(child, SVC_CHMOD, "/tmp/park", 0600, 0), 0);
	CHECK(sv->first->mail->names != names);
	IS(parked(1, 3), obj);
	names = sv->first->mail->names;
	/* Nobody keeps by it what has no name. */
	other = open_(child, "/tmp/park", LX_O_RDONLY, 0);
	IS(path_call(child, SVC_UNLINK, "/tmp/park", 0, 0), 0);
	CHECK(sv->first->mail->names != names);
	IS(parked(1, 3), 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), -EBADF);
	IS(fake_held(sv->first->space, opened.info_frame), 0);
	IS(call_c(child, SVC_STAT, (uint64_t)other, 0, 0), 0);
	IS(call_a(child, SVC_CLOSE, (uint64_t)other), 0);
}

/* The same when another file takes the name; a word that is no object is nothing. */
static void
test_replaced(void)
{
	int64_t obj, kept, other;
	uint64_t names;

	obj = open_(1, "/tmp/from", LX_O_RDWR | LX_O_CREAT, 0644);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
	obj = open_(1, "/tmp/to", LX_O_RDWR | LX_O_CREAT, 0644);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
	kept = open_(1, "/tmp/from", LX_O_RDONLY, 0);
	obj = open_(1, "/tmp/to", LX_O_RDONLY, 0);
	park(1, 0, UINT32_MAX);
	park(1, 1, obj);
	park(1, 2, kept);
	names = sv->first->mail->names;
	IS(rename_(child, "/tmp/from", "/tmp/to"), 0);
	CHECK(sv->first->mail->names != names);
	IS(parked(1, 0), UINT32_MAX);
	IS(parked(1, 1), 0);
	IS(parked(1, 2), kept);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), -EBADF);
	/* One is closed on the way of an open. */
	IS(path_call(1, SVC_OPEN, "/tmp/to", LX_O_RDONLY, 0) >= 0, 1);
	memcpy(msg_of(1), "/tmp/to", 7);
	other = call5(1, SVC_OPEN, SVC_CWD, 7, LX_O_RDONLY, 0, (uint64_t)kept);
	CHECK(other >= 0 && other != kept);
	IS(call_a(1, SVC_CLOSE, (uint64_t)kept), -EBADF);
	IS(call_a(1, SVC_CLOSE, (uint64_t)other), 0);
}

/* What changes what a process may open, or where, is told to it alone. */
static void
test_told(void)
{
	uint64_t names = sv->first->mail->names;
	IS(path_call(1, SVC_CHDIR, "/tmp", 0, 0), 0);
	CHECK(sv->first->mail->names != names);
	names = proc_of(child)->mail->names;
	IS(call_d(1, SVC_SETIDS, SVC_UID, UINT32_MAX, UINT32_MAX, UINT32_MAX), 0);
	IS(proc_of(child)->mail->names, names);

	CHECK(open_(1, "/proc/self/cwd/to", LX_O_RDONLY, 0) >= 0);
	IS(opened_at(1).type, SVC_T_FILE);
	IS(opened_at(1).steady, 0);
}

/* The page of a file that was closed is nobody's until the next open, which finds the same. */
static void
test_idle(void)
{
	struct svc_opened opened;
	uint32_t frame, frames;
	char name[24];
	int64_t obj;

	obj = open_(1, "/tmp/idle", LX_O_RDWR | LX_O_CREAT, 0644);
	frame = opened_at(1).info_frame;
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
	IS(fake_held(sv->first->space, frame), 0);
	CHECK(fake_held(FAKE_SERVICE, frame));
	IS(path_call(1, SVC_TRUNCATE, "/tmp/idle", 5000, 0), 0);
	obj = open_(child, "/tmp/idle", LX_O_RDONLY, 0);
	opened = opened_at(child);
	IS(opened.info_frame, frame);
	IS(((struct svc_file_info *)fake_frame(frame))->size, 5000);
	IS(fake_held(proc_of(child)->space, frame), AEGIS_READ);
	IS(call_a(child, SVC_CLOSE, (uint64_t)obj), 0);
	IS(path_call(1, SVC_UNLINK, "/tmp/idle", 0, 0), 0);
	IS(fake_held(FAKE_SERVICE, frame), 0);
	/* There are only so many, and who needs memory has theirs. */
	for (uint32_t i = 0; i < SFILE_IDLE + 8; i++) {
		snprintf(name, sizeof(name), "/tmp/idle%u", i);
		obj = open_(1, name, LX_O_RDWR | LX_O_CREAT, 0644);
		IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
	}
	IS(sv->idle_count, SFILE_IDLE);
	frames = fake.frames;
	CHECK(sfile_idle_free(sv));
	frame_flush(sv);
	IS(fake.frames, frames - SFILE_IDLE);
	CHECK(!sfile_idle_free(sv));
}

/* A process without frames may ask for holdings pages of its own. */
static void
test_span(void)
{
	IS(call_a(child, SVC_SPAN, 0), 0);
	IS(call_a(child, SVC_SPAN, UINT32_MAX), -EINVAL);
	IS(call_a(child, SVC_SPAN, 1ull << 32), -EINVAL);
	fake.fail_at = fake.requests + 1;
	IS(call_a(child, SVC_SPAN, 0), -ENOMEM);
	fake.fail_at = 0;
}

/* When there are no more objects, parked ones go. */
static void
test_full(void)
{
	int64_t last_obj = open_(1, "/tmp/to", LX_O_RDONLY, 0);
	uint32_t objects;

	park(1, 5, last_obj);
	objects = sv->object_count;
	while (sv->object_count < OBJ_MAX && last_obj >= 0)
		last_obj = open_(1, "/dev/null", LX_O_RDONLY, 0);
	CHECK(objects < OBJ_MAX && sv->object_count == OBJ_MAX);
	CHECK(open_(1, "/tmp/to", LX_O_RDONLY, 0) >= 0);
	IS(parked(1, 5), 0);
	IS(open_(1, "/tmp/to", LX_O_RDONLY, 0), -ENFILE);
}

int
main(void)
{
	IS(domain_make(false), 0);
	test_gone();
	test_replaced();
	test_told();
	test_idle();
	test_span();
	test_full();
	printf("1..%d\n", test_count);
	fake_reset();
	free(sv);
	return test_failures != 0;
}
