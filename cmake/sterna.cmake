# One static library a folder, its tests beside the code, one set of warnings for our own code.

set(STERNA_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Werror)

function(sterna_flags target)
  target_compile_options(${target} PRIVATE ${STERNA_WARNINGS})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  if(STERNA_FUZZ)
    target_compile_options(${target} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
  if(STERNA_SANITIZE)
    # The standard library checks each access then: of an empty optional, or past the end.
    target_compile_definitions(${target} PUBLIC _GLIBCXX_ASSERTIONS)
    target_compile_options(${target} PUBLIC -fsanitize=${STERNA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${STERNA_SANITIZE})
  endif()
endfunction()

# sterna_library(NAME SOURCES a.cc ... [LINKS ...] [TESTS a_test.cc ...] [TEST_LINKS ...])
# makes sterna_NAME and, when tests are on, the program sterna_NAME_test registered with CTest.
function(sterna_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;TESTS;TEST_LINKS" ${ARGN})
  add_library(sterna_${name} STATIC ${ARG_SOURCES})
  sterna_flags(sterna_${name})
  target_link_libraries(sterna_${name} PUBLIC ${ARG_LINKS})
  if(STERNA_TESTS AND ARG_TESTS)
    add_executable(sterna_${name}_test ${ARG_TESTS})
    sterna_flags(sterna_${name}_test)
    target_link_libraries(sterna_${name}_test PRIVATE sterna_${name} ${ARG_TEST_LINKS} GTest::gmock GTest::gtest_main)
    gtest_discover_tests(sterna_${name}_test DISCOVERY_TIMEOUT 60)
  endif()
endfunction()

# sterna_copies(TARGET FOLDER file...) copies what a runtime reads at run time into the build tree, whenever it changes.
function(sterna_copies target folder)
  set(copies)
  foreach(file IN LISTS ARGN)
    cmake_path(GET file FILENAME name)
    add_custom_command(OUTPUT ${folder}/${name} DEPENDS ${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${file} ${folder}/${name} VERBATIM)
    list(APPEND copies ${folder}/${name})
  endforeach()
  add_custom_target(${target} ALL DEPENDS ${copies})
endfunction()
