/* SPDX-License-Identifier: MIT */
/*
 * What the tests of exos/fs share: TAP output that asserts every invariant with each check, one
 * file system at a time, and short forms of the calls with paths from the root.
 */
#ifndef TEST_HOST_FS_CASE_H
#define TEST_HOST_FS_CASE_H

#include "test/host/fs_fake.h"

#include "exos/fs/priv.h"

static int test_count, test_failures;
static struct fake *fake;
static struct fs *fs;
static struct fs_cred root_cred, user, other;

static inline void
check_at(bool good, const char *what, int line)
{
	const char *reason = NULL;

	test_count++;
	if (fs && !fs_check(fs, &reason)) {
		printf("# invariant: %s\n", reason);
		good = false;
	}
	if (fake && fake->bad) {
		printf("# frame protocol broken\n");
		good = false;
	}
	if (!good)
		test_failures++;
	printf("%sok %d - line %d: %s\n", good ? "" : "not ", test_count, line, what);
}

#define CHECK(condition) check_at((condition), #condition, __LINE__)
#define IS(call, value)                                                              \
	do {                                                                         \
		long long got_ = (long long)(call);                                  \
		check_at(got_ == (long long)(value), #call " == " #value, __LINE__); \
		if (got_ != (long long)(value))                                      \
			printf("# got %lld\n", got_);                                \
	} while (0)

/* --- short forms: path relative to the root --- */

static inline int
t_mkdir(const struct fs_cred *cred, const char *path, uint32_t mode)
{
	struct fs_path p = at(NULL, path);

	return fs_mkdir(fs, cred, &p, mode);
}

static inline int
t_unlink(const struct fs_cred *cred, const char *path)
{
	struct fs_path p = at(NULL, path);

	return fs_unlink(fs, cred, &p);
}

static inline int
t_rmdir(const struct fs_cred *cred, const char *path)
{
	struct fs_path p = at(NULL, path);

	return fs_rmdir(fs, cred, &p);
}

static inline int
t_symlink(const struct fs_cred *cred, const char *target, const char *path)
{
	struct fs_path p = at(NULL, path);

	return fs_symlink(fs, cred, target, strlen(target), &p);
}

static inline int
t_link(const struct fs_cred *cred, const char *from, const char *to)
{
	struct fs_path a = at(NULL, from), b = at(NULL, to);

	return fs_link(fs, cred, &a, 0, &b);
}

static inline int
t_rename(const struct fs_cred *cred, const char *from, const char *to, unsigned flags)
{
	struct fs_path a = at(NULL, from), b = at(NULL, to);

	return fs_rename(fs, cred, &a, &b, flags);
}

static inline int
t_mknod(const struct fs_cred *cred, const char *path, uint32_t mode, uint64_t rdev)
{
	struct fs_path p = at(NULL, path);

	return fs_mknod(fs, cred, &p, mode, rdev);
}

static inline struct fs_inode *
t_open(const struct fs_cred *cred, const char *path, unsigned flags, uint32_t mode)
{
	struct fs_path p = at(NULL, path);
	struct fs_inode *inode;

	return fs_open(fs, cred, &p, flags, mode, &inode) ? NULL : inode;
}

static inline int
t_open_err(const struct fs_cred *cred, const char *path, unsigned flags)
{
	struct fs_path p = at(NULL, path);
	struct fs_inode *inode;
	int err = fs_open(fs, cred, &p, flags, 0644, &inode);

	if (!err)
		fs_close(fs, inode);
	return err;
}

static inline int
t_make(const struct fs_cred *cred, const char *path, uint32_t mode)
{
	struct fs_inode *inode = t_open(cred, path, FS_O_CREAT | FS_O_EXCL | FS_O_RDWR, mode);

	if (!inode)
		return -1;
	fs_close(fs, inode);
	return 0;
}

static inline int
t_stat(const char *path, struct fs_stat *st)
{
	struct fs_path p = at(NULL, path);
	struct fs_inode *inode;
	int err = fs_lookup(fs, &root_cred, &p, 0, &inode);

	if (err)
		return err;
	err = fs_stat(fs, inode, st);
	fs_close(fs, inode);
	return err;
}

static inline int
t_look(const struct fs_cred *cred, const char *path, unsigned flags)
{
	struct fs_path p = at(NULL, path);
	struct fs_inode *inode;
	int err = fs_lookup(fs, cred, &p, flags, &inode);

	if (!err)
		fs_close(fs, inode);
	return err;
}

static inline uint32_t
t_nlink(const char *path)
{
	struct fs_stat st;

	return t_stat(path, &st) ? 0 : st.nlink;
}

static inline void
begin(const char *name)
{
	printf("# %s\n", name);
	fake = fake_new();
	fs = fake_fs(fake, 0, 0, 0);
	root_cred = fs_cred_root;
	user = (struct fs_cred){.uid = 1000, .gid = 1000, .group_count = 1, .groups = {50}};
	other = (struct fs_cred){.uid = 1001, .gid = 1001};
}

static inline void
end(void)
{
	fs_destroy(fs);
	fs = NULL;
	CHECK(fake->bytes == 0 && fake->frames == 0);
	free(fake);
	fake = NULL;
}

#endif
