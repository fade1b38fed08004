/* SPDX-License-Identifier: MIT */
/*
 * The in-memory file system against the host's own: the same random operations, by several users,
 * on both; results, error numbers, metadata, directory contents and data must agree. All invariants
 * are asserted after every operation. Prints TAP.
 *
 * The host side runs in a new directory below /tmp as its root, so that absolute paths and ".."
 * mean the same; this and the change of users need root, without which the test is skipped.
 * Arguments: number of operations, seed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/host/fs_fake.h"

#define FILES    8
#define PATH_LEN 128

struct handle {
	struct fs_inode *inode; /* NULL: free */
	int fd;
	unsigned flags;
};

static struct fake *fake;
static struct fs *fs;
static struct fs_inode *cwd;
static struct handle handles[FILES];
static uint64_t rng;
static struct fs_cred cred;
static bool guard_sticky, guard_links;
static long step, differences;
static char trace[512];

static uint32_t
pick(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 11) % below;
}

static void
differ(const char *what, long ours, long theirs)
{
	if (differences++ < 20)
		printf("# step %ld uid %u %s: %s: ours %ld, host %ld\n", step, cred.uid, trace,
		       what, ours, theirs);
}

static long
host(long result)
{
	return result < 0 ? -errno : result;
}

static void
same(const char *what, long ours, long theirs)
{
	if (ours != theirs)
		differ(what, ours, theirs);
}

static void
become(unsigned who)
{
	static const struct fs_cred users[3] = {
		{.uid = 0, .gid = 0},
		{.uid = 1000, .gid = 1000, .group_count = 2, .groups = {50, 77}},
		{.uid = 1001, .gid = 1001, .group_count = 1, .groups = {50}},
	};
	gid_t groups[2] = {users[who].groups[0], users[who].groups[1]};

	setfsuid(0);
	cred = users[who];
	if (setgroups(cred.group_count, groups))
		differ("setgroups", 0, errno);
	setfsgid(cred.gid);
	setfsuid(cred.uid);
}

static const char *
random_path(char *path)
{
	static const char *const parts[] = {"a", "b", "c", "d", "a", "b", ".", "..", "e"};
	unsigned count = 1 + pick(3);

	path[0] = '\0';
	if (!pick(3))
		strcat(path, "/");
	for (unsigned i = 0; i < count; i++) {
		if (i)
			strcat(path, pick(8) ? "/" : "//");
		strcat(path, parts[pick(9)]);
	}
	if (!pick(10))
		strcat(path, "/");
	if (!pick(300))
		path[0] = '\0';
	if (!pick(300)) {
		memset(path, '/', 100);
		path[100] = '\0';
	}
	return path;
}

static uint32_t
random_mode(void)
{
	uint32_t mode = pick(3) ? 0755 | pick(0100) : pick(010000);

	if (guard_sticky && mode & 01000)
		mode &= ~022u;
	return mode;
}

static void
compare_stat(const struct fs_stat *ours, const struct stat *theirs)
{
	same("mode", ours->mode, theirs->st_mode);
	same("nlink", ours->nlink, (long)theirs->st_nlink);
	same("uid", ours->uid, theirs->st_uid);
	same("gid", ours->gid, theirs->st_gid);
	if (!S_ISDIR(theirs->st_mode))
		same("size", (long)ours->size, theirs->st_size);
}

static void
op_stat(const char *path)
{
	struct fs_path p = at(cwd, path);
	bool follow = pick(2);
	struct fs_inode *inode;
	struct fs_stat ours;
	struct stat theirs;
	int err = fs_lookup(fs, &cred, &p, follow ? FS_LOOKUP_FOLLOW : 0, &inode);
	long other = host(fstatat(AT_FDCWD, path, &theirs, follow ? 0 : AT_SYMLINK_NOFOLLOW));

	snprintf(trace, sizeof(trace), "stat %s follow %d", path, follow);
	same("result", err, other);
	if (err)
		return;
	fs_stat(fs, inode, &ours);
	if (!other)
		compare_stat(&ours, &theirs);
	fs_close(fs, inode);
}

static bool
opens_fifo(const char *path)
{
	struct fs_path p = at(cwd, path);
	struct fs_inode *inode;
	bool fifo;

	if (fs_lookup(fs, &fs_cred_root, &p, FS_LOOKUP_FOLLOW, &inode))
		return false;
	fifo = (fs_mode(inode) & FS_IFMT) == FS_IFIFO;
	fs_close(fs, inode);
	return fifo;
}

static void
op_open(const char *path)
{
	static const unsigned choice[] = {
		FS_O_CREAT,    FS_O_CREAT | FS_O_EXCL,     0,
		FS_O_TRUNC,    FS_O_CREAT | FS_O_TRUNC,    FS_O_DIRECTORY,
		FS_O_NOFOLLOW, FS_O_CREAT | FS_O_NOFOLLOW, FS_O_NOFOLLOW | FS_O_DIRECTORY,
		FS_O_TMPFILE};
	struct handle *h = &handles[pick(FILES)];
	unsigned flags = choice[pick(10)] | pick(3);
	struct fs_path p = at(cwd, path);
	uint32_t mode = random_mode();
	struct fs_inode *inode;
	long err, other;

	snprintf(trace, sizeof(trace), "open %s flags %o mode %o", path, flags, mode);
	if (h->inode || opens_fifo(path))
		return;
	err = fs_open(fs, &cred, &p, flags, mode, &inode);
	other = host(open(path, (int)flags, mode));
	/* The host guards others' sockets in sticky directories before it says that none can be
	 * opened. */
	if ((err == -ENXIO || err == -ELOOP) && other == -EACCES && flags & FS_O_CREAT)
		return;
	same("result", err, other < 0 ? other : 0);
	if (!err && other >= 0) {
		*h = (struct handle){inode, (int)other, flags};
	} else {
		if (!err)
			fs_close(fs, inode);
		if (other >= 0)
			close((int)other);
	}
}

static void
op_close(struct handle *h)
{
	if (!h->inode)
		return;
	fs_close(fs, h->inode);
	close(h->fd);
	h->inode = NULL;
}

static void
op_write(struct handle *h)
{
	static uint8_t data[6000];
	uint64_t off = pick(20000), len = 1 + pick(6000);

	snprintf(trace, sizeof(trace), "pwrite");
	if (!h->inode || !(h->flags & FS_O_ACCMODE) || (fs_mode(h->inode) & FS_IFMT) != FS_IFREG)
		return;
	memset(data, (int)pick(256), sizeof(data));
	fs_privs_drop(fs, &cred, h->inode);
	same("result", fake_pwrite(fs, fake, h->inode, off, data, len),
	     host(pwrite(h->fd, data, len, (off_t)off)));
}

static void
compare_data(struct fs_inode *inode, int fd)
{
	static uint8_t ours[40000], theirs[40000];
	long got = fake_pread(fs, fake, inode, 0, ours, sizeof(ours));

	same("read", got, host(pread(fd, theirs, sizeof(theirs), 0)));
	if (got > 0 && memcmp(ours, theirs, (size_t)got) != 0)
		differ("data", 0, 1);
}

static void
op_handle(struct handle *h)
{
	struct fs_stat ours;
	struct stat theirs;
	uint64_t size = pick(30000);

	if (!h->inode)
		return;
	snprintf(trace, sizeof(trace), "fstat, read, ftruncate");
	fs_stat(fs, h->inode, &ours);
	if (!fstat(h->fd, &theirs))
		compare_stat(&ours, &theirs);
	if ((fs_mode(h->inode) & FS_IFMT) != FS_IFREG)
		return;
	if ((h->flags & FS_O_ACCMODE) != FS_O_WRONLY)
		compare_data(h->inode, h->fd);
	if (h->flags & FS_O_ACCMODE && !pick(3)) {
		fs_privs_drop(fs, &cred, h->inode);
		same("ftruncate", fs_truncate(fs, NULL, h->inode, (int64_t)size),
		     host(ftruncate(h->fd, (off_t)size)));
	}
}

static void
op_rename(const char *path)
{
	static const unsigned flags[] = {0, 0, 0, FS_RENAME_NOREPLACE, FS_RENAME_EXCHANGE};
	char second[PATH_LEN];
	struct fs_path a = at(cwd, path), b = at(cwd, random_path(second));
	unsigned flag = flags[pick(5)];

	snprintf(trace, sizeof(trace), "rename %s %s %u", path, second, flag);
	same("result", fs_rename(fs, &cred, &a, &b, flag),
	     host(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, second, flag)));
}

static void
op_link(const char *path)
{
	char second[PATH_LEN];
	struct fs_path a = at(cwd, path), b = at(cwd, random_path(second));
	bool follow = pick(2);

	snprintf(trace, sizeof(trace), "link %s %s", path, second);
	if (guard_links && cred.uid)
		return;
	same("result", fs_link(fs, &cred, &a, follow ? FS_LOOKUP_FOLLOW : 0, &b),
	     host(linkat(AT_FDCWD, path, AT_FDCWD, second, follow ? AT_SYMLINK_FOLLOW : 0)));
}

static void
op_readlink(const char *path)
{
	struct fs_path p = at(cwd, path);
	char ours[256], theirs[256];
	size_t size = pick(20) + 1;
	struct fs_inode *inode;
	long err = fs_lookup(fs, &cred, &p, 0, &inode);
	long other = host(readlink(path, theirs, size));

	snprintf(trace, sizeof(trace), "readlink %s", path);
	if (!err) {
		err = fs_readlink(fs, &cred, inode, ours, size);
		fs_close(fs, inode);
	}
	same("result", err, other);
	if (err > 0 && err == other && memcmp(ours, theirs, (size_t)err) != 0)
		differ("text", 0, 1);
}

static void
compare_path(const char *path, struct fs_stat *ours, struct stat *theirs)
{
	struct fs_path p = at(cwd, path);
	struct fs_inode *inode;

	memset(ours, 0, sizeof(*ours));
	memset(theirs, 0, sizeof(*theirs));
	if (fs_lookup(fs, &cred, &p, FS_LOOKUP_FOLLOW, &inode))
		return;
	fs_stat(fs, inode, ours);
	if (!stat(path, theirs))
		compare_stat(ours, theirs);
	fs_close(fs, inode);
}

static void
op_times(const char *path)
{
	struct fs_path p = at(cwd, path);
	struct timespec ts[2];
	int64_t times[2];
	struct fs_inode *inode;
	struct fs_stat ours;
	struct stat theirs;
	long err;

	for (int i = 0; i < 2; i++) {
		static const int64_t time[3] = {FS_TIME_NOW, FS_TIME_OMIT, 77 * 1000000000ll};
		static const struct timespec spec[3] = {{0, UTIME_NOW}, {0, UTIME_OMIT}, {77, 0}};
		unsigned kind = pick(3);

		times[i] = time[kind];
		ts[i] = spec[kind];
	}
	snprintf(trace, sizeof(trace), "times %s", path);
	if (times[0] == FS_TIME_OMIT && times[1] == FS_TIME_OMIT)
		return;
	err = fs_lookup(fs, &cred, &p, FS_LOOKUP_FOLLOW, &inode);
	if (!err) {
		err = fs_utimens(fs, &cred, inode, times[0], times[1]);
		fs_close(fs, inode);
	}
	same("result", err, host(utimensat(AT_FDCWD, path, ts, 0)));
	compare_path(path, &ours, &theirs);
	if (!err && ts[0].tv_sec)
		same("atime", ours.atime / 1000000000, theirs.st_atim.tv_sec);
	if (!err && ts[1].tv_sec)
		same("mtime", ours.mtime / 1000000000, theirs.st_mtim.tv_sec);
}

/* chmod, chown, truncate, access: on what a lookup gives. */
static void
op_attribute(const char *path)
{
	static const uint32_t ids[] = {UINT32_MAX, UINT32_MAX, 0, 1000, 1001, 50, 77};
	struct fs_path p = at(cwd, path);
	uint32_t mode = random_mode(), uid = ids[pick(5)], gid = ids[pick(7)], want = pick(8);
	int64_t size = (int64_t)pick(30000) - 100;
	unsigned what = pick(4);
	struct fs_inode *inode;
	struct fs_stat ours;
	struct stat theirs;
	long err, other, looked;

	snprintf(trace, sizeof(trace), "attribute %s what %u mode %o uid %d gid %d want %u", path,
		 what, mode, (int)uid, (int)gid, want);
	if (what == 2 && opens_fifo(path))
		return;
	looked = fs_lookup(fs, &cred, &p, FS_LOOKUP_FOLLOW, &inode);
	if (what == 0) {
		err = looked ? looked : fs_chmod(fs, &cred, inode, mode);
		other = host(chmod(path, mode));
	} else if (what == 1) {
		err = looked ? looked : fs_chown(fs, &cred, inode, uid, gid);
		other = host(chown(path, uid, gid));
	} else if (what == 2) {
		err = looked ? looked : fs_truncate(fs, &cred, inode, size);
		err = size < 0 ? -EINVAL : err;
		other = host(truncate(path, size));
	} else {
		err = looked ? looked : fs_access(fs, &cred, inode, want);
		other = host(syscall(SYS_faccessat2, AT_FDCWD, path, want, AT_EACCESS));
	}
	if (!looked)
		fs_close(fs, inode);
	same("result", err, other);
	compare_path(path, &ours, &theirs);
}

static void
op_chdir(const char *path)
{
	struct fs_path p = at(cwd, path);
	struct fs_inode *inode;
	char ours[256], theirs[256];
	long err = fs_lookup(fs, &cred, &p, FS_LOOKUP_FOLLOW | FS_LOOKUP_DIRECTORY, &inode);
	long other = host(chdir(path));

	snprintf(trace, sizeof(trace), "chdir %s", path);
	if (!err) {
		err = fs_access(fs, &cred, inode, FS_MAY_EXEC);
		if (!err) {
			fs_close(fs, cwd);
			cwd = inode;
		} else {
			fs_close(fs, inode);
		}
	}
	same("result", err, other);
	err = fs_getcwd(fs, cwd, ours, sizeof(ours));
	other = host(syscall(SYS_getcwd, theirs, sizeof(theirs)));
	same("getcwd", err, other);
	if (err > 0 && err == other && strcmp(ours, theirs) != 0)
		differ("getcwd text", 0, 1);
}

static void
op_name(const char *path)
{
	struct fs_path p = at(cwd, path);
	uint32_t mode = random_mode();
	char second[PATH_LEN];

	snprintf(trace, sizeof(trace), "name %s", path);
	switch (pick(6)) {
	case 0:
	case 1:
		same("mkdir", fs_mkdir(fs, &cred, &p, mode), host(mkdir(path, mode)));
		break;
	case 2:
		same("rmdir", fs_rmdir(fs, &cred, &p), host(rmdir(path)));
		break;
	case 3:
		same("unlink", fs_unlink(fs, &cred, &p), host(unlink(path)));
		break;
	case 4:
		random_path(second);
		same("symlink", fs_symlink(fs, &cred, second, strlen(second), &p),
		     host(symlink(second, path)));
		break;
	default:
		mode |= pick(2) ? S_IFIFO : S_IFSOCK;
		same("mknod", fs_mknod(fs, &cred, &p, mode, 0), host(mknod(path, mode, 0)));
	}
}

static void
one_step(void)
{
	char path[PATH_LEN];

	random_path(path);
	become(pick(2) ? 0 : pick(3));
	switch (pick(12)) {
	case 0:
	case 1:
	case 2:
		op_name(path);
		break;
	case 3:
	case 4:
		op_open(path);
		break;
	case 5:
		op_rename(path);
		break;
	case 6:
		op_link(path);
		break;
	case 7:
		op_readlink(path);
		break;
	case 8:
		if (pick(4))
			op_attribute(path);
		else
			op_times(path);
		break;
	case 9:
		op_stat(path);
		break;
	case 10:
		if (!pick(4))
			op_chdir(pick(4) ? path : "/");
		else if (!pick(3))
			op_close(&handles[pick(FILES)]);
		else
			op_write(&handles[pick(FILES)]);
		break;
	default:
		op_handle(&handles[pick(FILES)]);
	}
}

/* The whole tree below a path, names in our order looked up on the host, and counted there. */
static void
compare_tree(struct fs_inode *dir, const char *path)
{
	uint64_t cookie = 0;
	struct fs_entry entry;
	long ours = 0, theirs = 0;
	DIR *list = opendir(path[0] ? path : "/");

	while (list && readdir(list))
		theirs++;
	if (list)
		closedir(list);
	while (fs_dir_next(fs, &fs_cred_root, dir, &cookie, &entry) == 1) {
		char name[1024];
		struct fs_path p = {dir, entry.name, entry.len};
		struct fs_inode *inode;
		struct fs_stat st;
		struct stat other;
		int fd;

		ours++;
		if (cookie <= 2)
			continue;
		snprintf(name, sizeof(name), "%s/%.*s", path, (int)entry.len, entry.name);
		snprintf(trace, sizeof(trace), "tree %.400s", name);
		if (lstat(name, &other) || fs_lookup(fs, &fs_cred_root, &p, 0, &inode)) {
			differ("missing", 0, 0);
			continue;
		}
		fs_stat(fs, inode, &st);
		compare_stat(&st, &other);
		if (S_ISDIR(other.st_mode) && strlen(name) < 900) {
			compare_tree(inode, name);
		} else if (S_ISREG(other.st_mode) && (fd = open(name, O_RDONLY)) >= 0) {
			compare_data(inode, fd);
			close(fd);
		}
		fs_close(fs, inode);
	}
	snprintf(trace, sizeof(trace), "entries of %.400s", path);
	same("count", ours, theirs);
}

static int
sysctl_read(const char *name)
{
	FILE *f = fopen(name, "r");
	int value = 1;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &value) != 1)
		value = 1;
	fclose(f);
	return value;
}

static void
run(long steps)
{
	const char *reason = "";

	for (step = 0; step < steps && differences < 20; step++) {
		one_step();
		if (!fs_check(fs, &reason) || fake->bad) {
			printf("# step %ld %s: invariant: %s\n", step, trace, reason);
			differences++;
			break;
		}
		if (step % 1000 == 999) {
			struct fs_inode *root = fs_root(fs);

			become(0);
			compare_tree(root, "");
			fs_close(fs, root);
		}
	}
	become(0);
	for (int i = 0; i < FILES; i++)
		op_close(&handles[i]);
	fs_close(fs, cwd);
}

int
main(int argc, char **argv)
{
	long steps = argc > 1 ? atol(argv[1]) : 20000;
	char top[] = "/tmp/fs-model-XXXXXX", command[64];
	int outside;

	rng = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 0x5eed5eed5eed;
	printf("1..2\n");
	if (getuid() != 0 || !mkdtemp(top)) {
		printf("ok 1 # SKIP needs root\nok 2 # SKIP needs root\n");
		return 0;
	}
	guard_links = sysctl_read("/proc/sys/fs/protected_hardlinks");
	guard_sticky = sysctl_read("/proc/sys/fs/protected_symlinks") ||
		       sysctl_read("/proc/sys/fs/protected_regular") ||
		       sysctl_read("/proc/sys/fs/protected_fifos");
	outside = open("/", O_RDONLY | O_DIRECTORY);
	if (chmod(top, 0755) || chroot(top) || chdir("/"))
		return 1;
	umask(0);
	fake = fake_new();
	fs = fake_fs(fake, 0, 0, 0);
	cwd = fs_root(fs);
	run(steps);
	fs_destroy(fs);
	printf("%sok 1 - %ld operations agree with the host\n", differences ? "not " : "", step);
	printf("%sok 2 - nothing is left\n", fake->bytes || fake->frames ? "not " : "");
	if (fchdir(outside) || chroot("."))
		return 1;
	close(outside);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		return 1;
	differences += fake->bytes || fake->frames;
	free(fake);
	return differences != 0;
}
