/* SPDX-License-Identifier: MIT */
/*
 * A terminal: line discipline, output processing, job control.
 *
 * struct tty is one terminal between a host that types and displays and the programs of a domain.
 * It lives in the domain's service, which calls these functions on behalf of clients that it has
 * identified; nothing a client sends is trusted. The functions are pure: no clock, no waiting, no
 * delivery of signals, no memory beyond the struct. They say what is to be waited for and which
 * signals are due; the caller does it. One caller at a time per terminal.
 *
 * Positions in the rings are free-running 32-bit counters.
 * 1. in_head - in_tail <= TTY_IN_SIZE.
 * 2. In canonical mode in_tail <= in_line <= in_head; bytes before in_line belong to finished
 *    lines, the last of them, if any, is marked. A mark ends a line; a marked null byte is an end
 *    of file and is not read. Outside canonical mode nothing is marked and in_line says nothing.
 * 3. out_head - out_tail <= TTY_OUT_SIZE; programs leave TTY_OUT_ECHO bytes of it to echoes, so
 *    that a program that floods the terminal cannot hide what is typed.
 * 4. foreground is 0 unless session is set.
 *
 * A hangup takes the terminal from everyone who holds it: reads end, writes and controls fail.
 */
#ifndef EXOS_TTY_TTY_H
#define EXOS_TTY_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exos/linux/abi_tty.h"

#define TTY_IN_SIZE  4096u
#define TTY_OUT_SIZE 16384u
#define TTY_OUT_ECHO 4096u

/* With this little room left a host that obeys stop characters is asked to stop (IXOFF). */
#define TTY_IN_LOW 128u

struct tty {
	struct lx_termios2 termios;
	struct lx_winsize winsize;
	uint32_t in_head;
	uint32_t in_line;
	uint32_t in_tail;
	uint32_t out_head;
	uint32_t out_tail;
	uint32_t column;      /* where the cursor is, for tabs */
	uint32_t line_column; /* where the line being typed began */
	uint32_t stop_column; /* both as they were when output was stopped */
	uint32_t stop_line_column;
	int32_t session;      /* whose controlling terminal it is, 0: nobody's */
	int32_t foreground;   /* process group, 0: none */
	uint8_t urgent;       /* start or stop character to send before all else, 0: none */
	bool stopped;         /* output is stopped */
	bool stopped_by_call; /* ... by TCXONC: only TCXONC starts it */
	bool literal;         /* the next byte is taken literally */
	bool erasing;         /* between '\' and '/' of ECHOPRT */
	bool asked_to_stop;   /* the host was sent a stop character */
	bool hung_up;
	uint64_t special[4]; /* bytes that need more than storing and echoing */
	uint64_t mark[TTY_IN_SIZE / 64];
	uint8_t in[TTY_IN_SIZE];
	uint8_t out[TTY_OUT_SIZE];
};

/*
 * Signals that an operation makes due, as sets (bit n-1 is signal n). The groups are those at the
 * time of the operation. All zero: none.
 */
struct tty_signals {
	int32_t pgrp;      /* the foreground group */
	int32_t session;   /* whose leader is meant by `leader` */
	uint64_t to_pgrp;  /* to every member of pgrp */
	uint64_t leader;   /* to the leader of session */
	uint64_t caller;   /* to the caller's process group */
	bool session_lost; /* members of session have no controlling terminal any more */
	bool caller_lost;  /* the caller has no controlling terminal any more */
};

/* What the service knows about the process that asks. */
struct tty_caller {
	int32_t pgrp;
	int32_t session;
	bool is_leader;    /* of its session */
	bool controls;     /* this terminal is its controlling terminal */
	bool has_terminal; /* it has some controlling terminal */
	bool orphaned;     /* its process group is orphaned */
	bool ttin_ignored; /* SIGTTIN is ignored or blocked */
	bool ttou_ignored; /* SIGTTOU is ignored or blocked */
	bool privileged;
};

/* The defaults of a Linux terminal: canonical, echoing, UTF-8, 38400 baud. */
void tty_init(struct tty *tty, uint16_t rows, uint16_t cols);

/* Whether every invariant holds. */
bool tty_check(const struct tty *tty);

/*
 * The host typed n bytes. Returns how many were taken: fewer than n when the input ring is full
 * until a program reads; offer the rest again then. Echoes go to the output ring, so look at both
 * sides afterwards. Signals are added to *signals.
 */
size_t tty_input(struct tty *tty, const uint8_t *bytes, size_t n, struct tty_signals *signals);

/*
 * A program writes n bytes. Returns how many were taken, 0 when output is stopped or the ring is
 * short (wait for TTY_POLL_OUT, or -EAGAIN if it must not block), or -EIO after a hangup. Check
 * tty_job_write first.
 */
int64_t tty_write(struct tty *tty, const uint8_t *bytes, size_t n);

/* Moves up to n bytes of output to the host. */
size_t tty_output_take(struct tty *tty, uint8_t *buf, size_t n);
/* How many bytes tty_output_take would move now. */
size_t tty_output_ready(const struct tty *tty);

/*
 * One read, which may take several steps. Set done = 0, deadline = 0 and nonblock before the
 * first; pass the same object to the next step.
 */
struct tty_read {
	uint64_t now;      /* nanoseconds, any monotonic clock; set before each step */
	uint64_t deadline; /* out, with TTY_WAIT: step again then; 0: no deadline */
	size_t done;       /* bytes that earlier steps delivered */
	size_t need;       /* out, with TTY_WAIT: bytes that would finish it */
	bool nonblock;
};

/* A step did not finish: wait until the terminal is readable or the deadline, then step again. */
#define TTY_WAIT INT64_MIN

/*
 * Moves up to n more bytes to buf: buf points behind the done bytes of earlier steps and n counts
 * without them. Returns the total of all steps (0: end of file, hangup, or time is up), -EAGAIN,
 * or TTY_WAIT. If a signal ends the wait the result is done, or -LX_ERESTARTSYS if that is 0. Check
 * tty_job_read first.
 */
int64_t tty_read(struct tty *tty, uint8_t *buf, size_t n, struct tty_read *step);

/* Bits of poll(2): LX_POLLIN and so on. */
uint32_t tty_poll(const struct tty *tty);

/* What FIONREAD answers. */
size_t tty_readable(const struct tty *tty);

/* Takes the terminal away: flushes, ends its session, and says who is to be told. */
void tty_hangup(struct tty *tty, struct tty_signals *signals);

/* The window's size changed, on the host or by TIOCSWINSZ. */
void tty_resize(struct tty *tty, const struct lx_winsize *size, struct tty_signals *signals);

/* Sets modes at once. Modes that need another side or hardware are not kept: see tty_ioctl.c. */
void tty_termios_set(struct tty *tty, const struct lx_termios2 *termios);

/* Drops unread input, or output not yet taken. */
void tty_flush_input(struct tty *tty);
void tty_flush_output(struct tty *tty);

/*
 * Job control. Each returns 0 to go on, -EIO, or -LX_ERESTARTSYS after adding the signal that stops
 * the caller's group: deliver it and restart the call. tty_job_write is free of charge unless
 * TOSTOP is set; tty_job_change is for calls that change the terminal.
 */
int tty_job_read(const struct tty *tty, const struct tty_caller *who, struct tty_signals *signals);
int tty_job_write(const struct tty *tty, const struct tty_caller *who, struct tty_signals *signals);
int tty_job_change(const struct tty *tty, const struct tty_caller *who,
		   struct tty_signals *signals);

/* Opened by a process: returns true if it became its session's controlling terminal. */
bool tty_job_open(struct tty *tty, const struct tty_caller *who, bool readable, bool noctty);

/* TIOCSCTTY: 0, or -EPERM. The session that lost the terminal, if any, is in *signals. */
int tty_job_acquire(struct tty *tty, const struct tty_caller *who, bool readable, bool steal,
		    struct tty_signals *signals);
/* TIOCNOTTY: 0 or -ENOTTY. */
int tty_job_release(struct tty *tty, const struct tty_caller *who, struct tty_signals *signals);
/* The leader of the terminal's session exits. */
void tty_job_leader_exit(struct tty *tty, struct tty_signals *signals);

/* TIOCGPGRP and TIOCGSID: -ENOTTY, or 0 and the number. */
int tty_job_pgrp_read(const struct tty *tty, const struct tty_caller *who, int32_t *pgrp);
int tty_job_session_read(const struct tty *tty, const struct tty_caller *who, int32_t *session);
/*
 * TIOCSPGRP. group_session is the session that pgrp belongs to, 0 if there is no such group.
 * Returns 0, -ENOTTY, -EINVAL, -ESRCH, -EPERM or -LX_ERESTARTSYS.
 */
int tty_job_pgrp_write(struct tty *tty, const struct tty_caller *who, int32_t pgrp,
		       int32_t group_session, struct tty_signals *signals);

/*
 * The size of the object that an ioctl's argument points to: tty_ioctl reads or fills that many
 * bytes. 0: the argument is a value, or the request is unknown.
 */
size_t tty_ioctl_size(uint32_t request);
bool tty_ioctl_reads(uint32_t request);  /* the object is input: copy it in before */
bool tty_ioctl_writes(uint32_t request); /* the object is output: copy it out after success */

/* What an ioctl needs beside the object. */
struct tty_ioctl {
	const struct tty_caller *who;
	uint64_t value;        /* the argument itself */
	int32_t group_session; /* for TIOCSPGRP, see tty_job_pgrp_write */
	bool readable;         /* the descriptor can read */
};

/*
 * Performs an ioctl. object holds tty_ioctl_size(request) bytes, aligned to 4. Returns 0, a
 * negated error (-ENOTTY for what terminals do not know), -LX_ERESTARTSYS, or TTY_WAIT: output has
 * to drain first, call again when tty_output_ready is 0 and output is not stopped.
 */
int64_t tty_ioctl(struct tty *tty, uint32_t request, const struct tty_ioctl *call, void *object,
		  struct tty_signals *signals);

#endif
