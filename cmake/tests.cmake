# tests.cmake: every kind of test, found by its place in the tree.
#
#   tests/unit/<room>/test_*.c  the room and what it needs, with their private headers   label unit
#   tests/ops/test_*.c          the whole library, all private headers                   label ops
#   tests/cuda/test_*.c         everything private, and the kernels of src/cuda as plain C++  label cuda
#   tests/avx512/test_*.c       the stand-in for AVX-512 (avx512.cmake)                  label avx512
#   tests/runs/test_*.c         the whole library, public headers only                   label runs
#   tests/cli/*.sh              gets the command's path and the source folder            label cli
#   examples/*.c                built as a user would; run on a small slice by tests/cli/example_*.sh
#   fuzz/fuzz_*.c               replays fuzz/corpus/<format>/*                           label fuzz
#   tests/headers, tests/install  the public promise                                     label api
#
# A test that cannot run here exits with 77 (skipped). Tests of threads have the label tsan too: those
# whose name matches FW_TSAN_TESTS and those that say "ctest: tsan" in a comment. Long tests of which another compiler
# or a sanitizer tells little more say "ctest: once": presets clang and asan leave out that label, and clang the label
# cuda, whose kernels the op tests run too. Each test runs in an empty folder of its own.
enable_testing()
enable_language(CXX) # for the headers only
set(CMAKE_CXX_STANDARD 11)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
set(FW_TSAN_TESTS "pool|pipeline|dataset|prefetch|threads")

# FENWICKS_OVERSUBSCRIBE: tests use up to 8 threads on whatever machine.
set(FW_TEST_ENV FW_BUILD_DIR=${PROJECT_BINARY_DIR} LC_ALL=C.UTF-8 FENWICKS_OVERSUBSCRIBE=1
  ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:strict_string_checks=1:detect_stack_use_after_return=1:protect_shadow_gap=0
  UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)

if(FW_SANITIZE) # a real GPU's driver leaks by the sanitizer's measure; what runs here needs none
  list(APPEND FW_TEST_ENV CUDA_VISIBLE_DEVICES=)
endif()

function(fw_test_properties name labels)
  set(dir ${PROJECT_BINARY_DIR}/testwork/${name})
  file(MAKE_DIRECTORY ${dir})
  set(seconds 600)
  if(FW_SANITIZE) # emulated GPU kernels switch stacks all the time: minutes under a sanitizer
    set(seconds 2400)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" SKIP_RETURN_CODE 77 TIMEOUT ${seconds}
    WORKING_DIRECTORY ${dir} ENVIRONMENT "${FW_TEST_ENV}")
endfunction()

# Adds the label once where the test's source asks for it.
function(fw_once source list)
  file(STRINGS ${source} marked REGEX "ctest: once")
  if(marked)
    set(${list} "${${list}};once" PARENT_SCOPE)
  endif()
endfunction()

# A test program from one source file; its target has the file's name, with the kind in front if taken.
add_custom_target(tsan_tests)
function(fw_test_program kind source out)
  get_filename_component(base ${source} NAME_WE)
  set(target ${base})
  if(TARGET ${target})
    string(REPLACE "." "_" target ${kind}_${base})
  endif()
  add_executable(${target} ${source})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${target} PRIVATE FW_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} PRIVATE PkgConfig::CMOCKA)
  add_test(NAME ${kind}.${base} COMMAND ${target})
  string(REGEX REPLACE "\\..*" "" labels ${kind})
  file(STRINGS ${source} marked REGEX "ctest: tsan")
  if(base MATCHES "${FW_TSAN_TESTS}" OR marked)
    list(APPEND labels tsan)
    add_dependencies(tsan_tests ${target})
  endif()
  fw_once(${source} labels)
  fw_test_properties(${kind}.${base} "${labels}")
  set(${out} ${target} PARENT_SCOPE)
endfunction()

function(fw_room_closure room out)
  set(seen "")
  set(todo ${room})
  while(todo)
    list(POP_FRONT todo r)
    if(NOT r IN_LIST seen)
      list(APPEND seen ${r})
      get_property(n TARGET ${r} PROPERTY FW_NEEDS)
      list(APPEND todo ${n})
    endif()
  endwhile()
  set(${out} ${seen} PARENT_SCOPE)
endfunction()

foreach(room ${FW_ROOMS})
  string(REGEX REPLACE "^fw_" "" name ${room})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/${name}/test_*.c)
  get_property(built TARGET fw_cuda PROPERTY FW_BUILT)
  if(room STREQUAL fw_cuda AND NOT built)
    set(sources "")
  elseif(room STREQUAL fw_cuda) # stand-ins for the libraries that it opens
    foreach(fake cudnn cublaslt)
      add_library(fake_${fake} MODULE ${PROJECT_SOURCE_DIR}/tests/unit/cuda/fake_${fake}.c)
      target_include_directories(fake_${fake} SYSTEM PRIVATE ${FW_CUDA_INCLUDE} ${FW_CUDA_LIB_INCLUDES})
    endforeach()
  endif()
  fw_room_closure(${room} rooms)
  foreach(source ${sources})
    fw_test_program(unit.${name} ${source} target)
    foreach(r ${rooms})
      get_property(libs TARGET ${r} PROPERTY FW_LIBS)
      get_property(more TARGET ${r} PROPERTY FW_OBJECTS)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${r}> ${more})
      target_include_directories(${target} PRIVATE $<TARGET_PROPERTY:${r},INTERFACE_INCLUDE_DIRECTORIES>)
      target_link_libraries(${target} PRIVATE ${libs})
    endforeach()
    target_link_libraries(${target} PRIVATE Threads::Threads m)
    if(room STREQUAL fw_cuda)
      target_include_directories(${target} SYSTEM PRIVATE ${FW_CUDA_INCLUDE} ${FW_CUDA_LIB_INCLUDES})
      target_compile_definitions(${target} PRIVATE FW_FAKE_CUDNN="$<TARGET_FILE:fake_cudnn>"
        FW_FAKE_CUBLASLT="$<TARGET_FILE:fake_cublaslt>" FW_CUDA_LIBRARY_DIR="${FW_CUDA_LIBRARY_DIR}"
        "T_HAS_90A=$<IN_LIST:90a,${cuda_targets}>")
      add_dependencies(${target} fake_cudnn fake_cublaslt)
    endif()
  endforeach()
endforeach()

# Everything private, for tests and fuzz targets that look across rooms.
add_library(fw_inside INTERFACE)
target_link_libraries(fw_inside INTERFACE fenwicks_static)
foreach(room ${FW_ROOMS})
  target_include_directories(fw_inside INTERFACE $<TARGET_PROPERTY:${room},INTERFACE_INCLUDE_DIRECTORIES>)
endforeach()

# The .cu files again, with emulate.h in place of CUDA: no toolkit is needed for this.
file(GLOB cu_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cuda/*.cu)
set_source_files_properties(${cu_sources} PROPERTIES LANGUAGE CXX)
add_library(t_cuda OBJECT ${cu_sources} ${PROJECT_SOURCE_DIR}/src/cuda/cuda_table.c
  ${PROJECT_SOURCE_DIR}/src/cuda/cuda_lower.c
  ${PROJECT_SOURCE_DIR}/tests/cuda/emulate.cpp ${PROJECT_SOURCE_DIR}/tests/cuda/emulate_hopper.cpp
  ${PROJECT_SOURCE_DIR}/tests/cuda/t_far.c)
set_target_properties(t_cuda PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
target_compile_definitions(t_cuda PRIVATE FWI_CUDA_EMULATED)
target_compile_options(t_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-unused-function -Wno-psabi -ffp-contract=off>)
# Kernels say fmaf where they mean one instruction; without it that is a call of libm for every product.
include(CheckCXXSourceRuns)
set(CMAKE_REQUIRED_FLAGS "-mfma -mf16c")
check_cxx_source_runs("int main() { return !(__builtin_cpu_supports(\"fma\") && __builtin_cpu_supports(\"avx2\")); }" FW_TEST_FMA)
unset(CMAKE_REQUIRED_FLAGS)
if(FW_TEST_FMA)
  target_compile_options(t_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-mfma;-mf16c>)
endif()
# At -O1, with which sanitizers are built, instrumented kernels take four times as long.
if(FW_SANITIZE MATCHES address)
  target_compile_options(t_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O2>)
endif()
# Their threads are coroutines. To the thread sanitizer a stack that is left in mid-function is one that
# grows for ever; the address sanitizer would map a fake stack for every one of them.
if(FW_SANITIZE MATCHES thread)
  target_compile_options(t_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=thread>)
elseif(FW_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(t_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:--param=asan-use-after-return=0>)
elseif(FW_SANITIZE MATCHES address)
  target_compile_options(t_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize-address-use-after-return=never>)
endif()
target_include_directories(t_cuda PRIVATE ${PROJECT_SOURCE_DIR}/tests/cuda)
foreach(room core ir exec cuda cpu_lower)
  target_include_directories(t_cuda PRIVATE $<TARGET_PROPERTY:fw_${room},INTERFACE_INCLUDE_DIRECTORIES>)
endforeach()

include(cmake/avx512.cmake)
set(FW_EMULATED_NOT "davidnet|airbench") # op tests that take minutes even so

# What the tests of a folder share, compiled once; the library's headers that it sees are those of `headers`.
function(fw_shared_tests name headers)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/cuda
    ${PROJECT_SOURCE_DIR}/tests/runs)
  target_compile_definitions(${name} PRIVATE FW_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ${emulated_definition})
  target_link_libraries(${name} PRIVATE PkgConfig::CMOCKA ${headers})
endfunction()
file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/ops/t_*.c)
fw_shared_tests(t_ops fw_inside ${sources})
fw_shared_tests(t_runs fenwicks_static ${PROJECT_SOURCE_DIR}/tests/runs/t_runs.c)
fw_shared_tests(t_alloc fenwicks_static ${PROJECT_SOURCE_DIR}/tests/runs/t_alloc.c) # a malloc that counts
fw_shared_tests(t_fed fw_inside ${PROJECT_SOURCE_DIR}/tests/cuda/t_fed.c)

foreach(kind ops runs)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${kind}/test_*.c)
  foreach(source ${sources})
    fw_test_program(${kind} ${source} target)
    if(kind STREQUAL ops)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_ops> $<TARGET_OBJECTS:t_cuda>)
      target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/cuda)
      target_link_libraries(${target} PRIVATE fw_inside)
      if(NOT target MATCHES "${FW_EMULATED_NOT}")
        fw_emulated(${target})
      endif()
    else()
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_runs> $<TARGET_OBJECTS:t_alloc>)
      target_link_libraries(${target} PRIVATE fenwicks_static)
      if(target STREQUAL test_digits AND NOT FW_SANITIZE) # minutes with them
        fw_emulated(${target})
      endif()
    endif()
  endforeach()
endforeach()

file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/cuda/test_*.c)
foreach(source ${sources})
  fw_test_program(cuda ${source} target)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_runs> $<TARGET_OBJECTS:t_cuda> $<TARGET_OBJECTS:t_fed>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/cuda ${PROJECT_SOURCE_DIR}/tests/runs)
  target_link_libraries(${target} PRIVATE fw_inside)
endforeach()

# The way of the op tests to a GPU and back, on the device that stands for one.
foreach(test test_act test_bias test_optim_golden test_updates_golden test_fused_nets)
  add_test(NAME cuda.far_${test} COMMAND ${test})
  fw_test_properties(cuda.far_${test} cuda)
  set_property(TEST cuda.far_${test} APPEND PROPERTY ENVIRONMENT FW_TEST_DEVICE=far)
endforeach()

# And with the libraries' rows before the emulated kernels: the op tests of what the libraries compute, on
# the GPU that is made up (tests/cuda/gpu/fake_gpu.c).
get_property(built TARGET fw_cuda PROPERTY FW_BUILT)
function(fw_fake_gpu target)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_fake_gpu> $<TARGET_OBJECTS:t_cuda>)
  target_link_libraries(${target} PRIVATE fw_inside ${CMAKE_DL_LIBS})
  add_dependencies(${target} fake_cudnn fake_cublaslt)
endfunction()
if(built)
  add_library(t_fake_gpu OBJECT ${PROJECT_SOURCE_DIR}/tests/cuda/gpu/fake_gpu.c) # sees CUDA's own headers
  target_include_directories(t_fake_gpu SYSTEM PRIVATE ${FW_CUDA_INCLUDE} ${FW_CUDA_LIB_INCLUDES})
  target_compile_definitions(t_fake_gpu PRIVATE FW_FAKE_CUDNN="$<TARGET_FILE:fake_cudnn>"
    FW_FAKE_CUBLASLT="$<TARGET_FILE:fake_cublaslt>")
  target_link_libraries(t_fake_gpu PRIVATE fw_inside)
  foreach(test test_conv2d test_matmul test_muon test_fused_nets)
    add_executable(gpu_${test} ${PROJECT_SOURCE_DIR}/tests/ops/${test}.c $<TARGET_OBJECTS:t_ops>)
    fw_fake_gpu(gpu_${test})
    target_include_directories(gpu_${test} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/cuda)
    target_compile_definitions(gpu_${test} PRIVATE FW_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    target_link_libraries(gpu_${test} PRIVATE PkgConfig::CMOCKA)
    add_test(NAME cuda.gpu_${test} COMMAND gpu_${test})
    fw_test_properties(cuda.gpu_${test} "cuda;once")
    set_property(TEST cuda.gpu_${test} APPEND PROPERTY ENVIRONMENT FW_TEST_DEVICE=cuda)
  endforeach()
  add_test(NAME cuda.gpu_test_conv2d_rounded COMMAND gpu_test_conv2d) # its filters' gradients pass through 16 bits
  fw_test_properties(cuda.gpu_test_conv2d_rounded "cuda;once")
  set_property(TEST cuda.gpu_test_conv2d_rounded APPEND PROPERTY ENVIRONMENT FW_TEST_DEVICE=cuda FW_FAKE_NO_F32_DW=1)
  add_test(NAME cuda.gpu_test_conv2d_padded COMMAND gpu_test_conv2d) # channels by the eight alone
  fw_test_properties(cuda.gpu_test_conv2d_padded "cuda;once")
  set_property(TEST cuda.gpu_test_conv2d_padded APPEND PROPERTY ENVIRONMENT FW_TEST_DEVICE=cuda FW_FAKE_CHANNELS=1)
  # The backend's own device, over a runtime that is made up.
  fw_test_program(cuda ${PROJECT_SOURCE_DIR}/tests/cuda/gpu/test_device.c target)
  target_include_directories(${target} SYSTEM PRIVATE ${FW_CUDA_INCLUDE} ${FW_CUDA_LIB_INCLUDES})
  target_compile_definitions(${target} PRIVATE FW_FAKE_CUDNN="$<TARGET_FILE:fake_cudnn>"
    FW_FAKE_CUBLASLT="$<TARGET_FILE:fake_cublaslt>")
  target_link_libraries(${target} PRIVATE fw_inside)
  add_dependencies(${target} fake_cudnn fake_cublaslt)
endif()

if(TARGET fenwicks_cli)
  add_executable(t_tool ${PROJECT_SOURCE_DIR}/tests/cli/t_tool.c) # data and JSON for the scripts
  target_link_libraries(t_tool PRIVATE PkgConfig::FENWICKS_JANSSON)
  if(built) # the command on a GPU that is made up: tests/cuda/gpu/fake_gpu.c
    add_executable(fenwicks_fake_gpu $<TARGET_OBJECTS:fw_cli>)
    fw_fake_gpu(fenwicks_fake_gpu)
    target_link_libraries(fenwicks_fake_gpu PRIVATE PkgConfig::FENWICKS_JANSSON)
  endif()
  file(GLOB scripts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/cli/*.sh)
  foreach(script ${scripts})
    get_filename_component(base ${script} NAME_WE)
    add_test(NAME cli.${base} COMMAND bash ${script} $<TARGET_FILE:fenwicks_cli> ${PROJECT_SOURCE_DIR})
    set(labels cli)
    fw_once(${script} labels)
    fw_test_properties(cli.${base} "${labels}")
  endforeach()
endif()

file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.c)
foreach(source ${sources})
  get_filename_component(base ${source} NAME_WE)
  add_executable(example_${base} ${source})
  set_target_properties(example_${base} PROPERTIES OUTPUT_NAME ${base}
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
  target_link_libraries(example_${base} PRIVATE fenwicks_static)
endforeach()

add_custom_target(fuzzers)
file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(source ${sources})
  get_filename_component(base ${source} NAME_WE)
  string(REGEX REPLACE "^fuzz_" "" format ${base})
  set(corpus ${PROJECT_SOURCE_DIR}/fuzz/corpus/${format})
  add_executable(${base} ${source})
  target_link_libraries(${base} PRIVATE fw_inside)
  if(FW_FUZZ)
    target_link_options(${base} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${format} COMMAND ${base} -max_total_time=20 -print_final_stats=1 . ${corpus})
  else()
    target_sources(${base} PRIVATE ${PROJECT_SOURCE_DIR}/fuzz/replay.c)
    add_test(NAME fuzz.${format} COMMAND ${base} ${corpus})
  endif()
  add_dependencies(fuzzers ${base})
  fw_test_properties(fuzz.${format} fuzz)
endforeach()

# The public promise: each header alone, in C and in C++; every declared function links, from the static
# and from the shared library; the shared library exports these and nothing else.
set(gen ${PROJECT_BINARY_DIR}/headers)
set(c_sources "")
set(cxx_sources "")
foreach(header ${FW_PUBLIC_HEADERS})
  get_filename_component(base ${header} NAME_WE)
  foreach(lang c cxx)
    file(GENERATE OUTPUT ${gen}/${base}.${lang}
      CONTENT "#include <fenwicks/${base}.h>\n#include <fenwicks/${base}.h>\nint header_${base}_${lang};\n")
    list(APPEND ${lang}_sources ${gen}/${base}.${lang})
  endforeach()
endforeach()
add_library(headers_c OBJECT ${c_sources})
add_library(headers_cxx OBJECT ${cxx_sources})
target_compile_options(headers_c PRIVATE -U_GNU_SOURCE -Wpedantic -Werror)
target_compile_options(headers_cxx PRIVATE -Wall -Wextra -Wpedantic -Werror)
foreach(lang c cxx)
  target_include_directories(headers_${lang} PRIVATE ${PROJECT_SOURCE_DIR}/include)
endforeach()

set(awk ${PROJECT_SOURCE_DIR}/tests/headers/symbols.awk)
add_custom_command(OUTPUT ${gen}/symbols.c ${gen}/symbols.txt
  COMMAND awk -v list=${gen}/symbols.txt -f ${awk} ${FW_PUBLIC_HEADERS} > ${gen}/symbols.c
  DEPENDS ${awk} ${FW_PUBLIC_HEADERS} VERBATIM)
add_custom_target(public_symbols DEPENDS ${gen}/symbols.c ${gen}/symbols.txt)
foreach(kind static shared)
  add_executable(test_symbols_${kind} ${gen}/symbols.c)
  add_dependencies(test_symbols_${kind} public_symbols)
  target_link_libraries(test_symbols_${kind} PRIVATE fenwicks_${kind})
  add_test(NAME headers.symbols_${kind} COMMAND test_symbols_${kind})
  fw_test_properties(headers.symbols_${kind} api)
endforeach()
add_custom_command(OUTPUT ${gen}/symbols.cpp # the same from C++: a header without extern "C" would compile, and not link
  COMMAND ${CMAKE_COMMAND} -E copy ${gen}/symbols.c ${gen}/symbols.cpp DEPENDS ${gen}/symbols.c VERBATIM)
add_executable(test_symbols_cxx ${gen}/symbols.cpp)
add_dependencies(test_symbols_cxx public_symbols)
target_link_libraries(test_symbols_cxx PRIVATE fenwicks_shared)
add_test(NAME headers.symbols_cxx COMMAND test_symbols_cxx)
fw_test_properties(headers.symbols_cxx api)
add_test(NAME headers.exports COMMAND sh ${PROJECT_SOURCE_DIR}/tests/headers/exports.sh
  $<TARGET_FILE:fenwicks_shared> ${gen}/symbols.txt)
fw_test_properties(headers.exports api)

if(NOT FW_SANITIZE AND NOT FW_FUZZ) # an outside program does not bring the sanitizer's runtime
  foreach(way pkg_config find_package)
    add_test(NAME install.${way} COMMAND sh ${PROJECT_SOURCE_DIR}/tests/install/${way}.sh
      ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR}/tests/install ${CMAKE_COMMAND} ${CMAKE_C_COMPILER} ${PROJECT_VERSION})
    fw_test_properties(install.${way} api)
  endforeach()
endif()
