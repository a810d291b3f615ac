#include "cmd/step_table.h"

#include "base/log.h"
#include "cmd/table.h"
#include <string.h>

#define TEXT_SHOWN 48 /* bytes of an instruction */

char *step_table_text(const char *text, size_t max)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    size_t n = strlen(text), cut = max == 0 || n <= max ? n : max;
    while (cut < n && cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--; /* not within a character */
    log_escape(&b, text, cut);
    buf_adds(&b, cut < n ? "…" : "");
    return buf_take(&b);
}

void step_table_seconds(struct buf *b, int64_t ms)
{
    buf_addf(b, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
}

void step_table(struct buf *b, const struct build_report *r, bool whole)
{
    static const char *const heads[] = { "STEP", "INSTRUCTION", "ANSWER", "WHY" };
    AUTO(strv_release) struct strv cells = STRV_INIT;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        strv_add(&cells, heads[i]);
    for (size_t i = 0; i < r->n; i++) {
        const struct step_report *s = r->v[i];
        AUTO(buf_release) struct buf place = BUF_INIT;
        step_report_place(s, &place);
        strv_take(&cells, buf_take(&place));
        strv_take(&cells, step_table_text(s->text, whole ? 0 : TEXT_SHOWN));
        bool is_reused = s->answer == STEP_REUSED;
        const char *why = is_reused ? s->reused : s->why;
        strv_add(&cells, step_answer_name(s->answer));
        strv_take(&cells, step_table_text(why != NULL ? why : "", 0));
    }
    table_add(b, &cells, ARRAY_LEN(heads));
}
