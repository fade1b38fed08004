/* SPDX-License-Identifier: MIT */
/*
 * Directories of the real tree: names, their order, and the links between inodes.
 *
 * Owns struct fs_dirent. A directory's entries form a treap ordered by key: 54 bits of the name's
 * hash, then 8 bits that tell equal hashes apart. The key is also the cookie under which iteration
 * continues: entries never move, whatever happens to others, so each one that stays is reported
 * once. Cookies 1 and 2 are "." and ".."; keys start at 256. Invariants: (1) an entry's key's upper
 * bits are its name's hash; names are distinct, 1 to 255 bytes, not
 * "." or "..", without '/' and NUL; (2) count is the number of entries; (3) a directory has one
 * entry that names it, which it knows, and nlink = 2 + subdirectories; removed it has nlink 0 and
 * none; (4) another inode's nlink is the number of entries that point to it, and the entry that it
 * knows is one of them.
 */
#include "exos/fs/priv.h"

#define COOKIE_DOT    1u
#define COOKIE_DOTDOT 2u
#define KEY_FIRST     256u

static uint64_t
name_key(const struct fs *fs, const char *name, size_t len)
{
	uint64_t key = (fs_hash(fs, name, len) & fs->hash_mask) << 8;

	return key < KEY_FIRST ? KEY_FIRST : key;
}

struct fs_dirent *
dir_find(struct fs *fs, const struct fs_inode *dir, const char *name, size_t len)
{
	uint64_t base;
	struct fs_node *node;

	if (!dir->dir.names)
		return NULL;
	base = name_key(fs, name, len);
	for (node = treap_after(dir->dir.names, base - 1); node && node->key >> 8 == base >> 8;
	     node = treap_after(dir->dir.names, node->key)) {
		struct fs_dirent *entry = FS_CONTAINER(node, struct fs_dirent, node);

		if (entry->len == len && !memcmp(entry->name, name, len))
			return entry;
	}
	return NULL;
}

/* An entry for a name that the directory does not have, not yet in it. */
int
dirent_new(struct fs *fs, struct fs_inode *dir, const char *name, size_t len,
	   struct fs_dirent **out)
{
	uint64_t key = name_key(fs, name, len), end = key | 0xff;
	struct fs_dirent *entry;
	int err;

	while (treap_find(dir->dir.names, key)) {
		if (key++ == end)
			return -ENOSPC;
	}
	err = mem_alloc(fs, sizeof(*entry) + len, &entry);
	if (err)
		return err;
	entry->node.key = key;
	entry->node.prio = fs_random(fs);
	entry->len = (uint32_t)len;
	memcpy(entry->name, name, len);
	*out = entry;
	return 0;
}

void
dirent_free(struct fs *fs, struct fs_dirent *entry)
{
	mem_free(fs, entry, sizeof(*entry) + entry->len);
}

/* The entry, which is in dir, comes to mean inode. */
void
dir_rebind(struct fs_inode *dir, struct fs_dirent *entry, struct fs_inode *inode)
{
	entry->inode = inode;
	inode->parent = dir;
	inode->entry = entry;
	if (inode_is(inode, FS_IFDIR))
		dir->nlink++;
	else
		inode->nlink++;
}

/* The entry stops meaning its inode, which may be left without links for the moment. */
void
dir_unbind(struct fs_inode *dir, struct fs_dirent *entry)
{
	if (entry->inode->entry == entry)
		entry->inode->entry = NULL;
	if (inode_is(entry->inode, FS_IFDIR))
		dir->nlink--;
	else
		entry->inode->nlink--;
	entry->inode = NULL;
}

void
dir_attach(struct fs *fs, struct fs_inode *dir, struct fs_dirent *entry, struct fs_inode *inode)
{
	(void)fs;
	treap_insert(&dir->dir.names, &entry->node);
	dir->dir.count++;
	dir_rebind(dir, entry, inode);
}

void
dir_detach(struct fs *fs, struct fs_inode *dir, struct fs_dirent *entry)
{
	dir_unbind(dir, entry);
	treap_remove(&dir->dir.names, &entry->node);
	dir->dir.count--;
	dirent_free(fs, entry);
}

/* victim has lost a name in dir; a directory has lost its only one. */
void
dir_drop(struct fs *fs, struct fs_inode *dir, struct fs_inode *victim)
{
	victim->ctime = fs_now(fs);
	if (inode_is(victim, FS_IFDIR)) {
		victim->nlink = 0;
		if (victim->refs) {
			victim->flags |= INODE_PIN;
			inode_ref(dir);
		}
	}
	inode_reap(fs, victim);
}

void
dir_remove(struct fs *fs, struct fs_inode *dir, struct fs_dirent *entry)
{
	struct fs_inode *victim = entry->inode;

	dir_detach(fs, dir, entry);
	dir_changed(fs, dir, fs_now(fs));
	dir_drop(fs, dir, victim);
}

void
dir_changed(struct fs *fs, struct fs_inode *dir, int64_t now)
{
	(void)fs;
	dir->mtime = now;
	dir->ctime = now;
}

/* An inode as dir's children are made: a set-group-id directory hands its group down. */
int
child_new(struct fs *fs, const struct fs_cred *cred, const struct fs_inode *dir, uint32_t mode,
	  struct fs_inode **out)
{
	uint32_t gid = cred->gid;

	if (dir->mode & FS_ISGID) {
		gid = dir->gid;
		if ((mode & FS_IFMT) == FS_IFDIR)
			mode |= FS_ISGID;
		else if ((mode & (FS_ISGID | 010)) == (FS_ISGID | 010) && cred->uid &&
			 !cred_in_group(cred, gid))
			mode &= ~FS_ISGID;
	}
	return inode_new(fs, mode, cred->uid, gid, out);
}

/* A new inode under a new name. Permissions have been asked, the name is free. */
int
node_create(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, const char *name,
	    size_t len, uint32_t mode, struct fs_inode **out)
{
	bool is_dir = (mode & FS_IFMT) == FS_IFDIR;
	struct fs_dirent *entry;
	struct fs_inode *inode;
	int err;

	if (is_dir && dir->nlink >= FS_NLINK_MAX)
		return -EMLINK;
	err = child_new(fs, cred, dir, mode, &inode);
	if (err)
		return err;
	err = dirent_new(fs, dir, name, len, &entry);
	if (err) {
		inode_release(fs, inode);
		return err;
	}
	if (is_dir)
		inode->nlink = 2;
	dir_attach(fs, dir, entry, inode);
	dir_changed(fs, dir, inode->ctime);
	*out = inode;
	return 0;
}

static int
dots_next(struct fs *fs, struct fs_inode *dir, uint64_t *cookie, struct fs_entry *out)
{
	struct fs_inode *up = *cookie == 0 ? inode_ref(dir) : dir_up(fs, dir);

	out->len = *cookie == 0 ? 1 : 2;
	out->name = "..";
	out->mode = FS_IFDIR;
	out->ino = up->synth ? up->synth->ino : up->id;
	fs_close(fs, up);
	out->cookie = ++*cookie;
	return 1;
}

int
fs_dir_next(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, uint64_t *cookie,
	    struct fs_entry *out)
{
	struct fs_dirent *entry;
	struct fs_node *node;
	int got;

	if (!inode_is(dir, FS_IFDIR))
		return -ENOTDIR;
	if (!dir->synth && !dir->nlink)
		return -ENOENT;
	if (*cookie < COOKIE_DOTDOT)
		return dots_next(fs, dir, cookie, out);
	if (dir->synth) {
		struct fs_mount *mount = dir->synth->mount;

		got = mount->ops->next(mount->ctx, cred, dir->synth->key, *cookie - COOKIE_DOTDOT,
				       out);
		if (got <= 0)
			return got;
		out->cookie += COOKIE_DOTDOT;
		if (out->cookie <= *cookie || !out->len || out->len > FS_NAME_MAX)
			return -EIO;
	} else {
		node = treap_after(dir->dir.names, *cookie);
		if (!node)
			return 0;
		entry = FS_CONTAINER(node, struct fs_dirent, node);
		out->ino = entry->inode->id;
		if (inode_is(entry->inode, FS_IFDIR) && entry->inode->dir.covered)
			out->ino = entry->inode->dir.covered->root->synth->ino;
		out->mode = entry->inode->mode;
		out->len = entry->len;
		out->name = entry->name;
		out->cookie = node->key;
	}
	*cookie = out->cookie;
	return 1;
}

/* linux_dirent64: number, cookie, record length, type, name; records are multiples of 8. */
#define RECORD_NAME 19u

int
fs_getdents(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, uint64_t *cookie,
	    void *buf, size_t size)
{
	uint8_t *at = buf;
	size_t used = 0;

	if (size > INT32_MAX)
		size = INT32_MAX;
	for (;;) {
		uint64_t next = *cookie;
		struct fs_entry entry;
		int got = fs_dir_next(fs, cred, dir, &next, &entry);
		uint16_t record;

		if (got <= 0)
			return used ? (int)used : got;
		record = (uint16_t)((RECORD_NAME + entry.len + 1 + 7) & ~7u);
		if (record > size - used)
			return used ? (int)used : -EINVAL;
		memset(at + used, 0, record);
		memcpy(at + used, &entry.ino, 8);
		memcpy(at + used + 8, &entry.cookie, 8);
		memcpy(at + used + 16, &record, 2);
		at[used + 18] = (uint8_t)((entry.mode & FS_IFMT) >> 12);
		memcpy(at + used + RECORD_NAME, entry.name, entry.len);
		used += record;
		*cookie = next;
	}
}
