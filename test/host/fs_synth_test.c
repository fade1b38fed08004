/* SPDX-License-Identifier: MIT */
/*
 * Synthetic trees of the in-memory file system, and a scenario of everything in which the Nth
 * allocation fails, for every N. Prints TAP.
 */
#include "test/host/fs_case.h"

/* --- synthetic trees: keys are 1 root, 2 "dir", 3 "dir/file", 4 "self", 5 "magic", 6 "gone" --- */

struct provider {
	struct fs_inode *magic;
	bool dead;
	char written[32];
};

static int
prov_lookup(void *ctx, const struct fs_cred *cred, uint64_t dir, const char *name, size_t len,
	    struct fs_synth_node *out)
{
	static const struct {
		uint64_t dir, key;
		const char *name;
		uint32_t mode;
	} nodes[] = {
		{1, 2, "dir", FS_IFDIR | 0555},     {2, 3, "file", FS_IFREG | 0644},
		{1, 4, "self", FS_IFLNK | 0777},    {1, 5, "magic", FS_IFLNK | 0777},
		{1, 6, "gone", FS_IFREG | 0444},    {1, 7, "secret", FS_IFREG | 0400},
		{1, 8, "strange", FS_IFIFO | 0600},
	};

	(void)cred;
	if (((struct provider *)ctx)->dead)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		if (nodes[i].dir == dir && strlen(nodes[i].name) == len &&
		    !memcmp(nodes[i].name, name, len)) {
			out->key = nodes[i].key;
			out->ino = 7000 + (uint32_t)nodes[i].key;
			out->mode = nodes[i].mode;
			out->time = 42;
			return 0;
		}
	}
	return -ENOENT;
}

static int
prov_next(void *ctx, const struct fs_cred *cred, uint64_t dir, uint64_t cookie,
	  struct fs_entry *out)
{
	static const char *const names[] = {"dir", "self", "magic"};

	(void)ctx;
	(void)cred;
	if (dir != 1 || cookie >= 3)
		return 0;
	out->ino = 7000 + cookie;
	out->cookie = cookie + 1;
	out->mode = FS_IFDIR;
	out->name = names[cookie];
	out->len = (uint32_t)strlen(out->name);
	return 1;
}

static int
prov_readlink(void *ctx, const struct fs_cred *cred, uint64_t key, char *buf, size_t size)
{
	(void)ctx;
	(void)size;
	if (key == 5)
		return -EACCES;
	return snprintf(buf, size, "%s", cred->caller == 9 ? "dir" : "nobody");
}

static int
prov_follow(void *ctx, const struct fs_cred *cred, uint64_t key, struct fs_inode **out)
{
	struct provider *prov = ctx;

	(void)cred;
	if (key != 5)
		return -ENOSYS;
	fs_open_ref(prov->magic);
	*out = prov->magic;
	return 0;
}

static int
prov_content(void *ctx, const struct fs_cred *cred, uint64_t key, struct fs_sink *sink)
{
	char line[64];

	(void)ctx;
	(void)cred;
	if (key == 6)
		return -ESRCH;
	for (int i = 0; i < 1000; i++) {
		int err = fs_sink_put(
			sink, line,
			(size_t)snprintf(line, sizeof(line), "line %d of %d\n", i, (int)key));

		if (err)
			return err;
	}
	return 0;
}

static int
prov_write(void *ctx, const struct fs_cred *cred, uint64_t key, uint64_t off, const void *buf,
	   size_t len)
{
	struct provider *prov = ctx;

	(void)cred;
	(void)key;
	(void)off;
	snprintf(prov->written, sizeof(prov->written), "%.*s", (int)len, (const char *)buf);
	return (int)len;
}

static int
prov_refresh(void *ctx, uint64_t key, struct fs_synth_node *node)
{
	node->mode = key <= 2 ? 0555 : 0644;
	node->time = 43;
	return ((struct provider *)ctx)->dead ? -ESRCH : 0;
}

static const struct fs_synth_ops prov_ops = {
	.lookup = prov_lookup,
	.next = prov_next,
	.readlink = prov_readlink,
	.follow = prov_follow,
	.content = prov_content,
	.write = prov_write,
	.refresh = prov_refresh,
};

static void
test_synth_walk(struct provider *prov)
{
	struct fs_inode *a, *b;
	struct fs_path p;
	struct fs_stat st;
	struct fs_statfs sfs;
	char buf[64];

	IS(t_look(&root_cred, "proc/dir/file", 0), 0);
	IS(t_look(&root_cred, "proc/dir/none", 0), -ENOENT);
	IS(t_look(&root_cred, "proc/self/file", 0), -ENOENT);
	root_cred.caller = 9;
	IS(t_look(&root_cred, "proc/self/file", 0), 0);
	IS(t_look(&root_cred, "proc/self/../dir/../../f", 0), 0);
	IS(t_look(&root_cred, "proc/magic/inner", 0), 0);
	IS(t_look(&root_cred, "proc/magic", FS_LOOKUP_FOLLOW), 0);
	IS(t_look(&root_cred, "proc/strange", 0), -EIO);
	a = t_open(&root_cred, "proc/self/", FS_O_DIRECTORY, 0);
	b = t_open(&root_cred, "proc/dir", FS_O_DIRECTORY, 0);
	CHECK(a && a == b && fs_refs(a) == 2);
	IS(fs_getcwd(fs, a, buf, sizeof(buf)), 10);
	CHECK(!strcmp(buf, "/proc/dir"));
	p = at(a, "../..");
	fs_close(fs, b);
	IS(fs_lookup(fs, &root_cred, &p, 0, &b), 0);
	CHECK(fs_id(b) == FS_ROOT_ID);
	fs_close(fs, b);
	IS(fs_stat(fs, a, &st), 0);
	CHECK(st.ino == 7002 && st.dev == 2 && st.mtime == 43 && st.size == 0);
	fs_statfs(fs, a, &sfs);
	CHECK(sfs.type == 0x9fa0);
	prov->dead = true;
	IS(fs_stat(fs, a, &st), -ESRCH);
	prov->dead = false;
	IS(fs_chmod(fs, &root_cred, a, 0777), -EPERM);
	IS(fs_chown(fs, &root_cred, a, 1, 1), -EPERM);
	IS(fs_utimens(fs, &root_cred, a, 1, 1), -EPERM);
	fs_close(fs, a);
	IS(t_stat("proc", &st), 0);
	CHECK(st.ino == 7001);
}

static void
test_synth_names(void)
{
	struct fs_inode *dir = t_open(&root_cred, "proc", FS_O_DIRECTORY, 0);
	struct fs_entry entry;
	uint64_t cookie = 0;
	int count = 0;

	while (fs_dir_next(fs, &root_cred, dir, &cookie, &entry) == 1)
		count++;
	IS(count, 5);
	cookie = 4;
	IS(fs_dir_next(fs, &root_cred, dir, &cookie, &entry), 1);
	CHECK(entry.len == 5 && cookie == 5);
	fs_close(fs, dir);
	IS(t_mkdir(&root_cred, "proc/x", 0755), -EPERM);
	IS(t_mkdir(&root_cred, "proc/dir", 0755), -EEXIST);
	IS(t_unlink(&root_cred, "proc/dir/file"), -EPERM);
	IS(t_unlink(&root_cred, "proc/none"), -ENOENT);
	IS(t_rmdir(&root_cred, "proc/dir"), -EPERM);
	IS(t_rmdir(&root_cred, "proc"), -EBUSY);
	IS(t_rename(&root_cred, "proc", "x", 0), -EBUSY);
	IS(t_rename(&root_cred, "f", "proc/f", 0), -EXDEV);
	IS(t_rename(&root_cred, "proc/dir", "proc/dir2", 0), -EPERM);
	IS(t_link(&root_cred, "proc/dir/file", "x"), -EXDEV);
	IS(t_link(&root_cred, "f", "proc/x"), -EPERM);
	IS(t_open_err(&root_cred, "proc/x", FS_O_CREAT), -EACCES);
}

static void
test_synth_content(struct provider *prov)
{
	struct fs_inode *f = t_open(&root_cred, "proc/dir/file", FS_O_RDWR, 0);
	struct fs_stat st;
	struct fs_page page;
	uint64_t key;
	char buf[64];

	CHECK(f && fs_size(fs, f) == 13890);
	IS(fake_pread(fs, fake, f, 13876, buf, 64), 14);
	CHECK(!memcmp(buf, "line 999 of 3\n", 14));
	IS(fs_stat(fs, f, &st), 0);
	CHECK(st.size == 0 && st.ino == 7003 && st.nlink == 1);
	CHECK(fs_synth_key(f, &key) && key == 3);
	IS(fs_page_get(fs, f, 0, true, &page), -EPERM);
	IS(fs_set_size(fs, f, 0), -EPERM);
	IS(fs_extend(fs, f, 0, 1), -EPERM);
	IS(fs_synth_write(fs, &root_cred, f, 0, "hey", 3), 3);
	CHECK(!strcmp(prov->written, "hey"));
	fs_close(fs, f);
	IS(fake->frames, 0);
	IS(t_open_err(&root_cred, "proc/gone", 0), -ESRCH);
	IS(t_open_err(&user, "proc/secret", 0), -EACCES);
	IS(t_open_err(&root_cred, "proc/magic", FS_O_DIRECTORY), 0);
	IS(t_open_err(&root_cred, "proc/magic", FS_O_NOFOLLOW), -ELOOP);
	f = t_open(&root_cred, "f", FS_O_RDWR, 0);
	IS(fs_synth_write(fs, &root_cred, f, 0, "hey", 3), -EBADF);
	CHECK(!fs_synth_key(f, &key));
	fs_close(fs, f);
}

static void
test_synth(void)
{
	struct provider prov = {0};
	struct fs_inode *dir;

	begin("synthetic trees");
	t_mkdir(&root_cred, "proc", 0755);
	t_mkdir(&root_cred, "m", 0755);
	t_make(&root_cred, "m/inner", 0644);
	t_make(&root_cred, "f", 0644);
	prov.magic = t_open(&root_cred, "m", FS_O_DIRECTORY, 0);
	dir = t_open(&root_cred, "proc", FS_O_DIRECTORY, 0);
	IS(fs_synth_mount(fs, fs->root, &prov_ops, &prov, 1, 7001, 0x9fa0), -EBUSY);
	IS(fs_synth_mount(fs, dir, &prov_ops, &prov, 1, 7001, 0x9fa0), 0);
	IS(fs_synth_mount(fs, dir, &prov_ops, &prov, 1, 7001, 0x9fa0), -EBUSY);
	fs_close(fs, dir);
	test_synth_walk(&prov);
	test_synth_names();
	test_synth_content(&prov);
	fs_close(fs, prov.magic);
	end();
}

/* --- every allocation of a scenario fails once --- */

static void
scenario(void)
{
	struct provider prov = {0};
	struct fs_inode *inode = NULL, *dir;
	struct fs_path p = at(NULL, "d");
	char text[5000];

	memset(text, 't', sizeof(text));
	t_mkdir(&root_cred, "d", 0755);
	t_mkdir(&root_cred, "d/sub", 0755);
	t_make(&root_cred, "d/f", 0644);
	t_symlink(&root_cred, "d/f", "l");
	t_link(&root_cred, "d/f", "d/g");
	t_rename(&root_cred, "d/g", "h", 0);
	t_rename(&root_cred, "d/f", "h", 0);
	t_rename(&root_cred, "d/sub", "sub", 0);
	inode = t_open(&root_cred, "l", FS_O_RDWR | FS_O_CREAT, 0644);
	if (inode) {
		fake_pwrite(fs, fake, inode, 0, text, 5000);
		fake_pwrite(fs, fake, inode, 3ull << 30, text, 5000);
		fs_set_size(fs, inode, 4097);
		fs_set_size(fs, inode, 1ull << 40);
		fs_close(fs, inode);
	}
	if (!fs_lookup(fs, &root_cred, &p, 0, &dir)) {
		if (!fs_synth_mount(fs, dir, &prov_ops, &prov, 1, 7001, 0)) {
			root_cred.caller = 9;
			t_open_err(&root_cred, "d/self/file", 0);
		}
		fs_close(fs, dir);
	}
	inode = t_open(&root_cred, "/", FS_O_TMPFILE | FS_O_RDWR, 0644);
	fs_close(fs, inode);
	t_unlink(&root_cred, "h");
	t_rmdir(&root_cred, "sub");
}

static void
test_failures_of_memory(void)
{
	uint64_t n;
	bool good = true;

	printf("# every allocation fails once\n");
	for (n = 1;; n++) {
		const char *reason = "no reason";

		fake = fake_new();
		root_cred = fs_cred_root;
		fake->fail_at = n;
		fs = fake_fs(fake, 0, 0, 0);
		if (fs) {
			scenario();
			if (!fs_check(fs, &reason) || fake->bad) {
				printf("# request %llu: %s\n", (unsigned long long)n, reason);
				good = false;
			}
			fs_destroy(fs);
		}
		fs = NULL;
		if (fake->bytes || fake->frames) {
			printf("# request %llu: leak\n", (unsigned long long)n);
			good = false;
		}
		if (fake->requests < n)
			break;
		free(fake);
	}
	free(fake);
	fake = NULL;
	printf("# %llu requests\n", (unsigned long long)n - 1);
	CHECK(good && n > 40);
}

int
main(void)
{
	test_synth();
	test_failures_of_memory();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
