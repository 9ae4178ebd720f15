/*
 * answers.c
 *	  Answers of the HTTP API.
 */
#include "protocol/answers.h"

#include <stdlib.h>

#include "database/database.h"
#include "protocol/bus.h"
#include "rooms/cache_write.h"

void
answer_json(Request *request, Bytes json)
{
	web_answer(request, 200, "application/json", json, NULL);
}

void
answer_text(Request *request, int status, const char *text)
{
	Buf line = {0};

	buf_addf(&line, "%s\n", text);
	web_answer(request, status, "text/plain", buf_bytes(&line),
			   status == 503 ? "Retry-After: 1\r\n" : NULL);
	buf_free(&line);
}

/* An answer that waits until other gateways have been told. */
typedef struct Told
{
	Request *request;
	AnswerStep then;
	void (*forget)(void *arg);
	void *arg;
} Told;

static void
answer_sent(bool sent, void *arg)
{
	Told told = *(Told *) arg;

	free(arg);
	if (sent)
		told.then(told.request, told.arg);
	else
	{
		answer_text(told.request, 503, "other gateways could not be told in time");
		told.forget(told.arg);
	}
}

/* What was to be kept first has been given to the bus only now. */
static void
wait_for_bus(void *arg)
{
	bus_when_sent(answer_sent, arg);
}

void
answer_after_told(Request *request, bool told, AnswerStep then, void (*forget)(void *), void *arg)
{
	Told *wait;

	if (told && database_connected(HOME))
	{
		wait = xcalloc(1, sizeof(Told));
		*wait = (Told){request, then, forget, arg};
		request->waiting = true;
		cache_when_written(wait_for_bus, wait);
		return;
	}
	if (told)
		web_answer(request, 202, "application/json", BYTES("{}"), NULL);
	else
		answer_text(request, 503, "too much waits for other gateways");
	forget(arg);
}

static void
answer_empty(Request *request, void *arg)
{
	(void) arg;
	answer_json(request, BYTES("{}"));
}

static void
forget_nothing(void *arg)
{
	(void) arg;
}

void
answer_when_told(Request *request, bool told)
{
	answer_after_told(request, told, answer_empty, forget_nothing, NULL);
}
