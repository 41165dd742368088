/* Messages as the strict readers make them out, of HTTP/1 (worker_h1_reader) and HTTP/2
 * (worker_h2_reader): what was asked, what was answered, how much of it has come. Nothing here or
 * in the readers is shared with weir's codecs, so that a mistake in those is not repeated. */
#pragma once

#include "base/base.h"

#include <stdint.h>

enum { TAIL_MAX = 48, NO_CLIENT = -1 };

/* A message as far as it has been read, of HTTP/1 or HTTP/2. */
struct message {
    uint32_t stream; /* HTTP/2 */
    int status;      /* 0: a request */
    char method[24];
    char tail[TAIL_MAX + 1]; /* the end of the target */
    char id[64];             /* X-Request-Id */
    char was[TAIL_MAX + 1];  /* X-Was: the target's tail, echoed by our upstream */
    int client, was_client;  /* by X-Forwarded-For; by X-Was */
    unsigned id_count;
    int64_t content_length; /* -1: none */
    uint64_t body_bytes, body_hash;
    uint64_t length_hash; /* of the first content_length bytes, when they are there */
    unsigned interims;    /* 1xx before it */
    bool has_head, is_whole, is_bad, was_reset;
    bool is_malformed; /* HTTP/2: must not be acted on */
    bool asks_upgrade, says_close, is_http10;
    bool is_matched, is_answered;
};

struct messages {
    struct message *items; /* owns */
    size_t count, cap;
};

/* A new one at the end; it lies where it is until the next. */
struct message *messages_add(struct messages *list);
struct message *messages_last(const struct messages *list);

/* The latest of the HTTP/2 stream; NULL: none. */
struct message *messages_on_stream(const struct messages *list, uint32_t stream);

size_t messages_whole(const struct messages *list);
void messages_free(struct messages *list);

void message_method(struct message *m, const char *text, size_t len);

/* Without scheme and authority, which weir takes off; "" where nothing else is there. */
void message_target(struct message *m, const char *text, size_t len);

/* What both versions want to know of a field; its name in any case. */
void message_field(struct message *m, const char *name, size_t name_len, const char *value,
                   size_t len);

void message_body(struct message *m, const uint8_t *data, size_t len);

/* --- the words of both versions -------------------------------------------------------------- */

bool strict_is_token(const char *text, size_t len);

/* No control characters, but for the tab (RFC 9110 section 5.5). */
bool strict_is_value(const char *text, size_t len);

/* In any case. */
bool strict_is_named(const char *text, size_t len, const char *name);

/* Decimal digits only; -1 where it is no such number. */
int64_t strict_number(const char *text, size_t len);

/* Is it a field of one connection only, which weir replaces by its own? */
bool strict_is_hop(const char *name, size_t len);
