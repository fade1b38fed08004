/* SPDX-License-Identifier: MIT */
/*
 * Hostile processes against the domain's service: random operations with random words and
 * message bytes, random scribbling over every page that a process can write, random failures of
 * memory, and environments that end at any time.  The service must survive, keep its
 * invariants, never ask the kernel for something it would refuse, and give everything back in
 * the end.
 *
 * Arguments: number of calls, seed.
 */
#include "test/host/service_case.h"

static uint64_t state;
static struct svc was;

static uint64_t
rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint32_t
below(uint32_t n)
{
	return (uint32_t)(rnd() >> 33) % n;
}

static struct proc *
any_proc(void)
{
	struct proc *p = sv->all;

	for (uint32_t skip = below(sv->proc_count + 1); p && skip; skip--)
		p = p->next;
	return p ? p : sv->all;
}

static uint64_t
any_object(const struct proc *p)
{
	uint32_t start = below(OBJ_WORDS);

	for (uint32_t i = 0; p->held && i < OBJ_WORDS; i++) {
		uint32_t w = (start + i) % OBJ_WORDS;

		if (p->held[w]) {
			uint32_t index = w * 64 + (uint32_t)__builtin_ctzll(p->held[w]);
			const struct object *chunk = sv->objects[index / OBJ_CHUNK];

			return object_id(sv, &chunk[index % OBJ_CHUNK]);
		}
	}
	return rnd();
}

static uint64_t
word(const struct proc *p)
{
	static const uint64_t odd[] = {
		0,         1,         2,         3,          4,          7,
		8,         63,        64,        255,        256,        4095,
		4096,      4097,      16383,     16384,      16385,      UINT32_MAX,
		INT32_MAX, INT32_MIN, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1,
		1ull << 48};

	switch (below(8)) {
	case 0:
	case 1:
		return any_object(p);
	case 2:
		return odd[below(sizeof(odd) / sizeof(odd[0]))];
	case 3:
		return (uint64_t)any_proc()->pid;
	case 4:
		return SVC_CWD;
	case 5:
		return rnd();
	default:
		return below(20);
	}
}

static const char *const paths[] = {
	"/tmp/a",
	"/tmp/b",
	"a",
	"b",
	"/tmp/d",
	"/tmp/d/x",
	"../tmp/d/y",
	"/tmp/fifo",
	"/tmp/l",
	"/bin/busybox",
	"/etc/motd",
	"/etc/secret",
	"/dev/null",
	"/dev/tty",
	"/dev/zero",
	"/proc/1/stat",
	"/proc/self/exe",
	"/proc/2/status",
	"/proc",
	"/proc/self",
	"/",
	".",
	"/tmp/d/../a/.//b",
	"/proc/self/cwd/a",
	"/dev/console",
	"/proc/meminfo",
	"/proc/self/cmdline",
	"/proc/self/fd",
	"/proc/self/fd/0",
	"/proc/self/fd/1",
	"/proc/1/fd/2",
	"/proc/2/fd/1/x",
	"/tmp/a/",
};

static uint64_t
put_path(struct proc *p, uint32_t at)
{
	const char *path = paths[below(sizeof(paths) / sizeof(paths[0]))];

	memcpy(p->msg + at, path, strlen(path));
	return strlen(path);
}

/* What a process says of its descriptors: the truth, another's, or nothing. */
static void
tell(struct proc *p)
{
	struct svc_tail *tail = SVC_TAIL(p->msg);
	uint32_t fd = below(4);

	tail->open[0] = rnd() & 15;
	tail->children = below(4) ? 0 : (uint32_t)rnd();
	if (!below(4))
		tail->queue_taken = (uint32_t)rnd();
	tail->object[fd] = (uint32_t)(below(3) ? any_object(p) : any_object(any_proc()));
}

/* Words that make some sense for an operation, so that it gets past its first checks. */
static void
sensible(struct proc *p, struct svc *s)
{
	tell(p);
	s->a = below(4) ? SVC_CWD : any_object(p);
	s->b = put_path(p, 0);
	s->c = below(3) ? below(3) | (below(2) ? LX_O_CREAT : 0) | (below(4) ? 0 : LX_O_TRUNC)
			: rnd() & 07777777;
	s->d = rnd() & 0777;
	s->e = 0;
	switch (s->op) {
	case SVC_MAP:
	case SVC_TEXT:
		s->a = any_object(p);
		s->b = below(6);
		s->c = below(20);
		s->d = below(2);
		break;
	case SVC_EXTEND:
		s->a = any_object(p);
		s->b = below(40000);
		s->c = s->b + below(20000);
		break;
	case SVC_TRUNCATE:
		s->b = below(2) ? s->b : 0;
		s->a = s->b ? SVC_CWD : any_object(p);
		s->c = below(40000);
		break;
	case SVC_RENAME:
	case SVC_LINK:
		s->c = SVC_CWD;
		s->d = put_path(p, SVC_PATH2);
		s->e = below(3);
		break;
	case SVC_SYMLINK:
		s->a = s->b;
		s->b = SVC_CWD;
		s->c = put_path(p, SVC_PATH2);
		break;
	case SVC_MKNOD:
		s->c = (below(2) ? FS_IFIFO : FS_IFREG) | 0666;
		break;
	case SVC_UNLINK:
		s->c = below(3) ? 0 : LX_AT_REMOVEDIR;
		break;
	case SVC_PIPE:
		s->c = below(2) * LX_O_NONBLOCK;
		break;
	case SVC_FORK:
		s->a = below(2);
		break;
	case SVC_WAIT:
		s->a = (uint64_t)-1ll;
		s->b = below(16);
		break;
	case SVC_KILL:
		s->a = (uint64_t)any_proc()->pid;
		s->b = below(65);
		break;
	case SVC_LOCK:
		s->a = any_object(p);
		s->b = below(3) ? below(2) | SVC_LOCK_PROCESS * below(2) : below(SVC_LOCK_FLAGS);
		s->c = below(30);
		s->d = s->c + below(30);
		break;
	case SVC_TTY_IOCTL:
		s->a = any_object(p);
		s->b = 0x5401 + below(0x2a);
		break;
	default:
		if (s->op >= SVC_CHMOD && s->op <= SVC_STATFS && below(2)) {
			s->a = any_object(p);
			s->b = 0;
		} else if (s->op > SVC_STATFS) {
			s->a = word(p);
			s->b = word(p);
		}
	}
}

/* A process writes what it can write: rings, information about files, message pages. */
static void
scribble(void)
{
	struct proc *p = any_proc();

	if (p->msg && !below(4))
		p->msg[below(MSG_BYTES)] = (uint8_t)rnd();
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t pfn = 1 + below(FAKE_FRAMES - 1);

		if (proc_over(p) || !(fake_held(p->space, pfn) & AEGIS_WRITE))
			continue;
		for (uint32_t n = below(40); n; n--)
			fake_frame(pfn)[below(2) ? below(64) : below(PAGE)] = (uint8_t)rnd();
	}
}

static void
from_host(void)
{
	struct svc s = {.op = SVC_HOST_INPUT + below(5), .a = below(5), .b = rnd(), .c = rnd()};
	struct ring ring = stream_ring(0);
	uint8_t *at;
	uint32_t n = ring_space(&ring, &at);

	if (s.op == SVC_HOST_SIGNAL)
		s.a = below(200) ? below(70) : LX_SIGKILL;
	if (s.op == SVC_HOST_CLOSE && below(50))
		return;
	n = n < 20 ? n : below(20);
	for (uint32_t i = 0; i < n; i++)
		at[i] = below(3) ? (uint8_t)(1 + below(31)) : (uint8_t)rnd();
	ring_produce(&ring, n);
	ring = stream_ring(3);
	ring_consume(&ring, ring_peek(&ring, &at));
	service_dispatch(sv, &s, FAKE_SUPERVISOR);
}

static void
one_call(void)
{
	struct proc *p = any_proc();
	struct svc s = {.op = 1 + (int64_t)below(SVC_OPS)};

	/* Keep a few processes alive: an end is as likely as a birth. */
	if ((s.op == SVC_EXIT || (s.op == SVC_KILL && !below(3))) && (p == sv->first || below(3)))
		s.op = below(40) ? SVC_WAIT : s.op;
	if (sv->proc_count > 40 && s.op == SVC_FORK)
		s.op = SVC_EXIT;
	if (proc_over(p)) {
		service_dispatch(sv, &s, p->env);
		return;
	}
	if (below(3)) {
		sensible(p, &s);
	} else {
		s.a = word(p);
		s.b = word(p);
		s.c = word(p);
		s.d = word(p);
		s.e = word(p);
		if (!below(20))
			s.op = (int64_t)rnd();
		for (uint32_t i = below(3); i; i--)
			put_path(p, below(2) ? 0 : SVC_PATH2);
	}
	if (s.op == SVC_KILL && s.a == 1 && s.b == LX_SIGKILL && below(20))
		s.b = 0;
	was = s;
	service_dispatch(sv, &s, p->env);
}

static void
finish(void)
{
	struct svc s = {.op = SVC_HOST_SIGNAL, .a = LX_SIGKILL};

	fake.fail_at = 0;
	fake.stubborn = 0;
	if (sv->first)
		service_dispatch(sv, &s, FAKE_SUPERVISOR);
	service_work(sv);
	check_at(!sv->proc_count && !sv->object_count && !fake.names && !sv->locks,
		 "everybody is gone", __LINE__);
	check_at(fake.bad == 0, "nothing was asked that the kernel would refuse", __LINE__);
}

int
main(int argc, char **argv)
{
	uint64_t calls = argc > 1 ? strtoull(argv[1], NULL, 0) : 200000;
	const char *bad = NULL;
	uint32_t domains = 0;

	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x123456789abcdefull;
	check_at(domain_make(true) == 0, "a domain starts", __LINE__);
	for (uint64_t i = 0; i < calls && !bad && !fake.bad; i++) {
		if (!sv->first) {
			finish();
			domain_make(domains++ & 1);
		}
		if (!below(50))
			fake.fail_at = fake.requests + 1 + below(20);
		if (!below(200))
			fake.stubborn = below(6000);
		if (!below(30))
			scribble();
		if (!below(40))
			from_host();
		if (sv->first && !below(2000))
			fake.env[any_proc()->env].state = AEGIS_STATE_ENDED;
		if (sv->first && !below(100))
			service_work(sv);
		if (sv->first)
			one_call();
		if (i % 997 == 0 || getenv("EACH"))
			bad = service_check(sv);
		if (bad)
			printf("# after %llu calls: %s; op %lld a %llx b %llx c %llx d %llx\n",
			       (unsigned long long)i, bad, (long long)was.op,
			       (unsigned long long)was.a, (unsigned long long)was.b,
			       (unsigned long long)was.c, (unsigned long long)was.d);
	}
	check_at(!bad, "invariants hold", __LINE__);
	finish();
	printf("# %u domains\n1..%d\n", domains + 1, test_count);
	fake_reset();
	free(sv);
	return test_failures != 0;
}
