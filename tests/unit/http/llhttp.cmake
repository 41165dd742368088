# llhttp, for llhttp_test alone: an HTTP/1 parser that is not ours, to read what we write. Where the
# system has the library (Debian 13: libllhttp-dev) that is used; Debian 12 ships the C sources inside
# node-llhttp. With neither, that one test is left out.
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include PATH_SUFFIXES llhttp)
find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)

if(LLHTTP_INCLUDE_DIR AND LLHTTP_LIBRARY)
  add_library(test_llhttp INTERFACE)
  target_include_directories(test_llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE_DIR})
  target_link_libraries(test_llhttp INTERFACE ${LLHTTP_LIBRARY})
elseif(LLHTTP_INCLUDE_DIR AND LLHTTP_SOURCE_DIR)
  add_library(test_llhttp STATIC ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c
    ${LLHTTP_SOURCE_DIR}/llhttp.c)
  target_include_directories(test_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
  target_compile_definitions(test_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(test_llhttp PRIVATE -w -O1)
else()
  message(STATUS "llhttp not found (Debian 12: node-llhttp, later: libllhttp-dev): without llhttp_test")
endif()
