/* SPDX-License-Identifier: MIT */
/*
 * Where things are: the built artefacts beside this command, programs in a PATH, clean paths.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

/* The directory of the artefacts: EXO_BUILD, or build/ beside this command. */
static char *
build_directory(void)
{
	const char *given = getenv("EXO_BUILD");
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (given && *given)
		return duplicate(given);
	if (length <= 0)
		die("cannot find this command's own file in /proc: %s", strerror(errno));
	self[length] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		die("cannot find this command's own directory");
	*slash = 0;
	return format_text("%s/build", self);
}

char *
path_artefact(const char *name)
{
	char *directory = build_directory();
	char *path = format_text("%s/%s", directory, name);

	if (access(path, R_OK) != 0)
		die("%s: %s; run \"make\" first", path, strerror(errno));
	free(directory);
	return path;
}

char *
path_clean(const char *path)
{
	struct text clean = {0};
	char *current = NULL;

	if (path[0] != '/') {
		current = getcwd(NULL, 0);
		if (!current || current[0] != '/')
			die("cannot find the current directory: %s", strerror(errno));
		text_print(&clean, "%s", current[1] ? current : "");
	}
	free(current);
	text_add(&clean, "", 0);
	while (*path) {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.') {
			while (clean.count > 0 && clean.bytes[--clean.count] != '/')
				;
			clean.bytes[clean.count] = 0;
		} else if (length > 0 && !(length == 1 && path[0] == '.')) {
			text_add(&clean, "/", 1);
			text_add(&clean, path, length);
		}
		path += length + (path[length] == '/');
	}
	if (clean.count == 0)
		text_add(&clean, "/", 1);
	return clean.bytes;
}

char *
path_search(const char *directories, const char *name)
{
	while (directories && *directories) {
		size_t length = strcspn(directories, ":");
		char *path = length ? format_text("%.*s/%s", (int)length, directories, name)
				    : format_text("./%s", name);
		struct stat status;

		if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0)
			return path;
		free(path);
		directories += length + (directories[length] == ':');
	}
	return NULL;
}
