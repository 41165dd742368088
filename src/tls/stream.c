/* One connection's TLS as a transport for net/.
 *
 * OpenSSL writes record by record; a system call for each would be dear. So during an operation its
 * records are gathered in the loop's scratch area and leave in one send at the operation's end;
 * what the socket does not take is kept (`left`) and goes first next time. Reading is one recv per
 * operation into OpenSSL's read-ahead buffer; whether more is there, epoll tells.
 *
 * An operation is op_begin, SSL_ calls, op_end; nothing of weir's is called in between, so the
 * scratch area is ours. The handshake step touches nothing but its stream, so it may move to a
 * helper thread, with a gather area of its own and without the socket: everything it needs has been
 * read when it is handed over, and what it says is sent by the worker when it comes back. */
#include "tls/helpers_impl.h"

#include <openssl/err.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    RECORD_PLAIN = 16384,            /* RFC 8446 section 5.1 */
    RECORD_MAX = RECORD_PLAIN + 512, /* with header, padding and tag */
    GATHER_MAX = 5 * RECORD_MAX,     /* records sent in one go: the front of the scratch area */
    STAGE_AT = GATHER_MAX,           /* small segments are joined behind it */
    STAGE_SMALL = 4096,              /* a front segment shorter than this looks for company */
    STAGE_COPY_MAX = 8192,           /* more of a long segment is not worth copying */
    LOAN_MAX = 512,                  /* bytes put in front of a long segment */
    LEFT_MAX =
        GATHER_MAX + RECORD_MAX, /* kept at most; then OpenSSL must wait (KeyUpdate floods) */
};
_Static_assert(GATHER_MAX + RECORD_PLAIN <= LOOP_SCRATCH_BYTES, "scratch holds records and stage");

/* --- the socket side ------------------------------------------------------------------------- */

static size_t left_bytes(const struct tls_stream *s)
{
    return s->left != NULL ? s->left->len - s->left_off : 0;
}

static void left_append(struct tls_stream *s, const char *ptr, size_t len)
{
    size_t kept = left_bytes(s);

    if (len == 0)
        return;
    if (s->left == NULL || buf_room(s->left) < len) {
        struct buf *fresh = buf_new_sized(loop_bufs(conn_loop(s->conn)), kept + len);
        if (kept > 0)
            memcpy(fresh->data, s->left->data + s->left_off, kept);
        fresh->len = (uint32_t)kept;
        buf_unref(&s->left);
        s->left = fresh;
        s->left_off = 0;
    }
    memcpy(s->left->data + s->left->len, ptr, len);
    s->left->len += (uint32_t)len;
}

/* How much the socket took (0: it is full); -1 when it is dead. */
static ssize_t sock_send(struct tls_stream *s, const char *ptr, size_t len)
{
    for (;;) {
        ssize_t n = send(conn_fd(s->conn), ptr, len, MSG_NOSIGNAL);
        if (n >= 0) {
            s->sent += (size_t)n;
            return n;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR) {
            conn_note_errno(s->conn, errno);
            s->sock_errno = errno;
            return -1;
        }
    }
}

static enum io left_send(struct tls_stream *s)
{
    size_t len = left_bytes(s);

    if (len == 0)
        return IO_OK;
    ssize_t n = sock_send(s, s->left->data + s->left_off, len);
    if (n < 0)
        return IO_ERROR;
    s->left_off += (uint32_t)n;
    if ((size_t)n < len)
        return IO_WANT_WRITE;
    buf_unref(&s->left);
    return IO_OK;
}

/* Sends what is kept and then what is gathered; keeps the rest. */
static enum io gather_send(struct tls_stream *s)
{
    enum io io = left_send(s);
    size_t len = s->gathered;

    s->gathered = 0;
    if (io == IO_WANT_WRITE)
        left_append(s, s->gather, len);
    if (io != IO_OK || len == 0)
        return io;
    ssize_t n = sock_send(s, s->gather, len);
    if (n < 0)
        return IO_ERROR;
    left_append(s, s->gather + n, len - (size_t)n);
    return (size_t)n < len ? IO_WANT_WRITE : IO_OK;
}

static int on_bio_write(BIO *bio, const char *ptr, int len)
{
    struct tls_stream *s = BIO_get_data(bio);
    size_t size = (size_t)len;

    BIO_clear_retry_flags(bio);
    if (s->sock_errno != 0 || s->gather == NULL || len <= 0)
        return -1;
    if (left_bytes(s) + s->gathered + size > LEFT_MAX) {
        BIO_set_retry_write(bio);
        return -1;
    }
    if (s->on_helper && s->gathered + size > HELP_FLIGHT_MAX) {
        BIO_set_retry_write(bio); /* the worker sends that much and goes on itself */
        return -1;
    }
    if (s->gathered + size > GATHER_MAX && gather_send(s) == IO_ERROR)
        return -1;
    if (size > GATHER_MAX)
        return -1;
    memcpy(s->gather + s->gathered, ptr, size);
    s->gathered += (uint32_t)size;
    return len;
}

static void note_read_error(struct tls_stream *s)
{
    conn_note_errno(s->conn, errno);
    s->sock_errno = errno;
}

/* Is it plain HTTP? A TLS record begins with a control character, a request line with a letter. */
static void look_at_first(struct tls_stream *s, struct str data)
{
    s->has_read = true;
    if (s->server == NULL || ascii_lower(data.ptr[0]) < 'a' || ascii_lower(data.ptr[0]) > 'z')
        return;
    s->refusal = REASON_PLAIN_HTTP;
    s->is_head = str_starts(data, STR("HEAD "));
}

static int on_bio_read(BIO *bio, char *out, int size)
{
    struct tls_stream *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (s->recv_done) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n;
    do {
        n = recv(conn_fd(s->conn), out, (size_t)size, 0);
    } while (n < 0 && errno == EINTR);

    s->recv_done = s->recv_once || n < size; /* after a short read the socket is empty */
    if (n == 0)
        s->sock_eof = true;
    if (UNLIKELY(!s->has_read) && n > 0)
        look_at_first(s, str_make(out, (size_t)n));
    if (n >= 0)
        return (int)n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        BIO_set_retry_read(bio);
    else
        note_read_error(s);
    return -1;
}

static long on_bio_ctrl(BIO *bio, int cmd, long num UNUSED, void *ptr UNUSED)
{
    struct tls_stream *s = BIO_get_data(bio);

    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1; /* the operation's end flushes */
    case BIO_CTRL_EOF:
        return s->sock_eof;
    default:
        return 0;
    }
}

static int on_bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir socket");

    if (method == NULL)
        return NULL;
    BIO_meth_set_write(method, on_bio_write);
    BIO_meth_set_read(method, on_bio_read);
    BIO_meth_set_ctrl(method, on_bio_ctrl);
    BIO_meth_set_create(method, on_bio_create);
    return method;
}

/* --- operations ------------------------------------------------------------------------------ */

static void op_begin(struct tls_stream *s)
{
    ERR_clear_error();
    s->gather = loop_scratch(conn_loop(s->conn));
    s->gathered = 0;
    s->sent = 0;
    s->recv_once = s->recv_done = false;
}

static enum io op_end(struct tls_stream *s)
{
    enum io io = gather_send(s);

    s->gather = NULL;
    return io;
}

/* The same for an operation that does not say how much the socket took. */
static enum io op_end_aside(struct tls_stream *s)
{
    enum io io = op_end(s);

    if (UNLIKELY(s->sent > 0))
        conn_note_sent(s->conn, s->sent);
    return io;
}

/* On a helper thread the connection is not ours: the step carries the words. */
static enum io stream_fail(struct tls_stream *s, enum reason reason, const char *text)
{
    s->broken = true;
    if (s->on_helper) {
        s->step->reason = reason;
        snprintf(s->step->error, sizeof(s->step->error), "%s", text);
    } else {
        conn_set_error(s->conn, reason, text);
    }
    ERR_clear_error();
    return IO_ERROR;
}

/* The peer's certificate was what stopped us: say what X.509 has to say. */
static bool failed_to_verify(const struct tls_stream *s)
{
    unsigned long code = ERR_peek_error();

    return s->client != NULL && ERR_GET_LIB(code) == ERR_LIB_SSL &&
           ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

static const char *refusal_text(enum reason reason)
{
    if (reason == REASON_UNKNOWN_SNI)
        return "the server name is unknown";
    return reason == REASON_PLAIN_HTTP ? "plain HTTP on a TLS port"
                                       : "the client hello cannot be answered";
}

static enum io stream_broke(struct tls_stream *s)
{
    char text[256];

    if (failed_to_verify(s)) {
        long why = SSL_get_verify_result(s->ssl);
        snprintf(text, sizeof(text), "certificate does not verify: %s",
                 X509_verify_cert_error_string(why));
        return stream_fail(s, REASON_UPSTREAM_TLS_VERIFY, text);
    }
    if (s->refusal != REASON_NONE)
        return stream_fail(s, (enum reason)s->refusal, refusal_text((enum reason)s->refusal));
    if (s->sock_errno != 0)
        return stream_fail(s, REASON_NONE, strerror(s->sock_errno));
    if (s->sock_eof)
        return stream_fail(s, REASON_NONE, "closed by the peer without close_notify");
    return stream_fail(s, REASON_NONE, tls_error_text(text, sizeof(text)));
}

/* What an SSL_ call that did not succeed wants. */
static enum io io_of(struct tls_stream *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return IO_WANT_WRITE;
    case SSL_ERROR_WANT_X509_LOOKUP:
        return IO_BUSY; /* tls_may_sign has said no */
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    default:
        return stream_broke(s);
    }
}

/* In place of the alert, which no client that speaks plain HTTP understands. */
static void answer_plain_http(struct tls_stream *s)
{
    static const char head[] = "HTTP/1.1 400 Bad Request\r\n"
                               "content-type: text/plain\r\n"
                               "content-length: 59\r\n"
                               "connection: close\r\n\r\n";
    static const char body[] = "400 Bad Request: this port speaks TLS; use an https:// URL\n";
    _Static_assert(sizeof(body) - 1 == 59, "as content-length says");

    memcpy(s->gather, head, sizeof(head) - 1);
    s->gathered = sizeof(head) - 1;
    if (!s->is_head) {
        memcpy(s->gather + s->gathered, body, sizeof(body) - 1);
        s->gathered += sizeof(body) - 1;
    }
    conn_set_last_words(s->conn);
}

static enum io do_handshake(struct tls_stream *s)
{
    int result = SSL_do_handshake(s->ssl);

    s->may_sign = false; /* for one step: after a HelloRetryRequest it must ask again */
    return result == 1 ? IO_OK : io_of(s, result);
}

void tls_stream_step(struct tls_stream *s, struct tls_step *step, char *gather)
{
    ERR_clear_error();
    s->gather = gather;
    s->gathered = 0;
    s->on_helper = true;
    s->recv_done = true; /* the socket is the worker's */
    step->io = do_handshake(s);
    step->is_done = true;
    if (s->gathered > 0) {
        step->flight = mem_resize(NULL, s->gathered);
        step->flight_len = s->gathered;
        memcpy(step->flight, gather, s->gathered);
    }
    s->on_helper = false;
    s->gather = NULL;
    s->gathered = 0;
}

/* A helper's results: its flight goes out as if we had gathered it. */
static enum io take_step(struct tls_stream *s, enum io *out)
{
    struct tls_step *step = s->step;
    enum io io = step->io;

    if (step->error[0] != '\0')
        conn_set_error(s->conn, step->reason, step->error);
    s->step = NULL;
    s->gather = step->flight;
    s->gathered = step->flight_len;
    s->sent = 0;
    *out = op_end(s);
    tls_step_free(step);
    return io;
}

/* A turn has come: what was asked for is granted. */
static void forget_turn(struct tls_stream *s)
{
    tls_step_free(s->step);
    s->step = NULL;
}

static enum io tls_handshake(struct conn *conn)
{
    struct tls_stream *s = conn_transport_state(conn);
    enum io io, out;

    if (s->step != NULL && s->step->is_done) {
        io = take_step(s, &out);
    } else {
        if (s->step != NULL)
            forget_turn(s);
        op_begin(s);
        io = do_handshake(s);
        if (io == IO_ERROR && s->refusal == REASON_PLAIN_HTTP)
            answer_plain_http(s);
        out = op_end_aside(s); /* even after a failure: the alert tells the peer why */
    }
    if (io == IO_ERROR)
        return io;
    if (out == IO_ERROR)
        return stream_broke(s);
    if (io == IO_BUSY)
        return tls_postpone(s);
    s->is_open = io == IO_OK;
    return out == IO_WANT_WRITE ? out : io;
}

/* --- chatter --------------------------------------------------------------------------------- */

/* A client may change its keys (KeyUpdate, RFC 8446 section 4.6.3) as often as it likes, and ask
 * for a renegotiation that it will not get: a few bytes each, and work for us. OpenSSL tells of
 * each with two or three events. */
enum { CHATTER_MAX = 128, CHATTER_FORGIVEN_PER_S = 8 };

void tls_on_info(const SSL *ssl, int where, int value UNUSED)
{
    struct tls_stream *s = SSL_get_app_data(ssl);
    bool is_event = where == SSL_CB_ACCEPT_LOOP || where == SSL_CB_WRITE_ALERT;

    if (s != NULL && s->is_open && is_event && s->chatter < UINT16_MAX)
        s->chatter++;
}

static bool is_chattering(struct tls_stream *s)
{
    uint32_t now_s = (uint32_t)(loop_now_ms(conn_loop(s->conn)) / 1000);
    uint64_t forgiven =
        MIN((uint64_t)(now_s - s->chatter_at_s) * CHATTER_FORGIVEN_PER_S, (uint64_t)CHATTER_MAX);

    s->chatter_at_s = now_s;
    s->chatter = (uint16_t)(s->chatter > forgiven ? s->chatter - forgiven : 0);
    return s->chatter > CHATTER_MAX;
}

static enum io tls_read(struct conn *conn, void *out, size_t size, size_t *got)
{
    struct tls_stream *s = conn_transport_state(conn);

    if (s->broken)
        return IO_ERROR;
    op_begin(s);
    s->recv_once = true;
    int n = SSL_read(s->ssl, out, (int)MIN(size, INT32_MAX));
    enum io io = n > 0 ? IO_OK : io_of(s, n);
    enum io sent = op_end_aside(s);

    s->starved = io == IO_WANT_READ;
    if (UNLIKELY(s->chatter > 0) && is_chattering(s))
        return stream_fail(s, REASON_TLS_FLOOD, "too many handshake messages after the handshake");
    if (n > 0)
        *got = (size_t)n;
    if (sent == IO_WANT_WRITE)
        conn_flush_later(conn); /* our answer to the peer's KeyUpdate, say */
    return io;
}

static bool tls_has_pending(struct conn *conn)
{
    const struct tls_stream *s = conn_transport_state(conn);

    return !s->starved && !s->broken && SSL_has_pending(s->ssl) == 1;
}

/* Bytes in front of a segment that were overwritten for the time of one SSL_write. */
struct loan {
    char *at;
    size_t len;
    char saved[LOAN_MAX];
};

/* How many short slices stand before a long one that has as many bytes of its slab in front of it;
 * 0: none, or there is no such one. */
static int loan_count(const struct slice *slices, int count, size_t *len)
{
    int i = 0;

    for (*len = 0; i < count && *len + slices[i].len <= LOAN_MAX; i++)
        *len += slices[i].len;
    if (i == 0 || i == count || slices[i].len < STAGE_SMALL)
        return 0;
    return (size_t)(slices[i].ptr - slices[i].buf->data) >= *len ? i : 0;
}

/* The head of an h2 frame is to share a record with its payload, and SSL_write wants its bytes in a
 * row. Rather than copy the payload we write the head in front of it, whatever stands there, and
 * put that back afterwards: the slab is our thread's, and nothing reads it meanwhile. */
static struct str piece_on_loan(const struct slice *slices, int count, size_t len,
                                struct loan *loan)
{
    const struct slice *payload = &slices[count];
    char heads[LOAN_MAX]; /* they may lie where they will be put */
    size_t at = 0;

    for (int i = 0; i < count; i++) {
        memcpy(heads + at, slices[i].ptr, slices[i].len);
        at += slices[i].len;
    }
    loan->at = payload->buf->data + (payload->ptr - payload->buf->data) - len;
    loan->len = len;
    memcpy(loan->saved, loan->at, len);
    memcpy(loan->at, heads, len);
    return str_make(loan->at, MIN(len + payload->len, RECORD_PLAIN));
}

static void loan_return(struct loan *loan)
{
    if (loan->len > 0)
        memcpy(loan->at, loan->saved, loan->len);
    loan->len = 0;
}

/* Slices joined in the stage: the short ones, and as much of the first long one as is cheap. */
static struct str piece_staged(struct tls_stream *s, const struct slice *slices, int count)
{
    char *stage = s->gather + STAGE_AT;
    size_t len = 0;

    for (int i = 0; i < count && len < RECORD_PLAIN; i++) {
        bool is_long = slices[i].len > STAGE_COPY_MAX;
        size_t n = MIN(MIN(slices[i].len, STAGE_COPY_MAX), RECORD_PLAIN - len);
        memcpy(stage + len, slices[i].ptr, n);
        len += n;
        if (is_long)
            break;
    }
    return str_make(stage, len);
}

/* The next bytes for one record: of the front segment, or of several when that is short, so that a
 * head and the first bytes of its body share a record. */
static struct str next_piece(struct tls_stream *s, const struct bufq *q, struct loan *loan)
{
    struct slice front = bufq_front(q), slices[16];
    size_t loan_len;

    if (front.len >= STAGE_SMALL || front.len == q->bytes)
        return str_make(front.ptr, MIN(front.len, RECORD_PLAIN));
    int count = bufq_slices(q, slices, ARRAY_LEN(slices));
    int heads = loan_count(slices, count, &loan_len);
    if (heads > 0)
        return piece_on_loan(slices, heads, loan_len, loan);
    return piece_staged(s, slices, count);
}

static enum io write_records(struct tls_stream *s, struct bufq *q)
{
    struct loan loan; /* 512 bytes: not worth clearing */

    loan.len = 0;

    while (!bufq_is_empty(q)) {
        if (s->gathered + RECORD_MAX > GATHER_MAX) {
            enum io io = gather_send(s);
            if (io != IO_OK)
                return io;
        }
        struct str piece = next_piece(s, q, &loan);
        int n = SSL_write(s->ssl, piece.ptr, (int)piece.len);
        loan_return(&loan);
        if (n <= 0)
            return io_of(s, n);
        bufq_drop(q, (size_t)n);
    }
    return IO_OK;
}

static enum io tls_write(struct conn *conn, struct bufq *q, size_t *written)
{
    struct tls_stream *s = conn_transport_state(conn);

    if (s->broken)
        return IO_ERROR;
    if (bufq_is_empty(q) && s->left == NULL)
        return IO_OK;
    op_begin(s);
    enum io io = left_send(s); /* nothing is encrypted ahead of a full socket */
    if (io == IO_OK)
        io = write_records(s, q);
    enum io sent = op_end(s);

    *written += s->sent;
    if (io == IO_ERROR || sent == IO_ERROR) {
        /* A socket that takes nothing may still have the peer's last words for us: not broken
         * yet. */
        if (!s->broken)
            conn_set_error(conn, REASON_NONE, strerror(s->sock_errno));
        return IO_ERROR;
    }
    if (io == IO_OK || sent == IO_WANT_WRITE)
        return sent;
    return io == IO_EOF ? IO_ERROR : io;
}

static void tls_goodbye(struct conn *conn)
{
    struct tls_stream *s = conn_transport_state(conn);

    if (s->step != NULL || s->broken || !SSL_is_init_finished(s->ssl))
        return;
    op_begin(s);
    SSL_shutdown(s->ssl);
    op_end(s);
    ERR_clear_error();
}

static struct str alpn_of(const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned len = 0;

    SSL_get0_alpn_selected(ssl, &name, &len);
    return str_make(name, len);
}

/* What the certificate signs with that we showed. */
static struct str own_key_kind(const SSL *ssl)
{
    const X509 *certificate = SSL_is_server(ssl) ? SSL_get_certificate(ssl) : NULL;
    const EVP_PKEY *key = certificate != NULL ? X509_get0_pubkey(certificate) : NULL;

    if (key != NULL && EVP_PKEY_is_a(key, "RSA"))
        return STR("RSA");
    return key != NULL && EVP_PKEY_is_a(key, "EC") ? STR("ECDSA") : (struct str){0};
}

static void tls_info(struct conn *conn, struct conn_tls_info *info)
{
    struct tls_stream *s = conn_transport_state(conn);

    if (s->step != NULL) { /* it may be with a helper */
        *info = (struct conn_tls_info){.is_tls = true};
        return;
    }
    int group = (int)SSL_get_negotiated_group(s->ssl);
    *info = (struct conn_tls_info){
        .is_tls = true,
        .resumed = SSL_session_reused(s->ssl) == 1,
        .version = str_of(SSL_get_version(s->ssl)),
        .cipher = str_of(SSL_get_cipher_name(s->ssl)),
        .curve = str_of(group != 0 ? SSL_group_to_name(s->ssl, group) : NULL),
        .auth = own_key_kind(s->ssl),
        .alpn = alpn_of(s->ssl),
        .sni = str_of(SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name)),
    };
}

void tls_stream_free(struct tls_stream *s)
{
    /* A connection that went without close_notify would take its session with it (SSL_free marks it
     * as not resumable); only a broken one should. */
    if (!s->broken && SSL_is_init_finished(s->ssl))
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    free(s->peer);
    buf_unref(&s->left);
    tls_server_unref(&s->server);
    tls_client_unref(&s->client);
    free(s);
}

static void tls_free(struct conn *conn)
{
    struct tls_stream *s = conn_transport_state(conn);

    s->conn = NULL;
    if (s->step == NULL || tls_step_abandon(s))
        tls_stream_free(s);
}

static const struct transport_ops tls_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .has_pending = tls_has_pending,
    .write = tls_write,
    .goodbye = tls_goodbye,
    .info = tls_info,
    .free = tls_free,
};

struct tls_stream *tls_stream_new(struct conn *conn, struct tls_library *library, SSL *ssl)
{
    struct tls_stream *s = mem_new(sizeof(*s));
    BIO *bio = BIO_new(library->bio);

    if (ssl == NULL || bio == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    s->ssl = ssl;
    s->conn = conn;
    s->library = library;
    BIO_set_data(bio, s);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, s);
    conn_set_transport(conn, &tls_ops, s);
    return s;
}
