#include "tests/unit/store_scratch.h"

#include "store/blob.h"
#include "store/trace.h"
#include <pthread.h>

/* A hit, and the record that it is noted with. */
static int reuse(struct store *s, const struct trace *t, const struct cache_key *key,
                 struct err *err)
{
    const struct record r = { .key = *key };

    return trace_reused_record(s, t, &r, err);
}

static struct digest a_digest(const char *kind, unsigned i)
{
    struct digest d;
    AUTO(mem_free) char *text = str_printf("%s %u", kind, i);

    digest_of(text, strlen(text), &d);
    return d;
}

static struct trace a_trace(unsigned run, unsigned set, unsigned answers)
{
    return (struct trace){
        .run = a_digest("run", run),
        .questions = { a_digest("set", set) },
        .answers = a_digest("answers", answers),
        .key = { a_digest("key", 10000 * run + 100 * set + answers) },
    };
}

static void put(struct scratch *x, unsigned run, unsigned set, unsigned answers)
{
    struct trace t = a_trace(run, set, answers);

    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
}

static int find(struct scratch *x, unsigned run, unsigned set, unsigned answers, struct trace *ret)
{
    struct trace t = a_trace(run, set, answers), ignored;

    err_clear(&x->err);
    return trace_find(x->store, &t.run, &t.questions, &t.answers, ret ? ret : &ignored, &x->err);
}

static void assert_same_trace(const struct trace *a, const struct trace *b)
{
    assert_true(digest_eq(&a->run, &b->run));
    assert_true(digest_eq(&a->questions.d, &b->questions.d));
    assert_true(digest_eq(&a->answers, &b->answers));
    assert_true(digest_eq(&a->each.d, &b->each.d));
    assert_true(digest_eq(&a->key.d, &b->key.d));
    assert_true(digest_eq(&a->layers.d, &b->layers.d));
    assert_int_equal(a->n_files, b->n_files);
    assert_int_equal(a->n_read, b->n_read);
    assert_int_equal(a->requests, b->requests);
    assert_int_equal(a->network, b->network);
    assert_int_equal(a->made_s, b->made_s);
    assert_int_equal(a->used_s, b->used_s);
    assert_int_equal(a->hits, b->hits);
}

static void what_is_put_comes_back(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 2, 3), got;

    t.each.d = a_digest("each", 1);
    t.layers.d = a_digest("layers", 1);
    t.n_files = 1000;
    t.n_read = 7;
    t.requests = UINT64_C(5000000000);
    t.network = true;
    t.made_s = 1700000000;
    t.used_s = 1700000001;
    t.hits = 4;
    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
    store_again(x);
    assert_ok(find(x, 1, 2, 3, &got), &x->err);
    assert_same_trace(&got, &t);
    assert_ok(trace_of_key(x->store, &t.key, &got, &x->err), &x->err);
    assert_same_trace(&got, &t);
}

static void what_was_not_kept_is_zero_and_now_is_now(void **state)
{
    struct scratch *x = *state;
    struct trace got;

    put(x, 1, 1, 1);
    assert_ok(find(x, 1, 1, 1, &got), &x->err);
    assert_true(digest_is_zero(&got.each.d) && digest_is_zero(&got.layers.d));
    assert_true(got.made_s > 0 && got.used_s == got.made_s);
    assert_false(got.network);
}

static void each_part_of_the_name_counts(void **state)
{
    struct scratch *x = *state;
    struct cache_key none = { a_digest("key", 1) };
    struct trace got;

    put(x, 1, 1, 1);
    assert_int_equal(find(x, 2, 1, 1, NULL), ERR_NOT_FOUND);
    assert_int_equal(find(x, 1, 2, 1, NULL), ERR_NOT_FOUND);
    assert_int_equal(find(x, 1, 1, 2, NULL), ERR_NOT_FOUND);
    assert_int_equal(trace_of_key(x->store, &none, &got, &x->err), ERR_NOT_FOUND);
}

static void put_replaces(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1), got;

    put(x, 1, 1, 1);
    t.key.d = a_digest("another key", 1);
    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
    assert_ok(find(x, 1, 1, 1, &got), &x->err);
    assert_true(digest_eq(&got.key.d, &t.key.d));
    assert_int_equal(ask_db(x, "SELECT count(*) FROM traces"), 1);
}

/* "2 0 1": the sets of run 1, and of each the answers. */
static void assert_sets(struct scratch *x, const char *want)
{
    struct digest run = a_digest("run", 1);
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(mem_free) struct trace *v = NULL;
    size_t n = 99;

    assert_ok(trace_sets(x->store, &run, &v, &n, &x->err), &x->err);
    for (size_t i = 0; i < n; i++)
        for (unsigned set = 0; set < 100; set++)
            for (unsigned answers = 0; answers < 100; answers++) {
                struct trace t = a_trace(1, set, answers);
                if (digest_eq(&t.questions.d, &v[i].questions.d) &&
                    digest_eq(&t.answers, &v[i].answers))
                    buf_addf(&got, "%s%u/%u", got.len ? " " : "", set, answers);
            }
    assert_string_equal(buf_str(&got), want);
}

static void use(struct scratch *x, unsigned run, unsigned set, unsigned answers)
{
    struct trace t = a_trace(run, set, answers);

    assert_ok(reuse(x->store, &t, &t.key, &x->err), &x->err);
}

static void sets_come_in_the_order_of_their_last_use(void **state)
{
    struct scratch *x = *state;

    assert_sets(x, "");
    put(x, 1, 0, 0);
    put(x, 1, 1, 0);
    put(x, 1, 1, 1);
    put(x, 1, 2, 0);
    put(x, 2, 3, 0);
    assert_sets(x, "2/0 1/1 0/0");
    use(x, 1, 1, 0);
    assert_sets(x, "1/0 2/0 0/0");
    use(x, 1, 0, 0);
    assert_sets(x, "0/0 1/0 2/0");
}

static void the_set_that_was_used_longest_ago_goes(void **state)
{
    struct scratch *x = *state;

    put(x, 2, 0, 0);
    for (unsigned set = 0; set < TRACE_SETS_MAX; set++) {
        put(x, 1, set, 0);
        put(x, 1, set, 1);
    }
    use(x, 1, 0, 0);
    put(x, 1, 50, 0);
    assert_int_equal(find(x, 1, 1, 0, NULL), ERR_NOT_FOUND);
    assert_int_equal(find(x, 1, 1, 1, NULL), ERR_NOT_FOUND);
    assert_ok(find(x, 1, 0, 1, NULL), &x->err); /* its set was used, by another answer */
    assert_ok(find(x, 1, 2, 0, NULL), &x->err);
    assert_ok(find(x, 1, 50, 0, NULL), &x->err);
    assert_ok(find(x, 2, 0, 0, NULL), &x->err); /* another run */
    assert_int_equal(ask_db(x, "SELECT count(DISTINCT questions) FROM traces WHERE run ="
                               " (SELECT run FROM traces GROUP BY run ORDER BY count(*) DESC)"),
                     TRACE_SETS_MAX);
}

static void of_a_set_the_answers_that_were_used_longest_ago_go(void **state)
{
    struct scratch *x = *state;

    put(x, 1, 2, 0);
    for (unsigned answers = 0; answers < TRACE_ANSWERS_MAX; answers++)
        put(x, 1, 1, answers);
    use(x, 1, 1, 0);
    put(x, 1, 1, 90);
    assert_ok(find(x, 1, 1, 0, NULL), &x->err);
    assert_int_equal(find(x, 1, 1, 1, NULL), ERR_NOT_FOUND);
    assert_ok(find(x, 1, 1, 2, NULL), &x->err);
    assert_ok(find(x, 1, 1, 90, NULL), &x->err);
    assert_ok(find(x, 1, 2, 0, NULL), &x->err);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM traces"), TRACE_ANSWERS_MAX + 1);
}

static void a_hit_is_counted_and_leads_from_the_new_record_to_its_trace(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1), got;
    struct cache_key key = { a_digest("reused", 1) };

    t.used_s = 5;
    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
    assert_ok(reuse(x->store, &t, &key, &x->err), &x->err);
    assert_ok(reuse(x->store, &t, &key, &x->err), &x->err);
    assert_ok(trace_of_key(x->store, &key, &got, &x->err), &x->err);
    assert_true(digest_eq(&got.run, &t.run) && digest_eq(&got.key.d, &t.key.d));
    assert_int_equal(got.hits, 2);
    assert_true(got.used_s > 5);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 1);
}

static void the_record_that_a_run_made_is_no_reused_one(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1);

    put(x, 1, 1, 1);
    use(x, 1, 1, 1); /* of its own key */
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 0);
    put(x, 2, 1, 1);
    struct trace other = a_trace(2, 1, 1);
    assert_ok(reuse(x->store, &other, &t.key, &x->err), &x->err);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 1);
    put(x, 1, 1, 1); /* run again after all */
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 0);
}

static void a_trace_that_is_gone_is_not_reused(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1);
    struct cache_key key = { a_digest("reused", 1) };
    size_t n;

    put(x, 1, 1, 1);
    assert_ok(trace_drop(x->store, &t.run, &n, &x->err), &x->err);
    assert_int_equal(reuse(x->store, &t, &key, &x->err), ERR_NOT_FOUND);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 0);
}

static void a_hit_marks_the_blobs_of_its_trace_as_used(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1);

    assert_ok(blob_put(x->store, "set", 3, &t.questions, &x->err), &x->err);
    assert_ok(blob_put(x->store, "each", 4, &t.each, &x->err), &x->err);
    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
    long long before = ask_db(x, "SELECT max(used) FROM blobs");
    assert_ok(reuse(x->store, &t, &t.key, &x->err), &x->err);
    assert_true(ask_db(x, "SELECT min(used) FROM blobs") > before);
}

static void put_record(struct scratch *x, const struct cache_key *key)
{
    struct record r = { .key = *key };

    assert_ok(record_put(x->store, &r, &x->err), &x->err);
}

static int has_record(struct scratch *x, const struct cache_key *key)
{
    struct record r;

    err_clear(&x->err);
    return record_get(x->store, key, &r, &x->err);
}

static void a_hit_puts_its_record_and_its_note_or_neither(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1), got;
    struct record r = { .key = { a_digest("reused", 1) }, .cost_ms = 7 }, kept;
    size_t n = 0;

    put(x, 1, 1, 1);
    assert_ok(trace_reused_record(x->store, &t, &r, &x->err), &x->err);
    store_again(x);
    assert_ok(record_get(x->store, &r.key, &kept, &x->err), &x->err);
    assert_int_equal(kept.cost_ms, 7);
    assert_ok(trace_of_key(x->store, &r.key, &got, &x->err), &x->err);
    assert_int_equal(got.hits, 1);
    assert_ok(trace_drop(x->store, &t.run, &n, &x->err), &x->err);
    assert_int_equal(n, 1);
    assert_int_equal(trace_reused_record(x->store, &t, &r, &x->err), ERR_NOT_FOUND);
    assert_int_equal(has_record(x, &r.key), ERR_NOT_FOUND);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 0);
}

static void the_record_that_a_run_made_is_not_replaced_by_a_hit(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1);
    struct record made = { .key = t.key, .cost_ms = 5 }, other = { .key = t.key }, kept;

    put(x, 1, 1, 1);
    assert_ok(record_put(x->store, &made, &x->err), &x->err);
    assert_ok(trace_reused_record(x->store, &t, &other, &x->err), &x->err);
    assert_ok(record_get(x->store, &t.key, &kept, &x->err), &x->err);
    assert_int_equal(kept.cost_ms, 5);
}

static void dropping_a_run_takes_what_was_reused_and_leaves_what_was_made(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 1, 1), other = a_trace(2, 1, 1);
    struct cache_key reused[3] = { { a_digest("r", 0) },
                                   { a_digest("r", 1) },
                                   { a_digest("r", 2) } };
    size_t n = 99;

    put(x, 1, 1, 1);
    put(x, 1, 2, 1);
    put(x, 2, 1, 1);
    put_record(x, &t.key);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(reuse(x->store, i < 2 ? &t : &other, &reused[i], &x->err), &x->err);
        put_record(x, &reused[i]);
    }
    assert_ok(trace_drop(x->store, &t.run, &n, &x->err), &x->err);
    assert_int_equal(n, 2);
    store_again(x);
    assert_int_equal(find(x, 1, 1, 1, NULL), ERR_NOT_FOUND);
    assert_int_equal(find(x, 1, 2, 1, NULL), ERR_NOT_FOUND);
    assert_ok(find(x, 2, 1, 1, NULL), &x->err);
    assert_ok(has_record(x, &t.key), &x->err);
    assert_int_equal(has_record(x, &reused[0]), ERR_NOT_FOUND);
    assert_int_equal(has_record(x, &reused[1]), ERR_NOT_FOUND);
    assert_ok(has_record(x, &reused[2]), &x->err);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trace_reuses"), 1);
    assert_ok(trace_drop(x->store, &t.run, &n, &x->err), &x->err);
    assert_int_equal(n, 0);
}

static void what_was_reused_from_a_trace_that_went_goes_too(void **state)
{
    struct scratch *x = *state;
    struct trace t = a_trace(1, 0, 0), got;
    struct cache_key key = { a_digest("reused", 1) };
    size_t n = 0;

    put(x, 1, 0, 0);
    assert_ok(reuse(x->store, &t, &key, &x->err), &x->err);
    put_record(x, &key);
    for (unsigned set = 1; set <= TRACE_SETS_MAX; set++)
        put(x, 1, set, 0);
    assert_int_equal(trace_of_key(x->store, &key, &got, &x->err), ERR_NOT_FOUND);
    assert_ok(trace_drop(x->store, &t.run, &n, &x->err), &x->err);
    assert_int_equal(n, 1);
    assert_int_equal(has_record(x, &key), ERR_NOT_FOUND);
}

static void what_is_known_of_a_run_comes_back(void **state)
{
    struct scratch *x = *state;
    struct digest run = a_digest("run", 1);
    struct trace_run r = { .traced = 9 }, got;

    assert_ok(trace_run_get(x->store, &run, &r, &x->err), &x->err);
    assert_true(r.traced == 0 && r.wide == 0 && r.untraced == 0 && r.hits == 0 && r.requests == 0 &&
                !r.not_reproducible);
    r = (struct trace_run){ 1, 2, 3, 4, 5, true };
    assert_ok(trace_run_put(x->store, &run, &r, &x->err), &x->err);
    store_again(x);
    assert_ok(trace_run_get(x->store, &run, &got, &x->err), &x->err);
    assert_true(got.traced == 1 && got.wide == 2 && got.untraced == 3 && got.hits == 4 &&
                got.requests == 5 && got.not_reproducible);
    r.wide = 0;
    assert_ok(trace_run_put(x->store, &run, &r, &x->err), &x->err);
    assert_ok(trace_run_get(x->store, &run, &got, &x->err), &x->err);
    assert_int_equal(got.wide, 0);
}

static void add_counter(void *arg, const char *name, uint64_t n)
{
    buf_addf(arg, "%s %llu|", name, (unsigned long long)n);
}

static void assert_counters(struct scratch *x, const char *want)
{
    AUTO(buf_release) struct buf got = BUF_INIT;

    assert_ok(counter_each(x->store, add_counter, &got, &x->err), &x->err);
    assert_string_equal(buf_str(&got), want);
}

static void counters_add_up_and_stop_at_the_largest(void **state)
{
    struct scratch *x = *state;

    assert_counters(x, "");
    assert_ok(counter_add(x->store, "b", 0, &x->err), &x->err);
    assert_counters(x, "");
    assert_ok(counter_add(x->store, "b", 2, &x->err), &x->err);
    assert_ok(counter_add(x->store, "a", 1, &x->err), &x->err);
    assert_ok(counter_add(x->store, "b", 40, &x->err), &x->err);
    store_again(x);
    assert_counters(x, "a 1|b 42|");
    assert_ok(counter_add(x->store, "a", UINT64_MAX, &x->err), &x->err);
    assert_counters(x, "a 9223372036854775807|b 42|");
}

static void count_again(void *arg, const char *name, uint64_t n UNUSED)
{
    struct scratch *x = arg;

    assert_ok(counter_add(x->store, name, 1, &x->err), &x->err);
}

static void who_is_told_of_counters_may_use_the_store(void **state)
{
    struct scratch *x = *state;

    assert_ok(counter_add(x->store, "a", 1, &x->err), &x->err);
    assert_ok(counter_each(x->store, count_again, x, &x->err), &x->err);
    assert_counters(x, "a 2|");
}

static void rows_that_name_nothing_are_as_good_as_not_there(void **state)
{
    struct scratch *x = *state;

    put(x, 1, 1, 1);
    put(x, 1, 2, 1);
    struct trace t = a_trace(1, 1, 1);
    AUTO(mem_free)
    char *sql = str_printf("UPDATE traces SET key = x'00' WHERE questions = x'%s'",
                           DIGEST_HEX(&t.questions.d));
    exec_sql(x, sql);
    assert_int_equal(find(x, 1, 1, 1, NULL), ERR_NOT_FOUND);
    assert_sets(x, "2/1");
}

struct worker {
    struct store *store;
    unsigned id;
};

/* Each has a run of its own, and all share one. */
static void *work(void *arg)
{
    const struct worker *w = arg;
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < 20; i++) {
        struct trace own = a_trace(10 + w->id, i, 0), shared = a_trace(1, i % 4, w->id), got;
        struct trace_run r = { .traced = i };
        struct trace *sets = NULL;
        size_t n = 0;
        if (trace_put(w->store, &own, &err) < 0 || trace_put(w->store, &shared, &err) < 0 ||
            trace_find(w->store, &shared.run, &shared.questions, &shared.answers, &got, &err) < 0 ||
            reuse(w->store, &shared, &own.key, &err) < 0 ||
            trace_sets(w->store, &shared.run, &sets, &n, &err) < 0 || n == 0 || n > 4 ||
            trace_run_put(w->store, &shared.run, &r, &err) < 0 ||
            trace_run_get(w->store, &shared.run, &r, &err) < 0 ||
            counter_add(w->store, "n", 1, &err) < 0)
            return str_printf("%u: %zu, %s", i, n, err.msg);
        mem_free(sets);
    }
    return NULL;
}

static void threads_do_all_of_it_at_once(void **state)
{
    struct scratch *x = *state;
    pthread_t threads[4];
    struct worker workers[4];
    char *failure = NULL;

    for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
        workers[i] = (struct worker){ .store = x->store, .id = i };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *got = NULL;
        assert_int_equal(pthread_join(threads[i], &got), 0);
        failure = failure ? failure : got;
    }
    if (failure != NULL)
        fail_msg("%s", failure);
    assert_counters(x, "n 80|");
    assert_int_equal(ask_db(x, "SELECT count(*) FROM traces"), 4 * (TRACE_SETS_MAX + 4));
    assert_int_equal(ask_db(x, "SELECT sum(hits) FROM traces"), 4 * 4);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_put_comes_back),
        CASE(what_was_not_kept_is_zero_and_now_is_now),
        CASE(each_part_of_the_name_counts),
        CASE(put_replaces),
        CASE(sets_come_in_the_order_of_their_last_use),
        CASE(the_set_that_was_used_longest_ago_goes),
        CASE(of_a_set_the_answers_that_were_used_longest_ago_go),
        CASE(a_hit_is_counted_and_leads_from_the_new_record_to_its_trace),
        CASE(the_record_that_a_run_made_is_no_reused_one),
        CASE(a_trace_that_is_gone_is_not_reused),
        CASE(a_hit_marks_the_blobs_of_its_trace_as_used),
        CASE(a_hit_puts_its_record_and_its_note_or_neither),
        CASE(the_record_that_a_run_made_is_not_replaced_by_a_hit),
        CASE(dropping_a_run_takes_what_was_reused_and_leaves_what_was_made),
        CASE(what_was_reused_from_a_trace_that_went_goes_too),
        CASE(what_is_known_of_a_run_comes_back),
        CASE(counters_add_up_and_stop_at_the_largest),
        CASE(who_is_told_of_counters_may_use_the_store),
        CASE(rows_that_name_nothing_are_as_good_as_not_there),
        CASE(threads_do_all_of_it_at_once),
    };
    return UNIT_RUN("store_trace", tests);
}
