/*
 * api_auth.h
 *	  Whether a request of the HTTP API is signed: Pusher's "HTTP API: authentication".
 *
 * Signed is the method, the path as it was received, and the parameters in the order of their
 * names, not encoded; a parameter holds the MD5 of the body. Knows no connection.
 */
#ifndef GATEWAY_API_AUTH_H
#define GATEWAY_API_AUTH_H

#include "rooms/apps.h"

#define MAX_SIGNED_ARGS 32

/* What is signed: "name=value", decoded, args of them. */
typedef struct SignedRequest
{
	const char *method;
	Bytes path;
	char *const *args;
	int nargs;
	long long now; /* seconds */
} SignedRequest;

/* By a key of the app, for these minutes; if not, why. The body is not looked at. */
extern bool api_is_signed(const SignedRequest *request, const App *app, const char **why);

/* Whether the body is the one that was signed. */
extern bool api_has_body(const SignedRequest *request, Bytes body);

#endif /* GATEWAY_API_AUTH_H */
