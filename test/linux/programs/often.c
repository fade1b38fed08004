/* SPDX-License-Identifier: MIT */
/* One file opened often, by readers and writers, across fork, and closed in another order. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMES 200

static int fds[TIMES];

/* How many of the open ones read `text`. */
static int
readers(const char *text)
{
	int good = 0;
	char c;

	for (int i = 0; i < TIMES; i++) {
		if (fds[i] >= 0)
			good += pread(fds[i], &c, 1, 0) == 1 && c == *text;
	}
	return good;
}

int
main(void)
{
	int status, opened = 0, sizes = 0, out;
	struct stat st;

	setvbuf(stdout, NULL, _IONBF, 0);
	out = open("/tmp/often", O_RDWR | O_CREAT | O_TRUNC, 0600);
	(void)!write(out, "a", 1);
	for (int i = 0; i < TIMES; i++) {
		fds[i] = open("/tmp/often", i % 3 ? O_RDONLY : O_RDWR);
		opened += fds[i] >= 0;
	}
	printf("opened %d, read %d\n", opened, readers("a"));
	for (int i = 0; i < TIMES; i += 2) {
		close(fds[i]);
		fds[i] = -1;
	}
	(void)!pwrite(out, "bcd", 3, 0);
	printf("half of them: %d\n", readers("b"));
	if (!fork()) {
		for (int i = 1; i < TIMES / 2; i += 2) {
			close(fds[i]);
			fds[i] = -1;
		}
		(void)!pwrite(fds[TIMES - 1 - TIMES % 2], "x", 1, 0);
		printf("child: %d\n", readers(pwrite(out, "e", 1, 0) == 1 ? "e" : ""));
		_exit(0);
	}
	wait(&status);
	for (int i = 1; i < TIMES; i += 2)
		sizes += !fstat(fds[i], &st) && st.st_size == 3;
	printf("after it: %d, sizes %d\n", readers("e"), sizes);
	for (int i = 1; i < TIMES - 2; i += 2) {
		close(fds[i]);
		fds[i] = -1;
	}
	printf("the last: %d\n", readers("e"));
	unlink("/tmp/often");
	printf("without name: %d\n", readers("e"));
	return 0;
}
