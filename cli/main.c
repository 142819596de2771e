/* main.c: the command `fenwicks`: which verb, and what is the same for all. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const command *const commands[] = {&command_convert,
                                   &command_inspect,
                                   &command_recipes,
                                   &command_train,
                                   &command_ablate,
                                   &command_eval,
                                   &command_predict,
                                   &command_plot,
                                   &command_bench,
                                   &command_doctor,
                                   NULL};

static void print_help(FILE *f)
{
    fprintf(f,
            "fenwicks %s: trains image classifiers, fast\n\nusage: fenwicks COMMAND [arguments] "
            "[--help]\n\n",
            fw_version());
    for (const command *const *c = commands; *c != NULL; c++)
        fprintf(f, "  %-10s %s\n", (*c)->name, (*c)->about);
    fprintf(f, "\nEvery command takes --help, and --json for one JSON object on standard output\n"
               "(bench conv and bench ops: one per line).\n"
               "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n");
}

/* Warnings of the library, such as a damaged checkpoint that was passed over. */
static void print_log(void *user, int level, const char *line)
{
    (void)user;
    if (level > 1)
        return;
    clear_line();
    fprintf(stderr, "fenwicks: %s\n", line);
}

/* A file that is opened where a standard stream was closed would get what is meant for that. What stands there
 * instead fails as the closed one would: it can't be read as input, nor written as output. */
static void fill_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) /* a closed one is the lowest that is free */
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    fill_streams();
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, with a message */
    (void)signal(SIGXFSZ, SIG_IGN); /* so is a file that is larger than a limit allows */
    fw_log_set(print_log, NULL);
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 && argc > 2) { /* as VERB --help */
        static char help[] = "--help";
        char *const verb = argv[2];
        argv[1] = verb;
        argv[2] = help;
        argc = 3;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return finish_output();
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 ||
        strcmp(argv[1], "version") == 0) {
        const char *const commit = fw_commit();
        printf("fenwicks %s%s%s\n", fw_version(), *commit == 0 ? "" : " ", commit);
        return finish_output();
    }
    for (const command *const *c = commands; *c != NULL; c++)
        if (strcmp((*c)->name, argv[1]) == 0)
            return (*c)->run(*c, argc - 2, argv + 2);
    const char *names[sizeof commands / sizeof *commands];
    int n = 0;
    for (; commands[n] != NULL; n++)
        names[n] = commands[n]->name;
    fprintf(stderr, "fenwicks: no command \"%s\"; the nearest is %s\n\n", argv[1],
            fw_nearest(argv[1], names, n));
    print_help(stderr);
    return EXIT_USAGE;
}
