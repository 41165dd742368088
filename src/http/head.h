/* The message model: a request or response head as parsed parts, the same whichever codec it came
 * from and whichever it leaves by. */
#pragma once

#include "base/arena.h"
#include "base/reason.h"
#include "http/words.h"

struct field {
    struct str name;  /* as it came; lower case from h2 */
    struct str value; /* trimmed, no CR, LF or NUL */
    uint8_t id;       /* enum header_id */
    bool removed;     /* not sent on */
    bool hop_by_hop;  /* removed because it ends with this hop; conditions still see it */
    bool is_lower;    /* the name is weir's own or came by h2: its spelling means nothing */
};

/* How names of fields are spelled in HTTP/1. */
enum name_case {
    NAME_CASE_PRESERVE, /* as they came over HTTP/1, or as the configuration has them; the others
                         * as with PROPER */
    NAME_CASE_PROPER,   /* X-Request-Id */
    NAME_CASE_LOWER,
};

enum { CONTENT_LENGTH_NONE = -1 };

struct head {
    struct arena *arena; /* borrows: where fields and texts of this head live */
    enum http_version version;

    /* requests */
    enum method method;
    struct str method_text;
    struct str scheme;    /* of the target when it named one, else "" */
    struct str authority; /* of the target, else of Host; as received; "" when there was none */
    struct str path;      /* origin form with query; "*" for OPTIONS *; "" for CONNECT */
    struct str upgrade;   /* protocol asked for (or switched to, in a 101), else "" */
    bool expects_continue;

    /* responses */
    int status;
    struct str phrase; /* reason phrase as it came; h1 only */

    /* framing, already checked; fields that carry it (Content-Length, Transfer-Encoding,
     * Connection, Host, Expect, …) stay in fields[] with their ids but are written by the codec
     * alone */
    int64_t content_length; /* or CONTENT_LENGTH_NONE */
    bool has_body; /* body bytes or trailers may follow (requests: CL > 0 or chunked or h2 open) */
    bool is_last;  /* the sender wants this to be the connection's last message */
    bool close;    /* to a codec: this must be the connection's last message */
    enum name_case names; /* to a codec: how they are spelled, in trailers, too */

    struct field *fields;
    uint16_t field_count, field_cap;
    uint16_t first[HEADER_COUNT]; /* 1 + index of the first field with that id; 0: none */
};

void head_init(struct head *head, struct arena *arena);

/* Appends; name and value are borrowed and must live as long as the head. The second one is for
 * names that have no spelling of their own. */
struct field *head_add(struct head *head, struct str name, struct str value);
struct field *head_add_lower(struct head *head, struct str name, struct str value);
struct field *head_add_id(struct head *head, enum header_id id, struct str value);

/* A copy in the same arena; names and values are shared. */
struct head *head_copy(const struct head *head);

/* First field with that id that was not removed; NULL. Never HEADER_OTHER. */
struct field *head_find(const struct head *head, enum header_id id);

/* First field named `name` (any case), known or not; NULL. The other one looks from index `from`
 * on. */
struct field *head_find_name(const struct head *head, struct str name);
struct field *head_find_name_from(const struct head *head, struct str name, unsigned from);

/* The same among the fields as they came: hop-by-hop fields count, what a rule removed does not. */
struct field *head_find_received_from(const struct head *head, struct str name, unsigned from);

/* How many fields with that id were not removed. */
unsigned head_count(const struct head *head, enum header_id id);

/* Value of the first field with that id, or "" (ptr NULL). */
struct str head_value(const struct head *head, enum header_id id);

/* All fields with that id as one value, `between` them; "" when there is none. Copied only where
 * there is more than one, and then once. */
struct str head_joined(const struct head *head, enum header_id id, struct str between);

/* Marks all fields with that id as removed. */
void head_remove(struct head *head, enum header_id id);

/* Replaces all fields with that id by one. */
void head_set(struct head *head, enum header_id id, struct str value);

/* Does the list-valued field `id` (all its lines) contain the token, in any case? The second one:
 * does it contain anything else (RFC 9110 section 5.6.1.2: empty elements are nothing)? */
bool head_has_token(const struct head *head, enum header_id id, struct str token);
bool head_has_other_token(const struct head *head, enum header_id id, struct str token);

/* A response head of our own: status and its standard phrase. */
void head_init_response(struct head *head, struct arena *arena, int status);

/* What a listener does with unusual targets. */
enum target_rule {
    TARGET_ENCODE_UTF8 = 1,     /* bytes from 0x80 are percent-encoded, where they are UTF-8 */
    TARGET_REFUSE_CONTROLS = 2, /* as "%0A" in the path; "%00" is always refused */
};

/* Checks of a finished request head that are the same for h1 and h2: authority syntax (host,
 * optional port; no userinfo, no empty host unless HTTP/1.0 without Host), path starts with "/" (or
 * "*" with OPTIONS), holds no CTL, SP, "#" or byte ≥ 0x80 (but see `rules`, enum target_rule,
 * ored), does not climb above its root, and hides no "." or ".." from some of its readers (as
 * "..;", "..\" and "..%2f" do). NONE when fine. */
enum reason head_check_request(struct head *head, unsigned rules);

/* Reads Expect (RFC 9110 section 10.1.1), all its lines as one list. An empty list expects nothing,
 * and so does a request without a body. BAD_EXPECT for a member other than "100-continue". */
enum reason head_take_expect(struct head *head, bool has_body);

/* Marks all fields with an odd name (chars.h) as removed; how many. */
unsigned head_remove_odd_names(struct head *head);

/* Removes the hop-by-hop fields and those named in Connection. BAD_CONNECTION when Connection names
 * a protected field (`Connection: X-Forwarded-For`, CVE-2022-31813). Upgrade is kept in
 * head->upgrade only. "TE: trailers" stays, which is true of weir as of the sender: h2 may send it
 * on (RFC 9113 section 8.2.2), and gRPC servers ask for it; h1 never does. */
enum reason head_strip_hop_by_hop(struct head *head);
