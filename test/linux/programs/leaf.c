/* SPDX-License-Identifier: MIT */
/*
 * read and write where the library has a short way, and around its edges: registers, positions shared and not,
 * ends of files, bad addresses, truncation between two reads; and names that are opened again and again while
 * they come to mean something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long wrong;

/* The call with every register that must stay holding something. */
static long
call3(long number, long fd, const void *at, long n)
{
	register long r8 __asm__("r8") = 8, r9 __asm__("r9") = 9, r10 __asm__("r10") = 10;
	long rax = number, rbx = 3, rdx = n, rsi = (long)at, rdi = fd;

	__asm__ volatile("stc; syscall; jc 1f; movl $0, %%ebx; 1:"
			 : "+a"(rax), "+b"(rbx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(r8),
			   "+r"(r9), "+r"(r10)::"rcx", "r11", "memory");
	wrong |= (rbx - 3) | (rdx - n) | (rsi - (long)at) | (rdi - fd) | (r8 - 8) | (r9 - 9) |
		 (r10 - 10);
	return rax;
}

static long
get(int fd, void *at, long n)
{
	return call3(SYS_read, fd, at, n);
}

static long
put(int fd, const void *at, long n)
{
	return call3(SYS_write, fd, at, n);
}

static void
bytes(void)
{
	int fd = open("/tmp/leaf", O_RDWR | O_CREAT | O_TRUNC, 0644), other, status;
	char text[200], *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long sum = 0;

	mprotect(edge + 4096, 4096, PROT_NONE);
	for (int i = 0; i < 100; i++) {
		char c = (char)i;

		sum += put(fd, &c, 1);
	}
	printf("written %ld, at %ld\n", sum, (long)lseek(fd, 0, SEEK_CUR));
	lseek(fd, 0, SEEK_SET);
	for (int n = 1; n < 20; n++) {
		memset(text, 0xee, sizeof(text));
		sum += get(fd, text, n) + text[0] + text[n - 1] + (text[n] == (char)0xee);
	}
	printf("sum %ld at %ld end %ld\n", sum, (long)lseek(fd, 0, SEEK_CUR), get(fd, text, 9));
	lseek(fd, 10, SEEK_SET);
	printf("edge %ld", get(fd, edge + 4090, 20));
	printf(" %ld", get(fd, edge + 4096, 20));
	printf(" %ld", put(fd, edge + 4096, 3));
	printf(" at %ld\n", (long)lseek(fd, 0, SEEK_CUR));
	if (fork() == 0) {
		get(fd, text, 7);
		_exit(text[6]);
	}
	wait(&status);
	printf("child %x, at %ld, %ld %d\n", status, (long)lseek(fd, 0, SEEK_CUR), get(fd, text, 2),
	       text[1]);
	fcntl(fd, F_SETFL, O_APPEND);
	put(fd, "end", 3);
	printf("append at %ld\n", (long)lseek(fd, 0, SEEK_CUR));
	other = open("/tmp/leaf", O_RDWR);
	printf("%ld", get(other, text, 5));
	ftruncate(fd, 8);
	printf(" %ld", get(other, text, 5));
	printf(" %ld\n", get(other, text, 5));
	close(other);
	other = open("/tmp/leaf", O_RDONLY);
	printf("%ld %ld %ld\n", put(other, "x", 1), get(99, text, 1), put(-1, text, 1));
	close(other);
	close(fd);
}

static void
devices(void)
{
	int null = open("/dev/null", O_RDWR), in = open("/dev/null", O_RDONLY),
	    zero = open("/dev/zero", O_RDWR);
	static char text[8] = "abcdefg"; /* low, so that 2 GiB behind it are the program's */
	long sum = 0;

	for (int i = 0; i < 50; i++)
		sum += put(null, text, i) + put(zero, text, 1) * 1000;
	printf("null %ld %ld", sum, put(null, text, 0x80000000));
	printf(" %ld %ld %ld", get(null, text, 3), put(in, text, 1), put(null, NULL, 0));
	printf(" %ld %d\n", get(zero, text, 4), text[0] + text[3] + text[4]);
}

/* What the first byte of a name's file is, or the error. */
static int
first(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	char c = 0;

	if (fd < 0)
		return -errno;
	if (read(fd, &c, 1) != 1)
		c = '-';
	close(fd);
	return c;
}

static void
make(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (write(fd, text, strlen(text)) != (long)strlen(text))
		printf("cannot write %s\n", name);
	close(fd);
}

static void
names(void)
{
	struct stat st;
	int status, fd;

	mkdir("/tmp/d", 0755);
	make("/tmp/d/a", "A");
	make("/tmp/d/b", "B");
	printf("%c%c", first("/tmp/d/a"), first("/tmp/d/a"));
	make("/tmp/d/a", "C");
	printf("%c", first("/tmp/d/a"));
	rename("/tmp/d/b", "/tmp/d/a");
	printf("%c", first("/tmp/d/a"));
	unlink("/tmp/d/a");
	printf(" %d", first("/tmp/d/a"));
	make("/tmp/d/a", "D");
	printf(" %c", first("/tmp/d/a"));
	fd = open("/tmp/d/a", O_RDONLY);
	if (fork() == 0) {
		status = first("/tmp/d/a");
		unlink("/tmp/d/a");
		make("/tmp/d/a", "E");
		_exit(status + first("/tmp/d/a") - 'D');
	}
	wait(&status);
	fstat(fd, &st);
	printf("%c%c links %ld\n", WEXITSTATUS(status), first("/tmp/d/a"), (long)st.st_nlink);
	close(fd);
}

static void
places(void)
{
	int status;

	rename("/tmp/d", "/tmp/e");
	printf("%d %c", first("/tmp/d/a"), first("/tmp/e/a"));
	chdir("/tmp/e");
	printf("%c", first("a"));
	mkdir("/tmp/e/sub", 0755);
	make("/tmp/e/sub/a", "F");
	chdir("sub");
	printf("%c", first("a"));
	unlink("/tmp/l");
	symlink("/tmp/e/a", "/tmp/l");
	printf("%c", first("/tmp/l"));
	unlink("/tmp/l");
	symlink("/tmp/e/sub/a", "/tmp/l");
	printf("%c", first("/tmp/l"));
	if (vfork() == 0) {
		/* Its own open and close while the memory is the parent's. */
		_exit(first("/tmp/l"));
	}
	wait(&status);
	printf("%c%c", WEXITSTATUS(status), first("/tmp/l"));
	if (fork() == 0) {
		first("/tmp/l");
		chmod("/tmp/e/sub", 0700);
		chmod("/tmp/e/sub/a", 0600);
		if (setgid(1) || setuid(1))
			_exit(1);
		_exit(-first("/tmp/l"));
	}
	wait(&status);
	printf(" %d\n", WEXITSTATUS(status));
	unlink("/tmp/e/sub/a");
	rmdir("/tmp/e/sub");
	unlink("/tmp/e/a");
	rmdir("/tmp/e");
	unlink("/tmp/l");
	unlink("/tmp/leaf");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	bytes();
	devices();
	names();
	places();
	printf("wrong %ld\n", wrong);
	return 0;
}
