/* SPDX-License-Identifier: MIT */
/*
 * The shape of the domain's service.
 *
 * One struct service holds everything; it is passed to every function, so that the same source runs
 * in the service environment and in the host's tests.  Two callers exist, never at the same time:
 * the main loop, and service_dispatch for a transfer that came while the main loop slept.  Nothing
 * here blocks and nothing is locked.
 *
 * What the service is told by a process is untrusted: register words are checked in full width,
 * bytes of the message pages are copied before they are looked at, and words of shared pages
 * (rings, file information) are read once and believed only as far as their writer may set them.
 *
 * Invariants, which service_check asserts:
 *  1. An object's refs is the number of processes that hold it, and is not 0.
 *  2. A file's opens (writers) is the number of its objects (open for writing); a file exists while
 * it has objects, shares or patches and its inode lives.
 *  3. A ring's readers and writers are the numbers of its objects of either kind.
 *  4. Only processes that are not over hold objects, shares, a working directory, message pages.
 *  5. A process that is a zombie has a parent that is not over; pids are unique.
 */
#ifndef EXOS_SERVICE_PRIV_H
#define EXOS_SERVICE_PRIV_H

#include <aegis/env.h>
#include "exos/core/core.h"
#include "exos/fs/fs.h"
#include "exos/ipc/ring.h"
#include "exos/linux/abi_file.h"
#include "exos/linux/abi_proc.h"
#include "exos/linux/abi_signal.h"
#include "exos/linux/errno.h"
#include "exos/service/proto.h"
#include "exos/tty/tty.h"

#define PAGE           4096u
#define MSG_BYTES      SVC_MSG_BYTES
#define PROC_MAX       1024u /* processes, zombies included */
#define PID_MAX        32768u
#define HASH           256u
#define OBJ_MAX        8192u
#define OBJ_CHUNK      128u
#define OBJ_WORDS      (OBJ_MAX / 64)
#define OBJ_GEN_MAX    (1u << 18)
#define PIPE_PAGES     16u
#define EXOS_IMAGE_MAX 256u /* pages of the image: up to EXOS_AREA */
#define NAME_FIRST     8u   /* capability slots of users' names */
#define NAME_MAX_SLOT  64u
#define WINDOWS        8u
#define POOL           32u
#define SFILE_IDLE     128u /* files that nobody uses and that stay as they are */
#define SPARE_PAGES    8u   /* mail and message pages kept for the next process */
#ifndef EXOS_OS_RELEASE     /* what uname and /proc say */
#define EXOS_OS_RELEASE "6.1.0-exos"
#define EXOS_OS_VERSION "#1 SMP Aegis"
#endif
#ifndef EXOS_CAP_USER
#define EXOS_CAP_USER \
	3u /* process: the name under which it makes children, if not EXOS_CAP_OWN \
	    */
#endif
#ifndef SVC_UID /* SVC_SETIDS: which */
#define SVC_UID    0u
#define SVC_GID    1u
#define SVC_GROUPS 2u
#endif
#define CMDLINE_MAX (MSG_BYTES - SVC_PATH2)

/* Private pages below those of the core. */
#define SERVICE_PAGES 14u

struct service;
struct proc;
struct lock;
struct patch_file;

/* ---- objects: open file descriptions ---- */

/* The two ends of a ring, and the frames behind it. */
struct pipe {
	struct ring_shared *shared; /* the service's own mapping of the header */
	uint8_t *data;              /* host terminal rings only */
	uint32_t pages;
	uint32_t frames[17];
	uint32_t readers, writers;            /* objects */
	uint32_t read_holders, write_holders; /* processes that have one, or ended with one */
	struct sfile *file;                   /* fifos, and what has an inode of its own: */
	struct fs_inode *inode;               /* of a pipe that is opened by /proc, referenced */
	bool host; /* frames are the supervisor's, one end is the host; never freed */
};

/* A file that is open somewhere, mapped somewhere, patched, or was open lately. */
struct sfile {
	struct fs_inode *inode; /* not referenced: inode_gone comes first */
	uint32_t info_frame;    /* FS_NO_PFN: none (fifos) */
	struct svc_file_info *info;
	uint32_t opens, writers;
	struct share *shares;
	struct pipe *fifo;
	struct patch_file *patch;
	bool hole_told;                       /* somebody was told that a page is a hole */
	struct sfile *idle_next, **idle_link; /* of those nobody uses; link NULL: not one */
};

/* A process was given frames of a file, some time. */
struct share {
	struct sfile *file;
	struct proc *proc;
	struct share *file_next, **file_link;
	struct share *proc_next, **proc_link;
};

struct object {
	uint32_t refs; /* 0: free */
	uint32_t generation;
	uint32_t type;          /* enum svc_type */
	uint32_t flags;         /* Linux open flags */
	struct fs_inode *inode; /* referenced, or NULL */
	struct sfile *file;
	struct pipe *pipe;
	bool met;        /* fifo being opened: the other end was there meanwhile */
	bool read;       /* pipes: counts as a reader */
	bool write;      /* files, pipes: counts as a writer */
	uint64_t cookie; /* place in a directory */
};

/* ---- processes ---- */

enum proc_state {
	PROC_NEW, /* forked, not started */
	PROC_LIVE,
	PROC_ZOMBIE, /* over, not waited for */
	PROC_DEAD,   /* over, nobody will ask; goes when the kernel has let go of it */
};

struct name { /* a user's name for frames and environments */
	uint32_t uid;
	uint32_t refs;
};

/* Where a process runs. */
struct proc_place {
	uint32_t env, space, generation, env_frame;
};

struct proc {
	struct proc *next, **link; /* all */
	struct proc *pid_next, *env_next;
	struct proc *parent;
	uint32_t state;
	int32_t pid, pgid, sid;
	uint32_t cpu;
	union {
		struct proc_place place;
		struct {
			uint32_t env, space, generation, env_frame;
		};
	};
	uint32_t slot;                       /* of the name under which it was made */
	uint32_t child_slot;                 /* of the name under which it makes others */
	uint64_t alarm_ns;                   /* when it wants an upcall, 0: never */
	uint32_t own_slot;                   /* in its own table: capability for its children */
	uint32_t frames[1 + EXOS_MSG_PAGES]; /* mail, message pages */
	uint8_t *pages;                      /* the same as the service sees them */
	uint32_t pages_uid;                  /* whose messages are in them */
	struct mail *mail;
	uint8_t *msg;
	uint32_t ruid, suid, rgid, sgid; /* effective ones are in cred */
	struct fs_cred cred;
	uint32_t umask;
	struct fs_inode *cwd;
	uint64_t *held; /* bit set of object indices, OBJ_WORDS */
	uint32_t held_count;
	struct share *shares;
	uint32_t opening;    /* fifo object whose other end is awaited, or SVC_CWD */
	int32_t status;      /* wait status */
	int32_t stop_signal; /* 0: runs */
	bool stop_news, continue_news;
	bool execed;
	bool vfork; /* parent waits for exec or end */
	/* vfork: whose environment, space and message pages it uses, and who uses those of it. */
	struct proc *lender, *borrower;
	struct proc_place detached; /* its own, while it is being filled; env 0: none */
	const void *lock_wait;      /* what the lock that it waits for is about, or NULL */
	int32_t lock_blocker;       /* process whose lock is in the way, 0: an object's */
	bool tty_waits;
	struct tty_read tty_read;
	uint64_t time_ns;               /* at the end */
	uint64_t child_user, child_sys; /* of children waited for */
	uint64_t start_ns;
	char comm[LX_COMM_LEN];
	char *exe, *cmdline;
	uint32_t exe_len, cmdline_len;
};

/* ---- the whole ---- */

struct window {
	void *at;
	uint32_t pfn; /* FS_NO_PFN: free */
	uint32_t stamp;
};

struct service {
	struct host_page *host;
	struct fs *fs;
	struct fs_ops fs_ops;
	struct fs_synth_ops proc_ops;
	const uint8_t *archive;
	uint32_t archive_pages;
	const char *manifest;
	uint32_t manifest_bytes;
	/* processes */
	struct proc *all;
	struct proc *by_pid[HASH], *by_env[HASH];
	struct proc *first;
	uint64_t alarm_ns; /* earliest of all processes, UINT64_MAX: none */
	uint32_t proc_count;
	int32_t last_pid;
	struct name names[NAME_MAX_SLOT];
	bool ending, ended;
	/* what every space gets at birth */
	struct aegis_bind birth[EXOS_IMAGE_MAX + 8];
	uint32_t birth_count;
	/* mail and message pages that nobody uses now */
	struct proc_pages {
		uint8_t *at;
		uint32_t frames[1 + EXOS_MSG_PAGES], uid;
	} spare_pages[SPARE_PAGES];
	uint32_t spare_pages_count;
	/* objects */
	struct object *objects[OBJ_MAX / OBJ_CHUNK];
	uint32_t object_hint, object_count;
	struct lock *locks;
	uint32_t lock_count;
	struct sfile *idle, **idle_end; /* files that nobody uses, the one closed first first */
	uint32_t idle_count;
	/* frames */
	struct window windows[WINDOWS];
	uint32_t window_stamp;
	uint32_t pool[POOL], pool_count;
	uint32_t gone[POOL], gone_count;
	/* terminal and host streams */
	struct tty *tty;
	struct pipe *tty_in, *tty_out;
	struct pipe *stream[4];
	uint32_t first_fd[3];
	uint64_t calls[SVC_OPS], refused;
	char hostname[65];
	char proc_name[16];
	uint64_t forks;
	char path[2][FS_PATH_MAX];
	uint64_t bounce[MSG_BYTES / 8];
};
_Static_assert(sizeof(struct service) <= SERVICE_PAGES * PAGE, "private pages");

/* ---- kernel.c: the calls of the kernel that core.h does not have; replaced in host tests ---- */
int kern_process_alloc(uint32_t slot, struct proc *p, const uint32_t frames[6]);
int kern_env_end(uint32_t env);     /* 0 gone, 1 call again, negative: refused */
int kern_space_end(uint32_t space); /* the same */
int kern_env_read(uint32_t env, struct aegis_env_info *out); /* 0, or -ESRCH */
int kern_name_derive(uint32_t slot);
void kern_name_drop(uint32_t slot);
int kern_grant(uint32_t from, uint32_t env, uint32_t rights, uint32_t to);
/* The kernel asks `env` for frames (aegis/revoke.h).  0 or an error. */
int kern_ask(uint32_t env, uint32_t frames, uint64_t deadline);
void kern_start(uint32_t env);  /* first wake */
void kern_upcall(uint32_t env); /* wake with AEGIS_WAKE_UPCALL */
void kern_wake_host(uint32_t env);
void kern_wake_self(void);
uint32_t kern_env_self(void);
int kern_first_setup(struct proc *p);
uint64_t kern_site_entry(void); /* where rewritten sites enter the library; 0: nowhere */
uint32_t kern_cpu_choose(void);
void kern_memory_read(uint64_t *free_pages, uint64_t *total_pages);
uint32_t kern_cpus(void);
uint64_t kern_tsc_khz(void);
uint32_t kern_system_frame(void); /* FS_NO_PFN: unknown */
const void *kern_image(void);     /* the image as the service has it mapped, or NULL */

/* Rights of a user's name that its processes get: not to take it from others. */
#define RIGHTS_OWN                                                                          \
	(AEGIS_READ | AEGIS_WRITE | AEGIS_ALLOC | AEGIS_CONTROL | AEGIS_WAKE | AEGIS_CALL | \
	 AEGIS_GRANT | AEGIS_SLICE | AEGIS_DERIVE)

/* ---- start.c ---- */
int service_init(struct service *sv, struct host_page *host);
void service_work(struct service *sv); /* one round of the main loop */
struct manifest_cursor {
	size_t offset;
	const char *value;
	size_t length;
};
/* The next record with this key. */
bool manifest_each(struct service *sv, struct manifest_cursor *cursor, const char *key);
/* The first value of a key, cut to size, terminated. */
bool manifest_value(struct service *sv, const char *key, char *to, size_t size);

/* ---- service.c ---- */
void service_dispatch(struct service *sv, struct svc *s, uint32_t caller_env);
/* NULL, or what is wrong.  For tests. */
const char *service_check(struct service *sv);

/* ---- frame.c: frames behind the file system ---- */
void frame_init(struct service *sv);
void frame_ops(struct service *sv);
int frame_take(struct service *sv, uint32_t *pfn);
void frame_give(struct service *sv, uint32_t pfn);
void frame_flush(struct service *sv);
void *frame_window(struct service *sv, uint32_t pfn);
void *heap_zalloc(size_t size);

/* ---- file.c: files in use ---- */
/* The file of an inode, made if need be; NULL: no memory.  with_info: it has an info page. */
struct sfile *sfile_get(struct service *sv, struct fs_inode *inode, bool with_info);
struct sfile *sfile_find(const struct fs_inode *inode);
void sfile_put(struct service *sv, struct sfile *file); /* it may be in no use now */
bool sfile_used(const struct sfile *file);
bool sfile_idle_free(struct service *sv); /* what idle files keep; false: there are none */
void sfile_gone(void *ctx, struct fs_inode *inode);
void sfile_page_gone(void *ctx, struct fs_inode *inode, uint64_t index, uint32_t pfn,
		     enum fs_page_state was);
bool sfile_live(void *ctx, struct fs_inode *inode, struct fs_live *out);
void sfile_size_cut(void *ctx, struct fs_inode *inode, uint64_t size);
void sfile_times_set(void *ctx, struct fs_inode *inode, int64_t atime, int64_t mtime);
/* Writes what stat says into the info page, if there is one. */
void sfile_refresh(struct service *sv, struct fs_inode *inode);
int share_note(struct sfile *file, struct proc *p);
void share_drop_all(struct service *sv, struct proc *p);
int share_clone(const struct proc *from, struct proc *to);
int64_t op_map(struct service *sv, struct proc *p, struct svc *s);
int64_t op_extend(struct service *sv, struct proc *p, struct svc *s);

/* ---- object.c ---- */
/* A new object, held by p: its number, or -ENFILE, -ENOMEM. */
int64_t object_new(struct service *sv, struct proc *p, struct object **out);
struct object *object_find(struct service *sv, const struct proc *p, uint64_t id);
uint32_t object_id(struct service *sv, const struct object *o);
void object_drop(struct service *sv, struct proc *p, struct object *o);
void parked_close(struct service *sv, const struct sfile *file);
void object_drop_all(struct service *sv, struct proc *p);
void object_clone_all(struct service *sv, struct proc *from, struct proc *to);
/* Gives p the frames of o and fills *out. */
int object_show(struct service *sv, struct proc *p, struct object *o, struct svc_opened *out);
void object_describe(struct service *sv, const struct object *o, struct svc_opened *out);
int64_t op_open(struct service *sv, struct proc *p, struct svc *s);
int64_t op_close(struct service *sv, struct proc *p, struct svc *s);

/* ---- lock.c: advisory locks ---- */
int64_t op_lock(struct service *sv, struct proc *p, struct svc *s);
void lock_process_drop(struct service *sv, const struct proc *p, const struct object *o);
void lock_object_drop(struct service *sv, const struct object *o);
const char *lock_check(struct service *sv);

/* ---- path.c: names and metadata ---- */
int path_read(struct service *sv, struct proc *p, uint64_t offset, uint64_t length, char *to);
int path_start(struct service *sv, struct proc *p, uint64_t dir, struct fs_path *path);
int path_get(struct service *sv, struct proc *p, uint64_t dir, uint64_t length, uint32_t which,
	     struct fs_path *path);
int path_inode(struct service *sv, struct proc *p, uint64_t dir, uint64_t length, unsigned flags,
	       struct fs_inode **out);
int64_t path_absolute(struct service *sv, struct proc *p, char *to);
int64_t path_op(struct service *sv, struct proc *p, struct svc *s);

/* ---- pipe.c ---- */
struct pipe *pipe_new(void);
/* The ring of a host stream; with_data: the service itself reads or writes it. */
struct pipe *pipe_adopt(struct service *sv, uint32_t stream, bool with_data);
void pipe_opened(struct pipe *pipe, bool read, bool write);
void pipe_held(struct pipe *pipe, bool read, bool write,
	       int more); /* by more processes, or fewer */
void pipe_closed(struct service *sv, struct pipe *pipe, bool read, bool write); /* may free it */
void pipe_wake(struct pipe *pipe, bool readers, bool writers);
void host_kick(struct service *sv);
int64_t op_pipe(struct service *sv, struct proc *p, struct svc *s);
int64_t op_kick(struct service *sv, struct proc *p, struct svc *s);
int64_t op_host(struct service *sv, struct svc *s);
/* Opens a fifo: the object's number, or -EAGAIN: try again, -ENXIO ... */
/* What stat says about an object without an inode, which is a pipe's. */
void pipe_stat(struct service *sv, const struct object *o, const struct proc *p,
	       struct fs_stat *st);
int pipe_inode(struct service *sv, struct pipe *pipe, const struct fs_cred *cred,
	       struct fs_inode **out);
int64_t fifo_open(struct service *sv, struct proc *p, struct fs_inode *inode, uint32_t flags,
		  struct object **out);
void fifo_cancel(struct service *sv, struct proc *p);

/* ---- process.c: the table, birth ---- */
struct proc *proc_find(struct service *sv, int32_t pid);
struct proc *proc_by_env(struct service *sv, uint32_t env);
static inline bool
proc_over(const struct proc *p)
{
	return p->state == PROC_ZOMBIE || p->state == PROC_DEAD;
}
void proc_free(struct service *sv, struct proc *p);
void proc_unhash_env(struct service *sv, struct proc *p);
void proc_mail(struct service *sv, struct proc *p);
int64_t op_fork(struct service *sv, struct proc *p, struct svc *s);
int64_t op_start(struct service *sv, struct proc *p, struct svc *s);
int64_t op_vfork_done(struct service *sv, struct proc *p, struct svc *s);
int64_t op_abandon(struct service *sv, struct proc *p, struct svc *s);
/* Its mail and message pages are those of `space` at EXOS_MAIL and EXOS_MSG; or are not any more. */
int proc_pages_show(struct proc *p, uint32_t space);
void proc_pages_hide(const struct proc *p, uint32_t space);
void proc_pages_give(struct service *sv, struct proc *p); /* nobody sees them */
/* An environment and a space of its own, under the name of its slot. */
int proc_place_make(struct service *sv, struct proc *p);
void proc_hash_env(struct service *sv, struct proc *p);
/* With a place of its own, or that of its parent (lend). */
int proc_create(struct service *sv, struct proc *parent, bool lend, struct proc **out);

/* ---- lend.c: vfork ---- */
int64_t op_lend(struct service *sv, struct proc *p, struct svc *s);
int64_t op_detach(struct service *sv, struct proc *p, struct svc *s);
int64_t op_detached(struct service *sv, struct proc *p, struct svc *s);
/* p ends: what it was lent goes back, what it lent is the borrower's. */
void proc_unlend(struct service *sv, struct proc *p);
int64_t op_exec(struct service *sv, struct proc *p, struct svc *s);
void proc_hot_pass(const struct proc *p); /* to its parent: the pages that it wrote */
int proc_exec_note(struct proc *p, const char *exe, size_t exe_len, const char *args, size_t n);

/* ---- exit.c: end and wait ---- */
void proc_end(struct service *sv, struct proc *p, int32_t status);
void proc_discard(struct service *sv, struct proc *p);
bool proc_kernel_release(struct proc *p);
void proc_find_dead(struct service *sv);
void domain_finish(struct service *sv);
int64_t op_exit(struct service *sv, struct proc *p, struct svc *s);
int64_t op_wait(struct service *sv, struct proc *p, struct svc *s);
int64_t op_stopped(struct service *sv, struct proc *p, struct svc *s);
/* SIGCONT has come: who has stopped has not any more. */
void proc_continue(struct service *sv, struct proc *p);

/* ---- signal.c: signals, groups, sessions ---- */
bool signal_stops(int32_t signal);
void signal_raise(struct service *sv, struct proc *p, const struct mail_signal *sig);
void signal_group(struct service *sv, int32_t pgid, const struct mail_signal *sig);
bool group_exists(struct service *sv, int32_t pgid, int32_t *session);
/* leaving: counts as if it were gone, or NULL */
bool group_orphaned(struct service *sv, int32_t pgid, const struct proc *leaving);
int64_t op_peer(struct service *sv, struct proc *p, struct svc *s);
int64_t op_kill(struct service *sv, struct proc *p, struct svc *s);
int64_t op_group(struct service *sv, struct proc *p, struct svc *s);

/* ---- ids.c: credentials, figures ---- */
int64_t op_setids(struct service *sv, struct proc *p, struct svc *s);
int64_t op_getids(struct service *sv, struct proc *p, struct svc *s);
int64_t op_figures(struct service *sv, struct proc *p, struct svc *s);
uint32_t name_take(struct service *sv, uint32_t uid); /* slot, or 0 */
void name_give(struct service *sv, uint32_t slot);

/* ---- tty_service.c ---- */
int term_init(struct service *sv);
void term_pump(struct service *sv);
void term_leader_gone(struct service *sv, struct proc *p);
bool term_of(const struct service *sv, const struct proc *p); /* p has it as controlling terminal */
void term_opened(struct service *sv, struct proc *p, uint32_t flags);
void term_resize(struct service *sv, const struct svc *s);
int64_t op_tty(struct service *sv, struct proc *p, struct svc *s);

/* ---- proc_fs.c ---- */
int procfs_init(struct service *sv);

/* ---- patch.c ---- */
#define PATCH_GAP 0x10000u /* from the stub page to the program's lowest page */
int64_t op_text(struct service *sv, struct proc *p, struct svc *s);
int64_t op_patch(struct service *sv, struct proc *p, struct svc *s);
void patch_drop(struct service *sv, struct sfile *file);
/* A page changed: its patched copy is worth nothing now. */
void patch_page_gone(struct service *sv, struct sfile *file, uint64_t index);

#endif
