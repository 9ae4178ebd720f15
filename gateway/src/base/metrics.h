/*
 * metrics.h
 *	  Counters, for /metrics. Whoever does a thing counts it here.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "base/util.h"

#define LATENCY_BUCKETS 12

typedef struct Histogram
{
	uint64_t buckets[LATENCY_BUCKETS + 1]; /* not cumulative; the last is +Inf */
	uint64_t us;
	uint64_t count;
} Histogram;

typedef struct Metrics
{
	uint64_t connections; /* now: WebSockets, requests, and what has said nothing yet */
	uint64_t sockets;     /* of them, clients */
	uint64_t rooms;
	uint64_t channels;
	uint64_t subscriptions;
	uint64_t backlog; /* bytes that wait for slow readers */

	uint64_t connections_total; /* since the start */
	uint64_t opened;
	uint64_t refused;
	uint64_t refused_address; /* one address had as many as it may */
	uint64_t refused_joins;   /* one user came into one room too often */
	uint64_t http_refused;
	uint64_t accept_pauses;
	uint64_t tls_failures;
	uint64_t closed_silent;
	uint64_t closed_slow;
	uint64_t closed_late;    /* a request or its head did not come in time */
	uint64_t closed_evicted; /* said nothing, and others wanted its place */
	uint64_t closed_rate;
	uint64_t broken_frames;
	uint64_t too_large;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t messages_in;
	uint64_t frames_out;
	uint64_t client_events;
	uint64_t http_requests;
	uint64_t api_requests;
	uint64_t api_events;
	uint64_t member_events;
	uint64_t events_elsewhere;
	uint64_t events_refused;
	uint64_t resyncs;
	uint64_t joins;
	uint64_t join_batches;
	uint64_t join_failures;
	uint64_t joins_blocked;
	uint64_t drops;
	uint64_t beats;
	uint64_t beat_failures;
	int64_t last_beat; /* ms, of our clock; 0: none */
	uint64_t reports;
	uint64_t report_failures;
	uint64_t webhook_waiting; /* as of the last look */
	uint64_t webhook_deliveries;
	uint64_t webhook_events;
	uint64_t webhook_failures;
	uint64_t webhook_dropped;
	uint64_t bus_sent;
	uint64_t bus_received;
	uint64_t bus_refused;
	uint64_t cache_lost;
	uint64_t watched;
	uint64_t bus_lost;
	uint64_t database_losses;
	uint64_t line_losses;
	uint64_t cancels;
	Histogram join_latency;
	Histogram notification_delay;
	Histogram loop_turns;
	Histogram loop_cpu;
} Metrics;

extern Metrics metrics;

/* A subscription to a room was answered, so long after it was asked for. */
extern void metrics_join_latency(int64_t us);

/* A notification of our own came back, so long after it was sent. */
extern void metrics_notification_delay(int64_t us);

/* A turn of the loop took so long, waiting left out. */
/* cpu_us: what the thread ran of that. */
extern void metrics_loop_turn(int64_t us, int64_t cpu_us);

/* The text of /metrics. database_up: whether joins get through now. */
extern void metrics_text(Buf *out, bool database_up);

#endif /* GATEWAY_METRICS_H */
