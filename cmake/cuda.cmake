# cuda.cmake: the CUDA backend: room `cuda`, built where nvcc is found. Its .cu files go through nvcc by
# rules of our own, as protoc-c's files do: so the tree stays a C project, linked by the C compiler.
#
#   FW_CUDA          on where nvcc is found, and no sanitizer is asked for: nvcc knows none
#   FW_CUDA_TARGETS  80 is sm_80; 90-virtual is compute_90 as PTX, for GPUs that come later. Empty: all
#                    that the project supports, or sm_90a alone where warnings are errors (CI), since each
#                    one costs as much time again
find_program(FW_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
set(FW_CUDA_OFF_REASON "FW_CUDA is off")
set(can_cuda OFF)
if(NOT FW_NVCC)
  set(FW_CUDA_OFF_REASON "nvcc was not found")
elseif(FW_SANITIZE OR FW_FUZZ)
  set(FW_CUDA_OFF_REASON "nvcc builds without sanitizers only")
else()
  get_filename_component(FW_CUDA_ROOT ${FW_NVCC} REALPATH)
  get_filename_component(FW_CUDA_ROOT ${FW_CUDA_ROOT} DIRECTORY)
  get_filename_component(FW_CUDA_ROOT ${FW_CUDA_ROOT} DIRECTORY)
  find_library(FW_CUDART cudart_static NO_DEFAULT_PATH
    PATHS ${FW_CUDA_ROOT}/lib64 ${FW_CUDA_ROOT}/lib ${FW_CUDA_ROOT}/targets/${CMAKE_SYSTEM_PROCESSOR}-linux/lib
    /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
  find_path(FW_CUDA_INCLUDE cuda_runtime_api.h NO_DEFAULT_PATH
    PATHS ${FW_CUDA_ROOT}/include ${FW_CUDA_ROOT}/targets/${CMAKE_SYSTEM_PROCESSOR}-linux/include /usr/include)
  # cuDNN and cuBLASLt are opened when the program runs; building needs their headers.
  foreach(header cudnn_graph.h cublasLt.h)
    string(MAKE_C_IDENTIFIER FW_INCLUDE_${header} variable)
    find_path(${variable} ${header} PATHS ${FW_CUDA_INCLUDE} ${FW_CUDA_ROOT}/include /usr/include)
    mark_as_advanced(${variable})
    list(APPEND FW_CUDA_LIB_INCLUDES ${${variable}})
  endforeach()
  if(NOT FW_CUDART OR NOT FW_CUDA_INCLUDE)
    set(FW_CUDA_OFF_REASON "libcudart_static.a or cuda_runtime_api.h was not found beside ${FW_NVCC}")
  elseif("${FW_CUDA_LIB_INCLUDES}" MATCHES "NOTFOUND")
    set(FW_CUDA_OFF_REASON "cudnn_graph.h or cublasLt.h was not found: install the headers of cuDNN 9 and cuBLAS")
  else()
    list(REMOVE_DUPLICATES FW_CUDA_LIB_INCLUDES)
    set(can_cuda ON)
  endif()
endif()
option(FW_CUDA "Build the CUDA backend" ${can_cuda})
set(FW_CUDA_TARGETS "" CACHE STRING "GPU architectures of the CUDA backend; empty: those of the project")
set(cuda_targets ${FW_CUDA_TARGETS})
if(NOT cuda_targets AND FW_WERROR)
  set(cuda_targets 90a)
elseif(NOT cuda_targets)
  set(cuda_targets 80 86 89 90a 90-virtual)
endif()
mark_as_advanced(FW_NVCC FW_CUDART FW_CUDA_INCLUDE)

set(FW_CUDA_OBJECTS "")
set(FW_CUDA_LIBS "")
if(FW_CUDA AND can_cuda)
  file(GLOB cu_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/cuda/*.cu)
  set(gencode "")
  foreach(arch ${cuda_targets})
    if(arch MATCHES "^([0-9a-z]+)-virtual$")
      list(APPEND gencode -gencode=arch=compute_${CMAKE_MATCH_1},code=compute_${CMAKE_MATCH_1})
    else()
      list(APPEND gencode -gencode=arch=compute_${arch},code=sm_${arch})
    endif()
  endforeach()
  # -fmad=false: as -ffp-contract=off for C. A kernel that wants a fused multiply-add says fmaf.
  set(nvcc_flags -std=c++17 -O3 -fmad=false ${gencode}
    -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-Wall,-Wextra)
  if(FW_WERROR)
    list(APPEND nvcc_flags -Werror=all-warnings -Xcompiler=-Werror)
  endif()
  set(nvcc_includes "")
  foreach(dir include src/core src/ir src/exec src/cuda)
    list(APPEND nvcc_includes -I${CMAKE_CURRENT_SOURCE_DIR}/${dir})
  endforeach()
  set(launcher ${CMAKE_CUDA_COMPILER_LAUNCHER})
  if(NOT launcher)
    set(launcher ${CMAKE_C_COMPILER_LAUNCHER})
  endif()
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/cuda)
  foreach(source ${cu_sources})
    get_filename_component(base ${source} NAME_WE)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda/${base}.o)
    add_custom_command(OUTPUT ${object}
      COMMAND ${launcher} ${FW_NVCC} ${nvcc_flags} ${nvcc_includes} -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d COMMENT "Building CUDA object cuda/${base}.o" VERBATIM)
    list(APPEND FW_CUDA_OBJECTS ${object})
  endforeach()
  set_source_files_properties(${FW_CUDA_OBJECTS} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  add_custom_target(fw_cuda_objects DEPENDS ${FW_CUDA_OBJECTS})
  set(FW_CUDA_LIBS ${FW_CUDART} ${CMAKE_DL_LIBS} rt)
  get_filename_component(FW_CUDA_LIBRARY_DIR ${FW_CUDART} DIRECTORY) # where cuDNN may be too
  fw_room(cuda NEEDS core io ir exec cpu/lower LIBS ${FW_CUDA_LIBS} PkgConfig::JANSSON)
  target_include_directories(fw_cuda SYSTEM PRIVATE ${FW_CUDA_INCLUDE} ${FW_CUDA_LIB_INCLUDES})
  target_compile_definitions(fw_cuda PRIVATE FWI_CUDA_LIBRARY_DIR="${FW_CUDA_LIBRARY_DIR}")
  add_dependencies(fw_cuda fw_cuda_objects)
  set_property(TARGET fw_cuda PROPERTY FW_OBJECTS "${FW_CUDA_OBJECTS}")
  set_property(TARGET fw_cuda PROPERTY FW_BUILT ON)
else()
  message(STATUS "fenwicks: without the CUDA backend: ${FW_CUDA_OFF_REASON}")
  fw_room(cuda NEEDS core ir exec EMPTY "#include \"cuda_backend.h\"
#include <stdio.h>
const fwi_backend fwi_backend_cuda = {.name = \"cuda\"};
bool fwi_cuda_describe(char *text, size_t cap)
{
    snprintf(text, cap, \"this build has no CUDA backend\")\;
    return false\;
}
")
endif()
