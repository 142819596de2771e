# rooms.cmake: compilers, flags, libraries, and fw_room(): a folder of src/ as a target.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # the same objects go into the static and the shared library
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
option(FW_WERROR "Warnings are errors (CI)" OFF)
option(FW_TESTS "Build the tests, the examples and the fuzz targets' replay" ${PROJECT_IS_TOP_LEVEL})
option(FW_FUZZ "Link the fuzz targets with libFuzzer (clang); otherwise they replay their corpus" OFF)
set(FW_SANITIZE "" CACHE STRING "\"address,undefined\", \"thread\" or empty")

add_compile_definitions(_GNU_SOURCE FW_VERSION="${PROJECT_VERSION}")
set(warnings -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla)
# No contraction: whether a*b+c is rounded once or twice must not depend on compiler and flags. Kernels
# that want a fused multiply-add say so.
add_compile_options("$<$<COMPILE_LANGUAGE:C>:${warnings}>" -ffp-contract=off)
if(FW_WERROR)
  add_compile_options(-Werror)
endif()
if(FW_SANITIZE)
  add_compile_options(-fsanitize=${FW_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FW_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL GNU) # following variables through unrolled kernels takes minutes per file
    add_compile_options(-fno-var-tracking)
  endif()
  if(FW_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=all)
  endif()
endif()
if(FW_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

include(CheckCSourceRuns)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# fw_pkg(NAME module): a system library as target PkgConfig::NAME, remembered for fenwicks-static.pc and
# for find_package(fenwicks), where NAME_LIBRARIES and the like are set among the variables of somebody else's project: hence
# the prefix of names. A room asks for it with LIBS PkgConfig::NAME.
set(FW_PKG_NAMES "")
set(FW_PKG_MODULES "")
macro(fw_pkg name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
  list(APPEND FW_PKG_NAMES ${name})
  list(APPEND FW_PKG_MODULES ${module})
endmacro()
fw_pkg(FENWICKS_PROTOBUF_C libprotobuf-c)
fw_pkg(FENWICKS_JANSSON jansson)
fw_pkg(FENWICKS_LIBARCHIVE libarchive)
fw_pkg(FENWICKS_ZLIB zlib)
fw_pkg(FENWICKS_INIH inih)

# Neither changes a result: they say that nobody reads errno after a root nor the floating-point exception flags, without
# which gcc makes no vectors of loops with a root or a choice in them.
set(FW_FLAGS_KERNELS -fno-math-errno -fno-trapping-math)
if(CMAKE_C_COMPILER_ID MATCHES Clang) # which warns where a loop that calls libm in double makes no vectors
  list(APPEND FW_FLAGS_KERNELS -Wno-pass-failed)
endif()
# Checks of each pointer in unrolled loops take minutes to compile. The address sanitizer finds what they would, but for
# misaligned access and an index past an inner dimension. Of whole tiles in registers (Winograd's) even checks of integers do.
set(fw_unchecked "")
if(FW_SANITIZE MATCHES undefined)
  list(APPEND FW_FLAGS_KERNELS -fno-sanitize=null,alignment,pointer-overflow,bounds,object-size)
  set(fw_unchecked -fno-sanitize=signed-integer-overflow,shift)
endif()
set(FW_FLAGS_AVX2 -mavx2 -mfma)
set(FW_FLAGS_AVX512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)

set(FW_ROOMS "" CACHE INTERNAL "")

# fw_room(NAME [NEEDS room ...] [LIBS target ...] [FLAGS flag ...] [ARCH regex]): src/NAME/*.c as object
# library fw_NAME ("/" becomes "_"). It sees the headers of the rooms in NEEDS and no others. A *.proto in
# the folder is compiled by protoc-c. ARCH: a room of kernels for these processors; elsewhere it is an
# empty list of rows, so that nothing else of the tree asks what it is built for. FEATURE: what such a processor
# must have to run the kernels (a name of __builtin_cpu_supports); a build with sanitizers, which is made to be
# run here, leaves out kernels that cannot be, but for the loop of `bench peak` (peak.c): with sanitizers they take
# longer to compile than all else. EMPTY source: the room is not built here, and this one stands for it.
function(fw_room name)
  cmake_parse_arguments(R "" "ARCH;FEATURE;EMPTY" "NEEDS;LIBS;FLAGS" ${ARGN})
  string(REPLACE "/" "_" room fw_${name})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/*.c)
  set(tiles ${sources})
  list(FILTER tiles INCLUDE REGEX "/winograd[^/]*$")
  set_source_files_properties(${tiles} PROPERTIES COMPILE_OPTIONS "${fw_unchecked}")
  file(GLOB protos CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/*.proto)
  foreach(proto ${protos})
    get_filename_component(base ${proto} NAME_WE)
    set(gen ${CMAKE_CURRENT_BINARY_DIR}/proto/${name})
    file(MAKE_DIRECTORY ${gen})
    add_custom_command(OUTPUT ${gen}/${base}.pb-c.c ${gen}/${base}.pb-c.h
      COMMAND protoc-c --c_out=${gen} --proto_path=${CMAKE_CURRENT_SOURCE_DIR}/src/${name} ${base}.proto
      DEPENDS ${proto} VERBATIM)
    set_source_files_properties(${gen}/${base}.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
    list(APPEND sources ${gen}/${base}.pb-c.c)
  endforeach()
  set(left_out OFF)
  if(R_ARCH AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "${R_ARCH}")
    set(left_out ON)
    set(kept "")
    set(R_FLAGS "")
  elseif(R_FEATURE AND (FW_SANITIZE OR FW_FUZZ))
    check_c_source_runs("int main(void) { return !__builtin_cpu_supports(\"${R_FEATURE}\"); }" FW_HAVE_${R_FEATURE})
    if(NOT FW_HAVE_${R_FEATURE})
      set(left_out ON)
      set(kept ${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/peak.c)
    endif()
  endif()
  if(R_FEATURE AND FW_SANITIZE MATCHES address AND CMAKE_C_COMPILER_ID MATCHES Clang)
    # Clang checks masked accesses lane by lane, which takes minutes per file of register tiles: those and the sweeps
    # of bf16 go unchecked, all other kernels are checked here as everywhere.
    set(masked ${sources})
    list(FILTER masked INCLUDE REGEX "/((conv2d|winograd|matmul)[^/]*|fused_bf16|avx512_bf16/fused)\\.c$")
    set_source_files_properties(${masked} PROPERTIES COMPILE_OPTIONS -fno-sanitize=all)
  endif()
  if(left_out)
    get_filename_component(isa ${name} NAME)
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty/${room}.c ${kept})
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty/${room}.c
      "#include \"exec.h\"\nextern const fwi_kernel fwi_rows_${isa}[];\n"
      "const fwi_kernel fwi_rows_${isa}[] = {{.run = NULL}};\n")
  endif()
  if(R_EMPTY)
    set(sources ${CMAKE_CURRENT_SOURCE_DIR}/${R_EMPTY})
  endif()
  if(NOT sources) # an object library without sources is an error
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty/${room}.c "typedef int ${room}_is_empty;\n")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty/${room}.c)
  endif()
  add_library(${room} OBJECT ${sources})
  target_include_directories(${room} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/src/${name}
    ${CMAKE_CURRENT_SOURCE_DIR}/include)
  if(protos)
    target_include_directories(${room} SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR}/proto/${name})
  endif()
  target_compile_options(${room} PRIVATE ${R_FLAGS})
  set(needs ${R_NEEDS})
  list(TRANSFORM needs REPLACE "/" "_")
  list(TRANSFORM needs PREPEND fw_)
  foreach(n ${needs}) # headers only, and not further: a room names each room that it sees
    target_include_directories(${room} PRIVATE $<TARGET_PROPERTY:${n},INTERFACE_INCLUDE_DIRECTORIES>)
  endforeach()
  if(needs)
    add_dependencies(${room} ${needs})
  endif()
  target_link_libraries(${room} PRIVATE ${R_LIBS})
  set_property(TARGET ${room} PROPERTY FW_NEEDS "${needs}")
  set_property(TARGET ${room} PROPERTY FW_LIBS "${R_LIBS}")
  set(FW_ROOMS "${FW_ROOMS};${room}" CACHE INTERNAL "")
endfunction()
