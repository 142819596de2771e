/* recipe_arg.c: a recipe as the verbs that train take it: its name, --epochs, --batch and --set; and
 * the stop that Ctrl-C asks for. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

volatile sig_atomic_t stop_asked;

/* A second one ends the program at once, if it is one: `timeout` sends its own twice, to its child and to the
 * group. */
static void on_interrupt(int number)
{
    static struct timespec first; /* both signals block each other */
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const double since =
        (double)(now.tv_sec - first.tv_sec) + 1e-9 * (double)(now.tv_nsec - first.tv_nsec);
    if (stop_asked != 0 && since > 0.5) {
        (void)signal(number, SIG_DFL);
        (void)raise(number); /* delivered as soon as this handler is left */
        return;
    }
    if (stop_asked == 0)
        first = now;
    stop_asked = 1;
}

void catch_interrupts(void)
{
    struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    (void)sigemptyset(&a.sa_mask);
    (void)sigaddset(&a.sa_mask, SIGINT);
    (void)sigaddset(&a.sa_mask, SIGTERM);
    (void)sigaddset(&a.sa_mask, SIGHUP);
    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGTERM, &a, NULL);
    struct sigaction hangup; /* a terminal that goes; nohup has it ignored, and so it stays */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        (void)sigaction(SIGHUP, &a, NULL);
}

fw_status recipe_set_all(fw_recipe *r, const arg_list *set)
{
    fw_status st = FW_OK;
    for (int i = 0; i < set->n && st == FW_OK; i++)
        st = fw_recipe_change(r, set->items[i]);
    return st;
}

fw_status recipe_open_with(fw_recipe **out, const char *name, const char *epochs, const char *batch,
                           const arg_list *set)
{
    fw_recipe *r = NULL;
    fw_status st = fw_recipe_open(&r, name);
    if (st == FW_OK)
        st = recipe_set_all(r, set);
    if (st == FW_OK && epochs != NULL)
        st = fw_recipe_set(r, "train.epochs", epochs);
    if (st == FW_OK && batch != NULL)
        st = fw_recipe_set(r, "train.batch", batch);
    if (st != FW_OK) {
        fw_recipe_free(r);
        r = NULL;
    }
    *out = r;
    return st;
}

static void append(char *text, size_t cap, const char *key, const char *value)
{
    const size_t n = strlen(text);
    if (value != NULL && *value != 0)
        snprintf(text + n, cap - n, "%s%s%s", n > 0 ? ", " : "", key, value);
}

int check_precision(const command *self, const char *word)
{
    fw_dtype precision;
    bool tf32;
    if (word == NULL || fw_precision_read(word, NULL, &precision, &tf32) == FW_OK)
        return EXIT_DONE;
    return usage_error(self, "--precision: \"%s\" is none of " PRECISIONS, word);
}

int check_seeds(const command *self, uint64_t first, int64_t runs, bool in_file)
{
    const uint64_t last = in_file ? INT64_MAX : UINT64_MAX;
    if (runs < 1 || (first <= last && (uint64_t)(runs - 1) <= last - first))
        return EXIT_DONE;
    return usage_error(self, "--seed: %" PRId64 " from %" PRIu64 " on pass %" PRIu64 "%s", runs,
                       first, last, in_file ? ", the last that a line of a file can hold" : "");
}

char *changes_text(const char *epochs, const char *batch, const arg_list *set, const char *more)
{
    size_t cap = 64;
    const char *const texts[] = {epochs, batch, more};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cap += texts[i] == NULL ? 0 : strlen(texts[i]) + 2;
    for (int i = 0; i < set->n; i++)
        cap += strlen(set->items[i]) + 2;
    char *text = calloc(cap, 1);
    if (text == NULL)
        return NULL;
    for (int i = 0; i < set->n; i++)
        append(text, cap, "", set->items[i]);
    append(text, cap, "train.epochs=", epochs);
    append(text, cap, "train.batch=", batch);
    append(text, cap, "", more);
    return text;
}
