/* SPDX-License-Identifier: MIT */
/*
 * The instance: creation, destruction, and the accounts that everything else draws on.
 *
 * Owns struct fs, its counters and its source of hashes and priorities. Invariants: (1)
 * usage.heap_bytes is the sum of all sizes given by mem_alloc and not yet given back, struct fs
 * included; (2) usage.frames is the number of own entries of all files; (3) neither exceeds its
 * limit. Names are hashed by SipHash-1-3 under a key that clients do not know: directory cookies
 * show hash values, and must not tell how to make collisions.
 */
#include "exos/fs/priv.h"

const struct fs_cred fs_cred_root;

int
mem_alloc(struct fs *fs, size_t size, void *out)
{
	void *mem;

	if (fs->limits.heap_max &&
	    (size > fs->limits.heap_max || fs->usage.heap_bytes > fs->limits.heap_max - size))
		return -ENOSPC;
	mem = fs->ops->alloc(fs->ctx, size);
	if (!mem)
		return -ENOMEM;
	memset(mem, 0, size);
	fs->usage.heap_bytes += size;
	*(void **)out = mem;
	return 0;
}

void
mem_free(struct fs *fs, void *ptr, size_t size)
{
	if (!ptr)
		return;
	fs->usage.heap_bytes -= size;
	fs->ops->free(fs->ctx, ptr, size);
}

int
fs_frame_take(struct fs *fs, uint32_t *pfn)
{
	if (fs->limits.frames_max && fs->usage.frames >= fs->limits.frames_max)
		return -ENOSPC;
	if (fs->ops->frame_alloc(fs->ctx, pfn))
		return -ENOSPC;
	if (*pfn > FS_PFN_MAX) {
		fs->ops->frame_free(fs->ctx, *pfn);
		return -ENOSPC;
	}
	fs->usage.frames++;
	return 0;
}

void
fs_frame_give(struct fs *fs, uint32_t pfn)
{
	fs->usage.frames--;
	fs->ops->frame_free(fs->ctx, pfn);
}

int64_t
fs_now(struct fs *fs)
{
	return fs->ops->now(fs->ctx);
}

static inline uint64_t
rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t
fs_hash(const struct fs *fs, const void *buf, size_t len)
{
	const uint8_t *at = buf;
	uint64_t word, v[4] = {
			       fs->seed[0] ^ 0x736f6d6570736575,
			       fs->seed[1] ^ 0x646f72616e646f6d,
			       fs->seed[0] ^ 0x6c7967656e657261,
			       fs->seed[1] ^ 0x7465646279746573,
		       };

	for (size_t left = len; left >= 8; left -= 8, at += 8) {
		memcpy(&word, at, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < len % 8; i++)
		word |= (uint64_t)at[i] << (8 * i);
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint32_t
fs_random(struct fs *fs)
{
	fs->prio ^= fs->prio >> 12;
	fs->prio ^= fs->prio << 25;
	fs->prio ^= fs->prio >> 27;
	return (uint32_t)((fs->prio * 0x2545f4914f6cdd1d) >> 32);
}

struct fs *
fs_create(const struct fs_ops *ops, void *ctx, const struct fs_limits *limits,
	  const uint64_t seed[2])
{
	struct fs *fs = ops->alloc(ctx, sizeof(*fs));

	if (!fs)
		return NULL;
	memset(fs, 0, sizeof(*fs));
	fs->ops = ops;
	fs->ctx = ctx;
	fs->limits = *limits;
	if (!fs->limits.inodes_max || fs->limits.inodes_max > FS_INODES_MAX)
		fs->limits.inodes_max = FS_INODES_MAX;
	fs->seed[0] = seed[0];
	fs->seed[1] = seed[1];
	fs->prio = fs_hash(fs, "priority", 8) | 1;
	fs->hash_mask = UINT64_MAX >> 10;
	fs->usage.heap_bytes = sizeof(*fs);
	fs->fresh = FS_ROOT_ID;
	fs->devs = 1;
	if (mem_alloc(fs, FS_CHUNKS * sizeof(*fs->table), &fs->table) ||
	    inode_new(fs, FS_IFDIR | 0755, 0, 0, &fs->root)) {
		fs_destroy(fs);
		return NULL;
	}
	fs->root->nlink = 2;
	fs->root->parent = fs->root;
	return fs;
}

void
fs_destroy(struct fs *fs)
{
	for (uint32_t id = FS_ROOT_ID; id < fs->fresh; id++) {
		struct fs_inode *inode = inode_at(fs, id);

		if (inode)
			inode_release(fs, inode);
	}
	mounts_free(fs);
	for (uint32_t i = 0; fs->table && i < FS_CHUNKS; i++)
		mem_free(fs, fs->table[i], FS_CHUNK * sizeof(**fs->table));
	mem_free(fs, fs->table, FS_CHUNKS * sizeof(*fs->table));
	fs->ops->free(fs->ctx, fs, sizeof(*fs));
}

void
fs_usage(const struct fs *fs, struct fs_usage *out)
{
	*out = fs->usage;
}

void
fs_statfs(const struct fs *fs, const struct fs_inode *inode, struct fs_statfs *out)
{
	memset(out, 0, sizeof(*out));
	out->bsize = FS_PAGE_SIZE;
	out->namelen = FS_NAME_MAX;
	if (inode && inode->synth) {
		out->type = inode->synth->mount->type;
		return;
	}
	out->type = 0x01021994; /* a file system in memory */
	out->files = fs->limits.inodes_max;
	out->ffree = out->files - fs->usage.inodes;
	if (fs->limits.frames_max) {
		out->blocks = fs->limits.frames_max;
		out->bfree = fs->limits.frames_max - fs->usage.frames;
		out->bavail = out->bfree;
	}
}
