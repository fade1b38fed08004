/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: the input is a boot archive, borrowed in place.
 *
 * After the load all invariants hold; every file that came is read in full, written, cut and grown
 * (which copies borrowed pages), every directory listed, and nothing is left when the tree goes.
 * The first byte chooses prefix and alignment. Build with clang
 * -fsanitize=fuzzer,address,undefined.
 */
#define FAKE_FRAMES 1024u
#include "test/host/fs_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
file_use(struct fs *fs, struct fake *fake, struct fs_inode *inode)
{
	static uint8_t buf[1 << 20];
	uint64_t size = fs_size(fs, inode);

	if (fake_pread(fs, fake, inode, 0, buf, sizeof(buf)) !=
	    (int)(size < sizeof(buf) ? size : sizeof(buf)))
		abort();
	fake_pwrite(fs, fake, inode, size / 2, "x", 1);
	fs_set_size(fs, inode, size / 3);
	fs_set_size(fs, inode, size + 5000);
}

static void
dir_use(struct fs *fs, struct fs_inode *dir)
{
	static uint8_t buf[1024];
	uint64_t cookie = 0;

	while (fs_getdents(fs, &fs_cred_root, dir, &cookie, buf, sizeof(buf)) > 0)
		;
	fs_getcwd(fs, dir, (char *)buf, sizeof(buf));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const prefix[4] = {"", "root/", "a", "root"};
	static struct fake fake;
	struct fs_archive archive;
	const char *reason;
	struct fs *fs;

	if (!size)
		return 0;
	memset(&fake, 0, sizeof(fake));
	archive = (struct fs_archive){data + 1, size - 1, FAKE_ARCHIVE, data[0] & 4,
				      prefix[data[0] & 3]};
	fake.archive = data + 1;
	fake.archive_size = size - 1;
	fs = fake_fs(&fake, 1 << 20, 512, 4096);
	fs_load_cpio(fs, &archive, NULL);
	if (!fs_check(fs, &reason))
		abort();
	for (uint32_t id = 1; id < 200; id++) {
		struct fs_inode *inode = fs_find(fs, id);

		if (inode && (fs_mode(inode) & FS_IFMT) == FS_IFREG)
			file_use(fs, &fake, inode);
		else if (inode && (fs_mode(inode) & FS_IFMT) == FS_IFDIR)
			dir_use(fs, inode);
		fs_close(fs, inode);
	}
	if (!fs_check(fs, &reason))
		abort();
	fs_destroy(fs);
	if (fake.bytes || fake.frames || fake.bad)
		abort();
	return 0;
}
