/* SPDX-License-Identifier: MIT */
/*
 * Names, paths, permissions and directories of the in-memory file system: results and errors of
 * each operation, all invariants after every step. Prints TAP.
 */
#include "test/host/fs_case.h"

static void
test_names(void)
{
	struct fs_stat st;

	begin("names");
	IS(t_mkdir(&root_cred, "a", 0755), 0);
	IS(t_mkdir(&root_cred, "/a/b///", 0755), 0);
	IS(t_mkdir(&root_cred, "a", 0755), -EEXIST);
	IS(t_mkdir(&root_cred, "/", 0755), -EEXIST);
	IS(t_mkdir(&root_cred, "a/.", 0755), -EEXIST);
	IS(t_mkdir(&root_cred, "x/y", 0755), -ENOENT);
	IS(t_nlink("a"), 3);
	IS(t_nlink("/"), 3);
	IS(t_make(&root_cred, "a/f", 0644), 0);
	IS(t_look(&root_cred, "a/f/", 0), -ENOTDIR);
	IS(t_look(&root_cred, "a/f/g", 0), -ENOTDIR);
	IS(t_look(&root_cred, "a/../a/./b/..//f", 0), 0);
	IS(t_look(&root_cred, "../../..", 0), 0);
	IS(t_look(&root_cred, "", 0), -ENOENT);
	IS(t_look(&root_cred, "", FS_LOOKUP_EMPTY), 0);
	IS(t_link(&root_cred, "a/f", "a/g"), 0);
	IS(t_link(&root_cred, "a/f", "a/g"), -EEXIST);
	IS(t_link(&root_cred, "a/b", "c"), -EPERM);
	IS(t_link(&root_cred, "a/f", "c/"), -ENOENT);
	IS(t_link(&root_cred, "a/none", "c"), -ENOENT);
	IS(t_nlink("a/f"), 2);
	IS(t_unlink(&root_cred, "a/f"), 0);
	IS(t_unlink(&root_cred, "a/f"), -ENOENT);
	IS(t_unlink(&root_cred, "a/b"), -EISDIR);
	IS(t_unlink(&root_cred, "a/g/"), -ENOTDIR);
	IS(t_unlink(&root_cred, "a/b/"), -EISDIR);
	IS(t_unlink(&root_cred, "."), -EISDIR);
	IS(t_rmdir(&root_cred, "a"), -ENOTEMPTY);
	IS(t_rmdir(&root_cred, "a/g"), -ENOTDIR);
	IS(t_rmdir(&root_cred, "a/b/."), -EINVAL);
	IS(t_rmdir(&root_cred, "a/b/.."), -ENOTEMPTY);
	IS(t_rmdir(&root_cred, "/"), -EBUSY);
	IS(t_rmdir(&root_cred, "a/b"), 0);
	IS(t_unlink(&root_cred, "a/g"), 0);
	IS(t_rmdir(&root_cred, "a/"), 0);
	IS(t_mknod(&root_cred, "fifo", FS_IFIFO | 0622, 7), 0);
	IS(t_stat("fifo", &st), 0);
	CHECK(st.mode == (FS_IFIFO | 0622) && st.rdev == 0 && st.nlink == 1);
	IS(t_mknod(&user, "dev", FS_IFCHR | 0622, 0x105), -EPERM);
	IS(t_mknod(&root_cred, "dev", FS_IFCHR | 0622, 0x105), 0);
	IS(t_stat("dev", &st), 0);
	CHECK(st.mode == (FS_IFCHR | 0622) && st.rdev == 0x105);
	IS(t_mknod(&root_cred, "d", FS_IFDIR | 0622, 0), -EPERM);
	IS(t_mknod(&root_cred, "d", 0150000, 0), -EINVAL);
	IS(t_mknod(&root_cred, "sock", FS_IFSOCK | 0777, 0), 0);
	IS(t_open_err(&root_cred, "sock", FS_O_RDONLY), -ENXIO);
	CHECK(fake->inodes_gone == 3);
	end();
}

static void
test_limits_of_names(void)
{
	char name[300], path[5000];
	struct fs_path p;
	struct fs_inode *inode;

	begin("lengths and bytes of names");
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	IS(t_mkdir(&root_cred, name, 0755), 0);
	IS(t_look(&root_cred, name, 0), 0);
	name[255] = 'n';
	name[256] = '\0';
	IS(t_mkdir(&root_cred, name, 0755), -ENAMETOOLONG);
	IS(t_look(&root_cred, name, 0), -ENAMETOOLONG);
	IS(t_unlink(&root_cred, name), -ENAMETOOLONG);
	memset(path, '/', sizeof(path));
	path[4095] = '\0';
	IS(t_look(&root_cred, path, 0), 0);
	path[4095] = '/';
	path[4096] = '\0';
	IS(t_look(&root_cred, path, 0), -ENAMETOOLONG);
	p = (struct fs_path){NULL, "a\0b", 3};
	IS(fs_mkdir(fs, &root_cred, &p, 0755), -EINVAL);
	IS(fs_symlink(fs, &root_cred, "a\0b", 3, &p), -EINVAL);
	IS(t_mkdir(&root_cred, "\xff\xfe*\n", 0755), 0);
	IS(t_make(&root_cred, "file", 0644), 0);
	p = at(NULL, "file");
	IS(fs_lookup(fs, &root_cred, &p, 0, &inode), 0);
	p = at(inode, "x");
	IS(fs_mkdir(fs, &root_cred, &p, 0755), -ENOTDIR);
	p = at(inode, "/x");
	IS(fs_mkdir(fs, &root_cred, &p, 0755), 0);
	fs_close(fs, inode);
	end();
}

static void
test_symlinks(void)
{
	char name[16], target[16], buf[64], huge[4097];
	struct fs_path p = at(NULL, "l0");
	struct fs_inode *inode;

	begin("symbolic links");
	IS(t_mkdir(&root_cred, "d", 0755), 0);
	IS(t_make(&root_cred, "d/f", 0644), 0);
	IS(t_symlink(&root_cred, "d/f", "l0"), 0);
	for (int i = 1; i <= 40; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(target, sizeof(target), "l%d", i - 1);
		t_symlink(&root_cred, target, name);
	}
	IS(t_look(&root_cred, "l39", FS_LOOKUP_FOLLOW), 0);
	IS(t_look(&root_cred, "l40", FS_LOOKUP_FOLLOW), -ELOOP);
	IS(t_look(&root_cred, "l40", 0), 0);
	IS(t_symlink(&root_cred, "loop", "loop"), 0);
	IS(t_look(&root_cred, "loop", FS_LOOKUP_FOLLOW), -ELOOP);
	IS(t_look(&root_cred, "loop/x", 0), -ELOOP);
	IS(t_symlink(&root_cred, "r/r/r/r/x", "r"), 0);
	IS(t_look(&root_cred, "r", FS_LOOKUP_FOLLOW), -ELOOP);
	IS(t_symlink(&root_cred, "/d", "abs"), 0);
	IS(t_symlink(&root_cred, "/", "top"), 0);
	IS(t_symlink(&root_cred, "none", "dangling"), 0);
	IS(t_look(&root_cred, "abs/f", 0), 0);
	IS(t_look(&root_cred, "top/abs/../abs/f", 0), 0);
	IS(t_look(&root_cred, "top", FS_LOOKUP_FOLLOW), 0);
	IS(t_look(&root_cred, "abs/", FS_LOOKUP_DIRECTORY), 0);
	IS(t_look(&root_cred, "abs", FS_LOOKUP_DIRECTORY), -ENOTDIR);
	IS(t_look(&root_cred, "l0/", 0), -ENOTDIR);
	IS(t_look(&root_cred, "dangling", FS_LOOKUP_FOLLOW), -ENOENT);
	IS(t_open_err(&root_cred, "l0", FS_O_NOFOLLOW), -ELOOP);
	IS(t_open_err(&root_cred, "abs", FS_O_NOFOLLOW | FS_O_DIRECTORY), -ENOTDIR);
	IS(t_open_err(&root_cred, "dangling", FS_O_CREAT | FS_O_EXCL), -EEXIST);
	IS(t_open_err(&root_cred, "dangling", FS_O_CREAT), 0);
	IS(t_look(&root_cred, "none", 0), 0);
	IS(t_mkdir(&root_cred, "abs", 0755), -EEXIST);
	IS(t_rmdir(&root_cred, "abs/"), -ENOTDIR);
	IS(t_unlink(&root_cred, "abs/"), -ENOTDIR);
	IS(fs_lookup(fs, &root_cred, &p, 0, &inode), 0);
	IS(fs_readlink(fs, &root_cred, inode, buf, sizeof(buf)), 3);
	CHECK(!memcmp(buf, "d/f", 3));
	IS(fs_readlink(fs, &root_cred, inode, buf, 2), 2);
	IS(fs_readlink(fs, &root_cred, inode, buf, 0), -EINVAL);
	IS(fs_chmod(fs, &root_cred, inode, 0), -EOPNOTSUPP);
	/* The link goes while it is held. */
	IS(t_unlink(&root_cred, "l0"), 0);
	IS(fs_readlink(fs, &root_cred, inode, buf, sizeof(buf)), 3);
	fs_close(fs, inode);
	IS(t_symlink(&root_cred, "", "e"), -ENOENT);
	memset(huge, 'h', 4096);
	huge[4096] = '\0';
	IS(t_symlink(&root_cred, huge, "e"), -ENAMETOOLONG);
	huge[4095] = '\0';
	IS(t_symlink(&root_cred, huge, "e"), 0);
	end();
}

static void
test_open(void)
{
	struct fs_inode *inode, *same;
	struct fs_stat st;
	struct fs_path dir, to = at(NULL, "named");

	begin("open");
	IS(t_mkdir(&root_cred, "d", 0777), 0);
	inode = t_open(&root_cred, "d/f", FS_O_CREAT | FS_O_RDWR, 04644);
	CHECK(inode && fs_refs(inode) == 1 && fs_mode(inode) == (FS_IFREG | 04644));
	same = fs_find(fs, fs_id(inode));
	CHECK(same == inode && fs_refs(inode) == 2);
	fs_close(fs, same);
	IS(fake_pwrite(fs, fake, inode, 0, "hello", 5), 5);
	IS(t_unlink(&root_cred, "d/f"), 0);
	IS(fs_stat(fs, inode, &st), 0);
	CHECK(st.nlink == 0 && st.size == 5 && fake->frames == 1);
	fs_open_ref(inode);
	fs_close(fs, inode);
	CHECK(fake->frames == 1);
	fs_close(fs, inode);
	CHECK(fake->frames == 0);
	IS(t_open_err(&root_cred, "d", FS_O_WRONLY), -EISDIR);
	IS(t_open_err(&root_cred, "d", FS_O_TRUNC), -EISDIR);
	IS(t_open_err(&root_cred, "d", FS_O_CREAT), -EISDIR);
	IS(t_open_err(&root_cred, "d", FS_O_CREAT | FS_O_EXCL), -EEXIST);
	IS(t_open_err(&root_cred, ".", FS_O_CREAT), -EISDIR);
	IS(t_open_err(&root_cred, "d/n/", FS_O_CREAT), -EISDIR);
	IS(t_open_err(&root_cred, "d/n", 0), -ENOENT);
	IS(t_open_err(&root_cred, "d/n", FS_O_CREAT | FS_O_DIRECTORY), -EINVAL);
	IS(t_open_err(&root_cred, "d/n", 3), -EINVAL);
	IS(t_open_err(&root_cred, "d", FS_O_DIRECTORY), 0);
	IS(t_make(&root_cred, "d/g", 0444), 0);
	IS(t_open_err(&root_cred, "d/g", FS_O_DIRECTORY), -ENOTDIR);
	IS(t_open_err(&user, "d/g", FS_O_WRONLY), -EACCES);
	IS(t_open_err(&user, "d/g", FS_O_RDONLY | FS_O_TRUNC), -EACCES);
	IS(t_open_err(&user, "d/g", FS_O_RDONLY | FS_O_CREAT), 0);
	/* A new file opens for writing whatever its mode. */
	inode = t_open(&user, "d/ro", FS_O_CREAT | FS_O_WRONLY, 0);
	CHECK(inode != NULL);
	fs_close(fs, inode);
	inode = t_open(&user, "d", FS_O_TMPFILE | FS_O_RDWR, 0600);
	CHECK(inode && fs_size(fs, inode) == 0);
	dir = (struct fs_path){inode, "", 0};
	IS(fs_link(fs, &root_cred, &dir, FS_LOOKUP_EMPTY, &to), 0);
	IS(t_nlink("named"), 1);
	IS(t_unlink(&root_cred, "named"), 0);
	IS(fs_link(fs, &root_cred, &dir, FS_LOOKUP_EMPTY, &to), -ENOENT);
	fs_close(fs, inode);
	IS(t_open_err(&user, "d", FS_O_TMPFILE), -EINVAL);
	inode = t_open(&user, "d", FS_O_TMPFILE | FS_O_RDWR | FS_O_EXCL, 0600);
	dir = (struct fs_path){inode, "", 0};
	IS(fs_link(fs, &root_cred, &dir, FS_LOOKUP_EMPTY, &to), -ENOENT);
	fs_close(fs, inode);
	end();
}

static void
test_rename(void)
{
	begin("rename");
	t_mkdir(&root_cred, "a", 0755);
	t_mkdir(&root_cred, "a/b", 0755);
	t_mkdir(&root_cred, "a/b/c", 0755);
	t_mkdir(&root_cred, "e", 0755);
	t_make(&root_cred, "f", 0644);
	t_make(&root_cred, "g", 0644);
	IS(t_rename(&root_cred, "a", "a/b/x", 0), -EINVAL);
	IS(t_rename(&root_cred, "a", "a/x", 0), -EINVAL);
	IS(t_rename(&root_cred, "a/b/c", "a", 0), -ENOTEMPTY);
	IS(t_rename(&root_cred, "a/b/c", "a", FS_RENAME_EXCHANGE), -EINVAL);
	IS(t_rename(&root_cred, "e", "a", 0), -ENOTEMPTY);
	IS(t_rename(&root_cred, "f", "e", 0), -EISDIR);
	IS(t_rename(&root_cred, "e", "f", 0), -ENOTDIR);
	IS(t_rename(&root_cred, "f/", "x", 0), -ENOTDIR);
	IS(t_rename(&root_cred, "f", "x/", 0), -ENOTDIR);
	IS(t_rename(&root_cred, ".", "x", 0), -EBUSY);
	IS(t_rename(&root_cred, "e", "a/..", 0), -EBUSY);
	IS(t_rename(&root_cred, "e", "/", 0), -EBUSY);
	IS(t_rename(&root_cred, "e", "/", FS_RENAME_NOREPLACE), -EEXIST);
	IS(t_rename(&root_cred, "none", "x", 0), -ENOENT);
	IS(t_rename(&root_cred, "f", "g", FS_RENAME_NOREPLACE), -EEXIST);
	IS(t_rename(&root_cred, "f", "none", FS_RENAME_EXCHANGE), -ENOENT);
	IS(t_rename(&root_cred, "f", "g", 3), -EINVAL);
	IS(t_rename(&root_cred, "f", "g", 8), -EINVAL);
	IS(t_rename(&root_cred, "f", "f", 0), 0);
	IS(t_link(&root_cred, "f", "f2"), 0);
	IS(t_rename(&root_cred, "f", "f2", 0), 0);
	IS(t_nlink("f"), 2);
	IS(t_rename(&root_cred, "f", "g", 0), 0);
	IS(t_nlink("g"), 2);
	IS(t_look(&root_cred, "f", 0), -ENOENT);
	end();
}

static void
test_rename_dirs(void)
{
	struct fs_inode *held, *file;
	char buf[64];

	begin("rename of directories");
	t_mkdir(&root_cred, "a", 0755);
	t_mkdir(&root_cred, "a/b", 0755);
	t_mkdir(&root_cred, "a/b/c", 0755);
	t_mkdir(&root_cred, "e", 0755);
	t_make(&root_cred, "g", 0644);
	/* A directory over an empty one that is held open. */
	held = t_open(&root_cred, "e", FS_O_DIRECTORY, 0);
	IS(t_rename(&root_cred, "a/b", "e/", 0), 0);
	IS(t_nlink("a"), 2);
	IS(t_nlink("e"), 3);
	IS(fs_getcwd(fs, held, buf, sizeof(buf)), -ENOENT);
	fs_close(fs, held);
	held = t_open(&root_cred, "e/c", FS_O_DIRECTORY, 0);
	IS(fs_getcwd(fs, held, buf, sizeof(buf)), 5);
	CHECK(!strcmp(buf, "/e/c"));
	IS(t_rename(&root_cred, "e", "a/moved", 0), 0);
	IS(fs_getcwd(fs, held, buf, sizeof(buf)), 11);
	CHECK(!strcmp(buf, "/a/moved/c"));
	IS(fs_getcwd(fs, held, buf, 10), -ERANGE);
	IS(fs_getcwd(fs, held, buf, 1), -ERANGE);
	IS(fs_getcwd(fs, held, buf, 11), 11);
	/* A file is called what it was called last. */
	file = t_open(&root_cred, "g", FS_O_RDONLY, 0);
	IS(fs_name(fs, file, buf, sizeof(buf)), 3);
	IS(t_link(&root_cred, "g", "a/other"), 0);
	IS(fs_name(fs, file, buf, sizeof(buf)), 9);
	CHECK(!strcmp(buf, "/a/other"));
	IS(t_rename(&root_cred, "a/other", "a/moved/h", 0), 0);
	IS(fs_name(fs, file, buf, sizeof(buf)), 11);
	CHECK(!strcmp(buf, "/a/moved/h"));
	IS(t_unlink(&root_cred, "a/moved/h"), 0);
	IS(fs_name(fs, file, buf, sizeof(buf)), -ENOENT);
	fs_close(fs, file);
	/* Exchange of a file and a directory in different places. */
	IS(t_rename(&root_cred, "g", "a/moved/c", FS_RENAME_EXCHANGE), 0);
	IS(fs_getcwd(fs, held, buf, sizeof(buf)), 3);
	IS(t_nlink("a/moved"), 2);
	IS(t_nlink("/"), 4);
	fs_close(fs, held);
	IS(t_rename(&root_cred, "a", "a2", FS_RENAME_NOREPLACE), 0);
	IS(t_look(&root_cred, "a2/moved/c", 0), 0);
	end();
}

static void
test_removed_dirs(void)
{
	struct fs_inode *dirs[100], *cwd;
	struct fs_path p;
	struct fs_entry entry;
	uint64_t cookie = 0;
	char path[400] = "d";

	begin("removed directories that are held");
	for (int i = 0; i < 100; i++) {
		t_mkdir(&root_cred, path, 0755);
		dirs[i] = t_open(&root_cred, path, FS_O_DIRECTORY, 0);
		strcat(path, "/d");
	}
	for (int i = 99; i >= 0; i--) {
		path[2 * i + 1] = '\0';
		if (t_rmdir(&root_cred, path))
			CHECK(false);
	}
	cwd = dirs[99];
	p = at(cwd, "x");
	IS(fs_mkdir(fs, &root_cred, &p, 0755), -ENOENT);
	IS(fs_lookup(fs, &root_cred, &p, 0, &cwd), -ENOENT);
	IS(fs_dir_next(fs, &root_cred, dirs[99], &cookie, &entry), -ENOENT);
	for (int i = 0; i < 99; i++)
		fs_close(fs, dirs[i]);
	/* The last one alone keeps its ancestors, so that ".." leads up. */
	p = at(dirs[99], "../../../..");
	IS(fs_lookup(fs, &root_cred, &p, 0, &cwd), 0);
	CHECK(fs_id(cwd) != FS_ROOT_ID);
	fs_close(fs, cwd);
	IS(fs->usage.inodes, 101);
	fs_close(fs, dirs[99]);
	IS(fs->usage.inodes, 1);
	end();
}

static void
test_permissions(void)
{
	begin("permissions");
	t_mkdir(&root_cred, "pub", 01777);
	t_mkdir(&root_cred, "priv", 0700);
	t_mkdir(&root_cred, "noexec", 0766);
	t_make(&root_cred, "priv/f", 0666);
	IS(t_look(&user, "priv/f", 0), -EACCES);
	IS(t_look(&user, "noexec/.", 0), -EACCES);
	IS(t_look(&user, "priv", 0), 0);
	IS(t_mkdir(&user, "x", 0755), -EACCES);
	IS(t_make(&user, "pub/mine", 0600), 0);
	IS(t_open_err(&other, "pub/mine", 0), -EACCES);
	IS(t_unlink(&other, "pub/mine"), -EPERM);
	IS(t_rename(&other, "pub/mine", "pub/theirs", 0), -EPERM);
	IS(t_make(&other, "pub/o", 0600), 0);
	IS(t_rename(&other, "pub/o", "pub/mine", 0), -EPERM);
	IS(t_rename(&other, "pub/o", "pub/o2", 0), 0);
	IS(t_unlink(&root_cred, "pub/o2"), 0);
	end();
}

static void
test_owners(void)
{
	struct fs_inode *inode;

	begin("owners and modes");
	t_mkdir(&root_cred, "pub", 01777);
	IS(t_make(&user, "pub/mine", 0600), 0);
	inode = t_open(&user, "pub/mine", FS_O_RDWR, 0);
	IS(fs_chmod(fs, &other, inode, 0777), -EPERM);
	IS(fs_chmod(fs, &user, inode, 06777), 0);
	CHECK((fs_mode(inode) & 07777) == 06777);
	IS(fs_chown(fs, &user, inode, 1001, UINT32_MAX), -EPERM);
	IS(fs_chown(fs, &user, inode, UINT32_MAX, 77), -EPERM);
	IS(fs_chown(fs, &other, inode, UINT32_MAX, 1001), -EPERM);
	IS(fs_chown(fs, &user, inode, UINT32_MAX, 50), 0);
	CHECK((fs_mode(inode) & 07777) == 0777);
	IS(fs_chmod(fs, &user, inode, 06777), 0);
	IS(fs_chown(fs, &root_cred, inode, 1000, 99), 0);
	CHECK((fs_mode(inode) & 07777) == 0777);
	IS(fs_chmod(fs, &user, inode, 06775), 0);
	CHECK((fs_mode(inode) & 07777) == 04775);
	fs_privs_drop(fs, &root_cred, inode);
	CHECK((fs_mode(inode) & 07777) == 04775);
	IS(fs_truncate(fs, &user, inode, 10), 0);
	CHECK((fs_mode(inode) & 07777) == 0775);
	IS(fs_truncate(fs, &other, inode, 10), -EACCES);
	IS(fs_truncate(fs, &user, inode, -1), -EINVAL);
	IS(fs_truncate(fs, &user, inode, INT64_MAX), -EFBIG);
	fs_close(fs, inode);
	end();
}

static void
test_times(void)
{
	struct fs_inode *inode;
	struct fs_stat st;

	begin("times and access");
	t_mkdir(&root_cred, "pub", 01777);
	inode = t_open(&user, "pub/mine", FS_O_CREAT | FS_O_RDWR, 0775);
	IS(fs_utimens(fs, &other, inode, 5, 6), -EPERM);
	IS(fs_utimens(fs, &other, inode, FS_TIME_NOW, FS_TIME_OMIT), -EPERM);
	IS(fs_utimens(fs, &other, inode, FS_TIME_NOW, FS_TIME_NOW), -EACCES);
	IS(fs_utimens(fs, &other, inode, FS_TIME_OMIT, FS_TIME_OMIT), 0);
	IS(fs_utimens(fs, &user, inode, -5, FS_TIME_OMIT), 0);
	IS(fs_stat(fs, inode, &st), 0);
	CHECK(st.atime == -5 && st.mtime > 0);
	IS(fs_access(fs, &other, inode, FS_MAY_READ | FS_MAY_EXEC), 0);
	IS(fs_access(fs, &other, inode, FS_MAY_WRITE), -EACCES);
	IS(fs_access(fs, &other, inode, 8), -EINVAL);
	IS(fs_chmod(fs, &user, inode, 0666), 0);
	IS(fs_access(fs, &root_cred, inode, FS_MAY_EXEC), -EACCES);
	fs_close(fs, inode);
	end();
}

static void
test_groups(void)
{
	struct fs_inode *inode;
	struct fs_stat st;

	begin("set-group-id directories");
	/* Set-group-id on a directory hands its group down. */
	t_mkdir(&root_cred, "sg", 0777);
	inode = t_open(&root_cred, "sg", FS_O_DIRECTORY, 0);
	fs_chown(fs, &root_cred, inode, 0, 77);
	fs_chmod(fs, &root_cred, inode, 02777);
	fs_close(fs, inode);
	IS(t_make(&user, "sg/f", 02755), 0);
	IS(t_mkdir(&user, "sg/d", 0755), 0);
	t_stat("sg/f", &st);
	CHECK(st.gid == 77 && (st.mode & 07777) == 0755);
	t_stat("sg/d", &st);
	CHECK(st.gid == 77 && (st.mode & 07777) == 02755);
	/* Moving a directory elsewhere asks for permission to write it. */
	t_mkdir(&root_cred, "w1", 0777);
	t_mkdir(&root_cred, "w2", 0777);
	t_mkdir(&root_cred, "w1/d", 0755);
	IS(t_rename(&user, "w1/d", "w2/d", 0), -EACCES);
	IS(t_rename(&user, "w1/d", "w1/d2", 0), 0);
	end();
}

static void
test_directories(void)
{
	enum { COUNT = 10000 };
	static uint8_t seen[COUNT];
	struct fs_inode *dir;
	struct fs_entry entry;
	uint64_t cookie = 0;
	char name[32];
	int extra = 0, got, number;

	begin("directories");
	t_mkdir(&root_cred, "d", 0755);
	dir = t_open(&root_cred, "d", FS_O_DIRECTORY, 0);
	for (int i = 0; i < COUNT; i++) {
		struct fs_path p = {dir, name, (size_t)snprintf(name, sizeof(name), "e%d", i)};

		if (fs_mknod(fs, &root_cred, &p, FS_IFREG | 0600, 0))
			CHECK(false);
	}
	IS(t_look(&root_cred, "d/e9999", 0), 0);
	/* Every odd entry is removed when the one before it, or itself, was seen; new ones appear.
	 */
	memset(seen, 0, sizeof(seen));
	for (int step = 0; (got = fs_dir_next(fs, &root_cred, dir, &cookie, &entry)) == 1; step++) {
		if (entry.name[0] != 'e') {
			extra++;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)entry.len, entry.name);
		number = atoi(name + 1);
		seen[number]++;
		snprintf(name, sizeof(name), "d/e%d", number | 1);
		t_unlink(&root_cred, name);
		snprintf(name, sizeof(name), "d/new%d", step);
		if (step % 10 == 0)
			t_make(&root_cred, name, 0600);
	}
	IS(got, 0);
	number = 0;
	for (int i = 0; i < COUNT; i += 2)
		number += seen[i] == 1;
	IS(number, COUNT / 2);
	for (int i = 1; i < COUNT; i += 2)
		number += seen[i] > 1;
	IS(number, COUNT / 2);
	CHECK(extra >= 2);
	fs_close(fs, dir);
	end();
}

static void
test_records(void)
{
	struct fs_inode *dir;
	struct fs_entry entry;
	uint64_t cookie;
	char name[32];
	int number, got;
	uint8_t buf[4096];

	begin("directory records");
	t_mkdir(&root_cred, "d", 0755);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/e%d", i);
		if (t_make(&root_cred, name, 0600))
			CHECK(false);
	}
	dir = t_open(&root_cred, "d", FS_O_DIRECTORY, 0);
	/* Records: all names once, whatever the buffer's size. */
	cookie = 0;
	number = 0;
	while ((got = fs_getdents(fs, &root_cred, dir, &cookie, buf, 300)) > 0) {
		for (int off = 0; off < got;) {
			uint16_t record;

			memcpy(&record, buf + off + 16, 2);
			number++;
			off += record;
		}
	}
	IS(got, 0);
	IS(number, dir->dir.count + 2);
	cookie = 0;
	IS(fs_getdents(fs, &root_cred, dir, &cookie, buf, 23), -EINVAL);
	IS(fs_getdents(fs, &root_cred, dir, &cookie, buf, 24), 24);
	CHECK(buf[18] == 4 && !strcmp((char *)buf + 19, "."));
	IS(fs_getdents(fs, &root_cred, dir, &cookie, buf, 24), 24);
	CHECK(!strcmp((char *)buf + 19, ".."));
	cookie = UINT64_MAX;
	IS(fs_dir_next(fs, &root_cred, dir, &cookie, &entry), 0);
	fs_close(fs, dir);
	dir = t_open(&root_cred, "d/e0", 0, 0);
	IS(fs_dir_next(fs, &root_cred, dir, &cookie, &entry), -ENOTDIR);
	fs_close(fs, dir);
	end();
}

static void
test_collisions(void)
{
	struct fs_inode *dir;
	char name[32];
	int made = 0;

	begin("names whose hashes collide");
	fs->hash_mask = 1;
	t_mkdir(&root_cred, "d", 0755);
	for (int i = 0; i < 1200; i++) {
		snprintf(name, sizeof(name), "d/c%d", i);
		made += t_make(&root_cred, name, 0600) == 0;
	}
	/* Two hash values, one of them moved up where cookies would be too small: 256 names fit. */
	IS(made, 256);
	dir = t_open(&root_cred, "d", FS_O_DIRECTORY, 0);
	IS(dir->dir.count, 256);
	fs_close(fs, dir);
	for (int i = 0; i < 1200; i++) {
		snprintf(name, sizeof(name), "d/c%d", i);
		made -= t_unlink(&root_cred, name) == 0;
	}
	IS(made, 0);
	end();
}

int
main(void)
{
	test_names();
	test_limits_of_names();
	test_symlinks();
	test_open();
	test_rename();
	test_rename_dirs();
	test_removed_dirs();
	test_permissions();
	test_owners();
	test_times();
	test_groups();
	test_directories();
	test_records();
	test_collisions();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
