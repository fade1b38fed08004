/* SPDX-License-Identifier: MIT */
/*
 * The first steps of every role.
 *
 * The boot environment starts in boot_start: it relocates the image in place (the only time
 * anything writes to it), makes its area known at EXOS_AREA, and becomes the supervisor.  Services
 * and processes begin at core_begin_entry with a control page that their maker filled, and come to
 * core_start.
 */
#include "exos/api/api.h"
#include "exos/core/priv.h"
#include "exos/proc/process.h"
#include "exos/service/service.h"
#include "exos/super/super.h"

struct rela {
	uint64_t offset, info;
	int64_t addend;
};
#define R_RELATIVE 8u

extern const struct rela exos_rela_start[], exos_rela_end[];

_Noreturn void boot_start(const struct aegis_boot_page *boot);
_Noreturn void core_start(void);

/* The image lies where it was linked, so a relocation's addend is the address itself. */
static void
relocate(void)
{
	for (const struct rela *r = exos_rela_start; r < exos_rela_end; r++) {
		if ((uint32_t)r->info != R_RELATIVE)
			__builtin_trap();
		*(int64_t *)r->offset = r->addend;
	}
}

static uint32_t
frame_at(uint64_t va)
{
	return (uint32_t)((*aegis_window(va) & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT);
}

/* One binding through the boot area's second page, before anything of core works. */
static void
boot_bind(uint32_t space, uint64_t va, uint32_t pfn, uint32_t prot)
{
	struct aegis_bind *b = (struct aegis_bind *)(AEGIS_BOOT_AREA + EXOS_BATCH_OFFSET);

	*b = (struct aegis_bind){va, pfn, prot | AEGIS_BIND_READ | AEGIS_BIND_GUARANTEED};
	if (aegis_tlb_write(AEGIS_SELF, space, EXOS_BATCH_OFFSET, 1) != 1)
		__builtin_trap();
}

static uint32_t
boot_frame(void)
{
	struct aegis_frame_rec *r = (struct aegis_frame_rec *)(AEGIS_BOOT_AREA + EXOS_BATCH_OFFSET);

	*r = (struct aegis_frame_rec){AEGIS_ANY, 0};
	if (aegis_mem_alloc(EXOS_CAP_OWN, EXOS_BATCH_OFFSET, 1, 0) != 1)
		__builtin_trap();
	return r->pfn;
}

static void
boot_hold(uint32_t pfn)
{
	struct aegis_frame_rec *r = (struct aegis_frame_rec *)(AEGIS_BOOT_AREA + EXOS_BATCH_OFFSET);

	*r = (struct aegis_frame_rec){pfn, AEGIS_READ};
	if (aegis_mem_bind(EXOS_CAP_OWN, EXOS_BATCH_OFFSET, 1) != 1)
		__builtin_trap();
}

/* The environment page's frame, of which the boot page says nothing: the kernel knows it by name.
 */
static void
boot_pages(const struct aegis_boot_page *boot)
{
	boot_hold(boot->system_frame);
	boot_bind(boot->space, EXOS_SYSPAGE, boot->system_frame, 0);
	boot_hold(boot->env_frame);
	boot_bind(boot->space, EXOS_ENVPAGE, boot->env_frame, 0);
	for (uint32_t i = 0; i < EXOS_PRIVATE_PAGES; i++)
		boot_bind(boot->space, EXOS_PRIVATE + i * AEGIS_PAGE, boot_frame(),
			  AEGIS_BIND_WRITE);
}

_Noreturn void
boot_start(const struct aegis_boot_page *boot)
{
	struct control *c = (struct control *)EXOS_AREA;

	relocate();
	for (uint32_t i = 0; i < EXOS_AREA_PAGES; i++)
		boot_bind(boot->space, EXOS_AREA + i * AEGIS_PAGE,
			  frame_at(AEGIS_BOOT_AREA + i * AEGIS_PAGE), AEGIS_BIND_WRITE);
	boot_pages(boot);
	__asm__ volatile("wrgsbase %0" ::"r"(EXOS_AREA) : "memory");
	core_setup_fill((struct aegis_setup *)EXOS_BATCH, c, ROLE_SUPERVISOR, boot->env,
			boot->space, 0);
	if (aegis_env_write(AEGIS_SELF, boot->env, EXOS_BATCH_OFFSET) != 0)
		__builtin_trap();
	core_state_init();
	super_start(boot);
}

_Noreturn void
core_start(void)
{
	if (control()->role == ROLE_PROCESS)
		api_unpark();
	core_state_init();
	if (control()->role == ROLE_SERVICE)
		service_start();
	process_start();
}
