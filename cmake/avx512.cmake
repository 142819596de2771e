# avx512.cmake: the kernels of cpu/avx512 and cpu/avx512_bf16 where the processor lacks what they need. Those are
# compiled again, for AVX2, with tests/avx512/immintrin.h in place of the compiler's; fw_emulated(TARGET) gives them to
# a test program in place of the library's, which stays as it is. Compiling them takes half a minute on two cores, so
# one stage of the tests asks for it (presets asan and clang). On a processor that has AVX-512 BF16 every test runs
# the real kernels, and nothing is emulated.
option(FW_EMULATE_AVX512 "Op tests run the AVX-512 kernels under emulation where the processor lacks it" OFF)

set(emulated_rooms "")
if(FW_EMULATE_AVX512)
  foreach(feature avx512vl avx512bf16 avx2 fma)
    check_c_source_runs("int main(void) { return !__builtin_cpu_supports(\"${feature}\"); }" FW_HAVE_${feature})
  endforeach()
  if(FW_HAVE_avx2 AND FW_HAVE_fma)
    if(NOT FW_HAVE_avx512vl)
      list(APPEND emulated_rooms avx512)
    endif()
    if(NOT FW_HAVE_avx512bf16)
      list(APPEND emulated_rooms avx512_bf16)
    endif()
  endif()
endif()
set(emulated_definition "")
if(emulated_rooms)
  list(GET emulated_rooms 0 first)
  set(emulated_definition "T_EMULATED=\"${first}\"") # instruction sets whose name begins so are
  set(flags ${FW_FLAGS_KERNELS} ${FW_FLAGS_AVX2} -D__AVX512F__ -D__AVX512BW__
    -O1        # a third of -O3's time to compile
    -fno-sanitize=all # each lane is in memory here: checked, the tests take three times as long
    -Wno-psabi) # how wide vectors are passed is between these files alone
  foreach(room ${emulated_rooms})
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cpu/${room}/*.c)
    add_library(t_${room} OBJECT ${sources})
    target_include_directories(t_${room} PRIVATE $<TARGET_PROPERTY:fw_cpu_${room},INCLUDE_DIRECTORIES>)
  endforeach()
  target_compile_options(t_avx512_bf16 PRIVATE -D__AVX512BF16__)
  add_library(t_emulate OBJECT ${PROJECT_SOURCE_DIR}/tests/avx512/emulate.c)
  list(TRANSFORM emulated_rooms PREPEND t_ OUTPUT_VARIABLE rooms)
  foreach(target ${rooms} t_emulate)
    target_include_directories(${target} BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/tests/avx512)
    target_compile_options(${target} PRIVATE ${flags})
    set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS OFF) # the analyser sees the real ones
  endforeach()
  add_library(t_claim OBJECT ${PROJECT_SOURCE_DIR}/tests/avx512/claim.c)
  target_include_directories(t_claim PRIVATE $<TARGET_PROPERTY:fw_core,INCLUDE_DIRECTORIES>)
endif()

function(fw_emulated target)
  if(emulated_rooms) # what these define is not taken from the library's archive
    foreach(room ${emulated_rooms})
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_${room}>)
    endforeach()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_emulate> $<TARGET_OBJECTS:t_claim>)
    target_compile_definitions(${target} PRIVATE ${emulated_definition})
  endif()
endfunction()

# The emulation against the specification; where the processor has the instructions, those.
if(emulated_rooms OR FW_HAVE_avx512bf16)
  fw_test_program(avx512 ${PROJECT_SOURCE_DIR}/tests/avx512/test_intrinsics.c target)
  if(emulated_rooms)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:t_emulate>)
    target_include_directories(${target} BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/tests/avx512)
    target_compile_options(${target} PRIVATE ${flags})
    target_link_libraries(${target} PRIVATE m)
  else()
    target_compile_options(${target} PRIVATE ${FW_FLAGS_AVX512} -mavx512bf16)
  endif()
endif()
