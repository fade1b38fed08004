/* SPDX-License-Identifier: MIT */
/*
 * A core and a kernel for the service on the host.
 *
 * Frames are pages of one memory file, so that a frame seen through several mappings is one memory,
 * as it is in the machine.  Who holds which frame with which rights is kept for every space, and
 * what the kernel would refuse is counted in fake.bad: sharing what is not held, freeing what is
 * bound, giving back what nobody has.  The Nth request for memory fails when told to.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/host/fake_core.h"

struct block {
	struct block *next, **link;
	size_t size;
	size_t pad;
};

struct mapping {
	struct mapping *next;
	void *at;
	uint32_t n;
	uint32_t pfns[];
};

struct fake fake;

static int frame_file = -1;
static uint8_t *frame_memory;
static uint8_t *holds[FAKE_SPACES];
static uint16_t holders[FAKE_FRAMES], bound[FAKE_FRAMES];
static uint32_t next_frame, next_space, next_env;
static struct block *blocks;
static struct mapping *maps;

static bool
fails(void)
{
	return ++fake.requests == fake.fail_at;
}

static void
bad(const char *what, uint32_t number)
{
	printf("# the kernel would refuse: %s %u\n", what, number);
	fake.bad++;
}

uint8_t *
fake_frame(uint32_t pfn)
{
	return frame_memory + (size_t)pfn * PAGE;
}

uint32_t
fake_held(uint32_t space, uint32_t pfn)
{
	return space < FAKE_SPACES && holds[space] ? holds[space][pfn] : 0;
}

static void
hold(uint32_t space, uint32_t pfn, uint32_t rights)
{
	if (space >= FAKE_SPACES || !holds[space] || pfn >= FAKE_FRAMES) {
		bad("space", space);
		return;
	}
	if (!holds[space][pfn] && !holders[pfn]++)
		fake.frames++;
	holds[space][pfn] |= (uint8_t)rights;
}

static void
let_go(uint32_t space, uint32_t pfn)
{
	if (!fake_held(space, pfn))
		return;
	holds[space][pfn] = 0;
	if (!--holders[pfn])
		fake.frames--;
}

void
fake_reset(void)
{
	if (frame_file < 0) {
		frame_file = memfd_create("frames", 0);
		if (frame_file < 0 || ftruncate(frame_file, (off_t)FAKE_FRAMES * PAGE))
			abort();
		frame_memory = mmap(NULL, (size_t)FAKE_FRAMES * PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED, frame_file, 0);
		if (frame_memory == MAP_FAILED)
			abort();
	}
	while (blocks) {
		struct block *block = blocks;

		blocks = block->next;
		free(block);
	}
	while (maps) {
		struct mapping *map = maps;

		maps = map->next;
		munmap(map->at, (size_t)map->n * PAGE);
		free(map);
	}
	for (uint32_t i = 0; i < FAKE_SPACES; i++) {
		free(holds[i]);
		holds[i] = NULL;
	}
	memset(holders, 0, sizeof(holders));
	memset(bound, 0, sizeof(bound));
	memset(&fake, 0, sizeof(fake));
	holds[FAKE_SERVICE] = calloc(1, FAKE_FRAMES);
	next_frame = 1;
	next_space = FAKE_SERVICE + 1;
	next_env = FAKE_SELF + 1;
}

/* ---- frames ---- */

static uint32_t
frame_free(void)
{
	for (uint32_t i = 0; i < FAKE_FRAMES; i++) {
		uint32_t pfn = next_frame;

		next_frame = next_frame + 1 < FAKE_FRAMES ? next_frame + 1 : 1;
		if (!holders[pfn])
			return pfn;
	}
	return 0;
}

uint32_t
fake_take(uint32_t n)
{
	uint32_t first = next_frame;

	for (uint32_t i = 0; i < n; i++) {
		hold(FAKE_SERVICE, first + i, AEGIS_READ | AEGIS_WRITE);
		memset(fake_frame(first + i), 0, PAGE);
	}
	next_frame = first + n;
	return first;
}

int
core_frames_alloc(uint32_t cap, uint32_t *pfns, uint32_t n)
{
	(void)cap;
	if (fails())
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		pfns[i] = frame_free();
		if (!pfns[i]) {
			while (i--)
				let_go(FAKE_SERVICE, pfns[i]);
			return -ENOMEM;
		}
		hold(FAKE_SERVICE, pfns[i], AEGIS_READ | AEGIS_WRITE);
		memset(fake_frame(pfns[i]), 0, PAGE);
	}
	return 0;
}

void
core_frames_free(const uint32_t *pfns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!fake_held(FAKE_SERVICE, pfns[i]))
			bad("freeing a frame that is not held", pfns[i]);
		if (bound[pfns[i]])
			bad("freeing a frame that is bound", pfns[i]);
		let_go(FAKE_SERVICE, pfns[i]);
	}
}

int
core_share(uint32_t cap, uint32_t space, const uint32_t *pfns, uint32_t n, uint32_t rights)
{
	(void)cap;
	if (fails())
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if ((fake_held(FAKE_SERVICE, pfns[i]) & rights) != rights)
			bad("sharing a frame that is not held so", pfns[i]);
		else
			hold(space, pfns[i], rights);
	}
	return 0;
}

/* Of the spans of this memory. */
int
core_span(uint32_t cap, uint32_t space, uint32_t span)
{
	(void)cap;
	(void)space;
	if (fails())
		return -ENOMEM;
	return span < (FAKE_FRAMES + AEGIS_HOLD_SPAN - 1) / AEGIS_HOLD_SPAN ? 0 : -EINVAL;
}

int
core_unshare(uint32_t cap, uint32_t space, const uint32_t *pfns, uint32_t n)
{
	(void)cap;
	for (uint32_t i = 0; i < n; i++)
		let_go(space, pfns[i]);
	return 0;
}

int
core_hold(uint32_t cap, const uint32_t *pfns, uint32_t n, uint32_t rights)
{
	(void)cap;
	if (fails())
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		hold(FAKE_SERVICE, pfns[i], rights);
	return 0;
}

static int
bind_others(uint32_t space, const struct aegis_bind *binds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t rights =
			binds[i].prot & AEGIS_BIND_WRITE ? AEGIS_READ | AEGIS_WRITE : AEGIS_READ;

		if ((binds[i].prot & AEGIS_BIND_WRITE) && (binds[i].prot & AEGIS_BIND_EXEC))
			bad("writable and executable", binds[i].pfn);
		if ((fake_held(FAKE_SERVICE, binds[i].pfn) & rights) != rights &&
		    (fake_held(space, binds[i].pfn) & rights) != rights)
			return -EPERM;
		for (uint32_t k = 0; k <= binds[i].prot / AEGIS_BIND_MORE(1); k++)
			hold(space, binds[i].pfn + k, rights);
	}
	return 0;
}

int
core_bind_each(uint32_t cap, uint32_t space, const struct aegis_bind *binds, uint32_t n)
{
	(void)cap;
	return fails() ? -ENOMEM : bind_others(space, binds, n);
}

int
core_binds_flush(struct core_binds *b)
{
	uint32_t n = b->n;

	b->n = 0;
	return n ? core_bind_each(b->cap, b->space, b->at, n) : 0;
}

/* Spaces have no tables here. */
void
core_binds_new(struct core_binds *b, uint32_t cap, uint32_t space, uint64_t table)
{
	(void)table;
	core_binds_start(b, cap, space);
}

int
core_binds_table(struct core_binds *b, uint64_t va)
{
	(void)b;
	(void)va;
	return 0;
}

/* ---- the arena ---- */

void *
core_arena_map(const uint32_t *pfns, uint32_t n, uint32_t prot)
{
	int flags = prot & AEGIS_BIND_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	struct mapping *map;
	uint8_t *at;

	if (fails())
		return NULL;
	at = mmap(NULL, (size_t)n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		if (!(fake_held(FAKE_SERVICE, pfns[i]) &
		      (prot & AEGIS_BIND_WRITE ? AEGIS_WRITE : AEGIS_READ)))
			bad("mapping a frame that is not held", pfns[i]);
		if (mmap(at + (size_t)i * PAGE, PAGE, flags, MAP_SHARED | MAP_FIXED, frame_file,
			 (off_t)pfns[i] * PAGE) == MAP_FAILED)
			abort();
		bound[pfns[i]]++;
	}
	map = malloc(sizeof(*map) + n * sizeof(*pfns));
	map->at = at;
	map->n = n;
	memcpy(map->pfns, pfns, n * sizeof(*pfns));
	map->next = maps;
	maps = map;
	fake.mappings += n;
	return at;
}

void
core_arena_unmap(void *at, uint32_t n)
{
	struct mapping **link = &maps;
	struct mapping *map;

	while (*link && (*link)->at != at)
		link = &(*link)->next;
	map = *link;
	if (!map || map->n != n) {
		bad("unmapping what is not mapped so", n);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		bound[map->pfns[i]]--;
	*link = map->next;
	munmap(at, (size_t)n * PAGE);
	free(map);
	fake.mappings -= n;
}

/* ---- heap, time, waking, the rest ---- */

void *
core_alloc(size_t size)
{
	struct block *block;

	if (fails())
		return NULL;
	block = malloc(sizeof(*block) + size);
	block->size = size;
	block->next = blocks;
	block->link = &blocks;
	if (blocks)
		blocks->link = &block->next;
	blocks = block;
	fake.blocks++;
	memset(block + 1, 0xa5, size);
	return block + 1;
}

void
core_free(void *at, size_t size)
{
	struct block *block = at;

	if (!at)
		return;
	block--;
	if (block->size != size)
		bad("freeing a block with another size", (uint32_t)size);
	*block->link = block->next;
	if (block->next)
		block->next->link = block->link;
	fake.blocks--;
	free(block);
}

uint64_t
core_now_ns(void)
{
	return fake.now += 1000;
}

uint64_t
core_wall_ns(void)
{
	return 1700000000000000000ull + core_now_ns();
}

void
core_wake(uint32_t env)
{
	if (env < 4096)
		fake.env[env].wakes++;
}

void
core_log(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (getenv("FAKE_LOG"))
		vprintf(fmt, args);
	va_end(args);
}

void
core_die(const char *why)
{
	printf("Bail out! %s\n", why);
	abort();
}

/* ---- the kernel ---- */

int
kern_process_alloc(uint32_t slot, struct proc *p, const uint32_t frames[6])
{
	if (fails() || slot < NAME_FIRST) {
		core_frames_free(frames, 6);
		return -ENOMEM;
	}
	do {
		next_space = next_space + 1 < FAKE_SPACES ? next_space + 1 : FAKE_SERVICE + 1;
	} while (holds[next_space]);
	do {
		next_env = next_env + 1 < 4096 ? next_env + 1 : FAKE_SELF + 1;
	} while (fake.env[next_env].space);
	holds[next_space] = calloc(1, FAKE_FRAMES);
	p->space = next_space;
	p->env = next_env;
	p->env_frame = frames[5];
	p->generation = ++fake.env[next_env].generation;
	fake.env[next_env] = (struct fake_env){
		.space = next_space,
		.generation = p->generation,
		.state = AEGIS_STATE_NEW,
	};
	/* Consumed: the object's from now on. */
	for (int i = 0; i < 6; i++) {
		hold(next_space, frames[i], AEGIS_READ);
		let_go(FAKE_SERVICE, frames[i]);
	}
	return 0;
}

int
kern_env_end(uint32_t env)
{
	if (env >= 4096 || !fake.env[env].space)
		return 0;
	if (fake.stubborn) {
		fake.stubborn--;
		return 1;
	}
	fake.env[env].space = 0;
	return 0;
}

int
kern_space_end(uint32_t space)
{
	if (space >= FAKE_SPACES || !holds[space] || space == FAKE_SERVICE)
		return 0;
	for (uint32_t env = 0; env < 4096; env++) {
		if (fake.env[env].space == space)
			return -EBUSY;
	}
	for (uint32_t pfn = 0; pfn < FAKE_FRAMES; pfn++)
		let_go(space, pfn);
	free(holds[space]);
	holds[space] = NULL;
	return 0;
}

int
kern_env_read(uint32_t env, struct aegis_env_info *out)
{
	if (env >= 4096 || !fake.env[env].space)
		return -ESRCH;
	*out = (struct aegis_env_info){
		.env = env,
		.space = fake.env[env].space,
		.state = fake.env[env].state,
		.generation = fake.env[env].generation,
		.end_reason = fake.env[env].reason,
		.time_ns = fake.env[env].time_ns += 1000000,
	};
	return 0;
}

int
kern_name_derive(uint32_t slot)
{
	(void)slot;
	if (fails())
		return -ENOMEM;
	fake.names++;
	return 0;
}

void
kern_name_drop(uint32_t slot)
{
	(void)slot;
	fake.names--;
}

int
kern_grant(uint32_t from, uint32_t env, uint32_t rights, uint32_t to)
{
	(void)from;
	(void)env;
	(void)to;
	if (rights & AEGIS_REVOKE)
		bad("a process may not revoke its user's name", rights);
	return fails() ? -ENOMEM : 0;
}

int
kern_ask(uint32_t env, uint32_t frames, uint64_t deadline)
{
	(void)env;
	(void)deadline;
	return frames ? 0 : -EINVAL;
}

void
kern_start(uint32_t env)
{
	fake.env[env].state = AEGIS_STATE_READY;
}

void
kern_upcall(uint32_t env)
{
	fake.env[env].upcalls++;
	fake.env[env].wakes++;
}

void
kern_wake_host(uint32_t env)
{
	fake.env[env].wakes++;
}

void
kern_wake_self(void)
{
	fake.env[FAKE_SELF].wakes++;
}

uint32_t
kern_env_self(void)
{
	return FAKE_SELF;
}

int
kern_first_setup(struct proc *p)
{
	uint32_t frames[EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES];

	if (core_frames_alloc(p->slot, frames, EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES))
		return -ENOMEM;
	for (uint32_t i = 0; i < EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES; i++)
		hold(p->space, frames[i], AEGIS_READ | AEGIS_WRITE);
	core_frames_free(frames, EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES);
	return 0;
}

uint32_t
kern_cpu_choose(void)
{
	return 1;
}

uint32_t
kern_cpus(void)
{
	return 2;
}

uint64_t
kern_tsc_khz(void)
{
	return 1000000;
}

void
kern_memory_read(uint64_t *free_pages, uint64_t *total_pages)
{
	*free_pages = FAKE_FRAMES - fake.frames;
	*total_pages = FAKE_FRAMES;
}

uint32_t
kern_system_frame(void)
{
	return FS_NO_PFN;
}

uint64_t
kern_site_entry(void)
{
	return EXOS_IMAGE + 0x4000;
}

const void *
kern_image(void)
{
	return NULL;
}
