/*
 * log.h
 *	  Log lines on standard error: key=value pairs, one event a line.
 *
 * systemd takes the severity from the prefix <3> to <7>, and the time is its
 * own; at a terminal a line begins with the time instead. Strangers can cause lines, so one
 * that comes again within a second is only counted, and the next one tells how many.
 */
#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

typedef enum LogLevel
{
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
	LOG_DEBUG
} LogLevel;

/* What is more detailed than this is not written. */
extern void log_set_level(LogLevel level);

/* One of error, warning, info, debug; false: none of them. */
extern int log_level_by_name(const char *name, LogLevel *level);

/*
 * Writes msg="..." with the format's result quoted; no secret may be in it. Which line it is
 * the format says: a literal.
 */
extern void log_line(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A value of such a line. A NULL is left out. */
typedef struct LogField
{
	const char *key;
	const char *value;
} LogField;

/* The same, with fields after msg="..."; the list ends with a key of NULL. */
extern void log_fields(LogLevel level, const char *message, const LogField *fields);

#endif /* GATEWAY_LOG_H */
