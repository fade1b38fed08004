/* SPDX-License-Identifier: MIT */
/*
 * The in-memory file system of a domain: names, metadata, and which page frame holds which page of
 * which file. It never reads or writes file data on the read and write paths; the service that
 * embeds it binds the frames into its clients.
 *
 * Contract. One struct fs per domain and no other state. One thread at a time. Every byte of heap
 * and every frame comes from struct fs_ops and is counted against struct fs_limits. Functions
 * return 0 or a count on success, and a negative number of exos/linux/errno.h on failure; a failed
 * call changes no name, link count, size, mode or owner. Besides the errors each function lists,
 * any may return -ENOMEM  the heap had no memory          -ENOSPC  a limit was reached, or no frame
 * was to be had and any that takes a path -ENOENT -ENOTDIR -EACCES -ELOOP -ENAMETOOLONG as
 * path_resolution(7) says, -EINVAL for a NUL byte.
 *
 * Inodes. A struct fs_inode pointer obtained from this interface is referenced: it stays valid
 * until fs_close gives the reference back, even when its last name goes. The number fs_id() is
 * stable as long as the inode lives, and is reused as late as possible.
 *
 * Trust. Paths, names and buffers are read once by the caller and must not change during the call;
 * their content may be anything. The boot archive's content may be anything. The operations tables
 * and the credentials are the embedding service's own.
 */
#ifndef EXOS_FS_FS_H
#define EXOS_FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_PAGE_SIZE   4096u
#define FS_PAGE_SHIFT  12u
#define FS_NAME_MAX    255u
#define FS_PATH_MAX    4096u /* including the terminating NUL that Linux counts */
#define FS_SYMLINK_MAX 40u
#define FS_FILE_MAX    (1ull << 48)
#define FS_PFN_MAX     0x7ffffffdu
#define FS_NO_PFN      UINT32_MAX

/* File types and mode bits, with Linux's values. */
#define FS_IFMT   0170000u
#define FS_IFSOCK 0140000u
#define FS_IFLNK  0120000u
#define FS_IFREG  0100000u
#define FS_IFBLK  0060000u
#define FS_IFDIR  0040000u
#define FS_IFCHR  0020000u
#define FS_IFIFO  0010000u
#define FS_ISUID  04000u
#define FS_ISGID  02000u
#define FS_ISVTX  01000u

/* Open flags, with Linux's values; others are ignored here. */
#define FS_O_RDONLY    0u
#define FS_O_WRONLY    01u
#define FS_O_RDWR      02u
#define FS_O_ACCMODE   03u
#define FS_O_CREAT     0100u
#define FS_O_EXCL      0200u
#define FS_O_TRUNC     01000u
#define FS_O_DIRECTORY 0200000u
#define FS_O_NOFOLLOW  0400000u
#define FS_O_TMPFILE   020200000u

/* fs_lookup and fs_link */
#define FS_LOOKUP_FOLLOW    1u /* follow a symbolic link in the last place */
#define FS_LOOKUP_DIRECTORY 2u /* -ENOTDIR unless the result is a directory */
#define FS_LOOKUP_EMPTY     4u /* an empty path means the starting inode itself */

/* fs_rename, with Linux's values */
#define FS_RENAME_NOREPLACE 1u
#define FS_RENAME_EXCHANGE  2u

/* fs_access: which permissions, with Linux's values */
#define FS_MAY_EXEC  1u
#define FS_MAY_WRITE 2u
#define FS_MAY_READ  4u

/* fs_touch */
#define FS_TOUCH_ATIME 1u
#define FS_TOUCH_MTIME 2u
#define FS_TOUCH_CTIME 4u

struct fs;
struct fs_inode;

enum fs_page_state {
	FS_PAGE_HOLE,     /* reads as zeros; pfn is FS_NO_PFN */
	FS_PAGE_OWN,      /* a frame of this file alone */
	FS_PAGE_BORROWED, /* a frame of the boot archive: read-only, for ever */
};

struct fs_page {
	uint32_t pfn;
	uint32_t state;
};

/* What a process that may write the file keeps about it, see fs_live_set. */
struct fs_live {
	uint64_t size;
	int64_t atime, mtime; /* 0: unchanged */
};

/* What the core asks of the service that embeds it. ctx is the one given to fs_create. */
struct fs_ops {
	void *(*alloc)(void *ctx, size_t size); /* any content; NULL: none */
	void (*free)(void *ctx, void *ptr, size_t size);
	int (*frame_alloc)(void *ctx, uint32_t *pfn); /* zeroed; 0 or negative */
	void (*frame_free)(void *ctx, uint32_t pfn);
	void (*frame_copy)(void *ctx, uint32_t dst, uint32_t src, uint32_t bytes);
	void (*frame_write)(void *ctx, uint32_t pfn, uint32_t off, const void *buf, uint32_t len);
	void (*frame_read)(void *ctx, uint32_t pfn, uint32_t off, void *buf, uint32_t len);
	void (*frame_zero_tail)(void *ctx, uint32_t pfn, uint32_t off);
	int64_t (*now)(void *ctx); /* nanoseconds since 1970 */
	/*
	 * Page index of the file no longer is what processes may have bound: an own frame about to
	 * be freed, a borrowed frame replaced or cut, or (was HOLE) a hole that has just been
	 * filled. Every binding must be gone on return. May be NULL. Must not call back into the
	 * file system.
	 */
	void (*page_gone)(void *ctx, struct fs_inode *inode, uint64_t index, uint32_t pfn,
			  enum fs_page_state was);
	/* The inode is about to be freed: drop what hangs on its object slot. May be NULL. */
	void (*inode_gone)(void *ctx, struct fs_inode *inode);
	/* For inodes marked by fs_live_set: what their writers say. False: nothing. May be NULL. */
	bool (*live)(void *ctx, struct fs_inode *inode, struct fs_live *out);
	/* The size of a live inode became size by truncation, not by what live said. May be NULL.
	 */
	void (*size_cut)(void *ctx, struct fs_inode *inode, uint64_t size);
	/* The times of a live inode were set, perhaps back: what live said before is over. May be NULL. */
	void (*times_set)(void *ctx, struct fs_inode *inode, int64_t atime, int64_t mtime);
};

struct fs_limits {
	uint64_t heap_max;   /* bytes; 0: no limit */
	uint64_t frames_max; /* 0: no limit */
	uint32_t inodes_max; /* 0: the table's own, 524,287 */
};

struct fs_usage {
	uint64_t heap_bytes;
	uint64_t frames;   /* own frames, of all files */
	uint64_t borrowed; /* borrowed pages, of all files */
	uint32_t inodes;
};

#define FS_GROUPS_MAX 32u

/* Who asks. uid 0 has the rights that CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN and CAP_FSETID give.
 */
struct fs_cred {
	uint32_t uid, gid;
	uint32_t group_count; /* more than FS_GROUPS_MAX counts as FS_GROUPS_MAX */
	uint32_t groups[FS_GROUPS_MAX];
	uint64_t caller; /* not looked at: for synthetic directories such as /proc/self */
};

extern const struct fs_cred fs_cred_root;

/* A path and where it starts when it is relative. cwd may be NULL for the root. */
struct fs_path {
	struct fs_inode *cwd;
	const char *text;
	size_t len;
};

struct fs_stat {
	uint64_t dev, ino, rdev, size;
	uint64_t blocks; /* of 512 bytes */
	uint32_t mode, nlink, uid, gid;
	uint32_t blksize, generation;
	int64_t atime, mtime, ctime, btime; /* nanoseconds since 1970 */
};

struct fs_statfs {
	uint64_t type, bsize, blocks, bfree, bavail, files, ffree, namelen;
};

/* One directory entry; name is not terminated and stays valid until the next call. */
struct fs_entry {
	uint64_t ino;
	uint64_t cookie; /* pass it to continue behind this entry */
	uint32_t mode;   /* the type bits at least */
	uint32_t len;
	const char *name;
};

/* --- the whole --- */

/* seed: unpredictable to clients, or names can be chosen that collide. NULL: no memory. */
struct fs *fs_create(const struct fs_ops *ops, void *ctx, const struct fs_limits *limits,
		     const uint64_t seed[2]);
/* Frees everything, references or not. page_gone and inode_gone are called for all. */
void fs_destroy(struct fs *fs);
void fs_usage(const struct fs *fs, struct fs_usage *out);
/* inode may be NULL; it selects the tree (a synthetic one answers for itself). */
void fs_statfs(const struct fs *fs, const struct fs_inode *inode, struct fs_statfs *out);
/* Whether every invariant holds; if not, *reason says which. */
bool fs_check(struct fs *fs, const char **reason);

/* --- references and plain properties --- */

struct fs_inode *fs_root(struct fs *fs); /* referenced */
/* A fifo of cred's without a name, referenced. */
int fs_fifo(struct fs *fs, const struct fs_cred *cred, struct fs_inode **out);
/* The live inode of that number, referenced, or NULL. */
struct fs_inode *fs_find(struct fs *fs, uint32_t id);
void fs_open_ref(struct fs_inode *inode);
/* The last close of an inode without names frees it. NULL is accepted. */
void fs_close(struct fs *fs, struct fs_inode *inode);
uint32_t fs_id(const struct fs_inode *inode);
uint32_t fs_mode(const struct fs_inode *inode); /* type and permissions */
uint32_t fs_refs(const struct fs_inode *inode);
uint64_t fs_rdev(const struct fs_inode *inode);
/* Bytes that can be read: for the content of a synthetic file too, whose stat says 0. */
uint64_t fs_size(struct fs *fs, struct fs_inode *inode);
/* A slot for the embedding service: pipes behind fifos, the shared page of an open file. */
void *fs_object(const struct fs_inode *inode);
void fs_object_set(struct fs_inode *inode, void *object);

/* --- paths --- */

int fs_lookup(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, unsigned flags,
	      struct fs_inode **out);
/*
 * open(2) except for what descriptors do. mode is used on creation, after the caller applied the
 * umask. Also -EEXIST -EISDIR -EINVAL -ENXIO (socket). FS_O_TMPFILE makes an inode
 * without a name. For a synthetic file the result is an inode that holds its content as generated
 * now. An inode that is a fifo or a device is returned as it is.
 */
int fs_open(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, unsigned flags,
	    uint32_t mode, struct fs_inode **out);
/* Whether the path of the latest call that had one led through a synthetic tree. */
bool fs_walked_synth(const struct fs *fs);
/* The absolute path of a directory, terminated; returns its length with the NUL, as getcwd(2).
 * -ERANGE: does not fit. -ENOENT: the directory was removed. -ENOTDIR. */
int fs_getcwd(struct fs *fs, struct fs_inode *dir, char *buf, size_t size);
/* The same of any inode, by the name that it got last. -ENOENT: that name is gone. */
int fs_name(struct fs *fs, struct fs_inode *inode, char *buf, size_t size);

/* --- names --- */

int fs_mkdir(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, uint32_t mode);
/* mode carries the type: regular (also 0), fifo, socket, character or block device (root only,
 * -EPERM). */
int fs_mknod(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, uint32_t mode,
	     uint64_t rdev);
int fs_symlink(struct fs *fs, const struct fs_cred *cred, const char *target, size_t target_len,
	       const struct fs_path *path);
/* flags: FS_LOOKUP_FOLLOW, FS_LOOKUP_EMPTY for the old path. -EXDEV -EPERM -EMLINK */
int fs_link(struct fs *fs, const struct fs_cred *cred, const struct fs_path *from, unsigned flags,
	    const struct fs_path *to);
int fs_unlink(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path);
int fs_rmdir(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path);
int fs_rename(struct fs *fs, const struct fs_cred *cred, const struct fs_path *from,
	      const struct fs_path *to, unsigned flags);
/* Copies at most size bytes of the target, no NUL; returns the count. -EINVAL: not a link, size 0.
 */
int fs_readlink(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, char *buf,
		size_t size);

/*
 * The entry behind *cookie (0: from the start), which is then advanced. 1: *out is filled, 0: end.
 * Entries that exist throughout an iteration are reported exactly once, whatever is added or
 * removed.
 */
int fs_dir_next(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, uint64_t *cookie,
		struct fs_entry *out);
/* The same as records of getdents64(2) in buf. Returns bytes, 0 at the end. -EINVAL: buf too small.
 */
int fs_getdents(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, uint64_t *cookie,
		void *buf, size_t size);

/* --- metadata --- */

/* May fail only for synthetic inodes whose subject has gone: -ENOENT, -ESRCH. */
int fs_stat(struct fs *fs, struct fs_inode *inode, struct fs_stat *out);
/* want: FS_MAY_ bits, 0 for existence. -EACCES */
int fs_access(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, unsigned want);
int fs_chmod(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, uint32_t mode);
/* UINT32_MAX leaves an id as it is. */
int fs_chown(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, uint32_t uid,
	     uint32_t gid);

#define FS_TIME_NOW  INT64_MAX
#define FS_TIME_OMIT INT64_MIN
int fs_utimens(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, int64_t atime,
	       int64_t mtime);
/* For the service's own bookkeeping, for example at read and write: no permission is asked. */
void fs_touch(struct fs *fs, struct fs_inode *inode, unsigned which);
/* What a write by someone else than root does: drops set-user-id and set-group-id. */
void fs_privs_drop(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode);
/* truncate(2) with cred, ftruncate(2) on a descriptor open for writing with NULL.
 * -EISDIR -EINVAL (not a regular file, size negative) -EFBIG -EACCES */
int fs_truncate(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, int64_t size);

/* --- file pages; only regular files, else -EINVAL or -EISDIR --- */

/*
 * The frame of page index. Reading: any state, never a frame with bytes beyond the end that are not
 * the file's; -ENXIO when the page lies wholly beyond the end. Writing: always FS_PAGE_OWN;
 * allocates or copies; pages beyond the end may be taken in advance and are dropped at the last
 * close. -EFBIG. -EPERM: the file is the content of a synthetic one.
 */
int fs_page_get(struct fs *fs, struct fs_inode *inode, uint64_t index, bool want_write,
		struct fs_page *out);
/* Pages of a regular file, up to its end. */
uint64_t fs_page_count(struct fs *fs, struct fs_inode *inode);
/* fs_page_get for a run of pages; returns how many were filled, at least 1, or 0 at the end of
 * file. An error is only returned for the first page. */
int fs_range(struct fs *fs, struct fs_inode *inode, uint64_t first, uint32_t count, bool want_write,
	     struct fs_page *out);
/* The caller writes, or has written, [start, end): the size becomes at least end, and the bytes
 * between the old end and start in the old last page read as zeros. -EFBIG */
int fs_extend(struct fs *fs, struct fs_inode *inode, uint64_t start, uint64_t end);
/* Sets the size; the same as fs_truncate without credentials. */
int fs_set_size(struct fs *fs, struct fs_inode *inode, uint64_t size);
/* Frees pages in [first, first + count); they become holes. For FALLOC_FL_PUNCH_HOLE. */
int fs_punch(struct fs *fs, struct fs_inode *inode, uint64_t first, uint64_t count);
/* SEEK_DATA and SEEK_HOLE in bytes. -ENXIO beyond the end or no data behind. */
int64_t fs_seek_data(struct fs *fs, struct fs_inode *inode, uint64_t from, bool want_hole);
/* Writers of this file keep its size and times where ops->live finds them. What they say is
 * believed as far as a writer may change it: the size only grows, and times only go forward up to
 * now. */
void fs_live_set(struct fs *fs, struct fs_inode *inode, bool live);

/* --- the boot archive --- */

struct fs_archive {
	const uint8_t *data; /* mapped readable by the service, page aligned in physical memory */
	uint64_t size;
	uint32_t pfn;     /* first frame; unused unless borrow */
	bool borrow;      /* use aligned data in place; else copy all */
	const char *root; /* only members below this folder, which becomes "/"; "" for all */
};

struct fs_archive_report {
	const char *reason;        /* of a failure */
	uint64_t offset;           /* of the member that failed */
	uint32_t members;          /* seen */
	uint32_t loaded;           /* placed in the tree */
	uint64_t borrowed, copied; /* pages */
};

/* Adds a newc archive's members to the tree. -EINVAL: malformed; -EEXIST: a name twice. On failure
 * the tree is consistent and holds what came before. report may be NULL. */
int fs_load_cpio(struct fs *fs, const struct fs_archive *archive, struct fs_archive_report *report);

/* --- synthetic directories --- */

struct fs_sink; /* where generated content goes */

struct fs_synth_node {
	uint64_t key;  /* the provider's name for it, handed back in every call */
	uint32_t ino;  /* as stat reports it */
	uint32_t mode; /* type (directory, regular, symbolic link, character device) and permissions
			*/
	uint32_t uid, gid, nlink;
	uint64_t rdev;
	int64_t time;
};

struct fs_synth_ops {
	/* -ENOENT. name is not terminated. */
	int (*lookup)(void *ctx, const struct fs_cred *cred, uint64_t dir, const char *name,
		      size_t len, struct fs_synth_node *out);
	/* The entry behind cookie; "." and ".." are not the provider's. 1, 0 at the end. name must
	 * stay valid until the next call; cookie must grow, from 1, up to INT64_MAX - 2. */
	int (*next)(void *ctx, const struct fs_cred *cred, uint64_t dir, uint64_t cookie,
		    struct fs_entry *out);
	/* Bytes written, at most size. */
	int (*readlink)(void *ctx, const struct fs_cred *cred, uint64_t key, char *buf,
			size_t size);
	/* The inode that following this link gives, referenced, for links that are no mere text;
	 * -ENOSYS: use the text. May be NULL. */
	int (*follow)(void *ctx, const struct fs_cred *cred, uint64_t key, struct fs_inode **out);
	int (*content)(void *ctx, const struct fs_cred *cred, uint64_t key, struct fs_sink *sink);
	/* Bytes taken. NULL: files of this tree cannot be written (-EACCES at open). */
	int (*write)(void *ctx, const struct fs_cred *cred, uint64_t key, uint64_t off,
		     const void *buf, size_t len);
	/* Fills *node anew for fs_stat; -ENOENT when its subject has gone. May be NULL. */
	int (*refresh)(void *ctx, uint64_t key, struct fs_synth_node *node);
};

/* Covers the directory dir, which must be real and not the root (-EBUSY), with a synthetic tree. */
int fs_synth_mount(struct fs *fs, struct fs_inode *dir, const struct fs_synth_ops *ops, void *ctx,
		   uint64_t root_key, uint32_t root_ino, uint64_t statfs_type);
/* Appends to the content that is being generated. */
int fs_sink_put(struct fs_sink *sink, const void *buf, size_t len);
/* Whether the inode belongs to a synthetic tree (or holds content of one), and its key. */
bool fs_synth_key(const struct fs_inode *inode, uint64_t *key);
/* Hands a write on an opened synthetic file to its provider. -EBADF: not one, or not writable. */
int fs_synth_write(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, uint64_t off,
		   const void *buf, size_t len);

#endif
