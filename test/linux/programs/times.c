/* SPDX-License-Identifier: MIT */
/* Times of a file that is open: set back by descriptor and by name, kept over a close, changed by a write. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME "/tmp/times"

static int fd;

static void
show(const char *what)
{
	struct stat st, by;

	fstat(fd, &st);
	stat(NAME, &by);
	printf("%s: %ld %ld", what, (long)st.st_atime, (long)st.st_mtime);
	printf(" %d\n", by.st_mtime == st.st_mtime && by.st_atime == st.st_atime);
}

int
main(void)
{
	struct timespec back[2] = {{1000, 0}, {2000, 0}}, only[2] = {{0, UTIME_OMIT}, {3000, 0}};
	struct stat st;
	time_t now = time(NULL);

	unlink(NAME);
	fd = open(NAME, O_RDWR | O_CREAT, 0644);
	futimens(fd, back);
	show("back");
	utimensat(AT_FDCWD, NAME, only, 0);
	show("forward, by name");
	futimens(fd, back);
	close(fd);
	stat(NAME, &st);
	printf("closed: %ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
	fd = open(NAME, O_RDWR);
	show("opened");
	if (write(fd, "x", 1) != 1)
		return 1;
	fstat(fd, &st);
	printf("written: %d\n", st.st_mtime >= now);
	futimens(fd, back);
	show("and back");
	close(fd);
	unlink(NAME);
	return 0;
}
