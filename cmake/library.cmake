# library.cmake: libfenwicks, static and shared, from every room; the command; what is installed.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(CheckLinkerFlag)

set(objects "")
set(libs "")
foreach(room ${FW_ROOMS})
  get_property(room_objects TARGET ${room} PROPERTY FW_OBJECTS) # made by other compilers
  list(APPEND objects $<TARGET_OBJECTS:${room}> ${room_objects})
  get_property(room_libs TARGET ${room} PROPERTY FW_LIBS)
  list(APPEND libs ${room_libs})
endforeach()
list(REMOVE_DUPLICATES libs)

file(GLOB FW_PUBLIC_HEADERS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/fenwicks/*.h)

add_library(fenwicks_static STATIC ${objects})
target_link_libraries(fenwicks_static PUBLIC ${libs} Threads::Threads m)
add_library(fenwicks_shared SHARED ${objects})
target_link_libraries(fenwicks_shared PRIVATE ${libs} Threads::Threads m)
set_target_properties(fenwicks_static PROPERTIES EXPORT_NAME fenwicks_static)
set_target_properties(fenwicks_shared PROPERTIES EXPORT_NAME fenwicks
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}) # as SameMinorVersion below
foreach(lib fenwicks_static fenwicks_shared)
  set_target_properties(${lib} PROPERTIES OUTPUT_NAME fenwicks)
  target_include_directories(${lib} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
add_library(fenwicks::fenwicks ALIAS fenwicks_shared)
add_library(fenwicks::fenwicks_static ALIAS fenwicks_static)

# Visibility is hidden already; the script also hides what a compiler's own runtime would leak.
set(map ${CMAKE_CURRENT_SOURCE_DIR}/cmake/fenwicks.map)
check_linker_flag(C "-Wl,--version-script=${map}" FW_HAVE_VERSION_SCRIPT)
if(FW_HAVE_VERSION_SCRIPT)
  target_link_options(fenwicks_shared PRIVATE "-Wl,--version-script=${map}")
  set_property(TARGET fenwicks_shared APPEND PROPERTY LINK_DEPENDS ${map})
endif()
check_linker_flag(C "-Wl,--no-undefined" FW_HAVE_NO_UNDEFINED)
if(FW_HAVE_NO_UNDEFINED AND NOT FW_SANITIZE AND NOT FW_FUZZ) # a sanitizer's runtime is in the program
  target_link_options(fenwicks_shared PRIVATE "-Wl,--no-undefined")
endif()

# The command: public headers only, like any user. It carries the library, so it starts fast and moves freely.
file(GLOB cli_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cli/*.c)
if(cli_sources)
  add_library(fw_cli OBJECT ${cli_sources}) # tests make another command of them: tests.cmake
  target_link_libraries(fw_cli PRIVATE fenwicks_static PkgConfig::FENWICKS_JANSSON)
  add_executable(fenwicks_cli $<TARGET_OBJECTS:fw_cli>)
  set_target_properties(fenwicks_cli PROPERTIES OUTPUT_NAME fenwicks)
  target_link_libraries(fenwicks_cli PRIVATE fenwicks_static PkgConfig::FENWICKS_JANSSON)
  install(TARGETS fenwicks_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# What is installed, without tests: `make` builds this.
add_custom_target(fenwicks_product DEPENDS fenwicks_static fenwicks_shared $<TARGET_NAME_IF_EXISTS:fenwicks_cli>)

install(FILES ${FW_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fenwicks)
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/docs/fenwicks.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(TARGETS fenwicks_shared EXPORT fenwicks-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS fenwicks_static EXPORT fenwicks-static-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

# pkg-config and find_package. The two libraries are exported apart, and have a .pc file each: who links the
# shared one needs none of the system libraries' development files, which even Requires.private would ask for.
list(JOIN FW_PKG_MODULES " " FW_PC_REQUIRES)
foreach(dir INCLUDEDIR LIBDIR) # a distribution may give absolute ones
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(FW_PC_${dir} "${CMAKE_INSTALL_${dir}}")
  else()
    set(FW_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(FW_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else() # found from where the file is, so that the prefix may be chosen at installation
  file(RELATIVE_PATH up "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
  string(REGEX REPLACE "/$" "" FW_PC_PREFIX "\${pcfiledir}/${up}")
endif()
set(FW_PC_LIBS "")
foreach(lib ${FW_CUDA_LIBS})
  if(IS_ABSOLUTE ${lib})
    string(APPEND FW_PC_LIBS " ${lib}")
  else()
    string(APPEND FW_PC_LIBS " -l${lib}")
  endif()
endforeach()
foreach(pc fenwicks fenwicks-static)
  configure_file(cmake/${pc}.pc.in ${pc}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fenwicks)
install(EXPORT fenwicks-targets NAMESPACE fenwicks:: DESTINATION ${package_dir})
install(EXPORT fenwicks-static-targets NAMESPACE fenwicks:: DESTINATION ${package_dir})
configure_package_config_file(cmake/fenwicks-config.cmake.in fenwicks-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/fenwicks-config-version.cmake
  COMPATIBILITY SameMinorVersion) # before 1.0 a minor version may change the interface
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fenwicks-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/fenwicks-config-version.cmake DESTINATION ${package_dir})
