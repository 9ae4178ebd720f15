/*
 * log.h
 *	  Log lines on standard error: key=value pairs, one event a line.
 *
 * systemd takes the severity from the prefix <3> to <7>, and the time is its
 * own; at a terminal a line begins with the time instead.
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

/* Writes msg="..." with the format's result quoted; no secret may be in it. */
extern void log_line(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* GATEWAY_LOG_H */
