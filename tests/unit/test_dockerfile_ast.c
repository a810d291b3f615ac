#include "tests/unit/unit.h"
#include "dockerfile/ast.h"

static struct ast *parse(const char *text, struct err *err)
{
    return ast_parse(text, strlen(text), err);
}

static void assert_dump(const char *text, const char *want)
{
    struct err err = ERR_INIT;
    AUTO(ast_free) struct ast *a = parse(text, &err);
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (a == NULL)
        fail_msg("%s: %s", text, err.msg);
    ast_dump(a, &b);
    assert_string_equal(buf_str(&b), want);
}

static void assert_fails(const char *text, const char *message, int line)
{
    struct err err = ERR_INIT;
    AUTO(ast_free) struct ast *a = parse(text, &err);
    assert_null(a);
    assert_int_equal(err.code, ERR_USAGE);
    assert_string_equal(err.msg, message);
    assert_int_equal(err.line, line);
}

static void words_are_split_as_each_instruction_wants(void **state)
{
    (void)state;
    assert_dump("FROM  debian:12\tAS  base\n", "(from \"debian:12\" \"AS\" \"base\")\n");
    assert_dump("env A=1 B=\"x y\" C='p'q\n",
                "(env \"A\" \"1\" \"=\" \"B\" \"\\\"x y\\\"\" \"=\" \"C\" \"'p'q\" \"=\")\n");
    assert_dump("LABEL key the rest  of it\n", "(label \"key\" \"the rest  of it\" \"\")\n");
    assert_dump("ARG one two=2 three\\ four\n", "(arg \"one\" \"two=2\" \"three\\\\ four\")\n");
    assert_dump("USER  root : wheel \n", "(user \"root : wheel\")\n");
    assert_dump("HEALTHCHECK --retries=2 CMD curl -f x\n",
                "(healthcheck [\"--retries=2\"] \"CMD\" \"curl -f x\")\n");
    assert_dump("ONBUILD RUN make all\n", "(onbuild (run \"make all\"))\n");
    assert_dump("ONBUILD\n", "(onbuild)\n");
    assert_dump("NOSUCH thing\n", "(nosuch \"\")\n");
}

static void flags_lose_their_quotes_and_end_at_the_first_other_word(void **state)
{
    (void)state;
    assert_dump("COPY --from=a --chown='x y' --link b --c d\n",
                "(copy [\"--from=a\" \"--chown=x y\" \"--link\"] \"b\" \"--c\" \"d\")\n");
    assert_dump("RUN --mount=type=bind,source=a\\ b -- --x\n",
                "(run [\"--mount=type=bind,source=a b\"] \"--x\")\n");
}

static void json_arrays_of_strings_are_taken_apart_and_broken_ones_are_text(void **state)
{
    (void)state;
    assert_dump("CMD [\"a\", \"b\\u00e9\\n\" ]\n", "(cmd \"a\" \"b\xC3\xA9\\n\")\n");
    assert_dump("CMD [\"\\ud83d\\ude00\", \"\\ud83d\"]\n",
                "(cmd \"\xF0\x9F\x98\x80\" \"\xEF\xBF\xBD\")\n");
    assert_dump("CMD []\n", "(cmd)\n");
    assert_dump("CMD [\"a\"] b\n", "(cmd \"[\\\"a\\\"] b\")\n");
    assert_dump("CMD ['a']\n", "(cmd \"['a']\")\n");
    assert_dump("CMD [\"a\",]\n", "(cmd \"[\\\"a\\\",]\")\n");
    assert_dump("CMD [01]\n", "(cmd \"[01]\")\n");
    assert_dump("COPY [\"a b\", \"/c d\"]\n", "(copy \"a b\" \"/c d\")\n");
    const char *message = "when using JSON array syntax, arrays must be comprised of strings only";
    assert_fails("FROM a\nCMD [\"a\", 1.5e3]\n", message, 2);
    assert_fails("FROM a\nCMD [[\"a\"]]\n", message, 2);
    assert_fails("FROM a\nCMD [{\"a\": [null, true]}]\n", message, 2);
}

static void continued_lines_are_joined_and_comments_in_them_dropped(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    AUTO(ast_free)
    struct ast *a =
        parse("FROM a\nRUN one \\\n# note\n\n  two \\  \n\tthree\nRUN x\\\\\nRUN y \\", &err);
    assert_non_null(a);
    assert_int_equal(a->n_nodes, 4);
    assert_string_equal(a->nodes[1].text, "RUN one   two \tthree");
    assert_int_equal(a->nodes[1].line, 2);
    assert_int_equal(a->nodes[1].line_end, 6);
    assert_string_equal(a->nodes[2].args.v[0], "x\\\\");
    assert_int_equal(a->nodes[3].line_end, 8);
    assert_int_equal(a->n_warnings, 1);
    assert_string_equal(a->warnings[0].text,
                        "Empty continuation line found in: RUN one   two \tthree");
}

static void the_escape_directive_changes_what_continues_a_line(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    AUTO(ast_free)
    struct ast *a =
        parse("\xEF\xBB\xBF# syntax = docker/dockerfile:1\n#escape=`\n# check=skip=all\nFROM a\n"
              "COPY a `\r\n  c:\\\n",
              &err);
    assert_non_null(a);
    assert_int_equal(a->escape, '`');
    assert_int_equal(a->n_directives, 3);
    assert_string_equal(a->directives[0].value, "docker/dockerfile:1");
    assert_int_equal(a->directives[2].line, 3);
    assert_int_equal(a->nodes[1].args.n, 2);
    assert_string_equal(a->nodes[1].args.v[1], "c:\\");
    assert_int_equal(a->nodes[0].comments.n, 0);
}

static void directives_end_at_the_first_other_line(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    AUTO(ast_free) struct ast *a = parse("# a note\n# escape=`\nFROM a\n", &err);
    assert_non_null(a);
    assert_int_equal(a->escape, '\\');
    assert_int_equal(a->n_directives, 0);
    assert_int_equal(a->nodes[0].comments.n, 2);
    assert_fails("# escape=\\\n# ESCAPE=`\nFROM a\n",
                 "only one escape parser directive can be used", 2);
    assert_fails("# escape=x\nFROM a\n", "invalid escape token 'x' does not match ` or \\", 1);
}

static void here_documents_are_read_up_to_their_word(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    AUTO(ast_free)
    struct ast *a = parse("FROM a\n"
                          "COPY <<one <<-'two' /d\n\tx\\\n# kept\none\n\ty $z\n\ttwo\n"
                          "RUN 3<< EOF cat\r\nbody\r\nEOF\r\n"
                          "ONBUILD RUN <<E\nz\nE\n",
                          &err);
    assert_non_null(a);
    assert_int_equal(a->n_nodes, 4);
    const struct ast_node *copy = &a->nodes[1];
    assert_int_equal(copy->n_heredocs, 2);
    assert_string_equal(copy->heredocs[0].name, "one");
    assert_string_equal(copy->heredocs[0].body, "\tx\\\n# kept\n");
    assert_true(copy->heredocs[0].expand);
    assert_string_equal(copy->heredocs[1].body, "\ty $z\n");
    assert_true(copy->heredocs[1].chomp && !copy->heredocs[1].expand);
    assert_int_equal(copy->line_end, 7);
    assert_int_equal(a->nodes[2].heredocs[0].fd, 3);
    assert_string_equal(a->nodes[2].heredocs[0].body, "body\r\n");
    assert_int_equal(a->nodes[3].n_heredocs, 1);
    AUTO(mem_free) char *chomped = ast_chomp("\t\ta\n b\n\tc");
    assert_string_equal(chomped, "a\n b\nc");
}

static void text_that_only_looks_like_a_here_document_is_none(void **state)
{
    (void)state;
    assert_dump("RUN [\"<<EOF\"]\n", "(run \"<<EOF\")\n");
    assert_dump("RUN \"<<EOF\"\n", "(run \"\\\"<<EOF\\\"\")\n");
    assert_dump("RUN cat <<<EOF\n", "(run \"cat <<<EOF\")\n");
    assert_dump("USER <<EOF\n", "(user \"<<EOF\")\n");
    assert_dump("RUN echo 'open <<EOF\n", "(run \"echo 'open <<EOF\")\n");
    assert_fails("FROM a\nRUN <<EOF\nx\n", "unterminated heredoc", 2);
}

static void comments_above_belong_to_an_instruction(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    AUTO(ast_free) struct ast *a = parse("# old\n#\n# one\n#two\nFROM a\nRUN x\n", &err);
    assert_non_null(a);
    assert_int_equal(a->nodes[0].comments.n, 2);
    assert_string_equal(a->nodes[0].comments.v[0], "one");
    assert_string_equal(a->nodes[0].comments.v[1], "two");
    assert_int_equal(a->nodes[1].comments.n, 0);
}

static void limits_are_kept(void **state)
{
    struct err err = ERR_INIT;
    struct ast_limits limits = { .bytes = 40, .line = 20, .instructions = 2 };
    (void)state;
    assert_null(ast_parse_limited("FROM a\nRUN a\nRUN b\n", 19, &limits, &err));
    assert_string_equal(err.msg, "more than 2 instructions");
    assert_int_equal(err.line, 3);
    err_clear(&err);
    AUTO(ast_free)
    struct ast *fits = ast_parse_limited("FROM a\nRUN 5678901234567890\n", 28, &limits, &err);
    assert_non_null(fits);
    assert_null(ast_parse_limited("FROM a\nRUN 56789012345678901\n", 29, &limits, &err));
    assert_string_equal(err.msg, "dockerfile line greater than max allowed size of 20");
    assert_int_equal(err.line, 2);
    assert_null(ast_parse_limited("FROM a\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n", 41,
                                  &limits, &err));
    assert_null(ast_parse("FROM a\nRUN \0x\n", 14, &err));
    assert_string_equal(err.msg, "dockerfile has a NUL byte on line 2");
    assert_fails("", "file with no instructions", 0);
    assert_fails("# x\n\n", "file with no instructions", 2);
}

static void syntax_is_found_in_foreign_files_too(void **state)
{
    static const struct {
        const char *text, *value;
        int line;
    } rows[] = {
        { "# syntax=a/b:1 opts\nFROM x\n", "a/b:1 opts", 1 },
        { "#!/bin/x\n#SYNTAX = a\n", "a", 2 },
        { "// syntax=c\n", "c", 1 },
        { "{\"syntax\": \"d\", \"z\": 1}", "d", 0 },
        { "\n# syntax=a\n", NULL, 0 },
        { "{\"syntax\": 1}", NULL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
        bool found = ast_find_directive(rows[i].text, strlen(rows[i].text), "syntax", &d);
        assert_int_equal(found, rows[i].value != NULL);
        if (found) {
            assert_string_equal(d.value, rows[i].value);
            assert_int_equal(d.line, rows[i].line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_as_each_instruction_wants),
        cmocka_unit_test(flags_lose_their_quotes_and_end_at_the_first_other_word),
        cmocka_unit_test(json_arrays_of_strings_are_taken_apart_and_broken_ones_are_text),
        cmocka_unit_test(continued_lines_are_joined_and_comments_in_them_dropped),
        cmocka_unit_test(the_escape_directive_changes_what_continues_a_line),
        cmocka_unit_test(directives_end_at_the_first_other_line),
        cmocka_unit_test(here_documents_are_read_up_to_their_word),
        cmocka_unit_test(text_that_only_looks_like_a_here_document_is_none),
        cmocka_unit_test(comments_above_belong_to_an_instruction),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(syntax_is_found_in_foreign_files_too),
    };
    return UNIT_RUN("dockerfile_ast", tests);
}
