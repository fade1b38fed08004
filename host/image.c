/* SPDX-License-Identifier: MIT */
/*
 * The boot archive: a `newc` cpio file whose layout include/host/manifest.h describes.
 *
 * It is written twice by the same code: the first pass only counts, so that the size is known
 * before anything is copied; the second writes, to memory if it is small and else to an unnamed
 * file in TMPDIR.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"
#include "host/manifest.h"

#define HEADER_BYTES  110u
#define IN_MEMORY     (64ull << 20)   /* larger archives go to a file */
#define ARCHIVE_MOST  (1900ull << 20) /* it must lie in the lowest 2 GiB */
#define MEMORY_BESIDE (48ull << 20)   /* least memory that the guest needs beside the archive */
#define CHUNK         (1u << 20)

struct writer {
	int fd; /* -1: only count */
	unsigned pass;
	uint64_t offset;
	uint32_t inodes;
	struct text buffer; /* not written yet; ends at offset */
};

static void
writer_flush(struct writer *writer)
{
	size_t done = 0;

	while (done < writer->buffer.count) {
		ssize_t count =
			write(writer->fd, writer->buffer.bytes + done, writer->buffer.count - done);

		if (count < 0)
			die("cannot write the boot archive: %s", strerror(errno));
		done += (size_t)count;
	}
	writer->buffer.count = 0;
}

static void
writer_add(struct writer *writer, const void *bytes, uint64_t count)
{
	writer->offset += count;
	if (writer->fd < 0)
		return;
	text_add(&writer->buffer, bytes, (size_t)count);
	if (writer->buffer.count >= CHUNK)
		writer_flush(writer);
}

static void
writer_zeros(struct writer *writer, uint64_t count)
{
	static const char zeros[MANIFEST_PAGE];

	while (count > 0) {
		uint64_t part = count < sizeof(zeros) ? count : sizeof(zeros);

		writer_add(writer, zeros, part);
		count -= part;
	}
}

static void
writer_align(struct writer *writer, uint64_t alignment)
{
	writer_zeros(writer, -writer->offset & (alignment - 1));
}

/* A host's file; if it has become shorter, zeros take the place of what is missing. */
static void
writer_copy(struct writer *writer, const char *source, uint64_t size)
{
	uint64_t left = size;
	int from;

	if (writer->fd < 0) {
		writer->offset += size;
		return;
	}
	from = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (from < 0)
		die("%s: %s", source, strerror(errno));
	writer_flush(writer);
	while (left > 0) {
		size_t wanted = left < CHUNK * 64ull ? (size_t)left : CHUNK * 64u;
		ssize_t count = sendfile(writer->fd, from, NULL, wanted);

		if (count < 0)
			die("%s: cannot copy: %s", source, strerror(errno));
		if (count == 0)
			break;
		left -= (uint64_t)count;
	}
	close(from);
	writer->offset += size - left;
	if (left > 0)
		note("%s: became shorter while it was read", source);
	writer_zeros(writer, left);
}

struct member {
	const char *name;
	uint32_t mode, mtime, ino, links;
	uint64_t size;
	bool page; /* the data begins at a page boundary */
};

/* The header and the name, and zeros up to where the data begins. */
static void
writer_member(struct writer *writer, const struct member *member)
{
	uint64_t alignment = member->page && member->size > 0 ? MANIFEST_PAGE : 4;
	uint64_t name_end = writer->offset + HEADER_BYTES + strlen(member->name) + 1;
	uint64_t padding = -name_end & (alignment - 1);
	/* Zeros up to a multiple of 4 follow a name in any case; only page alignment makes it
	 * longer. */
	uint64_t longer = alignment == MANIFEST_PAGE ? padding : 0;
	char header[HEADER_BYTES + 1];

	if (member->size > UINT32_MAX)
		die("%s: is too large for the boot archive (4 GiB or more)", member->name);
	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", member->ino,
		 member->mode, 0u, 0u, member->links, member->mtime, (uint32_t)member->size, 0u, 0u,
		 0u, 0u, (uint32_t)(strlen(member->name) + 1 + longer), 0u);
	writer_add(writer, header, HEADER_BYTES);
	writer_add(writer, member->name, strlen(member->name) + 1);
	writer_zeros(writer, padding);
}

static void
writer_text(struct writer *writer, const char *name, const struct text *text)
{
	struct member member = {.name = name, .mode = S_IFREG | 0444u, .links = 1, .page = true};

	member.ino = ++writer->inodes;
	member.size = text->count;
	writer_member(writer, &member);
	writer_add(writer, text->bytes, text->count);
	writer_align(writer, 4);
}

static void
writer_file(struct writer *writer, const char *name, const char *source)
{
	struct member member = {.name = name, .mode = S_IFREG | 0444u, .links = 1, .page = true};
	struct stat status;

	member.ino = ++writer->inodes;
	if (stat(source, &status) != 0)
		die("%s: %s", source, strerror(errno));
	member.size = (uint64_t)status.st_size;
	writer_member(writer, &member);
	writer_copy(writer, source, member.size);
	writer_align(writer, 4);
}

static void
writer_node(struct writer *writer, const struct node *node, const char *name)
{
	struct content *content = node->content;
	struct member member = {.name = name, .mode = node->mode, .mtime = node->mtime, .links = 1};
	bool first = content && content->written != writer->pass;

	member.ino = content && !first ? content->ino : ++writer->inodes;
	if (S_ISDIR(node->mode))
		member.links = 2;
	if (content && S_ISREG(node->mode)) {
		member.links = content->names;
		member.page = true;
	}
	if (first) {
		member.size = content->size;
		content->ino = member.ino;
		content->written = writer->pass;
	}
	writer_member(writer, &member);
	if (member.size > 0 && content->source)
		writer_copy(writer, content->source, content->size);
	else if (member.size > 0)
		writer_add(writer, content->bytes, content->size);
	writer_align(writer, 4);
}

static void
writer_archive(struct writer *writer, struct tree *tree, const char *libos, const char *image,
	       const struct text *manifest)
{
	const struct member boot = {.name = "boot", .mode = S_IFDIR | 0555u, .ino = 1, .links = 2};
	const struct member trailer = {.name = "TRAILER!!!", .links = 1};
	char *libos_name = format_text("boot/%s", libos);

	writer->inodes = 1;
	writer_member(writer, &boot);
	writer_file(writer, libos_name, image); /* its data: the second page of all */
	writer_text(writer, "boot/manifest", manifest);
	for (struct node *node = tree->root; node; node = tree_next(node)) {
		struct text path = {0};

		text_print(&path, "root%s", node->parent ? "/" : "");
		tree_path(node, &path);
		writer_node(writer, node, path.bytes);
		free(path.bytes);
	}
	writer_member(writer, &trailer);
	writer_align(writer, MANIFEST_PAGE);
	free(libos_name);
}

/* An unnamed file: in memory, or in TMPDIR. */
static int
image_open(uint64_t size)
{
	const char *directory = getenv("TMPDIR");
	char *name;
	int fd;

	if (size <= IN_MEMORY) {
		fd = memfd_create("exo-archive", MFD_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	if (!directory || !*directory)
		directory = "/tmp";
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	name = format_text("%s/exo-archive-XXXXXX", directory);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		die("cannot make a temporary file in %s: %s", directory, strerror(errno));
	unlink(name);
	free(name);
	return fd;
}

int
image_write(const struct options *options, struct tree *tree, const char *image,
	    const struct text *manifest)
{
	struct writer counter = {.fd = -1, .pass = 1}, writer = {.pass = 2};
	uint64_t megabytes;

	writer_archive(&counter, tree, options->libos, image, manifest);
	megabytes = (counter.offset + MEMORY_BESIDE) >> 20;
	if (counter.offset > ARCHIVE_MOST)
		die("the guest's files take %llu MiB; more than %llu MiB are not possible",
		    (unsigned long long)counter.offset >> 20, ARCHIVE_MOST >> 20);
	if (options->memory < counter.offset + MEMORY_BESIDE)
		die("the guest's files take %llu MiB; at least --mem %lluM is needed",
		    (unsigned long long)counter.offset >> 20, (unsigned long long)megabytes + 1);
	writer.fd = image_open(counter.offset);
	writer_archive(&writer, tree, options->libos, image, manifest);
	writer_flush(&writer);
	free(writer.buffer.bytes);
	return writer.fd;
}
