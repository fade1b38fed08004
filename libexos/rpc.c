/* SPDX-License-Identifier: MIT */
/* What the stubs of rpc.S need in C: the handlers, errors, and whether there is AVX. */
#include <errno.h>
#include <stddef.h>

#include <exos/api.h>

/* As include/aegis/status.h numbers them. */
enum { BAD_CAP = -3, DENIED = -4, BUSY = -11, DEAD = -12, TIMED_OUT = -13 };

extern const char exos_lrpc_entry[], exos_tlrpc_entry[];
extern exos_handler *exos_lrpc_handler;
extern exos_thandler *exos_tlrpc_handler;
extern bool exos_avx;
int64_t exos_transfer_error(int64_t status);

exos_handler *exos_lrpc_handler;
exos_thandler *exos_tlrpc_handler;
bool exos_avx;

int64_t
exos_transfer_error(int64_t status)
{
	switch (status) {
	case BUSY:
		return -EAGAIN;
	case DEAD:
	case BAD_CAP:
		return -ESRCH;
	case DENIED:
		return -EPERM;
	case TIMED_OUT:
		return -ETIMEDOUT;
	default:
		return -EINVAL;
	}
}

__attribute__((constructor)) static void
avx_find(void)
{
	exos_avx = __builtin_cpu_supports("avx");
}

static int64_t
serve(const char *entry, void *stack_end)
{
	struct exos_serve s = {
		.size = sizeof(s), .entry = (uint64_t)entry, .stack = (uint64_t)stack_end};

	return exos_serve(&s);
}

int64_t
exos_serve_lrpc(exos_handler *handler, void *stack_end)
{
	exos_lrpc_handler = handler;
	return serve(exos_lrpc_entry, stack_end);
}

int64_t
exos_serve_tlrpc(exos_thandler *handler, void *stack_end)
{
	exos_tlrpc_handler = handler;
	return serve(exos_tlrpc_entry, stack_end);
}
