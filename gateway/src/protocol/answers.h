/*
 * answers.h
 *	  Answers of the HTTP API.
 */
#ifndef GATEWAY_ANSWERS_H
#define GATEWAY_ANSWERS_H

#include "transport/web.h"

extern void answer_json(Request *request, Bytes json);

/* A line of text. */
extern void answer_text(Request *request, int status, const char *text);

/*
 * {} when other gateways have been told. told: false if they can't be, as too much waits for them
 * already. While the database is away it is 202: they will be told.
 */
extern void answer_when_told(Request *request, bool told);

/*
 * The same, but then is called when they have been told, to answer. The argument is its caller's:
 * it is given to forget if it does not come to that.
 */
typedef void (*AnswerStep)(Request *request, void *arg);
extern void answer_after_told(Request *request, bool told, AnswerStep then, void (*forget)(void *),
							  void *arg);

#endif /* GATEWAY_ANSWERS_H */
