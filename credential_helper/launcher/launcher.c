/* Answers a request from a kept reply as credential_helper/replies/__init__.py does, and leaves everything else to it.
 *
 * - One decision, two readers: what is not here as it is there is a defect. Either finds the same reply, or none.
 * - Whatever is unusual is handed on: hand_on() starts the installed program in our place, with the name, the
 *   arguments, the environment and the whole of stdin that we were given. So each check ends in need(), not in an error.
 * - Nothing is written but the answer. Once its first byte may be out nothing is handed on; a write that fails ends
 *   with 74.
 * - Nothing is freed: the process ends, or becomes another program.
 *
 * table.h is made from the package's own tables when this is compiled: see credential_helper/launcher/table.py.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum kind { KIND_NOT_KEPT, KIND_STDIN, KIND_LINES, KIND_SECRETLESS, KIND_ENVIRONMENT, KIND_EITHER, KIND_NOTHING };

struct bytes {
    const char *at;
    size_t length;
};

struct program {
    const char *name;
    const char *row;
};

struct operation {
    const char *row;
    const char *name; /* the last word; empty: any */
    enum kind kind;
};

struct fixed {
    const char *row;
    const char *name;
    struct bytes answer;
};

#include "table.h"

#define LARGEST_REPLY (4 * 1024 * 1024)

#ifdef __APPLE__
#define MODIFIED st_mtimespec
#define CHANGED st_ctimespec
#else
#define MODIFIED st_mtim
#define CHANGED st_ctim
#endif

extern char **environ;

static const char mark[] __attribute__((used)) = MARK; /* by which a file is known to be a launcher */

static char **arguments; /* argv */
static const char *called_as;

static char heard[LARGEST + 1]; /* what was read from stdin */
static size_t heard_length;

static _Noreturn void hand_on(void);

static void need(bool true_here)
{
    if (!true_here)
        hand_on();
}

static _Noreturn void give_up(int code, const char *sentence)
{
    char line[512];
    int length = snprintf(line, sizeof line, PROGRAM ": %s\n", sentence);
    signal(SIGPIPE, SIG_IGN);
    ssize_t written = write(2, line, length > 0 && (size_t)length < sizeof line ? (size_t)length : 0);
    (void)written; /* where nobody reads it, the exit code remains */
    _exit(code);
}

static void *room(size_t size)
{
    void *at = malloc(size ? size : 1);
    if (at == NULL)
        give_up(75, "there is no memory left");
    return at;
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

static struct bytes text(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

static bool same(struct bytes one, struct bytes other)
{
    return one.length == other.length && (one.length == 0 || memcmp(one.at, other.at, one.length) == 0);
}

static bool is(struct bytes one, const char *string)
{
    return same(one, text(string));
}

static bool begins(struct bytes one, const char *string)
{
    size_t length = strlen(string);
    return one.length >= length && memcmp(one.at, string, length) == 0;
}

static bool ends(struct bytes one, const char *string)
{
    size_t length = strlen(string);
    return one.length >= length && memcmp(one.at + one.length - length, string, length) == 0;
}

static bool holds(struct bytes one, char byte)
{
    return one.length > 0 && memchr(one.at, byte, one.length) != NULL;
}

/* Return where a string begins from ``start`` on, or the length where it is not. */
static size_t find(struct bytes where, const char *string, size_t start)
{
    size_t length = strlen(string);
    for (size_t at = start; at + length <= where.length; at++)
        if (memcmp(where.at + at, string, length) == 0)
            return at;
    return where.length;
}

/* Cut off and return what stands before a byte, and skip the byte; all of it where the byte is not there. */
static struct bytes cut(struct bytes *rest, char byte)
{
    const char *end = rest->length > 0 ? memchr(rest->at, byte, rest->length) : NULL;
    struct bytes first = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->length};
    size_t used = first.length + (end != NULL ? 1 : 0);
    rest->at += used;
    rest->length -= used;
    return first;
}

/* --- variables and paths ---------------------------------------------------------------------------------------- */

/* Return a variable's value, NULL where it is not set. sh takes the last one of a name, Python the first. */
static const char *variable_of(struct bytes name)
{
    const char *value = NULL;
    if (holds(name, '=') || holds(name, '\0'))
        return NULL;
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, name.at, name.length) != 0 || (*entry)[name.length] != '=')
            continue;
        need(value == NULL);
        value = *entry + name.length + 1;
    }
    return value;
}

static const char *variable(const char *name)
{
    return variable_of(text(name));
}

static bool is_absolute(const char *path)
{
    return path != NULL && path[0] == '/';
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Join as light.join does: what the folder ends with in slashes is one slash. */
static char *join(const char *folder, struct bytes name)
{
    size_t length = strlen(folder);
    while (length > 0 && folder[length - 1] == '/')
        length--;
    need(!holds(name, '\0'));
    char *path = room(length + name.length + 2);
    memcpy(path, folder, length);
    path[length] = '/';
    if (name.length > 0)
        memcpy(path + length + 1, name.at, name.length);
    path[length + 1 + name.length] = '\0';
    return path;
}

/* Return the home directory, NULL where it is a relative path. Where HOME is not set the password database is asked. */
static const char *home(void)
{
    const char *path = variable("HOME");
    need(path != NULL && path[0] != '\0');
    return is_absolute(path) ? path : NULL;
}

static const char *expand(const char *path)
{
    if (strcmp(path, "~") == 0 || strncmp(path, "~/", 2) == 0 || strncmp(path, "~\\", 2) == 0) {
        const char *folder = home();
        return folder == NULL || strlen(path) <= 2 ? folder : join(folder, text(path + 2));
    }
    return is_absolute(path) ? path : NULL;
}

static const char *xdg(const char *name, const char *usual)
{
    const char *value = variable(name);
    if (is_absolute(value))
        return value;
    const char *folder = home();
    return folder == NULL ? NULL : join(folder, text(usual));
}

/* Fill in the paths of the config files, and return how many there are. */
static size_t config_files(const char *paths[2])
{
    const char *named = variable("CREDENTIAL_HELPER_CONFIG");
    if (named != NULL && named[0] != '\0') {
        const char *expanded = expand(named);
        paths[0] = expanded != NULL ? expanded : named;
        return 1;
    }
    const char *user = xdg("XDG_CONFIG_HOME", ".config");
    paths[0] = "/etc/credential-helper/config.toml";
    if (user == NULL)
        return 1;
    paths[1] = join(user, text("credential-helper/config.toml"));
    return 2;
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static bool is_private(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & 077) == 0;
}

static bool is_private_folder(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && is_private(&status) && S_ISDIR(status.st_mode);
}

static bool can_be_used(const char *state)
{
    if (exists(join(state, text("sessions"))))
        return true;
    char *path = strcpy(room(strlen(state) + 1), state);
    while (!exists(path)) {
        size_t length = strlen(path);
        while (length > 0 && path[length - 1] == '/')
            length--;
        while (length > 0 && path[length - 1] != '/')
            length--;
        if (length > 0)
            length--; /* the slash itself */
        path[length] = '\0';
        if (length == 0)
            strcpy(path, "/");
    }
    return access(path, W_OK | X_OK) == 0;
}

static const char *state_directory(void)
{
    const char *named = variable("CREDENTIAL_HELPER_STATE_DIR");
    if (named != NULL && named[0] != '\0')
        return expand(named);
    const char *base = xdg("XDG_STATE_HOME", ".local/state");
    const char *usual = base == NULL ? NULL : join(base, text("credential-helper"));
    const char *runtime = variable("XDG_RUNTIME_DIR");
    if (!is_absolute(runtime) || (usual != NULL && can_be_used(usual)))
        return usual;
    return is_private_folder(runtime) ? join(runtime, text("credential-helper")) : usual;
}

/* Return an absolute path as os.path.normpath does. */
static char *normalised(const char *path)
{
    size_t slashes = strspn(path, "/") == 2 ? 2 : 1, length = slashes;
    char *made = room(strlen(path) + 3);
    memcpy(made, "//", 2);
    struct bytes rest = text(path);
    while (rest.length > 0) {
        struct bytes part = cut(&rest, '/');
        if (part.length == 0 || is(part, "."))
            continue;
        if (is(part, "..")) {
            while (length > slashes && made[length - 1] != '/')
                length--;
            if (length > slashes)
                length--;
            continue;
        }
        if (length > slashes)
            made[length++] = '/';
        memcpy(made + length, part.at, part.length);
        length += part.length;
    }
    made[length] = '\0';
    return made;
}

/* Say whether a state directory is the one that neither a variable of ours nor one of XDG chose. */
static bool is_default_state(const char *state)
{
    const char *folder = home();
    if (folder == NULL)
        return false;
    char *usual = join(folder, text(".local/state/credential-helper"));
    if (strcmp(normalised(state), normalised(usual)) == 0)
        return true;
    struct stat one, other;
    return lstat(state, &one) == 0 && lstat(usual, &other) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

/* --- the request ------------------------------------------------------------------------------------------------ */

static char *request;
static size_t request_length, request_room;

static void add(const char *at, size_t length)
{
    if (request_length + length > request_room) {
        request_room = 2 * (request_length + length) + 1024;
        char *larger = room(request_room);
        if (request_length > 0)
            memcpy(larger, request, request_length);
        request = larger;
    }
    if (length > 0)
        memcpy(request + request_length, at, length);
    request_length += length;
}

/* Add a NUL and a string: parts are joined by NULs. */
static void add_part(const char *string)
{
    add("", 1);
    add(string, strlen(string));
}

static struct bytes name_in(const char *entry)
{
    return (struct bytes){entry, (size_t)(strchr(entry, '=') - entry)};
}

static int by_name(const void *one, const void *other)
{
    struct bytes first = name_in(*(char *const *)one), second = name_in(*(char *const *)other);
    size_t shorter = first.length < second.length ? first.length : second.length;
    int order = memcmp(first.at, second.at, shorter);
    return order != 0 ? order : (first.length > second.length) - (first.length < second.length);
}

/* Add every variable of ours, by its name, but those with a secret. */
static void add_variables(void)
{
    size_t count = 0, most = 0;
    while (environ[most] != NULL)
        most++;
    char **ours = room((most + 1) * sizeof *ours);
    for (size_t at = 0; at < most; at++) {
        if (strncmp(environ[at], PREFIX, strlen(PREFIX)) != 0 || strchr(environ[at], '=') == NULL)
            continue;
        bool secret = false;
        for (const char *const *name = SECRET_VARIABLES; *name != NULL; name++)
            secret = secret || is(name_in(environ[at]), *name);
        if (!secret)
            ours[count++] = environ[at];
    }
    qsort(ours, count, sizeof *ours, by_name);
    for (size_t at = 0; at < count; at++) {
        need(at == 0 || by_name(&ours[at - 1], &ours[at]) != 0);
        add_part(ours[at]);
    }
}

/* Join all that an answer depends on, as replies.request_of does; what is confidential is never looked for. */
static void make_request(struct bytes tool_input)
{
    const char *paths[2] = {NULL, NULL};
    struct bytes rest = tool_input;
    need(tool_input.length <= LARGEST);
    while (rest.length > 0) {
        struct bytes line = cut(&rest, '\n');
        for (const char *const *secret = CONFIDENTIAL; *secret != NULL; secret++)
            need(!begins(line, *secret));
    }
    add(called_as, strlen(called_as));
    for (char **argument = arguments + 1; *argument != NULL; argument++)
        add_part(*argument);
    add_part("");
    for (size_t count = config_files(paths), at = 0; at < count; at++)
        add_part(paths[at]);
    const char *git = variable("GIT_EXEC_PATH");
    add_part(git != NULL ? git : "");
    add_variables();
    need(request_length <= LARGEST);
    add("\0\0", 2);
    add(tool_input.at, tool_input.length);
}

/* Name the reply: the request's length, and its bytes as one little-endian number modulo 2^61 - 1, in which a
 * multiplication by 256 is a rotation by 8 of 61 bits. */
static char *name_of_request(void)
{
    const uint64_t prime = (UINT64_C(1) << 61) - 1;
    uint64_t sum = 0;
    for (size_t at = request_length; at-- > 0;) {
        sum = ((sum << 8) & prime) | (sum >> 53);
        sum += (unsigned char)request[at];
        sum = (sum & prime) + (sum >> 61);
    }
    char *name = room(64);
    snprintf(name, 64, "%zu-%llx", request_length, (unsigned long long)(sum == prime ? 0 : sum));
    return name;
}

/* --- stdin ------------------------------------------------------------------------------------------------------ */

static void wait_for(int descriptor, short events)
{
    struct pollfd one = {.fd = descriptor, .events = events};
    while (poll(&one, 1, -1) < 0 && errno == EINTR)
        ;
}

/* Say whether a request of lines has had its empty line; a JSON object may have empty lines in it. */
static bool has_ended(size_t before)
{
    struct bytes read_so_far = {heard, heard_length};
    size_t start = before > 2 ? before - 2 : 0, first = 0;
    if (find(read_so_far, "\n\n", start) == heard_length && find(read_so_far, "\n\r\n", start) == heard_length)
        return false;
    while (first < heard_length && heard[first] != '\0' && strchr(" \t\n\r\v\f", heard[first]) != NULL)
        first++;
    return first == heard_length || heard[first] == '\0' || strchr("{[\"", heard[first]) == NULL;
}

/* Read stdin to its end, or to one byte more than a request may have; a terminal is never read. */
static void read_input(bool lines)
{
    if (isatty(0))
        return;
    while (heard_length <= LARGEST) {
        ssize_t count = read(0, heard + heard_length, LARGEST + 1 - heard_length);
        if (count == 0)
            return;
        if (count > 0) {
            size_t before = heard_length;
            heard_length += (size_t)count;
            if (lines && has_ended(before))
                return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for(0, POLLIN);
        } else if (errno != EINTR) {
            need(heard_length > 0); /* else the error can be had again */
            give_up(74, "stdin cannot be read");
        }
    }
}

/* Return git's lines up to the first empty one, without those that hold a secret, as replies.without_secrets does. */
static struct bytes without_secrets(void)
{
    struct bytes rest = {heard, heard_length};
    char *kept = room(heard_length + 1);
    size_t length = 0;
    need(heard_length <= LARGEST && !holds(rest, '\0') && !holds(rest, '\r'));
    while (rest.length > 0) {
        struct bytes line = cut(&rest, '\n');
        bool secret = false;
        if (line.length == 0)
            break;
        for (const char *const *one = WITH_SECRETS; *one != NULL; one++)
            secret = secret || begins(line, *one);
        if (secret)
            continue;
        if (length > 0)
            kept[length++] = '\n';
        memcpy(kept + length, line.at, line.length);
        length += line.length;
    }
    return (struct bytes){kept, length};
}

/* --- SHA-256 (FIPS 180-4) --------------------------------------------------------------------------------------- */

struct sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};

static const uint32_t SHA256_CONSTANTS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t word, int bits)
{
    return word >> bits | word << (32 - bits);
}

static void sha256_block(struct sha256 *sum)
{
    uint32_t schedule[64], v[8];
    for (int t = 0; t < 16; t++) {
        const unsigned char *at = sum->block + 4 * t;
        schedule[t] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    for (int t = 16; t < 64; t++) {
        uint32_t a = schedule[t - 15], b = schedule[t - 2];
        schedule[t] = schedule[t - 16] + schedule[t - 7] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) +
                      (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
    }
    memcpy(v, sum->state, sizeof v);
    for (int t = 0; t < 64; t++) {
        uint32_t one = v[7] + (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25)) +
                       ((v[4] & v[5]) ^ (~v[4] & v[6])) + SHA256_CONSTANTS[t] + schedule[t];
        uint32_t two = (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22)) +
                       ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (int at = 0; at < 8; at++)
        sum->state[at] += v[at];
}

static void sha256_begin(struct sha256 *sum)
{
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(sum->state, first, sizeof first);
    sum->length = 0;
}

static void sha256_add(struct sha256 *sum, struct bytes data)
{
    for (size_t at = 0; at < data.length; at++) {
        sum->block[sum->length++ % 64] = (unsigned char)data.at[at];
        if (sum->length % 64 == 0)
            sha256_block(sum);
    }
}

static void sha256_end(struct sha256 *sum, unsigned char result[32])
{
    uint64_t bits = sum->length * 8;
    char length[8];
    for (int at = 0; at < 8; at++)
        length[at] = (char)(unsigned char)(bits >> (56 - 8 * at));
    sha256_add(sum, (struct bytes){"\x80", 1});
    while (sum->length % 64 != 56)
        sha256_add(sum, (struct bytes){"", 1});
    sha256_add(sum, (struct bytes){length, sizeof length});
    for (int at = 0; at < 32; at++)
        result[at] = (unsigned char)(sum->state[at / 4] >> (24 - 8 * (at % 4)));
}

/* --- the reply -------------------------------------------------------------------------------------------------- */

static bool are_digits(struct bytes digits)
{
    for (size_t at = 0; at < digits.length; at++)
        if (digits.at[at] < '0' || digits.at[at] > '9')
            return false;
    return digits.length > 0;
}

/* Read a time as replies.number does. No locale is set, so the point is a point. */
static double number(struct bytes digits)
{
    char copy[32] = "";
    struct bytes after = digits;
    if (is(digits, "inf"))
        return INFINITY;
    need(digits.length <= 24);
    struct bytes before = cut(&after, '.');
    need(before.length < digits.length && are_digits(before) && are_digits(after));
    memcpy(copy, digits.at, digits.length);
    return strtod(copy, NULL);
}

static unsigned long long whole(struct bytes digits)
{
    unsigned long long value = 0;
    need(digits.length <= 12 && are_digits(digits));
    for (size_t at = 0; at < digits.length; at++)
        value = 10 * value + (unsigned long long)(digits.at[at] - '0');
    return value;
}

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Read bytes in hex, as they are written: lower case, with nothing between them. */
static struct bytes unhex(struct bytes digits)
{
    char *made = room(digits.length / 2 + 1);
    need(digits.length % 2 == 0);
    for (size_t at = 0; at < digits.length / 2; at++) {
        int high = hex_digit(digits.at[2 * at]), low = hex_digit(digits.at[2 * at + 1]);
        need(high >= 0 && low >= 0);
        made[at] = (char)(unsigned char)(16 * high + low);
    }
    made[digits.length / 2] = '\0';
    return (struct bytes){made, digits.length / 2};
}

/* Write nanoseconds since the epoch as one number; a 64-bit one would end in the year 2262. */
static int write_time(char *at, size_t size, struct timespec when)
{
    long long seconds = (long long)when.tv_sec;
    long rest = when.tv_nsec;
    const char *sign = "";
    if (seconds < 0) {
        sign = "-";
        seconds = rest > 0 ? -(seconds + 1) : -seconds;
        rest = rest > 0 ? 1000000000 - rest : 0;
    }
    if (seconds == 0)
        return snprintf(at, size, "%s%ld", rest > 0 ? sign : "", rest);
    return snprintf(at, size, "%s%lld%09ld", sign, seconds, rest);
}

/* Say whether a file is, by its stamp, the one that was read: see places.stamp. */
static bool has_stamp(const char *path, struct bytes stamp)
{
    struct stat status;
    char now[256], modified[40], changed[40];
    if (stat(path, &status) != 0)
        return (errno == ENOENT || errno == ENOTDIR) && is(stamp, ABSENT);
    write_time(modified, sizeof modified, status.MODIFIED);
    write_time(changed, sizeof changed, status.CHANGED);
    snprintf(now, sizeof now, "%llu %llu %s %s %lld %llu %llu", (unsigned long long)status.st_mode,
             (unsigned long long)status.st_uid, modified, changed, (long long)status.st_size,
             (unsigned long long)status.st_ino, (unsigned long long)status.st_dev);
    return is(stamp, now);
}

static void add_to_digest(struct sha256 *sum, struct bytes part)
{
    char length[32];
    snprintf(length, sizeof length, "%zu:", part.length);
    sha256_add(sum, text(length));
    sha256_add(sum, part);
}

/* Need the variables that a head names to have the values that they had. */
static void need_proof(struct bytes value)
{
    struct sha256 sum;
    unsigned char result[32];
    size_t spaces = 0;
    for (size_t at = 0; at < value.length; at++)
        spaces += value.at[at] == ' ';
    need(spaces >= 1);
    sha256_begin(&sum);
    sha256_add(&sum, unhex(cut(&value, ' ')));
    struct bytes wanted = unhex(cut(&value, ' '));
    need(wanted.length == sizeof result);
    for (size_t names = spaces - 1; names > 0; names--) {
        struct bytes name = unhex(cut(&value, ' '));
        const char *now = variable_of(name);
        add_to_digest(&sum, name);
        if (now == NULL)
            sha256_add(&sum, text("-"));
        else
            add_to_digest(&sum, text(now));
    }
    sha256_end(&sum, result);
    unsigned differs = 0; /* the first byte that differs ends nothing */
    for (size_t at = 0; at < sizeof result; at++)
        differs |= result[at] ^ (unsigned char)wanted.at[at];
    need(differs == 0);
}

static bool is_inside(struct bytes name)
{
    size_t slashes = 0;
    for (size_t at = 0; at < name.length; at++)
        slashes += name.at[at] == '/';
    return slashes <= 1 && !is(name, PROOF_FILE) && !is(name, PROOF_VARIABLES) && name.length > 0 &&
           name.at[0] != '.' && name.at[0] != '/';
}

/* Need a reply's first line of stamps to be of no session that is to be renewed ahead now: that is Python's work. */
static void need_not_due(struct bytes name, const char *state, double now)
{
    struct stat status;
    if (!begins(name, SESSIONS) || !ends(name, ".json"))
        return;
    struct bytes identifier = {name.at + strlen(SESSIONS), name.length - strlen(SESSIONS) - strlen(".json")};
    char *file = room(identifier.length + sizeof ".ahead");
    memcpy(file, identifier.at, identifier.length);
    memcpy(file + identifier.length, ".ahead", sizeof ".ahead");
    const char *marker = join(join(state, text(MARKERS)), text(file));
    need(lstat(marker, &status) == 0);
    double age = now - ((double)status.MODIFIED.tv_sec + 1e-9 * (double)status.MODIFIED.tv_nsec);
    need(-MARKED < age && age < MARKED);
}

/* Need every file that an answer was made from to be as it was; ``lines`` are those of the head below its numbers. */
static void need_reasons(struct bytes lines, const char *state)
{
    const char *paths[2] = {NULL, NULL};
    size_t known = config_files(paths), configs = 0;
    bool own = false;
    for (struct bytes rest = lines; rest.length > 0;) {
        struct bytes stamp = cut(&rest, '\n');
        need(holds(stamp, ' '));
        struct bytes name = cut(&stamp, ' ');
        for (size_t at = 0; at < name.length + 1 + stamp.length; at++)
            need((unsigned char)name.at[at] < 0x80);
        configs += is(name, CONFIG);
        own = own || (!is(name, CONFIG) && !is(stamp, ABSENT) && is_inside(name));
    }
    need(configs == known);
    /* Who brings a folder cannot know the stamp of a file in it: a reply that stands on none may have come with it. */
    need(own || is_default_state(state));
    for (configs = 0; lines.length > 0;) {
        struct bytes stamp = cut(&lines, '\n'), name = cut(&stamp, ' ');
        if (is(name, PROOF_VARIABLES)) {
            need_proof(stamp);
        } else if (is(name, PROOF_FILE)) {
            need(holds(stamp, ' '));
            struct bytes path = unhex(cut(&stamp, ' '));
            need(!holds(path, '\0') && has_stamp(path.at, stamp));
        } else if (is(name, CONFIG)) {
            need(has_stamp(paths[configs++], stamp));
        } else {
            need(has_stamp(join(state, name), stamp));
        }
    }
}

/* Read a reply, whose size must be what its status says; it is ours alone, and no link. */
static struct bytes read_reply(const char *path)
{
    struct stat status;
    ssize_t count;
    int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    need(descriptor >= 0 && fstat(descriptor, &status) == 0);
    need(is_private(&status) && S_ISREG(status.st_mode) && status.st_size <= LARGEST_REPLY);
    char *content = room((size_t)status.st_size + 1);
    do
        count = read(descriptor, content, (size_t)status.st_size + 1);
    while (count < 0 && errno == EINTR);
    need(count == status.st_size);
    close(descriptor);
    return (struct bytes){content, (size_t)count};
}

static double time_now(void)
{
    struct timespec now;
    need(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (double)((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) / 1e9;
}

/* Return the answer that was given to the request, if every reason for it still holds. */
static struct bytes kept_answer(int *code)
{
    const char *state = state_directory();
    need(state != NULL && is_private_folder(state));
    const char *folder = join(state, text("replies"));
    need(is_private_folder(folder));
    struct bytes content = read_reply(join(folder, text(name_of_request())));
    size_t end = find(content, "\n\n", 0);
    need(end < content.length);
    struct bytes head = {content.at, end}, body = {content.at + end + 2, content.length - end - 2};
    struct bytes lines[HEAD];
    for (size_t at = 0; at < HEAD; at++) {
        need(head.length > 0); /* no line of a head is empty */
        lines[at] = cut(&head, '\n');
    }
    need(is(lines[0], FORMAT) && is(lines[1], VERSION));
    double made = number(lines[2]), until = number(lines[3]), renew = number(lines[4]), now = time_now();
    unsigned long long ends_with = whole(lines[5]), asked = whole(lines[6]), answered = whole(lines[7]);
    need(made - BACKWARDS <= now && now < until && ends_with <= 255);
    need(body.length == asked + answered && asked == request_length);
    need(memcmp(body.at, request, request_length) == 0);
    struct bytes first = head;
    need_reasons(head, state);
    if (head.length > 0 && renew <= now)
        need_not_due(cut(&first, ' '), state, now);
    *code = (int)ends_with;
    return (struct bytes){body.at + request_length, body.length - request_length};
}

static _Noreturn void answer(struct bytes rest, int code)
{
    signal(SIGPIPE, SIG_IGN);
    while (rest.length > 0) {
        ssize_t count = write(1, rest.at, rest.length);
        if (count >= 0) {
            rest.at += count;
            rest.length -= (size_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for(1, POLLOUT);
        } else if (errno == EPIPE) {
            _exit(74); /* nobody reads it, so nobody is told */
        } else if (errno != EINTR) {
            give_up(74, "the answer cannot be written to stdout");
        }
    }
    _exit(code);
}

/* --- handing on ------------------------------------------------------------------------------------------------- */

/* Write all that was heard. */
static bool pour(int descriptor)
{
    for (size_t done = 0; done < heard_length;) {
        ssize_t count = write(descriptor, heard + done, heard_length - done);
        if (count < 0 && errno != EINTR)
            return false;
        done += count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* Fill a pipe with what was heard, and where that was not all, with the rest as it comes; ends with its reader. */
static _Noreturn void feed(int pipe, bool all)
{
    signal(SIGPIPE, SIG_IGN);
    close(1);
    close(2);
    bool reads = pour(pipe);
    while (reads && !all) {
        ssize_t count = read(0, heard, sizeof heard);
        if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
            break;
        if (count < 0 && errno != EINTR)
            wait_for(0, POLLIN);
        heard_length = count > 0 ? (size_t)count : 0;
        reads = pour(pipe);
    }
    _exit(0);
}

/* Put what was read from stdin back in front of the rest. What ended by itself goes on in memory: no child is left. */
static void give_back(void)
{
    bool all = heard_length <= LARGEST;
    int pipes[2];
    if (heard_length == 0)
        return;
#ifdef MFD_CLOEXEC
    int memory = all ? memfd_create("stdin", MFD_CLOEXEC) : -1;
    if (memory >= 0 && pour(memory) && lseek(memory, 0, SEEK_SET) == 0 && dup2(memory, 0) == 0) {
        close(memory);
        return;
    }
#endif
    if (pipe(pipes) != 0)
        give_up(75, "no pipe can be had for stdin");
    pid_t child = fork();
    if (child == 0) {
        /* Twice, so that the program that we become has no child that it does not know. */
        pid_t feeder = fork();
        if (feeder != 0)
            _exit(feeder < 0);
        close(pipes[0]);
        feed(pipes[1], all);
    }
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || status != 0 || dup2(pipes[0], 0) != 0)
        give_up(75, "no process can be had for stdin");
    close(pipes[0]);
    close(pipes[1]);
}

/* Say whether a file is a script: whatever stands there, a launcher never starts a launcher. */
static bool is_script(const char *path)
{
    char begin[2];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool script = descriptor >= 0 && read(descriptor, begin, 2) == 2 && begin[0] == '#' && begin[1] == '!';
    if (descriptor >= 0)
        close(descriptor);
    return script;
}

/* Become the installed program, under the name that we were called by. */
static _Noreturn void hand_on(void)
{
    size_t count = 0;
    const char *path = join(FOLDER, text(called_as));
    bool ours = strcmp(called_as, PROGRAM) == 0;
    for (const struct program *one = PROGRAMS; one->name != NULL; one++)
        ours = ours || strcmp(called_as, one->name) == 0;
    if (!is_script(FOLDER "/" PROGRAM))
        give_up(70, "the installation that this launcher was made for has gone\nhint: delete the launcher, or make it "
                    "anew with credential-helper launcher");
    give_back();
    while (arguments[count + 1] != NULL)
        count++;
    const char **words = room((count + 5) * sizeof *words);
    words[0] = path;
    for (size_t at = 1; at <= count; at++)
        words[at] = arguments[at];
    words[count + 1] = NULL;
    if (ours && is_script(path))
        execve(path, (char *const *)words, environ);
    /* A name that no installer wrote. A script is told its own path, and no other name, so sh is told both. */
    memmove(words + 3, words, (count + 2) * sizeof *words);
    words[0] = "sh";
    words[1] = "-c";
    words[2] = SOURCED;
    execve("/bin/sh", (char *const *)words, environ);
    give_up(70, strerror(errno));
}

/* --- the call --------------------------------------------------------------------------------------------------- */

/* Find the row that is called, as tools.called does, and the words after its name. */
static const char *called_row(char **words, char ***rest)
{
    *rest = words;
    for (const struct program *one = PROGRAMS; one->name != NULL; one++)
        if (strcmp(called_as, one->name) == 0)
            return one->row;
    if (words[0] == NULL)
        return WITHOUT_WORDS;
    for (const char *const *row = ROWS; *row != NULL; row++)
        if (strcmp(words[0], *row) == 0) {
            *rest = words + 1;
            return *row;
        }
    return NULL;
}

static enum kind kind_of(const char *row, const char *operation)
{
    enum kind any = KIND_NOT_KEPT;
    for (const struct operation *one = OPERATIONS; one->row != NULL; one++) {
        if (strcmp(one->row, row) != 0)
            continue;
        if (strcmp(one->name, operation) == 0)
            return one->kind;
        if (one->name[0] == '\0')
            any = one->kind;
    }
    return any;
}

/* Answer an operation that is always answered the same, unless whoever asks wants to read what is done. */
static void answer_fixed(const char *row, const char *operation)
{
    for (const struct fixed *one = FIXED; one->row != NULL; one++)
        if (strcmp(one->row, row) == 0 && strcmp(one->name, operation) == 0 && variable(VERBOSE) == NULL)
            answer(one->answer, 0);
}

int main(int count, char **argv)
{
    static char *nameless[] = {(char *)PROGRAM, NULL};
    struct bytes tool_input = {"", 0};
    char **rest;
    arguments = count > 0 && argv[0] != NULL ? argv : nameless;
    called_as = base_name(arguments[0]);
    if (called_as[0] == '\0')
        called_as = PROGRAM;
    for (int descriptor = 0; descriptor < 3; descriptor++)
        need(fcntl(descriptor, F_GETFD) != -1);
    const char *row = called_row(arguments + 1, &rest);
    need(row != NULL);
    const char *operation = "";
    for (char **word = rest; *word != NULL; word++)
        operation = *word;
    if (rest[0] != NULL && rest[1] == NULL)
        answer_fixed(row, operation);
    enum kind kind = kind_of(row, operation);
    if (kind == KIND_EITHER)
        kind = variable(EXEC_INFO) != NULL ? KIND_ENVIRONMENT : KIND_LINES;
    need(kind != KIND_NOT_KEPT);
    if (kind == KIND_ENVIRONMENT) {
        const char *value = variable(EXEC_INFO);
        tool_input = text(value != NULL ? value : "");
    } else if (kind != KIND_NOTHING) {
        read_input(kind != KIND_STDIN);
        tool_input = kind == KIND_SECRETLESS ? without_secrets() : (struct bytes){heard, heard_length};
    }
    make_request(tool_input);
    int code = 0;
    struct bytes found = kept_answer(&code);
    answer(found, code);
}
