/*
 * metrics.c
 *	  Counters, for /metrics, in Prometheus' text format.
 */
#include "metrics.h"

Metrics metrics;

static const double bounds_ms[LATENCY_BUCKETS] = {1,   2,   5,   10,   20,   50,
												  100, 200, 500, 1000, 5000, 30000};

void
metrics_join_latency(int64_t us)
{
	int bucket = 0;

	while (bucket < LATENCY_BUCKETS && (double) us > bounds_ms[bucket] * 1000)
		bucket++;
	metrics.join_latency[bucket]++;
	metrics.join_latency_us += (uint64_t) us;
	metrics.join_latency_count++;
}

static void
add_histogram(Buf *out)
{
	const char *name = "presence_gateway_join_seconds";
	uint64_t sum = 0;

	buf_addf(out, "# HELP %s From a subscription to a room until its answer.\n", name);
	buf_addf(out, "# TYPE %s histogram\n", name);
	for (int i = 0; i < LATENCY_BUCKETS; i++)
	{
		sum += metrics.join_latency[i];
		buf_addf(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds_ms[i] / 1000,
				 (unsigned long long) sum);
	}
	buf_addf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name,
			 (unsigned long long) metrics.join_latency_count);
	buf_addf(out, "%s_sum %g\n", name, (double) metrics.join_latency_us / 1e6);
	buf_addf(out, "%s_count %llu\n", name, (unsigned long long) metrics.join_latency_count);
}

void
metrics_text(Buf *out, bool database_up)
{
	const struct
	{
		const char *name;
		const char *type;
		const char *help;
		uint64_t value;
	} table[] = {
		{"database_up", "gauge", "1 if joins get through.", database_up},
		{"sockets", "gauge", "Clients connected.", metrics.sockets},
		{"rooms", "gauge", "Rooms with a client here.", metrics.rooms},
		{"channels", "gauge", "Channels with a client here.", metrics.channels},
		{"subscriptions", "gauge", "Subscriptions of clients.", metrics.subscriptions},
		{"sockets_opened_total", "counter", "Clients accepted.", metrics.opened},
		{"sockets_refused_total", "counter", "Clients refused.", metrics.refused},
		{"sockets_silent_total", "counter", "Clients closed for silence.", metrics.closed_silent},
		{"sockets_slow_total", "counter", "Clients closed for reading slowly.",
		 metrics.closed_slow},
		{"messages_received_total", "counter", "Messages of clients.", metrics.messages_in},
		{"frames_sent_total", "counter", "Messages to clients.", metrics.frames_out},
		{"client_events_total", "counter", "Client events passed on.", metrics.client_events},
		{"api_requests_total", "counter", "Requests of the HTTP API.", metrics.api_requests},
		{"api_events_total", "counter", "Events triggered by it, one for each channel.",
		 metrics.api_events},
		{"member_events_total", "counter", "Events of the database, of rooms held here.",
		 metrics.member_events},
		{"resyncs_total", "counter", "Times all rooms were read again.", metrics.resyncs},
		{"joins_total", "counter", "Connections joined, also again.", metrics.joins},
		{"join_batches_total", "counter", "Calls of join_rooms.", metrics.join_batches},
		{"join_failures_total", "counter", "Calls of join_rooms that failed.",
		 metrics.join_failures},
		{"drops_total", "counter", "Connections dropped.", metrics.drops},
		{"bus_sent_total", "counter", "Events told to other gateways.", metrics.bus_sent},
		{"bus_received_total", "counter", "Events of other gateways.", metrics.bus_received},
		{"bus_refused_total", "counter", "Notifications that no gateway has signed.",
		 metrics.bus_refused},
		{"database_losses_total", "counter", "Times the database was lost.",
		 metrics.database_losses},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		buf_addf(out,
				 "# HELP presence_gateway_%s %s\n# TYPE presence_gateway_%s %s\n"
				 "presence_gateway_%s %llu\n",
				 table[i].name, table[i].help, table[i].name, table[i].type, table[i].name,
				 (unsigned long long) table[i].value);
	add_histogram(out);
}
