# The sources of the fuzz targets, also for the check that every test file is in a target.
file(GLOB fuzz_targets CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*_fuzz.cpp)
file(GLOB fuzz_common CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
list(REMOVE_ITEM fuzz_common ${fuzz_targets})
