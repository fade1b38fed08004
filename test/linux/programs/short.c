/* SPDX-License-Identifier: MIT */
/*
 * Children that begin when there is memory, but none where their parent had its own: another process took the
 * frames nearby.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE   4096
#define ROUNDS 4
#define TAKE   (48ul << 20)
#define WRITE  32

static uint8_t written[WRITE * PAGE];

/* Takes memory for every byte that comes, and answers it. */
static void
hog(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1) {
		uint8_t *at = mmap(NULL, TAKE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);

		for (size_t i = 0; at != MAP_FAILED && i < TAKE; i += PAGE)
			at[i] = 1;
		if (at == MAP_FAILED || write(to, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* A child writes, and has a child that does. */
static int
child(int depth)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		for (int i = 0; i < WRITE; i++)
			written[i * PAGE] = 1;
		_exit(depth ? child(depth - 1) : 0);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

int
main(void)
{
	int ask[2], answer[2];
	char byte = 0;

	if (pipe(ask) || pipe(answer))
		return 2;
	if (!fork()) {
		close(ask[1]);
		hog(ask[0], answer[1]);
	}
	close(answer[1]);
	for (int round = 0; round < ROUNDS; round++) {
		int first = child(0), next;

		if (write(ask[1], &byte, 1) != 1 || read(answer[0], &byte, 1) != 1)
			printf("round %d: no memory\n", round);
		next = child(1);
		printf("round %d: %d %d\n", round, first, next);
	}
	return 0;
}
