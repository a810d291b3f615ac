#include "tests/unit/unit.h"

#include "base/json.h"
#include "cmd/display.h"
#include <sys/ioctl.h>

/* What a display writes, in a file, or on a terminal of 80 columns. */
struct screen {
    char path[64];
    int dirfd, fd, master;
    struct display *d;
    const struct progress *p;
};

static struct screen open_screen(enum display_mode mode)
{
    struct screen s = { .master = -1 };
    unsetenv("NO_COLOR");
    s.dirfd = scratch_make(s.path);
    s.fd = openat(s.dirfd, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(s.fd >= 0);
    s.d = display_new(mode, s.fd);
    s.p = display_progress(s.d);
    return s;
}

static void log_text(const struct screen *s, int vertex, const char *text)
{
    s->p->log(s->p->arg, vertex, 1, text, strlen(text));
}

/* Durations depend on the machine: "#1 0.003 x" is compared as "#1 T x". */
static void mask_times(const char *text, struct buf *b)
{
    for (const char *s = text; *s != '\0';) {
        size_t n = strspn(s, "0123456789");
        size_t all = n > 0 && s[n] == '.' ? n + 1 + strspn(s + n + 1, "0123456789") : 0;
        if (all > 0 && s > text && strchr(" \n", s[-1]) != NULL && strchr(" s", s[all]) != NULL) {
            buf_addc(b, 'T');
            s += all;
        } else {
            buf_addc(b, *s++);
        }
    }
}

static void close_screen(struct screen *s, struct buf *ret)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf raw = BUF_INIT;
    display_free(s->d);
    assert_ok(file_read(s->dirfd, "out", 1 << 20, &raw, &err), &err);
    mask_times(buf_str(&raw), ret);
    fd_close(s->fd);
    scratch_remove(s->dirfd, s->path);
}

static void assert_shown(struct screen *s, const char *want)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(s, &b);
    assert_string_equal(buf_str(&b), want);
}

#define HEADER "#0 building with \"default\" instance using shale driver\n"

static void plain_lines_have_buildkits_shapes(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "[internal] load build definition from Dockerfile");
    s.p->status(s.p->arg, 1, "transferring dockerfile:", 1190, 0, 1);
    s.p->end(s.p->arg, 1, VERTEX_DONE, NULL, 30);
    s.p->begin(s.p->arg, 2, "[1/2] RUN x");
    log_text(&s, 2, "one\ntw");
    log_text(&s, 2, "o\r\nthree");
    s.p->note(s.p->arg, 2, "changed: src/a.py");
    s.p->end(s.p->arg, 2, VERTEX_DONE, NULL, 1234);
    s.p->begin(s.p->arg, 3, "[2/2] COPY a b");
    s.p->end(s.p->arg, 3, VERTEX_CACHED, NULL, 0);
    assert_shown(&s, HEADER "\n"
                            "#1 [internal] load build definition from Dockerfile\n"
                            "#1 transferring dockerfile: 1.19kB done\n"
                            "#1 DONE Ts\n\n"
                            "#2 [1/2] RUN x\n"
                            "#2 T one\n"
                            "#2 T two\n"
                            "#2 T three\n"
                            "#2 => changed: src/a.py\n"
                            "#2 DONE Ts\n\n"
                            "#3 [2/2] COPY a b\n"
                            "#3 CACHED\n");
}

static void plain_says_what_a_reused_step_looked_at(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "[2/2] RUN x");
    s.p->end(s.p->arg, 1, VERTEX_REUSED, "read 1 of 656 copied files", 0);
    assert_shown(&s, HEADER "\n#1 [2/2] RUN x\n#1 REUSED (read 1 of 656 copied files)\n");
}

static void plain_vertices_do_not_mix_their_lines(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "[a] RUN a");
    s.p->begin(s.p->arg, 2, "[b] RUN b");
    log_text(&s, 2, "b waits\n");
    log_text(&s, 1, "a has the floor\nand is cut");
    s.p->end(s.p->arg, 2, VERTEX_DONE, NULL, 0);
    log_text(&s, 1, " here\n");
    s.p->end(s.p->arg, 1, VERTEX_DONE, NULL, 0);
    assert_shown(&s, HEADER "\n"
                            "#1 [a] RUN a\n"
                            "#1 T a has the floor\n"
                            "#1 T and is cut\n"
                            "#1 ...\n\n"
                            "#2 [b] RUN b\n"
                            "#2 T b waits\n"
                            "#2 DONE Ts\n\n"
                            "#1 [a] RUN a\n"
                            "#1 T  here\n"
                            "#1 DONE Ts\n");
}

static void a_failed_vertex_is_shown_again_with_its_last_lines(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "[2/3] RUN x");
    log_text(&s, 1, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n");
    s.p->end(s.p->arg, 1, VERTEX_ERROR, "exit code: 3", 0);
    s.p->begin(s.p->arg, 2, "other");
    s.p->end(s.p->arg, 2, VERTEX_CANCELED, NULL, 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    assert_true(str_ends(buf_str(&b), "#1 T 12\n#1 ERROR: exit code: 3\n\n#2 other\n#2 CANCELED\n"
                                      "------\n > [2/3] RUN x:\nT 3\nT 4\nT 5\nT 6\nT 7\nT 8\nT 9\n"
                                      "T 10\nT 11\nT 12\n------\n"));
}

static void warnings_are_shown_where_they_are_found_and_at_the_end(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "load");
    s.p->warning(s.p->arg, "JSONArgsRecommended", "JSON arguments", 3, 3);
    s.p->warning(s.p->arg, "Other", "no line", 0, 0);
    s.p->end(s.p->arg, 1, VERTEX_DONE, NULL, 0);
    assert_shown(&s, HEADER "\n#1 load\n"
                            "#1 WARN: JSONArgsRecommended: JSON arguments (line 3)\n"
                            "#1 WARN: Other: no line\n"
                            "#1 DONE Ts\n\n"
                            " 2 warnings found (use --debug to expand):\n"
                            " - JSONArgsRecommended: JSON arguments (line 3)\n"
                            " - Other: no line\n");
}

static void with_debug_warnings_have_their_excerpt(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->warning(s.p->arg, "JSONArgsRecommended", "JSON arguments", 1, 2);
    struct build_result r = { .dockerfile_name = str_dup("Dockerfile") };
    buf_adds(&r.dockerfile, "CMD \\\nx\nUSER a\n");
    display_finish(s.d, &r, true);
    mem_free(r.dockerfile_name);
    buf_release(&r.dockerfile);
    assert_shown(&s, HEADER "\n 1 warning found:\n"
                            " - JSONArgsRecommended: JSON arguments (line 1)\n"
                            "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended "
                            "behavior related to OS signals\n"
                            "More info: https://docs.docker.com/go/dockerfile/rule/"
                            "json-args-recommended/\n"
                            "Dockerfile:1\n--------------------\n   1 | >>> CMD \\\n   2 | >>> x\n"
                            "   3 |     USER a\n"
                            "--------------------\n\n");
}

static void names_of_others_are_escaped(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "RUN \033[2J\n#9 DONE");
    s.p->end(s.p->arg, 1, VERTEX_CACHED, NULL, 0);
    assert_shown(&s, HEADER "\n#1 RUN \\x1b[2J\\x0a#9 DONE\n#1 CACHED\n");
}

static void unknown_and_ended_vertices_are_ignored(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    log_text(&s, 7, "x\n");
    s.p->end(s.p->arg, -1, VERTEX_DONE, NULL, 0);
    s.p->begin(s.p->arg, 1, "a");
    s.p->end(s.p->arg, 1, VERTEX_CACHED, NULL, 0);
    log_text(&s, 1, "late\n");
    s.p->end(s.p->arg, 1, VERTEX_ERROR, "twice", 0);
    assert_shown(&s, HEADER "\n#1 a\n#1 CACHED\n");
}

static void a_broken_off_build_still_shows_what_was_said(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "a");
    s.p->begin(s.p->arg, 2, "b");
    log_text(&s, 2, "from b");
    assert_shown(&s, HEADER "\n#1 a\n#1 ...\n\n#2 b\n#2 T from b\n");
}

static void quiet_shows_nothing(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_QUIET);
    s.p->begin(s.p->arg, 1, "a");
    log_text(&s, 1, "x\n");
    s.p->warning(s.p->arg, "R", "w", 1, 1);
    s.p->end(s.p->arg, 1, VERTEX_ERROR, "x", 0);
    s.p->begin(s.p->arg, 2, "b");
    s.p->end(s.p->arg, 2, VERTEX_REUSED, "read nothing", 0);
    assert_shown(&s, "");
}

static json_t *line_of(const struct buf *b, size_t i)
{
    AUTO(strv_release) struct strv lines = STRV_INIT;
    struct err err = ERR_INIT;
    strv_split(&lines, buf_str(b), '\n');
    assert_true(i < lines.n);
    json_t *j = json_parse(lines.v[i], strlen(lines.v[i]), "line", &err);
    assert_non_null(j);
    return j;
}

static void raw_json_lines_are_solve_statuses(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_RAWJSON);
    s.p->begin(s.p->arg, 1, "RUN \xff");
    s.p->log(s.p->arg, 1, 2, "a\0b", 3);
    s.p->end(s.p->arg, 1, VERTEX_ERROR, "exit code: 1", 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    json_auto_t *begin = line_of(&b, 0), *log = line_of(&b, 1), *end = line_of(&b, 2);
    json_t *v = json_array_get(json_get_arr(begin, "vertexes"), 0);
    json_t *l = json_array_get(json_get_arr(log, "logs"), 0);
    json_t *e = json_array_get(json_get_arr(end, "vertexes"), 0);
    assert_string_equal(json_get_str(v, "name"), "RUN \\xff");
    assert_true(str_starts(json_get_str(v, "digest"), "sha256:"));
    assert_null(json_get_str(v, "completed"));
    assert_string_equal(json_get_str(l, "vertex"), json_get_str(v, "digest"));
    assert_string_equal(json_get_str(l, "data"), "YQBi");
    assert_int_equal(json_get_int(l, "stream", 0), 2);
    assert_string_equal(json_get_str(e, "error"), "exit code: 1");
    assert_non_null(json_get_str(e, "completed"));
}

static void raw_json_has_a_reused_step_as_a_cached_one_with_a_note(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_RAWJSON);
    s.p->begin(s.p->arg, 1, "RUN x");
    s.p->end(s.p->arg, 1, VERTEX_REUSED, "read 1 of 656", 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    json_auto_t *note = line_of(&b, 1), *end = line_of(&b, 2);
    json_t *n = json_array_get(json_get_arr(note, "notes"), 0);
    json_t *e = json_array_get(json_get_arr(end, "vertexes"), 0);
    assert_string_equal(json_get_str(n, "text"), "read 1 of 656");
    assert_string_equal(json_get_str(n, "vertex"), json_get_str(e, "digest"));
    assert_true(json_is_true(json_object_get(e, "cached")));
    assert_null(json_get_str(e, "error"));
}

/* The last picture in what was written: from the last cursor-hiding on. */
static const char *last_picture(const char *text)
{
    const char *last = NULL;
    for (const char *s = text; (s = strstr(s, "\033[?25l")) != NULL; s++)
        last = s;
    assert_non_null(last);
    return last;
}

static void the_live_table_ends_with_every_row(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_TTY);
    s.p->begin(s.p->arg, 1, "[internal] load build definition from Dockerfile");
    s.p->status(s.p->arg, 1, "transferring dockerfile:", 180, 0, 1);
    s.p->end(s.p->arg, 1, VERTEX_DONE, NULL, 0);
    s.p->begin(s.p->arg, 2,
               "[1/2] RUN a long command line that certainly does not fit in 80 columns");
    log_text(&s, 2, "not shown once it has ended\n");
    s.p->end(s.p->arg, 2, VERTEX_DONE, NULL, 61234);
    s.p->begin(s.p->arg, 3, "[2/2] COPY a b");
    s.p->end(s.p->arg, 3, VERTEX_CACHED, NULL, 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    const char *p = last_picture(buf_str(&b));
    const char *body = strstr(p, " => ");
    assert_non_null(strstr(p, "(3/3) FINISHED"));
    assert_string_equal(
        body,
        " => [internal] load build definition from Dockerfile                       Ts\033[K\n"
        " => => transferring dockerfile: 180B                                       Ts\033[K\n"
        " => [1/2] RUN a long command line that certainly does not fit in 80 colu  Ts\033[K\n"
        " => CACHED [2/2] COPY a b                                                  Ts\033[K\n"
        "\033[J\033[?25h");
}

static void the_live_table_says_what_a_reused_step_looked_at(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_TTY);
    s.p->begin(s.p->arg, 1, "[2/2] RUN x");
    s.p->end(s.p->arg, 1, VERTEX_REUSED, "read 1 of 656", 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    assert_string_equal(
        strstr(last_picture(buf_str(&b)), " => "),
        " => REUSED [2/2] RUN x                                                     Ts\033[K\n"
        " => => read 1 of 656\033[K\n"
        "\033[J\033[?25h");
}

static void the_live_table_of_a_failure_is_followed_by_the_whole_log(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_TTY);
    s.p->begin(s.p->arg, 1, "RUN x");
    for (int i = 0; i < 20; i++)
        log_text(&s, 1, "line\n");
    s.p->end(s.p->arg, 1, VERTEX_ERROR, "exit code: 1", 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    const char *p = strstr(last_picture(buf_str(&b)), "\033[?25h");
    assert_non_null(p);
    int lines = 0;
    for (const char *q = p; (q = strstr(q, " line\n")) != NULL; q++)
        lines++;
    assert_int_equal(lines, 20);
}

static void a_failed_vertex_leaves_no_colour_behind(void **state UNUSED)
{
    struct screen s = open_screen(DISPLAY_PLAIN);
    s.p->begin(s.p->arg, 1, "RUN x");
    log_text(&s, 1, "\033[31mred\n\033[1mbold\033[0m.\nplain\n");
    s.p->end(s.p->arg, 1, VERTEX_ERROR, "exit code: 1", 0);
    AUTO(buf_release) struct buf b = BUF_INIT;
    close_screen(&s, &b);
    assert_non_null(strstr(buf_str(&b), "T \033[31mred\033[0m\n"
                                        "T \033[1mbold\033[0m.\n"
                                        "T plain\n------\n"));
}

/* A terminal, both of its ends. */
static int open_terminal(unsigned short rows, unsigned short columns, int *ret_master)
{
    struct winsize size = { .ws_row = rows, .ws_col = columns };
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int fd = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
    *ret_master = master;
    return fd;
}

/* A terminal gives what was written piece by piece. Until a picture with this text is whole. */
static void read_picture(int master, const char *with, char *text, size_t size)
{
    size_t n = 0;
    const char *last = NULL;
    while (last == NULL || strstr(last, "\033[?25h") == NULL) {
        assert_true(n < size - 1);
        ssize_t got = read(master, text + n, size - 1 - n);
        assert_true(got > 0);
        n += (size_t)got;
        text[n] = '\0';
        last = strstr(text, with);
    }
}

static void what_has_ended_makes_room_for_the_log_of_what_goes_on(void **state UNUSED)
{
    static char text[1 << 16];
    int master, fd = open_terminal(14, 60, &master);
    struct display *d = display_new(DISPLAY_TTY, fd);
    const struct progress *p = display_progress(d);
    for (int id = 1; id <= 10; id++) {
        AUTO(mem_free) char *name = str_printf("ended %d", id);
        p->begin(p->arg, id, name);
        p->end(p->arg, id, VERTEX_DONE, NULL, 0);
    }
    p->begin(p->arg, 11, "at work");
    p->log(p->arg, 11, 1, "1\n2\n3\n4\n5\n6\n7\n", 14);
    read_picture(master, "=> # 7", text, sizeof(text));
    const char *shown = last_picture(text);
    assert_null(strstr(shown, " => ended 5 "));
    assert_non_null(strstr(shown, " => ended 6 "));
    assert_null(strstr(shown, "=> # 1"));
    assert_non_null(strstr(shown, "=> # 2"));
    fd_close(master); /* the rest of what is written has no reader, and no place to wait in */
    display_free(d);
    fd_close(fd);
}

static void colours_are_for_terminals_and_can_be_turned_off(void **state UNUSED)
{
    for (int off = 0; off < 2; off++) {
        char text[8192] = "";
        int master, fd = open_terminal(24, 60, &master);
        if (off)
            setenv("NO_COLOR", "1", 1);
        else
            unsetenv("NO_COLOR");
        struct display *d = display_new(DISPLAY_TTY, fd);
        const struct progress *p = display_progress(d);
        p->begin(p->arg, 1, "a");
        p->end(p->arg, 1, VERTEX_DONE, NULL, 0);
        display_free(d);
        read_picture(master, "FINISHED", text, sizeof(text));
        assert_int_equal(strstr(text, "\033[34m") == NULL, off);
        const char *row = strstr(text, " => a");
        assert_non_null(row);
        assert_int_equal(strstr(row, "0.0s") - row, 55);
        fd_close(fd);
        fd_close(master);
    }
    unsetenv("NO_COLOR");
}

static void progress_modes_are_known_by_name(void **state UNUSED)
{
    struct err err = ERR_INIT;
    enum display_mode mode;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    unsetenv("BUILDKIT_PROGRESS");
    assert_ok(display_mode_parse("auto", fd, &mode, &err), &err);
    assert_int_equal(mode, DISPLAY_PLAIN);
    setenv("BUILDKIT_PROGRESS", "rawjson", 1);
    assert_ok(display_mode_parse("auto", fd, &mode, &err), &err);
    assert_int_equal(mode, DISPLAY_RAWJSON);
    assert_ok(display_mode_parse("plain", fd, &mode, &err), &err);
    assert_int_equal(mode, DISPLAY_PLAIN);
    unsetenv("BUILDKIT_PROGRESS");
    assert_int_equal(display_mode_parse("tty", fd, &mode, &err), ERR_USAGE);
    assert_string_equal(err.msg, "failed to get console: provided file is not a console");
    assert_int_equal(display_mode_parse("foo", fd, &mode, &err), ERR_USAGE);
    assert_string_equal(err.msg, "invalid progress mode foo");
    fd_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_have_buildkits_shapes),
        cmocka_unit_test(plain_says_what_a_reused_step_looked_at),
        cmocka_unit_test(plain_vertices_do_not_mix_their_lines),
        cmocka_unit_test(a_failed_vertex_is_shown_again_with_its_last_lines),
        cmocka_unit_test(warnings_are_shown_where_they_are_found_and_at_the_end),
        cmocka_unit_test(with_debug_warnings_have_their_excerpt),
        cmocka_unit_test(names_of_others_are_escaped),
        cmocka_unit_test(unknown_and_ended_vertices_are_ignored),
        cmocka_unit_test(a_broken_off_build_still_shows_what_was_said),
        cmocka_unit_test(quiet_shows_nothing),
        cmocka_unit_test(raw_json_lines_are_solve_statuses),
        cmocka_unit_test(raw_json_has_a_reused_step_as_a_cached_one_with_a_note),
        cmocka_unit_test(the_live_table_ends_with_every_row),
        cmocka_unit_test(the_live_table_says_what_a_reused_step_looked_at),
        cmocka_unit_test(the_live_table_of_a_failure_is_followed_by_the_whole_log),
        cmocka_unit_test(a_failed_vertex_leaves_no_colour_behind),
        cmocka_unit_test(what_has_ended_makes_room_for_the_log_of_what_goes_on),
        cmocka_unit_test(colours_are_for_terminals_and_can_be_turned_off),
        cmocka_unit_test(progress_modes_are_known_by_name),
    };
    return UNIT_RUN("cmd_display", tests);
}
