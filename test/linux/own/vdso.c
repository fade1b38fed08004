/* SPDX-License-Identifier: MIT */
/* What the vDSO offers: the library's own calls by name, and clocks that make no call. */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <exos/api.h>

int
main(void)
{
	struct exos_self self = {.size = sizeof(self)}, part = {.size = 8};
	struct timespec a, b;

	if (!exos_here()) {
		printf("not here %d\n", exos_version() == -ENOSYS && exos_self(&self) == -ENOSYS);
		return 0;
	}
	printf("version %d\n", exos_version() == EXOS_API_VERSION);
	printf("self %d\n", exos_self(&self) == 0 && self.pid == (uint32_t)getpid() && self.env);
	printf("older and smaller %d\n",
	       exos_self(&part) == 0 && part.size == 8 && part.env == self.env && !part.space);
	self.size = 3;
	printf("too small %d\n", exos_self(&self) == -EINVAL);
	printf("nowhere %d\n", exos_self((struct exos_self *)8) == -EFAULT);
	for (int i = 0; i < 1000; i++)
		clock_gettime(CLOCK_MONOTONIC, &a);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("clock goes on %d\n",
	       b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
	return 0;
}
