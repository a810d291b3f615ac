#include "engine/git_remote.h"

#include "tests/unit/unit.h"
#include <string.h>

/* "URL|REF|SUBDIR" of a git repository, "-" for something else, "!MESSAGE" for a wrong one. */
static void is(const char *text, const char *want)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    AUTO(buf_release) struct buf got = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = git_remote_parse(text, &r, &err);
    if (rc == 0)
        buf_adds(&got, "-");
    else if (rc < 0)
        buf_addf(&got, "!%s", err.msg);
    else
        buf_addf(&got, "%s|%s|%s", r.url, r.ref, r.subdir);
    assert_string_equal(buf_str(&got), want);
}

static void urls_are_git_only_when_their_path_ends_so(void **state UNUSED)
{
    is("https://example.com/", "-");
    is("https://example.com/foo", "-");
    is("https://example.com/foo.git/", "-");
    is("https://example.com/foo.git.bar", "-");
    is("https://example.com/foo.tar.gz?x=.git", "-");
    is("https://example.com/foo.git", "https://example.com/foo.git||");
    is("HTTPS://example.com/foo.git", "https://example.com/foo.git||");
    is("http://127.0.0.1:8080/.git#v1", "http://127.0.0.1:8080/.git|v1|");
    is("https://[::1]:8443/foo.git", "https://[::1]:8443/foo.git||");
    is("http://example.com/foo.git:#branch", "-");
    is("ftp://example.com/foo.git", "-");
    is("file:///srv/foo.git", "-");
    is("ext::sh -c true", "-");
}

static void other_forms_are_told_by_their_beginning(void **state UNUSED)
{
    is("git://example.com/foo", "git://example.com/foo||");
    is("ssh://git@example.com:22/foo", "ssh://git@example.com:22/foo||");
    is("git@example.com:a/b", "git@example.com:a/b||");
    is("git@example.com:a/b.git#main:sub", "git@example.com:a/b.git|main|sub");
    is("me_too@a-b.c:d", "me_too@a-b.c:d||");
    is("example.com:a/b.git", "-");
    is("a:b", "-");
    is("C:/x", "-");
    is("git@example.com", "-");
    is("./git@example.com:a", "-");
    is("../x.git", "-");
    is("github.com/a/b", "https://github.com/a/b||");
    is("github.com/a/b.git#x", "https://github.com/a/b.git|x|");
    is("plain/path", "-");
}

static void what_could_be_an_option_is_no_host(void **state UNUSED)
{
    is("ssh://-oProxyCommand=x/y", "-");
    is("ssh://-x@host/y", "-");
    is("-x@host:y", "-");
    is("git@-host:y", "-");
    is("git://-x/y", "-");
    is("https:///x.git", "-");
    is("ssh://a\x07", "-");
    is("git://u\x7f@a/b", "-");
}

static void the_fragment_has_ref_and_subdirectory(void **state UNUSED)
{
    is("https://h/x.git#baz/qux:quux/quuz", "https://h/x.git|baz/qux|quux/quuz");
    is("https://h/x.git#:sub", "https://h/x.git||sub");
    is("https://h/x.git#:/../../a/./b/..", "https://h/x.git||a");
    is("https://h/x.git#", "https://h/x.git||");
    is("https://h/x.git#a%20b", "https://h/x.git|a b|");
    is("https://h/x.git#a%zz", "-");
}

static void refs_that_git_could_misread_are_refused(void **state UNUSED)
{
    is("https://h/x.git#-upload-pack=x", "!invalid git ref \"-upload-pack=x\"");
    is("https://h/x.git?ref=--x", "!invalid git ref \"--x\"");
    is("https://h/x.git#a%0ab", "!invalid git ref \"a\\x0ab\"");
    is("https://h/x.git#:a%01", "!invalid subdir: it has control characters");
}

static void the_query_says_the_same(void **state UNUSED)
{
    is("https://h/x.git?ref=v1&subdir=a", "https://h/x.git|v1|a");
    is("https://h/x.git?tag=v1", "https://h/x.git|refs/tags/v1|");
    is("https://h/x.git?tag=refs/tags/v1", "https://h/x.git|refs/tags/v1|");
    is("https://h/x.git?branch=b", "https://h/x.git|refs/heads/b|");
    is("https://h/x.git?ref=v1#v1:d", "https://h/x.git|v1|d");
    is("git@h:x?ref=v1", "git@h:x|v1|");
}

static void a_wrong_query_is_told_in_buildkits_words(void **state UNUSED)
{
    is("https://h/x.git?foo=bar", "!unexpected query \"foo\"");
    is("https://h/x.git?ref=", "!query \"ref\" has no value");
    is("https://h/x.git?ref", "!query \"ref\" has no value");
    is("https://h/x.git?ref=a&ref=b", "!query \"ref\" has multiple values");
    is("https://h/x.git?keep-git-dir=no", "!invalid keep-git-dir value: \"no\"");
    is("https://h/x.git?submodules=2", "!invalid submodules value: \"2\"");
    is("https://h/x.git?mtime=foo", "!invalid mtime value: \"foo\"");
    is("https://h/x.git?ref=c#d", "!ref conflicts: \"d\" vs \"c\"");
    is("https://h/x.git?tag=a#b", "!ref conflicts: \"b\" vs \"refs/tags/a\"");
    is("https://h/x.git?tag=a&branch=b", "!branch conflicts with tag");
    is("https://h/x.git?subdir=a#:b", "!subdir conflicts: \"b\" vs \"a\"");
    is("https://h/x.git?checksum=a&commit=b", "!checksum conflicts: \"a\" vs \"b\"");
}

static void flags_of_the_query_are_read(void **state UNUSED)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    struct err err = ERR_INIT;
    assert_int_equal(git_remote_parse("https://h/x.git?keep-git-dir&submodules=false&mtime=commit"
                                      "&commit=abc&fetch-by-commit=true",
                                      &r, &err),
                     1);
    assert_int_equal(r.keep_dir, INSTR_TRUE);
    assert_int_equal(r.submodules, INSTR_FALSE);
    assert_true(r.commit_times);
    assert_true(r.fetch_by_commit);
    assert_string_equal(r.checksum, "abc");
    assert_false(r.is_ssh);
}

static void credentials_are_kept_apart(void **state UNUSED)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    AUTO(git_remote_release) struct git_remote ssh = { 0 };
    struct err err = ERR_INIT;
    assert_int_equal(git_remote_parse("https://me:p%40ss@h:8443/x.git#v", &r, &err), 1);
    assert_string_equal(r.url, "https://h:8443/x.git");
    assert_string_equal(r.credentials, "me:p@ss");
    assert_int_equal(git_remote_parse("ssh://me:word@h/x", &ssh, &err), 1);
    assert_string_equal(ssh.url, "ssh://me@h/x");
    assert_null(ssh.credentials);
}

static void commit_ids_are_told_from_other_words(void **state UNUSED)
{
    assert_true(git_is_commit("0123456789abcdef0123456789abcdef01234567"));
    assert_true(git_is_commit("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    assert_false(git_is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(git_is_commit("0123456789abcdef"));
    assert_true(git_is_commit_prefix("DEADbeef"));
    assert_false(git_is_commit_prefix("foobar"));
    assert_false(git_is_commit_prefix(""));
}

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

/* "ID NAME PEELED" of what ref means; "-" when nothing. */
static void finds(const char *lines, const char *ref, const char *want)
{
    AUTO(git_found_release) struct git_found f = { .name = NULL };
    AUTO(buf_release) struct buf got = BUF_INIT;
    struct err err = ERR_INIT;
    if (git_find_ref(lines, ref, &f, &err) == 0)
        buf_addf(&got, "%.1s %s %.1s", f.id, f.name, f.commit);
    else
        buf_adds(&got, err.code == ERR_NOT_FOUND ? "-" : "?");
    assert_string_equal(buf_str(&got), want);
}

static void a_branch_goes_before_a_tag_of_its_name(void **state UNUSED)
{
    static const char lines[] = A "\trefs/tags/v\n" C "\trefs/tags/v^{}\n" B "\trefs/heads/v\n";
    finds(lines, "v", "b refs/heads/v ");
    finds(lines, "tags/v", "a refs/tags/v ");
    finds(lines, "refs/tags/v", "a refs/tags/v c");
    finds(lines, "heads/v", "b refs/heads/v ");
    finds(lines, "w", "-");
}

static void an_annotated_tag_tells_its_commit(void **state UNUSED)
{
    finds(A "\trefs/tags/v\n" C "\trefs/tags/v^{}\n", "v", "a refs/tags/v c");
    finds(A "\trefs/tags/v\n", "v", "a refs/tags/v ");
}

static void no_ref_is_the_branch_that_head_points_to(void **state UNUSED)
{
    finds("ref: refs/heads/main\tHEAD\n" A "\tHEAD\n", "", "a refs/heads/main ");
    finds(A "\tHEAD\n", "", "a HEAD ");
    finds("ref: -x\tHEAD\n" A "\tHEAD\n", "", "a HEAD ");
    finds("", "", "-");
}

static void lines_that_are_no_answers_are_passed_over(void **state UNUSED)
{
    finds("warning: x\nabc\trefs/heads/v\n" A " refs/heads/v\n\n\t\n", "v", "-");
    finds("ref: \tHEAD\n\tHEAD\n", "", "-");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_git_only_when_their_path_ends_so),
        cmocka_unit_test(other_forms_are_told_by_their_beginning),
        cmocka_unit_test(what_could_be_an_option_is_no_host),
        cmocka_unit_test(the_fragment_has_ref_and_subdirectory),
        cmocka_unit_test(refs_that_git_could_misread_are_refused),
        cmocka_unit_test(the_query_says_the_same),
        cmocka_unit_test(a_wrong_query_is_told_in_buildkits_words),
        cmocka_unit_test(flags_of_the_query_are_read),
        cmocka_unit_test(credentials_are_kept_apart),
        cmocka_unit_test(commit_ids_are_told_from_other_words),
        cmocka_unit_test(a_branch_goes_before_a_tag_of_its_name),
        cmocka_unit_test(an_annotated_tag_tells_its_commit),
        cmocka_unit_test(no_ref_is_the_branch_that_head_points_to),
        cmocka_unit_test(lines_that_are_no_answers_are_passed_over),
    };
    return UNIT_RUN("engine_git_remote", tests);
}
