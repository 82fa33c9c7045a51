# Slicer writes <Extension>Config.cmake here, for extensions that build on this one.
file(WRITE "${CMAKE_BINARY_DIR}/${PROJECT_NAME}Config.cmake" "")
