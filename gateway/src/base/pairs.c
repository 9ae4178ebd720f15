/*
 * pairs.c
 *	  A file of lines NAME=VALUE; # begins a comment, a value may stand in quotes.
 */
#include "base/pairs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	if (len > 1 && (*text == '"' || *text == '\'') && text[len - 1] == *text)
	{
		text[len - 1] = '\0';
		text++;
	}
	return text;
}

static bool
take_line(char *line, PairTaken taken, void *arg, char *problem, size_t size)
{
	char *text = trim(line);
	char *equals = strchr(text, '=');

	if (*text == '\0' || *text == '#')
		return true;
	snprintf(problem, size, "must be NAME=VALUE");
	if (!equals)
		return false;
	*equals = '\0';
	return taken(trim(text), trim(equals + 1), arg, problem, size);
}

bool
pairs_read(const char *path, PairTaken taken, void *arg, char *problem, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	char why[128] = "";
	bool ok = file != NULL;
	int n = 0;

	if (!file)
		snprintf(problem, size, "%s: %s", path, strerror(errno));
	while (ok && fgets(line, sizeof(line), file))
	{
		n++;
		ok = take_line(line, taken, arg, why, sizeof(why));
		if (!ok)
			snprintf(problem, size, "%s, line %d: %s", path, n, why);
	}
	if (file)
		fclose(file);
	return ok;
}
