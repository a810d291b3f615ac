#include "tests/unit/unit.h"

#include "cmd/step_table.h"

static struct step_report *add(struct build_report *r, const char *text, enum step_answer answer)
{
    struct step_report *s = build_report_add(r);
    s->stage = str_dup("");
    s->number = (int)r->n;
    s->total = 3;
    s->text = str_dup(text);
    s->answer = answer;
    return s;
}

static void a_reused_step_stands_out_and_says_what_it_looked_at(void **state UNUSED)
{
    AUTO(build_report_release) struct build_report r = { .v = NULL };
    AUTO(buf_release) struct buf b = BUF_INIT;
    add(&r, "COPY . .", STEP_TO_MAKE)->why = str_dup("a changed");
    struct step_report *s = add(&r, "RUN x", STEP_REUSED);
    s->why = str_dup("why it was not cached");
    s->reused = str_dup("read 1 of 2 copied files");
    add(&r, "RUN y", STEP_CACHED);
    step_table(&b, &r, false);
    assert_string_equal(buf_str(&b), "STEP      INSTRUCTION   ANSWER    WHY\n"
                                     "[1/3]     COPY . .      make      a changed\n"
                                     "[2/3]     RUN x         reused    read 1 of 2 copied files\n"
                                     "[3/3]     RUN y         cached\n");
}

static void long_instructions_are_cut_between_characters(void **state UNUSED)
{
    AUTO(mem_free) char *cut = step_table_text("RUN äöü", 7);
    AUTO(mem_free) char *whole = step_table_text("RUN äöü", 0);
    assert_string_equal(cut, "RUN ä…");
    assert_string_equal(whole, "RUN äöü");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reused_step_stands_out_and_says_what_it_looked_at),
        cmocka_unit_test(long_instructions_are_cut_between_characters),
    };
    return UNIT_RUN("cmd_step_table", tests);
}
