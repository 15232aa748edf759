/* Renders templates for tests/e2e/test_chat_templates.py. Each line of standard input is a job,
 * {"template": TEXT, "vars": OBJECT, "now": SECONDS, "marks": true}; each line of output its result,
 * {"text": TEXT} or {"error": TEXT, "status": NAME}, with what it took: "ms" of this thread's time,
 * "memory", "steps", and "rss", the kilobytes that the program has had at most so far. With "marks" there
 * is a text of these too, "1" for each byte that came in with the variables and "0" for the others; roles
 * and the texts of tokens count as the template's. */
#include <string.h>
#include <sys/resource.h>

#include "text/jinja.h"

#include "json_lines.h"

static bool own(const char *key, const char *text, unsigned depth)
{
    (void)text;
    return depth == 0 ? strstr(key, "_token") != NULL : strcmp(key, "role") == 0;
}

static json_t *run(const json_t *job)
{
    const json_t *source = json_object_get(job, "template");
    struct jinja_options opt = {.now = json_integer_value(json_object_get(job, "now"))};
    struct jinja_template *t = NULL;
    struct jinja_cost cost = {0};
    struct error err = {0};
    struct buf out, marks;
    buf_init(&out, (size_t)256 << 20);
    buf_init(&marks, (size_t)256 << 20);
    if (json_is_true(json_object_get(job, "marks"))) {
        opt.marks = &marks;
        opt.own = own;
    }
    double begin = cpu_ms();
    enum status st = jinja_compile(json_string_value(source), json_string_length(source), &t, &err);
    if (st == OK) st = jinja_render(t, json_object_get(job, "vars"), &opt, &out, &cost, &err);
    double ms = cpu_ms() - begin;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    json_t *r = json_pack("{s:f, s:I, s:I, s:I}", "ms", ms, "memory", (json_int_t)cost.memory, "steps",
                          (json_int_t)cost.steps, "rss", (json_int_t)use.ru_maxrss);
    if (st == OK)
        json_object_set_new(r, "text", json_stringn(out.data ? out.data : "", out.len));
    if (st == OK && opt.marks) {
        for (size_t i = 0; i < marks.len; i++) marks.data[i] = (char)('0' + marks.data[i]);
        json_object_set_new(r, "marks", json_stringn(marks.data ? marks.data : "", marks.len));
    }
    if (st != OK) {
        json_object_set_new(r, "error", json_string(err.msg));
        json_object_set_new(r, "status", json_string(status_name(st)));
    }
    buf_fini(&marks);
    buf_fini(&out);
    jinja_destroy(t);
    return r;
}

int main(void)
{
    return json_lines("jinja_render", run);
}
