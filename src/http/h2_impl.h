/* The h2 codec inside: one session on one nghttp2 session, and its streams. nghttp2 frames,
 * compresses, checks and schedules; we own the messages, both directions' memory, the limits and
 * the lifetimes.
 *
 *      h2_server.c, h2_client.c   the two kinds of session: their doors, begin, accept and open
 *      h2_common.c                the life of sessions: feed, pump, news, the end
 *      h2_stream.c                the life of streams
 *      h2_recv.c                  nghttp2's callbacks of what arrives
 *      h2_send.c                  stream_send_*, and nghttp2's questions for bytes to send
 *      h2_window.c                flow control of what arrives
 *      h2_mem.c                   the memory that nghttp2 takes
 *
 * A stream has two holders: the user (between on_stream or session_open and stream_close) and the
 * wire (nghttp2, until on_stream_close). Whoever leaves last frees it. */
#pragma once

#include "http/head.h"
#include "http/session.h"
#include "http/stream.h"

#include <nghttp2/nghttp2.h>

enum {
    /* Flow control, what we let a peer send ahead of us: a stream's window carries 200 Mbit/s over
     * 10 ms. A response has the smaller window until its user asks for more (stream_widen). */
    H2_STREAM_WINDOW = 256 * 1024,
    H2_RESPONSE_WINDOW = 32 * 1024,
    H2_SESSION_WINDOW = 1024 * 1024,

    /* What we queue for a peer that does not open its windows. */
    H2_STREAM_HIGH = 32 * 1024, /* STREAM_FULL above it */
    H2_STREAM_LOW = 16 * 1024,  /* until it falls to this */
    H2_MAX_HELD = 1024 * 1024,  /* servers: all streams together, when limits say 0 */

    /* Control frames may fill `out` so far beyond its high mark; then input waits. */
    H2_CONTROL_MAX = 64 * 1024,

    H2_MAX_STREAMS = 100,        /* when limits say 0 */
    H2_MAX_HEADER_BYTES = 65536, /* name + value + 32 of all fields */
    H2_MAX_HEADER_COUNT = 128,
    H2_MAX_HELD_HEADER_BYTES = 1024 * 1024, /* of all open streams */
    H2_FIELD_OVERHEAD = 32,                 /* RFC 9113 section 6.5.2 */
    H2_TOLERANCE = 4,              /* a head so many times over its limits is not read to its end */
    H2_MAX_CONTINUATIONS = 8,      /* frames of one header block after the first */
    H2_MAX_SETTINGS = 32,          /* entries of one SETTINGS frame */
    H2_MAX_ACKS = 1000,            /* answers to PING and SETTINGS that wait to be sent */
    H2_MAX_SEND_HEAD = 256 * 1024, /* a head of ours, uncompressed */

    /* Glitches: what an honest peer does rarely. A leaky bucket of points per session. */
    H2_GLITCH_BURST = 500,
    H2_LIBRARY_BURST = 1000, /* libnghttp2's own count of resets: ours comes first */
    H2_GLITCH_PER_SECOND = 50,
    H2_THANKS_PER_DATA = 10, /* WINDOW_UPDATEs and PINGs for each DATA frame we send */
    H2_THANKS_MAX = 1000,    /* saved up at most, and given at the start */
    H2_COST_FRAME = 1,  /* PING, SETTINGS, PRIORITY, GOAWAY, unknown, empty DATA, late RST_STREAM */
    H2_COST_RESET = 3,  /* RST_STREAM before our response was whole (rapid reset) */
    H2_COST_ERROR = 5,  /* what made us send RST_STREAM (MadeYouReset) */
    H2_COST_BOMB = 250, /* a head far beyond its limits: the third is the last */
};

struct h2_trailers;

struct h2_stream {
    struct stream stream;   /* embeds; what the user holds */
    struct h2_session *h2;  /* borrows */
    struct list node;       /* in h2->streams */
    struct list full_node;  /* in h2->full while `full` */
    struct list news_node;  /* in h2->news while `news` is set */
    struct arena own_arena; /* embeds; server streams */

    struct bufq tx;   /* embeds: body bytes that wait for the peer's window */
    struct slice now; /* borrows: the body bytes of the send in progress; not copied yet */
    struct h2_trailers *trailers; /* owns: to be sent after the body */

    uint64_t body_bytes; /* received */
    uint32_t head_bytes; /* of the heads and trailers that the arena holds */
    uint32_t held;       /* received while paused: the stream's window stays closed by so much */
    enum reason news;    /* on_reset is due with this reason */
    enum method method;  /* of the request */
    bool had_interim;    /* client: a 1xx head was received; own_arena has what comes after it */

    bool user_open, wire_open;
    bool quiet; /* no more callbacks: reset by either side */
    bool paused;
    bool full;     /* STREAM_FULL was said; on_writable is due */
    bool deferred; /* nghttp2 asked for data and there was none */
    bool counted;  /* on_bad was told */
    bool rst_received;
    bool rst_sent;      /* by our own decision */
    bool unsent;        /* client: the request could not leave any more */
    bool rx_final_head; /* request head, or final response head, was received */
    bool rx_ended;
    bool tx_head;     /* final head was submitted */
    bool tx_end;      /* END was said by the user */
    bool tx_end_sent; /* the end has left with a frame */
    bool tx_dead;     /* nothing more may be sent: what the user still says is dropped */
};

enum h2_block { H2_BLOCK_NONE, H2_BLOCK_HEAD, H2_BLOCK_TRAILERS };

/* A cookie crumb (RFC 9113 section 8.2.3), in the stream's arena. */
struct h2_crumb {
    struct h2_crumb *next;
    struct str value;
};

/* The header block that is arriving; only one can. */
struct h2_incoming {
    enum h2_block block;
    struct h2_stream *st; /* borrows */
    struct head *head;    /* in st's arena */
    uint64_t bytes;       /* name + value + 32 of every field, crumbs included */
    uint32_t count;
    enum reason bad; /* the first thing wrong with it */
    bool has_authority;
    bool has_priority; /* the client says what it wants first (RFC 9218) */
    struct h2_crumb *crumbs, **crumbs_end;
    size_t crumb_bytes;
};

/* Where the peer's bytes are between frame heads. */
struct h2_walk {
    uint32_t skip;    /* bytes until the next frame head */
    uint8_t have;     /* bytes of it that have come */
    uint8_t head[13]; /* RFC 9113 section 4.1; of PRIORITY the first field, too (section 6.3) */
};

struct h2_session {
    struct session session; /* embeds */
    nghttp2_session *ng;    /* owns */
    struct h2_slot *slot;   /* borrows: lives as long as ng; NULL: none */
    struct list streams;    /* every stream that is referenced */
    struct list full;       /* those that wait for on_writable */
    struct list news;       /* those that wait for on_reset */
    uint32_t wire_streams;
    size_t head_bytes;    /* of all streams */
    size_t queued;        /* bytes in all streams' tx */
    size_t rx_held;       /* bytes in all streams' `held` */
    size_t rx_closed;     /* of them, those that keep the connection's window closed */
    uint32_t thanks_left; /* WINDOW_UPDATEs and PINGs that cost nothing */
    uint32_t next_id;     /* server: of the client's next stream, if it skips none */

    struct h2_walk walk;
    struct h2_incoming in;
    struct h2_stream *body_stream; /* borrows: whose bytes `body` are; NULL: none */
    struct slice body;    /* borrows: the last piece of DATA, held until its frame's end is known */
    struct buf *feed_buf; /* borrows: of the slice being fed */

    uint32_t cancels; /* client: a bucket that leaks one a second */
    int64_t cancels_at_ms;
    double glitches;
    int64_t glitches_at_ms;
    enum reason dying; /* a GOAWAY with an error was decided; want_close(dying) is due */

    uint16_t busy; /* inside feed, eof, fail, drained: callbacks may be made, sends do not pump */
    bool pumping;
    bool dead;          /* nghttp2 is not asked any more */
    bool free_later;    /* session_free came while busy */
    bool close_told;    /* want_close was called */
    bool dirty;         /* something was sent while busy */
    bool input_held;    /* feed refused input because `out` was too full */
    bool peer_leaves;   /* GOAWAY received */
    bool asked_for_ack; /* the drain's PING was submitted */
    bool final_goaway;  /* we said which stream was the last */
    bool was_full;      /* client: no stream was free; tell when one is */
    bool settings_seen; /* the peer's first SETTINGS came */
    bool skipped_ids;   /* server: the client has left out stream ids */
    bool rst_sent;      /* RST_STREAM has left: the peer's frames may have crossed it */
};

/* --- h2_mem.c -------------------------------------------------------------------------------- */
extern nghttp2_mem h2_mem;      /* for nghttp2_session_*_new3 */
void *h2_mem_take(size_t size); /* not zeroed; aborts when there is none */
void h2_mem_give(void *memory); /* NULL is fine */

/* Around nghttp2_session_*_new3: what it takes meanwhile may come from the slot. */
void h2_mem_session_begin(void);
struct h2_slot *h2_mem_session_end(void); /* NULL: there was no memory for one */

/* --- h2_slot.c: the thread's own ------------------------------------------------------------- */
enum { H2_SLOT_ALIGN = 4096 }; /* of what is taken from a slot, and of nothing else in h2_mem.c */

struct h2_slot *h2_slot_open(void);                    /* NULL when the system has no memory */
void *h2_slot_take(struct h2_slot *slot, size_t size); /* NULL: it has no part of that size */
void h2_slot_give(void *memory);                       /* with its last part the slot goes back */
size_t h2_slot_bytes(const void *memory);              /* usable ones of a part */

/* All was taken that will be: NULL, and the slot goes back, when that is nothing. */
struct h2_slot *h2_slot_settle(struct h2_slot *slot);

/* Gives the pages back that mean nothing while its session has no stream and nothing to send. */
void h2_slot_rest(struct h2_slot *slot);

void h2_slots_unmap(void); /* the thread ends */

/* --- h2_common.c ----------------------------------------------------------------------------- */
static inline struct h2_session *h2_of(struct session *session)
{
    return CONTAINER_OF(session, struct h2_session, session);
}

static inline struct h2_stream *h2_stream_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct h2_stream, stream);
}

struct h2_session *h2_session_new(const struct session_ops *ops, const struct session_owner *owner,
                                  void *owner_arg, struct bufq *out, struct buf_pool *pool,
                                  const struct session_limits *limits);

/* Gives it its nghttp2 session, made by `make`, with the options and callbacks that both kinds
 * share; the settings and our window are its first words. */
void h2_session_start(struct h2_session *h2,
                      int (*make)(nghttp2_session **, const nghttp2_session_callbacks *, void *,
                                  const nghttp2_option *, nghttp2_mem *),
                      const nghttp2_settings_entry *settings, size_t setting_count);

/* Tells owner->on_bad, once per stream (`st` may be NULL). */
void h2_bad(struct h2_session *h2, struct h2_stream *st, enum reason reason);

/* Counts `cost` points; a peer that has used up its burst gets GOAWAY. */
void h2_glitch(struct h2_session *h2, unsigned cost);

/* Ends the session with GOAWAY; want_close(reason) follows when this turn of feed is over. */
void h2_terminate(struct h2_session *h2, uint32_t error_code, enum reason reason);

/* Puts the session's first frames into `out`; does not call the owner. */
void h2_say_hello(struct h2_session *h2);

/* Moves all that may be sent now from nghttp2 to `out`. While busy it only notes the wish. */
void h2_pump(struct h2_session *h2);

/* Ends the session if what just happened was the last thing it waited for; else notes its phase. */
void h2_settle(struct h2_session *h2);

/* May the peer still get bytes from us, and we from nghttp2? */
static inline bool h2_is_live(const struct h2_session *h2)
{
    return !h2->dead && h2->dying == REASON_NONE;
}

static inline uint32_t h2_out_high(const struct h2_session *h2)
{
    return h2->session.limits.out_high;
}

/* Tells the owner when body bytes begin to wait for the peer's windows: it watches their
 * progress. */
void h2_note_held(struct h2_session *h2);

/* The drain's first GOAWAY has left. */
void h2_on_notice_sent(struct h2_session *h2);

/* A PING came back: the drain that sent it may name the last stream now. */
void h2_on_drain_ack(struct h2_session *h2, const uint8_t *opaque);

/* The doors that both kinds share. */
size_t h2_feed(struct session *session, struct slice data);
void h2_eof(struct session *session);
void h2_fail(struct session *session, enum reason reason);
void h2_drained(struct session *session);
void h2_drain(struct session *session);
void h2_expire(struct session *session, enum reason reason);
void h2_rest(struct session *session);
void h2_free(struct session *session);

/* --- h2_stream.c ----------------------------------------------------------------------------- */
/* A stream that the wire holds; without user. `arena` NULL: its own. */
struct h2_stream *h2_stream_new(struct h2_session *h2, struct arena *arena);

/* The user takes it; from now on it counts in open_streams. */
void h2_stream_adopt(struct h2_stream *st);

/* The wire let go of it. */
void h2_stream_off_wire(struct h2_stream *st);

/* RST_STREAM; the queue of the stream is dropped. */
void h2_stream_rst(struct h2_stream *st, uint32_t error_code);

/* on_reset now or, when callbacks are not allowed, with the next feed. Once; the stream may be gone
 * after it. */
void h2_stream_tell_reset(struct h2_stream *st, enum reason reason);

extern const struct stream_ops h2_stream_ops;

/* --- h2_recv.c ------------------------------------------------------------------------------- */
int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);
int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                 size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg);
int h2_on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                         void *arg);
int h2_on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
               void *arg);

/* Of the peer's frames, nghttp2 ignores some that must not be. The walk moves *at on to behind the
 * next head of one that may be such, or to `end`, and then answers false. When all that came before
 * that frame was read, it can be judged. */
bool h2_walk(struct h2_session *h2, const char **at, const char *end);
void h2_judge(struct h2_session *h2);

int h2_on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg);
int h2_on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);
int h2_on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg);
int h2_on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *arg);

/* What is wrong with a head, as it is called where it came from an upstream. */
enum reason h2_upstream_reason(enum reason bad);

/* The arena of the stream holds no heads any more. */
void h2_release_heads(struct h2_stream *st);

/* Hands the held piece of body to the user. */
void h2_flush_body(struct h2_session *h2, enum end end);

/* --- h2_window.c ----------------------------------------------------------------------------- */
/* `len` bytes came and were passed on: the peer may send as many more. */
void h2_consume(struct h2_stream *st, size_t len);

/* `len` bytes came for a stream that is paused. */
void h2_hold(struct h2_stream *st, size_t len);

/* The stream holds nothing any more; how many bytes its window may open again. */
uint32_t h2_let_go(struct h2_stream *st);

void h2_op_pause(struct stream *stream);
void h2_op_resume(struct stream *stream);
void h2_op_widen(struct stream *stream);

/* --- h2_server.c, h2_client.c ----------------------------------- */
/* The complete head in h2->in. */
void h2_server_on_request(struct h2_session *h2, enum end end);
void h2_client_on_response(struct h2_session *h2, enum end end);
enum reason h2_server_pseudo(struct h2_session *h2, struct str name, struct str value);
enum reason h2_client_pseudo(struct h2_session *h2, struct str name, struct str value);

/* The peer has said, perhaps once more, what it allows. */
void h2_client_on_settings(struct h2_session *h2);

/* --- h2_send.c ------------------------------------------------------------------------------- */
void h2_send_head(struct stream *stream, const struct head *head, enum end end);
enum stream_status h2_send_body(struct stream *stream, struct slice data, enum end end);
void h2_send_trailers(struct stream *stream, const struct field *fields, size_t count);

/* A short plain answer of the codec's own to a request that no user has seen. */
void h2_answer(struct h2_stream *st, enum reason reason);

/* Forgets what waits to be sent. */
void h2_drop_tx(struct h2_stream *st);

/* on_writable for streams that have room again. */
void h2_tell_writable(struct h2_session *h2);

/* Has room again? */
bool h2_is_writable(const struct h2_stream *st);

int h2_on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *frame_head,
                    size_t len, nghttp2_data_source *source, void *arg);
int h2_on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);
int h2_on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg);
