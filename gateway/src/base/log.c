/*
 * log.c
 *	  Log lines on standard error: key=value pairs, one event a line.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_TEXT 1024
#define MAX_LINE 4096
#define MAX_SEEN 64 /* lines of one second */

static const char *const names[] = {"error", "warning", "info", "debug"};
static LogLevel threshold = LOG_INFO;

/* Lines that were written in this second, and how often they would have been since. */
static struct
{
	const char *format;
	time_t second;
	unsigned long repeated;
} seen[MAX_SEEN];

void
log_set_level(LogLevel level)
{
	threshold = level;
}

int
log_level_by_name(const char *name, LogLevel *level)
{
	for (int i = 0; i < (int) (sizeof(names) / sizeof(names[0])); i++)
		if (strcmp(name, names[i]) == 0)
		{
			*level = (LogLevel) i;
			return 1;
		}
	return 0;
}

/*
 * Whether the line may be written; how many were not, since it last was. Formats that share a
 * slot push each other out: one line too many, at worst.
 */
static int
may_write(const char *format, unsigned long *repeated)
{
	size_t slot = ((size_t) format >> 3) % MAX_SEEN;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*repeated = 0;
	if (seen[slot].format == format)
	{
		if (seen[slot].second == now.tv_sec)
		{
			seen[slot].repeated++;
			return 0;
		}
		*repeated = seen[slot].repeated;
	}
	seen[slot].format = format;
	seen[slot].second = now.tv_sec;
	seen[slot].repeated = 0;
	return 1;
}

/* Peers choose some of the text: it must stay on its line, in its quotes. */
static size_t
quote(const char *text, char *out, size_t size)
{
	size_t n = 0;

	out[n++] = '"';
	for (; *text && n + 4 < size; text++)
	{
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char) *text < ' ' || *text == 0x7f ? ' ' : *text;
	}
	out[n++] = '"';
	out[n] = '\0';
	return n;
}

static size_t
add_fields(char *line, size_t at, const LogField *fields)
{
	for (; fields && fields->key; fields++)
	{
		if (!fields->value || at + strlen(fields->key) + 8 > MAX_LINE)
			continue;
		at += (size_t) sprintf(line + at, " %s=", fields->key);
		at += quote(fields->value, line + at, MAX_LINE - at);
	}
	return at;
}

static void
write_line(LogLevel level, const char *text, const LogField *fields, unsigned long repeated)
{
	static const int severities[] = {3, 4, 6, 7};
	char line[MAX_LINE];
	char date[32];
	struct timespec now;
	struct tm utc;
	size_t at = quote(text, line, MAX_TEXT);

	at = add_fields(line, at, fields);
	if (repeated && at + 32 < MAX_LINE)
		sprintf(line + at, " repeated=%lu", repeated);
	if (getenv("JOURNAL_STREAM"))
	{
		fprintf(stderr, "<%d>level=%s msg=%s\n", severities[level], names[level], line);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(stderr, "time=%s.%03ldZ level=%s msg=%s\n", date, now.tv_nsec / 1000000, names[level],
			line);
}

void
log_line(LogLevel level, const char *format, ...)
{
	char text[MAX_TEXT];
	unsigned long repeated;
	va_list args;

	if (level > threshold || !may_write(format, &repeated))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	write_line(level, text, NULL, repeated);
}

void
log_fields(LogLevel level, const char *message, const LogField *fields)
{
	unsigned long repeated;

	if (level <= threshold && may_write(message, &repeated))
		write_line(level, message, fields, repeated);
}
