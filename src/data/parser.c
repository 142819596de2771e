/* parser.c: how a record becomes an image. Parsers are data, so that a data set can say what it
 * expects; pixels.c does the work. */
#include "dataset_room.h"

fw_parser fw_parse_image_array(int64_t h, int64_t w, int64_t c)
{
    return (fw_parser){.kind = FWI_PARSER_IMAGE_ARRAY, .h = h, .w = w, .c = c};
}
