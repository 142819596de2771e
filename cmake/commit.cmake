# commit.cmake: which commit is being built, as fw_commit.h in the build folder, for core/commit.c.
#
# It is the last one that changed what the library and the command are made of, so that a commit of documents or results
# leaves them what they are. Included by CMakeLists.txt this adds the target; run as a script (cmake -P) it is the rule. It runs at
# each build, because a commit needs no new configuration, and writes only what changed. Sources that are not as committed
# say so. Where the source folder is not the top of a git repository (an archive, a copy inside another project) the text is
# empty. Recorded peaks (bench/results) do not count: they change no run.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "")
  set(parts src include cli cmake recipes CMakeLists.txt)
  find_program(GIT git)
  if(GIT)
    file(REAL_PATH ${SOURCE} source)
    # a build does not get in the way of a commit, and may be that of another user than the folder's, as in a container
    # (git heeds it from 2.38 on; what is older says nothing of such a folder)
    set(git ${GIT} --no-optional-locks -c safe.directory=${source} -C ${source})
    execute_process(COMMAND ${git} rev-parse --show-toplevel
      OUTPUT_VARIABLE top ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
    if(NOT failed)
      file(REAL_PATH ${top} top)
      if(top STREQUAL source)
        execute_process(COMMAND ${git} log -1 --format=%h --abbrev=10 HEAD -- ${parts}
          OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
      endif()
    endif()
  endif()
  if(commit)
    execute_process(COMMAND ${git} status --porcelain -- ${parts}
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
