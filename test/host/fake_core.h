/* SPDX-License-Identifier: MIT */
/* The kernel and the core as the service's host tests see them; see fake_core.c. */
#ifndef TEST_HOST_FAKE_CORE_H
#define TEST_HOST_FAKE_CORE_H

#include "exos/service/priv.h"

#define FAKE_FRAMES     32768u
#define FAKE_SPACES     2048u
#define FAKE_SERVICE    1u /* its space */
#define FAKE_SUPERVISOR 2u /* its environment */
#define FAKE_SELF       3u /* the service's environment */

struct fake_env {
	uint32_t state, space, generation, reason;
	uint32_t wakes, upcalls;
	uint64_t time_ns;
};

struct fake {
	uint32_t frames;   /* that are held by anybody */
	uint32_t blocks;   /* of the heap */
	uint32_t mappings; /* pages of the arena */
	uint64_t requests, fail_at;
	uint64_t now;
	uint32_t bad;      /* things that the kernel would refuse */
	uint32_t stubborn; /* answers "again" so often before an environment goes */
	uint32_t names;
	struct fake_env env[4096];
};

extern struct fake fake;

void fake_reset(void);
uint8_t *fake_frame(uint32_t pfn);                /* its bytes */
uint32_t fake_held(uint32_t space, uint32_t pfn); /* rights */
uint32_t fake_take(uint32_t n); /* n consecutive frames held by the service; the first */

#endif
