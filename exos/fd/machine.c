/* SPDX-License-Identifier: MIT */
/*
 * What the descriptor layer asks of the kernel and the processor directly: whether an environment
 * has ended, and random bits.
 *
 * Owns nothing.  A wake is the only thing that a process may do to any other of its domain; the
 * answer tells.  To one that exists it is a spurious event, which everybody who sleeps must expect.
 */
#define AEGIS_STUBS
#include "exos/fd/priv.h"
#include "exos/proc/process.h"

#include <cpuid.h>

#define RDRAND_TRIES 10

bool
env_gone(uint32_t env)
{
	int64_t status;

	if (!env || env >= AEGIS_ENVS)
		return true;
	status = aegis_wake(EXOS_CAP_DOMAIN, env, 0);
	return status == AEGIS_DEAD || status == AEGIS_NO_SUCH || status == AEGIS_DENIED;
}

/* RDRAND, where the processor has it (Intel SDM volume 1, section 7.3.17). */
bool
random_hardware(uint64_t *out)
{
	uint32_t a, b, c, d;
	uint8_t good;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_RDRND))
		return false;
	for (int i = 0; i < RDRAND_TRIES; i++) {
		__asm__ volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(good) : : "cc");
		if (good)
			return true;
	}
	return false;
}

static bool
signal_ignored(int sig)
{
	const struct signals *s = &process()->sig;

	return s->action[sig].handler == LX_SIG_IGN || (s->mask & LX_SIGBIT(sig));
}

uint64_t
tty_signals_ignored(void)
{
	return (uint64_t)signal_ignored(LX_SIGTTIN) | (uint64_t)signal_ignored(LX_SIGTTOU) << 1;
}
