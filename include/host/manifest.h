/* SPDX-License-Identifier: MIT */
/*
 * What the host command puts into the boot archive, and how the guest reads it.
 *
 * The archive is one `newc` cpio file, loaded at a page boundary:
 *
 *	boot/NAME       the library OS, as tools/image made it: its data is the archive's second page
 *	                and what follows
 *	boot/manifest   the text described below
 *	root            the guest's root directory, then what is below it: root/bin, ...
 *
 *  1. The data of every regular file that has any begins at a multiple of MANIFEST_PAGE bytes
 *     in the archive, so that its pages can be used in place.  The name field before it is
 *     longer than the name for this: namesize counts NUL bytes after the name (at most
 *     MANIFEST_PAGE more).
 *  2. The page that holds the last byte of a file also holds the next member's header: the bytes
 *     behind the end of a file are NOT zero.  They must be cleared (in a copy) before a program
 *     sees them.  No page holds data of two regular files.
 *  3. A directory comes before its contents.  Owner and group are 0.  Modes and modification
 *     times are the source's.  Types: directories, regular files, symbolic links (data: the
 *     target, not terminated), FIFOs.
 *  4. Inode numbers count from 1.  Regular files with nlink > 1 and the same number are one file
 *     with several names; the first member carries the data, the others have size 0.
 *  5. The archive ends with TRAILER!!! and is padded with zeros to a multiple of MANIFEST_PAGE.
 *
 * The manifest is a sequence of records KEY=VALUE, each ended by one NUL byte.  Values contain
 * any byte but NUL.  Records with the same key keep their order.  Unknown keys are to be
 * ignored.  Numbers are decimal.
 *
 *	version          1
 *	domains          how many programs are started; 0 only with another library OS
 *	cpus             processors of the machine
 *	time             nanoseconds since 1970-01-01 UTC when the archive was written
 *	seed             64 hexadecimal digits of randomness (constant under --icount)
 *	icount           1: instructions are counted, time is virtual
 *	accel            tcg | kvm
 *	terminal.input   guest: stream 0 of domain 0 carries a terminal's raw keys; the guest
 *	                 does echo, line editing and the characters that send signals
 *	                 none: there is no such input
 *	terminal.output  guest: the guest does output processing (newline to CR NL)
 *	                 host: the host's terminal does; the guest's initial termios has OPOST off
 *	terminal.stream  1 | 2 | 3: the stream of the terminal's output (echo, /dev/tty)
 *	terminal.rows, terminal.cols, terminal.xpixel, terminal.ypixel
 *	option.KEY       what --guest-opt KEY=VALUE said
 *
 * The terminal.* records are there if any of domain 0's standard streams is a terminal.  For
 * each domain D (0, 1, ...), in this order:
 *
 *	D.name           short and unique: the program's last path component (NAME.2, ...)
 *	D.path           absolute path of the program (or script) in the guest's root
 *	D.cwd            absolute path
 *	D.arg            repeated; the first is argv[0]
 *	D.env            repeated; NAME=VALUE
 *	D.stdin, D.stdout, D.stderr   one of
 *	    tty          the terminal
 *	    pipe         a stream of bytes
 *	    file         a regular file on the host; for the guest a stream too, without seeking
 *	    null         /dev/null: the guest may use its own, nothing need be sent
 *	    closed       the descriptor is not open
 *	D.same           1: standard output and error are the same file; the guest sends both on
 *	                 stream 1, so that their order is kept
 */
#ifndef HOST_MANIFEST_H
#define HOST_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_PAGE 4096u

struct manifest_record {
	const char *key, *value; /* not terminated, except that a NUL follows the value */
	size_t key_length, value_length;
};

/*
 * The record at *offset of a manifest; moves *offset behind it.  False at the end, and at a record
 * that is not ended by NUL or has no key: such a manifest is damaged, which *offset < count tells.
 */
static inline bool
manifest_next(const char *bytes, size_t count, size_t *offset, struct manifest_record *record)
{
	size_t start = *offset, end = start, equals;

	while (end < count && bytes[end] != 0)
		end++;
	if (end >= count)
		return false;
	for (equals = start; equals < end && bytes[equals] != '='; equals++)
		;
	if (equals == start || equals == end)
		return false;
	record->key = bytes + start;
	record->key_length = equals - start;
	record->value = bytes + equals + 1;
	record->value_length = end - equals - 1;
	*offset = end + 1;
	return true;
}

/* Whether a record has this key. */
static inline bool
manifest_is(const struct manifest_record *record, const char *key)
{
	size_t i = 0;

	while (i < record->key_length && key[i] != 0 && key[i] == record->key[i])
		i++;
	return i == record->key_length && key[i] == 0;
}

#endif
