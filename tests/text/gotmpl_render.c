/* Renders Go templates for tests/e2e/test_go_templates.py. Each line of standard input is a job,
 * {"template": TEXT, "request": OBJECT or "data": OBJECT}; each line of output its result: {"text":
 * TEXT, "marks": "01..."} or {"error": TEXT, "status": NAME}, and "ms", the thread's time. */
#include "text/gotmpl.h"

#include "json_lines.h"

static json_t *run(const json_t *job)
{
    const json_t *source = json_object_get(job, "template"),
                 *request = json_object_get(job, "request");
    struct gotmpl *t = NULL;
    struct error err = {0};
    struct buf out, marks;
    buf_init(&out, (size_t)256 << 20);
    buf_init(&marks, (size_t)256 << 20);
    const struct gotmpl_options opt = {.marks = &marks,
                                       .now = json_integer_value(json_object_get(job, "now"))};
    double begin = cpu_ms();
    enum status st =
        gotmpl_compile(json_string_value(source), json_string_length(source), &t, &err);
    if (st == OK)
        st = request ? gotmpl_render_chat(t, request, &opt, &out, &err)
                     : gotmpl_render(t, json_object_get(job, "data"), &opt, &out, &err);
    json_t *r = json_pack("{s:f}", "ms", cpu_ms() - begin);
    for (size_t i = 0; i < marks.len; i++) marks.data[i] = (char)('0' + marks.data[i]);
    if (st == OK) {
        json_t *text = json_stringn(out.data ? out.data : "", out.len);
        json_object_set_new(r, "text", text ? text : json_string("(no UTF-8)"));
        json_object_set_new(r, "marks", json_stringn(marks.data ? marks.data : "", marks.len));
    } else {
        json_object_set_new(r, "error", json_string(err.msg));
        json_object_set_new(r, "status", json_string(status_name(st)));
    }
    buf_fini(&marks);
    buf_fini(&out);
    gotmpl_destroy(t);
    return r;
}

int main(void)
{
    return json_lines("gotmpl_render", run);
}
