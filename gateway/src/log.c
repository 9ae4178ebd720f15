/*
 * log.c
 *	  Log lines on standard error: key=value pairs, one event a line.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_LINE 1024

static const char *const names[] = {"error", "warning", "info", "debug"};
static LogLevel threshold = LOG_INFO;

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

/* Peers choose some of the text: it must stay on its line, in its quotes. */
static void
quote(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 3 < size; text++)
	{
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char) *text < ' ' ? ' ' : *text;
	}
	out[n] = '\0';
}

void
log_line(LogLevel level, const char *format, ...)
{
	static const int severities[] = {3, 4, 6, 7};
	char text[MAX_LINE];
	char quoted[MAX_LINE];
	va_list args;

	if (level > threshold)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	quote(text, quoted, sizeof(quoted));

	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>level=%s msg=\"%s\"\n", severities[level], names[level], quoted);
	else
	{
		struct timespec now;
		struct tm utc;
		char date[32];

		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &utc);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
		fprintf(stderr, "time=%s.%03ldZ level=%s msg=\"%s\"\n", date, now.tv_nsec / 1000000,
				names[level], quoted);
	}
}
