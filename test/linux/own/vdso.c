/* SPDX-License-Identifier: MIT */
/* What the vDSO offers: the library's own calls by name, clocks that make no call, and nothing behind it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include <exos/api.h>

/* Whether the call refuses the byte at `at`, for a file and for a pipe. */
static int
refused(char *at, int reading)
{
	int fds[2], file = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC, 0600), bad = 0;

	if (file < 0 || pipe(fds) || write(fds[1], "x", 1) != 1 || pwrite(file, "x", 1, 0) != 1)
		return 0;
	if (reading) {
		bad += read(file, at, 1) == -1 && errno == EFAULT;
		bad += read(fds[0], at, 1) == -1 && errno == EFAULT;
	} else {
		bad += write(file, at, 1) == -1 && errno == EFAULT;
		bad += write(fds[1], at, 1) == -1 && errno == EFAULT;
	}
	bad += open(at, O_RDONLY) == -1 && errno == EFAULT;
	close(file);
	close(fds[0]);
	close(fds[1]);
	return bad == 3;
}

int
main(void)
{
	char *image = (char *)getauxval(AT_SYSINFO_EHDR);
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
	/* The library's own pages come 1 MiB behind its image, its windows on files before it. */
	for (int reading = 0; reading < 2; reading++) {
		printf("library's pages %d\n", refused(image + (1 << 20), reading));
		printf("library's windows %d\n", refused(image - (1 << 20), reading));
	}
	printf("image %d\n", write(open("/dev/null", O_WRONLY), image, 64) == 64);
	for (int i = 0; i < 1000; i++)
		clock_gettime(CLOCK_MONOTONIC, &a);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("clock goes on %d\n",
	       b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
	return 0;
}
