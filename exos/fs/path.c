/* SPDX-License-Identifier: MIT */
/*
 * From paths to inodes.
 *
 * A walk owns a reference on the directory it has come to and a stack of texts still to be walked:
 * the path, and the targets of symbolic links met on the way. Invariants: (1) below the top every
 * text has a component left, so a link in the last place replaces its text instead of growing the
 * stack, and the stack never exceeds the number of links plus one; (2) each text is kept alive by a
 * reference on its link or by the buffer it is in; (3) at most FS_SYMLINK_MAX links are followed.
 * No recursion. Search permission is asked at every component. Texts are untrusted; they are only
 * compared and copied.
 */
#include "exos/fs/priv.h"

static void
walk_pop(struct fs_walk *walk)
{
	struct walk_frame *frame = &walk->stack[--walk->depth];

	fs_close(walk->fs, frame->pin);
	mem_free(walk->fs, frame->buf, FS_PATH_MAX);
}

static void
walk_pop_empty(struct fs_walk *walk)
{
	if (walk->depth && !walk->stack[walk->depth - 1].left)
		walk_pop(walk);
}

/* Takes the reference over. */
static void
walk_move(struct fs_walk *walk, struct fs_inode *dir)
{
	fs_close(walk->fs, walk->dir);
	walk->dir = dir;
	if (dir && dir->synth)
		walk->fs->synthetic = true;
}

void
walk_end(struct fs_walk *walk)
{
	while (walk->depth)
		walk_pop(walk);
	walk_move(walk, NULL);
}

/* On failure there is nothing to end. */
int
walk_start(struct fs_walk *walk, struct fs *fs, const struct fs_cred *cred,
	   const struct fs_path *path)
{
	struct fs_inode *from = path->cwd ? path->cwd : fs->root;

	if (!path->len)
		return -ENOENT;
	if (path->len >= FS_PATH_MAX)
		return -ENAMETOOLONG;
	if (strnlen(path->text, path->len) != path->len)
		return -EINVAL;
	if (path->text[0] == '/')
		from = fs->root;
	if (!inode_is(from, FS_IFDIR))
		return -ENOTDIR;
	walk->fs = fs;
	walk->cred = cred;
	walk->dir = inode_ref(from);
	fs->synthetic = from->synth != NULL;
	walk->slash = false;
	walk->links = 0;
	walk->depth = 1;
	walk->stack[0] = (struct walk_frame){.text = path->text, .left = path->len};
	return 0;
}

/* The directory above, referenced; the root's is the root. */
struct fs_inode *
dir_up(struct fs *fs, struct fs_inode *dir)
{
	(void)fs;
	if (dir->synth && dir->synth->parent)
		return inode_ref(dir->synth->parent);
	if (dir->synth)
		return inode_ref(dir->synth->mount->over->parent);
	return inode_ref(dir->parent);
}

/* What dir shows under name, referenced. Search permission has been asked. */
int
dir_lookup(struct fs *fs, const struct fs_cred *cred, struct fs_inode *dir, const char *name,
	   size_t len, struct fs_inode **out)
{
	struct fs_dirent *entry;
	struct fs_inode *inode;

	if (len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (dir->synth)
		return synth_lookup(fs, cred, dir, name, len, out);
	entry = dir_find(fs, dir, name, len);
	if (!entry)
		return -ENOENT;
	inode = entry->inode;
	if (inode_is(inode, FS_IFDIR) && inode->dir.covered)
		inode = inode->dir.covered->root;
	*out = inode_ref(inode);
	return 0;
}

/* The text of a link becomes the next to walk; or *jump is where the link leads, referenced. */
int
walk_link(struct fs_walk *walk, struct fs_inode *link, struct fs_inode **jump)
{
	struct fs *fs = walk->fs;
	struct walk_frame frame = {0};
	int err;

	*jump = NULL;
	if (walk->links++ >= FS_SYMLINK_MAX)
		return -ELOOP;
	walk_pop_empty(walk);
	if (link->synth) {
		struct fs_mount *mount = link->synth->mount;

		err = mount->ops->follow
			      ? mount->ops->follow(mount->ctx, walk->cred, link->synth->key, jump)
			      : -ENOSYS;
		if (err != -ENOSYS)
			return err;
		err = mem_alloc(fs, FS_PATH_MAX, &frame.buf);
		if (err)
			return err;
		err = fs_readlink(fs, walk->cred, link, frame.buf, FS_PATH_MAX - 1);
		if (err <= 0) {
			mem_free(fs, frame.buf, FS_PATH_MAX);
			return err ? err : -ENOENT;
		}
		frame.text = frame.buf;
		frame.left = (size_t)err;
	} else {
		frame.text = link->link.text;
		frame.left = link->link.len;
		frame.pin = inode_ref(link);
	}
	walk->stack[walk->depth++] = frame;
	if (frame.text[0] == '/')
		walk_move(walk, inode_ref(fs->root));
	return 0;
}

/* Goes through one component that is not the last. */
static int
walk_step(struct fs_walk *walk, const char *name, size_t len)
{
	struct fs_inode *next, *jump = NULL;
	int err = 0;

	if (len == 1 && name[0] == '.')
		next = inode_ref(walk->dir);
	else if (len == 2 && name[0] == '.' && name[1] == '.')
		next = dir_up(walk->fs, walk->dir);
	else
		err = dir_lookup(walk->fs, walk->cred, walk->dir, name, len, &next);
	if (err)
		return err;
	walk_pop_empty(walk);
	if (inode_is(next, FS_IFLNK)) {
		err = walk_link(walk, next, &jump);
		fs_close(walk->fs, next);
		if (err || !jump)
			return err;
		next = jump;
	}
	walk_move(walk, next);
	return inode_is(next, FS_IFDIR) ? 0 : -ENOTDIR;
}

static void
frame_skip(struct walk_frame *frame)
{
	while (frame->left && *frame->text == '/') {
		frame->text++;
		frame->left--;
	}
}

/* Walks to the directory that holds the last component, which is left in name, len and last. */
int
walk_parent(struct fs_walk *walk)
{
	while (walk->depth) {
		struct walk_frame *frame = &walk->stack[walk->depth - 1];
		const char *name;
		size_t len = 0;
		int err;

		frame_skip(frame);
		if (!frame->left) {
			walk_pop(walk);
			continue;
		}
		name = frame->text;
		while (len < frame->left && name[len] != '/')
			len++;
		frame->text += len;
		frame->left -= len;
		err = inode_may(walk->dir, walk->cred, FS_MAY_EXEC);
		if (err)
			return err;
		if (walk->depth == 1) {
			bool slash = frame->left != 0;

			frame_skip(frame);
			if (!frame->left) {
				walk->name = name;
				walk->len = len;
				walk->slash |= slash;
				walk->last = WALK_NORMAL;
				if (name[0] == '.' && len == 1)
					walk->last = WALK_DOT;
				else if (name[0] == '.' && len == 2 && name[1] == '.')
					walk->last = WALK_DOTDOT;
				return 0;
			}
		} else {
			frame_skip(frame);
		}
		err = walk_step(walk, name, len);
		if (err)
			return err;
	}
	walk->last = WALK_ROOT;
	return 0;
}

static int
walk_full(struct fs_walk *walk, bool follow, struct fs_inode **out)
{
	for (;;) {
		struct fs_inode *jump, *next;
		int err = walk_parent(walk);

		if (err)
			return err;
		if (walk->last != WALK_NORMAL) {
			*out = walk->last == WALK_DOTDOT ? dir_up(walk->fs, walk->dir)
							 : inode_ref(walk->dir);
			return 0;
		}
		err = dir_lookup(walk->fs, walk->cred, walk->dir, walk->name, walk->len, &next);
		if (err)
			return err;
		if (!inode_is(next, FS_IFLNK) || !(follow || walk->slash)) {
			*out = next;
			return 0;
		}
		err = walk_link(walk, next, &jump);
		fs_close(walk->fs, next);
		if (err)
			return err;
		if (jump) {
			*out = jump;
			return 0;
		}
	}
}

int
fs_lookup(struct fs *fs, const struct fs_cred *cred, const struct fs_path *path, unsigned flags,
	  struct fs_inode **out)
{
	struct fs_walk walk;
	int err;

	if (!path->len && flags & FS_LOOKUP_EMPTY) {
		*out = inode_ref(path->cwd ? path->cwd : fs->root);
		return 0;
	}
	err = walk_start(&walk, fs, cred, path);
	if (err)
		return err;
	err = walk_full(&walk, flags & FS_LOOKUP_FOLLOW, out);
	if (!err && (walk.slash || flags & FS_LOOKUP_DIRECTORY) && !inode_is(*out, FS_IFDIR)) {
		fs_close(fs, *out);
		err = -ENOTDIR;
	}
	walk_end(&walk);
	return err;
}

bool
fs_walked_synth(const struct fs *fs)
{
	return fs->synthetic;
}

/* Whether the name that the walk ended at may be made: 0 if it is free and the directory writable.
 */
int
walk_create(struct fs_walk *walk, bool want_dir)
{
	struct fs_inode *found;
	int err;

	if (walk->last != WALK_NORMAL)
		return -EEXIST;
	err = dir_lookup(walk->fs, walk->cred, walk->dir, walk->name, walk->len, &found);
	if (!err) {
		fs_close(walk->fs, found);
		return -EEXIST;
	}
	if (err != -ENOENT)
		return err;
	if (walk->slash && !want_dir)
		return -ENOENT;
	return walk->dir->synth ? -EPERM : dir_may_create(walk->dir, walk->cred);
}

/* The entry of a real directory that the walk ended at. */
int
walk_victim(struct fs_walk *walk, struct fs_dirent **out)
{
	struct fs_inode *found;
	int err = dir_lookup(walk->fs, walk->cred, walk->dir, walk->name, walk->len, &found);

	if (err)
		return err;
	fs_close(walk->fs, found);
	if (walk->dir->synth)
		return -EPERM;
	*out = dir_find(walk->fs, walk->dir, walk->name, walk->len);
	return 0;
}

static const char *
entry_name(const struct fs_inode *inode, size_t *len)
{
	*len = inode->synth ? inode->synth->len : inode->entry->len;
	return inode->synth ? inode->synth->name : inode->entry->name;
}

int
fs_getcwd(struct fs *fs, struct fs_inode *dir, char *buf, size_t size)
{
	return inode_is(dir, FS_IFDIR) ? fs_name(fs, dir, buf, size) : -ENOTDIR;
}

int
fs_name(struct fs *fs, struct fs_inode *inode, char *buf, size_t size)
{
	size_t at = size, len;

	if (size < 2)
		return -ERANGE;
	buf[--at] = '\0';
	while (inode != fs->root) {
		const char *name;

		if (inode->synth && !inode->synth->parent)
			inode = inode->synth->mount->over;
		if (!inode->synth && !inode->entry)
			return -ENOENT;
		name = entry_name(inode, &len);
		if (len + 1 > at)
			return -ERANGE;
		at -= len;
		memcpy(buf + at, name, len);
		buf[--at] = '/';
		inode = inode->synth ? inode->synth->parent : inode->parent;
	}
	if (at == size - 1)
		buf[--at] = '/';
	len = size - at;
	memmove(buf, buf + at, len);
	return len > INT32_MAX ? -ERANGE : (int)len;
}
