/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the file system share. Theory and invariants of each part are in its .c file;
 * check.c asserts them all.
 */
#ifndef EXOS_FS_PRIV_H
#define EXOS_FS_PRIV_H

#include "exos/fs/fs.h"
#include "exos/lib/lib.h"
#include "exos/linux/errno.h"

/* --- treap.c: balanced search tree over 64-bit keys, the node embedded in its owner --- */

struct fs_node {
	struct fs_node *left, *right;
	uint64_t key;
	uint32_t prio;
};

#define FS_CONTAINER(node, type, member) ((type *)((uint8_t *)(node)-offsetof(type, member)))

void treap_insert(struct fs_node **root, struct fs_node *node); /* key not present */
void treap_remove(struct fs_node **root, struct fs_node *node); /* node present */
struct fs_node *treap_find(struct fs_node *root, uint64_t key);
struct fs_node *treap_after(struct fs_node *root, uint64_t key); /* smallest key above */

/* --- tree.c: frame map of one file --- */

#define FS_LEAF_SLOTS 128u
#define FS_NODE_SLOTS 64u

struct fs_tnode {
	union {
		uint32_t entry[FS_LEAF_SLOTS];         /* level 0 */
		struct fs_tnode *child[FS_NODE_SLOTS]; /* others */
	};
	uint16_t used; /* slots that are not 0 */
};

struct fs_pages {
	union {
		uint32_t entry;        /* height 0 */
		struct fs_tnode *node; /* height > 0, may be NULL */
	};
	uint32_t height;
	uint64_t own, borrowed; /* entries of each kind */
};

/* An entry is 0 for a hole, else (pfn + 1) << 1, with bit 0 set for a borrowed frame. */
static inline uint32_t
entry_make(uint32_t pfn, bool borrowed)
{
	return (pfn + 1) << 1 | borrowed;
}

static inline uint32_t
entry_pfn(uint32_t entry)
{
	return (entry >> 1) - 1;
}

uint32_t pages_peek(const struct fs_pages *pages, uint64_t index);
int pages_set(struct fs *fs, struct fs_pages *pages, uint64_t index, uint32_t entry);
void pages_cut(struct fs *fs, struct fs_inode *inode, uint64_t from, uint64_t to);
/* Entries from index on: how many of them (up to the leaf's end) *slots holds; NULL if all are
 * holes. */
uint64_t pages_run(const struct fs_pages *pages, uint64_t index, const uint32_t **slots);
bool pages_check(const struct fs_pages *pages, uint64_t *nodes);

/* --- inodes --- */

struct fs_dirent {
	struct fs_node node;
	struct fs_inode *inode;
	uint32_t len;
	char name[];
};

#define FS_SYNTH_BUCKETS 64u
#define FS_SYNTH_MAX     (16u << 20) /* bytes of one generated content */

struct fs_mount {
	const struct fs_synth_ops *ops;
	void *ctx;
	struct fs_mount *next;
	struct fs_inode *over;                   /* the covered directory, referenced */
	struct fs_inode *root;                   /* the synthetic one shown instead, referenced */
	struct fs_inode *live[FS_SYNTH_BUCKETS]; /* its inodes by key, except contents */
	uint64_t type;
	uint32_t dev;
};

struct fs_dir {
	struct fs_node *names;
	struct fs_mount *covered; /* what is shown instead */
	uint32_t count;
};

struct fs_link {
	char *text; /* len + 1 bytes */
	uint32_t len;
};

/* Identity of an inode of a synthetic tree. */
struct fs_synth {
	struct fs_mount *mount;
	struct fs_inode *parent; /* referenced; NULL for the root */
	struct fs_inode *next, *prev;
	uint64_t key;
	uint32_t ino;
	uint32_t len;
	char name[];
};

#define INODE_SEALED   1u /* content of a synthetic file: nobody writes it */
#define INODE_LIVE     2u /* ops->live is asked */
#define INODE_PIN      4u /* a removed directory: holds a reference on its parent */
#define INODE_NAMELESS 8u /* made without a name: may get one though nlink is 0 */

struct fs_inode {
	uint32_t id, generation;
	uint32_t mode, uid, gid, nlink;
	uint32_t refs, flags;
	uint64_t rdev, size;
	int64_t atime, mtime, ctime, btime;
	void *object;
	/* A directory's parent, the root's is itself, and one name; where another has its latest name, NULL: none known. */
	struct fs_inode *parent;
	struct fs_dirent *entry;
	struct fs_synth *synth; /* NULL for inodes of the real tree */
	uint32_t seen;          /* scratch of fs_check */
	union {
		struct fs_pages pages;
		struct fs_dir dir;
		struct fs_link link;
	};
};

#define FS_CHUNK      512u
#define FS_CHUNKS     1024u
#define FS_INODES_MAX (FS_CHUNK * FS_CHUNKS - 1) /* number 0 is not used */
#define FS_NLINK_MAX  0x7fffffffu
#define FS_ROOT_ID    1u

struct fs {
	const struct fs_ops *ops;
	void *ctx;
	struct fs_limits limits;
	struct fs_usage usage;
	uint64_t seed[2];
	uint64_t prio;      /* state of the treap priorities' generator */
	uint64_t hash_mask; /* of names, 54 bits; tests narrow it to force collisions */
	uint32_t generation;
	uint32_t devs;
	bool synthetic; /* the latest walk was in a synthetic tree */
	struct fs_inode *root;
	struct fs_mount *mounts;
	/* id -> inode pointer, or tagged number of the next free id */
	uintptr_t **table;
	uint32_t fresh, free_head, free_tail;
};

static inline bool
inode_is(const struct fs_inode *inode, uint32_t type)
{
	return (inode->mode & FS_IFMT) == type;
}

static inline uint64_t
pages_of(uint64_t bytes)
{
	return bytes / FS_PAGE_SIZE + (bytes % FS_PAGE_SIZE != 0);
}

/* --- fs.c: accounting --- */

int mem_alloc(struct fs *fs, size_t size, void *out); /* out: pointer to a pointer; zeroed memory */
void mem_free(struct fs *fs, void *ptr, size_t size);
int fs_frame_take(struct fs *fs, uint32_t *pfn);
void fs_frame_give(struct fs *fs, uint32_t pfn);
uint64_t fs_hash(const struct fs *fs, const void *buf, size_t len);
uint32_t fs_random(struct fs *fs);
int64_t fs_now(struct fs *fs);

/* --- inode.c --- */

int inode_new(struct fs *fs, uint32_t mode, uint32_t uid, uint32_t gid, struct fs_inode **out);
struct fs_inode *inode_at(const struct fs *fs, uint32_t id);
struct fs_inode *inode_ref(struct fs_inode *inode);
void inode_reap(struct fs *fs, struct fs_inode *inode); /* frees it if nothing holds it */
void inode_release(struct fs *fs,
		   struct fs_inode *inode); /* its contents, then itself, at any count */

/* --- page.c --- */

int page_borrow(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t pfn);
int page_fill(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t old, uint32_t *pfn);
void page_notify(struct fs *fs, struct fs_inode *inode, uint64_t index, uint32_t entry);
void inode_sync(struct fs *fs, struct fs_inode *inode);

/* --- dir.c --- */

struct fs_dirent *dir_find(struct fs *fs, const struct fs_inode *dir, const char *name, size_t len);
int dirent_new(struct fs *fs, struct fs_inode *dir, const char *name, size_t len,
	       struct fs_dirent **out);
void dirent_free(struct fs *fs, struct fs_dirent *entry);
void dir_attach(struct fs *fs, struct fs_inode *dir, struct fs_dirent *entry,
		struct fs_inode *inode);
void dir_detach(struct fs *fs, struct fs_inode *dir, struct fs_dirent *entry);
void dir_remove(struct fs *fs, struct fs_inode *dir, struct fs_dirent *entry);
void dir_rebind(struct fs_inode *dir, struct fs_dirent *entry, struct fs_inode *inode);
void dir_unbind(struct fs_inode *dir, struct fs_dirent *entry);
void dir_drop(struct fs *fs, struct fs_inode *dir, struct fs_inode *victim);
void dir_changed(struct fs *fs, struct fs_inode *dir, int64_t now);
int child_new(struct fs *fs, const struct fs_cred *cred, const struct fs_inode *dir, uint32_t mode,
	      struct fs_inode **out);
int node_create(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, const char *name,
		size_t len, uint32_t mode, struct fs_inode **out);

/* --- attr.c: permission --- */

bool cred_in_group(const struct fs_cred *cred, uint32_t gid);
int inode_may(const struct fs_inode *inode, const struct fs_cred *cred, unsigned want);
int dir_may_create(const struct fs_inode *dir, const struct fs_cred *cred);
int dir_may_delete(const struct fs_inode *dir, const struct fs_cred *cred,
		   const struct fs_inode *victim, bool want_dir);

/* --- path.c --- */

enum walk_last { WALK_NORMAL, WALK_DOT, WALK_DOTDOT, WALK_ROOT };

struct walk_frame {
	const char *text;
	size_t left;
	struct fs_inode *pin; /* whose text it is */
	char *buf;            /* or the buffer it is in, of FS_PATH_MAX bytes */
};

struct fs_walk {
	struct fs *fs;
	const struct fs_cred *cred;
	struct fs_inode *dir; /* where the walk has come, referenced */
	const char *name;     /* last component, for WALK_NORMAL */
	size_t len;
	enum walk_last last;
	bool slash; /* something demanded a directory by a slash behind it */
	unsigned links, depth;
	struct walk_frame stack[FS_SYMLINK_MAX + 2];
};

int walk_start(struct fs_walk *walk, struct fs *fs, const struct fs_cred *cred,
	       const struct fs_path *path);
int walk_parent(struct fs_walk *walk);
int walk_link(struct fs_walk *walk, struct fs_inode *link, struct fs_inode **jump);
void walk_end(struct fs_walk *walk);
int walk_create(struct fs_walk *walk, bool want_dir);
int walk_victim(struct fs_walk *walk, struct fs_dirent **out);
int dir_lookup(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, const char *name,
	       size_t len, struct fs_inode **out);
struct fs_inode *dir_up(struct fs *fs, struct fs_inode *dir);

/* --- synth.c --- */

int synth_lookup(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, const char *name,
		 size_t len, struct fs_inode **out);
int synth_open(struct fs *fs, const struct fs_cred *cred, struct fs_inode *inode, bool want_write,
	       struct fs_inode **out);
int synth_refresh(struct fs_inode *inode);
void synth_forget(struct fs *fs, struct fs_inode *inode);
void mounts_free(struct fs *fs);

#endif
