/* SPDX-License-Identifier: MIT */
/*
 * The calls of names, frames, holdings, spaces and bindings, driven by bytes.
 *
 * Four environments act on two processors: the boot environment with every right, two children
 * with capabilities that it gave them, one of them with an account of its own, and one that has
 * nothing. Arguments are forged: slots, numbers and addresses that exist and that do not.
 * After every step all invariants are checked, and that the one without capabilities gained no
 * frame by itself.  At the end of an input everything is taken down, and frames, names and
 * accounts must count as at its beginning.
 *
 * A libFuzzer target; with FUZZ_MAIN a program that makes its own bytes: [seed [rounds]].
 */
#include "../host/host.h"

#define MEMORY   1600u
#define ACTORS   4u
#define AREA_TOP (HOST_AREA + AEGIS_AREA_PAGES * PAGE)
#define RW       (AEGIS_BIND_READ | AEGIS_BIND_WRITE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct env *actors[ACTORS];
static struct env *self;
static struct {
	uint32_t free, nodes, frames, root_refs;
} base;

/* ---- bytes ---- */

static const uint8_t *in, *in_end;

static uint32_t
byte(void)
{
	return in < in_end ? *in++ : 0;
}

static uint32_t
word(void)
{
	uint32_t a = byte(), b = byte(), c = byte();

	return a | b << 8 | c << 16 | byte() << 24;
}

static uint32_t
some_slot(void)
{
	uint32_t b = byte();

	return b < 160 ? b % 6 : b < 200 ? AEGIS_SELF : b < 250 ? b % 70 : word();
}

static uint32_t
some_pfn(void)
{
	uint32_t b = byte();

	if (b < 20)
		return AEGIS_ANY;
	if (b < 120)
		return 1 + byte() % 128; /* where allocations cluster */
	if (b < 150)
		return MEMORY - 1 - byte() % 100; /* where the kernel's are */
	if (b < 170)
		return 512 + byte() % 4 * 256;
	if (b < 180)
		return HOST_FRAMES + 77;
	return b < 240 ? word() % MEMORY : word();
}

static uint64_t
some_va(void)
{
	uint32_t b = byte();

	if (b < 140)
		return HOST_AREA + (uint64_t)(byte() % 64) * PAGE;
	if (b < 200)
		return HOST_AREA + (uint64_t)(byte() % 4) * AEGIS_LARGE_PAGE;
	if (b < 220)
		return (uint64_t)(byte() % 4) << (12 + 9 * (1 + byte() % 3));
	return (uint64_t)word() << 32 | word();
}

static uint32_t
some_prot(void)
{
	static const uint32_t usual[] = {AEGIS_BIND_READ,
					 RW,
					 AEGIS_BIND_READ | AEGIS_BIND_EXEC,
					 RW | AEGIS_BIND_GUARANTEED,
					 AEGIS_BIND_READ | AEGIS_BIND_LARGE,
					 AEGIS_BIND_CLEAR,
					 AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(1),
					 AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(2),
					 AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(3),
					 RW | AEGIS_BIND_UNCACHED,
					 AEGIS_BIND_READ | AEGIS_BIND_KEY(3),
					 0};
	uint32_t b = byte();

	return b < 240 ? usual[b % 12] : word();
}

static uint32_t
some_space(void)
{
	uint32_t b = byte();

	return b < 100 ? self->space->number : b < 250 ? 1 + b % 8 : word();
}

/* Records at a random place of the area; offset of the first. */
static uint32_t
frame_records(uint32_t n)
{
	uint32_t at = HOST_RECORDS + byte() % 8 * 8;

	for (uint32_t i = 0; i < n; i++) {
		struct aegis_frame_rec *r = host_area(self, at + i * 8);
		uint32_t b;

		r->pfn = some_pfn();
		b = byte();
		r->flags = b < 200   ? (b & 1 ? AEGIS_READ : AEGIS_READ | AEGIS_WRITE)
			   : b < 250 ? b % 5
				     : word();
	}
	return at;
}

static uint32_t
bind_records(uint32_t n, bool pages)
{
	uint32_t at = HOST_RECORDS + byte() % 8 * 16;

	for (uint32_t i = 0; i < n; i++) {
		struct aegis_bind *r = host_area(self, at + i * 16);

		r->va = some_va();
		r->pfn = pages ? (byte() < 200 ? byte() % 20 : word()) : some_pfn();
		r->prot = some_prot();
	}
	return at;
}

/* ---- steps ---- */

static void
step_names(uint32_t op)
{
	uint32_t from = some_slot(), to = some_slot(),
		 rights = byte() < 100 ? AEGIS_ALL : word() & AEGIS_ALL;

	switch (op) {
	case 0:
		sys_cap_derive(from, rights, to);
		break;
	case 1:
		if (self == actors[0] && from == 0)
			rights &= ~AEGIS_REVOKE; /* the boot environment keeps its own */
		sys_cap_grant(from, some_slot(), byte() % 6, rights, to);
		break;
	case 2:
		if (self != actors[0] || from)
			sys_cap_drop(from);
		break;
	case 3:
		sys_cap_revoke(from);
		break;
	default:
		sys_cap_read(from, word() % (AEGIS_AREA_PAGES * PAGE + 16));
	}
}

static void
step_frames(uint32_t op)
{
	uint32_t cap = some_slot(), n = 1 + byte() % 12, space = some_space(),
		 at = frame_records(n);
	uint32_t flags = byte() < 200 ? 0 : byte() % 5;

	if (byte() > 250)
		at = word();
	if (op == 5 && flags && byte() < 128)
		n = 512;
	switch (op) {
	case 5:
	case 6:
		if (byte() < 128)
			cap = self->caps[1].node ? 1 : 0;
		sys_mem_alloc(cap, at, n, flags);
		break;
	case 7:
		sys_mem_free(at, n);
		break;
	case 8:
		sys_mem_bind(cap, at, n);
		break;
	case 9:
		sys_mem_share(cap, space, at, n);
		break;
	case 10:
		sys_mem_unshare(cap, space, at, n);
		break;
	case 11:
		sys_mem_guard(cap, some_slot(), at, n);
		break;
	case 12:
		sys_mem_mark(at, n);
		break;
	default:
		sys_mem_table(cap, space, at, n);
	}
}

static void
step_bindings(uint32_t op)
{
	uint32_t n = 1 + byte() % 10, space = some_space();
	uint32_t cap = space == self->space->number && byte() < 200 ? AEGIS_SELF : some_slot();

	if (op < 17)
		sys_tlb_write(cap, space, bind_records(n, false), n);
	else if (op < 19)
		sys_tlb_delete(cap, space, bind_records(n, true), n);
	else
		sys_tlb_protect(cap, space, bind_records(n, true), n);
}

/* A frame that the space of `self` holds; 0 if none was found soon. */
static uint32_t
held_pfn(void)
{
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t pfn = 1 + (byte() + i) % 200;
		const uint8_t *hold = _hold_find(self->space, pfn);

		if (hold && *hold)
			return pfn;
	}
	return 0;
}

/* A binding that is likely to work, here or in another's space; sharing, and taking back. */
static void
step_likely(void)
{
	uint64_t va = AREA_TOP + (uint64_t)(byte() % 32) * PAGE;
	uint32_t pfn = held_pfn(), prot = byte() & 1 ? RW : AEGIS_BIND_READ;
	uint32_t cap = self == actors[0] ? 0 : 1, other = actors[byte() % ACTORS]->space->number;
	struct aegis_bind b[4];

	switch (byte() % 8) {
	case 0:
		host_bind(cap, other, va, pfn, prot);
		break;
	case 1:
		host_put_frames(&(struct aegis_frame_rec){pfn, prot}, 1);
		sys_mem_share(cap, other, HOST_RECORDS, 1);
		break;
	case 2:
		host_put_frames(&(struct aegis_frame_rec){pfn, prot}, 1);
		sys_mem_unshare(cap, other, HOST_RECORDS, 1);
		break;
	case 3:
	case 4:
		for (uint32_t i = 0; i < 4; i++)
			b[i] = (struct aegis_bind){va + (i + byte() % 2) * PAGE, held_pfn(), prot};
		host_put_binds(b, 4);
		if (byte() & 1)
			sys_tlb_write(cap, other, HOST_RECORDS, 4);
		else
			sys_tlb_write(AEGIS_SELF, self->space->number, HOST_RECORDS, 4);
		break;
	default:
		host_bind(AEGIS_SELF, self->space->number, va, pfn, prot);
	}
	machine_touch(host_cpu, va, byte() & 1);
}

static void
step_other(uint32_t op)
{
	struct space *s = self->space;
	uint32_t space = some_space(), at;

	switch (op) {
	case 20:
		sys_space_create(some_slot(), frame_records(3), byte() % 3);
		break;
	case 21:
		if (space != actors[1]->space->number && space != actors[2]->space->number)
			sys_space_destroy(some_slot(), space);
		break;
	case 22:
		lock_acquire(&s->lock);
		if (byte() < 128)
			_space_drop(s);
		else
			_space_expel(s, some_pfn(), false);
		lock_release(&s->lock);
		break;
	default:
		at = byte() % 64;
		machine_touch(host_cpu, HOST_AREA + at * PAGE, byte() & 1);
	}
}

static uint32_t
held_by(struct space *s)
{
	uint32_t n = 0;

	for (uint32_t pfn = 0; pfn < frame_count; pfn++) {
		const uint8_t *hold = _hold_find(s, pfn);

		n += hold && (*hold & HOLD_RIGHTS) && frames[pfn].kind == FRAME_USER;
	}
	return n;
}

static bool
has_caps(const struct env *e)
{
	for (uint32_t i = 0; i < AEGIS_CAP_SLOTS; i++) {
		if (cap_node(e, i, 0) > 0)
			return true;
	}
	return false;
}

static void
step(void)
{
	uint32_t b = byte(), op = byte() % 30, held = 0;
	bool bare;

	host_cpu = b >> 7;
	self = actors[b % ACTORS];
	host_run(self);
	bare = !has_caps(self);
	if (bare)
		held = held_by(self->space);
	if (op < 5)
		step_names(op);
	else if (op < 14)
		step_frames(op);
	else if (op < 20)
		step_bindings(op);
	else if (op < 24)
		step_other(op);
	else
		step_likely();
	/* A table taken back is its own frame again. */
	if (bare && op < 14 && held_by(self->space) > held)
		panic("frames out of nothing");
	if (!host_sound())
		panic("invariants");
}

/* ---- the world ---- */

static struct env *
child_make(uint32_t account)
{
	struct space *s =
		host_space(1, HOST_AREA); /* whoever has the first derived name controls it */
	struct env *e;

	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		uint32_t pfn = host_alloc(0);

		if (host_bind(0, s->number, HOST_AREA + i * PAGE, pfn,
			      RW | AEGIS_BIND_GUARANTEED) != 1 ||
		    host_free(pfn) != 1)
			panic("child");
	}
	e = host_env(s, HOST_AREA, NODE_ROOT, account);
	e->exposed = host_alloc(0);
	lock_acquire(&current()->space->lock);
	if (_mem_retype(current()->space, e->exposed, FRAME_EXPOSED) != AEGIS_OK)
		panic("child's page");
	lock_release(&current()->space->lock);
	frames[e->exposed].link = e->number;
	return e;
}

static void
world_make(void)
{
	struct aegis_env_create limits = {.frame_limit = 100, .env_limit = 2, .node_limit = 20};
	status account;

	host_cpu = 0;
	host_run(actors[0]);
	account = account_create(1, &limits);
	if (account < 0)
		panic("account");
	if (sys_cap_derive(0, AEGIS_ALL, 1) || sys_cap_derive(1, AEGIS_ALL, 2))
		panic("names");
	actors[1] = child_make(1);
	actors[2] = child_make((uint32_t)account);
	actors[3] = child_make(1);
	if (sys_cap_grant(1, 0, actors[1]->number, AEGIS_ALL, 1) ||
	    sys_cap_grant(2, 0, actors[2]->number, AEGIS_ALL & ~AEGIS_GRANT, 1))
		panic("capabilities");
}

/* The boot environment's holdings but its area, bindings and tables but those it began with. */
static void
first_clean(void)
{
	struct space *s = actors[0]->space;
	uint32_t steps = UINT32_MAX;

	host_run(actors[0]);
	lock_acquire(&s->lock);
	for (uint32_t pfn = 0; (pfn = _hold_next(s, pfn, &steps)) < PFN_MAX; pfn++) {
		uint8_t *hold = _hold_find(s, pfn);

		if (pfn >= frame_count || frames[pfn].kind != FRAME_USER || !frames[pfn].link) {
			while (_space_expel(s, pfn, true) == AEGIS_AGAIN)
				;
		} else {
			*hold |= AEGIS_HOLD_WRITE | AEGIS_HOLD_READ;
		}
	}
	/* Holdings pages stay with their space; this one does not end. */
	for (uint32_t span = 1; span < SPANS; span++) {
		uint32_t *directory = machine_frame(s->directory);

		if (directory[span])
			mem_release(directory[span]);
		directory[span] = 0;
	}
	lock_release(&s->lock);
	for (uint32_t level = 1; level <= 3; level++) {
		uint64_t reach = 1ul << (12 + 9 * level);

		for (uint64_t i = 0; i < 1u << 18; i++) {
			uint64_t va = i * reach, size, *large, *table;
			uint32_t pfn;

			if (va >= AEGIS_USER_MAX)
				break;
			table = _table_find(s, va, level + 1, &pfn, &size, &large);
			if (!table) {
				i += size / reach - 1 - i % (size / reach);
				continue;
			}
			if (va - va % reach == HOST_AREA - HOST_AREA % reach ||
			    !(table[i % 512] & 1))
				continue;
			pfn = pte_pfn(table[i % 512]);
			if (host_delete(AEGIS_SELF, s->number, va, 0,
					AEGIS_BIND_TABLE | AEGIS_BIND_LEVEL(level)) != 1 ||
			    host_free(pfn) != 1)
				panic("table");
		}
	}
}

static void
revoke_finish(void)
{
	status st;

	do
		st = sys_cap_revoke(0);
	while (st == AEGIS_AGAIN);
	if (st != AEGIS_OK)
		panic("the root's revocation");
}

static void
world_end(void)
{
	uint32_t exposed[ACTORS];
	status st;

	for (host_cpu = 2; host_cpu-- > 0;)
		host_run(actors[0]);
	host_cpu = 0;
	for (uint32_t i = 1; i < ACTORS; i++) {
		exposed[i] = actors[i]->exposed;
		host_env_end(actors[i]);
		mem_release(exposed[i]);
	}
	for (uint32_t i = 2; i < SPACES; i++) {
		struct space *s = space_find(i);

		if (!s)
			continue;
		space_put(s);
		if ((st = host_destroy(0, i)) != AEGIS_OK) {
			printf("# space %u: %ld\n", i, (long)st);
			panic("destroy");
		}
	}
	for (uint32_t i = 1; i < AEGIS_CAP_SLOTS; i++)
		sys_cap_drop(i);
	for (uint32_t i = 0; i < AEGIS_AREA_PAGES; i++) {
		struct aegis_frame_rec r = {actors[0]->area[i], 0};

		host_put_frames(&r, 1);
		if (sys_mem_guard(0, 0, HOST_RECORDS, 1) != 1)
			panic("the area's guard");
	}
	revoke_finish();
	first_clean();
	if (!host_sound())
		panic("invariants at the end");
	if (system_page->free_frames != base.free || accounts[1].used[ACCOUNT_NODE] != base.nodes ||
	    accounts[1].used[ACCOUNT_FRAME] != base.frames) {
		printf("# free %u of %u, names %u of %u, frames charged %u of %u\n",
		       system_page->free_frames, base.free, accounts[1].used[ACCOUNT_NODE],
		       base.nodes, accounts[1].used[ACCOUNT_FRAME], base.frames);
		panic("something is missing");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!base.free) {
		host_boot(MEMORY, 2);
		actors[0] = current();
		first_clean();
		base.free = system_page->free_frames;
		base.nodes = accounts[1].used[ACCOUNT_NODE];
		base.frames = accounts[1].used[ACCOUNT_FRAME];
	}
	in = data;
	in_end = data + size;
	world_make();
	while (in < in_end)
		step();
	world_end();
	return 0;
}

#ifdef FUZZ_MAIN
static uint64_t state;

static uint8_t
next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint8_t)(state >> 32);
}

int
main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 0) : 20;

	for (uint64_t i = 0; i < rounds; i++) {
		static uint8_t bytes[16384];

		state = (seed + i) * 0x9e3779b97f4a7c15ul | 1;
		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = next();
		printf("# seed %lu\n", seed + i);
		LLVMFuzzerTestOneInput(bytes, sizeof(bytes));
	}
	host_ok(true, "random calls keep every invariant and leak nothing");
	return host_done();
}
#endif
