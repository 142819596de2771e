# library.cmake: libfenwicks, shared and static, from every room.
set(objects "")
foreach(room ${FW_ROOMS})
  list(APPEND objects $<TARGET_OBJECTS:${room}>)
endforeach()
set(FW_SYSTEM_LIBS PkgConfig::PROTOBUF_C PkgConfig::JANSSON PkgConfig::LIBARCHIVE PkgConfig::ZLIB
    PkgConfig::INIH Threads::Threads m)
add_library(fenwicks_static STATIC ${objects})
target_include_directories(fenwicks_static PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
target_link_libraries(fenwicks_static PUBLIC ${FW_SYSTEM_LIBS})
set_target_properties(fenwicks_static PROPERTIES OUTPUT_NAME fenwicks)
