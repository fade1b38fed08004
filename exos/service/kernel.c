/* SPDX-License-Identifier: MIT */
/*
 * The service's own calls of the kernel, and the fixed places of its environment.
 *
 * Everything that host tests replace is here and nothing else: calls that core.h has no function
 * for, the two ways in, and the making of the first process.  Records go through the batch page.
 */
#define AEGIS_STUBS
#include "exos/core/priv.h"
#include "exos/service/priv.h"
#include "exos/service/service.h"
#include <host/channel.h>

#define BATCH   ((void *)EXOS_BATCH)
#define SERVICE ((struct service *)EXOS_PRIVATE)

_Static_assert(SERVICE_PAGES + CORE_STATE_PAGES <= EXOS_PRIVATE_PAGES, "private pages");

/* ---- environments and spaces ---- */

static int64_t
space_create(uint32_t slot, const uint32_t frames[3])
{
	struct aegis_frame_rec *r = BATCH;
	int64_t st;

	do {
		for (int i = 0; i < 3; i++)
			r[i] = (struct aegis_frame_rec){frames[i], 0};
		st = aegis_space_create(slot, EXOS_BATCH_OFFSET, 0);
	} while (st == AEGIS_AGAIN);
	return st;
}

static int64_t
env_create(uint32_t slot, uint32_t space, const uint32_t frames[3])
{
	struct aegis_env_create *r = BATCH;
	int64_t st;

	do {
		*r = (struct aegis_env_create){
			.frames = {frames[0], frames[1], frames[2]},
			.space = space,
		};
		st = aegis_env_create(slot, EXOS_BATCH_OFFSET);
	} while (st == AEGIS_AGAIN);
	return st;
}

/* frames: consumed, or freed. */
int
kern_process_alloc(uint32_t slot, struct proc *p, const uint32_t frames[6])
{
	struct aegis_env_info info;
	int64_t space = space_create(slot, frames), env;

	if (space < 0) {
		core_frames_free(frames, 6);
		return core_error(space);
	}
	env = env_create(slot, (uint32_t)space, frames + 3);
	if (env < 0) {
		core_frames_free(frames + 3, 3);
		while (kern_space_end((uint32_t)space) > 0)
			;
		return core_error(env);
	}
	p->space = (uint32_t)space;
	p->env = (uint32_t)env;
	p->env_frame = frames[5];
	if (!kern_env_read(p->env, &info))
		p->generation = info.generation;
	return 0;
}

static int
step_result(int64_t st)
{
	if (st == AEGIS_AGAIN || st == AEGIS_BUSY)
		return 1;
	if (st == AEGIS_NO_SUCH)
		return 0;
	return st < 0 ? core_error(st) : 0;
}

int
kern_env_end(uint32_t env)
{
	return step_result(aegis_env_destroy(EXOS_CAP_OWN, env));
}

int
kern_space_end(uint32_t space)
{
	return step_result(aegis_space_destroy(EXOS_CAP_OWN, space));
}

int
kern_env_read(uint32_t env, struct aegis_env_info *out)
{
	if (aegis_env_read(EXOS_CAP_OWN, env, EXOS_BATCH_OFFSET) < 0)
		return -ESRCH;
	memcpy(out, BATCH, sizeof(*out));
	return 0;
}

/* ---- names ---- */

int
kern_name_derive(uint32_t slot)
{
	int64_t st = aegis_cap_derive(EXOS_CAP_OWN, RIGHTS_OWN, slot);

	return st < 0 ? core_error(st) : 0;
}

void
kern_name_drop(uint32_t slot)
{
	aegis_cap_drop(slot);
}

int
kern_grant(uint32_t from, uint32_t env, uint32_t rights, uint32_t to)
{
	int64_t st = aegis_cap_grant(from, EXOS_CAP_OWN, env, rights, to);

	return st < 0 ? core_error(st) : 0;
}

int
kern_ask(uint32_t env, uint32_t frames, uint64_t deadline)
{
	int64_t st = aegis_revoke_ask(EXOS_CAP_OWN, env, AEGIS_KIND_FRAME, frames, deadline);

	return st < 0 ? core_error(st) : 0;
}

/* ---- waking ---- */

void
kern_start(uint32_t env)
{
	aegis_wake(EXOS_CAP_OWN, env, 0);
}

void
kern_upcall(uint32_t env)
{
	aegis_wake(EXOS_CAP_OWN, env, AEGIS_WAKE_UPCALL);
}

void
kern_wake_host(uint32_t env)
{
	aegis_wake(EXOS_CAP_HOST, env, 0);
}

void
kern_wake_self(void)
{
	aegis_wake(EXOS_CAP_OWN, control()->env, 0);
}

uint32_t
kern_env_self(void)
{
	return control()->env;
}

/* ---- figures ---- */

uint32_t
kern_cpus(void)
{
	uint32_t cpus = SYSPAGE->cpus;

	return cpus > AEGIS_CPUS ? AEGIS_CPUS : cpus;
}

uint64_t
kern_tsc_khz(void)
{
	return SYSPAGE->tsc_hz / 1000;
}

/* The one with the fewest that want time; one that halts before all others. */
uint32_t
kern_cpu_choose(void)
{
	uint32_t best = 0, least = UINT32_MAX;

	for (uint32_t cpu = 0; cpu < kern_cpus(); cpu++) {
		uint32_t ready = SYSPAGE->ready[cpu];

		if (!(SYSPAGE->idle_cpus >> cpu & 1))
			ready++;
		if (ready < least) {
			least = ready;
			best = cpu;
		}
	}
	return best;
}

void
kern_memory_read(uint64_t *free_pages, uint64_t *total_pages)
{
	*free_pages = SYSPAGE->free_frames;
	*total_pages = SYSPAGE->frames;
}

uint32_t
kern_system_frame(void)
{
	return (uint32_t)((*aegis_window(EXOS_SYSPAGE) & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT);
}

const void *
kern_image(void)
{
	return (const void *)EXOS_IMAGE;
}

uint64_t
kern_site_entry(void)
{
	return (uint64_t)core_site_entry;
}

/* ---- the first process ---- */

int
kern_first_setup(struct proc *p)
{
	uint32_t prot = AEGIS_BIND_READ | AEGIS_BIND_WRITE | AEGIS_BIND_GUARANTEED;
	uint32_t frames[EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES];
	struct control *c;
	int64_t st;
	int err = core_frames_alloc(p->slot, frames, EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES);

	if (err)
		return err;
	err = core_bind(EXOS_CAP_OWN, p->space, EXOS_AREA, frames, EXOS_AREA_PAGES, prot);
	if (!err)
		err = core_bind(EXOS_CAP_OWN, p->space, EXOS_PRIVATE, frames + EXOS_AREA_PAGES,
				EXOS_PRIVATE_PAGES, prot | AEGIS_BIND_KEY(EXOS_KEY));
	c = err ? NULL : core_arena_map(frames, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (c) {
		core_setup_fill(BATCH, c, ROLE_PROCESS, p->env, p->space, p->cpu);
		c->service_env = control()->env;
		core_arena_unmap(c, 1);
		core_setup_fill(BATCH, &(struct control){0}, ROLE_PROCESS, p->env, p->space,
				p->cpu);
		st = aegis_env_write(EXOS_CAP_OWN, p->env, EXOS_BATCH_OFFSET);
		err = st < 0 ? core_error(st) : 0;
	}
	/* The process's space holds them now. */
	core_frames_free(frames, EXOS_AREA_PAGES + EXOS_PRIVATE_PAGES);
	return c ? err : err ? err : -ENOMEM;
}

/* ---- the two ways in ---- */

_Noreturn void
service_start(void)
{
	struct host_page *host = (struct host_page *)EXOS_MAIL;
	struct service *sv = SERVICE;
	int err = service_init(sv, host);

	if (err) {
		core_log("exos: domain %u cannot start: error %d\n", host->domain, -err);
		host->exit_kind = CHANNEL_EXITED;
		host->exit_value = 125;
		__atomic_store_n(&host->ended, 1, __ATOMIC_RELEASE);
		kern_wake_host(host->supervisor_env);
	}
	for (;;) {
		uint32_t seen = core_events();

		if (sv->fs)
			service_work(sv);
		core_block_accepting(seen, sv->alarm_ns);
	}
}

void
service_call(struct svc *s, uint32_t caller_env)
{
	service_dispatch(SERVICE, s, caller_env);
}

/* Where the kernel lets this domain write to its log; elsewhere the line is lost. */
void
service_log(const char *text, uint32_t n)
{
	uint32_t area = (uint32_t)((uint64_t)text - EXOS_AREA);

	if (aegis_log_write(EXOS_CAP_OWN, area, n) < 0)
		(void)aegis_log_write(EXOS_CAP_HOST, area, n);
}
