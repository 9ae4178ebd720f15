/*
 * metrics.c
 *	  Counters, for /metrics, in Prometheus' text format.
 */
#include "base/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define PREFIX "presence_gateway_"

Metrics metrics;

static const double bounds_ms[LATENCY_BUCKETS] = {1,   2,   5,   10,   20,   50,
												  100, 200, 500, 1000, 5000, 30000};

static void
observe(Histogram *histogram, int64_t us)
{
	int bucket = 0;

	while (bucket < LATENCY_BUCKETS && (double) us > bounds_ms[bucket] * 1000)
		bucket++;
	histogram->buckets[bucket]++;
	histogram->us += (uint64_t) us;
	histogram->count++;
}

void
metrics_join_latency(int64_t us)
{
	observe(&metrics.join_latency, us);
}

void
metrics_notification_delay(int64_t us)
{
	observe(&metrics.notification_delay, us);
}

void
metrics_loop_turn(int64_t us, int64_t cpu_us)
{
	observe(&metrics.loop_turns, us);
	observe(&metrics.loop_cpu, cpu_us);
}

static void
add_histogram(Buf *out, const char *name, const char *help, const Histogram *histogram)
{
	uint64_t sum = 0;

	buf_addf(out, "# HELP " PREFIX "%s %s\n", name, help);
	buf_addf(out, "# TYPE " PREFIX "%s histogram\n", name);
	for (int i = 0; i < LATENCY_BUCKETS; i++)
	{
		sum += histogram->buckets[i];
		buf_addf(out, PREFIX "%s_bucket{le=\"%g\"} %llu\n", name, bounds_ms[i] / 1000,
				 (unsigned long long) sum);
	}
	buf_addf(out, PREFIX "%s_bucket{le=\"+Inf\"} %llu\n", name,
			 (unsigned long long) histogram->count);
	buf_addf(out, PREFIX "%s_sum %g\n", name, (double) histogram->us / 1e6);
	buf_addf(out, PREFIX "%s_count %llu\n", name, (unsigned long long) histogram->count);
}

/* One metric in several kinds: refusals by reason, closes by reason. */
typedef struct Labelled
{
	const char *label;
	uint64_t value;
} Labelled;

static void
add_labelled(Buf *out, const char *name, const char *help, const char *key, const Labelled *list,
			 size_t n)
{
	buf_addf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s counter\n", name, help, name);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, PREFIX "%s{%s=\"%s\"} %llu\n", name, key, list[i].label,
				 (unsigned long long) list[i].value);
}

static void
add_reasons(Buf *out)
{
	const Labelled refusals[] = {{"protocol", metrics.refused},
								 {"address", metrics.refused_address},
								 {"joins", metrics.refused_joins},
								 {"http", metrics.http_refused},
								 {"tls", metrics.tls_failures}};
	const Labelled closes[] = {
		{"silent", metrics.closed_silent}, {"slow", metrics.closed_slow},
		{"late", metrics.closed_late},     {"evicted", metrics.closed_evicted},
		{"rate", metrics.closed_rate},     {"frames", metrics.broken_frames}};

	add_labelled(out, "refusals_total", "What was refused, by reason.", "reason", refusals,
				 sizeof(refusals) / sizeof(refusals[0]));
	add_labelled(out, "closes_total", "Connections closed by the gateway, by reason.", "reason",
				 closes, sizeof(closes) / sizeof(closes[0]));
}

static unsigned
open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 3 ? n - 3 : 0; /* ., .. and the directory itself */
}

static unsigned long
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (file && fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (unsigned long) sysconf(_SC_PAGESIZE);
}

static void
add_process(Buf *out)
{
	struct rusage usage;
	struct rlimit limit = {0};

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &limit);
	buf_addf(out, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %g\n",
			 (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				 (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	buf_addf(out, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %lu\n",
			 resident_bytes());
	buf_addf(out, "# TYPE process_open_fds gauge\nprocess_open_fds %u\n", open_files());
	buf_addf(out, "# TYPE process_max_fds gauge\nprocess_max_fds %llu\n",
			 (unsigned long long) limit.rlim_cur);
	buf_addf(out, "# HELP " PREFIX "build_info The version.\n# TYPE " PREFIX
				  "build_info gauge\n" PREFIX "build_info{version=\"" GATEWAY_VERSION "\"} 1\n");
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
		{"database_up", "gauge", "1 if joins and heartbeats get through.", database_up},
		{"connections", "gauge", "Connections, of clients and requests.", metrics.connections},
		{"sockets", "gauge", "Clients connected.", metrics.sockets},
		{"rooms", "gauge", "Rooms with a client here.", metrics.rooms},
		{"channels", "gauge", "Channels with a client here.", metrics.channels},
		{"subscriptions", "gauge", "Subscriptions of clients.", metrics.subscriptions},
		{"backlog_bytes", "gauge", "What waits for slow readers.", metrics.backlog},
		{"seconds_since_heartbeat", "gauge", "Since the database took the last heartbeats.",
		 metrics.last_beat ? (uint64_t) (now_ms() - metrics.last_beat) / 1000 : 0},
		{"connections_total", "counter", "Connections accepted.", metrics.connections_total},
		{"accept_pauses_total", "counter", "Times none was, for want of files or places.",
		 metrics.accept_pauses},
		{"sockets_opened_total", "counter", "Clients accepted.", metrics.opened},
		{"sockets_refused_total", "counter", "Clients refused.", metrics.refused},
		{"sockets_silent_total", "counter", "Clients closed for silence.", metrics.closed_silent},
		{"sockets_slow_total", "counter", "Clients closed for reading slowly.",
		 metrics.closed_slow},
		{"received_bytes_total", "counter", "Bytes of clients.", metrics.bytes_in},
		{"sent_bytes_total", "counter", "Bytes to clients.", metrics.bytes_out},
		{"messages_received_total", "counter", "Messages of clients.", metrics.messages_in},
		{"messages_too_large_total", "counter", "Messages that were not read.", metrics.too_large},
		{"frames_sent_total", "counter", "Messages to clients.", metrics.frames_out},
		{"client_events_total", "counter", "Client events passed on.", metrics.client_events},
		{"http_requests_total", "counter", "HTTP requests.", metrics.http_requests},
		{"api_requests_total", "counter", "Requests of the HTTP API.", metrics.api_requests},
		{"api_events_total", "counter", "Events triggered by it, one for each channel.",
		 metrics.api_events},
		{"member_events_total", "counter", "Events of the database, of rooms held here.",
		 metrics.member_events},
		{"events_elsewhere_total", "counter", "Events of other rooms.", metrics.events_elsewhere},
		{"events_refused_total", "counter", "Notifications that are not the database's.",
		 metrics.events_refused},
		{"resyncs_total", "counter", "Times all rooms were read again.", metrics.resyncs},
		{"joins_total", "counter", "Connections joined, also again.", metrics.joins},
		{"join_batches_total", "counter", "Calls of join_rooms.", metrics.join_batches},
		{"join_failures_total", "counter", "Calls of join_rooms that failed.",
		 metrics.join_failures},
		{"joins_blocked_total", "counter", "Joins that somebody's transaction held up.",
		 metrics.joins_blocked},
		{"drops_total", "counter", "Connections dropped.", metrics.drops},
		{"heartbeats_total", "counter", "Calls of touch.", metrics.beats},
		{"heartbeat_failures_total", "counter", "Those that failed.", metrics.beat_failures},
		{"reports_total", "counter", "Calls of report_channels.", metrics.reports},
		{"report_failures_total", "counter", "Those that failed.", metrics.report_failures},
		{"webhook_events_waiting", "gauge", "Events that wait for webhooks, a minute ago at most.",
		 metrics.webhook_waiting},
		{"webhook_deliveries_total", "counter", "Webhooks received.", metrics.webhook_deliveries},
		{"webhook_events_total", "counter", "Events in them.", metrics.webhook_events},
		{"webhook_failures_total", "counter", "Webhooks not received, to be tried again.",
		 metrics.webhook_failures},
		{"webhook_dropped_total", "counter",
		 "Events for webhooks given up: too old, too many, 410.", metrics.webhook_dropped},
		{"bus_sent_total", "counter", "Events told to other gateways.", metrics.bus_sent},
		{"bus_received_total", "counter", "Events of other gateways.", metrics.bus_received},
		{"bus_refused_total", "counter", "Notifications that no gateway has signed, or old ones.",
		 metrics.bus_refused},
		{"bus_lost_total", "counter", "Events that could not be told in time.", metrics.bus_lost},
		{"watched_users", "gauge", "Users that are on a watchlist of a client here.",
		 metrics.watched},
		{"cache_lost_total", "counter", "Last events of channels that could not be kept.",
		 metrics.cache_lost},
		{"database_losses_total", "counter", "Times the database was lost.",
		 metrics.database_losses},
		{"database_line_losses_total", "counter", "Times one of its connections was.",
		 metrics.line_losses},
		{"database_cancels_total", "counter", "Statements that were told to end.", metrics.cancels},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		buf_addf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n" PREFIX "%s %llu\n",
				 table[i].name, table[i].help, table[i].name, table[i].type, table[i].name,
				 (unsigned long long) table[i].value);
	add_reasons(out);
	add_histogram(out, "join_seconds", "From a subscription to a room until its answer.",
				  &metrics.join_latency);
	add_histogram(out, "notification_seconds", "From a notification of our own until it came back.",
				  &metrics.notification_delay);
	add_histogram(out, "loop_seconds", "Turns of the loop, waiting left out.", &metrics.loop_turns);
	add_histogram(out, "loop_cpu_seconds", "CPU of the turns of the loop.", &metrics.loop_cpu);
	add_process(out);
}
