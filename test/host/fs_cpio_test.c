/* SPDX-License-Identifier: MIT */
/*
 * The boot archive's loader: good archives of every shape, each lie it must see through, every
 * truncation of a good archive, and the Nth allocation failing. Prints TAP.
 */
#include "test/host/fs_case.h"

/* Offsets of header fields: 6 + 8 * number; 6 is the file size, 11 the name size. */
struct member {
	const char *name;
	uint32_t mode, nlink, ino, uid, mtime, major, minor;
	const void *data;
	uint32_t size;
	bool aligned; /* pad the name so that the data starts a page */
};

static uint8_t archive[1 << 20];
static size_t archive_size;

static void
put(const void *data, size_t size)
{
	memcpy(archive + archive_size, data, size);
	archive_size += size;
}

static void
pad(size_t to)
{
	while (archive_size % to)
		archive[archive_size++] = 0;
}

static void
add_sized(const struct member *m, size_t name_size)
{
	char head[111];

	snprintf(head, sizeof(head), "070701%08x%08x%08x%08x%08X%08x%08x%08x%08x%08x%08x%08zx%08x",
		 m->ino, m->mode, m->uid, m->uid, m->nlink, m->mtime, m->size, 8, 1, m->major,
		 m->minor, name_size, 0);
	put(head, 110);
	put(m->name, strlen(m->name));
	for (size_t i = strlen(m->name); i < name_size; i++)
		put("", 1);
	pad(4);
	put(m->data, m->size);
	pad(4);
}

static void
add(const struct member *m)
{
	size_t name = strlen(m->name) + 1;

	if (m->aligned) {
		while ((archive_size + 110 + name) % FS_PAGE_SIZE)
			name++;
	}
	add_sized(m, name);
}

static void
add_file(const char *name, uint32_t mode, const void *data, uint32_t size)
{
	struct member m = {.name = name, .mode = mode, .nlink = 1, .data = data, .size = size};

	add(&m);
}

static void
finish(void)
{
	add_file("TRAILER!!!", 0, "", 0);
}

static struct fs_archive_report report;

/* Loads a copy of exact size, so that reads past the end are seen; the copy stays until unload. */
static int
load(const char *prefix, bool borrow)
{
	uint8_t *copy = malloc(archive_size ? archive_size : 1);
	struct fs_archive a = {copy, archive_size, FAKE_ARCHIVE, borrow, prefix};

	memcpy(copy, archive, archive_size);
	free((void *)(uintptr_t)fake->archive);
	fake->archive = copy;
	fake->archive_size = archive_size;
	return fs_load_cpio(fs, &a, &report);
}

static void
end_archive(void)
{
	const uint8_t *copy = fake->archive;

	end();
	free((void *)(uintptr_t)copy);
	archive_size = 0;
}

static char text[3 * 4096 + 100];

static void
good_archive(void)
{
	struct member big = {"root/bin/big", FS_IFREG | 0755, 1,   5, 7, 1000, 0, 0,
			     text,           sizeof(text),    true};
	struct member dev = {"root/dev/null", FS_IFCHR | 0666, 1, 6, 0, 0, 1, 0x103, "", 0, false};
	struct member one = {"root/one", FS_IFREG | 0644, 2, 9, 0, 0, 0, 0, "", 0, false};
	struct member two = {"root/two", FS_IFREG | 0644, 2, 9, 0, 0, 0, 0, "linked", 6, false};

	add_file("manifest", FS_IFREG | 0600, "not below", 9);
	add_file("root", FS_IFDIR | 0711, "", 0);
	add_file("root/bin", FS_IFDIR | 0750, "", 0);
	add(&big);
	add_file("root/bin/small", FS_IFREG | 0644, text, 5000);
	add_file("root/lib", FS_IFLNK | 0777, "usr/lib", 7);
	add_file("root/usr/lib/deep/er/f", FS_IFREG | 0600, "x", 1);
	add_file("root/empty", FS_IFREG | 0600, "", 0);
	add(&dev);
	add_file("root/pipe", FS_IFIFO | 0600, "", 0);
	add(&one);
	add(&two);
	add_file("rootless", FS_IFREG | 0600, "not below either", 16);
	add_file("root/bin", FS_IFDIR | 0755, "", 0);
	finish();
}

static void
test_good(bool borrow)
{
	static char got[sizeof(text) + 4096];
	struct fs_inode *f;
	struct fs_page page;
	struct fs_stat st;
	uint32_t pfn;

	begin(borrow ? "good archive, borrowed" : "good archive, copied");
	good_archive();
	IS(load("root/", borrow), 0);
	IS(report.members, 15);
	IS(report.loaded, 12);
	IS(report.borrowed, borrow ? 4 : 0);
	t_stat("/", &st);
	CHECK((st.mode & 07777) == 0711 && st.nlink == 5);
	t_stat("bin", &st);
	CHECK(st.mode == (FS_IFDIR | 0755));
	IS(t_look(&root_cred, "manifest", 0), -ENOENT);
	IS(t_look(&root_cred, "rootless", 0), -ENOENT);
	IS(t_look(&root_cred, "lib/deep/er/f", 0), 0);
	t_stat("dev/null", &st);
	CHECK(st.mode == (FS_IFCHR | 0666) && st.rdev == 0x100103);
	t_stat("one", &st);
	CHECK(st.nlink == 2 && st.size == 6);
	t_stat("bin/big", &st);
	CHECK(st.uid == 7 && st.mtime == 1000000000000 && st.size == sizeof(text));
	f = t_open(&root_cred, "bin/big", FS_O_RDWR, 0);
	IS(fs_page_get(fs, f, 0, false, &page), 0);
	CHECK(page.state == (borrow ? FS_PAGE_BORROWED : FS_PAGE_OWN));
	pfn = page.pfn;
	IS(fs_page_get(fs, f, 3, false, &page), 0);
	CHECK(page.state == FS_PAGE_OWN);
	fake_frame_read(fake, page.pfn, 0, got, 4096);
	CHECK(!memcmp(got, text + 3 * 4096, 100) && got[100] == 0 && got[4095] == 0);
	IS(fake_pread(fs, fake, f, 0, got, sizeof(got)), sizeof(text));
	CHECK(!memcmp(got, text, sizeof(text)));
	IS(fake_pwrite(fs, fake, f, 10, "written", 7), 7);
	IS(fs_page_get(fs, f, 0, false, &page), 0);
	CHECK(page.state == FS_PAGE_OWN);
	if (borrow)
		CHECK(page.pfn != pfn && fake->last_gone == pfn &&
		      fake->gone[FS_PAGE_BORROWED] >= 1);
	IS(fake_pread(fs, fake, f, 0, got, 20), 20);
	CHECK(!memcmp(got, text, 10) && !memcmp(got + 10, "written", 7) && got[17] == text[17]);
	/* Cut inside a borrowed page, then grown: the cut part reads as zeros. */
	IS(fs_set_size(fs, f, 4096 + 50), 0);
	IS(fs_set_size(fs, f, 4 * 4096), 0);
	IS(fake_pread(fs, fake, f, 4096, got, 4096), 4096);
	CHECK(!memcmp(got, text + 4096, 50) && got[50] == 0 && got[4095] == 0);
	fs_close(fs, f);
	end_archive();
}

static void
test_whole(void)
{
	begin("without a prefix");
	add_file(".", FS_IFDIR | 0700, "", 0);
	add_file("./a", FS_IFDIR | 0700, "", 0);
	add_file("./a/b", FS_IFREG | 0700, "b", 1);
	finish();
	IS(load("", true), 0);
	IS(report.loaded, 3);
	IS(t_look(&root_cred, "a/b", 0), 0);
	IS(fs_mode(fs->root), FS_IFDIR | 0700);
	end_archive();
}

struct lie {
	const char *what;
	const char *first; /* a member before, or NULL */
	uint32_t first_mode;
	const char *name;
	uint32_t mode;
	const char *data;
	uint32_t size;
	int err;
};

static void
test_lies(void)
{
	static const struct lie lies[] = {
		{"absolute", NULL, 0, "/etc/passwd", FS_IFREG, "", 0, -EINVAL},
		{"parent", NULL, 0, "../x", FS_IFREG, "", 0, -EINVAL},
		{"parent inside", "a", FS_IFDIR, "a/../x", FS_IFREG, "", 0, -EINVAL},
		{"parent last", "a", FS_IFDIR, "a/..", FS_IFDIR, "", 0, -EINVAL},
		{"self inside", "a", FS_IFDIR, "a/./x", FS_IFREG, "", 0, -EINVAL},
		{"empty component", "a", FS_IFDIR, "a//x", FS_IFREG, "", 0, -EINVAL},
		{"trailing slash", NULL, 0, "a/", FS_IFDIR, "", 0, -EINVAL},
		{"no name", NULL, 0, "", FS_IFREG, "", 0, -EINVAL},
		{"only dot slash", NULL, 0, "./", FS_IFDIR, "", 0, -EINVAL},
		{"file twice", "a", FS_IFREG, "a", FS_IFREG, "", 0, -EEXIST},
		{"directory over file", "a", FS_IFREG, "a", FS_IFDIR, "", 0, -EEXIST},
		{"file over directory", "a", FS_IFDIR, "a", FS_IFREG, "", 0, -EEXIST},
		{"root as a file", NULL, 0, ".", FS_IFREG, "", 0, -EEXIST},
		{"below a file", "a", FS_IFREG, "a/x", FS_IFREG, "", 0, -EINVAL},
		{"below a fifo", "a", FS_IFIFO, "a/x", FS_IFREG, "", 0, -EINVAL},
		{"directory with data", NULL, 0, "a", FS_IFDIR, "x", 1, -EINVAL},
		{"known directory with data", "a", FS_IFDIR, "a", FS_IFDIR, "x", 1, -EINVAL},
		{"fifo with data", NULL, 0, "a", FS_IFIFO, "x", 1, -EINVAL},
		{"no type", NULL, 0, "a", 0644, "", 0, -EINVAL},
		{"unknown type", NULL, 0, "a", 0170644, "", 0, -EINVAL},
		{"link without target", NULL, 0, "a", FS_IFLNK, "", 0, -EINVAL},
		{"link with NUL", NULL, 0, "a", FS_IFLNK, "a\0b", 3, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct lie *lie = &lies[i];

		begin(lie->what);
		if (lie->first)
			add_file(lie->first, lie->first_mode | 0755, "", 0);
		add_file(lie->name, lie->mode, lie->data, lie->size);
		finish();
		IS(load("", true), lie->err);
		CHECK(report.reason != NULL);
		end_archive();
	}
}

/* A field of the only member gets another value. */
static int
load_with(size_t offset, const char *value)
{
	archive_size = 0;
	add_file("name", FS_IFREG | 0644, "data", 4);
	finish();
	memcpy(archive + offset, value, strlen(value));
	return load("", true);
}

static void
test_fields(void)
{
	static char long_target[4096];
	char name[4200];
	struct member m = {
		.name = "a", .mode = FS_IFREG | 0644, .nlink = 2, .ino = 3, .data = "x", .size = 1};

	memset(long_target, 'l', sizeof(long_target));
	memset(name, 'n', sizeof(name));
	begin("fields that lie");
	IS(load_with(0, "070702"), -EINVAL);
	IS(load_with(0, "x"), -EINVAL);
	IS(load_with(6 + 8, "g"), -EINVAL);
	IS(load_with(6 + 8 * 11, "00000000"), -EINVAL);
	IS(load_with(6 + 8 * 11, "00000004"), -EINVAL);
	IS(load_with(6 + 8 * 11, "ffffffff"), -EINVAL);
	IS(load_with(6 + 8 * 11, "00000007"), -EINVAL);
	IS(load_with(6 + 8 * 6, "ffffffff"), -EINVAL);
	IS(load_with(6 + 8 * 6, "00000100"), -EINVAL);
	IS(load_with(0, "0"), 0); /* unchanged */
	IS(load_with(0, "0"), -EEXIST);
	archive_size = 0;
	IS(load("", true), -EINVAL);
	name[256] = '\0';
	add_file(name, FS_IFREG, "", 0);
	finish();
	IS(load("", true), -EINVAL);
	archive_size = 0;
	name[256] = 'n';
	name[4096] = '\0';
	add_file(name, FS_IFREG, "", 0);
	finish();
	IS(load("", true), -EINVAL);
	archive_size = 0;
	add_file("l", FS_IFLNK, long_target, 4096);
	finish();
	IS(load("", true), -EINVAL);
	archive_size = 0;
	add_file("l", FS_IFLNK | 0777, "/outside", 8);
	add_file("l/x", FS_IFREG, "", 0);
	finish();
	IS(load("", true), -EINVAL);
	archive_size = 0;
	add(&m);
	m.name = "b";
	add(&m);
	finish();
	IS(load("", true), -EINVAL);
	end_archive();
}

static void
test_truncations(void)
{
	size_t full;
	bool good = true;

	begin("every truncation");
	good_archive();
	full = archive_size;
	for (size_t size = 0; size < full; size++) {
		if (size > 600 && size < full - 3000 && size % 13)
			continue;
		fs_destroy(fs);
		fs = fake_fs(fake, 0, 0, 0);
		archive_size = size;
		/* Only padding may be missing. */
		if (load("root", true) == 0 && size < full - 2)
			good = false;
		good = good && fs_check(fs, NULL);
	}
	CHECK(good);
	end_archive();
}

static void
test_memory(void)
{
	bool good = true;
	uint64_t n;

	printf("# every allocation fails once\n");
	archive_size = 0;
	good_archive();
	for (n = 1;; n++) {
		fake = fake_new();
		fake->fail_at = n;
		fs = fake_fs(fake, 0, 0, 0);
		if (fs) {
			if (load("root", n & 1) == 0 && fake->requests >= n)
				good = false;
			good = good && fs_check(fs, NULL) && !fake->bad;
			fs_destroy(fs);
		}
		good = good && !fake->bytes && !fake->frames;
		free((void *)(uintptr_t)fake->archive);
		if (fake->requests < n)
			break;
		free(fake);
	}
	free(fake);
	fake = NULL;
	fs = NULL;
	CHECK(good && n > 40);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	test_good(true);
	test_good(false);
	test_whole();
	test_lies();
	test_fields();
	test_truncations();
	test_memory();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
