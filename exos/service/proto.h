/* SPDX-License-Identifier: MIT */
/*
 * Calls of the domain's service: the protected methods of the state that all processes share.
 *
 * A process enters it by synchronous protected control transfer.  The message is registers: operation
 * and five words in, result and five words out; strings and records go through the caller's EXOS_MSG
 * pages, which the service has mapped too and reads as untrusted input.  The kernel says who calls.
 * The service never blocks: what is not there answers -EAGAIN, and the caller waits on its event
 * count, having been noted as a waiter where the operation says so.
 */
#ifndef EXOS_SERVICE_PROTO_H
#define EXOS_SERVICE_PROTO_H

#include <stdint.h>
#include "../exos.h"

struct svc {
	int64_t op; /* in: enum svc_op; out: result >= 0, or a negative error number */
	uint64_t a, b, c, d, e;
};

/* Process role: makes the call; answers s->op. */
int64_t svc_call(struct svc *s);

/*
 * Paths: bytes at MSG offset 0 (second path: offset 4096), lengths in registers, not terminated.
 * `dir` is the object id of an open directory, or SVC_CWD.  Objects (`obj`) are open file
 * descriptions: numbers of the service, valid for processes that hold them.
 */
#define SVC_CWD   0xffffffffu
#define SVC_PATH2 4096u

/* How pages of a file are wanted. */
#define SVC_MAP_READ  0u
#define SVC_MAP_GROW  1u /* for writing, also past the end: the caller will say SVC_EXTEND */
#define SVC_MAP_WRITE 2u /* for writing, up to the end */
#define SVC_MAP_FILL  3u /* for reading, and no holes: others may write there */

enum svc_op {
	SVC_NONE,
	/* ---- files ---- */
	SVC_OPEN, /* a=dir b=path length c=open flags (Linux) d=mode (umask applied) e=object to close
			   before, 0: none; out: struct svc_opened at MSG; result obj */
	SVC_CLOSE,    /* a=obj: this process has no descriptor for it any more */
	SVC_STAT,     /* a=dir b=length (0: the object itself) c=AT_ flags; struct fs_stat at MSG */
	SVC_MAP,      /* a=obj b=first page c=count (<= 1024) d=SVC_MAP_*; result: pages answered;
			   uint32_t pfn[] at MSG, 0 = hole (read as zeros); holdings are given to the
			   caller READ, or READ|WRITE for writing */
	SVC_EXTEND,   /* a=obj b=start c=end: about to write there; size becomes at least c */
	SVC_TRUNCATE, /* a=dir b=length (0: obj) c=size */
	SVC_GETDENTS, /* a=obj b=buffer size (<= SVC_MSG_BYTES); records at MSG; result bytes */
	SVC_SEEKDIR,  /* a=obj b=cookie; result the cookie before (b = UINT64_MAX: only ask) */
	SVC_MKDIR,    /* a=dir b=length c=mode */
	SVC_MKNOD,    /* a=dir b=length c=mode d=rdev */
	SVC_UNLINK,   /* a=dir b=length c=AT_REMOVEDIR or 0 */
	SVC_RENAME,   /* a=dir b=length c=dir2 d=length2 e=flags */
	SVC_LINK,     /* a=dir b=length c=dir2 d=length2 e=AT_ flags */
	SVC_SYMLINK,  /* a=target length (MSG 0) b=dir c=path length (MSG SVC_PATH2) */
	SVC_READLINK, /* a=dir b=length; bytes at MSG; result length */
	SVC_CHMOD,    /* a=dir b=length (0: obj) c=mode */
	SVC_CHOWN,    /* a=dir b=length c=uid d=gid e=AT_ flags */
	SVC_UTIMENS,  /* a=dir b=length c=atime ns d=mtime ns (FS_TIME_NOW/OMIT) e=AT_ flags */
	SVC_ACCESS,   /* a=dir b=length c=mode bits d=AT_ flags */
	SVC_CHDIR,    /* a=dir b=length (0: the object) */
	SVC_GETCWD,   /* bytes with NUL at MSG; result length with NUL */
	SVC_STATFS,   /* a=dir b=length (0: obj); struct fs_statfs figures at MSG */
	SVC_SYNTH_READ, /* a=obj b=offset c=count (<= SVC_MSG_BYTES): content of a generated file; bytes at MSG */
	SVC_SYNTH_WRITE, /* a=obj b=offset c=count; bytes at MSG */
	/* ---- pipes ---- */
	SVC_PIPE, /* c=O_ flags; result read obj, a = write obj; struct svc_opened[2] at MSG */
	/* ---- processes ---- */
	SVC_FORK, /* a=flags SVC_FORK_*; result pid; a=env b=space c=processor of the child, which has image,
			   environment page, system page, mail and message pages bound; caller does the
			   rest and then SVC_START */
	SVC_START,   /* a=pid: the child is complete (env_write done): run it */
	SVC_ABANDON, /* a=pid: the child could not be made */
	SVC_DETACH, /* a child that was lent the caller's environment wants its own: as SVC_FORK; -ENXIO:
			what it uses is its own now, its parent is gone */
	SVC_DETACHED, /* a=1: that environment is complete: run it, the caller is the parent again; 0: it
			could not be made */
	SVC_EXEC, /* a=path length of the program b=argument text length (MSG SVC_PATH2, NULs between):
			   for /proc; releases a vfork parent */
	SVC_VFORK_DONE, /* a=pid of a vfork child: 0 it still uses the parent's time, the caller is noted
			   and waits; 1 it has called exec or is gone */
	SVC_EXIT,       /* a=wait status; does not return */
	SVC_WAIT, /* a=pid argument of wait4 b=options; result pid or 0 (children, none ready: caller is
			   noted, waits) or -ECHILD; a=status b=utime ns c=stime ns d=uid */
	SVC_KILL,    /* a=pid as kill(2) b=signal c=si_code, 0 or below d=value; result 0 */
	SVC_SETPGID, /* a=pid b=pgid */
	SVC_GETPGID, /* a=pid (0 self) */
	SVC_SETSID,  /* */
	SVC_GETSID,  /* a=pid */
	SVC_STOPPED, /* a=signal: the caller stops until SIGCONT; parent is told; -EAGAIN: that came already */
	SVC_SETIDS, /* a=which (SVC_UID, SVC_GID, SVC_GROUPS) b=real c=effective d=saved (-1 keep) */
	SVC_GETIDS, /* a = ruid|euid<<32 b = suid|rgid<<32 c = egid|sgid<<32; groups at MSG, d count */
	SVC_UMASK, /* a=mask; result old: kept by the service for /proc only */
	SVC_LIST, /* number of processes, free memory ... for sysinfo: a=procs b=free c=total pages */
	SVC_TIMES, /* a=children user ns b=children system ns */
	SVC_PEER,  /* a=pid: the right to call it, into EXOS_CAP_PEER; result its environment */
	SVC_ASK,   /* a=frames b=TSC deadline: the kernel asks the caller for them */
	SVC_SPAN, /* a=span of AEGIS_HOLD_SPAN frames: its holdings page, for a caller without frames */
	SVC_ALARM, /* a=monotonic ns at which the caller is to get an upcall, 0: none */
	/* ---- terminals and the host ---- */
	SVC_TTY_READ,  /* a=obj b=count; bytes at MSG; -EAGAIN: noted as a waiter */
	SVC_TTY_WRITE, /* a=obj b=count; bytes at MSG; result count taken; -EAGAIN: noted */
	SVC_TTY_IOCTL, /* a=obj b=request c=argument word; in and out record at MSG (256 bytes) */
	SVC_TTY_POLL,  /* a=obj; result POLLIN.. bits; noted as a waiter */
	SVC_LOG,       /* a=length (<= 1000): a line for the log, at MSG */
	SVC_KICK,      /* a=obj: a ring of the host needs the supervisor's attention */
	/* ---- first process ---- */
	SVC_FIRST, /* struct svc_first at MSG */
	/* ---- text pages with rewritten sites ---- */
	SVC_TEXT, /* a=obj b=first page c=count: as SVC_MAP, for execution: patched where the service
			   has patched; d = frame of the stub page or 0 */
	SVC_PATCH, /* a=obj b=file offset of the site c=rax d=text base address e=stub address: result 1
			   patched: a=page index b=frame, c=stub frame; 0 refused */
	/* ---- advisory locks ---- */
	SVC_LOCK, /* a=obj b=SVC_LOCK_* c=first byte d=last byte; 0, or -EAGAIN: another's is in the way (with
			   WAIT the caller is noted), -EDEADLK, -ENOLCK.  ASK: 1 if one is in the way: a=1 exclusive
			   b=first c=last byte d=pid, UINT64_MAX no process */
	/* ---- from the supervisor only ---- */
	SVC_HOST_INPUT,   /* stream 0 got data or ended */
	SVC_HOST_ROOM,    /* terminal output ring has room */
	SVC_HOST_WINSIZE, /* a=rows b=cols c=xpixel d=ypixel */
	SVC_HOST_SIGNAL,  /* a=signal for the first process group */
	SVC_HOST_CLOSE,   /* a=stream b=error: nobody takes it any more */
	SVC_OPS
};

/*
 * The message pages hold so much of an argument or answer; behind it a process says how big it is, for /proc,
 * and which pages it wrote since it was forked, for its parent's next fork: nothing rests on either.
 */
#define SVC_MSG_BYTES (EXOS_MSG_PAGES * 4096u - 1152u)
#define SVC_HOT       4u
struct svc_sizes {
	uint64_t virtual, resident; /* bytes; pages */
	uint64_t hot[SVC_HOT];      /* addresses; 0: none */
};

/*
 * And which objects it has closed as far as the program goes (exos/fd/park.c).  Who exchanges a number for 0 has
 * the object: the process, or the service, which then closes it.  A number that is no object of the process is
 * nothing to the service.
 */
#define SVC_PARKED 8u
/* And, for /proc, which objects its first descriptors stand for: those whose bit is set in `open`. */
#define SVC_FDS 256u
/* And how many of mail->queue it has taken, and which news of its children it wants. */
#define SVC_CHILD_NO_STOPS 1u /* not that they stop or continue */
#define SVC_CHILD_NO_WAIT  2u /* nobody will wait for them: when they end they are gone */
struct svc_tail {
	struct svc_sizes sizes;
	uint32_t queue_taken, children;
	uint32_t parked[SVC_PARKED];
	uint64_t open[SVC_FDS / 64];
	uint32_t object[SVC_FDS];
};
_Static_assert(SVC_MSG_BYTES + sizeof(struct svc_tail) <= EXOS_MSG_PAGES * 4096u,
	       "behind the messages");
#define SVC_TAIL(msg) ((struct svc_tail *)((uintptr_t)(msg) + SVC_MSG_BYTES))

#define SVC_FORK_VFORK (1u << 0) /* the parent waits until the child calls exec or ends */
/*
 * And lends it environment, space and message pages until then: the caller is the child from the answer
 * on, its mail page is the child's.  When the child ends, or has an environment of its own (SVC_DETACH,
 * SVC_DETACHED), the caller is the parent again.
 */
#define SVC_FORK_LEND (1u << 1)

/* SVC_SETIDS: which */
#define SVC_UID    0u
#define SVC_GID    1u
#define SVC_GROUPS 2u

#define SVC_LOCK_WRITE   (1u << 0) /* exclusive */
#define SVC_LOCK_UNLOCK  (1u << 1)
#define SVC_LOCK_ASK     (1u << 2)
#define SVC_LOCK_WAIT    (1u << 3)
#define SVC_LOCK_FILE    (1u << 4) /* flock's */
#define SVC_LOCK_PROCESS (1u << 5) /* of the process, not of the object */
#define SVC_LOCK_CANCEL  (1u << 6) /* the caller waits no more */
#define SVC_LOCK_FLAGS   (1u << 7)

enum svc_type {
	SVC_T_FILE,
	SVC_T_DIR,
	SVC_T_PIPE_READ,
	SVC_T_PIPE_WRITE,
	SVC_T_TTY,
	SVC_T_NULL,
	SVC_T_ZERO,
	SVC_T_FULL,
	SVC_T_RANDOM,
	SVC_T_SYNTH,
	SVC_T_PATH
};

/* What a process learns about an object it opened. */
struct svc_opened {
	uint32_t obj;
	uint32_t type;  /* enum svc_type */
	uint32_t flags; /* Linux open flags that matter later: access mode, O_APPEND, O_NONBLOCK */
	/* files: frame of struct svc_file_info, held READ (READ|WRITE if writable) */
	uint32_t info_frame;
	uint64_t ino;
	/* pipes: data pages; frames below: header, then data, held READ|WRITE */
	uint32_t ring_pages;
	uint32_t host; /* pipes: 1 = the other end is the host */
	uint32_t frames[17];
	uint32_t steady; /* 1: the name leads there as long as mail->names does not change */
};

/* Shared by those who have the file open; one frame an inode while it is open. Untrusted. */
struct svc_file_info {
	uint64_t size; /* grows by writers; SVC_TRUNCATE and SVC_EXTEND too */
	uint64_t mtime, atime, ctime;
	uint32_t layout; /* counts truncations: pages mapped before may be gone */
	uint32_t mode, uid, gid, nlink;
	uint64_t ino, dev, rdev;
};

#define MAIL_SIGNALS  65
#define MAIL_REALTIME 32  /* signals from here on are queued, */
#define MAIL_QUEUE    32u /* and that many of them wait to be taken */
struct mail_signal {
	int32_t signal, code, pid;
	uint32_t uid;
	uint64_t value;
};

/* EXOS_MAIL of a process: written by the service only. */
struct mail {
	uint32_t pid, ppid, pgid, sid;
	uint32_t service_env;
	uint32_t uid, euid, gid, egid;
	uint32_t umask;
	uint32_t raised_count; /* changes with every signal */
	/* Changes whenever what a name leads this process to may have: a name goes or moves, a mode or owner is
	 * changed, the process goes elsewhere or becomes another user's. */
	uint64_t names;
	uint8_t raised[MAIL_SIGNALS]; /* counts, modulo 256 */
	uint8_t stop_last; /* 1: of SIGCONT and the signals that stop, one of these was raised last */
	uint8_t reserved[6];
	struct {
		int32_t code, pid;
		uint32_t uid, pad;
		uint64_t value; /* status of a child, or what sigqueue sent */
	} info[MAIL_SIGNALS];   /* of the latest of each signal */
	char hostname[65];
	struct mail_signal queue[MAIL_QUEUE]; /* in the order in which they came */
	uint32_t queue_count;  /* modulo 2^32; what is behind svc_tail's is to be taken */
	uint64_t hot[SVC_HOT]; /* what the last child to exec or end said */
};
_Static_assert(sizeof(struct mail) <= 4096, "one page");

/* What the first process is to run. */
struct svc_first {
	uint32_t path, cwd;  /* offsets of strings from the start of this struct */
	uint32_t argc, argv; /* argv: offset of argc strings one after another */
	uint32_t envc, envp;
	uint32_t fds[3];      /* objects of descriptors 0, 1, 2; UINT32_MAX closed */
	uint32_t opened[3];   /* offsets of their struct svc_opened */
	uint32_t keys;        /* 1: use protection keys */
	uint32_t count_calls; /* 1: log how often each call was made (option.counters) */
};

/* EXOS_MAIL of a service: written by the supervisor before it starts and afterwards. */
struct host_page {
	uint32_t domain; /* number in manifest and channel */
	uint32_t supervisor_env;
	uint32_t archive_frame;
	uint32_t manifest_frame,
		manifest_offset; /* the frame's first byte + offset is the manifest */
	uint32_t manifest_bytes;
	uint64_t archive_bytes;
	uint32_t image_frame, image_pages; /* ExOS image */
	struct {
		uint32_t kind;  /* enum host_stream */
		uint32_t pages; /* data pages of the ring */
		uint32_t frames[17];
	} stream[4]; /* 0 input, 1, 2 outputs, 3 terminal output; shared READ|WRITE */
	/* written by the service: */
	uint32_t ended; /* 1: the first process is gone and its output is in the rings */
	uint32_t exit_kind, exit_value; /* as CHANNEL_EXIT */
};
_Static_assert(sizeof(struct host_page) <= 4096, "one page");

enum host_stream { HOST_CLOSED, HOST_NULL, HOST_PIPE, HOST_TTY, HOST_SAME /* as stream 1 */ };

#endif
