/* SPDX-License-Identifier: MIT */
/*
 * Programs and what they need.  A program is looked for in the guest's root first (from --root and
 * --file), then on the host, from where it is taken along to the same absolute path.  A script's
 * interpreter is taken along the same way, and so is the program that `env` is to find for a
 * script.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exo.h"

#define SCRIPTS_NESTED 5u /* as in Linux */

/* The program in the guest's own root: where, or NULL. */
static char *
guest_search(struct tree *tree, const char *name)
{
	const char *directories = GUEST_PATH;

	while (*directories) {
		size_t length = strcspn(directories, ":");
		char *path = format_text("%.*s/%s", (int)length, directories, name);
		struct node *node = tree_find(tree, path);

		if (node && S_ISREG(node->mode) && (node->mode & 0111))
			return path;
		free(path);
		directories += length + (directories[length] == ':');
	}
	return NULL;
}

/* Where a program given by name is: its path, valid in the guest, or if not there on the host. */
static char *
program_locate(struct tree *tree, const char *name)
{
	struct stat status;
	char *found;

	if (strchr(name, '/') || (stat(name, &status) == 0 && S_ISREG(status.st_mode)))
		return path_clean(name);
	found = guest_search(tree, name);
	if (found)
		return found;
	found = path_search(getenv("PATH"), name);
	if (!found)
		die("%s: there is no such program", name);
	return path_clean(found);
}

static void program_take(struct tree *tree, const char *path, const char *name, unsigned depth,
			 struct domain *domain);

/* What a script needs beside itself. */
static void
script_take(struct tree *tree, const char *name, const struct program_file *file, unsigned depth)
{
	const char *base = strrchr(file->interpreter, '/') + 1;
	size_t length = file->argument ? strcspn(file->argument, " \t") : 0;
	char *label = format_text("%s: its interpreter %s", name, file->interpreter);

	program_take(tree, file->interpreter, label, depth + 1, NULL);
	if (strcmp(base, "env") == 0 && length > 0 && file->argument[0] != '-' &&
	    !memchr(file->argument, '=', length)) {
		char *wanted = format_text("%.*s", (int)length, file->argument);
		char *path = program_locate(tree, wanted);

		program_take(tree, path, wanted, depth + 1, NULL);
	}
}

static void
program_take(struct tree *tree, const char *path, const char *name, unsigned depth,
	     struct domain *domain)
{
	struct node *node = tree_find(tree, path);
	const char *source = path, *wrong;
	struct program_file file;

	if (node && S_ISDIR(node->mode) && access(path, F_OK) != 0)
		die("%s: is a directory", name);
	if (node && S_ISREG(node->mode) && node->content->source)
		source = node->content->source;
	wrong = program_inspect(source, &file);
	if (wrong)
		die("%s: %s", name, wrong);
	if (file.kind == PROGRAM_DYNAMIC)
		die("%s: is a dynamic program (it needs %s): not yet; only static programs run so "
		    "far",
		    name, file.interpreter);
	if (source == path)
		tree_add_host(tree, path, path);
	if (domain && file.kind == PROGRAM_STATIC && file.fixed)
		domain->symbols = duplicate(source);
	if (file.kind == PROGRAM_SCRIPT) {
		if (depth >= SCRIPTS_NESTED)
			die("%s: too many interpreters that are scripts themselves", name);
		script_take(tree, name, &file, depth);
	}
	free(file.interpreter);
	free(file.argument);
}

void
domain_resolve(struct tree *tree, struct domain *domain, const char *name)
{
	const char *base = strrchr(name, '/');

	domain->path = program_locate(tree, name);
	domain->name = duplicate(base && base[1] ? base + 1 : name);
	program_take(tree, domain->path, name, 0, domain);
}
