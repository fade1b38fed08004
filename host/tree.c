/* SPDX-License-Identifier: MIT */
/*
 * The guest's root directory, built in memory before it is written: a skeleton or a folder of the
 * host, and what is added to it.  File contents stay where they are on the host.
 *
 *  1. A directory's children have different names; the table of buckets finds them by parent
 *     and name.
 *  2. Every path that is added goes through the tree's own symbolic links, never the host's,
 *     and never above the root.
 *  3. What is added later replaces what was there, except a directory, which it may only
 *     extend.
 *  4. A content's `names` is the number of nodes that refer to it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

#define LINKS_FOLLOWED 40u
#define DEFAULT_DIR    (S_IFDIR | 0755u)

struct link {
	dev_t device;
	ino_t inode;
	struct content *content;
};

static size_t
name_hash(const struct node *parent, const char *name, size_t length)
{
	uint64_t hash = (uint64_t)(uintptr_t)parent >> 4;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ull;
	return (size_t)(hash ^ hash >> 29);
}

static struct node *
node_lookup(struct tree *tree, struct node *parent, const char *name, size_t length)
{
	size_t slot = name_hash(parent, name, length) & (tree->bucket_count - 1);

	for (struct node *node = tree->buckets[slot]; node; node = node->hash_next)
		if (node->parent == parent && strncmp(node->name, name, length) == 0 &&
		    node->name[length] == 0)
			return node;
	return NULL;
}

static void
buckets_grow(struct tree *tree)
{
	size_t count = tree->bucket_count * 2;
	struct node **buckets = allocate(count * sizeof(struct node *));

	for (size_t i = 0; i < tree->bucket_count; i++) {
		for (struct node *node = tree->buckets[i], *next; node; node = next) {
			size_t slot = name_hash(node->parent, node->name, strlen(node->name));

			next = node->hash_next;
			node->hash_next = buckets[slot & (count - 1)];
			buckets[slot & (count - 1)] = node;
		}
	}
	free(tree->buckets);
	tree->buckets = buckets;
	tree->bucket_count = count;
}

static struct node *
node_new(struct tree *tree, struct node *parent, const char *name, size_t length, uint32_t mode)
{
	struct node *node = allocate(sizeof(*node));
	size_t slot;

	if (tree->node_count >= tree->bucket_count)
		buckets_grow(tree);
	node->name = format_text("%.*s", (int)length, name);
	node->parent = parent;
	node->mode = mode;
	slot = name_hash(parent, name, length) & (tree->bucket_count - 1);
	node->hash_next = tree->buckets[slot];
	tree->buckets[slot] = node;
	tree->node_count++;
	if (parent && parent->last_child)
		parent->last_child->next = node;
	else if (parent)
		parent->children = node;
	if (parent)
		parent->last_child = node;
	return node;
}

struct tree *
tree_new(void)
{
	struct tree *tree = allocate(sizeof(*tree));

	tree->bucket_count = 256;
	tree->buckets = allocate(tree->bucket_count * sizeof(struct node *));
	tree->root = node_new(tree, NULL, "", 0, DEFAULT_DIR);
	return tree;
}

/*
 * Walks an absolute path, following every symbolic link.  With `create`, missing directories are
 * made and what stands in the way ends the command; else it answers NULL.
 */
static struct node *
tree_walk(struct tree *tree, const char *path, bool create)
{
	char *rest = duplicate(path), *at = rest;
	struct node *node = tree->root;
	unsigned links = 0;

	while (node && *at) {
		size_t length = strcspn(at, "/");
		struct node *child = node;

		if (length == 2 && at[0] == '.' && at[1] == '.')
			child = node->parent ? node->parent : node;
		else if (length > 0 && !(length == 1 && at[0] == '.'))
			child = S_ISDIR(node->mode) ? node_lookup(tree, node, at, length) : NULL;
		if (!child && create && S_ISDIR(node->mode))
			child = node_new(tree, node, at, length, DEFAULT_DIR);
		at += length + (at[length] == '/');
		if (child && S_ISLNK(child->mode)) {
			char *target = child->content->bytes;
			char *joined = format_text("%s/%s", target, at);

			child = target[0] == '/' ? tree->root : node;
			if (++links > LINKS_FOLLOWED)
				child = NULL;
			free(rest);
			rest = at = joined;
		}
		node = child;
	}
	free(rest);
	if (create && (!node || !S_ISDIR(node->mode)))
		die("%s: a part of this path is not a directory in the guest", path);
	return node;
}

struct node *
tree_find(struct tree *tree, const char *path)
{
	return tree_walk(tree, path, false);
}

/* The name `name` in a directory, ready to become something that is not a directory. */
static struct node *
node_claim(struct tree *tree, struct node *parent, const char *name, uint32_t mode, uint32_t mtime)
{
	struct node *node = node_lookup(tree, parent, name, strlen(name));

	if (!node)
		node = node_new(tree, parent, name, strlen(name), mode);
	else if (S_ISDIR(node->mode))
		die("%s: is a directory in the guest, a file cannot replace it", name);
	if (node->content)
		node->content->names--;
	node->content = NULL;
	node->mode = mode;
	node->mtime = mtime;
	return node;
}

static struct content *
content_bytes(const char *bytes, size_t count)
{
	struct content *content = allocate(sizeof(*content));

	content->bytes = reallocate(NULL, count + 1);
	memcpy(content->bytes, bytes, count);
	content->bytes[count] = 0;
	content->size = count;
	content->names = 1;
	return content;
}

static int
link_compare(const void *left, const void *right)
{
	const struct link *a = left, *b = right;

	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	return (a->inode > b->inode) - (a->inode < b->inode);
}

/* The content of a host's file; names of one file that are met in one tree share it. */
static struct content *
content_source(struct tree *tree, const char *source, const struct stat *status)
{
	struct link *link = allocate(sizeof(*link)), **found;

	*link = (struct link){.device = status->st_dev, .inode = status->st_ino};
	found = tsearch(link, &tree->links, link_compare);
	if (!found)
		die("out of memory");
	if (*found != link) {
		free(link);
		(*found)->content->names++;
		return (*found)->content;
	}
	link->content = allocate(sizeof(*link->content));
	link->content->source = duplicate(source);
	link->content->size = (uint64_t)status->st_size;
	link->content->names = 1;
	return link->content;
}

static uint32_t
stat_mtime(const struct stat *status)
{
	int64_t seconds = status->st_mtim.tv_sec;

	return seconds < 0 ? 0 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static void
add_file(struct tree *tree, struct node *parent, const char *name, const char *source,
	 const struct stat *status)
{
	uint32_t mode = S_IFREG | (status->st_mode & 07777u);
	struct node *node = node_claim(tree, parent, name, mode, stat_mtime(status));
	struct content *content;

	/* Only files that have several names on the host are to have several here. */
	if (status->st_nlink > 1) {
		content = content_source(tree, source, status);
	} else {
		content = allocate(sizeof(*content));
		content->source = duplicate(source);
		content->size = (uint64_t)status->st_size;
		content->names = 1;
	}
	node->content = content;
}

static void
add_symlink(struct tree *tree, struct node *parent, const char *name, const char *source,
	    const struct stat *status)
{
	struct node *node = node_lookup(tree, parent, name, strlen(name));
	char target[PATH_MAX];
	ssize_t length = readlink(source, target, sizeof(target));

	if (length <= 0 || (size_t)length >= sizeof(target))
		die("%s: cannot read this symbolic link: %s", source, strerror(errno));
	if (node && S_ISDIR(node->mode))
		die("%s: is a directory in the guest, a symbolic link cannot replace it", source);
	node = node_claim(tree, parent, name, S_IFLNK | 0777u, stat_mtime(status));
	node->content = content_bytes(target, (size_t)length);
}

static int
name_compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The names in a folder, sorted.  False: it cannot be read. */
static bool
folder_names(const char *source, struct list *names)
{
	DIR *folder = opendir(source);
	struct dirent *entry;

	if (!folder)
		return false;
	while ((entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			list_add(names, duplicate(entry->d_name));
	closedir(folder);
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(char *), name_compare);
	return true;
}

static void add_folder(struct tree *tree, struct node *node, const char *source,
		       const struct stat *status);

/* A subfolder; one that is already there, perhaps through a symbolic link, is extended. */
static void
add_subfolder(struct tree *tree, struct node *parent, const char *name, const char *source,
	      const struct stat *status, dev_t device)
{
	struct node *node = node_lookup(tree, parent, name, strlen(name));

	if (node && S_ISLNK(node->mode)) {
		struct text path = {0};

		text_add(&path, "/", 1);
		tree_path(node, &path);
		node = tree_walk(tree, path.bytes, true);
		free(path.bytes);
	}
	if (!node)
		node = node_new(tree, parent, name, strlen(name), DEFAULT_DIR);
	if (!S_ISDIR(node->mode))
		die("%s: is a file in the guest, a folder cannot replace it", source);
	node->mode = S_IFDIR | (status->st_mode & 07777u);
	node->mtime = stat_mtime(status);
	if (status->st_dev == device)
		add_folder(tree, node, source, status);
}

/* What is in a folder, on its own device only: other devices mounted in it stay outside. */
static void
add_folder(struct tree *tree, struct node *node, const char *source, const struct stat *status)
{
	struct list names = {0};

	if (!folder_names(source, &names))
		tree->skipped_unreadable++;
	for (size_t i = 0; i < names.count; i++) {
		char *name = names.items[i];
		char *path = format_text("%s/%s", strcmp(source, "/") == 0 ? "" : source, name);
		struct stat found;

		if (lstat(path, &found) != 0)
			tree->skipped_unreadable++;
		else if (S_ISDIR(found.st_mode))
			add_subfolder(tree, node, name, path, &found, status->st_dev);
		else if (S_ISLNK(found.st_mode))
			add_symlink(tree, node, name, path, &found);
		else if (S_ISFIFO(found.st_mode))
			node_claim(tree, node, name, found.st_mode, stat_mtime(&found));
		else if (!S_ISREG(found.st_mode))
			tree->skipped_special++;
		else if (access(path, R_OK) != 0)
			tree->skipped_unreadable++;
		else
			add_file(tree, node, name, path, &found);
		free(path);
		free(name);
	}
	free(names.items);
}

void
tree_add_host(struct tree *tree, const char *source, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct stat status;
	struct node *parent;

	if (stat(source, &status) != 0)
		die("%s: %s", source, strerror(errno));
	if (S_ISDIR(status.st_mode)) {
		struct node *node = tree_walk(tree, path, true);

		node->mode = S_IFDIR | (status.st_mode & 07777u);
		node->mtime = stat_mtime(&status);
		add_folder(tree, node, source, &status);
		return;
	}
	if (!S_ISREG(status.st_mode))
		die("%s: is neither a file nor a folder", source);
	if (access(source, R_OK) != 0)
		die("%s: %s", source, strerror(errno));
	if (!slash || !slash[1])
		die("%s: a file cannot be the guest's root directory", source);
	parent = tree_walk(tree, "", true);
	if (slash > path) {
		char *folder = format_text("%.*s", (int)(slash - path), path);

		parent = tree_walk(tree, folder, true);
		free(folder);
	}
	add_file(tree, parent, slash + 1, source, &status);
}

static void
add_bytes(struct tree *tree, const char *folder, const char *name, const char *bytes)
{
	struct node *parent = tree_walk(tree, folder, true);
	struct node *node = node_claim(tree, parent, name, S_IFREG | 0644u, 0);

	node->content = content_bytes(bytes, strlen(bytes));
}

void
tree_skeleton(struct tree *tree)
{
	static const char *const folders[] = {"/bin",     "/dev",     "/etc", "/lib",
					      "/proc",    "/root",    "/tmp", "/usr",
					      "/usr/bin", "/usr/lib", "/var", "/var/tmp"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		tree_walk(tree, folders[i], true);
	tree_walk(tree, "/root", true)->mode = S_IFDIR | 0700u;
	tree_walk(tree, "/tmp", true)->mode = S_IFDIR | 01777u;
	tree_walk(tree, "/var/tmp", true)->mode = S_IFDIR | 01777u;
	add_bytes(tree, "/etc", "group", "root:x:0:\nnogroup:x:65534:\n");
	add_bytes(tree, "/etc", "hostname", "exos\n");
	add_bytes(tree, "/etc", "hosts", "127.0.0.1\tlocalhost\n");
	add_bytes(tree, "/etc", "passwd",
		  "root:x:0:0:root:/root:/bin/sh\n"
		  "nobody:x:65534:65534:nobody:/:/bin/false\n");
}

void
tree_add_root(struct tree *tree, const char *directory)
{
	static const char *const needed[] = {"/dev", "/proc", "/tmp"};
	struct stat status;

	if (stat(directory, &status) != 0)
		die("--root %s: %s", directory, strerror(errno));
	if (!S_ISDIR(status.st_mode))
		die("--root %s: is not a directory", directory);
	if (access(directory, R_OK | X_OK) != 0)
		die("--root %s: %s", directory, strerror(errno));
	tree_add_host(tree, directory, "/");
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!tree_find(tree, needed[i]))
			tree_walk(tree, needed[i], true)->mode =
				i == 2 ? S_IFDIR | 01777u : DEFAULT_DIR;
}

struct node *
tree_next(const struct node *node)
{
	if (node->children)
		return node->children;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

void
tree_path(const struct node *node, struct text *path)
{
	if (!node->parent)
		return;
	if (node->parent->parent) {
		tree_path(node->parent, path);
		text_add(path, "/", 1);
	}
	text_add(path, node->name, strlen(node->name));
}

void
tree_report(const struct tree *tree)
{
	if (tree->skipped_special > 0)
		note("left out of the guest's root: %u devices or sockets", tree->skipped_special);
	if (tree->skipped_unreadable > 0)
		note("left out of the guest's root: %u files or folders that cannot be read",
		     tree->skipped_unreadable);
}
