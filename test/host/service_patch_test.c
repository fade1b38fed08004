/* SPDX-License-Identifier: MIT */
/* Rewritten text: what a process gets, who may ask, and what takes it back. */
#include "test/host/service_case.h"

#include "exos/linux/rewrite.h"

static int64_t obj;

static int64_t
patch(int pid, int64_t object, uint64_t site, uint64_t rax)
{
	call5(pid, SVC_PATCH, (uint64_t)object, site, rax, PROGRAM_BASE, 0);
	if (!last.op && last.e)
		call5(pid, SVC_PATCH, (uint64_t)object, site, rax, PROGRAM_BASE,
		      PROGRAM_BASE + last.e);
	return last.op;
}

static uint32_t
text_page(int pid, int64_t object, uint64_t index)
{
	uint32_t pfn;

	if (call_c(pid, SVC_TEXT, (uint64_t)object, index, 1) != 1)
		return 0;
	memcpy(&pfn, msg_of(pid), sizeof(pfn));
	return pfn;
}

static void
test_rewriting(void)
{
	uint32_t original, copy, second;
	const struct rewrite_record *record;
	int64_t delta;

	obj = open_(1, "/bin/prog", LX_O_RDONLY, 0);
	CHECK(obj >= 0);
	original = text_page(1, obj, 1);
	IS(last.d, 0);
	IS(patch(1, obj, PROGRAM_SITE + 1, 39), 0); /* no such instruction */
	IS(sv->first->shares->file->patch != NULL, 1);
	IS(patch(1, obj, PROGRAM_SITE + 1, 39), 0); /* refused once is refused */
	IS(patch(1, obj, PROGRAM_OTHER, 39), 1);
	IS(last.a, 1);
	copy = (uint32_t)last.b;
	delta = (int64_t)last.e;
	CHECK(copy != original);
	IS(delta, PROGRAM_TEXT - (int64_t)PATCH_GAP);
	IS(fake_held(sv->first->space, copy), AEGIS_READ);
	IS(fake_held(sv->first->space, (uint32_t)last.c), AEGIS_READ);
	IS(fake_held(sv->first->space, (uint32_t)(last.c >> 32)), AEGIS_READ);
	IS(fake_frame(copy)[PROGRAM_OTHER - 5 - PROGRAM_TEXT], 0xe9);
	IS(fake_frame(original)[PROGRAM_OTHER - 5 - PROGRAM_TEXT], 0xb8);
	record = (const void *)(fake_frame((uint32_t)(last.c >> 32)) + 8);
	IS(*(uint32_t *)(void *)fake_frame((uint32_t)(last.c >> 32)), 1);
	IS(record->site, PROGRAM_OTHER);
	IS((int64_t)record->stub, delta);
	IS(text_page(1, obj, 1), copy);
	CHECK(last.d != 0);
	IS((int64_t)last.e, delta);
	/* The same again costs nothing; another site in the page makes another copy. */
	IS(patch(1, obj, PROGRAM_OTHER, 39), 1);
	IS(last.b, copy);
	IS(patch(1, obj, PROGRAM_SITE, 39), 1);
	CHECK(last.b != copy);
	IS(fake_frame((uint32_t)last.b)[PROGRAM_OTHER - 5 - PROGRAM_TEXT], 0xe9);
	IS(fake_frame(copy)[PROGRAM_SITE - 5 - PROGRAM_TEXT], 0xb8);
	second = text_page(1, obj, 2);
	CHECK(second != 0 && second != copy);
}

static void
test_refusing(void)
{
	int child = fork_(1);
	int64_t other;

	IS(call5(1, SVC_PATCH, (uint64_t)obj, PROGRAM_OTHER, 39, PROGRAM_BASE, 0x1234000), 0);
	IS(call5(1, SVC_PATCH, (uint64_t)obj, UINT64_MAX, 39, PROGRAM_BASE, 0), 0);
	IS(call5(1, SVC_PATCH, (uint64_t)obj, PROGRAM_OTHER, 39, UINT64_MAX, 0), 0);
	IS(call5(1, SVC_PATCH, (uint64_t)obj, PROGRAM_OTHER, 39, UINT64_MAX - PAGE + 1, 0), 0);
	IS(call5(1, SVC_PATCH, 12345, PROGRAM_OTHER, 39, PROGRAM_BASE, 0), -EBADF);
	IS(call_d(child, SVC_SETIDS, SVC_UID, 1000, 1000, 1000), 0);
	other = open_(child, "/bin/prog", LX_O_RDONLY, 0);
	CHECK(other >= 0);
	IS(patch(child, other, PROGRAM_OTHER, 39), 1); /* done already */
	IS(patch(child, other, PROGRAM_SITE + 1, 39), 0);
	other = open_(child, "/bin/busybox", LX_O_RDONLY, 0);
	IS(patch(child, other, 100, 39), 0);
	call_a(child, SVC_EXIT, 0);
	IS(wait_(1, child, 0), child);
}

static void
test_taking_back(void)
{
	uint32_t copy = text_page(1, obj, 1), page;
	int64_t writer = open_(1, "/bin/prog", LX_O_RDWR, 0);

	CHECK(writer >= 0);
	IS(call_d(1, SVC_MAP, (uint64_t)writer, 1, 1, 1), 1);
	IS(fake_held(sv->first->space, copy), 0);
	page = text_page(1, obj, 1);
	CHECK(page != copy);
	IS(last.d, 0);
	IS(patch(1, obj, PROGRAM_OTHER, 39), 0);
	IS(fake_frame(page)[PROGRAM_OTHER - 5 - PROGRAM_TEXT], 0xb8);
	IS(path_call(1, SVC_UNLINK, "/bin/prog", 0, 0), 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)writer), 0);
	IS(call_a(1, SVC_CLOSE, (uint64_t)obj), 0);
}

/* Every request for memory fails once; the answer is then "refused" and nothing is lost. */
static void
test_failing(void)
{
	bool done = false;

	for (unsigned n = 1; !done && n < 40; n++) {
		int64_t got;

		if (domain_make(false))
			break;
		obj = open_(1, "/bin/prog", LX_O_RDONLY, 0);
		fake.fail_at = fake.requests + n;
		got = patch(1, obj, PROGRAM_OTHER, 39);
		done = fake.requests < fake.fail_at;
		fake.fail_at = 0;
		if (done != (got == 1) && got != 0 && got != 1)
			break;
		if (patch(1, obj, PROGRAM_OTHER, 39) != 1 || service_check(sv) || fake.bad)
			break;
	}
	CHECK(done);
}

int
main(void)
{
	IS(domain_make(false), 0);
	test_rewriting();
	test_refusing();
	test_taking_back();
	test_failing();
	printf("1..%d\n", test_count);
	fake_reset();
	free(sv);
	return test_failures != 0;
}
