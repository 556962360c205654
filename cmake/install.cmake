# `cmake --install`: headers, both libraries, the tool, and what find_package and pkg-config read. The tree may be moved afterwards.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ringway)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(DIRECTORY include/ringway DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(TARGETS ringway ringway_static EXPORT ringway-targets)
if(TARGET ringway_tool)
  install(TARGETS ringway_tool)
  install(FILES ${RINGWAY_MANUAL}/ringway.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${RINGWAY_MANUAL}/ringway.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ringway)
  install(FILES ${RINGWAY_MANUAL}/_ringway DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()
install(EXPORT ringway-targets NAMESPACE ringway:: DESTINATION ${package_dir})

configure_package_config_file(cmake/ringway-config.cmake.in ringway-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(ringway-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ringway-config.cmake ${PROJECT_BINARY_DIR}/ringway-config-version.cmake
  DESTINATION ${package_dir})

# Relative to the .pc file, unless the packager has chosen absolute directories.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
  set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
  file(RELATIVE_PATH up "/${pkgconfig_dir}" /)
  set(pc_prefix "\${pcfiledir}/${up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/ringway.pc.in ringway.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ringway.pc DESTINATION ${pkgconfig_dir})
