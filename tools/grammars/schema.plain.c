/* The YAML grammar's scanner asks a schema what type a plain scalar has; its package lacks the file. Here
 * all are strings, which is all that cutting a file into pieces needs. tools/grammars.py compiles the scanner
 * with this as -DYAML_SCHEMA=plain. */
typedef enum { RS_STR, RS_INT, RS_NULL, RS_BOOL, RS_FLOAT, RS_TIMESTAMP } ResultSchema;

enum { SCH_STT_FRZ = -1 };

static int8_t adv_sch_stt(int8_t state, int32_t character, ResultSchema *result)
{
    (void)state;
    (void)character;
    *result = RS_STR;
    return SCH_STT_FRZ;
}
