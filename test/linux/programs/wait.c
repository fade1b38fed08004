/* SPDX-License-Identifier: MIT */
/* Of several children that have ended, the oldest is told about first, whichever ended first; waitid. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 5

int
main(void)
{
	int gate[CHILDREN][2], status;
	pid_t pid[CHILDREN];
	siginfo_t info;
	char c;

	for (int i = 0; i < CHILDREN; i++) {
		if (pipe(gate[i]))
			return 1;
		pid[i] = fork();
		if (pid[i] == 0) {
			close(gate[i][1]);
			_exit(read(gate[i][0], &c, 1) == 1 ? 10 + i : 1);
		}
		close(gate[i][0]);
	}
	/* They end one after the other, the youngest first; none is taken away yet. */
	for (int i = CHILDREN - 1; i >= 0; i--) {
		if (write(gate[i][1], "x", 1) != 1)
			return 2;
		if (waitid(P_PID, (id_t)pid[i], &info, WEXITED | WNOWAIT) || info.si_pid != pid[i])
			return 3;
	}
	for (int i = 0; i < CHILDREN; i++) {
		pid_t who = wait(&status);

		printf("%d: own %d status %d\n", i, who == pid[i], WEXITSTATUS(status));
	}
	if (waitid(P_ALL, 0, &info, WEXITED) == 0 || waitid(P_ALL, 0, &info, 0) == 0)
		return 4;
	if (pipe(gate[0]))
		return 1;
	pid[0] = fork();
	if (pid[0] == 0) {
		raise(SIGSTOP);
		if (read(gate[0][0], &c, 1) == 1)
			raise(SIGKILL);
	}
	for (int i = 0; i < 3; i++) {
		if (waitid(P_PID, (id_t)pid[0], &info, WEXITED | WSTOPPED | WCONTINUED))
			return 5;
		printf("own %d code %d status %d signal %d\n", info.si_pid == pid[0], info.si_code,
		       info.si_status, info.si_signo);
		if (i == 0)
			kill(pid[0], SIGCONT);
		if (i == 1 && write(gate[0][1], "x", 1) != 1)
			return 2;
	}
	return 0;
}
