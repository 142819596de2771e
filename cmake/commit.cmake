# commit.cmake: which commit is being built, as fw_commit.h in the build folder, for core/commit.c.
#
# Included by CMakeLists.txt it adds the target; run as a script (cmake -P) it is the rule. It runs at each build, because
# a commit needs no new configuration, and writes only what changed. Sources that are not as committed say so. Where the
# source folder is not the top of a git repository (an archive, a copy inside another project) the text is empty.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "")
  find_program(GIT git)
  if(GIT)
    execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-toplevel --short=10 HEAD
      OUTPUT_VARIABLE said ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
    string(REPLACE "\n" ";" said "${said}")
    list(LENGTH said n)
    if(NOT failed AND n EQUAL 2)
      list(GET said 0 top)
      list(GET said 1 commit)
      file(REAL_PATH ${SOURCE} source)
      file(REAL_PATH ${top} top)
      if(NOT top STREQUAL source)
        set(commit "")
      endif()
    endif()
  endif()
  if(commit)
    execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain -- src include cli cmake recipes bench CMakeLists.txt
      ERROR_QUIET OUTPUT_VARIABLE changes RESULT_VARIABLE failed)
    if(failed OR NOT changes STREQUAL "")
      string(APPEND commit "-changed")
    endif()
  endif()
  set(text "/* Made by cmake/commit.cmake. */\n#define FW_COMMIT \"${commit}\"\n")
  set(before "")
  if(EXISTS ${OUT})
    file(READ ${OUT} before)
  endif()
  if(NOT text STREQUAL before)
    file(WRITE ${OUT} "${text}")
  endif()
  return()
endif()

set(commit_dir ${CMAKE_CURRENT_BINARY_DIR}/commit)
set(commit_rule ${CMAKE_COMMAND} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR} -DOUT=${commit_dir}/fw_commit.h
  -P ${CMAKE_CURRENT_LIST_DIR}/commit.cmake)
execute_process(COMMAND ${commit_rule})
add_custom_target(fw_commit COMMAND ${commit_rule} BYPRODUCTS ${commit_dir}/fw_commit.h VERBATIM)
target_include_directories(fw_core PRIVATE ${commit_dir})
add_dependencies(fw_core fw_commit)
