/* SPDX-License-Identifier: MIT */
/*
 * The boot archive: a newc cpio archive becomes files.
 *
 * Owns nothing that outlives the call. The archive is hostile: every field is checked before it is
 * used, all arithmetic is on values that cannot overflow (32-bit fields added in 64 bits), and no
 * byte outside [data, data + size) is read. Members are placed by walking real directories only,
 * never through a symbolic link, so a member cannot leave the tree or land elsewhere than its name
 * says. Invariants: (1) a member is wholly checked before anything is made of it; (2) a page of an
 * aligned member is borrowed, also the last partial one, which page.c copies before its first use.
 *
 * Layout of a member: 110 bytes of header (magic and 13 numbers of 8 hex digits), the name with its
 * NUL, padding to 4, the data, padding to 4. Names may carry more NULs, by which the producer
 * aligns data.
 */
#include "exos/fs/priv.h"

#define HEADER_SIZE 110u

enum field {
	F_INO,
	F_MODE,
	F_UID,
	F_GID,
	F_NLINK,
	F_MTIME,
	F_FILESIZE,
	F_DEVMAJOR,
	F_DEVMINOR,
	F_RDEVMAJOR,
	F_RDEVMINOR,
	F_NAMESIZE,
	F_CHECK,
	F_COUNT
};

/* Inodes with several names: the archive's identity to ours. */
struct hardlink {
	struct fs_node node; /* key: hash of id */
	uint32_t id[3];
	struct fs_inode *inode;
};

struct loader {
	struct fs *fs;
	const struct fs_archive *archive;
	struct fs_archive_report *report;
	const char *root;
	size_t root_len;
	struct fs_node *links;
	uint64_t at; /* the member */
	uint32_t field[F_COUNT];
	const char *name;
	size_t name_len;
	uint64_t data; /* offset */
};

static int
load_fail(struct loader *ld, int err, const char *reason)
{
	if (!ld->report->reason)
		ld->report->reason = reason;
	ld->report->offset = ld->at;
	return err;
}

static bool
hex_parse(const uint8_t *text, uint32_t *out)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 8; i++) {
		uint8_t c = text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	*out = value;
	return true;
}

/* Header, name and extent of the member at ld->at; *next is where the following one begins. */
static int
member_parse(struct loader *ld, uint64_t *next)
{
	const struct fs_archive *archive = ld->archive;
	const uint8_t *head = archive->data + ld->at;
	uint64_t left = archive->size - ld->at, name_end;
	uint32_t name_size;

	if (left < HEADER_SIZE)
		return load_fail(ld, -EINVAL, "ends without a trailer");
	if (memcmp(head, "070701", 6) != 0)
		return load_fail(ld, -EINVAL, "bad magic");
	for (unsigned i = 0; i < F_COUNT; i++) {
		if (!hex_parse(head + 6 + 8 * i, &ld->field[i]))
			return load_fail(ld, -EINVAL, "bad digit");
	}
	name_size = ld->field[F_NAMESIZE];
	if (!name_size || name_size > left - HEADER_SIZE)
		return load_fail(ld, -EINVAL, "name size");
	ld->name = (const char *)head + HEADER_SIZE;
	ld->name_len = strnlen(ld->name, name_size);
	for (uint32_t i = (uint32_t)ld->name_len; i < name_size; i++) {
		if (ld->name[i])
			return load_fail(ld, -EINVAL, "name with a NUL inside");
	}
	if (ld->name_len == name_size || !ld->name_len)
		return load_fail(ld, -EINVAL, "name without an end");
	if (ld->name_len >= FS_PATH_MAX)
		return load_fail(ld, -EINVAL, "name too long");
	name_end = (ld->at + HEADER_SIZE + name_size + 3) & ~3ull;
	if (name_end > archive->size || ld->field[F_FILESIZE] > archive->size - name_end)
		return load_fail(ld, -EINVAL, "data past the end");
	ld->data = name_end;
	*next = (name_end + ld->field[F_FILESIZE] + 3) & ~3ull;
	return 0;
}

/* A valid name has components that are neither empty, "." nor "..", and is not absolute. */
static bool
name_valid(const char *name, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		size_t part = i - start;

		if (i < len && name[i] != '/')
			continue;
		if (!part || part > FS_NAME_MAX || (part == 1 && name[start] == '.') ||
		    (part == 2 && name[start] == '.' && name[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

/* Cuts the prefix. 1: below it, 0: not, and the member is passed over. The root itself has length
 * 0. */
static int
name_below(struct loader *ld)
{
	if (ld->name_len >= 2 && ld->name[0] == '.' && ld->name[1] == '/') {
		ld->name += 2;
		ld->name_len -= 2;
	} else if (ld->name_len == 1 && ld->name[0] == '.') {
		ld->name_len = 0;
		return !ld->root_len;
	}
	if (!name_valid(ld->name, ld->name_len))
		return load_fail(ld, -EINVAL, "name that is no plain relative path");
	if (!ld->root_len)
		return 1;
	if (ld->name_len < ld->root_len || memcmp(ld->name, ld->root, ld->root_len) != 0)
		return 0;
	if (ld->name_len > ld->root_len && ld->name[ld->root_len] != '/')
		return 0;
	ld->name += ld->root_len;
	ld->name_len -= ld->root_len;
	if (ld->name_len) {
		ld->name++;
		ld->name_len--;
	}
	return 1;
}

/* The directory that the member goes into, made where the archive does not list it. */
static int
parent_find(struct loader *ld, struct fs_inode **out)
{
	struct fs_inode *dir = ld->fs->root;
	size_t start = 0;

	for (size_t i = 0; i < ld->name_len; i++) {
		struct fs_dirent *entry;
		struct fs_inode *next;
		int err;

		if (ld->name[i] != '/')
			continue;
		entry = dir_find(ld->fs, dir, ld->name + start, i - start);
		if (entry) {
			next = entry->inode;
		} else {
			err = node_create(ld->fs, &fs_cred_root, dir, ld->name + start, i - start,
					  FS_IFDIR | 0755, &next);
			if (err)
				return load_fail(ld, err, "no room");
		}
		if (!inode_is(next, FS_IFDIR) || next->dir.covered)
			return load_fail(ld, -EINVAL, "lies below something that is no directory");
		dir = next;
		start = i + 1;
	}
	ld->name += start;
	ld->name_len -= start;
	*out = dir;
	return 0;
}

static int
data_load(struct loader *ld, struct fs_inode *inode)
{
	const struct fs_archive *archive = ld->archive;
	struct fs *fs = ld->fs;
	uint64_t size = ld->field[F_FILESIZE], pages = pages_of(size);
	uint64_t first = ld->data / FS_PAGE_SIZE;
	bool borrow = archive->borrow && ld->data % FS_PAGE_SIZE == 0 &&
		      archive->pfn <= FS_PFN_MAX && first + pages <= FS_PFN_MAX - archive->pfn;

	inode->size = size;
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t left = size - (i << FS_PAGE_SHIFT);
		uint32_t pfn;
		int err;

		if (borrow) {
			err = page_borrow(fs, inode, i, archive->pfn + (uint32_t)(first + i));
			ld->report->borrowed += !err;
		} else {
			err = page_fill(fs, inode, i, 0, &pfn);
			if (!err)
				fs->ops->frame_write(
					fs->ctx, pfn, 0,
					archive->data + ld->data + (i << FS_PAGE_SHIFT),
					left < FS_PAGE_SIZE ? (uint32_t)left : FS_PAGE_SIZE);
			ld->report->copied += !err;
		}
		if (err) {
			pages_cut(fs, inode, 0, UINT64_MAX);
			inode->size = 0;
			return load_fail(ld, err, "no room");
		}
	}
	return 0;
}

static void
member_attributes(struct loader *ld, struct fs_inode *inode)
{
	inode->mode = (inode->mode & FS_IFMT) | (ld->field[F_MODE] & 07777);
	inode->uid = ld->field[F_UID];
	inode->gid = ld->field[F_GID];
	inode->mtime = (int64_t)ld->field[F_MTIME] * 1000000000;
	inode->atime = inode->mtime;
	inode->ctime = inode->mtime;
}

/* A member of a set of names: *out is the inode that an earlier one made, or NULL and a place for
 * it. */
static int
hardlink_find(struct loader *ld, struct hardlink **out)
{
	uint32_t id[3] = {ld->field[F_INO], ld->field[F_DEVMAJOR], ld->field[F_DEVMINOR]};
	uint64_t key = fs_hash(ld->fs, id, sizeof(id));
	struct fs_node *node = treap_find(ld->links, key);
	struct hardlink *link;
	int err;

	if (node) {
		*out = FS_CONTAINER(node, struct hardlink, node);
		if (memcmp((*out)->id, id, sizeof(id)) != 0)
			return load_fail(ld, -EINVAL, "link identity");
		return 0;
	}
	err = mem_alloc(ld->fs, sizeof(*link), &link);
	if (err)
		return load_fail(ld, err, "no room");
	link->node.key = key;
	link->node.prio = fs_random(ld->fs);
	memcpy(link->id, id, sizeof(id));
	treap_insert(&ld->links, &link->node);
	*out = link;
	return 0;
}

/* One more name for an inode; its data may come with any one of them. */
static int
hardlink_add(struct loader *ld, struct fs_inode *dir, struct fs_inode *inode)
{
	struct fs_dirent *entry;
	int err;

	if (ld->field[F_FILESIZE] && inode->size)
		return load_fail(ld, -EINVAL, "linked file with data twice");
	if (ld->field[F_FILESIZE]) {
		err = data_load(ld, inode);
		if (err)
			return err;
	}
	err = dirent_new(ld->fs, dir, ld->name, ld->name_len, &entry);
	if (err)
		return load_fail(ld, err, "no room");
	dir_attach(ld->fs, dir, entry, inode);
	return 0;
}

static int
link_load(struct loader *ld, struct fs_inode *dir, struct fs_inode **out)
{
	const char *text = (const char *)ld->archive->data + ld->data;
	uint32_t len = ld->field[F_FILESIZE];
	char *copy;
	int err;

	if (!len || len >= FS_PATH_MAX || strnlen(text, len) != len)
		return load_fail(ld, -EINVAL, "symbolic link's target");
	err = mem_alloc(ld->fs, len + 1ull, &copy);
	if (!err) {
		err = node_create(ld->fs, &fs_cred_root, dir, ld->name, ld->name_len,
				  FS_IFLNK | 0777, out);
		if (err)
			mem_free(ld->fs, copy, len + 1ull);
	}
	if (err)
		return load_fail(ld, err, "no room");
	memcpy(copy, text, len);
	(*out)->link.text = copy;
	(*out)->link.len = len;
	return 0;
}

static int
regular_load(struct loader *ld, struct fs_inode *dir)
{
	struct hardlink *link = NULL;
	struct fs_inode *inode;
	int err = 0;

	if (ld->field[F_NLINK] > 1)
		err = hardlink_find(ld, &link);
	if (err)
		return err;
	if (link && link->inode)
		return hardlink_add(ld, dir, link->inode);
	err = node_create(ld->fs, &fs_cred_root, dir, ld->name, ld->name_len, FS_IFREG, &inode);
	if (err)
		return load_fail(ld, err, "no room");
	member_attributes(ld, inode);
	if (link)
		link->inode = inode;
	return data_load(ld, inode);
}

static int
other_load(struct loader *ld, struct fs_inode *dir)
{
	uint32_t type = ld->field[F_MODE] & FS_IFMT;
	uint32_t major = ld->field[F_RDEVMAJOR], minor = ld->field[F_RDEVMINOR];
	struct fs_inode *inode;
	int err;

	if (type == FS_IFLNK) {
		err = link_load(ld, dir, &inode);
		if (err)
			return err;
		member_attributes(ld, inode);
		inode->mode = FS_IFLNK | 0777;
		return 0;
	}
	if (type != FS_IFDIR && type != FS_IFIFO && type != FS_IFCHR && type != FS_IFBLK &&
	    type != FS_IFSOCK)
		return load_fail(ld, -EINVAL, "unknown type");
	if (ld->field[F_FILESIZE])
		return load_fail(ld, -EINVAL, "data where none belongs");
	err = node_create(ld->fs, &fs_cred_root, dir, ld->name, ld->name_len, type, &inode);
	if (err)
		return load_fail(ld, err, "no room");
	member_attributes(ld, inode);
	/* As C libraries compose dev_t. */
	if (type == FS_IFCHR || type == FS_IFBLK)
		inode->rdev = (minor & 0xff) | (uint64_t)(major & 0xfff) << 8 |
			      (uint64_t)(minor & ~0xffu) << 12 | (uint64_t)(major & ~0xfffu) << 32;
	return 0;
}

static int
member_load(struct loader *ld)
{
	uint32_t type = ld->field[F_MODE] & FS_IFMT;
	struct fs_inode *dir = ld->fs->root;
	struct fs_dirent *entry;
	int err;

	if (ld->name_len) {
		err = parent_find(ld, &dir);
		if (err)
			return err;
		entry = dir_find(ld->fs, dir, ld->name, ld->name_len);
		if (!entry)
			return type == FS_IFREG ? regular_load(ld, dir) : other_load(ld, dir);
		dir = entry->inode;
	}
	/* What is there already can only be a directory that gets its attributes. */
	if (type != FS_IFDIR || !inode_is(dir, FS_IFDIR))
		return load_fail(ld, -EEXIST, "name twice");
	if (ld->field[F_FILESIZE])
		return load_fail(ld, -EINVAL, "data where none belongs");
	member_attributes(ld, dir);
	return 0;
}

static int
archive_load(struct loader *ld)
{
	for (;;) {
		uint64_t next = 0;
		int err = member_parse(ld, &next);

		if (err)
			return err;
		ld->report->members++;
		if (ld->name_len == 10 && !memcmp(ld->name, "TRAILER!!!", 10))
			return 0;
		err = name_below(ld);
		if (err < 0)
			return err;
		if (err) {
			err = member_load(ld);
			if (err)
				return err;
			ld->report->loaded++;
		}
		if (next > ld->archive->size)
			next = ld->archive->size;
		ld->at = next;
	}
}

int
fs_load_cpio(struct fs *fs, const struct fs_archive *archive, struct fs_archive_report *report)
{
	struct fs_archive_report own = {0};
	struct loader ld = {.fs = fs, .archive = archive, .report = report ? report : &own};
	int err;

	*ld.report = own;
	ld.root = archive->root ? archive->root : "";
	ld.root_len = strlen(ld.root);
	while (ld.root_len && ld.root[ld.root_len - 1] == '/')
		ld.root_len--;
	err = archive_load(&ld);
	while (ld.links) {
		struct fs_node *node = ld.links;

		treap_remove(&ld.links, node);
		mem_free(fs, FS_CONTAINER(node, struct hardlink, node), sizeof(struct hardlink));
	}
	return err;
}
