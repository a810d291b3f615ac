#include "engine/lacks.h"

static bool same_blob(const struct engine_layer *a, const struct engine_layer *b)
{
    return !digest_is_zero(&a->blob.d) && digest_eq(&a->blob.d, &b->blob.d);
}

static bool is_among(const struct engine_layer *l, const struct engine_layer *theirs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (same_blob(l, &theirs[i]))
            return true;
    return false;
}

/* The engine has layer i if it has those below (chain) and theirs. */
static bool has_by(const struct lacks *l, size_t i, bool *chain, const struct engine_layer *theirs,
                   size_t n)
{
    if (l->by_blob)
        return is_among(&l->layers[i], theirs, n);
    *chain = *chain && i < n && digest_eq(&l->layers[i].diff.d, &theirs[i].diff.d);
    return *chain;
}

size_t lacks_gain(const struct lacks *l, const struct engine_layer *theirs, size_t n)
{
    size_t gain = 0;
    bool chain = true;
    for (size_t i = 0; i < l->n; i++)
        gain += has_by(l, i, &chain, theirs, n) && !l->has[i];
    return gain;
}

void lacks_learn(struct lacks *l, const struct engine_layer *theirs, size_t n)
{
    bool chain = true;
    for (size_t i = 0; i < l->n; i++)
        if (has_by(l, i, &chain, theirs, n) && !l->has[i]) {
            l->has[i] = true;
            l->n_has++;
        }
}

/* What an engine says of an image. */

void inspected_release(struct inspected *i)
{
    mem_free(i->layers);
    *i = (struct inspected){ .n_layers = 0 };
}

int inspected_parse(const json_t *answer, struct inspected *ret, struct err *err)
{
    AUTO(inspected_release) struct inspected it = { .n_layers = 0 };
    const char *id = json_get_str(answer, "Id");
    if (id == NULL)
        return err_set(err, ERR_CORRUPT, "the Docker engine names an image without an id");
    if (digest_parse(id, &it.id, err) < 0)
        return err->code;
    it.has_descriptor = json_get_obj(answer, "Descriptor") != NULL;
    const json_t *root = json_get_obj(answer, "RootFS");
    json_t *layers = root != NULL ? json_get_arr(root, "Layers") : NULL;
    it.layers = mem_calloc(json_array_size(layers) + 1, sizeof(*it.layers));
    size_t i;
    json_t *diff;
    json_array_foreach(layers, i, diff)
    {
        const char *text = json_string_value(diff);
        if (text == NULL || digest_parse(text, &it.layers[i].diff.d, err) < 0)
            return err_set(err, ERR_CORRUPT, "the Docker engine names a layer without a digest");
        it.n_layers++;
    }
    *ret = it;
    it = (struct inspected){ .n_layers = 0 };
    return 0;
}
