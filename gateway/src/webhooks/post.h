/*
 * post.h
 *	  HTTP POST to others' servers: libcurl in our loop.
 *
 * Redirects are not followed, all is limited in time, and what is answered is not kept.
 */
#ifndef GATEWAY_POST_H
#define GATEWAY_POST_H

#include <uv.h>

#include "base/util.h"

/* status: of the answer; 0: none came, and why. */
typedef void (*PostDone)(int status, const char *problem, void *arg);

extern void posts_start(uv_loop_t *loop);

/* headers: "Name: value", the last one NULL. All is copied. False: there can be no such request. */
extern bool post(const char *url, const char *const *headers, Bytes body, PostDone done, void *arg);

/* Ends all of them, without a word. */
extern void posts_stop(void);

#endif /* GATEWAY_POST_H */
