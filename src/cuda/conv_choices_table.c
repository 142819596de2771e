/* conv_choices_table.c: engines for the convolutions of the built-in recipes, as measured on the
 * GPU that a row names.
 *
 * It is empty: nothing has been measured yet. A row is added only with the file that it was copied
 * from in bench/results, on an idle GPU, and where it is faster than the heuristic's first engine by
 * more than the spread of the readings. Read before: conv_choices.h. */
#include "conv_choices.h"

const fwi_dnn_choices_row fwi_dnn_choices_table[] = {{.sm = 0}};
