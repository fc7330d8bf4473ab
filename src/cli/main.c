/* main.c -- winnow(1): picks the command. */
#include <winnow.h>

#include <stdio.h>

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) printf("winnow %s\n", wn_version());
    return 0;
}
