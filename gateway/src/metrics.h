/*
 * metrics.h
 *	  Counters, for /metrics. Whoever does a thing counts it here.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "util.h"

#define LATENCY_BUCKETS 12

typedef struct Metrics
{
	uint64_t sockets; /* now */
	uint64_t rooms;
	uint64_t channels;
	uint64_t subscriptions;
	uint64_t opened; /* since the start */
	uint64_t refused;
	uint64_t closed_silent;
	uint64_t closed_slow;
	uint64_t messages_in;
	uint64_t frames_out;
	uint64_t client_events;
	uint64_t api_requests;
	uint64_t api_events;
	uint64_t member_events;
	uint64_t resyncs;
	uint64_t joins;
	uint64_t join_batches;
	uint64_t join_failures;
	uint64_t drops;
	uint64_t bus_sent;
	uint64_t bus_received;
	uint64_t bus_refused;
	uint64_t database_losses;
	uint64_t join_latency[LATENCY_BUCKETS + 1]; /* not cumulative; the last is +Inf */
	uint64_t join_latency_us;
	uint64_t join_latency_count;
} Metrics;

extern Metrics metrics;

/* A subscription to a room was answered, so long after it was asked for. */
extern void metrics_join_latency(int64_t us);

/* The text of /metrics. database_up: whether joins get through now. */
extern void metrics_text(Buf *out, bool database_up);

#endif /* GATEWAY_METRICS_H */
