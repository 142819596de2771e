# embed.cmake: recipes/*.recipe, the bundled digits, and what `bench` compares with (its shapes, the best readings
# recorded) as byte arrays inside the train room.
#
# Included by CMakeLists.txt it adds the rule; run as a script (cmake -P) it is the rule: no other tool is
# needed, and a program that was built needs no file beside it.
if(CMAKE_SCRIPT_MODE_FILE)
  set(code "/* Made by cmake/embed.cmake. */\n#include \"recipe_inner.h\"\n")
  set(rows "")
  set(i 0)
  foreach(file ${FILES})
    get_filename_component(name ${file} NAME)
    file(READ ${file} hex HEX)
    string(LENGTH "${hex}" n)
    math(EXPR n "${n} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
    string(APPEND code "static const unsigned char file_${i}[] = {\n${bytes}0};\n")
    set(recipe NULL)
    set(about NULL)
    if(name MATCHES "^(.*)\\.recipe$")
      set(recipe "\"${CMAKE_MATCH_1}\"")
      file(STRINGS ${file} line REGEX "^about *=" LIMIT_COUNT 1 ENCODING UTF-8)
      string(REPLACE "\\;" ";" line "${line}") # as of an item of a list
      string(REGEX REPLACE "^about *= *" "" line "${line}")
      string(REGEX REPLACE "([\"\\\\])" "\\\\\\1" line "${line}")
      set(about "\"${line}\"")
    endif()
    string(APPEND rows "    {\"${name}\", ${recipe}, ${about}, file_${i}, ${n}},\n")
    math(EXPR i "${i} + 1")
  endforeach()
  string(APPEND code "const fwi_embedded fwi_embedded_files[] = {\n${rows}    {NULL, NULL, NULL, NULL, 0},\n};\n")
  file(WRITE ${OUT} "${code}")
  return()
endif()

file(GLOB recipes CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/recipes/*.recipe)
file(GLOB peaks CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bench/results/*.json)
set(embedded ${recipes} ${CMAKE_CURRENT_SOURCE_DIR}/recipes/digits.csv ${CMAKE_CURRENT_SOURCE_DIR}/bench/shapes.txt ${peaks})
set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded.c)
add_custom_command(OUTPUT ${out}
  COMMAND ${CMAKE_COMMAND} "-DFILES=${embedded}" -DOUT=${out} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${embedded} ${CMAKE_CURRENT_LIST_FILE} COMMENT "Embedding the recipes" VERBATIM)
target_sources(fw_train PRIVATE ${out})
