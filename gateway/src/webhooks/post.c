/*
 * post.c
 *	  HTTP POST to others' servers: libcurl in our loop.
 *
 * libcurl tells which sockets it waits for, and until when; we tell it what happened to them.
 * It opens and closes the sockets itself; before it closes one it says that it waits no more.
 *
 * It brings two dozen libraries and 3 MB, a tenth of what we have with thousands of clients. So it
 * is loaded with the first request: who has no webhooks does without.
 */
#include "webhooks/post.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/options.h"

#define CONNECT_MS   5000
#define TOTAL_MS     10000
#define MAX_ANSWER   65536 /* bytes: who sends more is cut off */
#define MAX_SOCKETS  64L
#define KEPT_SOCKETS 16L
#define LIBRARY      "libcurl.so.4"

typedef struct Post
{
	CURL *easy;
	struct curl_slist *headers;
	PostDone done;
	void *arg;
	size_t received;
	struct Post *prev, *next;
	char problem[CURL_ERROR_SIZE];
} Post;

/* What of it is used, by name. */
static struct
{
	CURLcode (*global_init)(long flags);
	void (*global_cleanup)(void);
	CURL *(*easy_init)(void);
	void (*easy_cleanup)(CURL *easy);
	CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
	CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
	const char *(*easy_strerror)(CURLcode code);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *string);
	void (*slist_free_all)(struct curl_slist *list);
	CURLM *(*multi_init)(void);
	CURLMcode (*multi_cleanup)(CURLM *handle);
	CURLMcode (*multi_setopt)(CURLM *handle, CURLMoption option, ...);
	CURLMcode (*multi_add_handle)(CURLM *handle, CURL *easy);
	CURLMcode (*multi_remove_handle)(CURLM *handle, CURL *easy);
	CURLMcode (*multi_assign)(CURLM *handle, curl_socket_t socket, void *of_socket);
	CURLMcode (*multi_socket_action)(CURLM *handle, curl_socket_t socket, int what, int *running);
	CURLMsg *(*multi_info_read)(CURLM *handle, int *left);
} curl;

static uv_loop_t *loop;
static uv_timer_t timer;
static CURLM *multi;
static Post *posts;

/* In no list, and with libcurl no more. */
static void
free_post(Post *it)
{
	curl.easy_cleanup(it->easy);
	curl.slist_free_all(it->headers);
	free(it);
}

/* Whoever answered at all has a status, whatever became of the rest. */
static void
end_post(Post *it, CURLcode result)
{
	long status = 0;
	PostDone done = it->done;
	void *arg = it->arg;
	char problem[CURL_ERROR_SIZE];

	curl.easy_getinfo(it->easy, CURLINFO_RESPONSE_CODE, &status);
	if (result != CURLE_OK && result != CURLE_WRITE_ERROR)
		status = 0;
	DL_DELETE(posts, it);
	curl.multi_remove_handle(multi, it->easy);
	strcpy(problem, *it->problem ? it->problem : curl.easy_strerror(result));
	free_post(it);
	done((int) status, status ? NULL : problem, arg);
}

static void
look_for_ends(void)
{
	CURLMsg *message;
	int left;

	while (multi && (message = curl.multi_info_read(multi, &left)))
	{
		CURLcode result = message->data.result;
		char *it = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &it);
		end_post((Post *) it, result);
	}
}

static void
happened(curl_socket_t socket, int what)
{
	int running;

	curl.multi_socket_action(multi, socket, what, &running);
	look_for_ends();
}

static void
socket_ready(uv_poll_t *poll, int status, int events)
{
	uv_os_fd_t fd;
	int what = status < 0 ? CURL_CSELECT_ERR : 0;

	if (uv_fileno((uv_handle_t *) poll, &fd) != 0)
		return;
	what |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	what |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	happened(fd, what);
}

static void
time_is_up(uv_timer_t *handle)
{
	(void) handle;
	happened(CURL_SOCKET_TIMEOUT, 0);
}

/*
 * What libcurl wants
 */

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

static int
want_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *of_socket)
{
	uv_poll_t *poll = of_socket;
	int events = what == CURL_POLL_IN    ? UV_READABLE
				 : what == CURL_POLL_OUT ? UV_WRITABLE
										 : UV_READABLE | UV_WRITABLE;

	(void) easy;
	(void) arg;
	if (what == CURL_POLL_REMOVE)
	{
		if (!poll)
			return 0;
		uv_poll_stop(poll);
		uv_close((uv_handle_t *) poll, free_handle);
		curl.multi_assign(multi, socket, NULL);
		return 0;
	}
	if (!poll)
	{
		poll = xcalloc(1, sizeof(uv_poll_t));
		uv_poll_init_socket(loop, poll, socket);
		curl.multi_assign(multi, socket, poll);
	}
	uv_poll_start(poll, events, socket_ready);
	return 0;
}

static int
want_time(CURLM *handle, long ms, void *arg)
{
	(void) handle;
	(void) arg;
	if (ms < 0)
		uv_timer_stop(&timer);
	else
		uv_timer_start(&timer, time_is_up, (uint64_t) ms, 0);
	return 0;
}

static size_t
take_answer(char *data, size_t size, size_t n, void *arg)
{
	Post *it = arg;

	(void) data;
	it->received += size * n;
	return it->received > MAX_ANSWER ? 0 : size * n;
}

/*
 * Posting
 */

static bool
find(void *library, const char *name, void *function)
{
	void *found = dlsym(library, name);

	memcpy(function, &found, sizeof(found));
	return found != NULL;
}

static bool
find_all(void *library)
{
	return find(library, "curl_global_init", &curl.global_init) &&
		   find(library, "curl_global_cleanup", &curl.global_cleanup) &&
		   find(library, "curl_easy_init", &curl.easy_init) &&
		   find(library, "curl_easy_cleanup", &curl.easy_cleanup) &&
		   find(library, "curl_easy_setopt", &curl.easy_setopt) &&
		   find(library, "curl_easy_getinfo", &curl.easy_getinfo) &&
		   find(library, "curl_easy_strerror", &curl.easy_strerror) &&
		   find(library, "curl_slist_append", &curl.slist_append) &&
		   find(library, "curl_slist_free_all", &curl.slist_free_all) &&
		   find(library, "curl_multi_init", &curl.multi_init) &&
		   find(library, "curl_multi_cleanup", &curl.multi_cleanup) &&
		   find(library, "curl_multi_setopt", &curl.multi_setopt) &&
		   find(library, "curl_multi_add_handle", &curl.multi_add_handle) &&
		   find(library, "curl_multi_remove_handle", &curl.multi_remove_handle) &&
		   find(library, "curl_multi_assign", &curl.multi_assign) &&
		   find(library, "curl_multi_socket_action", &curl.multi_socket_action) &&
		   find(library, "curl_multi_info_read", &curl.multi_info_read);
}

static void
begin_multi(void)
{
	curl.global_init(CURL_GLOBAL_DEFAULT);
	multi = curl.multi_init();
	if (!multi)
		abort();
	curl.multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl.multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_time);
	curl.multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_SOCKETS);
	curl.multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_SOCKETS);
}

/* With the first request; false, and the log says why, if it is not there. */
static bool
load(void)
{
	void *library;

	if (multi)
		return true;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library && find_all(library))
	{
		begin_multi();
		return true;
	}
	log_line(LOG_ERROR, "webhooks need libcurl: %s", library ? "it is too old" : dlerror());
	return false;
}

void
posts_start(uv_loop_t *loop_)
{
	loop = loop_;
	uv_timer_init(loop, &timer);
}

static void
allow_http_only(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl.easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* Those of the file, and no others. */
static void
trust(CURL *easy, const char *file)
{
	curl.easy_setopt(easy, CURLOPT_CAINFO, file);
	curl.easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static void
set_options(Post *it, const char *url, Bytes body)
{
	CURL *easy = it->easy;

	allow_http_only(easy);
	if (options.webhook_ca)
		trust(easy, options.webhook_ca);
	curl.easy_setopt(easy, CURLOPT_PRIVATE, (char *) it);
	curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, it->problem);
	curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_MS);
	curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) TOTAL_MS);
	curl.easy_setopt(easy, CURLOPT_USERAGENT, "presence-gateway/" GATEWAY_VERSION);
	curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, it);
	curl.easy_setopt(easy, CURLOPT_HTTPHEADER, it->headers);
	curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) body.len);
	curl.easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body.data);
	curl.easy_setopt(easy, CURLOPT_URL, url);
}

bool
post(const char *url, const char *const *headers, Bytes body, PostDone done, void *arg)
{
	Post *it;

	if (!load())
		return false;
	it = xcalloc(1, sizeof(Post));
	it->done = done;
	it->arg = arg;
	for (; *headers; headers++)
		it->headers = curl.slist_append(it->headers, *headers);
	it->headers = curl.slist_append(it->headers, "Expect:");
	it->easy = curl.easy_init();
	if (!it->easy)
		abort();
	set_options(it, url, body);
	if (curl.multi_add_handle(multi, it->easy) == CURLM_OK)
	{
		DL_APPEND(posts, it);
		return true;
	}
	log_line(LOG_ERROR, "a request can't be made");
	free_post(it);
	return false;
}

void
posts_stop(void)
{
	Post *it;
	Post *next;

	DL_FOREACH_SAFE(posts, it, next)
	{
		DL_DELETE(posts, it);
		curl.multi_remove_handle(multi, it->easy);
		free_post(it);
	}
	uv_timer_stop(&timer);
	uv_close((uv_handle_t *) &timer, NULL);
	if (!multi)
		return;
	curl.multi_cleanup(multi);
	curl.global_cleanup();
	multi = NULL;
}
